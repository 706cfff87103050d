package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// prefix begins the name of every test, and is left out in the list.
const prefix = "Test"

// mutant is one small change of the core: the first text becomes the second.
type mutant struct {
	name string
	file string // in reconcile/
	// from stands in the file exactly once.
	from, to string
	// fails are the properties, and the tests against the oracle, that must fail on it.
	fails []string
}

// mutated returns the file with the change.
func (m mutant) mutated(source string) (string, error) {
	if n := strings.Count(source, m.from); n != 1 {
		return "", fmt.Errorf("its text stands %d times in %s, want once: %q", n, m.file, m.from)
	}
	return strings.Replace(source, m.from, m.to, 1), nil
}

// binary is the compiled tests of a core.
type binary struct {
	path, folder string
}

// build compiles the tests of the core once, with a mutant in the place of one
// of its files: the tree itself stays as it is.
func (h *hunt) build(ctx context.Context, name string, m *mutant) (binary, error) {
	core := filepath.Join(h.root, "reconcile")
	b := binary{filepath.Join(h.folder, name+".test"), h.folder}
	// Compiling costs more than checking: so without optimizations and symbols.
	args := []string{"test", "-c", "-o", b.path, "-gcflags", "-N -l", "-ldflags", "-s -w"}
	if m != nil {
		overlay, err := h.overlay(name, filepath.Join(core, m.file), *m)
		if err != nil {
			return binary{}, err
		}
		args = append(args, "-overlay", overlay)
	}
	build := exec.CommandContext(ctx, "go", append(args, ".")...)
	build.Dir = core
	if out, err := build.CombinedOutput(); err != nil {
		return binary{}, fmt.Errorf("build the tests of the core: %w\n%s", err, out)
	}
	return b, nil
}

// overlay writes the mutated file and the list that puts it in the other's place.
func (h *hunt) overlay(name, path string, m mutant) (string, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read what is to be changed: %w", err)
	}
	changed, err := m.mutated(string(source))
	if err != nil {
		return "", err
	}
	mutated, overlay := filepath.Join(h.folder, name+".go"), filepath.Join(h.folder, name+".json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		return "", fmt.Errorf("write the overlay: %w", err)
	}
	for file, contents := range map[string][]byte{mutated: []byte(changed), overlay: list} {
		if err := os.WriteFile(file, contents, 0o600); err != nil {
			return "", fmt.Errorf("write the mutant: %w", err)
		}
	}
	return overlay, nil
}

// properties lists what can be checked.
func (b binary) properties(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, b.path, "-test.list", "^"+prefix+"(Property|Oracle)_").Output()
	if err != nil {
		return nil, fmt.Errorf("list the properties: %w", err)
	}
	var names []string
	for _, name := range strings.Fields(string(out)) {
		names = append(names, strings.TrimPrefix(name, prefix))
	}
	return names, nil
}

var (
	failure = regexp.MustCompile(`(?m)^--- FAIL: (\S+) `)
	after   = regexp.MustCompile(`\[rapid\] (?:failed|panic) after (\d+) tests`)
)

// check runs properties with a seed and returns those that failed, with the
// number of checks that they had passed before.
func (b binary) check(ctx context.Context, properties []string, seed, checks int) (map[string]int, error) {
	cmd := exec.CommandContext(ctx, b.path, "-test.run", "^"+prefix+"("+strings.Join(properties, "|")+")$", "-test.timeout", "5m",
		"-rapid.seed", strconv.Itoa(seed), "-rapid.checks", strconv.Itoa(checks), "-rapid.nofailfile", "-rapid.shrinktime", "1ns")
	cmd.Dir = b.folder
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil, nil
	}
	failed := map[string]int{}
	for _, at := range failure.FindAllSubmatchIndex(out, -1) {
		passed := 0
		if n := after.FindSubmatch(out[at[1]:]); n != nil {
			passed, _ = strconv.Atoi(string(n[1]))
		}
		failed[strings.TrimPrefix(string(out[at[2]:at[3]]), prefix)] = passed
	}
	if len(failed) == 0 {
		return nil, fmt.Errorf("run the properties: %w\n%s", err, bytes.TrimSpace(out))
	}
	return failed, nil
}
