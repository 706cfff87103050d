package workflows

import (
	"cmp"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Whose money pays for an order, and what of it is to be taken or given back.
// Only what the gateway itself says counts.

// value is the money of what is wanted.
func (s *State) value() int64 { return order.ValueOf(s.Order, s.wanted()) }

// payer says that an attempt decides the order.
func (s *State) payer(a reconcile.Attempt) bool { return slices.Contains(s.Payers, a.ID) }

// paid says that what is wanted is captured or held, by attempts that are alive:
// the positive proof without which nothing goes to the warehouse. Past the pivot
// only the attempts that decide the order count.
func (s *State) paid() bool {
	held, captured, back := int64(0), int64(0), int64(0)
	for _, a := range s.attempts() {
		if len(s.Payers) > 0 && s.Phase.PastPivot() && !s.payer(a) {
			continue
		}
		held += a.Held
		captured += a.Captured
		back += a.Refunded
		if !s.ShipDisputed { // a person has it shipped all the same
			back += a.Disputed
		}
	}
	if !s.Phase.PastPivot() {
		return held+captured-back >= s.value()
	}
	// What was given back by our own rules or by a person does not make the goods
	// unpaid, but for what was taken twice; what was given back altogether does.
	return held+captured-s.sum(order.Refund, s.ofSurplus) >= s.value() && held+captured-back > 0
}

// choosePayers lets the attempts decide the order that are enough to pay for it:
// what was captured first, then what was authorized first.
func (s *State) choosePayers() {
	s.Payers = nil
	need := s.value()
	for _, captured := range []bool{true, false} {
		for _, a := range byAge(s.attempts()) {
			money := a.Held + a.Captured - a.Refunded
			if need > 0 && money > 0 && (a.Captured > 0) == captured {
				s.Payers = append(s.Payers, a.ID)
				need -= money
			}
		}
	}
}

func byAge(attempts []reconcile.Attempt) []reconcile.Attempt {
	sorted := slices.Clone(attempts)
	slices.SortStableFunc(sorted, func(a, b reconcile.Attempt) int { return a.Created.Compare(b.Created) })
	return sorted
}

// attemptBy returns what the gateway last said of an attempt, or nil.
func (s *State) attemptBy(id string) *reconcile.Attempt {
	for _, a := range s.everyAttempt() {
		if a.ID == id {
			return &a
		}
	}
	return nil
}

// sum adds up the amounts of operations that were carried out or will be.
func (s *State) sum(operation order.Operation, counts func(op Operation) bool) int64 {
	total := int64(0)
	for i := range s.Operations {
		op := s.Operations[i]
		if op.Operation == operation && op.Status != Refused && op.Status != Unsent && op.Status != Unknown && (counts == nil || counts(op)) {
			total += op.Amount
		}
	}
	return total
}

// captured is what our captures have taken, or are taking, for the order: what went
// back of an attempt as taken twice pays for nothing.
func (s *State) captured() int64 {
	return s.capturedInAll() - s.sum(order.Refund, s.ofSurplus)
}

// ofSurplus says that a refund gives back what one of the order's payers took twice:
// before it paid for the order, or beyond what the rest is worth.
func (s *State) ofSurplus(op Operation) bool {
	return op.About == aboutSurplus && slices.Contains(s.Payers, op.Ref)
}

// capturedInAll is what our captures have taken, or are taking; what was captured at
// once was taken by the authorization.
func (s *State) capturedInAll() int64 {
	taken := s.sum(order.Capture, nil)
	if s.atOnce() {
		for _, a := range s.attempts() {
			if s.payer(a) {
				taken += a.Captured
			}
		}
	}
	return taken
}

// tookThere is what the gateway says that the order's payers took. It may have
// lost what it had answered.
func (s *State) tookThere() int64 {
	taken := int64(0)
	for _, a := range s.attempts() {
		if s.payer(a) {
			taken += a.Captured
		}
	}
	return taken
}

// tookFrom says that we captured from an attempt, whatever it says now.
func (s *State) tookFrom(attempt string) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Capture && op.Ref == attempt && op.Amount > 0 && op.Status == Done
	})
}

