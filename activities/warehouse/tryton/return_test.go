package tryton_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

const returnModel = "stock.shipment.out.return"

func returning(id order.ID) warehouse.RequestRequest {
	r := request(id)
	r.Key, r.Return = order.Intent{Order: id, Operation: order.Return, N: 1}.Key(), true
	return r
}

func (x fixture) announce(t *testing.T, r warehouse.RequestRequest) reconcile.Shipment {
	t.Helper()
	got, err := x.Request(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (x fixture) holds(t *testing.T, id order.ID) reconcile.Warehouse {
	t.Helper()
	seen, err := x.Lookup(t.Context(), subject(id))
	if err != nil || seen.State != reconcile.Present {
		t.Fatalf("look-up = %+v, %v; want present", seen, err)
	}
	return *seen.Warehouse
}

// receive has people press buttons of a return.
func (x fixture) receive(t *testing.T, id string, buttons ...string) {
	t.Helper()
	for _, b := range buttons {
		x.call(t, returnModel, b, []any{json.RawMessage("[" + id + "]")})
	}
}

// moves returns the moves of a record, by id.
func (x fixture) moves(t *testing.T, model, field, id string) []int64 {
	t.Helper()
	var rows []map[string]json.RawMessage
	raw := x.call(t, model, "read", []any{json.RawMessage("[" + id + "]"), []string{field}})
	var ids []int64
	if err := json.Unmarshal(raw, &rows); err != nil || len(rows) != 1 || json.Unmarshal(rows[0][field], &ids) != nil {
		t.Fatalf("read %s: %v", raw, err)
	}
	slices.Sort(ids)
	return ids
}

// set has a person type in another quantity.
func (x fixture) set(t *testing.T, move int64, quantity int) {
	t.Helper()
	x.call(t, "stock.move", "write", []any{[]int64{move}, map[string]any{"quantity": quantity}})
}

// typed makes a return as a person does, or a late request of ours: with the
// goods of another one, or with none.
func (x fixture) typed(t *testing.T, like, reference string, moves ...any) string {
	t.Helper()
	who := x.whose(t, like)
	var ids []int64
	raw := x.call(t, returnModel, "create", []any{[]any{map[string]any{
		"reference": reference, "customer": who.Customer, "delivery_address": who.Address, "company": 1, "warehouse": x.place(t),
		"incoming_moves": []any{[]any{"create", append([]any{}, moves...)}},
	}}})
	if err := json.Unmarshal(raw, &ids); err != nil || len(ids) != 1 {
		t.Fatalf("create: %s %v", raw, err)
	}
	return fmt.Sprint(ids[0])
}

type sentBackBy struct {
	Customer int64 `json:"customer"`
	Address  int64 `json:"delivery_address"`
}

func (x fixture) whose(t *testing.T, id string) sentBackBy {
	t.Helper()
	var rows []sentBackBy
	raw := x.call(t, returnModel, "read", []any{json.RawMessage("[" + id + "]"), []string{"customer", "delivery_address"}})
	if err := json.Unmarshal(raw, &rows); err != nil || len(rows) != 1 {
		t.Fatalf("read %s: %v", raw, err)
	}
	return rows[0]
}

// like returns the values of an incoming move with another quantity.
func (x fixture) like(t *testing.T, move int64, quantity int) any {
	t.Helper()
	var rows []map[string]any
	raw := x.call(t, "stock.move", "read", []any{[]int64{move}, []string{"product", "uom", "from_location", "to_location", "currency", "company"}})
	if err := json.Unmarshal(raw, &rows); err != nil || len(rows) != 1 {
		t.Fatalf("read %s: %v", raw, err)
	}
	delete(rows[0], "id")
	rows[0]["quantity"], rows[0]["unit_price"] = quantity, map[string]string{"__class__": "Decimal", "decimal": "0"}
	return rows[0]
}

func TestReturn_Announced_IsExpected(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		since := time.Now().Add(-time.Second)
		r := returning(newID("R"))
		got := x.announce(t, r)
		if got.State != reconcile.ShipmentRequested || got.Key != r.Key || !slices.Equal(got.Lines, r.Lines) {
			t.Errorf("announced = %+v, want requested with the lines", got)
		}
		if again := x.announce(t, r); again.ID != got.ID {
			t.Errorf("repeat = %+v, want return %s", again, got.ID)
		}
		held := x.holds(t, r.Order)
		for i := range held.Returns {
			held.Returns[i].Version = ""
		}
		want := []reconcile.Return{{ID: got.ID, Key: r.Key, State: reconcile.ReturnExpected, Lines: r.Lines}}
		if d := cmp.Diff(want, held.Returns); d != "" || len(held.Shipments) != 0 {
			t.Errorf("returns: %s; shipments: %v", d, held.Shipments)
		}
		if _, listed := x.changed(t, since)[r.Order]; !listed {
			t.Error("the feed does not show it")
		}
		if x.server == nil {
			return
		}
		state, err := x.server.Holds(r.Order)
		if err != nil || len(state.Returns) != 1 || state.Returns[0].State != "draft" || len(x.entries(t, r.Order, order.Request)) != 1 {
			t.Errorf("state = %+v, %v; want one draft and one announcement", state.Returns, err)
		}
	})
}

