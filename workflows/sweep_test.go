package workflows_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// deaf is a world in which nobody announces anything and no change is followed:
// what a sweep finds there was found by the sweep.
func deaf(t *testing.T, o virtual.Options) *world {
	t.Helper()
	o.FollowEvery = 10_000 * time.Hour
	if o.Pace.Return == 0 {
		o.Pace = byHand
	}
	w := open(t, o)
	w.Payment.Frame().HandleNotifications("", simulator.Drop)
	w.CRM.Frame().HandleNotifications("", simulator.Drop)
	return w
}

// firstDay is the day on which every virtual world begins.
var firstDay = reconciliation.DayOf(virtual.Start)

// sweep sweeps a day at an age; the report is there when the world has ended.
func (w *world) sweep(age time.Duration, in workflows.SweepInput) *reconciliation.RunReport {
	report := &reconciliation.RunReport{}
	w.At(age, "sweep "+in.Day.Format(time.DateOnly), func() {
		w.Later(func(ctx context.Context) {
			var err error
			*report, err = w.Client.Sweep(ctx, in)
			w.Check(err)
		})
	})
	return report
}

func (w *world) coverage() reconciliation.Coverage {
	w.t.Helper()
	s, err := w.Client.Status(w.t.Context())
	w.Check(err)
	return s.Coverage
}

func named(lines []string, of string) bool {
	return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, of+":") })
}

func TestSweep_PlantedInEachSystem_FoundThoughNothingWasAnnounced(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		planted := []struct {
			of, edit string
			desk     simulator.Desk
		}{
			{"voided", `{"order":"voided","void":true}`, w.Payment},
			{"unreserved", `{"order":"unreserved","delete":true}`, w.Inventory},
			{"stopped", `{"order":"stopped","cancel":true}`, w.Warehouse},
			{"unsold", `{"order":"unsold","kind":"sale","delete":true}`, w.ERP},
			{"lost", `{"order":"lost","stage":"lost"}`, w.CRM},
			{"told-twice", `{"do":"put","order":"told-twice","key":"order/told-twice/send/1","template":"confirmation","occasion":1}`, w.Mail},
		}
		for _, p := range planted {
			w.submit(time.Minute, anOrder(p.of))
			w.At(2*time.Hour, "edit "+p.of, func() { w.edit(p.desk, p.edit) })
		}
		w.submit(time.Minute, anOrder("well"))
		written := map[string]int{}
		dry := w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay, DryRun: true})
		w.At(18*time.Hour-time.Minute, "before", func() {
			for _, p := range planted {
				written[p.of] = w.written(order.ID(p.of))
			}
		})
		w.At(18*time.Hour+30*time.Minute, "what the dry run left", func() {
			for _, p := range planted {
				if n := w.written(order.ID(p.of)); n != written[p.of] {
					t.Errorf("a dry run wrote %d times about order %s", n-written[p.of], p.of)
				}
			}
			if c := w.coverage(); !c.Through.IsZero() || len(c.Partial) > 0 {
				t.Errorf("a dry run covered %+v", c)
			}
			if ids := w.IDs("inbox/"); len(ids) > 0 {
				t.Errorf("a dry run left %v", ids)
			}
		})
		swept := w.sweep(19*time.Hour, workflows.SweepInput{Day: firstDay})
		w.At(20*time.Hour, "after", func() {
			if c := w.coverage(); !c.Through.Equal(firstDay.Add(day)) {
				t.Errorf("after a complete sweep the coverage is %+v", c)
			}
			if s := w.story("lost"); s.Deal != "won" {
				t.Errorf("the lost deal is %s, and was not set again", s.Deal)
			}
		})
		w.Run(24 * time.Hour)
		if mails := w.mails("voided"); !slices.Contains(mails, "question") {
			t.Errorf("whose payment was voided got the mails %v, and was not asked", mails)
		}
		for what, r := range map[string]*reconciliation.RunReport{"dry run": dry, "sweep": swept} {
			if r.Looked != len(planted)+1 || !r.Complete() {
				t.Errorf("the %s looked at %d orders: %s", what, r.Looked, r.SweptText())
			}
			if r.Suspects != len(planted) || r.Found < len(planted)-1 {
				t.Errorf("the %s suspects %d orders and found %d breaks, want %d", what, r.Suspects, r.Found, len(planted))
			}
			for _, p := range planted {
				// What an order takes up by itself once it looks is no break of its any more.
				if !named(r.Lines, p.of) && p.of != "voided" {
					t.Errorf("the %s says nothing of %s:\n%s", what, p.of, strings.Join(r.Lines, "\n"))
				}
			}
			if named(r.Lines, "well") {
				t.Errorf("the %s found something where all is well:\n%s", what, strings.Join(r.Lines, "\n"))
			}
		}
		if dry.Repaired != 0 || swept.Repaired == 0 {
			t.Errorf("the dry run repaired %d, the sweep %d", dry.Repaired, swept.Repaired)
		}
		saysWhatIsDone(t, dry, swept)
	})
}

