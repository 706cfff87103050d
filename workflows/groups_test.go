package workflows_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// crowd is a world of so many orders, whose deals somebody then loses all at
// once, behind our back.
func crowd(t *testing.T, n int, o virtual.Options) (*world, []order.ID) {
	t.Helper()
	o.Pace = byHand
	w := open(t, o)
	w.unannounced()
	var ids []order.ID
	for k := range n {
		ids = append(ids, order.ID(fmt.Sprintf("%02d", k+1)))
		w.submit(0, anOrder(string(ids[k])))
	}
	w.At(60*time.Minute, "somebody loses all deals", func() {
		for _, id := range ids {
			w.edit(w.CRM, `{"order":"`+string(id)+`","stage":"lost"}`)
		}
	})
	return w, ids
}

// won says how many of the deals are won, and how often one was written since.
func (w *world) won(ids []order.ID, since time.Time) (deals, most int) {
	w.t.Helper()
	for _, id := range ids {
		if w.story(id).Deal == "won" {
			deals++
		}
		n := 0
		for _, e := range w.effects(w.CRM, order.Upsert, id) {
			if e.At.After(since) {
				n++
			}
		}
		most = max(most, n)
	}
	return deals, most
}

// group returns an incident as it stands, within a step.
func (w *world) group(n int) reconciliation.Group {
	w.t.Helper()
	for _, g := range w.status().Groups {
		if g.N == n {
			return g
		}
	}
	w.t.Errorf("at %s there is no group %d", w.Age(), n)
	return reconciliation.Group{}
}

func (w *world) decideGroup(n int, as reconciliation.GroupDecision) {
	w.t.Helper()
	_, err := w.Client.DecideGroup(w.t.Context(), reconciliation.DecideGroup{N: n, As: as, By: "ada", Reason: "test"})
	w.Check(err)
}

// Many of one kind at once are one case, and nothing of the kind is done: until
// somebody decides to repair. Then a few are repaired, and all when those are
// verified; each once.
func TestIncident_ManyAtOnce_OneCase_RepairedAFewFirst(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, ids := crowd(t, 12, virtual.Options{})
		w.At(61*time.Minute, "and one has another trouble too", func() { w.edit(w.Inventory, `{"order":"05","delete":true}`) })
		first := w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(75*time.Minute, "one case for all", func() {
			g := w.group(1)
			if g.Kind.String() != "crm.deal.mismatch" || g.State != reconciliation.GroupOpen || g.Orders != 12 || g.Looked != 12 || g.Repairs != 12 || len(g.Sample) != 5 ||
				g.Proposal == "" || len(g.Alternatives) != 2 || !g.Deadline.Equal(g.Opened.Add(24*time.Hour)) {
				t.Errorf("the group is %+v", g)
			}
			deals, _ := w.won(ids, w.Moment(time.Hour))
			if deals != 0 {
				t.Errorf("%d deals were put right before anybody decided", deals)
			}
			for _, id := range ids {
				if n := len(w.Verdict(id).Cases); n != 0 {
					t.Errorf("order %s has %d cases of its own", id, n)
				}
				if l := w.Published(workflows.OrderWorkflowID(id)); len(l.Breaks) != 0 && id != "05" {
					t.Errorf("order %s was bothered with what is left to the group: %v", id, l.Breaks)
				}
			}
			o, err := w.Client.Overview(t.Context())
			w.Check(err)
			if told := starters.UntoldOf(o.Status, o.Orders); len(told) != 1 || told[0].Orders != 11 || len(o.Orders) != 1 {
				t.Errorf("of the 12 orders %d list breaks of their own, and the group's others are %+v", len(o.Orders), told)
			}
			if s := w.story("05"); s.Reserved != 3 {
				t.Errorf("what is no incident was not repaired: %d are reserved", s.Reserved)
			}
			for _, stopped := range w.status().Stopped() {
				if stopped.Kind != g.Kind || !strings.Contains(stopped.Reason, "group 1") {
					t.Errorf("the last hop stops %s: %s", stopped.Kind, stopped.Reason)
				}
			}
			granted := w.ask(reconciliation.GrantRequest{Run: "beside", Wants: w.wanting("x", 1, 0)})
			if len(granted.Refused) != 1 || granted.Refused[0].Group != 1 {
				t.Errorf("another run got %+v", granted)
			}
		})
		second := w.runAt(76*time.Minute, workflows.ReconcileInput{})
		w.At(85*time.Minute, "decided", func() {
			if n := len(w.status().Groups); n != 1 {
				t.Errorf("there are %d groups", n)
			}
			_, err := w.Client.DecideGroup(t.Context(), reconciliation.DecideGroup{N: 2, As: reconciliation.GroupRepair, By: "ada", Reason: "test"})
			if !errors.Is(err, starters.ErrNotNow) || !strings.Contains(err.Error(), "open are: 1") {
				t.Errorf("a group that is not there: %v", err)
			}
			w.decideGroup(1, reconciliation.GroupRepair)
		})
		few := w.runAt(86*time.Minute, workflows.ReconcileInput{})
		w.At(95*time.Minute, "a few first", func() {
			if deals, most := w.won(ids, w.Moment(time.Hour)); deals != 3 || most != 1 {
				t.Errorf("%d deals are put right, one %d times; want 3, each once", deals, most)
			}
			if g := w.group(1); g.State != reconciliation.GroupTrying || g.Few != 15 || g.Trying != "" {
				t.Errorf("after three were verified the group is %+v", g)
			}
		})
		rest := w.runAt(96*time.Minute, workflows.ReconcileInput{})
		w.At(105*time.Minute, "then the rest", func() {
			if deals, most := w.won(ids, w.Moment(time.Hour)); deals != 12 || most != 1 {
				t.Errorf("%d deals are put right, one %d times; want 12, each once", deals, most)
			}
		})
		last := w.runAt(106*time.Minute, workflows.ReconcileInput{})
		w.At(115*time.Minute, "and over", func() {
			if g := w.group(1); g.State != reconciliation.GroupClosed || g.Outcome == "" {
				t.Errorf("the group is %+v", g)
			}
			if len(w.status().Stopped()) != 0 {
				t.Errorf("the last hop still stops %v", w.status().Stopped())
			}
		})
		w.Run(2 * time.Hour)
		for i, want := range []reconciliation.Done{{Repaired: 2, Left: 12}, {Left: 12}, {Repaired: 3, Left: 9}, {Repaired: 9}, {}} {
			if got := done([]*reconciliation.RunReport{first, second, few, rest, last}[i]); got != want {
				t.Errorf("run %d did %+v, want %+v", i+1, got, want)
			}
		}
		if len(second.Exceptions) != 12 || !second.Complete() || len(last.Exceptions) != 0 {
			t.Errorf("the second run is complete %v but for %v, the last but for %v", second.Complete(), second.Exceptions, last.Exceptions)
		}
		if !strings.HasPrefix(second.Lines[0], "group 1, open: crm.deal.mismatch on 12 of 12 orders") || !strings.Contains(second.Lines[1], "left to group 1") {
			t.Errorf("the second run says %q", second.Lines[:2])
		}
	})
}

