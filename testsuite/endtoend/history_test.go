package endtoend

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/histories"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workers"
	"github.com/trueup-orders/trueup/workflows"
)

// history reads the history of an order's latest run.
func (s *stage) history(ctx context.Context, id order.ID) (*historypb.History, error) {
	return s.historyOf(ctx, workflows.OrderWorkflowID(id), "")
}

func (s *stage) historyOf(ctx context.Context, workflowID, run string) (*historypb.History, error) {
	h := &historypb.History{}
	iterator := s.client.GetWorkflowHistory(ctx, workflowID, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iterator.HasNext() {
		e, err := iterator.Next()
		if err != nil {
			return h, err
		}
		h.Events = append(h.Events, e)
	}
	return h, nil
}

// size is what the engine stores of a history, in bytes.
func size(h *historypb.History) int {
	n := 0
	for _, e := range h.GetEvents() {
		n += e.Size()
	}
	return n
}

// lines tells a history line by line.
func lines(h *historypb.History) string {
	var text strings.Builder
	for _, e := range h.GetEvents() {
		detail := ""
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			detail = a.ActivityId + " " + a.ActivityType.Name
		}
		if f := e.GetActivityTaskFailedEventAttributes().GetFailure(); f != nil {
			detail = f.Message
		}
		if f := e.GetActivityTaskStartedEventAttributes().GetLastFailure(); f != nil {
			detail = "after " + f.Message
		}
		if a := e.GetWorkflowExecutionSignaledEventAttributes(); a != nil && len(a.Input.GetPayloads()) > 0 {
			detail = string(a.Input.Payloads[0].Data)
		}
		fmt.Fprintf(&text, "%3d %s %6d %s %s\n", e.EventId, e.EventTime.AsTime().Format("05.000"), e.Size(), strings.TrimPrefix(e.EventType.String(), "EVENT_TYPE_"), detail)
	}
	return text.String()
}

// byPrefix is how many orders of a stage are replayed at each prefix too.
const byPrefix = 5

// replay replays the history of every run that a stage's engine knows with
// today's code, and those of some orders up to each workflow task, and says where
// it would decide otherwise.
func (s *stage) replay(ctx context.Context) []error {
	replayer, err := s.replayer()
	if err != nil {
		return []error{err}
	}
	listed, err := s.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000})
	if err != nil {
		return []error{fmt.Errorf("list the runs to replay: %w", err)}
	}
	var problems []error
	quiet := log.NewStructuredLogger(slog.New(slog.NewTextHandler(logs(), nil)))
	orders := 0
	for _, e := range listed.Executions {
		h, err := s.historyOf(ctx, e.Execution.WorkflowId, e.Execution.RunId)
		if err == nil && len(h.Events) > 4 { // a run that no worker has taken up decided nothing
			err = replayer.ReplayWorkflowHistory(quiet, h)
		}
		if err == nil && e.Type.GetName() == workflows.OrderType && orders < byPrefix {
			orders++
			_, err = histories.Prefixes(replayer, quiet, h)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("replay %s: %w", e.Execution.WorkflowId, err))
		}
	}
	return problems
}

// replayer knows every workflow. Runs have their settings in their histories: where
// the workers are processes of their own, any will do.
func (s *stage) replayer() (worker.WorkflowReplayer, error) {
	s.mu.Lock()
	set := s.set
	s.mu.Unlock()
	if set == nil {
		flows, err := workflows.New(workflows.Settings{Policy: reconcile.Default(), FollowEvery: time.Hour})
		if err != nil {
			return nil, fmt.Errorf("make the workflows to replay: %w", err)
		}
		set = &workers.Set{Workflows: flows}
	}
	replayer := worker.NewWorkflowReplayer()
	set.RegisterWorkflows(replaying{replayer})
	return replayer, nil
}

// replaying is a replayer as a registry.
type replaying struct{ worker.WorkflowReplayer }

func (replaying) RegisterActivity(any) {}

// keep writes an order's history to testsuite/histories when the tests run with
// -record, for later versions of the code to be replayed against.
func (b *bundle) keep(path string, id order.ID) {
	b.t.Helper()
	if !*record {
		return
	}
	h, err := b.history(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	b.remember(path, id)
	data, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(h)
	if err == nil {
		err = os.WriteFile(filepath.Join("..", "histories", path+".json"), data, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// The budget of a history: see the Budgets in docs/design.md. The feeds are
// polled every second here, which announces more than every fifteen would.
func TestHistory_OfAnOrder_WithinItsBudget(t *testing.T) {
	b := onOwn(t, options{})
	// Webhooks come when they come, and each may wake the order by itself: what
	// they add hangs on the machine, and is measured by the benchmark. Here stand
	// the events of the order's own doing, and of what it follows.
	for _, s := range []order.System{order.SystemPayment, order.SystemCRM} {
		b.world.Frame(s).HandleNotifications("", simulator.Drop)
	}
	o := anOrder("budget-1")
	b.accept(o)
	h, err := b.history(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("until all six agree: %d events, %d bytes", len(h.Events), size(h))
	// Each signal is a change feed's echo that came while the order was at it, and
	// may have woken it by itself.
	signals := 0
	for _, e := range h.Events {
		if e.GetWorkflowExecutionSignaledEventAttributes() != nil {
			signals++
		}
	}
	if n := len(h.Events) - 4*signals; n > 50 {
		t.Errorf("%d events until all six agree, without %d announcements; want 50 at most\n%s", n, signals, lines(h))
	}
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.work(o.ID, "delivered")
	b.reaches(o.ID, order.PhaseDelivered, patience)
	if h, err = b.history(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	t.Logf("until delivered: %d events, %d bytes", len(h.Events), size(h))
	if len(h.Events) > 140 || size(h) > 32<<10 {
		t.Errorf("%d events and %d bytes until delivered; want 140 and %d at most\n%s", len(h.Events), size(h), 32<<10, lines(h))
	}
	b.keep("delivered", o.ID)
}
