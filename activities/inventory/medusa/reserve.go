package medusa

import (
	"context"
	"errors"
	"fmt"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reserve promises the lines to the order.
func (c *Client) Reserve(ctx context.Context, r inventory.ReserveRequest) ([]reconcile.Reservation, error) {
	held, err := c.reserve(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("reserve stock of order %s: %w", r.Order, err)
	}
	return reservationsOf(held), nil
}

// reserving is one call of Reserve.
type reserving struct {
	*Client
	inventory.ReserveRequest
	goods  map[int]goods     // by line
	before map[int][]promise // what was reserved when it began, by line
}

func (c *Client) reserve(ctx context.Context, r inventory.ReserveRequest) ([]promise, error) {
	if err := checkLines(r.Lines); err != nil {
		return nil, err
	}
	v := reserving{Client: c, ReserveRequest: r, goods: map[int]goods{}}
	for _, line := range r.Lines {
		g, err := c.goods(ctx, line.SKU)
		if err != nil {
			return nil, fmt.Errorf("sku %s: %w", line.SKU, err)
		}
		v.goods[line.Line] = g
	}
	held, err := c.held(ctx, r.Order)
	if err != nil {
		return nil, err
	}
	v.before = byLine(held)
	if v.complete(held) {
		return held, nil
	}
	err = v.fill(ctx, held)
	if outOf(err) {
		// A twin of this very request may have taken the piece: look again,
		// release what is surplus, and try once more with what that freed.
		if held, err = v.held(ctx, r.Order); err == nil {
			err = v.fill(ctx, held)
		}
	}
	if final(err) {
		return v.decline(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	if held, err = v.settled(ctx); err != nil {
		return nil, err
	}
	if !v.complete(held) {
		return nil, apierr.New(apierr.InDoubt, "", errors.New("medusa: the reservations do not read back as they were made"))
	}
	return held, nil
}

func outOf(err error) bool {
	return err != nil && apierr.CodeOf(err) == apierr.Declined && apierr.ReasonOf(err) == outOfStock
}

// final says that the same request will be refused again, so that the lines made
// before it are not to stay.
func final(err error) bool {
	if err == nil {
		return false
	}
	switch apierr.CodeOf(err) {
	case apierr.Declined, apierr.Conflict, apierr.Invalid, apierr.NotFound:
		return true
	case apierr.Unavailable, apierr.RateLimited, apierr.InDoubt, apierr.Unauthorized, apierr.Garbage:
	}
	return false
}

// checkLines refuses what would reserve nothing, or one line twice.
func checkLines(lines []order.Quantity) error {
	seen := map[int]bool{}
	for _, l := range lines {
		switch {
		case l.Line < 1 || l.Line > order.MaxLines || seen[l.Line]:
			return apierr.New(apierr.Invalid, "", fmt.Errorf("line %d is not a line, or there twice", l.Line))
		case l.Quantity < 1:
			return apierr.New(apierr.Invalid, "", fmt.Errorf("line %d has the quantity %d", l.Line, l.Quantity))
		}
		seen[l.Line] = true
	}
	return nil
}

func byLine(all []promise) map[int][]promise {
	lines := map[int][]promise{}
	for _, p := range all {
		lines[p.Line] = append(lines[p.Line], p)
	}
	return lines
}

// complete says whether each wanted line has one reservation, the right one.
func (v *reserving) complete(held []promise) bool {
	lines := byLine(held)
	for _, want := range v.Lines {
		has := lines[want.Line]
		if len(has) != 1 || has[0].item != v.goods[want.Line].item || has[0].Quantity != want.Quantity {
			return false
		}
	}
	return len(lines[0]) == 0
}

// fill makes each wanted line right. It releases before it reserves, so that
// what is surplus is not in its own way.
func (v *reserving) fill(ctx context.Context, held []promise) error {
	kept, err := v.release(ctx, held)
	if err != nil {
		return err
	}
	for _, want := range v.Lines {
		has, ok := kept[want.Line]
		switch {
		case !ok:
			err = v.create(ctx, v.ReserveRequest, want, v.goods[want.Line])
		case has.Quantity > want.Quantity:
			err = v.lower(ctx, order.Release, v.ReserveRequest, has, want.Quantity)
		case has.Quantity < want.Quantity:
			err = v.resize(ctx, order.Reserve, v.Order, has.ID, want.Quantity)
		}
		if err != nil {
			return fmt.Errorf("sku %s: %w", want.SKU, err)
		}
	}
	return nil
}

// release deletes what is surplus: every reservation of a wanted line but the
// lowest of the right item, and any that has lost its line. It returns what is
// kept of the wanted lines.
func (v *reserving) release(ctx context.Context, held []promise) (map[int]promise, error) {
	kept := map[int]promise{}
	for _, p := range held { // sorted: the lowest id comes first
		g, wanted := v.goods[p.Line]
		_, twice := kept[p.Line]
		switch {
		case wanted && p.item == g.item && !twice:
			kept[p.Line] = p
		case wanted || p.Line == 0:
			if err := v.remove(ctx, order.Release, p.ID); err != nil {
				return nil, fmt.Errorf("release the surplus: %w", err)
			}
		}
	}
	return kept, nil
}

// settled reads back, and releases the surplus that a twin of the request, or a
// request delivered twice, made meanwhile.
func (v *reserving) settled(ctx context.Context) ([]promise, error) {
	held, err := v.held(ctx, v.Order)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", inDoubt(err))
	}
	if v.complete(held) {
		return held, nil
	}
	if _, err := v.release(ctx, held); err != nil {
		return nil, inDoubt(err)
	}
	held, err = v.held(ctx, v.Order)
	return held, inDoubt(err)
}

// decline takes back what this call made, also what a middlebox made of it,
// unless a twin of the request completed it after all.
func (v *reserving) decline(ctx context.Context, cause error) ([]promise, error) {
	held, err := v.held(ctx, v.Order)
	if err != nil {
		return nil, inDoubt(err)
	}
	if v.complete(held) {
		return held, nil
	}
	now := byLine(held)
	for _, want := range v.Lines {
		before := v.before[want.Line]
		for _, p := range now[want.Line] {
			switch was := quantityOf(before, p.ID); {
			case was < 0:
				err = v.remove(ctx, order.Release, p.ID)
			case was < p.Quantity:
				err = v.lower(ctx, order.Release, v.ReserveRequest, p, was)
			}
			if err != nil {
				return nil, fmt.Errorf("take back line %d: %w", want.Line, inDoubt(err))
			}
		}
	}
	return nil, cause
}

// quantityOf returns what a reservation held, or -1 when there was none.
func quantityOf(all []promise, id string) int64 {
	for _, p := range all {
		if p.ID == id {
			return p.Quantity
		}
	}
	return -1
}

// lower makes a reservation smaller. While more is reserved of an item than is
// stocked Medusa refuses every change of a reservation, this one too, but not
// its deletion. When that makes room for what is to stay, it is deleted and made
// anew with less; for a moment it is nobody's. When it makes none, nothing is
// touched, lest the order lose what it has.
func (c *Client) lower(ctx context.Context, operation order.Operation, r inventory.ReserveRequest, p promise, to int64) error {
	err := c.resize(ctx, operation, r.Order, p.ID, to)
	if !outOf(err) {
		return err
	}
	l, err := c.level(ctx, p.SKU)
	if err != nil {
		return err
	}
	g, err := c.goods(ctx, p.SKU)
	if err != nil {
		return err
	}
	room := l.Stocked - l.Reserved
	if p.location == g.location {
		room += p.Quantity
	}
	if room < to {
		return apierr.New(apierr.Conflict, oversold,
			fmt.Errorf("medusa: %d are stocked and %d reserved, so that no reservation can be made smaller", l.Stocked, l.Reserved))
	}
	if err := c.remove(ctx, operation, p.ID); err != nil {
		return err
	}
	line := order.Quantity{Line: p.Line, SKU: p.SKU, Quantity: to}
	err = c.create(ctx, r, line, g)
	if outOf(err) {
		return apierr.New(apierr.Conflict, oversold, fmt.Errorf("another order took what was to stay: %w", err))
	}
	return inDoubt(err)
}

// oversold is the reason of a Conflict: more is reserved than stocked.
const oversold = "oversold"
