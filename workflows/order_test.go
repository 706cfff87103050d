package workflows_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// delivered is what the systems say of an order that went well.
func delivered() story {
	return story{
		Captured: 9980, Attempts: 1, Levels: map[string]int64{"MUG": 98, "TSHIRT": 99}, OnHand: map[string]int64{"MUG": 98, "TSHIRT": 99},
		Shipments: []string{"delivered"}, Sales: 1, Invoices: 1, Invoiced: 9980, Received: 9980, Deal: "won", Revenue: 9980,
		Mails: []string{"confirmation", "shipped"},
	}
}

// untouched is what they say of one that left nothing behind.
func untouched() story {
	return story{Levels: map[string]int64{"MUG": 100, "TSHIRT": 100}, OnHand: map[string]int64{"MUG": 100, "TSHIRT": 100}}
}

func (w *world) expect(of order.ID, want story) {
	w.t.Helper()
	w.same(of, want, w.story(of))
}

func (w *world) same(of order.ID, want, got story) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("the systems say of order %s (-want +got):\n%s", of, diff)
	}
	w.tell(of)
}

// submit submits an order at an age of the world.
func (w *world) submit(age time.Duration, o order.Order) *virtual.Answer {
	answer := &virtual.Answer{}
	w.At(age, "submit", func() {
		w.Later(func(ctx context.Context) { answer.Submitted, answer.Err = w.Client.Submit(ctx, o) })
	})
	return answer
}

// intent returns the id of an order's only attempt.
func (w *world) intent(of order.ID) string {
	w.t.Helper()
	state, err := w.Payment.State(of)
	if err != nil || len(state.(payment.State).PaymentIntents) != 1 {
		w.t.Errorf("order %s has no single attempt: %+v, %v", of, state, err)
		return ""
	}
	var pi struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(state.(payment.State).PaymentIntents[0], &pi); err != nil {
		w.t.Error(err)
	}
	return pi.ID
}

func TestOrder_Shipped_ClosesAfterItsReturnWindow(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: "mode: auto\n", FollowEvery: 3 * time.Hour})
		var answer *virtual.Answer
		w.At(time.Minute, "submit", func() { answer = w.Submit(anOrder("1")) })
		w.Run(33 * day)
		if answer.Err != nil || answer.Phase != order.PhaseAccepted {
			t.Fatalf("submitted: %+v", answer)
		}
		w.expect("1", delivered())
		state := w.closedAs("1", order.PhaseClosed)
		if got := state.Since.Sub(virtual.Start); got < 31*day || got > 31*day+10*time.Hour {
			t.Errorf("closed %s after it was placed, want its delivery and 30 days", got)
		}
		if !slices.ContainsFunc(state.Operations, func(op workflows.Operation) bool { return op.Operation == order.Commit && op.Status == workflows.Done }) {
			t.Errorf("the carried state knows of no commit: %+v", state.Operations)
		}
	})
}

// Runs look at what has changed, and an order that ships, is captured and invoiced has,
// also while it goes well all the time.
func TestOrder_GoesOnWell_SaysThatItHasChanged(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: "mode: auto\n", FollowEvery: 3 * time.Hour})
		w.submit(0, anOrder("1"))
		w.At(2*day, "it is with the customer", func() {
			last := time.Time{}
			for _, d := range []simulator.Desk{w.Payment, w.ERP, w.Inventory, w.Mail} {
				all, err := d.Frame().Ledger(0, "1")
				w.Check(err)
				for _, e := range all {
					if e.Kind == simulator.EntryEffect && e.At.After(last) {
						last = e.At
					}
				}
			}
			if l := w.Published(workflows.OrderWorkflowID("1")); l.Changed.Before(last.Truncate(time.Second)) || last.Before(w.Moment(time.Hour)) {
				t.Errorf("it says that it changed at %s, and its last write was at %s", l.Changed, last)
			}
		})
		w.Run(2*day + time.Hour)
	})
}

