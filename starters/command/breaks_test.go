package command_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/command"
	"github.com/trueup-orders/trueup/workflows"
)

// Stock levels that differ belong to no order: they stand among the breaks of orders,
// by their age, and in the status.
func TestOrders_Breaks_AndStatus_TellOfLevels(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	level := func(sku string, since time.Duration, confirmed, repaired time.Time) reconcile.Break {
		return reconcile.Break{
			System: order.SystemInventory, Field: reconcile.InventoryLevel, Situation: reconcile.Mismatch, Item: sku, Expected: "100", Observed: "40",
			Right: "warehouse", LastAgreed: ago(since + 15*time.Minute), FirstSeen: ago(since), Confirmed: confirmed, Repaired: repaired,
		}
	}
	status := reconciliation.Status{
		Since: ago(48 * time.Hour), SKUs: []string{"CAP", "MUG", "SOCK", "TSHIRT"}, Moving: []reconciliation.MovingLevel{{SKU: "CAP", Since: ago(3 * time.Hour)}},
		Levels: []reconcile.Break{level("MUG", time.Hour, noon, time.Time{}), level("SOCK", 5*time.Hour, noon, noon), level("TSHIRT", time.Minute, time.Time{}, time.Time{})},
	}
	x := newTerminal(t)
	sale := reconcile.Break{System: order.SystemERP, Field: reconcile.ERPSale, Situation: reconcile.Missing, Expected: "9980", Observed: "", Right: "order", FirstSeen: ago(3 * time.Hour)}
	x.engine.Answer = func(_ string, m starters.Message) (any, error) {
		switch m.Name {
		case workflows.VerdictQuery:
			return reconcile.Verdict{Order: "A-1", Currency: "EUR", Breaks: []reconcile.Break{sale}}, nil
		case workflows.StatusQuery:
			return status, nil
		}
		return workflows.Submitted{Phase: order.PhaseAccepted}, nil
	}
	x.run(command.ExitOK, strings.ReplaceAll(good(t), "A-1001", "A-1"), "submit", "-")
	x.engine.Listed = []starters.Listed{{ID: "order/A-1", Running: true, Started: noon, Agreement: "disagreeing", Breaks: []string{"erp.sale.missing"}, Oldest: ago(3 * time.Hour)}}
	client := starters.Client{Engine: x.engine, Now: func() time.Time { return noon }}
	if err := client.EnsureReconciliation(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	x.run(command.ExitOK, "", "orders", "--breaks")
	want := `ORDER  BREAK                            AGE     AT RISK  EXPECTED  SAYS  RIGHT      NOW
-      inventory.level.mismatch.SOCK    5 h     -        100       40    warehouse  set, to be verified
A-1    erp.sale.missing                 3 h     -        9980      -     order      to be confirmed
-      inventory.level.mismatch.MUG     60 min  -        100       40    warehouse  confirmed
-      inventory.level.mismatch.TSHIRT  60 s    -        100       40    warehouse  to be confirmed
4 breaks
`
	if got := x.out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for args, levels := range map[string]int{
		"--kind level": 3, "--system inventory": 3, "--system erp": 0, "--older-than 30m": 2, "--agreement disagreeing": 0, "--limit 1": 1, "--kind level --limit 2": 2,
	} {
		x.run(command.ExitOK, "", append([]string{"orders", "--breaks"}, strings.Fields(args)...)...)
		if got := strings.Count(x.out.String(), "inventory.level"); got != levels {
			t.Errorf("%s lists %d levels, want %d:\n%s", args, got, levels, x.out.String())
		}
		if more := strings.Contains(x.out.String(), "there are more"); more != strings.Contains(args, "--limit") {
			t.Errorf("%s says that there are more: %t", args, more)
		}
	}
	x.run(command.ExitOK, "", "status")
	x.says("4 SKUs; 3 differ; 1 not compared while goods are on their way, CAP since 2026-01-02T09:00:00Z (3 h ago)", `
SKU     AGE     INVENTORY SAYS  SHOULD BE  LAST AGREED                        NOW
SOCK    5 h     40              100        2026-01-02T06:45:00Z (5 h ago)     set, to be verified
MUG     60 min  40              100        2026-01-02T10:45:00Z (75 min ago)  confirmed
TSHIRT  60 s    40              100        2026-01-02T11:44:00Z (16 min ago)  to be confirmed
`)
	if got := status.Markdown(noon); !strings.Contains(got, "- **Differs:** stock SOCK: inventory says 40 and should say 100 by the warehouse, since 2026-01-02T07:00:00Z (5h0m0s); set, to be verified\n- **Differs:** stock MUG") {
		t.Errorf("the engine's UI says\n%s", got)
	}
}

// What many orders have at once is left to its incident, and no order lists it: each
// incident is a row, with what no row of an order says.
func TestOrders_Breaks_TellOfGroups(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	deal := reconcile.Break{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch, Expected: "won", Observed: "lost", Right: "order", Money: 500, FirstSeen: ago(time.Hour), Confirmed: noon}
	status := reconciliation.Status{
		Since: ago(48 * time.Hour),
		Groups: []reconciliation.Group{
			{N: 1, Kind: reconcile.Kind{System: order.SystemERP}, State: reconciliation.GroupClosed, Orders: 40, Since: ago(9 * time.Hour)},
			{N: 2, Kind: deal.Kind(), State: reconciliation.GroupOpen, Orders: 12, Looked: 12, Money: []reconcile.Sum{{Currency: "EUR", Minor: 6_000}, {Currency: "JPY", Minor: 700}}, Since: ago(3 * time.Hour)},
			{N: 3, Kind: reconcile.Kind{System: order.SystemInventory}, State: reconciliation.GroupLeft, By: "ada", Short: true, Orders: 11, Looked: 12, Since: ago(time.Minute)},
		},
	}
	x := newTerminal(t)
	x.engine.Answer = func(_ string, m starters.Message) (any, error) {
		switch m.Name {
		case workflows.VerdictQuery:
			return reconcile.Verdict{Order: "A-1", Currency: "EUR", Breaks: []reconcile.Break{deal}}, nil
		case workflows.StatusQuery:
			return status, nil
		}
		return workflows.Submitted{Phase: order.PhaseAccepted}, nil
	}
	x.run(command.ExitOK, strings.ReplaceAll(good(t), "A-1001", "A-1"), "submit", "-")
	x.engine.Listed = []starters.Listed{{
		ID: "order/A-1", Running: true, Started: noon, Agreement: "disagreeing", Breaks: []string{"crm.deal.mismatch"}, Oldest: ago(time.Hour),
		DecodeMemo: func(_ string, into any) error {
			*into.(*workflows.Stakes) = workflows.Stakes{Currency: "EUR", Money: 500}
			return nil
		},
	}}
	client := starters.Client{Engine: x.engine, Now: func() time.Time { return noon }}
	if err := client.EnsureReconciliation(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	x.run(command.ExitOK, "", "orders", "--breaks")
	want := `ORDER      BREAK              AGE     AT RISK             EXPECTED  SAYS  RIGHT  NOW
11 orders  crm.deal.mismatch  3 h     55.00 EUR, 700 JPY  -         -     -      group 2: too many at once; nothing is done before somebody decides (trueup groups)
A-1        crm.deal.mismatch  60 min  5.00 EUR            won       lost  order  confirmed
11 orders  inventory          60 s    -                   -         -     -      group 3: left as it is by ada, until trueup switch on inventory
1 break and 22 orders in 2 groups, 60.00 EUR at risk, 700 JPY at risk
`
	if got := x.out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for args, want := range map[string]string{
		"": "2 0 3", "--sort money": "2 0 3", "--sort kind": "2 0 3", "--system crm": "2 0", "--system inventory": "3", "--system erp": "",
		"--kind deal": "2 0", "--kind missing": "3", "--kind reserved.missing": "3", "--kind inventory.reserved.missing": "3", "--kind level": "", "--kind sale": "",
		"--older-than 30m": "2 0", "--older-than 2h": "2", "--limit 1": "2 0", "--agreement disagreeing": "0",
	} {
		x.run(command.ExitOK, "", append([]string{"orders", "--breaks", "--json"}, strings.Fields(args)...)...)
		var all []struct {
			Order order.ID `json:"order"`
			Group *struct {
				N      int             `json:"n"`
				Orders int             `json:"orders"`
				Money  []reconcile.Sum `json:"money"`
			} `json:"group"`
		}
		if err := json.Unmarshal(x.out.Bytes(), &all); err != nil {
			t.Fatalf("%s: %v: %s", args, err, x.out.String())
		}
		var rows []string
		for _, one := range all {
			if one.Group == nil {
				rows = append(rows, "0")
				continue
			}
			rows = append(rows, strconv.Itoa(one.Group.N))
			if one.Order != "" || one.Group.Orders != 11 || one.Group.N == 2 && (len(one.Group.Money) != 2 || one.Group.Money[0].Minor != 5_500) {
				t.Errorf("%s: the row of group %d is %+v", args, one.Group.N, one)
			}
		}
		if got := strings.Join(rows, " "); got != want {
			t.Errorf("%q lists the groups %q (0: the order), want %q", args, got, want)
		}
	}
	x.run(command.ExitOK, "", "orders", "--breaks", "--limit", "1")
	x.says("there are more orders, levels or groups")
}

func TestOrders_Breaks(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	mk := func(f reconcile.Field, s reconcile.Situation, since time.Duration, money int64) reconcile.Break {
		return reconcile.Break{System: f.System(), Field: f, Situation: s, Expected: "9980", Observed: "1", Right: "order", Money: money, FirstSeen: ago(since)}
	}
	sale, revenue := mk(reconcile.ERPSale, reconcile.Missing, 3*time.Hour, 9980), mk(reconcile.CRMRevenue, reconcile.Mismatch, time.Hour, 3)
	captured := mk(reconcile.PaymentCaptured, reconcile.Mismatch, 2*time.Hour, 20000)
	revenue.Confirmed, revenue.Owned = noon, noon
	verdicts := map[string]reconcile.Verdict{
		"order/A-1": {Order: "A-1", Currency: "EUR", Breaks: []reconcile.Break{revenue, sale}},
		"order/A-2": {Order: "A-2", Currency: "EUR", Breaks: []reconcile.Break{captured}, Cases: []reconcile.Case{{N: 4, Step: reconcile.Step{Break: captured}}}},
		"order/A-3": {Order: "A-3", Currency: "EUR"}, // it agrees by now, and the list lags
	}
	memo := func(money int64) func(string, any) error {
		return func(field string, into any) error {
			if field != workflows.StakesMemo {
				return errors.New("no such field")
			}
			*into.(*workflows.Stakes) = workflows.Stakes{Currency: "EUR", Money: money}
			return nil
		}
	}
	x := newTerminal(t)
	x.engine.Answer = func(id string, m starters.Message) (any, error) {
		if m.Name == workflows.VerdictQuery {
			return verdicts[id], nil
		}
		return workflows.Submitted{Phase: order.PhaseAccepted}, nil
	}
	for _, id := range []string{"A-1", "A-2", "A-3"} {
		x.run(command.ExitOK, strings.ReplaceAll(good(t), "A-1001", id), "submit", "-")
	}
	x.engine.Listed = []starters.Listed{
		{ID: "order/A-2", Running: true, Started: noon, Agreement: "needs_person", Breaks: []string{"payment.captured.mismatch"}, Oldest: ago(2 * time.Hour), DecodeMemo: memo(20000)},
		{ID: "order/A-1", Running: true, Started: noon, Agreement: "disagreeing", Breaks: []string{"crm.revenue.mismatch", "erp.sale.missing"}, Oldest: ago(3 * time.Hour), DecodeMemo: memo(9983)},
		{ID: "order/A-3", Running: true, Started: noon, Agreement: "disagreeing", Breaks: []string{"erp.sale.missing"}, Oldest: ago(time.Minute)},
	}
	x.run(command.ExitOK, "", "orders", "--breaks")
	want := `ORDER  BREAK                      AGE     AT RISK     EXPECTED  SAYS  RIGHT  NOW
A-1    erp.sale.missing           3 h     99.80 EUR   9980      1     order  to be confirmed
A-2    payment.captured.mismatch  2 h     200.00 EUR  9980      1     order  case 4
A-1    crm.revenue.mismatch       60 min  0.03 EUR    9980      1     order  under repair
3 breaks, 299.83 EUR at risk
`
	if got := x.out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	order := func(args ...string) string {
		t.Helper()
		x.run(command.ExitOK, "", append([]string{"orders", "--breaks", "--json"}, args...)...)
		var all []struct {
			Break reconcile.Break
		}
		if err := json.Unmarshal(x.out.Bytes(), &all); err != nil {
			t.Fatalf("%v: %s", err, x.out.String())
		}
		var fields []string
		for _, one := range all {
			fields = append(fields, string(one.Break.Field))
		}
		return strings.Join(fields, " ")
	}
	for _, tt := range []struct{ args, want string }{
		{"--sort money", "payment.captured erp.sale crm.revenue"},
		{"--sort system", "crm.revenue erp.sale payment.captured"},
		{"--system erp", "erp.sale"},
		{"--kind mismatch", "payment.captured crm.revenue"},
		{"--kind revenue.mismatch", "crm.revenue"},
		{"--kind crm.revenue.mismatch", "crm.revenue"},
		{"--kind crm.revenue", "crm.revenue"},
		{"--kind erp", "erp.sale"},
		{"--kind contact", ""},
		{"--kind inventory.release", ""},
		{"--older-than 90m", "erp.sale payment.captured"},
		{"--limit 1 --sort money", "payment.captured"},
		{"--limit 1", "erp.sale crm.revenue"},
		{"--agreement needs_person", "payment.captured"},
	} {
		if got := order(strings.Fields(tt.args)...); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.args, got, tt.want)
		}
	}
	x.run(command.ExitOK, "", "orders", "--breaks", "--limit", "1")
	x.says("there are more orders")
	x.run(command.ExitOK, "", "orders", "--breaks", "--limit", "1", "--json")
	if got := x.err.String(); !strings.HasPrefix(got, "trueup orders: there are more orders, levels or groups; --limit asks") || !json.Valid(x.out.Bytes()) {
		t.Errorf("standard error says %q beside %s", got, &x.out)
	}
	x.run(command.ExitOK, "", "orders", "--breaks", "--json")
	if x.err.Len() > 0 {
		t.Errorf("standard error says %s", &x.err)
	}
	for _, args := range []string{"--breaks --system payroll", "--breaks --sort luck", "--breaks --older-than -1m", "--system erp", "--breaks --kind x'y", "--breaks --kind revenu", "--breaks --kind crm.revenue.wrong"} {
		x.run(command.ExitUsage, "", append([]string{"orders"}, strings.Fields(args)...)...)
	}
}
