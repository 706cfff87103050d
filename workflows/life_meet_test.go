package workflows_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// Requests that meet: whichever comes first, the systems end up telling one
// story, and nobody is told another.

// cancelled is what became of a wish to cancel.
type cancelled struct {
	workflows.CancelAnswer
	Err error
}

func (w *world) cancel(of order.ID) *cancelled {
	c := &cancelled{}
	w.Later(func(ctx context.Context) {
		c.CancelAnswer, c.Err = w.Client.Cancel(ctx, of, workflows.Cancel{By: "customer", Reason: "changed my mind"})
	})
	return c
}

// takenBack is what the systems say of an order that was accepted and taken back.
func takenBack() story {
	s := untouched()
	s.Attempts, s.Sales, s.Deal, s.Mails = 1, 1, "lost", []string{"confirmation", "cancellation"}
	return s
}

// withoutShirt is what they say of one from which the shirt was dropped before it left.
func withoutShirt() story {
	s := delivered()
	s.Captured, s.Invoiced, s.Received, s.Revenue = 5500, 5500, 5500, 5500
	s.Levels, s.OnHand = stock(98, 100), stock(98, 100)
	return s
}

// alive is what they say without shipments that were cancelled.
func (w *world) alive(of order.ID) story {
	w.t.Helper()
	s := w.story(of)
	var left []string
	for _, state := range s.Shipments {
		if state != "cancelled" {
			left = append(left, state)
		}
	}
	s.Shipments = left
	return s
}

// either says that the systems must tell one of two stories, and which.
func (w *world) either(of order.ID, first, second story) (tellsFirst bool) {
	w.t.Helper()
	got := w.alive(of)
	if cmp.Equal(first, got) {
		return true
	}
	w.same(of, second, got)
	return false
}

func TestMeet_PackedThenCancelled_ShipsAndIsACase(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		var asked *cancelled
		var decided *replied
		w.At(time.Hour, "packed, and cancelled in the same moment", func() {
			w.work("1", 1, "packed")
			asked = w.cancel("1")
		})
		w.leaves(2*time.Hour, "1", 1)
		w.At(3*time.Hour, "a person decides", func() {
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.NeedsPerson)
			decided = w.decide("1", w.theCase("1", reconcile.WarehouseShipment), workflows.DecideAccept)
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		w.took("the decision", decided)
		if asked.Err != nil || asked.Cancelled || asked.Refused == "" {
			t.Errorf("the cancellation is answered %+v", asked)
		}
	})
}

// Whoever waits for the warehouse's word has it, also when somebody cancels the
// workflow in the engine meanwhile.
func TestMeet_CancelledAndCancelledInTheEngine_TheWishIsAnswered(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		var asked *cancelled
		w.At(time.Hour, "cancelled while the warehouse is down", func() {
			w.inject(w.Warehouse, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
			asked = w.cancel("1")
		})
		w.At(2*time.Hour, "and in the engine", func() { w.Cancel(workflows.OrderWorkflowID("1")) })
		w.At(3*time.Hour, "the warehouse is back", func() { w.Warehouse.Frame().Clear("*") })
		w.Run(2 * day)
		w.tell("1")
		w.closedAs("1", order.PhaseCancelled)
		if asked.Err != nil || !asked.Cancelled {
			t.Errorf("the cancellation is answered %+v", asked)
		}
	})
}

func TestMeet_ShippedThenCancelled_IsACaseAndNothingGoesBack(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: month})
		w.submit(0, anOrder("1"))
		var first, again, decided *cancelled
		var kept *replied
		w.At(3*time.Hour, "shipped, and cancelled", func() { first = w.cancel("1") })
		w.At(30*time.Hour, "delivered, and cancelled again", func() {
			w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.NeedsPerson)
			again = w.cancel("1")
		})
		w.At(31*time.Hour, "a person decides", func() {
			kept = w.decide("1", w.theCase("1", reconcile.WarehouseShipment), workflows.DecideAccept)
		})
		w.At(32*time.Hour, "and is not asked once more", func() { decided = w.cancel("1") })
		w.At(33*time.Hour, "look", func() { w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed) })
		w.idle(40*time.Hour, "1")
		w.Run(41 * time.Hour)
		w.expect("1", delivered())
		w.took("the decision", kept)
		for _, c := range []*cancelled{first, again, decided} {
			if c.Err != nil || c.Cancelled || c.Refused == "" {
				t.Errorf("the cancellation is answered %+v", c)
			}
		}
	})
}

