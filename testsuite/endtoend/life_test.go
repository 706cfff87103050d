package endtoend

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/workflows"
)

// accept brings an order to where all six systems agree that it is accepted.
func (b *bundle) accept(o order.Order) {
	b.t.Helper()
	b.submit(o)
	b.reaches(o.ID, order.PhaseAccepted, patience)
}

func TestLife_ShippedAndDelivered_CapturedInvoicedCommittedTold(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("shipped-1")
	b.accept(o)
	b.check(o, endAccepted(o))
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
	b.work(o.ID, "delivered")
	v := b.reaches(o.ID, order.PhaseDelivered, patience)
	if v.Outcome != reconcile.Succeeded {
		t.Errorf("outcome is %s; want succeeded", v.Outcome)
	}
	b.check(o, endShipped(o))
	if fresh := b.fresh(o.ID); fresh.Agreement != reconcile.Agreed || fresh.Outcome != reconcile.Succeeded {
		t.Errorf("the fresh verdict is %s, %s; want succeeded, agreed", fresh.Outcome, fresh.Agreement)
	}
}

func TestLife_PickedAndPackedStepByStep_NothingCapturedBeforeItLeaves(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("steps-1")
	b.accept(o)
	for _, state := range []string{"assigned", "picked", "packed"} {
		b.work(o.ID, state)
		b.until("the warehouse says "+state, patience, func() bool {
			return b.says(o.ID, order.SystemWarehouse, "goods requested") != "" && b.fresh(o.ID).Agreement == reconcile.Agreed
		})
		want := endAccepted(o)
		want.shipments = []string{state}
		b.check(o, want)
	}
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
}

// says returns what a system says in a row of the verdict.
func (b *bundle) says(id order.ID, system order.System, field string) string {
	b.t.Helper()
	for _, row := range b.verdict(id).Rows {
		for _, cell := range row.Cells {
			if row.Field == field && cell.System == system {
				return cell.Value
			}
		}
	}
	return ""
}

func TestLife_Closes_WhenTheReturnWindowIsOver(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{policy: "return_window: 1s"})
	o := anOrder("closes-1")
	b.accept(o)
	b.work(o.ID, "delivered")
	b.closes(o.ID)
	b.check(o, endShipped(o))
	// What is closed still answers, and the same order again gets the same answer.
	v := b.verdict(o.ID)
	if v.Outcome != reconcile.Succeeded || v.Phase != order.PhaseClosed {
		t.Errorf("the closed order's verdict is %s in %s; want succeeded in closed", v.Outcome, v.Phase)
	}
	before := effects(t, b.world, o.ID)
	again, err := b.orders.Submit(t.Context(), o)
	if err != nil || again.Why != "" {
		t.Errorf("submitted again: %+v, %v; want the answer of a good order", again, err)
	}
	same(t, "effects of a repeated submission", effects(t, b.world, o.ID), before)
	other := o
	other.Customer.Name = "Somebody Else"
	if _, err := b.orders.Submit(t.Context(), other); !errors.Is(err, starters.ErrAnotherOrder) {
		t.Errorf("another order under the id of a closed one: %v; want ErrAnotherOrder", err)
	}
	if fresh := b.fresh(o.ID); fresh.Agreement != reconcile.Agreed {
		t.Errorf("the fresh verdict of a closed order is %s; want agreed", fresh.Agreement)
	}
	b.closes(o.ID)
}

// closes waits until the order's workflow has completed.
func (b *bundle) closes(id order.ID) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if err := b.client.GetWorkflow(ctx, workflows.OrderWorkflowID(id), "").Get(ctx, nil); err != nil {
		b.t.Fatalf("order %s does not close: %v", id, err)
	}
}

func TestLife_Declined_FailedAndNothingHeld(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{policy: "pay_window: 3s\n"})
	o := anOrder("declined-1")
	o.Payment.Method = "pm_card_chargeDeclined"
	answer, err := b.orders.Submit(t.Context(), o)
	t.Cleanup(func() { b.tell(o.ID) })
	if err != nil || answer.Declined == "" || answer.PayUntil.IsZero() {
		t.Errorf("submitted: %+v, %v; want why it was declined, and until when the customer may try again", answer, err)
	}
	v := b.reaches(o.ID, order.PhaseFailed, patience)
	b.keep("declined", o.ID)
	if v.Outcome != reconcile.Failed {
		t.Errorf("outcome is %s; want failed", v.Outcome)
	}
	b.check(o, ending{})
	b.noneOpen(o.ID)
}

