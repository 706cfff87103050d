package play

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// Call names one call of a story, the same each time that nothing before it was
// disturbed: the n-th of an operation in a system about an order, or about none
// as a listing is.
type Call struct {
	System    order.System
	Operation order.Operation
	Order     order.ID
	N         int // from 1
}

func (c Call) String() string {
	if c.Order == "" {
		return fmt.Sprintf("%s.%s #%d", c.System, c.Operation, c.N)
	}
	return fmt.Sprintf("%s.%s %s #%d", c.System, c.Operation, c.Order, c.N)
}

// Blow is a fault that one call suffers.
type Blow struct {
	Call  Call
	Kind  simulator.FaultKind // or one of the deaths
	Delay time.Duration       // of a late effect, and of a stale read
}

// The deaths: the worker that makes the call dies before it, or after its effect.
const (
	DiesBefore simulator.FaultKind = "worker_dies_before"
	DiesAfter  simulator.FaultKind = "worker_dies_after"
)

// deaths are the boundaries of the deaths.
var deaths = map[simulator.FaultKind]virtual.Boundary{DiesBefore: virtual.Before, DiesAfter: virtual.After}

func (b Blow) String() string { return fmt.Sprintf("%s at %s", b.Kind, b.Call) }

// Seen is a call, and when it came.
type Seen struct {
	Call
	Age time.Duration // of the world
}

// plan deals the blows of the options, and counts the calls.
type plan struct {
	mu    sync.Mutex
	over  bool         // what comes now is the judge's own asking
	count map[Call]int // by a call without its number
	calls []Seen
}

// prepare lets the blows wait for their calls. Of two faults at one operation the
// second does not see the call that the first one hits; deaths see every call
// that comes.
func (p *player) prepare(blows []Blow) {
	p.plan.count = map[Call]int{}
	for _, system := range order.Systems() {
		p.world.Desk(system).Frame().Guard(func(c simulator.Call, done bool) bool {
			if !done {
				p.plan.note(Call{System: system, Operation: c.Operation, Order: c.Order}, p.age())
			}
			return false
		})
	}
	slices.SortStableFunc(blows, func(a, b Blow) int { return a.Call.N - b.Call.N })
	for i, b := range blows {
		skip := b.Call.N - 1
		if at, dies := deaths[b.Kind]; dies {
			fired := p.world.CrashAt(virtual.Crash{Boundary: at, System: b.Call.System, Operation: b.Call.Operation, Order: b.Call.Order, Orderless: b.Call.Order == "", Skip: skip})
			p.exercised(0, b.String(), fired)
			continue
		}
		for _, before := range blows[:i] {
			_, died := deaths[before.Kind]
			if x := before.Call; !died && x.System == b.Call.System && x.Operation == b.Call.Operation && x.Order == b.Call.Order {
				skip--
			}
		}
		frame := p.world.Desk(b.Call.System).Frame()
		id, err := frame.Inject(simulator.Fault{
			Operation: b.Call.Operation, Order: b.Call.Order, Orderless: b.Call.Order == "", Kind: b.Kind, Skip: skip, Delay: b.Delay,
		})
		if err != nil {
			p.stage.Errorf("%s: %v", b, err)
			continue
		}
		p.exercised(0, b.String(), func() bool { return frame.Faults()[id-1].Fired > 0 })
	}
}

func (l *plan) note(c Call, age time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.count[c]++
	c.N = l.count[c]
	l.calls = append(l.calls, Seen{c, age})
}

// end ends the counting.
func (l *plan) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}
