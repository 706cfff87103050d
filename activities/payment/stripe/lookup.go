package stripe

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// early is how long before placed_at a payment of the order may have been made:
// our clock and Stripe's differ, and so do the service's.
const early = time.Hour

// maxKnown bounds how many attempts an order can have.
const maxKnown = 50

// Lookup implements payment.Reader. It reads the known attempts by id, lists
// every PaymentIntent made since the order was placed, newest first, and reads
// those that carry the order's reference: one call per hundred PaymentIntents of
// the account, but for those that look-ups read together (see roll), and one to
// three per attempt.
func (c *Client) Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	subject := "look up payments of order " + string(s.Order)
	if s.Order == "" || s.PlacedAt.IsZero() {
		return reconcile.Observation{}, invalid(subject, "subject", "a look-up needs the order and when it was placed")
	}
	if len(s.Known) > maxKnown {
		return reconcile.Observation{}, invalid(subject, "subject", fmt.Sprintf("more than %d known attempts", maxKnown))
	}
	o := reconcile.Observation{System: order.SystemPayment, Order: s.Order, State: reconcile.Absent, At: c.config.Now(), Strong: true}
	seen := map[string]bool{}
	var attempts []reconcile.Attempt
	missing := false
	for _, id := range s.Known {
		if seen[id] {
			continue
		}
		seen[id] = true
		a, err := c.attempt(ctx, subject, s.Order, id)
		if apierr.CodeOf(err) == apierr.NotFound && err != nil {
			missing = true // the strong read says that it is not there
			continue
		}
		if err != nil {
			return reconcile.Observation{}, err
		}
		attempts = append(attempts, a)
	}
	found, err := c.byReference(ctx, subject, s, seen)
	if err != nil {
		return reconcile.Observation{}, err
	}
	for _, id := range found {
		a, still, err := c.named(ctx, subject, s.Order, id)
		if err != nil {
			return reconcile.Observation{}, err
		}
		if still {
			attempts = append(attempts, a)
		}
	}
	if missing || len(attempts) == 0 {
		if err := c.verifyAccount(ctx, subject); err != nil {
			return reconcile.Observation{}, err
		}
	}
	if len(attempts) == 0 {
		return o, nil
	}
	slices.SortFunc(attempts, func(a, b reconcile.Attempt) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	o.State, o.Payment, o.Version = reconcile.Present, &reconcile.Payment{Attempts: attempts}, digest(attempts)
	return o, nil
}

// byReference lists the ids of the order's PaymentIntents that were not seen yet:
// the newest pages by itself, and what lies further back from the roll.
func (c *Client) byReference(ctx context.Context, subject string, s reconcile.Subject, seen map[string]bool) ([]string, error) {
	since, r := s.PlacedAt.Add(-early).Unix(), c.rollFor(s)
	q := url.Values{"limit": {"100"}, "created[gte]": {strconv.FormatInt(since, 10)}}
	var found []string
	take := func(ids ...string) {
		for _, id := range ids {
			if !seen[id] {
				seen[id] = true
				found = append(found, id)
			}
		}
	}
	for pages := 1; ; pages++ {
		var page paymentIntents
		if err := c.list(ctx, subject, "lookup", "/v1/payment_intents", q, &page); err != nil {
			return nil, err
		}
		for _, pi := range page.Data {
			whose, err := c.owner(pi)
			if err != nil {
				return nil, (&exchange{client: c}).garbage(subject, err.Error())
			}
			if whose == s.Order {
				take(pi.ID)
			}
		}
		if !page.HasMore || len(page.Data) == 0 {
			return found, nil
		}
		last := page.Data[len(page.Data)-1]
		behind := span{since: since, before: last.Created + 1, afresh: s.Afresh}
		if entries, known := r.of(s.Order, behind, c.config.Now()); known {
			take(idsOf(entries)...)
			return found, nil
		}
		if pages >= r.pages(c.config.LookupPages, c.config.Now()) && last.Created < c.config.Now().Add(-landed).Unix() {
			entries, err := c.rolled(ctx, subject, s.Order, r, behind)
			take(idsOf(entries)...)
			return found, err
		}
		q.Set("starting_after", last.ID)
	}
}

func idsOf(entries []entry) []string {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.id
	}
	return ids
}

// attempt reads one PaymentIntent of the order with its refunds and disputes.
func (c *Client) attempt(ctx context.Context, subject string, of order.ID, id string) (reconcile.Attempt, error) {
	pi, x, err := c.read(ctx, id)
	if err != nil {
		return reconcile.Attempt{}, x.fail(subject, err)
	}
	return c.whole(ctx, subject, of, id, pi, x)
}

