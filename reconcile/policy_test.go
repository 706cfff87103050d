package reconcile

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestDefault_ReportsEverything(t *testing.T) {
	t.Parallel()
	p := Default()
	var fields []Field
	for _, r := range p.Rules {
		fields = append(fields, r.Field)
		if r.Mode != ModeReport {
			t.Errorf("%s is installed in mode %s", r.Field, r.Mode)
		}
		if r.Authority == "" || r.Settling <= 0 || r.NoticeWithin < r.Settling || r.CaseDeadline <= 0 || (r.MaxCount > 0) != r.Field.repaired() || r.Tolerance != 0 {
			t.Errorf("the rule is not complete: %+v", r)
		}
	}
	if !slices.Equal(fields, Fields()) {
		t.Fatalf("rules for %q, want %q", fields, Fields())
	}
	if p.PayWindowOf("card") != 30*time.Minute || p.PayWindowOf("") != 30*time.Minute || p.PayWindowOf("customer_balance") != 672*time.Hour {
		t.Errorf("pay windows are %s and %+v", p.PayWindow, p.PayWindows)
	}
	if p.PayWindow != 30*time.Minute || p.ReturnWindow != 720*time.Hour || p.Horizon != 336*time.Hour {
		t.Fatalf("windows are %s, %s, %s", p.PayWindow, p.ReturnWindow, p.Horizon)
	}
}

func TestParse_DefaultRendered_IsDefault(t *testing.T) {
	t.Parallel()
	for _, p := range []Policy{Default(), auto(), Default().WithMode(ModeIgnore)} {
		back, err := Parse(p.YAML())
		if err != nil {
			t.Fatalf("Parse: %v\n%s", err, p.YAML())
		}
		if !reflect.DeepEqual(back, p) || back.Version() != p.Version() {
			t.Fatalf("parsed %+v, want %+v", back, p)
		}
	}
	for _, empty := range []string{"", "\n", "# nothing\n", "---\n", "fields:\n"} {
		if p, err := Parse([]byte(empty)); err != nil || !reflect.DeepEqual(p, Default()) {
			t.Errorf("Parse(%q) = %+v, %v; want the built-in policy", empty, p, err)
		}
	}
}

func TestParse_Overrides(t *testing.T) {
	t.Parallel()
	p, err := Parse([]byte(`
fields:
  erp.invoices: {mode: report, settling: 2m, notice_within: 20m, max_count: 5, max_money: 100, tolerance: 1, case_deadline: 1h}
  crm.deal: {strength: adopt}
mode: auto            # wherever it stands, a field's own mode wins
pay_window: 45m
pay_windows:
  oxxo: 100h
  card: 10m
`))
	if err != nil {
		t.Fatal(err)
	}
	want := auto()
	want.PayWindow = 45 * time.Minute
	want.PayWindows = slices.Insert(want.PayWindows, slices.IndexFunc(want.PayWindows, func(w MethodWindow) bool { return w.Method == "customer_balance" }), MethodWindow{"card", 10 * time.Minute})
	want.PayWindows[slices.IndexFunc(want.PayWindows, func(w MethodWindow) bool { return w.Method == "oxxo" })].Window = 100 * time.Hour
	for n := range want.Rules {
		r := &want.Rules[n]
		switch r.Field {
		case ERPInvoices:
			r.Mode, r.Settling, r.NoticeWithin, r.MaxCount, r.MaxMoney, r.Tolerance, r.CaseDeadline = ModeReport, 2*time.Minute, 20*time.Minute, 5, 100, 1, time.Hour
		case CRMDeal:
			r.Strength = AdoptTheirs
		}
	}
	if !reflect.DeepEqual(p, want) {
		t.Fatalf("parsed %+v\nwant %+v", p, want)
	}
	if p.Rule(PaymentDisputed).Mode != ModeAsk || p.Rule(ERPSale).Mode != ModeAuto {
		t.Fatal("mode auto does not raise each field to what it allows")
	}
	if p.PayWindowOf("card") != 10*time.Minute || p.PayWindowOf("oxxo") != 100*time.Hour || p.PayWindowOf("pix") != 25*time.Hour || p.PayWindowOf("ideal") != 45*time.Minute {
		t.Errorf("pay windows are %+v", p.PayWindows)
	}
	if p.Version() == auto().Version() || len(p.Version()) != 12 {
		t.Fatalf("version is %s", p.Version())
	}
}

