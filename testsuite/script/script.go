// Package script is the incident file: a story that really happened to somebody,
// as one YAML document, with the end state that a correct product must reach.
// docs/incidents.md tells the format to those who write such files; this package
// is its strict reading. It knows nothing of how a story is played or judged.
package script

import (
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// File is one incident file.
type File struct {
	Path   string
	ID     string
	Title  string
	Source string
	World  World
	Orders []Order // by name
	Steps  []Step  // in order
	// Quiet is how much virtual time passes after the last step; 48 h unless said.
	Quiet  time.Duration
	Expect Expect // at the end of the quiet time
}

// Order returns the order of a name, or of an `as` under which it was submitted.
func (f *File) Order(name string) (Order, bool) {
	for _, o := range f.Orders {
		if o.Name == name {
			return o, true
		}
	}
	return Order{}, false
}

// World is what holds from the beginning.
type World struct {
	Stock            map[string]int // on hand, in inventory and warehouse alike
	PayWindow        time.Duration
	ReservationTTL   time.Duration // 0: never
	AuthorizationTTL time.Duration
	KeyWindow        time.Duration
	RefundSettles    time.Duration
	ReturnWindow     time.Duration
	Retention        time.Duration
	Horizon          time.Duration
	FollowEvery      time.Duration
	ReconcileEvery   time.Duration // 0: off
	Policy           string        // overrides, in the policy file's own form; empty: none
	// PolicyLines are the lines of the file from which those of Policy come.
	PolicyLines map[int]int
}

// Payment methods.
const (
	MethodCard      = "card"
	MethodChallenge = "challenge" // 3-D Secure
	MethodAsync     = "async"
)

// Order is an order as the file tells it. Amounts are minor units of Currency.
type Order struct {
	Name     string // the key in the file, and the order's id
	Cart     string // the name of the order whose basket it is, when it was submitted `as` another
	Line     int    // of the file
	Customer string
	Email    string
	Currency string
	Payment  Payment
	Lines    []Line
	Shipping int64
	Discount int64
	Tax      int64
}

// Payment says how an order is paid.
type Payment struct {
	Method       string
	Capture      string // on_ship or at_once
	Multicapture bool
	Reusable     bool // may be charged again off session
}

// Line is one line of an order; Discount and Tax are of the whole line.
type Line struct {
	SKU      string
	Quantity int64
	Price    int64 // of one
	Discount int64
	Tax      int64
}

// Step is one step of the story.
type Step struct {
	Line int            // of the file
	At   *time.Duration // since the start; nil: at the moment of the step before it
	Do   Action
}

// Action is what a step does: one of the types below that have the method.
type Action interface{ action() }

// Submit means that a service submits an order through the public starter.
type Submit struct {
	Order  string // the order's id
	As     string // another id for it, or empty; Orders has it under that name
	Copies int    // at least 1
	Change *Order // the altered body of a repeated submission, or nil
}

// Cancel means that the customer asks to cancel.
type Cancel struct{ Order string }

// Return means that the customer sends lines back; they reach the warehouse a day later.
type Return struct {
	Order string
	Lines []order.Quantity // by sku; never empty
}

// Amend means that the customer asks for other lines or another address.
type Amend struct {
	Order string
	Lines map[string]int64 // new quantity by sku, 0 drops the line; nil: unchanged
	// Address is the street of a new address, or empty; Email a new one, or empty.
	Address string
	Email   string
}

// Pay means that the customer finishes a payment that waits for them.
type Pay struct {
	Order   string
	Attempt int    // from 1
	Result  string // succeeded, declined or abandoned
}

// Attempt means that the customer starts another payment attempt.
type Attempt struct {
	Order   string
	Attempt int
}

// Answer means that the customer answers the question about missing goods.
type Answer struct {
	Order  string
	Choice string // amend, wait or cancel
}

// Event means that a notification arrives.
type Event struct {
	From    order.System
	Type    string
	Order   string // empty for stock.adjusted
	SKU     string
	Copies  int // at least 1
	Attempt int // 0: the last
	Forged  bool
	Account string // somebody else's account, or empty
	SameID  bool
}

// Events says what happens to the notifications that a system sends by itself.
type Events struct {
	Do   string // drop, hold, release or reorder
	From order.System
	Type string // empty: all
}

// Fault means that the next calls of an operation suffer.
type Fault struct {
	System    order.System
	Operation order.Operation // "*": any
	Kind      simulator.FaultKind
	Times     int // -1: forever
	After     int // calls that pass before
	Delay     time.Duration
	Order     string // empty: any
}

// Clear means that the faults end.
type Clear struct {
	System    order.System
	Operation order.Operation // "*": all
}

// Edit means that a person, or another program, changes a record itself. What
// it is changed to is in the group of that system, the others are nil.
type Edit struct {
	System   order.System
	Order    string // or
	Customer string // or
	SKU      string
	OnHand   *int64 // of SKU
	Reason   string
	Every    time.Duration // 0: once
	Times    int           // at least 1

	Payment   *PaymentEnd
	Inventory *InventoryEnd
	Warehouse *WarehouseEnd
	ERP       *ERPEnd
	CRM       *CRMEnd
	Mail      *MailEnd
}

// Crash means that the worker is killed at a call; another takes over.
type Crash struct {
	Worker    string // before, after or acknowledged
	System    order.System
	Operation order.Operation
}

// Outage means that a part is killed and comes back, at once when Down is 0.
type Outage struct {
	Part string // engine, gateway or workers
	Down time.Duration
}

// Forget means that time passes until the order has closed and its retention is over.
type Forget struct{ Order string }

// Clock means that a system's clock is wrong.
type Clock struct {
	System order.System
	Skew   time.Duration
}

// Reconcile means that a person starts reconciliation now.
type Reconcile struct {
	Order          string // empty: all
	DryRun         bool
	BesideSchedule bool
}

// Decide means that a person decides a case.
type Decide struct {
	Order  string
	Case   int    // from 1
	As     string // a decision
	By     string
	Amount int64 // of refund; 0: in full
}

// Check is an expectation in the middle of the story.
type Check struct{ Expect Expect }

func (Submit) action()    {}
func (Cancel) action()    {}
func (Return) action()    {}
func (Amend) action()     {}
func (Pay) action()       {}
func (Attempt) action()   {}
func (Answer) action()    {}
func (Event) action()     {}
func (Events) action()    {}
func (Fault) action()     {}
func (Clear) action()     {}
func (Edit) action()      {}
func (Crash) action()     {}
func (Outage) action()    {}
func (Forget) action()    {}
func (Clock) action()     {}
func (Reconcile) action() {}
func (Decide) action()    {}
func (Check) action()     {}
