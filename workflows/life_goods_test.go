package workflows_test

import (
	"context"
	"errors"
	"slices"

	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// The paths of goods: not all there, in several parcels, split, lost, sent back,
// readdressed, dropped, corrected by hand. What must be true in the end is read
// from the systems.

func (w *world) answer(of order.ID, id string, choice workflows.Choice) *replied {
	return w.wish(func(ctx context.Context) (workflows.Reply, error) {
		return w.Client.Answer(ctx, of, workflows.Answer{Asked: by(id), Choice: choice})
	})
}

func (w *world) amend(of order.ID, a workflows.Amend) *replied {
	return w.wish(func(ctx context.Context) (workflows.Reply, error) { return w.Client.Amend(ctx, of, a) })
}

func (w *world) sendBack(of order.ID, id string, lines ...order.Quantity) *replied {
	return w.wish(func(ctx context.Context) (workflows.Reply, error) {
		return w.Client.Return(ctx, of, workflows.Return{Asked: by(id), Lines: lines})
	})
}

// endsWith is ends for an order whose mails went out in no order that matters.
func (w *world) endsWith(age time.Duration, of order.ID, phase order.Phase, want story) *workflows.State {
	w.t.Helper()
	w.idle(age-30*time.Minute, of)
	w.Run(age)
	got := w.story(of)
	slices.Sort(got.Mails)
	slices.Sort(want.Mails)
	w.same(of, want, got)
	return w.closedAs(of, phase)
}

// pieces is so many pieces of a line of the order.
func pieces(line int, n int64) order.Quantity { return order.Quantity{Line: line, Quantity: n} }

// stock is what both inventory and the warehouse say of mugs and shirts.
func stock(mugs, shirts int64) map[string]int64 {
	return map[string]int64{"MUG": mugs, "TSHIRT": shirts}
}

// money says how an order went whose goods were worth so much in the end.
func (s story) money(captured, refunded int64) story {
	s.Captured, s.Refunded = captured, refunded
	s.Received, s.Revenue = captured-refunded, captured-refunded
	return s
}

// mugsOnly is what the systems say of an order whose shirt was never there.
func mugsOnly() story {
	s := delivered().money(5500, 0)
	s.Levels, s.OnHand, s.Invoiced = stock(8, 0), stock(8, 0), 5500
	s.Mails = []string{"question", "confirmation", "shipped"}
	return s
}

// noShirt is a world with ten mugs and no shirt.
func noShirt() virtual.Options {
	return virtual.Options{Stock: map[string]int{"MUG": 10, "TSHIRT": 0}}
}

func TestStock_NotAllThereAndCustomerAmends_WhatIsThereShips(t *testing.T) {
	t.Parallel()
	for name, capture := range map[string]order.CaptureMode{"captured when it ships": order.CaptureOnShip, "captured at once": order.CaptureAtOnce} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, noShirt())
				o := anOrder("1")
				o.Payment.Capture = capture
				answer := w.submit(0, o)
				var amended, late *replied
				w.At(time.Hour, "the customer amends", func() {
					w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
					if s := w.story("1"); s.Reserved != 2 || len(s.Shipments) != 0 {
						t.Errorf("while the customer is asked the systems say %+v", s)
					}
					amended = w.answer("1", "a", workflows.ChooseAmend)
				})
				w.At(2*time.Hour, "and answers again", func() { late = w.answer("1", "b", workflows.ChooseCancel) })
				want := mugsOnly()
				if capture == order.CaptureAtOnce {
					want = want.money(9980, 4480)
					want.Mails = []string{"question", "refund", "confirmation", "shipped"}
				}
				w.endsWith(4*day, "1", order.PhaseClosed, want)
				w.took("the answer", amended)
				w.refusedNow("a second answer", late)
				if answer.Err != nil || answer.Question == nil || answer.Question.Kind != workflows.AskAboutStock {
					t.Errorf("the answer to the submission is %+v", answer)
				}
				if n := len(w.effects(w.Payment, order.Refund, "1")); capture == order.CaptureAtOnce && n != 1 {
					t.Errorf("given back %d times", n)
				}
			})
		})
	}
}

func TestStock_NotAllThereAndCustomerWaits_GoesOnWhenItCame(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, noShirt())
		w.submit(0, anOrder("1"))
		var waits *replied
		w.At(time.Hour, "the customer waits", func() { waits = w.answer("1", "a", workflows.ChooseWait) })
		w.At(60*time.Hour, "past the deadline of the question", func() {
			w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
			if s := w.story("1"); s.Reserved != 2 || len(s.Shipments) != 0 {
				t.Errorf("while the customer waits the systems say %+v", s)
			}
			w.edit(w.Warehouse, `{"sku":"TSHIRT","on_hand":5,"reason":"delivered"}`)
			w.edit(w.Inventory, `{"sku":"TSHIRT","stocked":5}`)
		})
		w.At(62*time.Hour, "the shirt came", func() { w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed) })
		want := delivered()
		want.Levels, want.OnHand, want.Mails = stock(8, 4), stock(8, 4), []string{"question", "confirmation", "shipped"}
		w.ends(7*day, "1", order.PhaseClosed, want)
		w.took("the answer", waits)
	})
}

func TestStock_WaitsLongerThanItsAuthorizationLives_AuthorizedAnewAndGoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		o := noShirt()
		o.FollowEvery = 167 * time.Minute
		w := open(t, o)
		ordered := anOrder("1")
		ordered.Payment.Reusable = true
		w.submit(0, ordered)
		w.At(time.Hour, "the customer waits", func() { w.answer("1", "a", workflows.ChooseWait) })
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
			w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
		})
		w.At(9*day, "the shirt comes", func() {
			w.edit(w.Warehouse, `{"sku":"TSHIRT","on_hand":5,"reason":"delivered"}`)
			w.edit(w.Inventory, `{"sku":"TSHIRT","stocked":5}`)
		})
		want := delivered()
		want.Attempts, want.Levels, want.OnHand, want.Mails = 2, stock(8, 4), stock(8, 4), []string{"question", "confirmation", "shipped"}
		w.ends(14*day, "1", order.PhaseClosed, want)
	})
}

