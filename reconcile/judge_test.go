package reconcile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// verdictOf reads a world and judges it.
func verdictOf(i Intent, w *world, cases ...Case) Verdict {
	observations := w.read(i.Order, now)
	return Judge(i, auto(), observations, Compare(i, auto(), observations, nil, nil, now), cases, true, now)
}

// as returns an order in another phase.
func as(phase order.Phase, base func() Intent) func() Intent {
	return func() Intent {
		i := base()
		i.Phase = phase
		return i
	}
}

// doubt returns an order with an operation in doubt.
func doubt(s order.System, base func() Intent) func() Intent {
	return func() Intent {
		i := base()
		i.InDoubt, i.Busy = []order.System{s}, []order.System{s}
		return i
	}
}

func TestJudge_Outcome(t *testing.T) {
	t.Parallel()
	attempt := func(a Attempt) func(*world) {
		return func(w *world) { a.ID, a.Currency = "x", "EUR"; w.payment.Attempts = append(w.payment.Attempts, a) }
	}
	nothing := func(*world) {}
	tests := []struct {
		name   string
		intent func() Intent
		spoil  func(w *world)
		want   Outcome
	}{
		{"received", received, nothing, InProgress},
		{"paying", paying, nothing, InProgress},
		{"paying, the authorization in doubt", doubt(order.SystemPayment, paying), nothing, OutcomeInDoubt},
		{"accepted and with the warehouse", accepted, nothing, Succeeded},
		{"accepted, not asked for yet", func() Intent { i := accepted(); i.Shipments = nil; return i }, nothing, InProgress},
		{"accepted, the request in doubt", doubt(order.SystemWarehouse, func() Intent { i := accepted(); i.Shipments = nil; return i }), nothing, OutcomeInDoubt},
		{"accepted, and the warehouse cancelled it", accepted, func(w *world) { w.warehouse.Shipments[0].State = ShipmentCancelled }, InProgress},
		{"accepted, a part waits", func() Intent { i := accepted(); i.Shipments[0].Lines = i.Shipments[0].Lines[:1]; return i }, nothing, InProgress},
		{"accepted, shipped and not committed yet", func() Intent {
			i := accepted()
			i.Shipments[0].State, i.Busy = ShipmentShipped, []order.System{order.SystemInventory}
			return i
		}, nothing, Succeeded},
		{"shipped", shippedOrder, nothing, Succeeded},
		{"shipped, and everything disagrees", shippedOrder, func(w *world) { w.erp, w.crm, w.mail = ERP{}, CRM{}, Mail{} }, Succeeded},
		{"returned", returned, nothing, Succeeded},
		{"cancelling", as(order.PhaseCancelling, cancelledOrder), nothing, InProgress},
		{"cancelling, the void in doubt", doubt(order.SystemPayment, as(order.PhaseCancelling, cancelledOrder)), nothing, OutcomeInDoubt},
		{"cancelled", cancelledOrder, nothing, Cancelled},
		{"failed", as(order.PhaseFailed, cancelledOrder), nothing, Failed},
		{"cancelled, an attempt is open", cancelledOrder, attempt(Attempt{State: AttemptOpen}), InProgress},
		{"cancelled, an attempt is processing", cancelledOrder, attempt(Attempt{State: AttemptProcessing}), InProgress},
		{"cancelled, money is held", cancelledOrder, attempt(Attempt{State: AttemptAuthorized, Held: 1}), InProgress},
		{"cancelled, money was kept", cancelledOrder, attempt(Attempt{State: AttemptCaptured, Captured: 2, Refunded: 1}), InProgress},
		{"cancelled, everything given back", cancelledOrder, attempt(Attempt{State: AttemptCaptured, Captured: 2, Refunded: 2}), Cancelled},
		{"cancelled, the refund only pending", cancelledOrder, attempt(Attempt{
			State: AttemptCaptured, Captured: 2, Refunded: 2, Refunds: []Refund{{ID: "re", Amount: 2, State: RefundPending}},
		}), InProgress},
		{"cancelled, a voided attempt", cancelledOrder, attempt(Attempt{State: AttemptVoided}), Cancelled},
		{"failed, goods are out", as(order.PhaseFailed, cancelledOrder), func(w *world) {
			w.warehouse.Shipments = []Shipment{{ID: "1", State: ShipmentShipped}}
		}, InProgress},
		{"a phase that nobody knows", as("dreaming", cancelledOrder), nothing, InProgress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := tt.intent()
			w := agreeing(i)
			tt.spoil(w)
			v := verdictOf(i, w)
			if v.Outcome != tt.want {
				t.Fatalf("outcome is %s, want %s:\n%s", v.Outcome, tt.want, v.Table())
			}
			checkText(t, v)
		})
	}
}

