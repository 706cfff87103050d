package workflows

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// systems are the six of them, played by a few rules. What they hold is theirs:
// the order learns it by an answer or by reading, and people change it behind
// its back.
type systems struct {
	attempts  []reconcile.Attempt
	level     map[string]int64 // what inventory believes to be there, by SKU
	others    map[string]int64 // of that, promised to other orders
	promised  []order.Quantity
	shipments []reconcile.Shipment
	returns   []reconcile.Return
	books     reconcile.ERP
	deal      *reconcile.Deal
	messages  []reconcile.Message
	ids       int
}

func (y *systems) id(prefix string) string {
	y.ids++
	return fmt.Sprint(prefix, y.ids)
}

func (y *systems) attempt(id string) *reconcile.Attempt {
	for i := range y.attempts {
		if y.attempts[i].ID == id {
			return &y.attempts[i]
		}
	}
	return nil
}

// net is what the gateway kept, refunds that may still fail left out.
func (y *systems) net() int64 {
	net := int64(0)
	for _, a := range y.attempts {
		net += a.Captured - a.Refunded - a.Lost
	}
	return net
}

// observe is what a system answers to a look-up at a moment.
func (y *systems) observe(system order.System, now time.Time) reconcile.Observation {
	o := reconcile.Observation{System: system, State: reconcile.Present, At: now, Strong: true}
	switch system {
	case order.SystemPayment:
		attempts := slices.Clone(y.attempts)
		for i := range attempts {
			attempts[i].Refunds = slices.Clone(attempts[i].Refunds)
		}
		o.Payment = &reconcile.Payment{Attempts: attempts}
		return empty(o, len(attempts) == 0)
	case order.SystemInventory:
		o.Inventory = &reconcile.Inventory{Reservations: y.reservations()}
		return empty(o, order.Empty(y.promised))
	case order.SystemWarehouse:
		o.Warehouse = &reconcile.Warehouse{Shipments: slices.Clone(y.shipments), Returns: slices.Clone(y.returns)}
		return empty(o, len(y.shipments)+len(y.returns) == 0)
	case order.SystemERP:
		books := y.books
		o.ERP = &books
		return empty(o, len(books.Sales)+len(books.Receipts) == 0)
	case order.SystemCRM:
		o.CRM = &reconcile.CRM{}
		if y.deal != nil {
			o.CRM.Deals = []reconcile.Deal{*y.deal}
		}
		return empty(o, y.deal == nil)
	case order.SystemMail:
		o.Mail = &reconcile.Mail{Messages: slices.Clone(y.messages)}
		return empty(o, len(y.messages) == 0)
	}
	return o
}

func empty(o reconcile.Observation, is bool) reconcile.Observation {
	if is {
		return reconcile.Observation{System: o.System, State: reconcile.Absent, At: o.At, Strong: true}
	}
	return o
}

func (y *systems) reservations() []reconcile.Reservation {
	var all []reconcile.Reservation
	for _, q := range y.promised {
		if q.Quantity > 0 {
			all = append(all, reconcile.Reservation{ID: fmt.Sprint("r", q.Line), Line: q.Line, SKU: q.SKU, Quantity: q.Quantity})
		}
	}
	return all
}

// levels is what inventory says of its stock.
func (y *systems) levels(o order.Order, now time.Time) []reconcile.Level {
	var all []reconcile.Level
	for _, l := range o.Lines {
		mine := int64(0)
		for _, q := range y.promised {
			if q.SKU == l.SKU {
				mine += q.Quantity
			}
		}
		all = append(all, reconcile.Level{SKU: l.SKU, Stocked: y.level[l.SKU], Reserved: y.others[l.SKU] + mine, At: now})
	}
	return all
}

// result is what became of an operation.
type result struct {
	status OperationStatus
	code   string
}

var done = result{status: Done}

func refusedAs(code string) result { return result{status: Refused, code: code} }

