package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
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
func TestSurplus_RefundFailed_GoesOutAgainByAPersonAlone(t *testing.T) {
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
			virtual.Bubble(t, func(t *testing.T) {
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
			virtual.Bubble(t, func(t *testing.T) {
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
		})
	}
}

// After a dispute that was lost a person says what becomes of another payment that
// was one too many: the bank may give that back as well.
func TestDispute_LostOfASecondPayment_APersonIsAskedAboutTheThird(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
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
	})
}

// Two disputes of one payment are lost, each of a part of it. Each is a refund of its
// own, with a credit note and a receipt.
func TestDispute_LostTwiceOfOnePayment_BooksAddUp(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto})
		w.submit(0, atOnce(visa))
		for n, amount := range []int{3000, 2000} {
			at := time.Duration(30+20*n) * time.Hour
			w.At(at, "a dispute", func() { w.edit(w.Payment, fmt.Sprintf(`{"order":"1","dispute":"opened","amount":%d}`, amount)) })
			w.At(at+10*time.Hour, "it is lost", func() { w.edit(w.Payment, `{"order":"1","dispute":"lost"}`) })
		}
		w.runs(62 * time.Hour)
		w.At(63*time.Hour, "look", func() {
			books, err := w.ERP.Holds("1")
			w.Check(err)
			w.documents("credit notes", books.Credits, "EUR", -3000, -2000)
			w.documents("receipts", books.Receipts, "EUR", 9980, -3000, -2000)
			if s := w.story("1"); s.Owed != 0 || s.Revenue != 4980 {
				t.Errorf("the systems say %+v", s)
			}
			w.wentBack(0)
			w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed)
		})
		w.Run(64 * time.Hour)
	})
}

// What came in another currency pays for nothing and is nothing of the order's money: a
// person is asked, nothing of it is booked or given back by a rule, and what goes back
// at the gateway was no refund of the order.
func TestPay_PaidOnceMoreInAnotherCurrency_NoneOfTheOrdersMoney(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]string{"by itself": allAuto, "a person is asked": asking} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: policy})
				w.submit(0, atOnce(visa))
				w.At(10*time.Minute, "an old tab takes francs", func() {
					_, err := w.Payment.Start("1", payment.Checkout{Amount: 9980, Currency: "chf", Method: visa, Capture: order.CaptureAtOnce, Channel: "shop"})
					w.Check(err)
				})
				w.runs(30 * time.Minute)
				var refused *replied
				w.At(59*time.Minute, "a person would have it given back", func() { refused = w.decide("1", w.open1().N, workflows.DecideRefund) })
				w.At(time.Hour, "a person is asked, and gives it back at the gateway", func() {
					w.wentBack(0)
					if refused.Err == nil {
						t.Errorf("the order's own money was decided to go back: %+v", refused)
					}
					if k := w.open1(); k.Step.Break.Field != reconcile.PaymentAttempts || k.Step.Break.Observed != "9980 CHF" || k.Step.Operation != "" {
						t.Errorf("the case is %+v", k.Step)
					}
					w.edit(w.Payment, `{"order":"1","attempt":2,"refunded":9980}`)
				})
				w.runs(2 * time.Hour)
				w.At(3*time.Hour, "that is all", func() {
					w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
					if s := w.story("1"); s.Received != 9980 || s.Revenue != 9980 || s.Credited != 0 {
						t.Errorf("the systems say %+v", s)
					}
					w.wentBack(0)
				})
				w.Run(4 * time.Hour)
			})
		})
	}
}

// An order that is taken back keeps no money of anybody: what came in another currency
// goes back by a person, and it is not taken back before.
func TestCancel_PaidInAnotherCurrencyToo_NotOverBeforeThatWentBack(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto})
		w.submit(0, atOnce(visa))
		w.At(2*time.Minute, "francs, and it is cancelled", func() {
			_, err := w.Payment.Start("1", payment.Checkout{Amount: 500, Currency: "chf", Method: visa, Capture: order.CaptureAtOnce, Channel: "shop"})
			w.Check(err)
			w.cancel("1")
		})
		w.runs(30 * time.Minute)
		w.At(time.Hour, "its own money is back, the francs are not", func() {
			if v := w.Verdict("1"); v.Phase != order.PhaseCancelling || len(v.Cases) != 1 || v.Cases[0].Step.Break.Observed != "500 CHF" {
				t.Errorf("it is %s with %+v", v.Phase, v.Cases)
			}
			w.wentBack(1)
			w.edit(w.Payment, `{"order":"1","attempt":2,"refunded":500}`)
		})
		w.runs(2 * time.Hour)
		w.At(3*time.Hour, "now it is", func() {
			w.stands("1", order.PhaseCancelled, reconcile.Cancelled, reconcile.Agreed)
			w.wentBack(1)
		})
		w.Run(4 * time.Hour)
	})
}

