package warehouse_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	port "github.com/trueup-orders/trueup/activities/warehouse"
	adapter "github.com/trueup-orders/trueup/activities/warehouse/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
)

// clock is a clock that a test turns.
type clock struct {
	mu  sync.Mutex
	now time.Time
	due []appointment
}

type appointment struct {
	at time.Time
	f  func()
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration, _ string, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due = append(c.due, appointment{c.now.Add(d), f})
}

// turn lets time pass, and what is due happen at its moment.
func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	end := c.now.Add(d)
	for {
		slices.SortStableFunc(c.due, func(a, b appointment) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
		if len(c.due) == 0 || c.due[0].at.After(end) {
			break
		}
		next := c.due[0]
		c.due = c.due[1:]
		c.now = next.at
		c.mu.Unlock()
		next.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

// direct calls the handler without a network, as a virtual-time universe does.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (_ *http.Response, err error) {
	defer func() {
		if cut := recover(); cut != nil {
			err = fmt.Errorf("the connection was cut: %v", cut)
		}
	}()
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func open(t *testing.T, c *clock, o simulator.Options, stock map[string]int) (*warehouse.Server, *adapter.Client) {
	t.Helper()
	o.Clock = c
	server, err := warehouse.New(o, warehouse.Settings{Stock: stock, Pace: warehouse.DefaultPace()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Frame().Close() })
	client, err := adapter.New(adapter.Config{
		URL: "http://warehouse/warehouse/", User: "admin", Password: "admin", Now: c.Now, Transport: direct{server.Handler()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func request(id order.ID, n int64) port.RequestRequest {
	return port.RequestRequest{
		Key: order.Intent{Order: id, Operation: order.Request, N: 1}.Key(), Order: id,
		Lines: []order.Quantity{{Line: 1, SKU: "A", Quantity: n}}, Customer: order.Customer{ID: "c1"},
		ShipTo: order.Address{Street: "Allee 1", City: "Berlin", Country: "DE"},
	}
}

func state(t *testing.T, c *adapter.Client, id order.ID) reconcile.Shipment {
	t.Helper()
	seen, err := c.Lookup(t.Context(), reconcile.Subject{Order: id, Currency: "EUR"})
	if err != nil || seen.Warehouse == nil {
		t.Fatalf("look-up = %+v, %v", seen, err)
	}
	return seen.Warehouse.Shipments[0]
}

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func TestPeople_WorkAtTheirPace(t *testing.T) {
	t.Parallel()
	c := &clock{now: start}
	server, client := open(t, c, simulator.Options{}, map[string]int{"A": 10})
	if _, err := client.Request(t.Context(), request("O1", 2)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  reconcile.ShipmentState
	}{
		{59 * time.Minute, reconcile.ShipmentRequested}, {2 * time.Minute, reconcile.ShipmentPicked}, {30 * time.Minute, reconcile.ShipmentPacked},
		{30 * time.Minute, reconcile.ShipmentShipped}, {24 * time.Hour, reconcile.ShipmentDelivered},
	} {
		c.turn(step.after)
		if got := state(t, client, "O1"); got.State != step.want {
			t.Errorf("at %s it is %s, want %s", c.Now().Sub(start), got.State, step.want)
		}
	}
	got := state(t, client, "O1")
	if !got.ShippedAt.Equal(start.Add(2*time.Hour)) || !got.DeliveredAt.Equal(start.Add(26*time.Hour)) {
		t.Errorf("shipped %v, delivered %v; want after 2 and 26 hours", got.ShippedAt, got.DeliveredAt)
	}
	held, err := server.Holds("")
	if err != nil || held.OnHand["A"] != 8 {
		t.Errorf("on hand = %v, %v; want 8", held.OnHand, err)
	}
}

func TestPeople_WaitForMissingGoods(t *testing.T) {
	t.Parallel()
	c := &clock{now: start}
	server, client := open(t, c, simulator.Options{}, map[string]int{"A": 1})
	if _, err := client.Request(t.Context(), request("O1", 2)); err != nil {
		t.Fatal(err)
	}
	c.turn(5 * time.Hour)
	if got := state(t, client, "O1"); got.State != reconcile.ShipmentRequested {
		t.Errorf("it is %s without goods, want requested", got.State)
	}
	if err := server.Edit(json.RawMessage(`{"sku":"A","on_hand":5,"reason":"found behind the shelf"}`)); err != nil {
		t.Fatal(err)
	}
	c.turn(2 * time.Hour)
	if got := state(t, client, "O1"); got.State != reconcile.ShipmentShipped {
		t.Errorf("it is %s with goods, want shipped", got.State)
	}
}

func TestPeople_GoOnAfterARestart(t *testing.T) {
	t.Parallel()
	c := &clock{now: start}
	file := filepath.Join(t.TempDir(), "warehouse.db")
	server, client := open(t, c, simulator.Options{Database: file}, map[string]int{"A": 10})
	if _, err := client.Request(t.Context(), request("O1", 2)); err != nil {
		t.Fatal(err)
	}
	c.turn(61 * time.Minute)
	if err := server.Frame().Close(); err != nil {
		t.Fatal(err)
	}
	c.due = nil
	_, client = open(t, c, simulator.Options{Database: file}, map[string]int{"A": 10})
	c.turn(time.Hour)
	if got := state(t, client, "O1"); got.State != reconcile.ShipmentShipped {
		t.Errorf("it is %s, want shipped", got.State)
	}
}

// A warehouse of a million shipments that is opened again has nothing to go through
// when nobody works there by himself.
func TestPeople_NobodyAtWork_ReadsNoShipmentWhenItIsOpenedAgain(t *testing.T) {
	t.Parallel()
	o := simulator.Options{Database: filepath.Join(t.TempDir(), "warehouse.db")}
	server, err := warehouse.New(o, warehouse.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Frame().Update(func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO records (model, id, created, data) VALUES ('stock.shipment.out', 1, 0, 'unreadable')`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := server.Frame().Close(); err != nil {
		t.Fatal(err)
	}
	if server, err = warehouse.New(o, warehouse.Settings{}); err != nil {
		t.Fatalf("it reads shipments: %v", err)
	}
	_ = server.Frame().Close()
}

func TestEdit(t *testing.T) {
	t.Parallel()
	for edit, want := range map[string]func(s reconcile.Shipment) bool{
		`{"order":"O1","cancel":true}`:       func(s reconcile.Shipment) bool { return s.State == reconcile.ShipmentCancelled },
		`{"order":"O1","state":"packed"}`:    func(s reconcile.Shipment) bool { return s.State == reconcile.ShipmentPacked },
		`{"order":"O1","state":"delivered"}`: func(s reconcile.Shipment) bool { return s.State == reconcile.ShipmentDelivered },
		`{"order":"O1","tracking":"XYZ"}`:    func(s reconcile.Shipment) bool { return s.Tracking == "XYZ" },
		`{"order":"O1","live":0}`:            func(s reconcile.Shipment) bool { return s.State == reconcile.ShipmentCancelled },
		`{"order":"O1","shipped":{"A":1}}`: func(s reconcile.Shipment) bool {
			return s.State == reconcile.ShipmentShipped && s.Lines[0].Quantity == 1
		},
		`{"order":"O1","returned":{"A":1}}`:                                           func(s reconcile.Shipment) bool { return s.State == reconcile.ShipmentRequested },
		`{"order":"O1","address":{"street":"By hand 7","city":"Ulm","country":"DE"}}`: func(s reconcile.Shipment) bool { return strings.HasPrefix(s.Address, "By hand 7") },
	} {
		t.Run(edit, func(t *testing.T) {
			t.Parallel()
			c := &clock{now: start}
			server, client := open(t, c, simulator.Options{}, map[string]int{"A": 10})
			if _, err := client.Request(t.Context(), request("O1", 2)); err != nil {
				t.Fatal(err)
			}
			if err := server.Edit(json.RawMessage(edit)); err != nil {
				t.Fatal(err)
			}
			if got := state(t, client, "O1"); !want(got) {
				t.Errorf("shipment = %+v", got)
			}
			entries, err := server.Frame().Ledger(0, "O1")
			if err != nil || !slices.ContainsFunc(entries, func(e simulator.Entry) bool { return e.Kind == simulator.EntryEdit }) {
				t.Errorf("the ledger tells of no edit: %v", err)
			}
		})
	}
}

func TestEdit_UnknownField_Refused(t *testing.T) {
	t.Parallel()
	server, _ := open(t, &clock{now: start}, simulator.Options{}, nil)
	if err := server.Edit(json.RawMessage(`{"order":"O1","colour":"red"}`)); err == nil {
		t.Error("an unknown field was taken")
	}
}

func TestEdit_MakesAShipmentThatIsNotThere(t *testing.T) {
	t.Parallel()
	server, client := open(t, &clock{now: start}, simulator.Options{}, map[string]int{"A": 10})
	if err := server.Edit(json.RawMessage(`{"order":"O9","lines":[{"sku":"A","quantity":2}]}`)); err != nil {
		t.Fatal(err)
	}
	if got := state(t, client, "O9"); got.State != reconcile.ShipmentRequested || len(got.Lines) != 1 || got.Lines[0].Quantity != 2 {
		t.Errorf("shipment = %+v", got)
	}
}

func TestEvent_ShowsInTheFeed(t *testing.T) {
	t.Parallel()
	c := &clock{now: start}
	server, client := open(t, c, simulator.Options{}, map[string]int{"A": 10})
	if _, err := client.Request(t.Context(), request("O1", 2)); err != nil {
		t.Fatal(err)
	}
	c.turn(10 * time.Minute)
	if err := server.Event(json.RawMessage(`{"type":"shipment.shipped","order":"O1","copies":2}`)); err != nil {
		t.Fatal(err)
	}
	page, err := client.List(t.Context(), reconcile.ListRequest{By: reconcile.ListChanged, From: start.Add(time.Minute), To: start.Add(time.Hour)})
	if err != nil || len(page.Observations) != 1 || page.Observations[0].Warehouse.Shipments[0].State != reconcile.ShipmentRequested {
		t.Errorf("page = %+v, %v; want the order, unchanged", page, err)
	}
}

func TestVersion_ChangesWithinOneMoment(t *testing.T) {
	t.Parallel()
	c := &clock{now: start}
	server, client := open(t, c, simulator.Options{}, map[string]int{"A": 10})
	made, err := client.Request(t.Context(), request("O1", 2))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Work(made.Key, "assigned"); err != nil {
		t.Fatal(err)
	}
	if got := state(t, client, "O1"); got.Version == made.Version {
		t.Errorf("version %s is the same after a change at the same moment", got.Version)
	}
}

func held(t *testing.T, s *warehouse.Server, id order.ID) warehouse.State {
	t.Helper()
	got, err := s.Holds(id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// back announces that pieces of A come back.
func back(t *testing.T, c *adapter.Client, id order.ID, n int64) port.RequestRequest {
	t.Helper()
	r := request(id, n)
	r.Key, r.Return = order.Intent{Order: id, Operation: order.Return, N: 1}.Key(), true
	if _, err := c.Request(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// told returns the operations by people that the ledger tells of an order.
func told(t *testing.T, s *warehouse.Server, id order.ID) []order.Operation {
	t.Helper()
	entries, err := s.Frame().Ledger(0, id)
	if err != nil {
		t.Fatal(err)
	}
	var out []order.Operation
	for _, e := range entries {
		if e.Kind == simulator.EntryEdit {
			out = append(out, e.Operation)
		}
	}
	return out
}

func TestReturn_ArrivesADayAfterItsAnnouncement(t *testing.T) {
	t.Parallel()
	c := &clock{now: start}
	file := filepath.Join(t.TempDir(), "warehouse.db")
	server, client := open(t, c, simulator.Options{Database: file}, map[string]int{"A": 10})
	r := back(t, client, "O1", 2)
	c.turn(time.Hour)
	if err := server.Frame().Close(); err != nil { // it is awaited also after a restart
		t.Fatal(err)
	}
	c.due = nil
	server, client = open(t, c, simulator.Options{Database: file}, map[string]int{"A": 10})
	c.turn(23*time.Hour - time.Second)
	if got := held(t, server, "O1"); got.OnHand["A"] != 10 || got.Returns[0].State != "draft" {
		t.Errorf("before it is back: %+v", got)
	}
	c.turn(time.Second)
	seen, err := client.Lookup(t.Context(), reconcile.Subject{Order: "O1", Currency: "EUR"})
	if err != nil || len(seen.Warehouse.Returns) != 1 {
		t.Fatalf("look-up = %+v, %v", seen, err)
	}
	got := seen.Warehouse.Returns[0]
	if got.State != reconcile.ReturnRestocked || got.Key != r.Key || !got.ReceivedAt.Equal(start.Add(24*time.Hour)) {
		t.Errorf("return = %+v, want restocked after a day", got)
	}
	if n := held(t, server, "O1").OnHand["A"]; n != 12 {
		t.Errorf("on hand = %d, want 12", n)
	}
	if got := told(t, server, "O1"); !slices.Equal(got, []order.Operation{"receive", "restock"}) {
		t.Errorf("the ledger tells of %v", got)
	}
}

func TestReturn_AnnouncedTwice_ComesOnce(t *testing.T) {
	t.Parallel()
	c := &clock{now: start}
	server, client := open(t, c, simulator.Options{}, map[string]int{"A": 10})
	if _, err := server.Frame().Inject(simulator.Fault{Operation: order.Request, Kind: simulator.Late, Delay: time.Minute}); err != nil {
		t.Fatal(err)
	}
	r := request("O1", 2)
	r.Key, r.Return = order.Intent{Order: "O1", Operation: order.Return, N: 1}.Key(), true
	ctx, giveUp := context.WithTimeout(t.Context(), time.Second)
	defer giveUp()
	if _, err := client.Request(ctx, r); err == nil {
		t.Fatal("the call that lands late was answered")
	}
	back(t, client, "O1", 2)
	c.turn(25 * time.Hour)
	got := held(t, server, "O1")
	if len(got.Returns) != 2 || got.OnHand["A"] != 12 {
		t.Errorf("returns = %+v, on hand %d; want a draft too many and 12", got.Returns, got.OnHand["A"])
	}
	back(t, client, "O1", 2)
	if got := held(t, server, "O1"); len(got.Returns) != 1 || got.Returns[0].State != "done" {
		t.Errorf("returns = %+v, want the one that came", got.Returns)
	}
}

func TestReturn_ReceivedIsNotOnHand(t *testing.T) {
	t.Parallel()
	server, client := open(t, &clock{now: start}, simulator.Options{}, map[string]int{"A": 10})
	r := back(t, client, "O1", 2)
	if err := server.Work(r.Key, "received"); err != nil {
		t.Fatal(err)
	}
	if got := held(t, server, "O1"); got.OnHand["A"] != 10 || got.Received["A"] != 2 {
		t.Errorf("state = %+v, want 10 on hand and 2 received", got)
	}
	// A hand count is of what lies in storage and is picked.
	if err := server.Edit(json.RawMessage(`{"sku":"A","on_hand":9,"reason":"counted"}`)); err != nil {
		t.Fatal(err)
	}
	if err := server.Work(r.Key, "restocked"); err != nil {
		t.Fatal(err)
	}
	if got := held(t, server, "O1"); got.OnHand["A"] != 11 || len(got.Received) != 0 {
		t.Errorf("state = %+v, want 11 on hand", got)
	}
	if err := server.Work(r.Key, "cancelled"); err == nil {
		t.Error("what was restocked was cancelled")
	}
}

func TestEdit_Return(t *testing.T) {
	t.Parallel()
	for edit, want := range map[string]reconcile.Return{
		`{"order":"O1","return":{"state":"received"}}`: {Key: "k", State: reconcile.ReturnReceived, Lines: []order.Quantity{{Line: 1, SKU: "A", Quantity: 2}}},
		`{"order":"O1","return":{"lines":[{"sku":"A","quantity":1}],"state":"done"}}`: {
			Key: "k", State: reconcile.ReturnRestocked, Lines: []order.Quantity{{Line: 1, SKU: "A", Quantity: 1}},
		},
		`{"order":"O1","return":{"key":"order/O1/return/1","state":"cancelled"}}`: {
			Key: "k", State: reconcile.ReturnCancelled, Lines: []order.Quantity{{Line: 1, SKU: "A", Quantity: 2}},
		},
		`{"order":"O1","return":{"unannounced":true,"lines":[{"sku":"B","quantity":3}],"state":"received"}}`: {
			State: reconcile.ReturnReceived, Lines: []order.Quantity{{SKU: "B", Quantity: 3}},
		},
		`{"order":"O2","return":{"lines":[{"sku":"B","quantity":3}],"state":"done"}}`: {
			State: reconcile.ReturnRestocked, Lines: []order.Quantity{{SKU: "B", Quantity: 3}},
		},
	} {
		t.Run(edit, func(t *testing.T) {
			t.Parallel()
			server, client := open(t, &clock{now: start}, simulator.Options{}, map[string]int{"A": 10, "B": 10})
			r := back(t, client, "O1", 2)
			if want.Key != "" {
				want.Key = r.Key
			}
			if err := server.Edit(json.RawMessage(edit)); err != nil {
				t.Fatal(err)
			}
			id := order.ID("O1")
			if strings.Contains(edit, "O2") {
				id = "O2"
			}
			seen, err := client.Lookup(t.Context(), reconcile.Subject{Order: id, Currency: "EUR"})
			if err != nil || seen.Warehouse == nil {
				t.Fatalf("look-up = %+v, %v", seen, err)
			}
			got := seen.Warehouse.Returns[len(seen.Warehouse.Returns)-1]
			if got.Key != want.Key || got.State != want.State || !slices.Equal(got.Lines, want.Lines) {
				t.Errorf("return = %+v, want %+v", got, want)
			}
			if ops := told(t, server, id); !slices.Contains(ops, "edit") {
				t.Errorf("the ledger tells of %v, want the edit", ops)
			}
		})
	}
}

func TestEdit_Return_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	server, client := open(t, &clock{now: start}, simulator.Options{}, map[string]int{"A": 10})
	back(t, client, "O1", 2)
	for _, edit := range []string{
		`{"order":"O1","return":{"state":"eaten"}}`, `{"order":"O1","return":{"key":"order/O1/return/7","state":"done"}}`,
		`{"order":"O1","lost":true}`, `{"order":"O1","split":{"lines":[{"sku":"A","quantity":1}]}}`,
	} {
		if err := server.Edit(json.RawMessage(edit)); err == nil {
			t.Errorf("%s was carried out", edit)
		}
	}
}

func TestLost_IsNotDelivered(t *testing.T) {
	t.Parallel()
	for how, lose := range map[string]func(*warehouse.Server) error{
		"edit": func(s *warehouse.Server) error { return s.Edit(json.RawMessage(`{"order":"O1","lost":true}`)) },
		"event": func(s *warehouse.Server) error {
			return s.Event(json.RawMessage(`{"type":"shipment.lost","order":"O1"}`))
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := &clock{now: start}
			server, client := open(t, c, simulator.Options{}, map[string]int{"A": 10})
			if _, err := client.Request(t.Context(), request("O1", 2)); err != nil {
				t.Fatal(err)
			}
			if err := lose(server); err == nil {
				t.Error("it was lost before it left")
			}
			c.turn(3 * time.Hour)
			before := held(t, server, "O1").Shipments[0]
			if err := lose(server); err != nil {
				t.Fatal(err)
			}
			page, err := client.List(t.Context(), reconcile.ListRequest{By: reconcile.ListChanged, From: c.Now(), To: c.Now().Add(time.Hour)})
			for err == nil && page.Next != "" && len(page.Observations) == 0 {
				page, err = client.List(t.Context(), reconcile.ListRequest{By: reconcile.ListChanged, From: c.Now(), To: c.Now().Add(time.Hour), Cursor: page.Next})
			}
			if err != nil || len(page.Observations) != 1 {
				t.Errorf("page = %+v, %v; want the order", page, err)
			}
			c.turn(48 * time.Hour)
			got := state(t, client, "O1")
			if got.State != reconcile.ShipmentShipped || !got.LostAt.Equal(start.Add(3*time.Hour)) {
				t.Errorf("shipment = %+v, want shipped and lost after three hours", got)
			}
			if after := held(t, server, "O1").Shipments[0]; !after.Lost || after.Delivered || !after.Written.Equal(before.Written) {
				t.Errorf("shipment = %+v, want lost and not written since %v", after, before.Written)
			}
		})
	}
}
