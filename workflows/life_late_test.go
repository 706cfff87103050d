package workflows_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
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

// What comes late: after the warehouse has packed, after the goods have left,
// after money went back, after the engine has forgotten the order.

// forgetful is an engine that loses its memory of one order: from then on the
// order's workflow has never been there.
type forgetful struct {
	starters.Engine
	of   string // the workflow
	anew string // what takes its place
	lost atomic.Bool
}

func (f *forgetful) now(id string) string {
	if id == f.of && f.lost.Load() {
		return f.anew
	}
	return id
}

func (f *forgetful) Submit(ctx context.Context, s starters.Start, m starters.Message, result any) error {
	s.ID = f.now(s.ID)
	return f.Engine.Submit(ctx, s, m, result)
}

func (f *forgetful) Message(ctx context.Context, id string, m starters.Message, result any) error {
	return f.Engine.Message(ctx, f.now(id), m, result)
}

func (f *forgetful) Query(ctx context.Context, id, name string, argument, result any) error {
	return f.Engine.Query(ctx, f.now(id), name, argument, result)
}

func (f *forgetful) Result(ctx context.Context, id string, result any) error {
	return f.Engine.Result(ctx, f.now(id), result)
}

// List shows what took the order's place as the order, and not what was forgotten.
func (f *forgetful) List(ctx context.Context, query string, limit int, page []byte) ([]starters.Listed, []byte, error) {
	if !f.lost.Load() {
		return f.Engine.List(ctx, query, limit, page)
	}
	all, next, err := f.Engine.List(ctx, strings.ReplaceAll(query, "'"+f.of+"'", "'"+f.anew+"'"), limit, page)
	all = slices.DeleteFunc(all, func(l starters.Listed) bool { return l.ID == f.of })
	for i := range all {
		if all[i].ID == f.anew {
			all[i].ID = f.of
		}
	}
	return all, next, err
}

// anew is the id under which the engine here keeps what took an order's place.
func anew(of order.ID) order.ID { return of + "-anew" }

// forgets lets the engine forget an order at an age, and somebody submit it once
// more.
func (w *world) forgets(age time.Duration, o order.Order) *virtual.Answer {
	f := &forgetful{Engine: w.Client.Engine, of: workflows.OrderWorkflowID(o.ID), anew: workflows.OrderWorkflowID(anew(o.ID))}
	w.Client.Engine = f
	w.At(age, "the engine loses its memory", func() { f.lost.Store(true) })
	return w.submit(age+10*time.Minute, o)
}

// adopted says that an order which was forgotten at an age, as it is here, and
// submitted again has ended as before, and that nothing of it was done again.
func (w *world) adopted(age time.Duration, o order.Order, want story) {
	w.t.Helper()
	before := 0
	w.At(age-time.Hour, "what was written", func() {
		if w.Closed(o.ID) == nil {
			w.t.Errorf("order %s is still open when it is to be forgotten", o.ID)
		}
		before = w.written(o.ID)
	})
	answer := w.forgets(age, o)
	w.At(age+time.Hour, "look", func() {
		w.stands(o.ID, order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed)
	})
	w.idle(age+3*day-time.Hour, o.ID)
	w.Run(age + 3*day)
	w.expect(o.ID, want)
	if after := w.written(o.ID); after != before {
		w.t.Errorf("%d effects followed on the adoption", after-before)
	}
	if answer.Err != nil {
		w.t.Errorf("submitted again, the answer is %+v", answer)
	}
	s := w.closedAs(anew(o.ID), order.PhaseClosed)
	if !s.Adopted || len(s.Cases)+len(s.Questions) != 0 {
		w.t.Errorf("adopted: %v; the cases are %+v, the questions %+v", s.Adopted, s.Cases, s.Questions)
	}
}

// longAgo is when a forgotten order is submitted again: past the horizon of what
// an engine without memory takes for new.
const longAgo = 20 * day

// aged opens a world in which weeks pass: goods that were announced are back a
// day later.
func aged(t *testing.T, pace warehouse.Pace) *world {
	t.Helper()
	pace.Return = day
	return open(t, virtual.Options{Policy: "mode: auto\nreturn_window: 48h\n", Pace: pace, FollowEvery: 167 * time.Minute})
}

func TestAdopted_PartlyReturned_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		w.At(30*time.Hour, "the shirt does not fit", func() { w.took("the return", w.sendBack("1", "a", pieces(2, 1))) })
		w.adopted(longAgo, anOrder("1"), returned(4480, 98, 100))
	})
}

