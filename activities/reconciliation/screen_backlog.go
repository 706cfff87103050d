package reconciliation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// When more has changed than one run takes, after a day without systems or an
// import, a run ends its window earlier and compares all of that: verified through
// moves to its end, and the next run goes on there. The window is cut by time and
// not by count, at whole seconds: what changed at one moment is in one window, in
// each system as in visibility, whatever it lists first. An order that changed
// again later is compared with its latest change, and with all that changed since
// the backlog began.

// shortest is the least that a window is cut to. The coarsest clock of a system
// counts in these.
const shortest = time.Second

var (
	errTooMany = errors.New("more has changed than one run takes")
	errLate    = errors.New("the time of the run is over")
)

// verifiedWhole is the moment through which everything was verified when the last
// run without a backlog ended.
func (s Status) verifiedWhole() time.Time {
	if s.Backlog.IsZero() {
		return s.VerifiedThrough
	}
	return s.Backlog
}

// begin says where the run goes on, and how far it means to come.
func (a *Activities) begin(in Screen, status Status) Screened {
	now := a.Now()
	out := Screened{From: status.VerifiedThrough.Add(-screenOverlap), To: now, Policy: a.Policy.Version(), Rules: reconcile.RulesVersion, Full: len(in.Orders) == 0,
		Verified: status.VerifiedThrough, Before: status.last().Run, Since: a.Since, began: now}
	if !out.Full {
		return out
	}
	if !status.Backlog.IsZero() {
		out.From = out.Verified // it ended long enough before its run for nothing to come in late
	}
	if span := status.last().Span; span > 0 && out.Verified.Add(span).Before(now) {
		out.cut(out.Verified.Add(span))
	}
	return out
}

// cut ends the window at a moment, and says whether it could. It ends no later
// than what comes in late may be dated, and after what was verified before.
func (s *Screened) cut(at time.Time) bool {
	at = at.Truncate(shortest)
	if latest := s.began.Add(-screenOverlap).Truncate(shortest); at.After(latest) {
		at = latest
	}
	if !at.After(s.Verified) || !at.Before(s.To) {
		return false
	}
	s.To, s.Behind = at, true
	return true
}

// halve takes half of the window.
func (s *Screened) halve() bool { return s.cut(s.Verified.Add(s.To.Sub(s.Verified) / 2)) }

// atOneMoment says that the window cannot be cut so that it fits. What changed in the
// last minutes can be, by the next run; the rest must become less.
const atOneMoment = "more than %d changed at one moment or in the last %s, or do not agree since before; one run takes no more, and verified through stays until they are fewer"

// screenWindow walks what changed within the window. Of more than one run takes it
// takes the oldest half, and half of that, until it fits.
func (a *Activities) screenWindow(ctx context.Context, in Screen, out *Screened, status Status) (*sweeping, []Known, error) {
	for most := false; ; {
		s := a.screening(in, out, status)
		s.feed.most = most
		known, err := s.walkWindow(ctx, in, out, status)
		if !errors.Is(err, errTooMany) {
			return s, known, err
		}
		if most = !out.halve(); most {
			out.To, out.Behind = out.began, false // what can be taken, of all of it
		}
	}
}

// walkWindow lists the orders that changed within the window by their own word, and
// has the systems name the others.
func (s *sweeping) walkWindow(ctx context.Context, in Screen, out *Screened, status Status) ([]Known, error) {
	known, err := s.changed(ctx, in, out)
	if err != nil {
		return nil, err
	}
	s.know(known)
	if !out.Full {
		s.missUnknown(in.Orders, known)
		return known, nil
	}
	more, err := s.walkChanges(ctx, status.Groups, status.last().Exceptions)
	if err != nil {
		return nil, err
	}
	known = append(known, more...)
	if more, err = s.patrol(ctx); err != nil {
		return nil, err
	}
	return append(known, more...), nil
}

// missUnknown says of which of the orders that a run was to look at nobody knows: it has
// not seen that all is well with them.
func (s *sweeping) missUnknown(asked []order.ID, known []Known) {
	for _, id := range asked {
		if !slices.ContainsFunc(known, func(k Known) bool { return k.Intent.Order == id }) {
			s.miss("order %s: no order is known under this id", id)
		}
	}
}

