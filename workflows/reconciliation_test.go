package workflows_test

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// ask asks the keeper for grants within a step, and says how many it gave.
func (w *world) ask(run string, count int, money int64) []repair.Grant {
	grants, err := w.Client.Grant(w.t.Context(), reconciliation.GrantRequest{Run: run, Count: count, Money: money})
	w.Check(err)
	return grants
}

func (w *world) wantGrants(run string, count int, money int64, want int) {
	w.t.Helper()
	if got := w.ask(run, count, money); len(got) != want {
		w.t.Errorf("at %s run %s asked for %d grants and got %d, want %d", w.Age(), run, count, len(got), want)
	}
}

func (w *world) report(r reconciliation.RunReport) reconciliation.RunReport {
	answer, err := w.Client.Report(w.t.Context(), r)
	w.Check(err)
	return answer
}

func TestKeeper_Grants_StayWithinTheHoursBudget(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{BudgetCount: 5, BudgetMoney: 1000})
	w.At(time.Minute, "within the budget", func() {
		grants := w.ask("a", 3, 500)
		if len(grants) != 3 || grants[0].N == grants[1].N || !grants[0].Expires.Equal(w.Now().Add(10*time.Minute)) {
			t.Errorf("the grants are %+v", grants)
		}
		w.wantGrants("b", 5, 0, 2)
		w.wantGrants("c", 1, 0, 0)
	})
	w.At(2*time.Minute, "what is not used comes back", func() {
		w.report(reconciliation.RunReport{Run: "a", Repaired: 1, DryRun: true})
		w.wantGrants("d", 1, 0, 1)
	})
	w.At(58*time.Minute, "the last of the hour", func() {
		w.wantGrants("late", 5, 0, 1)
		w.wantGrants("e", 1, 0, 0)
	})
	w.At(62*time.Minute, "another hour", func() {
		w.wantGrants("f", 1, 1001, 0)
		w.wantGrants("g", 9, 1000, 5)
		// What the last hour did not use is not this hour's to give.
		w.report(reconciliation.RunReport{Run: "late", DryRun: true})
		w.wantGrants("h", 1, 0, 0)
	})
	w.At(80*time.Minute, "lost ones expire", func() {
		w.wantGrants("i", 1, 0, 0)
		if s, err := w.Client.Status(t.Context()); err != nil || s.Outstanding != 0 {
			t.Errorf("18 minutes after the last grant %d are out, %v", s.Outstanding, err)
		}
	})
	w.Run(2 * time.Hour)
}

func TestKeeper_Stopped_GrantsNothing(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{})
	w.At(time.Minute, "stop", func() {
		_, err := w.Client.Switch(t.Context(), reconciliation.Stop{Off: true, By: "me", Reason: "test"})
		w.Check(err)
		_, err = w.Client.Switch(t.Context(), reconciliation.Stop{System: order.SystemERP, Off: true, By: "me", Reason: "test"})
		w.Check(err)
		w.wantGrants("a", 1, 0, 0)
	})
	w.At(2*time.Minute, "end the stop of everything", func() {
		status, err := w.Client.Switch(t.Context(), reconciliation.Stop{By: "me"})
		w.Check(err)
		if len(status.Stops) != 1 || status.Stops[0].System != order.SystemERP {
			t.Errorf("the stops are %+v; that of the ERP was not ended", status.Stops)
		}
		w.wantGrants("b", 1, 0, 1)
	})
	w.Run(3 * time.Minute)
}

func TestKeeper_VerifiedThrough_OnlyOverCompleteJoinedWindows(t *testing.T) {
	t.Parallel()
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
		verified("a repeated report, which gets its first answer,", 10, reconciliation.RunReport{Run: "a", From: at(-5), To: at(10)})
	})
	w.Run(3 * time.Hour)
}

func TestReconcile_SystemDown_PartialAndNotVerified(t *testing.T) {
	t.Parallel()
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
}

func TestReconcile_OneOrderByHand_VerifiesNothingElse(t *testing.T) {
	t.Parallel()
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
}

func TestReconcile_DealChangedByHand_SetAgainOnceUnlessStopped(t *testing.T) {
	t.Parallel()
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
}
