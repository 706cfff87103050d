package reconciliation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Confirm asks to have suspects confirmed and repaired.
type Confirm struct {
	Run string `json:"run"`
	// Batch tells apart what one run asks in several batches.
	Batch    int            `json:"batch,omitempty"`
	Suspects []Suspect      `json:"suspects,omitempty"`
	Stock    []StockSuspect `json:"stock,omitempty"`
	Short    []Shortage     `json:"short,omitempty"`
	Enough   []Enough       `json:"enough,omitempty"`
	// Looked is how many orders, and Compared how many levels, the suspects are of:
	// many of few are an incident.
	Looked   int  `json:"looked"`
	Compared int  `json:"compared,omitempty"`
	Only     bool `json:"only,omitempty"` // some orders alone were looked at
	// Counts are how many orders the caller suspects of each kind, of all that it
	// looked at, where these suspects are only a part: see CountKinds.
	Counts []KindCount `json:"counts,omitempty"`
	// New are how many of those are new to an incident that was let go, by its kind, where
	// that can be told: see Group.Told.
	New []KindCount `json:"new,omitempty"`
	// Blind are the incidents that stay as they are, for most of their members could
	// not be compared.
	Blind []Blind `json:"blind,omitempty"`
}

// KindCount is how many orders are suspected of one kind of trouble.
type KindCount struct {
	Kind   reconcile.Kind `json:"kind"`
	Orders int            `json:"orders"`
}

// CountKinds counts what suspects are suspected of, sorted by kind.
func CountKinds(suspects []Suspect) []KindCount {
	var counts []KindCount
	for _, s := range suspects {
		var mine []reconcile.Kind
		for _, b := range s.Breaks {
			if k := b.Kind(); !slices.Contains(mine, k) {
				mine = append(mine, k)
			}
		}
		for _, k := range mine {
			n := slices.IndexFunc(counts, func(c KindCount) bool { return c.Kind == k })
			if n < 0 {
				counts, n = append(counts, KindCount{Kind: k}), len(counts)
			}
			counts[n].Orders++
		}
	}
	slices.SortFunc(counts, func(x, y KindCount) int { return cmp.Compare(x.Kind.String(), y.Kind.String()) })
	return counts
}

// newOf counts, of each incident that was let go to its orders, the suspects of its kind
// that are new: they are not among them, and do not say themselves that this is broken. Of an incident that may have more orders than are kept nobody can tell, and
// only what is new in one part counts.
func (a *Activities) newOf(ctx context.Context, suspects []Suspect) ([]KindCount, error) {
	status, err := a.Keeper.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the status of reconciliation: %w", err)
	}
	told := slices.DeleteFunc(slices.Clone(status.Groups), func(g Group) bool { return g.Over() || !g.Told })
	if len(told) == 0 {
		return nil, nil
	}
	members, err := a.Keeper.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the orders of incidents: %w", err)
	}
	var counts []KindCount
	for _, g := range told {
		var its []string
		if n := slices.IndexFunc(members, func(m Members) bool { return m.Group == g.N }); n >= 0 {
			its = members[n].Of
		}
		if len(its) >= MostMembers {
			continue
		}
		c := KindCount{Kind: g.Kind}
		for _, s := range suspects {
			of := func(b reconcile.Break) bool { return g.Kind.Covers(b.Kind()) }
			if !s.says(g.Kind) && slices.ContainsFunc(s.Breaks, of) && !slices.Contains(its, string(s.Order)) {
				c.Orders++
			}
		}
		counts = append(counts, c)
	}
	return counts, nil
}

// says that an order knows of a break of a kind itself.
func (s Suspect) says(k reconcile.Kind) bool {
	return slices.ContainsFunc(s.Says, func(said string) bool {
		other, err := reconcile.ParseKind(said)
		return err == nil && k.Covers(other)
	})
}

