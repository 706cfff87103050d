package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Budget bounds what one hour may repair: how many times, and of how much money
// at risk, in minor units. The number holds for each currency by itself: amounts
// of two currencies are never added up.
type Budget struct {
	Count int   `json:"count"`
	Money int64 `json:"money"`
}

// Want is one repair that a run asks a grant for.
type Want struct {
	Kind
	Item string `json:"item,omitempty"`
	// Order is empty for the level of a SKU, which is the item.
	Order order.ID `json:"order,omitempty"`
	// Money at risk, or that the repair moves when that is more, in minor units.
	Money    int64          `json:"money,omitempty"`
	Currency order.Currency `json:"currency,omitempty"`
	// Since is when the break was first seen.
	Since time.Time `json:"since"`
}

// WantOf returns what has to be granted for a step.
func WantOf(of order.ID, c order.Currency, s Step) Want {
	return Want{
		Kind: s.Break.Kind(), Item: s.Break.Item, Order: of, Since: s.Break.FirstSeen,
		Money: max(s.Break.Money, s.Amount, 0), Currency: c,
	}
}

// Is says that two wants are for the same repair.
func (w Want) Is(other Want) bool {
	return w.Order == other.Order && w.Kind == other.Kind && w.Item == other.Item
}

// Whose says whose repair it is: an order's, or that of a SKU's level.
func (w Want) Whose() string {
	if w.Order == "" {
		return "the level of " + cmp.Or(w.Item, "nothing")
	}
	return "order " + string(w.Order)
}

// Arrange sorts what is wanted as it is granted: the order with the oldest break
// first and, of equals, the one with the least money at risk; within an order
// the oldest break first, then the least money. What does not fit is left out and what
// comes after it may still fit, so that one large repair holds up no other; next
// time it is the oldest, and is asked about first.
func Arrange(wants []Want) []Want {
	sorted := slices.Clone(wants)
	slices.SortFunc(sorted, compareWants)
	place := map[order.ID]int{} // by an order's oldest break; only looked up
	for i, w := range sorted {
		if _, known := place[w.Order]; !known {
			place[w.Order] = i
		}
	}
	slices.SortStableFunc(sorted, func(a, b Want) int {
		if a.Order == "" || b.Order == "" { // levels belong to no order, and come first
			return cmp.Compare(min(1, len(a.Order)), min(1, len(b.Order)))
		}
		return cmp.Compare(place[a.Order], place[b.Order])
	})
	return sorted
}

func compareWants(a, b Want) int {
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Money, b.Money), cmp.Compare(a.Order, b.Order),
		compareFields(a.Field, b.Field), cmp.Compare(a.Situation, b.Situation), compareItems(a.Item, b.Item), cmp.Compare(a.Currency, b.Currency))
}

// Sum is money in one currency, in minor units.
type Sum struct {
	Currency order.Currency `json:"currency"`
	Minor    int64          `json:"minor"`
}

// mostMinor is the most that a sum can be.
const mostMinor = 1<<63 - 1

// AddSum returns the sums with an amount added to that of its currency. It never
// overflows: what is more than there can be stays at the most.
func AddSum(sums []Sum, c order.Currency, minor int64) []Sum {
	if minor == 0 {
		return sums
	}
	all := slices.Clone(sums)
	n, found := slices.BinarySearchFunc(all, c, func(s Sum, c order.Currency) int { return cmp.Compare(s.Currency, c) })
	if !found {
		all = slices.Insert(all, n, Sum{Currency: c})
	}
	if minor > 0 && all[n].Minor > mostMinor-minor {
		all[n].Minor = mostMinor
	} else {
		all[n].Minor = max(0, all[n].Minor+minor)
	}
	return all
}

// SumOf returns the sum in a currency.
func SumOf(sums []Sum, c order.Currency) int64 {
	for _, s := range sums {
		if s.Currency == c {
			return s.Minor
		}
	}
	return 0
}

// Spent is what was granted within five minutes, from At on.
type Spent struct {
	At    time.Time `json:"at"`
	Count int       `json:"count"`
	Money []Sum     `json:"money,omitempty"`
}

// The budget is that of any hour, not of one that begins at the full hour: what
// was granted counts until an hour has passed. It is kept by five minutes, so
// that little is kept; so it counts for up to five minutes more.
const (
	budgetSlot   = 5 * time.Minute
	budgetWindow = time.Hour
)

// Slot returns the five minutes that a moment is counted in.
func Slot(now time.Time) time.Time { return now.Truncate(budgetSlot) }

// Free returns when it counts no more.
func (s Spent) Free() time.Time { return s.At.Add(budgetSlot + budgetWindow) }

