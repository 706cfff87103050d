package workflows

import (
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
)

// SweepInput starts the sweep of a sealed day, of several, or of these orders
// alone.
type SweepInput struct {
	Day    time.Time   `json:"day,omitzero"`
	Days   []time.Time `json:"days,omitempty"` // instead of Day
	Orders []order.ID  `json:"orders,omitempty"`
	DryRun bool        `json:"dry_run,omitempty"`
	// Carried is how far the run came that this one goes on from, and Run the first
	// of them.
	Carried *reconciliation.SweepState `json:"carried,omitempty"`
	Run     string                     `json:"run,omitempty"`
}

// days are the days to sweep.
func (in SweepInput) days() []time.Time {
	if len(in.Days) > 0 || in.Day.IsZero() {
		return in.Days
	}
	return []time.Time{in.Day}
}

// Sweep compares every order of sealed days in every system. One activity reads
// many pages, has confirmed what it suspects and reports, day after day for an
// hour, so that the history of a sweep grows with hours and not with orders.
func (w *Workflows) Sweep(ctx workflow.Context, in SweepInput) (reconciliation.RunReport, error) {
	ctx = workflow.WithActivityOptions(ctx, sweepOptions())
	if in.Carried == nil {
		in.Carried, in.Run = &reconciliation.SweepState{}, workflow.GetInfo(ctx).WorkflowExecution.RunID
	}
	for s := in.Carried; !s.Over; {
		if s.Started() && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return s.Report, workflow.NewContinueAsNewError(ctx, SweepType, in)
		}
		ask := reconciliation.SweepDays{Run: in.Run, Days: in.days(), Orders: in.Orders, DryRun: in.DryRun, State: *s}
		var next reconciliation.SweepState
		if err := workflow.ExecuteActivity(ctx, run.SweepDays, ask).Get(ctx, &next); err != nil {
			return s.Report, fmt.Errorf("sweep %d days: %w", max(1, len(ask.Days)), err)
		}
		*s = next
		workflow.SetCurrentDetails(ctx, s.Report.Markdown())
	}
	return in.Carried.Report, nil
}

// confirmPatience is longer than an order is waited for: one that does not answer
// must not make the whole activity begin anew.
const confirmPatience = 5 * time.Minute

// sweepOptions let an activity read for hours, as long as it says every few
// minutes that it does; another worker takes it up where it was left.
func sweepOptions() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: ReconciliationQueue, StartToCloseTimeout: 12 * time.Hour, HeartbeatTimeout: confirmPatience,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 100,
			NonRetryableErrorTypes: []string{reconciliation.NotSealedReason},
		},
		Priority: temporal.Priority{PriorityKey: 5},
	}
}

// daysAtOnce is how many days one sweep takes.
const daysAtOnce = 31

// Sweeps sweeps what is due, one day after the other, and then asks the
// exceptions of earlier sweeps again. A sweep that fails, or that somebody makes
// by hand just now, holds up no other.
func (w *Workflows) Sweeps(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, sweepOptions())
	var due reconciliation.DueSweeps
	if err := workflow.ExecuteActivity(ctx, run.DueSweeps, workflow.Now(ctx)).Get(ctx, &due); err != nil {
		return fmt.Errorf("find the days to sweep: %w", err)
	}
	inputs := make([]SweepInput, 0, len(due.Days)+1)
	for some := range slices.Chunk(due.Days, daysAtOnce) {
		inputs = append(inputs, SweepInput{Day: some[0], Days: some})
	}
	if len(due.Orders) > 0 {
		inputs = append(inputs, SweepInput{Orders: due.Orders})
	}
	for _, in := range inputs {
		child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
			WorkflowID: sweepOf(in), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
			WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, Priority: temporal.Priority{PriorityKey: 5},
		})
		if err := workflow.ExecuteChildWorkflow(child, SweepType, in).Get(ctx, nil); err != nil {
			if temporal.IsCanceledError(err) {
				return err
			}
			workflow.GetLogger(ctx).Warn("a sweep did not end well; the next run sweeps its day again", "sweep", sweepOf(in), "error", err)
		}
	}
	return nil
}
