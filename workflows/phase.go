package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// advance takes up what the systems said, and moves the order from phase to phase
// as far as what is known allows.
func (p *process) advance(ctx workflow.Context) {
	for {
		now, seen := workflow.Now(ctx), p.moved
		p.attend(now)
		p.heard(now)
		next, why := p.after(now)
		if next == p.Phase && p.moved != seen {
			continue // what was taken up may have brought on more
		}
		if next == p.Phase {
			p.news = false
			return
		}
		line := fmt.Sprintf("%s → %s", p.Phase, next)
		if why != "" {
			line += ": " + why
		}
		p.note(now, line)
		p.enter(now, next)
		p.touch()
	}
}

// enter begins a phase.
func (p *process) enter(now time.Time, next order.Phase) {
	if next == order.PhaseAccepted && len(p.Payers) == 0 {
		p.choosePayers()
	}
	p.Phase, p.Since = next, now
	if next.Ended() && next != order.PhaseClosed {
		p.closeTakenBack(now)
	}
	// Only the gateway's word gives an order up, also when it was never asked: the
	// checkout may have made a payment of its own.
	if (next == order.PhaseFailing || next == order.PhaseCancelling) && p.observed(order.SystemPayment).At.IsZero() {
		p.hint(order.SystemPayment, now)
	}
}

// after returns the phase that follows from what is known, and why. The moves
// are those of Moves, and no others: see moves.go.
func (p *process) after(now time.Time) (order.Phase, string) {
	if c := p.Cancel; c != nil && c.Refused == "" && !c.Done && p.Phase.PastPivot() && len(p.Departures) > 0 {
		why := "part of it has left the warehouse"
		if order.Empty(p.unshipped()) {
			why = "it has left the warehouse"
		}
		p.note(now, p.refuseCancel(now, why))
	}
	switch p.Phase {
	case order.PhaseReceived:
		return order.PhasePaying, ""
	case order.PhasePaying:
		return p.afterPaying(now)
	case order.PhaseAccepted:
		return p.afterAccepted()
	case order.PhaseShipped:
		if !order.Empty(p.unshipped()) {
			return order.PhaseAccepted, "a lost parcel is sent once more"
		}
		if p.arrived() {
			return order.PhaseDelivered, ""
		}
	case order.PhaseDelivered:
		if now.Sub(p.Since) >= p.settings.Policy.ReturnWindow {
			return order.PhaseClosed, "the return window is over"
		}
	case order.PhaseCancelling:
		if reason := p.packed(); reason != "" {
			return order.PhaseAccepted, p.refuseCancel(now, reason)
		}
		if p.givenBack() {
			p.Cancel.Done = true
			return order.PhaseCancelled, "nothing is held any more"
		}
	case order.PhaseFailing:
		return p.afterFailing()
	case order.PhaseCancelled:
		if p.moneyOut() {
			return order.PhaseCancelling, "money came for an order that was cancelled: it goes back"
		}
	case order.PhaseFailed:
		return p.afterFailed()
	case order.PhaseClosed:
	}
	return p.Phase, ""
}

// afterPaying: only positive proof carries an order over the pivot, and only
// the gateway's own word takes it back.
func (p *process) afterPaying(now time.Time) (order.Phase, string) {
	if p.Cancel != nil && p.Cancel.Refused == "" {
		return order.PhaseCancelling, p.Cancel.Reason
	}
	if next, why := p.withoutStock(); next != p.Phase {
		return next, why
	}
	op := p.find(order.Authorize, 1)
	switch {
	case p.reviewed():
		return p.Phase, "" // nobody touches anything while a review is open
	case p.paid() && p.complete() && p.promisesOut():
		if !p.promiseStands(now) {
			return p.Phase, ""
		}
		return order.PhaseAccepted, "reserved and authorized"
	case p.declinedByReview():
		return p.fail(failedReview, "")
	case op == nil || op.Status == Open || op.Status == Lost || p.openIn(order.SystemPayment) != nil:
		return p.Phase, ""
	case op.Status == Refused && p.count(order.Authorize) == 1 && len(p.everyAttempt()) == 0:
		return p.fail("payment refused", op.Why)
	}
	if p.paid() || p.payingAgain() || p.processing() || now.Before(p.payDeadline()) || !p.readSince(order.SystemPayment, p.payDeadline()) {
		return p.Phase, ""
	}
	if failure := p.failure(); failure != "" {
		return p.fail(failedDeclined, failure)
	}
	return p.fail(failedUnpaid, "not paid within the pay window")
}

