package command_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/command"
	"github.com/trueup-orders/trueup/workflows"
)

// troubled is a terminal on a reconciliation with two incidents.
func troubled(t *testing.T) (x *terminal, asked *[]any) {
	t.Helper()
	x, asked = newTerminal(t), &[]any{}
	deals := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}
	status := reconciliation.Status{
		Since: noon.Add(-48 * time.Hour), VerifiedThrough: noon, Budget: reconcile.Budget{Count: 10, Money: 50_000},
		Spent: []reconcile.Spent{
			{At: noon.Add(-2 * time.Hour), Count: 9, Money: []reconcile.Sum{{Currency: "EUR", Minor: 49_000}}},
			{At: noon.Add(-10 * time.Minute), Count: 4, Money: []reconcile.Sum{{Currency: "EUR", Minor: 12_000}, {Currency: "JPY", Minor: 700}}},
		},
		Stops: []reconciliation.Stop{{Kind: "erp.invoices", Off: true, By: "ada", Reason: "a bad release", At: noon.Add(-time.Hour)}},
		Groups: []reconciliation.Group{
			{N: 1, Kind: reconcile.Kind{System: order.SystemERP}, State: reconciliation.GroupClosed, Orders: 40, Looked: 41, Outcome: "a whole run found none of it any more", Closed: noon.Add(-time.Hour)},
			{
				N: 2, Kind: deals, State: reconciliation.GroupOpen, Orders: 60, Looked: 80, Money: []reconcile.Sum{{Currency: "EUR", Minor: 123_456}},
				Sample: []string{"o-1", "o-2"}, Since: noon.Add(-time.Hour), Why: "60 of 80 at once", Proposal: "find the one cause",
				Alternatives: []string{"leave: as it is"}, Deadline: noon.Add(-time.Minute), AtDeadline: "it stays stopped",
			},
		},
	}
	x.engine.Answer = func(_ string, m starters.Message) (any, error) {
		*asked = append(*asked, m.Argument)
		return status, nil
	}
	client := starters.Client{Engine: x.engine, Now: func() time.Time { return noon }}
	if err := client.EnsureReconciliation(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return x, asked
}

func TestStatus_BudgetSwitchesAndIncidents(t *testing.T) {
	t.Parallel()
	x, _ := troubled(t)
	x.run(command.ExitOK, "", "status")
	x.says("4 of 10 repairs, 120.00 EUR of 500.00 EUR, 700 JPY of 50000 JPY used within the hour; 6 left, 380.00 EUR, 49300 JPY",
		"off: erp.invoices", "by ada: a bad release", "group 2, open: crm.deal.mismatch on 60 of 80 orders, 1234.56 EUR at risk", "for example o-1, o-2",
		"proposal: find the one cause", "or leave: as it is", "OVERDUE since 2026-01-02T11:59:00Z: it stays stopped", "trueup group decide 2 --as repair|leave --evidence 60.EUR123456.")
	if strings.Contains(x.out.String(), "group 1") {
		t.Errorf("what is over is shown:\n%s", x.out.String())
	}
}

func TestGroups_ListedAndDecided(t *testing.T) {
	t.Parallel()
	x, asked := troubled(t)
	x.run(command.ExitOK, "", "groups")
	x.says("group 2, open", "1 group\n", "trueup group decide 2 --as repair|leave --evidence 60.EUR123456.")
	if strings.Contains(x.out.String(), "group 1") {
		t.Errorf("what is over is listed:\n%s", x.out.String())
	}
	x.run(command.ExitOK, "", "groups", "--all")
	x.says("group 1, closed: erp on 40 of 41 orders", "closed 2026-01-02T11:00:00Z: a whole run found none", "2 groups\n")
	x.run(command.ExitOK, "", "groups", "--json")
	var listed []struct {
		reconciliation.Group
		Evidence string `json:"evidence"`
	}
	if err := json.Unmarshal(x.out.Bytes(), &listed); err != nil || len(listed) != 1 || listed[0].Kind.Field != reconcile.CRMDeal || listed[0].Evidence != listed[0].Group.Evidence() {
		t.Errorf("%+v, %v", listed, err)
	}
	*asked = nil
	x.run(command.ExitOK, "", "group", "decide", "2", "--as", "repair", "--by", "ada", "--reason", "it was the release")
	x.says("group 2")
	if want := (reconciliation.DecideGroup{N: 2, As: "repair", By: "ada", Reason: "it was the release"}); len(*asked) != 1 || (*asked)[0] != want {
		t.Errorf("asked was %+v", *asked)
	}
	y, asked := troubled(t)
	*asked = nil
	y.run(command.ExitOK, "", "group", "decide", "2", "--as", "leave", "--evidence", listed[0].Evidence, "--by", "ada", "--reason", "it was the release")
	if want := (reconciliation.DecideGroup{N: 2, As: "leave", By: "ada", Reason: "it was the release", Evidence: listed[0].Evidence}); len(*asked) != 1 || (*asked)[0] != want {
		t.Errorf("asked was %+v", *asked)
	}
	for _, args := range []string{
		"group", "group decide", "group decide x --as repair --by a --reason b", "group decide 0 --as repair --by a --reason b", "group close 2 --as repair --by a --reason b",
		"group decide 2 --as accept --by a --reason b", "group decide 2 --as repair --reason b", "group decide 2 --as repair --by a", "groups now",
	} {
		x.run(command.ExitUsage, "", strings.Fields(args)...)
	}
}

