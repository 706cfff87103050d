package medusa_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/inventory/medusa"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/inventory"
)

// walk lists all pages, and returns pieces per order, orphans, and the pages.
func walk(t *testing.T, s *shop, r reconcile.ListRequest) (map[order.ID]int64, []reconcile.Orphan, int) {
	t.Helper()
	sums, seen := map[order.ID]int64{}, map[string]bool{}
	var orphans []reconcile.Orphan
	for pages := 1; ; pages++ {
		page, err := s.client.List(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		orphans = append(orphans, page.Orphans...)
		for _, o := range page.Observations {
			if o.State != reconcile.Present || o.Strong || o.System != order.SystemInventory || o.Version == "" {
				t.Errorf("%+v", o)
			}
			for _, x := range o.Inventory.Reservations {
				if seen[x.ID] {
					t.Error("listed twice:", x)
				}
				seen[x.ID] = true
				sums[o.Order] += x.Quantity
			}
		}
		if page.Next == "" {
			return sums, orphans, pages
		}
		if pages > 100 {
			t.Fatal("the pages do not end")
		}
		r.Cursor = page.Next
	}
}

func TestList_ManyPages_EveryReservationOnce(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		_, item := s.stock("MUG", 1000)
		from := now(s)
		want := map[order.ID]int64{}
		for i := range 9 {
			id := s.order(unique("o", i))
			for n := range 3 {
				s.byHand(item, int64(n+1), "order/"+string(id), map[string]any{"line": n + 1, "channel": channel})
			}
			want[id] = 6
			if s.clock != nil && i%3 == 2 { // several of one moment, then a little later
				s.clock.advance(time.Millisecond)
			}
		}
		for _, by := range []reconcile.Listing{reconcile.ListChanged, reconcile.ListCreated} {
			for _, limit := range []int{4, 5, 9, 10, 0} {
				got, _, pages := walk(t, s, reconcile.ListRequest{By: by, From: from, To: now(s).Add(time.Second), Limit: limit})
				for id := range got {
					if !strings.HasSuffix(string(id), s.suffix) {
						delete(got, id) // of another test against the same real one
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(by, limit, diff)
				}
				if limit > 0 && pages < 3 {
					t.Error(by, limit, "only", pages, "pages")
				}
			}
		}
	})
}

// now is the inventory's time: a real one may be watched from another machine.
func now(s *shop) time.Time {
	if s.clock != nil {
		return s.clock.Now()
	}
	return time.Now()
}

