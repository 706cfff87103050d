package erp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

// State is what the books hold, in minor units. Credit notes and given-back
// money are negative, as the books have them.
type State struct {
	Sales    []Document `json:"sales"`
	Invoices []Document `json:"invoices"`
	Credits  []Document `json:"credits"`
	Receipts []Document `json:"receipts"`
	// Balance is what the customers owe by what is posted.
	Balance int64 `json:"balance"`
}

// Document is one document in Tryton's terms.
type Document struct {
	ID       int64          `json:"id"`
	Key      string         `json:"key"` // reference or description
	State    string         `json:"state"`
	Total    int64          `json:"total"`
	Currency order.Currency `json:"currency"`
	Written  time.Time      `json:"written,omitzero"`
	Date     string         `json:"date,omitempty"` // of an invoice, credit note or receipt
	// BillTo and ShipTo are the addresses that it has; an invoice only the first.
	BillTo *Place `json:"bill_to,omitempty"`
	ShipTo *Place `json:"ship_to,omitempty"`
}

// Place is a party.address in one line.
type Place struct {
	ID      int64  `json:"id"`
	Address string `json:"address"`
}

func placeOf(t *tryton.Tx, id any) *Place {
	a, ok := t.Get("party.address", tryton.Int(id))
	if !ok {
		return nil
	}
	country, _ := t.Get("country.country", tryton.Int(a.Values["country"]))
	var parts []string
	for _, v := range []any{
		a.Values["party_name"], a.Values["street"], strings.TrimSpace(tryton.Text(a.Values["postal_code"]) + " " + tryton.Text(a.Values["city"])),
		country.Values["code"],
	} {
		if text := tryton.Text(v); text != "" {
			parts = append(parts, text)
		}
	}
	return &Place{ID: a.ID, Address: strings.Join(parts, ", ")}
}

// Posted says that the document counts in the books.
func (d Document) Posted() bool {
	return slices.Contains([]string{"posted", "paid", "confirmed", "processing", "done"}, d.State)
}

// State returns a State.
func (s *Server) State(of order.ID) (any, error) { return s.Holds(of) }

// Holds returns what the books hold of an order, of all when it is empty.
func (s *Server) Holds(of order.ID) (State, error) {
	var out State
	err := s.rpc.View(func(t *tryton.Tx) error {
		var err error
		out, err = s.holds(t, of)
		return err
	})
	return out, err
}

func (s *Server) holds(t *tryton.Tx, of order.ID) (State, error) {
	var out State
	sales, err := ofOrder(t, modelSale, "reference", of)
	if err != nil {
		return out, err
	}
	for _, r := range sales {
		code, _, _ := rate(t, r.Values["currency"])
		d := shown(r, reference(r), saleMinor(t, r), code)
		d.BillTo, d.ShipTo = placeOf(t, r.Values["invoice_address"]), placeOf(t, r.Values["shipment_address"])
		out.Sales = append(out.Sales, d)
	}
	invoices, err := ofOrder(t, modelInvoice, "reference", of)
	if err != nil {
		return out, err
	}
	for _, r := range invoices {
		sum, code, _ := invoiceSum(t, r)
		d := shown(r, reference(r), minorOf(sum, code), code)
		d.BillTo, d.Date = placeOf(t, r.Values["invoice_address"]), dayOf(r.Values["invoice_date"])
		if d.Posted() {
			out.Balance += d.Total
		}
		if isCredit(d) {
			out.Credits = append(out.Credits, d)
		} else {
			out.Invoices = append(out.Invoices, d)
		}
	}
	entries, err := ofOrder(t, modelEntry, "description", of)
	for _, r := range entries {
		sum, code := receipt(t, r)
		d := shown(r, described(r), minorOf(sum, code), code)
		d.Date = dayOf(r.Values["date"])
		if d.Posted() {
			out.Balance -= d.Total
		}
		out.Receipts = append(out.Receipts, d)
	}
	return out, err
}

func isCredit(d Document) bool {
	intent, ok := order.ParseKey(d.Key)
	return d.Total < 0 || ok && intent.Operation == order.Credit
}

