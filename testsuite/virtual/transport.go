package virtual

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
)

// transport calls the handler behind an address directly, so that no socket and
// no goroutine of a server stands between two moments of virtual time.
type transport map[string]http.Handler

var (
	errCut     = errors.New("the connection was cut")
	errRefused = errors.New("connection refused")
)

// calls is the transport of one world: each call waits for its turn.
type calls struct {
	world    *World
	handlers transport
}

// RoundTrip implements http.RoundTripper.
func (c *calls) RoundTrip(r *http.Request) (*http.Response, error) {
	w, ctx := c.world, r.Context()
	if w.gate != nil {
		name, again, err := read(r)
		if err != nil {
			return nil, err
		}
		r = again
		w.enter(ctx, name)
	}
	if r.URL.Host == gatewayHost && w.isDown(Gateway) {
		return nil, fmt.Errorf("dial %s: %w", gatewayHost, errRefused)
	}
	p := &patient{}
	response, err := c.handlers.RoundTrip(r.WithContext(context.WithValue(ctx, patientKey{}, p)))
	attemptOf(ctx).stayDead()
	if p.spent && err != nil {
		return nil, context.DeadlineExceeded
	}
	if response != nil {
		response.Request = r
	}
	return response, err
}

// read names a request by all that it is, so that two of one activity that wait
// at the same time are told apart whatever came first, and returns the request
// with its body as it was.
func read(r *http.Request) (string, *http.Request, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Method + " " + r.URL.String(), r, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", nil, fmt.Errorf("read the request: %w", err)
	}
	_ = r.Body.Close()
	in := r.WithContext(r.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	return r.Method + " " + r.URL.String() + " " + string(number.ReplaceAll(body, nil)), in, nil
}

// number is what a client numbers its calls with: it tells what came first.
var number = regexp.MustCompile(`^\{"id":\d+,`)

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (response *http.Response, err error) {
	handler, ok := t[r.URL.Host]
	if !ok {
		return nil, fmt.Errorf("nobody listens at %s", r.URL.Host)
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.Host, in.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "127.0.0.1:1024"
	in.URL.Scheme, in.URL.Host = "", ""
	if in.Body == nil {
		in.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	defer func() {
		switch failed := recover(); failed {
		case nil:
		case http.ErrAbortHandler:
			response, err = nil, errCut
		default:
			panic(failed)
		}
	}()
	handler.ServeHTTP(recorder, in)
	response = recorder.Result()
	response.Request = r
	return response, nil
}
