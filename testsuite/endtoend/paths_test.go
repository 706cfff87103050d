package endtoend

import (
	"fmt"
	"strings"
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/world"
	"github.com/trueup-orders/trueup/workflows"
)

// The ways that an order's life can take, each on the real engine, its end read
// from the systems' own records. With -record each leaves its history in
// testsuite/histories, where docs/histories is made from.
func TestPath(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{
		policy: "pay_window: 15s\nanswer_within: 15s\nreturn_window: 4s",
		world:  world.Options{Stock: map[string]int{"MUG": 100_000, "TSHIRT": 100_000, "SOCK": 1000, "RARE": 2, "SCARCE": 2}},
	})
	for _, path := range []struct {
		name string
		walk func(b *bundle, o order.Order)
	}{
		{"asynchronous", asynchronous}, {"second-attempt", secondAttempt}, {"paid-twice", paidTwice}, {"paid-late", paidLate},
		{"not-all-available", notAllAvailable}, {"not-answered", notAnswered}, {"two-parcels", twoParcels},
		{"authorized-anew", authorizedAnew}, {"not-paid-again", notPaidAgain}, {"review-declined", reviewDeclined},
		{"review-approved", reviewApproved}, {"dispute-lost", disputeLost}, {"dispute-shipped", disputeShipped},
		{"refund-failed", refundFailed}, {"returned", returned}, {"lost-in-transit", lostInTransit},
		{"address-changed", addressChanged}, {"address-refused", addressRefused}, {"dropped-line", droppedLine},
		{"closed-and-charged-back", closedAndChargedBack},
	} {
		t.Run(path.name, func(t *testing.T) {
			t.Parallel()
			own := &bundle{b.stage, t}
			o := anOrder(path.name)
			path.walk(own, o)
			own.keep(path.name, o.ID)
		})
	}
}

var customer = workflows.Asked{By: "the customer", Reason: "as they wrote"}

func aPerson(why string) workflows.Asked { return workflows.Asked{By: "the desk", Reason: why} }

// becomes waits until an order is in a phase, whatever the systems say.
func (b *bundle) becomes(id order.ID, phase order.Phase) {
	b.t.Helper()
	b.until(fmt.Sprintf("order %s %s", id, phase), patience, func() bool { return b.verdict(id).Phase == phase })
}

// settles waits until nothing is under way: what the systems change in the moment
// in which an operation of ours ends is told from its echo only by a run.
func (b *bundle) settles(id order.ID) {
	b.t.Helper()
	b.until("order "+string(id)+" at rest", patience, func() bool { return len(b.verdict(id).Settle) == 0 })
}

// asks waits until an order has an open case, and returns it.
func (b *bundle) asks(id order.ID) reconcile.Case {
	b.t.Helper()
	var open []reconcile.Case
	b.until("a case of "+string(id), patience, func() bool {
		open = b.verdict(id).Cases
		return len(open) > 0
	})
	return open[0]
}

// decide has a person decide a case, who looks again when what it rests on has
// changed meanwhile.
func (b *bundle) decide(id order.ID, k reconcile.Case, as workflows.Decision) {
	b.t.Helper()
	for range 5 {
		r, err := b.orders.Decide(b.t.Context(), id, workflows.Decide{Asked: aPerson("looked at it"), Case: k.N, As: as})
		switch {
		case err != nil:
			b.t.Fatalf("decide case %d of %s: %v", k.N, id, err)
		case r.Refused == "":
			return
		case r.Evidence == "":
			b.t.Fatalf("decide case %d of %s: %s", k.N, id, r.Refused)
		}
	}
	b.t.Fatalf("decide case %d of %s: the evidence has changed each time", k.N, id)
}

// shows waits until the systems' own records of an order are as they should be.
func (b *bundle) shows(what string, o order.Order, ok func(r records) bool) {
	b.t.Helper()
	b.until(what, patience, func() bool { return ok(readRecords(b.t, b.world, o)) })
}

