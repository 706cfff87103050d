package reconciliation

import (
	"context"
	"fmt"
	"testing"

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
	var suspects []Suspect
	var all []looked
	var names []string
	for n := range 60 {
		s := Suspect{Order: order.ID(fmt.Sprintf("%02d", n)), Breaks: []reconcile.Break{b}}
		suspects, names = append(suspects, s), append(names, string(s.Order))
		all = append(all, looked{suspect: s, would: Rehearsed{Steps: []reconcile.Step{{Break: b, Decision: reconcile.Ask}}, Fresh: []bool{true}}})
	}
	for name, c := range map[string]struct {
		told    bool
		members []Members
		anew    bool
	}{
		"all are new":                    {true, nil, true},
		"another incident's":             {true, []Members{{Group: 2, Of: names}}, true},
		"all were let go with it":        {true, []Members{{Group: 1, Of: names}}, false},
		"most were":                      {true, []Members{{Group: 1, Of: names[:40]}}, false},
		"it is not let go, or not again": {false, nil, false},
	} {
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
