package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

func reconcileNow(f *flag.FlagSet) func(*call, []string) (int, error) {
	dry := f.Bool("dry-run", false, "only look, and say what would be done")
	asJSON := f.Bool("json", false, "print the report as JSON")
	wait := f.Duration("wait", 15*time.Minute, "how long to wait for the report; the run goes on without us")
	return func(c *call, args []string) (int, error) {
		in := workflows.ReconcileInput{DryRun: *dry}
		for _, a := range args {
			id, err := orderID(a)
			if err != nil {
				return 0, err
			}
			in.Orders = append(in.Orders, id)
		}
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		ctx, stop := c.within(*wait)
		defer stop()
		report, err := client.Reconcile(ctx, in)
		if err != nil {
			return 0, err
		}
		if *asJSON {
			err = c.json(report)
		} else {
			c.print("%s", reportText(report, c.Now()))
		}
		switch {
		case len(in.Orders) > 0 && report.Looked+report.TooOld == 0:
			return ExitUnknown, err
		case !report.Complete():
			return ExitPartial, err
		}
		return ExitOK, err
	}
}

// reportText prints what a run looked at, found, repaired and left.
func reportText(r reconciliation.RunReport, now time.Time) string {
	var b strings.Builder
	mode := ""
	if r.DryRun {
		mode = ", a dry run: nothing was changed, and this is what a run would do"
	}
	fmt.Fprintf(&b, "run %s%s\n", r.Run, mode)
	did, levels := reconciliation.Done{Repaired: r.Repaired, Adopted: r.Adopted, Cases: r.Cases, Left: r.Left}, r.Stock.Repaired
	if r.Would != nil {
		did, levels = *r.Would, r.Would.Levels
	}
	rows := [][]string{
		{"  looked at", fmt.Sprintf("%s and %s, in %s", plural(r.Looked, "order"), plural(r.Records, "record"), r.Finished.Sub(r.Started).Round(time.Millisecond))},
		{"  found", fmt.Sprintf("%s on %s: %d repaired, %d adopted, %s, %d left; %d settling",
			plural(r.Found, "break"), plural(r.Suspects, "suspect"), did.Repaired, did.Adopted, plural(did.Cases, "case"), did.Left, r.Settling)},
		{"  stock", r.Stock.Text(levels)},
		{"  verified through", moment(r.VerifiedThrough, now)},
	}
	if len(r.Exceptions) > 0 {
		rows = append(rows, []string{"  but for", words(r.Exceptions)})
	}
	if !r.Complete() {
		rows = append(rows, []string{"  PARTIAL", r.Partly()})
	}
	rows = append(rows, []string{"  judged by", fmt.Sprintf("policy %s, rules %d", r.Policy, r.Rules)})
	b.WriteString(columns(rows))
	for _, line := range r.Lines {
		b.WriteString("  - " + line + "\n")
	}
	return b.String()
}

func words[T ~string](all []T) string {
	var s []string
	for _, one := range all {
		s = append(s, string(one))
	}
	return strings.Join(s, ", ")
}

func status(f *flag.FlagSet) func(*call, []string) (int, error) {
	asJSON := f.Bool("json", false, "print the status as JSON")
	maxAge := f.Duration("max-age", 0, "exit with 22 when the last good run is older, or the last planted break found is older than this and its interval; 0 asks nothing")
	return func(c *call, args []string) (int, error) {
		switch {
		case len(args) != 0:
			return 0, usage("unexpected %q", args[0])
		case *maxAge < 0:
			return 0, usage("--max-age is %s; want a duration, as 30m", *maxAge)
		}
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		ctx, stop := c.within(30 * time.Second)
		defer stop()
		s, err := client.Status(ctx)
		if err != nil {
			return 0, notRunning(err)
		}
		if *asJSON {
			err = c.json(s)
		} else {
			c.print("%s", statusText(s, c.Now()))
		}
		if late := overdue(s, c.Now(), *maxAge); len(late) > 0 {
			_, _ = fmt.Fprintf(c.Stderr, "trueup status: %s\n", strings.Join(late, "; "))
			return ExitStale, err
		}
		return ExitOK, err
	}
}

