package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What a person decides about a case. A decision is carried out as the normal
// transition would be, and what it is about is looked at afresh where somebody
// says that it was put right by hand.

// decidedBy begins the outcome of a case that a person decided; unverified comes
// after who it was, and before the reason.
const (
	decidedBy  = "decided: "
	unverified = " (unverified)"
)

// decisionIn reads in an outcome what a person decided, and who; nothing when it
// came about by itself.
func decisionIn(outcome string) (as, by string) {
	decision, ok := strings.CutPrefix(unreasoned(outcome), decidedBy)
	if !ok {
		return "", ""
	}
	as, by, _ = strings.Cut(strings.TrimSuffix(decision, unverified), " by ")
	return as, by
}

// unreasoned returns an outcome without the reason that a person gave.
func unreasoned(outcome string) string {
	before, _, found := strings.Cut(outcome, unverified)
	if !found {
		return outcome
	}
	return before + unverified
}

func (p *process) decidable(_ workflow.Context, d Decide) error {
	const what = "decide a case of"
	problems := d.check()
	if strings.TrimSpace(d.Reason) == "" {
		problems = append(problems, order.Problem{Field: "reason", Reason: "is missing; say why, for whoever reads the case later"})
	}
	if all := decisions(); !slices.Contains(all, d.As) {
		problems = append(problems, order.Problem{Field: "as", Reason: fmt.Sprintf("is %q; want one of %v", d.As, all)})
	}
	problems = append(problems, p.checkMoney(d.Amount)...)
	if len(problems) > 0 {
		return p.invalid(what, problems)
	}
	k := p.caseOf(d.Case)
	switch {
	case p.wished(DecideUpdate, d.ID) > 0:
		return nil
	case k == nil:
		return p.refuse(what, fmt.Sprintf("it has no case %d", d.Case))
	case !k.Open():
		return p.refuse(what, fmt.Sprintf("case %d was closed already: %s", d.Case, k.Outcome))
	case p.recalling:
		return p.refuse(what, beingRecalled)
	}
	return p.feasible(what, *k, d)
}

// feasible refuses what cannot be done about a case now, and says what can.
func (p *process) feasible(what string, k reconcile.Case, d Decide) error {
	departed := len(p.Departures) > 0
	if (d.As == DecideAccept || d.As == DecideRefund) && p.keepsGoods(k) {
		return p.refuse(what, "its goods would stay where they are for ever; decide "+string(DecideRelease)+" to give them up with their money, or one of: "+
			k.Step.Proposal+"; "+strings.Join(k.Step.Alternatives, "; "))
	}
	switch d.As {
	case DecideRepair:
		if !p.repairable(k.Step) {
			return p.refuse(what, "what the case proposes is for a person to do: "+k.Step.Proposal+"; decide "+string(DecideByHand)+" when it is done, or "+string(DecideAccept))
		}
	case DecideRefund:
		if a := p.attemptBy(k.Step.Break.Item); a != nil && p.foreign(*a) {
			return p.refuse(what, "what is in another currency is given back at the gateway; decide "+string(DecideByHand)+" when that is done")
		}
		if left := p.refundableBy(k); left == 0 || d.Amount > left {
			return p.refuse(what, fmt.Sprintf("at most %s is left to give back", p.amount(left)))
		}
	case DecideShip:
		if k.Step.Break.Field != reconcile.PaymentDisputed && p.lostParcel(k) == nil && !p.givenUpBy(k) {
			return p.refuse(what, "there is nothing to ship in this case; its alternatives are: "+strings.Join(k.Step.Alternatives, "; "))
		}
	case DecideRelease, DecideCancel:
		switch {
		case p.lostParcel(k) != nil:
			return p.refuse(what, "a lost parcel is not given up; decide one of: "+k.Step.Proposal+"; "+strings.Join(k.Step.Alternatives, "; "))
		case !p.Phase.PastPivot() && p.Phase != order.PhasePaying:
			return p.refuse(what, "it is "+string(p.Phase)+" already")
		case d.As == DecideCancel && departed:
			return p.refuse(what, "part of it has shipped; decide "+string(DecideRelease)+" to give up what has not")
		case d.As == DecideRelease && p.Amendment.open():
			return p.refuse(what, "an amendment is being decided by the warehouse; decide again when it is")
		case order.Empty(p.unshipped()):
			return p.refuse(what, "all of it has shipped; decide "+string(DecideRefund)+", or ask for a return")
		}
	case DecideAccept, DecideByHand:
	}
	return nil
}

