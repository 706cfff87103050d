package main

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// pages notes each read that a run makes, so that the very same reads can be made
// once more and nothing done with them: the floor of a run that decides by what
// it reads what it reads next.
type pages struct {
	mu    sync.Mutex
	noted map[order.System][]func(context.Context) error
	now   map[order.System]int // under way
	most  map[order.System]int // under way at once
}

// watch returns readers whose reads are noted.
func (p *pages) watch(readers []reconciliation.SystemReader) []reconciliation.SystemReader {
	p.noted, p.now, p.most = map[order.System][]func(context.Context) error{}, map[order.System]int{}, map[order.System]int{}
	watched := make([]reconciliation.SystemReader, len(readers))
	for n, r := range readers {
		one := watchedReader{p, r}
		watched[n] = reconciliation.SystemReader{System: r.System, Reader: one}
		if many, can := r.Reader.(reconciliation.ManyReader); can {
			watched[n].Reader = watchedMany{one, many}
		}
	}
	return watched
}

// note takes note of a read and makes it.
func note[T any](ctx context.Context, p *pages, system order.System, read func(context.Context) (T, error)) (T, error) {
	p.mu.Lock()
	p.noted[system] = append(p.noted[system], func(ctx context.Context) error {
		_, err := read(ctx)
		return err
	})
	p.now[system]++
	p.most[system] = max(p.most[system], p.now[system])
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now[system]--
		p.mu.Unlock()
	}()
	return read(ctx)
}

// again makes the reads once more: the systems side by side, and in each as many
// at once as there were.
func (p *pages) again(ctx context.Context, patience *patience) error {
	all, inner := errgroup.WithContext(ctx)
	for system, reads := range p.noted {
		all.Go(func() error {
			g, inner := errgroup.WithContext(inner)
			g.SetLimit(p.most[system])
			for _, read := range reads {
				g.Go(func() error {
					if err := patience.call(inner, system, read); err != nil {
						return fmt.Errorf("read once more: %w", err)
					}
					return nil
				})
			}
			return g.Wait()
		})
	}
	return all.Wait()
}

type watchedReader struct {
	pages *pages
	of    reconciliation.SystemReader
}

// Lookup implements reconciliation.Reader.
func (w watchedReader) Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	return note(ctx, w.pages, w.of.System, func(ctx context.Context) (reconcile.Observation, error) { return w.of.Reader.Lookup(ctx, s) })
}

// List implements reconciliation.Reader.
func (w watchedReader) List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	return note(ctx, w.pages, w.of.System, func(ctx context.Context) (reconcile.Page, error) { return w.of.Reader.List(ctx, r) })
}

type watchedMany struct {
	watchedReader
	many reconciliation.ManyReader
}

// LookupMany implements reconciliation.ManyReader.
func (w watchedMany) LookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	return note(ctx, w.pages, w.of.System, func(ctx context.Context) ([]reconcile.Observation, error) { return w.many.LookupMany(ctx, subjects) })
}
