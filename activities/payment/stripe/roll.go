package stripe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"sync"
	"time"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Stripe finds no PaymentIntent by our reference but in its Search, which lags
// behind; so a look-up lists what was made since the order was placed. Of a shop
// with many orders that is soon more than one look-up can read. What lies
// further back is therefore read once for all of them, into a roll: which
// PaymentIntents name which order. A PaymentIntent is on it from the moment that
// its second was over, and what the listing shows of it never changes but for a
// reference that somebody puts on it later; for that the roll is made anew now
// and then, and webhooks and sweeps do not use it at all. Whoever asks afresh has a
// roll of their own, which goes no further back than a checkout lives: it is made anew
// for them where it went past a PaymentIntent that may have got a reference since. Who
// asks afresh about an order that comes late has another one: nobody else waits for it.

const (
	// rollLife is how long a roll is used. It outlives the reading of a million
	// PaymentIntents.
	rollLife = 6 * time.Hour
	// landed is how long after its second nothing is made in it any more.
	landed = time.Minute
	// fresh is how long before it is asked about afresh an order's payment may have
	// begun, unless it comes late: a checkout lives for a day, and a day is for the
	// order.
	fresh = 48 * time.Hour
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
	index      *index
	// goal is how far back it is to go, and the nameless are between two seconds:
	// PaymentIntents that name no order yet.
	goal, firstNameless, lastNameless int64
	walking                           chan struct{} // one at a time; a buffer of one
}

func newRoll() roll { return roll{walking: make(chan struct{}, 1)} }

// span is what a look-up asks a roll for: all that was made between two seconds, as
// it was at a moment or later.
type span struct {
	since, before int64
	afresh        time.Time
}

// of returns what the roll has of an order, and whether it holds all of a span.
func (r *roll) of(id order.ID, s span, now time.Time) ([]entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index == nil || now.Sub(r.begun) > rollLife || s.since < r.from || s.before > r.upto || r.outdated(s) {
		return nil, false
	}
	return r.index.of(id), true
}

// outdated says that something in a span may have got its name since it was read.
func (r *roll) outdated(s span) bool {
	return r.begun.Before(s.afresh) && r.firstNameless < s.before && r.lastNameless >= s.since
}

// rollFor is the roll that a look-up uses.
func (c *Client) rollFor(s reconcile.Subject) *roll {
	switch {
	case s.Afresh.IsZero():
		return &c.roll
	case s.Afresh.Sub(s.PlacedAt) <= fresh:
		return &c.recent
	}
	return &c.late
}

// rolled returns an order's PaymentIntents that were made between since and
// before, from the roll, which is walked as far back as that takes. A walk that
// is given up has done its part: the next look-up goes on from there.
func (c *Client) rolled(ctx context.Context, subject string, of order.ID, r *roll, s span) ([]entry, error) {
	if found, known := r.of(of, s, c.config.Now()); known {
		return found, nil
	}
	select {
	case r.walking <- struct{}{}:
		defer func() { <-r.walking }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: stripe: wait for another look-up: %w", subject, apierr.New(apierr.Unavailable, "", ctx.Err()))
	}
	for range 3 { // what others began, which is finished for them, and one of its own
		if found, known := r.of(of, s, c.config.Now()); known {
			return found, nil
		}
		if err := c.bring(ctx, subject, r, s); err != nil {
			return nil, err
		}
	}
	if found, known := r.of(of, s, c.config.Now()); known {
		return found, nil
	}
	return nil, fmt.Errorf("%s: stripe: %w", subject, apierr.New(apierr.Unavailable, "", errors.New("the PaymentIntents are older by now than was asked for")))
}

// bring brings a roll forward and back to a span.
func (c *Client) bring(ctx context.Context, subject string, r *roll, s span) error {
	// As far forward as may be, so that the look-ups after this one read the newest
	// page alone.
	before := max(s.before, c.config.Now().Add(-landed).Unix())
	from, upto := r.begin(s, before, c.current(c.config.Now()), c.config.Now())
	if upto < before {
		if err := c.walk(ctx, subject, r, span{since: upto, before: before}, func(int64) {}); err != nil {
			return err
		}
		r.reach(from, before)
	}
	since := r.aim(s.since)
	if since < from {
		if err := c.walk(ctx, subject, r, span{since: since, before: from}, func(back int64) { r.reach(back, max(upto, before)) }); err != nil {
			return err
		}
		r.reach(since, max(upto, before))
	}
	return nil
}

// pages is how many pages a look-up reads by itself: once there is a roll, it is
// brought forward instead.
func (r *roll) pages(alone int, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index == nil || now.Sub(r.begun) > rollLife {
		return alone
	}
	return min(alone, 2)
}

// begin makes the roll anew when there is none, or it is too old or outdated, as of a
// moment, and returns what it holds. What is still on its way back for somebody else
// gets there first, or orders that come faster than it is read would all wait for ever.
func (r *roll) begin(s span, before int64, into *index, now time.Time) (from, upto int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index == nil || now.Sub(r.begun) > rollLife || r.outdated(s) && r.from <= r.goal {
		r.begun, r.index, r.from, r.upto = now, into, before, before
		r.goal, r.firstNameless, r.lastNameless = s.since, math.MaxInt64, 0
	}
	return r.from, r.upto
}

// aim has the roll go back to a second at least, and returns how far it is to go.
func (r *roll) aim(since int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.goal = min(r.goal, since)
	return r.goal
}

// reach says how far the roll has come.
func (r *roll) reach(from, upto int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.upto = from, upto
}

// walk enters what was made in a span, newest first, and tells after
// each page back to where all has been entered.
func (c *Client) walk(ctx context.Context, subject string, r *roll, s span, entered func(back int64)) error {
	q := url.Values{
		"limit": {"100"}, "created[gte]": {strconv.FormatInt(s.since, 10)}, "created[lt]": {strconv.FormatInt(s.before, 10)},
	}
	into := r.into()
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
				into.enter(whose, entry{id: pi.ID, created: pi.Created})
			} else if pi.Status != api.PaymentIntentStatusCanceled {
				r.unnamed(pi.Created)
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

// into is where what is walked past is entered.
func (r *roll) into() *index {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.index
}

// unnamed takes note of a PaymentIntent that names no order.
func (r *roll) unnamed(created int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.firstNameless, r.lastNameless = min(r.firstNameless, created), max(r.lastNameless, created)
}
