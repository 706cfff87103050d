package workflows_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// announce lets the gateway speak of an order that nobody has submitted.
func (w *world) announce(age time.Duration, of order.ID) {
	w.At(age, "an event before its order", func() {
		w.Check(w.Payment.Event(json.RawMessage(`{"type":"payment.authorized","order":"` + string(of) + `"}`)))
	})
}

// inbox returns the only inbox.
func (w *world) inbox() string {
	w.t.Helper()
	ids := w.IDs("inbox/")
	if len(ids) != 1 {
		w.t.Errorf("the inboxes are %v, want one", ids)
		return ""
	}
	return ids[0]
}

func TestInbox_OrderAppears_GetsWhatWasKept(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.announce(0, "9")
		w.submit(10*time.Minute, anOrder("9"))
		w.At(30*time.Minute, "look", func() {
			if _, _, open := w.Runs(w.inbox()); open {
				t.Error("twenty minutes after its order the inbox is still open")
			}
		})
		w.Run(4 * day)
		w.expect("9", delivered())
		state := w.closedAs("9", order.PhaseClosed)
		if !slices.ContainsFunc(state.Seen, func(id string) bool { return strings.HasPrefix(id, "payment/evt_") }) || len(state.Seen) < 4 {
			t.Errorf("the order has seen %v", state.Seen)
		}
	})
}

func TestInbox_NoOrder_CaseAfterAnHourAndForgottenBeyondTheHorizon(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 12 * time.Hour})
		w.announce(0, "9")
		w.At(55*time.Minute, "look", func() {
			if l := w.Published(w.inbox()); l.Agreement != "" {
				t.Errorf("within the hour it says %+v", l)
			}
		})
		w.At(75*time.Minute, "look", func() {
			if l := w.Published(w.inbox()); l.Agreement != "needs_person" || len(l.Breaks) != 1 {
				t.Errorf("after the hour it says %+v", l)
			}
		})
		w.At(13*day, "look", func() {
			if _, _, open := w.Runs(w.inbox()); !open {
				t.Error("it was forgotten within the horizon")
			}
		})
		w.Run(15 * day)
		if _, _, open := w.Runs(w.inbox()); open {
			t.Error("beyond the horizon it is still open")
		}
		if runs, _, _ := w.Runs(workflows.OrderWorkflowID("9")); runs != 0 {
			t.Error("an event started an order")
		}
	})
}

func (w *world) decideInbox(system order.System, record string, d workflows.DecideInbox) error {
	w.t.Helper()
	d.By, d.Reason = "me", "I looked"
	_, err := w.Client.DecideInbox(w.t.Context(), system, record, d)
	return err
}

func (w *world) unclaimed(system order.System, record string) workflows.InboxCase {
	w.t.Helper()
	k, err := w.Client.InboxCase(w.t.Context(), system, record)
	w.Check(err)
	return k
}

// Whoever sends a mail in our name chooses its Message-ID, and stops no feed by it.
func TestInbox_MailWithALongMessageID_KeptAndTheFeedsGoOn(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.unannounced()
		long := "<" + strings.Repeat("x", 1500) + "@elsewhere.example>"
		w.At(time.Hour, "an odd mail", func() {
			w.edit(w.Mail, `{"do":"put","message_id":"`+long+`","order":"unheard","key":"nonsense","template":"confirmation"}`)
		})
		w.At(2*time.Hour, "a shipment of an order that nobody knows", func() { w.edit(w.Warehouse, `{"order":"stranger","state":"waiting"}`) })
		w.At(4*time.Hour, "both are cases", func() {
			if k := w.unclaimed(order.SystemMail, long); k.Asked.IsZero() || len(k.Notices) != 1 || k.Notices[0].Record != long {
				t.Errorf("the mail is %+v", k)
			}
			if k := w.unclaimed(order.SystemWarehouse, "order-stranger"); k.Asked.IsZero() {
				t.Errorf("the shipment is %+v", k)
			}
			_, listed, _ := workflows.InboxOf(workflows.InboxWorkflowID(order.SystemMail, long))
			w.Check(w.decideInbox(order.SystemMail, listed, workflows.DecideInbox{Leave: true}))
		})
		w.Run(5 * time.Hour)
	})
}

