package command_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/command"
	"github.com/trueup-orders/trueup/workflows"
)

func TestSweep(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var answer reconciliation.RunReport
	var refused error
	var asked workflows.SweepInput
	x.engine.Answer = func(_ string, m starters.Message) (any, error) {
		if in, ok := m.Argument.(workflows.SweepInput); ok {
			asked = in
		}
		answer.DryRun = asked.DryRun
		return answer, refused
	}
	report := reconciliation.RunReport{Looked: 41, Records: 300, Suspects: 2, Found: 2, Swept: &reconciliation.Swept{
		Day: day, Shards: 2, LookedUp: 3, Kept: 1, Exceptions: []reconciliation.Exception{{Order: "A-7", Why: "it is settling"}},
	}}
	answer = report
	answer.Would = &reconciliation.Done{Repaired: 1, Cases: 1}
	x.run(command.ExitOK, "", "sweep", "2026-01-01", "--dry-run")
	x.says("sweep of 2026-01-01", "dry run: nothing was changed, and this is what a sweep would do", "2 breaks on 2 suspects: 1 repaired, 0 adopted, 1 case, 0 left", "41 orders and 300 records in 2 shards", "3 orders", "1 record that", "order A-7: it is settling")
	if !asked.DryRun || !asked.Day.Equal(day) || x.engine.Run("sweep/2026-01-01") != nil {
		t.Errorf("asked for %+v", asked)
	}
	report.Unread, report.Swept.Unread = []order.System{order.SystemERP}, []string{"erp of shard 2 of 2: no answer"}
	answer = report
	x.run(command.ExitPartial, "", "sweep", "2026-01-01")
	x.says("NOT READ", "erp of shard 2 of 2: no answer", "PARTIAL")
	if x.engine.Run("sweep/2026-01-01") == nil {
		t.Error("the sweep of a day has another id")
	}
	refused = fmt.Errorf("the sweep failed: %w", temporal.NewApplicationErrorWithCause("plan the sweep", "wrapped", temporal.NewNonRetryableApplicationError(
		"2026-01-02 is not sealed yet", reconciliation.NotSealedReason, nil)))
	x.run(command.ExitRefused, "", "sweep", "2026-01-02")
	x.says("not sealed yet")
	x.run(command.ExitUsage, "", "sweep")
	x.run(command.ExitUsage, "", "sweep", "yesterday")
	x.says("2006-01-02")
}

