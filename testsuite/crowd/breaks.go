package crowd

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
)

// Kind is one way in which a system disagrees with an order, what a run must
// find, and what the business rules want done about it where everything is
// allowed. Conflicts are not among them: telling one takes what both last agreed
// on, which the order's own workflow remembers and a run does not know.
type Kind struct {
	Name      string
	Field     reconcile.Field
	Situation reconcile.Situation
	Decision  reconcile.Decision
	Operation order.Operation // of a repair
	// fits says whether the order can have it.
	fits func(c *Crowd, l Life) bool
	// plant has it happen in what the systems hold.
	plant func(l Life, r *Records)
}

// Planted is one order with a break, or with what will be none once it has
// settled.
type Planted struct {
	N        int
	Kind     Kind
	Settling bool
}

func (p Planted) String() string {
	what := "break"
	if p.Settling {
		what = "settling"
	}
	return fmt.Sprintf("%s %s: %s, %s.%s → %s %s", what, (&Crowd{}).ID(p.N), p.Kind.Name, p.Kind.Field, p.Kind.Situation, p.Kind.Decision, p.Kind.Operation)
}

// Plant plants a number of breaks, and as many that are settling, on the sealed
// days: one kind after the other, each on another order that can have it, by the
// crowd's seed.
func (c *Crowd) Plant(breaks, settling int) error {
	c.planted = map[int]Planted{}
	r := c.random(-1)
	kinds := Kinds()
	for n := range breaks + settling {
		kind := kinds[n%len(kinds)]
		from := r.IntN(c.Orders)
		place := func(k int) int { return (from + k) % c.Orders }
		chosen := -1
		for k := range c.Orders {
			if _, taken := c.planted[place(k)]; !taken && kind.fits(c, c.Life(place(k))) {
				chosen = place(k)
				break
			}
		}
		if chosen < 0 {
			return fmt.Errorf("plant %q: no order of the %d can have it any more", kind.Name, c.Orders)
		}
		c.planted[chosen] = Planted{N: chosen, Kind: kind, Settling: n >= breaks}
	}
	return nil
}

// Planted returns what was planted, by number of the order.
func (c *Crowd) Planted() []Planted {
	var all []Planted
	for _, p := range c.planted {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Planted) int { return a.N - b.N })
	return all
}

// Records returns what the systems hold of the n-th order, with what was planted
// there.
func (c *Crowd) Records(n int) Records {
	l := c.Life(n)
	r := l.Records()
	if p, is := c.planted[n]; is {
		p.Kind.plant(l, &r)
	}
	return r
}

// Intent returns what the n-th order means the systems to say as of now. Of one
// that is settling the last operation of the system in question ended a moment
// ago, whenever one asks.
func (c *Crowd) Intent(n int, now time.Time) reconcile.Intent {
	i := c.Life(n).Intent()
	if p, is := c.planted[n]; is && p.Settling {
		for k := range i.Changed {
			if i.Changed[k].System == p.Kind.Field.System() {
				i.Changed[k].At = now.Add(-2 * time.Second)
			}
		}
	}
	return i
}

// Which orders can have a break.
func waiting(_ *Crowd, l Life) bool {
	return l.accepted() && l.Cancelled.IsZero() && len(l.out()) == 0
}

// arrived orders are there within three days: what happens to a record later is
// found on the day when it happens, which may not be sealed yet.
func arrived(_ *Crowd, l Life) bool {
	if len(l.out()) != 1 || len(l.Parcels) != 1 || l.Return != nil {
		return false
	}
	at := l.Parcels[0].Delivered
	return !at.IsZero() && at.Before(l.Order.PlacedAt.Add(3*day))
}
func inTwo(_ *Crowd, l Life) bool     { return len(l.out()) == 2 }
func cancelled(_ *Crowd, l Life) bool { return !l.Cancelled.IsZero() }
func returned(_ *Crowd, l Life) bool {
	return l.Return != nil && !l.Return.Restocked.IsZero() && l.Return.Amount > 0
}
func announced(_ *Crowd, l Life) bool { return l.Return != nil && l.Return.Received.IsZero() }
func withCart(c *Crowd, l Life) bool  { return arrived(c, l) && l.Order.CartID != "" }

// alone orders have a contact that the customer's other order does not need.
func alone(c *Crowd, l Life) bool {
	return arrived(c, l) && l.N%2 == 0 && l.N+1 < c.Len() && !c.Life(l.N+1).accepted()
}

