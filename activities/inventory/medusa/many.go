package medusa

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// referencesAtOnce is how many orders one call names: what Medusa's parser of
// queries reads more of in one list is no list to it any more.
const referencesAtOnce = 20

// LookupMany is Lookup of several orders, twenty in one call. The answers are in
// the order of the subjects.
func (c *Client) LookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	out := make([]reconcile.Observation, 0, len(subjects))
	for some := range slices.Chunk(subjects, referencesAtOnce) {
		asked := c.now()
		held, err := c.heldByMany(ctx, some)
		if err != nil {
			return nil, fmt.Errorf("look up stock of %d orders: %w", len(subjects), err)
		}
		for _, s := range some {
			o := reconcile.Observation{System: order.SystemInventory, Order: s.Order, State: reconcile.Absent, At: asked, Strong: true}
			if mine := sorted(held[s.Order]); len(mine) > 0 {
				o.State, o.Version = reconcile.Present, version(mine)
				o.Inventory = &reconcile.Inventory{Reservations: reservationsOf(mine)}
			}
			out = append(out, o)
		}
	}
	return out, nil
}

// heldByMany returns the reservations of some orders. One answer must show all of
// them, for pages of what changes meanwhile would miss some: of orders that hold
// more, halves are asked for.
func (c *Client) heldByMany(ctx context.Context, subjects []reconcile.Subject) (map[order.ID][]promise, error) {
	byReference := map[string]order.ID{}
	references := make([]string, len(subjects))
	for i, s := range subjects {
		if _, err := order.ParseID(string(s.Order)); err != nil {
			return nil, apierr.New(apierr.Invalid, "", fmt.Errorf("order id %w", err))
		}
		references[i] = reference(s.Order)
		byReference[references[i]] = s.Order
	}
	q := call{operation: lookup, method: http.MethodGet, path: "/admin/reservations", limit: maxList, query: url.Values{
		"line_item_id[]": references, "limit": {strconv.Itoa(c.atOnce)}, "order": {"id"}, "fields": {wanted},
	}}
	records, count, err := c.reservations(ctx, q)
	if err != nil {
		return nil, err
	}
	if count > c.atOnce && len(subjects) > 1 {
		return c.heldByHalves(ctx, subjects)
	}
	if count != len(records) {
		return nil, q.nonsense(fmt.Errorf("%d reservations were counted and %d came", count, len(records)))
	}
	held := map[order.ID][]promise{}
	for _, r := range records {
		if r.LineItem == nil || byReference[*r.LineItem] == "" {
			return nil, q.nonsense(errors.New("the answer has a reservation of somebody else"))
		}
		p, err := parse(r)
		if err != nil {
			return nil, q.nonsense(err)
		}
		id := byReference[*r.LineItem]
		held[id] = append(held[id], p)
	}
	return held, nil
}

func (c *Client) heldByHalves(ctx context.Context, subjects []reconcile.Subject) (map[order.ID][]promise, error) {
	half := len(subjects) / 2
	held, err := c.heldByMany(ctx, subjects[:half])
	if err != nil {
		return nil, err
	}
	rest, err := c.heldByMany(ctx, subjects[half:])
	maps.Copy(held, rest)
	return held, err
}
