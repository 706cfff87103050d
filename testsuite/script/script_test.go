package script

import (
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

var rewrite = flag.Bool("rewrite", false, "write what is wrong with each bad file into its first line")

// Every bad file begins with a comment that says what is wrong with it, as
// `# 4: reason | 7: reason`.
func TestParse_BadFiles_EveryProblemNamed(t *testing.T) {
	t.Parallel()
	bad := filepath.Join("testdata", "bad")
	files, err := Find(bad)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 60 {
		t.Fatalf("only %d bad files", len(files))
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			first, rest, _ := strings.Cut(string(data), "\n")
			f, err := Parse(path, data)
			if err == nil {
				t.Fatalf("was read: %+v", f)
			}
			got := "# " + strings.ReplaceAll(strings.ReplaceAll(err.Error(), path+":", ""), "\n", " | ")
			if *rewrite {
				if err := os.WriteFile(path, []byte(got+"\n"+rest), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got != first {
				t.Errorf("says\n%s\nwant\n%s", got, first)
			}
		})
	}
}

func read(t *testing.T, name string) *File {
	t.Helper()
	f, err := Read(filepath.Join("testdata", "good", name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func number(v int64) Number { return Number{Min: &v, Max: &v} }

func ref[T any](v T) *T { return &v }

// What is left out is as the format's shape shows it.
func TestRead_LeastFile_BaselineElsewhere(t *testing.T) {
	t.Parallel()
	got := read(t, "least.yml")
	want := &File{
		Path: got.Path, ID: "G-02", Title: "What must be there", Quiet: 48 * time.Hour,
		World: World{
			Stock: map[string]int{"A": 10, "B": 3}, PayWindow: 30 * time.Minute, AuthorizationTTL: 168 * time.Hour, KeyWindow: 24 * time.Hour,
			ReturnWindow: 720 * time.Hour, Retention: 720 * time.Hour, Horizon: 336 * time.Hour,
			FollowEvery: 15 * time.Second, ReconcileEvery: 15 * time.Minute,
		},
		Orders: []Order{{
			Name: "O1", Customer: "c1", Email: "c1@example.com", Currency: "EUR", Payment: Payment{MethodCard, "on_ship", false, true},
			Lines: []Line{{SKU: "A", Quantity: 2, Price: 2500}, {SKU: "B", Quantity: 1, Price: 4980}},
		}},
		Steps:  []Step{{Line: 4, Do: Submit{Order: "O1", Copies: 1}}},
		Expect: Expect{Line: 5, Orders: []OrderEnd{{Order: "O1", Line: 5, Outcome: []string{"succeeded"}}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v\nwant\n%+v", got, want)
	}
	if total := got.Orders[0].Total(); total != 9980 {
		t.Errorf("the baseline's order costs %d; want 9980", total)
	}
}

func TestRead_EveryStep_AsWritten(t *testing.T) {
	t.Parallel()
	f := read(t, "story.yaml")
	o1b := usual("O1b")
	o1b.Cart, o1b.Email, o1b.Lines = "O1", "new@example.com", []Line{{SKU: "A", Quantity: 1, Price: 2500}}
	challenged := usual("O1")
	challenged.Payment.Method = MethodChallenge
	one := Edit{System: order.SystemInventory, SKU: "A", OnHand: ref(int64(7)), Times: 1}
	two := Edit{System: order.SystemInventory, SKU: "B", OnHand: ref(int64(1)), Times: 1}
	want := []Action{
		Submit{Order: "O1", Copies: 1},
		Submit{Order: "O2", Copies: 30},
		Submit{Order: "O1", As: "O1b", Copies: 1, Change: &o1b},
		Submit{Order: "O1b", Copies: 1},
		Submit{Order: "O1", Copies: 1, Change: &challenged},
		Cancel{"O2"},
		Cancel{"O1b"},
		Return{"O1", []order.Quantity{{SKU: "A", Quantity: 1}}},
		Return{"O1", []order.Quantity{{SKU: "B", Quantity: 1}}},
		Return{"O2", []order.Quantity{{SKU: "B", Quantity: 1}, {SKU: "C", Quantity: 3}}},
		Amend{Order: "O1", Lines: map[string]int64{"B": 0}},
		Amend{Order: "O1", Lines: map[string]int64{"A": 2, "B": 0}},
		Amend{Order: "O1", Address: "9 New Road", Email: "c1@example.org"},
		Amend{Order: "O1", Address: "9 New Road"},
		Pay{"O2", 1, "declined"},
		Attempt{"O2", 3},
		Answer{"O1", "wait"},
		Event{From: order.SystemPayment, Type: "payment.captured", Order: "O1", Copies: 2, Attempt: 1, Forged: true, Account: "acct_2", SameID: true},
		Event{From: order.SystemWarehouse, Type: "stock.adjusted", SKU: "A", Copies: 1},
		Events{"drop", order.SystemPayment, "payment.captured"},
		Events{"release", order.SystemCRM, ""},
		Fault{order.SystemPayment, order.Capture, simulator.Late, -1, 2, 5 * time.Minute, "O1"},
		Fault{System: order.SystemMail, Operation: Any, Kind: simulator.Refused, Times: 1},
		Fault{System: Any, Operation: "lookup", Kind: simulator.Stale, Times: 3, Delay: defaultStale},
		Clear{order.SystemMail, Any},
		Clear{order.SystemPayment, order.Capture},
		Edit{System: order.SystemWarehouse, SKU: "A", OnHand: ref(int64(7)), Reason: "counted", Times: 1},
		one, two,
		Edit{System: order.SystemCRM, Customer: "c9", Times: 1, CRM: &CRMEnd{Email: ref("c9@example.com"), OptedOut: ref(true)}},
		Edit{System: order.SystemPayment, Order: "O1", Every: time.Minute, Times: 3, Payment: &PaymentEnd{Refunded: ref(number(100))}},
		Edit{System: order.SystemERP, Order: "O1", Times: 1, ERP: &ERPEnd{Invoices: ref(number(2)), Balance: ref(number(-100))}},
		Edit{
			System: order.SystemWarehouse, Order: "O1", Times: 1,
			Warehouse: &WarehouseEnd{Shipped: &Quantities{BySKU: map[string]Number{"A": number(1), "B": number(0)}}},
		},
		Edit{System: order.SystemMail, Order: "O1", Times: 1, Mail: &MailEnd{Refund: ref(number(1))}},
		Crash{"acknowledged", order.SystemPayment, order.Capture},
		Outage{"engine", 0},
		Outage{"gateway", 10 * time.Minute},
		Outage{"workers", 90 * time.Minute},
		Forget{"O1"},
		Clock{order.SystemPayment, -10 * time.Minute},
		Reconcile{},
		Reconcile{"O1", true, true},
		Decide{"O1", 2, "refund", "Ann", 100},
		Decide{"O1", 1, "done_by_hand", "an operator", 0},
	}
	for i, w := range want {
		if got := f.Steps[i].Do; !actionsEqual(got, w) {
			t.Errorf("step %d, line %d, is\n%+v\nwant\n%+v", i+1, f.Steps[i].Line, got, w)
		}
	}
	if len(f.Steps) != len(want)+1 {
		t.Errorf("%d steps; want %d", len(f.Steps), len(want)+1)
	}
	if check, is := f.Steps[len(want)].Do.(Check); !is || !slices.Equal(check.Expect.Orders[0].Outcome, []string{"succeeded", "in_progress"}) {
		t.Errorf("the last step is %+v", f.Steps[len(want)].Do)
	}
}

// actionsEqual leaves out on which line an order stands.
func actionsEqual(a, b Action) bool {
	for _, one := range []*Action{&a, &b} {
		if s, is := (*one).(Submit); is && s.Change != nil {
			o := *s.Change
			o.Line, s.Change = 0, &o
			*one = s
		}
	}
	return reflect.DeepEqual(a, b)
}

func TestRead_WorldAndExpect_AsWritten(t *testing.T) {
	t.Parallel()
	f := read(t, "story.yaml")
	if w := f.World; w.ReconcileEvery != 0 || !maps.Equal(w.Stock, map[string]int{"A": 5, "B": 3, "C": 7}) || w.PayWindow != 10*time.Minute {
		t.Errorf("the world is %+v", w)
	}
	if want := "{mode: report, fields: {crm.won: {mode: auto}, crm.lost: {mode: auto}}}\n"; f.World.Policy == "" || !sameYAML(t, f.World.Policy, want) {
		t.Errorf("the policy is %s", f.World.Policy)
	}
	o2, _ := f.Order("O2")
	if o2.Total() != 4980+300-1+57+490+93-5 || o2.Payment != (Payment{MethodAsync, "on_ship", false, false}) {
		t.Errorf("O2 is %+v, and costs %d", o2, o2.Total())
	}
	if f.Source != "https://example.com/1 https://example.com/2" || f.Quiet != 0 || f.Steps[0].At == nil || f.Steps[1].At != nil {
		t.Errorf("source %q, quiet %s, steps %+v", f.Source, f.Quiet, f.Steps[:2])
	}
	n := func(v int64) *Number { return ref(number(v)) }
	want := OrderEnd{
		Order: "O1", Line: 76, Outcome: []string{"succeeded"}, Agreement: []string{"agreed", "settling"}, Never: []string{"failed", "cancelled"},
		Payment:   &PaymentEnd{n(1), n(1), n(9980), n(0), n(0), &Number{Max: ref(int64(1))}},
		Inventory: &InventoryEnd{&Quantities{All: n(0)}, &Quantities{BySKU: map[string]Number{"A": {ref(int64(1)), ref(int64(2))}, "B": number(1)}}},
		Warehouse: &WarehouseEnd{n(1), &Quantities{All: &Number{Min: ref(int64(1))}}},
		ERP:       &ERPEnd{n(1), n(1), n(0), n(-5)},
		CRM:       &CRMEnd{n(1), ref(""), ref(false), n(1), n(0), n(9980), n(0)},
		Mail:      &MailEnd{n(1), n(1), n(0), n(0), n(0)},
		Cases:     n(0), Repairs: &Number{ref(int64(0)), ref(int64(3))},
	}
	got := f.Expect
	want.Line = got.Orders[0].Line
	if !reflect.DeepEqual(got.Orders[0], want) {
		t.Errorf("of O1 is expected\n%+v\nwant\n%+v", got.Orders[0], want)
	}
	if len(got.Orders) != 2 || got.Orphans == nil || !reflect.DeepEqual(got.Stock, &StockEnd{map[string]Number{"A": number(8), "C": number(2)}}) {
		t.Errorf("is expected %+v", got)
	}
}

func sameYAML(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := yaml.Unmarshal([]byte(a), &x); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(b), &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func TestRead_Merges_WrittenOut(t *testing.T) {
	t.Parallel()
	f := read(t, "merged.yaml")
	for i, want := range []string{"c@example.com", "d@example.com", "c@example.com"} {
		if o := f.Orders[i]; o.Email != want || o.Currency != "JPY" {
			t.Errorf("%s is %+v", o.Name, o)
		}
	}
	if got := f.Steps[2].Do.(Fault); got.Times != 2 || got.Kind != simulator.ResponseLost {
		t.Errorf("the second fault is %+v", got)
	}
}

func TestFind_DirectoriesAndFiles_SortedAndOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"b/2.yaml", "b/1.yml", "a.yaml", "notes.md", "other.txt"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Find(filepath.Join(dir, "other.txt"), dir, filepath.Join(dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i], _ = filepath.Rel(dir, got[i])
	}
	if want := []string{"other.txt", "a.yaml", "b/1.yml", "b/2.yaml"}; !slices.Equal(got, want) {
		t.Errorf("found %q; want %q", got, want)
	}
	for _, path := range []string{filepath.Join(dir, "none"), t.TempDir()} {
		if _, err := Find(path); err == nil {
			t.Errorf("%s: no error, and nothing is there", path)
		}
	}
}

func TestParse_LargeFile_Refused(t *testing.T) {
	t.Parallel()
	_, err := Parse("large.yaml", make([]byte, maxFile+1))
	if err == nil || !strings.HasPrefix(err.Error(), "large.yaml:1: ") {
		t.Errorf("says %v", err)
	}
}

// Nothing that somebody writes makes the reader panic or take its time, and what
// it refuses it refuses with a line.
func FuzzParse(f *testing.F) {
	files, err := Find("testdata/good", "testdata/bad")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("fuzz.yaml", data)
		if err == nil {
			if file.ID == "" || len(file.Steps) == 0 {
				t.Errorf("was read without id or steps: %+v", file)
			}
			return
		}
		wrong, is := errors.AsType[*Error](err)
		if !is || len(wrong.Problems) == 0 {
			t.Fatalf("is no list of problems: %v", err)
		}
		for _, p := range wrong.Problems {
			if p.Line < 1 || p.Reason == "" {
				t.Errorf("a problem without line or reason: %+v", p)
			}
		}
	})
}

// What docs/incidents.md shows can be written so.
func TestDocs_Examples_AreRead(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "incidents.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(page), "```yaml\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) != 3 {
		t.Fatalf("%d examples; want the least, the whole and what is expected", len(blocks))
	}
	least, whole, expect := blocks[0], blocks[1], blocks[2]
	whole = strings.Replace(whole, "steps: []", "steps: [submit: O1]", 1)
	whole = strings.Replace(whole, "expect: {}", expect, 1)
	var files []*File
	for _, text := range []string{least, whole} {
		f, err := Parse("incidents.md", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	for i := range files {
		files[i].Orders[0].Line = 0
	}
	if !reflect.DeepEqual(files[0].World, files[1].World) || !reflect.DeepEqual(files[0].Orders, files[1].Orders) || files[0].Quiet != files[1].Quiet {
		t.Errorf("what is left out is\n%+v\nand the page says\n%+v", files[0], files[1])
	}
}
