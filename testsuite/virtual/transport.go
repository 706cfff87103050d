package virtual

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
)

// transport calls the handler behind an address directly, so that no socket and
// no goroutine of a server stands between two moments of virtual time.
type transport map[string]http.Handler

var errCut = errors.New("the connection was cut")

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
