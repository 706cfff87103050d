package workflows

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/reconcile"
)

// How often the same is repaired (D9). What is repaired and is back within the
// cool-down, or again and again within a day, has another writer who means it: then
// nothing is repaired there any more, and a person is asked, once.

const (
	// mostRedone repairs of one place are made within a day.
	mostRedone = reconciliation.MostRedone
	// cooler is how many times longer each further repair waits than the one before.
	cooler = 4
)

// mend has the operation of a lost intent done again, under its own key, and returns
// it; or nil and why that cannot be now.
func (p *process) mend(now time.Time, step reconcile.Step, grant repair.Grant, answer *reconciliation.Confirmed) (*Operation, string) {
	if why := p.blocked(now, step.Break); why != "" {
		if p.askWhoIsRight(now, step) {
			answer.Cases++
		}
		return nil, why
	}
	op := p.again(now, step)
	if op == nil || op.Status == Open {
		return nil, "an operation is under way there"
	}
	op.Status, op.Grant, op.Why = Lost, &grant, ""
	op.For = append(op.For, step.Break.Place())
	p.own(now, step.Break.Place())
	p.note(now, fmt.Sprintf("repair %s under grant %d: %s", step.Break.ID(), grant.N, step.Why))
	p.touch()
	return op, ""
}

// blocked says why a place is not repaired now, or nothing.
func (p *process) blocked(now time.Time, b reconcile.Break) string {
	if k := p.openCaseOf(b.Field, b.Item); k != nil && k.Fought {
		return fmt.Sprintf("two writers are fighting: case %d waits for a person", k.N)
	}
	times := p.redone(b.Place(), now)
	if why := p.fought(times, now); why != "" {
		return why + "; a person decides"
	}
	if until := p.coolUntil(times); until.After(now) {
		return "repaired lately and back: it cools down until " + until.UTC().Format(time.RFC3339)
	}
	if b.Field == reconcile.PaymentAttempts {
		return p.withheld(b.Item)
	}
	return ""
}

// withheld says why no run gives back what an attempt took, or nothing: a person is
// asked about a refund of it that failed, or has let one go. The gateway cannot know
// that it was paid another way.
func (p *process) withheld(attempt string) string {
	switch {
	case p.failedRefund(attempt, time.Time{}):
		return "its refund has failed, and goes out again when a person says so"
	case p.waived(attempt) > 0:
		return "a person has decided that a refund of it does not go out again"
	}
	return ""
}

// held says why no reservation is repaired now, or nothing: all of an order's are
// written at once, so that none is where one of them must not be.
func (p *process) held(now time.Time, steps []reconcile.Step, in reconciliation.Confirmation) string {
	for _, s := range steps {
		if s.Break.Field != reconcile.InventoryReserved || s.Decision != reconcile.Repair {
			continue
		}
		why := p.blocked(now, s.Break)
		if g, left := in.LeftTo(s); left {
			why = "left to " + g.Waits()
		} else if p.granted(in.Grants, s) < 0 {
			why = "not granted: " + in.NotGranted(s)
		}
		if why != "" {
			return s.Break.Item + " is " + why
		}
	}
	return ""
}

// fought says why what was repaired at these times is not repaired once more, or
// nothing.
func (p *process) fought(times []time.Time, now time.Time) string {
	switch n := len(times); {
	case n == 0:
		return ""
	case n >= mostRedone:
		return fmt.Sprintf("it was repaired %d times within a day and is still so: its system refuses, or two writers are fighting", n)
	case now.Sub(times[n-1]) < p.settings.Policy.CoolDown:
		return "it was repaired a moment ago and is still so: its system refuses, or two writers are fighting"
	}
	return ""
}

// coolUntil is when what was repaired at these times may be repaired once more.
func (p *process) coolUntil(times []time.Time) time.Time {
	if len(times) == 0 {
		return time.Time{}
	}
	wait := p.settings.Policy.CoolDown
	for range len(times) - 1 {
		wait *= cooler
	}
	return times[len(times)-1].Add(wait)
}

// askWhoIsRight asks a person about what is fought over, and says whether that is a new
// case. One that asks about the break already asks that now.
func (p *process) askWhoIsRight(now time.Time, step reconcile.Step) bool {
	switch k := p.openCaseOf(step.Break.Field, step.Break.Item); {
	case k != nil && k.Stays:
		return false // somebody is asked about this place already, and about more than the fight
	case k != nil && k.Fought:
		return p.openCase(now, step.Asked(), false) // it asks about what is so now
	}
	why := p.fought(p.redone(step.Break.Place(), now), now)
	if why == "" {
		return false // it only cools down
	}
	step = step.Asked()
	step.Break.Situation, step.Why = reconcile.Conflict, why
	opened := p.openCase(now, step, false)
	p.openCaseOf(step.Break.Field, step.Break.Item).Fought = true
	return opened
}