// overdue says why nobody can rely on reconciliation, by the age of the last good
// run and of the last planted break that was found; nothing without a bound.
func overdue(s reconciliation.Status, now time.Time, maxAge time.Duration) []string {
	if maxAge == 0 {
		return nil
	}
	var late []string
	since := s.LastGoodRun
	if since.IsZero() {
		since = s.Since // a new installation has as long for its first
	}
	if age := now.Sub(since); age > maxAge {
		late = append(late, fmt.Sprintf("no run was good for %s", age.Round(time.Second)))
	}
	if why := s.Canary.Late(now, maxAge); why != "" {
		late = append(late, why)
	}
	return late
}

// notRunning says what to do when there is no reconciliation workflow.
func notRunning(err error) error {
	if errors.Is(err, starters.ErrNotFound) || errors.Is(err, starters.ErrClosed) {
		return fmt.Errorf("reconciliation does not run on this engine; a worker starts it: %w", err)
	}
	return err
}

// statusText prints what reconciliation knows.
func statusText(s reconciliation.Status, now time.Time) string {
	var b strings.Builder
	rows := [][]string{
		{"repairs", "on: what the policy allows is repaired"},
		{"verified through", moment(s.VerifiedThrough, now)},
		{"last good run", moment(s.LastGoodRun, now)},
		{"planted breaks", planted(s.Canary, now)},
		{"memory since", moment(s.Since, now)},
		{"budget", s.Left(now)},
		{"grants out", strconv.Itoa(s.Outstanding)},
		{"levels watched", levelsWatched(s, now)},
	}
	if n := len(s.Reports); n > 0 && !s.Reports[n-1].Since.IsZero() {
		rows = append(rows, []string{"judged since", moment(s.Reports[n-1].Since, now)})
	}
	if len(s.Stops) > 0 {
		rows[0][1] = "on, but for what is off:"
		if slices.ContainsFunc(s.Stops, reconciliation.Stop.All) {
			rows[0][1] = "off"
		}
		for i, stop := range s.Stops {
			what, why, _ := strings.Cut(stop.Line(), ", ")
			rows = slices.Insert(rows, i+1, []string{"  off: " + what, why})
		}
	}
	for _, line := range s.Progress(now) {
		rows = append(rows, []string{"backlog", line})
	}
	if s.Unfollowed != "" {
		rows = append(rows, []string{"not followed", s.Unfollowed + "; it is tried again"})
	}
	for _, c := range s.Cursors {
		rows = append(rows, []string{string(c.System) + " followed to", moment(c.Through, now)})
	}
	rows = append(rows, coverage(s.Coverage, now)...)
	b.WriteString(columns(rows) + levelsText(s, now) + groupsText(s.Groups, now, false))
	if len(s.Reports) == 0 {
		b.WriteString("\nno run has reported yet\n")
		return b.String()
	}
	table := [][]string{{"RUN", "FINISHED", "LOOKED", "FOUND", "REPAIRED", "ADOPTED", "CASES", "LEFT", "UNREAD"}}
	reports := slices.Clone(s.Reports)
	slices.Reverse(reports)
	for _, r := range reports {
		table = append(table, []string{
			r.Run, ago(r.Finished, now) + " ago", strconv.Itoa(r.Looked), strconv.Itoa(r.Found + r.Stock.Found), strconv.Itoa(r.Repaired + r.Stock.Repaired),
			strconv.Itoa(r.Adopted), strconv.Itoa(r.Cases), strconv.Itoa(r.Left), dash(words(r.Unread)),
		})
	}
	b.WriteString("\n" + columns(table))
	return b.String()
}

// levelsWatched says of how many SKUs the levels are compared, and how many differ or
// could not be compared.
func levelsWatched(s reconciliation.Status, now time.Time) string {
	text := plural(len(s.SKUs), "SKU")
	if n := len(s.Levels); n > 0 {
		text += fmt.Sprintf("; %d differ", n)
	}
	if n := len(s.Moving); n > 0 {
		oldest := slices.MinFunc(s.Moving, func(x, y reconciliation.MovingLevel) int { return x.Since.Compare(y.Since) })
		text += fmt.Sprintf("; %d not compared while goods are on their way, %s since %s", n, oldest.SKU, moment(oldest.Since, now))
	}
	return text
}

// mostLevels are shown of the stock levels that differ; trueup orders --breaks has all.
const mostLevels = 20

