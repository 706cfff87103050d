package stripe

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// index is which PaymentIntents name which order, a million of them or more: so it
// holds no order id, but a digest of it, and the ids of PaymentIntents in one piece. Two
// orders in four billion billions have one digest; what is found is read by its id and
// left out where it is another's, as when somebody has written another reference on it. So
// all rolls enter into one and the same: each knows for itself from when to when it has
// been through.
type index struct {
	begun time.Time
	seed  maphash.Seed
	mu    sync.Mutex
	all   [shelves]shelf
}

// shelves is among how many shelves an index is spread: of a million entries a thousand are
// on each, which are looked through one by one.
const shelves = 1 << 10

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

func newIndex(now time.Time) *index { return &index{begun: now, seed: maphash.MakeSeed()} }

// current is what a roll that is made anew enters into. It is left behind after as long
// as a roll is used, and kept by those that are not made anew yet.
func (c *Client) current(now time.Time) *index {
	c.indexing.Lock()
	defer c.indexing.Unlock()
	if c.index == nil || now.Sub(c.index.begun) > rollLife {
		c.index = newIndex(now)
	}
	return c.index
}

// shelf is where an order's entries are, and the digest that they are marked with.
func (x *index) shelf(id order.ID) (*shelf, uint64) {
	digest := maphash.String(x.seed, string(id))
	return &x.all[digest%shelves], digest
}

// of returns an order's entries, in the order in which they were entered.
func (x *index) of(id order.ID) []entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.found(id)
}

func (x *index) found(id order.ID) []entry {
	s, digest := x.shelf(id)
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
func (x *index) enter(id order.ID, one entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, known := range x.found(id) {
		if known.id == one.id {
			return
		}
	}
	s, digest := x.shelf(id)
	s.ids = append(s.ids, one.id...)
	s.marks = append(s.marks, mark{of: digest, created: uint32(one.created), end: uint32(len(s.ids))})
}