// A group is announced by itself, and its orders are not: once when it opens, when
// somebody has decided, and how it ended.
func TestIncident_Announced_OnceOpenedDecidedAndHowItEnded(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w, _ := crowd(t, 12, virtual.Options{Cases: r.settings()})
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.runAt(76*time.Minute, workflows.ReconcileInput{}) // finds the same, which is no news
		var g reconciliation.Group
		w.At(85*time.Minute, "decided", func() {
			r.said("group.opened")
			g = w.group(1)
			w.decideGroup(1, reconciliation.GroupRepair)
		})
		for _, age := range []time.Duration{86 * time.Minute, 96 * time.Minute, 106 * time.Minute} {
			w.runAt(age, workflows.ReconcileInput{})
		}
		w.Run(2 * time.Hour)
		r.said("group.opened", "group.changed", "group.closed")
		all := r.deliveries()
		if d := all[0].Data; d.Group != 1 || d.Break != "crm.deal.mismatch" || d.State != "open" || d.Orders != 12 || !slices.Equal(d.Examples, g.Sample) ||
			d.Why != g.Why || d.Proposal != g.Proposal || !d.Deadline.Equal(g.Deadline) || !slices.Equal(d.AtRisk, g.Money) ||
			!slices.Equal(d.Commands, []string{"trueup groups", "trueup group decide 1 --as repair|leave --evidence " + g.Evidence() + " --by NAME --reason TEXT"}) || d.Evidence != g.Evidence() {
			t.Errorf("announced %+v; the group was %+v", d, g)
		}
		if d := all[1].Data; d.State != "trying" || !all[1].Timestamp.Equal(w.Moment(85*time.Minute)) {
			t.Errorf("announced %+v", all[1])
		}
		if d := all[2].Data; d.Outcome != "a whole run found none of it any more" || d.Decision != "repair" || d.By != "ada" || d.Closed.IsZero() || len(d.Commands) != 0 {
			t.Errorf("it was said to have ended as %+v", d)
		}
	})
}

// While nobody decides, it is said once that the deadline of a group is near, and once
// that it is over and what happened; and again of the next deadline, when what
// somebody decided did not put it right.
func TestIncident_NobodyDecides_RemindedOncePerDeadline(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w, _ := crowd(t, 12, virtual.Options{Cases: r.settings()})
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		deadline := 66*time.Minute + 24*time.Hour
		var g reconciliation.Group
		w.At(deadline-7*time.Hour, "not yet", func() { g = w.group(1); r.said("group.opened") })
		w.At(deadline+2*time.Hour, "decided, but something undoes what is written", func() {
			r.said("group.opened", "group.due", "group.past")
			w.decideGroup(1, reconciliation.GroupRepair)
			w.inject(w.CRM, simulator.Fault{Operation: order.Upsert, Kind: simulator.Vanishes, Times: -1})
		})
		again := deadline + 3*time.Hour
		for n := range 60 {
			w.At(again+time.Duration(n)*5*time.Second, "switches are read", w.ReadSwitches)
		}
		w.runAt(again, workflows.ReconcileInput{})
		w.At(again+20*time.Minute, "nothing undoes it any more", func() { w.CRM.Frame().Clear("*") })
		w.Run(again + 26*time.Hour)
		r.said("group.opened", "group.due", "group.past", "group.changed", "group.changed", "group.due", "group.past")
		all := r.deliveries()
		if d := all[1]; d.Timestamp.Before(w.Moment(deadline-6*time.Hour)) || d.Timestamp.After(w.Moment(deadline-5*time.Hour)) || len(d.Data.Commands) == 0 {
			t.Errorf("near its deadline was announced %+v", d)
		}
		if d := all[2]; d.Timestamp.Before(w.Moment(deadline)) || d.Timestamp.After(w.Moment(deadline+time.Hour)) || d.Data.Happened != g.AtDeadline {
			t.Errorf("after its deadline was announced %+v", d)
		}
		if first, next := all[1].Data.Deadline, all[5].Data.Deadline; !first.Equal(g.Deadline) || next.Sub(first) < 24*time.Hour {
			t.Errorf("the deadlines were %s, and then %s", first, next)
		}
	})
}

// What changes again and again is said once an hour at most; then also when no
// run and no person comes: the change feeds are followed each 47 minutes here.
func TestIncident_DecidedAgainAndAgain_SaidOnceAnHour(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w, _ := crowd(t, 12, virtual.Options{Cases: r.settings()})
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		for n := range 5 {
			w.At(time.Duration(70+n)*time.Minute, "decided", func() {
				w.decideGroup(1, []reconciliation.GroupDecision{reconciliation.GroupRepair, reconciliation.GroupLeave}[n%2])
			})
		}
		w.At(80*time.Minute, "and left", func() { w.decideGroup(1, reconciliation.GroupLeave) })
		w.At(3*time.Hour, "turned on", func() {
			r.said("group.opened", "group.changed", "group.changed")
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{Kind: "crm.deal.mismatch", By: "ada", Reason: "Mrs Lovelace called"})
			w.Check(err)
		})
		w.Run(4 * time.Hour)
		r.said("group.opened", "group.changed", "group.changed", "group.closed")
		all := r.deliveries()
		if d := all[2]; d.Data.State != "left" || d.Timestamp.Before(w.Moment(130*time.Minute)) || d.Timestamp.After(w.Moment(142*time.Minute)) {
			t.Errorf("an hour after the first change was announced %+v", d)
		}
		if d := all[3].Data; d.Outcome != "the switch was turned on by ada (unverified)" || d.Decision != "leave" {
			t.Errorf("it was said to have ended as %+v", d)
		}
	})
}

// Nothing is lost and nothing is another announcement when nobody listens for a
// while, and reconciliation continues as new meanwhile.
func TestIncident_ReceiverIsDown_SaidOnceItIsBackAndItsEndLast(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w, ids := crowd(t, 12, virtual.Options{Cases: r.settings()})
		r.answer = func(int, delivery) int {
			if w.Now().Before(w.Moment(3 * time.Hour)) {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(80*time.Minute, "put right by hand", func() {
			for _, id := range ids {
				w.edit(w.CRM, `{"order":"`+string(id)+`","stage":"won"}`)
			}
		})
		w.runAt(86*time.Minute, workflows.ReconcileInput{})
		w.At(93*time.Minute, "the engine suggests to continue", func() { w.SuggestContinue(workflows.ReconciliationID) })
		w.At(2*time.Hour, "look", func() {
			if _, continued, _ := w.Runs(workflows.ReconciliationID); continued != 1 {
				t.Errorf("it continued as new %d times", continued)
			}
			if g := w.group(1); !g.Over() {
				t.Errorf("the group is %+v", g)
			}
			r.said()
		})
		w.Run(5 * time.Hour)
		r.said("group.opened", "group.closed")
		opened := r.deliveries()[0]
		for _, d := range r.deliveries() {
			if d.Type == "group.opened" && (d.ID != opened.ID || !d.Timestamp.Equal(opened.Timestamp)) {
				t.Errorf("an attempt differs from the first: %+v, %+v", d, opened)
			}
			if d.Type == "group.closed" && (d.status != http.StatusOK || d.Data.Decision != "" || d.Data.Outcome == "") {
				t.Errorf("its end was said as %+v", d)
			}
		}
	})
}

