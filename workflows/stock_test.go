package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters/connect"
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
	virtual.Bubble(t, func(t *testing.T) {
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
	})
}

func TestStock_CorrectedByHand_NotOverwritten(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "a person counts", func() { w.edit(w.Warehouse, `{"sku":"MUG","on_hand":90,"reason":"counted"}`) })
		w.Run(5 * day)
		got := w.story("1")
		if got.OnHand["MUG"] != 88 || got.Levels["MUG"] != 88 || got.Levels["TSHIRT"] != 99 {
			t.Errorf("90 were counted and 2 left; the systems say %+v", got)
		}
	})
}

func TestStock_ContinuesAsNewWhileCommitsWait_NoneLost(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
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
	})
}

// A commit that met a count which makes no sense is tried again with what is so later,
// while the workflow of its SKU still knows that it failed; what was committed stays so.
func TestStock_CommitFailsOnceForGood_TriedAgainAndNotRepeated(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, FollowEvery: time.Minute})
		for n := range 4 {
			w.submit(time.Duration(n)*time.Minute, anOrder(fmt.Sprint(n+1)))
		}
		w.At(time.Hour, "a parcel leaves, and the warehouse counts less than none", func() {
			w.work("1", 1, "shipped")
			w.edit(w.Warehouse, `{"sku":"MUG","on_hand":-1,"reason":"left by force"}`)
		})
		w.At(time.Hour+10*time.Minute, "somebody corrects it", func() { w.edit(w.Warehouse, `{"sku":"MUG","on_hand":98,"reason":"counted"}`) })
		for n := range 3 { // they keep the workflow of the level open
			w.leaves(time.Hour+15*time.Minute+time.Duration(n)*30*time.Minute, order.ID(fmt.Sprint(n+2)), 1)
		}
		w.At(time.Hour+40*time.Minute, "look", func() {
			if got := w.story("1"); got.Reserved != 0 {
				t.Errorf("half an hour after it can be committed the systems say %+v", got)
			}
		})
		w.Run(3 * time.Hour)
		if got := w.story("1"); got.Levels["MUG"] != 92 || got.Levels["TSHIRT"] != 96 {
			t.Errorf("in the end the systems say %+v", got)
		}
		w.neverTooHigh("MUG", 2*time.Hour, 92)
	})
}

// A slip in the count is asked about while it is so, and not any longer than that.
func TestStock_CountSlipsAndIsCorrected_NobodyGoesWithoutAnyMore(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Stock: map[string]int{"MUG": 4, "TSHIRT": 100}})
		w.submit(0, anOrder("1"))
		w.submit(time.Minute, anOrder("2"))
		w.At(time.Hour, "the warehouse counts too few", func() { w.edit(w.Warehouse, `{"sku":"MUG","on_hand":2,"reason":"a slip"}`) })
		asked := w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(70*time.Minute, "it is corrected", func() {
			w.theCase("2", reconcile.InventoryReserved)
			w.edit(w.Warehouse, `{"sku":"MUG","on_hand":4,"reason":"counted again"}`)
		})
		w.runAt(72*time.Minute, workflows.ReconcileInput{Orders: []order.ID{"1"}})
		w.At(78*time.Minute, "a run over another order closes nothing", func() { w.theCase("2", reconcile.InventoryReserved) })
		w.runAt(80*time.Minute, workflows.ReconcileInput{})
		w.runAt(95*time.Minute, workflows.ReconcileInput{})
		w.At(105*time.Minute, "nobody is asked any more", func() {
			w.stands("2", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			if open := w.Verdict("2").Cases; len(open) != 0 {
				t.Errorf("the cases are %+v", open)
			}
		})
		w.Run(2 * time.Hour)
		if !says(asked, "2: 2 of MUG are missing, for the warehouse counts 2: a person decides") {
			t.Errorf("the first run says %q", asked.Lines)
		}
	})
}

