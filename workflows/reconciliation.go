package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
)

// KeeperState is what reconciliation carries from run to run.
type KeeperState struct {
	Status reconciliation.Status `json:"status"`
	// Given are the grants that are out, by run.
	Given []given `json:"given,omitempty"`
	// Spent counts repairs and money within the running hour.
	Window time.Time `json:"window"`
	Count  int       `json:"count"`
	Money  int64     `json:"money"`
}

type given struct {
	N       int64     `json:"n"`
	Run     string    `json:"run"`
	Expires time.Time `json:"expires"`
	Window  time.Time `json:"window"` // of the budget that it was taken from
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
	k := &keeper{KeeperState: carried, settings: settings}
	if k.KeeperState == nil {
		since := workflow.GetInfo(ctx).WorkflowStartTime
		k.KeeperState = &KeeperState{Status: reconciliation.Status{Since: since, VerifiedThrough: since, NextGrant: 1}}
	}
	k.listen(ctx)
	k.plants(ctx)
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
}

func (k *keeper) listen(ctx workflow.Context) {
	must(workflow.SetQueryHandlerWithOptions(ctx, StatusQuery, func() (reconciliation.Status, error) {
		status := k.Status
		status.Outstanding = len(k.Given) // some may have expired since
		return status, nil
	}, workflow.QueryHandlerOptions{Description: "Switches, cursors, verified-through and the latest runs."}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, GrantUpdate, k.grant, workflow.UpdateHandlerOptions{
		Description: "Gives numbered permissions to repair, out of the budgets.",
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, ReportUpdate, k.report, workflow.UpdateHandlerOptions{
		Description: "Takes in what a run did, and its unused grants.",
	}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, SwitchUpdate, k.stop, workflow.UpdateHandlerOptions{
		Description: "Stops repairs of one system or of everything, or ends the stop.",
	}))
}

// grantLife is how long a grant may be used; a lost one expires.
const grantLife = 10 * time.Minute

// grant gives as many permissions as the hour's budget has left. A stop gives
// none.
func (k *keeper) grant(ctx workflow.Context, r reconciliation.GrantRequest) ([]repair.Grant, error) {
	now := workflow.Now(ctx)
	k.expire(now)
	for _, s := range k.Status.Stops {
		if s.System == "" {
			return nil, nil
		}
	}
	if now.Sub(k.Window) >= time.Hour {
		k.Window, k.Count, k.Money = now, 0, 0
	}
	budget := k.settings.Budget
	var grants []repair.Grant
	for range r.Count {
		if k.Count >= budget.Count || k.Money+r.Money > budget.Money {
			break
		}
		g := repair.Grant{N: k.Status.NextGrant, Expires: now.Add(grantLife)}
		k.Status.NextGrant++
		k.Count++
		grants = append(grants, g)
		k.Given = append(k.Given, given{N: g.N, Run: r.Run, Expires: g.Expires, Window: k.Window})
	}
	if len(grants) > 0 {
		k.Money += r.Money
	}
	return grants, nil
}

func (k *keeper) expire(now time.Time) {
	k.Given = slices.DeleteFunc(k.Given, func(g given) bool { return now.After(g.Expires) })
}

// report takes in a run's report. The verified moment moves only with a
// complete run whose window joins what was verified before.
func (k *keeper) report(ctx workflow.Context, r reconciliation.RunReport) (reconciliation.RunReport, error) {
	used := r.Repaired + r.Stock.Repaired
	mine := 0
	k.Given = slices.DeleteFunc(k.Given, func(g given) bool {
		if g.Run != r.Run {
			return false
		}
		if g.Window.Equal(k.Window) { // an older hour's is not this hour's to give again
			mine++
		}
		return true
	})
	k.Count = max(0, k.Count-max(0, mine-used))
	for _, sku := range r.SKUs {
		if i, found := slices.BinarySearch(k.Status.SKUs, sku); !found && len(k.Status.SKUs) < 1000 {
			k.Status.SKUs = slices.Insert(k.Status.SKUs, i, sku)
		}
	}
	if r.DryRun {
		return r, nil
	}
	k.sighted(workflow.Now(ctx), r)
	if r.Complete() && !r.Only {
		k.Status.LastGoodRun = workflow.Now(ctx)
		if !r.From.After(k.Status.VerifiedThrough) && r.To.After(k.Status.VerifiedThrough) {
			k.Status.VerifiedThrough = r.To
		}
	}
	k.cover(r, workflow.Now(ctx))
	r.VerifiedThrough = k.Status.VerifiedThrough
	k.Status.Reports = append(k.Status.Reports, r)
	if n := len(k.Status.Reports); n > 10 {
		k.Status.Reports = k.Status.Reports[n-10:]
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**Verified through %s.** Last run looked at %d orders, found %d breaks, repaired %d, opened %d cases, left %d.",
		r.VerifiedThrough.Format(time.RFC3339), r.Looked, r.Found, r.Repaired, r.Cases, r.Left))
	return r, nil
}

