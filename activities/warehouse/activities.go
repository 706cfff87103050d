package warehouse

import (
	"context"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Activities are the warehouse operations that workflows call. They map errors;
// retries are the engine's and decisions the workflow's.
type Activities struct {
	Warehouse Warehouse
	Switches  *repair.Switches
	Now       func() time.Time
}

// RequestShipment asks for a shipment.
func (a *Activities) RequestShipment(ctx context.Context, in repair.Write[RequestRequest]) (reconcile.Shipment, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Shipment{}, apierr.ToEngine("request shipment", err)
	}
	result, err := a.Warehouse.Request(ctx, in.Request)
	return result, apierr.ToEngine("request shipment", err)
}

// UpdateShipmentAddress sends a shipment elsewhere.
func (a *Activities) UpdateShipmentAddress(ctx context.Context, in repair.Write[UpdateAddressRequest]) (reconcile.Shipment, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Shipment{}, apierr.ToEngine("update shipment address", err)
	}
	result, err := a.Warehouse.UpdateAddress(ctx, in.Request)
	return result, apierr.ToEngine("update shipment address", err)
}

// CancelShipment takes a request back. A shipment that is packed or later comes back
// as it is, without an error: reality wins.
func (a *Activities) CancelShipment(ctx context.Context, in repair.Write[CancelRequest]) (reconcile.Shipment, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Shipment{}, apierr.ToEngine("cancel shipment", err)
	}
	result, err := a.Warehouse.Cancel(ctx, in.Request)
	if err != nil && apierr.CodeOf(err) == apierr.Conflict && result.ID != "" {
		return result, nil
	}
	return result, apierr.ToEngine("cancel shipment", err)
}

// ReadShipments reads what the warehouse holds of an order. One that cannot be read is an
// observation too, and no error.
func (a *Activities) ReadShipments(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	at := a.Now()
	observation, err := a.Warehouse.Lookup(ctx, s)
	return reconcile.Read(order.SystemWarehouse, s.Order, at, observation, err), nil
}

// CountStock reads the physical stock of a SKU.
func (a *Activities) CountStock(ctx context.Context, sku string) (reconcile.Count, error) {
	count, err := a.Warehouse.Count(ctx, sku)
	return count, apierr.ToEngine("count stock", err)
}
