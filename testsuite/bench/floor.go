package main

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// The floor: what an order of this shape costs on this engine when its calls do
// nothing and its workflow decides nothing.
const (
	floorType  = "BenchFloor"
	emptyType  = "BenchEmpty"
	noopName   = "BenchNoop"
	hold       = "hold"
	floorWait  = 15 * time.Second
	floorRetry = time.Second
)

// registerFloor registers the floor with the product's own workers: the first
// serves workflows, the others the systems' queues.
func registerFloor(all []worker.Worker) {
	all[0].RegisterWorkflowWithOptions(floorOrder, workflow.RegisterOptions{Name: floorType})
	all[0].RegisterWorkflowWithOptions(floorEmpty, workflow.RegisterOptions{Name: emptyType})
	for _, w := range all[1:] {
		w.RegisterActivityWithOptions(noop, activity.RegisterOptions{Name: noopName})
	}
}

func noop(context.Context) error { return nil }

// floorInput says how many signals come, for the workflow ends after the last.
type floorInput struct {
	Signals int `json:"signals"`
}

// floorOrder makes six calls, two in sequence and then four side by side, each
// on its system's queue, and takes in its signals.
func floorOrder(ctx workflow.Context, in floorInput) error {
	if err := workflow.SetUpdateHandler(ctx, workflows.SubmitUpdate, func(workflow.Context) error { return nil }); err != nil {
		return err
	}
	got := 0
	workflow.Go(ctx, func(ctx workflow.Context) {
		notices := workflow.GetSignalChannel(ctx, workflows.NoticeSignal)
		for notices.Receive(ctx, nil) {
			got++
		}
	})
	for _, system := range []order.System{order.SystemInventory, order.SystemPayment} {
		if err := floorCall(ctx, system).Get(ctx, nil); err != nil {
			return err
		}
	}
	var calls []workflow.Future
	for _, system := range []order.System{order.SystemWarehouse, order.SystemERP, order.SystemCRM, order.SystemMail} {
		calls = append(calls, floorCall(ctx, system))
	}
	for _, call := range calls {
		if err := call.Get(ctx, nil); err != nil {
			return err
		}
	}
	return workflow.Await(ctx, func() bool { return got >= in.Signals })
}

func floorCall(ctx workflow.Context, system order.System) workflow.Future {
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: workflows.SystemQueue(system), StartToCloseTimeout: floorWait,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: floorRetry},
	}), noopName)
}

// floorEmpty is the workflow of an empty update-with-start: it stays open, as
// an order does.
func floorEmpty(ctx workflow.Context) error {
	if err := workflow.SetUpdateHandler(ctx, workflows.SubmitUpdate, func(workflow.Context) error { return nil }); err != nil {
		return err
	}
	workflow.GetSignalChannel(ctx, hold).Receive(ctx, nil)
	return nil
}
