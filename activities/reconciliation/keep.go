package reconciliation

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// StockCommit asks for the levels of goods that have left the warehouse.
type StockCommit struct {
	Order order.ID         `json:"order"`
	Key   string           `json:"key"`
	Goods []order.Quantity `json:"goods"` // per SKU
	// Attempt names this one when it is not the first.
	Attempt string `json:"attempt,omitempty"`
}

// StockChange asks stock/<sku> for one change of its level.
type StockChange struct {
	Key string `json:"key"`
	// Attempt tells a further attempt at the change from those that failed for good.
	Attempt string `json:"attempt,omitempty"`
	// Quantity has left the warehouse and is no longer promised after this.
	Quantity int64 `json:"quantity"`
	// Uncommitted has left the warehouse and is still promised, to other orders.
	Uncommitted int64         `json:"uncommitted,omitempty"`
	Grant       *repair.Grant `json:"grant,omitempty"`
	// Level and Count are what the run that has the Grant has read, and Asked is when it
	// asked what is promised: the level is set only when nothing has changed since.
	Level int64     `json:"level,omitempty"`
	Count int64     `json:"count,omitempty"`
	Asked time.Time `json:"asked,omitzero"`
}

// LevelMovedReason is the type of the error that leaves a level to the next run, for
// it is not any more what this one has seen.
const LevelMovedReason = "level_moved"

// LevelUnreadReason is the type of the error when a system could not be read before a
// level was to be set: nothing was written.
const LevelUnreadReason = "level_unread"

// ID names the change to the engine, which knows by it what came of the change: an
// attempt that went well is not made again.
func (c StockChange) ID() string {
	if c.Attempt == "" {
		return c.Key
	}
	return c.Key + " " + c.Attempt
}

// GrantRequest asks reconciliation for permissions to repair. The same run may
// ask several times; what it was given and does not need it gives back with the
// next request or with its report.
type GrantRequest struct {
	Run string `json:"run"`
	// Part tells the requests of one run apart, Attempt those of its attempts: a later one
	// must not hear again of grants that the one before has given back.
	Part    int   `json:"part,omitempty"`
	Attempt int32 `json:"attempt,omitempty"`
	// Wants are granted in their order, as far as the budgets go.
	Wants  []reconcile.Want `json:"wants,omitempty"`
	Unused []int64          `json:"unused,omitempty"`
	// Only says that the run looks at some orders alone.
	Only bool `json:"only,omitempty"`
	// Incidents are what the run found too many of at once, and what it found of
	// the incidents that are known: their kinds are stopped before it acts.
	Incidents []reconcile.Incident `json:"incidents,omitempty"`
	// At is the asker's moment, of a question that takes nothing, and Taken what it
	// takes for granted already.
	At    time.Time `json:"at,omitzero"`
	Taken []Taken   `json:"taken,omitempty"`
}

// Granted answers a request: each want is granted or refused.
type Granted struct {
	Grants  []repair.Grant `json:"grants,omitempty"`
	Refused []Refusal      `json:"refused,omitempty"`
	// Groups are the incidents that are not over.
	Groups []Group `json:"groups,omitempty"`
}

// Refusal says why a repair was not granted.
type Refusal struct {
	For reconcile.Want `json:"for"`
	Why string         `json:"why"`
	// Group is the incident that it waits for; 0 when it waits for none.
	Group int `json:"group,omitempty"`
}