func TestStock_WaitedForAndOnlyTheWarehouseKnowsThatItCame_GoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		o := noShirt()
		o.ReconcileEvery = time.Hour
		w := open(t, o)
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "the customer waits", func() { w.answer("1", "a", workflows.ChooseWait) })
		w.At(20*time.Hour, "the shirt comes", func() { w.edit(w.Warehouse, `{"sku":"TSHIRT","on_hand":5,"reason":"delivered"}`) })
		want := delivered()
		want.Levels, want.OnHand, want.Mails = stock(8, 4), stock(8, 4), []string{"question", "confirmation", "shipped"}
		w.ends(5*day, "1", order.PhaseClosed, want)
	})
}

func TestStock_WaitsLongerThanItsAuthorizationLivesAndNoneStored_CustomerPaysAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		o := noShirt()
		o.FollowEvery = 167 * time.Minute
		w := open(t, o)
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "the customer waits", func() { w.answer("1", "a", workflows.ChooseWait) })
		var paid *replied
		w.At(6*day+time.Hour, "the customer is asked and pays again", func() {
			w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
			if w.Verdict("1").Question == "" {
				t.Errorf("the verdict does not say what is asked:\n%s", w.Verdict("1").Table())
			}
			paid = w.attempt("1", "b", visa)
		})
		w.At(9*day, "the shirt comes", func() {
			w.edit(w.Warehouse, `{"sku":"TSHIRT","on_hand":5,"reason":"delivered"}`)
			w.edit(w.Inventory, `{"sku":"TSHIRT","stocked":5}`)
		})
		want := delivered()
		want.Attempts, want.Levels, want.OnHand = 2, stock(8, 4), stock(8, 4)
		want.Mails = []string{"question", "question", "confirmation", "shipped"}
		w.ends(14*day, "1", order.PhaseClosed, want)
		w.took("the other card", paid)
	})
}

func TestStock_WaitsLongerThanItsAuthorizationLivesAndNobodyPaysAgain_FailsAndHoldsNothing(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]bool{"the gateway says that it died": false, "the notice is lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				o := noShirt()
				o.FollowEvery = 167 * time.Minute
				w := open(t, o)
				w.submit(0, anOrder("1"))
				w.At(time.Hour, "the customer waits", func() { w.answer("1", "a", workflows.ChooseWait) })
				w.At(6*day+time.Hour, "the customer is asked", func() {
					w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
					if held {
						w.Payment.Frame().HandleNotifications("", simulator.Drop)
					}
				})
				w.At(7*day+12*time.Hour, "it has died, and the customer has time left", func() {
					w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
				})
				want := untouched()
				want.Attempts, want.Levels, want.OnHand, want.Mails = 1, stock(10, 0), stock(10, 0), []string{"question", "question", "cancellation"}
				if s := w.ends(10*day, "1", order.PhaseFailed, want); s.Failed != "unpaid" {
					t.Errorf("failed as %q", s.Failed)
				}
			})
		})
	}
}

func TestStock_NotAllThereAndCustomerCancels_NothingIsHeld(t *testing.T) {
	t.Parallel()
	for name, capture := range map[string]order.CaptureMode{"captured when it ships": order.CaptureOnShip, "captured at once": order.CaptureAtOnce} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, noShirt())
				o := anOrder("1")
				o.Payment.Capture = capture
				w.submit(0, o)
				var cancelled *replied
				w.At(time.Hour, "the customer cancels", func() { cancelled = w.answer("1", "a", workflows.ChooseCancel) })
				w.At(2*time.Hour, "look", func() {
					if w.Closed("1") == nil {
						w.stands("1", order.PhaseCancelled, reconcile.Cancelled, reconcile.Agreed)
					}
				})
				want := story{Attempts: 1, Levels: stock(10, 0), OnHand: stock(10, 0), Mails: []string{"question", "cancellation"}}
				if capture == order.CaptureAtOnce {
					want.Captured, want.Refunded = 9980, 9980
				}
				w.ends(2*day, "1", order.PhaseCancelled, want)
				w.took("the answer", cancelled)
			})
		})
	}
}

func TestStock_NotAllThereAndNobodyAnswers_WhatIsThereShips(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, noShirt())
		w.submit(0, atOnce(visa))
		w.At(47*time.Hour, "before the deadline", func() {
			w.stands("1", order.PhasePaying, reconcile.InProgress, reconcile.Agreed)
			if s := w.story("1"); s.Refunded != 0 || len(s.Shipments) != 0 {
				t.Errorf("before the deadline the systems say %+v", s)
			}
		})
		w.At(49*time.Hour, "after the deadline", func() {
			if s := w.story("1"); s.Refunded != 4480 {
				t.Errorf("an hour after the deadline %d are given back", s.Refunded)
			}
		})
		want := mugsOnly().money(9980, 4480)
		want.Mails = []string{"question", "refund", "confirmation", "shipped"}
		w.endsWith(6*day, "1", order.PhaseClosed, want)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
			t.Errorf("given back %d times", n)
		}
	})
}

