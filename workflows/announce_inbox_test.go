package workflows_test

import (
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

// unplaced has a customer pay, at the start, for order 9, which nobody submits. The
// gateway tells of it.
func (w *world) unplaced() *string {
	record := new(string)
	w.At(0, "a payment that no order claims", func() {
		var err error
		*record, err = w.Payment.Start("9", payment.Checkout{Amount: 700, Currency: "eur", Method: "pm_card_visa", Capture: order.CaptureAtOnce, Channel: "shop"})
		w.Check(err)
	})
	return record
}

// wakes lets the engine suggest to an inbox that it continues as new; it does so when
// it looks for its order the next time.
func (w *world) wakes(age time.Duration, id func() string) {
	w.At(age, "the engine suggests to continue", func() { w.SuggestContinue(id()) })
}

func TestOrphan_Announced_OnceOpenedOnceNearItsDeadlineAndWhatHappenedThen(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(map[bool]string{false: "in one run", true: "and continued as new"}[again], func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				r := receive(t, nil)
				w := open(t, virtual.Options{Cases: r.settings(), FollowEvery: 12 * time.Hour})
				record := w.unplaced()
				id := func() string { return workflows.InboxWorkflowID(order.SystemPayment, *record) }
				if again {
					for _, age := range []time.Duration{30 * time.Minute, 2 * time.Hour, 4*time.Hour + 30*time.Minute, 10 * time.Hour, 30 * time.Hour} {
						w.wakes(age, id)
					}
				}
				var k workflows.InboxCase
				w.At(59*time.Minute, "its order may still come", func() { r.said() })
				w.At(90*time.Minute, "look", func() {
					r.said("orphan.opened")
					k = w.unclaimed(order.SystemPayment, *record)
					w.staked(id(), workflows.Stakes{Cases: 1, Opened: k.Asked, Deadline: k.Deadline, Money: 700, Currency: "EUR"})
				})
				w.At(4*time.Hour+5*time.Minute, "near the deadline", func() { r.said("orphan.opened", "orphan.due") })
				w.At(day, "the deadline is over", func() {
					r.said("orphan.opened", "orphan.due", "orphan.past")
					if is := w.unclaimed(order.SystemPayment, *record); is.Token != k.Token {
						t.Errorf("the evidence was %s and is %s, though nothing changed but ages", k.Token, is.Token)
					}
					w.Check(w.decideInbox(order.SystemPayment, *record, workflows.DecideInbox{Leave: true, Evidence: k.Token}))
				})
				w.At(25*time.Hour, "decided", func() {
					r.said("orphan.opened", "orphan.due", "orphan.past", "orphan.closed")
					w.staked(id(), workflows.Stakes{})
					if _, _, open := w.Runs(id()); !open {
						t.Error("what was left is forgotten at once, and would be asked about again")
					}
				})
				w.Run(16 * day)
				r.said("orphan.opened", "orphan.due", "orphan.past", "orphan.closed")
				_, continued, open := w.Runs(id())
				if open || again && continued < 4 {
					t.Errorf("at the end it is open: %t, and continued as new %d times", open, continued)
				}
				if !k.Asked.Equal(w.Moment(time.Hour)) || !k.Deadline.Equal(k.Asked.Add(4*time.Hour)) || k.Money != 700 || k.Token == "" {
					t.Errorf("the case is %+v", k)
				}
				for n, at := range []time.Time{k.Asked, k.Deadline.Add(-time.Hour), k.Deadline} {
					d := r.deliveries()[n]
					late := d.Timestamp.Sub(at)
					if late < 0 || late > 2*time.Second || d.Data.System != order.SystemPayment || d.Data.Record != *record || d.Data.Order != "9" ||
						d.Data.Break != "payment.orphan.unexpected" || d.Data.Money != 700 || d.Data.Currency != "EUR" || d.Data.Evidence != k.Token ||
						!d.Data.Deadline.Equal(k.Deadline) || !d.Data.Opened.Equal(k.Asked) || !strings.Contains(d.Data.Why, "names order 9") ||
						!slices.Contains(d.Data.Commands, "trueup inbox payment "+*record+" --leave --evidence "+k.Token+" --by NAME --reason TEXT") {
						t.Errorf("announced %s after it was so: %+v; the case is %+v", late, d, k)
					}
				}
				if happened := r.deliveries()[2].Data.Happened; !strings.Contains(happened, "nothing is changed without a decision") {
					t.Errorf("at the deadline happened %q", happened)
				}
				end := r.deliveries()[3].Data
				if end.Outcome != "decided: leave by me (unverified)" || end.Decision != "leave" || end.By != "me" || end.Evidence != k.Token ||
					end.Closed.IsZero() || len(end.Commands) != 0 {
					t.Errorf("it was said to have ended as %+v", end)
				}
			})
		})
	}
}

