package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// forRuns is the priority of what an order does in the systems for a run: its
// readings and repairs wait behind the calls of orders that are under way, which
// customers wait for and which have the middle one, 3.
var forRuns = temporal.Priority{PriorityKey: 5}

// reconcile looks again at what a run suspects: it believes a break only when
// two readings agree, repairs it as the normal transition, reads back, and asks
// a person where no rule decides (D6, D9).
func (p *process) reconcile(ctx workflow.Context, in reconciliation.Confirmation) (reconciliation.Confirmed, error) {
	work, _ := workflow.NewDisconnectedContext(ctx)
	work = workflow.WithPriority(work, forRuns)
	answer := reconciliation.Confirmed{Order: p.Order.ID}
	var err error
	if p.settings, err = p.refresh(ctx, p.settings); err != nil {
		return answer, err
	}
	if p.recalling {
		p.notAdopted(in, &answer)
		return answer, nil
	}
	p.readAll(work, 0)
	first := p.suspect(workflow.Now(ctx), in, &answer)
	p.touch() // what is news is taken up as the normal transition
	if len(first.Breaks) > 0 {
		if err := workflow.Sleep(work, p.lag(first.Breaks)); err != nil {
			return answer, err
		}
		p.readSystems(work, disagreeing(first.Breaks), 1)
		p.confirm(workflow.Now(ctx))
	}
	begun := p.carryOut(workflow.Now(ctx), p.plan(workflow.Now(ctx)), in, &answer)
	if len(begun) > 0 {
		p.verify(work)
		begun = p.notStopped(begun, &answer)
	}
	p.attend(workflow.Now(ctx)) // what it has cases open about is not settled by the comparison
	c := p.assess(workflow.Now(ctx))
	for _, m := range begun {
		answer.Tried = m.verified(c, answer.Tried)
	}
	p.conclude(workflow.Now(ctx), c, &answer)
	p.note(workflow.Now(ctx), fmt.Sprintf("run %s: %d found, %d repaired, %d cases", in.Run, answer.Found, answer.Repaired, answer.Cases))
	p.touch()
	return answer, nil
}

// notAdopted answers a run while the order is looked up because it is older than our
// memory. Nothing was compared, so that it is asked again, and no grant is used.
func (p *process) notAdopted(in reconciliation.Confirmation, answer *reconciliation.Confirmed) {
	answer.Unread, answer.Agreement = []order.System{order.SystemPayment, order.SystemERP}, reconcile.AgreeUnknown
	for _, g := range in.Grants {
		answer.Unused = append(answer.Unused, g.N)
	}
	answer.Lines = append(answer.Lines, "not adopted yet: it is older than our memory, and payment and ERP are still looked into; run again when both can be read")
}

// suspect takes in what was read: what the systems say by themselves, who goes
// without, and what does not agree.
func (p *process) suspect(now time.Time, in reconciliation.Confirmation, answer *reconciliation.Confirmed) reconcile.Comparison {
	p.attend(now)
	before := p.lastCase()
	for _, short := range in.Short {
		p.goesWithout(now, short)
	}
	answer.Cases = p.lastCase() - before
	answer.Lines = append(answer.Lines, p.goesWith(now, in.Enough)...)
	return p.assess(now)
}

func (p *process) plan(now time.Time) []reconcile.Step {
	return reconcile.Plan(p.settings.Policy, p.intent(now), p.Breaks, p.Observed, p.Bases)
}

// mended is a repair that was begun under a grant, by an operation, and the line
// of the answer that says so.
type mended struct {
	step      reconcile.Step
	grant     repair.Grant
	operation order.Operation
	n         int
	line      int
}

