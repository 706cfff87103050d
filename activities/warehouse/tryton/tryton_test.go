package tryton_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/warehouse"
	adapter "github.com/trueup-orders/trueup/activities/warehouse/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
)

// fixture is an adapter on a simulated warehouse, or on a real Tryton when the
// environment names one and the test needs no faults.
type fixture struct {
	*adapter.Client
	url    string
	server *simulated.Server // nil on the real one
}

const realVariable = "TRUEUP_REAL_TRYTON_WAREHOUSE"

func open(t *testing.T, url string, timeout time.Duration) *adapter.Client {
	t.Helper()
	c, err := adapter.New(adapter.Config{
		URL: url, User: "admin", Password: "admin", Channel: "web", Now: time.Now, Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// onSimulator returns a fixture with stock of A, B, C and D.
func onSimulator(t *testing.T) fixture {
	t.Helper()
	server, err := simulated.New(simulator.Options{}, simulated.Settings{Stock: map[string]int{"A": 1000, "B": 1000, "C": 1000, "D": 1000}})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		listener.Close()
		_ = server.Frame().Close()
	})
	url := listener.URL + "/warehouse/"
	return fixture{open(t, url, 10*time.Second), url, server}
}

// onBoth runs a test on the simulator and, when there is one, on the real thing.
func onBoth(t *testing.T, f func(t *testing.T, x fixture)) {
	t.Helper()
	t.Run("simulated", func(t *testing.T) {
		t.Parallel()
		f(t, onSimulator(t))
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv(realVariable)
		if url == "" {
			t.Skip(realVariable + " names no real Tryton; see testsuite/real/tryton.sh")
		}
		f(t, fixture{open(t, url, 20*time.Second), url, nil})
	})
}

var ids struct {
	sync.Mutex
	n int
}

// newID returns an order id that no other test uses, also in a real database
// that an earlier run has filled.
func newID(prefix string) order.ID {
	ids.Lock()
	defer ids.Unlock()
	ids.n++
	return order.ID(fmt.Sprintf("%s-%d-%d", prefix, time.Now().UnixNano(), ids.n))
}

var berlin = order.Address{Name: "Ada L", Street: "Allee 1", City: "Berlin", PostalCode: "10115", Country: "DE"}

func request(id order.ID) warehouse.RequestRequest {
	return warehouse.RequestRequest{
		Key: order.Intent{Order: id, Operation: order.Request, N: 1}.Key(), Order: id,
		Lines:    []order.Quantity{{Line: 2, SKU: "A", Quantity: 2}, {Line: 3, SKU: "B", Quantity: 1}, {Line: 5, SKU: "A", Quantity: 4}},
		Customer: order.Customer{ID: "c-" + string(id), Name: "Ada", Email: "ada@example.com"},
		ShipTo:   berlin,
	}
}

func subject(id order.ID) reconcile.Subject {
	return reconcile.Subject{Order: id, Currency: "EUR", PlacedAt: time.Now()}
}

// press has a person in the warehouse press a button.
func (x fixture) press(t *testing.T, shipment string, buttons ...string) {
	t.Helper()
	if x.server != nil {
		for _, b := range buttons {
			to := map[string]string{"assign_try": "assigned", "pick": "picked", "pack": "packed", "done": "done", "cancel": "cancelled"}[b]
			if err := x.server.Work(shipment, to); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	for _, b := range buttons {
		x.call(t, "stock.shipment.out", b, []any{json.RawMessage("[" + shipment + "]")})
	}
}

// entries returns the effects of an operation, without drafts.
func (x fixture) entries(t *testing.T, id order.ID, operation order.Operation) []simulator.Entry {
	t.Helper()
	all, err := x.server.Frame().Ledger(0, id)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e simulator.Entry) bool {
		return e.Kind != simulator.EntryEffect || e.Operation != operation || e.Detail == "draft"
	})
}

// oneLive fails unless the order has exactly one shipment that lives and no draft.
func (x fixture) oneLive(t *testing.T, id order.ID) {
	t.Helper()
	if n := len(x.entries(t, id, order.Request)); n != 1 {
		t.Errorf("the ledger has %d requests, want 1", n)
	}
	state, err := x.server.Holds(id)
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Shipments) != 1 || state.Shipments[0].State != "waiting" {
		t.Errorf("shipments = %+v, want one that waits", state.Shipments)
	}
}

