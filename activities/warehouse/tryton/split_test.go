package tryton_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/warehouse"
	adapter "github.com/trueup-orders/trueup/activities/warehouse/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

const shipmentModel = "stock.shipment.out"

// split has people move moves of a shipment into a second one, as Tryton's
// module stock_split does: it is a draft while they do, and so is the second,
// which has the first one's reference. They wait again when promoted says so.
func (x fixture) split(t *testing.T, first string, promoted bool, moves ...int64) (second string) {
	t.Helper()
	one := json.RawMessage("[" + first + "]")
	x.call(t, shipmentModel, "draft", []any{one})
	was := x.row(t, one)
	var ids []int64
	raw := x.call(t, shipmentModel, "create", []any{[]any{map[string]any{
		"reference": was.Reference, "customer": was.Customer, "delivery_address": was.Address, "company": 1, "warehouse": x.place(t),
	}}})
	if err := json.Unmarshal(raw, &ids); err != nil || len(ids) != 1 {
		t.Fatalf("create: %s %v", raw, err)
	}
	x.call(t, "stock.move", "write", []any{moves, map[string]any{"shipment": fmt.Sprintf("%s,%d", shipmentModel, ids[0])}})
	if promoted {
		x.call(t, shipmentModel, "wait", []any{one})
		x.call(t, shipmentModel, "wait", []any{ids})
	}
	return fmt.Sprint(ids[0])
}

// parts returns what is told of the shipments of an order.
func (x fixture) parts(t *testing.T, id order.ID) []reconcile.Shipment {
	t.Helper()
	var out []reconcile.Shipment
	for _, s := range x.holds(t, id).Shipments {
		out = append(out, reconcile.Shipment{ID: s.ID, Key: s.Key, State: s.State, Lines: s.Lines, Address: s.Address})
	}
	return out
}

// inTwo requests a shipment that people split: line 3 goes into the second one.
func (x fixture) inTwo(t *testing.T) (r warehouse.RequestRequest, first, second string) {
	t.Helper()
	r = request(newID("S"))
	made := x.announce(t, r)
	moves := x.moves(t, shipmentModel, "outgoing_moves", made.ID)
	return r, made.ID, x.split(t, made.ID, true, moves[1])
}

func TestShipment_LeavesWithFewerPieces_LinesSayWhatLeft(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := request(newID("S"))
		made := x.announce(t, r)
		x.press(t, made.ID, "assign_try", "pick")
		moves := x.moves(t, shipmentModel, "outgoing_moves", made.ID)
		before := x.version(t, r.Order)
		x.set(t, moves[0], 1)
		x.set(t, moves[1], 0)
		if x.version(t, r.Order) == before {
			t.Error("the version is the same after the quantities changed")
		}
		x.press(t, made.ID, "pack")
		if n := len(x.moves(t, shipmentModel, "outgoing_moves", made.ID)); n != 2 {
			t.Errorf("%d moves, want 2: packing takes away the empty ones", n)
		}
		x.press(t, made.ID, "done")
		got := x.parts(t, r.Order)
		want := []order.Quantity{{Line: 2, SKU: "A", Quantity: 1}, {Line: 5, SKU: "A", Quantity: 4}}
		if len(got) != 1 || got[0].State != reconcile.ShipmentShipped || !slices.Equal(got[0].Lines, want) {
			t.Errorf("shipments = %+v, want one that left with %v", got, want)
		}
		again := x.announce(t, r)
		if again.ID != made.ID || again.State != reconcile.ShipmentShipped || !slices.Equal(again.Lines, want) {
			t.Errorf("requested again = %+v, want the one that left", again)
		}
	})
}

// Pickers find less than was promised and say so in the moves out of storage,
// from which Tryton takes what is packed. The simulated one has no such moves;
// there the shipment itself is edited.
func TestShipment_FewerFound_LinesSayWhatLeft(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := request(newID("S"))
		made := x.announce(t, r)
		if x.server != nil {
			x.edit(t, fmt.Sprintf(`{"order":%q,"lines":[{"sku":"A","quantity":1},{"sku":"B","quantity":0},{"sku":"A","quantity":4}]}`, r.Order))
		} else {
			for _, m := range x.moves(t, shipmentModel, "inventory_moves", made.ID) {
				var rows []struct {
					Quantity float64 `json:"quantity"`
				}
				raw := x.call(t, "stock.move", "read", []any{[]int64{m}, []string{"quantity"}})
				if err := json.Unmarshal(raw, &rows); err != nil || len(rows) != 1 {
					t.Fatalf("read %s: %v", raw, err)
				}
				if rows[0].Quantity < 4 {
					x.set(t, m, int(rows[0].Quantity)-1)
				}
			}
		}
		x.press(t, made.ID, "assign_try", "pick", "pack", "done")
		got := x.parts(t, r.Order)
		want := []order.Quantity{{Line: 2, SKU: "A", Quantity: 1}, {Line: 5, SKU: "A", Quantity: 4}}
		if len(got) != 1 || got[0].State != reconcile.ShipmentShipped || !slices.Equal(got[0].Lines, want) {
			t.Errorf("shipments = %+v, want one that left with %v", got, want)
		}
	})
}

