package command_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/command"
	"github.com/trueup-orders/trueup/workflows"
)

// surplus is a case with its evidence.
func surplus(n int, deadline time.Duration) reconcile.Case {
	return reconcile.Case{
		N: n, Opened: noon.Add(-2 * time.Hour), Deadline: noon.Add(deadline), AtDeadline: "it stays open",
		Step: reconcile.Step{
			Break: reconcile.Break{System: order.SystemPayment, Field: reconcile.PaymentAttempts, Situation: reconcile.Duplicate, Item: "pi_2"},
			Why:   "45.00 EUR was taken beyond the order's total", Proposal: "refund 45.00 EUR",
		},
		Evidence: &reconcile.Evidence{
			Token: "0a1b2c3d4e5f", Question: "attempts open", Expected: "0.00 EUR", Observed: "45.00 EUR", Money: "45.00 EUR",
			Says: []reconcile.Statement{
				{System: order.SystemPayment, Value: "144.80 EUR", At: noon.Add(-10 * time.Minute), Age: 10 * time.Minute, Version: "v7"},
				{System: order.SystemERP, Value: "99.80 EUR", At: noon.Add(-3 * time.Hour), Age: 3 * time.Hour, Agrees: true, Unreadable: true},
			},
			Base: "99.80 EUR", AgreedAt: noon.Add(-24 * time.Hour), Right: "payment", Mode: reconcile.ModeAsk,
			Policy: "c25805c5b9da", Rules: 2,
			Options: []reconcile.Option{
				{As: "repair", Does: "give back 45.00 EUR", Money: 4500, Proposed: true},
				{As: "accept", Does: "let it stand as it is"},
			},
		},
	}
}

// With evidence a person at three in the morning can decide without looking
// anywhere else.
func TestCases_Evidence_SaysWhatAPersonNeeds(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.run(command.ExitOK, good(t), "submit", "-")
	closed := reconcile.Case{N: 1, Closed: noon.Add(-time.Hour), Outcome: "decided: accept by ada (unverified): known", Step: reconcile.Step{Why: "two contacts"}}
	x.engine.Answer = func(_ string, m starters.Message) (any, error) {
		if ask, ok := m.Argument.(workflows.AskCases); ok && ask.All {
			return []reconcile.Case{closed, surplus(2, time.Hour)}, nil
		}
		return []reconcile.Case{surplus(2, time.Hour)}, nil
	}
	x.run(command.ExitOK, "", "cases", "A-1001")
	want := `order A-1001, case 2 (payment.attempts.duplicate.pi_2), open for 2 h: 45.00 EUR was taken beyond the order's total
    attempts open: expected 0.00 EUR, is 45.00 EUR; at stake: 45.00 EUR
      SYSTEM   SAYS        AS OF                 AGE     VERSION
      payment  144.80 EUR  2026-01-02T11:50:00Z  10 min  v7       differs, is right
      erp      99.80 EUR   2026-01-02T09:00:00Z  3 h     -        cannot be read now
    last agreed: 99.80 EUR at 2026-01-01T12:00:00Z; rule: payment is right, mode ask (policy c25805c5b9da, rules 2)
    proposal: refund 45.00 EUR
    decide until 2026-01-02T13:00:00Z (60 min left); then: it stays open
    - give back 45.00 EUR (this is the proposal)
      trueup decide A-1001 2 --as repair --evidence 0a1b2c3d4e5f --by NAME --reason TEXT
    - let it stand as it is
      trueup decide A-1001 2 --as accept --evidence 0a1b2c3d4e5f --by NAME --reason TEXT
1 open case
`
	if got := x.out.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if asked := x.engine.Queries(); len(asked) != 0 {
		t.Errorf("visibility was asked about one order: %q", asked)
	}
	x.run(command.ExitOK, "", "cases", "--order", "A-1001", "--closed")
	x.says("case 1 (", "closed 2026-01-02T11:00:00Z (60 min ago): two contacts", "decided: accept by ada (unverified): known", "1 open case, 1 closed\n")
	x.run(command.ExitUnknown, "", "cases", "A-2")
	x.run(command.ExitUsage, "", "cases", "A-1001", "--closed", "--due", "4h")
	x.says("--due is of what is open")
}