// named reads one that a listing showed under the order's reference, and says whether it
// still is: somebody may have written another one on it since.
func (c *Client) named(ctx context.Context, subject string, of order.ID, id string) (a reconcile.Attempt, still bool, err error) {
	pi, x, err := c.read(ctx, id)
	if err != nil {
		return a, false, x.fail(subject, err)
	}
	if whose, err := c.owner(pi); err == nil && pi.ID == id && whose != of {
		return a, false, nil
	}
	a, err = c.whole(ctx, subject, of, id, pi, x)
	return a, true, err
}

func (c *Client) whole(ctx context.Context, subject string, of order.ID, id string, pi *api.PaymentIntent, x *exchange) (reconcile.Attempt, error) { //nolint:revive // one read, and what was asked
	a, err := c.own(pi, id, of, true)
	if err != nil {
		return reconcile.Attempt{}, x.garbage(subject, err.Error())
	}
	if err := c.complete(ctx, subject, x.operation, pi, &a); err != nil {
		return reconcile.Attempt{}, err
	}
	return a, nil
}

// complete adds the refunds of an attempt that captured, and the disputes of one
// that has any.
func (c *Client) complete(ctx context.Context, subject, operation string, pi *api.PaymentIntent, a *reconcile.Attempt) error {
	if a.Captured > 0 {
		q := url.Values{"payment_intent": {pi.ID}, "limit": {"100"}}
		var page refunds
		if err := c.list(ctx, subject, operation, "/v1/refunds", q, &page); err != nil {
			return err
		}
		x := &exchange{client: c, operation: operation}
		if page.HasMore {
			return x.garbage(subject, "more than 100 refunds of one payment")
		}
		for _, r := range page.Data {
			refund, err := refundOf(r)
			if err == nil && (r.PaymentIntent == nil || r.PaymentIntent.ID != pi.ID) {
				err = errors.New("a refund of another PaymentIntent")
			}
			if err != nil {
				return x.garbage(subject, err.Error())
			}
			if released(r, pi.LatestCharge) {
				continue
			}
			if refund.State != reconcile.RefundFailed {
				a.Refunded += refund.Amount
			}
			a.Refunds = append(a.Refunds, refund)
		}
		slices.Reverse(a.Refunds) // oldest first
	}
	if pi.LatestCharge != nil && pi.LatestCharge.Disputed {
		return c.completeDisputes(ctx, subject, operation, pi.ID, a)
	}
	return nil
}

func (c *Client) completeDisputes(ctx context.Context, subject, operation, id string, a *reconcile.Attempt) error {
	q := url.Values{"payment_intent": {id}, "limit": {"100"}}
	var page disputes
	if err := c.list(ctx, subject, operation, "/v1/disputes", q, &page); err != nil {
		return err
	}
	x := &exchange{client: c, operation: operation}
	for _, d := range page.Data {
		amount, err := fromStripe(d.Amount, string(d.Currency))
		if err == nil && (d.PaymentIntent == nil || d.PaymentIntent.ID != id) {
			err = errors.New("a dispute of another PaymentIntent")
		}
		if err != nil {
			return x.garbage(subject, err.Error())
		}
		if contested(d.Status) {
			a.Disputed += amount.Minor
		}
		if d.Status == api.DisputeStatusLost {
			a.Lost += amount.Minor
		}
	}
	return nil
}

// The pages of Stripe's lists.
type (
	paymentIntents struct {
		api.APIResource
		api.ListMeta
		Object string               `json:"object"`
		Data   []*api.PaymentIntent `json:"data"`
	}
	refunds struct {
		api.APIResource
		api.ListMeta
		Object string        `json:"object"`
		Data   []*api.Refund `json:"data"`
	}
	disputes struct {
		api.APIResource
		api.ListMeta
		Object string         `json:"object"`
		Data   []*api.Dispute `json:"data"`
	}
)

type listing interface {
	api.LastResponseSetter
	isList() bool
}

func (p *paymentIntents) isList() bool {
	return p.Object == "list" && p.Data != nil && !slices.Contains(p.Data, nil)
}
func (p *refunds) isList() bool {
	return p.Object == "list" && p.Data != nil && !slices.Contains(p.Data, nil)
}
func (p *disputes) isList() bool {
	return p.Object == "list" && p.Data != nil && !slices.Contains(p.Data, nil)
}

// list reads one page.
func (c *Client) list(ctx context.Context, subject, operation, path string, q url.Values, into listing) error { //nolint:revive // the parts of one request
	ctx, x := c.begin(ctx, operation, false)
	x.limit = maxList
	err := c.backend.CallRaw(http.MethodGet, path, c.config.APIKey, []byte(q.Encode()), &api.Params{Context: ctx}, into)
	if err != nil {
		return x.fail(subject, err)
	}
	if x.status != http.StatusOK || !into.isList() {
		return x.garbage(subject, "the answer is not a list")
	}
	return nil
}

// digest is a version of records that have none of their own.
func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
