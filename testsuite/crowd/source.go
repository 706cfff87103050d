package crowd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Source is the generated source of intents behind the ports that visibility
// implements, and stands in for the orders' own workflows: it reads again, as
// they would, and decides by the same pure core what is to be done.
type Source struct {
	crowd  *Crowd
	at     map[time.Time]int // of a day, its place among the crowd's
	policy reconcile.Policy
	now    func() time.Time
	// Reported is told of each report as it comes; nil: nobody is.
	Reported func(reconciliation.RunReport)

	readers []reconciliation.SystemReader
	changes []change // by their time, of all orders that do not settle
	settle  []int
	mu      sync.Mutex
	status  reconciliation.Status
	steps   map[order.ID][]reconcile.Step
	kept    []string // what went into the inbox
	reports []reconciliation.RunReport

	confirming int           // orders that look again just now
	since      time.Time     // when the first of them began
	confirmed  time.Duration // how long any did
}

// change is when an order changed last. One that only settles changed a moment ago,
// whenever it is asked for.
type change struct {
	n  int
	at time.Time
}

// NewSource returns the source of a crowd. Its readers are those of the systems
// that hold the crowd. The engine's memory began before the crowd, and everything
// was verified until a day before its moment.
func NewSource(c *Crowd, readers []reconciliation.SystemReader, now func() time.Time) *Source {
	s := &Source{
		crowd: c, readers: readers, at: map[time.Time]int{}, policy: reconcile.Default().WithMode(reconcile.ModeAuto), now: now,
		steps:   map[order.ID][]reconcile.Step{},
		changes: make([]change, 0, c.Len()),
		status:  reconciliation.Status{Since: c.Days()[0].Add(-24 * time.Hour), VerifiedThrough: c.AsOf.Add(-24 * time.Hour)},
	}
	for n := range c.Len() {
		if p, is := c.planted[n]; is && p.Settling {
			s.settle = append(s.settle, n)
			continue
		}
		s.changes = append(s.changes, change{n, s.known(n).Changed})
	}
	slices.SortStableFunc(s.changes, func(x, y change) int { return x.at.Compare(y.at) })
	for n, day := range c.Days() {
		s.at[day] = n
	}
	return s
}

func (s *Source) known(n int) reconciliation.Known {
	l := s.crowd.Life(n)
	i := s.crowd.Intent(n, s.now())
	return reconciliation.Known{Subject: l.Subject(), Intent: i, Changed: i.Changed[0].At, Agreed: true}
}

// CountDay implements reconciliation.DayIntents.
func (s *Source) CountDay(_ context.Context, day time.Time) (int, error) {
	n, known := s.at[day]
	if !known {
		return 0, nil
	}
	from, to := s.crowd.Of(n)
	return to - from, nil
}

// intentsPage is how many orders a page of the engine's visibility has.
const intentsPage = 1_000

// DayIntents implements reconciliation.DayIntents.
func (s *Source) DayIntents(_ context.Context, day time.Time, shard reconcile.Shard, page string) ([]reconciliation.Known, string, error) {
	n, known := s.at[day]
	if !known {
		return nil, "", nil
	}
	from, to := s.crowd.Of(n)
	if page != "" {
		if _, err := fmt.Sscan(page, &from); err != nil {
			return nil, "", err
		}
	}
	end := min(from+intentsPage, to)
	var all []reconciliation.Known
	for n := from; n < end; n++ {
		if shard.Has(s.crowd.ID(n)) {
			all = append(all, s.known(n))
		}
	}
	if end == to {
		return all, "", nil
	}
	return all, fmt.Sprint(end), nil
}

// Status implements reconciliation.Keeper.
func (s *Source) Status(context.Context) (reconciliation.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Reports = slices.Clone(status.Reports)
	return status, nil
}

// Members implements reconciliation.Keeper: there is no incident.
func (s *Source) Members(context.Context) ([]reconciliation.Members, error) { return nil, nil }

// Grant implements reconciliation.Keeper, and grants everything.
func (s *Source) Grant(_ context.Context, r reconciliation.GrantRequest) (reconciliation.Granted, error) {
	var out reconciliation.Granted
	for i, want := range r.Wants {
		out.Grants = append(out.Grants, repair.Grant{N: int64(i + 1), For: want})
	}
	return out, nil
}

// WouldGrant implements reconciliation.Keeper.
func (s *Source) WouldGrant(ctx context.Context, r reconciliation.GrantRequest) (reconciliation.Granted, error) {
	return s.Grant(ctx, r)
}

// Report implements reconciliation.Keeper: it keeps what is no part of a run, and
// takes in what was verified.
func (s *Source) Report(_ context.Context, r reconciliation.RunReport) (reconciliation.RunReport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Part {
		return r, nil
	}
	r = s.status.Join(r)
	s.status.Verify(r, s.now())
	s.status.Keep(r)
	s.reports = append(s.reports, r)
	if s.Reported != nil {
		s.Reported(r)
	}
	return r, nil
}

// Reports returns the reports since it was asked last.
func (s *Source) Reports() []reconciliation.RunReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.reports
	s.reports = nil
	return all
}

// Intents implements reconciliation.Keeper: those that changed since a moment,
// or those of the ids that are the crowd's.
func (s *Source) Intents(_ context.Context, q reconciliation.IntentQuery) ([]reconciliation.Known, error) {
	var all []reconciliation.Known
	if len(q.IDs) > 0 {
		for _, id := range q.IDs {
			if n, ours := s.crowd.Number(id); ours {
				all = append(all, s.known(n))
			}
		}
		return all, nil
	}
	if len(q.SKUs) > 0 {
		return nil, errors.New("the crowd's stock is right: nobody asks to whom it is promised")
	}
	within := func(at time.Time) bool { return !at.Before(q.Since) && (q.Until.IsZero() || at.Before(q.Until)) }
	from, _ := slices.BinarySearchFunc(s.changes, q.Since, func(c change, since time.Time) int { return c.at.Compare(since) })
	for _, c := range s.changes[from:] {
		if len(all) == q.Limit || !within(c.at) {
			break
		}
		all = append(all, s.known(c.n))
	}
	for _, n := range s.settle {
		if k := s.known(n); len(all) < q.Limit && within(k.Changed) {
			all = append(all, k)
		}
	}
	return all, nil
}

