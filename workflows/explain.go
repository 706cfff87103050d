package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// The whole story of an order, told from what it carries: what was asked and by
// whom, each operation with its key, what the systems announced, each break with
// its clock, and each case with its decision. It holds no personal data but the
// names of those who asked or decided.

// Explanation is the whole story of an order.
type Explanation struct {
	Verdict  reconcile.Verdict `json:"verdict"`
	PlacedAt time.Time         `json:"placed_at"`
	Channel  string            `json:"channel"`
	Total    order.Amount      `json:"total"`
	Runs     int               `json:"runs"` // of its workflow
	Adopted  bool              `json:"adopted,omitempty"`
	// Operations are our intents, in the order in which they were meant.
	Operations []Explained `json:"operations"`
	// Cases are all of them, with what became of those that are closed.
	Cases []reconcile.Case `json:"cases,omitempty"`
	// Story is what happened, the oldest first. Where Shortened is set it has gaps:
	// an order carries a bounded audit.
	Story     []Told `json:"story"`
	Shortened bool   `json:"shortened,omitempty"`
	// Tries are the calls that took more than one attempt, as far as the engine
	// still has the history.
	Tries []Tries `json:"tries,omitempty"`
}

// Explained is one operation, with what came of it.
type Explained struct {
	Operation
	Key string `json:"key"`
}

// Told is one line of an order's story.
type Told struct {
	At   time.Time `json:"at"`
	Kind ToldKind  `json:"kind"`
	What string    `json:"what"`
}

// ToldKind says what a line of the story is about. The set is closed.
type ToldKind string

// The kinds of lines.
const (
	ToldOrder     ToldKind = "order"     // what was asked, and how it went on
	ToldOperation ToldKind = "operation" // our doing in a system
	ToldNotice    ToldKind = "notice"    // what a system announced
	ToldBreak     ToldKind = "break"
	ToldCase      ToldKind = "case"
)

// rank orders what happened in one moment: what was asked comes first.
func (t Told) rank() int {
	if t.Kind == ToldOrder {
		return 0
	}
	return 1
}

// Tries is one call that took more than one attempt.
type Tries struct {
	Activity string    `json:"activity"` // as "erp.invoice/2"
	Attempts int       `json:"attempts"`
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended,omitzero"`
	Last     string    `json:"last,omitempty"` // failure
}

// Heard is an announcement that an order looked into.
type Heard struct {
	At     time.Time    `json:"at"`
	System order.System `json:"s"`
	Type   string       `json:"t,omitempty"` // the system's own word
	ID     string       `json:"id"`
}

// heardNotice remembers an announcement, unless it is the echo of what we do or
// know already.
func (s *State) heardNotice(now time.Time, n reconciliation.Notice) {
	const most = 12
	seen, written := s.observed(n.System).At, s.changed(n.System)
	if n.System != order.SystemPayment && (s.openIn(n.System) != nil || !n.At.After(seen) || !n.At.After(written)) {
		return
	}
	s.Heard = append(s.Heard, Heard{At: now, System: n.System, Type: n.Type, ID: n.ID})
	if len(s.Heard) > most {
		s.Heard = slices.Delete(s.Heard, 0, len(s.Heard)-most)
	}
}

// explain tells the story as of now. It changes nothing, for a query calls it.
func (p *process) explain(now time.Time) Explanation {
	e := Explanation{
		Verdict: p.verdict(now, false), PlacedAt: p.Order.PlacedAt, Channel: p.Order.Channel, Total: p.amount(p.Order.Total),
		Runs: p.Run, Adopted: p.Adopted, Cases: p.Cases, Operations: []Explained{},
		Shortened: len(p.Audit) >= mostAudit || len(p.Mended) >= mostMended,
	}
	t := &telling{}
	t.add(p.Order.PlacedAt, ToldOrder, fmt.Sprintf("placed through %s: %s, %s", p.Order.Channel, p.amount(p.Order.Total), pieces(p.Order.AllLines())))
	for _, op := range p.Operations {
		e.Operations = append(e.Operations, Explained{op, p.Key(op)})
		p.tellOperation(t, op)
	}
	for _, h := range p.Heard {
		t.add(h.At, ToldNotice, strings.TrimSpace(fmt.Sprintf("%s announced %s", h.System, cmp.Or(h.Type, "a change"))+" ("+h.ID+")"))
	}
	for _, b := range p.Mended {
		t.tellBreak(b)
	}
	for _, b := range p.Breaks {
		t.tellBreak(b)
	}
	for _, k := range p.Cases {
		p.tellCase(t, k)
	}
	p.tellAudit(t)
	slices.SortStableFunc(t.lines, func(a, b Told) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.rank(), b.rank())) })
	e.Story = t.lines
	return e
}

