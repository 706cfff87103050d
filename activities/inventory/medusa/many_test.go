package medusa_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/inventory"
)

// several puts orders there in every state that a look-up tells apart. The id of
// one has another's in it.
func (s *shop) several() []reconcile.Subject {
	s.t.Helper()
	mug, item := s.stock("MUG", 100)
	hat, _ := s.stock("HAT", 100)
	both := []order.Quantity{line(1, mug, 2), line(2, hat, 1)}
	for name, lines := range map[string][]order.Quantity{
		"one": both[:1], "one1": both[1:], "two": both, "released": both, "part": both, "doubled": both[:1],
	} {
		if _, err := s.client.Reserve(s.t.Context(), request(s.order(name), lines...)); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := s.client.Release(s.t.Context(), releaseOf(s.order("released"), order.Release)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.client.Release(s.t.Context(), releaseOf(s.order("part"), order.Release, line(1, mug, 1))); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"doubled", "hand"} {
		s.byHand(item, 3, "order/"+string(s.order(name)), map[string]any{"who": "a person"})
	}
	var subjects []reconcile.Subject
	for _, name := range []string{"one", "one1", "two", "released", "part", "doubled", "hand", "unknown"} {
		subjects = append(subjects, reconcile.Subject{Order: s.order(name)})
	}
	return subjects
}

// together looks orders up at once and fails unless that shows what looking each
// up shows, in the order asked.
func (s *shop) together(subjects []reconcile.Subject) (present int) {
	s.t.Helper()
	seen, err := s.client.LookupMany(s.t.Context(), subjects)
	if err != nil || len(seen) != len(subjects) {
		s.t.Fatalf("%d of %d: %v", len(seen), len(subjects), err)
	}
	for i, subject := range subjects {
		one, err := s.client.Lookup(s.t.Context(), subject)
		if err != nil {
			s.t.Fatal(err)
		}
		if one.State == reconcile.Present {
			present++
		}
		one.At, seen[i].At = time.Time{}, time.Time{}
		if diff := cmp.Diff(one, seen[i]); diff != "" {
			s.t.Errorf("order %s (-alone +together):\n%s", subject.Order, diff)
		}
	}
	return present
}

func shuffle[T any](of []T) {
	rand.New(rand.NewPCG(1, uint64(len(of)))).Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
}

func TestLookupMany_IsLookupOfEach(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		subjects := s.several()
		subjects = append(subjects, subjects[0], subjects[2]) // the same orders twice
		for range 2 {
			shuffle(subjects)
			if n := s.together(subjects); n != len(subjects)-2 {
				t.Errorf("%d orders of %d hold stock, want all but two", n, len(subjects))
			}
		}
		for _, one := range subjects {
			s.together([]reconcile.Subject{one})
		}
		if none, err := s.client.LookupMany(t.Context(), nil); err != nil || len(none) != 0 {
			t.Errorf("of none: %v, %v", none, err)
		}
	})
}

// More orders than one call names: 20, 20 and 5, with reservations in each.
func TestLookupMany_SeveralCalls(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 100)
		var subjects []reconcile.Subject
		for n := range 45 {
			id := s.order(unique("many", n))
			subjects = append(subjects, reconcile.Subject{Order: id})
			if n%2 == 0 {
				continue
			}
			if _, err := s.client.Reserve(t.Context(), request(id, line(1, mug, 1), line(2, mug, 2))); err != nil {
				t.Fatal(err)
			}
		}
		shuffle(subjects)
		if n := s.together(subjects); n != 22 {
			t.Errorf("%d orders hold stock, want 22", n)
		}
	})
}

// Several orders may hold more than one answer shows.
func TestLookupMany_MoreThanAnAnswer(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	s.client.ShowAtMost(8)
	mug, _ := s.stock("MUG", 100)
	var lines []order.Quantity
	for n := range 5 {
		lines = append(lines, line(n+1, mug, 1))
	}
	var subjects []reconcile.Subject
	for n := range 9 {
		id := s.order(unique("large", n))
		subjects = append(subjects, reconcile.Subject{Order: id})
		if n%2 == 1 {
			continue
		}
		if _, err := s.client.Reserve(t.Context(), request(id, lines...)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.together(subjects); n != 5 {
		t.Errorf("%d orders hold stock, want five", n)
	}
}
