package endtoend

import (
	"maps"
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

type entry = simulator.Entry

// fault injects a fault for one order.
func (b *bundle) fault(system order.System, operation order.Operation, kind simulator.FaultKind, of order.ID, times int) {
	b.t.Helper()
	if _, err := b.world.Frame(system).Inject(simulator.Fault{Operation: operation, Kind: kind, Order: of, Times: times}); err != nil {
		b.t.Fatal(err)
	}
}

// fired counts the calls that suffered a fault in a system.
func (b *bundle) fired(system order.System) int {
	n := 0
	for _, f := range b.world.Frame(system).Faults() {
		n += f.Fired
	}
	return n
}

func same[K comparable](t *testing.T, what string, got, want map[K]int) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: %v; want %v", what, got, want)
	}
}