// What was decided on 12 orders is not done to twice as many; a few more are no
// other incident. Nor is it done once somebody else has decided.
func TestIncident_DecidedOnWhatItWas_Refused(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.unannounced()
		deals := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}
		found := func(run string, orders int, eur int64) {
			w.ask(reconciliation.GrantRequest{Run: run, Incidents: []reconcile.Incident{{
				Kind: deals, Orders: orders, Looked: orders, Breaks: orders, Repairs: orders, Money: []reconcile.Sum{{Currency: "EUR", Minor: eur}},
			}}})
		}
		decide := func(as reconciliation.GroupDecision, by, evidence string) error {
			_, err := w.Client.DecideGroup(t.Context(), reconciliation.DecideGroup{N: 1, As: as, By: by, Reason: "test", Evidence: evidence})
			return err
		}
		refused := func(err error, why string) {
			t.Helper()
			now := w.group(1)
			if !errors.Is(err, starters.ErrNotNow) || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), now.Headline()) || !strings.Contains(err.Error(), now.Command()) {
				t.Errorf("a decision on what the group was: %v; want a refusal that says %q and shows it as it is", err, why)
			}
		}
		var shown string
		w.At(time.Minute, "found", func() {
			found("a", 12, 30_000)
			shown = w.group(1).Evidence()
			found("b", 500, 31_000)
			refused(decide(reconciliation.GroupRepair, "ada", shown), "12 orders had it, and now 500")
			found("c", 12, 60_000)
			refused(decide(reconciliation.GroupRepair, "ada", shown), "300.00 EUR was at risk, and now 600.00 EUR")
			refused(decide(reconciliation.GroupRepair, "ada", "xyz"), "is not the evidence of a group")
			if g := w.group(1); g.State != reconciliation.GroupOpen || g.Decided != "" {
				t.Errorf("what was refused was done: %+v", g)
			}
			found("d", 15, 40_000) // a few more than were shown
			w.Check(decide(reconciliation.GroupRepair, "ada", shown))
		})
		w.At(2*time.Minute, "and another decides on what she saw before", func() {
			refused(decide(reconciliation.GroupLeave, "bob", shown), "somebody has decided meanwhile")
			g := w.group(1)
			if g.State != reconciliation.GroupTrying || g.By != "ada" {
				t.Errorf("the group is %+v", g)
			}
			w.Check(decide(reconciliation.GroupLeave, "bob", g.Evidence()))
			w.Check(decide(reconciliation.GroupRepair, "ada", "")) // naming none, as it is found
		})
		w.Run(3 * time.Minute)
	})
}

// Below the threshold each order is repaired by itself, as ever.
func TestIncident_Few_StayPerOrder(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, ids := crowd(t, 9, virtual.Options{})
		run := w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.Run(80 * time.Minute)
		if deals, most := w.won(ids, w.Moment(time.Hour)); run.Repaired != 9 || deals != 9 || most != 1 {
			t.Errorf("the run repaired %d; %d deals are won, one written %d times", run.Repaired, deals, most)
		}
	})
}

// Those that were repaired first are not put right: stopped again.
func TestIncident_FirstFewNotVerified_StoppedAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, ids := crowd(t, 12, virtual.Options{})
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(70*time.Minute, "decided, but something undoes what is written", func() {
			w.decideGroup(1, reconciliation.GroupRepair)
			w.inject(w.CRM, simulator.Fault{Operation: order.Upsert, Kind: simulator.Vanishes, Times: -1})
		})
		for n := range 60 {
			w.At(71*time.Minute+time.Duration(n)*5*time.Second, "switches are read", w.ReadSwitches)
		}
		few := w.runAt(71*time.Minute, workflows.ReconcileInput{})
		w.At(80*time.Minute, "nothing undoes it any more", func() { w.CRM.Frame().Clear("*") })
		again := w.runAt(90*time.Minute, workflows.ReconcileInput{})
		w.At(100*time.Minute, "stopped", func() {
			g := w.group(1)
			if g.State != reconciliation.GroupOpen || !strings.Contains(g.Why, "3 of the 3 repaired first, as ada decided, are not put right") {
				t.Errorf("the group is %+v", g)
			}
		})
		w.Run(2 * time.Hour)
		// The three deals that vanished are missing now, which is another kind of trouble.
		if few.Repaired != 3 || again.Repaired != 3 || again.Left != 9 {
			t.Errorf("the first run repaired %d, the next %d and left %d", few.Repaired, again.Repaired, again.Left)
		}
		if deals, _ := w.won(ids, w.Moment(time.Hour)); deals != 3 {
			t.Errorf("%d deals are won", deals)
		}
	})
}

// Left is left until its switch is turned on, and an incident that was put right
// elsewhere closes by itself.
func TestIncident_LeftUntilSwitchedOn_GoneByItself(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, ids := crowd(t, 12, virtual.Options{})
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(70*time.Minute, "left", func() { w.decideGroup(1, reconciliation.GroupLeave) })
		left := w.runAt(71*time.Minute, workflows.ReconcileInput{})
		w.At(75*time.Minute, "turned on", func() {
			if g := w.group(1); g.State != reconciliation.GroupLeft {
				t.Errorf("the group is %+v", g)
			}
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{By: "ada", Reason: "all on"})
			w.Check(err)
			if g := w.group(1); g.State != reconciliation.GroupLeft {
				t.Errorf("turning everything on ended what was left: %+v", g)
			}
			_, err = w.Client.Switch(t.Context(), reconciliation.Stop{Kind: "crm.deal.mismatch", By: "ada", Reason: "go on"})
			w.Check(err)
			if g := w.group(1); !g.Over() {
				t.Errorf("the group is %+v", g)
			}
		})
		asked := w.runAt(76*time.Minute, workflows.ReconcileInput{})
		w.At(80*time.Minute, "they are still too many: asked anew; and put right by hand", func() {
			if g := w.group(2); g.State != reconciliation.GroupOpen {
				t.Errorf("the group is %+v", g)
			}
			for _, id := range ids {
				w.edit(w.CRM, `{"order":"`+string(id)+`","stage":"won"}`)
			}
		})
		one := w.runAt(81*time.Minute, workflows.ReconcileInput{Orders: []order.ID{"03"}})
		w.At(85*time.Minute, "a run of one order closes nothing", func() {
			if g := w.group(2); g.Over() || g.Orders != 12 {
				t.Errorf("the group is %+v", g)
			}
		})
		w.runAt(86*time.Minute, workflows.ReconcileInput{})
		w.At(95*time.Minute, "gone", func() {
			if g := w.group(2); !g.Over() || !strings.Contains(g.Outcome, "found none of it any more") {
				t.Errorf("the group is %+v", g)
			}
		})
		w.Run(2 * time.Hour)
		if left.Repaired+asked.Repaired+one.Repaired != 0 {
			t.Errorf("repaired were %d, %d, %d", left.Repaired, asked.Repaired, one.Repaired)
		}
		if _, most := w.won(ids, w.Moment(time.Hour)); most != 0 {
			t.Errorf("a deal was written %d times", most)
		}
	})
}

