package tryton_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/contract"
)

// several puts orders of one customer there, in every state that a look-up tells
// apart. One of the ids has an underscore, which in a search is any character.
func (x fixture) several(t *testing.T) []reconcile.Subject {
	t.Helper()
	shipped, cancelled, draft, one, both := request(newID("N_1")), request(newID("N")), request(newID("N")), request(newID("N")), request(newID("N"))
	alike := request("Nx1" + shipped.Order[3:])
	one.Lines = one.Lines[:1]
	two := one
	two.Key = order.Intent{Order: one.Order, Operation: order.Request, N: 2}.Key()
	back, bothBack := returning(newID("N")), returning(both.Order)
	made := map[string]string{}
	for _, r := range []warehouse.RequestRequest{shipped, alike, cancelled, draft, one, two, back, both, bothBack} {
		r.Customer = shipped.Customer
		made[r.Key] = x.announce(t, r).ID
	}
	x.press(t, made[shipped.Key], "assign_try", "pick", "pack", "done")
	x.call(t, "ir.note", "create", []any{[]any{map[string]any{
		"resource": shipmentModel + "," + made[shipped.Key], "message": "tracking: XYZ-1\ndelivered: 2026-11-23T10:00:00Z",
	}}})
	if _, err := x.Cancel(t.Context(), warehouse.CancelRequest{Key: cancelled.Key, Order: cancelled.Order}); err != nil {
		t.Fatal(err)
	}
	x.split(t, made[draft.Key], false, x.moves(t, shipmentModel, "outgoing_moves", made[draft.Key])[2])
	byHand := newID("N")
	x.typed(t, made[back.Key], "order/"+string(byHand))
	x.receive(t, made[bothBack.Key], "receive")
	var subjects []reconcile.Subject
	for _, id := range []order.ID{
		newID("N"), shipped.Order, alike.Order, cancelled.Order, draft.Order, one.Order, back.Order, both.Order, byHand,
		"Ny1" + shipped.Order[3:], // nobody's
	} {
		subjects = append(subjects, subject(id))
	}
	return subjects
}

func TestLookupMany_IsLookupOfEach(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) { contract.LookupMany(t, x, x.several(t), 8) })
}

// More than a page of a listing, with more records than that.
func TestLookupMany_MoreThanAPage(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := returning(newID("N"))
		like := x.announce(t, r)
		first := subject(newID("N"))
		x.typed(t, like.ID, "order/"+string(first.Order)+"/rma")
		subjects := []reconcile.Subject{first, subject(r.Order)}
		for n := range 300 {
			id := order.ID(fmt.Sprintf("%s-%d", r.Order, n))
			subjects = append(subjects, subject(id))
		}
		x.copied(t, like.ID, subjects[10:230])
		contract.Shuffle(1, subjects)
		seen, err := x.LookupMany(t.Context(), subjects)
		if err != nil || len(seen) != len(subjects) {
			t.Fatalf("%d of %d: %v", len(seen), len(subjects), err)
		}
		present, few := 0, 0
		for i, o := range seen {
			if o.Order != subjects[i].Order || !o.Strong || o.State == reconcile.Present && len(o.Warehouse.Returns) != 1 {
				t.Errorf("observation %d is %+v, want of order %s", i, o, subjects[i].Order)
			}
			if o.State == reconcile.Present {
				present++
				if i < 20 {
					few++
				}
			}
		}
		if present != 222 {
			t.Errorf("%d orders are there, want 222", present)
		}
		contract.Together(t, x, subjects[:20], few)
	})
}

// copied makes a return without goods for each of some orders, in one call.
func (x fixture) copied(t *testing.T, like string, of []reconcile.Subject) {
	t.Helper()
	from, place := x.whose(t, like), x.place(t)
	var all []any
	for _, s := range of {
		all = append(all, map[string]any{
			"reference": "order/" + string(s.Order) + "/rma", "customer": from.Customer, "delivery_address": from.Address,
			"company": 1, "warehouse": place,
		})
	}
	x.call(t, returnModel, "create", []any{all})
}

func TestCountMany_IsCountOfEach(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		// More than one call names, with those that are known in each of them.
		skus := []string{"A", "D", "nobody-knows", "B", "A"}
		for n := range 120 {
			skus = append(skus, fmt.Sprintf("nobody-knows-%d", n))
		}
		skus = append(skus, "C", "D")
		for _, some := range [][]string{skus, {"C"}, {"nobody-knows"}, nil} {
			x.countTogether(t, some)
		}
	})
}

// countTogether counts SKUs one by one, at once, and one by one again: tests of
// one real warehouse run side by side, and only what stood still is compared.
func (x fixture) countTogether(t *testing.T, skus []string) {
	t.Helper()
	for range 50 {
		before := x.countEach(t, skus)
		many, err := x.CountMany(t.Context(), skus)
		if err != nil {
			t.Fatal(err)
		}
		if cmp.Diff(before, x.countEach(t, skus)) != "" {
			continue
		}
		for sku, c := range many {
			if c.At.IsZero() || time.Since(c.At) > time.Minute {
				t.Errorf("%s was counted at %v", sku, c.At)
			}
			c.At = time.Time{}
			many[sku] = c
		}
		if d := cmp.Diff(before, many); d != "" {
			t.Errorf("(-one by one +at once):\n%s", d)
		}
		return
	}
	t.Fatal("the warehouse did not stand still")
}

func (x fixture) countEach(t *testing.T, skus []string) map[string]reconcile.Count {
	t.Helper()
	all := map[string]reconcile.Count{}
	for _, sku := range slices.Compact(slices.Sorted(slices.Values(skus))) {
		if len(sku) > len("nobody-knows") {
			continue // one of them tells how they are counted
		}
		c, err := x.Count(t.Context(), sku)
		if apierr.CodeOf(err) == apierr.NotFound && err != nil {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c.At = time.Time{}
		all[sku] = c
	}
	return all
}
