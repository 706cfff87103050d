package hubspot_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simcrm "github.com/trueup-orders/trueup/testsuite/simulator/crm"
)

func TestUpsertDeal_MakesItWithItsContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	r := dealRequest()
	r.Cart = "cart-1"
	contact, deal := w.must(contactRequest(), r)
	want := reconcile.Deal{ID: "50001", Cart: "cart-1", Stage: reconcile.DealWon, Revenue: 9980, Currency: "EUR"}
	if deal != want {
		t.Errorf("deal is %+v; want %+v", deal, want)
	}
	s := w.state("42")
	if len(s.Deals) != 1 || s.Deals[0].Properties["amount"] != "99.80" || s.Deals[0].Properties["dealname"] != "Order 42" {
		t.Fatalf("deals are %+v", s.Deals)
	}
	if tied := s.Deals[0].Tied; len(tied) != 1 || tied[0] != contact.Contact.ID {
		t.Errorf("deal is tied to %v; want %s", tied, contact.Contact.ID)
	}
}

func TestUpsertDeal_Currencies_AreExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for i, x := range []struct {
		amount order.Amount
		text   string
	}{
		{order.Amount{Minor: 500, Currency: "JPY"}, "500"},
		{order.Amount{Minor: 1250, Currency: "KWD"}, "1.250"},
		{order.Amount{Minor: 999_999_999_999, Currency: "EUR"}, "9999999999.99"},
		{order.Amount{Minor: -5, Currency: "USD"}, "-0.05"}, // refunded more than captured: not for us to judge
		{order.Amount{Minor: 0, Currency: "EUR"}, "0.00"},
	} {
		r := dealRequest()
		r.Order, r.Revenue = order.ID(fmt.Sprint("o", i)), x.amount
		d, err := w.book.UpsertDeal(t.Context(), r)
		if err != nil || d.Revenue != x.amount.Minor || d.Currency != x.amount.Currency {
			t.Errorf("deal is %+v, %v; want %v", d, err, x.amount)
		}
		if got := w.state(r.Order).Deals[0].Properties["amount"]; got != x.text {
			t.Errorf("amount is %q; want %q", got, x.text)
		}
	}
}

func TestUpsertDeal_ChangesOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{MoreStages: []string{"negotiation"}}})
	_, deal := w.must(contactRequest(), dealRequest())
	r := dealRequest()
	r.Contact = w.state("42").Contacts[0].ID
	for range 2 {
		if _, err := w.book.UpsertDeal(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.count("deal changed"); n != 0 {
		t.Errorf("%d changes of a deal that was right", n)
	}
	r.Revenue.Minor, r.Stage = 7480, reconcile.DealOpen
	got, err := w.book.UpsertDeal(t.Context(), r)
	if err != nil || got.ID != deal.ID || got.Revenue != 7480 || got.Stage != reconcile.DealOpen {
		t.Errorf("deal is %+v, %v", got, err)
	}
	w.edit(`{"order": "42", "stage": "negotiation", "properties": {"dealname": "the big one"}}`)
	if _, err := w.book.UpsertDeal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	p := w.state("42").Deals[0].Properties
	if p["dealstage"] != "negotiation" || p["dealname"] != "the big one" {
		t.Errorf("properties are %v: an open deal that a person moved along is still open", p)
	}
	w.edit(`{"order": "42", "currency": "USD", "stage": "lost"}`)
	if got, err := w.book.UpsertDeal(t.Context(), r); err != nil || got.Currency != "EUR" || got.Stage != reconcile.DealOpen {
		t.Errorf("deal is %+v, %v", got, err)
	}
}

func TestUpsertDeal_MadeByHandWithoutContact_IsTied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.edit(`{"order": "42", "stage": "won", "revenue": 9980}`)
	contact, deal := w.must(contactRequest(), dealRequest())
	if deal.ID != "50001" || w.count("deal created") != 0 {
		t.Errorf("deal is %+v; want the one that was there", deal)
	}
	if tied := w.state("42").Deals[0].Tied; len(tied) != 1 || tied[0] != contact.Contact.ID {
		t.Errorf("deal is tied to %v", tied)
	}
}

