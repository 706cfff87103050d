package erp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	port "github.com/trueup-orders/trueup/activities/erp"
	adapter "github.com/trueup-orders/trueup/activities/erp/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
)

// direct calls the handler without a network, as a virtual-time universe does.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

var o1 = order.Order{
	ID: "O1", PlacedAt: time.Now(), Currency: "EUR", Customer: order.Customer{ID: "c1", Name: "Ada"},
	ShipTo: order.Address{Street: "Allee 1", City: "Berlin", Country: "DE"},
	Lines:  []order.Line{{SKU: "A", Quantity: 2, UnitPrice: 2500}, {SKU: "B", Quantity: 1, UnitPrice: 4980}}, Total: 9980,
}

// booked returns books with a sale, an invoice and a receipt of order O1.
func booked(t *testing.T) (*erp.Server, *adapter.Client) {
	t.Helper()
	server, err := erp.New(simulator.Options{}, erp.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Frame().Close() })
	client, err := adapter.New(adapter.Config{
		URL: "http://erp/erp/", User: "admin", Password: "admin", Channel: "web", Now: time.Now, Transport: direct{server.Handler()},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := func(operation order.Operation) string {
		return order.Intent{Order: "O1", Operation: operation, N: 1}.Key()
	}
	_, err = client.RecordSale(t.Context(), port.SaleRequest{Key: key(order.Record), Order: o1})
	if err == nil {
		_, err = client.PostInvoice(t.Context(), port.InvoiceRequest{
			Key: key(order.Invoice), Order: "O1", Customer: o1.Customer, BillTo: o1.ShipTo, Currency: "EUR",
			Share: order.ShareOf(o1, nil, o1.AllLines()), Date: time.Now(),
		})
	}
	if err == nil {
		_, err = client.PostReceipt(t.Context(), port.ReceiptRequest{
			Key: key(order.Receipt), Order: "O1", Customer: o1.Customer, Amount: order.Amount{Minor: 9980, Currency: "EUR"}, Date: time.Now(),
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func TestEdit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		edit                      string
		sales, invoices, receipts int
		balance                   int64
	}{
		{`{"order":"O1","cancel":true}`, 1, 1, 1, 0},
		{`{"order":"O1","delete":true}`, 0, 1, 1, 0},
		{`{"order":"O1","sales":0}`, 0, 1, 1, 0},
		{`{"order":"O1","sales":2}`, 2, 1, 1, 0},
		{`{"order":"O1","reference":"typed over"}`, 0, 1, 1, 0},
		{`{"order":"O1","kind":"invoice","again":true}`, 1, 2, 1, 9980},
		{`{"order":"O1","kind":"invoice","cancel":true}`, 1, 1, 1, -9980},
		{`{"order":"O1","invoices":0}`, 1, 0, 1, -9980},
		{`{"order":"O1","kind":"receipt","delete":true}`, 1, 1, 0, 9980},
		{`{"order":"O1","amount":-500,"reason":"typed in"}`, 1, 1, 2, 500},
		{`{"order":"O1","balance":123}`, 1, 1, 2, 123},
	} {
		t.Run(c.edit, func(t *testing.T) {
			t.Parallel()
			server, client := booked(t)
			if err := server.Edit(json.RawMessage(c.edit)); err != nil {
				t.Fatal(err)
			}
			seen, err := client.Lookup(t.Context(), reconcile.SubjectOf(o1))
			if err != nil {
				t.Fatal(err)
			}
			got := seen.ERP
			if len(got.Sales) != c.sales || len(got.Invoices) != c.invoices || len(got.Receipts) != c.receipts || got.Balance != c.balance {
				t.Errorf("books = %+v, want %+v", got, c)
			}
			held, err := server.Holds("O1")
			if err != nil || held.Balance != c.balance {
				t.Errorf("the books themselves say %d, %v; want %d", held.Balance, err, c.balance)
			}
			entries, err := server.Frame().Ledger(0, "O1")
			if err != nil || !slices.ContainsFunc(entries, func(e simulator.Entry) bool { return e.Kind == simulator.EntryEdit }) {
				t.Errorf("the ledger tells of no edit: %v", err)
			}
		})
	}
}

func TestEdit_Refuses(t *testing.T) {
	t.Parallel()
	server, _ := booked(t)
	for _, edit := range []string{`{"order":"O1","colour":"red"}`, `{"cancel":true}`, `{"order":"O2","cancel":true}`, `[]`} {
		if err := server.Edit(json.RawMessage(edit)); err == nil {
			t.Errorf("%s was taken", edit)
		}
	}
}

func TestEffects_SayWhatWasBooked(t *testing.T) {
	t.Parallel()
	server, _ := booked(t)
	entries, err := server.Frame().Ledger(0, "O1")
	if err != nil {
		t.Fatal(err)
	}
	got := map[order.Operation]int64{}
	for _, e := range entries {
		if e.Kind == simulator.EntryEffect && e.Detail != "draft" {
			got[e.Operation] += e.Amount
		}
	}
	for _, operation := range []order.Operation{order.Record, order.Invoice, order.Receipt} {
		if got[operation] != 9980 {
			t.Errorf("%s = %d, want 9980", operation, got[operation])
		}
	}
}