// only is a policy that lets so much of what was taken twice go back by itself.
func only(limits string) string {
	return "mode: auto\nreturn_window: 240h\nfields:\n  payment.attempts: {mode: auto, " + limits + "}\n"
}

// The limits of the policy are also those of an order that gives a second payment back
// by itself; beyond them a person is asked, once.
func TestPay_PaidTwiceBeyondTheLimits_APersonIsAsked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		limits string
		pays   int // times too often
		sent   int
		says   string
	}{
		"more money":                   {"max_money: 9979", 1, 0, "max_money of payment.attempts"},
		"as much money":                {"max_money: 9980", 1, 1, ""},
		"more money in all":            {"max_money: 19959", 2, 1, "max_money of payment.attempts"},
		"more often":                   {"max_count: 1", 2, 1, "max_count of payment.attempts"},
		"as often, and as much in all": {"max_count: 2, max_money: 19960", 2, 2, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: only(test.limits)})
				w.submit(0, atOnce(visa))
				for n := range test.pays {
					w.paysAgain(time.Duration(n+1) * 10 * time.Minute)
				}
				var decided *replied
				w.At(time.Hour, "look", func() {
					w.wentBack(test.sent)
					if test.says == "" {
						w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
						return
					}
					k := w.open1()
					if k.Step.Break.Field != reconcile.PaymentAttempts || k.Step.Amount != 9980 || !strings.Contains(k.Step.Why, test.says) {
						t.Errorf("the case is %+v", k.Step)
					}
					decided = w.decide("1", k.N, workflows.DecideRepair)
				})
				w.At(2*time.Hour, "decided", func() {
					w.wentBack(test.pays)
					if decided != nil {
						w.took("the decision", decided)
					}
				})
				w.Run(3 * time.Hour)
			})
		})
	}
}

// A switch stops also what an order gives back by itself. A person is asked then, and
// when it is on again the next run gives it back.
func TestPay_PaidTwiceAndSwitchedOff_NothingGoesBackByItself(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"payment", "payment.attempts", "payment.attempts.duplicate"} {
		for _, person := range []bool{false, true} {
			t.Run(kind+map[bool]string{false: ", until it is on", true: ", a person decides"}[person], func(t *testing.T) {
				t.Parallel()
				virtual.Bubble(t, func(t *testing.T) {
					w := open(t, virtual.Options{Policy: allAuto})
					w.submit(0, atOnce(visa))
					stop := reconciliation.Stop{Kind: kind, Off: true, By: "ada", Reason: "look first"}
					if kind == "payment" {
						stop.Kind, stop.System = "", order.SystemPayment
					}
					turn := func(off bool) {
						stop.Off = off
						w.Later(func(ctx context.Context) {
							_, err := w.Client.Switch(ctx, stop)
							w.Check(err)
						})
					}
					w.At(5*time.Minute, "off", func() { turn(true) })
					w.At(6*time.Minute, "the worker reads the switches", w.ReadSwitches)
					w.paysAgain(10 * time.Minute)
					w.runs(30 * time.Minute)
					w.At(time.Hour, "look", func() {
						w.wentBack(0)
						k := w.open1()
						if k.Step.Break.Field != reconcile.PaymentAttempts || !strings.Contains(k.Step.Why, kind+" is stopped") {
							t.Errorf("the case is %+v", k.Step)
						}
						if person {
							w.decide("1", k.N, workflows.DecideRepair)
						} else {
							turn(false)
						}
					})
					w.runs(2 * time.Hour)
					w.At(3*time.Hour, "look again", func() {
						w.wentBack(1)
						w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
					})
					w.Run(4 * time.Hour)
				})
			})
		}
	}
}

// What may have gone back already is seen through, whatever is switched off meanwhile:
// else a person would be asked about money that is on its way.
func TestPay_SwitchedOffWhileASurplusIsInDoubt_SeenThrough(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto})
		w.submit(0, atOnce(visa))
		w.At(9*time.Minute, "answers are lost", func() {
			w.inject(w.Payment, simulator.Fault{Operation: order.Refund, Kind: simulator.ResponseLost, Times: -1})
		})
		w.paysAgain(10 * time.Minute)
		w.At(10*time.Minute+5*time.Second, "off", func() { w.switchOff("payment.attempts") })
		w.At(10*time.Minute+6*time.Second, "the worker reads the switches", w.ReadSwitches)
		w.At(2*time.Hour, "answers come again", func() {
			w.wentBack(1)
			w.Payment.Frame().Clear("*")
		})
		w.At(4*time.Hour, "look", func() {
			w.wentBack(1)
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
			if s := w.story("1"); s.Refunded != 9980 {
				t.Errorf("the systems say %+v", s)
			}
		})
		state := w.ends(20*day, "1", order.PhaseClosed, func() story {
			want := delivered()
			want.Captured, want.Refunded, want.Attempts = 2*9980, 9980, 2
			return want
		}())
		if len(state.Cases) != 0 {
			t.Errorf("the cases are %+v", state.Cases)
		}
	})
}