// What is decided about stock that is not enough rests on what the warehouse counts in
// that moment, and not on what a run counted once.
func TestStock_CountChangedSinceTheRun_DecisionRestsOnWhatIsCountedNow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		count   int // by now
		as      workflows.Decision
		refused string // "" when it is carried out
		stays   string // what the case is about then
	}{
		"enough again":                   {4, workflows.DecideRelease, "there is enough again", ""},
		"one more, and still not enough": {3, workflows.DecideRelease, "has changed since", "1 more, 3 in the warehouse"},
		"less than that":                 {1, workflows.DecideAccept, "has changed since", "2 more, 1 in the warehouse"},
		"as it was":                      {2, workflows.DecideRelease, "", ""},
		"as it was, done by hand":        {2, workflows.DecideByHand, "the warehouse counts 2 of MUG", "2 more, 2 in the warehouse"},
		"one more, done by hand":         {3, workflows.DecideByHand, "the warehouse counts 3 of MUG", "2 more, 2 in the warehouse"},
		"enough again, done by hand":     {4, workflows.DecideByHand, "", ""},
		"the warehouse cannot be asked":  {-1, workflows.DecideAccept, "the warehouse system cannot be read now", "2 more, 2 in the warehouse"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand, Stock: map[string]int{"MUG": 4, "TSHIRT": 100}})
				w.submit(0, anOrder("1"))
				w.submit(time.Minute, anOrder("2"))
				w.At(time.Hour, "the warehouse counts too few", func() { w.edit(w.Warehouse, `{"sku":"MUG","on_hand":2,"reason":"a slip"}`) })
				w.runAt(66*time.Minute, workflows.ReconcileInput{})
				var decided *replied
				w.At(70*time.Minute, "it is counted once more, and decided", func() {
					n := w.theCase("2", reconcile.InventoryReserved)
					switch c.count {
					case -1:
						w.inject(w.Warehouse, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: 100})
					case 2:
					default:
						w.edit(w.Warehouse, fmt.Sprintf(`{"sku":"MUG","on_hand":%d,"reason":"counted again"}`, c.count))
					}
					decided = w.decide("2", n, c.as)
				})
				w.At(74*time.Minute, "look", func() {
					stays := ""
					for _, k := range w.Verdict("2").Cases {
						stays += k.Step.Break.Expected + ", " + k.Step.Break.Observed
					}
					if stays != c.stays {
						t.Errorf("the open cases are about %q, want %q", stays, c.stays)
					}
				})
				w.Run(75 * time.Minute)
				if decided.Err != nil || (decided.Refused == "") != (c.refused == "") || !strings.Contains(decided.Refused, c.refused) {
					t.Errorf("the answer is %+v, want it refused for %q", decided, c.refused)
				}
			})
		})
	}
}

// What is corrected between the two looks of a run is asked about nobody.
func TestStock_CountCorrectedWithinTheRun_NobodyIsAsked(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Stock: map[string]int{"MUG": 4, "TSHIRT": 100}})
		w.submit(0, anOrder("1"))
		w.submit(time.Minute, anOrder("2"))
		w.At(time.Hour, "the warehouse counts too few, and a level takes long to set", func() {
			w.edit(w.Warehouse, `{"sku":"MUG","on_hand":2,"reason":"a slip"}`)
			w.inject(w.Inventory, simulator.Fault{Operation: order.Adjust, Kind: simulator.Unavailable, Times: 4})
		})
		report := w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(66*time.Minute+5*time.Second, "it is corrected", func() {
			w.edit(w.Warehouse, `{"sku":"MUG","on_hand":4,"reason":"counted again"}`)
		})
		w.At(70*time.Minute, "look", func() {
			if open := w.Verdict("2").Cases; report.Stock.Repaired != 1 || report.Cases != 0 || len(open) != 0 {
				t.Errorf("the run says %q, and the cases are %+v", report.Lines, open)
			}
		})
		w.Run(80 * time.Minute)
	})
}

// What left a moment ago is in no count any more, and its order does not know it
// yet: a run that looks just then takes nobody for short, and sets no level.
func TestStock_LeavesWhileARunLooks_NobodyGoesWithout(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
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
	})
}

