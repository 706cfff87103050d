package virtual

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// bubbles are the tests that run in a bubble: a test cannot be asked for it.
var bubbles sync.Map

// Bubble runs f in a bubble of testing/synctest, in which a world that is opened
// is deterministic: one seed, one trace. f must be done with its worlds when it
// returns, and what it starts must end by itself.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		bubbles.Store(t, true)
		defer bubbles.Delete(t)
		f(t)
	})
}

// Within is Bubble for worlds that end with something else than a test: t only
// lends its bubble.
func Within(t *testing.T, end T, f func()) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		bubbles.Store(end, true)
		defer bubbles.Delete(end)
		f()
	})
}

// turnstile lets one go on at a time, when everything else stands still: every
// attempt of an activity, every call, every message to the engine and every step
// of the agenda waits here, and the seed says who is next. A nil turnstile, as
// outside a bubble, stops nobody.
//
// What blocks here blocks on channels: to wait for a mutex is not to stand still
// in the eyes of synctest, so nobody may come here who holds one that others
// want.
type turnstile struct {
	mu      sync.Mutex
	waiting []*waiter
	tired   bool // somebody lay down since it was last quiet
	poked   chan struct{}
	random  *rand.Rand
	settle  func() bool // called when everything stands still; says whether it goes on by that
	quiet   func()      // called when nobody waits and somebody lay down
	over    <-chan struct{}
	ended   chan struct{}
}

// waiter is one who waits. Whoever was under way and only waited for the
// engine's main loop goes on before anybody is drawn.
type waiter struct {
	underway bool
	name     string
	open     chan struct{}
}

func newTurnstile(seed uint64, over <-chan struct{}) *turnstile {
	return &turnstile{
		poked: make(chan struct{}, 1), random: rand.New(rand.NewPCG(seed, 1)),
		over: over, ended: make(chan struct{}),
	}
}

// run opens the turnstile again and again until the world ends.
func (g *turnstile) run() {
	defer close(g.ended)
	for {
		select {
		case <-g.over:
			return
		case <-g.poked:
		}
		for {
			synctest.Wait()
			if g.settle() {
				continue
			}
			next, tired := g.next()
			if next != nil {
				close(next.open)
				continue
			}
			if !tired {
				break
			}
			g.quiet()
		}
	}
}

// next draws who goes on, or says that nobody waits and whether somebody lay
// down.
func (g *turnstile) next() (next *waiter, tired bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		tired, g.tired = g.tired, false
		return nil, tired
	}
	slices.SortStableFunc(g.waiting, func(a, b *waiter) int { return cmp.Compare(a.name, b.name) })
	i := slices.IndexFunc(g.waiting, func(w *waiter) bool { return w.underway })
	if i < 0 {
		i = 0
		if n := len(g.waiting); n > 1 { // who is alone costs no draw
			i = g.random.IntN(n)
		}
	}
	next = g.waiting[i]
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return next, false
}

// pass waits until it is the turn of name.
func (g *turnstile) pass(underway bool, name string) {
	if g == nil {
		return
	}
	w := &waiter{underway: underway, name: name, open: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.mu.Unlock()
	g.poke()
	select {
	case <-w.open:
	case <-g.over:
	}
}

// lain says that somebody lay down: time may pass once nobody else is at work.
func (g *turnstile) lain() {
	g.mu.Lock()
	g.tired = true
	g.mu.Unlock()
	g.poke()
}

func (g *turnstile) poke() {
	select {
	case g.poked <- struct{}{}:
	default:
	}
}

// enter waits for the turn of whoever ctx belongs to. A worker that died does
// nothing any more.
func (w *World) enter(ctx context.Context, what string) {
	if w.gate == nil {
		return
	}
	a := attemptOf(ctx)
	a.stayDead()
	w.gate.pass(false, actorOf(ctx)+" "+what)
	a.stayDead()
}

// goOn waits until everything that the main loop did for whoever ctx belongs to
// has settled.
func (w *World) goOn(ctx context.Context) {
	if w.gate == nil {
		return
	}
	w.gate.pass(true, actorOf(ctx))
	attemptOf(ctx).stayDead()
}

// actorOf names who does something: an attempt of an activity, what goes on
// beside the steps, or a step.
func actorOf(ctx context.Context) string {
	if a := attemptOf(ctx); a != nil {
		return a.name
	}
	if p, ok := ctx.Value(parkingKey{}).(*parking); ok {
		return p.name
	}
	if name, ok := ctx.Value(activityKey{}).(string); ok {
		return name
	}
	return "step"
}