func TestReturn_FewerCame_CountedWhenRestocked(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		// C is used by this test alone, so that a real count is not disturbed.
		r := returning(newID("R"))
		r.Lines = []order.Quantity{{Line: 2, SKU: "C", Quantity: 3}, {Line: 3, SKU: "A", Quantity: 1}}
		count := func(want int64, when string) {
			t.Helper()
			if got, err := x.Count(t.Context(), "C"); err != nil || got.Quantity != want {
				t.Errorf("%s the count is %d (%v), want %d", when, got.Quantity, err, want)
			}
		}
		first, err := x.Count(t.Context(), "C")
		if err != nil {
			t.Fatal(err)
		}
		made := x.announce(t, r)
		moves := x.moves(t, returnModel, "incoming_moves", made.ID)
		before := x.version(t, r.Order)
		x.set(t, moves[0], 2)
		x.set(t, moves[1], 0)
		if x.version(t, r.Order) == before {
			t.Error("the version is the same after the quantities changed")
		}
		start := time.Now().Add(-time.Minute)
		x.receive(t, made.ID, "receive")
		got := x.holds(t, r.Order).Returns[0]
		came := []order.Quantity{{Line: 2, SKU: "C", Quantity: 2}}
		if got.State != reconcile.ReturnReceived || !slices.Equal(got.Lines, came) {
			t.Errorf("received = %+v, want two pieces of C", got)
		}
		if got.ReceivedAt.Before(start) || got.ReceivedAt.After(time.Now().Add(time.Minute)) {
			t.Errorf("received at %v, want now", got.ReceivedAt)
		}
		count(first.Quantity, "received and not put away,")
		if again := x.announce(t, r); again.State != reconcile.ShipmentShipped || again.ID != made.ID {
			t.Errorf("announced again = %+v, want shipped", again)
		}
		x.receive(t, made.ID, "done")
		last := x.holds(t, r.Order).Returns[0]
		if last.State != reconcile.ReturnRestocked || !slices.Equal(last.Lines, came) || !last.ReceivedAt.Equal(got.ReceivedAt) {
			t.Errorf("restocked = %+v, want as received", last)
		}
		count(first.Quantity+2, "restocked,")
	})
}

func (x fixture) version(t *testing.T, id order.ID) string {
	t.Helper()
	seen, err := x.Lookup(t.Context(), subject(id))
	if err != nil {
		t.Fatal(err)
	}
	return seen.Version
}

func TestReturn_Concurrent_OneIsExpected(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := returning(newID("R"))
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if _, err := open(t, x.url, 20*time.Second).Request(context.Background(), r); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if got := x.holds(t, r.Order).Returns; len(got) != 1 || got[0].State != reconcile.ReturnExpected {
			t.Errorf("returns = %+v, want one expected", got)
		}
	})
}

