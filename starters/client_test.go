package starters_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/internal/memory"
	"github.com/trueup-orders/trueup/workflows"
)

// remembers is an engine that says since when it remembers, or why it does not.
type remembers struct {
	starters.Engine
	since time.Time
	err   error
	chain string    // of its reconciliation's runs
	told  time.Time // what the last order that was started was told
}

func (r *remembers) Query(ctx context.Context, id, _ string, _, result any) error {
	if id != workflows.ReconciliationID {
		return errors.New("not asked for here")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.err == nil {
		result.(*reconciliation.Status).Since = r.since
	}
	return r.err
}

func (r *remembers) Chain(ctx context.Context, _ string) (string, error) {
	if errors.Is(r.err, starters.ErrNotFound) {
		return "", r.err
	}
	return r.chain, ctx.Err()
}

func (r *remembers) Submit(_ context.Context, s starters.Start, _ starters.Message, _ any) error {
	r.told = s.Input.(workflows.OrderInput).EngineSince
	return starters.ErrNotAnswered
}

// oneMug is the order 1.
func oneMug(placed time.Time) order.Order {
	return order.Order{
		ID: "1", PlacedAt: placed, Channel: "shop",
		Customer: order.Customer{ID: "c-1", Email: "ada@example.com", Name: "Ada Lovelace"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "1 Main St", City: "Paris", PostalCode: "75001", Country: "FR"},
		Currency: "EUR", Lines: []order.Line{{SKU: "MUG", Quantity: 1, UnitPrice: 2500}}, Total: 2500,
		Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip},
	}
}

// submitted is an order of an hour ago.
func (r *remembers) submitted(t *testing.T, c *starters.Client) {
	t.Helper()
	r.submittedBy(t.Context(), t, c)
}

func (r *remembers) submittedBy(ctx context.Context, t *testing.T, c *starters.Client) {
	t.Helper()
	if _, err := c.Submit(ctx, oneMug(c.Now().Add(-time.Hour))); !errors.Is(err, starters.ErrNotAnswered) {
		t.Fatal(err)
	}
}

func TestSubmit_SinceWhenTheEngineRemembers_AsFarAsItIsKnown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	began := now.Add(-30 * 24 * time.Hour)
	for name, tt := range map[string]struct {
		err  error
		want time.Time
	}{
		"it says":                           {nil, began},
		"nobody has started reconciliation": {starters.ErrNotFound, now},
		"nobody answers":                    {context.DeadlineExceeded, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := &remembers{since: began, err: tt.err}
			engine.submitted(t, &starters.Client{Engine: engine, Now: func() time.Time { return now }})
			if !engine.told.Equal(tt.want) {
				t.Errorf("the order was told %s, want %s", engine.told, tt.want)
			}
		})
	}
}

// remembered is an engine that has remembered for a month, by a client that has asked it,
// at a moment that goes on as it is moved.
func remembered(t *testing.T) (now *time.Time, engine *remembers, c *starters.Client) {
	t.Helper()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	engine = &remembers{since: at.Add(-30 * 24 * time.Hour), chain: "of then"}
	c = &starters.Client{Engine: engine, Now: func() time.Time { return at }}
	engine.submitted(t, c)
	return &at, engine, c
}

// An engine that has lost its data is not taken for the one that was asked before.
func TestSubmit_EngineLostItsDataMeanwhile_IsAskedAgain(t *testing.T) {
	t.Parallel()
	now, engine, c := remembered(t)
	engine.err = starters.ErrNotFound
	*now = now.Add(time.Hour)
	lost := *now
	if engine.submitted(t, c); !engine.told.Equal(lost) {
		t.Errorf("the order was told %s, want %s", engine.told, lost)
	}
	engine.err, engine.chain = context.DeadlineExceeded, "anew" // a worker has just started it
	*now = now.Add(10 * time.Second)
	if engine.submitted(t, c); !engine.told.Equal(lost) {
		t.Errorf("then the order was told %s, want %s", engine.told, lost)
	}
	*now = now.Add(time.Minute)
	if engine.submitted(t, c); !engine.told.IsZero() {
		t.Errorf("after a minute the order was told %s; want nothing", engine.told)
	}
}

