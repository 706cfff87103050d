package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// wanting wants so many repairs of deals, each of another order, with so much
// money at risk together.
func (w *world) wanting(run string, count int, money int64) []reconcile.Want {
	var wants []reconcile.Want
	for n := range count {
		wants = append(wants, reconcile.Want{
			Kind:  reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch},
			Order: order.ID(fmt.Sprintf("%s-%d", run, n+1)), Money: money / int64(count), Currency: "EUR", Since: virtual.Start,
		})
	}
	return wants
}

// ask asks the keeper for grants within a step.
func (w *world) ask(r reconciliation.GrantRequest) reconciliation.Granted {
	w.t.Helper()
	granted, err := w.Client.Grant(w.t.Context(), r)
	w.Check(err)
	if len(granted.Grants)+len(granted.Refused) != len(r.Wants) {
		w.t.Errorf("of %d wants %d were granted and %d refused", len(r.Wants), len(granted.Grants), len(granted.Refused))
	}
	return granted
}

// wantGrants says how many of so many wants must be granted, and what the others
// are told.
func (w *world) wantGrants(run string, count int, money int64, want int, refusal string) reconciliation.Granted {
	w.t.Helper()
	return w.wantGrantsOf(run, w.wanting(run, count, money), want, refusal)
}

// wantGrantsOf says the same of these wants.
func (w *world) wantGrantsOf(run string, wants []reconcile.Want, want int, refusal string) reconciliation.Granted {
	w.t.Helper()
	granted := w.ask(reconciliation.GrantRequest{Run: run, Wants: wants})
	if len(granted.Grants) != want {
		w.t.Errorf("at %s run %s asked for %d grants and got %d, want %d", w.Age(), run, len(wants), len(granted.Grants), want)
	}
	for _, r := range granted.Refused {
		if !strings.Contains(r.Why, refusal) || refusal == "" {
			w.t.Errorf("at %s run %s was refused because %q, want %q", w.Age(), run, r.Why, refusal)
		}
	}
	return granted
}

func (w *world) report(r reconciliation.RunReport) reconciliation.RunReport {
	answer, err := w.Client.Report(w.t.Context(), r)
	w.Check(err)
	return answer
}

func numbers(grants []repair.Grant) []int64 {
	var all []int64
	for _, g := range grants {
		all = append(all, g.N)
	}
	return all
}

func TestKeeper_Grants_StayWithinTheHoursBudget(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{BudgetCount: 5, BudgetMoney: 1000})
		var late []int64
		w.At(time.Minute, "within the budget", func() {
			granted := w.wantGrants("a", 3, 501, 3, "")
			for n, g := range granted.Grants {
				if g.N != int64(n+1) || !g.Expires.Equal(w.Now().Add(10*time.Minute)) || g.For != w.wanting("a", 3, 501)[n] {
					t.Errorf("grant %d is %+v", n, g)
				}
			}
			w.wantGrants("b", 5, 0, 2, "the budget of 5 repairs an hour is used up until 10:05 UTC")
			w.wantGrants("c", 1, 0, 0, "used up until 10:05 UTC")
			again := w.ask(reconciliation.GrantRequest{Run: "a", Part: 2, Wants: w.wanting("a", 3, 501)})
			if !slices.Equal(numbers(again.Grants), []int64{1, 2, 3}) {
				t.Errorf("asked again a run got other grants: %v", numbers(again.Grants))
			}
		})
		w.At(2*time.Minute, "what is not used comes back", func() {
			w.report(reconciliation.RunReport{Run: "a", Unused: []int64{2, 3, 4}}) // 4 is another run's
			w.wantGrants("d", 4, 0, 2, "5 repairs an hour")
		})
		w.At(3*time.Minute, "it comes back once", func() {
			w.report(reconciliation.RunReport{Run: "a-again", Unused: []int64{2, 3}})
			w.wantGrants("e", 1, 0, 0, "used up")
		})
		w.At(62*time.Minute, "an hour is not over before all of it has passed", func() { w.wantGrants("f", 1, 0, 0, "used up until 10:05 UTC") })
		w.At(66*time.Minute, "another hour", func() {
			w.wantGrants("g", 1, 1001, 0, "10.01 EUR is more than the whole budget of an hour")
			late = numbers(w.wantGrants("h", 9, 900, 5, "5 repairs an hour").Grants)
		})
		w.At(77*time.Minute, "lost ones expire, and count as used", func() {
			w.report(reconciliation.RunReport{Run: "h", Unused: late})
			w.wantGrants("i", 1, 0, 0, "used up")
			if s, err := w.Client.Status(t.Context()); err != nil || s.Outstanding != 0 {
				t.Errorf("11 minutes after the last grant %d are out, %v", s.Outstanding, err)
			}
		})
		w.Run(2 * time.Hour)
	})
}