// ends fails the test where the systems do not hold what they should of an order
// of which only some pieces were sent: those are what was invoiced.
func (b *bundle) ends(o order.Order, sent []order.Quantity, want ending) {
	b.t.Helper()
	r := readRecords(b.t, b.world, o)
	problems := r.laws()
	r.order.Total = order.ValueOf(o, sent)
	for _, problem := range append(problems, r.differs(want)...) {
		b.t.Errorf("order %s: %s", o.ID, problem)
	}
}

// piece is n pieces of a line.
func piece(o order.Order, line int, n int64) []order.Quantity {
	return []order.Quantity{{Line: line, SKU: o.Lines[line-1].SKU, Quantity: n}}
}

// parcels has the warehouse put the second line into a parcel of its own, and
// returns the two.
func (b *bundle) parcels(o order.Order) (first, second string) {
	b.t.Helper()
	b.edit(order.SystemWarehouse, warehouse.Edit{Order: o.ID, Split: &warehouse.SplitEdit{Lines: piece(o, 2, 1)}})
	held, err := b.world.Warehouse.Holds(o.ID)
	if err != nil || len(held.Shipments) != 2 {
		b.t.Fatalf("the warehouse made %+v of it, %v; want two shipments", held.Shipments, err)
	}
	return fmt.Sprint(held.Shipments[0].ID), fmt.Sprint(held.Shipments[1].ID)
}

// leaves lets one parcel leave.
func (b *bundle) leaves(shipment string) {
	b.t.Helper()
	if err := b.world.Warehouse.Work(shipment, "shipped"); err != nil {
		b.t.Fatal(err)
	}
}

// ship brings an order to where it has left and everything agrees.
func (b *bundle) ship(o order.Order) {
	b.t.Helper()
	b.accept(o)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
}

func asynchronous(b *bundle, o order.Order) {
	o.Payment.Method = "pm_async"
	b.submit(o)
	if shipments := readRecords(b.t, b.world, o).warehouse.Shipments; len(shipments) != 0 {
		b.t.Errorf("goods were requested before the bank answered: %+v", shipments)
	}
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "pay": payment.Succeeded})
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.check(o, endAccepted(o))
}

func secondAttempt(b *bundle, o order.Order) {
	o.Payment.Method = "pm_card_chargeDeclined"
	b.submit(o)
	reply, err := b.orders.Attempt(b.t.Context(), o.ID, workflows.Attempt{Asked: customer, Payment: order.Payment{Method: "pm_card_visa"}})
	if err != nil || reply.Declined != "" || reply.Refused != "" {
		b.t.Fatalf("a second attempt: %+v, %v; want it through", reply, err)
	}
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.shows("the first attempt is closed", o, func(r records) bool { return r.payment.Totals.Open == 1 })
	b.check(o, endAccepted(o))
	if n := len(readRecords(b.t, b.world, o).payment.PaymentIntents); n != 2 {
		b.t.Errorf("%d attempts; want two", n)
	}
}

func paidTwice(b *bundle, o order.Order) {
	o.Payment = order.Payment{Method: "pm_async", Capture: order.CaptureAtOnce}
	b.submit(o)
	if _, err := b.orders.Attempt(b.t.Context(), o.ID, workflows.Attempt{Asked: customer, Payment: order.Payment{Method: "pm_card_visa"}}); err != nil {
		b.t.Fatal(err)
	}
	b.becomes(o.ID, order.PhaseAccepted)
	b.settles(o.ID)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "attempt": 1, "pay": payment.Succeeded})
	b.shows("what was taken twice is given back", o, func(r records) bool { return r.payment.Totals.Refunded == o.Total })
	b.reaches(o.ID, order.PhaseAccepted, patience)
	r := readRecords(b.t, b.world, o)
	if totals := r.payment.Totals; totals.Captured != 2*o.Total || totals.Refunds != 1 || totals.Refunded != o.Total || totals.Open != 0 {
		b.t.Errorf("the gateway says %+v; want the total taken twice and given back once", totals)
	}
	if n, balance := posted(r.erp.Receipts), r.erp.Balance; n != 3 || balance != -o.Total {
		b.t.Errorf("%d receipts, and the customer owes %d; want two captures and one refund, and %d", n, balance, -o.Total)
	}
	if len(r.mail) != 2 { // to the customer and to the journal
		b.t.Errorf("mails %+v; want the confirmation alone", r.mail)
	}
}

