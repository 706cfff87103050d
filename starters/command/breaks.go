package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
)

// The orders on which systems disagree: found by visibility, sorted by what the
// asker wants to see first, and for those that are shown with each break as the
// order itself knows it. Stock levels that differ stand among them: they belong to no
// order, and reconciliation knows them.

// broken is one break of one order, as it is shown, or of a stock level, whose order
// is empty.
type broken struct {
	Order order.ID        `json:"order"`
	Break reconcile.Break `json:"break"`
	// Currency of the money at risk.
	Currency order.Currency `json:"currency,omitempty"`
	Age      time.Duration  `json:"age"`
	// Next says what happens next about it.
	Next string `json:"next,omitempty"`
}

// breakFilter says which breaks are shown, and which first.
type breakFilter struct {
	system, kind, by   string
	outcome, agreement string
	olderThan          time.Duration
	limit              int
}

func (f breakFilter) check() error {
	switch {
	case f.system != "" && !slices.Contains(order.Systems(), order.System(f.system)):
		return usage("--system %q is none of the systems %s", f.system, words(order.Systems()))
	case f.olderThan < 0:
		return usage("--older-than is %s; want a duration, as 30m", f.olderThan)
	case f.by != "age" && f.by != "money" && f.by != "system" && f.by != "kind":
		return usage("--sort %q is none of age, money, system, kind", f.by)
	}
	for part := range strings.SplitSeq(f.kind, ".") {
		if strings.ContainsAny(part, " '\"") {
			return usage("--kind %q; want a field, a situation, or both, as revenue.mismatch", f.kind)
		}
	}
	return nil
}

// kinds returns what of an order's kinds, as "crm.revenue.mismatch", is asked for.
func (f breakFilter) kinds(all []string) []string {
	var wanted []string
	for _, kind := range all {
		if f.wants(kind) {
			wanted = append(wanted, kind)
		}
	}
	return wanted
}

func (f breakFilter) wants(kind string) bool {
	system, rest, _ := strings.Cut(kind, ".")
	if f.system != "" && system != f.system {
		return false
	}
	// A kind may be given whole, with or without its system, or by any of its parts.
	return f.kind == "" || kind == f.kind || rest == f.kind || slices.Contains(strings.Split(rest, "."), f.kind)
}

// orders returns the orders to be asked, the most wanted first.
func (f breakFilter) orders(all []starters.Disagreeing, now time.Time) []starters.Disagreeing {
	var wanted []starters.Disagreeing
	for _, d := range all {
		if f.outcome != "" && d.Outcome != f.outcome || f.agreement != "" && d.Agreement != f.agreement {
			continue
		}
		if !d.Oldest.IsZero() && now.Sub(d.Oldest) >= f.olderThan && len(f.kinds(d.Breaks)) > 0 {
			wanted = append(wanted, d)
		}
	}
	first := func(d starters.Disagreeing) string { return f.kinds(d.Breaks)[0] }
	slices.SortStableFunc(wanted, func(x, y starters.Disagreeing) int {
		switch f.by {
		case "money": // minor units of different currencies are not compared
			return cmp.Or(last(x.Stakes.Money == 0, y.Stakes.Money == 0), cmp.Compare(x.Stakes.Currency, y.Stakes.Currency),
				cmp.Compare(y.Stakes.Money, x.Stakes.Money), x.Oldest.Compare(y.Oldest))
		case "system", "kind":
			return cmp.Or(cmp.Compare(first(x), first(y)), x.Oldest.Compare(y.Oldest))
		}
		return x.Oldest.Compare(y.Oldest)
	})
	return wanted
}

// sort sorts the breaks of the orders that are shown.
func (f breakFilter) sort(all []broken) {
	slices.SortStableFunc(all, func(x, y broken) int {
		a, b := x.Break, y.Break
		switch f.by {
		case "money":
			return cmp.Or(last(a.Money == 0, b.Money == 0), cmp.Compare(x.Currency, y.Currency), cmp.Compare(b.Money, a.Money), a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(x.Order, y.Order))
		case "system":
			return cmp.Or(cmp.Compare(a.System, b.System), a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(x.Order, y.Order))
		case "kind":
			return cmp.Or(cmp.Compare(kindOf(a), kindOf(b)), a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(x.Order, y.Order))
		}
		return cmp.Or(a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(x.Order, y.Order))
	})
}

