package crowd

import (
	"testing"
	"time"

	sdk "go.temporal.io/sdk/testsuite"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workers"
)

// Sweeping every day of a crowd, in shards, suspects each planted break and no
// other order, and leaves alone what only settles.
func TestSweep_EachPlantedBreakAndNothingElse(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs with the slow ones")
	}
	t.Parallel()
	c := &Crowd{Seed: 7, Orders: 360, PerDay: 60, Waiting: 150, AsOf: simulator.RealClock{}.Now()}
	kinds := len(Kinds())
	if err := c.Plant(kinds, kinds); err != nil {
		t.Fatal(err)
	}
	s := NewSource(c, filled(t, c), simulator.RealClock{}.Now)
	a := &reconciliation.Activities{
		Readers: s.readers, Orders: s, Keeper: s, Days: s, Policy: s.Policy(), Now: simulator.RealClock{}.Now, Wait: workers.Wait,
		Sweeps: reconciliation.Sweeps{SealedAfter: time.Hour, Before: time.Hour, Span: 72 * time.Hour, Shard: 50, Hunt: 14 * day},
	}
	var suite sdk.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	looked := 0
	for _, at := range c.Days() {
		for n := range 2 {
			encoded, err := env.ExecuteActivity(a.SweepShard, reconciliation.SweepShard{Day: at, Shard: reconcile.Shard{N: n, Of: 2}, Now: c.AsOf})
			var swept reconciliation.SweptShard
			if err == nil {
				err = encoded.Get(&swept)
			}
			if err != nil {
				t.Fatal(err)
			}
			looked += swept.Looked
			if len(swept.Unread) > 0 || swept.Truncated {
				t.Errorf("%s: unread %v, missed %v", at.Format(time.DateOnly), swept.Unread, swept.Missed)
			}
			for _, e := range swept.Exceptions {
				if !s.Settling(e.Order) {
					t.Errorf("%s is an exception: %s", e.Order, e.Why)
				}
			}
			for _, suspect := range swept.Suspects {
				if _, err := s.Confirm(t.Context(), suspect.Order, reconciliation.Confirmation{}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	planted, found, problems := s.Judge()
	if looked != c.Orders || planted != kinds || found != kinds {
		t.Errorf("looked at %d of %d orders, found %d of %d planted breaks", looked, c.Orders, found, planted)
	}
	for _, p := range problems {
		t.Error(p)
	}
}
