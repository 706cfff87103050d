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
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// kept is an order that stays open for days, under a policy.
func kept(t *testing.T, o virtual.Options, policy string) *world {
	t.Helper()
	o.Policy = policy
	w := open(t, o)
	w.unannounced()
	wanted := anOrder("1")
	wanted.CartID = "cart-9"
	w.submit(0, wanted)
	return w
}

const allAuto = "mode: auto\nreturn_window: 240h\n"

// upserts counts the writes of the CRM's deal since a moment.
func (w *world) upserts(since time.Duration) int {
	n := 0
	for _, e := range w.effects(w.CRM, order.Upsert, "1") {
		if !e.At.Before(w.Moment(since)) {
			n++
		}
	}
	return n
}

func (w *world) switchOff(kind string) {
	w.Later(func(ctx context.Context) {
		_, err := w.Client.Switch(ctx, reconciliation.Stop{Kind: kind, Off: true, By: "ada", Reason: "look first"})
		w.Check(err)
	})
}

// An automation of the CRM sets the deal to lost again and again, at the pace of the
// runs. It is set back a few times, further and further apart, and then nobody writes
// any more: a person is asked, once, and the case closes when both agree.
func TestMend_TwoWritersFight_AskedOnceAndNothingWritten(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := kept(t, virtual.Options{Cases: r.settings(), ReconcileEvery: 15 * time.Minute}, allAuto)
		for n := range 40 {
			w.At(10*time.Hour+time.Duration(n)*10*time.Minute+7*time.Minute, "the CRM's automation", func() {
				w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
			})
		}
		w.At(16*time.Hour, "it fights", func() {
			if n := w.upserts(10 * time.Hour); n < 1 || n > 3 {
				t.Errorf("the deal was set back %d times", n)
			}
			k := w.open1()
			if !k.Fought || k.Step.Break.ID() != "crm.deal.conflict" || !strings.Contains(k.Step.Why, "two writers are fighting") {
				t.Errorf("the case is %+v", k)
			}
		})
		w.At(18*time.Hour, "somebody turns it off and sets the deal", func() { w.edit(w.CRM, `{"order":"1","stage":"won"}`) })
		w.Run(20 * time.Hour)
		if n := w.upserts(16 * time.Hour); n != 0 {
			t.Errorf("it was written %d times more while a person was asked", n)
		}
		r.said("case.opened", "case.closed")
	})
}

// A fight in which ours wins now and then is one case, which is over when there was
// peace for a while.
func TestMend_FightThatAgreesNowAndThen_OneCase(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := kept(t, virtual.Options{Cases: r.settings(), ReconcileEvery: 15 * time.Minute}, allAuto)
		for n := range 40 {
			stage := [...]string{`{"order":"1","stage":"lost"}`, `{"order":"1","stage":"won"}`}[n%2]
			w.At(10*time.Hour+time.Duration(n)*20*time.Minute+7*time.Minute, "the two who fight", func() { w.edit(w.CRM, stage) })
		}
		w.At(23*time.Hour+40*time.Minute, "it agrees, and not for long", func() {
			if k := w.open1(); !k.Fought || k.N != 1 || k.Agrees.IsZero() {
				t.Errorf("the case is %+v", k)
			}
		})
		w.Run(26 * time.Hour)
		r.said("case.opened", "case.closed")
		if n := w.upserts(10 * time.Hour); n > 3 {
			t.Errorf("the deal was set back %d times", n)
		}
	})
}

