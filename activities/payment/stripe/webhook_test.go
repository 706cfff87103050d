package stripe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

const secret = "whsec_0123456789abcdef0123456789abcdef"

func TestVerify(t *testing.T) {
	t.Parallel()
	now := newClock().Now()
	payload := []byte(`{"id":"evt_1"}`)
	good := gateway.Sign(payload, secret, now)
	other := "whsec_of_somebody_else_entirely"
	stamp, signature, _ := strings.Cut(good, ",")
	for name, c := range map[string]struct {
		header  string
		secrets []string
		now     time.Time
		ok      bool
	}{
		"good":                     {good, []string{secret}, now, true},
		"one of two secrets":       {good, []string{other, secret}, now, true},
		"one of two signatures":    {stamp + ",v1=" + strings.Repeat("00", 32) + "," + signature, []string{secret}, now, true},
		"with v0 beside it":        {good + ",v0=abc", []string{secret}, now, true},
		"old, within the limit":    {good, []string{secret}, now.Add(stripe.Tolerance), true},
		"too old":                  {good, []string{secret}, now.Add(stripe.Tolerance + time.Second), false},
		"ahead, within the limit":  {good, []string{secret}, now.Add(-stripe.Tolerance), true},
		"too far ahead":            {good, []string{secret}, now.Add(-stripe.Tolerance - time.Second), false},
		"another secret":           {good, []string{other}, now, false},
		"no secret":                {good, nil, now, false},
		"an empty secret":          {gateway.Sign(payload, "", now), []string{""}, now, false},
		"a short secret":           {gateway.Sign(payload, "short", now), []string{"short"}, now, false},
		"a short one beside it":    {good, []string{secret, "short"}, now, false},
		"no header":                {"", []string{secret}, now, false},
		"no time":                  {signature, []string{secret}, now, false},
		"no signature":             {stamp, []string{secret}, now, false},
		"only v0":                  {stamp + ",v0" + signature[2:], []string{secret}, now, false},
		"another time":             {stamp[:len(stamp)-1] + "9," + signature, []string{secret}, now, false},
		"two times":                {stamp + "," + stamp + "," + signature, []string{secret}, now, false},
		"a time that is no number": {"t=x," + signature, []string{secret}, now, false},
		"a huge time":              {"t=99999999999999999999," + signature, []string{secret}, now, false},
		"an endless header":        {good + strings.Repeat(",v1=00", 10000), []string{secret}, now, false},
		"a short signature":        {stamp + "," + signature[:20], []string{secret}, now, false},
	} {
		if err := stripe.Verify(payload, c.header, c.secrets, c.now); (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for i := range payload {
		flipped := bytes.Clone(payload)
		flipped[i] ^= 1
		if err := stripe.Verify(flipped, good, []string{secret}, now); !errors.Is(err, stripe.ErrSignature) {
			t.Errorf("byte %d flipped: got %v", i, err)
		}
	}
}

func TestParseEvent(t *testing.T) {
	t.Parallel()
	const envelope = `{"id":"evt_1","object":"event","type":"T","livemode":false,"created":1700000000,"data":{"object":%}}`
	for record, want := range map[string]stripe.Event{
		`{"id":"pi_1","object":"payment_intent","metadata":{"order_id":"42"}}`:                     {PaymentIntent: "pi_1", Order: "42"},
		`{"id":"ch_1","object":"charge","payment_intent":"pi_1","metadata":{"order_id":"42"}}`:     {PaymentIntent: "pi_1", Order: "42"},
		`{"id":"re_1","object":"refund","payment_intent":{"id":"pi_1"},"metadata":{}}`:             {PaymentIntent: "pi_1"},
		`{"id":"du_1","object":"dispute","payment_intent":"pi_1"}`:                                 {PaymentIntent: "pi_1"},
		`{"id":"prv_1","object":"review","payment_intent":null}`:                                   {},
		`{"id":"cus_1","object":"customer","metadata":null}`:                                       {},
		`{"id":"pi_1","object":"payment_intent","metadata":{"order_id":"../etc"}}`:                 {PaymentIntent: "pi_1"},
		`{"id":"pi_1","object":"payment_intent","metadata":{"order_id":7,"other":{"deep":[1,2]}}}`: {PaymentIntent: "pi_1"},
	} {
		want.ID, want.Type, want.Created = "evt_1", "T", time.Unix(1700000000, 0).UTC()
		got, err := stripe.ParseEvent([]byte(strings.Replace(envelope, "%", record, 1)))
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", record, got, err)
		}
	}
	for _, bad := range []string{
		``, `null`, `[]`, `{}`, strings.Replace(envelope, "evt_1", "x", 1), strings.Replace(envelope, "1700000000", "-1", 1),
		strings.Replace(envelope, `"livemode":false,`, ``, 1), strings.Replace(envelope, `"event"`, `"v2.event"`, 1),
		strings.Replace(envelope, "%", `{"id":"pi_/../x","object":"payment_intent"}`, 1), strings.Repeat(" ", 2<<20),
	} {
		if e, err := stripe.ParseEvent([]byte(strings.Replace(bad, "%", `{}`, 1))); err == nil {
			t.Errorf("%.80s: got %+v", bad, e)
		}
	}
}

func TestEvent_Ours(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		event stripe.Event
		ours  bool
	}{
		{stripe.Event{}, true}, {stripe.Event{Account: "acct_1"}, true}, {stripe.Event{Account: "acct_2"}, false}, {stripe.Event{LiveMode: true}, false},
	} {
		if err := c.event.Ours("acct_1", false); (err == nil) != c.ours {
			t.Errorf("%+v: got %v", c.event, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	now := newClock().Now()
	payload := []byte(`{"id":"evt_1"}`)
	good := gateway.Sign(payload, secret, now)
	for _, header := range []string{good, "", "t=1,v1=", "t=,v1=00", "v1=" + strings.Repeat("0", 64) + ",t=1", ",,,===", "t=1,v1=zz,v0=1"} {
		f.Add(payload, header)
	}
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		if stripe.Verify(body, header, []string{secret}, now) == nil && !bytes.Equal(body, payload) {
			t.Fatalf("accepted %q with %q", body, header)
		}
	})
}

func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{
		`{"id":"evt_1","object":"event","type":"payment_intent.succeeded","livemode":true,"created":1,"data":{"object":{"id":"pi_1","object":"payment_intent","metadata":{"order_id":"42"}}}}`,
		`{"id":"evt_1","object":"event","type":"refund.failed","livemode":false,"created":1,"account":"acct_1","data":{"object":{"payment_intent":{"id":"pi_1"}}}}`,
		`{"data":{"object":{"payment_intent":[],"metadata":[]}}}`, `{`, `null`, "\xff", strings.Repeat(`{"data":`, 1000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := stripe.ParseEvent(payload)
		if err != nil {
			return
		}
		if e.ID == "" || e.Type == "" || e.Created.IsZero() {
			t.Fatalf("accepted %q as %+v", payload, e)
		}
		if e.Order != "" {
			if _, err := order.ParseID(string(e.Order)); err != nil {
				t.Fatalf("accepted the order %q", e.Order)
			}
		}
	})
}

