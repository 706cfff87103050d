package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/trueup-orders/trueup/testsuite/overlay"
)

// prefix begins the name of every test, and is left out in the list.
const prefix = "Test"

// core is the package that the mutants are of.
const core = "reconcile"

// mutant is one small change of the core: the first text becomes the second.
type mutant struct {
	name string
	file string // in reconcile/
	// from stands in the file exactly once.
	from, to string
	// fails are the properties, and the tests against the oracle, that must fail on it.
	fails []string
}

// build compiles the tests of the core once, with all mutants that can be switched
// in the place of its files: the tree itself stays as it is.
func (h *hunt) build(ctx context.Context) error {
	mistakes := make([][]overlay.Change, len(mutants))
	for i, m := range mutants {
		mistakes[i] = m.changes()
	}
	list, within, err := overlay.Switch(h.root, h.folder, "core", mistakes)
	if err != nil {
		return err
	}
	h.within = within
	h.sound, err = h.compile(ctx, "core", list)
	return err
}

// with returns the tests of the core with one mutant. One that is no other body of a
// function is compiled by itself.
func (h *hunt) with(ctx context.Context, n int) (b binary, done func(), err error) {
	if h.within[n] {
		b = h.sound
		b.Mistake = n + 1
		return b, func() {}, nil
	}
	name := "mutant-" + overlay.Name(mutants[n].name)
	list, err := overlay.Write(h.root, h.folder, name, mutants[n].changes())
	if err == nil {
		b, err = h.compile(ctx, name, list)
	}
	return b, func() { _ = os.Remove(b.Path) }, err
}

func (h *hunt) compile(ctx context.Context, name, list string) (binary, error) {
	tests, err := overlay.Compile(ctx, h.root, core, filepath.Join(h.folder, name+".test"), list)
	tests.Folder = h.folder // the properties read no files, and shall leave none
	return binary{tests}, err
}

func (m mutant) changes() []overlay.Change {
	return []overlay.Change{{File: filepath.Join(core, m.file), From: m.from, To: m.to}}
}

// binary is the compiled tests of a core.
type binary struct{ overlay.Tests }

// properties lists what can be checked.
func (b binary) properties(ctx context.Context) ([]string, error) {
	names, err := b.List(ctx, "^"+prefix+"(Property|Oracle)_")
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], prefix)
	}
	return names, err
}

// check runs properties with a seed and returns those that failed, with the
// number of checks that they had passed before.
func (b binary) check(ctx context.Context, properties []string, seed, checks int) (map[string]int, error) {
	failures, err := b.Run(ctx, "^"+prefix+"("+strings.Join(properties, "|")+")$", overlay.Seed(seed, checks)...)
	failed := map[string]int{}
	for _, f := range failures {
		failed[strings.TrimPrefix(f.Test, prefix)] = f.Passed
	}
	return failed, err
}