// noneOpen fails the test when an attempt could still take money.
func (b *bundle) noneOpen(id order.ID) {
	b.t.Helper()
	if open := readRecords(b.t, b.world, order.Order{ID: id}).payment.Totals.Open; open != 0 {
		b.t.Errorf("order %s: %d attempts could still take money; want none", id, open)
	}
}

func TestLife_OutOfStock_FailedAndNeverCharged(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{policy: "answer_within: 3s\n"})
	b.edit(order.SystemInventory, map[string]any{"sku": "MUG", "stocked": 0})
	b.edit(order.SystemInventory, map[string]any{"sku": "TSHIRT", "stocked": 0})
	o := anOrder("nostock-1")
	b.submit(o)
	v := b.reaches(o.ID, order.PhaseFailed, patience)
	if v.Outcome != reconcile.Failed {
		t.Errorf("outcome is %s; want failed", v.Outcome)
	}
	b.check(o, ending{mails: []string{"question"}})
	if n := effectsOf(t, b.world, order.SystemPayment, o.ID, order.Authorize); n != 0 {
		t.Errorf("%d authorizations of an order that cannot be filled; want none", n)
	}
}

// The checkout had the money authorized before the order came: an order that
// cannot be filled gives it back although it never asked for it itself.
func TestLife_OutOfStock_PaymentOfTheCheckoutIsClosed(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{policy: "answer_within: 3s\n"})
	b.edit(order.SystemInventory, map[string]any{"sku": "MUG", "stocked": 0})
	b.edit(order.SystemInventory, map[string]any{"sku": "TSHIRT", "stocked": 0})
	o := anOrder("nostock-2")
	intent, err := b.world.Payment.Start(o.ID, payment.Checkout{Amount: o.Total, Currency: "EUR", Method: "pm_card_visa", Channel: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	o.Payment = order.Payment{Intent: intent, Capture: order.CaptureOnShip}
	b.submit(o)
	b.reaches(o.ID, order.PhaseFailed, patience)
	b.check(o, ending{mails: []string{"cancellation", "question"}})
	b.noneOpen(o.ID)
}

func TestLife_PaidAtTheCheckout_Adopted(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("checkout-1")
	intent, err := b.world.Payment.Start(o.ID, payment.Checkout{
		Amount: o.Total, Currency: "EUR", Method: "pm_card_visa", Channel: "shop", Bare: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Payment = order.Payment{Intent: intent, Capture: order.CaptureOnShip}
	b.accept(o)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	if n := len(readRecords(t, b.world, o).payment.PaymentIntents); n != 1 {
		t.Errorf("%d attempts; want the one of the checkout alone", n)
	}
}

func TestLife_UnpaidPastTheWindow_GatewayAskedAndAttemptClosed(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{policy: "pay_window: 3s"})
	o := anOrder("unpaid-1")
	o.Payment.Method = "pm_card_authenticationRequired"
	answer, err := b.orders.Submit(t.Context(), o)
	t.Cleanup(func() { b.tell(o.ID) })
	if err != nil || answer.Next == nil {
		t.Fatalf("submitted: %+v, %v; want the customer's next step", answer, err)
	}
	b.reaches(o.ID, order.PhaseFailed, patience)
	b.check(o, ending{})
	b.noneOpen(o.ID)
	b.keep("unpaid", o.ID)
	asked := false
	for _, e := range readRecords(t, b.world, o).ledgers[order.SystemPayment] {
		asked = asked || e.Operation == "lookup" || e.Operation == "list"
	}
	if !asked {
		t.Error("the gateway was never asked before the order failed as unpaid")
	}
}

func TestLife_UnpaidAndGatewayUnreadable_WaitsInDoubt(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{policy: "pay_window: 2s"})
	o := anOrder("unpaid-2")
	o.Payment.Method = "pm_card_authenticationRequired"
	b.submit(o)
	b.fault(order.SystemPayment, "lookup", "unavailable", o.ID, -1)
	b.fault(order.SystemPayment, "list", "unavailable", o.ID, -1)
	// Past the window and a failed reading later it still waits.
	b.until("the gateway was asked in vain", patience, func() bool { return b.fired(order.SystemPayment) > 0 })
	if v := b.verdict(o.ID); v.Outcome == reconcile.Failed {
		t.Errorf("outcome is %s while the gateway cannot be read", v.Outcome)
	}
	// The customer pays after all, before the gateway is back: the order goes on.
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "pay": "succeeded"})
	b.world.Frame(order.SystemPayment).Clear("*")
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.check(o, endAccepted(o))
}