// repairable says that the case proposes something that the order can do.
func (p *process) repairable(s reconcile.Step) bool {
	switch s.Operation {
	case order.Refund, order.Request, order.Upsert, order.Record, order.Invoice, order.Receipt, order.Credit, order.Reserve, order.Release, order.Capture:
		return true
	case order.Authorize:
		return p.reusable()
	}
	return s.Operation != "" && s.Key != ""
}

func (p *process) lostParcel(k reconcile.Case) *Departure {
	for i := range p.Departures {
		if d := &p.Departures[i]; d.item() == k.Step.Break.Item && d.Lost {
			return d
		}
	}
	return nil
}

// refusedCancel says that the case is about a cancellation that came too late.
func (p *process) refusedCancel(k reconcile.Case) bool {
	b := k.Step.Break
	return b.Field == reconcile.WarehouseShipment && b.Situation == reconcile.Conflict && b.Item == "" && b.Expected == "cancelled"
}

// givenUpBy says that the case is about a request that the warehouse refused, or
// gave up.
func (p *process) givenUpBy(k reconcile.Case) bool {
	return k.Step.System == order.SystemWarehouse && k.Step.Operation == order.Request
}

// keepsGoods says that what has not shipped stays where it is until the case is
// decided.
func (p *process) keepsGoods(k reconcile.Case) bool {
	if p.Phase != order.PhaseAccepted || order.Empty(p.unshipped()) {
		return false
	}
	return p.givenUpBy(k) || k.Step.Operation == order.Reserve || k.Step.Break.Item == unshippedItem
}

// decide carries out a decision and closes its case, when a reading of this very
// moment shows the evidence that it was made on. Otherwise nothing is done: the
// case asks about what is so now, and the answer says it.
func (p *process) decide(ctx workflow.Context, d Decide) (Reply, error) {
	done := func(n int) (Reply, error) { return p.reply(ctx, DecideUpdate, n), nil }
	refused := func(why string) (Reply, error) {
		r := p.reply(ctx, DecideUpdate, d.Case)
		r.Refused = why
		return r, nil
	}
	if n := p.wished(DecideUpdate, d.ID); n > 0 {
		return done(n)
	}
	if why := p.closedMeanwhile(d.Case); why != "" {
		return refused(why)
	}
	on := d.Evidence
	if on == "" {
		on = p.token(workflow.Now(ctx), *p.caseOf(d.Case))
	}
	work, _ := workflow.NewDisconnectedContext(ctx)
	unread, count := p.readFor(work, *p.caseOf(d.Case), d.As)
	now := workflow.Now(ctx)
	p.attend(now)
	if n := p.wished(DecideUpdate, d.ID); n > 0 { // the same wish came twice, and the other one was faster
		return done(n)
	}
	if unread != "" {
		return refused("the " + string(unread) + " system cannot be read now, so that nobody knows whether it is still so; nothing was decided: decide again when it can be read")
	}
	if d.As != DecideByHand {
		c := p.assess(now)
		p.settleCases(now, c)
		p.replan(now, c)
		if count != nil {
			p.counted(now, d.Case, *count)
		}
	}
	if why := p.closedMeanwhile(d.Case); why != "" {
		return refused(why)
	}
	k := *p.caseOf(d.Case)
	if d.As == DecideByHand {
		if count != nil && p.missingAt(shortage(k), *count) > 0 {
			return refused(fmt.Sprintf("the warehouse counts %d of %s, and nothing was closed: once a run finds enough for this order the case closes by itself", count.Quantity, count.SKU))
		}
		if p.standing(now, k) {
			return refused("the " + string(k.Step.Break.System) + " system still says the same; nothing was closed")
		}
	} else if is := p.evidence(now, k); is.Token != on {
		r, err := refused(p.stale(now, k, is))
		r.Evidence = is.Token
		return r, err
	} else if err := p.feasible("decide a case of", k, d); err != nil {
		return refused(plainly(err))
	} else if p.repairing(k) {
		return refused("what the case is about is being repaired just now; decide again when that is done")
	} else if d.As == DecideRepair && p.writing(k.Step.Operation) {
		// It could not be done again now, and the case would be closed all the same.
		return refused("the " + string(k.Step.System) + " system is being written just now, and not what this case asks for; decide again when that is done")
	}
	p.decided(now, k, d)
	return done(k.N)
}

