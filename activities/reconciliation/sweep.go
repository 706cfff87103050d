package reconciliation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Sweeps say how sealed days are swept.
type Sweeps struct {
	// SealedAfter is how long after its end a day is sealed: longer than anything
	// takes to settle or may land late.
	SealedAfter time.Duration
	// Again are the ages at which a day is swept again, for what comes late.
	Again []time.Duration
	// Before and Span are how long before and after a day the records of its orders
	// are listed. What was made outside of them is looked up order by order.
	Before, Span time.Duration
	// Shard is how many orders are held in memory at once.
	Shard int
	// PerSecond bounds the calls of one sweep to each system, and how many orders it
	// tells to look again, besides what the orders themselves may call; 0 sets no
	// rate.
	PerSecond float64
	// RunPerSecond bounds those of a run: to screen, to rehearse and to confirm.
	RunPerSecond float64
	// Together is how long one activity goes on, with one shard or day after the
	// other, before the next one does: a history tells then that a sweep is alive.
	Together time.Duration
	// Hunt is the age of a day from which nobody can tell an order that never was
	// from one that is forgotten: older days' records start nothing.
	Hunt time.Duration
}

// PlanSweep asks how a day is to be swept.
type PlanSweep struct {
	Day time.Time `json:"day"`
	Now time.Time `json:"now"`
}

// SweepPlan is how a day is to be swept.
type SweepPlan struct {
	Orders int             `json:"orders"` // about
	Shards int             `json:"shards"`
	Ages   []time.Duration `json:"ages"`
	Policy string          `json:"policy"`
	Rules  int             `json:"rules"`
}

// NotSealedReason is the type of the error that refuses a day which is not over
// for long enough.
const NotSealedReason = "not_sealed"

// PlanSweep cuts a day into as many shards as fit into memory one at a time. A
// day that is not sealed yet is refused.
func (a *Activities) PlanSweep(ctx context.Context, in PlanSweep) (SweepPlan, error) {
	day := DayOf(in.Day)
	if newest := a.Sweeps.Sealed(in.Now); day.After(newest) {
		return SweepPlan{}, temporal.NewNonRetryableApplicationError(fmt.Sprintf("%s is not sealed yet: normal processing may still be under way; the newest day that can be swept is %s",
			day.Format(time.DateOnly), newest.Format(time.DateOnly)), NotSealedReason, nil)
	}
	count, err := a.Days.CountDay(ctx, day)
	if err != nil {
		return SweepPlan{}, fmt.Errorf("plan the sweep of %s: count its orders: %w", day.Format(time.DateOnly), err)
	}
	shards := max(1, (count+a.Sweeps.Shard-1)/a.Sweeps.Shard)
	return SweepPlan{Orders: count, Shards: shards, Ages: a.Sweeps.ages(day, in.Now), Policy: a.Policy.Version(), Rules: reconcile.RulesVersion}, nil
}

// DueSweeps is what a scheduled run has to sweep.
type DueSweeps struct {
	Days []time.Time `json:"days,omitempty"`
	// Orders are exceptions of earlier sweeps whose time has come.
	Orders []order.ID `json:"orders,omitempty"`
}

// DueSweeps returns what is to be swept at the moment now.
func (a *Activities) DueSweeps(ctx context.Context, now time.Time) (DueSweeps, error) {
	status, err := a.Keeper.Status(ctx)
	if err != nil {
		return DueSweeps{}, fmt.Errorf("find the days to sweep: read the status of reconciliation: %w", err)
	}
	return DueSweeps{Days: status.Coverage.Due(status.Since, now, a.Sweeps), Orders: status.Coverage.DueExceptions(now)}, nil
}

// SweepShard asks to compare one shard of a day, or these orders alone when
// there are any.
type SweepShard struct {
	Day    time.Time       `json:"day,omitzero"`
	Shard  reconcile.Shard `json:"shard,omitzero"`
	Orders []order.ID      `json:"orders,omitempty"`
	// Now is when the sweep began: the end of what it lists, however often it is
	// taken up again.
	Now    time.Time `json:"now"`
	DryRun bool      `json:"dry_run,omitempty"`
}

// SweptShard is what came of it. It only suspects: the orders' own workflows
// confirm.
type SweptShard struct {
	Looked     int         `json:"looked"`
	Records    int         `json:"records"`
	LookedUp   int         `json:"looked_up"`
	Settling   int         `json:"settling,omitempty"`
	TooOld     int         `json:"too_old,omitempty"` // placed before anything is judged
	Kept       int         `json:"kept,omitempty"`    // records given to the inbox
	Suspects   []Suspect   `json:"suspects,omitempty"`
	Exceptions []Exception `json:"exceptions,omitempty"`
	// Unread are the systems that could not be read, Missed says what of them, and
	// what else is missing.
	Unread    []order.System `json:"unread,omitempty"`
	Missed    []string       `json:"missed,omitempty"`
	Truncated bool           `json:"truncated,omitempty"`
	// Lines say what no order claims, one a line, for people.
	Lines []string `json:"lines,omitempty"`
	// Calls of each system.
	Calls []SystemCalls `json:"calls,omitempty"`
	// Policy and Rules are the versions that decided.
	Policy string `json:"policy,omitempty"`
	Rules  int    `json:"rules,omitempty"`
}

