package workflows

import (
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// intent says what the order means the six systems to say now.
func (s *State) intent(now time.Time) reconcile.Intent {
	i := reconcile.Intent{
		Order: s.Order.ID, PlacedAt: s.Order.PlacedAt, Currency: s.Order.Currency, Total: s.Order.Total,
		Phase: s.Phase, Cart: s.Order.CartID != "",
		Customer: s.Order.Customer.ID, CartID: s.Order.CartID, Payments: s.subject(order.SystemPayment).Known,
		Accepted: s.Accepted,
	}
	s.intentMoney(&i)
	s.intentGoods(&i)
	s.intentBooks(&i)
	if op := s.find(order.Upsert, s.count(order.Upsert)); op != nil {
		i.Deal, i.Revenue = reconcile.DealStage(op.About), op.Amount
	}
	for _, m := range s.mails() {
		if op := s.mailed(m.Template, m.Occasion); op != nil {
			m.GivenUp = op.Status == Unknown || op.Status == Refused
			i.Mails = append(i.Mails, m)
		} else if now.Sub(m.Due) <= mailWithin {
			i.Mails = append(i.Mails, m)
		}
	}
	for _, system := range order.Systems() {
		if s.openIn(system) != nil || s.due(system, now) != nil && !s.Phase.Ended() {
			i.Busy = append(i.Busy, system)
		}
		if op := s.openIn(system); op != nil && op.Doubt {
			i.InDoubt = append(i.InDoubt, system)
		}
		if at := s.changed(system); !at.IsZero() {
			i.Changed = append(i.Changed, reconcile.Changed{System: system, At: at})
		}
	}
	// The customer may have paid meanwhile, and the gateway does not say.
	if s.Phase == order.PhasePaying && s.done(order.Authorize, 1) && s.observed(order.SystemPayment).State == reconcile.Unreadable {
		i.InDoubt = append(i.InDoubt, order.SystemPayment)
	}
	return i
}

// intentMoney: past the pivot the goods that have not left are held for, and
// what has left was captured; before it, and after the end, nothing is held.
func (s *State) intentMoney(i *reconcile.Intent) {
	i.Paying = !s.Phase.PastPivot() && !s.Phase.Ended()
	atOnce := s.Order.Payment.Capture == order.CaptureAtOnce
	final := atOnce
	for k := range s.Operations {
		op := s.Operations[k]
		switch {
		case op.Status != Done:
		case op.Operation == order.Capture:
			i.Captured += op.Amount
			final = final || op.Final
		case op.Operation == order.Refund:
			i.Refunded += op.Amount
		}
	}
	if atOnce && (s.Phase.PastPivot() || i.Refunded > 0) {
		i.Captured = s.Order.Total
	}
	if s.Phase.PastPivot() && !final {
		i.Held = s.Order.Total - i.Captured
	}
}

// intentGoods: promised until they are committed or given back, and with the
// warehouse from the request until it was cancelled.
func (s *State) intentGoods(i *reconcile.Intent) {
	if s.done(order.Reserve, 1) && !s.done(order.Release, 1) {
		i.Reserved = order.BySKU(s.uncommitted())
	}
	if s.Phase == order.PhaseCancelled || s.Phase == order.PhaseFailed {
		return
	}
	for n := 1; n <= s.count(order.Request); n++ {
		if op := s.find(order.Request, n); op.Status != Done {
			continue
		}
		least := reconcile.ShipmentRequested
		lines := s.Order.AllLines()
		if sh := s.shipment(n); sh != nil {
			if sh.State == reconcile.ShipmentCancelled && s.Phase == order.PhaseCancelling {
				continue
			}
			if gone(sh.State) {
				least = sh.State
			}
			lines = sh.Lines
		}
		i.Shipments = append(i.Shipments, reconcile.ShipmentIntent{
			Key: order.Intent{Order: s.Order.ID, Operation: order.Request, N: n}.Key(), Lines: lines, State: least,
		})
	}
}

// uncommitted returns what was ordered and not committed yet.
func (s *State) uncommitted() []order.Quantity {
	committed := []order.Quantity{}
	for n := 1; n <= s.count(order.Request); n++ {
		if sh := s.shipment(n); sh != nil && s.done(order.Commit, n) {
			committed = append(committed, sh.Lines...)
		}
	}
	return order.Less(s.Order, s.Order.AllLines(), committed)
}

// intentBooks: one document for each operation that the books have confirmed.
func (s *State) intentBooks(i *reconcile.Intent) {
	for k := range s.Operations {
		op := s.Operations[k]
		if op.Status != Done {
			continue
		}
		document := reconcile.DocumentIntent{Key: s.Key(op), Total: op.Amount}
		switch op.Operation {
		case order.Record:
			i.Sale = &document
		case order.Invoice:
			i.Invoices = append(i.Invoices, document)
		case order.Receipt:
			i.Receipts = append(i.Receipts, document)
		case order.Credit:
			i.Credits = append(i.Credits, document)
		}
	}
}

// changed returns when our intent about a system last changed: the end of its
// last operation.
func (s *State) changed(system order.System) time.Time {
	var at time.Time
	for i := range s.Operations {
		if op := s.Operations[i]; op.System == system && op.Ended.After(at) {
			at = op.Ended
		}
	}
	return at
}
