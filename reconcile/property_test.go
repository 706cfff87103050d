package reconcile

import (
	"math/rand"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

// believed compares twice, as an order does, so that breaks are confirmed.
func believed(i Intent, p Policy, w *world, bases []Base, at time.Time) []Break {
	first := Compare(i, p, w.read(i.Order, at), bases, nil, at)
	later := at.Add(time.Second)
	observations := w.read(i.Order, later)
	c := Compare(i, p, observations, bases, first.Breaks, later)
	for _, o := range observations {
		c.Breaks = Confirm(i, c, o, Abilities{StrongLookup: true}, later)
	}
	return c.Breaks
}

func TestCompare_AgreeingObservations_NoBreak(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		w := agreeing(i)
		if rapid.Bool().Draw(t, "split") {
			w.split(t)
		}
		observations := w.read(i.Order, now)
		c := Compare(i, auto(), observations, nil, nil, now)
		if len(c.Breaks)+len(c.Settling)+len(c.Unread) > 0 {
			t.Fatalf("agreeing systems gave breaks %+v, settling %+v, unread %v", c.Breaks, c.Settling, c.Unread)
		}
		if v := Judge(i, auto(), observations, c, nil, true, now); v.Agreement != Agreed {
			t.Fatalf("agreement of agreeing systems is %s:\n%s", v.Agreement, v.Table())
		}
	})
}

func TestCompare_OrderOfInput_Irrelevant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		w := agreeing(i)
		observations := w.read(i.Order, now.Add(-time.Minute))
		for range rapid.IntRange(0, 3).Draw(t, "damages") {
			damage(t, i, w)
			for _, o := range w.read(i.Order, now.Add(-time.Duration(rapid.IntRange(0, 2).Draw(t, "age"))*time.Second)) {
				o.Strong = rapid.Bool().Draw(t, "strong")
				if rapid.IntRange(0, 4).Draw(t, "unreadable") == 0 {
					o = Observation{System: o.System, Order: o.Order, State: Unreadable, At: o.At, Why: "down"}
				}
				observations = append(observations, o)
			}
		}
		want := Compare(i, auto(), observations, nil, nil, now)
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "shuffle")))
		shuffled := slices.Clone(observations)
		r.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
		for n := range shuffled {
			shuffled[n] = shuffleRecords(r, shuffled[n])
		}
		got := Compare(i, auto(), shuffled, nil, nil, now)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("another order of input gave\n%+v\nwant\n%+v", got, want)
		}
		steps := Plan(auto(), i, want.Breaks, observations, nil)
		slices.Reverse(got.Breaks)
		if again := Plan(auto(), i, got.Breaks, shuffled, nil); !reflect.DeepEqual(again, steps) {
			t.Fatalf("another order of input planned\n%+v\nwant\n%+v", again, steps)
		}
	})
}

func shuffleRecords(r *rand.Rand, o Observation) Observation {
	if o.Payment != nil {
		all := slices.Clone(o.Payment.Attempts)
		r.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		o.Payment = &Payment{all}
	}
	if o.Inventory != nil {
		all := slices.Clone(o.Inventory.Reservations)
		r.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		o.Inventory = &Inventory{all}
	}
	if o.Warehouse != nil {
		all, back := slices.Clone(o.Warehouse.Shipments), slices.Clone(o.Warehouse.Returns)
		r.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		r.Shuffle(len(back), func(a, b int) { back[a], back[b] = back[b], back[a] })
		o.Warehouse = &Warehouse{Shipments: all, Returns: back}
	}
	if o.ERP != nil {
		e := *o.ERP
		for _, list := range []*[]Document{&e.Sales, &e.Invoices, &e.Receipts, &e.Credits} {
			*list = slices.Clone(*list)
			r.Shuffle(len(*list), func(a, b int) { (*list)[a], (*list)[b] = (*list)[b], (*list)[a] })
		}
		o.ERP = &e
	}
	return o
}

func TestCompare_Unreadable_NeitherBreakNorAgreementNorAction(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		w := agreeing(i)
		damage(t, i, w)
		system := rapid.SampledFrom(order.Systems()).Draw(t, "system")
		known := believed(i, auto(), w, nil, now)
		observations := w.read(i.Order, now)
		for n, o := range observations {
			if o.System == system {
				observations[n] = Observation{System: system, Order: i.Order, State: Unreadable, At: now, Why: "connection refused"}
			}
		}
		c := Compare(i, auto(), observations, nil, nil, now)
		for _, b := range c.Breaks {
			if b.System == system {
				t.Fatalf("an unreadable system broke: %+v", b)
			}
		}
		for _, b := range c.Agreed {
			if b.Field.System() == system {
				t.Fatalf("an unreadable system agreed: %+v", b)
			}
		}
		if !slices.Contains(c.Unread, system) {
			t.Fatalf("unread is %v, want %s in it", c.Unread, system)
		}
		for _, s := range Plan(auto(), i, known, observations, nil) {
			if s.Break.System == system && s.Decision != Report {
				t.Fatalf("acted on an unreadable system: %+v", s)
			}
		}
		if v := Judge(i, auto(), observations, c, nil, true, now); v.Agreement == Agreed && i.Phase != order.PhaseReceived && system != order.SystemMail {
			t.Fatalf("agreed although %s was unreadable:\n%s", system, v.Table())
		}
	})
}

