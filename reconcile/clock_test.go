package reconcile

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for want, b := range map[string]Break{
		"never agreed → first seen 2026-01-02T12:00:00Z": {FirstSeen: noon},
		"last agreed 2026-01-02T11:00:00Z → first seen 2026-01-02T12:00:00Z (+60 min) → confirmed 2026-01-02T12:00:05Z (+5 s) → " +
			"owned 2026-01-02T12:00:05Z (+0 s) → repaired 2026-01-02T12:00:07Z (+2 s) → verified 2026-01-02T15:00:07Z (+3 h)": {
			LastAgreed: noon.Add(-time.Hour), FirstSeen: noon, Confirmed: noon.Add(5 * time.Second), Owned: noon.Add(5 * time.Second),
			Repaired: noon.Add(7 * time.Second), Verified: noon.Add(3*time.Hour + 7*time.Second),
		},
		// Nobody has it, and it is over all the same.
		"last agreed 2026-01-02T11:00:00Z → first seen 2026-01-02T12:00:00Z (+60 min) → verified 2026-01-02T12:10:00Z (+10 min)": {
			LastAgreed: noon.Add(-time.Hour), FirstSeen: noon, Verified: noon.Add(10 * time.Minute),
		},
	} {
		if got := b.Clock(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if d, bounded := b.Detection(); bounded == b.LastAgreed.IsZero() || bounded && d != time.Hour {
			t.Errorf("%s: unseen for %s (%v)", want, d, bounded)
		}
	}
}