// decideFor decides a case with an amount.
func (w *world) decideFor(n int, amount int64) *replied {
	return w.wish(func(ctx context.Context) (workflows.Reply, error) {
		asked := by(fmt.Sprint("refund ", n))
		return w.Client.Decide(ctx, "1", workflows.Decide{Asked: asked, Case: n, As: workflows.DecideRefund, Amount: amount})
	})
}

// A person gives back a part of what was taken twice, and then the rest: from the
// attempt that took it. Neither the books nor the CRM have anything to do with it.
func TestSurplus_APersonGivesAPartBack_FromWhatWasTakenTwice(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: asking})
		w.submit(0, atOnce(visa))
		w.paysAgain(10 * time.Minute)
		back := func(want int64) {
			t.Helper()
			if s := w.story("1"); s.Refunded != want || s.Revenue != 9980 || s.Credited != 0 {
				t.Errorf("the systems say %+v; want %d back, of the second payment", s, want)
			}
		}
		var part, more, rest *replied
		w.At(5*time.Hour, "a part", func() { part = w.decideFor(w.theCase("1", reconcile.PaymentAttempts), 5000) })
		w.runs(6 * time.Hour)
		w.At(7*time.Hour, "the rest, and not more", func() {
			back(5000)
			n := w.theCase("1", reconcile.PaymentAttempts)
			if k := w.open1(); k.Step.Amount != 4980 {
				t.Errorf("asked about is %+v", k.Step)
			}
			more = w.decideFor(n, 4981)
		})
		w.At(7*time.Hour+time.Minute, "the rest", func() { rest = w.decideFor(w.theCase("1", reconcile.PaymentAttempts), 4980) })
		w.runs(8 * time.Hour)
		w.At(9*time.Hour, "all of it is back", func() {
			back(9980)
			w.took("the part", part)
			w.took("the rest", rest)
			if more.Err == nil && more.Refused == "" {
				t.Errorf("more than was taken twice was given back: %+v", more)
			}
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
		})
		w.Run(10 * time.Hour)
	})
}

// Of a second payment a part went back, and the first one is let go before the goods
// leave: what is left of the second pays, and the customer is asked for the rest.
func TestSurplus_APartWentBack_TheRestPaysAndTheCustomerIsAskedForThePart(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Policy: asking})
		w.submit(0, anOrder("1"))
		w.paysAgain(10 * time.Minute)
		var part, paid *replied
		w.At(time.Hour, "a part goes back", func() { part = w.decideFor(w.theCase("1", reconcile.PaymentAttempts), 5000) })
		w.At(2*time.Hour, "the first payment is let go at the gateway", func() { w.edit(w.Payment, `{"order":"1","attempt":1,"void":true}`) })
		w.At(3*time.Hour, "the customer pays what is missing", func() {
			if s := w.story("1"); !slices.Equal(s.Mails, []string{"confirmation", "question"}) || s.Credited != 0 {
				t.Errorf("the systems say %+v", s)
			}
			paid = w.attempt("1", "c", visa)
		})
		w.At(4*time.Hour, "it is held", func() {
			if s := w.story("1"); s.Captured != 9980 || s.Refunded != 5000 || s.Held != 5000 {
				t.Errorf("the systems say %+v; want 5000 held beside the 4980 that are left", s)
			}
		})
		w.leaves(5*time.Hour, "1", newest)
		want := delivered()
		want.Captured, want.Refunded, want.Attempts = 9980+5000, 5000, 3
		want.Shipments = []string{"cancelled", "delivered"} // it was taken back from the warehouse until it was paid for
		want.Mails = []string{"confirmation", "question", "shipped"}
		w.ends(6*day, "1", order.PhaseClosed, want)
		w.took("the part", part)
		w.took("the customer's attempt", paid)
	})
}

