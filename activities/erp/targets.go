package erp

import (
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What each write changes: the last hop compares it with what a repair was granted
// for.

// Target implements repair.Targeted.
func (r SaleRequest) Target() repair.Target {
	return repair.Target{System: order.SystemERP, Kinds: repair.Mends(reconcile.ERPSale), Order: r.Order.ID, Key: r.Key}
}

// Target implements repair.Targeted, of an invoice.
func (r InvoiceRequest) Target() repair.Target {
	return repair.Target{System: order.SystemERP, Kinds: repair.Mends(reconcile.ERPInvoices), Order: r.Order, Key: r.Key}
}

// credited is the target when a credit note is asked for, in the same words.
func (r InvoiceRequest) credited() repair.Target {
	t := r.Target()
	t.Kinds = repair.Mends(reconcile.ERPCredits)
	return t
}

// Target implements repair.Targeted.
func (r ReceiptRequest) Target() repair.Target {
	return repair.Target{System: order.SystemERP, Kinds: repair.Mends(reconcile.ERPReceipts), Order: r.Order, Key: r.Key}
}
