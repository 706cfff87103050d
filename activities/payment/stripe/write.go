package stripe

import (
	"context"
	"errors"
	"strings"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/reconcile"
)

// Capture implements payment.Gateway. An Amount of 0 with Final takes nothing
// and releases what is left of a multicapture.
func (c *Client) Capture(ctx context.Context, r payment.CaptureRequest) (reconcile.Attempt, error) {
	subject := "capture payment of order " + string(r.Order)
	if err := precondition(subject, r.Key, r.Order, r.Amount.Minor > 0 || r.Final && r.Amount.Minor == 0); err != nil {
		return reconcile.Attempt{}, err
	}
	amount, err := toStripe(r.Amount)
	if err != nil {
		return reconcile.Attempt{}, invalid(subject, "amount", err.Error())
	}
	if err := known(subject, r.Attempt); err != nil {
		return reconcile.Attempt{}, err
	}
	p := &api.PaymentIntentCaptureParams{AmountToCapture: api.Int64(amount), Expand: whole()}
	if !r.Final {
		// Stripe's default is final, and it takes the setting only where it granted
		// several captures; else every capture is the only one.
		several, err := c.several(ctx, subject, r)
		if err != nil {
			return reconcile.Attempt{}, err
		}
		if several {
			p.FinalCapture = api.Bool(false)
		}
	}
	if amount == 0 {
		p.FinalCapture = api.Bool(true)
	}
	p.SetIdempotencyKey(r.Key)
	callCtx, x := c.begin(ctx, "capture", true)
	pi, err := c.api.V1PaymentIntents.Capture(callCtx, r.Attempt, p)
	if err != nil {
		return reconcile.Attempt{}, x.fail(subject, err)
	}
	if x.replayed() {
		if pi, err = c.readBack(ctx, subject, r.Attempt); err != nil {
			return reconcile.Attempt{}, err
		}
	}
	a, err := c.own(pi, r.Attempt, r.Order, false)
	if err != nil {
		return reconcile.Attempt{}, x.garbage(subject, err.Error())
	}
	return c.finish(ctx, subject, pi, a)
}

// several reads whether Stripe granted several captures. It never changes, so
// that a repeat sends the same request under its key.
func (c *Client) several(ctx context.Context, subject string, r payment.CaptureRequest) (bool, error) {
	pi, x, err := c.read(ctx, r.Attempt)
	if err != nil {
		return false, x.fail(subject, err)
	}
	a, err := c.own(pi, r.Attempt, r.Order, false)
	if err != nil {
		return false, x.garbage(subject, err.Error())
	}
	return a.Multicapture, nil
}

// Void implements payment.Gateway: it cancels the PaymentIntent.
func (c *Client) Void(ctx context.Context, r payment.VoidRequest) (reconcile.Attempt, error) {
	subject := "void payment of order " + string(r.Order)
	if err := precondition(subject, r.Key, r.Order, true); err != nil {
		return reconcile.Attempt{}, err
	}
	if err := known(subject, r.Attempt); err != nil {
		return reconcile.Attempt{}, err
	}
	p := &api.PaymentIntentCancelParams{Expand: whole()}
	p.SetIdempotencyKey(r.Key)
	callCtx, x := c.begin(ctx, "void", true)
	pi, err := c.api.V1PaymentIntents.Cancel(callCtx, r.Attempt, p)
	if err != nil {
		return c.notVoided(ctx, x, r, err)
	}
	if x.replayed() {
		if pi, err = c.readBack(ctx, subject, r.Attempt); err != nil {
			return reconcile.Attempt{}, err
		}
	}
	a, err := c.own(pi, r.Attempt, r.Order, true)
	if err != nil {
		return reconcile.Attempt{}, x.garbage(subject, err.Error())
	}
	return a, nil
}

