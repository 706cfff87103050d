package command_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/command"
	"github.com/trueup-orders/trueup/workflows"
)

// withOrder returns a terminal with the order A-1001 in EUR, whose wishes get
// this answer; asked is what reached it.
func withOrder(t *testing.T, reply workflows.Reply, err error) (x *terminal, asked func() []any) {
	t.Helper()
	x = newTerminal(t)
	x.run(command.ExitOK, good(t), "submit", "-")
	x.engine.Answer = func(_ string, m starters.Message) (any, error) {
		if m.Name == workflows.VerdictQuery {
			return reconcile.Verdict{Order: "A-1001", Currency: "EUR", Outcome: reconcile.Succeeded, Phase: order.PhaseShipped}, nil
		}
		return reply, err
	}
	return x, func() []any {
		var all []any
		for _, m := range x.engine.Run("order/A-1001").Messages[1:] {
			all = append(all, m.Argument)
		}
		return all
	}
}

func TestWish_AskedAsItIsTyped(t *testing.T) {
	t.Parallel()
	by := workflows.Asked{ID: "w-1", By: "ada"}
	why := workflows.Asked{ID: "w-1", By: "ada", Reason: "moved"}
	address := `{"street": "New Street 2", "city": "Berlin", "country": "DE"}`
	pieces := []order.Quantity{{Line: 1, Quantity: 2}, {Line: 3, Quantity: 1}}
	for _, c := range []struct {
		args  string
		stdin string
		want  any
	}{
		{"attempt A-1001 --method pm_x --by ada --id w-1", "", workflows.Attempt{Asked: by, Payment: order.Payment{Method: "pm_x"}}},
		{"attempt A-1001 --intent pi_x --by ada --reusable --reason moved --id w-1", "", workflows.Attempt{Asked: why, Payment: order.Payment{Intent: "pi_x", Reusable: true}}},
		{"amend A-1001 --drop 1=2,3=1 --by ada --reason moved --id w-1", "", workflows.Amend{Asked: why, Drop: pieces}},
		{"amend --drop 1=2 --drop 3=1 --by ada A-1001 --reason moved --id w-1", "", workflows.Amend{Asked: why, Drop: pieces}},
		{"amend A-1001 --ship-to - --by ada --reason moved --id w-1", address, workflows.Amend{Asked: why, ShipTo: &order.Address{Street: "New Street 2", City: "Berlin", Country: "DE"}}},
		{"answer A-1001 wait --by ada --id w-1", "", workflows.Answer{Asked: by, Choice: workflows.ChooseWait}},
		{"return A-1001 --lines 1=2,3=1 --by ada --reason moved --id w-1", "", workflows.Return{Asked: why, Lines: pieces}},
		{"refund A-1001 --by ada --reason moved --id w-1", "", workflows.Refund{Asked: why}},
		{"refund A-1001 --amount 12.5 --by ada --reason moved --id w-1", "", workflows.Refund{Asked: why, Amount: 1250, Currency: "EUR"}},
		{"refund A-1001 --amount 12.345 --currency KWD --by ada --reason moved --id w-1", "", workflows.Refund{Asked: why, Amount: 12345, Currency: "KWD"}},
		{"decide A-1001 2 --as ship --by ada --reason moved --id w-1", "", workflows.Decide{Asked: why, Case: 2, As: workflows.DecideShip}},
		{"decide A-1001 2 --as ship --by ada --reason moved --id w-1 --evidence 0a1b", "", workflows.Decide{Asked: why, Case: 2, As: workflows.DecideShip, Evidence: "0a1b"}},
		{"decide A-1001 2 --as refund --amount 0.01 --by ada --reason moved --id w-1", "", workflows.Decide{Asked: why, Case: 2, As: workflows.DecideRefund, Amount: 1}},
	} {
		x, asked := withOrder(t, workflows.Reply{Order: "A-1001", Request: "wish 1", Outcome: reconcile.Succeeded, Phase: order.PhaseShipped}, nil)
		x.run(command.ExitOK, c.stdin, strings.Fields(c.args)...)
		x.says("order A-1001: wish 1 is taken up (succeeded, phase shipped)")
		if diff := cmp.Diff([]any{c.want}, asked()); diff != "" {
			t.Errorf("trueup %s asked (-want +got):\n%s", c.args, diff)
		}
		x.run(command.ExitOK, c.stdin, append(strings.Fields(c.args), "--json")...) // again: the same wish
		var reply workflows.Reply
		if err := json.Unmarshal(x.out.Bytes(), &reply); err != nil || reply.Request != "wish 1" || len(asked()) != 1 {
			t.Errorf("trueup %s: %s, %v; asked %v", c.args, x.out.String(), err, asked())
		}
	}
}

