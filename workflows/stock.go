package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// StockInput starts the workflow of a SKU.
type StockInput struct {
	SKU string `json:"sku"`
}

// Stock is the only writer of one SKU's level in inventory:
//
//	level = the warehouse's physical count + shipped but not yet committed
//
// An order that shipped asks it to commit: the level is set first, and then the
// order gives up its reservation, so that what may be sold is never too high. A
// person's correction is in the count and therefore never overwritten. Setting
// a level from the count repeats harmlessly, so nothing is carried from run to
// run; it closes when nobody asked for a while.
func (w *Workflows) Stock(ctx workflow.Context, in StockInput) error {
	s := &stockKeeper{sku: in.SKU}
	must(workflow.SetUpdateHandlerWithOptions(ctx, CommitUpdate, s.commit, workflow.UpdateHandlerOptions{
		Description: "Sets inventory's level from the warehouse's count, after goods left or a person corrected the stock.",
	}))
	const idle = time.Hour
	for {
		seen := s.handled
		quiet, err := workflow.AwaitWithTimeout(ctx, idle, func() bool {
			return s.handled != seen || workflow.GetInfo(ctx).GetContinueAsNewSuggested()
		})
		if err != nil {
			return err
		}
		// To look again at once would never let them finish.
		if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
			return err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return workflow.NewContinueAsNewError(ctx, StockType, in)
		}
		if !quiet {
			return nil
		}
	}
}

type stockKeeper struct {
	sku     string
	waiting []reconciliation.StockChange // asked for and not yet done, in order
	busy    bool
	handled int
}

// commit sets the level for one change, one after the other. What waits behind
// it has left the warehouse too, and is still promised: it is added.
func (s *stockKeeper) commit(ctx workflow.Context, change reconciliation.StockChange) (reconcile.Level, error) {
	s.waiting = append(s.waiting, change)
	if err := workflow.Await(ctx, func() bool { return !s.busy && s.waiting[0].Key == change.Key }); err != nil {
		return reconcile.Level{}, err
	}
	s.busy = true
	defer func() {
		s.busy = false
		s.waiting = s.waiting[1:]
		s.handled++
	}()
	var count reconcile.Count
	if err := workflow.ExecuteActivity(s.options(ctx, order.SystemWarehouse, change, "count"), depot.CountStock, s.sku).Get(ctx, &count); err != nil {
		return reconcile.Level{}, err
	}
	level := count.Quantity + change.Uncommitted
	for _, behind := range s.waiting[1:] {
		level += behind.Quantity
	}
	var set reconcile.Level
	err := workflow.ExecuteActivity(s.options(ctx, order.SystemInventory, change, fmt.Sprintf("level %d for %s", level, change.Key)), stock.SetStockLevel,
		repair.Write[inventory.SetLevelRequest]{Grant: change.Grant, Since: workflow.Now(ctx), Request: inventory.SetLevelRequest{SKU: s.sku, Stocked: level}},
	).Get(ctx, &set)
	return set, err
}

// options are those of the calls for a change; one that a run asked for waits
// behind what has left.
func (s *stockKeeper) options(ctx workflow.Context, system order.System, change reconciliation.StockChange, summary string) workflow.Context {
	var priority temporal.Priority
	if change.Grant != nil {
		priority = forRuns
	}
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: SystemQueue(system), StartToCloseTimeout: callTimeout,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
		Summary:     s.sku + ": " + summary, Priority: priority,
	})
}
