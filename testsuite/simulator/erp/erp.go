// Package erp simulates books that are kept in Tryton 6: JSON-RPC over sales,
// customer invoices and credit notes, journal entries, accounts, journals,
// periods, currencies, parties and addresses.
//
// Simulated: references that are not unique and descriptions that are free, party
// codes that are unique; a sale with manual invoices and shipments goes from
// confirmed to done by itself and cannot be cancelled then; posting an invoice
// numbers it and books it, refuses a date before that of a later number, and is
// a silent no-op when it is posted; posting a posted entry is refused; posted
// documents can be neither changed, cancelled nor deleted; a posting wants a
// session that is not idle; totals are computed from lines and taxes, rounded to
// the currency.
//
// Not simulated: taxes that Tryton computes, payment terms beyond their
// question, reconciliation of lines and the state paid, stock moves of a sale,
// supplier documents, statements, analytic accounts, closing of periods.
package erp

import (
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

const (
	modelSale    = "sale.sale"
	modelInvoice = "account.invoice"
	modelEntry   = "account.move"
	modelLine    = "account.move.line"
)

// Settings of simulated books.
type Settings struct {
	// Database is the name in the path; "erp" when empty.
	Database string
	// User and Password are "admin" when empty.
	User, Password string
	// Questions lets a posting ask about a payment term in the past.
	Questions bool
}

// Server is simulated books.
type Server struct {
	frame    *simulator.System
	rpc      *tryton.Server
	settings Settings
}

var _ simulator.Desk = (*Server)(nil)

// New opens the books, and sets them up when their database is new.
func New(o simulator.Options, settings Settings) (*Server, error) {
	if settings.Database == "" {
		settings.Database = "erp"
	}
	if settings.User == "" {
		settings.User = "admin"
	}
	if settings.Password == "" {
		settings.Password = "admin"
	}
	frame, err := simulator.Open(order.SystemERP, tryton.Schema, o)
	if err != nil {
		return nil, err
	}
	s := &Server{frame: frame, settings: settings}
	s.rpc = tryton.NewServer(frame, tryton.Config{
		Database: settings.Database, User: settings.User, Password: settings.Password, Models: s.models(), Classify: classify,
	})
	if err := s.rpc.Update(s.fill); err != nil {
		_ = frame.Close()
		return nil, fmt.Errorf("set up the simulated books: %w", err)
	}
	return s, nil
}

// Frame returns the frame.
func (s *Server) Frame() *simulator.System { return s.frame }

// Handler answers the JSON-RPC.
func (s *Server) Handler() http.Handler { return s.rpc.Handler() }

// Busy lets the next writes fail because another transaction is in their way.
func (s *Server) Busy(writes int) error { return s.rpc.Busy(writes) }

// EndSessions makes every client log in again.
func (s *Server) EndSessions() error { return s.rpc.EndSessions() }

// The accounts, with the ids that Tryton's minimal chart gives them.
const (
	accountCash       = 2
	accountReceivable = 5
	accountRevenue    = 6
	accountTax        = 7
	journalRevenue    = 1
	journalCash       = 3
)

func (s *Server) fill(t *tryton.Tx) error {
	if _, filled := t.Get("company.company", 1); filled {
		return nil
	}
	t.Seed(
		tryton.Currency{Code: "EUR", Digits: 2, Rate: "1.0"}, tryton.Currency{Code: "USD", Digits: 2, Rate: "1.25"},
		tryton.Currency{Code: "JPY", Digits: 0, Rate: "160"}, tryton.Currency{Code: "KWD", Digits: 3, Rate: "0.4"},
		tryton.Currency{Code: "GBP", Digits: 2, Rate: "0.8"}, tryton.Currency{Code: "INR", Digits: 2, Rate: "100"},
	)
	for _, a := range []struct{ name, kind string }{
		{"Minimal Account Chart", ""}, {"Main Cash", ""}, {"Main Expense", "expense"}, {"Main Payable", "payable"},
		{"Main Receivable", "receivable"}, {"Main Revenue", "revenue"}, {"Main Tax", ""},
	} {
		kind := t.Insert("account.account.type", map[string]any{
			"name": a.name, "receivable": a.kind == "receivable", "revenue": a.kind == "revenue",
			"payable": a.kind == "payable", "expense": a.kind == "expense",
		})
		t.Insert("account.account", map[string]any{
			"name": a.name, "code": nil, "type": kind, "closed": a.name == "Minimal Account Chart", "company": int64(1),
			"party_required": a.kind == "receivable" || a.kind == "payable",
		})
	}
	for _, j := range []struct{ code, name, kind string }{
		{"REV", "Revenue", "revenue"}, {"EXP", "Expense", "expense"}, {"CASH", "Cash", "cash"}, {"STO", "Stock", "general"},
	} {
		t.Insert("account.journal", map[string]any{"code": j.code, "name": j.name, "type": j.kind})
	}
	var periods []map[string]any
	for year := t.Now.Year() - 2; year <= t.Now.Year()+3; year++ {
		id := t.Insert("account.fiscalyear", map[string]any{"name": fmt.Sprint(year), "company": int64(1)})
		for month := time.January; month <= time.December; month++ {
			first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
			periods = append(periods, map[string]any{
				"name": first.Format("2006-01"), "start_date": tryton.DayOf(first), "end_date": tryton.DayOf(first.AddDate(0, 1, -1)),
				"type": "standard", "state": "open", "fiscalyear": id,
			})
		}
	}
	t.Fill("account.period", periods)
	return nil
}

func (s *Server) models() []*tryton.Model {
	company := tryton.Link{Model: "company.company"}
	account := tryton.Link{Model: "account.account"}
	currency := tryton.Link{Model: "currency.currency"}
	all := []*tryton.Model{
		{Name: "account.account.type", Fixed: true, Title: "Account Type", Fields: []string{"name", "receivable", "revenue", "payable", "expense"}},
		{
			Name: "account.account", Fixed: true, Title: "Account", Fields: []string{"name", "code", "closed", "party_required"},
			Links: map[string]tryton.Link{"type": {Model: "account.account.type"}, "company": company},
		},
		{Name: "account.journal", Fixed: true, Title: "Journal", Fields: []string{"name", "code", "type"}},
		{Name: "account.fiscalyear", Fixed: true, Title: "Fiscal Year", Fields: []string{"name"}, Links: map[string]tryton.Link{"company": company}},
		{
			Name: "account.period", Fixed: true, Title: "Period", Fields: []string{"name", "start_date", "end_date", "type", "state"},
			Links: map[string]tryton.Link{"fiscalyear": {Model: "account.fiscalyear"}},
		},
		s.saleModel(company, currency),
		{
			Name: "sale.line", Title: "Sale Line", Fields: []string{"type", "quantity", "unit_price", "description"}, Parent: "sale",
			Links: map[string]tryton.Link{"sale": {Model: modelSale}}, Required: []string{"type"}, Defaults: map[string]any{"description": nil},
		},
	}
	all = append(all, s.invoiceModels(company, account, currency)...)
	return append(all, s.entryModels(company, account, currency)...)
}

// rate returns a currency's decimals and its rate to the company's.
func rate(t *tryton.Tx, id any) (code order.Currency, digits int, per *big.Rat) {
	c, _ := t.Get("currency.currency", tryton.Int(id))
	d, _ := c.Values["rate"].(tryton.Decimal)
	return order.Currency(tryton.Text(c.Values["code"])), int(tryton.Int(c.Values["digits"])), d.Rat()
}

func ratOf(v any) *big.Rat {
	switch v := v.(type) {
	case tryton.Decimal:
		return v.Rat()
	case int64:
		return new(big.Rat).SetInt64(v)
	case float64:
		return new(big.Rat).SetFloat64(v)
	}
	return new(big.Rat)
}

// round rounds to a number of decimals.
func round(r *big.Rat, digits int) *big.Rat {
	out, _ := new(big.Rat).SetString(r.FloatString(digits))
	return out
}

// sumLines adds up quantity × unit price, each line rounded.
func sumLines(lines []tryton.Record, digits int) *big.Rat {
	sum := new(big.Rat)
	for _, l := range lines {
		sum.Add(sum, round(new(big.Rat).Mul(ratOf(l.Values["quantity"]), ratOf(l.Values["unit_price"])), digits))
	}
	return sum
}

// minorOf is an amount in minor units.
func minorOf(r *big.Rat, code order.Currency) int64 {
	digits, _ := code.Decimals()
	n, _ := order.ParseMinor(r.FloatString(digits), code)
	return n
}

// draftDetail marks effects that nothing follows from yet.
const draftDetail = "draft"

// entry is a ledger entry about a document.
func entry(kind simulator.EntryKind, operation order.Operation, r tryton.Record, reference string, amount int64) simulator.Entry {
	intent, ok := order.ParseKey(reference)
	if ok && operation == "" {
		operation = intent.Operation
	}
	return simulator.Entry{Kind: kind, Operation: operation, Order: intent.Order, Key: reference, Record: fmt.Sprint(r.ID), Amount: amount}
}

// classify says what a call is about.
func classify(t *tryton.Tx, c tryton.Call) simulator.Call {
	out := simulator.Call{Operation: "lookup"}
	if c.Operation() == "list" {
		out.Operation = "list"
	}
	field := map[string]string{modelSale: "reference", modelInvoice: "reference", modelEntry: "description"}[c.Model]
	switch {
	case c.Method == "create" && field == "":
		out.Operation = "prepare" // nothing follows from it
		return out
	case c.Method == "create":
		out.Key = c.Value(field)
	case c.Method == "search" || c.Method == "search_read" || c.Method == "search_count":
		out.Key = c.Clause(field)
	case field != "":
		for _, id := range c.IDs() {
			if r, ok := t.Get(c.Model, id); ok {
				out.Key = tryton.Text(r.Values[field])
			}
		}
	}
	intent, ok := order.ParseKey(out.Key)
	if ok {
		out.Order = intent.Order
	} else if id, is := tryton.PatternOrder(out.Key); is {
		out.Order, out.Key = id, ""
	}
	if tryton.Writes(c.Method) {
		out.Operation = intent.Operation
		if !ok {
			out.Operation = order.Operation(c.Method)
		}
	}
	return out
}
