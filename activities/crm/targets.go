package crm

import (
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What each write changes: the last hop compares it with what a repair was granted
// for.

// Target implements repair.Targeted.
func (r CustomerRequest) Target() repair.Target {
	return repair.Target{System: order.SystemCRM, Order: r.Contact.Order, Kinds: repair.Mends(reconcile.CRMContact, reconcile.CRMDeal, reconcile.CRMRevenue, reconcile.CRMCarts)}
}