// owed is what the goods that have left are worth and was not captured.
func (s *State) owed() int64 { return order.ValueOf(s.Order, s.shipped()) - s.captured() }

// needsMoney says that what has not shipped is not covered, or that what has
// left cannot be captured.
func (s *State) needsMoney(now time.Time) bool {
	return s.uncovered(now) > 0 || !s.atOnce() && s.owed() > 0 && !s.capturable()
}

// capturable says that an attempt holds the money of what has left, and has not
// refused to have it captured.
func (s *State) capturable() bool {
	holder := s.holder()
	return holder != nil && !slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Capture && op.Ref == holder.ID && op.Status == Refused
	})
}

// payersWith are the attempts that decide the order once another one does too: it
// takes the place of those that took nothing, unless it does not hold enough and
// they hold the rest.
func (s *State) payersWith(now time.Time, made reconcile.Attempt) []string {
	enough := made.Held+s.refundable(made) >= s.value()-s.captured()
	payers := []string{}
	for _, a := range s.attempts() {
		if s.payer(a) && (a.Captured > 0 || !enough && a.Held > 0 && !lapsing(a, now)) {
			payers = append(payers, a.ID)
		}
	}
	return append(payers, made.ID)
}

// helps says that less is missing once an attempt decides the order too. What
// helps nothing changes nothing, or two attempts would replace each other for ever.
func (s *State) helps(now time.Time, a reconcile.Attempt) bool {
	with := *s
	with.Payers = s.payersWith(now, a)
	if took := s.refundable(a); took > 0 && !s.atOnce() { // it is taken up as a capture once the attempt decides the order: see adoptCaptures
		took += s.sum(order.Refund, func(op Operation) bool { return op.Ref == a.ID && op.About == aboutSurplus }) // captured leaves it out
		with.Operations = append(slices.Clone(s.Operations), Operation{Operation: order.Capture, Ref: a.ID, Amount: took, Status: Done})
	}
	return !with.needsMoney(now) || with.missing(now) < s.missing(now)
}

// missing is the money that an attempt has to bring then.
func (s *State) missing(now time.Time) int64 {
	if amount := s.uncovered(now); amount > 0 {
		return amount
	}
	return max(0, s.owed())
}

func (s *State) atOnce() bool { return s.Order.Payment.Capture == order.CaptureAtOnce }

// holder returns the attempt that holds the order's money: of several the one
// whose authorization lasts longest.
func (s *State) holder() *reconcile.Attempt {
	var best *reconcile.Attempt
	for _, a := range s.attempts() {
		if a.State == reconcile.AttemptAuthorized && a.Held > 0 && (s.payer(a) || len(s.Payers) == 0) &&
			(best == nil || !best.HeldUntil.IsZero() && (a.HeldUntil.IsZero() || a.HeldUntil.After(best.HeldUntil))) {
			best = &a
		}
	}
	return best
}

// dies returns when an authorization must have been renewed: a day before it
// ends by itself, or halfway when it lives for less than two days. Zero: never.
func dies(a reconcile.Attempt) time.Time {
	if a.HeldUntil.IsZero() || a.State != reconcile.AttemptAuthorized {
		return time.Time{}
	}
	margin := 24 * time.Hour
	if life := a.HeldUntil.Sub(a.Created); life < 2*margin {
		margin = life / 2
	}
	return a.HeldUntil.Add(-margin)
}

// lasting is the money that is held for the order and lasts: by the attempts that
// decide it, and before the pivot by any.
func (s *State) lasting(now time.Time) int64 {
	held := int64(0)
	for _, a := range s.attempts() {
		if (s.payer(a) || s.Phase == order.PhasePaying) && !lapsing(a, now) && !s.letsGo(a) {
			held += a.Held
		}
	}
	return held
}

