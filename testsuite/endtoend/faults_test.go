package endtoend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workflows"
)

type entry = simulator.Entry

// fault injects a fault for one order, or for all when of is empty.
func (b *bundle) fault(system order.System, operation order.Operation, kind simulator.FaultKind, of order.ID, times int) {
	b.t.Helper()
	if _, err := b.world.Frame(system).Inject(simulator.Fault{Operation: operation, Kind: kind, Order: of, Times: times}); err != nil {
		b.t.Fatal(err)
	}
}

// fired counts the calls that suffered a fault in a system.
func (b *bundle) fired(system order.System) int {
	n := 0
	for _, f := range b.world.Frame(system).Faults() {
		n += f.Fired
	}
	return n
}

func same[K comparable](t *testing.T, what string, got, want map[K]int) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: %v; want %v", what, got, want)
	}
}

// path is how an order is driven to where an operation happens.
type path string

const (
	toShipped   path = "shipped"
	toCancelled path = "cancelled"
	toRefunded  path = "refunded" // captured at once, then cancelled
)

// writes are the operations that change a system, and how to come to them.
var writes = []struct {
	system    order.System
	operation order.Operation
	path      path
}{
	{order.SystemPayment, order.Authorize, toShipped},
	{order.SystemPayment, order.Capture, toShipped},
	{order.SystemPayment, order.Void, toCancelled},
	{order.SystemPayment, order.Refund, toRefunded},
	{order.SystemInventory, order.Reserve, toShipped},
	{order.SystemInventory, order.Commit, toShipped},
	{order.SystemInventory, order.Release, toCancelled},
	{order.SystemWarehouse, order.Request, toShipped},
	{order.SystemWarehouse, order.Cancel, toCancelled},
	{order.SystemERP, order.Record, toShipped},
	{order.SystemERP, order.Invoice, toShipped},
	{order.SystemERP, order.Receipt, toShipped},
	{order.SystemCRM, order.Upsert, toShipped},
	{order.SystemMail, order.Send, toShipped},
}

// kinds are the faults after which every write must end with one effect.
var kinds = []simulator.FaultKind{
	simulator.Refused, simulator.Unavailable, simulator.ResponseLost, simulator.ResponseError, simulator.RateLimited,
	simulator.Late, simulator.Garbage, simulator.Twice, simulator.Unauthorized,
}

// cell is one write under one fault.
type cell struct {
	order order.Order
	path  path
	err   error
}