func TestOrder_ChallengeNotPaid_FailsAndGivesBack(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		o := anOrder("1")
		o.Payment.Method = "pm_card_threeDSecure2Required"
		var answer *virtual.Answer
		w.At(0, "submit", func() { answer = w.Submit(o) })
		w.At(29*time.Minute, "still waiting", func() {
			if v := w.Verdict("1"); v.Phase != order.PhasePaying {
				t.Errorf("after 29 minutes the order is %s", v.Phase)
			}
			if s := w.story("1"); s.Reserved != 3 || s.Open != 1 {
				t.Errorf("after 29 minutes the systems say %+v", s)
			}
		})
		w.Run(2 * time.Hour)
		if answer.Err != nil || answer.Next == nil {
			t.Errorf("the customer got no next step: %+v", answer)
		}
		w.expect("1", untouched())
		if state := w.closedAs("1", order.PhaseFailed); state.Failed != "unpaid" {
			t.Errorf("failed as %q", state.Failed)
		}
	})
}

func TestOrder_GatewayUnreadableAtThePayWindowsEnd_WaitsInDoubt(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		o := anOrder("1")
		o.Payment.Method = "pm_card_threeDSecure2Required"
		w.submit(0, o)
		w.At(25*time.Minute, "the gateway goes down", func() {
			w.inject(w.Payment, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		})
		w.At(2*time.Hour, "look", func() {
			if v := w.Verdict("1"); v.Phase != order.PhasePaying || v.Outcome != reconcile.OutcomeInDoubt || v.Agreement != reconcile.AgreeUnknown {
				t.Errorf("with a gateway that cannot be read the order is %s, %s, %s", v.Phase, v.Outcome, v.Agreement)
			}
			if s := w.story("1"); s.Reserved != 3 {
				t.Errorf("its stock was given back: %+v", s)
			}
		})
		w.At(3*time.Hour, "the gateway comes back", func() { w.Payment.Frame().Clear("*") })
		w.Run(4 * time.Hour)
		w.expect("1", untouched())
		if state := w.closedAs("1", order.PhaseFailed); state.Since.Before(w.Moment(3 * time.Hour)) {
			t.Errorf("failed at %s, before the gateway could be read", state.Since)
		}
	})
}

func TestOrder_PaidWhileTheGatewayWasUnreadable_GoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		o := anOrder("1")
		o.Payment.Method = "pm_card_threeDSecure2Required"
		w.submit(0, o)
		w.At(25*time.Minute, "the gateway's API goes down", func() {
			w.inject(w.Payment, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		})
		w.At(26*time.Minute, "the customer pays", func() { w.Check(w.Payment.Pay(w.intent("1"), payment.Succeeded)) })
		w.At(3*time.Hour, "the gateway comes back", func() { w.Payment.Frame().Clear("*") })
		w.Run(4 * day)
		w.expect("1", delivered())
		w.closedAs("1", order.PhaseClosed)
	})
}

func TestOrder_PaidInTimeByWebhook_GoesOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		o := anOrder("1")
		o.Payment.Method = "pm_card_threeDSecure2Required"
		w.submit(0, o)
		w.At(20*time.Minute, "the customer pays", func() { w.Check(w.Payment.Pay(w.intent("1"), payment.Succeeded)) })
		w.At(21*time.Minute, "look", func() {
			if v := w.Verdict("1"); v.Phase != order.PhaseAccepted {
				t.Errorf("a minute after the payment the order is %s", v.Phase)
			}
		})
		w.Run(4 * day)
		w.expect("1", delivered())
		w.closedAs("1", order.PhaseClosed)
	})
}

func TestOrder_ERPDownForThirtyHours_BookedOnceAndAgreed(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.inject(w.ERP, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		w.submit(0, anOrder("1"))
		w.At(29*time.Hour, "look", func() {
			got, want := w.story("1"), delivered()
			want.Sales, want.Invoices, want.Invoiced, want.Received = 0, 0, 0, 0
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("one system down held up another (-want +got):\n%s", diff)
			}
			if v := w.Verdict("1"); v.Outcome != reconcile.Succeeded || v.Agreement == reconcile.Agreed {
				t.Errorf("with the ERP down the order is %s, %s", v.Outcome, v.Agreement)
			}
		})
		w.At(30*time.Hour, "the ERP comes back", func() { w.ERP.Frame().Clear("*") })
		w.At(32*time.Hour, "look again", func() {
			if v := w.Verdict("1"); v.Agreement != reconcile.Agreed {
				t.Errorf("with the ERP back for two hours:\n%s", v.Table())
			}
		})
		w.Run(4 * day)
		w.expect("1", delivered())
		w.closedAs("1", order.PhaseClosed)
	})
}

