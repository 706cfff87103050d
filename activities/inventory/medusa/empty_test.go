package medusa_test

import (
	"testing"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/inventory"
)

// Whichever list of a reservation is empty for once, the order does not fail by
// it.
func TestReserve_ListEmptyOnce_NotRefusedForGood(t *testing.T) {
	t.Parallel()
	for n := range 10 {
		s := openSimulated(t, simulated.Settings{})
		sku, _ := s.stock("MUG", 20)
		s.client = s.with(nil) // it knows no ids yet
		s.inject(simulator.Fault{Operation: "lookup", Kind: simulator.EmptyList, Skip: n})
		if _, err := s.client.Reserve(t.Context(), request(s.order("E"), line(1, sku, 3))); err != nil && apierr.Final(err) {
			t.Errorf("look-up %d was empty: %v", n+1, err)
		}
		if s.server.Frame().Faults()[0].Fired == 0 {
			if n < 2 {
				t.Errorf("a reservation makes %d look-ups", n)
			}
			return
		}
	}
}
