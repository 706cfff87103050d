package endtoend

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/workflows"
)

// run makes one reconciliation run and returns its report.
func (b *bundle) run(in workflows.ReconcileInput) reconciliation.RunReport {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	report, err := b.orders.Reconcile(ctx, in)
	if err != nil {
		b.t.Fatalf("reconcile: %v", err)
	}
	b.t.Logf("run: %s", report.Markdown())
	return report
}

// settle waits until what was edited is older than the policy's settling time,
// for runs do not judge what is younger.
func settle() { time.Sleep(1500 * time.Millisecond) }

// edited is one edit by hand and what should come of it.
type edited struct {
	name    string
	shipped bool
	by      func(b *bundle, o order.Order)
	// repaired says that a run puts it right by itself, and live that the order
	// takes it up when it is announced; else a person is asked.
	repaired, live bool
	want           func(o order.Order) ending // of what is repaired or live
}

var edits = []edited{
	{name: "deal-lost", repaired: true, want: endAccepted, by: func(b *bundle, o order.Order) {
		b.edit(order.SystemCRM, map[string]any{"order": o.ID, "stage": "lost"})
	}},
	{name: "revenue", shipped: true, repaired: true, want: endShipped, by: func(b *bundle, o order.Order) {
		b.edit(order.SystemCRM, map[string]any{"order": o.ID, "revenue": 1})
	}},
	{name: "reservations-deleted", repaired: true, want: endAccepted, by: func(b *bundle, o order.Order) {
		b.edit(order.SystemInventory, map[string]any{"order": o.ID, "delete": true})
	}},
	{name: "reservation-left", shipped: true, repaired: true, want: endShipped, by: func(b *bundle, o order.Order) {
		b.edit(order.SystemInventory, map[string]any{"order": o.ID, "reserved": map[string]int{"MUG": 2}})
	}},
	{name: "reserved-more", by: func(b *bundle, o order.Order) {
		b.edit(order.SystemInventory, map[string]any{"order": o.ID, "reserved": map[string]int{"TSHIRT": 3}})
	}},
	{name: "shipment-cancelled", by: func(b *bundle, o order.Order) {
		b.edit(order.SystemWarehouse, warehouse.Edit{Order: o.ID, Cancel: true})
	}},
	{name: "sale-deleted", by: func(b *bundle, o order.Order) {
		b.edit(order.SystemERP, erp.Edit{Order: o.ID, Kind: "sale", Delete: true})
	}},
	{name: "invoice-doubled", shipped: true, by: func(b *bundle, o order.Order) {
		b.edit(order.SystemERP, erp.Edit{Order: o.ID, Kind: "invoice", Again: true})
	}},
	{name: "receipt-by-hand", shipped: true, by: func(b *bundle, o order.Order) {
		amount := int64(500)
		b.edit(order.SystemERP, erp.Edit{Order: o.ID, Amount: &amount})
	}},
	{name: "voided", live: true, by: func(b *bundle, o order.Order) {
		b.edit(order.SystemPayment, map[string]any{"order": o.ID, "void": true})
	}, want: func(o order.Order) ending { // the customer is asked to pay anew, and nothing ships meanwhile
		want := endAccepted(o)
		want.held, want.shipments, want.mails = 0, nil, []string{"confirmation", "question"}
		return want
	}},
	{name: "refunded", shipped: true, live: true, by: func(b *bundle, o order.Order) {
		b.edit(order.SystemPayment, map[string]any{"order": o.ID, "refunded": 980})
	}, want: func(o order.Order) ending {
		want := endShipped(o)
		want.refunded, want.credited, want.receipts = 980, 980, 2
		want.mails = append(want.mails, "refund")
		slices.Sort(want.mails)
		return want
	}},
	{name: "disputed", shipped: true, by: func(b *bundle, o order.Order) {
		b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "opened"})
	}},
}

