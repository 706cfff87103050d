package reconcile

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// parcel is one record of the warehouse, a shipment or a return, by the name
// that it goes by.
type parcel struct {
	name  string
	state string
	rank  int // of its state: 0 is a draft, less is cancelled
	lines []order.Quantity
	since time.Time
}

// shipments groups shipments by key; see together.
func (g *gathering) shipments(i Intent, shipments []Shipment) {
	var parcels []parcel
	var shipped []order.Quantity
	for _, s := range shipments {
		parcels = append(parcels, parcel{name: s.name(), state: string(s.State), rank: s.State.Rank(), lines: s.Lines})
		if s.State.out() {
			shipped = append(shipped, s.Lines...)
		}
	}
	for _, name := range namesOf(parcels) {
		t := together(parcels, name, i.requested(name))
		if t.live == 0 {
			g.add(WarehouseShipment, name, string(ShipmentCancelled), 1, 0)
			continue
		}
		g.add(WarehouseShipment, name, t.state, 1, 0)
		g.add(WarehouseLines, name, canonicalLines(t.lines), 1, 0)
		if t.doubled {
			g.add(WarehouseDuplicate, name, strconv.Itoa(t.live), t.live, 0)
		}
	}
	for _, q := range order.BySKU(shipped) {
		g.amount(WarehouseShipped, q.SKU, q.Quantity)
	}
	for _, s := range i.Shipments {
		for _, now := range s.following(shipments).Told {
			if now.Tracking != "" {
				g.add(WarehouseTracking, now.parcelOf(s), now.Tracking, 1, 0)
			}
		}
	}
}

// parcelOf names a parcel of a request: what was decided about one says nothing of another.
func (t Told) parcelOf(s ShipmentIntent) string { return s.Key + " " + t.Shipment }

// requestOf is the request that a parcel is of.
func requestOf(parcel string) string {
	key, _, _ := strings.Cut(parcel, " ")
	return key
}

// numbers are those by which the customer was told to follow the parcels of a
// request, in the order in which they were told.
func (s ShipmentIntent) numbers() string {
	var all []string
	for _, told := range s.Told {
		if told.Tracking != "" {
			all = append(all, told.Tracking)
		}
	}
	return strings.Join(all, ", ")
}

// following is the request with the numbers that its parcels have by now.
func (s ShipmentIntent) following(shipments []Shipment) ShipmentIntent {
	told := slices.Clone(s.Told)
	for n := range told {
		told[n].Tracking = ""
		for _, parcel := range shipments {
			if parcel.ID == told[n].Shipment {
				told[n].Tracking = parcel.Tracking
			}
		}
	}
	s.Told = told
	return s
}

// returns groups returns by key; see together. Of one that lives more than once
// the count says so.
func (g *gathering) returns(i Intent, returns []Return) {
	var parcels []parcel
	for _, r := range returns {
		parcels = append(parcels, parcel{name: r.Name(), state: string(r.State), rank: r.State.Rank(), lines: r.Lines, since: r.ReceivedAt})
	}
	for _, name := range namesOf(parcels) {
		t := together(parcels, name, i.announced(name))
		fact := Fact{System: order.SystemWarehouse, Field: WarehouseReturn, Item: name, Value: t.state, Count: 1, since: t.since}
		switch {
		case t.live == 0:
			fact.Value = string(ReturnCancelled)
		case t.doubled:
			fact.Count = t.live
		}
		g.all = append(g.all, fact)
	}
}

// namesOf returns the names of what is more than a draft.
func namesOf(parcels []parcel) []string {
	var names []string
	for _, p := range parcels {
		if p.rank != 0 && !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	return names
}

// group is what the live parcels of one name say together.
type group struct {
	live    int
	state   string
	lines   []order.Quantity
	since   time.Time
	doubled bool
}

// together lets the live parcels of one name speak as one. The warehouse may
// split what it was asked for: as long as they contain no more of anything than
// was asked, they have come as far as the last of them, with all that is in
// them. With more than that the same goods are in it twice, and the one that has
// come furthest speaks.
func together(parcels []parcel, name string, asked []order.Quantity) group {
	var live []parcel
	var all []order.Quantity
	for _, p := range parcels {
		if p.name == name && p.rank > 0 {
			live = append(live, p)
			all = append(all, p.lines...)
		}
	}
	if len(live) == 0 {
		return group{}
	}
	slices.SortFunc(live, func(a, b parcel) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), -cmp.Compare(canonicalLines(a.lines), canonicalLines(b.lines)), a.since.Compare(b.since))
	})
	first, last := live[0], live[len(live)-1]
	if len(live) > 1 && exceeds(all, asked) {
		return group{live: len(live), state: last.state, lines: last.lines, since: last.since, doubled: true}
	}
	return group{live: len(live), state: first.state, lines: all, since: last.since}
}

// requested returns what a request to the warehouse should contain.
func (i Intent) requested(key string) []order.Quantity {
	for _, s := range i.Shipments {
		if s.Key == key {
			return s.Lines
		}
	}
	return nil
}

// announced returns what a return should contain.
func (i Intent) announced(key string) []order.Quantity {
	for _, r := range i.Returns {
		if r.Key == key {
			return r.Lines
		}
	}
	return nil
}

// name returns the shipment's key, or its id when it carries none of ours.
func (s Shipment) name() string { return named(s.Key, s.ID) }

// Name returns the return's key, or its id when it carries none of ours.
func (r Return) Name() string { return named(r.Key, r.ID) }

func named(key, id string) string {
	if key == "" {
		return "id " + id
	}
	return key
}

// exceeds says that some SKU has more in whole than in part.
func exceeds(whole, part []order.Quantity) bool {
	parts := order.BySKU(part)
	for _, q := range order.BySKU(whole) {
		n := slices.IndexFunc(parts, func(p order.Quantity) bool { return p.SKU == q.SKU })
		if n < 0 && q.Quantity > 0 || n >= 0 && q.Quantity > parts[n].Quantity {
			return true
		}
	}
	return false
}
