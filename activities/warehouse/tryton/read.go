package tryton

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/trueup-orders/trueup/activities/apierr"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Lookup returns the order's shipments.
func (c *Client) Lookup(ctx context.Context, subject reconcile.Subject) (reconcile.Observation, error) {
	s := c.rpc.For("lookup")
	out := reconcile.Observation{System: order.SystemWarehouse, Order: subject.Order, State: reconcile.Absent, At: c.config.Now(), Strong: true}
	found, err := c.find(ctx, s, rpc.Domain{[]any{"reference", "like", rpc.Pattern(subject.Order, order.Request)}}, 0)
	if err == nil {
		err = observe(&out, found, subject.Order)
	}
	if err != nil {
		return reconcile.Observation{}, fmt.Errorf("look up the shipments of order %s: tryton: %w", subject.Order, err)
	}
	return out, nil
}

// observe puts the order's shipments into an observation.
func observe(out *reconcile.Observation, found []record, id order.ID) error {
	var versions []string
	for _, r := range found {
		ours, excusable := rpc.Belongs(r.Reference, id)
		if !excusable {
			return rpc.Nonsense("a shipment of another order")
		}
		if !ours {
			continue
		}
		sh, err := r.shipment()
		if err != nil {
			return err
		}
		if out.Warehouse == nil {
			out.State, out.Warehouse = reconcile.Present, &reconcile.Warehouse{}
		}
		out.Warehouse.Shipments = append(out.Warehouse.Shipments, sh)
		versions = append(versions, r.version())
	}
	out.Version = strings.Join(versions, " ")
	return nil
}

// version changes with the shipment and with its notes.
func (r record) version() string {
	v := strconv.FormatInt(r.ID, 10) + "@" + r.Version
	if n := len(r.notes); n > 0 {
		v += "+" + strconv.FormatInt(r.notes[n-1].ID, 10)
	}
	return v
}

// Count returns what lies in the warehouse: in its storage, and picked in its
// output zone until it ships, for it falls when goods leave and not when they
// are picked.
func (c *Client) Count(ctx context.Context, sku string) (reconcile.Count, error) {
	out, err := c.count(ctx, c.rpc.For("count"), sku)
	if err != nil {
		return reconcile.Count{}, fmt.Errorf("count %q: tryton: %w", sku, err)
	}
	return out, nil
}

func (c *Client) count(ctx context.Context, s rpc.Session, sku string) (reconcile.Count, error) {
	at, err := c.settle(ctx, s)
	if err != nil {
		return reconcile.Count{}, err
	}
	out := reconcile.Count{SKU: sku, At: c.config.Now()}
	var found []struct {
		Code     string      `json:"code"`
		Quantity json.Number `json:"quantity"`
	}
	// Without stock_date_end it counts up to today by the server's clock, so
	// that a clock of ours cannot cut the count off.
	err = s.Find(ctx, rpc.Query{
		Model: "product.product", Where: rpc.Domain{[]any{"code", "=", sku}}, Fields: []string{"code", "quantity"},
		Context: map[string]any{"locations": []int64{at.warehouse}, "with_childs": true},
	}, &found)
	if err != nil {
		return reconcile.Count{}, err
	}
	if len(found) == 0 {
		return reconcile.Count{}, apierr.New(apierr.NotFound, "unknown_sku", errors.New("the warehouse does not know it"))
	}
	for _, p := range found {
		if p.Code != sku {
			return reconcile.Count{}, rpc.Nonsense("the count of another SKU")
		}
		n, err := pieces(p.Quantity)
		if err != nil {
			return reconcile.Count{}, err
		}
		out.Quantity += n
	}
	return out, nil
}

// List walks shipments by the dates that Tryton keeps, page by id; after them,
// of changed ones, those that only got a note, for a note does not change its
// shipment's date.
func (c *Client) List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	page, err := c.list(ctx, c.rpc.For("list"), r)
	if err != nil {
		return reconcile.Page{}, fmt.Errorf("list shipments: tryton: %w", err)
	}
	return page, nil
}

