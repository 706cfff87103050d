package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
)

// What a person decides about a record that no order claims. As about any case, it
// is carried out when a reading of this very moment shows the evidence that it was
// made on, and otherwise nothing is done.

// outcome is what became of the record, as of a case that a person decided.
func (d DecideInbox) outcome() string {
	as := "leave"
	if !d.Leave {
		as = "link"
	}
	return decidedBy + as + " by " + d.By + unverified + ": " + d.Reason
}

// decidable refuses a decision when nobody is asked any more. The same decision
// again is not refused.
func (i *inbox) decidable(d DecideInbox) error {
	switch {
	case i.Decided != nil && i.Decided.ID == d.ID:
		return nil
	case i.Decided != nil:
		return refusedInbox("%s has decided already: %s", i.Decided.By, i.Decided.outcome())
	case !i.Closed.IsZero():
		return refusedInbox("it was closed already: %s", i.Outcome)
	}
	return nil
}

func refusedInbox(format string, a ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, a...), RefusedReason, nil)
}

// decide carries out what somebody decides. What is linked to an order that
// nobody knows is refused: a decision starts no order either.
func (i *inbox) decide(ctx workflow.Context, d DecideInbox) (InboxCase, error) {
	on := cmp.Or(d.Evidence, i.Token)
	if err := workflow.Await(ctx, func() bool { return !i.deciding }); err != nil {
		return i.InboxCase, err
	}
	i.deciding = true
	defer func() { i.deciding = false }()
	if err := i.decidable(d); err != nil || i.Decided != nil { // another one, or the same, was faster
		return i.InboxCase, err
	}
	read, err := i.look(ctx)
	if err != nil {
		return i.InboxCase, err
	}
	switch err := i.decidable(d); { // its order may have come meanwhile
	case err != nil:
		return i.InboxCase, err
	case !read:
		return i.InboxCase, refusedInbox("the %s system cannot be read now, so that nobody knows whether it is still so; nothing was decided: decide again when it can be read", i.System)
	case on != "" && on != i.Token:
		return i.InboxCase, refusedInbox("what is known of %s %s has changed since; nothing was done. Now: %s. Look again, and decide on evidence %s",
			i.System, i.Record, strings.Join(i.Evidence, "; "), i.Token)
	}
	if d.Link != "" {
		if err := i.link(ctx, d.Link); err != nil {
			return i.InboxCase, err
		}
		if err := i.decidable(d); err != nil { // its own order came first, and has it too
			return i.InboxCase, err
		}
		i.Order = d.Link
	}
	i.Decided = &d
	return i.InboxCase, nil
}

// link gives the record to the order that a person names. Nothing is decided when that
// cannot be: nobody has decided yet, and the next decision must not wait for this one.
func (i *inbox) link(ctx workflow.Context, to order.ID) error {
	placed, err := i.give(ctx, to, i.linked(workflow.Now(ctx)))
	if ctx.Err() != nil {
		return err
	}
	if refused, is := errors.AsType[*temporal.ApplicationError](err); is && refused.Type() == reconciliation.RefusedReason {
		return refusedInbox("order %s takes nothing, and nothing was decided: if it was stopped in the engine, let it go on there and decide again, or link the record to another order (%s)",
			to, plainly(err))
	}
	switch {
	case err != nil:
		return refusedInbox("nobody says now whether order %s takes it, and nothing was decided; it may have got it all the same: link it to %s again later, or look at that order first (%s)", to, to, plainly(err))
	case !placed:
		return refusedInbox(
			"no order %s is known; if it may be older than the engine's memory, submit it again: it is adopted from the systems as it stands", to)
	}
	return nil
}

// linked are the notices as a person gives them to an order. The record may have been
// linked to it before, when it did not name it yet: they are news of this moment.
func (i *inbox) linked(now time.Time) []reconciliation.Notice {
	all := slices.Clone(i.Notices)
	for n := range all {
		all[n].ID += " linked " + now.UTC().Format(time.RFC3339Nano)
		all[n].At = now
	}
	return all
}
