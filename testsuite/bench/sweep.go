package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/crowd"
	"github.com/trueup-orders/trueup/workers"
	"github.com/trueup-orders/trueup/workflows"
)

// swept is what the reconciling process has measured of sweeping every sealed
// day, and of only reading the same pages, in turns.
type swept struct {
	Orders   int     `json:"orders"`
	Days     int     `json:"days"`
	Records  int     `json:"records"`
	Pages    int     `json:"pages"`
	LookedUp int     `json:"looked_up"`
	Settling int     `json:"settling"`
	Seconds  float64 `json:"seconds"`
	// Confirming is how long, besides, orders looked again: what their own
	// workflows do.
	Confirming float64 `json:"confirming"`
	Events     int64   `json:"events"`
	Peak       float64 `json:"peak"` // MiB

	// FloorOrders are the orders of the days whose floor was read.
	FloorOrders  int     `json:"floor_orders"`
	FloorSeconds float64 `json:"floor_seconds"`
	FloorPages   int     `json:"floor_pages"`
	FloorRecords int     `json:"floor_records"`

	// Requests over HTTP by system; of the floor of mail the pages over IMAP.
	Requests      map[order.System]int `json:"requests"`
	FloorRequests map[order.System]int `json:"floor_requests"`

	// Again are the reads beside the sweep's own that were made again.
	Again map[order.System]int `json:"again,omitempty"`

	Screen screened `json:"screen"`

	Planted  int      `json:"planted"`
	Found    int      `json:"found"`
	Problems []string `json:"problems,omitempty"`
	Lines    []string `json:"lines,omitempty"` // of the planted ones, and what became of them
}

// screened is what was measured of screening by change.
type screened struct {
	Orders       int     `json:"orders"`
	Runs         int     `json:"runs"`
	Records      int     `json:"records"`
	Seconds      float64 `json:"seconds"`
	FloorSeconds float64 `json:"floor_seconds"` // of making the same reads
	FeedSeconds  float64 `json:"feed_seconds"`  // of walking the feeds alone
	Events       int64   `json:"events"`
	// Requests over HTTP by system, and those of the feeds alone.
	Requests     map[order.System]int `json:"requests"`
	FeedRequests map[order.System]int `json:"feed_requests"`
}

// reconciling is the process that reconciles: a worker that serves sweeps.
type reconciling struct {
	crowd      *crowd.Crowd
	floorEvery int
	source     *crowd.Source
	readers    []reconciliation.SystemReader // patient
	patience   *patience
	activities *reconciliation.Activities
	engine     client.Client
	transport  *counted
	addresses  map[order.System]string
	out        swept
}

// playSweep runs the role, and says what it measured in one line of JSON.
func playSweep(ctx context.Context) error {
	workers.SpareMemory() // as a worker does
	stop, err := profile(os.Getenv(profileVariable))
	if err != nil {
		return err
	}
	defer stop()
	of, err := crowdOfEnvironment()
	if err != nil {
		return err
	}
	c, err := of.crowd()
	if err != nil {
		return err
	}
	r, err := newReconciling(c, of.FloorEvery)
	if err != nil {
		return err
	}
	defer r.engine.Close()
	if of.Visibility {
		if err := r.fromVisibility(ctx); err != nil {
			return err
		}
	}
	if err := r.sweepAll(ctx); err != nil {
		return err
	}
	if err := r.screen(ctx); err != nil {
		return err
	}
	r.judge()
	r.out.Peak, r.out.Again = peak(), r.patience.counts()
	data, err := json.Marshal(r.out)
	if err != nil {
		return err
	}
	if file := os.Getenv(profileVariable); file != "" {
		if err := heap(file + ".heap"); err != nil {
			return err
		}
	}
	fmt.Println(string(data))
	fmt.Println(readyLine)
	return nil
}

func newReconciling(c *crowd.Crowd, floorEvery int) (*reconciling, error) {
	config, err := workers.Read()
	if err != nil {
		return nil, err
	}
	config.Channel = crowd.Channel
	r := &reconciling{crowd: c, floorEvery: floorEvery, patience: newPatience(workers.Wait), transport: newCounted(), addresses: map[order.System]string{
		order.SystemPayment: config.Stripe.URL, order.SystemInventory: config.Medusa.URL, order.SystemWarehouse: config.Warehouse.URL,
		order.SystemERP: config.ERP.URL, order.SystemCRM: config.HubSpot.URL,
	}}
	systems, err := config.Connect(clock.Now, r.transport)
	if err != nil {
		return nil, err
	}
	r.readers = r.patience.readers(systems.Readers())
	r.source = crowd.NewSource(c, r.readers, clock.Now)
	if r.engine, err = client.Dial(client.Options{
		HostPort: os.Getenv("TEMPORAL_ADDRESS"), Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	}); err != nil {
		return nil, err
	}
	set, err := config.Make(systems, &starters.Client{Now: clock.Now}, workers.Wait)
	if err != nil {
		return nil, err
	}
	r.activities = set.Reconciliation
	r.activities.Orders, r.activities.Keeper, r.activities.Days, r.activities.Policy = r.source, r.source, r.source, r.source.Policy()
	workflow := worker.New(r.engine, workflows.Queue, worker.Options{})
	set.RegisterWorkflows(workflow)
	activities := worker.New(r.engine, workflows.ReconciliationQueue, worker.Options{})
	activities.RegisterActivity(r.activities)
	return r, errors.Join(workflow.Start(), activities.Start())
}

