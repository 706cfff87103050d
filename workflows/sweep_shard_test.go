package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// past is a day that is over: the systems hold its records, and what its orders
// mean them to say was written down before the world ended. The ports to the
// engine are played, the systems are not.
type past struct {
	t     *testing.T
	a     reconciliation.Activities
	known []reconciliation.Known
	now   time.Time

	mu    sync.Mutex
	pages map[order.System]int // read so far
	asked []order.ID           // by id
	kept  []string
}

func (p *past) CountDay(context.Context, time.Time) (int, error) { return len(p.known), nil }

// DayIntents gives three orders a page.
func (p *past) DayIntents(_ context.Context, _ time.Time, shard reconcile.Shard, page string) ([]reconciliation.Known, string, error) {
	n := 0
	_, _ = fmt.Sscan(page, &n)
	var known []reconciliation.Known
	for _, k := range p.known[n:min(n+3, len(p.known))] {
		if shard.Has(k.Intent.Order) {
			known = append(known, k)
		}
	}
	if n+3 >= len(p.known) {
		return known, "", nil
	}
	return known, fmt.Sprint(n + 3), nil
}

func (p *past) Status(context.Context) (reconciliation.Status, error) {
	return reconciliation.Status{Since: virtual.Start}, nil
}

func (p *past) Intents(_ context.Context, q reconciliation.IntentQuery) ([]reconciliation.Known, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, q.IDs...)
	var found []reconciliation.Known
	for _, k := range p.known {
		if slices.Contains(q.IDs, k.Intent.Order) {
			found = append(found, k)
		}
	}
	return found, nil
}

func (p *past) Grant(context.Context, reconciliation.GrantRequest) (reconciliation.Granted, error) {
	return reconciliation.Granted{}, errors.New("a shard asks for no grants")
}

func (p *past) WouldGrant(context.Context, reconciliation.GrantRequest) (reconciliation.Granted, error) {
	return reconciliation.Granted{}, errors.New("a shard asks for no grants")
}

func (p *past) Members(context.Context) ([]reconciliation.Members, error) {
	return nil, errors.New("a shard asks for no incident")
}

func (p *past) Rehearse(context.Context, order.ID, reconciliation.Rehearsal) (reconciliation.Rehearsed, error) {
	return reconciliation.Rehearsed{}, errors.New("a shard rehearses nothing")
}

func (p *past) Report(context.Context, reconciliation.RunReport) (reconciliation.RunReport, error) {
	return reconciliation.RunReport{}, errors.New("a shard reports nothing")
}

func (p *past) Notify(context.Context, reconciliation.Notices) error {
	return reconciliation.ErrUnknownOrder
}

func (p *past) Keep(_ context.Context, of order.ID, n reconciliation.Notice) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = append(p.kept, string(n.System)+" "+string(of))
	return nil
}

func (p *past) Confirm(context.Context, order.ID, reconciliation.Confirmation) (reconciliation.Confirmed, error) {
	return reconciliation.Confirmed{}, errors.New("a shard confirms nothing")
}

func (p *past) Align(context.Context, string, reconciliation.StockChange) (reconcile.Level, error) {
	return reconcile.Level{}, errors.New("a shard aligns nothing")
}

// paged is a system's reader that gives small pages, and may fail.
type paged struct {
	reconciliation.Reader
	p      *past
	system order.System
	limit  int
	list   func(page int) error
	lookup func(of order.ID) error
}

func (r paged) List(ctx context.Context, q reconcile.ListRequest) (reconcile.Page, error) {
	r.p.mu.Lock()
	r.p.pages[r.system]++
	page := r.p.pages[r.system]
	r.p.mu.Unlock()
	if r.list != nil {
		if err := r.list(page); err != nil {
			return reconcile.Page{}, err
		}
	}
	q.Limit = r.limit
	return r.Reader.List(ctx, q)
}

func (r paged) Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	if r.lookup != nil {
		if err := r.lookup(s.Order); err != nil {
			return reconcile.Observation{}, err
		}
	}
	return r.Reader.Lookup(ctx, s)
}