// What does not fit is left, and what comes after it is granted all the same.
func TestKeeper_MoneyAtRisk_EachCurrencyByItself(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{BudgetCount: 50, BudgetMoney: 1000})
		want := func(id order.ID, money int64, c order.Currency) reconcile.Want {
			return reconcile.Want{
				Kind:  reconcile.Kind{System: order.SystemERP, Field: reconcile.ERPInvoices, Situation: reconcile.Missing},
				Order: id, Money: money, Currency: c, Since: virtual.Start,
			}
		}
		w.At(time.Minute, "some fit", func() {
			granted := w.ask(reconciliation.GrantRequest{Run: "a", Wants: []reconcile.Want{
				want("1", 600, "EUR"), want("2", 500, "EUR"), want("3", 400, "EUR"), want("4", 1000, "JPY"), want("5", 1, "EUR"),
			}})
			if got := numbers(granted.Grants); len(got) != 3 || granted.Grants[1].For.Order != "3" || granted.Grants[2].For.Order != "4" {
				t.Errorf("granted were %+v", granted.Grants)
			}
			for _, r := range granted.Refused {
				if !strings.Contains(r.Why, "the budget of 10.00 EUR an hour is used up until 10:05 UTC") {
					t.Errorf("order %s was refused because %q", r.For.Order, r.Why)
				}
			}
		})
		w.Run(time.Hour)
	})
}

func TestKeeper_PolicyLimits_PerRunAndField(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: "mode: auto\nfields:\n  crm.deal: {max_count: 2}\n  crm.revenue: {max_money: 300}\n"})
		w.At(time.Minute, "count", func() {
			w.wantGrants("a", 3, 0, 2, "the budget of 2 repairs of crm.deal in one run is used up until the next run")
			w.wantGrants("b", 1, 0, 1, "")
			revenue := func(run string, count int, money int64) []reconcile.Want {
				wants := w.wanting(run, count, money)
				for n := range wants {
					wants[n].Field = reconcile.CRMRevenue
				}
				return wants
			}
			w.wantGrantsOf("c", revenue("c", 2, 400), 1, "the budget of 3.00 EUR for repairs of crm.revenue in one run is used up until the next run")
			w.wantGrantsOf("d", revenue("d", 1, 301), 0, "3.01 EUR is more than max_money of crm.revenue (300)")
		})
		w.At(2*time.Minute, "in several parts, with what comes back", func() {
			first := w.ask(reconciliation.GrantRequest{Run: "e", Part: 1, Wants: w.wanting("e1", 2, 0)})
			second := w.ask(reconciliation.GrantRequest{Run: "e", Part: 2, Wants: w.wanting("e2", 2, 0), Unused: numbers(first.Grants[:1])})
			if len(second.Grants) != 1 || len(second.Refused) != 1 {
				t.Errorf("after one came back %d were granted and %d refused", len(second.Grants), len(second.Refused))
			}
		})
		w.Run(time.Hour)
	})
}

