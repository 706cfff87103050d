package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// compare holds what the systems said against what the order means them to say,
// and keeps the clocks of the breaks.
func (p *process) compare(policy reconcile.Policy, now time.Time) reconcile.Comparison {
	return reconcile.Compare(p.intent(now), policy, p.Observed, p.Bases, p.Breaks, now)
}

// verdict answers from what is known at now. It changes nothing, for queries
// call it.
func (p *process) verdict(now time.Time, fresh bool) reconcile.Verdict {
	policy := p.settings.Policy
	c := p.compare(policy, now)
	v := reconcile.Judge(p.intent(now), policy, p.Observed, c, p.openCases(), fresh, now)
	p.prove(v.Cases, c, now)
	v.Mended = p.Mended
	if q := p.openQuestion(); q != nil {
		v = v.Asking(q.words())
	}
	return v
}

// assess compares and remembers: what agrees becomes the base, what disagrees
// keeps its clock, and what is over is kept with its times.
func (p *process) assess(now time.Time) reconcile.Comparison {
	c := p.compare(p.settings.Policy, now)
	p.Bases = reconcile.Remember(p.Bases, c.Agreed)
	for _, b := range c.Agreed {
		p.pass(now, b)
	}
	for _, old := range p.Breaks {
		if !slices.ContainsFunc(c.Breaks, func(b reconcile.Break) bool { return b.Place() == old.Place() }) && !settles(c, old) && !unread(c, old.System) {
			old.Verified = now
			if old.Repaired.IsZero() {
				old.Repaired = now
			}
			p.mended(old)
		}
	}
	kept := c.Breaks
	for _, old := range p.Breaks { // what cannot be read now is not over
		if unread(c, old.System) && !slices.ContainsFunc(kept, func(b reconcile.Break) bool { return b.Place() == old.Place() }) {
			kept = append(kept, old)
		}
	}
	p.Breaks = kept
	return c
}

func settles(c reconcile.Comparison, b reconcile.Break) bool {
	return slices.ContainsFunc(c.Settling, func(s reconcile.Settling) bool { return s.Break.Place() == b.Place() })
}

func unread(c reconcile.Comparison, system order.System) bool {
	return slices.Contains(c.Unread, system)
}

// mended keeps the clock of a break that is over.
func (p *process) mended(b reconcile.Break) {
	p.Mended = append(p.Mended, b)
	if len(p.Mended) > mostMended {
		p.Mended = p.Mended[len(p.Mended)-mostMended:]
	}
	p.meter.measured(RepairMetric, b.System, b.Verified.Sub(b.FirstSeen))
	p.note(b.Verified, fmt.Sprintf("%s is over; it was seen for %s", b.ID(), b.Verified.Sub(b.FirstSeen).Round(time.Second)))
}

// freshVerdict reads every system now, unless the last reading is young enough.
func (p *process) freshVerdict(ctx workflow.Context, _ AskVerdict) (reconcile.Verdict, error) {
	now := workflow.Now(ctx)
	if p.readAt.IsZero() || now.Sub(p.readAt) >= p.settings.FreshFor {
		work, _ := workflow.NewDisconnectedContext(ctx)
		p.readAll(work, 0)
		now = workflow.Now(ctx)
	}
	if p.recalling {
		return p.verdict(now, true), nil
	}
	p.attend(now)
	p.settleCases(now, p.assess(now))
	p.touch()
	return p.verdict(now, true), nil
}

// publication is what the search attributes last said.
type publication struct {
	stakes    Stakes
	outcome   string
	agreement string
	breaks    []string
	oldest    time.Time
	changes   int
}

