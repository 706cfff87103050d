package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A screening streams the change feeds past the orders as a sweep streams a day.
// A feed shows only what changed: of an order that was placed since the last
// verified moment that is all there is. Of an older one, what neither the system
// nor the order has changed since then was compared then. Where the feed does not
// agree it is looked up what is there, and so is everything of an order that does
// not agree by its own word. Records that were deleted are on no feed. While no
// more orders are open than a run can look at, it therefore looks at all of them;
// above that what is deleted of an order that changes no more is for the sweeps.

// feed is what a screening walks instead of a day.
type feed struct {
	from, to time.Time
	// since is the moment through which everything was verified when the backlog
	// began, if there is one: what was placed since then has changed whole. Of what
	// changed after the end of a window, its run has compared only what the systems
	// named.
	since time.Time
	until time.Time // when the run ends, done or not
	late  bool      // it has ended so
	// most says that the window cannot be shorter: a run takes of it what it can.
	// over says that it was more.
	most, over bool
	listed     map[order.ID]bool // by visibility, also those that are too old; only looked up
	// strange is what the systems named besides, until it is known whose it is: as
	// many records as memory is planned for, and of others only the order.
	strange map[order.ID][]reconcile.Observation
	kept    int
	full    map[order.ID]bool // of which something was not kept
}

// mostStrange is how many observations of orders that visibility has not listed
// are kept.
const mostStrange = 20_000

// keep keeps what a feed shows of an order that visibility has not listed.
func (f *feed) keep(o reconcile.Observation) {
	if f.listed[o.Order] {
		return // it is too old to be judged
	}
	if _, named := f.strange[o.Order]; !named && len(f.strange) >= mostOrders {
		f.over = true
		return
	}
	if f.kept++; f.kept > mostStrange {
		f.full[o.Order], f.strange[o.Order] = true, nil
		return
	}
	f.strange[o.Order] = append(f.strange[o.Order], o)
}

func (a *Activities) screening(in Screen, out *Screened, status Status) *sweeping {
	s := &sweeping{
		a: a, in: SweepShard{Orders: in.Orders, Now: out.began}, since: a.since(status.Since), beats: &beating{},
		feed: &feed{
			from: out.From, to: out.To, since: status.verifiedWhole(), until: out.began.Add(screenBudget),
			listed: map[order.ID]bool{}, strange: map[order.ID][]reconcile.Observation{}, full: map[order.ID]bool{},
		},
	}
	for _, r := range a.Readers {
		s.streams = append(s.streams, &stream{
			system: r.System, reader: r.Reader, parts: map[int]reconcile.Observation{},
			backwards: r.System == order.SystemPayment,
		})
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
// systems named and visibility has not, those of incidents, and the exceptions of
// the run before: each run looks at them again, whether they changed or not.
func (s *sweeping) walkChanges(ctx context.Context, groups []Group, exceptions []order.ID) ([]Known, error) {
	if err := s.list(ctx); err != nil && !errors.Is(err, errLate) {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	if s.feed.over {
		s.miss("orders that the systems name: "+atOneMoment, mostOrders, screenOverlap)
	}
	members, err := s.a.membersOf(ctx, groups)
	if err != nil {
		return nil, err
	}
	members = append(members, exceptions...)
	ids := slices.DeleteFunc(slices.Clone(members), func(id order.ID) bool { return s.feed.listed[id] })
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
	s.whole(members)
	for _, k := range more {
		if s.feed.full[k.Intent.Order] {
			s.whole([]order.ID{k.Intent.Order})
			continue
		}
		for _, o := range s.feed.strange[k.Intent.Order] {
			s.observe(s.streamOf(o.System), 0, o)
		}
	}
	s.feed.strange = nil
	return more, nil
}

// patrol has every open order looked up, when they are few, and adds those that
// did not change.
func (s *sweeping) patrol(ctx context.Context) ([]Known, error) {
	open, err := s.a.Keeper.Intents(ctx, IntentQuery{Open: true, Limit: mostPatrolled + 1})
	if err != nil {
		return nil, fmt.Errorf("list the open orders: %w", err)
	}
	if len(open) > mostPatrolled {
		return nil, nil
	}
	var more []Known
	var ids []order.ID
	for _, k := range open {
		ids = append(ids, k.Intent.Order)
		if _, found := s.find(k.Intent.Order); !found && !s.feed.listed[k.Intent.Order] {
			more = append(more, k)
		}
	}
	s.add(more)
	s.whole(ids)
	return more, nil
}

// whole has orders looked up whatever the changes show of them.
func (s *sweeping) whole(ids []order.ID) {
	for _, id := range ids {
		n, found := s.find(id)
		for _, st := range s.streams {
			if found {
				st.marks[n] = toLookUp
			}
		}
	}
}

func (s *sweeping) streamOf(system order.System) *stream {
	return s.streams[slices.IndexFunc(s.streams, func(st *stream) bool { return st.system == system })]
}

// add adds orders, of which nothing was seen yet.
func (s *sweeping) add(more []Known) {
	before, marks, seen := s.known, make([][]mark, len(s.streams)), make([]map[int]reconcile.Observation, len(s.streams))
	for i, st := range s.streams {
		marks[i], seen[i] = st.marks, st.parts
		st.parts = map[int]reconcile.Observation{}
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
			if was, known := at[k.Intent.Order]; known {
				st.marks[n] = marks[i][was]
				if o, some := seen[i][was]; some {
					st.parts[n] = o
				}
			}
		}
	}
}

// shows says whether nothing of an order is left to know in a system.
func (f *feed) shows(s *sweeping, st *stream, n int) bool {
	k, m := s.known[n], st.marks[n]
	switch {
	case !k.Agreed || m == toLookUp:
		return false
	case m == noneSeen && k.Intent.PlacedAt.Before(f.since):
		return !changedSince(k, st.system, f.since.Add(-screenOverlap))
	case unlisted(st.system): // contacts and carts are looked up, a hundred orders at once
		return false
	case m == noneSeen:
		return s.agrees(k, absent(st, k, s.a.Now()))
	}
	return s.agrees(k, st.parts[n])
}

// fold adds what a page of changes shows of an order. The same record may be on
// several pages, for it may change meanwhile: it is judged when all were read.
func (f *feed) fold(st *stream, n int, o reconcile.Observation) {
	switch seen, some := st.parts[n]; {
	case !some:
	case st.backwards:
		o = reconcile.Fold(o, seen)
	default:
		o = reconcile.Fold(seen, o)
	}
	st.marks[n], st.parts[n] = someSeen, o
}

// changedSince says whether what an order means a system to say has changed since
// a moment.
func changedSince(k Known, system order.System, moment time.Time) bool {
	return slices.Contains(k.Intent.Busy, system) || slices.ContainsFunc(k.Intent.Changed, func(c reconcile.Changed) bool {
		return c.System == system && !c.At.Before(moment)
	})
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
