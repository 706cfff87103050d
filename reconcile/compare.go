package reconcile

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Compare holds what the systems say against what they should say.
//
// Observations may come in any order and several of one system; a strong read
// counts before a listing and then the later one. A system that was not read,
// has an operation open, or was read before our own last write to it, is not
// judged: its open breaks stay open as they are, and nothing there agrees.
// Open are the breaks known so far, whose clocks are carried on; pass those of
// an earlier Comparison's Settling too, so that their first sight is kept.
func Compare(i Intent, p Policy, observations []Observation, bases []Base, open []Break, now time.Time) Comparison {
	x := &comparing{intent: i, policy: p, bases: bases, open: open, now: now}
	for _, s := range order.Systems() {
		o, found := latest(observations, s, strongest)
		if !found || o.State == Unreadable {
			x.result.Unread = append(x.result.Unread, s)
			x.carry(s)
			continue
		}
		x.system(o, expectOf(i, p, []order.System{s}, now))
	}
	slices.SortFunc(x.result.Breaks, func(a, b Break) int { return cmp.Compare(a.ID(), b.ID()) })
	slices.SortFunc(x.result.Settling, func(a, b Settling) int { return cmp.Compare(a.Break.ID(), b.Break.ID()) })
	slices.SortFunc(x.result.Agreed, compareBases)
	return x.result
}

type comparing struct {
	intent Intent
	policy Policy
	bases  []Base
	open   []Break
	now    time.Time
	result Comparison
}

// carry keeps the open breaks of a system that cannot be judged now: nothing
// has shown that they are gone. What was only settling goes on settling.
func (x *comparing) carry(s order.System) {
	for _, b := range x.open {
		if b.System != s || !b.Verified.IsZero() || x.policy.Rule(b.Field).Mode == ModeIgnore {
			continue
		}
		if x.wasBreak(b) {
			x.result.Breaks = appendBreak(x.result.Breaks, b)
			continue
		}
		x.settle(b, notBefore(x.intent, x.policy, b.Field, x.now))
	}
}

func (x *comparing) settle(b Break, until time.Time) {
	if until.Before(x.now) {
		until = x.now
	}
	for _, known := range x.result.Settling {
		if known.Break.Place() == b.Place() {
			return
		}
	}
	x.result.Settling = append(x.result.Settling, Settling{b, until})
}

func appendBreak(all []Break, b Break) []Break {
	for _, known := range all {
		if known.Place() == b.Place() {
			return all
		}
	}
	return append(all, b)
}

// finding is one field's expectation and fact, and what came of comparing them.
type finding struct {
	expected  Expectation
	observed  string
	money     int64
	situation Situation // empty when they agree
	derived   bool      // explained by another finding; neither agreed nor a break
}

// system judges one readable observation.
func (x *comparing) system(o Observation, expected []Expectation) {
	findings := x.findings(o, expected)
	explain(findings)
	changed, known := x.intent.changed(o.System)
	stale := known && o.At.Before(changed)
	busy := x.intent.busy(o.System)
	if busy || stale {
		x.carry(o.System)
	} else {
		x.result.Judged = append(x.result.Judged, o.System)
	}
	for _, f := range findings {
		switch {
		case f.derived || x.policy.Rule(f.expected.Field).Mode == ModeIgnore:
		case f.situation == "" && !busy && !stale:
			x.agree(f, o)
		case f.situation == "":
		default:
			x.differ(f, o, busy || stale)
		}
	}
}

func (x *comparing) agree(f finding, o Observation) {
	if f.expected.Need == Any {
		return
	}
	value := f.observed
	if f.expected.Field.quantity() && value == "" {
		value = "0"
	}
	x.result.Agreed = append(x.result.Agreed, Base{Field: f.expected.Field, Item: f.expected.Item, Value: value, At: o.At})
}

// differ files a difference as a break, or as settling while it is too early to
// judge. A break that was open with the same expectation stays one.
func (x *comparing) differ(f finding, o Observation, unjudged bool) {
	b, known := x.breakOf(f, o)
	carried := slices.ContainsFunc(x.result.Breaks, func(other Break) bool { return other.Place() == b.Place() })
	switch {
	case unjudged && carried:
		return
	case unjudged, f.expected.NotYet(x.now) && !known:
		x.settle(b, f.expected.Until)
		return
	}
	x.result.Breaks = appendBreak(x.result.Breaks, b)
}

