// Package contract holds what each adapter must keep, whichever system is behind
// it: its own tests put the records there and call this, on the simulated system
// and on the real one alike.
package contract

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reader looks one order up, and several in the calls of one: see
// reconciliation.ManyReader.
type Reader interface {
	Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error)
	LookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error)
}

// Excuse makes equal what a look-up of many may leave out.
type Excuse func(one, many *reconcile.Observation)

// LookupMany holds that looking orders up at once is looking each up: in any
// order, with some of them twice, one alone and none. So many of them are there.
func LookupMany(t testing.TB, r Reader, subjects []reconcile.Subject, present int, excuses ...Excuse) {
	t.Helper()
	twice := append(slices.Clone(subjects), subjects[:2]...)
	for seed := range uint64(2) {
		Shuffle(seed, twice)
		Together(t, r, twice, present, excuses...)
	}
	for _, s := range subjects {
		compare(t, r, []reconcile.Subject{s}, excuses)
	}
	if none, err := r.LookupMany(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("of none: %v, %v", none, err)
	}
}

// Together looks orders up at once and fails unless that shows what looking each
// up shows, in the order asked, and so many of them are there.
func Together(t testing.TB, r Reader, subjects []reconcile.Subject, present int, excuses ...Excuse) {
	t.Helper()
	if got := compare(t, r, subjects, excuses); len(got) != present {
		t.Errorf("%d of the orders are there, want %d: %v", len(got), present, got)
	}
}

// compare returns which of the orders are there.
func compare(t testing.TB, r Reader, subjects []reconcile.Subject, excuses []Excuse) []order.ID {
	t.Helper()
	seen, err := r.LookupMany(t.Context(), subjects)
	if err != nil || len(seen) != len(subjects) {
		t.Fatalf("%d of %d: %v", len(seen), len(subjects), err)
	}
	var present []order.ID
	for i, s := range subjects {
		one, err := r.Lookup(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if one.State == reconcile.Present {
			present = append(present, s.Order)
		}
		one.At, seen[i].At = time.Time{}, time.Time{}
		for _, excuse := range excuses {
			excuse(&one, &seen[i])
		}
		if d := cmp.Diff(one, seen[i]); d != "" {
			t.Errorf("order %s (-alone +together):\n%s", s.Order, d)
		}
	}
	slices.Sort(present)
	return slices.Compact(present)
}

// Shuffle brings things into an order that the seed tells.
func Shuffle[T any](seed uint64, of []T) {
	rand.New(rand.NewPCG(seed, uint64(len(of)))).Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
}
