package warehouse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

// State is what the warehouse holds.
type State struct {
	Shipments []Shipment       `json:"shipments"`
	OnHand    map[string]int64 `json:"on_hand"` // by SKU, everything within the warehouse
}

// Shipment is one shipment in Tryton's terms; a done one is delivered when
// Delivered says when.
type Shipment struct {
	ID        int64            `json:"id"`
	Key       string           `json:"key"` // the reference
	State     string           `json:"state"`
	Lines     []order.Quantity `json:"lines"`
	Street    string           `json:"street"`
	Notes     []string         `json:"notes,omitempty"`
	Delivered bool             `json:"delivered,omitempty"`
	Written   time.Time        `json:"written"`
}

// State returns a State.
func (s *Server) State(of order.ID) (any, error) { return s.Holds(of) }

// Holds returns what the warehouse holds of an order, of all when it is empty.
func (s *Server) Holds(of order.ID) (State, error) {
	out := State{OnHand: map[string]int64{}}
	err := s.rpc.View(func(t *tryton.Tx) error {
		products, err := t.Find(modelProduct, nil)
		if err != nil {
			return err
		}
		for _, p := range products {
			out.OnHand[tryton.Text(p.Values["code"])] = s.onHand(t, p.ID)
		}
		found, err := s.ofOrder(t, of)
		for _, r := range found {
			out.Shipments = append(out.Shipments, s.shown(t, r))
		}
		return err
	})
	return out, err
}

func (s *Server) ofOrder(t *tryton.Tx, of order.ID) ([]tryton.Record, error) {
	if of == "" {
		return t.Find(modelShipment, nil)
	}
	prefix := "order/" + string(of) + "/"
	found, err := t.Find(modelShipment, []any{[]any{"reference", "like", prefix + "%"}})
	return slices.DeleteFunc(found, func(r tryton.Record) bool {
		ref := tryton.Text(r.Values["reference"])
		return len(ref) < len(prefix) || ref[:len(prefix)] != prefix
	}), err
}

func (s *Server) shown(t *tryton.Tx, r tryton.Record) Shipment {
	out := Shipment{
		ID: r.ID, Key: tryton.Text(r.Values["reference"]), State: tryton.Text(r.Values["state"]),
		Written: r.Written, Delivered: s.noted(t, r.ID, "delivered:"),
	}
	for i, l := range s.lines(t, r.ID) {
		out.Lines = append(out.Lines, order.Quantity{Line: i + 1, SKU: l.sku, Quantity: l.n})
	}
	if a, ok := t.Get("party.address", tryton.Int(r.Values["delivery_address"])); ok {
		out.Street = tryton.Text(a.Values["street"])
	}
	notes, _ := t.Find(modelNote, []any{[]any{"resource", "=", resource(r.ID)}})
	for _, n := range notes {
		out.Notes = append(out.Notes, tryton.Text(n.Values["message"]))
	}
	return out
}

// Edit is what a person in the warehouse can do by hand.
type Edit struct {
	// A hand count of a SKU, which includes what is picked and not yet shipped.
	SKU    string `json:"sku,omitempty"`
	OnHand *int64 `json:"on_hand,omitempty"`
	Reason string `json:"reason,omitempty"`

	// About shipments: that of a key or id, else the order's newest live one.
	Order    order.ID `json:"order,omitempty"`
	Shipment string   `json:"shipment,omitempty"`
	// State brings it forward, or cancels it.
	State    string         `json:"state,omitempty"`
	Cancel   bool           `json:"cancel,omitempty"`
	Delete   bool           `json:"delete,omitempty"`
	Tracking string         `json:"tracking,omitempty"`
	Address  *order.Address `json:"address,omitempty"`
	// Reference is what somebody retyped it to.
	Reference *string `json:"reference,omitempty"`
	// Lines sets what it contains.
	Lines []order.Quantity `json:"lines,omitempty"`
	// Returned goods came back into storage.
	Returned map[string]int64 `json:"returned,omitempty"`
	// The form of an incident's expect: how many shipments live, and what the
	// order's shipments have shipped.
	Live    *int             `json:"live,omitempty"`
	Shipped map[string]int64 `json:"shipped,omitempty"`
}

