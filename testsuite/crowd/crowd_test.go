package crowd

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/world"
	"github.com/trueup-orders/trueup/workers"
)

// filled opens a world, loads a crowd into it, and connects the six adapters.
func filled(t *testing.T, c *Crowd) []reconciliation.SystemReader {
	t.Helper()
	w, err := world.Open(world.Options{Dir: t.TempDir(), Stock: Stock()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	if err := c.Load(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	systems, err := w.Configure(workers.Config{Channel: Channel}).Connect(simulator.RealClock{}.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	return systems.Readers()
}

// look reads one order in all six systems, strongly, and compares.
func look(ctx context.Context, readers []reconciliation.SystemReader, c *Crowd, n int) (reconcile.Intent, []reconcile.Observation, error) {
	l := c.Life(n)
	seen := make([]reconcile.Observation, len(readers))
	for k, r := range readers {
		at := simulator.RealClock{}.Now()
		o, err := r.Reader.Lookup(ctx, l.Subject())
		if err != nil {
			return reconcile.Intent{}, nil, fmt.Errorf("order %d: %w", n, err)
		}
		seen[k] = reconcile.Read(r.System, l.Order.ID, at, o, nil)
	}
	return c.Intent(n, simulator.RealClock{}.Now()), seen, nil
}

func everyone(c *Crowd, f func(n int) error) error {
	var g errgroup.Group
	g.SetLimit(4)
	for n := range c.Len() {
		g.Go(func() error { return f(n) })
	}
	return g.Wait()
}

// What is loaded agrees with what the orders mean, in every system and by the
// eyes of the very adapters that go to production.
func TestLoad_EveryOrderAgrees(t *testing.T) {
	t.Parallel()
	c := &Crowd{Seed: 1, Orders: 180, Recent: 20, PerDay: 30, Waiting: 80, AsOf: simulator.RealClock{}.Now()}
	readers := filled(t, c)
	policy := reconcile.Default().WithMode(reconcile.ModeAuto)
	phases := make([]order.Phase, c.Len())
	err := everyone(c, func(n int) error {
		intent, seen, err := look(t.Context(), readers, c, n)
		if err != nil {
			return err
		}
		phases[n] = intent.Phase
		compared := reconcile.Compare(intent, policy, seen, nil, nil, simulator.RealClock{}.Now())
		if len(compared.Breaks)+len(compared.Settling)+len(compared.Unread) > 0 || len(compared.Judged) != len(readers) {
			t.Errorf("order %d, %s: %+v", n, intent.Phase, compared)
		}
		// Nothing agrees only because nothing is there.
		for k, o := range seen {
			if intent.Phase.PastPivot() && o.State != reconcile.Present && readers[k].System != order.SystemInventory {
				t.Errorf("order %d is %s and absent in %s", n, intent.Phase, readers[k].System)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []order.Phase{order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered, order.PhaseCancelled, order.PhaseFailed} {
		if !slices.Contains(phases, p) {
			t.Errorf("no order is %s", p)
		}
	}
}

// Each kind of break is found by the pure core as what it was planted for, and
// what would be done about it is what the rules say; nothing else is found.
func TestPlant_EachKindIsFoundAndNothingElse(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs with the slow ones")
	}
	t.Parallel()
	c := &Crowd{Seed: 7, Orders: 360, PerDay: 60, Waiting: 150, AsOf: simulator.RealClock{}.Now()}
	kinds := len(Kinds())
	if err := c.Plant(kinds, kinds); err != nil {
		t.Fatal(err)
	}
	readers := filled(t, c)
	policy := reconcile.Default().WithMode(reconcile.ModeAuto)
	err := everyone(c, func(n int) error {
		planted, is := c.planted[n]
		if !is && n%3 != 0 { // that the others agree is a test of its own
			return nil
		}
		intent, seen, err := look(t.Context(), readers, c, n)
		if err != nil {
			return err
		}
		now := simulator.RealClock{}.Now()
		compared := reconcile.Compare(intent, policy, seen, nil, nil, now)
		for i := range compared.Breaks {
			compared.Breaks[i].Confirmed = now
		}
		steps := reconcile.Plan(policy, intent, compared.Breaks, seen, nil)
		switch {
		case !is && len(compared.Breaks)+len(compared.Settling) > 0:
			t.Errorf("order %d, %s: nothing was planted, and found is %+v", n, intent.Phase, compared)
		case is && planted.Settling && (len(compared.Breaks) > 0 || len(compared.Settling) == 0):
			t.Errorf("%s: found is %+v", planted, compared)
		case is && !planted.Settling:
			if problem := planted.Found(steps); problem != "" {
				t.Errorf("%s: %s", planted, problem)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Looking many orders up at once shows what looking each up shows, broken ones
// and unknown ones among them.
func TestLookupMany_AsOneByOne(t *testing.T) {
	t.Parallel()
	c := &Crowd{Seed: 7, Orders: 360, PerDay: 60, Waiting: 150, AsOf: simulator.RealClock{}.Now()}
	if err := c.Plant(len(Kinds()), 0); err != nil {
		t.Fatal(err)
	}
	subjects := []reconcile.Subject{{Order: "C_0000001", PlacedAt: c.AsOf.Add(-time.Hour), Currency: "EUR"}}
	for _, p := range c.Planted() {
		subjects = append(subjects, c.Life(p.N).Subject())
	}
	able := 0
	for _, r := range filled(t, c) {
		many, can := r.Reader.(reconciliation.ManyReader)
		if !can {
			continue
		}
		able++
		all, err := many.LookupMany(t.Context(), subjects)
		if err != nil || len(all) != len(subjects) {
			t.Fatalf("%s: %d of %d: %v", r.System, len(all), len(subjects), err)
		}
		present := 0
		for n, s := range subjects {
			one, err := r.Reader.Lookup(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			one.At, all[n].At = time.Time{}, time.Time{}
			withoutFailedRefunds(&one)
			withoutFailedRefunds(&all[n])
			if !reflect.DeepEqual(one, all[n]) {
				t.Errorf("%s of order %s:\none by one %+v\ntogether   %+v", r.System, s.Order, one, all[n])
			}
			if one.State == reconcile.Present {
				present++
			}
		}
		if present < len(subjects)/2 && (r.System != order.SystemInventory || present == 0) { // most hold no stock any more
			t.Errorf("%s: only %d of %d are there", r.System, present, len(subjects))
		}
		if none, err := many.LookupMany(t.Context(), nil); err != nil || len(none) != 0 {
			t.Errorf("%s: of none: %v, %v", r.System, none, err)
		}
	}
	if able != len(order.Systems()) {
		t.Errorf("%d systems can look many orders up; want all six", able)
	}
}

// withoutFailedRefunds takes out what a page of payments does not show, and the
// version that it is in.
func withoutFailedRefunds(o *reconcile.Observation) {
	if o.Payment == nil {
		return
	}
	o.Version = ""
	for i := range o.Payment.Attempts {
		a := &o.Payment.Attempts[i]
		a.Refunds = slices.DeleteFunc(a.Refunds, func(r reconcile.Refund) bool { return r.State == reconcile.RefundFailed })
		if len(a.Refunds) == 0 {
			a.Refunds = nil
		}
	}
}

// How old the sealed days are depends on the time of the day: at any, each kind
// finds an order that can have it.
func TestPlant_AtAnyTimeOfTheDay(t *testing.T) {
	t.Parallel()
	for hour := range 24 {
		at := time.Date(2026, 11, 28, hour, 59, 0, 0, time.UTC)
		small := &Crowd{Seed: 7, Orders: 360, PerDay: 60, Waiting: 150, AsOf: at}
		if err := small.Plant(len(Kinds()), len(Kinds())); err != nil {
			t.Errorf("at %s: %v", at.Format(time.TimeOnly), err)
		}
		if hour%23 != 0 {
			continue
		}
		usual := &Crowd{Seed: 1, Orders: 10_000, PerDay: 1001, AsOf: at}
		if err := usual.Plant(100, 100); err != nil {
			t.Errorf("of 10,000 at %s: %v", at.Format(time.TimeOnly), err)
		}
	}
	// Two days are never older than at the end of a day, nor younger than at its
	// first moment.
	for _, at := range []time.Time{time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC)} {
		two := &Crowd{Seed: 1, Orders: 100_000, PerDay: 50_000, Recent: 300, AsOf: at}
		if err := two.Plant(100, 100); err != nil {
			t.Errorf("of two days at %s: %v", at.Format(time.TimeOnly), err)
		}
	}
}

// An order is a function of its number.
func TestCrowd_TheSameOrderEachTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	a, b := &Crowd{Seed: 3, Orders: 100, Recent: 10, AsOf: at}, &Crowd{Seed: 3, Orders: 100, Recent: 10, AsOf: at}
	for n := range a.Len() {
		x, y := fmt.Sprintf("%+v %+v", a.Intent(n, at), a.Records(n)), fmt.Sprintf("%+v %+v", b.Intent(n, at), b.Records(n))
		if len(a.Records(n).ERP.Sales) != len(b.Records(n).ERP.Sales) || a.Intent(n, at).Total != b.Intent(n, at).Total {
			t.Fatalf("order %d:\n%s\n%s", n, x, y)
		}
		if k, ok := a.Number(a.ID(n)); !ok || k != n {
			t.Errorf("the number of %s is %d, %t", a.ID(n), k, ok)
		}
	}
	for _, id := range []order.ID{"C00000110", "C1", "x", "C-0000001"} {
		if n, ok := a.Number(id); ok {
			t.Errorf("%s is order %d", id, n)
		}
	}
}
