package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// advance moves the order from phase to phase as far as what is known allows.
func (p *process) advance(ctx workflow.Context) {
	for {
		now := workflow.Now(ctx)
		next, why := p.after(now)
		if next == p.Phase {
			return
		}
		line := fmt.Sprintf("%s → %s", p.Phase, next)
		if why != "" {
			line += ": " + why
		}
		p.note(now, line)
		p.Phase, p.Since = next, now
		// Only the gateway's word gives an order up, also when it was never asked:
		// the checkout may have made a payment of its own.
		if (next == order.PhaseFailing || next == order.PhaseCancelling) && p.observed(order.SystemPayment).At.IsZero() {
			p.hint(order.SystemPayment, now)
		}
		p.touch()
	}
}

// after returns the phase that follows from what is known, and why.
func (p *process) after(now time.Time) (order.Phase, string) {
	switch p.Phase {
	case order.PhaseReceived:
		return order.PhasePaying, ""
	case order.PhasePaying:
		return p.afterPaying(now)
	case order.PhaseAccepted:
		return p.afterAccepted()
	case order.PhaseShipped:
		if p.every(reconcile.ShipmentDelivered) {
			return order.PhaseDelivered, ""
		}
	case order.PhaseDelivered:
		if now.Sub(p.Since) >= p.settings.Policy.ReturnWindow {
			return order.PhaseClosed, "the return window is over"
		}
	case order.PhaseCancelling:
		if reason := p.packed(); reason != "" {
			return order.PhaseAccepted, p.refuseCancel(now, reason)
		}
		if p.givenBack() {
			p.Cancel.Done = true
			return order.PhaseCancelled, "nothing is held any more"
		}
	case order.PhaseFailing:
		if p.givenBack() {
			return order.PhaseFailed, "nothing is held any more"
		}
	case order.PhaseClosed, order.PhaseCancelled, order.PhaseFailed:
	}
	return p.Phase, ""
}

// afterPaying: only positive proof carries an order over the pivot, and only
// the gateway's own word takes it back.
func (p *process) afterPaying(now time.Time) (order.Phase, string) {
	if p.Cancel != nil && p.Cancel.Refused == "" {
		return order.PhaseCancelling, p.Cancel.Reason
	}
	if op := p.find(order.Reserve, 1); op != nil && op.Status == Refused {
		return p.fail("out of stock", op.Why)
	}
	op := p.find(order.Authorize, 1)
	switch {
	case op == nil || op.Status == Open || op.Status == Lost:
		return p.Phase, ""
	case op.Status == Refused:
		return p.fail("payment refused", op.Why)
	case p.reviewed():
		return p.Phase, "" // nobody touches anything while a review is open
	case p.paid() && p.done(order.Reserve, 1):
		return order.PhaseAccepted, "reserved and authorized"
	}
	for _, a := range p.attempts() {
		if a.ID == op.Record && a.State == reconcile.AttemptOpen && a.Failure != "" {
			return p.fail("declined", a.Failure)
		}
		if a.ID == op.Record && a.State == reconcile.AttemptVoided {
			return p.fail("the payment was closed at the gateway", "")
		}
	}
	if p.payWindowOver(now) && p.readSince(order.SystemPayment, p.payDeadline()) {
		return p.fail("unpaid", "not paid within the pay window")
	}
	return p.Phase, ""
}

func (p *process) fail(why, detail string) (order.Phase, string) {
	p.Failed = why
	if detail != "" {
		return order.PhaseFailing, why + ": " + detail
	}
	return order.PhaseFailing, why
}

func (p *process) payDeadline() time.Time { return p.Since.Add(p.settings.Policy.PayWindow) }

func (p *process) payWindowOver(now time.Time) bool { return !now.Before(p.payDeadline()) }

// readSince says that a system was read, readably, at or after a moment. An
// unreadable gateway is waited for.
func (p *process) readSince(system order.System, moment time.Time) bool {
	o := p.observed(system)
	return o.State != reconcile.Unreadable && !o.At.Before(moment)
}