// ConfirmedAll is what came of it.
type ConfirmedAll struct {
	Orders []Confirmed `json:"orders,omitempty"` // by their ids
	// Unanswered are orders whose workflow did not answer in time, and ToIncidents those
	// that were left to incidents and heard nothing of it.
	Unanswered  []order.ID `json:"unanswered,omitempty"`
	ToIncidents []order.ID `json:"to_incidents,omitempty"`

	Stock      StockReport `json:"stock"`
	StockLines []string    `json:"stock_lines,omitempty"`
	// Levels are those that differed when they were read again, and when they were set.
	Levels []reconcile.Break `json:"levels,omitempty"`
	// Unused are grants that were not needed, Incidents what was found of each
	// incident, and Tried what came of the first few repairs of one.
	Unused    []int64              `json:"unused,omitempty"`
	Incidents []reconcile.Incident `json:"incidents,omitempty"`
	Tried     []Tried              `json:"tried,omitempty"`
	// Groups say, one a line, what is left to incidents.
	Groups []string `json:"groups,omitempty"`
}

// Report carries what was done, or what a dry run would do, into the report of
// its run. A dry run says every line, for no status keeps its report; a run says how
// many it leaves out.
func (c ConfirmedAll) Report(r RunReport) RunReport {
	var done Done
	more := 0
	r.Lines = append(r.Lines, c.Groups...)
	say := func(line string) {
		if len(r.Lines) >= mostLines && !r.DryRun {
			more++
			return
		}
		r.Lines = append(r.Lines, line)
	}
	for _, o := range c.Orders {
		r.Found += o.Found
		done.Repaired += o.Repaired
		done.Adopted += o.Adopted
		done.Cases += o.Cases
		done.Left += o.Left
		if o.Agreement != reconcile.Agreed {
			r.Exceptions = append(r.Exceptions, o.Order)
		}
		r.Sights = append(r.Sights, o.Sights...)
		for _, line := range o.Lines {
			say(string(o.Order) + ": " + line)
		}
	}
	for _, line := range c.StockLines {
		say(line)
	}
	if more > 0 {
		r.Lines = append(r.Lines, fmt.Sprintf("and %d more; `trueup verdict ORDER --explain` tells the story of one", more))
	}
	r.Exceptions = append(r.Exceptions, c.Unanswered...)
	slices.Sort(r.Exceptions)
	r.Exceptions = slices.Compact(r.Exceptions)
	done.Left += len(c.Unanswered)
	done.Levels = c.Stock.Repaired
	r.Levels = withConfirmed(r.Levels, c.Levels)
	r.Unused, r.Incidents, r.Tried = c.Unused, c.Incidents, c.Tried
	if r.DryRun {
		for i := range r.Levels { // they would have been
			r.Levels[i].Owned, r.Levels[i].Repaired = time.Time{}, time.Time{}
		}
		if r.Would != nil { // a sweep adds its parts up
			done = done.with(*r.Would)
		}
		r.Would = &done
		return r
	}
	r.Repaired += done.Repaired // a sweep adds its parts up
	r.Adopted += done.Adopted
	r.Cases += done.Cases
	r.Left += done.Left
	r.Stock.Repaired += done.Levels
	return r
}

// ConfirmSuspects has each suspect look again in its own workflow, with grants
// for what it may repair. What many have at once becomes an incident before
// anything is done. An order that does not answer is left for the next run; what
// it did meanwhile is not lost.
func (a *Activities) ConfirmSuspects(ctx context.Context, in Confirm) (ConfirmedAll, error) {
	return a.confirmAt(ctx, in, a.Sweeps.RunPerSecond)
}

// confirmAt has suspects confirmed by a run or a sweep, at its rate.
func (a *Activities) confirmAt(ctx context.Context, in Confirm, perSecond float64) (ConfirmedAll, error) {
	look := a.looking(perSecond)
	confirm := func(ctx context.Context, l looked, c Confirmation) (Confirmed, error) {
		if err := look.turn(ctx); err != nil {
			return Confirmed{}, err
		}
		within := answerWithin
		if l.silent { // it has not answered a moment ago
			within = silentWithin
		}
		limited, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		return a.Orders.Confirm(limited, l.suspect.Order, c)
	}
	return a.act(ctx, in, &acting{look: look, grant: a.Keeper.Grant, confirm: confirm, align: a.alignLevel, parts: grantsAtOnce, budget: budgetOf(in)})
}