// publish tells visibility, the memo and the current details where the order
// stands. Events cost, so it speaks at rest, and at once only when the outcome
// changed.
func (p *process) publish(ctx workflow.Context) error {
	now := workflow.Now(ctx)
	resting := p.resting(ctx)
	v := p.verdict(now, false)
	workflow.SetCurrentDetails(ctx, v.Markdown())
	outcome, agreement, breaks, oldest := reconcile.Attributes(v, p.atOdds())
	same := outcome == p.published.outcome && agreement == p.published.agreement &&
		slices.Equal(breaks, p.published.breaks) && oldest.Equal(p.published.oldest)
	if outcome == p.published.outcome && !resting && !p.troubled() {
		return nil
	}
	if !same {
		attributes := []temporal.SearchAttributeUpdate{
			OutcomeAttribute.ValueSet(outcome), AgreementAttribute.ValueSet(agreement),
			BreaksAttribute.ValueSet(breaks), ChangedAttribute.ValueSet(now),
		}
		if oldest.IsZero() {
			attributes = append(attributes, OldestAttribute.ValueUnset())
		} else {
			attributes = append(attributes, OldestAttribute.ValueSet(oldest))
		}
		if err := workflow.UpsertTypedSearchAttributes(ctx, attributes...); err != nil {
			return fmt.Errorf("publish the state of order %s: %w", p.Order.ID, err)
		}
		p.published.outcome, p.published.agreement, p.published.breaks, p.published.oldest = outcome, agreement, breaks, oldest
	}
	if !resting && !p.troubled() {
		return nil
	}
	memo := map[string]any{}
	if ended := p.endedOperations(); ended != p.published.changes {
		p.published.changes = ended
		memo[IntentMemo] = p.intent(now)
		if same { // runs look for what changed, and what was written may be on no system's feed
			if err := workflow.UpsertTypedSearchAttributes(ctx, ChangedAttribute.ValueSet(now)); err != nil {
				return fmt.Errorf("publish that order %s has changed: %w", p.Order.ID, err)
			}
		}
	}
	if stakes := p.stakes(); stakes != p.published.stakes {
		p.published.stakes = stakes
		memo[StakesMemo] = stakes
	}
	if len(memo) == 0 {
		return nil
	}
	return workflow.UpsertMemo(ctx, memo)
}

// troubled says that an operation does not get through: then an order that is
// not at rest speaks too, so that somebody notices.
func (s *State) troubled() bool {
	for i := range s.Operations {
		if op := &s.Operations[i]; op.Status == Open && op.Why != "" {
			return true
		}
	}
	return false
}

// endedOperations numbers the state of our intents, so that the memo is written
// only when one changed.
func (p *process) endedOperations() int {
	n := 0
	for i := range p.Operations {
		op := &p.Operations[i]
		if op.Status != Open {
			n += 1 + op.Repairs
		}
		if !op.Through.IsZero() {
			n++
		}
	}
	return n*16 + len(p.Phase)
}

// refused deals with an operation that a system refused for good, and with a question of
// which nobody can say whether it went out.
func (p *process) refused(now time.Time, op *Operation) {
	if q := p.askedIn(*op); q != nil && op.Status == Unknown {
		p.unasked(now, *q, op.Why)
	}
	if op.Status != Refused {
		return
	}
	switch op.Operation {
	case order.Return:
		p.hint(op.System, now)
		p.sure(op.System, now)
		return
	case order.Reserve:
		if !order.Empty(p.Promised) { // it may have lapsed: inventory's own word counts, see attendPromise
			p.hint(order.SystemInventory, now)
			p.sure(order.SystemInventory, now)
		}
		return // the phases, questions and cases say the rest: see afterPaying, attendQuestions and attendNotThere
	case order.Authorize, order.Cancel, order.UpdateAddress:
		return // the phases, questions and replies say it: see afterPaying, attendQuestions, packed, applyAddress and sendBack
	case order.Capture, order.Void:
		p.hint(order.SystemPayment, now) // somebody was faster, or it is gone: the gateway knows
		p.sure(order.SystemPayment, now)
		return
	case order.Refund: // it may be in dispute by now: see holdBack
		p.hint(order.SystemPayment, now)
		p.sure(order.SystemPayment, now)
	case order.Send:
		p.note(now, "the mail "+op.About+" is not sent: "+op.Why)
		if q := p.askedIn(*op); q != nil {
			p.unasked(now, *q, op.Why)
		}
		return
	}
	p.openCase(now, reconcile.Step{
		Break: reconcile.Break{
			System: op.System, Field: reconcile.Field(string(op.System) + "." + string(op.Operation)), Situation: reconcile.Missing,
			Item: p.Key(*op), Expected: "done", Observed: op.Why, Right: "order", Money: op.Amount,
			FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: op.System, Operation: op.Operation, Amount: op.Amount, Key: p.Key(*op),
		Why:      "the system refused the operation for good",
		Proposal: "mend the reason in " + string(op.System) + " and have it done again",
	}, true)
}