// promiseStands says that what is wanted is promised by now. What was promised
// some time ago is read again, for it may have lapsed while the customer paid or a
// review was open; what has lapsed is promised again first. An inventory that
// cannot be read has not taken its word back.
func (p *process) promiseStands(now time.Time) bool {
	seen := p.observed(order.SystemInventory)
	switch {
	case p.openIn(order.SystemInventory) != nil:
		return false
	case seen.At.Before(now.Add(-p.settings.Policy.Rule(reconcile.InventoryReserved).Settling)):
		p.hint(order.SystemInventory, now)
		return false
	case seen.State != reconcile.Unreadable:
		p.keepPromised(now, seen)
	}
	return p.complete()
}

// withoutStock: nothing of it can be promised, and nobody waits for it.
func (p *process) withoutStock() (order.Phase, string) {
	last := p.last(order.Reserve)
	switch {
	case last == nil || last.Status != Refused && !order.Empty(p.Promised):
	case last.Status == Refused && last.Code != outOfStock:
		return p.fail(failedStock, last.Why)
	case last.Status == Refused && p.Revived:
		return p.fail("paid after its stock was gone", last.Why)
	case order.Empty(p.wanted()):
		return p.fail(failedStock, "nothing of it is there, and nobody answered")
	}
	return p.Phase, ""
}

// Why an order fails by itself.
const (
	failedUnpaid   = "unpaid"
	failedDeclined = "declined"
	failedReview   = "review declined"
	failedStock    = "out of stock"
)

func (p *process) fail(why, detail string) (order.Phase, string) {
	p.Failed = why
	if detail != "" {
		return order.PhaseFailing, why + ": " + detail
	}
	return order.PhaseFailing, why
}

// failure is the gateway's code of the newest attempt's failure.
func (s *State) failure() string {
	attempts := byAge(s.everyAttempt())
	if len(attempts) == 0 {
		return ""
	}
	return attempts[len(attempts)-1].Failure
}

// processing says that an attempt is with a bank: that is not unpaid, and the
// gateway will not close it.
func (s *State) processing() bool {
	for _, a := range s.attempts() {
		if a.State == reconcile.AttemptProcessing {
			return true
		}
	}
	return false
}

// payDeadline is until when the customer may pay: the pay window from the latest
// attempt on.
func (p *process) payDeadline() time.Time {
	last := p.Since
	for i := range p.Operations {
		if op := p.Operations[i]; op.Operation == order.Authorize && op.First.After(last) {
			last = op.First
		}
	}
	return last.Add(p.payWindow())
}

// payWindow is the longest window of the attempts that can still take money. Who
// is in the middle of a challenge has as long again, unless the window is that of
// a kind of payment which takes its time anyhow.
func (p *process) payWindow() time.Duration {
	policy, longest := p.settings.Policy, time.Duration(0)
	for _, a := range p.attempts() {
		if a.State != reconcile.AttemptOpen && a.State != reconcile.AttemptProcessing {
			continue
		}
		window := policy.PayWindowOf(a.Method)
		if a.Challenge && window == policy.PayWindow {
			window *= 2
		}
		longest = max(longest, window)
	}
	if longest == 0 {
		return policy.PayWindow
	}
	return longest
}

// readSince says that a system was read, readably, at or after a moment. An
// unreadable gateway is waited for.
func (p *process) readSince(system order.System, moment time.Time) bool {
	o := p.observed(system)
	return o.State != reconcile.Unreadable && !o.At.Before(moment)
}

