package stripe_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

func TestCapture_Less_ReleasesTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.authorize("42", total)
	a, err := w.client.Capture(context.Background(), capture("42", a.ID, 5000))
	if err != nil || a.State != reconcile.AttemptCaptured || a.Captured != 5000 || a.Held != 0 || a.Refunded != 0 || len(a.Refunds) != 0 {
		t.Fatalf("got %+v, %v", a, err)
	}
	if diff := cmp.Diff(a, w.only(w.lookup("42"))); diff != "" {
		t.Fatal(diff)
	}
	r, err := w.client.Refund(context.Background(), refund("42", a.ID, 5001))
	wantCode(t, err, apierr.Conflict, "")
	if r.ID != "" {
		t.Fatalf("got %+v", r)
	}
}

func TestCapture_More_IsConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.authorize("42", total)
	_, err := w.client.Capture(context.Background(), capture("42", a.ID, total+1))
	wantCode(t, err, apierr.Conflict, "amount_too_large")
}

func TestCapture_AnotherKey_IsConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.captured("42", total)
	r := capture("42", a.ID, total)
	r.Key = "order/42/capture/2"
	_, err := w.client.Capture(context.Background(), r)
	wantCode(t, err, apierr.Conflict, "payment_intent_unexpected_state")
}

func TestCapture_OfAnotherOrder_IsInDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.authorize("43", total)
	_, err := w.client.Capture(context.Background(), capture("42", a.ID, total))
	wantCode(t, err, apierr.InDoubt, "")
}

func TestVoid_AnotherKey_IsNoError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.authorize("42", total)
	for n := 1; n < 4; n++ {
		r := void("42", a.ID)
		r.Key = order.Intent{Order: "42", Operation: order.Void, N: n}.Key()
		got, err := w.client.Void(context.Background(), r)
		if err != nil || got.State != reconcile.AttemptVoided || got.Held != 0 || got.Refunded != 0 {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if n, _ := w.effects("42", order.Void); n != 1 {
		t.Fatalf("got %d effects", n)
	}
}

func TestVoid_Captured_IsConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.captured("42", total)
	got, err := w.client.Void(context.Background(), void("42", a.ID))
	wantCode(t, err, apierr.Conflict, "payment_intent_unexpected_state")
	if got.State != reconcile.AttemptCaptured {
		t.Fatalf("got %+v", got)
	}
}

func TestVoid_Open(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	got, _ := w.client.Authorize(context.Background(), authorization("42", total, "pm_card_chargeDeclined"))
	a, err := w.client.Void(context.Background(), void("42", got.Attempt.ID))
	if err != nil || a.State != reconcile.AttemptVoided {
		t.Fatalf("got %+v, %v", a, err)
	}
}

func TestRefund_Settles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{RefundSettles: 5 * time.Hour})
	a := w.captured("42", total)
	r, err := w.client.Refund(context.Background(), refund("42", a.ID, 2500))
	want := reconcile.Refund{ID: r.ID, Key: "order/42/refund/1", Amount: 2500, State: reconcile.RefundPending}
	if diff := cmp.Diff(want, r); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	w.clock.advance(6 * time.Hour)
	want.State = reconcile.RefundSucceeded
	if got := w.only(w.lookup("42")); got.Refunded != 2500 || len(got.Refunds) != 1 || got.Refunds[0] != want {
		t.Fatalf("got %+v", got)
	}
	// The repeat under the key shows the live refund.
	if r, err = w.client.Refund(context.Background(), refund("42", a.ID, 2500)); err != nil || r != want {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestRefund_Fails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{RefundSettles: time.Hour, RefundsFail: true})
	a := w.captured("42", total)
	if _, err := w.client.Refund(context.Background(), refund("42", a.ID, total)); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(2 * time.Hour)
	got := w.only(w.lookup("42"))
	if got.Refunded != 0 || len(got.Refunds) != 1 || got.Refunds[0].State != reconcile.RefundFailed {
		t.Fatalf("got %+v", got)
	}
	again := refund("42", a.ID, total)
	again.Key = "order/42/refund/2"
	if r, err := w.client.Refund(context.Background(), again); err != nil || r.State != reconcile.RefundPending {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestRefund_MoreThanIsLeft_IsConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.captured("42", total)
	if _, err := w.client.Refund(context.Background(), refund("42", a.ID, total)); err != nil {
		t.Fatal(err)
	}
	again := refund("42", a.ID, 1)
	again.Key = "order/42/refund/2"
	_, err := w.client.Refund(context.Background(), again)
	wantCode(t, err, apierr.Conflict, "charge_already_refunded")
}

