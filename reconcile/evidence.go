package reconcile

import (
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Evidence is what a person decides a case on: made anew from what is known
// whenever it is asked for, and never stored.
type Evidence struct {
	// Token is a short digest of what a decision would rest on: the break, what is
	// proposed, what the systems concerned say, and what each decision would do.
	// Ages, wordings and records that changed in nothing of this leave it as it is.
	Token string `json:"token"`
	// Question is what the systems are asked, as "money captured"; Expected is what
	// the order means the answer to be, and Observed what the case is about, in
	// words.
	Question string `json:"question"`
	Expected string `json:"expected"`
	Observed string `json:"observed"`
	// Says is what each system that knows of it answers.
	Says []Statement `json:"says"`
	// Base is the value on which both last agreed, in words, and AgreedAt when; none
	// when they never did.
	Base     string    `json:"base,omitempty"`
	AgreedAt time.Time `json:"agreed_at,omitzero"`
	// Right is who is right about the field, and Strength and Mode are the rule's, no
	// strength where it decides nothing; Policy and Rules are the versions by which it
	// was judged.
	Right    string   `json:"right"`
	Strength Strength `json:"strength,omitempty"`
	Mode     Mode     `json:"mode"`
	Policy   string   `json:"policy"`
	Rules    int      `json:"rules"`
	// Money at stake, in words; empty when none is.
	Money string `json:"money,omitempty"`
	// Options are the decisions that are possible now.
	Options []Option `json:"options"`
}

// Statement is one system's answer to the question of a case.
type Statement struct {
	System order.System `json:"system"`
	Value  string       `json:"value"` // "-" when there is nothing, "?" when it was never read
	// At is when it was read, and Age how long ago that was; zero when never.
	At      time.Time     `json:"at,omitzero"`
	Age     time.Duration `json:"age"`
	Version string        `json:"version,omitempty"` // the system's own
	Agrees  bool          `json:"agrees"`
	// Unreadable says that the system could not be read last: Value is what it said
	// before.
	Unreadable bool `json:"unreadable,omitempty"`
}

// Option is one decision that is possible about a case, and what it would do.
type Option struct {
	As string `json:"as"` // the word of the decision
	// Does says it in words; Money is what would move, in minor units of the order's
	// currency, and Pieces are the goods, where that is known beforehand.
	Does   string           `json:"does"`
	Money  int64            `json:"money,omitempty"`
	Pieces []order.Quantity `json:"pieces,omitempty"`
	// Proposed says that it carries out what the case proposes.
	Proposed bool `json:"proposed,omitempty"`
}

// Grounds are what evidence is made from: the comparison must be one of these
// observations.
type Grounds struct {
	Intent       Intent
	Policy       Policy
	Observations []Observation
	Comparison   Comparison
	Bases        []Base
}

// Evidence returns what a person decides a case on, as of now.
func (g Grounds) Evidence(k Case, options []Option, now time.Time) Evidence {
	x := &judging{intent: g.Intent, policy: g.Policy, comparison: g.Comparison, now: now}
	for _, s := range order.Systems() {
		if o, found := latest(g.Observations, s, strongest); found {
			x.read = append(x.read, o)
		}
	}
	b, rule := k.Step.Break, g.Policy.Rule(k.Step.Break.Field)
	e := Evidence{
		Question: b.Field.fact(), Expected: x.words(b.Field, b.Expected), Observed: x.words(b.Field, b.Observed),
		Right: b.Right, Strength: rule.decides(), Mode: rule.Mode.atMost(rule.Allows), Policy: g.Policy.Version(), Rules: RulesVersion,
		Money: x.money(b.Money), Options: options,
	}
	if e.Right == "" {
		e.Right = rule.Authority
	}
	if e.Money == "" {
		e.Money = x.money(k.Step.Amount)
	}
	if base, found := baseOf(g.Bases, b.Field, b.Item); found {
		e.Base, e.AgreedAt = x.words(b.Field, base.Value), base.At
	} else if b.Base != "" {
		e.Base, e.AgreedAt = x.words(b.Field, b.Base), b.LastAgreed
	}
	x.testify(&e, b)
	e.Token = e.digest(k)
	return e
}

// testify puts the question of a break to every system that knows of it. What no
// question is about is answered by the break's system alone.
func (x *judging) testify(e *Evidence, b Break) {
	for _, q := range x.questions() {
		if !q.about(b) {
			continue
		}
		e.Question = q.field
		for _, a := range q.answers {
			e.Says = append(e.Says, x.statement(x.cell(q, a), b))
		}
		return
	}
	cell := Cell{System: b.System, Value: orDash(e.Observed)}
	if o, found := x.observation(b.System); found {
		if memory, readable := o.lastKnown(); readable {
			cell.Age = max(0, x.now.Sub(memory.At))
		}
	}
	e.Says = append(e.Says, x.statement(cell, b))
}

// statement dates the answer of a system. The break's own system does not agree,
// also where no comparison finds what the case is about.
func (x *judging) statement(cell Cell, b Break) Statement {
	s := Statement{System: cell.System, Value: cell.Value, Age: cell.Age, Agrees: cell.Agrees && cell.System != b.System}
	o, found := x.observation(cell.System)
	if !found {
		return s
	}
	s.Unreadable = o.State == Unreadable
	if memory, readable := o.lastKnown(); readable {
		s.At, s.Version = memory.At, memory.Version
	}
	return s
}

// words writes a canonical value for a person, and what is none as it is.
func (x *judging) words(f Field, value string) string {
	if _, err := strconv.ParseInt(value, 10, 64); err != nil && value != "" {
		return value
	}
	return say(f, value, x.intent.Currency)
}

// digest returns the token: what is said by the systems that the case and its
// repair are in counts, for a decision reads them before anything is done.
func (e Evidence) digest(k Case) string {
	s, b := k.Step, k.Step.Break
	parts := []string{
		b.ID(), b.Expected, b.Observed, strconv.FormatInt(b.Money, 10),
		string(s.Operation), strconv.FormatInt(s.Amount, 10), s.Key,
	}
	for _, said := range e.Says {
		if said.System == b.System || said.System == s.System {
			parts = append(parts, string(said.System), said.Value)
		}
	}
	for _, o := range e.Options {
		parts = append(parts, o.As, o.Does)
	}
	return digested(parts...)
}

// Asked returns a step as a case puts it to a person, also when the rules would
// have done it by themselves.
func (s Step) Asked() Step {
	switch s.Decision {
	case Ask:
	case Repair:
		s.Proposal, s.Alternatives = s.what(), []string{letStand, doneByHand}
	case Adopt, Report, Ignore:
		s.Proposal, s.Alternatives = "look at it in "+string(s.Break.System), []string{letStand, doneByHand}
		s.Operation, s.Key, s.Amount = "", "", 0
	}
	s.Decision = Ask
	return s
}

// Same says that two steps ask a person the same: about the same values, money
// and operation. How it is worded does not count.
func (s Step) Same(other Step) bool {
	a, b := s.Break, other.Break
	return a.ID() == b.ID() && a.Expected == b.Expected && a.Observed == b.Observed && a.Money == b.Money &&
		s.Operation == other.Operation && s.Amount == other.Amount && s.Key == other.Key
}

// NearAt is when a case is announced again, see NearDeadline.
func (c Case) NearAt() time.Time { return NearDeadline(c.Opened, c.Deadline) }

// NearDeadline is when somebody who was asked is asked again: a quarter of the time
// before the deadline, and at least five minutes, but never in the first half of it.
func NearDeadline(asked, deadline time.Time) time.Time {
	all := deadline.Sub(asked)
	return deadline.Add(-min(max(all/4, 5*time.Minute), all/2))
}