func (p *process) afterAccepted() (order.Phase, string) {
	if p.Cancel != nil && p.Cancel.Refused == "" && !p.Cancel.Done {
		return order.PhaseCancelling, p.Cancel.Reason
	}
	if op := p.find(order.Request, 1); op != nil && p.every(reconcile.ShipmentShipped) &&
		len(order.Less(p.Order, p.Order.AllLines(), p.shippedThrough(p.count(order.Request)))) == 0 {
		return order.PhaseShipped, "every line has left the warehouse"
	}
	return p.Phase, ""
}

// every says that there is a live shipment, and that each has come at least as
// far as this.
func (p *process) every(least reconcile.ShipmentState) bool {
	live := 0
	for n := 1; n <= p.count(order.Request); n++ {
		sh := p.shipment(n)
		if sh == nil || sh.State == reconcile.ShipmentCancelled {
			continue
		}
		live++
		if !gone(sh.State) || least == reconcile.ShipmentDelivered && sh.State != reconcile.ShipmentDelivered {
			return false
		}
	}
	return live > 0
}

// packed returns why the warehouse will not give the goods up, once it was
// asked; empty while it was not asked or did.
func (s *State) packed() string {
	for n := 1; n <= s.count(order.Cancel); n++ {
		if op := s.find(order.Cancel, n); op.Status == Open || s.Cancel == nil || op.Ended.Before(s.Cancel.Asked) {
			continue
		}
		for _, sh := range s.shipments() {
			if sh.State == reconcile.ShipmentPacked || gone(sh.State) {
				return fmt.Sprintf("the warehouse has the goods %s already", sh.State)
			}
		}
	}
	return ""
}

// givenBack says that nothing of the order is held any more, by the systems'
// own word: no goods with the warehouse, no stock promised, no attempt that can
// take money, no money kept.
func (p *process) givenBack() bool {
	held, captured, refunded, open := p.money()
	if gateway := p.observed(order.SystemPayment); p.openIn(order.SystemPayment) != nil ||
		gateway.At.IsZero() || gateway.State == reconcile.Unreadable && gateway.LastRead.IsZero() {
		return false
	}
	if p.tried(order.Reserve) && !p.done(order.Release, 1) {
		if op := p.find(order.Reserve, 1); op.Status != Refused {
			return false
		}
	}
	return p.warehouseGaveUp() && held == 0 && open == 0 && captured-refunded == 0 && len(p.reservations()) == 0
}

// deadline returns the next moment at which something happens by itself, and
// what, as the timer says it.
func (p *process) deadline(ctx workflow.Context) (time.Time, string) {
	now := workflow.Now(ctx)
	switch {
	case p.Phase == order.PhasePaying && p.done(order.Authorize, 1) && !p.reviewed():
		if !p.payWindowOver(now) {
			return p.payDeadline(), "the customer may pay until then"
		}
		if !p.readSince(order.SystemPayment, p.payDeadline()) {
			p.hint(order.SystemPayment, now) // ask the gateway before anything is taken back
			return now.Add(time.Minute), "ask the gateway again"
		}
	case p.Phase == order.PhaseDelivered:
		return p.Since.Add(p.settings.Policy.ReturnWindow), "the return window ends"
	case p.Phase.Ended():
		if end := p.quietSince().Add(p.settings.Linger); now.Before(end) && len(p.openCases()) == 0 {
			return end, "late messages may come until then"
		}
	}
	return time.Time{}, ""
}

// refuseCancel records that reality won: the order goes on, and a person is
// asked what to do.
func (p *process) refuseCancel(now time.Time, reason string) string {
	p.Cancel.Refused = reason
	p.openCase(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemWarehouse, Field: "warehouse.shipment", Situation: reconcile.Conflict,
			Expected: "cancelled", Observed: reason, Right: string(order.SystemWarehouse), FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemWarehouse,
		Why:          "a cancellation came when the goods were packed; reality wins and the order stands",
		Proposal:     "let the order go on, and ask the customer to return the goods",
		Alternatives: []string{"stop the parcel at the warehouse by hand", "accept: the customer keeps the order"},
	})
	return "cancellation refused: " + reason
}