// theDay lives a day of orders, with some breaks planted at its end.
func theDay(t *testing.T, orders int, plant func(w *world)) *past {
	t.Helper()
	w := deaf(t, virtual.Options{})
	p := &past{t: t, pages: map[order.System]int{}}
	for i := range orders {
		w.submit(time.Duration(i+1)*time.Minute, anOrder(fmt.Sprintf("o%02d", i)))
	}
	w.At(2*time.Hour, "plant", func() { plant(w) })
	w.At(18*time.Hour, "what the orders mean", func() {
		var err error
		p.known, err = w.Client.Intents(t.Context(), reconciliation.IntentQuery{Limit: 1000})
		w.Check(err)
		p.now = w.Now()
	})
	w.Run(18 * time.Hour)
	slices.SortFunc(p.known, func(x, y reconciliation.Known) int {
		return strings.Compare(string(x.Intent.Order), string(y.Intent.Order))
	})
	p.a = *w.Reconciliation()
	p.a.Days, p.a.Keeper, p.a.Orders = p, p, p
	p.a.Now = func() time.Time { return p.now }
	p.a.Wait = func(context.Context, time.Duration) error { return nil }
	return p
}

// small gives every system pages of so many records, and lets each be changed.
func (p *past) small(limit int, change func(*paged)) {
	for i, r := range p.a.Readers {
		if old, ok := r.Reader.(paged); ok {
			r.Reader = old.Reader
		}
		wrapped := paged{Reader: r.Reader, p: p, system: r.System, limit: limit}
		if change != nil {
			change(&wrapped)
		}
		p.a.Readers[i].Reader = wrapped
	}
}

// swept runs the activity, from a heartbeat when there is one, and returns the
// latest heartbeat.
func (p *past) swept(in reconciliation.SweepShard, from converter.EncodedValues, stop chan struct{}) (reconciliation.SweptShard, converter.EncodedValues, error) {
	p.t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(&p.a)
	env.SetTestTimeout(time.Minute)
	if stop != nil {
		env.SetWorkerStopChannel(stop)
	}
	if from != nil {
		var raw map[string]any
		if err := from.Get(&raw); err != nil {
			p.t.Fatal(err)
		}
		env.SetHeartbeatDetails(raw)
	}
	var last converter.EncodedValues
	env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) { last = details })
	in.Day, in.Now = firstDay, p.now
	value, err := env.ExecuteActivity(p.a.SweepShard, in)
	var out reconciliation.SweptShard
	if err == nil {
		err = value.Get(&out)
	}
	return out, last, err
}

func (p *past) must(in reconciliation.SweepShard) reconciliation.SweptShard {
	p.t.Helper()
	out, _, err := p.swept(in, nil, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func suspects(s reconciliation.SweptShard) []string {
	var all []string
	for _, one := range s.Suspects {
		for _, b := range one.Breaks {
			all = append(all, string(one.Order)+" "+b.ID())
		}
	}
	return all
}

func three(w *world) {
	w.edit(w.CRM, `{"order":"o01","stage":"lost"}`)
	w.edit(w.ERP, `{"order":"o03","kind":"sale","again":true}`)
	w.edit(w.Inventory, `{"order":"o05","delete":true}`)
}

func TestSweepShard_PagesOfAnySize_TheSame(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		p := theDay(t, 6, three)
		p.small(0, nil)
		want := p.must(reconciliation.SweepShard{})
		if len(want.Suspects) != 3 || want.Looked != 6 || len(want.Unread) > 0 || want.Truncated {
			t.Fatalf("the sweep says %+v", want)
		}
		if want.LookedUp >= 6 {
			t.Errorf("%d of 6 orders were looked up: the listings decided nothing", want.LookedUp)
		}
		for _, limit := range []int{1, 3, 6, 7} { // most systems list six records: exactly full pages too
			p.small(limit, nil)
			got := p.must(reconciliation.SweepShard{})
			if !slices.Equal(suspects(got), suspects(want)) || got.Looked != want.Looked || got.LookedUp != want.LookedUp || len(got.Unread)+len(got.Exceptions)+len(got.Missed) > 0 {
				t.Errorf("pages of %d: %d orders, %d looked up, %v, %v; want %d, %d and %v",
					limit, got.Looked, got.LookedUp, suspects(got), got.Missed, want.Looked, want.LookedUp, suspects(want))
			}
		}
	})
}

