package command

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// wishes are the commands that ask something of an order.
func wishes() []one {
	return []one{
		{"attempt", "ORDER --method METHOD|--intent INTENT --by NAME", "pay once more, or otherwise, while the order is not paid", attempt},
		{"amend", "ORDER --drop LINE=N,...|--ship-to FILE|- --by NAME --reason TEXT", "take pieces out of an order, or send it elsewhere, while it is not packed", amend},
		{"answer", "ORDER amend|wait|cancel --by NAME", "answer what the customer was asked", answer},
		{"return", "ORDER --lines LINE=N,... --by NAME --reason TEXT", "announce goods that come back; their money follows once they are there", giveBack},
		{"refund", "ORDER [--amount 12.50 [--currency EUR]] --by NAME --reason TEXT", "give money back; without an amount all that is left", refund},
		{"decide", "ORDER CASE --as DECISION [--evidence TOKEN] --by NAME --reason TEXT [--amount 12.50]", "close a case; trueup cases prints the command for each decision", decide},
	}
}

// wish has the flags that all wishes have in common.
type wish struct {
	by, reason, id *string
	wait           *time.Duration
	asJSON         *bool
	needsReason    bool
}

func wishOf(f *flag.FlagSet, needsReason bool) wish {
	return wish{
		by:          f.String("by", "", "who asks; recorded as unverified until there are identities"),
		reason:      f.String("reason", "", "why"),
		id:          f.String("id", "", "names the wish: sent again it is answered again and done once; without one, equal wishes are one, so that the same once more needs one"),
		wait:        f.Duration("wait", 30*time.Second, "how long to wait for an answer"),
		asJSON:      f.Bool("json", false, "print the answer as JSON"),
		needsReason: needsReason,
	}
}

// asked reads who asks, and why.
func (w wish) asked() (workflows.Asked, error) {
	reason := *w.reason
	if reason == "" && !w.needsReason {
		reason = "none needed"
	}
	if problems := starters.CheckAsked(*w.by, reason); len(problems) > 0 {
		return workflows.Asked{}, usage("--%s %s", problems[0].Field, problems[0].Reason)
	}
	return workflows.Asked{ID: *w.id, By: *w.by, Reason: *w.reason}, nil
}

// order reads the order, the first argument of how many there must be, and who
// asks.
func (w wish) order(args []string, want ...string) (order.ID, workflows.Asked, error) {
	if len(args) != len(want)+1 {
		return "", workflows.Asked{}, usage("want %s", strings.Join(append([]string{"an order"}, want...), " and "))
	}
	id, err := orderID(args[0])
	if err != nil {
		return "", workflows.Asked{}, err
	}
	asked, err := w.asked()
	return id, asked, err
}

// send connects, sends a wish and prints the reply.
func (c *call) send(w wish, ask func(ctx context.Context, client *starters.Client) (workflows.Reply, error)) (int, error) {
	client, err := c.client()
	if err != nil {
		return 0, err
	}
	ctx, stop := c.within(*w.wait)
	defer stop()
	r, err := ask(ctx, client)
	if err != nil {
		return 0, err
	}
	if *w.asJSON {
		err = c.json(r)
	} else {
		c.print("%s", replyText(r))
	}
	return replyCode(r), err
}

func replyText(r workflows.Reply) string {
	head := "order " + string(r.Order) + ": "
	switch {
	case r.Refused != "":
		return head + "not done: " + r.Refused + "\n"
	case r.Pending != "":
		return head + r.Pending + "\n"
	case r.Declined != "":
		return head + r.Request + " was declined (" + r.Declined + "); try another, or the same once more with an --id of its own\n"
	}
	text := head + r.Request + " is taken up (" + string(r.Outcome) + ", phase " + string(r.Phase) + ")\n"
	if r.Next != nil { // a secret of the customer's, so it is not shown by itself
		text += "the customer has to act before it is paid (" + r.Next.Kind + "); --json prints the step\n"
	}
	return text
}

