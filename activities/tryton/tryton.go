// Package tryton speaks Tryton 6's JSON-RPC: one POST per call to
// http://host:port/<database>/, a session that starts with a login, and
// business errors that come with HTTP 200. The warehouse's and the ERP's
// adapters share it; what the calls mean is theirs to know.
package tryton

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// DefaultTimeout bounds one call when the Config gives no other.
const DefaultTimeout = 10 * time.Second

// The most that is read of one answer.
const (
	maxAnswer = 1 << 20
	maxList   = 8 << 20
)

// Config says how to reach one database of one Tryton server.
type Config struct {
	URL      string // with the database: http://127.0.0.1:8000/warehouse/
	User     string
	Password string
	// Transport carries the requests; nil is one of its own.
	Transport http.RoundTripper
	Timeout   time.Duration // of one call; 0 is DefaultTimeout
}

// Problems returns what is missing or wrong, in the words of an operator.
func (c Config) Problems() []string {
	var problems []string
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		problems = append(problems, "URL is missing")
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		problems = append(problems, "URL is not an http or https address")
	case strings.Trim(u.Path, "/") == "":
		problems = append(problems, "URL has no database, as in http://host:8000/database/")
	}
	if c.User == "" {
		problems = append(problems, "User is missing")
	}
	if c.Password == "" {
		problems = append(problems, "Password is missing")
	}
	if c.Timeout < 0 {
		problems = append(problems, "Timeout is negative")
	}
	return problems
}

// Client calls one database. It logs in when it has to, and again once when its
// session is refused; it repeats nothing else.
type Client struct {
	config Config
	url    string
	http   *http.Client

	opening chan struct{} // one logs in at a time; a buffer of one

	mu      sync.Mutex     // guards what was learnt, never held while asking
	session string         // the value of the Authorization header
	user    int64          // our id there
	context map[string]any // the user's preferences: company, language, groups
	calls   int64
	known   map[string]known // ids of settings, by model and code

	settings basis // what every write is built on: see basis.go
}

// known is an id that was found once, and how.
type known struct {
	id int64
	reading
}

