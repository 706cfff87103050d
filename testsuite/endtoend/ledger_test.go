package endtoend

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/inventory"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/world"
)

// ending is how one order should stand in the six systems, in their own terms.
type ending struct {
	held, captured, refunded int64
	credited                 int64 // by credit notes
	reserved                 bool
	shipments                []string // states of those that are neither draft nor cancelled
	invoices, receipts       int      // posted
	sale                     bool
	deal                     string // won, lost, or none
	mails                    []string
}

// The usual endings of an order that is captured when it ships.
func endAccepted(o order.Order) ending {
	return ending{held: o.Total, reserved: true, shipments: []string{"waiting"}, sale: true, deal: "won", mails: []string{"confirmation"}}
}

func endShipped(o order.Order) ending {
	return ending{
		captured: o.Total, shipments: []string{"done"}, sale: true, invoices: 1, receipts: 1, deal: "won",
		mails: []string{"confirmation", "shipped"},
	}
}

// records are what the six systems hold of one order, and their ledgers.
type records struct {
	order     order.Order
	payment   payment.State
	inventory inventory.Records
	warehouse warehouse.State
	erp       erp.State
	crm       crm.State
	mail      []mail.Message
	ledgers   map[order.System][]simulator.Entry
}

func readRecords(t *testing.T, w *world.World, o order.Order) records {
	t.Helper()
	r := records{order: o, ledgers: map[order.System][]simulator.Entry{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	state, err := w.Payment.State(o.ID)
	must(err)
	r.payment = state.(payment.State)
	r.inventory, err = w.Inventory.Records(o.ID)
	must(err)
	r.warehouse, err = w.Warehouse.Holds(o.ID)
	must(err)
	r.erp, err = w.ERP.Holds(o.ID)
	must(err)
	r.crm, err = w.CRM.Read(o.ID)
	must(err)
	r.mail, err = w.Mail.Messages(o.ID)
	must(err)
	for _, s := range order.Systems() {
		r.ledgers[s], err = w.Frame(s).Ledger(0, o.ID)
		must(err)
	}
	return r
}

// check fails the test where the systems do not hold what they should, or where
// any effect happened twice.
func (b *bundle) check(o order.Order, want ending) {
	b.t.Helper()
	r := readRecords(b.t, b.world, o)
	for _, problem := range append(r.laws(), r.differs(want)...) {
		b.t.Errorf("order %s: %s", o.ID, problem)
	}
}

// lawful fails the test where an effect happened twice or money does not add
// up, wherever the order stands.
func (b *bundle) lawful(o order.Order) {
	b.t.Helper()
	for _, problem := range readRecords(b.t, b.world, o).laws() {
		b.t.Errorf("order %s: %s", o.ID, problem)
	}
}

// laws hold for every order at every moment, however it went.
func (r records) laws() []string {
	problems := r.once()
	problems = append(problems, r.money()...)
	problems = append(problems, r.goods()...)
	return append(problems, r.messages()...)
}

// once: each intent has one effect. A draft is none, for nothing follows from
// it; neither is a surplus reservation that was given up in the same step.
func (r records) once() []string {
	var problems []string
	for _, system := range []order.System{order.SystemPayment, order.SystemWarehouse, order.SystemERP} {
		seen := map[string]int{}
		for _, e := range r.ledgers[system] {
			if e.Kind != simulator.EntryEffect || e.Detail == "draft" || e.Operation == order.UpdateAddress {
				continue
			}
			key, _, _ := strings.Cut(e.Key, "/again/") // a key that follows a spent one names the same intent
			intent, ours := order.ParseKey(key)
			if !ours || intent.Order != r.order.ID {
				problems = append(problems, fmt.Sprintf("%s %s under key %q, which is none of the order's", system, e.Operation, e.Key))
			}
			seen[string(e.Operation)+" "+key]++
		}
		for what, n := range seen {
			if n > 1 {
				problems = append(problems, fmt.Sprintf("%s: %s had %d effects", system, what, n))
			}
		}
	}
	slices.Sort(problems)
	return append(problems, r.documents()...)
}

// documents: one live record for each key, also among those that people made.
func (r records) documents() []string {
	var problems []string
	seen := map[string]int{}
	for _, all := range [][]erp.Document{r.erp.Sales, r.erp.Invoices, r.erp.Credits, r.erp.Receipts} {
		for _, d := range all {
			if d.Posted() {
				seen[d.Key]++
			}
		}
	}
	split := slices.ContainsFunc(r.ledgers[order.SystemWarehouse], func(e simulator.Entry) bool { return e.Operation == "split" })
	for _, s := range r.warehouse.Shipments {
		if s.State != "draft" && s.State != "cancelled" && !split { // people made several of one; goods counts what is in them
			seen[s.Key]++
		}
	}
	for key, n := range seen {
		if n > 1 {
			problems = append(problems, fmt.Sprintf("%d live records under %s", n, key))
		}
	}
	if n := len(r.crm.Deals); n > 1 {
		problems = append(problems, fmt.Sprintf("%d deals", n))
	}
	slices.Sort(problems)
	return problems
}

// money: never more than the order, and the books say what the gateway took.
func (r records) money() []string {
	var problems []string
	t := r.payment.Totals
	if t.Captured+t.Held > r.order.Total {
		problems = append(problems, fmt.Sprintf("the gateway took %d and holds %d of %d", t.Captured, t.Held, r.order.Total))
	}
	if t.Refunded > t.Captured {
		problems = append(problems, fmt.Sprintf("the gateway gave back %d of %d", t.Refunded, t.Captured))
	}
	received, invoiced := int64(0), int64(0)
	for _, d := range r.erp.Receipts {
		if d.Posted() {
			received += d.Total
		}
	}
	for _, d := range r.erp.Invoices {
		if d.Posted() {
			invoiced += d.Total
		}
	}
	if received > t.Captured || invoiced > r.order.Total {
		problems = append(problems, fmt.Sprintf("the books received %d and invoiced %d; the gateway took %d", received, invoiced, t.Captured))
	}
	return problems
}

// goods: nothing goes to the warehouse before it is paid for, and nothing is
// promised that was not ordered.
func (r records) goods() []string {
	var problems []string
	paid := r.paid()
	asked := r.first(order.SystemWarehouse, order.Request)
	switch {
	case asked.IsZero():
	case paid.IsZero(), asked.Before(paid):
		problems = append(problems, "goods were requested before they were paid for")
	}
	ordered := map[string]int64{}
	for _, q := range r.order.Goods() {
		ordered[q.SKU] = q.Quantity
	}
	asking := map[string]int64{}
	for _, s := range r.warehouse.Shipments {
		for _, q := range s.Lines {
			if s.State == "draft" || s.State == "cancelled" {
				continue
			}
			if asking[q.SKU] += q.Quantity; asking[q.SKU] > ordered[q.SKU] {
				problems = append(problems, fmt.Sprintf("%d of %s are with the warehouse and %d ordered", asking[q.SKU], q.SKU, ordered[q.SKU]))
			}
		}
	}
	promised := map[string]int64{}
	for _, p := range r.inventory.Reservations {
		if promised[p.SKU] += p.Quantity; promised[p.SKU] > ordered[p.SKU] {
			problems = append(problems, fmt.Sprintf("%d of %s are promised and %d ordered", promised[p.SKU], p.SKU, ordered[p.SKU]))
		}
	}
	return problems
}

// paid is when money was first held or taken, at the checkout or by us.
func (r records) paid() time.Time {
	for _, e := range r.ledgers[order.SystemPayment] {
		moved := e.Operation == order.Authorize || e.Operation == order.Capture
		if moved && e.Amount > 0 && (e.Kind == simulator.EntryEffect || e.Kind == simulator.EntryEdit) {
			return e.At
		}
	}
	return time.Time{}
}

// first is when an operation first had an effect, or when a person or the
// system itself did it; drafts do not count.
func (r records) first(system order.System, operation order.Operation) time.Time {
	for _, e := range r.ledgers[system] {
		if (e.Kind == simulator.EntryEffect || e.Kind == simulator.EntryEdit) && e.Operation == operation && e.Detail != "draft" {
			return e.At
		}
	}
	return time.Time{}
}

// messages: no mail twice.
func (r records) messages() []string {
	var problems []string
	seen := map[string]int{}
	for _, m := range r.mail {
		seen[fmt.Sprintf("%s %d in %s", m.Template, m.Occasion, m.Mailbox)]++
	}
	for what, n := range seen {
		if n > 1 {
			problems = append(problems, fmt.Sprintf("%d mails %s", n, what))
		}
	}
	slices.Sort(problems)
	return problems
}

// differs says where the systems hold something else than they should.
func (r records) differs(want ending) []string {
	got := ending{held: r.payment.Totals.Held, captured: r.payment.Totals.Captured, refunded: r.payment.Totals.Refunded}
	got.reserved = len(r.inventory.Reservations) > 0
	for _, s := range r.warehouse.Shipments {
		if s.State != "draft" && s.State != "cancelled" {
			got.shipments = append(got.shipments, s.State)
		}
	}
	for _, d := range r.erp.Sales {
		got.sale = got.sale || d.Posted()
	}
	got.invoices, got.receipts = posted(r.erp.Invoices), posted(r.erp.Receipts)
	for _, d := range r.crm.Deals {
		got.deal = d.Stage
	}
	for _, m := range r.mail {
		if m.Mailbox == r.order.Customer.Email {
			got.mails = append(got.mails, m.Template)
		}
	}
	slices.Sort(got.mails)
	problems := got.unlike(want)
	if balance := want.invoiced(r.order) - want.credited - want.captured + want.refunded; want.invoices > 0 && r.erp.Balance != balance {
		problems = append(problems, fmt.Sprintf("by the books the customer owes %d; want %d", r.erp.Balance, balance))
	}
	for _, d := range r.crm.Deals {
		if d.Revenue != want.captured-want.refunded {
			problems = append(problems, fmt.Sprintf("the deal's revenue is %d; want %d", d.Revenue, want.captured-want.refunded))
		}
	}
	return problems
}

func (e ending) invoiced(o order.Order) int64 {
	if e.invoices > 0 {
		return o.Total
	}
	return 0
}

func posted(all []erp.Document) int {
	n := 0
	for _, d := range all {
		if d.Posted() {
			n++
		}
	}
	return n
}

func (e ending) unlike(want ending) []string {
	var problems []string
	is := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			problems = append(problems, fmt.Sprintf("%s: %v; want %v", what, got, want))
		}
	}
	is("money held", e.held, want.held)
	is("money captured", e.captured, want.captured)
	is("money refunded", e.refunded, want.refunded)
	is("stock promised", e.reserved, want.reserved)
	is("shipments", e.shipments, want.shipments)
	is("sale", e.sale, want.sale)
	is("invoices", e.invoices, want.invoices)
	is("receipts", e.receipts, want.receipts)
	is("deal", e.deal, want.deal)
	is("mails", e.mails, want.mails)
	return problems
}

