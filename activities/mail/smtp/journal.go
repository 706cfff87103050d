package smtp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// early is how long before an order was placed its first message may have come
// by the server's calendar: clocks and zones differ.
const early = 48 * time.Hour

// Lookup searches the journal for the order's messages, doubled ones included.
func (c *Client) Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	at := c.config.Now().UTC()
	found, err := c.lookup(ctx, s)
	if err != nil {
		return reconcile.Observation{}, fmt.Errorf("look up mail of order %s: imap: %w", s.Order, err)
	}
	return observed(s.Order, found, at), nil
}

func observed(of order.ID, found []entry, at time.Time) reconcile.Observation {
	o := reconcile.Observation{System: order.SystemMail, Order: of, State: reconcile.Absent, At: at}
	if len(found) > 0 {
		o.State, o.Version = reconcile.Present, version(found)
		o.Mail = &reconcile.Mail{Messages: messages(found)}
	}
	return o
}

func (c *Client) lookup(ctx context.Context, s reconcile.Subject) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	j, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer j.close()
	return j.of(s)
}

// ordersAtOnce is how many orders one search names: its line stays well below the
// eight thousand octets that every server takes.
const ordersAtOnce = 25

// LookupMany is Lookup of several orders in one session, some of them in each
// search. The answers are in the order of the subjects.
func (c *Client) LookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	all := make([]reconcile.Observation, 0, len(subjects))
	failed := func(err error) error { return fmt.Errorf("look up mail of %d orders: imap: %w", len(subjects), err) }
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	j, err := c.open(ctx)
	if err != nil {
		return nil, failed(err)
	}
	defer j.close()
	for some := range slices.Chunk(subjects, ordersAtOnce) {
		at := c.config.Now().UTC()
		found, err := j.of(some...)
		if err != nil {
			return nil, failed(err)
		}
		for _, s := range some {
			mine := slices.DeleteFunc(slices.Clone(found), func(e entry) bool { return !e.belongsTo(s.Order) })
			all = append(all, observed(s.Order, mine, at))
		}
	}
	return all, nil
}

// of finds the messages of some orders.
func (j *journal) of(subjects ...reconcile.Subject) ([]entry, error) {
	criteria := make([]imap.SearchCriteria, len(subjects))
	for i, s := range subjects {
		criteria[i] = *criteriaOf(s)
	}
	uids, err := j.search(anyOf(criteria))
	if err != nil {
		return nil, err
	}
	var found []entry
	for batch := range slices.Chunk(uids, pageLimit) {
		entries, err := j.fetch(batch)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !slices.ContainsFunc(subjects, func(s reconcile.Subject) bool { return e.resembles(s.Order) }) {
				return nil, apierr.New(apierr.Garbage, "", errors.New("a message was found that is about no such order"))
			}
			if slices.ContainsFunc(subjects, func(s reconcile.Subject) bool { return e.belongsTo(s.Order) }) {
				found = append(found, e)
			}
		}
	}
	return found, nil
}

// anyOf finds what any of the criteria finds. Halves keep it from nesting deeper
// than a server reads.
func anyOf(criteria []imap.SearchCriteria) *imap.SearchCriteria {
	if len(criteria) == 1 {
		return &criteria[0]
	}
	half := len(criteria) / 2
	return &imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{*anyOf(criteria[:half]), *anyOf(criteria[half:])}}}
}

// criteriaOf finds every message that names the order, and as few others as a
// search can that only knows substrings: 42 is in 142, but order/42/ is not in
// order/142/. What has no key of ours is found by the order alone.
func criteriaOf(s reconcile.Subject) *imap.SearchCriteria {
	header := func(name, value string) []imap.SearchCriteriaHeaderField {
		return []imap.SearchCriteriaHeaderField{{Key: name, Value: value}}
	}
	c := &imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{
		{Header: header(headerKey, "order/"+string(s.Order)+"/")},
		{
			Header: header(headerOrder, string(s.Order)),
			Not:    []imap.SearchCriteria{{Header: header(headerKey, "order/")}},
		},
	}}}
	if !s.PlacedAt.IsZero() {
		c.Since = s.PlacedAt.UTC().Add(-early)
	}
	return c
}

// List walks the journal by UID within a window of INTERNALDATE, which has
// whole seconds. Messages never change, so that both listings are one.
func (c *Client) List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	page, err := c.list(ctx, r)
	if err != nil {
		return reconcile.Page{}, fmt.Errorf("list mail: imap: %w", err)
	}
	return page, nil
}

func (c *Client) list(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	after, err := parseCursor(r.Cursor)
	if err != nil {
		return reconcile.Page{}, err
	}
	at := c.config.Now().UTC()
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	j, err := c.open(ctx)
	if err != nil {
		return reconcile.Page{}, err
	}
	defer j.close()
	if r.Cursor != "" && after.validity != j.validity {
		return reconcile.Page{}, apierr.New(apierr.Conflict, "uidvalidity_changed",
			errors.New("the mailbox was made anew since the page before; the listing must start again"))
	}
	limit := pageLimit
	if r.Limit > 0 {
		limit = min(limit, r.Limit)
	}
	uids, err := j.after(after.uid, r, limit)
	if err != nil {
		return reconcile.Page{}, err
	}
	shown := uids[:min(limit, len(uids))]
	entries, err := j.fetch(shown)
	if err != nil {
		return reconcile.Page{}, err
	}
	page := c.page(entries, r, at)
	if len(shown) < len(uids) {
		page.Next = cursor{j.validity, shown[len(shown)-1]}.String()
	}
	return page, nil
}