// New returns a client, or one error that names everything missing.
func New(c Config) (*Client, error) {
	if problems := c.Problems(); len(problems) > 0 {
		return nil, fmt.Errorf("tryton: %s", strings.Join(problems, "; "))
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			// The usual one keeps two, and under load nearly every call would begin with
			// a new connection.
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16,
			// A write that meets the server closing an idle one is in doubt: be earlier.
			IdleConnTimeout: time.Second,
		}
	}
	return &Client{
		config: c, url: strings.TrimRight(c.URL, "/") + "/", known: map[string]known{}, opening: make(chan struct{}, 1),
		http: &http.Client{
			Transport: c.Transport, Timeout: c.Timeout,
			// A redirected POST would be sent again as a GET.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Call is one call of a model's method.
type Call struct {
	// Operation names what the caller is about, for the User-Agent.
	Operation string
	Model     string // as "stock.shipment.out"
	Method    string // as "wait"
	Args      []any  // without the context, which is added
	Context   map[string]any
	// Write says that an answer that was lost may hide an effect.
	Write bool
	// Large answers are lists.
	Large bool
}

// Do makes a call and decodes its result into result, unless that is nil.
func (c *Client) Do(ctx context.Context, call Call, result any) error {
	method := "model." + call.Model + "." + call.Method
	for attempt := 0; ; attempt++ {
		session, preferences, err := c.open(ctx, call.Operation)
		if err != nil {
			return err
		}
		callContext := make(map[string]any, len(preferences)+len(call.Context))
		for k, v := range preferences {
			callContext[k] = v
		}
		for k, v := range call.Context {
			callContext[k] = v
		}
		args := append(append(make([]any, 0, len(call.Args)+1), call.Args...), callContext)
		raw, err := c.post(ctx, request{
			operation: call.Operation, method: method, params: args, session: session, write: call.Write, large: call.Large,
		})
		// A refused session has had no effect: Tryton also refuses one that is
		// merely too old for a posting, which a new log-in mends.
		if apierr.CodeOf(err) == apierr.Unauthorized && attempt == 0 && err != nil {
			c.forget(session)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		return c.decode(raw, result, call.Write, method)
	}
}

func (c *Client) decode(raw json.RawMessage, result any, write bool, method string) error {
	if result == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(result); err != nil {
		return nonsense(write, fmt.Errorf("%s: the result is not what it answers: %w", method, err))
	}
	return nil
}

// User returns our own user id; it is known after the first call.
func (c *Client) User() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}

// Company returns the id of the company that the user works in.
func (c *Client) Company(ctx context.Context, operation string) (int64, error) {
	_, preferences, err := c.open(ctx, operation)
	if err != nil {
		return 0, err
	}
	n, ok := preferences["company"].(json.Number)
	if !ok {
		return 0, apierr.New(apierr.Invalid, "no company", errors.New("the user has no company in its preferences; set one in Tryton"))
	}
	return n.Int64()
}

// open returns the session, and logs in when there is none.
func (c *Client) open(ctx context.Context, operation string) (string, map[string]any, error) {
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return "", nil, apierr.New(apierr.Unavailable, "", fmt.Errorf("wait for another log-in: %w", ctx.Err()))
	}
	if session, preferences := c.opened(); session != "" {
		return session, preferences, nil
	}
	raw, err := c.post(ctx, request{
		operation: operation, method: "common.db.login",
		params: []any{c.config.User, map[string]string{"password": c.config.Password}, "en"},
	})
	if err != nil {
		return "", nil, fmt.Errorf("log in: %w", err)
	}
	var login []any
	if err := c.decode(raw, &login, false, "common.db.login"); err != nil {
		return "", nil, err
	}
	user, key := loginAnswer(login)
	if key == "" {
		return "", nil, nonsense(false, errors.New("log in: the answer is not a user and a session"))
	}
	session := "Session " + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s:%d:%s", c.config.User, user, key))
	raw, err = c.post(ctx, request{
		operation: operation, method: "model.res.user.get_preferences", params: []any{true, map[string]any{}}, session: session,
	})
	if err != nil {
		return "", nil, fmt.Errorf("read the user's preferences: %w", err)
	}
	preferences := map[string]any{}
	if err := c.decode(raw, &preferences, false, "get_preferences"); err != nil {
		return "", nil, err
	}
	preferences["language"] = "en"
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.user, c.context = session, user, preferences
	return session, preferences, nil
}

func (c *Client) opened() (session string, preferences map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.context
}

func loginAnswer(login []any) (int64, string) {
	if len(login) != 2 {
		return 0, ""
	}
	n, isNumber := login[0].(json.Number)
	key, isText := login[1].(string)
	if !isNumber || !isText {
		return 0, ""
	}
	user, err := n.Int64()
	if err != nil {
		return 0, ""
	}
	return user, key
}

func (c *Client) remembered(name string) (k known, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, found = c.known[name]
	return k, found
}

func (c *Client) remember(name string, k known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[name] = k
}

// forgetRead forgets what is remembered of the database, one of which was misread.
func (c *Client) forgetRead() {
	c.settings.forget()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = map[string]known{}
}

// forget drops a session, unless another call has already replaced it.
func (c *Client) forget(session string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == session {
		c.session = ""
	}
}

type request struct {
	operation string
	method    string
	params    []any
	session   string
	write     bool
	large     bool
}

func (c *Client) post(ctx context.Context, r request) (json.RawMessage, error) {
	id := c.number()
	body, err := json.Marshal(map[string]any{"id": id, "method": r.method, "params": r.params})
	if err != nil {
		return nil, apierr.New(apierr.Invalid, "", fmt.Errorf("encode the call: %w", err))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, apierr.New(apierr.Invalid, "", fmt.Errorf("make the request: %w", err))
	}
	req.GetBody = nil // nothing may send it a second time
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "trueup ("+r.operation+")")
	if r.session != "" {
		req.Header.Set("Authorization", r.session)
	}
	if err := ctx.Err(); err != nil {
		return nil, apierr.New(apierr.Unavailable, "", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, transportError(err, r.write)
	}
	defer func() { _ = resp.Body.Close() }()
	limit := int64(maxAnswer)
	if r.large {
		limit = maxList
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, transportError(err, r.write)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp, r.write)
	}
	if int64(len(data)) > limit {
		return nil, nonsense(r.write, fmt.Errorf("the answer is longer than %d bytes", limit))
	}
	return answer(data, id, r.write)
}

// number counts the calls, so that an answer to another call is noticed.
func (c *Client) number() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	return c.calls
}

func answer(data []byte, id int64, write bool) (json.RawMessage, error) {
	var a struct {
		ID     *int64          `json:"id"`
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, nonsense(write, errors.New("the answer is not JSON-RPC"))
	}
	if a.ID == nil || *a.ID != id {
		return nil, nonsense(write, errors.New("the answer is to another call"))
	}
	if len(a.Error) > 0 && string(a.Error) != "null" {
		return nil, rpcError(a.Error, write)
	}
	if a.Result == nil {
		return nil, nonsense(write, errors.New("the answer has neither a result nor an error"))
	}
	return a.Result, nil
}
