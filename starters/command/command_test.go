package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/command"
	"github.com/trueup-orders/trueup/starters/connect"
	"github.com/trueup-orders/trueup/starters/internal/memory"
	"github.com/trueup-orders/trueup/workflows"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// terminal is a terminal on an engine in memory.
type terminal struct {
	t            *testing.T
	engine       *memory.Engine
	noEngine     error
	disconnected int
	out, err     bytes.Buffer
}

func (x *terminal) run(want int, stdin string, args ...string) {
	x.t.Helper()
	x.out.Reset()
	x.err.Reset()
	got := command.Run(x.t.Context(), args, command.World{
		Stdin: strings.NewReader(stdin), Stdout: &x.out, Stderr: &x.err, Now: func() time.Time { return noon },
		Engine: func(context.Context) (starters.Engine, func(), error) {
			return x.engine, func() { x.disconnected++ }, x.noEngine
		},
	})
	if got != want {
		x.t.Errorf("trueup %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, want, x.out.String(), x.err.String())
	}
}

func (x *terminal) says(parts ...string) {
	x.t.Helper()
	for _, p := range parts {
		if text := x.out.String() + x.err.String(); !strings.Contains(text, p) {
			x.t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	return &terminal{t: t, engine: &memory.Engine{}}
}

// good returns the good order of the bad orders' file.
func good(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "bad-orders.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Good json.RawMessage }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return string(file.Good)
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.run(command.ExitOK, good(t), "submit", "-")
	x.says("order A-1001: succeeded, phase accepted")
	x.run(command.ExitOK, good(t), "submit", "-") // again
	file := filepath.Join(t.TempDir(), "order.json")
	if err := os.WriteFile(file, []byte(good(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	x.run(command.ExitOK, "", "submit", "--json", file)
	var answer workflows.Submitted
	if err := json.Unmarshal(x.out.Bytes(), &answer); err != nil || answer.Order != "A-1001" {
		t.Errorf("%s: %v", x.out.String(), err)
	}
	if run := x.engine.Run("order/A-1001"); run.Number != 1 || len(run.Messages) != 1 || x.disconnected != 3 {
		t.Errorf("run %+v; disconnected %d times", run, x.disconnected)
	}
	x.run(command.ExitRefused, strings.Replace(good(t), `"Ada"`, `"Eve"`, 1), "submit", "-")
	x.says("another order")
	x.run(command.ExitRefused, strings.Replace(good(t), "5343", "1", 1), "submit", "-")
	x.says("nothing was started", "total")
	x.run(command.ExitRefused, "{}", "submit", "-")
	x.run(command.ExitRefused, strings.Repeat(" ", 1<<20+1), "submit", "-")
	x.run(command.ExitError, "", "submit", filepath.Join(t.TempDir(), "none.json"))
	x.run(command.ExitUsage, "", "submit")
	x.engine.Silent(true)
	x.run(command.ExitOK, strings.Replace(good(t), "A-1001", "A-2", 1), "submit", "-")
	x.says("durable", "trueup verdict A-2")
}

func TestSubmit_NextStep_ShownOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.engine.Answer = func(string, starters.Message) (any, error) {
		return workflows.Submitted{Order: "A-1001", Phase: order.PhasePaying, Outcome: reconcile.InProgress, Next: &payment.NextStep{Kind: "use_stripe_sdk", ClientSecret: "pi_secret"}}, nil
	}
	x.run(command.ExitOK, good(t), "submit", "-")
	x.says("use_stripe_sdk")
	if strings.Contains(x.out.String(), "pi_secret") {
		t.Error("the customer's secret is shown")
	}
	x.run(command.ExitOK, good(t), "submit", "-", "--json")
	x.says("pi_secret")
}

func TestVerdict_ExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcome   reconcile.Outcome
		agreement reconcile.Agreement
		args      string
		want      int
	}{
		{reconcile.Succeeded, reconcile.Agreed, "verdict A-1001", command.ExitOK},
		{reconcile.Succeeded, reconcile.Disagreeing, "verdict A-1001", command.ExitOK},
		{reconcile.Succeeded, reconcile.Disagreeing, "verdict A-1001 --require-agreement", command.ExitNotAgreed},
		{reconcile.Succeeded, reconcile.AgreeUnknown, "verdict --require-agreement A-1001", command.ExitNotAgreed},
		{reconcile.Succeeded, reconcile.Agreed, "verdict A-1001 --require-agreement", command.ExitOK},
		{reconcile.InProgress, reconcile.AgreeSettle, "verdict A-1001", command.ExitInProgress},
		{reconcile.InProgress, reconcile.Disagreeing, "verdict --require-agreement -- A-1001", command.ExitInProgress},
		{reconcile.Cancelled, reconcile.Agreed, "verdict A-1001 --json", command.ExitCancelled},
		{reconcile.Failed, reconcile.Agreed, "verdict --fresh=false A-1001", command.ExitFailed},
		{reconcile.OutcomeInDoubt, reconcile.AgreeUnknown, "verdict --fresh=true A-1001", command.ExitInDoubt},
		{"anything else", reconcile.Agreed, "verdict A-1001", command.ExitError},
	} {
		x := newTerminal(t)
		x.run(command.ExitOK, good(t), "submit", "-")
		x.engine.Answer = func(_ string, m starters.Message) (any, error) {
			return reconcile.Verdict{Order: "A-1001", Outcome: c.outcome, Agreement: c.agreement, Fresh: m.ID != ""}, nil
		}
		x.run(c.want, "", strings.Fields(c.args)...)
		x.says(string(c.outcome))
		if memory := strings.Contains(c.args, "fresh=false"); memory == strings.Contains(x.out.String(), "read just now") && !strings.Contains(c.args, "json") {
			t.Errorf("%s: %s", c.args, x.out.String())
		}
		if strings.Contains(c.args, "json") && !json.Valid(x.out.Bytes()) {
			t.Errorf("not JSON: %s", x.out.String())
		}
	}
}

func TestVerdict_UnknownOrder_NoWorker_NoEngine_Usage(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.run(command.ExitUnknown, "", "verdict", "A-9")
	x.says("submit it again: it is adopted from the systems as it stands, nothing is done twice: trueup submit FILE\n")
	x.run(command.ExitUnknown, "", "verdict", "A-9", "--fresh=false")
	x.run(command.ExitUsage, "", "verdict", "a/b")
	x.run(command.ExitUsage, "", "verdict")
	x.run(command.ExitUsage, "", "verdict", "A-1", "A-2")
	x.run(command.ExitUsage, "", "verdict", "A-1", "--loud")
	x.says("usage: trueup verdict ORDER")
	x.run(command.ExitOK, good(t), "submit", "-")
	x.engine.Silent(true)
	x.run(command.ExitUnreachable, "", "verdict", "A-1001")
	x.run(command.ExitUnreachable, "", "verdict", "A-1001", "--fresh=false")
	x.engine.Down(true)
	x.run(command.ExitUnreachable, "", "verdict", "A-1001")
	x.noEngine = fmt.Errorf("connect to 127.0.0.1:7233: %w", connect.ErrUnreachable)
	x.run(command.ExitUnreachable, "", "verdict", "A-1001")
	x.says("127.0.0.1:7233")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer workflows.CancelAnswer
		err    error
		want   int
		says   string
	}{
		"cancelled":         {workflows.CancelAnswer{Cancelled: true}, nil, command.ExitOK, "is cancelled"},
		"reality won":       {workflows.CancelAnswer{Refused: "it is packed"}, nil, command.ExitRefused, "it is packed"},
		"ended by itself":   {workflows.CancelAnswer{Outcome: reconcile.Failed}, nil, command.ExitRefused, "failed"},
		"not in this phase": {workflows.CancelAnswer{}, temporal.NewNonRetryableApplicationError("it has shipped", workflows.RefusedReason, nil), command.ExitRefused, "it has shipped"},
		"something else":    {workflows.CancelAnswer{}, errors.New("odd"), command.ExitError, "odd"},
	} {
		x := newTerminal(t)
		x.run(command.ExitOK, good(t), "submit", "-")
		x.engine.Answer = func(_ string, m starters.Message) (any, error) {
			wish, ok := m.Argument.(workflows.Cancel)
			if !ok || wish.By != "ada" || wish.Reason != "changed my mind" {
				t.Errorf("%s: asked %+v", name, m)
			}
			c.answer.Call = wish.Call
			return c.answer, c.err
		}
		x.run(c.want, "", "cancel", "A-1001", "--by", "ada", "--reason", "changed my mind")
		x.says(c.says)
	}
	x := newTerminal(t)
	x.run(command.ExitUnknown, "", "cancel", "A-1001", "--by", "ada", "--reason", "x")
	x.run(command.ExitUsage, "", "cancel", "A-1001", "--reason", "x")
	x.run(command.ExitUsage, "", "cancel", "A-1001", "--by", "ada")
	x.run(command.ExitUsage, "", "cancel", "--by", "ada", "--reason", "x")
	x.run(command.ExitOK, good(t), "submit", "-")
	x.engine.Answer = func(string, starters.Message) (any, error) { return nil, starters.ErrNotAnswered }
	x.run(command.ExitInProgress, "", "cancel", "A-1001", "--by", "ada", "--reason", "x")
	x.engine.Silent(true)
	x.run(command.ExitUnreachable, "", "cancel", "A-1001", "--by", "ada", "--reason", "x")
}

func TestOrders(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.engine.Listed = []starters.Listed{
		{ID: "order/A-1", Started: noon.Add(-time.Hour), Outcome: "succeeded", Agreement: "disagreeing", Breaks: []string{"erp.sale.missing"}, Oldest: noon.Add(-5 * time.Minute)},
		{ID: "order/A-2", Started: noon.Add(-time.Minute), Outcome: "in_progress", Agreement: "settling"},
		{ID: "order/A-1", Started: noon.Add(-2 * time.Hour), Outcome: "an earlier run"},
	}
	x.run(command.ExitOK, "", "orders")
	want := `ORDER  OUTCOME      AGREEMENT    OLDEST BREAK  STARTED  BREAKS
A-2    in_progress  settling     -             60 s     -
A-1    succeeded    disagreeing  5 min         60 min   erp.sale.missing
2 orders
`
	if got := x.out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	x.run(command.ExitOK, "", "orders", "--outcome", "succeeded", "--agreement", "needs_person", "--limit", "2")
	x.says("there may be more")
	x.run(command.ExitOK, "", "orders", "--limit", "2", "--json")
	if got := x.err.String(); got != "trueup orders: there may be more; --limit asks for them\n" || !json.Valid(x.out.Bytes()) {
		t.Errorf("standard error says %q beside %s", got, &x.out)
	}
	query := x.engine.Queries()[1]
	for _, part := range []string{"OrderOutcome = 'succeeded'", "OrderAgreement = 'needs_person'", "WorkflowType = 'Order'"} {
		if !strings.Contains(query, part) {
			t.Errorf("%q is missing in %q", part, query)
		}
	}
	x.run(command.ExitUsage, "", "orders", "--outcome", "x' OR '1'='1")
	x.run(command.ExitUsage, "", "orders", "--agreement", "perhaps")
	x.run(command.ExitUsage, "", "orders", "--limit", "0")
	x.run(command.ExitUsage, "", "orders", "A-1")
}

// What a closed run said is not so any more once its order was re-opened, and the run
// that is says it is in no list of those that say so.
func TestOrders_Reopened_ListedAsItsLatestRunSays(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	closed := func(id, outcome, agreement string) starters.Listed {
		return starters.Listed{ID: "order/" + id, Started: noon.Add(-5 * time.Hour), Closed: noon.Add(-4 * time.Hour), Outcome: outcome, Agreement: agreement}
	}
	reopened, still := closed("A-1", "failed", "disagreeing"), closed("A-2", "failed", "disagreeing")
	now := starters.Listed{ID: "order/A-1", Running: true, Started: noon.Add(-time.Hour), Outcome: "in_progress", Agreement: "agreed"}
	x.engine.Lists = func(query string) []starters.Listed {
		switch {
		case strings.Contains(query, "WorkflowId IN"), !strings.Contains(query, "OrderOutcome") && !strings.Contains(query, "OrderAgreement"):
			return []starters.Listed{now, reopened, still}
		case strings.Contains(query, "'in_progress'"):
			return []starters.Listed{now}
		}
		return []starters.Listed{reopened, still}
	}
	for args, want := range map[string]string{
		"": "A-1:in_progress A-2:failed", "--agreement disagreeing": "A-2:failed", "--outcome failed": "A-2:failed", "--outcome in_progress": "A-1:in_progress",
	} {
		x.run(command.ExitOK, "", append([]string{"orders", "--json"}, strings.Fields(args)...)...)
		var listed []struct{ Order, Outcome string }
		if err := json.Unmarshal(x.out.Bytes(), &listed); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range listed {
			got = append(got, l.Order+":"+l.Outcome)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q lists %v, want %s", args, got, want)
		}
	}
	x.run(command.ExitOK, "", "orders", "--outcome", "failed")
	x.says("\n1 order\n")
}

func report(change func(*reconciliation.RunReport)) reconciliation.RunReport {
	r := reconciliation.RunReport{
		Run: "run-1", Started: noon.Add(-3 * time.Second), Finished: noon.Add(-time.Second), Policy: "abc", Rules: 1,
		Looked: 20, Records: 120, Suspects: 2, Found: 3, Repaired: 2, Cases: 1, VerifiedThrough: noon.Add(-time.Minute),
		Stock: reconciliation.StockReport{Compared: 4, Found: 1, Repaired: 1}, Lines: []string{"order A-1: erp.sale missing: recorded"},
	}
	change(&r)
	return r
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.engine.Answer = func(_ string, m starters.Message) (any, error) {
		in, _ := m.Argument.(workflows.ReconcileInput)
		return report(func(r *reconciliation.RunReport) { r.DryRun = in.DryRun; r.Looked = len(in.Orders) }), nil
	}
	x.run(command.ExitOK, "", "reconcile", "--dry-run", "A-1", "A-2")
	x.says("dry run", "2 orders", "3 breaks", "2 repaired", "1 case", "4 levels", "erp.sale missing", "policy abc, rules 1", "2026-01-02T11:59:00Z (60 s ago)")
	x.run(command.ExitOK, "", "reconcile", "--json")
	if !json.Valid(x.out.Bytes()) {
		t.Error(x.out.String())
	}
	x.engine.Answer = func(string, starters.Message) (any, error) {
		return report(func(r *reconciliation.RunReport) { r.Unread = []order.System{order.SystemERP} }), nil
	}
	x.run(command.ExitPartial, "", "reconcile")
	x.says("PARTIAL", "erp could not be read")
	x.engine.Answer = func(string, starters.Message) (any, error) {
		return report(func(r *reconciliation.RunReport) {
			r.From, r.To, r.Behind = noon.Add(-time.Hour), noon.Add(-time.Minute), true
		}), nil
	}
	x.run(command.ExitPartial, "", "reconcile")
	x.says("PARTIAL", "it took what changed from 2026-01-02T11:00:00Z until 2026-01-02T11:59:00Z and the next run goes on from 2026-01-02T11:59:00Z")
	x.engine.Answer = func(string, starters.Message) (any, error) {
		return report(func(r *reconciliation.RunReport) {
			r.Looked, r.Truncated, r.Lines = 0, true, []string{"not compared: order nobody: no order is known under this id"}
		}), nil
	}
	x.run(command.ExitUnknown, "", "reconcile", "nobody")
	x.says("no order is known under this id")
	x.run(command.ExitUsage, "", "reconcile", "a/b")
	x.engine.Down(true)
	x.run(command.ExitUnreachable, "", "reconcile")
}

func TestStatusAndSwitch(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.run(command.ExitError, "", "status")
	x.says("a worker starts it")
	var stops []reconciliation.Stop
	x.engine.Answer = func(_ string, m starters.Message) (any, error) {
		if s, ok := m.Argument.(reconciliation.Stop); ok {
			stops = append(stops, s)
		}
		return reconciliation.Status{
			Since: noon.Add(-48 * time.Hour), VerifiedThrough: noon.Add(-time.Minute), Stops: stops, Outstanding: 2,
			Backlog: noon.Add(-time.Hour),
			Cursors: []reconciliation.Cursor{{System: order.SystemERP, Through: noon.Add(-15 * time.Second)}},
			Reports: []reconciliation.RunReport{report(func(*reconciliation.RunReport) {}), report(func(r *reconciliation.RunReport) { r.Run = "run-2"; r.Unread = []order.System{order.SystemERP} })},
		}, nil
	}
	client := starters.Client{Engine: x.engine, Now: func() time.Time { return noon }}
	if err := client.EnsureReconciliation(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	x.run(command.ExitOK, "", "status")
	x.says("repairs", "on:", "verified through", "60 s ago", "erp followed to", "15 s ago", "run-1", "run-2", "last good run", "never",
		"backlog", "since 2026-01-02T11:00:00Z, worked off through 2026-01-02T11:59:00Z, 1m0s behind")
	if out := x.out.String(); strings.Index(out, "run-2") > strings.Index(out, "run-1") {
		t.Errorf("the newest run is not first:\n%s", out)
	}
	x.run(command.ExitOK, "", "switch", "off", "erp", "--by", "ada", "--reason", "the ERP is being upgraded")
	x.says("off: erp", "by ada", "being upgraded")
	x.run(command.ExitOK, "", "switch", "--by", "ada", "--reason", "stop it all", "off")
	x.says("everything")
	x.run(command.ExitOK, "", "switch", "on", "--by", "ada", "--reason", "done")
	if len(stops) != 3 || !stops[0].Off || stops[0].System != order.SystemERP || stops[1].System != "" || stops[2].Off {
		t.Errorf("stops %+v", stops)
	}
	x.run(command.ExitOK, "", "status", "--json")
	if !json.Valid(x.out.Bytes()) {
		t.Error(x.out.String())
	}
	for _, args := range []string{"switch", "switch up --by a --reason b", "switch off payroll --by a --reason b", "switch off --by a", "switch off --reason b", "switch off erp crm --by a --reason b", "status now"} {
		x.run(command.ExitUsage, "", strings.Fields(args)...)
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.noEngine = errors.New("a policy needs no engine")
	x.run(command.ExitOK, "", "policy")
	x.says("FIELD", "erp.invoices")
	x.run(command.ExitOK, "", "policy", "print", "--yaml")
	built := x.out.String()
	x.run(command.ExitOK, built, "policy", "check", "-")
	x.says("is a policy")
	x.run(command.ExitOK, "mode: auto\n", "policy", "print", "-")
	x.says("auto")
	x.run(command.ExitRefused, "pay_window: soon\nnonsense: 1\n", "policy", "check", "-")
	x.says("line 1", "line 2")
	x.run(command.ExitUsage, built, "policy", "check", "-", "--yaml")
	x.says("--yaml belongs to print")
	x.run(command.ExitUsage, "", "policy", "check")
	x.run(command.ExitUsage, "", "policy", "burn")
}

func TestHelp_NamesEveryCommandAndExitCode(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}} {
		x.run(command.ExitOK, "", args...)
		x.says("submit", "verdict", "cancel", "attempt", "amend", "answer", "return", "refund", "decide", "cases", "reconcile", "orders", "status", "switch", "policy", "TEMPORAL_ADDRESS")
	}
	for _, code := range []int{
		command.ExitOK, command.ExitError, command.ExitUsage, command.ExitUnknown, command.ExitRefused, command.ExitUnreachable,
		command.ExitInProgress, command.ExitCancelled, command.ExitFailed, command.ExitInDoubt, command.ExitNotAgreed, command.ExitPartial,
	} {
		x.says(fmt.Sprintf("\n%4d  ", code))
	}
	x.run(command.ExitOK, "", "help", "verdict")
	x.says("-require-agreement")
	x.run(command.ExitOK, "", "verdict", "--help")
	x.run(command.ExitUsage, "")
	x.run(command.ExitUsage, "", "help", "nothing")
	x.run(command.ExitUsage, "", "nothing")
}