// together is how many days are swept by one workflow, as the schedule does it.
const together = 31

// sweepAll sweeps the days, as many together as the schedule takes, and reads
// the floor of each, or of every so many: by turns before the sweep and after
// it, for the second finds warm caches.
func (r *reconciling) sweepAll(ctx context.Context) error {
	r.out.Requests, r.out.FloorRequests = map[order.System]int{}, map[order.System]int{}
	for days := range slices.Chunk(r.crowd.Days(), together) {
		floor := func(second int) error {
			for n := r.floorEvery/2 + second*r.floorEvery; n < len(days); n += 2 * r.floorEvery {
				if err := r.floorDay(ctx, days[n]); err != nil {
					return fmt.Errorf("%s: %w", days[n].Format(time.DateOnly), err)
				}
			}
			return nil
		}
		if err := floor(0); err != nil {
			return err
		}
		if err := r.sweepDays(ctx, days); err != nil {
			return fmt.Errorf("%s: %w", days[0].Format(time.DateOnly), err)
		}
		if err := floor(1); err != nil {
			return err
		}
		r.out.Days += len(days)
	}
	return nil
}

// counting adds the requests that f makes to a count.
func (r *reconciling) counting(into map[order.System]int, f func() error) error {
	before := r.transport.requests(r.addresses)
	err := f()
	for system, n := range r.transport.requests(r.addresses) {
		into[system] += n - before[system]
	}
	return err
}

func (r *reconciling) sweepDays(ctx context.Context, days []time.Time) error {
	return r.counting(r.out.Requests, func() error {
		began, before := clock.Now(), r.source.Confirmed()
		r.source.Reported = func(report reconciliation.RunReport) {
			fmt.Printf("# %s is swept: %d orders; %.0f s for the days so far\n", report.Swept.Day.Format(time.DateOnly), report.Looked, clock.Now().Sub(began).Seconds())
		}
		defer func() { r.source.Reported = nil }()
		id := workflows.SweepWorkflowID(days[0])
		run, err := r.engine.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: workflows.Queue}, workflows.SweepType, workflows.SweepInput{Day: days[0], Days: days})
		if err != nil {
			return err
		}
		if err := run.Get(ctx, nil); err != nil {
			return err
		}
		again := (r.source.Confirmed() - before).Seconds()
		r.out.Confirming += again
		r.out.Seconds += clock.Now().Sub(began).Seconds() - again
		reports := r.source.Reports()
		if len(reports) != len(days) {
			r.problem("%d reports of %d days", len(reports), len(days))
		}
		for _, report := range reports {
			r.take(report)
		}
		described, err := r.engine.DescribeWorkflowExecution(ctx, id, run.GetRunID())
		if err != nil {
			return err
		}
		r.out.Events += described.GetWorkflowExecutionInfo().GetHistoryLength()
		return nil
	})
}

// take adds the report of a day.
func (r *reconciling) take(report reconciliation.RunReport) {
	r.out.Orders += report.Looked
	r.out.Records += report.Records
	r.out.Settling += report.Settling
	r.out.LookedUp += report.Swept.LookedUp
	for _, e := range report.Swept.Exceptions {
		if !r.source.Settling(e.Order) {
			r.problem("%s is an exception: %s", e.Order, e.Why)
		}
	}
	if !report.Complete() {
		r.problem("%s is partial: %s", report.Swept.Day.Format(time.DateOnly), strings.Join(report.Swept.Unread, "; "))
	}
}

