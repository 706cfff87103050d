package endtoend

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/workers"
	"github.com/trueup-orders/trueup/workflows"
)

// The dead-man's switch on the real engine: what was planted in the deal of the
// canary order is reported by the next run of all orders, and by no other, and is
// not in the deal any more after that.
func TestPlanted_FoundByARunOfAllOrders(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{policy: "cool_down: 1s\n", config: func(c *workers.Config) { c.CanaryOrder, c.PlantEvery = "canary-1", 4*time.Second }})
	o := anOrder("canary-1")
	b.accept(o)
	var planted reconciliation.Planted
	last := func() reconciliation.Planted {
		if c := b.status().Canary; c != nil && c.Last != nil {
			return *c.Last
		}
		return reconciliation.Planted{}
	}
	b.until("a break is planted", 60*time.Second, func() bool { planted = last(); return !planted.Made.IsZero() })
	if deals := readRecords(t, b.world, o).crm.Deals; len(deals) != 1 || deals[0].Revenue != planted.Wrong || planted.Wrong == planted.Right {
		t.Errorf("planted was %+v, and the deals are %+v", planted, deals)
	}
	settle()
	b.run(workflows.ReconcileInput{DryRun: true})
	if p := last(); !p.Found.IsZero() {
		t.Errorf("a dry run counts as one that found it: %+v", p)
	}
	report := b.run(workflows.ReconcileInput{})
	b.until("it is over", 30*time.Second, func() bool {
		p := last()
		return p.N > planted.N || p.N == planted.N && !p.Over.IsZero()
	})
	if c := b.status().Canary; c.LastFound.Before(planted.Made) || c.Missed != 0 || len(report.Sights) == 0 || !report.Sights[0].Shows(planted) {
		t.Errorf("the run saw %+v, and the status says %+v", report.Sights, c)
	}
}
