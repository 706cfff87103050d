package stripe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// The most that is read of an answer.
const (
	maxRecord = 1 << 20
	maxList   = 8 << 20
)

var errTooLarge = errors.New("the answer is larger than allowed")

// exchange is one request and what came back. The library reports only what it
// could parse, so the transport notes the rest here.
type exchange struct {
	client    *Client
	operation string
	write     bool
	limit     int64

	status int // 0: no answer
	header http.Header
	err    error // of the connection
}

type exchangeKey struct{}

// begin returns a context that carries the exchange to the transport.
func (c *Client) begin(ctx context.Context, operation string, write bool) (context.Context, *exchange) {
	x := &exchange{client: c, operation: operation, write: write, limit: maxRecord}
	return context.WithValue(ctx, exchangeKey{}, x), x
}

// replayed says that Stripe answered with what it had stored under the key.
func (x *exchange) replayed() bool {
	return strings.EqualFold(x.header.Get("Idempotent-Replayed"), "true")
}

// unsent says that the request cannot have reached Stripe.
func (x *exchange) unsent() bool {
	if x.status != 0 || x.err == nil {
		return false
	}
	if dial, ok := errors.AsType[*net.OpError](x.err); ok && dial.Op == "dial" {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](x.err); ok {
		return true
	}
	_, ok := errors.AsType[*tls.CertificateVerificationError](x.err)
	return ok
}

// transport names the operation, keeps the library's own reports about this
// machine back, bounds answers, and makes sure that a request is sent once.
type transport struct{ base http.RoundTripper }

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, errors.New("a request without an exchange")
	}
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "trueup ("+x.operation+")")
	r.Header.Del("X-Stripe-Client-User-Agent")
	r.Header.Del("X-Stripe-Client-Telemetry")
	// net/http sends a request again by itself when a kept connection breaks and
	// the request has no body, or one that can be had again. A body that is
	// neither is sent once; an empty one is noticed and left out.
	r.GetBody = nil
	if r.Body == nil || r.Body == http.NoBody {
		r.Body = io.NopCloser(strings.NewReader(""))
	}
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		x.err = err
		return nil, err
	}
	x.status, x.header = resp.StatusCode, resp.Header
	resp.Body = &bounded{body: resp.Body, left: x.limit, exchange: x}
	return resp, nil
}

// bounded is a body that ends with an error when it is too large.
type bounded struct {
	body     io.ReadCloser
	left     int64
	exchange *exchange
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		err = fmt.Errorf("read the answer: %w", errTooLarge)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.exchange.err = err
	}
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }
