package workflows

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What the warehouse says by itself: parcels that left, were lost or came back,
// requests that it gave up, and goods that are not there.

func (p *process) attendGoods(now time.Time) {
	for _, d := range p.depart(now) {
		p.note(now, "parcel "+d.Shipment+" left with "+pieces(d.Lines))
		p.touch()
	}
	// What was given up and left all the same was not given up.
	p.Dropped = order.Common(p.Order, p.Dropped, order.Less(p.Order, p.Order.AllLines(), p.shipped()))
	for n := range p.Departures {
		d := &p.Departures[n]
		sh := p.parcel(*d)
		switch {
		case sh == nil || d.Settled || d.Again:
		case d.Lost && sh.State == reconcile.ShipmentDelivered:
			d.Lost = false
			if k := p.openCaseOf(reconcile.WarehouseShipped, d.item()); k != nil {
				p.closeCase(now, k.N, "it arrived after all")
			}
		case !d.Lost && !sh.LostAt.IsZero() && sh.State != reconcile.ShipmentDelivered:
			d.Lost = true
			p.lost(now, *d)
		}
	}
	p.attendPromise(now)
	p.attendReturns(now)
	p.payReturns(now)
	p.askReturns(now)
	if p.Phase == order.PhaseAccepted {
		p.attendGivenUp(now)
		p.attendNotThere(now)
	}
	p.attendUnclaimed(now)
	if order.Empty(p.unshipped()) {
		p.closeShort(now)
	}
	if k := p.openCaseOf(reconcile.PaymentRefunded, unshippedItem); k != nil && p.paid() {
		p.closeCase(now, k.N, "it is paid for again")
	}
}

// item names a parcel in a case about it.
func (d Departure) item() string { return "parcel " + d.Shipment }

func (p *process) lost(now time.Time, d Departure) {
	share := order.ShareOf(p.Order, order.Less(p.Order, p.kept(), d.Lines), d.Lines)
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemWarehouse, Field: reconcile.WarehouseShipped, Situation: reconcile.Mismatch, Item: d.item(),
			Expected: "delivered", Observed: "lost in transit", Right: string(order.SystemWarehouse), Money: share.Total, FirstSeen: now, Confirmed: now,
		},
		Decision:     reconcile.Ask,
		Why:          "parcel " + d.Shipment + " with " + pieces(d.Lines) + " was lost on its way",
		Proposal:     string(DecideShip) + ": send its goods once more",
		Alternatives: []string{string(DecideRefund) + ": give back " + p.amount(share.Total).String(), string(DecideByHand) + ": it was found"},
	})
}

// attendReturns takes up what came back: its share of the money goes back once,
// and it is restocked if the warehouse says so.
func (p *process) attendReturns(now time.Time) {
	for n := range p.Returns { // one that the warehouse refuses comes back by nobody's word
		if op := p.find(order.Return, n+1); op != nil && op.Status == Refused {
			p.Returns[n].Cancelled = true
		}
	}
	for _, r := range p.returnsSeen() {
		n := p.returning(r)
		if n < 0 && r.State.Live() {
			p.Returns = append(p.Returns, unannounced(r, now))
			n = len(p.Returns) - 1
		}
		if n < 0 {
			continue
		}
		mine := &p.Returns[n]
		mine.Cancelled = r.State == reconcile.ReturnCancelled && mine.Received.IsZero()
		if r.State != reconcile.ReturnReceived && r.State != reconcile.ReturnRestocked {
			continue
		}
		if mine.Received.IsZero() {
			p.received(now, n, r)
		}
		if r.State == reconcile.ReturnRestocked && !mine.Restocked {
			mine.Restocked = true
			p.touch()
		}
	}
}

// unannounced is a return of which only the warehouse's record tells.
func unannounced(r reconcile.Return, now time.Time) Returning {
	return Returning{Lines: r.Lines, By: "nobody announced it", Asked: now, Record: r.ID, Name: r.Name()}
}