// floorDay reads the pages that a sweep of the day reads, by the same adapters
// and side by side as the sweep does, and does nothing with them.
func (r *reconciling) floorDay(ctx context.Context, day time.Time) error {
	return r.counting(r.out.FloorRequests, func() error {
		began := clock.Now()
		s := r.activities.Sweeps
		var mu sync.Mutex
		g, inner := errgroup.WithContext(ctx)
		for _, reader := range r.readers {
			g.Go(func() error {
				for _, w := range [][2]time.Time{{day.Add(-s.Before), day}, {day, day.Add(24 * time.Hour)}, {day.Add(24 * time.Hour), day.Add(24*time.Hour + s.Span)}} {
					pages, records, err := readThrough(inner, reader, reconcile.ListRequest{By: reconcile.ListCreated, From: w[0], To: w[1]})
					if err != nil {
						return err
					}
					mu.Lock()
					r.out.FloorPages += pages
					r.out.FloorRecords += records
					if reader.System == order.SystemMail {
						r.out.FloorRequests[reader.System] += pages
					}
					mu.Unlock()
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		seconds := clock.Now().Sub(began).Seconds()
		r.out.FloorSeconds += seconds
		fmt.Printf("# %s is read by the floor: %.0f s\n", day.Format(time.DateOnly), seconds)
		n, err := r.source.CountDay(ctx, day)
		r.out.FloorOrders += n
		return err
	})
}

// mostRuns is how many runs a backlog may take.
const mostRuns = 100

// screen has what changed since a day ago compared, as the scheduled run does: by
// one run after the other when it is more than one takes.
// Its floor is to make the very same reads once more. Only walking the feeds, as
// little as a run could read where nothing is ever to be looked up, is told beside.
func (r *reconciling) screen(ctx context.Context) error {
	out := &r.out.Screen
	out.Requests, out.FeedRequests = map[order.System]int{}, map[order.System]int{}
	if err := r.counting(out.FeedRequests, func() error { return r.walkFeeds(ctx) }); err != nil {
		return err
	}
	var read pages
	readers := r.activities.Readers
	r.activities.Readers = read.watch(readers)
	err := r.counting(out.Requests, func() error {
		for behind := true; behind && out.Runs < mostRuns; {
			var err error
			if behind, err = r.screenOnce(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	r.activities.Readers = readers
	if err != nil {
		return err
	}
	began := clock.Now()
	err = read.again(ctx, r.patience)
	out.FloorSeconds = clock.Now().Sub(began).Seconds()
	return err
}

func (r *reconciling) walkFeeds(ctx context.Context) error {
	status, err := r.source.Status(ctx)
	if err != nil {
		return err
	}
	began := clock.Now()
	g, inner := errgroup.WithContext(ctx)
	for _, reader := range r.readers {
		g.Go(func() error {
			q := reconcile.ListRequest{By: reconcile.ListChanged, From: status.VerifiedThrough.Add(-5 * time.Minute), To: clock.Now()}
			_, _, err := readThrough(inner, reader, q)
			return err
		})
	}
	err = g.Wait()
	r.out.Screen.FeedSeconds = clock.Now().Sub(began).Seconds()
	return err
}

// screenOnce is one run, and says whether the next one is to go on where it ended.
func (r *reconciling) screenOnce(ctx context.Context) (behind bool, err error) {
	out := &r.out.Screen
	began, before := clock.Now(), r.source.Confirmed()
	run, err := r.engine.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "reconcile", TaskQueue: workflows.Queue}, workflows.ReconcileType, workflows.ReconcileInput{})
	if err != nil {
		return false, err
	}
	var report reconciliation.RunReport
	if err := run.Get(ctx, &report); err != nil {
		return false, err
	}
	out.Runs++
	out.Seconds += (clock.Now().Sub(began) - (r.source.Confirmed() - before)).Seconds()
	out.Orders += report.Looked
	out.Records += report.Records
	if !report.Complete() && (!report.Behind || out.Runs == mostRuns) {
		r.problem("run %d is partial: %s", out.Runs, report.Partly())
	}
	if report.Stock.Found > 0 {
		r.problem("levels that differ were found: %v", report.Lines)
	}
	described, err := r.engine.DescribeWorkflowExecution(ctx, "reconcile", run.GetRunID())
	out.Events += described.GetWorkflowExecutionInfo().GetHistoryLength()
	return report.Behind, err
}

func readThrough(ctx context.Context, r reconciliation.SystemReader, q reconcile.ListRequest) (pages, records int, err error) {
	for {
		page, err := r.Reader.List(ctx, q)
		if err != nil {
			return pages, records, fmt.Errorf("read: %w", err)
		}
		pages++
		records += len(page.Observations) + len(page.Orphans)
		if page.Next == "" {
			return pages, records, nil
		}
		q.Cursor = page.Next
	}
}

func (r *reconciling) problem(format string, a ...any) {
	if len(r.out.Problems) < 50 {
		r.out.Problems = append(r.out.Problems, fmt.Sprintf(format, a...))
	}
}

// judge holds what was found against what was planted.
func (r *reconciling) judge() {
	planted, found, problems := r.source.Judge()
	r.out.Planted, r.out.Found = planted, found
	for _, p := range problems {
		r.problem("%s", p)
	}
	for _, p := range r.crowd.Planted() {
		r.out.Lines = append(r.out.Lines, p.String())
	}
}

// peak is the most memory that this process has held, in MiB; NaN where there is
// no proc file system to tell.
func peak() float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return math.NaN()
	}
	for line := range strings.Lines(string(data)) {
		if rest, is := strings.CutPrefix(line, "VmHWM:"); is {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err == nil {
				return kib / 1024
			}
		}
	}
	return math.NaN()
}
