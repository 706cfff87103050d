package tryton

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trueup-orders/trueup/activities/apierr"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// rounds is how often a call starts over because somebody changed the record
// between reading and writing it.
const rounds = 10

// Request asks for one shipment, in two steps: a draft, which does nothing, and
// its promotion to waiting. Or it announces a return.
func (c *Client) Request(ctx context.Context, r warehouse.RequestRequest) (reconcile.Shipment, error) {
	s := c.rpc.For(string(order.Request))
	if r.Return {
		out, err := c.announce(ctx, s, r)
		if err = s.Believe(ctx, err, c.forget); err != nil {
			return out, fmt.Errorf("announce return %s of order %s: tryton: %w", r.Key, r.Order, err)
		}
		return out, nil
	}
	out, err := c.request(ctx, s, r)
	if err = s.Believe(ctx, err, c.forget); err != nil {
		return out, fmt.Errorf("request shipment %s of order %s: tryton: %w", r.Key, r.Order, err)
	}
	return out, nil
}

func (c *Client) request(ctx context.Context, s rpc.Session, r warehouse.RequestRequest) (reconcile.Shipment, error) {
	if err := keyOf(r.Key, r.Order, shipments); err != nil {
		return reconcile.Shipment{}, err
	}
	found, err := c.byKey(ctx, s, shipments, r.Key)
	if err != nil {
		return reconcile.Shipment{}, err
	}
	if len(found) == 0 {
		if err := c.draft(ctx, s, shipments, r); err != nil {
			return reconcile.Shipment{}, err
		}
	}
	for range rounds {
		kept, done, err := c.promote(ctx, s, r)
		if err != nil {
			return reconcile.Shipment{}, err
		}
		if done {
			return kept.shipment()
		}
	}
	return reconcile.Shipment{}, apierr.New(apierr.InDoubt, "", errors.New("the shipment keeps changing"))
}

// draft makes a draft, which does nothing yet.
func (c *Client) draft(ctx context.Context, s rpc.Session, k kind, r warehouse.RequestRequest) error {
	at, err := c.settle(ctx, s)
	if err != nil {
		return err
	}
	goods, err := c.products(ctx, s, r.Lines)
	if err != nil {
		return err
	}
	who, err := s.PartyWith(ctx, r.Customer, "customer_location")
	if err != nil {
		return err
	}
	if who.Location == nil {
		return apierr.New(apierr.Invalid, "no customer location", errors.New("customers have no location in Tryton's party settings"))
	}
	to, err := c.place(ctx, s, r.Order, who.ID, r.ShipTo)
	if err != nil {
		return err
	}
	from, into := at.output, *who.Location
	if r.Return {
		from, into = *who.Location, at.input
	}
	moves := make([]any, 0, len(r.Lines))
	for _, line := range r.Lines {
		moves = append(moves, map[string]any{
			"product": goods[line.SKU].ID, "uom": goods[line.SKU].Unit, "quantity": float64(line.Quantity),
			"from_location": from, "to_location": into, "company": at.company,
			// A move to or from a customer must have a price; the books are elsewhere.
			"unit_price": rpc.Decimal("0"), "currency": at.currency,
		})
	}
	_, err = s.Create(ctx, k.model, map[string]any{
		"reference": r.Key, "customer": who.ID, "delivery_address": to, "warehouse": at.warehouse, "company": at.company,
		k.moves: []any{[]any{"create", moves}},
	})
	if err != nil {
		return fmt.Errorf("make a draft: %w", err)
	}
	return nil
}

