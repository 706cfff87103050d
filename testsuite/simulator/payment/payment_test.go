package payment_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
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

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	slices.SortStableFunc(c.due, func(a, b due) int { return a.at.Compare(b.at) })
	var ready []due
	for len(c.due) > 0 && !c.due[0].at.After(c.now) {
		ready, c.due = append(ready, c.due[0]), c.due[1:]
	}
	c.mu.Unlock()
	for _, d := range ready {
		d.do()
	}
}

type world struct {
	*testing.T
	clock  *clock
	server *payment.Server
}

func newWorld(t *testing.T, database string, settings payment.Settings) *world {
	t.Helper()
	w := &world{T: t, clock: &clock{now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}}
	server, err := payment.New(simulator.Options{Database: database, Clock: w.clock}, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	w.server = server
	return w
}

// call sends a form and returns the status, the answer and its headers.
func (w *world) call(method, path, key string, form url.Values) (int, map[string]any, http.Header) {
	w.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Authorization", "Bearer "+payment.DefaultAPIKey)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	recorder := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(recorder, r)
	body, err := io.ReadAll(recorder.Body)
	if err != nil {
		w.Fatal(err)
	}
	answer := map[string]any{}
	if err := json.Unmarshal(body, &answer); err != nil {
		w.Fatalf("%s %s: %s", method, path, body)
	}
	return recorder.Code, answer, recorder.Header()
}

func (w *world) create(key, method string, more ...string) map[string]any {
	w.Helper()
	form := url.Values{
		"amount": {"9980"}, "currency": {"eur"}, "capture_method": {"manual"}, "confirm": {"true"}, "payment_method": {method},
		"metadata[order_id]": {"42"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	_, answer, _ := w.call("POST", "/v1/payment_intents", key, form)
	return answer
}

func errorOf(answer map[string]any) (kind, code string) {
	e, _ := answer["error"].(map[string]any)
	kind, _ = e["type"].(string)
	code, _ = e["code"].(string)
	return kind, code
}

func TestKey_StoresTheFirstAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", payment.Settings{})
	form := url.Values{"amount": {"100"}, "currency": {"eur"}}
	_, first, header := w.call("POST", "/v1/payment_intents", "k", form)
	if header.Get("Idempotent-Replayed") != "" {
		t.Fatal("the first answer is no repetition")
	}
	status, again, header := w.call("POST", "/v1/payment_intents", "k", form)
	if status != 200 || again["id"] != first["id"] || header.Get("Idempotent-Replayed") != "true" {
		t.Fatalf("got %d %v %v", status, again["id"], header)
	}
	form.Set("amount", "200")
	status, answer, _ := w.call("POST", "/v1/payment_intents", "k", form)
	if kind, _ := errorOf(answer); status != 400 || kind != "idempotency_error" {
		t.Fatalf("got %d %v", status, answer)
	}
	w.clock.advance(24*time.Hour + time.Second)
	if _, late, _ := w.call("POST", "/v1/payment_intents", "k", form); late["id"] == first["id"] || late["id"] == nil {
		t.Fatalf("the key was not forgotten: %v", late)
	}
}

func TestKey_StoresRefusals_ButNotWhatNeverRan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", payment.Settings{})
	w.create("declined", "pm_card_chargeDeclined")
	form := url.Values{
		"amount": {"9980"}, "currency": {"eur"}, "capture_method": {"manual"}, "confirm": {"true"},
		"payment_method": {"pm_card_chargeDeclined"}, "metadata[order_id]": {"42"},
	}
	status, answer, header := w.call("POST", "/v1/payment_intents", "declined", form)
	if _, code := errorOf(answer); status != 402 || code != "card_declined" || header.Get("Idempotent-Replayed") != "true" {
		t.Fatalf("got %d %v", status, answer)
	}
	_, _, _ = w.call("POST", "/v1/payment_intents", "unknown", url.Values{"amount": {"1"}, "nonsense": {"1"}})
	status, _, header = w.call("POST", "/v1/payment_intents", "unknown", url.Values{"amount": {"1"}, "currency": {"eur"}})
	if status != 200 || header.Get("Idempotent-Replayed") != "" {
		t.Fatalf("got %d %v", status, header)
	}
}

func TestRequests_AreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", payment.Settings{})
	pi := w.create("k", "pm_card_visa")
	id, _ := pi["id"].(string)
	for _, c := range []struct {
		method, path, form string
		status             int
		code               string
	}{
		{"POST", "/v1/payment_intents", "currency=eur", 400, "parameter_missing"},
		{"POST", "/v1/payment_intents", "amount=100", 400, "parameter_missing"},
		{"POST", "/v1/payment_intents", "amount=x&currency=eur", 400, "parameter_invalid_integer"},
		{"POST", "/v1/payment_intents", "amount=0&currency=eur", 400, "amount_too_small"},
		{"POST", "/v1/payment_intents", "amount=150&currency=isk", 400, "invalid_charge_amount_no_decimal_compatible"},
		{"POST", "/v1/payment_intents", "amount=1255&currency=kwd", 400, "invalid_charge_amount"},
		{"POST", "/v1/payment_intents", "amount=100&currency=eur&colour=red", 400, "parameter_unknown"},
		{"POST", "/v1/payment_intents", "amount=100&currency=eur&confirm=true&payment_method=pm_nothing", 400, "resource_missing"},
		{"POST", "/v1/payment_intents/pi_none/capture", "", 404, "resource_missing"},
		{"POST", "/v1/payment_intents/" + id + "/capture", "amount_to_capture=9981", 400, "amount_too_large"},
		{"POST", "/v1/payment_intents/" + id + "/capture", "final_capture=false", 400, ""},
		{"POST", "/v1/payment_intents/" + id + "/confirm", "", 400, "payment_intent_unexpected_state"},
		{"POST", "/v1/refunds", "payment_intent=" + id, 400, ""},
		{"POST", "/v1/payment_intents/" + id + "/capture", "amount=100", 400, "parameter_unknown"},
		{"POST", "/v1/payment_intents/" + id + "/cancel", "reason=no", 400, "parameter_unknown"},
		{"POST", "/v1/refunds", "payment_intent=" + id + "&reason=because", 400, ""},
		{"GET", "/v1/payment_intents?metadata[order_id]=42", "", 400, "parameter_unknown"},
		{"GET", "/v1/payment_intents?limit=101", "", 400, ""},
		{"GET", "/v1/payment_intents?starting_after=pi_none", "", 400, "resource_missing"},
		{"GET", "/v1/payment_intents/" + id + "?expand[]=customer.name", "", 400, ""},
		{"GET", "/v1/payment_intents/pi_none", "", 404, "resource_missing"},
		{"GET", "/v1/nothing", "", 404, ""},
	} {
		form, err := url.ParseQuery(c.form)
		if err != nil {
			t.Fatal(err)
		}
		status, answer, _ := w.call(c.method, c.path, "", form)
		if _, code := errorOf(answer); status != c.status || code != c.code {
			t.Errorf("%s %s %s: got %d %v", c.method, c.path, c.form, status, answer)
		}
	}
}

