package workflows

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reconciliation keeps the switches: what goes wrong with the feeds, even for good,
// must not end it, for who came after it would know of no stop.
func TestReconciliation_FollowingFailsForGood_StopsHoldAndItIsTriedAgain(t *testing.T) {
	t.Parallel()
	w, err := New(Settings{Policy: reconcile.Default(), FollowEvery: 15 * time.Second, FollowPolls: 1, Followed: []order.System{order.SystemCRM}})
	if err != nil {
		t.Fatal(err)
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterWorkflowWithOptions(w.Reconciliation, workflow.RegisterOptions{Name: ReconciliationType})
	var calls []time.Time
	env.RegisterActivityWithOptions(func(context.Context, reconciliation.Follow) ([]reconciliation.Cursor, error) {
		calls = append(calls, env.Now())
		if len(calls) == 2 {
			return nil, temporal.NewNonRetryableApplicationError("the heartbeat is too large", "too large", nil)
		}
		return []reconciliation.Cursor{{System: order.SystemCRM, Through: calls[0]}}, nil
	}, activity.RegisterOptions{Name: "FollowChanges"})
	status := func() (s reconciliation.Status) {
		value, err := env.QueryWorkflow(StatusQuery)
		if err == nil {
			err = value.Get(&s)
		}
		if err != nil {
			t.Error(err)
		}
		return s
	}
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflowNoRejection(SwitchUpdate, "stop", t, reconciliation.Stop{System: order.SystemERP, Off: true, By: "ada", Reason: "test"})
	}, 0)
	env.RegisterDelayedCallback(func() {
		s := status()
		if len(s.Stops) != 1 || s.Stops[0].System != order.SystemERP || len(s.Cursors) != 1 {
			t.Errorf("after a failure the stops are %+v and the cursors %+v", s.Stops, s.Cursors)
		}
		if s.Unfollowed == "" {
			t.Error("nobody can see that the feeds are not followed")
		}
	}, 40*time.Second)
	env.RegisterDelayedCallback(func() {
		if s := status(); len(calls) < 3 || s.Unfollowed != "" {
			t.Errorf("after a wait it was called at %v, and it says %q", calls, s.Unfollowed)
		}
		env.CancelWorkflow()
	}, 2*time.Minute)
	env.ExecuteWorkflow(ReconciliationType, nil)
	if err := env.GetWorkflowError(); temporal.IsApplicationError(err) && !temporal.IsCanceledError(err) {
		t.Errorf("it ended with %v", err)
	}
}
