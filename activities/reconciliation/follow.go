package reconciliation

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A poll takes so many records of a system at most. When more has changed, after an
// outage or an import, it ends its window earlier, and the next poll goes on there:
// in one poll all of that would outlast the activity, which would begin anew for ever.
// The window is cut by time, as that of a run is, for no system lists in the order of
// its changes.

const (
	// mostPolled is also how many changes a cursor names, which is in each heartbeat: the
	// engine takes no large one. Of a bulk at one moment there may be more. What is not
	// named is given once more when the overlap shows it again, and its order knows the
	// notice by its id.
	mostPolled = 5_000
	// shortestPoll is the least that a window is cut to. It is longer than the overlap,
	// so that a bulk of one moment is in two of them at most; each takes all of it.
	shortestPoll = time.Minute
)

// sighting is a notice for an order, "" when it is of none, and how the cursor of its
// feed names it.
type sighting struct {
	order  order.ID
	notice Notice
	seen   string
}

// findings are the notices of a poll, all of one order's together, and how the cursors
// name each.
type findings struct {
	batches []Notices
	seen    [][]string
	of      map[order.ID]int
	// began are the cursors with which the poll began.
	began []Cursor
}

func (f *findings) add(all []sighting) {
	for _, s := range all {
		i, known := f.of[s.order]
		if s.order == "" || !known {
			i = len(f.batches)
			f.batches, f.seen = append(f.batches, Notices{Order: s.order}), append(f.seen, nil)
		}
		if f.of == nil {
			f.of = map[order.ID]int{}
		}
		f.of[s.order] = i
		f.batches[i].Notices, f.seen[i] = append(f.batches[i].Notices, s.notice), append(f.seen[i], s.seen)
	}
}

// mostFailing orders that cannot be told one after the other are none of theirs: the
// engine does not answer.
const mostFailing = 10

// waitsForOne is how long a feed gives one order once more what could not be given,
// before it goes on without: a run compares that order, and others must not wait.
const waitsForOne = 5 * time.Minute

// giveAll gives what a poll has found. What one order could not be given is given once
// more by the next poll, and everything else is not.
func (a *Activities) giveAll(ctx context.Context, found findings, since time.Time, cursors []Cursor, alive func()) ([]Cursor, error) {
	failing := 0
	for i, b := range found.batches {
		err := a.give(ctx, b, since)
		log := activity.GetLogger(ctx)
		switch {
		case err == nil:
			failing = 0
		case errors.Is(err, ErrRefused): // one of them must not hold up all systems for good
			log.Error("what a change feed said can never be given or kept, and nobody is told of it; look at the record in its system",
				"order", b.Order, "system", b.Notices[0].System, "record", b.Notices[0].Record, "error", err)
		case ctx.Err() != nil || failing+1 >= mostFailing:
			return nil, fmt.Errorf("follow changes: %w", err)
		default:
			failing++
			log.Warn("what a change feed said could not be given to its order; the next poll gives it again", "order", b.Order, "system", b.Notices[0].System, "error", err)
			for k, n := range b.Notices {
				a.holdBack(found.began, cursors, n.System, found.seen[i][k])
			}
		}
		alive()
	}
	return cursors, nil
}

// holdBack has the next poll see a change once more: the feed of its system goes on from
// where it was, and forgets that it has seen this one.
func (a *Activities) holdBack(began, cursors []Cursor, of order.System, what string) {
	for i := range cursors {
		c, was := &cursors[i], began[i] // both are of the same systems
		if was.Held.IsZero() {
			was.Held = a.Now()
		}
		if c.System != of || a.Now().Sub(was.Held) > waitsForOne {
			continue
		}
		c.Through, c.Span, c.Held = was.Through, was.Span, was.Held
		c.Recent = slices.DeleteFunc(c.Recent, func(seen string) bool { return seen == what })
	}
}

// pollSystem walks what changed since the cursor, with which this poll of the system
// began, and moves the cursor only when every page was read.
func (a *Activities) pollSystem(ctx context.Context, c *Cursor, found *findings, alive func()) error {
	now := a.Now()
	through, most := now, mostPolled
	if at := c.Through.Add(c.Span).Truncate(time.Second); c.Span > 0 && at.Before(now) {
		through = at
	}
	for {
		to := through
		if through.Equal(now) {
			to = now.Add(time.Minute) // clocks differ
		}
		notices, recent, err := a.walkFeed(ctx, c, to, most, alive)
		if errors.Is(err, errTooMany) {
			if half := through.Sub(c.Through) / 2; half >= shortestPoll {
				through = c.Through.Add(half).Truncate(time.Second)
			} else {
				most = math.MaxInt
			}
			continue
		}
		found.add(notices)
		if err != nil {
			if c.Unread.IsZero() {
				c.Unread = now
			}
			return err
		}
		if was := &found.began[len(found.began)-1]; !c.Unread.IsZero() && !was.Held.IsZero() {
			was.Held = was.Held.Add(now.Sub(c.Unread)) // nobody could be told meanwhile
		}
		span := time.Duration(0)
		if through.Before(now) {
			span = 2 * through.Sub(c.Through)
		}
		c.Through, c.Recent, c.Span = through, recent[max(0, len(recent)-mostPolled):], span
		c.Held, c.Unread = time.Time{}, time.Time{}
		return nil
	}
}

// walkFeed reads what changed between the cursor and a moment, and returns what is new
// of that and all that it has shown; errTooMany when it is more than so many records.
func (a *Activities) walkFeed(ctx context.Context, c *Cursor, to time.Time, most int, alive func()) (fresh []sighting, recent []string, err error) {
	reader := a.reader(c.System)
	request := reconcile.ListRequest{By: reconcile.ListChanged, From: c.Through.Add(-overlap), To: to}
	known := map[string]bool{} // only looked up
	for _, one := range c.Recent {
		known[one] = true
	}
	take := func(seen string, of order.ID, n Notice) {
		seen = named(seen)
		if recent = append(recent, seen); !known[seen] {
			fresh = append(fresh, sighting{of, n, seen})
		}
		known[seen] = true
	}
	for {
		page, err := reader.List(ctx, request)
		alive()
		if err != nil {
			return fresh, recent, err
		}
		// A change is as late as the listing that showed it, not as its beginning:
		// dated earlier it would pass for the echo of what we wrote in between.
		read := a.Now()
		for _, o := range page.Observations {
			notice, seen := noticeOf(c.System, o, read)
			take(seen, o.Order, notice)
		}
		for _, orphan := range page.Orphans {
			take(orphan.Record, "", noticeOfOrphan(c.System, orphan))
		}
		switch {
		case len(recent) > most:
			return nil, nil, errTooMany
		case page.Next == "":
			return fresh, recent, nil
		}
		request.Cursor = page.Next
	}
}

// named is how a cursor names a change, as shortly as no other one is named.
func named(seen string) string {
	sum := sha256.Sum256([]byte(seen))
	return base64.RawStdEncoding.EncodeToString(sum[:8])
}