func TestKeeper_Stopped_GrantsNothing(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.At(time.Minute, "stop", func() {
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{Off: true, By: "me", Reason: "test"})
			w.Check(err)
			_, err = w.Client.Switch(t.Context(), reconciliation.Stop{System: order.SystemERP, Off: true, By: "me", Reason: "test"})
			w.Check(err)
			w.wantGrants("a", 1, 0, 0, "the switch of everything is off: test (by me)")
		})
		w.At(2*time.Minute, "end the stop of everything", func() {
			status, err := w.Client.Switch(t.Context(), reconciliation.Stop{By: "me"})
			w.Check(err)
			if len(status.Stops) != 1 || status.Stops[0].System != order.SystemERP {
				t.Errorf("the stops are %+v; that of the ERP was not ended", status.Stops)
			}
			w.wantGrants("b", 1, 0, 1, "")
		})
		w.Run(3 * time.Minute)
	})
}

func TestKeeper_VerifiedThrough_OnlyOverCompleteJoinedWindows(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		at := func(m int) time.Time { return w.Moment(time.Duration(m) * time.Minute) }
		verified := func(what string, want int, r reconciliation.RunReport) {
			t.Helper()
			if got := w.report(r).VerifiedThrough; !got.Equal(at(want)) {
				t.Errorf("after %s it is verified through %s, want %s", what, got.Sub(virtual.Start), at(want).Sub(virtual.Start))
			}
		}
		w.At(2*time.Hour, "runs report", func() {
			verified("a joined run", 10, reconciliation.RunReport{Run: "a", From: at(-5), To: at(10)})
			verified("a gap", 10, reconciliation.RunReport{Run: "b", From: at(20), To: at(30)})
			verified("a partial run", 10, reconciliation.RunReport{Run: "c", From: at(5), To: at(30), Unread: []order.System{order.SystemERP}})
			verified("an old run", 10, reconciliation.RunReport{Run: "d", From: at(0), To: at(5)})
			verified("the next joined run", 40, reconciliation.RunReport{Run: "e", From: at(5), To: at(40)})
			verified("a run that takes only a part of what is due", 50, reconciliation.RunReport{Run: "f", From: at(35), To: at(50), Behind: true})
			if s, err := w.Client.Status(t.Context()); err != nil || !s.Backlog.Equal(at(40)) {
				t.Errorf("the backlog began at %s, %v; want what was verified before it", s.Backlog.Sub(virtual.Start), err)
			}
			verified("one that did not compare all of its part", 50, reconciliation.RunReport{Run: "g", From: at(50), To: at(60), Behind: true, Truncated: true})
			verified("the next part", 60, reconciliation.RunReport{Run: "h", From: at(50), To: at(60), Behind: true})
			verified("the last part", 90, reconciliation.RunReport{Run: "i", From: at(60), To: at(90)})
			if s, err := w.Client.Status(t.Context()); err != nil || !s.Backlog.IsZero() {
				t.Errorf("a backlog since %s is left, %v", s.Backlog.Sub(virtual.Start), err)
			}
			verified("a repeated report, which gets its first answer,", 10, reconciliation.RunReport{Run: "a", From: at(-5), To: at(10)})
		})
		w.Run(3 * time.Hour)
	})
}

func TestReconcile_SystemDown_PartialAndNotVerified(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{ReconcileEvery: 15 * time.Minute})
		w.submit(0, anOrder("1"))
		through := func() time.Duration {
			s, err := w.Client.Status(t.Context())
			w.Check(err)
			return s.VerifiedThrough.Sub(virtual.Start)
		}
		w.At(50*time.Minute, "before", func() {
			if got := through(); got != 45*time.Minute {
				t.Errorf("verified through %s after three runs", got)
			}
			w.inject(w.CRM, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		})
		w.At(100*time.Minute, "while the CRM is down", func() {
			if got := through(); got != 45*time.Minute {
				t.Errorf("verified through %s with the CRM down", got)
			}
			w.CRM.Frame().Clear("*")
		})
		w.At(110*time.Minute, "after", func() {
			if got := through(); got != 105*time.Minute {
				t.Errorf("verified through %s after the CRM came back", got)
			}
		})
		w.Run(2 * time.Hour)
	})
}

