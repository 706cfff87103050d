package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// The order's cases: opened once each, closed with what became of them.

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
// has decided about exactly that and it is still so. What was to be repaired and is
// not is asked again.
func (p *process) raise(now time.Time, step reconcile.Step) {
	for _, c := range p.Cases {
		if !c.Open() && c.Passed.IsZero() && c.Step.Break.ID() == step.Break.ID() && c.Step.Break.Observed == step.Break.Observed && p.settled(c.Outcome) {
			return
		}
	}
	p.raised = append(p.raised, raised{step.Break, !compared(step.Break)})
	p.openCase(now, step, !compared(step.Break))
}

// raised is what the systems said by themselves: about a break, and whether no
// comparison finds it.
type raised struct {
	about reconcile.Break
	stays bool
}

// speaksFor says that attend has a case open about a break, or would.
func (p *process) speaksFor(b reconcile.Break) bool {
	return slices.ContainsFunc(p.raised, func(r raised) bool { return sameBreak(r.about, b, r.stays) })
}

// sameBreak says that two breaks are one. What a comparison finds is one in whatever
// way its system disagrees; what none finds is told by its name.
func sameBreak(a, b reconcile.Break, stays bool) bool {
	if stays {
		return a.ID() == b.ID()
	}
	return a.Place() == b.Place()
}

// settled says that a person decided a case in a way that leaves nothing to ask,
// also when things stay as they are. What was to be repaired is asked about again
// when it is not, and what was to be given up when the warehouse would not.
func (s *State) settled(outcome string) bool {
	decision, ok := strings.CutPrefix(outcome, decidedBy)
	switch {
	case !ok, strings.HasPrefix(decision, string(DecideRepair)):
		return false
	case strings.HasPrefix(decision, string(DecideRelease)):
		return s.Amendment.open() || order.Empty(s.unshipped())
	}
	return true
}

// pass takes in that a system agrees: what a person decided about another value there
// is over, and so is what was let stand by it. Should it come to the same once more,
// that is asked about anew.
func (p *process) pass(now time.Time, agreed reconcile.Base) {
	for i := range p.Cases {
		k := &p.Cases[i]
		if !k.Passes(agreed) {
			continue
		}
		k.Passed = now
		b := k.Step.Break
		p.Accepted = slices.DeleteFunc(p.Accepted, func(a reconcile.Base) bool {
			return a.Field == b.Field && a.Item == b.Item && a.Value == b.Observed
		})
	}
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

// ask opens a case about something that no rule decides.
func (p *process) ask(ctx workflow.Context, field reconcile.Field, why, proposal string) {
	now := workflow.Now(ctx)
	system := field.System()
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: system, Field: field, Situation: reconcile.Conflict,
			Expected: "-", Observed: why, Right: string(system), FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: system, Why: why, Proposal: proposal,
	})
}

// openCase opens a case, once per break: one that is open asks about what is so
// now. One that stays is about what no comparison finds: it does not close because
// the systems agree.
func (p *process) openCase(now time.Time, step reconcile.Step, stays bool) bool {
	for i := range p.Cases {
		if c := &p.Cases[i]; c.Open() && sameBreak(c.Step.Break, step.Break, stays || c.Stays) {
			p.renew(now, c, step)
			return false
		}
	}
	p.own(now, step.Break.Place())
	step.Break.Owned = now
	deadline := now.Add(p.settings.Policy.Rule(step.Break.Field).CaseDeadline)
	p.Cases = append(p.Cases, reconcile.Case{
		N: p.lastCase() + 1, Step: step, Opened: now, Stays: stays, Deadline: deadline,
		AtDeadline: "it stays open; nothing is changed without a decision",
	})
	p.note(now, fmt.Sprintf("case %d opened: %s", p.lastCase(), step.Why))
	p.forgetCases()
	p.touch()
	return true
}

// lastCase is the number of the latest case; 0 before the first.
func (s *State) lastCase() int {
	if n := len(s.Cases); n > 0 {
		return s.Cases[n-1].N
	}
	return 0
}

// mostOver cases that closed by themselves are carried: a field that comes and goes
// for weeks must not fill the state of its order.
const mostOver = 50

// forgetCases drops the oldest cases of which nobody decided anything, beyond those
// that are carried. What a person decided holds, and stays.
func (p *process) forgetCases() {
	over := func(k reconcile.Case) bool { return !k.Open() && !strings.HasPrefix(k.Outcome, decidedBy) }
	n := 0
	for _, k := range p.Cases {
		if over(k) {
			n++
		}
	}
	for ; n > mostOver; n-- {
		oldest := slices.IndexFunc(p.Cases, over)
		p.Tellings = slices.DeleteFunc(p.Tellings, func(t Telling) bool { return t.N == p.Cases[oldest].N })
		p.Cases = slices.Delete(p.Cases, oldest, oldest+1)
	}
}

// renew lets an open case ask about what is so now, under its number.
func (p *process) renew(now time.Time, k *reconcile.Case, step reconcile.Step) {
	if k.Fought {
		step.Break.Situation, step.Why = reconcile.Conflict, k.Step.Why
	}
	if k.Step.Same(step) {
		return
	}
	step.Break.FirstSeen, step.Break.LastAgreed = k.Step.Break.FirstSeen, k.Step.Break.LastAgreed
	k.Step = step
	p.note(now, fmt.Sprintf("case %d has changed: %s", k.N, step.Why))
	p.mayHaveChanged(k.N)
}

// replan lets the open cases that a comparison finds ask about what the rules
// make of it now. What attend has cases open about speaks for itself.
func (p *process) replan(now time.Time, c reconcile.Comparison) {
	believed := slices.Clone(c.Breaks)
	for i := range believed {
		if believed[i].Confirmed.IsZero() { // a person decides on it, so it is planned as if it were
			believed[i].Confirmed = now
		}
	}
	for _, step := range reconcile.Plan(p.settings.Policy, p.intent(now), believed, p.Observed, p.Bases) {
		n := slices.IndexFunc(p.Cases, func(k reconcile.Case) bool { return k.Open() && !k.Stays && sameBreak(k.Step.Break, step.Break, false) })
		if n < 0 || p.speaksFor(step.Break) {
			continue
		}
		was, is := p.Cases[n].Step.Break, step.Break
		ruled := step.Decision == reconcile.Ask || step.Decision == reconcile.Repair
		if ruled || was.Expected != is.Expected || was.Observed != is.Observed {
			p.renew(now, &p.Cases[n], step.Asked())
		}
	}
}

// caseOf returns case n, or nil.
func (p *process) caseOf(n int) *reconcile.Case {
	for i := range p.Cases {
		if p.Cases[i].N == n {
			return &p.Cases[i]
		}
	}
	return nil
}

// settleCases closes the cases whose break is gone by itself. One about which
// attend would have a case open is not, also when no comparison finds it.
func (p *process) settleCases(now time.Time, c reconcile.Comparison) {
	for i := range p.Cases {
		k := &p.Cases[i]
		switch {
		case !k.Open():
		case !c.Over(*k) || p.speaksFor(k.Step.Break):
			k.Agrees = time.Time{}
		case p.peaceful(now, k):
			p.closeCase(now, k.N, "the systems agree again")
		}
	}
}
