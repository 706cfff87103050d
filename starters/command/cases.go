package command

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// openCase is a case that waits for a person.
type openCase struct {
	Order order.ID       `json:"order"`
	Case  reconcile.Case `json:"case"`
}

func cases(f *flag.FlagSet) func(*call, []string) (int, error) {
	all := f.Bool("all", false, "of all orders, and not of at most 50")
	asJSON := f.Bool("json", false, "print them as JSON")
	return func(c *call, args []string) (int, error) {
		if len(args) != 0 {
			return 0, usage("unexpected %q", args[0])
		}
		filter, err := orderFilter("", string(reconcile.NeedsPerson))
		if err != nil {
			return 0, err
		}
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		limit := 50
		if *all {
			limit = 10_000
		}
		ctx, stop := c.within(time.Minute)
		defer stop()
		listed, err := client.Orders(ctx, filter, limit)
		if err != nil {
			return 0, err
		}
		open := []openCase{}
		var failed error // what was found is shown all the same
		for _, id := range ordersOf(listed) {
			v, err := client.Verdict(ctx, id, false)
			if err != nil {
				failed = cmp.Or(failed, fmt.Errorf("these are not all cases: order %s: %w", id, err))
				continue
			}
			for _, k := range v.Cases {
				open = append(open, openCase{id, k})
			}
		}
		slices.SortStableFunc(open, func(a, b openCase) int { return a.Case.Deadline.Compare(b.Case.Deadline) })
		if *asJSON {
			return ExitOK, cmp.Or(c.json(open), failed)
		}
		c.print("%s", caseText(open, c.Now()))
		if len(listed) == limit {
			c.print("there may be more; --all asks for them\n")
		}
		return ExitOK, failed
	}
}

// ordersOf returns the orders of a list, each once.
func ordersOf(listed []starters.Listed) []order.ID {
	var ids []order.ID
	for _, l := range listed {
		if id, ours := workflows.OrderOf(l.ID); ours && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// caseText shows cases as who decides them reads them, the most urgent first.
func caseText(open []openCase, now time.Time) string {
	var b strings.Builder
	for _, o := range open {
		k := o.Case
		fmt.Fprintf(&b, "order %s, case %d (%s), open for %s: %s\n", o.Order, k.N, k.Step.Break.ID(), ago(k.Opened, now), k.Step.Why)
		if k.Step.Proposal != "" {
			fmt.Fprintf(&b, "    proposal: %s\n", strings.Join(append([]string{k.Step.Proposal}, k.Step.Alternatives...), "; or: "))
		}
		if !k.Deadline.IsZero() {
			fmt.Fprintf(&b, "    decide until %s; then: %s\n", k.Deadline.UTC().Format(time.RFC3339), k.AtDeadline)
		}
		fmt.Fprintf(&b, "    trueup decide %s %d --as DECISION --by NAME --reason TEXT\n", o.Order, k.N)
	}
	return b.String() + plural(len(open), "open case") + "\n"
}
