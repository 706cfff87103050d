package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// Orders and time: old ones, late ones, and those that hear much.

// checkout is a payment that a customer makes without us.
func checkout(method string) payment.Checkout {
	return payment.Checkout{Amount: 9980, Currency: "eur", Method: method, Capture: order.CaptureAtOnce, Channel: "shop"}
}

func TestTime_AYearLater_KnownSubmittedAndPaidAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 2 * day})
		w.submit(0, atOnce(visa))
		w.At(365*day, "asked about", func() { w.stands("1", order.PhaseClosed, reconcile.Succeeded, reconcile.Agreed) })
		again := w.submit(365*day+time.Hour, atOnce(visa))
		w.At(366*day, "the customer pays once more", func() {
			_, err := w.Payment.Start("1", checkout(visa))
			w.Check(err)
		})
		want := delivered()
		want.Captured, want.Refunded, want.Attempts, want.Mails = 2*9980, 9980, 2, []string{"confirmation"}
		w.ends(370*day, "1", order.PhaseClosed, want)
		if again.Err != nil || again.Phase != order.PhaseClosed || again.Outcome != reconcile.Succeeded {
			t.Errorf("submitted again after a year, the answer is %+v", again)
		}
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
			t.Errorf("the second payment was given back %d times", n)
		}
	})
}

func TestTime_OlderThanOurMemoryAndUnknown_IsACase(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		o := anOrder("1")
		o.PlacedAt = virtual.Start.Add(-365 * day)
		w.submit(0, o)
		var decided *replied
		w.At(time.Hour, "a person decides", func() {
			v := w.Verdict("1")
			if v.Agreement != reconcile.NeedsPerson || len(v.Cases) != 1 {
				t.Fatalf("an unknown order of last year is %s\n%s", v.Agreement, v.Table())
			}
			decided = w.decide("1", v.Cases[0].N, workflows.DecideAccept)
		})
		w.Run(day)
		w.expect("1", untouched())
		w.closedAs("1", order.PhaseFailed)
		w.took("the decision", decided)
	})
}

// Neither payment nor ERP knows it, so that nothing was ever done for it, and no mail
// sent: where nobody can look, it is sent all the same.
func TestTime_OlderThanOurMemoryAndNothingLeftATraceAndNoJournal_ItsMailsAreSent(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{NoJournal: true})
		o := anOrder("1")
		o.PlacedAt = virtual.Start.Add(-2 * time.Hour)
		w.submit(0, o)
		w.Run(5 * day)
		if sent := w.mails("1"); !slices.Equal(sent, []string{"confirmation", "shipped"}) {
			t.Errorf("what went out is %v", sent)
		}
		w.tell("1")
	})
}

// What follows on a confirmation of ours is no mail of before our memory.
func TestTime_OlderThanOurMemoryAndNothingLeftATraceAndNoJournal_CancelledAfterItsConfirmation_IsTold(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{NoJournal: true, Pace: byHand})
		o := anOrder("1")
		o.PlacedAt = virtual.Start.Add(-2 * time.Hour)
		w.submit(0, o)
		w.At(time.Hour, "the customer cancels", func() { w.cancel("1") })
		w.Run(day)
		if sent := w.mails("1"); !slices.Equal(sent, []string{"confirmation", "cancellation"}) {
			t.Errorf("what went out is %v", sent)
		}
		w.tell("1")
	})
}

// A question may have gone out before anything left a trace: where nobody can look, it is
// not sent, and a person asks.
func TestTime_OlderThanOurMemoryAndNothingLeftATraceAndNoJournal_APersonAsks(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		options := noShirt()
		options.NoJournal = true
		w := open(t, options)
		o := anOrder("1")
		o.PlacedAt = virtual.Start.Add(-2 * time.Hour)
		w.submit(0, o)
		w.At(time.Hour, "a person is to ask", func() {
			cases := w.Verdict("1").Cases
			if len(cases) != 1 || cases[0].Step.Break.Field != "mail.send" || !strings.Contains(cases[0].Step.Why, "nobody can say whether the customer was asked") || cases[0].Step.Key != "" {
				t.Errorf("the cases are %+v", cases)
			}
		})
		w.Run(2 * time.Hour)
		if sent := w.mails("1"); len(sent) != 0 {
			t.Errorf("what went out is %v", sent)
		}
	})
}