func TestAdopted_TwoReturnsOfEqualWorth_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		for i, id := range []string{"a", "b"} {
			w.At(30*time.Hour+time.Duration(i)*time.Minute, "a mug goes back", func() { w.took("the return", w.sendBack("1", id, pieces(1, 1))) })
		}
		want := returned(5000, 100, 99)
		want.Returns, want.Mails = []string{"done", "done"}, append(want.Mails, "refund")
		w.adopted(longAgo, anOrder("1"), want)
	})
}

func TestAdopted_PartlyReturnedAndNobodyAnnouncedIt_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		w.At(30*time.Hour, "a parcel comes back", func() {
			w.edit(w.Warehouse, `{"order":"1","return":{"unannounced":true,"lines":[{"sku":"TSHIRT","quantity":1}],"state":"restocked"}}`)
		})
		w.adopted(longAgo, anOrder("1"), returned(4480, 98, 100))
	})
}

func TestAdopted_ReturnAnnouncedAfterOneThatNobodyAnnounced_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		w.At(30*time.Hour, "a parcel comes back", func() {
			w.edit(w.Warehouse, `{"order":"1","return":{"unannounced":true,"lines":[{"sku":"TSHIRT","quantity":1}],"state":"restocked"}}`)
		})
		w.At(36*time.Hour, "a mug goes back", func() { w.took("the return", w.sendBack("1", "a", pieces(1, 1))) })
		want := returned(6980, 99, 100)
		want.Returns, want.Mails = []string{"done", "done"}, append(want.Mails, "refund")
		w.adopted(longAgo, anOrder("1"), want)
	})
}

func TestAdopted_WhollyReturned_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		w.At(30*time.Hour, "all of it goes back", func() { w.took("the return", w.sendBack("1", "a", pieces(1, 2), pieces(2, 1))) })
		w.adopted(longAgo, anOrder("1"), returned(9980, 100, 100))
	})
}

func TestAdopted_RefundedInPart_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]order.Order{"captured when it ships": anOrder("1"), "captured at once": atOnce(visa)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := aged(t, warehouse.DefaultPace())
				w.submit(0, o)
				w.At(5*time.Hour, "a person gives a part back", func() { w.took("the refund", w.refund("1", "a", 1000)) })
				w.At(6*time.Hour, "somebody does so at the gateway", func() { w.edit(w.Payment, `{"order":"1","refunded":3500}`) })
				want := refunded(3500)
				want.Mails = append(want.Mails, "refund", "refund")
				w.adopted(longAgo, o, want)
			})
		})
	}
}

func TestAdopted_RefundedWholly_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		w.At(5*time.Hour, "a person gives all of it back", func() { w.took("the refund", w.refund("1", "a", 0)) })
		want := refunded(9980)
		want.Mails = append(want.Mails, "refund")
		w.adopted(longAgo, anOrder("1"), want)
	})
}

func TestAdopted_RefundThatFailedAndWasRepeated_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		w.At(5*time.Hour, "a part", func() { w.took("the refund", w.refund("1", "a", 1000)) })
		w.At(10*time.Hour, "the bank sends it back", func() { w.edit(w.Payment, `{"order":"1","refund":"failed"}`) })
		w.At(12*time.Hour, "once more", func() {
			w.took("the decision", w.decide("1", w.theCase("1", reconcile.PaymentRefunded), workflows.DecideRepair))
		})
		want := refunded(1000)
		want.Mails = append(want.Mails, "refund")
		w.adopted(longAgo, anOrder("1"), want)
	})
}

func TestAdopted_LineDropped_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]order.Order{"captured when it ships": anOrder("1"), "captured at once": atOnce(visa)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := aged(t, warehouse.DefaultPace())
				w.submit(0, o)
				w.At(30*time.Minute, "no shirt", func() {
					w.took("the amendment", w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}}))
				})
				want := withoutShirt()
				want.Shipments = []string{"cancelled", "delivered"}
				if o.Payment.Capture == order.CaptureAtOnce {
					want = want.money(9980, 4480)
					want.Mails = []string{"confirmation", "refund", "shipped"}
				}
				w.adopted(longAgo, o, want)
			})
		})
	}
}

func TestAdopted_RestDroppedAfterTheFirstParcel_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.Pace{})
		w.submit(0, granted())
		w.twoParcels("1")
		w.At(4*time.Hour, "no shirt", func() {
			w.took("the amendment", w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(2, 1)}}))
		})
		want := withoutShirt()
		want.Shipments = []string{"delivered", "cancelled"}
		w.adopted(longAgo, granted(), want)
	})
}

