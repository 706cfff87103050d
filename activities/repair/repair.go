// Package repair guards the last hop of a repair: a write that reconciliation
// asked for carries a numbered grant, and is refused here when the switch of its
// system is off or cannot be read. Normal transitions carry no grant and pass.
package repair

import (
	"fmt"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
)

// Grant is the numbered permission for one repair, given by reconciliation out
// of its budgets.
type Grant struct {
	N       int64     `json:"n"`
	Expires time.Time `json:"expires"`
}

// Write is the input of an activity that changes a system.
type Write[R any] struct {
	Request R `json:"request"`
	// Since is when the intent was first tried: a system's key window counts
	// from it.
	Since time.Time `json:"since"`
	// Grant is set when the write is a repair.
	Grant *Grant `json:"grant,omitempty"`
}

// Switches are the stop switches as this worker last read them. They only ever
// stop more: one that was read as stopped, or that was not read lately, stops.
type Switches struct {
	now func() time.Time

	mu      sync.Mutex
	read    time.Time
	stopped map[order.System]string // the reason, by system; "" for everything
}

// Stale is how old a reading of the switches may be before this worker repairs
// nothing.
const Stale = 30 * time.Second

// NewSwitches returns switches that stop every repair until they are first set.
func NewSwitches(now func() time.Time) *Switches {
	return &Switches{now: now}
}

// Set takes a new reading: the reason by stopped system, "" for everything.
func (s *Switches) Set(stopped map[order.System]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read, s.stopped = s.now(), stopped
}

// Check returns nil when the write may go on: it is no repair, or its grant is
// alive and no switch stops it.
func (s *Switches) Check(system order.System, g *Grant) error {
	if g == nil {
		return nil
	}
	now := s.now()
	if now.After(g.Expires) {
		return stop(fmt.Sprintf("grant %d expired at %s", g.N, g.Expires.Format(time.RFC3339)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.read) > Stale {
		return stop("this worker cannot read the switches of reconciliation, so it repairs nothing")
	}
	for _, stopped := range []order.System{"", system} {
		if reason, off := s.stopped[stopped]; off {
			return stop("the switch is off: " + reason)
		}
	}
	return nil
}

// StoppedReason is the reason of the error when a repair was stopped.
const StoppedReason = "repair_stopped"

// stop is a refusal that had no effect and is not retried: the break stays and
// the next run asks for a new grant.
func stop(why string) error {
	return apierr.New(apierr.Declined, StoppedReason, fmt.Errorf("repair refused: %s", why))
}
