package workflows

import (
	"testing"
	"time"

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
