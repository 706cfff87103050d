// Package command is the trueup program: it submits orders, asks for verdicts,
// changes and cancels them, decides cases, reconciles, and works the switches,
// from a terminal or a script.
//
// Its exit codes are a contract; see the Exit constants and trueup help.
package command

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/connect"
)

// The exit codes. Those from 10 are the verdict's alone, so that a script can
// ask "did the order succeed?" and read nothing. A run that is partial is never
// reported as clean.
const (
	ExitOK          = 0  // done; verdict: succeeded
	ExitError       = 1  // anything else went wrong
	ExitUsage       = 2  // the command was not understood
	ExitUnknown     = 3  // no order is known under this id
	ExitRefused     = 4  // refused: not valid, another order has this id, not in this phase, or declined
	ExitUnreachable = 5  // the engine, or the workers behind it, do not answer
	ExitInProgress  = 10 // verdict: in_progress; cancel, return and their kin: not answered yet
	ExitCancelled   = 11 // verdict: cancelled
	ExitFailed      = 12 // verdict: failed
	ExitInDoubt     = 13 // verdict: in_doubt
	ExitNotAgreed   = 20 // verdict --require-agreement: succeeded, but the systems do not agree
	ExitPartial     = 21 // reconcile, sweep: a system could not be read
	ExitStale       = 22 // status --max-age: the last good run, or the last planted break that was found, is older
)

// World is what the program touches.
type World struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Now            func() time.Time
	// Engine connects to the engine, when a command needs it, and returns how to
	// disconnect.
	Engine func(ctx context.Context) (starters.Engine, func(), error)
}

// usageError says that the command was not understood.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, a ...any) error { return &usageError{fmt.Sprintf(format, a...)} }

// one is a command: set declares its flags and returns what runs it with the
// other arguments.
type one struct {
	name, arguments, does string
	set                   func(f *flag.FlagSet) func(c *call, args []string) (int, error)
}

func commands() []one {
	all := []one{
		{"submit", "FILE|-", "hand an order over; the same again gets the same answer", submit},
		{"verdict", "ORDER", "did the order succeed, and do the systems agree?", verdict},
		{"cancel", "ORDER --by NAME --reason TEXT", "take an order back, if the warehouse has not packed it", cancel},
	}
	all = append(all, wishes()...)
	return append(all, []one{
		{"cases", "[ORDER...] [--system S] [--due 4h]", "what waits for a person to decide, with the evidence; without ORDER the list lags a little behind", cases},
		{"orders", "[--breaks]", "list orders, or the breaks of those on which systems disagree; the list lags a little behind", orders},
		{"reconcile", "[ORDER...]", "compare what all systems believe, now, and repair what may be repaired", reconcileNow},
		{"sweep", "DAY", "compare every order of a sealed day, as 2006-01-02, in every system, and repair what may be repaired", sweep},
		{"inbox", "[--all]", "records that no order claims; decide what waits for a person", inbox},
		{"status", "", "switches, budgets, incidents, cursors, verified-through, the days that were swept and the latest runs", status},
		{"switch", "off|on [SYSTEM|FIELD[.SITUATION]] --by NAME --reason TEXT", "stop repairs of a system, of a kind, or of all; or end the stop", turn},
		{"groups", "[--all]", "what many orders have at once: one case for all of them", groups},
		{"group", "decide N --as repair|leave [--evidence TOKEN] --by NAME --reason TEXT", "decide such a case: repair a few first, or leave it; trueup groups prints the command", group},
		{"policy", "[print [FILE]|check FILE]", "print a policy as a table (without FILE the built-in one), or check one", policy},
	}...)
}

// call is one run of a command.
type call struct {
	World
	ctx        context.Context
	disconnect func()
	connected  *starters.Client
}

// client connects to the engine, once.
func (c *call) client() (*starters.Client, error) {
	if c.connected != nil {
		return c.connected, nil
	}
	engine, disconnect, err := c.Engine(c.ctx)
	if err != nil {
		return nil, err
	}
	c.disconnect = disconnect
	c.connected = &starters.Client{Engine: engine, Now: c.Now}
	return c.connected, nil
}

// within bounds how long an answer is waited for.
func (c *call) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, d)
}

func (c *call) print(format string, a ...any) { _, _ = fmt.Fprintf(c.Stdout, format, a...) }

// Run runs the program with its arguments, without its name, and returns the
// exit code.
func Run(ctx context.Context, args []string, w World) int {
	if len(args) == 0 {
		_, _ = io.WriteString(w.Stderr, help())
		return ExitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return explain(args[1:], w)
	}
	for _, command := range commands() {
		if command.name == args[0] {
			return command.run(ctx, args[1:], w)
		}
	}
	_, _ = fmt.Fprintf(w.Stderr, "trueup: there is no command %q; trueup help lists them\n", args[0])
	return ExitUsage
}

func (o one) run(ctx context.Context, args []string, w World) int {
	flags := flag.NewFlagSet(o.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	do := o.set(flags)
	c := &call{World: w, ctx: ctx, disconnect: func() {}}
	rest, err := interspersed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(w.Stdout, o.help())
		return ExitOK
	}
	code := ExitUsage
	if err == nil {
		code, err = do(c, rest)
		c.disconnect()
	} else {
		err = usage("%v", err)
	}
	if err != nil {
		return say(w.Stderr, o, err)
	}
	return code
}

