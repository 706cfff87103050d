// Command worker serves the engine's task queues: it carries the orders through
// the six systems and reconciles them. Its settings are environment variables
// with the prefix TRUEUP_, see workers.Config; the engine's are TEMPORAL_ADDRESS
// and its kin.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/trueup-orders/trueup/starters/connect"
	"github.com/trueup-orders/trueup/workers"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends a stop that hangs
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	workers.SpareMemory()
	config, wrong := workers.Read()
	log, forEngine, err := connect.Logger(os.Getenv("TRUEUP_LOG_LEVEL"), os.Getenv("TRUEUP_LOG_FORMAT"))
	if err := errors.Join(wrong, err); err != nil {
		return err
	}
	var metrics *connect.Metrics
	if config.MetricsListen != "" {
		metrics = connect.NewMetrics()
	}
	engine, err := connect.Measured(ctx, forEngine, metrics)
	if err != nil {
		return err
	}
	defer engine.Close()
	if metrics != nil {
		if err := config.ServeMetrics(ctx, metrics, engine, log, time.Now); err != nil {
			return err
		}
	}
	switch kept, err := connect.Retention(ctx, engine); {
	case err != nil: // who may not ask is told so, and goes on
		log.WithError(err).Warn("it is not known whether TRUEUP_RETENTION is the engine's; an order that the engine forgets before that is taken for a new one")
	default:
		if err := config.Remembered(kept); err != nil {
			return err
		}
	}
	return workers.Run(ctx, config, engine, log, time.Now)
}
