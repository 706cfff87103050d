package starters

import (
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

// Visibility lists runs, and who asks means orders: one that was re-opened has many
// runs. A limit is therefore never of what the engine lists, but of the orders that
// this makes.

// idsAtOnce is how many ids one query names.
const idsAtOnce = 50

// intentsOf is what orders mean the systems to say, each by the latest of its runs
// that has said it.
type intentsOf struct {
	known []reconciliation.Known
	at    map[order.ID]int
}

// take takes in a run. Of two that changed at one moment the first one counts, for
// visibility lists what runs before what is closed, and the latest of that first.
func (i *intentsOf) take(id order.ID, k reconciliation.Known) {
	n, seen := i.at[id]
	switch {
	case !seen:
		if i.at == nil {
			i.at = map[order.ID]int{}
		}
		i.at[id] = len(i.known)
		i.known = append(i.known, k)
	case k.Changed.After(i.known[n].Changed):
		i.known[n] = k
	}
}

// said says that a run of the order has said what it means. Those that are listed
// behind it are older.
func (i *intentsOf) said(id order.ID) bool {
	n, seen := i.at[id]
	return seen && !i.known[n].Changed.IsZero()
}

// orderQuery finds runs of orders. Of one that was continued as new the next run says
// it all again.
func orderQuery(filter string) string {
	query := "WorkflowType = '" + workflows.OrderType + "' AND ExecutionStatus != 'ContinuedAsNew'"
	if filter == "" {
		return query
	}
	return query + " AND (" + filter + ")"
}

// Intents lists what orders mean the systems to say, from their memos.
func (c *Client) Intents(ctx context.Context, q reconciliation.IntentQuery) ([]reconciliation.Known, error) {
	if len(q.SKUs) > 0 {
		return c.promised(ctx, q)
	}
	if len(q.IDs) > 0 {
		found, err := c.intentsByID(ctx, q.IDs, "")
		return found.known, err
	}
	filter := "" // every order that is remembered
	if !q.Since.IsZero() {
		filter = fmt.Sprintf("OrderChanged >= '%s' OR OrderAgreement != '%s'", q.Since.UTC().Format(time.RFC3339Nano), reconcile.Agreed)
	}
	if !q.Until.IsZero() {
		until := fmt.Sprintf("OrderChanged < '%s'", q.Until.UTC().Format(time.RFC3339Nano))
		if filter != "" {
			until += " AND (" + filter + ")"
		}
		filter = until
	}
	if q.Open {
		filter = "ExecutionStatus = 'Running'"
	}
	var found intentsOf
	over := superseded{since: q.Since}
	limit := max(q.Limit, 1)
	for page, more := []byte(nil), true; more && len(found.known) < limit; more = len(page) > 0 {
		listed, next, err := c.Engine.List(ctx, orderQuery(filter), limit, page)
		if err != nil {
			return nil, err
		}
		latest, err := c.latestOf(ctx, &over, listed)
		if err != nil {
			return nil, err
		}
		for _, k := range latest {
			if q.Until.IsZero() || k.Changed.Before(q.Until) { // visibility lags behind what it sorts by
				found.take(k.Intent.Order, k)
			}
		}
		page = next
	}
	return found.known[:min(limit, len(found.known))], nil
}

// superseded are closed runs that are listed for nothing but that they did not agree:
// what a later run of the same order says counts instead.
type superseded struct {
	since time.Time
	asked map[order.ID]bool
}

// latestOf returns what the runs of a page say, and of those that are superseded what
// the latest run of their order says, unless that one agrees and has not changed.
func (c *Client) latestOf(ctx context.Context, over *superseded, listed []Listed) ([]reconciliation.Known, error) {
	var known []reconciliation.Known
	var ask []order.ID
	for _, l := range listed {
		id, ours := workflows.OrderOf(l.ID)
		k := knownOf(id, l)
		switch {
		case !ours || over.asked[id]:
		case over.since.IsZero() || l.Running || !k.Changed.Before(over.since):
			known = append(known, k)
		default:
			ask = append(ask, id)
			if over.asked == nil {
				over.asked = map[order.ID]bool{}
			}
			over.asked[id] = true
		}
	}
	later, err := c.intentsByID(ctx, ask, "")
	for _, k := range later.known {
		if !k.Agreed || !k.Changed.Before(over.since) {
			known = append(known, k)
		}
	}
	return known, err
}

// intentsByID lists what these orders mean, as far as visibility knows them. Those
// that a page does not answer are asked for again without the others: one that was
// re-opened often has more runs than a page, and they come before those of an order
// that closed long ago. Those of its runs are meant that the condition holds for, ""
// all of them.
func (c *Client) intentsByID(ctx context.Context, ids []order.ID, condition string) (intentsOf, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	var found intentsOf
	for open := range slices.Chunk(slices.Compact(ids), idsAtOnce) {
		for page := []byte(nil); len(open) > 0; {
			listed, next, err := c.Engine.List(ctx, orderQuery(ofIDs(open)+condition), dayPage, page)
			if err != nil {
				return found, err
			}
			for _, l := range listed {
				if id, ours := workflows.OrderOf(l.ID); ours {
					found.take(id, knownOf(id, l))
				}
			}
			if len(next) == 0 {
				break
			}
			page = next
			if rest := slices.DeleteFunc(slices.Clone(open), found.said); len(rest) < len(open) {
				open, page = rest, nil
			}
		}
	}
	return found, nil
}

func ofIDs(ids []order.ID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = "'" + workflows.OrderWorkflowID(id) + "'"
	}
	return "WorkflowId IN (" + strings.Join(names, ",") + ")"
}
