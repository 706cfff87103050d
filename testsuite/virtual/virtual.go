package virtual

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/connect"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/inventory"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/workers"
)

// Start is when every virtual world begins: after midnight, so that a day's
// edge is met by whoever waits a day.
var Start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// The addresses of the systems whose protocol is HTTP, and of the gateway. No
// socket listens there: the transport calls their handlers.
const (
	paymentHost   = "127.0.0.1:1"
	inventoryHost = "127.0.0.1:2"
	warehouseHost = "127.0.0.1:3"
	erpHost       = "127.0.0.1:4"
	crmHost       = "127.0.0.1:5"
	gatewayHost   = "127.0.0.1:6"
	receiverHost  = "127.0.0.1:7"
)

const (
	stripeSecret  = "whsec_virtual_gateway_0123456789"
	hubspotSecret = "hubspot-virtual-secret-0123456789"
)

// Options say what world to open.
type Options struct {
	Stock map[string]int // of each SKU, in inventory and warehouse alike
	Pace  warehouse.Pace // of the warehouse's people; zero: nobody works by himself
	Carts []crm.Cart
	// Payment is what differs from the usual gateway.
	Payment payment.Settings
	// ReservationTTL lets inventory delete reservations of this age; 0: never.
	ReservationTTL time.Duration
	// Retention is how long the engine remembers a closed order; 0: for as long as
	// the world lasts, and orders are told 720 h.
	Retention time.Duration
	// JumpPolls leaves out polls of feeds in which nothing happened, and runs of the
	// schedule that can find nothing: see calm.go.
	JumpPolls bool
	// Policy is the policy file; empty is "mode: auto".
	Policy string
	// FollowEvery is how often the systems that announce nothing are asked; 0 is
	// half an hour, which a month of virtual time can afford.
	FollowEvery time.Duration
	// ReconcileEvery starts a run so often; 0 starts none.
	ReconcileEvery time.Duration
	BudgetCount    int   // 0: 100
	BudgetMoney    int64 // 0: one million
	Linger         time.Duration
	// MailLateness is how long after a lost answer a mail may still be accepted; 0:
	// it is not, which months of virtual time can afford.
	MailLateness time.Duration
	// NoJournal leaves nothing in which to look for what was sent.
	NoJournal bool
	// Since is the moment before which nothing is judged.
	Since time.Time
	// Incident says when many breaks are one; zero is as usual.
	Incident reconcile.Thresholds
	// SweepEvery starts sweeps so often; 0 starts none.
	SweepEvery time.Duration
	SweepShard int // orders; 0: 1000
	// Canary is the order in whose deal a break is planted every PlantEvery.
	Canary     string
	PlantEvery time.Duration
	// Metrics is where the workflows measure; nil: nowhere.
	Metrics *connect.Metrics
	// Cases is who is told of cases; the zero value: nobody.
	Cases Cases
	// Seed draws who comes first, of a world in a bubble.
	Seed uint64
}

// Cases is who is told of cases.
type Cases struct {
	Secrets  []string     // that what is told is signed with
	Receiver http.Handler // gets each POST; nil: nobody is told
}

// World is everything on one clock.
type World struct {
	Payment   *payment.Server
	Inventory *inventory.Server
	Warehouse *warehouse.Server
	ERP       *erp.Server
	CRM       *crm.Server
	Mail      *mail.Server
	// Client speaks to the workflows as a starter does.
	Client *starters.Client
	// Scheduled is told, where it is set, of every activity that a workflow schedules;
	// set it before anything is started.
	Scheduled func(workflowID, activity string, o workflow.ActivityOptions)

	t         T
	env       *testsuite.TestWorkflowEnvironment
	engine    *engine
	set       *workers.Set
	agenda    agenda
	transport transport
	config    workers.Config
	asleep    sleepers
	calm      calm
	followed  []order.System // those whose feeds are polled
	beside    []func(ctx context.Context)
	over      chan struct{}
	end       sync.Once
	later     sync.WaitGroup
	laters    int
	ctx       context.Context

	// In a bubble: see turnstile.go.
	gate       *turnstile
	random     *rand.Rand // for what is drawn beside the turns
	activities activities
	stepping   context.Context // of the step that is under way
	trace      trace
	crashes    crashes
	outages    outages
}

// T is what a world needs of the test that it ends with; a *testing.T is one.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
	TempDir() string
}

