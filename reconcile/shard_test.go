package reconcile_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

func TestEachOrderIsInExactlyOneShard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := order.ID(rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,40}`).Draw(t, "id"))
		of := rapid.IntRange(0, 64).Draw(t, "of")
		in := 0
		for n := range max(1, of) {
			if (reconcile.Shard{N: n, Of: of}).Has(id) {
				in++
			}
		}
		if in != 1 {
			t.Fatalf("%s is in %d of %d shards", id, in, of)
		}
	})
}

func TestShardsAreOfLikeSize(t *testing.T) {
	const orders, of = 20_000, 7
	sizes := make([]int, of)
	for i := range orders {
		id := order.ID(fmt.Sprintf("A-%08d", i))
		for n := range of {
			if (reconcile.Shard{N: n, Of: of}).Has(id) {
				sizes[n]++
			}
		}
	}
	for n, size := range sizes {
		if size < orders/of*9/10 || size > orders/of*11/10 {
			t.Errorf("shard %d of %d has %d of %d orders", n, of, size, orders)
		}
	}
}

func TestShardsAreTheSameEverywhere(t *testing.T) {
	// A sweep that another worker goes on with, and one of another release, must cut alike.
	for id, want := range map[order.ID]int{"A-1": 7, "A-2": 2, "42": 4} {
		for n := range 8 {
			if got := (reconcile.Shard{N: n, Of: 8}).Has(id); got != (n == want) {
				t.Errorf("shard %d of 8 has %s: %v", n, id, got)
			}
		}
	}
}