type telling struct {
	lines []Told
	// known are the beginnings of audit lines that are told better otherwise.
	known []string
}

func (t *telling) add(at time.Time, kind ToldKind, what string) {
	if !at.IsZero() {
		t.lines = append(t.lines, Told{at, kind, what})
	}
}

func (p *process) tellOperation(t *telling, op Operation) {
	key := p.Key(op)
	if op.Before {
		t.add(op.First, ToldOperation, fmt.Sprintf("%s %s was done before our memory begins, under %s", op.System, op.Operation, key))
		return
	}
	what := strings.TrimSuffix(p.summary(op), key)
	t.add(op.First, ToldOperation, strings.TrimSpace(fmt.Sprintf("%s %s %s", op.System, op.Operation, what))+", under "+key)
	if op.Status == Open || op.Ended.IsZero() {
		return
	}
	text := fmt.Sprintf("%s %s", key, op.Status)
	if op.Tries > 1 {
		text += fmt.Sprintf(" after %d tries", op.Tries)
	}
	if op.Record != "" {
		text += ": " + op.Record
	}
	if op.Code != "" && op.Status == Refused {
		text += " (" + op.Code + ")"
	}
	if op.Why != "" {
		text += ": " + op.Why
	}
	t.add(op.Ended, ToldOperation, text)
	t.known = append(t.known, auditAt(op.Ended, key+" "+string(op.Status)))
}

// tellBreak tells a break by its clock.
func (t *telling) tellBreak(b reconcile.Break) {
	agreed := "they never agreed before"
	if !b.LastAgreed.IsZero() {
		agreed = "they last agreed " + b.LastAgreed.UTC().Format(time.RFC3339)
	}
	t.add(b.FirstSeen, ToldBreak, fmt.Sprintf("%s first seen: %s says %q, expected is %q, and %s is right; %s", b.ID(), b.System, b.Observed, b.Expected, b.Right, agreed))
	t.add(b.Confirmed, ToldBreak, b.ID()+" confirmed: a second reading said the same")
	t.add(b.Owned, ToldBreak, b.ID()+" taken up")
	t.add(b.Repaired, ToldBreak, b.ID()+" put right")
	t.add(b.Verified, ToldBreak, fmt.Sprintf("%s over, by what was read; it was seen for %s", b.ID(), b.Verified.Sub(b.FirstSeen).Round(time.Second)))
	t.known = append(t.known, auditAt(b.Verified, b.ID()+" is over"))
}

func (p *process) tellCase(t *telling, k reconcile.Case) {
	text := fmt.Sprintf("case %d (%s) opened: %s", k.N, k.Step.Break.ID(), k.Step.Why)
	if k.Step.Break.Money != 0 {
		text += ", " + p.amount(k.Step.Break.Money).String() + " at risk"
	}
	if k.Step.Proposal != "" {
		text += "; proposal: " + k.Step.Proposal
	}
	t.add(k.Opened, ToldCase, text)
	t.add(k.Closed, ToldCase, fmt.Sprintf("case %d closed: %s", k.N, k.Outcome))
	t.known = append(t.known, auditAt(k.Opened, fmt.Sprintf("case %d opened", k.N)), auditAt(k.Closed, fmt.Sprintf("case %d closed", k.N)))
}

func auditAt(at time.Time, begins string) string {
	return at.UTC().Format(time.RFC3339Nano) + " " + begins
}

// tellAudit adds what was noted and is not told otherwise.
func (p *process) tellAudit(t *telling) {
	for _, entry := range p.Audit {
		line := auditAt(entry.At, entry.What)
		if slices.ContainsFunc(t.known, func(known string) bool { return strings.HasPrefix(line, known) }) {
			continue
		}
		kind := ToldOrder
		switch {
		case strings.HasPrefix(entry.What, "order/"):
			kind = ToldOperation
		case strings.HasPrefix(entry.What, "repair "), strings.HasPrefix(entry.What, "run "), strings.Contains(entry.What, " is over; "):
			kind = ToldBreak
		case strings.HasPrefix(entry.What, "case "):
			kind = ToldCase
		}
		t.add(entry.At, kind, entry.What)
	}
}
