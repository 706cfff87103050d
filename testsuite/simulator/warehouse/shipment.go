package warehouse

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

// line is one move.
type line struct {
	move     int64
	product  int64
	sku      string
	n        int64
	state    string
	from, to int64
}

// lines are what a shipment sends out.
func (s *Server) lines(t *tryton.Tx, shipment int64) []line {
	return s.linesOf(t, t.Children(modelShipment, "outgoing_moves", shipment))
}

func (s *Server) linesOf(t *tryton.Tx, moves []tryton.Record) []line {
	var out []line
	for _, m := range moves {
		l := line{
			move: m.ID, product: tryton.Int(m.Values["product"]), n: tryton.Int(m.Values["quantity"]), state: tryton.Text(m.Values["state"]),
			from: tryton.Int(m.Values["from_location"]), to: tryton.Int(m.Values["to_location"]),
		}
		p, _ := t.Get(modelProduct, l.product)
		l.sku = tryton.Text(p.Values["code"])
		out = append(out, l)
	}
	return out
}

func quantities(lines []line) []order.Quantity {
	var out []order.Quantity
	for _, l := range lines {
		out = append(out, order.Quantity{SKU: l.sku, Quantity: l.n})
	}
	return out
}

func pieces(lines []line) (n int64, detail string) {
	var parts []string
	for _, l := range lines {
		n += l.n
		parts = append(parts, fmt.Sprintf("%s=%d", l.sku, l.n))
	}
	return n, strings.Join(parts, " ")
}

// entry is a ledger entry about a shipment.
func (s *Server) entry(t *tryton.Tx, kind simulator.EntryKind, operation order.Operation, r tryton.Record, detail string) simulator.Entry {
	reference := tryton.Text(r.Values["reference"])
	intent, _ := order.ParseKey(reference)
	n, goods := pieces(s.lines(t, r.ID))
	if detail == "" {
		detail = goods
	}
	return simulator.Entry{
		Kind: kind, Operation: operation, Order: intent.Order, Key: reference, Record: fmt.Sprint(r.ID), Amount: n, Detail: detail,
	}
}

// draftDetail marks effects that nothing follows from yet.
const draftDetail = "draft"

// drafted follows the creation of a shipment. Its moves are written with it, so
// that it has a write date from the start.
func (s *Server) drafted(t *tryton.Tx, r tryton.Record) error {
	t.Set(modelShipment, r.ID, map[string]any{"number": fmt.Sprint(r.ID)})
	t.Append(s.entry(t, simulator.EntryEffect, order.Request, r, draftDetail))
	return nil
}

// to moves a shipment into a state when Tryton allows it from where it is.
func (s *Server) to(t *tryton.Tx, id int64, state string, from ...string) (tryton.Record, bool) {
	r, ok := t.Get(modelShipment, id)
	if !ok || !slices.Contains(from, tryton.Text(r.Values["state"])) {
		return r, false
	}
	t.Set(modelShipment, id, map[string]any{"state": state})
	return r, true
}

// mark gives every move of a shipment the same values.
func (s *Server) mark(t *tryton.Tx, shipment int64, values map[string]any) {
	for _, l := range s.lines(t, shipment) {
		t.Set(modelMove, l.move, values)
	}
}

// wait promotes a draft; of an assigned shipment it gives the stock back.
func (s *Server) wait(t *tryton.Tx, id int64) error {
	r, ok := s.to(t, id, "waiting", "draft", "assigned")
	switch {
	case !ok:
		return nil
	case r.Values["state"] == "assigned":
		s.unassign(t, id)
		return nil
	}
	t.Set(modelShipment, id, map[string]any{"taken": t.Now.UnixMicro()})
	t.Append(s.entry(t, simulator.EntryEffect, order.Request, r, ""))
	s.expect(id, 0)
	return nil
}

func (s *Server) redraft(t *tryton.Tx, id int64) error {
	s.to(t, id, "draft", "waiting", "cancelled")
	return nil
}

func (s *Server) unassign(t *tryton.Tx, id int64) {
	for _, l := range s.lines(t, id) {
		s.assign(t, l.product, -l.n)
	}
}

