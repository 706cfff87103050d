package stripe

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"time"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// changes are the events that tell of a changed payment; Stripe filters by at
// most 20 types and keeps events for 30 days.
var changes = []string{
	"payment_intent.created", "payment_intent.succeeded", "payment_intent.canceled", "payment_intent.payment_failed",
	"payment_intent.processing", "payment_intent.requires_action", "payment_intent.amount_capturable_updated",
	"charge.captured", "charge.expired", "charge.refunded", "charge.dispute.created", "charge.dispute.updated",
	"charge.dispute.closed", "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
	"refund.created", "refund.updated", "refund.failed", "review.opened", "review.closed",
}

// List implements payment.Reader. ListCreated walks PaymentIntents, ListChanged
// the events about them; both come newest first, as Stripe lists them.
func (c *Client) List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	subject := "list payments"
	if r.From.IsZero() || r.To.IsZero() || r.By != reconcile.ListChanged && r.By != reconcile.ListCreated {
		return reconcile.Page{}, invalid(subject, "request", "a listing needs a window and what it goes by")
	}
	limit := Abilities.PageLimit
	if r.Limit > 0 {
		limit = min(limit, r.Limit)
	}
	q := url.Values{
		"limit":        {strconv.Itoa(limit)},
		"created[gte]": {strconv.FormatInt(upSecond(r.From), 10)},
		"created[lt]":  {strconv.FormatInt(upSecond(r.To), 10)},
	}
	if r.Cursor != "" {
		q.Set("starting_after", r.Cursor)
	}
	at := c.config.Now()
	if r.By == reconcile.ListChanged {
		return c.listChanged(ctx, subject, q, at)
	}
	q["expand[]"] = []string{"data.latest_charge", "data.review"}
	var page paymentIntents
	if err := c.list(ctx, subject, "list", "/v1/payment_intents", q, &page); err != nil {
		return reconcile.Page{}, err
	}
	b := builder{client: c, subject: subject, at: at}
	for _, pi := range page.Data {
		if err := b.add(ctx, pi); err != nil {
			return reconcile.Page{}, err
		}
	}
	if page.HasMore && len(page.Data) > 0 {
		b.page.Next = page.Data[len(page.Data)-1].ID
	}
	return b.page, nil
}

