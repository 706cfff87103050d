package workflows

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// attend takes up what the systems said by themselves: parcels that left, were
// lost or came back, money that somebody else moved, disputes and reviews. What
// follows from it is due then; what only a person may decide becomes a case.
func (p *process) attend(now time.Time) {
	p.attendMoney(now)
	p.attendGoods(now)
	p.attendQuestions(now) // what nobody answered in time becomes an amendment
	p.attendAmendment(now)
}

func (p *process) attendMoney(now time.Time) {
	for _, a := range p.attempts() {
		if !a.Review && a.Held+a.Captured-a.Refunded > 0 {
			// The review ended well, or there was none: what becomes of it later is not its end.
			p.Reviewed = slices.DeleteFunc(p.Reviewed, func(id string) bool { return id == a.ID })
		}
		if a.Review && !slices.Contains(p.Reviewed, a.ID) {
			p.Reviewed = append(p.Reviewed, a.ID)
			p.note(now, "a review of "+a.ID+" is open: nothing goes to the warehouse")
		}
	}
	if p.openIn(order.SystemPayment) == nil && p.observed(order.SystemPayment).State == reconcile.Present {
		p.adoptCaptures(now)
		p.adoptRefunds(now)
		p.attendDisputes(now)
		p.capRefunds(now)
		if p.Phase.PastPivot() {
			p.adoptPayers(now)
			p.attendSurplus(now)
			p.attendUnpaid(now)
		}
	}
	// Whatever becomes of it, a customer who has paid is told.
	p.WasPaid = p.WasPaid || slices.ContainsFunc(p.attempts(), func(a reconcile.Attempt) bool { return a.Captured+a.Held > 0 })
	p.dropAttempts(now)
}

// dropAttempts gives up attempts that were wished for and not begun before the
// order was paid another way, or was taken back.
func (p *process) dropAttempts(now time.Time) {
	for i := range p.Operations {
		if op := &p.Operations[i]; op.Status == Meant && p.needless(*op, now) {
			op.Status, op.Ended, op.Why = Unsent, now, "the order is paid for, or takes no more money"
			p.note(now, p.Key(*op)+" is not begun: "+op.Why)
			p.touch()
		}
	}
}

// adoptCaptures takes up what somebody captured at the gateway itself: it
// decides what money moved, and books and CRM follow.
func (p *process) adoptCaptures(now time.Time) {
	if p.atOnce() || !p.Phase.PastPivot() {
		return
	}
	for _, a := range p.attempts() {
		ours := p.sum(order.Capture, func(op Operation) bool { return op.Ref == a.ID && op.Status == Done })
		if !p.payer(a) || a.Captured <= ours || p.sum(order.Capture, func(op Operation) bool { return op.Ref == a.ID && op.Status != Done }) > 0 {
			continue
		}
		p.happened(now, Operation{
			System: order.SystemPayment, Operation: order.Capture, Ref: a.ID, Amount: a.Captured - ours, About: aboutHand, Final: a.Held == 0,
		})
	}
}

// happened records an operation that somebody else carried out.
func (p *process) happened(now time.Time, op Operation) {
	op.N, op.Status, op.First = p.count(op.Operation)+1, Done, now
	// It ended by the time it was read, so that the reading which showed it is not
	// taken for older than it.
	op.Ended = p.observed(op.System).At
	op.Why = "done at the gateway itself"
	p.Operations = append(p.Operations, op)
	p.note(now, fmt.Sprintf("%s of %s was done at the gateway itself: taken up as %s", op.Operation, p.amount(op.Amount), p.Key(op)))
	p.touch()
}

