package workflows

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// happen lets one thing happen that nobody here asked for. Mostly the order is
// told of it, and sometimes only later.
func (w *walk) happen() {
	events := []struct {
		system order.System
		event  func()
	}{
		{order.SystemWarehouse, w.warehouseMoves}, {order.SystemWarehouse, w.warehouseMoves}, {order.SystemWarehouse, w.warehouseSplits},
		{order.SystemWarehouse, w.warehouseGivesUp}, {order.SystemWarehouse, w.parcelIsLost}, {order.SystemWarehouse, w.goodsComeBack},
		{order.SystemPayment, w.attemptMoves}, {order.SystemPayment, w.attemptMoves}, {order.SystemPayment, w.reviewMoves},
		{order.SystemPayment, w.somebodyAtTheGateway}, {order.SystemPayment, w.refundMoves}, {order.SystemPayment, w.disputeMoves},
		{order.SystemInventory, w.stockMoves}, {order.SystemInventory, w.promiseLapses}, {"", w.cancels}, {"", w.paysAgain}, {"", w.amends}, {"", w.answers},
		{"", w.returns}, {"", w.refunds}, {"", w.decides}, {"", w.decides}, {"", w.continues}, {order.SystemPayment, nil},
	}
	e := events[w.pick(len(events), "what happens")]
	if e.event == nil {
		w.learn(reconcile.Observation{System: e.system, State: reconcile.Unreadable, At: w.now, Why: "down"})
		return
	}
	e.event()
	if e.system != "" && w.pick(4, "told later") != 3 {
		w.see(e.system)
	}
}

// see reads a system, unless an operation of ours is under way there.
func (w *walk) see(system order.System) {
	if w.openIn(system) == nil {
		w.learn(w.sys.observe(system, w.now))
	}
}

func (w *walk) seeAll() {
	for _, system := range order.Systems() {
		w.see(system)
	}
}

// one returns one of the places at which something is so, or -1.
func one[T any](w *walk, all []T, is func(T) bool) int {
	var at []int
	for i := range all {
		if is(all[i]) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return -1
	}
	return at[w.pick(len(at), "which")]
}

var nextOf = map[reconcile.ShipmentState]reconcile.ShipmentState{
	reconcile.ShipmentRequested: reconcile.ShipmentPacked, reconcile.ShipmentPacked: reconcile.ShipmentShipped,
	reconcile.ShipmentShipped: reconcile.ShipmentDelivered,
}

func (w *walk) warehouseMoves() {
	i := one(w, w.sys.shipments, func(sh reconcile.Shipment) bool { return nextOf[sh.State] != "" && sh.LostAt.IsZero() })
	if i < 0 {
		return
	}
	sh := &w.sys.shipments[i]
	sh.State = nextOf[sh.State]
	if sh.State == reconcile.ShipmentShipped {
		sh.ShippedAt = w.now
	}
	w.say("%s is %s with %v", sh.ID, sh.State, sh.Lines)
}

// warehouseSplits ships a part of a request; the rest follows under the same key.
func (w *walk) warehouseSplits() {
	i := one(w, w.sys.shipments, func(sh reconcile.Shipment) bool {
		return (sh.State == reconcile.ShipmentRequested || sh.State == reconcile.ShipmentPacked) && count(sh.Lines) > 1
	})
	if i < 0 {
		return
	}
	part := w.part(w.sys.shipments[i].Lines, "the first parcel")
	rest := order.Less(w.Order, w.sys.shipments[i].Lines, part)
	if order.Empty(rest) {
		return
	}
	w.sys.shipments[i].Lines = part
	w.sys.shipments = append(w.sys.shipments, reconcile.Shipment{
		ID: w.sys.id("s"), Key: w.sys.shipments[i].Key, State: reconcile.ShipmentRequested, Lines: rest,
	})
	w.say("%s is split into %v and %v", w.sys.shipments[i].ID, part, rest)
}

func count(lines []order.Quantity) int64 {
	n := int64(0)
	for _, q := range lines {
		n += q.Quantity
	}
	return n
}

// part returns some pieces out of several, at least one.
func (w *walk) part(of []order.Quantity, label string) []order.Quantity {
	var some []order.Quantity
	for _, q := range of {
		if n := int64(w.pick(int(q.Quantity)+1, label)); n > 0 {
			q.Quantity = n
			some = append(some, q)
		}
	}
	if order.Empty(some) && len(of) > 0 {
		q := of[0]
		q.Quantity = 1
		some = append(some, q)
	}
	return some
}

