package hubspot_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

func statement(query string) func(tx *sql.Tx) error {
	return func(tx *sql.Tx) error {
		_, err := tx.Exec(query)
		return err
	}
}

func TestNew_NamesEveryMissingSetting(t *testing.T) {
	t.Parallel()
	_, err := hubspot.New(hubspot.Config{})
	for _, name := range []string{"BaseURL", "Token", "Channel", "Pipeline", "OpenStage", "WonStage", "LostStage", "AbandonedStage", "Now"} {
		if err == nil || !strings.Contains(err.Error(), name+" is missing") {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
	c := newWorld(t, options{}).config
	c.BaseURL, c.LostStage, c.Token = "api.hubapi.com", c.WonStage, "a b"
	_, err = hubspot.New(c)
	for _, what := range []string{"BaseURL is not", "WonStage and LostStage are the same", "Token has white space"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v does not say that %s", err, what)
		}
	}
}

func TestEveryRequest_NamesItsOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{bare: true})
	w.run(everything)
	for _, a := range w.watched.agents {
		if !slices.Contains([]string{"trueup (upsert)", "trueup (lookup)", "trueup (list)", "trueup (settings)"}, a) {
			t.Errorf("User-Agent is %q", a)
		}
	}
}

func TestWithoutToken_Unauthorized(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.config.Token = "pat-of-somebody-else"
	book, err := hubspot.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = book.UpsertContact(t.Context(), contactRequest())
	wantCode(t, err, apierr.Unauthorized)
	if strings.Contains(err.Error(), "pat-") {
		t.Errorf("error %q has the token in it", err)
	}
}

func TestEnsureProperties_RepeatsAndRaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{bare: true})
	_, err := w.book.UpsertDeal(t.Context(), dealRequest())
	wantCode(t, err, apierr.Invalid) // idProperty is none yet
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := w.book.EnsureProperties(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := w.book.EnsureProperties(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.count("property created"); n != 5 {
		t.Errorf("%d properties were made; want 5", n)
	}
	w.must(contactRequest(), dealRequest())
}

func TestEnsureProperties_NotUnique_Refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{bare: true})
	if err := w.crm.Frame().Update(statement(`INSERT INTO definitions (kind, name, body) VALUES ('deals', 'trueup_order_id',
		'{"name":"trueup_order_id","label":"x","description":"","groupName":"dealinformation","type":"string","fieldType":"text","options":[]}')`)); err != nil {
		t.Fatal(err)
	}
	err := w.book.EnsureProperties(t.Context())
	wantCode(t, err, apierr.Invalid)
	if err == nil || !strings.Contains(err.Error(), "unique") || !strings.Contains(err.Error(), "trueup_order_id") {
		t.Errorf("error %v does not say what to do", err)
	}
}

func TestEnsureProperties_Faults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{bare: true})
	w.inject("settings", simulator.ResponseLost, func(f *simulator.Fault) { f.Skip = 1 })
	wantCode(t, w.book.EnsureProperties(t.Context()), apierr.InDoubt)
	if err := w.book.EnsureProperties(t.Context()); err != nil {
		t.Error(err)
	}
	w.fired()
}

// What HubSpot answers and the simulated one never does.
func TestRareAnswers(t *testing.T) {
	t.Parallel()
	const conflict = `{"status":"error","message":"Contact already exists. Existing ID: 7","correlationId":"b6881283-187e-4088-a778-5c933a14547c",
		"category":"OBJECT_ALREADY_EXISTS","error":"CONTACT_EXISTS","errors":[{"message":"A contact with email c1@example.com already exists. Existing ID: 7","in":"email"}]}`
	for name, x := range map[string]struct {
		status int
		header string
		body   string
		read   apierr.Code
		write  apierr.Code
		after  time.Duration
	}{
		"proxy's 404":        {404, "", "<html>no such host</html>", apierr.Garbage, apierr.InDoubt, 0},
		"empty 404":          {404, "", "", apierr.Garbage, apierr.InDoubt, 0},
		"404 without code":   {404, "", `{"status":"error","message":"resource not found","correlationId":"x"}`, apierr.NotFound, apierr.Conflict, 0},
		"newer 409":          {409, "", conflict, apierr.Conflict, apierr.Conflict, 0},
		"wait as date":       {429, "Sun, 01 Mar 2026 12:00:30 GMT", `{}`, apierr.RateLimited, apierr.RateLimited, 30 * time.Second},
		"wait of nonsense":   {429, "soon", `{}`, apierr.RateLimited, apierr.RateLimited, 0},
		"wait that is over":  {429, "Sun, 01 Mar 2026 11:00:30 GMT", `{}`, apierr.RateLimited, apierr.RateLimited, 0},
		"account is moved":   {477, "3600", `{}`, apierr.RateLimited, apierr.RateLimited, time.Hour},
		"locked":             {423, "", `{}`, apierr.RateLimited, apierr.RateLimited, 2 * time.Second},
		"missing scopes":     {403, "", `{"status":"error","category":"MISSING_SCOPES"}`, apierr.Unauthorized, apierr.Unauthorized, 0},
		"moved permanently":  {301, "", "", apierr.Garbage, apierr.InDoubt, 0},
		"gateway":            {502, "", "bad gateway", apierr.Unavailable, apierr.InDoubt, 0},
		"empty 200":          {200, "", "", apierr.Garbage, apierr.InDoubt, 0},
		"numbers for texts":  {200, "", `{"id":"7","properties":{"amount":99.8}}`, apierr.Garbage, apierr.InDoubt, 0},
		"no id":              {200, "", `{"properties":{}}`, apierr.Garbage, apierr.InDoubt, 0},
		"endless":            {200, "", `{"id":"` + strings.Repeat("7", 2<<20) + `"}`, apierr.Garbage, apierr.InDoubt, 0},
		"unknown client err": {418, "", `{"status":"error","category":"TEAPOT_` + strings.Repeat("A", 100) + `"}`, apierr.Invalid, apierr.Invalid, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, write := range []bool{false, true} {
				book := answering(t, write, func(rw http.ResponseWriter) {
					if x.header != "" {
						rw.Header().Set("Retry-After", x.header)
					}
					rw.WriteHeader(x.status)
					_, _ = io.WriteString(rw, x.body)
				})
				_, err := book.UpsertDeal(t.Context(), dealRequest())
				want := x.read
				if write {
					want = x.write
				}
				if want == apierr.NotFound && !write {
					continue // it goes on to make the deal
				}
				wantCode(t, err, want)
				if e, ok := errors.AsType[*apierr.Error](err); !ok || e.After != x.after {
					t.Errorf("wait of %v is not %s", err, x.after)
				}
				if err != nil && (strings.Contains(err.Error(), "example.com") || strings.Contains(err.Error(), "pat-")) {
					t.Errorf("error %q has somebody's data in it", err)
				}
			}
		})
	}
}

