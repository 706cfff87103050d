package erp

import (
	"fmt"
	"math/big"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

func (s *Server) entryModels(company, account, currency tryton.Link) []*tryton.Model {
	return []*tryton.Model{
		{
			Name: modelEntry, Title: "Account Move", Index: "description",
			Fields: []string{"description", "number", "post_number", "date", "post_date", "state", "origin"},
			Links: map[string]tryton.Link{
				"journal": {Model: "account.journal"}, "period": {Model: "account.period"}, "company": company,
				"lines": {Model: modelLine, Via: "move"},
			},
			Defaults: map[string]any{
				"state": "draft", "description": nil, "number": nil, "post_number": nil, "post_date": nil, "origin": nil, "company": int64(1),
			},
			Required: []string{"journal", "period", "date"},
			Fresh:    map[string]bool{"post": true},
			Created: func(t *tryton.Tx, r tryton.Record) error {
				e := entry(simulator.EntryEffect, "", r, described(r), receiptMinor(t, r))
				e.Detail = draftDetail
				t.Append(e)
				return nil
			},
			Guard: entryGuard, Partial: entryPartial,
			Buttons: map[string]func(*tryton.Tx, int64) error{"post": s.postEntry},
		},
		{
			Name: modelLine, Title: "Account Move Line", Parent: "move",
			Fields: []string{"debit", "credit", "description", "amount_second_currency"},
			Links: map[string]tryton.Link{
				"move": {Model: modelEntry}, "account": account, "party": {Model: "party.party"}, "second_currency": currency,
			},
			Defaults: map[string]any{"party": nil, "amount_second_currency": nil, "second_currency": nil, "description": nil},
			Required: []string{"account", "debit", "credit"},
		},
	}
}

func described(r tryton.Record) string { return tryton.Text(r.Values["description"]) }

// receipt is what an entry takes off the customer's debt, and in which currency.
func receipt(t *tryton.Tx, r tryton.Record) (*big.Rat, order.Currency) {
	sum, code := new(big.Rat), order.Currency("EUR")
	for _, l := range t.Children(modelEntry, "lines", r.ID) {
		if tryton.Int(l.Values["account"]) != accountReceivable {
			continue
		}
		if l.Values["second_currency"] != nil && l.Values["amount_second_currency"] != nil {
			code, _, _ = rate(t, l.Values["second_currency"])
			sum.Sub(sum, ratOf(l.Values["amount_second_currency"]))
			continue
		}
		sum.Add(sum, ratOf(l.Values["credit"]))
		sum.Sub(sum, ratOf(l.Values["debit"]))
	}
	return sum, code
}

func receiptMinor(t *tryton.Tx, r tryton.Record) int64 {
	sum, code := receipt(t, r)
	return minorOf(sum, code)
}

// postEntry books an entry. Unlike an invoice's, this button refuses one that is
// posted.
func (s *Server) postEntry(t *tryton.Tx, id int64) error {
	r, ok := t.Get(modelEntry, id)
	if !ok {
		return nil
	}
	if r.Values["state"] == "posted" {
		return tryton.Refuse("You cannot modify posted move \"%s\".", tryton.Text(r.Values["number"]))
	}
	balance := new(big.Rat)
	lines := t.Children(modelEntry, "lines", id)
	for _, l := range lines {
		balance.Add(balance, ratOf(l.Values["debit"]))
		balance.Sub(balance, ratOf(l.Values["credit"]))
		a, _ := t.Get("account.account", tryton.Int(l.Values["account"]))
		if a.Values["party_required"] == true && l.Values["party"] == nil {
			return tryton.Refuse("You must set a party on the line of account \"%s\".", tryton.Text(a.Values["name"]))
		}
	}
	if len(lines) == 0 || balance.Sign() != 0 {
		return tryton.Refuse("To post the move \"%d\" its lines must be balanced.", id)
	}
	number := fmt.Sprint(t.Count("number of entries"))
	t.Set(modelEntry, id, map[string]any{"state": "posted", "number": number, "post_number": number, "post_date": tryton.DayOf(t.Now)})
	t.Append(entry(simulator.EntryEffect, "", r, described(r), receiptMinor(t, r)))
	return nil
}

func entryGuard(t *tryton.Tx, r tryton.Record, method string, _ map[string]any) error {
	if r.Values["state"] == "posted" {
		return tryton.Refuse("You cannot modify posted move \"%s\".", tryton.Text(r.Values["number"]))
	}
	if method == "delete" {
		e := entry(simulator.EntryEffect, "", r, described(r), 0)
		e.Detail = draftDetail
		t.Append(e)
	}
	return nil
}

// entryPartial is the fault: a cent less on both sides.
func entryPartial(t *tryton.Tx, id int64) {
	coin := big.NewRat(1, 100)
	for _, l := range t.Children(modelEntry, "lines", id) {
		for _, side := range []string{"debit", "credit"} {
			if x := ratOf(l.Values[side]); x.Sign() > 0 {
				t.Set(modelLine, l.ID, map[string]any{side: tryton.DecimalOf(x.Sub(x, coin), 2)})
			}
		}
	}
}
