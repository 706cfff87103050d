package tryton_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/erp"
	adapter "github.com/trueup-orders/trueup/activities/erp/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/erp"
)

// fixture is an adapter on simulated books, or on a real Tryton when the
// environment names one and the test needs no faults.
type fixture struct {
	*adapter.Client
	url    string
	server *simulated.Server // nil on the real one
}

const realVariable = "TRUEUP_REAL_TRYTON_ERP"

func open(t *testing.T, url string, timeout time.Duration) *adapter.Client {
	t.Helper()
	c, err := adapter.New(adapter.Config{
		URL: url, User: "admin", Password: "admin", Channel: "web", Now: time.Now, Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func onSimulator(t *testing.T, settings simulated.Settings) fixture {
	t.Helper()
	server, err := simulated.New(simulator.Options{}, settings)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		listener.Close()
		_ = server.Frame().Close()
	})
	url := listener.URL + "/erp/"
	return fixture{open(t, url, 10*time.Second), url, server}
}

// onBoth runs a test on the simulator and, when there is one, on the real thing.
func onBoth(t *testing.T, f func(t *testing.T, x fixture)) {
	t.Helper()
	t.Run("simulated", func(t *testing.T) {
		t.Parallel()
		f(t, onSimulator(t, simulated.Settings{}))
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv(realVariable)
		if url == "" {
			t.Skip(realVariable + " names no real Tryton; see testsuite/real/tryton.sh")
		}
		f(t, fixture{open(t, url, 20*time.Second), url, nil})
	})
}

var ids struct {
	sync.Mutex
	n int
}

func newID(prefix string) order.ID {
	ids.Lock()
	defer ids.Unlock()
	ids.n++
	return order.ID(fmt.Sprintf("%s-%d-%d", prefix, time.Now().UnixNano(), ids.n))
}

// newOrder has every kind of money in it, in amounts that do not divide.
func newOrder(currency order.Currency) order.Order {
	o := order.Order{
		ID: newID("O"), PlacedAt: time.Now(), Channel: "web", Currency: currency,
		Customer: order.Customer{Email: "ada@example.com", Name: "Ada"},
		ShipTo:   order.Address{Name: "Ada L", Street: "Allee 1", City: "Berlin", PostalCode: "10115", Country: "DE"},
		BillTo:   &order.Address{Name: "Ada L", Street: "Rue 2", City: "Paris", PostalCode: "75001", Country: "FR"},
		Lines: []order.Line{
			{SKU: "A", Quantity: 3, UnitPrice: 2501, Discount: 101, Tax: 1403},
			{SKU: "B", Quantity: 1, UnitPrice: 4979, Tax: 946},
			{SKU: "A", Quantity: 2, UnitPrice: 1},
		},
		Shipping: 499, ShippingTax: 95, Discount: 333, Payment: order.Payment{Method: "pm_card"},
	}
	o.Customer.ID = "c-" + string(o.ID)
	o.Total, _ = o.Sum()
	return o
}

func sale(o order.Order) erp.SaleRequest {
	return erp.SaleRequest{Key: order.Intent{Order: o.ID, Operation: order.Record, N: 1}.Key(), Order: o}
}

func invoice(o order.Order, operation order.Operation, n int, before, now []order.Quantity) erp.InvoiceRequest {
	return erp.InvoiceRequest{
		Key: order.Intent{Order: o.ID, Operation: operation, N: n}.Key(), Order: o.ID, Customer: o.Customer, BillTo: o.Billing(),
		Currency: o.Currency, Share: order.ShareOf(o, before, now), Date: time.Now(),
	}
}

func receipt(o order.Order, n int, amount int64) erp.ReceiptRequest {
	return erp.ReceiptRequest{
		Key: order.Intent{Order: o.ID, Operation: order.Receipt, N: n}.Key(), Order: o.ID, Customer: o.Customer,
		Amount: order.Amount{Minor: amount, Currency: o.Currency}, Payment: "pi_1", Date: time.Now(),
	}
}

func (x fixture) inject(t *testing.T, f simulator.Fault) {
	t.Helper()
	if _, err := x.server.Frame().Inject(f); err != nil {
		t.Fatal(err)
	}
}

func (x fixture) look(t *testing.T, o order.Order) *reconcile.ERP {
	t.Helper()
	seen, err := x.Lookup(t.Context(), reconcile.SubjectOf(o))
	if err != nil {
		t.Fatal(err)
	}
	if seen.ERP == nil {
		return &reconcile.ERP{}
	}
	return seen.ERP
}

// effects counts the postings of an operation in the ledger, without drafts.
func (x fixture) effects(t *testing.T, o order.ID, operation order.Operation) int {
	t.Helper()
	all, err := x.server.Frame().Ledger(0, o)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range all {
		if e.Kind == simulator.EntryEffect && e.Operation == operation && e.Detail != "draft" {
			n++
		}
	}
	return n
}

func TestNew_NamesEverythingMissing(t *testing.T) {
	t.Parallel()
	_, err := adapter.New(adapter.Config{})
	for _, want := range []string{"URL", "User", "Password", "Now"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}

func TestBooks_AddUpToTheOrder(t *testing.T) {
	t.Parallel()
	for _, currency := range []order.Currency{"EUR", "USD", "JPY", "KWD"} {
		t.Run(string(currency), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, x fixture) { addUp(t, x, newOrder(currency)) })
		})
	}
}

