package workflows

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/reconcile"
)

// Grants: permissions to repair, numbered, each for one break of one order, out
// of the budgets of the hour and of the run. They are taken from the budgets
// before anybody acts, so that runs side by side never repair more than that.

// grantLife is how long a grant may be used; a lost one expires, and counts as
// used, for nobody knows.
const grantLife = 10 * time.Minute

// given is a grant that is out.
type given struct {
	N       int64     `json:"n"`
	Run     string    `json:"run"`
	Expires time.Time `json:"expires"`
	Window  time.Time `json:"window"` // of the budget that it was taken from
	// For is what it was given for, and Group the incident of which it is one of
	// the first few.
	For   reconcile.Want `json:"for"`
	Group int            `json:"group,omitempty"`
}

// granting is what one run was given so far, by field.
type granting struct {
	Run   string          `json:"run"`
	Asked time.Time       `json:"asked"`
	Uses  []reconcile.Use `json:"uses"`
}

// runLife is how long a run that never reports is remembered.
const runLife = 24 * time.Hour

// grant gives what is wanted as far as the budgets go, in the order in which it
// is wanted. What is stopped, and what is of an incident, is not given.
func (k *keeper) grant(ctx workflow.Context, r reconciliation.GrantRequest) (reconciliation.Granted, error) {
	answer := k.give(k.settings, r, workflow.Now(ctx))
	k.tell(ctx)
	return answer, nil
}

// wouldGrant answers as grant would, and takes nothing.
func (k *keeper) wouldGrant(r reconciliation.GrantRequest) (reconciliation.Granted, error) {
	twin, err := copied(k.KeeperState)
	if err != nil {
		return reconciliation.Granted{}, err
	}
	for _, t := range r.Taken {
		w := reconcile.Want{Kind: t.Kind, Currency: t.Currency, Money: t.Money} // of all of them, by the first
		for range t.Count {
			twin.take(t.Run, w, t.At)
			w.Money = 0
		}
	}
	return twin.give(k.settings, r, r.At), nil
}

// copied returns a copy that shares nothing, for what only asks: a query must not
// change what it is asked about.
func copied[T any](of *T) (*T, error) {
	var twin T
	// Plain structs, there and back: nothing of it depends on anything else.
	//workflowcheck:ignore
	data, err := json.Marshal(of)
	if err == nil {
		//workflowcheck:ignore
		err = json.Unmarshal(data, &twin)
	}
	if err != nil {
		return nil, fmt.Errorf("copy the state: %w", err)
	}
	return &twin, nil
}

func (s *KeeperState) give(settings Settings, r reconciliation.GrantRequest, now time.Time) reconciliation.Granted {
	s.expire(now)
	s.takeBack(r.Run, r.Unused)
	s.meet(settings, r, now)
	var answer reconciliation.Granted
	for _, w := range r.Wants {
		if g := s.givenTo(r.Run, w); g != nil { // asked again: what it has is not taken twice
			answer.Grants = append(answer.Grants, repair.Grant{N: g.N, Expires: g.Expires, For: g.For, Group: g.Group})
			continue
		}
		if why, group := s.refuse(settings, r.Run, w, now); why != "" {
			answer.Refused = append(answer.Refused, reconciliation.Refusal{For: w, Why: why, Group: group})
			continue
		}
		answer.Grants = append(answer.Grants, s.take(r.Run, w, now))
	}
	for _, g := range s.Status.Groups {
		if !g.Over() {
			answer.Groups = append(answer.Groups, g)
		}
	}
	return answer
}

