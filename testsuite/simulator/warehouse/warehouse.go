// Package warehouse simulates a warehouse that runs Tryton 6: JSON-RPC over
// customer shipments, their moves, parties, addresses, products, notes and
// locations, and the people who assign, pick, pack and ship what is requested.
//
// Simulated: references that are not unique, party codes that are; the buttons
// wait, draft, cancel, assign_try, pick, pack and done with Tryton's transitions
// (what waits can be packed without having been picked), as silent no-ops from
// any other state; that a packed shipment can be cancelled
// and the address of one be changed that has left; that deleting cancels first;
// reservation of stock by assigning; that picked goods lie in the output zone
// and the count falls when they ship; notes that do not change their shipment's
// dates; a hand count. Customer returns: expected while they are drafts, received
// into the input zone, put into storage by moves of their own; that what was
// received stays in the input zone when the return is cancelled after that.
//
// Not simulated: inventory moves of shipments as records of their own (the zones'
// stock changes without them), that goods of a cancelled shipment stay in the
// output zone (people bring them back at once), partial picking, splitting and
// substitution unless edited, lots, packages, sequences' gaps, supplier
// shipments, the questions that a person at Tryton's client is asked.
package warehouse

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
)

const (
	modelShipment = "stock.shipment.out"
	modelReturn   = "stock.shipment.out.return"
	modelMove     = "stock.move"
	modelNote     = "ir.note"
	modelProduct  = "product.product"
)

// Pace says how fast people work. A zero duration is a step that nobody takes by
// himself.
type Pace struct {
	Pick, Pack, Ship time.Duration // after the request was taken
	Deliver          time.Duration // after it shipped
	Return           time.Duration // from its announcement until goods are back, and put into storage at once
}

// DefaultPace is the baseline of the incidents: packed after 90 minutes, shipped
// after two hours, delivered a day later; what is returned arrives after a day.
func DefaultPace() Pace {
	return Pace{Pick: time.Hour, Pack: 90 * time.Minute, Ship: 2 * time.Hour, Deliver: 24 * time.Hour, Return: 24 * time.Hour}
}

// Settings of a simulated warehouse.
type Settings struct {
	// Database is the name in the path; "warehouse" when empty.
	Database string
	// User and Password are "admin" when empty.
	User, Password string
	// Stock is what lies in storage at first, by SKU. Only these SKUs are known.
	Stock map[string]int
	// Pace is that of people at work; the zero Pace leaves everything to tests.
	Pace Pace
}

// Server is a simulated warehouse.
type Server struct {
	frame    *simulator.System
	rpc      *tryton.Server
	settings Settings
}

var _ simulator.Desk = (*Server)(nil)

// New opens a warehouse, and fills it when its database is new.
func New(o simulator.Options, settings Settings) (*Server, error) {
	if settings.Database == "" {
		settings.Database = "warehouse"
	}
	if settings.User == "" {
		settings.User = "admin"
	}
	if settings.Password == "" {
		settings.Password = "admin"
	}
	frame, err := simulator.Open(order.SystemWarehouse, tryton.Schema+schema, o)
	if err != nil {
		return nil, err
	}
	s := &Server{frame: frame, settings: settings}
	s.rpc = tryton.NewServer(frame, tryton.Config{
		Database: settings.Database, User: settings.User, Password: settings.Password, Models: s.models(), Classify: classify,
	})
	if err := s.fill(); err != nil {
		_ = frame.Close()
		return nil, fmt.Errorf("fill the simulated warehouse: %w", err)
	}
	return s, s.resume()
}

// Frame returns the frame.
func (s *Server) Frame() *simulator.System { return s.frame }

// Handler answers the JSON-RPC.
func (s *Server) Handler() http.Handler { return s.rpc.Handler() }

// Busy lets the next writes fail because another transaction is in their way.
func (s *Server) Busy(writes int) error { return s.rpc.Busy(writes) }

// EndSessions makes every client log in again.
func (s *Server) EndSessions() error { return s.rpc.EndSessions() }

const schema = `
CREATE TABLE IF NOT EXISTS stock (
	product  INTEGER NOT NULL,
	location INTEGER NOT NULL,
	quantity INTEGER NOT NULL,
	assigned INTEGER NOT NULL DEFAULT 0, -- promised to shipments and not yet picked
	PRIMARY KEY (product, location)
);
`

func (s *Server) fill() error {
	return s.rpc.Update(func(t *tryton.Tx) error {
		if _, filled := t.Get("company.company", 1); filled {
			return nil
		}
		t.Seed(tryton.Currency{Code: "EUR", Digits: 2, Rate: "1"})
		for _, sku := range slices.Sorted(maps.Keys(s.settings.Stock)) {
			s.addProduct(t, sku, int64(s.settings.Stock[sku]))
		}
		return nil
	})
}