func TestReconcile_OneOrderByHand_VerifiesNothingElse(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.submit(0, anOrder("2"))
		var report reconciliation.RunReport
		w.At(30*time.Minute, "a run of one order", func() {
			var err error
			report, err = w.Client.Reconcile(t.Context(), workflows.ReconcileInput{Orders: []order.ID{"1"}})
			w.Check(err)
		})
		w.Run(time.Hour)
		if report.Looked != 1 || !report.VerifiedThrough.Equal(virtual.Start) {
			t.Errorf("a run that looked at %d order says that everything is verified through %s", report.Looked, report.VerifiedThrough.Sub(virtual.Start))
		}
	})
}

// What was asked for and nobody knows was not compared: the run is partial, and says so.
func TestReconcile_OrderThatNobodyKnows_Partial(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		report := w.runAt(30*time.Minute, workflows.ReconcileInput{Orders: []order.ID{"1", "l"}})
		w.Run(time.Hour)
		if report.Looked != 1 || report.Complete() || !says(report, "order l: no order is known under this id") || says(report, "order 1:") {
			t.Errorf("the run looked at %d orders, complete is %t, and it says %q", report.Looked, report.Complete(), report.Lines)
		}
	})
}

func TestReconcile_DealChangedByHand_SetAgainOnceUnlessStopped(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{ReconcileEvery: 20 * time.Minute})
		w.CRM.Frame().HandleNotifications("", simulator.Drop)
		w.submit(0, anOrder("1"))
		w.At(6*time.Hour, "somebody loses the deal", func() {
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{System: order.SystemCRM, Off: true, By: "me", Reason: "test"})
			w.Check(err)
			w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
		})
		w.At(8*time.Hour, "while it is stopped", func() {
			if s := w.story("1"); s.Deal != "lost" {
				t.Errorf("a stopped system was repaired: %+v", s)
			}
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{System: order.SystemCRM, By: "me"})
			w.Check(err)
		})
		w.At(9*time.Hour, "after the stop", func() {
			if s := w.story("1"); s.Deal != "won" {
				t.Errorf("three runs after the stop ended the deal is %s", s.Deal)
				t.Log(w.Verdict("1").Table())
			}
		})
		w.Run(28 * time.Hour)
		w.expect("1", delivered())
	})
}

// One reading proves nothing: it may show what was so before our own last write.
// A second one does not say the same, and nothing is repaired.
func TestReconcile_StaleReading_NothingIsRepaired(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		var report reconciliation.RunReport
		w.At(20*time.Hour, "the CRM answers as it did before the sale", func() {
			w.inject(w.CRM, simulator.Fault{Operation: "lookup", Kind: simulator.Stale, Delay: 30 * time.Hour, Times: -1})
			w.Later(func(ctx context.Context) {
				var err error
				report, err = w.Client.Reconcile(ctx, workflows.ReconcileInput{Orders: []order.ID{"1"}})
				w.Check(err)
			})
		})
		w.At(20*time.Hour+500*time.Millisecond, "and then as it is", func() { w.CRM.Frame().Clear("lookup") })
		w.Run(2 * day)
		if report.Suspects != 1 || report.Found+report.Repaired != 0 {
			t.Errorf("a run suspected %d orders, found %d breaks and repaired %d: %v", report.Suspects, report.Found, report.Repaired, report.Lines)
		}
	})
}

// What is under way is not judged, however long it takes, also when nothing of it
// is in doubt: the order itself carries it on, and a repair would meet it.
func TestReconcile_OperationUnderWay_IsNotJudged(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.inject(w.CRM, simulator.Fault{Operation: order.Upsert, Kind: simulator.RateLimited, Times: -1})
		w.submit(0, anOrder("1"))
		var report reconciliation.RunReport
		w.At(5*time.Hour, "a run", func() {
			w.Later(func(ctx context.Context) {
				var err error
				report, err = w.Client.Reconcile(ctx, workflows.ReconcileInput{Orders: []order.ID{"1"}})
				w.Check(err)
			})
		})
		w.At(6*time.Hour, "the CRM takes writes again", func() { w.CRM.Frame().Clear("*") })
		w.Run(3 * day)
		w.expect("1", delivered())
		if report.Looked != 1 || report.Suspects+report.Found+report.Repaired != 0 {
			t.Errorf("a run looked at %d orders, suspected %d, found %d breaks and repaired %d: %v",
				report.Looked, report.Suspects, report.Found, report.Repaired, report.Lines)
		}
	})
}

