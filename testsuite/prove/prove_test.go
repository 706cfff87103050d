package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/play"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// A few of the single faults of all scenarios; `make prove` plays all.
func TestRun_SomeSingleFaults_NoViolation(t *testing.T) {
	var out bytes.Buffer
	if code := run([]string{"-every", "400", "-seed", "3"}, &out); code != 0 {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	if !strings.Contains(out.String(), "violations: 0") || strings.Contains(out.String(), "single faults: 0 of") {
		t.Errorf("nothing was played:\n%s", out.String())
	}
	t.Log(out.String())
}

// A campaign that finds nothing proves nothing: a story whose expectation is
// wrong must be a violation, told with what it takes to play it again.
func TestCampaign_EndsOtherwise_Violation(t *testing.T) {
	all, err := scenarios("S-02")
	if err != nil {
		t.Fatal(err)
	}
	wrong := *all[0]
	wrong.Expect.Orders = []script.OrderEnd{{Order: "O1", Outcome: []string{"succeeded"}}}
	var out bytes.Buffer
	c := campaign{out: &out, parallel: 1, seed: 1, every: 1, scenarios: []*script.File{&wrong}}
	if err := c.run(); err != nil {
		t.Fatal(err)
	}
	if !c.failed() || !strings.Contains(out.String(), "VIOLATION undisturbed: S-02: O1: outcome: failed; want succeeded") {
		t.Errorf("told:\n%s", out.String())
	}
}

// A blow whose call never comes makes the plan fail.
func TestPlan_BlowNeverStruck_NotExercised(t *testing.T) {
	all, err := scenarios("S-02")
	if err != nil {
		t.Fatal(err)
	}
	r := plan{scenario: all[0], seed: 1, blows: []play.Blow{{
		Call: play.Call{System: order.SystemPayment, Operation: order.Capture, Order: "O1", N: 1}, Kind: simulator.Refused,
	}}}.play(nil)
	if len(r.Wrong) != 1 || !strings.Contains(r.Wrong[0], "not exercised") {
		t.Errorf("%q", r.Wrong)
	}
}

// The same pair is played in the same order of things each time, also one whose
// second call only the first fault caused.
func TestPairs_OfACallThatTheFirstFaultCaused_Struck(t *testing.T) {
	all, err := scenarios("S-02")
	if err != nil {
		t.Fatal(err)
	}
	undisturbed := plan{scenario: all[0], seed: 1}.play(nil)
	single := plan{scenario: all[0], seed: 1, blows: []play.Blow{{
		Call: play.Call{System: order.SystemInventory, Operation: order.Reserve, Order: "O1", N: 1}, Kind: simulator.ResponseLost,
	}}}
	first := single.play(nil)
	found := pairs(single, first.Calls)
	if len(found) < 100 || len(first.Calls) <= len(undisturbed.Calls) {
		t.Fatalf("%d pairs of %d calls; undisturbed there are %d", len(found), len(first.Calls), len(undisturbed.Calls))
	}
	for _, p := range []plan{found[0], found[len(found)/2]} {
		if r := p.play(nil); !r.Passed() {
			t.Errorf("%s: %q", p, r.Wrong)
		}
	}
}

// Two deaths at one operation strike the calls that they name: the second is the
// last of its kind in this story, and nobody would notice it one call later.
func TestPlan_TwoDeathsAtOneOperation_BothStruck(t *testing.T) {
	all, err := scenarios("S-04")
	if err != nil {
		t.Fatal(err)
	}
	prepare := func(n int) play.Call { return play.Call{System: order.SystemERP, Operation: "prepare", N: n} }
	for _, second := range []simulator.FaultKind{play.DiesBefore, play.DiesAfter} {
		one := plan{scenario: all[0], seed: 1, blows: []play.Blow{
			{Call: prepare(1), Kind: play.DiesAfter}, {Call: prepare(2), Kind: second},
		}}
		if r := one.play(nil); !r.Passed() {
			t.Errorf("%s: %q", one, r.Wrong)
		}
	}
}

func TestState_GoesOnWhereItStopped_AndBeginsAnewForOtherPairs(t *testing.T) {
	var out bytes.Buffer
	c := campaign{out: &out, seed: 7, statePath: filepath.Join(t.TempDir(), "state.json")}
	if err := c.save(state{Seed: 7, Total: 100, Done: 40}); err != nil {
		t.Fatal(err)
	}
	if s, err := c.load(100); err != nil || s.Done != 40 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := c.load(101); err != nil || s.Done != 0 || !strings.Contains(out.String(), "begins anew") {
		t.Errorf("%+v, %v, %q", s, err, out.String())
	}
	if err := os.WriteFile(c.statePath, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.load(100); err == nil {
		t.Error("a broken file was read")
	}
}

// What once was wrong stays right: an order's workflow that went round in circles
// when a renewal held less than was asked for, one that never heard that nothing
// was held any more, a record that vanished when it was changed, a sign-in that
// hung in the poll of a feed.
func TestPlan_OnceWrong_Right(t *testing.T) {
	for of, blow := range map[string]play.Blow{
		"S-04 authorize": {Call: play.Call{System: order.SystemPayment, Operation: order.Authorize, Order: "O1", N: 2}, Kind: simulator.Partial},
		"S-02":           {Call: play.Call{System: order.SystemPayment, Operation: "lookup", Order: "O1", N: 2}, Kind: simulator.Stale, Delay: time.Hour},
		"S-10":           {Call: play.Call{System: order.SystemWarehouse, Operation: order.UpdateAddress, Order: "O1", N: 1}, Kind: simulator.Vanishes},
		"S-04 login":     {Call: play.Call{System: order.SystemInventory, Operation: "login", N: 2}, Kind: simulator.Late, Delay: 20 * time.Second},
	} {
		all, err := scenarios(of[:4])
		if err != nil {
			t.Fatal(err)
		}
		one := plan{scenario: all[0], seed: 1, blows: []play.Blow{blow}}
		if r := one.play(nil); !r.Passed() {
			t.Errorf("%s: %q", one, r.Wrong)
		}
	}
}
