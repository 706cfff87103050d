package payment

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Activities are the payment operations that workflows call. They map errors;
// retries are the engine's and decisions the workflow's.
type Activities struct {
	Gateway  Gateway
	Switches *repair.Switches
	Now      func() time.Time
	// KeyWindow is how long the gateway repeats its answer for a key; 0: it has
	// no keys, and every repeat is looked up.
	KeyWindow time.Duration
	// Blind leaves out the look-up before an order's first attempt, for a shop
	// whose services always name the payment that their checkout began.
	Blind bool
}

// AuthorizePayment makes an attempt. A refusal is an outcome and no error: the
// attempt comes back open, with the gateway's code in Failure.
func (a *Activities) AuthorizePayment(ctx context.Context, in repair.Write[AuthorizeRequest]) (Authorization, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return Authorization{}, apierr.ToEngine("authorize payment", err)
	}
	request := in.Request
	if request.First && !a.Blind {
		paid, found, err := a.paid(ctx, request, in.Since)
		if err != nil {
			return Authorization{}, apierr.ToEngine("authorize payment", err)
		}
		if found {
			request.Payment.Intent = paid.ID
		}
	}
	result, err := once(a, in.Since, request.Key, func(key string) (Authorization, error) {
		request := request
		request.Key = key
		return a.Gateway.Authorize(ctx, request)
	}, func() (Authorization, bool, error) {
		attempt, found, err := a.find(ctx, in.Request.Order, in.Since, nil, func(x reconcile.Attempt) bool {
			return x.Key == in.Request.Key || strings.HasPrefix(x.Key, in.Request.Key+"/again/")
		})
		return Authorization{Attempt: attempt}, found, err
	})
	if err != nil && apierr.CodeOf(err) == apierr.Declined && result.Attempt.ID != "" {
		if result.Attempt.Failure == "" {
			result.Attempt.Failure = apierr.ReasonOf(err)
		}
		return result, nil
	}
	return result, apierr.ToEngine("authorize payment", err)
}

// paid returns the attempt by which a checkout has paid the order. What the gateway
// had before our first attempt does not tell: a checkout may name its order late.
func (a *Activities) paid(ctx context.Context, r AuthorizeRequest, first time.Time) (reconcile.Attempt, bool, error) {
	afresh := first
	if now := a.Now(); now.Before(afresh) {
		afresh = now // two machines' clocks differ
	}
	s := reconcile.Subject{Order: r.Order, PlacedAt: begun(r, first), Afresh: afresh}
	return a.match(ctx, s, func(x reconcile.Attempt) bool { return pays(x, r) })
}

// checkoutLife is how long before its order was placed a checkout may have begun,
// and with it the payment.
const checkoutLife = 24 * time.Hour

// begun is from when on a checkout may have paid the order. It may have been placed
// long before our first attempt, or by a clock that is ahead.
func begun(r AuthorizeRequest, first time.Time) time.Time {
	if !r.PlacedAt.IsZero() && r.PlacedAt.Before(first) {
		first = r.PlacedAt
	}
	return first.Add(-checkoutLife)
}

// pays says that an attempt which a checkout made pays the order as it stands, or
// that this request adopted it already.
func pays(x reconcile.Attempt, r AuthorizeRequest) bool {
	switch x.State {
	case reconcile.AttemptAuthorized, reconcile.AttemptCaptured, reconcile.AttemptProcessing:
	case reconcile.AttemptOpen, reconcile.AttemptVoided:
		return false
	}
	whole := x.Amount == r.Amount.Minor && x.Currency == r.Amount.Currency && x.Refunded == 0 && x.Disputed == 0
	return whole && (x.Key == "" || x.Adopted && x.Key == r.Key)
}

// CapturePayment takes money that an attempt holds.
func (a *Activities) CapturePayment(ctx context.Context, in repair.Write[CaptureRequest]) (reconcile.Attempt, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Attempt{}, apierr.ToEngine("capture payment", err)
	}
	result, err := once(a, in.Since, in.Request.Key, func(key string) (reconcile.Attempt, error) {
		request := in.Request
		request.Key = key
		return a.Gateway.Capture(ctx, request)
	}, func() (reconcile.Attempt, bool, error) {
		return a.find(ctx, in.Request.Order, in.Since, []string{in.Request.Attempt}, func(x reconcile.Attempt) bool {
			return x.ID == in.Request.Attempt && captured(x, in.Request)
		})
	})
	return result, apierr.ToEngine("capture payment", err)
}

// captured says that a capture has had its effect.
func captured(x reconcile.Attempt, r CaptureRequest) bool {
	released := !r.Final || x.Held == 0
	return x.State != reconcile.AttemptVoided && x.Captured > 0 && x.Captured >= r.Before+r.Amount.Minor && released
}