// several orders have more than one piece.
func several(c *Crowd, l Life) bool {
	n := int64(0)
	for _, q := range l.Order.Lines {
		n += q.Quantity
	}
	return arrived(c, l) && n > 1
}

// recently captured orders still have their authorization.
func recently(c *Crowd, l Life) bool {
	return len(l.Parcels) == 1 && len(l.out()) == 1 && l.Return == nil && l.asOf.Sub(l.Order.PlacedAt) < 6*day
}

// Kinds returns every kind of break that a run can find, system by system.
func Kinds() []Kind {
	return slices.Concat(paymentKinds(), stockKinds(), warehouseKinds(), erpKinds(), crmKinds(), mailKinds())
}

func paymentKinds() []Kind {
	return []Kind{
		{"the capture was lost", reconcile.PaymentCaptured, reconcile.Missing, reconcile.Repair, order.Capture, recently,
			func(_ Life, r *Records) { r.Payment[0].Captures = nil }},
		{"the payment is gone", reconcile.PaymentCaptured, reconcile.Missing, reconcile.Ask, order.Authorize, arrived,
			func(_ Life, r *Records) { r.Payment = nil }},
		{"the second parcel was captured for in part", reconcile.PaymentCaptured, reconcile.Mismatch, reconcile.Ask, order.Authorize, inTwo,
			func(_ Life, r *Records) { r.Payment[0].Captures[1].Amount-- }},
		{"somebody refunded by hand", reconcile.PaymentRefunded, reconcile.Unexpected, reconcile.Adopt, "", arrived,
			func(l Life, r *Records) {
				r.Payment[0].Refunds = []payment.Moved{{Amount: 100, At: l.Parcels[0].Delivered, Metadata: map[string]string{}}}
			}},
		{"a refund failed", reconcile.PaymentRefunded, reconcile.Missing, reconcile.Ask, order.Refund, returned,
			func(_ Life, r *Records) { r.Payment[0].Refunds[0].Failed = true }},
		{"the customer disputes", reconcile.PaymentDisputed, reconcile.Unexpected, reconcile.Ask, "", arrived,
			func(l Life, r *Records) { r.Payment[0].Disputed = l.Parcels[0].Delivered }},
		{"an attempt was left open", reconcile.PaymentOpen, reconcile.Unexpected, reconcile.Repair, order.Void, arrived,
			func(l Life, r *Records) {
				r.Payment = append(r.Payment, payment.Loaded{
					ID: l.Payment(2), Metadata: l.metadata(""), Currency: "eur", Amount: l.Order.Total, Created: l.authorized(), Open: true,
				})
			}},
		{"it was captured twice", reconcile.PaymentAttempts, reconcile.Duplicate, reconcile.Repair, order.Refund, arrived,
			func(l Life, r *Records) {
				second := r.Payment[0]
				second.ID, second.Created = l.Payment(2), second.Created.Add(time.Minute)
				r.Payment = append(r.Payment, second)
			}},
	}
}

func stockKinds() []Kind {
	return []Kind{
		{"the reservation is gone", reconcile.InventoryReserved, reconcile.Missing, reconcile.Repair, order.Reserve, waiting,
			func(l Life, r *Records) {
				for n := range r.Inventory {
					r.Inventory[n].Deleted = l.booked()
				}
			}},
		{"it was not committed", reconcile.InventoryReserved, reconcile.Unexpected, reconcile.Repair, order.Commit, arrived,
			func(_ Life, r *Records) { r.Inventory[0].Deleted = time.Time{} }},
		{"it is reserved twice", reconcile.InventoryReserved, reconcile.Duplicate, reconcile.Repair, order.Release, waiting,
			func(_ Life, r *Records) { r.Inventory = append(r.Inventory, r.Inventory[0]) }},
		{"too little is reserved", reconcile.InventoryReserved, reconcile.Mismatch, reconcile.Repair, order.Reserve, func(c *Crowd, l Life) bool {
			return waiting(c, l) && l.Order.Lines[0].Quantity > 1
		}, func(_ Life, r *Records) { r.Inventory[0].Quantity-- }},
	}
}

