package stripe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment"
)

// Stripe charges a method again only for the customer to whom it is attached.
// One that a PaymentIntent used without a customer, and without being set up for
// later, is spent: docs.stripe.com/payments/payment-methods#payment-method-reuse.

// customer returns the Stripe customer for whom the method of this attempt is
// kept, made under a key of its own that follows from the attempt's: repeated,
// it is the same one. A customer alone does nothing, so one that is left over
// does no harm.
func (c *Client) customer(ctx context.Context, subject string, r payment.AuthorizeRequest) (string, error) {
	p := &api.CustomerCreateParams{Metadata: c.reference(r.Order, r.Key, r.Channel)}
	if r.Customer != "" {
		p.Metadata[metadataCustomer] = r.Customer
	}
	p.SetIdempotencyKey(r.Key + "/customer")
	callCtx, x := c.begin(ctx, "authorize", true)
	made, err := c.api.V1Customers.Create(callCtx, p)
	if err != nil {
		return "", x.fail(subject, err)
	}
	switch {
	case !strings.HasPrefix(made.ID, "cus_"):
		return "", x.garbage(subject, "the answer is not a customer")
	case made.Livemode != c.config.LiveMode:
		return "", x.garbage(subject, "the answer is of the other mode (live or test)")
	case made.Metadata[metadataOrder] != string(r.Order) || made.Metadata[metadataKey] != r.Key:
		return "", x.garbage(subject, "the answer is about another order")
	}
	return made.ID, nil
}

// keeper returns the customer to whom the method of an earlier attempt belongs.
// A checkout that set the method up for later without a customer left it
// unattached; it is attached now.
func (c *Client) keeper(ctx context.Context, subject string, r payment.AuthorizeRequest, earlier *api.PaymentIntent) (string, error) {
	if earlier.Customer != nil && earlier.Customer.ID != "" {
		return earlier.Customer.ID, nil
	}
	method := earlier.PaymentMethod.ID
	readCtx, x := c.begin(ctx, "lookup", false)
	live, err := c.api.V1PaymentMethods.Retrieve(readCtx, method, &api.PaymentMethodRetrieveParams{})
	switch {
	case err != nil:
		return "", x.fail(subject, err)
	case live.ID != method || live.Livemode != c.config.LiveMode:
		return "", x.garbage(subject, "the answer is about another payment method")
	case live.Customer != nil && live.Customer.ID != "":
		return live.Customer.ID, nil
	case earlier.SetupFutureUsage != api.PaymentIntentSetupFutureUsageOffSession:
		return "", nothingStored(subject)
	}
	customer, err := c.customer(ctx, subject, r)
	if err != nil {
		return "", err
	}
	p := &api.PaymentMethodAttachParams{Customer: api.String(customer)}
	p.SetIdempotencyKey(r.Key + "/attach")
	callCtx, x := c.begin(ctx, "authorize", true)
	attached, err := c.api.V1PaymentMethods.Attach(callCtx, method, p)
	if err != nil {
		return "", x.fail(subject, err)
	}
	if attached.ID != method || attached.Customer == nil || attached.Customer.ID != customer {
		return "", x.garbage(subject, "the answer is about another payment method or customer")
	}
	return customer, nil
}

func nothingStored(subject string) error {
	return fmt.Errorf("%s: stripe: %w", subject, &apierr.Error{
		Code: apierr.Declined, Reason: "no_stored_method", Err: errors.New("the earlier attempt has no method that can be charged again"),
	})
}

// spent says that a method cannot be charged again, which Stripe says without a
// code of its own: it was used without a customer, or belongs to another one.
func spent(answer *api.Error) bool {
	return strings.Contains(answer.Msg, "may not be used again") ||
		answer.Param == "payment_method" && strings.Contains(answer.Msg, "must be attached to the customer")
}
