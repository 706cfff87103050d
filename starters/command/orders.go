package command

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// maxFile bounds what is read from a file, as the gateway bounds a body.
const maxFile = 1 << 20

var errTooLarge = errors.New("too large")

// file reads a file whole; "-" is the standard input.
func (c *call) file(name string) ([]byte, error) {
	from := c.Stdin
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // the caller names the file
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", name, maxFile, errTooLarge)
	}
	return data, nil
}

func submit(f *flag.FlagSet) func(*call, []string) (int, error) {
	wait := f.Duration("wait", 10*time.Second, "how long to wait for an answer; the order is durable without one")
	asJSON := f.Bool("json", false, "print the answer as JSON, with the customer's next payment step")
	return func(c *call, args []string) (int, error) {
		if len(args) != 1 {
			return 0, usage("which file? - is the standard input")
		}
		data, err := c.file(args[0])
		if err != nil {
			return 0, err
		}
		o, err := order.Decode(data)
		if err != nil {
			return 0, err
		}
		if err := o.Validate(c.Now()); err != nil {
			return 0, err
		}
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		ctx, stop := c.within(*wait)
		defer stop()
		answer, err := client.Submit(ctx, o)
		late := errors.Is(err, starters.ErrNotAnswered)
		switch {
		case err != nil && !late:
			return 0, err
		case *asJSON && late:
			return ExitOK, c.json(workflows.Submitted{Order: o.ID, Phase: order.PhaseReceived, Outcome: reconcile.InProgress})
		case *asJSON:
			return ExitOK, c.json(answer)
		case late:
			c.print("order %s: an order with this id is durable, but nobody has answered yet; submit the same again, or ask: trueup verdict %s\n", o.ID, o.ID)
			return ExitOK, nil
		}
		c.submitted(answer)
		return ExitOK, nil
	}
}

func (c *call) submitted(a workflows.Submitted) {
	text := fmt.Sprintf("order %s: %s, phase %s", a.Order, a.Outcome, a.Phase)
	if a.Why != "" {
		text += " (" + a.Why + ")"
	}
	c.print("%s\n", text)
	if a.Next != nil { // a secret of the customer's, so it is not shown by itself
		c.print("the customer has to act before it is paid (%s); --json prints the step\n", a.Next.Kind)
	}
	if a.Next == nil && a.Declined != "" {
		c.print("the payment was declined (%s): trueup attempt %s --method METHOD --by NAME%s\n", a.Declined, a.Order, starters.Until(a.PayUntil))
	}
	if a.Question != nil {
		c.print("%s: trueup answer %s amend|wait|cancel --by NAME\n", starters.WhatIsAsked(*a.Question), a.Order)
	}
}

func verdict(f *flag.FlagSet) func(*call, []string) (int, error) {
	asJSON := f.Bool("json", false, "print the verdict as JSON")
	fresh := f.Bool("fresh", true, "read all six systems now; false answers from memory")
	agree := f.Bool("require-agreement", false, "exit with 20 when the order succeeded and the systems do not agree")
	why := f.Bool("explain", false, "tell the whole story: what was asked, each operation with its key, each break's clock, each case with its decision")
	wait := f.Duration("wait", 30*time.Second, "how long to wait for an answer")
	return func(c *call, args []string) (int, error) {
		if len(args) != 1 {
			return 0, usage("which order?")
		}
		id, err := orderID(args[0])
		if err != nil {
			return 0, err
		}
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		ctx, stop := c.within(*wait)
		defer stop()
		v, err := client.Verdict(ctx, id, *fresh)
		if err != nil {
			return 0, err
		}
		if *why {
			story, err := client.Explain(ctx, id)
			if err != nil {
				return 0, err
			}
			if *asJSON {
				return verdictCode(v, *agree), c.json(story)
			}
			c.print("%s", storyText(story))
			return verdictCode(v, *agree), nil
		}
		if *asJSON {
			err = c.json(v)
		} else {
			c.print("%s", v.Table())
		}
		return verdictCode(v, *agree), err
	}
}

// verdictCode is the exit code of an outcome.
func verdictCode(v reconcile.Verdict, agree bool) int {
	switch v.Outcome {
	case reconcile.Succeeded:
		if agree && v.Agreement != reconcile.Agreed {
			return ExitNotAgreed
		}
		return ExitOK
	case reconcile.InProgress:
		return ExitInProgress
	case reconcile.Cancelled:
		return ExitCancelled
	case reconcile.Failed:
		return ExitFailed
	case reconcile.OutcomeInDoubt:
		return ExitInDoubt
	}
	return ExitError
}

func cancel(f *flag.FlagSet) func(*call, []string) (int, error) {
	by := f.String("by", "", "who asks; recorded as unverified until there are identities")
	reason := f.String("reason", "", "why")
	wait := f.Duration("wait", 30*time.Second, "how long to wait for the warehouse")
	return func(c *call, args []string) (int, error) {
		if len(args) != 1 {
			return 0, usage("which order?")
		}
		id, err := orderID(args[0])
		if err != nil {
			return 0, err
		}
		if problems := starters.CheckAsked(*by, *reason); len(problems) > 0 {
			return 0, usage("--%s %s", problems[0].Field, problems[0].Reason)
		}
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		ctx, stop := c.within(*wait)
		defer stop()
		a, err := client.Cancel(ctx, id, workflows.Cancel{By: *by, Reason: *reason})
		switch {
		case err != nil:
			return 0, err
		case a.Cancelled:
			c.print("order %s is cancelled\n", id)
			return ExitOK, nil
		case a.Pending != "":
			c.print("order %s: %s\n", id, a.Pending)
			return ExitInProgress, nil
		case a.Refused != "":
			c.print("order %s is not cancelled: %s; it goes on, ask for a return instead\n", id, a.Refused)
			return ExitRefused, nil
		}
		c.print("order %s is not cancelled: it has ended by itself (%s)\n", id, a.Outcome)
		return ExitRefused, nil
	}
}