func TestWish_NotUnderstood_AsksNothing(t *testing.T) {
	t.Parallel()
	x, asked := withOrder(t, workflows.Reply{}, errors.New("asked"))
	for _, args := range []string{
		"attempt A-1001 --method pm_x", "attempt --method pm_x --by ada", "attempt A-1001 --by ada", "attempt A-1001 --method pm_x --intent pi_x --by ada",
		"attempt a/b --method pm_x --by ada", "attempt A-1001 A-2 --method pm_x --by ada",
		"amend A-1001 --by ada --reason x", "amend A-1001 --drop 1=1 --by ada", "amend A-1001 --drop 1 --by ada --reason x", "amend A-1001 --drop 1=0 --by ada --reason x",
		"amend A-1001 --drop 0=1 --by ada --reason x", "amend A-1001 --drop 1=1.5 --by ada --reason x", "amend A-1001 --drop 1=1 --ship-to - --by ada --reason x",
		"amend A-1001 --ship-to - --by ada --reason x", // nothing on the standard input
		"answer A-1001 --by ada", "answer A-1001 perhaps --by ada", "answer A-1001 wait", "answer wait --by ada",
		"return A-1001 --by ada --reason x", "return A-1001 --lines 1=1 --by ada", "return A-1001 --lines 1=1, --by ada --reason x",
		"refund A-1001 --by ada", "refund A-1001 --amount 0 --by ada --reason x", "refund A-1001 --amount -1 --by ada --reason x", "refund A-1001 --amount 1.234 --by ada --reason x",
		"refund A-1001 --amount 1e3 --by ada --reason x", "refund A-1001 --amount 1,50 --by ada --reason x", "refund A-1001 --amount 1 --currency XXQ --by ada --reason x",
		"refund A-1001 --currency EUR --by ada --reason x",
		"decide A-1001 --as ship --by ada --reason x", "decide A-1001 one --as ship --by ada --reason x", "decide A-1001 0 --as ship --by ada --reason x",
		"decide A-1001 1 --by ada --reason x", "decide A-1001 1 --as forget --by ada --reason x", "decide A-1001 1 --as ship --by ada", "decide A-1001 1 --as ship --amount 1 --by ada --reason x",
		"cases --closed", "cases --system bank", "cases --due -1h", "cases --order A-1 A-2", "cases A/1",
	} {
		x.run(command.ExitUsage, "", strings.Fields(args)...)
		x.says("usage: trueup")
	}
	x.run(command.ExitUsage, `{"street": "x", "floor": 3}`, strings.Fields("amend A-1001 --ship-to - --by ada --reason x")...)
	x.says("floor")
	x.run(command.ExitUsage, `{} {}`, strings.Fields("amend A-1001 --ship-to - --by ada --reason x")...)
	x.run(command.ExitRefused, `{"street": "x", "city": "y", "country": "Germany"}`, strings.Fields("amend A-1001 --ship-to - --by ada --reason x")...)
	x.says("ship_to.country")
	x.run(command.ExitError, "", "amend", "A-1001", "--ship-to", filepath.Join(t.TempDir(), "none.json"), "--by", "ada", "--reason", "x")
	if asked := asked(); len(asked) != 0 {
		t.Errorf("asked %+v", asked)
	}
}

