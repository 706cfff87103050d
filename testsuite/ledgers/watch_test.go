package ledgers

import (
	"slices"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
)

const trade = "order/O1/invoice/"

func invoice(n string, amount int64, at time.Time) erp.Trade {
	return erp.Trade{Reference: trade + n, At: at, Lines: []erp.Line{{What: "goods", Pieces: 1, Unit: amount}}}
}

// planted is what a test writes into the systems, and the law that it breaks;
// none when it is right.
type planted struct {
	steps []string // of the file, besides
	do    func(w *world)
	law   Law
}

// each law has a violation that must be found, and neighbours that are right.
var plants = map[string]planted{
	"an order that goes well": {do: func(w *world) {
		w.reserve()
		w.authorize(9980)
		w.request("1", "A=2 B=1")
		w.send("1", "confirmation", "<1>")
		w.ship("1", "A=2 B=1")
		w.capture("1", 9980)
		w.send("2", "shipped", "<2>")
		w.refund("1", 2500)
		w.send("3", "refund", "<3>")
	}},

	"captured above the total": {law: AboveTotal, do: func(w *world) { w.capture("1", 9981) }},
	"captured twice":           {law: AboveTotal, do: func(w *world) { w.capture("1", 9980); w.capture("2", 9980) }},
	"captured again after all was given back": {do: func(w *world) {
		w.capture("1", 9980)
		w.refund("1", 9980)
		w.capture("2", 9980)
	}},
	"the customer paid twice": {do: func(w *world) {
		w.capture("1", 9980)
		w.entry(order.SystemPayment, simulator.EntryEdit, simulator.Entry{Operation: order.Capture, Record: "pi_2", Amount: 9980})
	}},
	"captured again because the first one vanished": {do: func(w *world) {
		w.capture("1", 9980)
		w.entry(order.SystemPayment, simulator.EntryEdit, simulator.Entry{Operation: order.Capture, Record: "pi_1", Detail: "vanished"})
		w.entry(order.SystemPayment, simulator.EntryRequest, simulator.Entry{
			Operation: order.Capture, Key: "order/O1/capture/1", Fault: simulator.Vanishes,
		})
		w.capture("1", 9980)
	}},

	"refunded more than captured": {law: RefundedTooMuch, do: func(w *world) { w.capture("1", 5000); w.refund("1", 5001) }},
	"a refund that failed, and another": {do: func(w *world) {
		w.capture("1", 9980)
		w.refund("1", 9980)
		w.entry(order.SystemPayment, simulator.EntryEdit, simulator.Entry{Operation: order.Refund, Record: "re_1", Amount: -9980, Detail: "failed"})
		w.refund("2", 9980)
	}},

	"more promised than there is": {law: BelowZero, do: func(w *world) {
		w.effect(order.SystemInventory, simulator.Entry{Operation: order.Reserve, Key: "order/O1/reserve/1", Record: "r1", Amount: 4, Detail: "B"})
	}},
	"somebody counts less than is promised": {do: func(w *world) {
		w.reserve()
		w.effect(order.SystemInventory, simulator.Entry{Operation: order.Adjust, Record: "none", Amount: 0, Detail: "B"})
	}},
	"a level below zero": {law: BelowZero, do: func(w *world) {
		w.effect(order.SystemInventory, simulator.Entry{Operation: order.Adjust, Record: "none", Amount: -1, Detail: "B"})
	}},

	"asked of the warehouse unpaid": {law: Unpaid, do: func(w *world) { w.request("1", "A=2 B=1") }},
	"asked of the warehouse for half the money": {law: Unpaid, do: func(w *world) {
		w.authorize(5000)
		w.request("1", "A=2 B=1")
	}},
	"half of it for half the money": {do: func(w *world) { w.authorize(5000); w.request("1", "A=2") }},
	"a draft unpaid":                {do: func(w *world) { w.request("1", "draft") }},
	"voided by us and shipped": {law: Unpaid, do: func(w *world) {
		w.authorize(9980)
		w.request("1", "A=2 B=1")
		w.effect(order.SystemPayment, simulator.Entry{Operation: order.Void, Key: "order/O1/void/1", Record: "pi_1", Amount: 9980})
		w.ship("1", "A=2 B=1")
	}},
	"expired and shipped": {law: Unpaid, do: func(w *world) {
		w.authorize(9980)
		w.request("1", "A=2 B=1")
		w.entry(order.SystemPayment, simulator.EntryEdit, simulator.Entry{Operation: order.Void, Record: "pi_1", Amount: 9980, Detail: "automatic"})
		w.ship("1", "A=2 B=1")
	}},
	"voided by hand and shipped": {do: func(w *world) {
		w.authorize(9980)
		w.request("1", "A=2 B=1")
		w.entry(order.SystemPayment, simulator.EntryEdit, simulator.Entry{Operation: order.Void, Record: "pi_1", Amount: 9980})
		w.ship("1", "A=2 B=1")
	}},
	"a line dropped, given back, and the rest shipped": {do: func(w *world) {
		w.capture("1", 9980)
		w.request("1", "A=2 B=1")
		w.refund("1", 4980)
		w.ship("1", "A=2")
	}},

	"confirmed before it was paid": {law: TooEarly, do: func(w *world) { w.reserve(); w.send("1", "confirmation", "<1>") }},
	"confirmed before it was promised": {law: TooEarly, do: func(w *world) {
		w.authorize(9980)
		w.send("1", "confirmation", "<1>")
	}},
	"confirmed under review": {law: TooEarly, do: func(w *world) {
		w.reserve()
		w.entry(order.SystemPayment, simulator.EntryEdit, simulator.Entry{Operation: "review", Detail: "opened"})
		w.authorize(9980)
		w.send("1", "confirmation", "<1>")
	}},
	"confirmed after the review": {do: func(w *world) {
		w.reserve()
		w.entry(order.SystemPayment, simulator.EntryEdit, simulator.Entry{Operation: "review", Detail: "opened"})
		w.authorize(9980)
		w.entry(order.SystemPayment, simulator.EntryEdit, simulator.Entry{Operation: "review", Detail: "approved"})
		w.send("1", "confirmation", "<1>")
	}},

	"told that it shipped":      {law: MailUntrue, do: func(w *world) { w.send("1", "shipped", "<1>") }},
	"told that it was refunded": {law: MailUntrue, do: func(w *world) { w.send("1", "refund", "<1>") }},

	"a mail twice": {law: MailTwice, do: func(w *world) {
		w.lies("question", "<1>")
		w.lies("question", "<2>")
		w.send("1", "question", "<1>")
		w.send("2", "question", "<2>")
	}},
	"a mail that somebody else sent too": {do: func(w *world) {
		w.lies("question", "<1>")
		w.lies("question", "<2>")
		w.send("1", "question", "<1>")
	}},
	"a mail twice that the middlebox delivered twice": {do: func(w *world) {
		w.entry(order.SystemMail, simulator.EntryRequest, simulator.Entry{Operation: order.Send, Fault: simulator.Twice})
		w.lies("question", "<1>")
		w.lies("question", "<1>")
		w.send("1", "question", "<1>")
	}},

	"a void twice": {law: EffectTwice, do: func(w *world) {
		for range 2 {
			w.effect(order.SystemPayment, simulator.Entry{Operation: order.Void, Key: "order/O1/void/1", Record: "pi_1"})
		}
	}},
	"a sale twice under one intent": {law: EffectTwice, do: func(w *world) {
		w.effect(order.SystemERP, simulator.Entry{Operation: order.Record, Key: "order/O1/record/1", Record: "1", Detail: "draft"})
		w.effect(order.SystemERP, simulator.Entry{Operation: order.Record, Key: "order/O1/record/1", Record: "1"})
		w.effect(order.SystemERP, simulator.Entry{Operation: order.Record, Key: "order/O1/record/1", Record: "2"})
	}},
	"an intent under the key after its key": {law: EffectTwice, do: func(w *world) {
		w.refundUnder("order/O1/refund/1")
		w.refundUnder("order/O1/refund/1/again/2")
	}},
	"an effect under no key":            {law: NotOurs, do: func(w *world) { w.refundUnder("") }},
	"an effect under another one's key": {law: NotOurs, do: func(w *world) { w.refundUnder("order/O2/refund/1") }},
}

