package hubspot_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simcrm "github.com/trueup-orders/trueup/testsuite/simulator/crm"
)

// There is no HubSpot to test against, but there is its official client, whose
// models are generated from HubSpot's description. It judges every request of
// the adapter, every answer and signature of the simulated CRM, and then works
// with the simulated CRM itself.
// testsuite/real/hubspot-contract.sh installs it and runs this.
func TestOfficialClient(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("TRUEUP_REAL_HUBSPOT")
	if folder == "" {
		t.Skip("TRUEUP_REAL_HUBSPOT does not name a folder with HubSpot's official client: see testsuite/real/hubspot-contract.sh")
	}
	hooks := &hooks{}
	endpoint := httptest.NewServer(hooks)
	t.Cleanup(endpoint.Close)
	hooks.url = endpoint.URL + "/hooks/crm"
	w := newWorld(t, options{
		bare: true, endpoint: hooks.url, secret: secret,
		settings: simcrm.Settings{Contacts: []simcrm.Contact{{Email: "c7@example.com"}}, SearchLag: -1},
	})
	recorded := &recorder{next: w.watched.next}
	w.watched.next = recorded
	w.run(everything)
	for _, kind := range []simulator.FaultKind{simulator.Twice, simulator.Rejected} { // refusals too
		w.inject("upsert", kind)
		r := dealRequest()
		r.Order = order.ID("44-" + kind)
		_, _ = w.book.UpsertDeal(t.Context(), r)
	}
	w.fired()
	w.clock.pass(time.Second)
	input, err := json.Marshal(map[string]any{
		"url": w.config.BaseURL, "token": w.config.Token, "calls": recorded.calls, "webhooks": hooks.got,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(recorded.calls) < 20 || len(hooks.got) == 0 {
		t.Fatalf("only %d calls and %d webhooks to judge", len(recorded.calls), len(hooks.got))
	}
	node := exec.CommandContext(t.Context(), "node", "testdata/official.js")
	node.Stdin = bytes.NewReader(input)
	var complaints bytes.Buffer
	node.Stderr = &complaints
	out, err := node.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	for line := range strings.Lines(string(out)) {
		t.Error(strings.TrimSpace(line))
	}
}

// recorder keeps calls with what was answered.
type recorder struct {
	next http.RoundTripper

	mu    sync.Mutex
	calls []recordedCall
}

type recordedCall struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	c := recordedCall{Method: q.Method, Path: q.URL.EscapedPath()}
	if q.Body != nil {
		c.Body, _ = io.ReadAll(q.Body)
		q.Body = io.NopCloser(bytes.NewReader(c.Body))
	}
	resp, err := r.next.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	c.Status = resp.StatusCode
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	c.Answer = answer
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
	return resp, nil
}

// hooks keeps webhooks.
type hooks struct {
	url string

	mu  sync.Mutex
	got []map[string]string
}

func (h *hooks) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, map[string]string{
		"url": h.url, "body": string(body), "secret": secret,
		"signature": r.Header.Get("X-HubSpot-Signature-v3"), "timestamp": r.Header.Get("X-HubSpot-Request-Timestamp"),
	})
}
