package workflows

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What follows from the goods and the money: the books, the CRM and the mail.

// dueERP: one sale once the order is accepted, one invoice for each parcel that
// has left, one receipt for each capture and a negative one for each refund, one
// credit note for what was invoiced and given back.
func (s *State) dueERP() *Operation {
	if s.Phase.PastPivot() || s.tried(order.Record) {
		if op := s.next(order.SystemERP, order.Record, 1); op != nil {
			op.Amount, op.Of = s.Order.Total, s.Moves
			return op
		}
	}
	if !s.done(order.Record, 1) {
		return nil
	}
	if op := s.last(order.Record); op.Of != s.Moves && op.Status == Done {
		op := s.another(order.SystemERP, order.Record)
		op.Of, op.About = s.Moves, "address"
		return op
	}
	if op := s.dueInvoice(); op != nil {
		return op
	}
	for _, m := range s.moved() {
		if s.refers(order.Receipt, m.ref) {
			continue
		}
		return &Operation{System: order.SystemERP, Operation: order.Receipt, N: s.count(order.Receipt) + 1, Ref: m.ref, Amount: m.amount}
	}
	return s.dueCredit()
}

// dueInvoice invoices each parcel for what it contains. One that replaces a lost
// one was invoiced already.
func (s *State) dueInvoice() *Operation {
	for n := 1; n <= len(s.Departures); n++ {
		if s.refersTo(order.Invoice, n) {
			continue
		}
		if total := s.share(n).Total; total > 0 {
			op := s.another(order.SystemERP, order.Invoice)
			op.Of, op.Amount = n, total
			return op
		}
	}
	return nil
}

// share returns the money that belongs to departure n: that of its pieces which
// no departure before it had.
func (s *State) share(n int) order.Share {
	if n < 1 || n > len(s.Departures) {
		return order.Share{}
	}
	var before []order.Quantity
	for _, d := range s.Departures[:n-1] {
		before = order.Plus(s.Order, before, d.Lines)
	}
	return order.ShareOf(s.Order, before, s.Departures[n-1].Lines)
}

// dueCredit credits what was invoiced and given back, once the gateway says that
// it was: with the lines of a return, as an amount for anything else.
func (s *State) dueCredit() *Operation {
	invoiced := s.sum(order.Invoice, nil) - s.sum(order.Credit, nil)
	for i := range s.Operations {
		op := s.Operations[i]
		if !s.through(op) || !credited(op.About) || s.refers(order.Credit, s.Key(op)) {
			continue
		}
		all := s.uncredited(op)
		amount := min(all, invoiced)
		if op.About == aboutDropped { // what was sent, lost and then given up was invoiced
			amount = min(amount, s.overInvoiced())
		}
		if amount <= 0 || amount < all && op.About != aboutDropped && !order.Empty(s.unshipped()) { // the rest is invoiced later
			continue
		}
		credit := s.another(order.SystemERP, order.Credit)
		credit.Ref, credit.Of, credit.Amount, credit.About = s.Key(op), op.Of, amount, op.About
		return credit
	}
	return s.dueCorrection()
}

// uncredited is what a refund gives back that no credit note says: what failed after it
// was credited is not credited again with what goes out in its place.
func (s *State) uncredited(refund Operation) int64 {
	if inPlaceOf(refund) == "" {
		return refund.Amount
	}
	first, left := s.firstOf(s.Key(refund)), int64(0)
	for i := range s.Operations {
		op := s.Operations[i]
		switch {
		case s.through(op) && s.firstOf(s.Key(op)) == first:
			left += op.Amount
		case op.Operation == order.Credit && op.Ref != "" && s.firstOf(op.Ref) == first:
			left -= op.Amount
		}
	}
	return min(refund.Amount, left)
}

// inPlaceOf is the key of the refund that failed, and in whose place another one goes out.
func inPlaceOf(refund Operation) string { return cmp.Or(refund.Again, refund.Settles) }

// firstOf returns the key of the first of the refunds that went out in the place of one
// another.
func (s *State) firstOf(refund string) string {
	for {
		op := s.refundNamed(refund)
		if op == nil || inPlaceOf(*op) == "" {
			return refund
		}
		refund = inPlaceOf(*op)
	}
}

// refundNamed returns the refund of a key, or nil.
func (s *State) refundNamed(key string) *Operation {
	if intent, ours := order.ParseKey(key); ours && intent.Operation == order.Refund {
		return s.find(order.Refund, intent.N)
	}
	return nil
}

// overInvoiced is what was invoiced of goods that were given up later, and not
// credited yet. What came back has credits of its own.
func (s *State) overInvoiced() int64 {
	credited := s.sum(order.Credit, func(op Operation) bool { return op.About == aboutDropped })
	return s.sum(order.Invoice, nil) - order.ValueOf(s.Order, s.kept()) - credited - s.cameBack()
}

