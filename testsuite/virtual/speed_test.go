package virtual_test

import (
	"context"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// plain lets one order be paid, shipped, delivered and closed, and has three
// reconciliation runs look at the end.
func plain(t *testing.T, seed uint64) { plainWorld(t, seed) }

func plainWorld(t *testing.T, seed uint64) *virtual.World {
	w := virtual.Open(t, virtual.Options{
		Seed: seed, Stock: map[string]int{"MUG": 100, "TSHIRT": 100}, Pace: warehouse.DefaultPace(),
		Policy: "mode: auto\nreturn_window: 24h\n", FollowEvery: 30 * day,
	})
	w.At(time.Minute, "a customer orders", func() { w.Submit(anOrder("1")) })
	for n := range 3 {
		w.At(8*day+time.Duration(n)*time.Hour, "reconcile", func() {
			w.Later(func(ctx context.Context) {
				_, err := w.Client.Reconcile(ctx, workflows.ReconcileInput{Orders: []order.ID{"1"}})
				w.Check(err)
			})
		})
	}
	w.Run(9 * day)
	closed(t, w)
	return w
}

// BenchmarkUniverse_PaidAndShipped is how long a plan takes where thousands run.
func BenchmarkUniverse_PaidAndShipped(b *testing.B) {
	ran := 0
	all := func(string, string) (bool, error) { return true, nil }
	ok := testing.RunTests(all, []testing.InternalTest{{Name: "universes", F: func(t *testing.T) {
		b.ResetTimer()
		for i := range b.N {
			virtual.Bubble(t, func(t *testing.T) { plain(t, uint64(i)) })
			ran++
		}
		b.StopTimer()
	}}})
	if !ok || ran != b.N {
		b.Fatalf("%d of %d universes ran well", ran, b.N)
	}
}

func TestUniverse_Plain(t *testing.T) {
	virtual.Bubble(t, func(t *testing.T) { plain(t, 1) })
}
