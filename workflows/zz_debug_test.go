package workflows_test

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

func TestZZ(t *testing.T) {
	w := open(t, virtual.Options{Stock: map[string]int{"MUG": 2, "TSHIRT": 1}})
	w.submit(0, atOnce(declining))
	other := anOrder("2")
	w.submit(time.Hour, other)
	w.At(2*time.Hour, "the customer pays a link from an old mail", func() {
		_, err := w.Payment.Start("1", payment.Checkout{Amount: 9980, Currency: "eur", Method: visa, Capture: order.CaptureAtOnce, Channel: "shop"})
		w.Check(err)
	})
	for h := 1; h < 96; h += 5 {
		w.At(time.Duration(h)*time.Hour+7*time.Minute, "look", func() {
			r, c, o := w.Runs(workflows.OrderWorkflowID("1"))
			t.Log(w.Age(), r, c, o)
		})
	}
	w.idle(4*day-30*time.Minute, "1")
	w.Run(4 * day)
	t.Log(w.Last("1"))
}