// budgetOf is how long a run acts. A sweep takes batch after batch.
func budgetOf(in Confirm) time.Duration {
	if in.Batch > 0 {
		return 0
	}
	return actBudget
}

// RehearseRun says what ConfirmSuspects would do, by the same steps: it only
// reads the systems, asks the orders what they would do, and asks what would be
// granted. No order gets an event of it, and nothing is taken.
func (a *Activities) RehearseRun(ctx context.Context, in Confirm) (ConfirmedAll, error) {
	return a.rehearseAt(ctx, in, a.Sweeps.RunPerSecond, &Imagined{})
}

// grantsAtOnce orders ask for their grants together: so each grant is young when
// it is used, and a switch is obeyed in the middle of a run.
const grantsAtOnce = 20

// answerWithin is how long an order that looks again is waited for, from its turn on.
const answerWithin = 3 * time.Minute

// silentWithin is how long one is waited for that could not even be asked.
const silentWithin = 30 * time.Second

// freshGrants is how old grants may be when they are handed out: they live for minutes.
const freshGrants = 2 * time.Minute

// actBudget is how long a run acts at most. What is left is for the next one: a run that
// never ends reports nothing, and keeps the next from beginning.
const actBudget = 30 * time.Minute

// acting is how a run acts: in earnest, or as a rehearsal.
type acting struct {
	look    *looking
	grant   func(context.Context, GrantRequest) (Granted, error)
	confirm func(context.Context, looked, Confirmation) (Confirmed, error)
	align   func(context.Context, StockSuspect, StockChange) (reconcile.Level, error)
	parts   int // orders that ask for grants together; 0: all of them
	// imagined are the incidents that a rehearsal would have met by now.
	imagined []Group
	budget   time.Duration // how long it acts; 0: no limit
	until    time.Time     // nothing is begun after it
	// inventory is how often in a row a level could not be set, left how many orders
	// were not asked.
	inventory misses
	left      int

	out ConfirmedAll
}

func (x *acting) late(now time.Time) bool { return !x.until.IsZero() && now.After(x.until) }

// act looks at each suspect as its order would, recognizes incidents, and then,
// part by part, asks for grants and hands them out.
func (a *Activities) act(ctx context.Context, in Confirm, x *acting) (ConfirmedAll, error) {
	suspected := in.Suspects
	in.Suspects = withShortages(suspected, in)
	status, err := a.Keeper.Status(ctx)
	if err != nil {
		return x.out, fmt.Errorf("confirm suspects: read the status of reconciliation: %w", err)
	}
	status.Groups = withImagined(status.Groups, x.imagined)
	all, err := x.look.at(ctx, in)
	if err != nil {
		return x.out, err
	}
	found := a.lookAtLevels(ctx, in.Stock, status, x.look)
	in.Short = a.stillShort(ctx, in.Short, x.look)
	x.out.Incidents = a.incidents(in, all, found, status.Groups)
	levels := found.differ
	if len(all) == 0 && len(levels) == 0 {
		return x.out, nil
	}
	if x.budget > 0 { // looking has limits of its own
		x.until = a.Now().Add(x.budget)
	}
	first := GrantRequest{Run: in.Run, Part: in.part(0), Attempt: attemptOf(ctx), Only: in.Only, Incidents: x.out.Incidents, Wants: levelWants(levels)}
	parts := inParts(all, cmp.Or(x.parts, max(1, len(all))))
	if len(parts) == 1 { // then one question is enough
		first.Wants = append(first.Wants, wantsOf(parts[0])...)
	}
	// What is known of incidents stops their kinds also where nobody asks for a grant.
	granted := Granted{Groups: slices.DeleteFunc(slices.Clone(status.Groups), Group.Over)}
	if len(first.Wants) > 0 || len(first.Incidents) > 0 {
		if granted, err = x.grant(ctx, first); err != nil {
			return x.out, fmt.Errorf("ask for %d grants: %w", len(first.Wants), err)
		}
	}
	ask := len(parts) > 1
	began := a.Now()
	a.alignStock(ctx, in, levels, granted, x)
	in.Short = a.stillShort(ctx, shortUnless(granted.Groups, in.Short), x.look) // setting levels takes its time
	x.sayShort(in.Short)
	if took := a.Now().Sub(began); !ask && took > freshGrants { // those of the orders have aged meanwhile
		ask = true
		for _, g := range granted.Grants {
			if g.For.Order != "" {
				x.out.Unused = append(x.out.Unused, g.N)
			}
		}
	}
	parts = inParts(concernedBy(all, suspected, in), cmp.Or(x.parts, max(1, len(all))))
	for n, part := range parts {
		if x.late(a.Now()) {
			x.leave(part)
			continue
		}
		if request := (GrantRequest{Run: in.Run, Only: in.Only, Part: in.part(n + 1), Attempt: attemptOf(ctx), Wants: wantsOf(part), Unused: x.out.Unused}); ask && len(request.Wants) > 0 {
			if granted, err = x.grant(ctx, request); err != nil {
				return x.out, fmt.Errorf("ask for %d grants: %w", len(request.Wants), err)
			}
			x.out.Unused = nil
		}
		if err := a.handOut(ctx, in, part, granted, x); err != nil {
			return x.out, err
		}
	}
	x.say(granted.Groups)
	if x.left > 0 {
		x.out.Groups = append(x.out.Groups, fmt.Sprintf("%d orders were left to the next run: this one has acted for %.0f minutes", x.left, x.budget.Minutes()))
	}
	return x.out, nil
}

