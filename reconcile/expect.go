package reconcile

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Need says what a system is expected to hold. The set is closed.
type Need string

// The needs.
const (
	Must    Need = "must"     // there, with the value
	MustNot Need = "must_not" // not there; the value is "0" or empty
	AtLeast Need = "at_least" // there, with the value or further: the system decides
	Any     Need = "any"      // whatever it says is right
)

// Expectation is what one system should say about one field of an order.
type Expectation struct {
	System order.System `json:"system"`
	Field  Field        `json:"field"`
	Item   string       `json:"item,omitempty"`
	Need   Need         `json:"need"`
	// Value is canonical, as a Fact's: amounts in minor units, quantities as
	// whole numbers, states and stages by their names.
	Value string `json:"value"`
	// Until is set while the expectation is not yet to be judged: our last write
	// to the system is younger than the field's settling time, or an operation
	// is open.
	Until time.Time `json:"until,omitzero"`
	// Money that hangs on it, in minor units.
	Money int64 `json:"money,omitempty"`
}

// NotYet says that it is too early to judge the expectation.
func (e Expectation) NotYet(now time.Time) bool { return e.Until.After(now) }

// Expect returns what each system should say by now about the order, sorted by
// field and item. Fields that come without an expectation should not be there
// at all.
func Expect(i Intent, p Policy, now time.Time) []Expectation {
	return expectOf(i, p, order.Systems(), now)
}

// expectOf returns what these systems alone should say: a sweep compares one
// system's page at a time, and a million orders.
func expectOf(i Intent, p Policy, systems []order.System, now time.Time) []Expectation {
	x := &expecting{intent: i, policy: p, now: now}
	for _, s := range systems {
		switch s {
		case order.SystemPayment:
			x.payment()
		case order.SystemInventory:
			x.inventory()
		case order.SystemWarehouse:
			x.warehouse()
			x.returns()
		case order.SystemERP:
			x.erp()
		case order.SystemCRM:
			x.crm()
		case order.SystemMail:
			x.mail()
		}
	}
	slices.SortFunc(x.all, func(a, b Expectation) int {
		return cmp.Or(compareFields(a.Field, b.Field), compareItems(a.Item, b.Item))
	})
	return x.all
}

type expecting struct {
	intent Intent
	policy Policy
	now    time.Time
	all    []Expectation
}

func (x *expecting) add(f Field, item string, need Need, value string, money int64) {
	x.all = append(x.all, Expectation{
		System: f.System(), Field: f, Item: item, Need: need, Value: value,
		Until: notBefore(x.intent, x.policy, f, x.now), Money: money,
	})
}

// amount expects a quantity, of which 0 is the same as nothing.
func (x *expecting) amount(f Field, item string, n int64) {
	need := Must
	if n == 0 {
		need = MustNot
	}
	x.add(f, item, need, strconv.FormatInt(n, 10), 0)
}

// notBefore returns the moment from which a field may be judged, or zero when
// it may be judged now.
func notBefore(i Intent, p Policy, f Field, now time.Time) time.Time {
	settling := p.Rule(f).Settling
	if i.busy(f.System()) {
		return now.Add(max(settling, time.Second))
	}
	changed, known := i.changed(f.System())
	if !known {
		changed = i.PlacedAt
	}
	if until := changed.Add(settling); until.After(now) {
		return until
	}
	return time.Time{}
}

func (x *expecting) payment() {
	i := x.intent
	if i.Paying {
		// The customer and the gateway are at it: what moves there is news, and
		// only less than we already relied on is wrong.
		x.atLeast(PaymentHeld, i.Held)
		x.atLeast(PaymentCaptured, i.Captured)
	} else {
		x.amount(PaymentHeld, "", i.Held)
		x.amount(PaymentCaptured, "", i.Captured)
	}
	x.amount(PaymentRefunded, "", i.Refunded)
	x.amount(PaymentDisputed, "", 0)
}

func (x *expecting) atLeast(f Field, n int64) {
	if n == 0 {
		x.add(f, "", Any, "0", 0)
		return
	}
	x.add(f, "", AtLeast, strconv.FormatInt(n, 10), 0)
}

func (x *expecting) inventory() {
	for _, q := range order.BySKU(x.intent.Reserved) {
		x.amount(InventoryReserved, q.SKU, q.Quantity)
	}
}