// adoptRefunds follows refunds to their end: those of ours become final or fail,
// those that somebody made at the gateway itself are taken up.
func (p *process) adoptRefunds(now time.Time) {
	for _, a := range p.attempts() {
		for _, r := range a.Refunds {
			op := p.refundBy(r)
			switch {
			case op == nil && r.State != reconcile.RefundFailed:
				about := aboutHand
				if len(p.Payers) > 0 && !p.payer(a) {
					about = aboutSurplus // what was taken twice went back: the books have no invoice for it
				}
				p.happened(now, Operation{System: order.SystemPayment, Operation: order.Refund, Ref: a.ID, Record: r.ID, Amount: r.Amount, About: about})
				op = p.last(order.Refund)
			case op == nil:
				continue
			}
			switch {
			case r.State == reconcile.RefundSucceeded && op.Status == Done && op.Through.IsZero():
				op.Through = now
				p.touch()
			case r.State == reconcile.RefundFailed && op.Status == Done:
				op.Status, op.Ended, op.Why, op.Code = Refused, now, "the refund failed after it was accepted", "refund_failed"
				p.refundFailed(now, *op)
			}
		}
	}
}

// refundBy returns the operation that made a refund, or nil.
func (p *process) refundBy(r reconcile.Refund) *Operation {
	for i := range p.Operations {
		op := &p.Operations[i]
		if op.Operation == order.Refund && (op.Record == r.ID || keyIs(r.Key, p.Key(*op))) {
			return op
		}
	}
	return nil
}

func (p *process) refundFailed(now time.Time, op Operation) {
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemPayment, Field: reconcile.PaymentRefunded, Situation: reconcile.Missing, Item: p.Key(op),
			Expected: strconv.FormatInt(op.Amount, 10), Observed: "failed", Right: string(order.SystemPayment), Money: op.Amount,
			FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemPayment, Operation: order.Refund, Amount: op.Amount, Key: p.Key(op),
		Why:          "the refund of " + p.amount(op.Amount).String() + " failed after the gateway had accepted it: the customer does not have the money",
		Proposal:     "refund again",
		Alternatives: []string{string(DecideByHand) + ": it was paid back another way", string(DecideAccept) + ": it is not to be paid back"},
	})
}

// attendDisputes opens a case for each dispute. One that was lost is the refund.
func (p *process) attendDisputes(now time.Time) {
	for _, a := range p.attempts() {
		open, lost := a.Disputed-a.Lost, p.sum(order.Refund, func(op Operation) bool { return op.Ref == a.ID && op.About == aboutDispute })
		if a.Lost > lost {
			p.happened(now, Operation{
				System: order.SystemPayment, Operation: order.Refund, Ref: a.ID, Record: "dispute/" + a.ID, Amount: a.Lost - lost, About: aboutDispute,
			})
			p.last(order.Refund).Through = now
		}
		if open > 0 && p.openCaseOf(reconcile.PaymentDisputed, "") == nil {
			p.raise(now, reconcile.Step{
				Break: reconcile.Break{
					System: order.SystemPayment, Field: reconcile.PaymentDisputed, Situation: reconcile.Unexpected, Expected: "0",
					Observed: strconv.FormatInt(open, 10), Right: string(order.SystemPayment), Money: open, FirstSeen: now, Confirmed: now,
				},
				Decision:     reconcile.Ask,
				Why:          p.amount(open).String() + " is in dispute; automatic refunds stop, and what has not shipped does not ship",
				Proposal:     "answer the dispute at the gateway with the evidence; this case closes when it is decided there",
				Alternatives: []string{string(DecideShip) + ": ship what has not shipped all the same", string(DecideRelease) + ": give up what has not shipped", string(DecideAccept) + ": let it run"},
			})
		}
	}
	if !p.disputed() {
		p.ShipDisputed = false
		if k := p.openCaseOf(reconcile.PaymentDisputed, ""); k != nil {
			outcome := "the dispute was won"
			if p.sum(order.Refund, func(op Operation) bool { return op.About == aboutDispute }) > 0 {
				outcome = "the dispute was lost: that is the refund, and no second money goes out"
			}
			p.closeCase(now, k.N, outcome)
		}
	}
}

