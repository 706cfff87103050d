package workflows

import (
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What is due at the gateway: authorizing, capturing, letting go, giving back.

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
// those that the customer starts after it. What is held while the order waits for
// its stock is renewed before it dies, and let go once it was.
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
	if op := s.dueRenewal(now); op != nil {
		return op
	}
	if a := s.lapsed(now); a != nil && s.uncovered(now) == 0 && s.closable(*a) {
		return s.close(*a)
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
// of money that is not. What the gateway refused all the same waits: see holdBack.
func (s *State) despite(op Operation) bool {
	a := s.attemptBy(op.Ref)
	return op.About == aboutPerson && op.Instead == "" && a != nil && op.Amount <= a.Captured-a.Refunded-a.Disputed
}

// needless says that an attempt was wished for before the order was paid another
// way, or takes no more money: it is not begun.
func (s *State) needless(op Operation, now time.Time) bool {
	wanted := s.Phase == order.PhasePaying && !s.paid() || s.needsMoney(now)
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
			return nil // nothing holds the money: see attend_money.go
		}
		op := s.another(order.SystemPayment, order.Capture)
		op.Of, op.Ref, op.Amount = n, attempt.ID, min(owed, attempt.Held)
		op.Final = !attempt.Multicapture || order.Within(s.Order, s.wanted(), s.shippedThrough(n))
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
		case a.Captured == 0 && s.tookFrom(a.ID): // the gateway lost our capture, and this is all that is left of the money
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
	amount, from := s.uncovered(now), ""
	if n := len(s.Payers); n > 0 {
		from = s.Payers[n-1]
	} else if a := s.lapsed(now); a != nil {
		from = a.ID
	}
	if amount == 0 || s.declinedByReview() || !s.reusable() || from == "" || s.Amendment.open() || s.disputed() && !s.ShipDisputed {
		return nil
	}
	if last := s.last(order.Authorize); last != nil && last.OffSession && !s.renewed(*last) {
		return nil
	}
	op := s.another(order.SystemPayment, order.Authorize)
	op.Amount, op.OffSession, op.Ref = amount, true, from
	return op
}

// renewed says that a charge without the customer went well.
func (s *State) renewed(op Operation) bool {
	if a := s.attemptBy(op.Record); s.Phase == order.PhasePaying && a != nil && a.Held > 0 {
		return true
	}
	return slices.Contains(s.Payers, op.Record)
}

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
	for _, a := range s.everyAttempt() {
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
	for _, a := range s.everyAttempt() {
		if s.closable(a) {
			return s.close(a)
		}
	}
	if op := s.meantPayment(now); op != nil && op.Operation == order.Refund {
		return op
	}
	for _, a := range s.attempts() {
		if left := s.refundable(a) - s.waived(a.ID); left > 0 && a.Disputed <= a.Lost && !s.failedRefund(a.ID, s.Since) {
			op := s.another(order.SystemPayment, order.Refund)
			op.Ref, op.Amount, op.About = a.ID, left, s.why()
			return op
		}
	}
	return nil
}

// failedRefund says that giving back what an attempt took has failed since a
// moment, and that no person has decided about that yet.
func (s *State) failedRefund(attempt string, since time.Time) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Refund && op.Ref == attempt && op.Status == Refused && op.Code != waivedRefund && !s.repeated(s.Key(op)) && !op.Ended.Before(since)
	})
}

// repeated says that a refund which failed was decided once more.
func (s *State) repeated(refund string) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool { return op.Again == refund && op.Status != Unsent })
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