func TestInbox_Left_IsRememberedAndNotAskedAboutAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		w.submit(time.Minute, anOrder("1"))
		w.At(2*time.Hour, "a deal of an order that nobody knows", func() { w.edit(w.CRM, `{"order":"stranger","stage":"won"}`) })
		w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay})
		w.sweep(18*time.Hour+10*time.Minute, workflows.SweepInput{Day: firstDay}) // which sees it again
		id := workflows.InboxWorkflowID(order.SystemCRM, "order-stranger")
		w.At(18*time.Hour+30*time.Minute, "it is no case yet, and can be decided about all the same", func() {
			if k := w.unclaimed(order.SystemCRM, "order-stranger"); !k.Asked.IsZero() || len(k.Notices) != 1 {
				t.Errorf("within the hour it is %+v", k)
			}
		})
		w.At(20*time.Hour, "a person looks", func() {
			k := w.unclaimed(order.SystemCRM, "order-stranger")
			told := strings.Join(k.Evidence, "\n")
			if !strings.Contains(told, "crm holds of order stranger: deal is won") || !strings.Contains(told, "payment holds nothing of order stranger") {
				t.Errorf("the evidence is\n%s", told)
			}
			if err := w.decideInbox(order.SystemCRM, "order-stranger", workflows.DecideInbox{Link: "stranger"}); !errors.Is(err, starters.ErrNotNow) {
				t.Errorf("linked to an order that nobody knows: %v", err)
			}
			w.Check(w.decideInbox(order.SystemCRM, "order-stranger", workflows.DecideInbox{Leave: true}))
			if err := w.decideInbox(order.SystemCRM, "order-stranger", workflows.DecideInbox{Link: "1"}); !errors.Is(err, starters.ErrNotNow) {
				t.Errorf("decided twice: %v", err)
			}
		})
		again := w.sweep(21*time.Hour, workflows.SweepInput{Day: firstDay})
		w.At(30*time.Hour, "after the next sweep", func() {
			runs, _, open := w.Runs(id)
			if l := w.Published(id); l.Agreement != "agreed" || len(l.Breaks) != 0 || runs != 1 || !open {
				t.Errorf("what was left is asked about again: %+v, run %d, open %t", l, runs, open)
			}
		})
		w.Run(16 * day)
		if again.Swept.Kept != 1 {
			t.Errorf("the next sweep saw it %d times", again.Swept.Kept)
		}
		if _, _, open := w.Runs(id); open {
			t.Error("beyond the horizon it is still open")
		}
	})
}

// nameless has a customer begin to pay, after two hours, without our reference.
func (w *world) nameless() *string {
	record := new(string)
	w.At(2*time.Hour, "a payment without a reference", func() {
		var err error
		*record, err = w.Payment.Start("1", payment.Checkout{Amount: 700, Currency: "eur", Channel: "shop", Bare: true})
		w.Check(err)
	})
	return record
}

func TestInbox_Linked_IsGivenToItsOrder(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		w.submit(time.Minute, anOrder("1"))
		record := w.nameless()
		w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay})
		w.At(20*time.Hour, "a person knows whose it is", func() {
			if k := w.unclaimed(order.SystemPayment, *record); k.Asked.IsZero() || len(k.Evidence) != 2 || !strings.Contains(k.Evidence[0], "a payment of 7.00 EUR") {
				t.Errorf("the case is %+v", k)
			}
			w.Check(w.decideInbox(order.SystemPayment, *record, workflows.DecideInbox{Link: "1"}))
		})
		w.At(21*time.Hour, "it has ended", func() {
			id := workflows.InboxWorkflowID(order.SystemPayment, *record)
			if _, _, open := w.Runs(id); open || w.Published(id).Agreement != "agreed" {
				t.Errorf("what was linked is open: %t, %+v", open, w.Published(id))
			}
		})
		w.leaves(22*time.Hour, "1", newest)
		w.At(22*time.Hour+time.Minute, "the order hears of it", func() {
			w.Check(w.Client.Notify(t.Context(), reconciliation.Notices{Order: "1", Notices: []reconciliation.Notice{
				{ID: "feed/x", System: order.SystemWarehouse, Type: "changed", At: w.Now()},
			}}))
		})
		w.At(46*time.Hour+time.Minute, "and that it arrived", func() {
			w.Check(w.Client.Notify(t.Context(), reconciliation.Notices{Order: "1", Notices: []reconciliation.Notice{
				{ID: "feed/y", System: order.SystemWarehouse, Type: "changed", At: w.Now()},
			}}))
		})
		w.Run(10 * day)
		state := w.closedAs("1", order.PhaseClosed)
		if !slices.ContainsFunc(state.Seen, func(id string) bool { return strings.Contains(id, *record) }) {
			t.Errorf("the order has seen %v, and not %s", state.Seen, *record)
		}
	})
}

// A record may be linked again, for it names its order only now: the order looks again.
func TestInbox_LinkedAgain_OrderLooksAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		w.submit(time.Minute, anOrder("1"))
		record := w.nameless()
		looked := func() int {
			all, err := w.Payment.Frame().Ledger(0, "1")
			w.fatal(err)
			return len(slices.DeleteFunc(all, func(e simulator.Entry) bool { return e.Operation != "lookup" }))
		}
		var before [2]int
		for n, age := range []time.Duration{20 * time.Hour, 24 * time.Hour} {
			w.sweep(age-2*time.Hour, workflows.SweepInput{Day: firstDay})
			w.At(age, "a person knows whose it is", func() {
				before[n] = looked()
				w.Check(w.decideInbox(order.SystemPayment, *record, workflows.DecideInbox{Link: "1"}))
			})
			w.At(age+10*time.Minute, "its order has looked", func() {
				if after := looked(); after <= before[n] {
					t.Errorf("linked for the %d. time: its order has looked %d times, and had %d times before", n+1, after, before[n])
				}
			})
		}
		w.Run(25 * time.Hour)
	})
}