// refuse says why a want is not granted, and which incident it waits for; empty
// when it is.
func (s *KeeperState) refuse(settings Settings, run string, w reconcile.Want, now time.Time) (why string, group int) {
	for _, stop := range s.Status.Stops {
		if kind, err := stop.Stops(); err != nil || kind.Covers(w.Kind) {
			return fmt.Sprintf("the switch of %s is off: %s (by %s)", kind, stop.Reason, stop.By), 0
		}
	}
	for i := range s.Status.Groups {
		if g := &s.Status.Groups[i]; !g.Over() && g.Kind.Covers(w.Kind) {
			if why := refusedBy(g, run, now); why != "" {
				return why, g.N
			}
		}
	}
	return s.purse(run).Refuse(settings.Policy, settings.Budget, w, now), 0
}

func (s *KeeperState) purse(run string) reconcile.Purse {
	return reconcile.Purse{Hour: s.Status.Spent, Run: s.running(run).Uses}
}

// running returns what a run was given so far.
func (s *KeeperState) running(run string) *granting {
	for i := range s.Runs {
		if s.Runs[i].Run == run {
			return &s.Runs[i]
		}
	}
	return &granting{Run: run}
}

// take gives one grant.
func (s *KeeperState) take(run string, w reconcile.Want, now time.Time) repair.Grant {
	purse := s.purse(run).Take(w, now)
	mine := *s.running(run)
	mine.Uses, mine.Asked = purse.Run, now
	s.Status.Spent = purse.Hour
	s.Runs = append(slices.DeleteFunc(s.Runs, func(g granting) bool { return g.Run == run }), mine)
	g := repair.Grant{N: s.Status.NextGrant, Expires: now.Add(grantLife), For: w, Group: s.try(run, w.Kind, now)}
	s.Status.NextGrant++
	s.Given = append(s.Given, given{N: g.N, Run: run, Expires: g.Expires, Window: reconcile.Slot(now), For: w, Group: g.Group})
	return g
}

// givenTo returns the grant that a run has for a want, or nil.
func (s *KeeperState) givenTo(run string, w reconcile.Want) *given {
	for i := range s.Given {
		if g := &s.Given[i]; g.Run == run && g.For.Is(w) && g.For.Money >= w.Money && g.For.Currency == w.Currency {
			return g
		}
	}
	return nil
}

// takeBack puts grants that were not used back into the budgets they came from.
func (s *KeeperState) takeBack(run string, unused []int64) {
	s.Given = slices.DeleteFunc(s.Given, func(g given) bool {
		if g.Run != run || !slices.Contains(unused, g.N) {
			return false
		}
		s.Status.Spent = reconcile.AddSpent(s.Status.Spent, g.For, g.Window, -1)
		for i := range s.Runs {
			if s.Runs[i].Run == run {
				s.Runs[i].Uses = lessUse(s.Runs[i].Uses, g.For)
			}
		}
		s.untried(run, g.Group)
		return true
	})
}

func lessUse(uses []reconcile.Use, w reconcile.Want) []reconcile.Use {
	for i := range uses {
		if u := &uses[i]; u.Field == w.Field {
			u.Count = max(0, u.Count-1)
			u.Money = reconcile.AddSum(u.Money, w.Currency, -w.Money)
		}
	}
	return uses
}

// expire forgets what is over: grants that were lost, hours that have passed and
// runs that never reported.
func (s *KeeperState) expire(now time.Time) {
	s.Given = slices.DeleteFunc(s.Given, func(g given) bool { return now.After(g.Expires) })
	s.Status.Spent = reconcile.Within(s.Status.Spent, now)
	s.Runs = slices.DeleteFunc(s.Runs, func(g granting) bool { return now.Sub(g.Asked) > runLife })
}

// reported forgets a run's grants: what it has not given back it has used. What
// was given to a run of which this is a part still counts: its limits are of the
// whole.
func (s *KeeperState) reported(run string, part bool, unused []int64, now time.Time) {
	s.expire(now)
	s.takeBack(run, unused)
	s.Given = slices.DeleteFunc(s.Given, func(g given) bool { return g.Run == run })
	if part {
		return
	}
	s.Runs = slices.DeleteFunc(s.Runs, func(g granting) bool { return g.Run == run })
}
