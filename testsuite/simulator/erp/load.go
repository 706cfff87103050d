package erp

import (
	"fmt"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

// Loaded is what was booked for one order by now, all of it posted.
type Loaded struct {
	Customer tryton.Customer
	Currency order.Currency
	Channel  string // stands in the description of sales and invoices
	Sales    []Trade
	Invoices []Trade // credit notes too, with negative quantities
	Receipts []Receipt
}

// Trade is a sale or an invoice.
type Trade struct {
	Reference string
	At        time.Time // made and posted
	Changed   time.Time // by hand after that; zero: never
	Draft     bool      // left as a draft
	Lines     []Line
	Taxes     []Tax // of an invoice; a sale has them as lines
}

// Line is one line of a sale or an invoice; Unit is in minor units.
type Line struct {
	What   string
	Pieces int64
	Unit   int64
}

// Tax is one tax of an invoice, in minor units.
type Tax struct {
	What         string
	Base, Amount int64
}

// Receipt is a journal entry of money that came in, negative for what went out,
// in minor units.
type Receipt struct {
	Reference string
	Payment   string // the gateway's id
	Amount    int64
	At        time.Time
}

// Load writes documents as they would lie there had they been booked at their
// times; see tryton.Loader.
func (s *Server) Load(all []Loaded) error {
	return s.rpc.Load(func(l *tryton.Loader) error {
		begun, _ := l.Get("account.period", 1)
		for _, one := range all {
			x := &loading{l: l, of: one, currency: l.Named("currency.currency", string(one.Currency)), begun: begun.Values["start_date"]}
			if x.currency != 1 {
				return fmt.Errorf("documents in %s are not loaded; the company's currency is EUR", one.Currency)
			}
			for _, t := range one.Sales {
				x.sale(t)
			}
			for _, t := range one.Invoices {
				x.invoice(t)
			}
			for _, r := range one.Receipts {
				x.receipt(r)
			}
		}
		return nil
	})
}

type loading struct {
	l        *tryton.Loader
	of       Loaded
	currency int64
	begun    any // the first day of the first period
}

// period is the id of a month's period: they were made one after the other.
func (x *loading) period(at time.Time) int64 {
	day, _ := x.begun.(tryton.Day)
	first, err := time.Parse(time.DateOnly, string(day))
	if err != nil {
		return 1
	}
	return int64(12*(at.UTC().Year()-first.Year())+int(at.UTC().Month()-first.Month())) + 1
}

func (x *loading) money(minor int64) tryton.Decimal {
	return tryton.Decimal(order.FormatMinor(minor, x.of.Currency))
}

func (x *loading) channel() any {
	if x.of.Channel == "" {
		return nil
	}
	return x.of.Channel
}

// written is when a document that was booked in several calls was last changed.
func (t Trade) written() time.Time {
	if !t.Changed.IsZero() {
		return t.Changed
	}
	if t.Draft {
		return time.Time{}
	}
	return t.At.Add(time.Millisecond)
}

func (x *loading) sale(t Trade) {
	party, address := x.l.Customer(x.of.Customer, t.At)
	state, number := "done", any(nil)
	if t.Draft {
		state = "draft"
	} else {
		number = fmt.Sprint(x.l.Next("number of sales"))
	}
	id := x.l.Put(modelSale, tryton.Record{Created: t.At, Written: t.written(), Values: map[string]any{
		"reference": t.Reference, "number": number, "description": x.channel(), "state": state, "sale_date": tryton.DayOf(t.At),
		"shipment_method": "manual", "invoice_method": "manual", "party": party, "invoice_address": address, "shipment_address": address,
		"company": int64(1), "currency": x.currency,
	}})
	for _, line := range t.Lines {
		x.l.Put("sale.line", tryton.Record{Created: t.At, Values: map[string]any{
			"type": "line", "quantity": line.Pieces, "unit_price": x.money(line.Unit), "description": line.What, "sale": id,
		}})
	}
}

func (x *loading) invoice(t Trade) {
	party, address := x.l.Customer(x.of.Customer, t.At)
	day := tryton.DayOf(t.At)
	values := map[string]any{
		"reference": t.Reference, "number": nil, "description": x.channel(), "state": "draft", "type": "out", "invoice_date": day,
		"accounting_date": nil, "party": party, "invoice_address": address, "company": int64(1), "currency": x.currency,
		"journal": int64(journalRevenue), "account": int64(accountReceivable), "move": nil,
	}
	if !t.Draft {
		sequence := "I" + string(day[:4]) + "-"
		if t.total() < 0 {
			sequence = "C" + string(day[:4]) + "-"
		}
		values["state"], values["number"], values["move"] = "posted", fmt.Sprintf("%s%d", sequence, x.l.Next(sequence)), x.book(t, party)
	}
	id := x.l.Next(modelInvoice)
	if !t.Draft {
		x.originate(values["move"].(int64), t, id)
	}
	x.l.Put(modelInvoice, tryton.Record{ID: id, Created: t.At, Written: t.written(), Values: values})
	for _, line := range t.Lines {
		x.l.Put("account.invoice.line", tryton.Record{Created: t.At, Values: map[string]any{
			"type": "line", "quantity": line.Pieces, "unit_price": x.money(line.Unit), "description": line.What, "invoice": id,
			"account": int64(accountRevenue), "currency": x.currency, "company": int64(1),
		}})
	}
	for _, tax := range t.Taxes {
		x.l.Put("account.invoice.tax", tryton.Record{Created: t.At, Values: map[string]any{
			"manual": true, "description": tax.What, "base": x.money(tax.Base), "amount": x.money(tax.Amount), "invoice": id,
			"account": int64(accountTax),
		}})
	}
}

func (t Trade) total() int64 {
	sum := int64(0)
	for _, line := range t.Lines {
		sum += line.Pieces * line.Unit
	}
	for _, tax := range t.Taxes {
		sum += tax.Amount
	}
	return sum
}

// book writes the lines of an invoice's journal entry, and returns its id.
func (x *loading) book(t Trade, party int64) int64 {
	id := x.l.Next(modelEntry)
	goods, taxes := int64(0), int64(0)
	for _, line := range t.Lines {
		goods += line.Pieces * line.Unit
	}
	for _, tax := range t.Taxes {
		taxes += tax.Amount
	}
	x.line(id, t.At, accountRevenue, nil, -goods)
	if taxes != 0 {
		x.line(id, t.At, accountTax, nil, -taxes)
	}
	x.line(id, t.At, accountReceivable, party, goods+taxes)
	return id
}

func (x *loading) originate(entry int64, t Trade, invoice int64) {
	x.l.Put(modelEntry, tryton.Record{ID: entry, Created: t.At, Values: map[string]any{
		"journal": int64(journalRevenue), "period": x.period(t.At), "date": tryton.DayOf(t.At), "description": nil, "state": "posted",
		"company": int64(1), "number": fmt.Sprint(x.l.Next("number of entries")), "origin": fmt.Sprintf("%s,%d", modelInvoice, invoice),
	}})
}

// line writes a debit, or with a negative amount a credit.
func (x *loading) line(entry int64, at time.Time, account int64, party any, minor int64) {
	debit, credit := minor, int64(0)
	if minor < 0 {
		debit, credit = 0, -minor
	}
	x.l.Put(modelLine, tryton.Record{Created: at, Values: map[string]any{
		"move": entry, "account": account, "party": party, "debit": x.money(debit), "credit": x.money(credit), "description": nil,
		"amount_second_currency": nil, "second_currency": nil,
	}})
}

func (x *loading) receipt(r Receipt) {
	party, _ := x.l.Customer(x.of.Customer, r.At)
	id := x.l.Next(modelEntry)
	number := fmt.Sprint(x.l.Next("number of entries"))
	x.l.Put(modelEntry, tryton.Record{ID: id, Created: r.At, Written: r.At.Add(time.Millisecond), Values: map[string]any{
		"journal": int64(journalCash), "period": x.period(r.At), "date": tryton.DayOf(r.At), "description": r.Reference, "company": int64(1),
		"state": "posted", "number": number, "post_number": number, "post_date": tryton.DayOf(r.At), "origin": nil,
	}})
	x.line(id, r.At, accountCash, nil, r.Amount)
	x.line(id, r.At, accountReceivable, party, -r.Amount)
}
