package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// stream is what one system lists of the day, and what it has shown so far.
type stream struct {
	system order.System
	reader Reader
	pace   pace
	// backwards says that it lists the newest first, each record as it was then: of
	// several pages about one the first counts.
	backwards bool

	place   place
	marks   []mark                        // of each order
	parts   map[int]reconcile.Observation // of those of which some was seen
	records int
	pages   int
	lookups int
	unread  string // why it could not be read
	failed  int    // look-ups in a row
	mu      sync.Mutex
}

// place is where the next page begins: in which part of the window, and where
// there.
type place struct {
	Part   int    `json:"part"`
	Cursor string `json:"cursor,omitempty"`
}

// The parts of what is listed: records that were made before the day, on it and
// after it. Only of those made on the day is it asked whose they are.
const (
	partBefore = iota
	partDay
	partAfter
	parts
)

// parts is how many parts there are: changes are one.
func (s *sweeping) parts() int {
	if s.feed != nil {
		return 1
	}
	return parts
}

// window returns what a part lists.
func (s *sweeping) window(part int) (from, to time.Time) {
	if s.feed != nil {
		return s.feed.from, s.feed.to
	}
	start, end := s.in.Day, s.in.Day.Add(Day)
	switch part {
	case partBefore:
		return start.Add(-s.a.Sweeps.Before), start
	case partDay:
		return start, end
	}
	to = end.Add(s.a.Sweeps.Span)
	if to.After(s.in.Now) {
		to = s.in.Now
	}
	return end, to
}

// read is one page, or why there is none.
type read struct {
	stream *stream
	part   int
	page   reconcile.Page
	next   place
	err    error
}

// list streams the six systems past the orders: each is read by a goroutine of
// its own, which waits until its page was taken.
func (s *sweeping) list(ctx context.Context) error {
	if len(s.in.Orders) > 0 {
		return nil // they are looked up, all of them
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	pages := make(chan read)
	var g errgroup.Group
	for _, st := range s.streams {
		from := st.place
		if st.unread == "" && from.Part < s.parts() {
			g.Go(func() error { return s.walk(inner, st, from, pages) })
		}
	}
	over := make(chan error, 1)
	go func() {
		over <- g.Wait()
		close(pages)
	}()
	var failed error
	for r := range pages {
		if failed != nil {
			continue
		}
		if failed = s.take(ctx, r); failed != nil {
			cancel()
		}
	}
	err := <-over
	if failed != nil {
		return failed
	}
	if err == nil {
		err = s.askWhose(ctx)
	}
	return err
}

// walk reads one system's pages from a place on.
func (s *sweeping) walk(ctx context.Context, st *stream, at place, pages chan<- read) error {
	by := reconcile.ListCreated
	if s.feed != nil {
		by = reconcile.ListChanged
	}
	for at.Part < s.parts() {
		from, to := s.window(at.Part)
		r := read{stream: st, part: at.Part, next: place{Part: at.Part + 1}}
		if from.Before(to) {
			request := reconcile.ListRequest{By: by, From: from, To: to, Cursor: at.Cursor}
			r.err = s.call(ctx, st, func(ctx context.Context) error {
				var err error
				r.page, err = st.reader.List(ctx, request)
				return err
			})
			if r.err == nil && r.page.Next != "" {
				r.next = place{Part: at.Part, Cursor: r.page.Next}
			}
		}
		read := r.err == nil
		select {
		case pages <- r:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !read {
			break // it is taken as what was not read
		}
		at = r.next
	}
	return nil
}

// take takes a page in.
func (s *sweeping) take(ctx context.Context, r read) error {
	st := r.stream
	if r.err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		st.unread = clipped(r.err)
		activity.GetLogger(ctx).Warn("a system could not be listed; the sweep is partial", "system", st.system, "error", r.err)
		return nil
	}
	st.pages++
	st.records += len(r.page.Observations) + len(r.page.Orphans)
	for _, o := range r.page.Observations {
		s.observe(st, r.part, o)
	}
	for _, orphan := range r.page.Orphans {
		if r.part == partDay && s.in.Shard.Has(order.ID(orphan.Record)) {
			if err := s.keepOrphan(ctx, st.system, orphan); err != nil {
				return err
			}
		}
	}
	st.place = r.next
	if s.feed != nil {
		return s.tooMuchChanged(ctx)
	}
	if len(s.pending) >= mostPending {
		if err := s.askWhose(ctx); err != nil {
			return err
		}
	}
	if s.beats.due(len(s.known), s.a.Now()) {
		if err := s.askWhose(ctx); err != nil { // what waits for its order is not in the heartbeat
			return err
		}
		s.beat(ctx)
		return stopping(ctx)
	}
	return nil
}

var errStopping = errors.New("the worker stops; the sweep is taken up elsewhere")

// stopping ends the sweep where it is when its worker stops: a deploy waits for
// no day.
func stopping(ctx context.Context) error {
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return errStopping
	default:
		return ctx.Err()
	}
}