// notStopped returns the repairs that were not stopped at the last hop before they
// were sent. Of those that were stopped the answer says that they are left, and the
// grants of those that were never sent were not used.
func (p *process) notStopped(begun []mended, answer *reconciliation.Confirmed) []mended {
	return slices.DeleteFunc(begun, func(m mended) bool {
		op := p.find(m.operation, m.n)
		if op == nil {
			return false
		}
		why, stopped := repair.Refused(op.Why)
		if !stopped {
			return false
		}
		answer.Repaired--
		answer.Left++
		if op.Doubt {
			answer.Lines[m.line] = reconciliation.Line(m.step, "stopped when it may have been done: "+why)
			return false
		}
		answer.Lines[m.line] = reconciliation.Line(m.step, "stopped before it was sent: "+why)
		answer.Unused = append(answer.Unused, m.grant.N)
		return true
	})
}

// verified counts one of the first few repairs of an incident, and whether a
// comparison shows it to be through: nothing of the field differs any more, in
// whatever way.
func (m mended) verified(c reconcile.Comparison, all []reconciliation.Tried) []reconciliation.Tried {
	if m.grant.Group == 0 {
		return all
	}
	t := reconciliation.Tried{Group: m.grant.Group, Repaired: 1}
	still := func(b reconcile.Break) bool {
		return b.Field == m.step.Break.Field && b.Item == m.step.Break.Item
	}
	if slices.Contains(c.Judged, m.step.Break.System) && !slices.ContainsFunc(c.Breaks, still) &&
		!slices.ContainsFunc(c.Settling, func(s reconcile.Settling) bool { return still(s.Break) }) {
		t.Verified = 1
	}
	return reconciliation.AddTried(all, t)
}

// carryOut does what was planned, as far as it is granted: one line for each
// step says what becomes of it.
func (p *process) carryOut(now time.Time, steps []reconcile.Step, in reconciliation.Confirmation, answer *reconciliation.Confirmed) []mended {
	var begun []mended
	grants := slices.Clone(in.Grants)
	held := p.held(now, steps, in)
	say := func(line string) { answer.Lines = append(answer.Lines, line) }
	for _, step := range steps {
		answer.Found++
		answer.Sights = p.sights(answer.Sights, step.Break)
		if g, left := in.LeftTo(step); left && step.Decision != reconcile.Report && step.Decision != reconcile.Ignore {
			answer.Left++
			say(g.LeftLine(step))
			continue
		}
		switch step.Decision {
		case reconcile.Repair:
			n := p.granted(grants, step)
			if n < 0 {
				answer.Left++
				say(reconciliation.Line(step, "not granted: "+in.NotGranted(step)))
				continue
			}
			if held != "" && step.Break.Field == reconcile.InventoryReserved && p.blocked(now, step.Break) == "" {
				answer.Left++
				say(reconciliation.Line(step, "waits, for the same write would change another: "+held))
				continue
			}
			op, why := p.mend(now, step, grants[n], answer)
			if op == nil {
				answer.Left++
				say(reconciliation.Line(step, why))
				continue
			}
			begun = append(begun, mended{step, grants[n], op.Operation, op.N, len(answer.Lines)})
			grants = slices.Delete(grants, n, n+1)
			answer.Repaired++
			say(reconciliation.Line(step, "repair: "+string(step.Operation)))
		case reconcile.Adopt:
			answer.Adopted++
			p.accept(now, step.Break)
			say(reconciliation.Line(step, "adopted"))
		case reconcile.Ask:
			if n := p.refundsGone(now, step.Break); n > 0 {
				answer.Cases += n
			} else if !p.speaksFor(step.Break) && p.openCase(now, step, false) {
				answer.Cases++
			}
			say(reconciliation.Line(step, "a person decides"))
		case reconcile.Report, reconcile.Ignore:
			answer.Left++
			say(reconciliation.Line(step, "reported"))
		}
	}
	for _, g := range grants {
		answer.Unused = append(answer.Unused, g.N)
	}
	return begun
}