func TestStatus_Coverage(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	day := func(n int) time.Time { return time.Date(2025, 12, n, 0, 0, 0, 0, time.UTC) }
	status := reconciliation.Status{}
	x.engine.Answer = func(string, starters.Message) (any, error) { return status, nil }
	client := &starters.Client{Engine: x.engine, Now: func() time.Time { return noon }}
	if err := client.EnsureReconciliation(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	x.run(command.ExitOK, "", "status")
	x.says("no day yet")
	status.Coverage = reconciliation.Coverage{
		Through: day(20),
		Ages: []reconciliation.SweptAt{
			{Days: []reconciliation.DayRange{{From: day(10), To: day(20)}, {From: day(21), To: day(24)}}},
			{Age: 3 * reconciliation.Day, Days: []reconciliation.DayRange{{From: day(10), To: day(17)}}},
		},
		Partial:    []reconciliation.PartialDay{{Day: day(20), At: noon.Add(-3 * time.Hour), Tries: 2, Unread: []string{"erp: no answer"}}},
		Exceptions: []reconciliation.Exception{{Order: "A-7", Day: day(12), Why: "its workflow did not answer", Tries: 3}},
	}
	x.run(command.ExitOK, "", "status")
	x.says("every day before 2025-12-20, but for 1 order", "2025-12-21 to 2025-12-23", "2025-12-20, tried 2 times, last 3 h ago: erp: no answer",
		"order A-7 of 2025-12-12, asked 3 times: its workflow did not answer")
}

func TestInbox(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	young := workflows.InboxCase{System: order.SystemPayment, Record: "pi_1", Since: noon.Add(-time.Minute)}
	old := workflows.InboxCase{
		System: order.SystemCRM, Record: "order-stranger", Order: "stranger", Since: noon.Add(-3 * time.Hour), Asked: noon.Add(-2 * time.Hour),
		Evidence: []string{"crm holds of order stranger: deal is won"}, Until: noon.Add(13 * reconciliation.Day),
		Token: "0a1b2c3d4e5f", Money: 700, Currency: "EUR", Deadline: noon.Add(22 * time.Hour), AtDeadline: "it waits on",
	}
	if text := (workflows.InboxCase{System: order.SystemMail, Record: "<a'1@x>"}).Command(); text != `trueup inbox mail '<a'\''1@x>'` {
		t.Errorf("a shell would be told %s", text)
	}
	var decided []workflows.DecideInbox
	var refused error
	x.engine.Answer = func(id string, m starters.Message) (any, error) {
		if d, ok := m.Argument.(workflows.DecideInbox); ok && refused == nil {
			decided = append(decided, d)
		}
		if id == workflows.InboxWorkflowID(old.System, old.Record) {
			return old, refused
		}
		return young, refused
	}
	client := &starters.Client{Engine: x.engine, Now: func() time.Time { return noon }}
	for _, k := range []workflows.InboxCase{young, old} {
		if err := client.Keep(t.Context(), k.Order, reconciliation.Notice{ID: "n", System: k.System, Record: k.Record}); err != nil {
			t.Fatal(err)
		}
		x.engine.Listed = append(x.engine.Listed, starters.Listed{ID: workflows.InboxWorkflowID(k.System, k.Record)})
	}
	x.run(command.ExitOK, "", "inbox")
	x.says("crm order-stranger, for 3 h, names order stranger\n    - crm holds of order stranger: deal is won\n    at stake: 7.00 EUR\n"+
		"    a case for 2 h; decide until 2026-01-03T10:00:00Z (22 h left); then: it waits on\n"+
		"    trueup inbox crm order-stranger --link ORDER --evidence 0a1b2c3d4e5f --by NAME",
		"forgotten on 2026-01-15", "payment pi_1, for 60 s, names no order\n    its order may still come", "2 records")
	if q := x.engine.Queries(); len(q) != 1 || q[0] != "WorkflowType = 'Inbox' AND ExecutionStatus = 'Running' AND OrderAgreement = 'needs_person'" {
		t.Errorf("it was listed by %v", q)
	}
	x.run(command.ExitOK, "", "inbox", "--all", "--json")
	who := []string{"--by", "me", "--reason", "I looked"}
	x.run(command.ExitOK, "", append([]string{"inbox", "payment", "pi_1", "--link", "A-1"}, who...)...)
	x.says("given to order A-1")
	x.run(command.ExitOK, "", append([]string{"inbox", "crm", "order-stranger", "--leave", "--evidence", "0a1b2c3d4e5f"}, who...)...)
	if len(decided) != 2 || decided[0].Evidence != "" || decided[1].Evidence != "0a1b2c3d4e5f" || decided[0].Link != "A-1" || decided[0].By != "me" || decided[0].ID == "" || !decided[1].Leave {
		t.Errorf("decided was %+v", decided)
	}
	x.run(command.ExitUsage, "", "inbox", "crm", "order-stranger", "--leave")
	x.run(command.ExitUsage, "", append([]string{"inbox", "crm", "order-stranger", "--leave", "--link", "A-1"}, who...)...)
	x.run(command.ExitUsage, "", append([]string{"inbox", "bank", "x", "--leave"}, who...)...)
	x.run(command.ExitUsage, "", append([]string{"inbox", "crm", "--leave"}, who...)...)
	x.run(command.ExitRefused, "", append([]string{"inbox", "crm", "gone", "--leave"}, who...)...)
	x.says("waits for nobody")
	refused = temporal.NewNonRetryableApplicationError("no order A-9 is known", workflows.RefusedReason, nil)
	x.run(command.ExitRefused, "", append([]string{"inbox", "payment", "pi_1", "--link", "A-9"}, who...)...)
	x.says("no order A-9 is known")
	refused = temporal.NewNonRetryableApplicationError("what is known of it has changed since; decide on evidence ffff", workflows.RefusedReason, nil)
	x.run(command.ExitRefused, "", "inbox", "crm", "order-stranger", "--leave", "--evidence", "0a1b2c3d4e5f", "--by", "ada", "--reason", "I looked")
	x.says("decide on evidence ffff")
	refused = nil
	x.run(command.ExitRefused, "", append([]string{"inbox", "crm", "order-stranger", "--leave", "--evidence", "no token"}, who...)...)
	x.says("evidence is not the token of a case's evidence; trueup inbox shows it")
}

// What has no meaning is refused, or somebody believes that it was done.
func TestInbox_FlagsThatDoNotGoTogether_Refused(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	for args, want := range map[string]string{
		"--evidence 0a1b2c3d4e5f": "--evidence, --by and --reason belong to a record", "--by ada --all": "--evidence, --by and --reason belong to a record", "--reason none": "--evidence, --by and --reason belong to a record",
		"crm 7 --leave --by ada --reason x --json": "--all and --json belong to the list", "crm 7 --link A-1 --by ada --reason x --all": "--all and --json belong to the list",
	} {
		x.run(command.ExitUsage, "", append([]string{"inbox"}, strings.Fields(args)...)...)
		x.says(want)
	}
	if asked := x.engine.Queries(); len(asked) > 0 {
		t.Errorf("it was listed all the same: %q", asked)
	}
}

// The engine lists the newest first: all are listed before as many as are shown are
// asked.
func TestInbox_MoreThanAreShown_TheOldestFirst(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	client := &starters.Client{Engine: x.engine, Now: func() time.Time { return noon }}
	since := map[string]time.Time{}
	for n := range 60 {
		record := fmt.Sprintf("pi_%d", n)
		if err := client.Keep(t.Context(), "", reconciliation.Notice{ID: "n", System: order.SystemPayment, Record: record}); err != nil {
			t.Fatal(err)
		}
		id := workflows.InboxWorkflowID(order.SystemPayment, record)
		since[id] = noon.Add(-time.Duration(n) * time.Hour)
		x.engine.Listed = append(x.engine.Listed, waiting(id, time.Duration(24-n)*time.Hour))
	}
	x.engine.Answer = func(id string, _ starters.Message) (any, error) {
		_, record, _ := workflows.InboxOf(id)
		return workflows.InboxCase{System: order.SystemPayment, Record: record, Since: since[id], Asked: since[id]}, nil
	}
	x.run(command.ExitOK, "", "inbox")
	if first := "payment pi_59, for 2 d"; !strings.HasPrefix(x.out.String(), first) {
		t.Errorf("the first is not %q:\n%.300s", first, &x.out)
	}
	x.says("50 records\nthere may be more; --all asks for them\n")
	x.run(command.ExitOK, "", "inbox", "--json")
	if got := x.err.String(); got != "trueup inbox: there may be more; --all asks for them\n" || !json.Valid(x.out.Bytes()) {
		t.Errorf("standard error says %q beside %.300s", got, &x.out)
	}
	x.engine.Listed = x.engine.Listed[10:]
	x.run(command.ExitOK, "", "inbox")
	x.says("50 records\n")
	if strings.Contains(x.out.String(), "there may be more") {
		t.Errorf("these are all: %s", &x.out)
	}
}
