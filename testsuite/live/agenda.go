package live

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// agenda is what is still to happen, in order of age and then of entry. The age
// stands still while anybody is at work, as it does in a virtual world.
type agenda struct {
	mu      sync.Mutex
	moved   *sync.Cond
	age     time.Duration
	marks   []mark
	entries []entry
	n       int
	beside  []func(ctx context.Context)
	active  int // of those beside, who do not wait
	prompt  int // that a system does at once and that is under way
	dozers  map[int]func()
	changed time.Time // any system, last
	fed     time.Time // one of those that announce nothing, last
	ended   bool
	why     string // it cannot go on
	timer   string // of a workflow, that is too long
}

// mark says what age the world had from a time on.
type mark struct {
	at  time.Time
	age time.Duration
}

// entry is one thing on the agenda. What is prompt belongs to the moment that set
// it going, and waits for nobody.
type entry struct {
	age    time.Duration
	n      int
	prompt bool
	do     func()
}

func (a *agenda) begin() {
	a.moved = sync.NewCond(&a.mu)
	a.dozers = map[int]func(){}
	a.marks = []mark{{time.Now(), 0}}
}

func (a *agenda) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moved.Broadcast()
}

func (a *agenda) add(age time.Duration, prompt bool, do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put(age, prompt, do)
}

func (a *agenda) put(age time.Duration, prompt bool, do func()) {
	a.n++
	e := entry{max(age, a.age), a.n, prompt, do}
	i, _ := slices.BinarySearchFunc(a.entries, e, func(x, y entry) int {
		return cmp.Or(cmp.Compare(x.age, y.age), cmp.Compare(x.n, y.n))
	})
	a.entries = slices.Insert(a.entries, i, e)
	a.moved.Broadcast()
}

// reach lets the world be as old as that.
func (a *agenda) reach(age time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if age > a.age {
		a.age = age
		a.marks = append(a.marks, mark{time.Now(), age})
	}
}

// Age is how old the world is by its agenda.
func (w *World) Age() time.Duration {
	w.agenda.mu.Lock()
	defer w.agenda.mu.Unlock()
	return w.agenda.age
}

// AgeAt is how old the world was at a time.
func (w *World) AgeAt(t time.Time) time.Duration {
	w.agenda.mu.Lock()
	defer w.agenda.mu.Unlock()
	for _, m := range slices.Backward(w.agenda.marks) {
		if !t.Before(m.at) {
			return m.age
		}
	}
	return 0
}

// Now is the time of the systems, the engine and the workers: the machine's.
func (w *World) Now() time.Time { return time.Now().UTC() }

// After implements simulator.Clock: what a system does later is on the agenda,
// and what it does at once is done.
func (w *World) After(d time.Duration, _ string, f func()) {
	w.agenda.mu.Lock()
	defer w.agenda.mu.Unlock()
	w.agenda.put(w.agenda.age+d, d <= 0, f)
}

// At lets something happen at an age of the world.
func (w *World) At(age time.Duration, _ string, f func()) { w.agenda.add(age, false, f) }

// changed is told by the systems whenever they answer otherwise than before.
func (w *World) changed(system order.System) {
	a := &w.agenda
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed = time.Now()
	switch system {
	case order.SystemInventory, order.SystemWarehouse, order.SystemERP, order.SystemMail:
		a.fed = a.changed
	case order.SystemPayment, order.SystemCRM:
	}
	for _, wake := range a.dozers {
		wake()
	}
}

// Beside lets something go on beside the agenda, one at a time with it.
func (w *World) Beside(f func(ctx context.Context)) { w.agenda.beside = append(w.agenda.beside, f) }

// Sleep lets what goes on beside the agenda wait.
func (w *World) Sleep(ctx context.Context, d time.Duration) error {
	return w.rest(ctx, func(wake func(age time.Duration)) (over func()) {
		wake(w.agenda.age + d)
		return func() {}
	})
}

// Doze lets what goes on beside the agenda wait until an age, or until some time
// after the next change in any system if that is earlier.
func (w *World) Doze(ctx context.Context, until, after time.Duration) error {
	return w.rest(ctx, func(wake func(age time.Duration)) (over func()) {
		wake(until)
		a := &w.agenda
		a.n++
		n := a.n
		a.dozers[n] = func() { wake(a.age + after) }
		return func() { delete(a.dozers, n) }
	})
}

