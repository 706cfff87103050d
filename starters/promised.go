package starters

import (
	"context"
	"fmt"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// promised lists the orders to which one of some SKUs is promised. Visibility knows
// orders by no SKU, so all that are remembered are walked past, page by page, and those
// are kept; their number is bounded, and not that of all. Of a closed run the order's
// latest one is asked: it may promise nothing any more.
func (c *Client) promised(ctx context.Context, q reconciliation.IntentQuery) ([]reconciliation.Known, error) {
	failed := func(err error) error {
		return fmt.Errorf("list the orders to which %d SKUs are promised: %w", len(q.SKUs), err)
	}
	var known []reconciliation.Known
	var closed []order.ID
	running, asked := map[order.ID]bool{}, map[order.ID]bool{}
	for page, more := []byte(nil), true; more && len(known)+len(closed) < q.Limit; more = len(page) > 0 {
		listed, next, err := c.Engine.List(ctx, orderQuery(""), dayPage, page)
		if err != nil {
			return nil, failed(err)
		}
		for _, l := range listed {
			id, ours := workflows.OrderOf(l.ID)
			if !ours {
				continue
			}
			switch k := knownOf(id, l); {
			case !k.Promises(q.SKUs...):
			case l.Running:
				known = append(known, k)
				running[id] = true
			case !asked[id]: // it has other runs that are closed
				closed, asked[id] = append(closed, id), true
			}
		}
		page = next
	}
	if len(closed) == 0 {
		return known, nil
	}
	latest, err := c.Intents(ctx, reconciliation.IntentQuery{IDs: closed})
	if err != nil {
		return nil, failed(err)
	}
	for _, k := range latest {
		if k.Promises(q.SKUs...) && !running[k.Intent.Order] {
			known = append(known, k)
		}
	}
	return known, nil
}
