package tryton_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// engine has some orders, which agree by their own word, and keeps which of them
// were given a notice.
type engine struct {
	reconciliation.Orders
	reconciliation.Keeper
	since time.Time
	all   []order.ID
	told  map[order.ID]int
}

func (e *engine) Notify(_ context.Context, n reconciliation.Notices) error {
	e.told[n.Order]++
	return nil
}

func (e *engine) Status(context.Context) (reconciliation.Status, error) {
	return reconciliation.Status{Since: e.since, VerifiedThrough: e.since}, nil
}

func (e *engine) Members(context.Context) ([]reconciliation.Members, error) { return nil, nil }

func (e *engine) Intents(context.Context, reconciliation.IntentQuery) ([]reconciliation.Known, error) {
	var all []reconciliation.Known
	for _, id := range e.all {
		all = append(all, reconciliation.Known{
			Agreed: true, Subject: subject(id), Intent: reconcile.Intent{Order: id, PlacedAt: e.since.Add(time.Minute), Phase: order.PhasePaying},
		})
	}
	return all, nil
}

func (e *engine) CountDay(context.Context, time.Time) (int, error) { return len(e.all), nil }

func (e *engine) DayIntents(ctx context.Context, _ time.Time, _ reconcile.Shard, _ string) ([]reconciliation.Known, string, error) {
	all, err := e.Intents(ctx, reconciliation.IntentQuery{})
	return all, "", err
}

// A shipment that cannot be understood is of concern to its own order: the feed goes
// on and tells it, and a run and a sweep compare all the others.
func TestFair_AFractionInOneShipment_FeedRunAndSweepGoOn(t *testing.T) {
	t.Parallel()
	x := onSimulator(t)
	e := &engine{since: time.Now().Add(-time.Hour), told: map[order.ID]int{}}
	for range 3 {
		r := request(newID("F"))
		if _, err := x.Request(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		e.all = append(e.all, r.Order)
	}
	x.edit(t, `{"order": "B2B-17", "reference": "B2B-17", "lines": [{"sku": "A", "quantity": 2}], "measured": {"A": 2.5}}`)
	x.edit(t, fmt.Sprintf(`{"order": %q, "measured": {"B": 0.5}}`, e.all[1]))
	a := &reconciliation.Activities{
		Orders: e, Keeper: e, Days: e, Sweeps: reconciliation.Sweeps{Before: 24 * time.Hour, Span: 24 * time.Hour, Shard: 10}, Policy: reconcile.Default(), Now: time.Now,
		Readers: []reconciliation.SystemReader{{System: order.SystemWarehouse, Reader: x.Client}},
		Wait:    func(context.Context, time.Duration) error { return nil },
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	follow := reconciliation.Follow{Systems: []order.System{order.SystemWarehouse}, Since: e.since, Polls: 1}
	var cursors []reconciliation.Cursor
	if value, err := env.ExecuteActivity(a.FollowChanges, follow); err != nil || value.Get(&cursors) != nil {
		t.Fatal(err)
	}
	if len(cursors) != 1 || !cursors[0].Through.After(e.since) {
		t.Errorf("the feed stands at %+v", cursors)
	}
	for _, id := range e.all {
		if e.told[id] != 1 {
			t.Errorf("the orders were told %v, each should be once", e.told)
		}
	}
	var run reconciliation.Screened
	if value, err := env.ExecuteActivity(a.ScreenChanges, reconciliation.Screen{Now: time.Now()}); err != nil || value.Get(&run) != nil {
		t.Fatal(err)
	}
	if len(run.Unread) > 0 || len(run.Missed) > 0 || run.Looked != 3 || !slices.Equal(run.Exceptions, e.all[1:2]) {
		t.Errorf("the run has looked at %d, could not read %v (%q), and makes exceptions of %v; want %v", run.Looked, run.Unread, run.Missed, run.Exceptions, e.all[1])
	}
	if slices.ContainsFunc(run.Suspects, func(s reconciliation.Suspect) bool { return s.Order == e.all[1] }) {
		t.Errorf("what was not compared is suspected: %+v", run.Suspects)
	}
	var swept reconciliation.SweptShard
	shard := reconciliation.SweepShard{Day: time.Now(), Shard: reconcile.Shard{Of: 1}, Now: time.Now().Add(time.Minute)}
	if value, err := env.ExecuteActivity(a.SweepShard, shard); err != nil || value.Get(&swept) != nil {
		t.Fatal(err)
	}
	if len(swept.Unread) > 0 || len(swept.Missed) > 0 || swept.Looked != 3 || len(swept.Exceptions) != 1 || swept.Exceptions[0].Order != e.all[1] {
		t.Errorf("the sweep has looked at %d, could not read %v (%q), and makes exceptions of %+v; want %v", swept.Looked, swept.Unread, swept.Missed, swept.Exceptions, e.all[1])
	}
	if slices.ContainsFunc(swept.Suspects, func(s reconciliation.Suspect) bool { return s.Order == e.all[1] }) {
		t.Errorf("what was not compared is suspected: %+v", swept.Suspects)
	}
}