// after returns the messages of a window that come after one: all of them, or more
// than a page has. Once it is known where the window begins only what follows is
// searched, a few pages and then more, for the rest of a busy day is long.
func (j *journal) after(last imap.UID, r reconcile.ListRequest, limit int) ([]imap.UID, error) {
	for span := imap.UID(4 * limit); ; span *= 8 {
		to := last + span
		if last == 0 || to <= last || to >= j.next { // also where the server does not say which is next
			to = 0 // to the end
		}
		uids, err := j.search(&imap.SearchCriteria{
			UID: []imap.UIDSet{{imap.UIDRange{Start: last + 1, Stop: to}}},
			// A day is the server's own, and its zone may be any.
			Since: r.From.UTC().Add(-24 * time.Hour), Before: r.To.UTC().Add(48 * time.Hour),
		})
		if err != nil {
			return nil, err
		}
		// n:* holds the last message even when that is before n.
		uids = slices.DeleteFunc(uids, func(u imap.UID) bool { return u <= last })
		if to == 0 || len(uids) > limit {
			return uids, nil
		}
	}
}

// page sorts messages by order, in the order of their first one.
func (c *Client) page(entries []entry, r reconcile.ListRequest, at time.Time) reconcile.Page {
	var page reconcile.Page
	groups := map[order.ID][]entry{}
	var names []order.ID
	from := r.From.Truncate(time.Second)
	for _, e := range entries {
		if e.at.Before(from) || !e.at.Before(r.To) {
			continue
		}
		of, problem := e.claim()
		switch {
		case of != "":
			if _, known := groups[of]; !known {
				names = append(names, of)
			}
			groups[of] = append(groups[of], e)
		case problem == "" && !strings.EqualFold(e.from, c.config.From.Address):
			// somebody else's mail in the same mailbox
		default:
			if problem == "" {
				problem = "sent in our name, and names no order"
			}
			page.Orphans = append(page.Orphans, reconcile.Orphan{
				System: string(order.SystemMail), Record: e.record(), Kind: "message", What: problem, At: e.at,
			})
		}
	}
	for _, of := range names {
		page.Observations = append(page.Observations, reconcile.Observation{
			System: order.SystemMail, Order: of, State: reconcile.Present, At: at,
			Version: version(groups[of]), Mail: &reconcile.Mail{Messages: messages(groups[of])},
			Changed: latest(groups[of]),
		})
	}
	return page
}

// cursor is the last message of a page; UIDs mean something only as long as
// the mailbox's UIDVALIDITY stays.
type cursor struct {
	validity uint32
	uid      imap.UID
}

func (c cursor) String() string { return fmt.Sprintf("%d.%d", c.validity, c.uid) }

func parseCursor(s string) (cursor, error) {
	if s == "" {
		return cursor{}, nil
	}
	v, u, _ := strings.Cut(s, ".")
	validity, err1 := strconv.ParseUint(v, 10, 32)
	uid, err2 := strconv.ParseUint(u, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return cursor{}, apierr.New(apierr.Invalid, "bad_cursor", err)
	}
	return cursor{uint32(validity), imap.UID(uid)}, nil
}

// entry is what the headers of one message say.
type entry struct {
	uid                                      imap.UID
	at                                       time.Time
	id, order, key, template, occasion, from string
}

// belongsTo says whether the message names the order, by its own header or by
// its key: a message that lost one of them was still sent.
func (e entry) belongsTo(of order.ID) bool {
	i, ok := order.ParseKey(e.key)
	return e.order == string(of) || ok && i.Order == of
}

// resembles says whether a search for substrings may have found the message.
func (e entry) resembles(of order.ID) bool {
	id := strings.ToLower(string(of))
	return strings.Contains(strings.ToLower(e.order), id) || strings.Contains(strings.ToLower(e.key), "order/"+id+"/")
}

// claim returns the order that the message is about, or what is wrong with
// what it says of itself. Both are empty when it says nothing.
func (e entry) claim() (order.ID, string) {
	if e.order == "" && e.key == "" && e.template == "" {
		return "", ""
	}
	of, err := order.ParseID(e.order)
	if err != nil {
		return "", "its " + headerOrder + " is no order id"
	}
	if i, ok := order.ParseKey(e.key); e.key != "" && (!ok || i.Order != of) {
		return "", "its " + headerKey + " is none of its order"
	}
	return of, ""
}

func (e entry) record() string {
	if e.id != "" {
		return e.id
	}
	return fmt.Sprintf("uid %d", e.uid)
}

// message returns the record. A message without an occasion of its own has
// that of its key.
func (e entry) message() reconcile.Message {
	n, err := strconv.Atoi(e.occasion)
	if i, ok := order.ParseKey(e.key); err != nil && ok {
		n = i.N
	}
	return reconcile.Message{MessageID: e.id, Template: reconcile.Template(e.template), Occasion: n, At: e.at}
}

// latest returns when the last of the messages came.
func latest(entries []entry) time.Time {
	var at time.Time
	for _, e := range entries {
		if e.at.After(at) {
			at = e.at
		}
	}
	return at
}

func messages(entries []entry) []reconcile.Message {
	all := make([]reconcile.Message, 0, len(entries))
	for _, e := range entries {
		all = append(all, e.message())
	}
	return all
}

// version changes with every message that comes or goes.
func version(entries []entry) string {
	digest := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(digest, "%d %s\n", e.uid, e.id)
	}
	return hex.EncodeToString(digest.Sum(nil)[:8])
}
