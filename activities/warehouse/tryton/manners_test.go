package tryton_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What follows are manners of the real one that the simulated one must share:
// the adapter is built on each of them.

// made requests a shipment and returns its id as the warehouse has it.
func (x fixture) made(t *testing.T) (warehouse.RequestRequest, json.RawMessage) {
	t.Helper()
	r := request(newID("M"))
	got, err := x.Request(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return r, json.RawMessage("[" + got.ID + "]")
}

type row struct {
	ID        int64           `json:"id"`
	State     string          `json:"state"`
	Reference string          `json:"reference"`
	Address   int64           `json:"delivery_address"`
	Customer  int64           `json:"customer"`
	Version   string          `json:"_timestamp"`
	Written   json.RawMessage `json:"write_date"`
	Moves     []int64         `json:"outgoing_moves"`
}

func (x fixture) row(t *testing.T, ids json.RawMessage) row {
	t.Helper()
	var rows []row
	raw := x.call(t, "stock.shipment.out", "read", []any{ids, []string{
		"state", "reference", "delivery_address", "customer", "_timestamp", "write_date", "outgoing_moves",
	}})
	if err := json.Unmarshal(raw, &rows); err != nil || len(rows) != 1 {
		t.Fatalf("read %s: %v", raw, err)
	}
	return rows[0]
}

func TestManners_PackedShipment_CanBeCancelledAndReaddressed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		_, ids := x.made(t)
		before := x.row(t, ids)
		x.press(t, fmt.Sprint(before.ID), "assign_try", "pick", "pack")
		x.call(t, "party.address", "create", []any{[]any{map[string]any{"party": before.Customer, "street": "Other"}}})
		var other []int64
		if err := json.Unmarshal(x.call(t, "party.address", "search", []any{
			[]any{[]any{"party", "=", before.Customer}, []any{"street", "=", "Other"}}, 0, 1, nil,
		}), &other); err != nil {
			t.Fatal(err)
		}
		x.call(t, "stock.shipment.out", "write", []any{ids, map[string]any{"delivery_address": other[0]}})
		if got := x.row(t, ids).Address; got != other[0] {
			t.Errorf("address = %d, want %d: Tryton does not refuse", got, other[0])
		}
		x.call(t, "stock.shipment.out", "cancel", []any{ids})
		if got := x.row(t, ids).State; got != "cancelled" {
			t.Errorf("state = %s, want cancelled: Tryton does not refuse", got)
		}
	})
}

func TestManners_WrongState_IsASilentNoOp(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		_, ids := x.made(t)
		for _, button := range []string{"done", "draft", "done", "wait"} {
			if got := x.call(t, "stock.shipment.out", button, []any{ids}); string(got) != "null" {
				t.Errorf("%s = %s, want null", button, got)
			}
		}
		if got := x.row(t, ids).State; got != "waiting" {
			t.Errorf("state = %s, want waiting", got)
		}
		x.press(t, fmt.Sprint(x.row(t, ids).ID), "assign_try", "pick", "pack", "done")
		x.call(t, "stock.shipment.out", "cancel", []any{ids})
		x.call(t, "stock.shipment.out", "wait", []any{ids})
		if got := x.row(t, ids).State; got != "done" {
			t.Errorf("state = %s, want done", got)
		}
		if _, failed := tryCall(t, x.url, "stock.shipment.out", "delete", []any{ids}); !strings.Contains(string(failed), "UserError") {
			t.Errorf("deleting what has left: %s, want a refusal", failed)
		}
	})
}

// Its own client would hide the button; a caller may press it.
func TestManners_WhatWaits_CanBePacked(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		_, ids := x.made(t)
		x.call(t, "stock.shipment.out", "pack", []any{ids})
		if got := x.row(t, ids).State; got != "packed" {
			t.Errorf("state = %s, want packed", got)
		}
	})
}

func TestManners_DeletingCancelsFirst(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		_, ids := x.made(t)
		x.call(t, "stock.shipment.out", "delete", []any{ids}) // though it waits
		for _, method := range []string{"delete", "wait"} {
			if _, failed := tryCall(t, x.url, "stock.shipment.out", method, []any{ids}); !strings.Contains(string(failed), "UserError") {
				t.Errorf("%s of what is gone: %s, want a refusal", method, failed)
			}
		}
	})
}