// What is back within the cool-down is a fight at once, whatever runs come later.
func TestMend_BackWithinTheCoolDown_AskedAtOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{}, allAuto)
		lost := func(at time.Duration) {
			w.At(at, "somebody sets it to lost", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		}
		lost(10 * time.Hour)
		w.runs(10*time.Hour + time.Minute)
		lost(10*time.Hour + 3*time.Minute)
		w.runs(10*time.Hour + 4*time.Minute)
		w.runs(10*time.Hour + 40*time.Minute)
		w.runs(13 * time.Hour)
		w.At(14*time.Hour, "look", func() {
			if k := w.open1(); !k.Fought {
				t.Errorf("the case is %+v", k)
			}
		})
		var refused *replied
		w.At(15*time.Hour, "said to be put right, which it is not", func() { refused = w.decide("1", 1, workflows.DecideByHand) })
		var done *replied
		w.At(16*time.Hour, "ours is right", func() { done = w.decide("1", 1, workflows.DecideRepair) })
		w.Run(17 * time.Hour)
		if !strings.Contains(refused.Refused, "still says the same") || done.Refused != "" || done.Err != nil {
			t.Errorf("by hand was answered %+v, and repair %+v", refused, done)
		}
		if n := w.upserts(10 * time.Hour); n != 2 || w.story("1").Deal != "won" {
			t.Errorf("it was written %d times, and the deal is %s", n, w.story("1").Deal)
		}
	})
}

// Repairs that are far apart are no fight.
func TestMend_NowAndThen_Repaired(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{}, allAuto)
		for n := range 4 {
			at := 10*time.Hour + time.Duration(n)*20*time.Hour
			w.At(at, "somebody sets it to lost", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
			w.runs(at + time.Minute)
		}
		w.Run(75 * time.Hour)
		if n := w.upserts(10 * time.Hour); n != 4 || w.story("1").Deal != "won" {
			t.Errorf("it was written %d times, and the deal is %s", n, w.story("1").Deal)
		}
	})
}

// One write of the CRM has stage and revenue in it. A repair of one leaves the other as
// it is there, whatever keeps that one from being repaired.
func TestMend_OneFieldOfSeveral_TheOthersStay(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"ask", "report", "ignore"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := kept(t, virtual.Options{}, allAuto+"fields:\n  crm.revenue: {mode: "+mode+"}\n")
				w.At(10*time.Hour, "both are edited", func() {
					w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
					w.edit(w.CRM, `{"order":"1","revenue":9000}`)
				})
				w.runs(11 * time.Hour)
				w.runs(12 * time.Hour)
				w.At(13*time.Hour, "look", func() {
					if s := w.story("1"); s.Deal != "won" || s.Revenue != 9000 {
						t.Errorf("the deal is %s with %d", s.Deal, s.Revenue)
					}
					cases, err := w.Client.Cases(context.Background(), "1", true)
					w.Check(err)
					if open := len(cases) == 1 && cases[0].Open(); open != (mode == "ask") {
						t.Errorf("the cases are %+v", cases)
					}
				})
				w.Run(14 * time.Hour)
			})
		})
	}
	t.Run("switched off", func(t *testing.T) {
		t.Parallel()
		virtual.Bubble(t, func(t *testing.T) {
			w := kept(t, virtual.Options{}, allAuto)
			w.At(9*time.Hour, "off", func() { w.switchOff("crm.revenue") })
			w.At(10*time.Hour, "both are edited", func() {
				w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
				w.edit(w.CRM, `{"order":"1","revenue":9000}`)
			})
			w.runs(11 * time.Hour)
			w.Run(13 * time.Hour)
			if s := w.story("1"); s.Deal != "won" || s.Revenue != 9000 {
				t.Errorf("the deal is %s with %d", s.Deal, s.Revenue)
			}
		})
	})
}

