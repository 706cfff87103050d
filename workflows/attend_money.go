package workflows

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What the gateway says by itself: money that somebody else moved, refunds that
// become final or fail, disputes, reviews, and payments of an old tab.

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
	p.WasPaid = p.WasPaid || slices.ContainsFunc(p.everyAttempt(), func(a reconcile.Attempt) bool { return a.Captured+a.Held > 0 })
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
			if op != nil && r.State != reconcile.RefundFailed && (op.Status == Unsent || op.Status == Refused && op.Code != failedLater) {
				// Its repair was stopped after it had got through, or its answer was not true.
				p.isThere(now, op, r)
			}
			switch {
			case op == nil && r.State != reconcile.RefundFailed:
				about := aboutHand
				if !p.payer(a) {
					about = aboutSurplus // the books have no invoice for what it took, nor will they
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
				op.Status, op.Ended, op.Why, op.Code = Refused, now, "the refund failed after it was accepted", failedLater
				p.refundFailed(now, *op)
			}
		}
	}
}

// isThere takes a refund for done that the gateway has: nobody is asked about it any
// more.
func (p *process) isThere(now time.Time, op *Operation, r reconcile.Refund) {
	op.Status, op.Ended, op.Record, op.Amount = Done, p.observed(order.SystemPayment).At, r.ID, r.Amount
	op.Why, op.Code, op.Conflict = "", "", false
	p.note(now, p.Key(*op)+" is there after all: the gateway has it")
	for _, k := range p.Cases {
		if k.Open() && k.Step.Key == p.Key(*op) {
			p.closeCase(now, k.N, "the gateway has the refund after all")
		}
	}
	p.touch()
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

// refundsGone takes refunds that the gateway had accepted, and certainly does not
// have any more, for failed ones, and returns how many there are: each is a case
// of its own, which can be decided like any that failed.
func (p *process) refundsGone(now time.Time, b reconcile.Break) int {
	if b.Field != reconcile.PaymentRefunded || b.Confirmed.IsZero() {
		return 0
	}
	n := 0
	for i := range p.Operations {
		op := &p.Operations[i]
		if op.Operation != order.Refund || op.Status != Done || op.About == aboutDispute || p.refundOf(*op) != nil {
			continue
		}
		op.Status, op.Ended, op.Why, op.Code = Refused, now, "the refund was accepted, and the gateway does not have it any more", failedLater
		p.refundFailed(now, *op)
		n++
	}
	return n
}

func (p *process) refundFailed(now time.Time, op Operation) {
	p.refundMissing(now, op, "failed", "refund again",
		"the refund of "+p.amount(op.Amount).String()+" failed after the gateway had accepted it: the customer does not have the money")
}

// refundMissing asks about money that the customer should have back, and does not have as
// far as anybody knows.
func (p *process) refundMissing(now time.Time, op Operation, observed, proposal, why string) {
	step := reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemPayment, Field: reconcile.PaymentRefunded, Situation: reconcile.Missing, Item: p.Key(op),
			Expected: strconv.FormatInt(op.Amount, 10), Observed: observed, Right: string(order.SystemPayment), Money: op.Amount,
			FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemPayment, Operation: order.Refund, Amount: op.Amount, Key: p.Key(op),
		Why:          why,
		Proposal:     proposal,
		Alternatives: []string{string(DecideByHand) + ": it was paid back another way", string(DecideAccept) + ": it is not to be paid back"},
	}
	if op.Amount == 0 { // a person may still say how much
		step.Operation, step.Key = "", ""
	}
	p.raise(now, step)
}

