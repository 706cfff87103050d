package workflows_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// announce lets the gateway speak of an order that nobody has submitted.
func (w *world) announce(age time.Duration, of order.ID) {
	w.At(age, "an event before its order", func() {
		w.Check(w.Payment.Event(json.RawMessage(`{"type":"payment.authorized","order":"` + string(of) + `"}`)))
	})
}

// inbox returns the only inbox.
func (w *world) inbox() string {
	w.t.Helper()
	ids := w.IDs("inbox/")
	if len(ids) != 1 {
		w.t.Errorf("the inboxes are %v, want one", ids)
		return ""
	}
	return ids[0]
}

func TestInbox_OrderAppears_GetsWhatWasKept(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{})
	w.announce(0, "9")
	w.submit(10*time.Minute, anOrder("9"))
	w.At(30*time.Minute, "look", func() {
		if _, _, open := w.Runs(w.inbox()); open {
			t.Error("twenty minutes after its order the inbox is still open")
		}
	})
	w.Run(4 * day)
	w.expect("9", delivered())
	state := w.closedAs("9", order.PhaseClosed)
	if !slices.ContainsFunc(state.Seen, func(id string) bool { return strings.HasPrefix(id, "payment/evt_") }) || len(state.Seen) < 4 {
		t.Errorf("the order has seen %v", state.Seen)
	}
}

func TestInbox_NoOrder_CaseAfterAnHourAndForgottenBeyondTheHorizon(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{FollowEvery: 12 * time.Hour})
	w.announce(0, "9")
	w.At(55*time.Minute, "look", func() {
		if l := w.Published(w.inbox()); l.Agreement != "" {
			t.Errorf("within the hour it says %+v", l)
		}
	})
	w.At(75*time.Minute, "look", func() {
		if l := w.Published(w.inbox()); l.Agreement != "needs_person" || len(l.Breaks) != 1 {
			t.Errorf("after the hour it says %+v", l)
		}
	})
	w.At(13*day, "look", func() {
		if _, _, open := w.Runs(w.inbox()); !open {
			t.Error("it was forgotten within the horizon")
		}
	})
	w.Run(15 * day)
	if _, _, open := w.Runs(w.inbox()); open {
		t.Error("beyond the horizon it is still open")
	}
	if runs, _, _ := w.Runs(workflows.OrderWorkflowID("9")); runs != 0 {
		t.Error("an event started an order")
	}
}