func shown(r tryton.Record, key string, total int64, code order.Currency) Document {
	return Document{ID: r.ID, Key: key, State: tryton.Text(r.Values["state"]), Total: total, Currency: code, Written: r.Written}
}

func dayOf(v any) string {
	day, _ := v.(tryton.Day)
	return string(day)
}

func ofOrder(t *tryton.Tx, model, field string, of order.ID) ([]tryton.Record, error) {
	prefix := "order/"
	if of != "" {
		prefix += string(of) + "/"
	}
	found, err := t.Find(model, []any{[]any{field, "like", prefix + "%"}})
	return slices.DeleteFunc(found, func(r tryton.Record) bool {
		return !strings.HasPrefix(tryton.Text(r.Values[field]), prefix)
	}), err
}

// Edit is what a person with access to the books can do by hand.
type Edit struct {
	Order order.ID `json:"order"`
	// Kind is what to edit: sale (the default), invoice, credit or receipt; and
	// Document which one, by key or id, else the newest.
	Kind     string `json:"kind,omitempty"`
	Document string `json:"document,omitempty"`
	Cancel   bool   `json:"cancel,omitempty"`
	Delete   bool   `json:"delete,omitempty"`
	// Reference is what somebody retyped it to.
	Reference *string `json:"reference,omitempty"`
	// Again posts a copy of it, as somebody would who thinks it is missing.
	Again bool `json:"again,omitempty"`
	// Amount posts a receipt of so many minor units, without a key of ours.
	Amount *int64 `json:"amount,omitempty"`
	// The form of an incident's expect: so many documents, such a balance.
	Sales    *int   `json:"sales,omitempty"`
	Invoices *int   `json:"invoices,omitempty"`
	Credits  *int   `json:"credits,omitempty"`
	Balance  *int64 `json:"balance,omitempty"`
	// Total and Currency are those of a document that is not there yet.
	Total    int64          `json:"total,omitempty"`
	Currency order.Currency `json:"currency,omitempty"`
	Reason   string         `json:"reason,omitempty"`
}

// Edit carries out an Edit.
func (s *Server) Edit(raw json.RawMessage) error {
	var e Edit
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(&e)
	if err == nil && e.Order == "" {
		err = errors.New("names no order")
	}
	if err == nil {
		err = s.rpc.Update(func(t *tryton.Tx) error { return s.edit(t, e) })
	}
	if err != nil {
		return fmt.Errorf("edit the books: %w", err)
	}
	return nil
}

func (s *Server) edit(t *tryton.Tx, e Edit) error {
	for kind, n := range map[string]*int{"sale": e.Sales, "invoice": e.Invoices, "credit": e.Credits} {
		if n != nil {
			if err := s.setNumber(t, e, kind, *n); err != nil {
				return err
			}
		}
	}
	if e.Balance != nil {
		held, err := s.holds(t, e.Order)
		if err != nil {
			return err
		}
		s.receiptByHand(t, e, held.Balance-*e.Balance)
	}
	if e.Amount != nil {
		s.receiptByHand(t, e, *e.Amount)
	}
	if !e.Cancel && !e.Delete && e.Reference == nil && !e.Again {
		return nil
	}
	model, field := place(e.Kind)
	r, err := s.one(t, e)
	if err != nil {
		return err
	}
	t.Append(edited(e, r, tryton.Text(r.Values[field])))
	switch {
	case e.Again:
		s.copy(t, model, r, e.Reference)
	case e.Delete:
		t.Erase(model, r.ID)
	case e.Cancel:
		t.Set(model, r.ID, map[string]any{"state": "cancelled"})
	default:
		t.Set(model, r.ID, map[string]any{field: *e.Reference})
	}
	return nil
}

func edited(e Edit, r tryton.Record, key string) simulator.Entry {
	out := entry(simulator.EntryEdit, "edit", r, key, 0)
	out.Order, out.Detail = e.Order, strings.TrimSpace(e.Kind+" "+e.Reason)
	return out
}

func place(kind string) (model, field string) {
	switch kind {
	case "invoice", "credit":
		return modelInvoice, "reference"
	case "receipt":
		return modelEntry, "description"
	}
	return modelSale, "reference"
}

