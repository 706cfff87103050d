package endtoend

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// kills is how many of the points are tried at which somebody is killed: a
// sample that is spread over all of them, for `make prove` does them all.
var kills = flag.Int("kills", 8, "how many of the points to kill a worker or the engine at; 0: all")

// boundary is where around a call somebody dies.
type boundary string

const (
	before       boundary = "before"       // the call never arrives
	after        boundary = "after"        // its effect happens, its answer is lost
	acknowledged boundary = "acknowledged" // the engine knows that the activity completed
)

// point is one call of an order, and where around it.
type point struct {
	path      path
	system    order.System
	operation order.Operation
	nth       int
	boundary  boundary
}

func (p point) String() string {
	return fmt.Sprintf("%s-%s-%s-%d-%s", p.path, p.system, p.operation, p.nth, p.boundary)
}

// executioner stands at the gates of all systems: it counts the calls of every
// order, and kills when the one comes that an order was to die at.
type executioner struct {
	kill  func()                    // and lets another take over; one at a time
	noted func(order.ID, int) bool  // more of the order's activities have completed than so many
	count func(order.ID) (done int) // of the order's activities that completed

	mu    sync.Mutex
	seen  map[order.ID][]point
	want  map[order.ID]point
	died  map[order.ID]time.Time
	alive map[order.ID]time.Time // when the next call came after the death
	one   sync.Mutex
}