func TestAdopted_TwoParcelsAndAReturn_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.Pace{})
		w.submit(0, granted())
		w.twoParcels("1")
		w.leaves(9*time.Hour, "1", 2)
		w.At(40*time.Hour, "the shirt goes back", func() { w.took("the return", w.sendBack("1", "a", pieces(2, 1))) })
		want := inTwo().money(9980, 4480)
		want.Credited, want.Returns, want.Mails = 4480, []string{"done"}, append(want.Mails, "refund")
		want.Levels, want.OnHand = stock(98, 100), stock(98, 100)
		w.adopted(longAgo, granted(), want)
	})
}

func TestAdopted_DisputeLost_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		w.At(5*time.Hour, "the customer disputes it", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
		w.At(30*time.Hour, "it is lost", func() { w.edit(w.Payment, `{"order":"1","dispute":"lost"}`) })
		w.adopted(longAgo, anOrder("1"), afterDispute())
	})
}

func TestAdopted_PaidTwice_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, atOnce(visa))
		w.At(10*time.Minute, "the customer pays once more", func() {
			_, err := w.Payment.Start("1", checkout(visa))
			w.Check(err)
		})
		want := delivered()
		want.Captured, want.Refunded, want.Attempts = 2*9980, 9980, 2
		w.adopted(longAgo, atOnce(visa), want)
	})
}

func TestAdopted_OneOfTwoParcelsLostAndGivenBack_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.Pace{})
		w.submit(0, granted())
		w.twoParcels("1")
		w.At(5*time.Hour, "the second parcel leaves", func() { w.work("1", 2, "shipped") })
		w.lose("1", 6*time.Hour)
		w.At(9*time.Hour, "a person decides", func() {
			w.took("the decision", w.decide("1", w.theCase("1", reconcile.WarehouseShipped), workflows.DecideRefund))
		})
		want := inTwo().money(9980, 4480)
		want.Credited, want.Shipments, want.Mails = 4480, []string{"delivered", "done"}, append(want.Mails, "refund")
		w.adopted(longAgo, granted(), want)
	})
}

func TestAdopted_LostAndSentOnceMore_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		w.lose("1", 4*time.Hour)
		w.At(8*time.Hour, "a person decides", func() {
			w.took("the decision", w.decide("1", w.theCase("1", reconcile.WarehouseShipped), workflows.DecideShip))
		})
		want := delivered()
		want.Shipments, want.Mails = []string{"done", "delivered"}, []string{"confirmation", "shipped", "shipped"}
		want.Levels, want.OnHand = stock(96, 98), stock(96, 98)
		w.adopted(longAgo, anOrder("1"), want)
	})
}

func TestAdopted_CancelledInTheMeantime_StaysCancelled(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.Pace{})
		w.submit(0, atOnce(visa))
		w.At(time.Hour, "cancelled", func() { w.cancel("1") })
		before := 0
		w.At(longAgo-time.Hour, "what was written", func() { before = w.written("1") })
		again := w.forgets(longAgo, atOnce(visa))
		w.idle(longAgo+day, "1")
		w.Run(longAgo + 2*day)
		want := takenBack()
		want.Captured, want.Refunded, want.Shipments = 9980, 9980, []string{"cancelled"}
		w.expect("1", want)
		if after := w.written("1"); after != before {
			t.Errorf("%d effects followed on the adoption", after-before)
		}
		if again.Err != nil || again.Outcome != reconcile.Cancelled {
			t.Errorf("submitted again, the answer is %+v", again)
		}
		w.closedAs(anew("1"), order.PhaseCancelled)
	})
}