// of returns the documents of a kind.
func (s State) of(kind string) []Document {
	switch kind {
	case "invoice":
		return s.Invoices
	case "credit":
		return s.Credits
	case "receipt":
		return s.Receipts
	}
	return s.Sales
}

// one finds the document of an edit.
func (s *Server) one(t *tryton.Tx, e Edit) (tryton.Record, error) {
	held, err := s.holds(t, e.Order)
	if err != nil {
		return tryton.Record{}, err
	}
	model, _ := place(e.Kind)
	for _, d := range slices.Backward(held.of(e.Kind)) {
		if e.Document == "" || e.Document == d.Key || e.Document == strconv.FormatInt(d.ID, 10) {
			r, _ := t.Get(model, d.ID)
			return r, nil
		}
	}
	return tryton.Record{}, fmt.Errorf("%s of order %s: %w", model, e.Order, simulator.ErrNoRecord)
}

// copy posts a second document like one that is there.
func (s *Server) copy(t *tryton.Tx, model string, r tryton.Record, retyped *string) {
	_, field := place(map[string]string{modelInvoice: "invoice", modelEntry: "receipt"}[model])
	values := map[string]any{}
	for k, v := range r.Values {
		values[k] = v
	}
	if retyped != nil {
		values[field] = *retyped
	}
	id := t.Insert(model, values)
	for _, link := range []struct{ model, field, via string }{
		{modelSale, "lines", "sale"}, {modelInvoice, "lines", "invoice"}, {modelInvoice, "taxes", "invoice"}, {modelEntry, "lines", "move"},
	} {
		if link.model != model {
			continue
		}
		target := map[string]string{"sale": "sale.line", "move": modelLine, "invoice": "account.invoice.line"}[link.via]
		if link.field == "taxes" {
			target = "account.invoice.tax"
		}
		for _, l := range t.Children(model, link.field, r.ID) {
			l.Values[link.via] = id
			t.Insert(target, l.Values)
		}
	}
}

// setNumber makes an order have so many posted documents of a kind: surplus ones
// are deleted, missing ones copied, or typed in where there is none.
func (s *Server) setNumber(t *tryton.Tx, e Edit, kind string, n int) error {
	held, err := s.holds(t, e.Order)
	if err != nil {
		return err
	}
	model, _ := place(kind)
	posted := slices.DeleteFunc(held.of(kind), func(d Document) bool { return !d.Posted() })
	for i, d := range posted {
		if r, ok := t.Get(model, d.ID); ok && i >= n {
			t.Append(edited(Edit{Order: e.Order, Kind: kind, Reason: "deleted"}, r, d.Key))
			t.Erase(model, d.ID)
		}
	}
	for i := len(posted); i < n; i++ {
		if len(posted) == 0 {
			if err := s.typeIn(t, e, kind, i+1); err != nil {
				return err
			}
			continue
		}
		r, _ := t.Get(model, posted[0].ID)
		t.Append(edited(Edit{Order: e.Order, Kind: kind, Reason: "copied"}, r, posted[0].Key))
		s.copy(t, model, r, nil)
	}
	return nil
}

