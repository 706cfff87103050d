package starters

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// Disagreeing is an order that does not agree, as visibility lists it: a
// candidate, a little behind.
type Disagreeing struct {
	Order order.ID `json:"order"`
	// Breaks are the kinds of its open breaks, as system.field.situation.
	Breaks    []string         `json:"breaks"`
	Oldest    time.Time        `json:"oldest,omitzero"` // first sight of the oldest
	Outcome   string           `json:"outcome"`
	Agreement string           `json:"agreement"`
	Stakes    workflows.Stakes `json:"stakes"`
}

// mostDisagreeing bounds what is listed to be counted or sorted.
const mostDisagreeing = 10_000

// Disagreeing lists the orders with open breaks or cases, the oldest break
// first, and says whether there were more than it lists.
func (c *Client) Disagreeing(ctx context.Context) ([]Disagreeing, bool, error) {
	all, more, err := c.disagreeing(ctx, fmt.Sprintf("OrderOldestBreak IS NOT NULL OR OrderAgreement = '%s'", reconcile.NeedsPerson))
	slices.SortFunc(all, func(x, y Disagreeing) int { return cmp.Or(older(x.Oldest, y.Oldest), cmp.Compare(x.Order, y.Order)) })
	return all, more, err
}

// Waiting lists the orders about which a person is asked, the most urgent first and
// last those that have not said until when, and says whether there were more than it
// lists. It asks none of them.
func (c *Client) Waiting(ctx context.Context) ([]Disagreeing, bool, error) {
	all, more, err := c.disagreeing(ctx, fmt.Sprintf("OrderAgreement = '%s'", reconcile.NeedsPerson))
	all = slices.DeleteFunc(all, func(d Disagreeing) bool { return d.Agreement != string(reconcile.NeedsPerson) })
	slices.SortFunc(all, func(x, y Disagreeing) int {
		return cmp.Or(older(x.Stakes.Deadline, y.Stakes.Deadline), cmp.Compare(x.Order, y.Order))
	})
	return all, more, err
}

// disagreeing lists those of the orders with open breaks or cases that a visibility
// filter takes, in no order.
func (c *Client) disagreeing(ctx context.Context, filter string) ([]Disagreeing, bool, error) {
	listed, err := c.Orders(ctx, "ExecutionStatus != 'ContinuedAsNew' AND ("+filter+")", mostDisagreeing)
	if err != nil {
		return nil, false, fmt.Errorf("list the orders that do not agree: %w", err)
	}
	latest, err := c.LatestRuns(ctx, listed)
	if err != nil {
		return nil, false, err
	}
	var all []Disagreeing
	for _, l := range latest {
		id, ours := workflows.OrderOf(l.ID)
		if !ours || l.Oldest.IsZero() && l.Agreement != string(reconcile.NeedsPerson) {
			continue
		}
		d := Disagreeing{Order: id, Breaks: l.Breaks, Oldest: l.Oldest, Outcome: l.Outcome, Agreement: l.Agreement}
		if l.DecodeMemo != nil {
			_ = l.DecodeMemo(workflows.StakesMemo, &d.Stakes) // one that has not said yet has none
		}
		all = append(all, d)
	}
	return all, len(listed) >= mostDisagreeing, nil
}

// older orders moments, none last.
func older(x, y time.Time) int {
	switch {
	case x.IsZero() == y.IsZero():
		return x.Compare(y)
	case x.IsZero():
		return 1
	}
	return -1
}

// LatestRuns returns the latest run of each order that is listed. A run that is closed says
// what was so when it closed; the order may have been re-opened and agree by now,
// and that run is in no list of those that do not.
func (c *Client) LatestRuns(ctx context.Context, listed []Listed) ([]Listed, error) {
	latest := map[string]Listed{}
	take := func(l Listed) {
		if known, ok := latest[l.ID]; !ok || l.Started.After(known.Started) {
			latest[l.ID] = l
		}
	}
	var closed []string
	for _, l := range listed {
		take(l)
	}
	for _, l := range latest {
		if !l.Running {
			closed = append(closed, "'"+l.ID+"'")
		}
	}
	slices.Sort(closed)
	for from := 0; from < len(closed); from += 50 {
		some := closed[from:min(from+50, len(closed))]
		runs, err := c.Orders(ctx, "ExecutionStatus != 'ContinuedAsNew' AND WorkflowId IN ("+strings.Join(some, ",")+")", mostDisagreeing)
		if err != nil {
			return nil, fmt.Errorf("list the latest runs of %d orders: %w", len(some), err)
		}
		for _, l := range runs {
			take(l)
		}
	}
	var all []Listed
	for _, l := range latest {
		all = append(all, l)
	}
	return all, nil
}

// Overview is how the whole installation stands.
type Overview struct {
	Status reconciliation.Status
	Orders []Disagreeing
	// Orphans are the records that no order claims and that wait for a person.
	Orphans []Orphan
	// Members are the orders of the incidents that are not over, as far as they are
	// kept; they are read only where there is one.
	Members []reconciliation.Members
	// More says that there are more orders, or records, than these.
	More bool
}

// Overview reads how the whole installation stands: what the reconciliation
// workflow knows, which orders do not agree, and which records no order claims. It
// adds no event anywhere.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	var err error
	if o.Status, err = c.Status(ctx); err != nil {
		return Overview{}, fmt.Errorf("read the overview: %w", err)
	}
	if o.Orders, o.More, err = c.Disagreeing(ctx); err != nil {
		return Overview{}, fmt.Errorf("read the overview: %w", err)
	}
	if len(UntoldOf(o.Status, nil)) > 0 {
		if o.Members, err = c.Members(ctx); err != nil {
			return Overview{}, fmt.Errorf("read the overview: the orders of incidents: %w", err)
		}
	}
	var more bool
	if o.Orphans, more, err = c.Orphans(ctx); err != nil {
		return Overview{}, fmt.Errorf("read the overview: %w", err)
	}
	o.More = o.More || more
	return o, nil
}
