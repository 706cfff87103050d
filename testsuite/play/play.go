// Package play plays incident files: the production workflows, activities,
// adapters, webhook handlers and reconciliation against the simulated systems,
// in a virtual world. It does what the steps of a file say through the ways that
// services, customers, operators and people in the systems have, and leaves it
// to the judge to say what it led to.
package play

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// Options say how a file is played.
type Options struct {
	// Seed decides what happens first among what happens at the same moment.
	Seed uint64
	// Story is where it is told as a person would tell it; nil tells nothing.
	Story io.Writer
	// Blows are faults that single calls suffer, beside those of the file. After
	// one the file's own may come to nothing: see Result.Moot.
	Blows []Blow
	// Lawful holds the story against the laws alone, and not against what the file
	// expects: for faults after which it may end otherwise.
	Lawful bool
	// Quick believes what an order says from memory while the story goes on, where
	// else every verdict is a fresh one: for stories by the thousand.
	Quick bool
	// Real plays the story on the real engine, which must lead to the same end: see
	// package live. A file that waits for longer than anybody can is skipped.
	Real bool

	short map[string]time.Duration // see windows
}

// Result is what came of a file.
type Result struct {
	File *script.File
	// Wrong says what differed; a file without any has passed.
	Wrong []string
	// Moot says what of the file's own never happened after a blow that struck: it
	// is another story then, and the file's end is none of its.
	Moot []string
	// Skipped says why the real engine cannot play the file to its end.
	Skipped string
	Took    time.Duration
	// Calls are all that the systems were asked, in order.
	Calls []Seen
}

// Passed says that the file led to what it expects.
func (r Result) Passed() bool { return len(r.Wrong) == 0 && r.Skipped == "" }

// Play plays one file.
func Play(f *script.File, o Options) Result {
	begun := time.Now() // of the machine: how long it took
	s := &stage{}
	if o.Real {
		skipped := really(f, s, o)
		return Result{File: f, Wrong: s.wrong, Skipped: skipped, Took: time.Since(begun)}
	}
	var calls []Seen
	inBubble(s, func() {
		done := make(chan struct{})
		go func() { // so that what cannot go on ends it, wherever it is
			defer close(done)
			p := newPlayer(f, s, o)
			p.world.Beside(p.play)
			p.world.Beside(p.watch)
			p.prepare(o.Blows)
			p.world.Run(forever)
			calls = p.plan.calls
		}()
		<-done
		s.clean()
	})
	return Result{File: f, Wrong: s.wrong, Moot: s.moot, Took: time.Since(begun), Calls: calls}
}

// forever is longer than any story.
const forever = 50 * 365 * 24 * time.Hour

// stage is what a world needs of a test, without one.
type stage struct {
	mu       sync.Mutex
	wrong    []string
	moot     []string
	cleanups []func()
}

var _ virtual.T = (*stage)(nil)

func (s *stage) Helper() {}

func (s *stage) Errorf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.wrong, text) {
		s.wrong = append(s.wrong, text)
	}
}

// isMoot notes what of the file's own a blow has left no room for.
func (s *stage) isMoot(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moot = append(s.moot, fmt.Sprintf(format, args...))
}

func (s *stage) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}

func (s *stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "incident")
	if err != nil {
		s.Fatalf("make a directory for the policy: %v", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *stage) clean() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
	s.cleanups = nil
}

// play goes through the story; it is what goes on beside the agenda.
func (p *player) play(ctx context.Context) {
	defer p.world.End()
	for _, step := range p.file.Steps {
		p.next = fmt.Sprintf("line %d", step.Line)
		if err := p.reach(ctx, step); err != nil {
			return
		}
		p.story.step(p.age(), step)
		p.perform(ctx, step)
	}
	p.next = "the quiet time"
	if p.until(ctx, max(p.age(), p.busy)+p.file.Quiet) != nil {
		return
	}
	p.finish(ctx)
}

// reach waits for the moment of a step. One without a time of its own comes once
// what the step before it has set going at that moment is done.
func (p *player) reach(ctx context.Context, step script.Step) error {
	if step.At == nil || *step.At <= p.age() {
		return p.settle(ctx)
	}
	return p.until(ctx, *step.At)
}

// settle lets everything end that goes on at this moment.
func (p *player) settle(ctx context.Context) error { return p.world.Sleep(ctx, time.Millisecond) }

func (p *player) until(ctx context.Context, age time.Duration) error {
	for p.age() < age {
		if err := p.world.Sleep(ctx, age-p.age()); err != nil {
			return err
		}
	}
	return nil
}
