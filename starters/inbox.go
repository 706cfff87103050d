package starters

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// Inbox lists the records that wait for their orders, up to a limit: those alone
// that a person must decide about, unless all are asked for. Visibility finds
// them, each says itself what it is.
func (c *Client) Inbox(ctx context.Context, all bool, limit int) ([]workflows.InboxCase, error) {
	query := "WorkflowType = '" + workflows.InboxType + "' AND ExecutionStatus = 'Running'"
	if !all {
		query += fmt.Sprintf(" AND OrderAgreement = '%s'", reconcile.NeedsPerson)
	}
	var cases []workflows.InboxCase
	for page := []byte(nil); ; {
		listed, next, err := c.Engine.List(ctx, query, limit-len(cases), page)
		if err != nil {
			return nil, err
		}
		for _, l := range listed {
			var one workflows.InboxCase
			err := c.Engine.Query(ctx, l.ID, workflows.InboxQuery, nil, &one)
			if errors.Is(err, ErrNotFound) { // it has ended since it was listed
				continue
			}
			if err != nil {
				return cases, fmt.Errorf("ask what %s holds: %w", l.ID, err)
			}
			cases = append(cases, one)
		}
		if page = next; len(next) == 0 || len(cases) >= limit {
			slices.SortStableFunc(cases, func(x, y workflows.InboxCase) int { return x.Since.Compare(y.Since) })
			return cases, nil
		}
	}
}

// InboxCase asks what is known about a record that waits for its order.
func (c *Client) InboxCase(ctx context.Context, system order.System, record string) (workflows.InboxCase, error) {
	var one workflows.InboxCase
	return one, c.Engine.Query(ctx, workflows.InboxWorkflowID(system, record), workflows.InboxQuery, nil, &one)
}

// DecideInbox decides about a record that no order claims. ErrNotFound when no
// such record waits, ErrNotNow when somebody else has decided, or no such order
// is known.
func (c *Client) DecideInbox(ctx context.Context, system order.System, record string, d workflows.DecideInbox) (workflows.InboxCase, error) {
	problems := CheckAsked(d.By, d.Reason)
	if d.Leave == (d.Link != "") {
		problems = append(problems, order.Problem{Field: "link", Reason: "is missing, unless the record is to be left; and not both"})
	}
	if len(problems) > 0 {
		return workflows.InboxCase{}, &InvalidError{Problems: problems}
	}
	d.ID = named(d.ID, d)
	var now workflows.InboxCase
	err := c.Engine.Message(ctx, workflows.InboxWorkflowID(system, record), Message{Name: workflows.InboxDecideUpdate, ID: d.ID, Argument: d}, &now)
	if a, ok := errors.AsType[*temporal.ApplicationError](err); ok && a.Type() == workflows.RefusedReason {
		return now, fmt.Errorf("%w: %s", ErrNotNow, a.Message())
	}
	return now, err
}
