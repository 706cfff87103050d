package workflows

import (
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// The clocks of an order's breaks (D12): Compare keeps when each was last agreed
// on and first seen, confirm.go when two readings showed it alike and when it
// was repaired, judge.go when it was seen to be over. Here is who takes it up.

// own starts the part of a break's clock in which somebody has it: a repair, an
// adoption or a person. The first counts.
func (p *process) own(now time.Time, at reconcile.Place) {
	for i := range p.Breaks {
		if b := &p.Breaks[i]; b.Place() == at && b.Owned.IsZero() {
			b.Owned = now
		}
	}
}

// disown takes that back after the repairs of a system were stopped at the last
// hop: nobody has its breaks then, but for those that a person is asked about.
func (p *process) disown(system order.System) {
	for i := range p.Breaks {
		if b := &p.Breaks[i]; b.System == system && p.openCaseOf(b.Field, b.Item) == nil {
			b.Owned = b.Repaired
		}
	}
}
