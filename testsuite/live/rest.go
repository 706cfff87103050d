package live

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

const (
	// longest is what a world waits for: more than any wait for what may still land
	// late, and less than any window of a customer's.
	longest = 150 * time.Second
	// tooLong is how long a world may take to come to rest.
	tooLong = 10 * time.Minute
	glance  = 50 * time.Millisecond
	// hurriedMargin is what must be left of a hurried timer that has to wait still.
	hurriedMargin = 2 * time.Second
	// doubtful is after what time the product tells a person what it cannot find out.
	doubtful = 24 * time.Hour
)

// sight is what was seen of the engine.
type sight struct {
	due     map[string]time.Duration // at what age the engine does something, by its key
	since   map[string]time.Duration // since when something is tried in vain
	waited  map[string]int           // how often the same was waited for
	events  int64                    // in all histories
	hurried map[string]float64       // see Options
}

func (s *sight) begin() {
	s.due, s.since, s.waited = map[string]time.Duration{}, map[string]time.Duration{}, map[string]int{}
}

// pending is something that the engine does by itself at a time: a timer, or
// another attempt of an activity.
type pending struct {
	key     string
	of      string // workflow
	what    string
	at      time.Time
	length  time.Duration // of a timer
	attempt int32         // of an activity; 0: a timer
}

func (p pending) subject() string { return p.of + " " + p.what }

// times is how many times longer a timer is by the age of the world.
func (s *sight) times(p pending) float64 {
	if k, hurried := s.hurried[p.what]; hurried && p.attempt == 0 {
		return k
	}
	return 1
}

// calm waits until everything is at rest that happens before an age. It returns
// false when something came onto the agenda that is earlier, or the world is over.
func (w *World) calm(age time.Duration) bool {
	quiet, begun := 0, time.Now()
	for quiet < 2 {
		first, ok := w.agenda.first()
		switch {
		case !w.agenda.still() || ok && first < age || w.agenda.awaited():
			return false
		case time.Since(begun) > tooLong:
			w.t.Errorf("at %s the engine did not come to rest in %s", w.Age(), tooLong)
			w.End()
			return false
		case w.agenda.busy() || w.calls.fresh():
			quiet = 0
		case w.outages.now(virtual.Engine, virtual.Workers):
			time.Sleep(time.Second) // for what was under way
			return true
		case !w.followed() || !w.rests(age):
			quiet = 0
		default:
			quiet++
		}
		time.Sleep(glance)
	}
	return w.agenda.still()
}

// awaited says that something prompt waits to be started.
func (a *agenda) awaited() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.entries, func(e entry) bool { return e.prompt })
}

// followed says that the change feeds were read since a system changed that
// announces nothing: a poll asks the mail provider last, gives what it found before
// the next one begins, and the first to end may have begun before the change. One
// that finds no end is not waited for.
func (w *World) followed() bool {
	w.agenda.mu.Lock()
	fed := w.agenda.fed
	w.agenda.mu.Unlock()
	if time.Since(fed) > 30*time.Second {
		return true
	}
	entries, err := w.Mail.Frame().Ledger(0, "")
	if err != nil {
		w.t.Errorf("read the ledger of mail: %v", err)
	}
	polls := 0
	for _, e := range slices.Backward(entries) {
		if e.At.Before(fed) {
			break
		}
		if e.Kind == simulator.EntryRequest && e.Operation == "list" {
			polls++
		}
	}
	return polls >= 3
}

// rests says that the engine does nothing before an age.
func (w *World) rests(age time.Duration) bool {
	all, busy, events, err := w.look()
	if err != nil || busy || events != w.sight.events {
		w.sight.events = events
		return false
	}
	now := w.Age()
	suffers := w.suffers()
	if !suffers {
		clear(w.sight.since)
	}
	known := map[string]time.Duration{}
	var next pending
	for _, p := range all {
		due, seen := w.sight.due[p.key]
		if !seen {
			due = now + max(0, time.Until(p.at))
			if k := w.sight.times(p); k > 1 {
				due = w.AgeAt(p.at.Add(-p.length)) + time.Duration(float64(p.length)*k)
			}
		}
		known[p.key] = due
		if due > age && w.sight.times(p) > 1 && time.Until(p.at) < hurriedMargin {
			w.giveUp(fmt.Sprintf("%s came too early here: %s", p.of, p.what), p.what)
			return false
		}
		if due <= age && !w.inVain(p, suffers, age) && (next.key == "" || due < known[next.key]) {
			next = p
		}
	}
	w.sight.due = known
	switch left := time.Until(next.at); {
	case next.key == "":
		return true
	case left > longest:
		w.giveUp(fmt.Sprintf("%s waits for %s: %s", next.of, left.Round(time.Second), next.what), next.what)
	default:
		time.Sleep(max(left, 0) + glance)
		w.agenda.reach(known[next.key])
		w.sight.waited[next.subject()]++
	}
	return false
}