// cancel takes a shipment back, also a packed one, as Tryton does. Goods that
// were picked go back to storage, as people would bring them.
func (s *Server) cancel(t *tryton.Tx, id int64) error {
	r, ok := s.to(t, id, "cancelled", "draft", "waiting", "assigned", "picked", "packed")
	if !ok {
		return nil
	}
	switch r.Values["state"] {
	case "assigned":
		s.unassign(t, id)
	case "picked", "packed":
		for _, l := range s.lines(t, id) {
			if r.Values["picked"] == true {
				s.move(t, l.product, tryton.LocationOutput, tryton.LocationStorage, l.n)
			}
		}
	}
	s.mark(t, id, map[string]any{"state": "cancelled"})
	kind, detail := simulator.EntryEffect, ""
	if t.Operation == "" {
		kind = simulator.EntryEdit
	}
	if r.Values["state"] == "draft" {
		detail = draftDetail
	}
	t.Append(s.entry(t, kind, order.Cancel, r, detail))
	return nil
}

// assignTry promises stock from storage, all or nothing.
func (s *Server) assignTry(t *tryton.Tx, id int64) error {
	r, ok := t.Get(modelShipment, id)
	if !ok || r.Values["state"] != "waiting" {
		return nil
	}
	need := map[int64]int64{}
	for _, l := range s.lines(t, id) {
		need[l.product] += l.n
	}
	for product, n := range need {
		if q, assigned := s.inZone(t, product, tryton.LocationStorage); q-assigned < n {
			return nil
		}
	}
	for product, n := range need {
		s.assign(t, product, n)
	}
	s.to(t, id, "assigned", "waiting")
	t.Append(s.entry(t, simulator.EntryEdit, "assign", r, ""))
	return nil
}

// pick brings the goods to the output zone. Tryton lets a caller pick, and even
// pack, what was never assigned; only its own client hides the buttons.
func (s *Server) pick(t *tryton.Tx, id int64) error {
	r, ok := s.to(t, id, "picked", "assigned", "waiting")
	if !ok {
		return nil
	}
	t.Set(modelShipment, id, map[string]any{"picked": true})
	for _, l := range s.lines(t, id) {
		if r.Values["state"] == "assigned" {
			s.assign(t, l.product, -l.n)
		}
		s.move(t, l.product, tryton.LocationStorage, tryton.LocationOutput, l.n)
	}
	t.Append(s.entry(t, simulator.EntryEdit, "pick", r, ""))
	return nil
}

func (s *Server) pack(t *tryton.Tx, id int64) error {
	r, ok := s.to(t, id, "packed", "picked", "waiting")
	if !ok {
		return nil
	}
	for _, l := range s.lines(t, id) {
		if l.n == 0 {
			t.Erase(modelMove, l.move) // as Tryton does
		}
	}
	s.mark(t, id, map[string]any{"state": "assigned"})
	t.Append(s.entry(t, simulator.EntryEdit, "pack", r, ""))
	return nil
}

// done ships: the count falls.
func (s *Server) done(t *tryton.Tx, id int64) error {
	r, ok := s.to(t, id, "done", "packed")
	if !ok {
		return nil
	}
	for _, l := range s.lines(t, id) {
		s.move(t, l.product, tryton.LocationOutput, 0, l.n)
	}
	day := tryton.DayOf(t.Now)
	s.mark(t, id, map[string]any{"state": "done", "effective_date": day})
	t.Set(modelShipment, id, map[string]any{"effective_date": day})
	t.Append(s.entry(t, simulator.EntryEdit, "ship", r, ""))
	return nil
}

// guard refuses what Tryton refuses, and does what deleting does before it.
func (s *Server) guard(t *tryton.Tx, r tryton.Record, method string, values map[string]any) error {
	state := tryton.Text(r.Values["state"])
	switch method {
	case "delete":
		if state == "done" {
			return tryton.Refuse("To delete shipment \"%d\" you must cancel it.", r.ID)
		}
		if state != "draft" {
			if err := s.cancel(t, r.ID); err != nil {
				return err
			}
		}
		t.Append(s.entry(t, simulator.EntryEffect, t.Operation, r, draftDetail))
	case "write":
		if _, ok := values["delivery_address"]; ok {
			t.Append(s.entry(t, simulator.EntryEffect, order.UpdateAddress, r, "address"))
		}
	}
	return nil
}

// forgetPiece is the fault partial: one piece of the first line is forgotten.
func forgetPiece(t *tryton.Tx, lines []line) {
	if len(lines) == 0 {
		return
	}
	t.Set(modelMove, lines[0].move, map[string]any{"quantity": lines[0].n - 1})
}