func TestPlan_Unconfirmed_OnlyReported(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		w := agreeing(i)
		damage(t, i, w)
		observations := w.read(i.Order, now)
		for _, s := range Plan(auto(), i, Compare(i, auto(), observations, nil, nil, now).Breaks, observations, nil) {
			if s.Decision != Report {
				t.Fatalf("acted on an unconfirmed break: %+v", s)
			}
		}
	})
}

func TestPlan_Applied_LeavesNothingToRepair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		w := agreeing(i)
		bases := Compare(i, auto(), w.read(i.Order, now), nil, nil, now).Agreed
		if rapid.Bool().Draw(t, "without bases") {
			bases = nil
		}
		var damages []string
		for range rapid.IntRange(1, 3).Draw(t, "damages") {
			damages = append(damages, damage(t, i, w))
		}
		i = adoptAll(i, w, bases)
		before := w.total(i)
		moved := int64(0)
		for _, s := range plan(i, w, bases) {
			if s.Decision == Repair {
				moved += w.apply(i, s)
			}
		}
		if moved > i.Total || before+moved > max(before, i.Captured) || before+moved < min(before, i.Captured-i.Refunded) {
			t.Fatalf("after %v, with %d kept, %d was moved; the order means %d − %d of %d", damages, before, moved, i.Captured, i.Refunded, i.Total)
		}
		// Repairing a parent may leave its child for the next plan, but no more.
		for _, s := range plan(i, w, bases) {
			if s.Decision == Repair {
				t.Fatalf("after %v the second plan still repairs %+v", damages, s)
			}
		}
	})
}

// plan reads, confirms and plans.
func plan(i Intent, w *world, bases []Base) []Step {
	breaks := believed(i, auto(), w, bases, now)
	return Plan(auto(), i, breaks, w.read(i.Order, now.Add(time.Second)), bases)
}

// adoptAll takes over what the gateway moved by itself, as the order would
// before anything else, and accepts what cannot be undone.
func adoptAll(i Intent, w *world, bases []Base) Intent {
	for _, s := range plan(i, w, bases) {
		if s.Decision != Adopt {
			continue
		}
		switch s.Break.Field {
		case PaymentCaptured:
			i.Captured = number(s.Break.Observed)
			i.Held = max(0, i.Held-(number(s.Break.Observed)-number(s.Break.Expected)))
		case PaymentRefunded:
			i.Refunded = number(s.Break.Observed)
		default:
			i = Accept(i, s.Break, now)
		}
	}
	return i
}

// total is the money that the gateway keeps.
func (w *world) total(i Intent) int64 {
	m := moneyOf(i, w.payment.Attempts)
	return m.captured - m.refunded
}

func TestPlan_Report_NeverActs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		w := agreeing(i)
		damage(t, i, w)
		mode := rapid.SampledFrom([]Mode{ModeReport, ModeAsk, ModeIgnore}).Draw(t, "mode")
		for _, s := range Plan(Default().WithMode(mode), i, believed(i, auto(), w, nil, now), w.read(i.Order, now), nil) {
			if s.Decision == Repair || s.Decision == Adopt || s.Decision == Ask && mode != ModeAsk {
				t.Fatalf("mode %s gave %+v", mode, s)
			}
		}
	})
}

func TestJudge_NeverLies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		i.Phase = rapid.SampledFrom([]order.Phase{
			order.PhaseReceived, order.PhasePaying, order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered, order.PhaseClosed,
			order.PhaseCancelling, order.PhaseCancelled, order.PhaseFailing, order.PhaseFailed,
		}).Draw(t, "phase")
		w := agreeing(i)
		for range rapid.IntRange(0, 2).Draw(t, "damages") {
			damage(t, i, w)
		}
		observations := w.read(i.Order, now)
		truth := observations
		if rapid.Bool().Draw(t, "down") {
			system := rapid.SampledFrom(order.Systems()).Draw(t, "system")
			observations = Merge(observations, Observation{System: system, Order: i.Order, State: Unreadable, At: now.Add(time.Second), Why: "down"})
		}
		c := Compare(i, auto(), observations, nil, nil, now)
		v := Judge(i, auto(), observations, c, nil, true, now)
		if (v.Outcome == Failed || v.Outcome == Cancelled) && (holdsMoney(*truth[0].Payment) || holdsGoods(*truth[2].Warehouse)) {
			t.Fatalf("outcome is %s while something is held:\n%s", v.Outcome, v.Table())
		}
		if v.Outcome == Succeeded && !i.Phase.PastPivot() {
			t.Fatalf("succeeded in phase %s", i.Phase)
		}
		checkText(t, v)
	})
}