func (w *walk) warehouseGivesUp() {
	i := one(w, w.sys.shipments, func(sh reconcile.Shipment) bool {
		return sh.State == reconcile.ShipmentRequested || sh.State == reconcile.ShipmentPacked
	})
	if i < 0 || w.pick(2, "really") == 0 {
		return
	}
	w.sys.shipments[i].State = reconcile.ShipmentCancelled
	w.say("the warehouse gives up %s", w.sys.shipments[i].ID)
}

func (w *walk) parcelIsLost() {
	if i := one(w, w.sys.shipments, func(sh reconcile.Shipment) bool { return sh.State == reconcile.ShipmentShipped }); i >= 0 {
		sh := &w.sys.shipments[i]
		if sh.LostAt.IsZero() {
			sh.LostAt = w.now
			w.say("%s is lost", sh.ID)
		}
	}
}

// goodsComeBack: announced or not, all of it or less.
func (w *walk) goodsComeBack() {
	switch i := one(w, w.sys.returns, func(r reconcile.Return) bool {
		return r.State == reconcile.ReturnExpected || r.State == reconcile.ReturnReceived
	}); {
	case i >= 0 && w.sys.returns[i].State == reconcile.ReturnReceived:
		w.sys.returns[i].State = reconcile.ReturnRestocked
		w.say("%s is restocked", w.sys.returns[i].ID)
	case i >= 0 && w.pick(8, "called off") == 7:
		w.sys.returns[i].State = reconcile.ReturnCancelled
		w.say("%s is called off", w.sys.returns[i].ID)
	case i >= 0:
		r := &w.sys.returns[i]
		if w.pick(3, "less came") == 2 {
			r.Lines = w.part(r.Lines, "came back")
		}
		r.State, r.ReceivedAt = reconcile.ReturnReceived, w.now
		w.say("%s came back with %v", r.ID, r.Lines)
	default:
		out := w.withCustomer()
		if !order.Empty(out) && w.pick(3, "unannounced") == 2 {
			r := reconcile.Return{ID: w.sys.id("in"), State: reconcile.ReturnReceived, Lines: w.part(out, "came back"), ReceivedAt: w.now}
			w.sys.returns = append(w.sys.returns, r)
			w.say("%s came back unannounced with %v", r.ID, r.Lines)
		}
	}
}

// withCustomer is what was delivered and is not on its way back.
func (w *walk) withCustomer() []order.Quantity {
	var out, back []order.Quantity
	for _, sh := range w.sys.shipments {
		if sh.State == reconcile.ShipmentDelivered {
			out = order.Plus(w.Order, out, sh.Lines)
		}
	}
	for _, r := range w.sys.returns {
		if r.State != reconcile.ReturnCancelled {
			back = order.Plus(w.Order, back, r.Lines)
		}
	}
	return order.Less(w.Order, out, order.Plus(w.Order, back, w.comingBack()))
}

// attemptMoves: the customer or the bank acts, or a hold ends.
func (w *walk) attemptMoves() {
	i := one(w, w.sys.attempts, func(a reconcile.Attempt) bool {
		return a.State == reconcile.AttemptOpen || a.State == reconcile.AttemptProcessing
	})
	if i < 0 {
		return
	}
	a := &w.sys.attempts[i]
	switch w.pick(3, "the bank") {
	case 0, 1:
		w.pays(a)
	default:
		a.State, a.Challenge, a.Failure = reconcile.AttemptOpen, false, "card_declined"
	}
	w.say("%s is %s %s", a.ID, a.State, a.Failure)
}

// holdsEnd lets authorizations die.
func (w *walk) holdsEnd() {
	for i := range w.sys.attempts {
		a := &w.sys.attempts[i]
		if a.State == reconcile.AttemptAuthorized && !a.HeldUntil.IsZero() && !w.now.Before(a.HeldUntil) {
			a.Held, a.Review, a.State = 0, false, reconcile.AttemptVoided
			if a.Captured > 0 {
				a.State = reconcile.AttemptCaptured
			}
			w.say("the authorization of %s dies", a.ID)
		}
	}
}

func (w *walk) reviewMoves() {
	i := one(w, w.sys.attempts, func(a reconcile.Attempt) bool { return a.Held+a.Captured > a.Refunded })
	if i < 0 {
		return
	}
	a := &w.sys.attempts[i]
	switch {
	case !a.Review && w.pick(3, "review opens") == 2:
		a.Review = true
	case a.Review && w.pick(3, "review ends") == 2:
		a.Review = false
		w.closesByHand(a)
	default:
		a.Review = false
	}
	w.say("%s: review %t, %s", a.ID, a.Review, a.State)
}

