package starters

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// submit takes an order. 201 for the first time, 200 for the same again; 202
// when an order under this id is durable and nobody has answered yet.
func (g *Gateway) submit(x *exchange) answer {
	wait, bad := x.wait()
	if bad != nil {
		return *bad
	}
	data, bad := x.json(maxBody)
	if bad != nil {
		return *bad
	}
	o, err := order.Decode(data)
	if err != nil {
		return invalid(http.StatusBadRequest, err)
	}
	if id, err := order.ParseID(string(o.ID)); err == nil {
		x.order = id
	}
	if err := o.Validate(g.options.Client.Now()); err != nil {
		return invalid(http.StatusUnprocessableEntity, err)
	}
	ctx, cancel := context.WithTimeout(x.request.Context(), wait)
	defer cancel()
	status := http.StatusOK
	if wait > 0 && !g.known(ctx, o.ID) {
		status = http.StatusCreated
	}
	submitted, err := g.options.Client.Submit(ctx, o)
	location := "/v1/orders/" + string(o.ID) + "/verdict"
	switch {
	case errors.Is(err, ErrNotAnswered):
		return answer{status: http.StatusAccepted, location: location, again: true, body: accepted{
			Submitted: workflows.Submitted{Order: o.ID, Phase: order.PhaseReceived, Outcome: reconcile.InProgress},
			Pending:   "an order with this id is durable, but nobody has answered yet; send the same again, or ask for the verdict",
		}}
	case err != nil:
		return g.failed(err)
	}
	return answer{status: status, location: location, body: submission{submitted, possible(submitted)}}
}

// submission answers a submission.
type submission struct {
	workflows.Submitted
	// Possible says what the customer may do now, in words.
	Possible string `json:"possible,omitempty"`
}

// possible says what the customer of an order may do, or nothing.
func possible(s workflows.Submitted) string {
	at := "/v1/orders/" + string(s.Order)
	switch {
	case s.Question != nil:
		return WhatIsAsked(*s.Question) + ": POST " + at + "/answers"
	case s.Next != nil:
		return "the customer has to act before it is paid: see next, or POST " + at + "/attempts with another payment"
	case s.Declined != "":
		return "the payment was declined (" + s.Declined + "): POST " + at + "/attempts with another payment" + Until(s.PayUntil)
	}
	return ""
}

// accepted answers a submission that is durable and not answered yet.
type accepted struct {
	workflows.Submitted
	Pending string `json:"pending"`
}

// known says whether an order was there before: it only tells 200 from 201. Who
// does not answer at once is there.
func (g *Gateway) known(ctx context.Context, id order.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := g.options.Client.Verdict(ctx, id, false)
	return !errors.Is(err, ErrUnknownOrder)
}

// invalid is the answer to an order that is not one.
func invalid(status int, err error) answer {
	if e, ok := errors.AsType[*order.InvalidError](err); ok {
		return refuse(status, "the order is not valid; nothing was started", e.Problems...)
	}
	return refuse(status, "the order is not valid; nothing was started", order.Problem{Field: "body", Reason: err.Error()})
}

// verdict answers whether an order succeeded.
func (g *Gateway) verdict(x *exchange) answer {
	id, bad := x.path()
	if bad != nil {
		return *bad
	}
	wait, bad := x.wait()
	if bad != nil {
		return *bad
	}
	fresh, bad := x.flag("fresh")
	if bad != nil {
		return *bad
	}
	explain, bad := x.flag("explain")
	if bad != nil {
		return *bad
	}
	if !fresh {
		wait = min(wait, queryPatience)
	}
	ctx, cancel := context.WithTimeout(x.request.Context(), wait)
	defer cancel()
	v, err := g.options.Client.Verdict(ctx, id, fresh)
	if err != nil {
		return g.failed(err)
	}
	if explain {
		story, err := g.options.Client.Explain(ctx, id)
		if err != nil {
			return g.failed(err)
		}
		return answer{status: http.StatusOK, body: story}
	}
	return answer{status: http.StatusOK, body: v}
}

// flag reads a parameter that is true or false; false where it is left out.
func (x *exchange) flag(name string) (bool, *answer) {
	text := x.request.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}
	is, err := strconv.ParseBool(text)
	if err != nil {
		a := refuse(http.StatusBadRequest, name+" is neither true nor false", order.Problem{Field: name, Reason: "is neither true nor false"})
		return false, &a
	}
	return is, nil
}

// cancel takes an order back: 200 when it is, 202 while the warehouse has not
// answered, 409 with what would be possible when reality won.
func (g *Gateway) cancel(x *exchange) answer {
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
	wish, problems := decode[workflows.Cancel](data, "a cancellation")
	if len(problems) == 0 {
		problems = CheckAsked(wish.By, wish.Reason)
	}
	if len(problems) > 0 {
		return refuse(http.StatusBadRequest, "the request is not valid; nothing was cancelled", problems...)
	}
	ctx, cancel := context.WithTimeout(x.request.Context(), wait)
	defer cancel()
	a, err := g.options.Client.Cancel(ctx, id, wish)
	switch {
	case err != nil:
		return g.failed(err)
	case a.Cancelled:
		return answer{status: http.StatusOK, body: a}
	case a.Pending != "":
		return answer{status: http.StatusAccepted, location: "/v1/orders/" + string(id) + "/verdict", again: true, body: a}
	case a.Refused != "":
		return answer{status: http.StatusConflict, body: notCancelled{
			"not cancelled: " + a.Refused + "; the order goes on, ask for a return instead", a}}
	}
	return answer{status: http.StatusConflict, body: notCancelled{"not cancelled: the order has ended by itself; see its outcome", a}}
}

// notCancelled is a refusal with the answer that it comes from.
type notCancelled struct {
	Error string `json:"error"`
	workflows.CancelAnswer
}

// webhook takes what a system announces. 2xx only once the engine has it.
func (g *Gateway) webhook(x *exchange) answer {
	var hook *Webhook
	for i := range g.options.Webhooks {
		if string(g.options.Webhooks[i].System) == x.request.PathValue("system") {
			hook = &g.options.Webhooks[i]
		}
	}
	if hook == nil {
		return refuse(http.StatusNotFound, "no webhooks are taken from this system")
	}
	body, bad := x.body(maxBody)
	if bad != nil {
		return *bad
	}
	if err := hook.Verify(x.request, body, g.options.Client.Now()); err != nil {
		// What is wrong with it is said to nobody who may be trying.
		return refuse(http.StatusUnauthorized, "the signature does not fit, or is too old")
	}
	events, err := hook.Events(body)
	if err != nil {
		return answer{status: http.StatusBadRequest, cause: err, body: refusal{
			"the body cannot be understood", []order.Problem{{Field: "body", Reason: err.Error()}}}}
	}
	ctx, cancel := context.WithTimeout(x.request.Context(), webhookPatience)
	defer cancel()
	told, ignored, err := Notices(ctx, events)
	if err != nil {
		return busy("it could not be found out whose order it is about; send it again", err)
	}
	if len(told) > 0 {
		x.order = told[0].Order
	}
	if err := g.told.tellAll(ctx, told); err != nil {
		return busy("the engine does not have it; send it again", err)
	}
	return answer{status: http.StatusOK, body: taken{Taken: len(events) - ignored, Ignored: ignored}}
}

// taken answers a webhook.
type taken struct {
	Taken   int `json:"taken"`
	Ignored int `json:"ignored"`
}
