package medusa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Lookup returns the reservations of the subject's order.
func (c *Client) Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	asked := c.now()
	held, err := c.held(ctx, s.Order)
	if err != nil {
		return reconcile.Observation{}, fmt.Errorf("look up stock of order %s: %w", s.Order, err)
	}
	o := reconcile.Observation{
		System: order.SystemInventory, Order: s.Order, State: reconcile.Absent, At: asked, Strong: true,
	}
	if len(held) > 0 {
		o.State, o.Version = reconcile.Present, version(held)
		o.Inventory = &reconcile.Inventory{Reservations: reservationsOf(held)}
	}
	return o, nil
}

// lookupLimit holds every line of an order and its surplus twins, so that one
// answer shows one moment.
const lookupLimit = 4 * order.MaxLines

// held returns all reservations of an order, wherever they are, in order.
func (c *Client) held(ctx context.Context, id order.ID) ([]promise, error) {
	if _, err := order.ParseID(string(id)); err != nil {
		return nil, apierr.New(apierr.Invalid, "", fmt.Errorf("order id %w", err))
	}
	q := call{operation: lookup, method: http.MethodGet, path: "/admin/reservations", limit: maxList, query: url.Values{
		"line_item_id": {reference(id)}, "limit": {strconv.Itoa(lookupLimit)}, "order": {"id"}, "fields": {wanted},
	}}
	records, count, err := c.reservations(ctx, q)
	if err != nil {
		return nil, err
	}
	if count != len(records) {
		return nil, q.nonsense(fmt.Errorf("%d reservations were counted and %d came", count, len(records)))
	}
	all := make([]promise, 0, len(records))
	for _, r := range records {
		if r.LineItem == nil || *r.LineItem != reference(id) {
			return nil, q.nonsense(errors.New("the answer has a reservation of somebody else"))
		}
		p, err := parse(r)
		if err != nil {
			return nil, q.nonsense(err)
		}
		all = append(all, p)
	}
	return sorted(all), nil
}

// reservations makes a call that answers with a list of them.
func (c *Client) reservations(ctx context.Context, q call) ([]reservation, int, error) {
	var in struct {
		Reservations *[]reservation `json:"reservations"`
		Count        *int           `json:"count"`
	}
	if err := c.do(ctx, q, &in); err != nil {
		return nil, 0, err
	}
	if in.Reservations == nil || in.Count == nil {
		return nil, 0, q.nonsense(errors.New("the answer has no reservations or no count"))
	}
	return *in.Reservations, *in.Count, nil
}

// List walks reservations by the time of their change or creation. A page ends
// between two moments and never within one, for Medusa sorts by one field only
// and in no order at all among equals.
func (c *Client) List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	page, err := c.list(ctx, r)
	if err != nil {
		return reconcile.Page{}, fmt.Errorf("list reservations: %w", err)
	}
	return page, nil
}

func (c *Client) list(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	field := "updated_at"
	if r.By == reconcile.ListCreated {
		field = "created_at"
	}
	limit := pageLimit
	if r.Limit > 0 {
		limit = min(limit, r.Limit)
	}
	from, offset, err := position(r)
	if err != nil {
		return reconcile.Page{}, apierr.New(apierr.Invalid, "", err)
	}
	asked := c.now()
	q := call{operation: list, method: http.MethodGet, path: "/admin/reservations", limit: maxList, query: url.Values{
		field + "[$gte]": {stamp(from)}, field + "[$lt]": {stamp(r.To)}, "order": {field},
		"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}, "fields": {wanted},
	}}
	records, count, err := c.reservations(ctx, q)
	if err != nil {
		return reconcile.Page{}, err
	}
	if len(records) > limit || len(records) == 0 && count > offset {
		return reconcile.Page{}, q.nonsense(fmt.Errorf("%d of %d reservations came", len(records), count))
	}
	next := ""
	if offset+len(records) < count {
		records, next = cut(records, r.By, from, offset)
	}
	page, err := c.page(q, records, asked)
	page.Next = next
	return page, err
}

// position is where a page begins: a moment, and how many at exactly that
// moment were seen before.
func position(r reconcile.ListRequest) (time.Time, int, error) {
	if !r.From.Before(r.To) {
		return time.Time{}, 0, errors.New("the window is empty")
	}
	if r.Cursor == "" {
		return r.From, 0, nil
	}
	at, skip, _ := strings.Cut(r.Cursor, "+")
	milliseconds, err := strconv.ParseInt(at, 10, 64)
	offset, err2 := strconv.Atoi(skip)
	if err != nil || err2 != nil || offset < 0 {
		return time.Time{}, 0, fmt.Errorf("%.40q is not a cursor of ours", r.Cursor)
	}
	return time.UnixMilli(milliseconds), offset, nil
}

