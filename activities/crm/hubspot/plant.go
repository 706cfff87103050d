package hubspot

import (
	"context"
	"fmt"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// SetRevenue changes the revenue of an order's deal from one value to another,
// and nothing else: what plants a break, and takes it away again. Done twice it
// changes nothing the second time. A deal that has neither value was changed by
// somebody else: Conflict, without effect. HubSpot has no conditional write, so
// who writes in the moment between the look and the write is overwritten.
func (c *Client) SetRevenue(ctx context.Context, r crm.RevenueChange) (reconcile.Deal, error) {
	d, err := c.setRevenue(ctx, r)
	if err != nil {
		return reconcile.Deal{}, fmt.Errorf("set the revenue of the deal of order %s: hubspot: %w", r.Order, err)
	}
	return d, nil
}

func (c *Client) setRevenue(ctx context.Context, r crm.RevenueChange) (reconcile.Deal, error) {
	if _, known := r.To.Currency.Decimals(); !known || r.From.Currency != r.To.Currency {
		return reconcile.Deal{}, apierr.New(apierr.Invalid, "", fmt.Errorf("from %q to %q; want one known currency", r.From.Currency, r.To.Currency))
	}
	has, found, err := c.find(ctx, deals, PropertyOrder, string(r.Order))
	if err != nil {
		return reconcile.Deal{}, err
	}
	if !found {
		return reconcile.Deal{}, apierr.New(apierr.NotFound, "", fmt.Errorf("order %s has no deal", r.Order))
	}
	deal, err := c.dealOf(has, r.To.Currency)
	switch {
	case err != nil:
		return reconcile.Deal{}, err
	case deal.Revenue == r.To.Minor:
		return deal, nil
	case deal.Revenue != r.From.Minor:
		return reconcile.Deal{}, apierr.New(apierr.Conflict, "", fmt.Errorf("the deal's revenue is %s by now",
			order.Amount{Minor: deal.Revenue, Currency: deal.Currency}))
	}
	if err := c.change(ctx, deals, has.ID, map[string]string{"amount": order.FormatMinor(r.To.Minor, r.To.Currency)}); err != nil {
		return reconcile.Deal{}, err
	}
	deal, err = c.readDeal(ctx, crm.DealRequest{Order: r.Order, Revenue: r.To})
	return deal, doubt(err)
}
