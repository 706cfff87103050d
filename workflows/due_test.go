package workflows

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// walk is an order whose systems are played by a few rules: what due asks for is
// carried out, refused or left open, and people do what they like in between.
type walk struct {
	*process
	t   *rapid.T
	now time.Time
	log []string
}

func newWalk(t *rapid.T) *walk {
	o := order.Order{
		ID: "1", Currency: "EUR", Channel: "shop", Customer: order.Customer{ID: "c-1", Email: "ada@example.com"},
		Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip},
	}
	if rapid.IntRange(0, 2).Draw(t, "at once") == 0 {
		o.Payment.Capture = order.CaptureAtOnce
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "lines") {
		o.Lines = append(o.Lines, order.Line{
			SKU: fmt.Sprintf("SKU-%d", i), Quantity: rapid.Int64Range(1, 4).Draw(t, "quantity"), UnitPrice: rapid.Int64Range(1, 5000).Draw(t, "price"),
		})
	}
	o.Total, _ = o.Sum()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	o.PlacedAt = now
	return &walk{
		process: &process{State: &State{Order: o, Phase: order.PhaseReceived, Since: now}, settings: Settings{Policy: reconcile.Default()}},
		t:       t, now: now,
	}
}

func (w *walk) say(format string, a ...any) {
	w.log = append(w.log, w.now.Format("02 15:04 ")+string(w.Phase)+": "+fmt.Sprintf(format, a...))
}

func (w *walk) fatal(format string, a ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%v", fmt.Sprintf(format, a...), slices.Clone(w.log))
}

// turn lets the phases follow from what is known.
func (w *walk) turn() {
	for range 10 {
		next, why := w.after(w.now)
		if next == w.Phase {
			return
		}
		w.say("→ %s %s", next, why)
		w.Phase, w.Since = next, w.now
	}
	w.fatal("the phases never come to rest")
}

// take takes what is due in a system, holds it against what must have come
// before it, and carries it out. It says whether anything was due.
func (w *walk) take(system order.System, refuse bool) bool {
	op := w.due(system, w.now)
	if op == nil {
		return false
	}
	if known := w.find(op.Operation, op.N); known != nil && known.Status != Lost {
		w.fatal("%s is due again although it is %s", w.Key(*op), known.Status)
	}
	w.before(*op)
	op.First, op.Ended, op.Status = w.now, w.now, Done
	if refuse && (op.Operation == order.Reserve || op.Operation == order.Authorize) {
		op.Status = Refused
	}
	w.say("%s %s %d of %d %s", w.Key(*op), op.Status, op.Amount, op.Of, op.About)
	w.Operations = append(w.Operations, *op)
	if op.Status == Done {
		w.carryOut(*op)
	}
	return true
}

// before holds what is due against what must be true before it is done.
func (w *walk) before(op Operation) {
	held, captured, refunded, _ := w.money()
	require := func(ok bool, what string) {
		if !ok {
			w.fatal("%s is due without %s", w.Key(op), what)
		}
	}
	switch op.Operation {
	case order.Authorize:
		require(w.done(order.Reserve, 1), "reserved stock")
	case order.Request:
		require(w.done(order.Reserve, 1), "reserved stock")
		require(held+captured-refunded >= w.Order.Total, "the money")
		require(!w.reviewed(), "the review's end")
	case order.Capture:
		require(w.left(op.Of), "goods that have left")
		require(op.Amount <= held, "so much held money")
	case order.Refund:
		require(op.Amount <= captured-refunded, "so much captured money")
		require(w.warehouseGaveUp(), "the warehouse's answer")
	case order.Void, order.Release:
		require(w.Phase == order.PhaseCancelling || w.Phase == order.PhaseFailing, "a wish or a failure")
		require(w.warehouseGaveUp(), "the warehouse's answer")
	case order.Commit:
		require(w.left(op.Of), "goods that have left")
	case order.Record:
		require(w.Phase.PastPivot() || w.tried(order.Record), "the pivot")
	case order.Invoice:
		require(w.left(op.Of) && w.done(order.Record, 1), "goods that have left, and a sale")
	case order.Receipt:
		require(op.Amount > 0 && captured > 0 || op.Amount < 0 && refunded > 0, "money that moved")
	case order.Send:
		require(op.About != string(reconcile.MailConfirmation) || w.done(order.Request, 1), "the warehouse's acceptance")
		require(op.About != string(reconcile.MailShipped) || w.left(op.Of), "goods that have left")
		require(op.About != string(reconcile.MailCancellation) || w.Phase == order.PhaseCancelled, "the end of the order")
	}
}

