package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Thresholds say when many breaks are one incident.
type Thresholds struct {
	// Orders and Percent: as many orders at least and more than this share of
	// those looked at.
	Orders  int `json:"orders"`
	Percent int `json:"percent"`
	// Most is how many orders with the same trouble are one incident whatever
	// their share.
	Most int `json:"most"`
}

// DefaultThresholds returns the built-in ones: what a bad day brings stays below,
// what a bad release or a system without its data brings does not.
func DefaultThresholds() Thresholds { return Thresholds{Orders: 10, Percent: 30, Most: 50} }

// Reached says that n of so many that were looked at are too many at once.
func (t Thresholds) Reached(n, looked int) bool {
	return n > t.Most || n >= t.Orders && n*100 > t.Percent*looked
}

// Finding is one step that would be taken about one order, or about the level of
// one SKU.
type Finding struct {
	// Of is the order's id, or the SKU.
	Of       string
	Currency order.Currency
	Step     Step
	// Fresh says that no run has confirmed the break before: many at once are new
	// together, and what waits for its person for days is not.
	Fresh bool
}

// Incident is one kind of trouble that many orders have at once.
type Incident struct {
	Kind Kind `json:"kind"`
	// Short says that most of what should be in the system is absent: then nothing
	// that it says is believed, and Kind is the whole system.
	Short bool `json:"short,omitempty"`
	// Orders have it, of those Looked at; Breaks of theirs are of the kind, and
	// Repairs of them would be repaired.
	Orders  int   `json:"orders"`
	Looked  int   `json:"looked"`
	Breaks  int   `json:"breaks"`
	Repairs int   `json:"repairs,omitempty"`
	Money   []Sum `json:"money,omitempty"` // at risk
	// Anew says that so many are new of it that they would be an incident themselves.
	Anew bool `json:"anew,omitempty"`
	// Members are the orders, sorted; for levels the SKUs.
	Members []string `json:"members,omitempty"`
	// Since is when the oldest of the breaks was first seen.
	Since time.Time `json:"since"`
}

// Why says in one line what is suspicious about it.
func (i Incident) Why() string {
	if i.Short {
		return fmt.Sprintf("%s misses records of %d of the %d orders looked at: more likely its list is short than they are all gone", i.Kind, i.Orders, i.Looked)
	}
	return fmt.Sprintf("%d of %d looked at have %s at once: more likely one cause than as many", i.Orders, i.Looked, i.Kind)
}

// Incidents returns which kinds of trouble so many have at once that they are one
// incident each, sorted by kind. A system that misses most of what it should
// have is one as a whole, and no kind of its own besides. Only what would be
// acted on counts, and only what is fresh decides; what is known already belongs
// to its incident all the same.
func Incidents(t Thresholds, looked int, findings []Finding) []Incident {
	var all []Incident
	for _, s := range order.Systems() {
		missing := func(f Finding) bool {
			return f.Fresh && f.Acts() && f.Step.Break.System == s && f.Step.Break.Situation == Missing
		}
		// Of a system without its data all fail; of what is merely many, not most.
		if n := len(members(findings, missing)); n >= t.Orders && n*100 > max(50, t.Percent)*looked {
			i := Tally(Kind{System: s}, looked, findings)
			i.Short = true
			all = append(all, i)
		}
	}
	for _, k := range kinds(findings) {
		if slices.ContainsFunc(all, func(i Incident) bool { return i.Kind.Covers(k) }) {
			continue
		}
		fresh := func(f Finding) bool { return f.Fresh && f.Acts() && f.Step.Break.Kind() == k }
		if t.Reached(len(members(findings, fresh)), looked) {
			all = append(all, Tally(k, looked, findings))
		}
	}
	slices.SortFunc(all, func(a, b Incident) int { return cmp.Compare(a.Kind.String(), b.Kind.String()) })
	return all
}

// Acts says that something would be done about it, or a person asked.
func (f Finding) Acts() bool {
	switch f.Step.Decision {
	case Repair, Adopt, Ask:
		return true
	case Report, Ignore:
	}
	return false
}

// Tally counts what is of a kind.
func Tally(k Kind, looked int, findings []Finding) Incident {
	of := func(f Finding) bool { return k.Covers(f.Step.Break.Kind()) }
	i := Incident{Kind: k, Looked: looked, Members: members(findings, of)}
	i.Orders = len(i.Members)
	for _, f := range findings {
		if !of(f) {
			continue
		}
		b := f.Step.Break
		i.Breaks++
		if f.Step.Decision == Repair {
			i.Repairs++
		}
		i.Money = AddSum(i.Money, f.Currency, max(0, b.Money))
		if i.Since.IsZero() || b.FirstSeen.Before(i.Since) {
			i.Since = b.FirstSeen
		}
	}
	return i
}

// members returns of whom the findings are, each once, sorted.
func members(findings []Finding, which func(Finding) bool) []string {
	var all []string
	for _, f := range findings {
		if which(f) {
			all = append(all, f.Of)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// kinds returns the kinds of the findings, each once.
func kinds(findings []Finding) []Kind {
	var all []Kind
	for _, f := range findings {
		if k := f.Step.Break.Kind(); !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}
