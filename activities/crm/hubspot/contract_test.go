package hubspot_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// contract is what HubSpot's published description allows and requires, of the
// calls that the adapter makes. It judges the adapter by its requests and the
// simulated CRM by its answers.
type contract struct {
	Types map[string]any `json:"types"`
	Calls []allowed      `json:"calls"`
}

// allowed is one call.
type allowed struct {
	Method string            `json:"method"`
	Path   string            `json:"path"`
	Query  map[string]string `json:"query"`
	Body   any               `json:"body"`
	Most   map[string]int    `json:"most"`
	Status []int             `json:"status"`
	Answer any               `json:"answer"`
}

var published = sync.OnceValue(func() contract {
	data, err := os.ReadFile("testdata/contract.json")
	if err != nil {
		panic(err)
	}
	var c contract
	if err := json.Unmarshal(data, &c); err != nil {
		panic(err)
	}
	return c
})

// watched is a transport that holds every request and answer against the
// contract. Answers of injected faults are let be.
type watched struct {
	t    testing.TB
	next http.RoundTripper

	mu     sync.Mutex
	seen   map[string]int // calls by method and path of the contract
	agents []string
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	call, problem := published().request(r, body)
	if problem != "" {
		w.t.Errorf("%s %s %s: HubSpot does not take this: %s", r.Method, r.URL.RequestURI(), body, problem)
	}
	w.mu.Lock()
	if call >= 0 {
		c := published().Calls[call]
		w.seen[c.Method+" "+c.Path]++
	}
	w.agents = append(w.agents, r.Header.Get("User-Agent"))
	w.mu.Unlock()
	resp, err := w.next.RoundTrip(r)
	if err != nil || call < 0 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return resp, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if problem := published().answer(call, resp.StatusCode, answer); problem != "" {
		w.t.Errorf("%s %s: the simulated CRM answers %d as HubSpot would not: %s: %s", r.Method, r.URL.RequestURI(), resp.StatusCode, problem, answer)
	}
	return resp, nil
}

// request finds the call that a request is, and what is wrong with it.
func (c contract) request(r *http.Request, body []byte) (int, string) {
	call := slices.IndexFunc(c.Calls, func(x allowed) bool {
		return x.Method == r.Method && pathMatches(x.Path, r.URL)
	})
	if call < 0 {
		return -1, "no such call"
	}
	x := c.Calls[call]
	for name, values := range r.URL.Query() {
		kind, known := x.Query[name]
		switch _, err := strconv.Atoi(values[0]); {
		case !known:
			return call, "no parameter " + name
		case len(values) != 1, kind == "integer" && err != nil, kind == "boolean" && values[0] != "true" && values[0] != "false":
			return call, "parameter " + name + " is no " + kind
		}
	}
	switch {
	case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "):
		return call, "no bearer token"
	case x.Body == nil && len(body) > 0:
		return call, "a body where none belongs"
	case x.Body == nil:
		return call, ""
	case r.Header.Get("Content-Type") != "application/json":
		return call, "not sent as JSON"
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return call, err.Error()
	}
	if problem := c.check("body", x.Body, v, true); problem != "" {
		return call, problem
	}
	for name, most := range x.Most {
		switch n := v.(map[string]any)[name].(type) {
		case []any:
			if len(n) > most {
				return call, fmt.Sprintf("%d %s; at most %d", len(n), name, most)
			}
		case float64:
			if int(n) > most {
				return call, fmt.Sprintf("%s %v; at most %d", name, n, most)
			}
		}
	}
	return call, ""
}

func pathMatches(template string, u *url.URL) bool {
	want, got := strings.Split(template, "/"), strings.Split(u.EscapedPath(), "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		switch {
		case want[i] == "{kind}":
			if got[i] != "contacts" && got[i] != "deals" {
				return false
			}
		case strings.HasPrefix(want[i], "{"):
			if got[i] == "" {
				return false
			}
		case want[i] != got[i]:
			return false
		}
	}
	return true
}

func (c contract) answer(call, status int, body []byte) string {
	x := c.Calls[call]
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err.Error()
	}
	if status >= 400 {
		return c.check("answer", "error", v, false)
	}
	if !slices.Contains(x.Status, status) {
		return fmt.Sprintf("status %d", status)
	}
	return c.check("answer", x.Answer, v, false)
}

