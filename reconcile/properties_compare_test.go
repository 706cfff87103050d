package reconcile

import (
	"math/rand"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

// A property is a test whose name begins with TestProperty_. `make properties`
// checks each of them 10,000 times, and `make mutants` shows that each fails on
// a mutant of the core.

// judged is the policy of the properties: every kind at the most it allows.
var judged = auto()

// compared reads a world and compares it.
func compared(i Intent, w *world) Comparison {
	return Compare(i, judged, w.read(i.Order, now), nil, nil, now)
}

// edited draws a life and what somebody did to it.
func edited(t *rapid.T, most int) (Intent, *world) {
	i, w := drawLife(t)
	for range rapid.IntRange(0, most).Draw(t, "edits") {
		drawEdit(t, i, w)
	}
	return i, w
}

func drawSystem(t *rapid.T) order.System { return rapid.SampledFrom(order.Systems()).Draw(t, "system") }

// at returns where a system's observation stands.
func at(s order.System) int { return slices.Index(order.Systems(), s) }

// down is what a system says that cannot be read.
func down(s order.System, when time.Time) Observation {
	return Observation{System: s, Order: "42", State: Unreadable, At: when, Why: "connection refused"}
}

func idsOf(breaks []Break) []string {
	ids := make([]string, 0, len(breaks))
	for _, b := range breaks {
		ids = append(ids, b.ID())
	}
	return ids
}

// ofSystem keeps the breaks of one system.
func ofSystem(breaks []Break, s order.System) []Break {
	return slices.DeleteFunc(slices.Clone(breaks), func(b Break) bool { return b.System != s })
}

func without(breaks []Break, s order.System) []Break {
	return slices.DeleteFunc(slices.Clone(breaks), func(b Break) bool { return b.System == s })
}

func TestProperty_Compare_AgreeingObservations_NoBreak(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		if one(t, 3) {
			w.split(t)
		}
		c := compared(i, w)
		if len(c.Breaks)+len(c.Settling)+len(c.Unread) > 0 || !slices.Equal(c.Judged, order.Systems()) {
			t.Fatalf("agreeing systems gave breaks %+v, settling %+v, unread %v, judged %v", c.Breaks, c.Settling, c.Unread, c.Judged)
		}
	})
}

func TestProperty_Compare_OrderOfInput_Irrelevant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		bases := compared(i, w).Agreed
		observations := w.read(i.Order, now.Add(-time.Minute))
		for range rapid.IntRange(0, 3).Draw(t, "edits") {
			drawEdit(t, i, w)
			for _, o := range w.read(i.Order, now.Add(-time.Duration(rapid.IntRange(0, 2).Draw(t, "age"))*time.Second)) {
				o.Strong = rapid.Bool().Draw(t, "strong")
				if one(t, 5) {
					o = down(o.System, o.At)
				}
				observations = append(observations, o)
			}
		}
		open := Compare(i, judged, observations, bases, nil, now.Add(-time.Second)).Breaks
		want := Compare(i, judged, observations, bases, open, now)
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "shuffle")))
		shuffled := shuffle(r, observations)
		for n := range shuffled {
			shuffled[n] = shuffleRecords(r, shuffled[n])
		}
		mixed := i
		mixed.Reserved, mixed.Shipments, mixed.Returns = shuffle(r, i.Reserved), shuffle(r, i.Shipments), shuffle(r, i.Returns)
		mixed.Invoices, mixed.Receipts, mixed.Mails = shuffle(r, i.Invoices), shuffle(r, i.Receipts), shuffle(r, i.Mails)
		mixed.Changed, mixed.Accepted, mixed.Attempts = shuffle(r, i.Changed), shuffle(r, i.Accepted), shuffle(r, i.Attempts)
		if got := Compare(mixed, judged, shuffled, shuffle(r, bases), shuffle(r, open), now); !reflect.DeepEqual(got, want) {
			t.Fatalf("another order of input gave\n%+v\nwant\n%+v", got, want)
		}
	})
}

func shuffle[T any](r *rand.Rand, all []T) []T {
	all = slices.Clone(all)
	r.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	return all
}

