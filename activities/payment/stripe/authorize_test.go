package stripe_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

func TestNew_NamesEveryMissingSetting(t *testing.T) {
	t.Parallel()
	_, err := stripe.New(stripe.Config{BaseURL: "nowhere", Account: "me", Timeout: -1})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"APIKey", "Channel", "Now", "BaseURL", "Account", "Timeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	_, err = stripe.New(stripe.Config{APIKey: "sk_live_x", Channel: "shop", Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "LiveMode") {
		t.Errorf("a live key for test mode: %v", err)
	}
}

func TestAuthorize_OnShip_Holds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	got := w.authorize("42", total)
	want := reconcile.Attempt{
		ID: got.ID, Key: "order/42/authorize/1", State: reconcile.AttemptAuthorized, Amount: total, Held: total, Currency: "EUR",
		HeldUntil: w.clock.Now().Add(168 * time.Hour), Created: w.clock.Now(), Method: "card",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(want, w.only(w.lookup("42", got.ID))); diff != "" {
		t.Fatal(diff)
	}
}

func TestAuthorize_AtOnce_Takes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_visa")
	r.Payment.Capture = order.CaptureAtOnce
	got, err := w.client.Authorize(context.Background(), r)
	if err != nil || got.Attempt.State != reconcile.AttemptCaptured || got.Attempt.Captured != total || got.Next != nil {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestAuthorize_Declined_LeavesAnOpenAttempt(t *testing.T) {
	t.Parallel()
	for method, reason := range map[string]string{
		"pm_card_chargeDeclined": "generic_decline", "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
		"pm_card_chargeDeclinedExpiredCard": "expired_card",
	} {
		w := newWorld(t, gateway.Settings{})
		for range 2 {
			got, err := w.client.Authorize(context.Background(), authorization("42", total, method))
			wantCode(t, err, apierr.Declined, reason)
			if got.Attempt.State != reconcile.AttemptOpen || got.Attempt.ID == "" || got.Attempt.Failure == "" {
				t.Fatalf("got %+v", got.Attempt)
			}
			if diff := cmp.Diff(got.Attempt, w.only(w.lookup("42"))); diff != "" {
				t.Fatal(diff)
			}
		}
	}
}

func TestAuthorize_Challenge_SaysWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.client = w.newClient(func(c *stripe.Config) { c.ReturnURL = "https://shop.example/thanks" })
	got, err := w.client.Authorize(context.Background(), authorization("42", total, "pm_card_threeDSecure2Required"))
	if err != nil || got.Attempt.State != reconcile.AttemptOpen || got.Next == nil || got.Next.URL == "" || got.Next.ClientSecret == "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if err := w.server.Pay(got.Attempt.ID, gateway.Succeeded); err != nil {
		t.Fatal(err)
	}
	// The repeat shows the live record, not what was answered then.
	again, err := w.client.Authorize(context.Background(), authorization("42", total, "pm_card_threeDSecure2Required"))
	if err != nil || again.Attempt.State != reconcile.AttemptAuthorized || again.Next != nil {
		t.Fatalf("got %+v, %v", again, err)
	}
}

func TestAuthorize_Challenge_DeclinedOrAbandoned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	got, err := w.client.Authorize(context.Background(), authorization("42", total, "pm_card_authenticationRequired"))
	if err != nil || got.Next == nil || got.Next.Kind != "use_stripe_sdk" {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, result := range []string{gateway.Abandoned, gateway.Declined} {
		if err := w.server.Pay(got.Attempt.ID, result); err != nil {
			t.Fatal(err)
		}
		if a := w.only(w.lookup("42")); a.State != reconcile.AttemptOpen || (a.Failure == "") != (result == gateway.Abandoned) {
			t.Fatalf("%s: got %+v", result, a)
		}
	}
}

func TestAuthorize_Asynchronous_Processes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_sepa_debit")
	r.Payment.Capture = order.CaptureAtOnce
	got, err := w.client.Authorize(context.Background(), r)
	if err != nil || got.Attempt.State != reconcile.AttemptProcessing {
		t.Fatalf("got %+v, %v", got, err)
	}
	if err := w.server.Pay(got.Attempt.ID, gateway.Succeeded); err != nil {
		t.Fatal(err)
	}
	if a := w.only(w.lookup("42")); a.State != reconcile.AttemptCaptured || a.Captured != total {
		t.Fatalf("got %+v", a)
	}
}

