package payment

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// State is what the gateway holds of an order, in Stripe's own terms.
type State struct {
	PaymentIntents []json.RawMessage `json:"payment_intents"`
	Charges        []json.RawMessage `json:"charges"`
	Refunds        []json.RawMessage `json:"refunds"`
	Disputes       []json.RawMessage `json:"disputes"`
	Reviews        []json.RawMessage `json:"reviews"`
	// Totals over all of them; what failed or was only released counts nowhere.
	Totals Totals `json:"totals"`
}

// Totals count in the words of incident files.
type Totals struct {
	Authorizations int   `json:"authorizations"` // attempts that ever held or took money
	Captures       int   `json:"captures"`       // attempts that took money
	Captured       int64 `json:"captured"`
	Refunds        int   `json:"refunds"`
	Refunded       int64 `json:"refunded"`
	Disputed       int64 `json:"disputed"`
	Held           int64 `json:"held"`
	Open           int   `json:"open"` // attempts that could still take money
}

// State implements simulator.Desk; it returns a State.
func (s *Server) State(of order.ID) (any, error) {
	state := State{}
	err := s.view(func(w *world) error {
		intents, err := ofOrder[intent](w, "payment_intent", of)
		if err != nil {
			return err
		}
		for _, pi := range intents {
			if err := state.add(w, pi); err != nil {
				return err
			}
		}
		return nil
	})
	return state, err
}

func (s *State) add(w *world, pi *intent) error {
	for kind, into := range map[string]*[]json.RawMessage{
		"payment_intent": &s.PaymentIntents, "charge": &s.Charges, "refund": &s.Refunds, "dispute": &s.Disputes, "review": &s.Reviews,
	} {
		docs, err := list[json.RawMessage](w, kind, pi.ID)
		if err != nil {
			return err
		}
		for _, d := range docs {
			*into = append(*into, *d)
		}
	}
	if pi.LatestCharge != nil {
		s.Totals.Authorizations++
	}
	if pi.AmountReceived > 0 {
		s.Totals.Captures++
	}
	if pi.Status != "succeeded" && pi.Status != "canceled" {
		s.Totals.Open++
	}
	s.Totals.Captured += pi.AmountReceived
	s.Totals.Held += pi.AmountCapturable
	refunds, err := list[refund](w, "refund", pi.ID)
	if err != nil {
		return err
	}
	for _, r := range refunds {
		if r.Balance != nil && r.Status != "failed" {
			s.Totals.Refunds++
			s.Totals.Refunded += r.Amount
		}
	}
	disputes, err := list[dispute](w, "dispute", pi.ID)
	if err != nil {
		return err
	}
	for _, d := range disputes {
		if d.Status == "needs_response" || d.Status == "under_review" || d.Status == "lost" {
			s.Totals.Disputed += d.Amount
		}
	}
	return nil
}

// Pay results.
const (
	Succeeded = "succeeded"
	Declined  = "declined"
	Abandoned = "abandoned"
)

// Pay lets the customer, or their bank, finish a payment that waits for them:
// the result is Succeeded, Declined or Abandoned.
func (s *Server) Pay(intentID, result string) error {
	return s.change(func(w *world) error {
		pi, err := get[intent](w, "payment_intent", intentID)
		if err != nil {
			return err
		}
		if pi == nil {
			return fmt.Errorf("pay %s: %w", intentID, simulator.ErrNoRecord)
		}
		return w.pay(pi, result)
	})
}

func (w *world) pay(pi *intent, result string) error {
	switch pi.Status {
	case "requires_payment_method", "requires_confirmation", "requires_action", "processing":
	default:
		return fmt.Errorf("pay %s: its status is %s, it waits for nobody", pi.ID, pi.Status)
	}
	switch result {
	case Succeeded:
		b := behaviour{kind: "card"}
		if m, err := get[method](w, "payment_method", deref(pi.PaymentMethod)); err != nil {
			return err
		} else if m != nil && tokens[m.Token].kind != "" {
			b = tokens[m.Token]
		} else if m == nil {
			if err := w.newMethod(pi); err != nil {
				return err
			}
		}
		return w.succeed(pi, b)
	case Declined:
		if e := w.decline(pi, refusalOf(pi)); e.early {
			return e.asError()
		}
		return nil
	case Abandoned:
		return w.noteEdit(order.Authorize, pi, pi.ID, 0, "abandoned by the customer")
	}
	return fmt.Errorf("pay %s: unknown result %q; want %s, %s or %s", pi.ID, result, Succeeded, Declined, Abandoned)
}

