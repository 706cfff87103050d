package workflows

import (
	"slices"
	"time"

	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/reconciliation"
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
	// Traceless says that payment and ERP knew nothing of it then, or no system anything
	// of our doing: no mail went out that says that it was paid.
	Traceless bool `json:"traceless,omitempty"`
	// ShipTo is where it goes now, when that was changed; Moves counts the changes.
	ShipTo *order.Address `json:"ship_to,omitempty"`
	Moves  int            `json:"moves,omitempty"`
	// Dropped are pieces that were given up before they left.
	Dropped []order.Quantity `json:"dropped,omitempty"`
	// Promised is what inventory has promised to the order by now.
	Promised []order.Quantity `json:"promised,omitempty"`
	// Departures are the parcels that have left, numbered from 1 as we learned of
	// them: the n-th is captured, invoiced, committed and told of as number n.
	Departures []Departure `json:"departures,omitempty"`
	Returns    []Returning `json:"returns,omitempty"`
	// Payers are the attempts that decide the order: their money pays for it.
	Payers []string `json:"payers,omitempty"`
	// Reviewed are the attempts that were ever under review.
	Reviewed  []string   `json:"reviewed,omitempty"`
	Questions []Question `json:"questions,omitempty"`
	// Amendment is the latest wish to amend, and what became of it.
	Amendment *Amendment `json:"amendment,omitempty"`
	// Wishes are what people asked for, by id, so that each is taken up once.
	Wishes []Wish `json:"wishes,omitempty"`
	// Supply is what inventory could still promise, when it could not promise all.
	Supply *Supply `json:"supply,omitempty"`
	// WasPaid says that the customer has paid once: when the order fails, they are
	// told.
	WasPaid bool `json:"was_paid,omitempty"`
	// ShipDisputed says that a person had the goods shipped despite a dispute.
	ShipDisputed bool `json:"ship_disputed,omitempty"`
	// Operations are our intents, each once, with their outcomes.
	Operations []Operation `json:"operations,omitempty"`
	// Observed is what each system last said.
	Observed []reconcile.Observation `json:"observed,omitempty"`
	Bases    []reconcile.Base        `json:"bases,omitempty"`
	Breaks   []reconcile.Break       `json:"breaks,omitempty"`
	Mended   []reconcile.Break       `json:"mended,omitempty"` // verified, with their clocks; the latest
	Cases    []reconcile.Case        `json:"cases,omitempty"`
	// Tellings are what was said about each case, and Unsaid what is still to be
	// said, or on its way.
	Tellings []Telling                     `json:"tellings,omitempty"`
	Unsaid   []reconciliation.Announcement `json:"unsaid,omitempty"`
	// Accepted are values that stand although they are not what we meant, for as
	// long as the system says exactly that.
	Accepted []reconcile.Base `json:"accepted,omitempty"`
	// Redone are the repairs of the last day, made or refused, the oldest first.
	Redone []Redone `json:"redone,omitempty"`
	Seen   []string `json:"seen,omitempty"`  // ids of the latest notices
	Heard  []Heard  `json:"heard,omitempty"` // the latest notices that were news
	// Hints are the systems that said something changed and were not read since.
	Hints []Hint  `json:"hints,omitempty"`
	Audit []Entry `json:"audit,omitempty"`
	// Cancel is the latest wish to cancel.
	Cancel *Cancellation `json:"cancel,omitempty"`
	Failed string        `json:"failed,omitempty"` // why the order failed by itself
	// Next is what the customer must do about attempt NextOf.
	Next   *payment.NextStep `json:"next,omitempty"`
	NextOf int               `json:"next_of,omitempty"`
	// Revived says that the order had failed for want of money, and was paid then.
	Revived bool `json:"revived,omitempty"`
	Run     int  `json:"run"`
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

// Departure is one parcel that has left the warehouse.
type Departure struct {
	Shipment string           `json:"id"`  // the warehouse's id
	Key      string           `json:"key"` // of the request
	Lines    []order.Quantity `json:"lines"`
	At       time.Time        `json:"at"`
	// Lost is set while it is known to be lost and nobody has decided; Settled
	// when somebody has, and nothing more is expected of it; Again when its goods
	// are sent once more.
	Lost    bool `json:"lost,omitempty"`
	Settled bool `json:"settled,omitempty"`
	Again   bool `json:"again,omitempty"`
	// Told is the number by which the customer was told to follow it, if the mail went out.
	Told string `json:"told,omitempty"`
}

// Returning is goods that come back, announced or not.
type Returning struct {
	Lines []order.Quantity `json:"lines"`
	By    string           `json:"by"`
	Asked time.Time        `json:"asked"`
	// Record is the warehouse's id of one that nobody announced, and Name what it is
	// called there.
	Record string `json:"rec,omitempty"`
	Name   string `json:"name,omitempty"`
	// Received is when they came, or were given up as lost; Kept is what the
	// customer kept then, from which the money of the return follows.
	Received  time.Time        `json:"received,omitzero"`
	Kept      []order.Quantity `json:"kept,omitempty"`
	Restocked bool             `json:"restocked,omitempty"`
	Lost      bool             `json:"lost,omitempty"` // lost on the way to the customer: nothing comes back
	Cancelled bool             `json:"cancelled,omitempty"`
}

// Amendment is somebody's wish to change what has not been packed.
type Amendment struct {
	Amend
	N       int       `json:"n"`
	Since   time.Time `json:"since"`
	Refused string    `json:"refused,omitempty"`
	Done    bool      `json:"done,omitempty"`
	// Some says that as much of it is dropped as the warehouse gives up.
	Some bool `json:"some,omitempty"`
}

// open says that the warehouse has not decided it yet.
func (a *Amendment) open() bool { return a != nil && !a.Done && a.Refused == "" }

// Wish is one request of a person, taken up once, and what it became.
type Wish struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	N    int    `json:"n"`
}

