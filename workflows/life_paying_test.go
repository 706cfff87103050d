package workflows_test

import (
	"context"
	"slices"
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

// The paths of paying. What must be true in the end is read from the systems.

// paidBy is an order that is paid by a method.
func paidBy(method string) order.Order {
	o := anOrder("1")
	o.Payment.Method = method
	return o
}

// atOnce is an order whose money is taken at once, by a method.
func atOnce(method string) order.Order {
	o := paidBy(method)
	o.Payment.Capture = order.CaptureAtOnce
	return o
}

const (
	visa      = "pm_card_visa"
	challenge = "pm_card_threeDSecure2Required"
	declining = "pm_card_chargeDeclined"
)

func TestPay_BankTakesFiveDaysAndPays_GoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 167 * time.Minute})
		w.submit(0, atOnce("pm_sepa_debit"))
		w.At(4*day, "the bank is still at it", func() {
			w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
			if s := w.story("1"); s.Reserved != 3 || s.Open != 1 || len(s.Shipments) != 0 {
				t.Errorf("while the bank is at it the systems say %+v", s)
			}
		})
		w.At(5*day, "the bank pays", func() { w.pay("1", 1, payment.Succeeded) })
		w.ends(9*day, "1", order.PhaseClosed, delivered())
	})
}

func TestPay_BankTakesFiveDaysAndDoesNotPay_Fails(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 167 * time.Minute})
		w.submit(0, atOnce("pm_sepa_debit"))
		w.At(5*day, "the bank does not pay", func() { w.pay("1", 1, payment.Declined) })
		w.At(5*day+10*time.Minute, "look", func() { w.stands("1", order.PhaseFailed, reconcile.Failed, reconcile.Agreed) })
		if s := w.ends(6*day, "1", order.PhaseFailed, untouched()); s.Failed != "declined" {
			t.Errorf("failed as %q", s.Failed)
		}
	})
}

func TestPay_SubmittedAgainInAChallenge_AnswersTheSameNextStepUntilPaid(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		first := w.submit(0, paidBy(challenge))
		again := w.submit(5*time.Minute, paidBy(challenge))
		w.At(10*time.Minute, "the customer pays", func() { w.pay("1", 1, payment.Succeeded) })
		after := w.submit(11*time.Minute, paidBy(challenge))
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		if first.Err != nil || first.Next == nil || first.Next.ClientSecret == "" || !first.PayUntil.After(virtual.Start) {
			t.Errorf("the first answer is %+v", first)
		}
		if again.Err != nil || again.Next == nil || *again.Next != *first.Next {
			t.Errorf("asked again within the challenge, the answer is %+v", again)
		}
		if after.Err != nil || after.Next != nil || after.Phase != order.PhaseAccepted {
			t.Errorf("asked again after the payment, the answer is %+v", after)
		}
	})
}

func TestPay_InAChallengeAtTheWindowsEnd_GetsOneMoreWindow(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, paidBy(challenge))
		w.At(45*time.Minute, "the customer pays", func() {
			w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
			w.pay("1", 1, payment.Succeeded)
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
	})
}

func TestPay_ChallengeAbandoned_FailsAfterOneMoreWindow(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, paidBy(challenge))
		w.At(20*time.Minute, "the customer leaves", func() { w.pay("1", 1, payment.Abandoned) })
		w.At(58*time.Minute, "look", func() { w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed) })
		w.At(63*time.Minute, "look", func() { w.stands("1", order.PhaseFailed, reconcile.Failed, reconcile.Agreed) })
		if s := w.ends(3*time.Hour, "1", order.PhaseFailed, untouched()); s.Failed != "unpaid" {
			t.Errorf("failed as %q", s.Failed)
		}
	})
}

func TestPay_ChallengeDeclined_FailsAtTheWindowsEnd(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, paidBy(challenge))
		w.At(5*time.Minute, "the proof fails", func() { w.pay("1", 1, payment.Declined) })
		w.At(28*time.Minute, "look", func() { w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed) })
		w.At(33*time.Minute, "look", func() { w.stands("1", order.PhaseFailed, reconcile.Failed, reconcile.Agreed) })
		if s := w.ends(3*time.Hour, "1", order.PhaseFailed, untouched()); s.Failed != "declined" {
			t.Errorf("failed as %q", s.Failed)
		}
	})
}

func TestPay_DeclinedThenAnotherCard_GoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		answer := w.submit(0, paidBy(declining))
		var again, twice, late *replied
		w.At(20*time.Minute, "another card that is declined", func() { again = w.attempt("1", "a", declining) })
		w.At(40*time.Minute, "the window began anew with it", func() {
			w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
			twice = w.attempt("1", "b", visa)
		})
		w.At(41*time.Minute, "the same once more", func() { w.took("the same attempt again", w.attempt("1", "b", visa)) })
		w.At(42*time.Minute, "one too many", func() { late = w.attempt("1", "c", visa) })
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		if answer.Err != nil || answer.Declined == "" || answer.PayUntil.Sub(virtual.Start).Round(time.Minute) != 30*time.Minute {
			t.Errorf("the answer to the submission is %+v", answer)
		}
		if again.Err != nil || again.Declined == "" {
			t.Errorf("the answer to the second card is %+v", again)
		}
		w.took("the third card", twice)
		w.refusedNow("an attempt when it is paid", late)
		for _, pi := range w.attempts("1")[:2] {
			if pi.Status != "canceled" {
				t.Errorf("attempt %s is left %s", pi.ID, pi.Status)
			}
		}
	})
}