// call calls a system within the sweep's rate, and again where that may help.
func (s *sweeping) call(ctx context.Context, st *stream, do func(context.Context) error) error {
	c := caller{a: s.a, pace: &st.pace, perSecond: s.a.Sweeps.PerSecond, tries: mostTries, limits: mostLimits}
	if s.feed != nil {
		c.perSecond, c.tries = s.a.Sweeps.RunPerSecond, screenTries
	}
	c.alive = func(ctx context.Context) { s.beats.alive(ctx, s.a.Now()) }
	return c.call(ctx, do)
}

// clipped keeps evidence short: histories hold it.
func clipped(err error) string {
	if text := []rune(err.Error()); len(text) > 160 {
		return string(text[:160]) + "…"
	}
	return err.Error()
}

// keepOrphan gives a record that names no order to the inbox.
func (s *sweeping) keepOrphan(ctx context.Context, system order.System, o reconcile.Orphan) error {
	if !s.hunt || o.At.Before(s.since) {
		return nil
	}
	line := fmt.Sprintf("%s holds a %s, %s, that no order claims: %s", system, o.Kind, o.Record, o.What)
	return s.keep(ctx, line, Notices{Notices: []Notice{noticeOfOrphan(system, o)}})
}

const mostKept = 200 // of one shard; more of them at once are an incident of their own

func (s *sweeping) keep(ctx context.Context, line string, n Notices) error {
	if s.out.Kept >= mostKept {
		s.miss("records that no order claims%s: more than %d; see why so many are there before the next sweep keeps the others", s.where(), mostKept)
		return nil
	}
	s.out.Kept++
	if len(s.out.Lines) < mostLines {
		s.out.Lines = append(s.out.Lines, line)
	}
	if s.in.DryRun {
		return nil
	}
	err := s.a.give(ctx, n, s.since)
	if errors.Is(err, ErrRefused) { // the report says it, and the sweep is partial
		s.out.Kept--
		s.miss("%s, and nobody can be asked about it: %s", line, clipped(err))
		return nil
	}
	return err
}

func noticeOfOrphan(system order.System, o reconcile.Orphan) Notice {
	return Notice{
		ID: "feed/" + o.Record, System: system, Record: o.Record, Type: o.Kind, At: o.At, What: o.What, Money: o.Money, Currency: o.Currency,
	}
}

func noticeOf(system order.System, o reconcile.Observation, read time.Time) (n Notice, seen string) {
	id := o.Version
	if id == "" {
		id = fingerprint(o)
	}
	return Notice{ID: "feed/" + id, System: system, Type: "changed", At: changedAt(o, read), Says: reconcile.Says(o)}, string(o.Order) + "@" + id
}

func sortedIDs(all []reconcile.Observation) []order.ID {
	var ids []order.ID
	for _, o := range all {
		ids = append(ids, o.Order)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