func TestBadKey_IsUnauthorized(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", payment.Settings{})
	recorder := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/v1/payment_intents", nil))
	if recorder.Code != http.StatusUnauthorized {
		t.Fatalf("got %d", recorder.Code)
	}
}

func TestLists_AreNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", payment.Settings{})
	for range 15 {
		w.create("", "pm_card_visa")
	}
	_, page, _ := w.call("GET", "/v1/payment_intents", "", nil)
	data, _ := page["data"].([]any)
	first, _ := data[0].(map[string]any)
	last, _ := data[9].(map[string]any)
	if len(data) != 10 || page["has_more"] != true || first["id"] != "pi_00000000000015" {
		t.Fatalf("got %d records, the first %v", len(data), first["id"])
	}
	_, page, _ = w.call("GET", "/v1/payment_intents?starting_after="+last["id"].(string), "", nil)
	if data, _ := page["data"].([]any); len(data) != 5 || page["has_more"] != false {
		t.Fatalf("got %d records", len(data))
	}
	_, page, _ = w.call("GET", "/v1/events?types[]=payment_intent.created&limit=100", "", nil)
	if data, _ := page["data"].([]any); len(data) != 15 {
		t.Fatalf("got %d events", len(data))
	}
}

// A database that is opened anew still lets its authorizations die.
func TestReopened_GoesOn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "payment.db")
	first := newWorld(t, file, payment.Settings{})
	first.create("k", "pm_card_visa")
	if err := first.server.Close(); err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, file, payment.Settings{})
	if _, answer, header := again.call("GET", "/v1/payment_intents/pi_00000000000001", "", nil); answer["status"] != "requires_capture" {
		t.Fatalf("got %v %v", answer, header)
	}
	again.clock.advance(169 * time.Hour)
	_, answer, _ := again.call("GET", "/v1/payment_intents/pi_00000000000001", "", nil)
	if answer["status"] != "canceled" || answer["cancellation_reason"] != "automatic" {
		t.Fatalf("got %v", answer)
	}
}