// What somebody let stand stays where it is while a refund of it is on its way: the two
// would be of two minds.
func TestSurplus_DecidedWhileARunGivesItBack_Refused(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: only("max_count: 1")})
		w.submit(0, atOnce(visa))
		w.paysAgain(10 * time.Minute)
		w.paysAgain(20 * time.Minute)
		var decided *replied
		w.At(time.Hour, "the gateway takes no writes", func() {
			w.inject(w.Payment, simulator.Fault{Operation: order.Refund, Kind: simulator.Unavailable, Times: 5})
		})
		for n := range 60 {
			w.At(time.Hour+time.Minute+time.Duration(n)*5*time.Second, "switches are read", w.ReadSwitches)
		}
		w.runs(time.Hour + time.Minute)
		w.At(time.Hour+time.Minute+20*time.Second, "let it stand", func() { decided = w.decide("1", w.open1().N, workflows.DecideAccept) })
		w.At(2*time.Hour, "the run has given it back", func() {
			w.wentBack(2)
			if decided.Err == nil && !strings.Contains(decided.Refused, "being repaired just now") {
				t.Errorf("the decision is answered %+v", decided)
			}
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
		})
		w.Run(3 * time.Hour)
	})
}

// The gateway refuses a refund, for the money is in dispute, and nobody here has heard
// of that. It waits for the end of the dispute, like what was decided since.
func TestDispute_HeardOfAfterARefundWasRefused_GoesBackWhenItIsWon(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto})
		w.submit(0, atOnce(visa))
		var asked *replied
		w.At(30*time.Hour, "a dispute of which no notice comes, and a refund", func() {
			w.Payment.Frame().HandleNotifications("", simulator.Hold)
			w.edit(w.Payment, `{"order":"1","dispute":"opened"}`)
			asked = w.refund("1", "a", 1000)
		})
		w.At(32*time.Hour, "the refund waits", func() {
			w.Payment.Frame().HandleNotifications("", simulator.Deliver)
			if asked.Err != nil || asked.Refused != "" || !strings.Contains(asked.Pending, "in dispute") {
				t.Errorf("who asked for the refund is told %+v; it waits", asked)
			}
			w.wentBack(0)
			w.theCase("1", reconcile.PaymentDisputed)
		})
		w.At(60*time.Hour, "it is won", func() { w.edit(w.Payment, `{"order":"1","dispute":"won"}`) })
		w.At(61*time.Hour, "and goes back", func() {
			w.wentBack(1)
			if s := w.story("1"); s.Refunded != 1000 {
				t.Errorf("the systems say %+v", s)
			}
			w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed)
		})
		w.Run(62 * time.Hour)
	})
}

// caseAbout returns within a step the number of the open case about a field.
func (w *world) caseAbout(of order.ID, field reconcile.Field) int {
	w.t.Helper()
	for _, k := range w.Verdict(of).Cases {
		if k.Step.Break.Field == field {
			return k.N
		}
	}
	w.t.Errorf("%s after the start no case of order %s is about %s", w.Age(), of, field)
	return 0
}

// A dispute leaves a part of the money out of it, and the gateway refuses to give even
// that back while it is open. It is asked once, and again when the dispute is won.
func TestDispute_OfAPart_ARefundThatIsRefusedWaitsForItsEnd(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto})
		w.submit(0, atOnce(visa))
		w.At(4*time.Hour, "a part goes back", func() { w.refund("1", "a", 1000) })
		w.At(30*time.Hour, "the rest is in dispute", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
		w.At(31*time.Hour, "the bank sends the part back", func() { w.edit(w.Payment, `{"order":"1","refund":"failed"}`) })
		w.At(32*time.Hour, "a person has it sent again", func() { w.decide("1", w.caseAbout("1", reconcile.PaymentRefunded), workflows.DecideRepair) })
		w.At(34*time.Hour, "it waits", func() {
			if n := w.requests(w.Payment, order.Refund, "1"); n != 2 {
				t.Errorf("the gateway was asked %d times for a refund, want 2", n)
			}
			w.theCase("1", reconcile.PaymentDisputed)
		})
		w.At(60*time.Hour, "it is won", func() { w.edit(w.Payment, `{"order":"1","dispute":"won"}`) })
		w.At(61*time.Hour, "and goes back", func() {
			w.wentBack(2)
			if s := w.story("1"); s.Refunded != 1000 {
				t.Errorf("the systems say %+v", s)
			}
			w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed)
		})
		w.Run(62 * time.Hour)
	})
}