func TestReturn_SurplusDraft_IsToldAndRemoved(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := returning(newID("R"))
		r.Lines = r.Lines[:1]
		made := x.announce(t, r)
		move := x.moves(t, returnModel, "incoming_moves", made.ID)[0]
		same := x.typed(t, made.ID, r.Key, x.like(t, move, 2))
		other := x.typed(t, made.ID, r.Key, x.like(t, move, 1))
		states := func() map[string]reconcile.ReturnState {
			got := map[string]reconcile.ReturnState{}
			for _, one := range x.holds(t, r.Order).Returns {
				got[one.ID] = one.State
			}
			return got
		}
		want := map[string]reconcile.ReturnState{
			made.ID: reconcile.ReturnExpected, same: reconcile.ReturnDraft, other: reconcile.ReturnExpected,
		}
		if d := cmp.Diff(want, states()); d != "" {
			t.Error(d)
		}
		if got := x.announce(t, r); got.ID != made.ID {
			t.Errorf("announced again = %+v, want the first", got)
		}
		delete(want, same)
		if d := cmp.Diff(want, states()); d != "" {
			t.Error(d)
		}
	})
}

func TestReturn_MadeByHand_IsFound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		since := time.Now().Add(-time.Second)
		template := x.announce(t, returning(newID("R")))
		id := newID("R")
		var want []string
		for _, reference := range []string{"order/" + string(id), "order/" + string(id) + "/rma 7", "order/" + string(id) + "/request/1"} {
			want = append(want, x.typed(t, template.ID, reference))
		}
		x.typed(t, template.ID, "order/"+string(id)+"0/rma")
		x.typed(t, template.ID, "order/"+string(id)+"0")
		var got []string
		for _, r := range x.holds(t, id).Returns {
			got = append(got, r.ID)
			if r.Key != "" || r.State != reconcile.ReturnExpected {
				t.Errorf("return = %+v, want expected and without a key", r)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("returns = %v, want %v", got, want)
		}
		if _, listed := x.changed(t, since)[id]; !listed {
			t.Error("the feed does not show them")
		}
	})
}

func TestReturn_WithoutItsOrder_IsAnOrphan(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	template := x.announce(t, returning("O1"))
	nameless, mistyped := x.typed(t, template.ID, ""), x.typed(t, template.ID, "order/?/1")
	var orphans []string
	r := reconcile.ListRequest{By: reconcile.ListCreated, From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	for {
		page, err := x.List(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Orphans {
			orphans = append(orphans, o.Kind+" "+o.Record)
		}
		if r.Cursor = page.Next; r.Cursor == "" {
			break
		}
	}
	if want := []string{"return return-" + nameless, "return return-" + mistyped}; !slices.Equal(orphans, want) {
		t.Errorf("orphans = %v, want %v", orphans, want)
	}
}

func TestReturn_CalledOff(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		early, late := returning(newID("R")), returning(newID("R"))
		x.announce(t, early)
		got, err := x.Cancel(t.Context(), warehouse.CancelRequest{Key: early.Key, Order: early.Order})
		if err != nil || got.State != reconcile.ShipmentCancelled {
			t.Errorf("cancel = %+v, %v", got, err)
		}
		if again := x.announce(t, early); again.State != reconcile.ShipmentCancelled {
			t.Errorf("announced again = %+v, want the cancelled one", again)
		}
		if r := x.holds(t, early.Order).Returns; len(r) != 1 || r[0].State != reconcile.ReturnCancelled || !r[0].ReceivedAt.IsZero() {
			t.Errorf("returns = %+v", r)
		}
		made := x.announce(t, late)
		x.receive(t, made.ID, "receive")
		got, err = x.Cancel(t.Context(), warehouse.CancelRequest{Key: late.Key, Order: late.Order})
		if apierr.CodeOf(err) != apierr.Conflict || err == nil || got.State != reconcile.ShipmentShipped {
			t.Errorf("cancel of what is there = %+v, %v; want conflict", got, err)
		}
	})
}

func TestReturn_KeyOfAShipment_Invalid(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	r := returning("O1")
	r.Key = request("O1").Key
	if _, err := x.Request(t.Context(), r); apierr.CodeOf(err) != apierr.Invalid || !strings.Contains(err.Error(), "order/O1/return/<n>") {
		t.Errorf("error = %v, want invalid and the right form", err)
	}
}

func TestReturn_UnknownSKU_Declined(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	r := returning("O1")
	r.Lines[0].SKU = "nobody-knows"
	if _, err := x.Request(t.Context(), r); apierr.CodeOf(err) != apierr.Declined {
		t.Errorf("error = %v, want declined", err)
	}
}

