package workers

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/reconcile"
)

func TestConfig_PlantedBreaks(t *testing.T) {
	t.Parallel()
	good := Config{Retention: time.Hour, FollowEvery: time.Second, Linger: time.Second, Parallel: 1, SweepShard: 1, IncidentOrders: 1, IncidentPercent: 1, IncidentMost: 1}
	for name, tt := range map[string]struct {
		order string
		every time.Duration
		good  bool
	}{
		"none":          {"", time.Hour, true},
		"each hour":     {"canary-1", time.Hour, true},
		"off":           {"canary-1", 0, true},
		"too often":     {"canary-1", time.Minute, false},
		"negative":      {"canary-1", -time.Hour, false},
		"no order's id": {"a/b", time.Hour, false},
	} {
		c := good
		c.CanaryOrder, c.PlantEvery = tt.order, tt.every
		if err := c.validate(); (err == nil) != tt.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	policy := reconcile.Default()
	policy.CoolDown = 2 * time.Hour
	c := good
	c.CanaryOrder, c.PlantEvery = "canary-1", time.Hour
	if c.plantable(reconcile.Default()) != nil || c.plantable(policy) == nil {
		t.Error("a cool-down longer than the interval is not refused, or a shorter one is")
	}
	c.MetricsListen = "9464"
	if c.validate() == nil {
		t.Error("metrics are served on no address")
	}
}
