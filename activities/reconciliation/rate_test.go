package reconciliation

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// crew are orders that have nothing to say, and systems that are only counted.
type crew struct {
	Keeper
	Orders
	lookups, told, again atomic.Int32
	limit                error // of each look-up
}

func (c *crew) Status(context.Context) (Status, error)                   { return Status{}, nil }
func (c *crew) Report(_ context.Context, r RunReport) (RunReport, error) { return r, nil }
func (c *crew) List(context.Context, reconcile.ListRequest) (reconcile.Page, error) {
	return reconcile.Page{}, nil
}

func (c *crew) Lookup(context.Context, reconcile.Subject) (reconcile.Observation, error) {
	c.lookups.Add(1)
	return reconcile.Observation{State: reconcile.Absent}, c.limit
}

func (c *crew) Rehearse(_ context.Context, _ order.ID, r Rehearsal) (Rehearsed, error) {
	if len(r.Second.Seen) > 0 {
		c.again.Add(1)
	}
	return Rehearsed{Again: []order.System{order.SystemERP}}, nil
}

func (c *crew) Confirm(context.Context, order.ID, Confirmation) (Confirmed, error) {
	c.told.Add(1)
	return Confirmed{}, nil
}

// acts runs what an activity does, and returns how long it took.
func (c *crew) acts(t *testing.T, s Sweeps, do func(context.Context, *Activities, []Suspect) error) time.Duration {
	t.Helper()
	a := &Activities{Keeper: c, Orders: c, Policy: reconcile.Default(), Sweeps: s, Now: time.Now,
		Wait: func(_ context.Context, d time.Duration) error { time.Sleep(d); return nil }}
	for _, system := range order.Systems() {
		a.Readers = append(a.Readers, SystemReader{System: system, Reader: c})
	}
	var suspects []Suspect
	for n := range 10 {
		id := order.ID(fmt.Sprint(n))
		suspects = append(suspects, Suspect{Order: id, Subject: reconcile.Subject{Order: id}})
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetTestTimeout(time.Minute)
	act := func(ctx context.Context) error { return do(ctx, a, suspects) }
	env.RegisterActivity(act)
	began := time.Now()
	if _, err := env.ExecuteActivity(act); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// What rehearsing and confirming read they read at the rate of the run or sweep that
// they are a part of, and orders are told to look again no faster.
func TestActing_ReadsAtTheRateOfItsRunOrSweep(t *testing.T) {
	t.Parallel()
	confirm := func(ctx context.Context, a *Activities, suspects []Suspect) error {
		_, err := a.ConfirmSuspects(ctx, Confirm{Suspects: suspects})
		return err
	}
	rehearse := func(ctx context.Context, a *Activities, suspects []Suspect) error {
		_, err := a.RehearseRun(ctx, Confirm{Suspects: suspects})
		return err
	}
	sweep := func(ctx context.Context, a *Activities, suspects []Suspect) error {
		d := &days{a: a, in: SweepDays{Run: "s"}, SweepState: SweepState{Plan: &SweepPlan{Shards: 1}, Swept: &SweptShard{Suspects: suspects}}}
		return d.confirm(ctx)
	}
	run, swept := Sweeps{RunPerSecond: 50, PerSecond: 1e6}, Sweeps{RunPerSecond: 1e6, PerSecond: 50}
	for name, c := range map[string]struct {
		rate        Sweeps
		do          func(context.Context, *Activities, []Suspect) error
		told, again int32
	}{
		"a run":       {run, confirm, 10, 0},
		"a rehearsal": {run, rehearse, 0, 10},
		"a sweep":     {swept, sweep, 10, 0},
	} {
		crew := &crew{}
		took := crew.acts(t, c.rate, c.do)
		// Ten reads of each system, and then ten of one, or ten orders told.
		if least := 19 * time.Second / 50; took < least {
			t.Errorf("%s took %s, at its rate it takes %s", name, took, least)
		}
		if crew.lookups.Load() != 60+c.again || crew.told.Load() != c.told || crew.again.Load() != c.again {
			t.Errorf("%s made %d look-ups, told %d orders and asked %d once more", name, crew.lookups.Load(), crew.told.Load(), crew.again.Load())
		}
	}
}

// few are a keeper whose incident has room for the names of two orders, and orders of
// which each would be repaired.
type few struct{ *crew }

func (few) Status(context.Context) (Status, error) {
	return Status{Groups: []Group{{N: 1, Kind: theDeal.Kind(), State: GroupOpen}}}, nil
}

func (few) Members(context.Context) ([]Members, error) {
	return []Members{{Group: 1, Of: []string{"0", "1"}}}, nil
}

func (f few) Grant(ctx context.Context, r GrantRequest) (Granted, error) {
	s, err := f.Status(ctx)
	return Granted{Groups: s.Groups}, err
}

func (few) Rehearse(_ context.Context, id order.ID, _ Rehearsal) (Rehearsed, error) {
	return Rehearsed{Confirmed: Confirmed{Order: id}, Steps: []reconcile.Step{{Break: theDeal, Decision: reconcile.Repair}}, Fresh: []bool{true}}, nil
}

var theDeal = reconcile.Break{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Missing}

// What a sweep leaves to an incident is named by it, or by the sweep.
func TestSweepDays_LeftToAnIncidentThatIsFull_NamedAsExceptions(t *testing.T) {
	t.Parallel()
	var named []order.ID
	crew := &crew{}
	crew.acts(t, Sweeps{RunPerSecond: 1e6, PerSecond: 1e6}, func(ctx context.Context, a *Activities, suspects []Suspect) error {
		a.Keeper, a.Orders, a.Thresholds = few{crew}, few{crew}, reconcile.DefaultThresholds()
		d := &days{a: a, in: SweepDays{Run: "s"}, SweepState: SweepState{
			Plan: &SweepPlan{Shards: 1}, Swept: &SweptShard{Suspects: suspects[:4], Looked: 4}, Report: RunReport{Swept: &Swept{}},
		}}
		err := d.confirm(ctx)
		for _, e := range d.Report.Swept.Exceptions {
			named = append(named, e.Order)
		}
		return err
	})
	if fmt.Sprint(named) != "[2 3]" || crew.told.Load() != 0 {
		t.Errorf("the sweep names %v, and told %d orders; the incident names 0 and 1", named, crew.told.Load())
	}
}

// A system that says nothing but "wait" is waited for a few times, and not
// for each suspect anew.
func TestLooking_SystemThatOnlySaysWait_IsNotWaitedForEachTime(t *testing.T) {
	t.Parallel()
	c := &crew{limit: &apierr.Error{Code: apierr.RateLimited, After: time.Millisecond}}
	c.acts(t, Sweeps{}, func(ctx context.Context, a *Activities, suspects []Suspect) error {
		_, err := a.RehearseRun(ctx, Confirm{Suspects: suspects})
		return err
	})
	// Each is read once, and those that are read first wait twice; the ERP of each is
	// read again.
	if n := c.lookups.Load(); n <= 70 || n > 70+6*sideBySide*lookLimits {
		t.Errorf("%d look-ups", n)
	}
}

// Whoever waits for its turn says that it is alive, however low the rate is.
func TestCaller_Wait_SaysThatItIsAlive(t *testing.T) {
	t.Parallel()
	alive, waited := 0, time.Duration(0)
	c := caller{
		a:     &Activities{Wait: func(_ context.Context, d time.Duration) error { waited += d; return nil }},
		alive: func(context.Context) { alive++ },
	}
	if err := c.wait(t.Context(), 65*time.Second); err != nil || alive != 4 || waited != 65*time.Second {
		t.Errorf("it waited %s and said %d times that it is alive, %v", waited, alive, err)
	}
}
