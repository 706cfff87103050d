package tryton

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Lookup returns the order's documents.
func (c *Client) Lookup(ctx context.Context, subject reconcile.Subject) (reconcile.Observation, error) {
	out, err := c.lookup(ctx, c.rpc.For("lookup"), subject)
	if err != nil {
		return reconcile.Observation{}, fmt.Errorf("look up the documents of order %s: tryton: %w", subject.Order, err)
	}
	return out, nil
}

func (c *Client) lookup(ctx context.Context, s rpc.Session, subject reconcile.Subject) (reconcile.Observation, error) {
	out := reconcile.Observation{System: order.SystemERP, Order: subject.Order, State: reconcile.Absent, At: c.config.Now(), Strong: true}
	b, err := c.settle(ctx, s)
	if err != nil {
		return out, err
	}
	for _, p := range c.papers(b) {
		found, err := p.find(ctx, s, rpc.Domain{[]any{p.by, "like", rpc.Pattern(subject.Order, "")}}, 0)
		if err != nil {
			return out, err
		}
		for _, d := range found {
			ours, excusable := rpc.Belongs(d.reference, subject.Order)
			switch {
			case !excusable:
				return out, rpc.Nonsense("a %s of another order", p.what)
			case !ours:
				continue
			case d.wrong != nil:
				return out, d.wrong
			case d.currency != subject.Currency:
				return out, rpc.Nonsense("%s %d is in %s, the order in %s", p.what, d.id, d.currency, subject.Currency)
			}
			put(&out, p, d)
		}
	}
	return out, nil
}

// papers are the kinds of documents, in the order in which listings walk them.
func (c *Client) papers(b books) []paper {
	return []paper{c.sales(), c.invoices(), c.entries(b)}
}

// put adds a document to an observation, and what it does to the balance.
func put(out *reconcile.Observation, p paper, d document) {
	if out.ERP == nil {
		out.State, out.ERP = reconcile.Present, &reconcile.ERP{}
	}
	e := out.ERP
	owed := int64(0)
	switch {
	case p.model == modelSale:
		e.Sales = append(e.Sales, d.public(d.total))
	case p.model == modelEntry:
		e.Receipts = append(e.Receipts, d.public(d.total))
		owed = -d.total
	case credits(d):
		e.Credits = append(e.Credits, d.public(-d.total))
		owed = d.total
	default:
		e.Invoices = append(e.Invoices, d.public(d.total))
		owed = d.total
	}
	if d.state == reconcile.DocumentPosted {
		e.Balance += owed
	}
	out.Changed = rpc.ChangedAt(out.Changed, d.version)
	out.Version = strings.TrimSpace(out.Version + " " + p.what[:1] + strconv.FormatInt(d.id, 10) + "@" + d.version)
}

// record names a document among all kinds, for each is numbered apart. A sale goes
// by its bare number: inboxes have it so.
func (p paper) record(d document) string {
	n := strconv.FormatInt(d.id, 10)
	if p.model == modelSale {
		return n
	}
	return p.what + "-" + n
}

// credits says whether an invoice is a credit note: its key says so, else its
// sign.
func credits(d document) bool {
	intent, ok := order.ParseKey(d.reference)
	if ok && (intent.Operation == order.Credit || intent.Operation == order.Invoice) {
		return intent.Operation == order.Credit
	}
	return d.total < 0
}

// List walks sales, then invoices and credit notes, then receipts, each page by
// id. Records that are not ours are not asked for.
func (c *Client) List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	page, err := c.list(ctx, c.rpc.For("list"), r)
	if err != nil {
		return reconcile.Page{}, fmt.Errorf("list documents: tryton: %w", err)
	}
	return page, nil
}

func (c *Client) list(ctx context.Context, s rpc.Session, r reconcile.ListRequest) (reconcile.Page, error) {
	limit := pageLimit
	if r.Limit > 0 && r.Limit < limit {
		limit = r.Limit
	}
	cursor, err := rpc.ParseCursor(r.Cursor, "sale", "invoice", "receipt")
	if err != nil {
		return reconcile.Page{}, err
	}
	b, err := c.settle(ctx, s)
	if err != nil {
		return reconcile.Page{}, err
	}
	var p paper
	next := ""
	for i, x := range c.papers(b) {
		if x.what != cursor.Kind {
			continue
		}
		p = x
		if papers := c.papers(b); i+1 < len(papers) {
			next = rpc.Cursor{Kind: papers[i+1].what}.String()
		}
	}
	found, err := p.find(ctx, s, rpc.Domain{[]any{"id", ">", cursor.ID}, c.ours(p), rpc.Window(r)}, limit)
	if err != nil {
		return reconcile.Page{}, err
	}
	if len(found) == limit {
		next = rpc.Cursor{Kind: p.what, ID: found[limit-1].id}.String()
	}
	page := c.page(p, found)
	page.Next = next
	return page, nil
}

// ours finds what carries a reference that is or was meant to be ours, and what
// comes from our channel.
func (c *Client) ours(p paper) rpc.Domain {
	meant := []any{p.by, "like", "order/%"}
	if p.by == "description" || c.config.Channel == "" {
		return rpc.Domain{meant}
	}
	return rpc.Domain{"OR", meant, []any{"description", "=", c.config.Channel}}
}

// page puts each document into the observation of its order. One that cannot be
// understood makes its order unreadable, and holds up no other.
func (c *Client) page(p paper, found []document) reconcile.Page {
	var page reconcile.Page
	at := c.config.Now()
	index := map[order.ID]int{}
	for _, d := range found {
		intent, ok := order.ParseKey(d.reference)
		if !ok {
			page.Orphans = append(page.Orphans, reconcile.Orphan{
				System: string(order.SystemERP), Record: p.record(d), Kind: p.what, At: d.created.Time,
				What: p.describe(d) + ", " + rpc.Told(d.reference),
			})
			continue
		}
		i, known := index[intent.Order]
		if !known {
			i = len(page.Observations)
			index[intent.Order] = i
			page.Observations = append(page.Observations, reconcile.Observation{System: order.SystemERP, Order: intent.Order, At: at})
		}
		o := &page.Observations[i]
		put(o, p, d)
		if d.wrong != nil && o.Why == "" {
			o.Why = d.wrong.Error()
		}
	}
	for i := range page.Observations {
		if o := &page.Observations[i]; o.Why != "" {
			o.State, o.ERP = reconcile.Unreadable, nil
		}
	}
	return page
}

// describe says what a document is, in one line for a person.
func (p paper) describe(d document) string {
	if d.wrong != nil {
		return p.what + " in a state or over an amount that cannot be read"
	}
	return fmt.Sprintf("%s %s over %s", d.state, p.what, order.Amount{Minor: d.total, Currency: d.currency})
}
