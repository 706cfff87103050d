package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/reconcile"
)

// The clocks of stock levels (D12). They belong to no order that could keep them:
// reconciliation keeps them from run to run, by what the runs report. A level is over
// when a run compares it and finds it right, whoever set it.

// agreedAt are the SKUs whose levels a run found right at a moment, and none since.
type agreedAt struct {
	At   time.Time `json:"at"`
	SKUs []string  `json:"skus"` // sorted
}

// levels takes in what a run saw of levels. What no run has compared since stays as
// it was: a level that could not be read is neither right nor over.
func (k *keeper) levels(r *reconciliation.RunReport, now time.Time) {
	if r.Stock.Ignored {
		k.Status.Levels, k.Status.Moving, k.Status.Set, k.Agreed = nil, nil, nil, nil
		return
	}
	if len(r.SKUs) == 0 || r.Stock.Found > len(r.Levels) || r.Stock.Moving > len(r.InMotion) {
		return // it compared none, or is of an older release, which does not say which differed
	}
	k.forgetLevels(r.Gone)
	more := 0
	k.set(r.Levels, now)
	for _, b := range r.Levels {
		if !k.levelDiffers(r, b) {
			more++
		}
	}
	if more > 0 {
		r.Lines = append(r.Lines, fmt.Sprintf("%d levels that differ have no clock yet: those of %d are kept, and no more", more, mostWatched))
	}
	if r.Only { // it knows what some orders have of a SKU, and not what all have
		return
	}
	k.levelsMove(*r, now)
	k.levelsAgree(r, levelsRight(*r), now)
}

// levelsRight returns the SKUs that a run compared and found right, sorted.
func levelsRight(r reconciliation.RunReport) []string {
	wrong := slices.Concat(r.InMotion, r.Unseen, r.Gone)
	for _, b := range r.Levels {
		wrong = append(wrong, b.Item)
	}
	slices.Sort(wrong)
	return slices.DeleteFunc(slices.Clone(r.SKUs), func(sku string) bool {
		_, found := slices.BinarySearch(wrong, sku)
		return found
	})
}

// levelDiffers begins the clock of a level, or goes on with it. False when there are
// too many already.
func (k *keeper) levelDiffers(r *reconciliation.RunReport, seen reconcile.Break) bool {
	k.still(seen.Item)
	n, found := slices.BinarySearchFunc(k.Status.Levels, seen.Item, byItem)
	switch {
	case !found && len(k.Status.Levels) >= mostWatched:
		return false
	case !found:
		fresh := seen
		fresh.LastAgreed, fresh.Confirmed, fresh.Owned, fresh.Repaired = k.agreed(seen.Item), time.Time{}, time.Time{}, time.Time{}
		k.Status.Levels = slices.Insert(k.Status.Levels, n, fresh)
	}
	b := &k.Status.Levels[n]
	if b.Confirmed.IsZero() && !seen.Confirmed.IsZero() {
		b.Confirmed = seen.Confirmed
		k.detected(r, *b)
	}
	b.Expected, b.Observed, b.Repaired = seen.Expected, seen.Observed, seen.Repaired
	if b.Owned.IsZero() {
		b.Owned = seen.Owned
	}
	k.disagree(seen.Item)
	return true
}

func byItem(b reconcile.Break, sku string) int { return strings.Compare(b.Item, sku) }

// detected measures how long a level that is confirmed had gone unseen at most, and
// says so where that is too long.
func (k *keeper) detected(r *reconciliation.RunReport, b reconcile.Break) {
	took, bounded := b.Detection()
	if !bounded {
		return
	}
	k.meter.measured(DetectionMetric, b.System, took)
	if late := noticedLate(k.settings.Policy, b); late != "" {
		k.meter.late(b)
		r.Lines = append(r.Lines, "stock "+b.Item+": "+late)
	}
}

// levelsAgree ends the clocks of levels that a run found right, and remembers when.
func (k *keeper) levelsAgree(r *reconciliation.RunReport, right []string, now time.Time) {
	k.peaceful(right, now)
	for _, sku := range right {
		n, found := slices.BinarySearchFunc(k.Status.Levels, sku, byItem)
		if !found {
			continue
		}
		b := k.Status.Levels[n]
		k.Status.Levels = slices.Delete(k.Status.Levels, n, n+1)
		if b.Confirmed.IsZero() {
			continue // it was on its way
		}
		r.Lines = append(r.Lines, fmt.Sprintf("stock %s is right again; it was seen to differ for %s", sku, now.Sub(b.FirstSeen).Round(time.Second)))
		if !b.Repaired.IsZero() {
			k.meter.measured(RepairMetric, b.System, now.Sub(b.FirstSeen))
		}
	}
	k.disagree(right...)
	watched := slices.DeleteFunc(slices.Clone(right), func(sku string) bool {
		_, found := slices.BinarySearch(k.Status.SKUs, sku)
		return !found
	})
	if len(watched) > 0 {
		k.Agreed = append(k.Agreed, agreedAt{At: r.Started, SKUs: watched})
	}
}