// refusalOf is how a payment fails where it waits: at the bank, with a voucher
// that nobody paid, at the proof of who the customer is, or with the card that
// was typed in.
func refusalOf(pi *intent) errorBody {
	switch {
	case pi.NextAction != nil && pi.NextAction.OXXO != nil:
		return errorBody{Type: "invalid_request_error", Code: "payment_intent_payment_attempt_expired", Message: "The voucher has expired."}
	case pi.Status == "processing":
		return errorBody{Type: "invalid_request_error", Code: "payment_intent_payment_attempt_failed", Message: "The payment failed."}
	case pi.Status == "requires_action":
		return errorBody{Type: "invalid_request_error", Code: "payment_intent_authentication_failure",
			Message: "We are unable to authenticate your payment method."}
	}
	return *declines("card_declined", "generic_decline").decline
}

// newMethod is the card that a customer typed in.
func (w *world) newMethod(pi *intent) error {
	id, err := w.next("pm")
	if err != nil {
		return err
	}
	pi.PaymentMethod = &id
	return w.put(&method{ID: id, Token: "pm_card_visa", Created: w.now(), UsedBy: pi.ID})
}

func (e *apiError) asError() error { return errors.New(e.body.Message) }

// Checkout is an attempt that a customer starts at the checkout, without us.
type Checkout struct {
	Amount   int64             `json:"amount"` // as Stripe writes it
	Currency string            `json:"currency"`
	Method   string            `json:"method,omitempty"`  // empty: none yet
	Capture  order.CaptureMode `json:"capture,omitempty"` // empty: on_ship
	Channel  string            `json:"channel,omitempty"`
	Reusable bool              `json:"reusable,omitempty"`
	// Bare leaves the order's reference out, as a checkout does that makes its
	// payment before the order.
	Bare bool `json:"bare,omitempty"`
}

// Start begins an attempt to pay an order at the checkout, and returns the
// PaymentIntent's id.
func (s *Server) Start(of order.ID, c Checkout) (string, error) {
	id := ""
	err := s.change(func(w *world) error {
		pi, err := w.start(of, c)
		if err == nil {
			id = pi.ID
		}
		return err
	})
	return id, err
}

func (w *world) start(of order.ID, c Checkout) (*intent, error) {
	form := map[string][]string{
		"amount": {fmt.Sprint(c.Amount)}, "currency": {strings.ToLower(c.Currency)}, "capture_method": {"manual"},
	}
	if c.Capture == order.CaptureAtOnce {
		form["capture_method"] = []string{"automatic"}
	}
	if c.Channel != "" {
		form["metadata[channel]"] = []string{c.Channel}
	}
	if !c.Bare {
		form["metadata[order_id]"] = []string{string(of)}
	}
	if c.Reusable {
		form["setup_future_usage"] = []string{"off_session"}
	}
	if c.Method != "" {
		form["payment_method"], form["confirm"] = []string{c.Method}, []string{"true"}
	}
	v, e := createIntent(w, &params{form: form})
	if e != nil && e.body.PaymentIntent == nil {
		return nil, e.asError()
	}
	if e != nil { // declined; the attempt is there
		return e.body.PaymentIntent, nil
	}
	return get[intent](w, "payment_intent", recordOf(v))
}

// edit is what a person does in the dashboard.
type edit struct {
	Order    order.ID  `json:"order"`
	Attempt  int       `json:"attempt,omitempty"`  // counts from 1; 0: whichever it fits
	Captured *int64    `json:"captured,omitempty"` // capture until so much is captured
	Refunded *int64    `json:"refunded,omitempty"` // refund until so much is refunded
	Open     *int      `json:"open,omitempty"`     // 0: cancel what could still take money
	Void     bool      `json:"void,omitempty"`     // the same
	Pay      string    `json:"pay,omitempty"`      // the customer finishes: succeeded, declined, abandoned
	Start    *Checkout `json:"start,omitempty"`
	Refund   string    `json:"refund,omitempty"`  // the newest one succeeds at last, or fails after all: succeeded, failed
	Dispute  string    `json:"dispute,omitempty"` // opened, won, lost
	Amount   int64     `json:"amount,omitempty"`  // that is disputed; 0: all that is left
	Review   string    `json:"review,omitempty"`  // opened, approved, declined
	Reason   string    `json:"reason,omitempty"`
}

// Edit implements simulator.Desk.
func (s *Server) Edit(raw json.RawMessage) error {
	var in edit
	if err := strict(raw, &in); err != nil {
		return fmt.Errorf("edit payment: %w", err)
	}
	if in.Order == "" {
		return errors.New("edit payment: which order?")
	}
	err := s.change(func(w *world) error {
		if in.Start != nil {
			_, err := w.start(in.Order, *in.Start)
			return err
		}
		return w.edit(in)
	})
	if err != nil {
		return fmt.Errorf("edit payment of order %s: %w", in.Order, err)
	}
	return nil
}