// staked compares what the memo of a workflow says is at stake.
func (w *world) staked(id string, want workflows.Stakes) {
	w.t.Helper()
	var is workflows.Stakes
	if err := w.Published(id).DecodeMemo(workflows.StakesMemo, &is); err != nil || !is.Opened.Equal(want.Opened) || !is.Deadline.Equal(want.Deadline) ||
		is.Cases != want.Cases || is.Money != want.Money || is.Currency != want.Currency {
		w.t.Errorf("at stake is %+v, %v; want %+v", is, err, want)
	}
}

// How it ended is said before the inbox ends, also when that is all it waits for; and
// under one id, however often it is tried and continued as new.
func TestOrphan_ReceiverIsDown_InboxWaitsUntilItsEndWasSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		up   time.Duration // when the receiver is there
		over time.Duration // when the inbox has ended
		said []string
	}{
		{"for some hours", 9 * time.Hour, 9*time.Hour + 30*time.Minute, []string{"orphan.opened", "orphan.closed"}},
		{"for ever", 100 * day, 31 * time.Hour, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				r := receive(t, nil)
				w := open(t, virtual.Options{Cases: r.settings(), FollowEvery: 12 * time.Hour})
				r.answer = func(int, delivery) int {
					if w.Age() < c.up {
						return http.StatusServiceUnavailable
					}
					return http.StatusOK
				}
				record := w.unplaced()
				id := func() string { return workflows.InboxWorkflowID(order.SystemPayment, *record) }
				w.wakes(90*time.Minute, id) // with the announcement on its way
				w.submit(3*time.Hour, anOrder("9"))
				w.At(6*time.Hour, "its order has appeared", func() {
					k := w.unclaimed(order.SystemPayment, *record)
					if _, continued, open := w.Runs(id()); !open || continued != 1 || k.Closed.IsZero() || !strings.Contains(k.Outcome, "given to order 9") {
						t.Errorf("it is open: %t, continued %d times, closed as %q", open, continued, k.Outcome)
					}
					if l := w.Published(id()); l.Agreement != "agreed" || len(l.Breaks) != 0 {
						t.Errorf("it is still listed as %+v", l)
					}
					if err := w.decideInbox(order.SystemPayment, *record, workflows.DecideInbox{Leave: true}); !errors.Is(err, starters.ErrNotNow) || !strings.Contains(err.Error(), "closed already: its order has appeared") {
						t.Errorf("decided when it was over: %v", err)
					}
				})
				w.At(c.over, "it has ended", func() {
					if _, _, open := w.Runs(id()); open {
						t.Error("it is still open")
					}
				})
				w.Run(3 * day)
				r.said(c.said...)
				all := r.deliveries()
				for _, d := range all {
					if d.Type == "orphan.opened" && (d.ID != all[0].ID || !d.Timestamp.Equal(all[0].Timestamp)) {
						t.Errorf("an attempt differs from the first: %+v, %+v", d, all[0])
					}
				}
				// An attempt of the run before may come last of all; what came twice under one id counts once.
				first := slices.DeleteFunc(slices.Clone(all), func(d delivery) bool { return d.Type == "orphan.opened" && d.ID == all[0].ID })
				if d := first[len(first)-1]; d.Type != "orphan.closed" || d.Data.Outcome != "its order has appeared: it was given to order 9" || d.Data.Decision != "" {
					t.Errorf("the last one is %+v", d)
				}
			})
		})
	}
}

// What nobody decides is over at the horizon, and that is said too; what ends before
// anybody was told of it is never spoken of.
func TestOrphan_NobodyDecides_SaidToBeForgotten(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := open(t, virtual.Options{Cases: r.settings(), FollowEvery: 12 * time.Hour})
		record := w.unplaced()
		w.announce(0, "8")
		w.submit(30*time.Minute, anOrder("8"))
		w.Run(14*day + time.Hour)
		r.said("orphan.opened", "orphan.due", "orphan.past", "orphan.closed")
		end := r.deliveries()[3]
		if !strings.Contains(end.Data.Outcome, "nobody decided") || end.Data.Decision != "" || end.Data.Record != *record || !end.Timestamp.Equal(w.Moment(14*day)) {
			t.Errorf("it was said to have ended as %+v", end)
		}
	})
}

