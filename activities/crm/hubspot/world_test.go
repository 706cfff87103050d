package hubspot_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simcrm "github.com/trueup-orders/trueup/testsuite/simulator/crm"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is moved by hand; what is due runs in order.
type clock struct {
	mu  sync.Mutex
	now time.Time
	due []alarm
	set chan struct{} // gets one for each alarm
}

type alarm struct {
	at time.Time
	f  func()
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration, _ string, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due = append(c.due, alarm{c.now.Add(d), f})
	select {
	case c.set <- struct{}{}:
	default: // nobody is waiting
	}
}

// pass lets time pass.
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	end := c.now.Add(d)
	for {
		sort.SliceStable(c.due, func(i, j int) bool { return c.due[i].at.Before(c.due[j].at) })
		if len(c.due) == 0 || c.due[0].at.After(end) {
			break
		}
		next := c.due[0]
		c.due = c.due[1:]
		c.now = next.at
		c.mu.Unlock()
		next.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

// world is a simulated HubSpot behind a real listener, and the adapter.
type world struct {
	t       testing.TB
	clock   *clock
	crm     *simcrm.Server
	book    *hubspot.Client
	watched *watched
	config  hubspot.Config
	arrived atomic.Pointer[func()] // called when a write has reached HubSpot
}

type options struct {
	bare     bool
	settings simcrm.Settings
	endpoint string
	secret   string
}

func newWorld(t testing.TB, o options) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: start, set: make(chan struct{}, 1)}}
	o.settings.Bare = o.bare
	s, err := simcrm.New(simulator.Options{Clock: w.clock, Endpoint: o.endpoint, Secret: o.secret}, o.settings)
	if err != nil {
		t.Fatal(err)
	}
	w.crm = s
	handler := s.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = simulator.ReadBody(r) // a server notices that a client gave up only when all was read
		if f := w.arrived.Load(); f != nil && r.Header.Get("User-Agent") == "trueup (upsert)" {
			(*f)()
		}
		handler.ServeHTTP(rw, r)
	}))
	w.watched = &watched{t: t, next: http.DefaultTransport, seen: map[string]int{}}
	w.config = hubspot.Config{
		BaseURL: server.URL, Token: "pat-simulated", Channel: "web", Pipeline: "default", OpenStage: "checkoutpending",
		WonStage: "closedwon", LostStage: "closedlost", AbandonedStage: "abandonedcart",
		Now: w.clock.Now, Transport: w.watched,
	}
	if w.book, err = hubspot.New(w.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		_ = s.Frame().Close()
	})
	return w
}

func (w *world) run(f func(ctx context.Context, w *world)) { f(w.t.Context(), w) }

func (w *world) inject(operation order.Operation, kind simulator.FaultKind, change ...func(*simulator.Fault)) {
	w.t.Helper()
	f := simulator.Fault{Operation: operation, Kind: kind}
	for _, c := range change {
		c(&f)
	}
	if _, err := w.crm.Frame().Inject(f); err != nil {
		w.t.Fatal(err)
	}
}

// fired fails the test when a fault never hit anything.
func (w *world) fired() {
	w.t.Helper()
	for _, f := range w.crm.Frame().Faults() {
		if f.Fired == 0 {
			w.t.Errorf("fault %s of %s never fired", f.Kind, f.Operation)
		}
	}
}

// givesUp returns a context that ends when a write has reached HubSpot.
func (w *world) givesUp() context.Context {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(cancel)
	once := func() {
		w.arrived.Store(nil)
		cancel()
	}
	w.arrived.Store(&once)
	return ctx
}

// effects returns the details of the effects that the ledger tells of.
func (w *world) effects() []string {
	w.t.Helper()
	entries, err := w.crm.Frame().Ledger(0, "")
	if err != nil {
		w.t.Fatal(err)
	}
	var details []string
	for _, e := range entries {
		if e.Kind == simulator.EntryEffect {
			details = append(details, e.Detail)
		}
	}
	return details
}

// count returns how many effects begin with these words.
func (w *world) count(prefix string) int {
	w.t.Helper()
	n := 0
	for _, d := range w.effects() {
		if strings.HasPrefix(d, prefix) {
			n++
		}
	}
	return n
}

func (w *world) state(of order.ID) simcrm.State {
	w.t.Helper()
	s, err := w.crm.Read(of)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) edit(json string) {
	w.t.Helper()
	if err := w.crm.Edit([]byte(json)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) lookup(s reconcile.Subject) reconcile.Observation {
	w.t.Helper()
	o, err := w.book.Lookup(w.t.Context(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// must upserts contact and deal, which nothing keeps from working.
func (w *world) must(c crm.ContactRequest, d crm.DealRequest) (crm.ContactResult, reconcile.Deal) {
	w.t.Helper()
	contact, err := w.book.UpsertContact(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	d.Contact = contact.Contact.ID
	deal, err := w.book.UpsertDeal(w.t.Context(), d)
	if err != nil {
		w.t.Fatal(err)
	}
	return contact, deal
}

func contactRequest() crm.ContactRequest {
	return crm.ContactRequest{
		Order:    "42",
		Customer: order.Customer{ID: "c1", Email: "c1@example.com", Name: "Ada King Lovelace", Phone: "+49 30 1"},
		ShipTo:   order.Address{Street: "Unter den Linden 1", City: "Berlin", PostalCode: "10117", Country: "DE"},
	}
}

func dealRequest() crm.DealRequest {
	return crm.DealRequest{Order: "42", Stage: reconcile.DealWon, Revenue: order.Amount{Minor: 9980, Currency: "EUR"}}
}

func subject() reconcile.Subject {
	return reconcile.Subject{Order: "42", PlacedAt: start, Customer: "c1", Email: "c1@example.com", Currency: "EUR"}
}

func wantCode(t testing.TB, err error, code apierr.Code) {
	t.Helper()
	if err == nil || apierr.CodeOf(err) != code {
		t.Errorf("error is %v; want code %s", err, code)
	}
}

// everything makes every call that the adapter can make.
func everything(ctx context.Context, w *world) {
	w.t.Helper()
	if err := w.book.EnsureProperties(ctx); err != nil {
		w.t.Fatal(err)
	}
	c, d := w.must(contactRequest(), dealRequest())
	if err := w.crm.AddCart(simcrm.Cart{Cart: "cart-9", Customer: "c1"}); err != nil {
		w.t.Fatal(err)
	}
	r := dealRequest()
	r.Revenue.Minor = 5000
	w.must(contactRequest(), r)
	if _, err := w.book.CloseCarts(ctx, subject()); err != nil {
		w.t.Fatal(err)
	}
	w.edit(`{"order": "43", "stage": "open"}`)
	r.Order = "43"
	w.must(contactRequest(), r)
	w.lookup(subject())
	w.clock.pass(time.Minute)
	if _, err := w.book.List(ctx, reconcile.ListRequest{By: reconcile.ListChanged, From: start, To: w.clock.Now()}); err != nil {
		w.t.Fatal(err)
	}
	for _, e := range []hubspot.Event{{Type: "deal.deletion", ObjectID: d.ID}, {Type: "contact.creation", ObjectID: c.Contact.ID}} {
		if _, err := w.book.OrdersOf(ctx, e); err != nil {
			w.t.Fatal(err)
		}
	}
}
