package starters_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// TestEngine_Day: with the real engine's visibility a day of more orders than
// one page has is listed whole, shard by shard, and no other day has any.
func TestEngine_Day(t *testing.T) {
	engine := realEngine(t)
	clock := func() time.Time { return time.Now() }
	c := &starters.Client{Engine: &starters.Temporal{Client: engine}, Now: clock}
	const orders = 1100
	var g errgroup.Group
	g.SetLimit(8)
	for i := range orders {
		g.Go(func() error { // no worker is there: they have not said yet what they mean
			id := order.ID(fmt.Sprintf("A-%04d", i))
			return c.Engine.Submit(t.Context(), starters.Start{Type: workflows.OrderType, ID: workflows.OrderWorkflowID(id)}, starters.Message{}, nil)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	today := reconciliation.DayOf(time.Now())
	for { // visibility lags
		n, err := c.CountDay(t.Context(), today)
		if err != nil {
			t.Fatal(err)
		}
		before, err := c.CountDay(t.Context(), today.Add(-reconciliation.Day)) // midnight may have passed
		if err != nil {
			t.Fatal(err)
		}
		if n+before >= orders {
			break
		}
	}
	seen, pages := map[order.ID]int{}, 0
	for n := range 6 {
		day := today.Add(-time.Duration(n/3) * reconciliation.Day)
		for page := ""; ; {
			known, next, err := c.DayIntents(t.Context(), day, reconcile.Shard{N: n % 3, Of: 3}, page)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, k := range known {
				seen[k.Intent.Order]++
			}
			if page = next; next == "" {
				break
			}
		}
	}
	if len(seen) != orders || pages < 6 {
		t.Errorf("%d of %d orders are in three shards, on %d pages", len(seen), orders, pages)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("order %s came %d times", id, n)
		}
	}
	if known, _, err := c.DayIntents(t.Context(), today.Add(-2*reconciliation.Day), reconcile.Shard{}, ""); err != nil || len(known) > 0 {
		t.Errorf("two days before %d orders started, %v", len(known), err)
	}
}

// TestEngine_Schedule: a schedule that an older release made catches up within
// minutes and never overlaps once it was made again, and stays as it is then.
func TestEngine_Schedule(t *testing.T) {
	engine := realEngine(t)
	c := &starters.Client{Engine: &starters.Temporal{Client: engine}, Now: time.Now}
	_, err := engine.ScheduleClient().Create(t.Context(), client.ScheduleOptions{
		ID: workflows.SweepsID, Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: 6 * time.Hour}}},
		Action:  &client.ScheduleWorkflowAction{ID: workflows.SweepsID, Workflow: workflows.SweepsType, TaskQueue: workflows.Queue},
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL,
	})
	if err != nil {
		t.Fatal(err)
	}
	handle := engine.ScheduleClient().GetHandle(t.Context(), workflows.SweepsID)
	if err := handle.Pause(t.Context(), client.SchedulePauseOptions{Note: "an operator's"}); err != nil {
		t.Fatal(err)
	}
	var updated time.Time
	for range 2 {
		if err := c.EnsureSweeps(t.Context(), 6*time.Hour); err != nil {
			t.Fatal(err)
		}
		d, err := handle.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := d.Schedule.Policy
		if p.Overlap != enumspb.SCHEDULE_OVERLAP_POLICY_SKIP || p.CatchupWindow > 10*time.Minute || !d.Schedule.State.Paused {
			t.Errorf("overlap is %s, what was missed is made up for %s, paused %t", p.Overlap, p.CatchupWindow, d.Schedule.State.Paused)
		}
		if !updated.IsZero() && !d.Info.LastUpdateAt.Equal(updated) {
			t.Error("made again, an unchanged schedule was changed")
		}
		updated = d.Info.LastUpdateAt
	}
	for range 2 { // what is not scheduled is ended, once
		if err := c.EnsureSweeps(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		var missing *serviceerror.NotFound
		if d, err := handle.Describe(t.Context()); !errors.As(err, &missing) {
			t.Errorf("of a schedule that was ended the engine says %+v, %v", d, err)
		}
	}
}