func TestMeet_CancelledAndShippedInTheSameMoment_OneStory(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		var asked *cancelled
		w.At(time.Hour, "cancelled, and shipped in the same moment", func() {
			id := w.shipments("1")[0].Key
			asked = w.cancel("1")
			_ = w.Warehouse.Work(id, "shipped") // it may be cancelled by then
		})
		w.At(2*time.Hour, "a person decides, if asked", func() {
			if len(w.Verdict("1").Cases) > 0 {
				w.decide("1", w.theCase("1", reconcile.WarehouseShipment), workflows.DecideAccept)
				w.work("1", 1, "delivered")
			}
		})
		w.idle(3*day, "1")
		w.Run(4 * day)
		if first := w.either("1", takenBack(), delivered()); asked.Err != nil || asked.Cancelled != first || (asked.Refused == "") != first {
			t.Errorf("the cancellation is answered %+v; cancelled: %v", asked, first)
		}
	})
}

func TestMeet_CancelledWhileTheMoneyIsTaken_GoesBackOnce(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.Fault{
		"the answer is lost":   {Operation: order.Authorize, Kind: simulator.ResponseLost},
		"it is taken later on": {Operation: order.Authorize, Kind: simulator.Late, Delay: 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				w.inject(w.Payment, fault)
				var asked *cancelled
				w.At(0, "submitted, and cancelled in the same moment", func() {
					w.Submit(atOnce(visa))
					asked = w.cancel("1")
				})
				w.idle(day, "1")
				w.Run(2 * day)
				got := w.alive("1")
				if got.Captured != got.Refunded || got.Held+got.Reserved+int64(got.Open) != 0 || len(got.Shipments) != 0 {
					t.Errorf("something is held: %+v", got)
				}
				if n := len(w.effects(w.Payment, order.Refund, "1")); got.Captured > 0 && n != 1 {
					t.Errorf("given back %d times", n)
				}
				w.tell("1")
				w.closedAs("1", order.PhaseCancelled)
				if asked.Err != nil || !asked.Cancelled {
					t.Errorf("the cancellation is answered %+v", asked)
				}
			})
		})
	}
}

func TestMeet_CancelledWhileTheCustomerPays_NothingIsKept(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]order.Order{"held": paidBy(challenge), "taken at once": atOnce(challenge)} {
		for _, payFirst := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				virtual.Bubble(t, func(t *testing.T) {
					w := open(t, virtual.Options{})
					w.submit(0, o)
					var asked *cancelled
					w.At(10*time.Minute, "paid and cancelled in the same moment", func() {
						if payFirst {
							w.pay("1", 1, payment.Succeeded)
						}
						asked = w.cancel("1")
						if !payFirst {
							_ = w.Payment.Pay(w.attempts("1")[0].ID, payment.Succeeded) // it may be closed by then
						}
					})
					w.idle(day, "1")
					w.Run(2 * day)
					got := w.alive("1")
					if got.Captured != got.Refunded || got.Held+got.Reserved+int64(got.Open) != 0 || len(got.Shipments) != 0 || got.Deal == "won" {
						t.Errorf("something is held: %+v", got)
					}
					w.tell("1")
					w.closedAs("1", order.PhaseCancelled)
					if asked.Err != nil || !asked.Cancelled {
						t.Errorf("the cancellation is answered %+v", asked)
					}
				})
			})
		}
	}
}

func TestMeet_PackedThenDropped_RefusedAndShipsWhole(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		var asked *replied
		w.At(time.Hour, "packed, and amended in the same moment", func() {
			w.work("1", 1, "packed")
			asked = w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}})
		})
		w.leaves(2*time.Hour, "1", 1)
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		if asked.Err != nil || asked.Refused == "" {
			t.Errorf("the amendment is answered %+v", asked)
		}
	})
}

func TestMeet_DroppedThenPacked_ShipsTheRest(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		var asked, again *replied
		w.At(time.Hour, "amended", func() { asked = w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}}) })
		w.At(time.Hour+time.Minute, "the same again", func() { again = w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}}) })
		w.leaves(2*time.Hour, "1", newest)
		w.idle(3*day, "1")
		w.Run(4 * day)
		w.same("1", withoutShirt(), w.alive("1"))
		w.closedAs("1", order.PhaseClosed)
		w.took("the amendment", asked)
		w.took("the same amendment", again)
	})
}

