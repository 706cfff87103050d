// Package endtoend runs orders through the real engine, real workers, a real
// gateway and the six simulated systems over their wire protocols. What came of
// them is read from the systems' own records and ledgers.
package endtoend

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/engine"
	"github.com/trueup-orders/trueup/testsuite/world"
	"github.com/trueup-orders/trueup/workers"
)

// record writes the histories of the tests that name a path into
// testsuite/histories.
var record = flag.Bool("record", false, "write the histories of the recorded paths to testsuite/histories")

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	flag.Parse()
	// The tests wait for engines and systems most of the time, so more of them
	// run at once than there are cores; -parallel still wins when it is given.
	if given := false; !given {
		flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
		if !given {
			_ = flag.Set("test.parallel", "8")
		}
	}
	code := m.Run()
	if shared.stage != nil {
		for _, err := range shared.stage.replay(context.Background()) {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	shared.close()
	os.Exit(code)
}

// options say what a stage is made of; the zero value is the usual one.
type options struct {
	world world.Options
	// policy are lines added to the usual policy; mode is another one than auto.
	policy, mode string
	// config changes the workers' configuration.
	config func(c *workers.Config)
	// noWorkers leaves the workers to the test.
	noWorkers bool
}

// stage is one engine with one world, one gateway for its webhooks and one set
// of workers.
type stage struct {
	dir     string
	engine  *engine.Process
	world   *world.World
	client  client.Client
	orders  *starters.Client
	gateway *httptest.Server
	config  workers.Config

	mu      sync.Mutex
	set     *workers.Set
	workers []worker.Worker
	cancel  context.CancelFunc
	closers []func()
	kept    []kept
}

// bundle is a stage within a test.
type bundle struct {
	*stage
	t *testing.T
}

var shared struct {
	sync.Mutex
	sharedStage
}

type sharedStage struct {
	stage *stage
	err   error
}

func (s *sharedStage) close() {
	if s.stage != nil {
		s.stage.close()
	}
}

// onShared puts a test on the stage that most tests share; they tell their
// orders apart, and inject faults for their own orders alone.
func onShared(t *testing.T) *bundle {
	t.Helper()
	skipShort(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.stage == nil && shared.err == nil {
		dir, err := os.MkdirTemp("", "trueup-endtoend") //nolint:usetesting // it outlives this test
		if err == nil {
			shared.stage, err = raise(dir, options{})
		}
		shared.err = err
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return &bundle{shared.stage, t}
}

// onOwn puts a test on a stage of its own.
func onOwn(t *testing.T, o options) *bundle {
	t.Helper()
	skipShort(t)
	s, err := raise(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	t.Cleanup(func() {
		for _, err := range s.replay(context.Background()) {
			t.Error(err)
		}
	})
	return &bundle{s, t}
}

func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the embedded engine; left out with -short")
	}
}

// raise starts everything that a stage is made of.
func raise(dir string, o options) (*stage, error) {
	s := &stage{dir: dir}
	if err := s.raise(o); err != nil {
		s.close()
		return nil, fmt.Errorf("raise the stage: %w", err)
	}
	return s, nil
}

func (s *stage) raise(o options) error {
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	defer cancel()
	if err := s.startEngine(ctx, "engine"); err != nil {
		return err
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if o.world.Stock == nil {
		o.world.Stock = map[string]int{"MUG": 100_000, "TSHIRT": 100_000}
	}
	o.world.Webhooks = "http://" + front.Addr().String()
	if s.world, err = world.Open(o.world); err != nil {
		return err
	}
	s.closers = append(s.closers, func() { _ = s.world.Close() })
	policy := filepath.Join(s.dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte(quickPolicy(cmp.Or(o.mode, "auto"), o.policy)), 0o600); err != nil {
		return err
	}
	s.config = s.world.Configure(workers.Config{
		Policy: policy, Channel: "shop", Retention: 720 * time.Hour, FollowEvery: time.Second, Linger: 2 * time.Second,
		FreshFor: time.Millisecond, BudgetCount: 100, BudgetMoney: 100_000_000, Parallel: 20,
	})
	if o.config != nil {
		o.config(&s.config)
	}
	if err := s.openGateway(front); err != nil {
		return err
	}
	if o.noWorkers {
		return nil
	}
	return s.startWorkers()
}

// quickPolicy judges after a second.
func quickPolicy(mode, more string) string {
	var b strings.Builder
	b.WriteString("mode: " + mode + "\n" + more + "\nfields:\n")
	for _, f := range reconcile.Fields() {
		fmt.Fprintf(&b, "  %s: {settling: 1s}\n", f)
	}
	return b.String()
}

// startEngine starts an engine on a data folder of this name; the first engine
// of a stage and one whose data was lost are the same to it.
func (s *stage) startEngine(ctx context.Context, name string) error {
	binary, err := engine.Binary(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	started, err := engine.Start(ctx, binary, engine.Options{Dir: dir, UIPort: uiPort()})
	if err != nil {
		return err
	}
	s.engine = started
	s.closers = append(s.closers, func() { _ = started.Stop() })
	connection, err := started.Dial(log.NewStructuredLogger(slog.New(slog.NewTextHandler(logs(), nil))))
	if err != nil {
		return err
	}
	s.client = connection
	s.closers = append(s.closers, connection.Close)
	s.orders = &starters.Client{Engine: &starters.Temporal{Client: connection}, Now: time.Now}
	return nil
}

// openGateway serves the real gateway, to which the simulated gateway and CRM
// post their signed webhooks.
func (s *stage) openGateway(l net.Listener) error {
	log := quiet()
	payments, err := stripe.New(stripe.Config{APIKey: s.config.Stripe.Key, BaseURL: s.config.Stripe.URL, Channel: "shop", Now: time.Now})
	if err != nil {
		return err
	}
	people, err := hubspot.New(hubspot.Config{
		BaseURL: s.config.HubSpot.URL, Token: s.config.HubSpot.Token, Channel: "shop", Now: time.Now, Pipeline: s.config.HubSpot.Pipeline,
		OpenStage: s.config.HubSpot.OpenStage, WonStage: s.config.HubSpot.WonStage, LostStage: s.config.HubSpot.LostStage,
		AbandonedStage: s.config.HubSpot.AbandonedStage,
	})
	if err != nil {
		return err
	}
	address := "http://" + l.Addr().String()
	handler, err := starters.NewGateway(starters.GatewayOptions{
		Client: s.orders, Log: log, PublicURL: address,
		Webhooks: []starters.Webhook{
			starters.StripeWebhook{Secrets: []string{world.StripeSecret}, OrderOf: payments.OrderOf, Log: log}.Webhook(),
			starters.HubSpotWebhook{Secrets: []string{world.HubSpotSecret}, PublicURL: address, OrdersOf: people.OrdersOf}.Webhook(),
		},
	})
	if err != nil {
		return err
	}
	s.gateway = &httptest.Server{Listener: l, Config: &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}}
	s.gateway.Start()
	s.closers = append(s.closers, s.gateway.Close)
	return nil
}

// startWorkers starts the workers, as a worker process does.
func (s *stage) startWorkers() error {
	systems, err := s.config.Connect(time.Now, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
	if s.set, err = s.config.Make(systems, s.orders, workers.Wait); err != nil {
		return err
	}
	if err := s.orders.EnsureReconciliation(ctx, 0); err != nil {
		return err
	}
	s.workers = s.set.Workers(s.client, s.config, func(error) {})
	for _, w := range s.workers {
		if err := w.Start(); err != nil {
			return err
		}
	}
	go s.set.WatchSwitches(ctx, s.orders, quiet())
	return nil
}

// stopWorkers stops the workers in their own time, as a deploy does.
func (s *stage) stopWorkers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
	var stopped sync.WaitGroup
	for _, w := range s.workers {
		stopped.Go(w.Stop)
	}
	stopped.Wait()
	s.workers = nil
}

func (s *stage) close() {
	s.photograph()
	s.stopWorkers()
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

func logs() io.Writer {
	if os.Getenv("TRUEUP_TEST_LOGS") != "" {
		return os.Stderr
	}
	return io.Discard
}

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(logs())
	return l
}

// anOrder is an order of two lines, 99.80 EUR.
func anOrder(id string) order.Order {
	return order.Order{
		ID: order.ID(id), PlacedAt: time.Now().UTC().Truncate(time.Millisecond), Channel: "shop",
		Customer: order.Customer{ID: "c-" + id, Email: strings.ToLower(id) + "@example.com", Name: "Ada Lovelace"},
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

// shipmentKey names the order's first request to the warehouse.
func shipmentKey(id order.ID) string {
	return order.Intent{Order: id, Operation: order.Request, N: 1}.Key()
}

// patience is how long a step may take. What is waited for comes within seconds
// on an idle machine; the limit only ends a wait for what never comes, and says
// nothing about speed.
const patience = 3 * time.Minute

// until waits for something that the systems or the engine will say.
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

// submit hands an order over and shows where it stands when the test fails.
func (b *bundle) submit(o order.Order) {
	b.t.Helper()
	b.t.Cleanup(func() { b.tell(o.ID) })
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if _, err := b.orders.Submit(ctx, o); err != nil {
		b.t.Fatalf("submit %s: %v", o.ID, err)
	}
}

// verdict is the verdict from memory.
func (b *bundle) verdict(id order.ID) reconcile.Verdict {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	v, err := b.orders.Verdict(ctx, id, false)
	if err != nil {
		b.t.Fatalf("verdict of %s: %v", id, err)
	}
	return v
}

// fresh is the verdict from what the six systems say now.
func (b *bundle) fresh(id order.ID) reconcile.Verdict {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	v, err := b.orders.Verdict(ctx, id, true)
	if err != nil {
		b.t.Fatalf("fresh verdict of %s: %v", id, err)
	}
	return v
}

// reaches waits until the order is in a phase and everything agrees.
func (b *bundle) reaches(id order.ID, phase order.Phase, within time.Duration) reconcile.Verdict {
	b.t.Helper()
	var v reconcile.Verdict
	b.until(fmt.Sprintf("order %s %s and agreed", id, phase), within, func() bool {
		v = b.verdict(id)
		return v.Phase == phase && v.Agreement == reconcile.Agreed
	})
	return v
}

// work lets the warehouse's people bring an order's shipment to a state.
func (b *bundle) work(id order.ID, to string) {
	b.t.Helper()
	if err := b.world.Warehouse.Work(shipmentKey(id), to); err != nil {
		b.t.Fatal(err)
	}
}

// edit changes a record by hand, as a person in that system would.
func (b *bundle) edit(system order.System, fields any) {
	b.t.Helper()
	data, err := json.Marshal(fields)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, s := range order.Systems() {
		if s != system {
			continue
		}
		if err := b.world.Desks()[i].Edit(data); err != nil {
			b.t.Fatalf("edit %s with %s: %v", system, data, err)
		}
	}
}

// tell shows where an order stands when its test has failed.
func (b *bundle) tell(id order.ID) {
	if !b.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	v, err := b.orders.Verdict(ctx, id, false)
	if err != nil {
		b.t.Logf("verdict of %s: %v", id, err)
		return
	}
	h, err := b.history(ctx, id)
	b.t.Logf("%s\nhistory: %d events, %d bytes (%v)\n%s", v.Table(), len(h.GetEvents()), size(h), err, lines(h))
}
