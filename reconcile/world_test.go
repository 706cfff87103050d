package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

var (
	placed = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// now is late enough that nothing settles any more, and early enough that
	// mails are still news.
	now = placed.Add(3 * time.Hour)
)

func auto() Policy { return Default().WithMode(ModeAuto) }

// world is what the six systems hold of one order: the simplest model in which
// each operation does what its port says.
type world struct {
	payment   Payment
	inventory Inventory
	warehouse Warehouse
	erp       ERP
	crm       CRM
	mail      Mail
	owing     int64 // booked by hand beside every document
	ids       int
}

func (w *world) id() string { w.ids++; return fmt.Sprintf("r%d", w.ids) }

// agreeing returns the world in which every system says what the intent means.
func agreeing(i Intent) *world {
	w := &world{}
	if i.Held > 0 || i.Captured > 0 {
		state := AttemptAuthorized
		if i.Held == 0 {
			state = AttemptCaptured
		}
		w.payment.Attempts = append(w.payment.Attempts, Attempt{
			ID: w.id(), Key: order.Intent{Order: i.Order, Operation: order.Authorize, N: 1}.Key(), State: state, Amount: i.Total,
			Held: i.Held, Captured: i.Captured, Refunded: i.Refunded, Currency: i.Currency, Created: placed,
		})
	}
	for n, q := range i.Reserved {
		w.inventory.Reservations = append(w.inventory.Reservations, Reservation{ID: w.id(), Line: n + 1, SKU: q.SKU, Quantity: q.Quantity})
	}
	for _, s := range i.Shipments {
		parcel := Shipment{ID: w.id(), Key: s.Key, State: s.State, Lines: s.Lines}
		for _, told := range s.Told {
			parcel.ID, parcel.Tracking = told.Shipment, told.Tracking
		}
		w.warehouse.Shipments = append(w.warehouse.Shipments, parcel)
	}
	for _, r := range i.Returns {
		w.warehouse.Returns = append(w.warehouse.Returns, Return{ID: w.id(), Key: r.Key, State: r.State, Lines: r.Lines})
	}
	if i.Sale != nil {
		w.erp.Sales = w.post(w.erp.Sales, *i.Sale)
	}
	for _, d := range i.Invoices {
		w.erp.Invoices = w.post(w.erp.Invoices, d)
	}
	for _, d := range i.Receipts {
		w.erp.Receipts = w.post(w.erp.Receipts, d)
	}
	for _, d := range i.Credits {
		w.erp.Credits = w.post(w.erp.Credits, d)
	}
	if i.Deal != "" {
		w.upsert(i)
	}
	for _, m := range i.Mails {
		w.send(i, m)
	}
	return w
}

// post books a document once, and removes drafts of its key.
func (w *world) post(documents []Document, d DocumentIntent) []Document {
	kept := slices.DeleteFunc(slices.Clone(documents), func(other Document) bool { return other.Key == d.Key && other.State == DocumentDraft })
	if slices.ContainsFunc(kept, func(other Document) bool { return other.Key == d.Key && other.State == DocumentPosted }) {
		return kept
	}
	return append(kept, Document{ID: w.id(), Key: d.Key, State: DocumentPosted, Total: d.Total})
}

func (w *world) upsert(i Intent) {
	if len(w.crm.Contacts) == 0 {
		w.crm.Contacts = []Contact{{ID: w.id(), CustomerID: "c1"}}
	}
	if len(w.crm.Deals) == 0 {
		w.crm.Deals = []Deal{{ID: w.id()}}
	}
	w.crm.Deals[0].Stage, w.crm.Deals[0].Revenue, w.crm.Deals[0].Currency = i.Deal, i.Revenue, i.Currency
	if i.endedWithoutDeal() {
		w.crm.Deals[0].Stage = DealLost // what the workflow means from then on
	}
	if i.cartsDue() {
		w.crm.Carts = nil
	}
}

func (w *world) send(i Intent, m MailIntent) {
	key := fmt.Sprintf("%s-%s-%d", i.Order, m.Template, m.Occasion)
	w.mail.Messages = append(w.mail.Messages, Message{MessageID: key, Template: m.Template, Occasion: m.Occasion, At: m.Due})
}

