package reconciliation

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// observe takes in what a page shows of one order.
func (s *sweeping) observe(st *stream, part int, o reconcile.Observation) {
	if !s.in.Shard.Has(o.Order) {
		return
	}
	o.System = st.system
	n, found := s.find(o.Order)
	switch {
	case !found && s.feed != nil:
		s.feed.keep(o)
	case !found && s.hunt && part == partDay:
		s.pending = append(s.pending, o)
	case !found:
	case s.feed != nil && o.State == reconcile.Present && st.marks[n] != toLookUp:
		s.feed.fold(st, n, o)
	case o.State != reconcile.Present || st.marks[n] == agreeing:
		// Unreadable on a page, or more than what agrees: a page that came twice, or a
		// record too many.
		st.marks[n] = toLookUp
		delete(st.parts, n)
	case st.marks[n] == toLookUp:
	default:
		if seen, some := st.parts[n]; some {
			o = reconcile.Fold(seen, o)
		}
		if s.agrees(s.known[n], o) {
			st.marks[n] = agreeing
			delete(st.parts, n)
			return
		}
		st.marks[n] = someSeen
		st.parts[n] = o
	}
}

// agrees says whether what a system listed of an order is what it should hold,
// as far as listings show it.
func (s *sweeping) agrees(k Known, o reconcile.Observation) bool {
	if k.Intent.PlacedAt.IsZero() {
		return false
	}
	c := reconcile.Compare(k.Intent, s.a.Policy, []reconcile.Observation{o}, nil, nil, s.a.Now())
	return slices.Contains(c.Judged, o.System) && !reconcile.News(k.Intent, o) &&
		!slices.ContainsFunc(c.Breaks, func(b reconcile.Break) bool { return b.Field.Listed() }) &&
		!slices.ContainsFunc(c.Settling, func(t reconcile.Settling) bool { return t.Break.System == o.System && t.Break.Field.Listed() })
}

const (
	mostPending  = 500  // records of other days' orders, before it is asked whose they are
	mostVisitors = 2000 // of one shard
)

// askWhose finds out whose the records are that were made on the day and belong to
// no order of it. Most belong to an order of an earlier day, which its own sweep
// compares; here it is only asked whether the record should be there at all. One
// of an order that nobody knows waits in the inbox.
func (s *sweeping) askWhose(ctx context.Context) error {
	pending := s.pending
	s.pending = nil
	if len(pending) == 0 {
		return nil
	}
	ids := sortedIDs(pending)
	known, err := s.a.Keeper.Intents(ctx, IntentQuery{IDs: ids, Limit: len(ids)})
	if err != nil {
		return fmt.Errorf("list %d orders by id: %w", len(ids), err)
	}
	s.beats.alive(ctx, s.a.Now())
	for _, o := range pending {
		i := slices.IndexFunc(known, func(k Known) bool { return k.Intent.Order == o.Order })
		if i < 0 {
			if err := s.keepStranger(ctx, o); err != nil {
				return err
			}
			continue
		}
		if s.tooMuch(known[i], o) {
			s.visit(o)
		}
	}
	return nil
}

// tooMuch says that a record should not be there, or is there twice. What is
// missing or not whole is for the sweep of the order's own day to say.
func (s *sweeping) tooMuch(k Known, o reconcile.Observation) bool {
	if k.Intent.PlacedAt.IsZero() || k.before(s.a.Since) {
		return false
	}
	c := reconcile.Compare(k.Intent, s.a.Policy, []reconcile.Observation{o}, nil, nil, s.a.Now())
	return slices.ContainsFunc(c.Breaks, func(b reconcile.Break) bool {
		return b.Field.Listed() && (b.Situation == reconcile.Unexpected || b.Situation == reconcile.Duplicate)
	})
}

func (s *sweeping) visit(o reconcile.Observation) {
	i := slices.IndexFunc(s.visitors, func(v visitor) bool { return v.Order == o.Order })
	switch {
	case i >= 0:
		s.visitors[i].Systems = appendNew(s.visitors[i].Systems, o.System)
	case len(s.visitors) >= mostVisitors:
		s.miss("orders of other days%s: more than %d with records that they do not mean to have", s.where(), mostVisitors)
	default:
		s.visitors = append(s.visitors, visitor{Order: o.Order, Systems: []order.System{o.System}})
	}
}