func TestPay_PaidInAnotherTab_TheOldOneTakesNoMoney(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, paidBy(challenge))
		w.At(10*time.Minute, "another tab", func() { w.took("the second attempt", w.attempt("1", "b", visa)) })
		w.At(11*time.Minute, "the old tab", func() {
			old := w.attempts("1")[0]
			if err := w.Payment.Pay(old.ID, payment.Succeeded); err == nil || old.Status != "canceled" {
				t.Errorf("a minute after it was paid in another tab, the old one is %s and takes money: %v", old.Status, err)
			}
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
	})
}

func TestPay_PaidTwiceAtTheCheckout_SurplusGoesBackOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(visa))
		w.At(10*time.Minute, "the customer pays once more", func() {
			_, err := w.Payment.Start("1", payment.Checkout{Amount: 9980, Currency: "eur", Method: visa, Capture: order.CaptureAtOnce, Channel: "shop"})
			w.Check(err)
		})
		w.At(20*time.Minute, "look", func() {
			if s := w.story("1"); s.Captured != 2*9980 || s.Refunded != 9980 {
				t.Errorf("ten minutes after the second payment %d are captured and %d given back", s.Captured, s.Refunded)
			}
		})
		want := delivered()
		want.Captured, want.Refunded, want.Attempts = 2*9980, 9980, 2
		w.ends(4*day, "1", order.PhaseClosed, want)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
			t.Errorf("the surplus was given back %d times", n)
		}
	})
}

func TestPay_BothTabsPaidBeforeAnyoneKnew_SurplusGoesBackOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(challenge))
		w.At(5*time.Minute, "another tab", func() { w.attempt("1", "b", challenge) })
		w.At(10*time.Minute, "both are paid while the gateway's notices are held back", func() {
			w.Payment.Frame().HandleNotifications("", simulator.Hold)
			w.pay("1", 1, payment.Succeeded)
			w.pay("1", 2, payment.Succeeded)
		})
		w.At(12*time.Minute, "the notices come", func() { w.Payment.Frame().HandleNotifications("", simulator.Deliver) })
		want := delivered()
		want.Captured, want.Refunded, want.Attempts = 2*9980, 9980, 2
		w.ends(4*day, "1", order.PhaseClosed, want)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
			t.Errorf("the surplus was given back %d times", n)
		}
	})
}

func TestPay_PaidAfterItFailed_ReservedAgainAndGoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(declining))
		w.At(2*time.Hour, "the customer pays a link from an old mail", func() {
			w.stands("1", order.PhaseFailed, reconcile.Failed, reconcile.Agreed)
			if s := w.story("1"); s.Reserved != 0 {
				t.Errorf("a failed order holds stock: %+v", s)
			}
			_, err := w.Payment.Start("1", payment.Checkout{Amount: 9980, Currency: "eur", Method: visa, Capture: order.CaptureAtOnce, Channel: "shop"})
			w.Check(err)
		})
		w.ends(5*day, "1", order.PhaseClosed, delivered())
	})
}

func TestPay_PaidAfterItFailedAndItsStockIsGone_GoesBackOnceWithOneNotice(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Stock: map[string]int{"MUG": 2, "TSHIRT": 1}})
		w.submit(0, atOnce(declining))
		other := anOrder("2")
		w.submit(time.Hour, other)
		w.At(2*time.Hour, "the customer pays a link from an old mail", func() {
			_, err := w.Payment.Start("1", payment.Checkout{Amount: 9980, Currency: "eur", Method: visa, Capture: order.CaptureAtOnce, Channel: "shop"})
			w.Check(err)
		})
		want := story{
			Captured: 9980, Refunded: 9980, Attempts: 1, Levels: map[string]int64{"MUG": 0, "TSHIRT": 0}, OnHand: map[string]int64{"MUG": 0, "TSHIRT": 0},
			Mails: []string{"cancellation"},
		}
		w.ends(4*day, "1", order.PhaseFailed, want)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
			t.Errorf("given back %d times", n)
		}
	})
}

func TestPay_VoidRefusedAndPaidMeanwhile_GoesOnWithTheStockItStillHas(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.inject(w.Payment, simulator.Fault{Operation: order.Void, Kind: simulator.Rejected, Times: 1})
		w.submit(0, paidBy(challenge))
		w.At(62*time.Minute, "it cannot be closed", func() {
			if v := w.Verdict("1"); v.Outcome == reconcile.Failed || v.Phase == order.PhaseFailed {
				t.Errorf("an order whose attempt can still take money is %s, %s", v.Phase, v.Outcome)
			}
			if s := w.story("1"); s.Reserved != 3 {
				t.Errorf("its stock was given up: %+v", s)
			}
			w.pay("1", 1, payment.Succeeded)
		})
		w.ends(5*day, "1", order.PhaseClosed, delivered())
	})
}

func TestPay_CapturedAtOnce_BookedWhenTaken(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(visa))
		w.At(time.Hour, "look", func() {
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			if s := w.story("1"); s.Captured != 9980 || s.Received != 9980 || s.Revenue != 9980 || s.Invoiced != 0 {
				t.Errorf("before it ships the systems say %+v", s)
			}
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
	})
}

func TestPay_CapturedWhenShipped_NotBefore(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "look", func() {
			if s := w.story("1"); s.Held != 9980 || s.Captured+s.Received+s.Revenue != 0 {
				t.Errorf("before it ships the systems say %+v", s)
			}
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
	})
}

