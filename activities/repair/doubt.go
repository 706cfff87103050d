package repair

import (
	"context"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// What is in doubt stays in doubt until a system answers. The engine repeats a
// call that failed and keeps the last error alone: a call whose answer was lost,
// and then a system that is down, would pass for a call that never was.

// changes marks the inputs of activities that change a system.
func (Write[R]) changes() {}

type change interface{ changes() }

// trouble is what one attempt leaves for the next. It names the attempt that told
// it: the engine hands the last that was told to every attempt after, also to one
// whose forerunner died.
type trouble struct {
	Doubt   bool  `json:"doubt"`
	Attempt int32 `json:"attempt,omitempty"`
}

// Doubts returns what every worker of activities is to be made with: an attempt
// of a change that fails tells the next one, by a heartbeat, whether it may have
// had an effect, and one that fails after an attempt which may is in doubt too,
// whatever its own reason. A repair that is stopped then ends all the same, and says
// so. An attempt that told nothing died, and may have.
func Doubts() interceptor.WorkerInterceptor { return &doubts{} }

type doubts struct {
	interceptor.WorkerInterceptorBase
}

func (*doubts) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	d := &doubting{}
	d.Next = next
	return d
}

type doubting struct {
	interceptor.ActivityInboundInterceptorBase
}

func (d *doubting) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	result, err := d.Next.ExecuteActivity(ctx, in)
	switch stopped, _ := WasStopped(err); {
	case err == nil || !changesSystem(in.Args):
		return result, err
	case stopped && MayHaveBeen(ctx):
		return result, stoppedInDoubt(err)
	case apierr.Final(err):
		return result, err
	}
	doubt := apierr.CodeOf(err) == apierr.InDoubt
	if !doubt && MayHaveBeen(ctx) {
		doubt, err = true, apierr.StillInDoubt(err)
	}
	activity.RecordHeartbeat(ctx, trouble{Doubt: doubt, Attempt: activity.GetInfo(ctx).Attempt})
	return result, err
}

func changesSystem(arguments []any) bool {
	if len(arguments) == 0 {
		return false
	}
	_, is := arguments[0].(change)
	return is
}

// MayHaveBeen says that an earlier attempt of this activity may have had an effect.
func MayHaveBeen(ctx context.Context) bool {
	attempt := activity.GetInfo(ctx).Attempt
	if attempt == 1 {
		return false
	}
	var before trouble
	if !activity.HasHeartbeatDetails(ctx) || activity.GetHeartbeatDetails(ctx, &before) != nil {
		return true
	}
	return before.Doubt || before.Attempt != attempt-1
}
