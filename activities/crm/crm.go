// Package crm keeps the customer's contact and the order's deal. The CRM is the
// system of record for contact data and consent.
package crm

import (
	"context"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reader reads contacts and deals and can change nothing.
type Reader interface {
	// Lookup returns the contact of the subject's customer id, the order's deals
	// and the customer's open abandoned carts, by unique property, never by
	// search. Strong. Neither contact nor deal is Absent.
	Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error)

	// List walks deals that changed or were created within a window. It is made
	// of searches, which lag behind: never strong.
	List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error)
}

// Book is the port that an adapter implements. Contacts and deals are upserted
// on a unique property (our customer id, our order id), so each call may be
// repeated, also late, and two orders of one customer do no harm.
type Book interface {
	Reader

	// UpsertContact makes the customer's contact, or fills its empty fields;
	// what the CRM already holds stays. An e-mail taken by a contact without
	// customer id adopts that contact; taken by one with another customer id,
	// ours is made without e-mail and EmailTaken is set.
	UpsertContact(ctx context.Context, r ContactRequest) (ContactResult, error)

	// UpsertDeal makes or changes the order's deal and ties it to the contact.
	UpsertDeal(ctx context.Context, r DealRequest) (reconcile.Deal, error)

	// CloseCarts closes the customer's abandoned carts of this order: found by
	// cart id, else by customer id, else by e-mail. It returns those it found,
	// closed. None is no error.
	CloseCarts(ctx context.Context, s reconcile.Subject) ([]reconcile.Deal, error)
}

// ContactRequest asks for the customer's contact.
type ContactRequest struct {
	Order    order.ID       `json:"order"`
	Customer order.Customer `json:"customer"`
	ShipTo   order.Address  `json:"ship_to"`
}

// ContactResult is the contact as it stands.
type ContactResult struct {
	Contact    reconcile.Contact `json:"contact"`
	EmailTaken bool              `json:"email_taken,omitempty"`
}

// DealRequest asks for the order's deal, Revenue in minor units.
type DealRequest struct {
	Order   order.ID            `json:"order"`
	Contact string              `json:"contact"` // the contact's id in the CRM
	Cart    string              `json:"cart,omitempty"`
	Stage   reconcile.DealStage `json:"stage"`
	Revenue order.Amount        `json:"revenue"`
	// Leave are the fields of a deal that is there which stay as they are: its stage
	// (crm.deal) and its revenue (crm.revenue).
	Leave []reconcile.Field `json:"leave,omitempty"`
}

// RevenueChange asks for one change of the revenue of an order's deal, in minor
// units: what a planted break is made of.
type RevenueChange struct {
	Order order.ID     `json:"order"`
	From  order.Amount `json:"from"`
	To    order.Amount `json:"to"`
}
