package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// reconcile looks again at what a run suspects: it believes a break only when
// two readings agree, repairs it as the normal transition, reads back, and asks
// a person where no rule decides (D6, D9).
func (p *process) reconcile(ctx workflow.Context, in reconciliation.Confirmation) (reconciliation.Confirmed, error) {
	work, _ := workflow.NewDisconnectedContext(ctx)
	answer := reconciliation.Confirmed{Order: p.Order.ID}
	var err error
	if p.settings, err = p.refresh(ctx, p.settings); err != nil {
		return answer, err
	}
	p.readAll(work, 0)
	p.attend(workflow.Now(ctx))
	before := len(p.Cases)
	for _, short := range in.Short {
		p.goesWithout(workflow.Now(ctx), short)
	}
	answer.Cases = len(p.Cases) - before
	first := p.assess(workflow.Now(ctx))
	p.touch() // what is news is taken up as the normal transition
	if len(first.Breaks) > 0 {
		if err := workflow.Sleep(work, p.lag(first.Breaks)); err != nil {
			return answer, err
		}
		p.readSystems(work, disagreeing(first.Breaks), 1)
		p.confirm(workflow.Now(ctx))
	}
	steps := reconcile.Plan(p.settings.Policy, p.intent(workflow.Now(ctx)), p.Breaks, p.Observed, p.Bases)
	grants := in.Grants
	mending := false
	for _, step := range steps {
		answer.Found++
		answer.Sights = p.sights(answer.Sights, step.Break)
		line := fmt.Sprintf("%s: expected %s, is %s; %s", step.Break.ID(), step.Break.Expected, step.Break.Observed, step.Why)
		switch step.Decision {
		case reconcile.Repair:
			if len(grants) == 0 {
				answer.Left++
				answer.Lines = append(answer.Lines, line+" → no grant left in this run")
				continue
			}
			if p.mend(workflow.Now(ctx), step, grants[0]) {
				grants, mending = grants[1:], true
				answer.Repaired++
				answer.Lines = append(answer.Lines, line+" → repaired by "+string(step.Operation))
			} else {
				answer.Left++
				answer.Lines = append(answer.Lines, line+" → cooling down")
			}
		case reconcile.Adopt:
			answer.Adopted++
			p.accept(workflow.Now(ctx), step.Break)
			answer.Lines = append(answer.Lines, line+" → adopted")
		case reconcile.Ask:
			if !slices.Contains(p.raised, step.Break.ID()) && p.openCase(workflow.Now(ctx), step, false) {
				answer.Cases++
			}
			answer.Lines = append(answer.Lines, line+" → a person decides")
		case reconcile.Report, reconcile.Ignore:
			answer.Left++
			answer.Lines = append(answer.Lines, line+" → reported")
		}
	}
	for _, g := range grants {
		answer.Unused = append(answer.Unused, g.N)
	}
	if mending {
		p.verify(work)
	}
	p.attend(workflow.Now(ctx)) // what it has cases open about is not settled by the comparison
	c := p.assess(workflow.Now(ctx))
	p.settleCases(workflow.Now(ctx), c)
	answer.Settling, answer.Unread = len(c.Settling), c.Unread
	answer.Agreement = p.verdict(workflow.Now(ctx), true).Agreement
	p.note(workflow.Now(ctx), fmt.Sprintf("run %s: %d found, %d repaired, %d cases", in.Run, answer.Found, answer.Repaired, answer.Cases))
	p.touch()
	return answer, nil
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
			if b.ID() == p.Breaks[i].ID() {
				if took, bounded := b.Detection(); bounded && p.Breaks[i].Confirmed.IsZero() && !b.Confirmed.IsZero() {
					p.measured(DetectionMetric, b.System, took)
				}
				p.Breaks[i] = b
			}
		}
	}
}

// mend has the operation of a lost intent done again, under its own key.
func (p *process) mend(now time.Time, step reconcile.Step, grant repair.Grant) bool {
	op := p.again(now, step)
	if op == nil || op.Status == Open {
		return false
	}
	if !op.Mended.IsZero() && now.Sub(op.Mended) < p.settings.Policy.CoolDown {
		step.Break.Situation = reconcile.Conflict
		step.Why = "it was repaired a moment ago and is back: two writers are fighting"
		p.openCase(now, step, true)
		return false
	}
	op.Status, op.Grant = Lost, &grant
	p.own(now, step.Break.ID())
	p.note(now, fmt.Sprintf("repair %s under grant %d: %s", step.Break.ID(), grant.N, step.Why))
	p.touch()
	return true
}

// again returns the operation that a repair does again: the one whose key the
// step names, the last of its kind, or a new one where none was ever meant.
func (p *process) again(now time.Time, step reconcile.Step) *Operation {
	if intent, ours := order.ParseKey(step.Key); ours {
		if op := p.find(intent.Operation, intent.N); op != nil {
			return op
		}
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
		if op := &p.Operations[i]; op.Operation == step.Operation && op.Status == Unsent && op.Ref == step.Break.Item {
			return op
		}
	}
	p.Operations = append(p.Operations, Operation{
		System: step.System, Operation: step.Operation, N: n + 1, Status: Unsent, First: now,
		Ref: step.Break.Item, Amount: step.Amount, About: "duplicate",
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
	for i := range p.Breaks {
		if op := p.latest(p.Breaks[i].System); op != nil && op.Mended.After(p.Breaks[i].FirstSeen) {
			p.Breaks[i].Repaired = op.Mended
		}
	}
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

// latest returns the operation of a system that was last done again, or nil.
func (s *State) latest(system order.System) *Operation {
	var last *Operation
	for i := range s.Operations {
		if op := &s.Operations[i]; op.System == system && !op.Mended.IsZero() && (last == nil || op.Mended.After(last.Mended)) {
			last = op
		}
	}
	return last
}

// accept takes their value for right, for as long as the system says exactly
// that. Money that somebody moved at the gateway was taken up already: see
// attend.go.
func (p *process) accept(now time.Time, b reconcile.Break) {
	p.own(now, b.ID())
	theirs := []reconcile.Base{{Field: b.Field, Item: b.Item, Value: b.Observed, At: now}}
	p.Bases = reconcile.Remember(p.Bases, theirs)
	p.Accepted = reconcile.Remember(p.Accepted, theirs)
	p.touch()
}
