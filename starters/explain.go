package starters

import (
	"context"
	"errors"
	"fmt"
	"io"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// Explain tells the whole story of an order, from what it carries and, where the
// engine still has it, from the history of its latest run. It changes nothing.
func (c *Client) Explain(ctx context.Context, id order.ID) (workflows.Explanation, error) {
	var e workflows.Explanation
	err := c.Engine.Query(ctx, workflows.OrderWorkflowID(id), workflows.ExplainQuery, workflows.AskVerdict{Now: c.Now()}, &e)
	if err != nil {
		return workflows.Explanation{}, c.say(id, err)
	}
	if engine, ok := c.Engine.(*Temporal); ok { // nothing but an engine has histories
		if e.Tries, err = engine.tries(ctx, workflows.OrderWorkflowID(id)); err != nil {
			return e, fmt.Errorf("explain order %s: read its history: %w", id, err)
		}
	}
	return e, nil
}

// tries reads from a workflow's latest history which activities took more than
// one attempt. A history that is gone has none.
func (t *Temporal) tries(ctx context.Context, workflowID string) ([]workflows.Tries, error) {
	var all []workflows.Tries
	names, at := map[int64]string{}, map[int64]int{}
	events := t.Client.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		var gone *serviceerror.NotFound
		switch {
		case errors.As(err, &gone), errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		if a := event.GetActivityTaskScheduledEventAttributes(); a != nil {
			names[event.GetEventId()] = a.GetActivityId()
		}
		if a := event.GetActivityTaskStartedEventAttributes(); a != nil && a.GetAttempt() > 1 {
			at[a.GetScheduledEventId()] = len(all)
			all = append(all, workflows.Tries{
				Activity: names[a.GetScheduledEventId()], Attempts: int(a.GetAttempt()), Began: event.GetEventTime().AsTime(),
				Last: a.GetLastFailure().GetMessage(),
			})
		}
		if scheduled, last, ended := endOf(event); ended {
			if i, tried := at[scheduled]; tried {
				all[i].Ended = event.GetEventTime().AsTime()
				if last != "" {
					all[i].Last = last
				}
			}
		}
	}
	return all, nil
}

// endOf says of an event which activity it ends, and by what failure.
func endOf(event *historypb.HistoryEvent) (scheduled int64, failure string, ended bool) {
	if a := event.GetActivityTaskCompletedEventAttributes(); a != nil {
		return a.GetScheduledEventId(), "", true
	}
	if a := event.GetActivityTaskFailedEventAttributes(); a != nil {
		return a.GetScheduledEventId(), a.GetFailure().GetMessage(), true
	}
	if a := event.GetActivityTaskTimedOutEventAttributes(); a != nil {
		return a.GetScheduledEventId(), a.GetFailure().GetMessage(), true
	}
	return 0, "", false
}