// returning returns the place of a return among ours, or -1.
func (s *State) returning(r reconcile.Return) int {
	if intent, ours := order.ParseKey(r.Key); ours && intent.Operation == order.Return && intent.N <= len(s.Returns) {
		return intent.N - 1
	}
	return slices.IndexFunc(s.Returns, func(mine Returning) bool { return mine.Record == r.ID })
}

func (p *process) received(now time.Time, n int, r reconcile.Return) {
	mine := &p.Returns[n]
	kept := order.Less(p.Order, p.shipped(), p.returnedThrough(len(p.Returns), true))
	// More than the customer had cannot come back.
	mine.Lines = order.Common(p.Order, r.Lines, kept)
	mine.Kept = order.Less(p.Order, p.kept(), mine.Lines)
	mine.Received = now
	p.note(now, fmt.Sprintf("return %d came back with %s: %s goes back", n+1, pieces(mine.Lines), p.amount(p.worth(*mine).Total)))
	p.touch()
}

// payReturns decides that the money of what came back goes back, once for each
// return. While it is in dispute it waits: what is lost there is not left to give.
func (p *process) payReturns(now time.Time) {
	for n, r := range p.Returns {
		if r.Received.IsZero() || r.Lost || p.disputed() || p.refersTo(order.Refund, n+1) {
			continue
		}
		if amount := p.worth(r).Total; amount > 0 && p.giveBack(now, amount, aboutReturn, n+1) > 0 {
			p.touch()
		}
	}
}

// unknownRefund is the code of a refund of which nobody knows whether it was made: what came
// back did so before our memory begins.
const unknownRefund = "not_known"

// askReturns asks about what came back before our memory begins and was not paid back as far
// as anybody knows, as long as there is money to give back. What went back of what it was
// paid with, for no return that we know of, may have been for these: only the rest is proposed.
func (p *process) askReturns(now time.Time) {
	unexplained := p.sum(order.Refund, func(op Operation) bool {
		return op.Status == Done && op.About == aboutHand
	})
	for _, op := range p.Operations {
		if op.Operation != order.Refund || op.Status != Unsent || op.Code != unknownRefund || op.Amount == 0 || p.replaced(p.Key(op)) || p.allRefundable() == 0 {
			continue
		}
		worth, maybe := p.amount(op.Amount).String(), min(unexplained, op.Amount)
		unexplained -= maybe
		why := pieces(p.Returns[op.Of-1].Lines) + " came back before our memory begins, and no refund of " + worth + " is known"
		if maybe > 0 {
			why += "; " + p.amount(maybe).String() + " went back for no return that we know of, which may be for this one"
		}
		op.Amount -= maybe
		proposal := "refund " + p.amount(op.Amount).String()
		if op.Amount == 0 {
			proposal = string(DecideByHand) + ": it went back with what else was given back"
		}
		p.refundMissing(now, op, "not known", proposal, why)
	}
}

// replaced says that a refund was decided in the place of another.
func (s *State) replaced(refund string) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Refund && inPlaceOf(op) == refund && op.Status != Unsent
	})
}

// attendGivenUp asks about requests that the warehouse gave up by itself, as long
// as their goods are wanted.
func (p *process) attendGivenUp(now time.Time) {
	if p.openIn(order.SystemWarehouse) != nil {
		return
	}
	for n := 1; n <= p.count(order.Request); n++ {
		op := p.find(order.Request, n)
		if !p.givenUp(*op) {
			continue
		}
		key := p.Key(*op)
		if order.Empty(order.Common(p.Order, p.linesOf(*op), p.unshipped())) {
			p.requestAnew(now, key)
			p.closeGivenUp(now, key)
			continue
		}
		if op.Status == Refused {
			continue // see refused
		}
		p.raise(now, reconcile.Step{
			Break: reconcile.Break{
				System: order.SystemWarehouse, Field: reconcile.WarehouseShipment, Situation: reconcile.Mismatch, Item: key,
				Expected: string(reconcile.ShipmentRequested), Observed: string(reconcile.ShipmentCancelled), Right: string(order.SystemWarehouse),
				FirstSeen: now, Confirmed: now,
			},
			Decision: reconcile.Ask, System: order.SystemWarehouse, Operation: order.Request, Key: key,
			Why:      "the warehouse cancelled the shipment",
			Proposal: "request it again", Alternatives: []string{string(DecideCancel) + ": take the order back", string(DecideRelease) + ": give up what has not shipped"},
		})
	}
}