// saysWhatIsDone holds a dry sweep against the sweep after it.
func saysWhatIsDone(t *testing.T, dry, swept *reconciliation.RunReport) {
	t.Helper()
	if dry.Would == nil || *dry.Would != done(swept) || dry.Found != swept.Found || dry.Suspects != swept.Suspects {
		t.Errorf("the dry run said %+v of %d breaks; the sweep did %+v of %d", dry.Would, dry.Found, done(swept), swept.Found)
	}
	if !slices.Equal(dry.Lines, swept.Lines) {
		t.Errorf("the dry run said\n%s\nthe sweep did\n%s", strings.Join(dry.Lines, "\n"), strings.Join(swept.Lines, "\n"))
	}
}

// A dry sweep says what a sweep does: also what it would not be granted any more, and
// what is left to an incident, because of what it would have done in earlier shards.
func TestSweep_DryRun_SaysExactlyWhatASweepDoes(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		name    string
		options virtual.Options
		want    reconciliation.Done
	}{
		{"auto", virtual.Options{}, reconciliation.Done{Repaired: 5}},
		{"ask", virtual.Options{Policy: "mode: ask\nreturn_window: 24h\n"}, reconciliation.Done{Cases: 5}},
		{"report", virtual.Options{Policy: "mode: report\nreturn_window: 24h\n"}, reconciliation.Done{Left: 5}},
		{"three repairs", virtual.Options{BudgetCount: 3}, reconciliation.Done{Repaired: 3, Left: 2}},
		{"an incident", virtual.Options{Incident: reconcile.Thresholds{Orders: 2, Percent: 50, Most: 1}}, reconciliation.Done{Left: 5}},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				s.options.SweepShard = 2
				w := deaf(t, s.options)
				for _, id := range []string{"1", "2", "3", "4", "5"} {
					w.submit(time.Minute, anOrder(id))
					w.At(2*time.Hour, "edit", func() { w.edit(w.CRM, `{"order":"`+id+`","stage":"lost"}`) })
				}
				var was reconciliation.Status
				effects := 0
				w.At(18*time.Hour-time.Minute, "before", func() { was, effects = w.status(), w.written("") })
				dry := w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay, DryRun: true})
				w.At(18*time.Hour+time.Minute, "after", func() {
					is := w.status()
					if w.written("") != effects || is.NextGrant != was.NextGrant || len(is.Groups) > 0 || len(is.Reports) != len(was.Reports) || len(is.Spent) != len(was.Spent) {
						t.Errorf("the dry run had %d effects; reconciliation was\n%+v\nand is\n%+v", w.written("")-effects, was, is)
					}
					for _, id := range w.IDs("order/") {
						if l := w.Published(id); len(l.Breaks) > 0 {
							t.Errorf("the dry run told %s, which has %v now", id, l.Breaks)
						}
					}
				})
				swept := w.sweep(18*time.Hour+2*time.Minute, // by then the same budget is free at the same moment
					workflows.SweepInput{Day: firstDay})
				w.Run(20 * time.Hour)
				if done(swept) != s.want || swept.Swept.Shards != 3 || swept.Found != 5 {
					t.Errorf("the sweep did %+v in %d shards, want %+v", done(swept), swept.Swept.Shards, s.want)
				}
				// What an order or an incident knows of is no exception, also where nothing is done about it.
				if left := swept.Swept.Exceptions; len(left) > 0 {
					t.Errorf("orders are exceptions of the sweep: %+v", left)
				}
				saysWhatIsDone(t, dry, swept)
			})
		})
	}
}