func TestShipment_Split_BothAreTold(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r, first, second := x.inTwo(t)
		want := []reconcile.Shipment{
			{ID: first, Key: r.Key, State: reconcile.ShipmentRequested, Lines: []order.Quantity{r.Lines[0], r.Lines[2]}, Address: adapter.AddressLine(r.ShipTo)},
			{ID: second, Key: r.Key, State: reconcile.ShipmentRequested, Lines: r.Lines[1:2], Address: adapter.AddressLine(r.ShipTo)},
		}
		if d := cmp.Diff(want, x.parts(t, r.Order)); d != "" {
			t.Error(d)
		}
		if again := x.announce(t, r); again.ID != first {
			t.Errorf("requested again = %+v, want %s", again, first)
		}
		x.press(t, first, "assign_try", "pick", "pack", "done")
		want[0].State = reconcile.ShipmentShipped
		if again := x.announce(t, r); again.ID != first || again.State != reconcile.ShipmentShipped {
			t.Errorf("requested again = %+v, want the first, shipped", again)
		}
		if d := cmp.Diff(want, x.parts(t, r.Order)); d != "" {
			t.Error(d)
		}
	})
}

func TestShipment_BeingSplit_RequestLeavesThePartAlone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := request(newID("S"))
		made := x.announce(t, r)
		second := x.split(t, made.ID, false, x.moves(t, shipmentModel, "outgoing_moves", made.ID)[2])
		if again := x.announce(t, r); again.ID != made.ID || again.State != reconcile.ShipmentRequested {
			t.Errorf("requested again = %+v, want the first, requested", again)
		}
		got := x.parts(t, r.Order)
		if len(got) != 2 || got[1].ID != second || got[1].State != reconcile.ShipmentDraft || !slices.Equal(got[1].Lines, r.Lines[2:]) {
			t.Errorf("shipments = %+v, want the second as a draft with line 5", got)
		}
	})
}

func TestShipment_Split_Cancel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		buttons []string // of the second
		code    apierr.Code
		second  reconcile.ShipmentState
	}{
		{"both", nil, "", reconcile.ShipmentCancelled},
		{"one is packed", []string{"assign_try", "pick", "pack"}, apierr.Conflict, reconcile.ShipmentPacked},
		{"one is gone", []string{"assign_try", "pick", "pack", "done"}, apierr.Conflict, reconcile.ShipmentShipped},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, x fixture) {
				r, _, second := x.inTwo(t)
				x.press(t, second, c.buttons...)
				for range 2 { // and once more
					got, err := x.Cancel(t.Context(), warehouse.CancelRequest{Key: r.Key, Order: r.Order})
					if (err == nil) != (c.code == "") || err != nil && apierr.CodeOf(err) != c.code || got.State != c.second {
						t.Errorf("cancel = %+v, %v; want %s, %q", got, err, c.second, c.code)
					}
					if c.code != "" && got.ID != second {
						t.Errorf("the conflict comes with %s, want %s", got.ID, second)
					}
				}
				if got := x.parts(t, r.Order); got[0].State != reconcile.ShipmentCancelled || got[1].State != c.second {
					t.Errorf("shipments = %+v, want the first cancelled, the second %s", got, c.second)
				}
			})
		})
	}
}