// carryOut lets the system do it, and the order take in the answer.
func (w *walk) carryOut(op Operation) result {
	switch op.Operation {
	case order.Reserve, order.Release, order.Commit, order.Adjust:
		return w.stockDoes(op)
	case order.Authorize, order.Capture, order.Void, order.Refund:
		return w.gatewayDoes(op)
	case order.Request, order.Cancel, order.UpdateAddress, order.Return:
		return w.warehouseDoes(op)
	case order.Record, order.Invoice, order.Receipt, order.Credit:
		return w.booksDo(op)
	case order.Upsert:
		w.sys.deal = &reconcile.Deal{ID: "d1", Stage: reconcile.DealStage(op.About), Revenue: op.Amount}
		w.learn(w.sys.observe(order.SystemCRM, w.now))
	case order.Send:
		return w.mailDoes(op)
	default:
		w.fatal("%s was not expected", w.Key(op))
	}
	return done
}

func (w *walk) stockDoes(op Operation) result {
	var keep []order.Quantity
	switch op.Operation {
	case order.Reserve:
		keep = w.linesOf(op)
		switch { // as reserve does
		case op.Ended.IsZero():
		case op.Code == "":
			keep = w.Promised
		case w.Phase.PastPivot():
			keep = order.Common(w.Order, keep, order.Less(w.Order, w.wanted(), w.committed()))
		}
		if !w.available(keep) {
			return refusedAs(outOfStock)
		}
		if w.unlucky(30, "unknown sku") {
			return refusedAs("unknown_sku")
		}
	case order.Release:
		keep = op.Lines
	case order.Commit:
		lines := w.Departures[op.Of-1].Lines
		keep = order.Less(w.Order, w.Promised, lines)
		for _, q := range order.BySKU(lines) {
			w.sys.level[q.SKU] -= q.Quantity
		}
	default: // what came back is in the count again
		for _, q := range order.BySKU(w.Returns[op.Of-1].Lines) {
			w.sys.level[q.SKU] += q.Quantity
		}
		return done
	}
	w.sys.promised = slices.Clone(keep)
	w.Promised = keep
	w.learnReservations(w.now, w.sys.reservations())
	return done
}

// available says that inventory could promise so much to the order.
func (w *walk) available(lines []order.Quantity) bool {
	for _, q := range order.BySKU(lines) {
		if q.Quantity > w.sys.level[q.SKU]-w.sys.others[q.SKU] {
			return false
		}
	}
	return true
}

func (w *walk) gatewayDoes(op Operation) result {
	if op.Operation == order.Authorize {
		return w.authorizes(op)
	}
	a := w.sys.attempt(op.Ref)
	switch op.Operation {
	case order.Capture:
		if a.State != reconcile.AttemptAuthorized || a.Held < op.Amount || op.Amount == 0 && (!op.Final || a.Captured == 0) {
			return refusedAs("conflict")
		}
		a.Captured += op.Amount
		a.Held -= op.Amount
		if op.Final || !a.Multicapture || a.Held == 0 {
			a.Held, a.State = 0, reconcile.AttemptCaptured
		}
	case order.Void:
		if a.Captured == 0 && a.State != reconcile.AttemptProcessing {
			a.Held, a.State, a.Review, a.Challenge = 0, reconcile.AttemptVoided, false, false
		}
	case order.Refund:
		if a.Disputed > a.Lost || op.Amount > a.Captured-a.Refunded-a.Disputed || op.Amount <= 0 {
			return refusedAs("conflict")
		}
		r := reconcile.Refund{ID: w.sys.id("re_"), Key: w.Key(op), Amount: op.Amount, State: reconcile.RefundSucceeded}
		if w.unlucky(3, "pending") {
			r.State = reconcile.RefundPending
		}
		a.Refunds = append(a.Refunds, r)
		a.Refunded += op.Amount
		w.find(op.Operation, op.N).Record = r.ID
		w.learnRefund(w.now, a.ID, r)
		return done
	}
	w.learnAttempt(w.now, w.copyOf(a))
	return done
}

func (w *walk) copyOf(a *reconcile.Attempt) reconcile.Attempt {
	c := *a
	c.Refunds = slices.Clone(a.Refunds)
	return c
}

