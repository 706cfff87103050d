package stripe_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

// several takes money of orders of one customer, in every state that a look-up
// tells apart. Of every second one an attempt is known.
func (w *world) several() []reconcile.Subject {
	w.Helper()
	ids := map[order.ID]string{"held": w.authorize("held", total).ID, "voided": w.authorize("voided", total).ID}
	for _, of := range []order.ID{"captured", "refunded", "failed", "disputed", "both", "lost"} {
		ids[of] = w.captured(of, total).ID
	}
	if _, err := w.client.Void(w.Context(), void("voided", ids["voided"])); err != nil {
		w.Fatal(err)
	}
	for _, of := range []order.ID{"refunded", "failed", "both"} {
		if _, err := w.client.Refund(w.Context(), refund(of, ids[of], 2500)); err != nil {
			w.Fatal(err)
		}
	}
	w.edit(map[string]any{"order": "failed", "refund": "failed"})
	for _, of := range []order.ID{"disputed", "both", "lost"} {
		w.edit(map[string]any{"order": of, "dispute": "opened"})
	}
	w.edit(map[string]any{"order": "lost", "dispute": "lost"})
	w.must(authorization("reviewed", total, "pm_card_riskLevelElevated"))
	_, _ = w.client.Authorize(w.Context(), authorization("twice", total, "pm_card_chargeDeclined"))
	w.clock.advance(time.Minute)
	again := authorization("twice", total, "pm_card_visa")
	again.Key = order.Intent{Order: "twice", Operation: order.Authorize, N: 2}.Key()
	w.must(again)
	subjects := []reconcile.Subject{w.subject("reviewed"), w.subject("twice"), w.subject("nobodys"), w.subject("gone", "pi_gone")}
	for n, of := range slices.Sorted(maps.Keys(ids)) {
		s := w.subject(of)
		if n%2 == 0 {
			s.Known = []string{ids[of]}
		}
		subjects = append(subjects, s)
	}
	return subjects
}

// together looks orders up at once and fails unless that shows what looking each
// up shows, in the order asked; but for refunds that failed, and the version that
// they are in.
func (w *world) together(subjects []reconcile.Subject) (present int) {
	w.Helper()
	seen, err := w.client.LookupMany(w.Context(), subjects)
	if err != nil || len(seen) != len(subjects) {
		w.Fatalf("%d of %d: %v", len(seen), len(subjects), err)
	}
	for i, s := range subjects {
		one, err := w.client.Lookup(w.Context(), s)
		if err != nil {
			w.Fatal(err)
		}
		if one.State == reconcile.Present {
			present++
		}
		one.At, seen[i].At = time.Time{}, time.Time{}
		for n, a := range attemptsOf(one) {
			left := slices.DeleteFunc(slices.Clone(a.Refunds), func(r reconcile.Refund) bool { return r.State == reconcile.RefundFailed })
			if len(left) < len(a.Refunds) && n < len(attemptsOf(seen[i])) && len(attemptsOf(seen[i])[n].Refunds) == len(left) {
				one.Payment.Attempts[n].Refunds, one.Version, seen[i].Version = seen[i].Payment.Attempts[n].Refunds, "", ""
			}
		}
		if diff := cmp.Diff(one, seen[i]); diff != "" {
			w.Errorf("order %s (-alone +together):\n%s", s.Order, diff)
		}
	}
	return present
}

func shuffle[T any](of []T) {
	rand.New(rand.NewPCG(1, uint64(len(of)))).Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
}

func TestLookupMany_IsLookupOfEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	subjects := w.several()
	subjects = append(subjects, subjects[0], subjects[1]) // the same orders twice
	for range 2 {
		shuffle(subjects)
		if n := w.together(subjects); n != len(subjects)-2 {
			t.Errorf("%d orders of %d were paid, want all but two", n, len(subjects))
		}
	}
	for _, s := range subjects {
		w.together([]reconcile.Subject{s})
	}
	if none, err := w.client.LookupMany(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("of none: %v, %v", none, err)
	}
}

// More payments than a page shows, old ones and young ones: what lies far back is
// read from the roll, by pages where much of it is wanted and else one by one.
func TestLookupMany_MoreThanAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	subjects := w.several()
	for n := range 420 {
		id := order.ID(fmt.Sprintf("other-%d", n))
		w.authorize(id, 100)
		if n < 150 || n%40 == 0 {
			subjects = append(subjects, w.subject(id))
		}
		if n%100 == 0 {
			w.clock.advance(time.Hour)
		}
	}
	w.clock.advance(time.Hour)
	for range 2 {
		shuffle(subjects)
		if n := w.together(subjects); n != len(subjects)-2 {
			t.Errorf("%d orders of %d were paid, want all but two", n, len(subjects))
		}
	}
}