func TestMeet_DroppedAndPackedInTheSameMoment_OneStory(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		var asked *replied
		w.At(time.Hour, "amended, and packed in the same moment", func() {
			key := w.shipments("1")[0].Key
			asked = w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}})
			_ = w.Warehouse.Work(key, "packed") // it may be cancelled by then
		})
		w.leaves(2*time.Hour, "1", newest)
		w.idle(3*day, "1")
		w.Run(4 * day)
		if dropped := w.either("1", withoutShirt(), delivered()); asked.Err != nil || (asked.Refused == "") != dropped {
			t.Errorf("the amendment is answered %+v; dropped: %v", asked, dropped)
		}
		w.closedAs("1", order.PhaseClosed)
	})
}

func TestMeet_AddressAndPacked_RefusedWithACaseOrTakenEverywhere(t *testing.T) {
	t.Parallel()
	elsewhere := order.Address{Name: "Ada Lovelace", Street: "2 Other Rd", City: "Lyon", PostalCode: "69001", Country: "FR"}
	for name, packedFirst := range map[string]bool{"packed first": true, "changed first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand})
				w.submit(0, anOrder("1"))
				var asked *replied
				w.At(time.Hour, "another address", func() {
					if packedFirst {
						w.work("1", 1, "packed")
					}
					asked = w.amend("1", workflows.Amend{Asked: by("a"), ShipTo: &elsewhere})
				})
				w.At(time.Hour+10*time.Minute, "a person decides, if asked", func() {
					if packedFirst {
						w.decide("1", w.theCase("1", reconcile.WarehouseShipment), workflows.DecideAccept)
					}
				})
				w.leaves(2*time.Hour, "1", newest)
				w.ends(4*day, "1", order.PhaseClosed, delivered())
				if asked.Err != nil || (asked.Refused != "") != packedFirst {
					t.Errorf("the change of address is answered %+v", asked)
				}
				want := map[bool]string{true: "1 Main St", false: "2 Other Rd"}[packedFirst]
				if all := w.shipments("1"); all[0].Street != want {
					t.Errorf("it was sent to %q, want %q", all[0].Street, want)
				}
			})
		})
	}
}

func TestMeet_ReturnAndDispute_MoneyGoesBackOnce(t *testing.T) {
	t.Parallel()
	won := delivered()
	won.OnHand, won.Levels = stock(100, 99), stock(100, 99)
	won.Refunded, won.Credited, won.Received, won.Revenue = 5000, 5000, 4980, 4980
	won.Returns, won.Mails = []string{"done"}, []string{"confirmation", "shipped", "refund"}
	lost := afterDispute()
	lost.OnHand, lost.Levels, lost.Returns = won.OnHand, won.Levels, won.Returns
	for how, want := range map[string]story{"won": won, "lost": lost} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: "mode: auto\nreturn_window: 144h\n"})
				w.submit(0, anOrder("1"))
				var asked *replied
				w.At(30*time.Hour, "the mugs go back", func() { asked = w.sendBack("1", "a", pieces(1, 2)) })
				w.At(31*time.Hour, "the customer disputes all of it", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
				w.At(60*time.Hour, "the mugs are back, and the money is in dispute", func() {
					if s := w.story("1"); s.Refunded != 0 || s.Disputed != 9980 {
						t.Errorf("while the money is in dispute the systems say %+v", s)
					}
					w.theCase("1", reconcile.PaymentDisputed)
					w.Check(w.Warehouse.Work(order.Intent{Order: "1", Operation: order.Return, N: 1}.Key(), "restocked"))
				})
				w.At(72*time.Hour, "it is decided", func() { w.edit(w.Payment, `{"order":"1","dispute":"`+how+`"}`) })
				w.ends(8*day, "1", order.PhaseClosed, want)
				w.took("the return", asked)
			})
		})
	}
}

func TestMeet_TwoOperatorsDecideOneCase_OneIsCarriedOut(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(visa))
		w.At(20*time.Minute, "the customer disputes it", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
		var ship, release *replied
		w.At(5*time.Hour, "two people decide in the same moment", func() {
			n := w.theCase("1", reconcile.PaymentDisputed)
			ship, release = w.decide("1", n, workflows.DecideShip), w.decide("1", n, workflows.DecideRelease)
		})
		w.At(2*day, "it is won", func() { w.edit(w.Payment, `{"order":"1","dispute":"won"}`) })
		w.endsAlike(5*day, "1", order.PhaseClosed, delivered())
		w.took("the first decision", ship)
		if release.Err != nil || !strings.Contains(release.Refused, "closed meanwhile") || !strings.Contains(release.Refused, "decided: ship by test") {
			t.Errorf("the second decision was not refused: %+v", release)
		}
	})
}

