package virtual

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/workflows"
)

// agenda is what is still to happen, in order of time and then of entry.
type agenda struct {
	mu      sync.Mutex
	until   time.Time
	running bool
	n       int
	entries []entry
}

type entry struct {
	at   time.Time
	n    int
	name string
	do   func()
}

func (w *World) add(at time.Time, name string, do func()) {
	w.agenda.mu.Lock()
	defer w.agenda.mu.Unlock()
	w.agenda.n++
	e := entry{at, w.agenda.n, name, do}
	i, _ := slices.BinarySearchFunc(w.agenda.entries, e, func(x, y entry) int {
		return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.n, y.n))
	})
	w.agenda.entries = slices.Insert(w.agenda.entries, i, e)
	if w.agenda.running && i == 0 {
		w.env.SignalWorkflow(soonerSignal, nil)
	}
}

// next returns when something happens next: the end, when nothing does before.
func (a *agenda) next() (at time.Time, summary string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = true
	if len(a.entries) == 0 || a.entries[0].at.After(a.until) {
		return a.until, ""
	}
	return a.entries[0].at, a.entries[0].name
}

func (a *agenda) pop() entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entries[0]
	a.entries = a.entries[1:]
	return e
}

const (
	soonerSignal = "sooner"
	startSignal  = "start"
)

// universe is the parent of every workflow and the only owner of time: it
// sleeps on the environment's clock until the next entry of the agenda is due,
// lets it happen as an activity, and starts workflows under their real ids.
func (w *World) universe(ctx workflow.Context) error {
	workflow.Go(ctx, w.starter)
	w.startBeside(ctx)
	once := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Hour, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	sooner := workflow.GetSignalChannel(ctx, soonerSignal)
	for {
		at, name := w.agenda.next()
		if d := at.Sub(workflow.Now(ctx)); d > 0 {
			timerContext, cancel := workflow.WithCancel(ctx)
			s := workflow.NewSelector(ctx)
			s.AddFuture(workflow.NewTimer(timerContext, d), func(workflow.Future) {})
			s.AddReceive(sooner, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) })
			s.Select(ctx)
			cancel()
			continue
		}
		if name == "" {
			return nil
		}
		if err := workflow.ExecuteActivity(once, w.step).Get(ctx, nil); err != nil {
			return err
		}
	}
}

// step lets the next entry happen.
func (w *World) step(context.Context) error {
	w.agenda.pop().do()
	return nil
}

// starter starts the workflows that the engine was asked for.
func (w *World) starter(ctx workflow.Context) {
	for {
		workflow.GetSignalChannel(ctx, startSignal).Receive(ctx, nil)
		for _, asked := range w.engine.takeAsked() {
			child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
				WorkflowID: asked.start.ID, TaskQueue: workflows.Queue, WaitForCancellation: true,
				ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_TERMINATE,
				TypedSearchAttributes: asked.attributes(),
			})
			input := []any{}
			if asked.start.Input != nil {
				input = append(input, asked.start.Input)
			} else if asked.start.Type == workflows.ReconciliationType {
				input = append(input, (*workflows.KeeperState)(nil))
			}
			future := workflow.ExecuteChildWorkflow(child, asked.start.Type, input...)
			workflow.Go(ctx, func(ctx workflow.Context) {
				asked.started <- future.GetChildWorkflowExecution().Get(ctx, nil)
			})
		}
	}
}
