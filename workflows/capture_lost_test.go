package workflows_test

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// The gateway answers that it captured, and then knows nothing of it. What it
// still holds is all that is left of the money: it is not let go, and a person is
// asked once.
func TestOrder_CaptureVanishesAtTheGateway_NothingIsLetGoAndAPersonIsAsked(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{ReconcileEvery: time.Hour})
		o := anOrder("vanished")
		w.inject(w.Payment, simulator.Fault{Operation: order.Capture, Kind: simulator.Vanishes})
		w.At(time.Minute, "submit", func() { w.Submit(o) })
		w.At(20*time.Hour, "asked", func() {
			v := w.Verdict(o.ID)
			open := 0
			for _, c := range v.Cases {
				if c.Open() {
					open++
				}
			}
			if v.Agreement != reconcile.NeedsPerson || open != 1 || len(v.Cases) != 1 {
				t.Errorf("%s with %d cases, %d of them open: %s", v.Agreement, len(v.Cases), open, v.Summary)
			}
		})
		w.Run(20*time.Hour + time.Minute)
		if voided := w.effects(w.Payment, order.Void, o.ID); len(voided) != 0 {
			t.Errorf("let go: %+v", voided)
		}
		if n := w.Payment.Frame().Faults()[0].Fired; n != 1 {
			t.Errorf("the fault fired %d times", n)
		}
		w.tell(o.ID)
	})
}
