// Package memory is an engine that keeps everything in memory: the second
// implementation of the engine's port, for tests alone. It starts, re-opens,
// refuses and repeats as the port says; what a workflow would answer is for the
// test to say.
package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// Engine is the engine. The fields are set before it is used.
type Engine struct {
	// Answer is what a workflow answers to an update or a query; ErrNotAnswered is
	// one that takes its time. nil: a submission is accepted, and anything else is
	// an error.
	Answer func(workflowID string, m starters.Message) (any, error)
	// Listed is what List lists; the queries are in Queries.
	Listed []starters.Listed
	// Lists is what List lists by a query, instead of Listed; nil asks Listed.
	Lists func(query string) []starters.Listed

	mu      sync.Mutex
	down    bool
	silent  bool
	runs    map[string]*Run
	queries []string
}

// Run is the latest run of a workflow.
type Run struct {
	Start    starters.Start
	Number   int // of its runs
	Closed   bool
	Messages []starters.Message // signals and updates, in order; repeated updates once
	stopped  bool
	result   any
	answers  map[string]answer // of updates, by id
}

type answer struct {
	value any
	err   error
}

var _ starters.Engine = (*Engine)(nil)

// Down makes the engine unreachable, or reachable again.
func (e *Engine) Down(down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = down
}

// Silent takes the workers away, or brings them back: starts and signals are
// durable, updates and queries find nobody.
func (e *Engine) Silent(silent bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.silent = silent
}

// Close ends the latest run of a workflow with a result.
func (e *Engine) Close(id string, result any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs[id].Closed, e.runs[id].result = true, result
}

// Stop ends the latest run of a workflow with nothing to go on from, as an operator
// does who terminates it.
func (e *Engine) Stop(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs[id].Closed, e.runs[id].stopped = true, true
}

// Run returns a copy of the latest run of a workflow, or nil.
func (e *Engine) Run(id string) *Run {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, ok := e.runs[id]
	if !ok {
		return nil
	}
	run := *r
	run.Messages = slices.Clone(r.Messages)
	return &run
}

// IDs returns the ids of all workflows, sorted.
func (e *Engine) IDs() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids := make([]string, 0, len(e.runs))
	for id := range e.runs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Queries returns what was listed by.
func (e *Engine) Queries() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.queries)
}

func (e *Engine) reachable() error {
	if e.down {
		return serviceerror.NewUnavailable("connection refused")
	}
	return nil
}

// Submit implements starters.Engine.
func (e *Engine) Submit(ctx context.Context, s starters.Start, m starters.Message, result any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.reachable(); err != nil {
		return err
	}
	if e.runs == nil {
		e.runs = map[string]*Run{}
	}
	r, known := e.runs[s.ID]
	switch {
	case known && r.Closed && s.Reject:
		return fmt.Errorf("submit to %s: %w", s.ID, starters.ErrClosed)
	case !known:
		e.runs[s.ID] = &Run{Start: s, Number: 1, answers: map[string]answer{}}
	case r.Closed:
		e.runs[s.ID] = &Run{Start: s, Number: r.Number + 1, answers: map[string]answer{}}
	}
	if m.Name == "" {
		return nil
	}
	return e.deliver(ctx, s.ID, m, result)
}

// Message implements starters.Engine.
func (e *Engine) Message(ctx context.Context, id string, m starters.Message, result any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.reachable(); err != nil {
		return err
	}
	switch r, known := e.runs[id]; {
	case !known:
		return fmt.Errorf("%s of %s: %w", m.Name, id, starters.ErrNotFound)
	case r.Closed:
		return fmt.Errorf("%s of %s: %w", m.Name, id, starters.ErrClosed)
	}
	return e.deliver(ctx, id, m, result)
}

func (e *Engine) deliver(ctx context.Context, id string, m starters.Message, result any) error {
	r := e.runs[id]
	if m.Signal {
		r.Messages = append(r.Messages, m)
		return nil
	}
	if e.silent || ctx.Err() != nil {
		return fmt.Errorf("%s of %s: %w", m.Name, id, starters.ErrNotAnswered)
	}
	a, repeated := r.answers[m.ID]
	if !repeated {
		a.value, a.err = e.answer(id, m)
		if a.err == nil { // what is refused leaves nothing behind
			r.answers[m.ID] = a
			r.Messages = append(r.Messages, m)
		}
	}
	if m.Accepted && errors.Is(a.err, starters.ErrNotAnswered) {
		return nil // a worker has it
	}
	if a.err != nil {
		return fmt.Errorf("%s of %s: %w", m.Name, id, a.err)
	}
	return carry(a.value, result)
}

// answer refuses another order under a known id, as the workflow does, and
// leaves the rest to the test.
func (e *Engine) answer(id string, m starters.Message) (any, error) {
	in, isOrder := e.runs[id].Start.Input.(workflows.OrderInput)
	if s, ok := m.Argument.(workflows.Submit); ok && isOrder && s.Fingerprint != in.Fingerprint {
		return nil, temporal.NewNonRetryableApplicationError("another order is known under this id", workflows.FingerprintReason, nil)
	}
	if e.Answer != nil {
		return e.Answer(id, m)
	}
	if m.Name == workflows.SubmitUpdate && isOrder {
		return workflows.Submitted{Order: in.Order.ID, Phase: order.PhaseAccepted, Outcome: reconcile.Succeeded}, nil
	}
	return nil, fmt.Errorf("nothing answers %s", m.Name)
}

// Query implements starters.Engine.
func (e *Engine) Query(ctx context.Context, id, name string, argument, result any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.reachable(); err != nil {
		return err
	}
	if _, known := e.runs[id]; !known {
		return fmt.Errorf("ask %s: %w", id, starters.ErrNotFound)
	}
	if e.silent {
		return serviceerror.NewFailedPrecondition("no poller seen for task queue recently, worker may be down")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	v, err := e.answer(id, starters.Message{Name: name, Argument: argument})
	if err != nil {
		return err
	}
	return carry(v, result)
}

// Chain implements starters.Engine: no run goes on as the next.
func (e *Engine) Chain(_ context.Context, id string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.reachable(); err != nil {
		return "", err
	}
	r, known := e.runs[id]
	if !known {
		return "", fmt.Errorf("describe %s: %w", id, starters.ErrNotFound)
	}
	return fmt.Sprintf("%s/%d", id, r.Number), nil
}

// Result implements starters.Engine.
func (e *Engine) Result(_ context.Context, id string, result any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.reachable(); err != nil {
		return err
	}
	r, known := e.runs[id]
	if !known {
		return fmt.Errorf("read the result of %s: %w", id, starters.ErrNotFound)
	}
	if r.stopped {
		return starters.ErrNoResult
	}
	v := r.result
	if !r.Closed { // a run that the test did not close ends now
		var err error
		if v, err = e.answer(id, starters.Message{Name: "result", Argument: r.Start.Input}); err != nil {
			return err
		}
	}
	return carry(v, result)
}

// List implements starters.Engine.
func (e *Engine) List(_ context.Context, query string, limit int, _ []byte) ([]starters.Listed, []byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queries = append(e.queries, query)
	if err := e.reachable(); err != nil {
		return nil, nil, err
	}
	listed := e.Listed
	if e.Lists != nil {
		listed = e.Lists(query)
	}
	return slices.Clone(listed[:min(limit, len(listed))]), nil, nil
}

// Schedule implements starters.Engine.
func (e *Engine) Schedule(context.Context, starters.Schedule) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reachable()
}

// carry takes a value over as the real engine does: as JSON.
func carry(from, to any) error {
	if to == nil {
		return nil
	}
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}