func paidLate(b *bundle, o order.Order) {
	o.Payment.Method = "pm_card_threeDSecure2Required"
	b.submit(o)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "pay": payment.Declined})
	b.reaches(o.ID, order.PhaseFailed, patience)
	b.closes(o.ID)
	b.check(o, ending{})
	if _, err := b.world.Payment.Start(o.ID, payment.Checkout{Amount: o.Total, Currency: "EUR", Method: "pm_card_visa", Channel: "shop"}); err != nil {
		b.t.Fatal(err)
	}
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.check(o, endAccepted(o))
}

// short is an order of which one piece is not there.
func (b *bundle) short(o order.Order, sku string) (whole order.Order, there []order.Quantity) {
	b.t.Helper()
	o.Lines = []order.Line{{SKU: "MUG", Quantity: 2, UnitPrice: 2500}, {SKU: sku, Quantity: 3, UnitPrice: 1500}}
	o.Total = 10_000
	b.t.Cleanup(func() { b.tell(o.ID) })
	answer, err := b.orders.Submit(b.t.Context(), o)
	if err != nil || answer.Question == nil || answer.Question.Kind != workflows.AskAboutStock {
		b.t.Fatalf("submitted: %+v, %v; want a question about the stock", answer, err)
	}
	return o, append(piece(o, 1, 2), piece(o, 2, 2)...)
}

func notAllAvailable(b *bundle, o order.Order) {
	o, there := b.short(o, "RARE")
	b.shows("the customer is asked", o, func(r records) bool { return len(r.mail) > 0 })
	if _, err := b.orders.Answer(b.t.Context(), o.ID, workflows.Answer{Asked: customer, Choice: workflows.ChooseAmend}); err != nil {
		b.t.Fatal(err)
	}
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.shows("no more than what is there is held", o, func(r records) bool { return len(r.mail) == 4 })
	r := readRecords(b.t, b.world, o)
	if held := r.payment.Totals.Held; held < order.ValueOf(o, there) {
		b.t.Errorf("the gateway holds %d; want %d at least", held, order.ValueOf(o, there))
	}
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.endsShort(o, there)
}

func (b *bundle) endsShort(o order.Order, there []order.Quantity) {
	b.t.Helper()
	end := endShipped(o)
	end.captured, end.mails = order.ValueOf(o, there), []string{"confirmation", "question", "shipped"}
	b.ends(o, there, end)
}

func notAnswered(b *bundle, o order.Order) {
	o, there := b.short(o, "SCARCE")
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.endsShort(o, there)
}

func endTwoParcels(o order.Order) ending {
	end := endShipped(o)
	end.shipments, end.invoices, end.receipts = []string{"done", "done"}, 2, 2
	end.mails = []string{"confirmation", "shipped", "shipped"}
	return end
}

func twoParcels(b *bundle, o order.Order) {
	o.Payment.Multicapture = true
	b.accept(o)
	first, second := b.parcels(o)
	b.leaves(first)
	share := order.ValueOf(o, piece(o, 1, 2))
	b.shows("the first parcel is captured and invoiced", o, func(r records) bool {
		return r.payment.Totals.Captured == share && posted(r.erp.Invoices) == 1 && posted(r.erp.Receipts) == 1
	})
	b.leaves(second)
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endTwoParcels(o))
	if n := len(readRecords(b.t, b.world, o).payment.PaymentIntents); n != 1 {
		b.t.Errorf("%d attempts; want one that was captured twice", n)
	}
}