// What a person let stand stays when another field is repaired, and when the order
// itself writes something else.
func TestMend_LetStand_StaysThroughOtherWrites(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{}, allAuto+"fields:\n  crm.revenue: {mode: ask}\n  crm.deal: {mode: ask}\n")
		w.At(10*time.Hour, "revenue", func() { w.edit(w.CRM, `{"order":"1","revenue":9000}`) })
		w.runs(11 * time.Hour)
		w.At(12*time.Hour, "accept", func() { w.decide("1", 1, workflows.DecideAccept) })
		w.At(12*time.Hour+10*time.Minute, "stage", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		w.runs(13 * time.Hour)
		w.At(14*time.Hour, "ours", func() {
			w.decide("1", 2, workflows.DecideRepair)
		})
		w.At(15*time.Hour, "look", func() {
			if s := w.story("1"); s.Deal != "won" || s.Revenue != 9000 {
				t.Errorf("the deal is %s with %d", s.Deal, s.Revenue)
			}
		})
		w.Run(16 * time.Hour)
	})
}

// A difference of which more becomes known is one: its clock and its case go on.
func TestMend_SituationChanges_OneClockAndOneCase(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := kept(t, virtual.Options{Cases: r.settings()}, "mode: ask\nreturn_window: 240h\n")
		w.At(10*time.Hour, "another revenue", func() { w.edit(w.CRM, `{"order":"1","revenue":9000}`) })
		w.runs(10*time.Hour + 10*time.Minute)
		w.At(12*time.Hour, "and none", func() { w.edit(w.CRM, `{"order":"1","revenue":0}`) })
		w.runs(12*time.Hour + 10*time.Minute)
		var d *replied
		w.At(13*time.Hour, "said to be put right", func() {
			k := w.open1()
			if k.N != 1 || k.Step.Break.ID() != "crm.revenue.missing" || k.Opened.After(w.Moment(11*time.Hour)) {
				t.Errorf("the case is %+v", k)
			}
			breaks := w.Verdict("1").Breaks
			if len(breaks) != 1 || breaks[0].FirstSeen.After(w.Moment(11*time.Hour)) {
				t.Errorf("the breaks are %+v", breaks)
			}
			d = w.decide("1", 1, workflows.DecideByHand)
		})
		w.At(14*time.Hour, "put right", func() { w.edit(w.CRM, `{"order":"1","revenue":9980}`) })
		w.runs(15 * time.Hour)
		w.At(15*time.Hour+30*time.Minute, "look", func() {
			if m := w.Verdict("1").Mended; len(m) != 1 || m[0].Verified.Before(w.Moment(14*time.Hour)) {
				t.Errorf("mended is %+v", m)
			}
		})
		w.Run(16 * time.Hour)
		if !strings.Contains(d.Refused, "still says the same") {
			t.Errorf("by hand was taken: %+v", d)
		}
		r.said("case.opened", "case.changed", "case.closed")
	})
}

// Only what was repaired has a time of its repair.
func TestMend_AnotherBreakOfTheSystem_IsNotSaidToBeRepaired(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{}, allAuto+"fields:\n  erp.invoices: {strength: enforce}\n")
		w.At(10*time.Hour, "an invoice goes, and a receipt comes", func() {
			w.edit(w.ERP, `{"order":"1","kind":"invoice","delete":true}`)
			w.edit(w.ERP, `{"order":"1","amount":500}`)
		})
		w.runs(11 * time.Hour)
		w.At(12*time.Hour, "look", func() {
			v := w.Verdict("1")
			if len(v.Breaks) == 0 || len(v.Mended) == 0 || v.Mended[0].Repaired.IsZero() {
				t.Errorf("breaks %+v, mended %+v", v.Breaks, v.Mended)
			}
			for _, b := range v.Breaks {
				if !b.Repaired.IsZero() {
					t.Errorf("nobody repaired %s: %s", b.ID(), b.Clock())
				}
			}
		})
		w.Run(13 * time.Hour)
	})
}

// Who deleted a contact may have had to: it is not made again without a word.
func TestMend_ContactDeleted_Asked(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{}, allAuto)
		w.At(10*time.Hour, "deleted", func() { w.edit(w.CRM, `{"order":"1","contacts":0}`) })
		w.runs(11 * time.Hour)
		w.At(12*time.Hour, "look", func() {
			if k := w.open1(); k.Step.Break.Field != reconcile.CRMContact || !strings.Contains(k.Step.Why, "forgotten") {
				t.Errorf("the case is %+v", k)
			}
			if n := w.upserts(10 * time.Hour); n != 0 {
				t.Errorf("%d writes", n)
			}
		})
		w.Run(13 * time.Hour)
	})
}

