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
	// order.
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
