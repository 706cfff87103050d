package workflows

import (
	"fmt"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What is in doubt, and how it ends. An operation whose answer was lost is tried
// again under its own key, at first after a second, then every half minute, and
// after a quarter of an hour every two minutes for as long as it takes; its lane
// takes note of the trouble after two minutes, after ten more, and then each hour. What nobody could find out within a day
// becomes a case, which closes by itself when the system answers.

// doubtWithin is how long something may be in doubt before a person is told.
const doubtWithin = 24 * time.Hour

// doubted takes note that an operation in doubt is still without an answer, and
// asks a person once when that lasts.
func (p *process) doubted(now time.Time, op *Operation) {
	switch {
	case !op.Doubt:
		return
	case op.Doubted.IsZero():
		op.Doubted = now
	}
	p.askUnknown(now, op.Doubted, reconcile.Break{
		System: op.System, Field: reconcile.Field(string(op.System) + "." + string(op.Operation)), Item: p.Key(*op),
		Expected: "an answer", Observed: op.Why, Money: op.Amount,
	}, "whether "+p.Key(*op)+" was done")
}

// answered closes the case of an operation that is not in doubt any more.
func (p *process) answered(now time.Time, op *Operation, status OperationStatus) {
	if op.Doubted.IsZero() {
		return
	}
	op.Doubted = time.Time{}
	field := reconcile.Field(string(op.System) + "." + string(op.Operation))
	if k := p.openCaseOf(field, p.Key(*op)); k != nil {
		p.closeCase(now, k.N, fmt.Sprintf("the %s system has answered: %s", op.System, status))
	}
}

// unheardItem is the item of a case about a system on whose word the order
// waits and that cannot be read.
const unheardItem = "unheard"

// unheard asks a person once when a system on whose word the order waits has not
// been readable for long.
func (p *process) unheard(now time.Time, system order.System, since time.Time) {
	field, what := reconcile.PaymentHeld, "whether the customer has paid"
	if system == order.SystemERP {
		field, what = reconcile.ERPSale, "whether the order was booked before our memory begins"
	}
	p.askUnknown(now, since, reconcile.Break{
		System: system, Field: field, Item: unheardItem, Expected: "an answer", Observed: "it cannot be read", Money: p.Order.Total,
	}, what)
}

// heard closes the cases of systems that can be read again.
func (p *process) heard(now time.Time) {
	for i := range p.Cases {
		k := p.Cases[i]
		if b := k.Step.Break; k.Open() && b.Item == unheardItem && p.readSince(b.System, k.Opened) {
			p.closeCase(now, k.N, fmt.Sprintf("the %s system has answered", b.System))
		}
	}
}

// askUnknown opens a case about what nobody has been able to say since a moment,
// once, and only when that was long ago.
func (p *process) askUnknown(now, since time.Time, b reconcile.Break, what string) {
	if now.Sub(since) < doubtWithin {
		return
	}
	b.Situation, b.Right = reconcile.Conflict, string(b.System)
	for _, k := range p.Cases {
		if k.Step.Break.ID() == b.ID() && !k.Opened.Before(since) {
			return // it is asked, or somebody has decided
		}
	}
	b.FirstSeen, b.Confirmed = since, now
	p.openCase(now, reconcile.Step{
		Break: b, Decision: reconcile.Ask,
		Why:      fmt.Sprintf("nobody can say %s: the %s system has not answered for %s", what, b.System, now.Sub(since).Round(time.Hour)),
		Proposal: fmt.Sprintf("find out why the %s system does not answer; the order goes on asking, and this case closes by itself when it is told", b.System),
		Alternatives: []string{
			"accept: nobody is to be told again; the order goes on asking",
		},
	}, true)
}
