package play

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/ledgers"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workflows"
)

// noticeWithin is how long it may take until a change that nobody announced is
// noticed: no field of the built-in policy takes longer.
const noticeWithin = 15 * time.Minute

// judge asks the product what it says, and has that and the systems' ledgers held
// against the file and the laws. How ledgers are read is not its own: see package
// ledgers.
type judge struct {
	p     *player
	laws  *ledgers.Watch
	until time.Duration // before which verdicts are not held against anything
	last  map[order.ID]said
	mark  map[order.System]int64 // how far the ledgers have been looked through
}

// said is what the product says about an order.
type said struct {
	ledgers.Said
	summary string
}

func newJudge(p *player) *judge {
	return &judge{p: p, laws: ledgers.NewWatch(p.file, p.desks), last: map[order.ID]said{}, mark: map[order.System]int64{}}
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
		if p.world.Doze(ctx, until, time.Millisecond) != nil {
			return
		}
		p.judge.look(ctx)
	}
}

// look reads what is new in the ledgers. A change that was not our doing is one
// that takes time to be noticed.
func (j *judge) look(ctx context.Context) {
	fresh := j.p.news(j.mark)
	if theirs(fresh) {
		j.disturbed(j.p.age())
	}
	j.p.story.ledgers()
	j.broken(j.laws.After())
	for _, of := range j.p.ids() {
		if j.p.age() >= j.until && about(fresh, of) {
			j.hear(ctx, of)
		}
	}
	j.p.story.verdicts()
}

// broken notes the laws that were broken.
func (j *judge) broken(found []ledgers.Violation, err error) {
	if err != nil {
		j.p.stage.Errorf("read the ledgers: %v", err)
	}
	for _, v := range found {
		j.p.stage.Errorf("%s: %s: %s, at %s", v.Order, v.Law, v.What, ago(j.p.world.AgeAt(v.At)))
	}
}

// theirs says that a person, or a system by itself, changed something.
func theirs(entries []entry) bool {
	return slices.ContainsFunc(entries, func(e entry) bool { return e.Kind == simulator.EntryEdit })
}

// about says that ledger lines may be about an order: it is named, or none is. No
// lines at all are the end of a time in which nothing was asked.
func about(entries []entry, of order.ID) bool {
	return len(entries) == 0 || slices.ContainsFunc(entries, func(e entry) bool {
		return e.Order == of || e.Order == "" && e.Kind == simulator.EntryEdit
	})
}

// hear holds what the product says about an order against the laws. It is asked
// for a fresh verdict where the file names outcomes that may never be, or where it
// says that the order is over: a fresh reading also tells the product what it has
// not noticed yet, so that nothing is asked freshly without need.
func (j *judge) hear(ctx context.Context, of order.ID) {
	now, err := j.remembered(of)
	if err == nil && !now.Closed && (now.Outcome == "failed" || now.Outcome == "cancelled" || j.hasNever(of) && !j.p.quick) {
		now, err = j.fresh(ctx, of)
	}
	if err == nil && j.p.age() >= j.until {
		j.broken(j.laws.Hear(string(of), now.Said, j.p.world.Now()))
	}
}

func (j *judge) hasNever(of order.ID) bool {
	return !j.p.lawful && slices.ContainsFunc(j.p.file.Expect.Orders, func(o script.OrderEnd) bool { return o.Order == string(of) && len(o.Never) > 0 })
}

// remembered is what an order says from memory.
func (j *judge) remembered(of order.ID) (said, error) {
	v, err := j.p.client.Verdict(j.p.world.Context(), of, false)
	return j.heard(of, v, err)
}

// fresh is what an order says after it has read all systems at this moment.
func (j *judge) fresh(ctx context.Context, of order.ID) (said, error) {
	v, err := j.p.client.Verdict(ctx, of, true)
	return j.heard(of, v, err)
}

// heard adds to a verdict what else the product says. Of an order that the engine
// has forgotten it is what was said last.
func (j *judge) heard(of order.ID, v reconcile.Verdict, err error) (said, error) {
	if errors.Is(err, starters.ErrUnknownOrder) {
		if last, known := j.last[of]; known {
			return last, nil
		}
	}
	if err != nil {
		return said{}, err
	}
	cases, err := j.p.cases(of)
	if err != nil {
		return said{}, err
	}
	story, err := j.p.client.Explain(j.p.world.Context(), of)
	if err != nil {
		return said{}, err
	}
	now := said{ledgers.Said{
		Outcome: string(v.Outcome), Agreement: string(v.Agreement), Closed: j.p.world.Closed(of),
		Cases: len(cases) + len(j.p.inboxCases(of)), Repairs: repairs(story),
	}, v.Summary}
	j.last[of] = now
	return now, nil
}

