package endtoend

import (
	"context"
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// history reads the history of an order's latest run.
func (s *stage) history(ctx context.Context, id order.ID) (*historypb.History, error) {
	return s.historyOf(ctx, workflows.OrderWorkflowID(id), "")
}

func (s *stage) historyOf(ctx context.Context, workflowID, run string) (*historypb.History, error) {
	h := &historypb.History{}
	iterator := s.client.GetWorkflowHistory(ctx, workflowID, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iterator.HasNext() {
		e, err := iterator.Next()
		if err != nil {
			return h, err
		}
		h.Events = append(h.Events, e)
	}
	return h, nil
}

// size is what the engine stores of a history, in bytes.
func size(h *historypb.History) int {
	n := 0
	for _, e := range h.GetEvents() {
		n += e.Size()
	}
	return n
}

// lines tells a history line by line.
func lines(h *historypb.History) string {
	var text strings.Builder
	for _, e := range h.GetEvents() {
		detail := ""
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			detail = a.ActivityId + " " + a.ActivityType.Name
		}
		if f := e.GetActivityTaskFailedEventAttributes().GetFailure(); f != nil {
			detail = f.Message
		}
		if f := e.GetActivityTaskStartedEventAttributes().GetLastFailure(); f != nil {
			detail = "after " + f.Message
		}
		fmt.Fprintf(&text, "%3d %6d %s %s\n", e.EventId, e.Size(), strings.TrimPrefix(e.EventType.String(), "EVENT_TYPE_"), detail)
	}
	return text.String()
}