// letsGo says that a capture which is due or under way ends an authorization: what
// it holds beyond that covers nothing any more.
func (s *State) letsGo(a reconcile.Attempt) bool {
	for _, op := range []*Operation{s.dueCapture(), s.openIn(order.SystemPayment)} {
		if op != nil && op.Operation == order.Capture && op.Final && op.Ref == a.ID {
			return true
		}
	}
	return false
}

// lapsing says that an authorization must be renewed by now.
func lapsing(a reconcile.Attempt, now time.Time) bool {
	at := dies(a)
	return !at.IsZero() && !now.Before(at)
}

// uncovered is what is still to leave and not covered by money that lasts.
// Before the pivot that is so once what was held for an order that waits for its
// stock is about to die; what was never held is not renewed but unpaid.
func (s *State) uncovered(now time.Time) int64 {
	if s.atOnce() || order.Empty(s.unshipped()) || !s.Phase.PastPivot() && s.lapsed(now) == nil && !s.payingAgain() {
		return 0
	}
	taken := s.captured()
	if op := s.dueCapture(); op != nil && op.Operation == order.Capture {
		taken += op.Amount
	}
	return max(0, s.value()-taken-s.lasting(now))
}

// lapsed returns the attempt whose authorization is about to die while the order
// waits before the pivot, or nil. Nobody touches anything while a review is open.
func (s *State) lapsed(now time.Time) *reconcile.Attempt {
	if s.Phase != order.PhasePaying || s.reviewed() {
		return nil
	}
	for _, a := range s.attempts() {
		if a.Held > 0 && lapsing(a, now) {
			return &a
		}
	}
	return nil
}

// payingAgain says that the customer is asked before the pivot to pay anew what was
// held for them and has died.
func (s *State) payingAgain() bool {
	return s.Phase == order.PhasePaying && s.asking(AskAboutPayment) != nil
}

// disputed says that money of the order is in dispute.
func (s *State) disputed() bool {
	return slices.ContainsFunc(s.attempts(), func(a reconcile.Attempt) bool { return a.Disputed > a.Lost })
}

// lostDispute says that money of the order went out in a dispute.
func (s *State) lostDispute() bool {
	return slices.ContainsFunc(s.attempts(), func(a reconcile.Attempt) bool { return a.Lost > 0 })
}

// refundable is what a person may give back of an attempt: captured, less what
// was given back, is being given back or is in dispute.
func (s *State) refundable(a reconcile.Attempt) int64 {
	meant := s.sum(order.Refund, func(op Operation) bool { return op.Ref == a.ID && op.About != aboutDispute })
	return max(0, a.Captured-a.Disputed-max(a.Refunded, meant))
}

// allRefundable is what may be given back over all attempts.
func (s *State) allRefundable() int64 {
	total := int64(0)
	for _, a := range s.attempts() {
		total += s.refundable(a)
	}
	return total
}

// What a refund is about. It decides who is told and what is booked.
const (
	aboutReturn   = "return"    // goods came back, or were lost on the way
	aboutPerson   = "goodwill"  // a person decided
	aboutHand     = "by_hand"   // somebody did it at the gateway itself
	aboutDispute  = "dispute"   // a lost dispute is the refund
	aboutDropped  = "dropped"   // taken for pieces that were given up before they left
	aboutSurplus  = "duplicate" // taken twice
	aboutCustomer = "requested_by_customer"
)

// giveBack decides that money goes back, over as many attempts as it takes, and
// returns the number of the first refund; 0 when nothing is left to give back.
func (s *State) giveBack(now time.Time, amount int64, about string, of int) int {
	return s.giveBackFrom(now, Operation{Amount: amount, About: about, Of: of})
}