// A question that does not reach the customer has a deadline all the same, and what
// is done without an answer was not their wish. A person is told, and it is over when
// the question is, or when it is asked after all.
func TestStock_QuestionIsRefused_APersonAsks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		times     int
		noJournal bool
	}{
		"the customer answers by telephone":               {-1, false},
		"the address is mended and it is asked once more": {1, false},
		"mended, and nobody could look for the mail":      {1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				times, o := c.times, noShirt()
				o.NoJournal = c.noJournal
				w := open(t, o)
				w.inject(w.Mail, simulator.Fault{Operation: order.Send, Kind: simulator.Rejected, Order: "1", Times: times})
				w.submit(0, anOrder("1"))
				var again, answered *replied
				w.At(time.Hour, "a person is to ask", func() {
					cases := w.Verdict("1").Cases
					if len(cases) != 1 || cases[0].Step.Break.Field != "mail.send" || !strings.Contains(cases[0].Step.Why, "was not asked") {
						t.Fatalf("the cases are %+v", cases)
					}
					if times > 0 {
						again = w.decide("1", cases[0].N, workflows.DecideRepair)
					}
				})
				w.At(2*time.Hour, "the customer answers", func() {
					if n := len(w.Verdict("1").Cases); n != 1 && times < 0 || n != 0 && times > 0 {
						t.Errorf("%d cases are open", n)
					}
					answered = w.answer("1", "a", workflows.ChooseAmend)
				})
				w.At(2*time.Hour+time.Minute, "nothing is to be asked any more", func() {
					if cases := w.Verdict("1").Cases; len(cases) != 0 {
						t.Errorf("the cases are %+v", cases)
					}
				})
				want := mugsOnly()
				if times < 0 {
					want.Mails = nil
				}
				w.endsWith(4*day, "1", order.PhaseClosed, want)
				w.took("the answer", answered)
				if times > 0 {
					w.took("the decision", again)
				}
			})
		})
	}
}

// A provider that refuses us, and no address, may take the mail at last; until then the
// customer was not asked, and a person hears of it while the deadline runs.
func TestStock_QuestionIsHeldUpByARefusingProvider_APersonHears(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, noShirt())
		w.At(0, "the provider refuses us", func() { w.Mail.DenyRelay(true) })
		w.submit(time.Second, anOrder("1"))
		w.At(2*time.Hour, "a person is to ask", func() {
			cases := w.Verdict("1").Cases
			if len(cases) != 1 || cases[0].Step.Break.Field != "mail.send" || !strings.Contains(cases[0].Step.Break.Observed, "554 5.7.1") {
				t.Errorf("the cases are %+v", cases)
			}
			w.Mail.DenyRelay(false)
		})
		w.At(4*time.Hour, "it was sent", func() {
			if cases := w.Verdict("1").Cases; len(cases) != 0 || !slices.Equal(w.mails("1"), []string{"question"}) {
				t.Errorf("the mails are %v, and the cases %+v", w.mails("1"), cases)
			}
		})
		w.Run(5 * time.Hour)
	})
}

// Who was told that the customer was not asked decides what becomes of it, once, and no
// journal has to be read for that.
func TestStock_QuestionIsHeldUpAndAPersonHasAsked_NobodyIsToldAgain(t *testing.T) {
	t.Parallel()
	for name, noJournal := range map[string]bool{"with a journal": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				o := noShirt()
				o.NoJournal = noJournal
				w := open(t, o)
				w.At(0, "the provider refuses us", func() { w.Mail.DenyRelay(true) })
				w.submit(time.Second, anOrder("1"))
				var decided *replied
				w.At(2*time.Hour, "a person has asked", func() { decided = w.decide("1", w.theCase("1", "mail.send"), workflows.DecideByHand) })
				w.At(30*time.Hour, "nobody is told again", func() {
					if v := w.Verdict("1"); len(v.Cases) != 0 || v.Question == "" {
						t.Errorf("the cases are %+v\n%s", v.Cases, v.Table())
					}
				})
				w.Run(31 * time.Hour)
				w.took("the decision", decided)
			})
		})
	}
}

func TestStock_TwoOrdersForTheLastUnit_OneShipsTheOtherIsAsked(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Stock: map[string]int{"MUG": 3, "TSHIRT": 5}, Policy: "mode: auto\nreturn_window: 24h\nanswer_within: 4h\n"})
		w.At(0, "two orders at once", func() { w.Submit(anOrder("1")); w.Submit(anOrder("2")) })
		w.idle(3*day, "1")
		w.idle(3*day+time.Hour, "2")
		w.Run(4 * day)
		whole, rest := w.story("1"), w.story("2")
		if rest.Captured > whole.Captured {
			whole, rest = rest, whole
		}
		// Mugs are 25.00 each, shipping 5.00: two and a shirt went to the one, one and
		// a shirt to the other, who did not answer.
		want := delivered()
		want.Levels, want.OnHand = stock(0, 3), stock(0, 3)
		w.same("1", want, whole)
		want = want.money(7480, 0)
		want.Invoiced, want.Mails = 7480, []string{"question", "confirmation", "shipped"}
		w.same("2", want, rest)
		w.closedAs("1", order.PhaseClosed)
		w.closedAs("2", order.PhaseClosed)
	})
}

// granted is an order whose gateway allows several captures of its money.
func granted() order.Order {
	o := anOrder("1")
	o.Payment.Multicapture = true
	return o
}

func TestParcel_WarehouseShipsFewer_RestIsRequestedAnew(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, granted())
		w.At(90*time.Minute, "the shirt stays behind", func() {
			w.edit(w.Warehouse, `{"order":"1","lines":[{"sku":"MUG","quantity":2}],"state":"shipped"}`)
		})
		w.At(3*time.Hour, "between the parcels", func() {
			all := w.shipments("1")
			if len(all) != 2 || all[1].Key != "order/1/request/2" || len(all[1].Lines) != 1 || all[1].Lines[0].SKU != "TSHIRT" {
				t.Errorf("between the parcels the shipments are %+v", all)
				return
			}
			if s := w.story("1"); s.Captured != 5500 || s.Held != 4480 || s.Invoiced != 5500 || s.Reserved != 1 {
				t.Errorf("between the parcels the systems say %+v", s)
			}
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			if text := w.text("1", reconcile.MailShipped, 1); !strings.Contains(text, "TSHIRT") || !strings.Contains(text, follows) {
				t.Errorf("the first notice does not say what follows:\n%s", text)
			}
		})
		w.At(28*time.Hour, "the first arrives", func() { w.work("1", 1, "delivered") })
		w.leaves(4*time.Hour, "1", 2)
		w.ends(4*day, "1", order.PhaseClosed, inTwo())
		if n := len(w.effects(w.Payment, order.Capture, "1")); n != 2 {
			t.Errorf("captured %d times", n)
		}
		if text := w.text("1", reconcile.MailShipped, 2); strings.Contains(text, "MUG") || strings.Contains(text, follows) {
			t.Errorf("the second notice tells of what left before, or that more follows:\n%s", text)
		}
	})
}