func (s *sweeping) keepStranger(ctx context.Context, o reconcile.Observation) error {
	n, _ := noticeOf(o.System, o, s.a.Now())
	line := fmt.Sprintf("%s holds records of order %s, which nobody knows", o.System, o.Order)
	n.What = "records that name the order"
	return s.keep(ctx, line, Notices{Order: o.Order, Notices: []Notice{n}})
}

// left is an order whose records were not all in the listings, and where to
// look.
type left struct {
	order   order.ID
	streams []*stream
}

// leftOver returns the orders that are to be looked up: those of the day and
// then the visitors. What cannot be read now is said of its system, and not of
// each order.
func (s *sweeping) leftOver() []left {
	var all []left
	for n, k := range s.known {
		l := left{order: k.Intent.Order}
		for _, st := range s.streams {
			switch m := st.marks[n]; {
			case st.isDown() || s.feed != nil && len(s.in.Orders) == 0 && s.feed.shows(s, st, n):
			case s.feed != nil:
				l.streams = append(l.streams, st)
			case m == agreeing:
			case m == noneSeen && len(s.in.Orders) == 0 && s.agrees(k, absent(st, k, s.a.Now())):
				// Nothing should be there, and nothing was listed. What is made there later is
				// found on the day when it is made.
			default:
				l.streams = append(l.streams, st)
			}
		}
		if len(l.streams) == 0 {
			continue
		}
		all = append(all, l)
	}
	for _, v := range s.visitors {
		l := left{order: v.Order}
		for _, st := range s.streams {
			if slices.Contains(v.Systems, st.system) && !st.isDown() {
				l.streams = append(l.streams, st)
			}
		}
		if len(l.streams) > 0 {
			all = append(all, l)
		}
	}
	return all
}

// batch is how many orders' intents are read anew at once before their records
// are.
const batch = 100

// lookUp reads by reference what is left over, and only then calls it anything.
func (s *sweeping) lookUp(ctx context.Context) error {
	all := s.leftOver()
	for _, st := range s.streams {
		st.parts = nil // what was seen has done its part
	}
	s.out.Looked = len(s.known)
	for these := range slices.Chunk(all, batch) {
		if s.isLate() {
			return nil
		}
		ids := make([]order.ID, len(these))
		for i, l := range these {
			ids[i] = l.order
		}
		known, err := s.a.Keeper.Intents(ctx, IntentQuery{IDs: ids, Limit: len(ids)})
		if err != nil {
			return fmt.Errorf("list %d orders by id: %w", len(ids), err)
		}
		if err := s.lookUpBatch(ctx, these, known); err != nil {
			return err
		}
		if s.feed == nil {
			s.done(these)
			s.beat(ctx)
		}
		if err := stopping(ctx); err != nil {
			return err
		}
	}
	return nil
}

// done marks orders that were looked up, so that whoever takes the sweep up goes
// on behind them.
func (s *sweeping) done(these []left) {
	for _, l := range these {
		if n, found := s.find(l.order); found {
			for _, st := range s.streams {
				st.marks[n] = agreeing
			}
		}
		s.visitors = slices.DeleteFunc(s.visitors, func(v visitor) bool { return v.Order == l.order })
	}
}

