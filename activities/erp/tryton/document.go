package tryton

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/trueup-orders/trueup/activities/apierr"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// rounds is how often a call starts over because somebody changed the record
// between reading and writing it.
const rounds = 10

// document is a sale, an invoice or a journal entry.
type document struct {
	id        int64
	reference string
	number    string
	state     reconcile.DocumentState
	version   string
	total     int64 // signed as the books have it
	currency  order.Currency
	date      rpc.Date
	created   rpc.Datetime
	described string
	at        addresses // of a sale
	// wrong is why it cannot be understood, as an amount in a currency that is none of
	// ours: of its state and its total nothing is known then.
	wrong error
}

func (d document) public(total int64) reconcile.Document {
	return reconcile.Document{ID: strconv.FormatInt(d.id, 10), Key: d.reference, Number: d.number, State: d.state, Total: total}
}

// paper is one kind of document: how it is found, made and posted.
type paper struct {
	model string
	what  string
	// find also finds what cannot be understood.
	find func(ctx context.Context, s rpc.Session, where rpc.Domain, limit int) ([]document, error)
	by   string // the field that holds our key
	// make makes a draft, which books nothing.
	make func(ctx context.Context) error
	// post books a draft. It is read back afterwards, whatever it answers.
	post func(ctx context.Context, d document) error
}

// choose returns the document that counts among those of one key, and the drafts
// that do not: a posted one before a cancelled one before a draft, the lowest id
// among equals.
func choose(found []document) (kept *document, surplus []document) {
	rank := map[reconcile.DocumentState]int{
		reconcile.DocumentPosted: 0, reconcile.DocumentCancelled: 1, reconcile.DocumentDraft: 2,
	}
	for i := range found {
		if kept == nil || rank[found[i].state] < rank[kept.state] {
			kept = &found[i]
		}
	}
	for i := range found {
		if &found[i] != kept && found[i].state == reconcile.DocumentDraft {
			surplus = append(surplus, found[i])
		}
	}
	return kept, surplus
}

// byKey reads the documents of one key.
func (p paper) byKey(ctx context.Context, s rpc.Session, key string) ([]document, error) {
	found, err := p.find(ctx, s, rpc.Domain{[]any{p.by, "=", key}}, 0)
	if err != nil {
		return nil, err
	}
	for _, d := range found {
		if d.reference != key {
			return nil, rpc.Nonsense("a %s of another order", p.what)
		}
		if d.wrong != nil {
			return nil, d.wrong
		}
	}
	return found, nil
}

// ensure leaves exactly one posted document of the key, with this total, in two
// steps: a draft, which books nothing, and its posting.
func (p paper) ensure(ctx context.Context, s rpc.Session, key string, want order.Amount) (document, error) {
	found, err := p.byKey(ctx, s, key)
	if err != nil {
		return document{}, err
	}
	if len(found) == 0 {
		if err := p.make(ctx); err != nil {
			return document{}, err
		}
	}
	posted := false
	var refused error
	var by int64 // the document whose posting was refused
	for range rounds {
		found, err := p.byKey(ctx, s, key)
		if err != nil {
			return document{}, after(posted, err)
		}
		kept, surplus := choose(found)
		if kept == nil {
			return document{}, p.gone(posted)
		}
		settled, err := p.remove(ctx, s, surplus)
		if err != nil {
			return document{}, after(posted, err)
		}
		if !settled {
			continue
		}
		if kept.total != want.Minor || kept.currency != want.Currency || kept.state == reconcile.DocumentCancelled {
			return *kept, p.otherwise(*kept, want)
		}
		switch {
		case kept.state == reconcile.DocumentPosted:
			return *kept, nil
		case refused != nil && by == kept.id:
			return *kept, refused
		}
		err = p.post(ctx, *kept)
		if err != nil && !rpc.Changed(err) && !rpc.Refused(err) {
			return document{}, err
		}
		posted = posted || err == nil
		if rpc.Refused(err) {
			refused, by = err, kept.id
		}
	}
	return document{}, apierr.New(apierr.InDoubt, "", fmt.Errorf("the %s keeps changing", p.what))
}

func (p paper) gone(posted bool) error {
	if posted {
		return apierr.New(apierr.InDoubt, "", fmt.Errorf("the %s vanished after it was posted", p.what))
	}
	return apierr.New(apierr.Unavailable, "", fmt.Errorf("the draft %s is gone", p.what))
}

// otherwise is the error of a document that is not what was asked for. It is
// left as it is, for a person.
func (p paper) otherwise(d document, want order.Amount) error {
	if d.state == reconcile.DocumentCancelled {
		return apierr.New(apierr.Conflict, "cancelled", fmt.Errorf("%s %d was cancelled", p.what, d.id))
	}
	return apierr.New(apierr.Conflict, "other_total", fmt.Errorf("%s %d is over %s, not %s; it is left %s",
		p.what, d.id, order.Amount{Minor: d.total, Currency: d.currency}, want, d.state))
}

// remove deletes drafts that do not count. It is not settled when one of them
// changed or is gone already: then it must be looked at again.
func (p paper) remove(ctx context.Context, s rpc.Session, drafts []document) (settled bool, err error) {
	for _, d := range drafts {
		err := s.Delete(ctx, rpc.Record{Model: p.model, ID: d.id, Version: d.version})
		if rpc.Changed(err) || rpc.Refused(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("remove a surplus draft: %w", err)
		}
	}
	return true, nil
}

// after classifies an error that may follow an effect of the same call.
func after(effect bool, err error) error {
	if effect {
		return rpc.AfterEffect(err)
	}
	return err
}

// minor reads an amount, and refuses one that is not in whole minor units.
func minor(d rpc.Decimal, c order.Currency) (int64, error) {
	if _, known := c.Decimals(); !known {
		return 0, rpc.Nonsense("an amount in the currency %q, which is none of ours", c)
	}
	n, err := d.Minor(c)
	if err != nil {
		return 0, rpc.Nonsense("%v", err)
	}
	return n, nil
}

var errNoKey = errors.New("a document without an id")
