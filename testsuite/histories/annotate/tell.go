package main

import (
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// line is one thing that matters in a history.
type line struct {
	after         string // since the start
	what, outcome string
}

// teller goes through a history once. What ends later finds its line again by
// the number of the event that began it.
type teller struct {
	start    time.Time
	currency order.Currency
	lines    []*line
	begun    map[int64]*line
	at       map[int64]time.Time
	tries    map[int64]string // of an activity, by its scheduling event
	told     *line            // the line of notices that came one after the other
	looks    *line            // the line of readings that were asked for together
	looked   []string
	reads    map[int64]string
	asked    map[int64]string
	kinds    map[int64]string // of an activity: its type
	settings bool
}

// tell returns the lines of a history.
func tell(h *historypb.History) []line {
	t := &teller{
		begun: map[int64]*line{}, at: map[int64]time.Time{}, tries: map[int64]string{}, reads: map[int64]string{},
		asked: map[int64]string{}, kinds: map[int64]string{},
	}
	for _, e := range h.GetEvents() {
		if t.start.IsZero() {
			t.start = e.EventTime.AsTime()
		}
		t.at[e.EventId] = e.EventTime.AsTime()
		t.take(e)
	}
	all := make([]line, len(t.lines))
	for i, l := range t.lines {
		all[i] = *l
	}
	return all
}

// take takes in one event.
func (t *teller) take(e *historypb.HistoryEvent) {
	switch e.EventType {
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED, enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
		enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED,
		enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		t.started(e)
	case enumspb.EVENT_TYPE_MARKER_RECORDED:
		if summary := text(e.GetUserMetadata().GetSummary()); !t.settings {
			t.settings = true
			t.add(e, "it takes its "+summary, "")
		}
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		t.update(e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		t.notice(e)
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
		enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED, enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		t.activity(e)
	case enumspb.EVENT_TYPE_TIMER_STARTED, enumspb.EVENT_TYPE_TIMER_FIRED, enumspb.EVENT_TYPE_TIMER_CANCELED:
		t.timer(e)
	case enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
		t.shows(e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		t.add(e, "**the run ends**", "its result carries everything that a later fact would need")
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		t.add(e, "**the run continues as new**", "the next one starts from what this one knew")
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
		t.add(e, "somebody cancels the workflow in the engine", "that counts as a wish to cancel the order")
	default: // what nobody thought of is shown rather than lost
		t.add(e, "`"+strings.TrimPrefix(e.EventType.String(), "EVENT_TYPE_")+"`", "")
	}
}

func (t *teller) add(e *historypb.HistoryEvent, what, outcome string) *line {
	l := &line{after: fmt.Sprintf("%.1f s", e.EventTime.AsTime().Sub(t.start).Seconds()), what: what, outcome: outcome}
	t.lines = append(t.lines, l)
	t.begun[e.EventId] = l
	t.told, t.looks = nil, nil
	return l
}

func (t *teller) started(e *historypb.HistoryEvent) {
	var in workflows.OrderInput
	decode(e.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in)
	t.currency = in.Order.Currency
	what, outcome := "**the order comes in**", text(e.GetUserMetadata().GetSummary())
	if in.Carried != nil {
		what, outcome = "**the order is opened again**", "it was "+string(in.Carried.Phase)+"; everything it knew is in its input"
	}
	t.add(e, what, outcome)
}

// update: what somebody asked, and a line of its own for the answer, which may
// be much later.
func (t *teller) update(e *historypb.HistoryEvent) {
	if a := e.GetWorkflowExecutionUpdateAcceptedEventAttributes(); a != nil {
		input := a.GetAcceptedRequest().GetInput()
		var args map[string]any
		decode(input.GetArgs(), &args)
		t.asked[e.EventId] = input.GetName()
		t.add(e, "asked: `"+input.GetName()+"`", t.wish(args))
		return
	}
	a := e.GetWorkflowExecutionUpdateCompletedEventAttributes()
	var outcome string
	if f := a.GetOutcome().GetFailure(); f != nil {
		outcome = "refused: " + f.GetMessage()
	} else {
		var answer map[string]any
		decode(a.GetOutcome().GetSuccess(), &answer)
		outcome = t.answer(answer)
	}
	t.add(e, "answered: `"+t.asked[a.GetAcceptedEventId()]+"`", outcome)
}

// notice gathers notices that came one after the other into one line.
func (t *teller) notice(e *historypb.HistoryEvent) {
	a := e.GetWorkflowExecutionSignaledEventAttributes()
	if a.GetSignalName() != workflows.NoticeSignal {
		t.add(e, "signal `"+a.GetSignalName()+"`", "")
		return
	}
	var n reconciliation.Notices
	decode(a.GetInput(), &n)
	l := t.told
	if l == nil {
		l = t.add(e, "told that something changed", "")
		t.told = l
	}
	for _, one := range n.Notices {
		said := string(one.System) + " `" + one.Type + "`"
		if !strings.Contains(l.outcome, said) {
			l.outcome = strings.TrimPrefix(l.outcome+", "+said, ", ")
		}
	}
}

// activity: a look is gathered with those that were asked for together; anything
// else is an operation with a line of its own.
func (t *teller) activity(e *historypb.HistoryEvent) {
	if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
		if system, _, look := strings.Cut(a.GetActivityId(), ".read/"); look {
			t.look(e, system)
			return
		}
		t.kinds[e.EventId] = a.GetActivityType().GetName()
		t.add(e, "`"+a.GetActivityId()+"` "+text(e.GetUserMetadata().GetSummary()), "still under way")
		return
	}
	switch e.EventType {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
		a := e.GetActivityTaskStartedEventAttributes()
		if a.GetAttempt() > 1 {
			t.tries[a.GetScheduledEventId()] = fmt.Sprintf(" (at the %d. try; before: %s)", a.GetAttempt(), a.GetLastFailure().GetMessage())
		}
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		a := e.GetActivityTaskCompletedEventAttributes()
		var result any
		decode(a.GetResult(), &result)
		t.ended(a.GetScheduledEventId(), t.result(result, t.kinds[a.GetScheduledEventId()]))
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		a := e.GetActivityTaskFailedEventAttributes()
		t.ended(a.GetScheduledEventId(), "**refused**: "+a.GetFailure().GetMessage())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		a := e.GetActivityTaskTimedOutEventAttributes()
		t.ended(a.GetScheduledEventId(), "**no answer in time**: "+a.GetFailure().GetCause().GetMessage())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		t.ended(e.GetActivityTaskCanceledEventAttributes().GetScheduledEventId(), "given up")
	}
}

func (t *teller) ended(scheduled int64, outcome string) {
	if system, look := t.reads[scheduled]; look {
		if outcome != "present" {
			t.begun[scheduled].outcome = strings.TrimPrefix(t.begun[scheduled].outcome+"; "+system+": "+outcome, "; ")
		}
		return
	}
	if l := t.begun[scheduled]; l != nil {
		l.outcome = outcome + t.tries[scheduled]
	}
}

func (t *teller) look(e *historypb.HistoryEvent, system string) {
	t.reads[e.EventId] = system
	if t.looks == nil {
		looks := t.add(e, "reads "+system, "")
		t.looks, t.looked = looks, []string{system}
		return
	}
	t.begun[e.EventId] = t.looks
	t.looked = append(t.looked, system)
	t.looks.what = "reads " + strings.Join(t.looked, ", ")
	if len(t.looked) == len(order.Systems()) {
		t.looks.what = "reads all six systems"
	}
}

// timer: what is waited for. The pause between two looks is no news.
func (t *teller) timer(e *historypb.HistoryEvent) {
	if a := e.GetTimerStartedEventAttributes(); a != nil {
		summary := text(e.GetUserMetadata().GetSummary())
		if summary == "" || summary == "Sleep" {
			return
		}
		wait := a.GetStartToFireTimeout().AsDuration().Round(100 * time.Millisecond)
		t.add(e, "waits "+wait.String()+" at most: "+summary, "still waiting")
		return
	}
	if a := e.GetTimerFiredEventAttributes(); a != nil {
		if l := t.begun[a.GetStartedEventId()]; l != nil {
			l.outcome = "see below"
			t.add(e, "**the time is over**: "+l.what[strings.Index(l.what, ": ")+2:], "")
		}
		return
	}
	a := e.GetTimerCanceledEventAttributes()
	if l := t.begun[a.GetStartedEventId()]; l != nil {
		l.outcome = fmt.Sprintf("not needed any more %.1f s later", e.EventTime.AsTime().Sub(t.at[a.GetStartedEventId()]).Seconds())
	}
}

// shows: what lists and filters say of the order from now on.
func (t *teller) shows(e *historypb.HistoryEvent) {
	fields := e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()
	what := "shows as **" + text(fields["OrderOutcome"]) + "**, " + text(fields["OrderAgreement"])
	var breaks []string
	if p := fields["OrderBreaks"]; p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &breaks)
	}
	t.add(e, what, strings.Join(breaks, ", "))
}

func text(p *commonpb.Payload) string {
	s := ""
	if p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &s)
	}
	return s
}

// decode reads the first of some payloads, or leaves into as it is.
func decode(p *commonpb.Payloads, into any) {
	if len(p.GetPayloads()) > 0 {
		_ = converter.GetDefaultDataConverter().FromPayload(p.GetPayloads()[0], into)
	}
}
