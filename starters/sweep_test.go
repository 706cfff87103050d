package starters_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/internal/memory"
	"github.com/trueup-orders/trueup/workflows"
)

// visible is visibility over several runs of some orders, two a page at most: what
// runs first, and of what is closed the latest.
type visible struct {
	memory.Engine
	runs    []starters.Listed
	queries []string
}

func (v *visible) List(_ context.Context, query string, limit int, page []byte) ([]starters.Listed, []byte, error) {
	v.queries = append(v.queries, query)
	found := slices.DeleteFunc(slices.Clone(v.runs), func(l starters.Listed) bool {
		return strings.Contains(query, "WorkflowId IN") && !strings.Contains(query, "'"+l.ID+"'") || !startedAsAsked(query, l.Started) || settledBefore(query, l)
	})
	slices.SortStableFunc(found, func(x, y starters.Listed) int {
		switch {
		case x.Running == y.Running:
			return y.Closed.Compare(x.Closed)
		case x.Running:
			return -1
		}
		return 1
	})
	from, _ := strconv.Atoi(string(page))
	to := from + min(limit, 2)
	if to >= len(found) {
		return found[from:], nil, nil
	}
	return found[from:to], []byte(strconv.Itoa(to)), nil
}

// startedAsAsked says whether a run started when the query asks for.
func startedAsAsked(query string, started time.Time) bool {
	for _, bound := range regexp.MustCompile(`StartTime (>=|<) '([^']+)'`).FindAllStringSubmatch(query, -1) {
		at, err := time.Parse(time.RFC3339Nano, bound[2])
		if err != nil || started.Before(at) != (bound[1] == "<") {
			return false
		}
	}
	return true
}

// settledBefore says that a query is for what changed since a moment or does not agree,
// and a run is neither.
func settledBefore(query string, l starters.Listed) bool {
	since := regexp.MustCompile(`OrderChanged >= '([^']+)' OR OrderAgreement`).FindStringSubmatch(query)
	if since == nil || l.Agreement != string(reconcile.Agreed) {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, since[1])
	return err == nil && l.Changed.Before(at)
}

// aRun is a run of an order as visibility shows it; without placed it has not
// said yet what it means.
func aRun(id string, placed, started time.Time, running bool, captured int64) starters.Listed {
	l := starters.Listed{ID: workflows.OrderWorkflowID(order.ID(id)), Running: running, Started: started, Changed: started.Add(time.Hour)}
	if !running {
		l.Closed = l.Changed
	}
	intent := reconcile.Intent{Order: order.ID(id), PlacedAt: placed, Captured: captured}
	l.DecodeMemo = func(field string, into any) error {
		if placed.IsZero() {
			return errors.New("no such field")
		}
		data, err := json.Marshal(intent)
		return errors.Join(err, json.Unmarshal(data, into))
	}
	return l
}

