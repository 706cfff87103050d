package reconciliation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Before a run acts it knows what each order would do: the systems are read by
// the run's own readers, and the order's workflow is asked, by a query that
// leaves no event, what it would make of that. A dry run asks once more with the
// second reading, and prints the answer.

// looked is one suspect as the run's own readers saw it.
type looked struct {
	suspect Suspect
	first   Reading
	would   Rehearsed
	// silent says that the order could not be asked.
	silent bool
}

// at reads each suspect and asks its order what it would do. The suspects come
// back in the order in which they are granted: see reconcile.Arrange.
func (l *looking) at(ctx context.Context, in Confirm) ([]looked, error) {
	suspects, err := l.a.withSubjects(ctx, in.Suspects)
	if err != nil {
		return nil, err
	}
	all := make([]looked, len(suspects))
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(sideBySide)
	for i, s := range suspects {
		g.Go(func() error {
			all[i] = l.atOne(inner, s, Confirmation{Run: in.Run, Short: shortOf(in.Short, s.Order), Enough: enoughOf(in.Enough, s.Order)})
			heartbeat(inner, string(s.Order))
			return inner.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("look at %d suspects: %w", len(suspects), err)
	}
	var wants []reconcile.Want
	for _, l := range all {
		wants = append(wants, l.wants()...)
	}
	place := map[order.ID]int{} // only looked up
	for n, w := range reconcile.Arrange(wants) {
		if _, known := place[w.Order]; !known {
			place[w.Order] = n + 1
		}
	}
	last := func(id order.ID) int { return cmp.Or(place[id], len(wants)+1) } // nothing wanted: after the others
	slices.SortStableFunc(all, func(x, y looked) int {
		return cmp.Or(cmp.Compare(last(x.suspect.Order), last(y.suspect.Order)), compareIDs(x.suspect.Order, y.suspect.Order))
	})
	return all, nil
}

func (l *looking) atOne(ctx context.Context, s Suspect, c Confirmation) looked {
	one := looked{suspect: s, first: l.readAll(ctx, s.Subject, order.Systems())}
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var err error
	if one.would, err = l.a.Orders.Rehearse(limited, s.Order, Rehearsal{Confirmation: c, First: one.first}); err != nil {
		activity.GetLogger(ctx).Warn("order could not be asked what it would do; it is left for the next run", "order", s.Order, "error", err)
		one.silent = true
	}
	return one
}

// rehearse says what an order would do: it reads what disagrees once more, the
// visibility lag after the first reading, and asks the order again.
func (l *looking) rehearse(ctx context.Context, one looked, c Confirmation) (Confirmed, error) {
	r := Rehearsal{Confirmation: c, First: one.first}
	if len(one.would.Again) > 0 {
		lag := one.would.Lag - l.a.Now().Sub(one.first.Ended)
		if err := l.caller(one.would.Again[0]).wait(ctx, lag); err != nil {
			return Confirmed{}, err
		}
		r.Second = l.readAll(ctx, one.suspect.Subject, one.would.Again)
	}
	limited, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	would, err := l.a.Orders.Rehearse(limited, one.suspect.Order, r)
	return would.Confirmed, err
}

// readAll reads some systems side by side.
func (l *looking) readAll(ctx context.Context, s reconcile.Subject, systems []order.System) Reading {
	reading := Reading{Asked: l.a.Now(), Seen: make([]reconcile.Observation, len(systems))}
	g, inner := errgroup.WithContext(ctx)
	for i, system := range systems {
		g.Go(func() error {
			seen, at, err := l.lookup(inner, system, s)
			reading.Seen[i] = reconcile.Read(system, s.Order, at, seen, err)
			return nil
		})
	}
	_ = g.Wait()
	reading.Ended = l.a.Now()
	return reading
}

// withSubjects says of each suspect how its records are found.
func (a *Activities) withSubjects(ctx context.Context, suspects []Suspect) ([]Suspect, error) {
	var ids []order.ID
	for _, s := range suspects {
		if s.Subject.Order == "" {
			ids = append(ids, s.Order)
		}
	}
	if len(ids) == 0 {
		return suspects, nil
	}
	known, err := a.Keeper.Intents(ctx, IntentQuery{IDs: ids, Limit: len(ids)})
	if err != nil {
		return nil, fmt.Errorf("list %d orders by id: %w", len(ids), err)
	}
	all := slices.Clone(suspects)
	for i := range all {
		for _, k := range known {
			if k.Intent.Order == all[i].Order && all[i].Subject.Order == "" {
				all[i].Subject = k.Subject
			}
		}
		if all[i].Subject.Order == "" {
			all[i].Subject.Order = all[i].Order
		}
	}
	return all, nil
}

// wants are the repairs that the order would make.
func (l looked) wants() []reconcile.Want {
	var wants []reconcile.Want
	for _, s := range l.would.Steps {
		if s.Decision == reconcile.Repair {
			wants = append(wants, reconcile.WantOf(l.suspect.Order, l.suspect.Subject.Currency, s))
		}
	}
	return wants
}

func wantsOf(part []looked) []reconcile.Want {
	var wants []reconcile.Want
	for _, l := range part {
		wants = append(wants, l.wants()...)
	}
	return reconcile.Arrange(wants)
}

func inParts(all []looked, of int) [][]looked {
	var parts [][]looked
	for from := 0; from < len(all); from += of {
		parts = append(parts, all[from:min(from+of, len(all))])
	}
	return parts
}

// findings are an order's steps; and what was screened where the order could not
// be asked, or the system not be read any more, so that nothing of it passes for
// gone.
func (a *Activities) findings(l looked) []reconcile.Finding {
	of := func(s reconcile.Step, fresh bool) reconcile.Finding {
		return reconcile.Finding{Of: string(l.suspect.Order), Currency: l.suspect.Subject.Currency, Step: s, Fresh: fresh}
	}
	var all []reconcile.Finding
	for i, s := range l.would.Steps {
		if l.first.unreadable(s.Break.System) { // its order knows it, and only reports it now
			all = append(all, of(a.presumed(s.Break), false))
		} else {
			all = append(all, of(s, l.would.Fresh[i]))
		}
	}
	for _, b := range l.suspect.Breaks {
		known := func(s reconcile.Step) bool { return s.Break.Place() == b.Place() }
		if (l.silent || l.first.unreadable(b.System)) && !slices.ContainsFunc(l.would.Steps, known) {
			all = append(all, of(a.presumed(b), false))
		}
	}
	return all
}

// presumed is what would come of a break that nobody can look at now, by its rule
// alone. It is only counted: an incident of which nothing would be repaired is left
// to each order when somebody decides to repair it.
func (a *Activities) presumed(b reconcile.Break) reconcile.Step {
	step := reconcile.Step{Break: b, Decision: reconcile.Report}
	if a.Policy.Rule(b.Field).Mode == reconcile.ModeAuto {
		step.Decision = reconcile.Repair
	}
	return step
}

// unreadable says that a system could not be read.
func (r Reading) unreadable(system order.System) bool {
	return slices.ContainsFunc(r.Seen, func(o reconcile.Observation) bool { return o.System == system && o.State == reconcile.Unreadable })
}

// incidents are what too many have at once, and what there is of the incidents
// that are known.
func (a *Activities) incidents(in Confirm, all []looked, levels levelsLooked, known []Group) []reconcile.Incident {
	var findings []reconcile.Finding
	for _, l := range all {
		findings = append(findings, a.findings(l)...)
	}
	for _, short := range in.Short {
		findings = append(findings, short.finding(a.Now()))
	}
	stock := levels.findings()
	fresh := append(reconcile.Incidents(a.Thresholds, in.Looked, findings), reconcile.Incidents(a.Thresholds, in.Compared, stock)...)
	anew := func(i reconcile.Incident) reconcile.Incident {
		i.Anew = slices.ContainsFunc(fresh, func(other reconcile.Incident) bool { return other.Kind == i.Kind })
		return a.manyNew(in, i, findings)
	}
	var found []reconcile.Incident
	var blind []reconcile.Kind
	for _, g := range known {
		switch {
		case g.Over():
		case slices.ContainsFunc(in.Blind, func(b Blind) bool { return b.Group == g.N }):
			blind = append(blind, g.Kind)
		case g.Kind.Field == reconcile.InventoryLevel:
			found = append(found, anew(reconcile.Tally(g.Kind, in.Compared, stock)))
		default:
			found = append(found, anew(reconcile.Tally(g.Kind, in.Looked, findings)))
		}
	}
	for _, i := range append(fresh, a.counted(in, findings)...) {
		covers := func(k reconcile.Kind) bool { return k.Covers(i.Kind) }
		if !slices.ContainsFunc(blind, covers) && !slices.ContainsFunc(found, func(other reconcile.Incident) bool { return covers(other.Kind) }) {
			found = append(found, i)
		}
	}
	return found
}

// counted are the incidents of a run that asks part by part: too many in all,
// though not in this part.
func (a *Activities) counted(in Confirm, findings []reconcile.Finding) []reconcile.Incident {
	var all []reconcile.Incident
	for _, c := range in.Counts {
		if !a.tooMany(c, in, findings) {
			continue
		}
		i := reconcile.Tally(c.Kind, in.Looked, findings)
		i.Orders = max(i.Orders, c.Orders)
		all = append(all, i)
	}
	return all
}

// tooMany says that so many orders are too many at once, and that something new would be
// done about one of them here.
func (a *Activities) tooMany(c KindCount, in Confirm, findings []reconcile.Finding) bool {
	acts := func(f reconcile.Finding) bool { return f.Fresh && f.Acts() && c.Kind.Covers(f.Step.Break.Kind()) }
	return a.Thresholds.Reached(c.Orders, in.Looked) && slices.ContainsFunc(findings, acts)
}

// manyNew says of an incident that was let go whether a run that asks part by part has
// found too many that are not of it: see counted.
func (a *Activities) manyNew(in Confirm, i reconcile.Incident, findings []reconcile.Finding) reconcile.Incident {
	for _, c := range in.New {
		if c.Kind == i.Kind && a.tooMany(c, in, findings) {
			i.Anew, i.Orders = true, max(i.Orders, c.Orders)
		}
	}
	return i
}

// leftTo says, of an order all of whose breaks are left to incidents, what its
// report is: it is not bothered with them.
func (l looked) leftTo(c Confirmation) (Confirmed, bool) {
	answer := Confirmed{Order: l.suspect.Order, Agreement: reconcile.Disagreeing}
	if len(l.would.Steps) == 0 || len(c.Short) > 0 {
		return answer, false
	}
	for _, s := range l.would.Steps {
		g, left := c.LeftTo(s)
		if !left {
			return answer, false
		}
		answer.Found++
		answer.Left++
		answer.Lines = append(answer.Lines, g.LeftLine(s))
	}
	return answer, true
}
