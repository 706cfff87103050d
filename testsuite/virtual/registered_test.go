package virtual

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/workers"
	"github.com/trueup-orders/trueup/workflows"
)

// names notes what is registered with it.
type names struct{ workflows, activities []string }

func (n *names) RegisterWorkflowWithOptions(_ any, o workflow.RegisterOptions) {
	n.workflows = append(n.workflows, o.Name)
}

func (n *names) RegisterActivity(a any) {
	for m := range reflect.TypeOf(a).Methods() {
		if m.Type.NumIn() > 1 && m.Type.In(1) == reflect.TypeFor[context.Context]() {
			n.activities = append(n.activities, m.Name)
		}
	}
}

// registry is what a worker and the universe's environment are.
type registry interface {
	RegisterWorkflowWithOptions(w any, o workflow.RegisterOptions)
	RegisterActivityWithOptions(a any, o activity.RegisterOptions)
}

// knows says whether a workflow or an activity is registered: the SDK refuses it
// a second time.
func knows(r registry, kind, name string) (known bool) {
	defer func() { known = recover() != nil }()
	if kind == "workflow" {
		r.RegisterWorkflowWithOptions(func(workflow.Context) error { return nil }, workflow.RegisterOptions{Name: name})
	} else {
		r.RegisterActivityWithOptions(func(context.Context) error { return nil }, activity.RegisterOptions{Name: name})
	}
	return false
}

// plays says whether the universe has an activity: the SDK refuses to replace one
// that it does not know.
func plays(w *World, name string) (known bool) {
	defer func() { known = recover() == nil }()
	w.env.OnActivity(name)
	return true
}

// The universe plays what production serves: the same workflows under the same
// names, the same activities on the same queues, and nothing else but its own
// steps.
func TestUniverse_RegistersWhatWorkersDo(t *testing.T) {
	w := Open(t, Options{ReconcileEvery: time.Hour})
	engine, err := client.NewLazyClient(client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := w.set.Workers(engine, w.config, nil)
	queues := append([]string{workflows.Queue}, workers.ActivityQueues()...)
	if len(all) != len(queues) {
		t.Fatalf("%d workers for %d queues", len(all), len(queues))
	}
	var flows names
	w.set.RegisterWorkflows(&flows)
	for _, name := range flows.workflows {
		if !knows(all[0], "workflow", name) || !knows(w.env, "workflow", name) {
			t.Errorf("workflow %s: worker %v, universe %v", name, knows(all[0], "workflow", name), knows(w.env, "workflow", name))
		}
	}
	seen := slices.Clone(flows.workflows)
	for i, queue := range workers.ActivityQueues() {
		var calls names
		calls.RegisterActivity(w.set.ActivitiesOf(queue))
		if len(calls.activities) < 2 {
			t.Errorf("%s serves %v", queue, calls.activities)
		}
		for _, name := range calls.activities {
			if !knows(all[i+1], "activity", name) || !plays(w, name) {
				t.Errorf("activity %s of %s: not served by both", name, queue)
			}
		}
		seen = append(seen, calls.activities...)
	}
	if len(seen) < 30 {
		t.Errorf("only %d names were compared: %v", len(seen), seen)
	}
	if knows(w.env, "workflow", "Nothing") || knows(all[0], "workflow", "Nothing") || knows(all[1], "activity", "Nothing") || plays(w, "Nothing") {
		t.Error("what nobody registered is known")
	}
}
