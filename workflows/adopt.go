package workflows

import (
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// adopt takes the order up as the systems hold it: each record that carries one
// of our keys is the trace of an intent that was carried out, and is not meant
// again.
func (s *State) adopt(now time.Time) {
	s.noteStrange(now)
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
	s.fillGaps()
	s.adoptPhase(now)
	s.settleReceipts()
}

// mostNumber is the highest number of an intent that is taken for one of ours: somebody who
// typed a key may have typed a date, and every number below it would be filled in.
const mostNumber = 1000

// ownIntent returns the intent of this order that a key names, and whether it names one.
func (s *State) ownIntent(key string) (order.Intent, bool) {
	intent, ours := order.ParseKey(key)
	return intent, ours && intent.Order == s.Order.ID && intent.N <= mostNumber
}

// noteStrange notes the keys whose number we never gave: their records are taken for
// records without one.
func (s *State) noteStrange(now time.Time) {
	for _, key := range s.keysSeen() {
		if intent, ours := order.ParseKey(key); ours && intent.Order == s.Order.ID && intent.N > mostNumber {
			s.note(now, key+" is no key that we gave: what carries it is adopted as if it had none")
		}
	}
}

// keysSeen are the keys of the records that are adopted by them.
func (s *State) keysSeen() []string {
	var keys []string
	for _, a := range s.everyAttempt() {
		keys = append(keys, a.Key)
		for _, r := range a.Refunds {
			keys = append(keys, r.Key)
		}
	}
	for _, sh := range s.shipments() {
		keys = append(keys, sh.Key)
	}
	for _, r := range s.returnsSeen() {
		keys = append(keys, r.Key)
	}
	if books := s.observed(order.SystemERP).ERP; books != nil {
		for _, documents := range [][]reconcile.Document{books.Sales, books.Invoices, books.Receipts, books.Credits} {
			for _, d := range documents {
				keys = append(keys, d.Key)
			}
		}
	}
	return keys
}

// untouched says that no system holds anything that we did for the order before its first
// mail goes out: what the customer paid at the checkout carries no key of ours. What
// cannot be read says nothing.
func (s *State) untouched() bool {
	for _, system := range []order.System{order.SystemInventory, order.SystemWarehouse, order.SystemERP} {
		if s.observed(system).State != reconcile.Absent {
			return false
		}
	}
	ours := func(key string) bool {
		intent, is := order.ParseKey(key)
		return is && intent.Order == s.Order.ID
	}
	return s.observed(order.SystemPayment).State != reconcile.Unreadable && !slices.ContainsFunc(s.keysSeen(), ours)
}

// fillGaps takes each number that no record carries for an intent that came to
// nothing: it was refused, or what it made was closed. Its key was used, and is not
// given out again.
func (s *State) fillGaps() {
	for _, op := range slices.Clone(s.Operations) {
		for n := op.N - 1; n >= 1 && s.find(op.Operation, n) == nil; n-- {
			s.Operations = append(s.Operations, cameToNothing(op.System, op.Operation, n))
		}
	}
}

// cameToNothing is an intent of which only its number is known.
func cameToNothing(system order.System, operation order.Operation, n int) Operation {
	return Operation{
		System: system, Operation: operation, N: n, Status: Unsent, Before: true,
		Why: "what it came to before our memory begins left no record that stands",
	}
}

// adoptMoney takes up what the gateway holds: attempts, captures, refunds and what was lost
// in disputes.
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
				First: s.Order.PlacedAt, Ended: now, Amount: part, Ref: a.ID, Of: n, Final: left == 0 && a.Held == 0,
			})
		}
		for _, r := range a.Refunds {
			s.adoptRefund(a, r, now)
		}
		if a.Lost > 0 { // what a dispute took is in the books: see attendDisputes
			s.Operations = append(s.Operations, Operation{
				System: order.SystemPayment, Operation: order.Refund, N: s.freeRefund(), Status: Done, First: s.Order.PlacedAt, Ended: now,
				Through: s.Order.PlacedAt, Ref: a.ID, Record: "dispute/" + a.ID, Amount: a.Lost, About: aboutDispute,
			})
		}
	}
	for _, a := range s.attempts() { // where another stands, nobody waits for one of these
		intent, ours := s.ownIntent(a.Key)
		if ours && intent.Operation == order.Authorize && s.tried(order.Authorize) && s.find(order.Authorize, intent.N) == nil {
			s.Operations = append(s.Operations, cameToNothing(order.SystemPayment, order.Authorize, intent.N))
		}
	}
}

// adoptRefund takes up a refund, ours or one that somebody made at the gateway:
// it is booked when it is not, and no news to the customer.
func (s *State) adoptRefund(a reconcile.Attempt, r reconcile.Refund, now time.Time) {
	n := s.refundNumber(r)
	if n == 0 {
		n = s.freeRefund()
	}
	if s.find(order.Refund, n) != nil {
		return
	}
	op := Operation{
		System: order.SystemPayment, Operation: order.Refund, N: n, Status: Done, First: s.Order.PlacedAt, Ended: now,
		Ref: a.ID, Record: r.ID, Amount: r.Amount, About: aboutHand,
	}
	switch r.State {
	case reconcile.RefundSucceeded:
		op.Through = s.Order.PlacedAt
	case reconcile.RefundFailed:
		op.Status, op.Code, op.Why = Refused, failedLater, "the refund failed before our memory begins"
	case reconcile.RefundPending: // it is final later
	}
	for _, failed := range s.Operations { // the next of the same amount repeats it
		if failed.Operation == order.Refund && failed.Code == failedLater && failed.Ref == op.Ref && failed.Amount == op.Amount && !s.repeated(s.Key(failed)) {
			op.Again = s.Key(failed)
			break
		}
	}
	s.Operations = append(s.Operations, op)
}