// twoParcels lets people split an order: the mugs go first, the shirt three
// hours later.
func (w *world) twoParcels(of order.ID) {
	w.At(30*time.Minute, "split", func() {
		w.edit(w.Warehouse, `{"order":"`+string(of)+`","split":{"lines":[{"sku":"TSHIRT","quantity":1}]}}`)
	})
	w.leaves(2*time.Hour, of, 1)
}

// inTwo is what the systems say of an order that went well in two parcels.
func inTwo() story {
	s := delivered()
	s.Shipments, s.Invoices, s.Mails = []string{"delivered", "delivered"}, 2, []string{"confirmation", "shipped", "shipped"}
	return s
}

func TestPay_MulticaptureGranted_TwoCapturesOfOneAuthorization(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		o := anOrder("1")
		o.Payment.Multicapture = true
		w.submit(0, o)
		w.twoParcels("1")
		w.At(4*time.Hour, "between the parcels", func() {
			if s := w.story("1"); s.Captured != 5500 || s.Held != 4480 || s.Invoiced != 5500 || s.Received != 5500 || s.Revenue != 5500 {
				t.Errorf("between the parcels the systems say %+v", s)
			}
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
		})
		w.leaves(5*time.Hour, "1", 2)
		w.ends(4*day, "1", order.PhaseClosed, inTwo())
		if n := len(w.effects(w.Payment, order.Capture, "1")); n != 2 {
			t.Errorf("captured %d times", n)
		}
	})
}

func TestPay_MulticaptureNotGranted_RestIsAuthorizedAnewWithTheStoredMethod(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Payment: payment.Settings{RefuseMulticapture: true}})
		o := anOrder("1")
		o.Payment.Multicapture, o.Payment.Reusable = true, true
		w.submit(0, o)
		w.twoParcels("1")
		w.At(4*time.Hour, "between the parcels", func() {
			if s := w.story("1"); s.Captured != 5500 || s.Held != 4480 || s.Attempts != 2 {
				t.Errorf("between the parcels the systems say %+v", s)
			}
		})
		w.leaves(5*time.Hour, "1", newest)
		want := inTwo()
		want.Attempts = 2
		got := w.endsAlike(4*day, "1", order.PhaseClosed, want)
		if n := len(w.effects(w.Payment, order.Capture, "1")); n != 2 || len(got.Questions) != 0 {
			t.Errorf("captured %d times, the customer was asked %v", n, got.Questions)
		}
	})
}

// endsAlike is ends for an order whose request may have been taken back and made
// again meanwhile: cancelled shipments do not count.
func (w *world) endsAlike(age time.Duration, of order.ID, phase order.Phase, want story) *workflows.State {
	w.t.Helper()
	w.idle(age-30*time.Minute, of)
	w.Run(age)
	got := w.story(of)
	got.Shipments = append([]string(nil), slices.DeleteFunc(got.Shipments, func(state string) bool { return state == "cancelled" })...)
	w.same(of, want, got)
	return w.closedAs(of, phase)
}

func TestPay_RestCannotBeAuthorized_CustomerPaysByAnotherCard(t *testing.T) {
	t.Parallel()
	for name, reusable := range map[string]bool{"none is stored": false, "the stored one is declined": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand, Payment: payment.Settings{RefuseMulticapture: true, DeclineOffSession: true}})
				o := anOrder("1")
				o.Payment.Multicapture, o.Payment.Reusable = true, reusable
				w.submit(0, o)
				w.twoParcels("1")
				var paid *replied
				w.At(8*time.Hour, "the customer pays by another card", func() {
					if s := w.story("1"); s.Captured != 5500 || s.Held != 0 || !slices.Contains(s.Mails, "question") {
						t.Errorf("while the customer is asked the systems say %+v", s)
					}
					if w.Verdict("1").Question == "" {
						t.Errorf("the verdict does not say what is asked:\n%s", w.Verdict("1").Table())
					}
					paid = w.attempt("1", "b", visa)
				})
				w.leaves(12*time.Hour, "1", newest)
				want := inTwo()
				want.Attempts, want.Mails = 2, []string{"confirmation", "shipped", "question", "shipped"}
				w.endsAlike(4*day, "1", order.PhaseClosed, want)
				w.took("the other card", paid)
			})
		})
	}
}

// Nor does it matter how the customer pays the rest: what a payment link took at once
// pays for it as well as what is held.
func TestPay_RestPaidByALinkThatCapturesAtOnce_PaysForTheRest(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Payment: payment.Settings{RefuseMulticapture: true, DeclineOffSession: true}})
		o := anOrder("1")
		o.Payment.Multicapture = true
		w.submit(0, o)
		w.twoParcels("1")
		w.At(8*time.Hour, "the customer pays by the shop's link", func() {
			_, err := w.Payment.Start("1", payment.Checkout{Amount: 4480, Currency: "eur", Method: visa, Capture: order.CaptureAtOnce, Channel: "shop"})
			w.Check(err)
		})
		w.At(9*time.Hour, "nobody is asked any more", func() {
			if v := w.Verdict("1"); v.Question != "" {
				t.Errorf("still asked:\n%s", v.Table())
			}
		})
		w.leaves(12*time.Hour, "1", newest)
		want := inTwo()
		want.Attempts, want.Mails = 2, []string{"confirmation", "shipped", "question", "shipped"}
		w.endsAlike(4*day, "1", order.PhaseClosed, want)
		w.wentBack(0)
	})
}

