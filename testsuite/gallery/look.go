package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/trueup-orders/trueup/testsuite/overlay"
)

// How much a property may draw: so many cases from each of so many seeds.
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
	list, err := overlay.Write(g.root, g.folder, name, b.changes)
	if err != nil {
		return catch{}, err
	}
	tests, err := overlay.Compile(ctx, g.root, p.in, g.path(name+".test"), list)
	if err != nil {
		return catch{}, err
	}
	defer os.Remove(tests.Path)
	runs := 0
	for seed := 1; seed <= p.seeds(); seed++ {
		failed, err := tests.Run(ctx, p.matching(), p.flags(seed, checks)...)
		if err != nil {
			return catch{}, err
		}
		if len(failed) == 0 {
			runs += checks
			continue
		}
		// A proof that fails by itself would seem to catch every bug.
		if err := g.sound.holds(ctx, g, p, seed, failed[0].Passed+1); err != nil {
			return catch{}, err
		}
		return catch{p, runs + failed[0].Passed + 1, failed[0].Test, failed[0].Says}, nil
	}
	return catch{}, errSurvived
}

func (p proof) matching() string { return "^Test(" + p.name + ")$" }

func (p proof) seeds() int {
	if p.kind == property {
		return seeds
	}
	return 1
}

func (p proof) flags(seed, checks int) []string {
	if p.kind == property {
		return overlay.Seed(seed, checks)
	}
	return nil
}

// sound holds that proofs pass on the product as it is. The tests of each package
// are compiled once.
type sound struct {
	mutex sync.Mutex
	of    map[string]func() (overlay.Tests, error)
}

func (s *sound) tests(ctx context.Context, g *gallery, pkg string) (overlay.Tests, error) {
	s.mutex.Lock()
	if s.of == nil {
		s.of = map[string]func() (overlay.Tests, error){}
	}
	compile, known := s.of[pkg]
	if !known {
		compile = sync.OnceValues(func() (overlay.Tests, error) {
			return overlay.Compile(ctx, g.root, pkg, g.path("sound-"+overlay.Name(pkg)+".test"), "")
		})
		s.of[pkg] = compile
	}
	s.mutex.Unlock()
	return compile()
}

func (s *sound) holds(ctx context.Context, g *gallery, p proof, seed, checks int) error {
	tests, err := s.tests(ctx, g, p.in)
	if err != nil {
		return err
	}
	failed, err := tests.Run(ctx, p.matching(), p.flags(seed, checks)...)
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("it fails before anything is changed: %s", failed[0].Says)
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