func authorizedAnew(b *bundle, o order.Order) {
	o.Payment.Reusable = true
	b.accept(o)
	first, second := b.parcels(o)
	b.leaves(first)
	share := order.ValueOf(o, piece(o, 1, 2))
	b.shows("the rest is authorized anew", o, func(r records) bool {
		return r.payment.Totals.Captured == share && r.payment.Totals.Held == o.Total-share
	})
	b.leaves(second)
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endTwoParcels(o))
	if n := len(readRecords(b.t, b.world, o).payment.PaymentIntents); n != 2 {
		b.t.Errorf("%d attempts; want two", n)
	}
}

func notPaidAgain(b *bundle, o order.Order) {
	b.accept(o)
	first, _ := b.parcels(o)
	b.leaves(first)
	b.shows("the rest is taken back, and the customer asked", o, func(r records) bool {
		return r.warehouse.Shipments[1].State == "cancelled" && !r.first(order.SystemMail, order.Send).IsZero()
	})
	b.reaches(o.ID, order.PhaseShipped, patience)
	end := endShipped(o)
	end.captured, end.mails = order.ValueOf(o, piece(o, 1, 2)), []string{"confirmation", "question", "shipped"}
	b.ends(o, piece(o, 1, 2), end)
}

func (b *bundle) review(o order.Order) {
	b.t.Helper()
	b.submit(o)
	if asked := readRecords(b.t, b.world, o).warehouse.Shipments; len(asked) != 0 {
		b.t.Errorf("goods were requested under review: %+v", asked)
	}
}

func reviewDeclined(b *bundle, o order.Order) {
	o.Payment.Method = "pm_card_riskLevelElevated"
	b.review(o)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "review": "declined"})
	b.reaches(o.ID, order.PhaseFailed, patience)
	b.check(o, ending{mails: []string{"cancellation"}})
	b.noneOpen(o.ID)
}

func reviewApproved(b *bundle, o order.Order) {
	o.Payment.Method = "pm_card_riskLevelElevated"
	b.review(o)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "review": "approved"})
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.check(o, endAccepted(o))
}

// chargedBack fails the test where a lost dispute is not in the books once, or
// money went out beside it.
func (b *bundle) chargedBack(o order.Order) {
	b.t.Helper()
	r := readRecords(b.t, b.world, o)
	if totals := r.payment.Totals; totals.Refunds != 0 || totals.Disputed != o.Total {
		b.t.Errorf("the gateway says %+v; want all of it lost, and no refund", totals)
	}
	if credits, receipts := posted(r.erp.Credits), posted(r.erp.Receipts); credits != 1 || receipts != 2 || r.erp.Balance != 0 {
		b.t.Errorf("%d credit notes, %d receipts, the customer owes %d; want one, two and nothing", credits, receipts, r.erp.Balance)
	}
	if deals := r.crm.Deals; len(deals) != 1 || deals[0].Revenue != 0 {
		b.t.Errorf("deals %+v; want one without revenue", deals)
	}
}

func disputeLost(b *bundle, o order.Order) {
	b.ship(o)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "opened"})
	if k := b.asks(o.ID); k.Step.Break.Field != reconcile.PaymentDisputed {
		b.t.Errorf("the case is about %s; want the dispute", k.Step.Break.Field)
	}
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "lost"})
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.chargedBack(o)
}

func disputeShipped(b *bundle, o order.Order) {
	o.Payment.Capture = order.CaptureAtOnce
	b.accept(o)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "opened"})
	k := b.asks(o.ID)
	b.shows("the request is taken back", o, func(r records) bool { return r.warehouse.Shipments[0].State == "cancelled" })
	b.decide(o.ID, k, workflows.DecideShip)
	b.shows("it is requested again", o, func(r records) bool {
		return len(r.warehouse.Shipments) == 2 && r.warehouse.Shipments[1].State == "waiting"
	})
	b.reaches(o.ID, order.PhaseAccepted, patience)
	if err := b.world.Warehouse.Work(order.Intent{Order: o.ID, Operation: order.Request, N: 2}.Key(), "shipped"); err != nil {
		b.t.Fatal(err)
	}
	b.becomes(o.ID, order.PhaseShipped)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "won"})
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
}

