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
	sooner  bool // an entry came before the one that the universe sleeps for
}

type entry struct {
	at   time.Time
	n    int
	name string
	own  bool // a system does it by itself
	do   func()
}

func (w *World) add(at time.Time, own bool, name string, do func()) {
	w.agenda.mu.Lock()
	defer w.agenda.mu.Unlock()
	w.agenda.n++
	e := entry{at, w.agenda.n, name, own, do}
	i, _ := slices.BinarySearchFunc(w.agenda.entries, e, func(x, y entry) int {
		return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.n, y.n))
	})
	w.agenda.entries = slices.Insert(w.agenda.entries, i, e)
	if !w.agenda.running || i > 0 {
		return
	}
	if w.gate == nil {
		w.env.SignalWorkflow(soonerSignal, nil)
		return
	}
	w.agenda.sooner = true // the universe is told when everything stands still
	w.gate.poke()
}

// settle tells the universe that something comes sooner than it thinks.
func (w *World) settle() bool {
	w.agenda.mu.Lock()
	sooner := w.agenda.sooner
	w.agenda.sooner = false
	w.agenda.mu.Unlock()
	if sooner {
		w.env.SignalWorkflow(soonerSignal, nil)
	}
	return sooner
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

// pop takes the next entry off. What systems do by themselves at one moment
// comes in any order that the world draws.
func (a *agenda) pop(draw func(n int) int) entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	i, same := 0, 0
	for same < len(a.entries) && a.entries[same].own && a.entries[same].at.Equal(a.entries[0].at) {
		same++
	}
	if same > 1 && draw != nil {
		i = draw(same)
	}
	e := a.entries[i]
	a.entries = slices.Delete(a.entries, i, i+1)
	return e
}

// rootID is the universe's own id in the environment.
const rootID = "default-test-workflow-id"

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
func (w *World) step(ctx context.Context) error {
	w.enter(ctx, "")
	e := w.agenda.pop(w.draw)
	w.trace.add(Line{Kind: "step", Detail: e.name})
	w.stepping = ctx
	e.do()
	w.stepping = nil
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