// last puts what it is true of behind the rest.
func last(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

func kindOf(b reconcile.Break) string { return string(b.Field) + "." + string(b.Situation) }

// breaks shows the breaks of the orders that disagree.
func (c *call) breaks(ctx context.Context, client *starters.Client, f breakFilter, asJSON bool) (int, error) {
	all, more, err := client.Disagreeing(ctx)
	if err != nil {
		return 0, err
	}
	wanted := f.orders(all, c.Now())
	left := max(0, len(wanted)-f.limit)
	shown, failed := c.ask(ctx, client, f, wanted[:len(wanted)-left])
	levels, err := c.levels(ctx, client, f)
	failed = errors.Join(failed, err)
	if over := len(levels) - f.limit; over > 0 {
		levels, left = levels[:f.limit], left+over
	}
	shown = append(shown, levels...)
	f.sort(shown)
	if asJSON {
		return ExitOK, errors.Join(c.json(shown), failed)
	}
	c.print("%s", breakTable(shown, c.Now()))
	if left > 0 || more {
		c.print("there are more orders or levels; --limit asks for them, --system, --kind and --older-than for fewer\n")
	}
	return ExitOK, failed
}

// ask asks the orders themselves: the list lags, and knows of no values. What
// could be asked is shown all the same.
func (c *call) ask(ctx context.Context, client *starters.Client, f breakFilter, of []starters.Disagreeing) ([]broken, error) {
	shown := []broken{}
	var failed error
	for _, d := range of {
		v, err := client.Verdict(ctx, d.Order, false)
		if err != nil {
			failed = cmp.Or(failed, fmt.Errorf("these are not all: order %s: %w", d.Order, err))
			continue
		}
		for _, b := range v.Breaks {
			if age := c.Now().Sub(b.FirstSeen); age >= f.olderThan && f.wants(kindOf(b)) {
				shown = append(shown, broken{Order: d.Order, Break: b, Currency: v.Currency, Age: age, Next: nextOf(v, b)})
			}
		}
	}
	return shown, failed
}

// levels returns the stock levels that differ, the oldest first; none where
// reconciliation does not run, for then nobody compares them.
func (c *call) levels(ctx context.Context, client *starters.Client, f breakFilter) ([]broken, error) {
	if f.outcome != "" || f.agreement != "" {
		return nil, nil // these are of orders
	}
	s, err := client.Status(ctx)
	switch {
	case errors.Is(err, starters.ErrNotFound) || errors.Is(err, starters.ErrClosed):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("these are not all: the stock levels that differ: %w", err)
	}
	var all []broken
	for _, b := range s.OldestLevels() {
		if age := c.Now().Sub(b.FirstSeen); age >= f.olderThan && f.wants(kindOf(b)) {
			all = append(all, broken{Break: b, Age: age, Next: reconciliation.LevelState(b)})
		}
	}
	return all, nil
}

// nextOf says what happens next about a break: its case, or who has it.
func nextOf(v reconcile.Verdict, b reconcile.Break) string {
	for _, k := range v.Cases {
		if k.Step.Break.Place() == b.Place() {
			return fmt.Sprintf("case %d", k.N)
		}
	}
	switch {
	case !b.Repaired.IsZero():
		return "to be verified"
	case !b.Owned.IsZero():
		return "under repair"
	case !b.Confirmed.IsZero():
		return "confirmed"
	}
	return "to be confirmed"
}

func breakTable(shown []broken, now time.Time) string {
	rows := [][]string{{"ORDER", "BREAK", "AGE", "AT RISK", "EXPECTED", "SAYS", "RIGHT", "NOW"}}
	risk := map[order.Currency]int64{}
	for _, x := range shown {
		b, money := x.Break, "-"
		if b.Money != 0 {
			money = order.Amount{Minor: b.Money, Currency: x.Currency}.String()
			risk[x.Currency] += b.Money
		}
		rows = append(rows, []string{dash(string(x.Order)), b.ID(), ago(b.FirstSeen, now), money, short(b.Expected), short(b.Observed), b.Right, x.Next})
	}
	text := columns(rows) + plural(len(shown), "break")
	var currencies []order.Currency
	for currency := range risk {
		currencies = append(currencies, currency)
	}
	slices.Sort(currencies)
	for _, currency := range currencies {
		text += ", " + order.Amount{Minor: risk[currency], Currency: currency}.String() + " at risk"
	}
	return text + "\n"
}

// short is a value that fits a column.
func short(value string) string {
	const most = 30
	runes := []rune(dash(value))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most-1]) + "…"
}
