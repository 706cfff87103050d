// Command demo tells the product's story for real: it starts the embedded
// engine, the six simulated systems, one worker and the gateway as processes of
// their own, breaks things, and prints what the systems and the product say.
// Nothing that it prints is scripted: each value is read from a console's ledger
// or records, from the gateway's answers, or from the trueup program.
//
//	go run ./testsuite/demo [-seed N]
//
// With KEEP=0 in the environment it stops everything at the end; its exit code
// is not zero when the story did not come out right.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/engine"
)

// demo is one run of the story.
type demo struct {
	*printer
	root string // of the repository
	dir  string // where everything is kept
	seed uint64

	lock     *os.File
	children []*child
	worker   *child
	settings []string // of every child, as NAME=value
	fail     context.CancelCauseFunc
	desks    *desks
	ui       string

	expected int
	missed   []string
}

func main() {
	os.Exit(run())
}

func run() int {
	seed := flag.Uint64("seed", 0, "seed of the random faults; 0 takes a new one")
	flag.Parse()
	interrupted, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(interrupted, release)
	ctx, fail := context.WithCancelCause(interrupted)
	defer fail(nil)
	d := &demo{printer: newPrinter(os.Stdout), root: engine.Root(), seed: *seed, fail: fail}
	d.dir = filepath.Join(d.root, ".demo")
	if d.seed == 0 {
		d.seed = uint64(time.Now().UnixNano())%1_000_000 + 1
	}
	go d.followParent(ctx)
	defer d.stopAll()
	err := d.tell(ctx)
	switch {
	case interrupted.Err() != nil:
		d.line("\ninterrupted: everything is being stopped")
		return 130
	case err != nil:
		d.line("\n" + d.paint("31", "the demo could not go on: ") + explained(ctx, err))
		return 1
	}
	if os.Getenv("KEEP") != "0" {
		d.links()
		<-ctx.Done()
		d.line("")
		if died, ok := errors.AsType[*diedError](context.Cause(ctx)); ok {
			d.line(died.Error())
		}
	}
	if len(d.missed) > 0 {
		return 1
	}
	return 0
}

// explained prefers the reason for which everything was stopped, such as a
// program's death, to what came of it.
func explained(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause.Error()
	}
	return err.Error()
}

