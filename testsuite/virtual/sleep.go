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
//
// An activity may have several parts, of which one waits while another is about
// to do something. In a bubble time passes only once everything stands still;
// outside of one, as soon as any part waits.
type sleepers struct {
	running *int // the environment's count of what holds the time
	queue   reflect.Value
	all     map[string]*sleeper
	gate    *turnstile
}

// sleeper is an activity, or something else that holds the time.
type sleeper struct {
	parts int  // that wait
	lets  bool // it holds the time no more
}

func sleepersOf(env *testsuite.TestWorkflowEnvironment) sleepers {
	shared := reflect.ValueOf(env).Elem().FieldByName("impl").Elem().FieldByName("testWorkflowEnvironmentShared").Elem()
	return sleepers{running: (*int)(unsafe.Pointer(shared.FieldByName("runningCount").UnsafeAddr())), queue: shared.FieldByName("callbackChannel"), all: map[string]*sleeper{}}
}

// idle says that nothing waits for the environment's main loop.
func (s sleepers) idle() bool { return s.queue.Len() == 0 }

// lie says that a part of the activity of ctx waits from now on, and returns
// what says that it goes on. Outside of an activity, and in a step, nothing
// holds the time.
func (s sleepers) lie(ctx context.Context) (wake func()) {
	var key string
	switch p, parked := ctx.Value(parkingKey{}).(*parking); {
	case activity.IsActivity(ctx):
		key = string(activity.GetInfo(ctx).TaskToken)
	case parked && s.gate != nil:
		key = p.name
	default:
		return func() {}
	}
	x := s.all[key]
	if x == nil {
		x = &sleeper{}
		s.all[key] = x
	}
	x.parts++
	if s.gate == nil {
		s.letGo(x)
	} else {
		s.gate.lain()
	}
	awake := false
	return func() {
		if awake {
			return
		}
		awake = true
		if x.parts--; x.parts == 0 {
			delete(s.all, key)
		}
		if x.lets && (x.parts == 0 || s.gate != nil) {
			x.lets = false
			*s.running++
		}
		if x.parts > 0 && s.gate != nil {
			s.gate.lain() // the other parts still wait
		}
	}
}

func (s sleepers) letGo(x *sleeper) {
	if !x.lets {
		x.lets = true
		*s.running--
	}
}

// rest lets time pass for all that wait: everything stands still.
func (s sleepers) rest() {
	for _, x := range s.all {
		s.letGo(x)
	}
}
