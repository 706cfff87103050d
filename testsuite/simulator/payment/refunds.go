package payment

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

func createRefund(w *world, p *params) (any, *apiError) {
	if e := p.allow("amount", "charge", "expand", "metadata[]", "payment_intent", "reason"); e != nil {
		return nil, e
	}
	if v := p.form.Get("reason"); !slices.Contains([]string{"", "duplicate", "fraudulent", "requested_by_customer"}, v) {
		return nil, invalidRequest("", "reason", "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer")
	}
	id := p.form.Get("payment_intent")
	if id == "" {
		return nil, invalidRequest("parameter_missing", "payment_intent", "One of the following params should be provided for this request: payment_intent or charge.")
	}
	pi, e := w.intent(id)
	if e != nil {
		return nil, e
	}
	c, err := get[charge](w, "charge", deref(pi.LatestCharge))
	if err != nil {
		return nil, internal(err)
	}
	if c == nil || pi.AmountReceived == 0 {
		return nil, invalidRequest("", "payment_intent", "This PaymentIntent ("+id+") does not have a successful charge to refund.")
	}
	left, err := w.refundable(c)
	if err != nil {
		return nil, internal(err)
	}
	amount, e := p.amount("amount", &left)
	if e != nil {
		return nil, e
	}
	switch {
	case left == 0:
		e := invalidRequest("charge_already_refunded", "", "Charge "+c.ID+" has already been refunded.")
		e.early = false
		return nil, e
	case amount < 1:
		return nil, invalidRequest("parameter_invalid_integer", "amount", "Invalid positive integer")
	case amount > left:
		e := invalidRequest("", "amount", fmt.Sprintf("Refund amount (%d) is greater than unrefunded amount on charge (%d)", amount, left))
		e.early = false
		return nil, e
	case p.fault == simulator.Rejected:
		e := invalidRequest("charge_not_refundable", "", "The charge cannot be refunded.")
		e.early = false
		return nil, e
	}
	if open, e := w.openDisputeOf(pi); e != nil || open {
		if e == nil {
			e = invalidRequest("charge_disputed", "", "Charge "+c.ID+" has been charged back; cannot issue a refund.")
			e.early = false
		}
		return nil, e
	}
	r, err := w.refund(pi, c, p.partial(amount), p.metadata(nil))
	if err != nil {
		return nil, internal(err)
	}
	if v := p.form.Get("reason"); v != "" {
		r.Reason = &v
		if err := w.put(r); err != nil {
			return nil, internal(err)
		}
	}
	return w.render(r, p)
}

// refund gives money back, at once or when it settles.
func (w *world) refund(pi *intent, c *charge, amount int64, metadata map[string]string) (*refund, error) {
	id, err := w.next("re")
	if err != nil {
		return nil, err
	}
	r := &refund{
		ID: id, Object: "refund", Amount: amount, Charge: c.ID, Created: w.now(), Currency: pi.Currency,
		Metadata: metadata, PaymentIntent: pi.ID, Status: "succeeded",
	}
	balance, err := w.next("txn")
	if err != nil {
		return nil, err
	}
	r.Balance = &balance
	token := ""
	if m, err := get[method](w, "payment_method", deref(pi.PaymentMethod)); err != nil {
		return nil, err
	} else if m != nil {
		token = m.Token
	}
	fails := w.s.settings.RefundsFail || tokens[token].refund == "failed"
	if w.s.settings.RefundSettles > 0 || tokens[token].refund == "pending" {
		r.Status = "pending"
	}
	if r.Status == "pending" || fails {
		w.settleLater(r, fails)
	}
	c.AmountRefunded += amount
	c.Refunded = c.AmountRefunded == c.Amount
	if err := w.put(c); err != nil {
		return nil, err
	}
	if err := w.put(r); err != nil {
		return nil, err
	}
	if err := w.emit("refund.created", pi, *r); err != nil {
		return nil, err
	}
	if err := w.emit("charge.refunded", pi, *c); err != nil {
		return nil, err
	}
	return r, w.note(order.Refund, pi, r.ID, amount, r.Status)
}

// refundable is what of a charge was captured and not given back. The charge's
// own amount_refunded counts what was released too.
func (w *world) refundable(c *charge) (int64, error) {
	all, err := list[refund](w, "refund", c.PaymentIntent)
	left := c.AmountCaptured
	for _, r := range all {
		if r.Balance != nil && r.Status != "failed" {
			left -= r.Amount
		}
	}
	return left, err
}

// release gives back what was held and not captured, which Stripe shows as a
// refund that moved no money.
func (w *world) release(pi *intent, c *charge, amount int64, expired bool) error {
	if amount == 0 {
		return w.put(c)
	}
	id, err := w.next("re")
	if err != nil {
		return err
	}
	r := &refund{
		ID: id, Object: "refund", Amount: amount, Charge: c.ID, Created: w.now(), Currency: c.Currency,
		Metadata: map[string]string{}, PaymentIntent: pi.ID, Status: "succeeded",
	}
	if expired {
		why := "expired_uncaptured_charge"
		r.Reason = &why
	}
	c.AmountRefunded += amount
	c.Refunded = c.AmountRefunded == c.Amount
	if err := w.put(c); err != nil {
		return err
	}
	if err := w.put(r); err != nil {
		return err
	}
	return w.emit("charge.refunded", pi, *c)
}

