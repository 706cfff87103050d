package starters_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/internal/memory"
)

// door is a gateway without a socket, for fuzzing: an engine of its own for
// every request.
func door(t *testing.T) (http.Handler, *memory.Engine) {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	engine := &memory.Engine{}
	gateway, err := starters.NewGateway(starters.GatewayOptions{
		Client: &starters.Client{Engine: engine, Now: clock}, Log: log, PublicURL: publicURL,
		Webhooks: []starters.Webhook{
			starters.StripeWebhook{Secrets: []string{stripeSecret}}.Webhook(),
			starters.HubSpotWebhook{Secrets: []string{hubspotSecret}, PublicURL: publicURL}.Webhook(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return gateway, engine
}

func knock(t *testing.T, h http.Handler, path string, header http.Header, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		r.Header[k] = v
	}
	r.Host = "127.0.0.1:8088" // it takes no other name
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Whatever is posted is refused, and then nothing has begun, or is an order
// whose intake a second submission finds to be the same.
func FuzzSubmit(f *testing.F) {
	for _, seed := range []string{
		`{`, `null`, `[]`, `""`, `{"id":"A-1"}`, strings.Repeat(`[`, 10_000), "\xff\xfe", `{"id":"A-1","id":"A-2"}`,
		`{"id":"A-1","placed_at":"2026-01-02T11:00:00Z","channel":"shop","customer":{"id":"c1","email":"c1@example.com","name":"Ada"},"ship_to":{"name":"Ada","street":"1 Main St","city":"Paris","postal_code":"75001","country":"FR"},"currency":"EUR","lines":[{"sku":"A","quantity":2,"unit_price":2500},{"sku":"B","quantity":1,"unit_price":4980}],"total":9980,"payment":{"method":"pm_card_visa"}}`,
		`{"id":"A-1","lines":[{"sku":"A","quantity":9223372036854775807,"unit_price":9223372036854775807}],"total":1e308}`,
		`{"id":"A-1","customer":{"email":"a@b.c\r\nBcc: d@e.f"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		gateway, engine := door(t)
		answer := knock(t, gateway, "/v1/orders", nil, body)
		begun := engine.IDs()
		switch {
		case answer.Code >= 400 && answer.Code < 500:
			if len(begun) > 0 {
				t.Fatalf("%q was refused with %d and began %v", body, answer.Code, begun)
			}
		case answer.Code == http.StatusCreated:
			o, err := order.Decode(body)
			if err != nil || len(begun) != 1 || begun[0] != "order/"+string(o.ID) {
				t.Fatalf("%q was taken as %q (%v) and began %v", body, o.ID, err, begun)
			}
			if again := knock(t, gateway, "/v1/orders", nil, body); again.Code != http.StatusOK {
				t.Fatalf("%q is another order the second time: %d %s", body, again.Code, again.Body)
			}
		default:
			t.Fatalf("%q was answered with %d %s", body, answer.Code, answer.Body)
		}
	})
}

// A webhook whose signature does not fit begins nothing, and one that fits
// begins nothing that it does not name.
func FuzzWebhook(f *testing.F) {
	body := stripeEvent("evt_1", "payment_intent.succeeded", "A-1")
	good := signed(body, stripeSecret, noon).Get("Stripe-Signature")
	f.Add(body, good, false)
	f.Add(body, good+",v1=00", true)
	f.Add([]byte(`{"data":{"object":[]}}`), "t=,v1=", true)
	f.Add([]byte("["+hubspotEvent(1, "deal.creation", 5)+"]"), "", true)
	f.Fuzz(func(t *testing.T, payload []byte, header string, sign bool) {
		for _, system := range []string{"payment", "crm"} {
			path := "/v1/webhooks/" + system
			h := http.Header{"Stripe-Signature": {header}, "X-Hubspot-Signature-V3": {header}, "X-Hubspot-Request-Timestamp": {header}}
			if sign {
				h = signed(payload, stripeSecret, noon)
				if system == "crm" {
					h = hubspotHeader(publicURL+path, payload, hubspotSecret, noon)
				}
			}
			gateway, engine := door(t)
			answer := knock(t, gateway, path, h, payload)
			if fits := sign || bytes.Equal(payload, body) && strings.HasPrefix(header, good); !fits && answer.Code != http.StatusUnauthorized {
				t.Fatalf("%s: %q with %q was answered with %d", system, payload, header, answer.Code)
			}
			for _, id := range engine.IDs() {
				if answer.Code >= 400 || strings.HasPrefix(id, "order/") {
					t.Fatalf("%s: %q was answered with %d and began %s", system, payload, answer.Code, id)
				}
			}
		}
	})
}
