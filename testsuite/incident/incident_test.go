package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trueup-orders/trueup/testsuite/live"
)

func TestMain(m *testing.M) {
	live.Worker()
	os.Exit(m.Run())
}

// played runs the command.
func played(args ...string) (code int, out, problems string) {
	var o, p bytes.Buffer
	code = run(args, &o, &p)
	return code, o.String(), p.String()
}

// All of them, and with -short a sample: `make incidents` plays the rest.
func TestRun_Testdata_AllPass(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	if testing.Short() {
		n := 0
		files = slices.DeleteFunc(files, func(f string) bool {
			n++
			return !strings.HasPrefix(filepath.Base(f), "P-") && n%6 != 0
		})
	}
	code, out, problems := played(files...)
	if code != 0 {
		t.Errorf("exit code %d\n%s%s", code, out, problems)
	}
}

// A sample of all files, with what the virtual world knows least: processes that
// die, listeners that are closed, webhooks, several things at one moment.
func TestIncidents_OnTheRealEngine(t *testing.T) {
	if os.Getenv("TRUEUP_TEST_ENGINE") == "" || testing.Short() {
		t.Skip("needs the embedded engine: TRUEUP_TEST_ENGINE names its binary")
	}
	var files []string
	for _, id := range sample {
		files = append(files, filepath.Join("testdata", id+".yaml"))
	}
	code, out, problems := played(append([]string{"-engine", "real"}, files...)...)
	if code != 0 || !strings.HasSuffix(out, fmt.Sprintf("%d passed, 0 failed, 0 skipped\n", len(files))) {
		t.Errorf("exit code %d\n%s%s", code, out, problems)
	}
}

// sample is what is played on the real engine with the other tests; the command
// plays the rest.
var sample = []string{"P-02", "P-03", "P-04", "P-05", "P-07", "I-02", "I-09"}

// write writes an incident file.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "story.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun_SameSeed_SameStory(t *testing.T) {
	_, first, _ := played("-v", "-seed", "7", "testdata/P-02.yaml")
	_, second, _ := played("-v", "-seed", "7", "testdata/P-02.yaml")
	if first != second || !strings.Contains(first, "response_lost") {
		t.Errorf("the same seed told two stories:\n%s\n%s", first, second)
	}
}

func TestRun_EndsOtherwise_FailsAndSaysWhat(t *testing.T) {
	path := write(t, "id: X\ntitle: It pays twice\nsteps:\n- submit: O1\nexpect:\n  O1: {payment: {captured: 19960}}\n")
	code, out, _ := played(path)
	if code != 1 || !strings.HasPrefix(out, "FAIL X It pays twice; O1: payment.captured: 9980; want 19960") || !strings.HasSuffix(out, "0 passed, 1 failed\n") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// What a story sets up and nobody meets proves nothing.
func TestRun_NotExercised_Fails(t *testing.T) {
	for what, step := range map[string]string{
		"fault":    "fault: {on: payment.refund, kind: refused}",
		"crash":    "crash: {worker: before, on: payment.refund}",
		"event":    "event: {from: payment, type: refund.succeeded, order: O1}",
		"decision": "decide: {order: O1, case: 1, as: accept, by: anna}",
	} {
		path := write(t, "id: X\ntitle: Nothing of it happens\nsteps:\n- submit: O1\n- "+step+"\nquiet: 1h\nexpect:\n  O1: {outcome: succeeded}\n")
		if code, out, problems := played(path); code != 1 || !strings.Contains(out, "not exercised: line 5: ") {
			t.Errorf("%s: exit code %d: %s%s", what, code, out, problems)
		}
	}
}

func TestRun_NotInTheFormat_RefusedWithTheLine(t *testing.T) {
	path := write(t, "id: X\ntitle: A slip of the pen\nsteps:\n- sumbit: O1\nexpect: {}\n")
	code, out, problems := played(path)
	if code != 2 || out != "" || !strings.Contains(problems, "story.yaml:4: ") {
		t.Errorf("exit code %d: %s%s", code, out, problems)
	}
	if code, _, problems := played(); code != 2 || !strings.Contains(problems, "usage: incident") {
		t.Errorf("without files exit code %d: %s", code, problems)
	}
}

// A policy that its own reader refuses is a slip of the pen in this file.
func TestRun_PolicyRefused_WithTheLine(t *testing.T) {
	path := write(t, "id: X\ntitle: T\nworld:\n  policy:\n    mode: auto\n    fields:\n      crm.nope: {mode: auto}\n      erp.sale:\n        mode: autoo\nsteps:\n- submit: O1\nexpect: {O1: {outcome: succeeded}}\n")
	code, out, problems := played(path)
	if code != 2 || out != "" || !strings.Contains(problems, path+":7: policy: ") || !strings.Contains(problems, path+":9: policy: ") {
		t.Errorf("exit code %d: %s%s", code, out, problems)
	}
}
