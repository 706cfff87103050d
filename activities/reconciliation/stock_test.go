package reconciliation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What has left and was committed is not promised any more; a run that counted
// it as such would have inventory's level set too high.
func TestUncommitted_OfWhatHasLeftInPart(t *testing.T) {
	t.Parallel()
	of := func(n int64) []order.Quantity { return []order.Quantity{{Line: 1, SKU: "A", Quantity: n}} }
	shipment := func(s reconcile.ShipmentState, n int64) reconcile.ShipmentIntent {
		return reconcile.ShipmentIntent{State: s, Lines: of(n)}
	}
	for name, c := range map[string]struct {
		reserved  int64
		shipments []reconcile.ShipmentIntent
		want      int64
	}{
		"nothing has left":                        {3, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentRequested, 3)}, 0},
		"it is promised and not requested yet":    {3, nil, 0},
		"all has left, nothing is committed":      {3, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 3)}, 3},
		"all has left and is committed":           {0, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentDelivered, 3)}, 0},
		"a part has left and is not committed":    {3, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 1), shipment(reconcile.ShipmentRequested, 2)}, 1},
		"a part has left and is committed":        {2, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 1), shipment(reconcile.ShipmentRequested, 2)}, 0},
		"a part of what has left is committed":    {3, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 2), shipment(reconcile.ShipmentRequested, 2)}, 1},
		"more is promised than was ever asked of": {9, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 1)}, 1},
	} {
		i := reconcile.Intent{Shipments: c.shipments}
		if c.reserved > 0 {
			i.Reserved = of(c.reserved)
		}
		if got := uncommitted([]Known{{Intent: i}}, "A"); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if got := uncommitted([]Known{{Intent: i}}, "B"); got != 0 {
			t.Errorf("%s: %d of another SKU", name, got)
		}
	}
}

// depot is stock, and what orders have of it. Levels and counts are read one by one.
type depot struct {
	Keeper
	Reader
	known         []Known // of the run
	elsewhere     []Known // promised, and not changed within it
	level, count  map[string]int64
	reserved      map[string]int64
	asked, looked int
	rule          func(*reconcile.Rule) // of levels; nil: the built-in one
	unread        string                // a SKU whose level cannot be read
	away          bool                  // no level can be
	later         time.Duration         // after noon, when it is compared
	slow          time.Duration         // to list what is promised
	heard         *hearing              // what is told of it meanwhile; nil: nobody listens
}

// rules is the policy by which levels are compared.
func (d *depot) rules() reconcile.Policy {
	p := reconcile.Default()
	for n := range p.Rules {
		if r := &p.Rules[n]; r.Field == reconcile.InventoryLevel && d.rule != nil {
			d.rule(r)
		}
	}
	return p
}

func (d *depot) Level(_ context.Context, sku string) (reconcile.Level, error) {
	d.looked++
	if sku == d.unread || d.away {
		return reconcile.Level{}, errors.New("no answer")
	}
	return reconcile.Level{SKU: sku, Stocked: d.level[sku], Reserved: d.reserved[sku]}, nil
}

func (d *depot) Count(_ context.Context, sku string) (reconcile.Count, error) {
	d.looked++
	return reconcile.Count{SKU: sku, Quantity: d.count[sku]}, nil
}

func (d *depot) Intents(_ context.Context, q IntentQuery) ([]Known, error) {
	d.asked++
	time.Sleep(d.slow)
	var all []Known
	for _, k := range append(append([]Known{}, d.known...), d.elsewhere...) {
		if k.Promises(q.SKUs...) && len(all) < q.Limit {
			all = append(all, k)
		}
	}
	return all, nil
}

// compare compares the stock of some SKUs, and says how long that took.
func (d *depot) compare(t *testing.T, perSecond float64, skus ...string) (Screened, time.Duration) {
	t.Helper()
	a := &Activities{
		Keeper: d, Levels: d, Counts: d, Policy: d.rules(), Sweeps: Sweeps{RunPerSecond: perSecond},
	}
	waited := time.Duration(0)
	a.Now = func() time.Time { return noon.Add(d.later + waited) }
	a.Wait = func(_ context.Context, d time.Duration) error { waited += d; return nil }
	out := Screened{SKUs: skus}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	if d.heard != nil {
		env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{d.heard}})
	}
	act := func(ctx context.Context) error { a.compareStock(ctx, d.known, &out); return nil }
	env.RegisterActivity(act)
	if _, err := env.ExecuteActivity(act); err != nil {
		t.Fatal(err)
	}
	return out, waited
}

// has is an order to which pieces of A are promised, and that changed its stock at a
// moment.
func has(id string, pieces int64, changed time.Time) Known {
	return Known{Intent: reconcile.Intent{
		Order: order.ID(id), PlacedAt: noon.Add(-day), Reserved: []order.Quantity{{Line: 1, SKU: "A", Quantity: pieces}},
		Changed: []reconcile.Changed{{System: order.SystemInventory, At: changed}},
	}}
}