// VoidPayment closes an attempt. One that cannot be closed any more, or not yet,
// comes back as it stands, without an error: reality wins.
func (a *Activities) VoidPayment(ctx context.Context, in repair.Write[VoidRequest]) (reconcile.Attempt, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Attempt{}, apierr.ToEngine("void payment", err)
	}
	result, err := once(a, in.Since, in.Request.Key, func(key string) (reconcile.Attempt, error) {
		request := in.Request
		request.Key = key
		return a.Gateway.Void(ctx, request)
	}, func() (reconcile.Attempt, bool, error) {
		return a.find(ctx, in.Request.Order, in.Since, []string{in.Request.Attempt}, func(x reconcile.Attempt) bool {
			return x.ID == in.Request.Attempt && x.State == reconcile.AttemptVoided
		})
	})
	if err == nil || apierr.CodeOf(err) != apierr.Conflict {
		return result, apierr.ToEngine("void payment", err)
	}
	if result.ID != "" {
		return result, nil
	}
	standing, found, errFind := a.find(ctx, in.Request.Order, in.Since, []string{in.Request.Attempt}, func(x reconcile.Attempt) bool {
		return x.ID == in.Request.Attempt
	})
	if errFind == nil && found {
		return standing, nil
	}
	return result, apierr.ToEngine("void payment", err)
}

// RefundPayment gives money back.
func (a *Activities) RefundPayment(ctx context.Context, in repair.Write[RefundRequest]) (reconcile.Refund, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return reconcile.Refund{}, apierr.ToEngine("refund payment", err)
	}
	if err := a.Switches.Heed(ctx, in.Rule); err != nil {
		return reconcile.Refund{}, apierr.ToEngine("refund payment", err)
	}
	result, err := once(a, in.Since, in.Request.Key, func(key string) (reconcile.Refund, error) {
		request := in.Request
		request.Key = key
		return a.Gateway.Refund(ctx, request)
	}, func() (reconcile.Refund, bool, error) {
		attempt, _, err := a.find(ctx, in.Request.Order, in.Since, []string{in.Request.Attempt}, func(x reconcile.Attempt) bool { return x.ID == in.Request.Attempt })
		for _, r := range attempt.Refunds {
			if r.Key == in.Request.Key || strings.HasPrefix(r.Key, in.Request.Key+"/again/") {
				return r, true, err
			}
		}
		return reconcile.Refund{}, false, err
	})
	return result, apierr.ToEngine("refund payment", err)
}

// ReplayedReason is the reason of an InDoubt error when the gateway repeats an
// error of its own that it stored under the key: the key will never say more.
const ReplayedReason = "replayed_error"

// resends is how many keys may follow one whose stored error is replayed.
const resends = 3

// once makes one effect. Inside the key window sending the key again is the
// look-up. Past it, and when the gateway replays an error that it stored, the
// record itself is looked up; only what is proven absent is sent again, under
// the same key or, where that is spent, under one that follows from it.
func once[T any](a *Activities, since time.Time, key string, send func(key string) (T, error), look func() (T, bool, error)) (T, error) {
	if a.Now().Sub(since) > a.KeyWindow-time.Hour {
		if found, ok, err := look(); err != nil || ok {
			return found, err
		}
	}
	result, err := send(key)
	for n := 2; n <= resends+1 && err != nil && apierr.CodeOf(err) == apierr.InDoubt && apierr.ReasonOf(err) == ReplayedReason; n++ {
		found, ok, lookErr := look()
		if lookErr != nil || ok {
			return found, lookErr
		}
		result, err = send(key + "/again/" + strconv.Itoa(n))
	}
	return result, err
}

// find returns the attempt of the order that matches, from a strong read.
func (a *Activities) find(ctx context.Context, of order.ID, since time.Time, known []string, match func(reconcile.Attempt) bool) (reconcile.Attempt, bool, error) {
	return a.match(ctx, reconcile.Subject{Order: of, PlacedAt: since, Known: known}, match)
}

func (a *Activities) match(ctx context.Context, s reconcile.Subject, match func(reconcile.Attempt) bool) (reconcile.Attempt, bool, error) {
	seen, err := a.Gateway.Lookup(ctx, s)
	if err != nil {
		return reconcile.Attempt{}, false, err
	}
	if seen.Payment != nil {
		for _, x := range seen.Payment.Attempts {
			if match(x) {
				return x, true, nil
			}
		}
	}
	return reconcile.Attempt{}, false, nil
}

// ReadPayment reads what the gateway holds of an order. A gateway that cannot
// be read is an observation too, and no error.
func (a *Activities) ReadPayment(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	at := a.Now()
	observation, err := a.Gateway.Lookup(ctx, s)
	return reconcile.Read(order.SystemPayment, s.Order, at, observation, err), nil
}
