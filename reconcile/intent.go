package reconcile

import (
	"time"

	"github.com/trueup-orders/trueup/order"
)

// RulesVersion numbers Expect, Compare, Plan and Judge together. It goes into
// every report, so that an old decision can be read with the rules it was made
// by.
const RulesVersion = 6

// Intent is what an order's own workflow means the six systems to say by now.
// The workflow keeps it; Expect turns it into expectations. It is small, for it
// also travels in the order's memo, where a run reads it without asking the
// workflow: no personal data, amounts in minor units of Currency.
type Intent struct {
	Order    order.ID       `json:"o"`
	PlacedAt time.Time      `json:"at"`
	Currency order.Currency `json:"c"`
	Total    int64          `json:"t"`
	Phase    order.Phase    `json:"p"`

	// Customer and CartID are the service's own ids, and Payments the gateway's
	// ids of our attempts: what a run needs to look the order up.
	Customer string   `json:"cu,omitempty"`
	CartID   string   `json:"ci,omitempty"`
	Payments []string `json:"pi,omitempty"`

	// Held is what the authorizations that the order relies on should hold: not
	// captured yet, and perhaps more than what is still to leave costs, for the
	// rest is released by the last capture. Captured and Refunded are gross; a
	// dispute that was lost is a refund.
	Held     int64 `json:"h,omitempty"`
	Captured int64 `json:"cap,omitempty"`
	Refunded int64 `json:"ref,omitempty"`
	// Paying says that attempts may still be open.
	Paying bool `json:"pay,omitempty"`
	// Attempts are the gateway's ids of those that hold or took the intended
	// money. Of several that hold too much they are the last to be closed.
	Attempts []string `json:"a,omitempty"`

	// Reserved is what should be promised to the order now, per SKU.
	Reserved []order.Quantity `json:"r,omitempty"`
	// Awaited are the SKUs that the order waits for because they are not there:
	// their levels are compared although nothing of them is promised.
	Awaited []string `json:"w,omitempty"`
	// Shipments are the live requests to the warehouse, and what has left.
	Shipments []ShipmentIntent `json:"s,omitempty"`
	// Returns are goods that come back, or have.
	Returns []ReturnIntent `json:"rt,omitempty"`
	// Underway says that an amendment or a refund is under way, or that a question
	// to the customer is open: the order has not succeeded before it is through.
	Underway bool `json:"u,omitempty"`

	Sale     *DocumentIntent  `json:"sa,omitempty"` // nil: none should exist
	Invoices []DocumentIntent `json:"iv,omitempty"`
	Receipts []DocumentIntent `json:"rc,omitempty"` // negative for a refund
	Credits  []DocumentIntent `json:"cr,omitempty"`

	// Deal is the stage the order's deal should have; empty: none should exist.
	Deal    DealStage `json:"d,omitempty"`
	Revenue int64     `json:"rev,omitempty"`
	Cart    bool      `json:"ct,omitempty"` // the order came from a cart that must be closed

	Mails []MailIntent `json:"m,omitempty"`

	// Accepted are values that somebody, or a rule, decided to let stand although
	// they are not as intended: a mail that went out twice, a dispute that was
	// lost. As long as a system says exactly that, it is no break. See Accept.
	Accepted []Base `json:"acc,omitempty"`

	// Changed is when the intent about each system last changed: the end of its
	// last operation. Settling times count from it.
	Changed []Changed `json:"ch,omitempty"`
	// Busy are the systems with an operation open or in doubt: nothing about
	// them is judged, and nothing repaired.
	Busy []order.System `json:"b,omitempty"`
	// InDoubt are the systems with an operation that may have happened and
	// whose look-up does not answer yet.
	InDoubt []order.System `json:"id,omitempty"`
}

// Changed is when the intent about one system last changed.
type Changed struct {
	System order.System `json:"s"`
	At     time.Time    `json:"at"`
}

// ShipmentIntent is one request to the warehouse. The warehouse may split it
// into several shipments of its key.
type ShipmentIntent struct {
	Key   string           `json:"k"`
	Lines []order.Quantity `json:"l"`
	// State is the least that the warehouse should say by now, of all of it; it
	// may be further, for the warehouse decides.
	State ShipmentState `json:"st"`
	// Told are the parcels of which the customer was told how to follow them.
	Told []Told `json:"to,omitempty"`
}

// Told is the number by which the customer was told to follow a parcel.
type Told struct {
	Shipment string `json:"s"` // the warehouse's id
	Tracking string `json:"t"`
}

// ReturnIntent is goods that come back.
type ReturnIntent struct {
	// Key is the name of the warehouse's return: the key of the intent that
	// announced it, or what Return.Name says of one that nobody announced.
	Key   string           `json:"k"`
	Lines []order.Quantity `json:"l"`
	// State is the least that the warehouse should say by now.
	State ReturnState `json:"st"`
}

// DocumentIntent is one document that the ERP should hold, posted.
type DocumentIntent struct {
	Key   string `json:"k"`
	Total int64  `json:"t"`
}

// MailIntent is one mail that the customer should have.
type MailIntent struct {
	Template Template `json:"t"`
	Occasion int      `json:"n"`
	// Due is when the event happened that it tells of.
	Due time.Time `json:"due"`
	// GivenUp says that it will not be sent any more: too late, or in doubt
	// without a journal.
	GivenUp bool `json:"x,omitempty"`
}