// What the customer paid at the checkout is no trace of ours either.
func TestTime_OlderThanOurMemoryAndOnlyPaidAtTheCheckoutAndNoJournal_ItsMailsAreSent(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{NoJournal: true})
		o := atOnce("")
		o.PlacedAt = virtual.Start.Add(-20 * time.Second)
		w.At(0, "the customer pays, and its order comes", func() {
			id, err := w.Payment.Start("1", checkout(visa))
			w.Check(err)
			o.Payment.Intent = id
			w.Submit(o)
		})
		w.Run(5 * day)
		if sent := w.mails("1"); !slices.Equal(sent, []string{"confirmation", "shipped"}) {
			t.Errorf("what went out is %v", sent)
		}
		w.tell("1")
	})
}

func TestTime_OlderThanOurMemoryAndPaid_GoesOnWithItsMoney(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.At(0, "it was paid before our memory begins", func() {
			_, err := w.Payment.Start("1", checkout(visa))
			w.Check(err)
		})
		o := atOnce(visa)
		o.PlacedAt = virtual.Start.Add(-3 * day)
		w.submit(time.Minute, o)
		w.ends(5*day, "1", order.PhaseClosed, delivered())
	})
}

func TestTime_PaidAtTheCheckoutBeforeItsOrderCame_NotTwice(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		o := atOnce("")
		w.At(0, "the customer pays", func() {
			id, err := w.Payment.Start("1", checkout(visa))
			w.Check(err)
			o.Payment.Intent = id
		})
		w.At(30*time.Minute, "its order comes", func() { w.Submit(o) })
		w.At(35*time.Minute, "look", func() {
			for _, id := range w.IDs("inbox/") {
				if _, _, open := w.Runs(id); open {
					t.Errorf("with its order there, %s is still open", id)
				}
			}
		})
		w.ends(5*day, "1", order.PhaseClosed, delivered())
	})
}

// continues lets the engine suggest to an order that it continue as new, and
// wakes it when nothing else is under way.
func (w *world) continues(age time.Duration, of order.ID) {
	w.At(age, "the engine suggests to continue", func() { w.SuggestContinue(workflows.OrderWorkflowID(of)) })
	w.At(age+time.Second, "something to look at", func() {
		w.Check(w.Payment.Event([]byte(`{"type":"payment.captured","order":"` + string(of) + `"}`)))
	})
}

func TestTime_HundredsOfMessages_NothingLostAndNothingTwice(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: "mode: auto\nreturn_window: 48h\n"})
		w.submit(0, anOrder("1"))
		var refunds [5]*replied
		for i := range 150 {
			age := 3*time.Hour + time.Duration(i)*time.Minute
			w.At(age, "again and again", func() {
				w.Check(w.Payment.Event([]byte(`{"type":"payment.captured","order":"1","copies":2}`)))
				if i%30 == 10 {
					refunds[i/30] = w.refund("1", fmt.Sprint("r", i), 100)
				}
			})
			if i%10 == 5 {
				w.continues(age+20*time.Second, "1")
			}
		}
		want := refunded(500)
		want.Mails = []string{"confirmation", "shipped", "refund", "refund", "refund", "refund", "refund"}
		state := w.ends(5*day, "1", order.PhaseClosed, want)
		for i, r := range refunds {
			w.took(fmt.Sprint("refund ", i+1), r)
		}
		if _, continued, _ := w.Runs(workflows.OrderWorkflowID("1")); continued < 10 || state.Run <= continued {
			t.Errorf("continued %d times; the last run is number %d", continued, state.Run)
		}
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 5 {
			t.Errorf("money went back %d times", n)
		}
	})
}

func TestTime_ContinuesAsNewInTheMiddleOfEverything_GoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Payment: payment.Settings{RefuseMulticapture: true}})
		for _, age := range []time.Duration{5 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 9 * time.Hour, 11 * time.Hour, 13 * time.Hour} {
			w.continues(age, "1")
		}
		o := paidBy(challenge)
		o.Payment.Multicapture = true
		w.submit(0, o)
		w.At(10*time.Minute, "the customer pays", func() { w.pay("1", 1, payment.Succeeded) })
		w.twoParcels("1")
		var paid *replied
		w.At(5*time.Hour, "a dispute", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
		w.At(8*time.Hour, "it is won", func() {
			w.theCase("1", reconcile.PaymentDisputed)
			w.edit(w.Payment, `{"order":"1","dispute":"won"}`)
		})
		w.At(10*time.Hour, "the customer pays by another card", func() { paid = w.attempt("1", "b", visa) })
		w.leaves(12*time.Hour, "1", newest)
		want := inTwo()
		want.Attempts, want.Mails = 2, []string{"confirmation", "shipped", "question", "shipped"}
		state := w.endsAlike(4*day, "1", order.PhaseClosed, want)
		w.took("the other card", paid)
		if state.Run != 8 {
			t.Errorf("it had %d runs, want 8", state.Run)
		}
	})
}
