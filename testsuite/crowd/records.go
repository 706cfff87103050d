package crowd

import (
	"fmt"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/inventory"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/tryton"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
)

// Records are what the six systems hold of one order.
type Records struct {
	Payment   []payment.Loaded
	Inventory []inventory.Loaded
	Warehouse []warehouse.Loaded
	ERP       erp.Loaded
	CRM       []crm.Loaded
	Mail      []mail.Loaded
}

// Records returns what the six systems hold of the order.
func (l Life) Records() Records {
	r := Records{Payment: []payment.Loaded{l.attempt()}, CRM: l.customer()}
	r.ERP.Customer, r.ERP.Currency, r.ERP.Channel = l.party(), l.Order.Currency, Channel
	for n, line := range l.Order.Lines {
		r.Inventory = append(r.Inventory, l.promise(n+1, line)...)
	}
	if l.accepted() {
		r.Warehouse = l.goods()
		l.books(&r.ERP)
		r.CRM = append(r.CRM, l.deal()...)
		for _, m := range l.Intent().Mails {
			r.Mail = append(r.Mail, l.letter(m))
		}
	}
	return r
}

func (l Life) metadata(key string) map[string]string {
	return map[string]string{"order_id": string(l.Order.ID), "intent_key": key, "channel": Channel}
}

func (l Life) attempt() payment.Loaded {
	p := payment.Loaded{
		ID: l.Payment(1), Metadata: l.metadata(l.key(order.Authorize, 1)), Currency: "eur", Amount: l.Order.Total, Created: l.authorized(),
		Open: !l.accepted(), Cancelled: l.Failed,
	}
	for n, parcel := range l.out() {
		p.Captures = append(p.Captures, payment.Moved{Amount: l.share(n).Total, At: soon(parcel.Shipped), Final: n+1 == len(l.Parcels)})
	}
	if !l.Cancelled.IsZero() {
		p.Cancelled = soon(l.Cancelled)
	}
	if back := l.refunded(); back > 0 {
		p.Refunds = []payment.Moved{{Amount: back, At: soon(l.Return.Received), Metadata: l.metadata(l.key(order.Refund, 1))}}
	}
	return p
}

// promise is the reservation of a line: committed with its last piece, released
// when the order is taken back.
func (l Life) promise(n int, line order.Line) []inventory.Loaded {
	key := l.key(order.Reserve, 1)
	p := inventory.Loaded{
		SKU: line.SKU, Quantity: line.Quantity, LineItem: "order/" + string(l.Order.ID), Description: fmt.Sprintf("%s line %d", key, n),
		Metadata: map[string]any{"order_id": l.Order.ID, "line": n, "channel": Channel}, Created: l.Order.PlacedAt.Add(time.Second),
	}
	for _, parcel := range l.out() {
		for _, q := range parcel.Lines {
			if q.Line == n {
				p.Quantity -= q.Quantity
				p.Updated = soon(parcel.Shipped)
			}
		}
	}
	switch {
	case p.Quantity == 0:
		p.Quantity, p.Deleted = line.Quantity, p.Updated
	case !l.Failed.IsZero():
		p.Deleted = soon(l.Failed)
	case !l.Cancelled.IsZero():
		p.Deleted = soon(l.Cancelled)
	}
	return []inventory.Loaded{p}
}

func (l Life) party() tryton.Customer {
	a := l.Order.ShipTo
	return tryton.Customer{
		Code: "customer/" + l.Order.Customer.ID, Name: l.Order.Customer.Name, Street: a.Street, Postal: a.PostalCode, City: a.City, Country: a.Country,
	}
}

func (l Life) goods() []warehouse.Loaded {
	var all []warehouse.Loaded
	for n, p := range l.Parcels {
		s := warehouse.Loaded{
			Reference: l.key(order.Request, n+1), Customer: l.party(), State: "waiting", Goods: goodsOf(p.Lines), Created: l.booked(),
		}
		if n > 0 {
			s.Created = soon(l.Parcels[n-1].Shipped)
		}
		switch {
		case !l.Cancelled.IsZero():
			s.State, s.Changed = "cancelled", l.Cancelled
		case !p.Shipped.IsZero():
			s.State, s.Changed = "done", p.Shipped
		default:
			s.Goods = goodsOf(l.left())
		}
		if !p.Delivered.IsZero() {
			s.Notes = []warehouse.Note{{At: p.Delivered, Text: "delivered: " + p.Delivered.Format(time.RFC3339)}}
		}
		all = append(all, s)
		if p.Shipped.IsZero() {
			break
		}
	}
	if r := l.Return; r != nil {
		back := warehouse.Loaded{
			Reference: l.key(order.Return, 1), Return: true, Customer: l.party(), State: "draft", Goods: goodsOf(r.Lines), Created: r.Announced,
		}
		if !r.Received.IsZero() {
			back.State, back.Changed = "received", r.Received
		}
		if !r.Restocked.IsZero() {
			back.State, back.Changed = "done", r.Restocked
		}
		all = append(all, back)
	}
	return all
}

func goodsOf(lines []order.Quantity) []warehouse.Goods {
	var all []warehouse.Goods
	for _, q := range lines {
		all = append(all, warehouse.Goods{SKU: q.SKU, Pieces: q.Quantity, Line: q.Line})
	}
	return all
}

