package virtual

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// The environment retries an activity ten times at most, does not retry one that
// timed out, and cannot lose the worker under it. So in a bubble each activity
// is scheduled once, and its attempts are made here, as the server has them made.

// patience is what an activity's options say about its attempts; it goes from
// the workflow to the attempts in the header.
type patience struct {
	Policy          *temporal.RetryPolicy
	StartToClose    time.Duration
	ScheduleToClose time.Duration
	Heartbeat       time.Duration
}

const patienceHeader = "virtual-patience"

// attempts is the interceptor by which the universe makes attempts.
type attempts struct {
	interceptor.WorkerInterceptorBase
	world *World
}

// InterceptWorkflow has every activity tell how patient it is.
func (x *attempts) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	i := &schedulingIn{world: x.world}
	i.Next = next
	return i
}

// InterceptActivity makes the attempts.
func (x *attempts) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &attempting{world: x.world}
	i.Next = next
	return i
}

type schedulingIn struct {
	interceptor.WorkflowInboundInterceptorBase
	world *World
}

func (s *schedulingIn) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	o := &scheduling{world: s.world}
	o.Next = outbound
	return s.Next.Init(o)
}

type scheduling struct {
	interceptor.WorkflowOutboundInterceptorBase
	world *World
	at    time.Time // when it last asked for the time
	n     int       // how often in that moment
}

// mostAsked is how often a run asks for the time in one moment at most. The engine's own
// watch over workflow code that never yields is asleep in a bubble.
const mostAsked = 100_000

// Now fails the world of a workflow that goes round in circles, and ends the workflow.
func (s *scheduling) Now(ctx workflow.Context) time.Time {
	now := s.Next.Now(ctx)
	if !now.Equal(s.at) {
		s.at, s.n = now, 0
	}
	if s.n++; s.n > mostAsked {
		id := workflow.GetInfo(ctx).WorkflowExecution.ID
		s.world.t.Errorf("%s goes round in circles at %s: it has asked for the time %d times in one moment", id, s.world.Age(), s.n)
		panic(id + " goes round in circles")
	}
	return now
}

func (s *scheduling) ExecuteActivity(ctx workflow.Context, activityType string, args ...any) workflow.Future {
	o := workflow.GetActivityOptions(ctx)
	payload, err := converter.GetDefaultDataConverter().ToPayload(patience{
		Policy: o.RetryPolicy, StartToClose: o.StartToCloseTimeout, ScheduleToClose: o.ScheduleToCloseTimeout, Heartbeat: o.HeartbeatTimeout,
	})
	if err != nil {
		panic(err) // four numbers
	}
	interceptor.WorkflowHeader(ctx)[patienceHeader] = payload
	return s.Next.ExecuteActivity(workflow.WithRetryPolicy(ctx, temporal.RetryPolicy{MaximumAttempts: 1}), activityType, args...)
}

// attempt is one attempt of an activity.
type attempt struct {
	world  *World
	name   string
	n      int32
	span   time.Duration      // its start-to-close time
	end    time.Time          // of that
	before *commonpb.Payloads // what the attempts before it told
	cancel context.CancelFunc // of its context
	gone   <-chan struct{}    // closed when the workflow gave up the activity
	dead   chan struct{}      // closed when its worker died
	every  time.Duration      // it must tell something so often; 0: never

	mu    sync.Mutex
	limit time.Time // when the server stops waiting for it
	told  *commonpb.Payloads
	fatal []*Crash // that wait for its completion
}

// attemptKey finds the attempt in a context, activityKey the name of its activity.
type (
	attemptKey  struct{}
	activityKey struct{}
)

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// die lets the worker die under the attempt.
func (a *attempt) die() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.isDead() {
		close(a.dead)
	}
}

func (a *attempt) isDead() bool {
	select {
	case <-a.dead:
		return true
	default:
		return false
	}
}

// stayDead keeps who is dead from doing anything, until the world ends.
func (a *attempt) stayDead() {
	if a != nil && a.isDead() {
		<-a.world.over
	}
}

type attempting struct {
	interceptor.ActivityInboundInterceptorBase
	world *World
}

