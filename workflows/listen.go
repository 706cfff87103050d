package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// listen registers the order's messages, in a fixed order and before anything
// is waited for.
func (p *process) listen(ctx workflow.Context) {
	must(workflow.SetQueryHandlerWithOptions(ctx, VerdictQuery, func(ask AskVerdict) (reconcile.Verdict, error) {
		return p.verdict(ask.Now, false), nil
	}, workflow.QueryHandlerOptions{Description: "The verdict from memory: what each system last said, and how old that is."}))
	must(workflow.SetQueryHandlerWithOptions(ctx, RehearseQuery, p.rehearse, workflow.QueryHandlerOptions{
		Description: "What the order would do about a confirmation, if its systems said this. Nothing is changed.",
	}))
	must(workflow.SetQueryHandlerWithOptions(ctx, ExplainQuery, func(ask AskVerdict) (Explanation, error) {
		return p.explain(ask.Now), nil
	}, workflow.QueryHandlerOptions{Description: "The whole story, told from what the order carries."}))
	must(workflow.SetQueryHandlerWithOptions(ctx, CasesQuery, func(ask AskCases) ([]reconcile.Case, error) {
		return p.cases(ask), nil
	}, workflow.QueryHandlerOptions{Description: "The cases with their evidence, from memory."}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, SubmitUpdate, p.submitted, workflow.UpdateHandlerOptions{
		Description: "Waits until the order is accepted, has failed, or needs the customer to act.",
		Validator:   p.sameOrder,
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, CancelUpdate, p.cancel, workflow.UpdateHandlerOptions{
		Description: "Takes the order back, if the warehouse has not packed it.",
		Validator:   p.cancellable,
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, VerdictUpdate, p.freshVerdict, workflow.UpdateHandlerOptions{
		Description: "Reads all six systems now and answers with the verdict.",
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, ReconcileUpdate, p.reconcile, workflow.UpdateHandlerOptions{
		Description: "Confirms what a reconciliation run suspects, and repairs what it has grants for.",
	}))
	p.listenToWishes(ctx)
	notices := workflow.GetSignalChannelWithOptions(ctx, NoticeSignal, workflow.SignalChannelOptions{
		Description: "Something changed in a system. A hint: the order reads the live record.",
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		work, _ := workflow.NewDisconnectedContext(ctx)
		for {
			var n reconciliation.Notices
			notices.Receive(work, &n)
			p.noticed(workflow.Now(work), n)
		}
	})
}

func must(err error) {
	if err != nil { // only a wrong handler signature fails
		panic(err)
	}
}

// drain takes in every notice that has arrived, so that closing loses none.
func (p *process) drain(ctx workflow.Context) {
	notices := workflow.GetSignalChannel(ctx, NoticeSignal)
	var n reconciliation.Notices
	for notices.ReceiveAsync(&n) {
		p.noticed(workflow.Now(ctx), n)
		n = reconciliation.Notices{}
	}
}

// noticed takes in notices, each once: what arrives twice is dropped here.
func (p *process) noticed(now time.Time, all reconciliation.Notices) {
	for _, n := range all.Notices {
		if !p.saw(string(n.System) + "/" + n.ID) {
			continue
		}
		if p.echoed(n.Echo) {
			continue
		}
		if len(n.Says) > 0 && p.knows(n.System, n.Says) {
			continue
		}
		p.heardNotice(now, n)
		if len(n.Says) > 0 {
			p.told(now, n)
			continue
		}
		at := n.At
		// An announcement in whole seconds means some moment within that second, so
		// what we read earlier in it is no answer. While our own operation is open
		// the notice is its echo, and the operation's answer will be.
		if at.Equal(at.Truncate(time.Second)) && p.openIn(n.System) == nil && !slices.Contains(p.settings.Followed, n.System) {
			at = at.Add(time.Second - time.Nanosecond)
		}
		p.hint(n.System, at)
		if n.System == order.SystemPayment && !p.ours(n.Echo) {
			p.sure(n.System, now)
		}
	}
}

// told takes in an announcement that says what has changed and is not known yet:
// nothing is read when it is by the time that our own operation has answered.
func (p *process) told(now time.Time, n reconciliation.Notice) {
	is := func(h Hint) bool { return h.System == n.System }
	says, plain := n.Says, false
	if i := slices.IndexFunc(p.Hints, is); i >= 0 { // what is to be read in any case still is
		says, plain = append(p.Hints[i].Says, says...), len(p.Hints[i].Says) == 0
	}
	p.hint(n.System, n.At)
	p.sure(n.System, now)
	if !plain {
		p.Hints[slices.IndexFunc(p.Hints, is)].Says = says
	}
}

// knows says that every record that was announced is known as it is.
func (p *process) knows(system order.System, says []string) bool {
	known := reconcile.Says(p.observed(system))
	for _, one := range says {
		if !slices.Contains(known, one) {
			return false
		}
	}
	return true
}

// ours says that a key is one of this order's.
func (p *process) ours(key string) bool {
	intent, ours := order.ParseKey(key)
	return ours && intent.Order == p.Order.ID
}

// echoed says that a notice tells of an operation of ours whose effect was read
// back. While it is open or in doubt its notice is news.
func (p *process) echoed(key string) bool {
	if !p.ours(key) {
		return false
	}
	intent, _ := order.ParseKey(key)
	op := p.find(intent.Operation, intent.N)
	return op != nil && op.Status == Done
}

// hint remembers that a system may have changed at a moment. What was announced besides
// does not answer it.
func (p *process) hint(system order.System, at time.Time) {
	for i := range p.Hints {
		if p.Hints[i].System == system {
			if at.After(p.Hints[i].At) {
				p.Hints[i].At = at
			}
			p.Hints[i].Says = nil
			return
		}
	}
	p.Hints = append(p.Hints, Hint{System: system, At: at})
}

// sure makes the hint at a system one that no operation of ours answers: the
// gateway says whose doing an event is, and this one was somebody else's.
func (p *process) sure(system order.System, now time.Time) {
	for i := range p.Hints {
		if p.Hints[i].System == system {
			p.Hints[i].Sure = now
		}
	}
}

// awaitsReading says that a system was not read since somebody else's doing there, or
// a refusal, asked for it.
func (s *State) awaitsReading(system order.System) bool {
	return slices.ContainsFunc(s.Hints, func(h Hint) bool { return h.System == system && !h.Sure.IsZero() })
}

func (p *process) sameOrder(_ workflow.Context, s Submit) error {
	if s.Fingerprint != p.Fingerprint {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf(
			"submit order %s: another order is known under this id; send it under an id of its own, or ask for the verdict of this one",
			p.Order.ID), FingerprintReason, nil)
	}
	return nil
}

// submitted answers a submission, the first or a repeated one, once there is
// something to say to the customer.
func (p *process) submitted(ctx workflow.Context, _ Submit) (Submitted, error) {
	if err := workflow.Await(ctx, p.hasAnswer); err != nil {
		return Submitted{}, err
	}
	v := p.verdict(workflow.Now(ctx), false)
	answer := Submitted{Order: p.Order.ID, Phase: p.Phase, Outcome: v.Outcome, Why: p.Failed}
	if q := p.openQuestion(); q != nil {
		asked := *q
		answer.Question = &asked
	}
	if p.Phase == order.PhasePaying && !p.paid() {
		answer.Next = p.Next
		if op := p.lastAttempt(); op != nil && op.Status == Done && !p.reviewed() && !p.processing() {
			answer.Declined, answer.PayUntil = p.failure(), p.payDeadline()
		}
	}
	return answer, nil
}

// hasAnswer says that the order is decided, or that the customer, a reviewer or
// a bank is to act next.
func (p *process) hasAnswer() bool {
	if p.Phase != order.PhaseReceived && p.Phase != order.PhasePaying || p.openQuestion() != nil || p.reviewed() {
		return true
	}
	last := p.lastAttempt()
	return last != nil && last.Status == Done && !p.paid()
}

// lastAttempt returns the latest attempt to pay that was begun, or nil: one that came to
// nothing says nothing of the order.
func (s *State) lastAttempt() *Operation {
	for n := s.count(order.Authorize); n > 0; n-- {
		if op := s.find(order.Authorize, n); op != nil && op.Status != Unsent {
			return op
		}
	}
	return nil
}

// cancellable: what has shipped is not refused here, for a person is to be asked.
func (p *process) cancellable(_ workflow.Context, _ Cancel) error {
	const what = "cancel"
	switch p.Phase {
	case order.PhaseClosed:
		return p.refuse(what, "the return window is over; a person may decide on a refund")
	case order.PhaseFailing, order.PhaseFailed:
		return p.refuse(what, "it has failed by itself ("+p.Failed+"); there is nothing left to cancel")
	default:
		return nil
	}
}

// cancel takes the order back and waits for the warehouse's word, also when the
// workflow is cancelled in the engine meanwhile, for the engine would answer a wish that
// failed with it for ever. Asked again, it answers what became of the first wish.
func (p *process) cancel(ctx workflow.Context, c Cancel) (CancelAnswer, error) {
	p.wish(workflow.Now(ctx), c)
	work, _ := workflow.NewDisconnectedContext(ctx)
	err := workflow.Await(work, func() bool { return p.Cancel.Done || p.Cancel.Refused != "" || p.Phase.Ended() })
	if err != nil {
		return CancelAnswer{}, err
	}
	v := p.verdict(workflow.Now(ctx), false)
	return CancelAnswer{
		Order: p.Order.ID, Outcome: v.Outcome, Cancelled: p.Phase == order.PhaseCancelled, Refused: p.Cancel.Refused, Call: c.Call,
	}, nil
}

// wish records a wish to cancel, unless one is being decided.
func (p *process) wish(now time.Time, c Cancel) {
	if p.Cancel != nil && p.Cancel.Refused == "" {
		return
	}
	p.Cancel = &Cancellation{By: c.By, Reason: c.Reason, Asked: now}
	p.note(now, fmt.Sprintf("cancellation asked by %s (unverified)", c.By))
	p.touch()
}