// TestReconcile_EditsByHand edits records in every system as people do. A dry
// run finds them and changes nothing; a run repairs, adopts or asks as the policy
// says; a second run has nothing left to do.
func TestReconcile_EditsByHand(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	orders := make([]order.Order, len(edits))
	for i, e := range edits {
		orders[i] = anOrder(e.name)
		b.accept(orders[i])
		if e.shipped {
			b.work(orders[i].ID, "shipped")
			b.reaches(orders[i].ID, order.PhaseShipped, patience)
		}
	}
	clean := b.run(workflows.ReconcileInput{})
	if clean.Found != 0 || clean.Repaired != 0 || len(clean.Unread) != 0 {
		t.Errorf("a run over agreeing systems found %d and repaired %d", clean.Found, clean.Repaired)
	}
	for i, e := range edits {
		e.by(b, orders[i])
	}
	settle()
	found := 0 // what is announced and no break is taken up without a run
	for _, e := range edits {
		if !e.live {
			found++
		}
	}
	dry := b.dryRunChangesNothing(found)
	first := b.run(workflows.ReconcileInput{})
	if !slices.Equal(dry.Lines, first.Lines) {
		t.Errorf("the dry run said\n%s\nand the run did\n%s", strings.Join(dry.Lines, "\n"), strings.Join(first.Lines, "\n"))
	}
	if first.Found < found {
		t.Errorf("the run found %d breaks; want one for each of %d edits at least", first.Found, found)
	}
	for i, e := range edits {
		t.Run(e.name, func(t *testing.T) {
			b := &bundle{b.stage, t}
			t.Cleanup(func() { b.tell(orders[i].ID) })
			b.cameOf(e, orders[i])
		})
	}
	settle()
	before := effects(t, b.world, "")
	second := b.run(workflows.ReconcileInput{})
	if second.Repaired != 0 || second.Cases != 0 || second.Adopted != 0 {
		t.Errorf("a second run repaired %d, adopted %d and opened %d cases; want nothing", second.Repaired, second.Adopted, second.Cases)
	}
	same(t, "effects of a second run", effects(t, b.world, ""), before)
}

// cameOf checks what a run made of an edit.
func (b *bundle) cameOf(e edited, o order.Order) {
	b.t.Helper()
	if !e.repaired && !e.live {
		v := b.verdict(o.ID)
		if v.Agreement != reconcile.NeedsPerson || len(v.Cases) == 0 || v.Cases[0].Step.Proposal == "" {
			b.t.Errorf("%s: the verdict is %s with %d cases; want needs_person with a proposal", e.name, v.Agreement, len(v.Cases))
		}
		return
	}
	b.until(e.name+" is put right", patience, func() bool { return b.verdict(o.ID).Agreement == reconcile.Agreed })
	b.until(e.name+" is as it should be", patience, func() bool { return len(readRecords(b.t, b.world, o).differs(e.want(o))) == 0 })
	b.check(o, e.want(o))
	if e.name == "revenue" {
		b.keep("repaired", o.ID)
	}
	if fresh := b.fresh(o.ID); fresh.Agreement != reconcile.Agreed {
		b.t.Errorf("%s: the fresh verdict is %s; want agreed", e.name, fresh.Agreement)
	}
}

// dryRunChangesNothing: no system, no order's history, no cursor, no marker.
func (b *bundle) dryRunChangesNothing(atLeast int) reconciliation.RunReport {
	b.t.Helper()
	events := func() map[string]int {
		counts := map[string]int{}
		listed, err := b.orders.Orders(b.t.Context(), "", 1000)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, l := range listed {
			h, err := b.historyOf(b.t.Context(), l.ID, "")
			if err != nil {
				b.t.Fatal(err)
			}
			counts[l.ID] = len(h.Events)
		}
		return counts
	}
	// What the edits announced is followed first; then nothing moves by itself. A
	// timer of an order's own may still fall into the dry run: one that writes does
	// so each time, so it is enough that one of a few leaves every history as it was.
	for try := 1; ; try++ {
		var was map[string]int
		b.until("the orders are at rest", patience, func() bool {
			was = events()
			b.followedAnew()
			return maps.Equal(was, events()) && b.idle()
		})
		verified := b.status().VerifiedThrough
		before := effects(b.t, b.world, "")
		dry := b.run(workflows.ReconcileInput{DryRun: true})
		if dry.Found < atLeast || dry.Repaired != 0 {
			b.t.Errorf("the dry run found %d and repaired %d; want %d found at least, and none repaired", dry.Found, dry.Repaired, atLeast)
		}
		same(b.t, "effects of a dry run", effects(b.t, b.world, ""), before)
		if now := b.status().VerifiedThrough; !now.Equal(verified) {
			b.t.Errorf("a dry run moved verified-through from %s to %s", verified, now)
		}
		after := events()
		if maps.Equal(after, was) {
			return dry
		}
		if try == 4 {
			same(b.t, "events after each of four dry runs", after, was)
			return dry
		}
	}
}

// followedAnew waits until all that the systems show by now was given to its
// orders. A poll asks the journal last and gives what it found before the next one
// begins; the first to end may have begun before now.
func (b *bundle) followedAnew() {
	b.t.Helper()
	polls := func() int {
		entries, err := b.world.Frame(order.SystemMail).Ledger(0, "")
		if err != nil {
			b.t.Fatal(err)
		}
		n := 0
		for _, e := range entries {
			if e.Kind == simulator.EntryRequest && e.Operation == "list" {
				n++
			}
		}
		return n
	}
	was := polls()
	b.until("more polls of the change feeds", patience, func() bool { return polls() >= was+3 })
}

