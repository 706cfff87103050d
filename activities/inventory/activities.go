package inventory

import (
	"context"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Activities are the inventory operations that workflows call. They map errors;
// retries are the engine's and decisions the workflow's.
type Activities struct {
	Stock    Stock
	Switches *repair.Switches
	Now      func() time.Time
}

// ReserveStock promises the lines to the order.
func (a *Activities) ReserveStock(ctx context.Context, in repair.Write[ReserveRequest]) ([]reconcile.Reservation, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return nil, apierr.ToEngine("reserve stock", err)
	}
	result, err := a.Stock.Reserve(ctx, in.Request)
	return result, apierr.ToEngine("reserve stock", err)
}

// ReleaseStock leaves only what is to be kept of the order's reservations.
func (a *Activities) ReleaseStock(ctx context.Context, in repair.Write[ReleaseRequest]) ([]reconcile.Reservation, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return nil, apierr.ToEngine("release stock", err)
	}
	result, err := a.Stock.Release(ctx, in.Request)
	return result, apierr.ToEngine("release stock", err)
}

// SetStockLevel sets the stocked quantity of a SKU.
func (a *Activities) SetStockLevel(ctx context.Context, in repair.Write[SetLevelRequest]) (reconcile.Level, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Level{}, apierr.ToEngine("set stock level", err)
	}
	result, err := a.Stock.SetLevel(ctx, in.Request)
	return result, apierr.ToEngine("set stock level", err)
}

// ReadReservations reads what the inventory holds of an order. One that cannot be read is an
// observation too, and no error.
func (a *Activities) ReadReservations(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	at := a.Now()
	observation, err := a.Stock.Lookup(ctx, s)
	return reconcile.Read(order.SystemInventory, s.Order, at, observation, err), nil
}

// ReadStockLevel reads the level of a SKU.
func (a *Activities) ReadStockLevel(ctx context.Context, sku string) (reconcile.Level, error) {
	level, err := a.Stock.Level(ctx, sku)
	return level, apierr.ToEngine("read stock level", err)
}

// ReadStockLevels reads the levels of several SKUs. One that inventory does not
// know has none.
func (a *Activities) ReadStockLevels(ctx context.Context, skus []string) ([]reconcile.Level, error) {
	levels := make([]reconcile.Level, 0, len(skus))
	for _, sku := range skus {
		level, err := a.Stock.Level(ctx, sku)
		switch {
		case apierr.CodeOf(err) == apierr.NotFound:
			level = reconcile.Level{SKU: sku, At: a.Now()}
		case err != nil:
			return nil, apierr.ToEngine("read stock levels", err)
		}
		levels = append(levels, level)
	}
	return levels, nil
}
