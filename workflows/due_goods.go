package workflows

import (
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What is due in inventory and warehouse: promising, requesting, withdrawing,
// changing, taking back.

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
		if last := s.last(order.Release); last != nil && last.Status == Refused && !last.Ended.Before(s.Since) {
			return nil // inventory will not: a person decides, see refused
		}
		if s.promisesOut() && s.openIn(order.SystemInventory) == nil && s.warehouseGaveUp() && !s.takesMoney() {
			return s.another(order.SystemInventory, order.Release)
		}
	case order.PhaseCancelled, order.PhaseFailed:
	}
	return nil
}

// outOfStock is the code of inventory's refusal when not all is there.
const outOfStock = "out_of_stock"

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
	case last.Status == Done && !order.Within(s.Order, order.Common(s.Order, s.linesOf(*last), want), s.Promised):
		want = order.Common(s.Order, s.linesOf(*last), want) // it has lapsed
	case s.promisesOut() || last.Status == Refused:
		if s.Supply == nil || !s.Supply.At.After(last.Ended) {
			return nil // what there is has to be asked for first
		}
		want = order.Common(s.Order, want, s.Supply.Available)
		if order.Within(s.Order, want, s.Promised) {
			return nil
		}
	}
	op := s.another(order.SystemInventory, order.Reserve)
	op.Lines = s.about(want)
	return op
}

// complete says that all that is wanted and has not left is promised.
func (s *State) complete() bool {
	return order.Within(s.Order, s.unshipped(), s.Promised)
}

// promisesOut says that inventory was asked for a promise that was not taken
// back since, whatever came of it.
func (s *State) promisesOut() bool {
	for i := len(s.Operations) - 1; i >= 0; i-- {
		switch op := s.Operations[i]; {
		case op.Operation == order.Release && op.Lines == nil && (op.Status == Done || op.Status == Refused):
			return len(s.reservations()) > 0
		case op.Operation == order.Reserve && (op.Status != Refused || !order.Empty(s.Promised)):
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
	if s.openIn(order.SystemInventory) != nil || order.Within(s.Order, s.Promised, keep) {
		return nil
	}
	if last := s.last(order.Release); last != nil && last.Status == Refused && order.Within(s.Order, keep, last.Lines) && order.Within(s.Order, last.Lines, keep) {
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

// dueRequest asks the warehouse for what it was not asked for yet. Of an order that is
// older than our memory what waits there under a key of nobody's may be what was asked for:
// it goes out as it is, or is cancelled first.
func (s *State) dueRequest() *Operation {
	lines := order.Less(s.Order, s.remaining(), s.waitingUnclaimed())
	if s.Phase != order.PhaseAccepted || order.Empty(lines) || !order.Within(s.Order, lines, s.Promised) {
		return nil
	}
	op := s.another(order.SystemWarehouse, order.Request)
	op.Lines = s.about(lines)
	return op
}

// waitingUnclaimed is what waits in the warehouse for an order that is older than our
// memory, and is of no request that we know of.
func (s *State) waitingUnclaimed() []order.Quantity {
	if !s.Adopted {
		return nil
	}
	var lines []order.Quantity
	for _, sh := range s.shipments() {
		intent, ours := s.ownIntent(sh.Key)
		ours = ours && intent.Operation == order.Request && s.find(order.Request, intent.N) != nil
		if !ours && sh.State.Live() && !gone(sh.State) {
			lines = order.Plus(s.Order, lines, order.Common(s.Order, sh.Lines, s.wanted()))
		}
	}
	return lines
}

// dueWithdrawal takes back a request that the warehouse has not packed, once
// since a moment; of one that was given up the draft that it may have left.
func (s *State) dueWithdrawal(since time.Time) *Operation {
	for n := 1; n <= s.count(order.Request); n++ {
		op := s.find(order.Request, n)
		if op.Status == Open {
			return nil // its answer comes first
		}
		key := s.Key(*op)
		live := slices.ContainsFunc(s.shipmentsOf(key), func(sh reconcile.Shipment) bool { return sh.State.Live() && !gone(sh.State) })
		left := op.Status == Unsent && s.drafted(key)
		if !live && !left || s.withdrawnSince(key, since) {
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
		return "what has not shipped is authorized anew", s.dueRenewal(now) == nil && s.openIn(order.SystemPayment) == nil && s.dueCapture() == nil
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
