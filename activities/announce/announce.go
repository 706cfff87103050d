// Package announce tells the outside world that a case waits for a person: one
// signed POST for each announcement, in the form of Standard Webhooks, to one
// address that an operator sets.
package announce

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// GoneReason is the reason of the error when the receiver answers 410: it wants
// no more of these, so that the announcement is not tried again.
const GoneReason = "gone"

// timeout bounds one POST.
const timeout = 10 * time.Second

// prefix begins a secret, before its base64.
const prefix = "whsec_"

// The bytes that a secret may have.
const (
	leastKey = 24
	mostKey  = 64
)

// Receiver is where announcements go. It is safe for use by many goroutines.
type Receiver struct {
	address string
	keys    [][]byte
	client  *http.Client
	now     func() time.Time

	mu sync.Mutex
	// away is until when it is not called, for it did not answer: with many cases
	// at once, those that wait for it in vain would hold up all else that this
	// worker has to do.
	away time.Time
}

// pause is for how long a receiver that does not answer is not called.
const pause = 5 * time.Second

// Message is one announcement. The same ID is the same announcement: a receiver
// drops what it has seen.
type Message struct {
	ID   string
	Type string // as "case.opened"
	At   time.Time
	Data any // marshalled to JSON
}

// New returns the receiver at an address, to which is signed with each of the
// secrets, over a transport (nil: the usual one). Its error is that of Check.
func New(address string, secrets []string, transport http.RoundTripper, now func() time.Time) (*Receiver, error) {
	if err := Check(address, secrets); err != nil {
		return nil, err
	}
	r := &Receiver{address: address, now: now, client: &http.Client{
		Timeout: timeout, Transport: transport,
		// Where it leads to was not agreed on: a redirect is an answer like any other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, s := range secrets {
		key, _ := keyOf(s)
		r.keys = append(r.keys, key)
	}
	return r, nil
}

// Check names everything that is wrong with an address and its secrets at once.
// No text has the address or a secret in it.
func Check(address string, secrets []string) error {
	var problems []error
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		problems = append(problems, errors.New("TRUEUP_CASES_URL is not an https address"))
	case u.User != nil || u.Fragment != "":
		problems = append(problems, errors.New("TRUEUP_CASES_URL has a user or a fragment; who posts is told by the signature"))
	case u.Scheme == "http" && !loopback(u.Hostname()):
		problems = append(problems, errors.New("TRUEUP_CASES_URL is http and not on this machine; want https, or http to a loopback address"))
	}
	if len(secrets) == 0 {
		problems = append(problems, errors.New("TRUEUP_CASES_SECRET is missing, but TRUEUP_CASES_URL is set: what is not signed could be from anybody"))
	}
	for n, s := range secrets {
		if _, err := keyOf(s); err != nil {
			problems = append(problems, fmt.Errorf("TRUEUP_CASES_SECRET number %d %w", n+1, err))
		}
	}
	return errors.Join(problems...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func keyOf(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(secret), prefix)
	if !ok {
		return nil, fmt.Errorf("does not begin with %q", prefix)
	}
	key, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("is not base64 after %q", prefix)
	case len(key) < leastKey || len(key) > mostKey:
		return nil, fmt.Errorf("has %d bytes; want %d to %d, as of: openssl rand -base64 32", len(key), leastKey, mostKey)
	}
	return key, nil
}

// envelope is the body.
type envelope struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// Post sends an announcement once. Its errors have codes of package apierr:
// Invalid with GoneReason when the receiver wants no more, RateLimited with how
// long to wait, and Unavailable for everything else, for whoever mends the
// receiver should still get it.
func (r *Receiver) Post(ctx context.Context, m Message) error {
	body, err := json.Marshal(envelope{m.Type, m.At, m.Data})
	if err != nil {
		return apierr.New(apierr.Invalid, "", fmt.Errorf("write the announcement: %w", err))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.address, bytes.NewReader(body))
	if err != nil {
		return apierr.New(apierr.Invalid, "", errors.New("the address of the receiver is wrong"))
	}
	moment := strconv.FormatInt(r.now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "trueup")
	request.Header.Set("webhook-id", m.ID)
	request.Header.Set("webhook-timestamp", moment)
	request.Header.Set("webhook-signature", r.sign(m.ID, moment, body))
	if r.isAway() {
		return apierr.New(apierr.Unavailable, "", errors.New("the receiver did not answer a moment ago"))
	}
	response, err := r.client.Do(request)
	if err != nil {
		r.didNotAnswer()
		// What wraps it names the address, which may have a token in it.
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return apierr.New(apierr.Unavailable, "", fmt.Errorf("the receiver does not answer: %w", err))
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection is used again
	return r.answered(response)
}

func (r *Receiver) isAway() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now().Before(r.away)
}

func (r *Receiver) didNotAnswer() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = r.now().Add(pause)
}

// answered tells whether the receiver has taken an announcement.
func (r *Receiver) answered(response *http.Response) error {
	said := fmt.Errorf("the receiver answered %s", response.Status)
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusGone:
		return apierr.New(apierr.Invalid, GoneReason, said)
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		if after := r.after(response.Header.Get("Retry-After")); after > 0 {
			return &apierr.Error{Code: apierr.RateLimited, After: after, Err: said}
		}
	}
	return apierr.New(apierr.Unavailable, "", said)
}

// after reads a Retry-After: seconds, or a date; 0 when there is none.
func (r *Receiver) after(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return min(max(0, time.Duration(seconds)*time.Second), apierr.MaxWait)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, at.Sub(r.now())), apierr.MaxWait)
	}
	return 0
}

// sign returns one signature for each key, of which a receiver needs one.
func (r *Receiver) sign(id, moment string, body []byte) string {
	var all []string
	for _, key := range r.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + moment + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}