func TestSweep_SystemDown_PartialUntilItIsSweptAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		w.submit(time.Minute, anOrder("1"))
		w.At(17*time.Hour, "the CRM is down, the ERP limits", func() {
			w.inject(w.CRM, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
			w.inject(w.ERP, simulator.Fault{Operation: "list", Kind: simulator.RateLimited, Times: 2})
			w.edit(w.ERP, `{"order":"1","kind":"sale","delete":true}`)
		})
		partial := w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay})
		w.At(19*time.Hour, "partial", func() {
			c := w.coverage()
			if !c.Through.IsZero() || len(c.Partial) != 1 || len(c.Partial[0].Unread) != 1 || !strings.HasPrefix(c.Partial[0].Unread[0], "crm:") {
				t.Errorf("with the CRM down the coverage is %+v", c)
			}
			w.CRM.Frame().Clear("*")
		})
		whole := w.sweep(20*time.Hour, workflows.SweepInput{Day: firstDay})
		w.At(21*time.Hour, "whole", func() {
			if c := w.coverage(); !c.Through.Equal(firstDay.Add(day)) || len(c.Partial) > 0 {
				t.Errorf("with the CRM back the coverage is %+v", c)
			}
		})
		w.Run(22 * time.Hour)
		if partial.Complete() || !slices.Equal(partial.Unread, []order.System{order.SystemCRM}) {
			t.Errorf("with the CRM down the sweep says %s", partial.SweptText())
		}
		if !named(partial.Lines, "1") {
			t.Errorf("one system being down hid another's break:\n%s", strings.Join(partial.Lines, "\n"))
		}
		if !whole.Complete() {
			t.Errorf("with the CRM back the sweep says %s", whole.SweptText())
		}
	})
}

func TestSweep_InvoicedDaysLater_IsNoBreak(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		w.submit(time.Minute, anOrder("1"))
		w.leaves(6*day, "1", newest) // later than records of the first day's orders are listed
		w.At(6*day+time.Minute, "the feeds are followed again", func() {
			w.Check(w.Client.Notify(t.Context(), reconciliation.Notices{Order: "1", Notices: []reconciliation.Notice{
				{ID: "feed/x", System: order.SystemWarehouse, Type: "changed", At: w.Now()},
			}}))
		})
		swept := w.sweep(6*day+12*time.Hour, workflows.SweepInput{Day: firstDay})
		later := w.sweep(7*day+20*time.Hour, workflows.SweepInput{Day: firstDay.Add(6 * day)})
		w.Run(8 * day)
		if s := w.story("1"); s.Invoices != 1 {
			t.Fatalf("the order has %d invoices: the test shows nothing", s.Invoices)
		}
		for _, r := range []*reconciliation.RunReport{swept, later} {
			if r.Found != 0 || r.Suspects != 0 || !r.Complete() {
				t.Errorf("%s: %d suspects\n%s", r.SweptText(), r.Suspects, strings.Join(r.Lines, "\n"))
			}
		}
		if swept.Looked != 1 || swept.Swept.LookedUp != 1 {
			t.Errorf("the invoice is not in the listing, and was not looked up: %s", swept.SweptText())
		}
		if later.Looked != 0 || later.Records == 0 || later.Swept.Kept != 0 {
			t.Errorf("records of another day's order were not passed over: %s", later.SweptText())
		}
	})
}