func TestClient_DayIntents_EachOrderOnTheDayWhereItIsFound(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	monday, tuesday, friday := noon.Truncate(24*time.Hour), noon.Add(12*time.Hour), noon.Add(84*time.Hour)
	v := &visible{runs: []starters.Listed{
		aRun("usual", noon, noon.Add(time.Second), true, 0),
		aRun("over-midnight", tuesday.Add(-time.Second), tuesday.Add(time.Second), true, 0),
		aRun("ahead-of-us", monday, monday.Add(-time.Minute), true, 0), // the shop's clock runs ahead
		aRun("silent", time.Time{}, noon, true, 0),
		aRun("adopted-on-friday", noon, friday.Add(time.Hour), true, 0),
		aRun("reopened", noon, noon, false, 1),
		aRun("reopened", noon, friday.Add(time.Hour), true, 2),
		aRun("again", noon, noon, false, 1),
		aRun("again", noon, noon.Add(90*time.Minute), false, 2),
		aRun("of-friday", friday.Add(time.Hour), friday.Add(time.Hour), true, 0),
	}}
	c := &starters.Client{Engine: v, Now: time.Now}
	for _, test := range []struct {
		name string
		day  time.Time
		want []string
	}{
		{"monday", monday, []string{"again 2", "ahead-of-us 0", "over-midnight 0", "reopened 2", "silent 0", "usual 0"}},
		{"tuesday", tuesday, nil},
		{"friday", friday, []string{"adopted-on-friday 0", "of-friday 0", "reopened 2"}},
	} {
		for _, of := range []int{1, 3} { // whole, and in shards
			latest := map[order.ID]reconciliation.Known{}
			for n := range of {
				for page := ""; ; {
					known, next, err := c.DayIntents(t.Context(), test.day, reconcile.Shard{N: n, Of: of}, page)
					if err != nil {
						t.Fatal(err)
					}
					for _, k := range known {
						if before, twice := latest[k.Intent.Order]; !twice || k.Changed.After(before.Changed) {
							latest[k.Intent.Order] = k
						}
					}
					if page = next; next == "" {
						break
					}
				}
			}
			var got []string
			for id, k := range latest {
				got = append(got, fmt.Sprintf("%s %d", id, k.Intent.Captured))
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("the orders of %s in %d shards are %v, want %v", test.name, of, got, test.want)
			}
		}
	}
	if !slices.ContainsFunc(v.queries, func(query string) bool {
		return strings.Contains(query, "WorkflowId IN ('order/reopened')") && strings.Contains(query, "StartTime >= '2026-03-04T02:00:00Z'")
	}) {
		t.Errorf("of a closed run of monday not only later ones were asked for: %s", strings.Join(v.queries, "\n"))
	}
	if query := v.queries[0]; !strings.Contains(query, "StartTime >= '2026-03-01T23:") || !strings.Contains(query, "StartTime < '2026-03-04T02:00:00Z'") {
		t.Errorf("the query of monday is %s", query)
	}
	if n, err := c.CountDay(t.Context(), monday); err != nil || n != 6 {
		t.Errorf("the day has about %d orders, %v", n, err)
	}
	if _, _, err := c.DayIntents(t.Context(), monday, reconcile.Shard{}, "?"); err == nil {
		t.Error("a page that is none was taken")
	}
}

// A window of changes has an end: what changed at it or later is for the next.
func TestClient_Intents_UntilAMoment(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	v := &visible{runs: []starters.Listed{ // which changed an hour after they started
		aRun("before", noon, noon.Add(-time.Second), true, 0),
		aRun("at-the-end", noon, noon, true, 0),
	}}
	c := &starters.Client{Engine: v, Now: time.Now}
	known, err := c.Intents(t.Context(), reconciliation.IntentQuery{Since: noon, Until: noon.Add(time.Hour), Limit: 10})
	if err != nil || len(known) != 1 || known[0].Intent.Order != "before" {
		t.Errorf("found are %+v, %v", known, err)
	}
	want := "OrderChanged < '2026-03-02T13:00:00Z' AND (OrderChanged >= '2026-03-02T12:00:00Z' OR OrderAgreement != 'agreed')"
	if !strings.Contains(v.queries[0], want) {
		t.Errorf("it asked %q, want %q in it", v.queries[0], want)
	}
}

// Of an order that was re-opened there are many runs. However many of one there are,
// the others that were asked for by their ids are found, and of each its latest run.
func TestClient_Intents_OfManyRuns_EachOrderThatWasAskedFor(t *testing.T) {
	noon := time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	yesterday, lastWeek := noon.Add(-24*time.Hour), noon.Add(-7*24*time.Hour)
	v := &visible{runs: []starters.Listed{
		aRun("a", lastWeek, noon, true, 3),
		aRun("a", lastWeek, yesterday.Add(2*time.Hour), false, 2),
		aRun("a", lastWeek, yesterday, false, 1),
		aRun("b", lastWeek, lastWeek.Add(time.Hour), false, 2),
		aRun("b", lastWeek, lastWeek, false, 1),
		silentRun("c", noon), // re-opened just now
		aRun("c", lastWeek, lastWeek.Add(-time.Hour), false, 2),
	}}
	c := &starters.Client{Engine: v, Now: time.Now}
	known, err := c.Intents(t.Context(), reconciliation.IntentQuery{IDs: []order.ID{"a", "b", "nobody", "a", "c"}, Limit: 2})
	if got := captured(known); err != nil || !slices.Equal(got, []string{"a 3", "b 2", "c 2"}) {
		t.Errorf("found are %v, %v", got, err)
	}
	for _, query := range v.queries {
		if !strings.Contains(query, "ExecutionStatus != 'ContinuedAsNew'") {
			t.Errorf("it asked %q, which finds runs that the next one says again", query)
		}
	}
}

