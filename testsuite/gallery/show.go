package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/testsuite/overlay"
)

// gallery is one run over the bugs.
type gallery struct {
	run           *regexp.Regexp
	verbose       bool
	workers       int
	workflowcheck string
	out           io.Writer

	root   string // of the repository
	folder string // what is built goes here
	// list puts the files with all bugs that are bodies of functions in place, and
	// numbers says by which one each is asked for.
	list    string
	numbers map[string]int
	sound   sound
}

// caught is what became of one bug.
type caught struct {
	bug  bug
	by   []catch
	took time.Duration
	err  error
}

// catch is one proof that noticed a bug.
type catch struct {
	proof proof
	runs  int // of a property the cases that were drawn, of an incident the seeds, else 1
	test  string
	says  string
}

func (g *gallery) show(ctx context.Context) error {
	var err error
	if g.root, err = overlay.Root(ctx); err != nil {
		return err
	}
	if g.folder, err = os.MkdirTemp("", "gallery-"); err != nil {
		return fmt.Errorf("make a folder for the builds: %w", err)
	}
	defer os.RemoveAll(g.folder)
	chosen := slices.DeleteFunc(bugs(), func(b bug) bool { return !g.run.MatchString(b.name) })
	if len(chosen) == 0 {
		return fmt.Errorf("no bug's name matches %q", g.run)
	}
	if err := g.together(chosen); err != nil {
		return err
	}
	all := g.seed(ctx, chosen)
	g.print(all)
	if text := problems(all); len(text) > 0 {
		return fmt.Errorf("of %d bugs these are not caught:\n%s", len(all), strings.Join(text, "\n"))
	}
	return nil
}

// together writes all bugs into one product. One that cannot be seeded any more is
// said before minutes were spent.
func (g *gallery) together(chosen []bug) error {
	mistakes := make([][]overlay.Change, len(chosen))
	for i, b := range chosen {
		if _, err := overlay.Apply(g.root, b.changes); err != nil {
			return fmt.Errorf("the bug %q cannot be seeded: %w", b.name, err)
		}
		mistakes[i] = b.changes
	}
	list, within, err := overlay.Switch(g.root, g.folder, "all", mistakes)
	if err != nil {
		return err
	}
	g.list, g.numbers = list, map[string]int{}
	for i, b := range chosen {
		if within[i] {
			g.numbers[b.name] = i + 1
		}
	}
	return nil
}

// seed seeds each bug, some side by side, and says when one is caught.
func (g *gallery) seed(ctx context.Context, chosen []bug) []caught {
	all := make([]caught, len(chosen))
	next := make(chan int)
	var working sync.WaitGroup
	var mutex sync.Mutex
	done := 0
	for range g.workers {
		working.Go(func() {
			for i := range next {
				all[i] = g.try(ctx, chosen[i])
				mutex.Lock()
				done++
				fmt.Fprintf(g.out, "%2d of %d  %s\n", done, len(chosen), all[i].line(g.verbose))
				mutex.Unlock()
			}
		})
	}
	for i := range chosen {
		next <- i
	}
	close(next)
	working.Wait()
	return all
}

// try seeds one bug and has its proofs look.
func (g *gallery) try(ctx context.Context, b bug) caught {
	began := time.Now()
	c := caught{bug: b}
	for n, p := range b.by {
		one, err := g.look(ctx, fmt.Sprintf("%s-%d", overlay.Name(b.name), n), b, p)
		if err != nil {
			c.err = fmt.Errorf("%s: %s: %w", b.name, p, err)
			break
		}
		c.by = append(c.by, one)
	}
	c.took = time.Since(began)
	return c
}

func (c caught) line(verbose bool) string {
	if c.err != nil {
		return "NOT CAUGHT: " + c.err.Error()
	}
	line := fmt.Sprintf("%s: caught in %s", c.bug.name, c.took.Round(100*time.Millisecond))
	for _, by := range c.by {
		if verbose {
			line += fmt.Sprintf("\n            %s: %s", by.test, by.says)
		}
	}
	return line
}

// print prints the table, as it stands in a document.
func (g *gallery) print(all []caught) {
	fmt.Fprint(g.out, "\n| bug | seeded in | caught by | runs | time |\n|---|---|---|---|---|\n")
	for _, c := range all {
		if c.err != nil {
			continue
		}
		var by, runs []string
		for _, one := range c.by {
			by, runs = append(by, "`"+one.proof.String()+"`"), append(runs, fmt.Sprint(one.runs))
		}
		fmt.Fprintf(g.out, "| %s | `%s` | %s | %s | %.1f s |\n", c.bug.name, c.bug.changes[0].File,
			strings.Join(by, ", "), strings.Join(runs, ", "), c.took.Seconds())
	}
	fmt.Fprintf(g.out, "\n%d of %d bugs caught.\n", len(all)-len(problems(all)), len(all))
	fmt.Fprintln(g.out, "Runs: of a property the cases that were drawn from its seed until one failed; of an incident the seeds from which it was played; a test and workflowcheck need one.")
}

func problems(all []caught) []string {
	var text []string
	for _, c := range all {
		if c.err != nil {
			text = append(text, c.err.Error())
		}
	}
	return text
}

// path is where something that is built lies.
func (g *gallery) path(name string) string { return filepath.Join(g.folder, name) }
