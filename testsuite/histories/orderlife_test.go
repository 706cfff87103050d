package histories

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// update rewrites what docs/order-life.md shows of the code.
var update = flag.Bool("update", false, "rewrite the parts of docs/order-life.md that are made from the code")

const (
	orderLife = "../../docs/order-life.md"
	source    = "../../workflows"
)

// The page that people read at night says what the code does, or this fails.
func TestOrderLife_SaysWhatTheCodeDoes(t *testing.T) {
	t.Parallel()
	before, err := os.ReadFile(orderLife)
	if err != nil {
		t.Fatal(err)
	}
	code, err := readWorkflows(source)
	if err != nil {
		t.Fatal(err)
	}
	page := string(before)
	for _, part := range []struct{ name, text string }{
		{"moves", picture(workflows.Moves()) + "\n" + movesTable(workflows.Moves())},
		{"operations", code.operations()},
		{"messages", code.messages()},
		{"paths", paths(Stories())},
	} {
		if page, err = between(page, part.name, part.text); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile(orderLife, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(before), page); diff != "" {
		t.Errorf("docs/order-life.md is not what the code does (-page +code); write it anew with -update:\n%s", diff)
	}
}

// between replaces what stands between the two markers of a name.
func between(page, name, text string) (string, error) {
	begin, end := "<!-- made from the code: "+name+" -->\n", "<!-- end: "+name+" -->"
	head, rest, found := strings.Cut(page, begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		return page, fmt.Errorf("docs/order-life.md: the markers %q and %q are not there, in this order", strings.TrimSpace(begin), end)
	}
	return head + begin + text + end + tail, nil
}

// A marker that is gone must not pass for a page without that part.
func TestOrderLife_LostMarker_Refused(t *testing.T) {
	t.Parallel()
	if _, err := between("a page without markers", "moves", "text"); err == nil {
		t.Error("a page without markers was filled without complaint")
	}
}

// picture draws the moves. Mermaid ends a label at a colon or semicolon.
func picture(moves []workflows.Move) string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> received : submitted\n")
	for n, m := range moves {
		fmt.Fprintf(&b, "    %s --> %s : %d %s\n", m.From, m.To, n+1, strings.NewReplacer(": ", " – ", ";", ",").Replace(m.When))
	}
	for _, p := range []order.Phase{order.PhaseClosed, order.PhaseCancelled, order.PhaseFailed} {
		fmt.Fprintf(&b, "    %s --> [*]\n", p)
	}
	b.WriteString("```\n")
	return b.String()
}

func movesTable(moves []workflows.Move) string {
	var b strings.Builder
	b.WriteString("| | from | to | when | whose word decides |\n|---:|---|---|---|---|\n")
	for n, m := range moves {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", n+1, m.From, m.To, m.When, m.Decides)
	}
	return b.String()
}

// rule is one place in the code that lets an operation be due.
type rule struct {
	system, operation string
	function, says    string
}

// handler is a message that an order takes.
type handler struct{ kind, name, says string }

type workflowCode struct {
	rules    []rule
	handlers []handler
}

// readWorkflows finds in the workflows' source which function lets which
// operation be due, and what the message handlers say of themselves.
func readWorkflows(dir string) (*workflowCode, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	code := &workflowCode{}
	names := map[string]string{} // of constants
	var functions []*ast.FuncDecl
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(filepath.Base(name), "adopt") { // that is about orders older than our memory
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				functions = append(functions, d)
			case *ast.GenDecl:
				constants(d, names)
			}
		}
	}
	for _, f := range functions {
		ast.Inspect(f, func(n ast.Node) bool {
			code.rule(f, n)
			if ofOrder(f) {
				code.handler(n, names)
			}
			return true
		})
	}
	return code, nil
}

// ofOrder says that a function is a method of an order's process: the messages of
// the other workflows have no place on its page.
func ofOrder(f *ast.FuncDecl) bool {
	if f.Recv == nil || len(f.Recv.List) != 1 {
		return false
	}
	star, ok := f.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	of, ok := star.X.(*ast.Ident)
	return ok && of.Name == "process"
}

// constants takes in what a declaration gives names to.
func constants(d *ast.GenDecl, names map[string]string) {
	for _, s := range d.Specs {
		v, ok := s.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for i, name := range v.Names {
			if i < len(v.Values) {
				if lit, ok := v.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					names[name.Name] = strings.Trim(lit.Value, `"`)
				}
			}
		}
	}
}

// rule takes in s.another(order.SystemERP, order.Invoice), s.next(…) and
// Operation{System: order.SystemERP, Operation: order.Invoice}.
func (c *workflowCode) rule(f *ast.FuncDecl, n ast.Node) {
	var system, operation ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		s, ok := n.Fun.(*ast.SelectorExpr)
		if ok && (s.Sel.Name == "another" || s.Sel.Name == "next") && len(n.Args) >= 2 {
			system, operation = n.Args[0], n.Args[1]
		}
	case *ast.CompositeLit:
		for _, e := range n.Elts {
			kv, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := kv.Key.(*ast.Ident); {
			case key == nil:
			case key.Name == "System":
				system = kv.Value
			case key.Name == "Operation":
				operation = kv.Value
			}
		}
		if id, ok := n.Type.(*ast.Ident); !ok || id.Name != "Operation" {
			return
		}
	}
	of, what := wordOf(system, "System"), wordOf(operation, "")
	if of == "" || what == "" {
		return
	}
	r := rule{system: of, operation: what, function: f.Name.Name, says: firstSentence(f)}
	if !slices.Contains(c.rules, r) {
		c.rules = append(c.rules, r)
	}
}

