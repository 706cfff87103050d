package crm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
)

// still is a clock that a test moves; what is due later never comes.
type still struct{ now time.Time }

func (c *still) Now() time.Time                         { return c.now }
func (c *still) After(time.Duration, string, func())    {}
func (c *still) pass(d time.Duration)                   { c.now = c.now.Add(d) }
func open(t testing.TB, s crm.Settings) (*desk, *still) { return openAt(t, "", s) }

type desk struct {
	*crm.Server
	t testing.TB
}

func openAt(t testing.TB, file string, s crm.Settings) (*desk, *still) {
	t.Helper()
	clock := &still{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	server, err := crm.New(simulator.Options{Database: file, Clock: clock}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Frame().Close() })
	return &desk{server, t}, clock
}

// ask sends one request and decodes the answer.
func (d *desk) ask(method, target, body string) (int, map[string]any) {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer pat-simulated")
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, r)
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		d.t.Fatalf("%s %s: %v: %s", method, target, err, w.Body)
	}
	return w.Code, answer
}

func (d *desk) state() crm.State {
	d.t.Helper()
	s, err := d.Read("")
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *desk) edit(in string) {
	d.t.Helper()
	if err := d.Edit([]byte(in)); err != nil {
		d.t.Fatal(err)
	}
}

func TestRefusals_AreHubSpots(t *testing.T) {
	t.Parallel()
	d, _ := open(t, crm.Settings{Contacts: []crm.Contact{{Customer: "c1", Email: "A@example.com"}}})
	for name, x := range map[string]struct {
		method, target, body string
		status               int
		category, says       string
	}{
		"e-mail of another":  {"POST", "/crm/v3/objects/contacts", `{"properties":{"email":"a@EXAMPLE.com"}}`, 409, "CONFLICT", "Contact already exists. Existing ID: 1001"},
		"customer of other":  {"POST", "/crm/v3/objects/contacts", `{"properties":{"trueup_customer_id":"c1"}}`, 400, "VALIDATION_ERROR", "CONFLICTING_UNIQUE_VALUE"},
		"unknown property":   {"POST", "/crm/v3/objects/deals", `{"properties":{"hs_stage":"x"}}`, 400, "VALIDATION_ERROR", "PROPERTY_DOESNT_EXIST"},
		"read-only property": {"PATCH", "/crm/v3/objects/contacts/1001", `{"properties":{"createdate":"1"}}`, 400, "VALIDATION_ERROR", "READ_ONLY_VALUE"},
		"stage of nothing":   {"POST", "/crm/v3/objects/deals", `{"properties":{"dealstage":"x"}}`, 400, "VALIDATION_ERROR", "INVALID_OPTION"},
		"bad e-mail":         {"POST", "/crm/v3/objects/contacts", `{"properties":{"email":"nobody"}}`, 400, "VALIDATION_ERROR", "INVALID_EMAIL"},
		"number as value":    {"POST", "/crm/v3/objects/deals", `{"properties":{"amount":1}}`, 400, "VALIDATION_ERROR", "map of strings"},
		"no number":          {"POST", "/crm/v3/objects/deals", `{"properties":{"amount":"a lot"}}`, 400, "VALIDATION_ERROR", "INVALID_FLOAT"},
		"not unique":         {"GET", "/crm/v3/objects/contacts/x?idProperty=phone", "", 400, "VALIDATION_ERROR", "not a unique"},
		"not there":          {"GET", "/crm/v3/objects/contacts/77", "", 404, "OBJECT_NOT_FOUND", "not found"},
		"no such value":      {"GET", "/crm/v3/objects/deals/o1?idProperty=trueup_order_id", "", 404, "OBJECT_NOT_FOUND", "not found"},
		"property again":     {"POST", "/crm/v3/properties/deals", `{"name":"trueup_order_id","label":"x","groupName":"g","type":"string","fieldType":"text"}`, 409, "OBJECT_ALREADY_EXISTS", "exists"},
		"property not there": {"GET", "/crm/v3/properties/deals/nothing", "", 404, "OBJECT_NOT_FOUND", "nothing"},
		"other kind":         {"GET", "/crm/v3/objects/tickets/1", "", 400, "VALIDATION_ERROR", "tickets"},
		"101 in a batch":     {"POST", "/crm/v3/objects/deals/batch/read", `{"inputs":[` + strings.Repeat(`{"id":"1"},`, 100) + `{"id":"1"}],"properties":[],"propertiesWithHistory":[]}`, 400, "VALIDATION_ERROR", "100"},
		"two sorts":          {"POST", "/crm/v3/objects/deals/search", `{"sorts":["amount","createdate"]}`, 400, "VALIDATION_ERROR", "one sort"},
		"page of 201":        {"POST", "/crm/v3/objects/deals/search", `{"limit":201}`, 400, "VALIDATION_ERROR", "200"},
		"filter of nothing":  {"POST", "/crm/v3/objects/deals/search", `{"filterGroups":[{"filters":[{"propertyName":"x","operator":"EQ","value":"1"}]}]}`, 400, "VALIDATION_ERROR", "does not exist"},
		"beyond the results": {"POST", "/crm/v3/objects/deals/search", `{"limit":100,"after":"9950"}`, 400, "VALIDATION_ERROR", "10,000"},
	} {
		status, answer := d.ask(x.method, x.target, x.body)
		if status != x.status || answer["category"] != x.category || answer["status"] != "error" || answer["correlationId"] == "" || !strings.Contains(fmt.Sprint(answer["message"]), x.says) {
			t.Errorf("%s: answer is %d %v; want %d %s with %q", name, status, answer, x.status, x.category, x.says)
		}
	}
	if s := d.state(); len(s.Contacts) != 1 || len(s.Deals) != 0 {
		t.Errorf("state is %+v after refusals", s)
	}
}

