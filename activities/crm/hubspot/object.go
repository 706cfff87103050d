package hubspot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
)

// The object types, as paths name them.
const (
	contacts = "contacts"
	deals    = "deals"
)

// batchLimit is the most records that one batch request may name.
const batchLimit = 100

// associationsLimit is the most associations of one contact that are walked.
const associationsLimit = 5000

// tries is how often a record is read again after somebody else was faster to
// make or change it.
const tries = 3

var contactProperties = []string{
	PropertyCustomer, "email", "hs_additional_emails", "firstname", "lastname", "phone",
	"address", "city", "zip", "state", "country", "hs_email_optout",
}

var dealProperties = []string{
	PropertyOrder, PropertyCart, PropertyFromCart, PropertyChannel, "dealstage", "pipeline", "amount",
	"deal_currency_code", "hs_is_closed", "hs_is_closed_won", "createdate",
}

func propertiesOf(kind string) []string {
	if kind == contacts {
		return contactProperties
	}
	return dealProperties
}

// object is one record. Values are strings whatever the property's type.
type object struct {
	ID         string             `json:"id"`
	Properties map[string]*string `json:"properties"`
	CreatedAt  time.Time          `json:"createdAt"`
	UpdatedAt  time.Time          `json:"updatedAt"`
	Archived   bool               `json:"archived"`
}

// get returns a property, "" when it is not set.
func (o object) get(property string) string {
	if v := o.Properties[property]; v != nil {
		return *v
	}
	return ""
}

// hasEmail says whether an address is the contact's first or another of its
// own; HubSpot finds a contact by either.
func (o object) hasEmail(email string) bool {
	if strings.EqualFold(o.get("email"), email) {
		return true
	}
	return slices.ContainsFunc(strings.Split(o.get("hs_additional_emails"), ";"), func(e string) bool {
		return strings.EqualFold(strings.TrimSpace(e), email)
	})
}

// objectID takes ids as strings and as numbers: the documents say the one and
// associations came as the other for years.
type objectID string

func (i *objectID) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	text := string(bytes.Trim(data, `"`))
	if text == "" || len(text) > 20 || strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		return errors.New("not the id of an object")
	}
	*i = objectID(text)
	return nil
}

// validID says whether an id may go into a path.
func validID(id string) bool {
	return id != "" && len(id) <= 20 && !strings.ContainsFunc(id, func(r rune) bool { return r < '0' || r > '9' })
}