func (x fixture) inject(t *testing.T, f simulator.Fault) {
	t.Helper()
	if _, err := x.server.Frame().Inject(f); err != nil {
		t.Fatal(err)
	}
}

func (x fixture) edit(t *testing.T, edit string) {
	t.Helper()
	if err := x.server.Edit(json.RawMessage(edit)); err != nil {
		t.Fatal(err)
	}
}

func TestNew_NamesEverythingMissing(t *testing.T) {
	t.Parallel()
	_, err := adapter.New(adapter.Config{URL: "http://host:8000"})
	for _, want := range []string{"database", "User", "Password", "Now"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}

func TestRequest_ReturnsTheShipment(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := request(newID("O"))
		got, err := x.Request(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if got.State != reconcile.ShipmentRequested || got.Key != r.Key || got.Address != "Ada L, Allee 1, 10115 Berlin, DE" {
			t.Errorf("shipment = %+v", got)
		}
		if !slices.Equal(got.Lines, r.Lines) {
			t.Errorf("lines = %v, want %v", got.Lines, r.Lines)
		}
		again, err := x.Request(t.Context(), r)
		if err != nil || again.ID != got.ID {
			t.Errorf("repeat = %+v, %v; want shipment %s", again, err, got.ID)
		}
		seen, err := x.Lookup(t.Context(), subject(r.Order))
		if err != nil || seen.State != reconcile.Present || !seen.Strong || len(seen.Warehouse.Shipments) != 1 {
			t.Errorf("look-up = %+v, %v", seen, err)
		}
	})
}

func TestRequest_UnknownSKU_Declined(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := request(newID("O"))
		r.Lines[1].SKU = "nobody-knows"
		if _, err := x.Request(t.Context(), r); apierr.CodeOf(err) != apierr.Declined || err == nil {
			t.Errorf("error = %v, want declined", err)
		}
		seen, err := x.Lookup(t.Context(), subject(r.Order))
		if err != nil || seen.State != reconcile.Absent {
			t.Errorf("look-up = %+v, %v; want absent", seen, err)
		}
	})
}

func TestRequest_Concurrent_OneEffect(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := request(newID("O"))
		shipments := make([]string, 4)
		var all sync.WaitGroup
		for i := range shipments {
			all.Go(func() {
				got, err := open(t, x.url, 20*time.Second).Request(context.Background(), r)
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				}
				shipments[i] = got.ID
			})
		}
		all.Wait()
		if slices.Sort(shipments); shipments[0] != shipments[len(shipments)-1] {
			t.Errorf("shipments = %v, want the same four times", shipments)
		}
		if x.server != nil {
			x.oneLive(t, r.Order)
		}
		seen, err := x.Lookup(t.Context(), subject(r.Order))
		if err != nil || len(seen.Warehouse.Shipments) != 1 || seen.Warehouse.Shipments[0].State != reconcile.ShipmentRequested {
			t.Errorf("look-up = %+v, %v; want one requested", seen.Warehouse, err)
		}
	})
}

