package stripe

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
)

// Stripe finds no PaymentIntent by our reference but in its Search, which lags
// behind; so a look-up lists what was made since the order was placed. Of a shop
// with many orders that is soon more than one look-up can read. What lies
// further back is therefore read once for all of them, into a roll: which
// PaymentIntents name which order. A PaymentIntent is on it from the moment that
// its second was over, and what the listing shows of it never changes but for a
// reference that somebody puts on it later; for that the roll is made anew now
// and then, and webhooks and sweeps do not use it at all.

const (
	// rollLife is how long a roll is used. It outlives the reading of a million
	// PaymentIntents.
	rollLife = 6 * time.Hour
	// landed is how long after its second nothing is made in it any more.
	landed = time.Minute
)

// entry is a PaymentIntent on the roll, and the second in which it was made.
type entry struct {
	id      string
	created int64
	of      order.ID // where several orders' entries lie together
}

type roll struct {
	mu    sync.Mutex
	begun time.Time
	// It holds what was made in [from, upto), in seconds.
	from, upto int64
	ids        map[order.ID][]entry
	walking    chan struct{} // one at a time; a buffer of one
}

// of returns what the roll has of an order, and whether it holds all that was
// made between since and before.
func (r *roll) of(id order.ID, since, before int64, now time.Time) ([]entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil || now.Sub(r.begun) > rollLife || since < r.from || before > r.upto {
		return nil, false
	}
	return r.ids[id], true
}

// rolled returns an order's PaymentIntents that were made between since and
// before, from the roll, which is walked as far back as that takes. A walk that
// is given up has done its part: the next look-up goes on from there.
func (c *Client) rolled(ctx context.Context, subject string, of order.ID, since, before int64) ([]entry, error) {
	if found, known := c.roll.of(of, since, before, c.config.Now()); known {
		return found, nil
	}
	select {
	case c.roll.walking <- struct{}{}:
		defer func() { <-c.roll.walking }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: stripe: wait for another look-up: %w", subject, apierr.New(apierr.Unavailable, "", ctx.Err()))
	}
	if ids, known := c.roll.of(of, since, before, c.config.Now()); known {
		return ids, nil
	}
	// As far forward as may be, so that the look-ups after this one read the newest
	// page alone.
	before = max(before, c.config.Now().Add(-landed).Unix())
	from, upto := c.roll.begin(before, c.config.Now())
	if upto < before {
		if err := c.walk(ctx, subject, upto, before, func(int64) {}); err != nil {
			return nil, err
		}
		c.roll.reach(from, before)
	}
	if since < from {
		if err := c.walk(ctx, subject, since, from, func(back int64) { c.roll.reach(back, max(upto, before)) }); err != nil {
			return nil, err
		}
		c.roll.reach(since, max(upto, before))
	}
	ids, _ := c.roll.of(of, since, before, c.config.Now())
	return ids, nil
}

// pages is how many pages a look-up reads by itself: once there is a roll, it is
// brought forward instead.
func (r *roll) pages(alone int, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil || now.Sub(r.begun) > rollLife {
		return alone
	}
	return min(alone, 2)
}

// begin makes the roll anew when there is none or it is too old, as of a moment,
// and returns what it holds.
func (r *roll) begin(before int64, now time.Time) (from, upto int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil || now.Sub(r.begun) > rollLife {
		r.begun, r.ids, r.from, r.upto = now, map[order.ID][]entry{}, before, before
	}
	return r.from, r.upto
}

// reach says how far the roll has come.
func (r *roll) reach(from, upto int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.upto = from, upto
}

// walk enters what was made between two moments, newest first, and tells after
// each page back to where all has been entered.
func (c *Client) walk(ctx context.Context, subject string, since, before int64, entered func(back int64)) error {
	q := url.Values{
		"limit": {"100"}, "created[gte]": {strconv.FormatInt(since, 10)}, "created[lt]": {strconv.FormatInt(before, 10)},
	}
	for range c.config.RollPages {
		var page paymentIntents
		if err := c.list(ctx, subject, "lookup", "/v1/payment_intents", q, &page); err != nil {
			return err
		}
		for _, pi := range page.Data {
			whose, err := c.owner(pi)
			if err != nil {
				return (&exchange{client: c}).garbage(subject, err.Error())
			}
			if whose != "" {
				c.roll.enter(whose, entry{id: pi.ID, created: pi.Created})
			}
		}
		if !page.HasMore || len(page.Data) == 0 {
			return nil
		}
		last := page.Data[len(page.Data)-1]
		entered(last.Created + 1)
		q.Set("starting_after", last.ID)
	}
	return fmt.Errorf("%s: stripe: %w", subject, &apierr.Error{
		Code: apierr.Unavailable, Reason: "too_many_records",
		Err: fmt.Errorf("more than %d pages of PaymentIntents since the order was placed", c.config.RollPages),
	})
}

// enter puts a PaymentIntent on the roll, once.
func (r *roll) enter(of order.ID, e entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.ids[of] {
		if known.id == e.id {
			return
		}
	}
	r.ids[of] = append(r.ids[of], e)
}