func TestSweep_NoOrderClaimsIt_WaitsInTheInboxAndNeverStartsAnOrder(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		w.submit(time.Minute, anOrder("1"))
		w.At(2*time.Hour, "records that no order claims", func() { w.plantOrphans() })
		w.At(16*time.Hour+30*time.Minute, "and others, which the next day's sweep will find", func() {
			_, err := w.Payment.Start("nobody", payment.Checkout{Amount: 900, Currency: "eur", Channel: "shop", Bare: true})
			w.Check(err)
			w.edit(w.CRM, `{"order":"tomorrow","stage":"won"}`)
		})
		dry := w.sweep(17*time.Hour, workflows.SweepInput{Day: firstDay, DryRun: true})
		w.At(18*time.Hour-time.Minute, "before", func() {
			if ids := w.IDs("inbox/"); len(ids) > 0 {
				t.Errorf("a dry run left %v", ids)
			}
		})
		swept := w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay})
		again := w.sweep(18*time.Hour+30*time.Minute, workflows.SweepInput{Day: firstDay})
		w.At(20*time.Hour, "after", func() {
			var systems []string
			for _, id := range w.IDs("inbox/") {
				systems = append(systems, strings.Split(id, "/")[1])
				if l := w.Published(id); l.Agreement != "needs_person" {
					t.Errorf("after two hours %s is no case: %+v", id, l)
				}
			}
			slices.Sort(systems)
			if want := []string{"crm", "erp", "inventory", "mail", "payment", "warehouse"}; !slices.Equal(slices.Compact(systems), want) {
				t.Errorf("the inbox has records of %v, want %v", systems, want)
			}
		})
		w.Run(21 * time.Hour)
		if dry.Swept.Kept != orphansPlanted || swept.Swept.Kept != orphansPlanted || again.Swept.Kept != orphansPlanted {
			t.Errorf("of %d records that no order claims the dry run saw %d, the sweep %d and the next one %d:\n%s",
				orphansPlanted, dry.Swept.Kept, swept.Swept.Kept, again.Swept.Kept, strings.Join(swept.Lines, "\n"))
		}
		if n := len(w.IDs("inbox/")); n != orphansPlanted {
			t.Errorf("%d inboxes for %d records: %v", n, orphansPlanted, w.IDs("inbox/"))
		}
		if ids := w.IDs("order/"); len(ids) != 1 {
			t.Errorf("records started orders: %v", ids)
		}
	})
}

// A sale and an invoice are numbered apart: number 2 of each is one record for
// whoever decides.
func TestSweep_TwoDocumentsOfOneNumber_TwoInboxes(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Pace: byHand, FollowEvery: 15 * time.Minute})
		w.unannounced()
		w.submit(time.Minute, anOrder("1"))
		w.leaves(time.Hour, "1", 1)
		w.At(3*time.Hour, "somebody copies the sale and the invoice", func() {
			w.edit(w.ERP, `{"order":"1","kind":"sale","again":true,"reference":"order/oops"}`)
			w.edit(w.ERP, `{"order":"1","kind":"invoice","again":true,"reference":"order/oops"}`)
		})
		swept := w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay})
		w.At(20*time.Hour, "each is a case", func() {
			ids := w.IDs("inbox/")
			if len(ids) != 2 || swept.Swept.Kept != 2 {
				t.Errorf("for two records the sweep kept %d, and the inboxes are %v", swept.Swept.Kept, ids)
			}
			for record, kind := range map[string]string{"2": "sale", "invoice-2": "invoice"} {
				k := w.unclaimed(order.SystemERP, record)
				if len(k.Notices) != 1 || k.Notices[0].Type != kind {
					t.Errorf("what was heard of %s is %+v", record, k.Notices)
				}
			}
		})
		w.Run(21 * time.Hour)
	})
}

// orphansPlanted is how many records plantOrphans leaves.
const orphansPlanted = 7

// plantOrphans leaves, in each system, a record that carries our channel or a
// reference of ours, and that no order claims.
func (w *world) plantOrphans() {
	_, err := w.Payment.Start("nobody", payment.Checkout{Amount: 500, Currency: "eur", Channel: "shop"})
	w.Check(err)
	_, err = w.Payment.Start("nobody", payment.Checkout{Amount: 700, Currency: "eur", Channel: "shop", Bare: true})
	w.Check(err)
	w.edit(w.Inventory, `{"order":"ghost","reserved":{"MUG":1}}`)
	w.edit(w.Warehouse, `{"order":"1","reference":"order/oops"}`)
	w.edit(w.ERP, `{"order":"1","kind":"sale","again":true,"reference":"order/oops"}`)
	w.edit(w.CRM, `{"order":"stranger","stage":"won"}`)
	w.edit(w.Mail, `{"do":"put","order":"unheard","key":"order/unheard/send/1","template":"confirmation","occasion":1}`)
}

