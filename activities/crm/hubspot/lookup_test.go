package hubspot_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simcrm "github.com/trueup-orders/trueup/testsuite/simulator/crm"
)

func TestLookup_NothingThere_Absent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Email: "c1@example.com"}}}})
	o := w.lookup(subject())
	if o.State != reconcile.Absent || !o.Strong || o.CRM != nil || o.System != order.SystemCRM || o.Order != "42" || !o.At.Equal(start) {
		t.Errorf("observation is %+v", o)
	}
}

func TestLookup_ShowsContactDealAndCarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.must(contactRequest(), dealRequest())
	first := w.lookup(subject())
	if err := w.crm.AddCart(simcrm.Cart{Customer: "c1", Cart: "k9", Revenue: 100}); err != nil {
		t.Fatal(err)
	}
	o := w.lookup(subject())
	if o.State != reconcile.Present || len(o.CRM.Contacts) != 1 || len(o.CRM.Deals) != 1 || len(o.CRM.Carts) != 1 {
		t.Fatalf("observation is %+v", o.CRM)
	}
	if c := o.CRM.Carts[0]; c.Cart != "k9" || c.Stage != reconcile.DealAbandoned || c.Revenue != 100 {
		t.Errorf("cart is %+v", c)
	}
	if first.Version == o.Version || o.Version != w.lookup(subject()).Version {
		t.Error("the version changes when and only when something changed")
	}
}

func TestLookup_SeesEditsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{SearchLag: time.Hour}})
	w.must(contactRequest(), dealRequest())
	before := w.lookup(subject())
	w.edit(`{"order": "42", "revenue": 1, "won": 0, "email": "new@example.com", "opted_out": true}`)
	o := w.lookup(subject())
	if o.CRM.Deals[0].Revenue != 1 || o.CRM.Deals[0].Stage != reconcile.DealOpen || !o.CRM.Contacts[0].OptedOut || o.CRM.Contacts[0].Email != "new@example.com" {
		t.Errorf("crm is %+v", o.CRM)
	}
	if o.Version == before.Version {
		t.Error("the version did not change")
	}
}

func TestLookup_HandMadeAmounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.must(contactRequest(), dealRequest())
	for text, want := range map[string]int64{
		"99.8": 9980, "99.800": 9980, "": 0, "99.801": 9981, "-1.001": -101, "1E3": 100_000, "1.0E7": 1_000_000_000, "0.001": 1, "100": 10_000,
	} {
		w.edit(fmt.Sprintf(`{"order": "42", "properties": {"amount": %q}}`, text))
		if got := w.lookup(subject()).CRM.Deals[0].Revenue; got != want {
			t.Errorf("amount %q is %d; want %d", text, got, want)
		}
	}
	for _, text := range []string{"1e300", "NaN", "Inf", "0x1p4", "1E-99999"} {
		w.edit(fmt.Sprintf(`{"order": "42", "properties": {"amount": %q}}`, text))
		_, err := w.book.Lookup(t.Context(), subject())
		wantCode(t, err, apierr.Garbage)
	}
	if d, err := w.book.UpsertDeal(t.Context(), dealRequest()); err != nil || d.Revenue != 9980 {
		t.Errorf("deal is %+v, %v: what cannot be read can still be put right", d, err)
	}
}

func TestLookup_Faults(t *testing.T) {
	t.Parallel()
	for kind, code := range map[simulator.FaultKind]apierr.Code{
		simulator.Unavailable: apierr.Unavailable, simulator.Refused: apierr.Unavailable, simulator.ResponseLost: apierr.Unavailable,
		simulator.Garbage: apierr.Garbage, simulator.Foreign: apierr.Garbage, simulator.RateLimited: apierr.RateLimited, simulator.Unauthorized: apierr.Unauthorized,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			w.must(contactRequest(), dealRequest())
			w.inject("lookup", kind)
			if kind == simulator.Refused || kind == simulator.ResponseLost { // net/http repeats a GET by itself on a used connection
				w.inject("lookup", kind, func(f *simulator.Fault) { f.Times = 5 })
			}
			o, err := w.book.Lookup(t.Context(), subject())
			wantCode(t, err, code)
			if o.State != "" {
				t.Errorf("observation is %+v beside an error", o)
			}
			if kind == simulator.RateLimited {
				if e, ok := errors.AsType[*apierr.Error](err); !ok || e.After != time.Second {
					t.Errorf("wait is %v", err)
				}
			}
		})
	}
}