// writing says that an operation of a kind is under way, and what it writes is settled.
// What a decision makes anew waits for its turn: see mendByDecision.
func (s *State) writing(operation order.Operation) bool {
	switch operation {
	case order.Refund, order.Request, order.Authorize:
		return false
	}
	return slices.ContainsFunc(s.Operations, func(op Operation) bool { return op.Operation == operation && op.Status == Open })
}

// repairing says that a run's repair, or a rule's refund, of what a case is about is
// under way: what it leaves behind is not known yet.
func (s *State) repairing(k reconcile.Case) bool {
	b := k.Step.Break
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		back := op.Operation == order.Refund && b.Field == reconcile.PaymentAttempts && op.Ref == b.Item
		return op.Status == Open && (op.Grant != nil && slices.Contains(op.For, b.Place()) || back && (op.Grant != nil || op.Ruled))
	})
}

// refundableBy is the most that a decision about a case can give back: of what was
// taken twice, or was to go back again, what is left of the attempt that took it.
func (s *State) refundableBy(k reconcile.Case) int64 {
	from := ""
	if k.Step.Break.Field == reconcile.PaymentAttempts {
		from = k.Step.Break.Item
	} else if failed := s.failedIn(k); failed != nil && failed.About == aboutSurplus {
		from = failed.Ref
	}
	if from == "" {
		return s.allRefundable()
	}
	a := s.attemptBy(from)
	if a == nil || s.foreign(*a) { // what is in another currency goes back at the gateway
		return 0
	}
	return s.refundable(*a)
}

// failedIn returns the refund that failed, about which a case is; or nil.
func (s *State) failedIn(k reconcile.Case) *Operation {
	return s.refundNamed(k.Step.Key)
}

// closedMeanwhile says that a case is not open any more, and why; empty while it
// is.
func (p *process) closedMeanwhile(n int) string {
	switch k := p.caseOf(n); {
	case k == nil:
		return fmt.Sprintf("there is no case %d; nothing was decided", n)
	case !k.Open():
		return "the case was closed meanwhile; nothing was decided: " + k.Outcome
	}
	return ""
}

// readFor reads what a decision rests on, in this moment, and returns a system
// that cannot be read; none when all can be. What was put right by hand may be
// anywhere. What is not enough is counted.
func (p *process) readFor(ctx workflow.Context, k reconcile.Case, as Decision) (unread order.System, count *reconcile.Count) {
	systems := concerned(k, as)
	_ = workflow.Await(ctx, func() bool { return !p.reading }) // one that is under way may be older than this decision
	if as == DecideByHand {
		p.readAll(ctx, 0)
	} else {
		p.readSystems(ctx, systems, 0)
	}
	for _, system := range systems {
		if p.observed(system).State == reconcile.Unreadable {
			return system, nil
		}
	}
	if !goesShort(k) {
		return "", nil
	}
	is, ok := p.countFor(ctx, k)
	if !ok {
		return order.SystemWarehouse, nil
	}
	return "", &is
}

// stale says that a case does not rest any more on what a decision was made on,
// and what it rests on now. It is announced, for others may be about to decide.
func (p *process) stale(now time.Time, k reconcile.Case, is reconcile.Evidence) string {
	var options []string
	for _, o := range is.Options {
		options = append(options, o.As+": "+o.Does)
	}
	p.note(now, fmt.Sprintf("a decision on case %d was not carried out: the evidence is %s by now", k.N, is.Token))
	p.mayHaveChanged(k.N)
	return fmt.Sprintf("what case %d rests on has changed since; nothing was done. Now: %s (expected %s, is %s); proposal: %s. Possible: %s. Look again, and decide on evidence %s",
		k.N, k.Step.Why, is.Expected, is.Observed, k.Step.Proposal, strings.Join(options, "; "), is.Token)
}

