package endtoend

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/connect"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workflows"
)

// What lists and metrics say comes from the engine's visibility and memos, and
// how often a call was tried from its history: the real ones.
func TestOverview_WhatDisagrees_ListedMeasuredAndExplained(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{mode: "report"})
	o := anOrder("overview-1")
	b.fault(order.SystemERP, order.Record, simulator.ResponseLost, o.ID, 1)
	b.accept(o)
	b.edit(order.SystemCRM, map[string]any{"order": o.ID, "stage": "lost", "revenue": 5})
	settle()
	b.run(workflows.ReconcileInput{})
	var listed []starters.Disagreeing
	b.until("visibility lists the order with what is at stake", 30*time.Second, func() bool {
		all, more, err := b.orders.Disagreeing(t.Context())
		listed = all
		return err == nil && !more && len(all) == 1 && all[0].Stakes.Money > 0
	})
	if d := listed[0]; d.Order != o.ID || !slices.Equal(d.Breaks, []string{"crm.deal.mismatch", "crm.revenue.unexpected"}) || d.Stakes.Currency != o.Currency || d.Oldest.IsZero() {
		t.Errorf("listed is %+v", d)
	}
	metrics := connect.NewMetrics()
	if err := metrics.Register(starters.NewGauges(b.orders, logrus.New())); err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		"trueup_overview_read 1\n", `trueup_open_breaks{kind="deal.mismatch",system="crm"} 1` + "\n", `trueup_money_at_risk_minor_units{currency="EUR"} `,
	} {
		if !strings.Contains(answer.Body.String(), line) {
			t.Errorf("%q is missing in\n%s", line, answer.Body)
		}
	}
	story, err := b.orders.Explain(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(story.Tries, func(x workflows.Tries) bool { return x.Activity == "erp.record/1" && x.Attempts == 2 && x.Last != "" }) {
		t.Errorf("the sale's answer was lost once, and tried were %+v", story.Tries)
	}
	if story.Verdict.Agreement != reconcile.Disagreeing || len(story.Story) == 0 {
		t.Errorf("the story is %+v", story)
	}
}
