package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// neverTooHigh says that whenever the level of a SKU was set, it was at most
// what lay in the warehouse and what had left but was still promised. It reads
// the inventory's own ledger, whose order is that of its transactions.
func (w *world) neverTooHigh(sku string, since time.Duration, onHand int64) {
	w.t.Helper()
	all, err := w.Inventory.Frame().Ledger(0, "")
	w.fatal(err)
	promised, sets := int64(0), 0
	for _, e := range all {
		if e.Kind != simulator.EntryEffect || e.Detail != sku {
			continue
		}
		switch e.Operation {
		case order.Reserve:
			promised += e.Amount
		case order.Release, order.Commit:
			promised -= e.Amount
		case order.Adjust:
			if e.At.Before(virtual.Start.Add(since)) {
				continue
			}
			sets++
			if e.Amount > onHand+promised {
				w.t.Errorf("at %s the level was set to %d; %d lie in the warehouse and %d are promised", e.At.Sub(virtual.Start), e.Amount, onHand, promised)
			}
		}
	}
	if sets == 0 {
		w.t.Errorf("the level of %s was never set", sku)
	}
}

func TestStock_ManyCommitsAtOnce_LevelNeverTooHigh(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{})
	w.inject(w.Inventory, simulator.Fault{Operation: order.Adjust, Kind: simulator.ResponseLost, Skip: 1})
	for i := range 4 { // all leave before the change feed is read again
		w.submit(time.Duration(i)*time.Minute, anOrder(fmt.Sprint(i)))
	}
	w.Run(5 * day)
	w.neverTooHigh("MUG", 2*time.Hour, 92)
	w.neverTooHigh("TSHIRT", 2*time.Hour, 96)
	for i := range 4 {
		id := order.ID(fmt.Sprint(i))
		got := w.story(id)
		if got.Levels["MUG"] != 92 || got.Levels["TSHIRT"] != 96 || got.Reserved != 0 {
			t.Errorf("in the end the systems say %+v", got)
		}
		w.closedAs(id, order.PhaseClosed)
	}
	if _, _, open := w.Runs(workflows.StockWorkflowID("MUG")); open {
		t.Error("the workflow of the level is still open")
	}
}

func TestStock_CorrectedByHand_NotOverwritten(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{})
	w.submit(0, anOrder("1"))
	w.At(time.Hour, "a person counts", func() { w.edit(w.Warehouse, `{"sku":"MUG","on_hand":90,"reason":"counted"}`) })
	w.Run(5 * day)
	got := w.story("1")
	if got.OnHand["MUG"] != 88 || got.Levels["MUG"] != 88 || got.Levels["TSHIRT"] != 99 {
		t.Errorf("90 were counted and 2 left; the systems say %+v", got)
	}
}

func TestStock_ContinuesAsNewWhileCommitsWait_NoneLost(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{})
	w.submit(0, anOrder("1"))
	w.submit(0, anOrder("2"))
	w.At(time.Hour, "levels cannot be set", func() {
		w.inject(w.Inventory, simulator.Fault{Operation: order.Adjust, Kind: simulator.Unavailable, Times: -1})
	})
	w.At(3*time.Hour+10*time.Second, "the engine suggests to continue", func() {
		w.SuggestContinue(workflows.StockWorkflowID("MUG"))
		w.submit(w.Age()+time.Second, anOrder("3")) // wakes nobody; only more work
	})
	w.At(3*time.Hour+2*time.Minute, "levels can be set", func() { w.Inventory.Frame().Clear("*") })
	w.Run(5 * day)
	for _, id := range []order.ID{"1", "2", "3"} {
		if got := w.story(id); got.Levels["MUG"] != 94 || got.Reserved != 0 {
			t.Errorf("in the end the systems say %+v", got)
		}
		w.closedAs(id, order.PhaseClosed)
	}
	if _, continued, _ := w.Runs(workflows.StockWorkflowID("MUG")); continued == 0 {
		t.Error("it never continued as new")
	}
}

// What left a moment ago is in no count any more, and its order does not know it
// yet: a run that looks just then takes nobody for short, and sets no level.
func TestStock_LeavesWhileARunLooks_NobodyGoesWithout(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{Pace: byHand, Stock: map[string]int{"MUG": 4, "TSHIRT": 2}})
	w.submit(0, anOrder("1"))
	w.submit(time.Minute, anOrder("2"))
	w.At(time.Hour, "a parcel leaves, and a run looks", func() {
		w.work("1", 1, "shipped")
		w.Later(func(ctx context.Context) {
			report, err := w.Client.Reconcile(ctx, workflows.ReconcileInput{})
			w.Check(err)
			if report.Stock.Repaired != 0 || report.Cases != 0 {
				t.Errorf("the run set %d levels and opened %d cases: %v", report.Stock.Repaired, report.Cases, report.Lines)
			}
		})
	})
	w.At(2*time.Hour, "look", func() {
		w.stands("2", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
		if s := w.story("1"); s.Levels["MUG"] != 2 || s.Levels["TSHIRT"] != 1 {
			t.Errorf("when one of two has left the systems say %+v", s)
		}
	})
	w.leaves(3*time.Hour, "2", 1)
	w.Run(5 * day)
	w.closedAs("2", order.PhaseClosed)
}

// A SKU that is sold all day is never still. What its goods in motion do not explain is
// seen all the same, and set once they are still.
func TestStock_EditedByHandWhileSold_SeenAtOnceAndSetOnceStill(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{Pace: byHand})
	run := func(repaired int, line string) {
		w.Later(func(ctx context.Context) {
			report, err := w.Client.Reconcile(ctx, workflows.ReconcileInput{})
			w.Check(err)
			if report.Stock.Repaired != repaired || !slices.ContainsFunc(report.Lines, func(l string) bool { return strings.Contains(l, line) }) {
				t.Errorf("the run set %d levels, want %d, and says %q, want %q in it", report.Stock.Repaired, repaired, report.Lines, line)
			}
		})
	}
	w.submit(0, anOrder("1"))
	w.At(time.Hour, "one more is sold, and somebody edits the level", func() {
		w.submit(w.Age()+time.Second, anOrder("2"))
		w.edit(w.Inventory, `{"sku":"MUG","stocked":40}`)
	})
	w.At(time.Hour+20*time.Second, "a run looks", func() {
		run(0, "stock MUG: inventory says 40, the warehouse counts 100 and 0 have left uncommitted, and no more than 4 are on their way → set once these are still")
	})
	w.At(3*time.Hour, "another one", func() { run(1, "→ set to 100") })
	w.Run(5 * day)
	if got := w.story("1"); got.Levels["MUG"] != 100 {
		t.Errorf("in the end the systems say %+v", got)
	}
}