func shuffleRecords(r *rand.Rand, o Observation) Observation {
	if o.Payment != nil {
		o.Payment = &Payment{shuffle(r, o.Payment.Attempts)}
	}
	if o.Inventory != nil {
		o.Inventory = &Inventory{shuffle(r, o.Inventory.Reservations)}
	}
	if o.Warehouse != nil {
		o.Warehouse = &Warehouse{Shipments: shuffle(r, o.Warehouse.Shipments), Returns: shuffle(r, o.Warehouse.Returns)}
	}
	if o.ERP != nil {
		o.ERP = &ERP{
			Sales: shuffle(r, o.ERP.Sales), Invoices: shuffle(r, o.ERP.Invoices), Receipts: shuffle(r, o.ERP.Receipts),
			Credits: shuffle(r, o.ERP.Credits), Balance: o.ERP.Balance,
		}
	}
	if o.CRM != nil {
		o.CRM = &CRM{Contacts: shuffle(r, o.CRM.Contacts), Deals: shuffle(r, o.CRM.Deals), Carts: shuffle(r, o.CRM.Carts)}
	}
	if o.Mail != nil {
		o.Mail = &Mail{shuffle(r, o.Mail.Messages)}
	}
	return o
}

func TestProperty_Compare_EditThatMatters_IsSeen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		e, matters := drawEdit(t, i, w)
		if c := compared(i, w); matters && len(c.Breaks) == 0 {
			t.Fatalf("%s in %s, and nobody sees it", e.name, e.system)
		}
	})
}

// A tracking number is compared with what the customer was told, parcel by parcel: a
// person is asked about another number, and one of a parcel that the customer was not
// told of is nobody's business. What is wrong with the parcel itself says all.
func TestProperty_Compare_TrackingNumber_AsTheCustomerWasTold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		s := anyOf(t, w.warehouse.Shipments, func(s Shipment) bool { return s.State.out() && meantShipment(i, w, s) })
		if s == nil {
			return
		}
		told := toldOf(i, *s)
		s.Tracking = rapid.SampledFrom([]string{"", "another"}).Draw(t, "number")
		c := compared(i, w)
		of := func(b Break) bool { return b.Field == WarehouseTracking && b.Item == s.Key+" "+s.ID }
		if seen := slices.ContainsFunc(c.Breaks, of); seen != told || len(c.Breaks) > 1 {
			t.Fatalf("told of it %v, the number is %q, and the breaks are %+v", told, s.Tracking, c.Breaks)
		}
		for _, step := range Plan(judged, i, believed(i, judged, w, nil, now), w.read(i.Order, now), nil) {
			if step.Decision != Ask || step.Operation != "" {
				t.Fatalf("about a number %s is planned: %s %s", step.Break.Observed, step.Decision, step.Operation)
			}
		}
		s.State = rapid.SampledFrom([]ShipmentState{ShipmentCancelled, ShipmentRequested}).Draw(t, "state")
		c = compared(i, w)
		itself := slices.ContainsFunc(c.Breaks, func(b Break) bool { return b.Field == WarehouseShipment && b.Item == s.Key })
		if itself && slices.ContainsFunc(c.Breaks, of) {
			t.Fatalf("the parcel is %s, and its number is a break of its own: %+v", s.State, c.Breaks)
		}
	})
}

func TestProperty_Compare_EditOfOneSystem_BreaksNoOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		s := drawSystem(t)
		for range rapid.IntRange(1, 3).Draw(t, "edits") {
			drawEdit(t, i, w, s)
		}
		c := compared(i, w)
		if others := without(c.Breaks, s); len(others) > 0 {
			t.Fatalf("edited %s, and others broke: %+v", s, others)
		}
	})
}

func TestProperty_Compare_Break_IsComplete(t *testing.T) {
	t.Parallel()
	situations := []Situation{Missing, Unexpected, Mismatch, Duplicate, Conflict}
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		bases := Compare(i, judged, w.read(i.Order, now.Add(-time.Hour)), nil, nil, now.Add(-time.Hour)).Agreed
		drawEdit(t, i, w)
		drawEdit(t, i, w)
		for _, b := range Compare(i, judged, w.read(i.Order, now), bases, nil, now).Breaks {
			rule := judged.Rule(b.Field)
			base, known := baseNamed(bases, b)
			switch {
			case b.System != b.Field.System() || b.Right != rule.Authority || !slices.Contains(situations, b.Situation):
				t.Fatalf("not of the table: %+v", b)
			case b.Situation != Duplicate && b.Expected == b.Observed:
				t.Fatalf("both say the same: %+v", b)
			case b.Situation == Missing && b.Observed != "" && b.Observed != "0" || b.Situation == Unexpected && b.Observed == "":
				t.Fatalf("neither missing nor unexpected: %+v", b)
			case b.Money < 0 || !b.FirstSeen.Equal(now) || !b.SeenAs.Equal(now) || !b.Confirmed.IsZero():
				t.Fatalf("the money or the clock is wrong: %+v", b)
			case known && (b.Base != base.Value || !b.LastAgreed.Equal(base.At)) || !known && (b.Base != "" || !b.LastAgreed.IsZero()):
				t.Fatalf("last agreed on %+v, the break says %+v", base, b)
			}
		}
	})
}

