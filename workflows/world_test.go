package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
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

// seed draws who comes first among what happens at one moment, in every world: a
// test must hold whatever it is.
var seed = flag.Uint64("seed", 0, "draw who comes first by this `number`")

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
	if o.FollowEvery == 0 { // never in the moment of a step, where either may come first
		o.FollowEvery = 47 * time.Minute
	}
	if o.Policy == "" { // few tests are about the month after the delivery
		o.Policy = "mode: auto\nreturn_window: 24h\n"
	}
	o.Seed = *seed
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
	Credited                 int64 // of credit notes, positive
	Owed                     int64
	Disputed                 int64
	Returns                  []string // states
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
	s.Attempts, s.Open, s.Disputed = totals.Authorizations, totals.Open, totals.Disputed
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
	for _, r := range depot.Returns {
		s.Returns = append(s.Returns, r.State)
	}
	books, err := w.ERP.Holds(of)
	w.fatal(err)
	s.Sales, s.Invoices, s.Owed = len(books.Sales), len(books.Invoices), books.Balance
	for _, d := range books.Invoices {
		s.Invoiced += d.Total
	}
	for _, d := range books.Credits {
		s.Credited -= d.Total
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

// written is how many effects all systems together had for an order.
func (w *world) written(of order.ID) int {
	w.t.Helper()
	n := 0
	for _, d := range w.desks() {
		all, err := d.Frame().Ledger(0, of)
		w.Check(err)
		for _, e := range all {
			if e.Kind == simulator.EntryEffect {
				n++
			}
		}
	}
	return n
}

// idle lets a reconciliation run look at an order at an age: it must find
// nothing, and write nothing anywhere.
func (w *world) idle(age time.Duration, of order.ID) {
	before := 0
	w.At(age, "reconcile", func() {
		before = w.written(of)
		w.Later(func(ctx context.Context) {
			report, err := w.Client.Reconcile(ctx, workflows.ReconcileInput{Orders: []order.ID{of}})
			w.Check(err)
			if report.Looked != 1 || report.Found+report.Repaired+report.Stock.Found != 0 {
				w.t.Errorf("a run looked at %d orders, found %d breaks and repaired %d: %v", report.Looked, report.Found, report.Repaired, report.Lines)
			}
		})
	})
	w.At(age+20*time.Minute, "what the run wrote", func() {
		if after := w.written(of); after != before {
			w.t.Errorf("a run wrote %d times about an order that agrees", after-before)
		}
	})
}

// ends lets the world pass until an age, shortly before which a reconciliation
// run finds nothing to do, and says where the order must have ended.
func (w *world) ends(age time.Duration, of order.ID, phase order.Phase, want story) *workflows.State {
	w.t.Helper()
	w.idle(age-30*time.Minute, of)
	w.Run(age)
	w.expect(of, want)
	return w.closedAs(of, phase)
}

// stands says within a step where an order must stand, from memory.
func (w *world) stands(of order.ID, phase order.Phase, outcome reconcile.Outcome, agreement reconcile.Agreement) {
	w.t.Helper()
	v := w.Verdict(of)
	if v.Phase != phase || v.Outcome != outcome || v.Agreement != agreement {
		w.t.Errorf("%s after the start order %s is %s, %s, %s; want %s, %s, %s\n%s",
			w.Age(), of, v.Phase, v.Outcome, v.Agreement, phase, outcome, agreement, v.Table())
	}
}

// theCase returns within a step the number of the only open case, which must be
// about a field.
func (w *world) theCase(of order.ID, field reconcile.Field) int {
	w.t.Helper()
	cases := w.Verdict(of).Cases
	if len(cases) != 1 || cases[0].Step.Break.Field != field {
		w.t.Errorf("%s after the start the open cases of order %s are %+v, want one about %s", w.Age(), of, cases, field)
		return 0
	}
	return cases[0].N
}

// replied is what became of a wish.
type replied struct {
	workflows.Reply
	Err error
}

// wish asks an order for something within a step. The reply may need more time:
// it is there when the world has ended.
func (w *world) wish(ask func(ctx context.Context) (workflows.Reply, error)) *replied {
	r := &replied{}
	w.Later(func(ctx context.Context) { r.Reply, r.Err = ask(ctx) })
	return r
}

// by is who asks, under an id.
func by(id string) workflows.Asked { return workflows.Asked{ID: id, By: "test", Reason: "why not"} }

func (w *world) attempt(of order.ID, id, method string) *replied {
	return w.wish(func(ctx context.Context) (workflows.Reply, error) {
		return w.Client.Attempt(ctx, of, workflows.Attempt{Asked: by(id), Payment: order.Payment{Method: method}})
	})
}

func (w *world) refund(of order.ID, id string, amount int64) *replied {
	return w.wish(func(ctx context.Context) (workflows.Reply, error) {
		return w.Client.Refund(ctx, of, workflows.Refund{Asked: by(id), Amount: amount})
	})
}

func (w *world) decide(of order.ID, n int, as workflows.Decision) *replied {
	return w.wish(func(ctx context.Context) (workflows.Reply, error) {
		return w.Client.Decide(ctx, of, workflows.Decide{Asked: by(string(as) + strconv.Itoa(n)), Case: n, As: as})
	})
}

// took says that a wish must have been taken up and not refused.
func (w *world) took(what string, r *replied) {
	w.t.Helper()
	if r == nil || r.Err != nil || r.Refused != "" || r.Declined != "" {
		w.t.Errorf("%s: %+v", what, r)
	}
}

// refusedNow says that a wish must have been refused in this phase.
func (w *world) refusedNow(what string, r *replied) {
	w.t.Helper()
	if r == nil || !errors.Is(r.Err, starters.ErrNotNow) {
		w.t.Errorf("%s was not refused: %+v", what, r)
	}
}

// attempts returns an order's attempts at the gateway, the oldest first.
func (w *world) attempts(of order.ID) []intentRecord {
	w.t.Helper()
	state, err := w.Payment.State(of)
	w.Check(err)
	var all []intentRecord
	for _, raw := range state.(payment.State).PaymentIntents {
		var pi intentRecord
		w.Check(json.Unmarshal(raw, &pi))
		all = append(all, pi)
	}
	return all
}

// intentRecord is what tests read of a PaymentIntent.
type intentRecord struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Received int64  `json:"amount_received"`
}