// repairs counts what reconciliation had done again.
func repairs(e workflows.Explanation) int {
	n := 0
	for _, op := range e.Operations {
		n += op.Repairs
	}
	return n
}

// cases are all the cases that a person was asked to decide about an order.
func (p *player) cases(of order.ID) ([]reconcile.Case, error) {
	return p.client.Cases(p.world.Context(), of, true)
}

// inboxCases are the records that name an order, which does not claim them, and
// about which a person was asked.
func (p *player) inboxCases(of order.ID) []workflows.InboxCase {
	var all []workflows.InboxCase
	for _, one := range p.inbox() {
		if one.Order == of {
			all = append(all, one)
		}
	}
	return all
}

// inbox are all the records about which a person was asked.
func (p *player) inbox() []workflows.InboxCase {
	var all []workflows.InboxCase
	for _, id := range p.world.IDs(strings.TrimSuffix(workflows.InboxWorkflowID("", ""), "/")) {
		var one workflows.InboxCase
		if err := p.client.Engine.Query(p.world.Context(), id, workflows.InboxQuery, nil, &one); err == nil && !one.Asked.IsZero() {
			all = append(all, one)
		}
	}
	return all
}

// check holds what the product says and the records against an expectation.
func (p *player) check(ctx context.Context, e script.Expect, where string) {
	for _, o := range e.Orders {
		for _, what := range p.judge.differs(ctx, o) {
			p.stage.Errorf("%s%s: %s", where, o.Order, what)
		}
	}
	wrong, err := ledgers.StockDiffers(e.Stock, p.desks)
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	if e.Orphans != nil {
		wrong = append(wrong, p.judge.orphans(e.Orphans)...)
	}
	for _, what := range wrong {
		p.stage.Errorf("%s%s", where, what)
	}
}

// differs says what is otherwise with an order than expected.
func (j *judge) differs(ctx context.Context, want script.OrderEnd) []string {
	told, known := j.p.file.Order(want.Order)
	if !known {
		return []string{"the file has no such order"}
	}
	now, err := j.fresh(ctx, order.ID(want.Order))
	hears := &now.Said
	switch {
	case errors.Is(err, starters.ErrUnknownOrder): // nobody submitted it, or it was refused
		now.Outcome, now.Agreement = "unknown", "unknown"
		now.Cases = len(j.p.inboxCases(order.ID(want.Order)))
	case err != nil:
		return []string{fmt.Sprintf("ask what became of it: %v", err)}
	}
	records, err := ledgers.Look(j.p.desks, told)
	if err != nil {
		return []string{err.Error()}
	}
	wrong := ledgers.Differs(want, records, hears)
	if len(wrong) > 0 && now.summary != "" {
		wrong[len(wrong)-1] += " (" + now.summary + ")"
	}
	return wrong
}

// orphans says how many records belong to no order and have no case.
func (j *judge) orphans(want *script.Number) []string {
	all, err := ledgers.Orphans(j.p.file, j.p.desks)
	if err != nil {
		return []string{err.Error()}
	}
	waiting := j.p.inbox()
	all = slices.DeleteFunc(all, func(o ledgers.Orphan) bool {
		return slices.ContainsFunc(waiting, func(c workflows.InboxCase) bool {
			return c.System == o.System && (c.Record == o.Record || o.Order != "" && string(c.Order) == o.Order)
		})
	})
	if want.Holds(int64(len(all))) {
		return nil
	}
	text := fmt.Sprintf("orphans: %d; want %s", len(all), want)
	for _, o := range all {
		text += "; " + o.String()
	}
	return []string{text}
}

// committed is how many pieces of a SKU inventory has committed for an order.
func (j *judge) committed(of order.ID, sku string) int64 {
	told, _ := j.p.file.Order(string(of))
	records, err := ledgers.Look(j.p.desks, told)
	if err != nil {
		j.p.stage.Errorf("%v", err)
	}
	return records.Committed[sku]
}

// ago is an age of the world as a person writes it.
func ago(age time.Duration) string { return age.Round(time.Second).String() }
