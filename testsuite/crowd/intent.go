package crowd

import (
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Subject is what look-ups need of the order, as visibility knows it: no e-mail.
func (l Life) Subject() reconcile.Subject {
	s := reconcile.SubjectOf(l.Order)
	s.Email, s.Known = "", []string{l.Payment(1)}
	return s
}

// Intent is what the order's own workflow means the six systems to say, at rest.
func (l Life) Intent() reconcile.Intent {
	o := l.Order
	i := reconcile.Intent{
		Order: o.ID, PlacedAt: o.PlacedAt, Currency: o.Currency, Total: o.Total, Phase: l.phase(),
		Customer: o.Customer.ID, CartID: o.CartID, Cart: o.CartID != "", Payments: []string{l.Payment(1)},
	}
	if l.accepted() {
		l.intentMoney(&i)
		l.intentGoods(&i)
		l.intentBooks(&i)
		l.intentMails(&i)
	}
	i.Changed = l.changed()
	return i
}

// returnWindow is how long after its arrival an order is closed.
const returnWindow = 30 * day

func (l Life) phase() order.Phase {
	switch {
	case !l.accepted() && !l.Failed.IsZero():
		return order.PhaseFailed
	case !l.accepted():
		return order.PhasePaying
	case !l.Cancelled.IsZero():
		return order.PhaseCancelled
	case len(l.out()) < len(l.Parcels):
		return order.PhaseAccepted
	}
	arrived := time.Time{}
	for _, p := range l.Parcels {
		if p.Delivered.IsZero() {
			return order.PhaseShipped
		}
		arrived = p.Delivered
	}
	if l.asOf.Sub(arrived) > returnWindow {
		return order.PhaseClosed
	}
	return order.PhaseDelivered
}

func (l Life) intentMoney(i *reconcile.Intent) {
	i.Captured, i.Refunded = l.captured(), l.refunded()
	i.Deal, i.Revenue = reconcile.DealWon, i.Captured-i.Refunded
	if !l.Cancelled.IsZero() {
		i.Deal = reconcile.DealLost
		return
	}
	i.Attempts = []string{l.Payment(1)}
	if !order.Empty(l.left()) {
		i.Held = l.Order.Total - i.Captured
	}
}

func (l Life) intentGoods(i *reconcile.Intent) {
	i.Reserved = order.BySKU(l.left())
	if !l.Cancelled.IsZero() {
		return
	}
	for n, p := range l.Parcels {
		s := reconcile.ShipmentIntent{Key: l.key(order.Request, n+1), Lines: p.Lines, State: reconcile.ShipmentRequested}
		switch {
		case !p.Delivered.IsZero():
			s.State = reconcile.ShipmentDelivered
		case !p.Shipped.IsZero():
			s.State = reconcile.ShipmentShipped
		default:
			s.Lines = l.left() // all that is left is with the warehouse in one request
		}
		i.Shipments = append(i.Shipments, s)
		if p.Shipped.IsZero() {
			break
		}
	}
	if r := l.Return; r != nil {
		state := reconcile.ReturnExpected
		if !r.Received.IsZero() {
			state = reconcile.ReturnReceived
		}
		i.Returns = []reconcile.ReturnIntent{{Key: l.key(order.Return, 1), Lines: r.Lines, State: state}}
	}
}

func (l Life) intentBooks(i *reconcile.Intent) {
	i.Sale = &reconcile.DocumentIntent{Key: l.key(order.Record, 1), Total: l.Order.Total}
	for n := range l.out() {
		total := l.share(n).Total
		i.Invoices = append(i.Invoices, reconcile.DocumentIntent{Key: l.key(order.Invoice, n+1), Total: total})
		i.Receipts = append(i.Receipts, reconcile.DocumentIntent{Key: l.key(order.Receipt, n+1), Total: total})
	}
	if back := l.refunded(); back > 0 {
		i.Receipts = append(i.Receipts, reconcile.DocumentIntent{Key: l.key(order.Receipt, len(i.Receipts)+1), Total: -back})
		i.Credits = []reconcile.DocumentIntent{{Key: l.key(order.Credit, 1), Total: back}}
	}
}

func (l Life) intentMails(i *reconcile.Intent) {
	mail := func(t reconcile.Template, occasion int, due time.Time) {
		i.Mails = append(i.Mails, reconcile.MailIntent{Template: t, Occasion: occasion, Due: due})
	}
	mail(reconcile.MailConfirmation, 1, l.Order.PlacedAt.Add(5*time.Second))
	for n, p := range l.out() {
		mail(reconcile.MailShipped, n+1, p.Shipped)
	}
	if !l.Cancelled.IsZero() {
		mail(reconcile.MailCancellation, 1, l.Cancelled)
	}
	if l.refunded() > 0 {
		mail(reconcile.MailRefund, 1, l.Return.Received)
	}
}

// changed is the end of our last operation in each system.
func (l Life) changed() []reconcile.Changed {
	last := l.Order.PlacedAt.Add(10 * time.Second)
	for _, at := range []time.Time{l.Failed, l.Cancelled} {
		if at.After(last) {
			last = at
		}
	}
	for _, p := range l.out() {
		last = p.Shipped
	}
	if l.Return != nil {
		last = l.Return.Announced
		if !l.Return.Received.IsZero() {
			last = l.Return.Received
		}
	}
	var all []reconcile.Changed
	for _, s := range order.Systems() {
		all = append(all, reconcile.Changed{System: s, At: soon(last)})
	}
	return all
}