func (s *sweeping) lookUpBatch(ctx context.Context, these []left, known []Known) error {
	found := make([]lookedUp, len(these))
	ahead := s.lookAhead(ctx, these, known)
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(sideBySide)
	for i, l := range these {
		k := slices.IndexFunc(known, func(k Known) bool { return k.Intent.Order == l.order })
		switch {
		case k < 0:
			found[i].why = "visibility does not list it by its id"
			continue
		case known[k].Intent.PlacedAt.IsZero():
			found[i].why = "it has not said yet what it means the systems to say"
			continue
		}
		g.Go(func() error {
			found[i] = s.lookUpOne(inner, known[k], l.streams, ahead)
			return inner.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, f := range found { // in order: two runs report alike
		s.file(these[i].order, f)
	}
	return nil
}

// mostSuspected is how many suspects are kept. A screening keeps all, and chooses
// when it knows them.
func (s *sweeping) mostSuspected() int {
	if s.feed != nil {
		return mostOrders
	}
	return mostSweepSuspects
}

// lookedUp is what the look-ups of one order have shown.
type lookedUp struct {
	systems  int
	breaks   []reconcile.Break
	settling int
	news     []order.System // that have gone further than the order knows
	// says are the kinds of the breaks that its order has by its own word, and over that none
	// is there any more.
	says []string
	over bool
	why  string // why it could not be compared
}

func (s *sweeping) lookUpOne(ctx context.Context, k Known, streams []*stream, ahead aheadOf) lookedUp {
	out := lookedUp{says: k.Breaks}
	var observations []reconcile.Observation
	for _, st := range streams {
		if st.isDown() {
			continue // said of the system, and not of each of its orders
		}
		if o, known := ahead[st.system][k.Intent.Order]; known {
			observations = append(observations, o)
			continue
		}
		at := s.a.Now()
		var seen reconcile.Observation
		err := s.call(ctx, st, func(ctx context.Context) error {
			var err error
			seen, err = st.reader.Lookup(ctx, k.Subject)
			return err
		})
		if down := st.answered(err); err != nil {
			if !down {
				out.why = fmt.Sprintf("%s: %s", st.system, clipped(err))
			}
			continue
		}
		observations = append(observations, reconcile.Read(st.system, k.Intent.Order, at, seen, nil))
	}
	out.systems = len(observations)
	c := reconcile.Compare(k.Intent, s.a.Policy, observations, nil, nil, s.a.Now())
	out.breaks = c.Breaks
	out.settling = len(c.Settling)
	for _, o := range observations {
		if reconcile.News(k.Intent, o) {
			out.news = append(out.news, o.System)
		}
	}
	out.over = len(out.says) > 0 && len(c.Judged) == len(order.Systems()) && len(out.breaks)+out.settling+len(out.news) == 0
	if len(c.Judged) < len(observations) && out.why == "" {
		out.why = "an operation is under way"
	}
	if out.settling > 0 && out.why == "" {
		out.why = "it is settling"
	}
	return out
}

const (
	mostSweepSuspects = 500 // of one shard; the others are found by the next sweep
	mostFailed        = 3   // look-ups in a row, until the system counts as down
)

// file takes in what look-ups have shown. An order that could not be compared is
// an exception by name and holds up no other.
func (s *sweeping) file(id order.ID, f lookedUp) {
	if f.systems > 0 {
		s.out.LookedUp++
	}
	s.out.Settling += f.settling
	if len(f.breaks)+len(f.news) > 0 || f.over { // its own workflow looks again
		if len(s.out.Suspects) >= s.mostSuspected() {
			s.miss("suspects%s: more than %d; the others are found by the next sweep", s.where(), mostSweepSuspects)
			return
		}
		s.out.Suspects = append(s.out.Suspects, Suspect{Order: id, Breaks: f.breaks, Systems: concerned(f), Says: f.says})
	}
	if f.why == "" {
		return
	}
	if len(s.out.Exceptions) >= mostExceptions && s.feed == nil {
		s.miss("orders%s: more than %d could not be compared", s.where(), mostExceptions)
		return
	}
	s.out.Exceptions = append(s.out.Exceptions, Exception{Order: id, Why: f.why})
}

// concerned returns the systems that disagree or have news, in their usual order.
func concerned(f lookedUp) []order.System {
	disagreeing := systemsOf(f.breaks)
	return slices.DeleteFunc(order.Systems(), func(s order.System) bool {
		return !slices.Contains(disagreeing, s) && !slices.Contains(f.news, s)
	})
}

func (st *stream) isDown() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.unread != ""
}

// answered counts look-ups, and says whether the system is down: some in a row
// have failed, and not because of their order.
func (st *stream) answered(err error) (down bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.lookups++
	switch {
	case err == nil:
		st.failed = 0
	case slices.Contains([]apierr.Code{apierr.Unavailable, apierr.RateLimited, apierr.Unauthorized, apierr.InDoubt}, apierr.CodeOf(err)):
		if st.failed++; st.failed >= mostFailed && st.unread == "" {
			st.unread = "look-ups fail: " + clipped(err)
		}
	}
	return st.unread != ""
}