// stock fails the test where a level is not the warehouse's count, once nothing
// is left uncommitted.
func (b *bundle) stock(skus ...string) {
	b.t.Helper()
	held, err := b.world.Inventory.Records("")
	if err != nil {
		b.t.Fatal(err)
	}
	counted, err := b.world.Warehouse.Holds("")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, l := range held.Levels {
		if slices.Contains(skus, l.SKU) && l.Stocked != counted.OnHand[l.SKU] {
			b.t.Errorf("inventory's level of %s is %d; the warehouse counts %d", l.SKU, l.Stocked, counted.OnHand[l.SKU])
		}
	}
}

// effects counts what requests changed in each system, for an order or for all.
func effects(t *testing.T, w *world.World, of order.ID) map[order.System]int {
	t.Helper()
	counts := map[order.System]int{}
	for _, s := range order.Systems() {
		entries, err := w.Frame(s).Ledger(0, of)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Kind == simulator.EntryEffect {
				counts[s]++
			}
		}
	}
	return counts
}

// effectsOf counts the effects of one operation of an order, drafts left out.
func effectsOf(t *testing.T, w *world.World, s order.System, of order.ID, operation order.Operation) int {
	t.Helper()
	entries, err := w.Frame(s).Ledger(0, of)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Kind == simulator.EntryEffect && e.Operation == operation && e.Detail != "draft" {
			n++
		}
	}
	return n
}