func warehouseKinds() []Kind {
	return []Kind{
		{"the request was lost", reconcile.WarehouseShipment, reconcile.Missing, reconcile.Repair, order.Request, waiting,
			func(_ Life, r *Records) { r.Warehouse = nil }},
		{"the shipment is gone", reconcile.WarehouseShipment, reconcile.Missing, reconcile.Ask, "", arrived,
			func(_ Life, r *Records) { r.Warehouse = nil }},
		{"the warehouse cancelled it", reconcile.WarehouseShipment, reconcile.Mismatch, reconcile.Ask, order.Request, waiting,
			func(l Life, r *Records) {
				r.Warehouse[0].State, r.Warehouse[0].Changed = "cancelled", l.Order.PlacedAt.Add(time.Hour)
			}},
		{"the cancelled goods are still requested", reconcile.WarehouseShipment, reconcile.Unexpected, reconcile.Repair, order.Cancel, cancelled,
			func(_ Life, r *Records) { r.Warehouse[0].State, r.Warehouse[0].Changed = "waiting", time.Time{} }},
		{"a piece is missing in the parcel", reconcile.WarehouseLines, reconcile.Mismatch, reconcile.Ask, "", several,
			func(_ Life, r *Records) {
				goods := slices.Clone(r.Warehouse[0].Goods)
				if goods[0].Pieces--; goods[0].Pieces == 0 {
					goods = goods[1:]
				}
				r.Warehouse[0].Goods = goods
			}},
		{"it was shipped twice", reconcile.WarehouseDuplicate, reconcile.Duplicate, reconcile.Ask, "", arrived,
			func(_ Life, r *Records) { r.Warehouse = append(r.Warehouse, r.Warehouse[0]) }},
		{"the return was not announced", reconcile.WarehouseReturn, reconcile.Missing, reconcile.Repair, order.Return, announced,
			func(_ Life, r *Records) { r.Warehouse = r.Warehouse[:len(r.Warehouse)-1] }},
		{"goods came back that nobody announced", reconcile.WarehouseReturn, reconcile.Unexpected, reconcile.Adopt, "", arrived,
			func(l Life, r *Records) {
				at := l.Parcels[0].Delivered
				r.Warehouse = append(r.Warehouse, warehouse.Loaded{
					Reference: l.key(order.Return, 1), Return: true, Customer: l.party(), State: "received", Created: at, Changed: at,
					Goods: []warehouse.Goods{{SKU: l.Order.Lines[0].SKU, Pieces: 1}},
				})
			}},
		{"the return was called off", reconcile.WarehouseReturn, reconcile.Mismatch, reconcile.Ask, order.Return, announced,
			func(l Life, r *Records) {
				back := &r.Warehouse[len(r.Warehouse)-1]
				back.State, back.Changed = "cancelled", l.Return.Announced.Add(time.Minute)
			}},
	}
}

func erpKinds() []Kind {
	return []Kind{
		{"the sale is missing", reconcile.ERPSale, reconcile.Missing, reconcile.Repair, order.Record, arrived,
			func(_ Life, r *Records) { r.ERP.Sales = nil }},
		{"somebody changed the sale", reconcile.ERPSale, reconcile.Mismatch, reconcile.Ask, "", arrived,
			func(l Life, r *Records) {
				r.ERP.Sales[0].Lines = append(slices.Clone(r.ERP.Sales[0].Lines), erp.Line{What: "Gift wrap", Pieces: 1, Unit: 300})
				r.ERP.Sales[0].Changed = l.Parcels[0].Delivered
			}},
		{"the invoice is missing", reconcile.ERPInvoices, reconcile.Missing, reconcile.Repair, order.Invoice, arrived,
			func(_ Life, r *Records) { r.ERP.Invoices = nil }},
		{"it was invoiced twice", reconcile.ERPInvoices, reconcile.Duplicate, reconcile.Ask, "", arrived,
			func(_ Life, r *Records) { r.ERP.Invoices = append(r.ERP.Invoices, r.ERP.Invoices[0]) }},
		{"a draft of the invoice was left", reconcile.ERPInvoices, reconcile.Unexpected, reconcile.Repair, order.Invoice, arrived,
			func(_ Life, r *Records) {
				draft := r.ERP.Invoices[0]
				draft.Draft = true
				r.ERP.Invoices = append(r.ERP.Invoices, draft)
			}},
		{"the receipt is missing", reconcile.ERPReceipts, reconcile.Missing, reconcile.Repair, order.Receipt, arrived,
			func(_ Life, r *Records) { r.ERP.Receipts = nil }},
		{"a receipt nobody knows was booked", reconcile.ERPReceipts, reconcile.Unexpected, reconcile.Ask, "", arrived,
			func(l Life, r *Records) {
				r.ERP.Receipts = append(r.ERP.Receipts, erp.Receipt{Reference: l.key(order.Receipt, 7), Amount: 700, At: l.Parcels[0].Delivered})
			}},
		{"the credit note is missing", reconcile.ERPCredits, reconcile.Missing, reconcile.Repair, order.Credit, returned,
			func(_ Life, r *Records) { r.ERP.Invoices = r.ERP.Invoices[:len(r.ERP.Invoices)-1] }},
	}
}

