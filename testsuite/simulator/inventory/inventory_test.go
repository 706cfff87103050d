package inventory_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/inventory"
)

// clock stands still until somebody moves it; what is due meanwhile happens in
// the order in which it was asked for.
type clock struct {
	now time.Time
	due []due
}

type due struct {
	at time.Time
	f  func()
}

func (c *clock) Now() time.Time { return c.now }

func (c *clock) After(d time.Duration, _ string, f func()) {
	c.due = append(c.due, due{c.now.Add(d), f})
}

func (c *clock) advance(d time.Duration) {
	c.now = c.now.Add(d)
	waiting := c.due
	c.due = nil
	for _, x := range waiting {
		if x.at.After(c.now) {
			c.due = append(c.due, x)
			continue
		}
		x.f()
	}
}

func open(t *testing.T, c *clock, o simulator.Options, settings inventory.Settings) *inventory.Server {
	t.Helper()
	o.Clock = c
	if settings.Stock == nil {
		settings.Stock = map[string]int64{"MUG": 5, "HAT": 3}
	}
	s, err := inventory.New(o, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)} }

// reserve calls the handler directly, as a virtual-time universe does.
func reserve(t *testing.T, s *inventory.Server, id order.ID, item int, quantity int64) {
	t.Helper()
	body := fmt.Sprintf(`{"inventory_item_id":"iitem_01%024d","location_id":"sloc_01%024d","quantity":%d,"line_item_id":"order/%s"}`, item, 1, quantity, id)
	r := httptest.NewRequest(http.MethodPost, "/admin/reservations", strings.NewReader(body))
	r.SetBasicAuth(inventory.DefaultAPIKey, "")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
}

// held is what an order has reserved, per SKU, and all levels as stocked and
// reserved.
func held(t *testing.T, s *inventory.Server, id order.ID) (map[string]int64, map[string][2]int64) {
	t.Helper()
	records, err := s.Records(id)
	if err != nil {
		t.Fatal(err)
	}
	sums, levels := map[string]int64{}, map[string][2]int64{}
	for _, r := range records.Reservations {
		sums[r.SKU] += r.Quantity
	}
	for _, l := range records.Levels {
		levels[l.SKU] = [2]int64{l.Stocked, l.Reserved}
	}
	return sums, levels
}

func TestEdit_AsAnAdminUser(t *testing.T) {
	t.Parallel()
	const hat, mug = 1, 2 // items, by SKU
	for name, c := range map[string]struct {
		edit   string
		held   map[string]int64
		levels map[string][2]int64
		wrong  string
	}{
		"stock below what is reserved": {`{"sku":"MUG","stocked":1}`, map[string]int64{"MUG": 4, "HAT": 1}, map[string][2]int64{"MUG": {1, 4}, "HAT": {3, 1}}, ""},
		"fewer reserved":               {`{"order":"42","reserved":{"MUG":1}}`, map[string]int64{"MUG": 1, "HAT": 1}, map[string][2]int64{"MUG": {5, 1}, "HAT": {3, 1}}, ""},
		"none reserved":                {`{"order":"42","reserved":{"MUG":0,"HAT":0}}`, map[string]int64{}, map[string][2]int64{"MUG": {5, 0}, "HAT": {3, 0}}, ""},
		"more reserved":                {`{"order":"42","reserved":{"MUG":5}}`, map[string]int64{"MUG": 5, "HAT": 1}, map[string][2]int64{"MUG": {5, 5}, "HAT": {3, 1}}, ""},
		"too many reserved":            {`{"order":"42","reserved":{"MUG":6}}`, nil, nil, "Not enough stock available"},
		"all deleted":                  {`{"order":"42","delete":true}`, map[string]int64{}, map[string][2]int64{"MUG": {5, 0}, "HAT": {3, 0}}, ""},
		"another order":                {`{"order":"43","reserved":{"HAT":2}}`, map[string]int64{"MUG": 4, "HAT": 1}, map[string][2]int64{"MUG": {5, 4}, "HAT": {3, 3}}, ""},
		"one reservation":              {fmt.Sprintf(`{"reservation":"resitem_01%024d","quantity":1}`, 1), map[string]int64{"MUG": 3, "HAT": 1}, map[string][2]int64{"MUG": {5, 3}, "HAT": {3, 1}}, ""},
		"one deleted":                  {fmt.Sprintf(`{"reservation":"resitem_01%024d","delete":true}`, 1), map[string]int64{"MUG": 2, "HAT": 1}, map[string][2]int64{"MUG": {5, 2}, "HAT": {3, 1}}, ""},
		"no such SKU":                  {`{"sku":"CAP","stocked":1}`, nil, nil, "no such record"},
		"no such order":                {`{"order":"44","delete":true}`, nil, nil, "no such record"},
		"no such reservation":          {`{"reservation":"x","delete":true}`, nil, nil, "no such record"},
		"unknown field":                {`{"sku":"MUG","stock":1}`, nil, nil, "unknown field"},
		"nothing":                      {`{}`, nil, nil, "want {sku, stocked}"},
		"less than nothing":            {`{"sku":"MUG","stocked":-1}`, nil, nil, "want {sku, stocked}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, newClock(), simulator.Options{}, inventory.Settings{})
			reserve(t, s, "42", mug, 2)
			reserve(t, s, "42", mug, 2)
			reserve(t, s, "42", hat, 1)
			err := s.Edit(json.RawMessage(c.edit))
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			sums, levels := held(t, s, "42")
			if diff := cmp.Diff(c.held, sums); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.levels, levels); diff != "" {
				t.Error(diff)
			}
			entries, err := s.Frame().Ledger(0, "")
			if err != nil || len(entries) == 0 || entries[len(entries)-1].Kind != simulator.EntryEdit {
				t.Error("the edit is not in the ledger:", entries, err)
			}
		})
	}
}