// What is asked while an order is still looked up waits for that: what its systems
// say is not news, and nothing is decided on half of it.
func TestAdopted_AskedWhileTheERPCannotBeRead_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		w.submit(0, anOrder("1"))
		w.At(30*time.Hour, "the shirt does not fit", func() { w.took("the return", w.sendBack("1", "a", pieces(2, 1))) })
		w.At(longAgo, "the ERP is down", func() { w.inject(w.ERP, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1}) })
		w.At(longAgo+12*time.Minute, "a fresh verdict", func() {
			w.Later(func(ctx context.Context) {
				v, err := w.Client.Verdict(ctx, "1", true)
				w.Check(err)
				if v.Outcome != reconcile.InProgress || v.Agreement == reconcile.Agreed {
					t.Errorf("it is %s and %s\n%s", v.Outcome, v.Agreement, v.Table())
				}
			})
		})
		var amended *replied
		w.At(longAgo+14*time.Minute, "no shirt", func() {
			amended = w.amend("1", workflows.Amend{Asked: by("b"), Drop: []order.Quantity{pieces(2, 1)}})
		})
		w.At(longAgo+20*time.Minute, "a run", func() {
			w.Later(func(ctx context.Context) {
				report, err := w.Client.Reconcile(ctx, workflows.ReconcileInput{Orders: []order.ID{"1"}})
				w.Check(err)
				if !slices.Contains(report.Exceptions, "1") || report.Repaired+report.Cases != 0 {
					t.Errorf("the run says %+v", report)
				}
			})
		})
		w.At(longAgo+30*time.Minute, "the ERP is back", func() { w.ERP.Frame().Clear("*") })
		w.adopted(longAgo, anOrder("1"), returned(4480, 98, 100))
		w.refusedNow("an amendment", amended)
	})
}

// speechless is an engine whose reconciliation cannot be asked from some moment on.
type speechless struct {
	starters.Engine
	quiet atomic.Bool
}

func (s *speechless) Query(ctx context.Context, id, name string, argument, result any) error {
	if id == workflows.ReconciliationID && s.quiet.Load() {
		return errors.New("nobody answers")
	}
	return s.Engine.Query(ctx, id, name, argument, result)
}

// Where nobody can say since when the engine remembers, an order that was not placed
// just now is looked up first.
func TestAdopted_NobodySaysSinceWhenTheEngineRemembers_NothingIsDoneAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aged(t, warehouse.DefaultPace())
		s := &speechless{Engine: w.Client.Engine}
		w.Client.Engine = s
		w.submit(0, anOrder("1"))
		w.At(30*time.Hour, "the shirt does not fit", func() { w.took("the return", w.sendBack("1", "a", pieces(2, 1))) })
		w.At(6*day-2*time.Hour, "reconciliation cannot be asked", func() { s.quiet.Store(true) })
		w.At(6*day+2*time.Hour, "it can", func() { s.quiet.Store(false) })
		w.adopted(6*day, anOrder("1"), returned(4480, 98, 100))
	})
}

// What is under way when the memory is lost goes on where it was.
func TestAdopted_ReturnOnItsWay_PaidBackOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		pace := warehouse.DefaultPace()
		w := open(t, virtual.Options{Policy: "mode: auto\nreturn_window: 960h\n", Pace: pace, FollowEvery: 167 * time.Minute})
		w.submit(0, anOrder("1"))
		w.At(30*time.Hour, "the shirt does not fit", func() { w.took("the return", w.sendBack("1", "a", pieces(2, 1))) })
		w.forgets(longAgo, anOrder("1"))
		w.At(longAgo+5*time.Hour, "it came", func() { w.Check(w.Warehouse.Work("order/1/return/1", "restocked")) })
		w.idle(longAgo+day, "1")
		w.Run(longAgo + 45*day)
		w.expect("1", returned(4480, 98, 100))
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
			t.Errorf("given back %d times", n)
		}
		w.closedAs(anew("1"), order.PhaseClosed)
	})
}

// stopped lets a cancellation come too late, and somebody in the warehouse stop
// the parcel two hours later.
func (w *world) stopped(o order.Order) {
	w.submit(0, o)
	var asked *cancelled
	w.At(time.Hour, "packed, and cancelled too late", func() {
		w.work(o.ID, 1, "packed")
		asked = w.cancel(o.ID)
	})
	w.At(3*time.Hour, "somebody stops the parcel", func() {
		w.theCase(o.ID, reconcile.WarehouseShipment)
		if asked.Err != nil || asked.Cancelled || asked.Refused == "" {
			w.t.Errorf("the cancellation is answered %+v", asked)
		}
		w.work(o.ID, 1, "cancelled")
	})
}

// takenBackOnce says that a stopped order ended with nothing held, requested anew
// or left to a person.
func (w *world) takenBackOnce(o order.Order) {
	w.t.Helper()
	want := takenBack()
	want.Shipments = []string{"cancelled"}
	if o.Payment.Capture == order.CaptureAtOnce {
		want.Captured, want.Refunded = 9980, 9980
	}
	state := w.ends(2*day, o.ID, order.PhaseCancelled, want)
	for _, k := range state.Cases {
		if k.Open() {
			w.t.Errorf("case %d is left open: %s", k.N, k.Step.Why)
		}
	}
}