// attemptOf is the number of the activity's attempt; 0 where there is none.
func attemptOf(ctx context.Context) int32 {
	if !activity.IsActivity(ctx) {
		return 0
	}
	return activity.GetInfo(ctx).Attempt
}

// leave leaves orders to the next run, which looks at them again.
func (x *acting) leave(part []looked) {
	for _, l := range part {
		x.out.Unanswered = append(x.out.Unanswered, l.suspect.Order)
	}
	x.left += len(part)
}

// part numbers the n-th request for grants of the run.
func (c Confirm) part(n int) int { return c.Batch*1_000 + n }

// name names the batch to the orders.
func (c Confirm) name() string {
	if c.Batch == 0 {
		return c.Run
	}
	return fmt.Sprintf("%s/%d", c.Run, c.Batch)
}

// handOut has the orders of one part look again, some side by side.
func (a *Activities) handOut(ctx context.Context, in Confirm, part []looked, granted Granted, x *acting) error {
	var mu sync.Mutex
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(sideBySide)
	for _, l := range part {
		c := Confirmation{Run: in.name(), Systems: l.suspect.Systems, Groups: granted.Groups, Short: shortOf(in.Short, l.suspect.Order), Enough: enoughOf(in.Enough, l.suspect.Order)}
		c.Grants, c.Refused = granted.of(l.suspect.Order)
		g.Go(func() error {
			if left, all := l.leftTo(c); all {
				mu.Lock()
				defer mu.Unlock()
				x.out.Orders = append(x.out.Orders, left)
				x.out.ToIncidents = append(x.out.ToIncidents, left.Order)
				return nil
			}
			if x.late(a.Now()) {
				mu.Lock()
				defer mu.Unlock()
				x.leave([]looked{l})
				for _, g := range c.Grants {
					x.out.Unused = append(x.out.Unused, g.N)
				}
				return nil
			}
			answer, err := x.confirm(inner, l, c)
			mu.Lock()
			defer mu.Unlock()
			heartbeat(ctx, string(l.suspect.Order))
			if err != nil {
				activity.GetLogger(ctx).Warn("order did not answer; it is left for the next run", "order", l.suspect.Order, "error", err)
				x.out.Unanswered = append(x.out.Unanswered, l.suspect.Order)
				return ctx.Err()
			}
			x.out.Orders = append(x.out.Orders, answer)
			x.out.Unused = append(x.out.Unused, answer.Unused...)
			for _, t := range answer.Tried {
				x.out.Tried = AddTried(x.out.Tried, t)
			}
			return nil
		})
	}
	err := g.Wait()
	slices.SortFunc(x.out.Orders, func(p, q Confirmed) int { return compareIDs(p.Order, q.Order) })
	slices.Sort(x.out.Unanswered)
	slices.Sort(x.out.ToIncidents)
	slices.Sort(x.out.Unused)
	return err
}

