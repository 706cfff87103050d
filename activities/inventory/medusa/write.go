package medusa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// create makes one reservation and checks that the answer is about it. What it
// says is only a receipt: the caller reads all of the order's again.
func (c *Client) create(ctx context.Context, r inventory.ReserveRequest, line order.Quantity, g goods) error {
	q := call{
		operation: order.Reserve, method: http.MethodPost, path: "/admin/reservations", write: true,
		query: url.Values{"fields": {wanted}},
		body: map[string]any{
			"inventory_item_id": g.item, "location_id": g.location, "quantity": line.Quantity,
			"line_item_id": reference(r.Order), "description": description(r.Key, line.Line),
			"metadata": map[string]any{"order_id": r.Order, "line": line.Line, "channel": c.config.Channel},
		},
	}
	err := c.receipt(ctx, q, r.Order, "")
	if apierr.CodeOf(err) == apierr.NotFound {
		err = c.unstocked(g, err)
	}
	return err
}

// resize sets a reservation's quantity.
func (c *Client) resize(ctx context.Context, operation order.Operation, of order.ID, id string, quantity int64) error {
	return c.receipt(ctx, call{
		operation: operation, method: http.MethodPost, path: "/admin/reservations/" + id, write: true,
		query: url.Values{"fields": {wanted}}, body: map[string]any{"quantity": quantity},
	}, of, id)
}

// receipt makes a call that answers with one reservation, of this order and,
// unless it is empty, with this id.
func (c *Client) receipt(ctx context.Context, q call, of order.ID, id string) error {
	var in struct {
		Reservation reservation `json:"reservation"`
	}
	if err := c.do(ctx, q, &in); err != nil {
		return err
	}
	p, err := parse(in.Reservation)
	if err != nil {
		return q.nonsense(err)
	}
	if line := in.Reservation.LineItem; line == nil || *line != reference(of) || id != "" && p.ID != id {
		return q.nonsense(errors.New("the answer is about another reservation"))
	}
	return nil
}

// remove deletes one reservation; one that is gone is deleted again without
// complaint.
func (c *Client) remove(ctx context.Context, operation order.Operation, id string) error {
	q := call{operation: operation, method: http.MethodDelete, path: "/admin/reservations/" + id, write: true}
	var in struct {
		ID      string `json:"id"`
		Deleted bool   `json:"deleted"`
	}
	if err := c.do(ctx, q, &in); err != nil {
		return err
	}
	if in.ID != id || !in.Deleted {
		return q.nonsense(errors.New("the answer is about another reservation"))
	}
	return nil
}

// SetLevel sets the stocked quantity of one SKU and reads it back.
func (c *Client) SetLevel(ctx context.Context, r inventory.SetLevelRequest) (reconcile.Level, error) {
	l, err := c.setLevel(ctx, r)
	if err != nil {
		return reconcile.Level{}, fmt.Errorf("set the stock level of %s to %d: %w", r.SKU, r.Stocked, err)
	}
	return l, nil
}

func (c *Client) setLevel(ctx context.Context, r inventory.SetLevelRequest) (reconcile.Level, error) {
	if r.Stocked < 0 {
		return reconcile.Level{}, apierr.New(apierr.Invalid, "", errors.New("medusa takes no level below 0"))
	}
	g, err := c.goods(ctx, r.SKU)
	if err != nil {
		return reconcile.Level{}, err
	}
	q := call{
		operation: order.Adjust, method: http.MethodPost, write: true,
		path:  "/admin/inventory-items/" + g.item + "/location-levels/" + g.location,
		query: url.Values{"fields": {"id,sku"}}, body: map[string]json.Number{"stocked_quantity": json.Number(fmt.Sprint(r.Stocked))},
	}
	var in struct {
		Item named `json:"inventory_item"`
	}
	if err := c.do(ctx, q, &in); err != nil {
		if apierr.CodeOf(err) == apierr.NotFound {
			err = c.unstocked(g, err)
		}
		return reconcile.Level{}, err
	}
	if in.Item.ID != g.item {
		return reconcile.Level{}, q.nonsense(errors.New("the answer is about another item"))
	}
	l, err := c.level(ctx, r.SKU)
	if err != nil {
		return reconcile.Level{}, fmt.Errorf("read back: %w", inDoubt(err))
	}
	if l.Stocked != r.Stocked {
		return reconcile.Level{}, q.nonsense(fmt.Errorf("the level reads back as %d", l.Stocked))
	}
	return l, nil
}

// inDoubt is an error after a write had its effect: whatever it says of itself,
// the operation has happened, and the next attempt looks.
func inDoubt(err error) error {
	if err == nil || apierr.CodeOf(err) == apierr.InDoubt {
		return err
	}
	return apierr.New(apierr.InDoubt, apierr.ReasonOf(err), err)
}
