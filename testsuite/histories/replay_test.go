package histories

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

func TestReplay_RecordedHistories(t *testing.T) {
	t.Parallel()
	// Settings are read from the history, so that other ones today change nothing.
	flows, err := workflows.New(workflows.Settings{Policy: reconcile.Default(), FollowEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there is no recorded history; record them with the end-to-end tests' -record")
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflowWithOptions(flows.Order, workflow.RegisterOptions{Name: workflows.OrderType})
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Error(err)
			}
		})
	}
}

// A replay that accepts everything proves nothing: a history whose activity has
// another name must be refused.
func TestReplay_ChangedHistory_Refused(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("declined.json")
	if err != nil {
		t.Fatal(err)
	}
	h, err := client.HistoryFromJSON(bytes.NewReader(bytes.ReplaceAll(data, []byte("AuthorizePayment"), []byte("RefundPayment"))), client.HistoryJSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	flows, err := workflows.New(workflows.Settings{Policy: reconcile.Default(), FollowEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(flows.Order, workflow.RegisterOptions{Name: workflows.OrderType})
	if replayer.ReplayWorkflowHistory(nil, h) == nil {
		t.Error("a history with another activity was replayed without complaint")
	}
}

// A worker may die after any workflow task, and the next one begins from what
// the history has by then: each recorded history is replayed up to each of its
// workflow tasks.
func TestReplay_EveryPrefix(t *testing.T) {
	t.Parallel()
	flows, err := workflows.New(workflows.Settings{Policy: reconcile.Default(), FollowEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) { // one after the other: a starved replay looks like a deadlock to the SDK
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h, err := client.HistoryFromJSON(bytes.NewReader(data), client.HistoryJSONOptions{})
			if err != nil {
				t.Fatal(err)
			}
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflowWithOptions(flows.Order, workflow.RegisterOptions{Name: workflows.OrderType})
			prefixes, err := Prefixes(replayer, nil, h)
			if err != nil {
				t.Fatal(err)
			}
			if prefixes < 2 {
				t.Errorf("%d prefixes of %d events were replayed", prefixes, len(h.Events))
			}
		})
	}
}