// addUp books a whole order in two shipments, captures both and gives one piece
// back, each call twice.
func addUp(t *testing.T, x fixture, o order.Order) {
	t.Helper()
	patient := patiently{x.Client}
	first := []order.Quantity{{Line: 1, SKU: "A", Quantity: 2}}
	rest := order.Less(o, o.AllLines(), first)
	back := []order.Quantity{{Line: 1, SKU: "A", Quantity: 1}}
	one, two := invoice(o, order.Invoice, 1, nil, first), invoice(o, order.Invoice, 2, first, rest)
	credit := invoice(o, order.Credit, 1, first, back)
	for range 2 {
		d, err := patient.RecordSale(t.Context(), sale(o))
		check(t, d, err, o.Total)
		d, err = patient.PostInvoice(t.Context(), one)
		check(t, d, err, one.Share.Total)
		d, err = patient.PostInvoice(t.Context(), two)
		check(t, d, err, two.Share.Total)
		for i, r := range []erp.InvoiceRequest{one, two} {
			d, err = patient.PostReceipt(t.Context(), receipt(o, i+1, r.Share.Total))
			check(t, d, err, r.Share.Total)
		}
	}
	if got := x.look(t, o); got.Balance != 0 || len(got.Sales) != 1 || len(got.Invoices) != 2 || len(got.Receipts) != 2 {
		t.Errorf("books = %+v, want them even", got)
	}
	d, err := patient.PostCredit(t.Context(), credit)
	check(t, d, err, credit.Share.Total)
	if got := x.look(t, o); got.Balance != -credit.Share.Total || len(got.Credits) != 1 || got.Credits[0].Total != credit.Share.Total {
		t.Errorf("books = %+v, want %d owed to the customer", got, credit.Share.Total)
	}
	d, err = patient.PostReceipt(t.Context(), receipt(o, 3, -credit.Share.Total))
	check(t, d, err, -credit.Share.Total)
	if got := x.look(t, o); got.Balance != 0 {
		t.Errorf("balance = %d, want 0", got.Balance)
	}
}

// patiently repeats what the real one was too busy for, as the engine would:
// tests of one database run side by side.
type patiently struct{ *adapter.Client }

func again(do func() (reconcile.Document, error)) (reconcile.Document, error) {
	for {
		d, err := do()
		if apierr.ReasonOf(err) != "busy" {
			return d, err
		}
	}
}

