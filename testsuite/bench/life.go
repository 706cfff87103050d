package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	historypb "go.temporal.io/api/history/v1"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// lives is how many orders go through their whole life side by side.
const lives = 3

// quiet is how long nothing may come to an order's history before it is taken
// for complete: longer than a poll of the feeds takes to come around.
const quiet = 20 * time.Second

// measureLife takes orders from submission to delivered at a realistic pace:
// people bring each shipment forward step by step, and each step is announced
// and verified by a read on its own.
func measureLife(ctx context.Context, s *stage, p plan) ([]figure, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	w := s.watch(watching, time.Second)
	var ids []order.ID
	for i := range lives {
		id := order.ID(fmt.Sprintf("%s-w%d", s.prefix, i))
		ids = append(ids, id)
		if _, err := s.orders.Submit(ctx, anOrder(string(id))); err != nil {
			return nil, err
		}
		if _, err := s.agreed(ctx, w, id); err != nil {
			return nil, err
		}
	}
	for _, to := range []string{"picked", "packed", "shipped", "delivered"} {
		if err := pause(ctx, p.step); err != nil {
			return nil, err
		}
		for _, id := range ids {
			edit := map[string]any{"order": id, "state": to}
			if err := s.console(ctx, http.MethodPost, order.SystemWarehouse, "edit", edit, &struct{}{}); err != nil {
				return nil, err
			}
		}
	}
	events, size := 0.0, 0.0
	for _, id := range ids {
		history, err := s.whole(ctx, id)
		if err != nil {
			return nil, err
		}
		bytes := 0
		for _, e := range history {
			bytes += e.Size()
		}
		events, size = max(events, float64(len(history))), max(size, float64(bytes))
	}
	for _, id := range ids {
		v, err := s.orders.Verdict(ctx, id, true)
		if err != nil {
			return nil, err
		}
		if v.Outcome != reconcile.Succeeded || v.Agreement != reconcile.Agreed || v.Phase != order.PhaseDelivered {
			return nil, fmt.Errorf("order %s is %s, not delivered and agreed:\n%s", id, v.Phase, v.Table())
		}
	}
	s.lived = ids[0]
	return []figure{
		{eventsUntilDelivered, events, math.NaN(), target{limit: 140}},
		{bytesUntilDelivered, size, math.NaN(), target{limit: 32_000}},
	}, nil
}

// whole waits until an order is delivered, agrees and is quiet, and returns its
// history.
func (s *stage) whole(ctx context.Context, id order.ID) ([]*historypb.HistoryEvent, error) {
	bounded, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		history, err := s.events(bounded, workflows.OrderWorkflowID(id))
		if err != nil {
			return nil, err
		}
		last := history[len(history)-1].GetEventTime().AsTime()
		if time.Since(last) >= quiet {
			v, err := s.orders.Verdict(bounded, id, false)
			if err != nil {
				return nil, err
			}
			if v.Phase == order.PhaseDelivered && published(history) == string(reconcile.Agreed) {
				return history, nil
			}
		}
		if err := pause(bounded, time.Second); err != nil {
			v, _ := s.orders.Verdict(ctx, id, false)
			return nil, fmt.Errorf("order %s is not delivered, agreed and quiet in time:\n%s", id, v.Table())
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
