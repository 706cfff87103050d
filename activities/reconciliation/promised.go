package reconciliation

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.temporal.io/sdk/activity"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// To whom a SKU is promised, when its level, its count and what is promised of it
// do not go together.

// atOdds looks again at such a SKU before its level is suspected or anybody goes
// without: with every order to which it is promised, and with what the warehouse
// says of these now. What left a moment ago is in no count any more, and its order
// may not know it yet.
func (a *Activities) atOdds(ctx context.Context, level reconcile.Level, count reconcile.Count, out *Screened) {
	all, err := a.promised(ctx, count.SKU, out)
	if err != nil {
		activity.GetLogger(ctx).Warn("it could not be read to whom a SKU is promised; the next run compares it", "sku", count.SKU, "error", err)
		return
	}
	if a.moving(all, count.SKU) {
		return // by an order that changed after what this run looks at
	}
	left := uncommitted(all, count.SKU)
	if level.Stocked != count.Quantity+left {
		out.Stock = append(out.Stock, StockSuspect{SKU: count.SKU, Level: level.Stocked, Count: count.Quantity, Uncommitted: left})
	}
	if level.Reserved > count.Quantity+left {
		shortages(all, count, out)
	}
}

// promised returns the orders to which a SKU is promised, the oldest first, with
// their shipments as the warehouse has them now.
func (a *Activities) promised(ctx context.Context, sku string, out *Screened) ([]Known, error) {
	all, err := a.Keeper.Intents(ctx, IntentQuery{Limit: mostOrders})
	if err != nil {
		out.Unread = appendNew(out.Unread, order.SystemInventory)
		return nil, fmt.Errorf("list the orders to which %s is promised: %w", sku, err)
	}
	out.Truncated = out.Truncated || len(all) >= mostOrders // the oldest may not be among them
	all = slices.DeleteFunc(all, func(k Known) bool {
		return !slices.ContainsFunc(k.Intent.Reserved, func(q order.Quantity) bool { return q.SKU == sku })
	})
	slices.SortFunc(all, func(x, y Known) int {
		return cmp.Or(x.Intent.PlacedAt.Compare(y.Intent.PlacedAt), cmp.Compare(x.Intent.Order, y.Intent.Order))
	})
	if err := a.asShipped(ctx, all); err != nil {
		out.Unread = appendNew(out.Unread, order.SystemWarehouse)
		return nil, err
	}
	return all, nil
}

// asShipped puts what the warehouse says now in the place of what the orders last
// knew of their shipments.
func (a *Activities) asShipped(ctx context.Context, all []Known) error {
	n := slices.IndexFunc(a.Readers, func(r SystemReader) bool { return r.System == order.SystemWarehouse })
	if n < 0 {
		return nil
	}
	reader := a.Readers[n].Reader
	for these := range slices.Chunk(all, batch) {
		seen, err := lookUp(ctx, reader, these)
		if err != nil {
			return fmt.Errorf("look up the shipments of %d orders: %w", len(these), err)
		}
		for i, o := range seen {
			these[i].Intent.Shipments = nil
			if o.Warehouse == nil {
				continue
			}
			for _, sh := range o.Warehouse.Shipments {
				if sh.State.Live() {
					these[i].Intent.Shipments = append(these[i].Intent.Shipments, reconcile.ShipmentIntent{Key: sh.Key, Lines: sh.Lines, State: sh.State})
				}
			}
		}
		activity.RecordHeartbeat(ctx, len(these))
	}
	return nil
}

// lookUp looks orders up in one system, together where it can.
func lookUp(ctx context.Context, reader Reader, known []Known) ([]reconcile.Observation, error) {
	subjects := make([]reconcile.Subject, len(known))
	for i, k := range known {
		subjects[i] = k.Subject
	}
	if many, can := reader.(ManyReader); can {
		if seen, err := many.LookupMany(ctx, subjects); err == nil && len(seen) == len(subjects) {
			return seen, nil
		}
	}
	seen := make([]reconcile.Observation, len(subjects))
	for i, s := range subjects {
		var err error
		if seen[i], err = reader.Lookup(ctx, s); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// shortages names the orders that can no longer be filled after the stock of a
// SKU was corrected: the oldest order is served first.
func shortages(all []Known, count reconcile.Count, out *Screened) {
	left := count.Quantity
	for _, k := range all {
		for _, q := range k.Intent.Reserved {
			if q.SKU != count.SKU {
				continue
			}
			// What has left is not in the count, and still reserved until it is committed.
			needs := q.Quantity - uncommitted([]Known{k}, count.SKU)
			if needs > left {
				out.Short = append(out.Short, Shortage{Order: k.Intent.Order, SKU: q.SKU, Missing: needs - max(0, left), Count: count.Quantity})
			}
			left = max(0, left-needs)
		}
	}
}
