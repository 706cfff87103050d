package warehouse

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

// steps are what people do with a shipment, in their order.
var steps = []string{"assigned", "picked", "packed", "done", "delivered"}

// What the carrier's integration notes on a shipment begins with one of these.
const (
	delivered = "delivered: "
	lost      = "lost: "
)

// again is how long people wait before they look for missing goods once more.
const again = 30 * time.Minute

// expect lets people work on a shipment that was taken some time ago.
func (s *Server) expect(id int64, ago time.Duration) {
	for _, due := range []struct {
		after time.Duration
		to    string
	}{{s.settings.Pace.Pick, "picked"}, {s.settings.Pace.Pack, "packed"}, {s.settings.Pace.Ship, "done"}} {
		if due.after > 0 {
			s.later(max(0, due.after-ago), id, due.to)
		}
	}
}

func (s *Server) later(d time.Duration, id int64, to string) {
	s.frame.After(d, fmt.Sprintf("%s.%d", to, id), func() { s.work(id, to) })
}

// work does what is due, and tries again later when goods were missing.
func (s *Server) work(id int64, to string) {
	state := ""
	_ = s.rpc.Update(func(t *tryton.Tx) error {
		if to == "delivered" && s.noted(t, id, lost) {
			return nil // it will not arrive
		}
		state = s.advance(t, id, to)
		return nil
	})
	switch {
	case to == "delivered" && state == "done": // it has arrived, and that is a note
	case state == "waiting" && to == "picked", state != "" && to != "picked" && before(state, to) && state != "cancelled":
		s.later(again, id, to)
	case state == "done" && to == "done" && s.settings.Pace.Deliver > 0:
		s.later(s.settings.Pace.Deliver, id, "delivered")
	}
}

// before says whether a state comes before another on the way out.
func before(state, to string) bool {
	return slices.Index(steps, state) < slices.Index(steps, to) && state != "draft"
}

// advance takes a shipment through the steps up to a state and returns the state
// in which it is then; "" when it is not there.
func (s *Server) advance(t *tryton.Tx, id int64, to string) string {
	for _, step := range steps {
		r, ok := t.Get(modelShipment, id)
		if !ok {
			return ""
		}
		state := tryton.Text(r.Values["state"])
		if !before(state, step) || state == "cancelled" {
			if step == to {
				break
			}
			continue
		}
		var err error
		switch step {
		case "assigned":
			err = s.assignTry(t, id)
		case "picked":
			if state == "assigned" { // people go by what their client shows
				err = s.pick(t, id)
			}
		case "packed":
			if state == "picked" {
				err = s.pack(t, id)
			}
		case "done":
			err = s.done(t, id)
		case "delivered":
			if state == "done" && !s.noted(t, id, delivered) {
				s.note(t, id, delivered+t.Now.UTC().Format(time.RFC3339Nano))
				t.Append(s.entry(t, simulator.EntryEdit, "deliver", r, ""))
			}
		}
		if err != nil || step == to {
			break
		}
	}
	r, ok := t.Get(modelShipment, id)
	if !ok {
		return ""
	}
	return tryton.Text(r.Values["state"])
}

// Work has people bring a shipment, named by its key or id, to a state:
// assigned, picked, packed, shipped (or done), delivered, cancelled. Or a
// return, named by its key: received, restocked (or done), cancelled.
func (s *Server) Work(shipment, to string) error {
	if to == "shipped" {
		to = "done"
	}
	return s.rpc.Update(func(t *tryton.Tx) error {
		if intent, ok := order.ParseKey(shipment); ok && intent.Operation == order.Return {
			r, err := s.returnNamed(t, shipment)
			if err != nil {
				return err
			}
			return s.workReturn(t, r.ID, to)
		}
		id, err := s.named(t, shipment)
		if err != nil {
			return err
		}
		if to == "cancelled" {
			return s.cancel(t, id)
		}
		if !slices.Contains(steps, to) {
			return fmt.Errorf("work: %q is not one of %v or cancelled", to, steps)
		}
		got := s.advance(t, id, to)
		if got != to && (to != "delivered" || got != "done") {
			return fmt.Errorf("work: shipment %s is %q and cannot become %s", shipment, got, to)
		}
		return nil
	})
}

