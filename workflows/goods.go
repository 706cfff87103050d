package workflows

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Where the goods of an order are: asked for, promised, requested, gone, on
// their way back. Everything counts pieces per line of the order.

// wanted is what was ordered and not dropped.
func (s *State) wanted() []order.Quantity {
	return order.Less(s.Order, s.Order.AllLines(), s.Dropped)
}

// shipped is what has left for good. What was lost on the way and is sent once
// more has not.
func (s *State) shipped() []order.Quantity { return s.shippedThrough(len(s.Departures)) }

// shippedThrough is what the departures up to n contain.
func (s *State) shippedThrough(n int) []order.Quantity {
	var lines []order.Quantity
	for i := range min(n, len(s.Departures)) {
		if !s.Departures[i].Again {
			lines = order.Plus(s.Order, lines, s.Departures[i].Lines)
		}
	}
	return lines
}

// unshipped is what is still to leave.
func (s *State) unshipped() []order.Quantity {
	return order.Less(s.Order, s.wanted(), s.shipped())
}

// remaining is what is still to leave and the warehouse was not asked for.
func (s *State) remaining() []order.Quantity {
	return order.Less(s.Order, s.unshipped(), s.requested())
}

// requested is what the warehouse was asked for and has not let go: also what it
// gave up by itself, until a person has decided.
func (s *State) requested() []order.Quantity {
	lines := s.withWarehouse()
	for n := 1; n <= s.count(order.Request); n++ {
		if op := s.find(order.Request, n); s.givenUp(*op) {
			lines = order.Plus(s.Order, lines, s.linesOf(*op))
		}
	}
	return lines
}

// givenUp says that the warehouse has refused a request, or cancelled all of it,
// and that this was not our doing.
func (s *State) givenUp(op Operation) bool {
	all := s.shipmentsOf(s.Key(op))
	lives := slices.ContainsFunc(all, func(sh reconcile.Shipment) bool { return sh.State.Live() })
	return !lives && (op.Status == Refused || op.Status == Done && len(all) > 0) && !s.withdrawn(s.Key(op))
}

// withWarehouse is what the warehouse was asked for, and still has.
func (s *State) withWarehouse() []order.Quantity {
	var lines []order.Quantity
	for n := 1; n <= s.count(order.Request); n++ {
		op := s.find(order.Request, n)
		if s.givenUp(*op) {
			continue
		}
		left, waiting := s.letBeGone(s.Key(*op)), []order.Quantity(nil)
		for _, sh := range s.shipmentsOf(s.Key(*op)) {
			switch {
			case gone(sh.State):
				left = order.Plus(s.Order, left, sh.Lines)
			case sh.State.Live():
				waiting = order.Plus(s.Order, waiting, sh.Lines)
			}
		}
		switch {
		case waiting != nil && s.askedBack(s.Key(*op)): // what it did not give up is packed, and the rest is not coming
			lines = order.Plus(s.Order, lines, waiting)
		case waiting != nil, left == nil && !s.withdrawn(s.Key(*op)) && op.Status != Unsent:
			// While a part of it has not left, all of the rest may still come with it.
			lines = order.Plus(s.Order, lines, order.Less(s.Order, s.linesOf(*op), left))
		}
	}
	return lines
}

// withdrawn says that a request is ours to make anew: we took it back, or a
// person decided so.
func (s *State) withdrawn(key string) bool {
	for i := range s.Operations {
		if op := &s.Operations[i]; op.Operation == order.Cancel && op.Ref == key && op.Status == Done && op.Code != stillThere {
			return true
		}
	}
	return false
}

// freeRequest records that a request is not the warehouse's any more without our
// asking: it counts as taken back.
func (s *State) freeRequest(now time.Time, key, why string) {
	op := s.another(order.SystemWarehouse, order.Cancel)
	op.Ref, op.Status, op.First, op.Ended, op.Why = key, Done, now, now, why
	s.Operations = append(s.Operations, *op)
}

// askedBack says that we asked for a request to be given up, and were answered.
func (s *State) askedBack(key string) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Cancel && op.Ref == key && op.Status == Done
	})
}

// stillThere marks a request that the warehouse would not give up: it was packed.
const stillThere = "still_there"

// linesOf is what an operation is about; without lines of its own the whole
// order.
func (s *State) linesOf(op Operation) []order.Quantity {
	if op.Lines == nil {
		return s.Order.AllLines()
	}
	return op.Lines
}

