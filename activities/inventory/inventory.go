// Package inventory promises stock to orders. Inventory is the system of record
// for what is promised; what physically is belongs to the warehouse, so its
// level is written by stock/<sku> alone, from the warehouse's count.
package inventory

import (
	"context"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reader reads reservations and levels and can change nothing.
type Reader interface {
	// Lookup returns the reservations of the subject's order; none is Absent.
	Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error)

	// List walks reservations that changed or were created within a window.
	// Deleted ones do not appear.
	List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error)

	// Level returns the level of one SKU. Strong. An unknown SKU is NotFound.
	Level(ctx context.Context, sku string) (reconcile.Level, error)
}

// Stock is the port that an adapter implements. The system has no keys: the
// reference <order>/<line> is looked up before anything is made, the lowest of
// several reservations with one reference is kept, and surplus ones are
// released in the same step. So each call may be repeated, also late.
type Stock interface {
	Reader

	// Reserve promises the lines to the order: all of them or, when one is not
	// available, none of those it made itself, and Declined with the reason
	// "out_of_stock". A line already reserved in this quantity is left alone.
	Reserve(ctx context.Context, r ReserveRequest) ([]reconcile.Reservation, error)

	// Release leaves only Keep of the order's reservations, all of them gone
	// when Keep is empty, and returns what is left. Saying what stays rather
	// than what goes makes it repeatable; it never raises a reservation. What is
	// not reserved is nothing to release and no error. A commit is a release
	// after the goods left: the same effect here, told apart by Operation in the
	// request's User-Agent so that the system's own log shows it.
	Release(ctx context.Context, r ReleaseRequest) ([]reconcile.Reservation, error)

	// SetLevel sets the stocked quantity of one SKU to an absolute number. It
	// may be repeated.
	SetLevel(ctx context.Context, r SetLevelRequest) (reconcile.Level, error)
}

// ReserveRequest asks to promise stock.
type ReserveRequest struct {
	Key   string           `json:"key"`
	Order order.ID         `json:"order"`
	Lines []order.Quantity `json:"lines"`
}

// ReleaseRequest asks to leave only Keep reserved.
type ReleaseRequest struct {
	Key       string          `json:"key"`
	Order     order.ID        `json:"order"`
	Operation order.Operation `json:"operation"` // order.Release or order.Commit
	// Keep are the quantities that stay reserved, per line; empty releases all.
	Keep []order.Quantity `json:"keep,omitempty"`
}

// SetLevelRequest asks to set a SKU's stocked quantity.
type SetLevelRequest struct {
	SKU     string `json:"sku"`
	Stocked int64  `json:"stocked"`
}