// A limit is of orders. What is listed ends with the engine's list and not with so many
// runs: whoever finds fewer orders than the limit takes them for all.
func TestClient_Intents_LimitOfOrdersAndNotOfRuns(t *testing.T) {
	noon := time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	v := &visible{runs: []starters.Listed{
		aRun("a", noon, noon.Add(3*time.Hour), true, 2),
		aRun("a", noon, noon.Add(2*time.Hour), false, 1),
		aRun("b", noon, noon.Add(time.Hour), false, 1),
		aRun("c", noon, noon, false, 1),
	}}
	c := &starters.Client{Engine: v, Now: time.Now}
	for limit, want := range map[int][]string{2: {"a 2", "b 1"}, 3: {"a 2", "b 1", "c 1"}, 100: {"a 2", "b 1", "c 1"}} {
		known, err := c.Intents(t.Context(), reconciliation.IntentQuery{Since: noon, Limit: limit})
		if got := captured(known); err != nil || !slices.Equal(got, want) {
			t.Errorf("limit %d: found are %v, want %v, %v", limit, got, want, err)
		}
	}
	// What changed at the end of the window or later is none of the limit either.
	known, err := c.Intents(t.Context(), reconciliation.IntentQuery{Since: noon, Until: noon.Add(2*time.Hour + time.Minute), Limit: 2})
	if got := captured(known); err != nil || !slices.Equal(got, []string{"b 1", "c 1"}) {
		t.Errorf("until the end of a window found are %v, %v", got, err)
	}
}

// A run that closed while its order did not agree says nothing of it any more once a
// later one has agreed: such an order is none of those that do not.
func TestClient_Intents_AgreedSince_NotListedForItsOlderRuns(t *testing.T) {
	noon := time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	agreed := func(l starters.Listed) starters.Listed {
		l.Agreement = string(reconcile.Agreed)
		return l
	}
	lastWeek := noon.Add(-7 * 24 * time.Hour)
	v := &visible{runs: []starters.Listed{ // which changed an hour after they started
		aRun("mended", lastWeek, lastWeek, false, 1),
		aRun("mended", lastWeek, lastWeek.Add(time.Hour), false, 2),
		agreed(aRun("mended", lastWeek, lastWeek.Add(2*time.Hour), false, 3)),
		aRun("mended-now", lastWeek, lastWeek, false, 1),
		agreed(aRun("mended-now", lastWeek, noon, false, 2)),
		aRun("broken-anew", lastWeek, lastWeek, false, 1),
		aRun("broken-anew", lastWeek, lastWeek.Add(time.Hour), false, 2),
		agreed(aRun("well", noon, noon, true, 1)),
	}}
	c := &starters.Client{Engine: v, Now: time.Now}
	for limit, want := range map[int][]string{3: {"broken-anew 2", "mended-now 2", "well 1"}, 100: {"broken-anew 2", "mended-now 2", "well 1"}} {
		known, err := c.Intents(t.Context(), reconciliation.IntentQuery{Since: noon, Limit: limit})
		if got := captured(known); err != nil || !slices.Equal(got, want) {
			t.Errorf("limit %d: found are %v, want %v, %v", limit, got, want, err)
		}
	}
}

// silentRun is a run that has only begun.
func silentRun(id string, started time.Time) starters.Listed {
	l := aRun(id, time.Time{}, started, true, 0)
	l.Changed = time.Time{}
	return l
}

func captured(known []reconciliation.Known) []string {
	var all []string
	for _, k := range known {
		all = append(all, fmt.Sprintf("%s %d", k.Intent.Order, k.Intent.Captured))
	}
	slices.Sort(all)
	return all
}
