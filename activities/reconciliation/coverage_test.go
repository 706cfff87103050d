package reconciliation_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
)

const day = reconciliation.Day

var (
	first  = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	since  = first.Add(9 * time.Hour) // memory began in the morning of the first day
	sweeps = reconciliation.Sweeps{SealedAfter: time.Hour, Again: []time.Duration{3 * day, 7 * day}}
)

func nth(n int) time.Time { return first.Add(time.Duration(n) * day) }

func swept(n int, ages ...time.Duration) reconciliation.Swept {
	return reconciliation.Swept{Day: nth(n), Ages: append([]time.Duration{0}, ages...)}
}

func TestCoverage_Through_OnlyOverDaysWithoutAGap(t *testing.T) {
	var c reconciliation.Coverage
	through := func(what string, want int) {
		t.Helper()
		if got := c.Through; !got.Equal(nth(want)) && (want > 0 || !got.IsZero()) {
			t.Errorf("after %s it is swept through %s, want %s", what, got, nth(want))
		}
	}
	c.Add(swept(1), true, since, nth(3))
	through("the second day", 0)
	c.Add(swept(0), false, since, nth(3))
	through("a partial first day", 0)
	c.Add(swept(0), true, since, nth(3))
	through("the first day", 2)
	c.Add(swept(4), true, since, nth(6))
	through("the fifth day", 2)
	c.Add(swept(3), true, since, nth(6))
	c.Add(swept(2), true, since, nth(6))
	through("those between", 5)
	if len(c.Ages) != 1 || len(c.Ages[0].Days) != 1 || len(c.Partial) != 0 {
		t.Errorf("five days without a gap are kept as %+v, partial %+v", c.Ages, c.Partial)
	}
}

func TestCoverage_TooManyExceptions_IsPartial(t *testing.T) {
	var c reconciliation.Coverage
	s := swept(0)
	for i := range 201 {
		s.Exceptions = append(s.Exceptions, reconciliation.Exception{Order: order.ID(fmt.Sprint("o", i))})
	}
	c.Add(s, true, since, nth(2))
	if !c.Through.IsZero() || len(c.Partial) != 1 || len(c.Exceptions) > 200 {
		t.Errorf("with 201 exceptions it is swept through %s, partial %d, %d listed", c.Through, len(c.Partial), len(c.Exceptions))
	}
}

func TestCoverage_Exceptions_AreAskedEverMoreRarelyAndForgottenWhenTheyAnswer(t *testing.T) {
	var c reconciliation.Coverage
	s := swept(0)
	s.Exceptions = []reconciliation.Exception{{Order: "stuck", Why: "it is settling"}, {Order: "slow", Why: "its workflow did not answer"}}
	now := nth(2)
	c.Add(s, true, since, now)
	if !c.Through.Equal(nth(1)) {
		t.Errorf("with two listed exceptions it is swept through %s", c.Through)
	}
	if due := c.DueExceptions(now.Add(59 * time.Minute)); len(due) > 0 {
		t.Errorf("within the hour %v are asked again", due)
	}
	var waits []time.Duration
	for range 8 {
		for len(c.DueExceptions(now)) == 0 {
			now = now.Add(time.Hour)
		}
		asked := c.DueExceptions(now)
		c.Add(reconciliation.Swept{Asked: asked, Exceptions: []reconciliation.Exception{{Order: "stuck", Why: "it is settling"}}}, true, since, now)
		if len(c.Exceptions) != 1 || c.Exceptions[0].Order != "stuck" || !c.Exceptions[0].Day.Equal(nth(0)) || !c.Exceptions[0].Since.Equal(nth(2)) {
			t.Fatalf("the exceptions are %+v", c.Exceptions)
		}
		waits = append(waits, c.Exceptions[0].NotBefore.Sub(now))
	}
	if !slices.IsSorted(waits) || waits[0] != 2*time.Hour || waits[7] != day {
		t.Errorf("it was left alone for %v", waits)
	}
	c.Add(swept(0), true, since, now) // the day again, and all is well
	if len(c.Exceptions) > 0 {
		t.Errorf("exceptions that are over: %+v", c.Exceptions)
	}
}

