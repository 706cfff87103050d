package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// follow reads each system that hinted at a change, once it is quiet. What our
// own write has read back already is not read again, so that the echo of our
// own doing costs nothing. One that cannot be read is read again later: it will
// not say a second time that it changed.
func (p *process) follow(ctx workflow.Context) {
	for {
		var next Hint
		found := func() bool {
			before := len(p.Hints)
			next = p.hinted(workflow.Now(ctx))
			// One that was answered already is news too: an order may close then.
			return p.closing || next.System != "" || len(p.Hints) < before
		}
		if again := p.postponed(workflow.Now(ctx)); again > 0 {
			_, _ = workflow.AwaitWithTimeout(ctx, again, found)
		} else {
			_ = workflow.Await(ctx, found)
		}
		switch {
		case p.closing:
			return
		case next.System == "":
			p.touch()
			continue
		}
		if next.Sure.IsZero() {
			p.forget(next.System) // a sure one is forgotten when its reading counts
		}
		p.looking = true
		p.read(ctx, next.System)
		p.looking = false
		if p.observed(next.System).State == reconcile.Unreadable {
			p.postpone(workflow.Now(ctx), next)
		}
		p.touch()
	}
}

// postpone has a system that could not be read read again later, for what it was to be
// read for and for what hinted at it meanwhile.
func (p *process) postpone(now time.Time, h Hint) {
	h.Wait = min(max(2*h.Wait, 5*time.Second), 5*time.Minute)
	h.After = now.Add(h.Wait)
	for _, other := range p.Hints {
		if other.System != h.System {
			continue
		}
		if other.At.After(h.At) {
			h.At = other.At
		}
		if other.Sure.After(h.Sure) {
			h.Sure = other.Sure
		}
		h.Says = bothSay(h.Says, other.Says)
	}
	p.forget(h.System)
	p.Hints = append(p.Hints, h)
}

// bothSay are the records that two hints announce; none when one of them is to be read in
// any case.
func bothSay(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	all := slices.Clone(a)
	for _, one := range b {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// hinted returns a system to be read now, and drops hints that were answered by
// a read or by the read-back of our own write after the change.
func (p *process) hinted(now time.Time) Hint {
	kept := p.Hints[:0]
	var next Hint
	for _, h := range p.Hints {
		o := p.observed(h.System)
		known := o.At
		if at := p.changed(h.System); at.After(known) {
			known = at
		}
		if h.Sure.IsZero() && o.State != reconcile.Unreadable && !h.At.After(known) {
			continue
		}
		if len(h.Says) > 0 && p.openIn(h.System) == nil && p.knows(h.System, h.Says) {
			continue
		}
		kept = append(kept, h)
		if next.System == "" && p.openIn(h.System) == nil && !h.After.After(now) {
			next = h
		}
	}
	p.Hints = kept
	return next
}

// hintedBefore says that a system is to be read by now.
func (p *process) hintedBefore(now time.Time) bool {
	for _, h := range p.Hints {
		if !h.After.After(now) {
			return true
		}
	}
	return false
}

// postponed returns how long it is until a system that could not be read is
// read again; 0 when there is none.
func (p *process) postponed(now time.Time) time.Duration {
	shortest := time.Duration(0)
	for _, h := range p.Hints {
		if wait := h.After.Sub(now); wait > 0 && (shortest == 0 || wait < shortest) {
			shortest = wait
		}
	}
	return shortest
}

func (p *process) forget(system order.System) {
	kept := p.Hints[:0]
	for _, h := range p.Hints {
		if h.System != system {
			kept = append(kept, h)
		}
	}
	p.Hints = kept
}

// read reads one system and takes in what it says.
func (p *process) read(ctx workflow.Context, system order.System) {
	var seen reconcile.Observation
	b := p.barrier(system, workflow.Now(ctx))
	if err := p.look(ctx, system, 0).Get(ctx, &seen); err != nil {
		seen = reconcile.Read(system, p.Order.ID, b.at, reconcile.Observation{}, err)
	}
	p.take(b, seen)
}

// barrier keeps a reading from hiding a write of ours. It is when the reading was asked
// for, and what had ended in its system by then: what ends in the same moment may have
// ended after it.
type barrier struct {
	at    time.Time
	ended int
}

func (s *State) barrier(system order.System, now time.Time) barrier {
	return barrier{now, s.endedIn(system)}
}

// endedIn counts the operations that have ended in a system, and their repairs.
func (s *State) endedIn(system order.System) int {
	n := 0
	for i := range s.Operations {
		if op := &s.Operations[i]; op.System == system && op.Operation != order.Adjust && !op.Ended.IsZero() {
			n += 1 + op.Repairs
		}
	}
	return n
}

// take takes in a reading, unless an operation changed the system meanwhile:
// then the reading may be older than the operation's own answer.
func (p *process) take(b barrier, seen reconcile.Observation) {
	asked := b.at
	changed := p.changed(seen.System)
	if changed.After(asked) || changed.Equal(asked) && p.endedIn(seen.System) != b.ended {
		if seen.State != reconcile.Unreadable {
			return
		}
	}
	// It was read after it was asked for and after what we knew then, whatever the
	// clock of the worker that read it says.
	if seen.At.Before(asked) {
		seen.At = asked
	}
	if known := p.observed(seen.System); !seen.At.After(known.At) && known.At.Sub(asked) < time.Millisecond {
		seen.At = known.At.Add(time.Nanosecond)
	}
	p.learn(seen)
	p.news = true
	if seen.State != reconcile.Unreadable {
		p.Hints = slices.DeleteFunc(p.Hints, func(h Hint) bool { return h.System == seen.System && !h.Sure.IsZero() && !h.Sure.After(asked) })
	}
}

// readAll reads all systems side by side. A reading that is asked for while one of
// the same systems is under way shares it.
func (p *process) readAll(ctx workflow.Context, again int) {
	p.readSystems(ctx, order.Systems(), again)
}

// readSystems reads some systems side by side, and takes in what they say all at
// once: a lane that acted on half of it might do again what has happened.
func (p *process) readSystems(ctx workflow.Context, systems []order.System, again int) {
	for p.reading {
		shared := !slices.ContainsFunc(systems, func(s order.System) bool { return !slices.Contains(p.readingOf, s) })
		_ = workflow.Await(ctx, func() bool { return !p.reading })
		if shared || ctx.Err() != nil {
			return
		}
	}
	p.reading, p.readingOf = true, systems
	now := workflow.Now(ctx)
	barriers := make([]barrier, len(systems))
	futures := make([]workflow.Future, len(systems))
	for i, system := range systems {
		barriers[i] = p.barrier(system, now)
		futures[i] = p.look(ctx, system, again)
	}
	seen := make([]reconcile.Observation, len(systems))
	for i, system := range systems {
		if err := futures[i].Get(ctx, &seen[i]); err != nil {
			seen[i] = reconcile.Read(system, p.Order.ID, now, reconcile.Observation{}, err)
		}
	}
	for i := range seen {
		p.take(barriers[i], seen[i])
	}
	p.reading = false
	if len(systems) == len(order.Systems()) {
		p.readAt = now
	}
	p.touch()
}

// look starts a look-up, with the priority of whom it is for. Its few attempts are
// short: a system that cannot be read now is an answer too.
func (p *process) look(ctx workflow.Context, system order.System, again int) workflow.Future {
	p.reads++
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              SystemQueue(system),
		ActivityID:             fmt.Sprintf("%s.read/%d.%d", system, p.Run, p.reads),
		StartToCloseTimeout:    callTimeout,
		ScheduleToCloseTimeout: 2 * callTimeout,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second},
		Summary:                "what does it say of " + string(p.Order.ID) + "?" + []string{"", " once more"}[min(again, 1)],
		Priority:               workflow.GetActivityOptions(ctx).Priority,
	})
	subject := p.subject(system)
	switch system {
	case order.SystemPayment:
		return workflow.ExecuteActivity(ctx, gateway.ReadPayment, subject)
	case order.SystemInventory:
		return workflow.ExecuteActivity(ctx, stock.ReadReservations, subject)
	case order.SystemWarehouse:
		return workflow.ExecuteActivity(ctx, depot.ReadShipments, subject)
	case order.SystemERP:
		return workflow.ExecuteActivity(ctx, books.ReadBooks, subject)
	case order.SystemCRM:
		return workflow.ExecuteActivity(ctx, people.ReadCRM, subject)
	case order.SystemMail:
		return workflow.ExecuteActivity(ctx, post.ReadMail, subject)
	}
	panic("unreachable: system " + string(system))
}

