package medusa_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exchange is a raw request, and what Medusa answers to it.
type exchange struct {
	name         string
	method, path string
	body         any
	status       int
	// want are top-level fields of the answer, or those below the field at.
	at   string
	want map[string]any
}

// play makes the requests in order. {names} in paths, bodies and answers stand
// for ids.
func play(t *testing.T, s *shop, ids map[string]string, exchanges []exchange) {
	t.Helper()
	replace := func(text string) string {
		for name, id := range ids {
			text = strings.ReplaceAll(text, "{"+name+"}", id)
		}
		return text
	}
	for _, x := range exchanges {
		body := x.body
		if fields, ok := body.(map[string]any); ok {
			data, _ := json.Marshal(fields)
			body = string(data)
		}
		if text, ok := body.(string); ok {
			body = replace(text)
		}
		status, answer := s.api(x.method, replace(x.path), body)
		if status != x.status {
			t.Errorf("%s: %d %s; want %d", x.name, status, answer, x.status)
			continue
		}
		if x.want == nil {
			continue
		}
		in := map[string]any{}
		if err := json.Unmarshal(answer, &in); err != nil {
			t.Errorf("%s: %v in %s", x.name, err, answer)
			continue
		}
		if x.at != "" {
			in = below(in, x.at)
		}
		for field, want := range x.want {
			if text, ok := want.(string); ok {
				want = replace(text)
			}
			if n, ok := want.(int); ok {
				want = float64(n)
			}
			if diff := cmp.Diff(want, in[field]); diff != "" {
				t.Errorf("%s: %s: %s", x.name, field, diff)
			}
		}
		if id, ok := in["id"].(string); ok && strings.HasPrefix(x.name, "*") {
			ids[x.name[1:]] = id
		}
	}
}

// below returns a field that is an object, or the first of a list.
func below(in map[string]any, at string) map[string]any {
	switch value := in[at].(type) {
	case map[string]any:
		return value
	case []any:
		if len(value) > 0 {
			first, _ := value[0].(map[string]any)
			return first
		}
	}
	return nil
}

func invalid(message string) map[string]any {
	return map[string]any{"type": "invalid_data", "message": "Invalid request: " + message}
}

func short() map[string]any {
	return map[string]any{"type": "not_allowed", "message": "Not enough stock available for item {item} at location {location}"}
}