func TestSweepShard_Shards_TogetherTheDay(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		p := theDay(t, 6, three)
		want := p.must(reconciliation.SweepShard{})
		var got []string
		looked := 0
		for n := range 3 {
			s := p.must(reconciliation.SweepShard{Shard: reconcile.Shard{N: n, Of: 3}})
			got = append(got, suspects(s)...)
			looked += s.Looked
		}
		slices.Sort(got)
		if looked != 6 || !slices.Equal(got, suspects(want)) {
			t.Errorf("three shards looked at %d orders and suspect %v, want 6 and %v", looked, got, suspects(want))
		}
		if len(p.kept) > 0 {
			t.Errorf("orders of another shard were taken for nobody's: %v", p.kept)
		}
	})
}

func TestSweepShard_WorkerStops_AnotherGoesOnAndCountsNothingTwice(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		p := theDay(t, 6, three)
		p.small(1, nil)
		want := p.must(reconciliation.SweepShard{})
		whole := maps.Clone(p.pages)
		for _, at := range []int{5, 9} {
			clear(p.pages)
			stop := make(chan struct{})
			var once sync.Once
			p.small(1, func(r *paged) {
				if r.system == order.SystemERP {
					r.list = func(page int) error {
						if page == at {
							once.Do(func() { close(stop) })
						}
						return nil
					}
				}
			})
			_, beat, err := p.swept(reconciliation.SweepShard{}, nil, stop)
			if err == nil || beat == nil {
				t.Fatalf("stopped at page %d the activity ended with %v and the heartbeat %v", at, err, beat)
			}
			half := 0
			for _, n := range p.pages {
				half += n
			}
			p.small(1, nil)
			got, _, err := p.swept(reconciliation.SweepShard{}, beat, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Looked != want.Looked || got.Records != want.Records || !slices.Equal(suspects(got), suspects(want)) {
				t.Errorf("stopped at page %d it looked at %d orders, %d records and suspects %v; want %d, %d and %v",
					at, got.Looked, got.Records, suspects(got), want.Looked, want.Records, suspects(want))
			}
			all, alone := 0, 0
			for system, n := range whole {
				all, alone = all+p.pages[system], alone+n
			}
			// A page of each system was on its way, and one may not be in the heartbeat yet.
			if slack := 2 * len(whole); half <= slack || all > alone+slack {
				t.Errorf("stopped at page %d, after %d pages, both workers read %d pages, one alone %d: the second began anew", at, half, all, alone)
			}
		}
	})
}

func TestSweepShard_SystemFailsInTheMiddle_PartialAndTheOthersCompared(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		p := theDay(t, 6, three)
		p.small(3, func(r *paged) {
			if r.system == order.SystemERP {
				r.list = func(page int) error {
					if page >= 3 {
						return apierr.New(apierr.Unavailable, "", errors.New("no answer"))
					}
					return nil
				}
			}
		})
		got := p.must(reconciliation.SweepShard{Shard: reconcile.Shard{N: 0, Of: 1}})
		if !slices.Equal(got.Unread, []order.System{order.SystemERP}) || len(got.Missed) != 1 || !strings.Contains(got.Missed[0], "no answer") {
			t.Errorf("unread are %v: %v", got.Unread, got.Missed)
		}
		if want := []string{"o01 crm.deal.mismatch", "o05 inventory.reserved.missing.MUG", "o05 inventory.reserved.missing.TSHIRT"}; !slices.Equal(suspects(got), want) {
			t.Errorf("with the ERP down in the middle the suspects are %v, want %v", suspects(got), want)
		}
	})
}

func TestSweepShard_OneOrderCannotBeRead_IsAnExceptionAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		p := theDay(t, 6, three)
		p.small(0, func(r *paged) {
			r.lookup = func(of order.ID) error {
				switch {
				case of == "o01" && r.system == order.SystemCRM:
					return apierr.New(apierr.Garbage, "", errors.New("a deal that makes no sense"))
				case of == "o05" && r.system == order.SystemInventory:
					return apierr.New(apierr.Unavailable, "", errors.New("no answer"))
				}
				return nil
			}
		})
		got := p.must(reconciliation.SweepShard{})
		if len(got.Unread) > 0 || got.Truncated {
			t.Errorf("one order made the day partial: %v", got.Missed)
		}
		if len(got.Exceptions) != 2 || got.Exceptions[0].Order != "o01" || !strings.Contains(got.Exceptions[0].Why, "crm: ") || got.Exceptions[1].Order != "o05" {
			t.Errorf("the exceptions are %+v", got.Exceptions)
		}
		if len(got.Suspects) != 1 {
			t.Errorf("the suspects are %v", suspects(got))
		}
		again := p.must(reconciliation.SweepShard{Orders: []order.ID{"o01", "o02", "gone"}})
		if again.Looked != 2 || len(again.Exceptions) != 1 || len(again.Lines) != 1 {
			t.Errorf("asked again it says %+v", again)
		}
	})
}