// read returns strong observations of the world at a moment.
func (w *world) read(id order.ID, at time.Time) []Observation {
	clone := func(s order.System) Observation {
		return Observation{System: s, Order: id, State: Present, At: at, Strong: true}
	}
	p, v, h, e, c, m := clone(order.SystemPayment), clone(order.SystemInventory), clone(order.SystemWarehouse),
		clone(order.SystemERP), clone(order.SystemCRM), clone(order.SystemMail)
	p.Payment = &Payment{slices.Clone(w.payment.Attempts)}
	v.Inventory = &Inventory{slices.Clone(w.inventory.Reservations)}
	h.Warehouse = &Warehouse{Shipments: slices.Clone(w.warehouse.Shipments), Returns: slices.Clone(w.warehouse.Returns)}
	erp := ERP{
		Sales: slices.Clone(w.erp.Sales), Invoices: slices.Clone(w.erp.Invoices),
		Receipts: slices.Clone(w.erp.Receipts), Credits: slices.Clone(w.erp.Credits),
	}
	erp.Balance = posted(erp.Invoices) - posted(erp.Receipts) + w.owing
	for _, d := range erp.Credits {
		erp.Balance -= max(posted([]Document{d}), -posted([]Document{d}))
	}
	e.ERP = &erp
	crm := CRM{Contacts: slices.Clone(w.crm.Contacts), Deals: slices.Clone(w.crm.Deals), Carts: slices.Clone(w.crm.Carts)}
	c.CRM = &crm
	m.Mail = &Mail{slices.Clone(w.mail.Messages)}
	return []Observation{p, v, h, e, c, m}
}

// posted adds up what is booked.
func posted(documents []Document) int64 {
	sum := int64(0)
	for _, d := range documents {
		if d.State == DocumentPosted {
			sum += d.Total
		}
	}
	return sum
}

// apply carries out a repair as the adapters would, and returns the money that
// it moved: taken positive, given back negative.
func (w *world) apply(i Intent, s Step) int64 {
	switch s.Operation {
	case order.Reserve, order.Release, order.Commit:
		w.inventory.Reservations = nil
		for n, q := range i.Reserved {
			w.inventory.Reservations = append(w.inventory.Reservations, Reservation{ID: w.id(), Line: n + 1, SKU: q.SKU, Quantity: q.Quantity})
		}
	case order.Request:
		for _, intended := range i.Shipments {
			if intended.Key == s.Key {
				w.warehouse.Shipments = append(w.warehouse.Shipments, Shipment{ID: w.id(), Key: s.Key, State: ShipmentRequested, Lines: intended.Lines})
			}
		}
	case order.Return:
		for _, r := range i.Returns {
			if r.Key == s.Key {
				w.warehouse.Returns = append(w.warehouse.Returns, Return{ID: w.id(), Key: r.Key, State: ReturnExpected, Lines: r.Lines})
			}
		}
	case order.Cancel:
		for n := range w.warehouse.Shipments {
			if w.warehouse.Shipments[n].Key == s.Key {
				w.warehouse.Shipments[n].State = ShipmentCancelled
			}
		}
	case order.Record, order.Invoice, order.Receipt, order.Credit:
		for _, d := range i.documents(s.Break.Field) {
			if d.Key == s.Key {
				list := w.documents(s.Break.Field)
				*list = w.post(*list, d)
			}
		}
	case order.Upsert:
		w.upsert(i)
	case order.Send:
		for _, m := range i.Mails {
			if MailField(m.Template) == s.Break.Field && strconv.Itoa(m.Occasion) == s.Break.Item {
				w.send(i, m)
			}
		}
	case order.Capture, order.Void, order.Refund:
		return w.move(s)
	}
	return 0
}

func (w *world) documents(f Field) *[]Document {
	switch f {
	case ERPSale:
		return &w.erp.Sales
	case ERPInvoices:
		return &w.erp.Invoices
	case ERPReceipts:
		return &w.erp.Receipts
	}
	return &w.erp.Credits
}

func (w *world) move(s Step) int64 {
	moved := int64(0)
	for n := range w.payment.Attempts {
		a := &w.payment.Attempts[n]
		switch {
		case s.Operation == order.Void && a.ID == s.Break.Item:
			a.State, a.Held = AttemptVoided, 0
		case s.Operation == order.Refund && a.ID == s.Break.Item:
			a.Refunded += s.Amount
			return -s.Amount
		case s.Operation == order.Capture && a.Held > 0:
			amount := min(a.Held, s.Amount-moved)
			a.Held, a.Captured = a.Held-amount, a.Captured+amount
			if a.Held == 0 {
				a.State = AttemptCaptured
			}
			moved += amount
		}
	}
	return moved
}

// key of the n-th intent of an operation of the test order.
func key(operation order.Operation, n int) string {
	return order.Intent{Order: "42", Operation: operation, N: n}.Key()
}

// base order of the examples: A×2 and B×1 for 99.80 EUR.
func accepted() Intent {
	lines := []order.Quantity{{Line: 1, SKU: "A", Quantity: 2}, {Line: 2, SKU: "B", Quantity: 1}}
	return Intent{
		Order: "42", PlacedAt: placed, Currency: "EUR", Total: 9980, Phase: order.PhaseAccepted, Held: 9980, Reserved: lines,
		Shipments: []ShipmentIntent{{Key: key(order.Request, 1), Lines: lines, State: ShipmentRequested}},
		Sale:      &DocumentIntent{Key: key(order.Record, 1), Total: 9980},
		Deal:      DealWon, Cart: true,
		Mails: []MailIntent{{Template: MailConfirmation, Occasion: 1, Due: placed.Add(time.Minute)}},
	}
}

