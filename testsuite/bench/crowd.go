package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/crowd"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/world"
)

// crowdVariable says, as JSON, which crowd the roles of the reconciliation's
// benchmark are about: each makes it anew.
const crowdVariable = "TRUEUP_BENCH_CROWD"

// crowded is what all roles must agree on.
type crowded struct {
	Seed   uint64    `json:"seed"`
	Orders int       `json:"orders"`
	Recent int       `json:"recent"`
	PerDay int       `json:"per_day"`
	Breaks int       `json:"breaks"`
	AsOf   time.Time `json:"as_of"`
}

func (c crowded) crowd() (*crowd.Crowd, error) {
	all := &crowd.Crowd{Seed: c.Seed, Orders: c.Orders, Recent: c.Recent, PerDay: c.PerDay, AsOf: c.AsOf}
	return all, all.Plant(c.Breaks, c.Breaks)
}

func crowdOfEnvironment() (*crowd.Crowd, error) {
	var c crowded
	if err := json.Unmarshal([]byte(os.Getenv(crowdVariable)), &c); err != nil {
		return nil, fmt.Errorf("%s: %w", crowdVariable, err)
	}
	return c.crowd()
}

// playCrowd runs the six simulated systems, filled with the crowd.
func playCrowd(ctx context.Context) error {
	c, err := crowdOfEnvironment()
	if err != nil {
		return err
	}
	w, err := world.Open(world.Options{Dir: os.Getenv(dirVariable), Stock: crowd.Stock()})
	if err != nil {
		return err
	}
	if err := c.Load(ctx, w); err != nil {
		return err
	}
	for _, line := range w.Environment() {
		fmt.Println(line)
	}
	fmt.Println(readyLine)
	<-ctx.Done()
	return nil // what it holds is on disk, and is thrown away
}

// source is the generated source of intents behind the ports that visibility
// implements, and stands in for the orders' own workflows: it reads again, as
// they would, and decides by the same pure core what is to be done.
type source struct {
	crowd  *crowd.Crowd
	at     map[time.Time]int // of a day, its place among the crowd's
	policy reconcile.Policy
	now    func() time.Time

	readers []reconciliation.SystemReader
	mu      sync.Mutex
	steps   map[order.ID][]reconcile.Step
	kept    []string // what went into the inbox
}

func newSource(c *crowd.Crowd, now func() time.Time) *source {
	s := &source{
		crowd: c, at: map[time.Time]int{}, policy: reconcile.Default().WithMode(reconcile.ModeAuto), now: now,
		steps: map[order.ID][]reconcile.Step{},
	}
	for n, day := range c.Days() {
		s.at[day] = n
	}
	return s
}

func (s *source) known(n int) reconciliation.Known {
	l := s.crowd.Life(n)
	i := s.crowd.Intent(n, s.now())
	return reconciliation.Known{Subject: l.Subject(), Intent: i, Changed: i.Changed[0].At}
}

// CountDay implements reconciliation.DayIntents.
func (s *source) CountDay(_ context.Context, day time.Time) (int, error) {
	n, known := s.at[day]
	if !known {
		return 0, nil
	}
	from, to := s.crowd.Of(n)
	return to - from, nil
}

// intentsPage is how many orders a page of the engine's visibility has.
const intentsPage = 1_000

// DayIntents implements reconciliation.DayIntents.
func (s *source) DayIntents(_ context.Context, day time.Time, shard reconcile.Shard, page string) ([]reconciliation.Known, string, error) {
	n, known := s.at[day]
	if !known {
		return nil, "", nil
	}
	from, to := s.crowd.Of(n)
	if page != "" {
		if _, err := fmt.Sscan(page, &from); err != nil {
			return nil, "", err
		}
	}
	end := min(from+intentsPage, to)
	var all []reconciliation.Known
	for n := from; n < end; n++ {
		if shard.Has(s.crowd.ID(n)) {
			all = append(all, s.known(n))
		}
	}
	if end == to {
		return all, "", nil
	}
	return all, fmt.Sprint(end), nil
}

// Status implements reconciliation.Keeper: the engine's memory began before the
// crowd, and everything was verified until a day ago.
func (s *source) Status(context.Context) (reconciliation.Status, error) {
	return reconciliation.Status{
		Since: s.crowd.Days()[0].Add(-24 * time.Hour), VerifiedThrough: s.crowd.AsOf.Add(-24 * time.Hour),
	}, nil
}

// Grant implements reconciliation.Keeper, and grants everything.
func (s *source) Grant(_ context.Context, r reconciliation.GrantRequest) ([]repair.Grant, error) {
	grants := make([]repair.Grant, r.Count)
	for i := range grants {
		grants[i].N = int64(i + 1)
	}
	return grants, nil
}