// unclaimedItem is what a case about goods is about that wait under a key of nobody's.
const unclaimedItem = "unclaimed"

// attendUnclaimed asks about what is not requested because it waits under a key of
// nobody's: where no run cancels that, only a person can say whether it will leave.
func (p *process) attendUnclaimed(now time.Time) {
	lines := order.Common(p.Order, p.remaining(), p.waitingUnclaimed())
	if p.Phase != order.PhaseAccepted || order.Empty(lines) {
		if k := p.openCaseOf(reconcile.WarehouseShipment, unclaimedItem); k != nil {
			p.closeCase(now, k.N, "nothing waits under a key of nobody's any more")
		}
		return
	}
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemWarehouse, Field: reconcile.WarehouseShipment, Situation: reconcile.Conflict, Item: unclaimedItem,
			Expected: "requested by us", Observed: "waits under a key of nobody's", Right: string(order.SystemWarehouse), FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemWarehouse,
		Why:      pieces(lines) + " waits in the warehouse under a key that we did not give, and is not requested beside it",
		Proposal: string(DecideAccept) + ": the warehouse sends what waits there",
		Alternatives: []string{
			string(DecideByHand) + ": it was cancelled in the warehouse, and is requested under our own key",
		},
	})
}

func (p *process) closeGivenUp(now time.Time, key string) {
	for _, k := range p.openCases() {
		if p.givenUpBy(k) && k.Step.Key == key {
			p.closeCase(now, k.N, "its goods are not wanted any more")
		}
	}
}

// attendPromise takes inventory's own word for what is promised, once it has
// refused to promise more: what it promised before may be gone as well.
func (p *process) attendPromise(now time.Time) {
	last, seen := p.last(order.Reserve), p.observed(order.SystemInventory)
	if last != nil && last.Status == Refused && seen.State != reconcile.Unreadable && !seen.At.Before(last.Ended) {
		p.keepPromised(now, seen)
	}
}

// keepPromised takes back from what is promised whatever inventory has not
// reserved any more.
func (p *process) keepPromised(now time.Time, seen reconcile.Observation) {
	kept := order.Common(p.Order, p.Promised, linesReserved(seen))
	if order.Within(p.Order, p.Promised, kept) {
		return
	}
	p.note(now, "of what was promised only "+pieces(kept)+" is reserved by now")
	p.Promised = kept
	p.touch()
}

// attendNotThere asks when goods that are to be sent once more, or whose promise
// was lost, are not there.
func (p *process) attendNotThere(now time.Time) {
	last := p.last(order.Reserve)
	if last == nil || last.Status != Refused {
		return
	}
	if k := p.openCaseOf(reconcile.InventoryReserved, p.Key(*last)); p.complete() {
		if k != nil {
			p.closeCase(now, k.N, "nothing is missing any more")
		}
		return
	}
	missing := pieces(order.Less(p.Order, p.unshipped(), p.Promised))
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemInventory, Field: reconcile.InventoryReserved, Situation: reconcile.Missing, Item: p.Key(*last),
			Expected: missing, Observed: "not there on " + last.Ended.Format(time.RFC3339), Right: string(order.SystemInventory),
			FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemInventory, Operation: order.Reserve, Key: p.Key(*last),
		Why:          missing + " of what is to be sent cannot be promised: inventory has no more",
		Proposal:     "promise them once they are there again",
		Alternatives: []string{string(DecideRelease) + ": give them up, and give their money back"},
	})
}
