package workflows

import (
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What is due in each system: the business process, said once, as a function of
// what is known. It is level-triggered: the same rules carry an order on after
// the usual step, after a lost answer, after a worker's death, after a person's
// edit and after a repair. Each function returns the next operation of its
// system, or nil, and is asked again when anything changed.
//
// Here are the goods and the money; what follows from them in the ERP, the CRM
// and the mail is in due_follow.go.

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
		return s.duePayment(now)
	case order.SystemWarehouse:
		return s.dueWarehouse(now)
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

// another returns one more operation of a kind.
func (s *State) another(system order.System, operation order.Operation) *Operation {
	return &Operation{System: system, Operation: operation, N: s.count(operation) + 1}
}

// last returns the latest operation of a kind, or nil.
func (s *State) last(operation order.Operation) *Operation {
	return s.find(operation, s.count(operation))
}

// dueInventory: stock is promised first, for it is the cheapest to give back;
// committed once its goods have left; released when pieces are given up, and when
// the order is taken back, but only after the warehouse has given up the goods
// and no attempt can take money for them any more.
func (s *State) dueInventory() *Operation {
	switch s.Phase {
	case order.PhaseReceived, order.PhasePaying:
		return s.dueReserve()
	case order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered, order.PhaseClosed:
		return s.dueStock()
	case order.PhaseCancelling, order.PhaseFailing:
		if s.promisesOut() && s.openIn(order.SystemInventory) == nil && s.warehouseGaveUp() && !s.takesMoney() {
			return s.another(order.SystemInventory, order.Release)
		}
	case order.PhaseCancelled, order.PhaseFailed:
	}
	return nil
}

// dueReserve promises all that is wanted, or when not all is there, all there is.
func (s *State) dueReserve() *Operation {
	last := s.last(order.Reserve)
	want := s.wanted()
	switch {
	case last == nil:
	case last.Status == Refused && last.Code != outOfStock, last.Status == Open:
		return nil
	case s.complete():
		return s.dueRelease()
	case s.promisesOut() || last.Status == Refused:
		if s.Supply == nil || !s.Supply.At.After(last.Ended) {
			return nil // what there is has to be asked for first
		}
		want = order.Common(s.Order, want, s.Supply.Available)
		if order.Empty(order.Less(s.Order, want, s.Promised)) {
			return nil
		}
	}
	op := s.another(order.SystemInventory, order.Reserve)
	op.Lines = s.about(want)
	return op
}

// outOfStock is the code of inventory's refusal when not all is there.
const outOfStock = "out_of_stock"

// complete says that all that is wanted and has not left is promised.
func (s *State) complete() bool {
	return order.Empty(order.Less(s.Order, s.unshipped(), s.Promised))
}

// promisesOut says that inventory was asked for a promise that was not taken
// back since, whatever came of it.
func (s *State) promisesOut() bool {
	for i := len(s.Operations) - 1; i >= 0; i-- {
		switch op := s.Operations[i]; {
		case op.Operation == order.Release && op.Lines == nil && op.Status == Done:
			return len(s.reservations()) > 0
		case op.Operation == order.Reserve && op.Status != Refused:
			return true
		}
	}
	return false
}

// dueStock keeps inventory with the goods once the order is accepted.
func (s *State) dueStock() *Operation {
	for n := 1; n <= len(s.Departures); n++ {
		if op := s.next(order.SystemInventory, order.Commit, n); op != nil && s.tried(order.Reserve) {
			op.Of = n
			return op
		}
	}
	if op := s.dueRelease(); op != nil {
		return op
	}
	if s.Phase == order.PhaseAccepted {
		if last := s.last(order.Reserve); last != nil && last.Status == Done && !s.complete() {
			op := s.another(order.SystemInventory, order.Reserve) // a lost parcel is sent once more
			op.Lines = s.unshipped()
			return op
		}
	}
	for n := range s.Returns {
		if s.Returns[n].Restocked && !s.refersTo(order.Adjust, n+1) {
			op := s.another(order.SystemInventory, order.Adjust)
			op.Of, op.Lines = n+1, s.Returns[n].Lines
			return op
		}
	}
	return nil
}

// dueRelease gives up what is promised and not wanted any more.
func (s *State) dueRelease() *Operation {
	keep := order.Common(s.Order, s.Promised, order.Less(s.Order, s.wanted(), s.committed()))
	if s.openIn(order.SystemInventory) != nil || order.Empty(order.Less(s.Order, s.Promised, keep)) {
		return nil
	}
	if last := s.last(order.Release); last != nil && last.Status == Refused && order.Empty(order.Less(s.Order, keep, last.Lines)) && order.Empty(order.Less(s.Order, last.Lines, keep)) {
		return nil // inventory will not: a person decides, see refused
	}
	op := s.another(order.SystemInventory, order.Release)
	op.Lines, op.About = keep, aboutDropped
	if op.Lines == nil {
		op.Lines = []order.Quantity{}
	}
	return op
}

// committed is what has left and was taken off inventory's level.
func (s *State) committed() []order.Quantity {
	var lines []order.Quantity
	for n, d := range s.Departures {
		if s.done(order.Commit, n+1) && !d.Again {
			lines = order.Plus(s.Order, lines, d.Lines)
		}
	}
	return lines
}

// refersTo says whether an operation of a kind belongs to number n of something.
func (s *State) refersTo(operation order.Operation, n int) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool { return op.Operation == operation && op.Of == n })
}

