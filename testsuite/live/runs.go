package live

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// most is how many scheduled runs there are between two changes: what several in
// a row could not end, no later one does.
const most = 6

// runs are those of the schedule. They come at the ages at which they would, but
// for those that can find nothing: all after two that found nothing, until
// something changes.
type runs struct {
	every time.Duration

	mu    sync.Mutex
	last  time.Duration // age
	since time.Time     // change after which they are counted
	count int
	clean int
	under bool
}

// next is the age of the next run; 0: there is none.
func (r *runs) next(w *World) time.Duration {
	if r.every == 0 || w.outages.now(virtual.Engine, virtual.Workers) {
		return 0
	}
	w.agenda.mu.Lock()
	changed, age := w.agenda.changed, w.agenda.age
	w.agenda.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if changed.After(r.since) {
		r.since, r.count, r.clean = changed, 0, 0
	}
	if r.under || r.count >= most || r.clean >= 2 {
		return 0
	}
	last := max(age, r.last)
	return last - last%r.every + r.every
}

// reconcile starts the run that is due.
func (w *World) reconcile() {
	r := &w.runs
	r.mu.Lock()
	r.count++
	r.under = true
	r.last = w.Age()
	r.mu.Unlock()
	w.Later(func(ctx context.Context) {
		var report reconciliation.RunReport
		err := w.Client.Engine.Submit(ctx, starters.Start{
			Type: workflows.ReconcileType, ID: workflows.ScheduleID, Input: workflows.ReconcileInput{}, Summary: "a run of the schedule",
		}, starters.Message{}, nil)
		if err == nil {
			err = w.Client.Engine.Result(ctx, workflows.ScheduleID, &report)
		}
		early := err == nil && slices.ContainsFunc(report.Lines, func(line string) bool { return strings.Contains(line, workflows.CommittedMeanwhile) })
		if early { // by the clock of the story the next run is long after
			defer w.agenda.occupy(2 * time.Second)()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.under = false
		if early {
			r.count--
		}
		found := report.Settling + report.Left + report.Repaired + report.Adopted + report.Stock.Repaired
		if err == nil && !early && report.Complete() && found == 0 && r.since.Before(report.Started) {
			r.clean++
		}
	})
}