func TestReturn_UnderFaults_OneIsExpected(t *testing.T) {
	t.Parallel()
	for kind, want := range map[simulator.FaultKind]apierr.Code{
		simulator.ResponseLost: apierr.InDoubt, simulator.ResponseError: apierr.InDoubt, simulator.Garbage: apierr.InDoubt,
		simulator.Twice: "", simulator.Refused: apierr.InDoubt, simulator.Unavailable: apierr.InDoubt,
		simulator.RateLimited: apierr.RateLimited, simulator.Rejected: apierr.Declined, simulator.ReplaysError: apierr.InDoubt,
		simulator.Unauthorized: "", simulator.Vanishes: apierr.Unavailable, simulator.Foreign: apierr.Unavailable,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t)
			r := returning(newID("R"))
			x.inject(t, simulator.Fault{Operation: order.Request, Kind: kind})
			_, err := x.Request(t.Context(), r)
			if want == "" && err != nil || want != "" && (err == nil || apierr.CodeOf(err) != want) {
				t.Errorf("error = %v, want %q", err, want)
			}
			if err != nil && !strings.Contains(err.Error(), "announce return "+r.Key+" of order "+string(r.Order)+": tryton:") {
				t.Errorf("error %q does not name the operation", err)
			}
			if got := x.announce(t, r); got.State != reconcile.ShipmentRequested || !slices.Equal(got.Lines, r.Lines) {
				t.Errorf("repeat = %+v", got)
			}
			state, err := x.server.Holds(r.Order)
			if err != nil || len(state.Returns) != 1 || state.Returns[0].State != "draft" {
				t.Errorf("returns = %+v, %v; want one", state.Returns, err)
			}
			if n := len(x.entries(t, r.Order, order.Request)); n != 1 && kind != simulator.Vanishes {
				t.Errorf("the ledger has %d announcements, want 1", n)
			}
		})
	}
}

func TestManners_Return(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		r := returning(newID("R"))
		r.Lines = r.Lines[:2]
		made := x.announce(t, r)
		state := func() reconcile.ReturnState { return x.holds(t, r.Order).Returns[0].State }
		x.receive(t, made.ID, "done", "draft")
		if got := state(); got != reconcile.ReturnExpected {
			t.Errorf("done from the wrong state made it %s", got)
		}
		x.receive(t, made.ID, "receive", "receive")
		if n := len(x.moves(t, returnModel, "inventory_moves", made.ID)); n != 2 {
			t.Errorf("%d moves into storage, want 2", n)
		}
		incoming := x.moves(t, returnModel, "incoming_moves", made.ID)
		if _, failed := tryCall(t, x.url, "stock.move", "write", []any{[]int64{incoming[0]}, map[string]any{"quantity": 9}}); !strings.Contains(string(failed), "UserError") {
			t.Errorf("changing what came: %s, want a refusal", failed)
		}
		ids := json.RawMessage("[" + made.ID + "]")
		if _, failed := tryCall(t, x.url, returnModel, "delete", []any{ids}); !strings.Contains(string(failed), "UserError") {
			t.Errorf("deleting what came: %s, want a refusal", failed)
		}
		// Tryton cancels it, and what came stays in the input zone.
		x.receive(t, made.ID, "cancel")
		got := x.holds(t, r.Order).Returns[0]
		if got.State != reconcile.ReturnCancelled || got.ReceivedAt.IsZero() || len(got.Lines) != 2 {
			t.Errorf("return = %+v, want cancelled, and still received", got)
		}
		x.receive(t, made.ID, "receive", "done")
		if got := state(); got != reconcile.ReturnCancelled {
			t.Errorf("it is %s, want cancelled", got)
		}
		x.receive(t, made.ID, "draft")
		if n := len(x.moves(t, returnModel, "inventory_moves", made.ID)); n != 0 {
			t.Errorf("%d moves into storage, want none of a draft", n)
		}
		x.receive(t, made.ID, "receive")
		if n := len(x.moves(t, returnModel, "inventory_moves", made.ID)); n != 2 {
			t.Errorf("%d moves into storage, want 2 again", n)
		}
		x.receive(t, made.ID, "done")
		if got := x.holds(t, r.Order).Returns[0]; got.State != reconcile.ReturnRestocked || len(got.Lines) != 2 {
			t.Errorf("return = %+v, want restocked", got)
		}
		x.receive(t, made.ID, "cancel", "draft")
		if got := state(); got != reconcile.ReturnRestocked {
			t.Errorf("it is %s, want restocked", got)
		}
	})
}
