package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
)

// check says what is wrong with an order by what the six systems hold, and by
// nothing that the product says. An order ended either delivered, paid once and
// booked once, or with nothing held anywhere.
func check(o order.Order, r records) []string {
	c := &checker{order: o, records: r}
	if r.payment.Totals.Captured == 0 && r.payment.Totals.Held == 0 && len(c.live()) == 0 {
		c.nothing()
		return c.wrong
	}
	c.money()
	c.goods()
	c.books()
	c.people()
	c.mails()
	return c.wrong
}

type checker struct {
	order   order.Order
	records records
	wrong   []string
}

func (c *checker) want(ok bool, format string, a ...any) {
	if !ok {
		c.wrong = append(c.wrong, fmt.Sprintf(format, a...))
	}
}

// nothing: an order that failed by itself leaves nothing behind.
func (c *checker) nothing() {
	t, r := c.records.payment.Totals, c.records
	c.want(t.Open == 0, "%d payments can still take money", t.Open)
	c.want(t.Captured == t.Refunded, "captured %d, refunded %d", t.Captured, t.Refunded)
	c.want(len(r.inventory.Reservations) == 0, "%d reservations are left", len(r.inventory.Reservations))
	c.want(len(r.erp.Invoices) == 0 && len(r.erp.Receipts) == 0, "the books have %d invoices and %d receipts", len(r.erp.Invoices), len(r.erp.Receipts))
	for _, m := range r.mail {
		c.want(m.Template != "confirmation" && m.Template != "shipped", "mail %s was sent", m.Template)
	}
	for _, d := range r.crm.Deals {
		c.want(d.Stage != "won", "the deal is won")
	}
}

func (c *checker) money() {
	t := c.records.payment.Totals
	c.want(t.Captures == 1, "%d captures", t.Captures)
	c.want(t.Captured == c.order.Total, "captured %d of %d", t.Captured, c.order.Total)
	c.want(t.Refunds == 0 && t.Disputed == 0, "%d refunds, %d disputed", t.Refunds, t.Disputed)
	c.want(t.Held == 0 && t.Open == 0, "%d held, %d payments open", t.Held, t.Open)
}

