package reconcile

import (
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

// drawLife draws an order somewhere in its life and the world in which every
// system says what the order means: every phase, one to three lines in
// currencies with no, two and three decimals, several parcels and attempts,
// captures in part or at once, refunds, disputes, returns, mails, and records
// that mean nothing. TestDraw_ReachesEverything holds that it leaves nothing out.
func drawLife(t *rapid.T) (Intent, *world) {
	x := &living{w: &world{}}
	x.asked(t)
	x.goods(t)
	x.money(t)
	x.books(t)
	x.customer(t)
	x.mails(t)
	x.nothings(t)
	for _, s := range order.Systems() {
		if one(t, 2) {
			x.i.Changed = append(x.i.Changed, Changed{s, placed.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "changed")) * time.Minute)})
		}
	}
	return x.i, x.w
}

// living is a life on its way.
type living struct {
	i        Intent
	w        *world
	lines    []order.Quantity
	coin     int64
	left     []order.Quantity // pieces that have left first
	rest     []order.Quantity // and the others
	all      bool             // nothing is left to leave
	back     int64            // money given back for returns
	disputed int64            // money in a dispute that is open
	twice    bool             // money was taken twice and given back
}

// one says yes once in n times.
func one(t *rapid.T, n int) bool { return rapid.IntRange(1, n).Draw(t, "one in") == n }

// phases are all there are, in their order.
func phases() []order.Phase {
	return []order.Phase{
		order.PhaseReceived, order.PhasePaying, order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered, order.PhaseClosed,
		order.PhaseCancelling, order.PhaseCancelled, order.PhaseFailing, order.PhaseFailed,
	}
}

// asked draws what the customer asked for, and how far it has come.
func (x *living) asked(t *rapid.T) {
	x.i = Intent{
		Order: "42", PlacedAt: placed, Cart: one(t, 2),
		Currency: rapid.SampledFrom([]order.Currency{"EUR", "USD", "JPY", "KWD"}).Draw(t, "currency"),
		// Past the pivot is where most can be wrong.
		Phase: rapid.SampledFrom(append(phases(), order.PhaseAccepted, order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered)).Draw(t, "phase"),
	}
	x.coin = x.i.Currency.Least()
	for n := range rapid.IntRange(1, 3).Draw(t, "lines") {
		q := order.Quantity{Line: n + 1, SKU: rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "sku"), Quantity: rapid.Int64Range(1, 3).Draw(t, "quantity")}
		x.lines = append(x.lines, q)
		x.i.Total += q.Quantity * rapid.Int64Range(1, 40_000).Draw(t, "price") * x.coin
	}
}

func (x *living) pastPivot() bool { return x.i.Phase.PastPivot() }

func pieces(all []order.Quantity) int64 {
	n := int64(0)
	for _, q := range all {
		n += q.Quantity
	}
	return n
}

// goods draws what is promised, with the warehouse, gone, and back.
func (x *living) goods(t *rapid.T) {
	for _, q := range x.lines {
		first := q
		first.Quantity = rapid.Int64Range(0, q.Quantity).Draw(t, "first")
		q.Quantity -= first.Quantity
		x.left, x.rest = appendPieces(x.left, first), appendPieces(x.rest, q)
	}
	switch x.i.Phase {
	case order.PhaseReceived, order.PhaseCancelled, order.PhaseFailed:
	case order.PhasePaying, order.PhaseCancelling, order.PhaseFailing:
		if one(t, 2) {
			x.i.Reserved = x.rest
		} else {
			x.i.Reserved = x.lines
		}
	case order.PhaseAccepted:
		x.i.Reserved = x.rest
		x.request(t)
	case order.PhaseShipped, order.PhaseDelivered, order.PhaseClosed:
		x.all = true
		x.request(t)
		x.returns(t)
	}
	for _, q := range x.i.Reserved {
		x.w.inventory.Reservations = append(x.w.inventory.Reservations, Reservation{ID: x.w.id(), Line: q.Line, SKU: q.SKU, Quantity: q.Quantity})
	}
}

func appendPieces(all []order.Quantity, q order.Quantity) []order.Quantity {
	if q.Quantity == 0 {
		return all
	}
	return append(all, q)
}