func TestShipment_Split_UpdateAddress(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r, _, second := x.inTwo(t)
		there := func(street string) (warehouse.UpdateAddressRequest, string) {
			r.ShipTo.Street = street
			return warehouse.UpdateAddressRequest{Key: r.Key, Order: r.Order, ShipTo: r.ShipTo}, adapter.AddressLine(r.ShipTo)
		}
		update, line := there("Weg 2")
		for range 2 {
			if got, err := x.UpdateAddress(t.Context(), update); err != nil || got.Address != line {
				t.Errorf("update = %+v, %v", got, err)
			}
		}
		x.press(t, second, "assign_try", "pick", "pack")
		if _, err := x.UpdateAddress(t.Context(), update); err != nil {
			t.Errorf("the address that both have already: %v", err)
		}
		other, _ := there("Weg 3")
		got, err := x.UpdateAddress(t.Context(), other)
		if apierr.CodeOf(err) != apierr.Conflict || err == nil || got.ID != second {
			t.Errorf("update = %+v, %v; want conflict with the packed one", got, err)
		}
		for _, s := range x.parts(t, r.Order) {
			if s.Address != line {
				t.Errorf("shipment %s goes to %s, want %s", s.ID, s.Address, line)
			}
		}
		if x.server != nil {
			if n := len(x.entries(t, r.Order, order.UpdateAddress)); n != 2 {
				t.Errorf("%d changes in the ledger, want one for each", n)
			}
		}
	})
}

// A person may also leave some pieces of a line where they are.
func TestShipment_SplitInsideALine_LinesAreKnown(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	r := request(newID("S"))
	r.Lines = r.Lines[1:] // B once, A four times
	x.announce(t, r)
	x.edit(t, fmt.Sprintf(`{"order":%q,"split":{"lines":[{"sku":"A","quantity":3}]}}`, r.Order))
	got := x.parts(t, r.Order)
	if len(got) != 2 || got[0].Key != r.Key || got[1].Key != r.Key || got[1].State != reconcile.ShipmentRequested {
		t.Fatalf("shipments = %+v, want two of the key", got)
	}
	want := [][]order.Quantity{
		{{Line: 3, SKU: "B", Quantity: 1}, {Line: 5, SKU: "A", Quantity: 1}}, {{Line: 5, SKU: "A", Quantity: 3}},
	}
	if d := cmp.Diff(want, [][]order.Quantity{got[0].Lines, got[1].Lines}); d != "" {
		t.Error(d)
	}
	if err := x.server.Work(got[1].ID, "shipped"); err != nil {
		t.Fatal(err)
	}
	if held := x.parts(t, r.Order); held[0].State != reconcile.ShipmentRequested || held[1].State != reconcile.ShipmentShipped {
		t.Errorf("shipments = %+v, want the second gone", held)
	}
}

func TestShipment_Lost(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := request(newID("S"))
		made := x.announce(t, r)
		note := func(text string) {
			x.call(t, "ir.note", "create", []any{[]any{map[string]any{"resource": shipmentModel + "," + made.ID, "message": text}}})
		}
		note("lost: 2026-11-20T10:00:00Z")
		if got := x.holds(t, r.Order).Shipments[0]; !got.LostAt.IsZero() {
			t.Errorf("shipment = %+v: what has not left is not lost", got)
		}
		x.press(t, made.ID, "assign_try", "pick", "pack", "done")
		mark := time.Now().Add(-time.Millisecond)
		note("lost: 2026-11-24T10:00:00Z")
		got := x.holds(t, r.Order).Shipments[0]
		if got.State != reconcile.ShipmentShipped || !got.LostAt.Equal(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)) {
			t.Errorf("shipment = %+v, want shipped and lost on the 20th", got)
		}
		if _, listed := x.changed(t, mark)[r.Order]; !listed {
			t.Error("the feed does not show it")
		}
	})
}

func TestRequest_TheRest_BesideAnEarlierOne(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		one := request(newID("S"))
		two, three := one, one
		two.Key = order.Intent{Order: one.Order, Operation: order.Request, N: 2}.Key()
		three.Key = order.Intent{Order: one.Order, Operation: order.Request, N: 3}.Key()
		one.Lines, two.Lines, three.Lines = one.Lines[:1], one.Lines[1:], one.Lines[:1]
		for _, r := range []warehouse.RequestRequest{one, two, two} {
			x.announce(t, r)
		}
		if _, err := x.Cancel(t.Context(), warehouse.CancelRequest{Key: one.Key, Order: one.Order}); err != nil {
			t.Fatal(err)
		}
		x.announce(t, three)
		got := x.parts(t, one.Order)
		if len(got) != 3 {
			t.Fatalf("shipments = %+v, want three", got)
		}
		for i, want := range []struct {
			warehouse.RequestRequest
			state reconcile.ShipmentState
		}{{one, reconcile.ShipmentCancelled}, {two, reconcile.ShipmentRequested}, {three, reconcile.ShipmentRequested}} {
			if got[i].Key != want.Key || got[i].State != want.state || !slices.Equal(got[i].Lines, want.Lines) {
				t.Errorf("shipment = %+v, want %s with %v", got[i], want.state, want.Lines)
			}
		}
	})
}
