package workflows_test

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// How long an order may wait for its money depends on how it is paid.

const (
	transfer = "pm_bank_transfer"
	voucher  = "pm_oxxo"
)

// asked is how many requests about an order all systems together had.
func (w *world) asked(of order.ID) int {
	w.t.Helper()
	n := 0
	for _, d := range w.desks() {
		all, err := d.Frame().Ledger(0, of)
		w.Check(err)
		for _, e := range all {
			if e.Kind == simulator.EntryRequest {
				n++
			}
		}
	}
	return n
}

func TestWindow_BankTransferPaidOnDayNine_GoesOnAndNobodyPolledMeanwhile(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 6 * time.Hour})
		answer := w.submit(0, atOnce(transfer))
		before := 0
		w.At(10*time.Minute, "the customer has the instructions", func() { before = w.asked("1") })
		for _, age := range []time.Duration{35 * time.Minute, 65 * time.Minute, 2 * time.Hour, 5 * day, 9*day - time.Minute} {
			w.At(age, "not paid yet", func() {
				w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
				if s := w.story("1"); s.Reserved != 3 || s.Open != 1 || len(s.Shipments)+len(s.Mails) != 0 {
					t.Errorf("%s after the start the systems say %+v", age, s)
				}
			})
		}
		w.At(9*day, "the money comes", func() {
			if n := w.asked("1") - before; n != 0 {
				t.Errorf("while nothing happened, the systems were asked %d times about the order", n)
			}
			w.pay("1", 1, payment.Succeeded)
		})
		w.ends(13*day, "1", order.PhaseClosed, delivered())
		if answer.Err != nil || answer.Next == nil || answer.Next.URL == "" || answer.PayUntil.Sub(virtual.Start).Round(time.Hour) != 28*day {
			t.Errorf("the answer to the submission is %+v", answer)
		}
	})
}

func TestWindow_BankTransferNeverComes_ClosedAtTheGatewayThenFails(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 6 * time.Hour, Policy: "mode: auto\npay_windows: {customer_balance: 240h}\n"})
		w.submit(0, atOnce(transfer))
		w.idle(5*day, "1") // who waits for a bank transfer is not a break
		w.At(10*day-5*time.Minute, "look", func() {
			w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
			if s := w.story("1"); s.Reserved != 3 || s.Open != 1 {
				t.Errorf("within the window the systems say %+v", s)
			}
		})
		w.At(10*day+5*time.Minute, "look", func() { w.stands("1", order.PhaseFailed, reconcile.Failed, reconcile.Agreed) })
		if s := w.ends(11*day, "1", order.PhaseFailed, untouched()); s.Failed != "unpaid" {
			t.Errorf("failed as %q", s.Failed)
		}
		closed, released := w.effects(w.Payment, order.Void, "1"), w.effects(w.Inventory, order.Release, "1")
		if len(closed) != 1 || len(released) == 0 || released[0].At.Before(closed[0].At) {
			t.Errorf("the attempt was closed %+v, the stock given back %+v", closed, released)
		}
	})
}

func TestWindow_VoucherExpires_FailsAtOnceAndNotAtTheWindowsEnd(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 6 * time.Hour})
		w.submit(0, atOnce(voucher))
		w.At(4*day, "nobody paid at the counter", func() {
			w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
			w.pay("1", 1, payment.Declined)
		})
		w.At(4*day+5*time.Minute, "look", func() { w.stands("1", order.PhaseFailed, reconcile.Failed, reconcile.Agreed) })
		if s := w.ends(5*day, "1", order.PhaseFailed, untouched()); s.Failed != "declined" {
			t.Errorf("failed as %q", s.Failed)
		}
	})
}

func TestWindow_CardInsteadOfTheTransfer_TheTransferIsClosed(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 6 * time.Hour})
		w.submit(0, atOnce(transfer))
		var card *replied
		w.At(2*day, "the customer takes a card after all", func() { card = w.attempt("1", "card", visa) })
		w.At(2*day+2*time.Minute, "look", func() {
			if old := w.attempts("1")[0]; old.Status != "canceled" {
				t.Errorf("the bank transfer is still %s", old.Status)
			}
		})
		w.ends(6*day, "1", order.PhaseClosed, delivered())
		w.took("the card", card)
	})
}

// Who has paid in time, unheard, is not given up without asking the gateway.
func TestQuestion_PaidAgainUnheard_GatewayIsAskedBeforeItIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]bool{"the notice is lost": false, "the gateway is down at the deadline": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand, FollowEvery: 167 * time.Minute})
				w.submit(0, anOrder("1"))
				w.At(7*day+5*time.Hour, "the customer pays again at the checkout, and no notice comes", func() {
					w.Payment.Frame().HandleNotifications("", simulator.Drop)
					_, err := w.Payment.Start("1", payment.Checkout{Amount: 9980, Currency: "eur", Method: visa, Capture: order.CaptureOnShip, Channel: "shop"})
					w.Check(err)
				})
				if down {
					w.At(8*day-2*time.Hour, "down", func() { w.inject(w.Payment, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1}) })
					w.At(8*day+2*time.Hour, "up", func() { w.Payment.Frame().Clear("*") })
				}
				w.At(8*day+5*time.Hour, "look", func() {
					v := w.Verdict("1")
					if v.Phase != order.PhaseAccepted {
						t.Errorf("it is %s, %s, %s", v.Phase, v.Outcome, v.Agreement)
					}
				})
				w.Run(8*day + 6*time.Hour)
			})
		})
	}
}
