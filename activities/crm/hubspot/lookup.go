package hubspot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Lookup reads the customer's contact, the order's deal and its open carts.
func (c *Client) Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	o := reconcile.Observation{
		System: order.SystemCRM, Order: s.Order, State: reconcile.Absent, At: c.config.Now(), Strong: true,
	}
	seen, err := c.lookup(ctx, s)
	if err != nil {
		return reconcile.Observation{}, fmt.Errorf("look up the contact and deal of order %s: hubspot: %w", s.Order, err)
	}
	if len(seen.Contacts)+len(seen.Deals) > 0 {
		o.State, o.CRM, o.Version = reconcile.Present, &seen, version(seen)
	}
	return o, nil
}

func (c *Client) lookup(ctx context.Context, s reconcile.Subject) (reconcile.CRM, error) {
	var seen reconcile.CRM
	deal, found, err := c.find(ctx, deals, PropertyOrder, string(s.Order))
	if err != nil {
		return seen, err
	}
	if found {
		d, err := c.dealOf(deal, s.Currency)
		if err != nil {
			return seen, err
		}
		seen.Deals = append(seen.Deals, d)
	}
	var ours *object
	contact, found, err := c.find(ctx, contacts, PropertyCustomer, s.Customer)
	if err != nil {
		return seen, err
	}
	if found {
		ours = &contact
		seen.Contacts = append(seen.Contacts, contactOf(contact))
	}
	carts, err := c.carts(ctx, s, ours)
	if err != nil {
		return seen, err
	}
	for _, o := range carts {
		if c.stageOf(o) != reconcile.DealAbandoned {
			continue
		}
		d, err := c.dealOf(o, s.Currency)
		if err != nil {
			return seen, err
		}
		seen.Carts = append(seen.Carts, d)
	}
	return seen, nil
}

// version is a digest of what was read, and not HubSpot's own date: that one
// also moves when HubSpot recalculates something a moment after a write, and
// two reads of one state would not agree.
func version(seen reconcile.CRM) string {
	data, err := json.Marshal(seen)
	if err != nil { // a CRM holds nothing that cannot be marshalled
		panic(err)
	}
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:8])
}