// A system that suddenly knows nothing has not lost everything: nothing of it is
// believed, and when it is there again all is as before.
func TestIncident_SystemWithoutItsRecords_NothingIsDoneThere(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.unannounced()
		var ids []order.ID
		for k := range 11 {
			ids = append(ids, order.ID(fmt.Sprintf("%02d", k+1)))
			w.submit(0, anOrder(string(ids[k])))
		}
		effects := 0
		w.At(60*time.Minute, "inventory shows nothing", func() {
			for _, read := range []order.Operation{"lookup", "list"} {
				w.inject(w.Inventory, simulator.Fault{Operation: read, Kind: simulator.EmptyList, Times: -1})
			}
			effects = w.written("")
		})
		run := w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(75*time.Minute, "one case", func() {
			g := w.group(1)
			if g.Kind != (reconcile.Kind{System: order.SystemInventory}) || !g.Short || g.Orders != 11 {
				t.Errorf("the group is %+v", g)
			}
			w.Inventory.Frame().Clear("lookup")
			w.Inventory.Frame().Clear("list")
		})
		w.runAt(76*time.Minute, workflows.ReconcileInput{})
		w.At(85*time.Minute, "over", func() {
			if g := w.group(1); !g.Over() {
				t.Errorf("the group is %+v", g)
			}
			for _, id := range ids {
				w.stands(id, order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			}
		})
		w.Run(90 * time.Minute)
		if n := w.written("") - effects; n != 0 || run.Repaired+run.Cases != 0 {
			t.Errorf("%d effects; the run repaired %d and opened %d cases: %v", n, run.Repaired, run.Cases, run.Lines)
		}
	})
}

// Levels that all differ at once are an incident too, and nobody is told to go
// without because of such counts.
func TestIncident_AllCountsWrong_NoLevelSet(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		stock := map[string]int{}
		for n := range 12 {
			stock[fmt.Sprintf("SKU-%02d", n)] = 10
		}
		w := open(t, virtual.Options{Pace: byHand, Stock: stock})
		w.unannounced()
		o := anOrder("1")
		o.Lines, o.Shipping, o.Total = nil, 0, 0
		for n := range 12 {
			o.Lines = append(o.Lines, order.Line{SKU: fmt.Sprintf("SKU-%02d", n), Quantity: 1, UnitPrice: 100})
			o.Total += 100
		}
		w.submit(0, o)
		w.At(60*time.Minute, "the warehouse counts nothing", func() {
			for n := range 12 {
				w.edit(w.Warehouse, fmt.Sprintf(`{"sku":"SKU-%02d","on_hand":0,"reason":"a slip"}`, n))
			}
		})
		run := w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(75*time.Minute, "one case", func() {
			if g := w.group(1); g.Kind.String() != "inventory.level.mismatch" || g.Orders != 12 {
				t.Errorf("the group is %+v", g)
			}
			told, err := w.Client.Explain(t.Context(), "1")
			w.Check(err)
			if text := fmt.Sprintf("%+v", told); strings.Contains(text, "0 repaired, 0 cases") {
				t.Errorf("the order was bothered by the run: %s", text)
			}
			for n := range 12 {
				w.edit(w.Warehouse, fmt.Sprintf(`{"sku":"SKU-%02d","on_hand":9,"reason":"counted"}`, n))
			}
			w.decideGroup(1, reconciliation.GroupRepair)
		})
		few := w.runAt(76*time.Minute, workflows.ReconcileInput{})
		rest := w.runAt(86*time.Minute, workflows.ReconcileInput{})
		w.Run(100 * time.Minute)
		if run.Stock.Repaired != 0 || run.Cases != 0 || few.Stock.Repaired != 3 || rest.Stock.Repaired != 9 {
			t.Errorf("set were %d, %d, %d levels, and %d cases opened: %v", run.Stock.Repaired, few.Stock.Repaired, rest.Stock.Repaired, run.Cases, run.Lines)
		}
		for sku, level := range w.story("1").Levels {
			if level != 9 {
				t.Errorf("the level of %s is %d", sku, level)
			}
		}
	})
}

// Runs side by side share the budget: none is overshot, and nothing is done
// twice, also when one is killed with its grants.
func TestRuns_SideBySideAndKilled_NothingTwiceNoOvershoot(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, ids := crowd(t, 9, virtual.Options{BudgetCount: 5, ReconcileEvery: 66 * time.Minute})
		var reports []*reconciliation.RunReport
		for n := range 3 {
			reports = append(reports, w.runAt(66*time.Minute+time.Duration(n)*time.Second, workflows.ReconcileInput{}))
		}
		killed := false
		for n := range 20 {
			w.At(66*time.Minute+time.Duration(n)*500*time.Millisecond, "the scheduled one is killed once grants are out", func() {
				if _, _, open := w.Runs(workflows.ScheduleID); open && !killed && w.status().NextGrant > 1 {
					killed = true
					w.Cancel(workflows.ScheduleID)
				}
			})
		}
		w.At(70*time.Minute, "within the budget", func() {
			if deals, most := w.won(ids, w.Moment(time.Hour)); deals > 5 || most > 1 {
				t.Errorf("%d deals are put right, one %d times; the budget is 5", deals, most)
			}
		})
		w.runAt(72*time.Minute, workflows.ReconcileInput{})
		w.At(80*time.Minute, "still", func() {
			if deals, most := w.won(ids, w.Moment(time.Hour)); deals > 5 || most > 1 {
				t.Errorf("%d deals are put right, one %d times; the budget is 5", deals, most)
			}
		})
		w.runAt(150*time.Minute, workflows.ReconcileInput{})
		w.At(160*time.Minute, "the next hour", func() {
			if deals, most := w.won(ids, w.Moment(time.Hour)); deals != 9 || most != 1 {
				t.Errorf("%d deals are put right, one %d times; want 9, each once", deals, most)
			}
		})
		w.Run(3 * time.Hour)
		repaired := 0
		for _, r := range reports {
			repaired += r.Repaired
		}
		if !killed {
			t.Error("the scheduled run was never killed")
		}
		if repaired > 5 {
			t.Errorf("three runs by hand repaired %d; the budget of all is 5", repaired)
		}
	})
}

