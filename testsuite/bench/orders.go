package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// anOrder is an order of two lines, 99.80 EUR.
func anOrder(id string) order.Order {
	return order.Order{
		ID: order.ID(id), PlacedAt: time.Now().UTC().Truncate(time.Millisecond), Channel: "shop",
		Customer: order.Customer{ID: "c-" + id, Email: id + "@example.com", Name: "Ada Lovelace"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "1 Main St", City: "Paris", PostalCode: "75001", Country: "FR"},
		Currency: "EUR",
		Lines: []order.Line{
			{SKU: "MUG", Quantity: 2, UnitPrice: 2500},
			{SKU: "TSHIRT", Quantity: 1, UnitPrice: 4500, Discount: 500, Tax: 480},
		},
		Shipping: 500, Total: 9980,
		Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip},
	}
}

// acceptOnly submits an order as the client does, and returns as soon as the
// engine has taken it, without the answer.
func (s *stage) acceptOnly(ctx context.Context, o order.Order) error {
	o = o.Normalize()
	input := workflows.OrderInput{Order: o, Fingerprint: o.Fingerprint()}
	return s.port.Submit(ctx, starters.Start{
		Type: workflows.OrderType, ID: workflows.OrderWorkflowID(o.ID), Input: input, Reject: true,
		Summary: fmt.Sprintf("%s · %d lines · %s", order.Amount{Minor: o.Total, Currency: o.Currency}, len(o.Lines), o.Channel),
		Outcome: string(reconcile.InProgress), Agreement: string(reconcile.AgreeSettle),
	}, starters.Message{
		Name: workflows.SubmitUpdate, ID: "submit-" + input.Fingerprint, Argument: workflows.Submit{Fingerprint: input.Fingerprint}, Accepted: true,
	}, nil)
}

// events reads the whole history of a workflow.
func (s *stage) events(ctx context.Context, workflowID string) ([]*historypb.HistoryEvent, error) {
	var all []*historypb.HistoryEvent
	pages := s.client.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for pages.HasNext() {
		e, err := pages.Next()
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", workflowID, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// calls is how many systems are called until they agree, once each.
const calls = 6

// path is what a history tells of the way until all six systems agree.
type path struct {
	agreed  time.Time // the last of the six answers
	events  int       // until the workflow knows
	signals int       // among them
}

// follow reads the path from a history: an order's, or a floor's.
func follow(history []*historypb.HistoryEvent) (path, error) {
	answers, last := 0, -1
	for i, e := range history {
		done := e.GetActivityTaskCompletedEventAttributes()
		if done == nil || reads(history[done.GetScheduledEventId()-1]) {
			continue
		}
		if answers++; answers == calls {
			last = i
			break
		}
	}
	if last < 0 {
		return path{}, fmt.Errorf("its history of %d events shows %d answers and not %d", len(history), answers, calls)
	}
	p := path{agreed: history[last].GetEventTime().AsTime(), events: known(history, last)}
	for _, e := range history[:p.events] {
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED {
			p.signals++
		}
	}
	return p, nil
}

// reads says that an activity only looks, as after a notice.
func reads(scheduled *historypb.HistoryEvent) bool {
	return strings.HasPrefix(scheduled.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName(), "Read")
}

// known returns how many events a history has when the workflow has dealt with
// the event at i: the task that took it in, with its commands.
func known(history []*historypb.HistoryEvent, i int) int {
	for i < len(history) && history[i].GetEventType() != enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
		i++
	}
	for i++; i < len(history); i++ {
		switch history[i].GetEventType() {
		case enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
			enumspb.EVENT_TYPE_TIMER_STARTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		default:
			return i
		}
	}
	return len(history)
}

// published returns the agreement that a history last told visibility.
func published(history []*historypb.HistoryEvent) string {
	last := ""
	for _, e := range history {
		var p *commonpb.Payload
		if a := e.GetUpsertWorkflowSearchAttributesEventAttributes(); a != nil {
			p = a.GetSearchAttributes().GetIndexedFields()[workflows.AgreementAttribute.GetName()]
		}
		if p != nil {
			_ = converter.GetDefaultDataConverter().FromPayload(p, &last)
		}
	}
	return last
}

// agreed waits until the ledgers of all six systems show the order's effect,
// and reads from its history when the last answer came, which was after them.
func (s *stage) agreed(ctx context.Context, w *watcher, id order.ID) (path, error) {
	effect, err := w.wait(ctx, id)
	if err != nil {
		return path{}, err
	}
	for {
		history, err := s.events(ctx, workflows.OrderWorkflowID(id))
		if err != nil {
			return path{}, err
		}
		p, err := follow(history)
		if err == nil && p.agreed.Before(effect) {
			return path{}, fmt.Errorf("order %s: the engine had all answers before the ledgers show all effects", id)
		}
		if err == nil {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return path{}, fmt.Errorf("order %s: %w", id, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// prove asks for every order's verdict, and for a fresh one of every tenth.
func (s *stage) prove(ctx context.Context, ids []order.ID) error {
	for i, id := range slices.Sorted(slices.Values(ids)) {
		var v reconcile.Verdict
		var err error
		for range 40 { // what is on its way, as an echo, may be read just now
			if v, err = s.orders.Verdict(ctx, id, i%10 == 0); err != nil || v.Agreement == reconcile.Agreed {
				break
			}
			time.Sleep(250 * time.Millisecond)
		}
		if err != nil {
			return fmt.Errorf("verdict of order %s: %w", id, err)
		}
		if v.Agreement != reconcile.Agreed {
			return errors.New("order " + string(id) + " does not agree:\n" + v.Table())
		}
	}
	return nil
}
