package reconcile

import (
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Subject is what a look-up needs to know of an order to find its records.
type Subject struct {
	Order    order.ID  `json:"order"`
	PlacedAt time.Time `json:"placed_at"`
	Customer string    `json:"customer,omitempty"` // the service's customer id
	Email    string    `json:"email,omitempty"`
	Cart     string    `json:"cart,omitempty"`
	// Currency of the order, in which amounts without a currency are read.
	Currency order.Currency `json:"currency"`
	// Known are ids of records at the system that are known to belong to the
	// order, as the PaymentIntents of its attempts.
	Known []string `json:"known,omitempty"`
	// Afresh is the moment since which all must have been read that the answer rests
	// on; zero: a reader may remember what usually stays as it is.
	Afresh time.Time `json:"afresh,omitzero"`
}

// SubjectOf returns the subject of an order.
func SubjectOf(o order.Order) Subject {
	return Subject{
		Order: o.ID, PlacedAt: o.PlacedAt, Customer: o.Customer.ID, Email: o.Customer.Email,
		Cart: o.CartID, Currency: o.Currency,
	}
}