func (x *executioner) gate(system order.System) simulator.Gate {
	return func(c simulator.Call, done bool) bool {
		if c.Order == "" {
			return false
		}
		p, due := x.arrives(system, c, done)
		if !due {
			return false
		}
		if p.boundary != acknowledged {
			x.strike(c.Order)
			return true
		}
		completed := x.count(c.Order)
		go func() {
			for range 400 {
				if x.noted(c.Order, completed) {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			x.strike(c.Order)
		}()
		return false
	}
}

// arrives counts a call, and says whether somebody dies at it.
func (x *executioner) arrives(system order.System, c simulator.Call, done bool) (point, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, p := range x.seen[c.Order] {
		if p.system == system && p.operation == c.Operation {
			n++
		}
	}
	if !done {
		n++
		x.seen[c.Order] = append(x.seen[c.Order], point{system: system, operation: c.Operation, nth: n})
		if _, dead := x.died[c.Order]; dead && x.alive[c.Order].IsZero() {
			x.alive[c.Order] = time.Now()
		}
	}
	p, wanted := x.want[c.Order]
	if !wanted || p.system != system || p.operation != c.Operation || p.nth != n || (p.boundary == before) == done {
		return p, false
	}
	delete(x.want, c.Order)
	return p, true
}

func (x *executioner) strike(of order.ID) {
	x.one.Lock()
	defer x.one.Unlock()
	at := time.Now()
	x.kill()
	x.mu.Lock()
	x.died[of] = at
	x.mu.Unlock()
}

func (b *bundle) executioner(kill func()) *executioner {
	x := &executioner{
		kill: kill, seen: map[order.ID][]point{}, want: map[order.ID]point{}, died: map[order.ID]time.Time{}, alive: map[order.ID]time.Time{},
	}
	x.count = func(id order.ID) int {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		h, err := b.history(ctx, id)
		if err != nil {
			return 0
		}
		n := 0
		for _, e := range h.GetEvents() {
			if e.GetActivityTaskCompletedEventAttributes() != nil {
				n++
			}
		}
		return n
	}
	x.noted = func(id order.ID, n int) bool { return x.count(id) > n }
	for _, s := range order.Systems() {
		b.world.Frame(s).Guard(x.gate(s))
	}
	return x
}

// victim is an order of a path, to be driven.
func victim(p path, id string) *cell {
	c := &cell{order: anOrder(id), path: p}
	if p == toRefunded {
		c.order.Payment.Capture = order.CaptureAtOnce
	}
	return c
}

// points are the calls that an order of each path makes while nobody dies: every
// call of every write, and the first look-up of each system.
func (b *bundle) points(x *executioner, boundaries ...boundary) []point {
	b.t.Helper()
	var all []point
	for _, p := range []path{toShipped, toCancelled, toRefunded} {
		c := victim(p, "undisturbed-"+string(p))
		ctx, cancel := context.WithTimeout(b.t.Context(), patience)
		err := b.drive(ctx, c)
		cancel()
		if err != nil {
			b.t.Fatalf("an order that nobody disturbs: %v", err)
		}
		x.mu.Lock()
		for _, q := range x.seen[c.order.ID] {
			if q.operation == "lookup" && q.nth > 1 {
				continue // how often one looks is not the same each time
			}
			for _, boundary := range boundaries {
				q.path, q.boundary = p, boundary
				all = append(all, q)
			}
		}
		x.mu.Unlock()
	}
	return all
}

// sample takes some of the points, evenly spread.
func sample(all []point, n int) []point {
	if n <= 0 || n >= len(all) {
		return all
	}
	var some []point
	for i := range n {
		some = append(some, all[i*len(all)/n])
	}
	return some
}

// fall drives an order to each point, some at once, and checks where each ended.
func (b *bundle) fall(x *executioner, points []point) {
	b.t.Helper()
	cells := make([]*cell, len(points))
	room := make(chan struct{}, 16)
	var driven sync.WaitGroup
	for i, p := range points {
		cells[i] = victim(p.path, fmt.Sprintf("%s-%d", p, i))
		driven.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			x.mu.Lock()
			x.want[cells[i].order.ID] = p
			x.mu.Unlock()
			// While others die, an order waits for a worker that lives long enough.
			ctx, cancel := context.WithTimeout(b.t.Context(), 5*patience)
			defer cancel()
			cells[i].err = b.drivePatiently(ctx, cells[i])
		})
	}
	driven.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	var recovery []time.Duration
	for i, c := range cells {
		b.t.Run(points[i].String(), func(t *testing.T) {
			b := &bundle{b.stage, t}
			t.Cleanup(func() { b.tell(c.order.ID) })
			if c.err != nil {
				t.Error(c.err)
			}
			b.check(c.order, c.ending())
			if _, still := x.want[c.order.ID]; still {
				t.Error("nobody was killed: the call never came")
			}
		})
		if died, again := x.died[c.order.ID], x.alive[c.order.ID]; !died.IsZero() && !again.IsZero() {
			recovery = append(recovery, again.Sub(died))
		}
	}
	b.stock("MUG", "TSHIRT")
	slices.Sort(recovery)
	if n := len(recovery); n > 0 {
		b.t.Logf("%d deaths; from a death to the order's next call: p50 %s, p95 %s, max %s", n, round(recovery[n/2]), round(recovery[n*95/100]), round(recovery[n-1]))
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// drivePatiently is drive while whoever answers may be dead.
func (b *bundle) drivePatiently(ctx context.Context, c *cell) error {
	for {
		err := b.drive(ctx, c)
		if err == nil || ctx.Err() != nil {
			return cmp.Or(err, ctx.Err())
		}
		if !wait(ctx, time.Second) {
			return err
		}
	}
}

// TestKill_WorkerAtEveryCall kills the worker process before a call, after its
// effect and after its completion was reported, at every call of orders that
// are shipped, cancelled and refunded.
func TestKill_WorkerAtEveryCall_EveryOrderEndsRight(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{noWorkers: true})
	var mu sync.Mutex
	var worker *exec.Cmd
	b.t.Cleanup(func() { mu.Lock(); defer mu.Unlock(); b.kill(worker) })
	mu.Lock()
	worker = b.workerProcess()
	mu.Unlock()
	x := b.executioner(func() {
		mu.Lock()
		defer mu.Unlock()
		b.kill(worker)
		worker = b.workerProcess()
	})
	all := b.points(x, before, after, acknowledged)
	b.fall(x, sample(all, *kills))
	t.Logf("worker killed at %d of %d points", len(sample(all, *kills)), len(all))
}

// TestKill_EngineAtEveryCall kills the engine while it waits for the answer of
// every call, and starts it again.
func TestKill_EngineAtEveryCall_EveryOrderEndsRight(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	x := b.executioner(func() {
		b.engine.Kill()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.engine.Restart(ctx); err != nil {
			b.t.Error(err)
		}
	})
	all := b.points(x, after)
	some := sample(all, (*kills+2)/3)
	b.fall(x, some)
	t.Logf("engine killed at %d of %d points", len(some), len(all))
}
