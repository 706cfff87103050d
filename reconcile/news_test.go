package reconcile_test

import (
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// An order that is being taken back, and does not know that nothing is held any
// more, is told; one that has something under way finds out by itself.
func TestNews_NothingIsHeldAnyMore(t *testing.T) {
	t.Parallel()
	gone := reconcile.Observation{System: order.SystemPayment, State: reconcile.Present, Payment: &reconcile.Payment{
		Attempts: []reconcile.Attempt{{ID: "1", State: reconcile.AttemptVoided, Amount: 100}, {ID: "2", State: reconcile.AttemptCaptured, Captured: 100, Refunded: 100}},
	}}
	open, held, kept := gone, gone, gone
	open.Payment = &reconcile.Payment{Attempts: []reconcile.Attempt{{ID: "1", State: reconcile.AttemptOpen, Amount: 100}}}
	held.Payment = &reconcile.Payment{Attempts: []reconcile.Attempt{{ID: "1", State: reconcile.AttemptAuthorized, Amount: 100, Held: 100}}}
	kept.Payment = &reconcile.Payment{Attempts: []reconcile.Attempt{{ID: "1", State: reconcile.AttemptCaptured, Captured: 100, Refunded: 60}}}
	free := reconcile.Observation{System: order.SystemInventory, State: reconcile.Absent}
	promised := reconcile.Observation{System: order.SystemInventory, State: reconcile.Present, Inventory: &reconcile.Inventory{
		Reservations: []reconcile.Reservation{{ID: "r", SKU: "A", Quantity: 1}},
	}}
	failing := reconcile.Intent{Order: "O1", Phase: order.PhaseFailing}
	busy, underway, ended := failing, failing, failing
	busy.Busy, underway.Underway, ended.Phase = []order.System{order.SystemPayment}, true, order.PhaseFailed
	for name, c := range map[string]struct {
		intent reconcile.Intent
		seen   reconcile.Observation
		want   bool
	}{
		"nothing is held":         {failing, gone, true},
		"nothing is promised":     {failing, free, true},
		"may still be paid":       {failing, open, false},
		"is held":                 {failing, held, false},
		"part of it is kept":      {failing, kept, false},
		"is promised":             {failing, promised, false},
		"the void is on its way":  {busy, gone, false},
		"a question is open":      {underway, gone, false},
		"the order knows already": {ended, gone, false},
	} {
		if got := reconcile.News(c.intent, c.seen); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
