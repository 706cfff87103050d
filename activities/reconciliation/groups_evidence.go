package reconciliation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What a decision about an incident rests on. An incident is never quite the same
// for two runs, so its token is no digest of its numbers: it has them in it, as
// "12.EUR30000.5c1f0a9be27d", and the rest says where the incident stood.

// Evidence is the token of what a decision about the incident would rest on now:
// how many orders have it, the money at risk, where it stands and by whose
// decision, and whether anything of it would be repaired.
func (g Group) Evidence() string {
	parts := []string{strconv.Itoa(g.Orders)}
	money := slices.SortedFunc(slices.Values(g.Money), func(a, b reconcile.Sum) int { return strings.Compare(string(a.Currency), string(b.Currency)) })
	for _, sum := range money {
		parts = append(parts, string(sum.Currency)+strconv.FormatInt(sum.Minor, 10))
	}
	numbers := strings.Join(parts, ".")
	return numbers + "." + g.stood(numbers)
}

// stood is a digest of where the incident stands, and of the numbers with which
// that was shown: who mistypes one of them has no evidence.
func (g Group) stood(numbers string) string {
	text := fmt.Sprintf("%d %s %t %s %q %q %s %s %t %s", g.N, g.Kind, g.Short, g.State, g.Decided, g.By,
		g.At.UTC().Format(time.RFC3339Nano), g.AskedAt().UTC().Format(time.RFC3339Nano), g.Repairs > 0, numbers)
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:6])
}

// Stale says why the incident does not rest any more on what a decision was made
// on, or nothing. A few more or fewer orders do not count, nor what they are worth.
func (g Group) Stale(evidence string) string {
	parts := strings.Split(evidence, ".")
	orders, err := strconv.Atoi(parts[0])
	if err != nil || len(parts) < 2 {
		return fmt.Sprintf("%q is not the evidence of a group, as trueup groups shows it", evidence)
	}
	last := len(parts) - 1
	if parts[last] != g.stood(strings.Join(parts[:last], ".")) {
		return "it stands elsewhere by now, somebody has decided meanwhile, or that was never its evidence"
	}
	if Doubled(g.Orders, orders) {
		return fmt.Sprintf("%d orders had it, and now %d", orders, g.Orders)
	}
	for _, sum := range g.Money {
		if was := riskIn(parts[1:last], sum.Currency); sum.Minor > was && sum.Minor-was >= was {
			return fmt.Sprintf("%s was at risk, and now %s", order.Amount{Minor: was, Currency: sum.Currency}, order.Amount{Minor: sum.Minor, Currency: sum.Currency})
		}
	}
	return ""
}

// riskIn reads in a token how much was at risk in a currency.
func riskIn(sums []string, c order.Currency) int64 {
	for _, sum := range sums {
		if text, found := strings.CutPrefix(sum, string(c)); found {
			minor, err := strconv.ParseInt(text, 10, 64)
			if err == nil {
				return minor
			}
		}
	}
	return 0
}

// Doubled says that so many orders are twice as many as there were, or half as
// many: fewer do not make another incident of it.
func Doubled(is, was int) bool { return is != was && (is >= 2*was || 2*is <= was) }