func TestCancel_RefusedAndTheParcelIsStopped_TakenBackOnce(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]order.Order{"held": anOrder("1"), "taken at once": atOnce(visa)} {
		for when, wait := range map[string]time.Duration{"told at once": time.Minute, "noticed before": 3 * time.Hour} {
			t.Run(name+", "+when, func(t *testing.T) {
				t.Parallel()
				virtual.Bubble(t, func(t *testing.T) {
					w := open(t, virtual.Options{Pace: byHand})
					w.stopped(o)
					var decided *replied
					w.At(3*time.Hour+wait, "and says so", func() { decided = w.decide("1", 1, workflows.DecideByHand) })
					w.takenBackOnce(o)
					w.took("the decision", decided)
				})
			})
		}
	}
}

func TestCancel_RefusedAndThenTheWarehouseGivesItUp_NotRequestedAnewByItself(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.stopped(anOrder("1"))
		var decided *replied
		w.At(6*time.Hour, "a person decides what became of the shipment", func() {
			if all := w.shipments("1"); len(all) != 1 {
				t.Errorf("nobody has decided, and the shipments are %+v", all)
			}
			cases := w.Verdict("1").Cases
			if len(cases) != 2 || cases[1].Step.Break.Item != "order/1/request/1" {
				t.Errorf("the open cases are %+v", cases)
				return
			}
			decided = w.decide("1", cases[1].N, workflows.DecideCancel)
		})
		w.takenBackOnce(anOrder("1"))
		w.took("the decision", decided)
	})
}

// A cancellation that came too late is asked for once more, in the same words, when the
// warehouse has given the parcel up: it is another wish, and is taken up.
func TestCancel_RefusedAndAskedAgainInTheSameWords_Granted(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.stopped(anOrder("1"))
		var again *cancelled
		w.At(6*time.Hour, "it is asked for again", func() { again = w.cancel("1") })
		w.takenBackOnce(anOrder("1"))
		if again.Err != nil || !again.Cancelled {
			t.Errorf("asked again it is answered %+v", again)
		}
	})
}

// requests is how often a system was asked for an operation, whatever it said.
func (w *world) requests(d simulator.Desk, operation order.Operation, of order.ID) int {
	w.t.Helper()
	all, err := d.Frame().Ledger(0, of)
	w.fatal(err)
	n := 0
	for _, e := range all {
		if e.Kind == simulator.EntryRequest && e.Operation == operation {
			n++
		}
	}
	return n
}

// Medusa makes no reservation smaller while more is reserved than stocked.
func TestRelease_RefusedWhileTheStockIsOversold_IsACaseAndDoneOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		var dropped, decided *replied
		w.At(time.Hour, "somebody sets the level below what is promised, and a mug is not wanted", func() {
			w.edit(w.Inventory, `{"sku":"MUG","stocked":0}`)
			dropped = w.amend("1", workflows.Amend{Asked: by("a"), Drop: []order.Quantity{pieces(1, 1)}})
		})
		w.At(5*time.Hour, "the level is mended, and a person decides", func() {
			n := w.theCase("1", "inventory.release")
			if n := w.requests(w.Inventory, order.Release, "1"); n > 3 {
				t.Errorf("inventory was asked %d times for what it refuses", n)
			}
			if s := w.story("1"); s.Reserved != 3 {
				t.Errorf("%d are reserved", s.Reserved)
			}
			w.edit(w.Inventory, `{"sku":"MUG","stocked":100}`)
			decided = w.decide("1", n, workflows.DecideRepair)
		})
		w.At(6*time.Hour, "look", func() {
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.Agreed)
			if s := w.story("1"); s.Reserved != 2 {
				t.Errorf("%d are reserved", s.Reserved)
			}
		})
		w.leaves(7*time.Hour, "1", newest)
		want := delivered().money(7480, 0)
		want.Invoiced, want.Levels, want.OnHand, want.Shipments = 7480, stock(99, 99), stock(99, 99), []string{"cancelled", "delivered"}
		w.ends(4*day, "1", order.PhaseClosed, want)
		w.took("the amendment", dropped)
		w.took("the decision", decided)
	})
}