func (s *Server) addProduct(t *tryton.Tx, sku string, n int64) int64 {
	id := t.Insert(modelProduct, map[string]any{"code": sku, "default_uom": int64(1), "active": true})
	s.move(t, id, 0, tryton.LocationStorage, n)
	return id
}

// move moves pieces from one zone to another; 0 is outside.
func (s *Server) move(t *tryton.Tx, product, from, to, n int64) {
	for location, by := range map[int64]int64{from: -n, to: n} {
		if location < tryton.LocationInput || location > tryton.LocationStorage {
			continue
		}
		s.exec(t, `INSERT INTO stock (product, location, quantity) VALUES (?, ?, ?)
			ON CONFLICT (product, location) DO UPDATE SET quantity = quantity + excluded.quantity`, product, location, by)
	}
}

func (s *Server) assign(t *tryton.Tx, product, n int64) {
	s.exec(t, `UPDATE stock SET assigned = assigned + ? WHERE product = ? AND location = ?`, n, product, tryton.LocationStorage)
}

func (s *Server) exec(t *tryton.Tx, query string, args ...any) {
	if _, err := t.SQL.Exec(query, args...); err != nil {
		t.Fail(err)
	}
}

// inZone returns what lies in a zone, and how much of it is promised.
func (s *Server) inZone(t *tryton.Tx, product, location int64) (quantity, assigned int64) {
	_ = t.SQL.QueryRow(`SELECT quantity, assigned FROM stock WHERE product = ? AND location = ?`, product, location).Scan(&quantity, &assigned)
	return quantity, assigned
}

// onHand is what may be sold or was: in storage, and picked in the output zone
// until it ships.
func (s *Server) onHand(t *tryton.Tx, product int64) int64 {
	stored, _ := s.inZone(t, product, tryton.LocationStorage)
	picked, _ := s.inZone(t, product, tryton.LocationOutput)
	return stored + picked
}

// received is what came in and was not put away yet.
func (s *Server) received(t *tryton.Tx, product int64) int64 {
	n, _ := s.inZone(t, product, tryton.LocationInput)
	return n
}

func (s *Server) models() []*tryton.Model {
	return []*tryton.Model{
		{
			Name: modelProduct, Fixed: true, Title: "Product Variant", Fields: []string{"code", "default_uom", "active"}, Index: "code",
			Computed: map[string]func(*tryton.Tx, tryton.Record) any{"quantity": s.quantity},
		},
		{
			Name: modelShipment, Title: "Customer Shipment", Index: "reference", Parent: "delivery_address",
			Fields: []string{"reference", "state", "number", "effective_date", "planned_date", "taken", "picked"},
			Links: map[string]tryton.Link{
				"customer": {Model: "party.party"}, "delivery_address": {Model: "party.address"},
				"warehouse": {Model: "stock.location"}, "company": {Model: "company.company"},
				"outgoing_moves": {Model: modelMove, Via: "shipment", Reference: true},
			},
			Defaults: map[string]any{"state": "draft", "reference": nil, "effective_date": nil, "planned_date": nil, "taken": nil, "picked": false},
			Required: []string{"customer", "delivery_address", "warehouse", "company"},
			Created:  s.drafted, Guard: s.guard,
			Partial: func(t *tryton.Tx, id int64) { forgetPiece(t, s.lines(t, id)) },
			Buttons: map[string]func(*tryton.Tx, int64) error{
				"wait": s.wait, "draft": s.redraft, "cancel": s.cancel, "assign_try": s.assignTry,
				"pick": s.pick, "pack": s.pack, "done": s.done,
			},
		},
		s.returnModel(),
		{
			Name: modelMove, Title: "Stock Move", Parent: "shipment", Guard: guardMove,
			Fields: []string{"quantity", "state", "uom", "unit_price", "shipment", "effective_date"},
			Links: map[string]tryton.Link{
				"product": {Model: modelProduct}, "from_location": {Model: "stock.location"}, "to_location": {Model: "stock.location"},
				"company": {Model: "company.company"}, "currency": {Model: "currency.currency"},
			},
			Defaults: map[string]any{"state": "draft", "effective_date": nil},
			Required: []string{"product", "quantity", "uom", "unit_price", "currency", "from_location", "to_location", "company"},
		},
	}
}

// quantity is what lies in the locations that the call asks for, and 0 when it
// asks for none.
func (s *Server) quantity(t *tryton.Tx, r tryton.Record) any {
	n := int64(0)
	for _, l := range t.Locations {
		if l == tryton.LocationWarehouse {
			return float64(s.onHand(t, r.ID) + s.received(t, r.ID))
		}
		q, _ := s.inZone(t, r.ID, l)
		n += q
	}
	return float64(n)
}