func (w *walk) left(n int) bool {
	sh := w.shipment(n)
	return sh != nil && gone(sh.State)
}

// carryOut lets the system do it, and the order learn of it.
func (w *walk) carryOut(op Operation) {
	switch op.Operation {
	case order.Reserve:
		var all []reconcile.Reservation
		for i, l := range w.Order.Lines {
			all = append(all, reconcile.Reservation{ID: fmt.Sprint("r", i), Line: i + 1, SKU: l.SKU, Quantity: l.Quantity})
		}
		w.learnReservations(w.now, all)
	case order.Release, order.Commit:
		w.learnReservations(w.now, nil)
	case order.Authorize:
		a := reconcile.Attempt{ID: "pi_1", Key: w.Key(op), State: reconcile.AttemptAuthorized, Amount: op.Amount, Held: op.Amount, Currency: "EUR"}
		w.paid(&a)
		if rapid.IntRange(0, 3).Draw(w.t, "challenged") == 0 {
			a.State, a.Held, a.Captured = reconcile.AttemptOpen, 0, 0
		}
		a.Review = rapid.IntRange(0, 5).Draw(w.t, "reviewed") == 0
		w.find(order.Authorize, 1).Record = a.ID
		w.learnAttempt(w.now, a)
	case order.Capture:
		a := w.attempts()[0]
		a.Held, a.Captured, a.State = 0, a.Captured+op.Amount, reconcile.AttemptCaptured
		w.learnAttempt(w.now, a)
	case order.Void:
		a := w.attempts()[0]
		a.Held, a.State = 0, reconcile.AttemptVoided
		w.learnAttempt(w.now, a)
	case order.Refund:
		w.learnRefund(w.now, op.Ref, reconcile.Refund{ID: fmt.Sprint("re_", op.N), Key: w.Key(op), Amount: op.Amount, State: reconcile.RefundSucceeded})
	case order.Request:
		w.learnShipment(w.now, reconcile.Shipment{ID: "s1", Key: w.Key(op), State: reconcile.ShipmentRequested, Lines: w.Order.AllLines()})
	case order.Cancel:
		if sh := w.shipment(1); sh != nil && sh.State == reconcile.ShipmentRequested {
			w.moveShipment(reconcile.ShipmentCancelled)
		}
	case order.Record, order.Invoice, order.Receipt:
		w.learnDocument(w.now, op.Operation, reconcile.Document{ID: w.Key(op), Key: w.Key(op), State: reconcile.DocumentPosted, Total: op.Amount})
	case order.Upsert:
		w.learn(reconcile.Observation{System: order.SystemCRM, State: reconcile.Present, At: w.now, Strong: true, CRM: &reconcile.CRM{
			Deals: []reconcile.Deal{{ID: "d1", Stage: reconcile.DealStage(op.About), Revenue: op.Amount}},
		}})
	case order.Send:
		w.learnMessage(w.now, reconcile.Message{MessageID: w.Key(op), Template: reconcile.Template(op.About), Occasion: op.Of, At: w.now})
	default:
		w.fatal("%s was not expected", w.Key(op))
	}
}

func (w *walk) moveShipment(to reconcile.ShipmentState) {
	if sh := w.shipment(1); sh != nil && sh.State != reconcile.ShipmentCancelled {
		sh.State = to
		if gone(to) && sh.ShippedAt.IsZero() {
			sh.ShippedAt = w.now
		}
		w.learnShipment(w.now, *sh)
	}
}

// happen lets one thing happen that nobody here asked for.
func (w *walk) happen() {
	switch rapid.IntRange(0, 7).Draw(w.t, "what happens") {
	case 0:
		w.moveWarehouse()
	case 1:
		if w.Cancel == nil && !w.Phase.Ended() && w.Phase != order.PhaseShipped && w.Phase != order.PhaseDelivered && w.Phase != order.PhaseFailing {
			w.say("somebody cancels")
			w.Cancel = &Cancellation{By: "customer", Asked: w.now}
		}
	case 2:
		w.pay()
	case 3:
		for _, a := range w.attempts() {
			a.Review = false
			w.learnAttempt(w.now, a)
		}
	case 4:
		w.learn(reconcile.Observation{System: order.SystemPayment, State: reconcile.Unreadable, At: w.now, Why: "down"})
	case 5:
		w.reread()
	}
}

