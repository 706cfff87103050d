package reconciliation

import (
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A token holds while the incident is what it was for whoever reads it: runs find a
// few more or fewer orders, and what is clearly something else is refused.
func TestGroup_Stale_ClearlySomethingElse(t *testing.T) {
	t.Parallel()
	opened := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	shown := func() Group {
		return Group{
			N: 3, Kind: reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}, State: GroupOpen,
			Orders: 12, Looked: 12, Breaks: 12, Repairs: 12, Opened: opened, Asked: opened,
			Money: []reconcile.Sum{{Currency: "EUR", Minor: 30_000}, {Currency: "JPY", Minor: 700}},
		}
	}
	token := shown().Evidence()
	for _, c := range []struct {
		name   string
		change func(g *Group)
		stale  string
	}{
		{"the same", func(*Group) {}, ""},
		{"read elsewhere", func(g *Group) { g.Opened, g.Asked = g.Opened.Local(), g.Asked.In(time.FixedZone("x", 3600)) }, ""},
		{"a few more", func(g *Group) { g.Orders, g.Looked, g.Breaks, g.Repairs, g.Money[0].Minor = 23, 40, 25, 24, 59_999 }, ""},
		{"a few fewer", func(g *Group) { g.Orders, g.Repairs, g.Money = 7, 7, []reconcile.Sum{{Currency: "EUR", Minor: 100}} }, ""},
		{"another example", func(g *Group) { g.Sample, g.Run = []string{"9"}, "another" }, ""},
		{"twice as many", func(g *Group) { g.Orders = 24 }, "12 orders had it, and now 24"},
		{"half as many", func(g *Group) { g.Orders = 6 }, "12 orders had it, and now 6"},
		{"none", func(g *Group) { g.Orders = 0 }, "and now 0"},
		{"twice the money", func(g *Group) { g.Money[0].Minor = 60_000 }, "300.00 EUR was at risk, and now 600.00 EUR"},
		{"twice the money of another currency", func(g *Group) { g.Money[1].Minor = 1400 }, "700 JPY was at risk, and now 1400 JPY"},
		{"money of a currency of which none was", func(g *Group) { g.Money = append(g.Money, reconcile.Sum{Currency: "USD", Minor: 1}) }, "0.00 USD was at risk, and now 0.01 USD"},
		{"more than can be counted", func(g *Group) { g.Money[0].Minor = 1<<63 - 1 }, "was at risk"},
		{"somebody repairs", func(g *Group) { g.State, g.Decided, g.By, g.At = GroupTrying, "repair", "ada", opened.Add(time.Hour) }, "elsewhere"},
		{"somebody left it", func(g *Group) { g.State, g.Decided, g.By, g.At = GroupLeft, "leave", "ada", opened.Add(time.Hour) }, "elsewhere"},
		{"stopped again", func(g *Group) { g.Asked = opened.Add(2 * time.Hour) }, "elsewhere"},
		{"nothing of it would be repaired any more", func(g *Group) { g.Repairs = 0 }, "elsewhere"},
		{"another group", func(g *Group) { g.N = 4 }, "elsewhere"},
		{"most of a system's records are missing", func(g *Group) { g.Short = true }, "elsewhere"},
	} {
		is := shown()
		c.change(&is)
		if why := is.Stale(token); (why == "") != (c.stale == "") || !strings.Contains(why, c.stale) {
			t.Errorf("%s: stale is %q, want %q", c.name, why, c.stale)
		}
		if why := is.Stale(is.Evidence()); why != "" {
			t.Errorf("%s: its own evidence is refused: %s", c.name, why)
		}
	}
	digest := token[strings.LastIndex(token, "."):]
	for _, wrong := range []string{"x", "12", "12.", "9999" + digest, "12.EUR90000.JPY700" + digest, token + ".1", digest, strings.Repeat("9", 400)} {
		if shown().Stale(wrong) == "" {
			t.Errorf("%q is taken for evidence", wrong)
		}
	}
}

// The order in which money is counted makes no other evidence.
func TestGroup_Evidence_SortsMoney(t *testing.T) {
	t.Parallel()
	a := Group{N: 1, Money: []reconcile.Sum{{Currency: "EUR", Minor: 1}, {Currency: "USD", Minor: 2}}}
	b := Group{N: 1, Money: []reconcile.Sum{{Currency: "USD", Minor: 2}, {Currency: "EUR", Minor: 1}}}
	if a.Evidence() != b.Evidence() {
		t.Errorf("%s and %s", a.Evidence(), b.Evidence())
	}
}