func TestPay_RestCannotBeAuthorizedAndNobodyAnswers_RestIsDropped(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Payment: payment.Settings{RefuseMulticapture: true}})
		o := anOrder("1")
		o.Payment.Multicapture = true
		w.submit(0, o)
		w.twoParcels("1")
		w.At(47*time.Hour, "before the deadline", func() {
			if s := w.story("1"); s.Reserved != 1 {
				t.Errorf("before the deadline %d pieces are reserved", s.Reserved)
			}
		})
		want := delivered()
		want.Captured, want.Invoiced, want.Received, want.Revenue = 5500, 5500, 5500, 5500
		want.Levels, want.OnHand = map[string]int64{"MUG": 98, "TSHIRT": 100}, map[string]int64{"MUG": 98, "TSHIRT": 100}
		want.Mails = []string{"confirmation", "shipped", "question"}
		w.endsAlike(5*day, "1", order.PhaseClosed, want)
	})
}

func TestPay_FewerShipAndTheRestIsNotPaid_NotAskedOfTheWarehouse(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Payment: payment.Settings{RefuseMulticapture: true}})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "a part of it leaves", func() { w.edit(w.Warehouse, `{"order":"1","shipped":{"MUG":2}}`) })
		w.At(3*time.Hour, "look", func() {
			if all := w.shipments("1"); len(all) != 1 {
				t.Errorf("the warehouse was asked for what nobody has paid: %+v", all)
			}
			if s := w.story("1"); s.Captured != 5500 || !slices.Contains(s.Mails, "question") {
				t.Errorf("while the customer is asked the systems say %+v", s)
			}
		})
		w.Run(4 * time.Hour)
	})
}

// A question behind another mail that a refusing provider holds up is not asked either: a
// person hears of it while its deadline runs.
func TestPay_QuestionWaitsBehindARefusedMail_APersonAsks(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Payment: payment.Settings{RefuseMulticapture: true}})
		w.submit(0, anOrder("1"))
		w.At(30*time.Minute, "the provider refuses us", func() { w.Mail.DenyRelay(true) })
		w.At(time.Hour, "a part of it leaves", func() { w.edit(w.Warehouse, `{"order":"1","shipped":{"MUG":2}}`) })
		w.At(4*time.Hour, "a person is to ask", func() {
			v := w.Verdict("1")
			if n := w.theCase("1", "mail.send"); n != 1 || !strings.Contains(v.Cases[0].Step.Why, "was not asked") || v.Question == "" || !slices.Equal(w.mails("1"), []string{"confirmation"}) {
				t.Errorf("the mails are %v, and the cases %+v\n%s", w.mails("1"), v.Cases, v.Table())
			}
			w.Mail.DenyRelay(false)
		})
		w.At(6*time.Hour, "it was asked at last", func() {
			if cases, mails := w.Verdict("1").Cases, w.mails("1"); len(cases) != 0 || !slices.Equal(mails, []string{"confirmation", "shipped", "question"}) {
				t.Errorf("the mails are %v, and the cases %+v", mails, cases)
			}
		})
		w.Run(7 * time.Hour)
	})
}

func TestPay_AuthorizationNearItsEnd_RenewedAndTheOldOneVoidedAfter(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, FollowEvery: 167 * time.Minute})
		o := anOrder("1")
		o.Payment.Reusable = true
		w.submit(0, o)
		w.At(6*day-time.Hour, "before the last day", func() {
			if all := w.attempts("1"); len(all) != 1 {
				t.Errorf("a day and an hour before its end there are %d attempts", len(all))
			}
		})
		w.At(6*day+time.Hour, "in the last day", func() {
			all := w.attempts("1")
			if len(all) != 2 || all[0].Status != "canceled" || all[1].Status != "requires_capture" {
				t.Errorf("within the last day the attempts are %+v", all)
			}
			made, voided := w.effects(w.Payment, order.Authorize, "1"), w.effects(w.Payment, order.Void, "1")
			if len(voided) != 1 || voided[0].Seq < made[len(made)-1].Seq {
				t.Errorf("the old authorization was voided before there was a new one: %+v, %+v", voided, made)
			}
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
		})
		w.leaves(8*day, "1", newest)
		want := delivered()
		want.Attempts = 2
		w.ends(11*day, "1", order.PhaseClosed, want)
	})
}

func TestPay_AuthorizationNearItsEndAndNoneStored_CustomerPaysAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, FollowEvery: 167 * time.Minute})
		w.submit(0, anOrder("1"))
		var paid *replied
		w.At(6*day+time.Hour, "the customer pays again", func() {
			if all := w.shipments("1"); len(all) != 1 || all[0].State != "cancelled" {
				t.Errorf("while the customer is asked the shipments are %+v", all)
			}
			paid = w.attempt("1", "b", visa)
		})
		w.leaves(8*day, "1", newest)
		want := delivered()
		want.Attempts, want.Mails = 2, []string{"confirmation", "question", "shipped"}
		w.endsAlike(11*day, "1", order.PhaseClosed, want)
		w.took("the other card", paid)
	})
}

func TestPay_AuthorizationNearItsEndAndNobodyAnswers_FailsAndGivesBack(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, FollowEvery: 167 * time.Minute})
		w.submit(0, anOrder("1"))
		want := untouched()
		want.Attempts, want.Sales, want.Deal = 1, 1, "lost"
		want.Shipments, want.Mails = []string{"cancelled"}, []string{"confirmation", "question", "cancellation"}
		w.ends(9*day, "1", order.PhaseFailed, want)
	})
}