// Goods in motion explain a difference of as many pieces, and no greater one: a SKU
// that is sold all day is compared all the same. It is not set before it is still.
func TestCompareStock_InMotion_ExplainsAsManyPiecesAndNoMore(t *testing.T) {
	t.Parallel()
	long, now := noon.Add(-day), noon.Add(-time.Second)
	for name, c := range map[string]struct {
		level, count, reserved  int64
		known                   []Known
		compared, moving, short int
		want                    *StockSuspect
	}{
		"it agrees":                          {10, 10, 2, []Known{has("1", 2, now)}, 1, 0, 0, nil},
		"two are on their way":               {10, 8, 2, []Known{has("1", 2, now)}, 0, 1, 0, nil},
		"one more is missing":                {10, 7, 2, []Known{has("1", 2, now)}, 1, 0, 0, &StockSuspect{SKU: "A", Level: 10, Count: 7, Moving: 2}},
		"one more came":                      {10, 13, 2, []Known{has("1", 2, now)}, 1, 0, 0, &StockSuspect{SKU: "A", Level: 10, Count: 13, Moving: 2}},
		"nothing is on its way":              {10, 9, 2, []Known{has("1", 2, long)}, 1, 0, 0, &StockSuspect{SKU: "A", Level: 10, Count: 9}},
		"some go without":                    {10, 3, 5, []Known{has("1", 2, long), has("2", 3, long)}, 1, 0, 1, &StockSuspect{SKU: "A", Level: 10, Count: 3}},
		"who goes without is not known yet":  {10, 1, 5, []Known{has("1", 2, now), has("2", 3, long)}, 1, 0, 0, &StockSuspect{SKU: "A", Level: 10, Count: 1, Moving: 2}},
		"less is promised than is there now": {4, 3, 5, []Known{has("1", 5, now)}, 0, 1, 0, nil},
	} {
		d := &depot{known: c.known, level: map[string]int64{"A": c.level}, count: map[string]int64{"A": c.count}, reserved: map[string]int64{"A": c.reserved}}
		out, _ := d.compare(t, 0, "A")
		if out.Compared != c.compared || len(out.InMotion) != c.moving || len(out.Short) != c.short {
			t.Errorf("%s: %d compared, %d in motion, short %+v", name, out.Compared, len(out.InMotion), out.Short)
		}
		if c.want != nil {
			c.want.Asked, c.want.Seen = noon, noon
		}
		if got := fmt.Sprintf("%+v", out.Stock); c.want == nil && len(out.Stock) > 0 || c.want != nil && got != fmt.Sprintf("%+v", []StockSuspect{*c.want}) {
			t.Errorf("%s: suspected is %s, want %+v", name, got, c.want)
		}
	}
}

// The tolerance leaves a difference of so many pieces alone, whichever way it is, and
// beside it goods in motion explain as many; who goes without is said all the same.
func TestCompareStock_Tolerance(t *testing.T) {
	t.Parallel()
	long, now := noon.Add(-day), noon.Add(-time.Second)
	for name, c := range map[string]struct {
		level, count, reserved           int64
		changed                          time.Time
		compared, moving, suspect, short int
	}{
		"as many too few":                   {8, 10, 2, long, 1, 0, 0, 0},
		"as many too many":                  {12, 10, 2, long, 1, 0, 0, 0},
		"one more too few":                  {7, 10, 2, long, 1, 0, 1, 0},
		"one more too many":                 {13, 10, 2, long, 1, 0, 1, 0},
		"as many beside those in motion":    {14, 10, 2, now, 0, 1, 0, 0},
		"one more beside those in motion":   {15, 10, 2, now, 1, 0, 1, 0},
		"a little too few, and promised":    {2, 1, 2, long, 1, 0, 0, 1},
		"far too few of them, and promised": {5, 1, 2, long, 1, 0, 1, 1},
	} {
		d := &depot{
			known: []Known{has("1", 2, c.changed)}, rule: func(r *reconcile.Rule) { r.Tolerance = 2 },
			level: map[string]int64{"A": c.level}, count: map[string]int64{"A": c.count}, reserved: map[string]int64{"A": c.reserved},
		}
		out, _ := d.compare(t, 0, "A")
		if out.Compared != c.compared || len(out.InMotion) != c.moving || len(out.Stock) != c.suspect || len(out.Short) != c.short {
			t.Errorf("%s: %d compared, %d in motion, suspected %+v, short %+v", name, out.Compared, len(out.InMotion), out.Stock, out.Short)
		}
	}
}