// breakOf returns the break of a finding with its clocks, and whether it was
// open already with the same expectation.
func (x *comparing) breakOf(f finding, o Observation) (Break, bool) {
	e := f.expected
	b := Break{
		System: e.System, Field: e.Field, Situation: f.situation, Item: e.Item,
		Expected: e.Value, Observed: f.observed, Right: x.policy.Rule(e.Field).Authority, Money: f.money,
		FirstSeen: x.now, SeenAs: x.now, Version: o.Version,
	}
	if base, ok := baseOf(x.bases, e.Field, e.Item); ok {
		b.Base, b.LastAgreed = base.Value, base.At
		if b.Situation == Mismatch && e.Need == Must && e.Field != WarehouseLines && allDiffer(e.Field, base.Value, b.Expected, b.Observed) {
			b.Situation = Conflict
		}
	}
	for _, was := range x.open {
		if was.Place() != b.Place() || !was.Verified.IsZero() {
			continue
		}
		b.FirstSeen, b.Owned, b.Repaired = was.FirstSeen, was.Owned, was.Repaired
		if b.LastAgreed.IsZero() || !was.LastAgreed.IsZero() && was.LastAgreed.Before(b.LastAgreed) {
			b.LastAgreed = was.LastAgreed
		}
		if was.Situation == b.Situation && was.Expected == b.Expected && was.Observed == b.Observed {
			b.Confirmed = was.Confirmed
			b.SeenAs = cmp.Or(was.SeenAs, was.FirstSeen)
			if changed, known := x.intent.changed(e.System); known && b.SeenAs.Before(changed) && !o.At.Before(changed) {
				b.SeenAs = x.now // what was seen before our last write is no first read
			}
		}
		return b, was.Expected == b.Expected && x.wasBreak(was)
	}
	return b, false
}

// wasBreak tells a break that was judged from one that was only settling, which
// callers pass in the same list: the latter's system had changed too lately.
func (x *comparing) wasBreak(b Break) bool {
	changed, known := x.intent.changed(b.System)
	if !known {
		changed = x.intent.PlacedAt
	}
	return !b.Confirmed.IsZero() || b.FirstSeen.Before(changed) ||
		!b.FirstSeen.Before(changed.Add(x.policy.Rule(b.Field).Settling))
}

func allDiffer(f Field, base, ours, theirs string) bool {
	same := func(a, b string) bool { return sameValue(f, a, b) }
	return !same(base, ours) && !same(base, theirs) && !same(ours, theirs)
}

// sameValue says that two canonical values are the same; of a quantity nothing
// at all is 0. An attempt in another currency has no number: "500 CHF".
func sameValue(f Field, a, b string) bool {
	return a == b || f.quantity() && numeric(a) && numeric(b) && number(a) == number(b)
}

// findings joins expectations and facts of one system. Both are sorted alike.
func (x *comparing) findings(o Observation, expected []Expectation) []finding {
	facts := factsFor(x.intent, o)
	var all []finding
	matched := make([]bool, len(facts))
	for _, e := range expected {
		if e.System != o.System {
			continue
		}
		var fact Fact
		n := slices.IndexFunc(facts, func(f Fact) bool { return f.Field == e.Field && f.Item == e.Item })
		if n >= 0 {
			fact, matched[n] = facts[n], true
		}
		all = append(all, x.judge(e, fact))
	}
	for n, fact := range facts {
		if !matched[n] {
			if f, counts := x.unasked(fact); counts {
				all = append(all, f)
			}
		}
	}
	return all
}

// judge compares one expectation with its fact; a fact without count is none.
func (x *comparing) judge(e Expectation, fact Fact) finding {
	f := finding{expected: e, observed: spelledFact(fact)}
	f.situation = situation(e, fact, x.policy.Rule(e.Field).Tolerance)
	switch {
	case f.situation == "":
		return f
	case f.situation == Missing:
		f.money = e.Money
	case f.situation == Duplicate:
		f.money = int64(fact.Count-1) * fact.Money
	}
	if e.Field.money() && f.situation != Duplicate {
		f.money = magnitude(number(e.Value) - number(fact.Value))
	}
	if f.situation == Duplicate && e.Field == InventoryReserved && number(fact.Value) == number(e.Value) {
		f.money = 0
	}
	x.accept(&f)
	return f
}

