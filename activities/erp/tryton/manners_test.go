package tryton_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// day is a date as it travels.
func day(t time.Time) map[string]any {
	return map[string]any{"__class__": "date", "year": t.Year(), "month": int(t.Month()), "day": t.Day()}
}

func decimal(s string) map[string]any { return map[string]any{"__class__": "Decimal", "decimal": s} }

// books is a raw client that knows the records which every test needs.
type books struct {
	fixture
	party, address, currency, revenue, receivable, cash, journal, cashJournal, period int64
}

func (b books) do(t *testing.T, model, method string, args ...any) json.RawMessage {
	t.Helper()
	for {
		result, failed := tryCall(t, b.url, model, method, args)
		if failed == nil {
			return result
		}
		if !strings.Contains(string(failed), "could not") {
			t.Fatalf("%s.%s: %s", model, method, failed)
		}
	}
}

// refused makes a call that must be refused and returns how.
func (b books) refused(t *testing.T, model, method string, args ...any) string {
	t.Helper()
	result, failed := tryCall(t, b.url, model, method, args)
	if failed == nil {
		t.Errorf("%s.%s %v = %s, want a refusal", model, method, args, result)
	}
	return string(failed)
}

func (b books) one(t *testing.T, model string, where ...any) int64 {
	t.Helper()
	var found []int64
	result := b.do(t, model, "search", where, 0, 1, []any{[]string{"id", "ASC"}})
	if json.Unmarshal(result, &found) != nil || len(found) != 1 {
		t.Fatalf("%s where %v: %s", model, where, result)
	}
	return found[0]
}

func (b books) create(t *testing.T, model string, values map[string]any) int64 {
	t.Helper()
	var made []int64
	if err := json.Unmarshal(b.do(t, model, "create", []any{values}), &made); err != nil || len(made) != 1 {
		t.Fatalf("create %s: %v", model, err)
	}
	return made[0]
}

func (b books) state(t *testing.T, model string, id int64) string {
	t.Helper()
	var rows []struct{ State string }
	if err := json.Unmarshal(b.do(t, model, "read", []int64{id}, []string{"state"}), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("read %s %d: %v", model, id, err)
	}
	return rows[0].State
}

func raw(t *testing.T, x fixture) books {
	t.Helper()
	b := books{fixture: x}
	now := time.Now().UTC()
	b.party = b.create(t, "party.party", map[string]any{"name": "Raw", "code": string(newID("raw"))})
	b.address = b.create(t, "party.address", map[string]any{"party": b.party, "street": "Raw"})
	b.currency = b.one(t, "currency.currency", []any{"code", "=", "EUR"})
	b.revenue = b.one(t, "account.account", []any{"type.revenue", "=", true})
	b.receivable = b.one(t, "account.account", []any{"type.receivable", "=", true})
	b.cash = b.one(t, "account.account", []any{"name", "=", "Main Cash"})
	b.journal = b.one(t, "account.journal", []any{"code", "=", "REV"})
	b.cashJournal = b.one(t, "account.journal", []any{"code", "=", "CASH"})
	b.period = b.one(t, "account.period", []any{"start_date", "<=", day(now)}, []any{"end_date", ">=", day(now)})
	return b
}

func (b books) sale(t *testing.T) int64 {
	t.Helper()
	return b.create(t, "sale.sale", map[string]any{
		"party": b.party, "invoice_address": b.address, "shipment_address": b.address, "reference": "raw", "company": 1,
		"currency": b.currency, "shipment_method": "manual", "invoice_method": "manual",
		"lines": []any{[]any{"create", []any{map[string]any{"type": "line", "quantity": 1.0, "unit_price": decimal("5.00"), "description": "x"}}}},
	})
}

func (b books) invoice(t *testing.T, date time.Time) int64 {
	t.Helper()
	return b.create(t, "account.invoice", map[string]any{
		"type": "out", "party": b.party, "invoice_address": b.address, "reference": "raw", "company": 1, "currency": b.currency,
		"journal": b.journal, "account": b.receivable, "invoice_date": day(date),
		"lines": []any{[]any{"create", []any{map[string]any{
			"type": "line", "quantity": 1.0, "unit_price": decimal("5.00"), "account": b.revenue, "description": "x", "currency": b.currency, "company": 1,
		}}}},
	})
}

func (b books) entry(t *testing.T, debit, credit string) int64 {
	t.Helper()
	return b.create(t, "account.move", map[string]any{
		"journal": b.cashJournal, "period": b.period, "date": day(time.Now().UTC()), "description": "raw", "company": 1,
		"lines": []any{[]any{"create", []any{
			map[string]any{"account": b.cash, "debit": decimal(debit), "credit": decimal("0")},
			map[string]any{"account": b.receivable, "party": b.party, "debit": decimal("0"), "credit": decimal(credit)},
		}}},
	})
}

// What follows are manners of the real one that the simulated one must share.