// afterFailing: what was given up for want of money goes on when it was paid
// after all, and its stock can still be promised.
func (p *process) afterFailing() (order.Phase, string) {
	if p.paidAfterAll() {
		p.Failed, p.Revived = "", true
		return order.PhasePaying, "it was paid after all"
	}
	if len(p.Departures) > 0 {
		p.Failed = ""
		return order.PhaseAccepted, "goods have left the warehouse: reality wins"
	}
	if p.givenBack() {
		return order.PhaseFailed, "nothing is held any more"
	}
	return p.Phase, ""
}

func (p *process) afterFailed() (order.Phase, string) {
	switch {
	case p.paidAfterAll():
		p.Failed, p.Revived = "", true
		return order.PhasePaying, "it was paid after all"
	case p.moneyOut():
		return order.PhaseFailing, p.Failed
	}
	return p.Phase, ""
}

func (p *process) paidAfterAll() bool {
	return (p.Failed == failedUnpaid || p.Failed == failedDeclined) && p.openIn(order.SystemPayment) == nil && p.paid()
}

// moneyOut says that the gateway holds or took money for an order that has
// ended, or still could.
func (s *State) moneyOut() bool {
	held, captured, refunded, open := s.money()
	for _, a := range s.everyAttempt() {
		captured -= a.Disputed
	}
	return held > 0 || open > 0 || captured > refunded+s.waived("")
}

func (p *process) afterAccepted() (order.Phase, string) {
	switch {
	case len(p.Departures) == 0 && p.Cancel != nil && p.Cancel.Refused == "" && !p.Cancel.Done:
		return order.PhaseCancelling, p.Cancel.Reason
	case len(p.Departures) == 0 && p.declinedByReview():
		return p.fail(failedReview, "")
	case len(p.Departures) == 0 && order.Empty(p.wanted()):
		return p.fail("given up", "nothing of it is left to ship")
	case len(p.Departures) > 0 && order.Empty(p.unshipped()):
		return order.PhaseShipped, "every line has left the warehouse"
	}
	return p.Phase, ""
}

// packed returns why the warehouse will not give the goods up, once it was
// asked; empty while it was not asked or did. What has left needs no asking.
func (s *State) packed() string {
	for _, sh := range s.shipments() {
		if s.Cancel != nil && gone(sh.State) {
			return fmt.Sprintf("the warehouse has the goods %s already", sh.State)
		}
	}
	for n := 1; n <= s.count(order.Cancel); n++ {
		if op := s.find(order.Cancel, n); op.Status == Open || s.Cancel == nil || op.Ended.Before(s.Cancel.Asked) {
			continue
		}
		for _, sh := range s.shipments() {
			if sh.State == reconcile.ShipmentPacked || gone(sh.State) {
				return fmt.Sprintf("the warehouse has the goods %s already", sh.State)
			}
		}
	}
	return ""
}

// givenBack says that nothing of the order is held any more, by the systems'
// own word: no goods with the warehouse, no stock promised, no attempt that can
// take money, no money kept, and none that is only on its way back.
func (p *process) givenBack() bool {
	held, captured, refunded, open := p.money()
	lost := int64(0)
	for _, a := range p.everyAttempt() {
		lost += a.Lost
	}
	if gateway := p.observed(order.SystemPayment); p.openIn(order.SystemPayment) != nil ||
		gateway.At.IsZero() || gateway.State == reconcile.Unreadable && gateway.LastRead.IsZero() {
		return false
	}
	return !p.promisesOut() && p.openIn(order.SystemInventory) == nil && p.warehouseGaveUp() && held == 0 && open == 0 &&
		captured-refunded-lost <= p.waived("") && !p.refunding() && len(p.reservations()) == 0
}

