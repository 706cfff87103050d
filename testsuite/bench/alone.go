package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// warm is how many orders and floors go before the first that counts.
const warm = 3

// alone is what was measured with one order at a time.
type alone struct {
	agree, floorAgree   []time.Duration
	accept, floorAccept []time.Duration
	events, floorEvents int
	signals             []int
	ids                 []order.ID
}

// measureAlone submits orders one at a time, each beside a floor and an empty
// update-with-start, so that whatever else the machine does hits all alike.
func measureAlone(ctx context.Context, s *stage, p plan) ([]figure, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	w := s.watch(watching, 100*time.Millisecond)
	var a alone
	for i := range p.orders + warm {
		if i == warm {
			a = alone{ids: a.ids, signals: a.signals}
		}
		if err := a.order(ctx, s, w, fmt.Sprintf("%s-a%d", s.prefix, i)); err != nil {
			return nil, err
		}
		if err := a.empty(ctx, s, i); err != nil {
			return nil, err
		}
		if err := a.floor(ctx, s, fmt.Sprintf("floor/%s-a%d", s.prefix, i)); err != nil {
			return nil, err
		}
	}
	s.signals, s.counted = middle(a.signals), true
	s.ids = append(s.ids, a.ids...)
	return []figure{
		{submitToAgree, median(a.agree), median(a.floorAgree), target{limit: 3, ratio: true}},
		{accepted, median(a.accept), median(a.floorAccept), target{limit: 1.5, ratio: true}},
		{eventsUntilAgreed, float64(a.events), float64(a.floorEvents), target{limit: 50}},
	}, s.prove(ctx, a.ids)
}

func (a *alone) order(ctx context.Context, s *stage, w *watcher, id string) error {
	began := time.Now()
	if err := s.acceptOnly(ctx, anOrder(id)); err != nil {
		return err
	}
	a.accept = append(a.accept, time.Since(began))
	way, err := s.agreed(ctx, w, order.ID(id))
	if err != nil {
		return err
	}
	a.ids = append(a.ids, order.ID(id))
	a.agree = append(a.agree, way.agreed.Sub(began))
	a.events = max(a.events, way.events)
	a.signals = append(a.signals, way.signals)
	return settle(ctx)
}

func (a *alone) empty(ctx context.Context, s *stage, i int) error {
	began := time.Now()
	err := s.port.Submit(ctx, starters.Start{Type: emptyType, ID: fmt.Sprintf("empty/%s-%d", s.prefix, i), Reject: true},
		starters.Message{Name: workflows.SubmitUpdate, ID: "submit", Accepted: true}, nil)
	a.floorAccept = append(a.floorAccept, time.Since(began))
	if err != nil {
		return err
	}
	return settle(ctx)
}

func (a *alone) floor(ctx context.Context, s *stage, id string) error {
	began := time.Now()
	way, err := s.floor(ctx, id, middle(a.signals))
	if err != nil {
		return err
	}
	a.floorAgree = append(a.floorAgree, way.agreed.Sub(began))
	a.floorEvents = max(a.floorEvents, way.events)
	return settle(ctx)
}

// settle lets what is still on its way, as an echo of our own writes, come to
// an end before the next measurement.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(150 * time.Millisecond):
		return nil
	}
}

// floor runs one floor to its end, signals and all.
func (s *stage) floor(ctx context.Context, id string, signals int) (path, error) {
	err := s.port.Submit(ctx, starters.Start{Type: floorType, ID: id, Input: floorInput{Signals: signals}, Reject: true},
		starters.Message{Name: workflows.SubmitUpdate, ID: "submit", Accepted: true}, nil)
	if err != nil {
		return path{}, err
	}
	for range signals {
		if err := s.port.Message(ctx, id, starters.Message{Name: workflows.NoticeSignal, Signal: true, Argument: "a notice"}, nil); err != nil {
			return path{}, err
		}
	}
	if err := s.port.Result(ctx, id, nil); err != nil {
		return path{}, err
	}
	history, err := s.events(ctx, id)
	if err != nil {
		return path{}, err
	}
	way, err := follow(history)
	if err != nil {
		return path{}, fmt.Errorf("floor %s: %w", id, err)
	}
	return way, nil
}

// middle is the median of counts.
func middle(counts []int) int { return slices.Sorted(slices.Values(counts))[len(counts)/2] }

func perOrder(total float64, orders int) float64 {
	if orders == 0 {
		return math.NaN()
	}
	return total / float64(orders)
}
