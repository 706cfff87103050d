package hubspot_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simcrm "github.com/trueup-orders/trueup/testsuite/simulator/crm"
)

// Signatures that HubSpot's own SDKs publish in their tests, and one of an
// address with a query, which shows what is decoded.
func TestVerify_PublishedSignatures(t *testing.T) {
	t.Parallel()
	const sdk = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
	for _, x := range []struct{ secret, url, body, stamp, signature string }{
		{sdk, "https://www.example.com/webhook_uri", "{'example_field':'example_value'}", "1693657560000", "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="},
		{sdk, "https://www.example.com/webhook_uri", "{'example_field':'example_value'}", "1700000300000", "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw="},
	} {
		r := request(t, x.signature, x.stamp)
		var ms int64
		_, _ = fmt.Sscan(x.stamp, &ms)
		if err := hubspot.Verify(r, x.url, []byte(x.body), []string{x.secret}, time.UnixMilli(ms+1000)); err != nil {
			t.Errorf("stamp %s: %v", x.stamp, err)
		}
	}
}

func request(t testing.TB, signature, stamp string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://internal:8080/hooks", nil)
	if signature != "" {
		r.Header.Set("X-HubSpot-Signature-v3", signature)
	}
	if stamp != "" {
		r.Header.Set("X-HubSpot-Request-Timestamp", stamp)
	}
	return r
}

