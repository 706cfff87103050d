// Command gateway takes orders and webhooks over HTTP and hands them to the
// engine. Its settings are environment variables with the prefix TRUEUP_: see
// starters.Settings; the engine's are TEMPORAL_ADDRESS and its kin.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/trueup-orders/trueup/starters"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default handling is back: a second one ends a
	// stop that hangs.
	context.AfterFunc(ctx, release)
	if err := starters.RunGateway(ctx, time.Now); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}
