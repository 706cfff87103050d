package virtual

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workflows"
)

// Nine days are 51,840 polls of four systems and 864 runs of the schedule, of
// which nearly all find nothing. Where nothing can be found they are left out:
//
//   - A poll happens at the moments at which it would, but only at the first after
//     a system has changed and at the one after that; always while a fault may
//     hit a listing that is polled, or the clock of such a system is wrong, so that
//     a change may be dated later than it is. A poll reaches back to the last one, so what it reads is the same.
//   - A scheduled run is left out when no system has changed since before the last
//     two, both of which read everything, had nothing to repair and nothing that
//     was too young to judge, and when every order agrees or waits for a person.
//     Time alone may still make an order wrong, so one of many is held all the same.

// calm knows when something last changed.
type calm struct {
	jumps bool

	mu      sync.Mutex
	last    time.Time // change in any system
	bells   map[int]func()
	n       int
	calmRun int // scheduled runs that were left out since the last
	clean   int // scheduled runs in a row that had nothing to do since the last change
	judged  *run
}

// changed is told by the systems, in whatever goroutine changed them.
func (w *World) changed(order.System) {
	w.calm.mu.Lock()
	w.calm.last = w.Now()
	w.calm.clean = 0
	ring := make([]func(), 0, len(w.calm.bells))
	for _, f := range w.calm.bells {
		ring = append(ring, f)
	}
	w.calm.mu.Unlock()
	for _, f := range ring {
		f()
	}
}

// listen calls f at each change until the returned function is called.
func (c *calm) listen(f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bells == nil {
		c.bells = map[int]func(){}
	}
	c.n++
	n := c.n
	c.bells[n] = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.bells, n)
	}
}

// Doze lets what goes on beside the agenda wait until a moment, or until some
// time after the next change in any system if that is earlier.
func (w *World) Doze(ctx context.Context, until time.Time, after time.Duration) error {
	d := max(until.Sub(w.Now()), 0)
	return w.rest(ctx, func(wake func(time.Duration)) (stop func()) {
		wake(d)
		return w.calm.listen(func() { wake(after) })
	})
}

// rest lets an activity wait until the earliest of the moments for which wake was
// called.
func (w *World) rest(ctx context.Context, begin func(wake func(in time.Duration)) (stop func())) error {
	passed := make(chan struct{})
	var stop func()
	if err := w.engine.inLoop(ctx, func() {
		up, awake := w.asleep.lie(ctx), false
		stop = begin(func(in time.Duration) {
			w.env.RegisterDelayedCallback(func() {
				if !awake {
					awake = true
					up()
					close(passed)
				}
			}, in)
		})
	}); err != nil {
		return err
	}
	defer stop()
	select {
	case <-passed:
		w.goOn(ctx)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the wait was ended: %w", ctx.Err())
	case <-w.over:
		return errOver
	}
}

// follows says that somebody waits for the next poll of the change feeds.
func (w *World) follows(ctx context.Context) bool {
	return w.calm.jumps && activity.IsActivity(ctx) && activity.GetInfo(ctx).ActivityType.Name == "FollowChanges"
}

// nextPoll waits for the next poll that may find something.
func (w *World) nextPoll(ctx context.Context, every time.Duration) error {
	from := w.Now()
	err := w.rest(ctx, func(wake func(time.Duration)) func() {
		w.calm.mu.Lock()
		last := w.calm.last
		w.calm.mu.Unlock()
		if from.Sub(last) <= every || w.suffer(w.followed) {
			wake(every)
			return func() {}
		}
		return w.calm.listen(func() {
			late := w.Now().Sub(from) % every // since the last moment of a poll
			if late == 0 && w.Now().After(from) {
				late = every
			}
			wake(every - late)
		})
	})
	if a := attemptOf(ctx); a != nil && err == nil {
		a.begin()
	}
	return err
}

// suffer says that a listing of one of the systems may fail, or date what changed
// wrongly.
func (w *World) suffer(systems []order.System) bool {
	for _, system := range systems {
		if w.Desk(system).Frame().Suffers("list") {
			return true
		}
	}
	return false
}

// Desk is a system as people there see it.
func (w *World) Desk(system order.System) simulator.Desk {
	switch system {
	case order.SystemPayment:
		return w.Payment
	case order.SystemInventory:
		return w.Inventory
	case order.SystemWarehouse:
		return w.Warehouse
	case order.SystemERP:
		return w.ERP
	case order.SystemCRM:
		return w.CRM
	default:
		return w.Mail
	}
}

// oneOf is how many scheduled runs there are for one that is held although
// nothing happened.
const oneOf = 24

// nothingToFind says that a scheduled run can be left out.
func (w *World) nothingToFind(s starters.Schedule, last *run) bool {
	if !w.calm.jumps || s.Type != workflows.ReconcileType || last == nil {
		return false
	}
	quiet := w.calm.quiet(last) && !w.suffer(order.Systems()) && w.engine.agree()
	w.calm.mu.Lock()
	defer w.calm.mu.Unlock()
	if !quiet || w.calm.clean < 2 { // or something has changed meanwhile
		w.calm.calmRun = 0
		return false
	}
	w.calm.calmRun++
	return true
}

// quiet says that the last runs had nothing to do and that nothing has changed
// since. It does not hold the lock while anybody waits for a turn: who changes
// something waits for the lock.
func (c *calm) quiet(last *run) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.judged == nil || c.judged.number != last.number {
		c.judged = last
		var report reconciliation.RunReport
		_ = json.Unmarshal(last.result, &report)
		if last.err == nil && report.Complete() && report.Settling+report.Left+report.Repaired+report.Adopted+report.Stock.Repaired == 0 && c.last.Before(report.Started) {
			c.clean++
		} else {
			c.clean = 0
		}
	}
	return c.clean >= 2 && c.calmRun < oneOf
}

// agree says that every open order agrees with its systems, as far as it knows, or
// waits for a person.
func (e *engine) agree() bool {
	all, _, err := e.List(e.world.ctx, "", 1<<20, nil)
	if err != nil {
		return false
	}
	for _, l := range all {
		if l.Running && l.Agreement != string(reconcile.Agreed) && l.Agreement != string(reconcile.NeedsPerson) {
			return false
		}
	}
	return true
}