func TestRefund_EqualOnes_AreTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.captured("42", total)
	for n := 1; n <= 2; n++ {
		r := refund("42", a.ID, 2500)
		r.Key = order.Intent{Order: "42", Operation: order.Refund, N: n}.Key()
		if _, err := w.client.Refund(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.only(w.lookup("42")); got.Refunded != 5000 || len(got.Refunds) != 2 || got.Refunds[0].Key != "order/42/refund/1" {
		t.Fatalf("got %+v", got)
	}
}

func TestRefund_ByHand_HasNoKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.captured("42", total)
	w.edit(map[string]any{"order": "42", "refunded": 1000})
	if got := w.only(w.lookup("42")); got.Refunded != 1000 || len(got.Refunds) != 1 || got.Refunds[0].Key != "" {
		t.Fatalf("got %+v", got)
	}
}

func TestLookup_Dispute(t *testing.T) {
	t.Parallel()
	for result, left := range map[string]struct{ disputed, lost int64 }{"won": {}, "lost": {total, total}} {
		w := newWorld(t, gateway.Settings{})
		a := w.captured("42", total)
		w.event(map[string]any{"type": "dispute.opened", "order": "42"})
		if got := w.only(w.lookup("42")); got.Disputed != total || got.Lost != 0 || got.Refunded != 0 {
			t.Fatalf("got %+v", got)
		}
		_, err := w.client.Refund(context.Background(), refund("42", a.ID, 100))
		wantCode(t, err, apierr.Conflict, "charge_disputed")
		w.event(map[string]any{"type": "dispute.closed", "order": "42", "status": result})
		if got := w.only(w.lookup("42")); got.Disputed != left.disputed || got.Lost != left.lost {
			t.Fatalf("%s: got %+v", result, got)
		}
	}
}

func TestLookup_Inquiry_WithdrawsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_createDisputeInquiry")
	r.Payment.Capture = order.CaptureAtOnce
	if _, err := w.client.Authorize(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if got := w.only(w.lookup("42")); got.Disputed != 0 {
		t.Fatalf("got %+v", got)
	}
}

func TestLookup_Review(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	got, err := w.client.Authorize(context.Background(), authorization("42", total, "pm_card_riskLevelElevated"))
	if err != nil || !got.Attempt.Review {
		t.Fatalf("got %+v, %v", got, err)
	}
	w.event(map[string]any{"type": "review.approved", "order": "42"})
	if a := w.only(w.lookup("42")); a.Review || a.State != reconcile.AttemptAuthorized {
		t.Fatalf("got %+v", a)
	}
	w.event(map[string]any{"type": "review.opened", "order": "42"})
	if a := w.only(w.lookup("42")); !a.Review {
		t.Fatalf("got %+v", a)
	}
	w.event(map[string]any{"type": "review.declined", "order": "42"})
	if a := w.only(w.lookup("42")); a.Review || a.State != reconcile.AttemptVoided {
		t.Fatalf("got %+v", a)
	}
}

func TestLookup_FindsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	for i := range 120 { // more than a page
		w.authorize(order.ID(fmt.Sprintf("other-%d", i)), 100)
		if i == 5 {
			w.authorize("42", total)
		}
	}
	o := w.lookup("42")
	if a := w.only(o); a.Amount != total || !o.Strong || o.At.IsZero() || o.Version == "" {
		t.Fatalf("got %+v", o)
	}
}

func TestLookup_TooManyRecords_IsNotAbsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	for i := range 101 {
		w.authorize(order.ID(fmt.Sprintf("other-%d", i)), 100)
	}
	w.clock.advance(2 * time.Minute)
	w.authorize("another", 100)
	short := w.newClient(func(c *stripe.Config) { c.LookupPages, c.RollPages = 1, 1 })
	for i := range 300 {
		w.authorize(order.ID(fmt.Sprintf("later-%d", i)), 100)
	}
	w.clock.advance(2 * time.Minute)
	_, err := short.Lookup(context.Background(), w.subject("42"))
	wantCode(t, err, apierr.Unavailable, "too_many_records")
}