// upSecond is the first whole second that is not before t. Stripe's times are
// whole seconds, so windows that adjoin share no record and lose none.
func upSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// listChanged reads a page of events. An event carries the record as it was; of
// several about one PaymentIntent the newest counts. An event about another
// record only says which PaymentIntent to read, once.
func (c *Client) listChanged(ctx context.Context, subject string, q url.Values, at time.Time) (reconcile.Page, error) {
	for _, t := range changes {
		q.Add("types[]", t)
	}
	var page events
	if err := c.list(ctx, subject, "list", "/v1/events", q, &page); err != nil {
		return reconcile.Page{}, err
	}
	x := &exchange{client: c, operation: "list"}
	snapshots, read := map[string]*api.PaymentIntent{}, map[string]bool{}
	var ids []string
	for _, e := range page.Data {
		if e.Livemode != c.config.LiveMode || c.config.Account != "" && e.Account != "" && e.Account != c.config.Account {
			return reconcile.Page{}, x.garbage(subject, "an event of another account or mode")
		}
		id, snapshot, err := aboutIntent(e)
		if err != nil || e.ID == "" || e.Type == "" {
			return reconcile.Page{}, x.garbage(subject, "an event that makes no sense")
		}
		if id == "" {
			continue // a charge without a PaymentIntent is no payment of ours
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if snapshot == nil {
			read[id] = true
		} else if snapshots[id] == nil {
			snapshots[id] = snapshot // newest first
		}
	}
	b := builder{client: c, subject: subject, at: at}
	for _, id := range ids {
		pi := snapshots[id]
		if read[id] {
			live, y, err := c.listed(ctx, id)
			if err != nil {
				return reconcile.Page{}, y.fail(subject, err)
			}
			pi = live
		}
		if err := b.add(ctx, pi); err != nil {
			return reconcile.Page{}, err
		}
	}
	if page.HasMore && len(page.Data) > 0 {
		b.page.Next = page.Data[len(page.Data)-1].ID
	}
	return b.page, nil
}

// listed reads a PaymentIntent as part of a listing.
func (c *Client) listed(ctx context.Context, id string) (*api.PaymentIntent, *exchange, error) {
	ctx, x := c.begin(ctx, "list", false)
	if known("", id) != nil {
		return nil, x, nil //nolint:nilerr // what cannot be an id names nothing
	}
	pi, err := c.api.V1PaymentIntents.Retrieve(ctx, id, &api.PaymentIntentRetrieveParams{Expand: whole()})
	return pi, x, err
}

// aboutIntent returns which PaymentIntent an event is about, and the
// PaymentIntent itself when the event carries it.
func aboutIntent(e *api.Event) (string, *api.PaymentIntent, error) {
	if e.Data == nil {
		return "", nil, nil
	}
	var head struct {
		ID            string    `json:"id"`
		Object        string    `json:"object"`
		PaymentIntent reference `json:"payment_intent"`
	}
	if err := json.Unmarshal(e.Data.Raw, &head); err != nil {
		return "", nil, err
	}
	if head.Object != "payment_intent" {
		return string(head.PaymentIntent), nil, nil
	}
	var pi api.PaymentIntent
	if err := json.Unmarshal(e.Data.Raw, &pi); err != nil {
		return "", nil, err
	}
	return pi.ID, &pi, nil
}

// reference is a field that holds an id, or the whole record when it is expanded.
type reference string

func (r *reference) UnmarshalJSON(b []byte) error {
	var id string
	if json.Unmarshal(b, &id) == nil {
		*r = reference(id)
		return nil
	}
	var record struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(b, &record); err != nil {
		return err
	}
	*r = reference(record.ID)
	return nil
}

// builder sorts PaymentIntents into observations and orphans. One that cannot be
// understood makes its order unreadable, and holds up no other; an answer of another
// mode is none at all.
type builder struct {
	client  *Client
	subject string
	at      time.Time
	page    reconcile.Page
}

func (b *builder) add(ctx context.Context, pi *api.PaymentIntent) error {
	x := &exchange{client: b.client, operation: "list"}
	of, err := b.client.owner(pi)
	if err != nil {
		return x.garbage(b.subject, err.Error())
	}
	if of == "" {
		reference, claims := pi.Metadata[metadataOrder]
		if pi.Metadata[metadataChannel] == b.client.config.Channel || claims && reference != "" {
			b.page.Orphans = append(b.page.Orphans, orphanOf(pi))
		}
		return nil
	}
	a, err := b.attempt(ctx, pi)
	if err != nil && apierr.CodeOf(err) != apierr.Garbage {
		return err
	}
	switch o := b.of(of); {
	case err != nil:
		o.State, o.Why, o.Payment, o.Version = reconcile.Unreadable, err.Error(), nil, ""
	case o.State == reconcile.Present:
		o.Payment.Attempts = append(o.Payment.Attempts, a)
		o.Version = digest(o.Payment.Attempts)
	}
	return nil
}

// attempt reads a listed PaymentIntent, as whole as its charge says is necessary.
func (b *builder) attempt(ctx context.Context, pi *api.PaymentIntent) (reconcile.Attempt, error) {
	a, err := attemptOf(pi)
	if err != nil {
		return a, (&exchange{client: b.client, operation: "list"}).garbage(b.subject, err.Error())
	}
	if charge := pi.LatestCharge; charge != nil && (charge.AmountRefunded > 0 || charge.Disputed) {
		err = b.client.complete(ctx, b.subject, "list", pi, &a)
	}
	return a, err
}

// of returns the page's observation of an order.
func (b *builder) of(id order.ID) *reconcile.Observation {
	all := &b.page.Observations
	i := slices.IndexFunc(*all, func(o reconcile.Observation) bool { return o.Order == id })
	if i < 0 {
		i = len(*all)
		*all = append(*all, reconcile.Observation{
			System: order.SystemPayment, Order: id, State: reconcile.Present, At: b.at, Payment: &reconcile.Payment{},
		})
	}
	return &(*all)[i]
}

func orphanOf(pi *api.PaymentIntent) reconcile.Orphan {
	o := reconcile.Orphan{
		System: string(order.SystemPayment), Record: pi.ID, Kind: "payment", What: "a payment", At: time.Unix(pi.Created, 0).UTC(),
	}
	if a, err := fromStripe(pi.Amount, string(pi.Currency)); err == nil {
		o.What = "a payment of " + a.String() + ", " + clip(string(pi.Status), 32)
	}
	returned := pi.LatestCharge != nil && pi.LatestCharge.Refunded // all of it
	if a, err := fromStripe(pi.AmountCapturable+pi.AmountReceived, string(pi.Currency)); err == nil && a.Minor > 0 && !returned {
		o.Money, o.Currency = a.Minor, a.Currency
	}
	return o
}

type events struct {
	api.APIResource
	api.ListMeta
	Object string       `json:"object"`
	Data   []*api.Event `json:"data"`
}

func (p *events) isList() bool {
	return p.Object == "list" && p.Data != nil && !slices.Contains(p.Data, nil)
}
