package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	schema "go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

// asEngine makes the test program behave as the engine, so that the tests have a real process to signal and kill
// without a second link of the whole server.
const asEngine = "ENGINE_TEST_AS_ENGINE"

func TestMain(m *testing.M) {
	if os.Getenv(asEngine) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

var (
	outcome     = temporal.NewSearchAttributeKeyKeyword("OrderOutcome")
	agreement   = temporal.NewSearchAttributeKeyKeyword("OrderAgreement")
	breaks      = temporal.NewSearchAttributeKeyKeywordList("OrderBreaks")
	oldestBreak = temporal.NewSearchAttributeKeyTime("OrderOldestBreak")
	changed     = temporal.NewSearchAttributeKeyTime("OrderChanged")
)

// process is a running engine.
type process struct {
	*exec.Cmd
	addresses
	stdout, stderr bytes.Buffer
	ended          chan struct{} // closed when it has
}

func command(arguments ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], arguments...)
	c.Env = append(os.Environ(), asEngine+"=1")
	return c
}

// launch starts an engine on free ports and returns when it says that it is ready.
func launch(t *testing.T, arguments ...string) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "addresses.json")
	p := &process{ended: make(chan struct{}), Cmd: command(append(arguments, "--port", "0", "--ui-port", "0", "--address-file", file)...)}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
	})
	deadline := time.Now().Add(startTimeout)
	for {
		text, err := os.ReadFile(file)
		if err == nil {
			if err := json.Unmarshal(text, &p.addresses); err != nil {
				t.Fatalf("address file %q: %v", text, err)
			}
			return p
		}
		select {
		case <-p.ended:
			t.Fatalf("ended instead of getting ready: %s", p.stderr.String())
		case <-time.After(10 * time.Millisecond):
			if time.Now().After(deadline) {
				t.Fatalf("not ready after %s", startTimeout)
			}
		}
	}
}

// end sends the signal and returns the exit code.
func (p *process) end(t *testing.T, signal os.Signal) int {
	t.Helper()
	started := time.Now()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
	return p.ProcessState.ExitCode()
}

func dial(t *testing.T, p *process) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: p.Frontend, Namespace: p.Namespace})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start begins a workflow that needs every search attribute.
func start(t *testing.T, c client.Client, id string) {
	t.Helper()
	now := time.Now()
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID:        id,
		TaskQueue: "orders",
		TypedSearchAttributes: temporal.NewSearchAttributes(outcome.ValueSet("in_progress"), agreement.ValueSet("agreed"),
			breaks.ValueSet([]string{"erp.invoice.missing", "crm.deal.differs"}), oldestBreak.ValueSet(now), changed.ValueSet(now)),
	}, order)
	if err != nil {
		t.Fatalf("starting workflow %s with search attributes: %v", id, err)
	}
}

// order upserts as Trueup's workflows do: that goes through the history service, which keeps its own copy of the
// namespace.
func order(ctx workflow.Context) error {
	return workflow.UpsertTypedSearchAttributes(ctx, outcome.ValueSet("succeeded"), breaks.ValueSet([]string{"mail.receipt.missing"}))
}

// runOrders lets a worker bring the started workflows to their end.
func runOrders(t *testing.T, c client.Client, ids ...string) {
	t.Helper()
	w := worker.New(c, "orders", worker.Options{})
	w.RegisterWorkflow(order)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for _, id := range ids {
		if err := c.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil); err != nil {
			t.Fatalf("workflow %s: %v", id, err)
		}
	}
}

