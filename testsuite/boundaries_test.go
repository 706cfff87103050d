// Package testsuite_test holds what is true of the whole repository rather than of one package.
package testsuite_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/trueup-orders/trueup"

// mayImport names, for each top-level folder, the folders that its code may
// import. Tests are free to use everything, but for what is said of them below.
//
//	order ← reconcile ← activities ← workflows ← starters ← workers
//
// Workers stand behind starters because a worker's reconciliation sends the
// orders messages through the same client as everybody else.
var mayImport = map[string][]string{
	"order":      {"order"},
	"reconcile":  {"order", "reconcile"},
	"activities": {"order", "reconcile", "activities"},
	"workflows":  {"order", "reconcile", "activities", "workflows"},
	"starters":   {"order", "reconcile", "activities", "workflows", "starters"},
	"workers":    {"order", "reconcile", "activities", "workflows", "starters", "workers"},
	"testsuite":  {"order", "reconcile", "activities", "workflows", "starters", "workers", "testsuite"},
}

// pure folders take values and return values, so that workflows, activities,
// tests and tools can all call them. The lists are everything that they may
// import besides our own folders: no I/O, no context, no goroutines, no engine.
var pure = map[string][]string{
	"order": {
		"bytes", "crypto/sha256", "encoding/hex", "encoding/json", "errors", "fmt", "io", "math", "math/bits", "net/mail",
		"strconv", "strings", "time", "unicode", "unicode/utf8",
	},
	"reconcile": {
		"cmp", "crypto/sha256", "encoding/hex", "encoding/json", "errors", "fmt", "io",
		"slices", "strconv", "strings", "time", "unicode/utf8",
	},
}

// alone may be imported by these files and no others.
var alone = []struct{ imported, by string }{
	{"go.yaml.in/yaml/v3", "reconcile/policy_parse.go"},
	{"go.yaml.in/yaml/v3", "testsuite/script/"},       // incident files
	{"go.yaml.in/yaml/v3", "testsuite/play/world.go"}, // their policy, over the one of every story
	// The port over the engine is the only wrapper over Temporal's client.
	{"go.temporal.io/sdk/client", "starters/engine.go"},
	{"go.temporal.io/sdk/client", "starters/connect/connect.go"},
	{"go.temporal.io/sdk/client", "starters/connect/metrics.go"}, // the SDK's metrics are its client's
	{"github.com/prometheus/client_golang/prometheus", "starters/connect/metrics.go"},
	{"github.com/prometheus/client_golang/prometheus", "starters/metrics.go"},
	{"go.temporal.io/sdk/client", "workers/"},
	{"go.temporal.io/sdk/client", "testsuite/"},
}

// unwanted are words that say nothing about what a package is for.
var unwanted = []string{"common", "util", "utils", "helper", "helpers", "manager", "models", "impl"}

// A source is one Go file of the repository, with its path from the root.
type source struct {
	path    string
	imports []string
	file    *ast.File
}

func (s source) folder() string {
	folder, _, _ := strings.Cut(s.path, "/")
	return folder
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// sources returns the files of the repository, parsed once.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d Go files were found: this test does not look where it should", len(all))
	}
	return all
}

// parsed parses the files here rather than asking the go command, because a
// cached test result is not invalidated by what another process reads.
var parsed = sync.OnceValues(func() ([]source, error) {
	var all []source
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		from := filepath.ToSlash(strings.TrimPrefix(name, ".."+string(filepath.Separator)))
		switch {
		case d.IsDir() && (from == "deployments" || strings.HasPrefix(from, ".") && from != ".." || d.Name() == "testdata"):
			return fs.SkipDir // the engine is a module of its own
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{path: from, file: file}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imported)
		}
		all = append(all, s)
		return nil
	})
	return all, err
})

func TestImports_PointOneWay(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			rest, ours := strings.CutPrefix(imported, module+"/")
			to, _, _ := strings.Cut(rest, "/")
			switch {
			case !ours:
			case to == "deployments":
				t.Errorf("%s imports %s: nothing imports what is deployed", s.path, imported)
			case !s.test() && !slices.Contains(mayImport[s.folder()], to):
				t.Errorf("%s imports %s: %s may import only %v", s.path, imported, s.folder(), mayImport[s.folder()])
			}
		}
	}
}

