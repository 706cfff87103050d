package workflows

import (
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What is due in each system: the business process, said once, as a function of
// what is known. It is level-triggered: the same rules carry an order on after
// the usual step, after a lost answer, after a worker's death, after a person's
// edit and after a repair. Each function returns the next operation of its
// system, or nil, and is asked again when anything changed.

// due returns the next operation in a system. What reconciliation found lost
// comes first, under its own key.
func (s *State) due(system order.System, now time.Time) *Operation {
	for i := range s.Operations {
		if op := s.Operations[i]; op.System == system && op.Status == Lost {
			return &op
		}
	}
	switch system {
	case order.SystemInventory:
		return s.dueInventory()
	case order.SystemPayment:
		return s.duePayment()
	case order.SystemWarehouse:
		return s.dueWarehouse()
	case order.SystemERP:
		return s.dueERP()
	case order.SystemCRM:
		return s.dueCRM()
	case order.SystemMail:
		return s.dueMail(now)
	}
	return nil
}

// next returns the n-th operation as due, unless it was tried already.
func (s *State) next(system order.System, operation order.Operation, n int) *Operation {
	if s.find(operation, n) != nil {
		return nil
	}
	return &Operation{System: system, Operation: operation, N: n}
}

// dueInventory: stock is promised first, for it is the cheapest to give back;
// committed once its goods have left; released when the order is taken back, and
// only after the warehouse has given up the goods.
func (s *State) dueInventory() *Operation {
	switch s.Phase {
	case order.PhaseReceived, order.PhasePaying:
		return s.next(order.SystemInventory, order.Reserve, 1)
	case order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered:
		for n := 1; n <= s.count(order.Request); n++ {
			if sh := s.shipment(n); sh != nil && gone(sh.State) && s.done(order.Reserve, 1) {
				if op := s.next(order.SystemInventory, order.Commit, n); op != nil {
					op.Of = n
					return op
				}
			}
		}
	case order.PhaseCancelling, order.PhaseFailing:
		if s.tried(order.Reserve) && s.openIn(order.SystemInventory) == nil && s.warehouseGaveUp() {
			return s.next(order.SystemInventory, order.Release, 1)
		}
	case order.PhaseClosed, order.PhaseCancelled, order.PhaseFailed:
	}
	return nil
}

// duePayment: money is held once stock is promised; each shipment captures its
// share when it has left; an order that is taken back closes every attempt and
// gives back what was captured, but not before the warehouse has answered.
func (s *State) duePayment() *Operation {
	switch s.Phase {
	case order.PhasePaying:
		if s.done(order.Reserve, 1) {
			op := s.next(order.SystemPayment, order.Authorize, 1)
			if op != nil {
				op.Amount = s.Order.Total
			}
			return op
		}
	case order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered:
		return s.dueCapture()
	case order.PhaseCancelling, order.PhaseFailing:
		if s.warehouseGaveUp() {
			return s.dueGiveBack()
		}
	case order.PhaseReceived, order.PhaseClosed, order.PhaseCancelled, order.PhaseFailed:
	}
	return nil
}

// dueCapture returns the capture of the first shipment that has left and was
// not captured for. An order captured at once has nothing to capture.
func (s *State) dueCapture() *Operation {
	if s.Order.Payment.Capture == order.CaptureAtOnce {
		return nil
	}
	for n := 1; n <= s.count(order.Request); n++ {
		sh := s.shipment(n)
		if sh == nil || !gone(sh.State) || s.find(order.Capture, n) != nil {
			continue
		}
		attempt := s.holder()
		if attempt == nil {
			return nil // nothing holds the money: reconciliation sees it and asks
		}
		return &Operation{
			System: order.SystemPayment, Operation: order.Capture, N: n, Of: n, Ref: attempt.ID,
			Amount: min(s.share(n).Total, attempt.Held), Final: len(order.Less(s.Order, s.Order.AllLines(), s.shippedThrough(n))) == 0,
		}
	}
	return nil
}

// holder returns the attempt that holds the order's money.
func (s *State) holder() *reconcile.Attempt {
	for _, a := range s.attempts() {
		if a.State == reconcile.AttemptAuthorized && a.Held > 0 {
			return &a
		}
	}
	return nil
}

// dueGiveBack closes each attempt that can still take money, then refunds what
// was taken. Only what the gateway's own records show is given back.
func (s *State) dueGiveBack() *Operation {
	if op := s.find(order.Authorize, 1); op != nil && op.Status == Open {
		return nil // its outcome decides what there is to close
	}
	n := s.count(order.Void)
	for _, a := range s.attempts() {
		if a.State == reconcile.AttemptCaptured || a.State == reconcile.AttemptVoided || s.refers(order.Void, a.ID) {
			continue
		}
		return &Operation{System: order.SystemPayment, Operation: order.Void, N: n + 1, Ref: a.ID, Amount: a.Held}
	}
	n = s.count(order.Refund)
	for _, a := range s.attempts() {
		if left := a.Captured - a.Refunded - a.Disputed; left > 0 && !s.refers(order.Refund, a.ID) {
			return &Operation{System: order.SystemPayment, Operation: order.Refund, N: n + 1, Ref: a.ID, Amount: left, About: s.why()}
		}
	}
	return nil
}

// refers says whether an operation on a record was already meant.
func (s *State) refers(operation order.Operation, record string) bool {
	for i := range s.Operations {
		if s.Operations[i].Operation == operation && s.Operations[i].Ref == record {
			return true
		}
	}
	return false
}

// why says in a word why the order is taken back.
func (s *State) why() string {
	if s.Phase == order.PhaseCancelling {
		return "requested_by_customer"
	}
	return s.Failed
}

// dueWarehouse: goods are requested once they are paid and no review is open;
// a request is taken back first of all when the order is.
func (s *State) dueWarehouse() *Operation {
	switch s.Phase {
	case order.PhaseAccepted:
		if s.Cancel == nil || s.Cancel.Refused != "" {
			return s.next(order.SystemWarehouse, order.Request, 1)
		}
	case order.PhaseCancelling, order.PhaseFailing:
		if s.tried(order.Request) && !s.warehouseGaveUp() {
			n := s.count(order.Cancel) + 1
			if last := s.find(order.Cancel, n-1); last == nil || last.Status != Open && s.packed() == "" {
				op := s.next(order.SystemWarehouse, order.Cancel, n)
				op.Ref = order.Intent{Order: s.Order.ID, Operation: order.Request, N: 1}.Key()
				return op
			}
		}
	case order.PhaseReceived, order.PhasePaying, order.PhaseShipped, order.PhaseDelivered,
		order.PhaseClosed, order.PhaseCancelled, order.PhaseFailed:
	}
	return nil
}

// warehouseGaveUp says that nothing of the order is with the warehouse any more,
// by the warehouse's own word.
func (s *State) warehouseGaveUp() bool {
	for n := 1; n <= s.count(order.Request); n++ {
		op := s.find(order.Request, n)
		if op.Status == Open {
			return false
		}
		if sh := s.shipment(n); sh != nil && sh.State != reconcile.ShipmentCancelled {
			return false
		}
	}
	return true
}

// dueERP: one sale once the order is accepted, one invoice for each shipment
// that has left, one receipt for each capture and a negative one for each
// refund, one credit note for what was invoiced and given back.
func (s *State) dueERP() *Operation {
	if s.Phase.PastPivot() || s.tried(order.Record) {
		if op := s.next(order.SystemERP, order.Record, 1); op != nil {
			op.Amount = s.Order.Total
			return op
		}
	}
	if !s.done(order.Record, 1) {
		return nil
	}
	for n := 1; n <= s.count(order.Request); n++ {
		if sh := s.shipment(n); sh != nil && gone(sh.State) {
			if op := s.next(order.SystemERP, order.Invoice, n); op != nil {
				op.Of, op.Amount = n, s.share(n).Total
				return op
			}
		}
	}
	for _, m := range s.moved() {
		if s.refers(order.Receipt, m.ref) {
			continue
		}
		return &Operation{System: order.SystemERP, Operation: order.Receipt, N: s.count(order.Receipt) + 1, Ref: m.ref, Amount: m.amount}
	}
	return nil
}

// movement is money that moved, by the gateway's own records.
type movement struct {
	ref    string // our key of the capture or refund, or the gateway's id
	amount int64  // negative for a refund
}

// moved returns the captures and refunds that are to be in the books. A refund
// counts once the gateway says that it succeeded.
func (s *State) moved() []movement {
	var all []movement
	for i := range s.Operations {
		op := s.Operations[i]
		if op.Operation == order.Capture && op.Status == Done {
			all = append(all, movement{s.Key(op), op.Amount})
		}
	}
	for _, a := range s.attempts() {
		if s.Order.Payment.Capture == order.CaptureAtOnce && a.Captured > 0 {
			all = append(all, movement{a.ID, a.Captured})
		}
		for _, r := range a.Refunds {
			if r.State == reconcile.RefundSucceeded {
				all = append(all, movement{r.ID, -r.Amount})
			}
		}
	}
	return all
}

// dueCRM: the deal is won at the pivot and lost when the order is taken back;
// its revenue is what was captured and not given back.
func (s *State) dueCRM() *Operation {
	stage, revenue := s.deal()
	if stage == "" {
		return nil
	}
	n := s.count(order.Upsert)
	if last := s.find(order.Upsert, n); last != nil && last.About == string(stage) && last.Amount == revenue {
		return nil
	}
	return &Operation{System: order.SystemCRM, Operation: order.Upsert, N: n + 1, About: string(stage), Amount: revenue}
}

// deal returns the stage and revenue that the order's deal should have; no
// stage when there should be no deal.
func (s *State) deal() (reconcile.DealStage, int64) {
	switch {
	case s.Phase.PastPivot():
		_, captured, refunded, _ := s.money()
		return reconcile.DealWon, captured - refunded
	case s.Phase == order.PhaseCancelled || s.Phase == order.PhaseFailed:
		if s.tried(order.Upsert) {
			_, captured, refunded, _ := s.money()
			return reconcile.DealLost, captured - refunded
		}
	}
	return "", 0
}

// dueMail: the confirmation waits for the warehouse's acceptance and for
// nothing else; the notice of a shipment for the shipment, that of a
// cancellation until nothing is held any more.
func (s *State) dueMail(now time.Time) *Operation {
	for _, m := range s.mails() {
		if s.mailed(m.Template, m.Occasion) != nil || now.Sub(m.Due) > mailWithin {
			continue
		}
		return &Operation{
			System: order.SystemMail, Operation: order.Send, N: s.count(order.Send) + 1,
			About: string(m.Template), Of: m.Occasion,
		}
	}
	return nil
}

// mailWithin is how late a mail may still be sent: a backlog is not mailed out.
// It is the built-in policy's, for what is due does not change under an order.
const mailWithin = 24 * time.Hour

// mails returns the mails that the customer should have by now.
func (s *State) mails() []reconcile.MailIntent {
	var all []reconcile.MailIntent
	if op := s.find(order.Request, 1); op != nil && op.Status == Done && s.confirmable() {
		all = append(all, reconcile.MailIntent{Template: reconcile.MailConfirmation, Occasion: 1, Due: op.Ended})
	}
	for n := 1; n <= s.count(order.Request); n++ {
		if sh := s.shipment(n); sh != nil && gone(sh.State) {
			all = append(all, reconcile.MailIntent{Template: reconcile.MailShipped, Occasion: n, Due: s.shippedAt(*sh)})
		}
	}
	if s.Phase == order.PhaseCancelled {
		all = append(all, reconcile.MailIntent{Template: reconcile.MailCancellation, Occasion: 1, Due: s.Since})
	}
	return all
}

// confirmable says that the confirmation is true: the order is past the pivot
// and was not taken back, or the confirmation is out already.
func (s *State) confirmable() bool {
	return s.Phase.PastPivot() || s.mailed(reconcile.MailConfirmation, 1) != nil
}

func (s *State) shippedAt(sh reconcile.Shipment) time.Time {
	if !sh.ShippedAt.IsZero() {
		return sh.ShippedAt
	}
	return s.observed(order.SystemWarehouse).At
}

// mailed returns the operation that sent a mail, or nil.
func (s *State) mailed(t reconcile.Template, occasion int) *Operation {
	for i := range s.Operations {
		op := &s.Operations[i]
		if op.Operation == order.Send && op.About == string(t) && op.Of == occasion {
			return op
		}
	}
	return nil
}

// shippedThrough returns what the shipments up to n contain.
func (s *State) shippedThrough(n int) []order.Quantity {
	var lines []order.Quantity
	for i := 1; i <= n; i++ {
		if sh := s.shipment(i); sh != nil && gone(sh.State) {
			lines = append(lines, sh.Lines...)
		}
	}
	return lines
}

// share returns the money that belongs to shipment n.
func (s *State) share(n int) order.Share {
	sh := s.shipment(n)
	if sh == nil {
		return order.Share{}
	}
	return order.ShareOf(s.Order, s.shippedThrough(n-1), sh.Lines)
}
