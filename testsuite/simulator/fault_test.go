package simulator_test

import (
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

func TestFault_Orderless_SufferedByNoCallAboutAnOrder(t *testing.T) {
	t.Parallel()
	s, err := simulator.Open(order.SystemPayment, "", simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, f := range []simulator.Fault{
		{Operation: "lookup", Kind: simulator.Refused, Orderless: true, Skip: 1},
		{Operation: "lookup", Kind: simulator.Stale, Order: "O2"},
	} {
		if _, err := s.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		of   order.ID
		want simulator.FaultKind
	}{
		{"O1", simulator.NoFault}, {"", simulator.NoFault}, {"O1", simulator.NoFault}, {"", simulator.Refused}, {"", simulator.NoFault},
		{"O2", simulator.Stale},
	} {
		if got := s.Suffer(simulator.Call{Operation: "lookup", Order: c.of}).Kind; got != c.want {
			t.Errorf("call %d, about %q, suffered %q, want %q", i+1, c.of, got, c.want)
		}
	}
}
