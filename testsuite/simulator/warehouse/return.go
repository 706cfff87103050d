package warehouse

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

// returnModel is the customer return shipment.
func (s *Server) returnModel() *tryton.Model {
	moves := tryton.Link{Model: modelMove, Via: "shipment", Reference: true}
	incoming, inventory := moves, moves
	incoming.Where = []any{"to_location", "=", int64(tryton.LocationInput)}
	inventory.Where = []any{"from_location", "=", int64(tryton.LocationInput)}
	return &tryton.Model{
		Name: modelReturn, Title: "Customer Return Shipment", Index: "reference", Parent: "delivery_address",
		Fields: []string{"reference", "state", "number", "effective_date", "planned_date"},
		Links: map[string]tryton.Link{
			"customer": {Model: "party.party"}, "delivery_address": {Model: "party.address"},
			"warehouse": {Model: "stock.location"}, "company": {Model: "company.company"},
			"incoming_moves": incoming, "inventory_moves": inventory, "moves": moves,
		},
		Defaults: map[string]any{"state": "draft", "reference": nil, "effective_date": nil, "planned_date": nil},
		Required: []string{"customer", "delivery_address", "warehouse", "company"},
		Created:  s.announced, Guard: s.guardReturn,
		Partial: func(t *tryton.Tx, id int64) { forgetPiece(t, s.incoming(t, id)) },
		Buttons: map[string]func(*tryton.Tx, int64) error{
			"draft": s.redraftReturn, "cancel": s.cancelReturn, "receive": s.receive, "done": s.restock,
		},
	}
}

func (s *Server) incoming(t *tryton.Tx, id int64) []line {
	return s.linesOf(t, t.Children(modelReturn, "incoming_moves", id))
}

// returnEntry is a ledger entry about a return.
func (s *Server) returnEntry(t *tryton.Tx, kind simulator.EntryKind, operation order.Operation, r tryton.Record) simulator.Entry {
	reference := tryton.Text(r.Values["reference"])
	n, goods := pieces(s.incoming(t, r.ID))
	return simulator.Entry{
		Kind: kind, Operation: operation, Order: orderOf(reference), Key: reference, Record: fmt.Sprint(r.ID), Amount: n, Detail: "return " + goods,
	}
}

// announced follows the creation of a return. It is expected from then on; a
// second one of the same reference is taken for what it is, a draft too many.
func (s *Server) announced(t *tryton.Tx, r tryton.Record) error {
	t.Set(modelReturn, r.ID, map[string]any{"number": fmt.Sprint(r.ID)})
	e := s.returnEntry(t, simulator.EntryEffect, order.Request, r)
	if s.sibling(t, r, func(tryton.Record) bool { return true }) {
		e.Detail = draftDetail
	}
	t.Append(e)
	s.awaitReturn(r.ID, 0)
	return nil
}

// sibling says whether another return of the same reference is like that.
func (s *Server) sibling(t *tryton.Tx, r tryton.Record, like func(tryton.Record) bool) bool {
	found, err := t.Find(modelReturn, []any{[]any{"reference", "=", r.Values["reference"]}})
	if err != nil {
		t.Fail(err)
	}
	return slices.ContainsFunc(found, func(other tryton.Record) bool { return other.ID != r.ID && like(other) })
}

// transit moves a return into a state when Tryton allows it from where it is.
func transit(t *tryton.Tx, id int64, state string, from ...string) (tryton.Record, bool) {
	r, ok := t.Get(modelReturn, id)
	if !ok || !slices.Contains(from, tryton.Text(r.Values["state"])) {
		return r, false
	}
	t.Set(modelReturn, id, map[string]any{"state": state})
	return r, true
}

// receive takes the goods into the input zone and makes the moves that will
// bring them into storage.
func (s *Server) receive(t *tryton.Tx, id int64) error {
	r, ok := transit(t, id, "received", "draft")
	if !ok {
		return nil
	}
	for _, l := range s.incoming(t, id) {
		if l.state != "done" { // else it was received before, and drafted again
			s.doMove(t, l)
		}
		if l.n > 0 {
			t.Insert(modelMove, map[string]any{
				"product": l.product, "quantity": l.n, "state": "draft", "uom": int64(1), "shipment": returnResource(id), "effective_date": nil,
				"from_location": int64(tryton.LocationInput), "to_location": int64(tryton.LocationStorage), "company": int64(1),
			})
		}
	}
	t.Append(s.returnEntry(t, simulator.EntryEdit, "receive", r))
	return nil
}

// restock puts what was received into storage.
func (s *Server) restock(t *tryton.Tx, id int64) error {
	r, ok := transit(t, id, "done", "received")
	if !ok {
		return nil
	}
	for _, l := range s.linesOf(t, t.Children(modelReturn, "inventory_moves", id)) {
		s.doMove(t, l)
	}
	t.Set(modelReturn, id, map[string]any{"effective_date": tryton.DayOf(t.Now)})
	t.Append(s.returnEntry(t, simulator.EntryEdit, "restock", r))
	return nil
}