func crmKinds() []Kind {
	deal := func(change func(d *crm.Loaded)) func(Life, *Records) {
		return func(_ Life, r *Records) {
			for n := range r.CRM {
				if r.CRM[n].Properties["trueup_order_id"] != "" {
					change(&r.CRM[n])
				}
			}
		}
	}
	return []Kind{
		{"the contact is gone", reconcile.CRMContact, reconcile.Missing, reconcile.Repair, order.Upsert, alone,
			func(_ Life, r *Records) {
				r.CRM = slices.DeleteFunc(r.CRM, func(x crm.Loaded) bool { return !x.Deal })
			}},
		{"the deal is gone", reconcile.CRMDeal, reconcile.Missing, reconcile.Repair, order.Upsert, arrived,
			func(_ Life, r *Records) {
				r.CRM = slices.DeleteFunc(r.CRM, func(x crm.Loaded) bool { return x.Properties["trueup_order_id"] != "" })
			}},
		{"the deal was set to lost", reconcile.CRMDeal, reconcile.Mismatch, reconcile.Repair, order.Upsert, arrived,
			deal(func(d *crm.Loaded) { d.Properties["dealstage"] = stage(reconcile.DealLost) })},
		{"the revenue was changed", reconcile.CRMRevenue, reconcile.Mismatch, reconcile.Repair, order.Upsert, arrived,
			deal(func(d *crm.Loaded) { d.Properties["amount"] = "1.23" })},
		{"the revenue was taken out", reconcile.CRMRevenue, reconcile.Missing, reconcile.Repair, order.Upsert, arrived,
			deal(func(d *crm.Loaded) { delete(d.Properties, "amount") })},
		{"the deal of a cancelled order has revenue", reconcile.CRMRevenue, reconcile.Unexpected, reconcile.Repair, order.Upsert, cancelled,
			deal(func(d *crm.Loaded) { d.Properties["amount"] = "1.23" })},
		{"the cart is still open", reconcile.CRMCarts, reconcile.Unexpected, reconcile.Repair, order.Upsert, withCart,
			func(_ Life, r *Records) { r.CRM[len(r.CRM)-1].Properties["dealstage"] = stage(reconcile.DealAbandoned) }},
	}
}

func mailKinds() []Kind {
	return []Kind{
		{"the confirmation was not sent", reconcile.MailField(reconcile.MailConfirmation), reconcile.Missing, reconcile.Report, "", arrived,
			func(_ Life, r *Records) { r.Mail = r.Mail[1:] }},
		{"the shipment was told of twice", reconcile.MailField(reconcile.MailShipped), reconcile.Duplicate, reconcile.Adopt, "", arrived,
			func(_ Life, r *Records) {
				again := r.Mail[1]
				again.At = again.At.Add(time.Minute)
				r.Mail = append(r.Mail, again)
			}},
		{"a cancellation went out", reconcile.MailField(reconcile.MailCancellation), reconcile.Unexpected, reconcile.Adopt, "", arrived,
			func(l Life, r *Records) {
				r.Mail = append(r.Mail, l.letter(reconcile.MailIntent{Template: reconcile.MailCancellation, Occasion: 1, Due: l.Parcels[0].Delivered}))
			}},
	}
}

// Found says what is wrong with the steps that a run would take about the order,
// "" when they are those that the break asks for. Other findings may follow from
// it, but in its own system only.
func (p Planted) Found(steps []reconcile.Step) string {
	found := false
	for _, s := range steps {
		b := s.Break
		if b.System != p.Kind.Field.System() {
			return fmt.Sprintf("also found is %s in %s", b.ID(), b.System)
		}
		if b.Field != p.Kind.Field || b.Situation != p.Kind.Situation {
			continue
		}
		if found = true; s.Decision != p.Kind.Decision || s.Operation != p.Kind.Operation {
			return fmt.Sprintf("%s would be %s %s: %s", b.ID(), s.Decision, s.Operation, s.Why)
		}
	}
	if !found {
		return fmt.Sprintf("found are %+v", steps)
	}
	return ""
}