func TestSweeps_EachSealedDayOnceAndAgainWhenItIsOlder(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{SweepEvery: 6 * time.Hour})
		w.submit(time.Minute, anOrder("1"))
		runs := func(n int) int {
			s, err := w.Client.Status(t.Context())
			w.Check(err)
			runs := 0
			for _, r := range s.Reports {
				if r.Swept != nil && r.Swept.Day.Equal(firstDay.Add(time.Duration(n)*day)) {
					runs++
				}
			}
			return runs
		}
		w.At(17*time.Hour, "before the first day is sealed and a run is due", func() {
			if n := runs(0); n != 0 {
				t.Errorf("an unsealed day was swept %d times", n)
			}
		})
		w.At(40*time.Hour, "the first day was swept", func() {
			if n := runs(0); n != 1 {
				t.Errorf("the first day was swept %d times in two days, want 1", n)
			}
			w.edit(w.CRM, `{"order":"1","stage":"lost"}`)
		})
		w.At(60*time.Hour, "within three days of the day's beginning", func() {
			if s := w.story("1"); s.Deal != "lost" {
				t.Errorf("the deal is %s before the day was swept again", s.Deal)
			}
		})
		w.At(5*day, "after three days", func() {
			if s := w.story("1"); s.Deal != "won" {
				t.Errorf("the day was swept again, and the deal is %s", s.Deal)
			}
			if got := []int{runs(0), runs(1), runs(2), runs(3)}; !slices.Equal(got, []int{2, 2, 2, 1}) {
				t.Errorf("the first four days were swept %v times", got)
			}
			if c := w.coverage(); !c.Through.Equal(firstDay.Add(4*day)) && !c.Through.Equal(firstDay.Add(5*day)) {
				t.Errorf("after five days it is swept through %s", c.Through)
			}
		})
		w.Run(5*day + time.Hour)
	})
}

func TestSweeps_OrderThatCannotBeRead_IsAskedAgainUntilItCan(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{SweepEvery: 6 * time.Hour})
		w.submit(time.Minute, anOrder("poison"))
		w.submit(time.Minute, anOrder("zebra"))
		w.At(2*time.Hour, "plant", func() {
			w.edit(w.ERP, `{"order":"poison","kind":"sale","delete":true}`)
			w.edit(w.CRM, `{"order":"zebra","stage":"lost"}`)
			w.inject(w.ERP, simulator.Fault{Operation: "lookup", Order: "poison", Kind: simulator.Garbage, Times: -1})
		})
		exceptions := func() []reconciliation.Exception { return w.coverage().Exceptions }
		w.At(20*time.Hour, "the day was swept", func() {
			e := exceptions()
			if len(e) != 1 || e[0].Order != "poison" || e[0].Tries != 1 {
				t.Errorf("the exceptions are %+v", e)
			}
			if c := w.coverage(); !c.Through.Equal(firstDay.Add(day)) {
				t.Errorf("one order held up the day: %+v", c)
			}
			if s := w.story("zebra"); s.Deal != "won" {
				t.Errorf("one order held up the next: its deal is %s", s.Deal)
			}
		})
		w.At(32*time.Hour, "it was asked again", func() {
			if e := exceptions(); len(e) != 1 || e[0].Tries < 2 {
				t.Errorf("the exceptions are %+v", e)
			}
			w.ERP.Frame().Clear("*")
		})
		w.At(50*time.Hour, "it can be read", func() {
			if e := exceptions(); len(e) != 0 {
				t.Errorf("the exceptions are %+v", e)
			}
			if v := w.Verdict("poison"); len(v.Cases) != 1 {
				t.Errorf("its sale is gone, and nobody is asked: %s", v.Table())
			}
		})
		w.Run(51 * time.Hour)
	})
}

