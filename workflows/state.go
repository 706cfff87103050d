package workflows

import (
	"time"

	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// State is everything that an order's workflow knows. Every run ends by
// returning it and the next one starts from it, so that nothing depends on an
// older run's history.
type State struct {
	Order       order.Order `json:"order"`
	Fingerprint string      `json:"fingerprint"`
	Phase       order.Phase `json:"phase"`
	Since       time.Time   `json:"since"` // when the phase began
	// Adopted says that the order is older than the engine's memory, so that
	// what we may have done before is looked up.
	Adopted bool `json:"adopted,omitempty"`
	// Operations are our intents, each once, with their outcomes.
	Operations []Operation `json:"operations,omitempty"`
	// Observed is what each system last said.
	Observed []reconcile.Observation `json:"observed,omitempty"`
	Bases    []reconcile.Base        `json:"bases,omitempty"`
	Breaks   []reconcile.Break       `json:"breaks,omitempty"`
	Mended   []reconcile.Break       `json:"mended,omitempty"` // verified, with their clocks; the latest
	Cases    []reconcile.Case        `json:"cases,omitempty"`
	// Accepted are values that stand although they are not what we meant, for as
	// long as the system says exactly that.
	Accepted []reconcile.Base `json:"accepted,omitempty"`
	Seen     []string         `json:"seen,omitempty"` // ids of the latest notices
	// Hints are the systems that said something changed and were not read since.
	Hints []Hint  `json:"hints,omitempty"`
	Audit []Entry `json:"audit,omitempty"`
	// Cancel is the latest wish to cancel.
	Cancel *Cancellation     `json:"cancel,omitempty"`
	Failed string            `json:"failed,omitempty"` // why the order failed by itself
	Next   *payment.NextStep `json:"next,omitempty"`
	Run    int               `json:"run"`
}

// Cancellation is somebody's wish to cancel, and what became of it.
type Cancellation struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Asked  time.Time `json:"asked"`
	// Refused says why reality won; empty while it is not decided or granted.
	Refused string `json:"refused,omitempty"`
	Done    bool   `json:"done,omitempty"`
}

// Hint is a system to be read, because something changed there.
type Hint struct {
	System order.System `json:"s"`
	At     time.Time    `json:"at"` // by the system's clock
	// After and Wait are set while the system could not be read: when it is read
	// again, and how long that waited.
	After time.Time     `json:"af,omitzero"`
	Wait  time.Duration `json:"w,omitempty"`
}

// Entry is one line of an order's compact audit.
type Entry struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

// OperationStatus is how an operation stands.
type OperationStatus string

// The statuses of an operation.
const (
	Open    OperationStatus = "open"    // sent, or about to be: its intent is recorded before the call
	Done    OperationStatus = "done"    // its effect was read back
	Refused OperationStatus = "refused" // the system said no, for good
	Unknown OperationStatus = "unknown" // in doubt for ever: it may have happened and nobody can look
	Unsent  OperationStatus = "unsent"  // meant by a repair that was stopped before it was sent
	Lost    OperationStatus = "lost"    // its effect is gone or never was: to be done again, under the same key
)

// Operation is one intent with its outcome.
type Operation struct {
	System    order.System    `json:"s"`
	Operation order.Operation `json:"op"`
	N         int             `json:"n"`
	Status    OperationStatus `json:"st"`
	First     time.Time       `json:"first"`          // when it was first tried: key windows count from it
	Ended     time.Time       `json:"end,omitzero"`   // when it last ended
	Doubt     bool            `json:"dbt,omitempty"`  // it may have happened, and could not be read yet
	Why       string          `json:"why,omitempty"`  // the last error, while it is not done
	Amount    int64           `json:"amt,omitempty"`  // minor units
	Ref       string          `json:"ref,omitempty"`  // the record it works on: an attempt, a shipment's key
	Record    string          `json:"rec,omitempty"`  // the record it made
	Of        int             `json:"of,omitempty"`   // the shipment or capture that it belongs to
	Final     bool            `json:"fin,omitempty"`  // of a capture
	About     string          `json:"abt,omitempty"`  // a mail's template, a deal's stage
	Repairs   int             `json:"rpr,omitempty"`  // how often reconciliation had it done again
	Grant     *repair.Grant   `json:"grnt,omitempty"` // while it is done again
	Mended    time.Time       `json:"mnd,omitzero"`   // when it was last done again
}

// Key is the operation's idempotency key.
func (s *State) Key(op Operation) string {
	return order.Intent{Order: s.Order.ID, Operation: op.Operation, N: op.N}.Key()
}

