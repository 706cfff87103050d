package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trueup-orders/trueup/order"
)

// Kind names breaks of one kind, for switches, grants and incidents: those of a
// system, of a field, or of a field in one situation; the zero Kind is of all.
type Kind struct {
	System    order.System `json:"system,omitempty"`
	Field     Field        `json:"field,omitempty"`
	Situation Situation    `json:"situation,omitempty"`
}

// Kind returns the narrowest kind that a break is of: its fingerprint, alike for
// every order that has the same trouble.
func (b Break) Kind() Kind {
	return Kind{System: b.System, Field: b.Field, Situation: b.Situation}
}

// String is how an operator writes the kind: "erp", "erp.invoices" or
// "erp.invoices.missing".
func (k Kind) String() string {
	switch {
	case k.Field == "" && k.System == "":
		return "everything"
	case k.Field == "":
		return string(k.System)
	case k.Situation == "":
		return string(k.Field)
	}
	return string(k.Field) + "." + string(k.Situation)
}

// Covers says that everything of the other kind is of this one too.
func (k Kind) Covers(other Kind) bool {
	return (k.System == "" || k.System == other.System) && (k.Field == "" || k.Field == other.Field) &&
		(k.Situation == "" || k.Situation == other.Situation)
}

// Situations returns every situation.
func Situations() []Situation {
	return []Situation{Missing, Unexpected, Mismatch, Duplicate, Conflict}
}

// ParseKind reads what String writes, but for everything. The error names what
// there is instead.
func ParseKind(s string) (Kind, error) {
	parts := strings.SplitN(s, ".", 3)
	k := Kind{System: order.System(parts[0])}
	if !slices.Contains(order.Systems(), k.System) {
		return Kind{}, fmt.Errorf("%q begins with none of the systems: %s", s, list(order.Systems()))
	}
	if len(parts) == 1 {
		return k, nil
	}
	k.Field = Field(parts[0] + "." + parts[1])
	if !slices.Contains(allFields, k.Field) {
		theirs := slices.DeleteFunc(Fields(), func(f Field) bool { return f.System() != k.System })
		return Kind{}, fmt.Errorf("%q is no field of %s: there are %s", parts[1], k.System, list(theirs))
	}
	if len(parts) == 2 {
		return k, nil
	}
	k.Situation = Situation(parts[2])
	if !slices.Contains(Situations(), k.Situation) {
		return Kind{}, fmt.Errorf("%q is no situation: there are %s", parts[2], list(Situations()))
	}
	return k, nil
}

func list[T ~string](all []T) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, string(one))
	}
	return strings.Join(texts, ", ")
}
