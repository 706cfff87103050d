package main

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// Every plan that a campaign can draw is read from its name as it was.
func TestParsePlan_EveryFamily_TheSamePlan(t *testing.T) {
	all, err := scenarios("S-02")
	if err != nil {
		t.Fatal(err)
	}
	calls := plan{scenario: all[0], seed: 1}.play(nil).Calls
	one := singles(all[0], calls)
	plans := append([]plan{seeded(all[0], 7_000_003)}, one...)
	for _, single := range one[:1] {
		plans = append(plans, pairs(single, calls)...)
	}
	for i := range uint64(50) {
		plans = append(plans, callbacks(all[0], calls, rand.New(rand.NewPCG(i, 3))))
	}
	for _, p := range plans {
		got, err := parsePlan(p.String())
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != p.String() || len(got.blows) != len(p.blows) || len(got.events) != len(p.events) || got.seed != p.seed {
			t.Fatalf("%s was read as %s", p, got)
		}
		for i := range p.blows {
			if got.blows[i] != p.blows[i] {
				t.Fatalf("%s: fault %d was read as %+v, want %+v", p, i+1, got.blows[i], p.blows[i])
			}
		}
		for i := range p.events {
			if *got.events[i].At != *p.events[i].At || got.events[i].Do != p.events[i].Do {
				t.Fatalf("%s: notification %d was read as %+v, want %+v", p, i+1, got.events[i], p.events[i])
			}
		}
	}
	t.Logf("%d plans", len(plans))
}

func TestParsePlan_NotAPlan_Refused(t *testing.T) {
	for name, want := range map[string]string{
		"S-99":                                "there is no scenario",
		"":                                    "begins with its scenario",
		"S-01, lost at payment.capture O1 #1": "a fault is one of",
		"S-01, response_lost at bank.capture O1 #1":           "SYSTEM.OPERATION",
		"S-01, response_lost at payment.capture O1 1":         "from #1",
		"S-01, response_lost at payment.capture O1 #0":        "from #1",
		"S-01, response_lost at payment.capture":              "a call is SYSTEM.OPERATION",
		"S-01, response_lost":                                 "it is no fault",
		"S-01, seed x":                                        "invalid syntax",
		"S-01, 2 x payment.refunded at 5m":                    "a notification is one of",
		"S-01, 2 x payment.captured at five":                  "invalid duration",
		"S-01, x x payment.captured at 5m":                    "invalid syntax",
		"S-01, response_lost at payment.capture O1 #1, twice": "it is no fault",
	} {
		if _, err := parsePlan(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", name, err, want)
		}
	}
}

// A pair is played again by its name, and tells its story; a call that never
// comes is said.
func TestRun_Again_OnePlan(t *testing.T) {
	var out bytes.Buffer
	name := "S-04, worker_dies_after at erp.prepare #1, worker_dies_before at erp.prepare #2"
	if code := run([]string{"-again", name}, &out); code != 0 || !strings.Contains(out.String(), "==== "+name+"\n") || !strings.Contains(out.String(), "passed") {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	out.Reset()
	if code := run([]string{"-again", "S-02, refused at payment.capture O1 #1"}, &out); code != 1 || !strings.Contains(out.String(), "VIOLATION not exercised: line 0: refused at payment.capture O1 #1") {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	out.Reset()
	if code := run([]string{"-again", "S-99"}, &out); code != 2 || !strings.Contains(out.String(), `there is no scenario "S-99"`) {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
}