// An order whose workflow somebody stopped in the engine takes nothing before it goes on.
// Who links a record to it is told so, and decides otherwise.
func TestInbox_LinkedToAnOrderThatWasStopped_RefusedAndAnotherDecisionHolds(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		for _, id := range []string{"1", "2"} {
			w.submit(time.Minute, anOrder(id))
		}
		w.At(5*time.Minute, "it is taken back", func() { w.Cancel(workflows.OrderWorkflowID("1")) })
		record := w.nameless()
		w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay})
		w.At(20*time.Hour, "a person names an order that was stopped", func() {
			w.Stop(workflows.OrderWorkflowID("1"))
			err := w.decideInbox(order.SystemPayment, *record, workflows.DecideInbox{Link: "1"})
			if !errors.Is(err, starters.ErrNotNow) || !strings.Contains(err.Error(), "order 1 takes nothing, and nothing was decided") || !strings.Contains(err.Error(), "temporal workflow reset") {
				t.Errorf("linked to an order that was stopped: %v", err)
			}
			if k := w.unclaimed(order.SystemPayment, *record); k.Decided != nil || !k.Closed.IsZero() {
				t.Errorf("the case is %+v", k)
			}
		})
		w.At(20*time.Hour+time.Minute, "and then another one", func() {
			w.Check(w.decideInbox(order.SystemPayment, *record, workflows.DecideInbox{Link: "2"}))
		})
		w.At(21*time.Hour, "it has ended", func() {
			if _, _, open := w.Runs(workflows.InboxWorkflowID(order.SystemPayment, *record)); open {
				t.Error("what was linked is open")
			}
		})
		w.Run(22 * time.Hour)
	})
}

// Whose a payment is that names no order only its gateway can say. While that says
// nothing a person is asked all the same, and the horizon is kept.
func TestInbox_NobodySaysWhoseItIs_AskedAndForgottenAllTheSame(t *testing.T) {
	t.Parallel()
	for _, fault := range []simulator.FaultKind{simulator.Unavailable, simulator.Unauthorized} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := deaf(t, virtual.Options{})
				id := workflows.InboxWorkflowID(order.SystemPayment, "pi_unknown")
				w.At(time.Hour, "a payment of a gateway that answers nothing", func() {
					w.inject(w.Payment, simulator.Fault{Operation: "*", Kind: fault, Times: -1})
					w.Check(w.Client.Keep(t.Context(), "", reconciliation.Notice{ID: "evt_1", System: order.SystemPayment, Record: "pi_unknown", Type: "payment_intent.succeeded", At: w.Now()}))
				})
				w.At(3*time.Hour, "a person is asked", func() {
					if k := w.unclaimed(order.SystemPayment, "pi_unknown"); k.Asked.IsZero() || !k.Closed.IsZero() {
						t.Errorf("the case is %+v", k)
					}
				})
				w.At(13*day, "it is waited for", func() {
					if _, _, open := w.Runs(id); !open {
						t.Error("it was forgotten within the horizon")
					}
				})
				w.At(16*day, "and forgotten", func() {
					if k := w.unclaimed(order.SystemPayment, "pi_unknown"); !strings.Contains(k.Outcome, "older than the horizon") {
						t.Errorf("beyond the horizon it is %+v", k)
					}
					if _, _, open := w.Runs(id); open {
						t.Error("beyond the horizon it is still open")
					}
				})
				w.Run(16*day + time.Hour)
			})
		})
	}
}

// What comes after the end waits for the order that has the record, and no longer than
// until the horizon.
func TestInbox_MoreComesForAnOrderThatWasStopped_HeldUntilTheHorizon(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		silent := receive(t, func(int, delivery) int { return http.StatusServiceUnavailable }) // so that how it ended is said for a day
		w := deaf(t, virtual.Options{Cases: silent.settings()})
		w.submit(time.Minute, anOrder("1"))
		w.At(5*time.Minute, "it is taken back", func() { w.Cancel(workflows.OrderWorkflowID("1")) })
		record := w.nameless()
		w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay})
		w.At(20*time.Hour, "a person knows whose it is", func() {
			w.Check(w.decideInbox(order.SystemPayment, *record, workflows.DecideInbox{Link: "1"}))
		})
		w.At(26*time.Hour, "it was stopped, and more comes", func() {
			w.Stop(workflows.OrderWorkflowID("1"))
			w.Check(w.Client.Keep(t.Context(), "", reconciliation.Notice{ID: "evt_x", System: order.SystemPayment, Record: *record, Type: "charge.refunded", At: w.Now()}))
		})
		for at, open := range map[time.Duration]bool{3 * day: true, 16 * day: false} {
			w.At(at, "look", func() {
				if _, _, is := w.Runs(workflows.InboxWorkflowID(order.SystemPayment, *record)); is != open {
					t.Errorf("after %s it is open: %t", at, is)
				}
			})
		}
		w.Run(17 * day)
	})
}