func TestBreak_IDsStableAndUnique(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		w := agreeing(i)
		for range rapid.IntRange(1, 4).Draw(t, "damages") {
			damage(t, i, w)
		}
		first := Compare(i, auto(), w.read(i.Order, now), nil, nil, now)
		later := now.Add(time.Hour)
		second := Compare(i, auto(), w.read(i.Order, later), nil, first.Breaks, later)
		if len(first.Breaks) != len(second.Breaks) {
			t.Fatalf("first %d breaks, then %d", len(first.Breaks), len(second.Breaks))
		}
		var ids []string
		for n, b := range second.Breaks {
			if b.ID() != first.Breaks[n].ID() || !b.FirstSeen.Equal(now) {
				t.Fatalf("break %s seen %s became %s seen %s", first.Breaks[n].ID(), now, b.ID(), b.FirstSeen)
			}
			ids = append(ids, b.ID())
		}
		if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Fatalf("ids are not sorted and unique: %q", ids)
		}
	})
}

func TestMerge_Unreadable_KeepsTheLastKnown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		w := agreeing(i)
		known := w.read(i.Order, now)
		at := now
		for range rapid.IntRange(1, 4).Draw(t, "failures") {
			at = at.Add(time.Minute)
			known = Merge(known, Observation{System: order.SystemERP, Order: i.Order, State: Unreadable, At: at, Why: "down"})
		}
		o := known[3]
		memory, readable := o.lastKnown()
		if len(known) != 6 || o.State != Unreadable || !o.At.Equal(at) || !o.LastRead.Equal(now) || !readable || !memory.At.Equal(now) || memory.ERP == nil {
			t.Fatalf("memory is %+v", o)
		}
		c := Compare(i, auto(), known, nil, nil, at)
		if !slices.Equal(c.Unread, []order.System{order.SystemERP}) {
			t.Fatalf("unread is %v", c.Unread)
		}
		if v := Judge(i, auto(), known, c, nil, true, at); v.Agreement != AgreeUnknown || v.Read[3].State != Unreadable {
			t.Fatalf("agreement is %s, read %+v", v.Agreement, v.Read[3])
		}
		back := w.read(i.Order, at.Add(time.Minute))[3]
		if known = Merge(known, back); !reflect.DeepEqual(known[3], back) {
			t.Fatalf("read again, memory is %+v", known[3])
		}
	})
}

func TestFold_PagesOfOneOrder_AddUpOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i := drawIntent(t)
		w := agreeing(i)
		damage(t, i, w)
		for _, o := range w.read(i.Order, now) {
			// Each record is on one page or on both.
			a, b := split(t, o), split(t, o)
			sum := Fold(Fold(a, b), o)
			if got, want := Facts(sum), Facts(o); o.System != order.SystemCRM && !reflect.DeepEqual(got, want) {
				t.Fatalf("folded facts are %+v, want %+v", got, want)
			}
		}
	})
}

// split keeps some of an observation's records.
func split(t *rapid.T, o Observation) Observation {
	keep := func() bool { return rapid.Bool().Draw(t, "keep") }
	if o.Payment != nil {
		o.Payment = &Payment{slices.DeleteFunc(slices.Clone(o.Payment.Attempts), func(Attempt) bool { return keep() })}
	}
	if o.Warehouse != nil {
		o.Warehouse = &Warehouse{
			Shipments: slices.DeleteFunc(slices.Clone(o.Warehouse.Shipments), func(Shipment) bool { return keep() }),
			Returns:   slices.DeleteFunc(slices.Clone(o.Warehouse.Returns), func(Return) bool { return keep() }),
		}
	}
	if o.ERP != nil {
		e := *o.ERP
		for _, list := range []*[]Document{&e.Sales, &e.Invoices, &e.Receipts, &e.Credits} {
			*list = slices.DeleteFunc(slices.Clone(*list), func(Document) bool { return keep() })
		}
		o.ERP = &e
	}
	if o.Mail != nil {
		o.Mail = &Mail{slices.DeleteFunc(slices.Clone(o.Mail.Messages), func(Message) bool { return keep() })}
	}
	o.Strong = false
	return o
}

func TestFold_States(t *testing.T) {
	t.Parallel()
	present := Observation{System: order.SystemMail, Order: "42", State: Present, At: now, Mail: &Mail{}}
	absent := Observation{System: order.SystemMail, Order: "42", State: Absent, At: now.Add(-time.Second)}
	unread := Observation{System: order.SystemMail, Order: "42", State: Unreadable, At: now, Why: "down"}
	tests := []struct {
		a, b Observation
		want State
	}{
		{present, absent, Present}, {absent, absent, Absent}, {present, unread, Unreadable}, {unread, absent, Unreadable},
	}
	for _, tt := range tests {
		for _, o := range []Observation{Fold(tt.a, tt.b), Fold(tt.b, tt.a)} {
			if o.State != tt.want || o.State == Unreadable && o.Why != "down" || o.Strong {
				t.Errorf("%s and %s fold to %+v", tt.a.State, tt.b.State, o)
			}
		}
	}
	if o := Fold(present, absent); !o.At.Equal(absent.At) {
		t.Errorf("the sum is as of %s, want the older %s", o.At, absent.At)
	}
}
