package tryton

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// kind is one of the two models that bring goods over the warehouse's border.
type kind struct {
	model     string
	moves     string          // the field with the moves over the border
	operation order.Operation // of the keys that are its references
	note      string          // how our notes and messages call it
}

var (
	shipments = kind{model: modelShipment, moves: "outgoing_moves", operation: order.Request, note: "shipment"}
	returns   = kind{model: modelReturn, moves: "incoming_moves", operation: order.Return, note: "return"}
)

// record is one record of a kind with its moves and notes.
type record struct {
	ID        int64        `json:"id"`
	Reference string       `json:"reference"`
	State     string       `json:"state"`
	Version   string       `json:"_timestamp"`
	Created   rpc.Datetime `json:"create_date"`
	Written   rpc.Datetime `json:"write_date"`
	Effective rpc.Date     `json:"effective_date"`
	Outgoing  []int64      `json:"outgoing_moves"`
	Incoming  []int64      `json:"incoming_moves"`
	Customer  struct {
		Code string `json:"code"`
	} `json:"customer."`
	Address rpc.Address `json:"delivery_address."`

	kind  kind
	moves []move
	notes []note
	lines map[int64]int // by move, the line of the order; none when it is not known
}

type move struct {
	ID       int64        `json:"id"`
	Quantity json.Number  `json:"quantity"`
	State    string       `json:"state"`
	Version  string       `json:"_timestamp"`
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

var recordFields = []string{
	"reference", "state", "_timestamp", "create_date", "write_date", "effective_date", "customer.code",
	"delivery_address.party_name", "delivery_address.street", "delivery_address.postal_code",
	"delivery_address.city", "delivery_address.country.code",
}

func (r record) resource() string { return fmt.Sprintf("%s,%d", r.kind.model, r.ID) }

// at names the record in the version that was read.
func (r record) at() rpc.Record {
	return rpc.Record{Model: r.kind.model, ID: r.ID, Version: r.Version}
}

// find reads records of a kind with their moves and notes, in the order of
// their ids.
func (c *Client) find(ctx context.Context, s rpc.Session, k kind, where rpc.Domain, limit int) ([]record, error) {
	var found []record
	fields := append(slices.Clone(recordFields), k.moves)
	err := s.Find(ctx, rpc.Query{Model: k.model, Where: where, Fields: fields, Limit: limit}, &found)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	for i := range found {
		if found[i].ID <= 0 || found[i].State == "" {
			return nil, rpc.Nonsense("a %s without an id or a state", k.note)
		}
		found[i].kind = k
	}
	if err := c.addMoves(ctx, s, found); err != nil {
		return nil, err
	}
	if err := c.addNotes(ctx, s, found); err != nil {
		return nil, err
	}
	number(found)
	return found, nil
}

func (c *Client) addMoves(ctx context.Context, s rpc.Session, found []record) error {
	of := map[int64]int{} // by id, the index of its record
	var ids []int64
	for i, r := range found {
		for _, id := range append(r.Outgoing, r.Incoming...) {
			of[id] = i
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		ids = []int64{0} // none, for a shipment without moves
	}
	var all []move
	err := s.Find(ctx, rpc.Query{
		Model: modelMove, Where: rpc.Domain{[]any{"id", "in", ids}},
		Fields: []string{"quantity", "state", "_timestamp", "write_date", "product.code"},
	}, &all)
	if err != nil {
		return err
	}
	for _, m := range all {
		i, ok := of[m.ID]
		if !ok {
			return rpc.Nonsense("a move that was not asked for")
		}
		found[i].moves = append(found[i].moves, m)
	}
	return nil
}

func (c *Client) addNotes(ctx context.Context, s rpc.Session, found []record) error {
	of := map[string]int{}
	var resources []string
	for i, r := range found {
		of[r.resource()] = i
		resources = append(resources, r.resource())
	}
	var written []note
	err := s.Find(ctx, rpc.Query{
		Model: modelNote, Where: rpc.Domain{[]any{"resource", "in", resources}}, Fields: []string{"resource", "message", "_timestamp"},
	}, &written)
	if err != nil {
		return err
	}
	for _, n := range written {
		i, ok := of[n.Resource]
		if !ok {
			return rpc.Nonsense("a note that was not asked for")
		}
		found[i].notes = append(found[i].notes, n)
	}
	return nil
}

// number finds which line of the order each move carries. Our note says so, and
// it stays where it was written when people move some of the moves into another
// shipment, so the notes of all records of one reference count. A move that was
// split off another has an id of its own: it carries the line of its goods, when
// every move of the note is there and only one line has these goods.
func number(found []record) {
	noted := map[string]map[int64]int{}
	for _, r := range found {
		if noted[r.Reference] == nil {
			noted[r.Reference] = map[int64]int{}
		}
		for _, n := range r.notes {
			readLines(n.Message, noted[r.Reference])
		}
	}
	type goods struct{ reference, sku string }
	byGoods := map[goods]int{} // -1: several lines
	seen := map[string]int{}
	for _, r := range found {
		for _, m := range r.moves {
			line := noted[r.Reference][m.ID]
			if line == 0 {
				continue
			}
			seen[r.Reference]++
			g := goods{r.Reference, m.Product.Code}
			if known := byGoods[g]; known != 0 && known != line {
				line = -1
			}
			byGoods[g] = line
		}
	}
	for i := range found {
		r := &found[i]
		r.lines = map[int64]int{}
		complete := seen[r.Reference] == len(noted[r.Reference])
		for _, m := range r.moves {
			line := noted[r.Reference][m.ID]
			if line == 0 && complete {
				line = max(0, byGoods[goods{r.Reference, m.Product.Code}])
			}
			r.lines[m.ID] = line
		}
	}
}

// byKey reads the records of one key, drafts and cancelled ones included.
func (c *Client) byKey(ctx context.Context, s rpc.Session, k kind, key string) ([]record, error) {
	found, err := c.find(ctx, s, k, rpc.Domain{[]any{"reference", "=", key}}, 0)
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		if r.Reference != key {
			return nil, rpc.Nonsense("a %s of another order", k.note)
		}
	}
	return found, nil
}

// choose returns the record that counts among those of one key: a live one
// before a cancelled one before a draft, and the lowest id among equals.
func choose(found []record) *record {
	rank := func(r record) int {
		switch r.State {
		case stateDraft:
			return 2
		case stateCancelled, stateCancel:
			return 1
		}
		return 0
	}
	var kept *record
	for i := range found {
		if kept == nil || rank(found[i]) < rank(*kept) {
			kept = &found[i]
		}
	}
	return kept
}

// surplus returns the drafts that a doubled or late request of ours has left:
// beside the one that counts, they carry all that was asked for, or nothing. A
// draft with other goods is a part that people are splitting off the shipment,
// which they do while it is a draft; it is theirs.
func surplus(found []record, kept *record, asked []order.Quantity) ([]record, error) {
	var out []record
	for _, r := range found {
		if r.ID == kept.ID || r.State != stateDraft {
			continue
		}
		goods, err := r.goods()
		if err != nil {
			return nil, err
		}
		if len(goods) == 0 || sameGoods(goods, asked) {
			out = append(out, r)
		}
	}
	return out, nil
}

func sameGoods(a, b []order.Quantity) bool {
	sorted := func(q []order.Quantity) []order.Quantity {
		return slices.SortedFunc(slices.Values(order.BySKU(q)), func(x, y order.Quantity) int { return strings.Compare(x.SKU, y.SKU) })
	}
	return slices.Equal(sorted(a), sorted(b))
}

// Tryton's states of a shipment and of a return.
const (
	stateDraft     = "draft"
	stateWaiting   = "waiting"
	stateAssigned  = "assigned"
	statePicked    = "picked"
	statePacked    = "packed"
	stateReceived  = "received" // of a return
	stateDone      = "done"
	stateCancelled = "cancelled"
	stateCancel    = "cancel" // before Tryton 5.8
)

// shipment translates a record. A return is a shipment towards us: requested
// while it is expected, and shipped once it was received.
func (r record) shipment() (reconcile.Shipment, error) {
	facts := r.facts()
	out := reconcile.Shipment{
		ID: strconv.FormatInt(r.ID, 10), Key: r.Reference, Address: r.Address.Line(),
		Tracking: facts.tracking, Version: r.Version,
	}
	switch r.State {
	case stateDraft:
		out.State = reconcile.ShipmentDraft
		if r.kind == returns {
			out.State = reconcile.ShipmentRequested // it has no other state for it
		}
	case stateWaiting:
		out.State = reconcile.ShipmentRequested
	case stateAssigned:
		out.State = reconcile.ShipmentAssigned
	case statePicked:
		out.State = reconcile.ShipmentPicked
	case statePacked:
		out.State = reconcile.ShipmentPacked
	case stateReceived:
		out.State = reconcile.ShipmentShipped
		out.ShippedAt = r.crossedAt()
	case stateDone:
		out.State = reconcile.ShipmentShipped
		out.ShippedAt = r.crossedAt()
		out.LostAt = facts.lost
		if !facts.delivered.IsZero() {
			out.State, out.DeliveredAt = reconcile.ShipmentDelivered, facts.delivered
		}
	case stateCancelled, stateCancel:
		out.State = reconcile.ShipmentCancelled
	default:
		return reconcile.Shipment{}, rpc.Nonsense("%s %d is in the unknown state %q", r.kind.note, r.ID, r.State)
	}
	var err error
	out.Lines, err = r.goods()
	return out, err
}

// goods are what a record carries; of a cancelled one, what it would have.
func (r record) goods() ([]order.Quantity, error) {
	cancelled := func(state string) bool { return state == stateCancelled || state == stateCancel }
	var out []order.Quantity
	for _, m := range r.moves {
		if cancelled(m.State) && !cancelled(r.State) {
			continue
		}
		n, err := pieces(m.Quantity)
		if err != nil {
			return nil, err
		}
		if n > 0 { // people leave a line out by setting its quantity to 0
			out = append(out, order.Quantity{Line: r.lines[m.ID], SKU: m.Product.Code, Quantity: n})
		}
	}
	return out, nil
}

// crossedAt is when the moves over the border were done: the record itself only
// has a day for it, and its write date moves with every later edit.
func (r record) crossedAt() time.Time {
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
	tracking  string
	delivered time.Time
	lost      time.Time
}

// facts reads the notes. What people write beside it does no harm; of several
// tracking numbers the last counts, of several deliveries and losses the first.
func (r record) facts() facts {
	var f facts
	for _, n := range r.notes {
		for name, value := range entries(n.Message) {
			switch name {
			case "tracking":
				f.tracking = value
			case "delivered":
				if f.delivered.IsZero() {
					f.delivered = readTime(value)
				}
			case "lost":
				if f.lost.IsZero() {
					f.lost = readTime(value)
				}
			}
		}
	}
	return f
}

// entries walks the lines of a note that say "name: value".
func entries(message string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for line := range strings.Lines(message) {
			name, value, ok := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			if ok && value != "" && !yield(strings.ToLower(strings.TrimSpace(name)), value) {
				return
			}
		}
	}
}

// readLines reads which move carries which line of the order.
func readLines(message string, lines map[int64]int) {
	for name, value := range entries(message) {
		if name != "lines" {
			continue
		}
		for _, pair := range strings.Fields(value) {
			id, number, _ := strings.Cut(pair, "=")
			m, err := strconv.ParseInt(id, 10, 64)
			n, err2 := strconv.Atoi(number)
			if err == nil && err2 == nil && n > 0 {
				lines[m] = n
			}
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
// the record has it already. Moves are made in the order of the lines, and their
// ids rise with it; what people have put there since is none of ours.
func (r record) linesNote(lines []order.Quantity) string {
	var pairs []string
	for i, m := range r.moves {
		if i < len(lines) && lines[i].Line > 0 && lines[i].SKU == m.Product.Code && r.lines[m.ID] == 0 {
			pairs = append(pairs, fmt.Sprintf("%d=%d", m.ID, lines[i].Line))
		}
	}
	if len(pairs) == 0 {
		return ""
	}
	return "lines: " + strings.Join(pairs, " ")
}
