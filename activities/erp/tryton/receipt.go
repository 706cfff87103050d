package tryton

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/erp"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

const (
	modelEntry = "account.move"
	modelLine  = "account.move.line"
)

// PostReceipt books money that came in, or with a negative amount went out: cash
// against the customer's receivable.
func (c *Client) PostReceipt(ctx context.Context, r erp.ReceiptRequest) (reconcile.Document, error) {
	s := c.rpc.For(string(order.Receipt))
	d, err := c.postReceipt(ctx, s, r)
	if err = s.Believe(ctx, err, c.forget); err != nil {
		return d.public(d.total), fmt.Errorf("post receipt %s of order %s: tryton: %w", r.Key, r.Order, err)
	}
	return d.public(d.total), nil
}

func (c *Client) postReceipt(ctx context.Context, s rpc.Session, r erp.ReceiptRequest) (document, error) {
	if err := keyOf(r.Key, r.Order, order.Receipt); err != nil {
		return document{}, err
	}
	if r.Amount.Minor == 0 {
		return document{}, apierr.New(apierr.Invalid, "", errors.New("a receipt over nothing"))
	}
	b, err := c.settle(ctx, s)
	if err != nil {
		return document{}, err
	}
	p := c.entries(b)
	p.make = func(ctx context.Context) error { return c.draftReceipt(ctx, s, b, r) }
	p.post = func(ctx context.Context, d document) error {
		// Unlike an invoice's, this button refuses an entry that is posted.
		return s.Press(ctx, rpc.Record{Model: modelEntry, ID: d.id, Version: d.version}, "post")
	}
	return p.ensure(ctx, s, r.Key, r.Amount)
}

func (c *Client) entries(b books) paper {
	return paper{model: modelEntry, what: "receipt", by: "description",
		find: func(ctx context.Context, s rpc.Session, where rpc.Domain, limit int) ([]document, error) {
			return findEntries(ctx, s, b, where, limit)
		}}
}

func (c *Client) draftReceipt(ctx context.Context, s rpc.Session, b books, r erp.ReceiptRequest) error {
	party, err := s.Party(ctx, r.Customer)
	if err != nil {
		return err
	}
	when := r.Date
	if when.IsZero() {
		when = c.config.Now()
	}
	period, date, err := c.period(ctx, s, b, rpc.DateOf(when))
	if err != nil {
		return err
	}
	cash := map[string]any{"account": b.cash, "description": orNull(r.Payment)}
	receivable := map[string]any{"account": b.receivable, "party": party, "description": orNull(r.Payment)}
	booked, second, err := c.inBooks(ctx, s, b, r.Amount, date)
	if err != nil {
		return err
	}
	in, out := cash, receivable // money comes in: debit cash, credit the customer
	if r.Amount.Minor < 0 {
		in, out = receivable, cash
	}
	in["debit"], in["credit"] = booked, rpc.Decimal("0")
	out["debit"], out["credit"] = rpc.Decimal("0"), booked
	if second != 0 {
		size := r.Amount.Minor
		if size < 0 {
			size = -size
		}
		in["second_currency"], in["amount_second_currency"] = second, rpc.Money(size, r.Amount.Currency)
		out["second_currency"], out["amount_second_currency"] = second, rpc.Money(-size, r.Amount.Currency)
	}
	_, err = s.Create(ctx, modelEntry, map[string]any{
		"journal": b.cashJournal, "period": period, "date": date, "description": r.Key, "company": b.company,
		"lines": []any{[]any{"create", []any{cash, receivable}}},
	})
	if err != nil {
		return fmt.Errorf("make a draft: %w", err)
	}
	return nil
}

// period finds the open period of a day, or the next open one with its first
// day: books that are closed stay closed.
func (c *Client) period(ctx context.Context, s rpc.Session, b books, day rpc.Date) (int64, rpc.Date, error) {
	var found []struct {
		ID    int64    `json:"id"`
		Start rpc.Date `json:"start_date"`
	}
	err := s.Find(ctx, rpc.Query{
		Model: "account.period", Fields: []string{"start_date"}, Limit: 1, Certain: true, Order: []any{[]string{"start_date", "ASC"}},
		Where: rpc.Domain{
			[]any{"end_date", ">=", day}, []any{"type", "=", "standard"}, []any{"state", "=", "open"}, []any{"fiscalyear.company", "=", b.company},
		},
	}, &found)
	if err != nil {
		return 0, rpc.Date{}, err
	}
	if len(found) == 0 {
		return 0, rpc.Date{}, apierr.New(apierr.Invalid, "no_period",
			fmt.Errorf("the books have no open period on or after %s; open one", day.Format(time.DateOnly)))
	}
	if found[0].Start.After(day.Time) {
		day = found[0].Start
	}
	return found[0].ID, day, nil
}

