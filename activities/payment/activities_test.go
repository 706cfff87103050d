package payment_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

const total = 9980

// clock is a time that a test moves; what is to happen by itself is left out.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(time.Duration, string, func()) {}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// shop is the activities with a simulated gateway behind them.
type shop struct {
	*testing.T
	clock  *clock
	placed time.Time
	server *gateway.Server
	do     *payment.Activities
}

func newShop(t *testing.T) *shop {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	server, err := gateway.New(simulator.Options{Clock: c}, gateway.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		listener.CloseClientConnections()
		listener.Close()
		_ = server.Close()
	})
	client, err := stripe.New(stripe.Config{APIKey: gateway.DefaultAPIKey, BaseURL: listener.URL, Channel: "shop", Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return &shop{T: t, clock: c, placed: c.now, server: server, do: &payment.Activities{
		Gateway: client, Switches: repair.NewSwitches(c.Now), Now: c.Now, KeyWindow: stripe.Abilities.KeyWindow,
	}}
}

func key(operation order.Operation, n int) string {
	return order.Intent{Order: "42", Operation: operation, N: n}.Key()
}

func (s *shop) authorize(n int, method string, change func(*payment.AuthorizeRequest)) (payment.Authorization, error) {
	r := payment.AuthorizeRequest{
		Key: key(order.Authorize, n), Order: "42", Amount: order.Amount{Minor: total, Currency: "EUR"}, Customer: "c1",
		Payment: order.Payment{Method: method},
	}
	change(&r)
	return s.do.AuthorizePayment(context.Background(), repair.Write[payment.AuthorizeRequest]{Since: s.placed, Request: r})
}

func (s *shop) attempt(n int, method string, change func(*payment.AuthorizeRequest)) reconcile.Attempt {
	s.Helper()
	got, err := s.authorize(n, method, change)
	if err != nil {
		s.Fatal(err)
	}
	return got.Attempt
}

func as(*payment.AuthorizeRequest) {}

func several(r *payment.AuthorizeRequest) { r.Payment.Multicapture = true }

func (s *shop) capture(r payment.CaptureRequest) (reconcile.Attempt, error) {
	r.Order, r.Amount.Currency = "42", "EUR"
	return s.do.CapturePayment(context.Background(), repair.Write[payment.CaptureRequest]{Since: s.placed, Request: r})
}

func (s *shop) void(n int, attempt string) (reconcile.Attempt, error) {
	return s.do.VoidPayment(context.Background(), repair.Write[payment.VoidRequest]{
		Since: s.placed, Request: payment.VoidRequest{Key: key(order.Void, n), Order: "42", Attempt: attempt},
	})
}

func (s *shop) refund(n int, attempt string, amount int64) (reconcile.Refund, error) {
	return s.do.RefundPayment(context.Background(), repair.Write[payment.RefundRequest]{Since: s.placed, Request: payment.RefundRequest{
		Key: key(order.Refund, n), Order: "42", Attempt: attempt, Amount: order.Amount{Minor: amount, Currency: "EUR"},
	}})
}

func (s *shop) inject(on order.Operation, kind simulator.FaultKind, times int) {
	s.Helper()
	if _, err := s.server.Frame().Inject(simulator.Fault{Operation: on, Kind: kind, Times: times}); err != nil {
		s.Fatal(err)
	}
}

func (s *shop) totals() gateway.Totals {
	s.Helper()
	state, err := s.server.State("42")
	if err != nil {
		s.Fatal(err)
	}
	return state.(gateway.State).Totals
}

// Reality wins: what cannot be closed comes back as it stands.
func TestVoidPayment_TellsHowItStands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(s *shop) reconcile.Attempt
		want    reconcile.AttemptState
	}{
		"captured meanwhile": {func(s *shop) reconcile.Attempt {
			return s.attempt(1, "pm_card_visa", func(r *payment.AuthorizeRequest) { r.Payment.Capture = order.CaptureAtOnce })
		}, reconcile.AttemptCaptured},
		"processing": {func(s *shop) reconcile.Attempt { return s.attempt(1, "pm_async", as) }, reconcile.AttemptProcessing},
		"captured in part": {func(s *shop) reconcile.Attempt {
			a := s.attempt(1, "pm_card_visa", several)
			if _, err := s.capture(payment.CaptureRequest{Key: key(order.Capture, 1), Attempt: a.ID, Amount: order.Amount{Minor: 5000}}); err != nil {
				s.Fatal(err)
			}
			return a
		}, reconcile.AttemptAuthorized},
		"held": {func(s *shop) reconcile.Attempt { return s.attempt(1, "pm_card_visa", as) }, reconcile.AttemptVoided},
		"closed": {func(s *shop) reconcile.Attempt {
			a := s.attempt(1, "pm_card_visa", as)
			if _, err := s.void(7, a.ID); err != nil {
				s.Fatal(err)
			}
			return a
		}, reconcile.AttemptVoided},
	} {
		s := newShop(t)
		a := c.prepare(s)
		for range 2 {
			if got, err := s.void(1, a.ID); err != nil || got.ID != a.ID || got.State != c.want {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		}
		// The refusal stands in the ledger as no effect.
		if got := s.totals(); (got.Open == 0) != (c.want == reconcile.AttemptVoided || c.want == reconcile.AttemptCaptured) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestVoidPayment_Unreadable_IsAnError(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.attempt(1, "pm_async", as)
	s.inject("lookup", simulator.Unavailable, -1)
	if got, err := s.void(1, a.ID); err == nil || apierr.CodeOf(err) != apierr.InDoubt {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// The bank said no after the first wish to close it was refused; the same intent
// closes it now, though its key is spent.
func TestVoidPayment_RefusedWhileProcessing_ClosesLater(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.attempt(1, "pm_async", as)
	if got, err := s.void(1, a.ID); err != nil || got.State != reconcile.AttemptProcessing {
		t.Fatalf("got %+v, %v", got, err)
	}
	if err := s.server.Pay(a.ID, gateway.Declined); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := s.void(1, a.ID); err != nil || got.State != reconcile.AttemptVoided {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if got := s.totals(); got.Open != 0 {
		t.Fatalf("got %+v", got)
	}
}

// Past the key window an attempt is looked for by its own key, and that of
// another attempt is not taken for it.
func TestAuthorizePayment_SecondAttempt_FindsItsOwn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	first := s.attempt(1, "pm_card_chargeDeclined", as)
	tenth := s.attempt(10, "pm_card_chargeDeclined", as)
	s.inject(order.Authorize, simulator.ResponseLost, 1)
	if _, err := s.authorize(2, "pm_card_visa", as); apierr.CodeOf(err) != apierr.InDoubt {
		t.Fatalf("got %v", err)
	}
	s.clock.advance(30 * time.Hour)
	second := s.attempt(2, "pm_card_visa", as)
	if second.Held != total || second.Key != key(order.Authorize, 2) || second.ID == first.ID {
		t.Fatalf("got %+v", second)
	}
	if got := s.attempt(1, "pm_card_chargeDeclined", as); got.ID != first.ID {
		t.Fatalf("got %+v", got)
	}
	if got := s.attempt(10, "pm_card_chargeDeclined", as); got.ID != tenth.ID {
		t.Fatalf("got %+v", got)
	}
	if got := s.attempt(3, "pm_card_visa", as); got.ID == second.ID || got.Key != key(order.Authorize, 3) {
		t.Fatalf("got %+v", got)
	}
	if got := s.totals(); got.Authorizations != 2 || got.Open != 4 {
		t.Fatalf("got %+v", got)
	}
}

// A stored error is told from an attempt that has none: the key that follows is
// the same intent's.
func TestAuthorizePayment_ReplaysError_OneAttempt(t *testing.T) {
	t.Parallel()
	for _, on := range []order.Operation{order.Authorize, "customer"} {
		s := newShop(t)
		kept := func(r *payment.AuthorizeRequest) { r.Payment.Reusable = true }
		s.inject(on, simulator.ReplaysError, 1)
		if _, err := s.authorize(2, "pm_card_visa", kept); apierr.CodeOf(err) != apierr.InDoubt {
			t.Fatalf("got %v", err)
		}
		for range 2 {
			if got := s.attempt(2, "pm_card_visa", kept); got.Held != total || got.Key != key(order.Authorize, 2)+"/again/2" {
				t.Fatalf("got %+v", got)
			}
		}
		if got := s.totals(); got.Authorizations != 1 || got.Held != total {
			t.Fatalf("%s: got %+v", on, got)
		}
	}
}

// A decline is an outcome, with the attempt or without one.
func TestAuthorizePayment_Declined(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	if a := s.attempt(1, "pm_card_chargeDeclined", as); a.State != reconcile.AttemptOpen || a.Failure != "card_declined" {
		t.Fatalf("got %+v", a)
	}
	paid := s.attempt(2, "pm_card_visa", as)
	_, err := s.authorize(3, "", func(r *payment.AuthorizeRequest) { r.OffSession, r.Payment.Intent = true, paid.ID })
	if apierr.CodeOf(err) != apierr.Declined || apierr.ReasonOf(err) != "no_stored_method" {
		t.Fatalf("got %v", err)
	}
}

// A later one of several captures is not taken for done because an earlier was.
func TestCapturePayment_Several_PastTheKeyWindow(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.attempt(1, "pm_card_visa", several)
	taken := int64(0)
	for n, amount := range []int64{5000, 3000, total - 8000} {
		r := payment.CaptureRequest{
			Key: key(order.Capture, n+1), Attempt: a.ID, Amount: order.Amount{Minor: amount}, Before: taken, Final: taken+amount == total,
		}
		taken += amount
		s.clock.advance(30 * time.Hour)
		for range 2 {
			if got, err := s.capture(r); err != nil || got.Captured != taken || got.Held != total-taken {
				t.Fatalf("capture %d: got %+v, %v", n+1, got, err)
			}
		}
	}
	if got := s.totals(); got.Captured != total || got.Held != 0 || got.Open != 0 {
		t.Fatalf("got %+v", got)
	}
}

// Giving up the rest of a capture in part is not taken for done while it is held.
func TestCapturePayment_ReleaseTheRest_PastTheKeyWindow(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.attempt(1, "pm_card_visa", several)
	if _, err := s.capture(payment.CaptureRequest{Key: key(order.Capture, 1), Attempt: a.ID, Amount: order.Amount{Minor: 5000}}); err != nil {
		t.Fatal(err)
	}
	s.clock.advance(30 * time.Hour)
	for range 2 {
		rest := payment.CaptureRequest{Key: key(order.Capture, 2), Attempt: a.ID, Final: true, Before: 5000}
		if got, err := s.capture(rest); err != nil || got.Held != 0 || got.Captured != 5000 || got.State != reconcile.AttemptCaptured {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if got := s.totals(); got.Captured != 5000 || got.Held != 0 || got.Open != 0 {
		t.Fatalf("got %+v", got)
	}
}

// Two refunds of one amount are two, so nothing in the gateway's record stops a
// third: only the key does, and past its window the look-up.
func TestRefundPayment_AnswerLost_RefundedOnce(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]time.Duration{"at once": time.Second, "past the key window": 30 * time.Hour} {
		s := newShop(t)
		a := s.attempt(1, "pm_card_visa", func(r *payment.AuthorizeRequest) { r.Payment.Capture = order.CaptureAtOnce })
		first, err := s.refund(1, a.ID, 2000)
		if err != nil {
			t.Fatal(err)
		}
		s.inject(order.Refund, simulator.ResponseLost, 1)
		if _, err := s.refund(2, a.ID, 2000); apierr.CodeOf(err) != apierr.InDoubt {
			t.Fatalf("%s: got %v", name, err)
		}
		s.clock.advance(later)
		for range 2 {
			if got, err := s.refund(2, a.ID, 2000); err != nil || got.ID == first.ID || got.Amount != 2000 || got.Key != key(order.Refund, 2) {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		}
		if got := s.totals(); got.Refunded != 4000 {
			t.Errorf("%s: %d went back, want 4000", name, got.Refunded)
		}
	}
}

// What a checkout took for the order before anybody submitted it pays the order;
// nothing is charged beside it, not by a repetition either.
func TestAuthorizePayment_PaidAtTheCheckout_Adopted(t *testing.T) {
	t.Parallel()
	first := func(r *payment.AuthorizeRequest) { r.First = true }
	for name, lost := range map[string]bool{"answered": false, "the answer to the adoption is lost": true} {
		s := newShop(t)
		checkout := gateway.Checkout{Amount: total, Currency: "eur", Method: "pm_card_visa", Capture: order.CaptureAtOnce}
		id, err := s.server.Start("42", checkout)
		if err != nil {
			t.Fatal(err)
		}
		if lost {
			s.inject(order.Authorize, simulator.ResponseLost, 1)
			if _, err := s.authorize(1, "pm_card_visa", first); apierr.CodeOf(err) != apierr.InDoubt {
				t.Fatalf("%s: got %v", name, err)
			}
		}
		for range 2 {
			if got := s.attempt(1, "pm_card_visa", first); got.ID != id || got.Captured != total || !got.Adopted || got.Key != key(order.Authorize, 1) {
				t.Fatalf("%s: got %+v", name, got)
			}
		}
		if got := s.totals(); got.Authorizations != 1 || got.Captures != 1 {
			t.Fatalf("%s: got %+v", name, got)
		}
	}
}

// A checkout may begin long before the order is placed, and the order may come to
// us long after: what was paid then pays it too. Without the moment at which it was
// placed, the first attempt is all that is known.
func TestAuthorizePayment_PaidLongBeforeTheFirstAttempt_Adopted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ placed, first time.Duration }{
		"submitted hours after it was placed":     {0, 3 * time.Hour},
		"submitted days after it was placed":      {0, 50 * time.Hour},
		"paid hours before it was placed":         {2 * time.Hour, 2 * time.Hour},
		"the checkout was open for most of a day": {23 * time.Hour, 23 * time.Hour},
		"placed by a clock that is ahead":         {9 * time.Hour, 2 * time.Hour},
		"it is not said when it was placed":       {-1, 20 * time.Hour},
	} {
		s := newShop(t)
		start := s.clock.Now()
		id, err := s.server.Start("42", gateway.Checkout{Amount: total, Currency: "eur", Method: "pm_card_visa", Capture: order.CaptureAtOnce})
		if err != nil {
			t.Fatal(err)
		}
		s.clock.advance(c.first)
		s.placed = s.clock.Now()
		got := s.attempt(1, "pm_card_visa", func(r *payment.AuthorizeRequest) {
			r.First = true
			if c.placed >= 0 {
				r.PlacedAt = start.Add(c.placed)
			}
		})
		if got.ID != id || !got.Adopted {
			t.Errorf("%s: got %+v", name, got)
		}
		if got := s.totals(); got.Captured != total || got.Authorizations != 1 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// What does not pay the order as it stands is not adopted, and a shop that names
// its payments itself pays for no look-up.
func TestAuthorizePayment_AtTheCheckout_NotAdopted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*shop, *gateway.Checkout){
		"another amount":   func(_ *shop, c *gateway.Checkout) { c.Amount = total - 1 },
		"another currency": func(_ *shop, c *gateway.Checkout) { c.Currency = "usd" },
		"never confirmed":  func(_ *shop, c *gateway.Checkout) { c.Method = "" },
		"of nobody's":      func(_ *shop, c *gateway.Checkout) { c.Bare = true },
		"not looked for":   func(s *shop, _ *gateway.Checkout) { s.do.Blind = true },
	} {
		s := newShop(t)
		checkout := gateway.Checkout{Amount: total, Currency: "eur", Method: "pm_card_visa", Capture: order.CaptureAtOnce}
		change(s, &checkout)
		id, err := s.server.Start("42", checkout)
		if err != nil {
			t.Fatal(err)
		}
		got := s.attempt(1, "pm_card_visa", func(r *payment.AuthorizeRequest) { r.First = true })
		if got.ID == id || got.Adopted || got.Held != total {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
