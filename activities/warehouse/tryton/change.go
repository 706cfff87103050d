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
// And goods that came back are there.
func (r record) tooLate() bool {
	return r.State == statePacked || r.State == stateReceived || r.State == stateDone
}

func (r record) cancelled() bool { return r.State == stateCancelled || r.State == stateCancel }

// refusal is what a closed parcel answers to whoever wants to change it.
func (r record) refusal() (reconcile.Shipment, error) {
	out, err := r.shipment()
	if err != nil {
		return out, err
	}
	return out, apierr.New(apierr.Conflict, string(out.State), fmt.Errorf("the %s is already %s", r.kind.note, out.State))
}

// UpdateAddress points the shipment to another address: all of them, where the
// warehouse has split it. One that is packed or gone and goes elsewhere is
// Conflict, and none is changed then.
func (c *Client) UpdateAddress(ctx context.Context, r warehouse.UpdateAddressRequest) (reconcile.Shipment, error) {
	s := c.rpc.For(string(order.UpdateAddress))
	out, err := c.updateAddress(ctx, s, r)
	if err = s.Believe(ctx, err, c.forget); err != nil {
		return out, fmt.Errorf("change the address of shipment %s of order %s: tryton: %w", r.Key, r.Order, err)
	}
	return out, nil
}

func (c *Client) updateAddress(ctx context.Context, s rpc.Session, r warehouse.UpdateAddressRequest) (reconcile.Shipment, error) {
	if err := keyOf(r.Key, r.Order, shipments); err != nil {
		return reconcile.Shipment{}, err
	}
	written := false
	for range rounds {
		found, err := c.byKey(ctx, s, shipments, r.Key)
		if err != nil {
			return reconcile.Shipment{}, after(written, err)
		}
		kept := choose(found)
		if kept == nil {
			return reconcile.Shipment{}, apierr.New(apierr.NotFound, "", errors.New("the warehouse has no such shipment"))
		}
		elsewhere, closed := toUpdate(found, AddressLine(r.ShipTo))
		switch {
		case closed != nil:
			return closed.refusal()
		case kept.cancelled() && kept.Address.Line() != AddressLine(r.ShipTo):
			return kept.refusal()
		case len(elsewhere) == 0:
			out, err := kept.shipment()
			return out, after(written, err)
		}
		for _, one := range elsewhere {
			changed, err := c.readdress(ctx, s, one, r)
			if err != nil {
				return reconcile.Shipment{}, after(written, err)
			}
			written = written || changed
		}
	}
	return reconcile.Shipment{}, apierr.New(apierr.InDoubt, "", errors.New("the shipment keeps changing"))
}

// toUpdate returns the shipments that go elsewhere and may be changed, and one
// that may not, if there is one. A draft beside a live one is no parcel yet.
func toUpdate(found []record, address string) (elsewhere []record, closed *record) {
	kept := choose(found)
	for i, r := range found {
		switch {
		case r.cancelled(), r.Address.Line() == address, r.State == stateDraft && r.ID != kept.ID && len(r.moves) == 0:
		case r.tooLate():
			return nil, &found[i]
		default:
			elsewhere = append(elsewhere, r)
		}
	}
	return elsewhere, nil
}

// readdress changes one shipment, unless somebody was faster.
func (c *Client) readdress(ctx context.Context, s rpc.Session, one record, r warehouse.UpdateAddressRequest) (changed bool, err error) {
	who, err := c.partyOf(ctx, s, one.ID)
	if err != nil {
		return false, err
	}
	to, err := c.place(ctx, s, r.Order, who, r.ShipTo)
	if err != nil {
		return false, err
	}
	err = s.Write(ctx, one.at(), map[string]any{"delivery_address": to})
	if rpc.Changed(err) {
		return false, nil
	}
	return err == nil, err
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

// Cancel takes a request back: every shipment of the key, where the warehouse
// has split it. When one of them is packed or gone, the others are cancelled all
// the same, for each parcel that stays saves a way back, and Conflict comes with
// the one that is too late. A return that did not arrive yet is called off so too.
func (c *Client) Cancel(ctx context.Context, r warehouse.CancelRequest) (reconcile.Shipment, error) {
	out, err := c.cancel(ctx, c.rpc.For(string(order.Cancel)), r)
	if err != nil {
		return out, fmt.Errorf("cancel shipment %s of order %s: tryton: %w", r.Key, r.Order, err)
	}
	return out, nil
}

func (c *Client) cancel(ctx context.Context, s rpc.Session, r warehouse.CancelRequest) (reconcile.Shipment, error) {
	k := kindOf(r.Key)
	if err := keyOf(r.Key, r.Order, k); err != nil {
		return reconcile.Shipment{}, err
	}
	pressed := false
	for range rounds {
		found, err := c.byKey(ctx, s, k, r.Key)
		if err != nil {
			return reconcile.Shipment{}, after(pressed, err)
		}
		kept := choose(found)
		if kept == nil {
			return reconcile.Shipment{}, nil
		}
		open, closed, drafts := toCancel(found)
		settled, err := c.remove(ctx, s, drafts)
		switch {
		case err != nil:
			return reconcile.Shipment{}, after(pressed, err)
		case !settled:
			continue
		case len(open) == 0 && closed != nil:
			return closed.refusal()
		case len(open) == 0:
			out, err := kept.shipment()
			return out, after(pressed, err)
		}
		for _, one := range open {
			err := s.Press(ctx, one.at(), "cancel")
			if err != nil && !rpc.Changed(err) {
				return reconcile.Shipment{}, after(pressed, err)
			}
			pressed = pressed || err == nil
		}
	}
	return reconcile.Shipment{}, apierr.New(apierr.InDoubt, "", errors.New("the shipment keeps changing"))
}

// toCancel returns the records of a key that can be cancelled, the first that
// is too late, and the drafts that are removed instead. A draft that stands alone
// is cancelled and not removed, so that a late request of the same key finds it
// and makes nothing.
func toCancel(found []record) (open []record, closed *record, drafts []record) {
	kept := choose(found)
	for i, r := range found {
		switch {
		case r.cancelled():
		case r.tooLate():
			if closed == nil {
				closed = &found[i]
			}
		case r.State == stateDraft && r.ID != kept.ID:
			drafts = append(drafts, r)
		default:
			open = append(open, r)
		}
	}
	return open, closed, drafts
}

// after classifies an error that may follow an effect of the same call.
func after(effect bool, err error) error {
	if effect && err != nil {
		return rpc.AfterEffect(err)
	}
	return err
}