func TestUpsertDeal_ConcurrentRepeat_OneDeal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	c, err := w.book.UpsertContact(t.Context(), contactRequest())
	if err != nil {
		t.Fatal(err)
	}
	r := dealRequest()
	r.Contact = c.Contact.ID
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if d, err := w.book.UpsertDeal(t.Context(), r); err != nil || d.ID != "50001" {
				t.Errorf("deal is %+v, %v", d, err)
			}
		})
	}
	all.Wait()
	if w.count("deal created") != 1 || w.count("deal changed") != 0 {
		t.Errorf("effects are %v", w.effects())
	}
}

func TestUpsertDeal_AnswerNotGiven_RepeatHasOneEffect(t *testing.T) {
	t.Parallel()
	for kind, code := range map[simulator.FaultKind]apierr.Code{
		simulator.ResponseLost: apierr.InDoubt, simulator.ResponseError: apierr.InDoubt, simulator.Garbage: apierr.InDoubt,
		simulator.Unavailable: apierr.InDoubt, simulator.Foreign: apierr.InDoubt, simulator.Vanishes: apierr.InDoubt,
		simulator.RateLimited: apierr.RateLimited, simulator.Rejected: apierr.Invalid, simulator.Unauthorized: apierr.Unauthorized,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			w.inject("upsert", kind, func(f *simulator.Fault) { f.Order = "42" })
			_, err := w.book.UpsertDeal(t.Context(), dealRequest())
			wantCode(t, err, code)
			d, err := w.book.UpsertDeal(t.Context(), dealRequest())
			if err != nil || d.Revenue != 9980 {
				t.Fatalf("deal is %+v, %v", d, err)
			}
			if got := w.state("42").Deals; len(got) != 1 {
				t.Errorf("deals are %+v", got)
			}
			if n := w.count("deal created"); n != 1 && kind != simulator.Vanishes {
				t.Errorf("%d deals were made", n)
			}
			w.fired()
		})
	}
}

func TestUpsertDeal_ChangeWithoutAnswer_Repeats(t *testing.T) {
	t.Parallel()
	for _, kind := range []simulator.FaultKind{simulator.ResponseLost, simulator.ResponseError, simulator.Garbage, simulator.Unavailable, simulator.Foreign, simulator.Twice} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			w.must(contactRequest(), dealRequest())
			r := dealRequest()
			r.Revenue.Minor, r.Stage = 0, reconcile.DealLost
			w.inject("upsert", kind)
			if _, err := w.book.UpsertDeal(t.Context(), r); kind != simulator.Twice {
				wantCode(t, err, apierr.InDoubt)
			}
			d, err := w.book.UpsertDeal(t.Context(), r)
			if err != nil || d.Revenue != 0 || d.Stage != reconcile.DealLost {
				t.Errorf("deal is %+v, %v", d, err)
			}
			if n := w.count("deal changed"); n != 1 {
				t.Errorf("%d changes; want 1", n)
			}
			w.fired()
		})
	}
}

func TestUpsertDeal_DeliveredTwice_OneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.inject("upsert", simulator.Twice)
	if _, err := w.book.UpsertDeal(t.Context(), dealRequest()); err != nil {
		t.Fatal(err)
	}
	if got := w.effects(); len(got) != 1 {
		t.Errorf("effects are %v; want one", got)
	}
	w.fired()
}

func TestUpsertDeal_LandsAfterTheRepeat_OneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.inject("upsert", simulator.Late, func(f *simulator.Fault) { f.Delay = time.Minute })
	_, err := w.book.UpsertDeal(w.givesUp(), dealRequest())
	wantCode(t, err, apierr.InDoubt)
	r := dealRequest()
	r.Revenue.Minor = 100 // what is true by the time of the repeat
	if _, err := w.book.UpsertDeal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	w.waitLate()
	w.clock.pass(2 * time.Minute)
	if got := w.state("42").Deals; len(got) != 1 || got[0].Revenue != 100 {
		t.Errorf("deals are %+v: a late create must not change what is there", got)
	}
	w.fired()
}

