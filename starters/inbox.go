package starters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// Inbox lists the records that wait for their orders, the oldest first, up to a limit:
// those alone that a person must decide about, unless all are asked for. It says
// whether there were more. Visibility finds them, each says itself what it is.
func (c *Client) Inbox(ctx context.Context, all bool, limit int) ([]workflows.InboxCase, bool, error) {
	query := "WorkflowType = '" + workflows.InboxType + "' AND ExecutionStatus = 'Running'"
	if !all {
		query += fmt.Sprintf(" AND OrderAgreement = '%s'", reconcile.NeedsPerson)
	}
	var waiting []Listed
	for page := []byte(nil); ; {
		listed, next, err := c.Engine.List(ctx, query, mostDisagreeing-len(waiting), page)
		if err != nil {
			return nil, false, err
		}
		waiting = append(waiting, listed...)
		if page = next; len(next) == 0 || len(waiting) >= mostDisagreeing {
			break
		}
	}
	more := len(waiting) > limit || len(waiting) >= mostDisagreeing
	slices.SortStableFunc(waiting, func(x, y Listed) int { return x.waitsSince().Compare(y.waitsSince()) })
	var cases []workflows.InboxCase
	for _, l := range waiting[:min(limit, len(waiting))] {
		var one workflows.InboxCase
		err := c.Engine.Query(ctx, l.ID, workflows.InboxQuery, nil, &one)
		if errors.Is(err, ErrNotFound) { // it has ended since it was listed
			continue
		}
		if err != nil {
			return cases, more, fmt.Errorf("ask what %s holds: %w", l.ID, err)
		}
		cases = append(cases, one)
	}
	slices.SortStableFunc(cases, func(x, y workflows.InboxCase) int { return x.Since.Compare(y.Since) })
	return cases, more, nil
}

// waitsSince is since when a record waits, as far as the list knows: since a person is
// asked about it, and else since its run started, which may continue another.
func (l Listed) waitsSince() time.Time {
	var s workflows.Stakes
	if l.DecodeMemo == nil || l.DecodeMemo(workflows.StakesMemo, &s) != nil || s.Opened.IsZero() {
		return l.Started
	}
	return s.Opened
}

// Orphan is a record that no order claims and about which a person is asked, as
// visibility lists it.
type Orphan struct {
	System order.System     `json:"system"`
	Record string           `json:"record"`
	Stakes workflows.Stakes `json:"stakes"`
}

// Orphans lists the records that no order claims and that wait for a person, the
// most urgent first, and says whether there were more than it lists. It asks none of
// them.
func (c *Client) Orphans(ctx context.Context) ([]Orphan, bool, error) {
	query := fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Running' AND OrderAgreement = '%s'", workflows.InboxType, reconcile.NeedsPerson)
	var all []Orphan
	for page, n := []byte(nil), 0; ; {
		listed, next, err := c.Engine.List(ctx, query, mostDisagreeing-n, page)
		if err != nil {
			return nil, false, fmt.Errorf("list the records that no order claims: %w", err)
		}
		n += len(listed)
		for _, l := range listed {
			system, record, ours := workflows.InboxOf(l.ID)
			if !ours || l.Agreement != string(reconcile.NeedsPerson) {
				continue
			}
			o := Orphan{System: system, Record: record, Stakes: workflows.Stakes{Cases: 1}}
			if l.DecodeMemo != nil {
				_ = l.DecodeMemo(workflows.StakesMemo, &o.Stakes) // one that has not said yet has none
			}
			all = append(all, o)
		}
		if page = next; len(next) == 0 || n >= mostDisagreeing {
			slices.SortFunc(all, func(x, y Orphan) int {
				return cmp.Or(older(x.Stakes.Deadline, y.Stakes.Deadline), cmp.Compare(x.System, y.System), cmp.Compare(x.Record, y.Record))
			})
			return all, n >= mostDisagreeing, nil
		}
	}
}

// InboxCase asks what is known about a record that waits for its order.
func (c *Client) InboxCase(ctx context.Context, system order.System, record string) (workflows.InboxCase, error) {
	var one workflows.InboxCase
	return one, c.Engine.Query(ctx, workflows.InboxWorkflowID(system, record), workflows.InboxQuery, nil, &one)
}

// DecideInbox decides about a record that no order claims. ErrNotFound when no
// such record waits, ErrNotNow when somebody else has decided, when no such order
// is known, or when the evidence that it was decided on is not so any more: then the
// text says what is.
func (c *Client) DecideInbox(ctx context.Context, system order.System, record string, d workflows.DecideInbox) (workflows.InboxCase, error) {
	problems := append(CheckAsked(d.By, d.Reason), checkEvidence(d.Evidence, "trueup inbox")...)
	if d.Leave == (d.Link != "") {
		problems = append(problems, order.Problem{Field: "link", Reason: "is missing, unless the record is to be left; and not both"})
	}
	if len(problems) > 0 {
		return workflows.InboxCase{}, &InvalidError{Problems: problems}
	}
	d.ID = named(d.ID, d)
	// As of a case, what is refused now may be carried out later: the message has an
	// id of its own each time.
	message := wish(workflows.InboxDecideUpdate, d.ID, d)
	message.ID = fmt.Sprintf("%s-%d", message.ID, c.Now().UnixNano())
	var now workflows.InboxCase
	err := c.Engine.Message(ctx, workflows.InboxWorkflowID(system, record), message, &now)
	if a, ok := errors.AsType[*temporal.ApplicationError](err); ok && a.Type() == workflows.RefusedReason {
		return now, fmt.Errorf("%w: %s", ErrNotNow, a.Message())
	}
	return now, err
}
