package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// child is one program that runs beside us, in a process group of its own: a
// Ctrl-C in the terminal reaches us alone, and we end the others in their order.
type child struct {
	name    string
	log     string // file
	command *exec.Cmd
	ended   chan struct{}
	err     error       // how it ended
	wanted  atomic.Bool // its end is our doing
}

// start starts a program and watches it: one that ends by itself ends the demo.
func (d *demo) start(name, binary string, args []string, env ...string) (*child, error) {
	c := &child{name: name, log: filepath.Join(d.dir, name+".log"), ended: make(chan struct{})}
	output, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer func() { _ = output.Close() }()
	c.command = exec.Command(binary, args...)
	c.command.Env = append(d.environment(), env...)
	c.command.Stdout, c.command.Stderr = output, output
	c.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	d.children = append(d.children, c)
	go func() {
		c.err = c.command.Wait()
		close(c.ended)
		if !c.wanted.Load() {
			d.fail(&diedError{c})
		}
	}()
	return c, nil
}

// diedError says that a program ended by itself.
type diedError struct{ child *child }

func (e *diedError) Error() string {
	how := "without an error"
	if e.child.err != nil {
		how = e.child.err.Error()
	}
	return fmt.Sprintf("%s ended by itself (%s); the end of %s:\n%s", e.child.name, how, e.child.log, tail(e.child.log, 12))
}

// tail returns the last lines of a file.
func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return "  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}

// environment is ours without the settings of other installations.
func (d *demo) environment() []string {
	var kept []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TEMPORAL_") && !strings.HasPrefix(v, "TRUEUP_") {
			kept = append(kept, v)
		}
	}
	return append(kept, d.settings...)
}

// signal sends a signal to the child's whole group, unless it has ended: then
// the number may be somebody else's.
func (c *child) signal(s syscall.Signal) {
	select {
	case <-c.ended:
	default:
		_ = syscall.Kill(-c.command.Process.Pid, s)
	}
}

// kill ends a child at once, as a crash would.
func (c *child) kill() {
	c.wanted.Store(true)
	c.signal(syscall.SIGKILL)
	<-c.ended
}

// stop ends a child in its own time, and at once when that takes too long.
func (c *child) stop(patience time.Duration) {
	c.wanted.Store(true)
	c.signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.kill()
	}
}

// stopAll ends every child, the last started first.
func (d *demo) stopAll() {
	for i := len(d.children) - 1; i >= 0; i-- {
		d.children[i].stop(8 * time.Second)
	}
}

// build builds the four programs.
func (d *demo) build(ctx context.Context) error {
	for name, path := range map[string]string{
		"systems": "./testsuite/world/systems", "worker": "./workers/worker", "gateway": "./starters/gateway", "trueup": "./starters/trueup",
	} {
		build := exec.CommandContext(ctx, "go", "build", "-o", d.binary(name), path)
		build.Dir = d.root
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", path, err, output)
		}
	}
	return nil
}

func (d *demo) binary(name string) string { return filepath.Join(d.root, ".build", name) }

// trueup runs the trueup program and returns what it printed and its exit code.
func (d *demo) trueup(ctx context.Context, args ...string) (string, int, error) {
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(limited, d.binary("trueup"), args...)
	command.Env = d.environment()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && (!exited || limited.Err() != nil) {
		return "", 0, fmt.Errorf("trueup %s: %w", strings.Join(args, " "), err)
	}
	return stdout.String() + stderr.String(), command.ProcessState.ExitCode(), nil
}

// freePort returns a loopback port that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// until asks again and again until the answer is yes, and says whether it came
// in time. An error ends it.
func until(ctx context.Context, within time.Duration, ok func() (bool, error)) (bool, error) {
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		yes, err := ok()
		if err != nil || yes {
			return yes, err
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-limit.C:
			return false, nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}