func baseNamed(bases []Base, b Break) (Base, bool) {
	n := slices.IndexFunc(bases, func(base Base) bool { return base.Field == b.Field && base.Item == b.Item })
	if n < 0 {
		return Base{}, false
	}
	return bases[n], true
}

func TestProperty_Compare_NeverAgreedAndBroken(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 3)
		c := compared(i, w)
		for n, a := range c.Agreed {
			if slices.ContainsFunc(c.Breaks, func(b Break) bool { return b.Field == a.Field && b.Item == a.Item }) {
				t.Fatalf("%+v agrees and is a break", a)
			}
			if n > 0 && c.Agreed[n-1].Field == a.Field && c.Agreed[n-1].Item == a.Item || !a.At.Equal(now) {
				t.Fatalf("agreed twice, or not as of the read: %+v", c.Agreed)
			}
		}
	})
}

func TestProperty_Compare_Unreadable_NeitherBreakNorAgreement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		s := drawSystem(t)
		whole := compared(i, w)
		observations := w.read(i.Order, now)
		if rapid.Bool().Draw(t, "never read") {
			observations = slices.Delete(observations, at(s), at(s)+1)
		} else {
			observations[at(s)] = down(s, now)
		}
		c := Compare(i, judged, observations, nil, nil, now)
		if len(ofSystem(c.Breaks, s)) > 0 || slices.ContainsFunc(c.Agreed, func(b Base) bool { return b.Field.System() == s }) {
			t.Fatalf("%s cannot be read, and %+v, %+v", s, c.Breaks, c.Agreed)
		}
		if !slices.Equal(c.Unread, []order.System{s}) || slices.Contains(c.Judged, s) {
			t.Fatalf("unread is %v, judged %v", c.Unread, c.Judged)
		}
		if !slices.Equal(without(c.Breaks, s), without(whole.Breaks, s)) {
			t.Fatalf("%s cannot be read, and the others say something else", s)
		}
	})
}

func TestProperty_Compare_Absent_IsAnAnswer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 1)
		s := drawSystem(t)
		observations := w.read(i.Order, now)
		observations[at(s)] = Observation{System: s, Order: i.Order, State: Absent, At: now, Strong: true}
		c := Compare(i, judged, observations, nil, nil, now)
		if !slices.Contains(c.Judged, s) || slices.Contains(c.Unread, s) {
			t.Fatalf("absent is taken for unreadable: judged %v, unread %v", c.Judged, c.Unread)
		}
		breaks := ofSystem(c.Breaks, s)
		for _, e := range Expect(i, judged, now) {
			missing := slices.ContainsFunc(breaks, func(b Break) bool {
				return b.Field == e.Field && b.Item == e.Item && b.Situation == Missing && b.Observed == ""
			})
			derived := e.Field == CRMRevenue || e.Field == WarehouseLines || e.Field == WarehouseShipped || e.Field == WarehouseTracking || e.Field == ERPBalance
			if e.System == s && (e.Need == Must || e.Need == AtLeast) && !derived && !missing {
				t.Fatalf("%s knows nothing of the order, and %+v is not missing: %+v", s, e, breaks)
			}
		}
		for _, b := range breaks {
			if b.Situation != Missing {
				t.Fatalf("%s knows nothing of the order, and %+v", s, b)
			}
		}
	})
}

// written returns the intent with our own last write to a system at a moment.
func written(i Intent, s order.System, when time.Time) Intent {
	i.Changed = append(slices.DeleteFunc(slices.Clone(i.Changed), func(c Changed) bool { return c.System == s }), Changed{s, when})
	return i
}