func TestOrder_ShipmentLearnedOfADayLate_NotTold(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 3 * time.Hour})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "the warehouse cannot be read", func() {
			w.inject(w.Warehouse, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		})
		w.At(27*time.Hour, "the warehouse can be read", func() { w.Warehouse.Frame().Clear("*") })
		w.Run(4 * day)
		want := delivered()
		want.Mails = []string{"confirmation"} // the shipment is 25 hours old when we hear of it
		w.expect("1", want)
		w.closedAs("1", order.PhaseClosed)
	})
}

func TestOrder_MailProviderDownForADay_BacklogNotSent(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		if testing.Short() {
			t.Skip("knocks three thousand times at a mail provider; left out with -short")
		}
		w := open(t, virtual.Options{FollowEvery: 3 * time.Hour})
		w.inject(w.Mail, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		w.submit(0, anOrder("1"))
		w.At(25*time.Hour, "the provider comes back", func() { w.Mail.Frame().Clear("*") })
		w.Run(4 * day)
		want := delivered()
		want.Mails = []string{"shipped"} // told of 23 hours ago; the confirmation is too old
		w.expect("1", want)
		w.closedAs("1", order.PhaseClosed)
	})
}

// A mail that was begun in time is not sent either once the policy calls it late.
func TestOrder_MailProviderDown_NothingSentLaterThanThePolicySays(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: "mode: auto\nreturn_window: 24h\nmail_within: 1h\n", FollowEvery: 3 * time.Hour})
		w.inject(w.Mail, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		w.submit(0, anOrder("1"))
		w.At(150*time.Minute, "the provider comes back", func() { w.Mail.Frame().Clear("*") })
		w.Run(4 * day)
		want := delivered()
		want.Mails = []string{"shipped"} // told of half an hour ago; the confirmation is too old
		w.expect("1", want)
		w.closedAs("1", order.PhaseClosed)
	})
}

func TestOrder_CaptureFailsPastTheKeyWindow_CapturedOnce(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]simulator.FaultKind{
		"it never happened":      {simulator.Unavailable},
		"the answer was lost":    {simulator.ResponseLost, simulator.Unavailable},
		"an error was answered":  {simulator.ResponseError, simulator.Unavailable},
		"cut before it happened": {simulator.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				for i, kind := range faults {
					times := 1
					if i == len(faults)-1 {
						times = -1
					}
					w.inject(w.Payment, simulator.Fault{Operation: order.Capture, Kind: kind, Times: times})
				}
				w.submit(0, anOrder("1"))
				w.At(28*time.Hour, "the gateway comes back", func() { w.Payment.Frame().Clear("*") })
				w.Run(5 * day)
				w.expect("1", delivered())
				if n := len(w.effects(w.Payment, order.Capture, "1")); n != 1 {
					t.Errorf("captured %d times", n)
				}
				w.closedAs("1", order.PhaseClosed)
			})
		})
	}
}

func TestOrder_StoredErrorReplayed_CapturedOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.inject(w.Payment, simulator.Fault{Operation: order.Capture, Kind: simulator.ReplaysError})
		w.submit(0, anOrder("1"))
		w.At(3*time.Hour, "look", func() {
			if s := w.story("1"); s.Captured != 9980 {
				t.Errorf("an hour after shipping %d are captured", s.Captured)
			}
		})
		w.Run(4 * day)
		w.expect("1", delivered())
		if n := len(w.effects(w.Payment, order.Capture, "1")); n != 1 {
			t.Errorf("captured %d times", n)
		}
		w.closedAs("1", order.PhaseClosed)
	})
}

func TestOrder_CancelledInTheEngine_GivesBack(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]time.Duration{"at once": 0, "accepted": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				w.submit(0, anOrder("1"))
				w.At(at, "cancel", func() { w.Cancel(workflows.OrderWorkflowID("1")) })
				w.Run(2 * day)
				got := w.story("1")
				for _, sh := range got.Shipments {
					if sh != "cancel" && sh != "cancelled" {
						t.Errorf("a shipment is %s", sh)
					}
				}
				if got.Held+got.Captured != 0 || got.Open != 0 || got.Reserved != 0 || got.Deal == "won" {
					t.Errorf("something is held: %+v", got)
				}
				if n := len(slices.DeleteFunc(got.Mails, func(m string) bool { return m != "cancellation" })); n != 1 {
					t.Errorf("the customer was told %d times", n)
				}
				w.tell("1")
				w.closedAs("1", order.PhaseCancelled)
			})
		})
	}
}