// decided carries out a decision that can be carried out.
func (p *process) decided(now time.Time, k reconcile.Case, d Decide) {
	p.took(now, DecideUpdate, d.Asked, d.Case)
	outcome := decidedBy + string(d.As) + " by " + d.By + unverified + ": " + d.Reason
	switch d.As {
	case DecideRepair:
		p.mendByDecision(now, k.Step)
	case DecideAccept:
		p.acceptByDecision(now, k)
	case DecideRefund:
		p.refundByDecision(now, k, d)
	case DecideShip:
		p.shipByDecision(now, k)
	case DecideRelease:
		if p.givenUpBy(k) {
			p.requestAnew(now, k.Step.Key) // the warehouse has let it go
		}
		p.dropUnshipped(now, d.Asked)
	case DecideCancel:
		p.Cancel = nil
		p.wish(now, Cancel{By: d.By, Reason: d.Reason})
	case DecideByHand:
		p.letGo(now, k)
		if p.refusedCancel(k) && p.warehouseGaveUp() { // the parcel was stopped: the order is taken back
			p.Cancel = nil
			p.wish(now, Cancel{By: d.By, Reason: d.Reason})
		}
	}
	p.closeCase(now, d.Case, outcome)
}

// standing says that the break of a case is still there, by what was read just
// now. What no comparison finds is taken at the person's word.
func (p *process) standing(now time.Time, k reconcile.Case) bool {
	if p.givenUpBy(k) && !slices.ContainsFunc(p.shipmentsOf(k.Step.Key), func(sh reconcile.Shipment) bool { return sh.State.Live() }) {
		return true
	}
	if k.Step.Operation == order.Reserve && !p.complete() || k.Step.Break.Item == unshippedItem && !p.paid() {
		return true
	}
	c := p.assess(now)
	return slices.ContainsFunc(c.Breaks, func(b reconcile.Break) bool { return b.Place() == k.Step.Break.Place() })
}

// mendByDecision does what the case proposes, as the normal transition.
func (p *process) mendByDecision(now time.Time, step reconcile.Step) {
	switch step.Operation {
	case order.Refund:
		p.refundAgain(now, step, step.Amount)
	case order.Request:
		p.requestAnew(now, step.Key)
	case order.Authorize:
		op := Operation{System: order.SystemPayment, Operation: order.Authorize, N: p.count(order.Authorize) + 1, Status: Meant, First: now, Amount: step.Amount, OffSession: true}
		if len(p.Payers) > 0 {
			op.Ref = p.Payers[len(p.Payers)-1]
		}
		p.Operations = append(p.Operations, op)
	default:
		if op := p.again(now, step); op != nil && op.Status != Open {
			if op.Operation == order.Reserve && op.Status == Refused {
				op.Lines = p.unshipped() // some of it may have left since it was refused
			}
			op.Status = Lost
			op.For = append(op.For, step.Break.Place())
		}
	}
	p.touch()
}

// refundAgain gives back what a case proposes, or another amount of it: for the reason
// and from the attempt of the refund that failed, or of what an attempt took beyond the
// total. What a person gives back beyond that is the order's own money.
func (p *process) refundAgain(now time.Time, step reconcile.Step, amount int64) {
	back := Operation{Amount: amount, About: aboutPerson}
	if intent, ours := order.ParseKey(step.Key); ours && intent.Operation == order.Refund {
		if op := p.find(order.Refund, intent.N); op != nil {
			back.About, back.Of, back.Ref = op.About, op.Of, op.Ref
			if amount == step.Amount {
				back.Again = step.Key
			} else {
				back.Settles = step.Key
			}
		}
	}
	if step.Break.Field == reconcile.PaymentAttempts {
		back.About, back.Ref = aboutSurplus, step.Break.Item
	}
	more := int64(0)
	if back.About == aboutSurplus && step.Amount > 0 {
		more = max(0, amount-step.Amount)
		back.Amount -= more
	}
	p.giveBackFrom(now, back)
	if more > 0 {
		p.giveBackFrom(now, Operation{Amount: more, About: aboutPerson, Ref: back.Ref})
	}
}