func strict(raw json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// chosen are the attempts of an order that an edit or event is about.
func (w *world) chosen(of order.ID, attempt int) ([]*intent, error) {
	all, err := ofOrder[intent](w, "payment_intent", of)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || attempt < 0 || attempt > len(all) {
		return nil, simulator.ErrNoRecord
	}
	if attempt > 0 {
		all = all[attempt-1 : attempt]
	}
	return all, nil
}

func (w *world) edit(in edit) error {
	intents, err := w.chosen(in.Order, in.Attempt)
	if errors.Is(err, simulator.ErrNoRecord) && in.Captured != nil && in.Attempt == 0 {
		// A person takes a payment by hand for an order that has none.
		_, err := w.start(in.Order, Checkout{Amount: *in.Captured, Currency: "eur", Method: "pm_card_visa", Capture: order.CaptureAtOnce})
		return err
	}
	if err != nil {
		return err
	}
	newest := intents[len(intents)-1]
	switch {
	case in.Captured != nil:
		return w.captureUpTo(intents, *in.Captured)
	case in.Refunded != nil:
		return w.refundUpTo(intents, *in.Refunded)
	case in.Void, in.Open != nil && *in.Open == 0:
		return w.cancelAll(intents)
	case in.Pay != "":
		return w.pay(waiting(intents), in.Pay)
	case in.Refund != "":
		return w.settleNewest(intents, in.Refund)
	case in.Dispute != "":
		return w.disputed(newest, in.Dispute, in.Amount)
	case in.Review != "":
		return w.reviewed(newest, in.Review)
	}
	return errors.New("nothing to do; want captured, refunded, open: 0, void, pay, start, refund, dispute or review")
}

// settleNewest lets the newest refund that has not failed succeed, or fail, as a
// bank does days later.
func (w *world) settleNewest(intents []*intent, how string) error {
	if how != Succeeded && how != "failed" {
		return fmt.Errorf("unknown refund %q; want %s or failed", how, Succeeded)
	}
	for _, pi := range newestFirst(intents) {
		all, err := list[refund](w, "refund", pi.ID)
		if err != nil {
			return err
		}
		for _, r := range newestFirst(all) {
			if r.Balance != nil && r.Status != "failed" {
				return w.settle(r.ID, how == "failed")
			}
		}
	}
	return simulator.ErrNoRecord
}

// waiting is the newest attempt that waits for the customer, else the newest.
func waiting(intents []*intent) *intent {
	for i := len(intents) - 1; i >= 0; i-- {
		if s := intents[i].Status; s == "processing" || strings.HasPrefix(s, "requires_") && s != "requires_capture" {
			return intents[i]
		}
	}
	return intents[len(intents)-1]
}

func (w *world) captureUpTo(intents []*intent, total int64) error {
	for _, pi := range intents {
		total -= pi.AmountReceived
	}
	for _, pi := range intents {
		if pi.Status != "requires_capture" || total <= 0 {
			continue
		}
		c, err := get[charge](w, "charge", deref(pi.LatestCharge))
		if err != nil || c == nil {
			return err
		}
		amount := min(total, pi.AmountCapturable)
		if err := w.take(pi, c, amount, true); err != nil {
			return err
		}
		total -= amount
	}
	if total != 0 {
		return fmt.Errorf("%d more cannot be captured by hand", total)
	}
	return nil
}

func (w *world) refundUpTo(intents []*intent, total int64) error {
	charges := make([]*charge, len(intents))
	for i, pi := range intents {
		c, err := get[charge](w, "charge", deref(pi.LatestCharge))
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		left, err := w.refundable(c)
		if err != nil {
			return err
		}
		charges[i] = c
		total -= c.AmountCaptured - left
	}
	for i, pi := range intents {
		if charges[i] == nil || total <= 0 {
			continue
		}
		left, err := w.refundable(charges[i])
		if err != nil {
			return err
		}
		if amount := min(total, left); amount > 0 {
			if _, err := w.refund(pi, charges[i], amount, map[string]string{}); err != nil {
				return err
			}
			total -= amount
		}
	}
	if total != 0 {
		return fmt.Errorf("%d more cannot be refunded by hand", total)
	}
	return nil
}

func (w *world) cancelAll(intents []*intent) error {
	for _, pi := range intents {
		if pi.Status == "succeeded" || pi.Status == "canceled" {
			continue
		}
		if err := w.cancel(pi, "requested_by_customer"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) view(f func(w *world) error) error {
	return s.frame.View(func(tx *sql.Tx) error { return f(&world{s: s, tx: tx, before: map[string]*string{}}) })
}
