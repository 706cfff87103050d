package tryton_test

import (
	"testing"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/erp"
)

// Whichever answer of a first call is somebody else's, of a setting, an address
// or a product, the call ends well when it is tried again: a refusal that rests
// on what was misread is not one for good.
func TestMisread_AnyAnswerForeignOnce_DoneInTheEnd(t *testing.T) {
	t.Parallel()
	for _, operation := range []order.Operation{"lookup", "list", "prepare"} {
		for n := range 20 {
			x := onSimulator(t, simulated.Settings{})
			r := sale(newOrder("EUR"))
			do := func() error { _, err := x.RecordSale(t.Context(), r); return err }
			x.inject(t, simulator.Fault{Operation: operation, Kind: simulator.Foreign, Skip: n})
			err := do()
			for try := 0; err != nil && try < 3 && !apierr.Final(err); try++ {
				err = do()
			}
			if err != nil {
				t.Errorf("%s %d was foreign: %v", operation, n+1, err)
			}
			if x.server.Frame().Faults()[0].Fired == 0 {
				break
			}
		}
	}
}