// about returns lines as an operation keeps them: nil stands for all of the order.
func (s *State) about(lines []order.Quantity) []order.Quantity {
	if order.Within(s.Order, s.Order.AllLines(), lines) {
		return nil
	}
	return lines
}

// shipmentsOf returns the shipments of one request: several when the warehouse
// has split it.
func (s *State) shipmentsOf(key string) []reconcile.Shipment {
	var all []reconcile.Shipment
	for _, sh := range s.shipments() {
		if sh.Key == key {
			all = append(all, sh)
		}
	}
	return all
}

// depart takes up the parcels that have left since we last looked.
func (s *State) depart(now time.Time) []Departure {
	var fresh []Departure
	for _, sh := range s.shipments() {
		if !gone(sh.State) || slices.ContainsFunc(s.Departures, func(d Departure) bool { return d.Shipment == sh.ID }) {
			continue
		}
		fresh = append(fresh, Departure{Shipment: sh.ID, Key: sh.Key, Lines: sh.Lines, At: s.shippedAt(sh)})
	}
	slices.SortFunc(fresh, func(a, b Departure) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Shipment, b.Shipment)) })
	s.Departures = append(s.Departures, fresh...)
	return fresh
}

// leftUnder is what has left under a request, also when its goods are sent once
// more, and whether anything did. What is settled is not expected to be there.
func (s *State) leftUnder(key string) (lines []order.Quantity, departed bool) {
	for _, d := range s.Departures {
		if d.Key != key {
			continue
		}
		departed = true
		if !d.Settled {
			lines = order.Plus(s.Order, lines, d.Lines)
		}
	}
	return lines, departed
}

// letBeGone is what has left under a request, of which the warehouse has no record
// any more and a person expects none.
func (s *State) letBeGone(key string) []order.Quantity {
	var lines []order.Quantity
	for _, d := range s.Departures {
		if d.Key == key && d.Settled && s.parcel(d) == nil {
			lines = order.Plus(s.Order, lines, d.Lines)
		}
	}
	return lines
}

func (s *State) shippedAt(sh reconcile.Shipment) time.Time {
	if !sh.ShippedAt.IsZero() {
		return sh.ShippedAt
	}
	return s.observed(order.SystemWarehouse).At
}

// parcel returns the warehouse's record of a departure, or nil when it is gone.
func (s *State) parcel(d Departure) *reconcile.Shipment {
	for _, sh := range s.shipments() {
		if sh.ID == d.Shipment {
			return &sh
		}
	}
	return nil
}

// arrived says that every parcel was delivered, or that nothing more is expected
// of it.
func (s *State) arrived() bool {
	for _, d := range s.Departures {
		sh := s.parcel(d)
		if !d.Settled && !d.Again && (sh == nil || sh.State != reconcile.ShipmentDelivered) {
			return false
		}
	}
	return len(s.Departures) > 0
}

// comingBack is what was announced as a return or has come back.
func (s *State) comingBack() []order.Quantity { return s.returnedThrough(len(s.Returns), false) }

// returnedThrough adds up the returns up to n; only those that were received
// when received is set.
func (s *State) returnedThrough(n int, received bool) []order.Quantity {
	var lines []order.Quantity
	for i := range min(n, len(s.Returns)) {
		if r := s.Returns[i]; !r.Cancelled && (!received || !r.Received.IsZero()) {
			lines = order.Plus(s.Order, lines, r.Lines)
		}
	}
	return lines
}

// kept is what is wanted and did not come back.
func (s *State) kept() []order.Quantity {
	return order.Less(s.Order, s.wanted(), s.returnedThrough(len(s.Returns), true))
}

// worth is the share of the money that belongs to a return: what the customer
// keeps was worth more by so much before.
func (s *State) worth(r Returning) order.Share {
	return order.ShareOf(s.Order, r.Kept, r.Lines)
}

// cameBack is what all that came back is worth, whatever of it was given back by
// now.
func (s *State) cameBack() int64 {
	total := int64(0)
	for _, r := range s.Returns {
		if !r.Received.IsZero() {
			total += s.worth(r).Total
		}
	}
	return total
}

// shipTo is where the goods go.
func (s *State) shipTo() order.Address {
	if s.ShipTo != nil {
		return *s.ShipTo
	}
	return s.Order.ShipTo
}

// pieces writes lines for a person.
func pieces(lines []order.Quantity) string {
	text := ""
	for _, q := range order.BySKU(lines) {
		if text != "" {
			text += ", "
		}
		text += strconv.FormatInt(q.Quantity, 10) + " × " + q.SKU
	}
	if text == "" {
		return "nothing"
	}
	return text
}