// answering is a book whose look-ups find nothing (when write is true) and whose
// other requests are answered by f.
func answering(t *testing.T, write bool, f func(http.ResponseWriter)) *hubspot.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if write && r.Method == http.MethodGet {
			rw.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(rw, `{"status":"error","category":"OBJECT_NOT_FOUND","correlationId":"x"}`)
			return
		}
		f(rw)
	}))
	t.Cleanup(s.Close)
	c := hubspot.Config{
		BaseURL: s.URL, Token: "pat-1", Channel: "web", Pipeline: "p", OpenStage: "o", WonStage: "w", LostStage: "l", AbandonedStage: "a",
		Now: func() time.Time { return start },
	}
	book, err := hubspot.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// The published description wraps a new record, which no answer so far did.
func TestUpsertDeal_WrappedAnswer_IsTaken(t *testing.T) {
	t.Parallel()
	const record = `{"id":"7","properties":{"trueup_order_id":"42","dealstage":"w","amount":"99.80","deal_currency_code":"EUR"},"createdAt":"2026-03-01T12:00:00Z","updatedAt":"2026-03-01T12:00:00Z"}`
	gets := 0
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			_, _ = io.WriteString(rw, `{"createdResourceId":"7","entity":`+record+`}`)
		case gets == 0:
			gets++
			rw.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(rw, `{"status":"error","category":"OBJECT_NOT_FOUND","correlationId":"x"}`)
		default:
			_, _ = io.WriteString(rw, record)
		}
	}))
	t.Cleanup(s.Close)
	c := newWorld(t, options{}).config
	c.BaseURL, c.WonStage, c.Transport = s.URL, "w", nil
	book, err := hubspot.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := book.UpsertDeal(t.Context(), dealRequest()); err != nil || d.ID != "7" {
		t.Errorf("deal is %+v, %v", d, err)
	}
}

func TestNoConnection_Unavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for name, err := range map[string]error{
		"refused": &net.OpError{Op: "dial", Err: errors.New("connection refused")},
		"dns":     &net.DNSError{Err: "no such host", Name: "api.hubapi.com"},
	} {
		c := w.config
		c.Transport = failing{w.watched, err}
		book, problem := hubspot.New(c)
		if problem != nil {
			t.Fatal(problem)
		}
		_, got := book.UpsertContact(t.Context(), contactRequest())
		if apierr.CodeOf(got) != apierr.Unavailable {
			t.Errorf("%s: error is %v", name, got)
		}
	}
	c := w.config
	c.Transport = failing{w.watched, io.ErrUnexpectedEOF}
	book, err := hubspot.New(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = book.UpsertContact(t.Context(), contactRequest())
	wantCode(t, err, apierr.InDoubt)
	if len(w.effects()) != 0 {
		t.Errorf("effects are %v", w.effects())
	}
}

// failing lets reads through and fails writes.
type failing struct {
	next http.RoundTripper
	err  error
}

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return f.next.RoundTrip(r)
	}
	return nil, f.err
}

func TestCancelledContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.book.Lookup(ctx, subject())
	wantCode(t, err, apierr.Unavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v does not say that the caller gave up", err)
	}
}

// The guide shows the ids of associations as numbers, the published description
// as texts; the simulated CRM follows the description.
func TestAssociations_NumbersAndTexts_AreTaken(t *testing.T) {
	t.Parallel()
	for _, id := range []string{`7`, `"7"`} {
		s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body := `{"results":[{"toObjectId":` + id + `,"associationTypes":[]},{"toObjectId":` + id + `,"associationTypes":[]}]}`
			if strings.HasSuffix(r.URL.Path, "/batch/read") {
				body = `{"status":"COMPLETE","results":[{"id":"7","properties":{"trueup_order_id":"42"}}]}`
			}
			_, _ = io.WriteString(rw, body)
		}))
		t.Cleanup(s.Close)
		c := newWorld(t, options{}).config
		c.BaseURL, c.Transport = s.URL, nil
		book, err := hubspot.New(c)
		if err != nil {
			t.Fatal(err)
		}
		orders, err := book.OrdersOf(t.Context(), hubspot.Event{Type: "contact.creation", ObjectID: "1"})
		if err != nil || len(orders) != 1 || orders[0] != "42" {
			t.Errorf("%s: orders are %v, %v", id, orders, err)
		}
	}
}
