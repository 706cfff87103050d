package reconciliation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// SweepDays asks to sweep some days, one after the other, or these orders alone
// when there are any. One activity reads, has confirmed and reports many days,
// for the history of a sweep must not grow with them.
type SweepDays struct {
	Run    string      `json:"run"`
	Days   []time.Time `json:"days,omitempty"`
	Orders []order.ID  `json:"orders,omitempty"`
	DryRun bool        `json:"dry_run,omitempty"`
	// State is where an earlier activity has left off.
	State SweepState `json:"state,omitzero"`
}

// SweepState is how far a sweep of some days has come. Heartbeats carry it, and
// what is left goes into the next activity.
type SweepState struct {
	// Day is the place of the day that is next or under way, Plan how it is swept
	// once that is known, and Next its shard.
	Day  int        `json:"day"`
	Plan *SweepPlan `json:"plan,omitempty"`
	Next int        `json:"next,omitempty"`
	// Swept is the shard whose suspects are being confirmed, of which so many are.
	Swept     *SweptShard `json:"swept,omitempty"`
	Confirmed int         `json:"confirmed,omitempty"`
	// Imagined is what a dry run would have been granted.
	Imagined Imagined `json:"imagined,omitzero"`
	// Report is of the day under way, or of the last one.
	Report RunReport `json:"report,omitzero"`
	// Over says that there is nothing left to sweep.
	Over bool `json:"over,omitempty"`
}

// confirmAtOnce is how many suspects are confirmed together. They ask for their
// grants part by part, and what was not needed comes back with the next part.
const confirmAtOnce = 100

// SweepDays compares every order of some sealed days in every system: shard after
// shard, each read, confirmed and repaired before the next. Another worker takes
// it up where one was lost.
func (a *Activities) SweepDays(ctx context.Context, in SweepDays) (SweepState, error) {
	d := &days{a: a, in: in, SweepState: in.State, beats: &beating{}, until: a.Now().Add(a.Sweeps.Together)}
	if err := d.beats.read(ctx); err != nil {
		return d.SweepState, err
	}
	if was := d.beats.last.Days; d.beats.any && was != nil {
		d.SweepState = *was
	}
	d.beats.days = &d.SweepState
	ctx = withBeats(ctx, d.beats, a.Now)
	for !d.Over {
		if err := d.step(ctx); err != nil {
			return d.SweepState, err
		}
		d.beats.beat(ctx, progress{}, a.Now())
		if err := stopping(ctx); err != nil {
			return d.SweepState, err
		}
		if a.Now().After(d.until) {
			break
		}
	}
	return d.SweepState, nil
}

// days is a sweep of some days under way.
type days struct {
	SweepState
	a     *Activities
	in    SweepDays
	beats *beating
	until time.Time
}

// day is the day that is next or under way; zero when only some orders are asked.
func (d *days) day() time.Time {
	if len(d.in.Days) == 0 {
		return time.Time{}
	}
	return DayOf(d.in.Days[d.Day])
}

// run names the sweep of the day: budgets of a run are of it alone.
func (d *days) run() string {
	if len(d.in.Days) <= 1 {
		return d.in.Run
	}
	return d.in.Run + "/" + d.day().Format(time.DateOnly)
}

// step does what is next: plan a day, sweep a shard, confirm some suspects, or
// report the day.
func (d *days) step(ctx context.Context) error {
	switch {
	case d.Plan == nil:
		return d.plan(ctx)
	case d.Swept != nil && d.Confirmed < len(d.Swept.Suspects):
		return d.confirm(ctx)
	case d.Swept != nil:
		d.Swept, d.Confirmed, d.Next = nil, 0, d.Next+1
		return nil
	case d.Next < d.Plan.Shards:
		return d.sweep(ctx)
	}
	return d.report(ctx)
}