// Open opens a world; it ends with the test.
func Open(t T, o Options) *World {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(silent{})
	if o.Metrics != nil {
		suite.SetMetricsHandler(o.Metrics.MetricsHandler())
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &World{t: t, env: suite.NewTestWorkflowEnvironment(), over: make(chan struct{}), transport: transport{}, ctx: ctx}
	t.Cleanup(cancel)
	w.trace.world = w
	w.env.SetStartTime(Start)
	w.env.SetTestTimeout(time.Minute) // of real time in which nothing happens
	w.env.SetDetachedChildWait(false)
	w.env.SetWorkerOptions(worker.Options{
		DeadlockDetectionTimeout: 20 * time.Second, Interceptors: w.interceptors(t),
	})
	w.asleep = sleepersOf(w.env)
	w.engine = newEngine(w)
	w.engine.retention = o.Retention
	w.calm.jumps = o.JumpPolls
	if _, in := bubbles.Load(t); in {
		w.enclose(o.Seed)
	}
	w.Client = &starters.Client{Engine: w.engine, Now: w.Now}
	w.must("open the systems", w.openSystems(o))
	w.must("keep images of the systems", w.keepImages(o))
	w.must("configure", w.configure(o))
	systems, err := w.config.Connect(w.Now, &calls{world: w, handlers: w.transport})
	w.must("connect the adapters", err)
	for _, system := range order.Systems() {
		if !systems.Abilities(system).Announces {
			w.followed = append(w.followed, system)
		}
	}
	w.must("make the CRM's properties", systems.CRM.(*hubspot.Client).EnsureProperties(ctx))
	w.set, err = w.config.Make(systems, w.Client, w.wait)
	w.must("make the workers' set", err)
	w.takeTurns(w.set.Reconciliation.Readers)
	w.must("open the gateway", w.openGateway(systems))
	w.set.RegisterWorkflows(w.engine)
	for _, queue := range workers.ActivityQueues() {
		w.env.RegisterActivity(w.set.ActivitiesOf(queue))
	}
	w.At(0, "start reconciliation", func() {
		w.Check(w.Client.EnsureReconciliation(ctx, o.ReconcileEvery))
		w.Check(w.Client.EnsureSweeps(ctx, o.SweepEvery))
	})
	w.trace.lines = nil // what the systems began with may have come of an image
	return w
}

// interceptors are those of the workers, and in a bubble the one that makes
// attempts as the server does.
func (w *World) interceptors(t T) []interceptor.WorkerInterceptor {
	if _, in := bubbles.Load(t); in {
		return []interceptor.WorkerInterceptor{&told{world: w}, &attempts{world: w}, repair.Doubts()}
	}
	return []interceptor.WorkerInterceptor{&told{world: w}, repair.Doubts()}
}

// enclose makes the world deterministic.
func (w *World) enclose(seed uint64) {
	w.gate = newTurnstile(seed, w.over)
	w.gate.settle = w.settle
	w.gate.quiet = func() { w.env.RegisterDelayedCallback(w.asleep.rest, 0) }
	w.asleep.gate = w.gate
	w.random = rand.New(rand.NewPCG(seed, 2))
	w.env.SetOnActivityCanceledListener(w.activities.giveUp)
	go w.gate.run()
	w.t.Cleanup(func() {
		w.finish()
		<-w.gate.ended
	})
}

// draw draws one of n in a bubble; outside of one the first comes first.
func (w *World) draw(n int) int {
	if w.random == nil {
		return 0
	}
	return w.random.IntN(n)
}

func (w *World) finish() { w.end.Do(func() { close(w.over) }) }

func (w *World) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// Check reports an error of a step, which does not run in the test's goroutine.
func (w *World) Check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Errorf("%s after the start: %v", w.Age(), err)
	}
}

// Now is the one clock.
func (w *World) Now() time.Time { return w.env.Now().UTC() }

// Age is how long the world has lasted.
func (w *World) Age() time.Duration { return w.Now().Sub(Start) }

// After implements simulator.Clock: what a system does later is on the agenda.
func (w *World) After(d time.Duration, name string, f func()) { w.add(w.Now().Add(d), true, name, f) }

// moments is the clock of the systems. No two readings of it are equal, so that
// what happens in several systems while the time stands still has an order in
// their ledgers.
type moments struct {
	*World
	mu   sync.Mutex
	last time.Time
}

func (m *moments) Now() time.Time {
	now := m.World.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !now.After(m.last) {
		now = m.last.Add(time.Nanosecond)
	}
	m.last = now
	return now
}

