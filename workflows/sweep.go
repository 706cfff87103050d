package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// SweepInput starts the sweep of a sealed day, or of these orders alone.
type SweepInput struct {
	Day    time.Time  `json:"day,omitzero"`
	Orders []order.ID `json:"orders,omitempty"`
	DryRun bool       `json:"dry_run,omitempty"`
	// Carried is how far the run came that this one goes on from.
	Carried *SweepState `json:"carried,omitempty"`
}

// SweepState is what a sweep carries from run to run.
type SweepState struct {
	Plan reconciliation.SweepPlan `json:"plan"`
	// Next is the shard to begin with.
	Next   int                      `json:"next"`
	Report reconciliation.RunReport `json:"report"`
}

// Sweep compares every order of a sealed day in every system: shard after shard,
// each read, confirmed and repaired before the next. Few activities read many
// pages each, so that a day of any size is a history of a screen or two.
func (w *Workflows) Sweep(ctx workflow.Context, in SweepInput) (reconciliation.RunReport, error) {
	ctx = workflow.WithActivityOptions(ctx, sweepOptions())
	s := in.Carried
	if s == nil {
		var err error
		if s, err = w.planSweep(ctx, in); err != nil {
			return reconciliation.RunReport{}, err
		}
	}
	for s.Next < s.Plan.Shards {
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			in.Carried = s
			return s.Report, workflow.NewContinueAsNewError(ctx, SweepType, in)
		}
		if err := s.sweep(ctx, in); err != nil {
			return s.Report, err
		}
		s.Next++
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("Shard %d of %d: %s", s.Next, s.Plan.Shards, s.Report.SweptText()))
	}
	s.Report.Finished = workflow.Now(ctx)
	if !in.DryRun { // a dry one leaves no trace
		if err := workflow.ExecuteActivity(ctx, run.ReportRun, s.Report).Get(ctx, &s.Report); err != nil {
			return s.Report, fmt.Errorf("report the sweep: %w", err)
		}
	}
	workflow.SetCurrentDetails(ctx, s.Report.Markdown())
	return s.Report, nil
}

// sweepOptions let an activity read for hours, as long as it says every minute
// or two that it does; another worker takes it up where it was left.
func sweepOptions() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: ReconciliationQueue, StartToCloseTimeout: 12 * time.Hour, HeartbeatTimeout: 2 * time.Minute,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 100,
			NonRetryableErrorTypes: []string{reconciliation.NotSealedReason},
		},
		Priority: temporal.Priority{PriorityKey: 5},
	}
}

func (w *Workflows) planSweep(ctx workflow.Context, in SweepInput) (*SweepState, error) {
	now := workflow.Now(ctx)
	s := &SweepState{Report: reconciliation.RunReport{
		Run: workflow.GetInfo(ctx).WorkflowExecution.RunID, Started: now, DryRun: in.DryRun, Only: true,
		Swept: &reconciliation.Swept{Asked: in.Orders},
	}}
	if len(in.Orders) > 0 {
		s.Plan.Shards = 1
		return s, nil
	}
	day := reconciliation.DayOf(in.Day)
	if err := workflow.ExecuteActivity(ctx, run.PlanSweep, reconciliation.PlanSweep{Day: day, Now: now}).Get(ctx, &s.Plan); err != nil {
		return nil, fmt.Errorf("plan the sweep: %w", err)
	}
	s.Report.From, s.Report.To, s.Report.Policy, s.Report.Rules = day, day.Add(reconciliation.Day), s.Plan.Policy, s.Plan.Rules
	s.Report.Swept.Day, s.Report.Swept.Shards, s.Report.Swept.Ages = day, s.Plan.Shards, s.Plan.Ages
	return s, nil
}

const (
	// confirmAtOnce is how many suspects one activity has confirmed: what was not
	// needed of their grants comes back soon.
	confirmAtOnce = 40
	// confirmPatience is longer than an order is waited for: one that does not
	// answer must not make the whole activity begin anew.
	confirmPatience = 5 * time.Minute
)

// sweep sweeps the next shard, and has its suspects confirmed.
func (s *SweepState) sweep(ctx workflow.Context, in SweepInput) error {
	ask := reconciliation.SweepShard{
		Day: in.Day, Shard: reconcile.Shard{N: s.Next, Of: s.Plan.Shards}, Orders: in.Orders, Now: s.Report.Started, DryRun: in.DryRun,
	}
	named := sweepOptions()
	named.Summary = fmt.Sprintf("shard %d of %d", s.Next+1, s.Plan.Shards)
	var swept reconciliation.SweptShard
	if err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, named), run.SweepShard, ask).Get(ctx, &swept); err != nil {
		return fmt.Errorf("sweep shard %d of %d: %w", s.Next+1, s.Plan.Shards, err)
	}
	s.Report = swept.Report(s.Report)
	if in.DryRun {
		return nil
	}
	patient := sweepOptions()
	patient.HeartbeatTimeout, patient.Summary = confirmPatience, named.Summary+": confirm what is suspected"
	counts := reconciliation.CountKinds(swept.Suspects)
	for from := 0; from < len(swept.Suspects); from += confirmAtOnce {
		suspects := swept.Suspects[from:min(from+confirmAtOnce, len(swept.Suspects))]
		part := fmt.Sprintf("%s/%d.%d", s.Report.Run, s.Next, from)
		var done reconciliation.ConfirmedAll
		if err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, patient), run.ConfirmSuspects, reconciliation.Confirm{
			Run: part, Suspects: suspects, Looked: swept.Looked, Counts: counts, Only: true,
		}).Get(ctx, &done); err != nil {
			return fmt.Errorf("confirm suspects: %w", err)
		}
		before := s.Report
		s.Report = done.Report(s.Report).Except(done)
		s.Report.Exceptions = before.Exceptions // a sweep names its own: what was compared and disagrees is none
		// What was not needed of the grants is given back at once: the run is long.
		back := reconciliation.RunReport{Run: part, Part: true, Only: true, Unused: done.Unused, Tried: done.Tried}
		if err := workflow.ExecuteActivity(ctx, run.ReportRun, back).Get(ctx, nil); err != nil {
			return fmt.Errorf("give back grants: %w", err)
		}
	}
	return nil
}

// Sweeps sweeps what is due, one day after the other, and then asks the
// exceptions of earlier sweeps again. A day that fails, or that somebody sweeps
// by hand just now, holds up no other.
func (w *Workflows) Sweeps(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, sweepOptions())
	var due reconciliation.DueSweeps
	if err := workflow.ExecuteActivity(ctx, run.DueSweeps, workflow.Now(ctx)).Get(ctx, &due); err != nil {
		return fmt.Errorf("find the days to sweep: %w", err)
	}
	inputs := make([]SweepInput, 0, len(due.Days)+1)
	for _, day := range due.Days {
		inputs = append(inputs, SweepInput{Day: day})
	}
	if len(due.Orders) > 0 {
		inputs = append(inputs, SweepInput{Orders: due.Orders})
	}
	for _, in := range inputs {
		child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
			WorkflowID: SweepWorkflowID(in.Day), TaskQueue: Queue, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
			WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, Priority: temporal.Priority{PriorityKey: 5},
		})
		if err := workflow.ExecuteChildWorkflow(child, SweepType, in).Get(ctx, nil); err != nil {
			if temporal.IsCanceledError(err) {
				return err
			}
			workflow.GetLogger(ctx).Warn("a sweep did not end well; the next run sweeps its day again", "sweep", SweepWorkflowID(in.Day), "error", err)
		}
	}
	return nil
}