// follows is what a notice of one parcel says of the others.
const follows = "The rest follows"

// text returns the words of a mail that the customer has.
func (w *world) text(of order.ID, template reconcile.Template, occasion int) string {
	w.t.Helper()
	all, err := w.Mail.Messages(of)
	w.Check(err)
	for _, m := range all {
		if m.Template == string(template) && m.Occasion == occasion {
			return m.Raw
		}
	}
	w.t.Errorf("%s after the start order %s has no mail %s %d", w.Age(), of, template, occasion)
	return ""
}

func TestParcel_RequestSplitInThree_EachTakesItsShare(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, granted())
		w.At(30*time.Minute, "the warehouse makes three of it", func() {
			w.edit(w.Warehouse, `{"order":"1","split":{"lines":[{"sku":"MUG","quantity":1}]}}`)
			w.edit(w.Warehouse, `{"shipment":"1","split":{"lines":[{"sku":"TSHIRT","quantity":1}]}}`)
		})
		for n := range 3 {
			w.leaves(time.Duration(2+2*n)*time.Hour, "1", n+1)
		}
		want := delivered()
		want.Shipments, want.Invoices = []string{"delivered", "delivered", "delivered"}, 3
		want.Mails = []string{"confirmation", "shipped", "shipped", "shipped"}
		w.ends(4*day, "1", order.PhaseClosed, want)
		var shares []int64
		for _, e := range w.effects(w.Payment, order.Capture, "1") {
			shares = append(shares, e.Amount)
		}
		if !slices.Equal(shares, []int64{3000, 2500, 4480}) { // the first has the shipping costs
			t.Errorf("the parcels took %v", shares)
		}
	})
}

func TestParcel_LostAndSentOnceMore_PaidOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.lose("1", 4*time.Hour)
		var sent *replied
		w.At(6*time.Hour, "a person decides", func() {
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.NeedsPerson)
			sent = w.decide("1", w.theCase("1", reconcile.WarehouseShipped), workflows.DecideShip)
		})
		w.At(7*time.Hour, "look", func() { w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed) })
		want := delivered()
		want.Shipments, want.Mails = []string{"done", "delivered"}, []string{"confirmation", "shipped", "shipped"}
		want.Levels, want.OnHand = stock(96, 98), stock(96, 98)
		w.ends(5*day, "1", order.PhaseClosed, want)
		w.took("the decision", sent)
		if n := len(w.effects(w.Payment, order.Capture, "1")); n != 1 {
			t.Errorf("captured %d times", n)
		}
	})
}

// lose has the carrier give an order's parcel up.
func (w *world) lose(of order.ID, at time.Duration) {
	w.At(at, "the parcel is lost", func() { w.Check(w.Warehouse.Event([]byte(`{"type":"shipment.lost","order":"` + string(of) + `"}`))) })
}

func TestParcel_OneOfTwoLostAndGivenBack_ItsShareOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, granted())
		w.twoParcels("1")
		w.At(5*time.Hour, "the second parcel leaves", func() { w.work("1", 2, "shipped") })
		w.lose("1", 6*time.Hour)
		var back *replied
		w.At(8*time.Hour, "a person decides", func() {
			back = w.decide("1", w.theCase("1", reconcile.WarehouseShipped), workflows.DecideRefund)
		})
		want := inTwo().money(9980, 4480)
		want.Credited, want.Shipments, want.Mails = 4480, []string{"delivered", "done"}, append(want.Mails, "refund")
		w.ends(5*day, "1", order.PhaseClosed, want)
		w.took("the decision", back)
	})
}

// A reading takes a moment, and lanes act meanwhile: one that knew that the goods
// have left, and not yet that a parcel has, asked for them once more.
func TestParcel_LearnedOfByAFreshVerdict_NotRequestedAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 3 * time.Hour})
		w.submit(0, anOrder("1"))
		w.At(150*time.Minute, "somebody asks", func() {
			w.Later(func(ctx context.Context) {
				v, err := w.Client.Verdict(ctx, "1", true)
				w.Check(err)
				if v.Outcome != reconcile.Succeeded || len(v.Cases) != 0 {
					t.Errorf("half an hour after it left:\n%s", v.Table())
				}
			})
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
	})
}

func TestParcel_LostAndFound_NothingElse(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.lose("1", 4*time.Hour)
		var found *replied
		w.At(6*time.Hour, "it was found", func() {
			found = w.decide("1", w.theCase("1", reconcile.WarehouseShipped), workflows.DecideByHand)
		})
		want := delivered()
		want.Shipments = []string{"done"}
		w.ends(5*day, "1", order.PhaseClosed, want)
		w.took("the decision", found)
	})
}

func TestParcel_WarehouseGivesItUp_RequestedAnew(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(30*time.Minute, "the warehouse cancels", func() { w.edit(w.Warehouse, `{"order":"1","cancel":true}`) })
		var again *replied
		w.At(3*time.Hour, "a person decides", func() {
			w.stands("1", order.PhaseAccepted, reconcile.InProgress, reconcile.NeedsPerson)
			if s := w.story("1"); s.Reserved != 3 || s.Held != 9980 {
				t.Errorf("while a person is asked the systems say %+v", s)
			}
			again = w.decide("1", w.theCase("1", reconcile.WarehouseShipment), workflows.DecideRepair)
		})
		want := delivered()
		want.Shipments = []string{"cancelled", "delivered"}
		w.ends(5*day, "1", order.PhaseClosed, want)
		w.took("the decision", again)
	})
}