// requestAnew lets a request that the warehouse gave up be made again, as a new
// one.
func (p *process) requestAnew(now time.Time, key string) {
	p.freeRequest(now, key, "the warehouse gave it up by itself")
	p.touch()
}

func (p *process) acceptByDecision(now time.Time, k reconcile.Case) {
	b := k.Step.Break
	p.letGo(now, k)
	p.Accepted = reconcile.Remember(p.Accepted, []reconcile.Base{{Field: b.Field, Item: b.Item, Value: b.Observed, At: now}})
}

// letGo expects nothing more of what a case is about: a parcel that was lost, or
// whose record is gone, a refund that was refused.
func (p *process) letGo(now time.Time, k reconcile.Case) {
	if parcel := p.lostParcel(k); parcel != nil {
		parcel.Lost, parcel.Settled = false, true
	}
	for i := range p.Departures {
		d := &p.Departures[i]
		if k.Step.Break.Field == reconcile.WarehouseShipment && k.Step.Break.Item == d.Key && p.parcel(*d) == nil {
			d.Lost, d.Settled = false, true
		}
	}
	if intent, ours := order.ParseKey(k.Step.Key); ours && intent.Operation == order.Refund {
		if op := p.find(order.Refund, intent.N); op != nil && op.Status == Refused {
			op.Code = waivedRefund
			p.keepSurplus(now, *op)
			p.touch()
		}
	}
}

// keepSurplus lets stand what the gateway keeps of a second payment, for it was paid
// back another way or is not to be paid back.
func (p *process) keepSurplus(now time.Time, refund Operation) {
	a := p.attemptBy(refund.Ref)
	if a == nil || p.payer(*a) && refund.About != aboutSurplus {
		return
	}
	kept := p.decidedBack(func(op Operation) bool {
		return op.Ref == a.ID && op.Status == Refused && op.Code == waivedRefund && (!p.payer(*a) || op.About == aboutSurplus)
	})
	p.Accepted = reconcile.Remember(p.Accepted, []reconcile.Base{{
		Field: reconcile.PaymentAttempts, Item: a.ID, Value: strconv.FormatInt(kept, 10), At: now,
	}})
}

// refundByDecision gives money back: for a lost parcel its share, unless another
// amount was named.
func (p *process) refundByDecision(now time.Time, k reconcile.Case, d Decide) {
	if parcel := p.lostParcel(k); parcel != nil && d.Amount == 0 {
		parcel.Lost, parcel.Settled = false, true
		r := Returning{Lines: parcel.Lines, By: d.By, Asked: now, Lost: true, Received: now}
		r.Kept = order.Less(p.Order, p.kept(), r.Lines)
		p.Returns = append(p.Returns, r)
		p.giveBack(now, p.worth(r).Total, aboutReturn, len(p.Returns))
		return
	}
	if k.Step.Operation == order.Refund || k.Step.Break.Field == reconcile.PaymentAttempts {
		amount := cmp.Or(d.Amount, k.Step.Amount, p.refundableBy(k))
		p.settleFailed(now, k, amount)
		p.refundAgain(now, k.Step, amount)
		return
	}
	p.letGo(now, k)
	p.giveBack(now, cmp.Or(d.Amount, p.allRefundable()), aboutPerson, 0)
}

// settleFailed settles the refund that failed by one of another amount: of what was
// taken twice the rest of it stays.
func (p *process) settleFailed(now time.Time, k reconcile.Case, amount int64) {
	failed := p.failedIn(k)
	if failed == nil || amount == failed.Amount {
		return
	}
	if failed.About == aboutSurplus {
		failed.Amount = max(0, failed.Amount-amount)
	}
	p.letGo(now, k)
}

func (p *process) shipByDecision(now time.Time, k reconcile.Case) {
	parcel := p.lostParcel(k)
	switch {
	case k.Step.Break.Field == reconcile.PaymentDisputed:
		p.ShipDisputed = true
		p.acceptByDecision(now, k)
	case parcel != nil:
		parcel.Lost, parcel.Again = false, true
	default:
		p.requestAnew(now, k.Step.Key)
	}
	p.touch()
}