func TestReservationTTL_DeletedByItself(t *testing.T) {
	t.Parallel()
	c := newClock()
	settings := inventory.Settings{ReservationTTL: time.Hour}
	o := simulator.Options{Database: filepath.Join(t.TempDir(), "inventory.db")}
	s := open(t, c, o, settings)
	reserve(t, s, "42", 2, 2)
	c.advance(30 * time.Minute)
	reserve(t, s, "43", 2, 1)
	if err := s.Close(); err != nil { // it forgets its timers and sets them again
		t.Fatal(err)
	}
	c.due = nil
	s = open(t, c, o, settings)
	c.advance(29 * time.Minute)
	if sums, _ := held(t, s, ""); sums["MUG"] != 3 {
		t.Error("too early:", sums)
	}
	c.advance(time.Minute)
	if sums, _ := held(t, s, ""); sums["MUG"] != 1 {
		t.Error(sums)
	}
	entries, err := s.Frame().Ledger(0, "42")
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	last := entries[len(entries)-1]
	if last.Kind != simulator.EntryEdit || last.Operation != order.Release || last.Amount != 2 || last.Detail != "MUG" {
		t.Errorf("%+v", last)
	}
}

func TestReopened_KeepsWhatItHas(t *testing.T) {
	t.Parallel()
	o := simulator.Options{Database: filepath.Join(t.TempDir(), "inventory.db")}
	s := open(t, newClock(), o, inventory.Settings{})
	reserve(t, s, "42", 2, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, newClock(), o, inventory.Settings{Stock: map[string]int64{"MUG": 100}})
	reserve(t, s, "42", 2, 2)
	_, levels := held(t, s, "")
	if diff := cmp.Diff(map[string][2]int64{"MUG": {5, 4}, "HAT": {3, 0}}, levels); diff != "" {
		t.Error(diff)
	}
}

func TestConsole_StateAndEvent(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c, simulator.Options{}, inventory.Settings{})
	reserve(t, s, "42", 2, 2)
	c.advance(time.Minute)
	console := simulator.Console(s)
	for _, x := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/event", `{"order":"42"}`, 200, "{}"},
		{"POST", "/event", `{"order":"44"}`, 404, "no such record"},
		{"GET", "/state?order=42", ``, 200, `"updated_at":"2026-11-02T09:01:00.000Z"`},
		{"GET", "/state?order=43", ``, 200, `"reservations":[]`},
		{"POST", "/edit", `{"sku":"MUG","stocked":4}`, 200, "{}"},
		{"POST", "/edit", `{"sku":"CAP","stocked":4}`, 404, "no such record"},
		{"GET", "/ledger?order=42", ``, 200, `"operation":"reserve"`},
	} {
		w := httptest.NewRecorder()
		console.ServeHTTP(w, httptest.NewRequest(x.method, x.path, strings.NewReader(x.body)))
		body, _ := io.ReadAll(w.Body)
		if w.Code != x.status || !strings.Contains(string(body), x.want) {
			t.Errorf("%s %s: %d %s", x.method, x.path, w.Code, body)
		}
	}
}

// The item's lock: however many ask at once, what is stocked is promised once.
func TestReserve_AtOnce_NeverMoreThanStocked(t *testing.T) {
	t.Parallel()
	s := open(t, newClock(), simulator.Options{}, inventory.Settings{})
	answers := make(chan int)
	for range 20 {
		go func() {
			body := fmt.Sprintf(`{"inventory_item_id":"iitem_01%024d","location_id":"sloc_01%024d","quantity":1}`, 2, 1)
			r := httptest.NewRequest(http.MethodPost, "/admin/reservations", strings.NewReader(body))
			r.SetBasicAuth(inventory.DefaultAPIKey, "")
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			answers <- w.Code
		}()
	}
	made := 0
	for range 20 {
		if <-answers == http.StatusOK {
			made++
		}
	}
	if _, levels := held(t, s, ""); made != 5 || levels["MUG"] != [2]int64{5, 5} {
		t.Error(made, levels)
	}
}
