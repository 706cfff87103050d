package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What people ask an order for: another attempt to pay, an amendment, an answer,
// a return, a refund. Each is taken up once by its id, refused clearly when the
// order's phase does not allow it, and decided by what the systems say.

func (p *process) listenToWishes(ctx workflow.Context) {
	must(workflow.SetUpdateHandlerWithOptions(ctx, AttemptUpdate, p.attemptAgain, workflow.UpdateHandlerOptions{
		Description: "Starts another attempt to pay.", Validator: p.attemptable,
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, AmendUpdate, p.amend, workflow.UpdateHandlerOptions{
		Description: "Changes the address, or drops pieces, if the warehouse has not packed them.", Validator: p.amendable,
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, AnswerUpdate, p.answer, workflow.UpdateHandlerOptions{
		Description: "Answers what the customer was asked.", Validator: p.answerable,
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, ReturnUpdate, p.sendBack, workflow.UpdateHandlerOptions{
		Description: "Announces goods that come back; their money goes back once the warehouse has them.", Validator: p.returnable,
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, RefundUpdate, p.refundByHand, workflow.UpdateHandlerOptions{
		Description: "Gives money back because a person decided so.", Validator: p.mayRefund,
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, DecideUpdate, p.decide, workflow.UpdateHandlerOptions{
		Description: "Decides a case.", Validator: p.decidable,
	}))
}

// beingRecalled is why nothing is decided about an order that is not adopted yet.
const beingRecalled = "it is older than our memory and still looked up in payment and ERP; ask again when both can be read"

func (p *process) refuse(what, why string) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("%s order %s: %s", what, p.Order.ID, why), RefusedReason, nil)
}

func (p *process) invalid(what string, problems []order.Problem) error {
	var all []string
	for _, problem := range problems {
		all = append(all, problem.Field+" "+problem.Reason)
	}
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("%s order %s: %s", what, p.Order.ID, strings.Join(all, "; ")), InvalidReason, nil, problems)
}

// wished returns the number of a wish that was taken up before, or 0.
func (s *State) wished(kind, id string) int {
	for _, w := range s.Wishes {
		if id != "" && w.Kind == kind && w.ID == id {
			return w.N
		}
	}
	return 0
}

// took remembers that a wish was taken up.
func (p *process) took(now time.Time, kind string, a Asked, n int) {
	const most = 200
	p.Wishes = append(p.Wishes, Wish{ID: a.ID, Kind: kind, N: n})
	if len(p.Wishes) > most {
		p.Wishes = p.Wishes[len(p.Wishes)-most:]
	}
	line := fmt.Sprintf("%s %d asked by %s (unverified)", kind, n, a.By)
	if a.Reason != "" {
		line += ": " + a.Reason
	}
	p.note(now, line)
	p.touch()
}

func (p *process) reply(ctx workflow.Context, kind string, n int) Reply {
	v := p.verdict(workflow.Now(ctx), false)
	return Reply{Order: p.Order.ID, Phase: p.Phase, Outcome: v.Outcome, Request: fmt.Sprintf("%s %d", kind, n)}
}

// check names what is wrong with who asks.
func (a Asked) check() []order.Problem {
	if strings.TrimSpace(a.By) == "" {
		return []order.Problem{{Field: "by", Reason: "is missing; say who asks"}}
	}
	return nil
}

// checkMoney names what is wrong with an amount to give back; 0 is all of it.
func (p *process) checkMoney(amount int64) []order.Problem {
	least := p.Order.Currency.Least()
	switch {
	case amount < 0:
		return []order.Problem{{Field: "amount", Reason: "is negative"}}
	case amount%least != 0:
		return []order.Problem{{Field: "amount", Reason: fmt.Sprintf("is %d; %s is paid in multiples of %d", amount, p.Order.Currency, least)}}
	}
	return nil
}

func (p *process) attemptable(ctx workflow.Context, a Attempt) error {
	return p.mayPay(workflow.Now(ctx), a)
}

// mayPay refuses an attempt that makes no sense, or that nothing is owed for.
func (p *process) mayPay(now time.Time, a Attempt) error {
	const what = "pay"
	problems := a.check()
	if (a.Payment.Method == "") == (a.Payment.Intent == "") {
		problems = append(problems, order.Problem{Field: "payment", Reason: "needs either a method or an existing intent, and not both"})
	}
	if a.Payment.Capture != "" && a.Payment.Capture != p.Order.Payment.Capture {
		problems = append(problems, order.Problem{Field: "payment.capture", Reason: fmt.Sprintf("is %q; the order is paid %q", a.Payment.Capture, p.Order.Payment.Capture)})
	}
	if len(problems) > 0 {
		return p.invalid(what, problems)
	}
	if p.wished(AttemptUpdate, a.ID) > 0 {
		return nil
	}
	switch {
	case p.Phase == order.PhaseReceived, p.Phase == order.PhasePaying && order.Empty(p.Promised):
		return p.refuse(what, "no stock is promised yet, so there is nothing to pay; ask again, or answer the open question")
	case p.Phase == order.PhasePaying && p.paid() && !p.needsMoney(now):
		return p.refuse(what, "it is paid already")
	case p.Phase == order.PhasePaying, p.Phase.PastPivot() && p.needsMoney(now):
		return nil
	case p.Phase.PastPivot():
		return p.refuse(what, "it is paid already")
	}
	return p.refuse(what, "it is "+string(p.Phase)+" and takes no more money; place a new order")
}

// attemptAgain starts another attempt, and answers when the gateway has.
func (p *process) attemptAgain(ctx workflow.Context, a Attempt) (Reply, error) {
	n := p.wished(AttemptUpdate, a.ID)
	if n == 0 {
		n = p.takeAttempt(workflow.Now(ctx), a)
	}
	decided := func() bool {
		op := p.find(order.Authorize, n)
		return op == nil || op.Status != Meant && op.Status != Open
	}
	if err := workflow.Await(ctx, func() bool { return decided() || p.Phase.Ended() }); err != nil {
		return Reply{}, err
	}
	r := p.reply(ctx, AttemptUpdate, n)
	op := p.find(order.Authorize, n)
	if op == nil || op.Status == Refused || op.Status == Unsent {
		r.Refused = "the gateway refused the attempt"
		if op != nil {
			r.Refused = op.Why
		}
		return r, nil
	}
	if seen := p.attemptBy(op.Record); seen != nil && seen.Failure != "" {
		r.Declined = seen.Failure
	} else if p.NextOf == n {
		r.Next = p.Next
	}
	return r, nil
}

// takeAttempt means another attempt, and returns its number.
func (p *process) takeAttempt(now time.Time, a Attempt) int {
	n := 2 // the first is that of the submission, also when it has not begun yet
	for p.find(order.Authorize, n) != nil {
		n++
	}
	amount := p.value()
	if p.Phase.PastPivot() || p.needsMoney(now) {
		amount = p.missing(now)
	}
	pay := a.Payment
	pay.Capture, pay.Multicapture = p.Order.Payment.Capture, p.Order.Payment.Multicapture
	p.Operations = append(p.Operations, Operation{
		System: order.SystemPayment, Operation: order.Authorize, N: n, Status: Meant, First: now, Amount: amount, Pay: &pay,
	})
	p.took(now, AttemptUpdate, a.Asked, n)
	return n
}

func (p *process) amendable(ctx workflow.Context, a Amend) error {
	const what = "amend"
	problems := a.check()
	switch {
	case (a.ShipTo == nil) == (len(a.Drop) == 0):
		problems = append(problems, order.Problem{Field: "drop", Reason: "or ship_to is wanted, one of them at a time"})
	case a.ShipTo != nil:
		problems = append(problems, order.CheckAddress("ship_to", *a.ShipTo)...)
	default:
		problems = append(problems, order.CheckPieces(p.Order, a.Drop)...)
	}
	if len(problems) > 0 {
		return p.invalid(what, problems)
	}
	if p.wished(AmendUpdate, a.ID) > 0 {
		return nil
	}
	switch {
	case p.recalling:
		return p.refuse(what, beingRecalled)
	case p.Phase == order.PhaseShipped, p.Phase == order.PhaseDelivered, p.Phase == order.PhaseClosed:
		return p.refuse(what, "it has shipped; ask for a return instead")
	case p.Phase != order.PhaseReceived && p.Phase != order.PhasePaying && p.Phase != order.PhaseAccepted:
		return p.refuse(what, "it is "+string(p.Phase)+"; there is nothing left to amend")
	case p.Amendment.open():
		return p.refuse(what, "another amendment is being decided by the warehouse; ask again when it is")
	case p.Cancel != nil && p.Cancel.Refused == "":
		return p.refuse(what, "a cancellation is being decided")
	case len(a.Drop) == 0:
		return nil
	case !order.Within(p.Order, a.Drop, p.unshipped()):
		return p.refuse(what, "some of these pieces have left or were dropped already; ask for a return instead")
	case order.Within(p.Order, p.unshipped(), a.Drop) && len(p.Departures) == 0:
		return p.refuse(what, "nothing would be left of it; cancel it instead")
	}
	return nil
}

// amend changes what has not been packed, and answers when the warehouse has
// decided.
func (p *process) amend(ctx workflow.Context, a Amend) (Reply, error) {
	n := p.wished(AmendUpdate, a.ID)
	if n == 0 {
		n = p.takeAmendment(workflow.Now(ctx), a)
	}
	mine := func() *Amendment {
		if p.Amendment != nil && p.Amendment.N == n {
			return p.Amendment
		}
		return nil
	}
	if err := workflow.Await(ctx, func() bool { return !mine().open() }); err != nil {
		return Reply{}, err
	}
	r := p.reply(ctx, AmendUpdate, n)
	if m := mine(); m != nil {
		r.Refused = m.Refused
	}
	return r, nil
}

// takeAmendment takes an amendment up, and returns its number.
func (p *process) takeAmendment(now time.Time, a Amend) int {
	n := p.beginAmendment(now, a).N
	p.took(now, AmendUpdate, a.Asked, n)
	return n
}

func (p *process) answerable(_ workflow.Context, a Answer) error {
	const what = "answer"
	problems := a.check()
	if a.Choice != ChooseAmend && a.Choice != ChooseWait && a.Choice != ChooseCancel {
		problems = append(problems, order.Problem{Field: "choice", Reason: fmt.Sprintf("is %q; want %q, %q or %q", a.Choice, ChooseAmend, ChooseWait, ChooseCancel)})
	}
	if len(problems) > 0 {
		return p.invalid(what, problems)
	}
	if p.wished(AnswerUpdate, a.ID) > 0 {
		return nil
	}
	q := p.openQuestion()
	switch {
	case q == nil:
		return p.refuse(what, "nothing is asked now")
	case q.Kind == AskAboutPayment && a.Choice == ChooseWait:
		return p.refuse(what, "it waits until "+q.Deadline.Format(time.RFC3339)+" anyway; send an attempt to pay until then, or choose amend or cancel")
	case q.Kind == AskAboutPayment && a.Choice == ChooseAmend && p.Amendment.open():
		return p.refuse(what, "an amendment is being decided by the warehouse; answer again when it is")
	case a.Choice == ChooseCancel && len(p.Departures) > 0:
		return p.refuse(what, "part of it has shipped; choose amend to drop what has not, and ask for a return of what has")
	}
	return nil
}

// answer takes the customer's answer to the open question.
func (p *process) answer(ctx workflow.Context, a Answer) (Reply, error) {
	now := workflow.Now(ctx)
	if n := p.wished(AnswerUpdate, a.ID); n > 0 {
		return p.reply(ctx, AnswerUpdate, n), nil
	}
	q := p.openQuestion()
	if q == nil { // it was closed between the check and now
		return Reply{}, p.refuse("answer", "nothing is asked any more")
	}
	n := q.N
	p.takeAnswer(now, q, a)
	return p.reply(ctx, AnswerUpdate, n), nil
}

// takeAnswer closes a question with the customer's answer.
func (p *process) takeAnswer(now time.Time, q *Question, a Answer) {
	q.Answer = a.Choice
	p.took(now, AnswerUpdate, a.Asked, q.N)
	p.closeQuestion(now, q, "the customer chose: "+string(a.Choice))
	switch {
	case a.Choice == ChooseCancel:
		p.wish(now, Cancel{By: a.By, Reason: "the customer's answer"})
	case a.Choice == ChooseAmend && q.Kind == AskAboutStock:
		p.dropMissing(now)
	case a.Choice == ChooseAmend && p.Phase == order.PhasePaying:
		p.wish(now, Cancel{By: a.By, Reason: "nothing of it is to be paid for"})
	case a.Choice == ChooseAmend:
		p.dropUnshipped(now, a.Asked)
	}
	if order.Empty(p.wanted()) && p.Cancel == nil {
		p.wish(now, Cancel{By: a.By, Reason: "nothing of it is wanted any more"})
	}
}

func (p *process) returnable(_ workflow.Context, r Return) error {
	const what = "return"
	problems := append(r.check(), order.CheckPieces(p.Order, r.Lines)...)
	if len(problems) > 0 {
		return p.invalid(what, problems)
	}
	if p.wished(ReturnUpdate, r.ID) > 0 {
		return nil
	}
	switch {
	case p.Phase == order.PhaseClosed:
		return p.refuse(what, "the return window is over; a person may decide on a refund")
	case len(p.Departures) == 0:
		return p.refuse(what, "nothing of it has shipped; cancel or amend it instead")
	case !order.Within(p.Order, r.Lines, order.Less(p.Order, p.shipped(), p.comingBack())):
		return p.refuse(what, "these pieces have not shipped, or are on their way back already")
	}
	return nil
}

// sendBack announces goods that come back, and answers when the warehouse knows.
func (p *process) sendBack(ctx workflow.Context, r Return) (Reply, error) {
	n := p.wished(ReturnUpdate, r.ID)
	if n == 0 {
		n = p.takeReturn(workflow.Now(ctx), r)
	}
	announced := func() bool {
		op := p.find(order.Return, n)
		return op != nil && op.Status != Open || p.Phase.Ended()
	}
	if err := workflow.Await(ctx, announced); err != nil {
		return Reply{}, err
	}
	reply := p.reply(ctx, ReturnUpdate, n)
	switch op := p.find(order.Return, n); {
	case op == nil:
		reply.Refused = "the return window ended before the warehouse was told"
	case op.Status == Refused:
		reply.Refused = op.Why
	}
	return reply, nil
}

// takeReturn expects goods back, and returns the number of the return.
func (p *process) takeReturn(now time.Time, r Return) int {
	lines := slices.Clone(r.Lines)
	for i := range lines {
		lines[i].SKU = p.Order.Lines[lines[i].Line-1].SKU
	}
	p.Returns = append(p.Returns, Returning{Lines: lines, By: r.By, Asked: now})
	p.took(now, ReturnUpdate, r.Asked, len(p.Returns))
	return len(p.Returns)
}

func (p *process) mayRefund(_ workflow.Context, r Refund) error {
	const what = "refund"
	problems := r.check()
	if strings.TrimSpace(r.Reason) == "" {
		problems = append(problems, order.Problem{Field: "reason", Reason: "is missing; money goes out only for a reason"})
	}
	problems = append(problems, p.checkMoney(r.Amount)...)
	if r.Currency != "" && r.Currency != p.Order.Currency {
		problems = append(problems, order.Problem{Field: "currency", Reason: fmt.Sprintf("is %s but the order is paid in %s; give the amount in that", r.Currency, p.Order.Currency)})
	}
	if len(problems) > 0 {
		return p.invalid(what, problems)
	}
	if p.wished(RefundUpdate, r.ID) > 0 {
		return nil
	}
	left := p.allRefundable()
	switch {
	case !p.Phase.PastPivot():
		return p.refuse(what, "it is "+string(p.Phase)+"; what was taken goes back by itself when it is cancelled or fails")
	case left == 0 && p.disputed():
		return p.refuse(what, "the money is in dispute; wait until the dispute is decided at the gateway")
	case left == 0:
		return p.refuse(what, "nothing is captured that was not given back already; cancel or amend it instead")
	case r.Amount > left:
		return p.refuse(what, fmt.Sprintf("at most %s is left to give back", p.amount(left)))
	}
	return nil
}

// refundByHand gives money back, and answers when the gateway has taken it.
func (p *process) refundByHand(ctx workflow.Context, r Refund) (Reply, error) {
	n := p.wished(RefundUpdate, r.ID)
	if n == 0 {
		if n = p.takeRefund(workflow.Now(ctx), r); n == 0 {
			return Reply{}, p.refuse("refund", "nothing is left to give back")
		}
	}
	if err := workflow.Await(ctx, func() bool { return p.refundAnswered(n) }); err != nil {
		return Reply{}, err
	}
	reply := p.reply(ctx, RefundUpdate, n)
	switch op := p.refundOrNext(n); {
	case op != nil && (op.Status == Refused || op.Status == Unsent):
		reply.Refused = op.Why
	case op != nil && op.Status == Meant:
		reply.Pending = "money of the order is in dispute; it goes out when that is decided, unless the dispute has given it back"
	case op != nil && op.Through.IsZero():
		reply.Pending = "the gateway has accepted it; it is final when it says so"
	}
	return reply, nil
}

// refundAnswered says that it is known what becomes of a refund that a person wished for.
func (p *process) refundAnswered(n int) bool {
	op := p.refundOrNext(n)
	switch {
	case op == nil:
		return true
	case op.Status == Meant:
		return p.disputed()
	case op.Status == Refused && op.Conflict: // whether it waits for a dispute, the gateway is being asked: see refused
		return !p.news && !p.awaitsReading(order.SystemPayment) && p.openIn(order.SystemPayment) == nil &&
			p.observed(order.SystemPayment).State != reconcile.Unreadable
	}
	return op.Status != Open
}

// refundOrNext returns a refund, or the one that waits in its place: see holdBack.
func (s *State) refundOrNext(n int) *Operation {
	op := s.find(order.Refund, n)
	for i := range s.Operations {
		if next := &s.Operations[i]; op != nil && next.Instead == s.Key(*op) {
			op = next
		}
	}
	return op
}

// takeRefund decides that money goes back, and returns the number of the first
// refund; 0 when nothing is left to give back.
func (p *process) takeRefund(now time.Time, r Refund) int {
	amount := r.Amount
	if amount == 0 {
		amount = p.allRefundable()
	}
	n := p.giveBack(now, amount, aboutPerson, 0)
	if n > 0 {
		p.took(now, RefundUpdate, r.Asked, n)
	}
	return n
}