func TestProperty_Compare_Stale_NeverJudged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		s := drawSystem(t)
		since := now.Add(-time.Duration(rapid.IntRange(0, 7200).Draw(t, "since")) * time.Second)
		i = written(i, s, since)
		observations := w.read(i.Order, now)
		observations[at(s)].At = since.Add(-time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "before")))
		c := Compare(i, judged, observations, nil, nil, now)
		if len(ofSystem(c.Breaks, s)) > 0 || slices.Contains(c.Judged, s) || slices.ContainsFunc(c.Agreed, func(b Base) bool { return b.Field.System() == s }) {
			t.Fatalf("read before our last write, and judged: %+v", c)
		}
		observations[at(s)].At = since
		if c = Compare(i, judged, observations, nil, nil, now); !slices.Contains(c.Judged, s) {
			t.Fatalf("read after our last write, and not judged: %v", c.Judged)
		}
	})
}

func TestProperty_Compare_Busy_NeverJudged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		whole := compared(i, w)
		s := drawSystem(t)
		if rapid.Bool().Draw(t, "in doubt") {
			i.InDoubt = []order.System{s}
		} else {
			i.Busy = []order.System{s}
		}
		c := compared(i, w)
		if len(ofSystem(c.Breaks, s)) > 0 || slices.Contains(c.Judged, s) || slices.ContainsFunc(c.Agreed, func(b Base) bool { return b.Field.System() == s }) {
			t.Fatalf("an operation is open, and it is judged: %+v", c)
		}
		if !slices.Equal(without(c.Breaks, s), without(whole.Breaks, s)) {
			t.Fatalf("an operation is open in %s, and the others say something else", s)
		}
		for _, settling := range c.Settling {
			if settling.Break.System != s || !settling.Until.After(now) {
				t.Fatalf("an operation is open in %s, and this settles: %+v", s, settling)
			}
		}
	})
}

func TestProperty_Compare_OpenBreaks_NeverCloseUnjudged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		healthy := w.read(i.Order, now)
		drawEdit(t, i, w)
		drawEdit(t, i, w)
		open := believed(i, judged, w, nil, now)
		s := drawSystem(t)
		later := now.Add(time.Hour)
		observations := slices.Clone(healthy) // everything is well again, as far as can be told
		for n := range observations {
			observations[n].At = later
		}
		switch rapid.SampledFrom([]string{"down", "never read", "busy", "stale"}).Draw(t, "why") {
		case "down":
			observations[at(s)] = down(s, later)
		case "never read":
			observations = slices.Delete(observations, at(s), at(s)+1)
		case "busy":
			i.Busy = []order.System{s}
		case "stale":
			i = written(i, s, later)
			observations[at(s)].At = later.Add(-1)
		}
		c := Compare(i, judged, observations, nil, open, later)
		if want := ofSystem(open, s); !slices.Equal(c.Breaks, want) {
			t.Fatalf("%s could not be judged; open were %+v, now %+v", s, want, c.Breaks)
		}
		for n, b := range ofSystem(open, s) {
			if c.Over(Case{N: n, Step: Step{Break: b}}) {
				t.Fatalf("%s could not be judged, and the case of %s is over", s, b.ID())
			}
		}
	})
}

func TestProperty_Compare_Settling_UntilItIsTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		s := drawSystem(t)
		drawEdit(t, i, w, s)
		whole := ofSystem(compared(i, w).Breaks, s)
		since := now.Add(-time.Duration(rapid.IntRange(0, 120).Draw(t, "since")) * time.Second)
		c := Compare(written(i, s, since), judged, w.read(i.Order, now), nil, nil, now)
		for _, b := range whole {
			until := since.Add(judged.Rule(b.Field).Settling)
			isBreak := slices.Contains(idsOf(c.Breaks), b.ID())
			n := slices.IndexFunc(c.Settling, func(x Settling) bool { return x.Break.ID() == b.ID() })
			switch {
			case isBreak == (n >= 0):
				t.Fatalf("%s is settling and a break, or neither: %+v", b.ID(), c)
			case isBreak && until.After(now):
				t.Fatalf("%s is judged %s before its time", b.ID(), until.Sub(now))
			case !isBreak && !c.Settling[n].Until.Equal(until) && s != order.SystemMail:
				t.Fatalf("%s settles until %s, want %s", b.ID(), c.Settling[n].Until, until)
			case !isBreak && !until.After(now):
				t.Fatalf("%s still settles, %s after its time", b.ID(), now.Sub(until))
			}
		}
		if slices.ContainsFunc(c.Agreed, func(a Base) bool {
			return slices.ContainsFunc(whole, func(b Break) bool { return b.Field == a.Field && b.Item == a.Item })
		}) {
			t.Fatalf("what settles agrees: %+v", c.Agreed)
		}
	})
}