// takenAtOnce is an accepted order by a method that cannot only hold money.
func takenAtOnce() Intent {
	i := accepted()
	i.Held, i.Captured, i.Revenue = 0, 9980, 9980
	i.Receipts = []DocumentIntent{{Key: key(order.Receipt, 1), Total: 9980}}
	return i
}

func shippedOrder() Intent {
	i := accepted()
	i.Phase, i.Held, i.Captured, i.Revenue, i.Reserved = order.PhaseShipped, 0, 9980, 9980, nil
	i.Shipments = []ShipmentIntent{{Key: key(order.Request, 1), Lines: i.Shipments[0].Lines, State: ShipmentShipped}}
	i.Invoices = []DocumentIntent{{Key: key(order.Invoice, 1), Total: 9980}}
	i.Receipts = []DocumentIntent{{Key: key(order.Receipt, 1), Total: 9980}}
	i.Mails = append(i.Mails, MailIntent{Template: MailShipped, Occasion: 1, Due: placed.Add(2 * time.Hour)})
	return i
}

func cancelledOrder() Intent {
	i := accepted()
	i.Phase, i.Held, i.Reserved, i.Shipments, i.Sale, i.Deal = order.PhaseCancelled, 0, nil, nil, nil, DealLost
	i.Mails = append(i.Mails, MailIntent{Template: MailCancellation, Occasion: 1, Due: placed.Add(time.Hour)})
	return i
}

// returned is a shipped order of which one A came back.
func returned() Intent {
	i := shippedOrder()
	i.Phase, i.Refunded, i.Revenue = order.PhaseDelivered, 2500, 7480
	i.Shipments[0].State = ShipmentDelivered
	i.Receipts = append(slices.Clone(i.Receipts), DocumentIntent{Key: key(order.Receipt, 2), Total: -2500})
	i.Credits = []DocumentIntent{{Key: key(order.Credit, 1), Total: 2500}}
	return i
}

// inParts is an order of which one A has left, and the rest is with the
// warehouse under a request of its own.
func inParts() Intent {
	i := accepted()
	i.Held, i.Captured, i.Revenue = 7480, 2500, 2500
	i.Reserved = []order.Quantity{{Line: 1, SKU: "A", Quantity: 1}, {Line: 2, SKU: "B", Quantity: 1}}
	i.Shipments = []ShipmentIntent{
		{Key: key(order.Request, 1), Lines: []order.Quantity{{Line: 1, SKU: "A", Quantity: 1}}, State: ShipmentShipped},
		{Key: key(order.Request, 2), Lines: i.Reserved, State: ShipmentRequested},
	}
	i.Invoices = []DocumentIntent{{Key: key(order.Invoice, 1), Total: 2500}}
	i.Receipts = []DocumentIntent{{Key: key(order.Receipt, 1), Total: 2500}}
	i.Mails = append(i.Mails, MailIntent{Template: MailShipped, Occasion: 1, Due: placed.Add(2 * time.Hour)})
	return i
}

// comingBack is a shipped order of which one A is on its way back.
func comingBack() Intent {
	i := shippedOrder()
	i.Phase = order.PhaseDelivered
	i.Shipments[0].State = ShipmentDelivered
	i.Returns = []ReturnIntent{{Key: key(order.Return, 1), Lines: []order.Quantity{{Line: 1, SKU: "A", Quantity: 1}}, State: ReturnExpected}}
	return i
}

func received() Intent {
	return Intent{Order: "42", PlacedAt: placed, Currency: "EUR", Total: 9980, Phase: order.PhaseReceived, Paying: true}
}

func paying() Intent {
	i := received()
	i.Phase = order.PhasePaying
	i.Reserved = accepted().Reserved
	return i
}

// split has the warehouse send what it was asked for in several parcels.
func (w *world) split(t *rapid.T) {
	var parts []Shipment
	for _, s := range w.warehouse.Shipments {
		if !s.State.Live() {
			parts = append(parts, s)
			continue
		}
		rest := slices.Clone(s.Lines)
		for n := range rest {
			take := rapid.Int64Range(0, rest[n].Quantity).Draw(t, "part")
			part := s
			part.ID, part.Lines = w.id(), []order.Quantity{{SKU: rest[n].SKU, Quantity: take}}
			rest[n].Quantity -= take
			if s.State == ShipmentRequested { // the warehouse decides how far each of them is
				part.State = rapid.SampledFrom([]ShipmentState{ShipmentRequested, ShipmentPacked, ShipmentShipped}).Draw(t, "state")
			}
			parts = append(parts, part)
		}
		s.Lines = rest
		parts = append(parts, s)
	}
	w.warehouse.Shipments = parts
}
