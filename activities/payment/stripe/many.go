package stripe

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// LookupMany is Lookup of several orders. Stripe has no call that takes many
// ids, but a page of a listing shows a hundred PaymentIntents that were made one
// after the other, as strongly as reading each: so those that lie close together
// are read by pages, and the others one by one. Of a charge that says nothing of
// refunds or disputes none are asked for; a refund that failed is therefore only
// seen by Lookup. The answers are in the order of the subjects.
func (c *Client) LookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	m := &many{
		client: c, name: fmt.Sprintf("look up the payments of %d orders", len(subjects)), at: c.config.Now(),
		wanted: map[order.ID]reconcile.Subject{}, attempts: map[order.ID][]reconcile.Attempt{}, taken: map[string]bool{},
	}
	for _, s := range subjects {
		if s.Order == "" || s.PlacedAt.IsZero() || len(s.Known) > maxKnown {
			return nil, invalid(m.name, "subject", "a look-up needs the order, when it was placed, and no more than "+strconv.Itoa(maxKnown)+" known attempts")
		}
		m.wanted[s.Order] = s
	}
	before, err := m.newest(ctx, oldest(subjects))
	if err != nil {
		return nil, err
	}
	entries, unlisted, err := m.behind(ctx, subjects, before)
	if err == nil {
		err = m.read(ctx, entries, unlisted)
	}
	if err != nil {
		return nil, err
	}
	return m.answers(ctx, subjects)
}

// oldest is the second from which on PaymentIntents of the subjects may be.
func oldest(subjects []reconcile.Subject) int64 {
	since := subjects[0].PlacedAt
	for _, s := range subjects {
		if s.PlacedAt.Before(since) {
			since = s.PlacedAt
		}
	}
	return since.Add(-early).Unix()
}

// many is a look-up of many orders under way.
type many struct {
	client *Client
	name   string
	at     time.Time

	wanted   map[order.ID]reconcile.Subject // only looked up
	attempts map[order.ID][]reconcile.Attempt
	taken    map[string]bool // by id
	missing  bool
	// apart is how many seconds lie between two PaymentIntents of the account,
	// by the page that was read last.
	apart float64
}

// page reads one page of PaymentIntents and takes those that are wanted.
func (m *many) page(ctx context.Context, q url.Values) (paymentIntents, error) {
	q.Set("limit", "100")
	q["expand[]"] = []string{"data.latest_charge", "data.review"}
	var page paymentIntents
	if err := m.client.list(ctx, m.name, "lookup", "/v1/payment_intents", q, &page); err != nil {
		return page, err
	}
	for _, pi := range page.Data {
		of, err := m.client.owner(pi)
		if err != nil {
			return page, (&exchange{client: m.client}).garbage(m.name, err.Error())
		}
		s, ours := m.wanted[of]
		if !ours || pi.Created < s.PlacedAt.Add(-early).Unix() && !slices.Contains(s.Known, pi.ID) {
			continue
		}
		if err := m.take(ctx, of, pi); err != nil {
			return page, err
		}
	}
	if n := len(page.Data); n > 1 {
		m.apart = float64(page.Data[0].Created-page.Data[n-1].Created) / float64(n)
	}
	return page, nil
}

// take adds a PaymentIntent from a page to its order's attempts, once.
func (m *many) take(ctx context.Context, of order.ID, pi *api.PaymentIntent) error {
	if m.taken[pi.ID] {
		return nil
	}
	a, err := attemptOf(pi)
	if err != nil {
		return (&exchange{client: m.client}).garbage(m.name, err.Error())
	}
	if charge := pi.LatestCharge; charge != nil && (charge.AmountRefunded > 0 || charge.Disputed) {
		if err := m.client.complete(ctx, m.name, "lookup", pi, &a); err != nil {
			return err
		}
	}
	m.taken[pi.ID] = true
	m.attempts[of] = append(m.attempts[of], a)
	return nil
}

// newest reads what is too young for the roll, and returns the second before
// which the roll is asked; 0 when everything was read.
func (m *many) newest(ctx context.Context, since int64) (before int64, err error) {
	q := url.Values{"created[gte]": {strconv.FormatInt(since, 10)}}
	for {
		page, err := m.page(ctx, q)
		if err != nil {
			return 0, err
		}
		if !page.HasMore || len(page.Data) == 0 {
			return 0, nil
		}
		last := page.Data[len(page.Data)-1]
		if last.Created < m.at.Add(-landed).Unix() {
			return last.Created + 1, nil
		}
		q.Set("starting_after", last.ID)
	}
}