// granted returns which of the grants is for a step, or -1: it must name this
// order and break, and no less money. Grants named nothing once; the last hop
// refuses those, and recorded histories have them.
func (p *process) granted(grants []repair.Grant, step reconcile.Step) int {
	want := reconcile.WantOf(p.Order.ID, p.Order.Currency, step)
	return slices.IndexFunc(grants, func(g repair.Grant) bool {
		return g.For == (reconcile.Want{}) || g.For.Is(want) && g.For.Money >= want.Money && (want.Money == 0 || g.For.Currency == want.Currency)
	})
}

// conclude closes the cases that are over, and says how it stands.
func (p *process) conclude(now time.Time, c reconcile.Comparison, answer *reconciliation.Confirmed) {
	p.settleCases(now, c)
	answer.Settling, answer.Unread = len(c.Settling), c.Unread
	answer.Agreement = p.verdict(now, true).Agreement
}

// lag returns how long to wait before a second reading: the longest visibility
// lag of the systems that disagree.
func (p *process) lag(breaks []reconcile.Break) time.Duration {
	longest := time.Second
	for _, b := range breaks {
		longest = max(longest, p.settings.Lag(b.System))
	}
	return longest
}

// confirm marks the breaks that two readings showed alike (D6).
func (p *process) confirm(now time.Time) {
	c := p.assess(now)
	for _, system := range order.Systems() {
		abilities := reconcile.Abilities{VisibilityLag: p.settings.Lag(system), StrongLookup: p.settings.strong(system)}
		c.Breaks = reconcile.Confirm(p.intent(now), c, p.observed(system), abilities, now)
	}
	for i := range p.Breaks {
		for _, b := range c.Breaks {
			if b.Place() == p.Breaks[i].Place() {
				if p.mayBeOld(b, now) {
					b.Confirmed = time.Time{}
				}
				if took, bounded := b.Detection(); bounded && p.Breaks[i].Confirmed.IsZero() && !b.Confirmed.IsZero() {
					p.detected(now, b, took)
				}
				p.Breaks[i] = b
			}
		}
	}
}

// detected measures how long a break that is confirmed had gone unseen at most, and
// notes where that is too long.
func (p *process) detected(now time.Time, b reconcile.Break, took time.Duration) {
	p.meter.measured(DetectionMetric, b.System, took)
	if late := noticedLate(p.settings.Policy, b); late != "" {
		p.meter.late(b)
		p.note(now, b.ID()+" "+late)
	}
}

// mayBeOld says that the gateway seems to hold still what it has told us that it
// captured. Money does not come back by itself, so that the reading is likelier
// to be old than the capture to be lost: it is believed when it has stood for the
// cool-down, and only then a person is asked.
func (p *process) mayBeOld(b reconcile.Break, now time.Time) bool {
	if b.Field != reconcile.PaymentCaptured || now.Sub(cmp.Or(b.SeenAs, b.FirstSeen)) >= p.settings.Policy.CoolDown {
		return false
	}
	return slices.ContainsFunc(p.attempts(), func(a reconcile.Attempt) bool {
		return a.State == reconcile.AttemptAuthorized && a.Captured == 0 && p.tookFrom(a.ID)
	})
}

// again returns the operation that a repair does again, or nil, and has it remember
// how it stood. What gives up stock gives up what is reserved beyond what is
// promised: all else is kept.
func (p *process) again(now time.Time, step reconcile.Step) *Operation {
	op := p.intended(now, step)
	if op == nil || op.Status == Open {
		return op
	}
	if op.Was == nil { // one write may mend several breaks
		op.Was = &Was{Status: op.Status, Code: op.Code, Lines: op.Lines, Ended: op.Ended}
	}
	if op.Operation == order.Release {
		op.Lines = []order.Quantity{}
		if p.Phase != order.PhaseCancelled && p.Phase != order.PhaseFailed {
			op.Lines = append(op.Lines, p.Promised...)
		}
	}
	return op
}