func (x *attempting) Init(outbound interceptor.ActivityOutboundInterceptor) error {
	o := &telling{}
	o.Next = outbound
	return x.Next.Init(o)
}

func (x *attempting) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	w, info := x.world, activity.GetInfo(ctx)
	if info.WorkflowExecution.ID == rootID {
		return x.Next.ExecuteActivity(ctx, in) // a step of the universe itself
	}
	var p patience
	if payload := interceptor.Header(ctx)[patienceHeader]; payload != nil {
		if err := converter.GetDefaultDataConverter().FromPayload(payload, &p); err != nil {
			return nil, fmt.Errorf("read how patient activity %s is: %w", info.ActivityType.Name, err)
		}
	}
	gone, forget := w.activities.open(info.WorkflowExecution.RunID, info.ActivityID)
	defer forget()
	scheduled := w.Now()
	name := fmt.Sprintf("%s %s %06s", info.WorkflowExecution.ID, info.ActivityType.Name, info.ActivityID) // in order of their beginning
	ctx = context.WithValue(ctx, activityKey{}, name)
	var told *commonpb.Payloads
	var before error
	for n := int32(1); ; n++ {
		a := &attempt{
			world: w, n: n, before: told, dead: make(chan struct{}), gone: gone, told: told,
			name: fmt.Sprintf("%s/%d", name, n),
		}
		result, err := x.attempt(ctx, in, a, p, scheduled)
		if err == nil {
			return result, nil
		}
		told = a.last()
		wait, again := p.again(err, n, w.Now(), scheduled)
		if !again || w.pause(ctx, gone, wait) != nil {
			return nil, since(err, before)
		}
		before = err
	}
}

// since returns an activity's last error as the server tells of it: a time-out is
// caused by what the attempt before it failed of.
func since(err, before error) error {
	if timeout, ok := errors.AsType[*temporal.TimeoutError](err); ok {
		return temporal.NewTimeoutError(timeout.TimeoutType(), before)
	}
	return err
}

// attempt makes one attempt, when its turn comes.
func (x *attempting) attempt(ctx context.Context, in *interceptor.ExecuteActivityInput, a *attempt, p patience, scheduled time.Time) (any, error) {
	w := x.world
	if err := w.awaitUp(ctx, a.gone); err != nil {
		return nil, err
	}
	inside, cancel := context.WithCancel(context.WithValue(ctx, attemptKey{}, a))
	a.cancel = cancel
	defer cancel()
	w.enter(inside, "starts")
	a.every = p.Heartbeat
	a.span = p.limit(w.Now(), scheduled)
	a.begin()
	type outcome struct {
		result any
		err    error
		failed any
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			o.failed = recover()
			done <- o
		}()
		o.result, o.err = x.Next.ExecuteActivity(inside, in)
	}()
	var o outcome
	select {
	case o = <-done:
	case <-a.dead:
	}
	if a.isDead() {
		if err := w.pause(ctx, a.gone, a.until().Sub(w.Now())); err != nil {
			return nil, err
		}
		return nil, temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, nil)
	}
	if o.failed != nil {
		panic(o.failed)
	}
	if o.err == nil {
		w.acknowledged(a)
	}
	return o.result, o.err
}

// last is what the attempts told so far; the server keeps the latest.
func (a *attempt) last() *commonpb.Payloads {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.told
}

// limit is how long the server waits for an attempt that tells nothing.
func (p patience) limit(now, scheduled time.Time) time.Duration {
	least := time.Duration(math.MaxInt64)
	if p.StartToClose > 0 {
		least = p.StartToClose
	}
	if p.ScheduleToClose > 0 {
		least = min(least, scheduled.Add(p.ScheduleToClose).Sub(now))
	}
	return least
}

// begin begins its time: at first, and after polls that were left out, for which
// there would have been attempts of their own.
func (a *attempt) begin() {
	a.mu.Lock()
	a.end = a.world.Now().Add(a.span)
	a.mu.Unlock()
	a.alive()
}

