package stripe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
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

// keeping is the simulator's operation of calls that only keep a method.
const keeping order.Operation = "customer"

func reusable(of order.ID, amount int64, method string) payment.AuthorizeRequest {
	r := authorization(of, amount, method)
	r.Payment.Reusable = true
	return r
}

// again charges what an earlier attempt was paid with, as attempt n.
func again(of order.ID, n int, amount int64, earlier string) payment.AuthorizeRequest {
	r := authorization(of, amount, "")
	r.Key = order.Intent{Order: of, Operation: order.Authorize, N: n}.Key()
	r.OffSession, r.Payment.Intent = true, earlier
	return r
}

// records reads every record of a kind from the gateway itself.
func (w *world) records(path string) []map[string]any {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, w.url+"/v1/"+path+"?limit=100", nil)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+gateway.DefaultAPIKey)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	var page struct {
		Data []map[string]any `json:"data"`
	}
	if err := json.Unmarshal(body, &page); err != nil || resp.StatusCode != http.StatusOK {
		w.Fatalf("%s: %v in %s", path, err, body)
	}
	return page.Data
}

func (w *world) must(r payment.AuthorizeRequest) payment.Authorization {
	w.Helper()
	got, err := w.client.Authorize(context.Background(), r)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

func TestAuthorize_Reusable_IsChargedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	first := w.must(reusable("42", total, "pm_card_visa")).Attempt
	customers := w.records("customers")
	want := map[string]any{"order_id": "42", "intent_key": "order/42/authorize/1", "channel": "shop", "customer_id": "c1"}
	if len(customers) != 1 {
		t.Fatalf("got %v", customers)
	}
	if diff := cmp.Diff(want, customers[0]["metadata"]); diff != "" {
		t.Fatal(diff)
	}
	earlier := first.ID
	for n := 2; n <= 4; n++ {
		got := w.must(again("42", n, 1000, earlier)).Attempt
		if got.State != reconcile.AttemptAuthorized || got.Held != 1000 || got.ID == earlier {
			t.Fatalf("got %+v", got)
		}
		earlier = got.ID // one that was charged again can be charged again
	}
	for _, pi := range w.records("payment_intents") {
		if pi["customer"] != customers[0]["id"] {
			t.Errorf("%v is of the customer %v", pi["id"], pi["customer"])
		}
	}
	if got := w.totals("42"); got.Authorizations != 4 || got.Held != total+3000 {
		t.Fatalf("got %+v", got)
	}
	if n := len(w.records("customers")); n != 1 {
		t.Fatalf("got %d customers", n)
	}
}

func TestAuthorize_GatewaysOwnCustomer_IsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.must(reusable("41", total, "pm_card_visa"))
	known, _ := w.records("customers")[0]["id"].(string)
	r := reusable("42", total, "pm_card_visa")
	r.Customer = known
	w.must(r)
	if n := len(w.records("customers")); n != 1 {
		t.Fatalf("got %d customers", n)
	}
	if pi := w.records("payment_intents")[0]; pi["customer"] != known {
		t.Fatalf("got %v", pi["customer"])
	}
}

// A customer whose making went wrong is made once, and nothing is charged before
// it is there.
func TestAuthorize_Customer_Fault(t *testing.T) {
	t.Parallel()
	for kind, code := range map[simulator.FaultKind]apierr.Code{
		simulator.ResponseLost: apierr.InDoubt, simulator.ResponseError: apierr.InDoubt, simulator.Garbage: apierr.InDoubt,
		simulator.Foreign: apierr.InDoubt, simulator.Unavailable: apierr.InDoubt, simulator.Refused: apierr.InDoubt,
		simulator.RateLimited: apierr.RateLimited, simulator.Unauthorized: apierr.Unauthorized,
	} {
		w := newWorld(t, gateway.Settings{})
		w.inject(simulator.Fault{Operation: keeping, Kind: kind})
		_, err := w.client.Authorize(context.Background(), reusable("42", total, "pm_card_visa"))
		wantCode(t, err, code, "")
		if n := w.requests(order.Authorize); n != 0 {
			t.Fatalf("%s: %d charges were tried", kind, n)
		}
		w.must(reusable("42", total, "pm_card_visa"))
		w.must(reusable("42", total, "pm_card_visa"))
		if n := len(w.records("customers")); n != 1 {
			t.Fatalf("%s: got %d customers", kind, n)
		}
		if n, sum := w.effects("42", order.Authorize); n != 1 || sum != total {
			t.Fatalf("%s: got %d effects over %d", kind, n, sum)
		}
	}
}

func TestAuthorize_Customer_ReplaysError_SaysLookUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.inject(simulator.Fault{Operation: keeping, Kind: simulator.ReplaysError})
	_, err := w.client.Authorize(context.Background(), reusable("42", total, "pm_card_visa"))
	wantCode(t, err, apierr.InDoubt, "api_error")
	_, err = w.client.Authorize(context.Background(), reusable("42", total, "pm_card_visa"))
	wantCode(t, err, apierr.InDoubt, stripe.ReplayedError)
	r := reusable("42", total, "pm_card_visa")
	r.Key += "/again/2"
	if got := w.must(r); got.Attempt.Held != total {
		t.Fatalf("got %+v", got)
	}
}