// levelsText prints the stock levels that differ, the oldest first.
func levelsText(s reconciliation.Status, now time.Time) string {
	if len(s.Levels) == 0 {
		return ""
	}
	rows := [][]string{{"SKU", "AGE", "INVENTORY SAYS", "SHOULD BE", "LAST AGREED", "NOW"}}
	all := s.OldestLevels()
	for _, b := range all[:min(len(all), mostLevels)] {
		rows = append(rows, []string{b.Item, ago(b.FirstSeen, now), b.Observed, b.Expected, moment(b.LastAgreed, now), reconciliation.LevelState(b)})
	}
	text := "\n" + columns(rows)
	if more := len(all) - mostLevels; more > 0 {
		text += fmt.Sprintf("and %d more: trueup orders --breaks --kind level\n", more)
	}
	return text
}

// planted says what became of the planted breaks.
func planted(c *reconciliation.Canary, now time.Time) string {
	if c == nil {
		return "none: no canary order is named (TRUEUP_CANARY_ORDER)"
	}
	text := fmt.Sprintf("in the deal of order %s every %s; last found %s", c.Order, c.Every, moment(c.LastFound, now))
	if c.Missed > 0 {
		text += fmt.Sprintf("; %d not found in time", c.Missed)
	}
	p := c.Last
	switch {
	case p == nil:
	case !p.Missed.IsZero() && p.Found.IsZero():
		text += fmt.Sprintf("; THE LAST ONE, %d, WAS NOT FOUND until %s", p.N, p.Due.UTC().Format(time.RFC3339))
	case p.WrittenOver():
		text += "; " + p.Why
	case p.Why != "":
		text += "; not planted: " + p.Why
	case p.Over.IsZero():
		text += fmt.Sprintf("; one is planted since %s", moment(p.Made, now))
	}
	return text
}

func turn(f *flag.FlagSet) func(*call, []string) (int, error) {
	by := f.String("by", "", "who turns it; recorded as unverified until there are identities")
	reason := f.String("reason", "", "why")
	return func(c *call, args []string) (int, error) {
		stop := reconciliation.Stop{By: *by, Reason: *reason, At: c.Now()}
		switch {
		case len(args) == 0 || len(args) > 2:
			return 0, usage("off or on, and perhaps a system, a field, or a field and a situation")
		case args[0] != "off" && args[0] != "on":
			return 0, usage("%q is neither off nor on", args[0])
		}
		if len(args) == 2 {
			kind, err := reconcile.ParseKind(args[1])
			if err != nil {
				return 0, usage("%v", err)
			}
			if stop.System = kind.System; kind.Field != "" {
				stop.System, stop.Kind = "", kind.String()
			}
		}
		if problems := starters.CheckAsked(*by, *reason); len(problems) > 0 {
			return 0, usage("--%s %s", problems[0].Field, problems[0].Reason)
		}
		stop.Off = args[0] == "off"
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		ctx, cancel := c.within(30 * time.Second)
		defer cancel()
		if !stop.Off {
			if err := endable(ctx, client, stop); err != nil {
				return 0, notRunning(err)
			}
		}
		s, err := client.Switch(ctx, stop)
		if err != nil {
			return 0, notRunning(err)
		}
		c.print("%s", statusText(s, c.Now()))
		return ExitOK, nil
	}
}

// endable refuses to turn on what is not off, and says what is: each switch ends its
// own stop alone, and what somebody left of the same kind.
func endable(ctx context.Context, client *starters.Client, on reconciliation.Stop) error {
	kind, err := on.Stops()
	if err != nil {
		return err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	var off []string
	for _, stop := range s.Stops {
		if stop.System == on.System && stop.Kind == on.Kind {
			return nil
		}
		off = append(off, stop.Line())
	}
	for _, g := range s.Groups {
		switch {
		case !g.State.Stops():
		case g.State == reconciliation.GroupLeft && g.Kind == kind:
			return nil
		default:
			off = append(off, g.Waits())
		}
	}
	if len(off) == 0 {
		return fmt.Errorf("the switch of %s is not off, and nothing else is; nothing was turned: %w", kind, starters.ErrNotNow)
	}
	return fmt.Errorf("the switch of %s is not off; off are: %s; nothing was turned: %w", kind, strings.Join(off, "; "), starters.ErrNotNow)
}
