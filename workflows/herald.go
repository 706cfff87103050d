package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
)

// announceWithin is how long it is tried to say something.
const announceWithin = 24 * time.Hour

// herald sends what is to be said to the outside: of the cases of an order, or of
// the groups of reconciliation.
type herald[A interface{ Saying() reconciliation.Saying }] struct {
	// unsaid is in the state of the workflow, so that its next run sends what this
	// one does not get to.
	unsaid *[]A
	act    any // the activity that sends one
	// run begins the numbers in the ids of activities, where a workflow numbers its
	// runs.
	run     string
	closing func() bool
	// done is told when one was taken, or is given up.
	done func(ctx workflow.Context, a A, err error)
	// saying are those on their way, by their ids.
	saying []string
}

// send sends what is to be said, each by itself, so that one that does not get
// through holds up no other.
func (h *herald[A]) send(ctx workflow.Context) {
	for {
		var next *A
		err := workflow.Await(ctx, func() bool {
			next = h.next()
			return h.closing() || next != nil
		})
		if err != nil || h.closing() {
			return
		}
		a := *next
		h.saying = append(h.saying, a.Saying().ID)
		workflow.Go(ctx, func(ctx workflow.Context) { h.deliver(ctx, a) })
	}
}

// next returns the first announcement that may be sent and is not on its way, or
// nil. How something ended is said last: who hears of it first would wait for its
// end for ever.
func (h *herald[A]) next() *A {
	all := *h.unsaid
	for i := range all {
		s := all[i].Saying()
		more := func(before A) bool { return before.Saying().N == s.N }
		switch {
		case slices.Contains(h.saying, s.ID):
		case s.Kind == reconciliation.SaysClosed && slices.ContainsFunc(all[:i], more):
		default:
			return &all[i]
		}
	}
	return nil
}

// deliver has one announcement sent. What is not taken within a day is given up,
// with a line in the log: whoever looks finds the case all the same.
func (h *herald[A]) deliver(ctx workflow.Context, a A) {
	s := a.Saying()
	left := s.At.Add(announceWithin).Sub(workflow.Now(ctx))
	activity := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              ReconciliationQueue,
		ActivityID:             fmt.Sprintf("%s/%s%d %s", s.Type(), h.run, s.N, s.ID[len(s.ID)-4:]),
		StartToCloseTimeout:    callTimeout,
		ScheduleToCloseTimeout: max(left, time.Minute),
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 5 * time.Second, BackoffCoefficient: 2, MaximumInterval: 15 * time.Minute,
			MaximumAttempts: 10_000, // the time ends it; this bounds a receiver that asks for it again and again at once
		},
		Summary: "announce " + s.About() + " " + string(s.Kind),
	})
	err := workflow.ExecuteActivity(activity, h.act, a).Get(ctx, nil)
	if err != nil {
		workflow.GetLogger(ctx).Warn("an announcement is given up", "about", s.About(), "kind", string(s.Kind), "error", plainly(err))
	}
	*h.unsaid = slices.DeleteFunc(*h.unsaid, func(other A) bool { return other.Saying().ID == s.ID })
	h.saying = slices.DeleteFunc(h.saying, func(id string) bool { return id == s.ID })
	h.done(ctx, a, err)
}
