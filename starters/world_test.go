package starters_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/internal/memory"
)

// noon is when every test happens.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const (
	stripeSecret  = "whsec_of_the_test_endpoint_1"
	stripeNext    = "whsec_of_the_test_endpoint_2"
	hubspotSecret = "client-secret-of-the-test-app"
	publicURL     = "https://shop.example.test"
)

// front is a gateway on an engine in memory.
type front struct {
	t      *testing.T
	engine *memory.Engine
	server *httptest.Server
	log    *journal
}

// journal is what was logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(data []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(data)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func clock() time.Time { return noon }

// open opens a gateway; change may change what it is made of.
func open(t *testing.T, change func(o *starters.GatewayOptions)) *front {
	t.Helper()
	f := &front{t: t, engine: &memory.Engine{}, log: &journal{}}
	log := logrus.New()
	log.SetOutput(f.log)
	log.SetLevel(logrus.DebugLevel)
	o := starters.GatewayOptions{Client: &starters.Client{Engine: f.engine, Now: clock}, Log: log, PublicURL: publicURL}
	if change != nil {
		change(&o)
	}
	gateway, err := starters.NewGateway(o)
	if err != nil {
		t.Fatal(err)
	}
	f.server = httptest.NewServer(gateway)
	t.Cleanup(f.server.Close)
	return f
}

// reply is an answer of the gateway.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) fields(t *testing.T) []string {
	t.Helper()
	var refused struct {
		Error    string
		Problems []order.Problem
	}
	if err := json.Unmarshal([]byte(r.body), &refused); err != nil || refused.Error == "" {
		t.Fatalf("answer %q is not a refusal: %v", r.body, err)
	}
	var fields []string
	for _, p := range refused.Problems {
		fields = append(fields, p.Field)
	}
	return fields
}

func (f *front) send(method, path string, header http.Header, body []byte) reply {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.server.URL+path, bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	response, err := f.server.Client().Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(data)}
}

func (f *front) post(path string, body []byte) reply {
	f.t.Helper()
	return f.send(http.MethodPost, path, http.Header{"Content-Type": {"application/json"}}, body)
}

func (f *front) get(path string) reply {
	f.t.Helper()
	return f.send(http.MethodGet, path, nil, nil)
}

// expect fails unless the answer has this status.
func (f *front) expect(r reply, status int) reply {
	f.t.Helper()
	if r.status != status {
		f.t.Fatalf("status %d, want %d; %s", r.status, status, r.body)
	}
	return r
}

// orders reads testdata/bad-orders.json.
func orders(t *testing.T) (good map[string]any, bad []badOrder) {
	t.Helper()
	data, err := os.ReadFile("testdata/bad-orders.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		About string
		Good  json.RawMessage
		Bad   []badOrder
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return object(t, file.Good), file.Bad
}

type badOrder struct {
	Name   string          `json:"name"`
	Status int             `json:"status"`
	Fields []string        `json:"fields"`
	Change json.RawMessage `json:"change"`
	Text   *string         `json:"text"`
}

// body returns the bad order as it is sent.
func (b badOrder) body(t *testing.T, good map[string]any) []byte {
	t.Helper()
	if b.Text != nil {
		return []byte(*b.Text)
	}
	return encode(t, patched(good, object(t, b.Change)))
}

func object(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var o map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // as they are written
	if err := d.Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

// patched is a JSON merge patch.
func patched(o, change map[string]any) map[string]any {
	o = maps.Clone(o)
	for k, v := range change {
		into, isObject := o[k].(map[string]any)
		part, isPart := v.(map[string]any)
		switch {
		case v == nil:
			delete(o, k)
		case isObject && isPart:
			o[k] = patched(into, part)
		default:
			o[k] = v
		}
	}
	return o
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goodOrder returns a valid order's JSON with another id.
func goodOrder(t *testing.T, id string) []byte {
	t.Helper()
	good, _ := orders(t)
	return encode(t, patched(good, map[string]any{"id": id}))
}

// signed returns the Stripe-Signature of a body.
func signed(body []byte, secret string, at time.Time) http.Header {
	mac := hmac.New(sha256.New, []byte(secret))
	stamp := fmt.Sprint(at.Unix())
	_, _ = mac.Write([]byte(stamp + "."))
	_, _ = mac.Write(body)
	return http.Header{"Stripe-Signature": {"t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))}}
}

// stripeEvent returns an event about a payment of an order; of none with "".
func stripeEvent(id, kind, of string) []byte {
	metadata := "{}"
	if of != "" {
		metadata = `{"order_id":"` + of + `"}`
	}
	return []byte(`{"id":"` + id + `","object":"event","type":"` + kind + `","livemode":false,"created":1767355200,
		"data":{"object":{"id":"pi_1","object":"payment_intent","metadata":` + metadata + `}}}`)
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}