func TestReview_OpenBeforeAcceptance_NothingGoesToTheWarehouse(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[string]story{
		"approved": delivered(),
		"declined": func() story { s := untouched(); s.Attempts, s.Mails = 1, []string{"cancellation"}; return s }(),
	} {
		t.Run(verdict, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				w.submit(0, paidBy("pm_card_riskLevelElevated"))
				w.At(5*time.Hour, "the review is still open", func() {
					w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
					if s := w.story("1"); s.Reserved != 3 || s.Held != 9980 || len(s.Shipments)+len(s.Mails) != 0 {
						t.Errorf("while the review is open the systems say %+v", s)
					}
					w.edit(w.Payment, `{"order":"1","review":"`+verdict+`"}`)
				})
				phase := map[string]order.Phase{"approved": order.PhaseClosed, "declined": order.PhaseFailed}[verdict]
				w.ends(5*day, "1", phase, want)
			})
		})
	}
}

func TestReview_OpenedAfterAcceptance_RequestIsTakenBackUntilItIsDecided(t *testing.T) {
	t.Parallel()
	gone := untouched()
	gone.Attempts, gone.Sales, gone.Deal, gone.Mails = 1, 1, "lost", []string{"confirmation", "cancellation"}
	for verdict, want := range map[string]story{"approved": delivered(), "declined": gone} {
		t.Run(verdict, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				w.submit(0, anOrder("1"))
				w.At(20*time.Minute, "a review is opened", func() { w.edit(w.Payment, `{"order":"1","review":"opened"}`) })
				w.At(5*time.Hour, "the review is still open", func() {
					if all := w.shipments("1"); len(all) != 1 || all[0].State != "cancelled" {
						t.Errorf("while the review is open the shipments are %+v", all)
					}
					w.edit(w.Payment, `{"order":"1","review":"`+verdict+`"}`)
				})
				phase := map[string]order.Phase{"approved": order.PhaseClosed, "declined": order.PhaseFailed}[verdict]
				w.endsAlike(5*day, "1", phase, want)
			})
		})
	}
}

func TestDispute_BeforeShipping_NothingShipsUntilAPersonSaysSo(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(visa))
		w.At(20*time.Minute, "the customer disputes it", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
		var decided *replied
		w.At(5*time.Hour, "a person looks", func() {
			for _, sh := range w.shipments("1") {
				if sh.State != "cancelled" {
					t.Errorf("while the money is in dispute a shipment is %s", sh.State)
				}
			}
			w.stands("1", order.PhaseAccepted, reconcile.InProgress, reconcile.NeedsPerson)
			decided = w.decide("1", w.theCase("1", reconcile.PaymentDisputed), workflows.DecideShip)
		})
		w.At(2*day, "it is won", func() { w.edit(w.Payment, `{"order":"1","dispute":"won"}`) })
		w.endsAlike(5*day, "1", order.PhaseClosed, delivered())
		w.took("the decision", decided)
	})
}

func TestDispute_Won_AsBefore(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(5*time.Hour, "the customer disputes it", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
		var refund *replied
		w.At(6*time.Hour, "a refund is refused while it is open", func() {
			w.theCase("1", reconcile.PaymentDisputed)
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.NeedsPerson)
			refund = w.refund("1", "r", 100)
		})
		w.At(3*day, "it is won", func() { w.edit(w.Payment, `{"order":"1","dispute":"won"}`) })
		w.ends(5*day, "1", order.PhaseClosed, delivered())
		w.refusedNow("a refund of disputed money", refund)
	})
}

// afterDispute is what the systems say when a delivered order's dispute was lost.
func afterDispute() story {
	s := delivered()
	s.Disputed, s.Credited, s.Received, s.Revenue = 9980, 9980, 0, 0
	return s
}

func TestDispute_Lost_IsTheRefund(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(5*time.Hour, "the customer disputes it", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
		w.At(2*day, "it is lost", func() { w.edit(w.Payment, `{"order":"1","dispute":"lost"}`) })
		w.ends(5*day, "1", order.PhaseClosed, afterDispute())
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 0 {
			t.Errorf("money went out a second time, %d times", n)
		}
	})
}

func TestDispute_AfterTheOrderHasClosed_OpensItAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(6*day, "a chargeback", func() {
			if w.Closed("1") == nil {
				t.Error("the order is not closed after six days")
			}
			w.edit(w.Payment, `{"order":"1","dispute":"opened"}`)
		})
		w.At(6*day+time.Hour, "a person looks", func() {
			w.theCase("1", reconcile.PaymentDisputed)
			w.stands("1", order.PhaseClosed, reconcile.Succeeded, reconcile.NeedsPerson)
		})
		w.At(8*day, "it is lost", func() { w.edit(w.Payment, `{"order":"1","dispute":"lost"}`) })
		w.ends(9*day, "1", order.PhaseClosed, afterDispute())
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 0 {
			t.Errorf("money went out a second time, %d times", n)
		}
	})
}

// refunded is what the systems say of a delivered order of which so much was
// given back.
func refunded(amount int64) story {
	s := delivered()
	s.Refunded, s.Credited, s.Received, s.Revenue = amount, amount, 9980-amount, 9980-amount
	return s
}

