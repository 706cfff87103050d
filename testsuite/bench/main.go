// Command bench measures what the product costs beside its floor, in the same
// run and on the same engine, worker and machine, and prints one line for each
// figure:
//
//	bench: NAME value=… floor=… ratio=… target=… ok=true|false
//
// A missed target is reported and fails nothing, unless -strict is given: this
// machine may be busy with other things.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/trueup-orders/trueup/testsuite/crowd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if role := os.Getenv(roleVariable); role != "" {
		err = play(ctx, role)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// plan is what one run measures, and how.
type plan struct {
	orders   int // one at a time; twice as many in each round under load
	parallel int
	step     time.Duration // between two steps of the warehouse
	only     string
	strict   bool
	detail   bool
	profile  string
	// reconcile is how many orders reconciliation is measured with, and nothing
	// else is; 0: it is not.
	reconcile, recent, perDay, breaks, floorEvery int
	visibility                                    bool
	data                                          string
	seed                                          uint64
}

// rounds is how often floor and product take turns under load, so that a busy
// moment of the machine hits both.
const rounds = 4

func readPlan(args []string) (plan, error) {
	var p plan
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&p.orders, "orders", 25, "how many orders are submitted one at a time; twice as many in each of four rounds under load")
	flags.IntVar(&p.parallel, "parallel", 16, "how many orders are under way at once under load")
	flags.DurationVar(&p.step, "step", 20*time.Second, "how long the warehouse takes for each of its four steps to delivery")
	flags.StringVar(&p.only, "only", "", "measure only figures whose name begins with this")
	flags.BoolVar(&p.strict, "strict", false, "exit 1 when a target is missed")
	flags.BoolVar(&p.detail, "detail", false, "also print requests and durations by activity")
	flags.StringVar(&p.profile, "profile", "", "write the worker's CPU profile to this file, and with -reconcile that of the systems beside it")
	flags.IntVar(&p.reconcile, "reconcile", 0, "measure reconciliation instead, with so many orders on sealed days")
	flags.IntVar(&p.recent, "recent", 300, "of reconciliation: orders of the last day")
	flags.IntVar(&p.perDay, "per-day", 0, "of reconciliation: orders of one sealed day; 0: a tenth of all, but 10,000 at most")
	flags.IntVar(&p.floorEvery, "floor-every", 0, "of reconciliation: the floor is read of one in so many days; 0: of each, of one in five beyond 50,000 orders of ten days")
	flags.BoolVar(&p.visibility, "visibility", false, "of reconciliation: the orders are workflows of the engine, and sweeps list them by its visibility")
	flags.StringVar(&p.data, "data", "", "of reconciliation: the folder that the loaded systems are kept in, and used again from when it holds the same crowd")
	flags.IntVar(&p.breaks, "breaks", 100, "of reconciliation: how many breaks are planted, and as many orders that settle")
	flags.Uint64Var(&p.seed, "seed", 1, "of reconciliation: what the orders are made from")
	if err := flags.Parse(args); err != nil {
		return plan{}, err
	}
	if p.floorEvery < 0 {
		return plan{}, errors.New("-floor-every must not be negative")
	}
	if p.orders < 5 || p.parallel < 1 || p.step < time.Second {
		return plan{}, errors.New("-orders must be at least 5, -parallel at least 1, -step at least 1s")
	}
	return p, nil
}

// wants says whether any of these figures is asked for.
func (p plan) wants(names ...string) bool {
	for _, name := range names {
		if strings.HasPrefix(name, p.only) {
			return true
		}
	}
	return false
}

