// Command engine is the Temporal server and its web UI in one program with one SQLite file behind it.
// It is what the demo, the tests and small installations run instead of a Temporal cluster; README.md says
// where its limits are. It is a Go module of its own so that the product never links the server.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default handling is back: a second one ends a stop that hangs.
	context.AfterFunc(ctx, release)
	if err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
}

// run starts the engine, says that it is ready, and stops it when ctx ends. Being told to stop is not an
// error, not even while starting.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdout io.Writer) error {
	set, err := readSettings(args, env, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	// A file left by a killed engine would send a waiting script to an address where nobody answers.
	if err := removeAddresses(set.addressFile); err != nil {
		return err
	}
	e, err := startEngine(ctx, set)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	err = announce(set, e, stdout)
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, removeAddresses(set.addressFile), e.stop())
}

// addresses is the content of the file named by --address-file.
type addresses struct {
	Frontend  string `json:"frontend"`
	UI        string `json:"ui,omitempty"`
	Namespace string `json:"namespace"`
	PID       int    `json:"pid"`
}

// announce tells people (stdout) and scripts (the address file) where the engine is. The file appears whole or
// not at all: a script may read it as soon as it exists.
func announce(set settings, e *engine, stdout io.Writer) error {
	if set.addressFile != "" {
		text, err := json.Marshal(addresses{Frontend: e.frontend, UI: e.ui, Namespace: set.namespace, PID: os.Getpid()})
		if err != nil {
			return fmt.Errorf("writing the address file: %w", err)
		}
		partial := set.addressFile + ".partial"
		if err := os.MkdirAll(filepath.Dir(set.addressFile), 0o755); err != nil {
			return fmt.Errorf("creating the folder of the address file: %w; give a writable path with --address-file", err)
		}
		if err := os.WriteFile(partial, append(text, '\n'), 0o644); err != nil {
			return fmt.Errorf("writing the address file: %w; give a writable path with --address-file", err)
		}
		if err := os.Rename(partial, set.addressFile); err != nil {
			return fmt.Errorf("writing the address file: %w; give a writable path with --address-file", err)
		}
	}
	fmt.Fprintf(stdout, "Temporal frontend: %s (namespace %s)\n", e.frontend, set.namespace)
	if e.ui != "" {
		fmt.Fprintf(stdout, "Temporal UI: %s\n", e.ui)
	}
	return nil
}

func removeAddresses(file string) error {
	if file == "" {
		return nil
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the old address file: %w; give another path with --address-file", err)
	}
	return nil
}