// cut leaves the records of the last moment to the next page. Only when a page
// has no other moment does the next one go on by number.
func cut(records []reservation, by reconcile.Listing, from time.Time, offset int) ([]reservation, string) {
	moment := func(r reservation) int64 {
		if by == reconcile.ListCreated {
			return r.CreatedAt.UnixMilli()
		}
		return r.UpdatedAt.UnixMilli()
	}
	last := moment(records[len(records)-1])
	whole := len(records)
	for whole > 0 && moment(records[whole-1]) == last {
		whole--
	}
	if whole > 0 {
		return records[:whole], fmt.Sprintf("%d+0", last)
	}
	if last != from.UnixMilli() {
		offset = 0 // those before were of an earlier moment, which the next page is past
	}
	return records, fmt.Sprintf("%d+%d", last, offset+len(records))
}

// stamp is a moment to the millisecond, which is all that Medusa shows: windows
// that meet leave nothing out between them.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// page groups records by order; those of nobody are orphans when they come from
// our channel or pretend to be ours, and Medusa's own business otherwise. One whose
// quantity makes no sense makes its order unreadable, and holds up no other.
func (c *Client) page(q call, records []reservation, asked time.Time) (reconcile.Page, error) {
	var page reconcile.Page
	byOrder := map[order.ID]int{}
	var held [][]promise
	for _, r := range records {
		id, ours, err := parseReference(r.LineItem)
		if !ours && r.Metadata["channel"] != c.config.Channel {
			continue
		}
		p, wrong := parse(r)
		if wrong != nil && p.ID == "" {
			return reconcile.Page{}, q.nonsense(wrong)
		}
		if !ours || err != nil {
			page.Orphans = append(page.Orphans, reconcile.Orphan{
				System: string(order.SystemInventory), Record: p.ID, Kind: "reservation",
				What: fmt.Sprintf("%.32s of %s reserved without an order", r.Quantity, p.SKU), At: p.created,
			})
			continue
		}
		at, seen := byOrder[id]
		if !seen {
			at = len(held)
			byOrder[id] = at
			held = append(held, nil)
			page.Observations = append(page.Observations, reconcile.Observation{
				System: order.SystemInventory, Order: id, State: reconcile.Present, At: asked,
			})
		}
		held[at] = append(held[at], p)
		o := &page.Observations[at]
		if p.updated.After(o.Changed) {
			o.Changed = p.updated
		}
		if wrong != nil {
			o.State, o.Why = reconcile.Unreadable, q.nonsense(wrong).Error()
		}
	}
	for i := range page.Observations {
		o := &page.Observations[i]
		o.Version = version(sorted(held[i]))
		if o.State == reconcile.Present {
			o.Inventory = &reconcile.Inventory{Reservations: reservationsOf(held[i])}
		}
	}
	return page, nil
}

// Level returns the level of one SKU at our location.
func (c *Client) Level(ctx context.Context, sku string) (reconcile.Level, error) {
	l, err := c.level(ctx, sku)
	if err != nil {
		return reconcile.Level{}, fmt.Errorf("read the stock level of %s: %w", sku, err)
	}
	return l, nil
}

func (c *Client) level(ctx context.Context, sku string) (reconcile.Level, error) {
	g, err := c.goods(ctx, sku)
	if err != nil {
		return reconcile.Level{}, err
	}
	asked := c.now()
	q := call{
		operation: lookup, method: http.MethodGet, path: "/admin/inventory-items/" + g.item + "/location-levels",
		query: url.Values{"location_id": {g.location}},
	}
	var in struct {
		Levels *[]struct {
			Item     string      `json:"inventory_item_id"`
			Location string      `json:"location_id"`
			Stocked  json.Number `json:"stocked_quantity"`
			Reserved json.Number `json:"reserved_quantity"`
		} `json:"inventory_levels"`
	}
	if err := c.do(ctx, q, &in); err != nil {
		return reconcile.Level{}, err
	}
	switch {
	case in.Levels == nil || len(*in.Levels) > 1:
		return reconcile.Level{}, q.nonsense(errors.New("the answer is not about one level"))
	case len(*in.Levels) == 0:
		return reconcile.Level{}, c.unstocked(g, apierr.New(apierr.NotFound, "not_found",
			errors.New("medusa: the item is not stocked at the location; give it a level there")))
	}
	l := (*in.Levels)[0]
	if l.Item != g.item || l.Location != g.location {
		return reconcile.Level{}, q.nonsense(errors.New("the answer is about another item or location"))
	}
	stocked, err := pieces(l.Stocked)
	reserved, err2 := pieces(l.Reserved)
	if err := errors.Join(err, err2); err != nil {
		return reconcile.Level{}, q.nonsense(err)
	}
	return reconcile.Level{SKU: sku, Stocked: stocked, Reserved: reserved, At: asked}, nil
}