// doMove brings the goods of a move where they go.
func (s *Server) doMove(t *tryton.Tx, l line) {
	s.move(t, l.product, l.from, l.to, l.n)
	t.Set(modelMove, l.move, map[string]any{"state": "done", "effective_date": tryton.DayOf(t.Now)})
}

// redraftReturn also drafts what was received: its goods stay where they are.
func (s *Server) redraftReturn(t *tryton.Tx, id int64) error {
	if _, ok := transit(t, id, "draft", "received", "cancelled"); !ok {
		return nil
	}
	for _, m := range t.Children(modelReturn, "inventory_moves", id) {
		if m.Values["state"] != "done" {
			t.Erase(modelMove, m.ID)
		}
	}
	return nil
}

// cancelReturn calls a return off. What was received stays in the input zone:
// Tryton takes no move back that is done.
func (s *Server) cancelReturn(t *tryton.Tx, id int64) error {
	r, ok := transit(t, id, "cancelled", "draft", "received")
	if !ok {
		return nil
	}
	for _, m := range t.Children(modelReturn, "moves", id) {
		if m.Values["state"] != "done" {
			t.Set(modelMove, m.ID, map[string]any{"state": "cancelled"})
		}
	}
	kind := simulator.EntryEffect
	if t.Operation == "" {
		kind = simulator.EntryEdit
	}
	t.Append(s.returnEntry(t, kind, order.Cancel, r))
	return nil
}

// guardReturn refuses what Tryton refuses, and does what deleting does before it.
func (s *Server) guardReturn(t *tryton.Tx, r tryton.Record, method string, _ map[string]any) error {
	if method != "delete" {
		return nil
	}
	if r.Values["state"] == "done" {
		return tryton.Refuse("To delete shipment \"%d\" you must cancel it.", r.ID)
	}
	for _, m := range t.Children(modelReturn, "moves", r.ID) {
		if m.Values["state"] == "done" {
			return tryton.Refuse("To delete stock move \"%d\" you must cancel it or reset its state to draft.", m.ID)
		}
	}
	e := s.returnEntry(t, simulator.EntryEffect, t.Operation, r)
	e.Detail = draftDetail
	t.Append(e)
	return nil
}

// guardMove refuses to change goods that are promised or have moved.
func guardMove(_ *tryton.Tx, r tryton.Record, method string, values map[string]any) error {
	if method != "write" {
		return nil
	}
	for _, field := range []string{"product", "uom", "quantity", "from_location", "to_location", "company", "currency"} {
		if _, changes := values[field]; !changes {
			continue
		}
		switch r.Values["state"] {
		case "assigned":
			return tryton.Refuse("To modify stock move \"%d\" you must reset its state to draft.", r.ID)
		case "done", "cancelled":
			return tryton.Refuse("You cannot modify stock move \"%d\" because it is %s.", r.ID, r.Values["state"])
		}
	}
	return nil
}

func returnResource(id int64) string { return fmt.Sprintf("%s,%d", modelReturn, id) }

// orderOf returns the order that a reference names, also one that a person typed.
func orderOf(reference string) order.ID {
	parts := strings.Split(reference, "/")
	if len(parts) < 2 || parts[0] != "order" {
		return ""
	}
	id, err := order.ParseID(parts[1])
	if err != nil {
		return ""
	}
	return id
}

// awaitReturn lets goods come back that were announced some time ago.
func (s *Server) awaitReturn(id int64, ago time.Duration) {
	if s.settings.Pace.Return <= 0 {
		return
	}
	s.frame.After(max(0, s.settings.Pace.Return-ago), fmt.Sprintf("returned.%d", id), func() {
		_ = s.rpc.Update(func(t *tryton.Tx) error {
			r, ok := t.Get(modelReturn, id)
			arrived := func(r tryton.Record) bool { return r.Values["state"] == "received" || r.Values["state"] == "done" }
			// One parcel comes back, however often it was announced.
			if !ok || r.Values["state"] != "draft" || s.sibling(t, r, arrived) {
				return nil
			}
			return s.bringBack(t, id, "done")
		})
	})
}

// bringBack takes a return as far as people take it.
func (s *Server) bringBack(t *tryton.Tx, id int64, to string) error {
	if err := s.receive(t, id); err != nil || to == "received" {
		return err
	}
	return s.restock(t, id)
}

// returnsOf returns the returns of an order, of all when it is empty.
func (s *Server) returnsOf(t *tryton.Tx, of order.ID) ([]tryton.Record, error) {
	if of == "" {
		return t.Find(modelReturn, nil)
	}
	found, err := t.Find(modelReturn, []any{[]any{"reference", "like", "order/" + string(of) + "%"}})
	return slices.DeleteFunc(found, func(r tryton.Record) bool { return orderOf(tryton.Text(r.Values["reference"])) != of }), err
}