func TestMeet_TwoOperatorsLookByHand_TheSecondIsToldThatItIsOver(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "packed and cancelled", func() {
			w.work("1", 1, "packed")
			w.cancel("1")
		})
		var first, second *replied
		w.At(2*time.Hour, "two people have looked", func() {
			n := w.theCase("1", reconcile.WarehouseShipment)
			look := func(id string) *replied {
				return w.wish(func(ctx context.Context) (workflows.Reply, error) {
					return w.Client.Decide(ctx, "1", workflows.Decide{Asked: by(id), Case: n, As: workflows.DecideByHand})
				})
			}
			first, second = look("a"), look("b")
		})
		w.leaves(3*time.Hour, "1", 1)
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		w.took("the first", first)
		if !errors.Is(second.Err, starters.ErrNotNow) && second.Refused == "" {
			t.Errorf("whoever decided a case that was closed meanwhile is told %+v", second)
		}
	})
}

func TestMeet_TwoAttemptsInTheSameMoment_OneTakesMoney(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, atOnce(challenge))
		var first, second *replied
		w.At(5*time.Minute, "two tabs", func() { first, second = w.attempt("1", "b", visa), w.attempt("1", "c", visa) })
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		w.took("the first", first)
		if second.Err == nil && second.Refused == "" {
			t.Errorf("the second attempt is answered %+v", second)
		}
	})
}

func TestMeet_AttemptWhileTheFirstIsInDoubt_OneTakesMoney(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.inject(w.Payment, simulator.Fault{Operation: order.Authorize, Kind: simulator.ResponseLost})
		w.inject(w.Payment, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		w.submit(0, atOnce(visa))
		var second *replied
		w.At(5*time.Minute, "the customer tries again", func() { second = w.attempt("1", "b", visa) })
		w.At(15*time.Minute, "the gateway comes back", func() { w.Payment.Frame().Clear("*") })
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		if second.Err == nil && second.Refused == "" {
			t.Errorf("the second attempt is answered %+v", second)
		}
	})
}

func TestMeet_TwoRefundsInTheSameMoment_NeverMoreThanWasTaken(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		var first, twin, second *replied
		w.At(4*time.Hour, "three people give money back", func() {
			first, twin, second = w.refund("1", "a", 6000), w.refund("1", "a", 6000), w.refund("1", "b", 6000)
		})
		want := refunded(6000)
		want.Mails = append(want.Mails, "refund")
		w.ends(4*day, "1", order.PhaseClosed, want)
		w.took("the first", first)
		w.took("the same once more", twin)
		w.refusedNow("one that is too much", second)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
			t.Errorf("given back %d times", n)
		}
	})
}

// A case about goods is over when the customer takes the order back instead of somebody
// deciding it, and the order ends.
func TestMeet_CancelledInsteadOfDecidingAboutItsGoods_CaseIsOver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		of    order.Order
		about reconcile.Field
		spoil func(w *world)
	}{
		"it goes without": {anOrder("1"), reconcile.InventoryReserved, func(w *world) {
			w.edit(w.Warehouse, `{"sku":"MUG","on_hand":1,"reason":"counted"}`)
		}},
		"what is to be sent is not there": {anOrder("1"), reconcile.InventoryReserved, func(w *world) {
			w.edit(w.Inventory, `{"order":"1","reserved":{"TSHIRT":0}}`)
			w.edit(w.Warehouse, `{"sku":"TSHIRT","on_hand":0,"reason":"torn"}`)
			w.edit(w.Inventory, `{"sku":"TSHIRT","stocked":0}`)
		}},
		"its money was given back": {atOnce(visa), reconcile.PaymentRefunded, func(w *world) {
			w.edit(w.Payment, `{"order":"1","refunded":9980}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand})
				w.submit(0, test.of)
				w.At(time.Hour, "spoiled", func() { test.spoil(w) })
				w.runs(2 * time.Hour)
				w.At(3*time.Hour, "taken back", func() {
					w.theCase("1", test.about)
					w.cancel("1")
				})
				w.Run(4 * day)
				for _, k := range w.closedAs("1", order.PhaseCancelled).Cases {
					if k.Outcome != "the order was taken back" {
						t.Errorf("case %d, %s: %q", k.N, k.Step.Why, k.Outcome)
					}
				}
			})
		})
	}
}
