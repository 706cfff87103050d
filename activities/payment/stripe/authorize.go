package stripe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// whole asks for the charge and the review with a PaymentIntent.
func whole() []*string { return api.StringSlice([]string{"latest_charge", "review"}) }

// Authorize implements payment.Gateway. With OffSession an Intent is not
// adopted: it names the earlier attempt whose stored method is charged again.
func (c *Client) Authorize(ctx context.Context, r payment.AuthorizeRequest) (payment.Authorization, error) {
	subject := "authorize payment of order " + string(r.Order)
	if err := precondition(subject, r.Key, r.Order, r.Amount.Minor > 0); err != nil {
		return payment.Authorization{}, err
	}
	amount, err := toStripe(r.Amount)
	if err != nil {
		return payment.Authorization{}, invalid(subject, "amount", err.Error())
	}
	if r.Payment.Intent != "" && !r.OffSession {
		return c.adopt(ctx, subject, r)
	}
	params, err := c.creation(ctx, subject, r, amount)
	if err != nil {
		return payment.Authorization{}, err
	}
	callCtx, x := c.begin(ctx, "authorize", true)
	params.SetIdempotencyKey(r.Key)
	pi, err := c.api.V1PaymentIntents.Create(callCtx, params)
	if err != nil {
		return c.declined(ctx, x, r, err)
	}
	if x.replayed() {
		if pi, err = c.readBack(ctx, subject, pi.ID); err != nil {
			return payment.Authorization{}, err
		}
	}
	return c.authorization(ctx, x, r.Order, pi)
}

// creation are the parameters of a new PaymentIntent.
func (c *Client) creation(ctx context.Context, subject string, r payment.AuthorizeRequest, amount int64) (*api.PaymentIntentCreateParams, error) {
	p := &api.PaymentIntentCreateParams{
		Amount:        api.Int64(amount),
		Currency:      api.String(strings.ToLower(string(r.Amount.Currency))),
		CaptureMethod: api.String("manual"),
		Expand:        whole(),
		Metadata:      c.reference(r.Order, r.Key, r.Channel),
	}
	if r.Payment.Capture == order.CaptureAtOnce {
		p.CaptureMethod = api.String("automatic")
	} else if r.Payment.Multicapture {
		p.PaymentMethodOptions = &api.PaymentIntentCreatePaymentMethodOptionsParams{
			Card: &api.PaymentIntentCreatePaymentMethodOptionsCardParams{RequestMulticapture: api.String("if_available")},
		}
	}
	method, err := c.payer(ctx, subject, r, p)
	if err != nil {
		return nil, err
	}
	p.AutomaticPaymentMethods = &api.PaymentIntentCreateAutomaticPaymentMethodsParams{Enabled: api.Bool(true)}
	if r.Payment.Reusable && !r.OffSession {
		p.SetupFutureUsage = api.String("off_session")
	}
	if method == "" {
		return p, nil // the customer chooses a method and confirms
	}
	p.PaymentMethod, p.Confirm = api.String(method), api.Bool(true)
	if r.OffSession {
		p.OffSession = api.Bool(true)
	}
	if c.config.ReturnURL != "" && !r.OffSession {
		p.ReturnURL = api.String(c.config.ReturnURL)
	} else {
		p.AutomaticPaymentMethods.AllowRedirects = api.String("never")
	}
	return p, nil
}

// payer sets who pays and returns with which method, "" when the customer is to
// choose. The port's customer is the service's own id; only Stripe's means
// anything here.
func (c *Client) payer(ctx context.Context, subject string, r payment.AuthorizeRequest, p *api.PaymentIntentCreateParams) (string, error) {
	if strings.HasPrefix(r.Customer, "cus_") {
		p.Customer = api.String(r.Customer)
	}
	switch {
	case r.Payment.Intent != "":
		return c.stored(ctx, subject, r, p)
	case r.Payment.Reusable && !r.OffSession && p.Customer == nil:
		customer, err := c.customer(ctx, subject, r)
		if err != nil {
			return "", err
		}
		p.Customer = api.String(customer)
	}
	return r.Payment.Method, nil
}

