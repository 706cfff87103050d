package repair

import (
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

func TestSwitches_Check_LastHop(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	deal := reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Mismatch}
	grant := func(change func(*Grant)) *Grant {
		g := &Grant{N: 7, Expires: now.Add(time.Minute), For: reconcile.Want{Order: "1", Kind: deal}}
		change(g)
		return g
	}
	same := func(*Grant) {}
	level := func(g *Grant) {
		g.For = reconcile.Want{Item: "MUG", Kind: reconcile.Kind{System: order.SystemInventory, Field: reconcile.InventoryLevel, Situation: reconcile.Mismatch}}
	}
	write := func(change func(*Target)) Target {
		to := Target{System: order.SystemCRM, Kinds: Mends(reconcile.CRMContact, reconcile.CRMDeal), Order: "1", Key: "order/1/upsert/1"}
		change(&to)
		return to
	}
	deals := write(func(*Target) {})
	mug := Target{System: order.SystemInventory, Kinds: Mends(reconcile.InventoryLevel), SKU: "MUG"}
	tests := []struct {
		name    string
		to      Target
		grant   *Grant
		stopped []reconcile.Kind
		age     time.Duration // of the reading of the switches
		refused string
	}{
		{name: "no repair", to: deals, stopped: []reconcile.Kind{{}}, age: time.Hour},
		{name: "granted", to: deals, grant: grant(same)},
		{name: "others stopped", to: deals, grant: grant(same), stopped: []reconcile.Kind{
			{System: order.SystemERP}, {System: order.SystemCRM, Field: reconcile.CRMRevenue},
			{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Missing},
		}},
		{name: "read just now enough", to: deals, grant: grant(same), age: Stale},
		{name: "all stopped", to: deals, grant: grant(same), stopped: []reconcile.Kind{{}}, refused: "everything is stopped"},
		{name: "system stopped", to: deals, grant: grant(same), stopped: []reconcile.Kind{{System: order.SystemCRM}}, refused: "crm is stopped: a test"},
		{name: "field stopped", to: deals, grant: grant(same), stopped: []reconcile.Kind{{System: order.SystemCRM, Field: reconcile.CRMDeal}}, refused: "crm.deal is stopped"},
		{name: "kind stopped", to: deals, grant: grant(same), stopped: []reconcile.Kind{deal}, refused: "crm.deal.mismatch is stopped"},
		{name: "another system", to: Target{System: order.SystemPayment, Kinds: Mends(reconcile.CRMDeal), Order: "1"}, grant: grant(same), refused: "grant 7 is for crm.deal.mismatch, and not for a write to payment"},
		{name: "names nothing", to: deals, grant: grant(func(g *Grant) { g.For = reconcile.Want{} }), refused: "not for a write to crm"},
		{name: "field of another system", to: deals, grant: grant(func(g *Grant) { g.For.Field = reconcile.ERPSale }), refused: "not for a write to crm"},
		{name: "another order", to: write(func(to *Target) { to.Order, to.Key = "2", "order/2/upsert/1" }), grant: grant(same), refused: "grant 7 is for order 1, and not for order 2"},
		{name: "an order whose id begins alike", to: write(func(to *Target) { to.Order, to.Key = "11", "order/11/upsert/1" }), grant: grant(same), refused: "not for order 11"},
		{name: "the key of another order", to: write(func(to *Target) { to.Key = "order/2/upsert/1" }), grant: grant(same), refused: "not for the key order/2/upsert/1"},
		{name: "no key", to: write(func(to *Target) { to.Key = "" }), grant: grant(same)},
		{name: "the key of a record that is not ours", to: write(func(to *Target) { to.Key = "SHIP/17" }), grant: grant(same)},
		{name: "no order", to: deals, grant: grant(func(g *Grant) { g.For.Order = "" }), refused: "not for order 1"},
		{name: "neither has an order", to: write(func(to *Target) { to.Order = "" }), grant: grant(func(g *Grant) { g.For.Order = "" }), refused: "not for order"},
		{name: "another operation", to: write(func(to *Target) { to.Kinds = Mends(reconcile.CRMCarts) }), grant: grant(same), refused: "grant 7 is for crm.deal.mismatch, and this write is for crm.carts"},
		{name: "another operation on the same field", to: write(func(to *Target) {
			to.Kinds = []reconcile.Kind{{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Missing}}
		}), grant: grant(same), refused: "grant 7 is for crm.deal.mismatch, and this write is for crm.deal.missing"},
		{name: "an operation that no rule repairs by", to: write(func(to *Target) { to.Kinds = nil }), grant: grant(same), refused: "this write is for nothing that is repaired"},
		{name: "a level", to: mug, grant: grant(level)},
		{name: "the level of another SKU", to: Target{System: mug.System, Kinds: mug.Kinds, SKU: "TSHIRT"}, grant: grant(level), refused: "grant 7 is for the level of MUG, and not for the level of TSHIRT"},
		{name: "a level under an order's grant", to: mug, grant: grant(func(g *Grant) { level(g); g.For.Order = "1" }), refused: "grant 7 is for order 1, and not for the level of MUG"},
		{name: "an order under a level's grant", to: Target{System: mug.System, Kinds: mug.Kinds, Order: "1"}, grant: grant(level), refused: "grant 7 is for the level of MUG, and not for order 1"},
		{name: "expired", to: deals, grant: grant(func(g *Grant) { g.Expires = now.Add(-time.Second) }), refused: "expired"},
		{name: "switches not read lately", to: deals, grant: grant(same), age: Stale + time.Second, refused: "cannot read the switches"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			read := now.Add(-test.age)
			clock := read
			s := NewSwitches(func() time.Time { return clock })
			var stopped []Stopped
			for _, k := range test.stopped {
				stopped = append(stopped, Stopped{k, "a test"})
			}
			s.Set(stopped)
			clock = now
			err := s.Check(test.to, test.grant)
			switch {
			case test.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)):
				t.Errorf("got %v; want a refusal that says %q", err, test.refused)
			case err != nil && !stoppedHere(err):
				t.Errorf("%v is not known again as a repair that was stopped", err)
			case err != nil && (apierr.CodeOf(err) != apierr.Declined || apierr.ReasonOf(err) != StoppedReason):
				t.Errorf("the refusal is %s, %s", apierr.CodeOf(err), apierr.ReasonOf(err))
			}
		})
	}
}

func TestSwitches_NeverRead_RepairNothing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	g := &Grant{N: 1, Expires: now.Add(time.Minute), For: reconcile.Want{Order: "1", Kind: reconcile.Kind{System: order.SystemCRM, Field: reconcile.CRMDeal}}}
	if err := NewSwitches(func() time.Time { return now }).Check(Target{System: order.SystemCRM, Kinds: Mends(reconcile.CRMDeal), Order: "1"}, g); err == nil {
		t.Error("a worker that has never read the switches repairs")
	}
}

func stoppedHere(err error) bool {
	_, stopped := Refused(err.Error())
	return stopped
}
