package workflows

import (
	"encoding/json"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// before holds what is due against what must be true before it is done.
func (w *walk) before(op Operation) {
	require := func(ok bool, what string) {
		if !ok {
			w.fatal("%s (%d %s of %d, %v) is due without %s", w.Key(op), op.Amount, op.About, op.Of, op.Lines, what)
		}
	}
	switch op.System {
	case order.SystemPayment:
		w.beforeMoney(op, require)
	case order.SystemInventory, order.SystemWarehouse:
		w.beforeGoods(op, require)
	default:
		w.beforeWords(op, require)
	}
}

// heldElsewhere is what the other attempts hold.
func (w *walk) heldElsewhere(attempt string) int64 {
	held := int64(0)
	for _, a := range w.attempts() {
		if a.ID != attempt {
			held += a.Held
		}
	}
	return held
}

func (w *walk) beforeMoney(op Operation, require func(bool, string)) {
	a := w.attemptBy(op.Ref)
	switch op.Operation {
	case order.Authorize:
		require(op.Amount > 0 && op.Amount <= w.Order.Total, "an amount that is owed")
		require(!order.Empty(w.Promised) || w.Phase.PastPivot(), "promised stock")
		require(!op.OffSession || w.reusable(), "the customer's leave")
		require(!w.disputed() || w.ShipDisputed || !op.OffSession || w.find(op.Operation, op.N) != nil, "an end of the dispute")
	case order.Capture:
		require(a != nil && op.Amount <= a.Held, "so much held money")
		require(op.Amount == 0 || w.sum(order.Capture, func(o Operation) bool { return o.N != op.N })+op.Amount <= order.ValueOf(w.Order, w.everLeft()), "goods that have left")
	case order.Refund:
		require(op.Amount > 0 && a != nil && op.Amount <= a.Captured-a.Refunded-a.Disputed, "so much captured money")
		require(w.Phase.PastPivot() || w.warehouseGaveUp(), "the warehouse's answer")
		require(!w.disputed() || op.About == aboutPerson || w.Phase != order.PhaseAccepted, "an end of the dispute")
		require(!w.disputed() || op.Instead == "", "an end of the dispute, for which it was refused already")
	case order.Void:
		needless := order.Empty(w.unshipped()) && order.ValueOf(w.Order, w.kept()) <= w.captured()
		replaced := w.Phase == order.PhasePaying && w.heldElsewhere(a.ID) >= w.value()
		require(w.Phase.PastPivot() && (!w.payer(*a) || needless) || replaced || w.Phase == order.PhaseCancelling || w.Phase == order.PhaseFailing,
			"a wish, a failure, another payer or an end of what it is for")
		require(w.Phase.PastPivot() || w.warehouseGaveUp(), "the warehouse's answer")
	}
}

// everLeft is all that has ever left, also what was lost and is sent again.
func (w *walk) everLeft() []order.Quantity {
	var lines []order.Quantity
	for _, d := range w.Departures {
		lines = order.Plus(w.Order, lines, d.Lines)
	}
	return lines
}

func (w *walk) beforeGoods(op Operation, require func(bool, string)) {
	switch op.Operation {
	case order.Reserve:
		require(order.Empty(over(w.linesOf(op), w.unshipped())), "anybody who wants so much")
	case order.Request:
		held, taken := int64(0), int64(0)
		for _, a := range w.attempts() {
			if w.payer(a) {
				held += a.Held
				taken += a.Captured - a.Lost
			}
		}
		require(w.lostMoney || w.byHand || held+taken >= w.value(), "the money")
		require(order.Within(w.Order, w.linesOf(op), w.Promised), "promised stock")
		require(!w.reviewed() && (!w.disputed() || w.ShipDisputed), "the end of a review or dispute")
		require(!order.Empty(w.linesOf(op)), "goods")
		require(order.Empty(over(w.linesOf(op), w.unrequested())), "pieces that are not with the warehouse already")
	case order.Release:
		require(!w.takesMoney() || op.Lines != nil, "closed attempts")
		require(w.Phase.PastPivot() || w.Phase == order.PhasePaying || w.warehouseGaveUp(), "the warehouse's answer")
	case order.Commit:
		require(op.Of >= 1 && op.Of <= len(w.Departures), "goods that have left")
	case order.Adjust:
		require(w.Returns[op.Of-1].Restocked, "goods that lie in storage again")
	}
}

// unrequested is what the warehouse itself has no live record of.
func (w *walk) unrequested() []order.Quantity {
	var with []order.Quantity
	for _, sh := range w.sys.shipments {
		if sh.State.Live() && !w.again(sh.ID) {
			with = append(with, sh.Lines...)
		}
	}
	return over(w.Order.AllLines(), append(with, w.Dropped...))
}

// again says that a parcel was lost and its goods are sent once more.
func (w *walk) again(parcel string) bool {
	return slices.ContainsFunc(w.Departures, func(d Departure) bool { return d.Shipment == parcel && d.Again })
}

// over is what of some pieces is beyond others: counted plainly, with no limit.
func over(lines, limit []order.Quantity) []order.Quantity {
	left := map[int]int64{}
	for _, q := range limit {
		left[q.Line] += q.Quantity
	}
	var too []order.Quantity
	for _, q := range lines {
		take := min(q.Quantity, max(0, left[q.Line]))
		left[q.Line] -= take
		if q.Quantity > take {
			q.Quantity -= take
			too = append(too, q)
		}
	}
	return too
}

func (w *walk) beforeWords(op Operation, require func(bool, string)) {
	switch op.Operation {
	case order.Record:
		require(w.Phase.PastPivot() || w.tried(order.Record), "the pivot")
	case order.Invoice:
		require(op.Of <= len(w.Departures) && w.done(order.Record, 1), "goods that have left, and a sale")
		require(posted(w.sys.books.Invoices)+op.Amount <= order.ValueOf(w.Order, w.everLeft()), "goods of that value that have left")
	case order.Credit:
		require(op.Amount > 0 && posted(w.sys.books.Credits)+op.Amount <= posted(w.sys.books.Invoices), "an invoice")
	case order.Receipt:
		require(op.Amount != 0, "money that moved")
	case order.Send:
		require(op.About != string(reconcile.MailConfirmation) || !w.acceptedAt().IsZero(), "the warehouse's acceptance")
		require(op.About != string(reconcile.MailShipped) || op.Of <= len(w.Departures), "goods that have left")
		require(op.About != string(reconcile.MailCancellation) || w.Phase == order.PhaseCancelled || w.Phase == order.PhaseFailed, "the end of the order")
	}
}

// sound says what is true of an order at any moment.
func (w *walk) sound() {
	if too := over(w.sys.promised, w.Order.AllLines()); !order.Empty(too) {
		w.fatal("more is promised than was ordered: %v", too)
	}
	var live []order.Quantity
	for _, sh := range w.sys.shipments {
		if sh.State.Live() && !w.again(sh.ID) {
			live = append(live, sh.Lines...)
		}
	}
	if too := over(live, w.Order.AllLines()); !order.Empty(too) {
		w.fatal("the warehouse has more than was ordered: %v", too)
	}
	if w.Phase == order.PhaseCancelled || w.Phase == order.PhaseFailed {
		held, captured, refunded, open := w.money()
		lost := int64(0)
		for _, a := range w.attempts() {
			lost += a.Lost
		}
		if held != 0 || open != 0 || captured > refunded+lost+w.waived("") || len(w.reservations()) > 0 || w.refunding() {
			w.fatal("%s, and %d are held, %d of %d given back, %d attempts open, %v promised", w.Phase, held, refunded, captured, open, w.reservations())
		}
	}
	for _, a := range w.attempts() {
		if ours := w.sum(order.Refund, func(op Operation) bool {
			return op.Ref == a.ID && op.About != aboutDispute && op.Status == Done
		}); ours > a.Captured && w.openIn(order.SystemPayment) == nil {
			w.fatal("%d were given back of %s, which took %d", ours, a.ID, a.Captured)
		}
	}
}

// carried is the state as the next run finds it.
func (w *walk) carried() *State {
	data, err := json.Marshal(w.State)
	if err != nil {
		w.fatal("marshal the state: %v", err)
	}
	next := &State{}
	if err := json.Unmarshal(data, next); err != nil {
		w.fatal("unmarshal the state: %v", err)
	}
	return next
}

// survives says that continuing as new loses nothing.
func (w *walk) survives() {
	next := &process{State: w.carried(), settings: w.settings}
	text := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			w.fatal("marshal: %v", err)
		}
		return string(data)
	}
	for _, system := range order.Systems() {
		mine, theirs := w.due(system, w.now), next.due(system, w.now)
		if text(mine) != text(theirs) || mine != nil && (mine.Lines == nil) != (theirs.Lines == nil) {
			w.fatal("continued as new, %s goes on differently\n%s", system, cmp.Diff(mine, theirs))
		}
	}
	if a, b := text(w.intent(w.now)), text(next.intent(w.now)); a != b {
		w.fatal("continued as new, the order means something else\n%s", cmp.Diff(a, b))
	}
	for i := range w.Operations {
		if a, b := w.Operations[i], next.Operations[i]; (a.Lines == nil) != (b.Lines == nil) {
			w.fatal("continued as new, %s is about %v and not %v", w.Key(a), b.Lines, a.Lines)
		}
	}
}