// inVain says that something is not waited for: what asks again and again a system
// that does not answer before somebody lets it, and a record that no order claims.
func (w *World) inVain(p pending, suffers bool, age time.Duration) bool {
	tried := w.sight.waited[p.subject()]
	switch {
	case strings.HasPrefix(p.of, "inbox/"):
		return tried >= 3
	case !suffers || p.attempt > 0 && p.attempt < 4 || p.attempt == 0 && tried < 3:
		return false
	}
	since, seen := w.sight.since[p.subject()]
	if !seen {
		since = w.Age()
		w.sight.since[p.subject()] = since
	}
	if age-since >= doubtful {
		w.giveUp(fmt.Sprintf("%s tries in vain for longer than a day: %s", p.of, p.what), "")
	}
	return true
}

// suffers says that some system fails until somebody ends it.
func (w *World) suffers() bool {
	for _, system := range order.Systems() {
		if slices.ContainsFunc(w.Frame(system).Faults(), func(f simulator.Fault) bool { return f.Times < 0 && !f.Cleared }) {
			return true
		}
	}
	return false
}

// look looks at all workflows that run: what each does later, whether any is at
// work, and how many events they have.
func (w *World) look() (all []pending, busy bool, events int64, err error) {
	ids, err := w.list("ExecutionStatus = 'Running'")
	if err != nil {
		return nil, true, 0, err
	}
	for _, id := range ids {
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
		d, err := w.connection.DescribeWorkflowExecution(ctx, id, "")
		cancel()
		if err != nil {
			return nil, true, 0, err
		}
		if d.WorkflowExecutionInfo.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
			continue
		}
		busy = busy || d.PendingWorkflowTask != nil
		if id == workflows.ReconciliationID { // it follows the feeds all the time
			continue
		}
		events += d.WorkflowExecutionInfo.HistoryLength
		again, atWork := attempts(id, d)
		all = append(all, again...)
		if busy = busy || atWork; busy || strings.HasPrefix(id, "stock/") { // whose only timer ends it
			continue
		}
		timers, err := w.timers(id)
		if err != nil {
			return nil, true, 0, err
		}
		all = append(all, timers...)
	}
	return all, busy, events, nil
}

// attempts are those that activities of a workflow make later; atWork says that
// one is under way.
func attempts(id string, d *workflowservice.DescribeWorkflowExecutionResponse) (all []pending, atWork bool) {
	for _, a := range d.PendingActivities {
		at := a.ScheduledTime
		if a.NextAttemptScheduleTime != nil {
			at = a.NextAttemptScheduleTime
		}
		if a.State != enums.PENDING_ACTIVITY_STATE_SCHEDULED || !at.AsTime().After(time.Now()) {
			return nil, true
		}
		all = append(all, pending{
			key: fmt.Sprintf("%s %s %d", id, a.ActivityId, a.Attempt), of: id, what: a.ActivityId, at: at.AsTime(), attempt: max(1, a.Attempt),
		})
	}
	return all, false
}

// timers are those of a workflow that have not fired.
func (w *World) timers(id string) ([]pending, error) {
	open := map[int64]pending{}
	run := ""
	err := w.events(id, func(e *history.HistoryEvent) {
		if a := e.GetWorkflowExecutionStartedEventAttributes(); a != nil {
			run = a.OriginalExecutionRunId
		}
		if a := e.GetTimerStartedEventAttributes(); a != nil {
			p := pending{
				key: fmt.Sprintf("%s %s timer %d", id, run, e.EventId), of: id, what: "a timer without a name",
				at: e.EventTime.AsTime().Add(a.StartToFireTimeout.AsDuration()), length: a.StartToFireTimeout.AsDuration(),
			}
			if s := e.GetUserMetadata().GetSummary(); s != nil {
				_ = converter.GetDefaultDataConverter().FromPayload(s, &p.what)
			}
			open[e.EventId] = p
		}
		delete(open, cmp.Or(e.GetTimerFiredEventAttributes().GetStartedEventId(), e.GetTimerCanceledEventAttributes().GetStartedEventId()))
	})
	var all []pending
	for _, p := range open {
		all = append(all, p)
	}
	slices.SortFunc(all, func(x, y pending) int { return x.at.Compare(y.at) })
	return all, err
}
