package tryton_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/contract"
)

// several books orders of one customer in several currencies, as far as a look-up
// tells them apart. One of the ids has an underscore, which in a search is any
// character.
func (x fixture) several(t *testing.T) []reconcile.Subject {
	t.Helper()
	sold, alike, life, paid, yen := newOrder("EUR"), newOrder("EUR"), newOrder("KWD"), newOrder("USD"), newOrder("JPY")
	sold.ID = newID("N_1")
	alike.ID = "Nx1" + sold.ID[3:]
	alike.Customer, life.Customer, paid.Customer, yen.Customer = sold.Customer, sold.Customer, sold.Customer, sold.Customer
	newKeeper(t, x, sold, 1)
	newKeeper(t, x, alike, 1)
	piece := []order.Quantity{{Line: 1, SKU: "A", Quantity: 1}}
	k := newKeeper(t, x, life, 1)
	k.receipt(k.invoice(piece).Total)
	k.receipt(k.invoice(order.Less(life, life.AllLines(), piece)).Total)
	back := returned(life, life.AllLines()[1:2])
	k.credit(back)
	k.receipt(-back.Total)
	newKeeper(t, x, paid, 1).receipt(paid.Total)
	newKeeper(t, x, yen, 1).invoice(yen.AllLines())
	left, given := newOrder("EUR"), newOrder("EUR")
	x.leave(t, left.ID, "draft")
	x.leave(t, given.ID, "cancelled")
	var subjects []reconcile.Subject
	for _, o := range []order.Order{newOrder("EUR"), sold, alike, life, paid, yen, left, given} {
		subjects = append(subjects, reconcile.SubjectOf(o))
	}
	nobodys := reconcile.SubjectOf(sold)
	nobodys.Order = "Ny1" + sold.ID[3:]
	return append(subjects, nobodys)
}

// leave leaves a sale and an invoice of an order in a state in which nothing is
// booked.
func (x fixture) leave(t *testing.T, id order.ID, state string) {
	t.Helper()
	b := raw(t, x)
	for model, of := range map[string]struct {
		made      int64
		operation order.Operation
	}{"sale.sale": {b.sale(t), order.Record}, "account.invoice": {b.invoice(t, time.Now().UTC()), order.Invoice}} {
		b.do(t, model, "write", []int64{of.made}, map[string]any{"reference": order.Intent{Order: id, Operation: of.operation, N: 1}.Key()})
		if state == "cancelled" {
			b.do(t, model, "cancel", []int64{of.made})
		}
		if got := b.state(t, model, of.made); got != state {
			t.Errorf("%s is %s, want %s", model, got, state)
		}
	}
}

func TestLookupMany_IsLookupOfEach(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) { contract.LookupMany(t, x, x.several(t), 7) })
}

// More than a page of a listing, with more records than that.
func TestLookupMany_MoreThanAPage(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		o := newOrder("EUR")
		newKeeper(t, x, o, 1).receipt(o.Total)
		subjects := []reconcile.Subject{reconcile.SubjectOf(o)}
		for n := range 300 {
			s := subjects[0]
			s.Order = order.ID(fmt.Sprintf("%s-%d", o.ID, n))
			subjects = append(subjects, s)
		}
		x.drafted(t, subjects[10:230])
		contract.Shuffle(1, subjects)
		seen, err := x.LookupMany(t.Context(), subjects)
		if err != nil || len(seen) != len(subjects) {
			t.Fatalf("%d of %d: %v", len(seen), len(subjects), err)
		}
		present, few := 0, 0
		for i, s := range seen {
			if s.Order != subjects[i].Order || !s.Strong || s.State == reconcile.Present && len(s.ERP.Receipts) != 1 {
				t.Errorf("observation %d is %+v, want of order %s", i, s, subjects[i].Order)
			}
			if s.State == reconcile.Present {
				present++
				if i < 20 {
					few++
				}
			}
		}
		if present != 221 {
			t.Errorf("%d orders are there, want 221", present)
		}
		contract.Together(t, x, subjects[:20], few)
	})
}

// drafted makes a receipt that is not posted for each of some orders, in one call.
func (x fixture) drafted(t *testing.T, of []reconcile.Subject) {
	t.Helper()
	b := raw(t, x)
	var all []any
	for _, s := range of {
		all = append(all, map[string]any{
			"journal": b.cashJournal, "period": b.period, "date": day(time.Now().UTC()), "company": 1,
			"description": order.Intent{Order: s.Order, Operation: order.Receipt, N: 1}.Key(),
			"lines": []any{[]any{"create", []any{
				map[string]any{"account": b.cash, "debit": decimal("5.00"), "credit": decimal("0")},
				map[string]any{"account": b.receivable, "party": b.party, "debit": decimal("0"), "credit": decimal("5.00")},
			}}},
		})
	}
	b.do(t, "account.move", "create", all)
}
