package tryton

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/trueup-orders/trueup/activities/apierr"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Lookup returns the order's shipments, and what comes back of it.
func (c *Client) Lookup(ctx context.Context, subject reconcile.Subject) (reconcile.Observation, error) {
	out, err := c.lookup(ctx, c.rpc.For("lookup"), subject.Order)
	if err != nil {
		return reconcile.Observation{}, fmt.Errorf("look up the shipments of order %s: tryton: %w", subject.Order, err)
	}
	return out, nil
}

func (c *Client) lookup(ctx context.Context, s rpc.Session, id order.ID) (reconcile.Observation, error) {
	out := reconcile.Observation{System: order.SystemWarehouse, Order: id, State: reconcile.Absent, At: c.config.Now(), Strong: true}
	sent, err := c.find(ctx, s, shipments, rpc.Domain{[]any{"reference", "like", rpc.Pattern(id, order.Request)}}, 0)
	if err != nil {
		return out, err
	}
	// A person who takes in what nobody announced writes down the order, and
	// whatever else they like.
	back, err := c.find(ctx, s, returns, rpc.Domain{
		"OR", []any{"reference", "like", rpc.Pattern(id, "")}, []any{"reference", "=", "order/" + string(id)},
	}, 0)
	if err != nil {
		return out, err
	}
	var ours []record
	for _, r := range append(sent, back...) {
		own, excusable := rpc.Belongs(r.Reference+"/", id)
		if !excusable {
			return out, rpc.Nonsense("a %s of another order", r.kind.note)
		}
		if own {
			ours = append(ours, r)
		}
	}
	return out, observe(&out, ours)
}

// observe puts records of its order into an observation.
func observe(out *reconcile.Observation, found []record) error {
	if len(found) == 0 {
		return nil
	}
	out.State, out.Warehouse = reconcile.Present, &reconcile.Warehouse{}
	versions := make([]string, len(found))
	for i, r := range found {
		versions[i] = r.version()
	}
	out.Version = strings.Join(versions, " ")
	for _, r := range found {
		if r.kind == returns {
			back, err := r.back(found)
			if err != nil {
				return err
			}
			out.Warehouse.Returns = append(out.Warehouse.Returns, back)
		} else {
			sh, err := r.shipment()
			if err != nil {
				return err
			}
			out.Warehouse.Shipments = append(out.Warehouse.Shipments, sh)
		}
	}
	return nil
}

// version changes with the record, with its notes, and with its moves, whose
// quantities people change without touching the shipment.
func (r record) version() string {
	v := strconv.FormatInt(r.ID, 10) + "@" + r.Version
	if r.kind == returns {
		v = "return " + v
	}
	if n := len(r.notes); n > 0 {
		v += "+" + strconv.FormatInt(r.notes[n-1].ID, 10)
	}
	latest := ""
	for _, m := range r.moves {
		latest = max(latest, m.Version)
	}
	if latest > r.Version {
		v += "/" + latest
	}
	return v
}

// Count returns what lies in the warehouse's storage, and picked in its output
// zone until it ships, for it falls when goods leave and not when they are
// picked. What came in and was not put away yet may not be sold: it lies in the
// input zone, which is not counted.
func (c *Client) Count(ctx context.Context, sku string) (reconcile.Count, error) {
	out, err := c.count(ctx, c.rpc.For("count"), sku)
	if err != nil {
		return reconcile.Count{}, fmt.Errorf("count %q: tryton: %w", sku, err)
	}
	return out, nil
}

func (c *Client) count(ctx context.Context, s rpc.Session, sku string) (reconcile.Count, error) {
	all, err := c.counts(ctx, s, sku)
	if err != nil {
		return reconcile.Count{}, err
	}
	out, known := all[sku]
	if !known {
		return reconcile.Count{}, apierr.New(apierr.NotFound, "unknown_sku", errors.New("the warehouse does not know it"))
	}
	return out, nil
}

// countsAtOnce is how many SKUs one call names.
const countsAtOnce = 100

// CountMany is Count of several SKUs in the calls of one. What the warehouse does
// not know is not in the answer.
func (c *Client) CountMany(ctx context.Context, skus []string) (map[string]reconcile.Count, error) {
	all := map[string]reconcile.Count{}
	for some := range slices.Chunk(skus, countsAtOnce) {
		found, err := c.counts(ctx, c.rpc.For("count"), some...)
		if err != nil {
			return nil, fmt.Errorf("count %d SKUs: tryton: %w", len(skus), err)
		}
		maps.Copy(all, found)
	}
	return all, nil
}

func (c *Client) counts(ctx context.Context, s rpc.Session, skus ...string) (map[string]reconcile.Count, error) {
	at, err := c.settle(ctx, s)
	if err != nil {
		return nil, err
	}
	asked := c.config.Now()
	var found []struct {
		Code     string      `json:"code"`
		Quantity json.Number `json:"quantity"`
	}
	where := rpc.Domain{[]any{"code", "=", skus[0]}}
	if len(skus) > 1 {
		where = rpc.Domain{[]any{"code", "in", skus}}
	}
	// Without stock_date_end it counts up to today by the server's clock, so
	// that a clock of ours cannot cut the count off.
	err = s.Find(ctx, rpc.Query{
		Model: "product.product", Where: where, Fields: []string{"code", "quantity"},
		Context: map[string]any{"locations": []int64{at.storage, at.output}, "with_childs": true},
	}, &found)
	if err != nil {
		return nil, err
	}
	all := map[string]reconcile.Count{}
	for _, p := range found {
		if !slices.Contains(skus, p.Code) {
			return nil, rpc.Nonsense("the count of another SKU")
		}
		n, err := pieces(p.Quantity)
		if err != nil {
			return nil, err
		}
		sum := all[p.Code]
		all[p.Code] = reconcile.Count{SKU: p.Code, At: asked, Quantity: sum.Quantity + n}
	}
	return all, nil
}

