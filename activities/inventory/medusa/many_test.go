package medusa_test

import (
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/contract"
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

func TestLookupMany_IsLookupOfEach(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) { contract.LookupMany(t, s.client, s.several(), 6) })
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
		contract.Shuffle(1, subjects)
		contract.Together(t, s.client, subjects, 22)
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
	contract.Together(t, s.client, subjects, 5)
}
