package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What reconciliation reads by itself it reads beside the orders, at a rate of its
// own for each system: that of sweeps, or that of runs.

const (
	mostTries  = 5  // of a call that fails
	mostLimits = 20 // of one that is told to wait
	// lookLimits is how often a look at a suspect is told to wait, until nothing waits
	// for that system any more: the order is left for the next run.
	lookLimits = 2
)

// caller calls one system at its pace.
type caller struct {
	a             *Activities
	pace          *pace
	perSecond     float64
	tries, limits int
	alive         func(context.Context)
}

// call calls when it is its turn, and again where that may help.
func (c caller) call(ctx context.Context, do func(context.Context) error) error {
	limited := 0
	for try := 1; ; {
		if err := c.wait(ctx, c.pace.turn(c.a.Now(), c.perSecond)); err != nil {
			return err
		}
		err := do(ctx)
		c.alive(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		delay := time.Second << min(try+limited-1, 5)
		switch apierr.CodeOf(err) {
		case apierr.RateLimited:
			if limited++; limited > c.limits {
				return err
			}
			if e, ok := errors.AsType[*apierr.Error](err); ok && e.After > 0 {
				delay = min(e.After, apierr.MaxWait)
			}
			c.pace.pause(c.a.Now().Add(delay))
			continue
		case apierr.Unavailable, apierr.InDoubt:
			if try++; try > c.tries {
				return err
			}
		default:
			return err // it would fail again
		}
		if err := c.wait(ctx, delay); err != nil {
			return err
		}
	}
}

// wait waits for d, and says meanwhile that the activity is alive.
func (c caller) wait(ctx context.Context, d time.Duration) error {
	const step = 20 * time.Second
	for d > 0 {
		if err := c.a.Wait(ctx, min(d, step)); err != nil {
			return err
		}
		d -= step
		c.alive(ctx)
	}
	return ctx.Err()
}

// pace spreads the calls to one system over the time.
type pace struct {
	mu      sync.Mutex
	next    time.Time
	limited bool // it was told to wait until it waited no more
}

// turn takes the next turn, and returns how long it is until then.
func (p *pace) turn(now time.Time, perSecond float64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := now
	if p.next.After(now) {
		at = p.next
	}
	if perSecond > 0 {
		p.next = at.Add(time.Duration(float64(time.Second) / perSecond))
	}
	return at.Sub(now)
}

// pause gives no turn before a moment: the system has asked us to wait.
func (p *pace) pause(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.next) {
		p.next = until
	}
}

// limits returns how often a look waits for the system.
func (p *pace) limits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limited {
		return 0
	}
	return lookLimits
}

// answered says whether the system still let us wait at the end.
func (p *pace) answered(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limited = err != nil && (p.limited || apierr.CodeOf(err) == apierr.RateLimited)
}

// looking reads the systems to look at suspects, side by side and each at its pace.
type looking struct {
	a         *Activities
	perSecond float64
	paces     map[order.System]*pace
	// shelves are how often in a row a level or a count could not be read.
	shelves map[order.System]*misses
}

// misses are the calls of one system that failed in a row, and of what the last did.
type misses struct {
	n   int
	err error
}

// missed says whether a system has failed so often in a row that it is asked no more:
// one that hangs would be waited for once for each SKU.
func (m *misses) missed() error {
	if m.n < mostFailed {
		return nil
	}
	return fmt.Errorf("it was not asked, after %d calls in a row that failed: %w", m.n, m.err)
}

func (m *misses) miss(err error) { m.n, m.err = m.n+1, err }

// heard takes note of what came of a call.
func (m *misses) heard(err error) error {
	if err == nil {
		m.n = 0
		return nil
	}
	switch apierr.CodeOf(err) {
	case apierr.Unavailable, apierr.Unauthorized, apierr.InDoubt:
		m.miss(err)
	default: // it answers
		m.n = 0
	}
	return err
}

func (a *Activities) looking(perSecond float64) *looking {
	l := &looking{a: a, perSecond: perSecond, paces: map[order.System]*pace{}, shelves: map[order.System]*misses{}}
	for _, system := range order.Systems() {
		l.paces[system], l.shelves[system] = &pace{}, &misses{}
	}
	return l
}

func (l *looking) caller(system order.System) caller {
	p := l.paces[system]
	return caller{
		a: l.a, pace: p, perSecond: l.perSecond, tries: 1, limits: p.limits(),
		alive: func(ctx context.Context) { heartbeat(ctx, string(system)) },
	}
}

func (l *looking) call(ctx context.Context, system order.System, do func(context.Context) error) error {
	err := l.caller(system).call(ctx, do)
	l.paces[system].answered(err)
	return err
}

// lookup looks an order up in one system.
func (l *looking) lookup(ctx context.Context, system order.System, s reconcile.Subject) (seen reconcile.Observation, at time.Time, err error) {
	at = l.a.Now() // should it never be its turn
	err = l.call(ctx, system, func(ctx context.Context) error {
		at = l.a.Now()
		seen, err = l.a.reader(system).Lookup(ctx, s)
		return err
	})
	return seen, at, err
}

// level reads the level of a SKU.
func (l *looking) level(ctx context.Context, sku string) (level reconcile.Level, err error) {
	m := l.shelves[order.SystemInventory]
	if err := m.missed(); err != nil {
		return level, err
	}
	err = l.call(ctx, order.SystemInventory, func(ctx context.Context) (err error) {
		level, err = l.a.Levels.Level(ctx, sku)
		return err
	})
	return level, m.heard(err)
}

// count reads what the warehouse counts of a SKU.
func (l *looking) count(ctx context.Context, sku string) (count reconcile.Count, err error) {
	m := l.shelves[order.SystemWarehouse]
	if err := m.missed(); err != nil {
		return count, err
	}
	err = l.call(ctx, order.SystemWarehouse, func(ctx context.Context) (err error) {
		count, err = l.a.Counts.Count(ctx, sku)
		return err
	})
	return count, m.heard(err)
}

// shelf reads both.
func (l *looking) shelf(ctx context.Context, sku string) (level reconcile.Level, count reconcile.Count, err error) {
	if level, err = l.level(ctx, sku); err != nil {
		return level, count, err
	}
	count, err = l.count(ctx, sku)
	return level, count, err
}

// turn waits until a run may tell an order to look again: the order reads each
// system once at least. Its reads are bounded by the rate of orders; how many of
// them a run sets off at once is bounded here.
func (l *looking) turn(ctx context.Context) error {
	longest, last := time.Duration(0), order.SystemPayment
	for _, system := range order.Systems() {
		if d := l.paces[system].turn(l.a.Now(), l.perSecond); d > longest {
			longest, last = d, system
		}
	}
	return l.caller(last).wait(ctx, longest)
}
