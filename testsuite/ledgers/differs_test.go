package ledgers_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/ledgers"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// file is the story of one order, with what is expected of it.
func file(t *testing.T, expect string) *script.File {
	t.Helper()
	f, err := script.Parse("story.yaml", []byte("id: X\ntitle: A test\nsteps: [submit: O1]\nexpect:\n  O1:\n"+expect))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// play lets an order go its way in a world with the real product, watched, and
// returns the records in the end.
func play(t *testing.T, f *script.File, story func(w *virtual.World, o order.Order)) ledgers.Records {
	t.Helper()
	w := virtual.Open(t, virtual.Options{
		Stock: map[string]int{"A": 10, "B": 3}, Pace: warehouse.DefaultPace(), FollowEvery: time.Hour,
		Policy: "mode: auto\nreturn_window: 24h\n", Carts: []crm.Cart{{Cart: "other", Email: "someone@example.com"}},
	})
	desks := ledgers.Desks{Payment: w.Payment, Inventory: w.Inventory, Warehouse: w.Warehouse, ERP: w.ERP, CRM: w.CRM, Mail: w.Mail}
	watch := ledgers.NewWatch(f, desks)
	told := func(found []ledgers.Violation, err error) {
		t.Helper()
		if err != nil || len(found) > 0 {
			t.Errorf("a lawful order is watched: %v, %v", found, err)
		}
	}
	for age := time.Minute; age < 75*time.Hour; age += 3 * time.Hour {
		w.At(age, "the ledgers are read", func() { told(watch.After()) })
	}
	o := order.Order{
		ID: "O1", PlacedAt: virtual.Start, Customer: order.Customer{ID: "c1", Email: "c1@example.com"},
		ShipTo:   order.Address{Street: "1 Main St", City: "Paris", Country: "FR"},
		Currency: "EUR", Total: 9980, Payment: order.Payment{Method: "pm_card_visa", Reusable: true},
		Lines: []order.Line{{SKU: "A", Quantity: 2, UnitPrice: 2500}, {SKU: "B", Quantity: 1, UnitPrice: 4980}},
	}
	w.At(0, "submit", func() { w.Submit(o) })
	story(w, o)
	var records ledgers.Records
	w.At(75*time.Hour, "the end", func() {
		v := w.Verdict("O1")
		said := ledgers.Said{Outcome: string(v.Outcome), Agreement: string(v.Agreement)}
		told(watch.End(map[string]ledgers.Said{"O1": said}, w.Now()))
		var err error
		if records, err = ledgers.Look(desks, f.Orders[0]); err != nil {
			t.Error(err)
		}
		for _, what := range ledgers.Differs(f.Expect.Orders[0], records, &said) {
			t.Error(what)
		}
		if orphans, err := ledgers.Orphans(f, desks); err != nil || len(orphans) > 0 {
			t.Errorf("orphans: %v, %v", orphans, err)
		}
	})
	w.Run(75*time.Hour + time.Minute)
	return records
}

const delivered = `
    outcome: succeeded
    agreement: [agreed, settling]
    payment: {authorizations: 1, captures: 1, captured: 9980, refunds: 0, refunded: 0, open: 0}
    inventory: {reserved: 0, committed: {A: 2, B: 1}}
    warehouse: {live: 1, shipped: {A: 2, B: 1}}
    erp: {sales: 1, invoices: 1, credits: 0, balance: 0}
    crm: {contacts: 1, email: c1@example.com, opted_out: false, won: 1, lost: 0, revenue: 9980, carts_abandoned: 0}
    mail: {confirmation: 1, shipped: 1, cancellation: 0, refund: 0, question: 0}
`

func TestLook_Delivered_AsExpectedAndEveryFieldCounts(t *testing.T) {
	t.Parallel()
	f := file(t, delivered+"    cases: 0\n    repairs: 0\n")
	r := play(t, f, func(*virtual.World, order.Order) {})
	said := ledgers.Said{Outcome: "succeeded", Agreement: "agreed"}
	want := f.Expect.Orders[0]
	if got := ledgers.Differs(want, r, &said); len(got) > 0 {
		t.Fatalf("differs: %q", got)
	}
	for _, c := range wrong(t, delivered) {
		got := ledgers.Differs(file(t, c.expect).Expect.Orders[0], r, &said)
		if len(got) != 1 || !strings.HasPrefix(got[0], c.field) {
			t.Errorf("%s: differs %q", c.field, got)
		}
	}
	for field, said := range map[string]ledgers.Said{
		"outcome: failed; want succeeded":                {Outcome: "failed", Agreement: "agreed"},
		"agreement: unreadable; want agreed or settling": {Outcome: "succeeded", Agreement: "unreadable"},
		"cases: 1; want 0":                               {Outcome: "succeeded", Agreement: "agreed", Cases: 1},
		"repairs: 2; want 0":                             {Outcome: "succeeded", Agreement: "agreed", Repairs: 2},
	} {
		if got := ledgers.Differs(want, r, &said); !slices.Equal(got, []string{field}) {
			t.Errorf("differs %q; want %q", got, field)
		}
	}
}

type wrongly struct{ field, expect string }

// wrong returns the expectation once for each number and word in its groups, with
// that one wrong.
func wrong(t *testing.T, expect string) []wrongly {
	t.Helper()
	var all []wrongly
	lines := strings.Split(expect, "\n")
	for i, line := range lines {
		group, fields, found := strings.Cut(strings.TrimSpace(line), ": {")
		if !found {
			continue
		}
		for _, field := range flat(strings.TrimSuffix(fields, "}")) {
			name, value, _ := strings.Cut(field.text, ": ")
			other := map[string]string{"true": "false", "false": "true", "c1@example.com": "c2@example.com"}[value]
			if other == "" {
				other = value + "1" // 0 becomes 1, as YAML reads 01
				other = fmt.Sprint(len(other)) + "7"
			}
			changed := slices.Clone(lines)
			changed[i] = strings.Replace(line, field.text, name+": "+other, 1)
			all = append(all, wrongly{group + "." + field.in + name + ":", strings.Join(changed, "\n")})
		}
	}
	if len(all) < reflect.TypeFor[script.PaymentEnd]().NumField()+20 {
		t.Fatalf("only %d fields are tried", len(all))
	}
	return all
}

type part struct{ in, text string }

// flat splits `live: 1, shipped: {A: 2, B: 1}` into its scalars.
func flat(fields string) []part {
	var all []part
	in := ""
	for _, f := range strings.Split(fields, ", ") {
		if name, first, nested := strings.Cut(f, ": {"); nested {
			in, f = name+".", first
		}
		all = append(all, part{in, strings.TrimSuffix(f, "}")})
		if strings.HasSuffix(f, "}") {
			in = ""
		}
	}
	return all
}

func TestLook_Returned_AsExpected(t *testing.T) {
	t.Parallel()
	f := file(t, `
    payment: {authorizations: 1, captures: 1, captured: 9980, refunds: 1, refunded: 4980, open: 0}
    inventory: {reserved: 0, committed: {A: 2, B: 1}}
    warehouse: {live: 1, shipped: {A: 2, B: 1}}
    erp: {sales: 1, invoices: 1, credits: 1, balance: 0}
    crm: {contacts: 1, won: 1, lost: 0, revenue: 5000}
    mail: {confirmation: 1, shipped: 1, cancellation: 0, refund: 1, question: 0}
`)
	play(t, f, func(w *virtual.World, o order.Order) {
		w.At(30*time.Hour, "returned", func() {
			m := workflows.Return{Asked: workflows.Asked{By: "Ann", Reason: "too small"}, Lines: []order.Quantity{{Line: 2, SKU: "B", Quantity: 1}}}
			w.Later(func(ctx context.Context) {
				_, err := w.Client.Return(ctx, "O1", m)
				w.Check(err)
			})
		})
	})
}

func TestLook_Cancelled_AsExpected(t *testing.T) {
	t.Parallel()
	f := file(t, `
    outcome: cancelled
    payment: {authorizations: 1, captures: 0, captured: 0, refunds: 0, refunded: 0, open: 0}
    inventory: {reserved: 0, committed: 0}
    warehouse: {live: 0, shipped: 0}
    erp: {invoices: 0, credits: 0, balance: 0}
    crm: {contacts: 1, won: 0, lost: 1, revenue: 0}
    mail: {confirmation: 1, shipped: 0, cancellation: 1, refund: 0, question: 0}
`)
	play(t, f, func(w *virtual.World, o order.Order) {
		w.At(30*time.Minute, "cancelled", func() {
			w.Later(func(ctx context.Context) {
				_, err := w.Client.Cancel(ctx, "O1", workflows.Cancel{})
				w.Check(err)
			})
		})
	})
}
