package reconciliation

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// incidentsKept is what reconciliation knows of incidents.
type incidentsKept struct {
	Keeper
	status  Status
	members []Members
}

func (k incidentsKept) Status(context.Context) (Status, error)     { return k.status, nil }
func (k incidentsKept) Members(context.Context) ([]Members, error) { return k.members, nil }

// An incident that was let go to its orders is asked about anew when a sweep finds many
// others, also where each part of it sees a few; the same orders again are no news.
func TestIncidents_LetGoAndASweepFindsManyMoreInParts_AskedAnew(t *testing.T) {
	t.Parallel()
	kind := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}
	b := reconcile.Break{System: kind.System, Field: kind.Field, Situation: kind.Situation, FirstSeen: noon}
	var names, others []string
	for n := range MostMembers {
		names, others = append(names, fmt.Sprintf("%02d", n)), append(others, fmt.Sprintf("other-%d", n))
	}
	names = names[:60]
	for name, c := range map[string]struct {
		told    bool
		members []Members
		say     int    // so many of the orders say themselves that something is broken
		what    string // that is
		anew    bool
	}{
		"all are new":                     {true, nil, 0, kind.String(), true},
		"another incident's":              {true, []Members{{Group: 2, Of: names}}, 0, kind.String(), true},
		"all were let go with it":         {true, []Members{{Group: 1, Of: names}}, 0, kind.String(), false},
		"most were":                       {true, []Members{{Group: 1, Of: names[:40]}}, 0, kind.String(), false},
		"it has as many as can be named":  {true, []Members{{Group: 1, Of: others}}, 0, kind.String(), false},
		"almost as many, and all are new": {true, []Members{{Group: 1, Of: others[1:]}}, 0, kind.String(), true},
		"another has":                     {true, []Members{{Group: 2, Of: others}}, 0, kind.String(), true},
		"most know it themselves":         {true, nil, 40, kind.String(), false},
		"most know of something else":     {true, nil, 40, "erp.balance.mismatch", true},
		"it is not let go, or not again":  {false, nil, 0, kind.String(), false},
	} {
		var suspects []Suspect
		var all []looked
		for n, id := range names {
			s := Suspect{Order: order.ID(id), Breaks: []reconcile.Break{b}}
			if n >= 60-c.say {
				s.Says = []string{c.what}
			}
			suspects = append(suspects, s)
			// Of what is new of the incident one is enough in a part.
			would := Rehearsed{Steps: []reconcile.Step{{Break: b, Decision: reconcile.Ask}}, Fresh: []bool{n == 0}}
			all = append(all, looked{suspect: s, would: would})
		}
		g := Group{N: 1, Kind: kind, State: GroupTrying, Told: c.told}
		a := &Activities{
			Keeper: incidentsKept{status: Status{Groups: []Group{g}}, members: c.members}, Thresholds: reconcile.DefaultThresholds(), Policy: reconcile.Default(),
		}
		unknown, err := a.newOf(t.Context(), suspects)
		if err != nil {
			t.Fatal(err)
		}
		in := Confirm{Looked: 10_000, Only: true, Counts: CountKinds(suspects), New: unknown}
		got := a.incidents(in, all[:12], levelsLooked{}, []Group{g})
		if len(got) != 1 || got[0].Anew != c.anew || c.anew && got[0].Orders != 60 {
			t.Errorf("%s: got %+v; want it asked about anew: %t", name, got, c.anew)
		}
	}
}

// A sweep says of its suspects what their orders say of themselves.
func TestSweep_SuspectThatSaysItselfThatSomethingIsBroken_IsMarked(t *testing.T) {
	t.Parallel()
	for _, broken := range [][]string{{"crm.deal.mismatch"}, nil} {
		s := &sweeping{a: &Activities{Policy: reconcile.Default(), Now: func() time.Time { return noon }}}
		found := s.lookUpOne(t.Context(), Known{Intent: reconcile.Intent{Order: "1", PlacedAt: noon}, Breaks: broken}, nil, nil)
		found.news = []order.System{order.SystemCRM}
		s.file("1", found)
		if len(s.out.Suspects) != 1 || !slices.Equal(s.out.Suspects[0].Says, broken) {
			t.Errorf("the suspects are %+v; want one that says %q", s.out.Suspects, broken)
		}
	}
}