func (p patiently) RecordSale(ctx context.Context, r erp.SaleRequest) (reconcile.Document, error) {
	return again(func() (reconcile.Document, error) { return p.Client.RecordSale(ctx, r) })
}

func (p patiently) PostInvoice(ctx context.Context, r erp.InvoiceRequest) (reconcile.Document, error) {
	return again(func() (reconcile.Document, error) { return p.Client.PostInvoice(ctx, r) })
}

func (p patiently) PostCredit(ctx context.Context, r erp.InvoiceRequest) (reconcile.Document, error) {
	return again(func() (reconcile.Document, error) { return p.Client.PostCredit(ctx, r) })
}

func (p patiently) PostReceipt(ctx context.Context, r erp.ReceiptRequest) (reconcile.Document, error) {
	return again(func() (reconcile.Document, error) { return p.Client.PostReceipt(ctx, r) })
}

func check(t *testing.T, d reconcile.Document, err error, total int64) {
	t.Helper()
	if err != nil || d.Total != total || d.State != reconcile.DocumentPosted || d.Number == "" {
		t.Errorf("document = %+v, %v; want %d, posted and numbered", d, err, total)
	}
}

// ops are the four writes, each on an order of its own.
func ops() map[order.Operation]func(ctx context.Context, c *adapter.Client, o order.Order) (reconcile.Document, error) {
	return map[order.Operation]func(context.Context, *adapter.Client, order.Order) (reconcile.Document, error){
		order.Record: func(ctx context.Context, c *adapter.Client, o order.Order) (reconcile.Document, error) {
			return c.RecordSale(ctx, sale(o))
		},
		order.Invoice: func(ctx context.Context, c *adapter.Client, o order.Order) (reconcile.Document, error) {
			return c.PostInvoice(ctx, invoice(o, order.Invoice, 1, nil, o.AllLines()))
		},
		order.Credit: func(ctx context.Context, c *adapter.Client, o order.Order) (reconcile.Document, error) {
			return c.PostCredit(ctx, invoice(o, order.Credit, 1, nil, o.AllLines()))
		},
		order.Receipt: func(ctx context.Context, c *adapter.Client, o order.Order) (reconcile.Document, error) {
			return c.PostReceipt(ctx, receipt(o, 1, o.Total))
		},
	}
}

// one fails unless the books hold exactly one posted document of the operation.
func (x fixture) one(t *testing.T, o order.Order, operation order.Operation) {
	t.Helper()
	if x.server != nil {
		if n := x.effects(t, o.ID, operation); n != 1 {
			t.Errorf("the ledger has %d postings, want 1", n)
		}
	}
	held := x.look(t, o)
	all := slices.Concat(held.Sales, held.Invoices, held.Receipts, held.Credits)
	if len(all) != 1 || all[0].State != reconcile.DocumentPosted || all[0].Total != o.Total {
		t.Errorf("documents = %+v, want one posted over %d", all, o.Total)
	}
}

func TestWrites_Concurrent_OneEffect(t *testing.T) {
	t.Parallel()
	for operation, do := range ops() {
		t.Run(string(operation), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, x fixture) {
				o := newOrder("EUR")
				found := make([]string, 4)
				var all sync.WaitGroup
				for i := range found {
					all.Go(func() {
						c := open(t, x.url, 60*time.Second)
						d, err := do(context.Background(), c, o)
						for apierr.ReasonOf(err) == "busy" { // as the engine would
							d, err = do(context.Background(), c, o)
						}
						if err != nil {
							t.Errorf("call %d: %v", i, err)
						}
						found[i] = d.ID
					})
				}
				all.Wait()
				if slices.Sort(found); found[0] != found[3] {
					t.Errorf("documents = %v, want the same four times", found)
				}
				x.one(t, o, operation)
			})
		})
	}
}

