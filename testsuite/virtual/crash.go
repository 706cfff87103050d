package virtual

import (
	"context"
	"slices"
	"sync"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Boundary is where in an attempt its worker dies.
type Boundary string

// The boundaries of a call that a worker may not survive.
const (
	// Before: the call is not made.
	Before Boundary = "before"
	// After: the call has its effect, and nobody hears the answer.
	After Boundary = "after"
	// Acknowledged: the engine has the result of the activity. Nothing is lost; a
	// worker's next task is another worker's, which in this environment is the same.
	Acknowledged Boundary = "acknowledged"
)

// Crash is a worker's death at a call. The attempt is never heard of again, and
// the server has another one made when it has waited long enough. What the
// environment cannot show: a worker that dies takes all its attempts with it,
// and what it had learnt, as sessions; here it is the one attempt alone. And the
// death of a worker of workflows, whose histories another one replays.
type Crash struct {
	Boundary  Boundary
	System    order.System
	Operation order.Operation // "*": any
	Order     order.ID        // of the call; empty: any
	Orderless bool            // only a call about no single order, as a listing
	Skip      int             // calls that come before
	Fired     bool
}

type crashes struct {
	mu  sync.Mutex
	all []*Crash
}

// Crash lets the next attempt that makes a call of an operation, as "capture",
// die at a boundary. It works in a bubble only.
func (w *World) Crash(at Boundary, system order.System, operation order.Operation) {
	w.CrashAt(Crash{Boundary: at, System: system, Operation: operation})
}

// CrashAt is Crash at a certain call.
func (w *World) CrashAt(c Crash) {
	w.crashes.mu.Lock()
	defer w.crashes.mu.Unlock()
	w.crashes.all = append(w.crashes.all, &c)
}

// Crashes returns what Crash was asked for, and whether it came to it.
func (w *World) Crashes() []Crash {
	w.crashes.mu.Lock()
	defer w.crashes.mu.Unlock()
	var all []Crash
	for _, c := range w.crashes.all {
		all = append(all, *c)
	}
	return all
}

// Due returns the one of the crashes at these boundaries that a call meets, or
// nil, and counts the call for those that wait for a later one: also when
// another one strikes it, unless the call then never comes.
func Due(all []*Crash, system order.System, c simulator.Call, boundaries ...Boundary) *Crash {
	var due *Crash
	var waiting []*Crash
	for _, x := range all {
		switch {
		case x.Fired || !slices.Contains(boundaries, x.Boundary) || !x.meets(system, c):
		case x.Skip > 0:
			waiting = append(waiting, x)
		case due == nil:
			due = x
		}
	}
	if due == nil || due.Boundary != Before {
		for _, x := range waiting {
			x.Skip--
		}
	}
	return due
}

func (c *Crash) meets(system order.System, call simulator.Call) bool {
	switch {
	case c.System != system || c.Operation != call.Operation && c.Operation != "*":
		return false
	case c.Orderless:
		return call.Order == ""
	default:
		return c.Order == "" || c.Order == call.Order
	}
}

// next returns the crash that a call meets; one that waits for the end of its
// attempt has not fired yet.
func (x *crashes) next(a *attempt, system order.System, call simulator.Call) *Crash {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c := Due(x.all, system, call, Acknowledged); c != nil {
		a.fatal = append(a.fatal, c)
	}
	c := Due(x.all, system, call, Before, After)
	if c != nil {
		c.Fired = true
	}
	return c
}

// Dies implements simulator.Witness: it says whether the worker that calls dies.
func (w *World) Dies(ctx context.Context, system order.System, c simulator.Call) simulator.Death {
	a := attemptOf(ctx)
	if a == nil || a.isDead() {
		return simulator.Lives
	}
	crash := w.crashes.next(a, system, c)
	if crash == nil {
		return simulator.Lives
	}
	w.trace.add(Line{Kind: "crash", System: system, Operation: c.Operation, Order: c.Order, Key: c.Key, Detail: string(crash.Boundary)})
	a.die()
	if crash.Boundary == Before {
		return simulator.DiesBefore
	}
	return simulator.DiesAfter
}

// acknowledged is called when the engine has an attempt's result.
func (w *World) acknowledged(a *attempt) {
	w.crashes.mu.Lock()
	defer w.crashes.mu.Unlock()
	for _, c := range a.fatal {
		if !c.Fired {
			c.Fired = true
			w.trace.add(Line{Kind: "crash", System: c.System, Operation: c.Operation, Detail: string(Acknowledged)})
		}
	}
}
