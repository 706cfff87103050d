package starters_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v3"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/connect"
	"github.com/trueup-orders/trueup/starters/internal/memory"
	"github.com/trueup-orders/trueup/workflows"
)

// visibility is an engine whose lists know about runs: what does not agree is in
// one list, and all runs of an order in another.
type visibility struct {
	*memory.Engine
	disagreeing, byID, inbox []starters.Listed
	lists                    int
}

func (v *visibility) List(_ context.Context, query string, _ int, _ []byte) ([]starters.Listed, []byte, error) {
	v.lists++
	if strings.Contains(query, "WorkflowId IN") {
		return v.byID, nil, nil
	}
	if strings.Contains(query, "'"+workflows.InboxType+"'") {
		return v.inbox, nil, nil
	}
	return v.disagreeing, nil, nil
}

func stakes(s workflows.Stakes) func(string, any) error {
	return func(field string, into any) error {
		if field != workflows.StakesMemo {
			return errors.New("no such field")
		}
		data, err := json.Marshal(s)
		if err != nil {
			return err
		}
		return json.Unmarshal(data, into)
	}
}

// scrape reads metrics as Prometheus does: a line for each, without comments.
func scrape(t *testing.T, m *connect.Metrics) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("a scrape is answered %d: %s", w.Code, w.Body)
	}
	all := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "trueup_") {
			all[name] = value
		}
	}
	return all
}

func gaugesOf(t *testing.T, engine starters.Engine, now func() time.Time) *connect.Metrics {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	m := connect.NewMetrics()
	if err := m.Register(starters.NewGauges(&starters.Client{Engine: engine, Now: now}, log)); err != nil {
		t.Fatal(err)
	}
	return m
}

// level is a stock level that differs since a moment.
func level(sku string, since time.Time) reconcile.Break {
	return reconcile.Break{System: order.SystemInventory, Field: reconcile.InventoryLevel, Situation: reconcile.Mismatch, Item: sku, Expected: "8", Observed: "9", FirstSeen: since}
}

