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
// PaymentIntents, and there are three, which hold what they know once.
func TestRoll_ManyPaymentIntents_TakeLittleMemory(t *testing.T) {
	const many, most = 1_000_000, 56 // bytes for each
	held := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	now := time.Unix(1_800_000_000, 0)
	c := &Client{roll: newRoll(), late: newRoll()}
	before := held()
	c.roll.begin(span{}, now.Unix(), c.current(now), now)
	c.late.begin(span{}, now.Unix(), c.current(now), now)
	for n := range int64(many) {
		id, one := order.ID(fmt.Sprintf("order-%09d", n)), entry{id: fmt.Sprintf("pi_3MtwBwLkdIwHu7%010d", n), created: now.Unix() - n}
		c.roll.into().enter(id, one)
		c.late.into().enter(id, one)
	}
	if each := (held() - before) / many; each > most {
		t.Fatalf("a PaymentIntent on two rolls takes %d bytes", each)
	}
	runtime.KeepAlive(c)
}

func TestIndex_OfAnOrder_Once(t *testing.T) {
	t.Parallel()
	e := newIndex(time.Time{})
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

// What was entered is forgotten some time after it is used no more.
func TestIndex_LeftBehind(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	c := &Client{}
	first := c.current(now)
	if c.current(now.Add(rollLife)) != first {
		t.Fatal("two rolls of one time enter into two")
	}
	if c.current(now.Add(rollLife+time.Second)) == first {
		t.Fatal("it is never left behind")
	}
}
