package hubspot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simcrm "github.com/trueup-orders/trueup/testsuite/simulator/crm"
)

func carts(all ...simcrm.Cart) options {
	return options{settings: simcrm.Settings{Carts: all}}
}

func (w *world) closeCarts(s reconcile.Subject) []reconcile.Deal {
	w.t.Helper()
	closed, err := w.book.CloseCarts(w.t.Context(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return closed
}

func TestCloseCarts_ByCartID_OnlyThatOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, carts(simcrm.Cart{Cart: "k1", Customer: "c1", Revenue: 500}, simcrm.Cart{Cart: "k2", Customer: "c1"}))
	s := subject()
	s.Cart = "k1"
	want := reconcile.Deal{ID: "50001", Cart: "k1", Stage: reconcile.DealLost, Revenue: 500, Currency: "EUR"}
	for range 2 { // a repeat finds it closed and changes nothing
		if got := w.closeCarts(s); len(got) != 1 || got[0] != want {
			t.Errorf("closed %+v; want %+v", got, want)
		}
	}
	if got := w.effects(); len(got) != 1 {
		t.Errorf("effects are %v; want one", got)
	}
	if got := w.state("").Carts; len(got) != 1 || got[0].Properties["trueup_cart_id"] != "k2" {
		t.Errorf("open carts are %+v; want k2, which is another cart", got)
	}
}

func TestCloseCarts_ByCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, carts(simcrm.Cart{Customer: "c1"}, simcrm.Cart{Customer: "c1", Cart: "k2"}, simcrm.Cart{Customer: "c2"}))
	if got := w.closeCarts(subject()); len(got) != 2 {
		t.Errorf("closed %+v; want both of c1", got)
	}
	if got := w.closeCarts(subject()); len(got) != 0 {
		t.Errorf("closed %+v again", got)
	}
	if got := w.state("").Carts; len(got) != 1 {
		t.Errorf("open carts are %+v; want that of c2", got)
	}
}

func TestCloseCarts_ByEmail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, carts(simcrm.Cart{Email: "c1@example.com"}))
	if got := w.closeCarts(subject()); len(got) != 1 || got[0].Stage != reconcile.DealLost {
		t.Errorf("closed %+v; want the one of the e-mail", got)
	}
}

// Carts of another customer who has our e-mail, and carts begun after the order,
// are not this order's.
func TestCloseCarts_OthersCarts_Stay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{
		Contacts: []simcrm.Contact{{Customer: "c2", Email: "c1@example.com"}, {Customer: "c1"}},
		Carts:    []simcrm.Cart{{Customer: "c2"}},
	}})
	w.clock.pass(48 * time.Hour)
	if err := w.crm.AddCart(simcrm.Cart{Customer: "c1"}); err != nil {
		t.Fatal(err)
	}
	if got := w.closeCarts(subject()); len(got) != 0 {
		t.Errorf("closed %+v", got)
	}
	if o := w.lookup(subject()); len(o.CRM.Carts) != 0 {
		t.Errorf("carts are %+v; a look-up and a close must mean the same carts", o.CRM.Carts)
	}
	w.must(contactRequest(), dealRequest())
	if got := w.closeCarts(subject()); len(got) != 0 {
		t.Errorf("closed %+v: an order's deal is no cart", got)
	}
}

func TestCloseCarts_SoldByHand_Stays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, carts(simcrm.Cart{Cart: "k1", Customer: "c1"}))
	if _, err := w.crm.Customer("c1", ""); err != nil {
		t.Fatal(err)
	}
	w.edit(`{"customer": "c1", "carts_abandoned": 0}`)
	w.edit(`{"customer": "c1", "carts_abandoned": 1}`)
	s := subject()
	s.Cart = "k1"
	if got := w.closeCarts(s); len(got) != 1 || got[0].ID != "50001" {
		t.Errorf("closed %+v; want the cart of the id, closed by hand", got)
	}
	if got := w.effects(); len(got) != 0 {
		t.Errorf("effects are %v", got)
	}
}

func TestCloseCarts_AnswerNotGiven_Repeats(t *testing.T) {
	t.Parallel()
	for _, kind := range []simulator.FaultKind{
		simulator.ResponseLost, simulator.ResponseError, simulator.Garbage, simulator.Unavailable, simulator.Twice, simulator.Foreign,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, carts(simcrm.Cart{Cart: "k1", Customer: "c1"}))
			s := subject()
			s.Cart = "k1"
			w.inject("upsert", kind)
			if _, err := w.book.CloseCarts(t.Context(), s); kind != simulator.Twice {
				wantCode(t, err, apierr.InDoubt)
				if err != nil && !strings.HasPrefix(err.Error(), "close the abandoned carts of order 42: hubspot: ") {
					t.Errorf("error is %q", err)
				}
			}
			if got := w.closeCarts(s); len(got) != 1 || got[0].Stage != reconcile.DealLost {
				t.Errorf("closed %+v", got)
			}
			if got := w.effects(); len(got) != 1 {
				t.Errorf("effects are %v; want one", got)
			}
			w.fired()
		})
	}
}

