package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// What an attempt took twice goes back once, and only as far as the rules go.

// paysAgain lets the customer pay a second time at the checkout.
func (w *world) paysAgain(age time.Duration) {
	w.At(age, "the customer pays once more", func() {
		_, err := w.Payment.Start("1", payment.Checkout{Amount: 9980, Currency: "eur", Method: visa, Capture: order.CaptureAtOnce, Channel: "shop"})
		w.Check(err)
	})
}

// wentBack says how often money of the order was sent back.
func (w *world) wentBack(want int) {
	w.t.Helper()
	if n := len(w.effects(w.Payment, order.Refund, "1")); n != want {
		w.t.Errorf("money was sent back %d times, want %d", n, want)
	}
}

// The bank returns the refund of a second payment. Whether it goes out once more is
// for a person to say, and no run says it: neither while the person is asked, nor
// when it was paid back another way.
func TestMend_RefundOfASurplusFailed_GoesOutAgainByAPersonAlone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		as   workflows.Decision // before the run; nothing: nobody has decided
		sent int
	}{
		"nobody has decided":       {"", 1},
		"paid back another way":    {workflows.DecideByHand, 1},
		"not to be paid back":      {workflows.DecideAccept, 1},
		"a person sends it again":  {workflows.DecideRepair, 2},
		"a person refunds it anew": {workflows.DecideRefund, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, virtual.Options{Policy: allAuto, Payment: payment.Settings{RefundSettles: 12 * time.Hour}})
			w.submit(0, atOnce(visa))
			w.paysAgain(10 * time.Minute)
			w.At(5*time.Hour, "the bank sends the refund back", func() { w.edit(w.Payment, `{"order":"1","refund":"failed"}`) })
			w.At(7*time.Hour, "a person decides", func() {
				w.wentBack(1)
				if n := w.theCase("1", reconcile.PaymentRefunded); test.as != "" {
					w.decide("1", n, test.as)
				}
			})
			would := w.runAt(8*time.Hour, workflows.ReconcileInput{DryRun: true})
			run := w.runAt(8*time.Hour+10*time.Minute, workflows.ReconcileInput{})
			w.At(10*time.Hour, "look", func() {
				w.wentBack(test.sent)
				if would.Would == nil || would.Would.Repaired != 0 || run.Repaired != 0 {
					t.Errorf("the dry run says %q, and the run %q", would.Lines, run.Lines)
				}
				want := reconcile.Agreed
				if test.as == "" {
					want = reconcile.NeedsPerson
				}
				if v := w.Verdict("1"); v.Agreement != want {
					t.Errorf("it is %s, want %s\n%s", v.Agreement, want, v.Table())
				}
			})
			w.Run(11 * time.Hour)
		})
	}
}

// A dispute that is lost is the refund. What the customer paid a second time meanwhile
// pays for the order then: it does not go back by itself as well, nor because somebody
// decided that before it was known.
func TestDispute_LostAfterASecondPayment_NoSecondMoneyOut(t *testing.T) {
	t.Parallel()
	for _, decided := range []bool{false, true} {
		t.Run(map[bool]string{false: "nobody decided", true: "a person gave it back meanwhile"}[decided], func(t *testing.T) {
			t.Parallel()
			w := open(t, virtual.Options{Policy: allAuto})
			w.submit(0, atOnce(visa))
			w.At(30*time.Hour, "a dispute", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
			w.paysAgain(40 * time.Hour)
			if decided {
				w.At(50*time.Hour, "a person gives it back", func() { w.refund("1", "a", 9980) })
			}
			w.At(60*time.Hour, "it is lost", func() { w.edit(w.Payment, `{"order":"1","attempt":1,"dispute":"lost"}`) })
			run := w.runAt(62*time.Hour, workflows.ReconcileInput{})
			w.At(70*time.Hour, "look", func() {
				w.wentBack(0)
				if len(run.Lines) != 0 {
					t.Errorf("the run says %q", run.Lines)
				}
				w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed)
			})
			w.Run(71 * time.Hour)
		})
	}
}

// After a dispute that was lost a person says what becomes of another payment that
// was one too many: the bank may give that back as well.
func TestDispute_LostOfASecondPayment_APersonIsAskedAboutTheThird(t *testing.T) {
	t.Parallel()
	w := open(t, virtual.Options{Policy: allAuto})
	w.submit(0, atOnce(visa))
	w.At(9*time.Minute, "the gateway's notices are held back", func() { w.Payment.Frame().HandleNotifications("", simulator.Hold) })
	w.paysAgain(10 * time.Minute)
	w.At(11*time.Minute, "it is disputed, and the notices come", func() {
		w.edit(w.Payment, `{"order":"1","attempt":2,"dispute":"opened"}`)
		w.Payment.Frame().HandleNotifications("", simulator.Deliver)
	})
	w.paysAgain(2 * time.Hour)
	w.At(20*time.Hour, "it is lost", func() { w.edit(w.Payment, `{"order":"1","attempt":2,"dispute":"lost"}`) })
	var decided *replied
	w.At(21*time.Hour, "a person gives the third back", func() {
		w.wentBack(0)
		k := w.open1()
		if b := k.Step.Break; b.Field != reconcile.PaymentAttempts || k.Step.Amount != 9980 || !strings.Contains(k.Step.Why, "a dispute was lost") {
			t.Errorf("the case is %+v", k.Step)
		}
		decided = w.decide("1", k.N, workflows.DecideRepair)
	})
	w.runs(22 * time.Hour)
	w.At(23*time.Hour, "look", func() {
		w.took("the decision", decided)
		w.wentBack(1)
		w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
	})
	w.Run(24 * time.Hour)
}