// live returns the keys of shipments that are neither drafts nor cancelled.
func (c *checker) live() []string {
	var keys []string
	for _, s := range c.records.warehouse.Shipments {
		if s.State != "draft" && s.State != "cancelled" {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

func (c *checker) goods() {
	c.want(len(c.live()) == 1, "%d live shipments", len(c.live()))
	shipped := map[string]int64{}
	for _, s := range c.records.warehouse.Shipments {
		c.want(s.State != "draft", "draft shipment %d is left", s.ID)
		if s.State == "done" {
			for _, l := range s.Lines {
				shipped[l.SKU] += l.Quantity
			}
		}
	}
	ordered := map[string]int64{}
	for _, g := range c.order.Goods() {
		ordered[g.SKU] += g.Quantity
	}
	c.want(maps.Equal(shipped, ordered), "shipped %v of %v", shipped, ordered)
	c.want(len(c.records.inventory.Reservations) == 0, "%d reservations are left", len(c.records.inventory.Reservations))
}

func (c *checker) books() {
	books := c.records.erp
	for _, kind := range []struct {
		name  string
		total []int64
		wrong int
	}{
		{name: "sale", total: totals(books.Sales)}, {name: "invoice", total: totals(books.Invoices)}, {name: "receipt", total: totals(books.Receipts)},
	} {
		c.want(len(kind.total) == 1 && sum(kind.total) == c.order.Total, "%d %ss of %d in all, want one of %d", len(kind.total), kind.name, sum(kind.total), c.order.Total)
	}
	for _, d := range slices.Concat(books.Sales, books.Invoices, books.Receipts, books.Credits) {
		c.want(d.Posted() || d.State == "cancelled", "document %s is left as %s", d.Key, d.State)
	}
	c.want(len(books.Credits) == 0, "%d credit notes", len(books.Credits))
	c.want(books.Balance == 0, "the customer owes %d by the books", books.Balance)
}

func totals(all []erp.Document) []int64 {
	var posted []int64
	for _, d := range all {
		if d.Posted() {
			posted = append(posted, d.Total)
		}
	}
	return posted
}

func sum(all []int64) int64 {
	n := int64(0)
	for _, one := range all {
		n += one
	}
	return n
}

func (c *checker) people() {
	r := c.records.crm
	c.want(len(r.Deals) == 1, "%d deals", len(r.Deals))
	for _, d := range r.Deals {
		c.want(d.Stage == "won" && d.Revenue == c.order.Total, "the deal is %s with %d", d.Stage, d.Revenue)
		c.want(len(d.Tied) == 1, "the deal has %d contacts", len(d.Tied))
	}
	c.want(len(r.Contacts) == 1, "%d contacts", len(r.Contacts))
	c.want(len(r.Carts) == 0, "%d abandoned carts are open", len(r.Carts))
}

func (c *checker) mails() {
	got := map[string]int{}
	for _, m := range c.records.mail {
		if strings.EqualFold(m.Mailbox, c.order.Customer.Email) {
			got[m.Template]++
		}
	}
	for _, template := range []string{"confirmation", "shipped"} {
		c.want(got[template] == 1, "the customer got %d mails %q", got[template], template)
		delete(got, template)
	}
	c.want(len(got) == 0, "the customer got other mails: %v", got)
}

// once are the operations whose effect must stand in the ledger once for each
// intent. A surplus reservation is given back in the same step, and a deal may
// be set as often as one likes: for these what the system holds is the proof.
var once = map[order.System][]order.Operation{
	order.SystemPayment:   {order.Authorize, order.Capture, order.Void, order.Refund},
	order.SystemWarehouse: {order.Request, order.Cancel},
	order.SystemERP:       {order.Record, order.Invoice, order.Receipt, order.Credit},
	order.SystemMail:      {order.Send},
}

// doubled names the effects that stand in an order's ledgers more than once. A
// draft has no effect yet, and what the system lost by itself may come again.
func (d *demo) doubled(ctx context.Context, of order.ID) ([]string, error) {
	var wrong []string
	for _, system := range order.Systems() {
		entries, err := d.desks.ledger(ctx, system, of)
		if err != nil {
			return nil, err
		}
		times := map[string]int{}
		for _, e := range entries {
			if !slices.Contains(once[system], e.Operation) || e.Detail == "draft" {
				continue
			}
			intent := string(e.Operation) + " " + e.Key
			if system == order.SystemMail {
				intent = e.Detail
			}
			switch {
			case e.Kind == simulator.EntryEffect:
				times[intent]++
			case e.Kind == simulator.EntryEdit && strings.Contains(e.Detail, "vanished"):
				times[intent]--
			}
		}
		for _, intent := range slices.Sorted(maps.Keys(times)) {
			if times[intent] > 1 {
				wrong = append(wrong, fmt.Sprintf("%s: %s %d times", system, intent, times[intent]))
			}
		}
	}
	return wrong, nil
}

// effectsTable lists, for each system and operation of an order, the effects in
// its ledger and how many requests there were for them.
func (d *demo) effectsTable(ctx context.Context, of order.ID) ([][]string, error) {
	rows := [][]string{{"SYSTEM", "OPERATION", "EFFECT", "TIMES", "REQUESTS", "OF THEM WITH TROUBLE"}}
	for _, system := range order.Systems() {
		entries, err := d.desks.ledger(ctx, system, of)
		if err != nil {
			return nil, err
		}
		for _, l := range effects(entries) {
			trouble := 0
			for _, e := range entries {
				if e.Kind == simulator.EntryRequest && e.Operation == l.operation && (e.Fault != "" || e.Status == 0 || e.Status >= 400) {
					trouble++
				}
			}
			rows = append(rows, []string{
				string(system), string(l.operation), l.what, fmt.Sprint(l.times),
				fmt.Sprint(count(entries, simulator.EntryRequest, l.operation)), fmt.Sprint(trouble),
			})
		}
	}
	return rows, nil
}

// line is one effect, and how often it stands in a ledger.
type line struct {
	operation order.Operation
	what      string
	times     int
}

func effects(entries []simulator.Entry) []line {
	var lines []line
	for _, e := range entries {
		if e.Kind != simulator.EntryEffect {
			continue
		}
		what := e.Detail
		switch {
		case e.Operation == order.Reserve || e.Operation == order.Commit || e.Operation == order.Release:
			what = fmt.Sprintf("%d %s", e.Amount, e.Detail)
		case what == "draft":
			what = "a draft, which does nothing yet"
		case what == "":
			what = money(e.Amount)
		}
		i := slices.IndexFunc(lines, func(l line) bool { return l.operation == e.Operation && l.what == what })
		if i < 0 {
			lines = append(lines, line{operation: e.Operation, what: what})
			i = len(lines) - 1
		}
		lines[i].times++
	}
	return lines
}