func TestLookup_Stale_IsWhatHubSpotSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.must(contactRequest(), dealRequest())
	w.lookup(subject())
	w.clock.pass(time.Minute)
	w.edit(`{"order": "42", "revenue": 1}`)
	w.inject("lookup", simulator.Stale, func(f *simulator.Fault) { f.Delay = time.Second; f.Times = -1 })
	if got := w.lookup(subject()).CRM.Deals[0].Revenue; got != 9980 {
		t.Errorf("revenue is %d; want the stale one", got)
	}
	w.fired()
}

// fill makes n deals of orders, a second apart.
func (w *world) fill(n int) {
	w.t.Helper()
	for i := range n {
		r := dealRequest()
		r.Order = order.ID(fmt.Sprint("o", i))
		if _, err := w.book.UpsertDeal(w.t.Context(), r); err != nil {
			w.t.Fatal(err)
		}
	}
}

// walk lists everything.
func (w *world) walk(r reconcile.ListRequest) (orders []order.ID, orphans []reconcile.Orphan, pages int) {
	w.t.Helper()
	for {
		p, err := w.book.List(w.t.Context(), r)
		if err != nil {
			w.t.Fatal(err)
		}
		pages++
		for _, o := range p.Observations {
			if o.Strong {
				w.t.Error("a listing is not strong")
			}
			orders = append(orders, o.Order)
		}
		orphans = append(orphans, p.Orphans...)
		if p.Next == "" {
			return orders, orphans, pages
		}
		if p.Next == r.Cursor {
			w.t.Fatal("the listing goes in a circle")
		}
		r.Cursor = p.Next
	}
}

func TestList_PagesBeyondWhereASearchEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{SearchResults: 10}})
	w.fill(25)
	w.clock.pass(time.Minute)
	orders, orphans, pages := w.walk(reconcile.ListRequest{By: reconcile.ListChanged, From: start, To: w.clock.Now(), Limit: 4})
	if len(orders) != 25 || len(orphans) != 0 || pages != 7 {
		t.Errorf("%d orders on %d pages, orphans %v", len(orders), pages, orphans)
	}
	seen := map[order.ID]bool{}
	for _, o := range orders {
		seen[o] = true
	}
	if len(seen) != 25 {
		t.Errorf("%d different orders", len(seen))
	}
}

// Ids grow a digit while they are walked: they are numbers and not texts.
func TestList_IDsAreNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	if err := w.crm.Frame().Update(statement(`INSERT INTO counters (name, n) VALUES ('deals', 99995)`)); err != nil {
		t.Fatal(err)
	}
	w.fill(9)
	w.clock.pass(time.Minute)
	if orders, _, pages := w.walk(reconcile.ListRequest{By: reconcile.ListCreated, From: start, To: w.clock.Now(), Limit: 3}); len(orders) != 9 || pages != 3 && pages != 4 {
		t.Errorf("%d orders on %d pages", len(orders), pages)
	}
}