func TestSweep_ContinuesAsNew_GoesOnWithTheNextShard(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{SweepShard: 2})
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			w.submit(time.Minute, anOrder(id))
			w.At(2*time.Hour, "edit", func() { w.edit(w.CRM, `{"order":"`+id+`","stage":"lost"}`) })
		}
		id := workflows.SweepWorkflowID(firstDay)
		w.Reconciliation().Sweeps.Together = time.Second
		w.At(18*time.Hour, "once it runs, the engine suggests to continue as new", func() {
			w.CRM.Frame().Clear("*")
			w.inject(w.CRM, simulator.Fault{Operation: "list", Kind: simulator.RateLimited, Times: 3})
		})
		swept := w.sweep(18*time.Hour, workflows.SweepInput{Day: firstDay})
		w.At(18*time.Hour+time.Second, "suggest", func() { w.SuggestContinue(id) })
		w.Run(20 * time.Hour)
		if _, continued, _ := w.Runs(id); continued != 1 {
			t.Errorf("the sweep continued as new %d times", continued)
		}
		if swept.Looked != 5 || swept.Repaired != 5 || swept.Swept.Shards != 3 || !swept.Complete() {
			t.Errorf("in %d shards %d orders were looked at and %d repaired: %s", swept.Swept.Shards, swept.Looked, swept.Repaired, swept.SweptText())
		}
	})
}

// One sweep takes several days, each with its own report; a day of which something
// cannot be read is partial, and no other.
func TestSweep_SeveralDaysTogether_EachReported(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{})
		for n, id := range []string{"1", "2", "3"} {
			at := time.Duration(n)*day + time.Minute
			o := anOrder(id)
			o.PlacedAt = virtual.Start.Add(at)
			w.submit(at, o)
			w.At(at+2*time.Hour, "edit "+id, func() { w.edit(w.CRM, `{"order":"`+id+`","stage":"lost"}`) })
		}
		var all []time.Time
		for n := range 3 {
			all = append(all, firstDay.Add(time.Duration(n)*day))
		}
		last := w.sweep(3*day, workflows.SweepInput{Day: firstDay, Days: all})
		w.At(3*day+time.Hour, "all three are swept", func() {
			s, err := w.Client.Status(t.Context())
			w.Check(err)
			for n, id := range []string{"1", "2", "3"} {
				r := s.Reports[n]
				if len(s.Reports) != 3 || !r.Swept.Day.Equal(all[n]) || r.Looked != 1 || r.Repaired != 1 || !r.Complete() {
					t.Errorf("of %d reports that of day %d is %s, %d repaired", len(s.Reports), n, r.SweptText(), r.Repaired)
				}
				if s := w.story(order.ID(id)); s.Deal != "won" {
					t.Errorf("the deal of order %s is %s", id, s.Deal)
				}
			}
			if !s.Coverage.Through.Equal(firstDay.Add(3 * day)) {
				t.Errorf("it is swept through %s", s.Coverage.Through)
			}
		})
		w.Run(3*day + 2*time.Hour)
		if !last.Swept.Day.Equal(all[2]) {
			t.Errorf("the last report is of %s", last.Swept.Day)
		}
	})
}

func TestSweeps_ByHandBesideTheScheduledOne_IsOneSweep(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{SweepEvery: 6 * time.Hour})
		w.submit(time.Minute, anOrder("1"))
		w.At(2*time.Hour, "plant", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		w.At(17*time.Hour, "the ERP asks to wait", func() {
			w.inject(w.ERP, simulator.Fault{Operation: "list", Kind: simulator.RateLimited, Times: 5})
		})
		hand := w.sweep(18*time.Hour+time.Second, workflows.SweepInput{Day: firstDay})
		w.At(23*time.Hour, "both have ended", func() {
			if runs, _, open := w.Runs(workflows.SweepWorkflowID(firstDay)); runs != 1 || open {
				t.Errorf("the day was swept %d times at once, open %t", runs, open)
			}
			if runs, _, open := w.Runs(workflows.SweepsID); runs == 0 || open {
				t.Errorf("the scheduled run waits: run %d, open %t", runs, open)
			}
		})
		w.Run(23*time.Hour + time.Minute)
		if hand.Looked != 1 || hand.Repaired != 1 || !hand.Complete() {
			t.Errorf("by hand: %s, %d repaired", hand.SweptText(), hand.Repaired)
		}
	})
}

