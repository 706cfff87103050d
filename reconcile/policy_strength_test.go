package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

// everyStrength is the closed set.
func everyStrength() []Strength { return []Strength{Enforce, EnforceOurs, FillEmpty, AdoptTheirs} }

// Each strength that a file may name for a field does something else there than
// another that it may name, when somebody has taken away or changed what both
// agreed on.
func TestStrength_EachThatIsTaken_MakesADifference(t *testing.T) {
	t.Parallel()
	for _, f := range Fields() {
		possible := f.strengths()
		if len(possible) == 0 {
			continue
		}
		does := map[Strength]string{}
		for _, s := range possible {
			does[s] = doneAfterEdits(withRule(auto(), f, func(r *Rule) { r.Strength = s }), f)
		}
		for _, s := range possible {
			if !slices.ContainsFunc(possible, func(other Strength) bool { return does[other] != does[s] }) {
				t.Errorf("%s: %s does what every other strength does: %s", f, s, does[s])
			}
		}
	}
}

// doneAfterEdits is what a policy does about a field when somebody has emptied a
// system, or changed what it says, in several lives.
func doneAfterEdits(p Policy, f Field) string {
	text := ""
	for _, life := range []func() Intent{accepted, shippedOrder, returned, comingBack} {
		for _, spoil := range []func(w *world){
			func(w *world) { w.inventory = Inventory{} },
			func(w *world) { w.warehouse = Warehouse{} },
			func(w *world) { w.erp.Sales = nil }, // what depends on it waits for it
			func(w *world) { w.erp.Invoices = nil },
			func(w *world) { w.erp.Receipts = nil },
			func(w *world) { w.erp.Credits = nil },
			func(w *world) { w.crm = CRM{} },
			func(w *world) { w.crm.Deals[0].Stage = DealLost },
			func(w *world) { w.crm.Deals[0].Revenue += 100 },
		} {
			i := life()
			w := agreeing(i)
			bases := Compare(i, p, w.read(i.Order, now), nil, nil, now).Agreed
			spoil(w)
			for _, s := range Plan(p, i, believed(i, p, w, bases, now), w.read(i.Order, now), bases) {
				if s.Break.Field == f {
					text += fmt.Sprintf("%s %s; ", s.Break.Situation, s.Decision)
				}
			}
		}
	}
	return text
}

// A strength that is refused on a field would have done nothing of its own there,
// whatever happened: as any other where none is taken, or as the one that asks.
func TestProperty_Strength_Refused_HasNoEffectOfItsOwn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := drawEdited(t)
		f := rapid.SampledFrom(Fields()).Draw(t, "field")
		steps := func(s Strength) []Step {
			p := withRule(judged, f, func(r *Rule) { r.Strength = s })
			return Plan(p, i, believed(i, p, w, bases, now), w.read(i.Order, now), bases)
		}
		as := steps(EnforceOurs)
		for _, s := range everyStrength() {
			if slices.Contains(f.strengths(), s) {
				continue
			}
			if difference := cmp.Diff(as, steps(s)); difference != "" {
				t.Fatalf("%s is refused as strength of %s, and differs from %s:\n%s", s, f, EnforceOurs, difference)
			}
		}
	})
}

// What a file may name and what not, with its line and what is possible there.
func TestParse_Strength_WhatHasNoEffectIsRefused(t *testing.T) {
	t.Parallel()
	for _, f := range Fields() {
		for _, s := range append(everyStrength(), "strong", "") {
			p, err := Parse([]byte("fields:\n  " + string(f) + ":\n    mode: report\n    strength: " + string(s) + "\n"))
			if slices.Contains(f.strengths(), s) || s == Default().Rule(f).Strength {
				if err != nil || p.Rule(f).Strength != s {
					t.Errorf("%s: %s is %+v, %v", f, s, p.Rule(f).Strength, err)
				}
				continue
			}
			says := "no strength has an effect on this field"
			if len(f.strengths()) > 0 {
				says = choices(f.strengths())
			}
			var invalid *PolicyError
			if !errors.As(err, &invalid) || len(invalid.Problems) != 1 || invalid.Problems[0].Line != 4 || !strings.Contains(invalid.Problems[0].Reason, says) {
				t.Errorf("%s: %s: %v; want line 4: …%s…", f, s, err, says)
			}
		}
	}
	if _, err := Parse([]byte("fields: {crm.deal: {strength: [adopt]}}\n")); err == nil {
		t.Error("a list is taken for a strength")
	}
}

// A limit that is refused on a field would have done nothing there, whatever
// happened: no difference is tolerated, nothing is repaired, and no repair has money at
// risk.
func TestProperty_Limit_Refused_HasNoEffect(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := drawEdited(t)
		p := Policy{Rules: slices.Clone(judged.Rules), MailWithin: judged.MailWithin}
		for n := range p.Rules {
			if p.Rules[n].Field.limitRefuses("tolerance", "1") != "" {
				p.Rules[n].Tolerance = rapid.Int64Range(0, maxLimit).Draw(t, "tolerance")
			}
		}
		read := w.read(i.Order, now)
		if difference := cmp.Diff(Compare(i, judged, read, bases, nil, now), Compare(i, p, read, bases, nil, now)); difference != "" {
			t.Fatalf("a tolerance that is refused has an effect:\n%s", difference)
		}
		for _, s := range Plan(p, i, believed(i, p, w, bases, now), read, bases) {
			if s.Decision == Repair && s.Break.Field.limitRefuses("max_count", "1") != "" {
				t.Fatalf("max_count is refused on %s, and it is repaired: %+v", s.Break.Field, s)
			}
			if want := WantOf(i.Order, i.Currency, s); s.Decision == Repair && want.Money > 0 && s.Break.Field.limitRefuses("max_money", "1") != "" {
				t.Fatalf("max_money is refused on %s, and %+v has money at risk", s.Break.Field, want)
			}
		}
	})
}

