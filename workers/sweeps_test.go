package workers

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

func TestConfig_Sweeps(t *testing.T) {
	t.Parallel()
	systems := &Systems{}
	systems.Declare(order.SystemMail, reconcile.Abilities{Lateness: 2 * time.Hour, VisibilityLag: time.Minute})
	c := Config{Retention: 10 * reconciliation.Day, SweepAgain: []int{30, 3, 3, 7}, SweepSpan: time.Hour}
	s := c.sweeps(reconcile.Default(), systems)
	if s.SealedAfter != 2*time.Hour+time.Minute {
		t.Errorf("a day is sealed after %s, and mail may land for two hours", s.SealedAfter)
	}
	if s.Hunt != 10*reconciliation.Day || s.Shard != 50_000 || s.Span != time.Hour {
		t.Errorf("sweeps are %+v", s)
	}
	if want := []time.Duration{3 * reconciliation.Day, 7 * reconciliation.Day, 30 * reconciliation.Day}; !slices.Equal(s.Again, want) {
		t.Errorf("days are swept again at %v", s.Again)
	}
	c.Retention = 100 * reconciliation.Day
	if s := c.sweeps(reconcile.Default(), systems); s.Hunt != reconcile.Default().Horizon {
		t.Errorf("beyond the horizon records start something: %s", s.Hunt)
	}
}

func TestConfig_Sweeps_EveryProblemIsNamed(t *testing.T) {
	t.Parallel()
	bad := Config{SweepEvery: time.Second, SweepAgain: []int{3, 0}, SweepSpan: -time.Hour, SweepShard: -1, SweepPerSecond: -1}
	var all []string
	for _, problem := range bad.sweepProblems() {
		all = append(all, problem.Error())
	}
	for _, name := range []string{"EVERY", "AGAIN", "SPAN", "SHARD", "PER_SECOND"} {
		if !slices.ContainsFunc(all, func(p string) bool { return strings.HasPrefix(p, "TRUEUP_SWEEP_"+name+" ") }) {
			t.Errorf("nothing is said of TRUEUP_SWEEP_%s: %v", name, all)
		}
	}
	if len(all) != 5 || len((Config{SweepAgain: []int{1}}).sweepProblems()) != 0 {
		t.Errorf("the problems are %v", all)
	}
}