func TestRelease_RefusedWhenTakenBack_BoundedAndFreeInTheEnd(t *testing.T) {
	t.Parallel()
	for name, times := range map[string]int{"once": 1, "again and again": 50} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Pace: byHand})
				w.inject(w.Inventory, simulator.Fault{Operation: order.Release, Kind: simulator.Rejected, Times: times})
				w.submit(0, anOrder("1"))
				w.At(time.Hour, "cancelled", func() { w.cancel("1") })
				w.At(5*time.Hour, "inventory lets go again", func() {
					if n := w.requests(w.Inventory, order.Release, "1"); n > 20 {
						t.Errorf("inventory was asked %d times for what it refuses", n)
					}
					w.Inventory.Frame().Clear("*")
					for _, k := range w.Verdict("1").Cases {
						w.decide("1", k.N, workflows.DecideRepair)
					}
				})
				want := takenBack()
				want.Shipments = []string{"cancelled"}
				w.ends(2*day, "1", order.PhaseCancelled, want)
			})
		})
	}
}

func TestOrder_CancelledInTheEngineAfterTheFirstParcel_GoesOnTruthfully(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, granted())
		w.twoParcels("1")
		w.At(4*time.Hour, "somebody cancels the workflow", func() { w.Cancel(workflows.OrderWorkflowID("1")) })
		var decided *replied
		w.At(5*time.Hour, "a person decides", func() {
			w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.NeedsPerson)
			if s := w.story("1"); s.Captured != 5500 || s.Refunded != 0 || s.Held != 4480 || s.Reserved != 1 || s.Invoiced != 5500 {
				t.Errorf("after the refused cancellation the systems say %+v", s)
			}
			decided = w.decide("1", w.theCase("1", reconcile.WarehouseShipment), workflows.DecideAccept)
		})
		w.At(6*time.Hour, "somebody cancels it again", func() { w.Cancel(workflows.OrderWorkflowID("1")) })
		w.leaves(7*time.Hour, "1", 2)
		state := w.ends(4*day, "1", order.PhaseClosed, inTwo())
		w.took("the decision", decided)
		if len(state.Cases) != 1 || state.Cancel == nil || state.Cancel.Refused == "" {
			t.Errorf("the cancellation is %+v, the cases are %+v", state.Cancel, state.Cases)
		}
	})
}

func TestRefund_SucceededAndFailsDaysLater_OneCreditNoteAndOneNotice(t *testing.T) {
	t.Parallel()
	for _, as := range []workflows.Decision{workflows.DecideRepair, workflows.DecideRefund} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: month, FollowEvery: 107 * time.Minute})
				w.submit(0, anOrder("1"))
				var decided *replied
				w.At(4*time.Hour, "a part", func() { w.took("the refund", w.refund("1", "a", 1000)) })
				w.At(3*day, "the bank sends it back", func() {
					if s := w.story("1"); s.Credited != 1000 || s.Received != 8980 || s.Owed != 0 {
						t.Errorf("before it came back the systems say %+v", s)
					}
					w.edit(w.Payment, `{"order":"1","refund":"failed"}`)
				})
				w.At(3*day+2*time.Hour, "a person decides", func() {
					w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.NeedsPerson)
					if s := w.story("1"); s.Refunded != 0 || s.Received != 9980 || s.Revenue != 9980 {
						t.Errorf("while the money is back here the systems say %+v", s)
					}
					decided = w.decide("1", w.theCase("1", reconcile.PaymentRefunded), as)
				})
				want := refunded(1000)
				want.Mails = append(want.Mails, "refund")
				state := w.ends(9*day, "1", order.PhaseClosed, want)
				w.took("the decision", decided)
				books, err := w.ERP.Holds("1")
				w.fatal(err)
				w.documents("credit notes", books.Credits, "EUR", -1000)
				w.documents("receipts", books.Receipts, "EUR", 9980, -1000, 1000, -1000)
				if n := len(w.effects(w.Payment, order.Refund, "1")); n != 2 || len(state.Cases) != 1 {
					t.Errorf("money was sent back %d times, want once and once more; the cases are %+v", n, state.Cases)
				}
			})
		})
	}
}

