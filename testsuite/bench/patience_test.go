package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
)

// failing fails so often, and then no more.
func failing(times int, with error) (do func(context.Context) error, calls *int) {
	calls = new(int)
	return func(context.Context) error {
		if *calls++; *calls <= times {
			return with
		}
		return nil
	}, calls
}

// A run of a million orders ended with the first page that took too long, after
// three quarters of an hour of loading.
func TestPatience_Failing_CallsAgainWhereThatMayHelp(t *testing.T) {
	t.Parallel()
	unavailable := apierr.New(apierr.Unavailable, "", errors.New("no answer"))
	for _, c := range []struct {
		name  string
		times int
		with  error
		calls int
		want  string
	}{
		{"not at all", 0, nil, 1, ""},
		{"once", 1, unavailable, 2, ""},
		{"as often as is tried but once", mostTries - 1, unavailable, mostTries, ""},
		{"lastingly", 100, unavailable, mostTries, "warehouse failed 5 times: no answer (unavailable)"},
		{"in a way that stays", 100, apierr.New(apierr.Invalid, "", errors.New("no such field")), 1, "warehouse: no such field (invalid)"},
	} {
		var waited time.Duration
		p := newPatience(func(_ context.Context, d time.Duration) error { waited += d; return nil })
		do, calls := failing(c.times, c.with)
		err := p.call(t.Context(), order.SystemWarehouse, do)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want || *calls != c.calls || p.counts()[order.SystemWarehouse] != c.calls-1 {
			t.Errorf("failing %s: %q after %d calls, %v; want %q after %d", c.name, got, *calls, p.counts(), c.want, c.calls)
		}
		if (waited > 0) != (c.calls > 1) {
			t.Errorf("failing %s: waited for %s", c.name, waited)
		}
	}
}

func TestPatience_TheRunIsEnded_CallsNoMore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := newPatience(func(context.Context, time.Duration) error { cancel(); return errors.New("the wait was ended") })
	do, calls := failing(100, apierr.New(apierr.Unavailable, "", errors.New("no answer")))
	if err := p.call(ctx, order.SystemMail, do); err == nil || !strings.Contains(err.Error(), "mail") || *calls != 1 {
		t.Errorf("%v after %d calls, want one and an error that names the system", err, *calls)
	}
}
