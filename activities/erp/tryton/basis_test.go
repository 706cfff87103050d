package tryton_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	adapter "github.com/trueup-orders/trueup/activities/erp/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/erp"
)

// refusals counts the calls after the first refusal, each of which takes a while.
type refusals struct {
	each time.Duration

	mu      sync.Mutex
	refused bool
	after   int
}

func (c *refusals) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused {
		c.after++
		select {
		case <-time.After(c.each):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	c.refused = c.refused || bytes.Contains(body, []byte("UserError"))
	return resp, err
}

// busy returns a client that has booked so many orders, and whose next draft of an
// invoice and all that follow are refused, as while no fiscal year is open.
func busy(t *testing.T, orders int, transport http.RoundTripper) *adapter.Client {
	t.Helper()
	x := onSimulator(t, simulated.Settings{})
	c, err := adapter.New(adapter.Config{
		URL: x.url, User: "admin", Password: "admin", Channel: "web", Now: time.Now, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range orders {
		if _, err := c.RecordSale(t.Context(), sale(newOrder("EUR"))); err != nil {
			t.Fatal(err)
		}
	}
	x.inject(t, simulator.Fault{Operation: order.Invoice, Kind: simulator.Rejected, Times: -1})
	return c
}

// What other orders rest on is not read again to believe a refusal of this one: in a
// busy process that would outlast the call, and no refusal would ever be final.
func TestBelieve_AfterManyOrders_ReadsWhatThisOneRestsOn(t *testing.T) {
	t.Parallel()
	calls := &refusals{each: 70 * time.Millisecond}
	c := busy(t, 100, calls)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second) // as an order's workflow allows
	defer cancel()
	o := newOrder("EUR")
	if _, err := c.PostInvoice(ctx, invoice(o, order.Invoice, 1, nil, o.AllLines())); err == nil || apierr.CodeOf(err) != apierr.Declined {
		t.Errorf("the refused posting says %v", err)
	}
	// Seven settings, the currency, the customer, an address and its country.
	if calls.after < 11 || calls.after > 15 || ctx.Err() != nil {
		t.Errorf("%d calls were made after the refusal, %v", calls.after, ctx.Err())
	}
}

// A refusal that cannot be held against all that it rests on in time is told as it
// is: else the call would be over, and made again for ever.
func TestBelieve_BooksTooSlow_DeclinedInTime(t *testing.T) {
	t.Parallel()
	c := busy(t, 1, &refusals{each: time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	o := newOrder("EUR")
	_, err := c.PostInvoice(ctx, invoice(o, order.Invoice, 1, nil, o.AllLines()))
	if err == nil || apierr.CodeOf(err) != apierr.Declined || ctx.Err() != nil {
		t.Errorf("the refused posting says %v, %v", err, ctx.Err())
	}
}

// The call itself was given up: what became of it is not known.
func TestBelieve_GivenUpMeanwhile_NotFinal(t *testing.T) {
	t.Parallel()
	calls := &refusals{each: time.Second}
	c := busy(t, 1, calls)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(1500*time.Millisecond, cancel)
	o := newOrder("EUR")
	if _, err := c.PostInvoice(ctx, invoice(o, order.Invoice, 1, nil, o.AllLines())); err == nil || apierr.Final(err) {
		t.Errorf("it says %v", err)
	}
}
