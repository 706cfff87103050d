package live

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// crashes are the deaths that were asked for.
type crashes struct {
	mu  sync.Mutex
	all []*virtual.Crash
	one sync.Mutex // dies at a time
}

// CrashAt lets the worker process be killed at a call, and another take over. It
// returns whether it came to it.
func (w *World) CrashAt(c virtual.Crash) (fired func() bool) {
	w.crashes.mu.Lock()
	defer w.crashes.mu.Unlock()
	w.crashes.all = append(w.crashes.all, &c)
	return func() bool {
		w.crashes.mu.Lock()
		defer w.crashes.mu.Unlock()
		return c.Fired
	}
}

// due returns the boundary at which the worker dies that makes a call.
func (x *crashes) due(system order.System, c simulator.Call, done bool) (virtual.Boundary, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	boundaries := []virtual.Boundary{virtual.Before}
	if done {
		boundaries = []virtual.Boundary{virtual.After, virtual.Acknowledged}
	}
	if crash := virtual.Due(x.all, system, c, boundaries...); crash != nil {
		crash.Fired = true
		return crash.Boundary, true
	}
	return "", false
}

// gate stands before every call of a system.
func (w *World) gate(system order.System) simulator.Gate {
	return func(c simulator.Call, done bool) (lost bool) {
		boundary, due := w.crashes.due(system, c, done)
		if !due {
			return false
		}
		if boundary != virtual.Acknowledged {
			w.replaceWorker()
			return true
		}
		completed := w.completed(c.Order)
		w.agenda.add(0, true, func() {
			for range 400 { // or it was no activity of the order's
				if w.completed(c.Order) > completed {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			w.replaceWorker()
		})
		return false
	}
}

func (w *World) replaceWorker() {
	w.crashes.one.Lock()
	defer w.crashes.one.Unlock()
	if w.outages.now(virtual.Workers) {
		return
	}
	w.killWorker()
	if err := w.startWorker(); err != nil {
		w.t.Errorf("another worker takes over: %v", err)
	}
}

// completed is how many activities of an order the engine knows to be completed.
func (w *World) completed(of order.ID) int {
	n := 0
	_ = w.events(workflows.OrderWorkflowID(of), func(e *history.HistoryEvent) {
		if e.GetActivityTaskCompletedEventAttributes() != nil {
			n++
		}
	})
	return n
}

// events walks the history of a workflow's last run.
func (w *World) events(id string, see func(e *history.HistoryEvent)) error {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	all := w.connection.GetWorkflowHistory(ctx, id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for all.HasNext() {
		e, err := all.Next()
		if err != nil {
			return err
		}
		see(e)
	}
	return nil
}
