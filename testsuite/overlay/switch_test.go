package overlay_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trueup-orders/trueup/testsuite/overlay"
)

// A program makes the one mistake that it is asked for, and none otherwise; what is
// no body of a function is not in it.
func TestSwitch_OneMistakeAtATime(t *testing.T) {
	t.Parallel()
	root, folder := t.TempDir(), t.TempDir()
	for file, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26\n",
		"main.go": `package main

import "fmt"

type word string

var last = "end"

func main() { say("one", 2) }

// say says what it is told.
func say(a string, _ int) {
	fmt.Println(word(a).loud())
	fmt.Println(last)
}

func (w word) loud() (text string) {
	text = string(w) + "!"
	return text
}

func jump() {
again:
	if last == "" {
		goto again
	}
}
`,
	} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change := func(from, to string) overlay.Change { return overlay.Change{File: "main.go", From: from, To: to} }
	list, within, err := overlay.Switch(root, folder, "all", [][]overlay.Change{
		{change(`fmt.Println(word(a).loud())`, `fmt.Println(word(a))`)},
		{change(`+ "!"`, `+ "?"`)},
		{change(`last = "end"`, `last = "over"`)},
		{change(`goto again`, `return`)},
		{change(`_ int`, `b int`)},
		{change(`fmt.Println(last)`, `return`), change(`+ "!"`, `+ "."`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []bool{true, true, false, false, false, true}; !slices.Equal(within, want) {
		t.Fatalf("within are %v, want %v", within, want)
	}
	program := filepath.Join(folder, "program")
	build := exec.Command("go", "build", "-o", program, "-overlay", list, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for n, want := range []string{"one! end", "one end", "one? end", "one! end", "one! end", "one! end", "one."} {
		cmd := exec.CommandContext(context.Background(), program)
		cmd.Env = overlay.Making(n)
		out, err := cmd.Output()
		if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != want {
			t.Errorf("with the mistake %d it says %q, %v; want %q", n, got, err, want)
		}
	}
}

// A mistake whose text is gone is an error.
func TestSwitch_TextGone_Refused(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("package a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := overlay.Switch(root, t.TempDir(), "all", [][]overlay.Change{{{File: "a.go", From: "gone", To: "x"}}}); err == nil {
		t.Error("no complaint")
	}
}
