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
// order itself knows it. Stock levels that differ stand among them, and the incidents
// whose orders are not bothered with them: reconciliation knows both.

// broken is one break of one order, as it is shown, or of a stock level or of an
// incident, whose order is empty.
type broken struct {
	Order order.ID        `json:"order"`
	Break reconcile.Break `json:"break"`
	// Currency of the money at risk.
	Currency order.Currency `json:"currency,omitempty"`
	Age      time.Duration  `json:"age"`
	// Next says what happens next about it.
	Next string `json:"next,omitempty"`
	// Group is the incident that the row is of: then Break says no more than its kind,
	// since when it is there, and the money of its first currency.
	Group *inGroup `json:"group,omitempty"`
}

// inGroup says which incident it is, and of how many orders that are in no row of
// their own, with how much at risk.
type inGroup struct {
	N      int                       `json:"n"`
	State  reconciliation.GroupState `json:"state"`
	Orders int                       `json:"orders"`
	Money  []reconcile.Sum           `json:"money,omitempty"`
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
	return f.checkKind()
}

// checkKind refuses a kind with a part that no break has.
func (f breakFilter) checkKind() error {
	if f.kind == "" {
		return nil
	}
	var parts []string
	for _, o := range order.Operations() { // a break in a refused operation, or one in doubt, is named by it
		parts = append(parts, string(o))
	}
	for _, field := range reconcile.Fields() {
		parts = append(parts, strings.Split(string(field), ".")...)
	}
	for _, s := range reconcile.Situations() {
		parts = append(parts, string(s))
	}
	for part := range strings.SplitSeq(f.kind, ".") {
		if !slices.Contains(parts, part) {
			return usage("--kind %q: no break has %q; want a field, a situation, or both, as revenue, mismatch, crm.revenue or crm.revenue.mismatch; `trueup policy` prints the fields", f.kind, part)
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
	// A kind may be given whole, with or without its system, as a field with its system,
	// or by any of its parts.
	return f.kind == "" || kind == f.kind || rest == f.kind || strings.HasPrefix(kind, f.kind+".") || slices.Contains(strings.Split(rest, "."), f.kind)
}

// wantsGroup asks of an incident of a whole system whether any of its fields is
// wanted. Levels are no field of orders.
func (f breakFilter) wantsGroup(k reconcile.Kind) bool {
	if k.Field != "" {
		return f.wants(k.String())
	}
	for _, field := range reconcile.Fields() {
		for _, s := range reconcile.Situations() {
			one := reconcile.Kind{System: field.System(), Field: field, Situation: s}
			if field != reconcile.InventoryLevel && k.Covers(one) && f.wants(one.String()) {
				return true
			}
		}
	}
	return false
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

func kindOf(b reconcile.Break) string { return b.Kind().String() }

// breaks shows the breaks of the orders that disagree.
func (c *call) breaks(ctx context.Context, client *starters.Client, f breakFilter, asJSON bool) (int, error) {
	all, more, err := client.Disagreeing(ctx)
	if err != nil {
		return 0, err
	}
	wanted := f.orders(all, c.Now())
	left := max(0, len(wanted)-f.limit)
	shown, failed := c.ask(ctx, client, f, wanted[:len(wanted)-left])
	status, err := c.standing(ctx, client, f)
	failed = errors.Join(failed, err)
	for _, more := range [][]broken{c.levels(status, f), c.groups(status, all, f)} {
		if over := len(more) - f.limit; over > 0 {
			more, left = more[:f.limit], left+over
		}
		shown = append(shown, more...)
	}
	f.sort(shown)
	if asJSON {
		failed = errors.Join(c.json(shown), failed)
	} else {
		c.print("%s", breakTable(shown, c.Now()))
	}
	if left > 0 || more {
		c.beside(asJSON, "orders", "there are more orders, levels or groups; --limit asks for them, --system, --kind and --older-than for fewer")
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

// standing returns what reconciliation knows; nothing where it does not run, for then
// nobody compares levels or finds incidents, and where only orders are asked for.
func (c *call) standing(ctx context.Context, client *starters.Client, f breakFilter) (reconciliation.Status, error) {
	if f.outcome != "" || f.agreement != "" {
		return reconciliation.Status{}, nil // these are of orders
	}
	s, err := client.Status(ctx)
	switch {
	case errors.Is(err, starters.ErrNotFound) || errors.Is(err, starters.ErrClosed):
		return reconciliation.Status{}, nil
	case err != nil:
		return reconciliation.Status{}, fmt.Errorf("these are not all: the stock levels that differ, and the groups: %w", err)
	}
	return s, nil
}

// levels returns the stock levels that differ, the oldest first.
func (c *call) levels(s reconciliation.Status, f breakFilter) []broken {
	var all []broken
	for _, b := range s.OldestLevels() {
		if age := c.Now().Sub(b.FirstSeen); age >= f.olderThan && f.wants(kindOf(b)) {
			all = append(all, broken{Break: b, Age: age, Next: reconciliation.LevelState(b)})
		}
	}
	return all
}

// groups returns the incidents that are not over, the oldest first, each with what of
// it no order says itself.
func (c *call) groups(s reconciliation.Status, orders []starters.Disagreeing, f breakFilter) []broken {
	var all []broken
	for _, u := range starters.UntoldOf(s, orders) {
		age := c.Now().Sub(u.Since)
		if age < f.olderThan || !f.wantsGroup(u.Kind) {
			continue
		}
		row := broken{
			Break: reconcile.Break{System: u.Kind.System, Field: u.Kind.Field, Situation: u.Kind.Situation, FirstSeen: u.Since},
			Age:   age, Next: u.Waits(), Group: &inGroup{N: u.N, State: u.State, Orders: u.Orders, Money: u.Risk},
		}
		if len(u.Risk) > 0 {
			row.Break.Money, row.Currency = u.Risk[0].Minor, u.Risk[0].Currency
		}
		all = append(all, row)
	}
	slices.SortStableFunc(all, func(x, y broken) int { return x.Break.FirstSeen.Compare(y.Break.FirstSeen) })
	return all
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

// risk is what is at risk in a row.
func (x broken) risk() []reconcile.Sum {
	switch {
	case x.Group != nil:
		return x.Group.Money
	case x.Break.Money == 0:
		return nil
	}
	return []reconcile.Sum{{Currency: x.Currency, Minor: x.Break.Money}}
}

// of says whose break it is.
func (x broken) of() string {
	if x.Group == nil || x.Group.Orders == 0 {
		return dash(string(x.Order))
	}
	return plural(x.Group.Orders, "order")
}

func breakTable(shown []broken, now time.Time) string {
	rows := [][]string{{"ORDER", "BREAK", "AGE", "AT RISK", "EXPECTED", "SAYS", "RIGHT", "NOW"}}
	var risk []reconcile.Sum
	groups, orders := 0, 0
	for _, x := range shown {
		b, what := x.Break, x.Break.ID()
		if x.Group != nil {
			what, groups, orders = b.Kind().String(), groups+1, orders+x.Group.Orders
		}
		for _, sum := range x.risk() {
			risk = reconcile.AddSum(risk, sum.Currency, sum.Minor)
		}
		rows = append(rows, []string{x.of(), what, ago(b.FirstSeen, now), dash(reconciliation.Amounts(x.risk())), short(b.Expected), short(b.Observed), dash(b.Right), x.Next})
	}
	text := columns(rows) + plural(len(shown)-groups, "break")
	if groups > 0 {
		text += fmt.Sprintf(" and %s in %s", plural(orders, "order"), plural(groups, "group"))
	}
	for _, sum := range risk {
		text += ", " + order.Amount{Minor: sum.Minor, Currency: sum.Currency}.String() + " at risk"
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