func TestOrphan_DecidedOnWhatIsNotSoAnyMore_RefusedWithWhatIs(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{FollowEvery: 12 * time.Hour})
		record := w.unplaced()
		leave := func(evidence string) error {
			return w.decideInbox(order.SystemPayment, *record, workflows.DecideInbox{Leave: true, Evidence: evidence})
		}
		var k workflows.InboxCase
		w.At(2*time.Hour, "look", func() {
			k = w.unclaimed(order.SystemPayment, *record)
			w.Payment.Frame().HandleNotifications("", simulator.Drop)
			w.edit(w.Payment, `{"order":"9","refunded":700}`)
		})
		w.At(3*time.Hour, "decide", func() {
			err := leave(k.Token)
			is := w.unclaimed(order.SystemPayment, *record)
			if !errors.Is(err, starters.ErrNotNow) || !strings.Contains(err.Error(), "has changed since; nothing was done") ||
				!strings.Contains(err.Error(), is.Token) || !strings.Contains(err.Error(), "refunded is 700") {
				t.Errorf("decided on what was so before: %v", err)
			}
			if is.Decided != nil || is.Token == k.Token || is.Money != 0 || k.Money != 700 {
				t.Errorf("the case was %+v and is %+v", k, is)
			}
			if err := leave("no such token"); !errors.Is(err, starters.ErrNotValid) {
				t.Errorf("decided on what is no token: %v", err)
			}
			w.edit(w.CRM, `{"order":"9","stage":"won"}`)
			if err := leave(""); !errors.Is(err, starters.ErrNotNow) { // what was known is the token then
				t.Errorf("decided without a token on what is not so any more: %v", err)
			}
			w.inject(w.Payment, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
			k = w.unclaimed(order.SystemPayment, *record)
			if err := leave(k.Token); !errors.Is(err, starters.ErrNotNow) || !strings.Contains(err.Error(), "payment system cannot be read now") {
				t.Errorf("decided while nobody knows: %v", err)
			}
			w.Payment.Frame().Clear("*")
		})
		w.At(3*time.Hour+30*time.Minute, "decide when it can be read", func() {
			w.inject(w.CRM, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
			w.Check(leave(k.Token)) // what cannot be read, and is not the record's own system, said this before
		})
		w.At(4*time.Hour, "decide again", func() {
			w.Check(leave(k.Token)) // the same is no second decision
			if err := leave(""); !errors.Is(err, starters.ErrNotNow) || !strings.Contains(err.Error(), "me has decided already") {
				t.Errorf("decided twice: %v", err)
			}
			if is := w.unclaimed(order.SystemPayment, *record); is.Decided == nil || !is.Decided.Leave || is.Token != k.Token {
				t.Errorf("the case is %+v", is)
			}
		})
		w.Run(5 * time.Hour)
	})
}

// Of a record that names no order there is only what was heard of it: its money, and
// whether something came since.
func TestOrphan_NamesNoOrder_MoneyAndEvidenceAreWhatWasHeard(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := deaf(t, virtual.Options{Cases: r.settings()})
		w.submit(time.Minute, anOrder("1"))
		record := ""
		w.At(2*time.Hour, "a payment without a reference", func() {
			var err error
			record, err = w.Payment.Start("1", payment.Checkout{Amount: 700, Currency: "eur", Method: "pm_card_visa", Capture: order.CaptureAtOnce, Channel: "shop", Bare: true})
			w.Check(err)
		})
		w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay})
		var k workflows.InboxCase
		w.At(19*time.Hour+30*time.Minute, "look", func() {
			r.said("orphan.opened")
			k = w.unclaimed(order.SystemPayment, record)
			if d := r.deliveries()[0].Data; k.Money != 700 || k.Currency != "EUR" || d.Money != 700 || d.Evidence != k.Token ||
				d.Why != "payment holds "+record+", a payment of 7.00 EUR, succeeded, which names no order" {
				t.Errorf("announced %+v of %+v", d, k)
			}
		})
		again := w.sweep(19*time.Hour+40*time.Minute, workflows.SweepInput{Day: firstDay}) // which sees it again
		w.At(20*time.Hour, "the gateway tells of it", func() {
			if is := w.unclaimed(order.SystemPayment, record); is.Token != k.Token {
				t.Errorf("seen again, its evidence was %s and is %s", k.Token, is.Token)
			}
			w.Check(w.Client.Keep(t.Context(), "", reconciliation.Notice{ID: "evt_x", System: order.SystemPayment, Record: record, Type: "charge.refunded", At: w.Now()}))
		})
		w.At(20*time.Hour+time.Second, "a person decides on what was so before", func() {
			err := w.decideInbox(order.SystemPayment, record, workflows.DecideInbox{Link: "1", Evidence: k.Token})
			is := w.unclaimed(order.SystemPayment, record)
			if !errors.Is(err, starters.ErrNotNow) || !strings.Contains(err.Error(), "charge.refunded") || !strings.Contains(err.Error(), is.Token) || is.Token == k.Token {
				t.Errorf("decided: %v", err)
			}
			w.Check(w.decideInbox(order.SystemPayment, record, workflows.DecideInbox{Link: "1", Evidence: is.Token}))
		})
		w.Run(21 * time.Hour)
		if again.Swept == nil || again.Swept.Kept != 1 {
			t.Errorf("the second sweep did not see it: %+v", again)
		}
		r.said("orphan.opened", "orphan.closed")
		if d := r.deliveries()[1].Data; d.Outcome != "decided: link by me (unverified)" || d.Order != "1" {
			t.Errorf("it was said to have ended as %+v", d)
		}
	})
}
