package tryton_test

import (
	"encoding/json"
	"testing"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/erp"
)

// standing is an order's sale as the books have it.
type standing struct {
	ID        int64  `json:"id"`
	State     string `json:"state"`
	Bill      int64  `json:"invoice_address"`
	Ship      int64  `json:"shipment_address"`
	BilledTo  place  `json:"invoice_address."`
	ShippedTo place  `json:"shipment_address."`
}

type place struct {
	Street string `json:"street"`
	City   string `json:"city"`
}

// saleOf reads the one sale of an order, past the adapter.
func saleOf(t *testing.T, x fixture, o order.Order) standing {
	t.Helper()
	var found []standing
	b := books{fixture: x}
	raw := b.do(t, "sale.sale", "search_read", []any{[]any{"reference", "=", sale(o).Key}}, 0, nil, nil, []string{
		"state", "invoice_address", "shipment_address", "invoice_address.street", "invoice_address.city",
		"shipment_address.street", "shipment_address.city",
	})
	if err := json.Unmarshal(raw, &found); err != nil || len(found) != 1 {
		t.Fatalf("sales = %s, %v; want one", raw, err)
	}
	return found[0]
}

func TestRecordSale_OtherAddress_TheSaleGetsIt(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		o := newOrder("EUR")
		patient := patiently{x.Client}
		if _, err := patient.RecordSale(t.Context(), sale(o)); err != nil {
			t.Fatal(err)
		}
		before := saleOf(t, x, o)
		moved := o
		moved.ShipTo = order.Address{Street: "Weg 9", City: "Ulm", Region: "BW", PostalCode: "89073", Country: "DE"}
		for range 2 {
			d, err := patient.RecordSale(t.Context(), sale(moved))
			check(t, d, err, o.Total)
		}
		after := saleOf(t, x, o)
		if after.ID != before.ID || after.State != "done" || after.ShippedTo != (place{"Weg 9", "Ulm, BW"}) || after.Bill != before.Bill || after.BilledTo.Street != "Rue 2" {
			t.Errorf("the sale is %+v, was %+v; want it sent to Weg 9 and nothing else changed", after, before)
		}
		moved.BillTo = nil // as the address it is sent to
		d, err := patient.RecordSale(t.Context(), sale(moved))
		check(t, d, err, o.Total)
		if got := saleOf(t, x, o); got.Bill != after.Ship || got.Ship != after.Ship {
			t.Errorf("the sale is %+v, want it billed to where it is sent, by the address that it has", got)
		}
		if x.server == nil {
			return
		}
		if n, m := x.effects(t, o.ID, order.UpdateAddress), x.effects(t, o.ID, order.Record); n != 2 || m != 1 {
			t.Errorf("%d changes of address and %d sales, want 2 and 1", n, m)
		}
	})
}

func TestRecordSale_OrdersOfOneCustomer_ShareNoAddress(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		one, two := newOrder("EUR"), newOrder("EUR")
		two.Customer = one.Customer
		patient := patiently{x.Client}
		used := map[int64]order.ID{}
		for _, o := range []order.Order{one, two} {
			if _, err := patient.RecordSale(t.Context(), sale(o)); err != nil {
				t.Fatal(err)
			}
			if _, err := patient.PostInvoice(t.Context(), invoice(o, order.Invoice, 1, nil, o.AllLines())); err != nil {
				t.Fatal(err)
			}
			s := saleOf(t, x, o)
			for _, id := range []int64{s.Bill, s.Ship} {
				if of, taken := used[id]; taken {
					t.Errorf("orders %s and %s share the address %d", of, o.ID, id)
				}
				used[id] = o.ID
			}
			if x.server == nil {
				continue
			}
			if bill := x.held(t, o).Invoices[0].BillTo; bill == nil || bill.ID != s.Bill {
				t.Errorf("the invoice goes to %+v, want the sale's own address %d", bill, s.Bill)
			}
		}
		moved := two
		moved.ShipTo, moved.BillTo = one.ShipTo, &order.Address{Street: "Elsewhere 3", City: "Bonn", Country: "DE"}
		first := saleOf(t, x, one)
		if _, err := patient.RecordSale(t.Context(), sale(moved)); err != nil {
			t.Fatal(err)
		}
		if got := saleOf(t, x, one); got != first {
			t.Errorf("the other order's sale is %+v, was %+v", got, first)
		}
	})
}

// However the change of an address fails, the repeat makes it, on the one sale.
func TestRecordSale_OtherAddress_UnderFaults(t *testing.T) {
	t.Parallel()
	for kind, want := range map[simulator.FaultKind]apierr.Code{
		simulator.ResponseLost: apierr.InDoubt, simulator.ResponseError: apierr.InDoubt, simulator.Garbage: apierr.InDoubt,
		simulator.Rejected: apierr.Conflict, simulator.Unavailable: apierr.InDoubt, simulator.Twice: "",
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t, simulated.Settings{})
			o := newOrder("EUR")
			if _, err := x.RecordSale(t.Context(), sale(o)); err != nil {
				t.Fatal(err)
			}
			o.ShipTo.Street = "Weg 9"
			x.inject(t, simulator.Fault{Operation: order.Record, Kind: kind})
			if _, err := x.RecordSale(t.Context(), sale(o)); want == "" && err != nil || want != "" && (err == nil || apierr.CodeOf(err) != want) {
				t.Errorf("error = %v, want %s", err, want)
			}
			d, err := x.RecordSale(t.Context(), sale(o))
			check(t, d, err, o.Total)
			if got := saleOf(t, x, o); got.ShippedTo.Street != "Weg 9" {
				t.Errorf("the sale is %+v, want it sent to Weg 9", got)
			}
			if n := x.effects(t, o.ID, order.Record); n != 1 {
				t.Errorf("%d sales, want 1", n)
			}
		})
	}
}

// A sale that was left a draft before the address changed is posted with the new
// one.
func TestRecordSale_DraftWithTheOldAddress_GetsTheNewOne(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	o := newOrder("EUR")
	x.inject(t, simulator.Fault{Operation: order.Record, Kind: simulator.Rejected, Skip: 1})
	if _, err := x.RecordSale(t.Context(), sale(o)); err == nil {
		t.Fatal("the sale was posted, want a draft")
	}
	o.ShipTo.Street = "Weg 9"
	d, err := x.RecordSale(t.Context(), sale(o))
	check(t, d, err, o.Total)
	if got := saleOf(t, x, o); got.ShippedTo.Street != "Weg 9" || got.State != "done" {
		t.Errorf("the sale is %+v, want it done and sent to Weg 9", got)
	}
}