// capRefunds takes back what was decided to go back and cannot any more: somebody
// at the gateway, or a lost dispute, has given it back.
func (p *process) capRefunds(now time.Time) {
	left := map[string]int64{}
	for i := range p.Operations {
		op := &p.Operations[i]
		if op.Operation != order.Refund || op.Status != Meant {
			continue
		}
		if a := p.attemptBy(op.Ref); a != nil {
			if _, known := left[a.ID]; !known {
				left[a.ID] = max(0, a.Captured-a.Refunded-a.Lost)
			}
			op.Amount = min(op.Amount, left[a.ID])
			left[a.ID] -= op.Amount
		}
		if op.Amount == 0 {
			op.Status, op.Why, op.Ended = Unsent, "the money went back another way", now
			p.note(now, p.Key(*op)+" is not made: "+op.Why)
		}
	}
}

// adoptPayers lets an attempt decide the order that the customer has paid while
// what has not shipped was not covered: one of ours, or one of an old tab.
func (p *process) adoptPayers(now time.Time) {
	for _, a := range byAge(p.attempts()) {
		if !p.payer(a) && a.Held+p.refundable(a) > 0 && p.needsMoney(now) && len(p.Payers) > 0 {
			p.takeOver(a.ID)
			p.note(now, a.ID+" pays for what has not shipped")
			if k := p.openCaseOf(reconcile.PaymentAttempts, a.ID); k != nil {
				p.closeCase(now, k.N, "what it took pays for the order now")
			}
			p.touch()
		}
	}
}

// attendSurplus gives back what was taken twice, once, when the policy lets that
// happen by itself, and asks otherwise; and what was taken for pieces that were
// dropped.
func (p *process) attendSurplus(now time.Time) {
	for _, a := range p.surplus() {
		amount := p.refundable(a)
		if p.settings.Policy.Rule(reconcile.PaymentAttempts).Mode == reconcile.ModeAuto {
			// One that failed is not made again without a person.
			if !p.failedRefund(a.ID, time.Time{}) && p.giveBackFrom(now, Operation{Ref: a.ID, Amount: amount, About: aboutSurplus}) > 0 {
				p.note(now, fmt.Sprintf("%s took %s beyond the order's total: it is given back", a.ID, p.amount(amount)))
				p.touch()
			}
			continue
		}
		p.raise(now, reconcile.Step{
			Break: reconcile.Break{
				System: order.SystemPayment, Field: reconcile.PaymentAttempts, Situation: reconcile.Duplicate, Item: a.ID, Expected: "0",
				Observed: strconv.FormatInt(amount, 10), Right: string(order.SystemPayment), Money: amount, FirstSeen: now, Confirmed: now,
			},
			Decision: reconcile.Ask, System: order.SystemPayment, Operation: order.Refund, Amount: amount,
			Why:          p.amount(amount).String() + " was taken beyond the order's total, and the policy does not let it be given back by itself",
			Proposal:     "refund " + p.amount(amount).String(),
			Alternatives: []string{string(DecideByHand), string(DecideAccept)},
		})
	}
	// Pieces that were dropped after others came back change what those were worth.
	over := p.captured() - order.ValueOf(p.Order, p.kept()) - p.decidedFor(aboutDropped) - p.decidedFor(aboutReturn)
	if over > 0 && len(p.Dropped) > 0 && !p.disputed() && p.giveBack(now, over, aboutDropped, 0) > 0 {
		p.note(now, p.amount(over).String()+" was taken for what was dropped: it is given back")
		p.touch()
	}
}