// duePayment: money is held once stock is promised; each parcel captures its
// share when it has left; what was decided to go back goes back; other attempts
// are closed. An order that is taken back closes every attempt and gives back
// what was captured, but not before the warehouse has answered.
func (s *State) duePayment(now time.Time) *Operation {
	switch s.Phase {
	case order.PhasePaying:
		return s.dueAuthorize(now)
	case order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered, order.PhaseClosed:
		for _, due := range []func() *Operation{
			s.dueCapture, func() *Operation { return s.dueRenewal(now) }, func() *Operation { return s.meantPayment(now) }, s.dueClosing,
		} {
			if op := due(); op != nil {
				return op
			}
		}
	case order.PhaseCancelling, order.PhaseFailing:
		if s.warehouseGaveUp() {
			return s.dueGiveBack(now)
		}
	case order.PhaseReceived, order.PhaseCancelled, order.PhaseFailed:
	}
	return nil
}

// dueAuthorize begins the first attempt as soon as anything is promised, and
// those that the customer starts after it.
func (s *State) dueAuthorize(now time.Time) *Operation {
	if order.Empty(s.Promised) {
		return nil
	}
	if op := s.next(order.SystemPayment, order.Authorize, 1); op != nil {
		op.Amount = s.value()
		if s.Order.Payment.Intent != "" {
			op.Amount = s.Order.Total // the checkout has begun it for all of the order
		}
		return op
	}
	return s.meantPayment(now)
}

// meantPayment returns what was decided and not sent yet. A dispute stops what
// goes back by itself.
func (s *State) meantPayment(now time.Time) *Operation {
	for i := range s.Operations {
		op := s.Operations[i]
		if op.System != order.SystemPayment || op.Status != Meant || s.needless(op, now) || op.Operation == order.Refund && s.disputed() && !s.despite(op) {
			continue
		}
		return &op
	}
	return nil
}

// despite says that a refund goes out although money is in dispute: a person's,
// of money that is not.
func (s *State) despite(op Operation) bool {
	a := s.attemptBy(op.Ref)
	return op.About == aboutPerson && a != nil && op.Amount <= a.Captured-a.Refunded-a.Disputed
}