// Edit carries out an Edit.
func (s *Server) Edit(raw json.RawMessage) error {
	var e Edit
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return fmt.Errorf("edit the warehouse: %w", err)
	}
	err := s.rpc.Update(func(t *tryton.Tx) error {
		switch {
		case e.SKU != "" && e.OnHand != nil:
			return s.recount(t, e)
		case e.Order != "" || e.Shipment != "":
			return s.editOrder(t, e)
		}
		return errors.New("names neither a sku with on_hand nor an order")
	})
	if err != nil {
		return fmt.Errorf("edit the warehouse: %w", err)
	}
	return nil
}

// recount sets the physical stock; the difference comes from or goes to Lost and
// Found. Storage takes it, down to below what is picked if it must.
func (s *Server) recount(t *tryton.Tx, e Edit) error {
	id := s.product(t, e.SKU)
	difference := *e.OnHand - s.onHand(t, id)
	s.move(t, id, 0, tryton.LocationStorage, difference)
	t.Append(simulator.Entry{Kind: simulator.EntryEdit, Operation: "count", Record: e.SKU, Amount: difference, Detail: e.Reason})
	return nil
}

// product finds a product, and makes it as a person would.
func (s *Server) product(t *tryton.Tx, sku string) int64 {
	found, err := t.Find(modelProduct, []any{[]any{"code", "=", sku}})
	if err != nil {
		t.Fail(err)
	}
	if len(found) == 0 {
		return s.addProduct(t, sku, 0)
	}
	return found[0].ID
}

func (s *Server) editOrder(t *tryton.Tx, e Edit) error {
	for _, sku := range slices.Sorted(maps.Keys(e.Returned)) {
		s.move(t, s.product(t, sku), 0, tryton.LocationStorage, e.Returned[sku])
		t.Append(simulator.Entry{Kind: simulator.EntryEdit, Operation: "return", Order: e.Order, Record: sku, Amount: e.Returned[sku]})
	}
	if e.Live != nil {
		if err := s.setLive(t, e); err != nil {
			return err
		}
	}
	if e.Shipped != nil {
		return s.setShipped(t, e)
	}
	e.Returned, e.Live, e.Reason = nil, nil, ""
	if !e.aboutShipment() {
		return nil
	}
	id, err := s.one(t, e)
	if err != nil {
		return err
	}
	return s.editShipment(t, id, e)
}

// aboutShipment says whether an edit says more than whose shipment it is.
func (e Edit) aboutShipment() bool {
	return e.State != "" || e.Cancel || e.Delete || e.Tracking != "" || e.Address != nil || e.Reference != nil || e.Lines != nil
}

// one finds the shipment of an edit: a live one before any other, the newest
// among equals. None is made, as a person would make it.
func (s *Server) one(t *tryton.Tx, e Edit) (int64, error) {
	if e.Shipment != "" {
		return s.named(t, e.Shipment)
	}
	found, err := s.ofOrder(t, e.Order)
	if err != nil {
		return 0, err
	}
	chosen := int64(0)
	for _, r := range slices.Backward(found) {
		if live(r) {
			return r.ID, nil
		}
		chosen = max(chosen, r.ID)
	}
	if chosen == 0 {
		return s.made(t, e), nil
	}
	return chosen, nil
}

// made is a shipment that a person typed in, with the order's reference.
func (s *Server) made(t *tryton.Tx, e Edit) int64 {
	who := t.Insert("party.party", map[string]any{"name": "By hand", "active": true})
	where := t.Insert("party.address", map[string]any{"party": who, "street": "By hand", "active": true})
	n := 1
	for found, _ := s.ofOrder(t, e.Order); n <= len(found); n++ {
	}
	id := t.Insert(modelShipment, map[string]any{
		"reference": order.Intent{Order: e.Order, Operation: order.Request, N: n}.Key(), "state": "waiting", "customer": who,
		"delivery_address": where, "warehouse": int64(tryton.LocationWarehouse), "company": int64(1), "taken": t.Now.UnixMicro(),
	})
	t.Set(modelShipment, id, map[string]any{"number": fmt.Sprint(id)})
	r, _ := t.Get(modelShipment, id)
	t.Append(s.entry(t, simulator.EntryEdit, order.Request, r, "by hand"))
	s.expect(id, 0)
	return id
}