// of returns what was granted and refused to one order.
func (g Granted) of(id order.ID) (grants []repair.Grant, refused []Refusal) {
	for _, one := range g.Grants {
		if one.For.Order == id {
			grants = append(grants, one)
		}
	}
	for _, one := range g.Refused {
		if one.For.Order == id {
			refused = append(refused, one)
		}
	}
	return grants, refused
}

// say tells what the incidents are, one a line, before the orders' own lines.
func (x *acting) say(groups []Group) {
	for _, g := range groups {
		if slices.ContainsFunc(x.out.Incidents, func(i reconcile.Incident) bool { return i.Kind == g.Kind && i.Orders > 0 }) {
			x.out.Groups = append(x.out.Groups, g.Headline()+": for example "+strings.Join(g.Sample, ", ")+"; "+g.Why)
		}
	}
}

// withShortages adds the orders that go without, or do not any more, to the suspects:
// they decide themselves what that means for them.
func withShortages(suspects []Suspect, in Confirm) []Suspect {
	all := slices.Clone(suspects)
	add := func(id order.ID) {
		if !slices.ContainsFunc(all, func(s Suspect) bool { return s.Order == id }) {
			all = append(all, Suspect{Order: id})
		}
	}
	for _, one := range in.Short {
		add(one.Order)
	}
	for _, one := range in.Enough {
		add(one.Order)
	}
	return all
}

func shortOf(short []Shortage, of order.ID) []Shortage {
	var mine []Shortage
	for _, one := range short {
		if one.Order == of {
			mine = append(mine, one)
		}
	}
	return mine
}

func enoughOf(enough []Enough, of order.ID) []string {
	for _, one := range enough {
		if one.Order == of {
			return one.SKUs
		}
	}
	return nil
}

// shortUnless returns who goes without, unless the counts that say so are an incident
// themselves, or so many go without that they are one.
func shortUnless(groups []Group, short []Shortage) []Shortage {
	for _, kind := range []reconcile.Kind{
		{System: order.SystemInventory, Field: reconcile.InventoryLevel, Situation: reconcile.Mismatch},
		{System: order.SystemInventory, Field: reconcile.InventoryReserved, Situation: reconcile.Conflict},
	} {
		if g, found := groupOf(groups, kind); found && g.State.Stops() {
			return nil
		}
	}
	return short
}

// sayShort says who is asked about what they go without.
func (x *acting) sayShort(short []Shortage) {
	for _, one := range short {
		x.out.StockLines = append(x.out.StockLines,
			fmt.Sprintf("%s: %d of %s are missing, for the warehouse counts %d: a person decides", one.Order, one.Missing, one.SKU, one.Count))
	}
}

// stillShort returns who goes without by a count that is the same when it is read
// again: a slip that was corrected meanwhile is nothing to ask about.
func (a *Activities) stillShort(ctx context.Context, short []Shortage, look *looking) []Shortage {
	same := map[string]bool{} // by SKU: those of one rest on one count
	return slices.DeleteFunc(slices.Clone(short), func(one Shortage) bool {
		still, counted := same[one.SKU]
		if !counted {
			count, err := look.count(ctx, one.SKU)
			if err != nil {
				activity.GetLogger(ctx).Warn("stock that is missing could not be counted again; the next run does", "sku", one.SKU, "error", err)
			}
			still = err == nil && count.Quantity == one.Count
			same[one.SKU] = still
		}
		return !still
	})
}

// concernedBy leaves out the orders that were looked at only because they seemed to go
// without, and do not.
func concernedBy(all []looked, suspected []Suspect, in Confirm) []looked {
	return slices.DeleteFunc(slices.Clone(all), func(l looked) bool {
		id := l.suspect.Order
		return len(l.would.Steps) == 0 && !l.silent && !slices.ContainsFunc(suspected, func(s Suspect) bool { return s.Order == id }) &&
			len(shortOf(in.Short, id)) == 0 && len(enoughOf(in.Enough, id)) == 0
	})
}
