package crm

import (
	"context"
	"fmt"
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
	// Leave are the fields that stay as they are there, also when nothing is there:
	// crm.contact, crm.deal, crm.revenue and crm.carts.
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
	result, err := a.update(ctx, in.Request)
	return result, apierr.ToEngine("update customer", err)
}

func (a *Activities) update(ctx context.Context, r CustomerRequest) (CustomerResult, error) {
	left, err := a.left(ctx, r)
	if err != nil {
		return CustomerResult{}, fmt.Errorf("what is left: %w", err)
	}
	result, leaves := CustomerResult{CRM: left}, func(f reconcile.Field) bool { return slices.Contains(r.Leave, f) }
	deal := r.Deal
	if len(left.Contacts) == 1 {
		deal.Contact = left.Contacts[0].ID
	}
	if !leaves(reconcile.CRMContact) {
		contact, err := a.Book.UpsertContact(ctx, r.Contact)
		if err != nil {
			return CustomerResult{}, fmt.Errorf("contact: %w", err)
		}
		result.EmailTaken, result.CRM.Contacts = contact.EmailTaken, []reconcile.Contact{contact.Contact}
		deal.Contact = contact.Contact.ID
	}
	// A deal that is there is tied to a contact that is made again.
	there, repaired := len(left.Deals) > 0, !leaves(reconcile.CRMRevenue) || !leaves(reconcile.CRMContact)
	if deal.Leave = r.Leave; !leaves(reconcile.CRMDeal) || there && repaired {
		d, err := a.Book.UpsertDeal(ctx, deal)
		if err != nil {
			return CustomerResult{}, fmt.Errorf("deal: %w", err)
		}
		result.CRM.Deals = []reconcile.Deal{d}
	}
	if !leaves(reconcile.CRMCarts) {
		if result.CRM.Carts, err = a.Book.CloseCarts(ctx, r.Subject); err != nil {
			return CustomerResult{}, fmt.Errorf("close carts: %w", err)
		}
	}
	return result, nil
}

// left reads what the CRM holds where something of it is to stay as it is.
func (a *Activities) left(ctx context.Context, r CustomerRequest) (reconcile.CRM, error) {
	if len(r.Leave) == 0 {
		return reconcile.CRM{}, nil
	}
	seen, err := a.Book.Lookup(ctx, r.Subject)
	if err != nil || seen.CRM == nil {
		return reconcile.CRM{}, err
	}
	return *seen.CRM, nil
}
