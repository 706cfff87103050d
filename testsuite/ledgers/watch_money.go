package ledgers

import (
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// money follows what the gateway holds, has taken and has given back.
func (w *Watch) money(t *tally, e entry) {
	if e.Kind != simulator.EntryEffect && e.Kind != simulator.EntryEdit {
		return
	}
	amount := ours(e.Amount, t.Currency)
	switch {
	case e.Detail == vanished:
		t.vanish(e)
	case e.Operation == order.Authorize && amount > 0:
		a := t.attempt(e.Record)
		a.before, a.held = a.held, amount
	case e.Operation == order.Capture && amount > 0:
		w.captured(t, e, amount)
	case e.Operation == order.Void:
		a := t.attempt(e.Record)
		a.before, a.held = a.held, 0
		t.blame(e, "voided")
	case e.Operation == order.Refund && amount > 0:
		w.refunded(t, e, amount)
	case e.Operation == order.Refund && amount < 0:
		delete(t.refunds, e.Record)
	case e.Operation == "dispute":
		t.disputed = true
	case e.Operation == "review":
		t.review = e.Detail == "opened"
	}
}

func (w *Watch) captured(t *tally, e entry, amount int64) {
	a := t.attempt(e.Record)
	a.before, a.last = a.held, amount
	a.captured += amount
	a.held = max(0, a.held-amount)
	if !t.Payment.Multicapture {
		a.held = 0 // the rest is released without a word
	}
	if net := t.taken() - t.returned(); net > t.Total() && e.Kind == simulator.EntryEffect {
		w.violate(t, e.At, AboveTotal, "%d of %d", net, t.Total())
	}
}

func (w *Watch) refunded(t *tally, e entry, amount int64) {
	t.refunds[e.Record] = amount
	t.blame(e, "refunded")
	if t.returned() > t.taken() && e.Kind == simulator.EntryEffect && !t.met(order.SystemPayment, order.Capture, simulator.Vanishes) {
		w.violate(t, e.At, RefundedTooMuch, "%d of %d", t.returned(), t.taken())
	}
}

// blame notes who took the money away last, unless it was a person.
func (t *tally) blame(e entry, what string) {
	t.lost = ""
	if e.Kind == simulator.EntryEffect {
		t.lost = what + " by us"
	}
	if e.Detail == "automatic" || e.Detail == "expired" {
		t.lost = "expired"
	}
}

// vanish takes back what the gateway lost.
func (t *tally) vanish(e entry) {
	a := t.attempt(e.Record)
	switch e.Operation {
	case order.Authorize:
		*a = attempt{}
	case order.Capture:
		a.captured, a.held = a.captured-a.last, a.before
	case order.Void:
		a.held = a.before
	case order.Refund:
		delete(t.refunds, e.Record)
	}
}

func (t *tally) attempt(record string) *attempt {
	if t.attempts[record] == nil {
		t.attempts[record] = &attempt{}
	}
	return t.attempts[record]
}

func (t *tally) taken() int64 {
	n := int64(0)
	for _, a := range t.attempts {
		n += a.captured
	}
	return n
}

func (t *tally) returned() int64 {
	n := int64(0)
	for _, r := range t.refunds {
		n += r
	}
	return n
}

// money is what the order is covered by: held, or taken and not given back.
func (t *tally) money() int64 {
	n := t.taken() - t.returned()
	for _, a := range t.attempts {
		n += a.held
	}
	return n
}

// mails follows what was sent by us.
func (w *Watch) mails(t *tally, e entry) {
	if e.Kind != simulator.EntryEffect || e.Operation != order.Send {
		return
	}
	t.mailed[e.Record] = true
	template, _, _ := strings.Cut(e.Detail, " ")
	switch {
	case template == "confirmation" && !t.certain && !t.liedTo() && !t.met(order.SystemInventory, order.Reserve, simulator.Vanishes, simulator.Partial):
		w.violate(t, e.At, TooEarly, "money %d, stock promised %t, review open %t", t.money(), t.promised, t.review)
	case template == "shipped" && !t.shipped:
		w.violate(t, e.At, MailUntrue, "shipped, and nothing has")
	case template == "refund" && len(t.refunds) == 0 && !t.disputed && !t.met(order.SystemPayment, order.Refund, simulator.Vanishes):
		w.violate(t, e.At, MailUntrue, "refund, and there was none")
	}
}