// closesByHand lets somebody close an attempt at the gateway: void what is held,
// give back what was taken.
func (w *walk) closesByHand(a *reconcile.Attempt) {
	if a.Held > 0 {
		a.Held, a.State = 0, reconcile.AttemptVoided
		if a.Captured > 0 {
			a.State = reconcile.AttemptCaptured
		}
	}
	if left := a.Captured - a.Refunded - a.Disputed; left > 0 {
		w.byHand = true
		a.Refunded += left
		a.Refunds = append(a.Refunds, reconcile.Refund{ID: w.sys.id("re_"), Amount: left, State: reconcile.RefundSucceeded})
	}
}

// somebodyAtTheGateway moves money by hand, or a checkout of its own does.
func (w *walk) somebodyAtTheGateway() {
	i := one(w, w.sys.attempts, func(a reconcile.Attempt) bool { return a.Held > 0 || a.Captured > a.Refunded+a.Disputed })
	if i < 0 {
		return
	}
	a := &w.sys.attempts[i]
	switch what := w.pick(6, "by hand"); {
	case what == 1 && a.Held > 0:
		a.Captured, a.Held, a.State = a.Captured+a.Held, 0, reconcile.AttemptCaptured
		w.byHand = true
	case what == 2 && a.Captured > a.Refunded+a.Disputed:
		amount := int64(1 + w.pick(int(a.Captured-a.Refunded-a.Disputed), "amount"))
		a.Refunded += amount
		a.Refunds = append(a.Refunds, reconcile.Refund{ID: w.sys.id("re_"), Amount: amount, State: reconcile.RefundSucceeded})
		w.byHand = true
	case what == 3:
		surplus := reconcile.Attempt{ID: w.sys.id("pi_"), Amount: w.Order.Total, Currency: w.Order.Currency, Created: w.now}
		surplus.State, surplus.Captured = reconcile.AttemptCaptured, surplus.Amount
		w.sys.attempts = append(w.sys.attempts, surplus)
		a = &surplus
	default:
		return
	}
	w.say("by hand: %s holds %d, took %d, gave back %d", a.ID, a.Held, a.Captured, a.Refunded)
}

// refundMoves lets refunds succeed, or fail, also late.
func (w *walk) refundMoves() {
	for i := range w.sys.attempts {
		a := &w.sys.attempts[i]
		for k := range a.Refunds {
			r := &a.Refunds[k]
			switch luck := w.pick(6, "the refund"); {
			case r.State == reconcile.RefundPending && luck < 3:
				r.State = reconcile.RefundSucceeded
			case r.State == reconcile.RefundPending && luck == 5:
				r.State = reconcile.RefundFailed
				a.Refunded -= r.Amount
			default:
				continue
			}
			w.say("the refund %s is %s", r.ID, r.State)
		}
	}
}

func (w *walk) disputeMoves() {
	i := one(w, w.sys.attempts, func(a reconcile.Attempt) bool { return a.Captured > a.Refunded+a.Lost })
	if i < 0 {
		return
	}
	a := &w.sys.attempts[i]
	switch luck := w.pick(3, "the dispute"); {
	case a.Disputed == a.Lost && luck == 2:
		a.Disputed += a.Captured - a.Refunded - a.Lost - int64(w.pick(int(a.Captured-a.Refunded-a.Lost), "left out of it"))
	case a.Disputed > a.Lost && luck == 1:
		a.Lost, w.lostMoney = a.Disputed, true
	case a.Disputed > a.Lost && luck == 0:
		a.Disputed = a.Lost
	default:
		return
	}
	w.say("%s: %d in dispute, %d lost", a.ID, a.Disputed, a.Lost)
}

// stockMoves: goods arrive, or other orders take them.
func (w *walk) stockMoves() {
	l := w.Order.Lines[w.pick(len(w.Order.Lines), "of line")]
	mine := int64(0)
	for _, q := range w.sys.promised {
		if q.SKU == l.SKU {
			mine += q.Quantity
		}
	}
	free := w.sys.level[l.SKU] - w.sys.others[l.SKU] - mine
	if w.pick(2, "stock") == 1 && free > 0 {
		w.sys.others[l.SKU] += free
	} else {
		w.sys.level[l.SKU] += l.Quantity
	}
	w.say("of %s %d, others %d", l.SKU, w.sys.level[l.SKU], w.sys.others[l.SKU])
}

// promiseLapses: inventory forgets what it promised while the customer pays, or a
// part of it.
func (w *walk) promiseLapses() {
	if w.Phase != order.PhasePaying || w.openIn(order.SystemInventory) != nil || order.Empty(w.sys.promised) {
		return
	}
	w.sys.promised = w.part(w.sys.promised, "is still promised")
	w.say("promised by now: %v", w.sys.promised)
}

