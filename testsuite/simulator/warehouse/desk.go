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
	Returns   []Return         `json:"returns,omitempty"`
	OnHand    map[string]int64 `json:"on_hand"` // by SKU, in storage or picked and not yet shipped
	// Received is by SKU what came back and was not put into storage yet; it is
	// not on hand.
	Received map[string]int64 `json:"received,omitempty"`
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
	Lost      bool             `json:"lost,omitempty"`
	Written   time.Time        `json:"written"`
}

// Return is one return in Tryton's terms. Lines are what was announced, and of
// a received one what came.
type Return struct {
	ID      int64            `json:"id"`
	Key     string           `json:"key"` // the reference
	State   string           `json:"state"`
	Lines   []order.Quantity `json:"lines"`
	Written time.Time        `json:"written"`
}

// State returns a State.
func (s *Server) State(of order.ID) (any, error) { return s.Holds(of) }

// Holds returns what the warehouse holds of an order, of all when it is empty.
func (s *Server) Holds(of order.ID) (State, error) {
	out := State{OnHand: map[string]int64{}, Received: map[string]int64{}}
	err := s.rpc.View(func(t *tryton.Tx) error {
		products, err := t.Find(modelProduct, nil)
		if err != nil {
			return err
		}
		for _, p := range products {
			sku := tryton.Text(p.Values["code"])
			out.OnHand[sku] = s.onHand(t, p.ID)
			if n := s.received(t, p.ID); n != 0 {
				out.Received[sku] = n
			}
		}
		found, err := s.ofOrder(t, of)
		if err != nil {
			return err
		}
		for _, r := range found {
			out.Shipments = append(out.Shipments, s.shown(t, r))
		}
		back, err := s.returnsOf(t, of)
		for _, r := range back {
			out.Returns = append(out.Returns, Return{
				ID: r.ID, Key: tryton.Text(r.Values["reference"]), State: tryton.Text(r.Values["state"]),
				Lines: numbered(s.incoming(t, r.ID)), Written: r.Written,
			})
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

func numbered(lines []line) []order.Quantity {
	out := quantities(lines)
	for i := range out {
		out[i].Line = i + 1
	}
	return out
}

func (s *Server) shown(t *tryton.Tx, r tryton.Record) Shipment {
	out := Shipment{
		ID: r.ID, Key: tryton.Text(r.Values["reference"]), State: tryton.Text(r.Values["state"]),
		Written: r.Written, Delivered: s.noted(t, r.ID, delivered), Lost: s.noted(t, r.ID, lost), Lines: numbered(s.lines(t, r.ID)),
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
	// Measured sets how much it contains of SKUs that are in it, for goods by metre also
	// in fractions, which Tryton takes of anything.
	Measured map[string]float64 `json:"measured,omitempty"`
	// Split moves these lines into a second shipment of the same reference.
	Split *SplitEdit `json:"split,omitempty"`
	// Lost is what the carrier says of a parcel that it gave up looking for.
	Lost bool `json:"lost,omitempty"`
	// Returned goods came back into storage, and nobody wrote down whose they are.
	Returned map[string]int64 `json:"returned,omitempty"`
	// Return is about goods of the order that come back.
	Return *ReturnEdit `json:"return,omitempty"`
	// The form of an incident's expect: how many shipments live, and what the
	// order's shipments have shipped.
	Live    *int             `json:"live,omitempty"`
	Shipped map[string]int64 `json:"shipped,omitempty"`
}

// SplitEdit says what goes into the second shipment.
type SplitEdit struct {
	Lines []order.Quantity `json:"lines"`
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
	if e.Return != nil {
		if err := s.editReturn(t, e.Order, *e.Return); err != nil {
			return err
		}
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
	return e.State != "" || e.Cancel || e.Delete || e.Tracking != "" || e.Address != nil || e.Reference != nil || e.Lines != nil ||
		e.Measured != nil || e.Split != nil || e.Lost
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
		if live(r) && (!e.Lost || s.onItsWay(t, r)) {
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
	if e.Measured != nil {
		s.measure(t, id, e.Measured)
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
	if e.Split != nil {
		if err := s.split(t, id, e.Split.Lines); err != nil {
			return err
		}
	}
	if e.Lost {
		if err := s.lose(t, r); err != nil {
			return err
		}
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
	s.setMoves(t, moveList{resource: resource(id), from: tryton.LocationOutput, to: tryton.LocationCustomer}, s.lines(t, id), lines)
	t.Set(modelShipment, id, nil)
}

// measure sets the quantities of moves that are there.
func (s *Server) measure(t *tryton.Tx, id int64, quantities map[string]float64) {
	for _, l := range s.lines(t, id) {
		if q, set := quantities[l.sku]; set {
			t.Set(modelMove, l.move, map[string]any{"quantity": q})
		}
	}
	t.Set(modelShipment, id, nil)
}

// moveList says whose moves are set, and where they go.
type moveList struct {
	resource string
	from, to int64
}

// setMoves sets what is carried: people change the quantities of the moves that
// are there, and add or take away the others.
func (s *Server) setMoves(t *tryton.Tx, list moveList, there []line, lines []order.Quantity) {
	for _, q := range lines {
		i := slices.IndexFunc(there, func(l line) bool { return l.sku == q.SKU })
		if i >= 0 {
			t.Set(modelMove, there[i].move, map[string]any{"quantity": q.Quantity})
			there = slices.Delete(there, i, i+1)
			continue
		}
		t.Insert(modelMove, map[string]any{
			"product": s.product(t, q.SKU), "quantity": q.Quantity, "state": "draft", "uom": int64(1), "shipment": list.resource,
			"from_location": list.from, "to_location": list.to, "company": int64(1), "effective_date": nil,
		})
	}
	for _, l := range there {
		t.Erase(modelMove, l.move)
	}
}

// split does what Tryton's module stock_split does with a shipment that people
// took back to draft for it: a copy without the notes, to which moves go; of a
// move of which some pieces stay, a new one goes. Then both wait again.
func (s *Server) split(t *tryton.Tx, id int64, lines []order.Quantity) error {
	if err := s.wait(t, id); err != nil { // gives back what was assigned
		return err
	}
	r, _ := t.Get(modelShipment, id)
	if r.Values["state"] != "waiting" {
		return fmt.Errorf("shipment %d is %s and cannot be split", id, r.Values["state"])
	}
	values := maps.Clone(r.Values)
	second := t.Insert(modelShipment, values)
	for _, q := range lines {
		there := s.lines(t, id)
		i := slices.IndexFunc(there, func(l line) bool { return l.sku == q.SKU && l.n >= q.Quantity })
		if i < 0 {
			return fmt.Errorf("shipment %d has no line with %d pieces of %s", id, q.Quantity, q.SKU)
		}
		l := there[i]
		if l.n == q.Quantity {
			t.Set(modelMove, l.move, map[string]any{"shipment": resource(second)})
			continue
		}
		m, _ := t.Get(modelMove, l.move)
		part := maps.Clone(m.Values)
		part["shipment"], part["quantity"] = resource(second), q.Quantity
		t.Insert(modelMove, part)
		t.Set(modelMove, l.move, map[string]any{"quantity": l.n - q.Quantity})
	}
	t.Set(modelShipment, id, nil)
	t.Set(modelShipment, second, map[string]any{"number": fmt.Sprint(second)})
	made, _ := t.Get(modelShipment, second)
	t.Append(s.entry(t, simulator.EntryEdit, "split", made, ""))
	s.expect(second, t.Now.Sub(time.UnixMicro(tryton.Int(r.Values["taken"]))))
	return nil
}

// onItsWay says whether a parcel has left and nobody has it yet.
func (s *Server) onItsWay(t *tryton.Tx, r tryton.Record) bool {
	return r.Values["state"] == "done" && !s.noted(t, r.ID, delivered) && !s.noted(t, r.ID, lost)
}

// lose has the carrier note that a parcel is lost; the shipment itself does not
// change.
func (s *Server) lose(t *tryton.Tx, r tryton.Record) error {
	if r.Values["state"] != "done" {
		return fmt.Errorf("shipment %d is %s: what has not left cannot be lost on its way", r.ID, r.Values["state"])
	}
	s.note(t, r.ID, lost+t.Now.UTC().Format(time.RFC3339Nano))
	return nil
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
			s.setLines(t, id, quantities(s.lines(t, found[0].ID)))
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
// without having changed. Of a parcel that is lost the carrier's note tells.
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
		if e.Type == "shipment.lost" {
			if err := s.loseOne(t, e.Order); err != nil {
				return err
			}
		} else if e.Order != "" {
			if err := s.touch(t, e.Order); err != nil {
				return err
			}
		}
		t.Append(simulator.Entry{Kind: simulator.EntryNotification, Operation: "event", Order: e.Order, Record: e.SKU, Detail: e.Type})
		return nil
	})
}

// touch lets the records of an order show as changed.
func (s *Server) touch(t *tryton.Tx, of order.ID) error {
	found, err := s.ofOrder(t, of)
	if err != nil {
		return err
	}
	for _, r := range found {
		t.Set(modelShipment, r.ID, nil)
	}
	back, err := s.returnsOf(t, of)
	for _, r := range back {
		t.Set(modelReturn, r.ID, nil)
	}
	return err
}

// loseOne is the one event that changes something: the feed of the warehouse
// can only say that a parcel is lost by the carrier's note.
func (s *Server) loseOne(t *tryton.Tx, of order.ID) error {
	found, err := s.ofOrder(t, of)
	if err != nil {
		return err
	}
	for _, r := range slices.Backward(found) {
		if s.onItsWay(t, r) {
			return s.lose(t, r)
		}
	}
	if slices.ContainsFunc(found, func(r tryton.Record) bool { return s.noted(t, r.ID, lost) }) {
		return nil // told once more
	}
	return fmt.Errorf("order %s has no parcel on its way that could be lost: %w", of, simulator.ErrNoRecord)
}