func refundFailed(b *bundle, o order.Order) {
	o.Payment.Method = "pm_card_pendingRefund"
	b.ship(o)
	reply, err := b.orders.Refund(b.t.Context(), o.ID, workflows.Refund{Asked: aPerson("a scratch"), Amount: 1000})
	if err != nil || reply.Pending == "" {
		b.t.Fatalf("refund: %+v, %v; want it accepted and not final", reply, err)
	}
	b.settles(o.ID)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "refund": "failed"})
	b.decide(o.ID, b.asks(o.ID), workflows.DecideRepair)
	b.shows("it is refunded again", o, func(r records) bool { return len(r.payment.Refunds) == 2 })
	b.settles(o.ID)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "refund": payment.Succeeded})
	b.shows("it is credited", o, func(r records) bool { return posted(r.erp.Credits) == 1 })
	b.reaches(o.ID, order.PhaseShipped, patience)
	r := readRecords(b.t, b.world, o)
	if totals := r.payment.Totals; totals.Refunded != 1000 || totals.Refunds != 1 {
		b.t.Errorf("the gateway says %+v; want 10.00 given back once", totals)
	}
	if credits, receipts := posted(r.erp.Credits), posted(r.erp.Receipts); credits != 1 || receipts != 2 || r.erp.Balance != 0 {
		b.t.Errorf("%d credit notes, %d receipts, the customer owes %d; want one, two and nothing", credits, receipts, r.erp.Balance)
	}
	b.lawful(o)
}

func returned(b *bundle, o order.Order) {
	o.Lines[1].SKU = "SOCK"
	b.ship(o)
	back := piece(o, 2, 1)
	if _, err := b.orders.Return(b.t.Context(), o.ID, workflows.Return{Asked: customer, Lines: back}); err != nil {
		b.t.Fatal(err)
	}
	key := order.Intent{Order: o.ID, Operation: order.Return, N: 1}.Key()
	for _, state := range []string{"received", "restocked"} {
		if err := b.world.Warehouse.Work(key, state); err != nil {
			b.t.Fatal(err)
		}
		share := o.Total - order.ValueOf(o, piece(o, 1, 2))
		b.shows("the money is back", o, func(r records) bool {
			return r.payment.Totals.Refunded == share && posted(r.erp.Credits) == 1 && len(r.mail) == 6
		})
	}
	b.until("it is counted", patience, func() bool {
		held, err := b.world.Inventory.Records("")
		for _, l := range held.Levels {
			if l.SKU == "SOCK" && l.Stocked == 1000 {
				return true
			}
		}
		return err != nil
	})
	b.stock("SOCK")
	v := b.reaches(o.ID, order.PhaseShipped, patience)
	if v.Outcome != reconcile.Succeeded {
		b.t.Errorf("outcome is %s; want succeeded", v.Outcome)
	}
	r := readRecords(b.t, b.world, o)
	if r.payment.Totals.Refunds != 1 || r.erp.Balance != 0 || posted(r.erp.Receipts) != 2 {
		b.t.Errorf("%d refunds, %d receipts, the customer owes %d; want one, two and nothing", r.payment.Totals.Refunds, posted(r.erp.Receipts), r.erp.Balance)
	}
	b.lawful(o)
}