// ReturnEdit is what a person does with goods that come back.
type ReturnEdit struct {
	// Key names the return; else it is the order's newest that is under way, or a
	// new one that nobody announced when there is none, or Unannounced says so.
	Key         string `json:"key,omitempty"`
	Unannounced bool   `json:"unannounced,omitempty"`
	// Lines are what came, instead of what was announced.
	Lines []order.Quantity `json:"lines,omitempty"`
	// State is expected, received, done (or restocked) or cancelled.
	State string `json:"state,omitempty"`
}

func (s *Server) editReturn(t *tryton.Tx, of order.ID, e ReturnEdit) error {
	r, err := s.returnFor(t, of, e)
	if err != nil {
		return err
	}
	if e.Lines != nil {
		if r.Values["state"] != "draft" {
			return fmt.Errorf("return %d is %s: what came cannot be changed any more", r.ID, r.Values["state"])
		}
		s.setMoves(t, moveList{resource: returnResource(r.ID), from: tryton.LocationCustomer, to: tryton.LocationInput}, s.incoming(t, r.ID), e.Lines)
		t.Set(modelReturn, r.ID, nil)
	}
	t.Append(s.returnEntry(t, simulator.EntryEdit, "edit", r))
	return s.workReturn(t, r.ID, e.State)
}

// workReturn has people bring a return to a state.
func (s *Server) workReturn(t *tryton.Tx, id int64, to string) error {
	want := to
	switch to {
	case "", "expected":
		return nil
	case "cancelled":
		if err := s.cancelReturn(t, id); err != nil {
			return err
		}
	case "restocked", "shipped", "done":
		want = "done"
		if err := s.bringBack(t, id, want); err != nil {
			return err
		}
	case "received":
		if err := s.bringBack(t, id, want); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a return cannot become %q; want expected, received, done or cancelled", to)
	}
	if r, ok := t.Get(modelReturn, id); !ok || r.Values["state"] != want {
		return fmt.Errorf("return %d is %v and cannot become %s", id, r.Values["state"], to)
	}
	return nil
}

// returnFor finds the return of an edit, or makes it as a person would.
func (s *Server) returnFor(t *tryton.Tx, of order.ID, e ReturnEdit) (tryton.Record, error) {
	if e.Key != "" {
		return s.returnNamed(t, e.Key)
	}
	found, err := s.returnsOf(t, of)
	if err != nil {
		return tryton.Record{}, err
	}
	for _, state := range []string{"draft", "received"} {
		for _, r := range slices.Backward(found) {
			if !e.Unannounced && r.Values["state"] == state && (state == "draft" || e.Lines == nil) {
				return r, nil
			}
		}
	}
	if of == "" {
		return tryton.Record{}, errors.New("a return that nobody announced needs its order")
	}
	return s.madeReturn(t, of, e.Lines)
}

func (s *Server) returnNamed(t *tryton.Tx, key string) (tryton.Record, error) {
	found, err := t.Find(modelReturn, []any{[]any{"reference", "=", key}})
	if err != nil {
		return tryton.Record{}, err
	}
	if len(found) == 0 {
		return tryton.Record{}, fmt.Errorf("return %q: %w", key, simulator.ErrNoRecord)
	}
	for _, r := range found {
		if r.Values["state"] != "cancelled" {
			return r, nil
		}
	}
	return found[0], nil
}

// madeReturn is a return that a person typed in, with what the order shipped
// unless there are lines.
func (s *Server) madeReturn(t *tryton.Tx, of order.ID, lines []order.Quantity) (tryton.Record, error) {
	sent, err := s.ofOrder(t, of)
	if err != nil {
		return tryton.Record{}, err
	}
	values := map[string]any{
		"reference": "order/" + string(of) + "/came-back", "state": "draft",
		"warehouse": int64(tryton.LocationWarehouse), "company": int64(1), "effective_date": nil, "planned_date": nil,
	}
	for _, r := range sent {
		if r.Values["state"] != "done" && len(sent) > 1 {
			continue
		}
		values["customer"], values["delivery_address"] = r.Values["customer"], r.Values["delivery_address"]
		if lines == nil {
			lines = quantities(s.lines(t, r.ID))
		}
	}
	if values["customer"] == nil {
		values["customer"] = t.Insert("party.party", map[string]any{"name": "By hand", "active": true})
		values["delivery_address"] = t.Insert("party.address", map[string]any{"party": values["customer"], "street": "By hand", "active": true})
	}
	id := t.Insert(modelReturn, values)
	s.setMoves(t, moveList{resource: returnResource(id), from: tryton.LocationCustomer, to: tryton.LocationInput}, nil, lines)
	t.Set(modelReturn, id, map[string]any{"number": fmt.Sprint(id)})
	r, _ := t.Get(modelReturn, id)
	return r, nil
}