// Who does not wait for an answer is told what the engine says now all the same.
func TestSubmit_EngineLostItsDataAndTheCallerDoesNotWait_IsAskedAgain(t *testing.T) {
	t.Parallel()
	now, engine, c := remembered(t)
	engine.err = starters.ErrNotFound
	*now = now.Add(10 * time.Minute)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if engine.submittedBy(over, t, c); !engine.told.Equal(*now) {
		t.Errorf("the order was told %s, want %s", engine.told, *now)
	}
}

// From the time that workers start reconciliation on an emptied engine until it has
// begun, nobody answers there either: the engine shows that it is another one.
func TestSubmit_NobodyAnswersOnAnEngineThatLostItsData_NothingIsBelieved(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, then := range []string{"of then", ""} { // nobody could say which it was
		engine := &remembers{since: now.Add(-30 * 24 * time.Hour), chain: then}
		at := now
		c := &starters.Client{Engine: engine, Now: func() time.Time { return at }}
		engine.submitted(t, c)
		engine.err = context.DeadlineExceeded
		if then != "" {
			engine.chain = "anew"
		}
		at = at.Add(10 * time.Minute)
		if engine.submitted(t, c); !engine.told.IsZero() {
			t.Errorf("after %q the order was told %s; want nothing", then, engine.told)
		}
	}
}

// While workers are deployed nobody answers, and the engine remembers all the same.
func TestSubmit_NobodyAnswersForAWhile_WhatIsKnownIsBelieved(t *testing.T) {
	t.Parallel()
	now, engine, c := remembered(t)
	engine.err = context.DeadlineExceeded
	*now = now.Add(10 * time.Minute)
	if engine.submitted(t, c); !engine.told.Equal(engine.since) {
		t.Errorf("the order was told %s, want %s", engine.told, engine.since)
	}
	*now = now.Add(time.Hour)
	if engine.submitted(t, c); !engine.told.IsZero() {
		t.Errorf("after more than an hour the order was told %s; want nothing", engine.told)
	}
}

// The engine lets ten updates of a workflow be open at a time: a wish that is sent
// again while the warehouse does not answer is the one that is open.
func TestCancel_AskedAgainWhileItIsOpen_OneUpdate(t *testing.T) {
	t.Parallel()
	now, ids := noon, map[string]bool{}
	engine := &memory.Engine{Answer: func(_ string, m starters.Message) (any, error) {
		if m.Name == workflows.CancelUpdate {
			ids[m.ID] = true
		}
		return nil, starters.ErrNotAnswered
	}}
	c := &starters.Client{Engine: engine, Now: func() time.Time { return now }}
	started(t, engine)
	for range 20 {
		now = now.Add(10 * time.Minute)
		if a, err := c.Cancel(t.Context(), "1", workflows.Cancel{By: "ada", Reason: "changed my mind"}); err != nil || a.Pending == "" {
			t.Fatalf("the answer is %+v, %v", a, err)
		}
	}
	if len(ids) != 1 {
		t.Errorf("%d updates are open; want one", len(ids))
	}
}

// Who does not wait for an answer opens no more updates than who does.
func TestCancel_AskedAgainByWhoDoesNotWait_TwoUpdatesAtMost(t *testing.T) {
	t.Parallel()
	for name, wants := range map[string]struct {
		verdict error // what the order says of where it stands
		ids     int
	}{
		"the order says that it is being taken back": {nil, 2},
		"nobody says where it stands":                {errors.New("no answer"), 1},
	} {
		now := noon
		engine := &sends{Engine: &memory.Engine{}, verdict: wants.verdict, ids: map[string]bool{}}
		c := &starters.Client{Engine: engine, Now: func() time.Time { return now }}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			now = now.Add(time.Minute)
			a, err := c.Cancel(over, "1", workflows.Cancel{By: "ada", Reason: "changed my mind"})
			switch {
			case wants.verdict == nil && (err != nil || a.Pending == ""):
				t.Fatalf("%s: the answer is %+v, %v", name, a, err)
			case wants.verdict != nil && !errors.Is(err, starters.ErrNotAnswered):
				t.Fatalf("%s: the answer is %+v, %v; want that nobody answers", name, a, err)
			}
		}
		if len(engine.ids) != wants.ids {
			t.Errorf("%s: %d updates were sent; want %d", name, len(engine.ids), wants.ids)
		}
	}
}

