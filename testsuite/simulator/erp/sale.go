package erp

import (
	"fmt"
	"slices"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

func (s *Server) saleModel(company, currency tryton.Link) *tryton.Model {
	return &tryton.Model{
		Name: modelSale, Title: "Sale", Index: "reference",
		Fields: []string{"reference", "number", "description", "state", "sale_date", "shipment_method", "invoice_method", "comment"},
		Links: map[string]tryton.Link{
			"party": {Model: "party.party"}, "invoice_address": {Model: "party.address"}, "shipment_address": {Model: "party.address"},
			"company": company, "currency": currency, "lines": {Model: "sale.line", Via: "sale"},
		},
		Computed: map[string]func(*tryton.Tx, tryton.Record) any{"total_amount": saleTotal},
		Defaults: map[string]any{
			"state": "draft", "reference": nil, "number": nil, "description": nil, "currency": int64(1), "company": int64(1),
			"shipment_method": "order", "invoice_method": "order",
		},
		Required: []string{"party"},
		Created: func(t *tryton.Tx, r tryton.Record) error {
			e := entry(simulator.EntryEffect, "", r, reference(r), saleMinor(t, r))
			e.Detail = draftDetail
			t.Append(e)
			return nil
		},
		Guard: saleGuard, Partial: salePartial,
		Buttons: map[string]func(*tryton.Tx, int64) error{
			"quote": s.quote, "confirm": s.confirm, "process": s.process, "cancel": s.cancelSale,
			"draft": func(t *tryton.Tx, id int64) error { return step(t, modelSale, id, "draft", "quotation", "cancelled") },
		},
	}
}

func reference(r tryton.Record) string { return tryton.Text(r.Values["reference"]) }

func saleTotal(t *tryton.Tx, r tryton.Record) any {
	_, digits, _ := rate(t, r.Values["currency"])
	return tryton.DecimalOf(sumLines(t.Children(modelSale, "lines", r.ID), digits), digits)
}

func saleMinor(t *tryton.Tx, r tryton.Record) int64 {
	code, digits, _ := rate(t, r.Values["currency"])
	return minorOf(sumLines(t.Children(modelSale, "lines", r.ID), digits), code)
}

// step moves a record to a state when it is in one that allows it; from any
// other it is a silent no-op.
func step(t *tryton.Tx, model string, id int64, to string, from ...string) error {
	r, ok := t.Get(model, id)
	if ok && slices.Contains(from, tryton.Text(r.Values["state"])) {
		t.Set(model, id, map[string]any{"state": to})
	}
	return nil
}

func (s *Server) quote(t *tryton.Tx, id int64) error {
	r, ok := t.Get(modelSale, id)
	if !ok || r.Values["state"] != "draft" {
		return nil
	}
	number := r.Values["number"]
	if number == nil {
		number = fmt.Sprint(t.Count("number of sales"))
	}
	t.Set(modelSale, id, map[string]any{"state": "quotation", "number": number})
	return nil
}

// confirm goes on by itself: to done when nothing is left to invoice or ship by
// the sale itself, else to processing.
func (s *Server) confirm(t *tryton.Tx, id int64) error {
	r, ok := t.Get(modelSale, id)
	if !ok || r.Values["state"] != "quotation" {
		return nil
	}
	t.Set(modelSale, id, map[string]any{"state": "confirmed"})
	t.Append(entry(simulator.EntryEffect, "", r, reference(r), saleMinor(t, r)))
	return s.process(t, id)
}

func (s *Server) process(t *tryton.Tx, id int64) error {
	r, _ := t.Get(modelSale, id)
	to := "processing"
	if r.Values["shipment_method"] == "manual" && r.Values["invoice_method"] == "manual" {
		to = "done"
	}
	return step(t, modelSale, id, to, "confirmed", "processing")
}

func (s *Server) cancelSale(t *tryton.Tx, id int64) error {
	return step(t, modelSale, id, "cancelled", "draft", "quotation")
}

// saleGuard lets everything be written in every state: that a field is read-only
// then is for Tryton's own client to say.
func saleGuard(t *tryton.Tx, r tryton.Record, method string, values map[string]any) error {
	if method != "delete" {
		for _, field := range []string{"invoice_address", "shipment_address"} {
			if to, given := values[field]; given && to != r.Values[field] {
				e := entry(simulator.EntryEffect, order.UpdateAddress, r, reference(r), 0)
				e.Detail = "address"
				t.Append(e)
				break
			}
		}
		return nil
	}
	if state := tryton.Text(r.Values["state"]); state == "confirmed" || state == "processing" || state == "done" {
		return tryton.Refuse("To delete sale \"%s\" you must cancel it.", tryton.Text(r.Values["number"]))
	}
	e := entry(simulator.EntryEffect, "", r, reference(r), 0)
	e.Detail = draftDetail
	t.Append(e)
	return nil
}

// salePartial is the fault: the first line is cheaper by the smallest coin.
func salePartial(t *tryton.Tx, id int64) {
	r, _ := t.Get(modelSale, id)
	cheaper(t, "sale.line", t.Children(modelSale, "lines", id), r.Values["currency"])
}

func cheaper(t *tryton.Tx, model string, lines []tryton.Record, currency any) {
	code, digits, _ := rate(t, currency)
	if len(lines) == 0 {
		return
	}
	price := ratOf(lines[0].Values["unit_price"])
	coin := ratOf(tryton.Decimal(order.FormatMinor(1, code)))
	t.Set(model, lines[0].ID, map[string]any{"unit_price": tryton.DecimalOf(price.Sub(price, coin), digits)})
}
