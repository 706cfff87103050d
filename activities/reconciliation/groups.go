package reconciliation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// GroupState is where an incident stands. The set is closed.
type GroupState string

// The states of an incident.
const (
	GroupOpen   GroupState = "open"   // its kind is stopped, and a person is asked
	GroupTrying GroupState = "trying" // somebody decided to repair: a few first, then more
	GroupLeft   GroupState = "left"   // somebody decided to leave it: stopped until its switch is turned on
	GroupClosed GroupState = "closed"
)

// Stops says that nothing of its kind may be repaired.
func (s GroupState) Stops() bool { return s == GroupOpen || s == GroupLeft }

// Group is one case for many orders that have the same trouble at once. Its kind
// is stopped as soon as it opens, before anything is done.
type Group struct {
	N     int            `json:"n"`
	Kind  reconcile.Kind `json:"kind"`
	State GroupState     `json:"state"`
	Short bool           `json:"short,omitempty"`
	// What the latest run found of it.
	Orders  int             `json:"orders"`
	Looked  int             `json:"looked"`
	Breaks  int             `json:"breaks"`
	Repairs int             `json:"repairs"`
	Money   []reconcile.Sum `json:"money,omitempty"` // at risk
	// Sample are a few of its orders; of levels, SKUs.
	Sample []string  `json:"sample,omitempty"`
	Since  time.Time `json:"since"`  // when the oldest of its breaks was first seen
	Opened time.Time `json:"opened"` // and by which run
	Run    string    `json:"run"`
	Why    string    `json:"why"`
	// Proposal and Alternatives are what a person may decide, who was Asked at a moment,
	// until Deadline.
	Proposal     string    `json:"proposal"`
	Alternatives []string  `json:"alternatives"`
	Asked        time.Time `json:"asked,omitzero"`
	Deadline     time.Time `json:"deadline"`
	AtDeadline   string    `json:"at_deadline"`
	// Decided is what somebody chose, and why; By is unverified until there are
	// identities.
	Decided string    `json:"decided,omitempty"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at,omitzero"`
	// Few is how many are repaired in one run while it is tried, by the run Trying
	// until it reports; Given is how many it was granted so far.
	Few         int       `json:"few,omitempty"`
	Trying      string    `json:"trying,omitempty"`
	TryingSince time.Time `json:"trying_since,omitzero"`
	Given       int       `json:"given,omitempty"`
	// Told says that each of its orders has been let deal with its own, for nothing of it
	// is repaired: so many that are new of its kind are asked about anew.
	Told    bool      `json:"told,omitempty"`
	Closed  time.Time `json:"closed,omitzero"`
	Outcome string    `json:"outcome,omitempty"`
}

// Command is how it is decided in a terminal, as it stands.
func (g Group) Command() string {
	return fmt.Sprintf("trueup group decide %d --as repair|leave --evidence %s --by NAME --reason TEXT", g.N, g.Evidence())
}

// NearAt is when it is announced again, while nobody has decided.
func (g Group) NearAt() time.Time { return reconcile.NearDeadline(g.AskedAt(), g.Deadline) }

// AskedAt is since when a person is asked: anew when the first few are not put right.
func (g Group) AskedAt() time.Time {
	if g.Asked.IsZero() { // it opened in an older release
		return g.Opened
	}
	return g.Asked
}

// Over says that it is closed.
func (g Group) Over() bool { return g.State == GroupClosed }

// Waits says in one line why what is of the incident is not repaired now.
func (g Group) Waits() string {
	switch g.State {
	case GroupOpen:
		return fmt.Sprintf("group %d: too many at once; nothing is done before somebody decides (trueup groups)", g.N)
	case GroupLeft:
		return fmt.Sprintf("group %d: left as it is by %s, until trueup switch on %s", g.N, g.By, g.Kind)
	case GroupTrying:
		if g.Repairs == 0 {
			return fmt.Sprintf("group %d: each order deals with its own", g.N)
		}
		return fmt.Sprintf("group %d: only %d at a time are repaired first", g.N, g.Few)
	case GroupClosed:
	}
	return ""
}