func TestWithoutToken_401(t *testing.T) {
	t.Parallel()
	d, _ := open(t, crm.Settings{Token: "pat-other"})
	if status, answer := d.ask("GET", "/crm/v3/objects/contacts/1001", ""); status != http.StatusUnauthorized || answer["category"] != "INVALID_AUTHENTICATION" {
		t.Errorf("answer is %d %v", status, answer)
	}
}

// A record read with properties has null where it has none, nothing where there
// is no such property, and always its id and dates.
func TestRead_Properties(t *testing.T) {
	t.Parallel()
	d, _ := open(t, crm.Settings{Contacts: []crm.Contact{{Email: "a@example.com"}}})
	_, answer := d.ask("GET", "/crm/v3/objects/contacts/a@example.com?idProperty=email&properties=email,phone&properties=nothing", "")
	p := answer["properties"].(map[string]any)
	if v, has := p["phone"]; !has || v != nil || p["email"] != "a@example.com" || p["hs_object_id"] != "1001" || p["lastmodifieddate"] != "2026-03-01T12:00:00.000Z" {
		t.Errorf("properties are %v", p)
	}
	if _, has := p["nothing"]; has {
		t.Errorf("properties are %v; want no unknown one", p)
	}
}

func TestSearch_LagsAndSeesWhatWas(t *testing.T) {
	t.Parallel()
	d, clock := open(t, crm.Settings{SearchLag: 10 * time.Second})
	d.edit(`{"order": "o1", "stage": "open", "revenue": 100}`)
	find := func(want int) {
		t.Helper()
		_, answer := d.ask("POST", "/crm/v3/objects/deals/search", `{"filterGroups":[{"filters":[{"propertyName":"amount","operator":"EQ","value":"1"}]}]}`)
		if answer["total"] != float64(want) {
			t.Errorf("%s: found %v; want %d", clock.now.Format(time.TimeOnly), answer["total"], want)
		}
	}
	find(0)
	clock.pass(10 * time.Second)
	find(1)
	d.edit(`{"order": "o1", "revenue": 200}`)
	find(1)
	clock.pass(10 * time.Second)
	find(0)
	d.edit(`{"order": "o1", "revenue": 100}`)
	d.edit(`{"order": "o1", "delete": "deal"}`)
	clock.pass(10 * time.Second)
	find(0)
}

