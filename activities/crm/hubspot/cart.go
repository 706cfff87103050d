package hubspot

import (
	"context"
	"fmt"
	"slices"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/reconcile"
)

// CloseCarts closes the abandoned carts that became this order.
func (c *Client) CloseCarts(ctx context.Context, s reconcile.Subject) ([]reconcile.Deal, error) {
	closed, err := c.closeCarts(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("close the abandoned carts of order %s: hubspot: %w", s.Order, err)
	}
	return closed, nil
}

func (c *Client) closeCarts(ctx context.Context, s reconcile.Subject) ([]reconcile.Deal, error) {
	found, err := c.carts(ctx, s, nil)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	ids := make([]string, 0, len(found))
	written := false
	for _, o := range found {
		ids = append(ids, o.ID)
		if c.stageOf(o) != reconcile.DealAbandoned {
			continue // by an earlier attempt, or by hand
		}
		values := map[string]string{"pipeline": c.config.Pipeline, "dealstage": c.config.LostStage}
		switch err := c.change(ctx, deals, o.ID, values); {
		case is(err, apierr.Conflict): // deleted since we looked, which is closed enough
		case err != nil:
			return nil, after(written, err)
		default:
			written = true
		}
	}
	again, err := c.batch(ctx, ids)
	if err != nil {
		return nil, after(written, err)
	}
	closed := make([]reconcile.Deal, 0, len(again))
	for _, o := range again {
		d, err := c.dealOf(o, s.Currency)
		if err != nil {
			return nil, after(written, err)
		}
		closed = append(closed, d)
	}
	return closed, nil
}

// carts finds the carts of an order: by cart id, whether abandoned or closed
// already; else those still abandoned of the customer's contact, and of the
// contact with the customer's e-mail unless it is another customer's: a guest
// becomes a customer at the checkout. ours is the customer's contact when it was
// read already.
func (c *Client) carts(ctx context.Context, s reconcile.Subject, ours *object) ([]object, error) {
	o, found, err := c.find(ctx, deals, PropertyCart, s.Cart)
	if err != nil {
		return nil, err
	}
	if found {
		stage := c.stageOf(o)
		if o.get(PropertyOrder) != "" || stage == reconcile.DealOpen || stage == reconcile.DealWon {
			return nil, nil // somebody is selling it
		}
		return []object{o}, nil
	}
	if ours == nil {
		contact, found, err := c.find(ctx, contacts, PropertyCustomer, s.Customer)
		if err != nil {
			return nil, err
		}
		if found {
			ours = &contact
		}
	}
	var carts []object
	if ours != nil {
		if carts, err = c.cartsOf(ctx, ours.ID, s); err != nil {
			return nil, err
		}
		if s.Email == "" || ours.hasEmail(s.Email) {
			return carts, nil
		}
	}
	holder, held, err := c.find(ctx, contacts, "email", s.Email)
	if err != nil || !held || holder.get(PropertyCustomer) != "" {
		return carts, err
	}
	guest, err := c.cartsOf(ctx, holder.ID, s)
	if err != nil {
		return nil, err
	}
	for _, o := range guest { // a cart may be tied to both
		if !slices.ContainsFunc(carts, func(has object) bool { return has.ID == o.ID }) {
			carts = append(carts, o)
		}
	}
	return carts, nil
}

// cartsOf returns a contact's abandoned carts that can be this order's.
func (c *Client) cartsOf(ctx context.Context, contact string, s reconcile.Subject) ([]object, error) {
	ids, err := c.associated(ctx, contacts, contact, deals)
	if err != nil {
		return nil, err
	}
	all, err := c.batch(ctx, ids)
	if err != nil {
		return nil, err
	}
	var carts []object
	for _, o := range all {
		cart := o.get(PropertyCart)
		switch {
		case c.stageOf(o) != reconcile.DealAbandoned, o.get(PropertyOrder) != "":
		case s.Cart != "" && cart != "" && cart != s.Cart: // known to be another cart
		case !s.PlacedAt.IsZero() && o.CreatedAt.After(s.PlacedAt.Add(c.config.CartWindow)): // begun later
		default:
			carts = append(carts, o)
		}
	}
	return carts, nil
}