// A customer with more deals than one page of associations and one batch hold.
func TestCloseCarts_ManyDeals(t *testing.T) {
	t.Parallel()
	var many []simcrm.Cart
	for range 620 {
		many = append(many, simcrm.Cart{Customer: "c1"})
	}
	w := newWorld(t, carts(many...))
	if o := w.lookup(subject()); len(o.CRM.Carts) != 620 {
		t.Errorf("%d carts; want 620", len(o.CRM.Carts))
	}
}

// The order's cart is not known at HubSpot: one without an id may be it, one
// with another id is not.
func TestCloseCarts_UnknownCartID_SparesCartsWithAnotherID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, carts(simcrm.Cart{Cart: "k2", Customer: "c1"}, simcrm.Cart{Customer: "c1"}))
	s := subject()
	s.Cart = "k1"
	if got := w.closeCarts(s); len(got) != 1 || got[0].Cart != "" {
		t.Errorf("closed %+v; want the one without an id", got)
	}
}

// The customer began as a guest and became a customer at the checkout, who has
// another e-mail in the CRM and a cart of their own: both carts are theirs.
func TestCloseCarts_GuestBecameCustomer_BothAreClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{
		Contacts: []simcrm.Contact{{Customer: "c1", Email: "ada@private.example"}, {Customer: "c2", Email: "c2@example.com"}},
		Carts:    []simcrm.Cart{{Customer: "c1"}, {Email: "c1@example.com"}, {Customer: "c2"}},
	}})
	if o := w.lookup(subject()); len(o.CRM.Carts) != 2 {
		t.Errorf("carts are %+v; want both", o.CRM.Carts)
	}
	if got := w.closeCarts(subject()); len(got) != 2 {
		t.Errorf("closed %+v; want both", got)
	}
	if got := w.state("").Carts; len(got) != 1 {
		t.Errorf("open carts are %+v; want that of c2", got)
	}
}

// The guest's contact is adopted with its cart.
func TestCloseCarts_OfAnAdoptedContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, carts(simcrm.Cart{Email: "c1@example.com"}))
	contact, _ := w.must(contactRequest(), dealRequest())
	if got := w.closeCarts(subject()); len(got) != 1 || contact.Contact.ID != "1001" {
		t.Errorf("closed %+v of contact %+v", got, contact)
	}
}

// A shop announces a cart as abandoned an hour after it was, when its order is
// won already: the next look sees it, and the next upsert closes it.
func TestCloseCarts_AnnouncedAfterTheOrderWasWon_IsClosed(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		cart  simcrm.Cart
		after time.Duration
		open  int
	}{
		"by cart id, however late": {simcrm.Cart{Cart: "k1", Customer: "c1"}, 72 * time.Hour, 0},
		"by customer":              {simcrm.Cart{Customer: "c1"}, time.Hour, 0},
		"by e-mail":                {simcrm.Cart{Email: "c1@example.com"}, time.Hour, 0},
		"at the end of the window": {simcrm.Cart{Customer: "c1"}, 24 * time.Hour, 0},
		"the customer's next cart": {simcrm.Cart{Customer: "c1"}, 24*time.Hour + time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			s := subject()
			s.Cart = "k1"
			w.must(contactRequest(), dealRequest())
			if got := w.closeCarts(s); len(got) != 0 {
				t.Errorf("closed %+v before there was any", got)
			}
			w.clock.pass(x.after)
			if err := w.crm.AddCart(x.cart); err != nil {
				t.Fatal(err)
			}
			if o := w.lookup(s); len(o.CRM.Carts) != 1-x.open {
				t.Errorf("carts are %+v; want %d", o.CRM.Carts, 1-x.open)
			}
			if got := w.closeCarts(s); len(got) != 1-x.open {
				t.Errorf("closed %+v; want %d", got, 1-x.open)
			}
			if got := w.state("").Carts; len(got) != x.open {
				t.Errorf("open carts are %+v; want %d", got, x.open)
			}
		})
	}
}

// Another order's deal that carries the cart's id is no cart, in whatever stage.
func TestCloseCarts_DealOfAnOrder_Stays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.edit(`{"order": "41", "stage": "abandoned", "properties": {"trueup_cart_id": "k1"}}`)
	s := subject()
	s.Cart = "k1"
	if got := w.closeCarts(s); len(got) != 0 || w.state("41").Deals[0].Stage != "abandoned" {
		t.Errorf("closed %+v", got)
	}
}

// The customer's contact was merged into another customer's, with its cart: that
// one's carts are not closed, but for the one that the order names.
func TestCloseCarts_MergedIntoAnotherCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{
		Contacts: []simcrm.Contact{{Customer: "c1", Email: "c1@example.com"}, {Customer: "c2", Email: "c2@example.com"}},
		Carts:    []simcrm.Cart{{Customer: "c1", Cart: "k1"}, {Customer: "c1"}, {Customer: "c2"}},
	}})
	w.edit(`{"customer": "c2", "merge": "c1"}`)
	if got := w.closeCarts(subject()); len(got) != 0 {
		t.Errorf("closed %+v of another customer", got)
	}
	s := subject()
	s.Cart = "k1"
	if got := w.closeCarts(s); len(got) != 1 || got[0].Cart != "k1" {
		t.Errorf("closed %+v; want the one that the order names", got)
	}
}
