package workflows

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Attempts that hold money while what has not shipped is not covered take over
// from one another until as much is covered as they can, and no longer: an order
// whose payers change for ever never gets through a workflow task.
func TestAdoptPayers_ComesToAnEnd(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 9, 9, 0, 0, 0, time.UTC)
	o := order.Order{ID: "1", Currency: "EUR", PlacedAt: now.Add(-7 * 24 * time.Hour), Lines: []order.Line{{SKU: "A", Quantity: 1, UnitPrice: 4000}}, Total: 4000}
	holds := func(id string, amount int64, until time.Time) reconcile.Attempt {
		return reconcile.Attempt{ID: id, State: reconcile.AttemptAuthorized, Amount: amount, Held: amount, Currency: "EUR", HeldUntil: until, Created: o.PlacedAt}
	}
	soon, late := now.Add(time.Hour), now.Add(6*24*time.Hour)
	refused := func(id string) Operation {
		return Operation{System: order.SystemPayment, Operation: order.Capture, N: 1, Of: 1, Ref: id, Status: Refused}
	}
	for name, c := range map[string]struct {
		attempts []reconcile.Attempt
		refused  []Operation
		want     []string
	}{
		"all are about to die":            {attempts: []reconcile.Attempt{holds("a", 4000, soon), holds("b", 4000, soon)}, want: []string{"a"}},
		"one lives":                       {attempts: []reconcile.Attempt{holds("a", 4000, soon), holds("b", 4000, soon), holds("c", 4000, late)}, want: []string{"c"}},
		"two pay together":                {attempts: []reconcile.Attempt{holds("a", 2000, late), holds("b", 2000, late)}, want: []string{"a", "b"}},
		"not even together":               {attempts: []reconcile.Attempt{holds("a", 1000, late), holds("b", 1000, late), holds("c", 1000, late)}, want: []string{"a", "b", "c"}},
		"a larger one replaces a part":    {attempts: []reconcile.Attempt{holds("a", 1000, late), holds("b", 4000, late)}, want: []string{"b"}},
		"a part, and one about to die":    {attempts: []reconcile.Attempt{holds("a", 1000, late), holds("b", 4000, soon)}, want: []string{"a"}},
		"what refused to be captured too": {attempts: []reconcile.Attempt{holds("a", 1000, late), holds("b", 1000, late)}, refused: []Operation{refused("a"), refused("b")}, want: []string{"a", "b"}},
	} {
		p := &process{State: &State{Order: o, Phase: order.PhaseAccepted, Payers: []string{"a"}, Operations: c.refused}, settings: Settings{Policy: reconcile.Default()}}
		p.learn(reconcile.Observation{System: order.SystemPayment, Order: "1", State: reconcile.Present, At: now, Strong: true, Payment: &reconcile.Payment{Attempts: c.attempts}})
		for turn := range 10 {
			before := p.moved
			p.adoptPayers(now)
			if p.moved == before {
				break
			}
			if turn == 9 {
				t.Errorf("%s: the payers still change: %v", name, p.Payers)
			}
		}
		if got := p.Payers; len(got) != len(c.want) || got[0] != c.want[0] {
			t.Errorf("%s: %v pay; want %v", name, got, c.want)
		}
	}
}
