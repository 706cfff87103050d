// Package warehouse has goods picked, packed and shipped. The warehouse is the
// system of record for what physically is, was picked and shipped.
package warehouse

import (
	"context"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reader reads shipments and counts and can change nothing.
type Reader interface {
	// Lookup returns the order's shipments and returns, drafts and cancelled ones
	// included; none is Absent. Strong. Lines are what is in a shipment now: once
	// it left, what left, which may be less than was requested. People may have
	// split a request: then several shipments carry its key, and together their
	// lines are what was requested. A return that nobody announced has no key.
	Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error)

	// List walks shipments and returns that changed or were created within a
	// window. An order's may come on different pages.
	List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error)

	// Count returns the physical stock of one SKU: what lies in the storage
	// locations or is picked and did not leave yet, whether or not it is promised.
	// What came back counts once it was restocked. An unknown SKU is NotFound.
	Count(ctx context.Context, sku string) (reconcile.Count, error)
}

// Warehouse is the port that an adapter implements. The system has no keys:
// a request is made in two steps, a draft that does nothing and its promotion;
// the key is the shipment's reference, it is looked up before anything is made,
// the lowest id of several is kept and promoted and the other drafts removed.
// A transition from the wrong state is a silent no-op there, so every call
// reads back what it did. So each call may be repeated, also late.
type Warehouse interface {
	Reader

	// Request asks for one shipment and returns it. Repeated, it returns the
	// shipment of the key in whatever state it is, the lowest live one where people
	// have split it, and leaves the others alone. Declined when the warehouse
	// does not know a SKU. With Return set it announces goods that come back from
	// the customer instead: the shipment that is returned then has the state
	// requested while they are expected, and shipped once they were received. Its
	// key is order/<id>/return/<n>.
	Request(ctx context.Context, r RequestRequest) (reconcile.Shipment, error)

	// UpdateAddress sends the shipment elsewhere, every part of it. Conflict when
	// it, or a part that goes elsewhere yet, is packed or later; that one is
	// returned with it, and none is changed.
	UpdateAddress(ctx context.Context, r UpdateAddressRequest) (reconcile.Shipment, error)

	// Cancel takes the request back. The system itself would accept the cancel
	// of a packed shipment, so the state is read first, with its version, and
	// packed or later is Conflict with the shipment as it is. A cancelled one
	// is no error. Unknown to the warehouse: a zero Shipment and no error. Of a
	// request that was split every part is taken back that is not packed yet, also
	// when Conflict comes with one that is. The key of a return calls it off until
	// the goods are received.
	Cancel(ctx context.Context, r CancelRequest) (reconcile.Shipment, error)
}

// RequestRequest asks for one shipment.
type RequestRequest struct {
	Key      string           `json:"key"`
	Order    order.ID         `json:"order"`
	Lines    []order.Quantity `json:"lines"`
	Customer order.Customer   `json:"customer"`
	ShipTo   order.Address    `json:"ship_to"`
	// Return turns the direction: from the customer, back to us.
	Return bool `json:"return,omitempty"`
}

// UpdateAddressRequest asks to send a shipment elsewhere.
type UpdateAddressRequest struct {
	Key    string        `json:"key"` // of the shipment
	Order  order.ID      `json:"order"`
	ShipTo order.Address `json:"ship_to"`
}

// CancelRequest asks to take a shipment back.
type CancelRequest struct {
	Key   string   `json:"key"` // of the shipment
	Order order.ID `json:"order"`
}