// A refund succeeds, fails days later, and so does the next one, or one of another
// amount goes out in its place. The customer has one credit note for all of it, of which
// only more than it says is credited, and one notice.
func TestRefund_FailsOnceMoreOrGoesOutOfAnotherAmount_CreditedOnceAndToldOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		again    bool
		amount   int64 // 0: the same
		credits  []int64
		receipts []int64
	}{
		"it fails once more": {true, 0, []int64{-1000}, []int64{9980, -1000, 1000, -1000, 1000, -1000}},
		"less goes out":      {false, 600, []int64{-1000}, []int64{9980, -1000, 1000, -600}},
		"more goes out":      {false, 1500, []int64{-1000, -500}, []int64{9980, -1000, 1000, -1500}},
		"both":               {true, 600, []int64{-1000}, []int64{9980, -1000, 1000, -1000, 1000, -600}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: month, FollowEvery: 107 * time.Minute})
				w.submit(0, anOrder("1"))
				w.At(4*time.Hour, "a part", func() { w.took("the refund", w.refund("1", "a", 1000)) })
				at := 3 * day
				fails := func() {
					w.At(at, "the bank sends it back", func() { w.edit(w.Payment, `{"order":"1","refund":"failed"}`) })
					at += 2 * time.Hour
				}
				var decided *replied
				fails()
				if test.again {
					w.At(at, "once more", func() { w.decide("1", w.theCase("1", reconcile.PaymentRefunded), workflows.DecideRepair) })
					at += 20 * time.Hour
					fails()
				}
				w.At(at, "a person decides", func() {
					decided = w.decideFor(w.theCase("1", reconcile.PaymentRefunded), test.amount)
				})
				back := cmp.Or(test.amount, 1000)
				want := refunded(back)
				want.Credited = max(back, 1000)
				want.Owed = back - want.Credited // what was credited and did not go back is still the customer's
				want.Mails = append(want.Mails, "refund")
				w.ends(9*day, "1", order.PhaseClosed, want)
				w.took("the decision", decided)
				books, err := w.ERP.Holds("1")
				w.fatal(err)
				w.documents("credit notes", books.Credits, "EUR", test.credits...)
				w.documents("receipts", books.Receipts, "EUR", test.receipts...)
			})
		})
	}
}

// asking is a policy by which a person decides what was taken twice.
const asking = "mode: auto\nreturn_window: 24h\nfields:\n  payment.attempts: {mode: ask}\n"

func TestPay_PaidTwiceAndAPersonRefundsAtTheGateway_CaseOverAndBooksRight(t *testing.T) {
	t.Parallel()
	for _, says := range []bool{true, false} {
		t.Run(map[bool]string{true: "and says so", false: "and tells nobody"}[says], func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: asking})
				w.submit(0, atOnce(visa))
				w.At(10*time.Minute, "the customer pays once more", func() {
					_, err := w.Payment.Start("1", checkout(visa))
					w.Check(err)
				})
				n := 0
				w.At(5*time.Hour, "a person gives the second back by hand", func() {
					w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.NeedsPerson)
					if s := w.story("1"); s.Refunded != 0 || s.Revenue != 9980 {
						t.Errorf("while a person is asked the systems say %+v", s)
					}
					n = w.theCase("1", reconcile.PaymentAttempts)
					w.edit(w.Payment, `{"order":"1","attempt":2,"refunded":9980}`)
				})
				var decided *replied
				if says {
					w.At(5*time.Hour+time.Second, "and says so", func() { decided = w.decide("1", n, workflows.DecideByHand) })
				}
				w.runs(6 * time.Hour)
				w.At(7*time.Hour, "look", func() { w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed) })
				want := delivered()
				want.Captured, want.Refunded, want.Attempts = 2*9980, 9980, 2
				state := w.ends(4*day, "1", order.PhaseClosed, want)
				if says && decided.Err != nil && !errors.Is(decided.Err, starters.ErrNotNow) { // it may be over by itself
					t.Errorf("the decision is answered %+v", decided)
				}
				if n := len(w.effects(w.Payment, order.Refund, "1")); n != 0 || len(state.Cases) != 1 || state.Cases[0].Open() {
					t.Errorf("we gave money back %d times; the cases are %+v", n, state.Cases)
				}
				books, err := w.ERP.Holds("1")
				w.fatal(err)
				w.documents("credit notes", books.Credits, "EUR")
			})
		})
	}
}

func TestPay_NotCapturedAfterItLeft_CustomerPaysByAnotherCardOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		var paid, again *replied
		w.inject(w.Payment, simulator.Fault{Operation: order.Capture, Kind: simulator.Refused, Times: -1})
		w.leaves(time.Hour, "1", 1)
		w.At(3*time.Hour, "it has left, and somebody lets its money go", func() {
			w.edit(w.Payment, `{"order":"1","void":true}`)
			w.Payment.Frame().Clear("*")
		})
		w.At(5*time.Hour, "the customer pays by another card", func() {
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.NeedsPerson)
			w.theCase("1", reconcile.PaymentCaptured)
			paid = w.attempt("1", "b", visa)
		})
		w.At(6*time.Hour, "and once more", func() {
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
			again = w.attempt("1", "c", visa)
		})
		want := delivered()
		want.Attempts = 2
		state := w.ends(4*day, "1", order.PhaseClosed, want)
		w.took("the other card", paid)
		w.refusedNow("a third card", again)
		books, err := w.ERP.Holds("1")
		w.fatal(err)
		w.documents("receipts", books.Receipts, "EUR", 9980)
		if n := len(w.effects(w.Payment, order.Capture, "1")); n != 1 || len(state.Cases) != 1 || state.Cases[0].Open() {
			t.Errorf("captured %d times; the cases are %+v", n, state.Cases)
		}
	})
}