func TestGauges_SayHowTheInstallationStands(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	status := reconciliation.Status{
		Since: ago(48 * time.Hour), VerifiedThrough: ago(time.Minute), LastGoodRun: ago(time.Hour), Outstanding: 3,
		Stops: []reconciliation.Stop{{System: order.SystemERP, Off: true}, {Off: true}, {Kind: "erp.sale", Off: true}},
		Reports: []reconciliation.RunReport{
			{Run: "1", Unread: []order.System{order.SystemMail}}, {Run: "2", Only: true},
		},
		Groups: []reconciliation.Group{
			{N: 1, Kind: reconcile.Kind{System: order.SystemCRM}, State: reconciliation.GroupOpen, Deadline: noon.Add(3 * time.Hour)},
			{N: 2, Kind: reconcile.Kind{System: order.SystemERP}, State: reconciliation.GroupClosed, Deadline: noon},
		},
		Coverage: reconciliation.Coverage{
			Through: ago(72 * time.Hour), Partial: []reconciliation.PartialDay{{}}, Exceptions: []reconciliation.Exception{{Order: "A-7"}, {Order: "A-8"}},
		},
		Levels: []reconcile.Break{level("MUG", ago(26*time.Hour)), level("TSHIRT", ago(time.Minute))},
		Canary: &reconciliation.Canary{Order: "canary-1", Every: time.Hour, Since: ago(3 * time.Hour), Missed: 2,
			Last: &reconciliation.Planted{N: 3, Missed: ago(time.Minute)}},
	}
	engine := &visibility{Engine: &memory.Engine{Answer: func(string, starters.Message) (any, error) { return status, nil }}}
	engine.disagreeing = []starters.Listed{
		{ID: "order/A-1", Running: true, Started: ago(time.Hour), Agreement: "needs_person", Breaks: []string{"erp.sale.missing", "crm.revenue.mismatch"}, Oldest: ago(10 * time.Minute),
			DecodeMemo: stakes(workflows.Stakes{Currency: "EUR", Money: 500, Cases: 2, Opened: ago(5 * time.Minute), Deadline: noon.Add(time.Hour)})},
		{ID: "order/A-2", Running: true, Started: ago(time.Hour), Agreement: "disagreeing", Breaks: []string{"erp.sale.missing"}, Oldest: ago(20 * time.Minute),
			DecodeMemo: stakes(workflows.Stakes{Currency: "EUR", Money: 250})},
		// It did not agree when it closed, was re-opened since, and agrees now.
		{ID: "order/A-3", Started: ago(9 * time.Hour), Agreement: "disagreeing", Breaks: []string{"mail.sent.missing"}, Oldest: ago(10 * time.Hour),
			DecodeMemo: stakes(workflows.Stakes{Currency: "JPY", Money: 9})},
		// A case about what no comparison finds.
		{ID: "order/A-4", Running: true, Started: ago(time.Hour), Agreement: "needs_person",
			DecodeMemo: stakes(workflows.Stakes{Currency: "KWD", Money: 1000, Cases: 1, Opened: ago(2 * time.Hour), Deadline: noon.Add(2 * time.Hour)})},
	}
	engine.inbox = []starters.Listed{
		{ID: "inbox/payment/pi_1", Running: true, Agreement: "needs_person", DecodeMemo: stakes(workflows.Stakes{Currency: "EUR", Money: 70, Cases: 1, Opened: ago(3 * time.Hour), Deadline: noon.Add(30 * time.Minute)})},
		{ID: "inbox/payment/pi_2", Running: true, Agreement: "needs_person", DecodeMemo: stakes(workflows.Stakes{Cases: 1, Opened: ago(time.Hour), Deadline: noon.Add(3 * time.Hour)})},
		// Visibility lags behind: nobody is asked any more.
		{ID: "inbox/crm/7", Running: true, Agreement: "agreed", DecodeMemo: stakes(workflows.Stakes{Cases: 1, Deadline: ago(time.Hour)})},
	}
	engine.byID = []starters.Listed{engine.disagreeing[2], {ID: "order/A-3", Started: ago(time.Hour), Agreement: "agreed"}}
	client := &starters.Client{Engine: engine, Now: clock}
	if err := client.EnsureReconciliation(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	now := noon
	m := gaugesOf(t, engine, func() time.Time { return now })
	got := scrape(t, m)
	at := func(moment time.Time) float64 { return float64(moment.Unix()) }
	for name, want := range map[string]float64{
		"trueup_overview_read": 1, "trueup_overview_truncated": 0, "trueup_orders_disagreeing": 2,
		`trueup_open_breaks{kind="sale.missing",system="erp"}`:         2,
		`trueup_open_breaks{kind="revenue.mismatch",system="crm"}`:     1,
		`trueup_open_breaks{kind="level.mismatch",system="inventory"}`: 2,
		"trueup_oldest_break_timestamp_seconds":                        at(ago(26 * time.Hour)), // of a level: older than any order's
		`trueup_money_at_risk_minor_units{currency="EUR"}`:             820,
		`trueup_money_at_risk_minor_units{currency="KWD"}`:             1000,
		"trueup_open_cases": 5, "trueup_oldest_case_timestamp_seconds": at(ago(3 * time.Hour)),
		`trueup_open_orphans{system="payment"}`: 2, `trueup_open_orphans{system="crm"}`: 0,
		"trueup_next_case_deadline_timestamp_seconds": at(noon.Add(30 * time.Minute)),
		"trueup_verified_through_timestamp_seconds":   at(ago(time.Minute)),
		"trueup_last_good_run_timestamp_seconds":      at(ago(time.Hour)),
		`trueup_unread_systems{system="mail"}`:        1, `trueup_unread_systems{system="erp"}`: 0,
		"trueup_grants_out": 3, `trueup_repairs_stopped{system="erp"}`: 1, `trueup_repairs_stopped{system="all"}`: 1,
		"trueup_planted_every_seconds": 3600, "trueup_planted_breaks_missed": 2, "trueup_planted_break_overdue": 1,
		"trueup_planted_break_found_timestamp_seconds": at(ago(3 * time.Hour)),
		`trueup_open_groups{system="crm"}`:             1, `trueup_open_groups{system="erp"}`: 0,
		"trueup_next_group_deadline_timestamp_seconds": at(noon.Add(3 * time.Hour)),
		"trueup_swept_through_timestamp_seconds":       at(ago(72 * time.Hour)),
		"trueup_partial_days":                          1, "trueup_sweep_exceptions": 2,
	} {
		var value float64
		if err := json.Unmarshal([]byte(got[name]), &value); err != nil || value != want {
			t.Errorf("%s is %q, want %v", name, got[name], want)
		}
	}
	for name := range got {
		if strings.Contains(name, "A-") || strings.Contains(name, "JPY") || strings.Contains(name, "canary-1") || strings.Contains(name, "MUG") {
			t.Errorf("%s names an order, or counts one that agrees", name)
		}
	}
	lists := engine.lists
	scrape(t, m)
	if engine.lists != lists {
		t.Error("a second scrape in the same moment read everything again")
	}
	now = noon.Add(time.Minute)
	engine.Down(true)
	if got := scrape(t, m); len(got) != 1 || got["trueup_overview_read"] != "0" {
		t.Errorf("with the engine down a scrape says %v; want that alone", got)
	}
}

// The orders of an incident are not bothered with it, so that no list of orders has
// its breaks: they count all the same, and those that an order says itself only once.
func TestGauges_OrdersOfIncidents_CountedOnce(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	kind := func(text string) reconcile.Kind {
		k, err := reconcile.ParseKind(text)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	status := reconciliation.Status{
		Since: ago(48 * time.Hour), Levels: []reconcile.Break{level("MUG", ago(time.Minute)), level("TSHIRT", ago(time.Minute))},
		Groups: []reconciliation.Group{
			{N: 1, Kind: kind("crm.deal.mismatch"), State: reconciliation.GroupOpen, Orders: 12, Money: []reconcile.Sum{{Currency: "EUR", Minor: 12_000}, {Currency: "JPY", Minor: 50}}, Since: ago(30 * time.Hour), Deadline: noon.Add(2 * time.Hour)},
			{N: 2, Kind: kind("erp"), Short: true, State: reconciliation.GroupLeft, Orders: 600, Money: []reconcile.Sum{{Currency: "EUR", Minor: 5_000}}, Since: ago(time.Hour), Deadline: noon.Add(time.Hour)},
			{N: 3, Kind: kind("crm.deal.missing"), State: reconciliation.GroupClosed, Orders: 40, Money: []reconcile.Sum{{Currency: "KWD", Minor: 9}}, Since: ago(90 * time.Hour)},
			{N: 4, Kind: kind("inventory.level.mismatch"), State: reconciliation.GroupOpen, Orders: 2, Since: ago(time.Minute), Deadline: noon.Add(3 * time.Hour)},
			{N: 5, Kind: kind("mail.shipped"), State: reconciliation.GroupLeft, Since: ago(80 * time.Hour)}, // none of it is there any more
		},
	}
	members := []reconciliation.Members{{Group: 1}, {Group: 2}, {Group: 4, Of: []string{"MUG", "TSHIRT"}}}
	for n := range 12 {
		members[0].Of = append(members[0].Of, fmt.Sprintf("A-%d", n))
	}
	for n := 10; n < 510; n++ { // two of them are in both, and 100 are not kept by name
		members[1].Of = append(members[1].Of, fmt.Sprintf("A-%d", n))
	}
	engine := &visibility{Engine: &memory.Engine{Answer: func(_ string, m starters.Message) (any, error) {
		if m.Name == workflows.MembersQuery {
			return members, nil
		}
		return status, nil
	}}}
	engine.disagreeing = []starters.Listed{
		// It says its deal itself, and something else besides.
		{ID: "order/A-1", Running: true, Started: ago(time.Hour), Agreement: "disagreeing", Breaks: []string{"crm.deal.mismatch", "inventory.reserved.missing"}, Oldest: ago(time.Hour),
			DecodeMemo: stakes(workflows.Stakes{Currency: "EUR", Money: 1_500})},
		// Only something else.
		{ID: "order/A-2", Running: true, Started: ago(time.Hour), Agreement: "disagreeing", Breaks: []string{"inventory.reserved.missing"}, Oldest: ago(time.Hour),
			DecodeMemo: stakes(workflows.Stakes{Currency: "EUR", Money: 70})},
		// It is in both, and says both; its money counts against them once.
		{ID: "order/A-11", Running: true, Started: ago(time.Hour), Agreement: "disagreeing", Breaks: []string{"crm.deal.mismatch", "erp.sale.missing"}, Oldest: ago(time.Hour),
			DecodeMemo: stakes(workflows.Stakes{Currency: "EUR", Money: 100})},
		// A person is asked about something that no comparison finds.
		{ID: "order/A-3", Running: true, Started: ago(time.Hour), Agreement: "needs_person", DecodeMemo: stakes(workflows.Stakes{Cases: 1, Opened: ago(time.Hour), Deadline: noon.Add(9 * time.Hour)})},
	}
	client := &starters.Client{Engine: engine, Now: clock}
	if err := client.EnsureReconciliation(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	got := scrape(t, gaugesOf(t, engine, clock))
	at := func(moment time.Time) float64 { return float64(moment.Unix()) }
	for name, want := range map[string]float64{
		"trueup_overview_read":                                           1,
		"trueup_orders_disagreeing":                                      510 + 100, // of which three are listed, and those that are not kept by name
		`trueup_open_breaks{kind="deal.mismatch",system="crm"}`:          12,
		`trueup_open_breaks{kind="all",system="erp"}`:                    599,
		`trueup_open_breaks{kind="sale.missing",system="erp"}`:           1,
		`trueup_open_breaks{kind="reserved.missing",system="inventory"}`: 2,
		`trueup_open_breaks{kind="level.mismatch",system="inventory"}`:   2,
		`trueup_money_at_risk_minor_units{currency="EUR"}`:               1_500 + 70 + 100 + (12_000 - 1_500 - 100) + 5_000,
		`trueup_money_at_risk_minor_units{currency="JPY"}`:               50,
		"trueup_oldest_break_timestamp_seconds":                          at(ago(30 * time.Hour)),
		"trueup_next_group_deadline_timestamp_seconds":                   at(noon.Add(2 * time.Hour)),
		"trueup_open_cases":                                              1, "trueup_next_case_deadline_timestamp_seconds": at(noon.Add(9 * time.Hour)),
	} {
		var value float64
		if err := json.Unmarshal([]byte(got[name]), &value); err != nil || value != want {
			t.Errorf("%s is %q, want %v", name, got[name], want)
		}
	}
	for name := range got {
		if strings.Contains(name, "KWD") || strings.Contains(name, "deal.missing") || strings.Contains(name, "mail") && strings.Contains(name, "open_breaks") {
			t.Errorf("%s counts an incident that is over, or that has none", name)
		}
	}
	status.Groups = status.Groups[3:]
	if got := scrape(t, gaugesOf(t, engine, clock)); got["trueup_orders_disagreeing"] != "3" {
		t.Errorf("without an incident of orders %s disagree, want those that list breaks", got["trueup_orders_disagreeing"])
	}
}

// What is documented is what there is, and what the alerts speak of.
func TestMetrics_DocumentedAndAlertedOn(t *testing.T) {
	t.Parallel()
	described := make(chan *prometheus.Desc, 100)
	starters.NewGauges(&starters.Client{Engine: &memory.Engine{}, Now: clock}, logrus.New()).Describe(described)
	close(described)
	names := []string{
		workflows.DetectionMetric + "_seconds", workflows.RepairMetric + "_seconds", workflows.LateMetric + "_total",
		reconciliation.CasesAnnounced + "_total", reconciliation.GroupsAnnounced + "_total", reconciliation.OrphansAnnounced + "_total",
	}
	for d := range described {
		names = append(names, regexp.MustCompile(`trueup_\w+`).FindString(d.String()))
	}
	slices.Sort(names)
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(trueup_\\w+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		told = append(told, row[1])
	}
	slices.Sort(told)
	if !slices.Equal(names, told) {
		t.Errorf("docs/metrics.md tells of\n%v\nand there are\n%v", told, names)
	}
	data, err := os.ReadFile("../deployments/alerts/trueup.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) != 6 {
		t.Fatalf("the rules are %+v", file)
	}
	for _, r := range file.Groups[0].Rules {
		_, late := time.ParseDuration(r.For)
		spoken := regexp.MustCompile(`trueup_\w+`).FindAllString(r.Expr, -1)
		if r.Alert == "" || late != nil || len(spoken) == 0 || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["action"] == "" ||
			strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") {
			t.Errorf("not a whole alert: %+v", r)
		}
		for _, name := range spoken {
			if !slices.Contains(names, name) {
				t.Errorf("%s speaks of %s, which there is not", r.Alert, name)
			}
		}
		if r.Alert != "TrueupCaseNearDeadline" {
			continue
		}
		for _, name := range names { // whatever waits for a person with a deadline is told of in time
			if strings.HasSuffix(name, "_deadline_timestamp_seconds") && !slices.Contains(spoken, name) {
				t.Errorf("%s does not speak of %s", r.Alert, name)
			}
		}
	}
}
