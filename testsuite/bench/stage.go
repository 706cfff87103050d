package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/engine"
)

// stage is everything that a figure is measured on, each in a process of its
// own: the engine on a file database, one worker, the gateway for webhooks, and
// the six simulated systems.
type stage struct {
	dir    string
	out    io.Writer // of what roles say meanwhile; nil: nobody hears it
	engine *engine.Process
	client client.Client
	orders *starters.Client
	port   *starters.Temporal

	systems, gateway, worker *process
	consoles                 map[order.System]string
	// prefix tells this run's orders from another's.
	prefix string
	// signals is how many an order gets until its systems agree, once it was
	// counted; ids are the orders that went through.
	signals int
	counted bool
	ids     []order.ID
	// lived is an order that was delivered.
	lived order.ID
}

// process is this program again, in one of its roles.
type process struct {
	command *exec.Cmd
	exited  chan error
}

var errEnded = errors.New("its output is closed")

// readyLine ends what a role says of itself when it has started.
const readyLine = "ready"

// meanwhile begins the lines that are for whoever waits for it.
const meanwhile = "# "

// spawn starts this program in a role, and returns the lines that it printed
// before it was ready.
func (s *stage) spawn(role string, environment []string) (*process, []string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	complaints, err := os.OpenFile(filepath.Join(s.dir, role+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = complaints.Close() }()
	command := exec.Command(self)
	command.Env = append(append(os.Environ(), environment...), roleVariable+"="+role)
	command.Stderr = complaints
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := command.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the %s: %w", role, err)
	}
	p := &process{command: command, exited: make(chan error, 1)}
	var lines []string
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		if scanner.Text() == readyLine {
			go func() {
				_, _ = io.Copy(io.Discard, out)
				p.exited <- command.Wait()
			}()
			return p, lines, nil
		}
		if s.out != nil && strings.HasPrefix(scanner.Text(), meanwhile) {
			fmt.Fprintln(s.out, scanner.Text())
			continue
		}
		lines = append(lines, scanner.Text())
	}
	said, _ := os.ReadFile(complaints.Name())
	return nil, nil, fmt.Errorf("the %s ended before it was ready (%s): %w", role, said, errors.Join(command.Wait(), errEnded))
}

func (p *process) pid() int {
	if p == nil {
		return 0
	}
	return p.command.Process.Pid
}

// stop ends a role in its own time, which a worker needs for its calls.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(25 * time.Second):
		return p.command.Process.Kill()
	}
}

// raise starts everything.
func raise(ctx context.Context, profile string) (*stage, error) {
	dir, err := os.MkdirTemp("", "trueup-bench")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, consoles: map[order.System]string{}, prefix: fmt.Sprintf("b%d", time.Now().Unix()%1_000_000)}
	if err := s.start(ctx, profile); err != nil {
		return nil, errors.Join(err, s.strike())
	}
	return s, nil
}

func (s *stage) start(ctx context.Context, profile string) error {
	binary, err := engine.Binary(ctx)
	if err != nil {
		return err
	}
	if s.engine, err = engine.Start(ctx, binary, engine.Options{Dir: s.dir, UIPort: -1}); err != nil {
		return err
	}
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	if s.client, err = s.engine.Dial(quiet); err != nil {
		return fmt.Errorf("connect to the engine: %w", err)
	}
	s.port = &starters.Temporal{Client: s.client}
	s.orders = &starters.Client{Engine: s.port, Now: time.Now}
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	var lines []string
	s.systems, lines, err = s.spawn(roleSystems, []string{dirVariable + "=" + s.dir, webhooksVariable + "=http://" + listen})
	if err != nil {
		return err
	}
	environment := []string{"TEMPORAL_ADDRESS=" + s.engine.Frontend, "TRUEUP_GATEWAY_LISTEN=" + listen, "TRUEUP_LOG_LEVEL=warn", profileVariable + "=" + profile}
	for _, line := range lines {
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, consolePrefix) {
			s.consoles[order.System(strings.ToLower(strings.TrimPrefix(name, consolePrefix)))] = value
			continue
		}
		environment = append(environment, line)
	}
	if s.worker, _, err = s.spawn(roleWorker, environment); err != nil {
		return err
	}
	s.gateway, _, err = s.spawn(roleGateway, environment)
	return err
}

// strike stops everything, and removes what was written.
func (s *stage) strike() error {
	problems := []error{s.gateway.stop(), s.worker.stop(), s.systems.stop()}
	if s.client != nil {
		s.client.Close()
	}
	if s.engine != nil {
		problems = append(problems, s.engine.Stop())
	}
	if errors.Join(problems...) == nil {
		return os.RemoveAll(s.dir)
	}
	return fmt.Errorf("stop the stage: %w; its files are in %s", errors.Join(problems...), s.dir)
}

// enginePID reads which process the engine is from the file in which it says
// where it listens.
func (s *stage) enginePID() int {
	var address struct {
		PID int `json:"pid"`
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "engine-address.json"))
	if err != nil || json.Unmarshal(data, &address) != nil {
		return 0
	}
	return address.PID
}

// freeAddress finds a port for the gateway, whose address the systems need
// before it can start.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
