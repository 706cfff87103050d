package reconciliation_test

import (
	"slices"
	"testing"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// An order that its workflow could not compare is an exception of the sweep, by
// name; one that was compared and disagrees is none.
func TestRunReport_Except_WhoWasNotCompared(t *testing.T) {
	r := reconciliation.RunReport{Swept: &reconciliation.Swept{Day: first, Exceptions: []reconciliation.Exception{{Order: "m", Why: "it is settling"}}}}
	got := r.Except(reconciliation.ConfirmedAll{
		Unanswered: []order.ID{"z"},
		Orders: []reconciliation.Confirmed{
			{Order: "disagrees", Agreement: reconcile.NeedsPerson, Cases: 1},
			{Order: "a", Unread: []order.System{order.SystemERP}},
		},
	})
	var names []order.ID
	for _, e := range got.Swept.Exceptions {
		names = append(names, e.Order)
		if e.Why == "" {
			t.Errorf("nobody knows why order %s was not compared", e.Order)
		}
	}
	if !slices.Equal(names, []order.ID{"a", "m", "z"}) {
		t.Errorf("the exceptions are %v", names)
	}
	if len(r.Swept.Exceptions) != 1 {
		t.Error("the report before was changed")
	}
}

func TestSweptShard_Report_AddsUpAndIsNeverCleanWhenPartial(t *testing.T) {
	r := reconciliation.RunReport{DryRun: true, Swept: &reconciliation.Swept{Day: first}}
	r = reconciliation.SweptShard{Looked: 3, Records: 9, LookedUp: 1, Kept: 1, Lines: []string{"one"}}.Report(r)
	if !r.Complete() {
		t.Errorf("a whole shard is partial: %s", r.SweptText())
	}
	r = reconciliation.SweptShard{
		Looked: 4, Records: 8, LookedUp: 2, Unread: []order.System{order.SystemERP}, Missed: []string{"erp: no answer"},
		Suspects: []reconciliation.Suspect{{Order: "A-1", Breaks: []reconcile.Break{{Field: reconcile.CRMDeal}}}},
	}.Report(r)
	r = reconciliation.SweptShard{Looked: 1}.Report(r)
	if r.Complete() || r.Looked != 8 || r.Records != 17 || r.Swept.LookedUp != 3 || r.Swept.Kept != 1 || r.Found != 0 || r.Suspects != 1 {
		t.Errorf("three shards of which one is partial are %+v, %s", r, r.SweptText())
	}
	if want := []string{"one"}; !slices.Equal(r.Lines, want) { // what is found, the orders say
		t.Errorf("it says %v, want %v", r.Lines, want)
	}
	for range 2 { // a sweep asks part by part
		r = reconciliation.ConfirmedAll{Orders: []reconciliation.Confirmed{{Order: "A-1", Found: 1, Repaired: 1, Left: 2}}, Unanswered: []order.ID{"A-2"}}.Report(r)
	}
	if r.Would == nil || *r.Would != (reconciliation.Done{Repaired: 2, Left: 6}) || r.Found != 2 || r.Repaired != 0 {
		t.Errorf("a dry sweep of two parts would do %+v of %d found, and says that it did %d", r.Would, r.Found, r.Repaired)
	}
	if r := (reconciliation.SweptShard{Truncated: true}).Report(reconciliation.RunReport{}); r.Complete() {
		t.Error("a shard that was cut short is complete")
	}
}