// The gateway refuses the capture and still holds the money.
func TestPay_CaptureRefusedForGood_CustomerPaysByAnotherCardOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.inject(w.Payment, simulator.Fault{Operation: order.Capture, Kind: simulator.Rejected, Times: 1})
		w.submit(0, anOrder("1"))
		w.leaves(2*time.Hour, "1", 1)
		var paid *replied
		w.At(5*time.Hour, "the customer pays by another card", func() {
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.NeedsPerson)
			w.theCase("1", reconcile.PaymentCaptured)
			paid = w.attempt("1", "b", visa)
		})
		want := delivered()
		want.Attempts = 2
		w.ends(4*day, "1", order.PhaseClosed, want)
		w.took("the other card", paid)
	})
}

func TestPay_CaptureRefusedForGood_StoredMethodIsChargedAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.inject(w.Payment, simulator.Fault{Operation: order.Capture, Kind: simulator.Rejected, Times: 1})
		o := anOrder("1")
		o.Payment.Reusable = true
		w.submit(0, o)
		w.leaves(2*time.Hour, "1", 1)
		var decided *replied
		w.At(5*time.Hour, "a person has it charged again", func() {
			decided = w.decide("1", w.theCase("1", reconcile.PaymentCaptured), workflows.DecideRepair)
		})
		want := delivered()
		want.Attempts = 2
		w.ends(4*day, "1", order.PhaseClosed, want)
		w.took("the decision", decided)
		if n := len(w.effects(w.Payment, order.Capture, "1")); n != 1 {
			t.Errorf("captured %d times", n)
		}
	})
}

func TestReturn_WarehouseRefusesIt_CustomerIsToldAndMayAskAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), day)
		var refused, again *replied
		w.At(30*time.Hour, "announced, and refused", func() {
			w.inject(w.Warehouse, simulator.Fault{Operation: order.Request, Kind: simulator.Rejected, Times: -1})
			refused = w.sendBack("1", "a", pieces(2, 1))
		})
		w.At(34*time.Hour, "look", func() {
			if refused.Err != nil || refused.Refused == "" {
				t.Errorf("a return that the warehouse refused is answered %+v", refused)
			}
			w.stands("1", order.PhaseDelivered, reconcile.Succeeded, reconcile.Agreed)
			w.expect("1", delivered())
			w.Warehouse.Frame().Clear("*")
			again = w.sendBack("1", "b", pieces(2, 1))
		})
		w.ends(8*day, "1", order.PhaseClosed, returned(4480, 98, 100))
		w.took("the second return", again)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 1 {
			t.Errorf("given back %d times", n)
		}
	})
}

func TestReturn_WarehouseCallsItOff_NothingGoesBack(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), 0)
		w.At(30*time.Hour, "announced", func() { w.took("the return", w.sendBack("1", "a", pieces(2, 1))) })
		w.At(50*time.Hour, "called off", func() { w.Check(w.Warehouse.Work("order/1/return/1", "cancelled")) })
		want := delivered()
		want.Returns = []string{"cancelled"}
		w.ends(8*day, "1", order.PhaseClosed, want)
		if n := len(w.effects(w.Payment, order.Refund, "1")); n != 0 {
			t.Errorf("given back %d times", n)
		}
	})
}

func TestReturn_CalledOffAndAnnouncedAgain_PaidBackOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := sentBack(t, anOrder("1"), 0)
		w.At(30*time.Hour, "announced", func() { w.took("the return", w.sendBack("1", "a", pieces(2, 1))) })
		w.At(31*time.Hour+7*time.Minute, "called off", func() { w.Check(w.Warehouse.Work("order/1/return/1", "cancelled")) })
		w.At(50*time.Hour, "announced again", func() { w.took("the second return", w.sendBack("1", "b", pieces(2, 1))) })
		w.At(60*time.Hour+7*time.Minute, "it came", func() { w.Check(w.Warehouse.Work("order/1/return/2", "restocked")) })
		want := returned(4480, 98, 100)
		want.Returns = []string{"cancelled", "done"}
		w.ends(8*day, "1", order.PhaseClosed, want)
	})
}
