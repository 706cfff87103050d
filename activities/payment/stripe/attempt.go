package stripe

import (
	"errors"
	"fmt"
	"strings"
	"time"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// owner says whether a PaymentIntent is of our mode, and whose it is: the order
// that its metadata names, or "".
func (c *Client) owner(pi *api.PaymentIntent) (order.ID, error) {
	switch {
	case pi == nil || pi.ID == "" || pi.Object != "" && pi.Object != "payment_intent":
		return "", errors.New("the answer is not a PaymentIntent")
	case pi.Livemode != c.config.LiveMode:
		return "", errors.New("the answer is of the other mode (live or test)")
	}
	id, err := order.ParseID(pi.Metadata[metadataOrder])
	if err != nil {
		return "", nil //nolint:nilerr // not one of ours; a listing makes it an orphan
	}
	return id, nil
}

// own returns the attempt that pi is, if it is the wanted PaymentIntent of this
// order: an answer about somebody else's order is not an answer. An id of ""
// stands for any; bare allows one without our reference, as a checkout makes it.
func (c *Client) own(pi *api.PaymentIntent, id string, of order.ID, bare bool) (reconcile.Attempt, error) {
	whose, err := c.owner(pi)
	switch {
	case err != nil:
		return reconcile.Attempt{}, err
	case id != "" && pi.ID != id:
		return reconcile.Attempt{}, errors.New("the answer is about another PaymentIntent")
	case whose != of && (whose != "" || !bare):
		return reconcile.Attempt{}, errors.New("the answer is about another order")
	}
	return attemptOf(pi)
}

// attemptOf reads a PaymentIntent. Refunds and disputes are records of their
// own, which complete adds: what the charge says of refunds counts released
// money too.
func attemptOf(pi *api.PaymentIntent) (reconcile.Attempt, error) {
	state, err := stateOf(pi.Status)
	if err != nil {
		return reconcile.Attempt{}, err
	}
	total, err := fromStripe(pi.Amount, string(pi.Currency))
	if err != nil {
		return reconcile.Attempt{}, err
	}
	held, errHeld := fromStripe(pi.AmountCapturable, string(pi.Currency))
	captured, errCaptured := fromStripe(pi.AmountReceived, string(pi.Currency))
	if err := errors.Join(errHeld, errCaptured); err != nil {
		return reconcile.Attempt{}, err
	}
	a := reconcile.Attempt{
		ID: pi.ID, Key: keyOf(pi.Metadata), State: state, Amount: total.Minor, Held: held.Minor,
		Adopted: pi.Metadata[metadataAdopted] == "true", Captured: captured.Minor, Currency: total.Currency, Review: pi.Review != nil && pi.Review.Open,
		Challenge: pi.Status == api.PaymentIntentStatusRequiresAction && !acting(pi).days, Method: methodOf(pi),
	}
	if pi.Created > 0 {
		a.Created = time.Unix(pi.Created, 0).UTC()
	}
	if e := pi.LastPaymentError; e != nil {
		a.Failure = codeOf(e)
	}
	if charge := pi.LatestCharge; charge != nil {
		if d := charge.PaymentMethodDetails; d != nil && d.Card != nil {
			if d.Card.CaptureBefore > 0 && state == reconcile.AttemptAuthorized {
				a.HeldUntil = time.Unix(d.Card.CaptureBefore, 0).UTC()
			}
			a.Multicapture = d.Card.Multicapture != nil && d.Card.Multicapture.Status == "available"
		}
	}
	return a, nil
}

func stateOf(s api.PaymentIntentStatus) (reconcile.AttemptState, error) {
	switch s {
	case api.PaymentIntentStatusRequiresPaymentMethod, api.PaymentIntentStatusRequiresConfirmation, api.PaymentIntentStatusRequiresAction:
		return reconcile.AttemptOpen, nil
	case api.PaymentIntentStatusProcessing:
		return reconcile.AttemptProcessing, nil
	case api.PaymentIntentStatusRequiresCapture:
		return reconcile.AttemptAuthorized, nil
	case api.PaymentIntentStatusSucceeded:
		return reconcile.AttemptCaptured, nil
	case api.PaymentIntentStatusCanceled:
		return reconcile.AttemptVoided, nil
	}
	return "", fmt.Errorf("the PaymentIntent has the unknown status %q", clip(string(s), 32))
}

// keyOf is the key of the intent that made a record, if it is a key of ours. A
// key whose stored error was replayed has successors, which begin with it.
func keyOf(metadata map[string]string) string {
	key := metadata[metadataKey]
	parts := strings.SplitN(key, "/", 5)
	if _, ok := order.ParseKey(strings.Join(parts[:min(4, len(parts))], "/")); !ok {
		return ""
	}
	return key
}

func refundOf(r *api.Refund) (reconcile.Refund, error) {
	if r == nil || r.ID == "" || r.Object != "" && r.Object != "refund" {
		return reconcile.Refund{}, errors.New("the answer is not a refund")
	}
	amount, err := fromStripe(r.Amount, string(r.Currency))
	if err != nil {
		return reconcile.Refund{}, err
	}
	refund := reconcile.Refund{ID: r.ID, Key: keyOf(r.Metadata), Amount: amount.Minor}
	switch r.Status {
	case api.RefundStatusPending, api.RefundStatusRequiresAction:
		refund.State = reconcile.RefundPending
	case api.RefundStatusSucceeded:
		refund.State = reconcile.RefundSucceeded
	case api.RefundStatusFailed, api.RefundStatusCanceled:
		refund.State = reconcile.RefundFailed
	default:
		return reconcile.Refund{}, fmt.Errorf("the refund has the unknown status %q", clip(string(r.Status), 32))
	}
	return refund, nil
}

// released says that a refund only gave back what was never taken: Stripe shows
// the release of an authorization, or of its rest, as a refund. It moves no
// money, so it has no balance transaction; ours always carry their key.
func released(r *api.Refund, charge *api.Charge) bool {
	return charge != nil && keyOf(r.Metadata) == "" && r.BalanceTransaction == nil &&
		r.Status == api.RefundStatusSucceeded && r.Amount <= charge.Amount-charge.AmountCaptured
}

// contested says whether the money of a dispute is withdrawn: not of an inquiry
// or one that was prevented, and no longer of one that was won.
func contested(s api.DisputeStatus) bool {
	return s == api.DisputeStatusNeedsResponse || s == api.DisputeStatusUnderReview || s == api.DisputeStatusLost
}
