package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A request that no answer came to while the order went against it: the payment
// was declined in review, or the order is taken back. Tried on, it would be made
// on the day the warehouse is back, and taken back in the same second, unless it
// is packed by then. So its tries end, the warehouse is looked at, and what it
// does not have was not requested.

// unwanted says that a request would be taken back as soon as it is made.
func (s *State) unwanted(now time.Time) bool {
	switch s.Phase {
	case order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered:
		_, withdraw := s.against(now)
		return withdraw
	case order.PhaseCancelling, order.PhaseFailing:
		return true
	case order.PhaseReceived, order.PhasePaying, order.PhaseClosed, order.PhaseCancelled, order.PhaseFailed:
	}
	return false
}

// callWhileWanted makes the call of a request, and gives it up once it has been
// unwanted for longer than one attempt takes: a first attempt that is under way
// has its answer by then.
func (p *process) callWhileWanted(ctx workflow.Context, op Operation) (gaveUp bool, err error) {
	calling, stop := workflow.WithCancel(ctx)
	defer stop()
	ended := false
	workflow.Go(ctx, func(ctx workflow.Context) {
		for !ended {
			_ = workflow.Await(ctx, func() bool { return ended || p.unwanted(workflow.Now(ctx)) })
			if ended {
				return
			}
			wanted, _ := workflow.AwaitWithTimeout(ctx, callTimeout, func() bool { return ended || !p.unwanted(workflow.Now(ctx)) })
			if !wanted {
				gaveUp = true
				stop()
				return
			}
		}
	})
	err = p.call(calling, op)
	ended = true
	return gaveUp && temporal.IsCanceledError(err), err
}

// abandoned says that a request which was given up is not with the warehouse. An
// attempt under way may still have made it, so the look is after its time is
// over. Until the warehouse can be read, nobody knows; a request that is wanted
// again meanwhile, or of which anything is there, goes on under its key.
func (p *process) abandoned(ctx workflow.Context, key string) bool {
	again := func() bool { return p.closing || !p.unwanted(workflow.Now(ctx)) }
	for wait := callTimeout; ; wait = min(2*wait, 5*time.Minute) {
		if wanted, _ := workflow.AwaitWithTimeout(ctx, wait, again); wanted {
			return false
		}
		p.read(ctx, order.SystemWarehouse)
		if p.observed(order.SystemWarehouse).State != reconcile.Unreadable {
			return len(p.shipmentsOf(key)) == 0 && !again()
		}
		p.touch()
	}
}
