package smtp_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/contract"
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
	for _, id := range slices.Sorted(maps.Keys(want)) {
		subjects = append(subjects, w.subject(id))
		for i := range want[id] {
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

func TestLookupMany_IsLookupOfEach(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) { contract.LookupMany(t, w.client, w.several(t), 6) })
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
		contract.Shuffle(1, subjects)
		contract.Together(t, w.client, subjects, 20)
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
	contract.Shuffle(1, subjects)
	contract.Together(t, w.client, subjects, 9)
}