func TestParse_EveryProblemWithItsLine(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(`mode: always
pay_window: soon
horizon: -1h
horizon: 1h
windows: 3
fields:
  erp.invoice: {mode: auto}
  erp.sale:
    mode: yes
    authority: crm
    settling: 1h
    colour: red
  payment.disputed: {mode: auto}
  payment.open: [1]
  crm.deal: {max_count: -1, max_money: 1.5, strength: strong, tolerance: many}
pay_windows:
  oxxo: 30s
  pix: 8761h
  boleto: [1h]
  SEPA: 1h
  oxxo: 1h
  konbini:
`))
	var invalid *PolicyError
	if !errors.As(err, &invalid) {
		t.Fatalf("Parse gave %v", err)
	}
	want := []struct {
		line int
		says string
	}{
		{1, "always"}, {2, "soon"}, {3, "-1h"}, {4, "given twice"}, {5, `"windows" is not a setting`}, {7, `"erp.invoice" is not a field`},
		{8, "notice_within (15m) is less than settling (1h)"}, {9, "yes"}, {10, "cannot be overridden"}, {12, `"colour"`},
		{13, "allows at most ask"}, {14, "not a mapping"}, {15, "max_count"}, {15, "max_money"}, {15, "strong"}, {15, "tolerance"},
		{17, "oxxo is 30s; want 1m to 8760h"}, {18, "pix is 8761h"}, {19, "boleto is"}, {20, `"SEPA" is not a kind of payment`}, {21, "oxxo is given twice"},
		{22, "konbini is"},
	}
	if len(invalid.Problems) != len(want) {
		t.Fatalf("%d problems, want %d: %v", len(invalid.Problems), len(want), invalid)
	}
	for n, w := range want {
		if p := invalid.Problems[n]; p.Line != w.line || !strings.Contains(p.Reason, w.says) {
			t.Errorf("problem %d is line %d: %s; want line %d: …%s…", n, p.Line, p.Reason, w.line, w.says)
		}
	}
}

// Nobody can be asked about a stock level, nor is it pressed more or less: what would
// have no effect is refused with its line and with what to choose instead. A mode for
// all reports it in the place of a case.
func TestParse_InventoryLevel_WhatHasNoEffectIsRefused(t *testing.T) {
	t.Parallel()
	for setting, says := range map[string]string{
		"mode: ask": "want auto (set it from the warehouse's count), report (leave it to a person) or ignore", "strength: adopt": "no strength has an effect",
		"strength: enforce_if_ours": "no strength has an effect", "strength: fill_if_empty": "no strength has an effect", "max_money: 5": "bound it by max_count",
	} {
		_, err := Parse([]byte("mode: auto\nfields:\n  inventory.level:\n    " + setting + "\n"))
		var invalid *PolicyError
		if !errors.As(err, &invalid) || len(invalid.Problems) != 1 || invalid.Problems[0].Line != 4 || !strings.Contains(invalid.Problems[0].Reason, says) {
			t.Errorf("%s: %v, want line 4: …%s…", setting, err, says)
		}
	}
	p, err := Parse([]byte("fields: {inventory.level: {mode: auto, strength: enforce, tolerance: 3, settling: 1m, notice_within: 1h, max_count: 2, max_money: 0, case_deadline: 1h}}\n"))
	if r := p.Rule(InventoryLevel); err != nil || r.Mode != ModeAuto || r.Tolerance != 3 || r.MaxCount != 2 || r.NoticeWithin != time.Hour {
		t.Errorf("what has an effect is read as %+v, %v", r, err)
	}
	for mode, want := range map[Mode]Mode{ModeAsk: ModeReport, ModeAuto: ModeAuto, ModeReport: ModeReport, ModeIgnore: ModeIgnore} {
		p, err := Parse([]byte("mode: " + string(mode) + "\n"))
		if got := p.Rule(InventoryLevel).Mode; err != nil || got != want || p.Rule(InventoryReserved).Mode != mode {
			t.Errorf("mode %s for all is %s for levels, want %s: %v", mode, got, want, err)
		}
	}
}

// Files of earlier versions had a window that nothing obeyed: it is refused with
// what to set in its place.
func TestParse_QuietAfter_IsRefused(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte("mode: auto\nquiet_after: 1h\n"))
	var invalid *PolicyError
	if !errors.As(err, &invalid) || len(invalid.Problems) != 1 || invalid.Problems[0].Line != 2 || !strings.Contains(invalid.Problems[0].Reason, "settling") {
		t.Errorf("error is %v; want line 2 and settling", err)
	}
}