// find returns the operation, or nil when it was never meant.
func (s *State) find(operation order.Operation, n int) *Operation {
	for i := range s.Operations {
		if s.Operations[i].Operation == operation && s.Operations[i].N == n {
			return &s.Operations[i]
		}
	}
	return nil
}

// count returns how many intents of an operation there are.
func (s *State) count(operation order.Operation) int {
	n := 0
	for i := range s.Operations {
		if s.Operations[i].Operation == operation {
			n++
		}
	}
	return n
}

// done says whether the operation is done.
func (s *State) done(operation order.Operation, n int) bool {
	op := s.find(operation, n)
	return op != nil && op.Status == Done
}

// tried says whether the operation was ever sent, whatever came of it. A
// compensation is registered by the intent being recorded before the call, so
// that a step whose answer was lost is undone too.
func (s *State) tried(operation order.Operation) bool { return s.count(operation) > 0 }

// openIn returns the open operation in a system, or nil. There is at most one.
func (s *State) openIn(system order.System) *Operation {
	for i := range s.Operations {
		if s.Operations[i].System == system && s.Operations[i].Status == Open {
			return &s.Operations[i]
		}
	}
	return nil
}

// observed returns what a system last said; absent when it was never asked.
func (s *State) observed(system order.System) reconcile.Observation {
	for _, o := range s.Observed {
		if o.System == system {
			return o
		}
	}
	return reconcile.Observation{System: system, Order: s.Order.ID, State: reconcile.Absent}
}

// attempts returns what the gateway last said of the order's attempts.
func (s *State) attempts() []reconcile.Attempt {
	if p := s.observed(order.SystemPayment).Payment; p != nil {
		return p.Attempts
	}
	return nil
}

// reservations returns what inventory last promised.
func (s *State) reservations() []reconcile.Reservation {
	if i := s.observed(order.SystemInventory).Inventory; i != nil {
		return i.Reservations
	}
	return nil
}

// shipments returns what the warehouse last held of the order, drafts left out.
func (s *State) shipments() []reconcile.Shipment {
	var live []reconcile.Shipment
	if w := s.observed(order.SystemWarehouse).Warehouse; w != nil {
		for _, sh := range w.Shipments {
			if sh.State != reconcile.ShipmentDraft {
				live = append(live, sh)
			}
		}
	}
	return live
}

// shipment returns the shipment that was requested as number n, or nil.
func (s *State) shipment(n int) *reconcile.Shipment {
	key := order.Intent{Order: s.Order.ID, Operation: order.Request, N: n}.Key()
	for _, sh := range s.shipments() {
		if sh.Key == key {
			return &sh
		}
	}
	return nil
}

// gone says that a shipment has left the warehouse.
func gone(state reconcile.ShipmentState) bool {
	return state == reconcile.ShipmentShipped || state == reconcile.ShipmentDelivered
}

// money adds up what the gateway last said: held, captured and refunded are
// gross, over all attempts; open counts attempts that could still take money.
func (s *State) money() (held, captured, refunded int64, open int) {
	for _, a := range s.attempts() {
		held += a.Held
		captured += a.Captured
		refunded += a.Refunded
		if a.State == reconcile.AttemptOpen || a.State == reconcile.AttemptProcessing || a.State == reconcile.AttemptAuthorized {
			open++
		}
	}
	return held, captured, refunded, open
}

// reviewed says that an attempt is under review.
func (s *State) reviewed() bool {
	for _, a := range s.attempts() {
		if a.Review {
			return true
		}
	}
	return false
}

// paid says that the order's money is captured or held, by an attempt that is
// alive: the positive proof without which nothing goes to the warehouse.
func (s *State) paid() bool {
	held, captured, refunded, _ := s.money()
	return held+captured-refunded >= s.Order.Total
}

// note adds a line to the audit, of which the latest are carried.
func (s *State) note(now time.Time, what string) {
	const most = 60
	s.Audit = append(s.Audit, Entry{At: now, What: what})
	if len(s.Audit) > most {
		s.Audit = append(s.Audit[:1:1], s.Audit[len(s.Audit)-most+1:]...)
	}
}

// saw remembers a notice and says whether it is new.
func (s *State) saw(id string) bool {
	const most = 200
	for _, known := range s.Seen {
		if known == id {
			return false
		}
	}
	s.Seen = append(s.Seen, id)
	if len(s.Seen) > most {
		s.Seen = s.Seen[len(s.Seen)-most:]
	}
	return true
}
