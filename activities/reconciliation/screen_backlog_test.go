package reconciliation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// shop is what visibility lists of many orders, and the journal of their mails,
// which is empty. Its clock goes on by cost with each look-up.
type shop struct {
	Keeper
	t *testing.T
	a Activities

	known  []Known
	named  []order.ID // on the feed
	at     time.Time  // when these changed
	cost   time.Duration
	status Status

	mu       sync.Mutex
	now      time.Time
	lookedUp map[order.ID]int
}

func aShop(t *testing.T, verified, now time.Time) *shop {
	s := &shop{t: t, now: now, lookedUp: map[order.ID]int{}, status: Status{Since: verified.Add(-30 * day), VerifiedThrough: verified}}
	s.a = Activities{
		Readers: []SystemReader{{System: order.SystemMail, Reader: s}}, Keeper: s, Policy: reconcile.Default(), Now: s.clock,
		Wait: func(context.Context, time.Duration) error { return nil },
	}
	return s
}

func (s *shop) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *shop) Status(context.Context) (Status, error)     { return s.status, nil }
func (s *shop) Members(context.Context) ([]Members, error) { return nil, nil }

func (s *shop) Intents(_ context.Context, q IntentQuery) ([]Known, error) {
	var all []Known
	for _, k := range s.known {
		asked := slices.Contains(q.IDs, k.Intent.Order)
		if len(q.IDs) == 0 {
			asked = !k.Changed.Before(q.Since) || !k.Agreed
		}
		if asked && (q.Until.IsZero() || k.Changed.Before(q.Until)) && len(all) < q.Limit {
			all = append(all, k)
		}
	}
	return all, nil
}

func (s *shop) Lookup(_ context.Context, of reconcile.Subject) (reconcile.Observation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookedUp[of.Order]++
	s.now = s.now.Add(s.cost)
	return reconcile.Observation{System: order.SystemMail, Order: of.Order, State: reconcile.Absent, Strong: true}, nil
}

func (s *shop) List(_ context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	var page reconcile.Page
	for _, id := range s.named {
		if !s.at.Before(r.From) && s.at.Before(r.To) {
			page.Observations = append(page.Observations, reconcile.Observation{Order: id, State: reconcile.Present, Mail: &reconcile.Mail{}})
		}
	}
	return page, nil
}

// order adds an order that was placed long ago and that changed at a moment. Its
// intent about mail changed then too, unless that is said.
func (s *shop) order(id string, changed time.Time, intent ...time.Time) *Known {
	k := Known{Agreed: true, Changed: changed, Subject: reconcile.Subject{Order: order.ID(id)}, Intent: reconcile.Intent{
		Order: order.ID(id), PlacedAt: changed.Add(-10 * day), Phase: order.PhasePaying,
	}}
	for _, at := range intent {
		k.Intent.Changed = []reconcile.Changed{{System: order.SystemMail, At: at}}
	}
	s.known = append(s.known, k)
	return &s.known[len(s.known)-1]
}

// broken adds one whose mail is not in the journal.
func (s *shop) broken(id string, changed, intent time.Time) *Known {
	k := s.order(id, changed, intent)
	k.Intent.Mails = []reconcile.MailIntent{{Template: reconcile.MailConfirmation, Occasion: 1, Due: intent}}
	return k
}

