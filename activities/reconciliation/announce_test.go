package reconciliation_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/trueup-orders/trueup/activities/announce"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// counts is a metrics handler that keeps the counters alone.
type counts struct {
	mu   *sync.Mutex
	all  map[string]int64
	tags string
}

func (c counts) WithTags(tags map[string]string) client.MetricsHandler {
	if kind := tags["kind"]; kind != "" {
		c.tags = kind + " " + tags["system"]
	}
	return c
}
func (c counts) Counter(name string) client.MetricsCounter {
	return counter{c, name + " " + c.tags}
}
func (c counts) Gauge(name string) client.MetricsGauge {
	return client.MetricsNopHandler.Gauge(name)
}
func (c counts) Timer(name string) client.MetricsTimer {
	return client.MetricsNopHandler.Timer(name)
}

type counter struct {
	counts
	name string
}

func (c counter) Inc(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[c.name] += n
}

// lines is a log that keeps its warnings alone.
type lines struct{ warned []string }

func (l *lines) Debug(string, ...any) {}
func (l *lines) Info(string, ...any)  {}
func (l *lines) Error(string, ...any) {}
func (l *lines) Warn(text string, fields ...any) {
	l.warned = append(l.warned, text+" "+fmt.Sprintln(fields...))
}

func TestAnnounceCase_OneLineOneCountOnePost(t *testing.T) {
	t.Parallel()
	n := reconciliation.Announcement{
		ID: "case_1", Kind: reconciliation.SaysDue, Order: "42", Case: 2, Break: "erp.sale.missing", System: order.SystemERP,
		Why: "the sale is gone", Money: 9980, Currency: "EUR", Evidence: "0a1b", Deadline: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC),
	}
	for name, c := range map[string]struct {
		status int // of the receiver; 0: there is none
		final  bool
		ok     bool
	}{
		"no receiver":        {ok: true},
		"taken":              {status: http.StatusOK, ok: true},
		"broken, come again": {status: http.StatusBadGateway},
		"wants no more":      {status: http.StatusGone, final: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var suite testsuite.WorkflowTestSuite
			log, count := &lines{}, counts{&sync.Mutex{}, map[string]int64{}, ""}
			suite.SetLogger(log)
			suite.SetMetricsHandler(count)
			env := suite.NewTestActivityEnvironment()
			posts := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { posts++; w.WriteHeader(c.status) }))
			defer server.Close()
			a := &reconciliation.Activities{}
			if c.status != 0 {
				var err error
				if a.Receiver, err = announce.New(server.URL, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, nil, func() time.Time { return n.Deadline }); err != nil {
					t.Fatal(err)
				}
			}
			env.RegisterActivity(a)
			_, err := env.ExecuteActivity(a.AnnounceCase, n)
			failed, _ := errors.AsType[*temporal.ApplicationError](err)
			if (err == nil) != c.ok || failed != nil && failed.NonRetryable() != c.final {
				t.Errorf("the error is %v", err)
			}
			if want := min(c.status, 1); posts != want {
				t.Errorf("%d posts, want %d", posts, want)
			}
			if got := count.all[reconciliation.CasesAnnounced+" due erp"]; got != 1 {
				t.Errorf("counted %v", count.all)
			}
			if len(log.warned) != 1 {
				t.Fatalf("warned %q", log.warned)
			}
			for _, part := range []string{"kind due", "order 42", "case 2", "erp.sale.missing", "money 9980", "evidence 0a1b", "2026-01-02T12:00:00Z"} {
				if !strings.Contains(log.warned[0], part) {
					t.Errorf("%q does not say %q", log.warned[0], part)
				}
			}
		})
	}
}

func TestAnnounceGroup_OneLineOneCountOnePost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   reconcile.Kind
		counts string
	}{
		"of a kind":   {reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}, "crm"},
		"of anything": {reconcile.Kind{}, "all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var suite testsuite.WorkflowTestSuite
			log, count := &lines{}, counts{&sync.Mutex{}, map[string]int64{}, ""}
			suite.SetLogger(log)
			suite.SetMetricsHandler(count)
			env := suite.NewTestActivityEnvironment()
			var body []byte
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { body, _ = io.ReadAll(q.Body) }))
			defer server.Close()
			noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
			receiver, err := announce.New(server.URL, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, nil, func() time.Time { return noon })
			if err != nil {
				t.Fatal(err)
			}
			a := &reconciliation.Activities{Receiver: receiver}
			env.RegisterActivity(a)
			n := reconciliation.GroupAnnouncement{
				ID: "group_1", Kind: reconciliation.SaysClosed, Group: 3, Break: c.kind.String(), System: c.kind.System, Orders: 12, Looked: 40,
				AtRisk: []reconcile.Sum{{Currency: "EUR", Minor: 9980}}, Examples: []string{"41", "42"}, Deadline: noon,
				Ending: reconciliation.Ending{Closed: noon, Outcome: "gone"},
			}
			if _, err := env.ExecuteActivity(a.AnnounceGroup, n); err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{`"type":"group.closed"`, `"group":3`, `"orders":12`, `"at_risk":[{`, `"examples":["41","42"]`, `"outcome":"gone"`} {
				if !strings.Contains(string(body), part) {
					t.Errorf("%s is not in %s", part, body)
				}
			}
			if got := count.all[reconciliation.GroupsAnnounced+" closed "+c.counts]; got != 1 || len(log.warned) != 1 {
				t.Fatalf("counted %v, warned %q", count.all, log.warned)
			}
			for _, part := range []string{"kind closed", "group 3", c.kind.String(), "orders 12", "looked 40", "99.80 EUR", "examples 41 42", "outcome gone"} {
				if !strings.Contains(log.warned[0], part) {
					t.Errorf("%q does not say %q", log.warned[0], part)
				}
			}
		})
	}
}

func TestAnnounceOrphan_OneLineOneCountOnePost(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	log, count := &lines{}, counts{&sync.Mutex{}, map[string]int64{}, ""}
	suite.SetLogger(log)
	suite.SetMetricsHandler(count)
	env := suite.NewTestActivityEnvironment()
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { body, _ = io.ReadAll(q.Body) }))
	defer server.Close()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	receiver, err := announce.New(server.URL, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, nil, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	a := &reconciliation.Activities{Receiver: receiver}
	env.RegisterActivity(a)
	n := reconciliation.OrphanAnnouncement{
		ID: "orphan_1", Kind: reconciliation.SaysDue, System: order.SystemPayment, Record: "pi_1", Why: "nobody knows it", Money: 9980, Currency: "EUR",
		Evidence: "0a1b", Deadline: noon,
	}
	if _, err := env.ExecuteActivity(a.AnnounceOrphan, n); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"type":"orphan.due"`, `"system":"payment"`, `"record":"pi_1"`, `"money":9980`, `"evidence":"0a1b"`} {
		if !strings.Contains(string(body), part) {
			t.Errorf("%s is not in %s", part, body)
		}
	}
	if got := count.all[reconciliation.OrphansAnnounced+" due payment"]; got != 1 || len(log.warned) != 1 {
		t.Fatalf("counted %v, warned %q", count.all, log.warned)
	}
	for _, part := range []string{"kind due", "system payment", "record pi_1", "nobody knows it", "money 9980", "evidence 0a1b", "2026-01-02T12:00:00Z"} {
		if !strings.Contains(log.warned[0], part) {
			t.Errorf("%q does not say %q", log.warned[0], part)
		}
	}
}
