package workflows_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// A SKU that was taken out of the catalogue is no reason for runs to verify nothing
// any more: it is said, and not watched while no order has it.
func TestRuns_SKUTakenOutOfTheCatalogue_SaidAndForgotten(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Stock: map[string]int{"MUG": 10, "TSHIRT": 5}})
		w.submit(0, anOrder("1"))
		w.At(4*day, "it has ended", func() { w.edit(w.Inventory, `{"sku":"MUG","delete":true}`) })
		w.runAt(4*day+time.Hour, workflows.ReconcileInput{}) // asks by the id that it remembers, and forgets that
		said := w.runAt(4*day+2*time.Hour, workflows.ReconcileInput{})
		w.At(4*day+3*time.Hour, "what is watched", func() {
			if s, err := w.Client.Status(t.Context()); err != nil || !slices.Equal(s.SKUs, []string{"TSHIRT"}) {
				t.Errorf("watched are %v, %v; want what is still known", s.SKUs, err)
			}
		})
		w.Run(5 * day)
		w.closedAs("1", order.PhaseClosed)
		if !said.Complete() || !said.VerifiedThrough.Equal(said.To) {
			t.Errorf("a run over a SKU that is gone could not read %v, and verified through %s; want everything, through %s", said.Unread, said.VerifiedThrough, said.To)
		}
		if !strings.Contains(strings.Join(said.Lines, "\n"), "MUG is not known in inventory") {
			t.Errorf("nothing is said of the SKU that is gone: %q", said.Lines)
		}
	})
}

// What is not judged by runs is not judged by sweeps either.
func TestSince_OlderOrders_NotSwept(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, Since: virtual.Start.Add(30 * time.Minute)})
		w.unannounced()
		young := anOrder("young")
		young.PlacedAt = virtual.Start.Add(40 * time.Minute)
		w.submit(0, anOrder("old"))
		w.submit(40*time.Minute, young)
		w.At(60*time.Minute, "both are edited", func() {
			w.edit(w.CRM, `{"order":"old","stage":"lost"}`)
			w.edit(w.CRM, `{"order":"young","stage":"lost"}`)
		})
		swept := w.sweep(3*day, workflows.SweepInput{Day: virtual.Start})
		w.Run(3*day + time.Hour)
		if w.story("old").Deal != "lost" || w.story("young").Deal != "won" {
			t.Errorf("the old order's deal is %s, the young one's %s", w.story("old").Deal, w.story("young").Deal)
		}
		if swept.Looked != 1 || swept.TooOld != 1 || !swept.Complete() {
			t.Errorf("the sweep looked at %d orders, %d are too old, unread %v; want one of each", swept.Looked, swept.TooOld, swept.Unread)
		}
	})
}