func TestLife_CustomerActs_GoesOn(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("acts-1")
	o.Payment.Method = "pm_card_authenticationRequired"
	answer, err := b.orders.Submit(t.Context(), o)
	t.Cleanup(func() { b.tell(o.ID) })
	if err != nil || answer.Next == nil || answer.Phase != order.PhasePaying {
		t.Fatalf("submitted: %+v, %v; want the customer's next step", answer, err)
	}
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "pay": "succeeded"})
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.check(o, endAccepted(o))
	b.keep("customer-acts", o.ID)
	again, err := b.orders.Submit(t.Context(), o)
	if err != nil {
		t.Errorf("submitted again after paying: %v", err)
	} else if again.Phase != order.PhasePaying && again.Next != nil {
		t.Errorf("an accepted order still asks its customer to act: %+v", again)
	}
}

func TestLife_CustomerFailsTheChallenge_Failed(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{policy: "pay_window: 4s\n"})
	o := anOrder("acts-2")
	o.Payment.Method = "pm_card_authenticationRequired"
	b.submit(o)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "pay": "declined"})
	b.reaches(o.ID, order.PhaseFailed, patience)
	b.check(o, ending{})
	b.noneOpen(o.ID)
}

func TestLife_CapturedAtOnce_NotCapturedAgain(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("atonce-1")
	o.Payment.Capture = order.CaptureAtOnce
	b.accept(o)
	want := endAccepted(o)
	want.held, want.captured, want.receipts = 0, o.Total, 1
	b.check(o, want)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
	for _, e := range readRecords(t, b.world, o).ledgers[order.SystemPayment] {
		if intent, _ := order.ParseKey(e.Key); intent.Operation == order.Capture {
			t.Errorf("a capture of money that was captured at once: %+v", e)
		}
	}
}

func TestLife_UnderReview_NothingGoesOutUntilApproved(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("review-1")
	o.Payment.Method = "pm_card_riskLevelElevated"
	b.submit(o)
	if asked := readRecords(t, b.world, o).warehouse.Shipments; len(asked) != 0 {
		t.Errorf("goods were requested under review: %+v", asked)
	}
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "review": "approved"})
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.check(o, endAccepted(o))
}

func TestCancel_BeforePacked_EverythingBackAndToldOnce(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("cancel-1")
	b.accept(o)
	b.work(o.ID, "picked")
	answer, err := b.orders.Cancel(t.Context(), o.ID, workflows.Cancel{By: "customer", Reason: "changed my mind"})
	if err != nil || !answer.Cancelled {
		t.Fatalf("cancel: %+v, %v; want cancelled", answer, err)
	}
	v := b.reaches(o.ID, order.PhaseCancelled, patience)
	if v.Outcome != reconcile.Cancelled {
		t.Errorf("outcome is %s; want cancelled", v.Outcome)
	}
	b.check(o, ending{sale: b.saleStands(o), deal: "lost", mails: []string{"cancellation", "confirmation"}})
	b.noneOpen(o.ID)
	// Asked again, it answers what became of the first wish.
	again, err := b.orders.Cancel(t.Context(), o.ID, workflows.Cancel{By: "customer", Reason: "once more"})
	if err != nil || !again.Cancelled {
		t.Errorf("cancelled again: %+v, %v; want cancelled", again, err)
	}
	b.check(o, ending{sale: b.saleStands(o), deal: "lost", mails: []string{"cancellation", "confirmation"}})
	b.inOrder(o.ID, order.SystemWarehouse, order.Cancel, order.SystemPayment, order.Void)
	b.keep("cancelled", o.ID)
}

