package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/engine"
)

// The figures of reconciliation.
const (
	sweepOrders = "sweep_orders_per_s"
	sweepMemory = "sweep_peak_memory_mib"
	sweepEvents = "sweep_events_per_1000_orders"
	sweepFound  = "sweep_planted_breaks_found"

	screenOrders = "screen_orders_per_s"
	screenCalls  = "screen_calls_per_order"
)

// reconcilePlan is what the benchmark of reconciliation measures.
type reconcilePlan struct {
	crowded
	data    string // folder; empty: a temporary one
	profile string
	detail  bool
}

// runReconcile fills the six systems with a crowd and sweeps every sealed day.
func runReconcile(ctx context.Context, p reconcilePlan, out io.Writer) (missed bool, err error) {
	d, err := openData(p.data, p.crowded)
	if err != nil {
		return false, err
	}
	defer func() { err = d.leave(err) }()
	dir, err := os.MkdirTemp("", "trueup-bench")
	if err != nil {
		return false, err
	}
	s := &stage{dir: dir, out: out}
	defer func() { err = errors.Join(err, s.strike()) }()
	binary, err := engine.Binary(ctx)
	if err != nil {
		return false, err
	}
	if s.engine, err = engine.Start(ctx, binary, engine.Options{Dir: s.dir, UIPort: -1}); err != nil {
		return false, err
	}
	crowd, err := json.Marshal(d.crowd)
	if err != nil {
		return false, err
	}
	began := time.Now()
	environment := []string{crowdVariable + "=" + string(crowd), dirVariable + "=" + d.dir}
	var lines []string
	systems := environment
	if p.profile != "" {
		systems = append(slices.Clone(environment), profileVariable+"="+p.profile+".systems")
	}
	if s.systems, lines, err = s.spawn(roleCrowd, systems); err != nil {
		return false, err
	}
	if d.crowd.Loaded {
		fmt.Fprintf(out, "# the six systems are used as they were loaded in %s as of %s\n", d.dir, d.crowd.AsOf.Format(time.DateTime))
	} else {
		fmt.Fprintf(out, "# %d orders and %d recent ones are in the six systems after %.0f s\n", p.Orders, p.Recent, time.Since(began).Seconds())
		if err := d.complete(); err != nil {
			return false, err
		}
	}
	environment = append(append(environment, lines...), "TEMPORAL_ADDRESS="+s.engine.Frontend, "TRUEUP_SWEEP_PER_SECOND=0", "TRUEUP_RUN_PER_SECOND=0", profileVariable+"="+p.profile)
	if s.worker, lines, err = s.spawn(roleSweep, environment); err != nil {
		return false, err
	}
	var got swept
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		return false, fmt.Errorf("the reconciling process says %q: %w", lines, err)
	}
	missed = got.tell(out, p.detail)
	if len(got.Problems) > 0 {
		return missed, errWrong
	}
	return missed, nil
}

// errWrong is no missed target but a run that is broken.
var errWrong = errors.New("what was found is not what was planted, see WRONG")

// overHTTP are the systems whose calls are counted.
var overHTTP = []order.System{order.SystemPayment, order.SystemInventory, order.SystemWarehouse, order.SystemERP, order.SystemCRM}

// tell prints the figures, and says whether a target was missed.
func (s swept) tell(out io.Writer, detail bool) (missed bool) {
	per := func(n float64, seconds float64) float64 {
		if seconds == 0 {
			return math.NaN()
		}
		return n / seconds
	}
	fmt.Fprintf(out, "# sweep: %d days, %d orders, %d records on their pages, %.1f s; the floor of %d orders %.1f s; %d orders read by reference, %d settling; suspects looked again for %.1f s\n",
		s.Days, s.Orders, s.Records, s.Seconds, s.FloorOrders, s.FloorSeconds, s.LookedUp, s.Settling, s.Confirming)
	for _, system := range order.Systems() {
		if n := s.Again[system]; n > 0 {
			fmt.Fprintf(out, "# %d reads of the %s beside the sweep were made again after it gave no answer: the waits are in the times of the floor and of suspects\n", n, system)
		}
	}
	fmt.Fprintf(out, "# pages of mail over IMAP: %d by the floor\n", s.FloorRequests[order.SystemMail])
	for _, system := range overHTTP {
		fmt.Fprintf(out, "# calls of %-9s %7d by the sweep, %7d by the floor, %.1f per 1,000 orders\n",
			system, s.Requests[system], s.FloorRequests[system], 1000*per(float64(s.Requests[system]), float64(s.Orders)))
	}
	all := func(requests map[order.System]int) float64 {
		n := 0
		for _, system := range overHTTP {
			n += requests[system]
		}
		return float64(n)
	}
	c := s.Screen
	fmt.Fprintf(out, "# screening by change: %d orders in %d runs, %d records on the pages of changes, %.1f s; the floor %.1f s; the feeds alone %.1f s; %d history events\n",
		c.Orders, c.Runs, c.Records, c.Seconds, c.FloorSeconds, c.FeedSeconds, c.Events)
	for _, system := range overHTTP {
		fmt.Fprintf(out, "# calls of %-9s %7d by the screening, %7d of its feeds alone\n", system, c.Requests[system], c.FeedRequests[system])
	}
	figures := []figure{
		{screenOrders, per(float64(c.Orders), c.Seconds), per(float64(c.Orders), c.FloorSeconds), target{limit: 0.7, ratio: true, atLeast: true}},
		{screenCalls, per(all(c.Requests), float64(c.Orders)), per(all(c.FeedRequests), float64(c.Orders)), target{}},
		{sweepOrders, per(float64(s.Orders), s.Seconds), per(float64(s.FloorOrders), s.FloorSeconds), target{limit: 0.7, ratio: true, atLeast: true}},
		{sweepMemory, s.Peak, math.NaN(), target{limit: 512}},
		{sweepEvents, 1000 * per(float64(s.Events), float64(s.Orders)), math.NaN(), target{limit: 1}},
		{sweepFound, float64(s.Found), float64(s.Planted), target{limit: 1, ratio: true, atLeast: true}},
	}
	for _, f := range figures {
		fmt.Fprintln(out, f)
		missed = missed || !f.ok()
	}
	if detail {
		for _, line := range s.Lines {
			fmt.Fprintln(out, "# planted "+line)
		}
	}
	for _, line := range s.Problems {
		fmt.Fprintln(out, "# WRONG: "+strings.ReplaceAll(line, "\n", " "))
	}
	return missed
}