// needless says that an attempt was wished for before the order was paid another
// way, or takes no more money: it is not begun.
func (s *State) needless(op Operation, now time.Time) bool {
	wanted := s.Phase == order.PhasePaying && !s.paid() || s.Phase.PastPivot() && s.needsMoney(now)
	return op.Operation == order.Authorize && (op.Pay != nil || !s.Phase.PastPivot()) && !wanted
}

// dueCapture returns the capture of the first parcel that has left and was not
// captured for. An order captured at once has nothing to capture.
func (s *State) dueCapture() *Operation {
	if s.atOnce() {
		return nil
	}
	taken := s.captured()
	for n := 1; n <= len(s.Departures); n++ {
		owed := order.ValueOf(s.Order, s.shippedThrough(n)) - taken
		if owed <= 0 {
			continue
		}
		attempt := s.holder()
		if attempt == nil || s.refusedFor(order.Capture, n, attempt.ID) {
			return nil // nothing holds the money: see attend.go
		}
		op := s.another(order.SystemPayment, order.Capture)
		op.Of, op.Ref, op.Amount = n, attempt.ID, min(owed, attempt.Held)
		op.Final = !attempt.Multicapture || order.Empty(order.Less(s.Order, s.wanted(), s.shippedThrough(n)))
		return op
	}
	return s.dueLettingGo()
}

// dueLettingGo lets go of what is still held when nothing is left to ship: its
// pieces were dropped after others had left. A last capture of nothing does that
// where a part was captured already.
func (s *State) dueLettingGo() *Operation {
	if len(s.Departures) == 0 || !order.Empty(s.unshipped()) {
		return nil
	}
	for _, a := range s.attempts() {
		switch {
		case !s.payer(a) || a.State != reconcile.AttemptAuthorized || a.Held == 0:
		case a.Captured == 0 && s.closable(a):
			return s.close(a)
		case a.Captured > 0 && !s.letGo(a.ID):
			op := s.another(order.SystemPayment, order.Capture)
			op.Ref, op.Final = a.ID, true
			return op
		}
	}
	return nil
}

func (s *State) letGo(attempt string) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Capture && op.Ref == attempt && op.Amount == 0
	})
}

func (s *State) refusedFor(operation order.Operation, n int, ref string) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == operation && op.Of == n && op.Ref == ref && op.Status == Refused
	})
}

// dueRenewal authorizes anew, with the stored method, what is not covered any
// more: the rest after a capture that closed its authorization, or all of it a
// day before the authorization dies. Declined once, the customer is asked.
func (s *State) dueRenewal(now time.Time) *Operation {
	amount := s.uncovered(now)
	if amount == 0 || s.declinedByReview() || !s.reusable() || len(s.Payers) == 0 || s.Amendment.open() || s.disputed() && !s.ShipDisputed {
		return nil
	}
	if last := s.last(order.Authorize); last != nil && last.OffSession && !s.renewed(*last) {
		return nil
	}
	op := s.another(order.SystemPayment, order.Authorize)
	op.Amount, op.OffSession, op.Ref = amount, true, s.Payers[len(s.Payers)-1]
	return op
}

// renewed says that a charge without the customer went well.
func (s *State) renewed(op Operation) bool { return slices.Contains(s.Payers, op.Record) }

// reusable says that the customer may be charged again without being there.
func (s *State) reusable() bool {
	if s.Order.Payment.Reusable {
		return true
	}
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Authorize && op.Pay != nil && op.Pay.Reusable && slices.Contains(s.Payers, op.Record)
	})
}

// dueClosing closes attempts that do not decide the order and could still take
// money.
func (s *State) dueClosing() *Operation {
	for _, a := range s.attempts() {
		if !s.payer(a) && len(s.Payers) > 0 && s.closable(a) {
			return s.close(a)
		}
	}
	return nil
}

