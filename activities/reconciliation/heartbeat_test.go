package reconciliation

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
)

// The SDK sends a heartbeat of later with the context of an earlier one, and takes the
// activity for cancelled when that is over: so none is told with the context of a part.
func TestHeartbeat_APartIsOver_TheActivityIsNotCancelled(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	heard := &hearing{}
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{heard}})
	parts := func(ctx context.Context) error {
		for _, beats := range []func(ctx context.Context, b *beating){
			func(ctx context.Context, _ *beating) { heartbeat(ctx, "order") },
			func(ctx context.Context, b *beating) { heartbeat(withBeats(ctx, b, time.Now), "order") },
			func(ctx context.Context, b *beating) { b.beat(ctx, progress{}, time.Now()) },
		} {
			part, over := context.WithTimeout(ctx, time.Minute)
			beats(part, &beating{})
			over()
		}
		return nil
	}
	env.RegisterActivity(parts)
	if _, err := env.ExecuteActivity(parts); err != nil {
		t.Fatal(err)
	}
	if len(heard.contexts()) != 3 {
		t.Fatalf("%d heartbeats were told, want 3", len(heard.contexts()))
	}
	for n, ctx := range heard.contexts() {
		if _, ends := ctx.Deadline(); ends || ctx.Err() != nil {
			t.Errorf("heartbeat %d is sent with a context that is over: %v", n+1, ctx.Err())
		}
	}
}

// What is asked while the activity says that it lives answers as it would without, also
// where there is no activity.
func TestBeatingWhile_ReturnsWhatItsCallDoes(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	if err := beatingWhile(t.Context(), "x", func() error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("without an activity it says %v", err)
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	asked := func(ctx context.Context) (string, error) {
		err := beatingWhile(ctx, "x", func() error { return wrong })
		return err.Error(), nil
	}
	env.RegisterActivity(asked)
	value, err := env.ExecuteActivity(asked)
	var said string
	if err == nil {
		err = value.Get(&said)
	}
	if err != nil || said != wrong.Error() {
		t.Errorf("in an activity it says %q, %v", said, err)
	}
}

// hearing keeps the contexts of heartbeats.
type hearing struct {
	interceptor.WorkerInterceptorBase
	interceptor.ActivityInboundInterceptorBase
	interceptor.ActivityOutboundInterceptorBase

	mu  sync.Mutex
	all []context.Context
}

// contexts are those of the heartbeats so far.
func (h *hearing) contexts() []context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

func (h *hearing) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	h.ActivityInboundInterceptorBase.Next = next
	return h
}

func (h *hearing) Init(next interceptor.ActivityOutboundInterceptor) error {
	h.ActivityOutboundInterceptorBase.Next = next
	return h.ActivityInboundInterceptorBase.Next.Init(h)
}

func (h *hearing) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	return h.ActivityInboundInterceptorBase.ExecuteActivity(ctx, in)
}

func (h *hearing) RecordHeartbeat(ctx context.Context, details ...any) {
	h.mu.Lock()
	h.all = append(h.all, ctx)
	h.mu.Unlock()
	h.ActivityOutboundInterceptorBase.RecordHeartbeat(ctx, details...)
}
