package stripe_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

// A challenge is what the customer may be at right now, and nothing else.
func TestAttempt_Challenge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, pay string
		want        bool
		state       reconcile.AttemptState
	}{
		{"pm_bank_transfer", "", false, reconcile.AttemptOpen},
		{"pm_oxxo", gateway.Abandoned, false, reconcile.AttemptOpen},
		{"pm_card_threeDSecure2Required", "", true, reconcile.AttemptOpen},
		{"pm_card_threeDSecure2Required", gateway.Abandoned, true, reconcile.AttemptOpen},
		{"pm_card_threeDSecure2Required", gateway.Declined, false, reconcile.AttemptOpen},
		{"pm_card_threeDSecure2Required", gateway.Succeeded, false, reconcile.AttemptCaptured},
		{"pm_card_chargeDeclined", "", false, reconcile.AttemptOpen},
		{"pm_async", "", false, reconcile.AttemptProcessing},
		{"", "", false, reconcile.AttemptOpen},
	} {
		w := newWorld(t, gateway.Settings{})
		r := authorization("42", total, c.method)
		r.Payment.Capture = order.CaptureAtOnce // some of them know nothing else
		got, _ := w.client.Authorize(context.Background(), r)
		if c.pay != "" {
			if err := w.server.Pay(got.Attempt.ID, c.pay); err != nil {
				t.Fatal(err)
			}
		} else if got.Attempt.Challenge != c.want {
			t.Errorf("%s: authorize says %+v", c.method, got.Attempt)
		}
		if a := w.only(w.lookup("42")); a.Challenge != c.want || a.State != c.state {
			t.Errorf("%s %s: got %+v", c.method, c.pay, a)
		}
		for _, by := range []reconcile.Listing{reconcile.ListCreated, reconcile.ListChanged} {
			attempts, _ := byOrder(w.list(window(w, by)))
			if a := attempts["42"]; len(a) != 1 || a[0].Challenge != c.want {
				t.Errorf("%s %s: %s shows %+v", c.method, c.pay, by, a)
			}
		}
	}
}

// A payment that a bank works on cannot be closed; what the bank says decides.
func TestVoid_Processing_IsConflict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, pay string
		capture     order.CaptureMode
		state       reconcile.AttemptState
		failure     string
	}{
		{"pm_sepa_debit", gateway.Succeeded, order.CaptureAtOnce, reconcile.AttemptCaptured, ""},
		{"pm_async", gateway.Succeeded, order.CaptureOnShip, reconcile.AttemptAuthorized, ""},
		{"pm_async", gateway.Declined, order.CaptureOnShip, reconcile.AttemptOpen, "payment_intent_payment_attempt_failed"},
	} {
		w := newWorld(t, gateway.Settings{})
		r := authorization("42", total, c.method)
		r.Payment.Capture = c.capture
		got := w.must(r)
		for range 2 {
			a, err := w.client.Void(context.Background(), void("42", got.Attempt.ID))
			wantCode(t, err, apierr.Conflict, "payment_intent_unexpected_state")
			if a.State != reconcile.AttemptProcessing || a.ID != got.Attempt.ID {
				t.Fatalf("got %+v", a)
			}
		}
		if n, _ := w.effects("42", order.Void); n != 0 {
			t.Fatalf("got %d effects", n)
		}
		if err := w.server.Pay(got.Attempt.ID, c.pay); err != nil {
			t.Fatal(err)
		}
		if a := w.only(w.lookup("42")); a.State != c.state || a.Failure != c.failure {
			t.Fatalf("%s %s: got %+v", c.method, c.pay, a)
		}
		// The refusal stays under its key; what can be closed by now says so.
		a, err := w.client.Void(context.Background(), void("42", got.Attempt.ID))
		if a.State != c.state {
			t.Fatalf("got %+v", a)
		}
		if c.state == reconcile.AttemptCaptured {
			wantCode(t, err, apierr.Conflict, "payment_intent_unexpected_state")
			continue
		}
		wantCode(t, err, apierr.InDoubt, "replayed_error")
		next := void("42", got.Attempt.ID)
		next.Key = "order/42/void/2"
		if a, err := w.client.Void(context.Background(), next); err != nil || a.State != reconcile.AttemptVoided {
			t.Fatalf("got %+v, %v", a, err)
		}
	}
}

