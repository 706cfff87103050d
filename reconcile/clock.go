package reconcile

import (
	"time"
)

// The clock of a break (D12), as a person reads it.

// Clock tells when the break was last agreed on, first seen, confirmed, owned,
// repaired and verified, as far as it has come, each with the time since the
// stage before.
func (b Break) Clock() string {
	stages := []struct {
		name string
		at   time.Time
	}{
		{"last agreed", b.LastAgreed}, {"first seen", b.FirstSeen}, {"confirmed", b.Confirmed},
		{"owned", b.Owned}, {"repaired", b.Repaired}, {"verified", b.Verified},
	}
	text, before := "", time.Time{}
	for _, s := range stages {
		switch {
		case s.at.IsZero() && s.name == "last agreed":
			text = "never agreed"
			continue
		case s.at.IsZero():
			continue
		case text != "":
			text += " → "
		}
		text += s.name + " " + s.at.UTC().Format(time.RFC3339)
		if !before.IsZero() {
			text += " (+" + age(s.at.Sub(before)) + ")"
		}
		before = s.at
	}
	return text
}

// Detection is how long the break went unseen at most: from when both last
// agreed until it was first seen. False when they never did, for then nothing
// bounds it.
func (b Break) Detection() (time.Duration, bool) {
	return max(0, b.FirstSeen.Sub(b.LastAgreed)), !b.LastAgreed.IsZero()
}

// shownMended is how many breaks that are over a table tells of: the latest.
const shownMended = 5

// clocks writes the clocks of the open breaks, and of the latest that are over.
func (v Verdict) clocks(line func(string)) {
	if len(v.Breaks)+len(v.Mended) > 0 {
		line("")
	}
	for _, b := range v.Breaks {
		wrap(line, "  ", b.ID()+": "+b.Clock())
	}
	for _, b := range v.Mended[max(0, len(v.Mended)-shownMended):] {
		wrap(line, "  ", "over: "+b.ID()+": "+b.Clock())
	}
}