// wordOf returns the value of a constant of the vocabulary, as "erp" of
// order.SystemERP.
func wordOf(e ast.Expr, prefix string) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := s.X.(*ast.Ident); !ok || x.Name != "order" {
		return ""
	}
	word := strings.ToLower(strings.TrimPrefix(s.Sel.Name, prefix))
	if s.Sel.Name == "UpdateAddress" {
		return string(order.UpdateAddress)
	}
	return word
}

// firstSentence is what a function says of itself, without its name.
func firstSentence(f *ast.FuncDecl) string {
	text := strings.Join(strings.Fields(f.Doc.Text()), " ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, f.Name.Name), ":")
	if i := strings.Index(text, ". "); i >= 0 {
		text = text[:i+1]
	}
	return strings.TrimSuffix(strings.TrimSpace(text), ".")
}

// handler takes in workflow.SetUpdateHandlerWithOptions(ctx, Name, …, options)
// and its like.
func (c *workflowCode) handler(n ast.Node, names map[string]string) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 3 {
		return
	}
	s, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	kind := map[string]string{
		"SetUpdateHandlerWithOptions": "update", "SetQueryHandlerWithOptions": "query", "GetSignalChannelWithOptions": "signal",
	}[s.Sel.Name]
	name, _ := call.Args[1].(*ast.Ident)
	options, _ := call.Args[len(call.Args)-1].(*ast.CompositeLit)
	if kind == "" || name == nil || options == nil {
		return
	}
	for _, e := range options.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, _ := kv.Key.(*ast.Ident)
		if lit, ok := kv.Value.(*ast.BasicLit); ok && key != nil && key.Name == "Description" {
			c.handlers = append(c.handlers, handler{kind, names[name.Name], strings.Trim(lit.Value, `"`)})
		}
	}
}

// lifelong are the operations in the order in which an order's life has them.
var lifelong = []order.Operation{
	order.Reserve, order.Authorize, order.Void, order.Request, order.UpdateAddress, order.Cancel, order.Record, order.Upsert, order.Capture,
	order.Commit, order.Invoice, order.Receipt, order.Return, order.Refund, order.Credit, order.Adjust, order.Release, order.Send,
}

// operations lists, for each system, what is done there, under which key, and
// what lets it be due.
func (c *workflowCode) operations() string {
	var b strings.Builder
	b.WriteString("| system | operation | its keys | what lets it be due (`workflows`) |\n|---|---|---|---|\n")
	for _, system := range order.Systems() {
		for _, operation := range lifelong {
			var why []string
			for _, r := range c.rules {
				if r.system == string(system) && r.operation == string(operation) {
					why = append(why, strings.TrimSpace("`"+r.function+"` "+r.says))
				}
			}
			if len(why) > 0 {
				key := order.Intent{Order: "ID", Operation: operation, N: 1}.Key()
				fmt.Fprintf(&b, "| %s | %s | `%sN` | %s |\n", system, operation, strings.TrimSuffix(key, "1"), strings.Join(why, "<br>"))
			}
		}
	}
	return b.String()
}

// messages lists what an order can be told and asked.
func (c *workflowCode) messages() string {
	var b strings.Builder
	b.WriteString("| message | kind | what it does |\n|---|---|---|\n")
	for _, h := range c.handlers {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", h.name, h.kind, h.says)
	}
	return b.String()
}

// paths lists the histories that were recorded, by the rule that they follow.
func paths(stories []Story) string {
	var b strings.Builder
	b.WriteString("| what happens | look at this | rule |\n|---|---|---|\n")
	for _, s := range stories {
		if _, err := os.Stat(s.Name + ".json"); err == nil {
			fmt.Fprintf(&b, "| [%s](histories/%s.md) | %s | %s |\n", s.Title, s.Name, s.Look, s.Rule)
		}
	}
	return b.String()
}

// Every recorded history is told, and by a rule that the design knows.
func TestStories_OneForEachHistory(t *testing.T) {
	t.Parallel()
	design, err := os.ReadFile("../../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, s := range Stories() {
		if told[s.Name] {
			t.Errorf("%s is told twice", s.Name)
		}
		told[s.Name] = true
		if s.Rule != "" && !strings.Contains(string(design), "- **"+s.Rule+"**") {
			t.Errorf("%s follows the rule %q, which docs/design.md does not have", s.Name, s.Rule)
		}
	}
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(file, ".json"); !told[name] {
			t.Errorf("%s has no story; say in stories.go what it shows", file)
		}
	}
}

// A picture of nothing proves nothing: every operation of an order's
// life is found in the code.
func TestOrderLife_FindsEveryOperation(t *testing.T) {
	t.Parallel()
	code, err := readWorkflows(source)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, r := range code.rules {
		found[r.operation] = true
		if r.says == "" && strings.HasPrefix(r.function, "due") {
			t.Errorf("%s says nothing of itself; the page shows its comment", r.function)
		}
	}
	for _, o := range lifelong {
		if !found[string(o)] {
			t.Errorf("no rule was found that lets %s be due", o)
		}
	}
	if len(code.handlers) < 12 {
		t.Errorf("only %d messages were found: %v", len(code.handlers), code.handlers)
	}
}