// Stock that is still promised to it keeps an order from being called cancelled.
func TestMend_CancelledWithStockPromised_NotCancelledYet(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{Pace: byHand}, "mode: report\nreturn_window: 240h\n")
		w.At(time.Hour, "cancel", func() { w.cancel("1") })
		var before, held, after reconcile.Verdict
		w.At(2*time.Hour, "ask", func() { w.fresh("1", &before) })
		w.At(3*time.Hour, "edit", func() { w.edit(w.Inventory, `{"order":"1","reserved":{"MUG":2}}`) })
		w.At(4*time.Hour, "ask", func() { w.fresh("1", &held) })
		w.At(5*time.Hour, "edit", func() { w.edit(w.Inventory, `{"order":"1","delete":true}`) })
		w.At(6*time.Hour, "ask", func() { w.fresh("1", &after) })
		w.Run(7 * time.Hour)
		got := []string{fmt.Sprint(before.Outcome), fmt.Sprint(held.Outcome), fmt.Sprint(after.Outcome)}
		if want := []string{"cancelled", "in_progress", "cancelled"}; !slices.Equal(got, want) {
			t.Errorf("the verdicts are %q, want %q", got, want)
		}
	})
}

// A fight over the reservation of an order that has shipped is one case too.
func TestMend_FightOverAReservationOfWhatHasShipped_AskedOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := kept(t, virtual.Options{Cases: r.settings(), ReconcileEvery: 15 * time.Minute}, allAuto)
		for n := range 30 {
			w.At(30*time.Hour+time.Duration(n)*10*time.Minute+7*time.Minute, "an app reserves it again", func() {
				w.edit(w.Inventory, `{"order":"1","reserved":{"MUG":1}}`)
			})
		}
		w.At(36*time.Hour, "it fights", func() {
			if k := w.open1(); !k.Fought || k.N != 1 {
				t.Errorf("the case is %+v", k)
			}
			if n := len(w.effects(w.Inventory, order.Commit, "1")) + len(w.effects(w.Inventory, order.Release, "1")); n > 8 {
				t.Errorf("it was given up %d times", n)
			}
		})
		w.Run(37 * time.Hour)
		r.said("case.opened")
	})
}

// Two decisions about one system are both carried out, or the second one is refused
// while the first is being written, and can be made again.
func TestMend_TwoDecisionsAtOnce_NoneLost(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{}, "mode: ask\nreturn_window: 240h\n")
		w.At(10*time.Hour, "both are edited", func() {
			w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
			w.edit(w.CRM, `{"order":"1","revenue":9000}`)
		})
		w.runs(11 * time.Hour)
		var one, other *replied
		w.At(12*time.Hour, "both are decided", func() {
			w.inject(w.CRM, simulator.Fault{Operation: order.Upsert, Kind: simulator.Unavailable, Times: 3})
			one, other = w.decide("1", 1, workflows.DecideRepair), w.decide("1", 2, workflows.DecideRepair)
		})
		w.At(14*time.Hour, "look", func() {
			s := w.story("1")
			if both := s.Deal == "won" && s.Revenue == 9980; both == (strings.Contains(one.Refused+other.Refused, "is being written")) {
				t.Errorf("the deal is %s with %d after %+v and %+v", s.Deal, s.Revenue, one, other)
			}
		})
		w.Run(15 * time.Hour)
	})
}