// SystemCalls counts the calls of a sweep to one system.
type SystemCalls struct {
	System  order.System `json:"system"`
	Pages   int          `json:"pages"`
	Lookups int          `json:"lookups"`
}

// Report adds what a shard has shown to the report of its sweep.
func (s SweptShard) Report(r RunReport) RunReport {
	r.Policy, r.Rules = cmp.Or(r.Policy, s.Policy), cmp.Or(r.Rules, s.Rules)
	r.Looked += s.Looked
	r.Records += s.Records
	r.Suspects += len(s.Suspects)
	r.Settling += s.Settling
	r.TooOld += s.TooOld
	r.Truncated = r.Truncated || s.Truncated
	for _, system := range s.Unread {
		r.Unread = appendNew(r.Unread, system)
	}
	swept := Swept{}
	if r.Swept != nil {
		swept = *r.Swept
	}
	swept.LookedUp += s.LookedUp
	swept.Kept += s.Kept
	swept.Unread = append(slices.Clone(swept.Unread), s.Missed...)
	swept.Exceptions = append(slices.Clone(swept.Exceptions), s.Exceptions...)
	if n := len(swept.Exceptions); n > mostExceptions+1 {
		swept.Exceptions = swept.Exceptions[:mostExceptions+1] // one too many says that there are more
	}
	r.Swept = &swept
	r.Lines = append(slices.Clone(r.Lines), s.Lines...)
	if n := len(r.Lines); n > mostLines {
		r.Lines = append(r.Lines[:mostLines:mostLines], "and more")
	}
	return r
}

const mostLines = 100

// Except adds the orders that were not compared, though a run asked them, to
// the exceptions of a sweep: they are asked again, and hold up no other.
func (r RunReport) Except(c ConfirmedAll) RunReport {
	if r.Swept == nil {
		return r
	}
	swept := *r.Swept
	swept.Exceptions = slices.Clone(swept.Exceptions)
	for _, id := range c.Unanswered {
		swept.Exceptions = append(swept.Exceptions, Exception{Order: id, Why: "its workflow did not answer"})
	}
	for _, o := range c.Orders {
		if len(o.Unread) > 0 {
			swept.Exceptions = append(swept.Exceptions, Exception{Order: o.Order, Why: fmt.Sprintf("its workflow could not read %v", o.Unread)})
		}
	}
	slices.SortFunc(swept.Exceptions, func(x, y Exception) int { return compareIDs(x.Order, y.Order) })
	r.Swept = &swept
	return r
}

// SweptText is what a sweep covered, in one line for a person.
func (r RunReport) SweptText() string {
	if r.Swept == nil {
		return ""
	}
	what := fmt.Sprintf("swept %s", r.Swept.Day.Format(time.DateOnly))
	if r.Swept.Day.IsZero() {
		what = fmt.Sprintf("asked %d exceptions again", len(r.Swept.Asked))
	}
	text := fmt.Sprintf("%s: %d orders, %d of them read by reference; %d records that no order claims", what, r.Looked, r.Swept.LookedUp, r.Swept.Kept)
	if !r.Complete() {
		text += "; partial: " + strings.Join(r.Swept.Unread, "; ")
	}
	if n := len(r.Swept.Exceptions); n > 0 {
		text += fmt.Sprintf("; %d could not be compared", n)
	}
	return text
}

// SweepShard compares one shard of a day. It reads the orders' intents into
// memory, streams what each system lists of the day past them, and looks up by
// reference what is left over on either side. It is taken up again where a
// worker left it.
func (a *Activities) SweepShard(ctx context.Context, in SweepShard) (SweptShard, error) {
	beats := &beating{}
	if err := beats.read(ctx); err != nil {
		return SweptShard{}, err
	}
	return a.sweepShard(ctx, in, beats)
}

