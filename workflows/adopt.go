package workflows

import (
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// adopt takes the order up as the systems hold it: each record that carries one
// of our keys is the trace of an intent that was carried out, and is not meant
// again.
func (s *State) adopt(now time.Time) {
	s.adoptMoney(now)
	if len(s.reservations()) > 0 {
		s.adoptKey(order.Intent{Order: s.Order.ID, Operation: order.Reserve, N: 1}.Key(), order.SystemInventory, "", 0, now)
	}
	for _, sh := range s.shipments() {
		s.adoptKey(sh.Key, order.SystemWarehouse, sh.ID, 0, now)
	}
	s.adoptReturns(now)
	s.adoptBooks(now)
	if c := s.observed(order.SystemCRM).CRM; c != nil {
		for _, d := range c.Deals {
			s.Operations = append(s.Operations, Operation{
				System: order.SystemCRM, Operation: order.Upsert, N: s.count(order.Upsert) + 1, Status: Done,
				First: now, Ended: now, About: string(d.Stage), Amount: d.Revenue, Record: d.ID,
			})
		}
	}
	if m := s.observed(order.SystemMail).Mail; m != nil {
		for _, sent := range m.Messages {
			if s.mailed(sent.Template, sent.Occasion) == nil {
				s.Operations = append(s.Operations, Operation{
					System: order.SystemMail, Operation: order.Send, N: s.count(order.Send) + 1, Status: Done,
					First: sent.At, Ended: sent.At, About: string(sent.Template), Of: sent.Occasion, Record: sent.MessageID,
				})
			}
		}
	}
	s.adoptPhase(now)
	s.settleReceipts()
}

// adoptMoney takes up what the gateway holds: attempts, captures and refunds.
func (s *State) adoptMoney(now time.Time) {
	booked := s.bookedCaptures()
	for _, a := range byAge(s.attempts()) {
		// One that waits for the customer is asked for again under its key: only the
		// gateway's answer says what the customer must do.
		if a.State == reconcile.AttemptVoided || a.State == reconcile.AttemptOpen {
			continue
		}
		s.adoptKey(a.Key, order.SystemPayment, a.ID, a.Amount, now)
		for left := a.Captured; left > 0 && !s.atOnce(); {
			part := left // the gateway says what was taken, and the books in how many parts
			if len(booked) > 0 && booked[0] <= left {
				part, booked = booked[0], booked[1:]
			}
			left -= part
			n := s.count(order.Capture) + 1
			s.Operations = append(s.Operations, Operation{
				System: order.SystemPayment, Operation: order.Capture, N: n, Status: Done,
				First: now, Ended: now, Amount: part, Ref: a.ID, Of: n, Final: left == 0 && a.Held == 0,
			})
		}
		for _, r := range a.Refunds {
			s.adoptRefund(a, r, now)
		}
	}
}

// adoptRefund takes up a refund, ours or one that somebody made at the gateway:
// it is booked when it is not, and no news to the customer.
func (s *State) adoptRefund(a reconcile.Attempt, r reconcile.Refund, now time.Time) {
	n := s.count(order.Refund) + 1
	if intent, ours := order.ParseKey(r.Key); ours && intent.Order == s.Order.ID && intent.Operation == order.Refund {
		n = intent.N
	}
	if s.find(order.Refund, n) != nil {
		return
	}
	op := Operation{
		System: order.SystemPayment, Operation: order.Refund, N: n, Status: Done, First: now, Ended: now,
		Ref: a.ID, Record: r.ID, Amount: r.Amount, About: aboutHand,
	}
	switch r.State {
	case reconcile.RefundSucceeded:
		op.Through = s.Order.PlacedAt
	case reconcile.RefundFailed:
		op.Status, op.Code, op.Why = Refused, "refund_failed", "the refund failed before our memory begins"
	case reconcile.RefundPending: // it is final later
	}
	for _, failed := range s.Operations { // the next of the same amount repeats it
		if failed.Operation == order.Refund && failed.Code == "refund_failed" && failed.Ref == op.Ref && failed.Amount == op.Amount && !s.repeated(s.Key(failed)) {
			op.Again = s.Key(failed)
			break
		}
	}
	s.Operations = append(s.Operations, op)
}

// bookedCaptures returns the amounts of the captures that are in the books.
func (s *State) bookedCaptures() []int64 {
	var amounts []int64
	if books := s.observed(order.SystemERP).ERP; books != nil {
		for _, d := range books.Receipts {
			if d.State == reconcile.DocumentPosted && d.Total > 0 {
				amounts = append(amounts, d.Total)
			}
		}
	}
	return amounts
}

// adoptReturns takes up what came back, or is on its way.
func (s *State) adoptReturns(now time.Time) {
	for _, r := range s.returnsSeen() {
		intent, ours := order.ParseKey(r.Key)
		if !ours || intent.Operation != order.Return || intent.N != len(s.Returns)+1 {
			continue
		}
		s.adoptKey(r.Key, order.SystemWarehouse, r.ID, 0, now)
		s.Returns = append(s.Returns, Returning{Lines: r.Lines, By: "the warehouse", Asked: now})
		if op := s.find(order.Return, intent.N); op != nil {
			op.Of, op.Lines = intent.N, r.Lines
		}
	}
}

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
// a refund of its worth, or not by us. Nothing of it goes out a second time.
func (s *State) settleReturns(now time.Time) {
	for _, r := range s.returnsSeen() {
		intent, ours := order.ParseKey(r.Key)
		if !ours || intent.Operation != order.Return || intent.N > len(s.Returns) || r.State.Rank() < reconcile.ReturnReceived.Rank() {
			continue
		}
		mine := &s.Returns[intent.N-1]
		mine.Lines = order.Common(s.Order, r.Lines, s.kept())
		mine.Kept = order.Less(s.Order, s.kept(), mine.Lines)
		mine.Received, mine.Restocked = now, r.State == reconcile.ReturnRestocked
		if mine.Restocked {
			s.adoptKey(order.Intent{Order: s.Order.ID, Operation: order.Adjust, N: s.count(order.Adjust) + 1}.Key(), order.SystemInventory, "", 0, now)
			s.last(order.Adjust).Of = intent.N
		}
		worth := s.worth(*mine).Total
		paid := slices.IndexFunc(s.Operations, func(op Operation) bool {
			return op.Operation == order.Refund && op.About == aboutHand && op.Amount == worth && s.payer(reconcile.Attempt{ID: op.Ref})
		})
		if paid >= 0 {
			s.Operations[paid].About, s.Operations[paid].Of = aboutReturn, intent.N
			continue
		}
		s.Operations = append(s.Operations, Operation{
			System: order.SystemPayment, Operation: order.Refund, N: s.count(order.Refund) + 1, Status: Unsent, First: now, Ended: now,
			Amount: worth, About: aboutReturn, Of: intent.N, Why: "it came back before our memory begins, and no refund of its worth is known: a person decides",
		})
		s.note(now, "return "+strconv.Itoa(intent.N)+" came back before our memory begins, and no refund of its worth is known: give it back by a refund if it is owed")
	}
}

// settleCredits tells which refund each adopted credit note credits, and which
// refunds gave back what was taken twice.
func (s *State) settleCredits() {
	for i := range s.Operations {
		op := &s.Operations[i]
		if op.Operation == order.Refund && op.About == aboutHand && len(s.Payers) > 0 && !s.payer(reconcile.Attempt{ID: op.Ref}) {
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

func (s *State) adoptBooks(now time.Time) {
	books := s.observed(order.SystemERP).ERP
	if books == nil {
		return
	}
	for _, documents := range [][]reconcile.Document{books.Sales, books.Invoices, books.Receipts, books.Credits} {
		for _, d := range documents {
			if d.State == reconcile.DocumentPosted {
				s.adoptKey(d.Key, order.SystemERP, d.ID, d.Total, now)
			}
		}
	}
	for i := range s.Operations {
		if op := &s.Operations[i]; op.Operation == order.Invoice {
			op.Of = op.N
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

// adoptKey records the intent that a key names as done, once.
func (s *State) adoptKey(key string, system order.System, record string, amount int64, now time.Time) {
	intent, ours := order.ParseKey(key)
	if !ours || intent.Order != s.Order.ID || s.find(intent.Operation, intent.N) != nil {
		return
	}
	s.Operations = append(s.Operations, Operation{
		System: system, Operation: intent.Operation, N: intent.N, Status: Done, First: now, Ended: now,
		Amount: amount, Record: record, Before: true,
	})
}

// adoptPhase: an order that the warehouse knows is past its pivot. Goods that
// have left and hold no stock any more were committed.
func (s *State) adoptPhase(now time.Time) {
	if slices.ContainsFunc(s.shipments(), func(sh reconcile.Shipment) bool { return sh.State.Live() }) {
		s.adoptGoods(now)
		s.settlePayers()
		s.settleReturns(now)
		s.settleLost(now)
		s.settleCredits()
		s.settleDropped()
		s.Phase, s.Since = order.PhaseAccepted, now
		s.note(now, "adopted as the systems hold it")
		return
	}
	switch {
	case !s.takenBack():
		s.promisedIs(s.reservations())
	case s.mailed(reconcile.MailCancellation, 1) != nil || s.tried(order.Request):
		s.Cancel = &Cancellation{By: bySystems, Reason: "it had been cancelled before our memory begins", Asked: now}
		s.Phase, s.Since = order.PhaseCancelling, now
		s.note(now, "adopted as cancelled: the warehouse gave it up or the customer was told, so it is not started again")
	default:
		s.Failed, s.Phase, s.Since = "taken back before our memory begins", order.PhaseFailing, now
		s.note(now, "adopted: every payment of it was closed or given back, so it is not started again")
	}
}

// adoptGoods takes up what has left, and what is promised for the rest.
func (s *State) adoptGoods(now time.Time) {
	s.depart(now)
	s.adoptLines()
	s.adoptKey(order.Intent{Order: s.Order.ID, Operation: order.Reserve, N: 1}.Key(), order.SystemInventory, "", 0, now)
	if len(s.reservations()) == 0 {
		for n := 1; n <= len(s.Departures); n++ {
			s.adoptKey(order.Intent{Order: s.Order.ID, Operation: order.Commit, N: n}.Key(), order.SystemInventory, "", 0, now)
			if op := s.find(order.Commit, n); op != nil {
				op.Of = n
			}
		}
	}
	s.Promised = order.Less(s.Order, s.wanted(), s.committed())
	if order.Empty(s.unshipped()) && len(s.reservations()) == 0 {
		s.Promised = nil
	}
}

// adoptLines takes what each request was about from its shipments. Where a
// request was taken back, what is neither with the warehouse nor reserved was
// given up: it is not requested again.
func (s *State) adoptLines() {
	var covered []order.Quantity
	for _, r := range s.reservations() {
		covered = order.Plus(s.Order, covered, []order.Quantity{{Line: r.Line, SKU: r.SKU, Quantity: r.Quantity}})
	}
	taken := false
	for n := 1; n <= s.count(order.Request); n++ {
		op := s.find(order.Request, n)
		var lines, living []order.Quantity
		for _, sh := range s.shipmentsOf(s.Key(*op)) {
			lines = order.Plus(s.Order, lines, sh.Lines)
			if sh.State.Live() {
				living = order.Plus(s.Order, living, sh.Lines)
			} else {
				taken = true
			}
		}
		for _, q := range living { // what is with the warehouse may be reserved too
			covered = union(s.Order, covered, []order.Quantity{q})
		}
		op.Lines = s.about(lines)
		if order.Empty(living) {
			s.requestTakenBack(s.Key(*op))
		}
	}
	if taken {
		s.Dropped = order.Less(s.Order, s.Order.AllLines(), covered)
	}
}

// union returns the pieces that are in either: of every line the larger number.
func union(o order.Order, a, b []order.Quantity) []order.Quantity {
	return order.Plus(o, a, order.Less(o, b, a))
}

// promisedIs takes what inventory has reserved for what was promised.
func (s *State) promisedIs(all []reconcile.Reservation) {
	var lines []order.Quantity
	for _, r := range all {
		lines = append(lines, order.Quantity{Line: r.Line, SKU: r.SKU, Quantity: r.Quantity})
	}
	s.Promised = order.Common(s.Order, s.wanted(), lines)
}

// bySystems stands for whoever cancelled an order before our memory begins.
const bySystems = "the systems"

// takenBack says that the order was paid for or tried once, and that nothing of
// the money is left: somebody took it back, or it failed.
func (s *State) takenBack() bool {
	held, captured, refunded, open := s.money()
	return len(s.attempts()) > 0 && held == 0 && open == 0 && captured == refunded
}

// requestTakenBack records a request that the warehouse gave up before our memory
// begins as taken back: nobody is asked about it.
func (s *State) requestTakenBack(key string) {
	cancel := s.another(order.SystemWarehouse, order.Cancel)
	cancel.Ref, cancel.Status, cancel.Before, cancel.Why = key, Done, true, "it was taken back before our memory begins"
	s.Operations = append(s.Operations, *cancel)
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
			return op.Operation == order.Refund && op.About == aboutHand && op.Status == Done && op.Amount == worth && s.payer(reconcile.Attempt{ID: op.Ref})
		})
		if paid < 0 {
			continue
		}
		s.Returns = append(s.Returns, r)
		s.Operations[paid].About, s.Operations[paid].Of = aboutReturn, len(s.Returns)
		d.Settled = true
	}
}
