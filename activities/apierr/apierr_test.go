package apierr_test

import (
	"errors"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// A system says how long to wait, and an absurd answer parks no order.
func TestToEngine_RetryAfter_NoLongerThanMaxWait(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]time.Duration{
		0: 0, 7 * time.Second: 7 * time.Second, apierr.MaxWait: apierr.MaxWait, 24 * time.Hour: apierr.MaxWait,
	} {
		err := apierr.ToEngine("read the books", &apierr.Error{Code: apierr.RateLimited, After: after, Err: errors.New("HTTP 429")})
		e, ok := errors.AsType[*temporal.ApplicationError](err)
		if !ok || e.NonRetryable() || e.NextRetryDelay() != want {
			t.Errorf("asked to wait %s: %v; want it tried again after %s", after, err, want)
		}
	}
}