func (s *sweeping) changed(ctx context.Context, in Screen, out *Screened) ([]Known, error) {
	query := IntentQuery{Since: out.From, Limit: mostOrders + 1, IDs: in.Orders}
	if out.Behind {
		query.Until = out.To
	}
	known, err := s.a.Keeper.Intents(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	s.beats.alive(ctx, s.a.Now())
	if len(known) <= mostOrders || !out.Full {
		return known, nil
	}
	if !s.feed.most {
		return nil, errTooMany
	}
	s.miss("orders: "+atOneMoment, mostOrders, screenOverlap)
	return known[:mostOrders], nil
}

// tooMuchChanged ends the walk through the changes when a run can take no more of
// them. How far it came is in no heartbeat: whoever takes the run up begins anew.
func (s *sweeping) tooMuchChanged(ctx context.Context) error {
	switch {
	case s.feed.over && !s.feed.most:
		return errTooMany
	case s.isLate():
		return errLate
	}
	return stopping(ctx)
}

// isLate says that the time of the run is over before all was compared.
func (s *sweeping) isLate() bool {
	if s.feed == nil || !s.a.Now().After(s.feed.until) {
		return false
	}
	s.feed.late = true
	s.miss("orders: the time of the run is over before all were compared; the next run takes less at once")
	return true
}

// choose leaves as many suspects as one run has confirmed. First those that their
// own workflow does not know of: when there are more of them, the window is not
// compared whole. The others are known, to it or to the incident that is stopped,
// and are named; one of each incident stays, or it would pass for over.
func (s *sweeping) choose(out *Screened, status Status) {
	if len(out.Suspects) <= mostSuspects {
		return
	}
	rank := map[order.ID]int{} // only looked up
	shown := map[int]bool{}
	for _, one := range out.Suspects {
		n, found := s.find(one.Order)
		switch {
		case one.stopped(status.Groups) == 1:
			rank[one.Order] = 2
		case found && !s.known[n].Agreed:
			rank[one.Order] = 1
		}
		for _, b := range one.Breaks {
			if g, of := groupOf(status.Groups, b.Kind()); of && !shown[g.N] {
				rank[one.Order], shown[g.N] = -1, true
			}
		}
	}
	slices.SortStableFunc(out.Suspects, func(x, y Suspect) int { return cmp.Compare(rank[x.Order], rank[y.Order]) })
	dropped := out.Suspects[mostSuspects:]
	out.Suspects = out.Suspects[:mostSuspects]
	switch {
	case rank[dropped[0].Order] <= 0:
		s.feed.late = true
		out.missed(fmt.Sprintf("suspects: more than %d that nobody knows of yet; the next run takes less at once", mostSuspects))
	case len(dropped) > mostNamed:
		out.missed(fmt.Sprintf("suspects: more than %d are known and still so, which are not a listed few", mostSuspects+mostNamed))
	default:
		for _, one := range dropped {
			out.Exceptions = append(out.Exceptions, one.Order)
		}
	}
}

func (s *Screened) missed(line string) { s.Truncated, s.Missed = true, append(s.Missed, line) }

// tooManyLeft says why a run is partial that could read everything.
const tooManyLeft = "orders: more than %d could not be compared or do not agree, which are not a listed few; verified through stays until they are fewer"

// goOn says how much the next run takes at most: half of what was too much for this
// one, and twice as much when that went well.
func (s *Screened) goOn(status Status, late bool) {
	if !s.Full {
		return
	}
	last, partial := status.last(), len(s.Unread) > 0 || s.Truncated
	if s.Exceptions = withExceptions(s.Exceptions, nil); len(s.Exceptions) > mostNamed {
		s.missed(fmt.Sprintf(tooManyLeft, mostNamed))
	}
	switch {
	case late:
		s.Span = max(shortest, s.To.Sub(s.Verified)/2)
		if s.To.Sub(s.Verified) <= shortest {
			s.missed(fmt.Sprintf("even what changed within %s is too much for one run; verified through stays until it is less", shortest))
		}
	case partial || s.Truncated:
		s.Span = last.Span
	case s.Behind:
		s.Span = 2 * last.Span
	}
	if partial { // it has not seen all of them
		s.Exceptions = withExceptions(s.Exceptions, last.Exceptions)
	}
}

// window says in words what the run took.
func (r RunReport) window() string {
	return fmt.Sprintf("what changed from %s until %s", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
}

// nextFrom says where the next run goes on.
func (r RunReport) nextFrom() string {
	if r.whole() {
		return r.To.Format(time.RFC3339)
	}
	return "where this one did, for it has not compared all of that"
}
