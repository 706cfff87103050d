package reconcile

import (
	"cmp"
	"slices"
)

// sortedAttempts returns the attempts in the order in which they are kept:
// oldest first. The last are the first to be closed or refunded.
func sortedAttempts(attempts []Attempt) []Attempt {
	sorted := slices.Clone(attempts)
	slices.SortFunc(sorted, func(a, b Attempt) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return sorted
}

// foreign says that an attempt's amounts cannot be added to the order's.
func foreign(i Intent, a Attempt) bool {
	return i.Order != "" && a.Currency != "" && i.Currency != "" && a.Currency != i.Currency
}

// takesMoney says that an attempt holds nothing yet and may still.
func (a Attempt) takesMoney() bool {
	return a.State == AttemptOpen || a.State == AttemptProcessing
}

// spareAttempts returns those that can still take money when none should, and
// authorizations beyond what the order means to hold. While the customer is
// paying none is spare. The attempts that the order relies on go last.
func spareAttempts(i Intent, sorted []Attempt) []Attempt {
	if i.Paying && i.Order != "" {
		return nil
	}
	var spare []Attempt
	for _, a := range sorted {
		if a.takesMoney() && !foreign(i, a) {
			spare = append(spare, a)
		}
	}
	if i.Order == "" {
		return spare
	}
	// What should have been captured and was not must stay held, or the capture
	// could not be done again.
	m := moneyOf(i, sorted)
	over := m.held - i.Held - max(0, i.Captured-m.captured)
	ours := i.Attempts
	if len(ours) == 0 {
		ours = i.Payments
	}
	for _, relied := range []bool{false, true} {
		for n := len(sorted) - 1; n >= 0; n-- {
			a := sorted[n]
			whole := a.State == AttemptAuthorized && a.Captured == 0 && a.Held > 0 && !foreign(i, a)
			if whole && a.Held <= over && slices.Contains(ours, a.ID) == relied {
				spare = append(spare, a)
				over -= a.Held
			}
		}
	}
	return spare
}

// money adds up what the attempts in the order's currency say.
type money struct{ held, captured, refunded, disputed, lost int64 }

func moneyOf(i Intent, attempts []Attempt) money {
	var m money
	for _, a := range attempts {
		if foreign(i, a) {
			continue
		}
		m.held += a.Held
		m.captured += a.Captured
		// A dispute that was lost is the refund; one that is open is neither.
		m.refunded += a.Refunded + a.Lost
		m.disputed += a.Disputed - a.Lost
		m.lost += a.Lost
	}
	return m
}

// excess is money that one attempt took beyond the order's total.
type excess struct {
	attempt string
	amount  int64
}

// surplus returns what was taken twice and not given back yet, the newest
// attempts first. It is bounded three times, for it is paid out without a
// person: by what was captured above the order's total, did not go out in a lost
// dispute and was not given back of attempts that the order does not rely on, by
// what is kept above the total less the refunds that the order
// itself intends, and, of an attempt that the order relies on, by what such
// attempts took above the total. So neither a refund that the gateway lost nor a
// lost dispute is ever mistaken for a second capture, and the money that pays
// for the order is never given back for one that was.
func surplus(i Intent, sorted []Attempt) []excess {
	if i.Order == "" {
		return nil
	}
	m := moneyOf(i, sorted)
	intended := max(0, i.Refunded-max(0, i.Captured-i.Total))
	over, back := -i.Total, int64(0)
	for _, a := range sorted {
		switch {
		case foreign(i, a):
		case i.reliesOn(a):
			over += a.Captured
		case len(i.Attempts) > 0:
			back += a.Refunded
		}
	}
	left := min(m.captured-i.Total-m.lost-back, m.captured-m.refunded-m.disputed-(i.Total-intended))
	var all []excess
	for _, relied := range []bool{false, true} {
		for n := len(sorted) - 1; n >= 0; n-- {
			a := sorted[n]
			take := min(left, a.Captured-a.Refunded-a.Disputed)
			if relied {
				take = min(take, over)
			}
			if take <= 0 || foreign(i, a) || i.reliesOn(a) != relied {
				continue
			}
			all = append(all, excess{a.ID, take})
			left -= take
			if relied {
				over -= take
			}
		}
	}
	return all
}

// reliesOn says that the order's own money is with the attempt.
func (i Intent) reliesOn(a Attempt) bool { return slices.Contains(i.Attempts, a.ID) }

// withoutSurplus returns captured and refunded as the order counts them: what
// was taken twice, and given back for it, is left out unless the order's own
// numbers have it already.
func withoutSurplus(i Intent, sorted []Attempt, left int64) (captured, refunded int64) {
	m := moneyOf(i, sorted)
	if i.Order == "" {
		return m.captured, m.refunded
	}
	above := max(0, m.captured-i.Total)
	captured = m.captured - min(above, max(0, m.captured-i.Captured))
	back := int64(0)
	for _, a := range sorted {
		if len(i.Attempts) > 0 && !i.reliesOn(a) && !foreign(i, a) {
			back += a.Refunded + a.Lost
		}
	}
	if back = min(back, above); i.Refunded < back {
		// The order does not count what went back of attempts that it does not rely
		// on: then it cannot stand for a refund of its own that is missing.
		return captured, m.refunded - back
	}
	refunded = m.refunded - min(max(0, above-left), max(0, m.refunded-i.Refunded))
	return captured, refunded
}
