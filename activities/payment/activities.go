package payment

import (
	"context"
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
}

// AuthorizePayment makes an attempt. A refusal is an outcome and no error: the
// attempt comes back open, with the gateway's code in Failure.
func (a *Activities) AuthorizePayment(ctx context.Context, in repair.Write[AuthorizeRequest]) (Authorization, error) {
	if err := a.Switches.Check(order.SystemPayment, in.Grant); err != nil {
		return Authorization{}, apierr.ToEngine("authorize payment", err)
	}
	result, err := a.Gateway.Authorize(ctx, in.Request)
	if apierr.CodeOf(err) == apierr.Declined && err != nil && result.Attempt.ID != "" {
		if result.Attempt.Failure == "" {
			result.Attempt.Failure = apierr.ReasonOf(err)
		}
		return result, nil
	}
	return result, apierr.ToEngine("authorize payment", err)
}

// CapturePayment takes money that an attempt holds.
func (a *Activities) CapturePayment(ctx context.Context, in repair.Write[CaptureRequest]) (reconcile.Attempt, error) {
	if err := a.Switches.Check(order.SystemPayment, in.Grant); err != nil {
		return reconcile.Attempt{}, apierr.ToEngine("capture payment", err)
	}
	result, err := a.Gateway.Capture(ctx, in.Request)
	return result, apierr.ToEngine("capture payment", err)
}

// VoidPayment closes an attempt.
func (a *Activities) VoidPayment(ctx context.Context, in repair.Write[VoidRequest]) (reconcile.Attempt, error) {
	if err := a.Switches.Check(order.SystemPayment, in.Grant); err != nil {
		return reconcile.Attempt{}, apierr.ToEngine("void payment", err)
	}
	result, err := a.Gateway.Void(ctx, in.Request)
	return result, apierr.ToEngine("void payment", err)
}

// RefundPayment gives money back.
func (a *Activities) RefundPayment(ctx context.Context, in repair.Write[RefundRequest]) (reconcile.Refund, error) {
	if err := a.Switches.Check(order.SystemPayment, in.Grant); err != nil {
		return reconcile.Refund{}, apierr.ToEngine("refund payment", err)
	}
	result, err := a.Gateway.Refund(ctx, in.Request)
	return result, apierr.ToEngine("refund payment", err)
}

// ReadPayment reads what the gateway holds of an order. A gateway that cannot
// be read is an observation too, and no error.
func (a *Activities) ReadPayment(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	at := a.Now()
	observation, err := a.Gateway.Lookup(ctx, s)
	return reconcile.Read(order.SystemPayment, s.Order, at, observation, err), nil
}