func TestReconcile_FeedMissedWhatARunSees_OrderIsTold(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 90 * time.Hour, ReconcileEvery: time.Hour})
		w.submit(0, anOrder("1"))
		w.At(3*time.Hour+10*time.Minute, "look", func() {
			if s := w.story("1"); s.Captured != 9980 || !slices.Contains(s.Mails, "shipped") {
				t.Errorf("an hour after the parcel left, and a run after that, the systems say %+v", s)
			}
		})
		w.At(28*time.Hour, "look", func() { w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed) })
		w.Run(29 * time.Hour)
	})
}

// What is read and written for a run waits behind the calls of orders that are under
// way: what normal processing does, and what a person asks, has the usual priority.
func TestReconcile_ReadsAndRepairs_WaitBehindOrders(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.unannounced()
		var lock sync.Mutex
		seen := map[string]int{} // by workflow, activity and priority
		w.Scheduled = func(workflowID, activity string, o workflow.ActivityOptions) {
			lock.Lock()
			defer lock.Unlock()
			seen[fmt.Sprintf("%s %s %d", workflowID, activity, o.Priority.PriorityKey)]++
		}
		expect := func(what string, want map[string]int) {
			t.Helper()
			lock.Lock()
			defer lock.Unlock()
			for call := range seen {
				echo := want["order/1 ReadBooks 0"] == 0 && call == "order/1 ReadBooks 0" // a feed may tell it of its own sale
				if echo || !strings.HasPrefix(call, "order/1 ") && !strings.HasPrefix(call, "stock/") {
					delete(seen, call)
				}
			}
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Errorf("%s scheduled, by priority (-want +got):\n%s", what, diff)
			}
			clear(seen)
		}
		reads := func(priority string, also map[string]int) map[string]int {
			for _, read := range []string{"ReadPayment", "ReadReservations", "ReadShipments", "ReadBooks", "ReadCRM", "ReadMail"} {
				also["order/1 "+read+" "+priority]++
			}
			return also
		}
		w.submit(0, anOrder("1"))
		w.At(50*time.Minute, "somebody loses the deal, and counts", func() {
			expect("the order itself", map[string]int{
				"order/1 AuthorizePayment 0": 1, "order/1 ReserveStock 0": 1, "order/1 RequestShipment 0": 1,
				"order/1 RecordSale 0": 1, "order/1 UpdateCustomer 0": 1, "order/1 SendMail 0": 1,
			})
			w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
			w.edit(w.Warehouse, `{"sku":"MUG","on_hand":90,"reason":"counted"}`)
		})
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(80*time.Minute, "somebody asks", func() {
			expect("a run", reads("5", map[string]int{
				"order/1 ReadCRM 5": 2, "order/1 UpdateCustomer 5": 1, "stock/MUG CountStock 5": 1, "stock/MUG ReadStockLevel 5": 1, "stock/MUG SetStockLevel 5": 1,
			}))
			w.Later(func(ctx context.Context) {
				_, err := w.Client.Verdict(ctx, "1", true)
				w.Check(err)
			})
		})
		w.At(90*time.Minute, "look", func() { expect("a question", reads("0", map[string]int{})) })
		w.Run(100 * time.Minute)
	})
}

