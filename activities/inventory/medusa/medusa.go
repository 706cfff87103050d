// Package medusa is the inventory adapter for Medusa's Admin API, v2 (checked
// against 2.21.2): inventory items, the levels at one stock location, and
// reservations.
//
// All of an order's reservations have the line_item_id "order/<id>". It can be
// filtered by exactly, has an index, and alone of the fields that we may set can
// be changed by nobody afterwards, so that a look-up is strong whatever was
// edited. The line is in the metadata, and once more at the end of the
// description, after the key of the intent.
//
// Reads go to the database that writes went to, so they show every write that
// was answered before.
package medusa

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/reconcile"
)

// pageLimit is the most records of one page of a listing; Medusa itself knows
// no limit.
const pageLimit = 200

// Abilities are what Medusa can do: it has no keys, reads are strong, and it
// announces nothing to the outside.
var Abilities = reconcile.Abilities{
	StrongLookup: true,
	// A request that was cut off is still answered by the server that got it,
	// behind a lock that is waited for up to five seconds.
	Lateness:  30 * time.Second,
	PageLimit: pageLimit,
}

// Config says which Medusa to use, as whom.
type Config struct {
	BaseURL string // as "https://shop.example.com"
	// Email and Password of an admin user, or APIKey, a secret API key.
	Email, Password string
	APIKey          string
	// Location is the id or the name of the stock location.
	Location string
	// Channel marks our reservations, and those of others that are ours to know.
	Channel string
	Now     func() time.Time
	// Transport is nil for a usual one of its own.
	Transport http.RoundTripper
	Timeout   time.Duration // of one request; 0: ten seconds
}

// Client is an inventory kept in Medusa.
type Client struct {
	base     *url.URL
	config   Config
	http     *http.Client
	now      func() time.Time
	mu       sync.Mutex // guards what was learnt, never held while asking
	token    string
	location string
	items    map[string]string // inventory item id by SKU
	atOnce   int               // how many reservations of several orders one answer may show
}

var _ inventory.Stock = (*Client)(nil)

// New returns a client, or an error that names every setting that is wrong.
func New(c Config) (*Client, error) {
	var wrong []error
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		wrong = append(wrong, errors.New("BaseURL is not an http or https address"))
	}
	switch {
	case c.APIKey != "" && (c.Email != "" || c.Password != ""):
		wrong = append(wrong, errors.New("APIKey and Email with Password are both set; one of them says who we are"))
	case c.APIKey == "" && c.Email == "" && c.Password == "":
		wrong = append(wrong, errors.New("APIKey, or Email and Password, is missing"))
	case c.APIKey == "" && c.Email == "":
		wrong = append(wrong, errors.New("Email is missing"))
	case c.APIKey == "" && c.Password == "":
		wrong = append(wrong, errors.New("Password is missing"))
	}
	if c.Location == "" {
		wrong = append(wrong, errors.New("Location is missing"))
	}
	if c.Channel == "" {
		wrong = append(wrong, errors.New("Channel is missing"))
	}
	if c.Now == nil {
		wrong = append(wrong, errors.New("Now is missing"))
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("settings of the inventory in Medusa: %w", errors.Join(wrong...))
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16,
			IdleConnTimeout: 4 * time.Second, // Node closes after five, also while a write is on its way
		}
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return &Client{
		atOnce: lookupLimit,
		base:   base, config: c, now: c.Now, items: map[string]string{},
		http: &http.Client{
			Transport: c.Transport, Timeout: c.Timeout,
			// A redirected POST would arrive as a GET.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}