// groupOf returns the incident that a break is of: the one that stops it, if
// there are several.
func groupOf(groups []Group, k reconcile.Kind) (Group, bool) {
	var of Group
	for _, g := range groups {
		if !g.Over() && g.Kind.Covers(k) && (of.N == 0 || g.State.Stops() && !of.State.Stops()) {
			of = g
		}
	}
	return of, of.N != 0
}

// LeftTo returns the incident that a step is left to, if there is one: then the
// order neither repairs nor adopts it, nor asks about it.
func (c Confirmation) LeftTo(s reconcile.Step) (Group, bool) {
	g, found := groupOf(c.Groups, s.Break.Kind())
	return g, found && (g.State.Stops() || s.Decision == reconcile.Repair && c.refusedFor(g.N, s.Break))
}

func (c Confirmation) refusedFor(group int, b reconcile.Break) bool {
	return slices.ContainsFunc(c.Refused, func(r Refusal) bool {
		return r.Group == group && r.For.Kind == b.Kind() && r.For.Item == b.Item
	})
}

// NotGranted says why a step was not granted.
func (c Confirmation) NotGranted(s reconcile.Step) string {
	for _, r := range c.Refused {
		if r.For.Kind == s.Break.Kind() && r.For.Item == s.Break.Item {
			return r.Why
		}
	}
	return "it was not there yet, or for less money, when grants were asked for; the next run goes on"
}

// Line says what was found, and what becomes of it.
func Line(s reconcile.Step, becomes string) string {
	return fmt.Sprintf("%s: expected %s, is %s; %s → %s", s.Break.ID(), s.Break.Expected, s.Break.Observed, s.Why, becomes)
}

// LeftLine is the line of a step that is left to an incident.
func (g Group) LeftLine(s reconcile.Step) string { return Line(s, "left to "+g.Waits()) }

// Tried is what came of the repairs of an incident's first few.
type Tried struct {
	Group    int `json:"group"`
	Repaired int `json:"repaired"`
	Verified int `json:"verified"`
}

// AddTried returns the counts with more of one incident.
func AddTried(all []Tried, more Tried) []Tried {
	for i := range all {
		if all[i].Group == more.Group {
			all[i].Repaired += more.Repaired
			all[i].Verified += more.Verified
			return all
		}
	}
	return append(all, more)
}

// GroupDecision is what a person decides about an incident. The set is closed.
type GroupDecision string

// The decisions.
const (
	GroupRepair GroupDecision = "repair" // a few first; more when those are verified
	GroupLeave  GroupDecision = "leave"  // as it is: stopped until its switch is turned on
)

// DecideGroup decides an incident.
type DecideGroup struct {
	N      int           `json:"n"`
	As     GroupDecision `json:"as"`
	By     string        `json:"by"`
	Reason string        `json:"reason"`
	// Evidence is the token of what it was decided on; empty takes the incident as it
	// is found.
	Evidence string `json:"evidence,omitempty"`
}

// Headline says in one line what the incident is.
func (g Group) Headline() string {
	what := "orders"
	if g.Kind.Field == reconcile.InventoryLevel {
		what = "levels"
	}
	text := fmt.Sprintf("group %d, %s: %s on %d of %d %s", g.N, g.State, g.Kind, g.Orders, g.Looked, what)
	if money := Amounts(g.Money); money != "" {
		text += ", " + money + " at risk"
	}
	return text
}

// Amounts writes sums for people.
func Amounts(sums []reconcile.Sum) string {
	var parts []string
	for _, s := range sums {
		parts = append(parts, order.Amount{Minor: s.Minor, Currency: s.Currency}.String())
	}
	return strings.Join(parts, ", ")
}

// MostMembers of an incident are kept.
const MostMembers = 500

// Members are the orders of an incident that is not over, as far as they are
// kept: every run looks at them again. Of levels they are the SKUs.
type Members struct {
	Group int      `json:"group"`
	Of    []string `json:"of,omitempty"`
}
