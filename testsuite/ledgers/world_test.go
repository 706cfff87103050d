package ledgers

import (
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/inventory"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
)

// clock goes on by a second each time that somebody asks, so that no two entries
// of ledgers have the same moment. Nothing happens by itself.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time {
	c.now = c.now.Add(time.Second)
	return c.now
}

func (c *clock) After(time.Duration, string, func()) {}

// world is six systems that a test writes into.
type world struct {
	Desks
	t     *testing.T
	clock *clock
	file  *script.File
	watch *Watch
}

const story = `
id: X
title: A story of a test
orders:
  O1: {}
  O2: {payment: {multicapture: true}}
steps:
  - submit: O1
expect: {O1: {never: [in_doubt]}}
`

// open opens a world, and begins to watch the story of a file, to which more
// steps are added.
func open(t *testing.T, steps ...string) *world {
	t.Helper()
	text := story
	for _, s := range steps {
		text = strings.Replace(text, "  - submit: O1\n", "  - submit: O1\n  - "+s+"\n", 1)
	}
	f, err := script.Parse("story.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	o := simulator.Options{Clock: c}
	w := &world{t: t, clock: c, file: f}
	var errs [6]error
	w.Payment, errs[0] = payment.New(o, payment.Settings{})
	w.Inventory, errs[1] = inventory.New(o, inventory.Settings{Stock: map[string]int64{"A": 10, "B": 3}})
	w.Warehouse, errs[2] = warehouse.New(o, warehouse.Settings{Stock: map[string]int{"A": 10, "B": 3}})
	w.ERP, errs[3] = erp.New(o, erp.Settings{})
	w.CRM, errs[4] = crm.New(o, crm.Settings{})
	w.Mail, errs[5] = mail.New(o, mail.Settings{})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, s := range order.Systems() {
			_ = w.Frame(s).Close()
		}
	})
	w.watch = NewWatch(f, w.Desks)
	return w
}

// effect writes into a system's ledger that a request of ours had an effect.
func (w *world) effect(s order.System, e simulator.Entry) { w.entry(s, simulator.EntryEffect, e) }

func (w *world) entry(s order.System, kind simulator.EntryKind, e simulator.Entry) {
	w.t.Helper()
	e.Kind = kind
	if e.Order == "" && e.Record != "none" {
		e.Order = "O1"
	}
	if err := w.Frame(s).Update(func(tx *sql.Tx) error { return w.Frame(s).Append(tx, e) }); err != nil {
		w.t.Fatal(err)
	}
}

// edit changes a record as a person would.
func (w *world) edit(s order.System, fields string) {
	w.t.Helper()
	desk := map[order.System]simulator.Desk{
		order.SystemPayment: w.Payment, order.SystemInventory: w.Inventory, order.SystemWarehouse: w.Warehouse,
		order.SystemERP: w.ERP, order.SystemCRM: w.CRM, order.SystemMail: w.Mail,
	}[s]
	if err := desk.Edit(json.RawMessage(fields)); err != nil {
		w.t.Fatal(err)
	}
}

// book posts documents.
func (w *world) book(b erp.Loaded) {
	w.t.Helper()
	b.Currency = "EUR"
	if err := w.ERP.Load([]erp.Loaded{b}); err != nil {
		w.t.Fatal(err)
	}
}

// The steps of an order that goes well.

func (w *world) reserve() {
	w.effect(order.SystemInventory, simulator.Entry{Operation: order.Reserve, Key: "order/O1/reserve/1", Record: "r1", Amount: 2, Detail: "A"})
	w.effect(order.SystemInventory, simulator.Entry{Operation: order.Reserve, Key: "order/O1/reserve/1", Record: "r2", Amount: 1, Detail: "B"})
}

func (w *world) authorize(amount int64) {
	w.effect(order.SystemPayment, simulator.Entry{Operation: order.Authorize, Key: "order/O1/authorize/1", Record: "pi_1", Amount: amount})
}

func (w *world) capture(n string, amount int64) {
	w.effect(order.SystemPayment, simulator.Entry{Operation: order.Capture, Key: "order/O1/capture/" + n, Record: "pi_" + n, Amount: amount})
}

func (w *world) refund(n string, amount int64) {
	w.effect(order.SystemPayment, simulator.Entry{Operation: order.Refund, Key: "order/O1/refund/" + n, Record: "re_" + n, Amount: amount})
}

func (w *world) request(n, goods string) {
	w.effect(order.SystemWarehouse, simulator.Entry{Operation: order.Request, Key: "order/O1/request/" + n, Record: n, Detail: goods})
}

func (w *world) ship(n, goods string) {
	w.entry(order.SystemWarehouse, simulator.EntryEdit, simulator.Entry{Operation: "ship", Key: "order/O1/request/" + n, Record: n, Detail: goods})
}

func (w *world) send(n, template, id string) {
	w.effect(order.SystemMail, simulator.Entry{Operation: order.Send, Key: "order/O1/send/" + n, Record: id, Detail: template})
}

// lies puts a mail of ours into the customer's mailbox.
func (w *world) lies(template, id string) {
	w.edit(order.SystemMail, `{"do": "put", "mailbox": "c1@example.com", "order": "O1", "template": "`+template+`", "occasion": 1, "message_id": "`+id+`"}`)
}

// found asks the watch for what is broken.
func (w *world) found() []Violation {
	w.t.Helper()
	all, err := w.watch.After()
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func laws(all []Violation) []Law {
	var out []Law
	for _, v := range all {
		out = append(out, v.Law)
	}
	return slices.Compact(out)
}
