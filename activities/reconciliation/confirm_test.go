package reconciliation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trueup-orders/trueup/order"
)

// A dry run says line for line what it would do. The report of a run is kept, so it
// says only the first of them, and how many more there are.
func TestReport_Lines_AllOfADryRun(t *testing.T) {
	t.Parallel()
	var c ConfirmedAll
	for n := range 150 {
		c.Orders = append(c.Orders, Confirmed{Order: order.ID(fmt.Sprint(n)), Found: 1, Repaired: 1, Lines: []string{"repair"}})
	}
	dry := c.Report(RunReport{DryRun: true}).Lines
	if len(dry) != 150 || dry[149] != "149: repair" {
		t.Errorf("of 150 lines a dry run says %d, the last of them %q", len(dry), dry[len(dry)-1])
	}
	kept := c.Report(RunReport{}).Lines
	if len(kept) != mostLines+1 || !strings.HasPrefix(kept[mostLines], "and 50 more") {
		t.Errorf("of 150 lines a run says %d, the last of them %q", len(kept), kept[len(kept)-1])
	}
	c.Orders = c.Orders[:mostLines]
	if kept := c.Report(RunReport{}).Lines; len(kept) != mostLines || slices.ContainsFunc(kept, func(line string) bool { return strings.Contains(line, "more") }) {
		t.Errorf("all of %d lines are said as %d, the last of them %q", mostLines, len(kept), kept[len(kept)-1])
	}
}