func TestRefund_ByAPerson_PartThenAllNeverMore(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		var early, part, again, tooMuch, rest, more *replied
		w.At(time.Hour, "before anything is captured", func() { early = w.refund("1", "z", 100) })
		w.At(4*time.Hour, "a part", func() { part = w.refund("1", "a", 1000) })
		w.At(5*time.Hour, "the same again, and too much", func() {
			again, tooMuch = w.refund("1", "a", 1000), w.refund("1", "b", 8981)
		})
		w.At(6*time.Hour, "look", func() {
			if s := w.story("1"); s.Refunded != 1000 || s.Credited != 1000 || s.Received != 8980 || s.Revenue != 8980 {
				t.Errorf("after the first the systems say %+v", s)
			}
		})
		w.At(7*time.Hour, "the rest", func() { rest = w.refund("1", "c", 0) })
		w.At(8*time.Hour, "more", func() { more = w.refund("1", "d", 1) })
		want := refunded(9980)
		want.Mails = []string{"confirmation", "shipped", "refund", "refund"}
		w.ends(5*day, "1", order.PhaseClosed, want)
		w.took("a part", part)
		w.took("the same again", again)
		w.took("the rest", rest)
		w.refusedNow("a refund before the capture", early)
		w.refusedNow("more than is left", tooMuch)
		w.refusedNow("more than everything", more)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 2 {
			t.Errorf("money went back %d times", n)
		}
	})
}

func TestRefund_AfterTheOrderHasClosed_OpensItAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		var part, again *replied
		w.At(6*day, "a part", func() {
			if w.Closed("1") == nil {
				t.Error("the order is not closed after six days")
			}
			part = w.refund("1", "a", 1000)
		})
		w.At(7*day, "the same again", func() { again = w.refund("1", "a", 1000) })
		want := refunded(1000)
		want.Mails = append(want.Mails, "refund")
		w.ends(8*day, "1", order.PhaseClosed, want)
		w.took("a part", part)
		w.took("the same again", again)
	})
}

func TestRefund_FailsLater_IsACase(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Payment: payment.Settings{RefundSettles: 12 * time.Hour}})
		w.submit(0, anOrder("1"))
		var asked, decided *replied
		w.At(4*time.Hour, "a part", func() { asked = w.refund("1", "a", 1000) })
		w.At(5*time.Hour, "it is not final", func() {
			if s := w.story("1"); s.Credited != 0 || s.Received != 9980 || slices.Contains(s.Mails, "refund") {
				t.Errorf("before it is final the systems say %+v", s)
			}
			w.stands("1", order.PhaseShipped, reconcile.InProgress, reconcile.Agreed)
		})
		w.At(10*time.Hour, "the bank sends it back", func() { w.edit(w.Payment, `{"order":"1","refund":"failed"}`) })
		w.At(12*time.Hour, "a person decides", func() {
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.NeedsPerson)
			decided = w.decide("1", w.theCase("1", reconcile.PaymentRefunded), workflows.DecideRepair)
		})
		want := refunded(1000)
		want.Mails = append(want.Mails, "refund")
		w.ends(5*day, "1", order.PhaseClosed, want)
		w.took("the refund", asked)
		w.took("the decision", decided)
		if asked.Pending == "" {
			t.Errorf("a refund that is not final is answered %+v", asked)
		}
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 2 {
			t.Errorf("money was sent back %d times, want once and once more", n)
		}
	})
}

func TestRefund_AcceptedAndGoneAfterwards_IsACaseAndMadeOnceMore(t *testing.T) {
	t.Parallel()
	for name, settles := range map[string]time.Duration{"said to have succeeded": 0, "not final yet": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{ReconcileEvery: time.Hour, Payment: payment.Settings{RefundSettles: settles}})
				w.submit(0, atOnce(visa))
				w.At(30*time.Minute, "taken back", func() {
					w.inject(w.Payment, simulator.Fault{Operation: order.Refund, Kind: simulator.Vanishes})
					w.cancel("1")
				})
				var decided *replied
				w.At(150*time.Minute, "a person decides", func() {
					w.stands("1", order.PhaseCancelling, reconcile.InProgress, reconcile.NeedsPerson)
					if s := w.story("1"); s.Refunded != 0 || s.Received != 9980 || settles > 0 && slices.Contains(s.Mails, "cancellation") {
						t.Errorf("while nothing has gone back the systems say %+v", s)
					}
					decided = w.decide("1", w.theCase("1", reconcile.PaymentRefunded), workflows.DecideRepair)
				})
				want := takenBack()
				want.Captured, want.Refunded, want.Shipments = 9980, 9980, []string{"cancelled"}
				state := w.ends(9*time.Hour, "1", order.PhaseCancelled, want)
				w.took("the decision", decided)
				if n := len(w.effects(w.Payment, order.Refund, "1")); n < 2 || len(state.Cases) != 1 {
					t.Errorf("money was sent back %d times, want once and once more, with %d cases", n, len(state.Cases))
				}
			})
		})
	}
}

func TestRefund_MadeInTheGatewaysDashboard_BooksAndCustomerFollowOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(5*time.Hour, "somebody gives money back by hand", func() { w.edit(w.Payment, `{"order":"1","refunded":2500}`) })
		for i := range 3 {
			w.At(5*time.Hour+time.Duration(i+1)*time.Minute, "the gateway speaks of it again", func() {
				w.Check(w.Payment.Event([]byte(`{"type":"payment.captured","order":"1","copies":2}`)))
			})
		}
		want := refunded(2500)
		want.Mails = append(want.Mails, "refund")
		w.ends(5*day, "1", order.PhaseClosed, want)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 0 {
			t.Errorf("we gave money back %d times", n)
		}
	})
}

