package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// KeeperState is what reconciliation carries from run to run.
type KeeperState struct {
	Status reconciliation.Status `json:"status"`
	// Given are the grants that are out, and Runs what each run was given so far.
	Given []given    `json:"given,omitempty"`
	Runs  []granting `json:"runs,omitempty"`
	// Members are the orders of the incidents that are not over.
	Members []reconciliation.Members `json:"members,omitempty"`
	// Tellings are what was said about each incident, and Unsaid what is still to be
	// said, or on its way.
	Tellings []Telling                          `json:"tellings,omitempty"`
	Unsaid   []reconciliation.GroupAnnouncement `json:"unsaid,omitempty"`
	// Agreed says when the levels of SKUs that are watched were last right.
	Agreed []agreedAt `json:"agreed,omitempty"`
	// Window and Count are how an hour's budget was kept before Status.Spent.
	Window time.Time `json:"window,omitzero"`
	Count  int       `json:"count,omitempty"`
}

// Reconciliation keeps what belongs to no single order: how far each change
// feed was followed, through when everything is verified, the stop switches,
// and the budgets out of which repairs are granted. It follows the systems that
// announce nothing.
func (w *Workflows) Reconciliation(ctx workflow.Context, carried *KeeperState) error {
	settings, err := w.settings(ctx)
	if err != nil {
		return err
	}
	k := &keeper{KeeperState: carried, settings: settings, refresh: w.renew, meter: metered(ctx)}
	if k.KeeperState == nil {
		since := workflow.GetInfo(ctx).WorkflowStartTime
		k.KeeperState = &KeeperState{Status: reconciliation.Status{Since: since, VerifiedThrough: since, NextGrant: 1}}
	}
	if k.Count > 0 {
		k.Status.Spent = append(k.Status.Spent, reconcile.Spent{At: reconcile.Slot(k.Window), Count: k.Count})
		k.Count = 0
	}
	k.Status.Budget = settings.Budget
	k.listen(ctx)
	k.tell(ctx)
	workflow.Go(ctx, k.herald)
	if err := k.follow(ctx); err != nil {
		return err
	}
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, ReconciliationType, k.KeeperState)
}

type keeper struct {
	*KeeperState
	settings Settings
	// refresh reads the settings again: a run of it lives longer than a budget.
	refresh func(ctx workflow.Context, have Settings) (Settings, error)
	meter   meter
	plants  bool // the canary is attended to
}

// renew takes up the settings as of now: what somebody has bounded is obeyed within
// one turn.
func (k *keeper) renew(ctx workflow.Context) (err error) {
	if k.settings, err = k.refresh(ctx, k.settings); err != nil {
		return err
	}
	k.Status.Budget = k.settings.Budget
	k.plant(ctx)
	return nil
}

