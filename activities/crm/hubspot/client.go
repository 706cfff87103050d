// Package hubspot keeps contacts and deals in HubSpot (CRM API v3, associations
// v4), with a private app's token.
//
// What we write is found again by unique properties that are ours: a contact's
// trueup_customer_id and a deal's trueup_order_id, which HubSpot keeps unique
// by refusing a second record. So an order's deal and a customer's contact are
// read by id, then created or changed; a create that comes twice or late is
// refused, and the record that is there is taken. HubSpot has no preconditions:
// a change that comes late may put an older stage or amount back, which
// reconciliation sees and mends.
//
// An abandoned cart is a deal that the shop makes: in the stage
// Config.AbandonedStage, with the unique property trueup_cart_id, associated
// with the customer's contact, which may know no more than an e-mail address.
// We only ever close one. The order's own deal names the cart that became it in
// trueup_from_cart, for trueup_cart_id is taken by the cart.
//
// Consent (hs_email_optout), the lifecycle stage, the owner and every field that
// somebody filled are never written.
package hubspot

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/reconcile"
)

// Our own properties; EnsureProperties makes them.
const (
	PropertyCustomer = "trueup_customer_id" // of contacts, unique
	PropertyOrder    = "trueup_order_id"    // of deals, unique
	PropertyCart     = "trueup_cart_id"     // of deals that are carts, unique
	PropertyFromCart = "trueup_from_cart"   // of an order's deal: the cart that became it
	PropertyChannel  = "trueup_channel"     // of an order's deal
)

// Abilities of HubSpot. A get by unique property is strong; a search lags some
// seconds behind, half a minute when HubSpot is busy.
var Abilities = reconcile.Abilities{
	KeyWindow:     0,
	StrongLookup:  true,
	VisibilityLag: 30 * time.Second,
	Lateness:      time.Minute,
	Announces:     true,
	PageLimit:     searchLimit,
}

// Config says which HubSpot account to use and how its deals are laid out.
type Config struct {
	// BaseURL is https://api.hubapi.com but for tests.
	BaseURL string
	// Token is the private app's access token. It needs the scopes
	// crm.objects.contacts.read/write, crm.objects.deals.read/write and
	// crm.schemas.contacts.write, crm.schemas.deals.write.
	Token string
	// Channel is written to our deals; a deal of the channel without an order
	// is an orphan.
	Channel string
	// Pipeline and its stages, by their internal ids. A deal in any other stage
	// is open, unless HubSpot says that the stage is a closed one.
	Pipeline       string
	OpenStage      string
	WonStage       string
	LostStage      string
	AbandonedStage string
	// CartWindow is how long after an order was placed a cart may be made that
	// still belongs to it (carts are announced late); default one day. A later
	// one is the customer's next cart.
	CartWindow time.Duration
	Now        func() time.Time
	Transport  http.RoundTripper // nil: one of its own
	Timeout    time.Duration     // of one request; default 10 s
}

// Client is the CRM kept in HubSpot.
type Client struct {
	config Config
	http   *http.Client
}

var _ crm.Book = (*Client)(nil)

// New returns a client, or one error that names every setting which is missing
// or wrong.
func New(c Config) (*Client, error) {
	var problems []string
	for _, s := range []struct{ name, value string }{
		{"BaseURL", c.BaseURL}, {"Token", c.Token}, {"Channel", c.Channel}, {"Pipeline", c.Pipeline},
		{"OpenStage", c.OpenStage}, {"WonStage", c.WonStage}, {"LostStage", c.LostStage}, {"AbandonedStage", c.AbandonedStage},
	} {
		if strings.TrimSpace(s.value) == "" {
			problems = append(problems, s.name+" is missing")
		}
	}
	if c.Now == nil {
		problems = append(problems, "Now is missing")
	}
	if u, err := url.Parse(c.BaseURL); c.BaseURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "") {
		problems = append(problems, "BaseURL is not an http or https address")
	}
	if strings.ContainsAny(c.Token, " \t\r\n") {
		problems = append(problems, "Token has white space")
	}
	problems = append(problems, sameStages(c)...)
	if len(problems) > 0 {
		return nil, errors.New("hubspot: " + strings.Join(problems, "; "))
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.CartWindow <= 0 {
		c.CartWindow = 24 * time.Hour
	}
	if c.Transport == nil { // the usual one keeps two idle connections, and opens one for each call beyond them
		c.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second}
	}
	return &Client{config: c, http: &http.Client{
		Transport: c.Transport, Timeout: c.Timeout,
		// A redirected write would be sent as a GET, and our token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// sameStages finds stages that could not be told apart when read.
func sameStages(c Config) []string {
	stages := []struct{ name, value string }{
		{"OpenStage", c.OpenStage}, {"WonStage", c.WonStage}, {"LostStage", c.LostStage}, {"AbandonedStage", c.AbandonedStage},
	}
	var problems []string
	for i, a := range stages {
		for _, b := range stages[i+1:] {
			if a.value != "" && a.value == b.value {
				problems = append(problems, fmt.Sprintf("%s and %s are the same stage", a.name, b.name))
			}
		}
	}
	return problems
}