// attendUnpaid asks a person when goods have left and nothing holds their money,
// or when the money of what has not left was given back by somebody.
func (p *process) attendUnpaid(now time.Time) {
	owed := p.owed()
	if k := p.openCaseOf(reconcile.PaymentCaptured, ""); k != nil && owed <= 0 {
		p.closeCase(now, k.N, "it was captured after all")
	}
	if !p.atOnce() && owed > 0 && len(p.Payers) > 0 && p.dueCapture() == nil && p.meantPayment(now) == nil {
		p.raise(now, reconcile.Step{
			Break: reconcile.Break{
				System: order.SystemPayment, Field: reconcile.PaymentCaptured, Situation: reconcile.Missing, Item: "",
				Expected: strconv.FormatInt(order.ValueOf(p.Order, p.shipped()), 10), Observed: strconv.FormatInt(p.captured(), 10),
				Right: string(order.SystemPayment), Money: owed, FirstSeen: now, Confirmed: now,
			},
			Decision: reconcile.Ask, System: order.SystemPayment, Operation: order.Authorize, Amount: owed,
			Why:          "the goods have left, and " + p.amount(owed).String() + " of their money cannot be taken any more",
			Proposal:     "charge the stored method again",
			Alternatives: []string{string(DecideByHand) + ": it was paid another way", string(DecideAccept) + ": write it off"},
		})
	}
	if p.Phase == order.PhaseAccepted && !p.paid() && p.uncovered(now) == 0 && p.meantPayment(now) == nil && !p.disputed() && !p.reviewed() && !p.declinedByReview() && !order.Empty(p.unshipped()) {
		p.raise(now, reconcile.Step{
			Break: reconcile.Break{
				System: order.SystemPayment, Field: reconcile.PaymentRefunded, Situation: reconcile.Unexpected, Item: unshippedItem,
				Expected: "0", Observed: "given back", Right: string(order.SystemPayment), Money: p.value(), FirstSeen: now, Confirmed: now,
			},
			Decision: reconcile.Ask, System: order.SystemPayment,
			Why:          "the money was given back at the gateway before the goods left; they do not leave",
			Proposal:     string(DecideCancel) + ": take the order back",
			Alternatives: []string{string(DecideRelease)},
		})
	}
}

// unshippedItem is what a case about goods is about that are not paid for any more.
const unshippedItem = "unshipped"