// What lies further back than a look-up reads by itself is read once for all of
// them: neither many orders nor old ones make a look-up dear.
func TestLookup_FarBack_IsReadOnceForAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.authorize("42", total)
	w.authorize("43", total)
	subjects := []reconcile.Subject{w.subject("42"), w.subject("43"), w.subject("44")}
	for i := range 310 {
		if i%100 == 0 {
			w.clock.advance(time.Hour)
		}
		w.authorize(order.ID(fmt.Sprintf("other-%d", i)), 100)
	}
	w.clock.advance(time.Hour)
	client := w.newClient(func(c *stripe.Config) { c.LookupPages = 2 })
	for k, s := range subjects {
		before := w.requests("lookup")
		o, err := client.Lookup(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		want := reconcile.Present
		if s.Order == "44" {
			want = reconcile.Absent
		}
		if o.State != want || !o.Strong {
			t.Errorf("order %s is %s", s.Order, o.State)
		}
		// The pages that it reads by itself, and the attempt, or the account when there
		// is none.
		if n := w.requests("lookup") - before; k > 0 && n > 3 {
			t.Errorf("the look-up of order %s made %d calls", s.Order, n)
		}
	}
	// What is made since is seen by the very next look-up, also when it is much.
	for i := range 110 {
		w.authorize(order.ID(fmt.Sprintf("after-%d", i)), 100)
	}
	w.authorize("44", total)
	w.clock.advance(time.Hour)
	for i := range 210 {
		w.authorize(order.ID(fmt.Sprintf("much-later-%d", i)), 100)
	}
	w.clock.advance(time.Hour)
	found := func(subjects ...reconcile.Subject) {
		t.Helper()
		for _, s := range subjects {
			if o, err := client.Lookup(context.Background(), s); err != nil || len(attemptsOf(o)) != 1 {
				t.Errorf("order %s: %+v, %v", s.Order, o, err)
			}
		}
	}
	found(subjects...)
	w.authorize("45", total)
	for i := range 110 {
		w.authorize(order.ID(fmt.Sprintf("last-%d", i)), 100)
	}
	w.clock.advance(time.Hour)
	found(w.subject("45"))
}