// interspersed parses flags that stand before, between or after the other
// arguments; after "--" there are no more.
func interspersed(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		before := len(args)
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		left := flags.Args()
		if ended := len(left) < before && args[before-len(left)-1] == "--"; ended || len(left) == 0 {
			return append(rest, left...), nil
		}
		rest = append(rest, left[0])
		args = left[1:]
	}
}

// say prints an error and returns its exit code.
func say(w io.Writer, o one, err error) int {
	code := CodeOf(err)
	if invalid, ok := errors.AsType[*order.InvalidError](err); ok {
		_, _ = fmt.Fprintln(w, "trueup: the order is not valid; nothing was started:")
		for _, p := range invalid.Problems {
			_, _ = fmt.Fprintf(w, "  %s %s\n", p.Field, p.Reason)
		}
		return code
	}
	if errors.Is(err, starters.ErrNotAnswered) { // whether it is durable depends on what was asked
		_, _ = fmt.Fprintf(w, "trueup %s: no worker answered in time; is one running? Ask again\n", o.name)
		return code
	}
	_, _ = fmt.Fprintf(w, "trueup %s: %v\n", o.name, err)
	if code == ExitUnknown {
		_, _ = fmt.Fprintf(w, "%s: trueup submit FILE\n", starters.IfForgotten)
	}
	if code == ExitUsage {
		_, _ = fmt.Fprintf(w, "usage: trueup %s %s\n", o.name, o.arguments)
	}
	return code
}

// CodeOf returns the exit code of an error.
func CodeOf(err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return ExitUsage
	}
	if _, ok := errors.AsType[*order.InvalidError](err); ok {
		return ExitRefused
	}
	if _, ok := errors.AsType[*reconcile.PolicyError](err); ok {
		return ExitRefused
	}
	switch {
	case errors.Is(err, starters.ErrUnknownOrder):
		return ExitUnknown
	case errors.Is(err, starters.ErrAnotherOrder), errors.Is(err, starters.ErrNotNow), errors.Is(err, starters.ErrNotValid),
		errors.Is(err, errTooLarge):
		return ExitRefused
	case errors.Is(err, context.Canceled): // by Ctrl-C
		return ExitError
	case starters.Unreachable(err):
		return ExitUnreachable
	}
	return ExitError
}

func explain(args []string, w World) int {
	if len(args) == 0 {
		_, _ = io.WriteString(w.Stdout, help())
		return ExitOK
	}
	for _, o := range commands() {
		if o.name == args[0] {
			_, _ = io.WriteString(w.Stdout, o.help())
			return ExitOK
		}
	}
	_, _ = fmt.Fprintf(w.Stderr, "trueup: there is no command %q; trueup help lists them\n", args[0])
	return ExitUsage
}

func (o one) help() string {
	var b bytes.Buffer
	_, _ = fmt.Fprintf(&b, "trueup %s\n\n%s\n", strings.TrimSpace(o.name+" "+o.arguments), o.does)
	flags := flag.NewFlagSet(o.name, flag.ContinueOnError)
	o.set(flags)
	some := false
	flags.VisitAll(func(*flag.Flag) { some = true })
	if some {
		b.WriteByte('\n')
		flags.SetOutput(&b)
		flags.PrintDefaults()
	}
	return b.String()
}

func help() string {
	var b strings.Builder
	b.WriteString("trueup: orders that stay true across systems that disagree\n\n")
	for _, o := range append(commands(), one{name: "help", arguments: "[COMMAND]", does: "this, or a command's flags"}) {
		fmt.Fprintf(&b, "  %s\n      %s\n", strings.TrimSpace("trueup "+o.name+" "+o.arguments), o.does)
	}
	b.WriteString(`
exit codes
   0  done; verdict: the order succeeded
   1  something else went wrong
   2  the command was not understood
   3  no order is known under this id
   4  refused: not valid, another order has this id, not in this phase, or declined
   5  the engine, or the workers behind it, do not answer
  10  verdict: in progress; cancel, return and their kin: not answered yet
  11  verdict: cancelled
  12  verdict: failed
  13  verdict: in doubt
  20  verdict --require-agreement: succeeded, but the systems do not agree
  21  reconcile, sweep: a system could not be read, so nothing was verified
  22  status --max-age: the last good run, or the last planted break that was found, is older

The engine is found by TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and its kin, or by a
profile of temporal.toml (TEMPORAL_PROFILE); it is 127.0.0.1:7233 by default.
TRUEUP_LOG_LEVEL and TRUEUP_LOG_FORMAT (text, json) set the log on stderr.
`)
	return b.String()
}

// Temporal connects to the engine that the environment names: the World's
// Engine of the real program.
func Temporal(ctx context.Context) (starters.Engine, func(), error) {
	var settings struct {
		Log struct {
			Level  string `default:"error"` // errors are said in the program's own words
			Format string
		}
	}
	if err := envconfig.Process("TRUEUP", &settings); err != nil {
		return nil, nil, fmt.Errorf("read the settings from the environment: %w", err)
	}
	_, log, err := connect.Logger(settings.Log.Level, settings.Log.Format)
	if err != nil {
		return nil, nil, fmt.Errorf("TRUEUP_LOG_LEVEL, TRUEUP_LOG_FORMAT: %w", err)
	}
	engine, err := connect.Engine(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	port, err := starters.OnTemporal(engine)
	if err != nil {
		engine.Close()
		return nil, nil, err
	}
	return port, engine.Close, nil
}