// What a void finds captured comes back with its refunds.
func TestVoid_Refunded_TellsAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.captured("42", total)
	if _, err := w.client.Refund(context.Background(), refund("42", a.ID, 2500)); err != nil {
		t.Fatal(err)
	}
	got, err := w.client.Void(context.Background(), void("42", a.ID))
	wantCode(t, err, apierr.Conflict, "")
	if diff := cmp.Diff(w.only(w.lookup("42")), got); diff != "" || got.Refunded != 2500 {
		t.Fatalf("got %+v: %s", got, diff)
	}
}

// An authorization lives from when it was made, not from when the customer began.
func TestAuthorize_PaidLate_LivesFromThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{AuthorizationTTL: 48 * time.Hour})
	got := w.must(authorization("42", total, "pm_card_threeDSecure2Required"))
	w.clock.advance(40 * time.Hour)
	if err := w.server.Pay(got.Attempt.ID, gateway.Succeeded); err != nil {
		t.Fatal(err)
	}
	until := w.clock.Now().Add(48 * time.Hour)
	if a := w.only(w.lookup("42")); !a.HeldUntil.Equal(until) {
		t.Fatalf("held until %s, want %s", a.HeldUntil, until)
	}
	w.clock.advance(47 * time.Hour)
	if a := w.only(w.lookup("42")); a.State != reconcile.AttemptAuthorized || a.Held != total {
		t.Fatalf("got %+v", a)
	}
	w.clock.advance(2 * time.Hour)
	if a := w.only(w.lookup("42")); a.State != reconcile.AttemptVoided || a.Held != 0 {
		t.Fatalf("got %+v", a)
	}
}

// events are the types that the gateway recorded about a PaymentIntent's records.
func (w *world) events() (types []string) {
	w.Helper()
	for _, e := range w.records("events") {
		t, _ := e["type"].(string)
		types = append(types, t)
	}
	return types
}

// A refund that succeeded fails days later: the money is ours again.
func TestRefund_FailsLater(t *testing.T) {
	t.Parallel()
	for _, settles := range []time.Duration{0, 100 * time.Hour} {
		w := newWorld(t, gateway.Settings{RefundSettles: settles, KeyWindow: 1000 * time.Hour})
		a := w.captured("42", total)
		for n := 1; n <= 2; n++ {
			r := refund("42", a.ID, int64(1000*n))
			r.Key = order.Intent{Order: "42", Operation: order.Refund, N: n}.Key()
			if _, err := w.client.Refund(context.Background(), r); err != nil {
				t.Fatal(err)
			}
		}
		w.clock.advance(72 * time.Hour)
		w.edit(map[string]any{"order": "42", "refund": "failed"})
		got := w.only(w.lookup("42"))
		states := []reconcile.RefundState{got.Refunds[0].State, got.Refunds[1].State}
		first := reconcile.RefundSucceeded
		if settles > 0 {
			first = reconcile.RefundPending
		}
		if got.Refunded != 1000 || !slices.Equal(states, []reconcile.RefundState{first, reconcile.RefundFailed}) {
			t.Fatalf("got %+v", got)
		}
		if !slices.Contains(w.events(), "refund.failed") {
			t.Fatalf("nobody was told: %v", w.events())
		}
		if totals := w.totals("42"); totals.Refunds != 1 || totals.Refunded != 1000 {
			t.Fatalf("got %+v", totals)
		}
		w.clock.advance(100 * time.Hour) // what failed stays so when it would have settled
		// The money can be given back again, all of it.
		again := refund("42", a.ID, total-1000)
		again.Key = "order/42/refund/3"
		if _, err := w.client.Refund(context.Background(), again); err != nil {
			t.Fatal(err)
		}
		if got := w.only(w.lookup("42")); got.Refunded != total || got.Refunds[1].State != reconcile.RefundFailed {
			t.Fatalf("got %+v", got)
		}
		// The repeat of the failed one under its key says that it failed.
		failed := refund("42", a.ID, 2000)
		failed.Key = "order/42/refund/2"
		if r, err := w.client.Refund(context.Background(), failed); err != nil || r.State != reconcile.RefundFailed || r.Amount != 2000 {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
}

func TestRefund_SettledByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{RefundSettles: 100 * time.Hour})
	a := w.captured("42", total)
	if r, err := w.client.Refund(context.Background(), refund("42", a.ID, total)); err != nil || r.State != reconcile.RefundPending {
		t.Fatalf("got %+v, %v", r, err)
	}
	w.edit(map[string]any{"order": "42", "refund": "succeeded"})
	if got := w.only(w.lookup("42")); got.Refunded != total || got.Refunds[0].State != reconcile.RefundSucceeded {
		t.Fatalf("got %+v", got)
	}
}