func (k *keeper) listen(ctx workflow.Context) {
	must(workflow.SetQueryHandlerWithOptions(ctx, StatusQuery, func() (reconciliation.Status, error) {
		status := k.Status
		status.Outstanding = len(k.Given) // some may have expired since
		return status, nil
	}, workflow.QueryHandlerOptions{Description: "Switches, budgets, incidents, cursors, verified-through and the latest runs."}))
	must(workflow.SetQueryHandlerWithOptions(ctx, MembersQuery, func() ([]reconciliation.Members, error) {
		return k.Members, nil
	}, workflow.QueryHandlerOptions{Description: "The orders of the incidents that are not over."}))
	must(workflow.SetQueryHandlerWithOptions(ctx, WouldGrantQuery, k.wouldGrant, workflow.QueryHandlerOptions{
		Description: "What would be granted now; nothing is taken.",
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, GrantUpdate, k.grant, workflow.UpdateHandlerOptions{
		Description: "Gives numbered permissions to repair, out of the budgets.",
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, ReportUpdate, k.report, workflow.UpdateHandlerOptions{
		Description: "Takes in what a run did, and its unused grants.",
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, SwitchUpdate, k.stop, workflow.UpdateHandlerOptions{
		Description: "Stops repairs of one system, of one kind or of everything, or ends the stop.",
		Validator:   k.stoppable,
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, GroupUpdate, k.decideGroup, workflow.UpdateHandlerOptions{
		Description: "Decides an incident: repair a few first, or leave it.",
		Validator:   k.decidable,
	}))
}

// report takes in a run's report: see reconciliation.Status.Verify.
func (k *keeper) report(ctx workflow.Context, r reconciliation.RunReport) (reconciliation.RunReport, error) {
	now := workflow.Now(ctx)
	k.reported(r.Run, r.Part, r.Unused, now)
	if r.DryRun {
		return r, nil
	}
	k.attendGroups(k.settings, r, now)
	if r.Part {
		k.tell(ctx)
		return r, nil
	}
	r = k.Status.Join(r)
	k.watch(&r)
	if !k.outlived(r) {
		k.levels(&r, now)
	}
	k.sighted(now, r)
	k.Status.Verify(r, now)
	k.cover(r, workflow.Now(ctx))
	r.VerifiedThrough = k.Status.VerifiedThrough
	kept := r
	kept.Unused = nil
	kept.Levels, kept.InMotion, kept.Unseen = nil, nil, nil // the clocks have them
	kept.Incidents = nil                                    // the groups have them
	k.Status.Keep(kept)
	k.tell(ctx)
	return r, nil
}

// outlived says that a run over all that began later has reported before this one:
// what this one saw of levels is older than what is known of them.
func (k *keeper) outlived(r reconciliation.RunReport) bool {
	return slices.ContainsFunc(k.Status.Reports, func(other reconciliation.RunReport) bool { return !other.Only && other.Started.After(r.Started) })
}

// mostWatched is how many SKUs are watched by every run, whether an order that
// changed has them or not.
const mostWatched = 1000

// watch remembers the SKUs that a run has seen, for the runs after it, and forgets
// those that are gone.
func (k *keeper) watch(r *reconciliation.RunReport) {
	more := 0
	for _, sku := range r.SKUs {
		i, found := slices.BinarySearch(k.Status.SKUs, sku)
		switch {
		case found || slices.Contains(r.Gone, sku):
		case len(k.Status.SKUs) >= mostWatched:
			more++
		default:
			k.Status.SKUs = slices.Insert(k.Status.SKUs, i, sku)
		}
	}
	k.Status.SKUs = slices.DeleteFunc(k.Status.SKUs, func(sku string) bool { return slices.Contains(r.Gone, sku) })
	if more > 0 {
		r.Lines = append(r.Lines, fmt.Sprintf("%d SKUs are compared only when an order with them changes: %d are watched by every run, and no more", more, mostWatched))
	}
}

// stop sets or ends a stop. Switches only ever stop more: ending the stop of
// everything does not end that of one system, nor ending that of a system the
// one of its fields.
func (k *keeper) stop(ctx workflow.Context, s reconciliation.Stop) (reconciliation.Status, error) {
	s.At = workflow.Now(ctx)
	k.Status.Stops = slices.DeleteFunc(k.Status.Stops, func(old reconciliation.Stop) bool { return old.System == s.System && old.Kind == s.Kind })
	if s.Off {
		k.Status.Stops = append(k.Status.Stops, s)
	} else {
		k.endLeft(s, s.At)
	}
	k.tell(ctx)
	return k.Status, nil
}

// stoppable refuses a switch of what there is not, before it is in the history.
func (k *keeper) stoppable(_ workflow.Context, s reconciliation.Stop) error {
	if _, err := s.Stops(); err != nil {
		return temporal.NewNonRetryableApplicationError(err.Error(), RefusedReason, nil)
	}
	return nil
}

// tell says to the outside what has come about, and in the engine's UI where
// reconciliation stands, as trueup status does.
func (k *keeper) tell(ctx workflow.Context) {
	k.tellGroups(workflow.Now(ctx))
	workflow.SetCurrentDetails(ctx, k.Status.Markdown(workflow.Now(ctx)))
}

// follow polls the change feeds for as long as the history stays short. One
// activity makes many polls, so that an idle day costs few events. Each turn begins
// with the settings as of then.
func (k *keeper) follow(ctx workflow.Context) error {
	for !workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.GetInfo(ctx).GetCurrentHistoryLength() < 2000 {
		if err := k.renew(ctx); err != nil {
			return err
		}
		options := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			TaskQueue:           ReconciliationQueue,
			StartToCloseTimeout: time.Duration(k.settings.FollowPolls)*(k.settings.FollowEvery+time.Minute) + time.Minute,
			// A worker that died is missed soon: nobody follows the systems meanwhile. While one
			// hangs there are heartbeats, which the SDK sends after four fifths of this at the latest.
			HeartbeatTimeout: k.settings.FollowEvery + callTimeout,
			RetryPolicy:      &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
			Summary:          "follow what changed in systems that announce nothing",
			Priority:         temporal.Priority{PriorityKey: 4},
		})
		var cursors []reconciliation.Cursor
		err := workflow.ExecuteActivity(options, run.FollowChanges, reconciliation.Follow{
			Systems: k.settings.Followed, Cursors: k.Status.Cursors, Since: k.Status.Since,
			Every: k.settings.FollowEvery, Polls: k.settings.FollowPolls,
		}).Get(ctx, &cursors)
		if err != nil {
			if err := k.unfollowed(ctx, err); err != nil {
				return err
			}
			continue
		}
		k.Status.Cursors, k.Status.Unfollowed = cursors, ""
		k.tell(ctx) // a change that came too soon after the last is said now, without a timer for it
		if k.settings.FollowPolls <= 1 {
			if err := workflow.Sleep(ctx, k.settings.FollowEvery); err != nil {
				return err
			}
		}
	}
	return nil
}

// leastUnfollowed is how long it waits at least before the feeds are followed again.
const leastUnfollowed = time.Minute

// unfollowed waits when the feeds could not be followed and the engine does not try
// again by itself. Whatever is wrong with them, this workflow goes on: it has the
// switches, and another one in its place would begin with every one on.
func (k *keeper) unfollowed(ctx workflow.Context, why error) error {
	if ctx.Err() != nil {
		return why // it is to end
	}
	k.Status.Unfollowed = plainly(why)
	workflow.GetLogger(ctx).Error("the change feeds could not be followed; it is tried again, and runs and webhooks go on meanwhile", "error", plainly(why))
	k.tell(ctx)
	return workflow.Sleep(ctx, max(k.settings.FollowEvery, leastUnfollowed))
}

// Reconcile is one run: screen what changed and what does not agree, ask for
// grants, have each suspect confirmed and repaired in its order's own workflow,
// align stock, and report.
func (w *Workflows) Reconcile(ctx workflow.Context, in ReconcileInput) (reconciliation.RunReport, error) {
	info := workflow.GetInfo(ctx)
	options := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		// Whoever waits for its turn at a low rate says so: a worker that died is missed
		// by its heartbeat.
		TaskQueue: ReconciliationQueue, StartToCloseTimeout: 2 * time.Hour, HeartbeatTimeout: confirmPatience,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 10},
		Priority:    temporal.Priority{PriorityKey: 5},
	})
	report := reconciliation.RunReport{Run: info.WorkflowExecution.RunID, Started: workflow.Now(ctx), DryRun: in.DryRun}
	var screened reconciliation.Screened
	if err := workflow.ExecuteActivity(options, run.ScreenChanges, reconciliation.Screen{Orders: in.Orders, Now: report.Started}).Get(ctx, &screened); err != nil {
		return report, fmt.Errorf("screen what changed: %w", err)
	}
	report = screened.Report(report)
	confirm := reconciliation.Confirm{
		Run: report.Run, Suspects: screened.Suspects, Stock: screened.Stock, Short: screened.Short, Enough: screened.Enough,
		Looked: screened.Looked, Compared: screened.Compared, Only: !screened.Full, Blind: screened.Blind,
	}
	act := run.ConfirmSuspects
	if in.DryRun {
		act = run.RehearseRun
	}
	var done reconciliation.ConfirmedAll
	if err := workflow.ExecuteActivity(options, act, confirm).Get(ctx, &done); err != nil {
		return report, fmt.Errorf("confirm suspects: %w", err)
	}
	report = done.Report(report)
	report.Finished = workflow.Now(ctx)
	if !in.DryRun { // a dry run moves nothing, and leaves no trace there either
		if err := workflow.ExecuteActivity(options, run.ReportRun, report).Get(ctx, &report); err != nil {
			return report, fmt.Errorf("report the run: %w", err)
		}
	}
	workflow.SetCurrentDetails(ctx, report.Markdown())
	return report, nil
}

// ReconcileInput starts a run, of these orders alone when there are any.
type ReconcileInput struct {
	Orders []order.ID `json:"orders,omitempty"`
	DryRun bool       `json:"dry_run,omitempty"`
}
