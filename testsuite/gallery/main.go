// The gallery program seeds realistic bugs into the product, one at a time and
// without touching a file, and holds that the product's own proofs notice each:
// the mistakes that teams make when they connect an order with six systems, as a
// new key for each attempt, a refund of what was asked for and not of what was
// taken, or a case that is decided on what was true yesterday.
//
//	go run ./testsuite/gallery                 all of them
//	go run ./testsuite/gallery -run refund     those whose name matches "refund"
//	go run ./testsuite/gallery -v              and what each proof said of its bug
//
// It prints a line when a bug is caught, and in the end a table: the bug, the
// file in which it is, what caught it, and how many runs that took. It fails when
// a bug's text is not in the product any more, when a bug survives, and when a
// proof fails without any bug.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"time"
)

func main() {
	run := flag.String("run", "", "only bugs whose name matches this")
	verbose := flag.Bool("v", false, "show what each proof said")
	workers := flag.Int("parallel", runtime.NumCPU(), "bugs at a time")
	workflowcheck := flag.String("workflowcheck", os.Getenv("WORKFLOWCHECK"), "the path of workflowcheck, which `make workflowcheck` builds")
	flag.Parse()
	only, err := regexp.Compile(*run)
	if err != nil {
		fmt.Fprintf(os.Stderr, "gallery: -run: %v\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	began := time.Now()
	g := &gallery{run: only, verbose: *verbose, workers: max(1, *workers), workflowcheck: *workflowcheck, out: os.Stdout}
	if err := g.show(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "gallery: %v\n", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stdout, "%s\n", time.Since(began).Round(time.Second))
}
