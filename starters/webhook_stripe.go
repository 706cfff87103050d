package starters

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
)

// StripeWebhook understands Stripe's events.
type StripeWebhook struct {
	Secrets []string
	// Account and Live say which events are ours.
	Account string
	Live    bool
	// OrderOf reads to which order a PaymentIntent belongs; nil: nobody can, and
	// disputes and reviews, which never say, wait in the inbox.
	OrderOf func(ctx context.Context, paymentIntent string) (order.ID, error)
	Log     *logrus.Logger // may be nil
}

// Webhook returns the webhook of payments.
func (s StripeWebhook) Webhook() Webhook {
	return Webhook{
		System: order.SystemPayment,
		Verify: func(r *http.Request, body []byte, now time.Time) error {
			return stripe.Verify(body, r.Header.Get("Stripe-Signature"), s.Secrets, now)
		},
		Events: s.events,
	}
}

func (s StripeWebhook) events(body []byte) ([]Event, error) {
	e, err := stripe.ParseEvent(body)
	if err != nil {
		return nil, err
	}
	if err := e.Ours(s.Account, s.Live); err != nil {
		if s.Log != nil {
			s.Log.WithError(err).Warn("an event that is not ours was ignored; is the endpoint set in the right account and mode?")
		}
		return nil, nil
	}
	event := Event{
		Notice: reconciliation.Notice{ID: e.ID, System: order.SystemPayment, Record: e.PaymentIntent, Type: e.Type, At: e.Created, Echo: e.Key},
		Order:  e.Order,
		Keep:   e.PaymentIntent != "", // a payment that nobody claims is for a person
	}
	if e.Order == "" && e.PaymentIntent != "" && s.OrderOf != nil {
		event.Find = func(ctx context.Context) ([]order.ID, error) { return s.find(ctx, e.PaymentIntent) }
	}
	return []Event{event}, nil
}

func (s StripeWebhook) find(ctx context.Context, paymentIntent string) ([]order.ID, error) {
	of, err := s.OrderOf(ctx, paymentIntent)
	switch {
	case err != nil && apierr.CodeOf(err) == apierr.NotFound:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("find the order of payment %s: %w", paymentIntent, err)
	case of == "":
		return nil, nil
	}
	return []order.ID{of}, nil
}
