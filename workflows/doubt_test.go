package workflows_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// goesDownAfter lets the answer to an operation's first effect get lost, and its
// system go down in that moment.
func (w *world) goesDownAfter(d simulator.Desk, operation order.Operation, of order.ID) {
	w.inject(d, simulator.Fault{Operation: operation, Kind: simulator.ResponseLost, Order: of})
	var watch func()
	watch = func() {
		if len(w.effects(d, operation, of)) == 0 {
			w.After(200*time.Millisecond, "watch", watch)
			return
		}
		w.inject(d, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
	}
	w.At(0, "watch", watch)
}

// An answer was lost after the effect, and the system is down for three days from
// then on. Whichever it is: the operation is in doubt all the while, a person is
// told after a day, and nobody has to close the case when the system answers.
func TestDoubt_DownForThreeDaysAfterTheEffect_EndsInACaseAndInAnAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		system    order.System
		operation order.Operation
		effects   int           // in the end
		down      time.Duration // for so long
		desk      func(w *world) simulator.Desk
	}{
		{order.SystemPayment, order.Authorize, 1, 3 * day, func(w *world) simulator.Desk { return w.Payment }},
		{order.SystemPayment, order.Capture, 1, 3 * day, func(w *world) simulator.Desk { return w.Payment }},
		{order.SystemInventory, order.Reserve, 2, 3 * day, func(w *world) simulator.Desk { return w.Inventory }},
		{order.SystemWarehouse, order.Request, 2, 3 * day, func(w *world) simulator.Desk { return w.Warehouse }},
		{order.SystemERP, order.Record, 2, 3 * day, func(w *world) simulator.Desk { return w.ERP }},
		{order.SystemCRM, order.Upsert, 3, 3 * day, func(w *world) simulator.Desk { return w.CRM }},
		// What is told of the shipment is more than a day late by then, so it is not
		// told any more.
		{order.SystemMail, order.Send, 1, 40 * time.Hour, func(w *world) simulator.Desk { return w.Mail }},
	} {
		t.Run(fmt.Sprintf("%s.%s", tt.system, tt.operation), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: "mode: auto\nreturn_window: 240h\n", FollowEvery: 3 * time.Hour})
				d, field := tt.desk(w), reconcile.Field(string(tt.system)+"."+string(tt.operation))
				w.submit(0, anOrder("1"))
				w.goesDownAfter(d, tt.operation, "1")
				// A parcel leaves some hours after its order: the capture is as much later.
				start := 12 * time.Hour
				w.At(start, "its effect has happened", func() {
					if n := len(w.effects(d, tt.operation, "1")); n == 0 || n > tt.effects {
						t.Errorf("%s has %d effects; want the one whose answer was lost", field, n)
					}
					if v := w.Verdict("1"); len(v.Cases) != 0 {
						t.Errorf("a person is asked within half a day:\n%s", v.Table())
					}
				})
				w.At(start+26*time.Hour, "more than a day later", func() { w.theCase("1", field) })
				w.At(tt.down, "it is back", func() { d.Frame().Clear("*") })
				w.At(tt.down+6*time.Hour, "it has answered", func() {
					if v := w.Verdict("1"); len(v.Cases) != 0 {
						t.Errorf("the case is still open:\n%s", v.Table())
					}
				})
				w.Run(tt.down + 7*time.Hour)
				if n := len(w.effects(d, tt.operation, "1")); n != tt.effects {
					t.Errorf("%s has %d effects in the end; want %d", field, n, tt.effects)
				}
				w.tell("1")
			})
		})
	}
}

// The pay window ends while the gateway cannot be read: whether the customer has
// paid is in doubt too, and not in silence.
func TestDoubt_GatewayUnreadableForThreeDays_ACaseUntilItAnswers(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		o := anOrder("1")
		o.Payment.Method = "pm_card_threeDSecure2Required"
		w.submit(0, o)
		w.At(25*time.Minute, "the gateway goes down", func() {
			w.inject(w.Payment, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		})
		w.At(20*time.Hour, "within a day", func() {
			if v := w.Verdict("1"); len(v.Cases) != 0 || v.Outcome != reconcile.OutcomeInDoubt {
				t.Errorf("want in doubt without a case:\n%s", v.Table())
			}
		})
		w.At(27*time.Hour, "more than a day later", func() { w.theCase("1", "payment.held") })
		w.At(3*day, "the gateway comes back", func() { w.Payment.Frame().Clear("*") })
		w.Run(3*day + 4*time.Hour)
		w.expect("1", untouched())
		if state := w.closedAs("1", order.PhaseFailed); len(state.Cases) != 1 || state.Cases[0].Open() {
			t.Errorf("its cases are %+v", state.Cases)
		}
	})
}

// Without a journal what may have been sent is never sent again; but a provider that
// was down for hours has certainly taken nothing, and gets it when it is back.
func TestMail_ProviderDownForHoursAndNoJournal_SentOnceWhereItCannotHaveBeen(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"nothing went out": false, "an answer was lost first": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{NoJournal: true})
				if lost {
					w.inject(w.Mail, simulator.Fault{Operation: order.Send, Kind: simulator.ResponseLost})
				}
				w.inject(w.Mail, simulator.Fault{Operation: order.Send, Kind: simulator.Unavailable, Times: -1})
				w.submit(0, anOrder("1"))
				w.At(5*time.Hour, "it is back", func() { w.Mail.Frame().Clear("*") })
				w.At(8*time.Hour, "look", func() {
					var sent []string
					for _, e := range w.effects(w.Mail, order.Send, "1") {
						sent = append(sent, e.Detail)
					}
					slices.Sort(sent)
					if !slices.Equal(sent, []string{"confirmation", "shipped"}) {
						t.Errorf("what went out is %v", sent)
					}
				})
				w.Run(9 * time.Hour)
				w.tell("1")
			})
		})
	}
}

// Without a journal: an attempt came to nothing, the next one's mail was taken and
// its worker died, telling nothing. What the first one told is not about the second,
// whether the engine has a third one made or gives up.
func TestMail_WorkerDiesAfterTheMailAndNoJournal_NotSentAgain(t *testing.T) {
	for name, down := range map[string]time.Duration{"another attempt": 20 * time.Second, "the last attempt": 59*time.Minute + 20*time.Second} {
		t.Run(name, func(t *testing.T) {
			virtual.Bubble(t, func(t *testing.T) { diesAfterTheMail(t, down) })
		})
	}
}

func diesAfterTheMail(t *testing.T, down time.Duration) {
	w := open(t, virtual.Options{NoJournal: true})
	w.inject(w.Mail, simulator.Fault{Operation: order.Send, Kind: simulator.Unavailable, Times: -1})
	w.submit(0, anOrder("1"))
	w.At(down, "it is back", func() {
		w.Mail.Frame().Clear("*")
		w.CrashAt(virtual.Crash{Boundary: virtual.After, System: order.SystemMail, Operation: order.Send})
	})
	w.Run(5 * time.Hour)
	for _, c := range w.Crashes() {
		if !c.Fired {
			t.Errorf("no worker died: %+v", c)
		}
	}
	confirmations := 0
	for _, e := range w.effects(w.Mail, order.Send, "1") {
		if e.Detail == "confirmation" {
			confirmations++
		}
	}
	if confirmations != 1 {
		t.Errorf("%d confirmations went out; want one", confirmations)
	}
	w.tell("1")
}