// At lets something happen at an age of the world. Steps run one after the
// other, and the time stands still meanwhile.
func (w *World) At(age time.Duration, name string, f func()) { w.add(Start.Add(age), false, name, f) }

// Later lets a step call something that is answered only after more time has
// passed: the step goes on as soon as the engine has the message.
func (w *World) Later(f func(ctx context.Context)) {
	w.laters++
	parked := &parking{name: fmt.Sprintf("later %06d", w.laters), stands: make(chan struct{})}
	done := make(chan struct{})
	ctx := context.WithValue(w.ctx, parkingKey{}, parked)
	w.hold(ctx, 1)
	w.later.Go(func() {
		defer close(done)
		f(ctx)
		w.hold(ctx, -1)
	})
	select {
	case <-done:
	case <-parked.stands:
	}
	w.goOn(w.ctx)
}

// hold lets what goes on beside the steps hold the time while it does not wait;
// outside of a bubble it holds nothing.
func (w *World) hold(ctx context.Context, by int) {
	if w.gate != nil {
		_ = w.engine.inLoop(ctx, func() { *w.asleep.running += by }) // or the world has ended
	}
}

// Submit hands an order over and remembers the answer.
func (w *World) Submit(o order.Order) *Answer {
	a := &Answer{}
	w.Later(func(ctx context.Context) { a.Submitted, a.Err = w.Client.Submit(ctx, o) })
	return a
}

// Run lets the time pass until the world has an age, or nothing is on the
// agenda any more.
func (w *World) Run(age time.Duration) {
	w.t.Helper()
	w.agenda.until = Start.Add(age)
	w.env.RegisterWorkflow(w.universe)
	w.env.RegisterActivity(w.step)
	w.env.RegisterActivity(w.aside)
	w.env.ExecuteWorkflow(w.universe)
	w.finish()
	w.later.Wait()
	w.must("let the time pass", w.env.GetWorkflowError())
}

// Verdict asks an order from memory, within a step.
func (w *World) Verdict(id order.ID) reconcile.Verdict {
	w.t.Helper()
	v, err := w.Client.Verdict(w.ctx, id, false)
	w.Check(err)
	return v
}

func (w *World) openSystems(o Options) error {
	options := simulator.Options{Clock: &moments{World: w}, Transport: &calls{world: w, handlers: w.transport}, Witness: w, Changed: w.changed}
	stock := map[string]int64{}
	for sku, n := range o.Stock {
		stock[sku] = int64(n)
	}
	plain := func(system order.System) simulator.Options {
		with := options
		with.Image = imageOf(system, o)
		return with
	}
	webhooks := func(system order.System, secret string) simulator.Options {
		with := plain(system)
		with.Endpoint, with.Secret = "http://"+gatewayHost+"/v1/webhooks/"+string(system), secret
		return with
	}
	var err error
	if w.Payment, err = payment.New(webhooks(order.SystemPayment, stripeSecret), o.Payment); err != nil {
		return err
	}
	if w.Inventory, err = inventory.New(plain(order.SystemInventory), inventory.Settings{Stock: stock, ReservationTTL: o.ReservationTTL}); err != nil {
		return err
	}
	if w.Warehouse, err = warehouse.New(plain(order.SystemWarehouse), warehouse.Settings{Stock: o.Stock, Pace: o.Pace}); err != nil {
		return err
	}
	if w.ERP, err = erp.New(plain(order.SystemERP), erp.Settings{}); err != nil {
		return err
	}
	if w.CRM, err = crm.New(webhooks(order.SystemCRM, hubspotSecret), crm.Settings{Carts: o.Carts}); err != nil {
		return err
	}
	if w.Mail, err = mail.New(plain(order.SystemMail), mail.Settings{}); err != nil {
		return err
	}
	w.transport[paymentHost], w.transport[inventoryHost] = w.Payment.Handler(), w.Inventory.Handler()
	w.transport[warehouseHost], w.transport[erpHost] = w.Warehouse.Handler(), w.ERP.Handler()
	w.transport[crmHost] = w.CRM.Handler()
	w.t.Cleanup(func() {
		_ = w.Mail.Close()
		for _, d := range []simulator.Desk{w.Payment, w.Inventory, w.Warehouse, w.ERP, w.CRM} {
			_ = d.Frame().Close()
		}
	})
	return nil
}

