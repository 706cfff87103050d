package virtual_test

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// callTimeout is how long the workflows let a call take.
const callTimeout = 15 * time.Second

// shop opens a world with one order, placed after a minute.
func shop(t *testing.T, o virtual.Options) *virtual.World {
	o.Stock, o.Pace = map[string]int{"MUG": 100, "TSHIRT": 100}, warehouse.DefaultPace()
	o.Policy, o.FollowEvery = "mode: auto\nreturn_window: 24h\n", 47*time.Minute
	w := virtual.Open(t, o)
	w.At(time.Minute, "a customer orders", func() { w.Submit(anOrder("1")) })
	return w
}

// ofOrder returns the entries of one kind and operation about the order.
func ofOrder(t *testing.T, d simulator.Desk, kind simulator.EntryKind, operation order.Operation) []simulator.Entry {
	t.Helper()
	all, err := d.Frame().Ledger(0, "1")
	if err != nil {
		t.Fatal(err)
	}
	var found []simulator.Entry
	for _, e := range all {
		if e.Kind == kind && e.Operation == operation {
			found = append(found, e)
		}
	}
	return found
}

// closed says that the order must have ended as if nothing had been.
func closed(t *testing.T, w *virtual.World) {
	t.Helper()
	if s := w.Closed("1"); s == nil || s.Phase != order.PhaseClosed {
		t.Errorf("the order has not been completed and closed: %s\n%s", w.Last("1"), tail(w))
	}
}

func tail(w *virtual.World) string {
	text := ""
	for _, l := range w.Trace() {
		text += l.String() + "\n"
	}
	return text
}

func TestCrash_EveryBoundary_OneEffect(t *testing.T) {
	for _, c := range []struct {
		system    order.System
		operation order.Operation
	}{
		{order.SystemPayment, order.Authorize},
		{order.SystemPayment, order.Capture},
		{order.SystemInventory, order.Reserve},
		{order.SystemWarehouse, order.Request},
		{order.SystemERP, order.Record},
		{order.SystemMail, order.Send},
	} {
		for _, at := range []virtual.Boundary{virtual.Before, virtual.After, virtual.Acknowledged} {
			t.Run(string(c.system)+" "+string(at), func(t *testing.T) {
				virtual.Bubble(t, func(t *testing.T) {
					w := shop(t, virtual.Options{})
					w.Crash(at, c.system, c.operation)
					w.Run(9 * day)
					closed(t, w)
					if all := w.Crashes(); len(all) != 1 || !all[0].Fired {
						t.Errorf("the crashes are %+v", all)
					}
					checkOnce(t, w)
				})
			})
		}
	}
}

// checkOnce says that money, goods and mail moved once.
func checkOnce(t *testing.T, w *virtual.World) {
	t.Helper()
	for _, e := range []struct {
		desk      simulator.Desk
		operation order.Operation
		want      int
	}{{w.Payment, order.Authorize, 1}, {w.Payment, order.Capture, 1}, {w.Inventory, order.Reserve, 2}, {w.Mail, order.Send, 2}} {
		if got := ofOrder(t, e.desk, simulator.EntryEffect, e.operation); len(got) != e.want {
			t.Errorf("%s had %d effects in %s, want %d: %+v", e.operation, len(got), e.desk.Frame().Name, e.want, got)
		}
	}
}

func TestCrash_AfterTheEffect_NextAttemptWaitsForTheServer(t *testing.T) {
	virtual.Bubble(t, func(t *testing.T) {
		w := shop(t, virtual.Options{})
		w.Crash(virtual.After, order.SystemPayment, order.Capture)
		w.Run(9 * day)
		tried := ofOrder(t, w.Payment, simulator.EntryRequest, order.Capture)
		if len(tried) < 2 {
			t.Fatalf("the capture was tried %d times: %+v", len(tried), tried)
		}
		if waited := tried[1].At.Sub(tried[0].At); waited < callTimeout {
			t.Errorf("the next attempt came %s after the one whose worker died; the server waits %s", waited, callTimeout)
		}
	})
}

func TestLate_EffectLandsAfterTheClientGaveUp(t *testing.T) {
	virtual.Bubble(t, func(t *testing.T) {
		w := shop(t, virtual.Options{})
		const delay = 40 * time.Second
		_, err := w.Payment.Frame().Inject(simulator.Fault{Operation: order.Authorize, Kind: simulator.Late, Delay: delay})
		w.Check(err)
		w.Run(9 * day)
		closed(t, w)
		checkOnce(t, w)
		gaveUp := ofOrder(t, w.Payment, simulator.EntryRequest, order.Authorize)[0].At
		if hung := gaveUp.Sub(virtual.Start.Add(time.Minute)); hung < 5*time.Second || hung > callTimeout {
			t.Errorf("the client gave up after %s", hung)
		}
		for _, l := range w.Trace() { // the next attempt, with the same key, has its effect before
			if l.Detail == "payment.late.authorize" && l.Age != gaveUp.Add(delay).Sub(virtual.Start) {
				t.Errorf("the effect landed at %s; the client gave up at %s", l.Age, gaveUp.Sub(virtual.Start))
			}
		}
	})
}

func TestDown_Workers_NothingStarts(t *testing.T) {
	virtual.Bubble(t, func(t *testing.T) {
		w := shop(t, virtual.Options{})
		w.At(30*time.Second, "the workers stop", func() { w.Down(virtual.Workers, time.Hour) })
		w.Run(9 * day)
		closed(t, w)
		first := ofOrder(t, w.Inventory, simulator.EntryRequest, order.Reserve)[0].At
		if up := virtual.Start.Add(30*time.Second + time.Hour); first.Before(up) {
			t.Errorf("a worker called %s before it was up again", up.Sub(first))
		}
	})
}

func TestDown_Gateway_WebhooksComeAgain(t *testing.T) {
	virtual.Bubble(t, func(t *testing.T) {
		w := shop(t, virtual.Options{})
		w.At(30*time.Second, "the gateway stops", func() { w.Down(virtual.Gateway, time.Hour) })
		w.Run(9 * day)
		closed(t, w)
		refused, taken := 0, 0
		for _, e := range ofOrder(t, w.Payment, simulator.EntryNotification, "notify") {
			if e.Status == 0 {
				refused++
			} else {
				taken++
			}
		}
		if refused == 0 || taken == 0 {
			t.Errorf("%d webhooks were refused and %d taken", refused, taken)
		}
	})
}

func TestDown_Engine_SubmissionFails(t *testing.T) {
	virtual.Bubble(t, func(t *testing.T) {
		w := shop(t, virtual.Options{})
		var during, after *virtual.Answer
		w.At(2*time.Minute, "the engine stops", func() { w.Down(virtual.Engine, time.Minute) })
		w.At(2*time.Minute+time.Second, "an order comes", func() { during = w.Submit(anOrder("2")) })
		w.At(4*time.Minute, "it comes again", func() { after = w.Submit(anOrder("2")) })
		w.Run(9 * day)
		closed(t, w)
		if during.Err == nil || after.Err != nil {
			t.Errorf("while the engine was down the answer was %v, and then %v", during.Err, after.Err)
		}
	})
}
