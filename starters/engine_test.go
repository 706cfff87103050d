package starters_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/connect"
	"github.com/trueup-orders/trueup/workflows"
)

// realEngine starts the embedded engine, the program that TRUEUP_TEST_ENGINE
// names, and connects to it.
func realEngine(t *testing.T) client.Client {
	t.Helper()
	program := os.Getenv("TRUEUP_TEST_ENGINE")
	if program == "" {
		t.Skip("TRUEUP_TEST_ENGINE does not name the embedded engine (deployments/temporal/build.sh builds it)")
	}
	file := filepath.Join(t.TempDir(), "address.json")
	// Not of the test's context: it is told to stop, not killed.
	process := exec.CommandContext(context.Background(), program, "--port=0", "--headless", "--address-file="+file) // the caller names it
	process.Stderr = os.Stderr
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	t.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	var address struct{ Frontend, Namespace string }
	tick := time.NewTicker(20 * time.Millisecond) // a file has no event to wait for
	defer tick.Stop()
	for address.Frontend == "" {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the engine ended: %v", err)
		case <-t.Context().Done():
			t.Fatal("the engine did not start")
		case <-tick.C:
		}
		if data, err := os.ReadFile(file); err == nil { // our own
			if err := json.Unmarshal(data, &address); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := client.DialContext(t.Context(), client.Options{HostPort: address.Frontend, Namespace: address.Namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestEngine_NoWorker: with the real engine and no worker at all, orders and
// webhooks are durable, and everything that needs a worker says so.
func TestEngine_NoWorker(t *testing.T) {
	t.Parallel()
	engine := realEngine(t)
	f := open(t, func(o *starters.GatewayOptions) {
		o.Client = &starters.Client{Engine: &starters.Temporal{Client: engine}, Now: clock}
		o.Webhooks = []starters.Webhook{starters.StripeWebhook{Secrets: []string{stripeSecret}}.Webhook()}
		o.Ready = func(ctx context.Context) error {
			_, err := engine.CheckHealth(ctx, &client.CheckHealthRequest{})
			return err
		}
	})
	f.expect(f.get("/readyz"), http.StatusOK)
	f.expect(f.get("/v1/orders/A-1/verdict"), http.StatusNotFound)
	f.expect(f.get("/v1/orders/A-1/verdict?fresh=true"), http.StatusNotFound)
	f.expect(f.post("/v1/orders/A-1/cancel", []byte(`{"by":"ada","reason":"x"}`)), http.StatusNotFound)
	f.expect(f.post("/v1/orders?wait=1s", goodOrder(t, "A-1")), http.StatusAccepted)
	f.expect(f.post("/v1/orders?wait=0", goodOrder(t, "A-1")), http.StatusAccepted)
	f.expect(f.post("/v1/orders?wait=0", goodOrder(t, "A-2")), http.StatusAccepted)
	f.expect(f.stripe(stripeEvent("evt_1", "payment_intent.succeeded", "A-1")), http.StatusOK)
	f.expect(f.stripe(stripeEvent("evt_2", "payment_intent.succeeded", "A-9")), http.StatusOK)
	f.expect(f.stripe(stripeEvent("evt_3", "review.opened", "")), http.StatusOK)
	r := f.get("/v1/orders/A-1/verdict?wait=2s")
	if r.status != http.StatusServiceUnavailable && r.status != http.StatusGatewayTimeout {
		t.Errorf("verdict without a worker: %d %s", r.status, r.body)
	}
	f.expect(f.get("/v1/orders/A-1/verdict?fresh=true&wait=1s"), http.StatusGatewayTimeout)
	for route, wish := range wishes(t).Good {
		f.expect(f.post("/v1/orders/A-9/"+route, wish), http.StatusNotFound)
	}
	f.expect(f.post("/v1/orders/A-1/returns?wait=1s", wishes(t).Good["returns"]), http.StatusGatewayTimeout)
	// An update is durable only when a worker has accepted it, so this may be lost.
	f.expect(f.post("/v1/orders/A-1/cancel?wait=1s", []byte(`{"by":"ada","reason":"x"}`)), http.StatusGatewayTimeout)
	for _, id := range []string{"order/A-1", "order/A-2", "inbox/payment/pi_1"} {
		d, err := engine.DescribeWorkflowExecution(t.Context(), id, "")
		if err != nil {
			t.Errorf("%s is not durable: %v", id, err)
			continue
		}
		t.Logf("%s: %d events", id, d.WorkflowExecutionInfo.HistoryLength)
		if chain, err := (&starters.Temporal{Client: engine}).Chain(t.Context(), id); err != nil || chain != d.WorkflowExecutionInfo.Execution.RunId {
			t.Errorf("the chain of %s is %q, %v; want its only run", id, chain, err)
		}
	}
}

// TestEngine_AcceptedIsEnough: who only wants to know that an update is durable
// hears at once when a worker refuses it, and never that it is under way.
func TestEngine_AcceptedIsEnough(t *testing.T) {
	t.Parallel()
	engine := realEngine(t)
	const kind = "Refuses"
	w := worker.New(engine, workflows.Queue, worker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		refuse := func(_ workflow.Context, refused bool) error {
			if refused {
				return temporal.NewNonRetryableApplicationError("it has not shipped", workflows.RefusedReason, nil)
			}
			return nil
		}
		err := workflow.SetUpdateHandlerWithOptions(ctx, "slow", func(ctx workflow.Context, _ bool) (string, error) {
			return "", workflow.Await(ctx, func() bool { return false })
		}, workflow.UpdateHandlerOptions{Validator: refuse})
		if err != nil {
			return err
		}
		return workflow.Await(ctx, func() bool { return false })
	}, workflow.RegisterOptions{Name: kind})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	port := &starters.Temporal{Client: engine}
	start := starters.Start{Type: kind, ID: "refuses"}
	message := func(id string, refused bool) starters.Message {
		return starters.Message{Name: "slow", ID: id, Argument: refused, Accepted: true}
	}
	for name, send := range map[string]func(m starters.Message) error{
		"with a start":    func(m starters.Message) error { return port.Submit(t.Context(), start, m, nil) },
		"without a start": func(m starters.Message) error { return port.Message(t.Context(), start.ID, m, nil) },
	} {
		if name == "without a start" {
			if err := port.Submit(t.Context(), start, starters.Message{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := send(message("taken "+name, false)); err != nil {
			t.Errorf("%s: taken up: %v", name, err)
		}
		if _, ok := errors.AsType[*temporal.ApplicationError](send(message("refused "+name, true))); !ok {
			t.Errorf("%s: refused, and nobody hears of it", name)
		}
	}
}

// TestEngine_OddIDs: what the engine never takes is told apart from what it does not
// take now, so that one odd record stops no feed.
func TestEngine_OddIDs(t *testing.T) {
	t.Parallel()
	port := &starters.Temporal{Client: realEngine(t)}
	signal := starters.Message{Name: workflows.NoticeSignal, Signal: true}
	for name, id := range map[string]string{
		"too long":    "inbox/mail/" + strings.Repeat("x", 1000),
		"not text":    "inbox/mail/\xff\xfe",
		"not ASCII":   "inbox/mail/\u00fc",
		"with a zero": "inbox/mail/a\x00b",
	} {
		err := port.Submit(t.Context(), starters.Start{Type: workflows.InboxType, ID: id}, signal, nil)
		if !errors.Is(err, starters.ErrInvalid) {
			t.Errorf("%s: refused for good, and it reads %v", name, err)
		}
	}
	for _, record := range []string{"<1.2@shop.example>", strings.Repeat("x", 2000), "<gr\u00fc\u00dfe@shop.example>", "\xff\xfe", "a\x00b", " a ", "a b"} {
		id := workflows.InboxWorkflowID(order.SystemMail, record)
		if err := port.Submit(t.Context(), starters.Start{Type: workflows.InboxType, ID: id}, signal, nil); err != nil {
			t.Errorf("the inbox of %q: %v", record, err)
			continue
		}
		if _, err := port.Client.DescribeWorkflowExecution(t.Context(), id, ""); err != nil {
			t.Errorf("the inbox of %q is not found: %v", record, err)
		}
	}
}

// An order whose workflow somebody terminated takes no notice any more. That is said,
// with what to do, and stops no feed.
func TestEngine_OrderThatWasTerminated_SaidAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	engine := realEngine(t)
	c := &starters.Client{Engine: &starters.Temporal{Client: engine}, Now: time.Now}
	id := workflows.OrderWorkflowID("42")
	if err := c.Engine.Submit(t.Context(), starters.Start{Type: workflows.OrderType, ID: id}, starters.Message{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := engine.TerminateWorkflow(t.Context(), id, "", "an operator"); err != nil {
		t.Fatal(err)
	}
	err := c.Notify(t.Context(), reconciliation.Notices{Order: "42", Notices: []reconciliation.Notice{{ID: "n", System: order.SystemERP}}})
	if !errors.Is(err, reconciliation.ErrRefused) || !strings.Contains(err.Error(), "temporal workflow reset --reason TEXT --type LastWorkflowTask --workflow-id "+id) {
		t.Errorf("a notice is answered %v", err)
	}
	if _, err := c.Refund(t.Context(), "42", workflows.Refund{Asked: workflows.Asked{ID: "r", By: "ada", Reason: "test"}}); !errors.Is(err, starters.ErrStopped) {
		t.Errorf("a wish is answered %v", err)
	}
}

// wasClosed is an engine that said of an order that it is closed, just before somebody
// else re-opened it.
type wasClosed struct {
	starters.Engine
	said bool
}

func (w *wasClosed) Message(ctx context.Context, id string, m starters.Message, result any) error {
	if !w.said {
		w.said = true
		return starters.ErrClosed
	}
	return w.Engine.Message(ctx, id, m, result)
}

// The engine waits for what an open run leaves until that closes. Who has news of it
// does not.
func TestEngine_OrderReopenedMeanwhile_NobodyWaitsUntilItCloses(t *testing.T) {
	t.Parallel()
	c := &starters.Client{Engine: &wasClosed{Engine: &starters.Temporal{Client: realEngine(t)}}, Now: time.Now}
	if err := c.Engine.Submit(t.Context(), starters.Start{Type: workflows.OrderType, ID: workflows.OrderWorkflowID("43")}, starters.Message{}, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.Notify(ctx, reconciliation.Notices{Order: "43", Notices: []reconciliation.Notice{{ID: "n", System: order.SystemERP}}}); err != nil {
		t.Errorf("a notice is answered %v", err)
	}
}

// A run by hand that failed says why. Nothing of it is to be let go on: the next run
// does what it did not, and what is to be done of an order that was stopped is not said.
func TestEngine_RunByHandThatFailed_SaysWhy(t *testing.T) {
	t.Parallel()
	engine := realEngine(t)
	w := worker.New(engine, workflows.Queue, worker.Options{})
	fails := func(context.Context) error {
		return temporal.NewNonRetryableApplicationError("the warehouse has no list", "declined", nil)
	}
	w.RegisterActivity(fails)
	for _, kind := range []string{workflows.ReconcileType, workflows.SweepType} {
		w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
			ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
			return workflow.ExecuteActivity(ctx, fails).Get(ctx, nil)
		}, workflow.RegisterOptions{Name: kind})
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	c := &starters.Client{Engine: &starters.Temporal{Client: engine}, Now: time.Now}
	_, run := c.Reconcile(t.Context(), workflows.ReconcileInput{})
	_, sweep := c.Sweep(t.Context(), workflows.SweepInput{Day: time.Now()})
	for what, err := range map[string]error{"run": run, "sweep": sweep} {
		if err == nil || errors.Is(err, starters.ErrStopped) || strings.Contains(err.Error(), "reset") || !strings.Contains(err.Error(), "the warehouse has no list") {
			t.Errorf("the %s is answered %v", what, err)
		}
	}
}

// The embedded engine keeps closed workflows for as long as workers take it to by default.
func TestEngine_Retention(t *testing.T) {
	t.Parallel()
	kept, err := connect.Retention(t.Context(), realEngine(t))
	if err != nil || kept != 720*time.Hour {
		t.Errorf("the engine keeps closed workflows for %s, %v", kept, err)
	}
}
