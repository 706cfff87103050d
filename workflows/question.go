package workflows

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What the customer is asked, and what happens without an answer: about goods
// that are not there, and about money that is not held any more.

// asking returns the open question of a kind, or nil.
func (s *State) asking(kind QuestionKind) *Question {
	for i := range s.Questions {
		if q := &s.Questions[i]; q.Kind == kind && q.Closed.IsZero() {
			return q
		}
	}
	return nil
}

// openQuestion returns the open question, or nil. There is at most one of each kind, and
// while the order is paid for no other than that about stock.
func (s *State) openQuestion() *Question {
	for i := range s.Questions {
		if q := &s.Questions[i]; q.Closed.IsZero() {
			return q
		}
	}
	return nil
}

// words say what is asked, for who reads the verdict.
func (q Question) words() string {
	what := "is not there"
	if q.Kind == AskAboutPayment {
		what = "is not paid for any more"
	}
	return pieces(q.Lines) + " " + what + ", until " + q.Deadline.UTC().Format(time.RFC3339)
}

// attendQuestions asks, and closes questions that were answered by events or not
// in time.
func (p *process) attendQuestions(now time.Time) {
	p.attendStock(now)
	p.attendPayment(now)
	p.askUnasked(now)
}

// attendStock asks about what is not there, once it is known what is. Without an
// answer what is there ships, and the rest is given up.
func (p *process) attendStock(now time.Time) {
	q := p.asking(AskAboutStock)
	switch {
	case q != nil && p.Phase != order.PhasePaying:
		p.closeQuestion(now, q, "the order went another way")
	case q != nil && p.complete():
		p.closeQuestion(now, q, "all of it can be sent by now")
	case q != nil && !now.Before(q.Deadline):
		p.closeQuestion(now, q, "no answer in time: what is there is sent, and the rest is given up")
		p.dropMissing(now)
	case q == nil && p.short() && p.Supply != nil && p.Cancel == nil && p.dueReserve() == nil && p.openIn(order.SystemInventory) == nil && !p.waits(now):
		p.askCustomer(now, AskAboutStock, order.Less(p.Order, p.wanted(), p.Promised))
	}
}

// waits says that the customer chose to wait, and has not waited for too long.
func (s *State) waits(now time.Time) bool {
	for _, q := range s.Questions {
		if q.Kind == AskAboutStock && q.Answer == ChooseWait {
			return now.Before(q.Closed.Add(waitAtMost))
		}
	}
	return false
}

// waitAtMost is how long a customer who chose to wait is kept waiting before
// they are asked again: an order older than the horizon starts nothing.
const waitAtMost = 14 * 24 * time.Hour

// dropMissing gives up what could not be promised.
func (p *process) dropMissing(now time.Time) {
	missing := order.Less(p.Order, p.unshipped(), p.Promised)
	p.Dropped = order.Plus(p.Order, p.Dropped, missing)
	p.note(now, "given up: "+pieces(missing))
	p.touch()
}

// attendPayment asks for another payment when what has not shipped is not covered
// any more and cannot be authorized anew without the customer.
func (p *process) attendPayment(now time.Time) {
	q := p.asking(AskAboutPayment)
	uncovered := p.uncovered(now)
	declined := p.declinedByReview() && len(p.Departures) > 0 && !order.Empty(p.unshipped())
	if k := p.openCaseOf(reconcile.WarehouseShipment, unpaidItem); k != nil && uncovered == 0 && !declined {
		p.closeCase(now, k.N, "nothing is packed any more that is not paid for")
	}
	switch {
	case declined && p.Amendment.open():
	case declined && p.unpaidPacked(byReview):
		p.packedUnpaid(now, "its review ended against the payment")
	case declined:
		p.dropUnshipped(now, Asked{By: byReview, Reason: "it ended against the payment"})
	case q != nil && !p.Phase.PastPivot() && p.Phase != order.PhasePaying:
		p.closeQuestion(now, q, "the order went another way")
	case q != nil && uncovered == 0:
		p.closeQuestion(now, q, "it is paid for again")
	case q != nil && !now.Before(p.answerBy(q)):
		if p.openIn(order.SystemPayment) != nil || p.pending(now) || p.Amendment.open() {
			return // the bank is at it, or the warehouse
		}
		if p.Phase == order.PhasePaying { // nothing of it has left: it fails as unpaid, by the gateway's word
			p.closeQuestion(now, q, "not paid in time")
			p.hint(order.SystemPayment, now)
			return
		}
		if !p.askedWhetherPaid(now, q) {
			return
		}
		p.closeQuestion(now, q, "not paid in time: what has not shipped is given up")
		p.dropUnshipped(now, Asked{By: byDeadline})
	case q == nil && p.unpaidPacked(byDeadline) && uncovered > 0:
		p.packedUnpaid(now, "the customer was asked and did not pay")
	case q == nil && uncovered > 0 && !p.askedToPay() && !p.Amendment.open() && p.dueCapture() == nil && p.dueRenewal(now) == nil && p.openIn(order.SystemPayment) == nil && !p.disputed() && !p.reviewed() && !p.declinedByReview():
		p.askCustomer(now, AskAboutPayment, p.unshipped())
	}
}

