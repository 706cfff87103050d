package reconcile

import (
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

func randomly(t *rapid.T) *rand.Rand {
	return rand.New(rand.NewSource(rapid.Int64().Draw(t, "shuffle")))
}

// holds says that the systems hold something of an order: money, an attempt that
// may still take some, stock, or goods that are out or about to be.
func (w *world) holds() bool {
	for _, a := range w.payment.Attempts {
		back := a.Refunded
		for _, r := range a.Refunds {
			if r.State == RefundPending {
				back -= r.Amount
			}
		}
		if a.State == AttemptOpen || a.State == AttemptProcessing || a.State == AttemptAuthorized || a.Held > 0 || a.Captured-back-a.Disputed > 0 {
			return true
		}
	}
	for _, r := range w.inventory.Reservations {
		if r.Quantity > 0 {
			return true
		}
	}
	for _, s := range w.warehouse.Shipments {
		if s.State != ShipmentDraft && s.State != ShipmentCancelled {
			return true
		}
	}
	return false
}

func TestProperty_Judge_NeverFailedOrCancelled_WhileSomethingIsHeld(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		// Whatever our own process believes, most often that it is over.
		i.Phase = rapid.SampledFrom(append(phases(), order.PhaseCancelled, order.PhaseFailed, order.PhaseCancelled, order.PhaseFailed)).Draw(t, "believed")
		for range rapid.IntRange(0, 2).Draw(t, "edits") {
			drawEdit(t, i, w)
		}
		if n := len(w.payment.Attempts); n > 0 && one(t, 4) {
			for k := range w.payment.Attempts[n-1].Refunds {
				w.payment.Attempts[n-1].Refunds[k].State = RefundPending
			}
		}
		observations := w.read(i.Order, now)
		if one(t, 3) { // what it said once counts
			observations = Merge(observations, down(drawSystem(t), now.Add(time.Second)))
		}
		v := Judge(i, judged, observations, Compare(i, judged, observations, nil, nil, now), nil, true, now)
		if (v.Outcome == Failed || v.Outcome == Cancelled) && w.holds() {
			t.Fatalf("outcome is %s while something is held:\n%s", v.Outcome, v.Table())
		}
		if v.Outcome == Succeeded && !i.Phase.PastPivot() || v.Outcome == Failed && i.Phase != order.PhaseFailed || v.Outcome == Cancelled && i.Phase != order.PhaseCancelled {
			t.Fatalf("%s in phase %s", v.Outcome, i.Phase)
		}
	})
}

// An end needs proof: the gateway read after our last write, and nothing in doubt.
func TestProperty_Judge_EndWithoutProof_InDoubt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		i.Phase = rapid.SampledFrom([]order.Phase{order.PhaseCancelled, order.PhaseFailed}).Draw(t, "end")
		i.Underway = false
		observations := w.read(i.Order, now)
		why := rapid.SampledFrom([]string{"never read", "stale", "in doubt", "warehouse never read"}).Draw(t, "why")
		switch why {
		case "never read":
			observations[0] = down(order.SystemPayment, now)
		case "stale":
			i = written(i, order.SystemPayment, now.Add(-time.Minute))
			observations[0].At = now.Add(-time.Hour)
		case "in doubt":
			i.InDoubt = []order.System{rapid.SampledFrom([]order.System{order.SystemPayment, order.SystemInventory, order.SystemWarehouse}).Draw(t, "system")}
		case "warehouse never read":
			i = written(i, order.SystemWarehouse, now.Add(-time.Minute))
			observations[2] = down(order.SystemWarehouse, now)
		}
		v := Judge(i, judged, observations, Compare(i, judged, observations, nil, nil, now), nil, true, now)
		if v.Outcome != OutcomeInDoubt && v.Outcome != InProgress || v.Outcome == InProgress && !w.holds() {
			t.Fatalf("%s: %s:\n%s", why, v.Outcome, v.Table())
		}
	})
}

func TestProperty_Judge_Underway_NeitherEndedNorSucceeded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		i.Underway = true
		if v := verdictOf(i, w); v.Outcome != InProgress {
			t.Fatalf("%s in phase %s while something is under way:\n%s", v.Outcome, i.Phase, v.Table())
		}
	})
}