func TestWrites_UnderFaults_OneEffect(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		kind simulator.FaultKind
		skip int         // 0 hits the draft, 1 what comes after it
		want apierr.Code // "": no error
	}{
		{simulator.ResponseLost, 0, apierr.InDoubt}, {simulator.ResponseLost, 1, apierr.InDoubt},
		{simulator.ResponseError, 0, apierr.InDoubt}, {simulator.ResponseError, 1, apierr.InDoubt},
		{simulator.Garbage, 0, apierr.InDoubt}, {simulator.Twice, 0, ""}, {simulator.Twice, 1, ""},
		{simulator.Refused, 0, apierr.InDoubt}, {simulator.Unavailable, 0, apierr.InDoubt}, {simulator.Unavailable, 1, apierr.InDoubt},
		{simulator.RateLimited, 0, apierr.RateLimited}, {simulator.Rejected, 0, apierr.Declined}, {simulator.Rejected, 1, apierr.Declined},
		{simulator.ReplaysError, 0, apierr.InDoubt}, {simulator.Unauthorized, 0, ""},
		{simulator.Vanishes, 0, apierr.Unavailable}, {simulator.Foreign, 0, apierr.Unavailable},
	} {
		for operation, do := range ops() {
			if operation == order.Credit {
				continue // goes the way of an invoice
			}
			t.Run(fmt.Sprintf("%s/%s/%d", operation, f.kind, f.skip), func(t *testing.T) {
				t.Parallel()
				x := onSimulator(t, simulated.Settings{})
				o := newOrder("EUR")
				x.inject(t, simulator.Fault{Operation: operation, Kind: f.kind, Skip: f.skip})
				_, err := do(t.Context(), x.Client, o)
				if f.want == "" && err != nil || f.want != "" && (err == nil || apierr.CodeOf(err) != f.want) {
					t.Errorf("error = %v, want %s", err, cmp.Or(f.want, "none"))
				}
				if _, err := do(t.Context(), x.Client, o); err != nil {
					t.Fatalf("repeat: %v", err)
				}
				x.one(t, o, operation)
			})
		}
	}
}

// The real one answers so when two calls post at once.
func TestWrites_Busy_Unavailable(t *testing.T) {
	t.Parallel()
	for operation, do := range ops() {
		t.Run(string(operation), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t, simulated.Settings{})
			o := newOrder("EUR")
			if err := x.server.Busy(1); err != nil {
				t.Fatal(err)
			}
			if _, err := do(t.Context(), x.Client, o); apierr.CodeOf(err) != apierr.Unavailable || apierr.ReasonOf(err) != "busy" {
				t.Errorf("error = %v, want busy", err)
			}
			if _, err := do(t.Context(), x.Client, o); err != nil {
				t.Fatal(err)
			}
			x.one(t, o, operation)
		})
	}
}

func TestWrites_Late_OneEffect(t *testing.T) {
	t.Parallel()
	for operation, do := range ops() {
		t.Run(string(operation), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t, simulated.Settings{})
			o := newOrder("EUR")
			x.inject(t, simulator.Fault{Operation: operation, Kind: simulator.Late, Delay: 100 * time.Millisecond})
			if _, err := do(t.Context(), open(t, x.url, time.Second), o); apierr.CodeOf(err) != apierr.InDoubt {
				t.Fatalf("error = %v, want in doubt", err)
			}
			c := open(t, x.url, 10*time.Second)
			if _, err := do(t.Context(), c, o); err != nil {
				t.Fatal(err)
			}
			for range 400 { // until the late draft has landed
				if x.drafts(t, o.ID) >= 2 {
					break
				}
				<-time.After(10 * time.Millisecond)
			}
			if _, err := do(t.Context(), c, o); err != nil {
				t.Fatal(err)
			}
			x.one(t, o, operation)
		})
	}
}

// drafts counts the drafts that were ever made or removed.
func (x fixture) drafts(t *testing.T, o order.ID) (n int) {
	t.Helper()
	all, err := x.server.Frame().Ledger(0, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Kind == simulator.EntryEffect && e.Detail == "draft" {
			n++
		}
	}
	return n
}

