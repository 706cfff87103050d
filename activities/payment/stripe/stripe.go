// Package stripe is the payment gateway at Stripe: PaymentIntents, refunds,
// disputes and reviews. An attempt to pay is a PaymentIntent; ours carry the
// order, the key of the intent that made them and the channel in their metadata.
//
// Every write carries our own key as Idempotency-Key, so inside Stripe's key
// window the repeat of a call in doubt is its look-up. Nothing here retries, and
// neither does the library beneath. Payments are found by id and by listing,
// never by Stripe's Search, which lags.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/reconcile"
)

// Abilities are what Stripe can do. It keeps keys for at least a day; reads by
// id and listings show every write that was answered.
var Abilities = reconcile.Abilities{
	KeyWindow:    24 * time.Hour,
	StrongLookup: true,
	Lateness:     2 * time.Minute, // Stripe ends a request that takes longer than 80 s
	Announces:    true,
	PageLimit:    100,
}

// The names under which our references stand in a record's metadata.
const (
	metadataOrder   = "order_id"
	metadataKey     = "intent_key"
	metadataChannel = "channel"
	metadataReason  = "reason"
	metadataAdopted = "adopted" // "true": a checkout made it, and the key is of the intent that took it over

	metadataCustomer = "customer_id" // the service's own, of a customer
)

// Config is what a Client needs to know.
type Config struct {
	APIKey string // secret or restricted key
	// BaseURL is empty for the real API.
	BaseURL string
	// Channel marks records as ours when an order names no channel itself.
	Channel string
	// Account is the id of the account that the key must belong to ("acct_…").
	// It is checked before the first answer that something is absent, because
	// with the key of another account everything is. Empty: not checked.
	Account string
	// LiveMode says which records are ours: those of live mode or of test mode.
	LiveMode bool
	// ReturnURL is where a customer comes back to after a redirect; without it
	// only methods that need no redirect are accepted.
	ReturnURL string
	// LookupPages is how many pages of PaymentIntents a look-up reads by itself; 0
	// stands for 10. What was made before them is read once for all look-ups, in
	// RollPages pages at most; 0 stands for 30,000. What would need more is an
	// error, not a guess.
	LookupPages int
	RollPages   int
	Now         func() time.Time
	Transport   http.RoundTripper // nil: one of its own
	Timeout     time.Duration     // of one request; 0: 10 s
}

// Client is a payment.Gateway.
type Client struct {
	config  Config
	api     *api.Client
	backend api.Backend
	account atomic.Bool // the key was seen to belong to Config.Account
	roll    roll
	recent  roll // of look-ups afresh
	late    roll // of those about orders that come late

	indexing sync.Mutex
	index    *index // of all rolls
}

var _ payment.Gateway = (*Client)(nil)

// New returns a Client, or an error that names every setting that is missing or
// wrong.
func New(c Config) (*Client, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("stripe: %w", err)
	}
	if c.LookupPages == 0 {
		c.LookupPages = 10
	}
	if c.RollPages == 0 {
		c.RollPages = 30_000
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	base := c.Transport
	if base == nil {
		// The usual one keeps two idle connections, and opens one for each call beyond them.
		base = &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second}
	}
	backend := api.GetBackendWithConfig(api.APIBackend, &api.BackendConfig{
		EnableTelemetry: api.Bool(false),
		HTTPClient: &http.Client{
			Transport: &transport{base: base},
			Timeout:   c.Timeout,
			// A redirected write would be sent again.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		LeveledLogger:     &api.LeveledLogger{Level: api.LevelNull},
		MaxNetworkRetries: api.Int64(0),
		URL:               api.String(baseURL(c.BaseURL)),
	})
	client := api.NewClient(c.APIKey, api.WithBackends(&api.Backends{API: backend, Connect: backend, Uploads: backend, MeterEvents: backend}))
	return &Client{config: c, api: client, backend: backend, roll: newRoll(), recent: newRoll(), late: newRoll()}, nil
}

func (c Config) validate() error {
	var problems []error
	if c.APIKey == "" {
		problems = append(problems, errors.New("APIKey is missing"))
	}
	if c.Channel == "" {
		problems = append(problems, errors.New("Channel is missing"))
	}
	if c.Now == nil {
		problems = append(problems, errors.New("Now is missing"))
	}
	if c.Timeout < 0 || c.LookupPages < 0 || c.RollPages < 0 {
		problems = append(problems, errors.New("Timeout, LookupPages and RollPages must not be negative"))
	}
	// "sk_live_…", "rk_test_…": the key itself says which mode it is for.
	if live := strings.Contains(c.APIKey, "_live_"); live && !c.LiveMode || c.LiveMode && strings.Contains(c.APIKey, "_test_") {
		problems = append(problems, fmt.Errorf("LiveMode is %t, but the API key is for the other mode", c.LiveMode))
	}
	if u, err := url.Parse(baseURL(c.BaseURL)); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		problems = append(problems, errors.New("BaseURL is not an http or https address"))
	}
	if c.Account != "" && !strings.HasPrefix(c.Account, "acct_") {
		problems = append(problems, errors.New(`Account does not begin with "acct_"`))
	}
	return errors.Join(problems...)
}

func baseURL(s string) string {
	if s == "" {
		s = api.APIURL
	}
	return strings.TrimRight(s, "/")
}

// verifyAccount makes sure, once, that the key belongs to the configured
// account: with another account's key everything would be absent.
func (c *Client) verifyAccount(ctx context.Context, subject string) error {
	if c.config.Account == "" || c.account.Load() {
		return nil
	}
	ctx, x := c.begin(ctx, "lookup", false)
	a, err := c.api.V1Accounts.Retrieve(ctx, &api.AccountRetrieveParams{})
	if err != nil {
		return x.fail(subject, err)
	}
	if a.ID != c.config.Account {
		return x.garbage(subject, "the API key belongs to another account")
	}
	c.account.Store(true)
	return nil
}