func TestJudge_EndedWithoutProof_InDoubt(t *testing.T) {
	t.Parallel()
	i := cancelledOrder()
	i.Changed = []Changed{{order.SystemPayment, now.Add(-time.Hour)}}
	all := agreeing(i).read(i.Order, now)
	down := Observation{System: order.SystemPayment, Order: i.Order, State: Unreadable, At: now, Why: "connection refused"}
	tests := []struct {
		name string
		seen []Observation
		want Outcome
	}{
		{"the gateway was never read", append(all[1:6:6], down), OutcomeInDoubt},
		{"it was read before our last write", Merge(append(all[1:6:6], agreeing(i).read(i.Order, now.Add(-2*time.Hour))[0]), down), OutcomeInDoubt},
		{"it was read after our last write", Merge(append(all[1:6:6], agreeing(i).read(i.Order, now.Add(-time.Minute))[0]), down), Cancelled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := Judge(i, auto(), tt.seen, Compare(i, auto(), tt.seen, nil, nil, now), nil, true, now)
			if v.Outcome != tt.want || v.Agreement != AgreeUnknown {
				t.Fatalf("%s, %s; want %s, unreadable:\n%s", v.Outcome, v.Agreement, tt.want, v.Table())
			}
		})
	}
}

func TestJudge_Agreement_Precedence(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	w := agreeing(i)
	if v := verdictOf(i, w); v.Agreement != Agreed || v.Summary != "succeeded; all systems agree" {
		t.Fatalf("%s: %s", v.Agreement, v.Summary)
	}
	observations := w.read(i.Order, now)
	observations[4] = Observation{System: order.SystemCRM, Order: i.Order, State: Unreadable, At: now, Why: "down"}
	judge := func(i Intent, cases ...Case) Verdict {
		return Judge(i, auto(), observations, Compare(i, auto(), observations, nil, nil, now), cases, true, now)
	}
	if v := judge(i); v.Agreement != AgreeUnknown || !strings.Contains(v.Summary, "cannot read CRM (never read)") {
		t.Fatalf("%s: %s", v.Agreement, v.Summary)
	}
	observations[3].ERP.Sales = nil
	v := judge(i)
	if v.Agreement != Disagreeing || !strings.HasPrefix(v.Summary, "succeeded; ERP disagrees since 0 s (sale missing)") {
		t.Fatalf("%s: %s", v.Agreement, v.Summary)
	}
	open := Case{N: 1, Step: Step{Break: v.Breaks[0], Why: "nobody knows", Proposal: "look"}, Opened: now, Deadline: now.Add(time.Hour), AtDeadline: "it is announced again"}
	closed := open
	closed.Closed = now
	if v := judge(i, closed); v.Agreement != Disagreeing || len(v.Cases) != 0 {
		t.Fatalf("with a closed case: %s", v.Agreement)
	}
	if v = judge(i, open); v.Agreement != NeedsPerson || !strings.Contains(v.Table(), "60 min left") {
		t.Fatalf("with an open case: %s\n%s", v.Agreement, v.Table())
	}
	checkText(t, v)
}

func TestJudge_NothingRead_Settling(t *testing.T) {
	t.Parallel()
	i := received()
	v := Judge(i, auto(), nil, Compare(i, auto(), nil, nil, nil, placed), nil, false, placed)
	if v.Outcome != InProgress || v.Agreement != AgreeSettle {
		t.Fatalf("%s, %s", v.Outcome, v.Agreement)
	}
	for _, r := range v.Rows {
		for _, c := range r.Cells {
			if c.Value != "?" {
				t.Fatalf("%s says %s of %s without being read", c.System, c.Value, r.Field)
			}
		}
	}
}

