package starters_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// To whom a SKU is promised is asked of all orders that are remembered, however many
// pages these are, and of each by what its latest run says.
func TestClient_Intents_PromisedSKUs(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	run := func(id, sku string, started time.Time, running bool) starters.Listed {
		l := starters.Listed{ID: workflows.OrderWorkflowID(order.ID(id)), Running: running, Started: started, Changed: started}
		l.DecodeMemo = func(_ string, into any) error {
			data, err := json.Marshal(reconcile.Intent{Order: order.ID(id), Reserved: []order.Quantity{{Line: 1, SKU: sku, Quantity: 1}}})
			if err != nil {
				return err
			}
			return json.Unmarshal(data, into)
		}
		return l
	}
	v := &visible{runs: []starters.Listed{
		run("other", "X", noon, true),
		run("open", "A", noon, true),
		run("ended-by-hand", "B", noon, false),
		run("committed-since", "A", noon, false),
		run("committed-since", "X", noon.Add(time.Hour), true),
		run("again", "A", noon, false),
		run("again", "A", noon.Add(time.Hour), true),
	}}
	c := &starters.Client{Engine: v, Now: time.Now}
	for limit, most := range map[int]int{100: 3, 1: 2} { // a page, at the least
		known, err := c.Intents(t.Context(), reconciliation.IntentQuery{SKUs: []string{"A", "B"}, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range known {
			got = append(got, string(k.Intent.Order))
		}
		slices.Sort(got)
		if want := []string{"again", "ended-by-hand", "open"}; limit == 100 && !slices.Equal(got, want) || len(got) > most {
			t.Errorf("limit %d: promised to %v, want %v", limit, got, want)
		}
	}
}

// An order that was re-opened often is one order to which a SKU is promised.
func TestClient_Intents_PromisedSKUs_LimitOfOrdersAndNotOfRuns(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	promising := func(id string, started time.Time) starters.Listed {
		l := aRun(id, noon, started, false, 0)
		l.DecodeMemo = func(_ string, into any) error {
			data, err := json.Marshal(reconcile.Intent{Order: order.ID(id), Reserved: []order.Quantity{{Line: 1, SKU: "A", Quantity: 1}}})
			return errors.Join(err, json.Unmarshal(data, into))
		}
		return l
	}
	v := &visible{runs: []starters.Listed{
		promising("often", noon.Add(3*time.Hour)), promising("often", noon.Add(2*time.Hour)), promising("once", noon),
	}}
	c := &starters.Client{Engine: v, Now: time.Now}
	known, err := c.Intents(t.Context(), reconciliation.IntentQuery{SKUs: []string{"A"}, Limit: 2})
	if got := captured(known); err != nil || !slices.Equal(got, []string{"often 0", "once 0"}) {
		t.Errorf("promised to %v, %v", got, err)
	}
}
