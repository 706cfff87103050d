package reconcile

import (
	"cmp"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Plan says what is to be done about each break, one step per break, in the
// order in which they are to be done: parents before children. It decides as of
// the newest read.
//
// Repairs do again what the order already decided to do, or take back what it
// decided not to have. Nothing is done about what is not confirmed, nor in a
// system that cannot be read or has an operation open; what the rules would
// repair is asked or reported where the field's mode allows no more.
func Plan(p Policy, i Intent, breaks []Break, observations []Observation, bases []Base) []Step {
	x := &planning{policy: p, intent: i, breaks: breaks, bases: bases}
	for _, s := range order.Systems() {
		if o, found := latest(observations, s, strongest); found {
			x.read = append(x.read, o)
			if o.State != Unreadable && o.At.After(x.asOf) {
				x.asOf = o.At
			}
		}
	}
	sorted := slices.Clone(breaks)
	slices.SortFunc(sorted, compareBreaks)
	for _, b := range sorted {
		if b.Confirmed.After(x.asOf) {
			x.asOf = b.Confirmed
		}
	}
	for _, b := range sorted {
		x.steps = append(x.steps, x.step(b))
	}
	x.spare()
	return x.steps
}

// spare keeps a repair from undoing what somebody did to another SKU: all of an order's
// reservations are written at once.
func (x *planning) spare() {
	asked := ""
	o, _ := x.observation(order.SystemInventory)
	for _, s := range x.steps {
		if s.Break.Field == InventoryReserved && s.Decision == Ask {
			asked = s.Break.Item
		}
	}
	for n, s := range x.steps {
		if s.Break.Field != InventoryReserved || s.Decision != Repair {
			continue
		}
		stands := slices.IndexFunc(x.intent.Accepted, func(a Base) bool {
			return a.Field == InventoryReserved && a.Item != s.Break.Item && Holds(o, x.intent, a)
		})
		switch {
		case asked != "":
			x.steps[n] = report(s.Break, "waits, for the same write would change what is asked about "+asked)
		case stands >= 0:
			x.steps[n] = ask(s.Break, s.Why+"; the same write would undo what was let stand of "+x.intent.Accepted[stands].Item,
				string(s.Operation)+" all of it", letStand, doneByHand).by(s.Operation, s.Key, s.Amount)
		}
	}
}

// compareBreaks orders breaks as their repairs are done.
func compareBreaks(a, b Break) int {
	return cmp.Or(compareFields(a.Field, b.Field), compareItems(a.Item, b.Item), cmp.Compare(a.Situation, b.Situation))
}

type planning struct {
	policy Policy
	intent Intent
	breaks []Break
	bases  []Base
	read   []Observation // the best of each system
	asOf   time.Time
	steps  []Step
}

// step decides about one break: first whether it may be acted on at all, then
// by the rules of its field, then as far as the field's mode allows.
func (x *planning) step(b Break) Step {
	rule := x.policy.Rule(b.Field)
	o, found := x.observation(b.System)
	switch {
	case rule.Mode == ModeIgnore:
		return Step{Break: b, Decision: Ignore, Why: "the policy ignores this field"}
	case !found || o.State == Unreadable:
		return report(b, "the "+string(b.System)+" system cannot be read now; nothing is done on what it once said")
	case x.intent.busy(b.System):
		return report(b, "an operation on the "+string(b.System)+" system is under way or in doubt")
	case b.Confirmed.IsZero():
		return report(b, "not confirmed yet: a second read must say the same")
	}
	return x.cap(x.rules(b), rule)
}

// cap lowers a decision to what the field's mode allows.
func (x *planning) cap(s Step, r Rule) Step {
	mode := r.Mode.atMost(r.Allows)
	switch s.Decision {
	case Repair, Adopt:
		switch {
		case mode == ModeAsk:
			if s.Proposal == "" {
				s.Proposal = s.what()
			}
			s.Alternatives = []string{letStand, doneByHand}
			if s.Decision == Adopt { // to let it stand is what is proposed
				s.Alternatives = []string{doneByHand}
			}
			s.Decision = Ask
			s.Why += "; the mode of " + string(r.Field) + " is ask"
		case mode != ModeAuto:
			s.Decision = Report
			s.Why += "; the mode of " + string(r.Field) + " is report"
		}
	case Ask:
		if mode.rank() < ModeAsk.rank() {
			s.Decision = Report
			s.Why += "; the mode of " + string(r.Field) + " is report"
		}
	case Report, Ignore:
	}
	return s
}

// what says in words what a repair or an adoption does. What is adopted is accepted, so
// it begins with the word of that decision.
func (s Step) what() string {
	if s.Decision == Adopt {
		return "accept: take what " + string(s.Break.System) + " says into the order"
	}
	what := string(s.Operation) + " in " + string(s.System)
	if s.Key != "" {
		what += " under " + s.Key
	}
	return what
}

func report(b Break, why string) Step { return Step{Break: b, Decision: Report, Why: why} }

func adopt(b Break, why string) Step {
	return Step{Break: b, Decision: Adopt, System: b.System, Why: why}
}

func repair(b Break, operation order.Operation, key, why string) Step {
	return Step{Break: b, Decision: Repair, System: b.System, Operation: operation, Key: key, Why: why}
}

// moving is a repair that moves money.
func moving(b Break, operation order.Operation, amount int64, why string) Step {
	s := repair(b, operation, "", why)
	s.Amount = amount
	return s
}

func ask(b Break, why, proposal string, alternatives ...string) Step {
	return Step{Break: b, Decision: Ask, Why: why, Proposal: proposal, Alternatives: alternatives}
}

// by says which operation the proposal of a case means.
func (s Step) by(operation order.Operation, key string, amount int64) Step {
	s.System, s.Operation, s.Key, s.Amount = s.Break.System, operation, key, amount
	return s
}

// The alternatives that are decisions begin with the word of the decision.
const (
	// doneByHand ends every list of alternatives: the order checks that it is so.
	doneByHand  = "done_by_hand: it was put right there"
	letStand    = "accept: let it stand"
	cancelOrder = "cancel: take the order back"
)

// letValueStand is letStand where it is good to know what would stand.
func letValueStand(value string) string { return "accept: let " + value + " stand" }

func (x *planning) observation(s order.System) (Observation, bool) {
	for _, o := range x.read {
		if o.System == s {
			return o, true
		}
	}
	return Observation{}, false
}

// edited says that the system agreed with us once and was changed there since:
// ours = base ≠ theirs.
func (x *planning) edited(b Break) bool {
	base, known := x.base(b)
	return known && sameValue(b.Field, base, b.Expected) && !sameValue(b.Field, base, b.Observed)
}

// removed says that both agreed that it was there, that it is gone, and that the
// policy does not press ours upon a system where somebody took it away.
func (x *planning) removed(b Break) bool {
	base, known := x.base(b)
	return known && !sameValue(b.Field, base, b.Observed) && x.policy.Rule(b.Field).Strength != Enforce
}

// base returns the last value that both agreed on.
func (x *planning) base(b Break) (string, bool) {
	if base, found := baseOf(x.bases, b.Field, b.Item); found {
		return base.Value, true
	}
	return b.Base, b.Base != ""
}

// has says that a field has a break in one of the situations, or in any.
func (x *planning) has(f Field, situations ...Situation) bool {
	for _, b := range x.breaks {
		if b.Field == f && (len(situations) == 0 || slices.Contains(situations, b.Situation)) {
			return true
		}
	}
	return false
}

// unrepaired says that one of a field's breaks in one of the situations, or in
// any, will not be repaired now: what depends on it waits. It knows of what
// comes before in the order of repairs.
func (x *planning) unrepaired(f Field, situations ...Situation) bool {
	for _, step := range x.steps {
		if step.Break.Field == f && step.Decision != Repair && (len(situations) == 0 || slices.Contains(situations, step.Break.Situation)) {
			return true
		}
	}
	return false
}

// rules decides by system; within a system by field and situation.
func (x *planning) rules(b Break) Step {
	if b.Situation == Conflict {
		return x.conflict(b)
	}
	switch b.System {
	case order.SystemPayment:
		return x.payment(b)
	case order.SystemInventory:
		return x.inventory(b)
	case order.SystemWarehouse:
		return x.warehouse(b)
	case order.SystemERP:
		return x.erp(b)
	case order.SystemCRM:
		return x.crm(b)
	case order.SystemMail:
		return x.mail(b)
	}
	return report(b, "no rule knows this system")
}

// conflict: nobody but a person knows which of two changes is meant. Where the
// order can write its own value, that is proposed.
func (x *planning) conflict(b Break) Step {
	s := ask(b, "ours and theirs both changed since they last agreed", "set "+string(b.System)+" to "+x.say(b.Field, b.Expected),
		letValueStand(x.say(b.Field, b.Observed)), doneByHand)
	switch {
	case b.System == order.SystemPayment:
		s.Proposal = "find out at the gateway which of them is right"
	case b.System == order.SystemERP:
		s.Proposal = "correct it in the ERP"
	case b.System == order.SystemCRM:
		return s.by(order.Upsert, "", 0)
	case b.Field == InventoryReserved && number(b.Observed) < number(b.Expected):
		return s.by(order.Reserve, "", 0)
	case b.Field == InventoryReserved:
		return s.by(order.Release, "", 0)
	}
	return s
}

// say writes a canonical value for a person.
func (x *planning) say(f Field, value string) string { return say(f, value, x.intent.Currency) }

// say writes a canonical value for a person: amounts in major units.
func say(f Field, value string, c order.Currency) string {
	if value == "" {
		return "nothing"
	}
	if !f.money() || !numeric(value) { // "500 CHF" says it all
		return value
	}
	return order.Amount{Minor: number(value), Currency: c}.String()
}
