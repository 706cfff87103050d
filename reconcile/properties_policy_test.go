package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

// drawPolicy draws any policy that a file could say.
func drawPolicy(t *rapid.T) Policy {
	p := Default()
	seconds := func(label string, least, most int64) time.Duration {
		return time.Duration(rapid.Int64Range(least, most).Draw(t, label)) * time.Second
	}
	for _, w := range p.windows() {
		if one(t, 3) {
			*w.value = seconds(w.name, 1, 100_000)
		}
	}
	if p.InboxAfter >= p.Horizon { // no file can say that
		p.Horizon = p.InboxAfter + seconds("beyond", 1, 100_000)
	}
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		r := &p.Rules[rapid.IntRange(0, len(p.Rules)-1).Draw(t, "rule")]
		r.Mode = rapid.SampledFrom([]Mode{ModeIgnore, ModeReport, ModeAsk, ModeAuto}).Draw(t, "mode").atMost(r.Allows)
		if possible := r.Field.strengths(); len(possible) > 0 {
			r.Strength = rapid.SampledFrom(possible).Draw(t, "strength")
		}
		r.Settling = seconds("settling", 0, 300)
		r.NoticeWithin = r.Settling + seconds("notice", 1, 300)
		r.CaseDeadline = seconds("deadline", 60, 100_000)
		r.Tolerance = rapid.Int64Range(0, 1_000_000).Draw(t, "tolerance")
		r.MaxCount = rapid.IntRange(0, 1000).Draw(t, "count")
		r.MaxMoney = rapid.Int64Range(0, 1_000_000).Draw(t, "money")
		if r.Field == InventoryLevel { // a file cannot say what has no effect
			r.Mode, r.Strength = r.within(r.Mode), Enforce
		}
		if r.Field.limitRefuses("tolerance", "1") != "" {
			r.Tolerance = 0
		}
		if r.Field.limitRefuses("max_count", "1") != "" {
			r.MaxCount = 0
		}
		if r.Field.limitRefuses("max_money", "1") != "" {
			r.MaxMoney = 0
		}
	}
	if one(t, 3) {
		p.withPayWindow(MethodWindow{rapid.StringMatching(`[a-z0-9_]{1,12}`).Draw(t, "method"), seconds("window", 60, 100_000)})
	}
	return p
}

func TestProperty_Policy_ParsedFromItsOwnYAML_IsTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		back, err := Parse(p.YAML())
		if err != nil || !reflect.DeepEqual(back, p) || back.Version() != p.Version() {
			t.Fatalf("%s\ncame back as %+v, %v", p.YAML(), back, err)
		}
	})
}

func TestProperty_Policy_ThroughJSON_IsTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back Policy
		if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("%s\ncame back as %+v, %v", data, back, err)
		}
	})
}

// A policy's version says whether two are the same, to the last setting.
func TestProperty_Policy_Version_TellsEverySettingApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		other := p
		other.Rules, other.PayWindows = slices.Clone(p.Rules), slices.Clone(p.PayWindows)
		r := &other.Rules[rapid.IntRange(0, len(p.Rules)-1).Draw(t, "rule")]
		w := other.windows()
		rapid.SampledFrom([]func(){
			func() { r.Settling += time.Second }, func() { r.NoticeWithin += time.Second }, func() { r.CaseDeadline += time.Second },
			func() { r.Tolerance++ }, func() { r.MaxCount++ }, func() { r.MaxMoney++ }, func() { r.Mode += "x" }, func() { r.Strength += "x" },
			func() { *w[rapid.IntRange(0, len(w)-1).Draw(t, "window")].value += time.Second },
			func() { other.PayWindows[0].Window += time.Second },
		}).Draw(t, "change")()
		if p.Version() == other.Version() || p.Version() != drawnAgain(p).Version() {
			t.Fatalf("%+v and %+v have the versions %s and %s", p, other, p.Version(), other.Version())
		}
	})
}

// drawnAgain is an equal policy in other memory.
func drawnAgain(p Policy) Policy {
	p.Rules, p.PayWindows = slices.Clone(p.Rules), slices.Clone(p.PayWindows)
	return p
}

