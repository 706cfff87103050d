package reconcile

import (
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

func TestProperty_Expect_SortedUniqueOfTheTable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, _ := drawLife(t)
		all := Expect(i, judged, now)
		for n, e := range all {
			if e.System != e.Field.System() || !slices.Contains(Fields(), e.Field) || e.Money < 0 {
				t.Fatalf("not of the table: %+v", e)
			}
			if e.Need == MustNot && number(e.Value) != 0 || e.Need == Must && e.Field.quantity() && number(e.Value) == 0 {
				t.Fatalf("the need and the value do not fit: %+v", e)
			}
			if n > 0 && (slices.Index(Fields(), all[n-1].Field) > slices.Index(Fields(), e.Field) || all[n-1].Field == e.Field && all[n-1].Item == e.Item) {
				t.Fatalf("not sorted or twice: %+v, %+v", all[n-1], e)
			}
		}
	})
}

// Every number that the order means stands in an expectation, to the last unit.
func TestProperty_Expect_SaysWhatIsMeant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, _ := drawLife(t)
		said := map[Field]int64{}
		items := map[Field]int{}
		for _, e := range Expect(i, judged, now) {
			said[e.Field] += number(e.Value)
			items[e.Field]++
		}
		invoiced, received, credited := int64(0), int64(0), int64(0)
		for _, d := range i.Invoices {
			invoiced += d.Total
		}
		for _, d := range i.Receipts {
			received += d.Total
		}
		for _, d := range i.Credits {
			credited += max(d.Total, -d.Total)
		}
		sale := int64(0)
		if i.Sale != nil {
			sale = i.Sale.Total
		}
		want := map[Field]int64{
			PaymentHeld: i.Held, PaymentCaptured: i.Captured, PaymentRefunded: i.Refunded, PaymentDisputed: 0,
			InventoryReserved: pieces(i.Reserved), ERPSale: sale, ERPInvoices: invoiced, ERPReceipts: received, ERPCredits: credited,
			ERPBalance: invoiced - credited - received, CRMRevenue: i.Revenue,
		}
		for f, n := range want {
			if said[f] != n {
				t.Fatalf("%s is expected to be %d, and the order means %d", f, said[f], n)
			}
		}
		if items[WarehouseShipment] != len(i.Shipments) || items[WarehouseLines] != len(i.Shipments) || items[WarehouseReturn] != len(i.Returns) {
			t.Fatalf("%v of %d shipments and %d returns", items, len(i.Shipments), len(i.Returns))
		}
		mails := 0
		for _, template := range Templates() {
			mails += items[MailField(template)]
		}
		if mails != len(i.Mails) {
			t.Fatalf("%d mails are expected of %d", mails, len(i.Mails))
		}
	})
}

func TestProperty_Expect_NotYet_WhileItSettles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, _ := drawLife(t)
		i.Mails = nil // a mail settles from its own event too
		s := drawSystem(t)
		since := now.Add(-time.Duration(rapid.IntRange(0, 120).Draw(t, "since")) * time.Second)
		i = written(i, s, since)
		if one(t, 4) {
			i.Busy = []order.System{s}
		}
		for _, e := range Expect(i, judged, now) {
			until := since.Add(judged.Rule(e.Field).Settling)
			notYet := e.System == s && (until.After(now) || len(i.Busy) > 0)
			if e.NotYet(now) != notYet || notYet && len(i.Busy) == 0 && !e.Until.Equal(until) {
				t.Fatalf("written %s ago: %+v", now.Sub(since), e)
			}
		}
	})
}