// set remembers for a day which levels a run has set from which value: one that comes
// back to it has another writer. With another value that is over.
func (k *keeper) set(levels []reconcile.Break, now time.Time) {
	for i := range k.Status.Set {
		s := &k.Status.Set[i]
		s.At = slices.DeleteFunc(s.At, func(at time.Time) bool { return now.Sub(at) >= reconciliation.Day })
	}
	for _, b := range levels {
		n, found := slices.BinarySearchFunc(k.Status.Set, b.Item, func(s reconciliation.SetLevel, sku string) int { return strings.Compare(s.SKU, sku) })
		if found && k.Status.Set[n].Was != b.Observed {
			k.Status.Set[n].At = nil
		}
		switch {
		case b.Repaired.IsZero():
		case !found && len(k.Status.Set) < mostWatched:
			k.Status.Set = slices.Insert(k.Status.Set, n, reconciliation.SetLevel{SKU: b.Item, Was: b.Observed, At: []time.Time{b.Repaired}})
			found = true
		case found:
			k.Status.Set[n].Was, k.Status.Set[n].At = b.Observed, append(k.Status.Set[n].At, b.Repaired)
		}
		if found {
			k.Status.Set[n].Agrees = time.Time{}
		}
	}
	k.Status.Set = slices.DeleteFunc(k.Status.Set, func(s reconciliation.SetLevel) bool { return len(s.At) == 0 })
}

// peaceful forgets that levels were set which have agreed for the cool-down since.
func (k *keeper) peaceful(right []string, now time.Time) {
	k.Status.Set = slices.DeleteFunc(k.Status.Set, func(s reconciliation.SetLevel) bool {
		return slices.Contains(right, s.SKU) && !s.Agrees.IsZero() && now.Sub(s.Agrees) >= k.settings.Policy.CoolDown
	})
	for i := range k.Status.Set {
		if s := &k.Status.Set[i]; s.Agrees.IsZero() && slices.Contains(right, s.SKU) {
			s.Agrees = now
		}
	}
}

// levelsMove keeps since when levels could not be compared, because their goods were
// on their way each time that a run could look.
func (k *keeper) levelsMove(r reconciliation.RunReport, now time.Time) {
	still := slices.DeleteFunc(k.Status.Moving, func(m reconciliation.MovingLevel) bool {
		return slices.Contains(r.SKUs, m.SKU) && !slices.Contains(r.InMotion, m.SKU) && !slices.Contains(r.Unseen, m.SKU)
	})
	for _, sku := range r.InMotion {
		known := slices.ContainsFunc(still, func(m reconciliation.MovingLevel) bool { return m.SKU == sku })
		if !known && len(still) < mostWatched {
			still = append(still, reconciliation.MovingLevel{SKU: sku, Since: now})
		}
	}
	slices.SortFunc(still, func(x, y reconciliation.MovingLevel) int { return strings.Compare(x.SKU, y.SKU) })
	k.Status.Moving = still
}

// forgetLevels forgets the levels of SKUs that a system does not know any more.
func (k *keeper) forgetLevels(gone []string) {
	k.Status.Levels = slices.DeleteFunc(k.Status.Levels, func(b reconcile.Break) bool { return slices.Contains(gone, b.Item) })
	k.still(gone...)
	k.disagree(gone...)
}

// still forgets since when levels could not be compared.
func (k *keeper) still(skus ...string) {
	k.Status.Moving = slices.DeleteFunc(k.Status.Moving, func(m reconciliation.MovingLevel) bool { return slices.Contains(skus, m.SKU) })
}

// agreed returns when a run last found a level right; zero when none is known to have.
func (s *KeeperState) agreed(sku string) time.Time {
	for _, a := range s.Agreed {
		if _, found := slices.BinarySearch(a.SKUs, sku); found {
			return a.At
		}
	}
	return time.Time{}
}

// disagree forgets when some levels were last right.
func (s *KeeperState) disagree(skus ...string) {
	for i := range s.Agreed {
		s.Agreed[i].SKUs = slices.DeleteFunc(s.Agreed[i].SKUs, func(sku string) bool { return slices.Contains(skus, sku) })
	}
	s.Agreed = slices.DeleteFunc(s.Agreed, func(a agreedAt) bool { return len(a.SKUs) == 0 })
}
