package virtual

import (
	"testing"

	"go.temporal.io/sdk/workflow"
)

// Whoever waited for a run and comes late reads what became of it, and not of the run that
// has taken its place meanwhile.
func TestOutcome_OfARunWhosePlaceIsTaken(t *testing.T) {
	t.Parallel()
	w := Open(t, Options{Stock: map[string]int{"MUG": 1}})
	e := w.engine
	info := &workflow.Info{WorkflowExecution: workflow.Execution{ID: "sweep/1"}}
	e.began(info)
	waiting := e.run("sweep/1")
	e.mu.Lock()
	e.runs["sweep/1"].result = []byte(`"first"`)
	close(e.runs["sweep/1"].closed)
	e.mu.Unlock()
	e.began(info)
	if !waiting.isClosed() || string(waiting.result) != `"first"` {
		t.Fatalf("it reads %q", waiting.result)
	}
	if next := e.run("sweep/1"); next.isClosed() || next.result != nil {
		t.Fatalf("the run in its place is closed with %q", next.result)
	}
}