// alive moves the limit of an attempt that told something, or began.
func (a *attempt) alive() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = a.end
	if next := a.world.Now().Add(a.every); a.every > 0 && next.Before(a.end) {
		a.limit = next
	}
}

func (a *attempt) until() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.limit
}

// again says whether the server has another attempt made after the n-th, and
// how long after.
func (p patience) again(err error, n int32, now, scheduled time.Time) (time.Duration, bool) {
	policy := temporal.RetryPolicy{}
	if p.Policy != nil {
		policy = *p.Policy
	}
	if policy.MaximumAttempts > 0 && n >= policy.MaximumAttempts || errors.Is(err, errOver) {
		return 0, false
	}
	if _, canceled := errors.AsType[*temporal.CanceledError](err); canceled {
		return 0, false
	}
	first := either(policy.InitialInterval, time.Second)
	most := either(policy.MaximumInterval, 100*first)
	wait := float64(first) * math.Pow(either(policy.BackoffCoefficient, 2), float64(n-1))
	delay := time.Duration(min(wait, float64(most)))
	if failed, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		if failed.NonRetryable() || slices.Contains(policy.NonRetryableErrorTypes, failed.Type()) {
			return 0, false
		}
		if next := failed.NextRetryDelay(); next > 0 {
			delay = next
		}
	}
	if p.ScheduleToClose > 0 && now.Add(delay).After(scheduled.Add(p.ScheduleToClose)) {
		return 0, false
	}
	return delay, true
}

// telling is what an activity learns about its attempt, and tells of it.
type telling struct {
	interceptor.ActivityOutboundInterceptorBase
}

func (t *telling) GetInfo(ctx context.Context) activity.Info {
	info := t.Next.GetInfo(ctx)
	if a := attemptOf(ctx); a != nil {
		info.Attempt = a.n
	}
	return info
}

func (t *telling) RecordHeartbeat(ctx context.Context, details ...any) {
	a := attemptOf(ctx)
	if a == nil || a.isDead() {
		return
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(details...)
	if err != nil {
		panic(fmt.Sprintf("heartbeat of %s: %v", a.name, err))
	}
	a.mu.Lock()
	a.told = payloads
	a.mu.Unlock()
	a.alive()
	select { // this is how an activity learns that it was given up
	case <-a.gone:
		a.cancel()
	default:
	}
}

func (t *telling) HasHeartbeatDetails(ctx context.Context) bool {
	a := attemptOf(ctx)
	return a != nil && a.before != nil
}

func (t *telling) GetHeartbeatDetails(ctx context.Context, into ...any) error {
	a := attemptOf(ctx)
	if a == nil || a.before == nil {
		return errors.New("no attempt before this one told anything")
	}
	return converter.GetDefaultDataConverter().FromPayloads(a.before, into...)
}

// activities are those that are open, so that one which is given up is told.
type activities struct {
	mu  sync.Mutex
	all map[string]chan struct{}
}

func (x *activities) open(run, id string) (gone <-chan struct{}, forget func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key, c := run+"#"+id, make(chan struct{})
	if x.all == nil {
		x.all = map[string]chan struct{}{}
	}
	x.all[key] = c
	return c, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.all[key] == c {
			delete(x.all, key)
		}
	}
}

// giveUp is the environment's listener.
func (x *activities) giveUp(info *activity.Info) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := info.WorkflowExecution.RunID + "#" + info.ActivityID
	if c := x.all[key]; c != nil {
		close(c)
		delete(x.all, key)
	}
}

var errGivenUp = errors.New("the workflow gave the activity up")

// pause waits between attempts.
func (w *World) pause(ctx context.Context, gone <-chan struct{}, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	passed := make(chan struct{})
	wake := func() {}
	if err := w.engine.inLoop(ctx, func() {
		wake = w.asleep.lie(ctx)
		w.env.RegisterDelayedCallback(func() { wake(); close(passed) }, d)
	}); err != nil {
		return err
	}
	var err error
	select {
	case <-passed:
	case <-gone:
		err = errors.Join(errGivenUp, w.engine.inLoop(ctx, func() { wake() }))
	case <-w.over:
		return errOver
	}
	w.goOn(ctx)
	return err
}