// situation names the way in which a fact is not as expected, or nothing.
func situation(e Expectation, fact Fact, tolerance int64) Situation {
	// A document that is missing, or there twice, is no difference of its amount.
	counts := e.Field.quantity() || e.Field.document() && fact.Count == 1
	within := counts && numeric(fact.Value) && magnitude(number(fact.Value)-number(e.Value)) <= tolerance
	switch e.Need {
	case Any:
		if fact.Count > 1 {
			return Duplicate
		}
		return ""
	case MustNot:
		if fact.Count == 0 || within {
			return ""
		}
		return Unexpected
	case AtLeast:
		return short(e, fact, within)
	case Must:
	}
	switch {
	case fact.Count == 0 && !within:
		return Missing
	case fact.Count > 1:
		return Duplicate
	case fact.Value == e.Value || within:
		return ""
	}
	return Mismatch
}

// short says whether a system has not come as far as it should.
func short(e Expectation, fact Fact, within bool) Situation {
	switch {
	case within:
		return ""
	case fact.Count == 0:
		return Missing
	case e.Field == WarehouseShipment:
		if ShipmentState(fact.Value).Rank() >= ShipmentState(e.Value).Rank() && ShipmentState(fact.Value).Live() {
			return ""
		}
	case e.Field == WarehouseReturn && fact.Count > 1:
		return Duplicate
	case e.Field == WarehouseReturn:
		if ReturnState(fact.Value).Rank() >= ReturnState(e.Value).Rank() && ReturnState(fact.Value).Live() {
			return ""
		}
	case number(fact.Value) >= number(e.Value):
		return ""
	}
	return Mismatch
}

// unasked judges a fact that nothing was expected about. Some are nobody's
// business: a contact may come from another order, and how much shipped is
// judged shipment by shipment.
func (x *comparing) unasked(fact Fact) (finding, bool) {
	e := Expectation{System: fact.System, Field: fact.Field, Item: fact.Item, Need: MustNot}
	if fact.Field.quantity() {
		e.Value = "0"
	}
	e.Until = notBefore(x.intent, x.policy, fact.Field, x.now)
	f := finding{expected: e, observed: spelledFact(fact), money: fact.Money, situation: Unexpected}
	if fact.Field.quantity() && numeric(fact.Value) && magnitude(number(fact.Value)) <= x.policy.Rule(fact.Field).Tolerance {
		return finding{}, false
	}
	switch fact.Field {
	case CRMContact, CRMRevenue, WarehouseLines, WarehouseShipped:
		return finding{}, false
	case WarehouseShipment:
		if fact.Value == string(ShipmentCancelled) {
			return finding{}, false
		}
	case WarehouseReturn:
		if fact.Value == string(ReturnCancelled) {
			return finding{}, false
		}
		// The customer may send goods at any time, and the order takes them up when
		// it hears of it: that needs its time too.
		until := fact.since.Add(x.policy.Rule(fact.Field).Settling)
		if !fact.since.After(x.now) && until.After(x.now) && until.After(e.Until) {
			f.expected.Until = until
		}
	case WarehouseDuplicate:
		f.situation = Duplicate
		f.expected.Value = "1"
	case CRMDeal:
		if fact.Count > 1 && x.intent.endedWithoutDeal() {
			f.situation = Duplicate // our write reaches one of them
		}
	case PaymentAttempts:
		f.situation = Duplicate
		if _, err := strconv.ParseInt(fact.Value, 10, 64); err != nil {
			f.situation = Mismatch
			f.expected.Value = string(x.intent.Currency)
		}
	}
	x.accept(&f)
	return f, true
}

// accept lets a value stand that somebody decided to let stand. Of mail the
// base itself can only say "sent twice" when that was accepted.
func (x *comparing) accept(f *finding) {
	field := f.expected.Field
	accepted, found := baseOf(x.intent.Accepted, field, f.expected.Item)
	if !found && field.System() == order.SystemMail && f.situation != Missing {
		accepted, found = baseOf(x.bases, field, f.expected.Item)
	}
	if found && sameValue(field, accepted.Value, f.observed) {
		f.situation = ""
	}
}

func spelledFact(fact Fact) string {
	if fact.Count > 1 && !fact.Field.quantity() {
		return strconv.Itoa(fact.Count) + " × " + fact.Value
	}
	return fact.Value
}