// closable says that an attempt can take money and that closing it was not tried
// in the state in which it is.
func (s *State) closable(a reconcile.Attempt) bool {
	if a.State != reconcile.AttemptOpen && a.State != reconcile.AttemptProcessing && a.State != reconcile.AttemptAuthorized {
		return false
	}
	tries := 0
	for i := range s.Operations {
		if op := s.Operations[i]; op.Operation == order.Void && op.Ref == a.ID {
			if tries++; op.About == string(a.State) || tries >= 4 {
				return false
			}
		}
	}
	return true
}

// close closes an attempt, so that it can never take money.
func (s *State) close(a reconcile.Attempt) *Operation {
	op := s.another(order.SystemPayment, order.Void)
	op.Ref, op.Amount, op.About = a.ID, a.Held, string(a.State)
	return op
}

// takesMoney says that an attempt could still take money.
func (s *State) takesMoney() bool {
	_, _, _, open := s.money()
	return open > 0
}

// dueGiveBack closes each attempt that can still take money, then refunds what
// was taken. Only what the gateway's own records show is given back, and a refund
// that failed is not made again without a person.
func (s *State) dueGiveBack(now time.Time) *Operation {
	if op := s.last(order.Authorize); op != nil && op.Status == Open {
		return nil // its outcome decides what there is to close
	}
	for _, a := range s.attempts() {
		if s.closable(a) {
			return s.close(a)
		}
	}
	if op := s.meantPayment(now); op != nil && op.Operation == order.Refund {
		return op
	}
	for _, a := range s.attempts() {
		if left := s.refundable(a); left > 0 && a.Disputed <= a.Lost && !s.failedRefund(a.ID, s.Since) {
			op := s.another(order.SystemPayment, order.Refund)
			op.Ref, op.Amount, op.About = a.ID, left, s.why()
			return op
		}
	}
	return nil
}

// failedRefund says that giving back what an attempt took has failed since a
// moment, or that a person decided that it does not go back.
func (s *State) failedRefund(attempt string, since time.Time) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Refund && op.Ref == attempt && op.Status == Refused && (!op.Ended.Before(since) || op.Code == waived)
	})
}

// refers says whether an operation on a record was already meant.
func (s *State) refers(operation order.Operation, record string) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool { return op.Operation == operation && op.Ref == record })
}

// why says in a word why the order is taken back.
func (s *State) why() string {
	if s.Phase == order.PhaseCancelling {
		return aboutCustomer
	}
	return s.Failed
}

// dueWarehouse: goods are requested once they are promised and paid, no review
// is open and nothing else stands against it; a request is taken back while
// something does, and first of all when the order is taken back. Goods that come
// back are announced.
func (s *State) dueWarehouse(now time.Time) *Operation {
	switch s.Phase {
	case order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered:
		if op := s.dueAmendment(); op != nil {
			return op
		}
		switch why, withdraw := s.against(now); {
		case withdraw:
			if op := s.dueWithdrawal(s.heldSince()); op != nil {
				return op
			}
		case why == "":
			if op := s.dueRequest(); op != nil {
				return op
			}
		}
		return s.dueReturn()
	case order.PhaseCancelling, order.PhaseFailing:
		asked := s.Since
		if s.Cancel != nil && s.Phase == order.PhaseCancelling {
			asked = s.Cancel.Asked
		}
		if s.packed() == "" {
			return s.dueWithdrawal(asked)
		}
	case order.PhaseReceived, order.PhasePaying, order.PhaseClosed, order.PhaseCancelled, order.PhaseFailed:
	}
	return nil
}

// dueRequest asks the warehouse for what it was not asked for yet.
func (s *State) dueRequest() *Operation {
	lines := s.remaining()
	if s.Phase != order.PhaseAccepted || order.Empty(lines) || !order.Empty(order.Less(s.Order, lines, s.Promised)) {
		return nil
	}
	op := s.another(order.SystemWarehouse, order.Request)
	op.Lines = s.about(lines)
	return op
}

