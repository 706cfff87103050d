package virtual

import (
	"context"
	"time"
)

// patient is a call whose client has a limit of its own.
type patient struct{ spent bool }

type patientKey struct{}

// inStep returns the context in which a step lets time pass, for what it does in
// a context of its own, as a webhook. What is due meanwhile comes after it.
func (w *World) inStep(ctx context.Context) context.Context {
	_, parked := ctx.Value(parkingKey{}).(*parking)
	if w.gate == nil || parked || attemptOf(ctx) != nil || w.stepping == nil {
		return ctx
	}
	return w.stepping
}

// Hang lets a call hang until its client gives up. The client's limit runs on
// the machine's clock, or the bubble's, which stand still while virtual time
// passes: so the time that is left of it passes here, and the call ends as it
// would when the limit is reached. In the meantime all others go on.
func (w *World) Hang(ctx context.Context) {
	limit, has := ctx.Deadline()
	if !has {
		<-ctx.Done()
		return
	}
	left := time.Until(limit)
	a := attemptOf(ctx)
	if a != nil { // the engine may give up before the client does
		left = min(left, a.until().Sub(w.Now()))
	}
	if w.wait(w.inStep(ctx), left) != nil {
		return
	}
	if a != nil && !w.Now().Before(a.until()) {
		a.die() // nobody listens to it any more
	}
	if p, ok := ctx.Value(patientKey{}).(*patient); ok {
		p.spent = true
	}
}

// untilOf is when whoever ctx belongs to gives up by itself, in virtual time; zero:
// never. Only in a bubble, where the client's clock stands still.
func (w *World) untilOf(ctx context.Context) time.Time {
	limit, has := ctx.Deadline()
	if !has || w.gate == nil {
		return time.Time{}
	}
	return w.Now().Add(time.Until(limit))
}

// atLimit is closed when whoever ctx belongs to, and waits, gives up or is given up;
// it is nil where nobody does.
func (w *World) atLimit(ctx context.Context, until time.Time) (<-chan struct{}, error) {
	if a := attemptOf(ctx); a != nil && (until.IsZero() || a.until().Before(until)) {
		until = a.until()
	}
	if until.IsZero() || w.gate == nil {
		return nil, nil
	}
	reached := make(chan struct{})
	err := w.engine.inLoop(ctx, func() {
		w.env.RegisterDelayedCallback(func() { close(reached) }, max(until.Sub(w.Now()), 0))
	})
	return reached, err
}

// isLate says whether a limit was reached, which for an attempt moves with each
// heartbeat, and whether the attempt dies of it: the engine listens no more to one
// that is over its own.
func (w *World) isLate(ctx context.Context, until time.Time) (late, dies bool) {
	if a := attemptOf(ctx); a != nil && !w.Now().Before(a.until()) {
		return true, true
	}
	return !until.IsZero() && !w.Now().Before(until), false
}