// declinedByReview says that an attempt which was under review holds nothing any
// more: the review ended against it.
func (s *State) declinedByReview() bool {
	held := int64(0)
	reviewed := false
	for _, a := range s.attempts() {
		held += a.Held + a.Captured - a.Refunded
		reviewed = reviewed || slices.Contains(s.Reviewed, a.ID) && !a.Review && a.Held+a.Captured-a.Refunded <= 0 && a.State != reconcile.AttemptOpen
	}
	return reviewed && held <= 0
}

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
	p.attendReturns(now)
	p.payReturns(now)
	if p.Phase == order.PhaseAccepted {
		p.attendGivenUp(now)
		p.attendNotThere(now)
	}
	if order.Empty(p.unshipped()) {
		p.closeShort(now)
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
			p.Returns = append(p.Returns, Returning{Lines: r.Lines, By: "nobody announced it", Asked: now, Record: r.ID, Name: r.Name()})
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

// returning returns the place of a return among ours, or -1.
func (p *process) returning(r reconcile.Return) int {
	if intent, ours := order.ParseKey(r.Key); ours && intent.Operation == order.Return && intent.N <= len(p.Returns) {
		return intent.N - 1
	}
	return slices.IndexFunc(p.Returns, func(mine Returning) bool { return mine.Record == r.ID })
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

// attendGivenUp asks about requests that the warehouse gave up by itself.
func (p *process) attendGivenUp(now time.Time) {
	if p.openIn(order.SystemWarehouse) != nil {
		return
	}
	for n := 1; n <= p.count(order.Request); n++ {
		op := p.find(order.Request, n)
		key := p.Key(*op)
		all := p.shipmentsOf(key)
		if op.Status != Done || len(all) == 0 || p.withdrawn(key) || slices.ContainsFunc(all, func(sh reconcile.Shipment) bool { return sh.State.Live() }) {
			continue
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

// attendNotThere asks when goods that are to be sent once more are not there.
func (p *process) attendNotThere(now time.Time) {
	last := p.last(order.Reserve)
	if last == nil || last.Status != Refused || p.complete() {
		return
	}
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemInventory, Field: reconcile.InventoryReserved, Situation: reconcile.Missing, Item: p.Key(*last),
			Expected: pieces(p.unshipped()), Observed: "not there on " + last.Ended.Format(time.RFC3339), Right: string(order.SystemInventory),
			FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemInventory, Operation: order.Reserve, Key: p.Key(*last),
		Why:          pieces(p.unshipped()) + " are to be sent once more, and are not there",
		Proposal:     "promise them once they are there again",
		Alternatives: []string{string(DecideRelease) + ": give them up, and give their money back"},
	})
}

// closeShort closes what was asked about missing stock, once nothing is to ship.
func (p *process) closeShort(now time.Time) {
	for _, q := range order.BySKU(p.Order.AllLines()) {
		if k := p.openCaseOf(reconcile.InventoryReserved, q.SKU); k != nil && k.Step.Break.Situation == reconcile.Conflict {
			p.closeCase(now, k.N, "nothing is left to ship")
		}
	}
}

// goesWithout asks a person when the stock was corrected by hand and is not
// enough for this order any more: older orders are served first.
func (p *process) goesWithout(now time.Time, short reconciliation.Shortage) {
	if order.Empty(p.unshipped()) {
		return
	}
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemInventory, Field: reconcile.InventoryReserved, Situation: reconcile.Conflict, Item: short.SKU,
			Expected: strconv.FormatInt(short.Missing, 10) + " more", Observed: strconv.FormatInt(short.Count, 10) + " in the warehouse",
			Right: string(order.SystemWarehouse), FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask,
		Why: fmt.Sprintf("the stock was corrected: the warehouse counts %d of %s, which are promised to older orders, and %d for this one are missing",
			short.Count, short.SKU, short.Missing),
		Proposal:     string(DecideAccept) + ": wait until there is more",
		Alternatives: []string{string(DecideRelease) + ": give up what has not shipped, and its money", string(DecideCancel) + ": take the order back"},
	})
}

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
	free := order.Less(p.Order, p.unshipped(), p.requested())
	if some := order.Common(p.Order, a.Drop, free); a.Some && !order.Empty(some) {
		a.Drop = some
	}
	if !order.Empty(order.Less(p.Order, a.Drop, free)) {
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

// pieces writes lines for a person.
func pieces(lines []order.Quantity) string {
	text := ""
	for _, q := range order.BySKU(lines) {
		if text != "" {
			text += ", "
		}
		text += strconv.FormatInt(q.Quantity, 10) + " × " + q.SKU
	}
	if text == "" {
		return "nothing"
	}
	return text
}

// openCaseOf returns the open case about a field and item, or nil.
func (s *State) openCaseOf(f reconcile.Field, item string) *reconcile.Case {
	for i := range s.Cases {
		if c := &s.Cases[i]; c.Open() && c.Step.Break.Field == f && c.Step.Break.Item == item {
			return c
		}
	}
	return nil
}

// raise opens a case about what the systems said by themselves, unless a person
// has decided about exactly that. What was to be repaired and is not is asked again.
func (p *process) raise(now time.Time, step reconcile.Step) {
	for _, c := range p.Cases {
		if !c.Open() && c.Step.Break.ID() == step.Break.ID() && c.Step.Break.Observed == step.Break.Observed && strings.HasPrefix(c.Outcome, decidedBy) && !strings.HasPrefix(c.Outcome, decidedBy+string(DecideRepair)) {
			return
		}
	}
	p.openCase(now, step, !compared(step.Break))
}

// compared says that a comparison of the systems finds the break too, so that its
// case closes when they agree again.
func compared(b reconcile.Break) bool {
	return b.Field == reconcile.PaymentDisputed || b.Field == reconcile.PaymentCaptured && b.Item == "" ||
		b.Field == reconcile.WarehouseShipment && b.Situation == reconcile.Mismatch || b.Field == reconcile.PaymentAttempts
}

// closeCase closes a case with what became of it.
func (p *process) closeCase(now time.Time, n int, outcome string) {
	for i := range p.Cases {
		if c := &p.Cases[i]; c.N == n && c.Open() {
			c.Closed, c.Outcome = now, outcome
			p.note(now, fmt.Sprintf("case %d closed: %s", n, outcome))
			p.touch()
		}
	}
}