// What the simulator does was seen at the real one: the same requests are
// answered alike by both.
func TestManners_Reservations(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, item := s.stock("MUG", 5)
		_, unstocked := s.stock("BARE", -1)
		ids := map[string]string{"item": item, "location": s.location, "unstocked": unstocked, "s": s.suffix}
		create := func(quantity any) map[string]any {
			return map[string]any{
				"inventory_item_id": "{item}", "location_id": "{location}", "quantity": quantity,
				"line_item_id": "order/7{s}", "description": "order/7/reserve/1 line 1", "metadata": map[string]any{"line": 1, "a": "b"},
			}
		}
		const all = "/admin/reservations"
		unset := map[string]any{"inventory_item_id": "{item}", "location_id": "{location}", "quantity": 1, "external_id": "x", "foo": 1}
		play(t, s, ids, []exchange{
			{"*first", "POST", all, create(2), 200, "reservation", map[string]any{
				"quantity": 2, "line_item_id": "order/7{s}", "metadata": map[string]any{"line": 1.0, "a": "b"}, "inventory_item_id": "{item}",
			}},
			{"*second: not idempotent", "POST", all, create(2), 200, "reservation", map[string]any{"quantity": 2}},
			{"not enough", "POST", all, create(2), 400, "", short()},
			{"*third: nothing at all is taken", "POST", all, create(0), 200, "reservation", map[string]any{"quantity": 0}},
			{"a text as quantity", "POST", all, create("x"), 400, "", invalid("Expected type: 'number' for field 'quantity', got: 'x'")},
			{"missing fields", "POST", all, `{"quantity":1}`, 400, "", invalid("Field 'location_id' is required; Field 'inventory_item_id' is required")},
			{"unknown fields", "POST", all, unset, 400, "", invalid("Unrecognized fields: 'external_id, foo'")},
			{"a list", "POST", all, `[]`, 400, "", invalid("Field '' is required")},
			{"nothing", "POST", all, ``, 400, "", invalid("Field 'location_id' is required; Field 'inventory_item_id' is required; Field 'quantity' is required")},
			{"no quantity", "POST", all, create(nil), 400, "", invalid("Expected type: 'number' for field 'quantity', got: 'null'")},
			{"several mistakes", "POST", all + "/{first}", `{"metadata":"x","description":5,"foo":1}`, 400, "", map[string]any{"type": "invalid_data"}},
			{"no JSON", "POST", all, `{bad`, 400, "", map[string]any{"type": "invalid_data"}},
			{"not stocked", "POST", all, `{"inventory_item_id":"{unstocked}","location_id":"{location}","quantity":1}`, 404, "", map[string]any{
				"type": "not_found", "message": "Item {unstocked} is not stocked at location {location}",
			}},
		})
		play(t, s, ids, reservationLists(mug, item))
		play(t, s, ids, []exchange{
			{"get", "GET", all + "/{first}", nil, 200, "reservation", map[string]any{"id": "{first}", "location_id": "{location}"}},
			{"get nothing", "GET", all + "/resitem_no", nil, 404, "", map[string]any{
				"type": "not_found", "message": "Reservation with id: resitem_no was not found",
			}},
			{"raise", "POST", all + "/{first}", `{"quantity":3}`, 200, "reservation", map[string]any{"quantity": 3}},
			{"raise too much", "POST", all + "/{first}", `{"quantity":4}`, 400, "", short()},
			{"metadata merge", "POST", all + "/{first}", `{"metadata":{"line":"","c":"d"}}`, 200, "reservation", map[string]any{
				"metadata": map[string]any{"a": "b", "c": "d"},
			}},
			{"the reference is fixed", "POST", all + "/{first}", `{"line_item_id":"x"}`, 400, "", invalid("Unrecognized fields: 'line_item_id'")},
			{"change nothing there", "POST", all + "/resitem_no", `{"quantity":1}`, 400, "", map[string]any{
				"type": "invalid_data", "message": "Reservation item with id resitem_no not found",
			}},
			{"delete", "DELETE", all + "/{first}", nil, 200, "", map[string]any{"id": "{first}", "object": "reservation", "deleted": true}},
			{"delete again", "DELETE", all + "/{first}", nil, 200, "", map[string]any{"id": "{first}", "deleted": true}},
			{"delete nothing", "DELETE", all + "/resitem_no", nil, 200, "", map[string]any{"id": "resitem_no", "deleted": true}},
			{"get deleted", "GET", all + "/{first}", nil, 404, "", nil},
			{"deleted are not shown", "GET", all + "?line_item_id=order/7{s}&with_deleted=true", nil, 200, "", map[string]any{"count": 2}},
			{"deleted are gone", "GET", all + "?line_item_id=order/7{s}", nil, 200, "", map[string]any{"count": 2}},
			{"no such route", "GET", "/admin/nope", nil, 404, "", nil},
			{"no such method", "PUT", all, nil, 404, "", nil},
		})
	})
}