// typeIn posts the n-th document of a kind, as a person would for whom it is
// missing: one line over all of it, with the order's reference.
func (s *Server) typeIn(t *tryton.Tx, e Edit, kind string, n int) error {
	if e.Total == 0 {
		return fmt.Errorf("%s of order %s to copy: %w; a total would make one", kind, e.Order, simulator.ErrNoRecord)
	}
	currency := int64(1)
	if found, _ := t.Find("currency.currency", []any{[]any{"code", "=", string(e.Currency)}}); len(found) > 0 {
		currency = found[0].ID
	}
	code, digits, _ := rate(t, currency)
	price, _ := new(big.Rat).SetString(order.FormatMinor(e.Total, code))
	pieces := int64(1)
	operation := map[string]order.Operation{"sale": order.Record, "invoice": order.Invoice, "credit": order.Credit}[kind]
	if kind == "credit" {
		pieces = -1
	}
	who := t.Insert("party.party", map[string]any{"name": "By hand", "active": true})
	where := t.Insert("party.address", map[string]any{"party": who, "street": "By hand", "active": true})
	values := map[string]any{
		"reference": order.Intent{Order: e.Order, Operation: operation, N: n}.Key(), "party": who, "invoice_address": where,
		"company": int64(1), "currency": currency, "number": fmt.Sprint(t.Count("number by hand")),
	}
	line := map[string]any{"type": "line", "quantity": pieces, "unit_price": tryton.DecimalOf(price, digits), "description": "By hand"}
	model, lines, via := modelSale, "sale.line", "sale"
	if kind == "sale" {
		values["state"], values["shipment_method"], values["invoice_method"] = "done", "manual", "manual"
		values["shipment_address"], values["sale_date"] = where, tryton.DayOf(t.Now)
	} else {
		model, lines, via = modelInvoice, "account.invoice.line", "invoice"
		values["state"], values["type"], values["invoice_date"] = "posted", "out", tryton.DayOf(t.Now)
		values["journal"], values["account"] = int64(journalRevenue), int64(accountReceivable)
		line["account"], line["currency"], line["company"] = int64(accountRevenue), currency, int64(1)
	}
	id := t.Insert(model, values)
	line[via] = id
	t.Insert(lines, line)
	r, _ := t.Get(model, id)
	t.Append(edited(Edit{Order: e.Order, Kind: kind, Reason: "typed in"}, r, tryton.Text(values["reference"])))
	return nil
}

// receiptByHand posts an entry that a person typed in for an order.
func (s *Server) receiptByHand(t *tryton.Tx, e Edit, amount int64) {
	if amount == 0 {
		return
	}
	held, _ := s.holds(t, e.Order)
	currency := order.Currency("EUR")
	for _, d := range append(held.Sales, held.Invoices...) {
		currency = d.Currency
	}
	id := t.Insert(modelEntry, map[string]any{
		"journal": int64(journalCash), "period": int64(1), "date": tryton.DayOf(t.Now), "state": "posted", "company": int64(1),
		"description": fmt.Sprintf("order/%s/by-hand/%d", e.Order, len(held.Receipts)+1), "number": fmt.Sprint(t.Count("number of entries")),
	})
	size, _ := new(big.Rat).SetString(order.FormatMinor(amount, currency))
	addLine(t, id, int64(accountCash), nil, size)
	addLine(t, id, int64(accountReceivable), nil, new(big.Rat).Neg(size))
	if currency != "EUR" {
		found, _ := t.Find("currency.currency", []any{[]any{"code", "=", string(currency)}})
		for _, l := range t.Children(modelEntry, "lines", id) {
			x := new(big.Rat).Sub(ratOf(l.Values["debit"]), ratOf(l.Values["credit"]))
			digits, _ := currency.Decimals()
			if len(found) > 0 {
				t.Set(modelLine, l.ID, map[string]any{"second_currency": found[0].ID, "amount_second_currency": tryton.DecimalOf(x, digits)})
			}
		}
	}
	r, _ := t.Get(modelEntry, id)
	t.Append(edited(Edit{Order: e.Order, Kind: "receipt", Reason: e.Reason}, r, described(r)))
}

// Event is a line in the change feed: the documents of an order show as changed
// without having changed.
type Event struct {
	Type   string   `json:"type"`
	Order  order.ID `json:"order,omitempty"`
	Copies int      `json:"copies,omitempty"` // a feed shows a record once
}

// Event carries out an Event.
func (s *Server) Event(raw json.RawMessage) error {
	var e Event
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return fmt.Errorf("event of the books: %w", err)
	}
	return s.rpc.Update(func(t *tryton.Tx) error {
		if e.Order != "" {
			held, err := s.holds(t, e.Order)
			if err != nil {
				return err
			}
			for _, kind := range []string{"sale", "invoice", "credit", "receipt"} {
				model, _ := place(kind)
				for _, d := range held.of(kind) {
					t.Set(model, d.ID, nil)
				}
			}
		}
		t.Append(simulator.Entry{Kind: simulator.EntryNotification, Operation: "event", Order: e.Order, Detail: e.Type})
		return nil
	})
}
