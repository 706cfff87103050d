package smtp_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/mail"
)

// several sends one customer mail about orders, whose ids are in each other, and
// waits until the journal has all of it.
func (w world) several(t *testing.T) []reconcile.Subject {
	t.Helper()
	longest := (w.id("") + order.ID(strings.Repeat("a.._", 16)))[:64]
	want := map[order.ID]int{
		w.id("42"): 2, w.id("421"): 1, w.id("42") + "-42": 1, w.id("x42"): 1, w.id("X42"): 2, longest: 1,
		w.id("4"): 0, w.id("none"): 0,
	}
	var subjects []reconcile.Subject
	for id, n := range want {
		subjects = append(subjects, w.subject(id))
		for i := range n {
			r := w.request(id, i+1)
			r.Template = []reconcile.Template{reconcile.MailConfirmation, reconcile.MailCancellation}[i]
			w.send(t, r)
		}
	}
	w.send(t, w.request(w.id("421"), 1)) // as after a lost answer
	want[w.id("421")]++
	for id, n := range want {
		w.eventually(t, "the mail of "+string(id), func() bool { return len(w.lookup(t, id)) == n })
	}
	return subjects
}

// together looks orders up at once and fails unless that shows what looking each
// up shows, in the order asked.
func (w world) together(t *testing.T, subjects []reconcile.Subject) (present int) {
	t.Helper()
	seen, err := w.client.LookupMany(t.Context(), subjects)
	if err != nil || len(seen) != len(subjects) {
		t.Fatalf("%d of %d: %v", len(seen), len(subjects), err)
	}
	for i, s := range subjects {
		one, err := w.client.Lookup(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if one.State == reconcile.Present {
			present++
		}
		one.At, seen[i].At = time.Time{}, time.Time{}
		if diff := cmp.Diff(one, seen[i]); diff != "" {
			t.Errorf("order %s (-alone +together):\n%s", s.Order, diff)
		}
	}
	return present
}

func shuffle[T any](of []T) {
	rand.New(rand.NewPCG(1, uint64(len(of)))).Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
}

func TestLookupMany_IsLookupOfEach(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		subjects := w.several(t)
		subjects = append(subjects, subjects[0], subjects[1]) // the same orders twice
		for range 2 {
			shuffle(subjects)
			if n := w.together(t, subjects); n < 6 {
				t.Errorf("%d orders of %d have mail, want six at least", n, len(subjects))
			}
		}
		for _, s := range subjects {
			w.together(t, []reconcile.Subject{s})
		}
		if none, err := w.client.LookupMany(t.Context(), nil); err != nil || len(none) != 0 {
			t.Errorf("of none: %v, %v", none, err)
		}
	})
}

// More orders than one search names, each with the longest id.
func TestLookupMany_SeveralSearches(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		var subjects []reconcile.Subject
		for n := range 60 {
			id := w.id(fmt.Sprintf("%02d-", n)) + order.ID(strings.Repeat("z", 64))
			s := w.subject(id[:64])
			subjects = append(subjects, s)
			if n%3 == 0 {
				w.send(t, w.request(s.Order, 1))
			}
		}
		for n := 0; n < 60; n += 3 {
			w.eventually(t, "the mail of "+string(subjects[n].Order), func() bool { return len(w.lookup(t, subjects[n].Order)) == 1 })
		}
		shuffle(subjects)
		if n := w.together(t, subjects); n != 20 {
			t.Errorf("%d orders have mail, want 20", n)
		}
	})
}

// More messages than one FETCH asks for.
func TestLookupMany_MoreThanAPage(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	var subjects []reconcile.Subject
	for n := range 10 {
		subjects = append(subjects, w.subject(order.ID(fmt.Sprintf("O%d", n))))
	}
	for n := range 450 {
		change := simulated.Change{Do: "put", Order: subjects[n%9].Order, Template: "shipped", MessageID: fmt.Sprintf("<%d@x>", n)}
		if err := w.server.Change(change); err != nil {
			t.Fatal(err)
		}
	}
	shuffle(subjects)
	if n := w.together(t, subjects); n != 9 {
		t.Errorf("%d orders have mail, want nine", n)
	}
}