// The attempts of a run ask for grants under ids of their own: the engine would answer the
// second with the grants of the first, which may have given them back.
func TestGrant_EachPartOfEachAttempt_AnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	engine := &grants{}
	c := &starters.Client{Engine: engine, Now: time.Now}
	for _, r := range []reconciliation.GrantRequest{{Attempt: 1}, {Attempt: 1, Part: 1}, {Attempt: 2}, {Attempt: 2, Part: 1}, {Attempt: 2}} {
		r.Run = "run"
		if _, err := c.Grant(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"grant-run-0", "grant-run-1", "grant-run-0 again 2", "grant-run-1 again 2", "grant-run-0 again 2"}; !slices.Equal(engine.ids, want) {
		t.Errorf("the ids are %q, want %q", engine.ids, want)
	}
}

// grants is an engine that keeps the ids of what it is asked.
type grants struct {
	starters.Engine
	ids []string
}

func (g *grants) Message(_ context.Context, _ string, m starters.Message, _ any) error {
	g.ids = append(g.ids, m.ID)
	return nil
}

// sends is an engine that has refused a cancellation once and keeps the next one open.
type sends struct {
	*memory.Engine
	verdict error
	ids     map[string]bool
}

func (s *sends) Message(ctx context.Context, _ string, m starters.Message, result any) error {
	s.ids[m.ID] = true
	switch {
	case ctx.Err() != nil:
		return starters.ErrNotAnswered
	case len(s.ids) == 1 || strings.Count(m.ID, "-") == 1:
		*result.(*workflows.CancelAnswer) = workflows.CancelAnswer{Order: "1", Refused: "it is packed", Call: 1}
	}
	return nil
}

func (s *sends) Query(ctx context.Context, _, _ string, _, result any) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	phase := order.PhaseAccepted
	if len(s.ids) > 1 {
		phase = order.PhaseCancelling
	}
	result.(*reconcile.Verdict).Phase = phase
	return s.verdict
}

// What was refused once may be granted by now, and who is refused for the first time
// is not asked for twice. While the order is being taken back nothing more is sent.
func TestCancel_RefusedBefore_IsAskedAnew(t *testing.T) {
	t.Parallel()
	now, asked := noon, 0
	answer, phase := workflows.CancelAnswer{Order: "1", Refused: "it is packed"}, order.PhaseAccepted
	engine := &memory.Engine{Answer: func(_ string, m starters.Message) (any, error) {
		switch m.Name {
		case workflows.CancelUpdate:
			asked++
			a := answer
			a.Call = m.Argument.(workflows.Cancel).Call
			return a, nil
		case workflows.VerdictQuery:
			return reconcile.Verdict{Phase: phase}, nil
		}
		return nil, starters.ErrNotAnswered
	}}
	c := &starters.Client{Engine: engine, Now: func() time.Time { return now }}
	started(t, engine)
	cancel := func(sent int) workflows.CancelAnswer {
		t.Helper()
		a, err := c.Cancel(t.Context(), "1", workflows.Cancel{By: "ada", Reason: "changed my mind"})
		if err != nil || a.Call != 0 || asked != sent {
			t.Fatalf("the answer is %+v, %v after %d updates; want %d", a, err, asked, sent)
		}
		return a
	}
	if a := cancel(1); a.Refused == "" {
		t.Errorf("the first answer is %+v", a)
	}
	now, phase = now.Add(time.Hour), order.PhaseCancelling
	if a := cancel(1); a.Pending == "" {
		t.Errorf("while it is taken back the answer is %+v", a)
	}
	phase, answer = order.PhaseAccepted, workflows.CancelAnswer{Order: "1", Cancelled: true}
	if a := cancel(2); !a.Cancelled {
		t.Errorf("an hour later the answer is %+v", a)
	}
	if a := cancel(2); !a.Cancelled {
		t.Errorf("asked again the answer is %+v", a)
	}
}

// opening is an engine on which somebody else re-opens an order as soon as a message was
// told that it is closed, so often; what its run leaves is known when that closes.
type opening struct {
	starters.Engine
	times int
	sent  int
}

func (o *opening) closed() bool {
	o.sent++
	return o.sent <= o.times
}

func (o *opening) Message(ctx context.Context, id string, m starters.Message, result any) error {
	if o.closed() {
		return starters.ErrClosed
	}
	return o.Engine.Message(ctx, id, m, result)
}

func (o *opening) Submit(ctx context.Context, s starters.Start, m starters.Message, result any) error {
	if o.closed() {
		return starters.ErrClosed
	}
	return o.Engine.Submit(ctx, s, m, result)
}

