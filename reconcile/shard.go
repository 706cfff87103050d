package reconcile

import "github.com/trueup-orders/trueup/order"

// Shard is one of several parts of a set of orders. Each order is in exactly one
// of them, today and for every program that asks, so that a part can be read
// again where another worker left it.
type Shard struct {
	N  int `json:"n"`  // from 0
	Of int `json:"of"` // how many there are; 0 and 1: one that has all
}

// Has says whether the order is in the shard.
func (s Shard) Has(id order.ID) bool {
	return s.Of <= 1 || spread(id)%uint64(s.Of) == uint64(s.N)
}

// spread is FNV-1a, 64 bits, with the high half folded in: ids that differ in
// their last digit alone would else lie in neighbouring shards.
func spread(id order.ID) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h ^ h>>32
}
