package command_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/command"
	"github.com/trueup-orders/trueup/workflows"
)

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
		{"--kind nothing", ""},
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
	for _, args := range []string{"--breaks --system payroll", "--breaks --sort luck", "--breaks --older-than -1m", "--system erp", "--breaks --kind x'y"} {
		x.run(command.ExitUsage, "", append([]string{"orders"}, strings.Fields(args)...)...)
	}
}
