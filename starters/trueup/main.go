// Command trueup submits orders, asks for verdicts, changes and cancels orders,
// decides cases, reconciles and works the switches. trueup help lists its commands
// and exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/trueup-orders/trueup/starters/command"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release)
	os.Exit(command.Run(ctx, os.Args[1:], command.World{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now, Engine: command.Temporal,
	}))
}