// List walks shipments by the dates that Tryton keeps, page by id; after them,
// of changed ones, those that only got a note, for a note does not change its
// shipment's date; and then the returns.
func (c *Client) List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	page, err := c.list(ctx, c.rpc.For("list"), r)
	if err != nil {
		return reconcile.Page{}, fmt.Errorf("list shipments: tryton: %w", err)
	}
	return page, nil
}

// The parts of a listing, in their order.
const (
	listShipments = "shipment"
	listNotes     = "note"
	listReturns   = "return"
)

func (c *Client) list(ctx context.Context, s rpc.Session, r reconcile.ListRequest) (reconcile.Page, error) {
	limit := pageLimit
	if r.Limit > 0 && r.Limit < limit {
		limit = r.Limit
	}
	cursor, err := rpc.ParseCursor(r.Cursor, listShipments, listNotes, listReturns)
	if err != nil {
		return reconcile.Page{}, err
	}
	where := append(rpc.Domain{[]any{"id", ">", cursor.ID}}, rpc.Window(r))
	var last int64 // of a full page
	var found []record
	if cursor.Kind == listNotes {
		found, last, err = c.noted(ctx, s, where, limit)
	} else {
		k := shipments
		if cursor.Kind == listReturns {
			k = returns
		}
		if found, err = c.find(ctx, s, k, where, limit); len(found) == limit {
			last = found[limit-1].ID
		}
	}
	if err != nil {
		return reconcile.Page{}, err
	}
	page := c.page(found)
	page.Next = following(cursor.Kind, last, r.By)
	return page, nil
}

// following returns the cursor of the next page: behind the last record of a
// full page, else the beginning of the next part.
func following(part string, last int64, by reconcile.Listing) string {
	switch {
	case last != 0:
	case part == listShipments && by == reconcile.ListChanged:
		part = listNotes
	case part != listReturns:
		part = listReturns
	default:
		return ""
	}
	return rpc.Cursor{Kind: part, ID: last}.String()
}

// noted returns the shipments of one page of notes, and the last note of a full
// page.
func (c *Client) noted(ctx context.Context, s rpc.Session, where rpc.Domain, limit int) (found []record, last int64, err error) {
	var notes []note
	where = append(where, []any{"resource", "like", modelShipment + ",%"})
	err = s.Find(ctx, rpc.Query{Model: modelNote, Where: where, Fields: []string{"resource"}, Limit: limit}, &notes)
	if err != nil || len(notes) == 0 {
		return nil, 0, err
	}
	var ids []int64
	for _, n := range notes {
		_, id, _ := strings.Cut(n.Resource, ",")
		if i, err := strconv.ParseInt(id, 10, 64); err == nil {
			ids = append(ids, i)
		}
	}
	if len(notes) == limit {
		last = notes[limit-1].ID
	}
	found, err = c.find(ctx, s, shipments, rpc.Domain{[]any{"id", "in", ids}}, 0)
	return found, last, err
}

// page puts each record into the observation of its order. One that cannot be
// understood makes its order unreadable, and holds up no other.
func (c *Client) page(found []record) reconcile.Page {
	var page reconcile.Page
	at := c.config.Now()
	byOrder := map[order.ID][]record{}
	var ids []order.ID
	for _, r := range found {
		id, ok := r.order()
		if !ok {
			if c.meant(r) {
				page.Orphans = append(page.Orphans, orphan(r))
			}
			continue
		}
		if byOrder[id] == nil {
			ids = append(ids, id)
		}
		byOrder[id] = append(byOrder[id], r)
	}
	for _, id := range ids {
		o := reconcile.Observation{System: order.SystemWarehouse, Order: id, At: at}
		if err := observe(&o, byOrder[id]); err != nil {
			o.State, o.Why, o.Warehouse = reconcile.Unreadable, err.Error(), nil
		}
		for _, r := range byOrder[id] {
			o.Changed = rpc.ChangedAt(o.Changed, r.Version)
			for _, n := range r.notes { // the carrier writes notes alone
				o.Changed = rpc.ChangedAt(o.Changed, n.Version)
			}
		}
		page.Observations = append(page.Observations, o)
	}
	return page
}

// order returns the order that a record's reference names. A shipment goes out
// under a key of ours only.
func (r record) order() (order.ID, bool) {
	if r.kind == returns {
		return orderOf(r.Reference)
	}
	intent, ok := order.ParseKey(r.Reference)
	return intent.Order, ok && intent.Operation == shipments.operation
}

// meant says whether a record without a proper reference is ours all the same: its
// reference was meant to be one, or it is one of our customers'. What others ship is
// not looked into.
func (c *Client) meant(r record) bool {
	return strings.HasPrefix(r.Reference, "order/") || c.config.Channel != "" && strings.HasPrefix(r.Customer.Code, rpc.CustomerPrefix)
}

func orphan(r record) reconcile.Orphan {
	o := reconcile.Orphan{
		System: string(order.SystemWarehouse), Record: strconv.FormatInt(r.ID, 10), Kind: r.kind.note, At: r.Created.Time,
		What: fmt.Sprintf("%s %s of %s, %s", r.State, r.kind.note, r.size(), rpc.Told(r.Reference)),
	}
	if r.kind == returns {
		o.Record = "return-" + o.Record // the two kinds are numbered apart
	}
	return o
}

// size says how much is in a record.
func (r record) size() string {
	goods, err := r.goods()
	if err != nil {
		return "goods that cannot be counted"
	}
	n := int64(0)
	for _, l := range goods {
		n += l.Quantity
	}
	return fmt.Sprintf("%d pieces", n)
}