// A checkout may write the order's reference on its PaymentIntent after the roll went
// past it. Whoever asks whether the checkout has paid is not told what was read before.
func TestLookup_NamedAfterTheRollWentPast_FoundAfresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	id, err := w.server.Start("42", gateway.Checkout{Amount: total, Currency: "eur", Method: "pm_card_visa", Capture: order.CaptureAtOnce, Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	more := func(what string) {
		w.clock.advance(time.Hour)
		for i := range 150 {
			w.authorize(order.ID(fmt.Sprintf("%s-%d", what, i)), 100)
		}
		w.clock.advance(time.Minute * 5)
	}
	client := w.newClient(func(c *stripe.Config) { c.LookupPages = 1 })
	afresh := func(of order.ID) reconcile.Observation {
		t.Helper()
		s := w.subject(of)
		s.Afresh = w.clock.Now()
		w.clock.advance(time.Second)
		o, err := client.Lookup(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	more("before")
	for range 2 {
		if o := afresh("42"); o.State != reconcile.Absent || !o.Strong {
			t.Fatalf("got %+v", o)
		}
	}
	w.name(id, "42")
	more("after")
	if a := w.only(afresh("42")); a.ID != id || a.Captured != total {
		t.Errorf("got %+v", a)
	}
	// Where every PaymentIntent that was read has a name nothing can get one.
	before := w.requests("lookup")
	if o := afresh("43"); o.State != reconcile.Absent {
		t.Errorf("got %+v", o)
	}
	if n := w.requests("lookup") - before; n > 3 {
		t.Errorf("a look-up made %d calls, though all have names", n)
	}
}

// Somebody may write another order's reference on a PaymentIntent that is on the roll: it is
// not the first one's any more, and neither can no longer be read.
func TestLookup_GivenToAnotherOrderAfterTheRollWentPast_IsThatOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	id := w.authorize("41", total).ID
	w.clock.advance(time.Hour)
	for i := range 150 {
		w.authorize(order.ID(fmt.Sprintf("more-%d", i)), 100)
	}
	w.clock.advance(5 * time.Minute)
	client := w.newClient(func(c *stripe.Config) { c.LookupPages = 1 })
	read := func(of order.ID, afresh bool) reconcile.Observation {
		t.Helper()
		s := w.subject(of)
		if afresh {
			s.Afresh = w.clock.Now()
		}
		o, err := client.Lookup(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if a := w.only(read("41", false)); a.ID != id {
		t.Fatalf("got %+v", a)
	}
	w.name(id, "42")
	w.clock.advance(time.Minute)
	for _, afresh := range []bool{false, true} {
		if o := read("41", afresh); o.State != reconcile.Absent {
			t.Errorf("afresh %t: it is another order's, and there is %+v", afresh, o)
		}
	}
	seen, err := client.LookupMany(context.Background(), []reconcile.Subject{w.subject("41"), w.subject("more-1")})
	if err != nil || seen[0].State != reconcile.Absent || seen[1].State != reconcile.Present {
		t.Errorf("got %+v, %v", seen, err)
	}
}

// An order that comes late has a window of many days, and what it takes to read them
// is its own affair: an order of today waits for none of it.
func TestLookup_AfreshWhileALateOrderIsLookedUp_ReadsItsOwnDayAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	late := w.subject("late")
	for i := range 600 {
		w.authorize(order.ID(fmt.Sprintf("old-%d", i)), 100)
	}
	w.clock.advance(13 * 24 * time.Hour)
	today := w.subject("today")
	today.PlacedAt = w.clock.Now()
	if _, err := w.server.Start("another", gateway.Checkout{Amount: total, Currency: "eur", Method: "pm_card_visa", Capture: order.CaptureAtOnce, Bare: true}); err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		w.authorize(order.ID(fmt.Sprintf("new-%d", i)), 100)
	}
	w.clock.advance(time.Hour)
	client := w.newClient(func(c *stripe.Config) { c.LookupPages, c.RollPages = 1, 2 })
	late.Afresh = w.clock.Now()
	_, err := client.Lookup(context.Background(), late) // it does not get there at once
	wantCode(t, err, apierr.Unavailable, "too_many_records")
	for range 2 {
		today.Afresh = w.clock.Now()
		w.clock.advance(time.Second)
		if o, err := client.Lookup(context.Background(), today); err != nil || o.State != reconcile.Absent || !o.Strong {
			t.Errorf("got %+v, %v", o, err)
		}
	}
}

// name writes an order's reference on a PaymentIntent, as a checkout does that knows it late.
func (w *world) name(id string, of order.ID) {
	w.Helper()
	r, err := http.NewRequest(http.MethodPost, w.url+"/v1/payment_intents/"+id, strings.NewReader(url.Values{"metadata[order_id]": {string(of)}}.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+gateway.DefaultAPIKey)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		w.Fatalf("name %s: %s", id, answer.Status)
	}
}

func attemptsOf(o reconcile.Observation) []reconcile.Attempt {
	if o.Payment == nil {
		return nil
	}
	return o.Payment.Attempts
}

func TestLookup_Absent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.authorize("43", total)
	o := w.lookup("42", "pi_00000000000999")
	if o.State != reconcile.Absent || !o.Strong || o.Payment != nil {
		t.Fatalf("got %+v", o)
	}
}

// With the key of another account everything would be absent.
func TestLookup_OtherAccount_IsNotAbsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{Account: "acct_other"})
	_, err := w.client.Lookup(context.Background(), w.subject("42"))
	wantCode(t, err, apierr.Garbage, "")
}

func TestLookup_KnownOfAnotherOrder_IsGarbage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.authorize("43", total)
	_, err := w.client.Lookup(context.Background(), w.subject("42", a.ID))
	wantCode(t, err, apierr.Garbage, "")
}