// request draws one request for everything, or one for what has left first and
// one for the rest; the warehouse splits the former by itself.
func (x *living) request(t *rapid.T) {
	gone := rapid.SampledFrom([]ShipmentState{ShipmentShipped, ShipmentDelivered}).Draw(t, "gone")
	here := rapid.SampledFrom([]ShipmentState{ShipmentRequested, ShipmentAssigned, ShipmentPicked, ShipmentPacked}).Draw(t, "here")
	if x.all {
		here = gone
	}
	first, second := key(order.Request, 1), key(order.Request, 2)
	one := func(key string, state ShipmentState, lines []order.Quantity) {
		if len(lines) > 0 {
			x.w.warehouse.Shipments = append(x.w.warehouse.Shipments, Shipment{ID: x.w.id(), Key: key, State: state, Lines: lines})
		}
	}
	meant := func(key string, state ShipmentState, lines []order.Quantity) {
		if len(lines) > 0 {
			x.i.Shipments = append(x.i.Shipments, ShipmentIntent{Key: key, State: state, Lines: lines})
		}
	}
	least := ShipmentRequested
	if x.all {
		least = rapid.SampledFrom([]ShipmentState{ShipmentShipped, gone}).Draw(t, "least")
	}
	if rapid.Bool().Draw(t, "in one request") {
		second = first
		meant(first, least, x.lines)
	} else {
		meant(first, ShipmentShipped, x.left)
		meant(second, least, x.rest)
	}
	if second == first && len(x.left) > 0 && len(x.rest) > 0 && !x.all {
		x.i.Shipments[0].State = ShipmentRequested
	}
	if second == first && len(x.rest) == 0 && x.i.Phase == order.PhaseAccepted {
		x.i.Shipments[0].State = ShipmentShipped
	}
	one(first, gone, x.left)
	one(second, here, x.rest)
	x.track(t)
}

// track gives the parcels that have left a number each, and draws of which of them
// the customer was told.
func (x *living) track(t *rapid.T) {
	for n := range x.w.warehouse.Shipments {
		s := &x.w.warehouse.Shipments[n]
		if !s.State.out() {
			continue
		}
		s.Tracking = "1Z" + s.ID
		for m := range x.i.Shipments {
			if of := &x.i.Shipments[m]; of.Key == s.Key && rapid.Bool().Draw(t, "told of it") {
				of.Told = append(of.Told, Told{Shipment: s.ID, Tracking: s.Tracking})
			}
		}
	}
}

// returns draws goods that come back, announced or not.
func (x *living) returns(t *rapid.T) {
	for n := range rapid.IntRange(0, 2).Draw(t, "returns") {
		q := x.lines[0]
		q.Quantity = 1
		if int64(n) >= x.lines[0].Quantity {
			return
		}
		state := rapid.SampledFrom([]ReturnState{ReturnExpected, ReturnReceived, ReturnRestocked}).Draw(t, "return")
		r := Return{ID: x.w.id(), Key: key(order.Return, n+1), State: state, Lines: []order.Quantity{q}}
		if state != ReturnExpected {
			r.ReceivedAt = placed.Add(time.Hour)
			x.back++
			if one(t, 3) {
				r.Key = "" // nobody announced it, and it was taken up
			}
		}
		x.w.warehouse.Returns = append(x.w.warehouse.Returns, r)
		x.i.Returns = append(x.i.Returns, ReturnIntent{Key: r.Name(), State: leastOf(state), Lines: r.Lines})
	}
}

// attempt adds one to the world.
func (x *living) attempt(a Attempt) *Attempt {
	a.ID, a.Currency = x.w.id(), x.i.Currency
	a.Created = placed.Add(time.Duration(len(x.w.payment.Attempts)) * time.Minute)
	x.w.payment.Attempts = append(x.w.payment.Attempts, a)
	return &x.w.payment.Attempts[len(x.w.payment.Attempts)-1]
}

// share rounds a part of an amount down to what a gateway moves.
func (x *living) share(whole, part, of int64) int64 {
	if of == 0 {
		return 0
	}
	n := whole * part / of
	return n - n%x.coin
}

// money draws the attempts that paid and those that did not.
func (x *living) money(t *rapid.T) {
	for range rapid.IntRange(0, 1).Draw(t, "voided") {
		x.attempt(Attempt{State: AttemptVoided, Amount: x.i.Total})
	}
	switch {
	case x.pastPivot():
		x.paid(t)
		x.givenBack(t)
		if x.i.Refunded == 0 && !x.twice && one(t, 4) { // an intent that does not name its payers
			x.i.Payments, x.i.Attempts = x.i.Attempts, nil
		}
	case x.i.Phase.Ended():
		if one(t, 3) { // taken at once, and given back in full
			x.i.Captured, x.i.Refunded = x.i.Total, x.i.Total
			a := x.attempt(Attempt{State: AttemptCaptured, Amount: x.i.Total, Captured: x.i.Total})
			a.refund(x.i.Total, RefundSucceeded)
			x.i.Attempts = []string{a.ID}
		}
	default:
		x.i.Paying = true
		state := rapid.SampledFrom([]AttemptState{"", AttemptOpen, AttemptProcessing, AttemptAuthorized, AttemptCaptured}).Draw(t, "attempt")
		a := Attempt{State: state, Amount: x.i.Total}
		switch state {
		case AttemptAuthorized:
			a.Held = x.i.Total
		case AttemptCaptured:
			a.Captured = x.i.Total
		case "":
			return
		default: // holds nothing and took nothing
		}
		x.attempt(a)
	}
}

