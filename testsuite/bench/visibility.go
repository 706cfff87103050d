package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workers"
	"github.com/trueup-orders/trueup/workflows"
)

// The sweep's intents from the engine's visibility: each order of the crowd is a
// workflow there, with the memo and the search attributes that a sweep goes by, and
// is listed as in production. Those that have ended are closed.

// rememberedQueue is that of workflows which are orders in visibility alone.
const rememberedQueue = "bench-remembered"

// remembered is what the engine knows of an order of the crowd.
func remembered(ctx workflow.Context, ended bool) error {
	if !ended {
		workflow.GetSignalChannel(ctx, hold).Receive(ctx, nil)
	}
	return nil
}

// fromVisibility makes the orders of the sealed days known to the engine, and has
// sweeps list them there.
func (r *reconciling) fromVisibility(ctx context.Context) error {
	w := worker.New(r.engine, rememberedQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(remembered, workflow.RegisterOptions{Name: workflows.OrderType})
	if err := w.Start(); err != nil {
		return err
	}
	began := clock.Now()
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for n := range r.crowd.Orders {
		g.Go(func() error { return r.remember(inner, n) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	engine := &moved{starters.Temporal{Client: r.engine}}
	for listed := 0; listed < r.crowd.Orders; { // visibility lags behind
		if err := workers.Wait(ctx, time.Second); err != nil {
			return fmt.Errorf("visibility lists %d of %d orders: %w", listed, r.crowd.Orders, err)
		}
		var err error
		if listed, err = engine.Count(ctx, "WorkflowType = '"+workflows.OrderType+"'"); err != nil {
			return err
		}
	}
	r.activities.Days = &starters.Client{Engine: engine, Now: clock.Now}
	fmt.Fprintf(os.Stderr, "%d orders are workflows of the engine after %.0f s\n", r.crowd.Orders, clock.Now().Sub(began).Seconds())
	return nil
}

func (r *reconciling) remember(ctx context.Context, n int) error {
	intent := r.crowd.Intent(n, clock.Now())
	_, err := r.engine.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: workflows.OrderWorkflowID(r.crowd.ID(n)), TaskQueue: rememberedQueue, Memo: map[string]any{workflows.IntentMemo: intent},
		TypedSearchAttributes: temporal.NewSearchAttributes(
			workflows.AgreementAttribute.ValueSet(string(reconcile.Agreed)),
			workflows.ChangedAttribute.ValueSet(intent.Changed[0].At), workflows.OldestAttribute.ValueSet(intent.PlacedAt),
		),
	}, workflows.OrderType, intent.Phase.Ended())
	if err != nil {
		return fmt.Errorf("start a workflow for order %s: %w", intent.Order, err)
	}
	return nil
}

// moved is an engine whose orders started when they were placed: the clock of an
// engine cannot be set, so another indexed time stands for when a run started.
type moved struct{ starters.Temporal }

func started(query string) string {
	return strings.ReplaceAll(query, "StartTime", workflows.OldestAttribute.GetName())
}

// List implements starters.Engine.
func (m *moved) List(ctx context.Context, query string, limit int, page []byte) ([]starters.Listed, []byte, error) {
	all, next, err := m.Temporal.List(ctx, started(query), limit, page)
	for i := range all {
		all[i].Started, all[i].Oldest = all[i].Oldest, time.Time{}
	}
	return all, next, err
}

// Count counts what List lists.
func (m *moved) Count(ctx context.Context, query string) (int, error) {
	return m.Temporal.Count(ctx, started(query))
}
