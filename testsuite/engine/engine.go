// Package engine starts the embedded engine as a process of its own, for tests
// and the demo: a real Temporal server whose death and restart are the point.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
)

// Binary returns the path of the engine's binary, which build.sh makes once and
// keeps; TRUEUP_TEST_ENGINE names another one.
func Binary(ctx context.Context) (string, error) {
	if path := os.Getenv("TRUEUP_TEST_ENGINE"); path != "" {
		return path, nil
	}
	root := Root()
	path := filepath.Join(root, ".build", "engine")
	build := exec.CommandContext(ctx, filepath.Join(root, "deployments", "temporal", "build.sh"), path)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build the embedded engine: %w", err)
	}
	return path, nil
}

// Root is the repository's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Process is a running engine.
type Process struct {
	Frontend string
	UI       string

	binary  string
	options Options
	command *exec.Cmd
	exited  chan error
}

// Options say how to run an engine.
type Options struct {
	// Dir holds its database; the state survives a restart from the same Dir.
	Dir string
	// Port and UIPort are 0 for free ones; no UI when UIPort is -1.
	Port, UIPort int
}

// Start starts an engine and waits until it is ready.
func Start(ctx context.Context, binary string, o Options) (*Process, error) {
	p := &Process{binary: binary, options: o}
	return p, p.start(ctx)
}

// start starts the engine, and once more when somebody took one of its free ports
// between the moment it chose them and the moment it listened.
func (p *Process) start(ctx context.Context) error {
	for try := 1; ; try++ {
		err := p.startOnce(ctx)
		if !errors.Is(err, errPortTaken) || try == 5 {
			return err
		}
	}
}

var errPortTaken = errors.New("a port was taken meanwhile")

func (p *Process) startOnce(ctx context.Context) error {
	addresses := filepath.Join(p.options.Dir, "engine-address.json")
	_ = os.Remove(addresses)
	p.command = exec.Command(p.binary, "--db", filepath.Join(p.options.Dir, "engine.db"),
		"--port", strconv.Itoa(p.options.Port), "--ui-port", strconv.Itoa(p.options.UIPort), "--address-file", addresses)
	output, err := os.OpenFile(filepath.Join(p.options.Dir, "engine.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }()
	p.command.Stdout, p.command.Stderr = output, output
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("start the engine %s: %w", p.binary, err)
	}
	p.exited = make(chan error, 1)
	go func(c *exec.Cmd, exited chan error) { exited <- c.Wait() }(p.command, p.exited)
	for {
		select {
		case err := <-p.exited:
			return endedEarly(err, output.Name())
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("the engine was not ready in time: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
		var ready struct {
			Frontend string `json:"frontend"`
			UI       string `json:"ui"`
		}
		data, err := os.ReadFile(addresses)
		if err == nil && json.Unmarshal(data, &ready) == nil && ready.Frontend != "" {
			p.Frontend, p.UI = ready.Frontend, ready.UI
			return nil
		}
	}
}

// endedEarly says why an engine ended before it was ready, with the end of its
// log: the folder may be gone by the time that somebody reads this.
func endedEarly(ended error, file string) error {
	data, _ := os.ReadFile(file)
	last := string(data[max(0, len(data)-2000):])
	if strings.Contains(last, "address already in use") {
		return fmt.Errorf("the engine ended before it was ready: %w", errPortTaken)
	}
	return fmt.Errorf("the engine ended before it was ready (%v): %s", ended, last) //nolint:errorlint // nil when it ended well
}

// Dial connects a client.
func (p *Process) Dial(logger log.Logger) (client.Client, error) {
	return client.Dial(client.Options{HostPort: p.Frontend, Logger: logger})
}

// Kill ends the engine at once, as a crash would.
func (p *Process) Kill() {
	_ = p.command.Process.Kill()
	<-p.exited
	p.exited <- nil
}

// Restart starts a killed engine again, on the same ports and state.
func (p *Process) Restart(ctx context.Context) error {
	_, port, err := net.SplitHostPort(p.Frontend)
	if err != nil {
		return err
	}
	if p.options.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	return p.start(ctx)
}

// Stop ends the engine in its own time.
func (p *Process) Stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-p.exited:
		p.exited <- nil
		return err
	case <-time.After(10 * time.Second):
		p.Kill()
		return errors.New("the engine did not end in 10 s")
	}
}