// named finds a shipment by its id or its key; of several the lowest that lives.
func (s *Server) named(t *tryton.Tx, shipment string) (int64, error) {
	if id, err := strconv.ParseInt(shipment, 10, 64); err == nil {
		if _, ok := t.Get(modelShipment, id); ok {
			return id, nil
		}
	}
	found, err := t.Find(modelShipment, []any{[]any{"reference", "=", shipment}})
	if err != nil {
		return 0, err
	}
	for _, r := range found {
		if live(r) {
			return r.ID, nil
		}
	}
	if len(found) == 0 {
		return 0, fmt.Errorf("shipment %q: %w", shipment, simulator.ErrNoRecord)
	}
	return found[0].ID, nil
}

func live(r tryton.Record) bool {
	return r.Values["state"] != "cancelled" && r.Values["state"] != "draft"
}

func (s *Server) note(t *tryton.Tx, shipment int64, message string) {
	t.Insert(modelNote, map[string]any{"resource": resource(shipment), "message": message})
}

func (s *Server) noted(t *tryton.Tx, shipment int64, prefix string) bool {
	found, err := t.Find(modelNote, []any{[]any{"resource", "=", resource(shipment)}, []any{"message", "like", prefix + "%"}})
	if err != nil {
		t.Fail(err)
	}
	return len(found) > 0
}

func resource(shipment int64) string { return fmt.Sprintf("%s,%d", modelShipment, shipment) }

// resume lets people go on with what was under way when the server stopped.
func (s *Server) resume() error {
	if s.settings.Pace == (Pace{}) {
		return nil // nobody works by himself
	}
	return s.rpc.View(func(t *tryton.Tx) error {
		found, err := t.Find(modelShipment, []any{[]any{"state", "in", []any{"waiting", "assigned", "picked", "packed"}}})
		if err != nil {
			return err
		}
		for _, r := range found {
			s.expect(r.ID, t.Now.Sub(time.UnixMicro(tryton.Int(r.Values["taken"]))))
		}
		found, err = t.Find(modelReturn, []any{[]any{"state", "=", "draft"}})
		for _, r := range found {
			s.awaitReturn(r.ID, t.Now.Sub(r.Created))
		}
		return err
	})
}

// classify says what a call is about.
func classify(t *tryton.Tx, c tryton.Call) simulator.Call {
	out := simulator.Call{Operation: reading(c)}
	switch c.Model {
	case modelShipment, modelReturn:
		out.Key = reference(t, c)
		switch c.Method {
		case "create", "wait":
			out.Operation = order.Request
		case "cancel":
			out.Operation = order.Cancel
		case "delete":
			out.Operation = order.Request
			if c.Operation() == order.Cancel {
				out.Operation = order.Cancel
			}
		case "write":
			out.Operation = order.UpdateAddress
		case "search", "search_read", "search_count", "read":
		default:
			out.Operation = order.Operation(c.Method)
		}
	case modelNote, "party.party", "party.address", "res.user.warning":
		if c.Method == "create" {
			out.Operation = "prepare" // nothing follows from it
		}
	}
	if intent, ok := order.ParseKey(out.Key); ok {
		out.Order = intent.Order
	} else if id, ok := tryton.PatternOrder(out.Key); ok {
		out.Order, out.Key = id, ""
	}
	return out
}

// reading says whether a read lists, counts or looks up.
func reading(c tryton.Call) order.Operation {
	switch op := c.Operation(); {
	case op == "list", op == "count":
		return op
	case op == "" && c.Context["locations"] != nil:
		return "count"
	}
	return "lookup"
}

// reference finds the reference that a call about shipments names.
func reference(t *tryton.Tx, c tryton.Call) string {
	switch c.Method {
	case "create":
		return c.Value("reference")
	case "search", "search_read", "search_count":
		return c.Clause("reference")
	}
	for _, id := range c.IDs() {
		if r, ok := t.Get(c.Model, id); ok {
			return tryton.Text(r.Values["reference"])
		}
	}
	return ""
}
