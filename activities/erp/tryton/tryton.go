// Package tryton is the books as a Tryton 6 database: one sale (sale.sale) per
// order, one customer invoice (account.invoice) per shipment, one credit note
// (the same with negative lines) per share given back, and one journal entry
// (account.move in the cash journal) per receipt. Our idempotency key is the
// reference of a sale or invoice and the description of an entry, for an entry
// has no reference. Reading by them is strong.
//
// The money is the order's, to the last unit: lines carry the order's prices,
// discounts and shipping are lines of their own, and Tryton computes no tax. On
// a sale a tax is a line; on an invoice it is a manual tax line with its base, so
// that it is booked on the tax account.
package tryton

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/erp"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Abilities are what Tryton as an ERP can do.
var Abilities = reconcile.Abilities{
	StrongLookup: true,
	// A request that was given up may wait for a lock or a worker there.
	Lateness:  time.Minute,
	PageLimit: pageLimit,
}

const pageLimit = 100

// Config says where the books are and which of their accounts to use. Accounts
// and journals are named by code or name.
type Config struct {
	URL      string // with the database: http://127.0.0.1:8000/erp/
	User     string
	Password string
	// Company is the id of the company that sells; 0 is the user's.
	Company int64
	// Channel is written into the description of sales and invoices; one that
	// has it and no reference of ours is an orphan.
	Channel string

	RevenueJournal    string // default REV
	CashJournal       string // default CASH
	RevenueAccount    string // default: the first account of a revenue type
	ReceivableAccount string // default: the first account of a receivable type
	TaxAccount        string // default Main Tax
	CashAccount       string // default Main Cash

	// Now tells the time at which the books were asked.
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
	books    *books
}

var _ erp.Books = (*Client)(nil)

// New returns the adapter, or one error that names everything missing.
func New(c Config) (*Client, error) {
	connection := rpc.Config{URL: c.URL, User: c.User, Password: c.Password, Transport: c.Transport, Timeout: c.Timeout}
	problems := connection.Problems()
	if c.Now == nil {
		problems = append(problems, "Now is missing")
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("erp tryton: %s", strings.Join(problems, "; "))
	}
	for _, d := range []struct {
		field *string
		value string
	}{{&c.RevenueJournal, "REV"}, {&c.CashJournal, "CASH"}, {&c.TaxAccount, "Main Tax"}, {&c.CashAccount, "Main Cash"}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	client, err := rpc.New(connection)
	if err != nil {
		return nil, err
	}
	return &Client{config: c, rpc: client, settling: make(chan struct{}, 1)}, nil
}

// books are the settings of the database that postings need.
type books struct {
	company        int64
	currency       order.Currency // of the company
	revenueJournal int64
	cashJournal    int64
	revenue        int64 // accounts
	receivable     int64
	tax            int64
	cash           int64
}

// forget drops the settings, which were misread.
func (c *Client) forget() {
	c.settling <- struct{}{}
	defer func() { <-c.settling }()
	c.books = nil
}

// settle finds the settings, once.
func (c *Client) settle(ctx context.Context, s rpc.Session) (books, error) {
	select {
	case c.settling <- struct{}{}:
		defer func() { <-c.settling }()
	case <-ctx.Done():
		return books{}, apierr.New(apierr.Unavailable, "", fmt.Errorf("wait for another call to find the settings: %w", ctx.Err()))
	}
	if c.books != nil {
		return *c.books, nil
	}
	s = s.Settings()
	b := books{company: c.config.Company}
	var err error
	if b.company == 0 {
		if b.company, err = c.rpc.Company(ctx, s.Operation); err != nil {
			return books{}, err
		}
	}
	var companies []struct {
		Currency struct {
			Code order.Currency `json:"code"`
		} `json:"currency."`
	}
	err = s.Find(ctx, rpc.Query{
		Model: "company.company", Where: rpc.Domain{[]any{"id", "=", b.company}}, Fields: []string{"currency.code"}, Certain: true,
	}, &companies)
	if err != nil {
		return books{}, err
	}
	if len(companies) != 1 {
		return books{}, apierr.New(apierr.Invalid, "no company", errors.New("the company does not exist or is not the user's"))
	}
	b.currency = companies[0].Currency.Code
	for _, want := range []struct {
		id    *int64
		model string
		what  string
		where rpc.Domain
	}{
		{&b.revenueJournal, "account.journal", "RevenueJournal", called(c.config.RevenueJournal)},
		{&b.cashJournal, "account.journal", "CashJournal", called(c.config.CashJournal)},
		{&b.revenue, "account.account", "RevenueAccount", kindOr("type.revenue", c.config.RevenueAccount)},
		{&b.receivable, "account.account", "ReceivableAccount", kindOr("type.receivable", c.config.ReceivableAccount)},
		{&b.tax, "account.account", "TaxAccount", called(c.config.TaxAccount)},
		{&b.cash, "account.account", "CashAccount", called(c.config.CashAccount)},
	} {
		where := want.where
		if want.model == "account.account" {
			where = append(where, []any{"company", "=", b.company}, []any{"closed", "!=", true})
		}
		if *want.id, err = first(ctx, s, want.model, want.what, where); err != nil {
			return books{}, err
		}
	}
	c.books = &b
	return b, nil
}

func called(name string) rpc.Domain {
	return rpc.Domain{[]any{"OR", []any{"code", "=", name}, []any{"name", "=", name}}}
}

func kindOr(kind, name string) rpc.Domain {
	if name != "" {
		return called(name)
	}
	return rpc.Domain{[]any{kind, "=", true}}
}

func first(ctx context.Context, s rpc.Session, model, what string, where rpc.Domain) (int64, error) {
	var found []struct {
		ID int64 `json:"id"`
	}
	if err := s.Find(ctx, rpc.Query{Model: model, Where: where, Fields: []string{"id"}, Limit: 1, Certain: true}, &found); err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, apierr.New(apierr.Invalid, "no "+model, fmt.Errorf("the books have no such %s; set %s", strings.TrimPrefix(model, "account."), what))
	}
	return found[0].ID, nil
}

// currencyID returns the id of a currency in the books.
func (c *Client) currencyID(ctx context.Context, s rpc.Session, code order.Currency) (int64, error) {
	id, err := s.IDByCode(ctx, "currency.currency", string(code))
	if err != nil {
		return 0, err
	}
	if _, known := code.Decimals(); id == 0 || !known {
		return 0, apierr.New(apierr.Invalid, "unknown_currency", fmt.Errorf("the books have no currency %s; add it with a rate", code))
	}
	return id, nil
}

// keyOf checks that a key is one of the order's, of this operation.
func keyOf(key string, id order.ID, operation order.Operation) error {
	intent, ok := order.ParseKey(key)
	if !ok || intent.Order != id || intent.Operation != operation {
		return apierr.New(apierr.Invalid, "", fmt.Errorf("the key is not a key of this order for %s", operation))
	}
	return nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
