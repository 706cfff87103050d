package command_test

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/command"
	"github.com/trueup-orders/trueup/starters/internal/memory"
)

// The dead-man's switch for cron: what is older than it may be is an exit code.
func TestStatus_MaxAge(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	canary := func(c reconciliation.Canary) *reconciliation.Canary {
		c.Order, c.Every, c.Since = "canary-1", time.Hour, ago(100*time.Hour)
		return &c
	}
	missed := &reconciliation.Planted{N: 7, Order: "canary-1", Meant: ago(40 * time.Minute), Made: ago(40 * time.Minute), Due: ago(20 * time.Minute), Missed: ago(20 * time.Minute)}
	for name, tt := range map[string]struct {
		status reconciliation.Status
		want   int
		says   string
	}{
		"all is well":           {reconciliation.Status{LastGoodRun: ago(20 * time.Minute)}, command.ExitOK, "no canary order is named"},
		"an old run":            {reconciliation.Status{LastGoodRun: ago(31 * time.Minute)}, command.ExitStale, "no run was good for 31m0s"},
		"never a run":           {reconciliation.Status{Since: ago(time.Hour)}, command.ExitStale, "no run was good for 1h0m0s"},
		"a new installation":    {reconciliation.Status{Since: ago(5 * time.Minute)}, command.ExitOK, "never"},
		"found within the hour": {reconciliation.Status{LastGoodRun: noon, Canary: canary(reconciliation.Canary{LastFound: ago(80 * time.Minute)})}, command.ExitOK, "last found"},
		"found too long ago":    {reconciliation.Status{LastGoodRun: noon, Canary: canary(reconciliation.Canary{LastFound: ago(100 * time.Minute)})}, command.ExitStale, "no planted break was found for 1h40m0s"},
		"the last one missed":   {reconciliation.Status{LastGoodRun: noon, Canary: canary(reconciliation.Canary{LastFound: ago(65 * time.Minute), Last: missed, Missed: 1})}, command.ExitStale, "WAS NOT FOUND"},
		"none is planted": {reconciliation.Status{LastGoodRun: noon, Canary: canary(reconciliation.Canary{LastFound: ago(100 * time.Minute),
			Last: &reconciliation.Planted{N: 8, Over: noon, Why: "its mode is ask"}})}, command.ExitStale, "its mode is ask"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := &terminal{t: t, engine: &memory.Engine{Answer: func(string, starters.Message) (any, error) { return tt.status, nil }}}
			client := starters.Client{Engine: x.engine, Now: func() time.Time { return noon }}
			if err := client.EnsureReconciliation(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			x.run(tt.want, "", "status", "--max-age", "30m")
			x.says(tt.says)
			x.run(command.ExitOK, "", "status")
			x.run(command.ExitUsage, "", "status", "--max-age", "-1m")
		})
	}
}
