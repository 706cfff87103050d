package workflows

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// levelBegan is when the runs of these tests begin.
var levelBegan = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// levelKeeper is reconciliation that nobody has told of any level yet.
func levelKeeper() *keeper {
	return &keeper{KeeperState: &KeeperState{Status: reconciliation.Status{}}, settings: Settings{Policy: reconcile.Default()}}
}

// saw has the keeper take in a run's report as it does.
func (k *keeper) saw(r *reconciliation.RunReport) {
	k.watch(r)
	k.levels(r, r.Started.Add(time.Minute))
}

// differs is a level as a run saw it.
func differs(sku string, at time.Time) reconcile.Break {
	return reconcile.Break{
		System: order.SystemInventory, Field: reconcile.InventoryLevel, Situation: reconcile.Mismatch, Item: sku,
		Expected: "3", Observed: "4", Right: "warehouse", FirstSeen: at, Confirmed: at.Add(time.Second),
	}
}

// levelModel is what is to be known of one level.
type levelModel struct {
	agreed, moving time.Time
	open           *reconcile.Break
}

// next says what is to be known of it after a run that saw it so.
func (m levelModel) next(sku, as string, started time.Time) levelModel {
	switch as {
	case "right":
		return levelModel{agreed: started}
	case "gone":
		return levelModel{}
	case "moving":
		if m.moving.IsZero() {
			m.moving = started.Add(time.Minute)
		}
	case "differs":
		if m.open == nil {
			b := differs(sku, started)
			b.LastAgreed = m.agreed
			m.open = &b
		}
		m.agreed, m.moving = time.Time{}, time.Time{}
	}
	return m
}

// Whatever runs see of levels, in whatever order, and through every continuation: each
// has the clock of its own story. What could not be compared changes nothing.
func TestProperty_LevelClocks_EachTellsItsOwnStory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k, model := levelKeeper(), map[string]levelModel{}
		for n := range rapid.IntRange(1, 12).Draw(t, "runs") {
			only := rapid.Bool().Draw(t, "some orders alone")
			r := &reconciliation.RunReport{Only: only, Started: levelBegan.Add(time.Duration(n) * 15 * time.Minute)}
			for _, sku := range []string{"A", "B", "C", "D"} {
				as := rapid.SampledFrom([]string{"right", "differs", "moving", "unseen", "gone", "not asked"}).Draw(t, sku)
				if as != "not asked" {
					r.SKUs = append(r.SKUs, sku)
				}
				switch as {
				case "differs":
					r.Levels = append(r.Levels, differs(sku, r.Started))
				case "moving":
					r.InMotion = append(r.InMotion, sku)
				case "unseen":
					r.Unseen = append(r.Unseen, sku)
				case "gone":
					r.Gone = append(r.Gone, sku)
				}
				if only && (as == "right" || as == "moving") { // it does not know enough to say so
					as = "not asked"
				}
				model[sku] = model[sku].next(sku, as, r.Started)
			}
			k.saw(r)
			twin, err := copied(k.KeeperState) // it continues as new
			if err != nil {
				t.Fatal(err)
			}
			k.KeeperState = twin
			k.check(t, model)
		}
	})
}

func (k *keeper) check(t *rapid.T, model map[string]levelModel) {
	var open []reconcile.Break
	var moving []reconciliation.MovingLevel
	for _, sku := range []string{"A", "B", "C", "D"} {
		m := model[sku]
		if m.open != nil {
			open = append(open, *m.open)
		} else if got := k.agreed(sku); !got.Equal(m.agreed) {
			t.Fatalf("%s agreed last %s, want %s", sku, got, m.agreed)
		}
		if !m.moving.IsZero() {
			moving = append(moving, reconciliation.MovingLevel{SKU: sku, Since: m.moving})
		}
	}
	if fmt.Sprint(k.Status.Levels) != fmt.Sprint(open) || fmt.Sprint(k.Status.Moving) != fmt.Sprint(moving) {
		t.Fatalf("the levels that differ are\n%+v, want\n%+v\nin motion %+v, want %+v", k.Status.Levels, open, k.Status.Moving, moving)
	}
}

// No more clocks are kept than SKUs are watched, and the run says how many have none;
// what the policy begins to ignore has none at all.
func TestLevelClocks_BoundedAndEnded(t *testing.T) {
	t.Parallel()
	k, r := levelKeeper(), &reconciliation.RunReport{Started: levelBegan}
	for n := range mostWatched + 7 {
		sku := fmt.Sprintf("S%05d", n)
		r.SKUs = append(r.SKUs, sku)
		if n%2 == 0 {
			r.InMotion = append(r.InMotion, sku)
		}
		r.Levels = append(r.Levels, differs(sku, levelBegan))
	}
	slices.Reverse(r.Levels)
	k.saw(r)
	if len(k.Status.Levels) != mostWatched || len(k.Status.Moving) > mostWatched || !slices.IsSortedFunc(k.Status.Levels, func(x, y reconcile.Break) int { return strings.Compare(x.Item, y.Item) }) {
		t.Errorf("%d clocks are kept, and %d in motion", len(k.Status.Levels), len(k.Status.Moving))
	}
	if !slices.Contains(r.Lines, "7 levels that differ have no clock yet: those of 1000 are kept, and no more") {
		t.Errorf("the run says %q", r.Lines)
	}
	ignored := &reconciliation.RunReport{Started: levelBegan.Add(time.Hour), SKUs: r.SKUs, Stock: reconciliation.StockReport{Ignored: true}}
	k.saw(ignored)
	if len(k.Status.Levels)+len(k.Status.Moving)+len(k.Agreed) != 0 || len(ignored.Lines) > 1 {
		t.Errorf("what is ignored has %d clocks, and the run says %q", len(k.Status.Levels), ignored.Lines)
	}
}

// A run of an older release says nothing of levels but how many differed: what it found
// is not taken for right, and a state without clocks is read as one that has none yet.
func TestLevelClocks_OfAnOlderRelease(t *testing.T) {
	t.Parallel()
	k := levelKeeper()
	if err := json.Unmarshal([]byte(`{"status":{"since":"2026-03-02T12:00:00Z","verified_through":"2026-03-02T12:00:00Z","outstanding":0,"next_grant":1,"skus":["A"]}}`), k.KeeperState); err != nil {
		t.Fatal(err)
	}
	k.saw(&reconciliation.RunReport{Started: levelBegan, SKUs: []string{"A"}, Stock: reconciliation.StockReport{Compared: 1, Found: 1}})
	if !k.agreed("A").IsZero() || len(k.Status.Levels) != 0 {
		t.Errorf("A agreed last %s, and differ %+v", k.agreed("A"), k.Status.Levels)
	}
	first := levelBegan.Add(time.Hour)
	k.saw(&reconciliation.RunReport{Started: first, SKUs: []string{"A"}, Stock: reconciliation.StockReport{Compared: 1, Found: 1}, Levels: []reconcile.Break{differs("A", first)}})
	if want := []reconcile.Break{differs("A", first)}; !reflect.DeepEqual(k.Status.Levels, want) {
		t.Errorf("differ %+v, want %+v", k.Status.Levels, want)
	}
}
