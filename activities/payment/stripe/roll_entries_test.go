package stripe

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// A worker's memory does not grow with the shop: a roll goes back over a million
// PaymentIntents, and there are three.
func TestRoll_ManyPaymentIntents_TakeLittleMemory(t *testing.T) {
	const many, most = 200_000, 64 // bytes for each
	held := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	r := newRoll()
	r.begin(span{}, 1_800_000_000, time.Unix(1_800_000_000, 0))
	before := held()
	for n := range int64(many) {
		r.enter(order.ID(fmt.Sprintf("order-%09d", n)), entry{id: fmt.Sprintf("pi_3MtwBwLkdIwHu7%010d", n), created: 1_800_000_000 - n})
	}
	if each := (held() - before) / many; each > most {
		t.Fatalf("a PaymentIntent on the roll takes %d bytes", each)
	}
	runtime.KeepAlive(&r)
}

func TestEntries_OfAnOrder_Once(t *testing.T) {
	t.Parallel()
	e := noEntries()
	want := map[order.ID][]entry{}
	for n := range int64(3 * shelves) {
		id := order.ID(fmt.Sprint("order-", n%(2*shelves)))
		one := entry{id: fmt.Sprint("pi_", n), created: n}
		e.enter(id, one)
		e.enter(id, one)
		want[id] = append(want[id], one)
	}
	for id, all := range want {
		if got := e.of(id); !slices.Equal(got, all) {
			t.Fatalf("%s has %v, want %v", id, got, all)
		}
	}
	if got := e.of("nobody"); got != nil {
		t.Fatalf("nobody has %v", got)
	}
}