// idle says that no order has anything scheduled or under way.
func (b *bundle) idle() bool {
	b.t.Helper()
	listed, err := b.orders.Orders(b.t.Context(), "", 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, l := range listed {
		d, err := b.client.DescribeWorkflowExecution(b.t.Context(), l.ID, "")
		if err != nil {
			b.t.Fatal(err)
		}
		if d.PendingWorkflowTask != nil || len(d.PendingActivities) > 0 {
			return false
		}
	}
	return true
}

func (b *bundle) status() reconciliation.Status {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	status, err := b.orders.Status(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	return status
}

func TestReconcile_StockCountedByHand_LevelFollows(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	o := anOrder("counted-1")
	b.accept(o)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.run(workflows.ReconcileInput{})
	counted := int64(77)
	b.edit(order.SystemWarehouse, warehouse.Edit{SKU: "MUG", OnHand: &counted, Reason: "counted"})
	settle()
	// A run that comes seconds after a commit leaves the level to the next.
	b.until("a run sets the level", patience, func() bool {
		report := b.run(workflows.ReconcileInput{})
		left := slices.ContainsFunc(report.Lines, func(line string) bool {
			return strings.Contains(line, workflows.CommittedMeanwhile)
		})
		if report.Stock.Found != 1 || report.Stock.Repaired != 1 && !left {
			t.Fatalf("the run found %d levels and set %d, and says %q; want one of each", report.Stock.Found, report.Stock.Repaired, report.Lines)
		}
		return report.Stock.Repaired == 1
	})
	b.stock("MUG", "TSHIRT")
	before := effects(t, b.world, "")
	b.run(workflows.ReconcileInput{})
	same(t, "effects of a second run", effects(t, b.world, ""), before)
	// The next order that ships commits on top of the corrected count.
	next := anOrder("counted-2")
	b.accept(next)
	b.work(next.ID, "shipped")
	b.reaches(next.ID, order.PhaseShipped, patience)
	b.stock("MUG", "TSHIRT")
}

func TestReconcile_Stopped_RepairsNothingUntilTheStopEnds(t *testing.T) {
	t.Parallel()
	for _, system := range []order.System{"", order.SystemCRM} {
		t.Run("stop of "+string(system), func(t *testing.T) {
			t.Parallel()
			b := onOwn(t, options{})
			o := anOrder("stopped-1")
			b.accept(o)
			if _, err := b.orders.Switch(t.Context(), reconciliation.Stop{System: system, Off: true, By: "test", Reason: "enough"}); err != nil {
				t.Fatal(err)
			}
			b.edit(order.SystemCRM, map[string]any{"order": o.ID, "stage": "lost"})
			settle()
			b.until("the worker has read the switch", patience, func() bool { return b.set.Switches.Check(aDeal(), aGrant()) != nil })
			before := effects(t, b.world, "")
			b.run(workflows.ReconcileInput{})
			same(t, "effects while repairs are stopped", effects(t, b.world, ""), before)
			if _, err := b.orders.Switch(t.Context(), reconciliation.Stop{System: system, By: "test", Reason: "go on"}); err != nil {
				t.Fatal(err)
			}
			b.until("the worker has read the switch", patience, func() bool { return b.set.Switches.Check(aDeal(), aGrant()) == nil })
			if report := b.run(workflows.ReconcileInput{}); report.Repaired != 1 {
				t.Errorf("after the stop the run repaired %d; want 1", report.Repaired)
			}
			b.reaches(o.ID, order.PhaseAccepted, patience)
			b.check(o, endAccepted(o))
		})
	}
}

// aGrant is one for a deal, which has not expired.
func aGrant() *repair.Grant {
	deal := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}
	return &repair.Grant{N: 1, Expires: time.Now().Add(time.Hour), For: reconcile.Want{Order: "granted", Kind: deal}}
}

// aDeal is what it is for.
func aDeal() repair.Target {
	return crm.CustomerRequest{Contact: crm.ContactRequest{Order: "granted"}}.Target()
}

func TestReconcile_SystemDown_PartialIsNotClean(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	o := anOrder("partial-1")
	b.accept(o)
	verified := b.run(workflows.ReconcileInput{}).VerifiedThrough
	b.fault(order.SystemERP, "*", simulator.Unavailable, "", -1)
	report := b.run(workflows.ReconcileInput{})
	if report.Complete() || report.VerifiedThrough.After(verified) {
		t.Errorf("a run without the ERP is complete=%v and verified through %s; was %s", report.Complete(), report.VerifiedThrough, verified)
	}
	b.world.Frame(order.SystemERP).Clear("*")
	if report := b.run(workflows.ReconcileInput{}); !report.Complete() || !report.VerifiedThrough.After(verified) {
		t.Errorf("a run with all six is complete=%v and verified through %s; want after %s", report.Complete(), report.VerifiedThrough, verified)
	}
}

func TestReconcile_ReportMode_FindsAndChangesNothing(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{mode: "report"})
	o := anOrder("report-1")
	b.accept(o)
	b.edit(order.SystemCRM, map[string]any{"order": o.ID, "stage": "lost"})
	settle()
	before := effects(t, b.world, "")
	report := b.run(workflows.ReconcileInput{})
	if report.Found != 1 || report.Repaired != 0 || report.Cases != 0 || report.Left != 1 {
		t.Errorf("the run: %+v; want one found and left", report)
	}
	same(t, "effects in report mode", effects(t, b.world, ""), before)
	if v := b.verdict(o.ID); v.Agreement != reconcile.Disagreeing {
		t.Errorf("the verdict is %s; want disagreeing", v.Agreement)
	}
}