// The wrong amount is read back, so that whoever compares sees it.
func TestUpsertDeal_Partial_IsReadBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.inject("upsert", simulator.Partial)
	d, err := w.book.UpsertDeal(t.Context(), dealRequest())
	if err != nil || d.Revenue != 4990 {
		t.Errorf("deal is %+v, %v; want what HubSpot holds", d, err)
	}
	if d, err = w.book.UpsertDeal(t.Context(), dealRequest()); err != nil || d.Revenue != 9980 {
		t.Errorf("deal is %+v, %v", d, err)
	}
	w.fired()
}

func TestUpsertDeal_NonsenseRequests_Invalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for name, change := range map[string]func(*crm.DealRequest){
		"order":    func(r *crm.DealRequest) { r.Order = "a/b" },
		"currency": func(r *crm.DealRequest) { r.Revenue.Currency = "XXX" },
		"stage":    func(r *crm.DealRequest) { r.Stage = reconcile.DealAbandoned },
		"contact":  func(r *crm.DealRequest) { r.Contact = "../1" },
	} {
		r := dealRequest()
		change(&r)
		_, err := w.book.UpsertDeal(t.Context(), r)
		wantCode(t, err, apierr.Invalid)
		if err != nil && !strings.Contains(err.Error(), name) && name != "currency" {
			t.Errorf("error %q does not name the %s", err, name)
		}
	}
	if got := w.effects(); len(got) != 0 {
		t.Errorf("effects are %v", got)
	}
}

// A wrong stage in the settings is said at the first write, with HubSpot's code.
func TestUpsertDeal_UnknownStage_SaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{WonStage: "another"}})
	_, err := w.book.UpsertDeal(t.Context(), dealRequest())
	wantCode(t, err, apierr.Invalid)
	if apierr.ReasonOf(err) != "INVALID_OPTION" {
		t.Errorf("reason is %q", apierr.ReasonOf(err))
	}
}

// A person deletes the record between our look and our write.
func TestUpsert_DeletedMeanwhile_MadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, carts(simcrm.Cart{Cart: "k1", Customer: "c9"}))
	w.must(contactRequest(), dealRequest())
	meanwhile := func(edit string) {
		once := func() {
			w.arrived.Store(nil)
			w.edit(edit)
		}
		w.arrived.Store(&once)
	}
	meanwhile(`{"order": "42", "delete": "deal"}`)
	r := dealRequest()
	r.Revenue.Minor = 1
	if d, err := w.book.UpsertDeal(t.Context(), r); err != nil || d.Revenue != 1 || len(w.state("42").Deals) != 1 {
		t.Errorf("deal is %+v, %v", d, err)
	}
	w.edit(`{"customer": "c1", "phone": ""}`)
	meanwhile(`{"customer": "c1", "delete": "contact"}`)
	if c, err := w.book.UpsertContact(t.Context(), contactRequest()); err != nil || c.Contact.Phone == "" {
		t.Errorf("contact is %+v, %v", c, err)
	}
	r.Contact = "777" // a contact that is not there any more
	_, err := w.book.UpsertDeal(t.Context(), r)
	wantCode(t, err, apierr.Conflict)
}