// goods are a SKU's item and our location, by Medusa's ids.
type goods struct {
	sku, item, location string
	known               bool // from memory
}

// goods asks for the ids once and remembers them.
func (c *Client) goods(ctx context.Context, sku string) (goods, error) {
	c.mu.Lock()
	g := goods{sku: sku, item: c.items[sku], location: c.location}
	c.mu.Unlock()
	g.known = g.item != "" && g.location != ""
	var err error
	if g.location == "" {
		if g.location, err = c.findLocation(ctx); err != nil {
			return goods{}, err
		}
	}
	if g.item == "" {
		if g.item, err = c.findItem(ctx, sku); err != nil {
			return goods{}, err
		}
	}
	c.mu.Lock()
	c.location, c.items[sku] = g.location, g.item
	c.mu.Unlock()
	return g, nil
}

// unstocked is what it means that an item is not stocked: when its id came from
// memory somebody may have made the item anew, and the next attempt asks.
func (c *Client) unstocked(g goods, err error) error {
	c.mu.Lock()
	c.location = ""
	delete(c.items, g.sku)
	c.mu.Unlock()
	if g.known {
		return apierr.New(apierr.Unavailable, "not_found", fmt.Errorf("its remembered ids are no longer known: %w", err))
	}
	return err
}

// named is anything with an id and a name or SKU.
type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	SKU  string `json:"sku"`
}

func (c *Client) findLocation(ctx context.Context) (string, error) {
	filter := "name"
	if strings.HasPrefix(c.config.Location, "sloc_") {
		filter = "id"
	}
	q := call{operation: lookup, method: http.MethodGet, path: "/admin/stock-locations", query: url.Values{
		filter: {c.config.Location}, "fields": {"id,name"},
	}}
	var in struct {
		Locations *[]named `json:"stock_locations"`
	}
	err := c.do(ctx, q, &in)
	if err == nil && in.Locations != nil && len(*in.Locations) == 0 {
		err = c.do(ctx, q, &in) // as of an item: one empty list proves nothing
	}
	if err != nil {
		return "", err
	}
	if in.Locations == nil {
		return "", q.nonsense(errors.New("the answer has no stock locations"))
	}
	found := *in.Locations
	if len(found) != 1 {
		return "", apierr.New(apierr.Invalid, "", fmt.Errorf("medusa: %d stock locations have the %s %q; want one", len(found), filter, c.config.Location))
	}
	if found[0].ID == "" || filter == "id" && found[0].ID != c.config.Location || filter == "name" && found[0].Name != c.config.Location {
		return "", q.nonsense(errors.New("the answer is about another stock location"))
	}
	return found[0].ID, nil
}

// findItem returns the id of a SKU's item. One list that is empty for once
// proves nothing, and an order would fail by it: it takes two to say that there
// is no such SKU.
func (c *Client) findItem(ctx context.Context, sku string) (string, error) {
	if sku == "" {
		return "", apierr.New(apierr.Invalid, "", errors.New("the SKU is empty"))
	}
	id, err := c.askItem(ctx, sku)
	if apierr.CodeOf(err) == apierr.NotFound {
		id, err = c.askItem(ctx, sku)
	}
	return id, err
}

func (c *Client) askItem(ctx context.Context, sku string) (string, error) {
	q := call{operation: lookup, method: http.MethodGet, path: "/admin/inventory-items", query: url.Values{
		"sku": {sku}, "fields": {"id,sku"},
	}}
	var in struct {
		Items *[]named `json:"inventory_items"`
	}
	if err := c.do(ctx, q, &in); err != nil {
		return "", err
	}
	switch {
	case in.Items == nil || len(*in.Items) > 1:
		return "", q.nonsense(errors.New("the answer is not about one item"))
	case len(*in.Items) == 0:
		return "", apierr.New(apierr.NotFound, "unknown_sku", errors.New("medusa: no inventory item has this SKU"))
	}
	item := (*in.Items)[0]
	if item.ID == "" || item.SKU != sku {
		return "", q.nonsense(errors.New("the answer is about another item"))
	}
	return item.ID, nil
}
