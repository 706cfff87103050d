package workflows_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// delivered is what the systems say of an order that went well.
var delivered = story{
	Captured: 9980, Attempts: 1, Levels: map[string]int64{"MUG": 98, "TSHIRT": 99}, OnHand: map[string]int64{"MUG": 98, "TSHIRT": 99},
	Shipments: []string{"delivered"}, Sales: 1, Invoices: 1, Invoiced: 9980, Received: 9980, Deal: "won", Revenue: 9980,
	Mails: []string{"confirmation", "shipped"},
}

// failedUnpaid is what they say of one that was never paid.
var given = story{Levels: map[string]int64{"MUG": 100, "TSHIRT": 100}, OnHand: map[string]int64{"MUG": 100, "TSHIRT": 100}}

func (w *world) expect(of order.ID, want story) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.story(of)); diff != "" {
		w.t.Errorf("the systems say of order %s (-want +got):\n%s", of, diff)
	}
	w.tell(of)
}

func TestOrder_Shipped_ClosesAfterItsReturnWindow(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{})
	var answer *virtual.Answer
	w.At(time.Minute, "submit", func() { answer = w.Submit(anOrder("1")) })
	w.Run(33 * day)
	if answer.Err != nil || answer.Phase != order.PhaseAccepted {
		t.Fatalf("submitted: %+v", answer)
	}
	w.expect("1", delivered)
	state := w.closedAs("1", order.PhaseClosed)
	if got := state.Since.Sub(virtual.Start); got < 31*day || got > 31*day+4*time.Hour {
		t.Errorf("closed %s after it was placed, want its delivery and 30 days", got)
	}
}

func TestOrder_ChallengeNotPaid_FailsAndGivesBack(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{})
	o := anOrder("1")
	o.Payment.Method = "pm_card_threeDSecure2Required"
	var answer *virtual.Answer
	w.At(0, "submit", func() { answer = w.Submit(o) })
	w.At(29*time.Minute, "still waiting", func() {
		if v := w.Verdict("1"); v.Phase != order.PhasePaying {
			t.Errorf("after 29 minutes the order is %s", v.Phase)
		}
		if s := w.story("1"); s.Reserved != 3 || s.Open != 1 {
			t.Errorf("after 29 minutes the systems say %+v", s)
		}
	})
	w.Run(2 * time.Hour)
	if answer.Err != nil || answer.Next == nil {
		t.Errorf("the customer got no next step: %+v", answer)
	}
	w.expect("1", given)
	if state := w.closedAs("1", order.PhaseFailed); state.Failed != "unpaid" {
		t.Errorf("failed as %q", state.Failed)
	}
}
