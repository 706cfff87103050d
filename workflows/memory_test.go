package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// byBack is one edit behind our back, and where a verdict shows it.
type byBack struct {
	desk    func(w *world) simulator.Desk
	edit    string
	shipped bool // the order has shipped by then
	row     string
	field   reconcile.Field
	was, is string // what the system says of it before and after
}

var edits = map[order.System]byBack{
	order.SystemPayment: {func(w *world) simulator.Desk { return w.Payment }, `{"order":"1","refunded":980}`, true,
		"money refunded", reconcile.PaymentRefunded, "-", "9.80 EUR"},
	order.SystemInventory: {func(w *world) simulator.Desk { return w.Inventory }, `{"order":"1","reserved":{"MUG":1}}`, false,
		"goods reserved", reconcile.InventoryReserved, "MUG×2 TSHIRT×1", "MUG×1 TSHIRT×1"},
	order.SystemWarehouse: {func(w *world) simulator.Desk { return w.Warehouse }, `{"order":"1","cancel":true}`, false,
		"goods requested", reconcile.WarehouseShipment, "MUG×2 TSHIRT×1", "-"},
	order.SystemERP: {func(w *world) simulator.Desk { return w.ERP }, `{"order":"1","kind":"sale","delete":true}`, false,
		"sale", reconcile.ERPSale, "99.80 EUR", "-"},
	order.SystemCRM: {func(w *world) simulator.Desk { return w.CRM }, `{"order":"1","stage":"lost"}`, true,
		"deal", reconcile.CRMDeal, "won", "lost"},
	order.SystemMail: {func(w *world) simulator.Desk { return w.Mail }, `{"order":"1","do":"delete"}`, false,
		"confirmation sent", reconcile.MailField(reconcile.MailConfirmation), "1", "-"},
}

// Memory against the systems: the workers' writes are stopped, nobody announces
// or follows anything, and somebody edits a record of each system in turn. What
// is answered from memory does not know; every fresh verdict shows the edit, and
// who is right about that field by the policy; and asking writes nothing.
func TestVerdict_Fresh_ShowsWhatMemoryDoesNotKnow(t *testing.T) {
	t.Parallel()
	policy, err := reconcile.Parse([]byte("mode: report\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, system := range order.Systems() {
		e, found := edits[system]
		if !found {
			t.Fatalf("nobody edits %s", system)
		}
		t.Run(string(system), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: "mode: report\nreturn_window: 240h\n", FollowEvery: 1000 * time.Hour, Pace: byHand})
				w.submit(0, anOrder("1"))
				if e.shipped {
					w.At(time.Hour, "it ships", func() { w.work("1", 1, "shipped") })
				}
				w.At(90*time.Minute, "everything is read", func() { w.fresh("1", &reconcile.Verdict{}) })
				written := 0
				w.At(2*time.Hour, "the edit", func() {
					w.stopWrites()
					w.edit(e.desk(w), e.edit)
					written = w.written("1")
				})
				var memory, fresh reconcile.Verdict
				w.At(3*time.Hour, "ask", func() {
					memory = w.Verdict("1")
					w.fresh("1", &fresh)
				})
				w.At(4*time.Hour, "what it wrote", func() {
					if now := w.written("1"); now != written {
						t.Errorf("asking, or what came of it, wrote %d times", now-written)
					}
				})
				w.Run(5 * time.Hour)
				if row, value := cellOf(memory, e.row, system); memory.Agreement != reconcile.Agreed || row.State != "agreed" || value != e.was {
					t.Errorf("from memory %s says %q of %s; want %q, and that all agree\n%s", system, value, e.row, e.was, memory.Table())
				}
				row, value := cellOf(fresh, e.row, system)
				if !fresh.Fresh || value != e.is {
					t.Errorf("the fresh verdict has %s say %q of %s; want %q\n%s", system, value, e.row, e.is, fresh.Table())
				}
				if right := policy.Rule(e.field).Authority; row.Right != right {
					t.Errorf("the fresh verdict calls %q right about %s; the policy says %q", row.Right, e.row, right)
				}
				if fresh.Agreement == reconcile.Agreed {
					t.Errorf("the fresh verdict says that all agree:\n%s", fresh.Table())
				}
			})
		})
	}
}

// fresh asks for a fresh verdict within a step; it is there when the world ended.
func (w *world) fresh(of order.ID, into *reconcile.Verdict) {
	w.Later(func(ctx context.Context) {
		v, err := w.Client.Verdict(ctx, of, true)
		w.Check(err)
		*into = v
	})
}

// stopWrites lets no write through to any system, and no announcement from it.
func (w *world) stopWrites() {
	for _, d := range w.desks() {
		d.Frame().HandleNotifications("", simulator.Drop)
		for _, operation := range []order.Operation{
			order.Authorize, order.Capture, order.Void, order.Refund, order.Reserve, order.Release, order.Commit, order.Adjust, order.Request, order.UpdateAddress,
			order.Return, order.Cancel, order.Record, order.Invoice, order.Receipt, order.Credit, order.Upsert, order.Send,
		} {
			w.inject(d, simulator.Fault{Operation: operation, Kind: simulator.Unavailable, Times: -1})
		}
	}
}

// cellOf returns the row of a question, and what a system answers in it.
func cellOf(v reconcile.Verdict, field string, system order.System) (reconcile.Row, string) {
	for _, r := range v.Rows {
		for _, c := range r.Cells {
			if r.Field == field && c.System == system {
				return r, c.Value
			}
		}
	}
	return reconcile.Row{}, ""
}

// A fresh verdict reads all systems, also while a decision reads some.
func TestVerdict_FreshVerdictWhileADecisionReads_IsFresh(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto, Payment: payment.Settings{RefundSettles: 12 * time.Hour}})
		w.unannounced()
		w.submit(0, anOrder("1"))
		w.At(4*time.Hour, "a part", func() { w.refund("1", "a", 1000) })
		w.At(10*time.Hour, "the bank sends it back", func() { w.edit(w.Payment, `{"order":"1","refund":"failed"}`) })
		var first, v reconcile.Verdict
		w.At(11*time.Hour, "look", func() { w.fresh("1", &first) })
		w.At(12*time.Hour, "somebody loses the deal", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		w.At(13*time.Hour, "a decision, and in the same moment a fresh verdict", func() {
			w.decide("1", w.theCase("1", reconcile.PaymentRefunded), workflows.DecideAccept)
			w.fresh("1", &v)
		})
		w.Run(14 * time.Hour)
		r, said := cellOf(v, "deal", order.SystemCRM)
		if v.Fresh && said != "lost" {
			t.Errorf("a fresh verdict at 13h says that the deal is %s: %+v\n%s", said, r, v.Table())
		}
	})
}