func TestOrder_NoticesTwiceAndOutOfOrderAndBeforeTheAnswer_SameStory(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 20 * time.Minute})
		w.Payment.Frame().HandleNotifications("", simulator.Reorder)
		w.CRM.Frame().HandleNotifications("", simulator.Reorder)
		for _, operation := range []order.Operation{order.Authorize, order.Capture} {
			w.inject(w.Payment, simulator.Fault{Operation: operation, Kind: simulator.ResponseLost})
		}
		w.submit(0, anOrder("1"))
		for i := range 12 {
			w.At(time.Duration(i)*13*time.Minute, "again", func() {
				w.Check(w.Payment.Event(json.RawMessage(`{"type":"payment.authorized","order":"1","copies":2}`)))
			})
		}
		w.Run(4 * day)
		w.expect("1", delivered())
		w.closedAs("1", order.PhaseClosed)
	})
}

func TestOrder_Reopened_GoesOnFromWhatItCarried(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(4*day, "somebody gives money back at the gateway", func() {
			if w.Closed("1") == nil {
				t.Error("the order is not closed after 4 days")
			}
			w.edit(w.Payment, `{"order":"1","refunded":1000}`)
		})
		w.At(4*day+time.Minute, "the customer asks to cancel", func() {
			if _, err := w.Client.Cancel(t.Context(), "1", workflows.Cancel{By: "customer", Reason: "late"}); err == nil {
				t.Error("a closed order was cancelled")
			}
		})
		w.Run(5 * day)
		want := delivered()
		want.Refunded, want.Credited, want.Received, want.Revenue = 1000, 1000, 8980, 8980
		want.Mails = append(want.Mails, "refund")
		got := w.story("1")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after it was re-opened (-want +got):\n%s", diff)
		}
		w.tell("1")
		state := w.closedAs("1", order.PhaseClosed)
		if state.Run < 2 {
			t.Errorf("the order was not re-opened: run %d", state.Run)
		}
		if n := len(w.effects(w.Payment, order.Capture, "1")); n != 1 {
			t.Errorf("captured %d times", n)
		}
	})
}

func TestOrder_ContinuesAsNewAtRest_NothingLost(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 20 * time.Minute})
		w.submit(0, anOrder("1"))
		for _, age := range []time.Duration{time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 27 * time.Hour} {
			w.At(age, "the engine suggests to continue", func() { w.SuggestContinue(workflows.OrderWorkflowID("1")) })
		}
		w.Run(4 * day)
		w.expect("1", delivered())
		state := w.closedAs("1", order.PhaseClosed)
		if _, continued, _ := w.Runs(workflows.OrderWorkflowID("1")); continued < 2 || state.Run != continued+1 {
			t.Errorf("continued %d times; the last run is number %d", continued, state.Run)
		}
		for _, d := range w.desks() {
			for _, operation := range []order.Operation{order.Authorize, order.Capture, order.Reserve, order.Request, order.Record, order.Invoice, order.Receipt} {
				if n := len(w.effects(d, operation, "1")); n > 2 { // a draft and its promotion
					t.Errorf("%s had %d effects in %s", operation, n, d.Frame().Name)
				}
			}
		}
	})
}

func TestOrder_CancelledWhenPacked_RealityWins(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		var answer workflows.CancelAnswer
		w.At(100*time.Minute, "cancel", func() {
			var err error
			answer, err = w.Client.Cancel(t.Context(), "1", workflows.Cancel{By: "customer", Reason: "changed my mind"})
			w.Check(err)
		})
		w.Run(5 * day)
		if answer.Cancelled || answer.Refused == "" {
			t.Errorf("the answer is %+v", answer)
		}
		w.expect("1", delivered())
	})
}

