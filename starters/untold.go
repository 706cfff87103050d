package starters

import (
	"slices"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// The orders of an incident are not bothered with it, so that most of its breaks
// are in no order's own list. Some are: an order that was asked about something
// else, or before there was an incident, says all that it has.

// Untold is an incident that is not over, with what of it nobody else says.
type Untold struct {
	reconciliation.Group
	// Orders and Risk are of the orders that do not list it themselves.
	Orders int
	Risk   []reconcile.Sum
}

// UntoldOf returns what of the incidents neither an order nor a level says itself.
// What an order says is at risk counts against its incidents once, whatever it is
// for: nothing counts twice.
func UntoldOf(status reconciliation.Status, orders []Disagreeing) []Untold {
	said := map[order.ID]int64{} // only looked up
	for _, d := range orders {
		said[d.Order] = max(0, d.Stakes.Money)
	}
	var all []Untold
	for _, g := range status.Groups {
		if g.Over() || g.Orders == 0 {
			continue
		}
		one := Untold{Group: g, Orders: g.Orders, Risk: slices.Clone(g.Money)}
		for _, d := range orders {
			if !tells(d, g) {
				continue
			}
			one.Orders--
			less := min(said[d.Order], reconcile.SumOf(one.Risk, d.Stakes.Currency))
			one.Risk = reconcile.AddSum(one.Risk, d.Stakes.Currency, -less)
			said[d.Order] -= less
		}
		one.Orders = max(0, one.Orders)
		if g.Kind.Field == reconcile.InventoryLevel { // each level that differs is listed itself
			one.Orders = 0
		}
		one.Risk = slices.DeleteFunc(one.Risk, func(s reconcile.Sum) bool { return s.Minor == 0 })
		all = append(all, one)
	}
	return all
}

// tells says that an order lists a break of an incident as its own.
func tells(d Disagreeing, g reconciliation.Group) bool {
	return slices.ContainsFunc(d.Breaks, func(text string) bool {
		k, err := reconcile.ParseKind(text)
		return err == nil && g.Kind.Covers(k)
	})
}

// inIncidents counts the orders of the incidents that have no open break of their
// own: each once, however many incidents it is in. Of orders that the members do
// not name nobody knows whether two incidents share them, so that those of the
// largest remainder count.
func (o Overview) inIncidents(untold []Untold) int {
	broken, named, unnamed := map[order.ID]bool{}, map[order.ID]bool{}, 0 // only looked up and counted
	for _, d := range o.Orders {
		broken[d.Order] = !d.Oldest.IsZero()
	}
	for _, u := range untold {
		if u.Kind.Field == reconcile.InventoryLevel {
			continue
		}
		left := u.Group.Orders
		for _, m := range o.Members {
			if m.Group != u.N {
				continue
			}
			left -= len(m.Of)
			for _, id := range m.Of {
				if !broken[order.ID(id)] {
					named[order.ID(id)] = true
				}
			}
		}
		unnamed = max(unnamed, min(left, u.Orders))
	}
	return len(named) + unnamed
}