// pay lets the customer finish an attempt, counted from 1, within a step.
func (w *world) pay(of order.ID, attempt int, result string) {
	w.t.Helper()
	all := w.attempts(of)
	if attempt > len(all) {
		w.t.Errorf("order %s has %d attempts, and not %d", of, len(all), attempt)
		return
	}
	w.Check(w.Payment.Pay(all[attempt-1].ID, result))
}

// shipments returns an order's shipments in the warehouse, the oldest first.
func (w *world) shipments(of order.ID) []warehouse.Shipment {
	w.t.Helper()
	depot, err := w.Warehouse.Holds(of)
	w.Check(err)
	return depot.Shipments
}

// work has people bring an order's n-th shipment, counted from 1, to a state.
func (w *world) work(of order.ID, n int, to string) {
	w.t.Helper()
	all := w.shipments(of)
	if n == newest {
		n = len(all)
	}
	if n > len(all) || n < 1 {
		w.t.Errorf("order %s has %d shipments, and not %d", of, len(all), n)
		return
	}
	w.Check(w.Warehouse.Work(strconv.FormatInt(all[n-1].ID, 10), to))
}

// newest is the number of an order's newest shipment.
const newest = 0

// leaves lets an order's n-th shipment leave at an age, and arrive a day later.
func (w *world) leaves(age time.Duration, of order.ID, n int) {
	id := int64(0)
	w.At(age, "a parcel leaves", func() {
		all := w.shipments(of)
		w.work(of, n, "shipped")
		if n == newest {
			n = len(all)
		}
		if n >= 1 && n <= len(all) {
			id = all[n-1].ID
		}
	})
	w.At(age+day, "it arrives", func() { w.Check(w.Warehouse.Work(strconv.FormatInt(id, 10), "delivered")) })
}

// byHand is the pace of a warehouse in which only tests move goods.
var byHand = warehouse.Pace{Return: 24 * time.Hour}

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