// Of more levels at odds than a run can hand over it takes so many, says of how many it
// does not, and takes none of them for right. Each has its turn, and what the orders
// are is verified all the while.
func TestCompareStock_MoreAtOddsThanOneRunTakes_SoManyAndTheOthersInTurn(t *testing.T) {
	t.Parallel()
	d := &depot{level: map[string]int64{}, count: map[string]int64{}, reserved: map[string]int64{}}
	var all []string
	for n := range mostOdd + 500 {
		sku := fmt.Sprintf("SKU-%04d", n)
		all, d.level[sku], d.count[sku] = append(all, sku), 5, 3
	}
	out, _ := d.compare(t, 0, all...)
	data, err := json.Marshal(out)
	if err != nil || len(data) > 512<<10 {
		t.Errorf("it hands over %d bytes, %v", len(data), err)
	}
	r := out.Report(RunReport{})
	if len(r.Levels) != mostOdd || len(r.Unseen) != 500 || !r.Complete() || out.Compared != mostOdd+500 {
		t.Errorf("%d levels differ, %d are not seen, complete is %t, and %d compared", len(r.Levels), len(r.Unseen), r.Complete(), out.Compared)
	}
	if !slices.ContainsFunc(r.Lines, func(line string) bool { return strings.Contains(line, "500 levels are at odds besides the 1000") }) {
		t.Errorf("the report says %q", r.Lines)
	}
	taken := map[string]bool{}
	for range 12 {
		out, _ := d.compare(t, 0, all...)
		for _, s := range out.Stock {
			taken[s.SKU] = true
			if slices.Contains(out.Unseen, s.SKU) {
				t.Errorf("%s is taken and waits", s.SKU)
			}
		}
		d.later += 15 * time.Minute
	}
	if len(taken) != len(all) {
		t.Errorf("of %d levels at odds %d had a turn in three hours", len(all), len(taken))
	}
	confirmed := ConfirmedAll{StockLines: slices.Repeat([]string{"stock"}, 150)}.Report(RunReport{})
	if n := len(confirmed.Lines); n != mostLines+1 || !strings.HasPrefix(confirmed.Lines[mostLines], "and 50 more") {
		t.Errorf("of 150 lines about stock %d are said, the last of them %q", n, confirmed.Lines[n-1])
	}
}

// What the policy ignores is not even read, and the report says that it was not compared.
func TestCompareStock_Ignored_NothingIsRead(t *testing.T) {
	t.Parallel()
	d := &depot{rule: func(r *reconcile.Rule) { r.Mode = reconcile.ModeIgnore }, level: map[string]int64{"A": 1}, count: map[string]int64{"A": 9}}
	out, _ := d.compare(t, 0, "A")
	if report := out.Report(RunReport{}); d.looked+d.asked != 0 || len(report.Levels) != 0 || !report.Stock.Ignored || report.Stock.Text(0) != "levels are not compared, for the policy ignores them" {
		t.Errorf("%d were read, and the report says %+v", d.looked, report)
	}
}

// What differs, what moves and what could not be read is told apart, for the rest is
// right and ends its clock.
func TestCompareStock_ReportsWhatIsNotRight(t *testing.T) {
	t.Parallel()
	d := &depot{
		known: []Known{has("1", 2, noon.Add(-time.Second))}, unread: "D",
		level: map[string]int64{"A": 10, "B": 5, "C": 5}, count: map[string]int64{"A": 8, "B": 3, "C": 5}, reserved: map[string]int64{},
	}
	out, _ := d.compare(t, 0, "A", "B", "C", "D")
	r := out.Report(RunReport{})
	if !slices.Equal(r.InMotion, []string{"A"}) || !slices.Equal(r.Unseen, []string{"D"}) || len(r.Levels) != 1 {
		t.Fatalf("in motion %v, not read %v, different %+v", r.InMotion, r.Unseen, r.Levels)
	}
	if b := r.Levels[0]; b.ID() != "inventory.level.mismatch.B" || b.Expected != "3" || b.Observed != "5" || b.Right != "warehouse" || !b.FirstSeen.Equal(noon) || !b.Confirmed.IsZero() {
		t.Errorf("the break is %+v", b)
	}
}

// A level that differs, or could not be compared, is looked at by every run until it is
// right again, also when no order has it any more and too many others are watched.
func TestStatus_Watched_WhatIsNotRight(t *testing.T) {
	t.Parallel()
	s := Status{SKUs: []string{"B", "D"}, Levels: []reconcile.Break{{Item: "C"}, {Item: "D"}}, Moving: []MovingLevel{{SKU: "A"}}}
	if got := skus(nil, s.watched()); !slices.Equal(got, []string{"A", "B", "C", "D"}) {
		t.Errorf("every run compares %v", got)
	}
}

