package reconcile

import (
	"cmp"
	"slices"
	"time"
)

func compareBases(a, b Base) int {
	return cmp.Or(compareFields(a.Field, b.Field), compareItems(a.Item, b.Item))
}

func baseOf(bases []Base, f Field, item string) (Base, bool) {
	for _, b := range bases {
		if b.Field == f && b.Item == item {
			return b, true
		}
	}
	return Base{}, false
}

// Holds says that an observation has a value in just that place; an empty value is that
// of nothing there.
func Holds(o Observation, i Intent, b Base) bool {
	there := false
	for _, f := range factsFor(i, o) {
		if f.Field == b.Field && f.Item == b.Item {
			if there = true; sameValue(f.Field, spelledFact(f), b.Value) {
				return true
			}
		}
	}
	return !there && o.State != Unreadable && (b.Value == "" || b.Field.quantity() && sameValue(b.Field, "0", b.Value))
}

// Remember returns the bases with what agreed just now taken in, one per field
// and item, sorted. A write that was read back is an agreement too.
func Remember(bases, agreed []Base) []Base {
	all := slices.Clone(bases)
	for _, b := range agreed {
		n := slices.IndexFunc(all, func(known Base) bool { return known.Field == b.Field && known.Item == b.Item })
		switch {
		case n < 0:
			all = append(all, b)
		case !b.At.Before(all[n].At):
			all[n] = b
		}
	}
	slices.SortFunc(all, compareBases)
	return all
}

// Accept returns the intent in which what the system says of the break stands,
// so that it is a break no longer for as long as the system says exactly that.
// It is for what cannot or need not be put right: a mail sent twice, a dispute
// lost, a difference that a person let stand.
func Accept(i Intent, b Break, now time.Time) Intent {
	accepted := []Base{{Field: b.Field, Item: b.Item, Value: b.Observed, At: now}}
	i.Accepted = Remember(i.Accepted, accepted)
	return i
}

// Confirm returns the breaks of a comparison in which those of one system that
// may be believed are confirmed: seen with the same values in two reads at least
// the system's visibility lag apart, the last of them, o, a strong one where
// the system has such, and neither older than our own last write to it.
func Confirm(i Intent, c Comparison, o Observation, a Abilities, now time.Time) []Break {
	confirmed := slices.Clone(c.Breaks)
	if o.State == Unreadable || a.StrongLookup && !o.Strong || i.busy(o.System) {
		return confirmed
	}
	changed, known := i.changed(o.System)
	for n := range confirmed {
		b := &confirmed[n]
		first := cmp.Or(b.SeenAs, b.FirstSeen)
		early := known && first.Before(changed)
		if b.System == o.System && b.Confirmed.IsZero() && !early && o.At.After(first) && !o.At.Before(first.Add(a.VisibilityLag)) {
			b.Confirmed = now
		}
	}
	return confirmed
}