func TestLookup_Fault(t *testing.T) {
	t.Parallel()
	for kind, code := range map[simulator.FaultKind]apierr.Code{
		simulator.Refused: apierr.Unavailable, simulator.Unavailable: apierr.Unavailable, simulator.ResponseLost: apierr.Unavailable,
		simulator.ResponseError: apierr.Unavailable, simulator.RateLimited: apierr.RateLimited, simulator.Garbage: apierr.Garbage,
		simulator.Unauthorized: apierr.Unauthorized, simulator.Foreign: apierr.Garbage, simulator.Rejected: apierr.Invalid,
	} {
		for skip := range 3 { // the PaymentIntent, its refunds, the list
			w := newWorld(t, gateway.Settings{})
			a := w.captured("42", total)
			w.inject(simulator.Fault{Operation: "lookup", Kind: kind, Skip: skip})
			_, err := w.client.Lookup(context.Background(), w.subject("42", a.ID))
			if got := apierr.CodeOf(err); err == nil || got != code {
				t.Errorf("%s of request %d: got %v, want %s", kind, skip+1, err, code)
			}
			if got := w.only(w.lookup("42", a.ID)); got.Captured != total {
				t.Errorf("%s: got %+v", kind, got)
			}
		}
	}
}

func TestLookup_AfterTheKeyWindow_FindsTheLostAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.inject(simulator.Fault{Operation: order.Authorize, Kind: simulator.ResponseLost})
	_, err := w.client.Authorize(context.Background(), authorization("42", total, "pm_card_visa"))
	wantCode(t, err, apierr.InDoubt, "")
	w.clock.advance(30 * time.Hour)
	if a := w.only(w.lookup("42")); a.Key != "order/42/authorize/1" || a.Held != total {
		t.Fatalf("got %+v", a)
	}
}

func TestVanishes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.inject(simulator.Fault{Operation: order.Authorize, Kind: simulator.Vanishes})
	a := w.authorize("42", total)
	if o := w.lookup("42", a.ID); o.State != reconcile.Absent {
		t.Fatalf("got %+v", o)
	}
}

func TestPartial_IsToldAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.authorize("42", total)
	w.inject(simulator.Fault{Operation: order.Capture, Kind: simulator.Partial})
	a, err := w.client.Capture(context.Background(), capture("42", a.ID, total))
	if err != nil || a.Captured != total/2 {
		t.Fatalf("got %+v, %v", a, err)
	}
}

// list reads every page of a listing.
func (w *world) list(r reconcile.ListRequest) (pages []reconcile.Page) {
	w.Helper()
	for {
		p, err := w.client.List(context.Background(), r)
		if err != nil {
			w.Fatal(err)
		}
		pages = append(pages, p)
		if p.Next == "" {
			return pages
		}
		if len(pages) > 100 {
			w.Fatal("the listing has no end")
		}
		r.Cursor = p.Next
	}
}

func window(w *world, by reconcile.Listing) reconcile.ListRequest {
	return reconcile.ListRequest{By: by, From: newClock().Now(), To: w.clock.Now().Add(time.Second)}
}

func byOrder(pages []reconcile.Page) (attempts map[order.ID][]reconcile.Attempt, orphans []reconcile.Orphan) {
	attempts = map[order.ID][]reconcile.Attempt{}
	for _, p := range pages {
		for _, o := range p.Observations {
			attempts[o.Order] = append(attempts[o.Order], o.Payment.Attempts...)
		}
		orphans = append(orphans, p.Orphans...)
	}
	return attempts, orphans
}

func TestList_Created_Pages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	for i := range 25 {
		w.authorize(order.ID(fmt.Sprintf("o%d", i)), 100)
		w.clock.advance(time.Second)
	}
	r := window(w, reconcile.ListCreated)
	r.Limit = 10
	pages := w.list(r)
	attempts, orphans := byOrder(pages)
	if len(pages) != 3 || len(attempts) != 25 || len(orphans) != 0 {
		t.Fatalf("got %d pages, %d orders, %d orphans", len(pages), len(attempts), len(orphans))
	}
	if pages[0].Observations[0].Strong {
		t.Error("a listing is not strong")
	}
	// Windows that adjoin share nothing and lose nothing.
	middle := newClock().Now().Add(9500 * time.Millisecond)
	before, after := r, r
	before.To, after.From = middle, middle
	a, _ := byOrder(w.list(before))
	b, _ := byOrder(w.list(after))
	if len(a) != 10 || len(b) != 15 {
		t.Fatalf("got %d and %d orders, want 10 and 15", len(a), len(b))
	}
}