// An override changes what it names and nothing else, wherever it stands.
func TestProperty_Parse_Override_ChangesOnlyWhatItNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Default()
		general := rapid.SampledFrom([]Mode{"", ModeIgnore, ModeReport, ModeAsk, ModeAuto}).Draw(t, "for all")
		for n := range want.Rules {
			if general != "" {
				want.Rules[n].Mode = general.atMost(want.Rules[n].Allows)
			}
			if want.Rules[n].Field == InventoryLevel && general == ModeAsk {
				want.Rules[n].Mode = ModeReport
			}
		}
		r := &want.Rules[rapid.IntRange(0, len(want.Rules)-1).Draw(t, "rule")]
		var settings []string
		set := func(text string) { settings = append(settings, text) }
		if one(t, 2) {
			modes := []Mode{ModeIgnore, ModeReport, ModeAsk, ModeAuto}
			if r.Field == InventoryLevel {
				modes = []Mode{ModeIgnore, ModeReport, ModeAuto}
			}
			r.Mode = rapid.SampledFrom(modes).Draw(t, "mode").atMost(r.Allows)
			set("mode: " + string(r.Mode))
		}
		if one(t, 2) {
			most := int64(1_000_000_000_000)
			if r.Field.limitRefuses("tolerance", "1") != "" {
				most = 0
			}
			r.Tolerance = rapid.Int64Range(0, most).Draw(t, "tolerance")
			set("tolerance: " + strconv.FormatInt(r.Tolerance, 10))
		}
		if one(t, 2) {
			r.Settling = time.Duration(rapid.IntRange(0, 900).Draw(t, "settling")) * time.Second
			set("settling: " + r.Settling.String())
		}
		if one(t, 2) {
			most := 100
			if r.Field.limitRefuses("max_count", "1") != "" {
				most = 0
			}
			r.MaxCount = rapid.IntRange(0, most).Draw(t, "count")
			set("max_count: " + strconv.Itoa(r.MaxCount))
		}
		if one(t, 2) {
			want.CoolDown = time.Duration(rapid.IntRange(1, 900).Draw(t, "cool down")) * time.Second
		}
		lines := []string{"fields: {" + string(r.Field) + ": {" + strings.Join(settings, ", ") + "}}\n", "cool_down: " + want.CoolDown.String() + "\n"}
		if general != "" {
			lines = append(lines, "mode: "+string(general)+"\n")
		}
		file := strings.Join(shuffle(randomly(t), lines), "")
		if got, err := Parse([]byte(file)); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s is %+v, %v; want %+v", file, got, err, want)
		}
	})
}

// mangled draws a file that is nearly a policy: a good one with a piece of it
// lost, doubled, or replaced by something strange.
func mangled(t *rapid.T) string {
	file := "mode: auto\npay_window: 30m\npay_windows: {oxxo: 1h}\nfields:\n  erp.sale: {mode: ask, settling: 1m}\n  payment.held: {mode: ask}\n"
	if one(t, 4) {
		file = string(drawPolicy(t).YAML())
	}
	strange := []string{
		"", "\n", "{", "}", "[", ":", "- ", "&a ", "*a", "<<: ", "!!int ", "\t", "\"", "'", "---\n", "...\n", "#", "mode", "auto", "yes", "-1", "1.5",
		"99999999999999999999", "null", "~", "\x00", "\xff", "é", ": {}", "? ", "|\n", ">\n", "fields:\n", "9e9h", "-1h", "erp.sale:",
	}
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		from := rapid.IntRange(0, len(file)).Draw(t, "from")
		to := min(len(file), from+rapid.IntRange(0, 12).Draw(t, "length"))
		file = file[:from] + rapid.SampledFrom(strange).Draw(t, "strange") + file[to:]
	}
	return file
}