func (w *world) refundUnder(key string) {
	w.capture("1", 9980)
	w.effect(order.SystemPayment, simulator.Entry{Operation: order.Refund, Key: key, Record: "re" + key, Amount: 10})
	w.entry(order.SystemPayment, simulator.EntryEdit, simulator.Entry{Operation: order.Capture, Record: "pi_1", Detail: "vanished"})
	w.entry(order.SystemPayment, simulator.EntryRequest, simulator.Entry{Operation: order.Capture, Key: "order/O1/capture/1", Fault: simulator.Vanishes})
}

func TestWatch_Planted_FoundAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, p := range plants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, p.steps...)
			p.do(w)
			got := w.found()
			switch {
			case p.law == "" && len(got) > 0:
				t.Errorf("found %v; want nothing", got)
			case p.law != "" && !slices.Equal(laws(got), []Law{p.law}):
				t.Errorf("found %v; want %q", got, p.law)
			}
			if again := w.found(); len(again) > 0 {
				t.Errorf("found once more: %v", again)
			}
		})
	}
}

// live makes a second shipment with the goods of the first.
func (w *world) live() {
	w.edit(order.SystemWarehouse, `{"order": "O1", "lines": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}]}`)
	w.edit(order.SystemWarehouse, `{"order": "O1", "live": 2}`)
}