func TestPay_PackedAndNobodyPaysAgain_OnePersonIsAskedAndTheCustomerOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, FollowEvery: 167 * time.Minute})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "packed, and left lying", func() { w.work("1", 1, "packed") })
		var decided *replied
		w.At(13*day, "a person lets it go", func() {
			decided = w.decide("1", w.theCase("1", reconcile.WarehouseShipment), workflows.DecideAccept)
		})
		w.At(14*day, "the customer was not asked again", func() {
			if mails := w.story("1").Mails; !slices.Equal(mails, []string{"confirmation", "question"}) {
				t.Errorf("the mails are %v", mails)
			}
		})
		w.leaves(15*day, "1", 1)
		var written *replied
		w.At(16*day+time.Hour, "it is written off", func() {
			written = w.decide("1", w.theCase("1", reconcile.PaymentCaptured), workflows.DecideAccept)
		})
		w.idle(19*day, "1")
		w.Run(20 * day)
		w.took("the decision", decided)
		w.took("the writing off", written)
		w.closedAs("1", order.PhaseClosed)
		if s := w.story("1"); s.Captured != 0 || s.Held != 0 || s.Invoiced != 9980 || !slices.Equal(s.Mails, []string{"confirmation", "question", "shipped"}) {
			t.Errorf("the systems say %+v", s)
		}
	})
}

// A notice is a hint, however well it is signed: what it says of a payment is
// read back, so that one which comes late, or is not true, changes nothing.
func TestPay_NoticeThatIsNotTrue_ReadBackAndNotBelieved(t *testing.T) {
	t.Parallel()
	tell := func(w *world, what string) {
		w.At(10*time.Minute, "the gateway says what is not so", func() {
			w.Check(w.Payment.Event([]byte(`{"type":"` + what + `","order":"1","copies":2}`)))
		})
	}
	t.Run("paid, while the customer is in a challenge", func(t *testing.T) {
		t.Parallel()
		virtual.Bubble(t, func(t *testing.T) {
			w := open(t, virtual.Options{})
			w.submit(0, paidBy(challenge))
			tell(w, "payment.authorized")
			w.At(20*time.Minute, "look", func() { w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed) })
			w.ends(3*time.Hour, "1", order.PhaseFailed, untouched())
		})
	})
	t.Run("failed, when it is paid by now", func(t *testing.T) {
		t.Parallel()
		virtual.Bubble(t, func(t *testing.T) {
			w := open(t, virtual.Options{Pace: byHand})
			w.submit(0, anOrder("1"))
			tell(w, "payment.failed")
			w.At(20*time.Minute, "look", func() {
				w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
				if all := w.shipments("1"); len(all) != 1 || all[0].State != "waiting" {
					t.Errorf("the shipments are %+v", all)
				}
			})
			w.leaves(2*time.Hour, "1", 1)
			w.ends(4*day, "1", order.PhaseClosed, delivered())
		})
	})
}

// While money of an order is in dispute nothing goes back by itself, also not what
// another attempt has taken twice: the bank may give it back too.
func TestDispute_OfOneOfTwoPayments_TheSurplusWaitsForItsEnd(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(challenge))
		w.At(5*time.Minute, "another tab", func() { w.attempt("1", "b", challenge) })
		w.At(10*time.Minute, "both are paid and one is disputed while the gateway's notices are held back", func() {
			w.Payment.Frame().HandleNotifications("", simulator.Hold)
			w.pay("1", 1, payment.Succeeded)
			w.pay("1", 2, payment.Succeeded)
			w.edit(w.Payment, `{"order":"1","attempt":1,"dispute":"opened"}`)
		})
		w.At(12*time.Minute, "the notices come", func() { w.Payment.Frame().HandleNotifications("", simulator.Deliver) })
		w.At(20*time.Hour, "look", func() {
			if n := len(w.effects(w.Payment, order.Refund, "1")); n != 0 {
				t.Errorf("%d refunds while money is in dispute", n)
			}
		})
		w.At(day, "it is won", func() { w.edit(w.Payment, `{"order":"1","attempt":1,"dispute":"won"}`) })
		want := delivered()
		want.Captured, want.Refunded, want.Attempts = 2*9980, 9980, 2
		w.ends(5*day, "1", order.PhaseClosed, want)
	})
}

// What goes back is what the gateway still has, and not what was paid once.
func TestRefund_MadeInTheDashboardBeforeACancellation_OnlyTheRestGoesBack(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, atOnce(visa))
		w.At(10*time.Minute, "somebody gives a part back by hand", func() { w.edit(w.Payment, `{"order":"1","refunded":2500}`) })
		w.At(30*time.Minute, "the customer cancels", func() {
			w.Later(func(ctx context.Context) {
				answer, err := w.Client.Cancel(ctx, "1", workflows.Cancel{By: "customer", Reason: "changed my mind"})
				if err != nil || !answer.Cancelled {
					t.Errorf("the answer is %+v, %v", answer, err)
				}
			})
		})
		w.Run(2 * day)
		if s := w.story("1"); s.Captured != 9980 || s.Refunded != 9980 || s.Reserved != 0 {
			t.Errorf("after the cancellation the systems say %+v", s)
		}
		if all := w.effects(w.Payment, order.Refund, "1"); len(all) != 1 || all[0].Amount != 7480 {
			t.Errorf("we gave back %+v, want 7480 once", all)
		}
		w.closedAs("1", order.PhaseCancelled)
	})
}