func TestSearch_FiltersAndPages(t *testing.T) {
	t.Parallel()
	d, _ := open(t, crm.Settings{SearchLag: -1})
	for i := range 7 {
		d.edit(fmt.Sprintf(`{"order": "o%d", "stage": "open", "revenue": %d}`, i, 900+i*100))
	}
	for filter, want := range map[string]int{
		`{"propertyName":"amount","operator":"LT","value":"10"}`:                           1,
		`{"propertyName":"amount","operator":"LTE","value":"10.0"}`:                        2,
		`{"propertyName":"amount","operator":"BETWEEN","value":"10","highValue":"12"}`:     3,
		`{"propertyName":"trueup_order_id","operator":"IN","values":["o1","o9"]}`:          1,
		`{"propertyName":"trueup_order_id","operator":"NOT_IN","values":["o1","o9"]}`:      6,
		`{"propertyName":"trueup_cart_id","operator":"NOT_HAS_PROPERTY"}`:                  7,
		`{"propertyName":"trueup_cart_id","operator":"HAS_PROPERTY"}`:                      0,
		`{"propertyName":"dealstage","operator":"NEQ","value":"closedwon"}`:                7,
		`{"propertyName":"hs_object_id","operator":"GT","value":"50005"}`:                  2,
		`{"propertyName":"createdate","operator":"GTE","value":"1772366400000"}`:           7,
		`{"propertyName":"createdate","operator":"GT","value":"2026-03-01T12:00:00.000Z"}`: 0,
	} {
		if _, answer := d.ask("POST", "/crm/v3/objects/deals/search", `{"filterGroups":[{"filters":[`+filter+`]}]}`); answer["total"] != float64(want) {
			t.Errorf("%s: found %v; want %d", filter, answer["total"], want)
		}
	}
	_, answer := d.ask("POST", "/crm/v3/objects/deals/search", `{"limit":3,"after":"3","sorts":[{"propertyName":"amount","direction":"DESCENDING"}],"properties":["trueup_order_id"]}`)
	var got []any
	for _, r := range answer["results"].([]any) {
		got = append(got, r.(map[string]any)["properties"].(map[string]any)["trueup_order_id"])
	}
	if fmt.Sprint(got) != "[o3 o2 o1]" || fmt.Sprint(answer["paging"]) != "map[next:map[after:6]]" || answer["total"] != float64(7) {
		t.Errorf("page is %v, %v, %v", got, answer["paging"], answer["total"])
	}
}

