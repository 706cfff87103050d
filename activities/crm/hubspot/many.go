package hubspot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// LookupMany is Lookup of several orders, a hundred in the calls of one. The
// answers are in the order of the subjects. Carts are found by their ids; those
// of a customer whose order names none are for Lookup, and concern no sweep.
func (c *Client) LookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	out, err := c.lookupMany(ctx, subjects)
	if err != nil {
		return nil, fmt.Errorf("look up the contacts and deals of %d orders: hubspot: %w", len(subjects), err)
	}
	return out, nil
}

func (c *Client) lookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	at := c.config.Now()
	var orders, customers, carts []string
	for _, s := range subjects {
		orders, customers, carts = append(orders, string(s.Order)), append(customers, s.Customer), append(carts, s.Cart)
	}
	ours, err := c.batchBy(ctx, deals, PropertyOrder, orders)
	if err != nil {
		return nil, err
	}
	people, err := c.batchBy(ctx, contacts, PropertyCustomer, customers)
	if err != nil {
		return nil, err
	}
	begun, err := c.batchBy(ctx, deals, PropertyCart, carts)
	if err != nil {
		return nil, err
	}
	out := make([]reconcile.Observation, 0, len(subjects))
	for _, s := range subjects {
		o := reconcile.Observation{System: order.SystemCRM, Order: s.Order, State: reconcile.Absent, At: at, Strong: true}
		var seen reconcile.CRM
		if deal, found := ours[string(s.Order)]; found {
			d, err := c.dealOf(deal, s.Currency)
			if err != nil {
				return nil, err
			}
			seen.Deals = append(seen.Deals, d)
		}
		if contact, found := people[s.Customer]; found {
			seen.Contacts = append(seen.Contacts, contactOf(contact))
		}
		if seen.Carts, err = c.openCarts(ctx, s, begun); err != nil {
			return nil, err
		}
		if len(seen.Contacts)+len(seen.Deals) > 0 {
			o.State, o.CRM, o.Version = reconcile.Present, &seen, version(seen)
		}
		out = append(out, o)
	}
	return out, nil
}

// openCarts returns the abandoned carts of an order that names one: the cart, or
// when it is not there, what a look-up finds.
func (c *Client) openCarts(ctx context.Context, s reconcile.Subject, begun map[string]object) ([]reconcile.Deal, error) {
	if s.Cart == "" {
		return nil, nil
	}
	var found []object
	if o, there := begun[s.Cart]; !there {
		var err error
		if found, err = c.carts(ctx, s, nil); err != nil {
			return nil, err
		}
	} else if o.get(PropertyOrder) == "" {
		found = []object{o}
	}
	var carts []reconcile.Deal
	for _, o := range found {
		if c.stageOf(o) != reconcile.DealAbandoned {
			continue
		}
		d, err := c.dealOf(o, s.Currency)
		if err != nil {
			return nil, err
		}
		carts = append(carts, d)
	}
	return carts, nil
}

// batchBy reads the records that hold these values of a unique property, by
// value; those that are not there are left out. Strong.
func (c *Client) batchBy(ctx context.Context, kind, property string, values []string) (map[string]object, error) {
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	slices.Sort(values)
	all := map[string]object{}
	for chunk := range slices.Chunk(slices.Compact(values), batchLimit) {
		type input struct {
			ID string `json:"id"`
		}
		inputs := make([]input, 0, len(chunk))
		for _, v := range chunk {
			inputs = append(inputs, input{v})
		}
		q := call{
			operation: lookup, method: http.MethodPost, path: "/crm/v3/objects/" + kind + "/batch/read", limit: listLimit,
			body: map[string]any{
				"inputs": inputs, "idProperty": property, "properties": propertiesOf(kind), "propertiesWithHistory": []string{},
			},
		}
		found, err := c.readBatch(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			if v := o.get(property); slices.Contains(chunk, v) && validID(o.ID) && !o.Archived {
				all[v] = o
				continue
			}
			return nil, nonsense(q, "a batch with a record that was not asked for")
		}
	}
	return all, nil
}

// readBatch makes a call that reads a batch, of which some may be missing.
func (c *Client) readBatch(ctx context.Context, q call) ([]object, error) {
	var answer struct {
		Status  string   `json:"status"`
		Results []object `json:"results"`
		Errors  []struct {
			Category string `json:"category"`
		} `json:"errors"`
	}
	if err := c.do(ctx, q, &answer); err != nil {
		return nil, err
	}
	if answer.Status != "COMPLETE" {
		return nil, nonsense(q, "a batch that is not complete")
	}
	for _, e := range answer.Errors { // answered with 207
		if e.Category != "OBJECT_NOT_FOUND" {
			return nil, apierr.New(apierr.Unavailable, "", errors.New("a batch that was read in part"))
		}
	}
	return answer.Results, nil
}