// Whatever happens from look to look: while a break stays, its first sight never
// moves later, nor its last agreement; and it is seen as soon as it is there.
func TestProperty_Compare_FirstSeen_NeverMovesLater(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		s := drawSystem(t)
		when := now
		var open, settling []Break
		for range rapid.IntRange(2, 4).Draw(t, "looks") {
			when = when.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "later")) * time.Second)
			if one(t, 2) {
				drawEdit(t, i, w, s)
			}
			i.Busy = nil
			switch {
			case one(t, 4):
				i.Busy = []order.System{s}
			case one(t, 4):
				i = written(i, s, when)
			}
			c := Compare(i, judged, w.read(i.Order, when), nil, slices.Concat(open, settling), when)
			for _, was := range open {
				n := slices.IndexFunc(c.Breaks, func(b Break) bool { return b.Place() == was.Place() })
				if n >= 0 && !c.Breaks[n].FirstSeen.Equal(was.FirstSeen) {
					t.Fatalf("%s was first seen %s, and now %s", was.ID(), was.FirstSeen, c.Breaks[n].FirstSeen)
				}
			}
			for _, was := range settling {
				n := slices.IndexFunc(c.Breaks, func(b Break) bool { return b.Place() == was.Place() })
				if n >= 0 && c.Breaks[n].FirstSeen.After(was.FirstSeen) {
					t.Fatalf("%s was first seen settling at %s, and now %s", was.ID(), was.FirstSeen, c.Breaks[n].FirstSeen)
				}
			}
			open, settling = c.Breaks, nil
			for _, x := range c.Settling {
				settling = append(settling, x.Break)
			}
		}
	})
}

func TestProperty_Compare_IDs_StableAndUnique(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 4)
		first := compared(i, w)
		later := now.Add(time.Hour)
		second := Compare(i, judged, w.read(i.Order, later), nil, first.Breaks, later)
		if ids := idsOf(second.Breaks); !slices.Equal(idsOf(first.Breaks), ids) || !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Fatalf("first %q, an hour later %q", idsOf(first.Breaks), ids)
		}
		ids := idsOf(nil)
		for _, s := range first.Settling {
			ids = append(ids, s.Break.ID())
		}
		if !slices.IsSorted(ids) || len(slices.Compact(ids)) != len(first.Settling) {
			t.Fatalf("settling is not sorted and unique: %+v", first.Settling)
		}
	})
}

func TestProperty_Compare_Undone_IsAsBefore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		before := w.read(i.Order, now)
		want := Compare(i, judged, before, nil, nil, now)
		drawEdit(t, i, w)
		open := believed(i, judged, w, want.Agreed, now)
		for n := range before {
			before[n].At = now.Add(time.Minute)
		}
		got := Compare(i, judged, before, want.Agreed, open, now.Add(time.Minute))
		if len(got.Breaks)+len(got.Settling) > 0 {
			t.Fatalf("undone, and still %+v", got)
		}
		for _, b := range open {
			if !got.Over(Case{Step: Step{Break: b}}) || got.Over(Case{Step: Step{Break: b}, Stays: true}) {
				t.Fatalf("the case of %s is not over when it is gone, or one that stays is", b.ID())
			}
		}
	})
}

func TestProperty_Compare_Case_NotOverWhileItIsThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		s := drawSystem(t)
		drawEdit(t, i, w, s)
		breaks := compared(i, w).Breaks
		if one(t, 2) {
			i = written(i, s, now.Add(-time.Second)) // so that it settles
		}
		c := compared(i, w)
		for _, b := range breaks {
			if c.Over(Case{Step: Step{Break: b}}) {
				t.Fatalf("%s is still there, and its case is over: %+v", b.ID(), c)
			}
		}
	})
}

