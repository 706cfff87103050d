package payment

import (
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What each write changes: the last hop compares it with what a repair was granted
// for.

// Target implements repair.Targeted. Charging anew is decided by a person.
func (r AuthorizeRequest) Target() repair.Target {
	return repair.Target{System: order.SystemPayment, Order: r.Order, Key: r.Key}
}

// Target implements repair.Targeted.
func (r CaptureRequest) Target() repair.Target {
	return repair.Target{System: order.SystemPayment, Kinds: repair.Mends(reconcile.PaymentCaptured), Order: r.Order, Key: r.Key}
}

// Target implements repair.Targeted.
func (r VoidRequest) Target() repair.Target {
	return repair.Target{System: order.SystemPayment, Kinds: repair.Mends(reconcile.PaymentOpen), Order: r.Order, Key: r.Key}
}

// Target implements repair.Targeted. Only a surplus goes back without a person.
func (r RefundRequest) Target() repair.Target {
	return repair.Target{System: order.SystemPayment, Kinds: repair.Mends(reconcile.PaymentAttempts), Order: r.Order, Key: r.Key}
}
