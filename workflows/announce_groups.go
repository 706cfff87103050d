package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
)

// What is said of the groups to the outside, as of the cases: when one opens, when
// it has changed in a way that is worth knowing, when its deadline is near and over
// while nobody has decided, and how it ended. Who is told that it opened need not be
// told of each of its orders.

// tellGroups says what is to be said about the groups by now. One that was open
// before groups were announced is announced as it stands, once.
func (s *KeeperState) tellGroups(now time.Time) {
	s.Tellings = slices.DeleteFunc(s.Tellings, func(t Telling) bool {
		return !slices.ContainsFunc(s.Status.Groups, func(g reconciliation.Group) bool { return g.N == t.N })
	})
	for _, g := range s.Status.Groups {
		t := toldOf(s.Tellings, g.N)
		switch {
		case !g.Over() && t == nil:
			s.Tellings = append(s.Tellings, Telling{N: g.N, Due: !now.Before(g.NearAt()), Past: !now.Before(g.Deadline)})
			s.sayGroup(now, g, reconciliation.SaysOpened)
		case !g.Over():
			if worthKnowing(g, t) && !now.Before(t.ChangedAt.Add(changesApart)) {
				t.Changes++
				t.ChangedAt = now
				s.sayGroup(now, g, reconciliation.SaysChanged)
			}
			s.remind(now, g, t)
		case t != nil && !t.Closed:
			t.Closed = true
			s.sayGroup(now, g, reconciliation.SaysClosed)
		}
	}
}

// remind says that the deadline of a group is near, or over, each once for as long as
// the same person is asked the same.
func (s *KeeperState) remind(now time.Time, g reconciliation.Group, t *Telling) {
	switch {
	case g.State != reconciliation.GroupOpen:
		t.Due, t.Past = false, false // somebody has decided; whoever is asked again has a new deadline
	case !t.Past && !now.Before(g.Deadline):
		t.Due, t.Past = true, true
		s.sayGroup(now, g, reconciliation.SaysPast)
	case !t.Due && !now.Before(g.NearAt()):
		t.Due = true
		s.sayGroup(now, g, reconciliation.SaysDue)
	}
}

// worthKnowing says that a group is not what was said of it last: it stands
// elsewhere, somebody has decided, or twice or half as many orders have it. A few
// more or less with each run are not news.
func worthKnowing(g reconciliation.Group, t *Telling) bool {
	return standing(g) != t.Evidence || reconciliation.Doubled(g.Orders, t.Orders)
}

// standing says where a group stands, and by whose decision.
func standing(g reconciliation.Group) string {
	return fmt.Sprintf("%s %s %s", g.State, g.Decided, g.By)
}

// sayGroup means an announcement, as say does of a case.
func (s *KeeperState) sayGroup(now time.Time, g reconciliation.Group, kind reconciliation.AnnouncementKind) {
	a := reconciliation.GroupAnnouncement{
		Kind: kind, At: now, Group: g.N, Break: g.Kind.String(), System: g.Kind.System, State: g.State, Why: g.Why,
		Orders: g.Orders, Looked: g.Looked, Breaks: g.Breaks, Repairs: g.Repairs, AtRisk: slices.Clone(g.Money), Examples: slices.Clone(g.Sample),
		Since: g.Since, Opened: g.Opened, Deadline: g.Deadline, Proposal: g.Proposal, Alternatives: slices.Clone(g.Alternatives),
	}
	if g.Over() {
		a.Ending = reconciliation.Ending{Closed: g.Closed, Outcome: unreasoned(g.Outcome), Decision: g.Decided, By: g.By}
	} else {
		a.Evidence = g.Evidence()
		a.Commands = []string{"trueup groups", g.Command()}
	}
	opened := g.Opened
	if kind == reconciliation.SaysDue || kind == reconciliation.SaysPast {
		opened = g.AskedAt() // who is asked once more is reminded once more
	}
	if kind == reconciliation.SaysPast {
		a.Happened = g.AtDeadline
	}
	t := toldOf(s.Tellings, g.N)
	if kind == reconciliation.SaysOpened || kind == reconciliation.SaysChanged {
		t.Evidence, t.Orders = standing(g), g.Orders
	}
	a.ID = announcementID(a.Saying(), ReconciliationID, opened, t.Changes)
	s.Unsaid = append(s.Unsaid, a)
}

// herald sends what is to be said of the groups.
func (k *keeper) herald(ctx workflow.Context) {
	h := herald[reconciliation.GroupAnnouncement]{
		unsaid: &k.Unsaid, act: run.AnnounceGroup,
		closing: func() bool { return false }, // what is on its way when it continues as new is sent again
		done:    func(workflow.Context, reconciliation.GroupAnnouncement, error) {},
	}
	h.send(ctx)
}
