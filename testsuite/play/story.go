package play

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// story tells what happens, as a person would.
type story struct {
	p    *player
	out  io.Writer
	mark map[order.System]int64 // how far the ledgers were told
	said map[order.ID]string    // the verdict that was told last
}

func newStory(out io.Writer, p *player) *story {
	s := &story{p: p, out: out, mark: map[order.System]int64{}, said: map[order.ID]string{}}
	if out != nil {
		s.line("%s  %s", p.file.ID, p.file.Title)
		if p.file.Source != "" {
			s.line("%s", p.file.Source)
		}
	}
	return s
}

func (s *story) line(format string, args ...any) {
	if s.out != nil {
		fmt.Fprintf(s.out, format+"\n", args...)
	}
}

// tell tells one thing that happened at an age.
func (s *story) tell(age time.Duration, format string, args ...any) {
	s.line("%10s    %s", ago(age), fmt.Sprintf(format, args...))
}

func (s *story) step(age time.Duration, step script.Step) {
	if s.out == nil {
		return
	}
	s.ledgers()
	said, _ := json.Marshal(step.Do)
	kind := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", step.Do), "script."))
	s.line("%10s  ▶ line %d: %s %s", ago(age), step.Line, kind, brief(said))
}

// brief leaves out of a step what says nothing.
func brief(step []byte) string {
	var fields map[string]any
	if json.Unmarshal(step, &fields) != nil {
		return ""
	}
	for name, v := range fields {
		switch v {
		case nil, "", 0.0, false:
			delete(fields, name)
		}
	}
	out, _ := json.Marshal(fields)
	return string(out)
}

// entry is a line of a system's ledger.
type entry struct {
	system order.System
	simulator.Entry
}

// news are the lines that the ledgers got since a mark, which is moved.
func (p *player) news(mark map[order.System]int64) []entry {
	var all []entry
	for _, system := range order.Systems() {
		fresh, err := p.world.Desk(system).Frame().Ledger(mark[system], "")
		if err != nil {
			p.stage.Errorf("read the ledger of %s: %v", system, err)
		}
		for _, e := range fresh {
			mark[system] = e.Seq
			all = append(all, entry{system, e})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.At.Compare(b.At) })
	return all
}

// ledgers tells what the systems wrote down: what changed something, and what
// went wrong. Reads that simply worked are left out.
func (s *story) ledgers() {
	if s.out == nil {
		return
	}
	for _, e := range s.p.news(s.mark) {
		if e.Kind == simulator.EntryRequest && e.Fault == "" {
			continue
		}
		text := fmt.Sprintf("%-9s %-12s %-10s", e.system, e.Kind, e.Operation)
		for _, part := range []string{string(e.Order), e.Key, e.Record, e.Detail} {
			if part != "" {
				text += " " + part
			}
		}
		if e.Amount != 0 {
			text += fmt.Sprintf(" %d", e.Amount)
		}
		if e.Status != 0 {
			text += fmt.Sprintf(" → %d", e.Status)
		}
		if e.Fault != "" {
			text += " fault: " + string(e.Fault)
		}
		s.line("%10s      %s", ago(s.p.world.AgeAt(e.At)), text)
	}
}

// verdicts tells the verdicts that have changed, from memory.
func (s *story) verdicts() {
	if s.out == nil {
		return
	}
	for _, of := range s.p.ids() {
		v, err := s.p.client.Verdict(s.p.world.Context(), of, false)
		if err != nil {
			continue
		}
		if now := fmt.Sprintf("%s is %s, %s: %s", of, v.Outcome, v.Agreement, v.Summary); s.said[of] != now {
			s.said[of] = now
			s.line("%10s  ● %s", ago(s.p.age()), now)
		}
	}
}

// end tells what every system holds, and the cases with their evidence.
func (s *story) end(_ context.Context) {
	if s.out == nil {
		return
	}
	for _, of := range s.p.ids() {
		s.line("\n%s in the end:", of)
		for _, system := range order.Systems() {
			state, err := s.p.world.Desk(system).State(of)
			if err != nil {
				state = err.Error()
			}
			data, _ := json.Marshal(state)
			s.line("  %-9s %s", system, data)
		}
		if v, err := s.p.client.Verdict(s.p.world.Context(), of, false); err == nil {
			s.line("%s", v.Table())
		}
		cases, _ := s.p.cases(of)
		for _, c := range cases {
			s.tellCase(c)
		}
	}
}

func (s *story) tellCase(c reconcile.Case) {
	state := "open"
	if !c.Open() {
		state = "closed: " + c.Outcome
	}
	s.line("  case %d (%s): %s %s: %s", c.N, state, c.Step.Break.Field, c.Step.Break.Situation, c.Step.Proposal)
	if c.Evidence == nil {
		return
	}
	s.line("    %s: expected %s, observed %s", c.Evidence.Question, c.Evidence.Expected, c.Evidence.Observed)
	for _, says := range c.Evidence.Says {
		s.line("    %-9s says %s", says.System, says.Value)
	}
	for _, o := range c.Evidence.Options {
		s.line("    %s: %s", o.As, o.Does)
	}
}
