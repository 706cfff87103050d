package starters

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// Webhook is how one system's notifications are understood.
type Webhook struct {
	System order.System
	// Verify says whether a request with this body comes from the system.
	Verify func(r *http.Request, body []byte, now time.Time) error
	// Events reads a verified body.
	Events func(body []byte) ([]Event, error)
}

// Event is one thing that a system announced.
type Event struct {
	Notice reconciliation.Notice
	// Order is the order that the event names; empty when it names none.
	Order order.ID
	// Find finds the orders of an event that names none; nil when nobody can.
	Find func(ctx context.Context) ([]order.ID, error)
	// Keep has the event wait in the inbox when no order is found. Others are
	// let go: most records of a system are not ours.
	Keep bool
	// OpenOnly says that the event is no news to an order which is closed, as a
	// contact's new telephone number is not.
	OpenOnly bool
}

// Told is what is told to one order: all that came together for it.
type Told struct {
	reconciliation.Notices      // with Order empty: they wait in the inbox
	OpenOnly               bool // an order that is closed, or unknown, is let be
}

// Notices says what events mean: whom to tell what, in the order of the events.
// Events of no order come one by one, for each waits in the inbox of its own
// record. An error means that an order could not be found out just now, and
// nothing was told yet: the provider sends the events again.
func Notices(ctx context.Context, events []Event) (told []Told, ignored int, err error) {
	found := map[string][]order.ID{} // of a record, for several events are often about one
	for _, e := range events {
		orders := []order.ID{e.Order}
		switch {
		case e.Order != "":
		case e.Find == nil:
			orders = nil
		default:
			record := string(e.Notice.System) + "/" + e.Notice.Record
			known, seen := found[record]
			if !seen {
				if known, err = e.Find(ctx); err != nil {
					return nil, 0, err
				}
				found[record] = known
			}
			orders = known
		}
		if len(orders) == 0 && !e.Keep {
			ignored++
			continue
		}
		if len(orders) == 0 {
			told = append(told, Told{Notices: reconciliation.Notices{Notices: []reconciliation.Notice{e.Notice}}})
		}
		for _, of := range orders {
			told = tell(told, of, e)
		}
	}
	return told, ignored, nil
}

// tell adds an event to what its order is told.
func tell(told []Told, of order.ID, e Event) []Told {
	i := slices.IndexFunc(told, func(t Told) bool { return t.Order == of })
	if i < 0 {
		i = len(told)
		told = append(told, Told{Notices: reconciliation.Notices{Order: of}, OpenOnly: true})
	}
	told[i].add(e.Notice)
	told[i].OpenOnly = told[i].OpenOnly && e.OpenOnly
	return told
}

// lost is a notice that the engine takes never, and why.
type lost struct {
	reconciliation.Notice
	err error
}

// allLost are the notices of an order that are refused together.
func allLost(n reconciliation.Notices, err error) []lost {
	all := make([]lost, len(n.Notices))
	for i, one := range n.Notices {
		all[i] = lost{one, err}
	}
	return all
}

// tellOne tells one order, or keeps what it is told in the inbox when the order is
// unknown. It returns what of it the engine takes never, once all else is kept.
func (c *Client) tellOne(ctx context.Context, t Told) ([]lost, error) {
	var err error
	switch {
	case t.OpenOnly:
		err = c.hint(ctx, t.Notices)
	case t.Order != "":
		err = c.Notify(ctx, t.Notices)
	default:
		err = ErrUnknownOrder
	}
	switch {
	case errors.Is(err, reconciliation.ErrRefused):
		return allLost(t.Notices, err), nil
	case !errors.Is(err, ErrUnknownOrder):
		return nil, err
	}
	var never []lost
	for _, n := range t.Notices.Notices {
		err := c.Keep(ctx, t.Order, n)
		if err != nil {
			err = fmt.Errorf("keep a notice of %s in the inbox: %w", n.System, err)
		}
		if err != nil && !errors.Is(err, reconciliation.ErrRefused) {
			return nil, err
		}
		if err != nil {
			never = append(never, lost{n, err})
		}
	}
	return never, nil
}

// hint tells an order that is open, and re-opens none.
func (c *Client) hint(ctx context.Context, n reconciliation.Notices) error {
	err := c.Engine.Message(ctx, workflows.OrderWorkflowID(n.Order), Message{Name: workflows.NoticeSignal, Argument: n, Signal: true}, nil)
	if errors.Is(err, ErrClosed) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return refused(err)
}
