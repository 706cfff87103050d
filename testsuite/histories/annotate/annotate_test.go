package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/testsuite/histories"
)

const (
	recorded = ".."
	pages    = "../../../docs/histories"
)

// Every page tells its history as it is.
func TestAnnotate_PagesTellTheirHistories(t *testing.T) {
	t.Parallel()
	for _, s := range histories.Stories() {
		want, err := page(s, recorded, pages)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(pages, s.Name+".png")); err != nil {
			t.Errorf("%s has no picture: %v", s.Name, err)
		}
		got, err := os.ReadFile(filepath.Join(pages, s.Name+".md"))
		if err != nil {
			t.Fatalf("%v; run `go run ./testsuite/histories/annotate`", err)
		}
		if diff := cmp.Diff(string(got), want); diff != "" {
			t.Errorf("docs/histories/%s.md is not its history (-page +history); run `go run ./testsuite/histories/annotate`:\n%s", s.Name, diff)
		}
	}
}

// No page is left of a history that is gone, and no picture without its page.
func TestAnnotate_NoPageWithoutItsHistory(t *testing.T) {
	t.Parallel()
	all, err := os.ReadDir(pages)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		name := strings.TrimSuffix(strings.TrimSuffix(f.Name(), ".md"), ".png")
		if _, err := os.Stat(filepath.Join(recorded, name+".json")); err != nil {
			t.Errorf("docs/histories/%s belongs to no recorded history", f.Name())
		}
	}
}

// A page that says the same whatever happened proves nothing: another outcome in
// the history is another page, and what failed is not told as done.
func TestAnnotate_AnotherHistory_AnotherPage(t *testing.T) {
	t.Parallel()
	s := histories.Story{Name: "cancelled", Title: "Cancelled"}
	data, err := os.ReadFile(filepath.Join(recorded, s.Name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := page(s, recorded, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	data = bytes.ReplaceAll(data, []byte(`"warehouse.cancel/1"`), []byte(`"warehouse.cancel/7"`))
	if err := os.WriteFile(filepath.Join(other, s.Name+".json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := page(s, other, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(before, "`warehouse.cancel/1`") || !strings.Contains(after, "`warehouse.cancel/7`") {
		t.Error("the page does not name the operation that the history has")
	}
	for _, want := range []string{"asked: `cancel`", "**cancelled**", "`payment.void/1`", "1 × TSHIRT"} {
		if !strings.Contains(before, want) {
			t.Errorf("the page does not say %q:\n%s", want, before)
		}
	}
}
