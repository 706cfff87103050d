package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trueup-orders/trueup/testsuite/overlay"
)

// A bug whose text is gone, or is no Go any more, proves nothing.
func TestBugs_CanBeSeeded(t *testing.T) {
	t.Parallel()
	root, err := overlay.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bugs() {
		changed, err := overlay.Apply(root, b.changes)
		if err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
		for file, source := range changed {
			if strings.HasPrefix(file, "testsuite/") || strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s: %s is no part of the product", b.name, file)
			}
			if _, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution); err != nil {
				t.Errorf("%s: %v", b.name, err)
			}
		}
	}
}

func TestBugs_EachHasItsProof(t *testing.T) {
	t.Parallel()
	root, err := overlay.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, names := bugs(), map[string]bool{}
	if len(all) < 40 {
		t.Errorf("there are %d bugs, want 40 at least", len(all))
	}
	for _, b := range all {
		name := overlay.Name(b.name)
		if names[name] || len(b.by) == 0 {
			t.Errorf("%s is there twice, or has no proof", b.name)
		}
		names[name] = true
		for _, p := range b.by {
			folder := filepath.Join(root, p.in)
			switch p.kind {
			case test, property:
				if !declared(t, folder, "func Test"+p.name+"(") {
					t.Errorf("%s: there is no test %s in %s", b.name, p.name, p.in)
				}
			case incident:
				if _, err := os.Stat(filepath.Join(folder, "testdata", p.name+".yaml")); err != nil {
					t.Errorf("%s: %v", b.name, err)
				}
			case static:
			}
		}
	}
}

// declared says whether the tests of a package have a text.
func declared(t *testing.T, folder, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), text) {
			return true
		}
	}
	return false
}