func (a *Activities) sweepShard(ctx context.Context, in SweepShard, beats *beating) (SweptShard, error) {
	status, err := a.Keeper.Status(ctx)
	if err != nil {
		return SweptShard{}, fmt.Errorf("sweep: read the status of reconciliation: %w", err)
	}
	in.Day = DayOf(in.Day)
	s := &sweeping{a: a, in: in, since: a.since(status.Since), beats: beats}
	s.hunt = len(in.Orders) == 0 && !in.Day.Before(DayOf(status.Since)) && in.Now.Sub(in.Day) < a.Sweeps.Hunt
	for _, r := range a.Readers {
		s.streams = append(s.streams, &stream{system: r.System, reader: r.Reader, parts: map[int]reconcile.Observation{}})
	}
	if err := s.load(ctx); err != nil {
		return SweptShard{}, fmt.Errorf("sweep: list orders: %w", err)
	}
	s.resume()
	if err := s.list(ctx); err != nil {
		return SweptShard{}, fmt.Errorf("sweep: list records: %w", err)
	}
	if err := s.compareUnlisted(ctx); err != nil {
		return SweptShard{}, fmt.Errorf("sweep: read what no listing shows: %w", err)
	}
	if err := s.lookUp(ctx); err != nil {
		return SweptShard{}, fmt.Errorf("sweep: look up what is left over: %w", err)
	}
	return s.result(), nil
}

func (s *sweeping) result() SweptShard {
	out := s.out
	out.Policy, out.Rules = s.a.Policy.Version(), reconcile.RulesVersion
	for _, st := range s.streams {
		out.Records += st.records
		out.Calls = append(out.Calls, SystemCalls{System: st.system, Pages: st.pages, Lookups: st.lookups})
		if st.unread != "" {
			out.Unread = append(out.Unread, st.system)
			out.Missed = append(out.Missed, fmt.Sprintf("%s%s: %s", st.system, s.where(), st.unread))
		}
	}
	return out
}

// where names the shard, when it is one of several.
func (s *sweeping) where() string {
	if s.in.Shard.Of <= 1 {
		return ""
	}
	return fmt.Sprintf(" of shard %d of %d", s.in.Shard.N+1, s.in.Shard.Of)
}

// sweeping is the sweep of one shard under way. It belongs to one goroutine; the
// systems are read by others, a page ahead of it at most.
type sweeping struct {
	a     *Activities
	in    SweepShard
	since time.Time
	hunt  bool  // records that no known order claims go to the inbox
	feed  *feed // of a screening by change; nil: a sweep

	known    []Known // sorted by id
	streams  []*stream
	pending  []reconcile.Observation // records of orders that are not of the day
	visitors []visitor
	named    string // see digest
	out      SweptShard
	beats    *beating
}

// visitor is an order of another day with a record that it does not mean to
// have.
type visitor struct {
	Order   order.ID       `json:"o"`
	Systems []order.System `json:"s"`
}

// load reads the intents of the shard, or of the orders that are asked for.
func (s *sweeping) load(ctx context.Context) error {
	if len(s.in.Orders) > 0 {
		known, err := s.a.Keeper.Intents(ctx, IntentQuery{IDs: s.in.Orders, Limit: len(s.in.Orders)})
		s.known = known
		s.sort()
		for _, id := range s.in.Orders {
			if _, found := s.find(id); !found && err == nil {
				s.out.Lines = append(s.out.Lines, fmt.Sprintf("%s: the engine no longer knows it", id))
			}
		}
		return err
	}
	for page := ""; ; {
		known, next, err := s.a.Days.DayIntents(ctx, s.in.Day, s.in.Shard, page)
		if err != nil {
			return err
		}
		s.known = append(s.known, known...)
		s.beats.alive(ctx, s.a.Now())
		if next == "" {
			break
		}
		if len(s.known) > 4*s.a.Sweeps.Shard {
			s.miss("orders%s: there are more than memory was planned for", s.where())
			break
		}
		page = next
	}
	s.sort()
	return nil
}

// sort sorts the orders by id, of two the one that changed later, or else the one
// that was listed first, without those that were placed before anything is judged.
func (s *sweeping) sort() {
	slices.SortStableFunc(s.known, func(x, y Known) int {
		if c := compareIDs(x.Intent.Order, y.Intent.Order); c != 0 {
			return c
		}
		return y.Changed.Compare(x.Changed)
	})
	s.known = slices.CompactFunc(s.known, func(x, y Known) bool { return x.Intent.Order == y.Intent.Order })
	all := len(s.known)
	s.known = slices.DeleteFunc(s.known, func(k Known) bool { return k.before(s.a.Since) })
	s.out.TooOld = all - len(s.known)
	for _, st := range s.streams {
		st.marks = make([]mark, len(s.known))
	}
}

func (s *sweeping) find(id order.ID) (int, bool) {
	return slices.BinarySearchFunc(s.known, id, func(k Known, id order.ID) int { return compareIDs(k.Intent.Order, id) })
}

// miss says what of the day was not read: the sweep is partial.
func (s *sweeping) miss(format string, a ...any) {
	s.out.Truncated = true
	if line := fmt.Sprintf(format, a...); !slices.Contains(s.out.Missed, line) {
		s.out.Missed = append(s.out.Missed, line)
	}
}