func TestList_ShowsWhatALookupShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.captured("42", total)
	if _, err := w.client.Refund(context.Background(), refund("42", a.ID, 2500)); err != nil {
		t.Fatal(err)
	}
	w.authorize("43", total)
	w.captured("44", 700)
	w.event(map[string]any{"type": "dispute.opened", "order": "44"})
	for _, by := range []reconcile.Listing{reconcile.ListCreated, reconcile.ListChanged} {
		attempts, _ := byOrder(w.list(window(w, by)))
		for _, of := range []order.ID{"42", "43", "44"} {
			want := w.only(w.lookup(of))
			if len(attempts[of]) != 1 {
				t.Fatalf("%s: got %d attempts of %s", by, len(attempts[of]), of)
			}
			got := attempts[of][0]
			if by == reconcile.ListChanged {
				got.HeldUntil = want.HeldUntil // the event does not carry the charge
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of %s: %s", by, of, diff)
			}
		}
	}
}

func TestList_Changed_PagesThroughEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	for i := range 12 {
		w.captured(order.ID(fmt.Sprintf("o%d", i)), 100)
	}
	w.clock.advance(time.Hour)
	changed := w.clock.Now()
	w.edit(map[string]any{"order": "o3", "refunded": 40})
	r := window(w, reconcile.ListChanged)
	r.Limit = 7
	pages := w.list(r)
	attempts, _ := byOrder(pages)
	if len(pages) < 3 || len(attempts) != 12 {
		t.Fatalf("got %d pages, %d orders", len(pages), len(attempts))
	}
	r.From = changed
	attempts, _ = byOrder(w.list(r))
	if len(attempts) != 1 || len(attempts["o3"]) != 1 || attempts["o3"][0].Refunded != 40 {
		t.Fatalf("got %+v", attempts)
	}
}

