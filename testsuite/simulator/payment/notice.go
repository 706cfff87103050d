package payment

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// notice asks for a notification.
type notice struct {
	Type    string   `json:"type"`
	Order   order.ID `json:"order"`
	Attempt int      `json:"attempt,omitempty"` // counts from 1; 0: the newest
	Copies  int      `json:"copies,omitempty"`
	Forged  bool     `json:"forged,omitempty"`  // signed with another secret
	Account string   `json:"account,omitempty"` // from this account, not ours
	SameID  bool     `json:"same_id,omitempty"` // with the id of the last such event
	Status  string   `json:"status,omitempty"`  // of dispute.closed: won, else lost
}

// stripeTypes are Stripe's words for the event types of incident files.
var stripeTypes = map[string]string{
	"payment.authorized": "payment_intent.amount_capturable_updated",
	"payment.captured":   "payment_intent.succeeded",
	"payment.failed":     "payment_intent.payment_failed",
	"payment.expired":    "payment_intent.canceled",
	"payment.voided":     "payment_intent.canceled",
	"review.opened":      "review.opened",
	"review.approved":    "review.closed",
	"review.declined":    "review.closed",
	"refund.succeeded":   "refund.updated",
	"refund.failed":      "refund.failed",
	"dispute.opened":     "charge.dispute.created",
	"dispute.closed":     "charge.dispute.closed",
}

// Event implements simulator.Desk. It changes no record, but for reviews and
// disputes, which are opened or closed first; declining a review cancels or
// refunds its payment, as it does at Stripe.
func (s *Server) Event(raw json.RawMessage) error {
	var in notice
	if err := strict(raw, &in); err != nil {
		return fmt.Errorf("send payment event: %w", err)
	}
	if stripeTypes[in.Type] == "" {
		return fmt.Errorf("send payment event: unknown type %q", in.Type)
	}
	if in.Order == "" {
		return errors.New("send payment event: about which order?")
	}
	var send *event
	w, err := s.transact(func(w *world) error {
		var err error
		send, err = w.notice(in)
		return err
	})
	if err != nil {
		return fmt.Errorf("send payment event %s of order %s: %w", in.Type, in.Order, err)
	}
	secret := s.secret
	if in.Forged {
		secret = "whsec_of_somebody_else_entirely"
	}
	for _, e := range w.events { // what followed from it, but the one that was asked for
		if send != nil && e.ID != send.ID {
			s.frame.Notify(s.notification(e, s.secret))
		}
	}
	if send != nil {
		send.Account = in.Account
		s.frame.Send(s.notification(*send, secret), in.Copies)
	}
	return nil
}

// notice changes what the event says has changed, and returns the event.
func (w *world) notice(in notice) (*event, error) {
	of := stripeTypes[in.Type]
	intents, err := w.chosen(in.Order, in.Attempt)
	if errors.Is(err, simulator.ErrNoRecord) && strings.HasPrefix(in.Type, "payment.") {
		intents, err = []*intent{w.unplaced(in.Order)}, nil
	}
	if err != nil {
		return nil, err
	}
	pi := intents[len(intents)-1]
	switch in.Type {
	case "review.opened", "review.approved", "review.declined":
		err = w.reviewed(pi, strings.TrimPrefix(in.Type, "review."))
	case "dispute.opened":
		err = w.disputed(pi, "opened", 0)
	case "dispute.closed":
		status := "lost"
		if in.Status == "won" {
			status = "won"
		}
		err = w.disputed(pi, status, 0)
	}
	if err != nil {
		return nil, err
	}
	var e *event
	for i := range w.events {
		if w.events[i].Type == of {
			e = &w.events[i]
		}
	}
	if e == nil {
		if e, err = w.told(in, of, pi); err != nil {
			return nil, err
		}
	}
	return e, w.sameID(in, e)
}

// told is an event about which nothing changed.
func (w *world) told(in notice, of string, pi *intent) (*event, error) {
	if !strings.HasPrefix(in.Type, "refund.") {
		return w.event(of, pi, lie(pi, of))
	}
	refunds, err := list[refund](w, "refund", pi.ID) // also one that a person made, which names no order
	if err != nil {
		return nil, err
	}
	if len(refunds) == 0 {
		return nil, simulator.ErrNoRecord
	}
	r := *refunds[len(refunds)-1]
	r.Status = strings.TrimPrefix(in.Type, "refund.")
	return w.event(of, pi, r)
}