func TestDesk_Edits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		edits []string
		want  payment.Totals
	}{
		{[]string{`{"order":"42","captured":5000}`}, payment.Totals{Authorizations: 1, Captures: 1, Captured: 5000}},
		{[]string{`{"order":"42","void":true}`}, payment.Totals{Authorizations: 1}},
		{[]string{`{"order":"42","open":0}`}, payment.Totals{Authorizations: 1}},
		{[]string{`{"order":"42","captured":9980}`, `{"order":"42","refunded":9980}`},
			payment.Totals{Authorizations: 1, Captures: 1, Captured: 9980, Refunds: 1, Refunded: 9980}},
		{[]string{`{"order":"42","captured":9980}`, `{"order":"42","dispute":"opened"}`, `{"order":"42","dispute":"lost"}`},
			payment.Totals{Authorizations: 1, Captures: 1, Captured: 9980, Disputed: 9980}},
		{[]string{`{"order":"42","start":{"amount":9980,"currency":"eur","method":"pm_async"}}`, `{"order":"42","pay":"succeeded"}`, `{"order":"42","captured":19960}`},
			payment.Totals{Authorizations: 2, Captures: 2, Captured: 19960}},
		{[]string{`{"order":"42","captured":9980}`, `{"order":"42","refunded":5000}`, `{"order":"42","refunded":9980}`, `{"order":"42","refund":"failed"}`},
			payment.Totals{Authorizations: 1, Captures: 1, Captured: 9980, Refunds: 1, Refunded: 5000}},
		{[]string{`{"order":"42","review":"opened"}`, `{"order":"42","review":"declined"}`}, payment.Totals{Authorizations: 1}},
	} {
		w := newWorld(t, "", payment.Settings{})
		w.create("k", "pm_card_visa")
		for _, e := range c.edits {
			if err := w.server.Edit(json.RawMessage(e)); err != nil {
				t.Fatalf("%s: %v", e, err)
			}
		}
		state, err := w.server.State("42")
		if err != nil {
			t.Fatal(err)
		}
		if got := state.(payment.State).Totals; got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.edits, got, c.want)
		}
	}
}

func TestDesk_RefusesNonsense(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", payment.Settings{})
	w.create("k", "pm_card_visa")
	for _, e := range []string{`{}`, `{"order":"42"}`, `{"order":"42","colour":"red"}`, `{"order":"42","captured":9981}`, `{"order":"42","refunded":1}`,
		`{"order":"43","void":true}`, `{"order":"42","attempt":2,"void":true}`, `{"order":"42","pay":"succeeded"}`, `{"order":"42","dispute":"opened"}`,
		`{"order":"42","refund":"failed"}`, `{"order":"42","refund":"lost"}`} {
		if err := w.server.Edit(json.RawMessage(e)); err == nil {
			t.Errorf("accepted %s", e)
		}
	}
	for _, e := range []string{`{}`, `{"type":"payment.captured"}`, `{"type":"odd","order":"42"}`, `{"type":"refund.failed","order":"42"}`, `{"type":"review.approved","order":"43"}`} {
		if err := w.server.Event(json.RawMessage(e)); err == nil {
			t.Errorf("accepted %s", e)
		}
	}
	entries, err := w.server.Frame().Ledger(0, "42")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Kind == simulator.EntryEdit {
			t.Errorf("a refused edit left %+v", e)
		}
	}
}

// An event without a change leaves no record changed and no event listed.
func TestEvent_ChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", payment.Settings{})
	w.create("k", "pm_card_visa")
	_, before, _ := w.call("GET", "/v1/payment_intents/pi_00000000000001", "", nil)
	for _, of := range []string{"payment.authorized", "payment.captured", "payment.failed", "payment.expired", "payment.voided"} {
		if err := w.server.Event(json.RawMessage(`{"type":"` + of + `","order":"42","copies":2}`)); err != nil {
			t.Fatal(err)
		}
	}
	_, after, _ := w.call("GET", "/v1/payment_intents/pi_00000000000001", "", nil)
	if before["status"] != after["status"] || after["status"] != "requires_capture" {
		t.Fatalf("got %v", after)
	}
	_, events, _ := w.call("GET", "/v1/events?type=payment_intent.succeeded", "", nil)
	if data, _ := events["data"].([]any); len(data) != 0 {
		t.Fatalf("got %v", data)
	}
}

func TestVanishes_LeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", payment.Settings{})
	if _, err := w.server.Frame().Inject(simulator.Fault{Operation: order.Authorize, Kind: simulator.Vanishes}); err != nil {
		t.Fatal(err)
	}
	if pi := w.create("k", "pm_card_visa"); pi["status"] != "requires_capture" {
		t.Fatalf("got %v", pi)
	}
	state, err := w.server.State("")
	if err != nil || len(state.(payment.State).PaymentIntents) != 0 {
		t.Fatalf("got %+v, %v", state, err)
	}
}
