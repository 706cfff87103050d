package warehouse_test

import (
	"cmp"
	"encoding/json"
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

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
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
