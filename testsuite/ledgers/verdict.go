package ledgers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
)

// Hear holds a fresh verdict about an order against the systems: it may not be
// failed or cancelled while money is held, an attempt is open or goods are out,
// nor what the file says it never is.
func (w *Watch) Hear(name string, said Said, at time.Time) ([]Violation, error) {
	t := w.orders[name]
	if t == nil {
		return nil, fmt.Errorf("hear about order %s, which the file does not have", name)
	}
	if slices.Contains(w.never(name), said.Outcome) {
		w.violate(t, at, NeverSaid, "%s", said.Outcome)
	}
	if said.Outcome == "failed" || said.Outcome == "cancelled" {
		if err := w.over(t, said.Outcome, at); err != nil {
			return nil, fmt.Errorf("hear about order %s: %w", name, err)
		}
	}
	w.hearClosed(t, said, at)
	return w.broken(), nil
}

// never are the outcomes that may at no moment be given.
func (w *Watch) never(name string) []string {
	all := slices.Clone(w.file.Expect.Orders)
	for _, s := range w.file.Steps {
		if check, is := s.Do.(script.Check); is {
			all = append(all, check.Expect.Orders...)
		}
	}
	var never []string
	for _, o := range all {
		if o.Order == name {
			never = append(never, o.Never...)
		}
	}
	return never
}

// over says why an order is not over.
func (w *Watch) over(t *tally, outcome string, at time.Time) error {
	r, err := Look(w.desks, t.Order)
	if err != nil {
		return err
	}
	var still []string
	m := r.Payment.Totals
	if m.Held > 0 {
		still = append(still, fmt.Sprintf("%d are held", m.Held))
	}
	if kept := m.Captured - m.Refunded - m.Disputed; kept > 0 {
		still = append(still, fmt.Sprintf("%d are taken and not given back", kept))
	}
	if m.Open > 0 {
		still = append(still, fmt.Sprintf("%d attempts are open", m.Open))
	}
	for _, s := range r.Warehouse.Shipments {
		if live(s) && !gone(s) && !backAgain(r) {
			still = append(still, fmt.Sprintf("shipment %d is %s", s.ID, s.State))
		}
	}
	if len(still) > 0 {
		w.violate(t, at, Untrue, "%s, and %s", outcome, strings.Join(still, ", "))
	}
	return nil
}

// gone says that a parcel is lost, and was not found after all.
func gone(s warehouse.Shipment) bool { return s.Lost && !s.Delivered }

// backAgain says that something went out and all of it came back.
func backAgain(r Records) bool {
	out, back := shipped(r), received(r)
	for sku, n := range out {
		if back[sku] < n {
			return false
		}
	}
	return len(out) > 0
}

// received is what the warehouse got back of the order, by SKU.
func received(r Records) map[string]int64 {
	sum := map[string]int64{}
	for _, b := range r.Warehouse.Returns {
		if b.State != "received" && b.State != "done" {
			continue
		}
		for _, l := range b.Lines {
			sum[l.SKU] += l.Quantity
		}
	}
	return sum
}

// hearClosed holds what was done to a closed order against what is on record:
// a case, a repair, or somebody's wish.
func (w *Watch) hearClosed(t *tally, said Said, at time.Time) {
	if len(t.changed) > 0 && said.Cases <= t.cases && said.Repairs <= t.repairs && !w.wished(t.Name) {
		w.violate(t, at, ClosedChanged, "%s", strings.Join(t.changed, ", "))
	}
	if said.Closed != t.closed || len(t.changed) > 0 {
		t.closed, t.cases, t.repairs, t.changed = said.Closed, said.Cases, said.Repairs, nil
	}
}

// wished says that somebody asks something of the order in the file.
func (w *Watch) wished(name string) bool {
	return slices.ContainsFunc(w.file.Steps, func(s script.Step) bool {
		switch do := s.Do.(type) {
		case script.Return:
			return do.Order == name
		case script.Cancel:
			return do.Order == name
		case script.Amend:
			return do.Order == name
		case script.Attempt:
			return do.Order == name
		case script.Decide:
			return do.Order == name
		}
		return false
	})
}

