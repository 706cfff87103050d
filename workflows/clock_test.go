package workflows_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters/connect"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// A deal that somebody changed behind our back: its break has a clock from the
// moment that it is seen, nobody owns it while repairs are stopped, and the clock
// goes on when the order continues as new, until the repair was seen to hold.
func TestClock_DealChangedByHand_EachStageOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		metrics := connect.NewMetrics()
		w := open(t, virtual.Options{ReconcileEvery: 20 * time.Minute, Metrics: metrics})
		w.CRM.Frame().HandleNotifications("", simulator.Drop)
		w.submit(0, anOrder("1"))
		edited := virtual.Start.Add(6*time.Hour + time.Minute)
		w.At(6*time.Hour+time.Minute, "somebody loses the deal", func() {
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{System: order.SystemCRM, Off: true, By: "me", Reason: "test"})
			w.Check(err)
			w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
		})
		var seen reconcile.Break
		w.At(7*time.Hour+5*time.Minute, "while it is stopped", func() {
			v := w.Verdict("1")
			if len(v.Breaks) != 1 {
				t.Errorf("want one break:\n%s", v.Table())
				return
			}
			seen = v.Breaks[0]
			if late := seen.FirstSeen.Sub(edited); late < 0 || late > 20*time.Minute {
				t.Errorf("first seen %s after the edit, want within one interval of the runs", late)
			}
			if !seen.LastAgreed.Before(edited) || seen.Confirmed.Before(seen.FirstSeen) {
				t.Errorf("the clock is %s", seen.Clock())
			}
			if !seen.Owned.IsZero() || !seen.Repaired.IsZero() {
				t.Errorf("with repairs stopped somebody has it: %s", seen.Clock())
			}
			if !strings.Contains(v.Table(), "first seen "+seen.FirstSeen.Format(time.RFC3339)) {
				t.Errorf("the table does not show the clock:\n%s", v.Table())
			}
			w.SuggestContinue(workflows.OrderWorkflowID("1"))
			_, err := w.Client.Switch(t.Context(), reconciliation.Stop{System: order.SystemCRM, By: "me"})
			w.Check(err)
		})
		w.At(8*time.Hour+5*time.Minute, "after the repair", func() {
			v := w.Verdict("1")
			if len(v.Breaks) != 0 || len(v.Mended) != 1 {
				t.Errorf("want one break that is over:\n%s", v.Table())
				return
			}
			b := v.Mended[0]
			if !b.FirstSeen.Equal(seen.FirstSeen) || !b.LastAgreed.Equal(seen.LastAgreed) || !b.Confirmed.Equal(seen.Confirmed) {
				t.Errorf("the clock was %s and is %s", seen.Clock(), b.Clock())
			}
			if b.Owned.Before(virtual.Start.Add(7*time.Hour+5*time.Minute)) || b.Repaired.Before(b.Owned) || b.Verified.Before(b.Repaired) {
				t.Errorf("the clock is %s", b.Clock())
			}
		})
		w.Run(9 * time.Hour)
		if _, continued, _ := w.Runs(workflows.OrderWorkflowID("1")); continued == 0 {
			t.Error("the order did not continue as new")
		}
		answer := httptest.NewRecorder()
		metrics.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		for _, name := range []string{workflows.DetectionMetric, workflows.RepairMetric} {
			if want := regexp.MustCompile(name + `_seconds_count\{.*system="crm".*\} 1\n`); !want.MatchString(answer.Body.String()) {
				t.Errorf("%s was not measured once", name)
			}
		}
	})
}