// reservationLists are requests for the three that TestManners_Reservations made.
func reservationLists(mug, item string) []exchange {
	const all = "/admin/reservations"
	return []exchange{
		{"a look-up", "GET", all + "?line_item_id=order/7{s}", nil, 200, "", map[string]any{"count": 3, "offset": 0, "limit": 20}},
		{"oldest first", "GET", all + "?line_item_id=order/7{s}", nil, 200, "reservations", map[string]any{"id": "{first}"}},
		{"one of many", "GET", all + "?line_item_id[]=order/7{s}&line_item_id[]=order/8{s}&limit=1", nil, 200, "", map[string]any{"count": 3, "limit": 1}},
		{"not a prefix", "GET", all + "?line_item_id=order/", nil, 200, "", map[string]any{"count": 0}},
		{"no pattern", "GET", all + "?line_item_id[$like]=order/7%25", nil, 400, "", invalid("Expected type: 'string, array' for field 'line_item_id', got: '[object Object]'")},
		{"fields", "GET", all + "?line_item_id=order/7{s}&fields=quantity,inventory_item.sku", nil, 200, "reservations", map[string]any{
			"id": "{first}", "quantity": 2, "inventory_item_id": "{item}", "line_item_id": nil,
			"inventory_item": map[string]any{"id": item, "sku": mug},
		}},
		{"fewer fields", "GET", all + "?line_item_id=order/7{s}&fields=-inventory_item", nil, 200, "reservations", map[string]any{
			"id": "{first}", "inventory_item": nil, "inventory_item_id": "{item}",
		}},
		{"an unknown field", "GET", all + "?line_item_id=order/7{s}&fields=id,nope", nil, 200, "reservations", map[string]any{"id": "{first}", "nope": nil}},
		{"unknown parameter", "GET", all + "?foo=1", nil, 400, "", invalid("Unrecognized fields: 'foo'")},
		{"an id is no parameter", "GET", all + "?id={first}", nil, 400, "", invalid("Unrecognized fields: 'id'")},
		{"an unknown operator filters nothing", "GET", all + "?line_item_id=order/7{s}&updated_at[$foo]=2100-01-01", nil, 200, "", map[string]any{"count": 3}},
		{"a date", "GET", all + "?line_item_id=order/7{s}&updated_at[$gte]=2026-11-01", nil, 200, "", map[string]any{"count": 3}},
		{"a later date", "GET", all + "?line_item_id=order/7{s}&created_at[$gte]=2100-01-01", nil, 200, "", map[string]any{"count": 0}},
		{"smallest first", "GET", all + "?line_item_id=order/7{s}&order=quantity", nil, 200, "reservations", map[string]any{"quantity": 0}},
		{"an unknown order", "GET", all + "?order=-nonsense", nil, 500, "", map[string]any{"type": "unknown_error"}},
		{"no limit", "GET", all + "?line_item_id=order/7{s}&limit=0", nil, 200, "", map[string]any{"count": 3, "reservations": []any{}}},
		{"any limit", "GET", all + "?line_item_id=order/7{s}&limit=100000", nil, 200, "", map[string]any{"count": 3, "limit": 100000}},
		{"bad limit", "GET", all + "?limit=x", nil, 400, "", invalid("Expected type: 'number' for field 'limit', got: 'x'")},
		{"negative limit", "GET", all + "?limit=-1", nil, 500, "", map[string]any{"type": "unknown_error"}},
		{"two orders", "GET", all + "?order=updated_at,id", nil, 500, "", map[string]any{"type": "unknown_error"}},
		{"a bad time", "GET", all + "?updated_at[$gte]=nonsense", nil, 500, "", map[string]any{"code": "unknown_error"}},
		{"past the end", "GET", all + "?line_item_id=order/7{s}&offset=9", nil, 200, "", map[string]any{"count": 3, "offset": 9, "reservations": []any{}}},
		{"newest first", "GET", all + "?line_item_id=order/7{s}&order=-id", nil, 200, "reservations", map[string]any{"quantity": 0}},
	}
}

func TestManners_Levels(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, item := s.stock("MUG", 5)
		_, unstocked := s.stock("BARE", -1)
		ids := map[string]string{"item": item, "location": s.location, "unstocked": unstocked}
		const level = "/admin/inventory-items/{item}/location-levels"
		play(t, s, ids, []exchange{
			{"read", "GET", level + "?location_id={location}", nil, 200, "inventory_levels", map[string]any{
				"inventory_item_id": "{item}", "location_id": "{location}",
				"stocked_quantity": 5, "reserved_quantity": 0, "available_quantity": 5,
			}},
			{"page", "GET", level, nil, 200, "", map[string]any{"count": 1, "limit": 50}},
			{"elsewhere", "GET", level + "?location_id=no", nil, 200, "", map[string]any{"count": 0, "inventory_levels": []any{}}},
			{"no item", "GET", "/admin/inventory-items/no/location-levels", nil, 200, "", map[string]any{"count": 0}},
			{"set", "POST", level + "/{location}", `{"stocked_quantity":7}`, 200, "inventory_item", map[string]any{"id": "{item}", "stocked_quantity": 7}},
			{"below nothing", "POST", level + "/{location}", `{"stocked_quantity":-1}`, 400, "", invalid("Value for field 'stocked_quantity' too small, expected at least: '0'")},
			{"unknown field", "POST", level + "/{location}", `{"stocked":1}`, 400, "", invalid("Unrecognized fields: 'stocked'")},
			{"unstocked", "POST", "/admin/inventory-items/{unstocked}/location-levels/{location}", `{"stocked_quantity":1}`, 404, "", map[string]any{
				"type": "not_found", "message": "Item {unstocked} is not stocked at location {location}",
			}},
			{"a level twice", "POST", level, `{"location_id":"{location}","stocked_quantity":1}`, 400, "", map[string]any{
				"type": "invalid_data", "message": "Inventory level with inventory_item_id: {item}, location_id: {location}, already exists.",
			}},
			{"a SKU twice", "POST", "/admin/inventory-items", fmt.Sprintf(`{"sku":%q}`, mug), 400, "", map[string]any{"type": "invalid_data"}},
			{"an item by SKU", "GET", "/admin/inventory-items?sku=" + mug + "&fields=id,sku", nil, 200, "inventory_items", map[string]any{"id": "{item}", "sku": mug, "title": nil}},
			{"no such SKU", "GET", "/admin/inventory-items?sku=no", nil, 200, "", map[string]any{"count": 0, "limit": 20}},
			{"unknown parameter", "GET", "/admin/inventory-items?foo=1", nil, 400, "", invalid("Unrecognized fields: 'foo'")},
			{"a location by id", "GET", "/admin/stock-locations?id={location}", nil, 200, "stock_locations", map[string]any{"id": "{location}", "name": s.config.Location}},
		})
	})
}