// justNow is the age, when it was submitted, at which an order is new although nobody
// could say since when the engine remembers. Looking costs a reading of every system;
// what was done that shortly before is done again under the same keys, and no goods have
// come back yet.
const justNow = 5 * time.Minute

// recall looks into payment and ERP before anything is done for an order that
// is older than our memory: what is found there is adopted as it stands.
func (p *process) recall(ctx workflow.Context, engineSince time.Time) error {
	if p.Phase != order.PhaseReceived || p.Run > 1 {
		return nil
	}
	now := workflow.Now(ctx)
	oldest := now.Add(-min(p.settings.Retention, p.settings.Policy.Horizon))
	if engineSince.IsZero() { // nobody could say; it may have waited long for a worker since
		engineSince = workflow.GetInfo(ctx).WorkflowStartTime.Add(-justNow)
	}
	if engineSince.After(oldest) {
		oldest = engineSince
	}
	if !p.Order.PlacedAt.Before(oldest) {
		return nil
	}
	p.Adopted, p.recalling = true, true
	defer func() { p.recalling = false }()
	p.note(now, "placed before our memory begins: looked up in every system first")
	for wait := time.Minute; ; wait = min(2*wait, 30*time.Minute) {
		p.readAll(ctx, 0)
		payment, erp := p.observed(order.SystemPayment), p.observed(order.SystemERP)
		if payment.State == reconcile.Unreadable || erp.State == reconcile.Unreadable {
			for _, o := range []reconcile.Observation{payment, erp} {
				if o.State == reconcile.Unreadable {
					p.unheard(workflow.Now(ctx), o.System, now)
				}
			}
			if err := workflow.Sleep(ctx, wait); err != nil {
				return err
			}
			continue
		}
		if payment.State == reconcile.Present || erp.State == reconcile.Present {
			p.Traceless = p.untouched()
			p.adopt(now)
			return nil
		}
		if now.Sub(p.Order.PlacedAt) <= min(p.settings.Retention, p.settings.Policy.Horizon) {
			p.Traceless = true // it is young: we lost our memory before it left any trace
			return nil
		}
		p.openCase(now, reconcile.Step{
			Break: reconcile.Break{
				System: order.SystemPayment, Field: "payment.held", Situation: reconcile.Missing, Expected: "known",
				Observed: "nothing in payment or ERP", Right: "order", FirstSeen: now, Confirmed: now,
			},
			Decision: reconcile.Ask, System: order.SystemPayment,
			Why:          "the order is older than our memory and neither payment nor ERP knows it; it is not started blindly",
			Proposal:     "decide whether it is to be started as new, under a new id",
			Alternatives: []string{"leave it: it was submitted again by mistake"},
		}, true)
		p.Failed = "too old to start"
		p.Phase, p.Since = order.PhaseFailed, now
		return nil
	}
}
