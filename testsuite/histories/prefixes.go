package histories

import (
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
)

// Prefixes replays a history up to each of its workflow tasks, for a worker may
// die after any of them, and the next one begins from what the history has by
// then. It returns how many there were.
func Prefixes(replayer worker.WorkflowReplayer, logger log.Logger, h *historypb.History) (int, error) {
	n := 0
	for i, e := range h.Events {
		if e.EventType != enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED || i < 3 {
			continue
		}
		n++
		upTo := &historypb.History{Events: h.Events[:i+1]}
		err := replayer.ReplayWorkflowHistory(logger, upTo)
		if err != nil && strings.Contains(err.Error(), "deadlock") { // nobody gave it a core for a second
			err = replayer.ReplayWorkflowHistory(logger, upTo)
		}
		if err != nil {
			return n, fmt.Errorf("up to event %d: %w", e.EventId, err)
		}
	}
	return n, nil
}
