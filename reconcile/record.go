// Package reconcile is the pure core: what each system should say about an
// order (Expect), where it says something else (Compare), what to do about it
// (Plan) and what to answer (Judge). Values and a moment go in, values come
// out: no context, no clock, no I/O, no map iteration, so that workflows, runs,
// dry runs and tests all call the same functions.
package reconcile

import (
	"time"

	"github.com/trueup-orders/trueup/order"
)

// State says whether a system could be read, and found the order.
type State string

// The three states of an observation. Unreadable is never absent.
const (
	Present    State = "present"
	Absent     State = "absent"
	Unreadable State = "unreadable"
)

// Observation is what one system said about one order at one moment. Exactly
// the field of its system is set when State is Present; records that belong to
// the order are never mixed with anybody else's.
type Observation struct {
	System order.System `json:"system"`
	Order  order.ID     `json:"order"`
	State  State        `json:"state"`
	// At is when the system was asked, by our clock: the answer is at least
	// this fresh.
	At time.Time `json:"at"`
	// Changed is when the records last changed by the system's own clock; zero
	// where it does not say. Listings fill it in, so that the echo of our own
	// write is told from somebody else's.
	Changed time.Time `json:"changed,omitzero"`
	// Strong says that the read was one by id or unique reference, which shows
	// every write that was answered before it. A listing is not strong.
	Strong bool `json:"strong,omitempty"`
	// Version changes whenever the system's records of the order change; it is
	// the system's own (a write date, an updated_at), or a digest of them.
	Version string `json:"version,omitempty"`
	// Why says why the system could not be read.
	Why string `json:"why,omitempty"`
	// LastRead is set on an unreadable observation that carries the records of
	// the last readable one: when that was read. Without records the order was
	// absent then. See Merge.
	LastRead time.Time `json:"last_read,omitzero"`

	Payment   *Payment   `json:"payment,omitempty"`
	Inventory *Inventory `json:"inventory,omitempty"`
	Warehouse *Warehouse `json:"warehouse,omitempty"`
	ERP       *ERP       `json:"erp,omitempty"`
	CRM       *CRM       `json:"crm,omitempty"`
	Mail      *Mail      `json:"mail,omitempty"`
}

// Payment is what the gateway holds of an order: every attempt to pay it.
type Payment struct {
	Attempts []Attempt `json:"attempts"`
}

// AttemptState is the state of one attempt to pay.
type AttemptState string

// The states of an attempt.
const (
	// AttemptOpen waits for the customer or for another payment method; it can
	// still take money.
	AttemptOpen AttemptState = "open"
	// AttemptProcessing waits for the gateway or a bank; it can still take money.
	AttemptProcessing AttemptState = "processing"
	// AttemptAuthorized holds money that was not captured in full.
	AttemptAuthorized AttemptState = "authorized"
	// AttemptCaptured took the money.
	AttemptCaptured AttemptState = "captured"
	// AttemptVoided is closed and holds nothing.
	AttemptVoided AttemptState = "voided"
)

// Attempt is one attempt to pay, in minor units of Currency. At Stripe it is a
// PaymentIntent.
type Attempt struct {
	ID       string         `json:"id"`
	Key      string         `json:"key,omitempty"`     // of the intent that made it, or took it over; empty when a checkout made it
	Adopted  bool           `json:"adopted,omitempty"` // a checkout made it, and Key took it over
	State    AttemptState   `json:"state"`
	Amount   int64          `json:"amount"`
	Held     int64          `json:"held,omitempty"`     // authorized and neither captured nor released
	Captured int64          `json:"captured,omitempty"` // gross
	Refunded int64          `json:"refunded,omitempty"` // gross, of refunds that did not fail
	Disputed int64          `json:"disputed,omitempty"`
	Lost     int64          `json:"lost,omitempty"` // of Disputed, what a lost dispute took for good
	Currency order.Currency `json:"currency"`
	// Method is the gateway's word for the kind of payment, as "card", "sepa_debit"
	// or "customer_balance"; empty when the customer may still choose, or unknown.
	Method string `json:"method,omitempty"`
	// HeldUntil is when the authorization dies by itself; zero when unknown.
	HeldUntil time.Time `json:"held_until,omitzero"`
	// Multicapture says that the gateway granted several captures.
	Multicapture bool `json:"multicapture,omitempty"`
	// Challenge says that an open attempt waits for the customer to prove who they
	// are (3-D Secure), or to finish at their bank: they may be at it right now. One
	// that waits for a bank transfer or a voucher to be paid is none: that takes days.
	Challenge bool `json:"challenge,omitempty"`
	// Review says that a person or the gateway's fraud rules are looking at it.
	Review  bool      `json:"review,omitempty"`
	Refunds []Refund  `json:"refunds,omitempty"`
	Created time.Time `json:"created,omitzero"`
	// Failure is the gateway's code of the last failure, as "card_declined".
	Failure string `json:"failure,omitempty"`
}