func (l Life) books(b *erp.Loaded) {
	sale := erp.Trade{Reference: l.key(order.Record, 1), At: l.booked()}
	lines, taxes := trade(order.ShareOf(l.Order, nil, l.Order.AllLines()), 1)
	sale.Lines = lines
	for _, t := range taxes {
		sale.Lines = append(sale.Lines, erp.Line{What: t.What, Pieces: 1, Unit: t.Amount})
	}
	b.Sales = []erp.Trade{sale}
	for n, p := range l.out() {
		invoice := erp.Trade{Reference: l.key(order.Invoice, n+1), At: soon(p.Shipped)}
		invoice.Lines, invoice.Taxes = trade(l.share(n), 1)
		b.Invoices = append(b.Invoices, invoice)
		b.Receipts = append(b.Receipts, erp.Receipt{
			Reference: l.key(order.Receipt, n+1), Payment: l.Payment(1), Amount: l.share(n).Total, At: soon(p.Shipped),
		})
	}
	if back := l.refunded(); back > 0 {
		at := soon(l.Return.Received)
		b.Receipts = append(b.Receipts, erp.Receipt{
			Reference: l.key(order.Receipt, len(b.Receipts)+1), Payment: l.Payment(1), Amount: -back, At: at,
		})
		b.Invoices = append(b.Invoices, erp.Trade{
			Reference: l.key(order.Credit, 1), At: at, Lines: []erp.Line{{What: "Refund", Pieces: -1, Unit: back}},
		})
	}
}

// trade writes a share as lines and taxes.
func trade(s order.Share, sign int64) ([]erp.Line, []erp.Tax) {
	var lines []erp.Line
	var taxes []erp.Tax
	for _, l := range s.Lines {
		lines = append(lines, erp.Line{What: l.SKU, Pieces: sign * l.Quantity, Unit: l.UnitPrice})
		if l.Discount != 0 {
			lines = append(lines, erp.Line{What: "Discount " + l.SKU, Pieces: sign, Unit: -l.Discount})
		}
		if l.Tax != 0 {
			taxes = append(taxes, erp.Tax{What: "Tax " + l.SKU, Base: sign * (l.Gross - l.Discount), Amount: sign * l.Tax})
		}
	}
	if s.Shipping != 0 {
		lines = append(lines, erp.Line{What: "Shipping", Pieces: sign, Unit: s.Shipping})
	}
	return lines, taxes
}

// customer is the contact, which the first of the customer's orders made.
func (l Life) customer() []crm.Loaded {
	if l.N%2 != 0 {
		return nil
	}
	o := l.Order
	return []crm.Loaded{{Created: l.booked(), Properties: map[string]string{
		"trueup_customer_id": o.Customer.ID, "email": o.Customer.Email, "firstname": "Customer", "lastname": o.Customer.ID,
		"address": o.ShipTo.Street, "city": o.ShipTo.City, "zip": o.ShipTo.PostalCode, "country": o.ShipTo.Country,
	}}}
}

func (l Life) deal() []crm.Loaded {
	i := l.Intent()
	d := crm.Loaded{Deal: true, Customer: l.Order.Customer.ID, Created: l.booked(), Modified: i.Changed[0].At, Properties: map[string]string{
		"trueup_order_id": string(l.Order.ID), "trueup_channel": Channel, "dealname": "Order " + string(l.Order.ID), "pipeline": "default",
		"dealstage": stage(i.Deal), "amount": order.FormatMinor(i.Revenue, i.Currency), "deal_currency_code": string(i.Currency),
	}}
	if l.Order.CartID == "" {
		return []crm.Loaded{d}
	}
	d.Properties["trueup_from_cart"] = l.Order.CartID
	cart := crm.Loaded{Deal: true, Customer: l.Order.Customer.ID, Created: l.Order.PlacedAt.Add(-time.Hour), Modified: l.booked(), Properties: map[string]string{
		"trueup_cart_id": l.Order.CartID, "dealname": "Cart", "pipeline": "default", "dealstage": stage(reconcile.DealLost),
		"amount": order.FormatMinor(l.Order.Total, i.Currency), "deal_currency_code": string(i.Currency),
	}}
	return []crm.Loaded{d, cart}
}

func stage(s reconcile.DealStage) string {
	switch s {
	case reconcile.DealWon:
		return "closedwon"
	case reconcile.DealLost:
		return "closedlost"
	case reconcile.DealAbandoned:
		return "abandonedcart"
	case reconcile.DealOpen:
	}
	return "checkoutpending"
}

// letter is a mail as it lies in the journal, some seconds after it was due.
func (l Life) letter(m reconcile.MailIntent) mail.Loaded {
	n := map[reconcile.Template]int{
		reconcile.MailConfirmation: 1, reconcile.MailShipped: 1 + m.Occasion, reconcile.MailCancellation: 5, reconcile.MailRefund: 6,
	}[m.Template]
	at := soon(m.Due)
	key := l.key(order.Send, n)
	raw := fmt.Sprintf("Date: %s\r\nFrom: Demo shop <shop@shop.test>\r\nTo: %s\r\nSubject: Order %s: %s\r\nMessage-ID: <order.%s.send.%d@shop.test>\r\n"+
		"X-Trueup-Order: %s\r\nX-Trueup-Key: %s\r\nX-Trueup-Template: %s\r\nX-Trueup-Occasion: %d\r\nMime-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\n\r\nAbout your order %s.\r\n",
		at.Format(time.RFC1123Z), l.Order.Customer.Email, l.Order.ID, m.Template, l.Order.ID, n, l.Order.ID, key, m.Template, m.Occasion, l.Order.ID)
	return mail.Loaded{Raw: []byte(raw), At: at}
}
