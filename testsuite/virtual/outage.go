package virtual

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Part is a part of the installation that can be down.
type Part string

// The parts.
const (
	// Workers: no activity starts. What a worker has begun it ends, as one does that
	// is stopped; for one that dies see Crash. Workflow code runs within the
	// environment's main loop and cannot be held up: a timer that fires meanwhile
	// is answered at once and not late, but what comes of it, an activity, waits.
	// Messages are taken, as the engine takes them without a worker; they are also
	// answered at once. Questions fail.
	Workers Part = "workers"
	// Engine: nothing is started, told, asked or listed, and no activity starts. An
	// attempt that is under way is not lost, however long the engine stays away.
	Engine Part = "engine"
	// Gateway: whoever calls it is refused the connection.
	Gateway Part = "gateway"
)

var errEngineDown = errors.New("the engine does not answer")

// outages are the parts that are down, and until when.
type outages struct {
	mu    sync.Mutex
	until map[Part]time.Time
}

// Down takes a part down for a time, from within a step.
func (w *World) Down(part Part, d time.Duration) {
	w.outages.mu.Lock()
	if w.outages.until == nil {
		w.outages.until = map[Part]time.Time{}
	}
	if until := w.Now().Add(d); until.After(w.outages.until[part]) {
		w.outages.until[part] = until
	}
	w.outages.mu.Unlock()
	w.trace.add(Line{Kind: "down", Detail: string(part) + " for " + d.String()})
}

func (w *World) downUntil(part Part) time.Time {
	w.outages.mu.Lock()
	defer w.outages.mu.Unlock()
	return w.outages.until[part]
}

func (w *World) isDown(part Part) bool { return w.Now().Before(w.downUntil(part)) }

// awaitUp waits until an activity can start.
func (w *World) awaitUp(ctx context.Context, gone <-chan struct{}) error {
	for w.isDown(Workers) || w.isDown(Engine) {
		until := w.downUntil(Workers)
		if e := w.downUntil(Engine); e.After(until) {
			until = e
		}
		if err := w.pause(ctx, gone, until.Sub(w.Now())); err != nil {
			return err
		}
	}
	return nil
}
