package workflows

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A run of reconciliation lasts for hours: what a worker with other settings bounds,
// or names as the canary, is obeyed in its middle, as it is by orders.
func TestReconciliation_SettingsChangedInTheMiddleOfItsRun_Obeyed(t *testing.T) {
	t.Parallel()
	with := func(count int, canary order.ID) Workflows {
		w, err := New(Settings{
			Policy: reconcile.Default(), FollowEvery: 5 * time.Minute, FollowPolls: 1,
			Budget: reconcile.Budget{Count: count}, Canary: canary, PlantEvery: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		return *w
	}
	worker := with(50, "")
	prepared := map[order.ID]int{}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterWorkflowWithOptions(worker.Reconciliation, workflow.RegisterOptions{Name: ReconciliationType})
	env.RegisterActivityWithOptions(func(_ context.Context, f reconciliation.Follow) ([]reconciliation.Cursor, error) {
		return f.Cursors, nil
	}, activity.RegisterOptions{Name: "FollowChanges"})
	env.RegisterActivityWithOptions(func(_ context.Context, p reconciliation.Planted) (reconciliation.Planted, error) {
		prepared[p.Order]++
		p.Why = "none is planted here"
		return p, nil
	}, activity.RegisterOptions{Name: "PreparePlant"})

	at := func(age time.Duration, do func()) { env.RegisterDelayedCallback(do, age) }
	at(2*time.Hour, func() { worker = with(3, "1") })
	at(2*time.Hour+6*time.Minute, func() {
		var s reconciliation.Status
		value, err := env.QueryWorkflow(StatusQuery)
		if err == nil {
			err = value.Get(&s)
		}
		if err != nil || s.Budget.Count != 3 {
			t.Errorf("a turn after the budget was set to 3 it is %d, %v", s.Budget.Count, err)
		}
	})
	at(4*time.Hour+30*time.Minute, func() { worker = with(3, "2") })
	at(6*time.Hour+20*time.Minute, func() { worker = with(3, "") })
	at(9*time.Hour, env.CancelWorkflow)
	env.ExecuteWorkflow(ReconciliationType, nil)

	if prepared["1"] != 2 || prepared["2"] != 1 || len(prepared) != 2 {
		t.Errorf("plants were prepared for %v; want two for 1 and one for 2", prepared)
	}
}