// attendDisputes opens a case about what is in dispute. What was lost is the refund.
func (p *process) attendDisputes(now time.Time) {
	total := int64(0)
	for _, a := range p.attempts() {
		open, lost := a.Disputed-a.Lost, p.sum(order.Refund, func(op Operation) bool { return op.Ref == a.ID && op.About == aboutDispute })
		if a.Lost > lost {
			p.happened(now, Operation{
				System: order.SystemPayment, Operation: order.Refund, Ref: a.ID, Record: "dispute/" + a.ID, Amount: a.Lost - lost, About: aboutDispute,
			})
			p.last(order.Refund).Through = now
			p.holdSurplus(now)
		}
		if open > 0 {
			p.holdBack(now, a.ID)
		}
		total += open
	}
	if total > 0 {
		p.raise(now, reconcile.Step{
			Break: reconcile.Break{
				System: order.SystemPayment, Field: reconcile.PaymentDisputed, Situation: reconcile.Unexpected, Expected: "0",
				Observed: strconv.FormatInt(total, 10), Right: string(order.SystemPayment), Money: total, FirstSeen: now, Confirmed: now,
			},
			Decision:     reconcile.Ask,
			Why:          p.amount(total).String() + " is in dispute; automatic refunds stop, and what has not shipped does not ship",
			Proposal:     "answer the dispute at the gateway with the evidence; this case closes when it is decided there",
			Alternatives: []string{string(DecideShip) + ": ship what has not shipped all the same", string(DecideRelease) + ": give up what has not shipped", string(DecideAccept) + ": let it run"},
		})
	}
	if !p.disputed() {
		p.ShipDisputed = false
		p.pass(now, reconcile.Base{Field: reconcile.PaymentDisputed, Value: "0"})
		if k := p.openCaseOf(reconcile.PaymentDisputed, ""); k != nil {
			outcome := "the dispute was won"
			if p.sum(order.Refund, func(op Operation) bool { return op.About == aboutDispute }) > 0 {
				outcome = "the dispute was lost: that is the refund, and no second money goes out"
			}
			p.closeCase(now, k.N, outcome)
		}
	}
}

// holdBack lets refunds that the gateway refused, for their money was in dispute
// already, wait for its end like those that were decided since.
func (p *process) holdBack(now time.Time, attempt string) {
	for i := range p.Operations {
		op := &p.Operations[i]
		if op.Operation != order.Refund || op.Ref != attempt || op.Status != Refused || !op.Conflict || op.Code == waivedRefund || op.Code == failedLater || p.repeated(p.Key(*op)) {
			continue
		}
		op.Status, op.Why = Unsent, "the money is in dispute"
		for _, k := range p.Cases {
			if k.Open() && k.Step.Key == p.Key(*op) {
				p.closeCase(now, k.N, "the money is in dispute: it goes back when that is decided, if it is still here")
			}
		}
		p.Operations = append(p.Operations, Operation{
			System: op.System, Operation: op.Operation, N: p.count(op.Operation) + 1, Status: Meant, First: now,
			Ref: op.Ref, Amount: op.Amount, About: op.About, Of: op.Of, Again: op.Again, Settles: op.Settles, Ruled: op.Ruled, Instead: p.Key(*op),
		})
		p.touch()
	}
}

