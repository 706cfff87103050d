package reconciliation

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// A system whose clock runs ahead, or that does not say, must not date what we
// read into our future: it would pass for later than everything after it.
func TestChangedAt_OfAClockThatRunsAhead_IsNow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ says, want time.Time }{
		"earlier":         {noon.Add(-time.Minute), noon.Add(-time.Minute)},
		"the same moment": {noon, noon},
		"a year ahead":    {noon.AddDate(1, 0, 0), noon},
		"it does not say": {time.Time{}, noon},
	} {
		if got := changedAt(reconcile.Observation{Changed: c.says}, noon); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// unread fails whoever reads it.
type unread struct{ t *testing.T }

func (r unread) Lookup(context.Context, reconcile.Subject) (reconcile.Observation, error) {
	r.t.Error("it was looked up though the time was over")
	return reconcile.Observation{}, errors.New("no answer")
}

func (r unread) List(context.Context, reconcile.ListRequest) (reconcile.Page, error) {
	return reconcile.Page{}, errors.New("no answer")
}

// A run whose time is over says so, and what it did not compare is not verified.
func TestScreening_TimeIsOver_PartialAndNothingRead(t *testing.T) {
	t.Parallel()
	a := &Activities{
		Readers: []SystemReader{{System: order.SystemERP, Reader: unread{t}}},
		Now:     func() time.Time { return noon }, Policy: reconcile.Default(),
	}
	began := noon.Add(-screenBudget - time.Second)
	out := Screened{From: began.Add(-time.Hour), To: began, began: began}
	s := a.screening(Screen{}, &out, Status{})
	s.know([]Known{{Intent: reconcile.Intent{Order: "A-1", PlacedAt: began.Add(-day)}}})
	if err := s.lookUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.into(&out)
	if report := out.Report(RunReport{}); report.Complete() || len(report.Lines) != 1 {
		t.Errorf("complete %t, and says %q", report.Complete(), report.Lines)
	}
}

const day = 24 * time.Hour

// An order that agrees and changed nowhere is not looked up; anything else is.
func TestFeed_Shows_WhatNeedsNoLookUp(t *testing.T) {
	t.Parallel()
	old, now := noon.Add(-10*day), noon
	for name, c := range map[string]struct {
		agreed  bool
		placed  time.Time
		changed time.Time // the intent
		mark    mark
		want    bool
	}{
		"nothing has changed":               {true, old, old, noneSeen, true},
		"its intent has changed":            {true, old, noon.Add(-time.Minute), noneSeen, false},
		"it does not agree by its own word": {false, old, old, noneSeen, false},
		"it is to be looked up":             {true, old, old, toLookUp, false},
		"it is new and nothing is there":    {true, noon.Add(-time.Minute), noon.Add(-time.Minute), noneSeen, true},
	} {
		a := &Activities{Now: func() time.Time { return now }, Policy: reconcile.Default(),
			Readers: []SystemReader{{System: order.SystemMail, Reader: unread{t}}}}
		out := Screened{From: noon.Add(-time.Hour), To: noon, began: noon}
		s := a.screening(Screen{}, &out, Status{VerifiedThrough: noon.Add(-time.Hour)})
		s.know([]Known{{Agreed: c.agreed, Intent: reconcile.Intent{
			Order: "A-1", PlacedAt: c.placed, Phase: order.PhasePaying, Changed: []reconcile.Changed{{System: order.SystemMail, At: c.changed}},
		}}})
		s.streams[0].marks[0] = c.mark
		if got := s.feed.shows(s, s.streams[0], 0); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
