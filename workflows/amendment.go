package workflows

import (
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// An amendment: pieces that are dropped, or another address. It is applied once
// the warehouse has decided it.

// attendAmendment applies an amendment once the warehouse has decided it.
func (p *process) attendAmendment(now time.Time) {
	a := p.Amendment
	if !a.open() || p.openIn(order.SystemWarehouse) != nil {
		return
	}
	if p.Phase.PastPivot() && p.dueAmendment() != nil {
		return
	}
	switch {
	case !p.Phase.PastPivot() && p.Phase != order.PhasePaying && p.Phase != order.PhaseReceived:
		a.Refused = "the order is being taken back"
	case len(a.Drop) > 0:
		p.applyDrop(now)
	default:
		p.applyAddress(now)
	}
	p.touch()
}

func (p *process) applyDrop(now time.Time) {
	a := p.Amendment
	free := order.Less(p.Order, p.unshipped(), p.withWarehouse())
	if some := order.Common(p.Order, a.Drop, free); a.Some && !order.Empty(some) {
		a.Drop = some
	}
	if !order.Within(p.Order, a.Drop, free) {
		a.Refused = "the warehouse has packed the goods already; ask for a return instead"
		p.note(now, "amendment refused: "+a.Refused)
		return
	}
	p.Dropped = order.Plus(p.Order, p.Dropped, a.Drop)
	a.Done = true
	p.note(now, "dropped "+pieces(a.Drop)+", as "+a.By+" asked (unverified)")
}

func (p *process) applyAddress(now time.Time) {
	a := p.Amendment
	for i := range p.Operations {
		if op := p.Operations[i]; op.Operation == order.UpdateAddress && op.Of == a.N && op.Status == Refused {
			a.Refused = "the warehouse has packed the goods already"
		}
	}
	if p.Phase.PastPivot() && order.Empty(p.unshipped()) {
		a.Refused = "the goods have left already"
	}
	if a.Refused != "" {
		p.addressRefused(now)
		return
	}
	p.ShipTo = a.ShipTo
	p.Moves++
	a.Done = true
	p.note(now, "it goes to another address, as "+a.By+" asked (unverified)")
}

func (p *process) addressRefused(now time.Time) {
	p.note(now, "the address was not changed: "+p.Amendment.Refused)
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemWarehouse, Field: reconcile.WarehouseShipment, Situation: reconcile.Conflict, Item: "address " + strconv.Itoa(p.Amendment.N),
			Expected: "another address", Observed: "packed for the old one", Right: string(order.SystemWarehouse), FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemWarehouse,
		Why:          "a new address came when the goods were packed",
		Proposal:     "have the carrier redirect the parcel",
		Alternatives: []string{string(DecideByHand) + ": it was redirected", string(DecideAccept) + ": it goes to the old address"},
	})
}

// beginAmendment puts an amendment to the warehouse, which decides it.
func (p *process) beginAmendment(now time.Time, a Amend) *Amendment {
	n := 1
	if p.Amendment != nil {
		n = p.Amendment.N + 1
	}
	p.Amendment = &Amendment{Amend: a, N: n, Since: now}
	return p.Amendment
}
