package workers

import (
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/reconcile"
)

func TestMoment_AsRFC3339_OrNone(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 3, 2, 9, 0, 0, 0, time.FixedZone("", 3600))
	var m Moment
	if err := m.UnmarshalText([]byte("2026-03-02T09:00:00+01:00")); err != nil || !m.Equal(want) {
		t.Errorf("read %s, %v; want %s", m, err, want)
	}
	if err := m.UnmarshalText(nil); err != nil || !m.IsZero() {
		t.Errorf("nothing was read as %s, %v", m, err)
	}
	for _, text := range []string{"2026-03-02", "yesterday", "2026-03-02T09:00:00"} {
		if err := m.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q was read: %v", text, err)
		}
	}
}

func TestConfig_Thresholds(t *testing.T) {
	t.Parallel()
	if got := (Config{}).thresholds(); got != reconcile.DefaultThresholds() {
		t.Errorf("unset they are %+v", got)
	}
	if got := (Config{IncidentOrders: 3, IncidentPercent: 4, IncidentMost: 5}).thresholds(); got != (reconcile.Thresholds{Orders: 3, Percent: 4, Most: 5}) {
		t.Errorf("set they are %+v", got)
	}
	good := Config{Retention: 1, FollowEvery: 1, Linger: 1, Parallel: 1, SweepShard: 1, IncidentOrders: 1, IncidentPercent: 100, IncidentMost: 1}
	if err := good.validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []func(*Config){
		func(c *Config) { c.IncidentOrders = 0 }, func(c *Config) { c.IncidentMost = 0 }, func(c *Config) { c.IncidentPercent = 0 }, func(c *Config) { c.IncidentPercent = 101 },
	} {
		c := good
		bad(&c)
		if err := c.validate(); err == nil || !strings.Contains(err.Error(), "TRUEUP_INCIDENT_") {
			t.Errorf("%+v passed: %v", c, err)
		}
	}
}