func TestParcel_WarehouseGivesItUp_TakenBack(t *testing.T) {
	t.Parallel()
	for name, as := range map[string]workflows.Decision{"cancelled": workflows.DecideCancel, "given up": workflows.DecideRelease} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				w.submit(0, anOrder("1"))
				w.At(30*time.Minute, "the warehouse cancels", func() { w.edit(w.Warehouse, `{"order":"1","cancel":true}`) })
				var decided *replied
				w.At(3*time.Hour, "a person decides", func() {
					decided = w.decide("1", w.theCase("1", reconcile.WarehouseShipment), as)
				})
				want := untouched()
				want.Attempts, want.Sales, want.Deal, want.Shipments = 1, 1, "lost", []string{"cancelled"}
				want.Mails = []string{"confirmation", "cancellation"}
				phase := order.PhaseCancelled
				if as == workflows.DecideRelease {
					phase = order.PhaseFailed
				}
				w.ends(2*day, "1", phase, want)
				w.took("the decision", decided)
			})
		})
	}
}

// month is a policy under which goods may come back for long enough.
const month = "mode: auto\nreturn_window: 120h\n"

// sentBack opens a world in which an order was delivered, 26 hours after its
// start, and may be returned for five days.
func sentBack(t *testing.T, o order.Order, back time.Duration) *world {
	t.Helper()
	pace := warehouse.DefaultPace()
	pace.Return = back
	w := open(t, virtual.Options{Policy: month, Pace: pace, FollowEvery: 2 * time.Hour})
	w.submit(0, o)
	return w
}

// returned is what the systems say of an order some of whose goods came back.
func returned(refunded int64, mugs, shirts int64) story {
	s := delivered().money(9980, refunded)
	s.Credited, s.Levels, s.OnHand = refunded, stock(mugs, shirts), stock(mugs, shirts)
	s.Returns, s.Mails = []string{"done"}, append(s.Mails, "refund")
	return s
}

func TestReturn_SomeLines_ShareBackOnceAndRestocked(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), day)
		var back *replied
		w.At(30*time.Hour, "the shirt does not fit", func() { back = w.sendBack("1", "a", pieces(2, 1)) })
		w.At(40*time.Hour, "it is on its way", func() {
			w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed)
			if s := w.story("1"); s.Refunded != 0 || !slices.Equal(s.Returns, []string{"draft"}) {
				t.Errorf("while it is on its way back the systems say %+v", s)
			}
		})
		w.At(58*time.Hour, "it came", func() {
			w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed)
		})
		w.ends(7*day, "1", order.PhaseClosed, returned(4480, 98, 100))
		w.took("the return", back)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
			t.Errorf("given back %d times", n)
		}
		if text := w.text("1", reconcile.MailRefund, 1); !strings.Contains(text, "TSHIRT") || !strings.Contains(text, "44.80") {
			t.Errorf("the notice says:\n%s", text)
		}
	})
}

func TestReturn_NotRestocked_LevelStays(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), 0)
		w.At(30*time.Hour, "announced", func() { w.sendBack("1", "a", pieces(2, 1)) })
		w.At(50*time.Hour, "it came, and is not fit to be sold", func() { w.Check(w.Warehouse.Work("order/1/return/1", "received")) })
		want := returned(4480, 98, 99)
		want.Returns = []string{"received"}
		w.ends(7*day, "1", order.PhaseClosed, want)
	})
}

func TestReturn_RestockedLater_LevelRaisedOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), 0)
		w.At(30*time.Hour, "announced", func() { w.sendBack("1", "a", pieces(1, 2)) })
		w.At(50*time.Hour, "it came", func() { w.Check(w.Warehouse.Work("order/1/return/1", "received")) })
		w.At(55*time.Hour, "look", func() {
			if s := w.story("1"); s.Refunded != 5000 || s.Levels["MUG"] != 98 {
				t.Errorf("before it is in storage the systems say %+v", s)
			}
		})
		w.At(70*time.Hour, "it is put into storage", func() { w.Check(w.Warehouse.Work("order/1/return/1", "restocked")) })
		w.ends(7*day, "1", order.PhaseClosed, returned(5000, 100, 99))
	})
}

func TestReturn_FewerCameThanAnnounced_OnlyTheirShare(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), 0)
		w.At(30*time.Hour, "announced", func() { w.sendBack("1", "a", pieces(1, 2)) })
		w.At(50*time.Hour, "one came", func() {
			w.edit(w.Warehouse, `{"order":"1","return":{"lines":[{"sku":"MUG","quantity":1}],"state":"restocked"}}`)
		})
		w.ends(7*day, "1", order.PhaseClosed, returned(2500, 99, 99))
	})
}

func TestReturn_NobodyAnnouncedIt_ShareBackOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), 0)
		w.At(50*time.Hour, "a parcel comes back", func() {
			w.edit(w.Warehouse, `{"order":"1","return":{"unannounced":true,"lines":[{"sku":"TSHIRT","quantity":1}],"state":"restocked"}}`)
		})
		w.ends(7*day, "1", order.PhaseClosed, returned(4480, 98, 100))
	})
}

func TestReturn_Everything_AllBackWithShipping(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), day)
		w.At(30*time.Hour, "announced", func() { w.sendBack("1", "a", pieces(1, 2), pieces(2, 1)) })
		w.At(58*time.Hour, "it came", func() { w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed) })
		w.ends(7*day, "1", order.PhaseClosed, returned(9980, 100, 100))
	})
}

func TestReturn_AfterTheWindow_IsStillTakenUp(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		pace := warehouse.DefaultPace()
		pace.Return = 3 * day
		w := open(t, virtual.Options{Pace: pace, FollowEvery: 2 * time.Hour})
		w.submit(0, anOrder("1"))
		var late *replied
		w.At(30*time.Hour, "announced within the window of a day", func() { w.sendBack("1", "a", pieces(2, 1)) })
		w.At(60*time.Hour, "and too late", func() { late = w.sendBack("1", "b", pieces(1, 1)) })
		w.ends(7*day, "1", order.PhaseClosed, returned(4480, 98, 100))
		w.refusedNow("a return after the window", late)
	})
}