func (x *expecting) warehouse() {
	var shipped []order.Quantity
	for _, s := range x.intent.Shipments {
		x.add(WarehouseShipment, s.Key, AtLeast, string(s.State), 0)
		x.add(WarehouseLines, s.Key, Must, canonicalLines(s.Lines), 0)
		for _, told := range s.Told {
			if told.Tracking != "" {
				x.add(WarehouseTracking, told.parcelOf(s), Must, told.Tracking, 0)
			}
		}
		if s.State.out() {
			shipped = append(shipped, s.Lines...)
		}
	}
	for _, q := range order.BySKU(shipped) {
		x.add(WarehouseShipped, q.SKU, AtLeast, strconv.FormatInt(q.Quantity, 10), 0)
	}
}

func (x *expecting) returns() {
	for _, r := range x.intent.Returns {
		x.add(WarehouseReturn, r.Key, AtLeast, string(r.State), 0)
	}
}

func (x *expecting) erp() {
	i := x.intent
	if i.Sale != nil {
		x.document(ERPSale, *i.Sale)
	}
	balance := int64(0)
	for _, d := range i.Invoices {
		x.document(ERPInvoices, d)
		balance += d.Total
	}
	for _, d := range i.Credits {
		d.Total = magnitude(d.Total)
		x.document(ERPCredits, d)
		balance -= d.Total
	}
	for _, d := range i.Receipts {
		x.document(ERPReceipts, d)
		balance -= d.Total
	}
	x.amount(ERPBalance, "", balance)
}

func (x *expecting) document(f Field, d DocumentIntent) {
	x.add(f, d.Key, Must, strconv.FormatInt(d.Total, 10), magnitude(d.Total))
}

func (x *expecting) crm() {
	i := x.intent
	if i.Deal == "" {
		return
	}
	// An order has a contact as soon as it has a deal to tie to it.
	x.add(CRMContact, "", Must, "1", 0)
	x.add(CRMDeal, "", Must, string(i.Deal), 0)
	x.amount(CRMRevenue, "", i.Revenue)
}

func (x *expecting) mail() {
	for _, m := range x.intent.Mails {
		need := Must
		if m.GivenUp {
			need = Any
		}
		x.add(MailField(m.Template), strconv.Itoa(m.Occasion), need, "1", 0)
		// A mail is not late before its own event has had time to settle.
		last := &x.all[len(x.all)-1]
		if until := m.Due.Add(x.policy.Rule(last.Field).Settling); until.After(x.now) && until.After(last.Until) {
			last.Until = until
		}
	}
}

// cartsDue says that the order's abandoned carts must be closed by now.
func (i Intent) cartsDue() bool {
	return i.Cart && (i.Deal == DealWon || i.Phase.PastPivot())
}

// endedWithoutDeal says that the order came to nothing before it had a deal: one
// that is there by now is somebody else's, and should be lost.
func (i Intent) endedWithoutDeal() bool {
	return i.Deal == "" && (i.Phase == order.PhaseFailed || i.Phase == order.PhaseCancelled)
}

func (i Intent) busy(s order.System) bool {
	return slices.Contains(i.Busy, s) || slices.Contains(i.InDoubt, s)
}

// changed returns when the intent about a system last changed.
func (i Intent) changed(s order.System) (time.Time, bool) {
	var last time.Time
	known := false
	for _, c := range i.Changed {
		if c.System == s && (!known || c.At.After(last)) {
			last, known = c.At, true
		}
	}
	return last, known
}

// Rank orders the states of a shipment; a cancelled or unknown one is -1.
func (s ShipmentState) Rank() int {
	switch s {
	case ShipmentDraft:
		return 0
	case ShipmentRequested:
		return 1
	case ShipmentAssigned:
		return 2
	case ShipmentPicked:
		return 3
	case ShipmentPacked:
		return 4
	case ShipmentShipped:
		return 5
	case ShipmentDelivered:
		return 6
	case ShipmentCancelled:
		return -1
	}
	return -1
}

// Live says that the warehouse is at it, or was: neither a draft nor cancelled.
func (s ShipmentState) Live() bool { return s.Rank() > 0 }

// out says that the goods have left.
func (s ShipmentState) out() bool { return s.Rank() >= ShipmentShipped.Rank() }

// Rank orders the states of a return; a cancelled or unknown one is -1.
func (s ReturnState) Rank() int {
	switch s {
	case ReturnDraft:
		return 0
	case ReturnExpected:
		return 1
	case ReturnReceived:
		return 2
	case ReturnRestocked:
		return 3
	case ReturnCancelled:
		return -1
	}
	return -1
}

// Live says that the goods are expected or have come: neither a draft nor
// cancelled.
func (s ReturnState) Live() bool { return s.Rank() > 0 }

func magnitude(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