// A switch is obeyed in the middle of a run: before grants are asked for, and at
// the last hop by those who have one.
func TestSwitch_InTheMiddleOfARun_Obeyed(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, ids := crowd(t, 25, virtual.Options{Incident: reconcile.Thresholds{Orders: 100, Percent: 100, Most: 100}})
		run := w.runAt(66*time.Minute, workflows.ReconcileInput{})
		var off time.Time
		for n := range 120 {
			w.At(66*time.Minute+time.Duration(n)*500*time.Millisecond, "off after the first repairs", func() {
				written := w.effects(w.CRM, order.Upsert, "")
				if !off.IsZero() || written[len(written)-1].At.Before(w.Moment(66*time.Minute)) {
					return
				}
				off = w.Now()
				_, err := w.Client.Switch(t.Context(), reconciliation.Stop{Kind: "crm.deal", Off: true, By: "me", Reason: "enough"})
				w.Check(err)
			})
		}
		w.Run(80 * time.Minute)
		deals, most := w.won(ids, off.Add(5*time.Second))
		if most != 0 {
			t.Errorf("five seconds after the switch was turned off a deal was written %d times", most)
		}
		if deals == 0 || deals != run.Repaired || run.Repaired+run.Left != 25 {
			t.Errorf("%d deals are won; the run says that it repaired %d and left %d", deals, run.Repaired, run.Left)
		}
		hop, asked := 0, 0
		for _, line := range run.Lines {
			if strings.Contains(line, "→ stopped before it was sent: crm.deal is stopped: the switch is off: enough") {
				hop++
			}
			if strings.Contains(line, "→ not granted: the switch of crm.deal is off: enough (by me)") {
				asked++
			}
		}
		if hop == 0 || asked != 5 || hop+asked != run.Left {
			t.Errorf("%d were stopped at the last hop and %d when grants were asked for: %q", hop, asked, run.Lines)
		}
	})
}

// Two runs at once do not both try a few of an incident.
func TestIncident_TwoRunsAtOnce_OneTriesTheFew(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		deals := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}
		incident := reconcile.Incident{Kind: deals, Orders: 20, Looked: 20, Breaks: 20, Repairs: 20, Members: []string{"1"}, Since: virtual.Start}
		count := func(r reconciliation.GrantRequest) int { return len(w.ask(r).Grants) }
		w.At(time.Minute, "met and decided", func() {
			if n := count(reconciliation.GrantRequest{Run: "a", Incidents: []reconcile.Incident{incident}, Wants: w.wanting("a", 20, 0)}); n != 0 {
				t.Errorf("%d were granted in the very request that told of the incident", n)
			}
			w.decideGroup(1, reconciliation.GroupRepair)
		})
		w.At(2*time.Minute, "two runs ask", func() {
			if n := count(reconciliation.GrantRequest{Run: "b", Part: 1, Wants: w.wanting("b", 20, 0)}); n != 3 {
				t.Errorf("the first run got %d", n)
			}
			if n := count(reconciliation.GrantRequest{Run: "b", Part: 2, Wants: w.wanting("b2", 20, 0)}); n != 0 {
				t.Errorf("with its second question the first run got %d more", n)
			}
			if n := count(reconciliation.GrantRequest{Run: "c", Wants: w.wanting("c", 20, 0)}); n != 0 {
				t.Errorf("the second run got %d", n)
			}
		})
		w.At(3*time.Minute, "one of the three was not needed, two are verified", func() {
			b := w.ask(reconciliation.GrantRequest{Run: "b", Part: 3, Unused: []int64{1}, Wants: w.wanting("b3", 2, 0)})
			if len(b.Grants) != 1 {
				t.Errorf("for the one that came back %d were given", len(b.Grants))
			}
			w.report(reconciliation.RunReport{Run: "b", Only: true, Tried: []reconciliation.Tried{{Group: 1, Repaired: 3, Verified: 3}}})
			if n := count(reconciliation.GrantRequest{Run: "d", Wants: w.wanting("d", 20, 0)}); n != 15 {
				t.Errorf("after all were verified the next run got %d", n)
			}
		})
		w.At(14*time.Minute, "a run that was killed holds nobody up for ever", func() {
			if n := count(reconciliation.GrantRequest{Run: "e", Wants: w.wanting("e", 20, 0)}); n != 15 {
				t.Errorf("after the run before was lost the next got %d", n)
			}
			w.report(reconciliation.RunReport{Run: "e", Only: true, Tried: []reconciliation.Tried{{Group: 1, Repaired: 15, Verified: 14}}})
			if g := w.group(1); g.State != reconciliation.GroupOpen {
				t.Errorf("one of 15 was not verified, and the group is %+v", g)
			}
		})
		w.Run(20 * time.Minute)
	})
}

// A run that was slow has its say when another has taken over: what it repaired and
// what is not put right stops the incident again.
func TestIncident_SlowRunFailedWhileAnotherTries_StoppedAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		deals := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}
		incident := reconcile.Incident{Kind: deals, Orders: 20, Looked: 20, Breaks: 20, Repairs: 20, Members: []string{"1"}, Since: virtual.Start}
		few := func(run string, want int) {
			if n := len(w.ask(reconciliation.GrantRequest{Run: run, Wants: w.wanting(run, 20, 0)}).Grants); n != want {
				t.Errorf("run %s got %d, want %d", run, n, want)
			}
		}
		tried := func(run string, repaired, verified int) {
			w.report(reconciliation.RunReport{Run: run, Only: true, Tried: []reconciliation.Tried{{Group: 1, Repaired: repaired, Verified: verified}}})
		}
		w.At(time.Minute, "met and decided", func() {
			w.ask(reconciliation.GrantRequest{Run: "first", Incidents: []reconcile.Incident{incident}})
			w.decideGroup(1, reconciliation.GroupRepair)
			few("a", 3)
		})
		w.At(12*time.Minute, "another takes over", func() { few("b", 3) })
		w.At(13*time.Minute, "whose few are verified", func() { tried("b", 3, 3) })
		w.At(14*time.Minute, "those of the first are not", func() {
			few("c", 15)
			tried("a", 3, 0)
			if g := w.group(1); g.State != reconciliation.GroupOpen || !strings.HasPrefix(g.Why, "3 of the 3 repaired first") || g.Trying != "" {
				t.Errorf("the group is %+v", g)
			}
			few("later", 0)
		})
		w.At(15*time.Minute, "decided anew, a run that was slow and went well widens nothing", func() {
			w.decideGroup(1, reconciliation.GroupRepair)
			few("d", 3)
			tried("c", 15, 15)
			few("e", 0)
			if g := w.group(1); g.State != reconciliation.GroupTrying || g.Few != 3 || g.Trying != "d" {
				t.Errorf("the group is %+v", g)
			}
		})
		w.Run(20 * time.Minute)
	})
}