// An order commits what has left while a run is about to set the level: the run has
// seen its pieces as uncommitted, and nobody sells them a second time. That is so too
// where somebody has put the level to just what lies in the warehouse: the commit
// changes no number then.
func TestStock_CommitsWhileARunAligns_LevelNotTooHigh(t *testing.T) {
	t.Parallel()
	for name, edited := range map[string]int{"too low": 1, "as it is committed": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand, FollowEvery: 15 * time.Second, Stock: map[string]int{"AAA": 10, "MUG": 2, "TSHIRT": 100}})
				w.unannounced()
				w.submit(0, anOrder("1"))
				another := anOrder("2")
				another.Lines, another.Shipping, another.Total = []order.Line{{SKU: "AAA", Quantity: 1, UnitPrice: 100}}, 0, 100
				w.submit(0, another)
				w.At(50*time.Minute, "somebody edits two levels", func() {
					w.edit(w.Inventory, `{"sku":"AAA","stocked":4}`)
					w.edit(w.Inventory, fmt.Sprintf(`{"sku":"MUG","stocked":%d}`, edited))
				})
				w.At(time.Hour, "a parcel leaves, and the first of the levels takes long to set", func() {
					w.work("1", 1, "shipped")
					w.inject(w.Inventory, simulator.Fault{Operation: order.Adjust, Kind: simulator.Unavailable, Times: 4})
				})
				report := w.runAt(time.Hour+5*time.Second, workflows.ReconcileInput{})
				w.At(time.Hour+3*time.Minute, "it is committed", func() {
					if s := w.story("1"); s.Levels["MUG"] != 0 || s.Reserved != 0 || s.OnHand["MUG"] != 0 {
						t.Errorf("the systems say %+v", s)
					}
				})
				w.Run(time.Hour + 4*time.Minute)
				if !says(report, "stock MUG: inventory says "+fmt.Sprint(edited)+", the warehouse counts 0 and 2 have left uncommitted → left to the next run: ") || report.Stock.Repaired != 1 {
					t.Errorf("the run set %d levels, and says %q", report.Stock.Repaired, report.Lines)
				}
			})
		})
	}
}

// What commits behind a level that a run sets is in what the run has counted: it is
// not added once more.
func TestStock_CommitWaitsBehindAlign_CountedOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "somebody edits the level, and a parcel leaves", func() {
			w.edit(w.Inventory, `{"sku":"MUG","stocked":40}`)
			w.work("1", 1, "shipped")
		})
		w.At(2*time.Hour, "a run sets it, and while it counts the order commits", func() {
			seen := reconcile.Step{System: order.SystemInventory, Operation: order.Adjust, Break: reconcile.Break{
				System: order.SystemInventory, Field: reconcile.InventoryLevel, Situation: reconcile.Mismatch, Item: "MUG",
			}}
			granted, err := w.Client.Grant(t.Context(), reconciliation.GrantRequest{Run: "r", Wants: []reconcile.Want{reconcile.WantOf("", "", seen)}})
			w.fatal(err)
			w.inject(w.Warehouse, simulator.Fault{Operation: "*", Kind: simulator.Unavailable})
			for _, change := range []reconciliation.StockChange{
				{Key: "align", Uncommitted: 2, Grant: &granted.Grants[0], Level: 40, Count: 98, Asked: w.Now()},
				{Key: "commit", Quantity: 2},
			} {
				w.Later(func(ctx context.Context) {
					_, err := w.Client.Align(ctx, "MUG", change)
					w.Check(err)
				})
			}
		})
		w.Run(2*time.Hour + time.Minute)
		w.neverTooHigh("MUG", 2*time.Hour, 98)
	})
}

// A second attempt at a change whose first one is still under way is of the same goods.
func TestStock_SecondAttemptBehindTheFirst_CountedOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.submit(0, anOrder("2"))
		w.At(time.Hour, "two parcels leave", func() {
			w.work("1", 1, "shipped")
			w.work("2", 1, "shipped")
		})
		w.At(2*time.Hour, "they are committed, one of them twice", func() {
			w.inject(w.Warehouse, simulator.Fault{Operation: "*", Kind: simulator.Unavailable})
			for _, change := range []reconciliation.StockChange{
				{Key: "one", Quantity: 2}, {Key: "other", Quantity: 2}, {Key: "other", Quantity: 2, Attempt: "try 2"}, {Key: "one", Quantity: 2, Attempt: "try 2"},
			} {
				w.Later(func(ctx context.Context) {
					_, err := w.Client.Align(ctx, "MUG", change)
					w.Check(err)
				})
			}
		})
		w.Run(2*time.Hour + time.Minute)
		var sets []int64
		all, err := w.Inventory.Frame().Ledger(0, "")
		w.fatal(err)
		for _, e := range all {
			if e.Kind == simulator.EntryEffect && e.Operation == order.Adjust && e.At.After(virtual.Start) {
				sets = append(sets, e.Amount)
			}
		}
		if !slices.Equal(sets, []int64{98, 96}) {
			t.Errorf("the level was set to %v", sets)
		}
	})
}