func replyCode(r workflows.Reply) int {
	switch {
	case r.Refused != "", r.Declined != "" && r.Pending == "":
		return ExitRefused
	case r.Pending != "":
		return ExitInProgress
	}
	return ExitOK
}

func attempt(f *flag.FlagSet) func(*call, []string) (int, error) {
	w := wishOf(f, false)
	method := f.String("method", "", "the payment method, as the gateway calls it (pm_...)")
	intent := f.String("intent", "", "a payment that the checkout has begun at the gateway (pi_...)")
	reusable := f.Bool("reusable", false, "the customer agrees to be charged again without being there")
	return func(c *call, args []string) (int, error) {
		id, asked, err := w.order(args)
		if err != nil {
			return 0, err
		}
		if (*method == "") == (*intent == "") {
			return 0, usage("want either --method or --intent")
		}
		m := workflows.Attempt{Asked: asked, Payment: order.Payment{Method: *method, Intent: *intent, Reusable: *reusable}}
		return c.send(w, func(ctx context.Context, client *starters.Client) (workflows.Reply, error) {
			return client.Attempt(ctx, id, m)
		})
	}
}

func amend(f *flag.FlagSet) func(*call, []string) (int, error) {
	w := wishOf(f, true)
	drop := piecesFlag(f, "drop", "what the customer does not want any more: pieces by the order's line, as 1=2,3=1; may be repeated")
	shipTo := f.String("ship-to", "", "a file with the new address as JSON, in the form that an order has; - is the standard input")
	return func(c *call, args []string) (int, error) {
		id, asked, err := w.order(args)
		if err != nil {
			return 0, err
		}
		if (len(*drop) == 0) == (*shipTo == "") {
			return 0, usage("want --drop or --ship-to, one of them at a time")
		}
		m := workflows.Amend{Asked: asked, Drop: *drop}
		if *shipTo != "" {
			if m.ShipTo, err = c.address(*shipTo); err != nil {
				return 0, err
			}
		}
		return c.send(w, func(ctx context.Context, client *starters.Client) (workflows.Reply, error) {
			return client.Amend(ctx, id, m)
		})
	}
}

// address reads an address strictly from a file.
func (c *call) address(name string) (*order.Address, error) {
	data, err := c.file(name)
	if err != nil {
		return nil, err
	}
	var a order.Address
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return nil, usage("--ship-to: %s is not an address: %v", name, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, usage("--ship-to: %s has data after the address", name)
	}
	return &a, nil
}

func answer(f *flag.FlagSet) func(*call, []string) (int, error) {
	w := wishOf(f, false)
	return func(c *call, args []string) (int, error) {
		id, asked, err := w.order(args, "an answer (amend, wait or cancel)")
		if err != nil {
			return 0, err
		}
		m := workflows.Answer{Asked: asked, Choice: workflows.Choice(args[1])}
		if !slices.Contains(starters.Choices(), m.Choice) {
			return 0, usage("%q is no answer; want one of %s", args[1], list(starters.Choices()))
		}
		return c.send(w, func(ctx context.Context, client *starters.Client) (workflows.Reply, error) {
			return client.Answer(ctx, id, m)
		})
	}
}

func giveBack(f *flag.FlagSet) func(*call, []string) (int, error) {
	w := wishOf(f, true)
	lines := piecesFlag(f, "lines", "what comes back: pieces by the order's line, as 1=2,3=1; may be repeated")
	return func(c *call, args []string) (int, error) {
		id, asked, err := w.order(args)
		if err != nil {
			return 0, err
		}
		if len(*lines) == 0 {
			return 0, usage("want --lines")
		}
		m := workflows.Return{Asked: asked, Lines: *lines}
		return c.send(w, func(ctx context.Context, client *starters.Client) (workflows.Reply, error) {
			return client.Return(ctx, id, m)
		})
	}
}

