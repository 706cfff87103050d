package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// envPrefix precedes a flag's name in the environment: --ui-port is TRUEUP_ENGINE_UI_PORT.
const envPrefix = "TRUEUP_ENGINE_"

// newNamespaceRetention is long because what passes out of retention is no longer known to reconciliation.
const newNamespaceRetention = 30 * 24 * time.Hour

var logLevels = []string{"debug", "info", "warn", "error"}

// settings is what the flags and the environment say.
type settings struct {
	db          string // empty: in memory
	durable     bool
	ip          string
	port        int // 0: a free one
	uiPort      int // 0: a free one, negative: no UI
	namespace   string
	retention   time.Duration // 0: leave an existing namespace as it is
	logLevel    string
	addressFile string
}

// readSettings reads the flags; a flag that is not given is taken from the environment.
func readSettings(args []string, env func(string) (string, bool), help io.Writer) (settings, error) {
	var set settings
	var headless bool
	flags := flag.NewFlagSet("engine", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is one line, printed by main
	flags.Usage = func() {
		flags.SetOutput(help)
		fmt.Fprintf(help, "engine runs the Temporal server and its UI in one program.\n\n"+
			"Every flag can also be set in the environment: --ui-port is %sUI_PORT.\n\n", envPrefix)
		flags.PrintDefaults()
	}
	flags.StringVar(&set.db, "db", "", "SQLite `file` that keeps the state, made if missing (default: in memory, lost at the end)")
	flags.BoolVar(&set.durable, "durable", false, "wait for the disk at every write: survives power loss, but slower")
	flags.StringVar(&set.ip, "ip", "127.0.0.1", "`address` to listen on; there is no authentication, so keep it on this machine")
	flags.IntVar(&set.port, "port", 7233, "port of the frontend, 0 picks a free one")
	flags.IntVar(&set.uiPort, "ui-port", 8233, "port of the UI, 0 picks a free one, -1 runs without UI")
	flags.BoolVar(&headless, "headless", false, "run without UI")
	flags.StringVar(&set.namespace, "namespace", "default", "namespace that is made if missing")
	flags.DurationVar(&set.retention, "retention", 0, "how long closed workflows are kept (default 720h0m0s for a new namespace, unchanged for an old one)")
	flags.StringVar(&set.logLevel, "log-level", "warn", strings.Join(logLevels, ", ")+"; logs go to stderr")
	flags.StringVar(&set.addressFile, "address-file", "", "`file` to write the addresses to, as JSON, once the engine is ready")
	if err := flags.Parse(args); err != nil {
		return settings{}, fmt.Errorf("reading the flags: %w; --help lists them", err)
	}
	if flags.NArg() > 0 {
		return settings{}, fmt.Errorf("reading the flags: unexpected argument %q; --help lists what is known", flags.Arg(0))
	}
	if err := fillFromEnvironment(flags, env); err != nil {
		return settings{}, err
	}
	if headless {
		set.uiPort = -1
	}
	return set, set.check()
}

// fillFromEnvironment sets the flags that the command line did not.
func fillFromEnvironment(flags *flag.FlagSet, env func(string) (string, bool)) error {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var failed error
	flags.VisitAll(func(f *flag.Flag) {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, found := env(name)
		if !found || given[f.Name] || failed != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			failed = fmt.Errorf("reading %s=%q from the environment: %w; --help lists what is allowed", name, value, err)
		}
	})
	return failed
}

func (s settings) check() error {
	switch {
	case net.ParseIP(s.ip) == nil:
		return fmt.Errorf("--ip %q is not an IP address; use 127.0.0.1, or the address of an interface", s.ip)
	case s.port < 0 || s.port > 65535:
		return fmt.Errorf("--port %d is not a port; use 0 (a free one) to 65535", s.port)
	case s.uiPort > 65535:
		return fmt.Errorf("--ui-port %d is not a port; use -1 (no UI), 0 (a free one) to 65535", s.uiPort)
	case s.port != 0 && s.port == s.uiPort:
		return fmt.Errorf("--port and --ui-port are both %d; give the UI a port of its own", s.port)
	case s.namespace == "":
		return fmt.Errorf("--namespace is empty; name one, for example default")
	case s.retention != 0 && s.retention < time.Hour:
		return fmt.Errorf("--retention %s is too short; Temporal keeps closed workflows for at least 1h", s.retention)
	case !slices.Contains(logLevels, s.logLevel):
		return fmt.Errorf("--log-level %q is unknown; use one of %s", s.logLevel, strings.Join(logLevels, ", "))
	}
	return nil
}
