package hubspot

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// UpsertContact makes the customer's contact or fills its empty fields.
func (c *Client) UpsertContact(ctx context.Context, r crm.ContactRequest) (crm.ContactResult, error) {
	result, err := c.upsertContact(ctx, r)
	if err != nil {
		return crm.ContactResult{}, fmt.Errorf("upsert the contact of order %s: hubspot: %w", r.Order, err)
	}
	return result, nil
}

func (c *Client) upsertContact(ctx context.Context, r crm.ContactRequest) (crm.ContactResult, error) {
	if r.Customer.ID == "" {
		return crm.ContactResult{}, apierr.New(apierr.Invalid, "", errors.New("no customer id"))
	}
	for try := 1; ; try++ {
		// An e-mail that HubSpot refuses as taken and yet nobody can be found
		// by (a contact in the bin, or erased) must not keep ours from being made.
		result, err := c.contactOnce(ctx, r, try == tries)
		if try == tries || !is(err, apierr.Conflict) {
			return result, err
		}
	}
}

// contactOnce returns Conflict when somebody else made or took a contact
// between our look and our write.
func (c *Client) contactOnce(ctx context.Context, r crm.ContactRequest, last bool) (crm.ContactResult, error) {
	ours, found, err := c.find(ctx, contacts, PropertyCustomer, r.Customer.ID)
	if err != nil {
		return crm.ContactResult{}, err
	}
	if found && (ours.get("email") != "" || r.Customer.Email == "") {
		return c.fill(ctx, ours, r, false)
	}
	holder, held, err := c.find(ctx, contacts, "email", r.Customer.Email)
	if err != nil {
		return crm.ContactResult{}, err
	}
	switch {
	case found:
		return c.fill(ctx, ours, r, held && holder.ID != ours.ID || last)
	case held && holder.get(PropertyCustomer) == "":
		return c.fill(ctx, holder, r, false) // adopted
	case held && holder.get(PropertyCustomer) == r.Customer.ID: // made since we looked
		return c.fill(ctx, holder, r, false)
	}
	taken := held || last && r.Customer.Email != ""
	values := fields(object{}, r, taken)
	if err := c.create(ctx, contacts, PropertyCustomer, values, ""); err != nil {
		return crm.ContactResult{}, err
	}
	return c.readContact(ctx, r.Customer.ID, taken)
}

// fill writes what a contact lacks, if anything.
func (c *Client) fill(ctx context.Context, o object, r crm.ContactRequest, taken bool) (crm.ContactResult, error) {
	values := fields(o, r, taken)
	if len(values) == 0 {
		return crm.ContactResult{Contact: contactOf(o), EmailTaken: taken}, nil
	}
	if err := c.change(ctx, contacts, o.ID, values); err != nil {
		return crm.ContactResult{}, err
	}
	return c.readContact(ctx, r.Customer.ID, taken)
}

func (c *Client) readContact(ctx context.Context, customer string, taken bool) (crm.ContactResult, error) {
	o, err := c.by(ctx, contacts, PropertyCustomer, customer)
	if err != nil {
		return crm.ContactResult{}, doubt(err)
	}
	return crm.ContactResult{Contact: contactOf(o), EmailTaken: taken}, nil
}

// fields returns what the request knows and the contact does not. A name and an
// address are each one thing: half of somebody's and half of ours would be
// neither. So one that is filled is written whole, with what it lacks as empty:
// two orders of a new customer that fill it side by side leave one of theirs.
func fields(has object, r crm.ContactRequest, taken bool) map[string]string {
	values := map[string]string{}
	set := func(group map[string]string) {
		known := false
		for property, value := range group {
			if has.get(property) != "" {
				return
			}
			known = known || value != ""
		}
		for property, value := range group {
			if value != "" || known && has.ID != "" {
				values[property] = value
			}
		}
	}
	set(map[string]string{PropertyCustomer: r.Customer.ID})
	if !taken {
		set(map[string]string{"email": r.Customer.Email})
	}
	set(map[string]string{"phone": r.Customer.Phone})
	first, last := splitName(r.Customer.Name)
	set(map[string]string{"firstname": first, "lastname": last})
	set(map[string]string{
		"address": r.ShipTo.Street, "city": r.ShipTo.City, "zip": r.ShipTo.PostalCode,
		"state": r.ShipTo.Region, "country": r.ShipTo.Country,
	})
	return values
}

// splitName gives HubSpot the two names that it wants; joined they are the
// customer's again.
func splitName(name string) (first, last string) {
	name = strings.Join(strings.Fields(name), " ")
	i := strings.LastIndexByte(name, ' ')
	if i < 0 {
		return name, ""
	}
	return name[:i], name[i+1:]
}

func contactOf(o object) reconcile.Contact {
	return reconcile.Contact{
		ID: o.ID, CustomerID: o.get(PropertyCustomer), Email: o.get("email"),
		Name:     strings.TrimSpace(o.get("firstname") + " " + o.get("lastname")),
		Phone:    o.get("phone"),
		OptedOut: o.get("hs_email_optout") == "true",
	}
}

// orderOf returns the order that a deal names, and whether its id is one.
func orderOf(o object) (order.ID, bool) {
	id, err := order.ParseID(o.get(PropertyOrder))
	return id, err == nil
}