func TestOrder_CapturedAtOnceAndCancelled_RefundedOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		o := anOrder("1")
		o.Payment.Capture = order.CaptureAtOnce
		w.inject(w.Payment, simulator.Fault{Operation: order.Refund, Kind: simulator.ResponseLost})
		w.submit(0, o)
		w.At(10*time.Minute, "cancel", func() {
			w.Later(func(ctx context.Context) {
				answer, err := w.Client.Cancel(ctx, "1", workflows.Cancel{By: "customer", Reason: "changed my mind"})
				if err != nil || !answer.Cancelled {
					t.Errorf("the answer is %+v, %v", answer, err)
				}
			})
		})
		w.Run(2 * day)
		want := untouched()
		want.Attempts, want.Captured, want.Refunded, want.Sales, want.Deal = 1, 9980, 9980, 1, "lost"
		want.Shipments, want.Mails = []string{"cancelled"}, []string{"confirmation", "cancellation"}
		w.expect("1", want)
		w.closedAs("1", order.PhaseCancelled)
	})
}

func TestOrder_DeclinedAndNotTriedAgain_FailsAndHoldsNothing(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		o := anOrder("1")
		o.Payment.Method = "pm_card_chargeDeclined"
		w.submit(0, o)
		w.At(20*time.Minute, "the customer may still try again", func() {
			if v := w.Verdict("1"); v.Outcome != reconcile.InProgress {
				t.Errorf("within the pay window a declined order is %s", v.Outcome)
			}
		})
		w.Run(2 * time.Hour)
		w.expect("1", untouched())
		if s := w.closedAs("1", order.PhaseFailed); s.Failed != "declined" {
			t.Errorf("failed as %q", s.Failed)
		}
	})
}

func TestOrder_NothingAvailableAndNoAnswer_FailsAndWasNeverCharged(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Stock: map[string]int{"MUG": 0, "TSHIRT": 0}})
		w.submit(0, anOrder("1"))
		w.At(47*time.Hour, "the customer was asked", func() {
			if v := w.Verdict("1"); v.Outcome != reconcile.InProgress {
				t.Errorf("while the customer is asked the order is %s", v.Outcome)
			}
		})
		w.Run(50 * time.Hour)
		want := story{Levels: map[string]int64{"MUG": 0, "TSHIRT": 0}, OnHand: map[string]int64{"MUG": 0, "TSHIRT": 0}, Mails: []string{"question"}}
		w.expect("1", want)
		if s := w.closedAs("1", order.PhaseFailed); s.Failed != "out of stock" {
			t.Errorf("failed as %q", s.Failed)
		}
	})
}

// A change is dated by the start of its transaction, and may be seen only after
// the poll that should have found it: the next one reaches back behind it.
func TestFollow_SeenAfterThePollThatShouldHaveFoundIt_IsTold(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 20 * time.Minute, Pace: byHand})
		w.submit(0, anOrder("1"))
		w.inject(w.Warehouse, simulator.Fault{Operation: "list", Kind: simulator.Stale, Delay: 20 * time.Second, Times: -1})
		w.At(2*time.Hour-10*time.Second, "its parcel leaves", func() { w.work("1", 1, "shipped") })
		w.At(3*time.Hour, "an hour later", func() {
			if s := w.story("1"); s.Captured != 9980 {
				t.Errorf("what has left an hour ago is not captured: %+v", s)
			}
		})
		w.Run(2 * day)
	})
}

// Nobody else gets the goods while they may still leave: the promise stays until
// the warehouse has given them up.
func TestCancel_WarehouseIsDown_StockStaysPromisedUntilItHasAnswered(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand})
		w.submit(0, anOrder("1"))
		w.At(30*time.Minute, "packed", func() { w.work("1", 1, "packed") })
		w.At(time.Hour, "the customer cancels while the warehouse is down", func() {
			w.inject(w.Warehouse, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
			w.Later(func(ctx context.Context) {
				answer, err := w.Client.Cancel(ctx, "1", workflows.Cancel{By: "customer", Reason: "changed my mind"})
				if err != nil || answer.Refused == "" {
					t.Errorf("the answer is %+v, %v", answer, err)
				}
			})
		})
		w.At(2*time.Hour, "look", func() {
			if s := w.story("1"); s.Reserved != 3 || s.Held != 9980 {
				t.Errorf("before the warehouse has answered the systems say %+v", s)
			}
			w.Warehouse.Frame().Clear("*")
		})
		w.leaves(3*time.Hour, "1", 1)
		w.Run(2 * day)
		w.expect("1", delivered())
	})
}