func TestList_ChangedIsNotCreated(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	s.stock("MUG", 1000)
	start := s.clock.Now()
	for _, id := range []order.ID{"1", "2", "3"} {
		if _, err := s.client.Reserve(t.Context(), request(id, line(1, "MUG", 2))); err != nil {
			t.Fatal(err)
		}
		s.clock.advance(time.Minute)
	}
	later := s.clock.Now()
	if _, err := s.client.Release(t.Context(), releaseOf("1", order.Release, line(1, "MUG", 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Release(t.Context(), releaseOf("2", order.Release)); err != nil {
		t.Fatal(err)
	}
	if err := s.server.Event([]byte(`{"order": "3"}`)); err != nil {
		t.Fatal(err)
	}
	end := later.Add(time.Hour)
	for name, c := range map[string]struct {
		request reconcile.ListRequest
		want    map[order.ID]int64
	}{
		"changed":         {reconcile.ListRequest{By: reconcile.ListChanged, From: later, To: end}, map[order.ID]int64{"1": 1, "3": 2}},
		"created":         {reconcile.ListRequest{By: reconcile.ListCreated, From: later, To: end}, map[order.ID]int64{}},
		"created earlier": {reconcile.ListRequest{By: reconcile.ListCreated, From: start, To: later}, map[order.ID]int64{"1": 1, "3": 2}},
		"To is excluded":  {reconcile.ListRequest{By: reconcile.ListChanged, From: start, To: later}, map[order.ID]int64{}},
	} {
		if got, _, _ := walk(t, s, c.request); cmp.Diff(c.want, got) != "" {
			t.Error(name, got)
		}
	}
}

func TestList_OrphansAndOthers(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		_, item := s.stock("MUG", 1000)
		from := now(s)
		unclaimed := s.byHand(item, 1, "ordli_"+s.suffix, map[string]any{"channel": channel})
		unparsed := s.byHand(item, 1, "order/a b"+s.suffix, nil)
		s.byHand(item, 1, "ordli_x"+s.suffix, map[string]any{"channel": "another"})
		s.byHand(item, 1, "ordli_y"+s.suffix, nil)
		_, orphans, _ := walk(t, s, reconcile.ListRequest{By: reconcile.ListCreated, From: from, To: now(s).Add(time.Second), Limit: 2})
		var got []string
		for _, o := range orphans {
			if o.System != "inventory" || o.Kind != "reservation" || o.At.IsZero() {
				t.Errorf("%+v", o)
			}
			if s.server != nil || strings.Contains(o.What, s.suffix) {
				got = append(got, o.Record)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{unclaimed, unparsed}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// fractions has Medusa keep a fraction where seven pieces were asked for.
type fractions struct{}

func (fractions) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	body = bytes.ReplaceAll(body, []byte(`"quantity":7,`), []byte(`"quantity":0.5,`))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// A fraction of a piece is of concern to whose it is: a page that could not be read
// for it would be read again for ever, and show no order.
func TestList_AFraction_ItsOrderUnreadableAndTheOthersPresent(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	_, item := s.stock("MUG", 1000)
	from := s.clock.Now()
	for id, lines := range map[order.ID][]order.Quantity{
		"1": {line(1, "MUG", 2)}, "2": {line(1, "MUG", 2), line(2, "MUG", 7), line(3, "MUG", 3)}, "3": {line(1, "MUG", 2)},
	} {
		if _, err := s.client.Reserve(t.Context(), request(id, lines...)); err != nil {
			t.Fatal(err)
		}
	}
	s.byHand(item, 7, "ordli_x", map[string]any{"channel": "another"})
	unclaimed := s.byHand(item, 7, "ordli_y", map[string]any{"channel": channel})
	client := s.with(func(c *medusa.Config) { c.Transport = fractions{} })
	page, err := client.List(t.Context(), reconcile.ListRequest{By: reconcile.ListCreated, From: from, To: s.clock.Now().Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Observations) != 3 {
		t.Errorf("the page has %+v", page.Observations)
	}
	for _, o := range page.Observations {
		bad, want := o.Order == "2", reconcile.Present
		if bad {
			want = reconcile.Unreadable
		}
		if o.State != want || (o.Why != "") != bad || (o.Inventory == nil) != bad || o.Version == "" || o.Changed.IsZero() {
			t.Errorf("the page says %+v", o)
		}
	}
	if len(page.Orphans) != 1 || page.Orphans[0].Record != unclaimed || !strings.Contains(page.Orphans[0].What, "0.5 of MUG") {
		t.Errorf("orphans are %+v, want the one of our channel", page.Orphans)
	}
}

func TestList_Faults(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	s.stock("MUG", 1000)
	for _, id := range []order.ID{"1", "2"} {
		if _, err := s.client.Reserve(t.Context(), request(id, line(1, "MUG", 2))); err != nil {
			t.Fatal(err)
		}
	}
	r := reconcile.ListRequest{By: reconcile.ListCreated, From: s.clock.Now(), To: s.clock.Now().Add(time.Hour)}
	for kind, want := range map[simulator.FaultKind]apierr.Code{
		simulator.Unavailable: apierr.Unavailable, simulator.Refused: apierr.Unavailable,
		simulator.Garbage: apierr.Garbage, simulator.RateLimited: apierr.RateLimited,
	} {
		s.inject(simulator.Fault{Operation: "list", Kind: kind})
		if _, err := s.client.List(t.Context(), r); codeOf(err) != want {
			t.Error(kind, err)
		}
	}
	for kind, want := range map[simulator.FaultKind]map[order.ID]int64{
		simulator.EmptyList: {}, simulator.NotListed: {"1": 2},
	} {
		s.inject(simulator.Fault{Operation: "list", Kind: kind})
		if got, _, _ := walk(t, s, r); cmp.Diff(want, got) != "" {
			t.Error(kind, got)
		}
		if held := s.held("2"); len(held) != 1 {
			t.Error("a look-up must find it:", held)
		}
	}
	for _, cursor := range []string{"x", "1+x", "1+-1", "+"} {
		r.Cursor = cursor
		if _, err := s.client.List(t.Context(), r); codeOf(err) != apierr.Invalid {
			t.Error(cursor, err)
		}
	}
	if _, err := s.client.List(t.Context(), reconcile.ListRequest{From: r.To, To: r.From}); codeOf(err) != apierr.Invalid {
		t.Error(err)
	}
}

// Answers that no Medusa gives, from whatever sits in between.
func TestAnswers_Nonsense_Garbage(t *testing.T) {
	t.Parallel()
	whole := `{"id":"resitem_1","inventory_item_id":"iitem_1","quantity":%s,"line_item_id":%s,"created_at":"2026-11-02T09:00:00.000Z","updated_at":"2026-11-02T09:00:00.000Z","inventory_item":{"sku":"MUG"}}`
	for name, body := range map[string]string{
		"empty":           ``,
		"nothing":         `{}`,
		"no count":        `{"reservations":[]}`,
		"too few":         `{"reservations":[],"count":2}`,
		"a list":          `[]`,
		"cut":             `{"reservations":[{"id":`,
		"no id":           `{"reservations":[{}],"count":1}`,
		"half a piece":    fmt.Sprintf(`{"reservations":[`+whole+`],"count":1}`, `0.5`, `"order/42"`),
		"a text as count": fmt.Sprintf(`{"reservations":[`+whole+`],"count":1}`, `"x"`, `"order/42"`),
		"another order":   fmt.Sprintf(`{"reservations":[`+whole+`],"count":1}`, `1`, `"order/421"`),
		"no order":        fmt.Sprintf(`{"reservations":[`+whole+`],"count":1}`, `1`, `null`),
		"too long":        `{"reservations":[],"count":0,"x":"` + strings.Repeat("x", 9<<20) + `"}`,
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		client, err := medusa.New(medusa.Config{BaseURL: web.URL, APIKey: "k", Location: "l", Channel: channel, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if o, err := client.Lookup(t.Context(), reconcile.Subject{Order: "42"}); codeOf(err) != apierr.Garbage {
			t.Error(name, o, err)
		}
		web.Close()
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 7 ": 7 * time.Second, "-1": 0, "soon": 0, "": 0, "1e9": 0, "99999999999": 0,
		at.Add(time.Minute).Format(http.TimeFormat): time.Minute, at.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		client, err := medusa.New(medusa.Config{
			BaseURL: web.URL, APIKey: "k", Location: "l", Channel: channel, Now: func() time.Time { return at },
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Level(t.Context(), "MUG")
		if e, ok := asError(err); !ok || e.Code != apierr.RateLimited || e.After != want {
			t.Errorf("%q: %v; want %v", header, err, want)
		}
		web.Close()
	}
}
