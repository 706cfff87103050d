package reconcile

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A strength means something where a rule asks for it. Elsewhere a file that names
// one would promise what nobody does, so it is refused, and the table shows none.

// strengths returns those that differ in what they do about a field, the strongest
// first; none where the business rules decide alone.
func (f Field) strengths() []Strength {
	switch f {
	case InventoryReserved, WarehouseShipment, WarehouseReturn, ERPSale, ERPInvoices, ERPReceipts, ERPCredits:
		// There what somebody took away is put back, or asked about. What is there
		// otherwise than it was made is never written over, nor believed without a
		// person: to fill or to adopt would be to ask.
		return []Strength{Enforce, EnforceOurs}
	case CRMContact, CRMDeal, CRMRevenue, CRMCarts:
		return []Strength{Enforce, EnforceOurs, FillEmpty, AdoptTheirs}
	}
	return nil
}

// pressed is the strength as a person reads it: none where it decides nothing.
func (r Rule) pressed() string {
	if len(r.Field.strengths()) == 0 {
		return "-"
	}
	return string(r.Strength)
}

const strengthHelp = "what becomes of what somebody changed or took away there; - where the business rules decide that alone"

// strength sets how far a field is pressed, unless that would do nothing there or
// something else than it says. The built-in one is taken everywhere, for it is
// what `trueup policy print --yaml` writes.
func (r *policyReader) strength(rule *Rule, value *yaml.Node) {
	given, possible := Strength(value.Value), rule.Field.strengths()
	switch {
	case value.Kind == yaml.ScalarNode && (slices.Contains(possible, given) || given == rule.Strength):
		rule.Strength = given
	case len(possible) == 0:
		r.add(value, "%s: strength is %q, but no strength has an effect on this field: the business rules decide what becomes of it; leave it out, and choose by mode how much is done", rule.Field, value.Value)
	case slices.Contains([]Strength{FillEmpty, AdoptTheirs}, given):
		r.add(value, "%s: strength is %q, which would ask a person there as %s does; want %s", rule.Field, value.Value, EnforceOurs, choices(possible))
	default:
		r.add(value, "%s: strength is %q; want %s", rule.Field, value.Value, choices(possible))
	}
}

func choices(all []Strength) string {
	var words []string
	for _, s := range all {
		words = append(words, string(s))
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
