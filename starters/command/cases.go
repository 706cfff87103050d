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
)

// openCase is a case that waits for a person, or of one order also one that was
// closed.
type openCase struct {
	Order order.ID       `json:"order"`
	Case  reconcile.Case `json:"case"`
}

// wantedCases are the filters of cases.
type wantedCases struct {
	system *string
	order  *string
	due    *time.Duration
	closed *bool
}

// check refuses what is no filter.
func (w wantedCases) check(args []string) error {
	if *w.system != "" && !slices.Contains(order.Systems(), order.System(*w.system)) {
		return usage("--system %q is none of %s", *w.system, list(order.Systems()))
	}
	if *w.due < 0 {
		return usage("--due %s is negative", *w.due)
	}
	if *w.order != "" && len(args) > 0 {
		return usage("want either --order or an order, and not both")
	}
	if *w.closed && len(args) == 0 && *w.order == "" {
		return usage("--closed belongs to an order: what was closed is not listed")
	}
	if *w.closed && *w.due != 0 {
		return usage("--due is of what is open, and --closed of what was closed too: give one of them")
	}
	return nil
}

// takes says whether a case is wanted. One that is overdue is due.
func (w wantedCases) takes(k reconcile.Case, now time.Time) bool {
	if *w.system != "" && string(k.Step.Break.Field.System()) != *w.system && string(k.Step.Break.System) != *w.system {
		return false
	}
	return *w.due == 0 || k.Open() && !k.Deadline.IsZero() && !k.Deadline.After(now.Add(*w.due))
}

func cases(f *flag.FlagSet) func(*call, []string) (int, error) {
	w := wantedCases{
		system: f.String("system", "", "only those in this system: "+list(order.Systems())),
		order:  f.String("order", "", "only those of this order, as trueup cases ORDER does"),
		due:    f.Duration("due", 0, "only those to be decided within this time, as 4h, or overdue"),
		closed: f.Bool("closed", false, "of an order: those that were closed too"),
	}
	all := f.Bool("all", false, "of all orders, and not of at most 50")
	asJSON := f.Bool("json", false, "print them as JSON")
	return func(c *call, args []string) (int, error) {
		if err := w.check(args); err != nil {
			return 0, err
		}
		if *w.order != "" {
			args = []string{*w.order}
		}
		limit := 50
		if *all {
			limit = 10_000
		}
		found, more, failed := c.cases(w, args, limit)
		if failed != nil && found == nil {
			return 0, failed
		}
		slices.SortStableFunc(found, func(a, b openCase) int {
			return cmp.Or(a.Case.Deadline.Compare(b.Case.Deadline), cmp.Compare(a.Order, b.Order), cmp.Compare(a.Case.N, b.Case.N))
		})
		if *asJSON {
			failed = cmp.Or(c.json(found), failed)
		} else {
			c.print("%s", caseText(found, c.Now()))
		}
		if more {
			c.beside(*asJSON, "cases", moreCases(*all))
		}
		if len(args) > 0 {
			return ExitOK, failed
		}
		return ExitOK, cmp.Or(failed, c.printOrphans(w, *asJSON))
	}
}

// cases asks orders for their cases: the named ones, or of those that visibility lists
// the most urgent. What was found is returned with an error too; nil when nothing was asked.
func (c *call) cases(w wantedCases, args []string, limit int) (found []openCase, more bool, failed error) {
	named := []order.ID{}
	for _, arg := range args {
		id, err := orderID(arg)
		if err != nil {
			return nil, false, err
		}
		named = append(named, id)
	}
	client, err := c.client()
	if err != nil {
		return nil, false, err
	}
	ctx, stop := c.within(time.Minute)
	defer stop()
	ids := named
	if len(named) == 0 {
		waiting, cut, err := client.Waiting(ctx)
		if err != nil {
			return nil, false, err
		}
		ids = w.orders(waiting, c.Now())
		more = cut || len(ids) > limit
		ids = ids[:min(limit, len(ids))]
	}
	found = []openCase{}
	for _, id := range ids {
		cases, err := client.Cases(ctx, id, *w.closed)
		switch {
		case err != nil && len(args) == 1:
			return nil, false, err
		case err != nil:
			failed = cmp.Or(failed, fmt.Errorf("these are not all cases: order %s: %w", id, err))
		}
		for _, k := range cases {
			if w.takes(k, c.Now()) {
				found = append(found, openCase{id, k})
			}
		}
	}
	return found, more, failed
}

// moreCases says that there may be more than is shown, and how to see them. Beyond all
// that are asked for the first have to be dealt with.
func moreCases(all bool) string {
	if all {
		return "there may be more; decide these first"
	}
	return "there may be more; --all asks for them"
}

// printOrphans says how many records that no order claims wait for a person too: they
// are cases of no order.
func (c *call) printOrphans(w wantedCases, asJSON bool) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, stop := c.within(time.Minute)
	defer stop()
	all, _, err := client.Orphans(ctx)
	if err != nil {
		return err
	}
	waiting := slices.DeleteFunc(all, func(o starters.Orphan) bool { return !w.takesOrphan(o, c.Now()) })
	if len(waiting) > 0 {
		until := ""
		if first := waiting[0].Stakes.Deadline; !first.IsZero() {
			until = ", the most urgent until " + first.UTC().Format(time.RFC3339) + left(first, c.Now())
		}
		c.beside(asJSON, "cases", fmt.Sprintf("and in the inbox %s that no order claims%s: trueup inbox", plural(len(waiting), "record"), until))
	}
	return nil
}

