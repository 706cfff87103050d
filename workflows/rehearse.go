package workflows

import (
	"slices"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// rehearse says what the order would do about a confirmation, if its systems
// were read and said this. It goes through the very steps of reconcile on a copy
// of the order's state, so that a dry run says what a run does; the copy is
// thrown away, and a query leaves no event.
func (p *process) rehearse(in reconciliation.Rehearsal) (reconciliation.Rehearsed, error) {
	state, err := copied(p.State)
	if err != nil {
		return reconciliation.Rehearsed{}, err
	}
	twin := &process{State: state}
	if twin.settings, err = p.today(); err != nil {
		return reconciliation.Rehearsed{}, err
	}
	c := in.Confirmation
	out := reconciliation.Rehearsed{Confirmed: reconciliation.Confirmed{Order: p.Order.ID}}
	if p.recalling {
		twin.notAdopted(c, &out.Confirmed)
		return out, nil
	}
	twin.readAs(in.First)
	known := twin.confirmed()
	first := twin.suspect(in.First.Ended, c, &out.Confirmed)
	out.Again = disagreeing(first.Breaks)
	if len(first.Breaks) > 0 {
		out.Lag = twin.lag(first.Breaks)
	}
	now := in.First.Ended
	if in.Second.Ended.IsZero() {
		twin.believe(now)
	} else {
		now = in.Second.Ended
		twin.readAs(in.Second)
		twin.confirm(now)
	}
	out.Steps = twin.plan(now)
	for _, step := range out.Steps {
		out.Fresh = append(out.Fresh, !slices.Contains(known, step.Break.Place()))
	}
	begun := twin.carryOut(now, out.Steps, c, &out.Confirmed)
	after := twin.assess(now)
	twin.conclude(now, after, &out.Confirmed)
	if len(begun) > 0 && out.Confirmed.Repaired == len(out.Steps) {
		out.Confirmed.Agreement = reconcile.Agreed // as it is when all of it is repaired
	}
	return out, nil
}

// readAs takes in a reading as if the order itself had made it.
func (p *process) readAs(r reconciliation.Reading) {
	for _, o := range r.Seen {
		p.take(p.barrier(o.System, r.Asked), o)
	}
	if len(r.Seen) == len(order.Systems()) {
		p.readAt = r.Asked
	}
}

// believe takes every break for confirmed, to know what might be done.
func (p *process) believe(now time.Time) {
	for i := range p.Breaks {
		if p.Breaks[i].Confirmed.IsZero() {
			p.Breaks[i].Confirmed = now
		}
	}
}

// confirmed returns where breaks were confirmed before.
func (s *State) confirmed() []reconcile.Place {
	var places []reconcile.Place
	for _, b := range s.Breaks {
		if !b.Confirmed.IsZero() {
			places = append(places, b.Place())
		}
	}
	return places
}
