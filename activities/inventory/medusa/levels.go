package medusa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/trueup-orders/trueup/reconcile"
)

// Levels returns the levels of several SKUs at our location, twenty in one call.
// What is missing from the answer, Level can tell about.
func (c *Client) Levels(ctx context.Context, skus []string) (map[string]reconcile.Level, error) {
	all := map[string]reconcile.Level{}
	for some := range slices.Chunk(skus, referencesAtOnce) {
		if err := c.levels(ctx, some, all); err != nil {
			return nil, fmt.Errorf("read the stock levels of %d SKUs: %w", len(skus), err)
		}
	}
	return all, nil
}

// stocked is an inventory item with its levels.
type stocked struct {
	named
	Levels *[]struct {
		Location string      `json:"location_id"`
		Stocked  json.Number `json:"stocked_quantity"`
		Reserved json.Number `json:"reserved_quantity"`
	} `json:"location_levels"`
}

func (c *Client) levels(ctx context.Context, skus []string, into map[string]reconcile.Level) error {
	c.mu.Lock()
	location := c.location
	c.mu.Unlock()
	if location == "" {
		var err error
		if location, err = c.findLocation(ctx); err != nil {
			return err
		}
	}
	asked := c.now()
	q := call{operation: lookup, method: http.MethodGet, path: "/admin/inventory-items", limit: maxList, query: url.Values{
		"sku[]": skus, "limit": {strconv.Itoa(len(skus))}, "fields": {"*location_levels"},
	}}
	var in struct {
		Items *[]stocked `json:"inventory_items"`
	}
	if err := c.do(ctx, q, &in); err != nil {
		return err
	}
	if in.Items == nil {
		return q.nonsense(errors.New("the answer has no items"))
	}
	for _, item := range *in.Items {
		if item.ID == "" || item.Levels == nil || !slices.Contains(skus, item.SKU) {
			return q.nonsense(errors.New("the answer has another item, or one without levels"))
		}
		for _, l := range *item.Levels {
			if l.Location != location {
				continue
			}
			stocked, err := pieces(l.Stocked)
			reserved, err2 := pieces(l.Reserved)
			if err := errors.Join(err, err2); err != nil {
				return q.nonsense(err)
			}
			into[item.SKU] = reconcile.Level{SKU: item.SKU, Stocked: stocked, Reserved: reserved, At: asked}
		}
	}
	return nil
}