// dueCorrection credits what was invoiced with a parcel that was lost, was to be
// sent once more and was given up then, and for which no money was taken.
func (s *State) dueCorrection() *Operation {
	again := slices.ContainsFunc(s.Departures, func(d Departure) bool { return d.Again })
	if !again || !s.Phase.PastPivot() || !order.Empty(s.unshipped()) || s.refunding() || s.owed() > 0 || s.openIn(order.SystemPayment) != nil {
		return nil
	}
	kept := s.captured()
	for i := range s.Operations {
		op := s.Operations[i]
		if op.Operation == order.Credit && op.About == aboutDropped && op.Ref == "" && op.Status == Refused {
			return nil // a person decides, see refused
		}
		if s.through(op) && credited(op.About) {
			kept -= op.Amount
		}
	}
	over := s.sum(order.Invoice, nil) - s.sum(order.Credit, nil) - kept
	if over <= 0 {
		return nil
	}
	op := s.another(order.SystemERP, order.Credit)
	op.Amount, op.About = over, aboutDropped
	return op
}

// credited says whether money that goes back for a reason was invoiced.
func credited(about string) bool {
	switch about {
	case aboutReturn, aboutPerson, aboutHand, aboutDispute, aboutDropped:
		return true
	}
	return false
}

// creditShare is what a credit note says: the lines of a return when they are
// worth just that, and an amount otherwise.
func (s *State) creditShare(op Operation) order.Share {
	if op.About == aboutReturn && op.Of >= 1 && op.Of <= len(s.Returns) {
		if share := s.worth(s.Returns[op.Of-1]); share.Total == op.Amount {
			return share
		}
	}
	return order.Share{Total: op.Amount}
}

// movement is money that moved, by the gateway's own records.
type movement struct {
	ref    string // our key of the capture or refund, or the gateway's id
	amount int64  // negative for a refund
}

// moved returns the captures and refunds that are to be in the books. A refund
// counts once the gateway says that it succeeded, a dispute once it was lost.
func (s *State) moved() []movement {
	var all []movement
	for i := range s.Operations {
		op := s.Operations[i]
		// What another attempt took is booked under its own id, also when it pays for
		// the order later.
		if op.Operation == order.Capture && op.Status == Done && op.Amount > 0 && (op.About != aboutHand || !s.refers(order.Receipt, op.Ref)) {
			all = append(all, movement{s.Key(op), op.Amount})
		}
		if op.Operation == order.Refund && op.Code == failedLater && s.refundOf(op) == nil && s.refers(order.Receipt, op.Record) {
			all = append(all, movement{op.Record + "/failed", op.Amount}) // it was booked, and the gateway does not have it any more
		}
	}
	for _, a := range s.attempts() {
		if a.Captured > 0 && (s.atOnce() || !s.captures(a.ID)) {
			all = append(all, movement{a.ID, a.Captured})
		}
		for _, r := range a.Refunds {
			switch {
			case r.State == reconcile.RefundSucceeded:
				all = append(all, movement{r.ID, -r.Amount})
			case r.State == reconcile.RefundFailed && s.refers(order.Receipt, r.ID):
				all = append(all, movement{r.ID + "/failed", r.Amount}) // it had succeeded, and came back
			}
		}
		if m := s.lostInDispute(a); m.amount < 0 {
			all = append(all, m)
		}
	}
	return all
}

// lostInDispute is what disputes of an attempt took and no receipt says: each that is lost has
// one of its own.
func (s *State) lostInDispute(a reconcile.Attempt) movement {
	first := "dispute/" + a.ID
	m, n := movement{first, -a.Lost}, 1
	for i := range s.Operations {
		if op := s.Operations[i]; op.Operation == order.Receipt && keyIs(op.Ref, first) {
			n++
			m.ref, m.amount = first+"/"+strconv.Itoa(n), m.amount-op.Amount
		}
	}
	return m
}

// captures says that what an attempt took is among our captures, or is being
// taken by one.
func (s *State) captures(attempt string) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool {
		return op.Operation == order.Capture && op.Ref == attempt && op.Status != Refused && op.Status != Unsent
	})
}

// dueCRM: the deal is won at the pivot and lost when the order is taken back;
// its revenue is what was captured, not given back and not in dispute. A new address is told too.
func (s *State) dueCRM() *Operation {
	stage, revenue := s.deal()
	if stage == "" {
		return nil
	}
	if last := s.last(order.Upsert); last != nil && last.About == string(stage) && last.Amount == revenue && last.Of == s.Moves {
		return nil
	}
	op := s.another(order.SystemCRM, order.Upsert)
	op.About, op.Amount, op.Of = string(stage), revenue, s.Moves
	return op
}