// askedWhetherPaid says that the gateway was read since the last moment at which anybody
// could pay: who paid in time and was not heard of is not given up. One that cannot be
// read is waited for, and after a day a person hears of it.
func (p *process) askedWhetherPaid(now time.Time, q *Question) bool {
	by := p.answerBy(q)
	if until := p.payDeadline(); p.challenged() && until.After(by) {
		by = until
	}
	if p.readSince(order.SystemPayment, by) {
		return true
	}
	p.hint(order.SystemPayment, now)
	p.unheard(now, order.SystemPayment, by)
	return false
}

// answerAlarm is when the question has to be looked at again, and why.
func (p *process) answerAlarm(now time.Time, q *Question) (time.Time, string) {
	at := p.answerBy(q)
	if q.Kind == AskAboutPayment && p.Phase != order.PhasePaying && !at.After(now) && !p.readSince(order.SystemPayment, at) {
		return now.Add(time.Minute), "ask the gateway again"
	}
	for !at.After(now) { // it is past and a bank is still at it: look again each hour
		at = at.Add(time.Hour)
	}
	return at, "the customer may answer"
}

// askedToPay says that the customer was asked before the pivot to pay anew, and
// did not: they are not asked over and over while what is held lives on.
func (p *process) askedToPay() bool {
	if p.Phase != order.PhasePaying {
		return false
	}
	last := p.last(order.Authorize)
	return slices.ContainsFunc(p.Questions, func(q Question) bool {
		return q.Kind == AskAboutPayment && (last == nil || q.Asked.After(last.First))
	})
}

// dropUnshipped gives up what the warehouse has not packed, by its own word: an
// amendment like any other.
func (p *process) dropUnshipped(now time.Time, a Asked) {
	p.beginAmendment(now, Amend{Asked: a, Drop: p.unshipped()}).Some = true
	p.note(now, "to be given up, if it is not packed: "+pieces(p.unshipped()))
	p.touch()
}

// What gives up goods by itself: nobody paid for them in time, or a review ended
// against their payment.
const (
	byDeadline = "the deadline"
	byReview   = "the review"
)

// unpaidPacked says that goods could not be given up for a reason: the warehouse
// has packed all of them that have not left.
func (s *State) unpaidPacked(by string) bool {
	a := s.Amendment
	return a != nil && a.By == by && a.Refused != "" && order.Empty(s.remaining())
}

// unpaidItem is what a case about goods is about that are packed and not paid for.
const unpaidItem = "unpaid"

// packedUnpaid asks a person instead of asking the customer over and over.
func (p *process) packedUnpaid(now time.Time, why string) {
	worth := p.value() - order.ValueOf(p.Order, p.shipped())
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemWarehouse, Field: reconcile.WarehouseShipment, Situation: reconcile.Conflict, Item: unpaidItem,
			Expected: "given up", Observed: "packed", Right: string(order.SystemWarehouse), Money: worth, FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemWarehouse,
		Why:      pieces(p.unshipped()) + " is packed, and nothing covers its " + p.amount(worth).String() + " any more: " + why,
		Proposal: "stop the parcel at the warehouse, or have the customer pay with another attempt",
		Alternatives: []string{
			string(DecideByHand) + ": the parcel was stopped, or it was paid another way", string(DecideAccept) + ": it goes out unpaid",
		},
	})
}

// answerBy is until when a question may be answered: who has begun to pay in a
// way that takes days has that long.
func (p *process) answerBy(q *Question) time.Time {
	by, policy := q.Deadline, p.settings.Policy
	for _, a := range p.attempts() {
		window := policy.PayWindowOf(a.Method)
		if q.Kind != AskAboutPayment || a.State != reconcile.AttemptOpen || window <= policy.PayWindow {
			continue
		}
		if until := a.Created.Add(window); until.After(by) {
			by = until
		}
	}
	return by
}

