package stripe_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/contract"
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

// failedLeftOut excuses that refunds which failed are left out, and so the version
// that they are in.
func failedLeftOut(one, many *reconcile.Observation) {
	for n, a := range attemptsOf(*one) {
		left := slices.DeleteFunc(slices.Clone(a.Refunds), func(r reconcile.Refund) bool { return r.State == reconcile.RefundFailed })
		if len(left) < len(a.Refunds) && n < len(attemptsOf(*many)) && len(attemptsOf(*many)[n].Refunds) == len(left) {
			one.Payment.Attempts[n].Refunds, one.Version, many.Version = many.Payment.Attempts[n].Refunds, "", ""
		}
	}
}

func TestLookupMany_IsLookupOfEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	contract.LookupMany(t, w.client, w.several(), 10, failedLeftOut)
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
	for seed := range uint64(2) {
		contract.Shuffle(seed, subjects)
		contract.Together(t, w.client, subjects, len(subjects)-2, failedLeftOut)
	}
}
