package inventory

import (
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What each write changes: the last hop compares it with what a repair was granted
// for.

// Target implements repair.Targeted.
func (r ReserveRequest) Target() repair.Target {
	return repair.Target{System: order.SystemInventory, Kinds: repair.Mends(reconcile.InventoryReserved), Order: r.Order, Key: r.Key}
}

// Target implements repair.Targeted.
func (r ReleaseRequest) Target() repair.Target {
	return repair.Target{System: order.SystemInventory, Kinds: repair.Mends(reconcile.InventoryReserved), Order: r.Order, Key: r.Key}
}

// Target implements repair.Targeted.
func (r SetLevelRequest) Target() repair.Target {
	return repair.Target{System: order.SystemInventory, Kinds: repair.Mends(reconcile.InventoryLevel), SKU: r.SKU}
}
