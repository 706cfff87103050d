package endtoend

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
)

func TestDump(t *testing.T) {
	b := onShared(t)
	o := anOrder("dump")
	start := time.Now()
	b.submit(o)
	b.reaches(o.ID, order.PhaseAccepted, 20*time.Second)
	t.Log("agreed", time.Since(start))
	h, _ := b.history(context.Background(), o.ID)
	t.Log(len(h.Events), size(h))
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, 20*time.Second)
	t.Log("shipped", time.Since(start))
	b.work(o.ID, "delivered")
	b.reaches(o.ID, order.PhaseDelivered, 20*time.Second)
	t.Log("delivered", time.Since(start))
	h, _ = b.history(context.Background(), o.ID)
	t.Log(len(h.Events), size(h), lines(h))
	for i, s := range order.Systems() {
		l, err := b.world.Frame(s).Ledger(0, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range l {
			d, _ := json.Marshal(e)
			t.Log(s, string(d))
		}
		st, _ := b.world.Desks()[i].State(o.ID)
		d, _ := json.Marshal(st)
		t.Log(s, string(d))
	}
}