func (o *opening) Result(ctx context.Context, _ string, _ any) error {
	<-ctx.Done()
	return ctx.Err()
}

// Two have news of a closed order, and the other one has re-opened it: it takes the
// message as it runs, and nobody waits until it closes.
func TestMessage_ReopenedBySomebodyElse_SentAgain(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(ctx context.Context, c *starters.Client) error{
		"news": func(ctx context.Context, c *starters.Client) error {
			return c.Notify(ctx, reconciliation.Notices{Order: "1", Notices: []reconciliation.Notice{{ID: "n", System: order.SystemERP}}})
		},
		"the order itself": func(ctx context.Context, c *starters.Client) error {
			_, err := c.Submit(ctx, oneMug(clock().Add(-time.Hour)))
			return err
		},
	} {
		for times, sent := range map[int]bool{1: true, 2: true, 3: false} {
			synctest.Test(t, func(t *testing.T) {
				engine := &opening{Engine: &memory.Engine{}, times: times}
				if name == "news" {
					started(t, engine.Engine)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				before := time.Now()
				err := send(ctx, &starters.Client{Engine: engine, Now: clock})
				if took := time.Since(before); (err == nil) != sent || took > 20*time.Second {
					t.Errorf("%s of an order that was re-opened %d times meanwhile: %v after %s", name, times, err, took)
				}
				if !sent && (errors.Is(err, starters.ErrNotAnswered) || !strings.Contains(err.Error(), "send the same again")) {
					t.Errorf("%s is answered %v", name, err)
				}
			})
		}
	}
}

// Who gives up before the engine has answered is told that, and nothing is sent again.
func TestMessage_CallerGivesUpMeanwhile_NotSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := &opening{Engine: &memory.Engine{}, times: 1}
		started(t, engine.Engine)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := (&starters.Client{Engine: engine, Now: clock}).Notify(ctx, reconciliation.Notices{Order: "1"})
		if !errors.Is(err, context.DeadlineExceeded) || engine.sent != 1 {
			t.Errorf("it is answered %v after %d messages", err, engine.sent)
		}
	})
}

// A cancellation that came to nothing in the engine, as when somebody cancelled the
// workflow there while it was open, is none: the engine answers its name so for ever.
func TestCancel_TheFirstEndedWithAnError_IsAskedAnew(t *testing.T) {
	t.Parallel()
	wrong := errors.New("a nil map")
	for name, c := range map[string]struct {
		first error
		want  error // nil: it is asked anew
	}{
		"cancelled in the engine": {temporal.NewCanceledError(), nil},
		"a worker's mistake":      {temporal.NewNonRetryableApplicationError("a nil map", "PanicError", wrong), nil},
		"refused":                 {temporal.NewNonRetryableApplicationError("it has failed", workflows.RefusedReason, nil), starters.ErrNotNow},
		"the engine is away":      {wrong, wrong},
		"its last run failed":     {fmt.Errorf("%w: %w", starters.ErrStopped, temporal.NewCanceledError()), starters.ErrStopped},
	} {
		sent := 0
		engine := &memory.Engine{Answer: func(_ string, m starters.Message) (any, error) {
			if m.Name == workflows.VerdictQuery {
				return reconcile.Verdict{Phase: order.PhaseAccepted}, nil
			}
			if sent++; strings.Count(m.ID, "-") == 1 {
				return nil, c.first
			}
			return workflows.CancelAnswer{Order: "1", Cancelled: true}, nil
		}}
		client := &starters.Client{Engine: engine, Now: clock}
		started(t, engine)
		a, err := client.Cancel(t.Context(), "1", workflows.Cancel{By: "ada", Reason: "changed my mind"})
		if !errors.Is(err, c.want) || a.Cancelled != (c.want == nil) || c.want != nil && sent != 1 {
			t.Errorf("%s: the answer is %+v, %v after %d updates", name, a, err, sent)
		}
	}
}

// started has the order 1 run on an engine.
func started(t *testing.T, engine starters.Engine) {
	t.Helper()
	err := engine.Submit(t.Context(), starters.Start{Type: workflows.OrderType, ID: workflows.OrderWorkflowID("1")}, starters.Message{}, nil)
	if err != nil {
		t.Fatal(err)
	}
}
