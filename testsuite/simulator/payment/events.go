package payment

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

const apiVersion = "2026-03-25.dahlia"

// emit records an event about a PaymentIntent with a snapshot of an object; it
// is posted after the transaction.
func (w *world) emit(of string, pi *intent, snapshot any) error {
	e, err := w.event(of, pi, snapshot)
	if err != nil {
		return err
	}
	w.events = append(w.events, *e)
	return w.put(e)
}

func (w *world) event(of string, pi *intent, snapshot any) (*event, error) {
	id, err := w.next("evt")
	if err != nil {
		return nil, err
	}
	e := &event{
		ID: id, Object: "event", APIVersion: apiVersion, Created: w.now(), Data: eventData{Object: snapshot},
		Livemode: pi.Livemode, PendingWebhooks: 1, Type: of, Order: pi.order(), Intent: pi.ID,
	}
	if w.key != "" && w.kind == simulator.EntryEffect {
		e.Request.IdempotencyKey = &w.key
	}
	return e, nil
}

// notification is an event as it is posted; every delivery is signed anew, as
// of its own time.
func (s *Server) notification(e event, secret string) simulator.Notification {
	body, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		body = []byte("{}")
	}
	return simulator.Notification{
		ID: e.ID, Type: e.Type, Order: e.Order, Body: body,
		Header: func(at time.Time) http.Header {
			return http.Header{"Stripe-Signature": {Sign(body, secret, at)}, "User-Agent": {"Stripe/1.0"}}
		},
	}
}

// Sign returns the Stripe-Signature header of a payload.
func Sign(payload []byte, secret string, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%s.", t)
	_, _ = mac.Write(payload)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// lie is a PaymentIntent as an event of a type would show it, whatever is true.
func lie(pi *intent, of string) intent {
	snapshot := *pi
	switch of {
	case "payment_intent.amount_capturable_updated":
		snapshot.Status, snapshot.AmountCapturable = "requires_capture", pi.Amount
	case "payment_intent.succeeded":
		snapshot.Status, snapshot.AmountReceived, snapshot.AmountCapturable = "succeeded", pi.Amount, 0
	case "payment_intent.payment_failed":
		snapshot.Status, snapshot.AmountCapturable = "requires_payment_method", 0
	case "payment_intent.canceled":
		snapshot.Status, snapshot.AmountCapturable = "canceled", 0
	}
	return snapshot
}

// unplaced is a PaymentIntent that the gateway does not have, of an order that
// it has not heard of.
func (w *world) unplaced(of order.ID) *intent {
	return &intent{
		ID: "pi_unplaced", Object: "payment_intent", CaptureMethod: "manual", ConfirmationMethod: "automatic", Created: w.now(),
		Currency: "eur", Livemode: w.s.settings.LiveMode, Metadata: map[string]string{"order_id": string(of)}, PaymentMethodTypes: []string{"card"},
	}
}
