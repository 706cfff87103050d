package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Tests are the compiled tests of a package.
type Tests struct {
	Path   string
	Folder string // where they run
	// Mistake is the number of the one that they are run with; see Switch.
	Mistake int
}

// Compile compiles the tests of a package into a file, with an overlay unless it
// is empty. They run in the package's own folder, as go test runs them.
func Compile(ctx context.Context, root, pkg, into, overlay string) (Tests, error) {
	if err := build(ctx, root, into, overlay, "test", "-c", "-vet=off", "./"+pkg); err != nil {
		return Tests{}, fmt.Errorf("compile the tests of %s: %w", pkg, err)
	}
	return Tests{Path: into, Folder: filepath.Join(root, pkg)}, nil
}

// Build builds a program into a file, with an overlay unless it is empty.
func Build(ctx context.Context, root, pkg, into, overlay string) error {
	if err := build(ctx, root, into, overlay, "build", "./"+pkg); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}

// build compiles without optimizations and symbols: it costs more than what is
// compiled takes to run.
func build(ctx context.Context, root, into, overlay, command string, last ...string) error {
	args := []string{command, "-o", into, "-gcflags", "github.com/trueup-orders/trueup/...=-N -l", "-ldflags", "-s -w"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, last...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// List returns the names of the tests that match.
func (t Tests) List(ctx context.Context, matching string) ([]string, error) {
	out, err := exec.CommandContext(ctx, t.Path, "-test.list", matching).Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// Failure is a test that failed.
type Failure struct {
	Test string
	// Passed is how many cases a property had passed before.
	Passed int
	// Says is the first line of what it said.
	Says string
}

var (
	failure = regexp.MustCompile(`(?m)^--- FAIL: (\S+) `)
	after   = regexp.MustCompile(`\[rapid\] (?:failed|panic) after (\d+) tests`)
	says    = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.+)$`)
)

// Run runs the tests that match, with more flags if there are any, and returns
// those that failed. An end without a test that failed, as by a time-out, is an
// error: it proves nothing.
func (t Tests) Run(ctx context.Context, matching string, flags ...string) ([]Failure, error) {
	cmd := exec.CommandContext(ctx, t.Path, append([]string{"-test.run", matching, "-test.timeout", "5m"}, flags...)...)
	cmd.Dir, cmd.Env = t.Folder, Making(t.Mistake)
	out, err := cmd.CombinedOutput()
	switch {
	case bytes.Contains(out, []byte("warning: no tests to run")):
		return nil, fmt.Errorf("run %s: %w", matching, errNone)
	case err == nil:
		return nil, nil
	case bytes.Contains(out, []byte("panic: test timed out")):
		return nil, fmt.Errorf("run %s: %w", matching, errHung)
	}
	var failed []Failure
	all := failure.FindAllSubmatchIndex(out, -1)
	for i, at := range all {
		end := len(out)
		if i+1 < len(all) {
			end = all[i+1][0]
		}
		f := Failure{Test: string(out[at[2]:at[3]])}
		if n := after.FindSubmatch(out[at[1]:end]); n != nil {
			f.Passed, _ = strconv.Atoi(string(n[1]))
		}
		if line := says.FindSubmatch(out[at[1]:end]); line != nil {
			f.Says = string(line[1])
		}
		failed = append(failed, f)
	}
	if len(failed) == 0 {
		return nil, fmt.Errorf("run %s: %w\n%s", matching, err, bytes.TrimSpace(out))
	}
	return failed, nil
}

var (
	errHung = errors.New("the tests did not end in time")
	errNone = errors.New("there is no such test")
)

// Seed returns the flags with which rapid draws so many cases from a seed, and
// neither shrinks nor remembers what failed.
func Seed(seed, checks int) []string {
	return []string{
		"-rapid.seed", strconv.Itoa(seed), "-rapid.checks", strconv.Itoa(checks), "-rapid.nofailfile", "-rapid.shrinktime", "1ns",
	}
}
