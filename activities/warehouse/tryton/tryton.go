// Package tryton is the warehouse as a Tryton 6 database: one customer shipment
// (stock.shipment.out, without a sale) per request, found by its reference,
// which is our idempotency key. Reading by reference is strong.
//
// What Tryton 6.0 has no field for lives in notes on the shipment (ir.note), one
// fact per line: "lines: 17=1 18=2" is written by us and says which move carries
// which line of the order; "tracking: XYZ" and "delivered: 2026-11-23T10:00:00Z"
// are written by whoever integrates the carrier.
package tryton

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// The models that hold what the warehouse knows.
const (
	modelShipment = "stock.shipment.out"
	modelReturn   = "stock.shipment.out.return"
	modelMove     = "stock.move"
	modelNote     = "ir.note"
	modelAddress  = "party.address"
)

// Abilities are what Tryton as a warehouse can do.
var Abilities = reconcile.Abilities{
	StrongLookup: true,
	// A request that was given up may wait for a lock or a worker there.
	Lateness:  time.Minute,
	PageLimit: pageLimit,
}

const pageLimit = 100

// Config says where the warehouse is.
type Config struct {
	URL      string // with the database: http://127.0.0.1:8000/warehouse/
	User     string
	Password string
	// Warehouse is the code of the warehouse location that ships; empty when
	// there is only one.
	Warehouse string
	// Company is the id of the company that ships; 0 is the user's.
	Company int64
	// Channel, when set, makes shipments to our customers that carry no
	// reference orphans; empty leaves them alone.
	Channel string
	// Now tells the time at which the warehouse was asked.
	Now func() time.Time
	// Transport carries the requests; nil is the usual one.
	Transport http.RoundTripper
	Timeout   time.Duration // of one call; 0 is 10 s
}

// Client is the adapter.
type Client struct {
	config Config
	rpc    *rpc.Client

	settling chan struct{} // one at a time; a buffer of one
	places   *places
}

var _ warehouse.Warehouse = (*Client)(nil)

// New returns the adapter, or one error that names everything missing.
func New(c Config) (*Client, error) {
	connection := rpc.Config{URL: c.URL, User: c.User, Password: c.Password, Transport: c.Transport, Timeout: c.Timeout}
	problems := connection.Problems()
	if c.Now == nil {
		problems = append(problems, "Now is missing")
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("warehouse tryton: %s", strings.Join(problems, "; "))
	}
	client, err := rpc.New(connection)
	if err != nil {
		return nil, err
	}
	return &Client{config: c, rpc: client, settling: make(chan struct{}, 1)}, nil
}

// places are the settings of the database that every call needs.
type places struct {
	warehouse int64
	input     int64 // where returns arrive
	output    int64 // where parcels leave
	storage   int64
	company   int64
	currency  int64
}

// forget drops the places, which were misread.
func (c *Client) forget() {
	c.settling <- struct{}{}
	defer func() { <-c.settling }()
	c.places = nil
}

// settle finds the places, once.
func (c *Client) settle(ctx context.Context, s rpc.Session) (places, error) {
	select {
	case c.settling <- struct{}{}:
		defer func() { <-c.settling }()
	case <-ctx.Done():
		return places{}, apierr.New(apierr.Unavailable, "", fmt.Errorf("wait for another call to find the settings: %w", ctx.Err()))
	}
	if c.places != nil {
		return *c.places, nil
	}
	s = s.Settings()
	p := places{company: c.config.Company}
	var err error
	if p.company == 0 {
		if p.company, err = c.rpc.Company(ctx, s.Operation); err != nil {
			return places{}, err
		}
	}
	where := rpc.Domain{[]any{"type", "=", "warehouse"}}
	if c.config.Warehouse != "" {
		where = append(where, []any{"code", "=", c.config.Warehouse})
	}
	var warehouses []struct {
		ID      int64  `json:"id"`
		Input   *int64 `json:"input_location"`
		Output  *int64 `json:"output_location"`
		Storage *int64 `json:"storage_location"`
	}
	err = s.Find(ctx, rpc.Query{
		Model: "stock.location", Where: where, Fields: []string{"input_location", "output_location", "storage_location"}, Certain: true,
	}, &warehouses)
	if err != nil {
		return places{}, err
	}
	if len(warehouses) != 1 || warehouses[0].Input == nil || warehouses[0].Output == nil || warehouses[0].Storage == nil {
		return places{}, apierr.New(apierr.Invalid, "no warehouse", fmt.Errorf(
			"%d warehouses with code %q; name one that has an input, an output and a storage location in Warehouse",
			len(warehouses), c.config.Warehouse))
	}
	w := warehouses[0]
	p.warehouse, p.input, p.output, p.storage = w.ID, *w.Input, *w.Output, *w.Storage
	var companies []struct {
		Currency int64 `json:"currency"`
	}
	err = s.Find(ctx, rpc.Query{
		Model: "company.company", Where: rpc.Domain{[]any{"id", "=", p.company}}, Fields: []string{"currency"}, Certain: true,
	}, &companies)
	if err != nil {
		return places{}, err
	}
	if len(companies) != 1 {
		return places{}, apierr.New(apierr.Invalid, "no company", errors.New("the company does not exist or is not the user's"))
	}
	p.currency = companies[0].Currency
	c.places = &p
	return p, nil
}

// keyOf checks that a key is one of the order's of a kind: under any other it
// would not be found again.
func keyOf(key string, id order.ID, k kind) error {
	intent, ok := order.ParseKey(key)
	if !ok || intent.Order != id || intent.Operation != k.operation {
		return apierr.New(apierr.Invalid, "", fmt.Errorf("the key is not one of this order's %ss; want order/%s/%s/<n>", k.note, id, k.operation))
	}
	return nil
}

// kindOf returns the kind that a key names.
func kindOf(key string) kind {
	if intent, ok := order.ParseKey(key); ok && intent.Operation == returns.operation {
		return returns
	}
	return shipments
}
