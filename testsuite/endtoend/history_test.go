package endtoend

import (
	"context"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(logs())
	return l
}

// history is an order's history, counted and told line by line.
type history struct {
	events int
	bytes  int
	text   string
}

func (b *bundle) history(id order.ID) history {
	b.t.Helper()
	var h history
	var text strings.Builder
	iterator := b.client.GetWorkflowHistory(context.Background(), workflows.OrderWorkflowID(id), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iterator.HasNext() {
		e, err := iterator.Next()
		if err != nil {
			b.t.Fatal(err)
		}
		h.events++
		h.bytes += e.Size()
		detail := ""
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			detail = a.ActivityId + " " + a.ActivityType.Name
		}
		fmt.Fprintf(&text, "%3d %6d %s %s\n", e.EventId, e.Size(), strings.TrimPrefix(e.EventType.String(), "EVENT_TYPE_"), detail)
	}
	h.text = text.String()
	return h
}
