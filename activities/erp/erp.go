// Package erp keeps the books. The ERP is the system of record for the
// financial documents of an order.
package erp

import (
	"context"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reader reads documents and can change nothing.
type Reader interface {
	// Lookup returns the order's documents, drafts and cancelled ones included;
	// none is Absent. Strong.
	Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error)

	// List walks documents that changed or were created within a window.
	List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error)
}

// Books is the port that an adapter implements. The system has no keys: each
// document is made in two steps, a draft that books nothing, and its posting;
// the key is the document's reference, it is looked up before anything is made,
// the lowest id of several is kept and posted and the other drafts removed.
// Postings from the wrong state are silent no-ops there, so every call reads
// back what it did. So each call may be repeated, also late. A document that
// somebody else made under the same reference is adopted when its total is
// right and Conflict otherwise.
type Books interface {
	Reader

	// RecordSale books the sale of the whole order. Repeated with another
	// address, the sale gets it: an address may change until the goods are packed.
	RecordSale(ctx context.Context, r SaleRequest) (reconcile.Document, error)

	// PostInvoice books an invoice for a share of the order, with the taxes as
	// the order states them.
	PostInvoice(ctx context.Context, r InvoiceRequest) (reconcile.Document, error)

	// PostReceipt books money that was captured, or with a negative amount
	// money that was given back, against the order's invoices.
	PostReceipt(ctx context.Context, r ReceiptRequest) (reconcile.Document, error)

	// PostCredit books a credit note for a share that was invoiced and given back.
	// A share without lines is an amount alone, which a person decided to give.
	PostCredit(ctx context.Context, r InvoiceRequest) (reconcile.Document, error)
}

// SaleRequest asks to book a sale.
type SaleRequest struct {
	Key   string      `json:"key"`
	Order order.Order `json:"order"`
}

// InvoiceRequest asks to book an invoice or a credit note, in minor units of
// Currency.
type InvoiceRequest struct {
	Key      string         `json:"key"`
	Order    order.ID       `json:"order"`
	Customer order.Customer `json:"customer"`
	BillTo   order.Address  `json:"bill_to"`
	Currency order.Currency `json:"currency"`
	Share    order.Share    `json:"share"`
	Date     time.Time      `json:"date"` // of the document
}

// ReceiptRequest asks to book money that moved; negative for a refund.
type ReceiptRequest struct {
	Key      string         `json:"key"`
	Order    order.ID       `json:"order"`
	Customer order.Customer `json:"customer"`
	Amount   order.Amount   `json:"amount"`
	Payment  string         `json:"payment"` // the gateway's id of the capture or refund
	Date     time.Time      `json:"date"`
}
