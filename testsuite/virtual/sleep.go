package virtual

import (
	"context"
	"reflect"
	"unsafe"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
)

// sleepers are the activities that only wait. The environment lets time stand
// still while an activity runs, for it cannot know that one waits for a workflow
// which itself needs time: here it is told. All of it belongs to the main loop.
type sleepers struct {
	running *int // the environment's count of what holds the time
	queue   reflect.Value
	waits   map[string]int
}

func sleepersOf(env *testsuite.TestWorkflowEnvironment) sleepers {
	shared := reflect.ValueOf(env).Elem().FieldByName("impl").Elem().FieldByName("testWorkflowEnvironmentShared").Elem()
	return sleepers{running: (*int)(unsafe.Pointer(shared.FieldByName("runningCount").UnsafeAddr())), queue: shared.FieldByName("callbackChannel"), waits: map[string]int{}}
}

// idle says that nothing waits for the environment's main loop.
func (s sleepers) idle() bool { return s.queue.Len() == 0 }

// lie says that the activity of ctx waits from now on, unless another part of it
// does already, and returns what says that it goes on. Outside of an activity,
// and in a step, nothing holds the time.
func (s sleepers) lie(ctx context.Context) (wake func()) {
	if !activity.IsActivity(ctx) {
		return func() {}
	}
	task := string(activity.GetInfo(ctx).TaskToken)
	if s.waits[task]++; s.waits[task] == 1 {
		*s.running--
	}
	awake := false
	return func() {
		if awake {
			return
		}
		awake = true
		if s.waits[task]--; s.waits[task] == 0 {
			delete(s.waits, task)
			*s.running++
		}
	}
}