// stored returns the method with which an earlier attempt of the order was
// paid, and sets the customer to whom it belongs.
func (c *Client) stored(ctx context.Context, subject string, r payment.AuthorizeRequest, p *api.PaymentIntentCreateParams) (string, error) {
	pi, x, err := c.read(ctx, r.Payment.Intent)
	if err != nil {
		return "", x.fail(subject, err)
	}
	if _, err := c.own(pi, r.Payment.Intent, r.Order, false); err != nil {
		return "", x.garbage(subject, err.Error())
	}
	if pi.PaymentMethod == nil || pi.PaymentMethod.ID == "" {
		return "", nothingStored(subject)
	}
	customer, err := c.keeper(ctx, subject, r, pi)
	if err != nil {
		return "", err
	}
	p.Customer = api.String(customer)
	return pi.PaymentMethod.ID, nil
}

// declined returns the attempt that a declined method leaves open.
func (c *Client) declined(ctx context.Context, x *exchange, r payment.AuthorizeRequest, err error) (payment.Authorization, error) {
	subject := "authorize payment of order " + string(r.Order)
	answer, ok := errors.AsType[*api.Error](err)
	if !ok || answer.PaymentIntent == nil || x.classify(err).Code != apierr.Declined {
		return payment.Authorization{}, x.fail(subject, err)
	}
	a, errOwn := c.own(answer.PaymentIntent, "", r.Order, false)
	if errOwn != nil {
		return payment.Authorization{}, x.garbage(subject, errOwn.Error())
	}
	if !x.replayed() {
		return payment.Authorization{Attempt: a}, x.fail(subject, err)
	}
	// The repetition shows the attempt as it was then: the customer may have paid
	// it with another method since.
	pi, errRead := c.readBack(ctx, subject, a.ID)
	if errRead != nil {
		return payment.Authorization{}, errRead
	}
	now, errNow := c.authorization(ctx, x, r.Order, pi)
	if errNow != nil || now.Attempt.State != reconcile.AttemptOpen || pi.Status == api.PaymentIntentStatusRequiresAction {
		return now, errNow
	}
	return payment.Authorization{Attempt: now.Attempt}, x.fail(subject, err)
}

func (c *Client) authorization(ctx context.Context, x *exchange, of order.ID, pi *api.PaymentIntent) (payment.Authorization, error) {
	subject := "authorize payment of order " + string(of)
	a, err := c.own(pi, "", of, false)
	if err != nil {
		return payment.Authorization{}, x.garbage(subject, err.Error())
	}
	if a, err = c.finish(ctx, subject, pi, a); err != nil {
		return payment.Authorization{}, err
	}
	return payment.Authorization{Attempt: a, Next: nextOf(pi)}, nil
}

// nextOf is what the customer must do about an open PaymentIntent.
func nextOf(pi *api.PaymentIntent) *payment.NextStep {
	switch pi.Status {
	case api.PaymentIntentStatusRequiresAction:
		next := &payment.NextStep{Kind: "requires_action", ClientSecret: pi.ClientSecret}
		if pi.NextAction != nil {
			next.Kind, next.URL = string(pi.NextAction.Type), pageOf(pi.NextAction)
		}
		return next
	case api.PaymentIntentStatusRequiresPaymentMethod, api.PaymentIntentStatusRequiresConfirmation:
		return &payment.NextStep{Kind: string(pi.Status), ClientSecret: pi.ClientSecret}
	}
	return nil
}