// RefundState is the state of one refund; only Succeeded is final and good.
type RefundState string

// The states of a refund.
const (
	RefundPending   RefundState = "pending"
	RefundSucceeded RefundState = "succeeded"
	RefundFailed    RefundState = "failed"
)

// Refund is one refund of an attempt.
type Refund struct {
	ID     string      `json:"id"`
	Key    string      `json:"key,omitempty"`
	Amount int64       `json:"amount"`
	State  RefundState `json:"state"`
}

// Inventory is what is promised to an order: one reservation per line.
type Inventory struct {
	Reservations []Reservation `json:"reservations"`
}

// Reservation is stock promised to one line of an order.
type Reservation struct {
	ID       string `json:"id"`
	Line     int    `json:"line"`
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Level is the stock of one SKU as inventory believes it: Stocked includes
// what is reserved; Stocked − Reserved may be sold.
type Level struct {
	SKU      string    `json:"sku"`
	Stocked  int64     `json:"stocked"`
	Reserved int64     `json:"reserved"`
	At       time.Time `json:"at"`
}

// Count is the physical stock of one SKU as the warehouse counts it.
type Count struct {
	SKU      string    `json:"sku"`
	Quantity int64     `json:"quantity"`
	At       time.Time `json:"at"`
}

// ShipmentState is how far the warehouse has come with one shipment.
type ShipmentState string

// The states of a shipment, in their order.
const (
	ShipmentDraft     ShipmentState = "draft" // does nothing yet
	ShipmentRequested ShipmentState = "requested"
	ShipmentAssigned  ShipmentState = "assigned"
	ShipmentPicked    ShipmentState = "picked"
	ShipmentPacked    ShipmentState = "packed"
	ShipmentShipped   ShipmentState = "shipped"
	ShipmentDelivered ShipmentState = "delivered"
	ShipmentCancelled ShipmentState = "cancelled"
)

// Warehouse is what the warehouse holds of an order.
type Warehouse struct {
	Shipments []Shipment `json:"shipments"`
	Returns   []Return   `json:"returns,omitempty"`
}

// ReturnState is how far goods have come on their way back.
type ReturnState string

// The states of a return, in their order.
const (
	ReturnDraft     ReturnState = "draft"     // does nothing yet
	ReturnExpected  ReturnState = "expected"  // the warehouse knows that they will come
	ReturnReceived  ReturnState = "received"  // they are there
	ReturnRestocked ReturnState = "restocked" // they lie in storage again and may be sold
	ReturnCancelled ReturnState = "cancelled"
)

// Return is goods of an order that come back. One that the customer sent
// without asking carries the order's reference and no key of ours.
type Return struct {
	ID    string      `json:"id"`
	Key   string      `json:"key,omitempty"` // of the intent that announced it
	State ReturnState `json:"state"`
	// Lines are what was announced, and once it was received what came.
	Lines      []order.Quantity `json:"lines"`
	ReceivedAt time.Time        `json:"received_at,omitzero"`
	Version    string           `json:"version,omitempty"`
}

// Shipment is one shipment of an order.
type Shipment struct {
	ID       string           `json:"id"`
	Key      string           `json:"key"` // of the intent that requested it
	State    ShipmentState    `json:"state"`
	Lines    []order.Quantity `json:"lines"`
	Address  string           `json:"address,omitempty"` // one line, as the warehouse would print it
	Tracking string           `json:"tracking,omitempty"`
	// ShippedAt, DeliveredAt and LostAt are zero until it happened; lost is what
	// the carrier gave up looking for.
	ShippedAt   time.Time `json:"shipped_at,omitzero"`
	DeliveredAt time.Time `json:"delivered_at,omitzero"`
	LostAt      time.Time `json:"lost_at,omitzero"`
	Version     string    `json:"version,omitempty"`
}

// DocumentState is the state of a document in the ERP.
type DocumentState string

// The states of a document.
const (
	DocumentDraft     DocumentState = "draft" // books nothing yet
	DocumentPosted    DocumentState = "posted"
	DocumentCancelled DocumentState = "cancelled"
)

// Document is one document in the ERP, in minor units. Total is positive for
// sales, invoices and receipts; credit notes and receipts of refunds are
// positive too and lie in their own list or carry a negative Total.
type Document struct {
	ID     string        `json:"id"`
	Key    string        `json:"key"` // our reference: the key of the intent that made it
	Number string        `json:"number,omitempty"`
	State  DocumentState `json:"state"`
	Total  int64         `json:"total"`
}

// ERP is what the books hold of an order: one sale, one invoice per shipment,
// one receipt per capture (negative for a refund), one credit note for what
// was invoiced and given back.
type ERP struct {
	Sales    []Document `json:"sales"`
	Invoices []Document `json:"invoices,omitempty"`
	Receipts []Document `json:"receipts,omitempty"`
	Credits  []Document `json:"credits,omitempty"`
	// Balance is what the customer still owes for this order by the ERP's
	// books: posted invoices − credits − receipts, in minor units.
	Balance int64 `json:"balance"`
}

// DealStage is where a deal stands.
type DealStage string

// The stages of a deal.
const (
	DealOpen      DealStage = "open"
	DealWon       DealStage = "won"
	DealLost      DealStage = "lost"
	DealAbandoned DealStage = "abandoned" // an abandoned cart that nobody closed
)

// CRM is what the CRM holds of an order and of its customer.
type CRM struct {
	Contacts []Contact `json:"contacts"` // of the order's customer id; more than one is a duplicate
	Deals    []Deal    `json:"deals"`    // of the order
	Carts    []Deal    `json:"carts,omitempty"`
}

// Contact is a customer in the CRM.
type Contact struct {
	ID         string `json:"id"`
	CustomerID string `json:"customer_id,omitempty"`
	Email      string `json:"email,omitempty"`
	Name       string `json:"name,omitempty"`
	Phone      string `json:"phone,omitempty"`
	OptedOut   bool   `json:"opted_out,omitempty"`
}

// Deal is a deal in the CRM; Revenue in minor units.
type Deal struct {
	ID      string    `json:"id"`
	Cart    string    `json:"cart,omitempty"`
	Stage   DealStage `json:"stage"`
	Revenue int64     `json:"revenue"`
	// Currency of Revenue, as the deal says; a person may have changed it.
	Currency order.Currency `json:"currency,omitempty"`
}

// Template names a mail to the customer.
type Template string

// The templates; each at most once per order and occasion.
const (
	MailConfirmation Template = "confirmation"
	MailShipped      Template = "shipped"
	MailCancellation Template = "cancellation"
	MailRefund       Template = "refund"
	MailQuestion     Template = "question"
)

// Mail is what the journal holds of an order.
type Mail struct {
	Messages []Message `json:"messages"`
}

// Message is one message found in the journal. Two with one MessageID are a
// mail sent twice.
type Message struct {
	MessageID string    `json:"message_id"`
	Template  Template  `json:"template"`
	Occasion  int       `json:"occasion"` // as the n of the intent
	At        time.Time `json:"at"`
}
