package virtual_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

const day = 24 * time.Hour

// anOrder is an order of two lines, 99.80 EUR, placed as the world begins.
func anOrder(id string) order.Order {
	return order.Order{
		ID: order.ID(id), PlacedAt: virtual.Start, Channel: "shop",
		Customer: order.Customer{ID: "c-" + id, Email: id + "@example.com", Name: "Ada Lovelace"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "1 Main St", City: "Paris", PostalCode: "75001", Country: "FR"},
		Currency: "EUR",
		Lines: []order.Line{
			{SKU: "MUG", Quantity: 2, UnitPrice: 2500},
			{SKU: "TSHIRT", Quantity: 1, UnitPrice: 4500, Discount: 500, Tax: 480},
		},
		Shipping: 500, Total: 9980,
		Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip},
	}
}

// trouble is a fault in each system, drawn by the seed: what happens depends on
// whom it meets.
func trouble(w *virtual.World, seed uint64) {
	draw := rand.New(rand.NewPCG(seed, 3))
	kinds := []simulator.FaultKind{
		simulator.Refused, simulator.Unavailable, simulator.ResponseLost, simulator.ResponseError,
		simulator.RateLimited, simulator.Late, simulator.Garbage, simulator.Twice,
	}
	for _, d := range w.Desks() {
		f := simulator.Fault{Operation: "*", Kind: kinds[draw.IntN(len(kinds))], Skip: draw.IntN(12), Delay: 20 * time.Second}
		_, err := d.Frame().Inject(f)
		w.Check(err)
	}
}

// nineDays lets two orders live for nine days with all that a shop has.
func nineDays(t *testing.T, seed uint64) string {
	w := virtual.Open(t, virtual.Options{
		Seed: seed, Stock: map[string]int{"MUG": 100, "TSHIRT": 100}, Pace: warehouse.DefaultPace(),
		Policy: "mode: auto\nreturn_window: 24h\n", FollowEvery: day, ReconcileEvery: 2 * day,
	})
	trouble(w, seed)
	for n, id := range []string{"A1", "B2"} {
		w.At(time.Duration(n+1)*time.Minute, "a customer orders "+id, func() { w.Submit(anOrder(id)) })
	}
	w.At(30*time.Hour, "somebody edits a deal", func() {
		w.Check(w.CRM.Edit(json.RawMessage(`{"order":"A1","stage":"lost"}`)))
	})
	w.At(31*time.Hour, "an operator has a run look at it", func() {
		w.Later(func(ctx context.Context) {
			_, err := w.Client.Reconcile(ctx, workflows.ReconcileInput{Orders: []order.ID{"A1"}})
			w.Check(err)
		})
	})
	w.Run(9 * day)
	var b strings.Builder
	for _, l := range w.Trace() {
		b.WriteString(l.String() + "\n")
	}
	return b.String()
}

func TestUniverse_SameSeed_SameTrace(t *testing.T) {
	seeds := 50
	if testing.Short() {
		seeds = 5
	}
	// All at once, as many as there are cores: worlds share nothing.
	traces := make([][2]string, seeds)
	t.Run("worlds", func(t *testing.T) {
		for i := range 2 * seeds {
			t.Run(fmt.Sprintf("seed %d", i%seeds), func(t *testing.T) {
				t.Parallel()
				virtual.Bubble(t, func(t *testing.T) { traces[i%seeds][i/seeds] = nineDays(t, uint64(i%seeds)) })
			})
		}
	})
	distinct := map[string]bool{}
	for seed, both := range traces {
		distinct[both[0]] = true
		if both[0] != both[1] {
			t.Errorf("seed %d gave two traces, which differ at:\n%s", seed, differs(both[0], both[1]))
		}
	}
	if len(distinct) < seeds*3/4 {
		t.Errorf("%d seeds gave only %d traces", seeds, len(distinct))
	}
}

// differs shows where two traces part.
func differs(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	return strings.Join(x[max(0, i-5):min(len(x), i+3)], "\n") + "\n--\n" + strings.Join(y[max(0, i-5):min(len(y), i+3)], "\n")
}