// What somebody deleted is not made again by a repair of something else, neither while
// a person is asked nor after they let it be.
func TestMend_ContactDeleted_NotMadeAgainByOtherRepairs(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{}, allAuto)
		w.At(10*time.Hour, "deleted, and a cart is open again", func() {
			w.edit(w.CRM, `{"customer":"c-1","cart":"cart-9"}`)
			w.edit(w.CRM, `{"order":"1","contacts":0}`)
		})
		w.runs(11 * time.Hour)
		there := func() int {
			seen, err := w.CRM.Read("1")
			w.fatal(err)
			return len(seen.Contacts)
		}
		w.At(12*time.Hour, "let it be", func() {
			if n := there(); n != 0 {
				t.Errorf("%d contacts while a person is asked", n)
			}
			w.decide("1", w.open1().N, workflows.DecideAccept)
		})
		w.At(13*time.Hour, "the deal is edited", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		w.runs(14 * time.Hour)
		w.At(15*time.Hour, "look", func() {
			if n, deal := there(), w.story("1").Deal; n != 0 || deal != "won" {
				t.Errorf("%d contacts, and the deal is %s", n, deal)
			}
		})
		w.Run(16 * time.Hour)
	})
}

// Nor by the order's own next update, while a person is asked; what they decide is done.
func TestMend_ContactDeleted_NotMadeAgainByTheNextUpdate(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{}, allAuto)
		w.At(20*time.Hour, "deleted", func() { w.edit(w.CRM, `{"order":"1","contacts":0}`) })
		w.runs(21 * time.Hour)
		there := func() int {
			seen, err := w.CRM.Read("1")
			w.fatal(err)
			return len(seen.Contacts)
		}
		var decided *replied
		w.At(22*time.Hour, "a part is refunded", func() { w.refund("1", "r-1", 1000) })
		w.At(24*time.Hour, "look", func() {
			if n, revenue := there(), w.story("1").Revenue; n != 0 || revenue != 8980 {
				t.Errorf("%d contacts, and the revenue is %d", n, revenue)
			}
			decided = w.decide("1", w.open1().N, workflows.DecideRepair)
		})
		w.At(25*time.Hour, "look again", func() {
			if decided.Refused != "" || decided.Err != nil {
				t.Errorf("the decision was answered %+v", decided)
			}
			if n := there(); n != 1 {
				t.Errorf("%d contacts after it was decided", n)
			}
		})
		w.Run(26 * time.Hour)
	})
}

// Nor is a deal that somebody deleted, and that is only reported.
func TestMend_DealDeleted_NotMadeAgainByOtherRepairs(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{}, allAuto+"fields:\n  crm.deal: {mode: report}\n")
		w.At(10*time.Hour, "deleted, and a cart is open again", func() {
			w.edit(w.CRM, `{"customer":"c-1","cart":"cart-9"}`)
			w.edit(w.CRM, `{"order":"1","delete":"deal"}`)
		})
		report := w.runAt(11*time.Hour, workflows.ReconcileInput{})
		w.At(12*time.Hour, "look", func() {
			seen, err := w.CRM.Read("1")
			w.fatal(err)
			for _, d := range seen.Deals {
				if d.Stage == "won" {
					t.Errorf("the deal is there again: %+v\n%v", d, report.Lines)
				}
			}
		})
		w.Run(13 * time.Hour)
	})
}

// All reservations of an order are written at once, so that none is where one must not
// be.
func TestMend_ReservationsOfOneOrder_AllOrNone(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{Pace: byHand}, allAuto)
		w.At(time.Hour, "off", func() { w.switchOff("inventory.reserved.missing") })
		w.At(2*time.Hour, "one is gone, one is too small", func() {
			w.edit(w.Inventory, `{"order":"1","reserved":{"MUG":1,"TSHIRT":0}}`)
		})
		w.runs(3 * time.Hour)
		w.At(4*time.Hour, "on", func() {
			if n := len(w.effects(w.Inventory, order.Reserve, "1")); n != 2 {
				t.Errorf("%d reservations were made in all", n)
			}
			w.Later(func(ctx context.Context) {
				_, err := w.Client.Switch(ctx, reconciliation.Stop{Kind: "inventory.reserved.missing", By: "ada", Reason: "looked"})
				w.Check(err)
			})
		})
		w.runs(5 * time.Hour)
		w.At(6*time.Hour, "look", func() {
			if got := w.story("1").Reserved; got != 3 {
				t.Errorf("%d pieces are reserved", got)
			}
		})
		w.Run(7 * time.Hour)
	})
}

