package starters

import (
	"context"
	"net/http"
	"time"

	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
)

// HubSpotWebhook understands HubSpot's events.
type HubSpotWebhook struct {
	Secrets []string
	// PublicURL is how HubSpot reaches us, without the path: it signs the whole
	// address, and a proxy changes what the request says of it.
	PublicURL string
	// OrdersOf reads whose orders a record concerns; nil: nobody can, and deals
	// wait in the inbox.
	OrdersOf func(ctx context.Context, e hubspot.Event) ([]order.ID, error)
}

// Webhook returns the webhook of the CRM.
func (h HubSpotWebhook) Webhook() Webhook {
	return Webhook{
		System: order.SystemCRM,
		Verify: func(r *http.Request, body []byte, now time.Time) error {
			address := h.PublicURL + webhookPath + string(order.SystemCRM)
			if r.URL.RawQuery != "" {
				address += "?" + r.URL.RawQuery
			}
			return hubspot.Verify(r, address, body, h.Secrets, now)
		},
		Events: h.events,
	}
}

func (h HubSpotWebhook) events(body []byte) ([]Event, error) {
	parsed, err := hubspot.ParseEvents(body)
	if err != nil {
		return nil, err
	}
	events := make([]Event, 0, len(parsed))
	for _, e := range parsed {
		if !e.Deal() && !e.Contact() {
			events = append(events, Event{}) // a company, a ticket: let go
			continue
		}
		event := Event{
			Notice: reconciliation.Notice{ID: e.ID, System: order.SystemCRM, Record: e.ObjectID, Type: e.Type, At: e.Occurred},
			// A deal that HubSpot itself says is of no order is an abandoned cart or
			// somebody else's. Only where it cannot be asked does it wait.
			Keep:     e.Deal() && h.OrdersOf == nil,
			OpenOnly: e.Contact(),
		}
		if e.Contact() {
			event.Notice.Record = "contact-" + e.ObjectID // ids of deals are numbers of their own
		}
		if h.OrdersOf != nil {
			event.Find = func(ctx context.Context) ([]order.ID, error) { return h.OrdersOf(ctx, e) }
		}
		events = append(events, event)
	}
	return events, nil
}