// A sweep tries a few of an incident too, and what came of them counts.
func TestIncident_FoundBySweeps_AFewFirst(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, ids := crowd(t, 12, virtual.Options{})
		first := w.sweep(2*day, workflows.SweepInput{Day: firstDay})
		w.At(2*day+10*time.Minute, "decided", func() {
			if g := w.group(1); g.Kind.String() != "crm.deal.mismatch" || g.Orders != 12 {
				t.Errorf("the group is %+v", g)
			}
			w.decideGroup(1, reconciliation.GroupRepair)
		})
		few := w.sweep(2*day+15*time.Minute, workflows.SweepInput{Day: firstDay})
		w.At(2*day+25*time.Minute, "a few first", func() {
			if deals, most := w.won(ids, w.Moment(time.Hour)); deals != 3 || most != 1 {
				t.Errorf("%d deals are put right, one %d times; want 3, each once", deals, most)
			}
			if g := w.group(1); g.State != reconciliation.GroupTrying || g.Few != 15 || g.Trying != "" {
				t.Errorf("after three were verified the group is %+v", g)
			}
		})
		w.Run(2*day + time.Hour)
		if first.Repaired != 0 || few.Repaired != 3 || few.Policy == "" {
			t.Errorf("the sweeps repaired %d and %d, by policy %q; want none and three", first.Repaired, few.Repaired, few.Policy)
		}
	})
}

// What a sweep finds part by part of an incident belongs to it: each run looks at all of
// them again until it is over.
func TestIncident_FoundInParts_AllAreMembers(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		kind := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Missing}
		part := func(n, from, to int) {
			i := reconcile.Incident{Kind: kind, Looked: 5000, Breaks: to - from, Repairs: to - from, Since: w.Now()}
			for k := from; k < to; k++ {
				i.Members = append(i.Members, fmt.Sprintf("%04d", k))
			}
			i.Orders = len(i.Members)
			w.ask(reconciliation.GrantRequest{Run: "s", Part: n, Only: true, Incidents: []reconcile.Incident{i}})
		}
		named := func(want int) {
			t.Helper()
			all, err := w.Client.Members(t.Context())
			w.Check(err)
			if g := w.group(1); len(all) != 1 || len(all[0].Of) != want || g.Orders != 100 {
				t.Errorf("%d are named of %d groups, which says %d; want %d named", len(all[0].Of), len(all), g.Orders, want)
			}
		}
		w.At(time.Hour, "a sweep finds them in parts", func() {
			part(1, 0, 100)
			named(100)
			part(2, 50, 200)
			named(200)
			for n := range 4 {
				part(3+n, 200+100*n, 300+100*n)
			}
			named(500)
		})
		w.Run(2 * time.Hour)
	})
}

// An incident whose own system is down is as it was, however little the run finds
// besides; its orders are looked at again once the system is back.
func TestIncident_OfDeals_ItsSystemIsDownThroughoutARun_StaysOpen(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, _ := crowd(t, 12, virtual.Options{})
		w.sweep(2*day, workflows.SweepInput{Day: firstDay})
		w.At(2*day+30*time.Minute, "the CRM is down, and something else is broken", func() {
			w.inject(w.CRM, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
			w.edit(w.Inventory, `{"sku":"MUG","stocked":7}`)
		})
		w.runAt(2*day+31*time.Minute, workflows.ReconcileInput{})
		w.staysOpen(2*day + 50*time.Minute)
		w.At(2*day+51*time.Minute, "the CRM is back", func() { w.CRM.Frame().Clear("*") })
		w.runAt(2*day+52*time.Minute, workflows.ReconcileInput{})
		w.staysOpen(3 * day)
		w.Run(3*day + time.Hour)
	})
}

// An incident that was let go to its orders is asked about anew when a sweep finds as
// many others, as when a run does.
func TestIncident_OfWhatIsAsked_ASweepFindsManyMore_OneCaseAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		kind := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMContact, Situation: reconcile.Missing}
		found := func(run string, only, anew bool, n int) {
			i := reconcile.Incident{Kind: kind, Orders: n, Looked: 100, Breaks: n, Anew: anew, Since: w.Now()}
			for k := range n {
				i.Members = append(i.Members, fmt.Sprintf("%s-%04d", run, k))
			}
			w.ask(reconciliation.GrantRequest{Run: run, Only: only, Incidents: []reconcile.Incident{i}})
		}
		w.At(time.Hour, "many have it, and each is to deal with its own", func() {
			found("a", false, true, 20)
			w.decideGroup(1, reconciliation.GroupRepair)
			started := w.Now().Add(time.Second)
			_, err := w.Client.Report(t.Context(), reconciliation.RunReport{
				Run: "b", Started: started, Finished: started, Incidents: []reconcile.Incident{{Kind: kind, Orders: 20, Breaks: 20}},
			})
			w.Check(err)
			if g := w.group(1); !g.Told || g.State != reconciliation.GroupTrying {
				t.Errorf("the group is %+v", g)
			}
		})
		w.At(2*time.Hour, "a sweep finds a few more, and then many", func() {
			found("few", true, false, 5)
			if g := w.group(1); g.State != reconciliation.GroupTrying {
				t.Errorf("after a few more the group is %+v", g)
			}
			found("many", true, true, 60)
			if g := w.group(1); g.State != reconciliation.GroupOpen || g.Orders != 60 {
				t.Errorf("after many more the group is %+v", g)
			}
		})
		w.Run(3 * time.Hour)
	})
}

// A system that goes down after it was screened, wherever in the run, puts nothing
// right: its incident stays, and what would be repaired of it is not forgotten.
func TestIncident_OfDeals_SystemGoesDownInTheMiddleOfARun_StaysOpen(t *testing.T) {
	t.Parallel()
	for _, skip := range []int{0, 1, 2, 3, 5, 8} {
		t.Run(fmt.Sprint("after ", skip), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w, _ := crowd(t, 12, virtual.Options{})
				w.runAt(66*time.Minute, workflows.ReconcileInput{})
				w.At(75*time.Minute, "the CRM goes down soon", func() {
					w.inject(w.CRM, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Skip: skip, Times: -1})
				})
				w.runAt(76*time.Minute, workflows.ReconcileInput{})
				w.staysOpen(105 * time.Minute)
				w.Run(110 * time.Minute)
			})
		})
	}
}

