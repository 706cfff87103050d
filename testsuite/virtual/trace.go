package virtual

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Line is one thing that happened in a world.
type Line struct {
	Age       time.Duration // of the world
	Kind      string        // step, request, effect, edit, notification, start, continue, close, signal, update, crash, down
	System    order.System
	Operation order.Operation
	Order     order.ID
	Key       string
	Record    string
	Amount    int64
	Status    int
	Fault     simulator.FaultKind
	Detail    string
}

// String writes the line as traces are compared and shown.
func (l Line) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", l.Age, l.Kind)
	if l.System != "" {
		fmt.Fprintf(&b, " %s.%s", l.System, l.Operation)
	}
	for _, field := range []struct{ name, value string }{
		{"order", string(l.Order)}, {"key", l.Key}, {"record", l.Record}, {"fault", string(l.Fault)},
	} {
		if field.value != "" {
			b.WriteString(" " + field.name + "=" + field.value)
		}
	}
	if l.Amount != 0 {
		fmt.Fprintf(&b, " amount=%d", l.Amount)
	}
	if l.System != "" && l.Kind == string(simulator.EntryRequest) {
		fmt.Fprintf(&b, " status=%d", l.Status)
	}
	if l.Detail != "" {
		b.WriteString(" " + l.Detail)
	}
	return b.String()
}

// trace is all that happened, in order.
type trace struct {
	world *World
	mu    sync.Mutex
	lines []Line
}

func (t *trace) add(l Line) {
	l.Age = t.world.Age()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, l)
}

func (t *trace) workflow(kind, id, detail string) {
	t.add(Line{Kind: kind, Detail: strings.TrimSpace(id + " " + detail)})
}

func (t *trace) closed(id string, err error) {
	detail := ""
	if err != nil {
		detail = err.Error()
	}
	t.workflow("close", id, detail)
}

func (t *trace) message(kind, id string, m starters.Message) {
	t.workflow(kind, id, strings.TrimSpace(m.Name+" "+m.ID))
}

// Trace returns what happened so far, by what the six systems wrote into their
// ledgers and what the engine was told. In a bubble the same seed gives the same
// trace, to the byte.
func (w *World) Trace() []Line {
	w.trace.mu.Lock()
	defer w.trace.mu.Unlock()
	return append([]Line(nil), w.trace.lines...)
}

// Wrote implements simulator.Witness.
func (w *World) Wrote(system order.System, e simulator.Entry) {
	w.trace.add(Line{
		Kind: string(e.Kind), System: system, Operation: e.Operation, Order: e.Order, Key: e.Key, Record: e.Record,
		Amount: e.Amount, Status: e.Status, Fault: e.Fault, Detail: e.Detail,
	})
}
