package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// ended is what was known of the planted breaks when the world ended.
func (w *world) ended() reconciliation.Canary {
	w.t.Helper()
	c := w.Status().Canary
	if c == nil || c.Last == nil {
		w.t.Fatalf("the status knows of no planted break: %+v", c)
	}
	return *c
}

// withCanary is a world in which order 1 is the canary, and closes late.
func withCanary(t *testing.T, mode string, every time.Duration) *world {
	w := open(t, virtual.Options{Policy: "mode: " + mode + "\nreturn_window: 240h\n", ReconcileEvery: every, Canary: "1", PlantEvery: time.Hour})
	w.submit(time.Minute, anOrder("1"))
	w.submit(time.Minute, anOrder("2"))
	return w
}

// revenues are the values that the deal of an order got, by the CRM's ledger.
func (w *world) revenues(of order.ID) int {
	n := 0
	for _, e := range w.effects(w.CRM, order.Upsert, of) {
		if strings.Contains(e.Detail, "deal changed: amount") {
			n++
		}
	}
	return n
}

// Each hour a wrong revenue is planted in the canary's deal, and in no other; the
// usual run finds it in time and puts it right.
func TestPlanted_RepairedByTheUsualRun(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := withCanary(t, "auto", 15*time.Minute)
		before := 0
		w.At(6*time.Hour, "before", func() { before = w.revenues("1") })
		w.Run(12*time.Hour + 50*time.Minute)
		c := w.ended()
		if c.Last.N < 9 || c.Missed != 0 || c.Late(w.Now(), 30*time.Minute) != "" {
			t.Errorf("after half a day: %+v, last %+v", c, c.Last)
		}
		if p := c.Last; p.Found.Before(p.Made) || p.Found.After(p.Due) || p.Run == "" || p.Over.IsZero() || p.Reset {
			t.Errorf("the last one was planted %s, due %s, found %s, over %s (reset %v)", p.Made, p.Due, p.Found, p.Over, p.Reset)
		}
		if n := w.revenues("1") - before; n < 12 {
			t.Errorf("in six hours the revenue of the canary's deal changed %d times; want twice an hour", n)
		}
		if s := w.story("1"); s.Revenue != 9980 {
			t.Errorf("in the end the canary's revenue is %d", s.Revenue)
		}
		if n := w.revenues("2"); n > 1 { // its own, when it was captured
			t.Errorf("the revenue of another order changed %d times", n)
		}
	})
}

// A policy that only reports finds it too; the planter takes away what it planted.
func TestPlanted_Reported_ResetByThePlanter(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := withCanary(t, "report", 15*time.Minute)
		w.Run(8*time.Hour + 50*time.Minute)
		c := w.ended()
		if c.Last.Found.IsZero() || !c.Last.Reset || c.Missed != 0 {
			t.Errorf("after some hours: %+v, last %+v", c, c.Last)
		}
		if s := w.story("1"); s.Revenue != 9980 {
			t.Errorf("in the end the canary's revenue is %d", s.Revenue)
		}
	})
}

// What its order, or somebody, has written over before a run came cannot be found: when
// the run has reported it is not missed, and nobody is woken. One that is still there is,
// and one that is gone though no run has reported.
func TestPlanted_WrittenOverBeforeARunCame_NotMissed(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := withCanary(t, "auto", 0)
		w.CRM.Frame().HandleNotifications("", simulator.Drop)
		for hour := range 6 { // from the third on there is one to be found, and none in the sixth
			w.runAt(time.Duration(hour+1)*time.Hour+10*time.Minute, workflows.ReconcileInput{})
		}
		w.At(6*time.Hour+5*time.Minute, "written over", func() { w.edit(w.CRM, `{"order":"1","revenue":9980}`) })
		var before, c, after reconciliation.Canary
		w.At(6*time.Hour, "before", func() { before = *w.status().Canary })
		w.runAt(6*time.Hour+30*time.Minute, workflows.ReconcileInput{})
		w.At(6*time.Hour+50*time.Minute, "another was planted at once, and found", func() { c = *w.status().Canary })
		w.At(7*time.Hour+50*time.Minute, "this one was there", func() { after = *w.status().Canary })
		w.At(8*time.Hour+25*time.Minute, "written over, and nothing runs", func() { w.edit(w.CRM, `{"order":"1","revenue":9980}`) })
		var silent reconciliation.Canary
		w.At(8*time.Hour+50*time.Minute, "nobody knows whether they run", func() { silent = *w.status().Canary })
		w.Run(9 * time.Hour)
		if silent.Missed != after.Missed+1 || silent.Last.Missed.IsZero() {
			t.Errorf("the one that was gone before anything ran is %+v, %+v", silent, silent.Last)
		}
		if c.Missed != before.Missed || c.Last.Made.Sub(w.Moment(6*time.Hour+20*time.Minute)).Abs() > time.Minute || c.Last.Found.IsZero() {
			t.Errorf("after one was written over: %+v, %+v", c, c.Last)
		}
		if late := c.Late(w.Moment(6*time.Hour+50*time.Minute), 30*time.Minute); late != "" {
			t.Errorf("somebody is woken: %s", late)
		}
		if after.Missed != c.Missed+1 || after.Last.Missed.IsZero() || !after.Last.Reset {
			t.Errorf("the one that was there and not found is %+v, %+v", after, after.Last)
		}
	})
}

// Nothing runs any more: that is what the planted break is for. It is missed once
// each, and taken away.
func TestPlanted_NoRuns_MissedAndReset(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := withCanary(t, "auto", 0)
		w.At(8*time.Hour+5*time.Minute, "planted", func() { w.SuggestContinue(workflows.ReconciliationID) })
		w.Run(9*time.Hour + 50*time.Minute)
		c := w.ended()
		if c.Missed < 4 || !c.LastFound.IsZero() || c.Last.Missed.IsZero() || !c.Last.Reset || c.Late(w.Now(), 30*time.Minute) == "" {
			t.Errorf("without runs: %+v, last %+v", c, c.Last)
		}
		if s := w.story("1"); s.Revenue != 9980 {
			t.Errorf("in the end the canary's revenue is %d", s.Revenue)
		}
	})
}

// Where it would have to be asked about each hour, or nothing agrees as it is,
// nothing is planted and the status says why.
func TestPlanted_NotWherePeopleAreAsked(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := withCanary(t, "ask", 15*time.Minute)
		w.Run(8 * time.Hour)
		if c := w.ended(); !strings.Contains(c.Last.Why, "mode") || !c.Last.Made.IsZero() {
			t.Errorf("with mode ask: %+v", c.Last)
		}
	})
}

func TestPlanted_NotWhereTheOrderDoesNotAgree(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := withCanary(t, "report", 0)
		w.CRM.Frame().HandleNotifications("", simulator.Drop)
		w.At(6*time.Hour+30*time.Minute, "somebody loses the deal", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		w.Run(8 * time.Hour)
		if c := w.ended(); !strings.Contains(c.Last.Why, "does not agree") || !c.Last.Made.IsZero() {
			t.Errorf("with a deal that is lost: %+v", c.Last)
		}
	})
}
