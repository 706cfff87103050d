package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/connect"
	"github.com/trueup-orders/trueup/testsuite/world"
	"github.com/trueup-orders/trueup/workers"
)

// The roles in which this program starts itself, and the variables that only
// these roles read.
const (
	roleVariable     = "TRUEUP_BENCH_ROLE"
	dirVariable      = "TRUEUP_BENCH_DIR"
	webhooksVariable = "TRUEUP_BENCH_WEBHOOKS"
	profileVariable  = "TRUEUP_BENCH_PROFILE"
	consolePrefix    = "TRUEUP_CONSOLE_"

	roleSystems = "systems"
	roleWorker  = "worker"
	roleGateway = "gateway"
	roleCrowd   = "crowd"
	roleSweep   = "sweep"
)

// play runs one role until the context ends.
func play(ctx context.Context, role string) error {
	switch role {
	case roleSystems:
		return playSystems(ctx)
	case roleWorker:
		return playWorker(ctx)
	case roleGateway:
		return playGateway(ctx)
	case roleCrowd:
		return playCrowd(ctx)
	case roleSweep:
		return playSweep(ctx)
	}
	return fmt.Errorf("%s=%q is none of %s, %s, %s, %s, %s", roleVariable, role, roleSystems, roleWorker, roleGateway, roleCrowd, roleSweep)
}

// playSystems runs the six simulated systems, with files for databases, and
// nobody at work in the warehouse by himself.
func playSystems(ctx context.Context) error {
	w, err := world.Open(world.Options{
		Dir: os.Getenv(dirVariable), Webhooks: os.Getenv(webhooksVariable), Stock: map[string]int{"MUG": 1_000_000, "TSHIRT": 1_000_000},
	})
	if err != nil {
		return err
	}
	for _, line := range w.Environment() {
		fmt.Println(line)
	}
	for _, s := range order.Systems() {
		fmt.Println(consolePrefix + strings.ToUpper(string(s)) + "=" + w.Console(s))
	}
	fmt.Println(readyLine)
	<-ctx.Done()
	return nil // what it holds is on disk, and is thrown away
}

// playWorker does what workers.Run does, and registers the floor with the very
// workers that serve the orders, so that queues, options and codec are the same.
func playWorker(ctx context.Context) error {
	stop, err := profile(os.Getenv(profileVariable))
	if err != nil {
		return err
	}
	defer stop()
	workers.SpareMemory()
	config, err := workers.Read()
	if err != nil {
		return err
	}
	log, forEngine, err := connect.Logger("warn", "text")
	if err != nil {
		return err
	}
	engine, err := connect.Engine(ctx, forEngine)
	if err != nil {
		return err
	}
	defer engine.Close()
	systems, err := config.Connect(time.Now, nil)
	if err != nil {
		return err
	}
	if e, ok := systems.CRM.(interface{ EnsureProperties(context.Context) error }); ok {
		if err := e.EnsureProperties(ctx); err != nil {
			return err
		}
	}
	orders := &starters.Client{Engine: &starters.Temporal{Client: engine}, Now: time.Now}
	set, err := config.Make(systems, orders, workers.Wait)
	if err != nil {
		return err
	}
	if err := orders.EnsureReconciliation(ctx, config.ReconcileEvery); err != nil {
		return err
	}
	fatal := make(chan error, 1)
	all := set.Workers(engine, config, func(err error) {
		select {
		case fatal <- err:
		default:
		}
	})
	registerFloor(all)
	for _, w := range all {
		if err := w.Start(); err != nil {
			return err
		}
		defer w.Stop()
	}
	go set.WatchSwitches(ctx, orders, log)
	fmt.Println(readyLine)
	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return err
	}
}

// profile writes a CPU profile of this process to a file until it is stopped;
// no file, no profile.
func profile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

// heap writes what the process holds in memory, after a collection, to a file.
func heap(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	runtime.GC()
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// playGateway runs the gateway as it is, and says that it is ready once it
// listens.
func playGateway(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- starters.RunGateway(ctx, time.Now) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Millisecond):
		}
		c, err := net.DialTimeout("tcp", os.Getenv("TRUEUP_GATEWAY_LISTEN"), time.Second)
		if err == nil {
			_ = c.Close()
			break
		}
	}
	fmt.Println(readyLine)
	return <-ended
}