// waitForCount waits for visibility, which follows a moment later.
func waitForCount(t *testing.T, c client.Client, query string, want int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		answer, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
		if err == nil && answer.Count == want {
			return
		}
		if err != nil || ctx.Err() != nil {
			t.Fatalf("counting %q: got %v, %v; want %d", query, answer, err, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestStateSurvives starts orders on one engine, kills it, starts more on the next, stops that one cleanly and
// finds them all on the third.
func TestStateSurvives(t *testing.T) {
	db := filepath.Join(t.TempDir(), "with % and #", "engine.db")
	p := launch(t, "--db", db)
	c := dial(t, p)
	start(t, c, "order/1")
	c.Close()
	p.end(t, syscall.SIGKILL)

	p = launch(t, "--db", db)
	c = dial(t, p)
	start(t, c, "order/2")
	runOrders(t, c, "order/1", "order/2")
	waitForCount(t, c, `OrderOutcome = "succeeded" AND OrderAgreement = "agreed" AND OrderBreaks = "mail.receipt.missing"`, 2)
	c.Close()
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Fatalf("SIGTERM: exit code %d, want 0; stderr: %s", code, p.stderr.String())
	}
	if lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n"); len(lines) != 2 ||
		!strings.Contains(lines[0], p.Frontend) || !strings.Contains(lines[1], p.UI) {
		t.Errorf("stdout is %q, want a line with %s and one with %s", lines, p.Frontend, p.UI)
	}
	if p.stderr.Len() > 0 {
		t.Errorf("stderr is not empty: %s", p.stderr.String())
	}

	p = launch(t, "--db", db)
	c = dial(t, p)
	defer c.Close()
	description, err := c.DescribeWorkflow(t.Context(), "order/1", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := description.TypedSearchAttributes.GetKeyword(outcome); got != "succeeded" {
		t.Errorf("OrderOutcome after restart is %q, want succeeded", got)
	}
	waitForCount(t, c, `OrderBreaks = "mail.receipt.missing" AND OrderChanged > "2020-01-01T00:00:00Z"`, 2)
	if code := p.end(t, os.Interrupt); code != 0 {
		t.Errorf("SIGINT: exit code %d, want 0", code)
	}
}

// TestOlderDatabase opens a file whose namespace was made without search attributes: they must be usable at once,
// and the retention must change only when that is asked for.
func TestOlderDatabase(t *testing.T) {
	db := filepath.Join(t.TempDir(), "engine.db")
	older, err := openDatabase(t.Context(), db, false)
	if err != nil {
		t.Fatal(err)
	}
	namespace, err := schema.NewNamespaceConfig(clusterName, "default", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	namespace.Detail.Config.Retention = durationpb.New(72 * time.Hour)
	if err := schema.CreateNamespaces(older.config, namespace); err != nil {
		t.Fatal(err)
	}
	if err := older.close(); err != nil {
		t.Fatal(err)
	}
	for _, run := range []struct {
		arguments []string
		retention string
	}{
		{[]string{"--db", db}, `"259200s"`},
		{[]string{"--db", db, "--retention", "48h"}, `"172800s"`},
		{[]string{"--db", db}, `"172800s"`},
	} {
		p := launch(t, run.arguments...)
		c := dial(t, p)
		start(t, c, fmt.Sprint("order/", p.PID))
		if got := fetch(t, p.UI+"/api/v1/namespaces/default"); !strings.Contains(got, run.retention) {
			t.Errorf("%v: want retention %s in %s", run.arguments, run.retention, got)
		}
		c.Close()
		if code := p.end(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
}

// TestUI asks for the page, for a script that it names, and for data that comes from the frontend.
func TestUI(t *testing.T) {
	p := launch(t, "--namespace", "shop")
	if p.Namespace != "shop" {
		t.Errorf("namespace is %q, want shop", p.Namespace)
	}
	page := fetch(t, p.UI+"/")
	_, rest, found := strings.Cut(page, `"/_app/`)
	script, _, _ := strings.Cut(rest, `"`)
	if !found || !strings.Contains(fetch(t, p.UI+"/_app/"+script), "import") {
		t.Errorf("the UI's page names no script that is served: %.400s", page)
	}
	namespace := fetch(t, p.UI+"/api/v1/namespaces/shop")
	for _, want := range []string{"OrderOutcome", "OrderAgreement", "OrderBreaks", "OrderOldestBreak", "OrderChanged", "2592000s"} {
		if !strings.Contains(namespace, want) {
			t.Errorf("the namespace lacks %s: %s", want, namespace)
		}
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	return string(body)
}

// TestRefusals starts engines that cannot run: each must say in one line what is wrong and what to do.
func TestRefusals(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	shared := filepath.Join(folder, "shared.db")
	launch(t, "--headless", "--db", shared)

	cases := map[string]struct {
		arguments []string
		want      string
	}{
		"port in use":     {[]string{"--port", taken}, "--port"},
		"UI port in use":  {[]string{"--port", "0", "--ui-port", taken}, "--ui-port"},
		"no such address": {[]string{"--ip", "192.0.2.1"}, "--ip"},
		"not an address":  {[]string{"--ip", "localhost"}, "127.0.0.1"},
		"unknown flag":    {[]string{"--prot", "1"}, "--help"},
		"stray argument":  {[]string{"start"}, "--help"},
		"bad level":       {[]string{"--log-level", "loud"}, "warn"},
		"short retention": {[]string{"--retention", "1m"}, "1h"},
		"db is a folder":  {[]string{"--db", folder}, "--db"},
		"db below a file": {[]string{"--db", filepath.Join(text, "engine.db")}, "--db"},
		"db is no db":     {[]string{"--db", text}, "--db"},
		"db in use":       {[]string{"--db", shared, "--port", "0", "--headless"}, "another engine"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			engine := command(c.arguments...)
			var stderr bytes.Buffer
			engine.Stderr = &stderr
			err := engine.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit code 1", err)
			}
			message := strings.TrimSuffix(stderr.String(), "\n")
			if !strings.Contains(message, c.want) || strings.Contains(message, "\n") {
				t.Errorf("says %q, want one line with %q", message, c.want)
			}
		})
	}
}

// TestWithOrderAttributes covers databases that an engine did not make, or that have attributes of their own.
func TestWithOrderAttributes(t *testing.T) {
	existing := map[string]string{"Keyword01": "Mine", "Keyword03": "OrderOutcome", "Datetime01": "Theirs"}
	got, err := withOrderAttributes(existing)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Keyword01": "Mine", "Keyword02": "OrderAgreement", "Keyword03": "OrderOutcome",
		"KeywordList01": "OrderBreaks", "Datetime01": "Theirs", "Datetime02": "OrderOldestBreak", "Datetime03": "OrderChanged"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if again, err := withOrderAttributes(got); err != nil || fmt.Sprint(again) != fmt.Sprint(got) {
		t.Errorf("the second time: got %v, %v, want no change", again, err)
	}
	if _, err := withOrderAttributes(map[string]string{"Int01": "OrderOutcome"}); err == nil {
		t.Error("an OrderOutcome of another type was accepted")
	}
}

// TestSettingsFromEnvironment checks that a flag wins over the environment.
func TestSettingsFromEnvironment(t *testing.T) {
	environment := map[string]string{"TRUEUP_ENGINE_UI_PORT": "9000", "TRUEUP_ENGINE_DB": "from-env", "TRUEUP_ENGINE_HEADLESS": "false"}
	lookup := func(name string) (string, bool) { value, found := environment[name]; return value, found }
	set, err := readSettings([]string{"--db", "from-flag"}, lookup, io.Discard)
	if err != nil || set.uiPort != 9000 || set.db != "from-flag" {
		t.Errorf("got %+v, %v", set, err)
	}
	environment["TRUEUP_ENGINE_UI_PORT"] = "many"
	if _, err := readSettings(nil, lookup, io.Discard); err == nil || !strings.Contains(err.Error(), "TRUEUP_ENGINE_UI_PORT") {
		t.Errorf("a bad value in the environment: got %v", err)
	}
}
