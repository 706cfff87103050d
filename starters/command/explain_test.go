package command_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/command"
	"github.com/trueup-orders/trueup/workflows"
)

func TestVerdict_Explain(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	b := reconcile.Break{
		System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch, Expected: "won", Observed: "lost", Right: "order",
		LastAgreed: ago(2 * time.Hour), FirstSeen: ago(time.Hour), Confirmed: ago(59 * time.Minute), Owned: ago(59 * time.Minute),
	}
	v := reconcile.Verdict{Order: "A-1", Outcome: reconcile.Succeeded, Agreement: reconcile.NeedsPerson, Phase: order.PhaseShipped, At: noon, Summary: "succeeded; case 1 needs a person", Breaks: []reconcile.Break{b}}
	story := workflows.Explanation{
		Verdict: v, PlacedAt: ago(24 * time.Hour), Channel: "shop", Total: order.Amount{Minor: 9980, Currency: "EUR"}, Runs: 2, Shortened: true,
		Operations: []workflows.Explained{{Key: "order/A-1/capture/1", Operation: workflows.Operation{
			System: order.SystemPayment, Operation: order.Capture, N: 1, Status: workflows.Done, First: ago(3 * time.Hour), Ended: ago(2 * time.Hour), Tries: 4, Record: "pi_1"}}},
		Story: []workflows.Told{{At: ago(23 * time.Hour), Kind: workflows.ToldOrder, What: "received"}},
		Tries: []workflows.Tries{{Activity: "payment.capture/1", Attempts: 7, Last: "HTTP status 503"}},
		Cases: []reconcile.Case{
			{N: 1, Step: reconcile.Step{Break: b, Why: "it was changed there", Proposal: "upsert in crm"}, Opened: ago(time.Hour)},
			{N: 2, Step: reconcile.Step{Break: b, Why: "the system refused"}, Opened: ago(4 * time.Hour), Closed: ago(3 * time.Hour), Outcome: "decided: accept by ada (unverified): fine"},
		},
	}
	x.engine.Answer = func(_ string, m starters.Message) (any, error) {
		if m.Name == workflows.ExplainQuery {
			return story, nil
		}
		return v, nil
	}
	x.run(command.ExitOK, good(t), "submit", "-") // so that there is such an order
	x.run(command.ExitOK, "", "verdict", "A-1001", "--explain", "--fresh=false")
	x.says("succeeded, needs_person", "received", "+60 min", "order/A-1/capture/1", "60 min  4", "pi_1", "there was more",
		"payment.capture/1", "7", "HTTP status 503", "open: crm.deal.mismatch", "last agreed 2026-01-02T10:00:00Z → first seen",
		"expected won, crm said lost", "waits for a person since 60 min", "decided: accept by ada (unverified): fine")
	x.run(command.ExitOK, "", "verdict", "A-1001", "--explain", "--json", "--fresh=false")
	var again workflows.Explanation
	if err := json.Unmarshal(x.out.Bytes(), &again); err != nil || len(again.Operations) != 1 || again.Operations[0].Key != "order/A-1/capture/1" || again.Operations[0].Tries != 4 {
		t.Errorf("%v: %s", err, x.out.String())
	}
}
