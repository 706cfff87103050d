// The mutants program shows that the properties of the pure core would notice if
// the core were wrong: it makes small changes of reconcile/, one at a time and
// without touching a file, and holds that the property named for each fails, or
// the oracle of small orders.
//
//	go run ./testsuite/mutants                 all of them
//	go run ./testsuite/mutants -run surplus    those whose name contains "surplus"
//
// It prints a line per mutant and property: what was changed, which property
// noticed, and after how many checks. It fails when a mutant's text is not in the
// core any more, when a mutant survives, or when a property has no mutant.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/testsuite/overlay"
)

func main() {
	run := flag.String("run", "", "only mutants whose name contains this")
	checks := flag.Int("checks", 1000, "checks per property and seed")
	seeds := flag.Int("seeds", 3, "seeds that are tried, from 1")
	workers := flag.Int("parallel", runtime.NumCPU(), "mutants at a time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	began := time.Now()
	h := &hunt{run: *run, checks: *checks, seeds: *seeds, workers: max(1, *workers), out: os.Stdout}
	if err := h.hunt(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stdout, "%s\n", time.Since(began).Round(time.Second))
}

// hunt is one run over the mutants.
type hunt struct {
	run     string
	checks  int
	seeds   int
	workers int
	out     io.Writer

	root   string // of the repository
	folder string // what is built goes here
	sound  binary // the core as it is
	within []bool // the mutants that it can make when it is asked for them
}

func (h *hunt) hunt(ctx context.Context) error {
	var err error
	if h.root, err = overlay.Root(ctx); err != nil {
		return err
	}
	if h.folder, err = os.MkdirTemp("", "mutants-"); err != nil {
		return fmt.Errorf("make a folder for the builds: %w", err)
	}
	defer os.RemoveAll(h.folder)
	chosen := h.chosen()
	if len(chosen) == 0 {
		return fmt.Errorf("no mutant's name contains %q", h.run)
	}
	if err = h.build(ctx); err != nil {
		return err
	}
	properties, err := h.sound.properties(ctx)
	if err != nil {
		return err
	}
	if err := h.complete(chosen, properties); err != nil {
		return err
	}
	return h.all(ctx, chosen, len(properties))
}

// chosen are the places of the mutants in the list.
func (h *hunt) chosen() []int {
	var chosen []int
	for n, m := range mutants {
		if strings.Contains(m.name, h.run) {
			chosen = append(chosen, n)
		}
	}
	return chosen
}

// complete holds that every property that is named exists and, where all mutants
// are run, that every property is named.
func (h *hunt) complete(chosen []int, properties []string) error {
	var named, problems []string
	for _, n := range chosen {
		for _, p := range mutants[n].fails {
			if named = append(named, p); !slices.Contains(properties, p) {
				problems = append(problems, fmt.Sprintf("mutant %q: there is no property %s", mutants[n].name, p))
			}
		}
	}
	for _, p := range properties {
		if h.run == "" && !slices.Contains(named, p) {
			problems = append(problems, "no mutant for the property "+p+": add one to testsuite/mutants/list.go")
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("the list does not fit the properties:\n%s", strings.Join(problems, "\n"))
	}
	return nil
}

func (h *hunt) all(ctx context.Context, chosen []int, properties int) error {
	next := make(chan int)
	var working sync.WaitGroup
	var mutex sync.Mutex
	var problems []string
	for range h.workers {
		working.Go(func() {
			for n := range next {
				lines, survived := h.try(ctx, n)
				mutex.Lock()
				for _, line := range lines {
					fmt.Fprintln(h.out, line)
				}
				problems = append(problems, survived...)
				mutex.Unlock()
			}
		})
	}
	for _, n := range chosen {
		next <- n
	}
	close(next)
	working.Wait()
	if len(problems) > 0 {
		return fmt.Errorf("of %d mutants these are not as they should be:\n%s", len(chosen), strings.Join(problems, "\n"))
	}
	if h.run == "" {
		fmt.Fprintf(h.out, "\n%d mutants, each caught; %d properties and oracles, each fails on one; ", len(chosen), properties)
	}
	return nil
}

// try has the properties named for one mutant look at it. It returns a line for
// each that noticed, and what is wrong.
func (h *hunt) try(ctx context.Context, n int) (lines, problems []string) {
	m := mutants[n]
	b, done, err := h.with(ctx, n)
	if err != nil {
		return nil, []string{fmt.Sprintf("%s: %v", m.name, err)}
	}
	defer done()
	for _, property := range m.fails {
		checks, caught := 0, false
		for seed := 1; seed <= h.seeds && !caught; seed++ {
			failed, err := b.check(ctx, []string{property}, seed, h.checks)
			if err != nil {
				return lines, []string{fmt.Sprintf("%s: %v", m.name, err)}
			}
			after, failure := failed[property]
			if checks += h.checks; !failure {
				continue
			}
			checks, caught = checks-h.checks+after+1, true
			// A property that fails by itself would seem to catch every mutant.
			if failed, err := h.sound.check(ctx, []string{property}, seed, after+1); err != nil || len(failed) > 0 {
				problems = append(problems, fmt.Sprintf("%s fails with -rapid.seed=%d before anything is changed (%v)", property, seed, err))
			}
		}
		if !caught {
			problems = append(problems, fmt.Sprintf("%s, in %s, survived %d checks of %s", m.name, m.file, checks, property))
			continue
		}
		lines = append(lines, fmt.Sprintf("%-60s %-68s %5d checks", m.name, property, checks))
	}
	return lines, problems
}