func TestRequest_UnderFaults_OneEffect(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		kind  simulator.FaultKind
		skip  int // 0 hits the draft, 1 its promotion
		delay time.Duration
		want  apierr.Code // "": no error
	}{
		{kind: simulator.ResponseLost, want: apierr.InDoubt},
		{kind: simulator.ResponseLost, skip: 1, want: apierr.InDoubt},
		{kind: simulator.ResponseError, want: apierr.InDoubt},
		{kind: simulator.ResponseError, skip: 1, want: apierr.InDoubt},
		{kind: simulator.Garbage, want: apierr.InDoubt},
		{kind: simulator.Garbage, skip: 1},
		{kind: simulator.Twice},
		{kind: simulator.Twice, skip: 1},
		{kind: simulator.Refused, want: apierr.InDoubt},
		{kind: simulator.Unavailable, want: apierr.InDoubt},
		{kind: simulator.RateLimited, want: apierr.RateLimited},
		{kind: simulator.RateLimited, skip: 1, want: apierr.RateLimited},
		{kind: simulator.Rejected, want: apierr.Declined},
		{kind: simulator.Rejected, skip: 1, want: apierr.Declined},
		{kind: simulator.ReplaysError, want: apierr.InDoubt},
		{kind: simulator.Unauthorized}, // mended by logging in again
		{kind: simulator.Vanishes, want: apierr.Unavailable},
		{kind: simulator.Vanishes, skip: 1, want: apierr.InDoubt},
		{kind: simulator.Foreign, want: apierr.Unavailable},
		{kind: simulator.Foreign, skip: 1}, // nothing happened, so it is pressed again
	} {
		t.Run(fmt.Sprintf("%s/%d", f.kind, f.skip), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t)
			r := request(newID("O"))
			x.inject(t, simulator.Fault{Operation: order.Request, Kind: f.kind, Skip: f.skip, Delay: f.delay})
			_, err := x.Request(t.Context(), r)
			if f.want == "" && err != nil && f.kind != simulator.Garbage || f.want != "" && (err == nil || apierr.CodeOf(err) != f.want) {
				t.Errorf("error = %v, want %s", err, cmp.Or(f.want, "none"))
			}
			if err != nil && !strings.Contains(err.Error(), "of order "+string(r.Order)+": tryton:") {
				t.Errorf("error %q does not name the operation", err)
			}
			got, err := x.Request(t.Context(), r)
			if err != nil || got.State != reconcile.ShipmentRequested {
				t.Fatalf("repeat = %+v, %v", got, err)
			}
			if f.kind == simulator.Vanishes && f.skip == 1 {
				return // two effects, the first of which the warehouse lost
			}
			x.oneLive(t, r.Order)
		})
	}
}

func TestRequest_Late_OneEffect(t *testing.T) {
	t.Parallel()
	for _, skip := range []int{0, 1} {
		t.Run(fmt.Sprint(skip), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t)
			r := request(newID("O"))
			x.Client = open(t, x.url, time.Second)
			x.inject(t, simulator.Fault{Operation: order.Request, Kind: simulator.Late, Skip: skip, Delay: 100 * time.Millisecond})
			if _, err := x.Request(t.Context(), r); apierr.CodeOf(err) != apierr.InDoubt {
				t.Fatalf("error = %v, want in doubt", err)
			}
			x.Client = open(t, x.url, 10*time.Second)
			if _, err := x.Request(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			// The late one lands whenever it does; it leaves no second effect, at
			// most a draft, which the next call removes.
			x.await(t, func() bool { return x.landed(t, r.Order, skip) })
			if _, err := x.Request(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			x.oneLive(t, r.Order)
		})
	}
}

// landed says whether the late call has happened: a second draft was made, or
// the answer to the promotion was given up at least.
func (x fixture) landed(t *testing.T, id order.ID, skip int) bool {
	if skip == 1 {
		return true
	}
	all, err := x.server.Frame().Ledger(0, id)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range all {
		if e.Kind == simulator.EntryEffect && e.Detail == "draft" {
			n++
		}
	}
	return n >= 2
}

// await polls the simulator's ledger, which tells of what happens by itself.
func (x fixture) await(t *testing.T, f func() bool) {
	t.Helper()
	for range 400 {
		if f() {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the test ended first")
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("it did not happen")
}

func TestRequest_Unauthorized_AfterOneLogin(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	r := request(newID("O"))
	x.inject(t, simulator.Fault{Operation: order.Request, Kind: simulator.Unauthorized, Times: -1})
	if _, err := x.Request(t.Context(), r); apierr.CodeOf(err) != apierr.Unauthorized {
		t.Fatalf("error = %v, want unauthorized", err)
	}
	if n := x.server.Frame().Faults()[0].Fired; n != 2 {
		t.Errorf("it was tried %d times, want twice", n)
	}
	x.server.Frame().Clear("*")
	if err := x.server.EndSessions(); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Request(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	x.oneLive(t, r.Order)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		buttons []string
		want    reconcile.ShipmentState
		code    apierr.Code
	}{
		{nil, reconcile.ShipmentCancelled, ""},
		{[]string{"assign_try"}, reconcile.ShipmentCancelled, ""},
		{[]string{"assign_try", "pick"}, reconcile.ShipmentCancelled, ""},
		{[]string{"assign_try", "pick", "pack"}, reconcile.ShipmentPacked, apierr.Conflict},
		{[]string{"assign_try", "pick", "pack", "done"}, reconcile.ShipmentShipped, apierr.Conflict},
	} {
		t.Run(fmt.Sprint(len(c.buttons)), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, x fixture) {
				r := request(newID("O"))
				made, err := x.Request(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				x.press(t, made.ID, c.buttons...)
				for range 2 { // and once more
					got, err := x.Cancel(t.Context(), warehouse.CancelRequest{Key: r.Key, Order: r.Order})
					if got.State != c.want || err != nil && apierr.CodeOf(err) != c.code || (err == nil) != (c.code == "") {
						t.Errorf("cancel = %+v, %v; want %s, %s", got, err, c.want, c.code)
					}
				}
				if c.code == "" {
					return
				}
				to := berlin
				to.Street = "Weg 2"
				got, err := x.UpdateAddress(t.Context(), warehouse.UpdateAddressRequest{Key: r.Key, Order: r.Order, ShipTo: to})
				if got.State != c.want || apierr.CodeOf(err) != apierr.Conflict || err == nil {
					t.Errorf("update = %+v, %v; want conflict", got, err)
				}
			})
		})
	}
}