func TestImports_TheCoreIsPure(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range sources(t) {
		allowed, isPure := pure[s.folder()]
		if !isPure || s.test() {
			continue
		}
		for _, imported := range s.imports {
			seen[s.folder()+" "+imported] = true
			if !strings.HasPrefix(imported, module+"/") && !slices.Contains(allowed, imported) && !granted(s.path, imported) {
				t.Errorf("%s imports %s: %s is pure", s.path, imported, s.folder())
			}
		}
	}
	for folder, allowed := range pure { // the lists stay as short as the truth
		for _, imported := range allowed {
			if !seen[folder+" "+imported] {
				t.Errorf("%s does not import %s any more: take it off its list", folder, imported)
			}
		}
	}
}

// granted says whether a file is named in alone for what it imports.
func granted(file, imported string) bool {
	for _, a := range alone {
		if a.imported == imported && (file == a.by || strings.HasSuffix(a.by, "/") && strings.HasPrefix(file, a.by)) {
			return true
		}
	}
	return false
}

func TestImports_SomeHaveOnePlace(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, imported := range s.imports {
			named := slices.ContainsFunc(alone, func(a struct{ imported, by string }) bool { return a.imported == imported })
			if named && !granted(s.path, imported) {
				t.Errorf("%s imports %s, which has its place elsewhere", s.path, imported)
			}
			if strings.HasPrefix(imported, "go.temporal.io/server") || strings.HasPrefix(imported, "github.com/temporalio/ui-server") {
				t.Errorf("%s imports %s: the server belongs to deployments/temporal alone", s.path, imported)
			}
		}
	}
}

// An adapter knows its own system and nobody else's: what two adapters share is
// a package beside the ports.
func TestImports_AdaptersAreStrangers(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		parts := strings.Split(s.path, "/")
		if s.test() || s.folder() != "activities" || len(parts) != 4 {
			continue
		}
		for _, imported := range s.imports {
			rest, ours := strings.CutPrefix(imported, module+"/activities/")
			if !ours {
				continue
			}
			to := strings.Split(rest, "/")
			if len(to) == 2 || len(to) == 1 && isSystem(t, to[0]) && to[0] != parts[1] {
				t.Errorf("%s imports %s: an adapter imports its own port only", s.path, imported)
			}
		}
	}
}

// isSystem says whether a folder of activities is a system's: it has adapters
// beneath it.
func isSystem(t *testing.T, folder string) bool {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("..", "activities", folder))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && e.Name() != "testdata" })
}

// The engine and its server are two modules; the product's go.mod never names
// the server, and nothing in it is replaced by a folder of somebody's machine.
func TestModule_StandsAlone(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		for _, unwanted := range []string{"go.temporal.io/server", "temporalio/ui-server", "replace "} {
			if strings.Contains(line, unwanted) {
				t.Errorf("go.mod says %q", strings.TrimSpace(line))
			}
		}
	}
}

func TestPackages_AreNamedForWhatTheyDo(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for part := range strings.SplitSeq(path.Dir(s.path), "/") {
			if slices.Contains(unwanted, part) {
				t.Errorf("%s is in a folder named %s, which says nothing", s.path, part)
			}
		}
		if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(unwanted, name) {
			t.Errorf("%s is of package %s, which says nothing", s.path, name)
		}
	}
}

// The judge of incidents knows the systems and the file, and nothing of how the
// product works: what it shared with the product it could not find wrong there.
func TestImports_TheJudge_KnowsNothingOfTheProduct(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test() || !strings.HasPrefix(s.path, "testsuite/ledgers/") && !strings.HasPrefix(s.path, "testsuite/script/") {
			continue
		}
		for _, imported := range s.imports {
			rest, ours := strings.CutPrefix(imported, module+"/")
			allowed := rest == "order" || rest == "testsuite/script" || rest == "testsuite/simulator" || strings.HasPrefix(rest, "testsuite/simulator/")
			if ours && !allowed {
				t.Errorf("%s imports %s: the judge and the files know only the systems", s.path, imported)
			}
		}
	}
}
