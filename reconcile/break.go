package reconcile

import (
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Field names one fact about an order that a system states, as
// "payment.captured" or "inventory.reserved": the system, a dot, and the fact.
type Field string

// Situation says in which way a system disagrees with its expectation. The set
// is closed.
type Situation string

// The situations.
const (
	Missing    Situation = "missing"    // it should be there and is absent
	Unexpected Situation = "unexpected" // it is there and should not be
	Mismatch   Situation = "mismatch"   // it is there with another value
	Duplicate  Situation = "duplicate"  // it is there more than once
	Conflict   Situation = "conflict"   // ours and theirs both changed since they last agreed, or two writers fight
)

// Break is one field of one order on which a system disagrees with its
// expectation.
type Break struct {
	System    order.System `json:"system"`
	Field     Field        `json:"field"`
	Situation Situation    `json:"situation"`
	// Item tells several breaks of one field apart: a SKU, a key, a template.
	Item     string `json:"item,omitempty"`
	Expected string `json:"expected"`
	Observed string `json:"observed"`
	// Base is the last value on which both agreed; empty when they never did.
	Base string `json:"base,omitempty"`
	// Right is who is right about the field: a system, or "order".
	Right string `json:"right"`
	// Money at risk, in minor units of the order's currency; 0 when none.
	Money int64 `json:"money,omitempty"`
	// The clock (D12). LastAgreed and FirstSeen bound when it began; the others
	// are zero until it happened.
	LastAgreed time.Time `json:"last_agreed,omitzero"`
	FirstSeen  time.Time `json:"first_seen"`
	// SeenAs is when it was first seen with these very values: two reads must
	// agree on them before it is confirmed.
	SeenAs    time.Time `json:"seen_as,omitzero"`
	Confirmed time.Time `json:"confirmed,omitzero"`
	// Owned is when somebody or something first took it up: a repair under its
	// grant, an adoption, or a case for a person.
	Owned    time.Time `json:"owned,omitzero"`
	Repaired time.Time `json:"repaired,omitzero"`
	Verified time.Time `json:"verified,omitzero"`
	// Version of the observation that showed it.
	Version string `json:"version,omitempty"`
}

// ID names the break within its order: the same disagreement has the same id
// each time that it is found.
func (b Break) ID() string {
	id := string(b.Field) + "." + string(b.Situation)
	if b.Item != "" {
		id += "." + b.Item
	}
	return id
}

// Place is where a system disagrees, in whatever way: one field of an order, and which
// of its items.
type Place struct {
	Field Field  `json:"f"`
	Item  string `json:"i,omitempty"`
}

// Place returns where the break is. What is there with another value, and then not at
// all, is one break of which more became known: its clock goes on.
func (b Break) Place() Place { return Place{b.Field, b.Item} }

// Settling is a disagreement that is too young to judge: normal processing may
// still be under way.
type Settling struct {
	Break Break     `json:"break"`
	Until time.Time `json:"until"`
}

// Base is the last value of one field on which an order and a system agreed.
type Base struct {
	Field Field  `json:"f"`
	Item  string `json:"i,omitempty"`
	Value string `json:"v"`
	// At is when they were last seen to agree.
	At time.Time `json:"at"`
}

// Comparison is what Compare found out about one order.
type Comparison struct {
	Breaks   []Break        `json:"breaks,omitempty"`   // sorted by id
	Settling []Settling     `json:"settling,omitempty"` // sorted by id
	Agreed   []Base         `json:"agreed,omitempty"`   // what agrees now; sorted by field and item
	Unread   []order.System `json:"unread,omitempty"`   // systems without a readable observation
	// Judged are the systems that could be judged: read, with no operation open,
	// and not before our own last write.
	Judged []order.System `json:"judged,omitempty"`
}

// Over says that a comparison shows the break of a case to be gone: its system
// could be judged and does not disagree there any more, in whatever way, nor may it yet.
func (c Comparison) Over(k Case) bool {
	b := k.Step.Break
	return !k.Stays && b.Field != "" && slices.Contains(c.Judged, b.System) &&
		!slices.ContainsFunc(c.Breaks, func(other Break) bool { return other.Place() == b.Place() }) &&
		!slices.ContainsFunc(c.Settling, func(s Settling) bool { return s.Break.Place() == b.Place() })
}

// Decision says what is to be done about a break. The set is closed.
type Decision string

// The decisions.
const (
	Repair Decision = "repair" // do Operation as the normal transition
	Adopt  Decision = "adopt"  // they are right: take their value into our intent
	Ask    Decision = "ask"    // open a case
	Report Decision = "report" // say so and do nothing
	Ignore Decision = "ignore"
)

// Step is what is to be done about one break.
type Step struct {
	Break    Break    `json:"break"`
	Decision Decision `json:"decision"`
	// Operation of the repair, on System; the workflow carries it out under the
	// key of the intent that was lost. Of a case it is what the proposal means,
	// where that is something that the order can do by itself; empty where it is
	// for a person to do.
	System    order.System    `json:"system,omitempty"`
	Operation order.Operation `json:"operation,omitempty"`
	// Amount of a repair that moves money, in minor units: what is to be
	// authorized, captured or refunded, or what a voided attempt could have taken.
	// The attempt to void or to refund is the break's item, if it has one.
	Amount int64 `json:"amount,omitempty"`
	// Key of the intent to be done again, when the break names one.
	Key string `json:"key,omitempty"`
	// Why says which rule decided, in one line for a person.
	Why string `json:"why"`
	// Proposal and Alternatives are for a case.
	Proposal     string   `json:"proposal,omitempty"`
	Alternatives []string `json:"alternatives,omitempty"`
}

// Case is a break that a person must decide.
type Case struct {
	N      int       `json:"n"` // within its order, from 1
	Step   Step      `json:"step"`
	Opened time.Time `json:"opened"`
	// Deadline is when it is announced again; AtDeadline says what happens then.
	Deadline   time.Time `json:"deadline"`
	AtDeadline string    `json:"at_deadline"`
	// Stays says that no comparison would find the break of the case, so that none
	// can show it to be over: only a decision closes it. See Comparison.Over.
	Stays bool `json:"stays,omitempty"`
	// Fought says that what was repaired came back again and again: two writers fight,
	// and nothing is repaired there by itself while the case is open.
	Fought bool `json:"fought,omitempty"`
	// Agrees is since when what is fought over agrees; zero while it does not. Either
	// writer may write again, so that its case is not over at once.
	Agrees  time.Time `json:"agrees,omitzero"`
	Closed  time.Time `json:"closed,omitzero"`
	Outcome string    `json:"outcome,omitempty"` // how it was closed
	// Passed is when what a person had decided was seen to be over: the same break is
	// another case from then on.
	Passed time.Time `json:"passed,omitzero"`
	// Evidence is set in answers and never stored: see Grounds.Evidence.
	Evidence *Evidence `json:"evidence,omitempty"`
}

// Open says that the case still waits for a person.
func (c Case) Open() bool { return c.Closed.IsZero() }

// Passes says that the break of a closed case is over by what a system agrees to: it
// does not say any more what a person let stand, or said to be put right. What is
// fought over agrees now and then.
func (c Case) Passes(agreed Base) bool {
	b := c.Step.Break
	return !c.Open() && !c.Stays && !c.Fought && c.Passed.IsZero() && b.Field == agreed.Field && b.Item == agreed.Item &&
		!sameValue(b.Field, agreed.Value, b.Observed)
}