// peaceful says that the case about what agrees now is over. What is fought over may be
// written again at any time: it has to agree for as long as a second repair waits.
func (p *process) peaceful(now time.Time, k *reconcile.Case) bool {
	if !k.Fought {
		return true
	}
	if k.Agrees.IsZero() {
		k.Agrees = now
		until := now.Add(cooler * p.settings.Policy.CoolDown)
		p.note(now, fmt.Sprintf("case %d: the systems agree now; it is over when they still do at %s", k.N, until.UTC().Format(time.RFC3339)))
	}
	return now.Sub(k.Agrees) >= cooler*p.settings.Policy.CoolDown
}

// atOdds returns the breaks that are open: what is fought over is also while it agrees
// for a moment, so that its clock goes on and runs look at it again.
func (p *process) atOdds() []reconcile.Break {
	all := slices.Clone(p.Breaks)
	for _, k := range p.Cases {
		if k.Open() && !k.Agrees.IsZero() && !slices.ContainsFunc(all, func(b reconcile.Break) bool { return b.Place() == k.Step.Break.Place() }) {
			all = append(all, k.Step.Break)
		}
	}
	return all
}

// redone returns when a place was repaired within the last day. Of the breaks that are
// planted in the canary order, again and again, only the last counts.
func (p *process) redone(at reconcile.Place, now time.Time) []time.Time {
	var times []time.Time
	for _, r := range p.Redone {
		if r.Place == at && now.Sub(r.At) < 24*time.Hour {
			times = append(times, r.At)
		}
	}
	if p.Order.ID == p.settings.Canary && at.Field == reconcile.CRMRevenue {
		times = times[max(0, len(times)-1):]
	}
	return times
}

// redo notes that the repairs for which an operation was done again are made.
func (p *process) redo(now time.Time, op *Operation) {
	op.Repairs++
	op.Mended = now
	p.redoes(now, op)
	for _, at := range op.For {
		for i := range p.Breaks {
			if p.Breaks[i].Place() == at {
				p.Breaks[i].Repaired = now
			}
		}
	}
}

// redoes notes when places were repaired, or their system refused that.
func (p *process) redoes(now time.Time, op *Operation) {
	p.Redone = slices.DeleteFunc(p.Redone, func(r Redone) bool { return now.Sub(r.At) >= 24*time.Hour })
	for _, at := range op.For {
		p.Redone = append(p.Redone, Redone{at, now})
	}
}

// left are the fields of the CRM that an update leaves as they are there: those that
// it is not to repair, those that a person is asked about because somebody deleted them,
// and those that stand although they are not what we meant, for as long as this update
// means nothing else by them than the one before did.
func (p *process) left(op Operation) []reconcile.Field {
	var all []reconcile.Field
	for _, f := range []reconcile.Field{reconcile.CRMContact, reconcile.CRMDeal, reconcile.CRMRevenue, reconcile.CRMCarts} {
		named := slices.ContainsFunc(op.For, func(at reconcile.Place) bool { return at.Field == f })
		own := len(op.For) == 0
		if !own && !named || own && (p.askedMissing(f) || p.stands(f) && p.unmoved(op, f)) {
			all = append(all, f)
		}
	}
	return all
}

// askedMissing says that a person is asked about what is not there any more.
func (p *process) askedMissing(f reconcile.Field) bool {
	return slices.ContainsFunc(p.Cases, func(k reconcile.Case) bool {
		return k.Open() && k.Step.Break.Field == f && k.Step.Break.Situation == reconcile.Missing
	})
}

// stands says that the CRM holds a value of the field which was let stand.
func (p *process) stands(f reconcile.Field) bool {
	return slices.ContainsFunc(p.Accepted, func(a reconcile.Base) bool {
		return a.Field == f && reconcile.Holds(p.observed(f.System()), p.intent(a.At), a)
	})
}

// unmoved says that an update means the same by a field as the one before.
func (p *process) unmoved(op Operation, f reconcile.Field) bool {
	before := p.find(op.Operation, op.N-1)
	switch {
	case before == nil:
		return false
	case f == reconcile.CRMDeal:
		return before.About == op.About
	case f == reconcile.CRMRevenue:
		return before.Amount == op.Amount
	}
	return true
}
