package reconcile

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

func drawKind(t *rapid.T) Kind {
	f := rapid.SampledFrom(Fields()).Draw(t, "field")
	k := Kind{System: f.System(), Field: f, Situation: rapid.SampledFrom(Situations()).Draw(t, "situation")}
	switch rapid.IntRange(0, 3).Draw(t, "width") {
	case 0:
		return Kind{}
	case 1:
		return Kind{System: k.System}
	case 2:
		k.Situation = ""
	}
	return k
}

func TestKind_WrittenAndRead_TheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := drawKind(t)
		if k == (Kind{}) {
			return // everything has a switch of its own
		}
		if again, err := ParseKind(k.String()); err != nil || again != k {
			t.Fatalf("%s was read as %+v, %v", k, again, err)
		}
	})
}

func TestKind_Covers_WhatBeginsLikeIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawKind(t), drawKind(t)
		want := a == Kind{} || a == b || strings.HasPrefix(b.String(), a.String()+".")
		if a.Covers(b) != want {
			t.Fatalf("%s covers %s: %v", a, b, a.Covers(b))
		}
	})
}

func TestParseKind_Unknown_SaysWhatThereIs(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"": "payment, inventory, warehouse, erp, crm, mail", "sap": "payment", "erp.bills": "erp.sale, erp.invoices", "erp.": "erp.sale",
		"crm.deal.lost": "missing, unexpected", "crm.deal.mismatch.1": "missing", "everything": "payment", "CRM": "payment",
	} {
		if k, err := ParseKind(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is %+v, %v; want an error that says %q", text, k, err, says)
		}
	}
}

// drawFindings draws breaks of so many orders, often of few kinds.
func drawFindings(t *rapid.T, orders int) []Finding {
	fields := []Field{CRMDeal, CRMRevenue, ERPSale, ERPInvoices}
	var all []Finding
	for n := range orders {
		for range rapid.IntRange(0, 3).Draw(t, "breaks") {
			f := rapid.SampledFrom(fields).Draw(t, "field")
			all = append(all, Finding{
				Of: fmt.Sprintf("%03d", n), Currency: rapid.SampledFrom([]order.Currency{"EUR", "JPY"}).Draw(t, "currency"), Fresh: rapid.IntRange(0, 9).Draw(t, "fresh") > 0,
				Step: Step{
					Decision: rapid.SampledFrom([]Decision{Repair, Repair, Repair, Ask, Adopt, Report, Ignore}).Draw(t, "decision"),
					Break: Break{
						System: f.System(), Field: f, Situation: rapid.SampledFrom([]Situation{Missing, Missing, Mismatch}).Draw(t, "situation"),
						Item: rapid.SampledFrom([]string{"", "a"}).Draw(t, "item"), Money: rapid.Int64Range(0, 100).Draw(t, "money"),
						FirstSeen: now.Add(-time.Duration(rapid.IntRange(0, 100).Draw(t, "age")) * time.Second),
					},
				},
			})
		}
	}
	return all
}

func drawThresholds(t *rapid.T) Thresholds {
	return Thresholds{Orders: rapid.IntRange(1, 6).Draw(t, "orders"), Percent: rapid.SampledFrom([]int{1, 10, 25, 30, 50, 75, 100}).Draw(t, "percent"), Most: rapid.IntRange(1, 12).Draw(t, "most")}
}

// ordersWith counts by brute force how many orders would be acted on for a kind
// that is fresh.
func ordersWith(findings []Finding, of func(Break) bool) int {
	seen := map[string]bool{}
	for _, f := range findings {
		if f.Fresh && f.Step.Decision != Report && f.Step.Decision != Ignore && of(f.Step.Break) {
			seen[f.Of] = true
		}
	}
	return len(seen)
}

func TestIncidents_ExactlyTheKindsOfWhichThereAreTooMany(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		orders := rapid.IntRange(0, 15).Draw(t, "orders")
		looked := orders + rapid.IntRange(0, 20).Draw(t, "others")
		limits, findings := drawThresholds(t), drawFindings(t, orders)
		incidents := Incidents(limits, looked, findings)
		covered := func(k Kind) bool {
			return slices.ContainsFunc(incidents, func(i Incident) bool { return i.Kind.Covers(k) })
		}
		for _, f := range findings {
			k := f.Step.Break.Kind()
			n := ordersWith(findings, func(b Break) bool { return b.Kind() == k })
			many := n > limits.Most || n >= limits.Orders && float64(n) > float64(limits.Percent)/100*float64(looked)
			missing := ordersWith(findings, func(b Break) bool { return b.System == k.System && b.Situation == Missing })
			short := missing >= limits.Orders && 2*missing > looked && float64(missing) > float64(limits.Percent)/100*float64(looked)
			if covered(k) != (many || short) {
				t.Fatalf("%d of %d have %s, %d miss something there; limits %+v: incidents %+v", n, looked, k, missing, limits, incidents)
			}
			if covered(Kind{System: k.System}) != short {
				t.Fatalf("%d of %d miss something in %s; limits %+v: incidents %+v", missing, looked, k.System, limits, incidents)
			}
		}
		for n, i := range incidents {
			if slices.ContainsFunc(incidents[n+1:], func(o Incident) bool { return i.Kind.Covers(o.Kind) || o.Kind.Covers(i.Kind) }) {
				t.Fatalf("one thing is two incidents: %+v", incidents)
			}
		}
	})
}

func TestIncidents_OrderOfFindings_Irrelevant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits, findings := drawThresholds(t), drawFindings(t, 12)
		want := Incidents(limits, 12, findings)
		shuffled := slices.Clone(findings)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := Incidents(limits, 12, shuffled); !reflect.DeepEqual(got, want) {
			t.Fatalf("in another order %+v, and not %+v", got, want)
		}
	})
}

// What is known and waits for its person is no incident, however much it is.
func TestIncidents_NothingFreshOrActedOn_None(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		findings := drawFindings(t, 12)
		for i := range findings {
			if f := &findings[i]; rapid.Bool().Draw(t, "known") {
				f.Fresh = false
			} else {
				f.Step.Decision = rapid.SampledFrom([]Decision{Report, Ignore}).Draw(t, "decision")
			}
		}
		if got := Incidents(drawThresholds(t), 12, findings); len(got) > 0 {
			t.Fatalf("incidents %+v", got)
		}
	})
}

func TestTally_CountsOrdersBreaksAndMoney(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k, findings := drawKind(t), drawFindings(t, 10)
		i := Tally(k, 10, findings)
		breaks, repairs, euros, oldest := 0, 0, int64(0), time.Time{}
		seen := map[string]bool{}
		for _, f := range findings {
			b := f.Step.Break
			if k != (Kind{}) && b.Kind() != k && !strings.HasPrefix(b.Kind().String(), k.String()+".") {
				continue
			}
			seen[f.Of] = true
			breaks++
			if f.Step.Decision == Repair {
				repairs++
			}
			if f.Currency == "EUR" {
				euros += b.Money
			}
			if oldest.IsZero() || b.FirstSeen.Before(oldest) {
				oldest = b.FirstSeen
			}
		}
		if i.Orders != len(seen) || len(i.Members) != len(seen) || i.Breaks != breaks || i.Repairs != repairs || SumOf(i.Money, "EUR") != euros || !i.Since.Equal(oldest) {
			t.Fatalf("%+v; want %d orders, %d breaks, %d repairs, %d EUR, since %s", i, len(seen), breaks, repairs, euros, oldest)
		}
		if !slices.IsSorted(i.Members) {
			t.Fatalf("members %v", i.Members)
		}
	})
}