func refund(f *flag.FlagSet) func(*call, []string) (int, error) {
	w := wishOf(f, true)
	amount := f.String("amount", "", "how much, as 12.50; without it all that is left")
	currency := f.String("currency", "", "must be the order's, which is taken when it is left out")
	return func(c *call, args []string) (int, error) {
		id, asked, err := w.order(args)
		if err != nil {
			return 0, err
		}
		if *amount == "" && *currency != "" {
			return 0, usage("--currency belongs to an --amount")
		}
		return c.send(w, func(ctx context.Context, client *starters.Client) (workflows.Reply, error) {
			m := workflows.Refund{Asked: asked}
			if m.Amount, m.Currency, err = minor(ctx, client, id, *amount, order.Currency(*currency)); err != nil {
				return workflows.Reply{}, err
			}
			return client.Refund(ctx, id, m)
		})
	}
}

func decide(f *flag.FlagSet) func(*call, []string) (int, error) {
	w := wishOf(f, true)
	as := f.String("as", "", "what is decided: "+list(starters.Decisions()))
	amount := f.String("amount", "", "how much to refund, as 12.50; without it all that is left")
	evidence := f.String("evidence", "", "the evidence that it is decided on, as trueup cases shows it; when it is not so any more nothing is done")
	return func(c *call, args []string) (int, error) {
		id, asked, err := w.order(args, "the number of a case")
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 1 {
			return 0, usage("%q is not the number of a case; trueup cases lists them", args[1])
		}
		if !slices.Contains(starters.Decisions(), workflows.Decision(*as)) {
			return 0, usage("--as %q is no decision; want one of %s", *as, list(starters.Decisions()))
		}
		if *amount != "" && workflows.Decision(*as) != workflows.DecideRefund {
			return 0, usage("--amount belongs to --as %s", workflows.DecideRefund)
		}
		return c.send(w, func(ctx context.Context, client *starters.Client) (workflows.Reply, error) {
			m := workflows.Decide{Asked: asked, Case: n, As: workflows.Decision(*as), Evidence: *evidence}
			if m.Amount, _, err = minor(ctx, client, id, *amount, ""); err != nil {
				return workflows.Reply{}, err
			}
			return client.Decide(ctx, id, m)
		})
	}
}

// minor reads an amount in major units, exactly. Its currency is the order's,
// which the verdict tells, unless it was given; the order's workflow compares.
func minor(ctx context.Context, client *starters.Client, id order.ID, amount string, currency order.Currency) (int64, order.Currency, error) {
	if amount == "" {
		return 0, "", nil
	}
	if currency == "" {
		v, err := client.Verdict(ctx, id, false)
		if err != nil {
			return 0, "", err
		}
		currency = v.Currency
	}
	n, err := order.ParseMinor(amount, currency)
	if err != nil {
		return 0, "", usage("--amount: %v", err)
	}
	if n < 1 { // 0 would mean all that is left
		return 0, "", usage("--amount %s is not more than nothing; leave it out for all that is left", amount)
	}
	return n, currency, nil
}

// piecesFlag is a flag of pieces by the line of an order.
func piecesFlag(f *flag.FlagSet, name, does string) *[]order.Quantity {
	var pieces []order.Quantity
	f.Func(name, does, func(text string) error {
		for item := range strings.SplitSeq(text, ",") {
			line, quantity, ok := strings.Cut(strings.TrimSpace(item), "=")
			n, noLine := strconv.Atoi(line)
			q, noQuantity := strconv.ParseInt(quantity, 10, 64)
			if !ok || noLine != nil || noQuantity != nil || n < 1 || q < 1 {
				return fmt.Errorf("%q is not LINE=PIECES, as 1=2", item)
			}
			pieces = append(pieces, order.Quantity{Line: n, Quantity: q})
		}
		return nil
	})
	return &pieces
}

// list writes the words of a closed set.
func list[T ~string](words []T) string {
	texts := make([]string, 0, len(words))
	for _, word := range words {
		texts = append(texts, string(word))
	}
	return strings.Join(texts, ", ")
}
