package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workers"
	"github.com/trueup-orders/trueup/workflows"
)

// childVariable tells this very binary to be a worker process, for a test to
// kill; it names the file with its settings.
const childVariable = "TRUEUP_TEST_CHILD"

// childSettings are what a worker process is told.
type childSettings struct {
	Frontend string
	Config   workers.Config
}

// child is a worker process.
func child() int {
	data, err := os.ReadFile(os.Getenv(childVariable))
	var s childSettings
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	var connection client.Client
	if err == nil {
		connection, err = client.Dial(client.Options{HostPort: s.Frontend})
	}
	if err == nil {
		err = workers.Run(context.Background(), s.Config, connection, quiet(), time.Now)
	}
	fmt.Fprintln(os.Stderr, "worker process:", err)
	return 1
}

// workerProcess starts a worker as a process of its own.
func (b *bundle) workerProcess() *exec.Cmd {
	b.t.Helper()
	data, err := json.Marshal(childSettings{Frontend: b.engine.Frontend, Config: b.config})
	if err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(b.t.TempDir(), "worker.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+file)
	command.Stderr = logs()
	if err := command.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.kill(command) })
	return command
}

// kill ends a process at once, and waits until it is gone.
func (b *bundle) kill(c *exec.Cmd) {
	if c.ProcessState == nil {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

// TestCrash_WorkerKilledInTheMiddleOfAWrite kills the only worker process while
// a call is under way whose effect lands after its death.
func TestCrash_WorkerKilledInTheMiddleOfAWrite_OneEffect(t *testing.T) {
	t.Parallel()
	for _, w := range []struct {
		system    order.System
		operation order.Operation
	}{
		{order.SystemPayment, order.Capture}, {order.SystemERP, order.Invoice}, {order.SystemMail, order.Send},
	} {
		t.Run(string(w.operation), func(t *testing.T) {
			t.Parallel()
			b := onOwn(t, options{noWorkers: true})
			worker := b.workerProcess()
			o := anOrder("killed-" + string(w.operation))
			skip := 0
			if w.operation == order.Send {
				skip = 1 // the notice of the shipment, not the confirmation
			}
			_, err := b.world.Frame(w.system).Inject(simulator.Fault{
				Operation: w.operation, Kind: simulator.Late, Order: o.ID, Delay: time.Second, Skip: skip,
			})
			if err != nil {
				t.Fatal(err)
			}
			b.accept(o)
			b.work(o.ID, "shipped")
			b.until("the call is under way", patience, func() bool { return b.fired(w.system) == 1 })
			b.kill(worker)
			b.workerProcess()
			b.until("shipped and agreed after the death", patience, func() bool {
				v, err := b.orders.Verdict(t.Context(), o.ID, false)
				return err == nil && v.Phase == order.PhaseShipped && v.Agreement == reconcile.Agreed
			})
			b.check(o, endShipped(o))
			b.stock("MUG", "TSHIRT")
		})
	}
}

func TestCrash_EngineKilledAtManyMoments_NothingLostNothingTwice(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	var orders []order.Order
	for n := range 4 {
		o := anOrder(fmt.Sprintf("engine-%d", n))
		orders = append(orders, o)
		if _, err := b.orders.Submit(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if n > 0 { // the one before is accepted or about to be
			b.until("its shipment is there", patience, func() bool {
				return b.world.Warehouse.Work(shipmentKey(orders[n-1].ID), "shipped") == nil
			})
		}
		time.Sleep(time.Duration(n) * 70 * time.Millisecond) // another moment each time
		b.engine.Kill()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := b.engine.Restart(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for n, o := range orders {
		t.Cleanup(func() { b.tell(o.ID) })
		phase, want := order.PhaseShipped, endShipped(o)
		if n == len(orders)-1 {
			phase, want = order.PhaseAccepted, endAccepted(o)
		}
		if err := b.awaitPhase(ctx, o.ID, phase); err != nil {
			t.Errorf("order %s: %v", o.ID, err)
		}
		b.check(o, want)
	}
	b.stock("MUG", "TSHIRT")
}

// TestCrash_EngineDataLost deletes everything that the engine knew while orders
// are at every stage, and submits them all again to a new engine.
func TestCrash_EngineDataLostInMidFlight_NoSecondEffect(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	at := map[string]order.Order{}
	for _, stage := range []string{"received", "acting", "accepted", "packed", "shipped", "delivered", "cancelled", "declined", "atonce", "atonceshipped"} {
		o := anOrder("lost-" + stage)
		switch stage {
		case "acting":
			o.Payment.Method = "pm_card_authenticationRequired"
		case "declined":
			o.Payment.Method = "pm_card_chargeDeclined"
		case "atonce", "atonceshipped":
			o.Payment.Capture = order.CaptureAtOnce
		}
		at[stage] = o
		if stage != "received" {
			b.submit(o)
		}
	}
	for _, stage := range []string{"accepted", "packed", "shipped", "delivered", "cancelled", "atonce", "atonceshipped"} {
		b.reaches(at[stage].ID, order.PhaseAccepted, patience)
	}
	b.work(at["packed"].ID, "packed")
	for _, stage := range []string{"shipped", "atonceshipped"} {
		b.work(at[stage].ID, "shipped")
		b.reaches(at[stage].ID, order.PhaseShipped, patience)
	}
	b.work(at["delivered"].ID, "delivered")
	b.reaches(at["delivered"].ID, order.PhaseDelivered, patience)
	if _, err := b.orders.Cancel(t.Context(), at["cancelled"].ID, workflows.Cancel{By: "customer", Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	b.reaches(at["cancelled"].ID, order.PhaseCancelled, patience)
	b.reaches(at["declined"].ID, order.PhasePaying, patience)
	if _, err := b.orders.Submit(t.Context(), at["received"]); err != nil { // in mid-flight
		t.Fatal(err)
	}
	b.engine.Kill()
	b.stopWorkers()
	before := map[string]map[order.System]int{}
	for stage, o := range at {
		before[stage] = effects(t, b.world, o.ID)
	}
	if err := b.startEngine(t.Context(), "engine-without-memory"); err != nil {
		t.Fatal(err)
	}
	if err := b.startWorkers(); err != nil {
		t.Fatal(err)
	}
	for _, o := range at {
		b.submit(o)
	}
	b.rebuilt(at, before)
}

// rebuilt checks what became of the orders on an engine that knew nothing of
// them.
func (b *bundle) rebuilt(at map[string]order.Order, before map[string]map[order.System]int) {
	b.t.Helper()
	shippedAtOnce := endShipped(at["atonceshipped"])
	acceptedAtOnce := endAccepted(at["atonce"])
	acceptedAtOnce.held, acceptedAtOnce.captured, acceptedAtOnce.receipts = 0, at["atonce"].Total, 1
	packed := endAccepted(at["packed"])
	packed.shipments = []string{"packed"}
	for _, s := range []struct {
		stage   string
		phase   order.Phase
		want    ending
		settled bool // nothing at all is left to do
	}{
		{"received", order.PhaseAccepted, endAccepted(at["received"]), false},
		{"accepted", order.PhaseAccepted, endAccepted(at["accepted"]), true},
		{"packed", order.PhaseAccepted, packed, true},
		{"shipped", order.PhaseShipped, endShipped(at["shipped"]), true},
		{"delivered", order.PhaseDelivered, endShipped(at["delivered"]), true},
		{"atonce", order.PhaseAccepted, acceptedAtOnce, true},
		{"atonceshipped", order.PhaseShipped, shippedAtOnce, true},
		{"cancelled", order.PhaseCancelled, ending{sale: true, deal: "lost", mails: []string{"cancellation", "confirmation"}}, true},
	} {
		b.t.Run(s.stage, func(t *testing.T) {
			b := &bundle{b.stage, t}
			o := at[s.stage]
			t.Cleanup(func() { b.tell(o.ID) })
			b.reaches(o.ID, s.phase, patience)
			b.check(o, s.want)
			if s.settled {
				same(t, "effects of the rebuilt order", effects(t, b.world, o.ID), before[s.stage])
			}
		})
	}
	b.t.Run("declined", func(t *testing.T) {
		b := &bundle{b.stage, t}
		o := at["declined"]
		t.Cleanup(func() { b.tell(o.ID) })
		reply, err := b.orders.Attempt(t.Context(), o.ID, workflows.Attempt{
			Asked: workflows.Asked{ID: "another card", By: "customer"}, Payment: order.Payment{Method: "pm_card_visa"},
		})
		if err != nil || reply.Declined != "" || reply.Refused != "" {
			t.Fatalf("the second attempt: %+v, %v", reply, err)
		}
		b.reaches(o.ID, order.PhaseAccepted, patience)
		b.check(o, endAccepted(o))
	})
	b.t.Run("acting", func(t *testing.T) {
		b := &bundle{b.stage, t}
		o := at["acting"]
		t.Cleanup(func() { b.tell(o.ID) })
		b.edit(order.SystemPayment, map[string]any{"order": o.ID, "pay": "succeeded"})
		b.until("the payment is noticed", patience, func() bool {
			v := b.fresh(o.ID) // the webhook's gateway died with its engine
			return v.Phase == order.PhaseAccepted && v.Agreement == reconcile.Agreed
		})
		b.check(o, endAccepted(o))
	})
	b.stock("MUG", "TSHIRT")
}
