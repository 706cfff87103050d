package reconcile

import (
	"math"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

// drawWants draws repairs of a few orders, alike often enough to meet limits.
func drawWants(t *rapid.T, most int) []Want {
	fields := []Field{CRMDeal, ERPInvoices, PaymentCaptured, InventoryLevel}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Want {
		f := rapid.SampledFrom(fields).Draw(t, "field")
		w := Want{
			Kind: Kind{System: f.System(), Field: f, Situation: rapid.SampledFrom(Situations()).Draw(t, "situation")},
			Item: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "item"), Order: rapid.SampledFrom([]order.ID{"1", "2", "3", "4", "5"}).Draw(t, "order"),
			Money: rapid.SampledFrom([]int64{0, 1, 50, 99, 100, 101, 250, math.MaxInt64 - 2}).Draw(t, "money"), Currency: rapid.SampledFrom([]order.Currency{"EUR", "JPY"}).Draw(t, "currency"),
			Since: now.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "age")) * time.Minute),
		}
		if f == InventoryLevel {
			w.Order = ""
		}
		return w
	}), 0, most).Draw(t, "wants")
}

func limited(t *rapid.T) (Policy, Budget) {
	p := auto()
	count, money := rapid.IntRange(0, 4).Draw(t, "max_count"), rapid.SampledFrom([]int64{0, 100, 300}).Draw(t, "max_money")
	for i := range p.Rules {
		p.Rules[i].MaxCount, p.Rules[i].MaxMoney = count, money
	}
	return p, Budget{Count: rapid.IntRange(0, 8).Draw(t, "count"), Money: rapid.SampledFrom([]int64{0, 100, 400, math.MaxInt64 - 1}).Draw(t, "money")}
}

// over says which limit is exceeded by what was granted, or nothing.
func over(p Policy, hour Budget, purse Purse, at time.Time) string {
	total := Total(Within(purse.Hour, at))
	if total.Count > hour.Count {
		return "the hour's count"
	}
	for _, m := range total.Money {
		if m.Minor > hour.Money {
			return "the hour's money in " + string(m.Currency)
		}
	}
	for _, u := range purse.Run {
		rule := p.Rule(u.Field)
		if rule.MaxCount > 0 && u.Count > rule.MaxCount {
			return "max_count of " + string(u.Field)
		}
		for _, m := range u.Money {
			if rule.MaxMoney > 0 && m.Minor > rule.MaxMoney {
				return "max_money of " + string(u.Field)
			}
		}
	}
	return ""
}

// What is granted stays within every limit, and what is refused would not have.
func TestPurse_GrantedFits_RefusedWouldNot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy, hour := limited(t)
		purse, at := Purse{}, now
		for _, w := range drawWants(t, 30) {
			at = at.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "passes")) * time.Minute)
			why := purse.Refuse(policy, hour, w, at)
			taken := purse.Take(w, at)
			exceeded := over(policy, hour, taken, at)
			if (why == "") != (exceeded == "") {
				t.Fatalf("%+v was refused because %q, and would exceed %q", w, why, exceeded)
			}
			if why == "" {
				purse = taken
			}
			if used := over(policy, hour, purse, at); used != "" {
				t.Fatalf("%s is exceeded", used)
			}
		}
	})
}

// No hour, wherever it begins, has more grants than the budget.
func TestPurse_AnyHour_WithinTheBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hour := Budget{Count: rapid.IntRange(1, 5).Draw(t, "count")}
		policy := auto()
		for i := range policy.Rules {
			policy.Rules[i].MaxCount, policy.Rules[i].MaxMoney = 0, 0
		}
		var granted []time.Time
		purse, at := Purse{}, now
		for range rapid.IntRange(1, 40).Draw(t, "wants") {
			at = at.Add(time.Duration(rapid.IntRange(0, 30*60).Draw(t, "seconds")) * time.Second)
			w := Want{Kind: Kind{System: order.SystemCRM, Field: CRMDeal, Situation: Mismatch}, Order: "1"}
			if purse.Hour = Within(purse.Hour, at); purse.Refuse(policy, hour, w, at) == "" {
				purse, granted = purse.Take(w, at), append(granted, at)
			}
		}
		for i, from := range granted {
			n := 0
			for _, other := range granted[i:] {
				if other.Before(from.Add(time.Hour)) {
					n++
				}
			}
			if n > hour.Count {
				t.Fatalf("within the hour from %s on %d were granted, the budget is %d", from, n, hour.Count)
			}
		}
	})
}

