package reconcile

import "go.yaml.in/yaml/v3"

// A stock level belongs to no order, so there is no case to open about one: what a
// policy says of it is what a run does by itself. Settings that would promise more
// are refused, so that the table says nothing which nobody does.

// within returns what becomes of a field where a policy wants a mode for all: no
// more than the field allows, and of a level, about which nobody can be asked, a
// report in the place of a case.
func (r Rule) within(mode Mode) Mode {
	mode = mode.atMost(r.Allows)
	if r.Field == InventoryLevel && mode == ModeAsk {
		return ModeReport
	}
	return mode
}

// Tolerates says that a difference, in minor units or pieces, is no break.
func (r Rule) Tolerates(difference int64) bool {
	return max(difference, -difference) <= r.Tolerance
}

// levelSetting refuses what has no effect on a stock level, and says what to
// choose instead. What it says nothing of is read as for any other field.
func (r *policyReader) levelSetting(key, value *yaml.Node) (refused bool) {
	switch {
	case value.Kind != yaml.ScalarNode:
		return false
	case key.Value == "mode" && value.Value == string(ModeAsk):
		r.add(value, "%s: mode is ask, but a level belongs to no order that could open a case; want auto (set it from the warehouse's count), report (leave it to a person) or ignore; many levels at once are asked about as one group in any case", InventoryLevel)
	case key.Value == "strength" && value.Value != string(Enforce):
		r.add(value, "%s: strength is %q, which has no effect: a level is set from the warehouse's count whoever changed it; want %s, or mode: report to leave it to a person", InventoryLevel, value.Value, Enforce)
	case key.Value == "max_money" && value.Value != "0":
		r.add(value, "%s: max_money is %s, which has no effect: to set a level moves no money; bound it by max_count", InventoryLevel, value.Value)
	default:
		return false
	}
	return true
}