// behind returns what the roll has of the orders, the newest first, and the ids
// of known attempts that it does not have.
func (m *many) behind(ctx context.Context, subjects []reconcile.Subject, before int64) (entries []entry, unlisted map[string]order.ID, err error) {
	c, unlisted := m.client, map[string]order.ID{}
	// The oldest first: its walk has the others on the way.
	byAge := slices.SortedFunc(slices.Values(subjects), func(x, y reconcile.Subject) int { return x.PlacedAt.Compare(y.PlacedAt) })
	for _, s := range byAge {
		since := s.PlacedAt.Add(-early).Unix()
		var found []entry
		if before > since {
			if found, err = c.rolled(ctx, m.name, s.Order, &c.roll, span{since: since, before: before}); err != nil {
				return nil, nil, err
			}
		}
		for _, id := range s.Known {
			if !m.taken[id] && !slices.ContainsFunc(found, func(e entry) bool { return e.id == id }) {
				unlisted[id] = s.Order
			}
		}
		for _, e := range found {
			if !m.taken[e.id] {
				e.of = s.Order
				entries = append(entries, e)
			}
		}
	}
	slices.SortFunc(entries, func(x, y entry) int { return cmp.Or(cmp.Compare(y.created, x.created), cmp.Compare(x.id, y.id)) })
	return entries, unlisted, nil
}

// fewOnPage is how many wanted PaymentIntents make a page worth its size.
const fewOnPage = 3

// read reads what the roll has, by pages where enough lies close together, and
// the rest one by one.
func (m *many) read(ctx context.Context, entries []entry, unlisted map[string]order.ID) error {
	for len(entries) > 0 {
		first := entries[0]
		near := func(e entry) bool { return float64(first.created-e.created) <= 90*m.apart }
		n := slices.IndexFunc(entries, func(e entry) bool { return !near(e) })
		if n < 0 {
			n = len(entries)
		}
		if n >= fewOnPage {
			if _, err := m.page(ctx, url.Values{
				"created[gte]": {strconv.FormatInt(entries[n-1].created, 10)}, "created[lt]": {strconv.FormatInt(first.created+1, 10)},
			}); err != nil {
				return err
			}
		}
		if !m.taken[first.id] { // alone, or no longer where the roll has it
			m.taken[first.id] = true
			a, still, err := m.client.named(ctx, m.name, first.of, first.id)
			if err = m.add(first.of, a, still, err); err != nil {
				return err
			}
		}
		entries = slices.DeleteFunc(entries, func(e entry) bool { return m.taken[e.id] })
	}
	for _, id := range sorted(unlisted) {
		if m.taken[id] {
			continue
		}
		if err := m.one(ctx, unlisted[id], id); err != nil {
			return err
		}
	}
	return nil
}

func sorted(ids map[string]order.ID) []string {
	all := make([]string, 0, len(ids))
	for id := range ids {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// one reads one attempt by its id.
func (m *many) one(ctx context.Context, of order.ID, id string) error {
	m.taken[id] = true
	a, err := m.client.attempt(ctx, m.name, of, id)
	return m.add(of, a, true, err)
}

// add adds what one read has shown to an order's attempts.
func (m *many) add(of order.ID, a reconcile.Attempt, its bool, err error) error {
	switch {
	case err != nil && apierr.CodeOf(err) == apierr.NotFound:
		m.missing = true // the strong read says that it is not there
	case err != nil:
		return err
	case its:
		m.attempts[of] = append(m.attempts[of], a)
	}
	return nil
}

func (m *many) answers(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	out := make([]reconcile.Observation, len(subjects))
	for i, s := range subjects {
		o := reconcile.Observation{System: order.SystemPayment, Order: s.Order, State: reconcile.Absent, At: m.at, Strong: true}
		attempts := m.attempts[s.Order]
		m.missing = m.missing || len(attempts) == 0
		if len(attempts) > 0 {
			slices.SortFunc(attempts, func(a, b reconcile.Attempt) int {
				return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
			})
			o.State, o.Payment, o.Version = reconcile.Present, &reconcile.Payment{Attempts: attempts}, digest(attempts)
		}
		out[i] = o
	}
	if m.missing {
		if err := m.client.verifyAccount(ctx, m.name); err != nil {
			return nil, err
		}
	}
	return out, nil
}
