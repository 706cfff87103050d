package command

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

func inbox(f *flag.FlagSet) func(*call, []string) (int, error) {
	all := f.Bool("all", false, "also those that are too young to be a case, or were left as they are; and not at most 50")
	asJSON := f.Bool("json", false, "print them as JSON")
	link := f.String("link", "", "the order that SYSTEM RECORD belongs to: it looks at once")
	leave := f.Bool("leave", false, "leave SYSTEM RECORD as it is, and ask no more")
	evidence := f.String("evidence", "", "the evidence that it is decided on, as trueup inbox shows it; when it is not so any more nothing is done")
	by := f.String("by", "", "who decides; recorded as unverified until there are identities")
	reason := f.String("reason", "", "why")
	return func(c *call, args []string) (int, error) {
		d := workflows.DecideInbox{Asked: workflows.Asked{By: *by, Reason: *reason}, Leave: *leave, Evidence: *evidence}
		if *link != "" {
			id, err := orderID(*link)
			if err != nil {
				return 0, err
			}
			d.Link = id
		}
		switch {
		case len(args) == 0 && d.Link == "" && !d.Leave && (*evidence != "" || *by != "" || *reason != ""):
			return 0, usage("--evidence, --by and --reason belong to a record that is decided about, with --link ORDER or --leave")
		case len(args) == 0 && d.Link == "" && !d.Leave:
			return listInbox(c, *all, *asJSON)
		case len(args) != 2:
			return 0, usage("nothing, or a system and one of its records with --link ORDER or --leave")
		case !slices.Contains(order.Systems(), order.System(args[0])):
			return 0, usage("%q is none of the systems %s", args[0], words(order.Systems()))
		case d.Leave == (d.Link != ""):
			return 0, usage("--link ORDER or --leave, one of them")
		case *all || *asJSON:
			return 0, usage("--all and --json belong to the list, and not to a decision")
		}
		return decideInbox(c, order.System(args[0]), args[1], d)
	}
}

func decideInbox(c *call, system order.System, record string, d workflows.DecideInbox) (int, error) {
	if problems := starters.CheckAsked(d.By, d.Reason); len(problems) > 0 {
		return 0, usage("--%s %s", problems[0].Field, problems[0].Reason)
	}
	client, err := c.client()
	if err != nil {
		return 0, err
	}
	ctx, stop := c.within(30 * time.Second)
	defer stop()
	_, err = client.DecideInbox(ctx, system, record, d)
	if errors.Is(err, starters.ErrNotFound) || errors.Is(err, starters.ErrClosed) {
		return 0, fmt.Errorf("%s %s waits for nobody; trueup inbox --all lists what does: %w", system, record, starters.ErrNotNow)
	}
	if err != nil {
		return 0, err
	}
	if d.Leave {
		c.print("%s %s is left as it is\n", system, record)
	} else {
		c.print("%s %s was given to order %s, which looks at its systems now: trueup verdict %s\n", system, record, d.Link, d.Link)
	}
	return ExitOK, nil
}

func listInbox(c *call, all, asJSON bool) (int, error) {
	client, err := c.client()
	if err != nil {
		return 0, err
	}
	limit := 50
	if all {
		limit = 10_000
	}
	ctx, stop := c.within(time.Minute)
	defer stop()
	cases, more, err := client.Inbox(ctx, all, limit)
	if err != nil {
		return 0, err
	}
	if asJSON {
		err = c.json(cases)
	} else {
		c.print("%s", inboxText(cases, c.Now()))
	}
	if more {
		c.beside(asJSON, "inbox", moreCases(all))
	}
	return ExitOK, err
}

// inboxText shows the records that no order claims, the oldest first, with what
// the systems say and how to decide.
func inboxText(cases []workflows.InboxCase, now time.Time) string {
	var b strings.Builder
	for _, k := range cases {
		names := "names no order"
		if k.Order != "" {
			names = "names order " + string(k.Order)
		}
		fmt.Fprintf(&b, "%s %s, for %s, %s\n", k.System, k.Record, ago(k.Since, now), names)
		for _, line := range k.Evidence {
			b.WriteString("    - " + line + "\n")
		}
		if k.Money > 0 {
			fmt.Fprintf(&b, "    at stake: %s\n", order.Amount{Minor: k.Money, Currency: k.Currency})
		}
		switch {
		case k.Decided != nil:
			fmt.Fprintf(&b, "    decided by %s: %s\n", k.Decided.By, k.Decided.Reason)
		case !k.Closed.IsZero():
			fmt.Fprintf(&b, "    closed %s: %s\n", moment(k.Closed, now), k.Outcome)
		case k.Asked.IsZero():
			b.WriteString("    its order may still come; later it is a case\n")
		default:
			b.WriteString(decideInboxText(k, now))
		}
	}
	return b.String() + plural(len(cases), "record") + "\n"
}

// decideInboxText says until when a record should be decided about, and how.
func decideInboxText(k workflows.InboxCase, now time.Time) string {
	text, on := "", ""
	if !k.Deadline.IsZero() {
		text = fmt.Sprintf("    a case for %s; decide until %s%s; then: %s\n", ago(k.Asked, now), k.Deadline.UTC().Format(time.RFC3339), left(k.Deadline, now), k.AtDeadline)
	}
	if k.Token != "" {
		on = " --evidence " + k.Token
	}
	return text + fmt.Sprintf("    %s --link ORDER%s --by NAME --reason TEXT, or --leave; forgotten on %s\n", k.Command(), on, k.Until.UTC().Format(time.DateOnly))
}
