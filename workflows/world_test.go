package workflows_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

const day = 24 * time.Hour

// anOrder is an order of two lines, 99.80 EUR, placed as the world begins.
func anOrder(id string) order.Order {
	return order.Order{
		ID: order.ID(id), PlacedAt: virtual.Start, Channel: "shop",
		Customer: order.Customer{ID: "c-" + id, Email: id + "@example.com", Name: "Ada Lovelace"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "1 Main St", City: "Paris", PostalCode: "75001", Country: "FR"},
		Currency: "EUR",
		Lines: []order.Line{
			{SKU: "MUG", Quantity: 2, UnitPrice: 2500},
			{SKU: "TSHIRT", Quantity: 1, UnitPrice: 4500, Discount: 500, Tax: 480},
		},
		Shipping: 500, Total: 9980,
		Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip},
	}
}

// world is a virtual world with what tests of workflows ask of it.
type world struct {
	*virtual.World
	t *testing.T
}

// open opens a world with stock and the baseline's pace.
func open(t *testing.T, o virtual.Options) *world {
	t.Helper()
	if o.Stock == nil {
		o.Stock = map[string]int{"MUG": 100, "TSHIRT": 100}
	}
	if o.Pace == (warehouse.Pace{}) {
		o.Pace = warehouse.DefaultPace()
	}
	if o.FollowEvery == 0 {
		o.FollowEvery = time.Hour
	}
	if o.Policy == "" { // few tests are about the month after the delivery
		o.Policy = "mode: auto\nreturn_window: 24h\n"
	}
	return &world{virtual.Open(t, o), t}
}

// inject lets calls suffer a fault.
func (w *world) inject(d simulator.Desk, f simulator.Fault) {
	w.t.Helper()
	if _, err := d.Frame().Inject(f); err != nil {
		w.t.Error(err)
	}
}

// edit changes a record as a person in that system would.
func (w *world) edit(d simulator.Desk, fields string) {
	w.t.Helper()
	if err := d.Edit(json.RawMessage(fields)); err != nil {
		w.t.Error(err)
	}
}

// effects returns when an order's operation had an effect in a system, by the
// system's own ledger.
func (w *world) effects(d simulator.Desk, operation order.Operation, of order.ID) []simulator.Entry {
	w.t.Helper()
	all, err := d.Frame().Ledger(0, of)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e simulator.Entry) bool {
		return e.Kind != simulator.EntryEffect || e.Operation != operation
	})
}

// tell shows the ledgers of an order when its test has failed.
func (w *world) tell(of order.ID) {
	w.t.Helper()
	if !w.t.Failed() {
		return
	}
	var b strings.Builder
	for _, d := range w.desks() {
		entries, _ := d.Frame().Ledger(0, of)
		for _, e := range entries {
			if e.Operation != "lookup" || e.Fault != "" {
				fmt.Fprintf(&b, "%-14s %-9s %-12s %-12s %s %d %d %s %s\n", e.At.Sub(virtual.Start).Round(time.Second), d.Frame().Name, e.Kind, e.Operation, e.Key, e.Amount, e.Status, e.Fault, e.Detail)
			}
		}
	}
	w.t.Log("\n" + b.String())
	if s := w.Closed(of); s != nil {
		for _, e := range s.Audit {
			w.t.Logf("%-14s %s", e.At.Sub(virtual.Start).Round(time.Second), e.What)
		}
	}
}

func (w *world) desks() []simulator.Desk {
	return []simulator.Desk{w.Payment, w.Inventory, w.Warehouse, w.ERP, w.CRM, w.Mail}
}

// story is what the six systems say of an order, in short.
type story struct {
	Held, Captured, Refunded int64
	Attempts, Open           int
	Reserved                 int64
	Levels                   map[string]int64
	OnHand                   map[string]int64
	Shipments                []string // states
	Sales, Invoices          int
	Invoiced, Received       int64
	Owed                     int64
	Deal                     string
	Revenue                  int64
	Mails                    []string
}

// story reads the systems; what they say is the truth, whatever we believe.
func (w *world) story(of order.ID) story {
	w.t.Helper()
	s := story{Levels: map[string]int64{}}
	state, err := w.Payment.State(of)
	w.fatal(err)
	totals := state.(payment.State).Totals
	s.Held, s.Captured, s.Refunded = totals.Held, totals.Captured, totals.Refunded
	s.Attempts, s.Open = totals.Authorizations, totals.Open
	records, err := w.Inventory.Records(of)
	w.fatal(err)
	for _, r := range records.Reservations {
		s.Reserved += r.Quantity
	}
	for _, l := range records.Levels {
		s.Levels[l.SKU] = l.Stocked
	}
	depot, err := w.Warehouse.Holds(of)
	w.fatal(err)
	s.OnHand = depot.OnHand
	for _, sh := range depot.Shipments {
		said := sh.State
		if sh.Delivered {
			said = "delivered"
		}
		s.Shipments = append(s.Shipments, said)
	}
	books, err := w.ERP.Holds(of)
	w.fatal(err)
	s.Sales, s.Invoices, s.Owed = len(books.Sales), len(books.Invoices), books.Balance
	for _, d := range books.Invoices {
		s.Invoiced += d.Total
	}
	for _, d := range books.Receipts {
		s.Received += d.Total
	}
	people, err := w.CRM.Read(of)
	w.fatal(err)
	for _, d := range people.Deals {
		s.Deal += d.Stage
		s.Revenue += d.Revenue
	}
	s.Mails = w.mails(of)
	return s
}

// mails returns the templates that the provider took for the customer, in order.
func (w *world) mails(of order.ID) []string {
	var all []string
	for _, e := range w.effects(w.Mail, order.Send, of) {
		all = append(all, e.Detail)
	}
	return all
}

func (w *world) fatal(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// closedAs returns the state that the order's last run returned, which must have
// ended in a phase.
func (w *world) closedAs(of order.ID, phase order.Phase) *workflows.State {
	w.t.Helper()
	s := w.Closed(of)
	if s == nil {
		w.t.Fatalf("order %s is still open: %s", of, w.verdict(of))
	}
	if s.Phase != phase {
		w.t.Fatalf("order %s is %s (%s), want %s", of, s.Phase, s.Failed, phase)
	}
	return s
}

func (w *world) verdict(of order.ID) string { return w.Last(of) }