func (s *Server) editShipment(t *tryton.Tx, id int64, e Edit) error {
	r, _ := t.Get(modelShipment, id)
	if e.Delete {
		t.Append(s.entry(t, simulator.EntryEdit, "delete", r, ""))
		t.Erase(modelShipment, id)
		return nil
	}
	if e.Lines != nil {
		s.setLines(t, id, e.Lines)
	}
	if e.Address != nil {
		where := t.Insert("party.address", map[string]any{
			"party": r.Values["customer"], "party_name": e.Address.Name, "street": e.Address.Street, "city": e.Address.City,
			"postal_code": e.Address.PostalCode, "active": true,
		})
		t.Set(modelShipment, id, map[string]any{"delivery_address": where})
	}
	if e.Tracking != "" {
		s.note(t, id, "tracking: "+e.Tracking)
	}
	if e.Reference != nil {
		t.Set(modelShipment, id, map[string]any{"reference": *e.Reference})
	}
	t.Append(s.entry(t, simulator.EntryEdit, "edit", r, ""))
	switch to := e.State; {
	case e.Cancel, to == "cancelled":
		return s.cancel(t, id)
	case to == "shipped":
		s.advance(t, id, "done")
	case slices.Contains(steps, to):
		s.advance(t, id, to)
	case to != "":
		t.Set(modelShipment, id, map[string]any{"state": to})
	}
	return nil
}

func (s *Server) setLines(t *tryton.Tx, id int64, lines []order.Quantity) {
	for _, l := range s.lines(t, id) {
		t.Erase(modelMove, l.move)
	}
	for _, q := range lines {
		t.Insert(modelMove, map[string]any{
			"product": s.product(t, q.SKU), "quantity": q.Quantity, "state": "draft", "uom": int64(1), "shipment": resource(id),
			"from_location": int64(tryton.LocationOutput), "to_location": int64(tryton.LocationCustomer), "company": int64(1),
		})
	}
	t.Set(modelShipment, id, nil)
}

func (s *Server) setLive(t *tryton.Tx, e Edit) error {
	found, err := s.ofOrder(t, e.Order)
	if err != nil {
		return err
	}
	n := 0
	for _, r := range found {
		if !live(r) {
			continue
		}
		if n++; n > *e.Live {
			if err := s.cancel(t, r.ID); err != nil {
				return err
			}
		}
	}
	for ; n < *e.Live; n++ {
		id := s.made(t, e)
		if len(found) > 0 {
			var lines []order.Quantity
			for _, l := range s.lines(t, found[0].ID) {
				lines = append(lines, order.Quantity{SKU: l.sku, Quantity: l.n})
			}
			s.setLines(t, id, lines)
		}
	}
	return nil
}

// setShipped ships what an order has, with these quantities.
func (s *Server) setShipped(t *tryton.Tx, e Edit) error {
	id, err := s.one(t, e)
	if err != nil {
		return err
	}
	var lines []order.Quantity
	for _, sku := range slices.Sorted(maps.Keys(e.Shipped)) {
		if e.Shipped[sku] > 0 {
			lines = append(lines, order.Quantity{SKU: sku, Quantity: e.Shipped[sku]})
		}
	}
	s.setLines(t, id, lines)
	s.advance(t, id, "done")
	return nil
}

// Event is a line in the change feed: the records of an order show as changed
// without having changed.
type Event struct {
	Type   string   `json:"type"` // as "shipment.shipped", "stock.adjusted"
	Order  order.ID `json:"order,omitempty"`
	SKU    string   `json:"sku,omitempty"`
	Copies int      `json:"copies,omitempty"` // a feed shows a record once
}

// Event carries out an Event.
func (s *Server) Event(raw json.RawMessage) error {
	var e Event
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return fmt.Errorf("event of the warehouse: %w", err)
	}
	return s.rpc.Update(func(t *tryton.Tx) error {
		if e.Order != "" {
			found, err := s.ofOrder(t, e.Order)
			if err != nil {
				return err
			}
			for _, r := range found {
				t.Set(modelShipment, r.ID, nil)
			}
		}
		t.Append(simulator.Entry{Kind: simulator.EntryNotification, Operation: "event", Order: e.Order, Record: e.SKU, Detail: e.Type})
		return nil
	})
}