func TestCancel_Unknown_IsNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := request(newID("O"))
		got, err := x.Cancel(t.Context(), warehouse.CancelRequest{Key: r.Key, Order: r.Order})
		if err != nil || got.ID != "" {
			t.Errorf("cancel = %+v, %v; want nothing", got, err)
		}
	})
}

func TestCancel_UnderFaults_OneEffect(t *testing.T) {
	t.Parallel()
	for kind, want := range map[simulator.FaultKind]apierr.Code{
		simulator.ResponseLost: apierr.InDoubt, simulator.ResponseError: apierr.InDoubt, simulator.Garbage: "",
		simulator.Twice: "", simulator.Unavailable: apierr.InDoubt, simulator.RateLimited: apierr.RateLimited,
		simulator.Rejected: apierr.Declined, simulator.Unauthorized: "", simulator.Foreign: "",
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t)
			r := request(newID("O"))
			if _, err := x.Request(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			x.inject(t, simulator.Fault{Operation: order.Cancel, Kind: kind})
			cancel := warehouse.CancelRequest{Key: r.Key, Order: r.Order}
			if _, err := x.Cancel(t.Context(), cancel); want != "" && (err == nil || apierr.CodeOf(err) != want) {
				t.Errorf("error = %v, want %s", err, want)
			}
			got, err := x.Cancel(t.Context(), cancel)
			if err != nil || got.State != reconcile.ShipmentCancelled {
				t.Errorf("repeat = %+v, %v", got, err)
			}
			if n := len(x.entries(t, r.Order, order.Cancel)); n != 1 {
				t.Errorf("%d cancellations in the ledger, want 1", n)
			}
		})
	}
}

func TestUpdateAddress_TouchesOneOrderOnly(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		one, two := request(newID("O")), request(newID("O"))
		two.Customer = one.Customer
		for _, r := range []warehouse.RequestRequest{one, two} {
			if _, err := x.Request(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		to := order.Address{Name: "Bob", Street: "Rue 3", City: "Paris", PostalCode: "75001", Country: "FR"}
		update := warehouse.UpdateAddressRequest{Key: one.Key, Order: one.Order, ShipTo: to}
		for range 2 {
			got, err := x.UpdateAddress(t.Context(), update)
			if err != nil || got.Address != adapter.AddressLine(to) {
				t.Errorf("update = %+v, %v", got, err)
			}
		}
		seen, err := x.Lookup(t.Context(), subject(two.Order))
		if err != nil || seen.Warehouse.Shipments[0].Address != adapter.AddressLine(berlin) {
			t.Errorf("the other order = %+v, %v; want its own address", seen.Warehouse, err)
		}
		if x.server != nil {
			if n := len(x.entries(t, one.Order, order.UpdateAddress)); n != 1 {
				t.Errorf("%d changes in the ledger, want 1", n)
			}
		}
	})
}