// deal returns the stage and revenue that the order's deal should have; no
// stage when there should be no deal.
func (s *State) deal() (reconcile.DealStage, int64) {
	revenue := int64(0)
	for _, a := range s.attempts() {
		if s.payer(a) || !s.Phase.PastPivot() {
			revenue += a.Captured - a.Refunded - a.Disputed
		}
	}
	switch {
	case s.Phase.PastPivot():
		return reconcile.DealWon, revenue
	case s.Phase == order.PhaseCancelled || s.Phase == order.PhaseFailed:
		if s.tried(order.Upsert) {
			return reconcile.DealLost, revenue
		}
	}
	return "", 0
}

// dueMail: each mail once it is true, and none when it is too late.
func (p *process) dueMail(now time.Time) *Operation {
	for _, m := range p.mails() {
		if p.mailed(m.Template, m.Occasion) != nil || now.After(p.lastMoment(m)) {
			continue
		}
		return &Operation{
			System: order.SystemMail, Operation: order.Send, N: p.count(order.Send) + 1,
			About: string(m.Template), Of: m.Occasion,
		}
	}
	return nil
}

// lastMoment is until when a mail may be sent: a backlog is not mailed out. The
// adapter is told it too, for a mail that was begun in time may get through late.
func (p *process) lastMoment(m reconcile.MailIntent) time.Time {
	return m.Due.Add(p.settings.Policy.MailWithin)
}

// mails returns the mails that the customer should have by now: the confirmation
// waits for the warehouse's acceptance and for nothing else; the notice of a
// parcel for its departure, that of a refund for the gateway's word, that of a
// cancellation until nothing is held any more; a question for being open.
func (s *State) mails() []reconcile.MailIntent {
	var all []reconcile.MailIntent
	if accepted := s.acceptedAt(); !accepted.IsZero() && s.confirmable() {
		all = append(all, reconcile.MailIntent{Template: reconcile.MailConfirmation, Occasion: 1, Due: accepted})
	}
	for n, d := range s.Departures {
		all = append(all, reconcile.MailIntent{Template: reconcile.MailShipped, Occasion: n + 1, Due: d.At})
	}
	for i := range s.Operations {
		if op := s.Operations[i]; s.noticed(op) {
			all = append(all, reconcile.MailIntent{Template: reconcile.MailRefund, Occasion: op.N, Due: op.Through})
		}
	}
	for _, q := range s.Questions {
		if q.Closed.IsZero() || s.mailed(reconcile.MailQuestion, q.N) != nil {
			all = append(all, q.mail())
		}
	}
	if s.Phase == order.PhaseCancelled || s.Phase == order.PhaseFailed && s.WasPaid {
		due := s.Since
		if s.Cancel != nil && s.Cancel.By == bySystems {
			due = s.Order.PlacedAt // it was cancelled before our memory begins: that is no news any more
		}
		all = append(all, reconcile.MailIntent{Template: reconcile.MailCancellation, Occasion: 1, Due: due})
	}
	return all
}

// mail is the mail that asks a question.
func (q Question) mail() reconcile.MailIntent {
	return reconcile.MailIntent{Template: reconcile.MailQuestion, Occasion: q.N, Due: q.Asked}
}

// acceptedAt is when the warehouse took the first request; zero while it has not.
func (s *State) acceptedAt() time.Time {
	for n := 1; n <= s.count(order.Request); n++ {
		if op := s.find(order.Request, n); op.Status == Done {
			if op.Before {
				return s.Order.PlacedAt // it was accepted before our memory begins
			}
			return op.Ended
		}
	}
	if s.Adopted && (len(s.Departures) > 0 || !order.Empty(s.waitingUnclaimed())) {
		return s.Order.PlacedAt // under a key of nobody's
	}
	return time.Time{}
}

// noticed says that the customer is told of a refund: of one that is through,
// while the order stands, and which gives back what they knew as taken.
func (s *State) noticed(op Operation) bool {
	if !s.through(op) || !s.Phase.PastPivot() {
		return s.mailed(reconcile.MailRefund, op.N) != nil && op.Operation == order.Refund
	}
	if s.mailed(reconcile.MailRefund, op.N) != nil {
		return true
	}
	for failed := s.refundNamed(inPlaceOf(op)); failed != nil; failed = s.refundNamed(inPlaceOf(*failed)) {
		if s.mailed(reconcile.MailRefund, failed.N) != nil {
			return false // the customer was told when it went back for the first time
		}
	}
	switch op.About {
	case aboutReturn, aboutPerson, aboutHand, aboutDropped:
		return true
	}
	return false
}

// confirmable says that the confirmation is true: the order is past the pivot
// and was not taken back, or the confirmation is out already.
func (s *State) confirmable() bool {
	return s.Phase.PastPivot() || s.mailed(reconcile.MailConfirmation, 1) != nil
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