// sent remembers the id of the last event of a type about an order.
type sent struct {
	Of    string   `json:"of"`
	Order order.ID `json:"order"`
	Event string   `json:"event"`
}

func (s *sent) head() (string, string, string, order.ID, int64) {
	return "sent " + s.Of + " " + string(s.Order), "sent", "", s.Order, 0
}

// sameID gives an event the id of the last such event about its order, if that
// is asked for, and remembers it.
func (w *world) sameID(in notice, e *event) error {
	record := sent{Of: e.Type, Order: in.Order, Event: e.ID}
	if in.SameID {
		id, _, _, _, _ := record.head()
		old, err := get[sent](w, "sent", id)
		if err != nil {
			return err
		}
		if old != nil {
			e.ID, record.Event = old.Event, old.Event
		} else if last, err := w.lastEvent(e.Type, in.Order); err != nil {
			return err
		} else if last != "" {
			e.ID, record.Event = last, last
		}
	}
	return w.put(&record)
}

// lastEvent is the id of the last recorded event of a type about an order.
func (w *world) lastEvent(of string, about order.ID) (string, error) {
	all, err := ofOrder[event](w, "event", about)
	if err != nil {
		return "", err
	}
	for _, e := range newestFirst(all) {
		if e.Type == of {
			return e.ID, nil
		}
	}
	return "", nil
}

// reviewed opens or closes a review: opened, approved, declined.
func (w *world) reviewed(pi *intent, how string) error {
	c, err := get[charge](w, "charge", deref(pi.LatestCharge))
	if err != nil {
		return err
	}
	switch how {
	case "opened":
		if err := w.openReview(pi, c); err != nil {
			return err
		}
		if c != nil {
			if err := w.put(c); err != nil {
				return err
			}
		}
		return w.put(pi)
	case "approved":
		return w.closeReview(pi, "approved")
	case "declined":
	default:
		return fmt.Errorf("unknown review %q; want opened, approved or declined", how)
	}
	if pi.Status == "requires_capture" && pi.AmountReceived > 0 {
		if err := w.keepTaken(pi, "fraudulent"); err != nil {
			return err
		}
		if c, err = get[charge](w, "charge", deref(pi.LatestCharge)); err != nil {
			return err
		}
	}
	switch pi.Status {
	case "canceled":
		return w.closeReview(pi, "canceled")
	case "succeeded":
		if err := w.closeReview(pi, "refunded_as_fraud"); err != nil || c == nil {
			return err
		}
		left, err := w.refundable(c)
		if err != nil || left == 0 {
			return err
		}
		_, err = w.refund(pi, c, left, map[string]string{})
		return err
	}
	return w.cancel(pi, "fraudulent") // closes the review
}

// disputed opens or closes a dispute: opened, won, lost. One that opens is about an
// amount, or all that is left.
func (w *world) disputed(pi *intent, how string, amount int64) error {
	if how == "opened" {
		c, err := get[charge](w, "charge", deref(pi.LatestCharge))
		if err != nil {
			return err
		}
		if c == nil || c.AmountCaptured == 0 {
			return errors.New("only money that was captured can be disputed")
		}
		_, err = w.openDispute(pi, c, "needs_response", amount)
		return err
	}
	if how != "won" && how != "lost" {
		return fmt.Errorf("unknown dispute %q; want opened, won or lost", how)
	}
	all, err := list[dispute](w, "dispute", pi.ID)
	if err != nil {
		return err
	}
	for _, d := range newestFirst(all) {
		if d.Status == "won" || d.Status == "lost" {
			continue
		}
		d.Status = how
		if err := w.put(d); err != nil {
			return err
		}
		if err := w.noteEdit("dispute", pi, d.ID, d.Amount, how); err != nil {
			return err
		}
		return w.emit("charge.dispute.closed", pi, *d)
	}
	return simulator.ErrNoRecord
}

// WordOf is Stripe's word for an event type of incident files; an unknown one is
// taken for Stripe's own.
func WordOf(of string) string {
	if word := stripeTypes[of]; word != "" {
		return word
	}
	return of
}