func TestReturn_TwoEqualOnesAndOneOfThemTwice_TwoRefunds(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), day)
		var refused, never *replied
		w.At(10*time.Minute, "before it has shipped", func() { never = w.sendBack("1", "x", pieces(1, 1)) })
		for _, id := range []string{"a", "b", "a"} {
			w.At(30*time.Hour, "announced", func() { w.took("return "+id, w.sendBack("1", id, pieces(1, 1))) })
		}
		w.At(31*time.Hour, "a third mug", func() { refused = w.sendBack("1", "c", pieces(1, 1)) })
		want := returned(5000, 100, 99)
		want.Returns, want.Mails = []string{"done", "done"}, append(want.Mails, "refund")
		w.ends(7*day, "1", order.PhaseClosed, want)
		w.refusedNow("more than shipped", refused)
		w.refusedNow("a return of what has not shipped", never)
		if got := w.effects(w.Payment, order.Refund, "1"); len(got) != 2 || got[0].Amount != 2500 || got[1].Amount != 2500 {
			t.Errorf("given back: %+v", got)
		}
	})
}

func TestReturn_MoreThanOrdered_IsNoRequest(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), day)
		var wrong *replied
		w.At(30*time.Hour, "announced", func() { wrong = w.sendBack("1", "a", pieces(1, 3)) })
		w.ends(7*day, "1", order.PhaseClosed, delivered())
		if wrong == nil || !errors.Is(wrong.Err, starters.ErrNotValid) {
			t.Errorf("three of two came back: %+v", wrong)
		}
	})
}

// elsewhere is another address.
func elsewhere() *order.Address {
	return &order.Address{Name: "Ada Lovelace", Street: "2 Side St", City: "Lyon", PostalCode: "69001", Country: "FR"}
}

func TestAddress_ChangedBeforePacking_WarehouseThenBooks(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		var moved *replied
		elsewise := func() int { // what is written where no address is
			n := 0
			for _, d := range []simulator.Desk{w.Payment, w.Inventory, w.Mail} {
				all, err := d.Frame().Ledger(0, "1")
				w.Check(err)
				n += len(slices.DeleteFunc(all, func(e simulator.Entry) bool { return e.Kind != simulator.EntryEffect }))
			}
			return n
		}
		written := 0
		w.At(30*time.Minute, "moves", func() {
			written = elsewise()
			moved = w.amend("1", workflows.Amend{Asked: by("a"), ShipTo: elsewhere()})
		})
		w.At(40*time.Minute, "look", func() {
			w.took("the new address", moved)
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			if all := w.shipments("1"); len(all) != 1 || all[0].Street != "2 Side St" {
				t.Errorf("the warehouse has %+v", all)
			}
			if books, err := w.ERP.Holds("1"); err != nil || len(books.Sales) != 1 || !strings.Contains(books.Sales[0].ShipTo.Address, "2 Side St") {
				t.Errorf("the books have %+v, %v", books, err)
			}
			if n := len(w.effects(w.Warehouse, order.UpdateAddress, "1")); n != 1 || elsewise() != written {
				t.Errorf("the warehouse was told %d times, and %d other effects followed", n, elsewise()-written)
			}
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
	})
}

func TestAddress_ChangedWhenPacked_RefusedAndOneCase(t *testing.T) {
	t.Parallel()
	for _, as := range []workflows.Decision{workflows.DecideByHand, workflows.DecideAccept} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				w.submit(0, anOrder("1"))
				var moved, decided *replied
				w.At(100*time.Minute, "moves", func() { moved = w.amend("1", workflows.Amend{Asked: by("a"), ShipTo: elsewhere()}) })
				w.At(195*time.Minute, "a person decides", func() {
					w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.NeedsPerson)
					decided = w.decide("1", w.theCase("1", reconcile.WarehouseShipment), as)
				})
				got := w.ends(4*day, "1", order.PhaseClosed, delivered())
				if moved == nil || moved.Err != nil || moved.Refused == "" || got.ShipTo != nil {
					t.Errorf("a new address for packed goods: %+v", moved)
				}
				w.took("the decision", decided)
				if all := w.shipments("1"); all[0].Street != "1 Main St" {
					t.Errorf("the warehouse has %+v", all)
				}
			})
		})
	}
}

func TestDrop_BeforePacking_RestIsRequestedAnew(t *testing.T) {
	t.Parallel()
	for name, capture := range map[string]order.CaptureMode{"captured when it ships": order.CaptureOnShip, "captured at once": order.CaptureAtOnce} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				o := anOrder("1")
				o.Payment.Capture = capture
				w.submit(0, o)
				var dropped, again, all *replied
				drop := workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}}
				w.At(30*time.Minute, "no shirt", func() { dropped = w.amend("1", drop) })
				w.At(40*time.Minute, "look", func() {
					w.took("the amendment", dropped)
					if s := w.story("1"); s.Reserved != 2 || s.Levels["TSHIRT"] != 100 {
						t.Errorf("after the shirt was dropped the systems say %+v", s)
					}
					again = w.amend("1", drop)
					all = w.amend("1", workflows.Amend{Asked: by("b"), Drop: []order.Quantity{pieces(1, 2)}})
				})
				want := delivered().money(5500, 0)
				want.Levels, want.OnHand, want.Invoiced, want.Shipments = stock(98, 100), stock(98, 100), 5500, []string{"cancelled", "delivered"}
				if capture == order.CaptureAtOnce {
					want = want.money(9980, 4480)
					want.Mails = append(want.Mails, "refund")
				}
				w.endsWith(4*day, "1", order.PhaseClosed, want)
				w.took("the same again", again)
				w.refusedNow("dropping all that is left", all)
			})
		})
	}
}

func TestDrop_WhenPacked_Refused(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		var dropped, late *replied
		w.At(100*time.Minute, "no shirt", func() {
			dropped = w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}})
		})
		w.At(195*time.Minute, "when it has left", func() {
			late = w.amend("1", workflows.Amend{Asked: by("b"), Drop: []order.Quantity{pieces(2, 1)}})
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		if dropped == nil || dropped.Err != nil || dropped.Refused == "" {
			t.Errorf("a packed shirt was dropped: %+v", dropped)
		}
		w.refusedNow("dropping what has left", late)
	})
}