// takesOrphan says whether a record that no order claims is wanted, as takes does of
// a case.
func (w wantedCases) takesOrphan(o starters.Orphan, now time.Time) bool {
	if *w.system != "" && string(o.System) != *w.system {
		return false
	}
	return *w.due == 0 || !o.Stakes.Deadline.IsZero() && !o.Stakes.Deadline.After(now.Add(*w.due))
}

// orders returns the orders to be asked, the most urgent first. One that has not said
// until when may have a case that is due.
func (w wantedCases) orders(waiting []starters.Disagreeing, now time.Time) []order.ID {
	var ids []order.ID
	for _, d := range waiting {
		if *w.due == 0 || !d.Stakes.Deadline.After(now.Add(*w.due)) {
			ids = append(ids, d.Order)
		}
	}
	return ids
}

// caseText shows cases as who decides them reads them, the most urgent first.
func caseText(cases []openCase, now time.Time) string {
	var b strings.Builder
	open := 0
	for _, o := range cases {
		k := o.Case
		if !k.Open() {
			fmt.Fprintf(&b, "order %s, case %d (%s), closed %s: %s\n    %s\n", o.Order, k.N, k.Step.Break.ID(), moment(k.Closed, now), k.Step.Why, k.Outcome)
			continue
		}
		open++
		fmt.Fprintf(&b, "order %s, case %d (%s), open for %s: %s\n", o.Order, k.N, k.Step.Break.ID(), ago(k.Opened, now), k.Step.Why)
		if k.Evidence != nil {
			b.WriteString(evidenceText(*k.Evidence))
		}
		if k.Step.Proposal != "" {
			fmt.Fprintf(&b, "    proposal: %s\n", strings.Join(append([]string{k.Step.Proposal}, k.Step.Alternatives...), "; or: "))
		}
		if !k.Deadline.IsZero() {
			fmt.Fprintf(&b, "    decide until %s%s; then: %s\n", k.Deadline.UTC().Format(time.RFC3339), left(k.Deadline, now), k.AtDeadline)
		}
		b.WriteString(commandText(o))
	}
	text := b.String() + plural(open, "open case")
	if closed := len(cases) - open; closed > 0 {
		text += fmt.Sprintf(", %d closed", closed)
	}
	return text + "\n"
}

// left says how much of a deadline is left.
func left(deadline, now time.Time) string {
	if now.After(deadline) {
		return " (overdue for " + ago(deadline, now) + ")"
	}
	return " (" + ago(now, deadline) + " left)"
}

// evidenceText shows what every system says, who is right and what is at stake.
func evidenceText(e reconcile.Evidence) string {
	var b strings.Builder
	stake := ""
	if e.Money != "" {
		stake = "; at stake: " + e.Money
	}
	fmt.Fprintf(&b, "    %s: expected %s, is %s%s\n", e.Question, dash(e.Expected), dash(e.Observed), stake)
	rows := [][]string{{"SYSTEM", "SAYS", "AS OF", "AGE", "VERSION", ""}}
	for _, s := range e.Says {
		at, age, state := "never read", "-", ""
		if !s.At.IsZero() {
			at, age = s.At.UTC().Format(time.RFC3339), ago(s.At, s.At.Add(s.Age))
		}
		switch {
		case s.Unreadable:
			state = "cannot be read now"
		case !s.Agrees:
			state = "differs"
		}
		if string(s.System) == e.Right {
			state = strings.TrimPrefix(state+", is right", ", ")
		}
		rows = append(rows, []string{string(s.System), s.Value, at, age, dash(s.Version), state})
	}
	for _, line := range strings.Split(strings.TrimRight(columns(rows), "\n"), "\n") {
		b.WriteString("      " + line + "\n")
	}
	agreed := "never"
	if e.Base != "" {
		agreed = e.Base + " at " + e.AgreedAt.UTC().Format(time.RFC3339)
	}
	right := e.Right + " is right"
	if e.Strength != "" {
		right += ", " + string(e.Strength)
	}
	fmt.Fprintf(&b, "    last agreed: %s; rule: %s, mode %s (policy %s, rules %d)\n", agreed, right, e.Mode, e.Policy, e.Rules)
	return b.String()
}

// commandText has a command for each decision that is possible, ready but for
// who decides and why.
func commandText(o openCase) string {
	const who = "--by NAME --reason TEXT"
	e := o.Case.Evidence
	if e == nil {
		return fmt.Sprintf("    trueup decide %s %d --as DECISION %s\n", o.Order, o.Case.N, who)
	}
	var b strings.Builder
	for _, option := range e.Options {
		proposed := ""
		if option.Proposed {
			proposed = " (this is the proposal)"
		}
		fmt.Fprintf(&b, "    - %s%s\n      trueup decide %s %d --as %s --evidence %s %s\n", option.Does, proposed, o.Order, o.Case.N, option.As, e.Token, who)
	}
	return b.String()
}