// followParent ends the demo when whoever started it is gone: go run does not
// hand a signal on, and nothing may be left behind.
func (d *demo) followParent(ctx context.Context) {
	parent := os.Getppid()
	for ctx.Err() == nil {
		if os.Getppid() != parent {
			d.fail(errors.New("the program that started the demo has ended"))
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// tell tells the whole story.
func (d *demo) tell(ctx context.Context) error {
	began := time.Now()
	if err := d.open(ctx); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{d.story, d.fleet} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	d.line("")
	if len(d.missed) == 0 {
		d.line(d.paint("32", fmt.Sprintf("the story came out right: %d of %d expectations hold, %s after the start",
			d.expected, d.expected, time.Since(began).Round(time.Second))))
		return nil
	}
	d.line(d.paint("31", fmt.Sprintf("the story did NOT come out right: %d of %d expectations do not hold:", len(d.missed), d.expected)))
	for _, m := range d.missed {
		d.says("", "- %s", m)
	}
	return nil
}

// expect checks one thing that must be so, and names it when it is not.
func (d *demo) expect(ok bool, format string, a ...any) {
	d.expected++
	if ok {
		return
	}
	text := fmt.Sprintf(format, a...)
	d.missed = append(d.missed, text)
	d.line(d.paint("31", "    NOT SO      "+text))
}

// alone makes sure that no other demo uses the same folder. The lock ends with
// this program, however it ends.
func (d *demo) alone() error {
	if err := os.MkdirAll(filepath.Join(d.root, ".build"), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(d.root, ".build", "demo.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another demo runs in %s; stop it first (%w)", d.root, err)
	}
	d.lock = lock
	return nil
}

// open starts everything.
func (d *demo) open(ctx context.Context) error {
	d.line("Trueup: orders that stay true across systems that disagree")
	if err := d.alone(); err != nil {
		return err
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("clear %s: %w", d.dir, err)
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	binary, err := engine.Binary(ctx)
	if err != nil {
		return err
	}
	if err := d.build(ctx); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	gateway := fmt.Sprintf("127.0.0.1:%d", port)
	if err := d.openEngine(ctx, binary); err != nil {
		return err
	}
	if err := d.openSystems(ctx, "http://"+gateway); err != nil {
		return err
	}
	if err := d.openWorker(ctx); err != nil {
		return err
	}
	if _, err := d.start("gateway", d.binary("gateway"), nil, "TRUEUP_GATEWAY_LISTEN="+gateway); err != nil {
		return err
	}
	ready, err := until(ctx, 30*time.Second, func() (bool, error) {
		status, err := d.desks.ask(ctx, "GET", "http://"+gateway+"/readyz", nil, nil)
		if err != nil || status != 200 {
			return false, nil
		}
		_, code, err := d.trueup(ctx, "status") // a worker answers it
		return code == 0, err
	})
	if err == nil && !ready {
		err = errors.New("gateway and worker were not ready in 30 s; see .demo/gateway.log and .demo/worker.log")
	}
	d.head("it runs on this machine: the engine, the six systems, a worker, the gateway")
	d.says("gateway", "http://%s", gateway)
	d.says("engine", "its UI is at %s", d.ui)
	d.says("systems", "%s, each with a ledger and a console", names(order.Systems()))
	return err
}

func (d *demo) openEngine(ctx context.Context, binary string) error {
	addresses := filepath.Join(d.dir, "engine-address.json")
	profile := filepath.Join(d.dir, "temporal.toml") // empty, so that no other is found
	if err := os.WriteFile(profile, nil, 0o600); err != nil {
		return err
	}
	_, err := d.start("engine", binary, []string{
		"--db", filepath.Join(d.dir, "engine.db"), "--port", "0", "--ui-port", "0", "--address-file", addresses,
	})
	if err != nil {
		return err
	}
	var at struct{ Frontend, UI string }
	ready, err := until(ctx, time.Minute, func() (bool, error) {
		data, err := os.ReadFile(addresses)
		return err == nil && json.Unmarshal(data, &at) == nil && at.Frontend != "", nil
	})
	if err == nil && !ready {
		err = errors.New("the engine was not ready in a minute; see .demo/engine.log")
	}
	d.ui = at.UI
	d.settings = append(d.settings, "TEMPORAL_ADDRESS="+at.Frontend, "TEMPORAL_CONFIG_FILE="+profile)
	return err
}

func (d *demo) openSystems(ctx context.Context, gateway string) error {
	file := filepath.Join(d.dir, "systems.env")
	o := articleOrder(time.Time{})
	_, err := d.start("systems", d.binary("systems"), []string{
		"-dir", filepath.Join(d.dir, "systems"), "-port", "0", "-webhooks", gateway, "-environment", file, "-pace", pace.String(),
		"-stock", fmt.Sprintf("MUG=%d,TSHIRT=%d,POSTER=%d", initialStock, initialStock, initialStock),
		"-cart", o.CartID + ":" + o.Customer.ID + ":" + o.Customer.Email,
	})
	if err != nil {
		return err
	}
	var environment []string
	ready, err := until(ctx, 20*time.Second, func() (bool, error) {
		data, err := os.ReadFile(file)
		environment = strings.Split(strings.TrimSpace(string(data)), "\n")
		return err == nil, nil
	})
	if err == nil && !ready {
		err = errors.New("the simulated systems were not ready in 20 s; see .demo/systems.log")
	}
	if err != nil {
		return err
	}
	d.settings = append(d.settings, environment...)
	d.desks, err = newDesks(gateway, environment)
	return err
}

func (d *demo) openWorker(context.Context) error {
	var err error
	d.worker, err = d.start("worker", d.binary("worker"), nil,
		"TRUEUP_POLICY="+filepath.Join(d.root, "testsuite", "demo", "policy.yaml"), "TRUEUP_RECONCILE_EVERY=0", "TRUEUP_FOLLOW_EVERY=1s",
		"TRUEUP_FRESH_FOR=100ms", "TRUEUP_LINGER=1h")
	return err
}

// links say where to look while everything goes on running.
func (d *demo) links() {
	d.head("everything goes on running until Ctrl-C")
	d.says("order", "%s/namespaces/default/workflows/order%%2F%s", d.ui, articleID)
	d.says("orders", "%s/namespaces/default/workflows", d.ui)
	d.says("gateway", "curl %s/v1/orders/%s/verdict?fresh=true", d.desks.gateway, articleID)
	for _, system := range order.Systems() {
		d.says(string(system), "%s/ledger?order=%s", d.desks.consoles[system], articleID)
	}
	d.says("trueup", "TEMPORAL_ADDRESS=%s .build/trueup orders", setting(d.settings, "TEMPORAL_ADDRESS"))
	d.says("logs", ".demo/*.log")
}

func consoleSetting(system order.System) string {
	return "TRUEUP_CONSOLE_" + strings.ToUpper(string(system))
}

// setting returns the value of NAME=value.
func setting(all []string, name string) string {
	for _, s := range all {
		if value, ok := strings.CutPrefix(s, name+"="); ok {
			return value
		}
	}
	return ""
}

func names[T ~string](all []T) string {
	var s []string
	for _, one := range all {
		s = append(s, string(one))
	}
	return strings.Join(s, ", ")
}
