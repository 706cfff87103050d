package hubspot

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// OrdersOf returns the orders that an event is about: a deal's own order, also
// when the deal was deleted; the orders that may have come from an abandoned
// cart, which a shop may announce when they are won already; the orders of all
// deals of a contact. None is no error: most records of a CRM are not ours.
func (c *Client) OrdersOf(ctx context.Context, e Event) ([]order.ID, error) {
	var orders []order.ID
	var err error
	switch {
	case !validID(e.ObjectID):
		err = apierr.New(apierr.Invalid, "", fmt.Errorf("%q is not the id of a record", e.ObjectID))
	case e.Deal():
		orders, err = c.ordersOfDeal(ctx, e.ObjectID)
	case e.Contact():
		orders, err = c.ordersOfContact(ctx, e.ObjectID)
	}
	if err != nil {
		return nil, fmt.Errorf("find the order of an event %s: hubspot: %w", e.Type, err)
	}
	return orders, nil
}

func (c *Client) ordersOfDeal(ctx context.Context, id string) ([]order.ID, error) {
	for _, archived := range []string{"false", "true"} {
		q := call{
			operation: lookup, method: http.MethodGet, path: "/crm/v3/objects/deals/" + escape(id),
			query: url.Values{"properties": {strings.Join(dealProperties, ",")}, "archived": {archived}},
		}
		var o object
		err := c.do(ctx, q, &o)
		switch {
		case is(err, apierr.NotFound):
			continue
		case err != nil:
			return nil, err
		case !validID(o.ID):
			return nil, nonsense(q, "a deal without an id")
		}
		// After a merge the answer is the deal that is left, and that one counts.
		if of, ok := orderOf(o); ok {
			return []order.ID{of}, nil
		}
		if c.stageOf(o) == reconcile.DealAbandoned && !o.Archived {
			return c.ordersOfCart(ctx, o)
		}
		return nil, nil
	}
	return nil, nil
}

// ordersOfCart returns the orders of a cart's contacts that are not older than
// it by more than the cart window: to the others it cannot belong.
func (c *Client) ordersOfCart(ctx context.Context, cart object) ([]order.ID, error) {
	people, err := c.associated(ctx, deals, cart.ID, contacts)
	if is(err, apierr.NotFound) { // it was deleted since we looked
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var orders []order.ID
	for _, contact := range people {
		found, err := c.dealsOf(ctx, contact)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			of, ok := orderOf(o)
			if ok && !o.CreatedAt.Add(c.config.CartWindow).Before(cart.CreatedAt) && !slices.Contains(orders, of) {
				orders = append(orders, of)
			}
		}
	}
	slices.Sort(orders)
	return orders, nil
}

// dealsOf returns the deals of a contact, none when it is gone.
func (c *Client) dealsOf(ctx context.Context, contact string) ([]object, error) {
	ids, err := c.associated(ctx, contacts, contact, deals)
	if is(err, apierr.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.batch(ctx, ids)
}

func (c *Client) ordersOfContact(ctx context.Context, id string) ([]order.ID, error) {
	found, err := c.dealsOf(ctx, id)
	if err != nil {
		return nil, err
	}
	var orders []order.ID
	for _, o := range found {
		if of, ok := orderOf(o); ok && !slices.Contains(orders, of) {
			orders = append(orders, of)
		}
	}
	slices.Sort(orders)
	return orders, nil
}