var (
	uuid  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	words = map[string]string{
		"category":     "HUBSPOT_DEFINED USER_DEFINED INTEGRATOR_DEFINED",
		"batchstatus":  "PENDING PROCESSING CANCELED COMPLETE",
		"operator":     "EQ NEQ LT LTE GT GTE BETWEEN IN NOT_IN HAS_PROPERTY NOT_HAS_PROPERTY CONTAINS_TOKEN NOT_CONTAINS_TOKEN",
		"propertytype": "string number date datetime enumeration bool",
		"fieldtype":    "textarea text date file number select radio checkbox booleancheckbox calculation_equation html phonenumber",
	}
)

// check holds a value against a type: a word, a named type, or one of
// {"object"}, {"list"} and {"map"}.
func (c contract) check(at string, want, got any, closed bool) string {
	if named, ok := want.(string); ok {
		if t, known := c.Types[named]; known {
			return c.check(at, t, got, closed)
		}
		if !slices.ContainsFunc(strings.Split(named, "|"), func(kind string) bool { return is(kind, got) }) {
			return fmt.Sprintf("%s is %v; want %s", at, got, named)
		}
		return ""
	}
	shape := want.(map[string]any)
	switch {
	case shape["list"] != nil:
		all, ok := got.([]any)
		if !ok {
			return at + " is no list"
		}
		for i, v := range all {
			if problem := c.check(fmt.Sprintf("%s[%d]", at, i), shape["list"], v, closed); problem != "" {
				return problem
			}
		}
	case shape["map"] != nil:
		all, ok := got.(map[string]any)
		if !ok {
			return at + " is no map"
		}
		for name, v := range all {
			if problem := c.check(at+"."+name, shape["map"], v, closed); problem != "" {
				return problem
			}
		}
	default:
		return c.object(at, shape["object"].(map[string]any), got, closed)
	}
	return ""
}

func (c contract) object(at string, fields map[string]any, got any, closed bool) string {
	all, ok := got.(map[string]any)
	if !ok {
		return at + " is no object"
	}
	for name, kind := range fields {
		bare, optional := strings.CutSuffix(name, "?")
		v, has := all[bare]
		if !has && optional {
			continue
		}
		if !has {
			return at + " lacks " + bare
		}
		if problem := c.check(at+"."+bare, kind, v, closed); problem != "" {
			return problem
		}
	}
	for name := range all {
		if closed && fields[name] == nil && fields[name+"?"] == nil {
			return at + " has " + name + ", which is unknown"
		}
	}
	return ""
}

func is(kind string, got any) bool {
	text, isText := got.(string)
	number, isNumber := got.(float64)
	_, isBool := got.(bool)
	switch kind {
	case "any":
		return true
	case "null":
		return got == nil
	case "string":
		return isText
	case "boolean":
		return isBool
	case "integer":
		return isNumber && number == float64(int64(number))
	case "time":
		_, err := time.Parse(time.RFC3339, text)
		return err == nil
	case "uuid":
		return uuid.MatchString(text)
	}
	return slices.Contains(strings.Fields(words[kind]), text)
}

// Every call of the contract is one that the tests of this package make: an
// entry that nothing uses would prove nothing.
func TestContract_EveryCallIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{bare: true})
	w.run(everything)
	for _, c := range published().Calls {
		if w.watched.seen[c.Method+" "+c.Path] == 0 {
			t.Errorf("%s %s was not called", c.Method, c.Path)
		}
	}
}

// The contract itself must refuse what HubSpot refuses.
func TestContract_RefusesWrongRequests(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ method, target, body string }{
		"unknown path":      {"GET", "/crm/v3/objects/orders/1", ""},
		"unknown parameter": {"GET", "/crm/v3/objects/deals/1?id_property=x", ""},
		"number as value":   {"PATCH", "/crm/v3/objects/deals/1", `{"properties":{"amount":99.8}}`},
		"unknown field":     {"POST", "/crm/v3/objects/deals", `{"properties":{},"id":"1"}`},
		"missing field":     {"POST", "/crm/v3/objects/deals/batch/read", `{"inputs":[{"id":"1"}],"properties":[]}`},
		"wrong operator":    {"POST", "/crm/v3/objects/deals/search", `{"filterGroups":[{"filters":[{"propertyName":"a","operator":"IS"}]}]}`},
		"too many":          {"POST", "/crm/v3/objects/deals/search", `{"limit":500}`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), x.method, "https://api.hubapi.com"+x.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("Content-Type", "application/json")
		if _, problem := published().request(r, []byte(x.body)); problem == "" {
			t.Errorf("%s: nothing is wrong with %s %s %s", name, x.method, x.target, x.body)
		}
	}
}