func TestPay_PromiseLapsedMeanwhile_PromisedAgainBeforeItGoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(challenge))
		w.lapses("1")
		w.At(17*time.Minute, "look", func() {
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			if s := w.story("1"); s.Reserved != 3 || len(s.Shipments) != 1 {
				t.Errorf("paid, the systems say %+v", s)
			}
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
	})
}

func TestPay_PromiseLapsedAndInventoryCannotBeRead_GoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(challenge))
		w.At(10*time.Minute, "inventory is down", func() {
			w.inject(w.Inventory, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		})
		w.At(16*time.Minute, "the customer pays", func() { w.pay("1", 1, payment.Succeeded) })
		w.At(30*time.Minute, "inventory is back", func() {
			if v := w.Verdict("1"); v.Phase != order.PhaseAccepted {
				t.Errorf("paid for a quarter of an hour, with a promise that nobody took back, it is %s", v.Phase)
			}
			w.Inventory.Frame().Clear("*")
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
	})
}

func TestPay_PromiseLapsedAndSoldToSomebodyElse_CustomerIsAsked(t *testing.T) {
	t.Parallel()
	for _, choose := range []workflows.Choice{workflows.ChooseCancel, workflows.ChooseAmend} {
		t.Run(string(choose), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Stock: map[string]int{"MUG": 10, "TSHIRT": 1}})
				w.submit(0, atOnce(challenge))
				w.lapses("1")
				w.submit(15*time.Minute+30*time.Second, anOrder("2"))
				var answered *replied
				w.At(time.Hour, "the customer answers", func() {
					w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
					if s := w.story("1"); s.Reserved != 2 || len(s.Shipments) != 0 || !slices.Equal(s.Mails, []string{"question"}) {
						t.Errorf("while the customer is asked the systems say %+v", s)
					}
					answered = w.answer("1", "a", choose)
				})
				if choose == workflows.ChooseAmend {
					want := withoutShirt().money(9980, 4480)
					want.Levels, want.OnHand, want.Mails = stock(6, 0), stock(6, 0), []string{"confirmation", "question", "refund", "shipped"}
					w.idle(4*day, "1")
					w.Run(5 * day)
					got := w.story("1")
					slices.Sort(got.Mails) // confirmation and refund are sent at the same moment
					w.same("1", want, got)
					w.closedAs("1", order.PhaseClosed)
				} else {
					want := story{Captured: 9980, Refunded: 9980, Attempts: 1, Levels: stock(8, 0), OnHand: stock(8, 0), Mails: []string{"question", "cancellation"}}
					w.ends(5*day, "1", order.PhaseCancelled, want)
				}
				w.took("the answer", answered)
				if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
					t.Errorf("given back %d times", n)
				}
				w.closedAs("2", order.PhaseClosed)
			})
		})
	}
}

func TestPay_PromiseLapsedInPartAndCancelled_NothingStaysReserved(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Stock: map[string]int{"MUG": 10, "TSHIRT": 1}})
		w.submit(0, atOnce(challenge))
		w.At(15*time.Minute, "the shirt's reservation lapses", func() { w.edit(w.Inventory, `{"order":"1","reserved":{"TSHIRT":0}}`) })
		w.submit(15*time.Minute+30*time.Second, anOrder("2"))
		w.At(16*time.Minute, "the customer pays", func() { w.pay("1", 1, payment.Succeeded) })
		w.At(time.Hour, "and does not want it any more", func() {
			if s := w.story("1"); s.Reserved != 2 || len(s.Shipments) != 0 {
				t.Errorf("while the customer is asked the systems say %+v", s)
			}
			w.cancel("1")
		})
		want := story{Captured: 9980, Refunded: 9980, Attempts: 1, Levels: stock(8, 0), OnHand: stock(8, 0), Mails: []string{"question", "cancellation"}}
		w.ends(5*day, "1", order.PhaseCancelled, want)
		w.closedAs("2", order.PhaseClosed)
	})
}

// lapses lets somebody's program delete an order's reservations while its
// customer proves who they are, who pays a minute later.
func (w *world) lapses(of order.ID) {
	w.At(15*time.Minute, "the reservations lapse", func() { w.edit(w.Inventory, `{"order":"`+string(of)+`","delete":true}`) })
	w.At(16*time.Minute, "the customer pays", func() { w.pay(of, 1, payment.Succeeded) })
}

// Money that was given back before the goods left comes back, for the bank could not
// pay it out: nobody has to say any more what becomes of the goods.
func TestPay_GivenBackBeforeItLeavesAndThatFails_CaseIsOver(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Payment: payment.Settings{RefundSettles: 12 * time.Hour}, Pace: byHand})
		w.submit(0, atOnce(visa))
		w.At(time.Hour, "somebody gives it back", func() { w.edit(w.Payment, `{"order":"1","refunded":9980}`) })
		w.At(3*time.Hour, "the bank sends it back", func() {
			w.theCase("1", reconcile.PaymentRefunded)
			w.edit(w.Payment, `{"order":"1","refund":"failed"}`)
		})
		w.At(5*time.Hour, "look", func() {
			v := w.Verdict("1")
			for _, k := range v.Cases {
				if k.Step.Break.Item == "unshipped" {
					t.Errorf("case %d is open still: %s", k.N, k.Step.Why)
				}
			}
		})
		w.Run(6 * time.Hour)
	})
}
