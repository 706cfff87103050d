package medusa

import (
	"context"
	"errors"
	"fmt"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Release leaves only Keep of the order's reservations.
func (c *Client) Release(ctx context.Context, r inventory.ReleaseRequest) ([]reconcile.Reservation, error) {
	held, err := c.release(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s stock of order %s: %w", r.Operation, r.Order, err)
	}
	return reservationsOf(held), nil
}

func (c *Client) release(ctx context.Context, r inventory.ReleaseRequest) ([]promise, error) {
	if r.Operation != order.Release && r.Operation != order.Commit {
		return nil, apierr.New(apierr.Invalid, "", fmt.Errorf("%q is neither %q nor %q", r.Operation, order.Release, order.Commit))
	}
	held, err := c.held(ctx, r.Order)
	if err != nil {
		return nil, err
	}
	stays := share(held, r.Keep)
	changed := false
	for _, p := range held { // what goes makes room for what is lowered
		if stays[p.ID] > 0 {
			continue
		}
		changed = true
		if err := c.remove(ctx, r.Operation, p.ID); err != nil {
			return nil, err
		}
	}
	again := inventory.ReserveRequest{Key: r.Key, Order: r.Order}
	for _, p := range held {
		if keep := stays[p.ID]; keep > 0 && keep < p.Quantity {
			changed = true
			if err := c.lower(ctx, r.Operation, again, p, keep); err != nil {
				return nil, fmt.Errorf("keep %d of sku %s: %w", keep, p.SKU, err)
			}
		}
	}
	if !changed {
		return held, nil
	}
	return c.left(ctx, r)
}

// left reads back what Release left, which must be no more than Keep.
func (c *Client) left(ctx context.Context, r inventory.ReleaseRequest) ([]promise, error) {
	held, err := c.held(ctx, r.Order)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", inDoubt(err))
	}
	stays := share(held, r.Keep)
	for _, p := range held {
		if stays[p.ID] < p.Quantity || stays[p.ID] == 0 {
			return nil, apierr.New(apierr.InDoubt, "", errors.New("medusa: more is reserved than what was to stay"))
		}
	}
	return held, nil
}

// share says how much of each reservation stays, by id: of each line the lowest
// one, and no more than it holds. What is kept by SKU alone goes to the SKU's
// lines in order.
func share(held []promise, keep []order.Quantity) map[string]int64 {
	perLine, perSKU := map[int]order.Quantity{}, map[string]int64{}
	for _, q := range keep {
		if q.Line == 0 {
			perSKU[q.SKU] += q.Quantity
			continue
		}
		had := perLine[q.Line]
		perLine[q.Line] = order.Quantity{Line: q.Line, SKU: q.SKU, Quantity: had.Quantity + q.Quantity}
	}
	stays, done := map[string]int64{}, map[int]bool{}
	for _, p := range held { // sorted: the lowest id of a line comes first
		if p.Line > 0 && done[p.Line] {
			continue
		}
		if line, ok := perLine[p.Line]; ok && line.SKU == p.SKU {
			stays[p.ID] = max(0, min(line.Quantity, p.Quantity))
			done[p.Line] = true
			continue
		}
		if n := min(perSKU[p.SKU], p.Quantity); n > 0 {
			stays[p.ID] = n
			perSKU[p.SKU] -= n
			done[p.Line] = true
		}
	}
	return stays
}
