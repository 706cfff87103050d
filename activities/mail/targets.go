package mail

import (
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What each write changes: the last hop compares it with what a repair was granted
// for.

// Target implements repair.Targeted.
func (r SendInput) Target() repair.Target {
	return repair.Target{System: order.SystemMail, Kinds: repair.Mends(reconcile.MailField(r.Template)), Order: r.Order, Key: r.Key}
}
