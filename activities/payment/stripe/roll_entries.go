package stripe

import (
	"hash/maphash"

	"github.com/trueup-orders/trueup/order"
)

// shelves is among how many shelves entries are spread: a million of them are some
// hundreds on each, which are looked through one by one.
const shelves = 1 << 12

// entries is which PaymentIntents name which order, a million of them or more: so it
// holds no order id, but a digest of it, and the ids of PaymentIntents in one piece. Two
// orders in four billion billions have one digest; what is found is read by its id and
// refused where it is the other's. The zero value is empty.
type entries struct {
	seed maphash.Seed
	all  *[shelves]shelf
}

// shelf is some of the entries: marks of fixed size, and their ids one after the other.
type shelf struct {
	marks []mark
	ids   []byte
}

// mark is an entry without its id, which ends before end and begins where the one
// before it ends.
type mark struct {
	of      uint64
	created uint32 // seconds, until 2106
	end     uint32
}

func noEntries() entries { return entries{maphash.MakeSeed(), new([shelves]shelf)} }

// none says that there is nothing to enter into.
func (e entries) none() bool { return e.all == nil }

// shelf is where an order's entries are, and the digest that they are marked with.
func (e entries) shelf(id order.ID) (*shelf, uint64) {
	digest := maphash.String(e.seed, string(id))
	return &e.all[digest%shelves], digest
}

// of returns an order's entries, in the order in which they were entered.
func (e entries) of(id order.ID) []entry {
	s, digest := e.shelf(id)
	var found []entry
	start := uint32(0)
	for _, m := range s.marks {
		if m.of == digest {
			found = append(found, entry{id: string(s.ids[start:m.end]), created: int64(m.created)})
		}
		start = m.end
	}
	return found
}

// enter adds an entry of an order, once.
func (e entries) enter(id order.ID, one entry) {
	for _, known := range e.of(id) {
		if known.id == one.id {
			return
		}
	}
	s, digest := e.shelf(id)
	s.ids = append(s.ids, one.id...)
	s.marks = append(s.marks, mark{of: digest, created: uint32(one.created), end: uint32(len(s.ids))}) //nolint:gosec // seconds since 1970, and what a shelf holds
}