// Revenue is what was captured and not refunded; a deal that was won stays won
// when all of it is given back.
func TestUpsertDeal_Refunds_RevenueFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, deal := w.must(contactRequest(), dealRequest())
	for _, revenue := range []int64{7480, 7480, 0, 0} { // each told twice
		r := dealRequest()
		r.Revenue.Minor = revenue
		if d, err := w.book.UpsertDeal(t.Context(), r); err != nil || d.ID != deal.ID || d.Revenue != revenue || d.Stage != reconcile.DealWon {
			t.Errorf("deal is %+v, %v; want %d", d, err, revenue)
		}
		if s := w.state("42").Deals; len(s) != 1 || s[0].Revenue != revenue || s[0].Stage != "won" {
			t.Errorf("deals are %+v; want %d, won", s, revenue)
		}
	}
	if n := w.count("deal changed"); n != 2 {
		t.Errorf("%d changes; want 2", n)
	}
}

// The deal is the order's, and so is its stage: whatever a person made of it, the
// next upsert says what is true, on the same deal, and touches nothing else.
func TestUpsertDeal_MovedByAPerson_IsMovedBack(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"lost", "open", "abandoned", "negotiation"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{settings: simcrm.Settings{MoreStages: []string{"negotiation"}}})
			_, deal := w.must(contactRequest(), dealRequest())
			w.edit(`{"order": "42", "stage": "` + stage + `", "properties": {"dealname": "the big one"}}`)
			seen := w.lookup(subject()).CRM
			if len(seen.Deals) != 1 || seen.Deals[0].Stage == reconcile.DealWon || len(seen.Carts) != 0 {
				t.Errorf("crm is %+v; want a deal that is not won, and no cart", seen)
			}
			if got := w.closeCarts(subject()); len(got) != 0 {
				t.Errorf("closed %+v: an order's deal is no cart", got)
			}
			_, again := w.must(contactRequest(), dealRequest())
			if again != deal {
				t.Errorf("deal is %+v; want %+v", again, deal)
			}
			if p := w.state("42").Deals[0].Properties; p["dealname"] != "the big one" || p["dealstage"] != w.config.WonStage {
				t.Errorf("properties are %v", p)
			}
			if n := w.count("deal created"); n != 1 {
				t.Errorf("%d deals were made; want 1", n)
			}
		})
	}
}

// A person deletes the deal: it is missing, and made again under the same order.
func TestUpsertDeal_Deleted_MadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	contact, deal := w.must(contactRequest(), dealRequest())
	w.edit(`{"order": "42", "delete": "deal"}`)
	if o := w.lookup(subject()); o.State != reconcile.Present || len(o.CRM.Deals) != 0 {
		t.Errorf("observation is %+v; want the contact alone", o.CRM)
	}
	r := dealRequest()
	r.Revenue.Minor = 7480
	_, again := w.must(contactRequest(), r)
	s := w.state("42").Deals
	if again.ID == deal.ID || again.Revenue != 7480 || len(s) != 1 || s[0].ID != again.ID || s[0].Tied[0] != contact.Contact.ID {
		t.Errorf("deal is %+v, deals are %+v", again, s)
	}
}

// What is to be left stays as a person made it, the rest is written, and a deal that is
// not there is made whole.
func TestUpsertDeal_Leave_StaysAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	r := dealRequest()
	r.Leave = []reconcile.Field{reconcile.CRMDeal, reconcile.CRMRevenue}
	if _, d := w.must(contactRequest(), r); d.Stage != r.Stage || d.Revenue != r.Revenue.Minor {
		t.Errorf("made is %+v", d)
	}
	for leave, want := range map[reconcile.Field]reconcile.Deal{
		reconcile.CRMDeal:    {Stage: reconcile.DealLost, Revenue: r.Revenue.Minor, Currency: "EUR"},
		reconcile.CRMRevenue: {Stage: r.Stage, Revenue: 1, Currency: "USD"},
	} {
		w.edit(`{"order":"42","stage":"lost","revenue":1,"currency":"USD"}`)
		r.Leave = []reconcile.Field{leave}
		d, err := w.book.UpsertDeal(t.Context(), r)
		if err != nil || d.Stage != want.Stage || d.Revenue != want.Revenue || d.Currency != want.Currency {
			t.Errorf("with %s left: %+v, %v; want %+v", leave, d, err, want)
		}
	}
}