// The moment that a refusal names is the first at which it would be granted.
func TestPurse_RefusedUntil_GrantedThen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hour := Budget{Count: rapid.IntRange(1, 4).Draw(t, "count"), Money: 300}
		policy := auto()
		for i := range policy.Rules {
			policy.Rules[i].MaxCount, policy.Rules[i].MaxMoney = 0, 0
		}
		purse, at := Purse{}, now
		for _, w := range drawWants(t, 12) {
			at = at.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "passes")) * time.Minute)
			why := purse.Refuse(policy, hour, w, at)
			if why == "" {
				purse = purse.Take(w, at)
				continue
			}
			_, until, named := strings.Cut(why, "is used up until ")
			if !named {
				continue // more than the whole budget: never
			}
			first := at
			for purse.Refuse(policy, hour, w, first) != "" {
				first = first.Add(time.Minute)
			}
			if got := first.Format("15:04 MST"); got != until {
				t.Fatalf("%q, and at %s it is granted", why, got)
			}
		}
	})
}

func TestAddSpent_TakenBack_AsBefore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var all []Spent
		wants := drawWants(t, 10)
		for i := range wants {
			wants[i].Money %= 1000 // what overflows cannot be told apart any more
			all = AddSpent(all, wants[i], Slot(now.Add(time.Duration(i)*4*time.Minute)), 1)
		}
		before := Total(all)
		kept := slices.Clone(all)
		for i, w := range wants {
			slot := Slot(now.Add(time.Duration(i) * 4 * time.Minute))
			all = AddSpent(AddSpent(all, w, slot, 1), w, slot, -1)
		}
		if !reflect.DeepEqual(Total(all), before) {
			t.Fatalf("taken and given back: %+v, before %+v", Total(all), before)
		}
		if gone := AddSpent(kept, Want{Money: 5, Currency: "EUR"}, now.Add(-2*time.Hour), -1); !reflect.DeepEqual(gone, kept) {
			t.Fatalf("what counts no more came back: %+v, before %+v", gone, kept)
		}
	})
}

func TestArrange_AllOfThem_OldestOrderFirst_HoweverTheyCome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		wants := drawWants(t, 20)
		arranged := Arrange(wants)
		shuffled := slices.Clone(wants)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := Arrange(shuffled); !slices.Equal(keysOf(again), keysOf(arranged)) {
			t.Fatalf("in another order they are arranged as\n%v and not\n%v", keysOf(again), keysOf(arranged))
		}
		if len(arranged) != len(wants) {
			t.Fatalf("%d of %d are left", len(arranged), len(wants))
		}
		oldest := func(id order.ID) time.Time {
			var at time.Time
			for _, w := range wants {
				if w.Order == id && (at.IsZero() || w.Since.Before(at)) {
					at = w.Since
				}
			}
			return at
		}
		seen := []order.ID{}
		for i, w := range arranged {
			if i > 0 && arranged[i-1].Order == w.Order {
				if w.Since.Before(arranged[i-1].Since) {
					t.Fatalf("within order %s a younger break comes first", w.Order)
				}
				continue
			}
			if slices.Contains(seen, w.Order) {
				t.Fatalf("order %s is torn apart: %v", w.Order, keysOf(arranged))
			}
			if i > 0 && arranged[i-1].Order != "" && oldest(w.Order).Before(oldest(arranged[i-1].Order)) {
				t.Fatalf("order %s with an older break comes after %s", w.Order, arranged[i-1].Order)
			}
			seen = append(seen, w.Order)
		}
	})
}

func keysOf(wants []Want) []string {
	var all []string
	for _, w := range wants {
		all = append(all, string(w.Order)+"/"+w.Kind.String()+"/"+w.Item+"/"+w.Since.String()+order.FormatMinor(w.Money, w.Currency))
	}
	return all
}

func TestOverruns_SumsThatOverflow_AreAboveTheLimit(t *testing.T) {
	t.Parallel()
	if !overruns(math.MaxInt64-2, 5, math.MaxInt64-1) || overruns(math.MaxInt64-2, 1, math.MaxInt64-1) {
		t.Error("a sum that overflows passed for a small one, or one at the limit for one above it")
	}
}