// giveBackFrom is giveBack with what was taken by one attempt first: Ref.
func (s *State) giveBackFrom(now time.Time, back Operation) int {
	first, amount := 0, back.Amount
	attempts := byAge(s.attempts())
	// What was taken twice goes back on its own: the order's money is that of its payers.
	slices.SortStableFunc(attempts, func(a, b reconcile.Attempt) int {
		return cmp.Compare(s.rank(a, back.Ref), s.rank(b, back.Ref))
	})
	for _, a := range attempts {
		part := min(amount, s.refundable(a))
		if part <= 0 || back.About == aboutDropped && !s.payer(a) || back.About == aboutSurplus && a.ID != back.Ref {
			continue
		}
		n, about := s.count(order.Refund)+1, back.About
		if len(s.Payers) > 0 && !s.payer(a) {
			about = aboutSurplus // what was taken twice is in no invoice
		}
		s.Operations = append(s.Operations, Operation{
			System: order.SystemPayment, Operation: order.Refund, N: n, Status: Meant, First: now, Ref: a.ID, Amount: part, About: about, Of: back.Of, Again: back.Again, Settles: back.Settles, Ruled: back.Ruled,
		})
		amount -= part
		if first == 0 {
			first = n
		}
	}
	return first
}

// rank orders attempts for giving money back: the one that is meant, the payers,
// then the others.
func (s *State) rank(a reconcile.Attempt, meant string) int {
	switch {
	case a.ID == meant:
		return 0
	case s.payer(a):
		return 1
	}
	return 2
}

// decidedFor adds up what was decided to go back for a reason.
func (s *State) decidedFor(about string) int64 {
	return s.decidedBack(func(op Operation) bool { return op.About == about })
}

// decidedBack adds up what was decided to go back, also what the gateway refused:
// that is not made again without a person.
func (s *State) decidedBack(counts func(op Operation) bool) int64 {
	total := int64(0)
	for _, op := range s.Operations {
		if op.Operation == order.Refund && op.Status != Unsent && counts(op) {
			total += op.Amount
		}
	}
	return total
}

// failedLater is the code of a refund that failed after the gateway had taken it.
const failedLater = "refund_failed"

// waivedRefund is the code of a refund that the gateway refused and a person let go: it
// was paid back another way, or is not to be paid back.
const waivedRefund = "waived"

// waived is what a person decided not to have given back of an attempt; of all of
// them without one.
func (s *State) waived(attempt string) int64 {
	return s.decidedBack(func(op Operation) bool {
		return op.Status == Refused && op.Code == waivedRefund && (attempt == "" || op.Ref == attempt)
	})
}

// refundOf returns the gateway's record of a refund, or nil.
func (s *State) refundOf(op Operation) *reconcile.Refund {
	for _, a := range s.everyAttempt() {
		for _, r := range a.Refunds {
			if op.Record != "" && r.ID == op.Record || keyIs(r.Key, s.Key(op)) {
				return &r
			}
		}
	}
	return nil
}

// keyIs says that a record was made by a key or by one that followed from it.
func keyIs(record, key string) bool {
	return record == key || len(record) > len(key) && record[:len(key)+1] == key+"/"
}

// through says that a refund is final: the gateway has said that it succeeded.
func (s *State) through(op Operation) bool {
	return op.Operation == order.Refund && op.Status == Done && !op.Through.IsZero()
}

// refunding says that money is on its way back.
func (s *State) refunding() bool {
	for i := range s.Operations {
		op := s.Operations[i]
		if op.Operation != order.Refund {
			continue
		}
		if r := s.refundOf(op); op.Status == Open || op.Status == Meant || op.Status == Lost ||
			op.Status == Done && r != nil && r.State == reconcile.RefundPending {
			return true
		}
	}
	return false
}

// surplus is what attempts took that the order does not need: it is paid by
// others already, and what these have lost in a dispute pays for nothing.
func (s *State) surplus() []reconcile.Attempt {
	var all []reconcile.Attempt
	if !s.Phase.PastPivot() || len(s.Payers) == 0 || s.disputed() {
		return nil
	}
	paid := int64(0)
	for _, a := range s.attempts() {
		if s.payer(a) {
			paid += a.Held + a.Captured - a.Lost
		}
	}
	for _, a := range s.attempts() {
		if !s.payer(a) && s.refundable(a) > 0 && paid >= s.value() {
			all = append(all, a)
		}
	}
	return all
}
