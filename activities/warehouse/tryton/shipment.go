package tryton

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// record is one stock.shipment.out with its moves and notes.
type record struct {
	ID        int64        `json:"id"`
	Reference string       `json:"reference"`
	State     string       `json:"state"`
	Version   string       `json:"_timestamp"`
	Created   rpc.Datetime `json:"create_date"`
	Written   rpc.Datetime `json:"write_date"`
	Effective rpc.Date     `json:"effective_date"`
	Outgoing  []int64      `json:"outgoing_moves"`
	Customer  struct {
		Code string `json:"code"`
	} `json:"customer."`
	Address rpc.Address `json:"delivery_address."`

	moves []move
	notes []note
}

type move struct {
	ID       int64        `json:"id"`
	Quantity json.Number  `json:"quantity"`
	State    string       `json:"state"`
	Written  rpc.Datetime `json:"write_date"`
	Product  struct {
		Code string `json:"code"`
	} `json:"product."`
}

type note struct {
	ID       int64  `json:"id"`
	Resource string `json:"resource"`
	Message  string `json:"message"`
	Version  string `json:"_timestamp"`
}

var shipmentFields = []string{
	"reference", "state", "_timestamp", "create_date", "write_date", "effective_date", "outgoing_moves", "customer.code",
	"delivery_address.party_name", "delivery_address.street", "delivery_address.postal_code",
	"delivery_address.city", "delivery_address.country.code",
}

// find reads shipments with their moves and notes, in the order of their ids.
func (c *Client) find(ctx context.Context, s rpc.Session, where rpc.Domain, limit int) ([]record, error) {
	var found []record
	err := s.Find(ctx, rpc.Query{Model: modelShipment, Where: where, Fields: shipmentFields, Limit: limit}, &found)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	moves := map[int64]int{} // by id, the index of its shipment
	notes := map[string]int{}
	var ids []int64
	var resources []string
	for i := range found {
		if found[i].ID <= 0 || found[i].State == "" {
			return nil, rpc.Nonsense("a shipment without an id or a state")
		}
		for _, id := range found[i].Outgoing {
			moves[id] = i
		}
		ids = append(ids, found[i].Outgoing...)
		resource := fmt.Sprintf("%s,%d", modelShipment, found[i].ID)
		notes[resource] = i
		resources = append(resources, resource)
	}
	var all []move
	if len(ids) == 0 {
		ids = []int64{0} // none, for a shipment without moves
	}
	err = s.Find(ctx, rpc.Query{
		Model: modelMove, Where: rpc.Domain{[]any{"id", "in", ids}}, Fields: []string{"quantity", "state", "write_date", "product.code"},
	}, &all)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		i, ok := moves[m.ID]
		if !ok {
			return nil, rpc.Nonsense("a move that was not asked for")
		}
		found[i].moves = append(found[i].moves, m)
	}
	var written []note
	err = s.Find(ctx, rpc.Query{
		Model: modelNote, Where: rpc.Domain{[]any{"resource", "in", resources}}, Fields: []string{"resource", "message", "_timestamp"},
	}, &written)
	if err != nil {
		return nil, err
	}
	for _, n := range written {
		i, ok := notes[n.Resource]
		if !ok {
			return nil, rpc.Nonsense("a note that was not asked for")
		}
		found[i].notes = append(found[i].notes, n)
	}
	return found, nil
}

// byKey reads the shipments of one key, drafts and cancelled ones included.
func (c *Client) byKey(ctx context.Context, s rpc.Session, key string) ([]record, error) {
	found, err := c.find(ctx, s, rpc.Domain{[]any{"reference", "=", key}}, 0)
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		if r.Reference != key {
			return nil, rpc.Nonsense("a shipment of another order")
		}
	}
	return found, nil
}

// choose returns the shipment that counts among those of one key, and the
// drafts that do not. A live one before a cancelled one before a draft, and the
// lowest id among equals.
func choose(found []record) (kept *record, surplus []record) {
	rank := func(r record) int {
		switch r.State {
		case stateDraft:
			return 2
		case stateCancelled, stateCancel:
			return 1
		}
		return 0
	}
	for i := range found {
		if kept == nil || rank(found[i]) < rank(*kept) {
			kept = &found[i]
		}
	}
	for i := range found {
		if &found[i] != kept && found[i].State == stateDraft {
			surplus = append(surplus, found[i])
		}
	}
	return kept, surplus
}

