package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workflows"
)

// tell prints where the time goes: the requests that each system got for each
// order, and how long each activity waited and took, one order at a time.
func (s *stage) tell(ctx context.Context, out io.Writer) error {
	for _, system := range order.Systems() {
		if err := s.tellRequests(ctx, system, out); err != nil {
			return err
		}
	}
	waited, took := map[string][]time.Duration{}, map[string][]time.Duration{}
	var tasks []time.Duration
	for _, id := range s.ids[:min(len(s.ids), 40)] {
		history, err := s.events(ctx, workflows.OrderWorkflowID(id))
		if err != nil {
			return err
		}
		for _, e := range history {
			at := func(id int64) time.Time { return history[id-1].GetEventTime().AsTime() }
			switch e.GetEventType() {
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
				a := e.GetActivityTaskCompletedEventAttributes()
				name := history[a.GetScheduledEventId()-1].GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
				waited[name] = append(waited[name], at(a.GetStartedEventId()).Sub(at(a.GetScheduledEventId())))
				took[name] = append(took[name], e.GetEventTime().AsTime().Sub(at(a.GetStartedEventId())))
			case enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
				a := e.GetWorkflowTaskCompletedEventAttributes()
				tasks = append(tasks, e.GetEventTime().AsTime().Sub(at(a.GetStartedEventId())))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(took)) {
		fmt.Fprintf(out, "# activity %-18s waited p50 %5.1f ms, took p50 %5.1f ms (%d)\n", name, median(waited[name]), median(took[name]), len(took[name]))
	}
	fmt.Fprintf(out, "# workflow task took p50 %.1f ms (%d)\n", median(tasks), len(tasks))
	if s.lived == "" {
		return nil
	}
	history, err := s.events(ctx, workflows.OrderWorkflowID(s.lived))
	if err != nil {
		return err
	}
	for _, e := range history {
		about := e.GetActivityTaskScheduledEventAttributes().GetActivityId() + e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName()
		fmt.Fprintf(out, "# life %3d %6.1fs %5d bytes %s %s\n", e.GetEventId(), e.GetEventTime().AsTime().Sub(history[0].GetEventTime().AsTime()).Seconds(),
			e.Size(), e.GetEventType(), about)
	}
	return nil
}

// tellRequests counts what a system was asked, in whole and about orders.
func (s *stage) tellRequests(ctx context.Context, system order.System, out io.Writer) error {
	var entries []simulator.Entry
	if err := s.ledger(ctx, system, 0, &entries); err != nil {
		return err
	}
	counted := map[string]int{}
	for _, e := range entries {
		if e.Kind == simulator.EntryRequest || e.Kind == simulator.EntryNotification {
			counted[fmt.Sprintf("%s %s (%s)", e.Kind, e.Detail, e.Operation)]++
		}
	}
	for _, what := range slices.Sorted(maps.Keys(counted)) {
		if n := float64(counted[what]) / float64(max(1, len(s.ids))); n >= 0.05 {
			fmt.Fprintf(out, "# %-9s %5.2f per order: %s\n", system, n, what)
		}
	}
	return nil
}