// Within returns what still counts, the oldest first.
func Within(all []Spent, now time.Time) []Spent {
	return slices.DeleteFunc(slices.Clone(all), func(s Spent) bool { return !now.Before(s.Free()) })
}

// Total adds up what was granted.
func Total(all []Spent) Spent {
	var total Spent
	for _, s := range all {
		total.Count += s.Count
		for _, m := range s.Money {
			total.Money = AddSum(total.Money, m.Currency, m.Minor)
		}
	}
	return total
}

// Use is what one run was granted for one field.
type Use struct {
	Field Field `json:"field"`
	Count int   `json:"count"`
	Money []Sum `json:"money,omitempty"`
}

// Purse is what was granted so far: within the hour by all, and by one run.
type Purse struct {
	Hour []Spent
	Run  []Use
}

// Take returns the purse after one more grant.
func (p Purse) Take(w Want, now time.Time) Purse {
	p.Hour = AddSpent(p.Hour, w, Slot(now), 1)
	p.Run = slices.Clone(p.Run)
	n := slices.IndexFunc(p.Run, func(u Use) bool { return u.Field == w.Field })
	if n < 0 {
		p.Run = append(p.Run, Use{Field: w.Field})
		n = len(p.Run) - 1
	}
	p.Run[n].Count++
	p.Run[n].Money = AddSum(p.Run[n].Money, w.Currency, w.Money)
	return p
}

// AddSpent adds a grant to the five minutes that begin at a moment, or takes it
// back with times -1. What counts no more cannot come back.
func AddSpent(all []Spent, w Want, slot time.Time, times int) []Spent {
	out := slices.Clone(all)
	n := slices.IndexFunc(out, func(s Spent) bool { return s.At.Equal(slot) })
	if n < 0 {
		if times < 0 {
			return out
		}
		out = append(out, Spent{At: slot})
		n = len(out) - 1
	}
	out[n].Count = max(0, out[n].Count+times)
	out[n].Money = AddSum(out[n].Money, w.Currency, int64(times)*w.Money)
	return out
}

// Refuse says in one line why a want does not fit into what is left, and what to
// do about it; empty when it fits. The field's own limits are those of one run;
// 0 is no limit of its own.
func (p Purse) Refuse(policy Policy, hour Budget, w Want, now time.Time) string {
	rule := policy.Rule(w.Field)
	var mine Use
	for _, u := range p.Run {
		if u.Field == w.Field {
			mine = u
		}
	}
	amount := func(minor int64) string { return order.Amount{Minor: minor, Currency: w.Currency}.String() }
	limit := strconv.FormatInt(rule.MaxMoney, 10)
	switch {
	case rule.MaxCount > 0 && mine.Count >= rule.MaxCount:
		return fmt.Sprintf("the budget of %d repairs of %s in one run is used up until the next run", rule.MaxCount, w.Field)
	case rule.MaxMoney > 0 && w.Money > rule.MaxMoney:
		return fmt.Sprintf("%s is more than max_money of %s (%s) in the policy; raise it, or put it right by hand", amount(w.Money), w.Field, limit)
	case rule.MaxMoney > 0 && overruns(SumOf(mine.Money, w.Currency), w.Money, rule.MaxMoney):
		return fmt.Sprintf("the budget of %s for repairs of %s in one run is used up until the next run", amount(rule.MaxMoney), w.Field)
	case hour.Count < 1:
		return "the budget of an hour is 0 repairs (TRUEUP_BUDGET_COUNT)"
	case w.Money > hour.Money:
		return fmt.Sprintf("%s is more than the whole budget of an hour (TRUEUP_BUDGET_MONEY); raise it, or put it right by hand", amount(w.Money))
	}
	left := Within(p.Hour, now)
	slices.SortFunc(left, func(a, b Spent) int { return a.At.Compare(b.At) })
	why := ""
	for {
		total := Total(left)
		switch {
		case total.Count >= hour.Count:
			why = fmt.Sprintf("the budget of %d repairs an hour", hour.Count)
		case overruns(SumOf(total.Money, w.Currency), w.Money, hour.Money):
			why = fmt.Sprintf("the budget of %s an hour", amount(hour.Money))
		case why == "":
			return ""
		}
		if total.Count < hour.Count && !overruns(SumOf(total.Money, w.Currency), w.Money, hour.Money) || len(left) == 0 {
			return why + " is used up until " + now.Format("15:04 MST")
		}
		now, left = left[0].Free(), left[1:]
	}
}

// overruns says that used and more together are above a limit, without overflow.
func overruns(used, more, limit int64) bool { return used > limit || more > limit-used }
