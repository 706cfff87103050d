package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// hangs is a system whose lists answer after a while, or never well.
type hangs struct {
	Reader
	long time.Duration
}

func (h hangs) List(context.Context, reconcile.ListRequest) (reconcile.Page, error) {
	time.Sleep(h.long)
	return reconcile.Page{}, errors.New("i/o timeout")
}

// A feed that hangs for as long as its client waits says all the while that its worker
// is alive: the server would give all feeds to another one, which would hang as well.
func TestFollowChanges_AFeedHangs_HeartbeatsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		heard := &hearing{}
		env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{heard}})
		a := &Activities{Readers: []SystemReader{{order.SystemMail, hangs{long: 30 * time.Second}}}, Now: time.Now}
		env.RegisterActivity(a.FollowChanges)
		if _, err := env.ExecuteActivity(a.FollowChanges, Follow{Systems: []order.System{order.SystemMail}, Since: time.Now(), Polls: 1}); err != nil {
			t.Fatal(err)
		}
		if n := len(heard.contexts()); n < 6 {
			t.Errorf("in half a minute %d heartbeats were told", n)
		}
	})
}

// A system that does not answer is asked for a few levels, and not for each.
func TestCompareStock_InventoryHangs_IsNotAskedForEach(t *testing.T) {
	t.Parallel()
	var skus []string
	for n := range 50 {
		skus = append(skus, fmt.Sprintf("SKU-%02d", n))
	}
	d := &depot{away: true}
	out, _ := d.compare(t, 0, skus...)
	if d.looked > mostFailed {
		t.Errorf("it was asked %d times", d.looked)
	}
	if len(out.Unseen) != 50 || !slices.Equal(out.Unread, []order.System{order.SystemInventory}) || out.Compared != 0 {
		t.Errorf("%d levels were not seen, unread is %v, compared %d", len(out.Unseen), out.Unread, out.Compared)
	}
}

// takesNothing is inventory while it takes no writes, and orders that answer.
type takesNothing struct {
	Orders
	asked int
	err   error
}

func (o *takesNothing) Align(context.Context, string, StockChange) (reconcile.Level, error) {
	o.asked++
	return reconcile.Level{}, o.err
}

func (o *takesNothing) Confirm(_ context.Context, id order.ID, _ Confirmation) (Confirmed, error) {
	o.asked++
	return Confirmed{Order: id, Agreement: reconcile.Agreed}, nil
}

// levels are some that differ, with a grant each.
func levelsAtOdds(n int) (levels []levelLooked, granted Granted) {
	for k := range n {
		s := StockSuspect{SKU: fmt.Sprintf("SKU-%02d", k), Level: 9, Count: 10, Seen: noon}
		step := reconcile.Step{Break: s.asBreak(), Decision: reconcile.Repair}
		levels = append(levels, levelLooked{suspect: s, step: step})
		granted.Grants = append(granted.Grants, repair.Grant{N: int64(k + 1), For: reconcile.WantOf("", "", step)})
	}
	return levels, granted
}

func inActivity(t *testing.T, do func(ctx context.Context)) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	act := func(ctx context.Context) error { do(ctx); return nil }
	env.RegisterActivity(act)
	if _, err := env.ExecuteActivity(act); err != nil {
		t.Fatal(err)
	}
}

// While inventory takes nothing a run tries some levels, leaves the others to the next
// with their grants, and each run begins with another one. Where repairs are stopped no
// grant is used.
func TestAlignStock_InventoryTakesNothing_TheRestIsLeft(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		unused int
	}{
		"it is down":             {apierr.New(apierr.Unavailable, "", errors.New("HTTP 503")), 40 - mostFailed},
		"it lets us wait":        {apierr.New(apierr.RateLimited, "", errors.New("HTTP 429")), 40 - mostFailed},
		"it cannot be read":      {temporal.NewNonRetryableApplicationError("the warehouse does not count it", LevelUnreadReason, nil), 40},
		"it is stopped":          {stoppedRepair(repair.StoppedReason), 40},
		"it is stopped too late": {stoppedRepair("repair_stopped_in_doubt"), 40 - mostFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			firsts := map[int]bool{}
			for run := range 20 {
				o := &takesNothing{err: c.err}
				a := &Activities{Orders: o, Now: func() time.Time { return noon }}
				x := &acting{align: a.alignLevel}
				levels, granted := levelsAtOdds(40)
				inActivity(t, func(ctx context.Context) {
					a.alignStock(ctx, Confirm{Run: fmt.Sprint("run ", run)}, levels, granted, x)
				})
				if o.asked != mostFailed || len(x.out.Unused) != c.unused || x.out.Stock.Repaired != 0 || x.out.Stock.Found != 40 {
					t.Fatalf("of 40 levels %d were tried and %d grants given back: %+v", o.asked, len(x.out.Unused), x.out.Stock)
				}
				for n, line := range x.out.StockLines {
					if !strings.HasPrefix(line, fmt.Sprintf("stock SKU-%02d: ", n)) {
						t.Fatalf("line %d is %q", n, line)
					}
					if !strings.Contains(line, "it was not asked, after 3 calls in a row that failed: ") {
						firsts[n] = true
					}
				}
			}
			if len(firsts) < 20 {
				t.Errorf("in 20 runs only %d of 40 were tried", len(firsts))
			}
		})
	}
}

// stoppedRepair is the error of a repair that was stopped at the last hop.
func stoppedRepair(reason string) error {
	return temporal.NewApplicationErrorWithOptions("repair refused: it is stopped", string(apierr.Declined), temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{reason}})
}

// An activity knows which attempt it is.
func TestAttemptOf_TheSecond(t *testing.T) {
	t.Parallel()
	var got []int32
	act := func(ctx context.Context) error {
		got = append(got, attemptOf(ctx))
		if len(got) == 1 {
			return errors.New("the worker is tired")
		}
		return nil
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(act)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute}), act).Get(ctx, nil)
	})
	if !slices.Equal(got, []int32{1, 2}) || attemptOf(t.Context()) != 0 {
		t.Errorf("the attempts are %v", got)
	}
}

// A run that has acted for too long begins nothing more: what is left is named, and its
// grants are given back.
func TestAct_TakesTooLong_TheRestIsLeft(t *testing.T) {
	t.Parallel()
	o := &takesNothing{}
	a := &Activities{Orders: o, Now: func() time.Time { return noon }}
	x := &acting{align: a.alignLevel, until: noon.Add(-time.Second)}
	x.confirm = func(ctx context.Context, l looked, c Confirmation) (Confirmed, error) {
		return a.Orders.Confirm(ctx, l.suspect.Order, c)
	}
	levels, granted := levelsAtOdds(2)
	granted.Grants = append(granted.Grants, repair.Grant{N: 3, For: reconcile.Want{Order: "1"}})
	inActivity(t, func(ctx context.Context) {
		a.alignStock(ctx, Confirm{Run: "run"}, levels, granted, x)
		if err := a.handOut(ctx, Confirm{Run: "run"}, []looked{{suspect: Suspect{Order: "1"}}, {suspect: Suspect{Order: "2"}}}, granted, x); err != nil {
			t.Error(err)
		}
	})
	if o.asked != 0 || !slices.Equal(x.out.Unanswered, []order.ID{"1", "2"}) || !slices.Equal(x.out.Unused, []int64{1, 2, 3}) {
		t.Errorf("asked %d times, unanswered %v, unused %v", o.asked, x.out.Unanswered, x.out.Unused)
	}
}
