package stripe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

// wire keeps what was asked and answered.
type wire struct {
	mu   sync.Mutex
	seen []exchanged
}

type exchanged struct {
	request, path, form, answer string
	status                      int
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, exchanged{
		request: r.Method + " " + r.URL.Path, path: r.URL.RequestURI(), form: string(body), answer: string(answer), status: resp.StatusCode,
	})
	return resp, nil
}

// everyRequest makes the adapter send each kind of request that it ever sends.
func everyRequest(c *stripe.Client, at time.Time) {
	ctx := context.Background()
	for i, change := range []func(*payment.AuthorizeRequest){
		func(*payment.AuthorizeRequest) {},
		func(r *payment.AuthorizeRequest) { r.Payment.Capture = order.CaptureAtOnce },
		func(r *payment.AuthorizeRequest) { r.Payment.Multicapture, r.Payment.Reusable = true, true },
		func(r *payment.AuthorizeRequest) { r.Payment.Reusable, r.Customer = true, "cus_1" },
		func(r *payment.AuthorizeRequest) { r.OffSession, r.Customer = true, "cus_1" },
		func(r *payment.AuthorizeRequest) { r.OffSession, r.Payment.Intent = true, "pi_1" },
		func(r *payment.AuthorizeRequest) { r.Payment.Method = "" },
		func(r *payment.AuthorizeRequest) {
			r.Payment.Intent, r.Amount = "pi_1", order.Amount{Minor: 1099, Currency: "USD"}
		},
		func(r *payment.AuthorizeRequest) { r.Amount = order.Amount{Minor: 5, Currency: "ISK"} },
	} {
		r := authorization("42", total, "pm_card_visa")
		r.Key = order.Intent{Order: "42", Operation: order.Authorize, N: i + 1}.Key()
		change(&r)
		_, _ = c.Authorize(ctx, r)
	}
	for _, r := range []payment.CaptureRequest{capture("42", "pi_1", 500), capture("42", "pi_1", 0)} {
		_, _ = c.Capture(ctx, r)
		r.Final = false
		_, _ = c.Capture(ctx, r)
	}
	_, _ = c.Void(ctx, void("42", "pi_1"))
	_, _ = c.Refund(ctx, refund("42", "pi_1", 100))
	byWord := refund("42", "pi_1", 100)
	byWord.Reason = "duplicate"
	_, _ = c.Refund(ctx, byWord)
	_, _ = c.Lookup(ctx, reconcile.Subject{Order: "42", PlacedAt: at, Known: []string{"pi_1"}})
	_, _ = c.LookupMany(ctx, []reconcile.Subject{{Order: "42", PlacedAt: at}, {Order: "43", PlacedAt: at, Known: []string{"pi_1"}}})
	_, _ = c.OrderOf(ctx, "pi_1")
	for _, by := range []reconcile.Listing{reconcile.ListChanged, reconcile.ListCreated} {
		_, _ = c.List(ctx, reconcile.ListRequest{By: by, From: at, To: at.Add(time.Hour), Cursor: map[reconcile.Listing]string{
			reconcile.ListChanged: "evt_1", reconcile.ListCreated: "pi_1"}[by]})
	}
}

// realMock is the address of a stripe-mock.
func realMock(t *testing.T) string {
	t.Helper()
	address := os.Getenv("TRUEUP_REAL_STRIPE_MOCK")
	if address == "" {
		t.Skip("TRUEUP_REAL_STRIPE_MOCK is not set: start one with testsuite/real/stripe-mock.sh")
	}
	return address
}

