package virtual

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
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
		name, err := nameOf(r)
		if err != nil {
			return nil, err
		}
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

// nameOf names a request by all that it is, so that two of one activity that
// wait at the same time are told apart whatever came first.
func nameOf(r *http.Request) (string, error) {
	sum := fnv.New64a()
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err == nil {
			_, err = io.Copy(sum, body)
		}
		if err != nil {
			return "", fmt.Errorf("read the request: %w", err)
		}
	}
	return fmt.Sprintf("%s %s %x", r.Method, r.URL, sum.Sum64()), nil
}

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