// saleStands says whether the ERP's sale is there: a cancelled order's sale was
// never invoiced, and stays as the record of what was asked.
func (b *bundle) saleStands(o order.Order) bool {
	return slices.ContainsFunc(readRecords(b.t, b.world, o).ledgers[order.SystemERP], func(e entry) bool { return e.Operation == order.Record })
}

// inOrder fails the test unless one effect came before another.
func (b *bundle) inOrder(id order.ID, first order.System, firstDone order.Operation, then order.System, thenDone order.Operation) {
	b.t.Helper()
	r := readRecords(b.t, b.world, order.Order{ID: id})
	x, y := r.first(first, firstDone), r.first(then, thenDone)
	if x.IsZero() || y.IsZero() || y.Before(x) {
		b.t.Errorf("order %s: %s.%s at %s and %s.%s at %s; want the first before the second", id, first, firstDone, x, then, thenDone, y)
	}
}

func TestCancel_WhilePaying_NothingHeld(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("cancel-2")
	o.Payment.Method = "pm_card_authenticationRequired"
	b.submit(o)
	answer, err := b.orders.Cancel(t.Context(), o.ID, workflows.Cancel{By: "customer", Reason: "no"})
	if err != nil || !answer.Cancelled {
		t.Fatalf("cancel: %+v, %v; want cancelled", answer, err)
	}
	b.reaches(o.ID, order.PhaseCancelled, patience)
	b.check(o, ending{mails: []string{"cancellation"}})
	b.noneOpen(o.ID)
}

func TestCancel_CapturedAtOnce_RefundedOnce(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("cancel-3")
	o.Payment.Capture = order.CaptureAtOnce
	b.accept(o)
	if _, err := b.orders.Cancel(t.Context(), o.ID, workflows.Cancel{By: "customer", Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	b.reaches(o.ID, order.PhaseCancelled, patience)
	r := readRecords(t, b.world, o)
	if totals := r.payment.Totals; totals.Captured != o.Total || totals.Refunded != o.Total || totals.Refunds != 1 {
		t.Errorf("the gateway says %+v; want all of %d refunded once", totals, o.Total)
	}
	if n := posted(r.erp.Receipts); n != 2 {
		t.Errorf("%d receipts are booked; want one for the capture and one for the refund", n)
	}
	b.lawful(o)
}

func TestCancel_Packed_RefusedWithACaseAndGoesOn(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("cancel-4")
	b.accept(o)
	b.work(o.ID, "packed")
	answer, err := b.orders.Cancel(t.Context(), o.ID, workflows.Cancel{By: "customer", Reason: "too late"})
	if err != nil || answer.Cancelled || answer.Refused == "" {
		t.Fatalf("cancel: %+v, %v; want refused, and why", answer, err)
	}
	v := b.verdict(o.ID)
	if v.Agreement != reconcile.NeedsPerson || len(v.Cases) != 1 {
		t.Errorf("the verdict is %s with %d cases; want needs_person with one", v.Agreement, len(v.Cases))
	}
	b.work(o.ID, "shipped")
	b.until("shipped all the same", patience, func() bool {
		r := readRecords(t, b.world, o)
		return b.verdict(o.ID).Phase == order.PhaseShipped && r.payment.Totals.Captured == o.Total && posted(r.erp.Receipts) == 1 &&
			len(r.inventory.Reservations) == 0 && len(r.mail) == 4
	})
	b.keep("cancel-refused", o.ID)
	b.until("the deal's revenue", patience, func() bool { return readRecords(t, b.world, o).crm.Deals[0].Revenue == o.Total })
	b.check(o, endShipped(o))
}

func TestCancel_Shipped_RefusedWithACase(t *testing.T) {
	t.Parallel()
	b := onShared(t)
	o := anOrder("cancel-5")
	b.accept(o)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	answer, err := b.orders.Cancel(t.Context(), o.ID, workflows.Cancel{By: "customer", Reason: "too late"})
	if err != nil || answer.Cancelled || answer.Refused == "" {
		t.Fatalf("cancel: %+v, %v; want refused, and why", answer, err)
	}
	if v := b.verdict(o.ID); v.Agreement != reconcile.NeedsPerson || len(v.Cases) != 1 {
		t.Errorf("the verdict is %s with %d cases; want needs_person with one", v.Agreement, len(v.Cases))
	}
	b.check(o, endShipped(o))
}
