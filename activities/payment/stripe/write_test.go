package stripe_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

const total = 9980

// operation is one write on an order that is ready for it.
type operation struct {
	op      order.Operation
	prepare func(w *world) (attempt string)
	do      func(ctx context.Context, c *stripe.Client, attempt string) error
	sum     int64 // of its effects in the ledger
}

func operations() []operation {
	return []operation{
		{
			op: order.Authorize, sum: total,
			prepare: func(*world) string { return "" },
			do: func(ctx context.Context, c *stripe.Client, _ string) error {
				_, err := c.Authorize(ctx, authorization("42", total, "pm_card_visa"))
				return err
			},
		}, {
			op: order.Capture, sum: total,
			prepare: func(w *world) string { return w.authorize("42", total).ID },
			do: func(ctx context.Context, c *stripe.Client, id string) error {
				_, err := c.Capture(ctx, capture("42", id, total))
				return err
			},
		}, {
			op: order.Void, sum: total,
			prepare: func(w *world) string { return w.authorize("42", total).ID },
			do: func(ctx context.Context, c *stripe.Client, id string) error {
				_, err := c.Void(ctx, void("42", id))
				return err
			},
		}, {
			op: order.Refund, sum: 2500,
			prepare: func(w *world) string { return w.captured("42", total).ID },
			do: func(ctx context.Context, c *stripe.Client, id string) error {
				_, err := c.Refund(ctx, refund("42", id, 2500))
				return err
			},
		},
	}
}

// each runs a test for every write.
func each(t *testing.T, test func(w *world, o operation, attempt string)) {
	t.Helper()
	t.Parallel()
	for _, o := range operations() {
		t.Run(string(o.op), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gateway.Settings{})
			test(w, o, o.prepare(w))
		})
	}
}

func (w *world) oneEffect(o operation) {
	w.Helper()
	if n, sum := w.effects("42", o.op); n != 1 || sum != o.sum {
		w.Fatalf("got %d effects of %s over %d, want one over %d", n, o.op, sum, o.sum)
	}
}

func (w *world) noEffect(o operation) {
	w.Helper()
	if n, _ := w.effects("42", o.op); n != 0 {
		w.Fatalf("got %d effects of %s, want none", n, o.op)
	}
}

func (w *world) succeeds(o operation, attempt string) {
	w.Helper()
	if err := o.do(context.Background(), w.client, attempt); err != nil {
		w.Fatalf("%s: %v", o.op, err)
	}
}

func TestWrite_Repeated_OneEffect(t *testing.T) {
	each(t, func(w *world, o operation, id string) {
		for range 3 {
			w.succeeds(o, id)
		}
		w.oneEffect(o)
	})
}

func TestWrite_RepeatedAtOnce_OneEffect(t *testing.T) {
	each(t, func(w *world, o operation, id string) {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { errs[i] = o.do(context.Background(), w.client, id) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil { // the key was in use; it is to be sent again
				wantCode(w.T, err, apierr.InDoubt, "idempotency_key_in_use")
			}
		}
		w.succeeds(o, id)
		w.oneEffect(o)
	})
}

func TestWrite_KeyInUse_IsInDoubt(t *testing.T) {
	each(t, func(w *world, o operation, id string) {
		release := w.server.HoldKey("order/42/" + string(o.op) + "/1")
		wantCode(w.T, o.do(context.Background(), w.client, id), apierr.InDoubt, "idempotency_key_in_use")
		w.noEffect(o)
		release()
		w.succeeds(o, id)
		w.oneEffect(o)
	})
}

func TestWrite_Fault_OneEffectAfterRepeat(t *testing.T) {
	for _, f := range []struct {
		kind   simulator.FaultKind
		code   apierr.Code
		effect bool
	}{
		{simulator.Refused, apierr.InDoubt, false},
		{simulator.Unavailable, apierr.InDoubt, false},
		{simulator.ResponseLost, apierr.InDoubt, true},
		{simulator.ResponseError, apierr.InDoubt, true},
		{simulator.RateLimited, apierr.RateLimited, false},
		{simulator.Garbage, apierr.InDoubt, true},
		{simulator.Unauthorized, apierr.Unauthorized, false},
		{simulator.Foreign, apierr.InDoubt, false},
	} {
		t.Run(string(f.kind), func(t *testing.T) {
			each(t, func(w *world, o operation, id string) {
				w.inject(simulator.Fault{Operation: o.op, Kind: f.kind})
				before := w.requests(o.op)
				wantCode(w.T, o.do(context.Background(), w.client, id), f.code, "")
				if got := w.requests(o.op) - before; got != 1 {
					w.Fatalf("got %d requests for one call: something retries by itself", got)
				}
				if f.effect {
					w.oneEffect(o)
				} else {
					w.noEffect(o)
				}
				w.succeeds(o, id)
				w.oneEffect(o)
				if w.server.Frame().Faults()[0].Fired != 1 {
					w.Fatal("the fault did not fire")
				}
			})
		})
	}
}

func TestWrite_Twice_OneEffect(t *testing.T) {
	each(t, func(w *world, o operation, id string) {
		w.inject(simulator.Fault{Operation: o.op, Kind: simulator.Twice})
		w.succeeds(o, id)
		w.oneEffect(o)
	})
}

