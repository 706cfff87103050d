package erp

import (
	"context"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Activities are the erp operations that workflows call. They map errors;
// retries are the engine's and decisions the workflow's.
type Activities struct {
	Books    Books
	Switches *repair.Switches
	Now      func() time.Time
}

// RecordSale books the sale.
func (a *Activities) RecordSale(ctx context.Context, in repair.Write[SaleRequest]) (reconcile.Document, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Document{}, apierr.ToEngine("record sale", err)
	}
	result, err := a.Books.RecordSale(ctx, in.Request)
	return result, apierr.ToEngine("record sale", err)
}

// PostInvoice books an invoice.
func (a *Activities) PostInvoice(ctx context.Context, in repair.Write[InvoiceRequest]) (reconcile.Document, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Document{}, apierr.ToEngine("post invoice", err)
	}
	result, err := a.Books.PostInvoice(ctx, in.Request)
	return result, apierr.ToEngine("post invoice", err)
}

// PostReceipt books money that moved.
func (a *Activities) PostReceipt(ctx context.Context, in repair.Write[ReceiptRequest]) (reconcile.Document, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Document{}, apierr.ToEngine("post receipt", err)
	}
	result, err := a.Books.PostReceipt(ctx, in.Request)
	return result, apierr.ToEngine("post receipt", err)
}

// PostCredit books a credit note.
func (a *Activities) PostCredit(ctx context.Context, in repair.Write[InvoiceRequest]) (reconcile.Document, error) {
	if err := a.Switches.Check(in.Request.credited(), in.Grant); err != nil {
		return reconcile.Document{}, apierr.ToEngine("post credit note", err)
	}
	result, err := a.Books.PostCredit(ctx, in.Request)
	return result, apierr.ToEngine("post credit note", err)
}

// ReadBooks reads what the ERP holds of an order. One that cannot be read is an
// observation too, and no error.
func (a *Activities) ReadBooks(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	at := a.Now()
	observation, err := a.Books.Lookup(ctx, s)
	return reconcile.Read(order.SystemERP, s.Order, at, observation, err), nil
}