// A refund that was stopped when it may have got through, and had, is a refund: nobody
// is asked about it, and nothing goes back a second time.
func TestSurplus_OfAPayer_StoppedAfterItGotThrough_IsTakenForDone(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Policy: allAuto, Payment: payment.Settings{RefuseMulticapture: true}})
		w.submit(0, anOrder("1"))
		w.twoParcels("1")
		w.At(5*time.Hour, "off", func() { w.switchOff("payment.attempts") })
		w.At(5*time.Hour+time.Minute, "read", w.ReadSwitches)
		w.At(6*time.Hour, "the customer pays for all of it again", func() {
			_, err := w.Payment.Start("1", payment.Checkout{Amount: 9980, Currency: "eur", Method: visa, Channel: "shop"})
			w.Check(err)
		})
		w.At(7*time.Hour, "somebody captures it whole", func() { w.edit(w.Payment, `{"order":"1","captured":15480}`) })
		w.At(8*time.Hour, "on, and an answer is lost", func() {
			if k := w.open1(); k.Step.Break.Field != reconcile.PaymentAttempts {
				t.Errorf("the case is %+v", k.Step)
			}
			w.switchOn("payment.attempts")
			w.inject(w.Payment, simulator.Fault{Operation: order.Refund, Kind: simulator.ResponseLost})
		})
		w.At(8*time.Hour+time.Minute, "read", w.ReadSwitches)
		w.runAt(9*time.Hour, workflows.ReconcileInput{})
		w.stopsWhile(9*time.Hour, w.Payment, "payment.attempts")
		w.runs(11 * time.Hour)
		w.At(12*time.Hour, "it is known", func() {
			w.wentBack(1)
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
		})
		w.Run(13 * time.Hour)
	})
}

// A refund of a second payment failed, and a person has a part of it sent again: the
// rest is let stand, and nobody is asked about it for ever.
func TestSurplus_RefundFailed_APartIsSentAgainAndTheRestStays(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto, Payment: payment.Settings{RefundSettles: 12 * time.Hour}})
		w.submit(0, atOnce(visa))
		w.paysAgain(10 * time.Minute)
		var more, part *replied
		w.At(5*time.Hour, "the bank sends the refund back", func() { w.edit(w.Payment, `{"order":"1","refund":"failed"}`) })
		w.At(7*time.Hour, "more than it took", func() { more = w.decideFor(w.theCase("1", reconcile.PaymentRefunded), 9981) })
		w.At(7*time.Hour+time.Minute, "a part", func() { part = w.decideFor(w.theCase("1", reconcile.PaymentRefunded), 5000) })
		w.runs(22 * time.Hour)
		w.runs(23 * time.Hour)
		w.At(24*time.Hour, "look", func() {
			w.took("the part", part)
			if more.Err == nil {
				t.Errorf("more was given back than was taken twice: %+v", more)
			}
			w.wentBack(2)
			if s := w.story("1"); s.Refunded != 5000 || s.Revenue != 9980 || s.Credited != 0 {
				t.Errorf("the systems say %+v", s)
			}
			if v := w.Verdict("1"); v.Agreement != reconcile.Agreed {
				t.Errorf("it is %s", v.Table())
			}
		})
		w.Run(25 * time.Hour)
	})
}

// A person who decides about what was taken beyond the total may give more back: what goes
// beyond the surplus is of the order's own money, so it is credited and told of, and the
// goods are paid for as before.
func TestSurplus_APersonGivesMoreThanTheSurplus_TheRestIsGoodwill(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Policy: asking, Payment: payment.Settings{RefuseMulticapture: true}})
		w.submit(0, anOrder("1"))
		w.twoParcels("1")
		w.At(6*time.Hour, "the customer pays for all of it again", func() {
			_, err := w.Payment.Start("1", payment.Checkout{Amount: 9980, Currency: "eur", Method: visa, Channel: "shop"})
			w.Check(err)
		})
		w.At(7*time.Hour, "somebody captures it whole", func() { w.edit(w.Payment, `{"order":"1","captured":15480}`) })
		w.leaves(9*time.Hour, "1", newest)
		var decided *replied
		w.At(14*time.Hour, "55.00 were taken twice, and 75.00 go back", func() {
			n := w.theCase("1", reconcile.PaymentAttempts)
			if k := w.open1(); k.Step.Amount != 5500 {
				t.Errorf("asked about is %+v", k.Step)
			}
			decided = w.decideFor(n, 7500)
		})
		w.runs(16 * time.Hour)
		w.At(17*time.Hour, "look", func() {
			w.took("the decision", decided)
			if s := w.story("1"); s.Refunded != 7500 || s.Credited != 2000 || !slices.Contains(s.Mails, "refund") {
				t.Errorf("the systems say %+v", s)
			}
			if v := w.Verdict("1"); len(v.Cases) != 0 || v.Agreement != reconcile.Agreed {
				t.Errorf("it is %s", v.Table())
			}
		})
		w.Run(18 * time.Hour)
	})
}
