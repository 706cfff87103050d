package workflows

import (
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What adopted records were about: whose money paid, and what each return, lost
// parcel, refund, credit note and receipt belongs to.

// settlePayers says whose money paid for the order: of what was given back by now
// the earliest. What others took is no capture of ours.
func (s *State) settlePayers() {
	s.choosePayers()
	if len(s.Payers) == 0 {
		need := s.value()
		for _, a := range byAge(s.attempts()) {
			if a.Captured > 0 && need > 0 {
				s.Payers, need = append(s.Payers, a.ID), need-a.Captured
			}
		}
	}
	s.Operations = slices.DeleteFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Capture && !slices.Contains(s.Payers, op.Ref)
	})
	n := 0
	for i := range s.Operations {
		if op := &s.Operations[i]; op.Operation == order.Capture {
			n++
			op.N, op.Of = n, n
		}
	}
}

// settleReturns takes what came back before our memory begins for paid back: by
// a refund of its worth, or not by us. Nothing of it goes out a second time. What
// a return is worth rests on those that came before it.
func (s *State) settleReturns(now time.Time) {
	seen := slices.Clone(s.returnsSeen())
	slices.SortStableFunc(seen, func(a, b reconcile.Return) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	for _, r := range seen {
		if n := s.returning(r); n >= 0 && r.State.Rank() >= reconcile.ReturnReceived.Rank() && s.Returns[n].Received.IsZero() {
			s.settleReturn(now, n, r)
		}
	}
}

func (s *State) settleReturn(now time.Time, n int, r reconcile.Return) {
	mine := &s.Returns[n]
	mine.Lines = order.Common(s.Order, r.Lines, s.kept())
	mine.Kept = order.Less(s.Order, s.kept(), mine.Lines)
	mine.Received, mine.Restocked = now, r.State == reconcile.ReturnRestocked
	if mine.Restocked {
		s.adoptKey(order.Intent{Order: s.Order.ID, Operation: order.Adjust, N: s.count(order.Adjust) + 1}.Key(), order.SystemInventory, "", 0, now)
		s.last(order.Adjust).Of = n + 1
	}
	worth := s.worth(*mine).Total
	paid := slices.IndexFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Refund && op.About == aboutHand && op.Amount == worth && slices.Contains(s.Payers, op.Ref)
	})
	if paid >= 0 {
		s.Operations[paid].About, s.Operations[paid].Of = aboutReturn, n+1
		return
	}
	s.Operations = append(s.Operations, Operation{
		System: order.SystemPayment, Operation: order.Refund, N: s.count(order.Refund) + 1, Status: Unsent, First: now, Ended: now,
		Amount: worth, About: aboutReturn, Of: n + 1, Code: unknownRefund, Why: "it came back before our memory begins, and no refund of its worth is known: a person decides",
	})
	s.note(now, "return "+strconv.Itoa(n+1)+" came back before our memory begins, and no refund of its worth is known: a person decides")
}

// settleCredits tells which refund each adopted credit note credits, and which
// refunds gave back what was taken twice.
func (s *State) settleCredits() {
	for i := range s.Operations {
		op := &s.Operations[i]
		if op.Operation == order.Refund && op.About == aboutHand && len(s.Payers) > 0 && !slices.Contains(s.Payers, op.Ref) {
			op.About = aboutSurplus
		}
	}
	for i := range s.Operations {
		credit := &s.Operations[i]
		if credit.Operation != order.Credit || credit.Ref != "" {
			continue
		}
		for _, op := range s.Operations {
			if op.Operation == order.Refund && credited(op.About) && op.Amount == credit.Amount && !s.refers(order.Credit, s.Key(op)) {
				credit.Ref, credit.About, credit.Of = s.Key(op), op.About, op.Of
				break
			}
		}
	}
}

// settleReceipts tells which movement each adopted receipt books.
func (s *State) settleReceipts() {
	for i := range s.Operations {
		op := &s.Operations[i]
		if op.Operation != order.Receipt || op.Ref != "" {
			continue
		}
		for _, m := range s.moved() { // a receipt does not say which movement it books
			if m.amount == op.Amount && !s.refers(order.Receipt, m.ref) {
				op.Ref = m.ref
				break
			}
		}
	}
}

// settleDropped takes refunds that no credit note is about for what was taken for
// pieces that were given up before they left.
func (s *State) settleDropped() {
	over := s.captured() - s.value()
	for i := range s.Operations {
		op := &s.Operations[i]
		if len(s.Dropped) == 0 || op.Operation != order.Refund || op.About != aboutHand || s.refers(order.Credit, s.Key(*op)) || op.Amount > over {
			continue
		}
		op.About = aboutDropped
		over -= op.Amount
	}
}

// settleLost takes a lost parcel whose worth went back for settled.
func (s *State) settleLost(now time.Time) {
	for n := range s.Departures {
		d := &s.Departures[n]
		sh := s.parcel(*d)
		if sh == nil || sh.LostAt.IsZero() || sh.State == reconcile.ShipmentDelivered {
			continue
		}
		var others []order.Quantity
		for m := range s.Departures {
			if m != n {
				others = order.Plus(s.Order, others, s.Departures[m].Lines)
			}
		}
		if order.Empty(order.Common(s.Order, order.Less(s.Order, s.wanted(), others), d.Lines)) {
			d.Again = true // its goods were sent once more
			continue
		}
		r := Returning{Lines: d.Lines, By: "the warehouse", Asked: now, Lost: true, Received: now}
		r.Kept = order.Less(s.Order, s.kept(), r.Lines)
		worth := s.worth(r).Total
		paid := slices.IndexFunc(s.Operations, func(op Operation) bool {
			return op.Operation == order.Refund && op.About == aboutHand && op.Status == Done && op.Amount == worth && slices.Contains(s.Payers, op.Ref)
		})
		if paid < 0 {
			continue
		}
		s.Returns = append(s.Returns, r)
		s.Operations[paid].About, s.Operations[paid].Of = aboutReturn, len(s.Returns)
		d.Settled = true
	}
}
