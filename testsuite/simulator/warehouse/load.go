package warehouse

import (
	"fmt"
	"time"

	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

// Loaded is a shipment, or a return, with what became of it by now.
type Loaded struct {
	Reference string
	Return    bool
	Customer  tryton.Customer
	State     string // Tryton's
	Goods     []Goods
	Created   time.Time
	Changed   time.Time // when it came into its state; zero: never since it was made
	Notes     []Note
}

// Goods are one move. Line is the line of the order, which a note tells.
type Goods struct {
	SKU    string
	Pieces int64
	Line   int
}

// Note is what somebody wrote on the record.
type Note struct {
	At   time.Time
	Text string
}

// Load writes shipments and returns as they would lie there had they been
// requested and gone their way at their times; see tryton.Loader. The stock is
// what Settings say that it is now: what has left is not in it.
func (s *Server) Load(all []Loaded) error {
	return s.rpc.Load(func(l *tryton.Loader) error {
		for _, one := range all {
			if err := load(l, one); err != nil {
				return fmt.Errorf("%s: %w", one.Reference, err)
			}
		}
		return nil
	})
}

func load(l *tryton.Loader, one Loaded) error {
	model := modelShipment
	from, to := int64(tryton.LocationOutput), int64(tryton.LocationCustomer)
	if one.Return {
		model, from, to = modelReturn, int64(tryton.LocationCustomer), int64(tryton.LocationInput)
	}
	party, address := l.Customer(one.Customer, one.Created)
	id := l.Next(model)
	crossed := one.State == "done" || one.State == "received"
	var day any
	if crossed {
		day = tryton.DayOf(one.Changed)
	}
	values := map[string]any{
		"reference": one.Reference, "state": one.State, "number": fmt.Sprint(id), "effective_date": day, "planned_date": nil,
		"customer": party, "delivery_address": address, "warehouse": int64(tryton.LocationWarehouse), "company": int64(1),
	}
	if !one.Return {
		values["taken"], values["picked"] = one.Created.UnixMicro(), crossed
	}
	// Its moves are written with it, so that it has a write date from the start.
	written := one.Changed
	if written.IsZero() {
		written = one.Created.Add(time.Microsecond)
	}
	l.Put(model, tryton.Record{ID: id, Created: one.Created, Written: written, Values: values})
	lines := ""
	for _, g := range one.Goods {
		product := l.Named(modelProduct, g.SKU)
		if product == 0 {
			return fmt.Errorf("the warehouse does not know %q", g.SKU)
		}
		move := map[string]any{
			"product": product, "quantity": g.Pieces, "state": moveState(one.State), "uom": int64(1), "unit_price": tryton.Decimal("0"),
			"currency": int64(1), "from_location": from, "to_location": to, "company": int64(1),
			"shipment": fmt.Sprintf("%s,%d", model, id), "effective_date": day,
		}
		n := l.Put(modelMove, tryton.Record{Created: one.Created, Written: one.Changed, Values: move})
		if g.Line > 0 {
			lines += fmt.Sprintf(" %d=%d", n, g.Line)
		}
	}
	notes := one.Notes
	if lines != "" {
		notes = append([]Note{{one.Created, "lines:" + lines}}, notes...)
	}
	for _, n := range notes {
		l.Put(modelNote, tryton.Record{Created: n.At, Values: map[string]any{"message": n.Text, "resource": fmt.Sprintf("%s,%d", model, id)}})
	}
	return nil
}

// moveState is the state of the moves of a shipment in a state.
func moveState(of string) string {
	switch of {
	case "done", "received":
		return "done"
	case "cancelled":
		return "cancelled"
	case "assigned", "picked", "packed":
		return "assigned"
	}
	return "draft"
}