func TestList_WindowAndLag(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.fill(1)
	list := func(by reconcile.Listing, from, to time.Duration) int {
		orders, _, _ := w.walk(reconcile.ListRequest{By: by, From: start.Add(from), To: start.Add(to)})
		return len(orders)
	}
	if n := list(reconcile.ListChanged, 0, time.Hour); n != 0 {
		t.Errorf("%d orders at once; a search lags behind", n)
	}
	w.clock.pass(5 * time.Second)
	if n := list(reconcile.ListChanged, 0, time.Hour); n != 1 {
		t.Errorf("%d orders after the lag", n)
	}
	w.clock.pass(time.Minute)
	w.edit(`{"order": "o0", "revenue": 5}`)
	w.clock.pass(time.Minute)
	for _, x := range []struct {
		by       reconcile.Listing
		from, to time.Duration
		want     int
	}{
		{reconcile.ListChanged, 0, time.Minute, 0},
		{reconcile.ListChanged, 65 * time.Second, 66 * time.Second, 1},
		{reconcile.ListChanged, 0, 65 * time.Second, 0}, // To is not in the window
		{reconcile.ListCreated, 0, time.Millisecond, 1},
		{reconcile.ListCreated, time.Millisecond, time.Hour, 0},
	} {
		if n := list(x.by, x.from, x.to); n != x.want {
			t.Errorf("%s %s to %s: %d orders; want %d", x.by, x.from, x.to, n, x.want)
		}
	}
}

func TestList_OrphansAndStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, carts(simcrm.Cart{Cart: "k1", Customer: "c1"}))
	w.fill(1)
	w.edit(`{"order": "o0", "properties": {"trueup_order_id": ""}}`)
	w.edit(`{"order": "not one of ours!", "stage": "won", "revenue": 5}`)
	w.edit(`{"order": "sold", "stage": "won", "properties": {"deal_currency_code": "XXX", "amount": "5"}}`)
	w.edit(`{"order": "stranger", "stage": "won"}`)
	w.edit(`{"order": "stranger", "properties": {"trueup_order_id": ""}}`)
	w.clock.pass(time.Minute)
	p, err := w.book.List(t.Context(), reconcile.ListRequest{By: reconcile.ListChanged, From: start, To: w.clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Orphans) != 2 || p.Orphans[0].Record != "50002" || p.Orphans[1].Record != "50003" || p.Orphans[0].Kind != "deal" {
		t.Errorf("orphans are %+v", p.Orphans)
	}
	if len(p.Observations) != 1 || p.Observations[0].State != reconcile.Unreadable || p.Observations[0].Why == "" {
		t.Errorf("observations are %+v: an amount that cannot be read is not absent", p.Observations)
	}
}

func TestList_Faults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.fill(3)
	w.clock.pass(time.Minute)
	r := reconcile.ListRequest{By: reconcile.ListChanged, From: start, To: w.clock.Now()}
	for kind, code := range map[simulator.FaultKind]apierr.Code{
		simulator.Unavailable: apierr.Unavailable, simulator.Garbage: apierr.Garbage, simulator.RateLimited: apierr.RateLimited,
		simulator.Unauthorized: apierr.Unauthorized, simulator.ResponseLost: apierr.Unavailable,
	} {
		w.inject("list", kind)
		_, err := w.book.List(t.Context(), r)
		wantCode(t, err, code)
		if err != nil && !strings.HasPrefix(err.Error(), "list deals by changed: hubspot: ") {
			t.Errorf("error is %q", err)
		}
	}
	for kind, want := range map[simulator.FaultKind]int{simulator.EmptyList: 0, simulator.NotListed: 2} {
		w.inject("list", kind)
		if p, err := w.book.List(t.Context(), r); err != nil || len(p.Observations) != want {
			t.Errorf("%s: page is %+v, %v", kind, p, err)
		}
	}
	w.inject("list", simulator.Foreign)
	if p, err := w.book.List(t.Context(), r); err != nil || len(p.Observations) != 1 || p.Observations[0].Order != "somebody-elses" {
		t.Errorf("foreign: page is %+v, %v", p, err)
	}
	w.fired()
	for name, bad := range map[string]reconcile.ListRequest{"by": {}, "cursor": {By: reconcile.ListChanged, Cursor: "x"}} {
		_, err := w.book.List(t.Context(), bad)
		if apierr.CodeOf(err) != apierr.Invalid {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestOrdersOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, carts(simcrm.Cart{Cart: "k1", Customer: "c1"}))
	c, d := w.must(contactRequest(), dealRequest())
	r := dealRequest()
	r.Order = "41"
	w.must(contactRequest(), r)
	find := func(kind, id string) string {
		t.Helper()
		orders, err := w.book.OrdersOf(t.Context(), hubspot.Event{Type: kind + ".propertyChange", ObjectID: id})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(orders)
	}
	for _, x := range []struct{ kind, id, want string }{
		{"deal", d.ID, "[42]"}, {"deal", "50001", "[41 42]"}, {"deal", "777", "[]"}, {"contact", "777", "[]"},
		{"contact", c.Contact.ID, "[41 42]"}, {"ticket", "1", "[]"},
	} {
		if got := find(x.kind, x.id); got != x.want {
			t.Errorf("%s %s: orders are %s; want %s", x.kind, x.id, got, x.want)
		}
	}
	w.closeCarts(subject())
	if got := find("deal", "50001"); got != "[]" {
		t.Errorf("orders of a cart that is closed are %s", got)
	}
	w.edit(`{"order": "42", "delete": "deal"}`)
	if got := find("deal", d.ID); got != "[42]" {
		t.Errorf("orders of a deleted deal are %s", got)
	}
	_, err := w.book.OrdersOf(t.Context(), hubspot.Event{Type: "deal.creation", ObjectID: "../1"})
	wantCode(t, err, apierr.Invalid)
	w.inject("lookup", simulator.Unavailable)
	_, err = w.book.OrdersOf(t.Context(), hubspot.Event{Type: "deal.creation", ObjectID: "1"})
	wantCode(t, err, apierr.Unavailable)
}