func TestProperty_Parse_NeverPanics_EveryProblemHasALine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		file := mangled(t)
		p, err := Parse([]byte(file))
		if err == nil {
			for _, r := range p.Rules {
				if r.Mode.rank() > Default().Rule(r.Field).Allows.rank() || r.NoticeWithin < r.Settling {
					t.Fatalf("%q was taken, with the rule %+v", file, r)
				}
			}
			return
		}
		var invalid *PolicyError
		if !errors.As(err, &invalid) || len(invalid.Problems) == 0 || !reflect.DeepEqual(p, Policy{}) {
			t.Fatalf("%q gave %+v, %v", file, p, err)
		}
		last := 0
		for _, problem := range invalid.Problems {
			if problem.Line < 1 || problem.Line > strings.Count(file, "\n")+2 || problem.Line < last || problem.Reason == "" {
				t.Fatalf("%q: problem %+v after line %d", file, problem, last)
			}
			last = problem.Line
			if !strings.Contains(err.Error(), fmt.Sprintf("line %d: %s", problem.Line, problem.Reason)) {
				t.Fatalf("%v does not say %+v", err, problem)
			}
		}
	})
}

// Whatever is wrong with a file, all of it is said at once, each with its line.
func TestProperty_Parse_NamesEveryProblem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		wrong := []string{
			"mode: sometimes", "pay_window: soon", "horizon: 99999h", "windows: 3", "cool_down: -1s",
			"pay_windows: [oxxo]", "inbox_after: [1h]", "mail_within: &x 1h", "quiet_after: 1h",
		}
		right := []string{"return_window: 1h", "answer_within: 2h", "# a remark", ""}
		var lines []string
		var want []int
		for _, line := range shuffle(randomly(t), slices.Concat(wrong, right)) {
			if slices.Contains(wrong, line) && rapid.Bool().Draw(t, "left out") {
				continue
			}
			lines = append(lines, line)
			if slices.Contains(wrong, line) {
				want = append(want, len(lines))
			}
		}
		_, err := Parse([]byte(strings.Join(lines, "\n")))
		var got []int
		var invalid *PolicyError
		if errors.As(err, &invalid) {
			for _, problem := range invalid.Problems {
				got = append(got, problem.Line)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s\nproblems in the lines %v, want %v: %v", strings.Join(lines, "\n"), got, want, err)
		}
	})
}

func TestProperty_Policy_WithMode_NeverAboveWhatIsAllowed(t *testing.T) {
	t.Parallel()
	modes := []Mode{ModeIgnore, ModeReport, ModeAsk, ModeAuto}
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		mode := rapid.SampledFrom(modes).Draw(t, "mode")
		before := drawnAgain(p)
		all := p.WithMode(mode)
		for n, r := range all.Rules {
			want := min(slices.Index(modes, mode), slices.Index(modes, r.Allows))
			if r.Field == InventoryLevel && mode == ModeAsk {
				want = slices.Index(modes, ModeReport)
			}
			if slices.Index(modes, r.Mode) != want {
				t.Fatalf("%s in mode %s of %s, allows %s", r.Field, r.Mode, mode, r.Allows)
			}
			r.Mode = p.Rules[n].Mode
			if !reflect.DeepEqual(r, p.Rules[n]) {
				t.Fatalf("more than the mode changed: %+v, %+v", r, p.Rules[n])
			}
		}
		if !reflect.DeepEqual(p, before) || !reflect.DeepEqual(all.WithMode(mode), all) {
			t.Fatal("WithMode changed its policy, or twice is another than once")
		}
	})
}

// A field that no rule knows is reported and never acted on.
func TestProperty_Policy_Rule_OfEveryField(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		for n, f := range Fields() {
			if r := p.Rule(f); !reflect.DeepEqual(r, p.Rules[n]) {
				t.Fatalf("the rule of %s is %+v", f, r)
			}
			if r := Default().Rule(f); r.Mode != ModeReport || r.NoticeWithin < r.Settling || r.Authority == "" {
				t.Fatalf("installed is %+v", r)
			}
		}
		strange := Field(rapid.StringMatching(`[a-z]{1,8}\.[a-z]{1,8}`).Draw(t, "field"))
		if slices.Contains(Fields(), strange) {
			return
		}
		r := p.Rule(strange)
		if r.Field != strange || r.Mode != ModeReport || r.Allows != ModeReport {
			t.Fatalf("nobody knows %s, and its rule is %+v", strange, r)
		}
		longest := map[order.System]time.Duration{}
		for _, known := range p.Rules {
			longest[known.Field.System()] = max(longest[known.Field.System()], known.Settling)
		}
		for _, s := range order.Systems() {
			if p.MaxSettling(s) != longest[s] {
				t.Fatalf("%s settles for %s, want %s", s, p.MaxSettling(s), longest[s])
			}
		}
	})
}