// A SKU that is sold all day is never still. What its goods in motion do not explain is
// seen all the same, and set once they are still.
func TestStock_EditedByHandWhileSold_SeenAtOnceAndSetOnceStill(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
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
	})
}

// measuredOnce says whether a metric of a system counts one.
func measuredOnce(t *testing.T, m *connect.Metrics, name, labels string) bool {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return regexp.MustCompile(name + `\{.*` + labels + `.*\} 1\n`).MatchString(answer.Body.String())
}

func says(r *reconciliation.RunReport, part string) bool {
	return slices.ContainsFunc(r.Lines, func(l string) bool { return strings.Contains(l, part) })
}

// noneDiffers says that no level has a clock at an age, nor is in motion.
func (w *world) noneDiffers(age time.Duration) {
	w.t.Helper()
	w.At(age, "all levels are right", func() {
		if s := w.status(); len(s.Levels)+len(s.Moving) != 0 {
			w.t.Errorf("the levels that differ are %+v, in motion %+v", s.Levels, s.Moving)
		}
	})
}

// A level that somebody edits has one clock over all runs, also when reconciliation
// continues as new: last agreed is the run before, first seen the first that saw it.
// What a run sets is over when the next one finds it right, and how long that took is
// measured; noticed later than the policy wants it is counted.
func TestStock_EditedByHand_HasAClockUntilARunFindsItRight(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		metrics := connect.NewMetrics()
		w := open(t, virtual.Options{Pace: byHand, Metrics: metrics})
		w.submit(0, anOrder("1"))
		w.runAt(2*time.Hour, workflows.ReconcileInput{})
		w.At(2*time.Hour+time.Minute, "somebody edits the level, and levels are not set", func() {
			w.edit(w.Inventory, `{"sku":"MUG","stocked":40}`)
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{System: order.SystemInventory, Off: true, By: "me", Reason: "test"})
			w.Check(err)
		})
		first := w.runAt(5*time.Hour, workflows.ReconcileInput{})
		var seen reconcile.Break
		w.At(5*time.Hour+5*time.Minute, "seen", func() {
			all := w.status().Levels
			if len(all) != 1 {
				t.Errorf("the levels that differ are %+v", all)
				return
			}
			seen = all[0]
			if seen.Item != "MUG" || seen.Expected != "100" || seen.Observed != "40" || seen.LastAgreed.Sub(w.Moment(2*time.Hour)).Abs() > time.Minute ||
				seen.FirstSeen.Sub(w.Moment(5*time.Hour)).Abs() > time.Minute || seen.Confirmed.Before(seen.FirstSeen) || !seen.Repaired.IsZero() {
				t.Errorf("the level is %+v", seen)
			}
			w.SuggestContinue(workflows.ReconciliationID)
		})
		second := w.runAt(7*time.Hour, workflows.ReconcileInput{})
		w.At(7*time.Hour+5*time.Minute, "still", func() {
			if b, _ := w.status().LevelOf("MUG"); !b.FirstSeen.Equal(seen.FirstSeen) || !b.LastAgreed.Equal(seen.LastAgreed) || !b.Confirmed.Equal(seen.Confirmed) {
				t.Errorf("the clock was %s and is %s", seen.Clock(), b.Clock())
			}
			for _, r := range w.status().Reports {
				if len(r.Levels) != 0 {
					t.Errorf("report %s is kept with what the clocks have: %+v", r.Run, r.Levels)
				}
			}
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{System: order.SystemInventory, By: "me"})
			w.Check(err)
		})
		w.runAt(8*time.Hour, workflows.ReconcileInput{})
		w.At(8*time.Hour+5*time.Minute, "set", func() {
			if b, _ := w.status().LevelOf("MUG"); b.Repaired.Before(w.Moment(8*time.Hour)) || !b.Owned.Equal(b.Repaired) || !b.FirstSeen.Equal(seen.FirstSeen) {
				t.Errorf("once it was set the clock is %s", b.Clock())
			}
			if measuredOnce(t, metrics, workflows.RepairMetric+"_seconds_count", `system="inventory"`) {
				t.Error("it passes for over before anybody has looked again")
			}
		})
		last := w.runAt(9*time.Hour, workflows.ReconcileInput{})
		w.noneDiffers(9*time.Hour + 30*time.Minute)
		w.Run(10 * time.Hour)
		if strings.Contains(strings.Join(first.Lines, "\n"), "as seen since") || !says(second, ", as seen since "+seen.FirstSeen.Format(time.RFC3339)+" (2h0m") || !says(last, "stock MUG is right again; it was seen to differ for 4h0m") {
			t.Errorf("the runs say %q, %q and %q", first.Lines, second.Lines, last.Lines)
		}
		if late := "stock MUG: noticed late: up to 3h0m"; !says(first, late) || !says(first, ", 2h45m") || says(second, late) {
			t.Errorf("three hours after it agreed the run says %q, and the next one %q", first.Lines, second.Lines)
		}
		for name, labels := range map[string]string{
			workflows.DetectionMetric + "_seconds_count": `system="inventory"`, workflows.RepairMetric + "_seconds_count": `system="inventory"`,
			workflows.LateMetric + "_total": `field="inventory.level".*system="inventory"`,
		} {
			if !measuredOnce(t, metrics, name, labels) {
				t.Errorf("%s was not measured once", name)
			}
		}
	})
}

