package main

import (
	"math"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestFigure_Line(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		figure figure
		want   string
	}{
		{figure{"x_ms", 30, 10, target{limit: 3, ratio: true}}, "bench: x_ms value=30 floor=10 ratio=3 target=ratio<=3 ok=true"},
		{figure{"x_ms", 31, 10, target{limit: 3, ratio: true}}, "bench: x_ms value=31 floor=10 ratio=3.10 target=ratio<=3 ok=false"},
		{figure{"per_s", 4.9, 10, target{limit: 0.5, ratio: true, atLeast: true}}, "bench: per_s value=4.90 floor=10 ratio=0.49 target=ratio>=0.50 ok=false"},
		{figure{"events", 51, 20, target{limit: 50}}, "bench: events value=51 floor=20 ratio=2.55 target=value<=50 ok=false"},
		{figure{"bytes", 12345.6, math.NaN(), target{}}, "bench: bytes value=12346 floor=- ratio=- target=- ok=true"},
		// What could not be measured is not met.
		{figure{"x_ms", math.NaN(), 10, target{limit: 3, ratio: true}}, "bench: x_ms value=- floor=10 ratio=- target=ratio<=3 ok=false"},
		{figure{"x_ms", 10, 0, target{limit: 3, ratio: true}}, "bench: x_ms value=10 floor=0 ratio=- target=ratio<=3 ok=false"},
	} {
		if got := c.figure.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestMedian_EvenAndOdd(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	if got := median([]time.Duration{30 * ms, 10 * ms, 20 * ms}); got != 20 {
		t.Errorf("of three: %v", got)
	}
	if got := median([]time.Duration{30 * ms, 10 * ms, 20 * ms, 40 * ms}); got != 25 {
		t.Errorf("of four: %v", got)
	}
}

func TestRate_FillingAndEmptyingAreLeftOut(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_800_000_000, 0)
	var ends []time.Time
	for i := range 2 { // while the places fill
		ends = append(ends, start.Add(time.Duration(i)*time.Minute))
	}
	for i := range 11 { // ten a second
		ends = append(ends, start.Add(time.Hour+time.Duration(i)*100*time.Millisecond))
	}
	for i := range 2 { // while they empty
		ends = append(ends, start.Add(2*time.Hour+time.Duration(i)*time.Minute))
	}
	if got := rate(ends, 2); math.Abs(got-10) > 0.001 {
		t.Errorf("rate %v, want 10 a second", got)
	}
}

// An order reads a system when a notice comes, in the midst of its own calls: a
// read is none of the six answers.
func TestFollow_ReadsAreNoAnswers(t *testing.T) {
	t.Parallel()
	h := &story{at: time.Unix(1_800_000_000, 0)}
	for i := range calls {
		h.signal()
		h.activity("ReadPayment")
		h.activity("Call")
		if i < calls-1 {
			h.add(enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nil)
		}
	}
	last := h.at
	h.add(enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, nil)
	h.add(enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nil)
	h.add(enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, nil)
	until := len(h.events)
	h.signal() // after the workflow knew
	got, err := follow(h.events)
	if err != nil {
		t.Fatal(err)
	}
	if want := (path{agreed: last.UTC(), events: until, signals: calls}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := follow(h.events[:10]); err == nil {
		t.Error("an order without its answers agrees")
	}
}

// story writes a history.
type story struct {
	at     time.Time
	events []*historypb.HistoryEvent
}

func (s *story) add(kind enumspb.EventType, with func(*historypb.HistoryEvent)) int64 {
	s.at = s.at.Add(time.Second)
	e := &historypb.HistoryEvent{EventId: int64(len(s.events) + 1), EventType: kind, EventTime: timestamppb.New(s.at)}
	if with != nil {
		with(e)
	}
	s.events = append(s.events, e)
	return e.EventId
}

func (s *story) signal() { s.add(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, nil) }

func (s *story) activity(name string) {
	scheduled := s.add(enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, func(e *historypb.HistoryEvent) {
		e.Attributes = &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
			ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{ActivityType: &commonpb.ActivityType{Name: name}},
		}
	})
	s.add(enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, func(e *historypb.HistoryEvent) {
		e.Attributes = &historypb.HistoryEvent_ActivityTaskCompletedEventAttributes{
			ActivityTaskCompletedEventAttributes: &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: scheduled},
		}
	})
}
