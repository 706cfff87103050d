package workflows

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A field that comes and goes for weeks opens a case each time. The order carries the
// latest of them and what a person decided, and numbers go on.
func TestCases_ComeAndGo_TheLatestAndWhatWasDecidedAreKept(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	p := &process{settings: Settings{Policy: reconcile.Default()}, State: &State{Order: order.Order{ID: "1", Currency: "EUR"}}}
	for n := range 500 {
		now = now.Add(time.Hour)
		p.openCase(now, reconcile.Step{Break: reconcile.Break{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}, Decision: reconcile.Ask}, false)
		p.tell(now)
		outcome := "the systems agree again"
		if n < 3 {
			outcome = decidedBy + "accept by ada" + unverified
		}
		p.closeCase(now, p.lastCase(), outcome)
		p.tell(now)
	}
	if len(p.Cases) > mostOver+4 || len(p.Tellings) != len(p.Cases) || p.lastCase() != 500 || p.caseOf(3) == nil || p.caseOf(4) != nil || p.caseOf(499) == nil {
		t.Errorf("%d cases and %d tellings are carried, the last is %d", len(p.Cases), len(p.Tellings), p.lastCase())
	}
	if len(p.Unsaid) != 1000 {
		t.Errorf("%d things are to be said, want each case's opening and end", len(p.Unsaid))
	}
}