func (a *Attempt) refund(amount int64, state RefundState) {
	if amount == 0 {
		return
	}
	if state != RefundFailed {
		a.Refunded += amount
	}
	a.Refunds = append(a.Refunds, Refund{ID: a.ID + string(state), Amount: amount, State: state})
}

// paid draws who pays: on shipping, in one or two attempts, or at once.
func (x *living) paid(t *rapid.T) {
	i := &x.i
	atOnce := one(t, 3)
	switch {
	case x.all || atOnce:
		i.Captured = i.Total
	default:
		i.Captured = x.share(i.Total, pieces(x.left), pieces(x.lines))
		i.Held = i.Total - i.Captured
	}
	first := i.Captured
	if two := i.Captured > x.coin && rapid.Bool().Draw(t, "two payers"); two && i.Held == 0 {
		first = x.share(i.Captured, 1, 2)
		second := i.Captured - first
		x.payer(Attempt{State: AttemptCaptured, Amount: i.Total, Captured: first})
		x.payer(Attempt{State: AttemptCaptured, Amount: second, Captured: second})
	} else if two {
		x.payer(Attempt{State: AttemptCaptured, Amount: i.Total, Captured: first})
		x.payer(Attempt{State: AttemptAuthorized, Amount: i.Held, Held: i.Held})
	} else {
		state := AttemptCaptured
		if i.Held > 0 {
			state = AttemptAuthorized
		}
		x.payer(Attempt{State: state, Amount: i.Total, Captured: first, Held: i.Held, Multicapture: true})
	}
	if i.Captured == i.Total && one(t, 5) { // taken twice, and given back
		x.twice = true
		a := x.attempt(Attempt{State: AttemptCaptured, Amount: i.Total, Captured: i.Total})
		a.refund(i.Total, RefundSucceeded)
	}
}

func (x *living) payer(a Attempt) {
	x.i.Attempts = append(x.i.Attempts, x.attempt(a).ID)
}

// givenBack draws refunds and disputes of the first payer, out of what it took.
func (x *living) givenBack(t *rapid.T) {
	i := &x.i
	n := slices.IndexFunc(x.w.payment.Attempts, func(a Attempt) bool { return a.Captured > 0 })
	if n < 0 {
		return
	}
	a := &x.w.payment.Attempts[n]
	part := x.share(a.Captured, 1, 4)
	if part == 0 {
		return
	}
	if x.back = min(x.back, 1) * part; x.back == 0 && one(t, 4) {
		x.back = part // a person gave something back
	}
	a.refund(x.back, RefundSucceeded)
	i.Refunded = x.back
	if one(t, 6) {
		a.refund(part, RefundFailed)
	}
	if one(t, 5) { // lost: that is the refund
		a.Disputed, a.Lost = a.Disputed+part, part
		i.Refunded += part
	}
	if one(t, 6) { // open, and somebody let it run
		a.Disputed, x.disputed = a.Disputed+part, part
		i.Accepted = Remember(i.Accepted, []Base{{Field: PaymentDisputed, Value: canonicalAmount(part), At: placed}})
	}
}