// What is reserved beyond what is promised is given up, and nothing else of it.
func TestMend_SurplusReserved_OnlyThatIsGivenUp(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{Pace: byHand}, allAuto)
		w.At(2*time.Hour, "somebody reserves more", func() { w.edit(w.Inventory, `{"order":"1","reserved":{"MUG":3,"TSHIRT":1}}`) })
		w.runs(3 * time.Hour)
		w.At(4*time.Hour, "give it up", func() { w.decide("1", w.open1().N, workflows.DecideRepair) })
		w.At(5*time.Hour, "look", func() {
			if s := w.story("1"); s.Reserved != 3 {
				t.Errorf("%d pieces are reserved", s.Reserved)
			}
			if n := len(w.effects(w.Inventory, order.Reserve, "1")); n != 2 {
				t.Errorf("%d reservations were made: all was given up in between", n)
			}
		})
		w.Run(6 * time.Hour)
	})
}

// A repair that its system refuses is tried a few times a day, and then a person is
// asked.
func TestMend_SystemRefuses_TriedAFewTimes(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{ReconcileEvery: 15 * time.Minute}, allAuto)
		w.At(10*time.Hour, "edited, and nothing can be written", func() {
			w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
			w.inject(w.CRM, simulator.Fault{Operation: order.Upsert, Kind: simulator.Rejected, Times: -1})
		})
		w.At(18*time.Hour, "look", func() {
			all, err := w.CRM.Frame().Ledger(0, "1")
			w.fatal(err)
			n := 0
			for _, e := range all {
				if e.Kind == simulator.EntryRequest && e.Operation == order.Upsert && e.Status >= 400 {
					n++
				}
			}
			if n < 1 || n > 4 {
				t.Errorf("it was tried %d times", n)
			}
			cases, err := w.Client.Cases(context.Background(), "1", false)
			w.Check(err)
			if !slices.ContainsFunc(cases, func(k reconcile.Case) bool { return k.Fought && k.Step.Break.Field == reconcile.CRMDeal }) {
				t.Errorf("the cases are %+v", cases)
			}
		})
		w.Run(19 * time.Hour)
	})
}

// What has left the warehouse is not requested once more when its record is gone: a
// person is asked, and when they let it be gone nothing more is expected of it.
func TestMend_ShippedAndItsRecordGone_AskedAndNotRequestedAgain(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]string{
		"deleted": `{"order":"1","delete":true}`, "another reference": `{"order":"1","reference":"archive"}`,
	} {
		for when, at := range map[string]time.Duration{"on its way": 10 * time.Hour, "delivered": 40 * time.Hour} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				virtual.Bubble(t, func(t *testing.T) {
					w := open(t, virtual.Options{Policy: allAuto})
					w.submit(0, anOrder("1"))
					w.At(at, "its record is gone", func() { w.edit(w.Warehouse, edit) })
					w.runs(at + 2*time.Hour)
					var let *replied
					w.At(at+4*time.Hour, "a person lets it be gone", func() {
						if k := w.open1(); k.Step.Break.Field != reconcile.WarehouseShipment || k.Step.Break.Expected != "shipped" {
							t.Errorf("the case is %+v", k.Step)
						}
						let = w.decide("1", 1, workflows.DecideAccept)
					})
					w.runs(at + 6*time.Hour)
					w.At(at+20*time.Hour, "look", func() {
						w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed)
					})
					w.Run(16 * day)
					w.took("the decision", let)
					w.closedAs("1", order.PhaseClosed)
					for _, e := range w.effects(w.Warehouse, order.Request, "1") {
						if e.At.After(w.Moment(at)) {
							t.Errorf("requested again at %s under %s", e.At.Sub(virtual.Start), e.Key)
						}
					}
				})
			})
		}
	}
}