func (w *walk) moveWarehouse() {
	next := map[reconcile.ShipmentState]reconcile.ShipmentState{
		reconcile.ShipmentRequested: reconcile.ShipmentPacked, reconcile.ShipmentPacked: reconcile.ShipmentShipped, reconcile.ShipmentShipped: reconcile.ShipmentDelivered,
	}
	if sh := w.shipment(1); sh != nil && next[sh.State] != "" {
		w.say("the shipment is %s", next[sh.State])
		w.moveShipment(next[sh.State])
	}
}

func (w *walk) pay() {
	if all := w.attempts(); len(all) > 0 && all[0].State == reconcile.AttemptOpen {
		w.say("the customer pays")
		a := all[0]
		w.paid(&a)
		w.learnAttempt(w.now, a)
	}
}

// paid is what an attempt is once the customer has paid.
func (w *walk) paid(a *reconcile.Attempt) {
	a.State, a.Held = reconcile.AttemptAuthorized, a.Amount
	if w.Order.Payment.Capture == order.CaptureAtOnce {
		a.State, a.Held, a.Captured = reconcile.AttemptCaptured, 0, a.Amount
	}
}

// reread reads the gateway again: it says what it said.
func (w *walk) reread() {
	o := w.known(order.SystemPayment, w.now)
	o.Payment = w.observed(order.SystemPayment).Payment
	if o.Payment == nil {
		o.State = reconcile.Absent
	}
	w.learn(o)
}

// settle lets everything happen that still can, and says that it ends.
func (w *walk) settle() {
	for range 200 {
		w.now = w.now.Add(time.Minute)
		w.turn()
		busy := false
		for _, system := range order.Systems() {
			busy = w.take(system, false) || busy
		}
		if busy {
			continue
		}
		if w.Phase.Ended() {
			return
		}
		w.now = w.now.Add(time.Hour)
		for _, a := range w.attempts() {
			a.Review = false
			w.learnAttempt(w.now, a)
		}
		w.reread()
		w.moveWarehouse()
		if w.Phase == order.PhaseDelivered {
			w.now = w.now.Add(31 * 24 * time.Hour)
		}
	}
	w.fatal("the order never comes to rest")
}

// addsUp says that money and goods add up when everything is over.
func (w *walk) addsUp() {
	held, captured, refunded, open := w.money()
	promised, shipped := len(w.reservations()), w.left(1)
	if held != 0 || open != 0 || promised != 0 {
		w.fatal("in the end %d are held by %d attempts, and %d promised", held, open, promised)
	}
	kept := captured - refunded
	if shipped && kept != w.Order.Total || !shipped && kept != 0 {
		w.fatal("in the end %d of %d are kept; shipped: %t", kept, w.Order.Total, shipped)
	}
	if shipped != (w.Phase == order.PhaseClosed) {
		w.fatal("it ended as %s; shipped: %t", w.Phase, shipped)
	}
	if books := w.observed(order.SystemERP).ERP; books != nil {
		if posted(books.Receipts) != kept || shipped && posted(books.Invoices) != w.Order.Total || !shipped && posted(books.Invoices) != 0 {
			w.fatal("in the end the books say %+v", books)
		}
	} else if shipped {
		w.fatal("it shipped and is not in the books")
	}
}

func walkOnce(t *rapid.T) *walk {
	w := newWalk(t)
	for range rapid.IntRange(0, 40).Draw(t, "steps") {
		w.now = w.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes")) * time.Minute)
		w.turn()
		if rapid.Bool().Draw(t, "somebody else") {
			w.happen()
			continue
		}
		w.take(rapid.SampledFrom(order.Systems()).Draw(t, "system"), rapid.IntRange(0, 4).Draw(t, "refused") == 0)
	}
	w.settle()
	w.addsUp()
	return w
}

func TestDue_AnyWalk_EndsAndAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { walkOnce(t) })
}

func TestAdopt_OwnRecords_NothingIsDueAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := walkOnce(t)
		if w.tried(order.Authorize) && len(w.attempts()) == 0 {
			return // refused outright: nobody but us knew of it
		}
		if !w.tried(order.Authorize) {
			return // nothing to adopt: the order is new to payment and ERP
		}
		again := &walk{
			process: &process{State: &State{Order: w.Order, Phase: order.PhaseReceived, Since: w.now, Adopted: true, Observed: w.Observed}, settings: w.settings},
			t:       t, now: w.now,
		}
		again.adopt(again.now)
		again.turn()
		for _, system := range order.Systems() {
			if op := again.due(system, again.now); op != nil && op.Operation != order.Release {
				t.Fatalf("%s is due again after adopting an order that was %s\nphase %s\n%v", again.Key(*op), w.Phase, again.Phase, w.log)
			}
		}
	})
}
