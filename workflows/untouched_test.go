package workflows

import (
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A confirmation goes out once the warehouse has the order: where a system before it
// holds anything of ours, or does not say so, one may have.
func TestUntouched_AnythingOfOursOrUnreadable_IsNot(t *testing.T) {
	t.Parallel()
	key := order.Intent{Order: "1", Operation: order.Authorize, N: 1}.Key()
	paid := func(key string, refunds ...reconcile.Refund) reconcile.Observation {
		return reconcile.Observation{System: order.SystemPayment, State: reconcile.Present, Payment: &reconcile.Payment{
			Attempts: []reconcile.Attempt{{ID: "pi_1", Key: key, Refunds: refunds}},
		}}
	}
	is := func(system order.System, state reconcile.State) reconcile.Observation {
		return reconcile.Observation{System: system, State: state}
	}
	for name, c := range map[string]struct {
		seen []reconcile.Observation
		want bool
	}{
		"paid at the checkout":        {[]reconcile.Observation{paid("")}, true},
		"another order's key":         {[]reconcile.Observation{paid(order.Intent{Order: "2", Operation: order.Authorize, N: 1}.Key())}, true},
		"the mail cannot be read":     {[]reconcile.Observation{paid(""), is(order.SystemMail, reconcile.Unreadable)}, true},
		"we have asked for the money": {[]reconcile.Observation{paid(key)}, false},
		"we have paid back":           {[]reconcile.Observation{paid("", reconcile.Refund{Key: order.Intent{Order: "1", Operation: order.Refund, N: 1}.Key()})}, false},
		"it is reserved":              {[]reconcile.Observation{paid(""), is(order.SystemInventory, reconcile.Present)}, false},
		"the warehouse has it":        {[]reconcile.Observation{paid(""), is(order.SystemWarehouse, reconcile.Present)}, false},
		"the warehouse is down":       {[]reconcile.Observation{paid(""), is(order.SystemWarehouse, reconcile.Unreadable)}, false},
		"it is in the books":          {[]reconcile.Observation{paid(""), is(order.SystemERP, reconcile.Present)}, false},
		"nobody said anything of it":  {[]reconcile.Observation{is(order.SystemPayment, reconcile.Unreadable)}, false},
	} {
		s := &State{Order: order.Order{ID: "1"}, Observed: c.seen}
		if got := s.untouched(); got != c.want {
			t.Errorf("%s: untouched is %t", name, got)
		}
	}
}