func TestProperty_Facts_SortedCountedAndNeverNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 3)
		for _, o := range w.read(i.Order, now) {
			all := factsFor(i, o)
			for n, f := range all {
				if f.System != o.System || f.Field.System() != o.System || f.Count < 1 || f.Value == "" && f.Field != WarehouseLines || f.Money < 0 || f.Field.quantity() && f.Value == "0" {
					t.Fatalf("no fact: %+v", f)
				}
				if n > 0 && all[n-1].Field == f.Field && all[n-1].Item == f.Item {
					t.Fatalf("twice: %+v, %+v", all[n-1], f)
				}
			}
			if again := factsFor(i, shuffleRecords(randomly(t), o)); !reflect.DeepEqual(again, all) {
				t.Fatalf("another order of records says\n%+v\nwant\n%+v", again, all)
			}
			for _, state := range []State{Absent, Unreadable} {
				o.State = state
				if got := factsFor(i, o); len(got) > 0 {
					t.Fatalf("%s, and it says %+v", state, got)
				}
			}
		}
	})
}

func TestProperty_Merge_Unreadable_KeepsTheLastKnown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 1)
		s := drawSystem(t)
		known := w.read(i.Order, now)
		want := known[at(s)]
		when := now
		for range rapid.IntRange(1, 4).Draw(t, "failures") {
			when = when.Add(time.Minute)
			known = Merge(known, down(s, when))
		}
		o := known[at(s)]
		memory, readable := o.lastKnown()
		want.Strong = false
		if len(known) != 6 || o.State != Unreadable || !o.At.Equal(when) || !o.LastRead.Equal(now) || !readable || !reflect.DeepEqual(memory, want) {
			t.Fatalf("memory is %+v, want %+v", o, want)
		}
		if c := Compare(i, judged, known, nil, nil, when); !slices.Equal(c.Unread, []order.System{s}) {
			t.Fatalf("unread is %v, want %s", c.Unread, s)
		}
		back := w.read(i.Order, when.Add(time.Minute))[at(s)]
		if known = Merge(known, back); !reflect.DeepEqual(known[at(s)], back) {
			t.Fatalf("read again, memory is %+v", known[at(s)])
		}
	})
}

func TestProperty_Merge_NewestOfEach_WhateverTheOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		newest := map[order.System]Observation{}
		var all []Observation
		for n := range rapid.IntRange(2, 4).Draw(t, "reads") {
			for _, o := range w.read(i.Order, now.Add(time.Duration(n)*time.Minute)) {
				if rapid.Bool().Draw(t, "read") {
					all, newest[o.System] = append(all, o), o
				}
			}
			drawEdit(t, i, w)
		}
		var merged []Observation
		for _, o := range shuffle(randomly(t), all) {
			merged = Merge(merged, o)
		}
		if len(merged) != len(newest) {
			t.Fatalf("%d systems were read, %d are known", len(newest), len(merged))
		}
		for n, o := range merged {
			if !reflect.DeepEqual(o, newest[o.System]) || n > 0 && at(merged[n-1].System) >= at(o.System) {
				t.Fatalf("known is %+v, the newest %+v", o, newest[o.System])
			}
		}
	})
}

func TestProperty_Fold_PagesOfOneOrder_AddUpOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		drawEdit(t, i, w)
		w.owing = 0 // two partial balances cannot know what belongs to no document
		for _, o := range w.read(i.Order, now) {
			// Each record is on one page or on both.
			a, b := pageOf(t, o), pageOf(t, o)
			sum := Fold(Fold(a, b), o)
			if got, want := Facts(sum), Facts(o); !reflect.DeepEqual(got, want) {
				t.Fatalf("folded facts are %+v, want %+v", got, want)
			}
			if sum.Strong {
				t.Fatal("pages are no strong read")
			}
		}
	})
}

func TestProperty_Fold_PartialIsNeverClean(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		o := w.read(i.Order, now)[at(drawSystem(t))]
		a, b := pageOf(t, o), pageOf(t, o)
		b.At = now.Add(time.Duration(rapid.IntRange(-60, 60).Draw(t, "seconds")) * time.Second)
		if rapid.Bool().Draw(t, "turned") {
			a, b = b, a
		}
		older := a.At
		if b.At.Before(older) {
			older = b.At
		}
		if sum := Fold(a, b); !sum.At.Equal(older) || sum.State != Present {
			t.Fatalf("the sum is %s as of %s, want the older %s", sum.State, sum.At, older)
		}
		a.State, a.Why = Unreadable, "page 2 cannot be read"
		for _, sum := range []Observation{Fold(a, b), Fold(b, a)} {
			if sum.State != Unreadable || sum.Why != a.Why || len(Facts(sum)) > 0 {
				t.Fatalf("a page cannot be read, and the sum is %+v", sum)
			}
		}
	})
}

