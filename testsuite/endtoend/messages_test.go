package endtoend

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/workflows"
)

func TestMessages_SubmittedByManyAtOnce_OneOrder(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("many-1")
	t.Cleanup(func() { b.tell(o.ID) })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			answer, err := b.orders.Submit(t.Context(), o)
			if err != nil || answer.Order != o.ID {
				t.Errorf("submitted beside others: %+v, %v", answer, err)
			}
		})
	}
	all.Wait()
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.check(o, endAccepted(o))
	before := effects(t, b.world, o.ID)
	b.submit(o) // the customer presses refresh
	same(t, "effects after a refresh", effects(t, b.world, o.ID), before)
}

func TestMessages_AnotherOrderUnderTheSameID_RefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("another-1")
	b.accept(o)
	other := o
	other.Lines = []order.Line{{SKU: "MUG", Quantity: 1, UnitPrice: 100}}
	other.Shipping, other.Total = 0, 100
	if _, err := b.orders.Submit(t.Context(), other); !errors.Is(err, starters.ErrAnotherOrder) {
		t.Errorf("another order under the same id: %v; want ErrAnotherOrder", err)
	}
	b.check(o, endAccepted(o))
}

// reads counts what an order looked up in a system.
func (b *bundle) reads(system order.System, of order.ID) int {
	b.t.Helper()
	entries, err := b.world.Frame(system).Ledger(0, of)
	if err != nil {
		b.t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Kind == simulator.EntryRequest && e.Operation == "lookup" {
			n++
		}
	}
	return n
}

func TestMessages_ANoticeManyTimes_ReadOnce(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("notice-1")
	b.accept(o)
	before := b.reads(order.SystemPayment, o.ID)
	n := reconciliation.Notice{ID: "evt_by_hand", System: order.SystemPayment, Type: "payment_intent.succeeded", At: time.Now().Add(time.Minute)}
	for range 5 {
		if err := b.orders.Tell(t.Context(), o.ID, n); err != nil {
			t.Fatal(err)
		}
	}
	b.until("the notice was followed", patience, func() bool { return b.reads(order.SystemPayment, o.ID) > before })
	once := b.reads(order.SystemPayment, o.ID)
	for range 5 {
		if err := b.orders.Tell(t.Context(), o.ID, n); err != nil {
			t.Fatal(err)
		}
	}
	b.fresh(o.ID) // an answer means that what came before it was taken in
	if fresh := b.reads(order.SystemPayment, o.ID); fresh > 2*once-before {
		t.Errorf("a repeated notice was read again: %d look-ups, then %d with one fresh verdict", once, fresh)
	}
	b.check(o, endAccepted(o))
}

// The gateway's webhook comes before anybody submitted the order: it waits, and
// is given to the order when it appears.
func TestMessages_WebhookBeforeItsOrder_WaitsInTheInbox(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("early-1")
	intent, err := b.world.Payment.Start(o.ID, payment.Checkout{Amount: o.Total, Currency: "EUR", Method: "pm_card_visa", Channel: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	inbox := workflows.InboxWorkflowID(order.SystemPayment, intent)
	b.until("the webhook waits in "+inbox, patience, func() bool {
		_, err := b.client.DescribeWorkflowExecution(t.Context(), inbox, "")
		return err == nil
	})
	if _, err := b.orders.Verdict(t.Context(), o.ID, false); !errors.Is(err, starters.ErrUnknownOrder) {
		t.Errorf("the order exists before it was submitted: %v", err)
	}
	o.Payment = order.Payment{Intent: intent, Capture: order.CaptureOnShip}
	b.accept(o)
	if err := b.client.GetWorkflow(t.Context(), inbox, "").Get(t.Context(), nil); err != nil {
		t.Errorf("the inbox does not end: %v", err)
	}
	b.lawful(o)
}

// A closed order is opened again by what happens to it later.
func TestMessages_RefundedByHandAfterItClosed_OpenedAgainAndBooked(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{policy: "return_window: 1s"})
	o := anOrder("late-1")
	b.accept(o)
	b.work(o.ID, "delivered")
	b.closes(o.ID)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "refunded": 1000})
	b.until("books, CRM and customer follow the gateway", patience, func() bool {
		r := readRecords(t, b.world, o)
		return posted(r.erp.Receipts) == 2 && r.erp.Balance == 0 && len(r.crm.Deals) == 1 && r.crm.Deals[0].Revenue == o.Total-1000
	})
	b.lawful(o)
	if report := b.run(workflows.ReconcileInput{}); report.Found != 0 {
		t.Errorf("a run finds what the order has taken up already: %+v", report)
	}
}

func TestMessages_ForeignAndUnknown_NothingStarted(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	for _, id := range []order.ID{"nobody-1", "nobody-2"} {
		if _, err := b.orders.Verdict(t.Context(), id, true); !errors.Is(err, starters.ErrUnknownOrder) {
			t.Errorf("verdict of %s: %v; want ErrUnknownOrder", id, err)
		}
		if _, err := b.orders.Cancel(t.Context(), id, workflows.Cancel{By: "x", Reason: "y"}); !errors.Is(err, starters.ErrUnknownOrder) {
			t.Errorf("cancel of %s: %v; want ErrUnknownOrder", id, err)
		}
	}
	counted, err := b.orders.Orders(t.Context(), "WorkflowId IN ('order/nobody-1','order/nobody-2')", 10)
	if err != nil || len(counted) != 0 {
		t.Errorf("%s: %v; want no workflow", fmt.Sprint(counted), err)
	}
}
