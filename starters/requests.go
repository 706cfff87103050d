package starters

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// wishes sets the routes of the wishes.
func (g *Gateway) wishes() {
	c := g.options.Client
	wishRoute(g, "attempts", "an attempt", func(m *workflows.Attempt) *workflows.Asked { return &m.Asked }, c.Attempt)
	wishRoute(g, "amendments", "an amendment", func(m *workflows.Amend) *workflows.Asked { return &m.Asked }, c.Amend)
	wishRoute(g, "answers", "an answer", func(m *workflows.Answer) *workflows.Asked { return &m.Asked }, c.Answer)
	wishRoute(g, "returns", "a return", func(m *workflows.Return) *workflows.Asked { return &m.Asked }, c.Return)
	wishRoute(g, "refunds", "a refund", func(m *workflows.Refund) *workflows.Asked { return &m.Asked }, c.Refund)
	wishRoute(g, "decisions", "a decision", func(m *workflows.Decide) *workflows.Asked { return &m.Asked }, c.Decide)
}

// wishRoute sets the route of one kind of wish: 200 when it is done, 202 while it
// is under way, 409 with what would be possible when the order's phase or reality
// refuses it, 422 when it is not valid.
func wishRoute[M any](g *Gateway, path, what string, asked func(*M) *workflows.Asked,
	send func(context.Context, order.ID, M) (workflows.Reply, error)) {
	g.route("POST /v1/orders/{id}/"+path, func(x *exchange) answer {
		id, bad := x.path()
		if bad != nil {
			return *bad
		}
		wait, bad := x.wait()
		if bad != nil {
			return *bad
		}
		data, bad := x.json(maxBody)
		if bad != nil {
			return *bad
		}
		m, problems := decode[M](data, what)
		if len(problems) == 0 {
			problems = x.named(asked(&m))
		}
		if len(problems) > 0 {
			return refuse(http.StatusBadRequest, "the request is not "+what+"; nothing was done", problems...)
		}
		if amountOfNothing(data) {
			return notValid(&InvalidError{Problems: checkAmount(-1)})
		}
		ctx, cancel := context.WithTimeout(x.request.Context(), wait)
		defer cancel()
		reply, err := send(ctx, id, m)
		if err != nil {
			return g.failed(err)
		}
		return replied(id, reply)
	})
}

// replied is the answer to a wish that was taken up.
func replied(id order.ID, r workflows.Reply) answer {
	location := "/v1/orders/" + string(id) + "/verdict"
	switch {
	case r.Refused != "":
		return answer{status: http.StatusConflict, location: location, body: notDone{"not done: " + r.Refused, r}}
	case r.Pending != "":
		return answer{status: http.StatusAccepted, location: location, again: true, body: r}
	}
	return answer{status: http.StatusOK, location: location, body: r}
}

// notDone is a refusal with the reply that it comes from.
type notDone struct {
	Error string `json:"error"`
	workflows.Reply
}

// notValid is the answer to a wish that is not valid.
func notValid(err error) answer {
	if e, ok := errors.AsType[*InvalidError](err); ok && len(e.Problems) > 0 {
		return refuse(http.StatusUnprocessableEntity, "the request is not valid; nothing was done", e.Problems...)
	}
	return refuse(http.StatusUnprocessableEntity, err.Error())
}

// keyHeader is the header that names a wish whose body has no id.
const keyHeader = "Idempotency-Key"

// named takes a wish's id from the header when the body has none.
func (x *exchange) named(asked *workflows.Asked) []order.Problem {
	keys := x.request.Header.Values(keyHeader)
	switch {
	case len(keys) == 0:
		return nil
	case len(keys) > 1:
		return []order.Problem{{Field: keyHeader, Reason: "is there twice"}}
	case asked.ID == "":
		asked.ID = keys[0]
	case asked.ID != keys[0]:
		return []order.Problem{{Field: "id", Reason: "differs from the header " + keyHeader + "; send one of them, or the same twice"}}
	}
	return nil
}

// decode reads a request's body strictly.
func decode[M any](data []byte, what string) (M, []order.Problem) {
	var m M
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, []order.Problem{undecodable(err, what)}
	}
	if _, err := d.Token(); err != io.EOF {
		return m, []order.Problem{{Field: "body", Reason: "has data after " + what}}
	}
	return m, nil
}

// amountOfNothing says that a wish names an amount, and it is 0: to a workflow that is
// all that is left, and to who worked it out nothing.
func amountOfNothing(data []byte) bool {
	var named struct {
		Amount *int64 `json:"amount"`
	}
	return json.Unmarshal(data, &named) == nil && named.Amount != nil && *named.Amount == 0
}

// undecodable names the field at fault.
func undecodable(err error, what string) order.Problem {
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return order.Problem{Field: strings.Trim(name, `"`), Reason: "is not a field of " + what}
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
		// What every wish has stands in a struct of its own, which the JSON does not show.
		field := strings.TrimPrefix(t.Field, "Asked.")
		return order.Problem{Field: field, Reason: "is a " + t.Value + "; want " + wanted(t.Type)}
	}
	return order.Problem{Field: "body", Reason: "is not the JSON of " + what}
}

// wanted is what a field's type is called in JSON.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number that fits"
	case reflect.Slice:
		return "a list"
	default:
		return "an object"
	}
}
