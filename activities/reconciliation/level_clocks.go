package reconciliation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/reconcile"
)

// The clocks of levels (D12). A level belongs to no order that could keep them, so
// reconciliation does, from run to run: see workflows/level_clocks.go.

// MovingLevel is a level that no run could compare since a moment, for as many pieces
// as differ were on their way.
type MovingLevel struct {
	SKU   string    `json:"sku"`
	Since time.Time `json:"since"`
}

// SetLevel is a level that runs have set because inventory said Was.
type SetLevel struct {
	SKU string      `json:"sku"`
	Was string      `json:"was"`
	At  []time.Time `json:"at"`
	// Agrees is since when each run that looked has found it right.
	Agrees time.Time `json:"agrees,omitzero"`
}

// MostRedone repairs of one place are made within a day.
const MostRedone = 3

// foughtOver says why a level that inventory says again is not set once more, or
// nothing: it was put back to the very value from which a run had set it (D9).
func (a *Activities) foughtOver(status Status, b reconcile.Break) string {
	n := slices.IndexFunc(status.Set, func(s SetLevel) bool { return s.SKU == b.Item && s.Was == b.Observed })
	if n < 0 {
		return ""
	}
	times := slices.DeleteFunc(slices.Clone(status.Set[n].At), func(at time.Time) bool { return a.Now().Sub(at) >= Day })
	if len(times) == 0 || len(times) < MostRedone && a.Now().Sub(times[len(times)-1]) >= a.Policy.CoolDown {
		return ""
	}
	return fmt.Sprintf("not set: it was set %s within a day, last at %s, and is %s again: somebody else writes it; stop them, and runs set it once it has agreed for %s or says something else",
		timesOf(len(times)), times[len(times)-1].UTC().Format(time.RFC3339), b.Observed, a.Policy.CoolDown)
}

func timesOf(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// LevelOf returns what is known of a level that differs, and whether it does.
func (s Status) LevelOf(sku string) (reconcile.Break, bool) {
	n, found := slices.BinarySearchFunc(s.Levels, sku, func(b reconcile.Break, sku string) int { return strings.Compare(b.Item, sku) })
	if !found {
		return reconcile.Break{}, false
	}
	return s.Levels[n], true
}

// watched are the SKUs that every run compares: those that are watched, and those
// whose level differs or could not be compared, until it is right again.
func (s Status) watched() []string {
	all := slices.Clone(s.SKUs)
	for _, b := range s.Levels {
		all = append(all, b.Item)
	}
	for _, m := range s.Moving {
		all = append(all, m.SKU)
	}
	return all
}

// MovingSince returns since when no run could compare a level; zero when the latest
// that looked could.
func (s Status) MovingSince(sku string) time.Time {
	for _, m := range s.Moving {
		if m.SKU == sku {
			return m.Since
		}
	}
	return time.Time{}
}

// waited says which of the levels in motion could not be compared for longer than
// they may differ unseen: their goods explain a difference, and may hide another.
func (a *Activities) waited(status Status, moving []string) []string {
	var lines []string
	within := a.Policy.Rule(reconcile.InventoryLevel).NoticeWithin
	for _, sku := range slices.Sorted(slices.Values(moving)) {
		if began := status.MovingSince(sku); !began.IsZero() && a.Now().Sub(began) > within {
			lines = append(lines, fmt.Sprintf("stock %s could not be compared since %s, which is longer than its notice_within of %s: as many pieces as differ are on their way",
				sku, since(began, a.Now()), within))
		}
	}
	return lines
}

// since writes a moment and how long ago it is.
func since(at, now time.Time) string {
	return fmt.Sprintf("%s (%s)", at.UTC().Format(time.RFC3339), now.Sub(at).Round(time.Second))
}

// withConfirmed puts the levels that were read again in the place of what the run
// saw first, and sorts them by SKU.
func withConfirmed(seen, again []reconcile.Break) []reconcile.Break {
	all := slices.Clone(again)
	for _, b := range seen {
		if !slices.ContainsFunc(again, func(other reconcile.Break) bool { return other.Item == b.Item }) {
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(x, y reconcile.Break) int { return strings.Compare(x.Item, y.Item) })
	return all
}

// LevelState says where a level that differs stands.
func LevelState(b reconcile.Break) string {
	switch {
	case !b.Repaired.IsZero():
		return "set, to be verified"
	case !b.Confirmed.IsZero():
		return "confirmed"
	}
	return "to be confirmed"
}

// mostLevelLines are shown in the engine's UI.
const mostLevelLines = 10

// LevelLines tell of the levels that differ, the oldest first.
func (s Status) LevelLines(now time.Time) []string {
	var lines []string
	for _, b := range s.OldestLevels() {
		lines = append(lines, fmt.Sprintf("stock %s: %s says %s and should say %s by the %s, since %s; %s", b.Item, b.System, b.Observed, b.Expected, b.Right, since(b.FirstSeen, now), LevelState(b)))
	}
	return lines
}

// OldestLevels are the levels that differ, the oldest first.
func (s Status) OldestLevels() []reconcile.Break {
	all := slices.Clone(s.Levels)
	slices.SortStableFunc(all, func(x, y reconcile.Break) int { return x.FirstSeen.Compare(y.FirstSeen) })
	return all
}
