package reconcile

import (
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Read returns what one look-up at the moment at has shown: its observation, or
// one that says why the system could not be read. Unreadable is never absent.
func Read(system order.System, of order.ID, at time.Time, seen Observation, err error) Observation {
	if err != nil {
		return Observation{System: system, Order: of, State: Unreadable, At: at, Why: clip(err.Error(), 200)}
	}
	seen.System, seen.Order = system, of
	if seen.At.IsZero() {
		seen.At = at
	}
	return seen
}

// clip keeps evidence short: histories hold it.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