func TestProperty_Policy_Table_SaysEveryRule(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		lines := strings.Split(p.Table(), "\n")
		for _, r := range p.Rules {
			n := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, string(r.Field)+" ") })
			if n < 0 || len([]rune(lines[n])) > 160 {
				t.Fatalf("the table lacks %s, or is too wide:\n%s", r.Field, p.Table())
			}
			cells := strings.Fields(lines[n])
			if cells[1] != r.Authority || cells[3] != r.pressed() || cells[4] != string(r.Mode) || cells[5] != string(r.Allows) {
				t.Fatalf("the table says %q of %+v", lines[n], r)
			}
		}
		if !strings.Contains(lines[0], p.Version()) || !strings.Contains(lines[0], "rules "+strconv.Itoa(RulesVersion)) {
			t.Fatalf("the table does not say its version: %s", lines[0])
		}
	})
}

// Parents come before their children, whatever the order they are given in.
func TestProperty_Fields_Order(t *testing.T) {
	t.Parallel()
	parents := [][2]Field{
		{InventoryReserved, WarehouseShipment}, {PaymentHeld, WarehouseShipment}, {PaymentCaptured, ERPReceipts}, {WarehouseShipment, ERPInvoices},
		{ERPSale, ERPInvoices}, {ERPSale, ERPReceipts}, {ERPInvoices, ERPReceipts}, {ERPInvoices, ERPCredits}, {ERPCredits, ERPBalance},
		{CRMContact, CRMDeal}, {CRMDeal, CRMRevenue}, {MailField(MailConfirmation), MailField(MailShipped)},
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 120).Draw(t, "number")
		sorted := shuffle(randomly(t), append(Fields(), "zzz.unknown"))
		slices.SortFunc(sorted, compareFields)
		if !slices.Equal(sorted, append(Fields(), "zzz.unknown")) {
			t.Fatalf("sorted is %q", sorted)
		}
		for _, p := range parents {
			if slices.Index(sorted, p[0]) >= slices.Index(sorted, p[1]) {
				t.Fatalf("%s does not come before %s", p[0], p[1])
			}
		}
		less, more := "order/42/receipt/"+strconv.Itoa(n), "order/42/receipt/"+strconv.Itoa(n+rapid.IntRange(1, 20).Draw(t, "more"))
		if compareItems(less, more) >= 0 || compareItems(more, less) <= 0 || compareItems(less, less) != 0 {
			t.Fatalf("%s does not come before %s", less, more)
		}
	})
}

// Whatever windows a file sets: the policy has them, those it did not name keep
// their own, the list is sorted, it renders to itself, and its version is its own.
func TestProperty_Policy_PayWindows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.MapOf(rapid.StringMatching(`[a-z0-9_]{1,40}|card|oxxo|null|true|1e3`), rapid.Int64Range(60, 8760*3600)).Draw(t, "windows")
		file := "pay_window: 7m\npay_windows: {"
		for method, seconds := range set {
			file += method + ": " + strconv.FormatInt(seconds, 10) + "s, "
		}
		p, err := Parse([]byte(file + "}\n"))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		before := Default()
		before.PayWindow = 7 * time.Minute
		for _, method := range append(slices.Collect(maps.Keys(set)), "card", "pix", "boleto", "customer_balance", "nobody") {
			want, named := time.Duration(set[method])*time.Second, set[method] > 0
			if !named {
				want = before.PayWindowOf(method)
			}
			if got := p.PayWindowOf(method); got != want {
				t.Fatalf("%s has %s, want %s", method, got, want)
			}
		}
		if !slices.IsSortedFunc(p.PayWindows, func(a, b MethodWindow) int { return strings.Compare(a.Method, b.Method) }) {
			t.Fatalf("not sorted: %+v", p.PayWindows)
		}
		if back, err := Parse(p.YAML()); err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("%s\ncame back as %+v, %v", p.YAML(), back, err)
		}
		if same := reflect.DeepEqual(p, before); same != (p.Version() == before.Version()) {
			t.Fatalf("the versions say the opposite of %t", same)
		}
	})
}
