package tryton

import (
	"context"
	"fmt"

	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// LookupMany is Lookup of several orders in the calls of one: a sweep looks up
// what its listings left over. The answers are in the order of the subjects.
func (c *Client) LookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	out, err := c.lookupMany(ctx, c.rpc.For("lookup"), subjects)
	if err != nil {
		return nil, fmt.Errorf("look up the shipments of %d orders: tryton: %w", len(subjects), err)
	}
	return out, nil
}

func (c *Client) lookupMany(ctx context.Context, s rpc.Session, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	out := make([]reconcile.Observation, len(subjects))
	for i, subject := range subjects {
		out[i] = reconcile.Observation{System: order.SystemWarehouse, Order: subject.Order, State: reconcile.Absent, At: c.config.Now(), Strong: true}
	}
	sent, err := c.find(ctx, s, shipments, rpc.Domain{rpc.Patterns("reference", subjects, order.Request)}, 0)
	if err != nil {
		return nil, err
	}
	where := rpc.Patterns("reference", subjects, "")
	for _, subject := range subjects {
		where = append(where, []any{"reference", "=", "order/" + string(subject.Order)})
	}
	back, err := c.find(ctx, s, returns, rpc.Domain{where}, 0)
	if err != nil {
		return nil, err
	}
	byOrder := map[order.ID][]record{}
	for _, r := range append(sent, back...) {
		id, ours, excusable := rpc.BelongsToOne(r.Reference+"/", subjects)
		if !excusable {
			return nil, rpc.Nonsense("a %s of another order", r.kind.note)
		}
		if ours {
			byOrder[id] = append(byOrder[id], r)
		}
	}
	for i, subject := range subjects {
		if err := observe(&out[i], byOrder[subject.Order]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
