package crm

import (
	"context"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Activities are the crm operations that workflows call. They map errors;
// retries are the engine's and decisions the workflow's.
type Activities struct {
	Book     Book
	Switches *repair.Switches
	Now      func() time.Time
}

// ReadCRM reads what the CRM holds of an order. One that cannot be read is an
// observation too, and no error.
func (a *Activities) ReadCRM(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	at := a.Now()
	observation, err := a.Book.Lookup(ctx, s)
	return reconcile.Read(order.SystemCRM, s.Order, at, observation, err), nil
}

// CustomerRequest asks for everything that the CRM should hold of an order.
type CustomerRequest struct {
	Contact ContactRequest    `json:"contact"`
	Deal    DealRequest       `json:"deal"` // its Contact is filled in here
	Subject reconcile.Subject `json:"subject"`
	// Leave are the fields that stay as they are there: crm.deal, crm.revenue and
	// crm.carts. A deal that is not there is made with all of them.
	Leave []reconcile.Field `json:"leave,omitempty"`
}

// CustomerResult is what the CRM holds now.
type CustomerResult struct {
	CRM        reconcile.CRM `json:"crm"`
	EmailTaken bool          `json:"email_taken,omitempty"`
}

// UpdateCustomer brings contact, deal and cart to what the order means, in this
// order: a deal without its contact would be nobody's.
func (a *Activities) UpdateCustomer(ctx context.Context, in repair.Write[CustomerRequest]) (CustomerResult, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return CustomerResult{}, apierr.ToEngine("update customer", err)
	}
	contact, err := a.Book.UpsertContact(ctx, in.Request.Contact)
	if err != nil {
		return CustomerResult{}, apierr.ToEngine("update customer: contact", err)
	}
	result := CustomerResult{EmailTaken: contact.EmailTaken}
	result.CRM.Contacts = []reconcile.Contact{contact.Contact}
	request := in.Request.Deal
	request.Contact, request.Leave = contact.Contact.ID, in.Request.Leave
	deal, err := a.Book.UpsertDeal(ctx, request)
	if err != nil {
		return CustomerResult{}, apierr.ToEngine("update customer: deal", err)
	}
	result.CRM.Deals = []reconcile.Deal{deal}
	result.CRM.Carts, err = a.carts(ctx, in.Request)
	return result, apierr.ToEngine("update customer: close carts", err)
}

// carts closes the carts that became the order, or says which are open.
func (a *Activities) carts(ctx context.Context, r CustomerRequest) ([]reconcile.Deal, error) {
	if !slices.Contains(r.Leave, reconcile.CRMCarts) {
		return a.Book.CloseCarts(ctx, r.Subject)
	}
	seen, err := a.Book.Lookup(ctx, r.Subject)
	if err != nil || seen.CRM == nil {
		return nil, err
	}
	return seen.CRM.Carts, nil
}