var errMissed = errors.New("a target is missed, see ok=false")

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	p, err := readPlan(args)
	if err != nil {
		return err
	}
	if p.reconcile > 0 {
		return reconcileOnly(ctx, p, out)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	s, err := raise(ctx, p.profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.strike()) }()
	header(p, out)
	missed := false
	for _, group := range groups {
		if !p.wants(group.names...) {
			continue
		}
		figures, err := group.measure(ctx, s, p)
		if err != nil {
			return fmt.Errorf("measure %s: %w", group.names[0], err)
		}
		for _, f := range figures {
			if p.wants(f.name) {
				fmt.Fprintln(out, f)
				missed = missed || !f.ok()
			}
		}
	}
	if p.detail {
		if err := s.tell(ctx, out); err != nil {
			return err
		}
	}
	if p.strict && missed {
		return errMissed
	}
	return nil
}

// reconcileOnly measures reconciliation.
func reconcileOnly(ctx context.Context, p plan, out io.Writer) error {
	if p.perDay == 0 {
		p.perDay = min(p.reconcile/10+1, crowd.PerDay)
	}
	if p.floorEvery == 0 {
		p.floorEvery = 1
		if p.reconcile > 50_000 && p.reconcile >= 10*p.perDay {
			p.floorEvery = 5
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 6*time.Hour)
	defer cancel()
	headerReconcile(p, out)
	missed, err := runReconcile(ctx, reconcilePlan{
		crowded: crowded{Seed: p.seed, Orders: p.reconcile, Recent: p.recent, PerDay: p.perDay, Breaks: p.breaks, AsOf: time.Now().UTC().Truncate(time.Second), FloorEvery: p.floorEvery, Visibility: p.visibility},
		data:    p.data, profile: p.profile, detail: p.detail,
	}, out)
	if err != nil {
		return err
	}
	if p.strict && missed {
		return errMissed
	}
	return nil
}

// groups are figures that one measurement yields. The first also tells the
// floor how many signals an order gets.
var groups = []struct {
	names   []string
	measure func(context.Context, *stage, plan) ([]figure, error)
}{
	{[]string{submitToAgree, accepted, eventsUntilAgreed}, measureAlone},
	{[]string{sustained, cpuEngine, cpuWorker, cpuSystems, cpuGateway, diskPerOrder}, measureLoad},
	{[]string{eventsUntilDelivered, bytesUntilDelivered}, measureLife},
}

// machine says on what is measured.
func machine() string {
	load := "unknown"
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(data))[:3], " ")
	}
	return fmt.Sprintf("%d cores, load before %s, %s", runtime.NumCPU(), load, runtime.Version())
}

func headerReconcile(p plan, out io.Writer) {
	intents := "made anew when asked for"
	if p.visibility {
		intents = "listed by the engine's visibility"
	}
	fmt.Fprintf(out, `# %s; engine, reconciling process and the six systems are processes of their own on this machine
# a crowd of %d orders, %d a day, and %d of the last day, by seed %d; %d breaks planted, and %d orders that only settle
# the systems keep the real page limits and orders; the records were written into their databases, the intents are %s
# floor of the sweep: the same adapters read the same pages, the six side by side, and do nothing with them; they take turns, day by day
# floor of the screening: its very reads once more, the six side by side
# the time in which suspects look again, twice in all six systems, is that of their own workflows: it is printed, and in no rate
# a break counts as found when two strong reads confirm it and the step that is planned for it is what the rules say where all is allowed
`, machine(), p.reconcile, p.perDay, p.recent, p.seed, p.breaks, p.breaks, intents)
}

func header(p plan, out io.Writer) {
	fmt.Fprintf(out, `# %s; engine, worker, gateway and the six systems are processes of their own on this machine
# engine: embedded, one shard, SQLite file (WAL, synchronous=normal), no encryption; systems: SQLite files; webhooks on; feeds followed every 15s
# floor: the same worker, queues, options, server and database; six no-op activities, two in sequence then four side by side, and as many signals
# alone: %d orders, one at a time; load: %d orders in %d rounds, %d at once; life: %s per step of the warehouse
# an order agrees when the engine has the last of the six systems' answers: each system's ledger must show the effect before it;
# afterwards every order's verdict, and a fresh one (all systems read) of every tenth, must say agreed, or the run is broken
`, machine(), p.orders, rounds*2*p.orders, rounds, p.parallel, p.step)
}