func (w *World) configure(o Options) error {
	dir := w.t.TempDir()
	policy, ca := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(policy, []byte(either(o.Policy, "mode: auto\n")), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(ca, w.Mail.CertificatePEM(), 0o600); err != nil {
		return err
	}
	relay, err := w.openMail(ca)
	if err != nil {
		return err
	}
	relay.Lateness = o.MailLateness
	if o.NoJournal {
		relay.IMAP = ""
	}
	incident := either(o.Incident, reconcile.DefaultThresholds())
	w.config = workers.Config{
		Policy: policy, Channel: "shop", Retention: either(o.Retention, 720*time.Hour), FollowEvery: either(o.FollowEvery, 30*time.Minute),
		Linger: either(o.Linger, 5*time.Minute), FreshFor: 2 * time.Second, Parallel: 20,
		SweepAgain: []int{3, 7}, SweepSpan: 72 * time.Hour, SweepShard: either(o.SweepShard, 1000),
		BudgetCount: either(o.BudgetCount, 100), BudgetMoney: either(o.BudgetMoney, 1_000_000),
		Since:          workers.Moment{Time: o.Since},
		IncidentOrders: incident.Orders, IncidentPercent: incident.Percent, IncidentMost: incident.Most,
		CanaryOrder: o.Canary, PlantEvery: o.PlantEvery,
		Stripe:    workers.Stripe{URL: "http://" + paymentHost, Key: payment.DefaultAPIKey},
		Medusa:    workers.Medusa{URL: "http://" + inventoryHost, Email: inventory.DefaultEmail, Password: inventory.DefaultPassword, Location: inventory.DefaultLocation},
		Warehouse: workers.Tryton{URL: "http://" + warehouseHost + "/warehouse/", User: "admin", Password: "admin"},
		ERP:       workers.Tryton{URL: "http://" + erpHost + "/erp/", User: "admin", Password: "admin"},
		HubSpot: workers.HubSpot{
			URL: "http://" + crmHost, Token: "pat-simulated", Pipeline: "default", OpenStage: "checkoutpending",
			WonStage: "closedwon", LostStage: "closedlost", AbandonedStage: "abandonedcart",
		},
		Mail: relay,
	}
	if o.Cases.Receiver != nil {
		w.transport[receiverHost] = o.Cases.Receiver
		w.config.Cases = workers.Cases{
			URL: "http://" + receiverHost + "/hook", Secret: o.Cases.Secrets, Transport: &calls{world: w, handlers: w.transport},
		}
	}
	return nil
}

func either[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// openGateway opens the gateway to which the systems send their webhooks.
func (w *World) openGateway(systems *workers.Systems) error {
	log := logrus.New()
	log.SetOutput(io.Discard)
	gateway, err := starters.NewGateway(starters.GatewayOptions{
		Client: w.Client, Log: log,
		Webhooks: []starters.Webhook{
			starters.StripeWebhook{Secrets: []string{stripeSecret}, OrderOf: systems.Payment.(*stripe.Client).OrderOf}.Webhook(),
			starters.HubSpotWebhook{
				Secrets: []string{hubspotSecret}, PublicURL: "http://" + gatewayHost, OrdersOf: systems.CRM.(*hubspot.Client).OrdersOf,
			}.Webhook(),
		},
	})
	if err != nil {
		return err
	}
	w.transport[gatewayHost] = http.Handler(gateway)
	return nil
}

// wait lets an activity wait.
func (w *World) wait(ctx context.Context, d time.Duration) error {
	if w.follows(ctx) {
		return w.nextPoll(ctx, d)
	}
	return w.Sleep(ctx, d)
}

// Sleep lets an activity, or what goes on beside the agenda, wait.
func (w *World) Sleep(ctx context.Context, d time.Duration) error {
	passed := make(chan struct{})
	if err := w.engine.inLoop(ctx, func() {
		wake := w.asleep.lie(ctx)
		w.env.RegisterDelayedCallback(func() { wake(); close(passed) }, d)
	}); err != nil {
		return err
	}
	select {
	case <-passed:
		w.goOn(ctx)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the wait was ended: %w", ctx.Err())
	case <-w.over:
		return errOver
	}
}

type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}

// Reconciliation returns the activities of reconciliation runs, wired to the
// world's systems.
func (w *World) Reconciliation() *reconciliation.Activities { return w.set.Reconciliation }

// Desks returns the six systems.
func (w *World) Desks() []simulator.Desk {
	return []simulator.Desk{w.Payment, w.Inventory, w.Warehouse, w.ERP, w.CRM, w.Mail}
}