// adopt takes a PaymentIntent that the checkout made for this order's own: it
// must be of the amount, currency and mode, and of no other order.
func (c *Client) adopt(ctx context.Context, subject string, r payment.AuthorizeRequest) (payment.Authorization, error) {
	pi, x, err := c.read(ctx, r.Payment.Intent)
	if err != nil {
		return payment.Authorization{}, x.fail(subject, err)
	}
	whose, err := c.owner(pi)
	if err != nil || pi.ID != r.Payment.Intent {
		return payment.Authorization{}, x.garbage(subject, first(err, errors.New("the answer is about another PaymentIntent")).Error())
	}
	if whose != "" && whose != r.Order {
		return payment.Authorization{}, conflict(subject, "other_order", "the PaymentIntent belongs to another order")
	}
	a, err := attemptOf(pi)
	if err != nil {
		return payment.Authorization{}, x.garbage(subject, err.Error())
	}
	switch {
	case a.Amount != r.Amount.Minor || a.Currency != r.Amount.Currency:
		return payment.Authorization{}, conflict(subject, "amount_mismatch", fmt.Sprintf("the PaymentIntent is for %s and the order for %s",
			order.Amount{Minor: a.Amount, Currency: a.Currency}, r.Amount))
	case a.State == reconcile.AttemptVoided:
		return payment.Authorization{}, conflict(subject, "payment_intent_unexpected_state", "the PaymentIntent is canceled")
	case whose == r.Order && keyOf(pi.Metadata) != "":
		// Adopted before, or made by us: its key says by which intent, and stays.
		return c.authorization(ctx, x, r.Order, pi)
	}
	callCtx, w := c.begin(ctx, "authorize", true)
	p := &api.PaymentIntentUpdateParams{Expand: whole(), Metadata: c.reference(r.Order, r.Key, r.Channel)}
	p.Metadata[metadataAdopted] = "true"
	p.SetIdempotencyKey(r.Key)
	pi, err = c.api.V1PaymentIntents.Update(callCtx, r.Payment.Intent, p)
	if err != nil {
		return payment.Authorization{}, w.fail(subject, err)
	}
	if pi.ID != r.Payment.Intent {
		return payment.Authorization{}, w.garbage(subject, "the answer is about another PaymentIntent")
	}
	if w.replayed() {
		if pi, err = c.readBack(ctx, subject, pi.ID); err != nil {
			return payment.Authorization{}, err
		}
	}
	return c.authorization(ctx, w, r.Order, pi)
}

// reference is the metadata by which a record is known as ours.
func (c *Client) reference(of order.ID, key, channel string) map[string]string {
	if channel == "" {
		channel = c.config.Channel
	}
	return map[string]string{metadataOrder: string(of), metadataKey: key, metadataChannel: channel}
}

// read gets one PaymentIntent, strongly.
func (c *Client) read(ctx context.Context, id string) (*api.PaymentIntent, *exchange, error) {
	ctx, x := c.begin(ctx, "lookup", false)
	if !strings.HasPrefix(id, "pi_") || len(id) > 255 {
		x.status = 404
		return nil, x, &api.Error{Type: api.ErrorTypeInvalidRequest, Code: api.ErrorCodeResourceMissing, Msg: "not the id of a PaymentIntent"}
	}
	pi, err := c.api.V1PaymentIntents.Retrieve(ctx, id, &api.PaymentIntentRetrieveParams{Expand: whole()})
	return pi, x, err
}

// readBack gets the live record after a write whose answer was a repetition: it
// shows the record as it was then. The write has happened, so an error here
// leaves the caller in doubt only about the record; the same key asks again.
func (c *Client) readBack(ctx context.Context, subject, id string) (*api.PaymentIntent, error) {
	pi, x, err := c.read(ctx, id)
	if err != nil {
		e := x.classify(err)
		e.Code = apierr.InDoubt
		return nil, x.failed(subject, e)
	}
	if pi.ID != id {
		x.write = true
		return nil, x.garbage(subject, "the answer is about another PaymentIntent")
	}
	return pi, nil
}

// finish adds refunds and disputes to the record that a write left, if it has
// any: the usual one has not, and costs no further call.
func (c *Client) finish(ctx context.Context, subject string, pi *api.PaymentIntent, a reconcile.Attempt) (reconcile.Attempt, error) {
	if pi.LatestCharge == nil || pi.LatestCharge.AmountRefunded == 0 && !pi.LatestCharge.Disputed {
		return a, nil
	}
	if err := c.complete(ctx, subject, "lookup", pi, &a); err != nil {
		e, ok := errors.AsType[*apierr.Error](err)
		if ok {
			e.Code = apierr.InDoubt // the write has happened
		}
		return a, err
	}
	return a, nil
}

// precondition refuses what must never be sent: a write without its key.
func precondition(subject, key string, of order.ID, amount bool) error {
	switch {
	case key == "" || len(key) > 255:
		return invalid(subject, "key", "a write needs a key of at most 255 characters")
	case of == "":
		return invalid(subject, "order", "a write needs its order")
	case !amount:
		return invalid(subject, "amount", "a write needs an amount")
	}
	return nil
}