// refundNumber is the number under which we made a refund; 0 when somebody else did.
func (s *State) refundNumber(r reconcile.Refund) int {
	if intent, ours := s.ownIntent(r.Key); ours && intent.Operation == order.Refund {
		return intent.N
	}
	return 0
}

// freeRefund is the first number that no refund has, here or at the gateway.
func (s *State) freeRefund() int {
	taken := func(n int) bool {
		return slices.ContainsFunc(s.attempts(), func(a reconcile.Attempt) bool {
			return slices.ContainsFunc(a.Refunds, func(r reconcile.Refund) bool { return s.refundNumber(r) == n })
		})
	}
	n := 1
	for s.find(order.Refund, n) != nil || taken(n) {
		n++
	}
	return n
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

// adoptReturns takes up what came back, or is on its way: what was announced under
// its number, and after it what nobody announced. A number that the warehouse does
// not know came to nothing.
func (s *State) adoptReturns(now time.Time) {
	for _, r := range s.returnsSeen() {
		intent, ours := s.ownIntent(r.Key)
		if !ours || intent.Operation != order.Return || r.State == reconcile.ReturnDraft {
			continue
		}
		for len(s.Returns) < intent.N {
			s.Returns = append(s.Returns, Returning{By: "the warehouse", Asked: now, Cancelled: true})
		}
		s.adoptKey(r.Key, order.SystemWarehouse, r.ID, 0, now)
		mine, op := &s.Returns[intent.N-1], s.find(order.Return, intent.N)
		if mine.Lines == nil || r.State.Live() {
			mine.Lines, mine.Cancelled = r.Lines, !r.State.Live()
			op.Of, op.Lines = intent.N, r.Lines
		}
	}
	for _, r := range s.returnsSeen() {
		if s.returning(r) < 0 && r.State.Live() {
			s.Returns = append(s.Returns, unannounced(r, now))
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

// adoptKey records the intent that a key names as done, once.
func (s *State) adoptKey(key string, system order.System, record string, amount int64, now time.Time) {
	intent, ours := s.ownIntent(key)
	if !ours || s.find(intent.Operation, intent.N) != nil {
		return
	}
	first := now
	if system == order.SystemPayment {
		first = s.Order.PlacedAt // the window of its key is over
	}
	s.Operations = append(s.Operations, Operation{
		System: system, Operation: intent.Operation, N: intent.N, Status: Done, First: first, Ended: now,
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
		s.promisedIs(s.observed(order.SystemInventory))
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
	s.adoptLines(now)
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

// adoptLines takes what each request was about from its shipments. Where one was
// taken back, what has neither left nor is with the warehouse or reserved was
// given up: it is not requested again.
func (s *State) adoptLines(now time.Time) {
	var kept, living []order.Quantity
	for _, r := range s.reservations() {
		kept = order.Plus(s.Order, kept, []order.Quantity{{Line: r.Line, SKU: r.SKU, Quantity: r.Quantity}})
	}
	taken := false
	for n := 1; n <= s.count(order.Request); n++ {
		op := s.find(order.Request, n)
		if op.Status == Unsent {
			continue
		}
		var lines []order.Quantity
		lives := false
		for _, sh := range s.shipmentsOf(s.Key(*op)) {
			lines = order.Plus(s.Order, lines, sh.Lines)
			if !sh.State.Live() {
				taken = true
				continue
			}
			lives = true
			living = order.Plus(s.Order, living, sh.Lines)
			if gone(sh.State) {
				kept = order.Plus(s.Order, kept, sh.Lines)
			}
		}
		op.Lines = s.about(lines)
		if !lives {
			s.freeRequest(now, s.Key(*op), "it was taken back before our memory begins")
		}
	}
	if taken { // what is with the warehouse may be reserved too
		s.Dropped = order.Less(s.Order, s.Order.AllLines(), union(s.Order, kept, living))
	}
}

// union returns the pieces that are in either: of every line the larger number.
func union(o order.Order, a, b []order.Quantity) []order.Quantity {
	return order.Plus(o, a, order.Less(o, b, a))
}

// promisedIs takes what inventory has reserved for what was promised.
func (s *State) promisedIs(seen reconcile.Observation) {
	s.Promised = order.Common(s.Order, s.wanted(), linesReserved(seen))
}

// linesReserved are the pieces that inventory has reserved.
func linesReserved(seen reconcile.Observation) []order.Quantity {
	var lines []order.Quantity
	if seen.Inventory != nil {
		for _, r := range seen.Inventory.Reservations {
			lines = append(lines, order.Quantity{Line: r.Line, SKU: r.SKU, Quantity: r.Quantity})
		}
	}
	return lines
}

// bySystems stands for whoever cancelled an order before our memory begins.
const bySystems = "the systems"

// takenBack says that the order was paid for or tried once, and that nothing of
// the money is left: somebody took it back, or it failed.
func (s *State) takenBack() bool {
	held, captured, refunded, open := s.money()
	return len(s.everyAttempt()) > 0 && held == 0 && open == 0 && captured == refunded
}
