package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/play"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// again plays one plan as a campaign named it, and tells its story. It says
// whether nothing was wrong.
func again(out io.Writer, name string) (passed bool, err error) {
	p, err := parsePlan(name)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "==== %s\n", p)
	r := p.play(out)
	for _, wrong := range r.Wrong {
		fmt.Fprintf(out, "VIOLATION %s\n", wrong)
	}
	if r.Passed() {
		fmt.Fprintln(out, "passed: no law broken, and the end is the scenario's")
	}
	return r.Passed(), nil
}

// parsePlan reads a plan as String writes it: its scenario, then its faults,
// notifications and seed.
func parsePlan(name string) (plan, error) {
	parts := strings.Split(name, ", ")
	id := strings.TrimSpace(parts[0])
	if id == "" {
		return plan{}, fmt.Errorf("read plan %q: it begins with its scenario, as S-01", name)
	}
	all, err := scenarios(id)
	if err != nil {
		return plan{}, fmt.Errorf("read plan %q: %w", name, err)
	}
	p := plan{scenario: all[0], seed: 1}
	for _, part := range parts[1:] {
		if err := p.add(part); err != nil {
			return plan{}, fmt.Errorf("read plan %q: %q: %w", name, part, err)
		}
	}
	return p, nil
}

// add reads one part of a plan into it.
func (p *plan) add(part string) error {
	what, where, placed := strings.Cut(strings.TrimSpace(part), " at ")
	words := strings.Fields(what)
	switch {
	case !placed && len(words) == 2 && words[0] == "seed":
		seed, err := strconv.ParseUint(words[1], 10, 64)
		p.seed = seed
		return err
	case placed && len(words) == 3 && words[1] == "x":
		return p.addEvent(words[0], words[2], where)
	case placed && len(words) == 1:
		return p.addBlow(simulator.FaultKind(words[0]), strings.Fields(where))
	}
	return fmt.Errorf("it is no fault (KIND at SYSTEM.OPERATION [ORDER] #N), no notification (COPIES x TYPE at AGE) and no seed (seed N)")
}

func (p *plan) addEvent(copies, kind, age string) error {
	n, err := strconv.Atoi(copies)
	if err != nil {
		return err
	}
	at, err := time.ParseDuration(age)
	if err != nil {
		return err
	}
	if !slices.Contains(notices, kind) {
		return fmt.Errorf("a notification is one of %v", notices)
	}
	p.events = append(p.events, script.Step{At: &at, Do: script.Event{From: order.SystemPayment, Type: kind, Order: "O1", Copies: n}})
	return nil
}

func (p *plan) addBlow(kind simulator.FaultKind, where []string) error {
	if !slices.Contains(ofWrites, kind) && !slices.Contains(ofReads, kind) {
		return fmt.Errorf("a fault is one of %v and, of reads, %v", ofWrites, ofReads)
	}
	if len(where) < 2 || len(where) > 3 {
		return fmt.Errorf("a call is SYSTEM.OPERATION [ORDER] #N")
	}
	system, operation, err := simulator.ParseOn(where[0])
	if err != nil {
		return err
	}
	number, numbered := strings.CutPrefix(where[len(where)-1], "#")
	n, err := strconv.Atoi(number)
	if err != nil || !numbered || n < 1 {
		return fmt.Errorf("which call it is begins with #, from #1")
	}
	c := play.Call{System: system, Operation: operation, N: n}
	if len(where) == 3 {
		c.Order = order.ID(where[1])
	}
	p.blows = append(p.blows, play.Blow{Call: c, Kind: kind, Delay: delay(kind)})
	return nil
}