// holdSurplus takes back what was to go back of a second payment and was not sent
// before a dispute was lost: the bank may have given that back. A person is asked.
func (p *process) holdSurplus(now time.Time) {
	for i := range p.Operations {
		op := &p.Operations[i]
		if op.Operation == order.Refund && op.Status == Meant && op.About == aboutSurplus {
			op.Status, op.Ended, op.Why = Unsent, now, "a dispute was lost; a person decides"
			p.note(now, p.Key(*op)+" is not made: "+op.Why)
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
	if p.dueCapture() != nil {
		return // what has left is captured first
	}
	for _, a := range byAge(p.attempts()) {
		if !p.payer(a) && a.Held+p.refundable(a) > 0 && p.needsMoney(now) && len(p.Payers) > 0 && p.helps(now, a) {
			p.takeOver(now, a)
			p.adoptCaptures(now)
			p.note(now, a.ID+" pays for what has not shipped")
			if k := p.openCaseOf(reconcile.PaymentAttempts, a.ID); k != nil {
				p.closeCase(now, k.N, "what it took pays for the order now")
			}
			p.touch()
		}
	}
}

// attendSurplus gives back what was taken twice, once, when the policy lets that
// happen by itself, and asks otherwise.
func (p *process) attendSurplus(now time.Time) {
	for _, k := range p.openCases() {
		if a := p.attemptBy(k.Step.Break.Item); k.Step.Break.Field == reconcile.PaymentAttempts && a != nil && p.emptied(*a) && !p.refunding() {
			p.closeCase(now, k.N, "it went back at the gateway")
		}
	}
	for _, a := range p.surplus() {
		// One that failed is not made again without a person.
		if !p.failedRefund(a.ID, time.Time{}) {
			p.giveSurplus(now, a.ID, p.refundable(a)-p.waived(a.ID))
		}
	}
	over := p.overpaid()
	switch {
	case over <= 0 || p.disputed():
	case p.lostDispute():
		p.askOver(now, over-p.decidedFor(aboutHand))
	case len(p.Dropped) == 0:
		// One that began to pay for the rest took more than the rest is worth.
		p.giveSurplus(now, p.Payers[len(p.Payers)-1], over-p.decidedFor(aboutHand))
	case p.giveBack(now, over, aboutDropped, 0) > 0:
		p.note(now, p.amount(over).String()+" was taken for what was dropped: it is given back")
		p.touch()
	}
}

// emptied says that an attempt has nothing that would have to go back, nor, in another
// currency, may take any.
func (s *State) emptied(a reconcile.Attempt) bool {
	waits := a.State == reconcile.AttemptOpen || a.State == reconcile.AttemptProcessing
	return a.Held+s.refundable(a) == 0 && !(waits && s.foreign(a))
}

// askOver asks what becomes of money that the order's payers took beyond what was
// kept, after a dispute was lost: as far as they have it still, the latest first.
func (p *process) askOver(now time.Time, over int64) {
	for _, id := range slices.Backward(p.Payers) {
		if a := p.attemptBy(id); a != nil {
			part := min(over, p.refundable(*a))
			p.giveSurplus(now, id, part)
			over -= part
		}
	}
}

// overpaid is what the order's payers took beyond what was kept or came back, and
// what was not given back for that yet.
func (p *process) overpaid() int64 {
	if len(p.Payers) == 0 {
		return 0
	}
	// Pieces that were dropped after others came back change what those were worth.
	return p.capturedInAll() - order.ValueOf(p.Order, p.kept()) - p.decidedFor(aboutDropped) - p.cameBack() - p.decidedBack(p.ofSurplus)
}

// giveSurplus gives back what an attempt took beyond the order's total, or asks.
func (p *process) giveSurplus(now time.Time, attempt string, amount int64) {
	if amount <= 0 || p.letStand(reconcile.PaymentAttempts, attempt, amount) {
		return
	}
	why := p.surplusAsked(attempt, amount)
	if why == "" {
		if p.giveBackFrom(now, Operation{Ref: attempt, Amount: amount, About: aboutSurplus, Ruled: true}) > 0 {
			p.note(now, fmt.Sprintf("%s took %s beyond the order's total: it is given back", attempt, p.amount(amount)))
			p.touch()
		}
		return
	}
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemPayment, Field: reconcile.PaymentAttempts, Situation: reconcile.Duplicate, Item: attempt, Expected: "0",
			Observed: strconv.FormatInt(amount, 10), Right: string(order.SystemPayment), Money: amount, FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemPayment, Operation: order.Refund, Amount: amount,
		Why:          p.amount(amount).String() + " was taken beyond the order's total, and " + why,
		Proposal:     "refund " + p.amount(amount).String(),
		Alternatives: []string{string(DecideByHand), string(DecideAccept)},
	})
}

// letStand says that a person decided to let just this amount of a field stand.
func (s *State) letStand(field reconcile.Field, item string, amount int64) bool {
	return slices.ContainsFunc(s.Accepted, func(b reconcile.Base) bool {
		return b.Field == field && b.Item == item && b.Value == strconv.FormatInt(amount, 10)
	})
}

// surplusAsked says why a person decides what becomes of a surplus, or nothing. The
// order gives back by itself no more than one run would, and nothing that a switch or
// an incident stops: see refund.
func (p *process) surplusAsked(attempt string, amount int64) string {
	rule := p.settings.Policy.Rule(reconcile.PaymentAttempts)
	count, sum := 0, int64(0)
	stopped := ""
	for _, op := range p.Operations {
		switch {
		case op.Operation != order.Refund || !op.Ruled:
		case op.Status != Unsent:
			count, sum = count+1, sum+op.Amount
		case op.Ref == attempt && op.Code == repair.StoppedReason:
			stopped, _ = repair.Refused(op.Why)
		}
	}
	switch {
	case rule.Mode != reconcile.ModeAuto:
		return "the policy does not let it be given back by itself"
	case p.lostDispute():
		return "a dispute was lost: the bank may have given it back"
	case rule.MaxCount > 0 && count >= rule.MaxCount:
		return fmt.Sprintf("max_count of %s in the policy lets no more than %d be given back by itself", rule.Field, rule.MaxCount)
	case rule.MaxMoney > 0 && (amount > rule.MaxMoney || sum > rule.MaxMoney-amount):
		return fmt.Sprintf("max_money of %s in the policy lets no more than %s be given back by itself", rule.Field, p.amount(rule.MaxMoney))
	case stopped != "":
		return "it was not sent: " + stopped + "; a run gives it back when that is over"
	}
	return ""
}

// attendUnpaid asks a person when goods have left and nothing holds their money,
// or when the money of what has not left was given back by somebody.
func (p *process) attendUnpaid(now time.Time) {
	owed := p.owed()
	if k := p.openCaseOf(reconcile.PaymentCaptured, ""); k != nil && owed <= 0 && p.tookThere() >= order.ValueOf(p.Order, p.shipped()) {
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