// The policy of levels is obeyed: what it reports, ignores or tolerates is not set, and
// only what it reports is said and has a clock.
func TestStock_EditedByHand_AsThePolicySays(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]struct {
		level int64
		found int
		line  string
	}{
		"mode: auto":                 {100, 1, "→ set to 100"},
		"mode: report":               {97, 1, "the warehouse counts 100 and 0 have left uncommitted → reported"},
		"mode: ignore":               {97, 0, ""},
		"mode: auto, tolerance: 3":   {97, 0, ""},
		"mode: auto, tolerance: 2":   {100, 1, "→ set to 100"},
		"mode: report, tolerance: 3": {97, 0, ""},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand, Policy: "mode: auto\nreturn_window: 24h\nfields: {inventory.level: {" + policy + "}}\n"})
				w.submit(0, anOrder("1"))
				w.At(time.Hour, "somebody edits the level", func() { w.edit(w.Inventory, `{"sku":"MUG","stocked":97}`) })
				would := w.runAt(2*time.Hour, workflows.ReconcileInput{DryRun: true})
				report := w.runAt(3*time.Hour, workflows.ReconcileInput{})
				w.At(4*time.Hour, "afterwards", func() {
					if got := w.story("1").Levels["MUG"]; got != want.level {
						t.Errorf("the level is %d, want %d", got, want.level)
					}
					if got := len(w.status().Levels); got != want.found {
						t.Errorf("%d levels have a clock, want %d", got, want.found)
					}
				})
				w.Run(5 * time.Hour)
				for _, b := range would.Levels {
					if !b.Repaired.IsZero() {
						t.Errorf("a dry run says that the level was set: %s", b.Clock())
					}
				}
				for _, r := range []*reconciliation.RunReport{would, report} {
					if r.Stock.Found != want.found || !says(r, want.line) && want.line != "" || want.line == "" && says(r, "MUG") || r.Stock.Ignored != (policy == "mode: ignore") {
						t.Errorf("a run found %d, want %d, and says %q, want %q in it", r.Stock.Found, want.found, r.Lines, want.line)
					}
				}
			})
		})
	}
}

// A level that a person puts right is over too, and passes for no repair of ours.
func TestStock_EditedByHand_PutRightByHand(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		metrics := connect.NewMetrics()
		w := open(t, virtual.Options{Pace: byHand, Metrics: metrics, Policy: "mode: report\nreturn_window: 24h\n"})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "somebody edits the level", func() { w.edit(w.Inventory, `{"sku":"MUG","stocked":97}`) })
		w.runAt(2*time.Hour, workflows.ReconcileInput{})
		w.At(3*time.Hour, "and back", func() {
			if b, differs := w.status().LevelOf("MUG"); !differs || !b.LastAgreed.IsZero() {
				t.Errorf("what no run had found right before is %+v", b)
			}
			w.edit(w.Inventory, `{"sku":"MUG","stocked":100}`)
		})
		report := w.runAt(4*time.Hour, workflows.ReconcileInput{})
		w.noneDiffers(4*time.Hour + 30*time.Minute)
		w.Run(5 * time.Hour)
		if !says(report, "stock MUG is right again") {
			t.Errorf("the run says %q", report.Lines)
		}
		for _, name := range []string{workflows.RepairMetric, workflows.DetectionMetric} {
			if measuredOnce(t, metrics, name+"_seconds_count", `system="inventory"`) {
				t.Errorf("%s was measured", name)
			}
		}
	})
}

