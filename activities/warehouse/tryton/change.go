package tryton

import (
	"context"
	"errors"
	"fmt"

	"github.com/trueup-orders/trueup/activities/apierr"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// tooLate says that the parcel is closed: Tryton itself would let a packed
// shipment be cancelled, and its address be changed even when it is on its way.
func tooLate(state string) bool { return state == statePacked || state == stateDone }

// UpdateAddress points the shipment to another address.
func (c *Client) UpdateAddress(ctx context.Context, r warehouse.UpdateAddressRequest) (reconcile.Shipment, error) {
	out, err := c.updateAddress(ctx, c.rpc.For(string(order.UpdateAddress)), r)
	if err != nil {
		return out, fmt.Errorf("change the address of shipment %s of order %s: tryton: %w", r.Key, r.Order, err)
	}
	return out, nil
}

func (c *Client) updateAddress(ctx context.Context, s rpc.Session, r warehouse.UpdateAddressRequest) (reconcile.Shipment, error) {
	if err := keyOf(r.Key, r.Order); err != nil {
		return reconcile.Shipment{}, err
	}
	written := false
	for range rounds {
		found, err := c.byKey(ctx, s, r.Key)
		if err != nil {
			return reconcile.Shipment{}, after(written, err)
		}
		kept, _ := choose(found)
		if kept == nil {
			return reconcile.Shipment{}, apierr.New(apierr.NotFound, "", errors.New("the warehouse has no such shipment"))
		}
		out, err := kept.shipment()
		if err != nil {
			return out, after(written, err)
		}
		if kept.Address.Line() == AddressLine(r.ShipTo) {
			return out, nil
		}
		if tooLate(kept.State) || out.State == reconcile.ShipmentCancelled {
			return out, apierr.New(apierr.Conflict, string(out.State), fmt.Errorf("the shipment is already %s", out.State))
		}
		who, err := c.partyOf(ctx, s, kept.ID)
		if err != nil {
			return reconcile.Shipment{}, err
		}
		to, err := c.place(ctx, s, r.Order, who, r.ShipTo)
		if err != nil {
			return reconcile.Shipment{}, err
		}
		err = s.Write(ctx, rpc.Record{Model: modelShipment, ID: kept.ID, Version: kept.Version}, map[string]any{"delivery_address": to})
		if err != nil && !rpc.Changed(err) {
			return reconcile.Shipment{}, err
		}
		written = err == nil
	}
	return reconcile.Shipment{}, apierr.New(apierr.InDoubt, "", errors.New("the shipment keeps changing"))
}

// partyOf returns the customer of a shipment, whose address it must be.
func (c *Client) partyOf(ctx context.Context, s rpc.Session, id int64) (int64, error) {
	var found []struct {
		Customer int64 `json:"customer"`
	}
	err := s.Find(ctx, rpc.Query{Model: modelShipment, Where: rpc.Domain{[]any{"id", "=", id}}, Fields: []string{"customer"}}, &found)
	if err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, apierr.New(apierr.Unavailable, "", errors.New("the shipment is gone"))
	}
	return found[0].Customer, nil
}

// Cancel takes a request back.
func (c *Client) Cancel(ctx context.Context, r warehouse.CancelRequest) (reconcile.Shipment, error) {
	out, err := c.cancel(ctx, c.rpc.For(string(order.Cancel)), r)
	if err != nil {
		return out, fmt.Errorf("cancel shipment %s of order %s: tryton: %w", r.Key, r.Order, err)
	}
	return out, nil
}

func (c *Client) cancel(ctx context.Context, s rpc.Session, r warehouse.CancelRequest) (reconcile.Shipment, error) {
	if err := keyOf(r.Key, r.Order); err != nil {
		return reconcile.Shipment{}, err
	}
	pressed := false
	for range rounds {
		found, err := c.byKey(ctx, s, r.Key)
		if err != nil {
			return reconcile.Shipment{}, after(pressed, err)
		}
		kept, surplus := choose(found)
		if kept == nil {
			return reconcile.Shipment{}, nil
		}
		out, err := kept.shipment()
		if err != nil {
			return out, after(pressed, err)
		}
		settled, err := c.remove(ctx, s, surplus)
		switch {
		case err != nil:
			return reconcile.Shipment{}, after(pressed, err)
		case !settled:
			continue
		case tooLate(kept.State):
			return out, apierr.New(apierr.Conflict, string(out.State), fmt.Errorf("the shipment is already %s", out.State))
		case out.State == reconcile.ShipmentCancelled:
			return out, nil
		}
		// A draft is cancelled too and not removed, so that a late request of
		// the same key finds it and makes nothing.
		err = s.Press(ctx, rpc.Record{Model: modelShipment, ID: kept.ID, Version: kept.Version}, "cancel")
		if err != nil && !rpc.Changed(err) {
			return reconcile.Shipment{}, err
		}
		pressed = err == nil
	}
	return reconcile.Shipment{}, apierr.New(apierr.InDoubt, "", errors.New("the shipment keeps changing"))
}

// after classifies an error that may follow an effect of the same call.
func after(effect bool, err error) error {
	if effect {
		return rpc.AfterEffect(err)
	}
	return err
}