// Report implements reconciliation.Keeper.
func (s *source) Report(_ context.Context, r reconciliation.RunReport) (reconciliation.RunReport, error) {
	return r, nil
}

// Intents implements reconciliation.Keeper: those that changed since a moment,
// or those of the ids that are the crowd's.
func (s *source) Intents(_ context.Context, q reconciliation.IntentQuery) ([]reconciliation.Known, error) {
	var all []reconciliation.Known
	if len(q.IDs) > 0 {
		for _, id := range q.IDs {
			if n, ours := s.crowd.Number(id); ours {
				all = append(all, s.known(n))
			}
		}
		return all, nil
	}
	for n := range s.crowd.Len() {
		if k := s.known(n); !k.Changed.Before(q.Since) {
			if all = append(all, k); len(all) == q.Limit {
				break
			}
		}
	}
	return all, nil
}

// Notify implements reconciliation.Orders.
func (s *source) Notify(_ context.Context, n reconciliation.Notices) error {
	if _, ours := s.crowd.Number(n.Order); !ours {
		return reconciliation.ErrUnknownOrder
	}
	return nil
}

// Keep implements reconciliation.Orders.
func (s *source) Keep(_ context.Context, of order.ID, n reconciliation.Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, fmt.Sprintf("%s %s %s %s", n.System, n.Type, n.Record, of))
	return nil
}

// Align implements reconciliation.Orders.
func (s *source) Align(context.Context, string, reconciliation.StockChange) (reconcile.Level, error) {
	return reconcile.Level{}, fmt.Errorf("no level is to be set")
}

// Confirm implements reconciliation.Orders. It is what the order's workflow
// does, but for the acting: all six systems are read again by reference, what a
// second read says too is confirmed, and the steps are noted.
func (s *source) Confirm(ctx context.Context, of order.ID, _ reconciliation.Confirmation) (reconciliation.Confirmed, error) {
	n, ours := s.crowd.Number(of)
	if !ours {
		return reconciliation.Confirmed{}, reconciliation.ErrUnknownOrder
	}
	k := s.known(n)
	first, err := s.look(ctx, k)
	if err != nil {
		return reconciliation.Confirmed{}, err
	}
	suspected := reconcile.Compare(k.Intent, s.policy, first, nil, nil, s.now())
	second, err := s.look(ctx, k)
	if err != nil {
		return reconciliation.Confirmed{}, err
	}
	now := s.now()
	c := reconcile.Compare(k.Intent, s.policy, second, nil, suspected.Breaks, now)
	for i := range c.Breaks {
		if c.Breaks[i].SeenAs.Before(now) { // the first read said the same
			c.Breaks[i].Confirmed = now
		}
	}
	steps := reconcile.Plan(s.policy, k.Intent, c.Breaks, second, nil)
	s.mu.Lock()
	s.steps[of] = steps
	s.mu.Unlock()
	return reconciliation.Confirmed{Order: of, Found: len(c.Breaks), Settling: len(c.Settling), Unread: c.Unread, Agreement: reconcile.Disagreeing}, nil
}

func (s *source) look(ctx context.Context, k reconciliation.Known) ([]reconcile.Observation, error) {
	all := make([]reconcile.Observation, 0, len(s.readers))
	for _, r := range s.readers {
		at := s.now()
		seen, err := r.Reader.Lookup(ctx, k.Subject)
		if err != nil {
			return nil, err
		}
		all = append(all, reconcile.Read(r.System, k.Intent.Order, at, seen, nil))
	}
	return all, nil
}

// counted is a transport that counts requests by host.
type counted struct {
	http.RoundTripper
	mu    sync.Mutex
	hosts map[string]int
}

func newCounted() *counted {
	return &counted{RoundTripper: &http.Transport{MaxIdleConnsPerHost: 16}, hosts: map[string]int{}}
}

// RoundTrip counts a request and passes it on.
func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.hosts[r.URL.Host]++
	c.mu.Unlock()
	return c.RoundTripper.RoundTrip(r)
}

// requests returns how many each system has had so far.
func (c *counted) requests(addresses map[order.System]string) map[order.System]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[order.System]int{}
	for system, address := range addresses {
		host, _, _ := strings.Cut(strings.TrimPrefix(address, "http://"), "/")
		all[system] = c.hosts[host]
	}
	return all
}

var clock simulator.RealClock

// settling says that the n-th order was planted to be.
func (s *source) settling(n int) bool {
	for _, p := range s.crowd.Planted() {
		if p.N == n {
			return p.Settling
		}
	}
	return false
}