func TestWatch_GoodsTwice_UnlessLostOrMadeByHand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps []string
		do    func(w *world)
		want  []Law
	}{
		"two by us":        {do: func(w *world) { w.request("1", "A=2 B=1"); w.request("2", "A=2 B=1") }, want: []Law{GoodsTwice}},
		"one of them ours": {do: func(w *world) { w.request("1", "A=2 B=1") }},
		"one was cancelled": {do: func(w *world) {
			w.request("1", "A=2 B=1")
			w.edit(order.SystemWarehouse, `{"shipment": "1", "cancel": true}`)
			w.request("2", "A=2 B=1")
		}},
		"one was lost": {do: func(w *world) {
			w.request("1", "A=2 B=1")
			w.edit(order.SystemWarehouse, `{"shipment": "1", "state": "shipped"}`)
			w.edit(order.SystemWarehouse, `{"shipment": "1", "lost": true}`)
			w.request("2", "A=2 B=1")
		}},
		"changed, and gone with that": {do: func(w *world) {
			w.request("1", "A=2 B=1")
			w.edit(order.SystemWarehouse, `{"shipment": "1", "cancel": true}`)
			w.entry(order.SystemWarehouse, simulator.EntryRequest, simulator.Entry{Operation: order.UpdateAddress, Key: "order/O1/request/1", Fault: simulator.Vanishes})
			w.entry(order.SystemWarehouse, simulator.EntryEffect, simulator.Entry{Operation: order.Request, Key: "order/O1/request/1", Detail: "A=2 B=1"})
		}},
		"cancelled, and gone with that": {do: func(w *world) {
			w.request("1", "A=2 B=1")
			w.edit(order.SystemWarehouse, `{"shipment": "1", "cancel": true}`)
			w.entry(order.SystemWarehouse, simulator.EntryRequest, simulator.Entry{Operation: order.Cancel, Key: "order/O1/request/1", Fault: simulator.Vanishes})
			w.entry(order.SystemWarehouse, simulator.EntryEffect, simulator.Entry{Operation: order.Request, Key: "order/O1/request/1", Detail: "A=2 B=1"})
		}},
		"another one gone": {want: []Law{EffectTwice}, do: func(w *world) {
			w.request("1", "A=2 B=1")
			w.edit(order.SystemWarehouse, `{"shipment": "1", "cancel": true}`)
			w.entry(order.SystemWarehouse, simulator.EntryRequest, simulator.Entry{Operation: order.UpdateAddress, Key: "order/O1/request/2", Fault: simulator.Vanishes})
			w.entry(order.SystemWarehouse, simulator.EntryEffect, simulator.Entry{Operation: order.Request, Key: "order/O1/request/1", Detail: "A=2 B=1"})
		}},
		"the file makes it": {
			steps: []string{"edit: {system: warehouse, order: O1, live: 2}"},
			do:    func(w *world) { w.request("1", "A=2 B=1"); w.request("2", "A=2 B=1") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, c.steps...)
			w.authorize(9980)
			w.live()
			c.do(w)
			if got := laws(w.found()); !slices.Equal(got, c.want) {
				t.Errorf("found %q; want %q", got, c.want)
			}
		})
	}
}