// A strong read counts before a listing, then the later one before the older.
func TestProperty_Compare_BestRead_Decides(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		var worse []Observation
		for range rapid.IntRange(1, 3).Draw(t, "reads") {
			drawEdit(t, i, w)
			for _, o := range w.read(i.Order, now) {
				if rapid.Bool().Draw(t, "a listing") {
					o.Strong, o.At = false, now.Add(time.Minute)
				} else {
					o.At = now.Add(-time.Second)
				}
				if one(t, 4) {
					o = down(o.System, now.Add(-time.Second))
				}
				worse = append(worse, o)
			}
		}
		best := w.read(i.Order, now)
		want := Compare(i, judged, best, nil, nil, now)
		if got := Compare(i, judged, slices.Concat(worse, best), nil, nil, now); !reflect.DeepEqual(got, want) {
			t.Fatalf("worse reads changed\n%+v\nto\n%+v", want, got)
		}
	})
}

func TestProperty_Compare_Tolerance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		tolerance := rapid.Int64Range(0, 300).Draw(t, "tolerance")
		p := Policy{Rules: slices.Clone(judged.Rules)}
		for n := range p.Rules {
			p.Rules[n].Tolerance = tolerance
		}
		within := Compare(i, p, w.read(i.Order, now), nil, nil, now).Breaks
		whole := compared(i, w).Breaks
		for _, b := range within {
			if tolerable(b) && difference(b) <= tolerance {
				t.Fatalf("a difference of %d is a break with a tolerance of %d: %+v", difference(b), tolerance, b)
			}
		}
		for _, b := range whole {
			explained := b.Field == PaymentHeld || b.Field == ERPBalance || b.Field == CRMRevenue || b.Field == WarehouseShipped
			if (!measured(b) || difference(b) > tolerance) && !explained && !slices.Contains(idsOf(within), b.ID()) {
				t.Fatalf("a difference of %d is no break with a tolerance of %d: %+v", difference(b), tolerance, b)
			}
		}
	})
}

// measured says that a break may be one of an amount or of pieces alone. A document
// that is not there, or that nobody asked for, is more than that.
func measured(b Break) bool {
	return b.Field.quantity() || b.Field.document() && (b.Situation == Mismatch || b.Situation == Conflict)
}

// tolerable says that a break is one of an amount or of pieces alone.
func tolerable(b Break) bool { return measured(b) && b.Situation != Duplicate && numeric(b.Observed) }

func difference(b Break) int64 {
	d := number(b.Expected) - number(b.Observed)
	return max(d, -d)
}

func TestProperty_Compare_Ignored_IsNeitherBreakNorAgreement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 3)
		ignored := rapid.SampledFrom(Fields()).Draw(t, "field")
		if own := compared(i, w).Breaks; len(own) > 0 && rapid.Bool().Draw(t, "a broken one") {
			ignored = own[0].Field
		}
		p := withRule(judged, ignored, func(r *Rule) { r.Mode = ModeIgnore })
		whole := compared(i, w)
		unread := w.read(i.Order, now)
		unread[at(ignored.System())] = down(ignored.System(), now)
		carried := Compare(i, p, unread, nil, whole.Breaks, now)
		c := Compare(i, p, w.read(i.Order, now), nil, whole.Breaks, now)
		if slices.ContainsFunc(slices.Concat(c.Breaks, carried.Breaks), func(b Break) bool { return b.Field == ignored }) ||
			slices.ContainsFunc(c.Agreed, func(b Base) bool { return b.Field == ignored }) ||
			slices.ContainsFunc(c.Settling, func(s Settling) bool { return s.Break.Field == ignored }) {
			t.Fatalf("%s is ignored, and %+v", ignored, c)
		}
		rest := slices.DeleteFunc(slices.Clone(whole.Breaks), func(b Break) bool { return b.Field == ignored })
		if !slices.Equal(idsOf(c.Breaks), idsOf(rest)) {
			t.Fatalf("%s is ignored, and the others are %q, want %q", ignored, idsOf(c.Breaks), idsOf(rest))
		}
	})
}