func TestVerdict_Revenue_InAnotherCurrency(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	w := agreeing(i)
	w.crm.Deals[0].Currency = "JPY"
	v := verdictOf(i, w)
	if v.Agreement != Disagreeing || !strings.Contains(v.Table(), "≠ 9980 JPY") {
		t.Fatalf("%s:\n%s", v.Agreement, v.Table())
	}
}

func TestJudge_NeverRead(t *testing.T) {
	t.Parallel()
	i := accepted()
	i.Changed = []Changed{{order.SystemERP, now.Add(-time.Second)}}
	seen := slices.DeleteFunc(agreeing(i).read(i.Order, now), func(o Observation) bool { return o.System == order.SystemERP })
	judge := func(at time.Time) Verdict {
		return Judge(i, auto(), seen, Compare(i, auto(), seen, nil, nil, at), nil, false, at)
	}
	if v := judge(now); v.Agreement != AgreeSettle {
		t.Fatalf("a second after our write: %s", v.Agreement)
	}
	if v := judge(now.Add(auto().MaxSettling(order.SystemERP))); v.Agreement != AgreeUnknown {
		t.Fatalf("settled and never read: %s", v.Agreement)
	}
}

func TestVerdict_Table(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	w := agreeing(i)
	known := w.read(i.Order, now.Add(-12*time.Minute))
	w.erp = ERP{}
	for _, o := range w.read(i.Order, now.Add(-4*time.Second))[:5] {
		known = Merge(known, o)
	}
	known = Merge(known, Observation{System: order.SystemMail, Order: i.Order, State: Unreadable, At: now, Why: "imap: connection refused"})
	first := Compare(i, auto(), known, nil, nil, now.Add(-12*time.Second))
	v := Judge(i, auto(), known, Compare(i, auto(), known, nil, first.Breaks, now), nil, true, now)
	table := v.Table()
	for _, want := range []string{
		"succeeded, disagreeing", "≠ -", "99.80 EUR", "12 s", "12 min", "~ 1", "since 2026-03-01T14:59:48Z",
		"mail cannot be read: imap: connection refused",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	const next = "succeeded; ERP disagrees since 12 s (sale missing) and 2 more: read again to be sure, then repaired at the next run: " +
		"record in erp under order/42/record/1"
	if v.Summary != next {
		t.Errorf("the summary is %q, want %q", v.Summary, next)
	}
	for _, r := range v.Rows {
		if r.Field == "money refunded" && r.State != "agreed" {
			t.Errorf("a missing receipt of a capture is counted against the refunds: %+v", r)
		}
	}
	checkText(t, v)
}

func TestVerdict_Text_Limits(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	w := agreeing(i)
	w.erp, w.crm, w.mail = ERP{}, CRM{}, Mail{}
	var cases []Case
	for n := range 50 {
		cases = append(cases, Case{N: n + 1, Step: Step{Why: strings.Repeat("wörter ", 100), Proposal: strings.Repeat("x", 400)}, Deadline: now})
	}
	checkText(t, verdictOf(i, w, cases...))
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	v := Verdict{Outcome: Succeeded, Agreement: Disagreeing}
	var breaks []Break
	for n := range 30 {
		breaks = append(breaks, Break{Field: MailField(Template(string(rune('a' + n)))), Situation: Missing, FirstSeen: now.Add(time.Duration(n) * time.Second)})
	}
	breaks = append(breaks, Break{Field: "erp.sale", Situation: Missing, Item: "1", FirstSeen: now.Add(-time.Hour)},
		Break{Field: "erp.sale", Situation: Missing, Item: "2", FirstSeen: now})
	outcome, agreement, kinds, oldest := Attributes(v, breaks)
	if outcome != "succeeded" || agreement != "disagreeing" || !oldest.Equal(now.Add(-time.Hour)) {
		t.Fatalf("%s, %s, %s", outcome, agreement, oldest)
	}
	if len(kinds) != 20 || kinds[0] != "erp.sale.missing" || kinds[1] != "mail.a.missing" || !slices.IsSorted(kinds) {
		t.Fatalf("kinds are %q", kinds)
	}
	if _, _, none, zero := Attributes(v, nil); len(none) != 0 || !zero.IsZero() {
		t.Fatalf("without breaks: %q, %s", none, zero)
	}
}