// deadline returns the next moment at which something happens by itself, and
// what, as the timer says it.
func (p *process) deadline(ctx workflow.Context) (time.Time, string) {
	now := workflow.Now(ctx)
	var at time.Time
	var what string
	soonest := func(moment time.Time, why string) {
		if !moment.IsZero() && (at.IsZero() || moment.Before(at)) {
			at, what = moment, why
		}
	}
	if q := p.openQuestion(); q != nil {
		soonest(p.answerAlarm(now, q))
	}
	switch {
	case p.Phase == order.PhasePaying:
		soonest(p.payAlarm(now))
		soonest(p.holdAlarm(now))
		if p.waits(now) {
			soonest(now.Add(24*time.Hour).Truncate(24*time.Hour), "the customer waits for the stock")
		}
	case p.Phase == order.PhaseAccepted:
		for _, a := range p.attempts() {
			if at := dies(a); p.payer(a) && at.After(now) && !order.Empty(p.unshipped()) {
				soonest(at, "renew the authorization")
			}
		}
	case p.Phase == order.PhaseDelivered:
		soonest(p.Since.Add(p.settings.Policy.ReturnWindow), "the return window ends")
	case p.Phase.Ended():
		if end := p.quietSince().Add(p.settings.Linger); now.Before(end) && len(p.openCases()) == 0 {
			soonest(end, "late messages may still come")
		}
	}
	for _, k := range p.openCases() {
		soonest(p.announceAt(k))
	}
	return at, what
}

// payAlarm is when the gateway is asked whether an order was paid that should
// have been by then.
func (p *process) payAlarm(now time.Time) (time.Time, string) {
	first := p.find(order.Authorize, 1)
	switch {
	case first == nil || first.Status == Open || p.reviewed() || p.paid():
		return time.Time{}, ""
	case now.Before(p.payDeadline()):
		return p.payDeadline(), "the customer may pay"
	case p.processing():
		if at := p.observed(order.SystemPayment).At.Add(time.Hour); at.After(now) {
			return at, "the bank is at it; ask the gateway again"
		}
		p.hint(order.SystemPayment, now)
		return now.Add(time.Minute), "ask the gateway again"
	case !p.readSince(order.SystemPayment, p.payDeadline()):
		p.hint(order.SystemPayment, now) // ask the gateway before anything is taken back
		p.unheard(now, order.SystemPayment, p.payDeadline())
		return now.Add(time.Minute), "ask the gateway again"
	}
	return time.Time{}, ""
}

// holdAlarm is when what is held for an order that waits before the pivot has to be
// renewed, or is dead: the gateway is asked then, for its notice may be lost.
func (p *process) holdAlarm(now time.Time) (at time.Time, why string) {
	if p.reviewed() || p.openIn(order.SystemInventory) != nil || p.dueInventory() != nil {
		return time.Time{}, ""
	}
	for _, a := range p.attempts() {
		moment, what := dies(a), "renew the authorization"
		if a.Held == 0 || moment.IsZero() {
			continue
		}
		if !moment.After(now) {
			moment, what = a.HeldUntil.Add(time.Minute), "ask the gateway whether the authorization is dead"
		}
		if !moment.After(now) {
			p.hint(order.SystemPayment, now)
			moment = now.Add(time.Minute)
		}
		if at.IsZero() || moment.Before(at) {
			at, why = moment, what
		}
	}
	return at, why
}

// refuseCancel records that reality won: the order goes on, and a person is
// asked what to do, unless one has decided that already.
func (p *process) refuseCancel(now time.Time, reason string) string {
	p.Cancel.Refused = reason
	p.raise(now, reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemWarehouse, Field: reconcile.WarehouseShipment, Situation: reconcile.Conflict,
			Expected: "cancelled", Observed: reason, Right: string(order.SystemWarehouse), FirstSeen: now, Confirmed: now,
		},
		Decision: reconcile.Ask, System: order.SystemWarehouse,
		Why:          "a cancellation came too late: " + reason + "; reality wins and the order stands",
		Proposal:     "let the order go on, and ask the customer to return the goods",
		Alternatives: []string{string(DecideByHand) + ": the parcel was stopped at the warehouse", string(DecideAccept) + ": the customer keeps the order"},
	})
	return "cancellation refused: " + reason
}

// closeTakenBack closes the cases that asked what to do with goods which nobody
// waits for any more.
func (p *process) closeTakenBack(now time.Time) {
	for _, k := range p.openCases() {
		if p.refusedCancel(k) || p.givenUpBy(k) || lacksStock(k) || k.Step.Break.Item == unshippedItem {
			p.closeCase(now, k.N, "the order was taken back")
		}
	}
}
