package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/trueup-orders/trueup/testsuite/overlay"
)

// How much is tried: a property draws so many cases from each of so many seeds,
// and an incident is played from as many seeds.
const (
	seeds  = 3
	checks = 500
)

var errSurvived = errors.New("the bug survived")

// look has one proof look at the product with a bug in it.
func (g *gallery) look(ctx context.Context, name string, b bug, p proof) (catch, error) {
	if p.kind == static {
		return g.check(ctx, name, b, p)
	}
	c, done, err := g.with(ctx, name, b, p)
	if err != nil {
		return catch{}, err
	}
	defer done()
	runs := 0
	for seed := 1; seed <= p.seeds(); seed++ {
		f, err := c.run(ctx, p, seed, checks)
		if err != nil {
			return catch{}, err
		}
		if f == nil {
			runs += p.runs(checks)
			continue
		}
		// A proof that fails by itself would seem to catch every bug.
		if err := g.sound.holds(ctx, g, p, seed, f.Passed+1); err != nil {
			return catch{}, err
		}
		return catch{p, runs + p.runs(f.Passed+1), f.Test, f.Says}, nil
	}
	return catch{}, errSurvived
}

func (p proof) seeds() int {
	if p.kind == test {
		return 1
	}
	return seeds
}

// runs is what counts as runs when so many cases were drawn.
func (p proof) runs(cases int) int {
	if p.kind == property {
		return cases
	}
	return 1
}

// compiled is what runs a proof: the tests of a package, or the incident runner.
type compiled struct {
	path  string
	tests overlay.Tests
}

// with returns what runs a proof with a bug in the product. What is compiled for a
// package has all bugs, and makes the one that it is asked for; one that is no other
// body of a function is compiled by itself.
func (g *gallery) with(ctx context.Context, name string, b bug, p proof) (c compiled, done func(), err error) {
	if n, within := g.numbers[b.name]; within {
		c, err = g.sound.compiled(ctx, g, p)
		c.tests.Mistake = n
		return c, func() {}, err
	}
	list, err := overlay.Write(g.root, g.folder, name, b.changes)
	if err == nil {
		c, err = g.compile(ctx, name, p, list)
	}
	return c, func() { _ = os.Remove(c.path) }, err
}

func (g *gallery) compile(ctx context.Context, name string, p proof, list string) (compiled, error) {
	c := compiled{path: g.path(name + ".test")}
	var err error
	if p.kind == incident {
		err = overlay.Build(ctx, g.root, p.in, c.path, list)
	} else {
		c.tests, err = overlay.Compile(ctx, g.root, p.in, c.path, list)
	}
	c.tests.Folder = filepath.Join(g.root, p.in)
	return c, err
}

// run runs a proof once; nil when it holds.
func (c compiled) run(ctx context.Context, p proof, seed, checks int) (*overlay.Failure, error) {
	if p.kind == incident {
		return c.play(ctx, p, seed)
	}
	var flags []string
	if p.kind == property {
		flags = overlay.Seed(seed, checks)
	}
	failed, err := c.tests.Run(ctx, "^Test"+p.name+"$", flags...)
	if err != nil || len(failed) == 0 {
		return nil, err
	}
	return &failed[0], nil
}

// play plays an incident. Only a story that ended otherwise than it should counts:
// the runner says so in a line of its own.
func (c compiled) play(ctx context.Context, p proof, seed int) (*overlay.Failure, error) {
	cmd := exec.CommandContext(ctx, c.path, "-seed", strconv.Itoa(seed), filepath.Join("testdata", p.name+".yaml"))
	cmd.Dir, cmd.Env = c.tests.Folder, overlay.Making(c.tests.Mistake)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil, nil
	}
	for line := range strings.Lines(string(out)) {
		if rest, failed := strings.CutPrefix(line, "FAIL "+p.name+" "); failed {
			_, why, _ := strings.Cut(strings.TrimSpace(rest), "; ")
			return &overlay.Failure{Test: p.name, Says: why}, nil
		}
	}
	return nil, fmt.Errorf("play it: %w\n%s", err, out)
}

// sound holds that proofs pass on the product as it is. What runs them is compiled
// once for each package, and makes no mistake that it is not asked for.
type sound struct {
	mutex sync.Mutex
	of    map[string]func() (compiled, error)
}

func (s *sound) compiled(ctx context.Context, g *gallery, p proof) (compiled, error) {
	s.mutex.Lock()
	if s.of == nil {
		s.of = map[string]func() (compiled, error){}
	}
	compile, known := s.of[p.in]
	if !known {
		compile = sync.OnceValues(func() (compiled, error) { return g.compile(ctx, "all-"+overlay.Name(p.in), p, g.list) })
		s.of[p.in] = compile
	}
	s.mutex.Unlock()
	return compile()
}

func (s *sound) holds(ctx context.Context, g *gallery, p proof, seed, checks int) error {
	c, err := s.compiled(ctx, g, p)
	if err != nil {
		return err
	}
	f, err := c.run(ctx, p, seed, checks)
	if err == nil && f != nil {
		err = fmt.Errorf("it fails before anything is changed: %s", f.Says)
	}
	return err
}

// check has workflowcheck look. It reads files as they are, whatever an overlay
// says, so it gets a copy of what the workflows are made of.
func (g *gallery) check(ctx context.Context, name string, b bug, p proof) (catch, error) {
	if g.workflowcheck == "" {
		return catch{}, errors.New("workflowcheck is not there: run it by `make gallery`, or name it by -workflowcheck")
	}
	changed, err := overlay.Apply(g.root, b.changes)
	if err != nil {
		return catch{}, err
	}
	tree := g.path(name)
	defer os.RemoveAll(tree)
	if err := copied(g.root, tree, changed, "go.mod", "go.sum", "order", "reconcile", "activities", "workflows"); err != nil {
		return catch{}, fmt.Errorf("copy what is to be checked: %w", err)
	}
	cmd := exec.CommandContext(ctx, g.workflowcheck, "./workflows")
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	if err == nil {
		return catch{}, errSurvived
	}
	_, finding, found := strings.Cut(string(out), " is non-deterministic, reason: ")
	if !found {
		return catch{}, fmt.Errorf("check the workflows: %w\n%s", err, out)
	}
	line, _, _ := strings.Cut(finding, "\n")
	return catch{p, 1, string(static), line}, nil
}

// copied copies Go's files, without tests, and puts the changed ones in place.
func copied(from, to string, changed map[string]string, what ...string) error {
	for _, top := range what {
		err := filepath.WalkDir(filepath.Join(from, top), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasPrefix(filepath.Ext(path), ".go") && !strings.HasPrefix(d.Name(), "go.") {
				return err
			}
			file, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			data := []byte(changed[file])
			if _, is := changed[file]; !is {
				if data, err = os.ReadFile(path); err != nil {
					return err
				}
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(to, file)), 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, file), data, 0o600)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
