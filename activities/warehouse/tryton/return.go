package tryton

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/trueup-orders/trueup/activities/apierr"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A return has no state in which it waits: a draft is what the warehouse
// expects, and what its people receive. So there is nothing to promote, and
// which of several drafts of one key is the expected one follows from their
// ids: the lowest, unless one of the key was received or cancelled already. The
// others are surplus (ReturnDraft) when they carry the same goods, or none, and
// the next request removes them; with other goods a person made them, and they
// are expected too. A draft without a key of ours is always expected.

// announce says that goods will come back.
func (c *Client) announce(ctx context.Context, s rpc.Session, r warehouse.RequestRequest) (reconcile.Shipment, error) {
	if err := keyOf(r.Key, r.Order, returns); err != nil {
		return reconcile.Shipment{}, err
	}
	found, err := c.byKey(ctx, s, returns, r.Key)
	if err != nil {
		return reconcile.Shipment{}, err
	}
	made := false
	if len(found) == 0 {
		if err := c.draft(ctx, s, returns, r); err != nil {
			return reconcile.Shipment{}, err
		}
		made = true
	}
	for range rounds {
		found, err := c.byKey(ctx, s, returns, r.Key)
		if err != nil {
			return reconcile.Shipment{}, after(made, err)
		}
		kept := choose(found)
		if kept == nil {
			return reconcile.Shipment{}, apierr.New(apierr.Unavailable, "", errors.New("the draft is gone"))
		}
		settled, err := c.tidy(ctx, s, found, r.Lines)
		if err != nil {
			return reconcile.Shipment{}, after(made, err)
		}
		if !settled {
			continue
		}
		noted := false
		if kept.State == stateDraft {
			if noted, err = c.noteLines(ctx, s, kept, r.Lines); err != nil {
				return reconcile.Shipment{}, after(made, err)
			}
		}
		if !noted {
			return kept.shipment()
		}
	}
	return reconcile.Shipment{}, apierr.New(apierr.InDoubt, "", errors.New("the return keeps changing"))
}

// back translates a return, which is one of several of its order. When it was
// received is also said of one that was cancelled after that: the goods stay
// where they are.
func (r record) back(all []record) (reconcile.Return, error) {
	out := reconcile.Return{ID: strconv.FormatInt(r.ID, 10), Key: r.Reference, Version: r.Version}
	if _, ours := keyed(r.Reference); !ours {
		out.Key = ""
	}
	var err error
	if out.Lines, err = r.goods(); err != nil {
		return reconcile.Return{}, err
	}
	for _, m := range r.moves {
		if m.State == stateDone && m.Written.After(out.ReceivedAt) {
			out.ReceivedAt = m.Written.Time
		}
	}
	switch r.State {
	case stateDraft:
		out.State, err = r.waiting(out, all)
	case stateReceived:
		out.State = reconcile.ReturnReceived
	case stateDone:
		out.State = reconcile.ReturnRestocked
	case stateCancelled, stateCancel:
		out.State = reconcile.ReturnCancelled
	default:
		err = rpc.Nonsense("return %d is in the unknown state %q", r.ID, r.State)
	}
	return out, err
}

// waiting says whether a draft is expected, or surplus.
func (r record) waiting(as reconcile.Return, all []record) (reconcile.ReturnState, error) {
	if as.Key == "" {
		return reconcile.ReturnExpected, nil
	}
	var same []record
	for _, other := range all {
		if other.Reference == r.Reference {
			same = append(same, other)
		}
	}
	kept := choose(same)
	asked, err := kept.goods()
	if err != nil {
		return "", err
	}
	drafts, err := surplus(same, kept, asked)
	for _, d := range drafts {
		if d.ID == r.ID {
			return reconcile.ReturnDraft, nil
		}
	}
	return reconcile.ReturnExpected, err
}

// keyed says whether a reference is a key by which we announce returns.
func keyed(reference string) (order.Intent, bool) {
	intent, ok := order.ParseKey(reference)
	return intent, ok && intent.Operation == returns.operation
}

// orderOf returns the order that a return's reference names: people type one in
// as order/<id>, with whatever they like behind a slash.
func orderOf(reference string) (order.ID, bool) {
	rest, ok := strings.CutPrefix(reference, "order/")
	if !ok {
		return "", false
	}
	name, _, _ := strings.Cut(rest, "/")
	id, err := order.ParseID(name)
	return id, err == nil
}