func TestWrite_Late_OneEffect(t *testing.T) {
	for _, first := range []string{"repeat first", "effect first"} {
		t.Run(first, func(t *testing.T) {
			each(t, func(w *world, o operation, id string) {
				w.inject(simulator.Fault{Operation: o.op, Kind: simulator.Late, Delay: time.Minute})
				hasty := w.newClient(func(c *stripe.Config) { c.Timeout = 100 * time.Millisecond })
				before := w.clock.pending()
				wantCode(w.T, o.do(context.Background(), hasty, id), apierr.InDoubt, "no_answer")
				w.noEffect(o)
				w.await(func() bool { return w.clock.pending() > before })
				if first == "effect first" {
					w.clock.advance(2 * time.Minute)
					w.oneEffect(o)
				}
				w.succeeds(o, id)
				w.clock.advance(2 * time.Minute)
				w.oneEffect(o)
			})
		})
	}
}

// await waits for something that another goroutine is about to do.
func (w *world) await(done func() bool) {
	w.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.Fatal("waited in vain")
		}
	}
}

// A stored error is repeated for ever: the caller must look up.
func TestWrite_ReplaysError_SaysLookUp(t *testing.T) {
	each(t, func(w *world, o operation, id string) {
		w.inject(simulator.Fault{Operation: o.op, Kind: simulator.ReplaysError})
		wantCode(w.T, o.do(context.Background(), w.client, id), apierr.InDoubt, "api_error")
		for range 2 {
			wantCode(w.T, o.do(context.Background(), w.client, id), apierr.InDoubt, stripe.ReplayedError)
		}
		w.noEffect(o)
		// Past the window the key is a new one.
		w.clock.advance(25 * time.Hour)
		w.succeeds(o, id)
		w.oneEffect(o)
	})
}

// A key that follows from a spent one is read back as it was sent, so that the
// record is found by either.
func TestAuthorize_KeyThatFollowsAnother_IsReadBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	r := authorization("42", total, "pm_card_visa")
	r.Key += "/again/2"
	if _, err := w.client.Authorize(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if a := w.only(w.lookup("42")); a.Key != "order/42/authorize/1/again/2" {
		t.Fatalf("got the key %q", a.Key)
	}
}

func TestWrite_Rejected_IsFinal(t *testing.T) {
	codes := map[order.Operation]apierr.Code{
		order.Authorize: apierr.Declined, order.Capture: apierr.Declined, order.Void: apierr.Conflict, order.Refund: apierr.Declined,
	}
	each(t, func(w *world, o operation, id string) {
		w.inject(simulator.Fault{Operation: o.op, Kind: simulator.Rejected})
		wantCode(w.T, o.do(context.Background(), w.client, id), codes[o.op], "")
		again := o.do(context.Background(), w.client, id) // the refusal is stored under the key, too
		if o.op == order.Void {
			// It could be closed, so that another key may succeed.
			wantCode(w.T, again, apierr.InDoubt, stripe.ReplayedError)
		} else {
			wantCode(w.T, again, codes[o.op], "")
		}
		if _, sum := w.effects("42", o.op); sum != 0 {
			w.Fatalf("money moved: %d", sum)
		}
	})
}

func TestWrite_ReadBackAfterReplayFails_IsInDoubt(t *testing.T) {
	each(t, func(w *world, o operation, id string) {
		w.succeeds(o, id)
		w.inject(simulator.Fault{Operation: "lookup", Kind: simulator.Unavailable})
		wantCode(w.T, o.do(context.Background(), w.client, id), apierr.InDoubt, "")
		w.succeeds(o, id)
		w.oneEffect(o)
	})
}

func TestWrite_RateLimited_SaysHowLong(t *testing.T) {
	each(t, func(w *world, o operation, id string) {
		w.inject(simulator.Fault{Operation: o.op, Kind: simulator.RateLimited, Delay: 7 * time.Second})
		err := o.do(context.Background(), w.client, id)
		wantCode(w.T, err, apierr.RateLimited, "")
		if got := afterOf(err); got != 7*time.Second {
			w.Fatalf("got %s, want 7s", got)
		}
	})
}

func TestWrite_Unreachable_IsUnavailable(t *testing.T) {
	each(t, func(w *world, o operation, id string) {
		nobody := w.newClient(func(c *stripe.Config) { c.BaseURL = "http://127.0.0.1:1" })
		wantCode(w.T, o.do(context.Background(), nobody, id), apierr.Unavailable, "unreachable")
	})
}

func TestWrite_WrongKey_IsUnauthorized(t *testing.T) {
	each(t, func(w *world, o operation, id string) {
		stranger := w.newClient(func(c *stripe.Config) { c.APIKey = "sk_test_of_somebody_else" })
		wantCode(w.T, o.do(context.Background(), stranger, id), apierr.Unauthorized, "")
		w.noEffect(o)
	})
}

func TestWrite_SameKeyOtherRequest_IsConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	w.authorize("42", total)
	_, err := w.client.Authorize(context.Background(), authorization("42", total+1, "pm_card_visa"))
	wantCode(t, err, apierr.Conflict, "idempotency_error")
	if got := w.totals("42"); got.Held != total {
		t.Fatalf("got %+v", got)
	}
}

func afterOf(err error) time.Duration {
	if e, ok := errors.AsType[*apierr.Error](err); ok {
		return e.After
	}
	return 0
}
