package starters

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/order"
)

// exchange is one request with what its log line will say. It is the
// http.ResponseWriter that the routes get.
type exchange struct {
	http.ResponseWriter
	request *http.Request
	status  int
	order   order.ID // as soon as it is known
	cause   error    // why it went wrong, for the log; never a body
}

// answer is what a route has to say.
type answer struct {
	status   int
	body     any
	location string
	again    bool // ask again soon
	cause    error
}

// refusal is the body of every answer that is not what was asked for.
type refusal struct {
	Error    string          `json:"error"`
	Problems []order.Problem `json:"problems,omitempty"`
}

func refuse(status int, text string, problems ...order.Problem) answer {
	return answer{status: status, body: refusal{text, problems}}
}

// busy is the answer while the engine, or a system that has to be asked, is
// away: nothing is wrong with the request.
func busy(text string, cause error) answer {
	return answer{status: http.StatusServiceUnavailable, body: refusal{Error: text}, again: true, cause: cause}
}

// WriteHeader remembers the status for the log.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(data []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(data)
}

// write sends an answer.
func (x *exchange) write(a answer) {
	x.cause = a.cause
	data, err := json.Marshal(a.body)
	if err != nil {
		x.cause = err
		a, data = answer{status: http.StatusInternalServerError}, []byte(`{"error":"the answer cannot be written"}`)
	}
	h := x.Header()
	h.Set("Content-Type", "application/json")
	if a.location != "" {
		h.Set("Location", a.location)
	}
	if a.again {
		h.Set("Retry-After", "2")
	}
	x.WriteHeader(a.status)
	_, _ = x.Write(append(data, '\n')) // who does not listen any more is told nothing
}

// body reads the request's body whole, and no more than is allowed.
func (x *exchange) body(limit int64) ([]byte, *answer) {
	if x.request.Header.Get("Content-Encoding") != "" {
		a := refuse(http.StatusUnsupportedMediaType, "the body is encoded; send it as it is")
		return nil, &a
	}
	data, err := io.ReadAll(http.MaxBytesReader(x.ResponseWriter, x.request.Body, limit))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		a := refuse(http.StatusRequestEntityTooLarge, "the body is too large; at most 1 MiB is taken", order.Problem{Field: "body", Reason: "has more than 1048576 bytes"})
		return nil, &a
	}
	if err != nil {
		a := refuse(http.StatusBadRequest, "the body could not be read to its end", order.Problem{Field: "body", Reason: "ended early"})
		return nil, &a
	}
	return data, nil
}

// json reads the body of a request that must be JSON.
func (x *exchange) json(limit int64) ([]byte, *answer) {
	kind, parameters, err := mime.ParseMediaType(x.request.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8") {
		a := refuse(http.StatusUnsupportedMediaType, "the body must be JSON; set Content-Type: application/json")
		return nil, &a
	}
	return x.body(limit)
}

// log writes the access log's line: what was asked for and what became of it,
// never a body, a query or a header.
func (x *exchange) log(log *logrus.Logger, took time.Duration) {
	route := x.request.Pattern
	if route == "" {
		route = "none"
	}
	fields := logrus.Fields{"method": x.request.Method, "route": route, "status": x.status, "duration": took.Round(time.Microsecond).String()}
	if x.order != "" {
		fields["order"] = string(x.order)
	}
	line := log.WithFields(fields)
	switch {
	case x.cause != nil && x.status >= http.StatusInternalServerError:
		line.WithError(x.cause).Error("request failed")
	case x.cause != nil:
		line.WithError(x.cause).Warn("request refused")
	case route == "GET /metrics": // every few seconds, for ever
		line.Debug("request")
	default:
		line.Info("request")
	}
}