// What was noticed later than its field allows, as far as anybody knows, is counted
// once, and noted with by how much; what was noticed in time is not.
func TestClock_NoticedLate_CountedAndNoted(t *testing.T) {
	t.Parallel()
	for within, late := range map[string]bool{"1h": true, "24h": false} {
		t.Run(within, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				metrics := connect.NewMetrics()
				w := open(t, virtual.Options{
					ReconcileEvery: 20 * time.Minute, Metrics: metrics, Pace: byHand,
					Policy: "mode: auto\nreturn_window: 24h\nfields: {crm.deal: {notice_within: " + within + "}}\n",
				})
				w.CRM.Frame().HandleNotifications("", simulator.Drop)
				w.submit(0, anOrder("1"))
				w.At(6*time.Hour+time.Minute, "somebody loses the deal", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
				w.At(8*time.Hour, "put right", func() {
					v := w.Verdict("1")
					if len(v.Mended) != 1 {
						t.Errorf("want one break that is over:\n%s", v.Table())
						return
					}
					took, _ := v.Mended[0].Detection()
					if took < 5*time.Hour || took > 7*time.Hour {
						t.Errorf("it was noticed after %s at most", took)
					}
					e, err := w.Client.Explain(t.Context(), "1")
					w.Check(err)
					text := fmt.Sprint(e)
					want := fmt.Sprintf("crm.deal.mismatch noticed late: up to %s after both last agreed, %s longer than its notice_within of 1h0m0s", took.Round(time.Second), (took - time.Hour).Round(time.Second))
					if n := strings.Count(text, want); late != (n == 1) || !late && strings.Contains(text, "noticed late") {
						t.Errorf("its story tells %d times %q:\n%s", n, want, text)
					}
				})
				w.Run(9 * time.Hour)
				if got := measuredOnce(t, metrics, workflows.LateMetric+"_total", `field="crm.deal".*system="crm"`); got != late {
					t.Errorf("counted as noticed late: %t, want %t", got, late)
				}
			})
		})
	}
}

// A break that a person is asked about is owned from then on.
func TestClock_AskedAboutBreak_OwnedByItsCase(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{ReconcileEvery: 20 * time.Minute, Policy: "mode: ask\nreturn_window: 24h\n"})
		w.submit(0, anOrder("1"))
		w.At(6*time.Hour+time.Minute, "somebody loses the deal", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		w.At(7*time.Hour, "asked", func() {
			v := w.Verdict("1")
			if len(v.Breaks) != 1 || len(v.Cases) != 1 {
				t.Errorf("want one break and its case:\n%s", v.Table())
				return
			}
			if k := v.Cases[0]; !v.Breaks[0].Owned.Equal(k.Opened) || !k.Step.Break.Owned.Equal(k.Opened) {
				t.Errorf("the case was opened %s, and the clock is %s", k.Opened, v.Breaks[0].Clock())
			}
		})
		w.Run(8 * time.Hour)
	})
}

// What is at stake is in the memo for as long as there is anything, also of an
// order that has continued as new meanwhile; one that goes well never says so.
func TestStakes_InTheMemoWhileSystemsDisagree(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{ReconcileEvery: 20 * time.Minute, Policy: "mode: ask\nreturn_window: 24h\n"})
		w.submit(0, anOrder("1"))
		w.submit(0, anOrder("2"))
		stakes := func(id string) (s workflows.Stakes, said bool) {
			said = w.Published("order/"+id).DecodeMemo(workflows.StakesMemo, &s) == nil
			return s, said
		}
		w.At(6*time.Hour+time.Minute, "somebody changes the revenue", func() { w.edit(w.CRM, `{"order":"1","revenue":9000}`) })
		w.At(7*time.Hour, "asked", func() {
			v := w.Verdict("1")
			if len(v.Cases) != 1 {
				t.Errorf("want one case:\n%s", v.Table())
				return
			}
			want := workflows.Stakes{Currency: "EUR", Money: 980, Cases: 1, Opened: v.Cases[0].Opened, Deadline: v.Cases[0].Deadline}
			if s, _ := stakes("1"); s.Money != want.Money || s.Currency != want.Currency || s.Cases != 1 || !s.Opened.Equal(want.Opened) || !s.Deadline.Equal(want.Deadline) {
				t.Errorf("at stake is %+v, want %+v", s, want)
			}
			w.SuggestContinue(workflows.OrderWorkflowID("1"))
			w.edit(w.CRM, `{"order":"1","revenue":9500}`)
		})
		w.At(7*time.Hour+10*time.Minute, "put right", func() {
			if s, _ := stakes("1"); s.Money != 480 || s.Cases != 1 {
				t.Errorf("after it continued as new at stake is %+v", s)
			}
			w.edit(w.CRM, `{"order":"1","revenue":9980}`)
		})
		w.At(8*time.Hour, "put right by hand", func() {
			if s, said := stakes("1"); !said || s != (workflows.Stakes{}) {
				t.Errorf("when all is well again at stake is %+v (%v)\n%s", s, said, w.Verdict("1").Table())
			}
			if _, said := stakes("2"); said {
				t.Error("an order that goes well says what is at stake")
			}
		})
		w.Run(9 * time.Hour)
	})
}