// asksSupply asks inventory what there is, as the supply loop does.
func (w *walk) asksSupply() bool {
	last := w.last(order.Reserve)
	if !w.short() || w.openIn(order.SystemInventory) != nil ||
		w.Supply != nil && w.Supply.At.After(last.Ended) && w.now.Before(w.Supply.Next) {
		return false
	}
	w.now = w.now.Add(time.Second)
	w.Supply = &Supply{At: w.now, Available: w.State.available(w.sys.levels(w.Order, w.now)), Next: w.now.Add(time.Hour)}
	w.say("there is %v", w.Supply.Available)
	return w.dueReserve() != nil
}

func (w *walk) asked() Asked {
	w.wishes++
	return Asked{ID: fmt.Sprint("wish-", w.wishes), By: "ada", Reason: "because"}
}

func (w *walk) cancels() {
	if w.pick(3, "really") == 0 || w.cancellable(nil, Cancel{}) != nil {
		return
	}
	w.say("somebody cancels")
	w.wish(w.now, Cancel{By: "ada", Reason: "changed my mind"})
}

func (w *walk) paysAgain() {
	a := Attempt{Asked: w.asked(), Payment: order.Payment{Method: "pm_other", Capture: w.Order.Payment.Capture, Reusable: w.pick(2, "reusable") == 1}}
	if w.mayPay(w.now, a) == nil {
		w.say("another attempt")
		w.takeAttempt(w.now, a)
	}
}

func (w *walk) amends() {
	a := Amend{Asked: w.asked(), ShipTo: &order.Address{Name: "Ada", Street: "2 Other St", City: "Hull", PostalCode: "HU1", Country: "GB"}}
	if w.pick(2, "drop") == 1 {
		a.ShipTo, a.Drop = nil, w.part(w.unshipped(), "dropped")
	}
	if w.amendable(nil, a) == nil {
		w.say("amend: drop %v", a.Drop)
		w.takeAmendment(w.now, a)
	}
}

func (w *walk) answers() {
	a := Answer{Asked: w.asked(), Choice: []Choice{ChooseAmend, ChooseWait, ChooseCancel}[w.pick(3, "choice")]}
	if w.answerable(nil, a) == nil {
		w.say("the customer chooses %s", a.Choice)
		w.takeAnswer(w.now, w.openQuestion(), a)
	}
}

func (w *walk) returns() {
	lines := order.Common(w.Order, w.withCustomer(), order.Less(w.Order, w.shipped(), w.comingBack()))
	r := Return{Asked: w.asked(), Lines: w.part(lines, "sent back")}
	if w.returnable(nil, r) == nil {
		w.say("a return of %v", r.Lines)
		w.takeReturn(w.now, r)
	}
}

func (w *walk) refunds() {
	r := Refund{Asked: w.asked()}
	if left := w.allRefundable(); left > 0 {
		r.Amount = int64(w.pick(int(left)+1, "amount"))
	}
	if w.pick(3, "really") == 2 && w.mayRefund(nil, r) == nil {
		w.say("a person refunds %d", r.Amount)
		w.byHand = true
		w.takeRefund(w.now, r)
	}
}

// decides lets a person decide an open case in any way that is feasible.
func (w *walk) decides() {
	open := w.openCases()
	if len(open) == 0 {
		return
	}
	k := open[w.pick(len(open), "case")]
	var can []Decide
	for _, as := range []Decision{DecideByHand, DecideRepair, DecideShip, DecideRelease, DecideCancel, DecideRefund, DecideAccept} {
		d := Decide{Asked: w.asked(), Case: k.N, As: as}
		if w.decidable(nil, d) == nil {
			can = append(can, d)
		}
	}
	d := can[w.pick(len(can), "decision")]
	if d.As == DecideByHand {
		w.seeAll()
		if w.standing(w.now, k) {
			return
		}
	}
	if k = *w.caseOf(k.N); !k.Open() {
		return
	}
	w.say("case %d (%s) is decided: %s", k.N, k.Step.Break.ID(), d.As)
	money := k.Step.Break.System == order.SystemPayment || k.Step.Break.System == order.SystemERP
	w.wroteOff = w.wroteOff || money && d.As != DecideRepair && (d.As != DecideRefund || k.Step.Operation == order.Authorize)
	w.byHand = w.byHand || d.As == DecideRefund && w.lostParcel(k) == nil
	w.decided(w.now, k, d)
}

// continues carries the order over to a new run, as at rest.
func (w *walk) continues() {
	if slices.ContainsFunc(order.Systems(), func(s order.System) bool { return w.openIn(s) != nil }) {
		return
	}
	w.Run++
	w.State = w.carried()
}
