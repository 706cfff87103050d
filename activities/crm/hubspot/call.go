package hubspot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
)

// The operations by which requests name themselves.
const (
	lookup   order.Operation = "lookup"
	list     order.Operation = "list"
	settings order.Operation = "settings"
)

// The most that is read of an answer.
const (
	answerLimit = 1 << 20
	listLimit   = 8 << 20
)

// call is one request to HubSpot.
type call struct {
	operation order.Operation
	method    string
	path      string // escaped
	query     url.Values
	body      any // nil: none
	limit     int64
}

// writes says whether the request may change something. HubSpot reads by POST
// too, so that the method does not tell.
func (c call) writes() bool {
	return c.operation == order.Upsert || c.operation == settings && c.method != http.MethodGet
}

// do sends a request once and decodes its answer. The error has a code of
// apierr; its text holds no address, token or value, for all of these may be
// somebody's data.
func (c *Client) do(ctx context.Context, q call, into any) error {
	r, err := c.request(ctx, q)
	if err != nil {
		return apierr.New(apierr.Invalid, "", err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return unanswered(q, err)
	}
	defer func() { _ = resp.Body.Close() }()
	limit := max(q.limit, answerLimit)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return unanswered(q, err)
	}
	if int64(len(body)) > limit {
		return nonsense(q, "an answer of more than "+strconv.FormatInt(limit, 10)+" bytes")
	}
	if resp.StatusCode/100 != 2 {
		return c.refusal(q, resp, body)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return nonsense(q, "an answer that is not the JSON it should be")
	}
	return nil
}

func (c *Client) request(ctx context.Context, q call) (*http.Request, error) {
	address := c.config.BaseURL + q.path
	if len(q.query) > 0 {
		address += "?" + q.query.Encode()
	}
	var body io.Reader
	if q.body != nil {
		data, err := json.Marshal(q.body)
		if err != nil {
			return nil, errors.New("the request cannot be written as JSON")
		}
		body = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, address, body)
	if err != nil {
		return nil, errors.New("the request has no valid address")
	}
	r.GetBody = nil // net/http must not send a body again by itself
	r.Header.Set("Authorization", "Bearer "+c.config.Token)
	r.Header.Set("User-Agent", "trueup ("+string(q.operation)+")")
	r.Header.Set("Accept", "application/json")
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// unanswered is the error of a request that got no whole answer. A write that
// may have left us is in doubt.
func unanswered(q call, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // its text has the address, and that may have an e-mail in it
	}
	code := apierr.Unavailable
	if q.writes() && !unsent(err) {
		code = apierr.InDoubt
	}
	return apierr.New(code, "", fmt.Errorf("no answer: %w", err))
}

// unsent says that no connection was made, so that nothing can have happened.
func unsent(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	o, ok := errors.AsType[*net.OpError](err)
	return ok && o.Op == "dial"
}

// nonsense is the error of an answer that cannot be understood: the write that
// it answers may have happened.
func nonsense(q call, what string) error {
	code := apierr.Garbage
	if q.writes() {
		code = apierr.InDoubt
	}
	return apierr.New(code, "", errors.New(what))
}

// problem is the body of HubSpot's errors. Its messages quote values, so they
// are looked into and never passed on.
type problem struct {
	Status        string `json:"status"`
	CorrelationID string `json:"correlationId"`
	Category      string `json:"category"`
	Message       string `json:"message"`
}

// refusal is the error of an answer with a status that is not 2xx.
func (c *Client) refusal(q call, resp *http.Response, body []byte) error {
	var p problem
	said := json.Unmarshal(body, &p) == nil && (p.CorrelationID != "" || p.Category != "")
	reason := reasonOf(p)
	err := fmt.Errorf("status %d", resp.StatusCode)
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests || status == 477: // 477: the account is being moved
		return &apierr.Error{Code: apierr.RateLimited, Reason: reason, After: c.retryAfter(resp.Header), Err: err}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return apierr.New(apierr.Unauthorized, reason, err)
	case status == http.StatusLocked: // by another change under way; HubSpot asks to wait
		return &apierr.Error{Code: apierr.RateLimited, Reason: reason, After: max(c.retryAfter(resp.Header), 2*time.Second), Err: err}
	case status >= 500:
		if q.writes() {
			return apierr.New(apierr.InDoubt, reason, err)
		}
		return apierr.New(apierr.Unavailable, reason, err)
	case status == http.StatusRequestTimeout:
		return unanswered(q, err)
	case !said:
		// Not HubSpot's own words: a proxy's 404 is no proof that a record is absent.
		return nonsense(q, fmt.Sprintf("status %d without HubSpot's error body", status))
	case status == http.StatusNotFound && q.writes(): // it was deleted since we looked
		return apierr.New(apierr.Conflict, reason, err)
	case status == http.StatusNotFound:
		return apierr.New(apierr.NotFound, reason, err)
	case status == http.StatusConflict || reason == conflictingValue:
		return apierr.New(apierr.Conflict, reason, err)
	}
	return apierr.New(apierr.Invalid, reason, err)
}

const conflictingValue = "CONFLICTING_UNIQUE_VALUE"

// reasons are the codes that HubSpot hides in its messages, the most telling
// first.
var reasons = []string{conflictingValue, "PROPERTY_DOESNT_EXIST", "INVALID_EMAIL", "INVALID_OPTION", "READ_ONLY_VALUE", "MISSING_SCOPES"}

// reasonOf returns HubSpot's own code of an error, or "".
func reasonOf(p problem) string {
	for _, r := range reasons {
		if strings.Contains(p.Message, r) {
			return r
		}
	}
	if strings.Contains(p.Message, "already has that value") {
		return conflictingValue
	}
	if len(p.Category) > 64 || strings.ContainsFunc(p.Category, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') }) {
		return ""
	}
	return p.Category
}

// retryAfter reads seconds or a date; nonsense is no wait at all.
func (c *Client) retryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(c.config.Now()))
	}
	return 0
}

// doubt is for an error that came after something had been written: whatever it
// says, the next attempt must look first.
func doubt(err error) error {
	if err == nil || apierr.CodeOf(err) == apierr.InDoubt {
		return err
	}
	return apierr.New(apierr.InDoubt, apierr.ReasonOf(err), fmt.Errorf("written, but then: %w", err))
}

func is(err error, code apierr.Code) bool { return err != nil && apierr.CodeOf(err) == code }