// settleLater lets a refund succeed, or fail, by itself.
func (w *world) settleLater(r *refund, fails bool) {
	s, id := w.s, r.ID
	after := s.settings.RefundSettles
	if after == 0 {
		after = time.Hour // of a method that settles late by itself
	}
	passed := s.frame.Now().Sub(time.Unix(r.Created, 0))
	w.later = append(w.later, delayed{max(0, after-passed), "settle." + id, func() {
		_ = s.change(func(w *world) error { return w.settle(id, fails) })
	}})
}

func (w *world) settle(id string, fails bool) error {
	r, err := get[refund](w, "refund", id)
	if err != nil || r == nil || r.Status == "failed" || r.Status == "succeeded" && !fails {
		return err
	}
	pi, err := get[intent](w, "payment_intent", r.PaymentIntent)
	if err != nil || pi == nil {
		return err
	}
	if !fails {
		r.Status = "succeeded"
		if err := w.put(r); err != nil {
			return err
		}
		if err := w.note(order.Refund, pi, r.ID, 0, "succeeded"); err != nil {
			return err
		}
		return w.emit("refund.updated", pi, *r)
	}
	r.Status, r.FailureReason = "failed", "expired_or_canceled_card"
	c, err := get[charge](w, "charge", r.Charge)
	if err != nil || c == nil {
		return err
	}
	c.AmountRefunded -= r.Amount
	c.Refunded = false
	if err := w.put(c); err != nil {
		return err
	}
	if err := w.put(r); err != nil {
		return err
	}
	if err := w.note(order.Refund, pi, r.ID, -r.Amount, "failed"); err != nil {
		return err
	}
	return w.emit("refund.failed", pi, *r)
}

// openDispute withdraws the money of a charge, or asks about it: an amount, or all that
// is left. A bank may also dispute what went back already.
func (w *world) openDispute(pi *intent, c *charge, status string, amount int64) (*dispute, error) {
	left, err := w.refundable(c)
	if err != nil {
		return nil, err
	}
	if left == 0 {
		left = c.AmountCaptured
	}
	if amount > 0 {
		left = min(left, amount)
	}
	id, err := w.next("du")
	if err != nil {
		return nil, err
	}
	d := &dispute{
		ID: id, Object: "dispute", Amount: left, Charge: c.ID, Created: w.now(), Currency: c.Currency,
		Livemode: c.Livemode, Metadata: map[string]string{}, PaymentIntent: pi.ID, Reason: "fraudulent", Status: status,
	}
	c.Disputed = true
	if err := w.put(c); err != nil {
		return nil, err
	}
	if err := w.put(d); err != nil {
		return nil, err
	}
	if err := w.emit("charge.dispute.created", pi, *d); err != nil {
		return nil, err
	}
	return d, w.noteEdit("dispute", pi, d.ID, d.Amount, status)
}

// openDisputeOf says whether money of a PaymentIntent is in dispute or lost.
func (w *world) openDisputeOf(pi *intent) (bool, *apiError) {
	all, err := list[dispute](w, "dispute", pi.ID)
	if err != nil {
		return false, internal(err)
	}
	for _, d := range all {
		if d.Status == "needs_response" || d.Status == "under_review" || d.Status == "lost" {
			return true, nil
		}
	}
	return false, nil
}

func (w *world) openReview(pi *intent, c *charge) error {
	id, err := w.next("prv")
	if err != nil {
		return err
	}
	r := &review{ID: id, Object: "review", Created: w.now(), Livemode: pi.Livemode, Open: true, OpenedReason: "rule", PaymentIntent: pi.ID, Reason: "rule"}
	if c != nil {
		r.Charge, c.Review = &c.ID, &r.ID
	}
	pi.Review = &r.ID
	if err := w.put(r); err != nil {
		return err
	}
	if err := w.noteEdit("review", pi, r.ID, 0, "opened"); err != nil {
		return err
	}
	return w.emit("review.opened", pi, *r)
}

func (w *world) closeReview(pi *intent, reason string) error {
	r, err := get[review](w, "review", deref(pi.Review))
	if err != nil || r == nil || !r.Open {
		return err
	}
	r.Open, r.ClosedReason, r.Reason = false, &reason, reason
	if err := w.put(r); err != nil {
		return err
	}
	if err := w.noteEdit("review", pi, r.ID, 0, reason); err != nil {
		return err
	}
	return w.emit("review.closed", pi, *r)
}

// noteEdit writes to the ledger what the gateway or a person in it did.
func (w *world) noteEdit(op order.Operation, pi *intent, record string, amount int64, detail string) error {
	return w.s.frame.Append(w.tx, simulator.Entry{
		Kind: simulator.EntryEdit, Operation: op, Order: pi.order(), Record: record, Amount: amount, Detail: detail,
	})
}