func TestUpdateAddress_UnderFaults_OneEffect(t *testing.T) {
	t.Parallel()
	for kind, want := range map[simulator.FaultKind]apierr.Code{
		simulator.ResponseLost: apierr.InDoubt, simulator.ResponseError: apierr.InDoubt, simulator.Garbage: apierr.InDoubt,
		simulator.Unavailable: apierr.InDoubt, simulator.RateLimited: apierr.RateLimited, simulator.Rejected: apierr.Declined,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t)
			r := request(newID("O"))
			if _, err := x.Request(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			to := berlin
			to.Street = "Weg 2"
			update := warehouse.UpdateAddressRequest{Key: r.Key, Order: r.Order, ShipTo: to}
			x.inject(t, simulator.Fault{Operation: order.UpdateAddress, Kind: kind})
			if _, err := x.UpdateAddress(t.Context(), update); err == nil || apierr.CodeOf(err) != want {
				t.Errorf("error = %v, want %s", err, want)
			}
			if got, err := x.UpdateAddress(t.Context(), update); err != nil || got.Address != adapter.AddressLine(to) {
				t.Errorf("repeat = %+v, %v", got, err)
			}
			if n := len(x.entries(t, r.Order, order.UpdateAddress)); n != 1 {
				t.Errorf("%d changes in the ledger, want 1", n)
			}
		})
	}
}

func TestShipment_TellsOfTheCarrier(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := request(newID("O"))
		made, err := x.Request(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		before := time.Now().Add(-time.Minute)
		x.press(t, made.ID, "assign_try", "pick", "pack", "done")
		x.call(t, "ir.note", "create", []any{[]any{map[string]any{
			"resource": "stock.shipment.out," + made.ID, "message": "Hello\n Tracking :  XYZ-1\ndelivered: 2026-11-23T10:00:00Z\ndelivered: soon",
		}}})
		seen, err := x.Lookup(t.Context(), subject(r.Order))
		if err != nil {
			t.Fatal(err)
		}
		got := seen.Warehouse.Shipments[0]
		if got.State != reconcile.ShipmentDelivered || got.Tracking != "XYZ-1" || !got.DeliveredAt.Equal(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)) {
			t.Errorf("shipment = %+v", got)
		}
		if got.ShippedAt.Before(before) || got.ShippedAt.After(time.Now().Add(time.Minute)) {
			t.Errorf("shipped at %v, want now", got.ShippedAt)
		}
	})
}

func TestCount_FallsWhenShipped(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		// D is used by this test alone, so that a real count is not disturbed.
		r := request(newID("O"))
		r.Lines = []order.Quantity{{Line: 1, SKU: "D", Quantity: 3}}
		first, err := x.Count(t.Context(), "D")
		if err != nil {
			t.Fatal(err)
		}
		made, err := x.Request(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			button string
			fell   int64
		}{{"assign_try", 0}, {"pick", 0}, {"pack", 0}, {"done", 3}} {
			x.press(t, made.ID, step.button)
			got, err := x.Count(t.Context(), "D")
			if err != nil || first.Quantity-got.Quantity != step.fell {
				t.Errorf("after %s the count fell from %d to %d (%v), want by %d", step.button, first.Quantity, got.Quantity, err, step.fell)
			}
		}
		if _, err := x.Count(t.Context(), "nobody-knows"); apierr.CodeOf(err) != apierr.NotFound || err == nil {
			t.Errorf("count of an unknown SKU: %v, want not found", err)
		}
	})
}

func TestList_PagesAndFollowsNotes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		from := time.Now().Add(-time.Minute)
		want := map[order.ID]bool{}
		var last string
		for range 7 {
			r := request(newID("L"))
			r.Customer.ID = "list"
			made, err := x.Request(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			want[r.Order], last = true, made.ID
		}
		for _, by := range []reconcile.Listing{reconcile.ListChanged, reconcile.ListCreated} {
			got, pages := x.walk(t, reconcile.ListRequest{By: by, From: from, To: time.Now().Add(time.Minute), Limit: 2})
			for id := range want {
				if !got[id] {
					t.Errorf("%s: order %s is missing", by, id)
				}
			}
			if pages < 4 {
				t.Errorf("%s: %d pages, want at least 4", by, pages)
			}
		}
		mark := time.Now().Add(-time.Millisecond)
		x.call(t, "ir.note", "create", []any{[]any{map[string]any{"resource": "stock.shipment.out," + last, "message": "tracking: T"}}})
		got, _ := x.walk(t, reconcile.ListRequest{By: reconcile.ListChanged, From: mark, To: time.Now().Add(time.Minute)})
		if len(got) == 0 {
			t.Error("a shipment that got a note is not listed as changed")
		}
		for id, at := range x.changed(t, mark) {
			if want[id] && at.Before(mark.Add(-time.Second)) {
				t.Errorf("order %s is listed as changed at %v, before its note", id, at)
			}
		}
	})
}

