package workflows

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What a person let stand stays where it is, also when the policy lets the like go back
// by itself later. What is more than that goes back.
func TestSurplus_LetStandByAPerson_StaysUnderAnotherPolicy(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for value, want := range map[string]int{"9980": 0, "5000": 1, "": 1} {
		policy := reconcile.Default().WithMode(reconcile.ModeAuto)
		p := &process{settings: Settings{Policy: policy}, State: &State{
			Order: order.Order{ID: "1", Currency: "EUR", Total: 9980, Lines: []order.Line{{SKU: "MUG", Quantity: 1, UnitPrice: 9980}}},
			Phase: order.PhaseShipped, Payers: []string{"pi_1"},
		}}
		if value != "" {
			p.Accepted = []reconcile.Base{{Field: reconcile.PaymentAttempts, Item: "pi_2", Value: value}}
		}
		attempt := func(id string) reconcile.Attempt {
			return reconcile.Attempt{ID: id, State: reconcile.AttemptCaptured, Amount: 9980, Captured: 9980, Currency: "EUR", Created: now}
		}
		p.learnAttempt(now, attempt("pi_1"))
		p.learnAttempt(now, attempt("pi_2"))
		p.attendSurplus(now)
		if n := p.count(order.Refund); n != want {
			t.Errorf("with %q let stand %d refunds are meant, want %d", value, n, want)
		}
	}
}

// A refund that was refused waits for the end of a dispute, unless a person has had it
// made again meanwhile.
func TestDispute_HoldsBackWhatWasRefused_ButNotWhatWasMadeAgain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, again := range []bool{false, true} {
		p := &process{settings: Settings{Policy: reconcile.Default()}, State: &State{Order: order.Order{ID: "1", Currency: "EUR"}}}
		p.Operations = []Operation{{System: order.SystemPayment, Operation: order.Refund, N: 1, Status: Refused, Conflict: true, Ref: "pi_1", Amount: 1000}}
		if again {
			p.Operations = append(p.Operations, Operation{System: order.SystemPayment, Operation: order.Refund, N: 2, Status: Done, Ref: "pi_1", Amount: 1000, Again: "order/1/refund/1"})
		}
		p.holdBack(now, "pi_1")
		if n := p.count(order.Refund); n != 2 || p.Operations[0].Status == Unsent == again {
			t.Errorf("made again %t: %d refunds are known, want 2; the first is %s", again, n, p.Operations[0].Status)
		}
	}
}