// Supply is what inventory could promise to the order when it was last asked.
type Supply struct {
	At        time.Time        `json:"at"`
	Available []order.Quantity `json:"available,omitempty"`
	Next      time.Time        `json:"next"` // when it is asked again
}

// Hint is a system to be read, because something changed there.
type Hint struct {
	System order.System `json:"s"`
	At     time.Time    `json:"at"` // by the system's clock
	// After and Wait are set while the system could not be read: when it is read
	// again, and how long that waited.
	After time.Time     `json:"af,omitzero"`
	Wait  time.Duration `json:"w,omitempty"`
	// Sure is set when it is no echo of our own doing: since when it has been
	// known. Only a reading that was asked for after that answers it.
	Sure time.Time `json:"sure,omitzero"`
	// Says are digests of the records that were announced: once all of them are
	// known the hint is answered.
	Says []string `json:"says,omitempty"`
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
	Meant   OperationStatus = "meant"   // decided, and not sent yet: its lane takes it up
	Unsent  OperationStatus = "unsent"  // it came to nothing: what a repair made and was stopped before it was sent, a request given up before the warehouse had it
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
	Through   time.Time       `json:"thr,omitzero"`   // of a refund: when the gateway was seen to say that it succeeded
	Doubt     bool            `json:"dbt,omitempty"`  // it may have happened, and could not be read yet
	Doubted   time.Time       `json:"dbts,omitzero"`  // since when it has been in doubt
	Tries     int             `json:"try,omitempty"`  // activities that were begun for it; each makes many attempts
	Why       string          `json:"why,omitempty"`  // the last error, while it is not done
	Code      string          `json:"code,omitempty"` // the system's own code of a refusal
	Conflict  bool            `json:"cfl,omitempty"`  // refused in the state in which its record was; the refusal is kept under its key
	Amount    int64           `json:"amt,omitempty"`  // minor units
	Ref       string          `json:"ref,omitempty"`  // the record it works on: an attempt, a shipment's key
	Record    string          `json:"rec,omitempty"`  // the record it made
	Of        int             `json:"of,omitempty"`   // the departure, return, refund or question that it belongs to
	// Lines are the pieces that it is about; nil for the whole order, which is not
	// the same as none.
	Lines []order.Quantity `json:"ln,omitzero"`
	// Pay is how an attempt is paid that is not as the order says.
	Pay *order.Payment `json:"pay,omitempty"`
	// Before says that it was done before our memory begins.
	Before bool `json:"bfr,omitempty"`
	// Again is the key of the refund that this one repeats, because it failed.
	Again string `json:"agn,omitempty"`
	// Settles is the key of the refund in whose place this one of another amount was
	// decided: the books and the customer know of that one already.
	Settles string `json:"stls,omitempty"`
	// Instead is the key of the refund that the gateway refused, for money was in
	// dispute, and in whose place this one waits for the end of that.
	Instead string `json:"inst,omitempty"`
	// Ruled says that a rule gives the money back and no person: a switch stops it.
	Ruled bool `json:"ruled,omitempty"`
	// OffSession says that the customer was not there.
	OffSession bool          `json:"off,omitempty"`
	Final      bool          `json:"fin,omitempty"`  // of a capture
	About      string        `json:"abt,omitempty"`  // a mail's template, a deal's stage
	Repairs    int           `json:"rpr,omitempty"`  // how often reconciliation had it done again
	Grant      *repair.Grant `json:"grnt,omitempty"` // while it is done again
	Mended     time.Time     `json:"mnd,omitzero"`   // when it was last done again
	// For are the breaks that it is done again for: a write of several fields writes
	// these alone.
	For []reconcile.Place `json:"for,omitempty"`
	// Was is how it stood before, while it is done again: so it stands once more when
	// its repair is stopped.
	Was *Was `json:"was,omitempty"`
}