// While more is reserved than stocked, every change of a reservation is refused,
// also one that would help, and one that has nothing to do with it.
func TestManners_Oversold_EveryChangeRefused(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		_, item := s.stock("MUG", 3)
		ids := map[string]string{"item": item, "location": s.location, "r": s.byHand(item, 3, "order/7"+s.suffix, nil)}
		const level = "/admin/inventory-items/{item}/location-levels"
		play(t, s, ids, []exchange{
			{"set below", "POST", level + "/{location}", `{"stocked_quantity":1}`, 200, "", nil},
			{"read", "GET", level, nil, 200, "inventory_levels", map[string]any{"stocked_quantity": 1, "reserved_quantity": 3, "available_quantity": -2}},
			{"lower", "POST", "/admin/reservations/{r}", `{"quantity":1}`, 400, "", short()},
			{"to nothing", "POST", "/admin/reservations/{r}", `{"quantity":0}`, 400, "", short()},
			{"describe", "POST", "/admin/reservations/{r}", `{"description":"hm"}`, 400, "", short()},
			{"delete", "DELETE", "/admin/reservations/{r}", nil, 200, "", nil},
			{"read again", "GET", level, nil, 200, "inventory_levels", map[string]any{"reserved_quantity": 0, "available_quantity": 1}},
		})
	})
}

func TestManners_UpdatedAt_OnlyWhenSomethingChanged(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		_, item := s.stock("MUG", 3)
		path := "/admin/reservations/" + s.byHand(item, 2, "order/7"+s.suffix, nil)
		var in struct {
			Reservation struct {
				Created time.Time `json:"created_at"`
				Updated time.Time `json:"updated_at"`
			} `json:"reservation"`
		}
		tick := func() {
			if s.clock != nil {
				s.clock.advance(time.Second)
			}
		}
		tick()
		s.must("POST", path, `{"quantity":2}`, &in)
		if !in.Reservation.Updated.Equal(in.Reservation.Created) {
			t.Error("moved without a change:", in)
		}
		tick()
		s.must("POST", path, `{"quantity":1}`, &in)
		if !in.Reservation.Updated.After(in.Reservation.Created) {
			t.Error("did not move with a change:", in)
		}
	})
}

func TestManners_SignIn(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		play(t, s, nil, []exchange{
			{"wrong password", "POST", "/auth/user/emailpass", fmt.Sprintf(`{"email":%q,"password":"x"}`, s.config.Email), 401, "", map[string]any{
				"type": "unauthorized", "message": "Invalid email or password",
			}},
		})
		s.token = "wrong"
		play(t, s, nil, []exchange{
			{"wrong token", "GET", "/admin/reservations", nil, 401, "", map[string]any{"message": "Unauthorized", "type": nil}},
		})
		s.token = ""
		play(t, s, nil, []exchange{
			{"no token", "GET", "/admin/stock-locations", nil, 401, "", map[string]any{"message": "Unauthorized"}},
		})
	})
}