// runs lets a reconciliation run look at everything.
func (w *world) runs(age time.Duration) {
	w.At(age, "reconcile", func() {
		w.Later(func(ctx context.Context) {
			_, err := w.Client.Reconcile(ctx, workflows.ReconcileInput{})
			w.Check(err)
		})
	})
}

func TestCorrection_BelowWhatIsPromised_YoungestGoesWithout(t *testing.T) {
	t.Parallel()
	for _, as := range []workflows.Decision{workflows.DecideRelease, workflows.DecideAccept} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand})
				young := anOrder("2")
				young.PlacedAt = virtual.Start.Add(time.Minute)
				w.submit(time.Minute, young)
				w.submit(2*time.Minute, anOrder("1"))
				w.At(2*time.Hour, "a person counts", func() { w.edit(w.Warehouse, `{"sku":"MUG","on_hand":3,"reason":"counted"}`) })
				w.runs(3 * time.Hour)
				w.runs(4 * time.Hour)
				var decided *replied
				w.At(5*time.Hour, "a person decides", func() {
					if v := w.Verdict("1"); len(v.Cases) != 0 {
						t.Errorf("the older order has cases: %+v", v.Cases)
					}
					w.stands("2", order.PhaseAccepted, reconcile.Succeeded, reconcile.NeedsPerson)
					if s := w.story("1"); s.Levels["MUG"] != 3 {
						t.Errorf("the level is %d, and 3 were counted", s.Levels["MUG"])
					}
					decided = w.decide("2", w.theCase("2", reconcile.InventoryReserved), as)
				})
				w.leaves(6*time.Hour, "1", 1)
				w.At(7*time.Hour, "more mugs", func() {
					w.edit(w.Warehouse, `{"sku":"MUG","on_hand":50,"reason":"delivered"}`)
					w.edit(w.Inventory, `{"sku":"MUG","stocked":50}`)
				})
				want := untouched()
				want.Attempts, want.Sales, want.Deal, want.Shipments = 1, 1, "lost", []string{"cancelled"}
				want.Mails, want.Levels, want.OnHand = []string{"confirmation", "cancellation"}, stock(50, 99), stock(50, 99)
				phase := order.PhaseFailed
				if as == workflows.DecideAccept {
					w.leaves(8*time.Hour, "2", 1)
					want, phase = delivered(), order.PhaseClosed
					want.Levels, want.OnHand = stock(48, 98), stock(48, 98)
				}
				w.idle(4*day-2*time.Hour, "1")
				w.ends(4*day, "2", phase, want)
				w.took("the decision", decided)
				w.closedAs("1", order.PhaseClosed)
			})
		})
	}
}

func TestStock_NotAllThereAndItComesBeforeAnAnswer_GoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, noShirt())
		w.submit(0, anOrder("1"))
		w.At(10*time.Hour, "shirts come", func() {
			w.edit(w.Warehouse, `{"sku":"TSHIRT","on_hand":5,"reason":"delivered"}`)
			w.edit(w.Inventory, `{"sku":"TSHIRT","stocked":5}`)
		})
		var late *replied
		w.At(12*time.Hour, "the customer answers what is not asked any more", func() {
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			late = w.answer("1", "a", workflows.ChooseCancel)
		})
		want := delivered()
		want.Levels, want.OnHand, want.Mails = stock(8, 4), stock(8, 4), []string{"question", "confirmation", "shipped"}
		w.ends(5*day, "1", order.PhaseClosed, want)
		w.refusedNow("an answer to nothing", late)
	})
}

func TestStock_NotAllThereAndTheMissingIsDropped_WhatIsThereShips(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, noShirt())
		w.submit(0, anOrder("1"))
		var dropped *replied
		w.At(time.Hour, "no shirt then", func() {
			dropped = w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}})
		})
		w.ends(5*day, "1", order.PhaseClosed, mugsOnly())
		w.took("the amendment", dropped)
	})
}

func TestParcel_LostAndNothingLeftToSend_IsACase(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Stock: map[string]int{"MUG": 2, "TSHIRT": 1}})
		w.submit(0, anOrder("1"))
		w.lose("1", 4*time.Hour)
		var sent, back *replied
		w.At(6*time.Hour, "a person decides", func() {
			sent = w.decide("1", w.theCase("1", reconcile.WarehouseShipped), workflows.DecideShip)
		})
		w.At(9*time.Hour, "there is none", func() {
			w.stands("1", order.PhaseAccepted, reconcile.InProgress, reconcile.NeedsPerson)
			back = w.decide("1", w.theCase("1", reconcile.InventoryReserved), workflows.DecideRelease)
		})
		want := delivered().money(9980, 9980)
		want.Credited, want.Shipments, want.Levels, want.OnHand = 9980, []string{"done"}, stock(0, 0), stock(0, 0)
		want.Mails = append(want.Mails, "refund")
		w.ends(5*day, "1", order.PhaseClosed, want)
		w.took("the first decision", sent)
		w.took("the second decision", back)
	})
}

func TestParcel_WarehouseSplitsAndGivesOnePartUp_RestIsRequestedAnew(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, granted())
		w.twoParcels("1")
		w.At(90*time.Minute, "the warehouse gives the second part up", func() { w.work("1", 2, "cancelled") })
		w.At(4*time.Hour, "look", func() {
			if all := w.shipments("1"); len(all) != 3 || all[2].Key != "order/1/request/2" || all[2].State == "cancelled" {
				t.Errorf("the shipments are %+v", all)
			}
		})
		w.leaves(5*time.Hour, "1", newest)
		want := inTwo()
		want.Shipments = []string{"delivered", "cancelled", "delivered"}
		w.ends(4*day, "1", order.PhaseClosed, want)
	})
}