// rest waits for the earliest of the ages for which wake was called.
func (w *World) rest(ctx context.Context, begin func(wake func(age time.Duration)) (over func())) error {
	a := &w.agenda
	passed := make(chan struct{})
	woken := false
	a.mu.Lock()
	over := begin(func(age time.Duration) {
		a.put(age, false, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			if !woken {
				woken = true
				a.active++
				close(passed)
			}
		})
	})
	a.active--
	a.moved.Broadcast()
	a.mu.Unlock()
	select {
	case <-passed:
	case <-ctx.Done():
		a.mu.Lock()
		if !woken { // nobody will wake it any more
			woken = true
			a.active++
		}
		a.mu.Unlock()
	}
	a.mu.Lock()
	over()
	a.mu.Unlock()
	return ctx.Err()
}

// End ends the world at this moment.
func (w *World) End() {
	w.agenda.mu.Lock()
	defer w.agenda.mu.Unlock()
	w.agenda.ended = true
	w.agenda.moved.Broadcast()
}

// giveUp says that the world cannot go on, why, and what timer it cannot wait for.
func (w *World) giveUp(why, timer string) {
	w.agenda.mu.Lock()
	w.agenda.why, w.agenda.timer = why, timer
	w.agenda.mu.Unlock()
	w.End()
}

// Skipped says why the world could not go on to its end, and which timer it could
// not wait for; empty: it could.
func (w *World) Skipped() (why, timer string) {
	w.agenda.mu.Lock()
	defer w.agenda.mu.Unlock()
	return w.agenda.why, w.agenda.timer
}

// Run lets everything happen until End.
func (w *World) Run(age time.Duration) {
	a := &w.agenda
	var beside sync.WaitGroup
	for _, f := range a.beside {
		a.mu.Lock()
		a.active++
		a.mu.Unlock()
		beside.Go(func() {
			defer func() {
				a.mu.Lock()
				a.active--
				a.moved.Broadcast()
				a.mu.Unlock()
			}()
			f(w.ctx)
		})
		a.still()
	}
	for a.still() {
		next, ok := w.next(age)
		if !ok {
			break
		}
		next.do()
	}
	w.cancel()
	beside.Wait()
}

// still waits until nobody is at work beside the agenda, and says whether the
// world goes on.
func (a *agenda) still() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.active > 0 && !a.ended {
		a.moved.Wait()
	}
	return !a.ended
}

// next takes the next entry from the agenda, when its moment has come. What is
// prompt goes on at once, beside the others.
func (w *World) next(last time.Duration) (entry, bool) {
	for w.agenda.still() {
		w.agenda.startPrompt()
		age, ok := w.agenda.first()
		if run := w.runs.next(w); run > 0 && (!ok || run < age) {
			if w.calm(run) {
				w.agenda.reach(run)
				w.reconcile()
			}
			continue
		}
		if !ok || age > last {
			return entry{}, false
		}
		if !w.calm(age) {
			continue
		}
		if e, ok := w.agenda.take(age); ok {
			return e, true
		}
	}
	return entry{}, false
}

// occupy lets real time pass in which the age stands still, until it is told to go on.
func (a *agenda) occupy(d time.Duration) (over func()) {
	a.mu.Lock()
	a.prompt++
	a.mu.Unlock()
	time.Sleep(d)
	return func() {
		a.mu.Lock()
		a.prompt--
		a.moved.Broadcast()
		a.mu.Unlock()
	}
}

func (a *agenda) startPrompt() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries = slices.DeleteFunc(a.entries, func(e entry) bool {
		if !e.prompt {
			return false
		}
		a.prompt++
		go func() {
			e.do()
			a.mu.Lock()
			a.prompt--
			a.moved.Broadcast()
			a.mu.Unlock()
		}()
		return true
	})
}

// busy says that something prompt is under way or about to be.
func (a *agenda) busy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.prompt > 0 || slices.ContainsFunc(a.entries, func(e entry) bool { return e.prompt })
}

func (a *agenda) first() (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.entries) == 0 {
		return 0, false
	}
	return a.entries[0].age, true
}

// take takes the first entry when it is of that age still.
func (a *agenda) take(age time.Duration) (entry, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.entries) == 0 || a.entries[0].age != age || a.entries[0].prompt {
		return entry{}, false
	}
	e := a.entries[0]
	a.entries = a.entries[1:]
	if age > a.age {
		a.age = age
		a.marks = append(a.marks, mark{time.Now(), age})
	}
	return e, true
}