const (
	secret  = "0123456789abcdef-0123"
	hookURL = "https://shop.example/hooks/crm"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	body := []byte(`[{"eventId":1}]`)
	signature, stamp := hubspot.Sign(secret, hookURL, body, start)
	short, _ := hubspot.Sign("short", hookURL, body, start)
	none, _ := hubspot.Sign("", hookURL, body, start)
	word, _ := hubspot.Sign(secret, hookURL, body, start)
	for name, x := range map[string]struct {
		signature, stamp, url, body string
		secrets                     []string
		age                         time.Duration
		good                        bool
	}{
		"right":                {signature, stamp, hookURL, string(body), []string{secret}, 0, true},
		"new secret beside it": {signature, stamp, hookURL, string(body), []string{"another-secret-of-ours", secret}, 0, true},
		"five minutes old":     {signature, stamp, hookURL, string(body), []string{secret}, 5 * time.Minute, true},
		"too old":              {signature, stamp, hookURL, string(body), []string{secret}, 5*time.Minute + time.Millisecond, false},
		"from the future":      {signature, stamp, hookURL, string(body), []string{secret}, -5*time.Minute - time.Millisecond, false},
		"other secret":         {signature, stamp, hookURL, string(body), []string{"another-secret-of-ours"}, 0, false},
		"no secret":            {signature, stamp, hookURL, string(body), nil, 0, false},
		"empty secret":         {none, stamp, hookURL, string(body), []string{""}, 0, false},
		"short secret":         {short, stamp, hookURL, string(body), []string{"short"}, 0, false},
		"other body":           {signature, stamp, hookURL, string(body) + " ", []string{secret}, 0, false},
		"other address":        {signature, stamp, hookURL + "/", string(body), []string{secret}, 0, false},
		"other time":           {signature, "1772366400001", hookURL, string(body), []string{secret}, 0, false},
		"no signature":         {"", stamp, hookURL, string(body), []string{secret}, 0, false},
		"no time":              {signature, "", hookURL, string(body), []string{secret}, 0, false},
		"time is no number":    {signature, "abc", hookURL, string(body), []string{secret}, 0, false},
		"time is negative":     {signature, "-1772366400000", hookURL, string(body), []string{secret}, 0, false},
		"time is endless":      {signature, strings.Repeat("9", 40), hookURL, string(body), []string{secret}, 0, false},
		"signature cut off":    {word[:20], stamp, hookURL, string(body), []string{secret}, 0, false},
		"not base64":           {"!!!!", stamp, hookURL, string(body), []string{secret}, 0, false},
	} {
		err := hubspot.Verify(request(t, x.signature, x.stamp), x.url, []byte(x.body), x.secrets, start.Add(x.age))
		if (err == nil) != x.good || err != nil && !errors.Is(err, hubspot.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := request(t, signature, stamp)
	r.Method = http.MethodPut
	if hubspot.Verify(r, hookURL, body, []string{secret}, start) == nil {
		t.Error("another method is let through")
	}
}

// HubSpot signs these characters as themselves, and no others.
func TestVerify_DecodesSomeCharacters(t *testing.T) {
	t.Parallel()
	signature, stamp := hubspot.Sign(secret, "https://shop.example/hooks?src=hs:app/v3&x=(a)!$',*;@?&y=%20%26", nil, start)
	encoded := "https://shop.example/hooks?src=hs%3Aapp%2Fv3&x=%28a%29%21%24%27%2c%2A%3B%40%3f&y=%20%26"
	if err := hubspot.Verify(request(t, signature, stamp), encoded, nil, []string{secret}, start); err != nil {
		t.Error(err)
	}
}

func TestParseEvents(t *testing.T) {
	t.Parallel()
	events, err := hubspot.ParseEvents([]byte(`[
		{"eventId":9,"subscriptionId":1,"portalId":62515,"appId":3,"occurredAt":1772366400000,"subscriptionType":"deal.propertyChange","attemptNumber":2,"objectId":50001,"propertyName":"amount","propertyValue":"1","changeSource":"CRM"},
		{"eventId":9,"portalId":62515,"occurredAt":1772366400000,"subscriptionType":"object.creation","objectTypeId":"0-1","attemptNumber":0,"objectId":"1001","changeFlag":"NEW"},
		{"eventId":null,"portalId":62515,"occurredAt":1772366400000,"subscriptionType":"deal.associationChange","fromObjectId":50001,"toObjectId":1001},
		{"eventId":9,"portalId":62515,"occurredAt":1772366400000,"subscriptionType":"object.creation","objectTypeId":"2-77","objectId":5},
		{"eventId":9,"portalId":62515,"occurredAt":1772366400000,"subscriptionType":"contact.merge","objectId":1001,"primaryObjectId":1001,"mergedObjectIds":[1002],"newObjectId":1003,"numberOfPropertiesMoved":2},
		{"eventId":9,"portalId":62515,"occurredAt":1772366400000,"subscriptionType":"contact.merge","primaryObjectId":1001,"mergedObjectIds":[1002]}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := hubspot.Event{
		ID: "62515/deal.propertyChange/50001/amount/9/1772366400000", Type: "deal.propertyChange", ObjectID: "50001", Property: "amount",
		Portal: "62515", Occurred: start, Attempt: 2,
	}
	if events[0] != want || !events[0].Deal() {
		t.Errorf("event is %+v; want %+v", events[0], want)
	}
	if e := events[1]; e.Type != "contact.creation" || !e.Contact() || e.ObjectID != "1001" {
		t.Errorf("event is %+v", e)
	}
	if e := events[2]; e.ObjectID != "50001" || !e.Deal() {
		t.Errorf("event is %+v", e)
	}
	if e := events[3]; e.Deal() || e.Contact() {
		t.Errorf("event is %+v; want one of neither kind", e)
	}
	if events[4].ObjectID != "1003" || events[5].ObjectID != "1001" {
		t.Errorf("merges are %+v; want what is left of them", events[4:])
	}
	if events[0].ID == events[1].ID {
		t.Error("two events have one id: HubSpot's own is not unique")
	}
}

func TestParseEvents_Refuses(t *testing.T) {
	t.Parallel()
	const good = `{"eventId":1,"portalId":2,"occurredAt":3,"subscriptionType":"deal.creation","objectId":4}`
	for name, body := range map[string]string{
		"nothing": "", "null": "null", "object": good, "two arrays": "[][]", "trailing bracket": "[]]", "no type": `[{"portalId":2,"occurredAt":3,"objectId":4}]`,
		"half a type": `[{"portalId":2,"occurredAt":3,"objectId":4,"subscriptionType":"deal."}]`,
		"no object":   `[{"portalId":2,"occurredAt":3,"subscriptionType":"deal.creation"}]`,
		"no account":  `[{"objectId":2,"occurredAt":3,"subscriptionType":"deal.creation"}]`,
		"no time":     `[{"portalId":2,"objectId":3,"subscriptionType":"deal.creation"}]`,
		"path as id":  `[{"portalId":2,"occurredAt":3,"subscriptionType":"deal.creation","objectId":"../4"}]`,
		"fraction":    `[{"portalId":2,"occurredAt":3,"subscriptionType":"deal.creation","objectId":4.5}]`,
		"endless":     "[" + strings.Repeat(good+",", 1001) + good + "]",
		"huge":        "[" + strings.Repeat(" ", hubspot.MaxWebhook) + "]",
	} {
		if events, err := hubspot.ParseEvents([]byte(body)); err == nil {
			t.Errorf("%s: events are %v", name, events)
		}
	}
	if events, err := hubspot.ParseEvents([]byte("[]")); err != nil || len(events) != 0 {
		t.Errorf("no events are %v, %v", events, err)
	}
}

func FuzzParseEvents(f *testing.F) {
	f.Add([]byte(`[{"eventId":1,"portalId":2,"occurredAt":3,"subscriptionType":"deal.creation","objectId":4}]`))
	f.Add([]byte(`[{"subscriptionType":"object.creation","objectTypeId":"0-3","objectId":"4","portalId":"2","occurredAt":9}]`))
	f.Add([]byte(`[null]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := hubspot.ParseEvents(body)
		if err != nil && events != nil {
			t.Error("events beside an error")
		}
		for _, e := range events {
			if e.ID == "" || e.ObjectID == "" || e.Portal == "" || strings.ContainsAny(e.ObjectID, "/.") || !strings.Contains(e.Type, ".") {
				t.Errorf("event is %+v", e)
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=", "1693657560000", []byte("x"))
	f.Fuzz(func(t *testing.T, signature, stamp string, body []byte) {
		if hubspot.Verify(request(t, signature, stamp), hookURL, body, []string{secret}, start) == nil {
			t.Error("a signature was guessed")
		}
	})
}

// receiver is an endpoint that verifies and keeps what it is sent.
type receiver struct {
	mu     sync.Mutex
	events []hubspot.Event
	forged int
	status int
	world  *world
	url    string
}

func (r *receiver) ServeHTTP(rw http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := hubspot.Verify(q, r.url, body, []string{secret}, r.world.clock.Now()); err != nil {
		r.forged++
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.status != 0 {
		rw.WriteHeader(r.status)
		return
	}
	events, err := hubspot.ParseEvents(body)
	if err != nil {
		r.world.t.Error(err)
	}
	r.events = append(r.events, events...)
}

// take returns the types of what came since the last time.
func (r *receiver) take() []string {
	r.world.clock.pass(0)
	r.mu.Lock()
	defer r.mu.Unlock()
	var types []string
	for _, e := range r.events {
		what := e.Type
		if e.Property != "" {
			what += " " + e.Property
		}
		types = append(types, what)
	}
	r.events = nil
	slices.Sort(types)
	return types
}

func listening(t *testing.T, o options) (*world, *receiver) {
	t.Helper()
	r := &receiver{}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL + "/hooks?from=hub%3Aspot"
	o.endpoint, o.secret = r.url, secret
	r.world = newWorld(t, o)
	return r.world, r
}

func TestWebhooks_OfTheSimulatedCRM_AreVerified(t *testing.T) {
	t.Parallel()
	w, r := listening(t, options{})
	_, d := w.must(contactRequest(), dealRequest())
	got := r.take()
	for _, want := range []string{"contact.creation", "contact.propertyChange email", "deal.creation", "deal.propertyChange amount", "deal.propertyChange dealstage"} {
		if !slices.Contains(got, want) {
			t.Errorf("events are %v; want %s among them: our own changes announce themselves too", got, want)
		}
	}
	w.edit(`{"order": "42", "revenue": 5}`)
	w.edit(`{"order": "42", "revenue": 5}`) // changes nothing
	if got := r.take(); !slices.Equal(got, []string{"deal.propertyChange amount"}) {
		t.Errorf("events are %v", got)
	}
	if err := w.crm.Event([]byte(`{"order": "42", "type": "deal.propertyChange", "copies": 2, "same_id": true}`)); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(0)
	if len(r.events) != 2 || r.events[0] != r.events[1] || r.events[0].ObjectID != d.ID {
		t.Errorf("events are %+v; want two copies of one", r.events)
	}
	r.take()
	if err := w.crm.Event([]byte(`{"order": "42", "forged": true}`)); err != nil {
		t.Fatal(err)
	}
	if got := r.take(); len(got) != 0 || r.forged != 1 {
		t.Errorf("events are %v, %d forged; want none and one", got, r.forged)
	}
	w.crm.Frame().HandleNotifications("", simulator.Drop) // the forged one goes on knocking
	if err := w.crm.Event([]byte(`{"customer": "c1", "type": "contact.propertyChange", "account": "1"}`)); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(0)
	if len(r.events) != 1 || r.events[0].Portal != "1" {
		t.Errorf("events are %+v; want one of another account", r.events)
	}
}

// A delivery that was refused comes again, signed anew, so that it is not too
// old then.
func TestWebhooks_RefusedOnes_ComeAgainWithNewSignature(t *testing.T) {
	t.Parallel()
	w, r := listening(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Customer: "c1"}}}})
	r.take()
	r.status = http.StatusInternalServerError
	w.edit(`{"customer": "c1", "phone": "1"}`)
	if got := r.take(); len(got) != 0 {
		t.Errorf("events are %v", got)
	}
	r.mu.Lock()
	r.status = 0
	r.mu.Unlock()
	w.clock.pass(time.Hour)
	if got := r.take(); len(got) != 1 || r.forged != 0 {
		t.Errorf("events are %v, %d forged", got, r.forged)
	}
}