func TestParse_NotAPolicy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		line       int
	}{
		{"not YAML", "mode: auto\npay_window: {", 2},
		{"a tab", "mode: auto\n\tpay_window: 1m", 2},
		{"a list", "- mode: auto", 1},
		{"a word", "auto", 1},
		{"pay windows as a list", "pay_windows: [oxxo]", 1},
		{"too many pay windows", "pay_windows:\n" + manyWindows(101), 2},
		{"two documents", "mode: auto\n---\nmode: ask\n", 2},
		{"an alias", "mode: &m auto\npay_window: *m\n", 1},
		{"a merge", "fields:\n  <<: {}\n", 2},
		{"too long", strings.Repeat("#", maxFile+1), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tt.file))
			var invalid *PolicyError
			if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
				t.Fatalf("Parse gave %v, want a *PolicyError", err)
			}
			if invalid.Problems[0].Line > tt.line+1 || invalid.Problems[0].Line < 1 {
				t.Errorf("the problem is at line %d, want about %d: %v", invalid.Problems[0].Line, tt.line, invalid)
			}
		})
	}
}

// manyWindows is n pay windows in the form of a policy file.
func manyWindows(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("  m" + strconv.Itoa(i) + ": 1h\n")
	}
	return b.String()
}

func TestPolicy_JSON_RoundTrip(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(auto())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `"return_window":"720h"`) || !strings.Contains(string(data), `"settling":"30s"`) ||
		!strings.Contains(string(data), `{"method":"customer_balance","window":"672h"}`) {
		t.Fatalf("durations are not written as text: %s", data)
	}
	var back Policy
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, auto()) {
		t.Fatalf("came back as %+v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"pay_window":"soon"}`), &back); err == nil {
		t.Fatal("a duration that is none was taken")
	}
}

func TestPolicy_Table(t *testing.T) {
	t.Parallel()
	table := auto().Table()
	for _, f := range Fields() {
		if !strings.Contains(table, string(f)) {
			t.Errorf("the table lacks %s", f)
		}
	}
	if !strings.Contains(table, "customer_balance    672h\n") || !strings.Contains(table, "pay_windows: ") {
		t.Errorf("the table lacks the pay windows:\n%s", table)
	}
	for _, line := range strings.Split(table, "\n") {
		if len([]rune(line)) > 160 {
			t.Errorf("a line has %d columns: %s", len([]rune(line)), line)
		}
	}
}

// FuzzParse: no file makes Parse panic, what it takes renders to itself, and no
// file raises a field above what it allows.
func FuzzParse(f *testing.F) {
	f.Add([]byte("mode: auto\npay_window: 30m\nfields:\n  erp.invoices: {mode: auto, settling: 1m}\n"))
	f.Add([]byte("pay_windows: {oxxo: 1h, null: 1h, 1: 1h}"))
	f.Add(Default().YAML())
	f.Add([]byte("fields: {payment.disputed: {mode: auto}}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			var invalid *PolicyError
			if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
				t.Fatalf("Parse gave %v", err)
			}
			return
		}
		for _, r := range p.Rules {
			if r.Mode.rank() > r.Allows.rank() {
				t.Fatalf("%s is in mode %s and allows %s", r.Field, r.Mode, r.Allows)
			}
		}
		if back, err := Parse(p.YAML()); err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("%s\ncame back as %+v, %v", p.YAML(), back, err)
		}
	})
}

// A record without an order is asked about before it is too old for anything.
func TestParse_InboxAfterTheHorizon_Refused(t *testing.T) {
	t.Parallel()
	for text, line := range map[string]int{
		"mode: auto\ninbox_after: 336h\n": 2, "horizon: 1h\n": 1, "cool_down: 1h\nhorizon: 2h\ninbox_after: 3h\n": 2,
		"horizon: 61m\n": 0, "inbox_after: 335h\n": 0, "horizon: 2h\ninbox_after: 90m\n": 0,
	} {
		_, err := Parse([]byte(text))
		var invalid *PolicyError
		switch {
		case line == 0 && err == nil:
		case !errors.As(err, &invalid) || len(invalid.Problems) != 1 || invalid.Problems[0].Line != line || !strings.Contains(invalid.Problems[0].Reason, "is not less than horizon"):
			t.Errorf("%q: %v, want a problem at line %d", text, err, line)
		}
	}
}