// promote looks again, keeps one shipment, removes the other drafts and promotes
// the one. done is false when somebody was faster and it must look again.
func (c *Client) promote(ctx context.Context, s rpc.Session, r warehouse.RequestRequest) (kept *record, done bool, err error) {
	found, err := c.byKey(ctx, s, shipments, r.Key)
	if err != nil {
		return nil, false, err
	}
	kept = choose(found)
	if kept == nil {
		return nil, false, apierr.New(apierr.Unavailable, "", errors.New("the draft is gone"))
	}
	if settled, err := c.tidy(ctx, s, found, r.Lines); !settled || err != nil {
		return nil, false, err
	}
	if kept.State != stateDraft {
		return kept, true, nil
	}
	if _, err := c.noteLines(ctx, s, kept, r.Lines); err != nil {
		return nil, false, err
	}
	refused := s.Press(ctx, kept.at(), "wait")
	if refused != nil && !rpc.Changed(refused) && !rpc.Refused(refused) {
		return nil, false, refused
	}
	found, err = c.byKey(ctx, s, shipments, r.Key)
	if err != nil {
		return nil, false, rpc.AfterEffect(err)
	}
	id := kept.ID
	kept = choose(found)
	switch {
	case kept == nil && refused == nil:
		return nil, false, apierr.New(apierr.InDoubt, "", errors.New("the shipment vanished after it was requested"))
	case kept == nil, kept.State == stateDraft && !rpc.Refused(refused):
		return nil, false, nil // look again
	case kept.State == stateDraft && kept.ID == id:
		return nil, false, refused
	}
	settled, err := c.tidy(ctx, s, found, r.Lines)
	if err != nil {
		return nil, false, rpc.AfterEffect(err)
	}
	return kept, settled && kept.State != stateDraft, nil
}

// noteLines writes down which move carries which line, where it is not known.
func (c *Client) noteLines(ctx context.Context, s rpc.Session, kept *record, lines []order.Quantity) (written bool, err error) {
	text := kept.linesNote(lines)
	if text == "" {
		return false, nil
	}
	if _, err := s.Create(ctx, modelNote, map[string]any{"resource": kept.resource(), "message": text}); err != nil {
		return false, fmt.Errorf("note the lines: %w", err)
	}
	return true, nil
}

// tidy removes what a doubled request has left. It is not settled when one of
// these drafts changed or is gone already: then it must be looked at again.
func (c *Client) tidy(ctx context.Context, s rpc.Session, found []record, asked []order.Quantity) (settled bool, err error) {
	drafts, err := surplus(found, choose(found), asked)
	if err != nil {
		return false, err
	}
	return c.remove(ctx, s, drafts)
}

// remove deletes drafts that do not count, and is settled as tidy is.
func (c *Client) remove(ctx context.Context, s rpc.Session, drafts []record) (settled bool, err error) {
	for _, d := range drafts {
		err := s.Delete(ctx, d.at())
		if rpc.Changed(err) || rpc.Refused(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("remove a surplus draft: %w", err)
		}
	}
	return true, nil
}

type product struct {
	ID   int64  `json:"id"`
	Code string `json:"code"`
	Unit int64  `json:"default_uom"`
}

// products finds the goods by their codes. One list from which a code is missing
// for once proves nothing: it takes two to say that the warehouse does not know
// it, which ends the order's way there.
func (c *Client) products(ctx context.Context, s rpc.Session, lines []order.Quantity) (map[string]product, error) {
	var skus []string
	for _, q := range order.BySKU(lines) {
		skus = append(skus, q.SKU)
	}
	for again := false; ; again = true {
		goods, err := c.findProducts(ctx, s, skus)
		if err != nil {
			return nil, err
		}
		missing := slices.IndexFunc(skus, func(sku string) bool { _, known := goods[sku]; return !known })
		switch {
		case missing < 0:
			return goods, nil
		case again:
			return nil, apierr.New(apierr.Declined, "unknown_sku", fmt.Errorf("the warehouse does not know %q", skus[missing]))
		}
	}
}

// findProducts returns the goods that are there, by their codes. Codes are not
// unique in Tryton; the lowest id counts.
func (c *Client) findProducts(ctx context.Context, s rpc.Session, skus []string) (map[string]product, error) {
	var found []product
	err := s.Find(ctx, rpc.Query{
		Model: "product.product", Where: rpc.Domain{[]any{"code", "in", skus}}, Fields: []string{"code", "default_uom"}, Certain: true,
	}, &found)
	if err != nil {
		return nil, err
	}
	goods := map[string]product{}
	for _, p := range found {
		if _, known := goods[p.Code]; !known {
			goods[p.Code] = p
		}
	}
	return goods, nil
}
