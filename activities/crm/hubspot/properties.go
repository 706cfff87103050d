package hubspot

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// property is the definition of a property.
type property struct {
	kind string

	Name        string `json:"name"`
	Label       string `json:"label"`
	Description string `json:"description"`
	Group       string `json:"groupName"`
	Type        string `json:"type"`
	Field       string `json:"fieldType"`
	Unique      bool   `json:"hasUniqueValue"`
}

func ourProperties() []property {
	text := func(kind, name, label, description string) property {
		group := map[string]string{contacts: "contactinformation", deals: "dealinformation"}[kind]
		return property{kind: kind, Name: name, Label: label, Description: description, Group: group, Type: "string", Field: "text"}
	}
	all := []property{
		text(contacts, PropertyCustomer, "Customer ID", "The shop's id of this customer. Orders find the contact by it."),
		text(deals, PropertyOrder, "Order ID", "The order that this deal stands for."),
		text(deals, PropertyCart, "Cart ID", "The abandoned cart that this deal stands for."),
		text(deals, PropertyFromCart, "From cart", "The cart that became this order."),
		text(deals, PropertyChannel, "Channel", "Where the order was placed."),
	}
	for i := range all {
		all[i].Unique = i < 3
	}
	return all
}

// EnsureProperties makes the properties that we need where they are missing.
// It may be repeated and run by several at once. A property of that name which
// does not hold unique values is refused: HubSpot cannot change that, and
// without it two records could stand for one order.
func (c *Client) EnsureProperties(ctx context.Context) error {
	for _, p := range ourProperties() {
		if err := c.ensure(ctx, p); err != nil {
			return fmt.Errorf("ensure the property %s of %s: hubspot: %w", p.Name, p.kind, err)
		}
	}
	return nil
}

func (c *Client) ensure(ctx context.Context, p property) error {
	for range tries {
		has, err := c.property(ctx, p)
		if err == nil {
			return checkProperty(has, p)
		}
		if !is(err, apierr.NotFound) {
			return err
		}
		q := call{operation: settings, method: http.MethodPost, path: "/crm/v3/properties/" + p.kind, body: p}
		if err := c.do(ctx, q, nil); err != nil && !is(err, apierr.Conflict) { // Conflict: another worker made it
			return err
		}
	}
	return apierr.New(apierr.InDoubt, "", errors.New("made, and not there"))
}

func (c *Client) property(ctx context.Context, p property) (property, error) {
	q := call{operation: settings, method: http.MethodGet, path: "/crm/v3/properties/" + p.kind + "/" + escape(p.Name)}
	var has property
	if err := c.do(ctx, q, &has); err != nil {
		return property{}, err
	}
	if has.Name != p.Name {
		return property{}, nonsense(q, "an answer about another property")
	}
	return has, nil
}

func checkProperty(has, want property) error {
	if has.Type != want.Type {
		return apierr.New(apierr.Invalid, "", fmt.Errorf("it is of type %q; want %q: delete it or rename it", has.Type, want.Type))
	}
	if want.Unique && !has.Unique {
		return apierr.New(apierr.Invalid, "", errors.New("its values need not be unique, which cannot be changed: delete it, and it will be made anew"))
	}
	return nil
}