// Of three values, D5: ours = base ≠ theirs is an edit, theirs = base ≠ ours a
// write that was lost, and only when all differ it is a conflict.
func TestProperty_Compare_ThreeWay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		for _, b := range compared(i, w).Breaks {
			if b.Situation != Mismatch {
				continue
			}
			base := rapid.SampledFrom([]string{b.Expected, b.Observed, "7777777"}).Draw(t, "base")
			bases := []Base{{Field: b.Field, Item: b.Item, Value: base, At: placed}}
			c := Compare(i, judged, w.read(i.Order, now), bases, nil, now)
			n := slices.IndexFunc(c.Breaks, func(other Break) bool { return other.Field == b.Field && other.Item == b.Item })
			if n < 0 || c.Breaks[n].Base != base {
				t.Fatalf("with the base %q %s is %+v", base, b.ID(), c.Breaks)
			}
			further := b.Field == WarehouseShipment || b.Field == WarehouseReturn || b.Field == WarehouseLines || b.Field == PaymentAttempts
			third := base != b.Expected && base != b.Observed && !further && (!i.Paying || b.System != order.SystemPayment)
			if got := c.Breaks[n].Situation; third != (got == Conflict) {
				t.Fatalf("ours %q, base %q, theirs %q: %s", b.Expected, base, b.Observed, got)
			}
		}
	})
}

func TestProperty_Compare_Accepted_ExactlyAsLongAsItSaysThat(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		breaks := compared(i, w).Breaks
		if len(breaks) == 0 {
			return
		}
		b := rapid.SampledFrom(breaks).Draw(t, "break")
		accepted := Accept(i, b, now)
		if c := compared(accepted, w); slices.Contains(idsOf(c.Breaks), b.ID()) {
			t.Fatalf("%s was accepted, and is a break", b.ID())
		}
		if len(i.Accepted) != len(slices.DeleteFunc(slices.Clone(accepted.Accepted), func(a Base) bool {
			return a.Field == b.Field && a.Item == b.Item && !slices.Contains(i.Accepted, a)
		})) && !slices.ContainsFunc(i.Accepted, func(a Base) bool { return a.Field == b.Field && a.Item == b.Item }) {
			t.Fatalf("accepting %s changed the others: %+v", b.ID(), accepted.Accepted)
		}
		other := b
		other.Observed += "1" // what it does not say
		if c := compared(Accept(i, other, now), w); !slices.Contains(idsOf(c.Breaks), b.ID()) {
			t.Fatalf("%s is accepted, and %s is no break", other.Observed, b.Observed)
		}
	})
}

// What the warehouse has done beyond what was asked so far is news.
func TestProperty_Compare_Further_IsNoBreak(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		for n := range w.warehouse.Shipments {
			if s := &w.warehouse.Shipments[n]; s.State.Live() {
				states := []ShipmentState{ShipmentRequested, ShipmentAssigned, ShipmentPicked, ShipmentPacked, ShipmentShipped, ShipmentDelivered}
				s.State = rapid.SampledFrom(states[slices.Index(states, s.State):]).Draw(t, "state")
			}
		}
		for n := range w.warehouse.Returns {
			if r := &w.warehouse.Returns[n]; r.State.Live() {
				states := []ReturnState{ReturnExpected, ReturnReceived, ReturnRestocked}
				r.State = rapid.SampledFrom(states[slices.Index(states, r.State):]).Draw(t, "state")
			}
		}
		if c := compared(i, w); len(c.Breaks) > 0 {
			t.Fatalf("further is a break: %+v", c.Breaks)
		}
	})
}

func TestProperty_Compare_Back_IsABreak(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		states := []ShipmentState{ShipmentRequested, ShipmentAssigned, ShipmentPicked, ShipmentPacked, ShipmentShipped, ShipmentDelivered}
		for _, meant := range i.Shipments {
			n := slices.Index(states, meant.State)
			if n == 0 {
				continue
			}
			back := rapid.SampledFrom(states[:n]).Draw(t, "back")
			for k := range w.warehouse.Shipments {
				if s := &w.warehouse.Shipments[k]; s.Key == meant.Key && s.State.Live() {
					s.State = back
				}
			}
			want := Break{Field: WarehouseShipment, Situation: Mismatch, Item: meant.Key}.ID()
			if c := compared(i, w); !slices.Contains(idsOf(c.Breaks), want) {
				t.Fatalf("meant %s, the warehouse says %s: %q", meant.State, back, idsOf(c.Breaks))
			}
			return
		}
	})
}