func (d *days) plan(ctx context.Context) error {
	now := d.a.Now()
	report := RunReport{Run: d.run(), Started: now, DryRun: d.in.DryRun, Only: true, Swept: &Swept{Asked: d.in.Orders}}
	if len(d.in.Orders) > 0 {
		d.Plan, d.Next, d.Report = &SweepPlan{Shards: 1}, 0, report
		return nil
	}
	day := d.day()
	plan, err := d.a.PlanSweep(ctx, PlanSweep{Day: day, Now: now})
	if err != nil {
		return err
	}
	report.From, report.To, report.Policy, report.Rules = day, day.Add(Day), plan.Policy, plan.Rules
	report.Swept.Day, report.Swept.Shards, report.Swept.Ages = day, plan.Shards, plan.Ages
	d.Plan, d.Next, d.Report = &plan, 0, report
	return nil
}

func (d *days) sweep(ctx context.Context) error {
	swept, err := d.a.sweepShard(ctx, SweepShard{
		Day: d.day(), Shard: reconcile.Shard{N: d.Next, Of: d.Plan.Shards}, Orders: d.in.Orders, Now: d.Report.Started, DryRun: d.in.DryRun,
	}, d.beats)
	if err != nil {
		return fmt.Errorf("sweep shard %d of %d: %w", d.Next+1, d.Plan.Shards, err)
	}
	d.Swept, d.Report = &swept, swept.Report(d.Report)
	return nil
}

func (d *days) confirm(ctx context.Context) error {
	end := min(d.Confirmed+confirmAtOnce, len(d.Swept.Suspects))
	batch := d.Next*(mostSweepSuspects/confirmAtOnce+1) + d.Confirmed/confirmAtOnce + 1
	unknown, err := d.a.newOf(ctx, d.Swept.Suspects)
	if err != nil {
		return err
	}
	done, err := d.act(ctx, Confirm{
		Run: d.run(), Batch: batch, Suspects: d.Swept.Suspects[d.Confirmed:end], Looked: d.Swept.Looked,
		Counts: CountKinds(d.Swept.Suspects), New: unknown, Only: true,
	})
	if err != nil {
		return err
	}
	before := d.Report
	d.Report = done.Report(d.Report).Except(done)
	d.Report.Exceptions = before.Exceptions // a sweep names its own: what was compared and disagrees is none
	d.Confirmed = end
	if d.in.DryRun {
		return nil
	}
	if err := d.leaveUnnamed(ctx, done.ToIncidents); err != nil {
		return err
	}
	// What was not needed of the grants is given back at once: the run is long.
	back := RunReport{Run: d.run(), Batch: batch, Part: true, Only: true, Unused: done.Unused, Tried: done.Tried}
	if _, err := d.a.Keeper.Report(ctx, back); err != nil {
		return fmt.Errorf("give back grants: %w", err)
	}
	return nil
}

// leaveUnnamed names as exceptions the orders that were left to an incident which has
// no room for their names: they know nothing of it themselves, and nobody would look
// at them again.
func (d *days) leaveUnnamed(ctx context.Context, orders []order.ID) error {
	if len(orders) == 0 {
		return nil
	}
	members, err := d.a.Keeper.Members(ctx)
	if err != nil {
		return fmt.Errorf("list the orders of incidents: %w", err)
	}
	for _, id := range orders {
		if !slices.ContainsFunc(members, func(m Members) bool { return slices.Contains(m.Of, string(id)) }) {
			d.Report.Swept.Exceptions = append(d.Report.Swept.Exceptions, Exception{Order: id, Why: "it is left to an incident of more orders than are named"})
		}
	}
	return nil
}

// act has suspects confirmed, or asks what would come of it.
func (d *days) act(ctx context.Context, in Confirm) (ConfirmedAll, error) {
	if d.in.DryRun {
		return d.a.rehearseAt(ctx, in, d.a.Sweeps.PerSecond, &d.Imagined)
	}
	return d.a.confirmAt(ctx, in, d.a.Sweeps.PerSecond)
}

func (d *days) report(ctx context.Context) error {
	d.Report.Finished = d.a.Now()
	if !d.in.DryRun { // a dry one leaves no trace
		reported, err := d.a.Keeper.Report(ctx, d.Report)
		if err != nil {
			return fmt.Errorf("report the sweep: %w", err)
		}
		d.Report = reported
	}
	d.Plan, d.Next, d.Day = nil, 0, d.Day+1
	d.Over = d.Day >= len(d.in.Days)
	return nil
}

// Started says that something was done.
func (s SweepState) Started() bool { return s.Day > 0 || s.Plan != nil }