// What is asked again while a system cannot be read was not compared: it stays an
// exception, though no look-up of it failed by itself, and is asked later.
func TestCoverage_ExceptionsAskedAgainWhileASystemIsDown_Stay(t *testing.T) {
	var c reconciliation.Coverage
	s := swept(0)
	s.Exceptions = []reconciliation.Exception{{Order: "p", Why: "garbage"}, {Order: "q", Why: "garbage"}}
	c.Add(s, true, since, nth(2))
	now := nth(2).Add(2 * time.Hour)
	c.Add(reconciliation.Swept{Asked: []order.ID{"p", "q", "by hand"}, Exceptions: []reconciliation.Exception{{Order: "q", Why: "no answer"}}}, false, since, now)
	want := []reconciliation.Exception{
		{Order: "q", Day: nth(0), Why: "no answer", Since: nth(2), Tries: 2, NotBefore: now.Add(2 * time.Hour)},
		{Order: "p", Day: nth(0), Why: "garbage", Since: nth(2), Tries: 2, NotBefore: now.Add(2 * time.Hour)},
	}
	if !slices.Equal(c.Exceptions, want) {
		t.Errorf("the exceptions are %+v, want %+v", c.Exceptions, want)
	}
	c.Add(reconciliation.Swept{Asked: []order.ID{"p", "q"}}, true, since, now)
	if len(c.Exceptions) != 0 {
		t.Errorf("once all of them were compared the exceptions are %+v", c.Exceptions)
	}
}

func TestCoverage_Due_TheNewestFirstAndWhatFailsLast(t *testing.T) {
	var c reconciliation.Coverage
	now := nth(4).Add(time.Hour) // the fourth day has just been sealed
	due := func(what string, want ...int) {
		t.Helper()
		got := c.Due(since, now, sweeps)
		var days []time.Time
		for _, n := range want {
			days = append(days, nth(n))
		}
		if !slices.EqualFunc(got, days, time.Time.Equal) {
			t.Errorf("%s: due are %v, want %v", what, got, days)
		}
	}
	due("nothing was swept", 3, 2, 1, 0)
	c.Add(swept(3), false, since, now)
	due("the newest stayed partial", 2, 1, 0, 3)
	c.Add(swept(2), false, since, now)
	due("the next too", 1, 0, 3, 2)
	for n := range 4 {
		c.Add(swept(n), true, since, now)
	}
	due("all were swept, and two are three days old", 1, 0)
	c.Add(swept(0, 3*day), true, since, now)
	c.Add(swept(1, 3*day), true, since, now)
	due("these again")
	now = nth(5).Add(59 * time.Minute)
	due("a day that is over, and not sealed")
	now = nth(5).Add(time.Hour)
	due("a day later", 4, 2)
}

// However many days come, go well or badly, in whatever order: what is kept is
// bounded, and a day is never called swept that was not.
func TestCoverage_AnyHistory_BoundedAndHonest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c reconciliation.Coverage
		good := map[int]bool{}
		for range rapid.IntRange(0, 150).Draw(t, "sweeps") {
			n := rapid.IntRange(0, 120).Draw(t, "day")
			complete := rapid.Bool().Draw(t, "complete")
			s := swept(n)
			for range rapid.IntRange(0, 20).Draw(t, "exceptions") {
				s.Exceptions = append(s.Exceptions, reconciliation.Exception{Order: order.ID(fmt.Sprint("o", rapid.IntRange(0, 400).Draw(t, "order")))})
			}
			before := len(c.Partial)
			c.Add(s, complete, since, nth(200))
			if complete && len(c.Partial) <= before {
				good[n] = true
			}
		}
		for n := range 121 {
			if nth(n).Before(c.Through) && !good[n] {
				t.Fatalf("swept through %s, and day %d was not", c.Through, n)
			}
		}
		if len(c.Exceptions) > 200 || len(c.Partial) > 40 || len(c.Ages) > 0 && len(c.Ages[0].Days) > 32 {
			t.Fatalf("it keeps %d exceptions, %d partial days, %d ranges", len(c.Exceptions), len(c.Partial), len(c.Ages[0].Days))
		}
	})
}