func TestList_Orphans(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	for _, c := range []gateway.Checkout{
		{Amount: 100, Currency: "EUR", Bare: true, Channel: "shop"},      // ours by its channel
		{Amount: 100, Currency: "EUR", Bare: true, Channel: "elsewhere"}, // nobody's
		{Amount: 100, Currency: "EUR", Bare: true},                       // nobody's
	} {
		if _, err := w.server.Start("42", c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.server.Start("no such/order", gateway.Checkout{Amount: 100, Currency: "EUR"}); err != nil {
		t.Fatal(err)
	}
	for _, by := range []reconcile.Listing{reconcile.ListCreated, reconcile.ListChanged} {
		attempts, orphans := byOrder(w.list(window(w, by)))
		if len(attempts) != 0 || len(orphans) != 2 || orphans[0].Kind != "payment" || !strings.Contains(orphans[0].What, "1.00 EUR") {
			t.Fatalf("%s: got %+v and %+v", by, attempts, orphans)
		}
	}
}

// retouched has the gateway say something else than it does.
type retouched struct{ from, to string }

func (c retouched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	body = bytes.ReplaceAll(body, []byte(c.from), []byte(c.to))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// A payment that cannot be understood, or a refund of it, is of concern to its own
// order: a page that could not be read for it would be read again for ever, and show
// no order.
func TestList_OneThatCannotBeUnderstood_UnreadableAndTheOthersPresent(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]retouched{
		"a status": {`"status": "canceled"`, `"status": "paused"`}, "a refund": {`"object": "refund"`, `"object": "voucher"`},
	} {
		for _, by := range []reconcile.Listing{reconcile.ListCreated, reconcile.ListChanged} {
			w := newWorld(t, gateway.Settings{})
			for _, of := range []order.ID{"41", "43"} {
				w.captured(of, total)
			}
			a := w.captured("42", total)
			if _, err := w.client.Refund(context.Background(), refund("42", a.ID, 5)); err != nil {
				t.Fatal(err)
			}
			second := authorization("42", total, "pm_card_visa") // and one that is as ever
			second.Key = order.Intent{Order: "42", Operation: order.Authorize, N: 2}.Key()
			b, err := w.client.Authorize(context.Background(), second)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.client.Void(context.Background(), void("42", b.Attempt.ID)); err != nil {
				t.Fatal(err)
			}
			client := w.newClient(func(c *stripe.Config) { c.Transport = change })
			page, err := client.List(context.Background(), window(w, by))
			if err != nil || page.Next != "" {
				t.Fatalf("%s, %s: %v", name, by, err)
			}
			if len(page.Observations) != 3 {
				t.Errorf("%s, %s: the page has %+v", name, by, page.Observations)
			}
			for _, o := range page.Observations {
				bad, want := o.Order == "42", reconcile.Present
				if bad {
					want = reconcile.Unreadable
				}
				if o.State != want || (o.Why != "") != bad || (o.Payment == nil) != bad {
					t.Errorf("%s, %s: the page says %+v", name, by, o)
				}
			}
		}
	}
}

func TestList_Faults(t *testing.T) {
	t.Parallel()
	for _, by := range []reconcile.Listing{reconcile.ListCreated, reconcile.ListChanged} {
		for kind, code := range map[simulator.FaultKind]apierr.Code{
			simulator.Unavailable: apierr.Unavailable, simulator.Garbage: apierr.Garbage, simulator.Foreign: apierr.Garbage,
			simulator.RateLimited: apierr.RateLimited, simulator.Unauthorized: apierr.Unauthorized, simulator.Refused: apierr.Unavailable,
		} {
			w := newWorld(t, gateway.Settings{})
			w.authorize("42", total)
			w.inject(simulator.Fault{Operation: "list", Kind: kind})
			if _, err := w.client.List(context.Background(), window(w, by)); err == nil || apierr.CodeOf(err) != code {
				t.Errorf("%s under %s: got %v, want %s", by, kind, err, code)
			}
		}
		w := newWorld(t, gateway.Settings{})
		w.authorize("42", total)
		w.authorize("43", total)
		w.inject(simulator.Fault{Operation: "list", Kind: simulator.NotListed})
		if attempts, _ := byOrder(w.list(window(w, by))); len(attempts) != 1 || attempts["42"] == nil {
			t.Errorf("%s: got %+v", by, attempts)
		}
		w.inject(simulator.Fault{Operation: "list", Kind: simulator.EmptyList})
		if attempts, _ := byOrder(w.list(window(w, by))); len(attempts) != 0 {
			t.Errorf("%s: got %+v", by, attempts)
		}
		w.only(w.lookup("43"))
	}
}

// A server that answers anything at all never lets a call succeed or panic.
func TestAnswers_ThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `"x"`, `{"id":1}`, `{"object":"list"}`, `{"object":"list","data":null}`, `{"object":"list","data":[null]}`,
		`{"object":"list","has_more":true,"data":[{}]}`, `{"id":"pi_1","object":"payment_intent","status":"odd","currency":"eur"}`,
		`{"id":"pi_1","object":"payment_intent","status":"succeeded","currency":"zzz","metadata":{"order_id":"42"}}`,
		`{"id":"pi_1","object":"payment_intent","status":"succeeded","currency":"eur","amount":-5,"metadata":{"order_id":"42"}}`,
		`{"error":null}`, `{"error":{"type":"card_error"}}`, strings.Repeat("[", 100000), strings.Repeat(" ", 9<<20),
	} {
		for _, status := range []int{200, 204, 302, 400, 402, 404, 418, 500} {
			listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			}))
			w := &world{T: t, clock: newClock(), url: listener.URL}
			w.client = w.newClient(func(*stripe.Config) {})
			for _, o := range operations() {
				if err := o.do(context.Background(), w.client, "pi_1"); err == nil {
					t.Errorf("%s accepted %d %.40q", o.op, status, body)
				}
			}
			if o, err := w.client.Lookup(context.Background(), w.subject("42", "pi_1")); err == nil {
				t.Errorf("lookup accepted %d %.40q: %+v", status, body, o)
			}
			if _, err := w.client.List(context.Background(), window(w, reconcile.ListChanged)); err == nil {
				t.Errorf("list accepted %d %.40q", status, body)
			}
			listener.Close()
		}
	}
}

func TestRetryAfter_NonsenseIsIgnored(t *testing.T) {
	t.Parallel()
	clock := newClock()
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "-1": 0, "soon": 0, "999999999999": 0, "": 0,
		clock.Now().Add(9 * time.Second).Format(http.TimeFormat):  9 * time.Second,
		clock.Now().Add(-9 * time.Second).Format(http.TimeFormat): 0,
	} {
		listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		w := &world{T: t, clock: clock, url: listener.URL}
		w.client = w.newClient(func(*stripe.Config) {})
		_, err := w.client.Authorize(context.Background(), authorization("42", total, "pm_card_visa"))
		wantCode(t, err, apierr.RateLimited, "")
		if got := afterOf(err); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
		listener.Close()
	}
}
