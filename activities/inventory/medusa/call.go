package medusa

import (
	"bytes"
	"context"
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
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
)

// Bounds of what is read of an answer.
const (
	maxAnswer = 1 << 20
	maxList   = 8 << 20
)

// The operations that no intent names.
const (
	lookup order.Operation = "lookup"
	list   order.Operation = "list"
)

// call is one request.
type call struct {
	operation order.Operation // for the User-Agent
	method    string
	path      string
	query     url.Values
	body      any // marshalled when not nil
	write     bool
	limit     int64 // bytes of the answer; 0: maxAnswer
}

// do sends the call, signed in, and decodes the answer. A refused sign-in is
// renewed once: what was answered with 401 had no effect.
func (c *Client) do(ctx context.Context, q call, into any) error {
	credentials, err := c.signIn(ctx, false)
	if err != nil {
		return err
	}
	err = c.send(ctx, q, credentials, into)
	if err == nil || apierr.CodeOf(err) != apierr.Unauthorized || c.config.APIKey != "" {
		return err
	}
	if credentials, err = c.signIn(ctx, true); err != nil {
		return err
	}
	return c.send(ctx, q, credentials, into)
}

// signIn returns the Authorization header.
func (c *Client) signIn(ctx context.Context, anew bool) (string, error) {
	if c.config.APIKey != "" {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.config.APIKey+":")), nil
	}
	c.mu.Lock()
	token := c.token
	c.mu.Unlock()
	if token != "" && !anew {
		return "Bearer " + token, nil
	}
	var in struct {
		Token string `json:"token"`
	}
	err := c.send(ctx, call{
		operation: lookup, method: http.MethodPost, path: "/auth/user/emailpass",
		body: map[string]string{"email": c.config.Email, "password": c.config.Password},
	}, "", &in)
	if err == nil && in.Token == "" {
		err = apierr.New(apierr.Garbage, "", errors.New("medusa: the answer has no token"))
	}
	if err != nil {
		return "", fmt.Errorf("sign in: %w", err)
	}
	c.mu.Lock()
	c.token = in.Token
	c.mu.Unlock()
	return "Bearer " + in.Token, nil
}

// send makes one request and no second one.
func (c *Client) send(ctx context.Context, q call, credentials string, into any) error {
	r, err := c.request(ctx, q, credentials)
	if err != nil {
		return apierr.New(apierr.Invalid, "", err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return q.unanswered(err)
	}
	defer func() { _ = resp.Body.Close() }()
	limit := q.limit
	if limit == 0 {
		limit = maxAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return q.unanswered(err)
	}
	if resp.StatusCode/100 != 2 {
		return q.refused(resp, body, c.now())
	}
	if int64(len(body)) > limit {
		return q.nonsense(fmt.Errorf("the answer is longer than %d bytes", limit))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return q.nonsense(errors.New("the answer is not the JSON that it should be"))
	}
	return nil
}

func (c *Client) request(ctx context.Context, q call, credentials string) (*http.Request, error) {
	u := *c.base
	u.Path += q.path
	u.RawQuery = q.query.Encode()
	var body io.Reader
	if q.body != nil {
		data, err := json.Marshal(q.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	// The library sends a request again by itself when it has a body that it can
	// rewind, or is a read without one.
	r.GetBody = nil
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	} else {
		r.Body = io.NopCloser(strings.NewReader(""))
	}
	if credentials != "" {
		r.Header.Set("Authorization", credentials)
	}
	r.Header.Set("User-Agent", "trueup ("+string(q.operation)+")")
	return r, nil
}

// unanswered says what it means that there is no answer: a write may have
// happened unless nothing can have been sent.
func (q call) unanswered(err error) error {
	code := apierr.Unavailable
	if q.write && !neverSent(err) {
		code = apierr.InDoubt
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the address, which names an order
	}
	return apierr.New(code, "", fmt.Errorf("medusa: no answer: %w", err))
}

func neverSent(err error) bool {
	if o, ok := errors.AsType[*net.OpError](err); ok && o.Op == "dial" {
		return true
	}
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// nonsense is an answer that cannot be understood, or is about something else.
func (q call) nonsense(err error) error {
	code := apierr.Garbage
	if q.write {
		code = apierr.InDoubt
	}
	return apierr.New(code, "", fmt.Errorf("medusa: %w", err))
}

// outOfStock is the reason of a Declined reservation.
const outOfStock = "out_of_stock"

// refused says what an error answer means.
func (q call) refused(resp *http.Response, body []byte, now time.Time) error {
	var said struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	understood := json.Unmarshal(body, &said) == nil && said.Type != ""
	text := fmt.Errorf("medusa: HTTP %d", resp.StatusCode)
	if understood {
		text = fmt.Errorf("medusa: %.200s", said.Message)
	}
	of := func(code apierr.Code) error { return apierr.New(code, said.Type, text) }
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return apierr.New(apierr.Unauthorized, said.Type, fmt.Errorf("medusa: HTTP %d", status))
	case status == http.StatusTooManyRequests:
		return &apierr.Error{Code: apierr.RateLimited, After: retryAfter(resp.Header.Get("Retry-After"), now), Err: text}
	case status >= 500 || status == http.StatusConflict: // 409: two requests met; perhaps neither came through
		if q.write {
			return of(apierr.InDoubt)
		}
		return of(apierr.Unavailable)
	case !understood:
		return q.nonsense(text)
	case status == http.StatusNotFound && said.Type == "not_found":
		return of(apierr.NotFound)
	case said.Type == "not_allowed" && strings.HasPrefix(said.Message, "Not enough stock available"):
		return apierr.New(apierr.Declined, outOfStock, text)
	case said.Type == "not_allowed":
		return of(apierr.Declined)
	case said.Type == "invalid_data":
		return of(apierr.Invalid)
	case said.Type == "duplicate_error":
		return of(apierr.Conflict)
	}
	return q.nonsense(text)
}

// retryAfter reads seconds or a date; nonsense is no wait.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
		if n < 0 || n > int(24*time.Hour/time.Second) {
			return 0
		}
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}