func TestWatch_BooksTwice_Found(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps []string
		book  func(w *world, at time.Time) erp.Loaded
		want  []Law
	}{
		"one of each": {book: func(_ *world, at time.Time) erp.Loaded {
			return erp.Loaded{
				Sales:    []erp.Trade{{Reference: "order/O1/record/1", At: at, Lines: []erp.Line{{What: "goods", Pieces: 1, Unit: 9980}}}},
				Invoices: []erp.Trade{invoice("1", 9980, at)}, Receipts: []erp.Receipt{{Reference: "order/O1/receipt/1", Amount: 9980, At: at}},
			}
		}},
		"two invoices": {want: []Law{BooksTwice}, book: func(_ *world, at time.Time) erp.Loaded {
			return erp.Loaded{Invoices: []erp.Trade{invoice("1", 9980, at), invoice("2", 10, at)}}
		}},
		"two invoices, one by the file": {
			steps: []string{"edit: {system: erp, order: O1, invoices: 2}"},
			book: func(_ *world, at time.Time) erp.Loaded {
				return erp.Loaded{Invoices: []erp.Trade{invoice("1", 9980, at), invoice("2", 10, at)}}
			},
		},
		"two sales": {want: []Law{BooksTwice}, book: func(_ *world, at time.Time) erp.Loaded {
			sale := erp.Trade{Reference: "order/O1/record/1", At: at, Lines: []erp.Line{{What: "goods", Pieces: 1, Unit: 9980}}}
			return erp.Loaded{Sales: []erp.Trade{sale, sale}}
		}},
		"received twice": {want: []Law{BooksTwice}, book: func(_ *world, at time.Time) erp.Loaded {
			r := erp.Receipt{Reference: "order/O1/receipt/1", Amount: 9980, At: at}
			return erp.Loaded{Receipts: []erp.Receipt{r, r}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, c.steps...)
			w.capture("1", 9980)
			w.book(c.book(w, w.clock.now.Add(time.Minute)))
			w.effect(order.SystemERP, simulator.Entry{Operation: order.Invoice, Key: trade + "1", Record: "1"})
			if got := laws(w.found()); !slices.Equal(got, c.want) {
				t.Errorf("found %q; want %q", got, c.want)
			}
		})
	}
}

// pay lets the customer pay at the checkout.
func (w *world) pay(mode string) {
	w.edit(order.SystemPayment, `{"order": "O1", "start": {"amount": 9980, "currency": "eur", "method": "pm_card_visa", "capture": "`+mode+`"}}`)
}

func TestHear_FailedOrCancelled_NotWhileSomethingIsOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(w *world)
		over bool
	}{
		"nothing was":       {func(*world) {}, true},
		"money is held":     {func(w *world) { w.pay("on_ship") }, false},
		"it was voided":     {func(w *world) { w.pay("on_ship"); w.edit(order.SystemPayment, `{"order": "O1", "void": true}`) }, true},
		"money was taken":   {func(w *world) { w.pay("at_once") }, false},
		"it was given back": {func(w *world) { w.pay("at_once"); w.edit(order.SystemPayment, `{"order": "O1", "refunded": 9980}`) }, true},
		"an attempt is open": {func(w *world) {
			w.edit(order.SystemPayment, `{"order": "O1", "start": {"amount": 9980, "currency": "eur"}}`)
		}, false},
		"goods are out": {func(w *world) { w.live() }, false},
		"goods came back": {func(w *world) {
			w.edit(order.SystemWarehouse, `{"order": "O1", "lines": [{"sku": "A", "quantity": 1}]}`)
			w.edit(order.SystemWarehouse, `{"order": "O1", "state": "shipped"}`)
			w.edit(order.SystemWarehouse, `{"order": "O1", "return": {"lines": [{"sku": "A", "quantity": 1}], "state": "done"}}`)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, outcome := range []string{"failed", "cancelled"} {
				w := open(t)
				c.do(w)
				got, err := w.watch.Hear("O1", Said{Outcome: outcome}, w.clock.now)
				if err != nil || (len(got) == 0) != c.over {
					t.Errorf("%s: found %v, %v", outcome, got, err)
				}
				if got, _ := w.watch.Hear("O1", Said{Outcome: "in_progress"}, w.clock.now); len(got) > 0 {
					t.Errorf("in progress: found %v", got)
				}
			}
		})
	}
}