func TestAuthorize_OffSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	first := authorization("42", total, "pm_card_visa")
	first.Payment.Reusable = true
	a, err := w.client.Authorize(context.Background(), first)
	if err != nil {
		t.Fatal(err)
	}
	// Charged again with what the earlier attempt was paid with.
	again := authorization("42", 4980, "")
	again.Key, again.OffSession = "order/42/authorize/2", true
	again.Payment.Intent = a.Attempt.ID
	b, err := w.client.Authorize(context.Background(), again)
	if err != nil || b.Attempt.ID == a.Attempt.ID || b.Attempt.Held != 4980 {
		t.Fatalf("got %+v, %v", b, err)
	}
	challenged := authorization("43", 4980, "pm_card_authenticationRequired")
	challenged.OffSession = true
	got, err := w.client.Authorize(context.Background(), challenged)
	wantCode(t, err, apierr.Declined, "authentication_required")
	if got.Attempt.State != reconcile.AttemptOpen {
		t.Fatalf("got %+v", got)
	}
}

func TestAuthorize_OffSession_NothingStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	id, err := w.server.Start("42", gateway.Checkout{Amount: total, Currency: "EUR"})
	if err != nil {
		t.Fatal(err)
	}
	r := authorization("42", total, "")
	r.OffSession, r.Payment.Intent = true, id
	_, err = w.client.Authorize(context.Background(), r)
	wantCode(t, err, apierr.Declined, "no_stored_method")
}

