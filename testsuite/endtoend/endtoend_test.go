// Package endtoend runs orders through the real engine, real workers and the
// six simulated systems over their wire protocols.
package endtoend

import (
	"context"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/engine"
	"github.com/trueup-orders/trueup/testsuite/world"
	"github.com/trueup-orders/trueup/workers"
)

// bundle is one engine with one world and one set of workers.
type bundle struct {
	t       *testing.T
	engine  *engine.Process
	world   *world.World
	client  client.Client
	orders  *starters.Client
	config  workers.Config
	set     *workers.Set
	workers []worker.Worker
	cancel  context.CancelFunc
}

func setup(t *testing.T, o world.Options) *bundle {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the embedded engine; left out with -short")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	t.Cleanup(cancel)
	binary, err := engine.Binary(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t}
	b.engine, err = engine.Start(ctx, binary, engine.Options{Dir: t.TempDir(), UIPort: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.engine.Stop() })
	if o.Stock == nil {
		o.Stock = map[string]int{"MUG": 100, "TSHIRT": 100}
	}
	if b.world, err = world.Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.world.Close() })
	b.client, err = b.engine.Dial(log.NewStructuredLogger(slog.New(slog.NewTextHandler(logs(), nil))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	b.orders = &starters.Client{Engine: &starters.Temporal{Client: b.client}, Now: time.Now}
	b.config = b.world.Configure(workers.Config{
		Policy: "testdata/policy.yaml", Channel: "shop", Retention: 720 * time.Hour, FollowEvery: time.Second,
		Linger: 3 * time.Second, FreshFor: time.Millisecond, BudgetCount: 100, BudgetMoney: 100_000_000, Parallel: 20,
	})
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func logs() io.Writer {
	if os.Getenv("TRUEUP_TEST_LOGS") != "" {
		return os.Stderr
	}
	return io.Discard
}

// start starts the workers, as a worker process does.
func (b *bundle) start() {
	b.t.Helper()
	systems, err := b.config.Connect(time.Now, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.set, err = b.config.Make(systems, b.orders, workers.Wait); err != nil {
		b.t.Fatal(err)
	}
	if err := b.orders.EnsureReconciliation(b.t.Context(), 0); err != nil {
		b.t.Fatal(err)
	}
	b.workers = b.set.Workers(b.client, b.config, func(error) {})
	for _, w := range b.workers {
		if err := w.Start(); err != nil {
			b.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go b.set.WatchSwitches(ctx, b.orders, quiet())
}

func (b *bundle) stop() {
	b.cancel()
	for _, w := range b.workers {
		w.Stop()
	}
	b.workers = nil
}

// anOrder is an order of two lines, 99.80 EUR.
func anOrder(id string) order.Order {
	return order.Order{
		ID: order.ID(id), PlacedAt: time.Now().UTC().Truncate(time.Millisecond), Channel: "shop",
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

// until waits until a fresh look says what is wanted.
func (b *bundle) until(what string, within time.Duration, ok func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: not within %s", what, within)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (b *bundle) verdict(id order.ID, fresh bool) reconcile.Verdict {
	b.t.Helper()
	v, err := b.orders.Verdict(b.t.Context(), id, fresh)
	if err != nil {
		b.t.Fatalf("verdict of %s: %v", id, err)
	}
	return v
}

func TestOrder_Shipped_AllSixAgree(t *testing.T) {
	b := setup(t, world.Options{})
	o := anOrder("e2e-1")
	start := time.Now()
	answer, err := b.orders.Submit(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("submitted in %s: %+v", time.Since(start), answer)
	t.Cleanup(func() { b.tell(o.ID) })
	b.until("agreed after submission", 20*time.Second, func() bool {
		return b.verdict(o.ID, false).Agreement == reconcile.Agreed
	})
	t.Logf("agreed after %s", time.Since(start))
}

// tell shows where an order stands when its test has failed.
func (b *bundle) tell(id order.ID) {
	if !b.t.Failed() && !testing.Verbose() {
		return
	}
	v, err := b.orders.Verdict(context.Background(), id, false)
	if err != nil {
		b.t.Logf("verdict of %s: %v", id, err)
		return
	}
	h := b.history(id)
	b.t.Logf("%s\nhistory: %d events, %d bytes\n%s", v.Table(), h.events, h.bytes, h.text)
}