// The provider delivered one mail twice: it cannot be taken back, and is let
// stand after it was found once.
func TestReconcile_MailSentTwice_Adopted(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	o := anOrder("twice-1")
	b.fault(order.SystemMail, order.Send, simulator.Twice, o.ID, 1)
	b.submit(o)
	b.until("the second copy is seen", patience, func() bool { return b.fresh(o.ID).Agreement == reconcile.Disagreeing })
	if report := b.run(workflows.ReconcileInput{}); report.Adopted != 1 {
		t.Errorf("the run adopted %d; want 1", report.Adopted)
	}
	b.reaches(o.ID, order.PhaseAccepted, patience)
	before := effects(t, b.world, "")
	b.run(workflows.ReconcileInput{})
	same(t, "effects of a second run", effects(t, b.world, ""), before)
}

// Somebody tidied the journal: the mail was sent all the same, and the customer
// does not get it again.
func TestReconcile_MailRemovedFromTheJournal_NotSentAgain(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	o := anOrder("tidied-1")
	b.accept(o)
	b.fresh(o.ID) // the journal was read and showed it
	b.edit(order.SystemMail, mail.Change{Do: "delete", Order: o.ID})
	settle()
	b.run(workflows.ReconcileInput{})
	settle()
	b.run(workflows.ReconcileInput{})
	if n := effectsOf(t, b.world, order.SystemMail, o.ID, order.Send); n != 1 {
		t.Errorf("the confirmation was sent %d times; want once", n)
	}
}

func TestReconcile_CartOfTheOrderStillAbandoned_Closed(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	o := anOrder("cart-1")
	o.CartID = "cart-of-1"
	b.accept(o)
	b.edit(order.SystemCRM, map[string]any{"customer": o.Customer.ID, "cart": o.CartID})
	settle()
	b.run(workflows.ReconcileInput{})
	b.until("the cart is closed", patience, func() bool { return len(readRecords(t, b.world, o).crm.Carts) == 0 })
	b.check(o, endAccepted(o))
}

func TestReconcile_RecordOfNoOrder_WaitsInTheInbox(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	intent, err := b.world.Payment.Start("ghost-1", payment.Checkout{Amount: 100, Currency: "EUR", Method: "pm_card_visa", Channel: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	b.edit(order.SystemWarehouse, warehouse.Edit{Order: "ghost-2", State: "waiting"})
	for _, id := range []string{
		workflows.InboxWorkflowID(order.SystemPayment, intent), workflows.InboxWorkflowID(order.SystemWarehouse, "order-ghost-2"),
	} {
		b.until("a record of no order waits in "+id, patience, func() bool {
			_, err := b.client.DescribeWorkflowExecution(t.Context(), id, "")
			return err == nil
		})
	}
	listed, err := b.orders.Orders(t.Context(), "", 10)
	if err != nil || len(listed) != 0 {
		t.Errorf("orders were started by records alone: %v, %v", listed, err)
	}
}

func TestVerdict_Fresh_ShowsTheEditThatMemoryDoesNotKnow(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	o := anOrder("fresh-1")
	b.accept(o)
	settle()
	b.world.Frame(order.SystemCRM).HandleNotifications("", simulator.Drop)
	b.edit(order.SystemCRM, map[string]any{"order": o.ID, "stage": "lost"})
	if v := b.verdict(o.ID); v.Agreement != reconcile.Agreed {
		t.Errorf("memory says %s before anybody looked; want agreed", v.Agreement)
	}
	if v := b.fresh(o.ID); v.Agreement != reconcile.Disagreeing || v.Outcome != reconcile.Succeeded {
		t.Errorf("the fresh verdict is %s, %s; want succeeded, disagreeing", v.Outcome, v.Agreement)
	}
	b.fault(order.SystemPayment, "*", simulator.Unavailable, "", -1)
	if v := b.fresh(o.ID); !unreadable(v, order.SystemPayment) {
		t.Errorf("a gateway that is down is read as %+v", v.Read)
	}
}

func unreadable(v reconcile.Verdict, system order.System) bool {
	for _, r := range v.Read {
		if r.System == system {
			return r.State == reconcile.Unreadable
		}
	}
	return false
}