func TestManners_ManualSale_IsDoneAtOnceAndStays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		b := raw(t, x)
		id := b.sale(t)
		b.do(t, "sale.sale", "confirm", []int64{id}) // from draft: a silent no-op
		if got := b.state(t, "sale.sale", id); got != "draft" {
			t.Errorf("state after confirming a draft = %s, want draft", got)
		}
		b.do(t, "sale.sale", "quote", []int64{id})
		b.do(t, "sale.sale", "confirm", []int64{id})
		if got := b.state(t, "sale.sale", id); got != "done" {
			t.Errorf("state = %s, want done", got)
		}
		for _, button := range []string{"cancel", "process", "quote", "confirm"} {
			if got := b.do(t, "sale.sale", button, []int64{id}); string(got) != "null" {
				t.Errorf("%s = %s, want null", button, got)
			}
		}
		if got := b.state(t, "sale.sale", id); got != "done" {
			t.Errorf("state = %s, want done still", got)
		}
		if got := b.refused(t, "sale.sale", "delete", []int64{id}); !strings.Contains(got, "UserError") {
			t.Errorf("delete: %s", got)
		}
	})
}

func TestManners_ReferencesAreNotUnique_CodesAre(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		b := raw(t, x)
		if one, two := b.sale(t), b.sale(t); one == two {
			t.Error("two sales are one")
		}
		code := string(newID("raw"))
		b.create(t, "party.party", map[string]any{"name": "x", "code": code})
		got := b.refused(t, "party.party", "create", []any{map[string]any{"name": "x", "code": code}})
		if !strings.Contains(got, "UserError") || !strings.Contains(got, "must be unique") {
			t.Errorf("refusal = %s", got)
		}
	})
}

func TestManners_PostedInvoice(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		b := raw(t, x)
		id := b.invoice(t, time.Now().UTC())
		b.do(t, "account.invoice", "post", []int64{id})
		if got := b.do(t, "account.invoice", "post", []int64{id}); string(got) != "null" {
			t.Errorf("post again = %s, want null", got)
		}
		for _, c := range []struct {
			method string
			args   []any
		}{{"cancel", nil}, {"delete", nil}, {"write", []any{map[string]any{"reference": "y"}}}} {
			got := b.refused(t, "account.invoice", c.method, append([]any{[]int64{id}}, c.args...)...)
			if !strings.Contains(got, "UserError") {
				t.Errorf("%s: %s", c.method, got)
			}
		}
		early := b.invoice(t, time.Now().UTC().AddDate(0, 0, -2))
		if got := b.refused(t, "account.invoice", "post", []int64{early}); !strings.Contains(got, "UserError") && !strings.Contains(got, "could not") {
			t.Errorf("posting an earlier date: %s", got)
		}
		if got := b.state(t, "account.invoice", early); got != "draft" {
			t.Errorf("state = %s, want draft", got)
		}
		b.do(t, "account.invoice", "cancel", []int64{early})
		b.do(t, "account.invoice", "delete", []int64{early})
	})
}

func TestManners_PostedEntry(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		b := raw(t, x)
		id := b.entry(t, "5.00", "5.00")
		b.do(t, "account.move", "post", []int64{id})
		for _, method := range []string{"post", "delete"} { // post is no no-op here
			if got := b.refused(t, "account.move", method, []int64{id}); !strings.Contains(got, "UserError") {
				t.Errorf("%s: %s", method, got)
			}
		}
		uneven := b.entry(t, "5.00", "4.00")
		if got := b.refused(t, "account.move", "post", []int64{uneven}); !strings.Contains(got, "UserError") {
			t.Errorf("posting what is not balanced: %s", got)
		}
		b.do(t, "account.move", "delete", []int64{uneven})
	})
}

func TestManners_Errors(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		b := raw(t, x)
		id := b.sale(t)
		for name, c := range map[string]struct {
			model, method string
			args          []any
			want          string
		}{
			"no such record":  {"sale.sale", "read", []any{[]int64{999_999_999}, []string{"state"}}, `"UserError"`},
			"no such field":   {"sale.sale", "search", []any{[]any{[]any{"nofield", "=", 1}}, 0, nil, nil}, `'nofield'`},
			"a missing value": {"sale.sale", "create", []any{[]any{map[string]any{}}}, `"UserError"`},
			"a broken link":   {"sale.sale", "create", []any{[]any{map[string]any{"party": 999_999_999}}}, `"UserError"`},
		} {
			if got := b.refused(t, c.model, c.method, c.args...); !strings.Contains(got, c.want) {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		}
		var rows []map[string]any
		if err := json.Unmarshal(b.do(t, "sale.sale", "read", []int64{id}, []string{
			"total_amount", "write_date", "create_date", "_timestamp", "currency.code", "lines", "number",
		}), &rows); err != nil {
			t.Fatal(err)
		}
		got := rows[0]
		if fmt.Sprint(got["total_amount"]) != "map[__class__:Decimal decimal:5.00]" || got["number"] != nil || got["write_date"] != nil {
			t.Errorf("row = %v", got)
		}
		if fmt.Sprint(got["currency."]) != fmt.Sprintf("map[code:EUR id:%d]", b.currency) {
			t.Errorf("dotted field = %v", got["currency."])
		}
	})
}
