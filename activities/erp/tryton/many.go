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
		return nil, fmt.Errorf("look up the documents of %d orders: tryton: %w", len(subjects), err)
	}
	return out, nil
}

func (c *Client) lookupMany(ctx context.Context, s rpc.Session, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	b, err := c.settle(ctx, s)
	if err != nil {
		return nil, err
	}
	out := make([]reconcile.Observation, len(subjects))
	at := map[order.ID][]int{} // one order may be asked for twice
	for i, subject := range subjects {
		out[i] = reconcile.Observation{System: order.SystemERP, Order: subject.Order, State: reconcile.Absent, At: c.config.Now(), Strong: true}
		at[subject.Order] = append(at[subject.Order], i)
	}
	for _, p := range c.papers(b) {
		found, err := p.find(ctx, s, rpc.Domain{rpc.Patterns(p.by, subjects, "")}, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			id, ours, excusable := rpc.BelongsToOne(d.reference, subjects)
			switch {
			case !excusable:
				return nil, rpc.Nonsense("a %s of another order", p.what)
			case !ours:
				continue
			case d.wrong != nil:
				return nil, d.wrong
			}
			for _, i := range at[id] {
				if d.currency != subjects[i].Currency {
					return nil, rpc.Nonsense("%s %d is in %s, the order in %s", p.what, d.id, d.currency, subjects[i].Currency)
				}
				put(&out[i], p, d)
			}
		}
	}
	return out, nil
}
