package endtoend

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
)

// post sends a body to the gateway and returns the status and the answer.
func (b *bundle) post(path string, body []byte) (int, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.gateway.URL+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestRefusals_BadOrders_EachNamesItsFieldAndStartsNothing(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	for name, bad := range map[string]struct {
		change func(o *order.Order)
		field  string
	}{
		"no lines":         {func(o *order.Order) { o.Lines = nil }, "lines"},
		"quantity zero":    {func(o *order.Order) { o.Lines[0].Quantity = 0 }, "quantity"},
		"quantity huge":    {func(o *order.Order) { o.Lines[0].Quantity = 1_000_001 }, "quantity"},
		"unknown currency": {func(o *order.Order) { o.Currency = "XXQ" }, "currency"},
		"mixed currencies": {func(o *order.Order) { o.Lines[0].Currency = "USD" }, "currency"},
		"wrong sum":        {func(o *order.Order) { o.Total++ }, "total"},
		"overflow":         {func(o *order.Order) { o.Lines[0].UnitPrice = 1 << 62 }, "lines"},
		"in the future":    {func(o *order.Order) { o.PlacedAt = time.Now().Add(48 * time.Hour) }, "placed_at"},
	} {
		o := anOrder("bad-" + strings.ReplaceAll(name, " ", "-"))
		bad.change(&o)
		body, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if status, text := b.post("/v1/orders", body); status < 400 || status >= 500 || !strings.Contains(text, bad.field) {
			t.Errorf("%s: answered %d %s; want a refusal that names %s", name, status, text, bad.field)
		}
		if _, err := b.orders.Verdict(t.Context(), o.ID, false); !errors.Is(err, starters.ErrUnknownOrder) {
			t.Errorf("%s: something was started: %v", name, err)
		}
	}
}

func TestRefusals_BadBodiesAndIDs(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	good, err := json.Marshal(anOrder("body-1"))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"unknown field": bytes.Replace(good, []byte(`{"id"`), []byte(`{"surprise":1,"id"`), 1),
		"id with slash": bytes.Replace(good, []byte(`"body-1"`), []byte(`"../body"`), 1),
		"id too long":   bytes.Replace(good, []byte(`"body-1"`), []byte(`"`+strings.Repeat("a", 65)+`"`), 1),
		"not JSON":      []byte("hello"),
		"too large":     append(bytes.TrimSuffix(good, []byte("}")), []byte(`,"x":"`+strings.Repeat("x", 2<<20)+`"}`)...),
	} {
		if status, text := b.post("/v1/orders", body); status < 400 || status >= 500 {
			t.Errorf("%s: answered %d %s; want a refusal", name, status, text)
		}
	}
	if _, err := b.orders.Verdict(t.Context(), "body-1", false); !errors.Is(err, starters.ErrUnknownOrder) {
		t.Errorf("something was started: %v", err)
	}
}

func TestRefusals_UnsignedWebhook_ToldToNobody(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("unsigned-1")
	b.accept(o)
	before, err := b.history(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, system := range []string{"payment", "crm"} {
		if status, text := b.post("/v1/webhooks/"+system, []byte(`{"id":"evt_1","object":"event","type":"payment_intent.canceled"}`)); status < 400 || status >= 500 {
			t.Errorf("an unsigned webhook of %s: answered %d %s; want a refusal", system, status, text)
		}
	}
	b.check(o, endAccepted(o))
	after, err := b.history(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range after.Events[len(before.Events):] {
		if s := e.GetWorkflowExecutionSignaledEventAttributes(); s != nil && strings.Contains(s.String(), "evt_1") {
			t.Errorf("the order was told of an unsigned webhook: %s", s)
		}
	}
}