// After a merge every old id leads to the orders of the one that is left.
func TestOrdersOf_MergedContacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Email: "ada@work.example"}}}})
	w.must(contactRequest(), dealRequest())
	w.edit(`{"email": "ada@work.example", "merge": "c1"}`)
	for _, id := range []string{"1001", "1002", "1003"} {
		orders, err := w.book.OrdersOf(t.Context(), hubspot.Event{Type: "contact.merge", ObjectID: id})
		if err != nil || fmt.Sprint(orders) != "[42]" {
			t.Errorf("contact %s: orders are %v, %v", id, orders, err)
		}
	}
}

// A cart that is announced when the order is won already must be noticed; one
// that begins days later is the customer's next.
func TestOrdersOf_LateCart_TheOrdersItMayBelongTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.must(contactRequest(), dealRequest())
	w.clock.pass(24 * time.Hour)
	r := dealRequest()
	r.Order = "43"
	w.must(contactRequest(), r)
	other := contactRequest()
	other.Customer = order.Customer{ID: "c2", Email: "c2@example.com"}
	r.Order = "44"
	w.must(other, r)
	for _, x := range []struct {
		after time.Duration
		want  string
	}{{0, "[42 43]"}, {time.Minute, "[43]"}, {48 * time.Hour, "[]"}} {
		w.clock.pass(x.after)
		if err := w.crm.AddCart(simcrm.Cart{Customer: "c1"}); err != nil {
			t.Fatal(err)
		}
		s, err := w.crm.Customer("c1", "")
		if err != nil {
			t.Fatal(err)
		}
		cart := s.Carts[len(s.Carts)-1].ID
		orders, err := w.book.OrdersOf(t.Context(), hubspot.Event{Type: "deal.creation", ObjectID: cart})
		if err != nil || fmt.Sprint(orders) != x.want {
			t.Errorf("%s later: orders of the cart are %v, %v; want %s", x.after, orders, err, x.want)
		}
		w.inject("lookup", simulator.Unavailable, func(f *simulator.Fault) { f.Skip = 2 })
		_, err = w.book.OrdersOf(t.Context(), hubspot.Event{Type: "deal.creation", ObjectID: cart})
		wantCode(t, err, apierr.Unavailable)
	}
	w.fired()
}