func TestWrites_OtherTotal_Conflict(t *testing.T) {
	t.Parallel()
	for operation, do := range ops() {
		t.Run(string(operation), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t, simulated.Settings{})
			o := newOrder("EUR")
			x.inject(t, simulator.Fault{Operation: operation, Kind: simulator.Partial})
			for range 2 {
				d, err := do(t.Context(), x.Client, o)
				if err == nil || apierr.CodeOf(err) != apierr.Conflict || d.State != reconcile.DocumentDraft {
					t.Errorf("document = %+v, %v; want a draft and a conflict", d, err)
				}
			}
			if n := x.effects(t, o.ID, operation); n != 0 {
				t.Errorf("%d postings, want none", n)
			}
		})
	}
}

func TestWrites_UnknownCurrency_Invalid(t *testing.T) {
	t.Parallel()
	for operation, do := range ops() {
		t.Run(string(operation), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, x fixture) {
				_, err := do(t.Context(), x.Client, newOrder("CHF"))
				if err == nil || apierr.CodeOf(err) != apierr.Invalid || !strings.Contains(err.Error(), "CHF") {
					t.Errorf("error = %v, want invalid, naming CHF", err)
				}
			})
		})
	}
}

func TestPostInvoice_AfterALaterOne_TakesItsDate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		today, o := newOrder("EUR"), newOrder("EUR")
		patient := patiently{x.Client}
		if _, err := patient.PostInvoice(t.Context(), invoice(today, order.Invoice, 1, nil, today.AllLines())); err != nil {
			t.Fatal(err)
		}
		r := invoice(o, order.Invoice, 1, nil, o.AllLines())
		r.Date = time.Now().Add(-72 * time.Hour)
		d, err := patient.PostInvoice(t.Context(), r)
		check(t, d, err, o.Total)
	})
}

func TestPostReceipt_ClosedBooks_NextPeriod(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		o := newOrder("EUR")
		r := receipt(o, 1, o.Total)
		r.Date = time.Date(2001, 5, 6, 0, 0, 0, 0, time.UTC) // before the books begin
		d, err := patiently{x.Client}.PostReceipt(t.Context(), r)
		check(t, d, err, o.Total)
	})
}

func TestPostInvoice_Question_IsAnsweredOnce(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{Questions: true})
	o := newOrder("EUR")
	d, err := x.PostInvoice(t.Context(), invoice(o, order.Invoice, 1, nil, o.AllLines()))
	check(t, d, err, o.Total)
}

func TestPostInvoice_IdleSession_LogsInAgain(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	o := newOrder("EUR")
	x.look(t, o) // logs in
	x.server.Frame().Skew(20 * time.Minute)
	d, err := x.PostInvoice(t.Context(), invoice(o, order.Invoice, 1, nil, o.AllLines()))
	check(t, d, err, o.Total)
}

func TestLookup_AdoptsNothingOfOthers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		o := newOrder("EUR")
		if seen, err := x.Lookup(t.Context(), reconcile.SubjectOf(o)); err != nil || seen.State != reconcile.Absent || !seen.Strong {
			t.Errorf("look-up = %+v, %v; want absent and strong", seen, err)
		}
	})
}

func TestLookup_OtherCurrency_Garbage(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	o := newOrder("EUR")
	if _, err := x.RecordSale(t.Context(), sale(o)); err != nil {
		t.Fatal(err)
	}
	o.Currency = "USD"
	if _, err := x.Lookup(t.Context(), reconcile.SubjectOf(o)); err == nil || apierr.CodeOf(err) != apierr.Garbage {
		t.Errorf("error = %v, want garbage", err)
	}
}