// notVoided reads what a refused cancellation left: closing what is closed is
// no error. A refusal that Stripe repeats although the attempt could be closed by
// now, as after a bank said no, says nothing more under this key.
func (c *Client) notVoided(ctx context.Context, x *exchange, r payment.VoidRequest, refusal error) (reconcile.Attempt, error) {
	subject := "void payment of order " + string(r.Order)
	if x.classify(refusal).Code != apierr.Conflict {
		return reconcile.Attempt{}, x.fail(subject, refusal)
	}
	pi, err := c.readBack(ctx, subject, r.Attempt)
	if err != nil {
		return reconcile.Attempt{}, err
	}
	a, err := c.own(pi, r.Attempt, r.Order, true)
	if err != nil {
		return reconcile.Attempt{}, x.garbage(subject, err.Error())
	}
	if a, err = c.finish(ctx, subject, pi, a); err != nil {
		return reconcile.Attempt{}, err
	}
	switch {
	case a.State == reconcile.AttemptVoided:
		return a, nil
	case x.replayed() && a.Captured == 0 && (a.State == reconcile.AttemptOpen || a.State == reconcile.AttemptAuthorized):
		return a, x.failed(subject, &apierr.Error{Code: apierr.InDoubt, Reason: ReplayedError, Err: errors.New("refused before, while it could not be closed")})
	}
	return a, x.fail(subject, refusal)
}

// Refund implements payment.Gateway.
func (c *Client) Refund(ctx context.Context, r payment.RefundRequest) (reconcile.Refund, error) {
	subject := "refund payment of order " + string(r.Order)
	if err := precondition(subject, r.Key, r.Order, r.Amount.Minor > 0); err != nil {
		return reconcile.Refund{}, err
	}
	if err := known(subject, r.Attempt); err != nil {
		return reconcile.Refund{}, err
	}
	amount, err := toStripe(r.Amount)
	if err != nil {
		return reconcile.Refund{}, invalid(subject, "amount", err.Error())
	}
	p := &api.RefundCreateParams{
		PaymentIntent: api.String(r.Attempt), Amount: api.Int64(amount), Metadata: c.reference(r.Order, r.Key, ""),
	}
	switch r.Reason {
	case "":
	case "duplicate", "fraudulent", "requested_by_customer": // the words that Stripe knows
		p.Reason = api.String(r.Reason)
	default:
		p.Metadata[metadataReason] = clip(r.Reason, 400)
	}
	p.SetIdempotencyKey(r.Key)
	callCtx, x := c.begin(ctx, "refund", true)
	refund, err := c.api.V1Refunds.Create(callCtx, p)
	if err == nil && x.replayed() && strings.HasPrefix(refund.ID, "re_") {
		readCtx, y := c.begin(ctx, "lookup", false)
		id := refund.ID
		if refund, err = c.api.V1Refunds.Retrieve(readCtx, id, &api.RefundRetrieveParams{}); err != nil {
			e := y.classify(err)
			e.Code = apierr.InDoubt // the refund exists; the same key finds it again
			return reconcile.Refund{}, y.failed(subject, e)
		}
	}
	if err != nil {
		return reconcile.Refund{}, x.fail(subject, err)
	}
	return c.ownRefund(x, subject, r, refund)
}

func (c *Client) ownRefund(x *exchange, subject string, r payment.RefundRequest, refund *api.Refund) (reconcile.Refund, error) {
	record, err := refundOf(refund)
	switch {
	case err != nil:
		return reconcile.Refund{}, x.garbage(subject, err.Error())
	case refund.PaymentIntent == nil || refund.PaymentIntent.ID != r.Attempt:
		return reconcile.Refund{}, x.garbage(subject, "the answer is about another PaymentIntent")
	case refund.Metadata[metadataOrder] != string(r.Order):
		return reconcile.Refund{}, x.garbage(subject, "the answer is about another order")
	}
	return record, nil
}

// known refuses ids that cannot be a PaymentIntent's: they would become part of
// another path.
func known(subject, id string) error {
	if !strings.HasPrefix(id, "pi_") || len(id) > 255 || strings.ContainsAny(id, "/?#%") {
		return invalid(subject, "attempt", errors.New("not the id of a PaymentIntent").Error())
	}
	return nil
}
