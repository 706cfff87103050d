package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/reconcile"
)

// The planted break of the dead-man's switch (D12): who would notice if nothing
// was ever found any more? See activities/reconciliation/plant.go for what is
// written, and where.

// plant begins to plant breaks where the settings name a canary order, and ends
// what an earlier canary still has. Without one it adds no event.
func (k *keeper) plant(ctx workflow.Context) {
	if k.plants || !k.canary(workflow.Now(ctx)) {
		return
	}
	k.plants = true
	workflow.Go(ctx, func(ctx workflow.Context) {
		for ctx.Err() == nil && k.canary(workflow.Now(ctx)) {
			k.plantNext(ctx)
		}
		k.plants = false
	})
}

// canary brings what is known of the canary to the settings, once nothing is
// planted any more, and says whether there is anything to do.
func (k *keeper) canary(now time.Time) bool {
	s, c := k.settings, k.Status.Canary
	if c != nil && c.Last != nil && c.Last.Over.IsZero() {
		return true
	}
	switch {
	case s.Canary == "" || s.PlantEvery <= 0:
		k.Status.Canary = nil
		return false
	case c == nil || c.Order != s.Canary:
		k.Status.Canary = &reconciliation.Canary{Order: s.Canary, Since: now}
	}
	k.Status.Canary.Every = s.PlantEvery
	return true
}

// plantNext takes the planted break one step on. Where it stands is in the state
// alone, so that it goes on from there when reconciliation continues as new.
func (k *keeper) plantNext(ctx workflow.Context) {
	c := k.Status.Canary
	p := c.Last
	switch {
	case p == nil || !p.Over.IsZero():
		k.prepare(ctx)
	case p.Made.IsZero() && p.Why == "":
		k.make(ctx, p)
	case p.Made.IsZero():
		k.end(ctx, p) // it may have been made all the same
	case p.Found.IsZero() && p.Missed.IsZero():
		_, _ = workflow.AwaitWithTimeout(ctx, max(time.Second, p.Due.Sub(workflow.Now(ctx))), func() bool { return !p.Found.IsZero() })
		if p.Found.IsZero() {
			k.miss(ctx, c, p)
		}
	default:
		k.end(ctx, p)
	}
}

// prepare waits until the next one is to be planted, and records what it will be.
// Other settings end the wait: they may name another canary, or none.
func (k *keeper) prepare(ctx workflow.Context) {
	c := k.Status.Canary
	next := reconciliation.Planted{N: 1, Order: c.Order}
	due := c.Since.Add(c.Every)
	if c.Last != nil {
		next.N, due = c.Last.N+1, c.Last.Meant.Add(c.Every)
		if c.Last.WrittenOver() { // another one has to prove it
			due = c.Last.Over
		}
	}
	if wait := due.Sub(workflow.Now(ctx)); wait > 0 {
		was := k.settings.version
		changed, err := workflow.AwaitWithTimeout(ctx, wait, func() bool { return k.settings.version != was })
		if changed || err != nil {
			return
		}
	}
	err := workflow.ExecuteActivity(k.planting(ctx, "what is to be planted"), run.PreparePlant, next).Get(ctx, &next)
	next.Meant = workflow.Now(ctx)
	if err != nil {
		next.Why = plainly(err)
	}
	if next.Why != "" {
		next.Over = next.Meant // nothing was written
	}
	c.Last = &next
}

// make plants it.
func (k *keeper) make(ctx workflow.Context, p *reconciliation.Planted) {
	if err := workflow.ExecuteActivity(k.planting(ctx, "plant a break"), run.PlantBreak, *p).Get(ctx, nil); err != nil {
		p.Why = plainly(err)
		return
	}
	p.Made = workflow.Now(ctx)
	p.Due = p.Made.Add(k.settings.Policy.Rule(reconcile.CRMRevenue).NoticeWithin + noticeGrace)
}

// miss takes note that nobody has found it in time: loudly, unless nobody could.
func (k *keeper) miss(ctx workflow.Context, c *reconciliation.Canary, p *reconciliation.Planted) {
	over := false
	_ = workflow.ExecuteActivity(k.planting(ctx, "a planted break was not found in time"), run.AlarmPlanted, *p).Get(ctx, &over)
	switch {
	case !p.Found.IsZero(): // meanwhile
	case over:
		p.Why, p.Over = "the last one was written over before a run came", workflow.Now(ctx)
	default:
		p.Missed = workflow.Now(ctx)
		c.Missed++
	}
}

// end sees to it that the deal is right again.
func (k *keeper) end(ctx workflow.Context, p *reconciliation.Planted) {
	if err := workflow.ExecuteActivity(k.planting(ctx, "is the deal right again?"), run.EndPlanted, *p).Get(ctx, &p.Reset); err != nil {
		p.Why = plainly(err)
		_ = workflow.Sleep(ctx, 10*time.Minute)
		return
	}
	p.Over = workflow.Now(ctx)
}

// sighted takes note when a run reports the planted break, or reports without it: the
// usual run, of all orders. A late one ends the alarm.
func (k *keeper) sighted(now time.Time, r reconciliation.RunReport) {
	if k.Status.Canary == nil || k.Status.Canary.Last == nil || r.Only || r.DryRun {
		return
	}
	p := k.Status.Canary.Last
	for _, s := range r.Sights {
		if s.Shows(*p) && p.Found.IsZero() {
			p.Found, p.Run, p.Why = now, r.Run, ""
			k.Status.Canary.LastFound = now
		}
	}
	if p.Passed.IsZero() && !p.Made.IsZero() && r.Started.After(p.Made) && r.Complete() && p.Found.IsZero() && !slices.Contains(r.Exceptions, p.Order) {
		p.Passed = now
	}
}

// planting are the options of what plants: few and short tries, for the next one
// comes within the hour.
func (k *keeper) planting(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: ReconciliationQueue, StartToCloseTimeout: callTimeout, ScheduleToCloseTimeout: 5 * time.Minute,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:     summary, Priority: temporal.Priority{PriorityKey: 5},
	})
}

// sights adds a confirmed break to what the canary order has seen. No other order
// says so.
func (p *process) sights(seen []reconciliation.Sight, b reconcile.Break) []reconciliation.Sight {
	if p.settings.Canary != p.Order.ID {
		return seen
	}
	return append(seen, reconciliation.Sight{Field: b.Field, Observed: b.Observed})
}