// escape makes one segment of a path; a lone "." or ".." would be taken for a step.
func escape(segment string) string {
	if segment == "." || segment == ".." {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}

// by reads the record that holds a unique value. It is strong.
func (c *Client) by(ctx context.Context, kind, property, value string) (object, error) {
	q := call{
		operation: lookup, method: http.MethodGet, path: "/crm/v3/objects/" + kind + "/" + escape(value),
		query: url.Values{"idProperty": {property}, "properties": {strings.Join(propertiesOf(kind), ",")}},
	}
	var o object
	if err := c.do(ctx, q, &o); err != nil {
		return object{}, err
	}
	ours := o.get(property) == value
	if property == "email" {
		ours = o.hasEmail(value)
	}
	if !validID(o.ID) || !ours || o.Archived {
		return object{}, apierr.New(apierr.Garbage, "", fmt.Errorf("an answer about another record than the one asked for by %s", property))
	}
	return o, nil
}

// find is by, with false instead of NotFound.
func (c *Client) find(ctx context.Context, kind, property, value string) (object, bool, error) {
	if value == "" {
		return object{}, false, nil
	}
	o, err := c.by(ctx, kind, property, value)
	if is(err, apierr.NotFound) {
		return object{}, false, nil
	}
	return o, err == nil, err
}

// created takes a new record as HubSpot gives it, and as its published
// description says that it does.
type created struct {
	object
	Entity *object `json:"entity"`
}

// create makes a record that holds a unique value; Conflict when one does
// already. Deals may be tied to a contact in the same step.
func (c *Client) create(ctx context.Context, kind, unique string, values map[string]string, contact string) error {
	type spec struct {
		Category string `json:"associationCategory"`
		Type     int    `json:"associationTypeId"`
	}
	type target struct {
		ID string `json:"id"`
	}
	type association struct {
		To    target `json:"to"`
		Types []spec `json:"types"`
	}
	body := struct {
		Properties   map[string]string `json:"properties"`
		Associations []association     `json:"associations,omitempty"`
	}{Properties: values}
	if contact != "" {
		body.Associations = []association{{target{contact}, []spec{{"HUBSPOT_DEFINED", dealToContact}}}}
	}
	q := call{operation: order.Upsert, method: http.MethodPost, path: "/crm/v3/objects/" + kind, body: body}
	var made created
	if err := c.do(ctx, q, &made); err != nil {
		return err
	}
	o := made.object
	if made.Entity != nil {
		o = *made.Entity
	}
	if !validID(o.ID) || o.get(unique) != values[unique] {
		return nonsense(q, "an answer about another record than the one made")
	}
	return nil
}

// dealToContact is HubSpot's own association of a deal with a contact.
const dealToContact = 3

// change sets properties of a record.
func (c *Client) change(ctx context.Context, kind, id string, values map[string]string) error {
	q := call{
		operation: order.Upsert, method: http.MethodPatch, path: "/crm/v3/objects/" + kind + "/" + escape(id),
		body: struct {
			Properties map[string]string `json:"properties"`
		}{values},
	}
	var o object
	if err := c.do(ctx, q, &o); err != nil {
		return err
	}
	if o.ID != id {
		return nonsense(q, "an answer about another record than the one changed")
	}
	return nil
}

// associated returns the ids of the records of another type that are tied to
// one. Strong.
func (c *Client) associated(ctx context.Context, kind, id, to string) ([]string, error) {
	var ids []string
	query := url.Values{"limit": {"500"}}
	for {
		var page struct {
			Results []struct {
				To objectID `json:"toObjectId"`
			} `json:"results"`
			Paging paging `json:"paging"`
		}
		q := call{
			operation: lookup, method: http.MethodGet, query: query, limit: listLimit,
			path: "/crm/v4/objects/" + kind + "/" + escape(id) + "/associations/" + to,
		}
		if err := c.do(ctx, q, &page); err != nil {
			return nil, err
		}
		for _, r := range page.Results {
			if r.To == "" {
				return nil, nonsense(q, "an association without the id it leads to")
			}
			if !slices.Contains(ids, string(r.To)) { // one association may have several labels
				ids = append(ids, string(r.To))
			}
		}
		next := page.Paging.Next.After
		if next == "" {
			return ids, nil
		}
		if len(ids) > associationsLimit || next == query.Get("after") {
			return nil, nonsense(q, "a record with endless associations")
		}
		query.Set("after", next)
	}
}

type paging struct {
	Next struct {
		After string `json:"after"`
	} `json:"next"`
}

// tie associates a deal with a contact, unless it is already.
func (c *Client) tie(ctx context.Context, deal, contact string) error {
	has, err := c.associated(ctx, deals, deal, contacts)
	if is(err, apierr.NotFound) { // it was deleted since we looked
		return apierr.New(apierr.Conflict, apierr.ReasonOf(err), err)
	}
	if err != nil || slices.Contains(has, contact) {
		return err
	}
	q := call{
		operation: order.Upsert, method: http.MethodPut,
		path: "/crm/v4/objects/deals/" + escape(deal) + "/associations/default/contacts/" + escape(contact),
	}
	var answer struct {
		Status string `json:"status"`
	}
	if err := c.do(ctx, q, &answer); err != nil {
		return err
	}
	if answer.Status != "COMPLETE" {
		return nonsense(q, "an association that is not complete")
	}
	return nil
}

// batch reads deals by id; those that are gone are left out. Strong.
func (c *Client) batch(ctx context.Context, ids []string) ([]object, error) {
	type input struct {
		ID string `json:"id"`
	}
	var all []object
	for chunk := range slices.Chunk(ids, batchLimit) {
		inputs := make([]input, 0, len(chunk))
		for _, id := range chunk {
			inputs = append(inputs, input{id})
		}
		q := call{
			operation: lookup, method: http.MethodPost, path: "/crm/v3/objects/deals/batch/read", limit: listLimit,
			body: map[string]any{"inputs": inputs, "properties": dealProperties, "propertiesWithHistory": []string{}},
		}
		found, err := c.readBatch(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			if !slices.Contains(chunk, o.ID) {
				return nil, nonsense(q, "a batch with a record that was not asked for")
			}
		}
		all = append(all, found...)
	}
	return all, nil
}