// What somebody sets back each time has another writer: it is left alone and said, and
// set again once that is over.
func TestStock_SetBackAgainAndAgain_LeftToWhoeverWritesIt(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		var reports []*reconciliation.RunReport
		for n := range 8 {
			age := time.Hour + time.Duration(n)*15*time.Minute
			w.At(age, "a connector writes its level", func() { w.edit(w.Inventory, `{"sku":"MUG","stocked":40}`) })
			reports = append(reports, w.runAt(age+time.Minute, workflows.ReconcileInput{}))
		}
		w.At(4*time.Hour, "the connector stops, and somebody puts the level right", func() {
			sets := 0
			for _, r := range reports {
				sets += r.Stock.Repaired
			}
			last := reports[len(reports)-1]
			if sets < 1 || sets > 3 || !says(last, "and is 40 again: somebody else writes it") || says(reports[0], "somebody else") {
				t.Errorf("runs have set the level %d times, and the last says %q", sets, last.Lines)
			}
			w.edit(w.Inventory, `{"sku":"MUG","stocked":100}`)
		})
		w.runAt(4*time.Hour+10*time.Minute, workflows.ReconcileInput{})
		w.runAt(4*time.Hour+30*time.Minute, workflows.ReconcileInput{})
		w.At(5*time.Hour, "somebody edits it once more", func() { w.edit(w.Inventory, `{"sku":"MUG","stocked":40}`) })
		after := w.runAt(5*time.Hour+time.Minute, workflows.ReconcileInput{})
		w.Run(6 * time.Hour)
		if after.Stock.Repaired != 1 {
			t.Errorf("once that is over a run says %q", after.Lines)
		}
	})
}

// Those who wait for a level to be set have a queue of their own: while inventory takes no
// writes they would fill the one by which feeds are followed and runs are made.
func TestStock_CommitsWait_InAQueueOfTheirOwn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		queues := map[string]string{}
		w.Scheduled = func(_, activity string, o workflow.ActivityOptions) { queues[activity] = o.TaskQueue }
		w.submit(0, anOrder("1"))
		w.Run(2 * day)
		if queues["CommitStock"] != workflows.CommitQueue || queues["FollowChanges"] != workflows.ReconciliationQueue {
			t.Errorf("the queues are %v", queues)
		}
	})
}

// What a run asks of a level is refused at once while anything else is under way with
// it: a commit, or another run. And where a system cannot be read nothing is written, and
// the run's grant is free again.
func TestStock_RunAsksWhileItIsBusyOrUnread_LeftToTheNextRun(t *testing.T) {
	t.Parallel()
	asks := func(w *world, key string, into *error) {
		w.Later(func(ctx context.Context) {
			_, *into = w.Client.Align(ctx, "MUG", reconciliation.StockChange{
				Key: key, Level: 100, Count: 100, Asked: w.Now(), Grant: &repair.Grant{N: 1, Expires: w.Now().Add(10 * time.Minute), For: reconcile.Want{
					Kind: reconcile.Kind{System: order.SystemInventory, Field: reconcile.InventoryLevel, Situation: reconcile.Mismatch}, Item: "MUG",
				}},
			})
		})
	}
	for name, c := range map[string]struct {
		before       func(w *world, first *error)
		reason, want string
	}{
		"a commit is under way": {func(w *world, first *error) {
			w.Later(func(ctx context.Context) {
				_, *first = w.Client.Align(ctx, "MUG", reconciliation.StockChange{Key: "order/1/commit/1", Quantity: 2})
			})
		}, reconciliation.LevelMovedReason, "what has left is being committed"},
		"another run is at it": {func(w *world, first *error) { asks(w, "run 1", first) }, reconciliation.LevelMovedReason, "another run is at it"},
		"the warehouse is down": {func(w *world, _ *error) {
			w.inject(w.Warehouse, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		}, reconciliation.LevelUnreadReason, "the warehouse does not count it: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand})
				w.submit(0, anOrder("1"))
				var first, second error
				w.At(time.Hour, "something is under way", func() {
					w.inject(w.Inventory, simulator.Fault{Operation: order.Adjust, Kind: simulator.Unavailable, Times: -1})
					c.before(w, &first)
				})
				w.At(time.Hour+20*time.Second, "a run asks", func() { asks(w, "run 2", &second) })
				w.At(2*time.Hour, "all is well again", func() { w.Inventory.Frame().Clear("*"); w.Warehouse.Frame().Clear("*") })
				w.Run(4 * time.Hour)
				told, is := errors.AsType[*temporal.ApplicationError](second)
				if !is || told.Type() != c.reason || !strings.HasPrefix(told.Message(), c.want) {
					t.Errorf("it is answered %v", second)
				}
			})
		})
	}
}