// inBooks returns the size of an amount in the company's currency, and the id of
// its own currency when that is another one.
func (c *Client) inBooks(ctx context.Context, s rpc.Session, b books, a order.Amount, day rpc.Date) (rpc.Decimal, int64, error) {
	if a.Minor < 0 {
		a.Minor = -a.Minor
	}
	id, err := c.currencyID(ctx, s, a.Currency)
	if err != nil {
		return "", 0, err
	}
	if a.Currency == b.currency {
		return rpc.Money(a.Minor, a.Currency), 0, nil
	}
	var rates []struct {
		Code order.Currency `json:"code"`
		Rate rpc.Decimal    `json:"rate"`
	}
	err = s.Find(ctx, rpc.Query{
		Model: "currency.currency", Where: rpc.Domain{[]any{"code", "in", []order.Currency{a.Currency, b.currency}}},
		Fields: []string{"code", "rate"}, Certain: true, Context: map[string]any{"date": day},
	}, &rates)
	if err != nil {
		return "", 0, err
	}
	rate := map[order.Currency]*big.Rat{}
	for _, r := range rates {
		if x, ok := new(big.Rat).SetString(string(r.Rate)); ok && x.Sign() > 0 {
			rate[r.Code] = x
		}
	}
	from, to := rate[a.Currency], rate[b.currency]
	if from == nil || to == nil {
		return "", 0, apierr.New(apierr.Invalid, "no_rate", fmt.Errorf("the books have no rate from %s to %s", a.Currency, b.currency))
	}
	x, _ := new(big.Rat).SetString(order.FormatMinor(a.Minor, a.Currency))
	decimals, _ := b.currency.Decimals()
	x.Mul(x, to).Quo(x, from)
	// FloatString rounds halves away from zero, where Tryton rounds to even: a
	// cent of the books' own currency, the same on both lines.
	return rpc.Decimal(x.FloatString(decimals)), id, nil
}

type entry struct {
	ID          int64        `json:"id"`
	Description string       `json:"description"`
	Number      string       `json:"number"`
	Post        string       `json:"post_number"`
	State       string       `json:"state"`
	Version     string       `json:"_timestamp"`
	Created     rpc.Datetime `json:"create_date"`
	Date        rpc.Date     `json:"date"`
}

type entryLine struct {
	Entry   int64       `json:"move"`
	Debit   rpc.Decimal `json:"debit"`
	Credit  rpc.Decimal `json:"credit"`
	Foreign rpc.Decimal `json:"amount_second_currency"`
	Account struct {
		Type struct {
			Receivable bool `json:"receivable"`
		} `json:"type."`
	} `json:"account."`
	Second *struct {
		Code order.Currency `json:"code"`
	} `json:"second_currency."`
}

func findEntries(ctx context.Context, s rpc.Session, b books, where rpc.Domain, limit int) ([]document, error) {
	var found []entry
	err := s.Find(ctx, rpc.Query{
		Model: modelEntry, Where: where, Limit: limit,
		Fields: []string{"description", "number", "post_number", "state", "_timestamp", "create_date", "date"},
	}, &found)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	index := map[int64]int{}
	all := make([]document, 0, len(found))
	ids := make([]int64, 0, len(found))
	for i, e := range found {
		d := document{
			id: e.ID, reference: e.Description, number: e.Post, version: e.Version, created: e.Created, date: e.Date,
			state: reconcile.DocumentDraft, currency: b.currency,
		}
		if e.State == "posted" {
			d.state = reconcile.DocumentPosted
		}
		if d.number == "" {
			d.number = e.Number
		}
		if e.ID <= 0 {
			return nil, apierr.New(apierr.Garbage, "", errNoKey)
		}
		index[e.ID] = i
		all = append(all, d)
		ids = append(ids, e.ID)
	}
	var lines []entryLine
	err = s.Find(ctx, rpc.Query{
		Model: modelLine, Where: rpc.Domain{[]any{"move", "in", ids}},
		Fields: []string{"move", "debit", "credit", "amount_second_currency", "second_currency.code", "account.type.receivable"},
	}, &lines)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		i, ok := index[l.Entry]
		if !ok {
			return nil, rpc.Nonsense("a line that was not asked for")
		}
		if err := all[i].add(l); err != nil {
			all[i].wrong = err
		}
	}
	return all, nil
}

// add counts what a line takes off the customer's debt.
func (d *document) add(l entryLine) error {
	if !l.Account.Type.Receivable {
		return nil
	}
	if l.Second != nil && l.Foreign != "" {
		n, err := minor(l.Foreign, l.Second.Code)
		d.total, d.currency = d.total-n, l.Second.Code
		return err
	}
	debit, err := minor(l.Debit, d.currency)
	if err != nil {
		return err
	}
	credit, err := minor(l.Credit, d.currency)
	d.total += credit - debit
	return err
}
