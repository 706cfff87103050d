package reconcile

import "fmt"

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

// levelRefuses says why a setting has no effect on a stock level, and what to choose
// instead; nothing of one that has, and of one that no field takes.
func levelRefuses(setting, value string) string {
	switch {
	case setting == "mode" && value == string(ModeAsk):
		return "mode is ask, but a level belongs to no order that could open a case; want auto (set it from the warehouse's count), report (leave it to a person) or ignore; many levels at once are asked about as one group in any case"
	case setting == "max_money" && value != "0":
		return fmt.Sprintf("max_money is %s, which has no effect: to set a level moves no money; bound it by max_count", value)
	}
	return ""
}
