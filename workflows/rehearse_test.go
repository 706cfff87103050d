package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// runAt makes a run at an age; its report is there when the world has ended.
func (w *world) runAt(age time.Duration, in workflows.ReconcileInput) *reconciliation.RunReport {
	report := &reconciliation.RunReport{}
	w.At(age, "reconcile", func() {
		w.Later(func(ctx context.Context) {
			var err error
			*report, err = w.Client.Reconcile(ctx, in)
			w.Check(err)
		})
	})
	return report
}

// done are the counts of a run's report as a dry run says them.
func done(r *reconciliation.RunReport) reconciliation.Done {
	return reconciliation.Done{Repaired: r.Repaired, Adopted: r.Adopted, Cases: r.Cases, Left: r.Left, Levels: r.Stock.Repaired}
}

// unannounced has the systems announce nothing: what is edited is found by runs.
func (w *world) unannounced() {
	w.Payment.Frame().HandleNotifications("", simulator.Drop)
	w.CRM.Frame().HandleNotifications("", simulator.Drop)
}

// byHandEdits are edits as people make them, each of an order of its own; %s is
// its id.
var byHandEdits = []struct {
	name    string
	shipped bool
	desk    func(w *world) simulator.Desk
	edit    string
}{
	{"nothing", false, nil, ""},
	{"deal-lost", false, inCRM, `{"order":"%s","stage":"lost"}`},
	{"revenue", true, inCRM, `{"order":"%s","revenue":1}`},
	{"reservations-deleted", false, inInventory, `{"order":"%s","delete":true}`},
	{"reservation-left", true, inInventory, `{"order":"%s","reserved":{"MUG":2}}`},
	{"reserved-more", false, inInventory, `{"order":"%s","reserved":{"TSHIRT":3}}`},
	{"shipment-cancelled", false, inWarehouse, `{"order":"%s","cancel":true}`},
	{"sale-deleted", false, inERP, `{"order":"%s","kind":"sale","delete":true}`},
	{"invoice-deleted", true, inERP, `{"order":"%s","kind":"invoice","delete":true}`},
	{"invoice-doubled", true, inERP, `{"order":"%s","kind":"invoice","again":true}`},
	{"receipt-by-hand", true, inERP, `{"order":"%s","amount":500}`},
	{"voided", false, inPayment, `{"order":"%s","void":true}`},
	{"refunded", true, inPayment, `{"order":"%s","refunded":980}`},
	{"disputed", true, inPayment, `{"order":"%s","dispute":"opened"}`},
}

func inPayment(w *world) simulator.Desk   { return w.Payment }
func inInventory(w *world) simulator.Desk { return w.Inventory }
func inWarehouse(w *world) simulator.Desk { return w.Warehouse }
func inERP(w *world) simulator.Desk       { return w.ERP }
func inCRM(w *world) simulator.Desk       { return w.CRM }

// editAll edits an order in each way, and what the warehouse counts.
func (w *world) editAll(count string) {
	for _, e := range byHandEdits {
		if e.desk != nil {
			w.edit(e.desk(w), fmt.Sprintf(e.edit, e.name))
		}
	}
	w.edit(w.ERP, `{"order":"revenue","kind":"invoice","delete":true}`) // two troubles of one order
	if count != "" {
		w.edit(w.Warehouse, `{"sku":"MUG","on_hand":`+count+`,"reason":"counted"}`)
	}
}

// A dry run prints what the run after it does, whatever somebody edited and
// whatever is stopped, and has no effect anywhere.
func TestDryRun_SaysExactlyWhatARunDoes(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		name    string
		options virtual.Options
		stop    string
		count   string
		least   int // breaks
	}{
		{name: "auto", count: "77", least: 12},
		{name: "ask", options: virtual.Options{Policy: "mode: ask\nreturn_window: 24h\n"}, least: 12},
		{name: "report", options: virtual.Options{Policy: "mode: report\nreturn_window: 24h\n"}, count: "77", least: 12},
		{name: "no money to spend", options: virtual.Options{BudgetMoney: 1}, least: 12},
		{name: "two repairs", options: virtual.Options{BudgetCount: 2}, count: "77", least: 12},
		{name: "crm off", stop: "crm", least: 12},
		{name: "kind off and too few left", stop: "inventory.reserved.missing", count: "3", least: 10},
		{name: "an incident", options: virtual.Options{Incident: reconcile.Thresholds{Orders: 1, Percent: 5, Most: 1}}, count: "77", least: 12},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				s.options.Pace = byHand
				w := open(t, s.options)
				w.unannounced()
				for _, e := range byHandEdits {
					w.submit(0, anOrder(e.name))
				}
				w.At(10*time.Minute, "parcels leave", func() {
					for _, e := range byHandEdits {
						if e.shipped {
							w.work(order.ID(e.name), 1, "shipped")
						}
					}
					if s.stop != "" {
						_, err := w.Client.Switch(t.Context(), reconciliation.Stop{Kind: s.stop, Off: true, By: "me", Reason: "test"})
						w.Check(err)
					}
				})
				effects, grant, groups := 0, int64(0), 0
				w.At(60*time.Minute, "somebody edits", func() { w.editAll(s.count) })
				w.At(65*time.Minute, "before", func() { effects, grant, groups = w.written(""), w.status().NextGrant, len(w.status().Groups) })
				dry := w.runAt(66*time.Minute, workflows.ReconcileInput{DryRun: true})
				w.At(67*time.Minute, "after", func() {
					if s := w.status(); w.written("") != effects || s.NextGrant != grant || len(s.Groups) != groups || !s.VerifiedThrough.Equal(virtual.Start) || len(s.Reports) > 0 {
						t.Errorf("the dry run had %d effects, took %d grants, opened %d groups, verified through %s and reported %d times",
							w.written("")-effects, s.NextGrant-grant, len(s.Groups)-groups, s.VerifiedThrough, len(s.Reports))
					}
				})
				run := w.runAt(68*time.Minute, workflows.ReconcileInput{})
				w.Run(80 * time.Minute)
				if dry.Would == nil || *dry.Would != done(run) || dry.Found != run.Found || dry.Stock.Found != run.Stock.Found || dry.Settling != run.Settling {
					t.Errorf("the dry run said %+v, found %d and %+v; the run did %+v, found %d and %+v", dry.Would, dry.Found, dry.Stock, done(run), run.Found, run.Stock)
				}
				if !slices.Equal(dry.Lines, run.Lines) {
					t.Errorf("the dry run said\n%s\nthe run did\n%s", strings.Join(dry.Lines, "\n"), strings.Join(run.Lines, "\n"))
				}
				if dry.Repaired+dry.Cases+dry.Adopted+dry.Stock.Repaired != 0 || run.Found+run.Stock.Found < s.least {
					t.Errorf("the dry run says that it did %+v; the run found %d", dry, run.Found)
				}
			})
		})
	}
}

// status is what reconciliation knows, within a step.
func (w *world) status() reconciliation.Status {
	w.t.Helper()
	s, err := w.Client.Status(w.t.Context())
	w.Check(err)
	return s
}