// A lost parcel that is sent once more has left all the same: its record may go.
func TestMend_SentOnceMoreAndTheFirstRecordGone_OneParcelMore(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto})
		w.submit(0, anOrder("1"))
		w.lose("1", 4*time.Hour)
		w.At(6*time.Hour, "sent once more", func() { w.decide("1", w.theCase("1", reconcile.WarehouseShipped), workflows.DecideShip) })
		w.At(40*time.Hour, "the first record is gone", func() {
			w.edit(w.Warehouse, `{"shipment":"order/1/request/1","delete":true}`)
		})
		w.runs(42 * time.Hour)
		w.At(60*time.Hour, "look", func() {
			if k := w.open1(); k.Step.Break.Field != reconcile.WarehouseShipment {
				t.Errorf("the case is %+v", k.Step)
			}
			if all := w.shipments("1"); len(all) != 1 {
				t.Errorf("the shipments are %+v", all)
			}
		})
		w.Run(61 * time.Hour)
	})
}

// Of a request that left in part all records are gone: what has left is let be gone,
// and what has not is requested anew.
func TestMend_PartShippedAndAllRecordsGone_TheRestIsRequestedAnew(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto, Pace: byHand})
		w.submit(0, granted())
		w.twoParcels("1")
		w.At(4*time.Hour, "all records are gone", func() {
			for range w.shipments("1") {
				w.edit(w.Warehouse, `{"order":"1","delete":true}`)
			}
		})
		w.runs(5 * time.Hour)
		var let *replied
		w.At(6*time.Hour, "a person lets them be gone", func() {
			if all := w.shipments("1"); len(all) != 0 {
				t.Errorf("the shipments are %+v", all)
			}
			let = w.decide("1", w.theCase("1", reconcile.WarehouseShipment), workflows.DecideAccept)
		})
		w.At(8*time.Hour, "look", func() {
			if all := w.shipments("1"); len(all) != 1 || all[0].Key != "order/1/request/2" || len(all[0].Lines) != 1 {
				t.Errorf("the shipments are %+v", all)
			}
		})
		w.Run(9 * time.Hour)
		w.took("the decision", let)
	})
}

// What was packed when its record went may have left: a person is asked, and has it
// requested again as a new one.
func TestMend_PackedAndItsRecordGone_Asked(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto, Pace: byHand})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "packed", func() { w.work("1", 1, "packed") })
		w.At(2*time.Hour, "its record is gone", func() { w.edit(w.Warehouse, `{"order":"1","delete":true}`) })
		w.runs(3 * time.Hour)
		var again *replied
		w.At(4*time.Hour, "it had not left", func() {
			if all := w.shipments("1"); len(all) != 0 {
				t.Errorf("the shipments are %+v", all)
			}
			again = w.decide("1", w.theCase("1", reconcile.WarehouseShipment), workflows.DecideRepair)
		})
		w.At(5*time.Hour, "look", func() {
			if all := w.shipments("1"); len(all) != 1 || all[0].Key != "order/1/request/2" {
				t.Errorf("the shipments are %+v", all)
			}
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
		})
		w.Run(6 * time.Hour)
		w.took("the decision", again)
	})
}