// What was decided on is not so any more: refused, with what is so now.
func TestGroup_DecidedOnWhatItWas_Refused(t *testing.T) {
	t.Parallel()
	x, _ := troubled(t)
	x.engine.Answer = func(string, starters.Message) (any, error) {
		return nil, temporal.NewNonRetryableApplicationError("what group 2 rests on has changed since: 12 orders had it, and now 500; nothing was done", workflows.RefusedReason, nil)
	}
	x.run(command.ExitRefused, "", "group", "decide", "2", "--as", "repair", "--evidence", "12.EUR1.0123456789ab", "--by", "ada", "--reason", "it was the release")
	x.says("12 orders had it, and now 500; nothing was done")
}

func TestSwitch_Kinds(t *testing.T) {
	t.Parallel()
	x, asked := troubled(t)
	*asked = nil
	for _, what := range []string{"crm.deal", "crm.deal.mismatch", "mail"} {
		x.run(command.ExitOK, "", "switch", "off", what, "--by", "ada", "--reason", "test")
	}
	for i, want := range []reconciliation.Stop{{Kind: "crm.deal"}, {Kind: "crm.deal.mismatch"}, {System: order.SystemMail}} {
		want.Off, want.By, want.Reason, want.At = true, "ada", "test", noon
		if i >= len(*asked) || (*asked)[i] != want {
			t.Errorf("asked was %+v, want %+v", *asked, want)
		}
	}
	x.run(command.ExitUsage, "", "switch", "off", "crm.deals", "--by", "ada", "--reason", "test")
	x.says("crm.contact, crm.deal, crm.revenue, crm.carts")
	x.run(command.ExitUsage, "", "switch", "off", "crm.deal.lost", "--by", "ada", "--reason", "test")
	x.says("missing, unexpected, mismatch, duplicate, conflict")
	x.run(command.ExitUsage, "", "switch", "off", "sap", "--by", "ada", "--reason", "test")
	x.says("payment, inventory, warehouse, erp, crm, mail")
}

// A switch that was not off ends nothing, and whoever turned it on believes that
// repairs go on. What somebody left ends with the switch of its kind alone.
func TestSwitch_OnWhatIsNotOff_RefusedWithWhatIs(t *testing.T) {
	t.Parallel()
	deals := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}
	stop := reconciliation.Stop{Kind: "crm.deal", Off: true, By: "ada", Reason: "a bad release", At: noon.Add(-time.Hour)}
	all := reconciliation.Stop{Off: true, By: "ada", Reason: "all of it", At: noon.Add(-time.Hour)}
	left := reconciliation.Group{N: 3, Kind: deals, State: reconciliation.GroupLeft, By: "bob", Orders: 4, Looked: 9}
	open := reconciliation.Group{N: 4, Kind: deals, State: reconciliation.GroupOpen, Orders: 4, Looked: 9}
	for _, c := range []struct {
		what   string
		stops  []reconciliation.Stop
		groups []reconciliation.Group
		want   int
		says   string
	}{
		{"crm", []reconciliation.Stop{stop}, nil, command.ExitRefused, "the switch of crm is not off; off are: crm.deal, since 2026-01-02T11:00:00Z by ada: a bad release"},
		{"crm.deal", []reconciliation.Stop{stop}, nil, command.ExitOK, "repairs"},
		{"crm.deal", []reconciliation.Stop{all}, nil, command.ExitRefused, "the switch of crm.deal is not off; off are: everything, since"},
		{"", []reconciliation.Stop{all}, nil, command.ExitOK, "repairs"},
		{"", []reconciliation.Stop{stop}, nil, command.ExitRefused, "the switch of everything is not off; off are: crm.deal, since"},
		{"", nil, nil, command.ExitRefused, "the switch of everything is not off, and nothing else is"},
		{"crm.deal.mismatch", nil, []reconciliation.Group{left}, command.ExitOK, "repairs"},
		{"crm.deal", nil, []reconciliation.Group{left}, command.ExitRefused, "the switch of crm.deal is not off; off are: group 3: left as it is by bob, until trueup switch on crm.deal.mismatch"},
		{"", nil, []reconciliation.Group{left}, command.ExitRefused, "trueup switch on crm.deal.mismatch"},
		{"crm.deal.mismatch", nil, []reconciliation.Group{open}, command.ExitRefused, "the switch of crm.deal.mismatch is not off; off are: group 4: too many at once; nothing is done before somebody decides (trueup groups)"},
	} {
		x := newTerminal(t)
		turned := 0
		x.engine.Answer = func(_ string, m starters.Message) (any, error) {
			if m.Name == workflows.SwitchUpdate {
				turned++
			}
			return reconciliation.Status{Stops: c.stops, Groups: c.groups}, nil
		}
		client := starters.Client{Engine: x.engine, Now: func() time.Time { return noon }}
		if err := client.EnsureReconciliation(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		x.run(c.want, "", append(append([]string{"switch", "on"}, strings.Fields(c.what)...), "--by", "ada", "--reason", "done")...)
		x.says(c.says)
		if done := turned == 1; done != (c.want == command.ExitOK) {
			t.Errorf("%q: it was turned %d times", c.what, turned)
		}
	}
}