// A checker that finds nothing proves nothing: it must find what is planted.
func TestLedgers_PlantedSecondEffects_Found(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	o := anOrder("planted")
	b.submit(o)
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
	b.stopWorkers()
	if problems := readRecords(t, b.world, o).differs(endAccepted(o)); len(problems) < 5 {
		t.Errorf("a shipped order differs from an accepted one by %q only", problems)
	}
	for _, plant := range []struct {
		what string
		do   func()
	}{
		{"a second invoice", func() { b.edit(order.SystemERP, erp.Edit{Order: o.ID, Kind: "invoice", Again: true}) }},
		{"a second mail", func() {
			again := mail.Change{Do: "put", Mailbox: o.Customer.Email, Order: o.ID, Template: "shipped", Occasion: 1}
			b.edit(order.SystemMail, again)
		}},
		{"a second capture", func() {
			b.edit(order.SystemPayment, map[string]any{
				"order": o.ID, "start": payment.Checkout{Amount: 100, Currency: "EUR", Method: "pm_card_visa", Capture: order.CaptureAtOnce},
			})
		}},
		{"a second shipment", func() {
			two := 2
			b.edit(order.SystemWarehouse, warehouse.Edit{Order: o.ID, Live: &two})
		}},
		{"stock promised again", func() {
			b.edit(order.SystemInventory, map[string]any{"order": o.ID, "reserved": map[string]int{"MUG": 3}})
		}},
	} {
		before := readRecords(t, b.world, o).laws()
		plant.do()
		after := readRecords(t, b.world, o).laws()
		if cmp.Compare(len(after), len(before)) <= 0 {
			t.Errorf("%s: not found; the laws say %q", plant.what, after)
		}
	}
}
