package stripe_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

// clock is a time that a test moves; what is due runs as it passes.
type clock struct {
	mu  sync.Mutex
	now time.Time
	due []due
}

type due struct {
	at time.Time
	do func()
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration, _ string, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due = append(c.due, due{c.now.Add(d), f})
}

// advance moves the time and runs what becomes due, in order.
func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	end := c.now.Add(d)
	for {
		slices.SortStableFunc(c.due, func(a, b due) int { return a.at.Compare(b.at) })
		if len(c.due) == 0 || c.due[0].at.After(end) {
			break
		}
		next := c.due[0]
		c.due = c.due[1:]
		if next.at.After(c.now) {
			c.now = next.at
		}
		c.mu.Unlock()
		next.do()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

// pending says how many things are still to happen.
func (c *clock) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.due)
}

// world is a client and the simulated gateway that it speaks to.
type world struct {
	*testing.T
	clock  *clock
	server *gateway.Server
	url    string
	client *stripe.Client
}

func newWorld(t *testing.T, settings gateway.Settings) *world {
	t.Helper()
	w := &world{T: t, clock: newClock()}
	server, err := gateway.New(simulator.Options{Clock: w.clock, Secret: "whsec_0123456789abcdef0123"}, settings)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		listener.CloseClientConnections()
		listener.Close()
		_ = server.Close()
	})
	w.server, w.url = server, listener.URL
	w.client = w.newClient(func(*stripe.Config) {})
	return w
}

func (w *world) newClient(change func(*stripe.Config)) *stripe.Client {
	w.Helper()
	c := stripe.Config{APIKey: gateway.DefaultAPIKey, BaseURL: w.url, Channel: "shop", Account: "acct_simulated", Now: w.clock.Now}
	change(&c)
	client, err := stripe.New(c)
	if err != nil {
		w.Fatal(err)
	}
	return client
}

func (w *world) inject(f simulator.Fault) {
	w.Helper()
	if _, err := w.server.Frame().Inject(f); err != nil {
		w.Fatal(err)
	}
}

func authorization(of order.ID, amount int64, method string) payment.AuthorizeRequest {
	return payment.AuthorizeRequest{
		Key: order.Intent{Order: of, Operation: order.Authorize, N: 1}.Key(), Order: of,
		Amount: order.Amount{Minor: amount, Currency: "EUR"}, Customer: "c1", Channel: "shop",
		Payment: order.Payment{Method: method},
	}
}

func (w *world) authorize(of order.ID, amount int64) reconcile.Attempt {
	w.Helper()
	a, err := w.client.Authorize(context.Background(), authorization(of, amount, "pm_card_visa"))
	if err != nil {
		w.Fatal(err)
	}
	return a.Attempt
}

func (w *world) captured(of order.ID, amount int64) reconcile.Attempt {
	w.Helper()
	a := w.authorize(of, amount)
	a, err := w.client.Capture(context.Background(), capture(of, a.ID, amount))
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func capture(of order.ID, attempt string, amount int64) payment.CaptureRequest {
	return payment.CaptureRequest{
		Key: order.Intent{Order: of, Operation: order.Capture, N: 1}.Key(), Order: of, Attempt: attempt,
		Amount: order.Amount{Minor: amount, Currency: "EUR"}, Final: true,
	}
}

func void(of order.ID, attempt string) payment.VoidRequest {
	return payment.VoidRequest{Key: order.Intent{Order: of, Operation: order.Void, N: 1}.Key(), Order: of, Attempt: attempt}
}

func refund(of order.ID, attempt string, amount int64) payment.RefundRequest {
	return payment.RefundRequest{
		Key: order.Intent{Order: of, Operation: order.Refund, N: 1}.Key(), Order: of, Attempt: attempt,
		Amount: order.Amount{Minor: amount, Currency: "EUR"}, Reason: "returned",
	}
}

func (w *world) totals(of order.ID) gateway.Totals {
	w.Helper()
	state, err := w.server.State(of)
	if err != nil {
		w.Fatal(err)
	}
	return state.(gateway.State).Totals
}

// effects counts the ledger's entries of an operation that changed something.
func (w *world) effects(of order.ID, op order.Operation) (n int, sum int64) {
	w.Helper()
	entries, err := w.server.Frame().Ledger(0, of)
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range entries {
		if e.Kind != simulator.EntryRequest && e.Kind != simulator.EntryNotification && e.Operation == op {
			n++
			sum += e.Amount
		}
	}
	return n, sum
}

// requests counts the requests of an operation, under any key.
func (w *world) requests(op order.Operation) int {
	w.Helper()
	entries, err := w.server.Frame().Ledger(0, "")
	if err != nil {
		w.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Kind == simulator.EntryRequest && e.Operation == op {
			n++
		}
	}
	return n
}

func (w *world) lookup(of order.ID, known ...string) reconcile.Observation {
	w.Helper()
	o, err := w.client.Lookup(context.Background(), w.subject(of, known...))
	if err != nil {
		w.Fatal(err)
	}
	return o
}

func (w *world) subject(of order.ID, known ...string) reconcile.Subject {
	return reconcile.Subject{Order: of, PlacedAt: newClock().Now(), Currency: "EUR", Known: known}
}

// only returns the single attempt of an observation.
func (w *world) only(o reconcile.Observation) reconcile.Attempt {
	w.Helper()
	if o.State != reconcile.Present || len(o.Payment.Attempts) != 1 {
		w.Fatalf("want one attempt, got %+v", o)
	}
	return o.Payment.Attempts[0]
}

func wantCode(t *testing.T, err error, code apierr.Code, reason string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want %s", code)
	}
	if got := apierr.CodeOf(err); got != code {
		t.Fatalf("got %s, want %s: %v", got, code, err)
	}
	if reason != "" && apierr.ReasonOf(err) != reason {
		t.Fatalf("got the reason %q, want %q: %v", apierr.ReasonOf(err), reason, err)
	}
	for _, secret := range []string{"_secret_", "sk_test_", "c1@example.com"} {
		if strings.Contains(err.Error(), secret) {
			t.Fatalf("the error tells a secret: %v", err)
		}
	}
}

func (w *world) edit(v map[string]any) {
	w.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		w.Fatal(err)
	}
	if err := w.server.Edit(raw); err != nil {
		w.Fatal(err)
	}
}

func (w *world) event(v map[string]any) {
	w.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		w.Fatal(err)
	}
	if err := w.server.Event(raw); err != nil {
		w.Fatal(err)
	}
}