// RunReport is what one run looked at, found, repaired and left.
type RunReport struct {
	Run      string    `json:"run"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	From     time.Time `json:"from"` // the window of changes
	To       time.Time `json:"to"`
	DryRun   bool      `json:"dry_run,omitempty"`
	// Part says that it is of a part of a longer run, which reports by itself: it
	// gives back the grants that were not needed, and says what came of the first
	// few repairs of an incident.
	Part bool `json:"part,omitempty"`
	// Batch tells the parts of a run apart.
	Batch int `json:"batch,omitempty"`
	// Only says that it looked at the orders it was asked for and at no others: it
	// verifies nothing else.
	Only bool `json:"only,omitempty"`
	// Policy and Rules are the versions that decided.
	Policy string `json:"policy"`
	Rules  int    `json:"rules"`
	// Looked is how many orders were compared; Records how many records of the
	// systems were walked past.
	Looked   int `json:"looked"`
	Records  int `json:"records"`
	Suspects int `json:"suspects"`
	Found    int `json:"found"`
	Repaired int `json:"repaired"`
	Adopted  int `json:"adopted"`
	Cases    int `json:"cases"`
	Left     int `json:"left"`
	Settling int `json:"settling"`
	// Stock counts levels: compared, differing, and set from the warehouse.
	Stock StockReport `json:"stock"`
	// Levels are those that differ, sorted by SKU, InMotion the SKUs that could not be
	// compared, and Unseen those that could not be read. All others of SKUs were
	// compared, and are right.
	Levels   []reconcile.Break `json:"levels,omitempty"`
	InMotion []string          `json:"in_motion,omitempty"`
	Unseen   []string          `json:"unseen,omitempty"`
	// Unread are the systems that could not be read: a run with any of them is
	// partial and verifies nothing.
	Unread []order.System `json:"unread,omitempty"`
	// Truncated says that not all of the window was compared.
	Truncated bool `json:"truncated,omitempty"`
	// Behind says that the window ends before the run began, for more had changed
	// than one run takes: the next one goes on at its end.
	Behind bool `json:"behind,omitempty"`
	// Span is how much of what is left the next run takes at most; 0: as many orders
	// as a run takes.
	Span time.Duration `json:"span,omitempty"`
	// VerifiedThrough is the moment before which every order has been compared
	// in every system, but for Exceptions.
	VerifiedThrough time.Time  `json:"verified_through"`
	Exceptions      []order.ID `json:"exceptions,omitempty"`
	// Before is the run over all from which it goes on: it has looked again at what
	// that one has left over.
	Before string   `json:"before,omitempty"`
	Lines  []string `json:"lines,omitempty"`
	// Swept is set on the report of a sweep.
	Swept  *Swept   `json:"swept,omitempty"`
	Sights []Sight  `json:"sights,omitempty"` // of the canary order
	SKUs   []string `json:"skus,omitempty"`   // seen by this run
	Gone   []string `json:"gone,omitempty"`   // SKUs that inventory or warehouse do not know
	// Since is the moment before which nothing is judged, and TooOld how many
	// orders were placed before it.
	Since  time.Time `json:"since,omitzero"`
	TooOld int       `json:"too_old,omitempty"`
	// Would is what a dry run says that would be done.
	Would *Done `json:"would,omitempty"`
	// Unused are grants that were not needed; Incidents what was found of each
	// incident, and Tried what came of the first few repairs of one.
	Unused    []int64              `json:"unused,omitempty"`
	Incidents []reconcile.Incident `json:"incidents,omitempty"`
	Tried     []Tried              `json:"tried,omitempty"`
	// Blind are the numbers of the incidents of which the run says nothing.
	Blind []int `json:"blind,omitempty"`
}

// Done counts what was done about breaks.
type Done struct {
	Repaired int `json:"repaired"`
	Adopted  int `json:"adopted"`
	Cases    int `json:"cases"`
	Left     int `json:"left"`
	Levels   int `json:"levels,omitempty"` // set from the warehouse's count
}

// with adds what was done in another part.
func (d Done) with(other Done) Done {
	return Done{
		Repaired: d.Repaired + other.Repaired, Adopted: d.Adopted + other.Adopted, Cases: d.Cases + other.Cases,
		Left: d.Left + other.Left, Levels: d.Levels + other.Levels,
	}
}

// StockReport is what a run did about levels.
type StockReport struct {
	Compared int `json:"compared"`
	// Moving could not be compared: as many pieces as differ are on their way.
	Moving   int `json:"moving,omitempty"`
	Found    int `json:"found"`
	Repaired int `json:"repaired"`
	// Ignored says that none was compared, for the policy says so.
	Ignored bool `json:"ignored,omitempty"`
}

// Text says it for people; set is how many levels were set, or would be.
func (s StockReport) Text(set int) string {
	if s.Ignored {
		return "levels are not compared, for the policy ignores them"
	}
	levels, moving := "levels", ""
	if s.Compared == 1 {
		levels = "level"
	}
	if s.Moving > 0 {
		moving = fmt.Sprintf(", %d not compared while their goods are on their way", s.Moving)
	}
	return fmt.Sprintf("%d %s compared%s, %d differed, %d set from the warehouse's count", s.Compared, levels, moving, s.Found, set)
}

// Complete says that every system could be read, and everything was compared:
// partial is never clean.
func (r RunReport) Complete() bool { return r.whole() && !r.Behind }

// whole says that every system could be read, and all of the window was compared.
func (r RunReport) whole() bool { return len(r.Unread) == 0 && !r.Truncated }

// Stop is a switch that stops repairs: of one system, of one kind, or of
// everything when both are empty.
type Stop struct {
	System order.System `json:"system,omitempty"`
	// Kind is a field, or a field and a situation: "crm.deal" or
	// "crm.deal.mismatch".
	Kind   string    `json:"kind,omitempty"`
	Off    bool      `json:"off"` // true stops
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Stops returns what the switch stops. The error names what there is instead of
// an unknown system or kind.
func (s Stop) Stops() (reconcile.Kind, error) {
	switch {
	case s.Kind != "":
		return reconcile.ParseKind(s.Kind)
	case s.System != "":
		return reconcile.ParseKind(string(s.System))
	}
	return reconcile.Kind{}, nil
}

// All says that the switch stops everything.
func (s Stop) All() bool { return s.System == "" && s.Kind == "" }

// Status is what the reconciliation workflow knows; workers, runs and operators
// read it.
type Status struct {
	// Since is when this engine's memory began.
	Since           time.Time `json:"since"`
	VerifiedThrough time.Time `json:"verified_through"`
	LastGoodRun     time.Time `json:"last_good_run,omitzero"`
	// Backlog is set while runs work off more than one takes: through when
	// everything was verified when that began.
	Backlog time.Time `json:"backlog,omitzero"`
	Stops   []Stop    `json:"stops,omitempty"`
	Cursors []Cursor  `json:"cursors,omitempty"`
	// Unfollowed says why the change feeds are not followed now; it is tried again.
	Unfollowed  string   `json:"unfollowed,omitempty"`
	Outstanding int      `json:"outstanding"` // grants
	NextGrant   int64    `json:"next_grant"`
	SKUs        []string `json:"skus,omitempty"`
	// Levels are the clocks of the levels that differ, sorted by SKU, and Moving says
	// since when a level could not be compared.
	Levels []reconcile.Break `json:"levels,omitempty"`
	Moving []MovingLevel     `json:"moving,omitempty"`
	// Set are the levels that runs have set lately, sorted by SKU.
	Set []SetLevel `json:"set,omitempty"`
	// Coverage says which sealed days were swept.
	Coverage Coverage `json:"coverage,omitzero"`
	// Canary is what is known of the planted breaks; nil where none are planted.
	Canary *Canary `json:"canary,omitempty"`
	// Budget bounds what one hour may repair, and Spent is what was granted
	// lately, by five minutes: see reconcile.Within.
	Budget reconcile.Budget  `json:"budget,omitzero"`
	Spent  []reconcile.Spent `json:"spent,omitempty"`
	// Groups are the incidents, the newest last: those that are not over and the
	// latest that are.
	Groups    []Group `json:"groups,omitempty"`
	NextGroup int     `json:"next_group,omitempty"`
	// Reports are the latest runs, the newest last.
	Reports []RunReport `json:"reports,omitempty"`
}

// Verify takes in what a run has verified. The moment moves only with a window that
// was compared whole and joins what was verified before; only a run that came as
// far as its own beginning is a good one.
func (s *Status) Verify(r RunReport, now time.Time) {
	if r.Only || !r.whole() {
		return
	}
	if r.Complete() {
		s.LastGoodRun = now
	}
	if r.From.After(s.VerifiedThrough) || !r.To.After(s.VerifiedThrough) {
		return
	}
	switch {
	case !r.Behind:
		s.Backlog = time.Time{}
	case s.Backlog.IsZero():
		s.Backlog = s.VerifiedThrough
	}
	s.VerifiedThrough = r.To
}

// mostReports are kept.
const mostReports = 10

// mostLeft is how many exceptions of a run are kept: as many as one has confirmed, and
// as many as it names.
const mostLeft = mostSuspects + mostNamed

// Join adds to a run over all what another one has left over that it has not gone on
// from, because both were under way at once. With more exceptions than are kept it is
// partial: those that are older than its window stay, and the others are in the window
// of the next run too.
func (s Status) Join(r RunReport) RunReport {
	if r.Only {
		return r
	}
	last := s.last()
	if r.Before != last.Run {
		r.Exceptions = withExceptions(r.Exceptions, last.Exceptions)
	}
	if len(r.Exceptions) <= mostLeft {
		return r
	}
	var older, fresh []order.ID
	for _, id := range r.Exceptions {
		if _, found := slices.BinarySearch(last.Exceptions, id); found { // they are sorted
			older = append(older, id)
		} else {
			fresh = append(fresh, id)
		}
	}
	r.Exceptions = withExceptions(append(older, fresh...)[:mostLeft], nil)
	r.Truncated, r.Lines = true, append(r.Lines, notCompared+fmt.Sprintf(tooManyLeft, mostLeft))
	return r
}

// Keep keeps a report, and of the older ones the latest; the one of the latest run
// over all is among them, however many sweeps came since, for the next one goes on
// from it. Of the others it keeps the numbers.
func (s *Status) Keep(r RunReport) {
	last := s.last().Run
	for i, old := range s.Reports {
		if !r.Only || old.Only || old.Run != last {
			s.Reports[i] = old.inNumbers()
		}
	}
	s.Reports = append(s.Reports, r)
	for len(s.Reports) > mostReports {
		oldest := 0
		if !s.Reports[0].Only && !slices.ContainsFunc(s.Reports[1:], func(r RunReport) bool { return !r.Only }) {
			oldest = 1
		}
		s.Reports = slices.Delete(s.Reports, oldest, oldest+1)
	}
}

// inNumbers is a report without what it names: ten of them must not fill the state.
func (r RunReport) inNumbers() RunReport {
	r.Exceptions, r.Lines, r.SKUs, r.Gone = nil, nil, nil, nil
	if r.Swept != nil {
		swept := *r.Swept
		swept.Exceptions, swept.Asked = nil, nil
		r.Swept = &swept
	}
	return r
}

// Stopped returns every kind of repair that is stopped, by a switch or by an
// incident, for the last hop. A switch that cannot be read stops everything.
func (s Status) Stopped() []repair.Stopped {
	var all []repair.Stopped
	for _, stop := range s.Stops {
		kind, err := stop.Stops()
		if err != nil {
			kind = reconcile.Kind{}
		}
		all = append(all, repair.Stopped{Kind: kind, Reason: "the switch is off: " + stop.Reason})
	}
	for _, g := range s.Groups {
		if g.State.Stops() {
			all = append(all, repair.Stopped{Kind: g.Kind, Reason: g.Waits()})
		}
	}
	return all
}

// Cursor is how far a system's change feed was followed, by its own clock.
type Cursor struct {
	System  order.System `json:"system"`
	Through time.Time    `json:"through"`
	// Recent are the changes at the edge, which the overlap shows again.
	Recent []string `json:"recent,omitempty"`
	// Span is how much a poll takes at most while it works off more than one takes.
	Span time.Duration `json:"span,omitempty"`
	// Held is since when it waits for an order that cannot be told. The time in which the
	// feed cannot be read, since Unread, is none of that.
	Held   time.Time `json:"held,omitzero"`
	Unread time.Time `json:"unread,omitzero"`
}

// Known is an order as visibility lists it: a candidate, never the truth.
type Known struct {
	Subject reconcile.Subject `json:"subject"`
	Intent  reconcile.Intent  `json:"intent"`
	Changed time.Time         `json:"changed"`
	Running bool              `json:"running"`
	// Agreed says that the order agreed when it last looked.
	Agreed bool `json:"agreed,omitempty"`
	// Breaks are the kinds of the breaks that were open then, as "crm.deal.mismatch".
	Breaks []string `json:"breaks,omitempty"`
	// Short says that a person was asked then about stock that is not enough for it.
	Short bool `json:"short,omitempty"`
}

// IntentQuery chooses the orders whose intents are listed: those that changed
// at or after Since, and those that do not agree; all of them without a Since.
type IntentQuery struct {
	Since time.Time `json:"since"`
	// Until leaves out those that changed last at or after it; zero: none.
	Until time.Time `json:"until,omitzero"`
	// Limit is how many orders are listed at most, however many runs they have: where
	// there are fewer, these are all.
	Limit int `json:"limit"`
	// IDs asks for these orders instead, for all of them.
	IDs []order.ID `json:"ids,omitempty"`
	// Open asks for all orders that are not closed instead.
	Open bool `json:"open,omitempty"`
	// SKUs asks for all to which one of these is promised instead, closed or not, by
	// what their latest run says.
	SKUs []string `json:"skus,omitempty"`
}
