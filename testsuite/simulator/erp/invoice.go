package erp

import (
	"fmt"
	"math/big"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

func (s *Server) invoiceModels(company, account, currency tryton.Link) []*tryton.Model {
	return []*tryton.Model{
		{
			Name: modelInvoice, Title: "Invoice", Index: "reference",
			Fields: []string{"reference", "number", "description", "state", "type", "invoice_date", "accounting_date"},
			Links: map[string]tryton.Link{
				"party": {Model: "party.party"}, "invoice_address": {Model: "party.address"}, "company": company, "currency": currency,
				"journal": {Model: "account.journal"}, "account": account, "move": {Model: modelEntry},
				"lines": {Model: "account.invoice.line", Via: "invoice"}, "taxes": {Model: "account.invoice.tax", Via: "invoice"},
			},
			Computed: map[string]func(*tryton.Tx, tryton.Record) any{"total_amount": invoiceTotal},
			Defaults: map[string]any{
				"state": "draft", "type": "out", "reference": nil, "number": nil, "description": nil, "currency": int64(1),
				"company": int64(1), "invoice_date": nil, "accounting_date": nil, "move": nil,
			},
			Required: []string{"party", "invoice_address", "journal", "account"},
			Fresh:    map[string]bool{"post": true},
			Created: func(t *tryton.Tx, r tryton.Record) error {
				e := entry(simulator.EntryEffect, "", r, reference(r), invoiceMinor(t, r))
				e.Detail = draftDetail
				t.Append(e)
				return nil
			},
			Guard: s.invoiceGuard, Partial: invoicePartial,
			Buttons: map[string]func(*tryton.Tx, int64) error{
				"post": s.postInvoice, "cancel": s.cancelInvoice,
				"validate_invoice": func(t *tryton.Tx, id int64) error { return step(t, modelInvoice, id, "validated", "draft") },
				"draft":            func(t *tryton.Tx, id int64) error { return step(t, modelInvoice, id, "draft", "validated") },
			},
		},
		{
			Name: "account.invoice.line", Title: "Invoice Line", Parent: "invoice",
			Fields:   []string{"type", "quantity", "unit_price", "description"},
			Links:    map[string]tryton.Link{"invoice": {Model: modelInvoice}, "account": account, "currency": currency, "company": company},
			Required: []string{"type", "account", "quantity", "unit_price"},
		},
		{
			Name: "account.invoice.tax", Title: "Invoice Tax", Parent: "invoice",
			Fields:   []string{"manual", "description", "base", "amount"},
			Links:    map[string]tryton.Link{"invoice": {Model: modelInvoice}, "account": account},
			Required: []string{"description", "account", "base", "amount"}, Defaults: map[string]any{"manual": true},
		},
	}
}

func invoiceSum(t *tryton.Tx, r tryton.Record) (*big.Rat, order.Currency, int) {
	code, digits, _ := rate(t, r.Values["currency"])
	sum := sumLines(t.Children(modelInvoice, "lines", r.ID), digits)
	for _, x := range t.Children(modelInvoice, "taxes", r.ID) {
		sum.Add(sum, ratOf(x.Values["amount"]))
	}
	return sum, code, digits
}

func invoiceTotal(t *tryton.Tx, r tryton.Record) any {
	sum, _, digits := invoiceSum(t, r)
	return tryton.DecimalOf(sum, digits)
}

func invoiceMinor(t *tryton.Tx, r tryton.Record) int64 {
	sum, code, _ := invoiceSum(t, r)
	return minorOf(sum, code)
}

func (s *Server) postInvoice(t *tryton.Tx, id int64) error {
	r, ok := t.Get(modelInvoice, id)
	if state := r.Values["state"]; !ok || state != "draft" && state != "validated" {
		return nil
	}
	if err := s.question(t, id); err != nil {
		return err
	}
	date, dated := r.Values["invoice_date"].(tryton.Day)
	if !dated {
		date = tryton.DayOf(t.Now)
	}
	sequence := "I" + string(date[:4]) + "-"
	if sum, _, _ := invoiceSum(t, r); sum.Sign() < 0 {
		sequence = "C" + string(date[:4]) + "-"
	}
	later, err := t.Find(modelInvoice, []any{[]any{"number", "like", sequence + "%"}, []any{"invoice_date", ">", date}})
	if err != nil {
		return err
	}
	if len(later) > 0 {
		return tryton.Refuse("To number the invoice \"[%s]\", you must set an accounting date after \"%s\" because the sequence \"%s\" has already been used for invoice \"%s\".",
			reference(r), date, sequence, tryton.Text(later[0].Values["number"]))
	}
	booked, err := s.book(t, r, date)
	if err != nil {
		return err
	}
	t.Set(modelInvoice, id, map[string]any{
		"state": "posted", "invoice_date": date, "number": fmt.Sprintf("%s%d", sequence, t.Count(sequence)), "move": booked,
	})
	t.Append(entry(simulator.EntryEffect, "", r, reference(r), invoiceMinor(t, r)))
	return nil
}

// question asks what a person would have to answer, until it was answered.
func (s *Server) question(t *tryton.Tx, id int64) error {
	if !s.settings.Questions {
		return nil
	}
	name := fmt.Sprintf("invoice_payment_term_%d", id)
	answers, err := t.Find("res.user.warning", []any{[]any{"name", "=", name}})
	if err != nil {
		return err
	}
	if len(answers) == 0 {
		return &tryton.Warning{Name: name, Message: "The payment term of the invoice has a date in the past."}
	}
	t.Erase("res.user.warning", answers[0].ID) // an answer counts once
	return nil
}

// book makes the journal entry of an invoice, in the company's currency.
func (s *Server) book(t *tryton.Tx, r tryton.Record, date tryton.Day) (int64, error) {
	period, err := t.Find("account.period", []any{[]any{"start_date", "<=", date}, []any{"end_date", ">=", date}, []any{"state", "=", "open"}})
	if err != nil {
		return 0, err
	}
	if len(period) == 0 {
		return 0, tryton.Refuse("No open period is defined for the date \"%s\".", date)
	}
	id := t.Insert(modelEntry, map[string]any{
		"journal": r.Values["journal"], "period": period[0].ID, "date": date, "description": nil, "state": "posted",
		"company": int64(1), "number": fmt.Sprint(t.Count("number of entries")), "origin": fmt.Sprintf("%s,%d", modelInvoice, r.ID),
	})
	_, digits, per := rate(t, r.Values["currency"])
	total := new(big.Rat)
	line := func(account any, amount *big.Rat) {
		amount = round(new(big.Rat).Quo(round(amount, digits), per), 2)
		total.Add(total, amount)
		addLine(t, id, account, nil, new(big.Rat).Neg(amount))
	}
	for _, l := range t.Children(modelInvoice, "lines", r.ID) {
		line(l.Values["account"], new(big.Rat).Mul(ratOf(l.Values["quantity"]), ratOf(l.Values["unit_price"])))
	}
	for _, x := range t.Children(modelInvoice, "taxes", r.ID) {
		line(x.Values["account"], ratOf(x.Values["amount"]))
	}
	addLine(t, id, r.Values["account"], r.Values["party"], total)
	return id, nil
}

// addLine adds a debit, or with a negative amount a credit.
func addLine(t *tryton.Tx, move int64, account, party any, amount *big.Rat) {
	debit, credit := amount, new(big.Rat)
	if amount.Sign() < 0 {
		debit, credit = new(big.Rat), new(big.Rat).Neg(amount)
	}
	t.Insert(modelLine, map[string]any{
		"move": move, "account": account, "party": party,
		"debit": tryton.DecimalOf(debit, 2), "credit": tryton.DecimalOf(credit, 2),
	})
}

func (s *Server) cancelInvoice(t *tryton.Tx, id int64) error {
	r, ok := t.Get(modelInvoice, id)
	if ok && r.Values["state"] == "posted" {
		return tryton.Refuse("You cannot cancel customer invoice \"%s\" because it is posted and company setup does not allow it.", tryton.Text(r.Values["number"]))
	}
	return step(t, modelInvoice, id, "cancelled", "draft", "validated")
}

func (s *Server) invoiceGuard(t *tryton.Tx, r tryton.Record, method string, _ map[string]any) error {
	if state := r.Values["state"]; state == "posted" || state == "paid" {
		return tryton.Refuse("You cannot modify invoice \"%s\" because it is posted, paid or cancelled.", tryton.Text(r.Values["number"]))
	}
	if method == "delete" {
		e := entry(simulator.EntryEffect, "", r, reference(r), 0)
		e.Detail = draftDetail
		t.Append(e)
	}
	return nil
}

func invoicePartial(t *tryton.Tx, id int64) {
	r, _ := t.Get(modelInvoice, id)
	cheaper(t, "account.invoice.line", t.Children(modelInvoice, "lines", id), r.Values["currency"])
}