func orders(f *flag.FlagSet) func(*call, []string) (int, error) {
	breaks := f.Bool("breaks", false, "the breaks of the orders on which systems disagree, the oldest first")
	filter := breakFilter{}
	f.StringVar(&filter.system, "system", "", "with --breaks: only in this system")
	f.StringVar(&filter.kind, "kind", "", "with --breaks: only of this kind: a field, a situation, or both, as revenue.mismatch")
	f.DurationVar(&filter.olderThan, "older-than", 0, "with --breaks: only those first seen so long ago")
	f.StringVar(&filter.by, "sort", "age", "with --breaks: age, money, system or kind")
	asJSON := f.Bool("json", false, "print them as JSON")
	outcome := f.String("outcome", "", "only this outcome: in_progress, succeeded, cancelled, failed or in_doubt")
	agreement := f.String("agreement", "", "only this agreement: agreed, settling, disagreeing, needs_person or unreadable")
	limit := f.Int("limit", 50, "at most so many")
	return func(c *call, args []string) (int, error) {
		if len(args) != 0 {
			return 0, usage("unexpected %q", args[0])
		}
		if *limit < 1 || *limit > 10_000 {
			return 0, usage("--limit is %d; want 1 to 10000", *limit)
		}
		if err := filter.check(); err != nil {
			return 0, err
		}
		if !*breaks && (filter.system != "" || filter.kind != "" || filter.olderThan != 0 || filter.by != "age") {
			return 0, usage("--system, --kind, --older-than and --sort go with --breaks")
		}
		query, err := orderFilter(*outcome, *agreement)
		if err != nil {
			return 0, err
		}
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		ctx, stop := c.within(time.Minute)
		defer stop()
		if *breaks {
			filter.limit, filter.outcome, filter.agreement = *limit, *outcome, *agreement
			return c.breaks(ctx, client, filter, *asJSON)
		}
		listed, err := client.Orders(ctx, query, *limit)
		if err != nil {
			return 0, err
		}
		more := len(listed) >= *limit
		if *outcome != "" || *agreement != "" {
			if listed, err = client.LatestRuns(ctx, listed); err != nil {
				return 0, err
			}
			listed = slices.DeleteFunc(listed, func(l starters.Listed) bool {
				return *outcome != "" && l.Outcome != *outcome || *agreement != "" && l.Agreement != *agreement
			})
		}
		if *asJSON {
			err = c.json(latestOf(listed))
		} else {
			c.print("%s", orderTable(listed, c.Now()))
		}
		if more {
			c.beside(*asJSON, "orders", "there may be more; --limit asks for them")
		}
		return ExitOK, err
	}
}

// orderFilter makes the visibility query. Values come from closed sets, so
// nothing that was typed gets into it.
func orderFilter(outcome, agreement string) (string, error) {
	outcomes := []reconcile.Outcome{reconcile.InProgress, reconcile.Succeeded, reconcile.Cancelled, reconcile.Failed, reconcile.OutcomeInDoubt}
	agreements := []reconcile.Agreement{reconcile.Agreed, reconcile.AgreeSettle, reconcile.Disagreeing, reconcile.NeedsPerson, reconcile.AgreeUnknown}
	filters := []string{"ExecutionStatus != 'ContinuedAsNew'"} // the next run says it all again
	if outcome != "" {
		if !slices.Contains(outcomes, reconcile.Outcome(outcome)) {
			return "", usage("--outcome %q is none of %v", outcome, outcomes)
		}
		filters = append(filters, "OrderOutcome = '"+outcome+"'")
	}
	if agreement != "" {
		if !slices.Contains(agreements, reconcile.Agreement(agreement)) {
			return "", usage("--agreement %q is none of %v", agreement, agreements)
		}
		filters = append(filters, "OrderAgreement = '"+agreement+"'")
	}
	return strings.Join(filters, " AND "), nil
}

// listedOrder is an order as the list shows it.
type listedOrder struct {
	Order     string    `json:"order"`
	Outcome   string    `json:"outcome"`
	Agreement string    `json:"agreement"`
	Breaks    []string  `json:"breaks,omitempty"`
	Oldest    time.Time `json:"oldest_break,omitzero"`
	Started   time.Time `json:"started"`
	Running   bool      `json:"running"`
}

// latestOf returns each order once: the newest of its runs.
func latestOf(listed []starters.Listed) []listedOrder {
	listed = slices.Clone(listed)
	slices.SortStableFunc(listed, func(a, b starters.Listed) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.ID, b.ID))
	})
	latest := []listedOrder{}
	seen := map[string]bool{}
	for _, l := range listed {
		if seen[l.ID] {
			continue
		}
		seen[l.ID] = true
		name := l.ID
		if id, ok := workflows.OrderOf(l.ID); ok {
			name = string(id)
		}
		latest = append(latest, listedOrder{name, l.Outcome, l.Agreement, l.Breaks, l.Oldest, l.Started, l.Running})
	}
	return latest
}

func orderTable(listed []starters.Listed, now time.Time) string {
	latest := latestOf(listed)
	rows := [][]string{{"ORDER", "OUTCOME", "AGREEMENT", "OLDEST BREAK", "STARTED", "BREAKS"}}
	for _, l := range latest {
		rows = append(rows, []string{l.Order, dash(l.Outcome), dash(l.Agreement), ago(l.Oldest, now), ago(l.Started, now), dash(strings.Join(l.Breaks, " "))})
	}
	return columns(rows) + plural(len(latest), "order") + "\n"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
