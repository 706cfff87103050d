package reconciliation

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// ManyReader is a Reader that looks several orders up in the calls of one. What
// comes later than a sweep lists, as returns do, is a tenth of a day's orders:
// one by one they would cost more calls than the whole listing.
type ManyReader interface {
	// LookupMany is Lookup of each of the subjects, as strong as that, in their
	// order. It may leave out what concerns none of the subject's own records, and
	// refunds that failed.
	LookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error)
}

// aheadOf is what was looked up of several orders at once.
type aheadOf map[order.System]map[order.ID]reconcile.Observation

// lookAhead looks up the orders of a batch together, in the systems that can.
// What fails is looked up order by order, so that one of them spoils no other.
func (s *sweeping) lookAhead(ctx context.Context, these []left, known []Known) aheadOf {
	found := make([]map[order.ID]reconcile.Observation, len(s.streams))
	var g errgroup.Group
	for n, st := range s.streams {
		many, can := st.reader.(ManyReader)
		if !can || st.isDown() {
			continue
		}
		subjects := subjectsOf(st, these, known)
		if len(subjects) < 2 {
			continue
		}
		g.Go(func() error {
			at := s.a.Now()
			var seen []reconcile.Observation
			err := s.call(ctx, st, func(ctx context.Context) error {
				var err error
				seen, err = many.LookupMany(ctx, subjects)
				return err
			})
			if err != nil || len(seen) != len(subjects) {
				return nil //nolint:nilerr // they are looked up order by order, which says what is wrong
			}
			st.answered(nil)
			found[n] = map[order.ID]reconcile.Observation{}
			for i, o := range seen {
				found[n][subjects[i].Order] = reconcile.Read(st.system, subjects[i].Order, at, o, nil)
			}
			return nil
		})
	}
	_ = g.Wait()
	ahead := aheadOf{}
	for n, st := range s.streams {
		ahead[st.system] = found[n]
	}
	return ahead
}

// subjectsOf returns the orders of a batch that are to be looked up in a system.
func subjectsOf(st *stream, these []left, known []Known) []reconcile.Subject {
	var subjects []reconcile.Subject
	for _, l := range these {
		if !slices.Contains(l.streams, st) {
			continue
		}
		k := slices.IndexFunc(known, func(k Known) bool { return k.Intent.Order == l.order })
		if k >= 0 && !known[k].Intent.PlacedAt.IsZero() {
			subjects = append(subjects, known[k].Subject)
		}
	}
	return subjects
}

// readTogether is how many orders' records are read at once to compare what no
// listing shows.
const readTogether = 100

// compareUnlisted compares what no listing shows of the orders that agree as far
// as listings go: the contact and the carts of each. Systems that can look many
// orders up at once are asked for all of them; what does not agree is looked up.
func (s *sweeping) compareUnlisted(ctx context.Context) error {
	if len(s.in.Orders) > 0 {
		return nil // they are looked up, all of them
	}
	for _, st := range s.streams {
		many, can := st.reader.(ManyReader)
		if !can || !unlisted(st.system) || st.place.Part > parts || st.isDown() {
			continue
		}
		var ask []int
		for n, k := range s.known {
			if m := st.marks[n]; (m == agreeing || m == noneSeen) && !k.Intent.PlacedAt.IsZero() {
				ask = append(ask, n)
			}
		}
		for these := range slices.Chunk(ask, readTogether) {
			s.compareTogether(ctx, st, many, these)
			if err := stopping(ctx); err != nil {
				return err
			}
		}
		st.place.Part = parts + 1 // whoever takes the sweep up has it behind him
	}
	return nil
}

func (s *sweeping) compareTogether(ctx context.Context, st *stream, many ManyReader, these []int) {
	subjects := make([]reconcile.Subject, len(these))
	for i, n := range these {
		subjects[i] = s.known[n].Subject
	}
	at := s.a.Now()
	var seen []reconcile.Observation
	err := s.call(ctx, st, func(ctx context.Context) error {
		var err error
		seen, err = many.LookupMany(ctx, subjects)
		return err
	})
	if err == nil && len(seen) == len(these) {
		st.pages++
	} else {
		seen = nil // they are looked up order by order, which says what is wrong
	}
	for i, n := range these {
		if seen == nil || !s.agreesWhole(s.known[n], reconcile.Read(st.system, s.known[n].Intent.Order, at, seen[i], nil)) {
			st.marks[n] = toLookUp
		}
	}
}

// agreesWhole says whether what a look-up shows is all that the system should
// hold, and nothing is settling.
func (s *sweeping) agreesWhole(k Known, o reconcile.Observation) bool {
	c := reconcile.Compare(k.Intent, s.a.Policy, []reconcile.Observation{o}, nil, nil, s.a.Now())
	return slices.Contains(c.Judged, o.System) && len(c.Breaks) == 0 &&
		!slices.ContainsFunc(c.Settling, func(t reconcile.Settling) bool { return t.Break.System == o.System })
}

// unlisted says that some field of a system is shown by no listing. A level
// belongs to no order.
func unlisted(system order.System) bool {
	return slices.ContainsFunc(reconcile.Fields(), func(f reconcile.Field) bool {
		return f.System() == system && !f.Listed() && f != reconcile.InventoryLevel
	})
}
