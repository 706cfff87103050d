package virtual

import (
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"
)

// told tells of every activity that a workflow schedules, as the server would show
// it in the history: see World.Scheduled.
type told struct {
	interceptor.WorkerInterceptorBase
	world *World
}

// InterceptWorkflow has every workflow tell.
func (x *told) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	i := &toldIn{world: x.world}
	i.Next = next
	return i
}

type toldIn struct {
	interceptor.WorkflowInboundInterceptorBase
	world *World
}

func (i *toldIn) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	o := &toldOut{world: i.world}
	o.Next = outbound
	return i.Next.Init(o)
}

type toldOut struct {
	interceptor.WorkflowOutboundInterceptorBase
	world *World
}

func (o *toldOut) ExecuteActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	if o.world.Scheduled != nil {
		o.world.Scheduled(workflow.GetInfo(ctx).WorkflowExecution.ID, activity, workflow.GetActivityOptions(ctx))
	}
	return o.Next.ExecuteActivity(ctx, activity, args...)
}
