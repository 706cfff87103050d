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
	tests := []struct {
		name    string
		system  order.System
		grant   *Grant
		stopped []reconcile.Kind
		age     time.Duration // of the reading of the switches
		refused string
	}{
		{name: "no repair", system: order.SystemCRM, stopped: []reconcile.Kind{{}}, age: time.Hour},
		{name: "granted", system: order.SystemCRM, grant: grant(same)},
		{name: "others stopped", system: order.SystemCRM, grant: grant(same), stopped: []reconcile.Kind{
			{System: order.SystemERP}, {System: order.SystemCRM, Field: reconcile.CRMRevenue},
			{System: order.SystemCRM, Field: reconcile.CRMDeal, Situation: reconcile.Missing},
		}},
		{name: "read just now enough", system: order.SystemCRM, grant: grant(same), age: Stale},
		{name: "all stopped", system: order.SystemCRM, grant: grant(same), stopped: []reconcile.Kind{{}}, refused: "everything is stopped"},
		{name: "system stopped", system: order.SystemCRM, grant: grant(same), stopped: []reconcile.Kind{{System: order.SystemCRM}}, refused: "crm is stopped: a test"},
		{name: "field stopped", system: order.SystemCRM, grant: grant(same), stopped: []reconcile.Kind{{System: order.SystemCRM, Field: reconcile.CRMDeal}}, refused: "crm.deal is stopped"},
		{name: "kind stopped", system: order.SystemCRM, grant: grant(same), stopped: []reconcile.Kind{deal}, refused: "crm.deal.mismatch is stopped"},
		{name: "another system", system: order.SystemPayment, grant: grant(same), refused: "grant 7 is for crm.deal.mismatch, and not for a write to payment"},
		{name: "names nothing", system: order.SystemCRM, grant: grant(func(g *Grant) { g.For = reconcile.Want{} }), refused: "not for a write to crm"},
		{name: "field of another system", system: order.SystemCRM, grant: grant(func(g *Grant) { g.For.Field = reconcile.ERPSale }), refused: "not for a write to crm"},
		{name: "expired", system: order.SystemCRM, grant: grant(func(g *Grant) { g.Expires = now.Add(-time.Second) }), refused: "expired"},
		{name: "switches not read lately", system: order.SystemCRM, grant: grant(same), age: Stale + time.Second, refused: "cannot read the switches"},
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
			err := s.Check(test.system, test.grant)
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
	if err := NewSwitches(func() time.Time { return now }).Check(order.SystemCRM, g); err == nil {
		t.Error("a worker that has never read the switches repairs")
	}
}

func stoppedHere(err error) bool {
	_, stopped := Refused(err.Error())
	return stopped
}