// authorizes makes an attempt, which goes well or not.
func (w *walk) authorizes(op Operation) result {
	luck := 0
	if !w.calm {
		luck = w.pick(10, "the attempt")
	}
	if luck == 9 && !op.OffSession {
		return refusedAs("no_method")
	}
	a := reconcile.Attempt{
		ID: w.sys.id("pi_"), Key: w.Key(op), State: reconcile.AttemptOpen, Amount: op.Amount, Currency: w.Order.Currency,
		Created: w.now, Multicapture: w.Order.Payment.Multicapture,
	}
	switch {
	case luck == 8, luck > 6 && op.OffSession:
		a.Failure = "card_declined"
	case luck == 7:
		a.Challenge = true
	case luck == 6 && !op.OffSession:
		a.State = reconcile.AttemptProcessing
	default:
		w.pays(&a)
		a.Review = luck == 5
	}
	w.sys.attempts = append(w.sys.attempts, a)
	w.say("the attempt %s is %s %s", a.ID, a.State, a.Failure)
	w.begun(w.now, op, a)
	return done
}

// pays is what an attempt is once its money came.
func (w *walk) pays(a *reconcile.Attempt) {
	a.Failure, a.Challenge = "", false
	if w.atOnce() {
		a.State, a.Captured = reconcile.AttemptCaptured, a.Amount
		return
	}
	a.State, a.Held = reconcile.AttemptAuthorized, a.Amount
	a.HeldUntil = w.now.Add([]time.Duration{30 * 24 * time.Hour, 7 * 24 * time.Hour, 36 * time.Hour}[w.pick(3, "held for")])
}

func (w *walk) warehouseDoes(op Operation) result {
	switch op.Operation {
	case order.Request:
		if w.unlucky(40, "unknown to the warehouse") {
			return refusedAs("unknown_sku")
		}
		sh := reconcile.Shipment{ID: w.sys.id("s"), Key: w.Key(op), State: reconcile.ShipmentRequested, Lines: w.linesOf(op)}
		w.sys.shipments = append(w.sys.shipments, sh)
		w.learnShipment(w.now, sh)
	case order.Return:
		r := reconcile.Return{ID: w.sys.id("in"), Key: w.Key(op), State: reconcile.ReturnExpected, Lines: op.Lines}
		w.sys.returns = append(w.sys.returns, r)
		w.find(op.Operation, op.N).Record = r.ID
		w.learnReturn(w.now, r)
	case order.Cancel:
		if answer := w.takesBack(op.Ref); answer != nil {
			w.learnShipment(w.now, *answer)
		}
	default:
		for _, sh := range w.sys.shipments {
			if sh.Key == op.Ref && sh.State.Live() && (sh.State == reconcile.ShipmentPacked || gone(sh.State)) {
				return refusedAs("conflict")
			}
		}
	}
	return done
}

// takesBack cancels every part of a request that is not packed, and answers with
// the part that could not be, or else the last.
func (w *walk) takesBack(key string) *reconcile.Shipment {
	var answer *reconcile.Shipment
	for i := range w.sys.shipments {
		sh := &w.sys.shipments[i]
		if sh.Key != key {
			continue
		}
		stands := sh.State == reconcile.ShipmentPacked || gone(sh.State)
		if !stands {
			sh.State = reconcile.ShipmentCancelled
		}
		if answer == nil || stands || answer.State == reconcile.ShipmentCancelled {
			answer = sh
		}
	}
	return answer
}

func (w *walk) booksDo(op Operation) result {
	key := w.Key(op)
	if op.Operation == order.Record {
		key = w.saleKey()
		op.Amount = w.Order.Total
	}
	document := reconcile.Document{ID: key, Key: key, State: reconcile.DocumentPosted, Total: op.Amount}
	w.find(op.Operation, op.N).Record = document.ID
	w.learnDocument(w.now, op.Operation, document)
	w.sys.books = *w.observed(order.SystemERP).ERP
	return done
}

func (w *walk) mailDoes(op Operation) result {
	m := reconcile.Message{MessageID: w.Key(op), Template: reconcile.Template(op.About), Occasion: op.Of, At: w.now}
	for _, sent := range w.sys.messages {
		if sent.Template == m.Template && sent.Occasion == m.Occasion {
			w.fatal("the mail %s %d is sent twice", m.Template, m.Occasion)
		}
	}
	w.sys.messages = append(w.sys.messages, m)
	w.find(op.Operation, op.N).Record = m.MessageID
	w.learnMessage(w.now, m)
	return done
}