// End holds the end against what is only true at rest: the money that is kept is
// that of the goods that are, no more is promised than was ordered, no stock is
// below zero. said is what the product says of each order, for an order that a
// person must still decide may stand as it is.
func (w *Watch) End(said map[string]Said, at time.Time) ([]Violation, error) {
	found, err := w.After()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		more, err := w.Hear(name, said[name], at)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
		if err := w.atRest(w.orders[name], said[name], at); err != nil {
			return nil, fmt.Errorf("end of order %s: %w", name, err)
		}
	}
	if err := w.shelves(at); err != nil {
		return nil, err
	}
	return append(found, w.broken()...), nil
}

func (w *Watch) atRest(t *tally, said Said, at time.Time) error {
	r, err := Look(w.desks, t.Order)
	if err != nil {
		return err
	}
	if !w.edited(order.SystemInventory, t.Name) {
		ordered := t.Goods()
		for sku, n := range reserved(r) {
			if n > ordered[sku] {
				w.violate(t, at, PromisedTooMuch, "%d of %s, %d were ordered", n, sku, ordered[sku])
			}
		}
	}
	if said.Outcome == "succeeded" && said.Agreement == "agreed" && said.Cases == 0 {
		w.moneyForGoods(t, r, at)
	}
	return nil
}

// moneyForGoods: what is taken and not given back is the price of what the
// customer has. Of what is still on its way nothing is said, and neither is it
// where a person changed the money or the goods.
func (w *Watch) moneyForGoods(t *tally, r Records, at time.Time) {
	kept := goods(shipped(r))
	for _, s := range r.Warehouse.Shipments {
		switch {
		case live(s) && s.State != "done":
			return
		case gone(s):
			for _, l := range s.Lines {
				kept[l.SKU] -= l.Quantity
			}
		}
	}
	for sku, n := range received(r) {
		kept[sku] -= n
	}
	m := r.Payment.Totals
	if w.edited(order.SystemPayment, t.Name) || w.edited(order.SystemWarehouse, t.Name) || t.disputed || m.Held > 0 {
		return
	}
	if price, net := order.ValueOf(t.body(), t.pieces(kept)), m.Captured-m.Refunded; net != price {
		w.violate(t, at, MoneyForGoods, "%d are kept for goods of %d", net, price)
	}
}

// shelves: no stock is below zero, unless somebody counted or typed it in.
func (w *Watch) shelves(at time.Time) error {
	held, err := w.desks.Inventory.Records("-")
	if err != nil {
		return err
	}
	there, err := w.desks.Warehouse.Holds("-")
	if err != nil {
		return err
	}
	for _, l := range held.Levels {
		if (l.Stocked < 0 || l.Available < 0) && !w.counted(l.SKU) {
			w.violate(stockOf(l.SKU), at, BelowZero, "inventory has %d, of which %d are promised", l.Stocked, l.Reserved)
		}
	}
	for _, sku := range slices.Sorted(maps.Keys(there.OnHand)) {
		if n := there.OnHand[sku]; n < 0 && !w.counted(sku) {
			w.violate(stockOf(sku), at, BelowZero, "the warehouse has %d", n)
		}
	}
	return nil
}

func stockOf(sku string) *tally { return &tally{Order: script.Order{Name: "stock/" + sku}} }

// counted says that a step of the file, or a fault that it names, changes the
// stock of a SKU.
func (w *Watch) counted(sku string) bool {
	return slices.ContainsFunc(w.file.Steps, func(s script.Step) bool {
		switch do := s.Do.(type) {
		case script.Edit:
			stocked := do.System == order.SystemInventory || do.System == order.SystemWarehouse
			return stocked && (do.SKU == sku || do.Order != "")
		case script.Fault:
			stocked := do.System == order.SystemInventory || do.System == order.SystemWarehouse
			return stocked && (do.Kind == simulator.Partial || do.Kind == simulator.Vanishes)
		}
		return false
	})
}
