package play

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workflows"
)

// noticeWithin is how long it may take until a change that nobody announced is
// noticed: no field of the built-in policy takes longer.
const noticeWithin = 15 * time.Minute

// judge asks for verdicts, and holds them and the ledgers against what the file
// says. How ledgers are read is not its own: see package ledgers.
type judge struct {
	p     *player
	until time.Duration // before which verdicts are not held against anything
	last  map[order.ID]reconcile.Verdict
	mark  map[order.System]int64 // how far the ledgers have been looked through
}

func newJudge(p *player) *judge {
	return &judge{p: p, last: map[order.ID]reconcile.Verdict{}, mark: map[order.System]int64{}}
}

// disturbed says that something changed of which the product may not know yet.
func (j *judge) disturbed(age time.Duration) { j.until = max(j.until, age+noticeWithin) }

// watch looks at what the story has led to after everything that happens in a
// system; it goes on beside the player.
func (p *player) watch(ctx context.Context) {
	for {
		until := p.age() + forever
		if p.judge.until > p.age() {
			until = p.judge.until
		}
		if p.world.Doze(ctx, p.world.Moment(until), time.Millisecond) != nil {
			return
		}
		p.judge.look(ctx)
	}
}

// look reads what is new in the ledgers. A change that was not our doing is one
// that takes time to be noticed.
func (j *judge) look(ctx context.Context) {
	fresh := j.p.news()
	if j.theirs(fresh) {
		j.disturbed(j.p.age())
	}
	j.p.story.ledgers(fresh)
	j.laws()
	for _, o := range j.p.file.Expect.Orders {
		if len(o.Never) > 0 && j.p.age() >= j.until && about(fresh, order.ID(o.Order)) {
			j.never(ctx, o)
		}
	}
	j.p.story.verdicts()
}

// theirs says that a person, or a system by itself, changed something.
func (j *judge) theirs(entries []entry) bool {
	return slices.ContainsFunc(entries, func(e entry) bool { return e.Kind == simulator.EntryEdit })
}

// about says that ledger lines may be about an order: it is named, or none is. No
// lines at all are the end of a time in which nothing was asked.
func about(entries []entry, of order.ID) bool {
	return len(entries) == 0 || slices.ContainsFunc(entries, func(e entry) bool {
		return e.Order == of || e.Order == "" && e.Kind == simulator.EntryEdit
	})
}

// never asks for a fresh verdict, which must be none of those.
func (j *judge) never(ctx context.Context, o script.OrderEnd) {
	v, err := j.fresh(ctx, order.ID(o.Order))
	if err == nil && slices.Contains(o.Never, string(v.Outcome)) && j.p.age() >= j.until {
		j.p.stage.Errorf("%s: outcome was %s at %s, and may never be: %s", o.Order, v.Outcome, ago(j.p.age()), v.Summary)
	}
}

// fresh asks for a verdict that is made from reads of this moment; of an order
// that the engine has forgotten the last one is answered.
func (j *judge) fresh(ctx context.Context, of order.ID) (reconcile.Verdict, error) {
	v, err := j.p.world.Client.Verdict(ctx, of, true)
	if errors.Is(err, starters.ErrUnknownOrder) {
		if last, known := j.last[of]; known {
			return last, nil
		}
		return v, err
	}
	if err == nil {
		j.last[of] = v
	}
	return v, err
}

// cases are all the cases that a person was asked to decide about an order.
func (p *player) cases(of order.ID) ([]reconcile.Case, error) {
	return p.world.Client.Cases(p.world.Context(), of, true)
}

// check holds verdicts and records against an expectation.
func (p *player) check(ctx context.Context, e script.Expect, where string) {
	for _, o := range e.Orders {
		p.judge.verdict(ctx, o, where)
		p.judge.people(o, where)
	}
	for _, what := range p.judge.differs(e) {
		p.stage.Errorf("%s%s", where, what)
	}
}

// verdict checks the outcome and the agreement of a fresh verdict.
func (j *judge) verdict(ctx context.Context, o script.OrderEnd, where string) {
	if o.Outcome == nil && o.Agreement == nil {
		return
	}
	v, err := j.fresh(ctx, order.ID(o.Order))
	if err != nil {
		j.p.stage.Errorf("%s%s: ask for the verdict: %v", where, o.Order, err)
		return
	}
	if o.Outcome != nil && !slices.Contains(o.Outcome, string(v.Outcome)) {
		j.p.stage.Errorf("%s%s: outcome is %s, want %s (%s)", where, o.Order, v.Outcome, either(o.Outcome), v.Summary)
	}
	if o.Agreement != nil && !slices.Contains(o.Agreement, string(v.Agreement)) {
		j.p.stage.Errorf("%s%s: agreement is %s, want %s (%s)", where, o.Order, v.Agreement, either(o.Agreement), v.Summary)
	}
}

// people checks how many cases a person was asked, and how much reconciliation
// wrote.
func (j *judge) people(o script.OrderEnd, where string) {
	if o.Cases != nil {
		cases, err := j.p.cases(order.ID(o.Order))
		if err != nil && !errors.Is(err, starters.ErrUnknownOrder) {
			j.p.stage.Errorf("%s%s: ask for the cases: %v", where, o.Order, err)
		}
		j.number(where+o.Order+": cases", o.Cases, int64(len(cases)))
	}
	if o.Repairs != nil {
		story, err := j.p.world.Client.Explain(j.p.world.Context(), order.ID(o.Order))
		if err != nil && !errors.Is(err, starters.ErrUnknownOrder) {
			j.p.stage.Errorf("%s%s: ask for its story: %v", where, o.Order, err)
		}
		j.number(where+o.Order+": repairs", o.Repairs, repairs(story))
	}
}

// repairs counts what reconciliation had done again.
func repairs(e workflows.Explanation) int64 {
	n := int64(0)
	for _, op := range e.Operations {
		n += int64(op.Repairs)
	}
	return n
}

func (j *judge) number(what string, want *script.Number, have int64) {
	if want.Min != nil && have < *want.Min || want.Max != nil && have > *want.Max {
		j.p.stage.Errorf("%s is %d, want %s", what, have, words(want))
	}
}

func words(n *script.Number) string {
	switch {
	case n.Min != nil && n.Max != nil && *n.Min == *n.Max:
		return fmt.Sprint(*n.Min)
	case n.Min == nil:
		return fmt.Sprintf("at most %d", *n.Max)
	case n.Max == nil:
		return fmt.Sprintf("at least %d", *n.Min)
	}
	return fmt.Sprintf("%d to %d", *n.Min, *n.Max)
}

func either(all []string) string {
	text := ""
	for i, s := range all {
		if i > 0 {
			text += " or "
		}
		text += s
	}
	return text
}

// ago is an age of the world as a person writes it.
func ago(age time.Duration) string { return age.Round(time.Second).String() }

// timesOf is a number as a factor of durations.
func timesOf(n int) time.Duration { return time.Duration(n) }