// pending says that an attempt is with the gateway or a bank, or that the customer
// is at it: whom their bank asks has the time in which anybody may pay, and not for ever.
func (p *process) pending(now time.Time) bool {
	return p.processing() || p.challenged() && now.Before(p.payDeadline())
}

// challenged says that a bank asks the customer, by what was read last.
func (p *process) challenged() bool {
	return slices.ContainsFunc(p.attempts(), func(a reconcile.Attempt) bool { return a.Challenge })
}

func (p *process) askCustomer(now time.Time, kind QuestionKind, lines []order.Quantity) {
	q := Question{N: len(p.Questions) + 1, Kind: kind, Lines: lines, Asked: now, Deadline: now.Add(p.settings.Policy.AnswerWithin)}
	p.Questions = append(p.Questions, q)
	p.note(now, fmt.Sprintf("question %d about %s of %s: the customer may answer until %s", q.N, kind, pieces(lines), q.Deadline.Format(time.RFC3339)))
	p.touch()
}

// askedByMail is the field of a case about a question whose mail is not through.
const askedByMail = reconcile.Field(string(order.SystemMail) + "." + string(order.Send))

// item names a question in the case about it: its mail may have no key yet.
func (q Question) item() string { return fmt.Sprintf("question/%d", q.N) }

// askedIn returns the question that a mail asks, or nil.
func (s *State) askedIn(mail Operation) *Question {
	if mail.Operation != order.Send || reconcile.Template(mail.About) != reconcile.MailQuestion || mail.Of < 1 || mail.Of > len(s.Questions) {
		return nil
	}
	return &s.Questions[mail.Of-1]
}

// askUnasked has a person ask the questions whose mail was not begun while it could be
// sent: it will not be sent any more.
func (p *process) askUnasked(now time.Time) {
	for _, q := range p.Questions {
		if p.mailed(reconcile.MailQuestion, q.N) == nil && now.After(p.lastMoment(q.mail())) {
			p.unasked(now, q, "no mail got through while it could be sent")
		}
	}
}

// heldUp has a person ask the open questions whose mail is not through because the
// provider refuses us, whichever mail it is that waits: those behind it wait too.
func (p *process) heldUp(now time.Time, why string) {
	for _, q := range p.Questions {
		op := p.mailed(reconcile.MailQuestion, q.N)
		if op != nil && (op.Status == Open || op.Status == Lost) || op == nil && !now.After(p.lastMoment(q.mail())) {
			p.unasked(now, q, why)
		}
	}
}

// unasked has a person ask an open question instead, whose mail was refused or does not
// get through: its deadline runs, and what happens without an answer is nobody's wish. Once
// a person has decided, nobody is asked again, unless the mail was to be sent again.
func (p *process) unasked(now time.Time, q Question, why string) {
	decided := func(k reconcile.Case) bool {
		b := k.Step.Break
		return !k.Open() && b.Field == askedByMail && b.Item == q.item() && p.settled(k.Outcome)
	}
	if !q.Closed.IsZero() || slices.ContainsFunc(p.Cases, decided) {
		return
	}
	step := reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemMail, Field: askedByMail, Situation: reconcile.Missing, Item: q.item(),
			Expected: "asked", Observed: why, Right: "order", FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemMail, Operation: order.Send,
		Why:      "the customer was not asked, for the mail is not through: " + q.words() + ", and then it goes on without their answer",
		Proposal: "ask the customer another way and enter their answer",
	}
	switch op := p.mailed(reconcile.MailQuestion, q.N); {
	case op == nil:
	case op.Status == Unknown: // what may have been sent is not sent again
		step.Why = "nobody can say whether the customer was asked: " + q.words() + ", and then it goes on without their answer"
	default:
		step.Key = p.Key(*op)
		step.Proposal += ", or have the mail sent again once what refuses it is mended"
	}
	p.openCase(now, step, true)
}

// needNotAsk closes the case about a question that was not asked.
func (p *process) needNotAsk(now time.Time, q Question, why string) {
	if k := p.openCaseOf(askedByMail, q.item()); k != nil {
		p.closeCase(now, k.N, why)
	}
}

func (p *process) closeQuestion(now time.Time, q *Question, why string) {
	q.Closed, q.Why = now, why
	p.needNotAsk(now, *q, "there is nothing to ask any more: "+why)
	p.note(now, fmt.Sprintf("question %d is closed: %s", q.N, why))
	p.touch()
}
