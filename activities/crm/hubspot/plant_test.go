package hubspot_test

import (
	"testing"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/order"
)

func eur(minor int64) order.Amount { return order.Amount{Minor: minor, Currency: "EUR"} }

func TestSetRevenue_OnlyFromWhatItIs_AndOnlyTheAmount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, was := w.must(contactRequest(), dealRequest())
	before := w.state("42").Deals[0].Properties
	planted := crm.RevenueChange{Order: "42", From: eur(was.Revenue), To: eur(was.Revenue + 3)}
	for range 2 { // done again it changes nothing
		if d, err := w.book.SetRevenue(t.Context(), planted); err != nil || d.Revenue != was.Revenue+3 || d.Stage != was.Stage {
			t.Fatalf("planted: %+v, %v", d, err)
		}
	}
	after := w.state("42").Deals[0].Properties
	for name, value := range before {
		if name != "amount" && name != "hs_lastmodifieddate" && after[name] != value {
			t.Errorf("%s was %q and is %q", name, value, after[name])
		}
	}
	if d, err := w.book.SetRevenue(t.Context(), crm.RevenueChange{Order: "42", From: eur(1), To: eur(2)}); apierr.CodeOf(err) != apierr.Conflict {
		t.Errorf("from a value that it has not: %+v, %v; want a conflict", d, err)
	}
	if got := w.state("42").Deals[0].Properties["amount"]; got != "99.83" {
		t.Errorf("the amount is %s", got)
	}
	if _, err := w.book.SetRevenue(t.Context(), crm.RevenueChange{Order: "43", From: eur(1), To: eur(2)}); apierr.CodeOf(err) != apierr.NotFound {
		t.Errorf("of an order without a deal: %v", err)
	}
	if _, err := w.book.SetRevenue(t.Context(), crm.RevenueChange{Order: "42", From: eur(1), To: order.Amount{Minor: 1, Currency: "USD"}}); apierr.CodeOf(err) != apierr.Invalid {
		t.Errorf("into another currency: %v", err)
	}
}