// Tryton's states of a shipment.
const (
	stateDraft     = "draft"
	stateWaiting   = "waiting"
	stateAssigned  = "assigned"
	statePicked    = "picked"
	statePacked    = "packed"
	stateDone      = "done"
	stateCancelled = "cancelled"
	stateCancel    = "cancel" // before Tryton 5.8
)

// shipment translates a record.
func (r record) shipment() (reconcile.Shipment, error) {
	facts := r.facts()
	out := reconcile.Shipment{
		ID: strconv.FormatInt(r.ID, 10), Key: r.Reference, Address: r.Address.Line(),
		Tracking: facts.tracking, Version: r.Version,
	}
	switch r.State {
	case stateDraft:
		out.State = reconcile.ShipmentDraft
	case stateWaiting:
		out.State = reconcile.ShipmentRequested
	case stateAssigned:
		out.State = reconcile.ShipmentAssigned
	case statePicked:
		out.State = reconcile.ShipmentPicked
	case statePacked:
		out.State = reconcile.ShipmentPacked
	case stateDone:
		out.State = reconcile.ShipmentShipped
		out.ShippedAt = r.shippedAt()
		if !facts.delivered.IsZero() {
			out.State, out.DeliveredAt = reconcile.ShipmentDelivered, facts.delivered
		}
	case stateCancelled, stateCancel:
		out.State = reconcile.ShipmentCancelled
	default:
		return reconcile.Shipment{}, rpc.Nonsense("shipment %d is in the unknown state %q", r.ID, r.State)
	}
	for _, m := range r.moves {
		if m.State == stateCancelled && out.State != reconcile.ShipmentCancelled {
			continue
		}
		n, err := pieces(m.Quantity)
		if err != nil {
			return reconcile.Shipment{}, err
		}
		out.Lines = append(out.Lines, order.Quantity{Line: facts.lines[m.ID], SKU: m.Product.Code, Quantity: n})
	}
	return out, nil
}

// shippedAt is when the outgoing moves were done: the shipment itself only has
// a day for it, and its write date moves with every later edit.
func (r record) shippedAt() time.Time {
	var at time.Time
	for _, m := range r.moves {
		if m.State == stateDone && m.Written.After(at) {
			at = m.Written.Time
		}
	}
	switch {
	case !at.IsZero():
		return at
	case !r.Effective.IsZero():
		return r.Effective.Time
	}
	return r.Written.Time
}

// pieces reads a quantity, which Tryton keeps as a float, as whole pieces.
func pieces(n json.Number) (int64, error) {
	f, err := n.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<52 {
		return 0, rpc.Nonsense("%q is not a number of pieces", n.String())
	}
	return int64(f), nil
}

type facts struct {
	lines     map[int64]int // by move
	tracking  string
	delivered time.Time
}

// facts reads the notes. What people write beside it does no harm; of several
// tracking numbers the last counts, of several deliveries the first.
func (r record) facts() facts {
	f := facts{lines: map[int64]int{}}
	for _, n := range r.notes {
		for line := range strings.Lines(n.Message) {
			name, value, ok := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			if !ok || value == "" {
				continue
			}
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "lines":
				readLines(value, f.lines)
			case "tracking":
				f.tracking = value
			case "delivered":
				if at := readTime(value); f.delivered.IsZero() {
					f.delivered = at
				}
			}
		}
	}
	return f
}

func readLines(value string, lines map[int64]int) {
	for _, pair := range strings.Fields(value) {
		id, number, _ := strings.Cut(pair, "=")
		m, err := strconv.ParseInt(id, 10, 64)
		n, err2 := strconv.Atoi(number)
		if err == nil && err2 == nil && n > 0 {
			lines[m] = n
		}
	}
}

// readTime reads the ways in which carriers' integrations write a moment.
func readTime(value string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, value); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// linesNote returns the note that says which move carries which line, or "" when
// the shipment has it already. Moves are made in the order of the lines, and
// their ids rise with it.
func (r record) linesNote(lines []order.Quantity) string {
	known := r.facts().lines
	ids := slices.Sorted(slices.Values(r.Outgoing))
	var pairs []string
	for i, id := range ids {
		if i < len(lines) && lines[i].Line > 0 && known[id] == 0 {
			pairs = append(pairs, fmt.Sprintf("%d=%d", id, lines[i].Line))
		}
	}
	if len(pairs) == 0 {
		return ""
	}
	return "lines: " + strings.Join(pairs, " ")
}