// stopsWhile turns a kind off as soon as a system's last fault has struck, and has the
// system down from then on, until an hour later.
func (w *world) stopsWhile(at time.Duration, d simulator.Desk, kind string) {
	var watch func()
	watch = func() {
		if all := d.Frame().Faults(); all[len(all)-1].Fired == 0 {
			w.After(200*time.Millisecond, "watch", watch)
			return
		}
		w.switchOff(kind)
		w.inject(d, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
	}
	w.At(at, "watch", watch)
	w.At(at+time.Hour, "it is back", func() { d.Frame().Clear("*") })
}

// switchOn lets a kind be repaired again.
func (w *world) switchOn(kind string) {
	w.Later(func(ctx context.Context) {
		_, err := w.Client.Switch(ctx, reconciliation.Stop{Kind: kind, By: "ada", Reason: "looked"})
		w.Check(err)
	})
}

// A request whose repair is stopped at the last hop stays the request that it was: it
// is not made all the same as a new one, which has no grant and obeys no switch.
func TestMend_RequestRepairStopped_NotRequestedAnew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault simulator.Fault
		line  string
		live  int // before the switch is on again
	}{
		"before it was sent":    {simulator.Fault{Operation: order.Request, Kind: simulator.RateLimited}, "stopped before it was sent: ", 0},
		"when it may have been": {simulator.Fault{Operation: order.Request, Kind: simulator.ResponseLost, Skip: 1}, "stopped when it may have been done: ", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := kept(t, virtual.Options{Pace: byHand}, allAuto)
				w.At(2*time.Hour, "somebody deletes the request", func() {
					w.edit(w.Warehouse, `{"order":"1","delete":true}`)
					w.inject(w.Warehouse, test.fault)
				})
				run := w.runAt(3*time.Hour, workflows.ReconcileInput{})
				w.stopsWhile(3*time.Hour, w.Warehouse, "warehouse.shipment")
				live := func() (n int) {
					for _, sh := range w.shipments("1") {
						if sh.State != "draft" {
							n++
						}
					}
					return n
				}
				w.At(5*time.Hour, "look", func() {
					if run.Repaired != 0 || run.Left != 1 || !strings.Contains(strings.Join(run.Lines, "\n"), test.line) {
						t.Errorf("%d repaired, %d left: %q", run.Repaired, run.Left, run.Lines)
					}
					if n := live(); n != test.live {
						t.Errorf("%d live shipments while the switch is off", n)
					}
					w.switchOn("warehouse.shipment")
				})
				w.runs(6 * time.Hour)
				w.At(7*time.Hour, "look", func() {
					if n := live(); n != 1 {
						t.Errorf("%d live shipments in the end", n)
					}
					for _, e := range w.effects(w.Warehouse, order.Request, "1") {
						if e.Key != "order/1/request/1" {
							t.Errorf("requested as %s at %s", e.Key, e.At.Sub(virtual.Start))
						}
					}
					w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
				})
				w.Run(8 * time.Hour)
			})
		})
	}
}

// A promise whose repair was stopped stays one: what depends on it goes on.
func TestMend_ReserveRepairStopped_LostParcelIsSentOnceMore(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := kept(t, virtual.Options{Pace: byHand}, allAuto)
		w.At(2*time.Hour, "somebody deletes the reservations", func() {
			w.edit(w.Inventory, `{"order":"1","reserved":{"MUG":0,"TSHIRT":0}}`)
			w.inject(w.Inventory, simulator.Fault{Operation: order.Reserve, Kind: simulator.Unavailable})
		})
		w.runs(3 * time.Hour)
		w.stopsWhile(3*time.Hour, w.Inventory, "inventory.reserved")
		w.At(5*time.Hour, "it leaves", func() { w.work("1", 1, "shipped") })
		w.lose("1", 7*time.Hour)
		w.At(9*time.Hour, "sent once more", func() { w.decide("1", w.theCase("1", reconcile.WarehouseShipped), workflows.DecideShip) })
		w.At(10*time.Hour, "look", func() {
			if all := w.shipments("1"); len(all) != 2 {
				t.Errorf("the shipments are %+v", all)
			}
		})
		w.Run(11 * time.Hour)
	})
}