// books draws the documents of what has happened.
func (x *living) books(t *rapid.T) {
	i := &x.i
	document := func(operation order.Operation, n int, total int64) DocumentIntent {
		return DocumentIntent{Key: key(operation, n), Total: total}
	}
	if x.pastPivot() || i.Phase.Ended() && one(t, 2) {
		sale := document(order.Record, 1, i.Total)
		i.Sale = &sale
		x.w.erp.Sales = x.w.post(nil, sale)
	}
	if x.pastPivot() {
		first := x.share(i.Total, pieces(x.left), pieces(x.lines))
		if len(x.rest) == 0 {
			first = i.Total
		}
		if len(x.left) > 0 {
			i.Invoices = append(i.Invoices, document(order.Invoice, 1, first))
		}
		if x.all && len(x.rest) > 0 {
			i.Invoices = append(i.Invoices, document(order.Invoice, 2, i.Total-first))
		}
	}
	if i.Captured > 0 {
		i.Receipts = append(i.Receipts, document(order.Receipt, 1, i.Captured))
	}
	if i.Refunded > 0 {
		i.Receipts = append(i.Receipts, document(order.Receipt, 2, -i.Refunded))
	}
	if x.back > 0 {
		credit := document(order.Credit, 1, x.back)
		i.Credits = append(i.Credits, credit)
		if one(t, 3) {
			credit.Total = -credit.Total // some systems write it with a minus
		}
		x.w.erp.Credits = x.w.post(nil, credit)
	}
	for _, d := range i.Invoices {
		x.w.erp.Invoices = x.w.post(x.w.erp.Invoices, d)
	}
	for _, d := range i.Receipts {
		x.w.erp.Receipts = x.w.post(x.w.erp.Receipts, d)
	}
}

// customer draws contact, deal and carts.
func (x *living) customer(t *rapid.T) {
	i := &x.i
	switch {
	case x.pastPivot():
		i.Deal = DealWon
		i.Revenue = i.Captured - i.Refunded - x.disputed
	case i.Phase == order.PhaseCancelled || i.Phase == order.PhaseFailed:
		i.Deal = rapid.SampledFrom([]DealStage{"", DealLost}).Draw(t, "deal")
	case i.Phase != order.PhaseReceived:
		i.Deal = rapid.SampledFrom([]DealStage{"", DealOpen}).Draw(t, "deal")
	}
	if i.Deal != "" {
		x.w.upsert(*i)
	} else if one(t, 2) {
		x.w.crm.Contacts = []Contact{{ID: x.w.id(), CustomerID: "c1"}}
	}
	if one(t, 3) {
		cart := Deal{ID: x.w.id(), Cart: "cart", Stage: DealAbandoned}
		if i.cartsDue() {
			cart.Stage = rapid.SampledFrom([]DealStage{DealWon, DealLost}).Draw(t, "cart")
		}
		x.w.crm.Carts = append(x.w.crm.Carts, cart)
	}
}

// mails draws what the customer was told, and what not any more.
func (x *living) mails(t *rapid.T) {
	tell := func(template Template, occasions int) {
		for n := range occasions {
			m := MailIntent{Template: template, Occasion: n + 1, Due: placed.Add(time.Duration(rapid.IntRange(1, 120).Draw(t, "due")) * time.Minute)}
			m.GivenUp = one(t, 6)
			x.i.Mails = append(x.i.Mails, m)
			if !m.GivenUp || one(t, 2) {
				x.w.send(x.i, m)
			}
			if !m.GivenUp && one(t, 8) { // sent twice, and accepted
				x.w.send(x.i, m)
				x.i.Accepted = Remember(x.i.Accepted, []Base{{Field: MailField(template), Item: canonicalAmount(int64(n + 1)), Value: "2 × 1", At: placed}})
			}
		}
	}
	switch {
	case x.pastPivot():
		tell(MailConfirmation, 1)
		tell(MailShipped, len(x.i.Invoices))
		tell(MailRefund, int(min(1, x.back)))
	case x.i.Phase == order.PhaseCancelled:
		tell(MailCancellation, 1)
	}
	if one(t, 4) {
		tell(MailQuestion, 1)
	}
}

// nothings draws records that mean nothing.
func (x *living) nothings(t *rapid.T) {
	w := x.w
	if one(t, 3) {
		w.warehouse.Shipments = append(w.warehouse.Shipments, Shipment{ID: w.id(), Key: key(order.Request, 9), State: ShipmentCancelled, Lines: x.lines})
	}
	if one(t, 3) {
		w.warehouse.Shipments = append(w.warehouse.Shipments, Shipment{ID: w.id(), Key: key(order.Request, 1), State: ShipmentDraft, Lines: x.lines})
	}
	if one(t, 4) {
		w.warehouse.Returns = append(w.warehouse.Returns, Return{ID: w.id(), State: ReturnCancelled, Lines: x.lines})
	}
	if one(t, 3) {
		w.erp.Invoices = append(w.erp.Invoices, Document{ID: w.id(), Key: key(order.Invoice, 1), State: DocumentCancelled, Total: 1})
	}
}

func canonicalAmount(n int64) string { return strconv.FormatInt(n, 10) }

// leastOf is what an order means a return to have come to: it never waits for
// goods to be restocked.
func leastOf(s ReturnState) ReturnState {
	if s == ReturnExpected {
		return s
	}
	return ReturnReceived
}
