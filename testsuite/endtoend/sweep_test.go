package endtoend

import (
	"errors"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// TestSweep_DayOfNoOrders sweeps the newest sealed day on the real engine, which
// is before the engine began: it is complete, and today is refused. An accepted
// order is listed with its day, with what it means the systems to say.
func TestSweep_DayOfNoOrders(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("swept")
	b.accept(o)
	now := time.Now()
	if _, err := b.orders.Sweep(t.Context(), workflows.SweepInput{Day: now}); !errors.Is(err, starters.ErrNotNow) {
		t.Errorf("today was swept: %v", err)
	}
	report, err := b.orders.Sweep(t.Context(), workflows.SweepInput{Day: now.Add(-2 * reconciliation.Day)})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Complete() || report.Looked != 0 || report.Swept.Shards != 1 || report.Swept.Kept != 0 {
		t.Errorf("a day of no orders: %s", report.SweptText())
	}
	if c := b.status().Coverage; len(c.Ages) == 0 || len(c.Partial) != 0 || !c.Through.IsZero() {
		t.Errorf("the coverage is %+v", c)
	}
	b.until("visibility lists the order with its day", 30*time.Second, func() bool { return b.listed(o) })
}

// listed says whether visibility lists an order with its day, and what it means.
func (b *bundle) listed(o order.Order) bool {
	for page := ""; ; {
		known, next, err := b.orders.DayIntents(b.t.Context(), reconciliation.DayOf(o.PlacedAt), reconcile.Shard{}, page)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, k := range known {
			if k.Intent.Order == o.ID && k.Intent.PlacedAt.Equal(o.PlacedAt) && k.Running {
				return true
			}
		}
		if page = next; next == "" {
			return false
		}
	}
}