// What was refunded cannot be disputed; what is disputed cannot be refunded
// until the dispute is won.
func TestDispute_OfTheRest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		closes         string
		disputed, lost int64
	}{{"won", 0, 0}, {"lost", total - 2500, total - 2500}} {
		w := newWorld(t, gateway.Settings{})
		a := w.captured("42", total)
		if _, err := w.client.Refund(context.Background(), refund("42", a.ID, 2500)); err != nil {
			t.Fatal(err)
		}
		next := refund("42", a.ID, 1000)
		stage := func(disputed, lost int64) {
			t.Helper()
			got := w.only(w.lookup("42"))
			if got.Disputed != disputed || got.Lost != lost || got.Refunded != 2500 || got.Captured != total {
				t.Fatalf("got %+v, want disputed %d, lost %d", got, disputed, lost)
			}
			if totals := w.totals("42"); totals.Disputed != disputed {
				t.Fatalf("got %+v", totals)
			}
		}
		stage(0, 0)
		w.edit(map[string]any{"order": "42", "dispute": "opened"})
		stage(total-2500, 0)
		next.Key = "order/42/refund/2"
		_, err := w.client.Refund(context.Background(), next)
		wantCode(t, err, apierr.Conflict, "charge_disputed")
		w.edit(map[string]any{"order": "42", "dispute": c.closes})
		stage(c.disputed, c.lost)
		next.Key = "order/42/refund/3"
		_, err = w.client.Refund(context.Background(), next)
		if c.closes == "won" && err != nil {
			t.Fatal(err)
		} else if c.closes == "lost" {
			wantCode(t, err, apierr.Conflict, "charge_disputed")
		}
		for _, want := range []string{"charge.dispute.created", "charge.dispute.closed"} {
			if !slices.Contains(w.events(), want) {
				t.Errorf("nobody was told of %s", want)
			}
		}
	}
}

// Declined by a review, money is given back: a hold is voided, what was taken is
// refunded.
func TestReview_Declined(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(w *world)
		want    reconcile.Attempt
	}{
		"held": {func(w *world) { w.must(authorization("42", total, "pm_card_riskLevelElevated")) },
			reconcile.Attempt{State: reconcile.AttemptVoided}},
		"captured": {func(w *world) {
			r := authorization("42", total, "pm_card_riskLevelElevated")
			r.Payment.Capture = order.CaptureAtOnce
			w.must(r)
		}, reconcile.Attempt{State: reconcile.AttemptCaptured, Captured: total, Refunded: total}},
		"captured in part": {func(w *world) {
			r := authorization("42", total, "pm_card_riskLevelElevated")
			r.Payment.Multicapture = true
			part := capture("42", w.must(r).Attempt.ID, 5000)
			part.Final = false
			if _, err := w.client.Capture(context.Background(), part); err != nil {
				w.Fatal(err)
			}
		}, reconcile.Attempt{State: reconcile.AttemptCaptured, Captured: 5000, Refunded: 5000}},
	} {
		w := newWorld(t, gateway.Settings{})
		c.prepare(w)
		if a := w.only(w.lookup("42")); !a.Review {
			t.Fatalf("%s: got %+v", name, a)
		}
		w.edit(map[string]any{"order": "42", "review": "declined"})
		a := w.only(w.lookup("42"))
		if a.Review || a.State != c.want.State || a.Captured != c.want.Captured || a.Refunded != c.want.Refunded || a.Held != 0 {
			t.Fatalf("%s: got %+v", name, a)
		}
		if got := w.totals("42"); got.Captured != got.Refunded || got.Open != 0 {
			t.Fatalf("%s: got %+v", name, got)
		}
	}
}

