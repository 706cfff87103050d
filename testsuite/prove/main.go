// Command prove plays ten scenarios under faults: every single fault of every
// call, then pairs of faults in an order that a seed fixes, then notifications
// that come double and at any moment, and the same stories in other orders of
// what happens at once:
//
//	go run ./testsuite/prove [-singles 20m] [-for 15m] [-seed N] [-state FILE] [-only S-01] [-match TEXT] [-again PLAN]
//
// It prints what was played, how many faults of each kind struck, and every
// plan that broke a law or ended otherwise than its scenario says; -again plays it
// again by the name under which it was printed. It exits with 1 when there is one.
package main

import (
	"embed"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/trueup-orders/trueup/testsuite/play"
	"github.com/trueup-orders/trueup/testsuite/script"
)

//go:embed scenarios/*.yaml
var files embed.FS

func main() { play.Main(func() int { return run(os.Args[1:], os.Stdout) }) }

func run(args []string, out io.Writer) int {
	flags := flag.NewFlagSet("prove", flag.ContinueOnError)
	flags.SetOutput(out)
	c := campaign{out: out, parallel: runtime.GOMAXPROCS(0)}
	flags.DurationVar(&c.limit, "for", 15*time.Minute, "how long pairs, notifications and seeds are played; 0: until every pair was played")
	flags.DurationVar(&c.singlesLimit, "singles", 0, "how long single faults are played; 0: until all were")
	flags.Uint64Var(&c.seed, "seed", 1, "the order in which pairs are played, and the draws of the rest")
	flags.StringVar(&c.statePath, "state", "", "a file that remembers which pairs were played, so that another run goes on from there")
	only := flags.String("only", "", "one scenario, as S-01")
	flags.StringVar(&c.match, "match", "", "play the single faults alone whose name contains this, as \"response_lost at payment.capture\", and tell their stories")
	flags.IntVar(&c.every, "every", 1, "play every n-th single fault alone, and nothing else when it is more than 1")
	one := flags.String("again", "", "play one plan as a violation names it, as \"S-04, refused at erp.record O1 #1, twice at mail.send O1 #1\", and tell its story")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return 2
	}
	if *one != "" {
		passed, err := again(out, *one)
		switch {
		case err != nil:
			fmt.Fprintln(out, "prove:", err)
			return 2
		case !passed:
			return 1
		}
		return 0
	}
	debug.SetGCPercent(400) // thousands of small worlds, one after the other
	scenarios, err := scenarios(*only)
	if err == nil {
		c.scenarios = scenarios
		err = c.run()
	}
	if err != nil {
		fmt.Fprintln(out, "prove:", err)
		return 2
	}
	if c.failed() {
		return 1
	}
	return 0
}

// scenarios are the ten stories, or the one with an id.
func scenarios(only string) ([]*script.File, error) {
	entries, err := files.ReadDir("scenarios")
	if err != nil {
		return nil, err
	}
	var all []*script.File
	for _, e := range entries {
		name := path.Join("scenarios", e.Name())
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f, err := script.Parse(name, data)
		if err != nil {
			return nil, err
		}
		if only == "" || only == f.ID {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no scenario %q", only)
	}
	return all, nil
}