func lostInTransit(b *bundle, o order.Order) {
	b.ship(o)
	b.edit(order.SystemWarehouse, warehouse.Edit{Order: o.ID, Lost: true})
	k := b.asks(o.ID)
	b.decide(o.ID, k, workflows.DecideShip)
	again := order.Intent{Order: o.ID, Operation: order.Request, N: 2}.Key()
	b.shows("it is requested once more", o, func(r records) bool {
		return len(r.warehouse.Shipments) == 2 && r.warehouse.Shipments[1].Key == again && r.warehouse.Shipments[1].State == "waiting"
	})
	b.settles(o.ID)
	if err := b.world.Warehouse.Work(again, "shipped"); err != nil {
		b.t.Fatal(err)
	}
	b.reaches(o.ID, order.PhaseShipped, patience)
	r := readRecords(b.t, b.world, o)
	if totals := r.payment.Totals; totals.Captured != o.Total || totals.Refunded != 0 {
		b.t.Errorf("the gateway says %+v; want the total taken once", totals)
	}
	if n := posted(r.erp.Invoices); n != 1 || len(r.inventory.Reservations) != 0 || r.erp.Balance != 0 {
		b.t.Errorf("%d invoices, %d reservations, the customer owes %d; want one, none and nothing", n, len(r.inventory.Reservations), r.erp.Balance)
	}
}

var elsewhere = order.Address{Name: "Ada Lovelace", Street: "7 Rue Neuve", City: "Lyon", PostalCode: "69001", Country: "FR"}

func addressChanged(b *bundle, o order.Order) {
	b.accept(o)
	reply, err := b.orders.Amend(b.t.Context(), o.ID, workflows.Amend{Asked: customer, ShipTo: &elsewhere})
	if err != nil || reply.Refused != "" {
		b.t.Fatalf("amend: %+v, %v; want it done", reply, err)
	}
	b.shows("the books have it too", o, func(r records) bool { return strings.Contains(r.erp.Sales[0].ShipTo.Address, elsewhere.Street) })
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.check(o, endAccepted(o))
	if street := readRecords(b.t, b.world, o).warehouse.Shipments[0].Street; street != elsewhere.Street {
		b.t.Errorf("the warehouse sends it to %q; want %q", street, elsewhere.Street)
	}
}

func addressRefused(b *bundle, o order.Order) {
	b.accept(o)
	b.work(o.ID, "packed")
	reply, err := b.orders.Amend(b.t.Context(), o.ID, workflows.Amend{Asked: customer, ShipTo: &elsewhere})
	if err != nil || reply.Refused == "" {
		b.t.Fatalf("amend: %+v, %v; want it refused, and why", reply, err)
	}
	b.decide(o.ID, b.asks(o.ID), workflows.DecideAccept)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
	if street := readRecords(b.t, b.world, o).warehouse.Shipments[0].Street; street != o.ShipTo.Street {
		b.t.Errorf("the warehouse sent it to %q; want %q", street, o.ShipTo.Street)
	}
}

func droppedLine(b *bundle, o order.Order) {
	b.accept(o)
	reply, err := b.orders.Amend(b.t.Context(), o.ID, workflows.Amend{Asked: customer, Drop: piece(o, 2, 1)})
	if err != nil || reply.Refused != "" {
		b.t.Fatalf("amend: %+v, %v; want it done", reply, err)
	}
	again := order.Intent{Order: o.ID, Operation: order.Request, N: 2}.Key()
	b.shows("it is requested anew", o, func(r records) bool {
		return len(r.warehouse.Shipments) == 2 && r.warehouse.Shipments[0].State == "cancelled" && r.warehouse.Shipments[1].State == "waiting"
	})
	b.reaches(o.ID, order.PhaseAccepted, patience)
	if err := b.world.Warehouse.Work(again, "shipped"); err != nil {
		b.t.Fatal(err)
	}
	b.reaches(o.ID, order.PhaseShipped, patience)
	end := endShipped(o)
	end.captured = order.ValueOf(o, piece(o, 1, 2))
	b.ends(o, piece(o, 1, 2), end)
}

func closedAndChargedBack(b *bundle, o order.Order) {
	b.accept(o)
	b.work(o.ID, "delivered")
	b.closes(o.ID)
	b.check(o, endShipped(o))
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "opened"})
	if k := b.asks(o.ID); k.Step.Break.Field != reconcile.PaymentDisputed {
		b.t.Errorf("the case is about %s; want the dispute", k.Step.Break.Field)
	}
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "lost"})
	b.reaches(o.ID, order.PhaseClosed, patience)
	b.chargedBack(o)
	b.closes(o.ID)
}