// Notify implements reconciliation.Orders.
func (s *Source) Notify(_ context.Context, n reconciliation.Notices) error {
	if _, ours := s.crowd.Number(n.Order); !ours {
		return reconciliation.ErrUnknownOrder
	}
	return nil
}

// Keep implements reconciliation.Orders.
func (s *Source) Keep(_ context.Context, of order.ID, n reconciliation.Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, fmt.Sprintf("%s %s %s %s", n.System, n.Type, n.Record, of))
	return nil
}

// Align implements reconciliation.Orders.
func (s *Source) Align(context.Context, string, reconciliation.StockChange) (reconcile.Level, error) {
	return reconcile.Level{}, errors.New("no level is to be set: the crowd's stock is right")
}

// Confirm implements reconciliation.Orders. It is what the order's workflow
// does, but for the acting: all six systems are read again by reference, what a
// second read says too is confirmed, and the steps are noted.
func (s *Source) Confirm(ctx context.Context, of order.ID, _ reconciliation.Confirmation) (reconciliation.Confirmed, error) {
	n, ours := s.crowd.Number(of)
	if !ours {
		return reconciliation.Confirmed{}, reconciliation.ErrUnknownOrder
	}
	defer s.atWork()()
	k := s.known(n)
	first, err := s.look(ctx, k)
	if err != nil {
		return reconciliation.Confirmed{}, err
	}
	suspected := reconcile.Compare(k.Intent, s.policy, first, nil, nil, s.now())
	second, err := s.look(ctx, k)
	if err != nil {
		return reconciliation.Confirmed{}, err
	}
	now := s.now()
	c := reconcile.Compare(k.Intent, s.policy, second, nil, suspected.Breaks, now)
	for i := range c.Breaks {
		if c.Breaks[i].SeenAs.Before(now) { // the first read said the same
			c.Breaks[i].Confirmed = now
		}
	}
	steps := reconcile.Plan(s.policy, k.Intent, c.Breaks, second, nil)
	s.mu.Lock()
	s.steps[of] = append([]reconcile.Step{}, steps...) // not nil: it was suspected
	s.mu.Unlock()
	return reconciliation.Confirmed{Order: of, Found: len(c.Breaks), Settling: len(c.Settling), Unread: c.Unread, Agreement: reconcile.Disagreeing}, nil
}

// Rehearse implements reconciliation.Orders. No dry run is measured.
func (s *Source) Rehearse(_ context.Context, of order.ID, _ reconciliation.Rehearsal) (reconciliation.Rehearsed, error) {
	return reconciliation.Rehearsed{}, fmt.Errorf("rehearse order %s: a crowd's orders are swept, and not rehearsed", of)
}

// atWork counts the time in which orders look again.
func (s *Source) atWork() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.confirming == 0 {
		s.since = s.now()
	}
	s.confirming++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.confirming--; s.confirming == 0 {
			s.confirmed += s.now().Sub(s.since)
		}
	}
}

// Confirmed is for how long orders looked again: what their own workflows do, and
// no part of a sweep.
func (s *Source) Confirmed() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.confirmed
}

func (s *Source) look(ctx context.Context, k reconciliation.Known) ([]reconcile.Observation, error) {
	all := make([]reconcile.Observation, 0, len(s.readers))
	for _, r := range s.readers {
		at := s.now()
		seen, err := r.Reader.Lookup(ctx, k.Subject)
		if err != nil {
			return nil, err
		}
		all = append(all, reconcile.Read(r.System, k.Intent.Order, at, seen, nil))
	}
	return all, nil
}

// Policy is what the source decides by: everything is allowed.
func (s *Source) Policy() reconcile.Policy { return s.policy }

// Judge holds what was suspected, and what would be done about it, against what
// was planted: how many breaks there were, how many of them were found and would
// be acted on as the rules say, and everything that is wrong besides.
func (s *Source) Judge() (planted, found int, problems []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := map[order.ID]bool{}
	for _, p := range s.crowd.Planted() {
		id := s.crowd.ID(p.N)
		ours[id] = true
		steps, suspected := s.steps[id]
		switch {
		case p.Settling && len(steps) > 0:
			problems = append(problems, fmt.Sprintf("%s: it would be acted on: %+v", p, steps))
		case p.Settling:
		case !suspected:
			planted++
			problems = append(problems, fmt.Sprintf("%s: not found", p))
		default:
			planted++
			if what := p.Found(steps); what != "" {
				problems = append(problems, fmt.Sprintf("%s: %s", p, what))
				continue
			}
			found++
		}
	}
	for n := range s.crowd.Len() {
		if id := s.crowd.ID(n); !ours[id] && s.steps[id] != nil {
			problems = append(problems, fmt.Sprintf("%s was suspected, and nothing was planted there: %+v", id, s.steps[id]))
		}
	}
	for _, what := range s.kept {
		problems = append(problems, "into the inbox went "+what)
	}
	return planted, found, problems
}

// Settling says that an order was planted as one that settles.
func (s *Source) Settling(id order.ID) bool {
	n, ours := s.crowd.Number(id)
	p, is := s.crowd.planted[n]
	return ours && is && p.Settling
}