// Was is what doing an operation again changes of it.
type Was struct {
	Status OperationStatus  `json:"st"`
	Code   string           `json:"code,omitempty"`
	Lines  []order.Quantity `json:"ln,omitzero"`
	Ended  time.Time        `json:"end,omitzero"`
}

// Redone is a repair by reconciliation itself: one that was made, or that its system
// refused.
type Redone struct {
	Place reconcile.Place `json:"p"`
	At    time.Time       `json:"at"`
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

// attempts returns what the gateway last said of the attempts in the order's currency.
// What one in another took adds up with nothing of the order, and pays for nothing.
func (s *State) attempts() []reconcile.Attempt {
	return slices.DeleteFunc(slices.Clone(s.everyAttempt()), s.foreign)
}

// foreign says that an attempt is in another currency than the order.
func (s *State) foreign(a reconcile.Attempt) bool {
	return a.Currency != "" && a.Currency != s.Order.Currency
}

// everyAttempt returns what the gateway last said of all of them: each must be closed
// in the end, and none may keep money of an order that was taken back.
func (s *State) everyAttempt() []reconcile.Attempt {
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

// drafted says that a request has left a draft with the warehouse.
func (s *State) drafted(key string) bool {
	w := s.observed(order.SystemWarehouse).Warehouse
	return w != nil && slices.ContainsFunc(w.Shipments, func(sh reconcile.Shipment) bool {
		return sh.Key == key && sh.State == reconcile.ShipmentDraft
	})
}

// gone says that a shipment has left the warehouse.
func gone(state reconcile.ShipmentState) bool {
	return state == reconcile.ShipmentShipped || state == reconcile.ShipmentDelivered
}

// money adds up what the gateway last said: held, captured and refunded are
// gross, over all attempts; open counts attempts that could still take money.
func (s *State) money() (held, captured, refunded int64, open int) {
	for _, a := range s.everyAttempt() {
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

// note adds a line to the audit, of which the latest are carried.
func (s *State) note(now time.Time, what string) {
	s.Audit = append(s.Audit, Entry{At: now, What: what})
	if len(s.Audit) > mostAudit {
		s.Audit = append(s.Audit[:1:1], s.Audit[len(s.Audit)-mostAudit+1:]...)
	}
}

// mostAudit and mostMended are how many lines of the audit and how many breaks
// that are over are carried: the latest.
const (
	mostAudit  = 60
	mostMended = 20
)

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