// Past the pivot an order has succeeded exactly when every piece is on its way.
func TestProperty_Judge_Succeeded_WhenEveryLineIsOnItsWay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		i.Phase, i.Underway = order.PhaseAccepted, false
		if len(i.Shipments) == 0 {
			return
		}
		if v := verdictOf(i, w); v.Outcome != Succeeded {
			t.Fatalf("every line is on its way, and it is %s:\n%s", v.Outcome, v.Table())
		}
		i.Reserved = append(slices.Clone(i.Reserved), order.Quantity{SKU: rapid.SampledFrom([]string{"A", "B", "C", "Z"}).Draw(t, "sku"), Quantity: 10})
		if v := verdictOf(i, w); v.Outcome != InProgress {
			t.Fatalf("a piece waits, and it is %s:\n%s", v.Outcome, v.Table())
		}
		i.InDoubt = []order.System{order.SystemWarehouse}
		if v := verdictOf(i, w); v.Outcome != OutcomeInDoubt {
			t.Fatalf("its request is in doubt, and it is %s:\n%s", v.Outcome, v.Table())
		}
	})
}

func TestProperty_Judge_Agreement_ComesFromTheComparison(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 1)
		observations := w.read(i.Order, now)
		missing := order.System("")
		if one(t, 3) {
			missing = rapid.SampledFrom([]order.System{order.SystemPayment, order.SystemInventory, order.SystemWarehouse, order.SystemERP, order.SystemCRM}).Draw(t, "down")
			observations[at(missing)] = down(missing, now)
		}
		c := Compare(i, judged, observations, nil, nil, now)
		var cases []Case
		if one(t, 3) {
			cases = append(cases, Case{N: 1, Opened: placed, Step: Step{Why: "why"}})
			if one(t, 2) {
				cases[0].Closed = now
			}
		}
		want := Agreed
		switch {
		case len(cases) == 1 && cases[0].Open():
			want = NeedsPerson
		case len(c.Breaks) > 0:
			want = Disagreeing
		case missing != "":
			want = AgreeUnknown
		case len(c.Settling) > 0:
			want = AgreeSettle
		}
		if v := Judge(i, judged, observations, c, cases, true, now); v.Agreement != want {
			t.Fatalf("agreement is %s, want %s:\n%s", v.Agreement, want, v.Table())
		}
	})
}

func TestProperty_Judge_BusyOrStale_IsNotAgreed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		s := drawSystem(t)
		observations := w.read(i.Order, now)
		if rapid.Bool().Draw(t, "busy") {
			i.Busy = []order.System{s}
		} else {
			i = written(i, s, now.Add(-time.Minute))
			observations[at(s)].At = now.Add(-2 * time.Minute)
		}
		if v := Judge(i, judged, observations, Compare(i, judged, observations, nil, nil, now), nil, true, now); v.Agreement != AgreeSettle {
			t.Fatalf("%s cannot be judged yet, and the agreement is %s", s, v.Agreement)
		}
	})
}

// A system that cannot be read makes the answer say so, with the last known
// value and its age.
func TestProperty_Judge_Unreadable_SaysSo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		s := drawSystem(t)
		minutes := time.Duration(rapid.IntRange(1, 90).Draw(t, "minutes")) * time.Minute
		read := now.Add(-minutes)
		known := w.read(i.Order, now)
		known[at(s)].At = read
		before := Judge(i, judged, known, Compare(i, judged, known, nil, nil, now), nil, true, now)
		known = Merge(known, down(s, now))
		v := Judge(i, judged, known, Compare(i, judged, known, nil, nil, now), nil, true, now)
		if reading := v.Read[at(s)]; reading.State != Unreadable || !strings.Contains(reading.Why, "connection refused; last read "+age(minutes)+" ago") {
			t.Fatalf("the reading is %+v", reading)
		}
		if s != order.SystemMail && v.Agreement != AgreeUnknown {
			t.Fatalf("%s cannot be read, and the agreement is %s", s, v.Agreement)
		}
		for n, r := range v.Rows {
			for k, cell := range r.Cells {
				if cell.System == s && (cell.Agrees || cell.Age != minutes || cell.Value != before.Rows[n].Cells[k].Value || r.State != "unreadable") {
					t.Fatalf("row %q says %+v of what was %+v, read %s ago", r.Field, cell, before.Rows[n].Cells[k], minutes)
				}
			}
		}
	})
}

func TestProperty_Judge_Rows_ShowEveryBreak(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 3)
		observations := w.read(i.Order, now)
		first := Compare(i, judged, observations, nil, nil, now.Add(-time.Minute))
		c := Compare(i, judged, observations, nil, first.Breaks, now)
		v := Judge(i, judged, observations, c, nil, true, now)
		disagrees := false
		for _, r := range v.Rows {
			if r.State == "disagrees" && (r.Since.IsZero() || r.Next == "") || r.State == "agreed" && (!r.Since.IsZero() || r.Next != "") {
				t.Fatalf("the row is not told: %+v", r)
			}
			if r.State == "agreed" && slices.ContainsFunc(r.Cells, func(cell Cell) bool { return !cell.Agrees }) {
				t.Fatalf("the row agrees and its cells do not: %+v", r)
			}
			disagrees = disagrees || r.State == "disagrees"
		}
		if disagrees != (len(v.Breaks) > 0) || !reflect.DeepEqual(v.Breaks, c.Breaks) {
			t.Fatalf("%d breaks, and the rows say disagrees %v:\n%s", len(v.Breaks), disagrees, v.Table())
		}
		for _, b := range v.Breaks {
			if !slices.ContainsFunc(v.Rows, func(r Row) bool {
				return r.State == "disagrees" && !r.Since.After(b.FirstSeen) && slices.ContainsFunc(r.Cells, func(cell Cell) bool { return cell.System == b.System && !cell.Agrees })
			}) {
				t.Fatalf("no row shows %s:\n%s", b.ID(), v.Table())
			}
		}
	})
}