// inbox is a webhook endpoint that keeps what verifies.
type inbox struct {
	got chan stripe.Event
	bad chan error
}

func newInbox(t *testing.T) (*inbox, string) {
	t.Helper()
	in := &inbox{got: make(chan stripe.Event, 100), bad: make(chan error, 100)}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = stripe.Verify(body, r.Header.Get("Stripe-Signature"), []string{secret}, time.Now()) // the sender's clock is the real one
		}
		e, errParse := stripe.ParseEvent(body)
		if err = errors.Join(err, errParse); err != nil {
			in.bad <- err
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		in.got <- e
	}))
	t.Cleanup(listener.Close)
	return in, listener.URL
}

func (in *inbox) next(t *testing.T) stripe.Event {
	t.Helper()
	select {
	case e := <-in.got:
		return e
	case err := <-in.bad:
		t.Fatal(err)
	case <-time.After(10 * time.Second):
		t.Fatal("no webhook came")
	}
	return stripe.Event{}
}

// of takes events until one of the type comes.
func (in *inbox) of(t *testing.T, kind string) stripe.Event {
	t.Helper()
	for {
		if e := in.next(t); e.Type == kind {
			return e
		}
	}
}

func newSender(t *testing.T) (*gateway.Server, *inbox) {
	t.Helper()
	in, url := newInbox(t)
	server, err := gateway.New(simulator.Options{Endpoint: url, Secret: secret}, gateway.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server, in
}

func send(t *testing.T, s *gateway.Server, v map[string]any) {
	t.Helper()
	raw, err := json.Marshal(v)
	if err == nil {
		err = s.Event(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWebhooks_TellOfChanges(t *testing.T) {
	t.Parallel()
	server, in := newSender(t)
	id, err := server.Start("42", gateway.Checkout{Amount: total, Currency: "EUR", Method: "pm_card_visa", Capture: order.CaptureAtOnce})
	if err != nil {
		t.Fatal(err)
	}
	if e := in.of(t, "payment_intent.succeeded"); e.Order != "42" || e.PaymentIntent != id || e.LiveMode || e.ID == "" {
		t.Fatalf("got %+v", e)
	}
	send(t, server, map[string]any{"type": "dispute.opened", "order": "42"})
	if e := in.of(t, "charge.dispute.created"); e.PaymentIntent != id {
		t.Fatalf("got %+v", e)
	}
}

func TestWebhooks_Copies_SameID_Account(t *testing.T) {
	t.Parallel()
	server, in := newSender(t)
	send(t, server, map[string]any{"type": "payment.captured", "order": "42", "copies": 2, "account": "acct_other"})
	first, second := in.next(t), in.next(t)
	if first != second || first.Order != "42" || first.Account != "acct_other" || first.Type != "payment_intent.succeeded" {
		t.Fatalf("got %+v and %+v", first, second)
	}
	send(t, server, map[string]any{"type": "payment.captured", "order": "42"})
	third := in.next(t)
	if third.ID == first.ID {
		t.Fatalf("got the id %s again", third.ID)
	}
	send(t, server, map[string]any{"type": "payment.captured", "order": "42", "same_id": true})
	if e := in.next(t); e.ID != third.ID {
		t.Fatalf("got the id %s, want %s", e.ID, third.ID)
	}
}

func TestWebhooks_Forged_DoNotVerify(t *testing.T) {
	t.Parallel()
	server, in := newSender(t)
	send(t, server, map[string]any{"type": "payment.captured", "order": "42", "forged": true})
	select {
	case err := <-in.bad:
		if !errors.Is(err, stripe.ErrSignature) {
			t.Fatal(err)
		}
	case e := <-in.got:
		t.Fatalf("accepted %+v", e)
	case <-time.After(10 * time.Second):
		t.Fatal("no webhook came")
	}
}

func TestOrderOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	a := w.authorize("42", total)
	if of, err := w.client.OrderOf(t.Context(), a.ID); err != nil || of != "42" {
		t.Fatalf("got %q, %v", of, err)
	}
	id, err := w.server.Start("43", gateway.Checkout{Amount: 1, Currency: "EUR", Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	if of, err := w.client.OrderOf(t.Context(), id); err != nil || of != "" {
		t.Fatalf("got %q, %v", of, err)
	}
}
