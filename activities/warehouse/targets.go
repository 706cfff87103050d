package warehouse

import (
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What each write changes: the last hop compares it with what a repair was granted
// for.

// Target implements repair.Targeted: what is missing is requested, and nothing that
// is not.
func (r RequestRequest) Target() repair.Target {
	kind := reconcile.Kind{System: order.SystemWarehouse, Field: reconcile.WarehouseShipment, Situation: reconcile.Missing}
	if r.Return {
		kind.Field = reconcile.WarehouseReturn
	}
	return repair.Target{System: order.SystemWarehouse, Kinds: []reconcile.Kind{kind}, Order: r.Order, Key: r.Key}
}

// Target implements repair.Targeted. An address is no field: nothing compares it.
func (r UpdateAddressRequest) Target() repair.Target {
	return repair.Target{System: order.SystemWarehouse, Order: r.Order, Key: r.Key}
}

// Target implements repair.Targeted: what nobody wants is cancelled.
func (r CancelRequest) Target() repair.Target {
	kind := reconcile.Kind{System: order.SystemWarehouse, Field: reconcile.WarehouseShipment, Situation: reconcile.Unexpected}
	return repair.Target{System: order.SystemWarehouse, Kinds: []reconcile.Kind{kind}, Order: r.Order, Key: r.Key}
}
