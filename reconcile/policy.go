package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Strength says how far our own value is pressed upon a system that says
// something else. The set is closed.
type Strength string

// The strengths.
const (
	// Enforce re-asserts the expected value whoever changed it.
	Enforce Strength = "enforce"
	// EnforceOurs re-asserts it only where our own write was lost; an edit made
	// there is for a person.
	EnforceOurs Strength = "enforce_if_ours"
	// FillEmpty writes where there is nothing and leaves everything else alone.
	FillEmpty Strength = "fill_if_empty"
	// AdoptTheirs takes the system's value into the order.
	AdoptTheirs Strength = "adopt"
)

// Mode is how much may be done about a field without a person. The set is
// closed; a mode never allows more than the ones after it.
type Mode string

// The modes, from the least to the most.
const (
	ModeIgnore Mode = "ignore" // not even a break
	ModeReport Mode = "report" // say so and do nothing
	ModeAsk    Mode = "ask"    // open a case
	ModeAuto   Mode = "auto"   // do what the rules say
)

// rank orders the modes; an unknown mode allows nothing but a report.
func (m Mode) rank() int {
	switch m {
	case ModeIgnore:
		return 0
	case ModeReport:
		return 1
	case ModeAsk:
		return 2
	case ModeAuto:
		return 3
	}
	return 1
}

// atMost returns the mode capped by another.
func (m Mode) atMost(limit Mode) Mode {
	if m.rank() > limit.rank() {
		return limit
	}
	return m
}

// RightOrder is the authority of what the order itself decides.
const RightOrder = "order"

// Rule is the policy of one field.
type Rule struct {
	Field Field
	// Authority is who is right about the field: a system, or "order".
	Authority string
	// Followers are the systems whose records follow from the field.
	Followers []order.System
	Strength  Strength
	// Tolerance is the difference, in minor units or pieces, that is no break.
	Tolerance int64
	// Settling is how long normal processing may take after our last write
	// before a difference is judged.
	Settling time.Duration
	// NoticeWithin is how soon a difference must have been found.
	NoticeWithin time.Duration
	// Mode is what is done; Allows is the most that the business rules permit,
	// and no override can raise it.
	Mode   Mode
	Allows Mode
	// MaxCount and MaxMoney (minor units) bound the repairs of one run.
	MaxCount int
	MaxMoney int64
	// CaseDeadline is how long a person has before a case is announced again.
	CaseDeadline time.Duration
}

// Policy says, for each field, who is right and what may be done; and the
// windows of the business rules. It is a value: it travels with a run, so that
// an old decision can be read with the policy it was made by.
type Policy struct {
	Rules []Rule // sorted as Fields returns them
	// PayWindow is how long an unpaid order may wait.
	PayWindow time.Duration
	// PayWindows are the kinds of payment that take another time, sorted by name.
	PayWindows []MethodWindow
	// ReturnWindow is how long a delivered order stays open.
	ReturnWindow time.Duration
	// Horizon is the age beyond which a record or event never starts anything.
	Horizon time.Duration
	// MailWithin is how late a mail may still be sent after its event.
	MailWithin time.Duration
	// AnswerWithin is how long a customer has to answer a question.
	AnswerWithin time.Duration
	// InboxAfter is how long a record without an order waits before it is a case.
	InboxAfter time.Duration
	// CoolDown is how long a repaired field must stay repaired: undone within
	// it, two writers are fighting.
	CoolDown time.Duration
}

// MethodWindow is how long an order may wait for one kind of payment.
type MethodWindow struct {
	Method string // the gateway's word, as in Attempt.Method
	Window time.Duration
}

// PayWindowOf returns how long an order may wait for a kind of payment: a bank
// transfer has weeks, and what is not listed has the PayWindow.
func (p Policy) PayWindowOf(method string) time.Duration {
	for _, w := range p.PayWindows {
		if w.Method == method {
			return w.Window
		}
	}
	return p.PayWindow
}

// withPayWindow sets the window of one kind of payment; the list stays sorted.
func (p *Policy) withPayWindow(w MethodWindow) {
	n, found := slices.BinarySearchFunc(p.PayWindows, w.Method, func(a MethodWindow, method string) int { return strings.Compare(a.Method, method) })
	if found {
		p.PayWindows[n] = w
		return
	}
	p.PayWindows = slices.Insert(p.PayWindows, n, w)
}

// Rule returns the rule of a field. A field that no rule knows is reported and
// never acted on.
func (p Policy) Rule(f Field) Rule {
	for _, r := range p.Rules {
		if r.Field == f {
			return r
		}
	}
	return Rule{
		Field: f, Authority: RightOrder, Strength: EnforceOurs, Settling: time.Minute,
		NoticeWithin: 15 * time.Minute, Mode: ModeReport, Allows: ModeReport, CaseDeadline: 24 * time.Hour,
	}
}

// WithMode returns the policy with every field at mode, or at what the field
// allows when that is less; stock levels, about which nobody is asked, at report
// in the place of ask.
func (p Policy) WithMode(mode Mode) Policy {
	rules := make([]Rule, len(p.Rules))
	copy(rules, p.Rules)
	for i := range rules {
		rules[i].Mode = rules[i].within(mode)
	}
	p.Rules = rules
	return p
}

// MaxSettling returns the longest settling time of a system's fields: after it
// an order that is left alone can be judged there as a whole.
func (p Policy) MaxSettling(s order.System) time.Duration {
	longest := time.Duration(0)
	for _, r := range p.Rules {
		if r.Field.System() == s {
			longest = max(longest, r.Settling)
		}
	}
	return longest
}

// Version returns a short digest of everything in the policy: equal policies
// have equal versions.
func (p Policy) Version() string {
	digest := sha256.Sum256(p.YAML())
	return hex.EncodeToString(digest[:6])
}