// intended returns the operation whose key the step names, the last of its kind, or a
// new one where none was ever meant.
func (p *process) intended(now time.Time, step reconcile.Step) *Operation {
	if step.Operation == order.Cancel {
		return p.cancelling(now, step)
	}
	if intent, ours := order.ParseKey(step.Key); ours {
		if op := p.find(intent.Operation, intent.N); op != nil {
			return op
		}
	}
	if step.Operation == order.Send { // the others are the last of their kind
		return p.mailOf(step.Break)
	}
	n := p.count(step.Operation)
	if step.Operation != order.Void && step.Operation != order.Refund {
		if op := p.find(step.Operation, n); op != nil {
			return op
		}
	}
	// Closing one attempt, or giving back one surplus, is an intent of its own:
	// the break names the attempt.
	for i := range p.Operations {
		if op := &p.Operations[i]; op.Operation == step.Operation && op.Status == Unsent && !op.Conflict && op.Ref == step.Break.Item && (step.Operation != order.Refund || op.Amount == step.Amount) {
			return op
		}
	}
	p.Operations = append(p.Operations, Operation{
		System: step.System, Operation: step.Operation, N: n + 1, Status: Unsent, First: now,
		Ref: step.Break.Item, Amount: step.Amount, About: "duplicate",
	})
	op := &p.Operations[len(p.Operations)-1]
	if op.Operation == order.Upsert { // somebody made a deal for an order that has ended without one
		stage, revenue := p.deal()
		op.About, op.Amount, op.Of, op.Ref = string(stage), revenue, p.Moves, ""
	}
	return op
}

// mailOf returns the mail that a break is about, or nil.
func (p *process) mailOf(b reconcile.Break) *Operation {
	for i := range p.Operations {
		op := &p.Operations[i]
		if op.Operation == order.Send && reconcile.MailField(reconcile.Template(op.About)) == b.Field && strconv.Itoa(op.Of) == b.Item {
			return op
		}
	}
	return nil
}

// cancelling returns the operation that takes back what a step names: its key is
// the request's, which is not to be made again.
func (p *process) cancelling(now time.Time, step reconcile.Step) *Operation {
	for i := len(p.Operations) - 1; i >= 0; i-- {
		if op := &p.Operations[i]; op.Operation == order.Cancel && op.Ref == step.Key {
			return op
		}
	}
	p.Operations = append(p.Operations, Operation{
		System: step.System, Operation: order.Cancel, N: p.count(order.Cancel) + 1, Status: Unsent, First: now, Ref: step.Key,
	})
	return &p.Operations[len(p.Operations)-1]
}

// verify waits until the repairs are through, and reads what they did.
func (p *process) verify(ctx workflow.Context) {
	timeout := workflow.Now(ctx).Add(time.Minute)
	pending := func() bool {
		for i := range p.Operations {
			if op := p.Operations[i]; op.Status == Lost || op.Status == Open && op.Grant != nil {
				return true
			}
		}
		return false
	}
	timerContext, stop := workflow.WithCancel(ctx)
	timer := workflow.NewTimerWithOptions(timerContext, timeout.Sub(workflow.Now(ctx)), workflow.TimerOptions{Summary: "the repairs should be through"})
	_ = workflow.Await(ctx, func() bool { return !pending() || timer.IsReady() })
	stop()
	p.readSystems(ctx, disagreeing(p.Breaks), 1)
}

// disagreeing returns the systems that the breaks are in, in their usual order.
func disagreeing(breaks []reconcile.Break) []order.System {
	var systems []order.System
	for _, s := range order.Systems() {
		if slices.ContainsFunc(breaks, func(b reconcile.Break) bool { return b.System == s }) {
			systems = append(systems, s)
		}
	}
	return systems
}

// accept takes their value for right, for as long as the system says exactly
// that. Money that somebody moved at the gateway was taken up already: see
// attend.go.
func (p *process) accept(now time.Time, b reconcile.Break) {
	p.own(now, b.Place())
	theirs := []reconcile.Base{{Field: b.Field, Item: b.Item, Value: b.Observed, At: now}}
	p.Bases = reconcile.Remember(p.Bases, theirs)
	p.Accepted = reconcile.Remember(p.Accepted, theirs)
	p.touch()
}
