package workflows

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// StockInput starts the workflow of a SKU.
type StockInput struct {
	SKU string `json:"sku"`
	// Committed is when goods that have left were last committed, as far as is known.
	Committed time.Time `json:"committed,omitzero"`
}

// Stock is the only writer of one SKU's level in inventory:
//
//	level = the warehouse's physical count + shipped but not yet committed
//
// An order that shipped asks it to commit: the level is set first, and then the
// order gives up its reservation, so that what may be sold is never too high. A
// person's correction is in the count and therefore never overwritten. Setting
// a level from the count repeats harmlessly, so no level is carried from run to
// run, only when an order last committed; it closes when nobody asked for a while.
func (w *Workflows) Stock(ctx workflow.Context, in StockInput) error {
	s := &stockKeeper{sku: in.SKU, committed: in.Committed}
	must(workflow.SetUpdateHandlerWithOptions(ctx, CommitUpdate, s.commit, workflow.UpdateHandlerOptions{
		Description: "Sets inventory's level from the warehouse's count, after goods left or a person corrected the stock.",
		Validator:   s.still,
	}))
	for {
		seen := s.handled
		quiet, err := workflow.AwaitWithTimeout(ctx, stockIdle, func() bool {
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
			in.Committed = s.committed
			return workflow.NewContinueAsNewError(ctx, StockType, in)
		}
		if !quiet {
			return nil
		}
	}
}

// stockIdle is how long nobody must have asked until the workflow of a SKU closes.
const stockIdle = time.Hour

type stockKeeper struct {
	sku       string
	waiting   []reconciliation.StockChange // asked for and not yet done, in order
	busy      bool
	handled   int
	committed time.Time // the last one that an order asked for
}

// commit sets the level for one change, one after the other. What waits behind
// it has left the warehouse too, and is still promised: it is added, unless a run
// has counted it already.
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
		if change.Grant == nil {
			s.committed = workflow.Now(ctx)
		}
	}()
	var count reconcile.Count
	err := workflow.ExecuteActivity(s.options(ctx, order.SystemWarehouse, change, "count"), depot.CountStock, s.sku).Get(ctx, &count)
	if err != nil {
		return reconcile.Level{}, cannotTell(change, "the warehouse does not count it", err)
	}
	level := count.Quantity + change.Uncommitted
	if change.Grant != nil {
		if err := s.moved(ctx, change, count); err != nil {
			return reconcile.Level{}, err
		}
	} else {
		level += s.behind()
	}
	var set reconcile.Level
	err = workflow.ExecuteActivity(s.options(ctx, order.SystemInventory, change, fmt.Sprintf("level %d for %s", level, change.Key)), stock.SetStockLevel,
		repair.Write[inventory.SetLevelRequest]{Grant: change.Grant, Since: workflow.Now(ctx), Request: inventory.SetLevelRequest{SKU: s.sku, Stocked: level}},
	).Get(ctx, &set)
	if err != nil && change.Grant != nil && mayLand(err) {
		// It does before anybody else's level is set.
		if err := workflow.Sleep(ctx, callTimeout); err != nil {
			return set, err
		}
		return set, notKnown(err)
	}
	return set, err
}

// still refuses what a run asks for while anything else is under way: what it has seen
// moves, and to wait would end in nothing.
func (s *stockKeeper) still(change reconciliation.StockChange) error {
	if change.Grant == nil || len(s.waiting) == 0 {
		return nil
	}
	why := "what has left is being committed"
	if s.waiting[0].Grant != nil {
		why = "another run is at it"
	}
	return temporal.NewNonRetryableApplicationError(why, reconciliation.LevelMovedReason, nil)
}

// runPatience is how long a call for a run goes on trying. The next run comes, and who
// waits behind it has goods that have left.
const runPatience = 2 * callTimeout

// cannotTell says what could not be read for a run, which has then written nothing.
func cannotTell(change reconciliation.StockChange, what string, err error) error {
	if change.Grant == nil {
		return err
	}
	return temporal.NewNonRetryableApplicationError(what+": "+plainly(err), reconciliation.LevelUnreadReason, err)
}

// mayLand says that a write which failed may still have its effect.
func mayLand(err error) bool {
	stopped, doubt := repair.WasStopped(err)
	return !stopped || doubt // a refusal is one of its last attempt
}

// notKnown says of a write that was given up what its time-out does not.
func notKnown(err error) error {
	if _, is := errors.AsType[*temporal.TimeoutError](err); !is {
		return err
	}
	why := fmt.Sprintf("inventory did not answer within %s, and may have taken it all the same", runPatience)
	return temporal.NewNonRetryableApplicationError(why, string(apierr.InDoubt), err)
}

// behind counts the pieces of the changes that wait behind the first: those of a change
// that waits more than once, because an attempt was given up, once.
func (s *stockKeeper) behind() int64 {
	n, counted := int64(0), []string{s.waiting[0].Key}
	for _, change := range s.waiting[1:] {
		if !slices.Contains(counted, change.Key) {
			n, counted = n+change.Quantity, append(counted, change.Key)
		}
	}
	return n
}

// listedLate is how much later than it is so visibility may say that an order is at
// work, with what the clocks of two machines differ.
const listedLate = 10 * time.Second

// CommittedMeanwhile is why a run leaves a level to the next one that an order has
// touched a moment ago.
const CommittedMeanwhile = "what had left was committed meanwhile"

// moved is an error when the level is not to be set by what a run has seen. Once an
// order has committed, what the run takes for uncommitted is promised to nobody, and
// the level would be too high: also where neither level nor count show it.
func (s *stockKeeper) moved(ctx workflow.Context, change reconciliation.StockChange, count reconcile.Count) error {
	var level reconcile.Level
	if err := workflow.ExecuteActivity(s.options(ctx, order.SystemInventory, change, "level"), stock.ReadStockLevel, s.sku).Get(ctx, &level); err != nil {
		return cannotTell(change, "inventory does not say its level", err)
	}
	var why string
	switch {
	case level.Stocked != change.Level || count.Quantity != change.Count:
		why = fmt.Sprintf("by now inventory says %d and the warehouse counts %d", level.Stocked, count.Quantity)
	case !s.committed.Before(change.Asked.Add(-listedLate)):
		why = CommittedMeanwhile
	case workflow.Now(ctx).Sub(change.Asked) > stockIdle: // what was committed since may be forgotten
		why = "it was looked at too long ago"
	default:
		return nil
	}
	return temporal.NewNonRetryableApplicationError(why, reconciliation.LevelMovedReason, nil)
}

// options are those of the calls for a change; one that a run asked for waits
// behind what has left.
func (s *stockKeeper) options(ctx workflow.Context, system order.System, change reconciliation.StockChange, summary string) workflow.Context {
	var priority temporal.Priority
	var within time.Duration // an order's goods have left: it does not give up
	if change.Grant != nil {
		priority, within = forRuns, runPatience
	}
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: SystemQueue(system), StartToCloseTimeout: callTimeout, ScheduleToCloseTimeout: within,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
		Summary:     s.sku + ": " + summary, Priority: priority,
	})
}