// staysOpen expects that the incident of twelve is as it was.
func (w *world) staysOpen(age time.Duration) {
	w.At(age, "nothing was put right", func() {
		w.t.Helper()
		if g := w.group(1); g.Over() || g.Orders != 12 || g.Repairs != 12 {
			w.t.Errorf("all 12 are wrong still, and the group is %s (%s) with %d, of which %d would be repaired", g.State, g.Outcome, g.Orders, g.Repairs)
		}
	})
}

func TestIncident_OfLevels_InventoryGoesDownInTheMiddleOfARun_StaysOpen(t *testing.T) {
	t.Parallel()
	for _, skip := range []int{0, 1, 2, 3, 5, 8, 14} {
		t.Run(fmt.Sprint("after ", skip), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := shelves(t, 12)
				w.runAt(66*time.Minute, workflows.ReconcileInput{})
				w.At(75*time.Minute, "inventory goes down soon", func() {
					w.inject(w.Inventory, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Skip: skip, Times: -1})
				})
				w.runAt(76*time.Minute, workflows.ReconcileInput{})
				w.staysOpen(105 * time.Minute)
				w.Run(110 * time.Minute)
			})
		})
	}
}

// Where a person decides about each order, an incident is let go to the orders, each of
// which then asks in a case of its own; it is not one case once more.
func TestIncident_OfWhatIsAsked_DecidedAndEachOrderAsksItself(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, ids := crowd(t, 12, virtual.Options{Policy: "mode: ask\n"})
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(70*time.Minute, "each order is to deal with its own", func() {
			if g := w.group(1); g.State != reconciliation.GroupOpen || g.Repairs != 0 {
				t.Errorf("the group is %+v", g)
			}
			w.decideGroup(1, reconciliation.GroupRepair)
		})
		asked := w.runAt(76*time.Minute, workflows.ReconcileInput{})
		w.At(90*time.Minute, "each asks", func() {
			if n := len(w.Status().Groups); n != 1 || asked.Cases != 12 {
				t.Errorf("there are %d groups, and the run opened %d cases: %q", n, asked.Cases, asked.Lines)
			}
			for _, id := range ids {
				if n := len(w.Verdict(id).Cases); n != 1 {
					t.Errorf("order %s has %d cases", id, n)
				}
			}
		})
		w.Run(2 * time.Hour)
	})
}

// An incident stops its kind also in a run that cannot read a system, or that can say
// nothing of most of its orders: the others do not ask by themselves.
func TestIncident_OfWhatIsAsked_RunThatSeesLittle_NoOrderAsksItself(t *testing.T) {
	t.Parallel()
	for name, blind := range map[string]func(w *world){
		"another system is down": func(w *world) {
			w.inject(w.Mail, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		},
		"most make no sense": func(w *world) {
			w.inject(w.ERP, simulator.Fault{Operation: "lookup", Kind: simulator.Garbage}) // of several together; then one by one
			for _, id := range []order.ID{"01", "02", "03", "04", "05", "06", "07"} {
				w.inject(w.ERP, simulator.Fault{Operation: "lookup", Order: id, Kind: simulator.Garbage, Times: -1})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w, ids := crowd(t, 12, virtual.Options{Policy: "mode: ask\n"})
				w.runAt(66*time.Minute, workflows.ReconcileInput{})
				w.At(75*time.Minute, "the next run sees less", func() { blind(w) })
				w.runAt(76*time.Minute, workflows.ReconcileInput{})
				w.At(100*time.Minute, "nobody asks", func() {
					if g := w.group(1); g.State != reconciliation.GroupOpen || g.Orders != 12 {
						t.Errorf("the group is %+v", g)
					}
					for _, id := range ids {
						if n := len(w.Verdict(id).Cases); n != 0 {
							t.Errorf("order %s has %d cases", id, n)
						}
					}
				})
				w.Run(2 * time.Hour)
			})
		})
	}
}

// So many go without after one count that the count is likelier wrong: they are one
// case, and none in the orders. Corrected, it is over.
func TestIncident_ManyGoWithout_OneCaseUntilTheCountIsRight(t *testing.T) {
	t.Parallel()
	for _, decided := range []bool{false, true} {
		t.Run(map[bool]string{false: "nobody decides", true: "each order is to ask"}[decided], func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand, Stock: map[string]int{"MUG": 100, "TSHIRT": 100, "CUP": 100}})
				w.unannounced()
				var ids []order.ID
				for k := range 12 {
					ids = append(ids, order.ID(fmt.Sprintf("%02d", k+1)))
					w.submit(0, anOrder(string(ids[k])))
				}
				for k := range 12 {
					o := anOrder(fmt.Sprintf("cup-%02d", k+1))
					o.Lines = []order.Line{{SKU: "CUP", Quantity: 1, UnitPrice: o.Total}}
					o.Shipping = 0
					w.submit(0, o)
					ids = append(ids, o.ID)
				}
				cases := func() (n int) {
					for _, id := range ids {
						n += len(w.Verdict(id).Cases)
					}
					return n
				}
				w.At(60*time.Minute, "the best seller is counted as none", func() { w.edit(w.Warehouse, `{"sku":"MUG","on_hand":0,"reason":"a slip"}`) })
				would := w.runAt(65*time.Minute, workflows.ReconcileInput{DryRun: true})
				w.runAt(66*time.Minute, workflows.ReconcileInput{})
				w.At(70*time.Minute, "one case", func() {
					if g := w.group(1); g.Kind.String() != "inventory.reserved.conflict" || g.State != reconciliation.GroupOpen || g.Orders != 12 || cases() != 0 {
						t.Errorf("the orders have %d cases, and the group is %+v", cases(), g)
					}
					if !strings.Contains(strings.Join(would.Lines, "\n"), "inventory.reserved.conflict on 12 of 24 orders") {
						t.Errorf("the dry run said %q", would.Lines)
					}
					if decided {
						w.decideGroup(1, reconciliation.GroupRepair)
					}
				})
				w.runAt(75*time.Minute, workflows.ReconcileInput{})
				w.At(78*time.Minute, "each waits until there is more", func() {
					if n := cases(); n != map[bool]int{false: 0, true: 12}[decided] || len(w.Status().Groups) != 1 {
						t.Errorf("there are %d cases and %d groups", n, len(w.Status().Groups))
					}
					for _, id := range ids {
						for _, k := range w.Verdict(id).Cases {
							w.decide(id, k.N, workflows.DecideAccept)
						}
					}
				})
				w.runAt(80*time.Minute, workflows.ReconcileInput{})
				w.At(85*time.Minute, "what was let stand is not news", func() {
					if g := w.group(1); decided && (g.State != reconciliation.GroupTrying || cases() != 0) {
						t.Errorf("the orders have %d cases, and the group is %+v", cases(), g)
					}
					if decided { // and another one is counted as none
						w.edit(w.Warehouse, `{"sku":"CUP","on_hand":0,"reason":"a slip"}`)
					}
				})
				w.runAt(86*time.Minute, workflows.ReconcileInput{})
				w.At(89*time.Minute, "who is new is one case, once more", func() {
					if g := w.group(1); decided && (g.State != reconciliation.GroupOpen || g.Orders != 24 || cases() != 0) {
						t.Errorf("the orders have %d cases, and the group is %+v", cases(), g)
					}
					w.edit(w.Warehouse, `{"sku":"CUP","on_hand":100,"reason":"counted again"}`)
					w.edit(w.Warehouse, `{"sku":"MUG","on_hand":100,"reason":"counted again"}`)
				})
				w.runAt(90*time.Minute, workflows.ReconcileInput{})
				w.runAt(100*time.Minute, workflows.ReconcileInput{})
				w.At(110*time.Minute, "all is over", func() {
					if g := w.group(1); !g.Over() || cases() != 0 {
						t.Errorf("the orders have %d cases, and the group is %+v", cases(), g)
					}
				})
				w.Run(2 * time.Hour)
			})
		})
	}
}

