package workflows

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Goods that are not there for the order. Which orders go without after a count a run
// says, for it knows to whom the goods are promised; the order asks about itself, and
// counts anew before anything is decided.

// closeShort closes what was asked about missing stock, once nothing is to ship.
func (p *process) closeShort(now time.Time) {
	for _, k := range p.openCases() {
		if lacksStock(k) {
			p.closeCase(now, k.N, "nothing is left to ship")
		}
	}
}

// lacksStock says that a case is about goods that are not there for the order.
func lacksStock(k reconcile.Case) bool {
	b := k.Step.Break
	return b.Field == reconcile.InventoryReserved && !k.Fought && (b.Situation == reconcile.Conflict || k.Step.Operation == order.Reserve)
}

// goesShort says that a case is about stock that was corrected and is not enough for the
// order any more, which no comparison of the order finds.
func goesShort(k reconcile.Case) bool { return lacksStock(k) && k.Stays && k.Step.Operation == "" }

// toldShort says that a person is asked about stock that is not enough for what is to
// ship, or has decided about just that.
func (s *State) toldShort() bool {
	return !s.Phase.Ended() && !order.Empty(s.unshipped()) && slices.ContainsFunc(s.Cases, func(k reconcile.Case) bool {
		return goesShort(k) && (k.Open() || k.Passed.IsZero() && s.settled(k.Outcome))
	})
}

// goesWith closes what was asked about SKUs of which there is enough by now. What was
// decided about them is over too: should they be missing once more, that is asked anew.
func (p *process) goesWith(now time.Time, enough []string) []string {
	var lines []string
	for i := range p.Cases {
		k := &p.Cases[i]
		switch sku := k.Step.Break.Item; {
		case !goesShort(*k) || !slices.Contains(enough, sku):
		case k.Open():
			p.closeCase(now, k.N, "there is enough again")
			lines = append(lines, fmt.Sprintf("there is enough of %s again → case %d is closed", sku, k.N))
		case k.Passed.IsZero():
			k.Passed = now
			p.touch()
		}
	}
	return lines
}

// goesWithout asks a person when the stock was corrected by hand and is not
// enough for this order any more: older orders are served first.
func (p *process) goesWithout(now time.Time, short reconciliation.Shortage) {
	if p.Phase.Ended() || order.Empty(p.unshipped()) {
		return
	}
	p.raise(now, lacking(now, short))
}

// lacking is what a person is asked about stock that is not enough for the order.
func lacking(now time.Time, short reconciliation.Shortage) reconcile.Step {
	return reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemInventory, Field: reconcile.InventoryReserved, Situation: reconcile.Conflict, Item: short.SKU,
			Expected: strconv.FormatInt(short.Missing, 10) + " more", Observed: strconv.FormatInt(short.Count, 10) + " in the warehouse",
			Right: string(order.SystemWarehouse), FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask,
		Why: fmt.Sprintf("the stock was corrected: the warehouse counts %d of %s, which are promised to older orders, and %d for this one are missing",
			short.Count, short.SKU, short.Missing),
		Proposal:     string(DecideAccept) + ": wait until there is more",
		Alternatives: []string{string(DecideRelease) + ": give up what has not shipped, and its money", string(DecideCancel) + ": take the order back"},
	}
}

// shortage is what a case about stock that is not enough was asked on.
func shortage(k reconcile.Case) reconciliation.Shortage {
	b := k.Step.Break
	leading := func(text string) int64 {
		number, _, _ := strings.Cut(text, " ")
		n, _ := strconv.ParseInt(number, 10, 64)
		return n
	}
	return reconciliation.Shortage{SKU: b.Item, Missing: leading(b.Expected), Count: leading(b.Observed)}
}

// countFor counts in the warehouse what a case is about that says that stock is not
// enough, and says whether that could be done.
func (p *process) countFor(ctx workflow.Context, k reconcile.Case) (reconcile.Count, bool) {
	p.reads++
	options := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: SystemQueue(order.SystemWarehouse), StartToCloseTimeout: callTimeout, ScheduleToCloseTimeout: 2 * callTimeout,
		ActivityID:  fmt.Sprintf("warehouse.count/%d.%d", p.Run, p.reads),
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second},
		Summary:     "how many of " + k.Step.Break.Item + " are there?",
	})
	var count reconcile.Count
	err := workflow.ExecuteActivity(options, depot.CountStock, k.Step.Break.Item).Get(ctx, &count)
	return count, err == nil
}

// counted has a case rest on what the warehouse counts by now. What is promised to older
// orders is taken to be what it was: the next run knows, and asks anew.
func (p *process) counted(now time.Time, n int, count reconcile.Count) {
	k := p.caseOf(n)
	if k == nil || !k.Open() {
		return
	}
	short := shortage(*k)
	if count.Quantity == short.Count {
		return
	}
	short.Missing = p.missingAt(short, count)
	if short.Count = count.Quantity; short.Missing == 0 {
		p.goesWith(now, []string{short.SKU})
		return
	}
	p.renew(now, k, lacking(now, short))
}

// missingAt is how many pieces are missing for the order when the warehouse counts
// so many.
func (p *process) missingAt(short reconciliation.Shortage, count reconcile.Count) int64 {
	wanted := int64(0)
	for _, q := range order.BySKU(p.unshipped()) {
		if q.SKU == short.SKU {
			wanted = q.Quantity
		}
	}
	return min(max(0, short.Missing+short.Count-count.Quantity), max(wanted, short.Missing))
}
