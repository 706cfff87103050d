package workers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// sweepProblems names what is wrong with the settings of sweeps.
func (c Config) sweepProblems() []error {
	var problems []error
	if c.SweepEvery < 0 || c.SweepEvery > 0 && c.SweepEvery < time.Minute {
		problems = append(problems, fmt.Errorf("TRUEUP_SWEEP_EVERY is %s; it must be 0 (no schedule) or at least 1m", c.SweepEvery))
	}
	for _, age := range c.SweepAgain {
		if age < 1 || age > 365 {
			problems = append(problems, fmt.Errorf("TRUEUP_SWEEP_AGAIN has %d; ages are 1 to 365 days", age))
		}
	}
	if c.SweepSpan < 0 {
		problems = append(problems, fmt.Errorf("TRUEUP_SWEEP_SPAN is %s; it must not be negative", c.SweepSpan))
	}
	if c.SweepShard < 0 {
		problems = append(problems, errors.New("TRUEUP_SWEEP_SHARD must not be negative; 0 is 50000"))
	}
	if c.SweepPerSecond < 0 {
		problems = append(problems, errors.New("TRUEUP_SWEEP_PER_SECOND must not be negative; 0 sets no rate"))
	}
	return problems
}

// sealedAtLeast is how long after its end a day is sealed at least, and how long
// before a day records of its orders may have been made: a checkout begins its
// payment before it places the order, and clocks differ.
const sealedAtLeast = time.Hour

// sweeps are how sealed days are swept: sealed when nothing can settle or land
// any more, and hunted through as long as an order that never was can be told
// from one that is forgotten.
func (c Config) sweeps(p reconcile.Policy, systems *Systems) reconciliation.Sweeps {
	s := reconciliation.Sweeps{
		SealedAfter: sealedAtLeast, Before: sealedAtLeast, Span: c.SweepSpan, Shard: cmp.Or(c.SweepShard, 50_000), PerSecond: c.SweepPerSecond, RunPerSecond: c.RunPerSecond, Together: time.Hour,
		Hunt: min(p.Horizon, c.Retention),
	}
	for _, rule := range p.Rules {
		s.SealedAfter = max(s.SealedAfter, rule.Settling)
	}
	for _, system := range order.Systems() {
		a := systems.Abilities(system)
		s.SealedAfter = max(s.SealedAfter, a.Lateness+a.VisibilityLag)
	}
	ages := slices.Clone(c.SweepAgain)
	slices.Sort(ages)
	for _, age := range slices.Compact(ages) {
		s.Again = append(s.Again, time.Duration(age)*reconciliation.Day)
	}
	return s
}
