package starters

import (
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"

	"github.com/trueup-orders/trueup/starters/connect"
)

// Unreachable says whether an error means that the engine or its workers
// did not answer in time: ask again later, nothing is known to be wrong.
func Unreachable(err error) bool {
	var unavailable *serviceerror.Unavailable
	var late *serviceerror.DeadlineExceeded
	var exhausted *serviceerror.ResourceExhausted
	var canceled *serviceerror.Canceled
	var noWorker *serviceerror.FailedPrecondition // of a query, when nobody polls
	var notReady *serviceerror.WorkflowNotReady   // its first task was not worked on yet
	return errors.As(err, &unavailable) || errors.As(err, &late) || errors.As(err, &exhausted) || errors.As(err, &canceled) ||
		errors.As(err, &noWorker) || errors.As(err, &notReady) ||
		errors.Is(err, ErrNotAnswered) || errors.Is(err, errRunsAgain) || errors.Is(err, connect.ErrUnreachable) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