// Who sweeps one day by hand beside a scheduled sweep of several is told of that day, and
// the scheduled one sweeps all of its own, whichever was first.
func TestSweeps_ByHandBesideOneOfSeveralDays_EachSaysItsOwn(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]time.Duration{"by hand after": -time.Second, "by hand before": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := deaf(t, virtual.Options{})
				w.submit(time.Minute, anOrder("1"))
				next := anOrder("2")
				next.PlacedAt = next.PlacedAt.Add(day)
				w.submit(day+time.Minute, next)
				w.At(2*day-time.Minute, "the ERP asks to wait", func() {
					w.inject(w.ERP, simulator.Fault{Operation: "list", Kind: simulator.RateLimited, Times: 10})
				})
				w.At(2*day+first, "what is due is swept", func() {
					w.Later(func(ctx context.Context) {
						w.Check(w.Client.Engine.Submit(ctx, starters.Start{Type: workflows.SweepsType, ID: workflows.SweepsID}, starters.Message{}, nil))
					})
				})
				hand := w.sweep(2*day, workflows.SweepInput{Day: firstDay.Add(day)})
				w.At(3*day, "all have ended", func() {
					if c := w.coverage(); c.Through.Before(firstDay.Add(2 * day)) {
						t.Errorf("swept through %s", c.Through)
					}
				})
				w.Run(3*day + time.Minute)
				if hand.Swept == nil || !hand.Swept.Day.Equal(firstDay.Add(day)) || hand.Looked != 1 || !hand.Complete() {
					t.Errorf("by hand: %s", hand.SweptText())
				}
			})
		})
	}
}

// Exceptions that are asked again while their system is down stay exceptions, until it
// is back and they are compared.
func TestSweep_ExceptionsAskedAgainWhileTheSystemIsDown_FoundOnceItIsBack(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := deaf(t, virtual.Options{SweepEvery: 6 * time.Hour})
		ids := []order.ID{"p1", "p2", "p3", "p4", "p5"} // more than a system has failures before it counts as down
		for _, id := range ids {
			w.submit(time.Minute, anOrder(string(id)))
		}
		w.At(2*time.Hour, "their sales are deleted, and the ERP answers nonsense about them", func() {
			for _, id := range ids {
				w.edit(w.ERP, `{"order":"`+string(id)+`","kind":"sale","delete":true}`)
				w.inject(w.ERP, simulator.Fault{Operation: "lookup", Order: id, Kind: simulator.Garbage, Times: -1})
			}
		})
		listed := func(age time.Duration) {
			w.At(age, "they are listed", func() {
				if c := w.coverage(); len(c.Exceptions) != len(ids) || !c.Through.After(firstDay) {
					t.Errorf("at %s, swept through %s, the exceptions are %+v", age, c.Through, c.Exceptions)
				}
			})
		}
		listed(32 * time.Hour)
		w.At(32*time.Hour+time.Minute, "the ERP goes down", func() {
			w.ERP.Frame().Clear("*")
			w.inject(w.ERP, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		})
		listed(60 * time.Hour)
		w.At(60*time.Hour+time.Minute, "it is back", func() { w.ERP.Frame().Clear("*") })
		w.At(90*time.Hour, "they were asked again", func() {
			for _, id := range ids {
				if v := w.Verdict(id); len(v.Cases) == 0 {
					t.Errorf("order %s: its sale is gone, swept through %s, and nobody is asked", id, w.coverage().Through)
				}
			}
			if left := w.coverage().Exceptions; len(left) != 0 {
				t.Errorf("the exceptions are %+v", left)
			}
		})
		w.Run(91 * time.Hour)
	})
}
