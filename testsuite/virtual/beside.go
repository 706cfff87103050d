package virtual

import (
	"context"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Beside lets something go on beside the agenda from the beginning: while it is
// awake the time stands still, while it waits (Sleep, Doze, an answer of the
// engine) the time passes. It is for who acts again and again and asks for what
// needs time, as a player of stories.
func (w *World) Beside(f func(ctx context.Context)) { w.beside = append(w.beside, f) }

// startBeside starts what goes on beside the agenda.
func (w *World) startBeside(ctx workflow.Context) {
	for n := range w.beside {
		options := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: 100 * 365 * 24 * time.Hour, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
		})
		workflow.ExecuteActivity(options, w.aside, n)
	}
}

func (w *World) aside(ctx context.Context, n int) error {
	w.beside[n](ctx)
	return nil
}

// End ends the world at this moment, whatever Run was told.
func (w *World) End() {
	w.agenda.mu.Lock()
	w.agenda.until = w.Now()
	w.agenda.sooner = true
	w.agenda.mu.Unlock()
	if w.gate == nil {
		w.env.SignalWorkflow(soonerSignal, nil)
	} else {
		w.gate.poke()
	}
}

// Context is what a step calls with; it ends with the world.
func (w *World) Context() context.Context { return w.ctx }

// Known says that the engine knows a workflow, be it closed or not.
func (w *World) Known(id string) bool { return w.engine.run(id) != nil }

// Answers says that the engine and its workers are there.
func (w *World) Answers() bool { return !w.isDown(Engine) && !w.isDown(Workers) }