func TestDrop_AfterTheFirstParcel_RestOfTheHoldIsReleased(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, granted())
		w.twoParcels("1")
		var dropped *replied
		w.At(4*time.Hour, "no shirt", func() {
			dropped = w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}})
		})
		w.At(5*time.Hour, "look", func() {
			w.took("the amendment", dropped)
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
			if s := w.story("1"); s.Held != 0 || s.Captured != 5500 {
				t.Errorf("after the rest was dropped %d are held and %d captured", s.Held, s.Captured)
			}
		})
		want := delivered().money(5500, 0)
		want.Invoiced, want.Levels, want.OnHand = 5500, stock(98, 100), stock(98, 100)
		want.Shipments = []string{"delivered", "cancelled"}
		w.ends(4*day, "1", order.PhaseClosed, want)
	})
}

func TestReturn_BeforeTheRestHasLeft_BothShares(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: warehouse.Pace{Return: day}, Policy: month, FollowEvery: 2 * time.Hour})
		w.submit(0, granted())
		w.twoParcels("1")
		w.At(30*time.Hour, "the mugs go back", func() { w.took("the return", w.sendBack("1", "a", pieces(1, 2))) })
		w.At(58*time.Hour, "they came", func() {
			if s := w.story("1"); s.Captured != 5500 || s.Refunded != 5000 || s.Held != 4480 {
				t.Errorf("before the shirt has left the systems say %+v", s)
			}
		})
		w.leaves(60*time.Hour, "1", 2)
		want := inTwo().money(9980, 5000)
		want.Credited, want.Levels, want.OnHand = 5000, stock(100, 99), stock(100, 99)
		want.Returns, want.Mails = []string{"done"}, []string{"confirmation", "shipped", "refund", "shipped"}
		w.ends(10*day, "1", order.PhaseClosed, want)
	})
}

func TestAddress_ChangedBetweenParcels_TheNextGoesThere(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, granted())
		w.At(90*time.Minute, "the shirt stays behind", func() {
			w.edit(w.Warehouse, `{"order":"1","lines":[{"sku":"MUG","quantity":2}],"state":"shipped"}`)
		})
		var moved *replied
		w.At(3*time.Hour, "moves", func() { moved = w.amend("1", workflows.Amend{Asked: by("a"), ShipTo: elsewhere()}) })
		w.At(28*time.Hour, "the first arrives", func() { w.work("1", 1, "delivered") })
		w.leaves(5*time.Hour, "1", 2)
		w.ends(4*day, "1", order.PhaseClosed, inTwo())
		w.took("the new address", moved)
		if all := w.shipments("1"); all[0].Street != "1 Main St" || all[1].Street != "2 Side St" {
			t.Errorf("the parcels went to %q and %q", all[0].Street, all[1].Street)
		}
	})
}

// A promise that was lost is made again, unless what it promised is gone: then a
// person is asked, once, and inventory is not asked again and again.
func TestReservation_LostAndNotThereAnyMore_OnePersonIsAsked(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Stock: map[string]int{"MUG": 4, "TSHIRT": 2}})
		w.submit(0, anOrder("1"))
		w.submit(time.Minute, anOrder("2"))
		w.At(30*time.Minute, "a reservation is deleted, and a shirt is torn", func() {
			w.edit(w.Inventory, `{"order":"2","reserved":{"TSHIRT":0}}`)
			w.edit(w.Warehouse, `{"sku":"TSHIRT","on_hand":1,"reason":"torn"}`)
		})
		for i := range 6 {
			w.runs(35*time.Minute + time.Duration(i)*20*time.Minute)
		}
		var decided *replied
		w.At(3*time.Hour, "there are shirts again, and a person decides", func() {
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			w.stands("2", order.PhaseAccepted, reconcile.Succeeded, reconcile.NeedsPerson)
			if n := w.requests(w.Inventory, order.Reserve, "2"); n > 6 {
				t.Errorf("inventory was asked %d times to promise what is not there", n)
			}
			if s := w.story("2"); s.Reserved != 2 || s.Held != 9980 {
				t.Errorf("while a person is asked the systems say %+v", s)
			}
			w.edit(w.Warehouse, `{"sku":"TSHIRT","on_hand":2,"reason":"found"}`)
			w.edit(w.Inventory, `{"sku":"TSHIRT","stocked":2}`)
			decided = w.decide("2", w.theCase("2", reconcile.InventoryReserved), workflows.DecideRepair)
		})
		w.At(3*time.Hour+10*time.Minute, "look", func() {
			w.stands("2", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			if s := w.story("2"); s.Reserved != 3 {
				t.Errorf("promised again, the systems say %+v", s)
			}
		})
		w.leaves(4*time.Hour, "1", 1)
		w.leaves(4*time.Hour, "2", 1)
		want := delivered()
		want.Levels, want.OnHand = stock(0, 0), stock(0, 0)
		w.ends(4*day, "2", order.PhaseClosed, want)
		w.took("the decision", decided)
	})
}

func TestReservation_LostAndNotThereAnyMore_GivenUpByAPerson(t *testing.T) {
	t.Parallel()
	for _, as := range []workflows.Decision{workflows.DecideRelease, workflows.DecideCancel} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand, Stock: map[string]int{"MUG": 2, "TSHIRT": 1}})
				w.submit(0, anOrder("1"))
				w.At(30*time.Minute, "a reservation is deleted, and the shirt is torn", func() {
					w.edit(w.Inventory, `{"order":"1","reserved":{"TSHIRT":0}}`)
					w.edit(w.Warehouse, `{"sku":"TSHIRT","on_hand":0,"reason":"torn"}`)
					w.edit(w.Inventory, `{"sku":"TSHIRT","stocked":0}`)
				})
				w.runs(time.Hour)
				var decided *replied
				w.At(2*time.Hour, "a person decides", func() {
					decided = w.decide("1", w.theCase("1", reconcile.InventoryReserved), as)
				})
				want, phase := takenBack(), order.PhaseCancelled
				want.Levels, want.OnHand, want.Shipments = stock(2, 0), stock(2, 0), []string{"cancelled"}
				if as == workflows.DecideRelease { // all that has not shipped
					phase = order.PhaseFailed
				}
				w.ends(4*day, "1", phase, want)
				w.took("the decision", decided)
			})
		})
	}
}
