package command

import (
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/workflows"
)

func sweep(f *flag.FlagSet) func(*call, []string) (int, error) {
	dry := f.Bool("dry-run", false, "only look, and list what a sweep would do")
	asJSON := f.Bool("json", false, "print the report as JSON")
	wait := f.Duration("wait", time.Hour, "how long to wait for the report; the sweep goes on without us")
	return func(c *call, args []string) (int, error) {
		if len(args) != 1 {
			return 0, usage("a day, as 2006-01-02")
		}
		day, err := time.Parse(time.DateOnly, args[0])
		if err != nil {
			return 0, usage("%q is no day of UTC; want one as 2006-01-02", args[0])
		}
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		ctx, stop := c.within(*wait)
		defer stop()
		report, err := client.Sweep(ctx, workflows.SweepInput{Day: day, DryRun: *dry})
		if err != nil {
			return 0, err
		}
		if *asJSON {
			err = c.json(report)
		} else {
			c.print("%s", sweepText(report))
		}
		if !report.Complete() {
			return ExitPartial, err
		}
		return ExitOK, err
	}
}

// sweepText prints what a sweep compared, found and left.
func sweepText(r reconciliation.RunReport) string {
	var b strings.Builder
	mode := ""
	if r.DryRun {
		mode = ", a dry run: nothing was changed, and this is what a sweep would do"
	}
	did := reconciliation.Done{Repaired: r.Repaired, Adopted: r.Adopted, Cases: r.Cases, Left: r.Left}
	if r.Would != nil {
		did = *r.Would
	}
	s := reconciliation.Swept{}
	if r.Swept != nil {
		s = *r.Swept
	}
	fmt.Fprintf(&b, "sweep of %s%s\n", s.Day.Format(time.DateOnly), mode)
	rows := [][]string{
		{"  looked at", fmt.Sprintf("%s and %s in %s, in %s", plural(r.Looked, "order"), plural(r.Records, "record"), plural(s.Shards, "shard"), r.Finished.Sub(r.Started).Round(time.Millisecond))},
		{"  looked up", fmt.Sprintf("%s that the listings did not decide", plural(s.LookedUp, "order"))},
		{"  found", fmt.Sprintf("%s on %s: %d repaired, %d adopted, %s, %d left", plural(r.Found, "break"), plural(r.Suspects, "suspect"), did.Repaired, did.Adopted, plural(did.Cases, "case"), did.Left)},
		{"  unclaimed", fmt.Sprintf("%s that no order claims; trueup inbox lists them", plural(s.Kept, "record"))},
	}
	for _, what := range s.Unread {
		rows = append(rows, []string{"  NOT READ", what})
	}
	if !r.Complete() {
		rows = append(rows, []string{"  PARTIAL", "the day is not covered; it is swept again by the next scheduled run"})
	}
	for _, e := range s.Exceptions {
		rows = append(rows, []string{"  but for", fmt.Sprintf("order %s: %s", e.Order, e.Why)})
	}
	rows = append(rows, []string{"  judged by", fmt.Sprintf("policy %s, rules %d", r.Policy, r.Rules)})
	b.WriteString(columns(rows))
	for _, line := range r.Lines {
		b.WriteString("  - " + line + "\n")
	}
	return b.String()
}

// coverage shows which days were swept, for the status.
func coverage(c reconciliation.Coverage, now time.Time) [][]string {
	through := "no day yet"
	if !c.Through.IsZero() {
		through = "every day before " + c.Through.Format(time.DateOnly)
		if n := len(c.Exceptions); n > 0 {
			through += ", but for " + plural(n, "order")
		}
	}
	rows := [][]string{{"swept", through}}
	for _, s := range c.Ages {
		for _, r := range s.Days {
			if s.Age == 0 && r.From.After(c.Through) {
				rows = append(rows, []string{"swept beyond a gap", fmt.Sprintf("%s to %s", r.From.Format(time.DateOnly), r.To.Add(-reconciliation.Day).Format(time.DateOnly))})
			}
		}
	}
	for _, p := range c.Partial {
		rows = append(rows, []string{"partial", fmt.Sprintf("%s, tried %s, last %s ago: %s", p.Day.Format(time.DateOnly), plural(p.Tries, "time"), ago(p.At, now), strings.Join(p.Unread, "; "))})
	}
	for i, e := range c.Exceptions {
		if i == 20 {
			rows = append(rows, []string{"not compared", fmt.Sprintf("and %d more; --json names all", len(c.Exceptions)-i)})
			break
		}
		rows = append(rows, []string{"not compared", fmt.Sprintf("order %s of %s, asked %s: %s", e.Order, e.Day.Format(time.DateOnly), plural(e.Tries, "time"), e.Why)})
	}
	return rows
}