// pageOf keeps some of an observation's records.
func pageOf(t *rapid.T, o Observation) Observation {
	mask := rapid.Uint64().Draw(t, "page")
	keep := func() bool { mask = mask>>1 | mask<<63; return mask&1 == 0 }
	if o.Payment != nil {
		o.Payment = &Payment{some(o.Payment.Attempts, keep)}
	}
	if o.Inventory != nil {
		o.Inventory = &Inventory{some(o.Inventory.Reservations, keep)}
	}
	if o.Warehouse != nil {
		o.Warehouse = &Warehouse{Shipments: some(o.Warehouse.Shipments, keep), Returns: some(o.Warehouse.Returns, keep)}
	}
	if o.ERP != nil {
		o.ERP = &ERP{Sales: some(o.ERP.Sales, keep), Invoices: some(o.ERP.Invoices, keep), Receipts: some(o.ERP.Receipts, keep), Credits: some(o.ERP.Credits, keep)}
	}
	if o.CRM != nil {
		o.CRM = &CRM{Contacts: some(o.CRM.Contacts, keep), Deals: some(o.CRM.Deals, keep), Carts: some(o.CRM.Carts, keep)}
	}
	if o.Mail != nil {
		o.Mail = &Mail{some(o.Mail.Messages, keep)}
	}
	o.Strong = false
	return o
}

func some[T any](all []T, keep func() bool) []T {
	return slices.DeleteFunc(slices.Clone(all), func(T) bool { return !keep() })
}

func TestProperty_Remember_NewestOfEach_Sorted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		newest := map[string]Base{}
		var all []Base
		name := func(b Base) string { return string(b.Field) + " " + b.Item }
		for n := range rapid.IntRange(1, 8).Draw(t, "bases") {
			b := Base{
				Field: rapid.SampledFrom(Fields()[:4]).Draw(t, "field"), Item: rapid.SampledFrom([]string{"", "x/9", "x/10"}).Draw(t, "item"),
				Value: strconv.Itoa(n), At: now.Add(time.Duration(n) * time.Second),
			}
			all, newest[name(b)] = append(all, b), b
		}
		var got []Base
		for _, b := range shuffle(randomly(t), all) {
			got = Remember(got, []Base{b})
		}
		if len(got) != len(newest) {
			t.Fatalf("%d are remembered of %d", len(got), len(newest))
		}
		for n, b := range got {
			if b != newest[name(b)] {
				t.Fatalf("remembered is %+v, the newest %+v", b, newest[name(b)])
			}
			if n > 0 && (slices.Index(Fields(), got[n-1].Field) > slices.Index(Fields(), b.Field) || got[n-1].Field == b.Field && got[n-1].Item == "x/10" && b.Item == "x/9") {
				t.Fatalf("not sorted: %+v", got)
			}
		}
		if !reflect.DeepEqual(Remember(got, got), got) {
			t.Fatalf("remembered twice is %+v", Remember(got, got))
		}
	})
}

// Two reads, at least the visibility lag apart, with the same values, the last
// of them strong, neither older than our own last write: only then.
func TestProperty_Confirm_OnlyWhatTwoReadsShow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		s := drawSystem(t)
		drawEdit(t, i, w, s)
		first := compared(i, w)
		lag := time.Duration(rapid.IntRange(0, 60).Draw(t, "lag")) * time.Second
		second := now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "later")) * time.Second)
		wrote := now.Add(-time.Hour)
		if one(t, 3) {
			wrote = second.Add(time.Duration(rapid.IntRange(-60, 0).Draw(t, "wrote")) * time.Second)
		}
		i = written(i, s, wrote)
		if one(t, 5) {
			i.Busy = []order.System{s}
		}
		c := Comparison{Breaks: first.Breaks}
		o := w.read(i.Order, second)[at(s)]
		o.Strong = !one(t, 4)
		if one(t, 5) {
			o.State = Unreadable
		}
		strong := rapid.Bool().Draw(t, "has strong reads")
		believe := o.State == Present && (o.Strong || !strong) && len(i.Busy) == 0 &&
			second.After(now) && second.Sub(now) >= lag && !now.Before(wrote)
		for n, b := range Confirm(i, c, o, Abilities{StrongLookup: strong, VisibilityLag: lag}, second) {
			want := first.Breaks[n]
			if want.System == s && believe {
				want.Confirmed = second
			}
			if b != want {
				t.Fatalf("confirmed is %+v, want %+v", b, want)
			}
		}
	})
}