// What says nothing of the orders of an incident does not end it: their records make
// no sense when they are read, and nobody knows what became of them.
func TestIncident_OfDeals_RecordsMakeNoSenseInAWholeRun_StaysOpen(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, ids := crowd(t, 12, virtual.Options{})
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.At(75*time.Minute, "the deals make no sense", func() {
			w.inject(w.CRM, simulator.Fault{Operation: "lookup", Kind: simulator.Garbage, Times: -1})
		})
		blind := w.runAt(76*time.Minute, workflows.ReconcileInput{})
		w.At(105*time.Minute, "nobody knows that it is over", func() {
			if g := w.group(1); g.Over() {
				t.Errorf("none of 12 deals could be read, and the group is %s: %s", g.State, g.Outcome)
			}
			if !blind.Complete() || len(blind.Exceptions) != 12 {
				t.Errorf("the run is complete=%t with the exceptions %v", blind.Complete(), blind.Exceptions)
			}
			w.CRM.Frame().Clear("*")
			for _, id := range ids {
				w.edit(w.CRM, `{"order":"`+string(id)+`","stage":"won"}`)
			}
		})
		w.runAt(110*time.Minute, workflows.ReconcileInput{})
		w.At(115*time.Minute, "now it is", func() {
			if g := w.group(1); !g.Over() {
				t.Errorf("all 12 are right, and the group is %s: %s", g.State, g.Headline())
			}
		})
		w.Run(2 * time.Hour)
	})
}

// Nor do levels that no run can compare, for their goods are on their way.
func TestIncident_OfLevels_AllInMotion_StaysOpen(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w, asMany := shelves(t, 12), anOrder("2")
		asMany.Lines, asMany.Shipping, asMany.Total = nil, 0, 12*900
		for k := range 12 { // as many pieces as differ
			asMany.Lines = append(asMany.Lines, order.Line{SKU: fmt.Sprintf("SKU-%02d", k), Quantity: 9, UnitPrice: 100})
		}
		w.runAt(66*time.Minute, workflows.ReconcileInput{})
		w.submit(75*time.Minute+50*time.Second, asMany)
		moving := w.runAt(76*time.Minute, workflows.ReconcileInput{})
		w.At(105*time.Minute, "nobody knows that it is over", func() {
			if moving.Stock.Moving != 12 || !moving.Complete() {
				t.Errorf("%d levels were in motion, and the run is complete=%t", moving.Stock.Moving, moving.Complete())
			}
			if g := w.group(1); g.Over() {
				t.Errorf("no level could be compared, and the group is %s: %s", g.State, g.Outcome)
			}
		})
		w.Run(110 * time.Minute)
	})
}

// shelves is a world with one order of so many SKUs, of which the warehouse then
// counts none.
func shelves(t *testing.T, n int) *world {
	t.Helper()
	stock, o := map[string]int{}, anOrder("1")
	o.Lines, o.Shipping, o.Total = nil, 0, 0
	for k := range n {
		sku := fmt.Sprintf("SKU-%02d", k)
		stock[sku] = 10
		o.Lines = append(o.Lines, order.Line{SKU: sku, Quantity: 1, UnitPrice: 100})
		o.Total += 100
	}
	w := open(t, virtual.Options{Pace: byHand, Stock: stock})
	w.unannounced()
	w.submit(0, o)
	w.At(60*time.Minute, "the warehouse counts nothing", func() {
		for _, l := range o.Lines {
			w.edit(w.Warehouse, `{"sku":"`+l.SKU+`","on_hand":0,"reason":"a slip"}`)
		}
	})
	return w
}

// Orders placed before the moment from which on we judge are left alone.
func TestSince_OlderOrders_NotJudged(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Since: virtual.Start.Add(30 * time.Minute)})
		w.unannounced()
		old, young := anOrder("old"), anOrder("young")
		young.PlacedAt = virtual.Start.Add(40 * time.Minute)
		w.submit(0, old)
		w.submit(40*time.Minute, young)
		w.At(60*time.Minute, "both are edited", func() {
			w.edit(w.CRM, `{"order":"old","stage":"lost"}`)
			w.edit(w.CRM, `{"order":"young","stage":"lost"}`)
		})
		dry := w.runAt(66*time.Minute, workflows.ReconcileInput{DryRun: true})
		run := w.runAt(68*time.Minute, workflows.ReconcileInput{})
		asked := w.runAt(75*time.Minute, workflows.ReconcileInput{Orders: []order.ID{"old"}})
		w.Run(90 * time.Minute)
		if w.story("old").Deal != "lost" || w.story("young").Deal != "won" {
			t.Errorf("the old order's deal is %s, the young one's %s", w.story("old").Deal, w.story("young").Deal)
		}
		says := "1 orders were placed before 2026-03-02T09:30:00Z and are not judged"
		if run.Looked != 1 || run.TooOld != 1 || dry.Looked != 1 || asked.Looked != 0 || !slices.Contains(asked.Lines, says) {
			t.Errorf("looked at were %d, %d, %d; the last says %q", dry.Looked, run.Looked, asked.Looked, asked.Lines)
		}
	})
}

// Nor are records of no order that were made before it.
func TestSince_OlderRecordsOfNoOrder_NotKept(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Since: virtual.Start.Add(30 * time.Minute)})
		w.At(10*time.Minute, "an old record", func() { w.edit(w.Warehouse, `{"order":"ghost-1","state":"waiting"}`) })
		w.At(40*time.Minute, "a young one", func() { w.edit(w.Warehouse, `{"order":"ghost-2","state":"waiting"}`) })
		w.At(50*time.Minute, "after the feed was followed", func() {
			if got := w.IDs("inbox/"); !slices.Equal(got, []string{"inbox/warehouse/order-ghost-2"}) {
				t.Errorf("in the inbox are %v", got)
			}
		})
		w.Run(time.Hour)
	})
}
