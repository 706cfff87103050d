package tryton

import (
	"context"
	"fmt"
	"slices"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/erp"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

const modelSale = "sale.sale"

// RecordSale books the sale of the whole order. Its invoices and shipments are
// manual, which lets it go through to its last state at once. One that is booked
// already gets the order's addresses when it has others.
func (c *Client) RecordSale(ctx context.Context, r erp.SaleRequest) (reconcile.Document, error) {
	s := c.rpc.For(string(order.Record))
	d, err := c.recordSale(ctx, s, r)
	if err = s.Believe(ctx, err, c.forget); err != nil {
		return d.public(d.total), fmt.Errorf("record the sale of order %s: tryton: %w", r.Order.ID, err)
	}
	return d.public(d.total), nil
}

func (c *Client) recordSale(ctx context.Context, s rpc.Session, r erp.SaleRequest) (document, error) {
	if err := keyOf(r.Key, r.Order.ID, order.Record); err != nil {
		return document{}, err
	}
	p := paper{model: modelSale, what: "sale", by: "reference", find: findAddressedSales}
	p.make = func(ctx context.Context) error { return c.draftSale(ctx, s, r) }
	p.post = func(ctx context.Context, d document) error {
		record := rpc.Record{Model: modelSale, ID: d.id, Version: d.version}
		if err := s.Press(ctx, record, "quote"); err != nil {
			return err
		}
		record.Version = "" // it is ours by now, and quoting has changed it
		if err := s.Press(ctx, record, "confirm"); err != nil {
			return err
		}
		// Confirming goes on by itself unless the company delays it.
		return s.Press(ctx, record, "process")
	}
	d, err := p.ensure(ctx, s, r.Key, order.Amount{Minor: r.Order.Total, Currency: r.Order.Currency})
	if err != nil {
		return d, err
	}
	return c.readdress(ctx, s, p, d, r.Order)
}

func (c *Client) sales() paper {
	return paper{model: modelSale, what: "sale", by: "reference", find: findSales}
}

func (c *Client) draftSale(ctx context.Context, s rpc.Session, r erp.SaleRequest) error {
	b, err := c.settle(ctx, s)
	if err != nil {
		return err
	}
	o := r.Order
	currency, err := c.currencyID(ctx, s, o.Currency)
	if err != nil {
		return err
	}
	party, bill, ship, err := c.places(ctx, s, o)
	if err != nil {
		return err
	}
	share := order.ShareOf(o, nil, o.AllLines())
	var lines []any
	for _, l := range amountsOf(share) {
		lines = append(lines, map[string]any{
			"type": "line", "quantity": float64(l.quantity), "unit_price": rpc.Money(l.unit, o.Currency), "description": l.what,
		})
	}
	for _, x := range taxesOf(share) {
		lines = append(lines, map[string]any{
			"type": "line", "quantity": 1.0, "unit_price": rpc.Money(x.amount, o.Currency), "description": x.what,
		})
	}
	_, err = s.Create(ctx, modelSale, map[string]any{
		"reference": r.Key, "description": orNull(c.config.Channel), "company": b.company, "party": party,
		"invoice_address": bill, "shipment_address": ship, "currency": currency, "sale_date": rpc.DateOf(o.PlacedAt),
		"shipment_method": "manual", "invoice_method": "manual", "lines": []any{[]any{"create", lines}},
	})
	if err != nil {
		return fmt.Errorf("make a draft: %w", err)
	}
	return nil
}

// amountLine is a line of a sale or an invoice, tax apart.
type amountLine struct {
	what     string
	quantity int64
	unit     int64 // minor units
}

// amountsOf are the lines of a share: goods at their price, and what is off or
// on top as lines of one piece; of an amount alone one line.
func amountsOf(share order.Share) []amountLine {
	if alone(share) {
		return []amountLine{{"Refund", 1, share.Total}}
	}
	var all []amountLine
	for _, l := range share.Lines {
		all = append(all, amountLine{l.SKU, l.Quantity, l.UnitPrice})
		if l.Discount != 0 {
			all = append(all, amountLine{"Discount " + l.SKU, 1, -l.Discount})
		}
	}
	if share.Shipping != 0 {
		all = append(all, amountLine{"Shipping", 1, share.Shipping})
	}
	if share.Discount != 0 {
		all = append(all, amountLine{"Discount", 1, -share.Discount})
	}
	return all
}

// taxLine is a tax as the order states it.
type taxLine struct {
	what         string
	base, amount int64
}

func taxesOf(share order.Share) []taxLine {
	var all []taxLine
	for _, l := range share.Lines {
		if l.Tax != 0 {
			all = append(all, taxLine{"Tax " + l.SKU, l.Gross - l.Discount, l.Tax})
		}
	}
	if share.ShippingTax != 0 {
		all = append(all, taxLine{"Tax Shipping", share.Shipping, share.ShippingTax})
	}
	return all
}

// trade is what sales and invoices have in common as records.
type trade struct {
	ID          int64        `json:"id"`
	Reference   string       `json:"reference"`
	Number      string       `json:"number"`
	State       string       `json:"state"`
	Version     string       `json:"_timestamp"`
	Total       rpc.Decimal  `json:"total_amount"`
	Description string       `json:"description"`
	Created     rpc.Datetime `json:"create_date"`
	Date        rpc.Date     `json:"invoice_date"`
	Currency    struct {
		Code order.Currency `json:"code"`
	} `json:"currency."`
	addresses
}

var tradeFields = []string{"reference", "number", "state", "_timestamp", "total_amount", "description", "create_date", "currency.code"}

func (t trade) document(states map[string]reconcile.DocumentState) document {
	d := document{
		id: t.ID, reference: t.Reference, number: t.Number, state: states[t.State], version: t.Version,
		currency: t.Currency.Code, date: t.Date, created: t.Created, described: t.Description,
		at: t.addresses,
	}
	if d.state == "" {
		d.wrong = rpc.Nonsense("record %d is in the unknown state %q", t.ID, t.State)
		return d
	}
	d.total, d.wrong = minor(t.Total, t.Currency.Code)
	return d
}

var saleStates = map[string]reconcile.DocumentState{
	"draft": reconcile.DocumentDraft, "quotation": reconcile.DocumentDraft,
	"confirmed": reconcile.DocumentPosted, "processing": reconcile.DocumentPosted, "done": reconcile.DocumentPosted,
	"cancelled": reconcile.DocumentCancelled, "cancel": reconcile.DocumentCancelled,
}

func findSales(ctx context.Context, s rpc.Session, where rpc.Domain, limit int) ([]document, error) {
	return findTrades(ctx, s, rpc.Query{Model: modelSale, Where: where, Fields: tradeFields, Limit: limit}, saleStates)
}

// findAddressedSales also reads where they go, which is personal and no part of
// an observation.
func findAddressedSales(ctx context.Context, s rpc.Session, where rpc.Domain, limit int) ([]document, error) {
	return findTrades(ctx, s, rpc.Query{Model: modelSale, Where: where, Fields: slices.Concat(tradeFields, addressFields), Limit: limit}, saleStates)
}

func findTrades(ctx context.Context, s rpc.Session, q rpc.Query, states map[string]reconcile.DocumentState) ([]document, error) {
	var found []trade
	if err := s.Find(ctx, q, &found); err != nil {
		return nil, err
	}
	all := make([]document, 0, len(found))
	for _, t := range found {
		if t.ID <= 0 {
			return nil, apierr.New(apierr.Garbage, "", errNoKey)
		}
		all = append(all, t.document(states))
	}
	return all, nil
}