func (x fixture) walk(t *testing.T, r reconcile.ListRequest) (map[order.ID]bool, int) {
	t.Helper()
	got, pages := map[order.ID]bool{}, 0
	for {
		page, err := x.List(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, o := range page.Observations {
			got[o.Order] = true
		}
		if r.Cursor = page.Next; r.Cursor == "" {
			return got, pages
		}
	}
}

// changed walks what changed since a moment, and tells when.
func (x fixture) changed(t *testing.T, since time.Time) map[order.ID]time.Time {
	t.Helper()
	got := map[order.ID]time.Time{}
	r := reconcile.ListRequest{By: reconcile.ListChanged, From: since, To: time.Now().Add(time.Minute)}
	for {
		page, err := x.List(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Observations {
			got[o.Order] = o.Changed
		}
		if r.Cursor = page.Next; r.Cursor == "" {
			return got
		}
	}
}

func TestList_UnderFaults(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	for range 3 {
		if _, err := x.Request(t.Context(), request(newID("L"))); err != nil {
			t.Fatal(err)
		}
	}
	since := time.Now().Add(-time.Hour)
	for kind, want := range map[simulator.FaultKind]int{simulator.NotListed: 2, simulator.EmptyList: 0} {
		x.inject(t, simulator.Fault{Operation: "list", Kind: kind, Times: -1})
		if got := x.changed(t, since); len(got) != want {
			t.Errorf("%s: %d orders, want %d", kind, len(got), want)
		}
		x.server.Frame().Clear("list")
	}
	if got := x.changed(t, since); len(got) != 3 {
		t.Errorf("%d orders, want 3", len(got))
	}
}

// page lists all that changed, on one page, the shipments of it.
func (x fixture) page(t *testing.T) (map[order.ID]reconcile.Observation, []reconcile.Orphan) {
	t.Helper()
	page, err := x.List(t.Context(), reconcile.ListRequest{
		By: reconcile.ListChanged, From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[order.ID]reconcile.Observation{}
	for _, o := range page.Observations {
		got[o.Order] = o
	}
	return got, page.Orphans
}

// The same warehouse ships goods by metre, for somebody else: a page that could not
// be read for them would be read again for ever, and show no order.
func TestList_SomebodyElsesFraction_NoneOfOurs(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	r := request(newID("L"))
	if _, err := x.Request(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	x.edit(t, `{"order": "B2B-17", "reference": "B2B-17", "lines": [{"sku": "A", "quantity": 2}], "measured": {"A": 2.5}}`)
	got, orphans := x.page(t)
	if len(got) != 1 || got[r.Order].State != reconcile.Present || len(orphans) != 0 {
		t.Errorf("the page has %+v and %+v, want the order's alone", got, orphans)
	}
}

// What people make of one order's shipment is said of that order, and the others are
// read as ever.
func TestList_OneThatCannotBeUnderstood_UnreadableAndTheOthersPresent(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]string{
		"a fraction": `"measured": {"B": 0.5}`, "an unknown state": `"state": "shelved"`,
	} {
		x := onSimulator(t)
		var all []order.ID
		for range 3 {
			r := request(newID("L"))
			if _, err := x.Request(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r.Order)
		}
		before, _ := x.page(t)
		x.edit(t, fmt.Sprintf(`{"order": %q, %s}`, all[1], edit))
		got, _ := x.page(t)
		for i, id := range all {
			want := reconcile.Present
			if i == 1 {
				want = reconcile.Unreadable
			}
			if o := got[id]; o.State != want || (o.Why != "") != (i == 1) || (o.Warehouse == nil) != (i == 1) {
				t.Errorf("%s in the second of three: the page says of number %d %+v", name, i+1, o)
			}
		}
		// By its version a feed knows that it is another change.
		if was, is := before[all[1]], got[all[1]]; is.Version == "" || is.Version == was.Version || !is.Changed.After(was.Changed) {
			t.Errorf("%s: version %q of %s after %q of %s", name, is.Version, is.Changed, was.Version, was.Changed)
		}
		if _, err := x.Lookup(t.Context(), subject(all[1])); apierr.CodeOf(err) != apierr.Garbage {
			t.Errorf("%s: its look-up says %v", name, err)
		}
	}
}

// What was meant to be ours and names no order is a person's to decide, whatever is
// in it.
func TestList_OrphanWithAFraction_OnThePage(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	r := request(newID("L"))
	if _, err := x.Request(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	x.edit(t, fmt.Sprintf(`{"order": %q, "reference": "order/oops", "measured": {"B": 0.5}}`, r.Order))
	if _, orphans := x.page(t); len(orphans) != 1 || orphans[0].Record == "" || !strings.Contains(orphans[0].What, "cannot be counted") {
		t.Errorf("orphans are %+v", orphans)
	}
}

// Whichever look-up of a request answers with nothing for once, the request is
// not refused for good.
func TestRequest_LookupEmptyOnce_NotDeclined(t *testing.T) {
	t.Parallel()
	for n := range 12 {
		x := onSimulator(t)
		r := request(newID("E"))
		x.inject(t, simulator.Fault{Operation: "lookup", Kind: simulator.EmptyList, Skip: n})
		if _, err := x.Request(t.Context(), r); apierr.Final(err) && err != nil {
			t.Errorf("look-up %d was empty: %v", n+1, err)
		}
		if x.server.Frame().Faults()[0].Fired == 0 {
			if n < 2 {
				t.Errorf("a request makes %d look-ups", n)
			}
			return
		}
	}
}

func TestReads_UnderFaults(t *testing.T) {
	t.Parallel()
	for kind, want := range map[simulator.FaultKind]apierr.Code{
		simulator.Unavailable: apierr.Unavailable, simulator.Refused: apierr.Unavailable, simulator.ResponseLost: apierr.Unavailable,
		simulator.ResponseError: apierr.Unavailable, simulator.RateLimited: apierr.RateLimited, simulator.Garbage: apierr.Garbage,
		simulator.Foreign: apierr.Garbage, simulator.Unauthorized: apierr.Unauthorized,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t)
			r := request(newID("O"))
			if _, err := x.Request(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			x.inject(t, simulator.Fault{Operation: "*", Kind: kind, Times: -1})
			if _, err := x.Lookup(t.Context(), subject(r.Order)); err == nil || apierr.CodeOf(err) != want {
				t.Errorf("look-up: %v, want %s", err, want)
			}
		})
	}
}

func TestLookup_Stale_AnswersAsItWas(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	r := request(newID("O"))
	made, err := x.Request(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	x.press(t, made.ID, "assign_try")
	x.inject(t, simulator.Fault{Operation: "lookup", Kind: simulator.Stale, Times: -1, Delay: time.Hour})
	seen, err := x.Lookup(t.Context(), subject(r.Order))
	if err != nil || seen.State != reconcile.Absent {
		t.Errorf("look-up = %+v, %v; want what was an hour ago, nothing", seen, err)
	}
}

func TestLookup_UnderscoreIsNoWildcard(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		id := string(newID("U"))
		one, two := request(order.ID(id+"_1")), request(order.ID(id+"x1"))
		if _, err := x.Request(t.Context(), two); err != nil {
			t.Fatal(err)
		}
		seen, err := x.Lookup(t.Context(), subject(one.Order))
		if err != nil || seen.State != reconcile.Absent {
			t.Errorf("look-up = %+v, %v; want absent", seen, err)
		}
	})
}

func TestOrphans(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	r := request(newID("O"))
	if _, err := x.Request(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	x.edit(t, fmt.Sprintf(`{"order":%q,"reference":"order/oops"}`, r.Order))
	page, err := x.List(t.Context(), reconcile.ListRequest{By: reconcile.ListChanged, From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)})
	if err != nil || len(page.Orphans) != 1 || len(page.Observations) != 0 {
		t.Errorf("page = %+v, %v; want one orphan", page, err)
	}
}

// call makes a raw JSON-RPC call, as another program of the warehouse's would.
func (x fixture) call(t *testing.T, model, method string, args []any) json.RawMessage {
	t.Helper()
	return rawCall(t, x.url, model, method, args)
}

func TestServer_Unreachable_Unavailable(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	c := open(t, closed.URL+"/warehouse/", time.Second)
	if _, err := c.Request(t.Context(), request("O1")); apierr.CodeOf(err) != apierr.Unavailable {
		t.Errorf("error = %v, want unavailable", err)
	}
}