// dueWithdrawal takes back a request that the warehouse has not packed, once
// since a moment.
func (s *State) dueWithdrawal(since time.Time) *Operation {
	for n := 1; n <= s.count(order.Request); n++ {
		op := s.find(order.Request, n)
		if op.Status == Open {
			return nil // its answer comes first
		}
		key := s.Key(*op)
		live := slices.ContainsFunc(s.shipmentsOf(key), func(sh reconcile.Shipment) bool { return sh.State.Live() && !gone(sh.State) })
		if !live || s.withdrawnSince(key, since) {
			continue
		}
		cancel := s.another(order.SystemWarehouse, order.Cancel)
		cancel.Ref = key
		return cancel
	}
	return nil
}

// withdrawnSince says that a request was taken back since a moment, or could not
// be. One that a later reading shows unpacked after all is taken back again.
func (s *State) withdrawnSince(key string, since time.Time) bool {
	seen := s.observed(order.SystemWarehouse).At
	packed := slices.ContainsFunc(s.shipmentsOf(key), func(sh reconcile.Shipment) bool { return sh.State == reconcile.ShipmentPacked || gone(sh.State) })
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		if op.Operation != order.Cancel || op.Ref != key || op.First.Before(since) {
			return false
		}
		return op.Status == Open || packed || !seen.After(op.Ended.Add(time.Second))
	})
}

// dueAmendment carries an amendment to the warehouse, which decides it.
func (s *State) dueAmendment() *Operation {
	a := s.Amendment
	if !a.open() {
		return nil
	}
	if len(a.Drop) > 0 {
		return s.dueWithdrawal(a.Since)
	}
	for n := 1; n <= s.count(order.Request); n++ {
		key := s.Key(*s.find(order.Request, n))
		live := slices.ContainsFunc(s.shipmentsOf(key), func(sh reconcile.Shipment) bool { return sh.State.Live() && !gone(sh.State) })
		if live && !slices.ContainsFunc(s.Operations, func(op Operation) bool {
			return op.Operation == order.UpdateAddress && op.Ref == key && op.Of == a.N
		}) {
			op := s.another(order.SystemWarehouse, order.UpdateAddress)
			op.Ref, op.Of = key, a.N
			return op
		}
	}
	return nil
}

// dueReturn announces goods that a customer sends back.
func (s *State) dueReturn() *Operation {
	for n := range s.Returns {
		if r := s.Returns[n]; r.Record == "" && !r.Lost && !r.Cancelled {
			if op := s.next(order.SystemWarehouse, order.Return, n+1); op != nil {
				op.Of, op.Lines = n+1, r.Lines
				return op
			}
		}
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
		for _, sh := range s.shipmentsOf(s.Key(*op)) {
			if sh.State != reconcile.ShipmentCancelled {
				return false
			}
		}
	}
	return true
}

// against says what stands against goods being requested, or nothing, and
// whether a request that is out is taken back for it.
func (s *State) against(now time.Time) (why string, withdraw bool) {
	switch {
	case s.Cancel != nil && s.Cancel.Refused == "" && !s.Cancel.Done:
		return "a cancellation is being decided", false
	case s.Amendment.open():
		return "an amendment is being decided", false
	case s.reviewed():
		return "a review is open", true
	case s.disputed() && !s.ShipDisputed:
		return "money is in dispute", true
	case s.asking(AskAboutPayment) != nil:
		return "what has not shipped is not paid for any more, and the customer is asked", true
	case s.uncovered(now) > 0:
		return "what has not shipped is authorized anew", s.dueRenewal(now) == nil && s.openIn(order.SystemPayment) == nil
	case !s.paid():
		return "it is not paid", true
	}
	return "", false
}

// heldSince returns since when the goods have been held back: the last time that
// they were requested. What was taken back once under a request is not again.
func (s *State) heldSince() time.Time {
	if op := s.last(order.Request); op != nil {
		return op.First
	}
	return s.Since
}