func TestManners_CancelledShipment_StaysSo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r, ids := x.made(t)
		if _, err := x.Cancel(t.Context(), warehouse.CancelRequest{Key: r.Key, Order: r.Order}); err != nil {
			t.Fatal(err)
		}
		x.call(t, "stock.shipment.out", "wait", []any{ids})
		if got := x.row(t, ids).State; got != "cancelled" {
			t.Errorf("state = %s, want cancelled", got)
		}
		got, err := x.Request(t.Context(), r)
		if err != nil || got.State != reconcile.ShipmentCancelled || strconv.FormatInt(x.row(t, ids).ID, 10) != got.ID {
			t.Errorf("request again = %+v, %v; want the cancelled one", got, err)
		}
	})
}

func TestManners_NoteLeavesTheDates_WriteMovesThem(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		_, ids := x.made(t)
		before := x.row(t, ids)
		x.call(t, "ir.note", "create", []any{[]any{map[string]any{
			"resource": fmt.Sprintf("stock.shipment.out,%d", before.ID), "message": "x",
		}}})
		if got := x.row(t, ids); got.Version != before.Version || string(got.Written) != string(before.Written) {
			t.Errorf("version went from %s to %s by a note", before.Version, got.Version)
		}
		x.press(t, fmt.Sprint(before.ID), "assign_try")
		if got := x.row(t, ids); got.Version == before.Version {
			t.Error("the version did not change with the state")
		}
		if len(before.Moves) != 3 || before.Moves[0] < before.Moves[2] {
			t.Errorf("moves = %v, want three, the newest first", before.Moves)
		}
	})
}

func TestManners_References_AreNotUnique(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r, ids := x.made(t)
		first := x.row(t, ids)
		var copied []int64
		raw := x.call(t, "stock.shipment.out", "create", []any{[]any{map[string]any{
			"reference": first.Reference, "customer": first.Customer, "delivery_address": first.Address, "company": 1, "warehouse": x.place(t),
		}}})
		if err := json.Unmarshal(raw, &copied); err != nil || len(copied) != 1 {
			t.Fatalf("create: %s %v", raw, err)
		}
		// The adapter takes it for a late draft, and removes it.
		if _, err := x.Request(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		seen, err := x.Lookup(t.Context(), subject(r.Order))
		if err != nil || len(seen.Warehouse.Shipments) != 1 || seen.Warehouse.Shipments[0].ID != fmt.Sprint(first.ID) {
			t.Errorf("shipments = %+v, %v; want the first alone", seen.Warehouse, err)
		}
	})
}

// place returns the warehouse's id.
func (x fixture) place(t *testing.T) int64 {
	t.Helper()
	var ids []int64
	if err := json.Unmarshal(x.call(t, "stock.location", "search", []any{[]any{[]any{"type", "=", "warehouse"}}, 0, 1, nil}), &ids); err != nil {
		t.Fatal(err)
	}
	return ids[0]
}

func TestManners_TwoOrdersForTheLastPiece(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	x.edit(t, `{"sku":"C","on_hand":1,"reason":"counted"}`)
	one, two := request(newID("M")), request(newID("M"))
	one.Lines = []order.Quantity{{Line: 1, SKU: "C", Quantity: 1}}
	two.Lines = one.Lines
	for _, r := range []warehouse.RequestRequest{one, two} {
		if _, err := x.Request(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.server.Work(one.Key, "assigned"); err != nil {
		t.Fatal(err)
	}
	if err := x.server.Work(two.Key, "assigned"); err == nil {
		t.Error("the last piece was assigned twice")
	}
	if _, err := x.Cancel(t.Context(), warehouse.CancelRequest{Key: one.Key, Order: one.Order}); err != nil {
		t.Fatal(err)
	}
	if err := x.server.Work(two.Key, "shipped"); err != nil {
		t.Error(err)
	}
	got, err := x.Count(t.Context(), "C")
	if err != nil || got.Quantity != 0 {
		t.Errorf("count = %+v, %v; want 0", got, err)
	}
}
