package tryton

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/erp"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

const modelInvoice = "account.invoice"

// postingQuestions are the questions that Tryton asks when an invoice is posted
// and that we answer with yes: that its payment term lies in the past.
var postingQuestions = regexp.MustCompile(`^invoice_payment_term_\d+$`)

// PostInvoice books an invoice for a share.
func (c *Client) PostInvoice(ctx context.Context, r erp.InvoiceRequest) (reconcile.Document, error) {
	s := c.rpc.For(string(order.Invoice))
	d, err := c.postInvoice(ctx, s, r, 1)
	if err = s.Believe(ctx, err, c.forget); err != nil {
		return d.public(d.total), fmt.Errorf("post invoice %s of order %s: tryton: %w", r.Key, r.Order, err)
	}
	return d.public(d.total), nil
}

// PostCredit books a credit note, which is an invoice with everything negative. A
// share without lines is money that was given for goodwill: one line on the
// revenue account, which it lowers, and no tax, for no goods came back and the
// tax on what was sold stays due.
func (c *Client) PostCredit(ctx context.Context, r erp.InvoiceRequest) (reconcile.Document, error) {
	s := c.rpc.For(string(order.Credit))
	d, err := c.postInvoice(ctx, s, r, -1)
	if err = s.Believe(ctx, err, c.forget); err != nil {
		return d.public(-d.total), fmt.Errorf("post credit note %s of order %s: tryton: %w", r.Key, r.Order, err)
	}
	return d.public(-d.total), nil
}

func (c *Client) postInvoice(ctx context.Context, s rpc.Session, r erp.InvoiceRequest, sign int64) (document, error) {
	if err := keyOf(r.Key, r.Order, order.Operation(s.Operation)); err != nil {
		return document{}, err
	}
	if err := checkShare(r.Share, sign); err != nil {
		return document{}, err
	}
	p := c.invoices()
	p.make = func(ctx context.Context) error { return c.draftInvoice(ctx, s, r, sign) }
	p.post = func(ctx context.Context, d document) error { return c.postDraft(ctx, s, d) }
	return p.ensure(ctx, s, r.Key, order.Amount{Minor: sign * r.Share.Total, Currency: r.Currency})
}

// checkShare refuses what would make a draft that is never right.
func checkShare(share order.Share, sign int64) error {
	switch {
	case alone(share) && (sign > 0 || share.Total == 0):
		return apierr.New(apierr.Invalid, "", errors.New("the share is of nothing"))
	case share.Total < 0:
		return apierr.New(apierr.Invalid, "", fmt.Errorf("the share is negative: %d", share.Total))
	}
	sum := int64(0)
	for _, l := range amountsOf(share) {
		sum += l.quantity * l.unit
	}
	for _, x := range taxesOf(share) {
		sum += x.amount
	}
	if sum != share.Total {
		return apierr.New(apierr.Invalid, "", fmt.Errorf("the parts of the share add up to %d and not to its total %d", sum, share.Total))
	}
	return nil
}

// alone says that a share is an amount and nothing else.
func alone(share order.Share) bool {
	return len(share.Lines) == 0 && share.Shipping == 0 && share.ShippingTax == 0 && share.Discount == 0
}

func (c *Client) invoices() paper {
	return paper{model: modelInvoice, what: "invoice", by: "reference", find: findInvoices}
}

// postDraft posts an invoice. Numbers must rise with dates: when a later one was
// posted in between, as after an outage, this one takes its date.
func (c *Client) postDraft(ctx context.Context, s rpc.Session, d document) error {
	record := rpc.Record{Model: modelInvoice, ID: d.id, Version: d.version}
	err := s.PressAnyway(ctx, record, "post", postingQuestions)
	if !rpc.Refused(err) {
		return err
	}
	var latest []trade
	if err := s.Find(ctx, rpc.Query{
		Model: modelInvoice, Fields: []string{"invoice_date"}, Limit: 1, Order: []any{[]string{"invoice_date", "DESC"}},
		Where: rpc.Domain{[]any{"type", "=", "out"}, []any{"state", "in", []string{"posted", "paid"}}, []any{"invoice_date", ">", d.date}},
	}, &latest); err != nil {
		return err
	}
	if len(latest) == 0 {
		return err
	}
	if err := s.Write(ctx, record, map[string]any{"invoice_date": latest[0].Date}); err != nil {
		return err
	}
	record.Version = ""
	return s.PressAnyway(ctx, record, "post", postingQuestions)
}

func (c *Client) draftInvoice(ctx context.Context, s rpc.Session, r erp.InvoiceRequest, sign int64) error {
	b, err := c.settle(ctx, s)
	if err != nil {
		return err
	}
	currency, err := c.currencyID(ctx, s, r.Currency)
	if err != nil {
		return err
	}
	party, err := s.Party(ctx, r.Customer)
	if err != nil {
		return err
	}
	bill, err := c.place(ctx, s, r.Order, party, r.BillTo)
	if err != nil {
		return err
	}
	var lines, taxes []any
	for _, l := range amountsOf(r.Share) {
		lines = append(lines, map[string]any{
			"type": "line", "quantity": float64(sign * l.quantity), "unit_price": rpc.Money(l.unit, r.Currency),
			"description": l.what, "account": b.revenue, "currency": currency, "company": b.company,
		})
	}
	for _, x := range taxesOf(r.Share) {
		taxes = append(taxes, map[string]any{
			"manual": true, "description": x.what, "account": b.tax,
			"base": rpc.Money(sign*x.base, r.Currency), "amount": rpc.Money(sign*x.amount, r.Currency),
		})
	}
	date := rpc.DateOf(r.Date)
	if date.IsZero() {
		date = rpc.DateOf(c.config.Now())
	}
	values := map[string]any{
		"type": "out", "reference": r.Key, "description": orNull(c.config.Channel), "company": b.company, "party": party,
		"invoice_address": bill, "currency": currency, "journal": b.revenueJournal, "account": b.receivable,
		"invoice_date": date, "lines": []any{[]any{"create", lines}},
	}
	if len(taxes) > 0 {
		values["taxes"] = []any{[]any{"create", taxes}}
	}
	if _, err := s.Create(ctx, modelInvoice, values); err != nil {
		return fmt.Errorf("make a draft: %w", err)
	}
	return nil
}

var invoiceStates = map[string]reconcile.DocumentState{
	"draft": reconcile.DocumentDraft, "validated": reconcile.DocumentDraft,
	"posted": reconcile.DocumentPosted, "paid": reconcile.DocumentPosted,
	"cancelled": reconcile.DocumentCancelled, "cancel": reconcile.DocumentCancelled,
}

func findInvoices(ctx context.Context, s rpc.Session, where rpc.Domain, limit int) ([]document, error) {
	return findTrades(ctx, s, rpc.Query{
		Model: modelInvoice, Where: append(where, []any{"type", "=", "out"}), Fields: append([]string{"invoice_date"}, tradeFields...), Limit: limit,
	}, invoiceStates)
}
