package medusa_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/inventory/medusa"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/inventory"
)

// Where a real Medusa listens, and whom it knows; testsuite/real/medusa.sh
// starts one and prints them.
const (
	realAddress  = "TRUEUP_REAL_MEDUSA"
	realEmail    = "TRUEUP_REAL_MEDUSA_EMAIL"
	realPassword = "TRUEUP_REAL_MEDUSA_PASSWORD"
)

const channel = "webshop"

// shop is an inventory with a stock location of its own, simulated or real.
type shop struct {
	t        *testing.T
	config   medusa.Config
	client   *medusa.Client
	suffix   string // keeps the orders and SKUs of one test from another's
	location string
	token    string

	// Only of a simulated one.
	server *simulated.Server
	clock  *clock
	// arrived is called when a write has come in and before it has its effect.
	arrived atomic.Pointer[func()]
}

// everywhere runs a test against the simulated inventory, and the real one when
// its address is given.
func everywhere(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	t.Run("simulated", func(t *testing.T) {
		t.Parallel()
		test(t, openSimulated(t, simulated.Settings{}))
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		test(t, openReal(t))
	})
}

func openSimulated(t *testing.T, settings simulated.Settings) *shop {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), due: make(chan func(), 100)}
	server, err := simulated.New(simulator.Options{Clock: c}, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	s := &shop{t: t, server: server, clock: c}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := s.arrived.Load(); f != nil && r.Method != http.MethodGet {
			_, _ = simulator.ReadBody(r) // all of it came
			(*f)()
		}
		server.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	s.config = medusa.Config{BaseURL: web.URL, Email: simulated.DefaultEmail, Password: simulated.DefaultPassword, Now: c.Now}
	s.open()
	return s
}

func openReal(t *testing.T) *shop {
	t.Helper()
	address := os.Getenv(realAddress)
	if address == "" {
		t.Skipf("no real Medusa: %s is not set; testsuite/real/medusa.sh starts one", realAddress)
	}
	s := &shop{t: t, suffix: "-" + rand.Text()[:8], config: medusa.Config{
		BaseURL: address, Email: os.Getenv(realEmail), Password: os.Getenv(realPassword), Now: time.Now, Timeout: time.Minute,
	}}
	s.open()
	return s
}

// open signs in and opens a location of the test's own.
func (s *shop) open() {
	s.t.Helper()
	var in struct{ Token string }
	s.must("POST", "/auth/user/emailpass", map[string]string{"email": s.config.Email, "password": s.config.Password}, &in)
	s.token = in.Token
	var place struct {
		Location struct{ ID string } `json:"stock_location"`
	}
	s.config.Location, s.config.Channel = "Warehouse "+s.t.Name()+s.suffix, channel
	s.must("POST", "/admin/stock-locations", map[string]string{"name": s.config.Location}, &place)
	s.location = place.Location.ID
	s.client = s.with(nil)
}

// with returns another client of the same inventory.
func (s *shop) with(change func(*medusa.Config)) *medusa.Client {
	s.t.Helper()
	config := s.config
	if change != nil {
		change(&config)
	}
	client, err := medusa.New(config)
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

// api is a raw request, as another program of the shop would make it.
func (s *shop) api(method, path string, body any) (int, []byte) {
	s.t.Helper()
	var data []byte
	if text, ok := body.(string); ok {
		data = []byte(text)
	} else if body != nil {
		data, _ = json.Marshal(body)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.config.BaseURL+path, bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func (s *shop) must(method, path string, body, into any) {
	s.t.Helper()
	status, answer := s.api(method, path, body)
	if status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
}

// stock makes an item, with a level unless stocked is negative, and returns its
// SKU and id.
func (s *shop) stock(name string, stocked int64) (sku, item string) {
	s.t.Helper()
	sku = name + s.suffix
	var in struct {
		Item struct{ ID string } `json:"inventory_item"`
	}
	s.must("POST", "/admin/inventory-items", map[string]string{"sku": sku}, &in)
	if stocked >= 0 {
		s.must("POST", "/admin/inventory-items/"+in.Item.ID+"/location-levels",
			map[string]any{"location_id": s.location, "stocked_quantity": stocked}, nil)
	}
	return sku, in.Item.ID
}

func (s *shop) order(name string) order.ID { return order.ID(name + s.suffix) }

// byHand makes a reservation as somebody else would, and returns its id.
func (s *shop) byHand(item string, quantity int64, lineItem string, metadata map[string]any) string {
	s.t.Helper()
	var in struct {
		Reservation struct{ ID string } `json:"reservation"`
	}
	s.must("POST", "/admin/reservations", map[string]any{
		"inventory_item_id": item, "location_id": s.location, "quantity": quantity, "line_item_id": lineItem, "metadata": metadata,
	}, &in)
	return in.Reservation.ID
}

// held looks up what an order has reserved, without ids.
func (s *shop) held(id order.ID) []reconcile.Reservation {
	s.t.Helper()
	o, err := s.client.Lookup(s.t.Context(), reconcile.Subject{Order: id})
	if err != nil {
		s.t.Fatal(err)
	}
	if o.Inventory == nil {
		return nil
	}
	return bare(o.Inventory.Reservations)
}

// bare takes the ids away, which no test can foresee.
func bare(all []reconcile.Reservation) []reconcile.Reservation {
	var without []reconcile.Reservation
	for _, r := range all {
		r.ID = ""
		without = append(without, r)
	}
	return without
}

func (s *shop) level(sku string) reconcile.Level {
	s.t.Helper()
	l, err := s.client.Level(s.t.Context(), sku)
	if err != nil {
		s.t.Fatal(err)
	}
	l.At = time.Time{}
	return l
}

// inject makes the next calls suffer.
func (s *shop) inject(f simulator.Fault) {
	s.t.Helper()
	if _, err := s.server.Frame().Inject(f); err != nil {
		s.t.Fatal(err)
	}
}

func request(id order.ID, lines ...order.Quantity) inventory.ReserveRequest {
	return inventory.ReserveRequest{
		Key: order.Intent{Order: id, Operation: order.Reserve, N: 1}.Key(), Order: id, Lines: lines,
	}
}

func releaseOf(id order.ID, operation order.Operation, keep ...order.Quantity) inventory.ReleaseRequest {
	return inventory.ReleaseRequest{
		Key: order.Intent{Order: id, Operation: operation, N: 1}.Key(), Order: id, Operation: operation, Keep: keep,
	}
}

func line(n int, sku string, quantity int64) order.Quantity {
	return order.Quantity{Line: n, SKU: sku, Quantity: quantity}
}

func promised(n int, sku string, quantity int64) reconcile.Reservation {
	return reconcile.Reservation{Line: n, SKU: sku, Quantity: quantity}
}

// clock stands still, and hands what is to happen later to the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
	due chan func()
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) After(_ time.Duration, _ string, f func()) { c.due <- f }

// promisedByLedger adds up the ledger of one order: what was reserved less what
// was released, by whomever.
func (s *shop) promisedByLedger(id order.ID) map[string]int64 {
	s.t.Helper()
	entries, err := s.server.Frame().Ledger(0, id)
	if err != nil {
		s.t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, e := range entries {
		switch {
		case e.Kind != simulator.EntryEffect && e.Kind != simulator.EntryEdit:
		case e.Operation == order.Reserve:
			sums[e.Detail] += e.Amount
		default:
			sums[e.Detail] -= e.Amount
		}
	}
	for sku, n := range sums {
		if n == 0 {
			delete(sums, sku)
		}
	}
	return sums
}

func unique(prefix string, n int) string { return fmt.Sprintf("%s-%d", prefix, n) }