func TestReads_UnderFaults(t *testing.T) {
	t.Parallel()
	for kind, want := range map[simulator.FaultKind]apierr.Code{
		simulator.Unavailable: apierr.Unavailable, simulator.Refused: apierr.Unavailable, simulator.ResponseLost: apierr.Unavailable,
		simulator.ResponseError: apierr.Unavailable, simulator.RateLimited: apierr.RateLimited, simulator.Garbage: apierr.Garbage,
		simulator.Foreign: apierr.Garbage, simulator.Unauthorized: apierr.Unauthorized,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			x := onSimulator(t, simulated.Settings{})
			o := newOrder("EUR")
			if _, err := x.RecordSale(t.Context(), sale(o)); err != nil {
				t.Fatal(err)
			}
			x.inject(t, simulator.Fault{Operation: "lookup", Kind: kind, Times: -1})
			if _, err := x.Lookup(t.Context(), reconcile.SubjectOf(o)); err == nil || apierr.CodeOf(err) != want {
				t.Errorf("error = %v, want %s", err, want)
			}
		})
	}
}

func TestList_PagesThroughEveryKind(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		from := time.Now().Add(-time.Second)
		want := map[order.ID]int{}
		for range 5 {
			o := newOrder("EUR")
			o.Customer.ID = "list"
			for operation, do := range ops() {
				if operation == order.Credit {
					continue
				}
				if _, err := again(func() (reconcile.Document, error) { return do(t.Context(), x.Client, o) }); err != nil {
					t.Fatal(err)
				}
				want[o.ID]++
			}
		}
		for _, by := range []reconcile.Listing{reconcile.ListChanged, reconcile.ListCreated} {
			r := reconcile.ListRequest{By: by, From: from, To: time.Now().Add(time.Minute), Limit: 2}
			got, pages := map[order.ID]int{}, 0
			for {
				page, err := x.List(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				pages++
				for _, o := range page.Observations {
					got[o.Order] += len(o.ERP.Sales) + len(o.ERP.Invoices) + len(o.ERP.Receipts)
				}
				if r.Cursor = page.Next; r.Cursor == "" {
					break
				}
			}
			for id, n := range want {
				if got[id] != n {
					t.Errorf("%s: order %s has %d documents, want %d", by, id, got[id], n)
				}
			}
			if pages < 9 {
				t.Errorf("%s: %d pages, want at least 9", by, pages)
			}
		}
	})
}

func TestList_Orphans(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	o := newOrder("EUR")
	if _, err := x.RecordSale(t.Context(), sale(o)); err != nil {
		t.Fatal(err)
	}
	edit, _ := json.Marshal(simulated.Edit{Order: o.ID, Reference: new("typed over")})
	if err := x.server.Edit(edit); err != nil {
		t.Fatal(err)
	}
	page, err := x.List(t.Context(), reconcile.ListRequest{By: reconcile.ListChanged, From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)})
	if err != nil || len(page.Orphans) != 1 || len(page.Observations) != 0 {
		t.Errorf("page = %+v, %v; want one orphan", page, err)
	}
}

// unknown has the books keep what is in Kuwaiti dinars in a currency of which nobody
// knows the decimals.
type unknown struct{}