func TestAuthorize_WithoutMethod_WaitsForTheCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	got, err := w.client.Authorize(context.Background(), authorization("42", total, ""))
	if err != nil || got.Attempt.State != reconcile.AttemptOpen || got.Next == nil || got.Next.Kind != "requires_payment_method" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestAuthorize_Adopts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	id, err := w.server.Start("42", gateway.Checkout{Amount: total, Currency: "EUR", Method: "pm_card_visa", Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	if o := w.lookup("42"); o.State != reconcile.Absent {
		t.Fatalf("found before it was adopted: %+v", o)
	}
	if a := w.only(w.lookup("42", id)); a.Key != "" {
		t.Fatalf("got %+v", a)
	}
	r := authorization("42", total, "")
	r.Payment.Intent = id
	for range 3 {
		got, err := w.client.Authorize(context.Background(), r)
		if err != nil || got.Attempt.ID != id || got.Attempt.Key != r.Key || got.Attempt.Held != total {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if n, _ := w.effects("42", order.Authorize); n != 1 { // the customer's own was before it was the order's
		t.Fatalf("got %d effects", n)
	}
	if a := w.only(w.lookup("42")); a.ID != id {
		t.Fatalf("got %+v", a)
	}
}

func TestAuthorize_AdoptsLost_OneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	id, err := w.server.Start("42", gateway.Checkout{Amount: total, Currency: "EUR", Method: "pm_card_visa", Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	w.inject(simulator.Fault{Operation: order.Authorize, Kind: simulator.ResponseLost})
	r := authorization("42", total, "")
	r.Payment.Intent = id
	_, err = w.client.Authorize(context.Background(), r)
	wantCode(t, err, apierr.InDoubt, "")
	if got, err := w.client.Authorize(context.Background(), r); err != nil || got.Attempt.ID != id {
		t.Fatalf("got %+v, %v", got, err)
	}
	if n, _ := w.effects("42", order.Authorize); n != 1 {
		t.Fatalf("got %d effects", n)
	}
}

func TestAuthorize_DoesNotAdopt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	start := func(of order.ID, c gateway.Checkout) string {
		c.Method = "pm_card_visa"
		id, err := w.server.Start(of, c)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	canceled := start("42", gateway.Checkout{Amount: total, Currency: "EUR"})
	w.edit(map[string]any{"order": "42", "void": true})
	for name, c := range map[string]struct {
		id, reason string
		code       apierr.Code
	}{
		"another amount":   {start("42", gateway.Checkout{Amount: total + 1, Currency: "EUR", Bare: true}), "amount_mismatch", apierr.Conflict},
		"another currency": {start("42", gateway.Checkout{Amount: total, Currency: "USD", Bare: true}), "amount_mismatch", apierr.Conflict},
		"another order":    {start("43", gateway.Checkout{Amount: total, Currency: "EUR"}), "other_order", apierr.Conflict},
		"canceled":         {canceled, "payment_intent_unexpected_state", apierr.Conflict},
		"none":             {"pi_none", "resource_missing", apierr.NotFound},
		"no id":            {"../refunds", "resource_missing", apierr.NotFound},
	} {
		r := authorization("42", total, "")
		r.Payment.Intent = c.id
		_, err := w.client.Authorize(context.Background(), r)
		if apierr.CodeOf(err) != c.code || apierr.ReasonOf(err) != c.reason {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAuthorize_OtherMode_IsGarbage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{LiveMode: true})
	id, err := w.server.Start("42", gateway.Checkout{Amount: total, Currency: "EUR", Method: "pm_card_visa"})
	if err != nil {
		t.Fatal(err)
	}
	r := authorization("42", total, "")
	r.Payment.Intent = id
	_, err = w.client.Authorize(context.Background(), r)
	wantCode(t, err, apierr.Garbage, "")
	_, err = w.client.Authorize(context.Background(), authorization("42", total, "pm_card_visa"))
	wantCode(t, err, apierr.InDoubt, "")
	_, err = w.client.Lookup(context.Background(), w.subject("42", id))
	wantCode(t, err, apierr.Garbage, "")
}

func TestAuthorize_Currencies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount order.Amount
		wire   int64 // 0: refused
	}{
		{order.Amount{Minor: 500, Currency: "JPY"}, 500},
		{order.Amount{Minor: 5, Currency: "ISK"}, 500},
		{order.Amount{Minor: 1250, Currency: "KWD"}, 1250},
		{order.Amount{Minor: 1255, Currency: "KWD"}, 0},
		{order.Amount{Minor: 1000, Currency: "HUF"}, 1000},
		{order.Amount{Minor: 1000, Currency: "UGX"}, 0},
		{order.Amount{Minor: 1000, Currency: "IQD"}, 0},
		{order.Amount{Minor: 1000, Currency: "XXX"}, 0},
		{order.Amount{Minor: 0, Currency: "EUR"}, 0},
		{order.Amount{Minor: -1, Currency: "EUR"}, 0},
	} {
		w := newWorld(t, gateway.Settings{})
		r := authorization("42", 0, "pm_card_visa")
		r.Amount = c.amount
		got, err := w.client.Authorize(context.Background(), r)
		if c.wire == 0 {
			wantCode(t, err, apierr.Invalid, "amount")
			continue
		}
		if err != nil || got.Attempt.Amount != c.amount.Minor || got.Attempt.Currency != c.amount.Currency || got.Attempt.Held != c.amount.Minor {
			t.Errorf("%s: got %+v, %v", c.amount, got.Attempt, err)
		}
		if held := w.totals("42").Held; held != c.wire {
			t.Errorf("%s: %d on the wire, want %d", c.amount, held, c.wire)
		}
	}
}

func TestAuthorize_WithoutKey_IsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_visa")
	r.Key = ""
	_, err := w.client.Authorize(context.Background(), r)
	wantCode(t, err, apierr.Invalid, "key")
	if n := w.requests(order.Authorize); n != 0 {
		t.Fatalf("got %d requests", n)
	}
}

func TestAuthorize_Expires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{AuthorizationTTL: 48 * time.Hour})
	a := w.authorize("42", total)
	if got := a.HeldUntil.Sub(w.clock.Now()); got != 48*time.Hour {
		t.Fatalf("held for %s", got)
	}
	w.clock.advance(49 * time.Hour)
	if a := w.only(w.lookup("42", a.ID)); a.State != reconcile.AttemptVoided || a.Held != 0 || a.Refunded != 0 || !a.HeldUntil.IsZero() {
		t.Fatalf("got %+v", a)
	}
	_, err := w.client.Capture(context.Background(), capture("42", a.ID, total))
	wantCode(t, err, apierr.Conflict, "payment_intent_unexpected_state")
	if got, err := w.client.Void(context.Background(), void("42", a.ID)); err != nil || got.State != reconcile.AttemptVoided {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestMulticapture(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_visa")
	r.Payment.Multicapture = true
	got, err := w.client.Authorize(context.Background(), r)
	if err != nil || !got.Attempt.Multicapture {
		t.Fatalf("got %+v, %v", got, err)
	}
	first := capture("42", got.Attempt.ID, 5000)
	first.Final = false
	for range 2 { // repeated, it is the same request
		a, err := w.client.Capture(context.Background(), first)
		if err != nil || a.State != reconcile.AttemptAuthorized || a.Captured != 5000 || a.Held != total-5000 || !a.Multicapture || a.HeldUntil.IsZero() {
			t.Fatalf("got %+v, %v", a, err)
		}
	}
	if got := w.totals("42"); got.Captured != 5000 || got.Held != total-5000 || got.Open != 1 {
		t.Fatalf("got %+v", got)
	}
	_, err = w.client.Void(context.Background(), void("42", got.Attempt.ID))
	wantCode(t, err, apierr.Conflict, "payment_intent_unexpected_state")
	last := capture("42", got.Attempt.ID, total-5000)
	last.Key = "order/42/capture/2"
	a, err := w.client.Capture(context.Background(), last)
	if err != nil || a.State != reconcile.AttemptCaptured || a.Captured != total || a.Held != 0 {
		t.Fatalf("got %+v, %v", a, err)
	}
	if n, sum := w.effects("42", order.Capture); n != 2 || sum != total {
		t.Fatalf("got %d effects over %d", n, sum)
	}
}

// Not granted, or not asked for, every capture is the only one: the rest is
// released whatever was asked.
func TestMulticapture_NotGranted_OneCapture(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ asked, refused, final bool }{
		{true, true, false}, {true, true, true}, {false, false, false}, {false, false, true},
	} {
		w := newWorld(t, gateway.Settings{RefuseMulticapture: c.refused})
		r := authorization("42", total, "pm_card_visa")
		r.Payment.Multicapture = c.asked
		got, err := w.client.Authorize(context.Background(), r)
		if err != nil || got.Attempt.Multicapture {
			t.Fatalf("got %+v, %v", got, err)
		}
		first := capture("42", got.Attempt.ID, 5000)
		first.Final = c.final
		for range 2 {
			a, err := w.client.Capture(context.Background(), first)
			if err != nil || a.State != reconcile.AttemptCaptured || a.Captured != 5000 || a.Held != 0 || a.Refunded != 0 {
				t.Fatalf("%+v: got %+v, %v", c, a, err)
			}
		}
		if got := w.totals("42"); got.Captured != 5000 || got.Held != 0 || got.Open != 0 || got.Refunds != 0 {
			t.Fatalf("%+v: got %+v", c, got)
		}
		rest := capture("42", got.Attempt.ID, total-5000)
		rest.Key = "order/42/capture/2"
		_, err = w.client.Capture(context.Background(), rest)
		wantCode(t, err, apierr.Conflict, "payment_intent_unexpected_state")
	}
}

// Whether several captures were granted is read first; unread, nothing is taken.
func TestMulticapture_Unreadable_TakesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_visa")
	r.Payment.Multicapture = true
	got, err := w.client.Authorize(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	first := capture("42", got.Attempt.ID, 5000)
	first.Final = false
	for kind, code := range map[simulator.FaultKind]apierr.Code{simulator.Unavailable: apierr.Unavailable, simulator.Foreign: apierr.Garbage} {
		w.inject(simulator.Fault{Operation: "lookup", Kind: kind})
		_, err = w.client.Capture(context.Background(), first)
		wantCode(t, err, code, "")
	}
	if n := w.requests(order.Capture); n != 0 {
		t.Fatalf("got %d captures", n)
	}
}

// An authorization that dies after a part was captured keeps that part.
func TestMulticapture_Expires_KeepsWhatItTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_visa")
	r.Payment.Multicapture = true
	got, err := w.client.Authorize(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	first := capture("42", got.Attempt.ID, 5000)
	first.Final = false
	if _, err := w.client.Capture(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(169 * time.Hour)
	if a := w.only(w.lookup("42")); a.State != reconcile.AttemptCaptured || a.Captured != 5000 || a.Held != 0 || a.Refunded != 0 {
		t.Fatalf("got %+v", a)
	}
}

func TestMulticapture_ReleasesTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_visa")
	r.Payment.Multicapture = true
	got, err := w.client.Authorize(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	first := capture("42", got.Attempt.ID, 5000)
	first.Final = false
	if _, err := w.client.Capture(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	rest := capture("42", got.Attempt.ID, 0)
	rest.Key = "order/42/capture/2"
	a, err := w.client.Capture(context.Background(), rest)
	if err != nil || a.State != reconcile.AttemptCaptured || a.Captured != 5000 || a.Held != 0 || a.Refunded != 0 {
		t.Fatalf("got %+v, %v", a, err)
	}
}

// headers records what is sent.
type headers struct {
	t    *testing.T
	seen []http.Header
}

func (h *headers) RoundTrip(r *http.Request) (*http.Response, error) {
	h.seen = append(h.seen, r.Header.Clone())
	if r.GetBody != nil || r.Body == nil {
		h.t.Error("net/http could send the request again by itself")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestRequests_CarryKeyAndOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	h := &headers{t: t}
	w.client = w.newClient(func(c *stripe.Config) { c.Transport = h })
	a := w.captured("42", total)
	if _, err := w.client.Refund(context.Background(), refund("42", a.ID, 100)); err != nil {
		t.Fatal(err)
	}
	w.lookup("42", a.ID)
	for i, want := range []struct{ agent, key string }{
		{"trueup (authorize)", "order/42/authorize/1"}, {"trueup (capture)", "order/42/capture/1"}, {"trueup (refund)", "order/42/refund/1"},
		{"trueup (lookup)", ""}, {"trueup (lookup)", ""},
	} {
		got := h.seen[i]
		if got.Get("User-Agent") != want.agent || got.Get("Idempotency-Key") != want.key {
			t.Errorf("request %d: got %q, %q", i, got.Get("User-Agent"), got.Get("Idempotency-Key"))
		}
		for name := range got {
			if strings.HasPrefix(name, "X-Stripe-Client") {
				t.Errorf("request %d carries %s", i, name)
			}
		}
	}
}

var _ payment.Gateway = (*stripe.Client)(nil)
