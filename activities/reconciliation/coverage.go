package reconciliation

import (
	"cmp"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Day is the length of a day of UTC, which has no other.
const Day = 24 * time.Hour

// DayOf returns the first moment of the day, by UTC, in which t lies.
func DayOf(t time.Time) time.Time { return t.UTC().Truncate(Day) }

// Coverage says which sealed days were swept: compared in every system, order by
// order, with what each system lists of that day. It grows with exceptions and
// gaps and not with days.
type Coverage struct {
	// Through is the moment before which every day since our memory began was
	// swept in full, but for Exceptions; zero while there is none.
	Through time.Time `json:"through,omitzero"`
	// Ages has the days that were swept in full, by how old they were at least:
	// once they were sealed (0), and again for what comes late.
	Ages []SweptAt `json:"ages,omitempty"`
	// Partial are days of which something could not be read; they are swept again.
	Partial []PartialDay `json:"partial,omitempty"`
	// Exceptions are orders of swept days that could not be compared. Each is
	// asked again, ever more rarely.
	Exceptions []Exception `json:"exceptions,omitempty"`
}

// SweptAt are the days that were swept in full at an age or later, sorted.
type SweptAt struct {
	Age  time.Duration `json:"age"`
	Days []DayRange    `json:"days"`
}

// DayRange are the days from From until before To.
type DayRange struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// PartialDay is a day of which something could not be read.
type PartialDay struct {
	Day   time.Time `json:"day"`
	At    time.Time `json:"at"` // of the last try
	Tries int       `json:"tries"`
	// Unread says what was not read.
	Unread []string `json:"unread,omitempty"`
}

// Exception is an order that could not be compared.
type Exception struct {
	Order order.ID  `json:"order"`
	Day   time.Time `json:"day,omitzero"` // whose sweep named it
	Why   string    `json:"why"`
	Since time.Time `json:"since,omitzero"`
	Tries int       `json:"tries,omitempty"`
	// NotBefore is when it is asked again.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Swept is the part of a run's report that says what of a day was compared.
type Swept struct {
	// Day is zero when only the exceptions of earlier sweeps were asked again.
	Day    time.Time  `json:"day,omitzero"`
	Asked  []order.ID `json:"asked,omitempty"` // those exceptions
	Shards int        `json:"shards,omitempty"`
	// Ages are those at which this sweep counts.
	Ages []time.Duration `json:"ages,omitempty"`
	// LookedUp is how many orders were read by reference.
	LookedUp int `json:"looked_up,omitempty"`
	// Kept is how many records that no order claims were given to the inbox.
	Kept       int         `json:"kept,omitempty"`
	Unread     []string    `json:"unread,omitempty"`
	Exceptions []Exception `json:"exceptions,omitempty"`
}

// What one status keeps of sweeps. Past it, partial says that there is more.
const (
	mostExceptions = 200
	mostRanges     = 32
	mostPartial    = 40
)

// Add takes a sweep in at the moment now. Only a complete one makes its day
// swept; since is when our memory began.
func (c *Coverage) Add(s Swept, complete bool, since, now time.Time) {
	if s.Day.IsZero() {
		if !complete {
			s.Exceptions = append(slices.Clone(s.Exceptions), c.unseen(s)...)
		}
		c.except(s, now, func(e Exception) bool { return slices.Contains(s.Asked, e.Order) })
		return
	}
	if complete {
		c.except(s, now, func(e Exception) bool { return e.Day.Equal(s.Day) })
		complete = len(c.Exceptions) <= mostExceptions
	}
	if !complete {
		if len(c.Exceptions) > mostExceptions {
			s.Unread = append(s.Unread, "more orders than can be listed could not be compared")
			c.Exceptions = c.Exceptions[:mostExceptions]
		}
		c.partial(s, now)
		return
	}
	c.Partial = slices.DeleteFunc(c.Partial, func(p PartialDay) bool { return p.Day.Equal(s.Day) })
	for _, age := range s.Ages {
		c.sweptAt(age, s.Day)
	}
	c.Through = c.through(since)
}

// unseen are the exceptions that a sweep has asked and does not name again, though
// it could not read all of what it asked: they were not compared.
func (c *Coverage) unseen(s Swept) []Exception {
	return slices.DeleteFunc(slices.Clone(c.Exceptions), func(e Exception) bool {
		return !slices.Contains(s.Asked, e.Order) || slices.ContainsFunc(s.Exceptions, func(named Exception) bool { return named.Order == e.Order })
	})
}

// except replaces the exceptions that a sweep has asked by those it has left.
func (c *Coverage) except(s Swept, now time.Time, asked func(Exception) bool) {
	var kept, was []Exception
	for _, e := range c.Exceptions {
		if asked(e) {
			was = append(was, e)
			continue
		}
		kept = append(kept, e)
	}
	for _, e := range s.Exceptions {
		e.Day, e.Since = cmp.Or(e.Day, s.Day), now
		for _, old := range append(was, kept...) {
			if old.Order == e.Order {
				e.Day, e.Since, e.Tries = old.Day, old.Since, old.Tries
			}
		}
		kept = slices.DeleteFunc(kept, func(old Exception) bool { return old.Order == e.Order })
		e.NotBefore = now.Add(backOff(e.Tries))
		e.Tries++
		kept = append(kept, e)
	}
	c.Exceptions = kept
}

// backOff is how long an exception is left alone after so many tries: an order
// that never answers costs one question a day in the end.
func backOff(tries int) time.Duration { return min(time.Hour<<min(tries, 10), Day) }

func (c *Coverage) partial(s Swept, now time.Time) {
	p := PartialDay{Day: s.Day, At: now, Tries: 1, Unread: s.Unread}
	if n := len(p.Unread); n > 20 {
		p.Unread = p.Unread[:20]
	}
	i := slices.IndexFunc(c.Partial, func(old PartialDay) bool { return old.Day.Equal(s.Day) })
	if i >= 0 {
		p.Tries += c.Partial[i].Tries
		c.Partial = slices.Delete(c.Partial, i, i+1)
	}
	c.Partial = append(c.Partial, p) // the last tried is the last to be tried again
	if n := len(c.Partial); n > mostPartial {
		c.Partial = c.Partial[n-mostPartial:]
	}
}

func (c *Coverage) sweptAt(age time.Duration, day time.Time) {
	i, found := slices.BinarySearchFunc(c.Ages, age, func(s SweptAt, age time.Duration) int { return cmp.Compare(s.Age, age) })
	if !found {
		c.Ages = slices.Insert(c.Ages, i, SweptAt{Age: age})
	}
	c.Ages[i].Days = withDay(c.Ages[i].Days, day)
}

// withDay adds a day to sorted ranges, and joins what adjoins. Of too many the
// oldest is forgotten last: verified-through stands on it.
func withDay(days []DayRange, day time.Time) []DayRange {
	all := append(slices.Clone(days), DayRange{From: day, To: day.Add(Day)})
	slices.SortFunc(all, func(x, y DayRange) int { return x.From.Compare(y.From) })
	joined := all[:1]
	for _, r := range all[1:] {
		last := &joined[len(joined)-1]
		if r.From.After(last.To) {
			joined = append(joined, r)
		} else if r.To.After(last.To) {
			last.To = r.To
		}
	}
	if len(joined) > mostRanges {
		joined = slices.Delete(joined, 1, 2)
	}
	return joined
}

func (c *Coverage) has(age time.Duration, day time.Time) bool {
	for _, s := range c.Ages {
		if s.Age == age {
			return slices.ContainsFunc(s.Days, func(r DayRange) bool { return !day.Before(r.From) && day.Before(r.To) })
		}
	}
	return false
}

// through is the end of the days that were swept without a gap since our memory
// began.
func (c *Coverage) through(since time.Time) time.Time {
	first := DayOf(since)
	for _, s := range c.Ages {
		for _, r := range s.Days {
			if s.Age == 0 && !first.Before(r.From) && first.Before(r.To) {
				return r.To
			}
		}
	}
	return time.Time{}
}

// Sealed returns the newest day that is sealed: over for longer than anything
// takes to settle, or to land late.
func (s Sweeps) Sealed(now time.Time) time.Time { return DayOf(now.Add(-s.SealedAfter)).Add(-Day) }

const (
	mostDays  = 6  // of one scheduled run; the next goes on
	catchUp   = 7  // days that an age is swept late
	lookBack  = 30 // days that a first sweep is late
	mostAsked = 50 // exceptions of one run
)

// Due returns the days that a scheduled run is to sweep: the newest first, then
// those that have come to an age at which they are swept again, and last those
// that were tried before and stayed partial, the longest ago first: a day that
// fails holds up no other.
func (c *Coverage) Due(since, now time.Time, s Sweeps) []time.Time {
	newest, first := s.Sealed(now), DayOf(since)
	var fresh, tried []time.Time
	add := func(day time.Time, age time.Duration) {
		switch {
		case day.Before(first) || c.has(age, day) || slices.Contains(fresh, day) || slices.Contains(tried, day):
		case slices.ContainsFunc(c.Partial, func(p PartialDay) bool { return p.Day.Equal(day) }):
			tried = append(tried, day)
		default:
			fresh = append(fresh, day)
		}
	}
	for n := range lookBack {
		add(newest.Add(-time.Duration(n)*Day), 0)
	}
	for _, age := range s.Again {
		for n := range catchUp {
			add(newest.Add(Day-age-time.Duration(n)*Day), age)
		}
	}
	at := func(day time.Time) int {
		return slices.IndexFunc(c.Partial, func(p PartialDay) bool { return p.Day.Equal(day) })
	}
	slices.SortFunc(tried, func(x, y time.Time) int { return cmp.Compare(at(x), at(y)) })
	// One place is kept for what was tried before, so that it gets its turn.
	if len(tried) > 0 {
		fresh = fresh[:min(len(fresh), mostDays-1)]
	}
	due := append(fresh, tried...)
	return due[:min(len(due), mostDays)]
}

// DueExceptions returns the exceptions whose time has come to be asked again,
// the longest overdue first.
func (c *Coverage) DueExceptions(now time.Time) []order.ID {
	due := slices.DeleteFunc(slices.Clone(c.Exceptions), func(e Exception) bool { return e.NotBefore.After(now) })
	slices.SortStableFunc(due, func(x, y Exception) int { return x.NotBefore.Compare(y.NotBefore) })
	var ids []order.ID
	for _, e := range due[:min(len(due), mostAsked)] {
		ids = append(ids, e.Order)
	}
	return ids
}

// ages returns the ages at which a sweep of the day counts by now.
func (s Sweeps) ages(day, now time.Time) []time.Duration {
	ages := []time.Duration{0}
	for _, age := range s.Again {
		if !day.Add(age).After(s.Sealed(now).Add(Day)) {
			ages = append(ages, age)
		}
	}
	return ages
}