// TestFaults_EveryWriteUnderEveryFault_OneEffect drives one order through each
// write under each fault, all of them at once: in the end every order is where
// it belongs, in every system, with each effect once.
func TestFaults_EveryWriteUnderEveryFault_OneEffect(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	var cells []*cell
	for _, w := range writes {
		for _, kind := range kinds {
			if w.system == order.SystemMail && kind == simulator.Twice {
				continue // the mail is out twice then, and nobody can take one back: see TestReconcile_MailSentTwice
			}
			id := fmt.Sprintf("%s-%s-%s", w.system, w.operation, strings.ReplaceAll(string(kind), "_", ""))
			c := &cell{order: anOrder(id), path: w.path}
			if w.path == toRefunded {
				c.order.Payment.Capture = order.CaptureAtOnce
			}
			_, err := b.world.Frame(w.system).Inject(simulator.Fault{Operation: w.operation, Kind: kind, Order: c.order.ID, Delay: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			cells = append(cells, c)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience) // for all of them together
	defer cancel()
	var driven sync.WaitGroup
	for i, c := range cells {
		driven.Go(func() {
			wait(ctx, time.Duration(i)*50*time.Millisecond) // not all in the same moment
			c.err = b.drive(ctx, c)
		})
	}
	driven.Wait()
	for _, c := range cells {
		t.Run(string(c.order.ID), func(t *testing.T) {
			b := &bundle{b.stage, t}
			t.Cleanup(func() { b.tell(c.order.ID) })
			if c.err != nil {
				t.Error(c.err)
			}
			b.check(c.order, c.ending())
			b.suffered(c.order.ID)
		})
	}
	b.stock("MUG", "TSHIRT")
}

// suffered fails the test when a fault of the order never fired: it proves
// nothing then.
func (b *bundle) suffered(id order.ID) {
	b.t.Helper()
	for _, system := range order.Systems() {
		for _, f := range b.world.Frame(system).Faults() {
			if f.Order == id && f.Fired == 0 {
				b.t.Errorf("order %s: the fault %s of %s.%s never fired", id, f.Kind, system, f.Operation)
			}
		}
	}
}

func (c *cell) ending() ending {
	switch c.path {
	case toCancelled:
		return ending{sale: true, deal: "lost", mails: []string{"cancellation", "confirmation"}}
	case toRefunded:
		return ending{
			captured: c.order.Total, refunded: c.order.Total, sale: true, receipts: 2, deal: "lost",
			mails: []string{"cancellation", "confirmation"},
		}
	case toShipped:
	}
	return endShipped(c.order)
}

// drive takes an order along its path; an error says where it stopped.
func (b *bundle) drive(ctx context.Context, c *cell) error {
	id := c.order.ID
	if _, err := b.orders.Submit(ctx, c.order); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if err := b.awaitPhase(ctx, id, order.PhaseAccepted); err != nil {
		return err
	}
	if c.path == toShipped {
		if err := b.world.Warehouse.Work(shipmentKey(id), "shipped"); err != nil {
			return err
		}
		return b.awaitPhase(ctx, id, order.PhaseShipped)
	}
	if _, err := b.orders.Cancel(ctx, id, workflows.Cancel{By: "customer", Reason: "no"}); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	return b.awaitPhase(ctx, id, order.PhaseCancelled)
}

// awaitPhase waits until an order is in a phase and everything agrees, for use
// beside many others: it asks less and less often.
func (b *bundle) awaitPhase(ctx context.Context, id order.ID, phase order.Phase) error {
	last := "it was never answered"
	for pause := 300 * time.Millisecond; ; pause = min(pause*5/4, 2*time.Second) {
		v, err := b.orders.Verdict(ctx, id, false)
		switch {
		case err == nil && v.Phase == phase && v.Agreement == reconcile.Agreed:
			return nil
		case err == nil:
			last = fmt.Sprintf("it is %s, %s: %s", v.Phase, v.Agreement, v.Summary)
		}
		if !wait(ctx, pause) {
			return fmt.Errorf("not %s and agreed in time; %s", phase, last)
		}
	}
}

// wait waits, and says whether the context still lives.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// TestFaults_ASystemDownInEachPhase_AgreesWhenItIsBack lets each system answer
// nothing for some calls of an order, reads among them, in each phase.
func TestFaults_ASystemDownInEachPhase_AgreesWhenItIsBack(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	var cells []*cell
	var driven sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience) // for all of them together
	defer cancel()
	for _, system := range order.Systems() {
		for _, phase := range []order.Phase{order.PhasePaying, order.PhaseShipped, order.PhaseCancelling} {
			c := &cell{order: anOrder(fmt.Sprintf("down-%s-%s", system, phase)), path: toShipped}
			if phase == order.PhaseCancelling {
				c.path = toCancelled
			}
			cells = append(cells, c)
			driven.Go(func() {
				if phase != order.PhasePaying {
					if c.err = b.begin(ctx, c.order); c.err != nil {
						return
					}
				}
				_, c.err = b.world.Frame(system).Inject(simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Order: c.order.ID, Times: 4})
				if c.err == nil {
					c.err = b.drive(ctx, c)
				}
			})
		}
	}
	driven.Wait()
	for _, c := range cells {
		t.Run(string(c.order.ID), func(t *testing.T) {
			b := &bundle{b.stage, t}
			t.Cleanup(func() { b.tell(c.order.ID) })
			if c.err != nil {
				t.Error(c.err)
			}
			b.check(c.order, c.ending())
		})
	}
	b.stock("MUG", "TSHIRT")
}

// begin brings an order to where it is accepted.
func (b *bundle) begin(ctx context.Context, o order.Order) error {
	if _, err := b.orders.Submit(ctx, o); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	return b.awaitPhase(ctx, o.ID, order.PhaseAccepted)
}

func TestFaults_ERPAndCRMDown_GoodsMoneyAndMailGoOn(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	for _, system := range []order.System{order.SystemERP, order.SystemCRM} {
		b.fault(system, "*", simulator.Unavailable, "", -1)
	}
	o := anOrder("alone-1")
	b.submit(o)
	b.until("confirmed and requested while ERP and CRM are down", patience, func() bool {
		r := readRecords(t, b.world, o)
		return len(r.mail) == 2 && len(r.warehouse.Shipments) == 1
	})
	b.work(o.ID, "shipped")
	b.until("captured, committed and told while ERP and CRM are down", patience, func() bool {
		r := readRecords(t, b.world, o)
		return r.payment.Totals.Captured == o.Total && len(r.inventory.Reservations) == 0 && len(r.mail) == 4
	})
	if v := b.fresh(o.ID); v.Agreement == reconcile.Agreed || v.Outcome != reconcile.Succeeded {
		t.Errorf("the verdict is %s, %s while ERP and CRM cannot be read; want succeeded, and not agreed", v.Outcome, v.Agreement)
	}
	for _, system := range []order.System{order.SystemERP, order.SystemCRM} {
		b.world.Frame(system).Clear("*")
	}
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
}

// The warehouse says once that goods have left; when it cannot be read at that
// moment it will not say so again.
func TestFaults_WarehouseUnreadableWhenItShips_Noticed(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("unread-1")
	b.accept(o)
	b.fault(order.SystemWarehouse, "lookup", simulator.Unavailable, o.ID, 2)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
	b.suffered(o.ID)
}

// Refusals for good: the order stands where it can, and a person is asked.
func TestFaults_RefusedForGood(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	for _, f := range []struct {
		system    order.System
		operation order.Operation
	}{
		{order.SystemWarehouse, order.Request}, {order.SystemERP, order.Record}, {order.SystemCRM, order.Upsert},
	} {
		o := anOrder(fmt.Sprintf("rejected-%s-%s", f.system, f.operation))
		b.fault(f.system, f.operation, simulator.Rejected, o.ID, 1)
		b.submit(o)
		b.until("a case about "+string(f.operation), patience, func() bool {
			v := b.verdict(o.ID)
			return v.Agreement == reconcile.NeedsPerson && slices.ContainsFunc(v.Cases, func(c reconcile.Case) bool { return c.Step.System == f.system })
		})
		b.lawful(o)
		b.suffered(o.ID)
	}
}
