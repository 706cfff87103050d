package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What inventory could promise, asked while not all that is wanted is promised.

// short says that not all that is wanted could be promised.
func (s *State) short() bool {
	last := s.last(order.Reserve)
	return s.Phase == order.PhasePaying && last != nil && last.Status != Open && !s.complete() &&
		(last.Status == Refused && last.Code == outOfStock || s.Supply != nil)
}

// supply asks inventory what it could promise, while not all that is wanted is
// promised: at once, and then less and less often.
func (p *process) supply(ctx workflow.Context) {
	wait := 5 * time.Minute
	for {
		short := func() bool { return p.short() && p.openIn(order.SystemInventory) == nil }
		_ = workflow.Await(ctx, func() bool { return p.closing || short() })
		if p.Supply != nil && !p.closing {
			last := p.last(order.Reserve)
			if next := p.Supply.Next.Sub(workflow.Now(ctx)); next > 0 && (last.Status == Done || last.Lines != nil || p.Supply.At.After(last.Ended)) {
				_, _ = workflow.AwaitWithTimeout(ctx, next, func() bool { return p.closing || !short() })
			}
		}
		if p.closing {
			return
		}
		if !short() {
			continue
		}
		p.checkSupply(ctx, wait)
		wait = min(2*wait, time.Hour)
	}
}

func (p *process) checkSupply(ctx workflow.Context, wait time.Duration) {
	p.supplying = true
	defer func() { p.supplying = false }()
	p.reads++
	options := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: SystemQueue(order.SystemInventory), StartToCloseTimeout: callTimeout,
		ActivityID:  fmt.Sprintf("inventory.levels/%d.%d", p.Run, p.reads),
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:     "what is there of " + pieces(order.Less(p.Order, p.unshipped(), p.Promised)) + "?",
	})
	var skus []string
	for _, q := range order.BySKU(p.unshipped()) {
		skus = append(skus, q.SKU)
	}
	var levels []reconcile.Level
	if err := workflow.ExecuteActivity(options, stock.ReadStockLevels, skus).Get(ctx, &levels); err != nil {
		p.note(workflow.Now(ctx), "the stock could not be asked for: "+plainly(err))
	}
	now := workflow.Now(ctx)
	if last := p.last(order.Reserve); !now.After(last.Ended) {
		now = last.Ended.Add(time.Nanosecond)
	}
	p.Supply = &Supply{At: now, Available: p.available(levels), Next: now.Add(wait)}
	p.touch()
}

// available is what inventory could promise to the order, with what it has
// promised already.
func (s *State) available(levels []reconcile.Level) []order.Quantity {
	var lines []order.Quantity
	for _, l := range levels {
		left := max(0, l.Stocked-l.Reserved)
		for _, q := range order.BySKU(s.Promised) {
			if q.SKU == l.SKU {
				left += q.Quantity
			}
		}
		if left > 0 {
			lines = append(lines, order.Quantity{SKU: l.SKU, Quantity: left})
		}
	}
	return order.Common(s.Order, s.wanted(), lines)
}