func TestProperty_Compare_Split_NeverADuplicate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		if len(i.Shipments) == 0 {
			return
		}
		w.split(t)
		if c := compared(i, w); len(c.Breaks)+len(c.Settling) > 0 {
			t.Fatalf("split as %+v: breaks %+v, settling %+v", w.warehouse.Shipments, c.Breaks, c.Settling)
		}
		// One piece more of anything is a duplicate, wherever it is.
		extra := w.warehouse.Shipments[slices.IndexFunc(w.warehouse.Shipments, func(s Shipment) bool { return s.State.Live() })]
		extra.ID, extra.Lines = w.id(), []order.Quantity{{SKU: rapid.SampledFrom([]string{"A", "B", "C", "Z"}).Draw(t, "sku"), Quantity: 1}}
		w.warehouse.Shipments = append(w.warehouse.Shipments, extra)
		want := Break{Field: WarehouseDuplicate, Situation: Duplicate, Item: extra.Key}.ID()
		if c := compared(i, w); !slices.Contains(idsOf(c.Breaks), want) {
			t.Fatalf("%+v beside %+v is no duplicate: %+v", extra, w.warehouse.Shipments, c.Breaks)
		}
	})
}

func TestProperty_Compare_ForeignCurrency_NeverAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		without := compared(i, w)
		a := Attempt{
			ID: w.id(), State: rapid.SampledFrom([]AttemptState{AttemptOpen, AttemptAuthorized, AttemptCaptured, AttemptVoided}).Draw(t, "state"),
			Amount: 500, Held: rapid.Int64Range(0, 500).Draw(t, "held"), Captured: rapid.Int64Range(0, 500).Draw(t, "captured"), Currency: "CHF",
			Created: placed.Add(time.Duration(rapid.IntRange(-60, 60).Draw(t, "created")) * time.Minute),
		}
		a.Refunded = rapid.Int64Range(0, a.Captured).Draw(t, "refunded")
		kept := a.Held + a.Captured - a.Refunded
		w.payment.Attempts = append(w.payment.Attempts, a)
		c := compared(i, w)
		own := Break{Field: PaymentAttempts, Situation: Mismatch, Item: a.ID}.ID()
		rest := slices.DeleteFunc(idsOf(c.Breaks), func(id string) bool { return id == own })
		if slices.Contains(idsOf(c.Breaks), own) != (kept > 0 || a.State == AttemptOpen) || !slices.Equal(rest, idsOf(without.Breaks)) {
			t.Fatalf("%+v made %q of %q", a, idsOf(c.Breaks), idsOf(without.Breaks))
		}
		for _, b := range c.Breaks {
			if b.ID() == own && b.Observed != strconv.FormatInt(kept, 10)+" CHF" {
				t.Fatalf("of %+v it is said that the gateway has %s", a, b.Observed)
			}
		}
	})
}

// What was taken twice is known to the last unit, from the newest attempt that
// the order does not rely on, and no more of it than that attempt still keeps.
func TestProperty_Compare_Surplus_ToTheLastUnit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		if !i.Phase.PastPivot() || i.Captured != i.Total || len(i.Attempts) == 0 {
			return
		}
		var twice []string
		taken := int64(0)
		for range rapid.IntRange(1, 2).Draw(t, "more") {
			n := rapid.Int64Range(1, i.Total).Draw(t, "taken")
			a := Attempt{ID: w.id(), State: AttemptCaptured, Amount: n, Captured: n, Currency: i.Currency, Created: placed.Add(-time.Hour)}
			w.payment.Attempts = append(w.payment.Attempts, a)
			twice, taken = append(twice, a.ID), taken+n
		}
		found := int64(0)
		for _, b := range compared(i, w).Breaks {
			if b.Field != PaymentAttempts {
				continue
			}
			if b.Situation != Duplicate || !slices.Contains(twice, b.Item) {
				t.Fatalf("%+v is no surplus; taken twice were %q", b, twice)
			}
			found += number(b.Observed)
		}
		if disputed := disputedOf(w); disputed == 0 && found != taken || found > taken {
			t.Fatalf("%d was taken twice, %d is found, %d is or was in dispute", taken, found, disputed)
		}
	})
}

func disputedOf(w *world) int64 {
	sum := int64(0)
	for _, a := range w.payment.Attempts {
		sum += a.Disputed
	}
	return sum
}