func TestWish_AddressFromAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "address.json")
	if err := os.WriteFile(file, []byte(`{"street": "New Street 2", "city": "Berlin", "country": "DE"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	x, asked := withOrder(t, workflows.Reply{Order: "A-1001", Request: "amend 1"}, nil)
	x.run(command.ExitOK, "", "amend", "A-1001", "--ship-to", file, "--by", "ada", "--reason", "moved")
	if got := asked(); len(got) != 1 || got[0].(workflows.Amend).ShipTo.Street != "New Street 2" {
		t.Errorf("asked %+v", got)
	}
}

func TestWish_ExitCodes(t *testing.T) {
	t.Parallel()
	refuse := func(reason, text string) error { return temporal.NewNonRetryableApplicationError(text, reason, nil) }
	for name, c := range map[string]struct {
		reply workflows.Reply
		err   error
		want  int
		says  string
	}{
		"under way":         {workflows.Reply{Request: "return 1", Pending: "the goods are on their way"}, nil, command.ExitInProgress, "on their way"},
		"reality won":       {workflows.Reply{Request: "return 1", Refused: "it is packed"}, nil, command.ExitRefused, "not done: it is packed"},
		"declined":          {workflows.Reply{Request: "attempt 2", Declined: "insufficient_funds"}, nil, command.ExitRefused, "attempt 2 was declined (insufficient_funds)"},
		"customer must act": {workflows.Reply{Request: "attempt 2", Next: &payment.NextStep{Kind: "use_stripe_sdk", ClientSecret: "pi_secret"}}, nil, command.ExitOK, "use_stripe_sdk"},
		"not now":           {workflows.Reply{}, refuse(workflows.RefusedReason, "it has not shipped; cancel it instead"), command.ExitRefused, "cancel it instead"},
		"not valid":         {workflows.Reply{}, refuse(workflows.InvalidReason, "line 7 is unknown"), command.ExitRefused, "line 7 is unknown"},
		"nobody is sure":    {workflows.Reply{}, starters.ErrNotAnswered, command.ExitInProgress, "taken up and not answered yet"},
		"something else":    {workflows.Reply{}, errors.New("odd"), command.ExitError, "odd"},
	} {
		c.reply.Order = "A-1001"
		x, _ := withOrder(t, c.reply, c.err)
		x.run(c.want, "", "return", "A-1001", "--lines", "1=1", "--by", "ada", "--reason", "too small")
		x.says(c.says)
		if strings.Contains(x.out.String()+x.err.String(), "pi_secret") {
			t.Errorf("%s: the customer's secret is shown", name)
		}
	}
	x, asked := withOrder(t, workflows.Reply{}, nil)
	x.run(command.ExitUnknown, "", "return", "A-9", "--lines", "1=1", "--by", "ada", "--reason", "x")
	x.run(command.ExitUnknown, "", "refund", "A-9", "--amount", "1", "--by", "ada", "--reason", "x")
	x.engine.Silent(true)
	x.run(command.ExitUnreachable, "", "return", "A-1001", "--lines", "1=1", "--by", "ada", "--reason", "x")
	x.run(command.ExitUnreachable, "", "refund", "A-1001", "--amount", "1", "--by", "ada", "--reason", "x")
	if len(asked()) != 0 {
		t.Errorf("asked %v", asked())
	}
}

func TestSubmit_SaysWhatTheCustomerMayDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer workflows.Submitted
		says   []string
	}{
		{workflows.Submitted{Declined: "insufficient_funds", PayUntil: noon.Add(30 * time.Minute)},
			[]string{"declined (insufficient_funds)", "trueup attempt A-1001 --method METHOD", "until 2026-01-02T12:30:00Z"}},
		{workflows.Submitted{Question: &workflows.Question{N: 1, Kind: workflows.AskAboutStock, Deadline: noon.Add(time.Hour), Lines: []order.Quantity{{Line: 1, SKU: "MUG", Quantity: 2}}}},
			[]string{"2 × MUG", "trueup answer A-1001 amend|wait|cancel", "until 2026-01-02T13:00:00Z"}},
		{workflows.Submitted{Question: &workflows.Question{N: 1, Kind: workflows.AskAboutPayment}}, []string{"not paid for any more"}},
	} {
		c.answer.Order = "A-1001"
		x := newTerminal(t)
		x.engine.Answer = func(string, starters.Message) (any, error) { return c.answer, nil }
		x.run(command.ExitOK, good(t), "submit", "-")
		x.says(c.says...)
	}
}

func TestCases(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.run(command.ExitOK, "", "cases")
	x.says("0 open cases")
	for _, id := range []string{"A-1", "A-2", "A-3"} {
		x.run(command.ExitOK, strings.Replace(good(t), "A-1001", id, 1), "submit", "-")
		x.engine.Listed = append(x.engine.Listed, starters.Listed{ID: "order/" + id, Agreement: string(reconcile.NeedsPerson)})
	}
	x.engine.Listed = append(x.engine.Listed, starters.Listed{ID: "order/A-1"}) // an earlier run of it
	open := func(n int, deadline time.Duration) reconcile.Case {
		return reconcile.Case{
			N: n, Opened: noon.Add(-5 * time.Minute), Deadline: noon.Add(deadline), AtDeadline: "it is announced again",
			Step: reconcile.Step{
				Break: reconcile.Break{Field: "payment.refunded", Situation: "unexpected"}, Why: "somebody refunded at the gateway",
				Proposal: "book it", Alternatives: []string{"ask who did"},
			},
		}
	}
	x.engine.Answer = func(id string, _ starters.Message) (any, error) {
		switch id {
		case "order/A-1":
			return []reconcile.Case{open(1, 24*time.Hour), open(3, time.Hour)}, nil
		case "order/A-2":
			return []reconcile.Case{open(1, 2*time.Hour)}, nil
		}
		return []reconcile.Case{}, nil // decided meanwhile: the list lags behind
	}
	x.run(command.ExitOK, "", "cases")
	want := []string{"order A-1, case 3 (", "order A-2, case 1 (", "order A-1, case 1 (", "3 open cases\n"}
	for i, at := 0, -1; i < len(want); i++ {
		next := strings.Index(x.out.String(), want[i])
		if next <= at {
			t.Fatalf("%q is missing, or not in its place:\n%s", want[i], x.out.String())
		}
		at = next
	}
	x.says("open for 5 min: somebody refunded at the gateway", "proposal: book it; or: ask who did", "decide until 2026-01-02T13:00:00Z (60 min left); then: it is announced again",
		"trueup decide A-1 3 --as DECISION")
	x.run(command.ExitOK, "", "cases", "--all", "--json")
	var listed []struct {
		Order order.ID
		Case  reconcile.Case
	}
	if err := json.Unmarshal(x.out.Bytes(), &listed); err != nil || len(listed) != 3 || listed[0].Order != "A-1" || listed[0].Case.N != 3 {
		t.Errorf("%s: %v", x.out.String(), err)
	}
	if query := x.engine.Queries()[1]; !strings.Contains(query, "OrderAgreement = 'needs_person'") {
		t.Errorf("listed by %q", query)
	}
	answers := x.engine.Answer
	x.engine.Answer = func(id string, m starters.Message) (any, error) {
		if id == "order/A-2" {
			return nil, errors.New("its history cannot be read")
		}
		return answers(id, m)
	}
	x.run(command.ExitError, "", "cases") // and shows what it knows
	x.says("2 open cases", "these are not all cases: order A-2", "its history cannot be read")
	x.engine.Silent(true)
	x.run(command.ExitUnreachable, "", "cases")
}
