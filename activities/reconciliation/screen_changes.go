package reconciliation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A screening streams the change feeds past the orders as a sweep streams a day.
// A feed shows only what changed: of an order that was placed since the last
// verified moment that is all there is. Of an older one it is all when it agrees,
// for what did not change was compared before; what does not is looked up, and so
// is everything of an order that does not agree by its own word.

// feed is what a screening walks instead of a day.
type feed struct {
	from, to time.Time
	verified time.Time         // what was placed since then has changed whole
	until    time.Time         // when looking up ends, done or not
	listed   map[order.ID]bool // by visibility, also those that are too old; only looked up
	strange  map[order.ID]bool // what the systems named besides
}

func (a *Activities) screening(in Screen, out *Screened, status Status) *sweeping {
	s := &sweeping{
		a: a, in: SweepShard{Orders: in.Orders, Now: out.To}, since: a.since(status.Since),
		feed: &feed{
			from: out.From, to: out.To, verified: out.Verified, until: out.To.Add(screenBudget),
			listed: map[order.ID]bool{}, strange: map[order.ID]bool{},
		},
	}
	for _, r := range a.Readers {
		s.streams = append(s.streams, &stream{system: r.System, reader: r.Reader, parts: map[int]reconcile.Observation{}})
	}
	return s
}

// know begins with these orders. What was placed before anything is judged is
// left out, where an operator has said when that is: else whatever was submitted
// to this engine is judged, also what it took over from before its memory began.
func (s *sweeping) know(known []Known) {
	s.known = slices.Clone(known)
	s.sort()
	for _, k := range known {
		s.feed.listed[k.Intent.Order] = true
	}
}

// walkChanges streams the change feeds past the orders, and adds those that the
// systems named and visibility has not, and those of incidents: each run looks
// at them again, whether they changed or not.
func (s *sweeping) walkChanges(ctx context.Context, groups []Group) ([]Known, error) {
	if err := s.list(ctx); err != nil {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	members, err := s.a.membersOf(ctx, groups)
	if err != nil {
		return nil, err
	}
	ids := s.whole(members)
	for id := range s.feed.strange {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var more []Known
	for some := range slices.Chunk(slices.Compact(ids), mostSuspects) {
		known, err := s.a.Keeper.Intents(ctx, IntentQuery{IDs: some, Limit: len(some)})
		if err != nil {
			return nil, fmt.Errorf("list %d orders by id: %w", len(some), err)
		}
		s.beats.alive(ctx, s.a.Now())
		more = append(more, known...)
	}
	s.add(more)
	return more, nil
}

// whole has orders looked up whatever the changes show of them, and returns those
// that are not known yet.
func (s *sweeping) whole(ids []order.ID) (strange []order.ID) {
	for _, id := range ids {
		n, found := s.find(id)
		if !found {
			if !s.feed.listed[id] {
				strange = append(strange, id)
			}
			continue
		}
		for _, st := range s.streams {
			st.marks[n] = toLookUp
		}
	}
	return strange
}

// add adds orders of which no change was seen by this name: they are looked up.
func (s *sweeping) add(more []Known) {
	before, marks := s.known, make([][]mark, len(s.streams))
	for i, st := range s.streams {
		marks[i] = st.marks
	}
	tooOld := s.out.TooOld
	s.known = append(slices.Clone(before), more...)
	s.sort() // makes the marks anew
	s.out.TooOld += tooOld
	at := map[order.ID]int{} // only looked up
	for n, k := range before {
		at[k.Intent.Order] = n
	}
	for n, k := range s.known {
		for i, st := range s.streams {
			st.marks[n] = toLookUp
			if was, known := at[k.Intent.Order]; known {
				st.marks[n] = marks[i][was]
			}
		}
	}
}

// shows says whether the changes have shown all that is to know of an order in a
// system. Payments come as they were when something happened to them, and
// contacts and carts not at all: both are looked up, a hundred orders at once.
func (f *feed) shows(s *sweeping, st *stream, n int) bool {
	k := s.known[n]
	switch {
	case !k.Agreed || st.system == order.SystemPayment || unlisted(st.system):
		return false
	case st.marks[n] == agreeing:
		return true
	case st.marks[n] != noneSeen || k.Intent.PlacedAt.Before(f.verified):
		return false
	}
	return s.agrees(k, absent(st, k, s.a.Now()))
}

// into carries what the screening has shown into its report.
func (s *sweeping) into(out *Screened) {
	swept := s.result()
	out.Looked, out.Records, out.Settling, out.TooOld = swept.Looked, swept.Records, swept.Settling, swept.TooOld
	out.Suspects, out.Unread, out.Truncated, out.Missed = swept.Suspects, swept.Unread, swept.Truncated, swept.Missed
	for _, e := range swept.Exceptions {
		out.Exceptions = append(out.Exceptions, e.Order)
	}
	slices.SortFunc(out.Suspects, func(x, y Suspect) int { return compareIDs(x.Order, y.Order) })
	slices.Sort(out.Exceptions)
	out.Exceptions = slices.Compact(out.Exceptions)
}