// What nobody wants any more and somebody has put back is taken back, and not
// requested again: its key is the request's.
func TestReconcile_RequestPutBackAfterACancellation_TakenBackOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		w.At(10*time.Minute, "it is not wanted", func() {
			w.Later(func(ctx context.Context) {
				_, err := w.Client.Cancel(ctx, "1", workflows.Cancel{By: "ada", Reason: "test"})
				w.Check(err)
			})
		})
		w.At(time.Hour, "somebody puts the request back", func() { w.edit(w.Warehouse, `{"order":"1","state":"waiting"}`) })
		dry := w.runAt(80*time.Minute, workflows.ReconcileInput{DryRun: true})
		first := w.runAt(82*time.Minute, workflows.ReconcileInput{})
		second := w.runAt(2*time.Hour, workflows.ReconcileInput{})
		w.At(150*time.Minute, "look", func() { w.stands("1", order.PhaseCancelled, reconcile.Cancelled, reconcile.Agreed) })
		w.Run(3 * time.Hour)
		if first.Repaired != 1 || second.Found != 0 || !slices.Equal(dry.Lines, first.Lines) {
			t.Errorf("the dry run says %q, the first run %q, the second %q", dry.Lines, first.Lines, second.Lines)
		}
		if s := w.story("1"); !slices.Equal(s.Shipments, []string{"cancelled"}) {
			t.Errorf("the warehouse has %v", s.Shipments)
		}
		if n := len(w.effects(w.Warehouse, order.Cancel, "1")); n != 2 {
			t.Errorf("it was taken back %d times, want by the customer and by the run", n)
		}
	})
}

// A repair is the usual operation of its order: goods that are requested again
// leave, are paid for, booked, taken out of stock and told of as any others, once.
func TestReconcile_RequestDeleted_MadeAgainAndWhatFollowsOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		w.At(30*time.Minute, "somebody deletes the request", func() { w.edit(w.Warehouse, `{"order":"1","delete":true}`) })
		run := w.runAt(40*time.Minute, workflows.ReconcileInput{})
		w.leaves(2*time.Hour, "1", newest)
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		if run.Repaired != 1 {
			t.Errorf("the run repaired %d: %v", run.Repaired, run.Lines)
		}
		if n := len(w.effects(w.Payment, order.Capture, "1")); n != 1 {
			t.Errorf("captured %d times", n)
		}
	})
}

// A run that outlives a later one takes nothing from what that one has left over: what
// it has not compared stays an exception, and a level that differs keeps its clock.
func TestReconcile_RunOutlivesALaterOne_WhatThatOneLeftOverStays(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.unannounced()
		w.submit(0, anOrder("x"))
		w.submit(0, anOrder("y"))
		w.At(5*time.Minute, "taken back", func() {
			w.Later(func(ctx context.Context) {
				_, err := w.Client.Cancel(ctx, "y", workflows.Cancel{By: "test", Reason: "test"})
				w.Check(err)
			})
		})
		w.runAt(40*time.Minute, workflows.ReconcileInput{})
		var long reconciliation.RunReport
		w.At(45*time.Minute, "a run begins and takes long", func() {
			s := w.status()
			long = reconciliation.RunReport{Run: "long", Before: s.Reports[len(s.Reports)-1].Run, Started: w.Now(), From: s.VerifiedThrough, To: w.Now(), SKUs: []string{"MUG"}}
		})
		w.At(49*time.Minute, "somebody edits a deal and a level; the CRM answers nonsense, and levels are not set", func() {
			w.edit(w.CRM, `{"order":"y","stage":"won"}`)
			w.inject(w.CRM, simulator.Fault{Operation: "lookup", Order: "y", Kind: simulator.Garbage, Times: -1})
			w.edit(w.Inventory, `{"sku":"MUG","stocked":40}`)
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{System: order.SystemInventory, Off: true, By: "me", Reason: "test"})
			w.Check(err)
		})
		w.runAt(55*time.Minute, workflows.ReconcileInput{})
		w.At(65*time.Minute, "the long one ends, and the CRM is well again", func() {
			w.report(long)
			if _, differs := w.status().LevelOf("MUG"); !differs {
				t.Error("what a run saw before the level was edited has ended its clock")
			}
			w.CRM.Frame().Clear("*")
		})
		next := w.runAt(70*time.Minute, workflows.ReconcileInput{})
		w.Run(80 * time.Minute)
		if next.Found == 0 {
			t.Errorf("verified through %s, the deal of a cancelled order is %s, and the run says %q", next.VerifiedThrough, w.story("y").Deal, next.Lines)
		}
	})
}
