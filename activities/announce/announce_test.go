package announce_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/announce"
	"github.com/trueup-orders/trueup/activities/apierr"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// call is what a receiver got.
type call struct {
	header http.Header
	body   string
}

// post sends one announcement to a receiver that answers so, and returns what it
// got.
func post(t *testing.T, secrets []string, m announce.Message, answer http.HandlerFunc) (call, error) {
	t.Helper()
	came := make(chan call, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		came <- call{r.Header, string(body)}
		answer(w, r)
	}))
	defer server.Close()
	r, err := announce.New(server.URL, secrets, nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Post(t.Context(), m)
	return <-came, err
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// The published algorithm, written down once more: base64 of HMAC-SHA256 of
// id.timestamp.body with the bytes behind whsec_.
func signature(t *testing.T, secret, id, moment, body string) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, id+"."+moment+"."+body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// The vector that the Standard Webhooks libraries are tested with holds the
// algorithm above; the receiver holds us to it.
func TestSignature_PublishedVector(t *testing.T) {
	t.Parallel()
	got := signature(t, secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestPost_SignedWithEachSecret(t *testing.T) {
	t.Parallel()
	other := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 64)))
	data := map[string]any{"order": "1", "case": 2}
	got, err := post(t, []string{secret, " " + other}, announce.Message{ID: "case_1", Type: "case.opened", At: noon.Add(-time.Hour), Data: data}, status(http.StatusAccepted))
	if err != nil {
		t.Fatal(err)
	}
	moment := got.header.Get("webhook-timestamp")
	want := signature(t, secret, "case_1", moment, got.body) + " " + signature(t, other, "case_1", moment, got.body)
	if moment != "1767355200" || got.header.Get("webhook-id") != "case_1" || got.header.Get("webhook-signature") != want ||
		got.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v, want the signature %q", got.header, want)
	}
	var body struct {
		Type      string
		Timestamp time.Time
		Data      map[string]any
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || body.Type != "case.opened" || !body.Timestamp.Equal(noon.Add(-time.Hour)) || body.Data["order"] != "1" {
		t.Errorf("body %s: %v", got.body, err)
	}
}

func TestPost_Answers(t *testing.T) {
	t.Parallel()
	retryAfter := func(code int, after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(code)
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   apierr.Code
		after  time.Duration
	}{
		"taken":     {answer: status(http.StatusOK)},
		"created":   {answer: status(http.StatusCreated)},
		"gone":      {answer: status(http.StatusGone), code: apierr.Invalid},
		"not found": {answer: status(http.StatusNotFound), code: apierr.Unavailable},
		"broken":    {answer: status(http.StatusInternalServerError), code: apierr.Unavailable},
		"leads elsewhere": {answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		}, code: apierr.Unavailable},
		"busy":                    {answer: retryAfter(http.StatusTooManyRequests, "30"), code: apierr.RateLimited, after: 30 * time.Second},
		"busy for a day":          {answer: retryAfter(http.StatusServiceUnavailable, "86400"), code: apierr.RateLimited, after: apierr.MaxWait},
		"busy until a date":       {answer: retryAfter(http.StatusServiceUnavailable, noon.Add(time.Minute).Format(http.TimeFormat)), code: apierr.RateLimited, after: time.Minute},
		"busy until nobody knows": {answer: retryAfter(http.StatusServiceUnavailable, "soon"), code: apierr.Unavailable},
		"hangs up":                {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, code: apierr.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			_, err := post(t, []string{secret}, announce.Message{ID: "x"}, func(w http.ResponseWriter, r *http.Request) {
				if calls++; calls > 1 {
					t.Error("it was called again at once")
				}
				c.answer(w, r)
			})
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			after := time.Duration(0)
			if e, ok := err.(*apierr.Error); ok { //nolint:errorlint // it is what Post returns
				after = e.After
			}
			if apierr.CodeOf(err) != c.code || after != c.after {
				t.Errorf("%v, after %s; want %s after %s", err, after, c.code, c.after)
			}
		})
	}
}

func TestPost_SlowReceiver_BoundedByTheCaller(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed that the caller has gone
		close(hanging)
		<-r.Context().Done()
	}))
	defer server.Close()
	r, err := announce.New(server.URL+"/hook?token=sesame", []string{secret}, nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-hanging; cancel() }()
	if err := r.Post(ctx, announce.Message{ID: "x"}); apierr.CodeOf(err) != apierr.Unavailable || strings.Contains(err.Error(), "sesame") {
		t.Errorf("the error is %v", err)
	}
}

// One that does not answer is left alone for a moment, so that a thousand cases do
// not wait for it one after the other; one that answers, however badly, is not.
func TestPost_DoesNotAnswer_LeftAloneForAMoment(t *testing.T) {
	t.Parallel()
	now := noon
	var calls atomic.Int64
	var hangsUp atomic.Bool
	hangsUp.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1); hangsUp.Load() {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	r, err := announce.New(server.URL, []string{secret}, nil, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	post := func(want int64) {
		t.Helper()
		if err := r.Post(t.Context(), announce.Message{ID: "x"}); apierr.CodeOf(err) != apierr.Unavailable || calls.Load() != want {
			t.Errorf("called %d times, want %d: %v", calls.Load(), want, err)
		}
	}
	post(1)
	post(1)
	now = now.Add(5 * time.Second)
	hangsUp.Store(false)
	post(2)
	post(3)
}

func TestCheck_NamesEverythingAtOnce(t *testing.T) {
	t.Parallel()
	short := "whsec_" + base64.StdEncoding.EncodeToString([]byte("short"))
	for _, c := range []struct {
		name, url string
		secrets   []string
		says      []string // none: it is right
	}{
		{"right", "https://alerts.example.com/hook?team=1", []string{secret}, nil},
		{"on this machine", "http://127.0.0.1:9/hook", []string{secret}, nil},
		{"on this machine, version 6", "http://[::1]:9/hook", []string{secret}, nil},
		{"no address", "alerts.example.com", []string{secret}, []string{"TRUEUP_CASES_URL is not an https address"}},
		{"another protocol", "ftp://alerts.example.com", []string{secret}, []string{"is not an https address"}},
		{"not encrypted", "http://alerts.example.com", []string{secret}, []string{"want https"}},
		{"with a user", "https://ada:pass@alerts.example.com", []string{secret}, []string{"has a user"}},
		{"no secret", "https://alerts.example.com", nil, []string{"TRUEUP_CASES_SECRET is missing"}},
		{"all wrong", "http://alerts.example.com", []string{"sesame", "whsec_?", short, secret}, []string{
			"want https", "number 1 does not begin", "number 2 is not base64", "number 3 has 5 bytes",
		}},
	} {
		err := announce.Check(c.url, c.secrets)
		if (err == nil) != (len(c.says) == 0) {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, says := range c.says {
			if err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q does not say %q", c.name, err, says)
			}
		}
		if err != nil && (strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "pass")) {
			t.Errorf("%s: a secret is in %q", c.name, err)
		}
	}
}
