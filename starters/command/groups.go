package command

import (
	"flag"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/starters"
)

// Incidents: what many orders have at once is one case, kept and decided in the
// reconciliation workflow.

func groups(f *flag.FlagSet) func(*call, []string) (int, error) {
	asJSON := f.Bool("json", false, "print them as JSON")
	all := f.Bool("all", false, "those that are over too, as far as they are remembered")
	return func(c *call, args []string) (int, error) {
		if len(args) != 0 {
			return 0, usage("unexpected %q", args[0])
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
		shown := slices.DeleteFunc(s.Groups, func(g reconciliation.Group) bool { return g.Over() && !*all })
		if *asJSON {
			return ExitOK, c.json(evident(shown))
		}
		c.print("%s", groupsText(shown, c.Now(), true))
		c.print("%s\n", plural(len(shown), "group"))
		return ExitOK, nil
	}
}

// evidentGroup is an incident with the token that a decision about it names.
type evidentGroup struct {
	reconciliation.Group
	Evidence string `json:"evidence,omitempty"`
}

func evident(all []reconciliation.Group) []evidentGroup {
	shown := make([]evidentGroup, 0, len(all))
	for _, g := range all {
		e := evidentGroup{Group: g}
		if !g.Over() {
			e.Evidence = g.Evidence()
		}
		shown = append(shown, e)
	}
	return shown
}

// groupsText shows incidents as who decides them reads them; those that are over
// only when asked for.
func groupsText(all []reconciliation.Group, now time.Time, over bool) string {
	var b strings.Builder
	for _, g := range all {
		if g.Over() && !over {
			continue
		}
		lines := g.Lines(now)
		b.WriteString("\n" + lines[0] + "\n")
		for _, line := range lines[1:] {
			b.WriteString("    " + line + "\n")
		}
		if g.State == reconciliation.GroupOpen {
			b.WriteString("    " + g.Command() + "\n")
		}
	}
	return b.String()
}

func group(f *flag.FlagSet) func(*call, []string) (int, error) {
	as := f.String("as", "", "repair (a few first, and more once those are verified) or leave (until trueup switch on)")
	by := f.String("by", "", "who decides; recorded as unverified until there are identities")
	reason := f.String("reason", "", "why")
	evidence := f.String("evidence", "", "the evidence that it is decided on, as trueup groups shows it; when it is not so any more nothing is done")
	return func(c *call, args []string) (int, error) {
		decision := reconciliation.DecideGroup{As: reconciliation.GroupDecision(*as), By: *by, Reason: *reason, Evidence: *evidence}
		if len(args) != 2 || args[0] != "decide" {
			return 0, usage("decide and the number of a group; trueup groups lists them")
		}
		var err error
		if decision.N, err = strconv.Atoi(args[1]); err != nil || decision.N < 1 {
			return 0, usage("%q is no number of a group; trueup groups lists them", args[1])
		}
		if decision.As != reconciliation.GroupRepair && decision.As != reconciliation.GroupLeave {
			return 0, usage("--as is %q; want repair or leave", *as)
		}
		if problems := starters.CheckAsked(*by, *reason); len(problems) > 0 {
			return 0, usage("--%s %s", problems[0].Field, problems[0].Reason)
		}
		client, err := c.client()
		if err != nil {
			return 0, err
		}
		ctx, stop := c.within(30 * time.Second)
		defer stop()
		s, err := client.DecideGroup(ctx, decision)
		if err != nil {
			return 0, notRunning(err)
		}
		decided := slices.DeleteFunc(s.Groups, func(g reconciliation.Group) bool { return g.N != decision.N })
		c.print("%s", groupsText(decided, c.Now(), true))
		return ExitOK, nil
	}
}
