package workflows

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Until when an order may be paid, by what the gateway says of its attempts: the
// longest window of those that can still take money, from the latest one on. And
// until then there is one timer.
func TestPayDeadline_ByTheAttemptsThatAreStillOpen(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	policy, err := reconcile.Parse([]byte("pay_window: 30m\npay_windows: {customer_balance: 672h, oxxo: 168h, ideal: 10m}\n"))
	if err != nil {
		t.Fatal(err)
	}
	open := func(method string) reconcile.Attempt {
		return reconcile.Attempt{State: reconcile.AttemptOpen, Method: method}
	}
	challenged := func(method string) reconcile.Attempt {
		a := open(method)
		a.Challenge = true
		return a
	}
	in := func(state reconcile.AttemptState) reconcile.Attempt {
		a := open("customer_balance")
		a.State = state
		return a
	}
	for name, c := range map[string]struct {
		attempts []reconcile.Attempt
		want     time.Duration
	}{
		"none":                          {nil, 30 * time.Minute},
		"a card":                        {[]reconcile.Attempt{open("card")}, 30 * time.Minute},
		"unknown":                       {[]reconcile.Attempt{open("")}, 30 * time.Minute},
		"a shorter one":                 {[]reconcile.Attempt{open("ideal")}, 10 * time.Minute},
		"a challenge":                   {[]reconcile.Attempt{challenged("card")}, time.Hour},
		"a challenge of its own window": {[]reconcile.Attempt{challenged("oxxo")}, 168 * time.Hour},
		"a transfer":                    {[]reconcile.Attempt{open("customer_balance")}, 672 * time.Hour},
		"a transfer with the bank":      {[]reconcile.Attempt{in(reconcile.AttemptProcessing)}, 672 * time.Hour},
		"a transfer that was closed":    {[]reconcile.Attempt{in(reconcile.AttemptVoided)}, 30 * time.Minute},
		"closed, and a card":            {[]reconcile.Attempt{in(reconcile.AttemptVoided), open("card")}, 30 * time.Minute},
		"a voucher, and a transfer":     {[]reconcile.Attempt{open("customer_balance"), open("oxxo")}, 672 * time.Hour},
		"a transfer, and a challenge":   {[]reconcile.Attempt{open("customer_balance"), challenged("card")}, 672 * time.Hour},
	} {
		p := &process{settings: Settings{Policy: policy}, State: &State{
			Order: order.Order{ID: "1", Currency: "EUR", Lines: []order.Line{{SKU: "A", Quantity: 1, UnitPrice: 9980}}, Total: 9980}, Phase: order.PhasePaying, Since: start,
			Operations: []Operation{{Operation: order.Authorize, N: 1, System: order.SystemPayment, Status: Done, First: start.Add(time.Minute)}},
			Observed: []reconcile.Observation{{
				System: order.SystemPayment, State: reconcile.Present, At: start.Add(time.Minute), Payment: &reconcile.Payment{Attempts: c.attempts},
			}},
		}}
		want := start.Add(time.Minute + c.want)
		if got := p.payDeadline(); !got.Equal(want) {
			t.Errorf("%s: may be paid for %s, want %s", name, got.Sub(start)-time.Minute, c.want)
		}
		for _, now := range []time.Time{start.Add(2 * time.Minute), start.Add(time.Minute + c.want/2), want.Add(-time.Second)} {
			if at, _ := p.payAlarm(now); !at.Equal(want) {
				t.Errorf("%s: %s after the start the next timer is for %s, want %s", name, now.Sub(start), at, want)
			}
		}
	}
}

// The customer may begin anew before the submission's own attempt has begun: each
// attempt has a number, and so a key, of its own.
func TestAttempt_TwoBeforeTheFirstHasBegun_EachHasItsOwnKey(t *testing.T) {
	t.Parallel()
	p := &process{State: &State{Order: order.Order{ID: "1", Currency: "EUR"}, Phase: order.PhasePaying}}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for i, want := range []int{2, 3} {
		a := Attempt{Asked: Asked{ID: string(rune('a' + i)), By: "customer"}, Payment: order.Payment{Method: "pm_card"}}
		if got := p.takeAttempt(now, a); got != want {
			t.Errorf("attempt %d has the number %d, want %d", i+1, got, want)
		}
	}
}