func TestHear_OutcomeThatMayNeverBe_Found(t *testing.T) {
	t.Parallel()
	w := open(t)
	got, err := w.watch.Hear("O1", Said{Outcome: "in_doubt"}, w.clock.now)
	if err != nil || !slices.Equal(laws(got), []Law{NeverSaid}) {
		t.Errorf("found %v, %v", got, err)
	}
	if _, err := w.watch.Hear("O7", Said{}, w.clock.now); err == nil {
		t.Error("an order that the file does not have is no error")
	}
}

func TestHear_ClosedOrderChanged_UnlessOnRecord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps []string
		then  Said
		want  []Law
	}{
		"for no reason":     {then: Said{Closed: true}, want: []Law{ClosedChanged}},
		"a case":            {then: Said{Cases: 2}},
		"a repair":          {then: Said{Closed: true, Cases: 1, Repairs: 1}},
		"a customer's wish": {steps: []string{"return: {order: O1, lines: {A: 1}}"}, then: Said{Closed: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, c.steps...)
			w.capture("1", 9980)
			w.found()
			if got, err := w.watch.Hear("O1", Said{Outcome: "succeeded", Closed: true, Cases: 1}, w.clock.now); err != nil || len(got) > 0 {
				t.Fatalf("found %v, %v", got, err)
			}
			w.refund("1", 100)
			w.found()
			got, err := w.watch.Hear("O1", c.then, w.clock.now)
			if err != nil || !slices.Equal(laws(got), c.want) {
				t.Errorf("found %v, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestEnd_AtRest_PlantedFound(t *testing.T) {
	t.Parallel()
	fine := Said{Outcome: "succeeded", Agreement: "agreed"}
	shipAll := func(w *world) {
		w.edit(order.SystemWarehouse, `{"order": "O1", "lines": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}]}`)
		w.edit(order.SystemWarehouse, `{"order": "O1", "state": "shipped"}`)
	}
	for name, c := range map[string]struct {
		steps []string
		do    func(w *world)
		said  Said
		want  []Law
	}{
		"paid and shipped":          {do: func(w *world) { w.pay("at_once"); shipAll(w) }, said: fine},
		"paid and nothing shipped":  {do: func(w *world) { w.pay("at_once") }, said: fine, want: []Law{MoneyForGoods}},
		"shipped and nothing taken": {do: shipAll, said: fine, want: []Law{MoneyForGoods}},
		"shipped, lost, and its money given back": {said: fine, do: func(w *world) {
			w.pay("at_once")
			shipAll(w)
			w.edit(order.SystemWarehouse, `{"order": "O1", "lost": true}`)
			w.edit(order.SystemPayment, `{"order": "O1", "refunded": 9980}`)
		}},
		"shipped, lost and found": {said: fine, do: func(w *world) {
			w.pay("at_once")
			shipAll(w)
			w.edit(order.SystemWarehouse, `{"order": "O1", "lost": true}`)
			w.edit(order.SystemWarehouse, `{"order": "O1", "state": "delivered"}`)
		}},
		"a person must decide": {do: shipAll, said: Said{Outcome: "succeeded", Agreement: "needs_person", Cases: 1}},
		"the file took the money": {
			steps: []string{"edit: {system: payment, order: O1, refunded: 9980}"}, do: shipAll, said: fine,
		},
		"one came back, its money did not": {said: fine, want: []Law{MoneyForGoods}, do: func(w *world) {
			w.pay("at_once")
			shipAll(w)
			w.edit(order.SystemWarehouse, `{"order": "O1", "return": {"lines": [{"sku": "A", "quantity": 1}], "state": "done"}}`)
		}},
		"one came back with its money": {said: fine, do: func(w *world) {
			w.pay("at_once")
			shipAll(w)
			w.edit(order.SystemWarehouse, `{"order": "O1", "return": {"lines": [{"sku": "A", "quantity": 1}], "state": "done"}}`)
			w.edit(order.SystemPayment, `{"order": "O1", "refunded": 2500}`)
		}},
		"more promised than ordered": {said: Said{Outcome: "in_progress"}, want: []Law{PromisedTooMuch}, do: func(w *world) {
			w.edit(order.SystemInventory, `{"order": "O1", "reserved": {"A": 3}}`)
		}},
		"more promised by the file": {
			steps: []string{"edit: {system: inventory, order: O1, reserved: {A: 3}}"}, said: Said{Outcome: "in_progress"},
			do: func(w *world) { w.edit(order.SystemInventory, `{"order": "O1", "reserved": {"A": 3}}`) },
		},
		"stock below what is promised": {said: Said{Outcome: "in_progress"}, want: []Law{BelowZero}, do: func(w *world) {
			w.edit(order.SystemInventory, `{"order": "O1", "reserved": {"A": 2}}`)
			w.edit(order.SystemInventory, `{"sku": "A", "stocked": 1}`)
		}},
		"stock counted below what is promised": {
			steps: []string{"edit: {system: warehouse, sku: A, on_hand: 1}"}, said: Said{Outcome: "in_progress"},
			do: func(w *world) {
				w.edit(order.SystemInventory, `{"order": "O1", "reserved": {"A": 2}}`)
				w.edit(order.SystemInventory, `{"sku": "A", "stocked": 1}`)
			},
		},
		"less than nothing in the warehouse": {said: Said{Outcome: "in_progress"}, want: []Law{BelowZero}, do: func(w *world) {
			w.edit(order.SystemWarehouse, `{"sku": "A", "on_hand": -1}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, c.steps...)
			c.do(w)
			got, err := w.watch.End(map[string]Said{"O1": c.said}, w.clock.now)
			if err != nil || !slices.Equal(laws(got), c.want) {
				t.Errorf("found %v, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestWatch_Writes_CountsEffects(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.authorize(9980)
	w.entry(order.SystemPayment, simulator.EntryRequest, simulator.Entry{Operation: order.Authorize})
	w.pay("on_ship")
	w.found()
	if n := w.watch.Writes(); n != 1 {
		t.Errorf("%d writes; want 1", n)
	}
}

// A wrong clock in one system does not make its entries come too late.
func TestWatch_SkewedClock_MoneyBeforeGoods(t *testing.T) {
	t.Parallel()
	w := open(t, "clock: {system: payment, skew: 10m}")
	w.Payment.Frame().Skew(10 * time.Minute)
	w.authorize(9980)
	w.request("1", "A=2 B=1")
	if got := w.found(); len(got) > 0 {
		t.Errorf("found %v", got)
	}
}

func TestOrphans_PlantedInEachSystem_Found(t *testing.T) {
	t.Parallel()
	w := open(t)
	if got, err := Orphans(w.file, w.Desks); err != nil || len(got) > 0 {
		t.Fatalf("found %v, %v in an empty world", got, err)
	}
	at := w.clock.now
	for _, of := range []string{"O1", "O2"} { // O2 is an order of the file that nobody submits
		w.edit(order.SystemPayment, `{"order": "`+of+`", "start": {"amount": 100, "currency": "eur", "method": "pm_card_visa"}}`)
		w.edit(order.SystemInventory, `{"order": "`+of+`", "reserved": {"A": 1}}`)
		w.edit(order.SystemWarehouse, `{"order": "`+of+`", "live": 1}`)
		w.edit(order.SystemCRM, `{"order": "`+of+`", "won": 1}`)
		w.edit(order.SystemMail, `{"do": "put", "mailbox": "c1@example.com", "order": "`+of+`", "template": "shipped"}`)
		w.book(erp.Loaded{Receipts: []erp.Receipt{{Reference: "order/" + of + "/receipt/1", Amount: 1, At: at}}})
	}
	w.edit(order.SystemPayment, `{"order": "-", "start": {"amount": 100, "currency": "eur", "method": "pm_card_visa", "bare": true}}`)
	got, err := Orphans(w.file, w.Desks)
	if err != nil {
		t.Fatal(err)
	}
	count := map[order.System]int{}
	for _, o := range got {
		if o.Order == "O1" {
			t.Errorf("found %s", o)
		}
		count[o.System]++
	}
	for _, s := range order.Systems() {
		want := 1
		if s == order.SystemPayment {
			want = 2 // one of them names nobody
		}
		if count[s] != want {
			t.Errorf("%d orphans in %s; want %d: %v", count[s], s, want, got)
		}
	}
}

func TestStockDiffers_EitherSystem_Found(t *testing.T) {
	t.Parallel()
	w := open(t)
	ten, three := int64(10), int64(3)
	want := &script.StockEnd{OnHand: map[string]script.Number{"A": {Min: &ten, Max: &ten}, "B": {Min: &three, Max: &three}}}
	if got, err := StockDiffers(want, w.Desks); err != nil || len(got) > 0 {
		t.Fatalf("found %q, %v", got, err)
	}
	w.edit(order.SystemInventory, `{"sku": "A", "stocked": 9}`)
	w.edit(order.SystemWarehouse, `{"sku": "B", "on_hand": 4}`)
	got, err := StockDiffers(want, w.Desks)
	if err != nil || !slices.Equal(got, []string{"stock.on_hand.A in inventory: 9; want 10", "stock.on_hand.B in the warehouse: 4; want 3"}) {
		t.Errorf("found %q, %v", got, err)
	}
}

// A deal that was won or lost is not opened again by our doing.
func TestWatch_DealBack_OnlyByOurDoing(t *testing.T) {
	t.Parallel()
	ours, theirs := simulator.EntryEffect, simulator.EntryEdit
	type change struct {
		by     simulator.EntryKind
		record string
		detail string
	}
	for name, c := range map[string]struct {
		steps   []string
		changes []change
		want    []Law
	}{
		"won, and open again":          {changes: []change{{ours, "1", "deal changed: amount, stage won 9980"}, {ours, "1", "deal changed: stage open 9980"}}, want: []Law{DealBack}},
		"lost, and abandoned":          {changes: []change{{ours, "1", "deal changed: stage lost"}, {ours, "1", "deal changed: stage abandoned"}}, want: []Law{DealBack}},
		"won, and lost":                {changes: []change{{ours, "1", "deal changed: stage won 9980"}, {ours, "1", "deal changed: stage lost"}}},
		"another deal":                 {changes: []change{{ours, "1", "deal changed: stage won 9980"}, {ours, "2", "deal changed: stage open"}}},
		"opened by a person":           {changes: []change{{ours, "1", "deal changed: stage won 9980"}, {theirs, "1", "deal changed: stage open 9980"}}},
		"won by a person, opened":      {changes: []change{{theirs, "1", "deal changed: stage won 9980"}, {ours, "1", "deal changed: stage open 9980"}}, want: []Law{DealBack}},
		"the file has it moved":        {steps: []string{"edit: {system: crm, order: O1, won: 1}"}, changes: []change{{theirs, "1", "deal changed: stage won 9980"}, {ours, "1", "deal changed: stage open"}}},
		"another property of the same": {changes: []change{{ours, "1", "deal changed: stage won 9980"}, {ours, "1", "deal changed: amount 5000"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, c.steps...)
			for _, x := range c.changes {
				w.entry(order.SystemCRM, x.by, simulator.Entry{Operation: order.Upsert, Key: "O1", Record: x.record, Detail: x.detail})
			}
			if got := laws(w.found()); !slices.Equal(got, c.want) {
				t.Errorf("found %q; want %q", got, c.want)
			}
		})
	}
}