// Every difference in what a system says is in the table: an edit by hand that
// is a break changes what its system is quoted with, or how the break is told.
func TestProperty_Judge_Edit_IsShown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		e, matters := drawEdit(t, i, w)
		if !matters {
			return
		}
		v := verdictOf(i, w)
		if v.Agreement != Disagreeing || !strings.Contains(v.Summary, "disagree") || !strings.Contains(v.Summary, systemName(v.Breaks[0].System)) {
			t.Fatalf("%s in %s, and the verdict says %s: %s", e.name, e.system, v.Agreement, v.Summary)
		}
		if !strings.Contains(v.Table(), "≠ ") || !strings.Contains(v.Table(), "disagrees") {
			t.Fatalf("%s in %s, and the table does not show it:\n%s", e.name, e.system, v.Table())
		}
	})
}

func TestProperty_Judge_OrderOfInput_Irrelevant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		observations := w.read(i.Order, now)
		c := Compare(i, judged, observations, nil, nil, now)
		cases := []Case{{N: 1, Step: Step{Why: "a"}}, {N: 2, Step: Step{Why: "b"}}, {N: 3, Step: Step{Why: "c"}, Closed: now}}
		fresh := rapid.Bool().Draw(t, "fresh")
		want := Judge(i, judged, observations, c, cases, true, now)
		r := randomly(t)
		got := Judge(i, judged, shuffle(r, observations), c, shuffle(r, cases), fresh, now)
		if got.Fresh != fresh {
			t.Fatalf("fresh is %v, want %v", got.Fresh, fresh)
		}
		got.Fresh = want.Fresh
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("another order of input gave\n%+v\nwant\n%+v", got, want)
		}
	})
}

func TestProperty_Judge_Text_KeepsItsLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 3)
		var cases []Case
		for n, s := range plan(i, w, nil) {
			if s.Decision == Ask {
				cases = append(cases, Case{N: n + 1, Step: s, Opened: now, Deadline: now.Add(time.Hour), AtDeadline: "it is announced again"})
			}
		}
		v := verdictOf(i, w, cases...)
		checkText(t, v)
		checkText(t, v.Asking("B is not there: amend, wait or cancel, until 2026-03-03T12:00:00Z"))
		for _, k := range cases {
			if !strings.Contains(v.Table(), "case "+canonicalAmount(int64(k.N))+" ("+k.Step.Break.ID()[:8]) {
				t.Fatalf("the table lacks case %d:\n%s", k.N, v.Table())
			}
		}
	})
}

func TestProperty_Attributes_CountEveryKind(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var breaks []Break
		want := map[string]bool{}
		oldest := time.Time{}
		for range rapid.IntRange(0, 40).Draw(t, "breaks") {
			b := Break{
				Field:     rapid.SampledFrom(Fields()).Draw(t, "field"),
				Situation: rapid.SampledFrom([]Situation{Missing, Mismatch, Duplicate}).Draw(t, "situation"),
				Item:      rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "item"),
				FirstSeen: now.Add(-time.Duration(rapid.IntRange(0, 1000).Draw(t, "age")) * time.Second),
			}
			breaks = append(breaks, b)
			want[string(b.Field)+"."+string(b.Situation)] = true
			if oldest.IsZero() || b.FirstSeen.Before(oldest) {
				oldest = b.FirstSeen
			}
		}
		outcome, agreement, kinds, since := Attributes(Verdict{Outcome: Succeeded, Agreement: Disagreeing}, breaks)
		if outcome != "succeeded" || agreement != "disagreeing" || !since.Equal(oldest) {
			t.Fatalf("%s, %s, %s; want the oldest %s", outcome, agreement, since, oldest)
		}
		if len(kinds) != min(20, len(want)) || !slices.IsSorted(kinds) || len(slices.Compact(slices.Clone(kinds))) != len(kinds) {
			t.Fatalf("%d kinds of %d: %q", len(kinds), len(want), kinds)
		}
		for _, k := range kinds {
			if !want[k] {
				t.Fatalf("%s is not among the breaks", k)
			}
		}
	})
}