// A look-up tells of every attempt, whoever began it, in the order of time.
func TestLookup_SeveralAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	type attempt struct {
		Key   string
		State reconcile.AttemptState
	}
	declined := authorization("42", total, "pm_card_chargeDeclined")
	_, err := w.client.Authorize(context.Background(), declined)
	wantCode(t, err, apierr.Declined, "")
	w.clock.advance(time.Minute)
	if _, err := w.server.Start("42", gateway.Checkout{Amount: total, Currency: "EUR"}); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Minute)
	second := authorization("42", total, "pm_card_threeDSecure2Required")
	second.Key = "order/42/authorize/2"
	w.must(second)
	w.clock.advance(time.Minute)
	bare, err := w.server.Start("42", gateway.Checkout{Amount: total, Currency: "EUR", Method: "pm_card_visa", Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Minute)
	tenth := authorization("42", total, "pm_card_visa")
	tenth.Key = "order/42/authorize/10"
	w.must(tenth)
	w.authorize("421", total) // somebody else's, with a similar name

	want := []attempt{
		{"order/42/authorize/1", reconcile.AttemptOpen}, {"", reconcile.AttemptOpen}, {"order/42/authorize/2", reconcile.AttemptOpen},
		{"", reconcile.AttemptAuthorized}, {"order/42/authorize/10", reconcile.AttemptAuthorized},
	}
	var got []attempt
	for _, a := range w.lookup("42", bare).Payment.Attempts {
		got = append(got, attempt{a.Key, a.State})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// A payment of the checkout is adopted however far it is; what it holds or took
// is told.
func TestAuthorize_AdoptsInAnyState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		checkout gateway.Checkout
		want     reconcile.Attempt
		next     bool
	}{
		{gateway.Checkout{}, reconcile.Attempt{State: reconcile.AttemptOpen, Method: "card"}, true},
		{gateway.Checkout{Method: "pm_card_threeDSecure2Required"}, reconcile.Attempt{State: reconcile.AttemptOpen, Challenge: true, Method: "card"}, true},
		{gateway.Checkout{Method: "pm_card_chargeDeclined"}, reconcile.Attempt{State: reconcile.AttemptOpen, Failure: "card_declined"}, true},
		{gateway.Checkout{Method: "pm_async"}, reconcile.Attempt{State: reconcile.AttemptProcessing, Method: "async"}, false},
		{gateway.Checkout{Method: "pm_bank_transfer", Capture: order.CaptureAtOnce}, reconcile.Attempt{State: reconcile.AttemptOpen, Method: "customer_balance"}, true},
		{gateway.Checkout{Method: "pm_card_visa"}, reconcile.Attempt{State: reconcile.AttemptAuthorized, Held: total, Method: "card"}, false},
		{gateway.Checkout{Method: "pm_card_visa", Capture: order.CaptureAtOnce}, reconcile.Attempt{State: reconcile.AttemptCaptured, Captured: total, Method: "card"}, false},
	} {
		for _, bare := range []bool{true, false} {
			w := newWorld(t, gateway.Settings{})
			c.checkout.Amount, c.checkout.Currency, c.checkout.Bare = total, "EUR", bare
			id, err := w.server.Start("42", c.checkout)
			if err != nil {
				t.Fatal(err)
			}
			r := authorization("42", total, "")
			r.Payment.Intent = id
			got := w.must(r)
			want := c.want
			want.ID, want.Key, want.Adopted, want.Amount, want.Currency, want.Created = id, r.Key, true, total, "EUR", w.clock.Now()
			want.HeldUntil = got.Attempt.HeldUntil
			if diff := cmp.Diff(want, got.Attempt); diff != "" || (got.Next != nil) != c.next {
				t.Errorf("%+v: %s %+v", c.checkout, diff, got.Next)
			}
			if diff := cmp.Diff(got.Attempt, w.only(w.lookup("42"))); diff != "" {
				t.Errorf("%+v: %s", c.checkout, diff)
			}
			if got := w.totals("42"); got.Held != want.Held || got.Captured != want.Captured {
				t.Errorf("%+v: got %+v", c.checkout, got)
			}
		}
	}
}

// Named once more by another intent, an adopted payment stays whose it was.
func TestAuthorize_AdoptedTwice_KeepsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	id, err := w.server.Start("42", gateway.Checkout{Amount: total, Currency: "EUR", Method: "pm_card_visa"})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		r := authorization("42", total, "")
		r.Key = order.Intent{Order: "42", Operation: order.Authorize, N: n}.Key()
		r.Payment.Intent = id
		if got := w.must(r).Attempt; got.ID != id || got.Key != "order/42/authorize/1" {
			t.Fatalf("got %+v", got)
		}
	}
	entries, err := w.server.Frame().Ledger(0, "42")
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(entries, func(e simulator.Entry) bool { return e.Key == "order/42/authorize/2" }) {
		t.Fatal("the second intent wrote something")
	}
}
