// Package live is a world on the real engine: the embedded engine and the worker
// as processes of their own that can be killed, the gateway behind a listener
// that can be closed, and the six systems as servers on loopback. It keeps the
// order of what happens and not the hours. All that has an age, the steps of a
// story, what people in the systems do, their webhooks, is on one agenda; before
// the next of it comes, everything comes to rest, and everything that the engine
// itself does later, but before that age, is waited for. What would take too long
// cannot be played here, and the world says so.
package live

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/engine"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/testsuite/world"
	"github.com/trueup-orders/trueup/workers"
	"github.com/trueup-orders/trueup/workflows"
)

// followEvery is how often the systems that announce nothing are asked here.
const followEvery = 300 * time.Millisecond

// World is an installation with its six systems.
type World struct {
	*world.World
	// Client speaks to the workflows as a starter does.
	Client *starters.Client

	t      virtual.T
	ctx    context.Context
	cancel context.CancelFunc
	dir    string
	config workers.Config

	engine     *engine.Process
	connection client.Client
	gateway    gateway
	worker     worker
	outages    outages
	crashes    crashes

	agenda agenda
	sight  sight
	runs   runs
	calls  calls
}

// Options say what world to open, as those of a virtual one; those count that the
// real engine can have.
type Options struct {
	virtual.Options
	// Hurried are timers of workflows that are shorter here than they are by the
	// age of the world, and so many times.
	Hurried map[string]float64
}

// Open opens a world; it ends with the test.
func Open(t virtual.T, o Options) *World {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &World{t: t, ctx: ctx, cancel: cancel, dir: t.TempDir()}
	t.Cleanup(cancel)
	w.agenda.begin()
	w.sight.begin()
	w.runs.every, w.sight.hurried = o.ReconcileEvery, o.Hurried
	w.must("start the engine", w.startEngine())
	w.must("open the gateway's listener", w.gateway.listen())
	var err error
	w.World, err = world.Open(world.Options{
		Dir: "", Webhooks: "http://" + w.gateway.address, Stock: o.Stock, Pace: o.Pace, Clock: w, Changed: w.changed,
		Authorization: o.Payment.AuthorizationTTL, RefundSettles: o.Payment.RefundSettles, ReservationTTL: o.ReservationTTL,
	})
	w.must("open the systems", err)
	t.Cleanup(func() { _ = w.World.Close() })
	policy := filepath.Join(w.dir, "policy.yaml")
	w.must("write the policy", os.WriteFile(policy, []byte(o.Policy), 0o600))
	w.config = w.Configure(workers.Config{
		Policy: policy, Channel: "shop", Retention: 720 * time.Hour, FollowEvery: followEvery, Linger: 3 * time.Second,
		FreshFor: time.Millisecond, BudgetCount: o.BudgetCount, BudgetMoney: o.BudgetMoney, Parallel: 20,
		IncidentOrders: 10, IncidentPercent: 30, IncidentMost: 50,
	})
	w.must("open the gateway", w.openGateway())
	w.must("start the worker", w.startWorker())
	t.Cleanup(w.killWorker)
	for _, system := range order.Systems() {
		w.Frame(system).Guard(w.gate(system))
	}
	return w
}

func (w *World) startEngine() error {
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Minute)
	defer cancel()
	binary, err := engine.Binary(ctx)
	if err != nil {
		return err
	}
	if w.engine, err = engine.Start(ctx, binary, engine.Options{Dir: w.dir, UIPort: -1}); err != nil {
		return err
	}
	w.t.Cleanup(w.engine.Kill)
	w.connection, err = w.engine.Dial(sdklog.NewStructuredLogger(slog.New(slog.NewTextHandler(logs(), nil))))
	if err != nil {
		return err
	}
	w.t.Cleanup(w.connection.Close)
	w.Client = &starters.Client{Engine: &starters.Temporal{Client: w.connection}, Now: time.Now}
	return nil
}

func logs() io.Writer {
	if os.Getenv("TRUEUP_TEST_LOGS") != "" {
		return os.Stderr
	}
	return io.Discard
}

func (w *World) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// Desk is a system as people there see it.
func (w *World) Desk(system order.System) simulator.Desk {
	return w.Desks()[slices.Index(order.Systems(), system)]
}

// Context is what a step calls with; it ends with the world.
func (w *World) Context() context.Context { return w.ctx }

// Known says that the engine knows a workflow, be it closed or not.
func (w *World) Known(id string) bool { return slices.Contains(w.IDs(id), id) }

// IDs returns the workflows whose ids begin so, sorted, as visibility lists them.
func (w *World) IDs(prefix string) []string {
	all, err := w.list(fmt.Sprintf("WorkflowId STARTS_WITH '%s'", prefix))
	if err != nil {
		w.t.Errorf("list the workflows %s…: %v", prefix, err)
	}
	return all
}

func (w *World) list(query string) ([]string, error) {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	listed, _, err := w.Client.Engine.List(ctx, query, 1000, nil)
	var ids []string
	for _, l := range listed {
		ids = append(ids, l.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// Closed says that an order is closed.
func (w *World) Closed(of order.ID) bool {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	d, err := w.connection.DescribeWorkflowExecution(ctx, workflows.OrderWorkflowID(of), "")
	return err == nil && d.WorkflowExecutionInfo.Status == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
}

// calls are those that are answered later.
type calls struct {
	mu    sync.Mutex
	under map[int]time.Time // since when
	n     int
}

// untilHeard is after what time a call that nobody has answered yet has surely
// reached the engine.
const untilHeard = 700 * time.Millisecond

// Later lets a step call something that may be answered only after more time.
func (w *World) Later(f func(ctx context.Context)) {
	c := &w.calls
	c.mu.Lock()
	if c.under == nil {
		c.under = map[int]time.Time{}
	}
	c.n++
	n := c.n
	c.under[n] = time.Now()
	c.mu.Unlock()
	go func() {
		f(w.ctx)
		c.mu.Lock()
		delete(c.under, n)
		c.mu.Unlock()
		w.agenda.wake()
	}()
}

// fresh says that a call may not have reached the engine yet.
func (c *calls) fresh() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, since := range c.under {
		if time.Since(since) < untilHeard {
			return true
		}
	}
	return false
}

// listen opens a listener at the address that it had before, if it had one.
func listen(address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	return net.Listen("tcp", address)
}