// A limit on repairs that is taken binds something: there is a life in which a run
// repairs the field.
func TestLimit_Taken_SomethingIsRepaired(t *testing.T) {
	t.Parallel()
	repaired := map[Field]bool{InventoryLevel: true} // of no order: a run sets it as it has counted
	take := func(steps []Step) {
		for _, s := range steps {
			if s.Decision == Repair {
				repaired[s.Break.Field] = true
			}
		}
	}
	lives := rapid.Custom(func(t *rapid.T) bool {
		i, w, bases := drawEdited(t)
		for _, agreed := range [][]Base{bases, nil} { // changed there, and never said there
			take(Plan(judged, i, believed(i, judged, w, agreed, now), w.read(i.Order, now), agreed))
		}
		return true
	})
	for seed := range 2000 {
		lives.Example(seed)
	}
	for _, template := range Templates() { // a life seldom has them all
		i := Intent{Order: "o-1", Mails: []MailIntent{{Template: template, Occasion: 1, Due: now}}}
		b := Break{System: order.SystemMail, Field: MailField(template), Situation: Missing, Item: "1", Confirmed: now}
		take(Plan(judged, i, []Break{b}, []Observation{{System: order.SystemMail, Order: i.Order, At: now, State: Absent}}, nil))
	}
	for _, f := range Fields() {
		if limited := f.limitRefuses("max_count", "1") == ""; limited != repaired[f] {
			t.Errorf("%s: max_count is taken: %v, and something is repaired: %v", f, limited, repaired[f])
		}
		if r := Default().Rule(f); !repaired[f] && (r.MaxCount != 0 || r.MaxMoney != 0) {
			t.Errorf("%s is never repaired, and the built-in policy limits it to %d and %d", f, r.MaxCount, r.MaxMoney)
		}
	}
}

// What a file may limit and what not, with its line; a limit of none is taken
// everywhere.
func TestParse_Limit_WhatHasNoEffectIsRefused(t *testing.T) {
	t.Parallel()
	tolerates := []Field{
		PaymentHeld, PaymentCaptured, PaymentRefunded, PaymentDisputed, PaymentOpen, PaymentAttempts, InventoryReserved, InventoryLevel,
		WarehouseShipped, ERPSale, ERPInvoices, ERPReceipts, ERPCredits, ERPBalance, CRMRevenue,
	}
	asks := []Field{PaymentHeld, PaymentRefunded, PaymentDisputed, WarehouseLines, WarehouseShipped, WarehouseTracking, WarehouseDuplicate, ERPBalance}
	for _, f := range Fields() {
		for setting, taken := range map[string]bool{
			"tolerance": slices.Contains(tolerates, f),
			"max_count": !slices.Contains(asks, f),
			"max_money": slices.Contains(tolerates, f) && !slices.Contains(asks, f) && !slices.Contains([]Field{InventoryReserved, InventoryLevel}, f),
		} {
			file := "fields:\n  " + string(f) + ":\n    mode: report\n    " + setting + ": "
			if _, err := Parse([]byte(file + "0\n")); err != nil {
				t.Errorf("%s: %v", f, err)
			}
			_, err := Parse([]byte(file + "9\n"))
			var invalid *PolicyError
			says := errors.As(err, &invalid) && len(invalid.Problems) == 1 && invalid.Problems[0].Line == 4 && strings.Contains(invalid.Problems[0].Reason, "has no effect")
			if taken && err != nil || !taken && !says {
				t.Errorf("%s: %s of 9 is taken: %v, want %v with its line: %v", f, setting, err == nil, taken, err)
			}
		}
	}
}

// 0 bounds nothing in a policy, where the hour's budget means by it that nothing is
// repaired: whoever reads or writes a policy is told so, and how to forbid.
func TestPolicy_NoLimit_SaidInTableAndFile(t *testing.T) {
	t.Parallel()
	const says = "0 is no limit of its own"
	p := Default()
	for form, text := range map[string]string{"the table": p.Table(), "the file": string(p.YAML())} {
		if !strings.Contains(text, says) || !strings.Contains(text, "mode: report or ask") {
			t.Errorf("%s does not say that %s:\n%s", form, says, text)
		}
	}
	for line := range strings.Lines(p.Table()) {
		cells := strings.Fields(line)
		if len(cells) == 12 && cells[0] == string(PaymentHeld) && (cells[9] != "-" || cells[10] != "-") {
			t.Errorf("the table limits what is never repaired: %s", line)
		}
	}
}

// The table names a strength only where it decides something.
func TestPolicy_Table_StrengthOnlyWhereItDecides(t *testing.T) {
	t.Parallel()
	table := Default().Table()
	for field, want := range map[Field]string{
		PaymentCaptured: "-", PaymentHeld: "-", MailField(MailShipped): "-", ERPBalance: "-", WarehouseLines: "-",
		InventoryReserved: "enforce", ERPSale: "enforce_if_ours", CRMContact: "fill_if_empty",
	} {
		for line := range strings.Lines(table) {
			if cells := strings.Fields(line); len(cells) > 4 && cells[0] == string(field) && cells[3] != want {
				t.Errorf("%s has strength %s in the table, want %s", field, cells[3], want)
			}
		}
	}
	if !strings.Contains(table, "STRENGTH: "+strengthHelp) {
		t.Errorf("the table does not say what a strength is:\n%s", table)
	}
}
