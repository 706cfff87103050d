package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// used is what a load has used of the machine.
type used struct {
	engine, worker, systems, gateway float64 // CPU, in milliseconds
	disk                             float64
	orders                           int
}

// measureLoad runs floors and orders in turns, many at once.
func measureLoad(ctx context.Context, s *stage, p plan) ([]figure, error) {
	if !s.counted { // the figures that count them were left out
		if _, err := measureAlone(ctx, s, plan{orders: 5}); err != nil {
			return nil, err
		}
	}
	var ours, floor used
	var rates, floorRates float64
	for round := range rounds {
		ends, err := s.load(ctx, p, &floor, func(ctx context.Context, _ *watcher, n int) (time.Time, error) {
			way, err := s.floor(ctx, fmt.Sprintf("floor/%s-l%d-%d", s.prefix, round, n), s.signals)
			return way.agreed, err
		})
		if err != nil {
			return nil, err
		}
		floorRates += rate(ends, p.parallel) / rounds
		var mu sync.Mutex
		ends, err = s.load(ctx, p, &ours, func(ctx context.Context, w *watcher, n int) (time.Time, error) {
			id := fmt.Sprintf("%s-l%d-%d", s.prefix, round, n)
			if _, err := s.orders.Submit(ctx, anOrder(id)); err != nil {
				return time.Time{}, err
			}
			way, err := s.agreed(ctx, w, order.ID(id))
			mu.Lock()
			defer mu.Unlock()
			s.ids = append(s.ids, order.ID(id))
			return way.agreed, err
		})
		if err != nil {
			return nil, err
		}
		rates += rate(ends, p.parallel) / rounds
	}
	return []figure{
		{sustained, rates, floorRates, target{limit: 0.5, ratio: true, atLeast: true}},
		{cpuEngine, perOrder(ours.engine, ours.orders), perOrder(floor.engine, floor.orders), target{}},
		{cpuWorker, perOrder(ours.worker, ours.orders), perOrder(floor.worker, floor.orders), target{}},
		{cpuSystems, perOrder(ours.systems, ours.orders), perOrder(floor.systems, floor.orders), target{}},
		{cpuGateway, perOrder(ours.gateway, ours.orders), perOrder(floor.gateway, floor.orders), target{}},
		{diskPerOrder, perOrder(ours.disk, ours.orders), perOrder(floor.disk, floor.orders), target{}},
	}, s.prove(ctx, s.ids)
}

// load keeps as many places taken as the plan says until all have gone through,
// and adds up what that used.
func (s *stage) load(ctx context.Context, p plan, u *used, one func(ctx context.Context, w *watcher, n int) (time.Time, error)) ([]time.Time, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := s.watch(ctx, 100*time.Millisecond)
	total := 2 * p.orders
	before, err := s.usage(ctx)
	if err != nil {
		return nil, err
	}
	next := make(chan int)
	go func() {
		defer close(next)
		for n := range total {
			select {
			case next <- n:
			case <-ctx.Done():
				return
			}
		}
	}()
	var mu sync.Mutex
	var ends []time.Time
	var places sync.WaitGroup
	for range p.parallel {
		places.Go(func() {
			for n := range next {
				end, err := one(ctx, w, n)
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				ends = append(ends, end)
				mu.Unlock()
			}
		})
	}
	places.Wait()
	if len(ends) < total {
		return nil, fmt.Errorf("%d of %d went through: %w", len(ends), total, context.Cause(ctx))
	}
	after, err := s.usage(ctx)
	if err != nil {
		return nil, err
	}
	u.engine += after.engine - before.engine
	u.worker += after.worker - before.worker
	u.systems += after.systems - before.systems
	u.gateway += after.gateway - before.gateway
	u.disk += after.disk - before.disk
	u.orders += total
	return ends, nil
}
