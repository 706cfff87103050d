package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
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
			w.ends(4*day, "1", order.PhaseClosed, want)
			w.took("the answer", amended)
			w.refusedNow("a second answer", late)
			if answer.Err != nil || answer.Question == nil || answer.Question.Kind != workflows.AskAboutStock {
				t.Errorf("the answer to the submission is %+v", answer)
			}
			if n, most := len(w.effects(w.Payment, order.Refund, "1")), 1; capture == order.CaptureAtOnce && n != most {
				t.Errorf("given back %d times", n)
			}
		})
	}
}

func TestStock_NotAllThereAndCustomerWaits_GoesOnWhenItCame(t *testing.T) {
	t.Parallel()
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
}

func TestStock_NotAllThereAndCustomerCancels_NothingIsHeld(t *testing.T) {
	t.Parallel()
	for name, capture := range map[string]order.CaptureMode{"captured when it ships": order.CaptureOnShip, "captured at once": order.CaptureAtOnce} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
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
	}
}

func TestStock_NotAllThereAndNobodyAnswers_WhatIsThereShips(t *testing.T) {
	t.Parallel()
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
	w.ends(6*day, "1", order.PhaseClosed, want)
	if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
		t.Errorf("given back %d times", n)
	}
}