// A method that nobody set up for later is spent; nothing is charged or left open.
func TestAuthorize_NotReusable_CannotBeChargedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	first := w.authorize("42", total)
	_, err := w.client.Authorize(context.Background(), again("42", 2, 1000, first.ID))
	wantCode(t, err, apierr.Declined, "no_stored_method")
	method, _ := w.records("payment_intents")[0]["payment_method"].(string)
	r := authorization("42", 1000, method)
	r.Key = "order/42/authorize/3"
	got, err := w.client.Authorize(context.Background(), r)
	wantCode(t, err, apierr.Declined, "method_not_reusable")
	if got.Attempt.ID != "" || w.totals("42").Authorizations != 1 || len(w.lookup("42").Payment.Attempts) != 1 {
		t.Fatalf("got %+v, %+v", got, w.totals("42"))
	}
}

// The method belongs to the customer of the earlier attempt, and to nobody else.
func TestAuthorize_MethodOfAnotherCustomer_IsDeclined(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.must(reusable("42", total, "pm_card_visa"))
	method, _ := w.records("payment_intents")[0]["payment_method"].(string)
	r := reusable("43", total, method) // gets a customer of its own
	_, err := w.client.Authorize(context.Background(), r)
	wantCode(t, err, apierr.Declined, "method_not_reusable")
	if got := w.totals("43"); got.Authorizations != 0 || got.Open != 0 {
		t.Fatalf("got %+v", got)
	}
}

// A checkout that set the method up without a customer left it unattached.
func TestAuthorize_SetUpByTheCheckout_IsAttachedOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []simulator.FaultKind{simulator.NoFault, simulator.ResponseLost, simulator.Garbage, simulator.Unavailable} {
		for skip := range 2 { // the customer, its method
			w := newWorld(t, gateway.Settings{})
			id, err := w.server.Start("42", gateway.Checkout{Amount: total, Currency: "EUR", Method: "pm_card_visa", Reusable: true})
			if err != nil {
				t.Fatal(err)
			}
			adopt := authorization("42", total, "")
			adopt.Payment.Intent = id
			w.must(adopt)
			if kind != simulator.NoFault {
				w.inject(simulator.Fault{Operation: keeping, Kind: kind, Skip: skip})
				_, err = w.client.Authorize(context.Background(), again("42", 2, 1000, id))
				wantCode(t, err, apierr.InDoubt, "")
			}
			for n := 2; n <= 3; n++ {
				if got := w.must(again("42", n, 1000, id)).Attempt; got.Held != 1000 {
					t.Fatalf("got %+v", got)
				}
			}
			if n := len(w.records("customers")); n != 1 {
				t.Fatalf("%s of call %d: got %d customers", kind, skip+1, n)
			}
			if got := w.totals("42"); got.Authorizations != 3 || got.Held != total+2000 {
				t.Fatalf("%s of call %d: got %+v", kind, skip+1, got)
			}
		}
	}
}

// A bank that wants to see the customer declines while they are not there.
func TestAuthorize_OffSession_NeedsTheCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	first := w.must(reusable("42", total, "pm_card_authenticationRequired")).Attempt
	if err := w.server.Pay(first.ID, gateway.Succeeded); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := w.client.Authorize(context.Background(), again("42", 2, 1000, first.ID))
		wantCode(t, err, apierr.Declined, "authentication_required")
		if a := got.Attempt; a.State != reconcile.AttemptOpen || a.Challenge || a.Failure != "authentication_required" || a.Key != "order/42/authorize/2" {
			t.Fatalf("got %+v", a)
		}
	}
	if got := w.totals("42"); got.Authorizations != 1 || got.Open != 2 { // the first holds, the second is open
		t.Fatalf("got %+v", got)
	}
}

// 3-D Secure once, while the customer is there, is enough for a usual card.
func TestAuthorize_OffSession_AfterTheChallenge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	first := w.must(reusable("42", total, "pm_card_threeDSecure2Required")).Attempt
	_, err := w.client.Authorize(context.Background(), again("42", 2, 1000, first.ID))
	wantCode(t, err, apierr.Declined, "") // not yet proven: nothing is stored
	if err := w.server.Pay(first.ID, gateway.Succeeded); err != nil {
		t.Fatal(err)
	}
	if got := w.must(again("42", 3, 1000, first.ID)).Attempt; got.Held != 1000 {
		t.Fatalf("got %+v", got)
	}
}