// Another wrong value is not confirmed by the sight of the first.
func TestProperty_Confirm_AnotherValue_Anew(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		open := believed(i, judged, w, nil, now)
		later := now.Add(time.Minute)
		drawEdit(t, i, w)
		for _, b := range Compare(i, judged, w.read(i.Order, later), nil, open, later).Breaks {
			n := slices.Index(idsOf(open), b.ID())
			if n < 0 {
				continue
			}
			same := open[n].Observed == b.Observed && open[n].Expected == b.Expected
			if same != !b.Confirmed.IsZero() || same != b.SeenAs.Equal(open[n].SeenAs) || !b.FirstSeen.Equal(open[n].FirstSeen) {
				t.Fatalf("it was %+v, and is %+v", open[n], b)
			}
		}
	})
}

func TestProperty_Says_SameRecords_SameDigests(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		o := w.read(i.Order, now)[2]
		before := Says(o)
		if len(before) != len(w.warehouse.Shipments)+len(w.warehouse.Returns) {
			t.Fatalf("%d digests of %d records", len(before), len(w.warehouse.Shipments)+len(w.warehouse.Returns))
		}
		other := shuffleRecords(randomly(t), o)
		for n := range other.Warehouse.Shipments {
			other.Warehouse.Shipments[n].Version = "v2"
		}
		after := Says(other)
		slices.Sort(before)
		slices.Sort(after)
		if !slices.Equal(before, after) {
			t.Fatal("the order of the records or their version is news")
		}
		if n := len(w.warehouse.Shipments); n > 0 {
			s := &w.warehouse.Shipments[rapid.IntRange(0, n-1).Draw(t, "shipment")]
			was := *s
			rapid.SampledFrom([]func(){
				func() { s.State += "x" }, func() { s.Tracking = "X" }, func() { s.Address = "elsewhere" }, func() { s.ID = "x" }, func() { s.Key = "x" },
				func() { s.ShippedAt = now }, func() { s.DeliveredAt = now }, func() { s.LostAt = now },
				func() { s.Lines = append(slices.Clone(s.Lines), order.Quantity{SKU: "Q", Quantity: 1}) },
			}).Draw(t, "change")()
			after = Says(w.read(i.Order, now)[2])
			slices.Sort(after)
			if slices.Equal(before, after) {
				t.Fatalf("%+v and %+v say the same", was, *s)
			}
		}
	})
}

// Quantities are compared by what they add up to, however they are written.
func TestProperty_Canonical_Lines(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sums := map[string]int64{}
		var lines []order.Quantity
		for range rapid.IntRange(0, 6).Draw(t, "lines") {
			q := order.Quantity{
				Line: rapid.IntRange(0, 3).Draw(t, "line"), SKU: rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "sku"),
				Quantity: rapid.Int64Range(0, 3).Draw(t, "quantity"),
			}
			lines, sums[q.SKU] = append(lines, q), sums[q.SKU]+q.Quantity
		}
		want := ""
		for _, sku := range []string{"A", "B", "C"} {
			if sums[sku] > 0 && want != "" {
				want += " "
			}
			if sums[sku] > 0 {
				want += sku + "×" + strconv.FormatInt(sums[sku], 10)
			}
		}
		if got := canonicalLines(shuffle(randomly(t), lines)); got != want {
			t.Fatalf("%+v is %q, want %q", lines, got, want)
		}
	})
}