// Stripe's own description of its API accepts every request that the adapter sends.
func TestReal_EveryRequestIsAccepted(t *testing.T) {
	t.Parallel()
	sent := &wire{}
	clock := newClock()
	c, err := stripe.New(stripe.Config{
		APIKey: "sk_test_123", BaseURL: realMock(t), Channel: "shop", ReturnURL: "https://shop.example/thanks",
		Now: clock.Now, Transport: sent, LookupPages: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	everyRequest(c, clock.Now())
	kinds := map[string]int{}
	for _, x := range sent.seen {
		t.Logf("%d %s %s", x.status, x.path, x.form)
		if x.status != http.StatusOK {
			t.Errorf("%d for %s %s: %s", x.status, x.path, x.form, x.answer)
		}
		kinds[strings.ReplaceAll(x.request, "/pi_1", "/ID")]++
	}
	for _, want := range []string{
		"POST /v1/payment_intents", "POST /v1/payment_intents/ID/capture", "POST /v1/payment_intents/ID/cancel",
		"POST /v1/refunds", "POST /v1/customers", "GET /v1/payment_intents/ID", "GET /v1/payment_intents", "GET /v1/events",
	} {
		if kinds[want] == 0 {
			t.Errorf("nothing was sent to %s", want)
		}
	}
}

// What stripe-mock's fixed answers do not lead the adapter to, Stripe accepts too:
// it keeps a method for a customer, and leaves the rest of a capture capturable.
func TestReal_AcceptsWhatTheSimulatorAccepts(t *testing.T) {
	t.Parallel()
	real := realMock(t)
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_visa")
	r.Payment.Multicapture = true
	held := w.must(r).Attempt.ID
	if _, err := w.server.Start("43", gateway.Checkout{Amount: total, Currency: "EUR", Method: "pm_card_visa", Reusable: true}); err != nil {
		t.Fatal(err)
	}
	method, _ := w.records("payment_intents")[0]["payment_method"].(string)
	status, body := call(t, w.url, gateway.DefaultAPIKey, "POST", "/v1/customers", "metadata[order_id]=43&metadata[customer_id]=c1")
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusOK {
		t.Fatalf("got %d %s", status, body)
	}
	for _, c := range []struct{ method, path, form string }{
		{"POST", "/v1/payment_intents/" + held + "/capture", "amount_to_capture=5000&final_capture=false&expand[]=latest_charge"},
		{"POST", "/v1/customers", "metadata[order_id]=43&metadata[customer_id]=c1"},
		{"GET", "/v1/payment_methods/" + method, ""},
		{"GET", "/v1/payment_intents?created[gte]=1&created[lt]=2&limit=100&expand[]=data.latest_charge&expand[]=data.review", ""},
		{"POST", "/v1/payment_methods/" + method + "/attach", "customer=" + made.ID},
		{"POST", "/v1/payment_intents", "amount=100&currency=eur&confirm=true&off_session=true&payment_method=" + method + "&customer=" + made.ID},
	} {
		simulated, ours := call(t, w.url, gateway.DefaultAPIKey, c.method, c.path, c.form)
		genuine, theirs := call(t, real, "sk_test_123", c.method, c.path, c.form)
		if simulated != http.StatusOK || genuine != http.StatusOK {
			t.Errorf("%s %s %s: the simulator says %d %s, stripe-mock %d %s", c.method, c.path, c.form, simulated, ours, genuine, theirs)
		}
		if strings.HasPrefix(c.path, "/v1/payment_methods/") || c.path == "/v1/customers" {
			sameFields(t, c.path, ours, theirs)
		}
	}
}

func sameFields(t *testing.T, path, ours, theirs string) {
	t.Helper()
	var simulated, genuine map[string]any
	if err := errors.Join(json.Unmarshal([]byte(ours), &simulated), json.Unmarshal([]byte(theirs), &genuine)); err != nil {
		t.Fatal(err)
	}
	compareFields(t, path, simulated, genuine)
}

// What stripe-mock refuses the simulator refuses, and with the same status.
func TestReal_RefusesWhatTheSimulatorRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.authorize("42", total)
	method, _ := w.records("payment_intents")[0]["payment_method"].(string)
	real := realMock(t)
	for _, c := range []struct{ method, path, form string }{
		{"POST", "/v1/payment_intents", "amount=100&currency=eur&nonsense=1"},
		{"POST", "/v1/payment_intents", "amount=x&currency=eur"},
		{"POST", "/v1/payment_intents", "currency=eur"},
		{"POST", "/v1/payment_intents", "amount=100"},
		{"POST", "/v1/payment_intents", "amount=100&currency=eur&capture_method=later"},
		{"POST", "/v1/payment_intents", "amount=100&currency=eur&payment_method_options[card][request_multicapture]=always"},
		{"POST", "/v1/payment_intents/" + a.ID + "/capture", "amount=100"},
		{"POST", "/v1/payment_intents/" + a.ID + "/cancel", "reason=no"},
		{"POST", "/v1/refunds", "payment_intent=" + a.ID + "&reason=because"},
		{"POST", "/v1/refunds", "payment_intent=" + a.ID + "&sum=1"},
		{"GET", "/v1/payment_intents?metadata[order_id]=42", ""},
		{"POST", "/v1/customers", "metadata=x"},
		{"POST", "/v1/customers", "colour=red"},
		{"POST", "/v1/payment_methods/" + method + "/attach", "colour=red"},
		{"GET", "/v1/refunds?order=1", ""},
		{"GET", "/v1/nothing", ""},
	} {
		simulated, ours := call(t, w.url, gateway.DefaultAPIKey, c.method, c.path, c.form)
		genuine, theirs := call(t, real, "sk_test_123", c.method, c.path, c.form)
		if simulated != genuine {
			t.Errorf("%s %s %s: the simulator says %d %s, stripe-mock %d %s", c.method, c.path, c.form, simulated, ours, genuine, theirs)
		}
	}
	for _, key := range []string{"", "nonsense"} {
		simulated, _ := call(t, w.url, key, "GET", "/v1/payment_intents", "")
		genuine, _ := call(t, real, key, "GET", "/v1/payment_intents", "")
		if simulated != genuine {
			t.Errorf("with the key %q the simulator says %d, stripe-mock %d", key, simulated, genuine)
		}
	}
}

// The simulator's records have no field that Stripe's have not, and each field's
// value is of the same kind where both have one.
func TestReal_RecordsHaveStripesFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_riskLevelElevated")
	r.Payment.Multicapture, r.Payment.Reusable = true, true
	got, err := w.client.Authorize(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Capture(t.Context(), capture("42", got.Attempt.ID, total)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Refund(t.Context(), refund("42", got.Attempt.ID, 100)); err != nil {
		t.Fatal(err)
	}
	w.event(map[string]any{"type": "dispute.opened", "order": "42"})
	real := realMock(t)
	for _, path := range []string{"payment_intents", "charges", "refunds", "disputes", "reviews", "events", "customers"} {
		ours := firstOf(t, w.url, gateway.DefaultAPIKey, path)
		theirs := firstOf(t, real, "sk_test_123", path)
		compareFields(t, path, ours, theirs)
	}
	_, body := call(t, real, "sk_test_123", "GET", "/v1/account", "")
	if !strings.Contains(body, `"id":"acct_`) {
		t.Errorf("the account has no id: %.200s", body)
	}
}

// compareFields tells a field that Stripe has not, or has of another kind.
func compareFields(t *testing.T, path string, ours, theirs map[string]any) {
	t.Helper()
	for name, value := range ours {
		genuine, ok := theirs[name]
		if path == "reviews" && name == "payment_intent" {
			continue // documented, but left out of stripe-mock's example
		}
		if !ok {
			t.Errorf("%s have no field %q", path, name)
			continue
		}
		if a, b := kindOf(value), kindOf(genuine); a != b && a != "null" && b != "null" {
			t.Errorf("%s: %s is a %s in the simulator and a %s at Stripe", path, name, a, b)
		}
	}
}

func firstOf(t *testing.T, base, key, path string) map[string]any {
	t.Helper()
	_, body := call(t, base, key, "GET", "/v1/"+path, "")
	var page struct {
		Object  string           `json:"object"`
		HasMore *bool            `json:"has_more"`
		Data    []map[string]any `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Data) == 0 || page.Object != "list" || page.HasMore == nil {
		t.Fatalf("%s: %v in %.200s", path, err, body)
	}
	return page.Data[0]
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "list"
	}
	return "record"
}

func call(t *testing.T, base, key, method, path, form string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
