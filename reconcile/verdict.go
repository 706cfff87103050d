package reconcile

import (
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Outcome is the answer to "did the order succeed?".
type Outcome string

// The outcomes.
const (
	// InProgress: the pivot is not passed, or a cancellation, amendment or
	// refund is under way.
	InProgress Outcome = "in_progress"
	// Succeeded: the pivot is passed and every line is on its way, delivered, or
	// given back with its money; systems may still disagree.
	Succeeded Outcome = "succeeded"
	// Cancelled: taken back at somebody's wish before it shipped; nothing is held.
	Cancelled Outcome = "cancelled"
	// Failed: ended by itself before anything shipped; nothing is held.
	Failed Outcome = "failed"
	// OutcomeInDoubt: the choice hangs on an operation that may have happened
	// and cannot be read now.
	OutcomeInDoubt Outcome = "in_doubt"
)

// words writes the outcome for a person.
func (o Outcome) words() string { return strings.ReplaceAll(string(o), "_", " ") }

// Agreement says whether the systems say the same.
type Agreement string

// The agreements.
const (
	Agreed       Agreement = "agreed"
	AgreeSettle  Agreement = "settling"
	Disagreeing  Agreement = "disagreeing"
	NeedsPerson  Agreement = "needs_person"
	AgreeUnknown Agreement = "unreadable"
)

// Verdict is the answer with its proof.
type Verdict struct {
	Order     order.ID       `json:"order"`
	Outcome   Outcome        `json:"outcome"`
	Agreement Agreement      `json:"agreement"`
	Phase     order.Phase    `json:"phase"`
	Currency  order.Currency `json:"currency"`
	At        time.Time      `json:"at"`
	// Fresh says that it was made from reads of this moment, not from memory.
	Fresh bool `json:"fresh"`
	// Summary is one line for a person: the outcome, who disagrees, what next.
	Summary string     `json:"summary"`
	Rows    []Row      `json:"rows"`
	Breaks  []Break    `json:"breaks,omitempty"`
	Settle  []Settling `json:"settling,omitempty"`
	Cases   []Case     `json:"cases,omitempty"` // open ones
	// Mended are breaks that are over, with their clocks, the newest last; at most
	// twenty.
	Mended []Break `json:"mended,omitempty"`
	// Question is what the customer is asked and until when, in one line; empty
	// when nothing is. See Asking.
	Question string `json:"question,omitempty"`
	// Read says when and how each system was last read.
	Read []Reading `json:"read"`
	// Policy and Rules are the versions by which it was judged.
	Policy string `json:"policy"`
	Rules  int    `json:"rules"`
}

// Row is one question, and what every system that knows of it answers.
type Row struct {
	Field string `json:"field"` // as "money captured"
	// Expected is what the order means it to be.
	Expected string `json:"expected"`
	Cells    []Cell `json:"cells"`
	// Right is who is right: a system, or "order".
	Right string `json:"right"`
	// State is "agreed", "settling", "disagrees" or "unreadable".
	State string `json:"state"`
	// Since is when they began to disagree: the first sight of the oldest break.
	Since time.Time `json:"since,omitzero"`
	// Next says what happens next, or nothing.
	Next string `json:"next,omitempty"`
}

// Cell is one system's answer.
type Cell struct {
	System order.System  `json:"system"`
	Value  string        `json:"value"` // "-" when absent, "?" when it was never read
	Age    time.Duration `json:"age"`
	Agrees bool          `json:"agrees"`
}

// Reading is when one system was last read.
type Reading struct {
	System order.System `json:"system"`
	State  State        `json:"state"`
	At     time.Time    `json:"at"`
	Why    string       `json:"why,omitempty"`
}
