package workflows

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A reading is as old as the moment when the order asked for it: the clock of the
// worker that read it, or of the system, may be behind, and decides nothing.
func TestTake_ReadByAClockThatIsBehind_CountsFromWhenItWasAsked(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	p := &process{State: &State{Order: order.Order{ID: "1", Currency: "EUR"}, Phase: order.PhaseAccepted}}
	read := func(at time.Time, version string) reconcile.Observation {
		return reconcile.Observation{System: order.SystemCRM, Order: "1", State: reconcile.Present, At: at, Strong: true, Version: version, CRM: &reconcile.CRM{}}
	}
	p.take(now, read(now.Add(time.Second), "a"))
	asked := now.Add(time.Minute)
	p.take(asked, read(now.Add(-time.Hour), "b"))
	if o := p.observed(order.SystemCRM); o.Version != "b" || o.At.Before(asked) {
		t.Errorf("what was read last is not what is known: %+v", o)
	}
}

// What is to be read in any case is read, also when something was announced besides that
// is known by the time: the answer of our own call, which says nothing of the rest.
func TestHint_ToBeReadAndAnnounced_IsRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	holds := func(state reconcile.ShipmentState) reconcile.Observation {
		return reconcile.Observation{System: order.SystemWarehouse, Order: "1", State: reconcile.Present, At: now, Warehouse: &reconcile.Warehouse{
			Shipments: []reconcile.Shipment{{ID: "15", Key: "order/1/request/1", State: state}},
		}}
	}
	notice := reconciliation.Notice{ID: "feed/1", System: order.SystemWarehouse, At: now, Says: reconcile.Says(holds(reconcile.ShipmentCancelled))}
	told := func(p *process) { p.noticed(now, reconciliation.Notices{Notices: []reconciliation.Notice{notice}}) }
	split := func(p *process) { p.hint(order.SystemWarehouse, now.Add(time.Second)) }
	for name, c := range map[string]struct {
		events []func(*process)
		read   bool
	}{
		"announced":               {[]func(*process){told}, false},
		"to be read":              {[]func(*process){split}, true},
		"to be read, announced":   {[]func(*process){split, told}, true},
		"announced, to be read":   {[]func(*process){told, split}, true},
		"announced, and anew":     {[]func(*process){told, told}, false},
		"and announced once more": {[]func(*process){told, split, told}, true},
	} {
		p := &process{State: &State{Order: order.Order{ID: "1"}, Phase: order.PhaseAccepted, Observed: []reconcile.Observation{holds(reconcile.ShipmentRequested)}}}
		for _, happens := range c.events {
			happens(p)
		}
		p.Observed[0] = holds(reconcile.ShipmentCancelled) // by our own call
		if read := p.hinted(now).System == order.SystemWarehouse; read != c.read {
			t.Errorf("%s: read is %t", name, read)
		}
	}
}