func TestCases_StrengthThatDecides_IsNamed(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.run(command.ExitOK, good(t), "submit", "-")
	x.engine.Answer = func(string, starters.Message) (any, error) {
		k := surplus(2, time.Hour)
		k.Evidence.Right, k.Evidence.Strength = "erp", reconcile.EnforceOurs
		return []reconcile.Case{k}, nil
	}
	x.run(command.ExitOK, "", "cases", "A-1001")
	x.says("rule: erp is right, enforce_if_ours, mode ask (policy")
}

func TestCases_Filters(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	for _, id := range []string{"A-1", "A-2"} {
		x.run(command.ExitOK, strings.Replace(good(t), "A-1001", id, 1), "submit", "-")
		x.engine.Listed = append(x.engine.Listed, starters.Listed{ID: "order/" + id, Running: true, Agreement: "needs_person"})
	}
	x.engine.Answer = func(id string, _ starters.Message) (any, error) {
		if id == "order/A-1" {
			return []reconcile.Case{surplus(1, 5*time.Hour), surplus(2, -time.Hour)}, nil
		}
		k := surplus(1, 2*time.Hour)
		k.Step.Break.System, k.Step.Break.Field = order.SystemERP, reconcile.ERPSale
		return []reconcile.Case{k}, nil
	}
	for _, c := range []struct{ args, want string }{
		{"cases", "A-1/2 A-2/1 A-1/1"},
		{"cases --due 3h", "A-1/2 A-2/1"},
		{"cases --system erp", "A-2/1"},
		{"cases --system payment --due 1m", "A-1/2"},
		{"cases A-1", "A-1/2 A-1/1"},
		{"cases --system mail", ""},
	} {
		x.run(command.ExitOK, "", append(strings.Fields(c.args), "--json")...)
		var listed []struct {
			Order order.ID
			Case  reconcile.Case
		}
		if err := json.Unmarshal(x.out.Bytes(), &listed); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range listed {
			got = append(got, string(l.Order)+"/"+string(rune('0'+l.Case.N)))
			if l.Case.Evidence == nil || l.Case.Evidence.Token != "0a1b2c3d4e5f" {
				t.Errorf("%s: without evidence: %+v", c.args, l)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s lists %v, want %s", c.args, got, c.want)
		}
	}
	x.run(command.ExitOK, "", "cases", "--due", "1m")
	x.says("(overdue for 60 min)")
}

// A decision on evidence that is not so any more is refused, and says what is.
func TestDecide_Stale_ExitCodeAndWhatIsSoNow(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.run(command.ExitOK, good(t), "submit", "-")
	x.engine.Answer = func(string, starters.Message) (any, error) {
		return workflows.Reply{Order: "A-1001", Request: "decide 2", Refused: "what case 2 rests on has changed since; nothing was done. Now: …", Evidence: "ffff"}, nil
	}
	decide := strings.Fields("decide A-1001 2 --as repair --evidence 0a1b --by ada --reason surplus")
	x.run(command.ExitRefused, "", decide...)
	x.says("order A-1001: not done: what case 2 rests on has changed since; nothing was done")
	x.run(command.ExitRefused, "", append(decide, "--json")...)
	x.says(`"evidence": "ffff"`)
}

// What waits in the inbox belongs to no order, and is counted where all cases are
// listed.
func TestCases_OfNoOrder_CountedOnTheLastLine(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.run(command.ExitOK, good(t), "submit", "-")
	x.engine.Answer = func(string, starters.Message) (any, error) { return []reconcile.Case{surplus(1, 5*time.Hour)}, nil }
	x.engine.Listed = []starters.Listed{
		{ID: "order/A-1001", Running: true, Agreement: "needs_person"},
		waiting("inbox/crm/7", 20*time.Hour), waiting("inbox/payment/pi_1", -time.Hour), waiting("inbox/mail/<1@x>", 9*time.Hour),
		{ID: "inbox/erp/9", Agreement: "agreed"},
	}
	for _, c := range []struct{ args, want string }{
		{"cases", "1 open case\nand in the inbox 3 records that no order claims, the most urgent until 2026-01-02T11:00:00Z (overdue for 60 min): trueup inbox\n"},
		{"cases --system crm", "0 open cases\nand in the inbox 1 record that no order claims, the most urgent until 2026-01-03T08:00:00Z (20 h left): trueup inbox\n"},
		{"cases --due 10h", "1 open case\nand in the inbox 2 records"},
		{"cases --system erp", "0 open cases\n"},
		{"cases A-1001", "1 open case\n"},
	} {
		x.run(command.ExitOK, "", strings.Fields(c.args)...)
		x.says(c.want)
		if !strings.Contains(c.want, "inbox") && strings.Contains(x.out.String(), "inbox") {
			t.Errorf("%s speaks of the inbox: %s", c.args, &x.out)
		}
	}
}

// The engine lists the newest first, and which is urgent it does not know: all are
// listed before as many as are shown are asked.
func TestCases_MoreThanAreShown_TheMostUrgentFirst(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	left := manyCases(t, x)
	x.run(command.ExitOK, "", "cases")
	if first := "order A-59, case 1 ("; !strings.HasPrefix(x.out.String(), first) {
		t.Errorf("the first is not %q:\n%.300s", first, &x.out)
	}
	x.says("50 open cases\nthere may be more; --all asks for them\n")
	x.run(command.ExitOK, "", "cases", "--due", "1h")
	x.says("order A-59, case 1 (", "\n1 open case\n")
	if strings.Contains(x.out.String(), "there may be more") {
		t.Errorf("there are no more that are due: %s", &x.out)
	}
	// One that has not said until when may be due.
	x.engine.Listed[30].DecodeMemo = nil
	left["order/A-30"] = time.Minute
	x.run(command.ExitOK, "", "cases", "--due", "1h")
	x.says("order A-59, case 1 (", "order A-30, case 1 (", "\n2 open cases\n")
	x.run(command.ExitOK, "", "cases", "--all")
	x.says("\n60 open cases\n")
}

// A script that reads JSON learns of what was left out too, and of the inbox, where it
// does not disturb what is read.
func TestCases_JSON_WhatIsNotInItIsSaidOnStandardError(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	manyCases(t, x)
	x.engine.Listed = append(x.engine.Listed, waiting("inbox/crm/7", 20*time.Hour))
	const more, inbox = "trueup cases: there may be more; --all asks for them\n", "trueup cases: and in the inbox 1 record that no order claims, the most urgent until 2026-01-03T08:00:00Z (20 h left): trueup inbox\n"
	for args, want := range map[string]string{"": more + inbox, "--all": inbox, "--due 1h": "", "A-1": ""} {
		x.run(command.ExitOK, "", append([]string{"cases", "--json"}, strings.Fields(args)...)...)
		if got := x.err.String(); got != want {
			t.Errorf("%q: standard error says %q, want %q", args, got, want)
		}
		if !json.Valid(x.out.Bytes()) {
			t.Errorf("%q: not JSON: %s", args, &x.out)
		}
	}
}

// manyCases submits 60 orders with a case each, the last of them overdue. What is
// returned says how much time each has left, and may be changed.
func manyCases(t *testing.T, x *terminal) map[string]time.Duration {
	t.Helper()
	left := map[string]time.Duration{}
	for n := range 60 {
		id := fmt.Sprintf("A-%d", n)
		x.run(command.ExitOK, strings.Replace(good(t), "A-1001", id, 1), "submit", "-")
		left["order/"+id] = 10*time.Hour + time.Duration(n)*time.Minute
		if n == 59 {
			left["order/"+id] = -time.Hour
		}
		x.engine.Listed = append(x.engine.Listed, waiting("order/"+id, left["order/"+id]))
	}
	x.engine.Answer = func(id string, _ starters.Message) (any, error) {
		d, ok := left[id]
		if !ok {
			return []reconcile.Case{}, nil
		}
		return []reconcile.Case{surplus(1, d)}, nil
	}
	return left
}

// waiting is an order, or a record that no order claims, about which a person is
// asked, as visibility lists it, with so much time left.
func waiting(id string, left time.Duration) starters.Listed {
	return starters.Listed{ID: id, Running: true, Agreement: "needs_person", DecodeMemo: func(_ string, into any) error {
		data, err := json.Marshal(workflows.Stakes{Cases: 1, Opened: noon.Add(left - 24*time.Hour), Deadline: noon.Add(left)})
		if err != nil {
			return err
		}
		return json.Unmarshal(data, into)
	}}
}