// addsUp says that money and goods add up when everything is over.
func (w *walk) addsUp() {
	for _, system := range order.Systems() {
		if op := w.due(system, w.now); op != nil {
			w.fatal("in the end %s is still due", w.Key(*op))
		}
	}
	w.goodsAddUp()
	w.moneyAddsUp()
	w.booksAddUp()
}

func (w *walk) goodsAddUp() {
	if !order.Empty(w.sys.promised) {
		w.fatal("in the end %v are still promised", w.sys.promised)
	}
	var out []order.Quantity
	for _, sh := range w.sys.shipments {
		switch {
		case gone(sh.State) && !w.again(sh.ID):
			out = append(out, sh.Lines...)
		case sh.State.Live() && !gone(sh.State):
			w.fatal("in the end %s is still %s", sh.ID, sh.State)
		}
	}
	ended := w.Phase == order.PhaseClosed
	if len(w.Departures) > 0 != ended {
		w.fatal("it ended as %s, and %v have left", w.Phase, out)
	}
	if left := over(w.wanted(), out); ended && !order.Empty(left) {
		w.fatal("in the end %v never left", left)
	}
	if q := w.openQuestion(); q != nil {
		w.fatal("in the end question %d is open", q.N)
	}
}

func (w *walk) moneyAddsUp() {
	for _, a := range w.sys.attempts {
		if a.Held != 0 || a.State == reconcile.AttemptOpen || a.State == reconcile.AttemptAuthorized || a.State == reconcile.AttemptProcessing {
			w.fatal("in the end %s is %s and holds %d", a.ID, a.State, a.Held)
		}
	}
	if w.wroteOff {
		return
	}
	kept := order.Less(w.Order, w.shipped(), w.returnedThrough(len(w.Returns), true))
	owed := order.ValueOf(w.Order, kept)
	switch net := w.sys.net(); {
	case w.halved() > 0 && !w.byHand && !w.lostMoney:
		// A piece of a line came back while another was still wanted: what that one
		// cost less is known only when it is given up, and is not asked for again.
		if net > owed || owed-net > w.halved() {
			w.fatal("in the end %d are kept for goods of %d: %v", net, owed, kept)
		}
	case w.byHand || w.lostMoney:
		if net > owed {
			w.fatal("in the end %d are kept for goods of %d", net, owed)
		}
	case net != owed:
		w.fatal("in the end %d are kept for goods of %d: %v", net, owed, kept)
	}
}

// halved is how many lines have pieces that came back and others that were given up.
func (w *walk) halved() int64 {
	n := int64(0)
	for _, back := range w.returnedThrough(len(w.Returns), true) {
		if slices.ContainsFunc(w.Dropped, func(q order.Quantity) bool { return q.Line == back.Line }) {
			n++
		}
	}
	return n
}

func (w *walk) booksAddUp() {
	books, net := w.sys.books, w.sys.net()
	if !w.done(order.Record, 1) {
		if w.Phase == order.PhaseClosed || net != 0 && !w.byHand && !w.wroteOff {
			w.fatal("in the end %d are kept, and there is no sale", net)
		}
		return
	}
	if got := posted(books.Receipts); got != net {
		w.fatal("in the end the receipts add up to %d; the gateway kept %d", got, net)
	}
	if !w.wroteOff && books.Balance != 0 {
		w.fatal("in the end the books say that %d are owed: %+v", books.Balance, books)
	}
	if w.sys.deal == nil || w.sys.deal.Revenue != net && w.Phase == order.PhaseClosed && !w.wroteOff {
		w.fatal("in the end the deal says %+v; the gateway kept %d", w.sys.deal, net)
	}
}
