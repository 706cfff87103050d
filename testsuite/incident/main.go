// Command incident plays incident files and says of each whether it led to what
// it expects:
//
//	go run ./testsuite/incident [-v] [-seed N] [-engine virtual|real] FILE-or-DIR…
//
// On the real engine it skips what waits for longer than anybody can. It exits with
// 1 when any failed, and with 2 when a file is refused.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/trueup-orders/trueup/testsuite/live"
	"github.com/trueup-orders/trueup/testsuite/play"
	"github.com/trueup-orders/trueup/testsuite/script"
)

func main() {
	live.Worker()
	play.Main(func() int { return run(os.Args[1:], os.Stdout, os.Stderr) })
}

func run(args []string, out, problems io.Writer) int {
	flags := flag.NewFlagSet("incident", flag.ContinueOnError)
	flags.SetOutput(problems)
	verbose := flags.Bool("v", false, "tell each story, step by step, with the systems' ledgers")
	seed := flags.Uint64("seed", 1, "decides what happens first among what happens at the same moment")
	engine := flags.String("engine", "virtual", "virtual, or real: the embedded engine and real processes, which takes a minute a file")
	flags.Usage = func() {
		fmt.Fprintln(problems, "usage: incident [-v] [-seed N] [-engine virtual|real] FILE-or-DIR…")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() == 0 || *engine != "virtual" && *engine != "real" {
		flags.Usage()
		return 2
	}
	files, err := read(flags.Args())
	if err != nil {
		fmt.Fprintln(problems, err)
		return 2
	}
	var passed, failed, skipped int
	for told := range playAll(files, play.Options{Seed: *seed, Real: *engine == "real"}, *verbose) {
		_, _ = out.Write(told.story.Bytes())
		fmt.Fprintln(out, line(told.Result))
		switch {
		case told.Passed():
			passed++
		case told.Skipped != "":
			skipped++
		default:
			failed++
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed", passed, failed)
	if *engine == "real" {
		fmt.Fprintf(out, ", %d skipped", skipped)
	}
	fmt.Fprintln(out)
	if failed > 0 {
		return 1
	}
	return 0
}

// read reads all files before any is played, so that a slip of the pen is told
// at once.
func read(paths []string) ([]*script.File, error) {
	found, err := script.Find(paths...)
	if err != nil {
		return nil, err
	}
	var files []*script.File
	var refused []string
	for _, path := range found {
		f, err := script.Read(path)
		if err == nil {
			err = play.Check(f)
		}
		if err != nil {
			refused = append(refused, err.Error())
			continue
		}
		files = append(files, f)
	}
	if len(refused) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(refused, "\n"))
	}
	return files, nil
}

// told is a file that was played, with its story.
type told struct {
	play.Result
	story bytes.Buffer
}

// playAll plays the files on all cores, and gives them back in their order.
func playAll(files []*script.File, o play.Options, verbose bool) <-chan *told {
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	results := make([]chan *told, len(files))
	for i := range results {
		results[i] = make(chan *told, 1)
	}
	go func() {
		for i, f := range files {
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				t := &told{}
				o := o
				if verbose {
					o.Story = &t.story
				}
				t.Result = play.Play(f, o)
				results[i] <- t
			}()
		}
	}()
	out := make(chan *told)
	go func() {
		defer close(out)
		for _, r := range results {
			out <- <-r
		}
	}()
	return out
}

// line is what became of a file, in one line.
func line(r play.Result) string {
	if r.Passed() {
		return fmt.Sprintf("PASS %s %s", r.File.ID, r.File.Title)
	}
	if r.Skipped != "" {
		return fmt.Sprintf("SKIP %s %s; %s", r.File.ID, r.File.Title, r.Skipped)
	}
	return fmt.Sprintf("FAIL %s %s; %s", r.File.ID, r.File.Title, strings.ReplaceAll(strings.Join(r.Wrong, "; "), "\n", " "))
}