func TestSearch_TooFast_429(t *testing.T) {
	t.Parallel()
	d, clock := open(t, crm.Settings{SearchesPerSecond: 2})
	for i, want := range []int{200, 200, 429, 429} {
		if status, _ := d.ask("POST", "/crm/v3/objects/deals/search", `{}`); status != want {
			t.Errorf("search %d: status is %d; want %d", i, status, want)
		}
	}
	clock.pass(time.Second)
	if status, _ := d.ask("POST", "/crm/v3/objects/deals/search", `{}`); status != 200 {
		t.Errorf("status is %d a second later", status)
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	d, _ := open(t, crm.Settings{})
	d.edit(`{"system": "crm", "order": "o1", "won": 1, "revenue": 9980, "customer": "c1", "email": "c1@example.com", "opted_out": true}`)
	s, err := d.Read("o1")
	if err != nil || len(s.Deals) != 1 || len(s.Contacts) != 1 {
		t.Fatalf("state is %+v, %v; an edit makes what is not there", s, err)
	}
	if s.Deals[0].Stage != "won" || s.Deals[0].Revenue != 9980 || s.Deals[0].Properties["hs_is_closed_won"] != "true" {
		t.Errorf("deal is %+v", s.Deals[0])
	}
	if p := s.Contacts[0].Properties; p["hs_email_optout"] != "true" || p["trueup_customer_id"] != "c1" || p["email"] != "c1@example.com" {
		t.Errorf("contact is %+v", p)
	}
	d.edit(`{"order": "o1", "won": 0, "email": "new@example.com", "opted_out": false, "carts_abandoned": 2}`)
	s, _ = d.Read("o1")
	if s.Deals[0].Stage != "open" || len(s.Carts) != 2 || s.Contacts[0].Properties["email"] != "new@example.com" || s.Contacts[0].Properties["hs_email_optout"] != "false" {
		t.Errorf("state is %+v", s)
	}
	d.edit(`{"customer": "c1", "carts_abandoned": 1}`)
	d.edit(`{"customer": "c1", "cart": "k7"}`)
	c, err := d.Customer("c1", "")
	if err != nil || len(c.Carts) != 2 || c.Carts[1].Properties["trueup_cart_id"] != "k7" {
		t.Errorf("carts are %+v, %v", c.Carts, err)
	}
	d.edit(`{"customer": "c1", "contacts": 2}`)
	if s, _ = d.Read("o1"); len(s.Contacts) != 2 || s.Contacts[1].Properties["email"] != "double-1-new@example.com" {
		t.Errorf("doubles are %+v", s.Contacts)
	}
	d.edit(`{"email": "double-1-new@example.com", "contacts": 0}`)
	d.edit(`{"order": "o1", "lost": 1}`)
	d.edit(`{"customer": "c1", "contacts": 0}`)
	if s, _ = d.Read("o1"); s.Deals[0].Stage != "lost" || len(s.Contacts) != 0 {
		t.Errorf("state is %+v", s)
	}
	d.edit(`{"customer": "c1", "contacts": 1, "email": "new@example.com"}`) // the deleted one's e-mail is free again
	for in, is := range map[string]error{
		`{"order": "o1", "colour": "red"}`:                      nil,
		`{"system": "erp", "order": "o1"}`:                      nil,
		`{"order": "o9", "delete": "deal"}`:                     simulator.ErrNoRecord,
		`{"customer": "c9", "delete": "contact"}`:               simulator.ErrNoRecord,
		`{"customer": "c1", "merge": "c9"}`:                     simulator.ErrNoRecord,
		`{"order": "o1", "stage": "no such"}`:                   nil,
		`{"customer": "c2", "email": "new@example.com"}`:        nil,
		`{"order": "o1", "carts_abandoned": 1} {"order": "o2"}`: nil,
	} {
		err := d.Edit([]byte(in))
		if err == nil || is != nil && !errors.Is(err, is) {
			t.Errorf("%s: error is %v", in, err)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	d, _ := open(t, crm.Settings{Contacts: []crm.Contact{
		{Customer: "c1", Email: "a@example.com", Phone: "1"}, {Customer: "c2", Email: "b@example.com"},
	}})
	d.edit(`{"order": "o1", "stage": "won", "customer": "c1", "name": "Ada"}`)
	d.edit(`{"customer": "c2", "merge": "c1"}`)
	_, answer := d.ask("GET", "/crm/v3/objects/contacts/1001?properties=email,phone,hs_additional_emails,hs_merged_object_ids,trueup_customer_id", "")
	p := answer["properties"].(map[string]any)
	if answer["id"] != "1003" || p["email"] != "b@example.com" || p["phone"] != "1" || p["hs_additional_emails"] != "a@example.com" ||
		p["hs_merged_object_ids"] != "1002;1001" || p["trueup_customer_id"] != "c2" {
		t.Errorf("merged contact is %v", answer)
	}
	if status, answer := d.ask("GET", "/crm/v3/objects/contacts/a@example.com?idProperty=email", ""); status != 200 || answer["id"] != "1003" {
		t.Errorf("by the other e-mail: %d %v", status, answer)
	}
	if status, _ := d.ask("GET", "/crm/v3/objects/contacts/c1?idProperty=trueup_customer_id", ""); status != 404 {
		t.Errorf("by the customer that was merged away: %d", status)
	}
	if s, _ := d.Read("o1"); len(s.Contacts) != 1 || s.Contacts[0].ID != "1003" {
		t.Errorf("contacts are %+v; want the one that is left", s.Contacts)
	}
}

func TestDatabase_IsKept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "crm.db")
	settings := crm.Settings{Contacts: []crm.Contact{{Customer: "c1"}}, Carts: []crm.Cart{{Cart: "k1", Customer: "c1"}}}
	d, _ := openAt(t, file, settings)
	d.edit(`{"order": "o1", "stage": "won"}`)
	if err := d.Frame().Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := openAt(t, file, settings)
	if s := again.state(); len(s.Contacts) != 1 || len(s.Carts) != 1 || len(s.Deals) != 1 {
		t.Errorf("state is %+v; want it as it was, seeded once", s)
	}
	again.edit(`{"order": "o2", "stage": "won"}`)
	if s := again.state(); s.Deals[1].ID != "50003" {
		t.Errorf("deal is %+v; want the next id", s.Deals[1])
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	d, _ := open(t, crm.Settings{})
	w := httptest.NewRecorder()
	simulator.Console(d).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/edit", strings.NewReader(`{"order":"o1","stage":"won"}`)))
	if w.Code != 200 {
		t.Errorf("edit is %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	simulator.Console(d).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/event", strings.NewReader(`{"order":"o9"}`)))
	if w.Code != 404 {
		t.Errorf("event of no record is %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	simulator.Console(d).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/ledger?order=o1", nil))
	if !strings.Contains(w.Body.String(), "deal created") || !strings.Contains(w.Body.String(), `"edit"`) {
		t.Errorf("ledger is %s", w.Body)
	}
}
