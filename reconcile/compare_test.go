package reconcile

import (
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// situationCase is one thing that went wrong in one system, and what must come
// of it with the demo's policy (every kind at what it allows).
type situationCase struct {
	name   string
	intent func() Intent
	spoil  func(i *Intent, w *world)
	bases  []Base // when nil, those of the agreeing world
	breaks []string
	// decisions and operations, per break in the order of the plan.
	decisions []Decision
	operation []order.Operation
}

func (c situationCase) run(t *testing.T) {
	t.Helper()
	i := c.intent()
	w := agreeing(i)
	bases := c.bases
	if bases == nil {
		bases = Compare(i, auto(), w.read(i.Order, now), nil, nil, now).Agreed
	}
	c.spoil(&i, w)
	breaks := believed(i, auto(), w, bases, now)
	var ids []string
	for _, b := range breaks {
		ids = append(ids, b.ID())
		if b.Confirmed.IsZero() || b.Right == "" || b.FirstSeen.IsZero() {
			t.Errorf("break %s is not complete: %+v", b.ID(), b)
		}
	}
	if !slices.Equal(ids, c.breaks) {
		t.Fatalf("breaks are %q, want %q", ids, c.breaks)
	}
	var decisions []Decision
	var operations []order.Operation
	observations := w.read(i.Order, now.Add(time.Second))
	for _, s := range Plan(auto(), i, breaks, observations, bases) {
		decisions = append(decisions, s.Decision)
		operations = append(operations, s.Operation)
		if s.Why == "" || s.Decision == Ask && (s.Proposal == "" || len(s.Alternatives) == 0) {
			t.Errorf("step is not explained: %+v", s)
		}
	}
	if !slices.Equal(decisions, c.decisions) {
		t.Fatalf("decisions are %q, want %q", decisions, c.decisions)
	}
	if c.operation != nil && !slices.Equal(operations, c.operation) {
		t.Fatalf("operations are %q, want %q", operations, c.operation)
	}
}

func runSituations(t *testing.T, cases []situationCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

var (
	repaired = []Decision{Repair}
	asked    = []Decision{Ask}
	adopted  = []Decision{Adopt}
	reported = []Decision{Report}
)

func op(operations ...order.Operation) []order.Operation { return operations }

func TestSituations_Payment(t *testing.T) {
	t.Parallel()
	second := func(state AttemptState, held, captured int64) func(*Intent, *world) {
		return func(_ *Intent, w *world) {
			w.payment.Attempts = append(w.payment.Attempts, Attempt{
				ID: "pi_2", State: state, Amount: 9980, Held: held, Captured: captured, Currency: "EUR", Created: placed.Add(time.Minute),
			})
		}
	}
	first := func(change func(a *Attempt)) func(*Intent, *world) {
		return func(_ *Intent, w *world) { change(&w.payment.Attempts[0]) }
	}
	runSituations(t, []situationCase{
		{"the authorization died", accepted, first(func(a *Attempt) { a.Held, a.State = 0, AttemptVoided }), nil,
			[]string{"payment.held.missing"}, asked, nil},
		{"captured by hand", accepted, first(func(a *Attempt) { a.Held, a.Captured, a.State = 0, 9980, AttemptCaptured }), nil,
			[]string{"payment.captured.unexpected"}, adopted, nil},
		{"our capture was lost", shippedOrder, first(func(a *Attempt) { a.Held, a.Captured, a.State = 9980, 0, AttemptAuthorized }),
			[]Base{{Field: PaymentCaptured, Value: "0"}}, []string{"payment.captured.missing"}, repaired, op(order.Capture)},
		{"captured, and the gateway took it back", shippedOrder, first(func(a *Attempt) { a.Held, a.Captured, a.State = 9980, 0, AttemptAuthorized }), nil,
			[]string{"payment.captured.missing"}, asked, nil},
		{"our capture was lost and nothing is held", shippedOrder, first(func(a *Attempt) { a.Held, a.Captured, a.State = 0, 0, AttemptVoided }),
			[]Base{{Field: PaymentCaptured, Value: "0"}}, []string{"payment.captured.missing"}, asked, nil},
		{"refunded by hand", shippedOrder, first(func(a *Attempt) { a.Refunded = 9980 }), nil, []string{"payment.refunded.unexpected"}, adopted, nil},
		{"a refund failed late", returned, first(func(a *Attempt) { a.Refunded = 0 }), nil, []string{"payment.refunded.missing"}, asked, nil},
		{"disputed", shippedOrder, first(func(a *Attempt) { a.Disputed = 9980 }), nil, []string{"payment.disputed.unexpected"}, asked, nil},
		{"a dispute was lost", shippedOrder, first(func(a *Attempt) { a.Disputed, a.Lost = 9980, 9980 }), nil,
			[]string{"payment.refunded.unexpected"}, adopted, nil},
		{"captured twice after a lost dispute", shippedOrder, func(i *Intent, w *world) {
			second(AttemptCaptured, 0, 9980)(i, w)
			w.payment.Attempts[0].Disputed, w.payment.Attempts[0].Lost = 100, 100
		}, nil, []string{"payment.attempts.duplicate.pi_2"}, asked, nil},
		{"another attempt is open", accepted, second(AttemptOpen, 0, 0), nil, []string{"payment.open.unexpected.pi_2"}, repaired, op(order.Void)},
		{"authorized twice", accepted, second(AttemptAuthorized, 9980, 0), nil, []string{"payment.open.unexpected.pi_2"}, repaired, op(order.Void)},
		{"captured twice", shippedOrder, second(AttemptCaptured, 0, 9980), nil, []string{"payment.attempts.duplicate.pi_2"}, repaired, op(order.Refund)},
		{"captured twice, and in dispute", shippedOrder, func(i *Intent, w *world) {
			second(AttemptCaptured, 0, 9980)(i, w)
			w.payment.Attempts[0].Disputed = 100
		}, nil, []string{"payment.attempts.duplicate.pi_2", "payment.disputed.unexpected"}, []Decision{Ask, Ask}, nil},
		{"captured twice and given back", shippedOrder, func(i *Intent, w *world) {
			second(AttemptCaptured, 0, 9980)(i, w)
			w.payment.Attempts[1].Refunded = 9980
		}, nil, nil, nil, nil},
		{"in another currency", accepted, func(_ *Intent, w *world) {
			w.payment.Attempts = append(w.payment.Attempts, Attempt{ID: "pi_3", State: AttemptCaptured, Amount: 1, Captured: 1, Currency: "USD"})
		}, nil, []string{"payment.attempts.mismatch.pi_3"}, asked, nil},
		{"in another currency, closed", accepted, func(_ *Intent, w *world) {
			w.payment.Attempts = append(w.payment.Attempts, Attempt{ID: "pi_3", State: AttemptVoided, Amount: 1, Currency: "USD"})
		}, nil, nil, nil, nil},
		{"in another currency, given back", accepted, func(_ *Intent, w *world) {
			w.payment.Attempts = append(w.payment.Attempts, Attempt{ID: "pi_3", State: AttemptCaptured, Amount: 1, Captured: 1, Refunded: 1, Currency: "USD"})
		}, nil, nil, nil, nil},
		{"cancelled, and a late authorization lands", cancelledOrder, second(AttemptAuthorized, 9980, 0), nil,
			[]string{"payment.open.unexpected.pi_2"}, repaired, op(order.Void)},
		{"while the customer pays everything is news", paying, second(AttemptAuthorized, 9980, 0), nil, nil, nil, nil},
	})
}

func TestSituations_Inventory(t *testing.T) {
	t.Parallel()
	runSituations(t, []situationCase{
		{"reservations deleted", accepted, func(_ *Intent, w *world) { w.inventory.Reservations = nil }, nil,
			[]string{"inventory.reserved.missing.A", "inventory.reserved.missing.B"}, []Decision{Repair, Repair}, op(order.Reserve, order.Reserve)},
		{"reserved twice", accepted, func(_ *Intent, w *world) {
			r := w.inventory.Reservations[0]
			r.ID = "late"
			w.inventory.Reservations = append(w.inventory.Reservations, r)
		}, nil, []string{"inventory.reserved.duplicate.A"}, repaired, op(order.Release)},
		{"less than promised", accepted, func(_ *Intent, w *world) { w.inventory.Reservations[0].Quantity = 1 }, nil,
			[]string{"inventory.reserved.mismatch.A"}, repaired, op(order.Reserve)},
		{"raised by hand", accepted, func(_ *Intent, w *world) { w.inventory.Reservations[0].Quantity = 5 }, nil,
			[]string{"inventory.reserved.mismatch.A"}, asked, nil},
		{"our release was lost in part", func() Intent { return accepted() }, func(i *Intent, _ *world) {
			i.Reserved = []order.Quantity{{SKU: "A", Quantity: 1}, {SKU: "B", Quantity: 1}}
		}, nil, []string{"inventory.reserved.mismatch.A"}, repaired, op(order.Release)},
		{"left after a cancellation", cancelledOrder, func(_ *Intent, w *world) {
			w.inventory.Reservations = []Reservation{{ID: "x", Line: 1, SKU: "A", Quantity: 2}}
		}, nil, []string{"inventory.reserved.unexpected.A"}, repaired, op(order.Release)},
		{"left after it shipped", shippedOrder, func(_ *Intent, w *world) {
			w.inventory.Reservations = []Reservation{{ID: "x", Line: 1, SKU: "A", Quantity: 2}}
		}, nil, []string{"inventory.reserved.unexpected.A"}, repaired, op(order.Commit)},
	})
}

func TestSituations_Warehouse(t *testing.T) {
	t.Parallel()
	state := func(s ShipmentState) func(*Intent, *world) {
		return func(_ *Intent, w *world) { w.warehouse.Shipments[0].State = s }
	}
	live := func(s ShipmentState) func(*Intent, *world) {
		return func(_ *Intent, w *world) {
			w.warehouse.Shipments = append(w.warehouse.Shipments, Shipment{ID: "9", Key: key(order.Request, 1), State: s, Lines: []order.Quantity{{SKU: "A", Quantity: 1}}})
		}
	}
	runSituations(t, []situationCase{
		{"the request was lost", accepted, func(_ *Intent, w *world) { w.warehouse.Shipments = nil }, nil,
			[]string{"warehouse.shipment.missing." + key(order.Request, 1)}, repaired, op(order.Request)},
		{"the request was lost, and it is not paid", accepted, func(_ *Intent, w *world) {
			w.warehouse.Shipments = nil
			w.payment.Attempts[0].Held, w.payment.Attempts[0].State = 0, AttemptVoided
		}, nil, []string{"payment.held.missing", "warehouse.shipment.missing." + key(order.Request, 1)}, []Decision{Ask, Ask}, nil},
		{"the request was lost, and so was the capture: the gateway holds the money", takenAtOnce, func(_ *Intent, w *world) {
			w.warehouse.Shipments = nil
			w.payment.Attempts[0].Held, w.payment.Attempts[0].Captured, w.payment.Attempts[0].State = 9980, 0, AttemptAuthorized
		}, []Base{{Field: PaymentCaptured, Value: "0"}}, []string{"payment.captured.missing", "warehouse.shipment.missing." + key(order.Request, 1)},
			[]Decision{Repair, Repair}, op(order.Capture, order.Request)},
		{"the request was lost, and the gateway took the capture back", takenAtOnce, func(_ *Intent, w *world) {
			w.warehouse.Shipments = nil
			w.payment.Attempts[0].Held, w.payment.Attempts[0].Captured, w.payment.Attempts[0].State = 9980, 0, AttemptAuthorized
		}, nil, []string{"payment.captured.missing", "warehouse.shipment.missing." + key(order.Request, 1)}, []Decision{Ask, Ask}, nil},
		{"a shipped one is unknown", shippedOrder, func(_ *Intent, w *world) { w.warehouse.Shipments = nil }, nil,
			[]string{"warehouse.shipment.missing." + key(order.Request, 1)}, asked, nil},
		{"only a draft is there", accepted, state(ShipmentDraft), nil, []string{"warehouse.shipment.missing." + key(order.Request, 1)}, repaired, op(order.Request)},
		{"further is news", accepted, state(ShipmentPacked), nil, nil, nil, nil},
		{"it went back", shippedOrder, state(ShipmentPicked), nil, []string{"warehouse.shipment.mismatch." + key(order.Request, 1)}, asked, nil},
		{"cancelled by them", accepted, state(ShipmentCancelled), nil, []string{"warehouse.shipment.mismatch." + key(order.Request, 1)}, asked, nil},
		{"lines changed", accepted, func(_ *Intent, w *world) { w.warehouse.Shipments[0].Lines = []order.Quantity{{SKU: "A", Quantity: 2}} }, nil,
			[]string{"warehouse.lines.mismatch." + key(order.Request, 1)}, asked, nil},
		{"lines written another way", accepted, func(_ *Intent, w *world) {
			w.warehouse.Shipments[0].Lines = []order.Quantity{{SKU: "B", Quantity: 1}, {SKU: "A", Quantity: 1}, {SKU: "A", Quantity: 1}}
		}, nil, nil, nil, nil},
		{"two live", accepted, live(ShipmentAssigned), nil, []string{"warehouse.duplicate.duplicate." + key(order.Request, 1), "warehouse.lines.mismatch." + key(order.Request, 1)}, []Decision{Ask, Ask}, nil},
		{"live after a cancellation", cancelledOrder, live(ShipmentAssigned), nil, []string{"warehouse.shipment.unexpected." + key(order.Request, 1)}, repaired, op(order.Cancel)},
		{"packed after a cancellation", cancelledOrder, live(ShipmentPacked), nil, []string{"warehouse.shipment.unexpected." + key(order.Request, 1)}, asked, nil},
		{"a draft after a cancellation is nothing", cancelledOrder, live(ShipmentDraft), nil, nil, nil, nil},
	})
}

func TestSituations_Books(t *testing.T) {
	t.Parallel()
	posted := func(key string, total int64) Document {
		return Document{ID: "77", Key: key, State: DocumentPosted, Total: total}
	}
	sale, invoice, receipt := key(order.Record, 1), key(order.Invoice, 1), key(order.Receipt, 1)
	lost := []Base{}
	runSituations(t, []situationCase{
		{"nothing was booked", shippedOrder, func(_ *Intent, w *world) { w.erp = ERP{} }, lost,
			[]string{"erp.invoices.missing." + invoice, "erp.receipts.missing." + receipt, "erp.sale.missing." + sale},
			[]Decision{Repair, Repair, Repair}, op(order.Record, order.Invoice, order.Receipt)},
		{"the invoice was deleted there", shippedOrder, func(_ *Intent, w *world) { w.erp.Invoices = nil }, nil,
			[]string{"erp.invoices.missing." + invoice}, asked, nil},
		{"the sale was deleted there", shippedOrder, func(_ *Intent, w *world) { w.erp = ERP{} },
			[]Base{{Field: ERPSale, Item: sale, Value: "9980"}},
			[]string{"erp.invoices.missing." + invoice, "erp.receipts.missing." + receipt, "erp.sale.missing." + sale},
			[]Decision{Ask, Report, Report}, nil},
		{"a cancelled document is none", shippedOrder, func(_ *Intent, w *world) { w.erp.Invoices[0].State = DocumentCancelled }, lost,
			[]string{"erp.invoices.missing." + invoice}, repaired, op(order.Invoice)},
		{"only a draft is there", shippedOrder, func(_ *Intent, w *world) { w.erp.Invoices[0].State = DocumentDraft }, lost,
			[]string{"erp.invoices.missing." + invoice}, repaired, op(order.Invoice)},
		{"a draft was left", shippedOrder, func(_ *Intent, w *world) {
			w.erp.Invoices = append(w.erp.Invoices, Document{ID: "8", Key: invoice, State: DocumentDraft, Total: 9980})
		}, nil, []string{"erp.invoices.unexpected.draft 8 of " + invoice}, repaired, op(order.Invoice)},
		{"somebody else's draft was left", shippedOrder, func(_ *Intent, w *world) {
			w.erp.Credits = append(w.erp.Credits, Document{ID: "8", State: DocumentDraft, Total: 1})
		}, nil, []string{"erp.credits.unexpected.draft 8 of id 8"}, reported, nil},
		{"booked twice", shippedOrder, func(_ *Intent, w *world) { w.erp.Invoices = append(w.erp.Invoices, posted(invoice, 9980)) }, nil,
			[]string{"erp.invoices.duplicate." + invoice}, asked, nil},
		{"another amount", shippedOrder, func(_ *Intent, w *world) { w.erp.Invoices[0].Total = 9970 }, nil,
			[]string{"erp.invoices.mismatch." + invoice}, asked, nil},
		{"booked by hand without our key", shippedOrder, func(_ *Intent, w *world) { w.erp.Invoices[0].Key = "" }, lost,
			[]string{"erp.invoices.missing." + invoice, "erp.invoices.unexpected.id r4"}, []Decision{Ask, Ask}, nil},
		{"a sale nobody asked for", cancelledOrder, func(_ *Intent, w *world) { w.erp.Sales = []Document{posted(sale, 9980)} }, nil,
			[]string{"erp.sale.unexpected." + sale}, asked, nil},
		{"a credit note written with a minus", returned, func(_ *Intent, w *world) { w.erp.Credits[0].Total = -2500 }, nil, nil, nil, nil},
	})
}

func TestCompare_Balance(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	observations := agreeing(i).read(i.Order, now)
	erp := *observations[3].ERP
	erp.Balance = 1
	observations[3].ERP = &erp
	c := Compare(i, auto(), observations, nil, nil, now)
	if len(c.Breaks) != 1 || c.Breaks[0].ID() != "erp.balance.unexpected" || c.Breaks[0].Money != 1 {
		t.Fatalf("breaks are %+v", c.Breaks)
	}
	erp.Invoices = nil
	for _, b := range Compare(i, auto(), observations, nil, nil, now).Breaks {
		if b.Field == ERPBalance {
			t.Fatalf("the balance is a break of its own beside a missing invoice: %+v", b)
		}
	}
}

func TestSituations_CRM(t *testing.T) {
	t.Parallel()
	runSituations(t, []situationCase{
		{"nothing there", accepted, func(_ *Intent, w *world) { w.crm = CRM{} }, nil,
			[]string{"crm.contact.missing", "crm.deal.missing"}, []Decision{Ask, Report}, nil},
		{"it was never there", accepted, func(_ *Intent, w *world) { w.crm = CRM{} }, []Base{{}},
			[]string{"crm.contact.missing", "crm.deal.missing"}, []Decision{Repair, Repair}, op(order.Upsert, order.Upsert)},
		{"the deal was lost by hand", accepted, func(_ *Intent, w *world) { w.crm.Deals[0].Stage = DealLost }, nil,
			[]string{"crm.deal.mismatch"}, repaired, op(order.Upsert)},
		{"our revenue was lost", shippedOrder, func(_ *Intent, w *world) { w.crm.Deals[0].Revenue = 0 },
			[]Base{{Field: CRMRevenue, Value: "0"}}, []string{"crm.revenue.missing"}, repaired, op(order.Upsert)},
		{"the revenue was edited", returned, func(_ *Intent, w *world) { w.crm.Deals[0].Revenue = 1 }, nil,
			[]string{"crm.revenue.mismatch"}, repaired, op(order.Upsert)},
		{"the revenue is in another currency", shippedOrder, func(_ *Intent, w *world) { w.crm.Deals[0].Currency = "USD" }, nil,
			[]string{"crm.revenue.mismatch"}, repaired, op(order.Upsert)},
		{"the deal says its currency", shippedOrder, func(_ *Intent, w *world) { w.crm.Deals[0].Currency = "EUR" }, nil, nil, nil, nil},
		{"no revenue in another currency", accepted, func(_ *Intent, w *world) { w.crm.Deals[0].Currency = "USD" }, nil, nil, nil, nil},
		{"both changed", returned, func(_ *Intent, w *world) { w.crm.Deals[0].Revenue = 1 },
			[]Base{{Field: CRMRevenue, Value: "9980"}}, []string{"crm.revenue.conflict"}, asked, nil},
		{"two deals", accepted, func(_ *Intent, w *world) { w.crm.Deals = append(w.crm.Deals, w.crm.Deals[0]) }, nil,
			[]string{"crm.deal.duplicate"}, asked, nil},
		{"two contacts", accepted, func(_ *Intent, w *world) { w.crm.Contacts = append(w.crm.Contacts, Contact{ID: "2"}) }, nil,
			[]string{"crm.contact.duplicate"}, asked, nil},
		{"the cart is still open", accepted, func(_ *Intent, w *world) { w.crm.Carts = []Deal{{ID: "c9", Stage: DealAbandoned}} }, nil,
			[]string{"crm.carts.unexpected.c9"}, repaired, op(order.Upsert)},
		{"a closed cart is nothing", accepted, func(_ *Intent, w *world) { w.crm.Carts = []Deal{{ID: "c9", Stage: DealLost}} }, nil, nil, nil, nil},
		{"a deal too early", paying, func(_ *Intent, w *world) { w.crm.Deals = []Deal{{ID: "1", Stage: DealWon}} }, nil,
			[]string{"crm.deal.unexpected"}, reported, nil},
		{"a deal of an order that failed", as(order.PhaseFailed, paying), func(_ *Intent, w *world) { w.crm.Deals = []Deal{{ID: "1", Stage: DealWon}} }, nil,
			[]string{"crm.deal.unexpected"}, repaired, op(order.Upsert)},
		{"two deals of an order that failed", as(order.PhaseFailed, paying), func(_ *Intent, w *world) {
			w.crm.Deals = []Deal{{ID: "1", Stage: DealWon}, {ID: "2", Stage: DealWon}}
		}, nil, []string{"crm.deal.duplicate"}, asked, nil},
		{"of two deals of an order that failed one is lost", as(order.PhaseFailed, paying), func(_ *Intent, w *world) {
			w.crm.Deals = []Deal{{ID: "1", Stage: DealLost}, {ID: "2", Stage: DealWon}}
		}, nil, []string{"crm.deal.unexpected"}, repaired, op(order.Upsert)},
		{"an edited contact is theirs", accepted, func(_ *Intent, w *world) { w.crm.Contacts[0].Email = "new@example.com" }, nil, nil, nil, nil},
	})
}

func TestSituations_Mail(t *testing.T) {
	t.Parallel()
	missing := func(_ *Intent, w *world) { w.mail.Messages = nil }
	late := func() Intent {
		i := accepted()
		i.Mails[0].Due = now.Add(-25 * time.Hour)
		return i
	}
	runSituations(t, []situationCase{
		{"never sent", accepted, missing, []Base{}, []string{"mail.confirmation.missing.1"}, repaired, op(order.Send)},
		{"never sent, and too late", late, missing, []Base{}, []string{"mail.confirmation.missing.1"}, reported, nil},
		{"seen in the journal once, and gone", accepted, missing, nil, []string{"mail.confirmation.missing.1"}, adopted, nil},
		{"seen twice in the journal once, and gone", accepted, missing, []Base{{Field: MailField(MailConfirmation), Item: "1", Value: "2 × 1"}},
			[]string{"mail.confirmation.missing.1"}, adopted, nil},
		{"given up", func() Intent {
			i := accepted()
			i.Mails[0].GivenUp = true
			return i
		}, missing, nil, nil, nil, nil},
		{"sent twice", accepted, func(_ *Intent, w *world) { w.mail.Messages = append(w.mail.Messages, w.mail.Messages[0]) }, nil,
			[]string{"mail.confirmation.duplicate.1"}, adopted, nil},
		{"sent unasked", cancelledOrder, func(_ *Intent, w *world) {
			w.mail.Messages = append(w.mail.Messages, Message{Template: MailRefund, Occasion: 1})
		}, nil, []string{"mail.refund.unexpected.1"}, adopted, nil},
	})
}

// What is wrong in one place is not made up for by what is wrong the other way in
// another: each is a break, also when the sums are as they should be.
func TestCompare_ErrorsThatCancelOut_EachIsABreak(t *testing.T) {
	t.Parallel()
	i := inParts()
	i.Invoices = append(i.Invoices, DocumentIntent{Key: key(order.Invoice, 2), Total: 7480})
	i.Receipts = append(i.Receipts, DocumentIntent{Key: key(order.Receipt, 2), Total: 7480})
	w := agreeing(i)
	w.erp.Invoices[0].Total, w.erp.Invoices[1].Total = w.erp.Invoices[0].Total+10, w.erp.Invoices[1].Total-10
	w.erp.Receipts[0].Total, w.erp.Receipts[1].Total = w.erp.Receipts[0].Total-10, w.erp.Receipts[1].Total+10
	w.inventory.Reservations[0].Quantity, w.inventory.Reservations[1].Quantity = 2, 0
	var got []string
	for _, b := range Compare(i, auto(), w.read(i.Order, now), nil, nil, now).Breaks {
		got = append(got, b.ID())
	}
	slices.Sort(got)
	want := []string{
		"erp.invoices.mismatch." + key(order.Invoice, 1), "erp.invoices.mismatch." + key(order.Invoice, 2),
		"erp.receipts.mismatch." + key(order.Receipt, 1), "erp.receipts.mismatch." + key(order.Receipt, 2),
		"inventory.reserved.mismatch.A", "inventory.reserved.missing.B",
	}
	if !slices.Equal(got, want) {
		t.Errorf("breaks are %q, want %q", got, want)
	}
}

func TestCompare_Settling(t *testing.T) {
	t.Parallel()
	settles := Default().Rule(ERPInvoices).Settling
	changed := now.Add(-settles / 2)
	i := shippedOrder()
	i.Changed = []Changed{{order.SystemERP, changed}}
	w := agreeing(i)
	w.erp.Invoices = nil
	observations := w.read(i.Order, now)

	c := Compare(i, auto(), observations, nil, nil, now)
	if len(c.Breaks) != 0 || len(c.Settling) != 1 || !c.Settling[0].Until.Equal(changed.Add(settles)) {
		t.Fatalf("breaks %+v, settling %+v", c.Breaks, c.Settling)
	}
	if v := Judge(i, auto(), observations, c, nil, true, now); v.Agreement != AgreeSettle {
		t.Fatalf("agreement is %s", v.Agreement)
	}
	if c = Compare(i, auto(), observations, nil, []Break{c.Settling[0].Break}, now.Add(time.Second)); len(c.Settling) != 1 || !c.Settling[0].Break.FirstSeen.Equal(now) {
		t.Fatalf("a second later: breaks %+v, settling %+v", c.Breaks, c.Settling)
	}
	later := changed.Add(settles)
	if c = Compare(i, auto(), w.read(i.Order, later), nil, []Break{c.Settling[0].Break}, later); len(c.Breaks) != 1 || !c.Breaks[0].FirstSeen.Equal(now) {
		t.Fatalf("settled: breaks %+v, settling %+v", c.Breaks, c.Settling)
	}
}

// What a person let stand about one parcel stands when the customer is told of the next one
// of its request, and says nothing of that one's number.
func TestCompare_Tracking_LetStandOfOneParcel(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	request := &i.Shipments[0]
	request.Told = []Told{{Shipment: "p1", Tracking: "1Z1"}}
	w := agreeing(i)
	numbers := func(all ...string) {
		w.warehouse.Shipments = nil
		for n, number := range all {
			s := Shipment{ID: "p" + strconv.Itoa(n+1), Key: request.Key, State: request.State, Tracking: number}
			if n == 0 {
				s.Lines = request.Lines
			}
			w.warehouse.Shipments = append(w.warehouse.Shipments, s)
		}
	}
	breaks := func() []Break {
		return slices.DeleteFunc(compared(i, w).Breaks, func(b Break) bool { return b.Field != WarehouseTracking })
	}
	numbers("1Z9")
	seen := breaks()
	if len(seen) != 1 || seen[0].Item != request.Key+" p1" {
		t.Fatalf("the breaks are %+v", seen)
	}
	i = Accept(i, seen[0], now)
	request = &i.Shipments[0]
	request.Told = append(request.Told, Told{Shipment: "p2", Tracking: "1Z2"})
	if numbers("1Z9", "1Z2"); len(breaks()) != 0 {
		t.Fatalf("the next parcel left, and the breaks are %+v", breaks())
	}
	numbers("1Z9", "1Z8")
	if seen = breaks(); len(seen) != 1 || seen[0].Item != request.Key+" p2" {
		t.Fatalf("the next parcel's number is another, and the breaks are %+v", seen)
	}
}

// Two reads of one moment that differ in a tracking number alone: which of them counts does not
// depend on the order in which they came.
func TestCompare_TwoReadsOfAMoment_TheSameOneCounts(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	i.Shipments[0].Told = []Told{{Shipment: "p1", Tracking: "1Z1"}}
	read := func(tracking string) Observation {
		return Observation{
			System: order.SystemWarehouse, Order: i.Order, State: Present, At: now, Strong: true,
			Warehouse: &Warehouse{Shipments: []Shipment{{ID: "p1", Key: i.Shipments[0].Key, State: i.Shipments[0].State, Lines: i.Shipments[0].Lines, Tracking: tracking}}},
		}
	}
	told, other := read("1Z1"), read("another")
	one, two := Compare(i, auto(), []Observation{told, other}, nil, nil, now), Compare(i, auto(), []Observation{other, told}, nil, nil, now)
	if !reflect.DeepEqual(one, two) {
		t.Fatalf("one way round %+v, the other %+v", one.Breaks, two.Breaks)
	}
}

func TestCompare_BusyOrStale_NotJudged(t *testing.T) {
	t.Parallel()
	base := shippedOrder()
	w := agreeing(base)
	w.erp.Invoices = nil
	known := believed(base, auto(), w, nil, now)
	tests := []struct {
		name   string
		change func(i *Intent)
		at     time.Time
	}{
		{"busy", func(i *Intent) { i.Busy = []order.System{order.SystemERP} }, now},
		{"in doubt", func(i *Intent) { i.InDoubt = []order.System{order.SystemERP} }, now},
		{"read before our last write", func(i *Intent) { i.Changed = []Changed{{order.SystemERP, now.Add(-time.Hour)}} }, now.Add(-2 * time.Hour)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := shippedOrder()
			tt.change(&i)
			w := agreeing(i)
			w.erp.Invoices = nil
			observations := w.read(i.Order, tt.at)
			c := Compare(i, auto(), observations, nil, nil, now)
			if len(c.Breaks) != 0 || len(c.Settling) == 0 {
				t.Fatalf("judged: breaks %+v, settling %+v", c.Breaks, c.Settling)
			}
			for _, b := range c.Agreed {
				if b.Field.System() == order.SystemERP {
					t.Fatalf("agreed: %+v", b)
				}
			}
			if c = Compare(i, auto(), observations, nil, known, now); len(c.Breaks) != 1 || c.Breaks[0] != known[0] {
				t.Fatalf("an open break changed: %+v", c.Breaks)
			}
			if v := Judge(i, auto(), observations, Compare(i, auto(), observations, nil, nil, now), nil, true, now); v.Agreement != AgreeSettle {
				t.Fatalf("agreement is %s", v.Agreement)
			}
		})
	}
}

func TestCompare_Clock(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	w := agreeing(i)
	agreed := Compare(i, auto(), w.read(i.Order, now), nil, nil, now)
	w.erp.Invoices[0].Total = 9970
	breaks := believed(i, auto(), w, agreed.Agreed, now.Add(time.Minute))
	if len(breaks) != 1 {
		t.Fatalf("breaks are %+v", breaks)
	}
	b := breaks[0]
	if !b.LastAgreed.Equal(now) || !b.FirstSeen.Equal(now.Add(time.Minute)) || !b.Confirmed.Equal(now.Add(61*time.Second)) ||
		b.Base != "9980" || b.Expected != "9980" || b.Observed != "9970" || b.Money != 10 || b.Right != "erp" {
		t.Fatalf("the break is %+v", b)
	}
	// Another wrong value must be confirmed anew; the first sight stays.
	w.erp.Invoices[0].Total = 9960
	later := now.Add(time.Hour)
	c := Compare(i, auto(), w.read(i.Order, later), agreed.Agreed, breaks, later)
	if len(c.Breaks) != 1 || !c.Breaks[0].Confirmed.IsZero() || !c.Breaks[0].FirstSeen.Equal(b.FirstSeen) || !c.Breaks[0].SeenAs.Equal(later) {
		t.Fatalf("the break is %+v", c.Breaks)
	}
}

func TestCompare_Accepted_IsNoBreakWhileItSaysThat(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	w := agreeing(i)
	w.payment.Attempts[0].Disputed = 500
	breaks := believed(i, auto(), w, nil, now)
	i = Accept(i, breaks[0], now)
	if again := believed(i, auto(), w, nil, now); len(again) != 0 {
		t.Fatalf("accepted, and still %+v", again)
	}
	w.payment.Attempts[0].Disputed = 600
	if again := believed(i, auto(), w, nil, now); len(again) != 1 {
		t.Fatalf("it says something else now: %+v", again)
	}
}

func TestCompare_Accepted_ForeignAttempt_WhileItSaysThat(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	w := agreeing(i)
	w.payment.Attempts = append(w.payment.Attempts, Attempt{ID: "pi_3", State: AttemptCaptured, Amount: 500, Captured: 500, Currency: "USD"})
	i = Accept(i, believed(i, auto(), w, nil, now)[0], now)
	if again := believed(i, auto(), w, nil, now); len(again) != 0 {
		t.Fatalf("accepted, and still %+v", again)
	}
	w.payment.Attempts[1].Captured = 900
	if again := believed(i, auto(), w, nil, now); len(again) != 1 {
		t.Fatalf("it says 900 USD now, and 500 USD were accepted: %+v", again)
	}
}

func TestCompare_Tolerance(t *testing.T) {
	t.Parallel()
	p := auto()
	for n := range p.Rules {
		if p.Rules[n].Field == CRMRevenue {
			p.Rules[n].Tolerance = 2
		}
	}
	i := shippedOrder()
	w := agreeing(i)
	w.crm.Deals[0].Revenue -= 2
	if c := Compare(i, p, w.read(i.Order, now), nil, nil, now); len(c.Breaks) != 0 {
		t.Fatalf("within the tolerance: %+v", c.Breaks)
	}
	w.crm.Deals[0].Revenue--
	if c := Compare(i, p, w.read(i.Order, now), nil, nil, now); len(c.Breaks) != 1 {
		t.Fatalf("beyond the tolerance: %+v", c.Breaks)
	}
}

// The books may be a cent off where the policy says so: in what a document is
// about, and not in whether it is there.
func TestCompare_Tolerance_Documents(t *testing.T) {
	t.Parallel()
	i := returned()
	for _, list := range []func(w *world) *[]Document{
		func(w *world) *[]Document { return &w.erp.Sales }, func(w *world) *[]Document { return &w.erp.Invoices },
		func(w *world) *[]Document { return &w.erp.Receipts }, func(w *world) *[]Document { return &w.erp.Credits },
	} {
		for name, c := range map[string]struct {
			tolerance int64
			spoil     func(all *[]Document)
			want      int
		}{
			"within":  {5, func(all *[]Document) { (*all)[0].Total += 5 }, 0},
			"beyond":  {5, func(all *[]Document) { (*all)[0].Total += 6 }, 1},
			"missing": {maxLimit, func(all *[]Document) { *all = (*all)[1:] }, 1},
			"twice":   {maxLimit, func(all *[]Document) { again := (*all)[0]; again.ID += "0"; *all = append(*all, again) }, 1},
		} {
			p := auto()
			for _, f := range []Field{ERPSale, ERPInvoices, ERPReceipts, ERPCredits, ERPBalance} {
				p = withRule(p, f, func(r *Rule) { r.Tolerance = c.tolerance })
			}
			w := agreeing(i)
			c.spoil(list(w))
			if got := Compare(i, p, w.read(i.Order, now), nil, nil, now); len(got.Breaks) != c.want {
				t.Errorf("%s: %d breaks, want %d: %+v", name, len(got.Breaks), c.want, got.Breaks)
			}
		}
	}
}

// withRule returns the policy with one rule changed.
func withRule(p Policy, f Field, change func(r *Rule)) Policy {
	p.Rules = slices.Clone(p.Rules)
	for n := range p.Rules {
		if p.Rules[n].Field == f {
			change(&p.Rules[n])
		}
	}
	return p
}

// What nothing was asked about is as tolerable as what was.
func TestCompare_Tolerance_Unasked(t *testing.T) {
	t.Parallel()
	p := withRule(auto(), InventoryReserved, func(r *Rule) { r.Tolerance = 1 })
	i := accepted()
	for pieces, want := range map[int64]int{1: 0, 2: 1} {
		w := agreeing(i)
		w.inventory.Reservations = append(w.inventory.Reservations, Reservation{ID: "9", Line: 9, SKU: "Z", Quantity: pieces})
		if c := Compare(i, p, w.read(i.Order, now), nil, nil, now); len(c.Breaks) != want {
			t.Errorf("%d of Z reserved with a tolerance of 1: %+v", pieces, c.Breaks)
		}
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	w := agreeing(i)
	w.erp.Invoices = nil
	first := Compare(i, auto(), w.read(i.Order, now), nil, nil, now)
	slow := Abilities{StrongLookup: true, VisibilityLag: time.Minute}
	tests := []struct {
		name   string
		after  time.Duration
		change func(i *Intent, o *Observation)
		want   bool
	}{
		{"a strong read after the lag", time.Minute, func(*Intent, *Observation) {}, true},
		{"too soon", time.Minute - 1, func(*Intent, *Observation) {}, false},
		{"a listing", time.Minute, func(_ *Intent, o *Observation) { o.Strong = false }, false},
		{"unreadable", time.Minute, func(_ *Intent, o *Observation) { o.State = Unreadable }, false},
		{"an operation is open", time.Minute, func(i *Intent, _ *Observation) { i.Busy = []order.System{order.SystemERP} }, false},
		{"we wrote since the first read", time.Minute, func(i *Intent, _ *Observation) {
			i.Changed = []Changed{{order.SystemERP, now.Add(time.Second)}}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := shippedOrder()
			at := now.Add(tt.after)
			c := Compare(i, auto(), w.read(i.Order, at), nil, first.Breaks, at)
			o := w.read(i.Order, at)[3]
			tt.change(&i, &o)
			if got := Confirm(i, c, o, slow, at); len(got) != 1 || !got[0].Confirmed.IsZero() != tt.want {
				t.Fatalf("confirmed %+v, want %v", got, tt.want)
			}
		})
	}
}

// Of a break that was there before our own last write the two reads count from
// after it: a mail sent twice is confirmed although another mail followed.
func TestConfirm_SeenBeforeOurLastWrite(t *testing.T) {
	t.Parallel()
	i := shippedOrder()
	w := agreeing(i)
	w.erp.Invoices = nil
	first := Compare(i, auto(), w.read(i.Order, now), nil, nil, now)
	i.Changed = []Changed{{order.SystemERP, now.Add(time.Second)}}
	slow := Abilities{StrongLookup: true, VisibilityLag: time.Minute}
	breaks := first.Breaks
	for n, want := range []bool{false, true} {
		at := now.Add(time.Hour + time.Duration(n)*time.Minute)
		c := Compare(i, auto(), w.read(i.Order, at), nil, breaks, at)
		breaks = Confirm(i, c, w.read(i.Order, at)[3], slow, at)
		if len(breaks) != 1 || !breaks[0].Confirmed.IsZero() != want {
			t.Fatalf("read %d after the write: %+v, want confirmed %v", n+1, breaks, want)
		}
	}
}

func TestPlan_Strength(t *testing.T) {
	t.Parallel()
	i := accepted()
	w := agreeing(i)
	bases := Compare(i, auto(), w.read(i.Order, now), nil, nil, now).Agreed
	w.crm.Deals[0].Stage = DealLost
	tests := []struct {
		strength Strength
		edited   Decision
		lost     Decision
	}{
		{Enforce, Repair, Repair}, {EnforceOurs, Ask, Repair}, {AdoptTheirs, Adopt, Repair}, {FillEmpty, Report, Repair},
	}
	for _, tt := range tests {
		p := auto()
		for n := range p.Rules {
			if p.Rules[n].Field == CRMDeal {
				p.Rules[n].Strength = tt.strength
			}
		}
		decide := func(bases []Base) Decision {
			return Plan(p, i, believed(i, p, w, bases, now), w.read(i.Order, now), bases)[0].Decision
		}
		if got := decide(bases); got != tt.edited {
			t.Errorf("%s: edited there gave %s, want %s", tt.strength, got, tt.edited)
		}
		if got := decide([]Base{{Field: CRMDeal, Value: string(DealLost)}}); got != tt.lost {
			t.Errorf("%s: our write was lost gave %s, want %s", tt.strength, got, tt.lost)
		}
	}
}

// What both agreed was there and somebody took away is put back only where the
// policy enforces it; where our write was lost it is done again in any case.
func TestPlan_Strength_TakenAway(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field  Field
		intent func() Intent
		spoil  func(w *world)
		ours   Decision // where only our own lost writes are done again
	}{
		{InventoryReserved, accepted, func(w *world) { w.inventory.Reservations = nil }, Ask},
		{InventoryReserved, accepted, func(w *world) { w.inventory.Reservations[0].Quantity = 1 }, Ask},
		{WarehouseShipment, accepted, func(w *world) { w.warehouse.Shipments = nil }, Ask},
		{WarehouseReturn, comingBack, func(w *world) { w.warehouse.Returns = nil }, Ask},
		{ERPSale, accepted, func(w *world) { w.erp.Sales = nil }, Ask},
		{CRMDeal, accepted, func(w *world) { w.crm.Deals = nil }, Ask},
	}
	for _, tt := range tests {
		i := tt.intent()
		bases := Compare(i, auto(), agreeing(i).read(i.Order, now), nil, nil, now).Agreed
		w := agreeing(i)
		tt.spoil(w)
		for strength, want := range map[Strength]Decision{Enforce: Repair, EnforceOurs: tt.ours} {
			p := withRule(auto(), tt.field, func(r *Rule) { r.Strength = strength })
			decide := func(bases []Base) Step {
				return Plan(p, i, believed(i, p, w, bases, now), w.read(i.Order, now), bases)[0]
			}
			if s := decide(bases); s.Break.Field != tt.field || s.Decision != want || s.Operation == "" {
				t.Errorf("%s, %s: taken away gave %+v, want %s", tt.field, strength, s, want)
			}
			if s := decide(nil); s.Decision != Repair {
				t.Errorf("%s, %s: a lost write gave %+v, want repair", tt.field, strength, s)
			}
		}
	}
}

func TestPlan_Request_NeedsProofOfPayment(t *testing.T) {
	t.Parallel()
	i := accepted()
	w := agreeing(i)
	w.warehouse.Shipments = nil
	breaks := believed(i, auto(), w, nil, now)
	paid := w.read(i.Order, now)
	unread := slices.Clone(paid)
	unread[0] = Observation{System: order.SystemPayment, Order: i.Order, State: Unreadable, At: now}
	absent := slices.Clone(paid)
	absent[0] = Observation{System: order.SystemPayment, Order: i.Order, State: Absent, At: now, Strong: true}
	w.payment.Attempts[0].Disputed = 1
	disputed := w.read(i.Order, now)
	for name, tt := range map[string]struct {
		seen []Observation
		want Decision
	}{"paid": {paid, Repair}, "unreadable": {unread, Report}, "absent": {absent, Ask}, "disputed": {disputed, Ask}} {
		if s := Plan(auto(), i, breaks, tt.seen, nil); s[0].Decision != tt.want {
			t.Errorf("%s: %+v, want %s", name, s[0], tt.want)
		}
	}
}

func BenchmarkVerdict(b *testing.B) {
	i := returned()
	observations := agreeing(i).read(i.Order, now)
	p := auto()
	for b.Loop() {
		Judge(i, p, observations, Compare(i, p, observations, nil, nil, now), nil, true, now)
	}
}
