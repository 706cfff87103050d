package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
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
	// FloorEvery is of how many sealed days the floor of one is read.
	FloorEvery int `json:"floor_every"`
	// Visibility has the sweep list the orders in the engine.
	Visibility bool `json:"visibility"`
	// Loaded says that the databases hold the crowd already.
	Loaded bool `json:"loaded"`
}

func (c crowded) crowd() (*crowd.Crowd, error) {
	all := &crowd.Crowd{Seed: c.Seed, Orders: c.Orders, Recent: c.Recent, PerDay: c.PerDay, AsOf: c.AsOf}
	return all, all.Plant(c.Breaks, c.Breaks)
}

func crowdOfEnvironment() (crowded, error) {
	var c crowded
	if err := json.Unmarshal([]byte(os.Getenv(crowdVariable)), &c); err != nil {
		return c, fmt.Errorf("%s: %w", crowdVariable, err)
	}
	return c, nil
}

// systemsGC has the simulated systems collect their garbage more rarely than is usual:
// with a million orders behind them that was half of what they did, and the machine that
// the measured process shares with them has the memory.
const systemsGC = 400

// playCrowd runs the six simulated systems, filled with the crowd.
func playCrowd(ctx context.Context) error {
	of, err := crowdOfEnvironment()
	if err != nil {
		return err
	}
	c, err := of.crowd()
	if err != nil {
		return err
	}
	debug.SetGCPercent(systemsGC)
	w, err := world.Open(world.Options{Dir: os.Getenv(dirVariable), Stock: crowd.Stock()})
	if err != nil {
		return err
	}
	if of.Loaded {
		err = untouched(w)
	} else {
		c.Progress = progress(c.Len(), clock.Now())
		err = c.Load(ctx, w)
	}
	if err != nil {
		return err
	}
	for _, line := range w.Environment() {
		fmt.Println(line)
	}
	stop, err := profile(os.Getenv(profileVariable))
	if err != nil {
		return err
	}
	defer stop()
	fmt.Println(readyLine)
	<-ctx.Done()
	return nil // what it holds is on disk
}

// told is after how many orders of a load a line says so.
const told = 100_000

// progress prints how far a load has come, a line for each so many orders.
func progress(all int, began time.Time) func(orders int) {
	next := told
	return func(orders int) {
		if orders < next || orders == all {
			return
		}
		next = orders - orders%told + told
		fmt.Printf("# %d of %d orders are loaded after %.0f s\n", orders, all, clock.Now().Sub(began).Seconds())
	}
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