// Goods in motion explain a difference, and may hide another: what could not be
// compared for longer than it may differ unseen is named, with since when.
func TestWaited_InMotionForLongerThanMayDifferUnseen_Named(t *testing.T) {
	t.Parallel()
	a := &Activities{Policy: reconcile.Default(), Now: func() time.Time { return noon }}
	status := Status{Moving: []MovingLevel{{"A", noon.Add(-16 * time.Minute)}, {"B", noon.Add(-14 * time.Minute)}, {"C", noon.Add(-time.Hour)}}}
	got := a.waited(status, []string{"D", "B", "A"}) // and C is still by now
	want := "stock A could not be compared since 2026-03-02T11:44:00Z (16m0s), which is longer than its notice_within of 15m0s: as many pieces as differ are on their way"
	if !slices.Equal(got, []string{want}) {
		t.Errorf("named are %q, want %q", got, want)
	}
}

// Orders that did not change within the run hold stock too. However many SKUs are at
// odds, these orders are listed once, and a level is suspected only with them.
func TestCompareStock_AtOdds_PromisedIsListedOnce(t *testing.T) {
	t.Parallel()
	d := &depot{level: map[string]int64{}, count: map[string]int64{}, reserved: map[string]int64{}}
	shipped := func(sku string) Known {
		k := has("old-"+sku, 0, noon.Add(-day))
		k.Intent.Reserved = []order.Quantity{{Line: 1, SKU: sku, Quantity: 2}}
		k.Intent.Shipments = []reconcile.ShipmentIntent{{Key: "s", State: reconcile.ShipmentShipped, Lines: k.Intent.Reserved}}
		return k
	}
	for _, sku := range []string{"A", "B", "C"} {
		d.level[sku], d.count[sku] = 10, 8 // two have left and are still promised
		d.elsewhere = append(d.elsewhere, shipped(sku))
	}
	d.count["C"] = 5
	out, _ := d.compare(t, 0, "A", "B", "C")
	if d.asked != 1 {
		t.Errorf("the orders were listed %d times", d.asked)
	}
	if want := fmt.Sprintf("%+v", []StockSuspect{{SKU: "C", Level: 10, Count: 5, Uncommitted: 2, Asked: noon, Seen: noon}}); fmt.Sprintf("%+v", out.Stock) != want || out.Truncated {
		t.Errorf("suspected are %+v, want %s", out.Stock, want)
	}
}

// To list what is promised every remembered order is walked past. A run is not given up for
// lost meanwhile, and nothing is told any more when it has them.
func TestCompareStock_PromisedTakesMinutes_SaysThatItLives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &depot{level: map[string]int64{"A": 2}, count: map[string]int64{"A": 1}, slow: 9*time.Minute + time.Second, heard: &hearing{}}
		d.compare(t, 0, "A")
		beats := len(d.heard.contexts())
		if want := 9 * 60 / int(beatEvery.Seconds()); beats < want || beats > want+8 { // and one after each read
			t.Errorf("within nine minutes %d heartbeats were told, want %d", beats, want)
		}
		time.Sleep(time.Minute)
		if more := len(d.heard.contexts()) - beats; more > 0 {
			t.Errorf("%d heartbeats were told after it was over", more)
		}
	})
}

// Ten thousand other orders take nothing away from those that are asked for; more of
// these than a run takes are said, and nothing passes for verified.
func TestCompareStock_PromisedToMoreThanARunTakes_Said(t *testing.T) {
	t.Parallel()
	for promised, truncated := range map[int]bool{mostOrders: false, mostOrders + 1: true} {
		d := &depot{level: map[string]int64{"A": 2}, count: map[string]int64{"A": 1}, reserved: map[string]int64{}}
		for n := range promised {
			d.elsewhere = append(d.elsewhere, has(fmt.Sprint(n), 1, noon.Add(-day)))
		}
		for n := range 2 * mostOrders {
			other := has(fmt.Sprintf("other-%d", n), 1, noon.Add(-day))
			other.Intent.Reserved[0].SKU = "B"
			d.known = append(d.known, other)
		}
		if out, _ := d.compare(t, 0, "A"); out.Truncated != truncated || (len(out.Missed) > 0) != truncated {
			t.Errorf("promised to %d: truncated is %t, %q", promised, out.Truncated, out.Missed)
		}
	}
}

// Levels and counts are read at the rate of runs.
func TestCompareStock_ReadsAtTheRateOfRuns(t *testing.T) {
	t.Parallel()
	d := &depot{level: map[string]int64{}, count: map[string]int64{}, reserved: map[string]int64{}}
	var skus []string
	for n := range 40 {
		skus = append(skus, fmt.Sprintf("S%d", n))
	}
	if _, took := d.compare(t, 20, skus...); took < 39*time.Second/20 || d.looked != 80 {
		t.Errorf("%d reads, 40 of each system, took %s", d.looked, took)
	}
}