// run makes a run, a quarter of an hour after the one before.
func (s *shop) run() (RunReport, []order.ID) {
	s.t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(&s.a)
	env.SetTestTimeout(time.Minute)
	value, err := env.ExecuteActivity(s.a.ScreenChanges, Screen{Now: s.clock()})
	var out Screened
	if err == nil {
		err = value.Get(&out)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var suspects []order.ID
	for _, one := range out.Suspects {
		suspects = append(suspects, one.Order)
	}
	r := out.Report(RunReport{})
	s.status.Verify(r, s.clock())
	s.status.Reports = append(s.status.Reports, r)
	s.now = s.now.Add(15 * time.Minute)
	return r, suspects
}

// The systems and the workers were away for a day, and more orders have changed
// than one run takes: each run goes on where the last one ended, none of them but
// the last is clean, and nothing is left out. Before, each began at the same place
// and saw the same orders.
func TestScreenChanges_MoreThanOneRunTakes_WorkedOffOverSeveral(t *testing.T) {
	t.Parallel()
	began := noon.Add(-day)
	s := aShop(t, began, noon)
	for n := range 3*mostOrders + 17 { // the latest first, as visibility lists them
		s.order(fmt.Sprintf("o-%05d", n), noon.Add(-time.Duration(n)*2*time.Second))
	}
	s.broken("first", began.Add(time.Second), began.Add(time.Second))
	s.broken("middle", noon.Add(-12*time.Hour), noon.Add(-12*time.Hour))
	s.broken("last", noon.Add(-time.Hour), noon.Add(-time.Hour))
	// The mail was lost on the first hour, and the order changed on the last: no feed
	// names it, and its mail is older than the window that it is in.
	s.broken("moved", noon.Add(-time.Hour), began.Add(time.Hour))
	var found []order.ID
	runs := 0
	for verified := began; ; runs++ {
		r, suspects := s.run()
		found = append(found, suspects...)
		if !s.status.VerifiedThrough.After(verified) {
			t.Fatalf("run %d took %d orders and has not come further than %s: %q", runs, r.Looked, verified, r.Lines)
		}
		if r.Looked > mostOrders+1 {
			t.Errorf("run %d took %d orders", runs, r.Looked)
		}
		if verified = s.status.VerifiedThrough; r.Complete() {
			break
		}
		if !s.status.Backlog.Equal(began) || !s.status.LastGoodRun.IsZero() || !strings.Contains(strings.Join(r.Lines, "\n"), "the next run goes on from "+verified.Format(time.RFC3339)) {
			t.Errorf("run %d of a backlog since %s, last good run %s, says %q", runs, s.status.Backlog, s.status.LastGoodRun, r.Lines)
		}
		if !slices.ContainsFunc(s.status.Progress(s.clock()), func(line string) bool { return strings.Contains(line, verified.Format(time.RFC3339)) }) {
			t.Errorf("run %d: the status does not say how far they have come: %q", runs, s.status.Progress(s.clock()))
		}
	}
	slices.Sort(found)
	if want := []order.ID{"first", "last", "middle", "moved"}; !slices.Equal(slices.Compact(found), want) {
		t.Errorf("found are %v, want %v", found, want)
	}
	if runs < 3 || runs > 7 || !s.status.Backlog.IsZero() || len(s.status.Progress(s.clock())) > 0 {
		t.Errorf("it took %d runs, and a backlog since %s is left", runs+1, s.status.Backlog)
	}
}

// What changed at one moment cannot be cut; that is said, and nothing is verified.
func TestScreenChanges_TooManyOfOneMoment_SaidAndNotVerified(t *testing.T) {
	t.Parallel()
	s := aShop(t, noon.Add(-day), noon)
	for n := range mostOrders + 1 {
		s.order(fmt.Sprint(n), noon.Add(-12*time.Hour))
	}
	first, _ := s.run()
	if first.Complete() || !first.Behind || s.status.VerifiedThrough.After(noon.Add(-12*time.Hour)) {
		t.Errorf("a run before that moment is complete=%t and verified through %s", first.Complete(), s.status.VerifiedThrough)
	}
	for range 20 {
		verified := s.status.VerifiedThrough
		r, _ := s.run()
		if r.Complete() || s.status.VerifiedThrough.After(noon.Add(-12*time.Hour)) {
			t.Fatalf("a run with that moment is complete=%t and verified through %s", r.Complete(), s.status.VerifiedThrough)
		}
		if !s.status.VerifiedThrough.After(verified) {
			if !strings.Contains(strings.Join(r.Lines, "\n"), "more than 10000 changed at one moment") {
				t.Errorf("a run that comes no further says %q", r.Lines)
			}
			return
		}
	}
	t.Error("twenty runs later it is not said")
}

// Systems may name more than visibility does, as after a bulk edit.
func TestScreenChanges_SystemsNameTooMany_TheNextRunGoesOn(t *testing.T) {
	t.Parallel()
	s := aShop(t, noon.Add(-day), noon)
	s.at = noon.Add(-time.Hour)
	for n := range mostOrders + 1 {
		s.named = append(s.named, s.order(fmt.Sprint(n), noon.Add(-10*day)).Intent.Order)
	}
	if r, _ := s.run(); r.Complete() || !r.Behind || !s.status.VerifiedThrough.Equal(noon.Add(-12*time.Hour)) {
		t.Errorf("the run is complete=%t, behind=%t, and verified through %s; want noon - 12 h", r.Complete(), r.Behind, s.status.VerifiedThrough)
	}
	if len(s.lookedUp) > 0 {
		t.Errorf("%d orders were looked up that changed after the window", len(s.lookedUp))
	}
}

// A run whose time is over has verified nothing, and the next one takes less at
// once, until it fits; then more again.
func TestScreenChanges_TooSlow_TheNextRunTakesLess(t *testing.T) {
	t.Parallel()
	s := aShop(t, noon.Add(-4*time.Hour), noon)
	for n := range 3000 {
		at := noon.Add(-4*time.Hour + time.Duration(n)*4*time.Second)
		s.order(fmt.Sprintf("%04d", n), at, at)
	}
	s.cost = time.Second // 1,200 look-ups within the time of a run
	var spans []time.Duration
	for run := range 20 {
		verified := s.status.VerifiedThrough
		r, _ := s.run()
		spans = append(spans, r.Span)
		if moved := s.status.VerifiedThrough.After(verified); moved == r.Truncated {
			t.Errorf("run %d came further: %t; it is truncated: %t, and says %q", run, moved, r.Truncated, r.Lines)
		}
		if r.Complete() {
			if spans[0] != 2*time.Hour || len(spans) > 9 {
				t.Errorf("it took %d runs, which let the next take at most %v", len(spans), spans)
			}
			return
		}
	}
	t.Errorf("after twenty runs it is verified through %s; they took at most %v", s.status.VerifiedThrough, spans)
}

// More suspects than one run has confirmed: those of which nobody knows come first,
// and what is dropped of them is not verified.
func TestScreenChanges_MoreSuspectsThanOneRunConfirms_NobodyIsForgotten(t *testing.T) {
	t.Parallel()
	s := aShop(t, noon.Add(-day), noon)
	for n := range mostSuspects + 100 {
		at := noon.Add(-time.Duration(n+10) * time.Minute)
		s.broken(fmt.Sprintf("%04d", n), at, at)
	}
	told := map[order.ID]bool{}
	tell := func(suspects []order.ID) {
		for _, id := range suspects {
			told[id] = true
		}
		for i := range s.known {
			s.known[i].Agreed = s.known[i].Agreed && !told[s.known[i].Intent.Order]
		}
	}
	r, suspects := s.run()
	if tell(suspects); len(suspects) != mostSuspects || !r.Truncated || !s.status.VerifiedThrough.Equal(noon.Add(-day)) {
		t.Errorf("%d were told, truncated=%t, verified through %s", len(suspects), r.Truncated, s.status.VerifiedThrough)
	}
	for range 5 {
		if r, suspects = s.run(); r.Complete() {
			break
		}
		tell(suspects)
	}
	if tell(suspects); len(told) != mostSuspects+100 || !r.Complete() {
		t.Errorf("%d of %d were told; the last run is complete=%t: %q", len(told), mostSuspects+100, r.Complete(), r.Lines)
	}
	// All of them are known by now and stay as they are: they are named.
	if r, suspects = s.run(); len(suspects) != mostSuspects || !r.Complete() || len(r.Exceptions) != 100 {
		t.Errorf("of the known ones %d are suspects and %d named; complete=%t", len(suspects), len(r.Exceptions), r.Complete())
	}
}

// Sweeps report day after day: the run that the next one goes on from stays.
func TestStatus_Keep_TheLatestRunOverAllStays(t *testing.T) {
	t.Parallel()
	s := Status{}
	s.Keep(RunReport{Run: "an older one"})
	s.Keep(RunReport{Run: "over all", Span: time.Hour})
	for range 2 * mostReports {
		s.Keep(RunReport{Run: "a sweep", Only: true})
	}
	if len(s.Reports) != mostReports || s.last().Run != "over all" {
		t.Errorf("%d reports are kept, and the last run over all is %q", len(s.Reports), s.last().Run)
	}
	s.Keep(RunReport{Run: "the next one"})
	if last := s.Reports[0].Run; len(s.Reports) != mostReports || s.last().Run != "the next one" || last != "a sweep" {
		t.Errorf("%d reports are kept, the first is %q and the last run over all %q", len(s.Reports), last, s.last().Run)
	}
}

// Of two runs that overlap the one that reports last has not seen what the other has
// left over: that is not forgotten before a run has looked at it.
func TestScreen_RunsOverlap_ExceptionsOfBothStay(t *testing.T) {
	t.Parallel()
	both := []order.ID{"x", "y"}
	for name, last := range map[string]RunReport{
		"one that outlived a later one": {Run: "b", Before: "before", To: noon.Add(-time.Hour), Exceptions: []order.ID{"x"}},
		"one that is not whole":         {Run: "b", Before: "before", To: noon.Add(time.Hour), Truncated: true, Exceptions: []order.ID{"x"}},
		"one of an older release":       {Run: "b", To: noon.Add(time.Hour), Exceptions: []order.ID{"x"}},
	} {
		s := Status{Reports: []RunReport{{Run: "before"}}}
		s.Keep(s.Join(RunReport{Run: "a", Before: "before", To: noon, Exceptions: []order.ID{"y"}}))
		s.Keep(s.Join(RunReport{Run: "a sweep", Only: true}))
		s.Keep(s.Join(last))
		if got := s.last().Exceptions; !slices.Equal(got, both) {
			t.Errorf("%s: the next run looks again at %v", name, got)
		}
		s.Keep(s.Join(RunReport{Run: "c", Before: "b", Exceptions: []order.ID{"x"}}))
		if got := s.last().Exceptions; !slices.Equal(got, []order.ID{"x"}) {
			t.Errorf("%s: a run that has looked at both of them leaves %v", name, got)
		}
	}
}

// Many orders wait for one slow system: what is kept of the runs stays small, a run that
// cannot name all of them is partial, and of what is older than its window none is
// forgotten.
func TestStatus_ManyExceptions_StateStaysSmall(t *testing.T) {
	t.Parallel()
	var s Status
	var many, old []order.ID
	for n := range 6000 {
		many = append(many, order.ID(fmt.Sprintf("0191c0de-0000-7000-8000-%012d", n)))
	}
	for n := range mostNamed {
		old = append(old, order.ID(fmt.Sprintf("9191c0de-0000-7000-8000-%012d", n)))
	}
	s.Keep(s.Join(RunReport{Run: "0", Exceptions: old}))
	for n := range mostReports {
		r := s.Join(RunReport{Run: fmt.Sprint(n + 1), Before: fmt.Sprint(n), Exceptions: slices.Concat(many, old), Lines: []string{"a line"}})
		if r.Complete() || !strings.Contains(r.Lines[1], "more than 1500") {
			t.Errorf("a run with %d exceptions is complete=%t: %q", len(many)+len(old), r.Complete(), r.Lines)
		}
		s.Keep(r)
		s.Keep(s.Join(RunReport{Run: "some orders", Only: true, Exceptions: many[:1]}))
		left := s.last().Exceptions
		if len(left) != mostLeft || !slices.IsSorted(left) || len(s.last().Lines) == 0 {
			t.Errorf("of the last run %d exceptions are kept", len(left))
		}
		for _, id := range old {
			if !slices.Contains(left, id) {
				t.Fatalf("%s is older than the window, and forgotten", id)
			}
		}
	}
	data, err := json.Marshal(s)
	if err != nil || len(data) > 200<<10 {
		t.Errorf("what is kept of the runs has %d bytes, %v", len(data), err)
	}
}

// A run with more exceptions than a listed few is partial, and the one after it looks
// at all of them again.
func TestScreenChanges_TooManyExceptions_Partial(t *testing.T) {
	t.Parallel()
	s := aShop(t, noon.Add(-time.Hour), noon)
	for n := range mostNamed + 1 {
		s.order(fmt.Sprintf("%05d", n), noon.Add(-30*time.Minute), noon.Add(-30*time.Minute)).Intent.Busy = []order.System{order.SystemMail}
	}
	if r, _ := s.run(); r.Complete() || !s.status.VerifiedThrough.Equal(noon.Add(-time.Hour)) || !strings.Contains(strings.Join(r.Lines, "\n"), "more than 1000") {
		t.Errorf("complete=%t, %d exceptions, verified through %s: %q", r.Complete(), len(r.Exceptions), s.status.VerifiedThrough, r.Lines)
	}
	for n := range s.known {
		s.known[n].Intent.Busy = nil
	}
	if r, _ := s.run(); !r.Complete() || len(r.Exceptions) != 0 || r.Looked != mostNamed+1 {
		t.Errorf("once they can be compared it is complete=%t and looked at %d; %d exceptions: %q", r.Complete(), r.Looked, len(r.Exceptions), r.Lines)
	}
}

// What a run did not come to stays an exception: it may be older than any window.
func TestScreenChanges_Partial_ExceptionsAreKept(t *testing.T) {
	t.Parallel()
	s := aShop(t, noon.Add(-time.Hour), noon)
	s.order("old", noon.Add(-10*day))
	s.status.Reports = []RunReport{{Exceptions: []order.ID{"old"}}}
	s.a.Readers = append(s.a.Readers, SystemReader{System: order.SystemERP, Reader: unread{t}})
	if r, _ := s.run(); r.Complete() || !slices.Equal(r.Exceptions, []order.ID{"old"}) {
		t.Errorf("complete=%t, and the exceptions are %v", r.Complete(), r.Exceptions)
	}
}
