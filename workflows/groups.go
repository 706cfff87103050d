package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/reconcile"
)

// Incidents: many breaks of one kind at once, or a system that misses most of
// what it should have. Each is one case here and none in the orders; its kind is
// stopped from the moment it opens. A person lets it be repaired, a few first
// and more when those are verified, or leaves it.

const (
	// firstFew are repaired in the first run after somebody decided to repair, and
	// after each run whose repairs are all verified so many times as many.
	firstFew = 3
	fewer    = 5
	// groupSample orders are shown of an incident, and reconciliation.MostMembers looked
	// at again by every run until it is over.
	groupSample = 5
	// closedGroups are remembered.
	closedGroups = 10
)

// meet opens incidents that are new, and takes in what was found of the others.
func (s *KeeperState) meet(settings Settings, r reconciliation.GrantRequest, now time.Time) {
	for _, i := range r.Incidents {
		g := s.groupCovering(i.Kind)
		switch {
		case g == nil && i.Orders > 0:
			s.openGroup(settings, r.Run, i, now)
		case g == nil || g.Kind != i.Kind:
		case s.askAnew(settings, g, i, now) || !r.Only:
			s.count(g, i, r.Only)
		default:
			s.join(g, i.Members)
		}
	}
}

// join adds to the members of an incident what a run over some orders, or a part of a
// sweep, found of it: they are looked at again until it is over, as far as there is room.
// Its numbers stay those of one run, and the next whole one counts them all.
func (s *KeeperState) join(g *reconciliation.Group, members []string) {
	n := slices.IndexFunc(s.Members, func(m reconciliation.Members) bool { return m.Group == g.N })
	if n < 0 {
		s.Members, n = append(s.Members, reconciliation.Members{Group: g.N}), len(s.Members)
	}
	all := slices.Clone(s.Members[n].Of)
	for _, one := range members {
		if len(all) < reconciliation.MostMembers && !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	s.Members[n].Of = all
}

// askAnew opens an incident once more that was let go to its orders, when so many
// others have it now, and says whether it did.
func (s *KeeperState) askAnew(settings Settings, g *reconciliation.Group, i reconcile.Incident, now time.Time) bool {
	if !g.Told || !i.Anew {
		return false
	}
	g.State, g.Told, g.Why = reconciliation.GroupOpen, false, "so many are new: "+i.Why()
	g.Asked, g.Deadline = now, now.Add(settings.Policy.Rule(g.Kind.Field).CaseDeadline)
	return true
}

// groupCovering returns the incident that is not over and is of a kind, or nil.
func (s *KeeperState) groupCovering(k reconcile.Kind) *reconciliation.Group {
	for i := range s.Status.Groups {
		if g := &s.Status.Groups[i]; !g.Over() && g.Kind.Covers(k) {
			return g
		}
	}
	return nil
}

func (s *KeeperState) openGroup(settings Settings, run string, i reconcile.Incident, now time.Time) {
	s.Status.NextGroup++
	rule := settings.Policy.Rule(i.Kind.Field)
	g := reconciliation.Group{
		N: s.Status.NextGroup, Kind: i.Kind, State: reconciliation.GroupOpen, Short: i.Short,
		Opened: now, Asked: now, Run: run, Why: i.Why(), Deadline: now.Add(rule.CaseDeadline),
		Proposal: fmt.Sprintf("find the one cause; then repair: %d at first, and more once those are verified", firstFew),
		Alternatives: []string{
			"leave: nothing of it is repaired until trueup switch on " + i.Kind.String(),
			"put it right in " + string(i.Kind.System) + ": the group closes by itself when a whole run finds none of it",
		},
		AtDeadline: "it stays stopped; nothing is changed without a decision",
	}
	if i.Repairs == 0 {
		g.Proposal = "find the one cause; nothing of it is repaired by a rule: after repair each order adopts it or asks in a case of its own"
	}
	if i.Short {
		g.Deadline = now.Add(min(rule.CaseDeadline, 4*time.Hour))
		g.Proposal = fmt.Sprintf("look whether %s has lost or hides its records, and bring them back there; the group closes by itself then", i.Kind.System)
		g.Alternatives = []string{
			fmt.Sprintf("repair: they are really gone; %d at first, and more once those are verified", firstFew),
			"leave: nothing of it is repaired until trueup switch on " + i.Kind.String(),
		}
	}
	s.count(&g, i, false)
	s.Status.Groups = append(s.Status.Groups, g)
	for closed := closedOf(s.Status.Groups); closed > closedGroups; closed-- {
		oldest := slices.IndexFunc(s.Status.Groups, reconciliation.Group.Over)
		s.Status.Groups = slices.Delete(s.Status.Groups, oldest, oldest+1)
	}
}

func closedOf(groups []reconciliation.Group) int {
	n := 0
	for _, g := range groups {
		if g.Over() {
			n++
		}
	}
	return n
}

// count takes in what a run found of an incident: all of it, unless it has looked only at
// some orders.
func (s *KeeperState) count(g *reconciliation.Group, i reconcile.Incident, only bool) {
	g.Orders, g.Looked, g.Breaks, g.Repairs, g.Money = i.Orders, i.Looked, i.Breaks, i.Repairs, i.Money
	if len(i.Members) > 0 {
		g.Sample = slices.Clone(i.Members[:min(len(i.Members), groupSample)])
	}
	if g.Since.IsZero() || !i.Since.IsZero() && i.Since.Before(g.Since) {
		g.Since = i.Since
	}
	if !only {
		s.Members = slices.DeleteFunc(s.Members, func(m reconciliation.Members) bool { return m.Group == g.N })
	}
	s.join(g, i.Members)
}

// refusedBy says why an incident refuses a run, or nothing.
func refusedBy(g *reconciliation.Group, run string, now time.Time) string {
	switch {
	case g.State.Stops():
		return g.Waits()
	case g.Trying != "" && g.Trying != run && now.Sub(g.TryingSince) <= grantLife:
		return fmt.Sprintf("group %d: another run repairs a few of it now", g.N)
	case g.Trying == run && g.Given >= g.Few:
		return g.Waits()
	}
	return ""
}

// try counts a grant as one of the first few of an incident, whose number it
// returns; 0 when it is of none.
func (s *KeeperState) try(run string, k reconcile.Kind, now time.Time) int {
	g := s.groupCovering(k)
	if g == nil {
		return 0
	}
	if g.Trying != run {
		g.Trying, g.TryingSince, g.Given = run, now, 0
	}
	g.Given++
	return g.N
}

func (s *KeeperState) untried(run string, n int) {
	for i := range s.Status.Groups {
		if g := &s.Status.Groups[i]; g.N == n && g.Trying == run {
			g.Given = max(0, g.Given-1)
		}
	}
}

// attendGroups takes in what a run says of the incidents: what came of the first
// few, and which are gone.
func (s *KeeperState) attendGroups(settings Settings, r reconciliation.RunReport, now time.Time) {
	for i := range s.Status.Groups {
		g := &s.Status.Groups[i]
		if g.Over() {
			continue
		}
		s.tried(settings, g, r, now)
		there := slices.ContainsFunc(r.Incidents, func(i reconcile.Incident) bool { return i.Kind == g.Kind && i.Orders > 0 })
		seen := r.Complete() && !r.Only && !slices.Contains(r.Blind, g.N)
		g.Told = g.Told || seen && g.State == reconciliation.GroupTrying && g.Repairs == 0 && g.At.Before(r.Started)
		if g.State != reconciliation.GroupLeft && seen && !there && g.Opened.Before(r.Started) {
			s.closeGroup(g, now, "a whole run found none of it any more")
		}
	}
}

// tried widens what may be repaired when all of the first few are verified, and
// stops again when one is not, whoever tries by now: a run that was slow reports
// after another has taken over.
func (s *KeeperState) tried(settings Settings, g *reconciliation.Group, r reconciliation.RunReport, now time.Time) {
	if g.State != reconciliation.GroupTrying {
		return
	}
	tries := g.Trying == r.Run
	if tries {
		g.Trying, g.Given = "", 0
	}
	for _, t := range r.Tried {
		switch {
		case t.Group != g.N || t.Repaired == 0:
		case t.Verified != t.Repaired:
			g.State, g.Trying, g.Given = reconciliation.GroupOpen, "", 0
			g.Why = fmt.Sprintf("%d of the %d repaired first, as %s decided, are not put right: stopped again", t.Repaired-t.Verified, t.Repaired, g.By)
			g.Asked, g.Deadline = now, now.Add(settings.Policy.Rule(g.Kind.Field).CaseDeadline)
		case tries:
			g.Few *= fewer
		}
	}
}

func (s *KeeperState) closeGroup(g *reconciliation.Group, now time.Time, outcome string) {
	g.State, g.Closed, g.Outcome = reconciliation.GroupClosed, now, outcome
	s.Members = slices.DeleteFunc(s.Members, func(m reconciliation.Members) bool { return m.Group == g.N })
}

// decideGroup carries out what a person decided about an incident.
func (k *keeper) decideGroup(ctx workflow.Context, d reconciliation.DecideGroup) (reconciliation.Status, error) {
	now := workflow.Now(ctx)
	for i := range k.Status.Groups {
		g := &k.Status.Groups[i]
		if g.N != d.N {
			continue
		}
		g.Decided, g.By, g.Reason, g.At = string(d.As), d.By, d.Reason, now
		switch {
		case d.As == reconciliation.GroupLeave:
			g.State = reconciliation.GroupLeft
		default:
			// Where nothing of it would be repaired, each order adopts it, or asks about it in
			// a case of its own. It stays all the same until a run finds none of it: the next run
			// would find the very same orders, and open it once more.
			g.State, g.Few, g.Trying, g.Given, g.Told = reconciliation.GroupTrying, firstFew, "", 0, false
		}
	}
	k.tell(ctx)
	return k.Status, nil
}

// decidable refuses what cannot be decided, and what is not any more what somebody
// decided on, before it is in the history. Nothing happens between this and the
// decision, for nothing has to be read: a run has counted what is so.
func (k *keeper) decidable(_ workflow.Context, d reconciliation.DecideGroup) error {
	var open []string
	for _, g := range k.Status.Groups {
		switch {
		case g.Over():
		case g.N == d.N && (d.As == reconciliation.GroupRepair || d.As == reconciliation.GroupLeave):
			return undecided(g, d.Evidence)
		case g.N == d.N:
			return temporal.NewNonRetryableApplicationError(fmt.Sprintf("a group is decided as repair or leave, and not as %q", d.As), RefusedReason, nil)
		default:
			open = append(open, fmt.Sprint(g.N))
		}
	}
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("group %d is not open; open are: %s", d.N, cmp.Or(strings.Join(open, ", "), "none")), RefusedReason, nil)
}

// undecided refuses a decision that was made on an incident as it once was, and
// shows it as it is.
func undecided(g reconciliation.Group, evidence string) error {
	if evidence == "" {
		return nil
	}
	why := g.Stale(evidence)
	if why == "" {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("what group %d rests on has changed since: %s; nothing was done. Now: %s; %s. Look again with trueup groups, and decide on evidence %s: %s",
		g.N, why, g.Headline(), g.Why, g.Evidence(), g.Command()), RefusedReason, nil)
}

// endLeft closes the incidents that were left until a switch was turned on.
func (s *KeeperState) endLeft(of reconciliation.Stop, now time.Time) {
	for i := range s.Status.Groups {
		kind, err := of.Stops()
		if g := &s.Status.Groups[i]; err == nil && g.State == reconciliation.GroupLeft && g.Kind == kind {
			s.closeGroup(g, now, fmt.Sprintf("the switch was turned on by %s%s: %s", of.By, unverified, of.Reason))
		}
	}
}