// A level that cannot be set, for inventory takes no writes, holds up no run and no
// order: the run says so, does the rest and ends, and the next one sets it.
func TestStock_InventoryTakesNoWrites_RunEndsAndSaysSo(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		w.At(2*time.Hour, "somebody types wrong, and loses a deal", func() {
			w.inject(w.Inventory, simulator.Fault{Operation: order.Adjust, Kind: simulator.Unavailable, Times: -1})
			w.edit(w.Inventory, `{"sku":"MUG","stocked":130}`)
			w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
		})
		first := w.runAt(2*time.Hour+10*time.Minute, workflows.ReconcileInput{})
		w.At(2*time.Hour+15*time.Minute, "it has ended", func() {
			if first.Finished.IsZero() || first.Repaired != 1 || first.Stock.Repaired != 0 ||
				!says(first, "stock MUG: inventory says 130, the warehouse counts 100 and 0 have left uncommitted → not set: set stock level: set the stock level of MUG to 100: medusa: HTTP 503") {
				t.Errorf("the run is %+v", first)
			}
		})
		w.At(150*time.Minute, "inventory takes writes again", func() { w.Inventory.Frame().Clear("*") })
		second := w.runAt(160*time.Minute, workflows.ReconcileInput{})
		w.runAt(3*time.Hour, workflows.ReconcileInput{})
		w.noneDiffers(190 * time.Minute)
		w.Run(4 * time.Hour)
		if second.Stock.Repaired != 1 {
			t.Errorf("the second run is %+v", second)
		}
		if n := len(w.effects(w.Inventory, order.Adjust, "")); n != 1 {
			t.Errorf("the level was set %d times", n)
		}
	})
}

// An order whose goods are on their way for hours explains a small difference all the
// time: that nobody can compare the level is said once it lasts too long, and ends.
func TestStock_InMotionForLong_NamedWithSinceWhen(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "a parcel leaves, and its level cannot be set", func() {
			w.inject(w.Inventory, simulator.Fault{Operation: order.Adjust, Kind: simulator.Unavailable, Times: -1})
			w.work("1", 1, "shipped")
		})
		w.At(2*time.Hour, "somebody edits it", func() { w.edit(w.Inventory, `{"sku":"MUG","stocked":101}`) })
		first := w.runAt(2*time.Hour+10*time.Minute, workflows.ReconcileInput{})
		early := w.runAt(2*time.Hour+20*time.Minute, workflows.ReconcileInput{})
		long := w.runAt(2*time.Hour+30*time.Minute, workflows.ReconcileInput{})
		w.At(2*time.Hour+35*time.Minute, "said", func() {
			if s := w.status(); len(s.Moving) != 1 || s.Moving[0].SKU != "MUG" || s.Moving[0].Since.Sub(w.Moment(2*time.Hour+10*time.Minute)).Abs() > time.Minute || len(s.Levels) != 0 {
				t.Errorf("in motion is %+v, and different %+v", s.Moving, s.Levels)
			}
			w.Inventory.Frame().Clear("*")
		})
		after := w.runAt(4*time.Hour, workflows.ReconcileInput{})
		w.noneDiffers(4*time.Hour + 30*time.Minute)
		w.Run(5 * time.Hour)
		const line = "stock MUG could not be compared since "
		if says(first, line) || says(early, line) || !says(long, line) || says(after, line) || first.Stock.Moving != 1 || after.Stock.Moving != 0 {
			t.Errorf("the runs say %q, %q, %q and %q", first.Lines, early.Lines, long.Lines, after.Lines)
		}
	})
}