// stop sets or ends a stop. Switches only ever stop more: ending the stop of
// everything does not end that of one system.
func (k *keeper) stop(ctx workflow.Context, s reconciliation.Stop) (reconciliation.Status, error) {
	s.At = workflow.Now(ctx)
	k.Status.Stops = slices.DeleteFunc(k.Status.Stops, func(old reconciliation.Stop) bool { return old.System == s.System })
	if s.Off {
		k.Status.Stops = append(k.Status.Stops, s)
	}
	return k.Status, nil
}

// follow polls the change feeds for as long as the history stays short. One
// activity makes many polls, so that an idle day costs few events.
func (k *keeper) follow(ctx workflow.Context) error {
	for !workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.GetInfo(ctx).GetCurrentHistoryLength() < 2000 {
		options := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			TaskQueue:           ReconciliationQueue,
			StartToCloseTimeout: time.Duration(k.settings.FollowPolls)*(k.settings.FollowEvery+time.Minute) + time.Minute,
			// A worker that died is missed soon: nobody follows the systems meanwhile.
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
			return err
		}
		k.Status.Cursors = cursors
		if k.settings.FollowPolls <= 1 {
			if err := workflow.Sleep(ctx, k.settings.FollowEvery); err != nil {
				return err
			}
		}
	}
	return nil
}

// Reconcile is one run: screen what changed and what does not agree, ask for
// grants, have each suspect confirmed and repaired in its order's own workflow,
// align stock, and report.
func (w *Workflows) Reconcile(ctx workflow.Context, in ReconcileInput) (reconciliation.RunReport, error) {
	info := workflow.GetInfo(ctx)
	options := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: ReconciliationQueue, StartToCloseTimeout: 30 * time.Minute, HeartbeatTimeout: confirmPatience,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 10},
		Priority:    temporal.Priority{PriorityKey: 5},
	})
	report := reconciliation.RunReport{Run: info.WorkflowExecution.RunID, Started: workflow.Now(ctx), DryRun: in.DryRun}
	var screened reconciliation.Screened
	if err := workflow.ExecuteActivity(options, run.ScreenChanges, reconciliation.Screen{Orders: in.Orders, Now: report.Started}).Get(ctx, &screened); err != nil {
		return report, fmt.Errorf("screen what changed: %w", err)
	}
	report = screened.Report(report)
	if !in.DryRun {
		confirm := reconciliation.Confirm{Run: report.Run, Suspects: screened.Suspects, Stock: screened.Stock, Short: screened.Short}
		var done reconciliation.ConfirmedAll
		if err := workflow.ExecuteActivity(options, run.ConfirmSuspects, confirm).Get(ctx, &done); err != nil {
			return report, fmt.Errorf("confirm suspects: %w", err)
		}
		report = done.Report(report)
	}
	report.Finished = workflow.Now(ctx)
	if err := workflow.ExecuteActivity(options, run.ReportRun, report).Get(ctx, &report); err != nil {
		return report, fmt.Errorf("report the run: %w", err)
	}
	workflow.SetCurrentDetails(ctx, report.Markdown())
	return report, nil
}

// ReconcileInput starts a run, of these orders alone when there are any.
type ReconcileInput struct {
	Orders []order.ID `json:"orders,omitempty"`
	DryRun bool       `json:"dry_run,omitempty"`
}
