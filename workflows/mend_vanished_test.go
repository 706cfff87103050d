package workflows_test

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// What a system accepted and then lost, before anybody saw it there, a run makes again:
// each such write of each system, and the next run finds nothing to do. Of money that was
// taken and is not there any more a person is asked.
func TestMend_WriteThatVanished_MadeAgainAndReadBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what string
		desk func(w *world) simulator.Desk
		op   order.Operation // as the system counts it: a return is requested too
		from time.Duration
	}{
		{"reserve", func(w *world) simulator.Desk { return w.Inventory }, order.Reserve, 0},
		{"commit", func(w *world) simulator.Desk { return w.Inventory }, order.Commit, 0},
		{"request", func(w *world) simulator.Desk { return w.Warehouse }, order.Request, 0},
		{"return", func(w *world) simulator.Desk { return w.Warehouse }, order.Request, 29 * time.Hour},
		{"record", func(w *world) simulator.Desk { return w.ERP }, order.Record, 0},
		{"invoice", func(w *world) simulator.Desk { return w.ERP }, order.Invoice, 0},
		{"receipt", func(w *world) simulator.Desk { return w.ERP }, order.Receipt, 0},
		{"credit", func(w *world) simulator.Desk { return w.ERP }, order.Credit, 0},
		{"upsert", func(w *world) simulator.Desk { return w.CRM }, order.Upsert, 0},
		{"send", func(w *world) simulator.Desk { return w.Mail }, order.Send, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: allAuto, ReconcileEvery: 2 * time.Hour})
				w.submit(0, anOrder("1"))
				vanishes := func() { w.inject(c.desk(w), simulator.Fault{Operation: c.op, Kind: simulator.Vanishes}) }
				if c.from == 0 {
					vanishes()
				} else {
					w.At(c.from, "it will vanish", vanishes)
				}
				w.At(30*time.Hour, "some of it goes back", func() { w.sendBack("1", "a", pieces(2, 1)) })
				w.At(36*time.Hour, "it comes", func() { w.edit(w.Warehouse, `{"order":"1","return":{"state":"restocked"}}`) })
				last := w.runAt(47*time.Hour, workflows.ReconcileInput{Orders: []order.ID{"1"}})
				var v reconcile.Verdict
				w.At(47*time.Hour+30*time.Minute, "look", func() { w.fresh("1", &v) })
				w.Run(48 * time.Hour)
				if f := c.desk(w).Frame().Faults(); len(f) != 1 || f[0].Fired != 1 {
					t.Errorf("the faults are %+v", f)
				}
				if v.Agreement != reconcile.Agreed || last.Repaired+last.Cases+last.Left != 0 {
					t.Errorf("it is %s\n%s\nand the last run said %q", v.Agreement, v.Table(), last.Lines)
				}
			})
		})
	}
}