// The authorization is renewed: the new one first, then the old one is closed.
func TestAuthorize_Renewed_BeforeItDies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{AuthorizationTTL: 48 * time.Hour})
	old := w.must(reusable("42", total, "pm_card_visa")).Attempt
	w.clock.advance(24 * time.Hour)
	renewed := w.must(again("42", 2, total, old.ID)).Attempt
	if want := w.clock.Now().Add(48 * time.Hour); !renewed.HeldUntil.Equal(want) {
		t.Fatalf("held until %s, want %s", renewed.HeldUntil, want)
	}
	if a, err := w.client.Void(context.Background(), void("42", old.ID)); err != nil || a.State != reconcile.AttemptVoided {
		t.Fatalf("got %+v, %v", a, err)
	}
	w.clock.advance(25 * time.Hour) // the old one would be dead by now
	if got := w.totals("42"); got.Held != total || got.Open != 1 {
		t.Fatalf("got %+v", got)
	}
	attempts := w.lookup("42").Payment.Attempts
	if len(attempts) != 2 || attempts[0].State != reconcile.AttemptVoided || attempts[1].State != reconcile.AttemptAuthorized {
		t.Fatalf("got %+v", attempts)
	}
	if _, err := w.client.Capture(context.Background(), capture("42", renewed.ID, total)); err != nil {
		t.Fatal(err)
	}
}

// The renewed authorization is declined; the old one still holds.
func TestAuthorize_RenewalDeclined_LeavesTheOldOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{DeclineOffSession: true})
	old := w.must(reusable("42", total, "pm_card_visa")).Attempt
	got, err := w.client.Authorize(context.Background(), again("42", 2, total, old.ID))
	wantCode(t, err, apierr.Declined, "generic_decline")
	if got.Attempt.State != reconcile.AttemptOpen || w.totals("42").Held != total {
		t.Fatalf("got %+v", got)
	}
}

// Stripe repeats the refusal of a key for ever, but the attempt may have been
// paid since, with another card in an old tab.
func TestAuthorize_DeclinedThenPaid_TellsTheLiveAttempt(t *testing.T) {
	t.Parallel()
	for i, capturing := range []order.CaptureMode{order.CaptureOnShip, order.CaptureAtOnce} {
		w := newWorld(t, gateway.Settings{})
		r := authorization("42", total, "pm_card_chargeDeclined")
		r.Payment.Capture = capturing
		got, err := w.client.Authorize(context.Background(), r)
		wantCode(t, err, apierr.Declined, "generic_decline")
		if err := w.server.Pay(got.Attempt.ID, gateway.Succeeded); err != nil {
			t.Fatal(err)
		}
		want := []reconcile.AttemptState{reconcile.AttemptAuthorized, reconcile.AttemptCaptured}[i]
		if got, err := w.client.Authorize(context.Background(), r); err != nil || got.Attempt.State != want || got.Attempt.Failure != "" {
			t.Fatalf("got %+v, %v", got, err)
		}
		w.inject(simulator.Fault{Operation: "lookup", Kind: simulator.Unavailable})
		_, err = w.client.Authorize(context.Background(), r)
		wantCode(t, err, apierr.InDoubt, "")
	}
}

// What the simulator refuses of methods, it refuses in Stripe's words.
func TestSimulator_Methods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.must(reusable("42", total, "pm_card_visa"))
	kept, _ := w.records("payment_intents")[0]["payment_method"].(string)
	w.authorize("43", total)
	used, _ := w.records("payment_intents")[0]["payment_method"].(string)
	w.must(reusable("44", total, "pm_card_visa"))
	other, _ := w.records("customers")[0]["id"].(string)
	charge := "amount=100&currency=eur&confirm=true&payment_method="
	for _, c := range []struct {
		path, form, want string
		status           int
	}{
		{"payment_intents", charge + kept, "you must provide the customer", 400},
		{"payment_intents", charge + kept + "&customer=" + other, "does not have a payment method with the ID", 400},
		{"payment_intents", charge + kept + "&customer=cus_none", "No such customer", 400},
		{"payment_intents", charge + used, "may not be used again", 400},
		{"payment_methods/" + kept + "/attach", "customer=" + other, "already been attached", 400},
		{"payment_methods/" + used + "/attach", "customer=" + other, "may not be used again", 400},
		{"payment_methods/" + used + "/attach", "", "Missing required param", 400},
		{"payment_methods/pm_none/attach", "customer=" + other, "No such PaymentMethod", 404},
		{"customers", "colour=red", "unknown parameter", 400},
	} {
		status, body := call(t, w.url, gateway.DefaultAPIKey, "POST", "/v1/"+c.path, c.form)
		var answer struct {
			Error struct{ Message string } `json:"error"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != c.status || !strings.Contains(answer.Error.Message, c.want) {
			t.Errorf("%s %s: got %d %s", c.path, c.form, status, body)
		}
	}
	if got := w.totals(""); got.Authorizations != 3 {
		t.Fatalf("a refused charge left something: %+v", got)
	}
	if s := fmt.Sprint(w.records("customers")); strings.Contains(s, "@") {
		t.Errorf("an address got into a customer: %s", s)
	}
}