func (unknown) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	body = bytes.ReplaceAll(body, []byte(`"KWD"`), []byte(`"XTS"`))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// A document whose amount cannot be read is of concern to its own order, and one of
// our channel without an order to a person: a page that could not be read for it
// would be read again for ever, and show no order.
func TestList_AmountThatCannotBeRead_ItsOrderUnreadableAndTheOthersPresent(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	post := func(currency order.Currency) order.ID {
		o := newOrder(currency)
		if _, err := x.RecordSale(t.Context(), sale(o)); err != nil {
			t.Fatal(err)
		}
		if _, err := x.PostInvoice(t.Context(), invoice(o, order.Invoice, 1, nil, o.AllLines())); err != nil {
			t.Fatal(err)
		}
		if _, err := x.PostReceipt(t.Context(), receipt(o, 1, o.Total)); err != nil {
			t.Fatal(err)
		}
		return o.ID
	}
	all := []order.ID{post("EUR"), post("KWD"), post("EUR"), post("KWD")}
	for _, kind := range []string{"sale", "invoice", "receipt"} {
		edit, _ := json.Marshal(simulated.Edit{Order: all[3], Kind: kind, Reference: new("order/oops")})
		if err := x.server.Edit(edit); err != nil {
			t.Fatal(err)
		}
	}
	client, err := adapter.New(adapter.Config{
		URL: x.url, User: "admin", Password: "admin", Channel: "web", Now: time.Now, Transport: unknown{},
	})
	if err != nil {
		t.Fatal(err)
	}
	request := reconcile.ListRequest{By: reconcile.ListChanged, From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	for _, kind := range []string{"sale", "invoice", "receipt"} {
		page, err := client.List(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Observations) != 3 {
			t.Errorf("%ss: the page has %+v", kind, page.Observations)
		}
		for _, o := range page.Observations {
			bad, want := o.Order == all[1], reconcile.Present
			if bad {
				want = reconcile.Unreadable
			}
			if o.State != want || (o.Why != "") != bad || (o.ERP == nil) != bad || o.Version == "" || o.Changed.IsZero() {
				t.Errorf("%ss: the page says %+v", kind, o)
			}
		}
		if len(page.Orphans) != 1 || page.Orphans[0].Kind != kind || !strings.Contains(page.Orphans[0].What, "an amount that cannot be read") {
			t.Errorf("%ss: orphans are %+v", kind, page.Orphans)
		}
		request.Cursor = page.Next
	}
	if _, err := client.Lookup(t.Context(), reconcile.Subject{Order: all[1], Currency: "KWD"}); apierr.CodeOf(err) != apierr.Garbage {
		t.Errorf("its look-up says %v", err)
	}
	if o, err := client.Lookup(t.Context(), reconcile.Subject{Order: all[0], Currency: "EUR"}); err != nil || o.State != reconcile.Present {
		t.Errorf("the look-up of another says %+v, %v", o, err)
	}
}

// Sales, invoices and entries are numbered apart, and whoever decides about one means
// that one alone.
func TestOrphans_OfEachKind_NamedApart(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	o := newOrder("EUR")
	if _, err := x.RecordSale(t.Context(), sale(o)); err != nil {
		t.Fatal(err)
	}
	if _, err := x.PostInvoice(t.Context(), invoice(o, order.Invoice, 1, nil, o.AllLines())); err != nil {
		t.Fatal(err)
	}
	if _, err := x.PostReceipt(t.Context(), receipt(o, 1, o.Total)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"sale", "invoice", "receipt"} {
		edit, _ := json.Marshal(simulated.Edit{Order: o.ID, Kind: kind, Again: true, Reference: new("order/oops")})
		if err := x.server.Edit(edit); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	request := reconcile.ListRequest{By: reconcile.ListChanged, From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	for more := true; more; more = request.Cursor != "" {
		page, err := x.List(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Orphans {
			got = append(got, o.Record)
		}
		request.Cursor = page.Next
	}
	if want := []string{"2", "invoice-2", "receipt-3"}; !slices.Equal(got, want) {
		t.Errorf("the records are %q, want %q", got, want)
	}
}

func TestEdit_Balance(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	o := newOrder("USD")
	if _, err := x.PostInvoice(t.Context(), invoice(o, order.Invoice, 1, nil, o.AllLines())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{0, 42, -7} {
		edit, _ := json.Marshal(simulated.Edit{Order: o.ID, Balance: &want})
		if err := x.server.Edit(edit); err != nil {
			t.Fatal(err)
		}
		if got := x.look(t, o).Balance; got != want {
			t.Errorf("balance = %d, want %d", got, want)
		}
	}
	two := 2
	edit, _ := json.Marshal(simulated.Edit{Order: o.ID, Invoices: &two})
	if err := x.server.Edit(edit); err != nil {
		t.Fatal(err)
	}
	if got := x.look(t, o); len(got.Invoices) != 2 || got.Balance != o.Total-7 {
		t.Errorf("books = %+v, want a second invoice", got)
	}
}