func (c *Client) list(ctx context.Context, s rpc.Session, r reconcile.ListRequest) (reconcile.Page, error) {
	limit := pageLimit
	if r.Limit > 0 && r.Limit < limit {
		limit = r.Limit
	}
	cursor, err := rpc.ParseCursor(r.Cursor, "shipment", "note")
	if err != nil {
		return reconcile.Page{}, err
	}
	window := rpc.Window(r)
	where := append(rpc.Domain{[]any{"id", ">", cursor.ID}}, window)
	var next string
	var found []record
	if cursor.Kind == "note" {
		found, next, err = c.noted(ctx, s, where, limit)
	} else {
		found, err = c.find(ctx, s, where, limit)
		switch {
		case len(found) == limit:
			next = rpc.Cursor{Kind: "shipment", ID: found[limit-1].ID}.String()
		case r.By == reconcile.ListChanged:
			next = rpc.Cursor{Kind: "note"}.String()
		}
	}
	if err != nil {
		return reconcile.Page{}, err
	}
	page, err := c.page(found)
	page.Next = next
	return page, err
}

// noted returns the shipments of one page of notes.
func (c *Client) noted(ctx context.Context, s rpc.Session, where rpc.Domain, limit int) ([]record, string, error) {
	var notes []note
	where = append(where, []any{"resource", "like", modelShipment + ",%"})
	err := s.Find(ctx, rpc.Query{Model: modelNote, Where: where, Fields: []string{"resource"}, Limit: limit}, &notes)
	if err != nil || len(notes) == 0 {
		return nil, "", err
	}
	var ids []int64
	for _, n := range notes {
		_, id, _ := strings.Cut(n.Resource, ",")
		if i, err := strconv.ParseInt(id, 10, 64); err == nil {
			ids = append(ids, i)
		}
	}
	next := ""
	if len(notes) == limit {
		next = rpc.Cursor{Kind: "note", ID: notes[limit-1].ID}.String()
	}
	found, err := c.find(ctx, s, rpc.Domain{[]any{"id", "in", ids}}, 0)
	return found, next, err
}

// page puts each shipment into the observation of its order.
func (c *Client) page(found []record) (reconcile.Page, error) {
	var page reconcile.Page
	at := c.config.Now()
	byOrder := map[order.ID]int{}
	for _, r := range found {
		sh, err := r.shipment()
		if err != nil {
			return reconcile.Page{}, err
		}
		intent, ok := order.ParseKey(r.Reference)
		if !ok || intent.Operation != order.Request {
			if o, is := c.orphan(r, sh); is {
				page.Orphans = append(page.Orphans, o)
			}
			continue
		}
		i, known := byOrder[intent.Order]
		if !known {
			i = len(page.Observations)
			byOrder[intent.Order] = i
			page.Observations = append(page.Observations, reconcile.Observation{
				System: order.SystemWarehouse, Order: intent.Order, State: reconcile.Present, At: at, Warehouse: &reconcile.Warehouse{},
			})
		}
		o := &page.Observations[i]
		o.Warehouse.Shipments = append(o.Warehouse.Shipments, sh)
		o.Version = strings.TrimSpace(o.Version + " " + r.version())
		o.Changed = rpc.ChangedAt(o.Changed, r.Version)
		for _, n := range r.notes { // the carrier writes notes alone
			o.Changed = rpc.ChangedAt(o.Changed, n.Version)
		}
	}
	return page, nil
}

// orphan says whether a shipment without a proper reference is ours all the
// same: its reference was meant to be one, or it goes to one of our customers.
func (c *Client) orphan(r record, sh reconcile.Shipment) (reconcile.Orphan, bool) {
	meant := strings.HasPrefix(r.Reference, "order/")
	if !meant && (c.config.Channel == "" || !strings.HasPrefix(r.Customer.Code, rpc.CustomerPrefix)) {
		return reconcile.Orphan{}, false
	}
	n := int64(0)
	for _, l := range sh.Lines {
		n += l.Quantity
	}
	return reconcile.Orphan{
		System: string(order.SystemWarehouse), Record: sh.ID, Kind: "shipment",
		What: fmt.Sprintf("%s shipment of %d pieces, %s", sh.State, n, rpc.Told(r.Reference)), At: r.Created.Time,
	}, true
}