func TestSweepShard_RecordNotListed_IsLookedUpAndNoBreak(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		p := theDay(t, 6, func(w *world) {
			w.inject(w.ERP, simulator.Fault{Operation: "list", Kind: simulator.EmptyList, Times: -1})
		})
		got := p.must(reconciliation.SweepShard{})
		if len(got.Suspects) > 0 || got.LookedUp != 6 {
			t.Errorf("a list that leaves records out made suspects of %v; %d were looked up", suspects(got), got.LookedUp)
		}
	})
}

func TestSweepShard_OlderThanTheHorizon_StartsNothing(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		p := theDay(t, 2, func(w *world) { w.edit(w.CRM, `{"order":"stranger","stage":"won"}`) })
		p.must(reconciliation.SweepShard{})
		if !slices.Equal(p.kept, []string{"crm stranger"}) {
			t.Fatalf("the inbox got %v", p.kept)
		}
		p.kept = nil
		p.now = p.now.Add(p.a.Sweeps.Hunt)
		p.must(reconciliation.SweepShard{})
		if len(p.kept) > 0 {
			t.Errorf("beyond the horizon the inbox got %v", p.kept)
		}
	})
}

func TestPlanSweep_DayNotOver_IsRefused(t *testing.T) {
	t.Parallel()
	a := reconciliation.Activities{Sweeps: reconciliation.Sweeps{SealedAfter: time.Hour, Shard: 5}, Days: &past{known: make([]reconciliation.Known, 11)}}
	in := reconciliation.PlanSweep{Day: firstDay, Now: firstDay.Add(day + 59*time.Minute)}
	if _, err := a.PlanSweep(t.Context(), in); err == nil || !strings.Contains(err.Error(), "not sealed") {
		t.Errorf("a day that is not sealed: %v", err)
	}
	in.Now = in.Now.Add(time.Minute)
	plan, err := a.PlanSweep(t.Context(), in)
	if err != nil || plan.Shards != 3 || plan.Orders != 11 {
		t.Errorf("eleven orders in shards of five: %+v, %v", plan, err)
	}
}

func TestSweepShard_AskedToWait_WaitsAndKeepsItsRate(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		p := theDay(t, 2, func(*world) {})
		var mu sync.Mutex
		now, calls := p.now, map[order.System][]time.Time{}
		p.a.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
		p.a.Wait = func(_ context.Context, d time.Duration) error {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(d)
			return nil
		}
		p.a.Sweeps.PerSecond = 2
		p.a.Readers = p.a.Readers[:1] // one system, so that the clock is its own
		p.small(1, func(r *paged) {
			r.list = func(page int) error {
				mu.Lock()
				defer mu.Unlock()
				calls[r.system] = append(calls[r.system], now)
				if page == 2 {
					return &apierr.Error{Code: apierr.RateLimited, After: 7 * time.Second, Err: errors.New("slow down")}
				}
				return nil
			}
		})
		got := p.must(reconciliation.SweepShard{})
		if len(got.Unread) > 0 || len(got.Suspects) > 0 {
			t.Errorf("who was asked to wait is unread: %v", got.Missed)
		}
		all := calls[order.SystemPayment]
		if len(all) < 4 {
			t.Fatalf("there were %d calls", len(all))
		}
		for i, at := range all[1:] {
			least := 500 * time.Millisecond
			if i == 1 {
				least = 7 * time.Second
			}
			if gap := at.Sub(all[i]); gap < least {
				t.Errorf("call %d came %s after the one before, want %s at least", i+2, gap, least)
			}
		}
	})
}

func TestSweepShard_MoreOrdersThanMemoryWasPlannedFor_Partial(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		p := theDay(t, 6, func(*world) {})
		p.a.Sweeps.Shard = 0 // the day has grown since it was counted
		got := p.must(reconciliation.SweepShard{})
		if got.Looked != 3 || !got.Truncated || len(got.Missed) != 1 {
			t.Errorf("it holds %d orders of 6, and says %v", got.Looked, got.Missed)
		}
	})
}
