package endtoend

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/world"
	"github.com/trueup-orders/trueup/workflows"
)

// More ways that an order's life can take: what comes late, what was there before
// its order, what two people want at once. See TestPath.
func TestPath_LateAndAtOnce(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{
		policy: "answer_within: 15s\nreturn_window: 4s",
		world: world.Options{
			Stock: map[string]int{"MUG": 100_000, "TSHIRT": 100_000, "LAST": 1},
			Carts: []crm.Cart{{Cart: "cart-of-cart-closed", Email: "cart-closed@example.com"}},
		},
	})
	for _, path := range []struct {
		name string
		walk func(b *bundle, o order.Order)
	}{
		{"another-tab", anotherTab}, {"stored-error", storedError}, {"somebody-elses-answer", somebodyElsesAnswer}, {"last-unit", lastUnit},
		{"given-up-by-the-warehouse", givenUpByTheWarehouse}, {"committed-late", committedLate}, {"cart-closed", cartClosed},
		{"before-its-order", beforeItsOrder}, {"adopted", adopted}, {"cancelled-while-paying", cancelledWhilePaying},
		{"return-and-dispute", returnAndDispute}, {"two-operators", twoOperators},
		{"lost-and-refunded", lostAndRefunded}, {"not-restocked", notRestocked}, {"drop-refused", dropRefused}, {"edited-by-hand", editedByHand},
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

func anotherTab(b *bundle, o order.Order) {
	o.Payment.Method = "pm_card_threeDSecure2Required"
	b.submit(o)
	reply, err := b.orders.Attempt(b.t.Context(), o.ID, workflows.Attempt{Asked: customer, Payment: order.Payment{Method: "pm_card_visa"}})
	if err != nil || reply.Declined != "" || reply.Refused != "" {
		b.t.Fatalf("an attempt in another tab: %+v, %v; want it through", reply, err)
	}
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.shows("the old one is closed", o, func(r records) bool { return r.payment.Totals.Open == 1 })
	old := readRecords(b.t, b.world, o).attempts(b.t)[0]
	if err := b.world.Payment.Pay(old.ID, payment.Succeeded); err == nil {
		b.t.Errorf("the old tab, which is %s, still takes money", old.Status)
	}
	b.check(o, endAccepted(o))
}

func storedError(b *bundle, o order.Order) {
	b.fault(order.SystemPayment, order.Capture, simulator.ReplaysError, o.ID, 1)
	b.ship(o)
	b.check(o, endShipped(o))
	b.suffered(o.ID)
	if n := effectsOf(b.t, b.world, order.SystemPayment, o.ID, order.Capture); n != 1 {
		b.t.Errorf("captured %d times; want once", n)
	}
}

func somebodyElsesAnswer(b *bundle, o order.Order) {
	b.fault(order.SystemPayment, order.Capture, simulator.Foreign, o.ID, 1)
	b.ship(o)
	b.check(o, endShipped(o))
	b.suffered(o.ID)
}

// lastUnit keeps the history of the order that came too late.
func lastUnit(b *bundle, o order.Order) {
	first := anOrder("first-" + string(o.ID))
	for _, wants := range []*order.Order{&first, &o} {
		wants.Lines = []order.Line{{SKU: "MUG", Quantity: 1, UnitPrice: 2500}, {SKU: "LAST", Quantity: 1, UnitPrice: 1500}}
		wants.Total = 4500
	}
	b.accept(first)
	b.t.Cleanup(func() { b.tell(o.ID) })
	answer, err := b.orders.Submit(b.t.Context(), o)
	if err != nil || answer.Question == nil || answer.Question.Kind != workflows.AskAboutStock {
		b.t.Fatalf("submitted: %+v, %v; want a question about the stock", answer, err)
	}
	b.shows("the customer is asked", o, func(r records) bool { return len(r.mail) > 0 })
	if _, err := b.orders.Answer(b.t.Context(), o.ID, workflows.Answer{Asked: customer, Choice: workflows.ChooseCancel}); err != nil {
		b.t.Fatal(err)
	}
	b.reaches(o.ID, order.PhaseCancelled, patience)
	r := readRecords(b.t, b.world, o)
	if totals := r.payment.Totals; totals.Held+totals.Captured != 0 || len(r.inventory.Reservations) != 0 || len(r.warehouse.Shipments) != 0 {
		b.t.Errorf("something is held of the order that came too late: %+v", r)
	}
	b.work(first.ID, "shipped")
	b.reaches(first.ID, order.PhaseShipped, patience)
	b.check(first, endShipped(first))
}

func givenUpByTheWarehouse(b *bundle, o order.Order) {
	b.accept(o)
	b.edit(order.SystemWarehouse, warehouse.Edit{Order: o.ID, Cancel: true})
	k := b.asks(o.ID)
	if k.Step.Break.Field != reconcile.WarehouseShipment {
		b.t.Errorf("the case is about %s; want the shipment", k.Step.Break.Field)
	}
	if n := len(readRecords(b.t, b.world, o).warehouse.Shipments); n != 1 {
		b.t.Errorf("%d shipments before anybody decided; want the one that was given up", n)
	}
	b.decide(o.ID, k, workflows.DecideRepair)
	again := order.Intent{Order: o.ID, Operation: order.Request, N: 2}.Key()
	b.shows("it is requested anew", o, func(r records) bool {
		return slices.ContainsFunc(r.warehouse.Shipments, func(s warehouse.Shipment) bool { return s.Key == again && s.State == "waiting" })
	})
	b.reaches(o.ID, order.PhaseAccepted, patience)
	if err := b.world.Warehouse.Work(again, "shipped"); err != nil {
		b.t.Fatal(err)
	}
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
}

func committedLate(b *bundle, o order.Order) {
	for _, operation := range []order.Operation{order.Record, order.Invoice} {
		f := simulator.Fault{Operation: operation, Kind: simulator.Late, Order: o.ID, Delay: 2 * time.Second}
		if _, err := b.world.Frame(order.SystemERP).Inject(f); err != nil {
			b.t.Fatal(err)
		}
	}
	b.submit(o)
	b.becomes(o.ID, order.PhaseAccepted)
	b.shows("it is requested", o, func(r records) bool {
		return len(r.warehouse.Shipments) == 1 && r.warehouse.Shipments[0].State == "waiting"
	})
	b.work(o.ID, "shipped")
	b.becomes(o.ID, order.PhaseShipped)
	b.until("a run has removed what landed beside it", patience, func() bool {
		settle()
		b.run(workflows.ReconcileInput{Orders: []order.ID{o.ID}})
		return b.verdict(o.ID).Agreement == reconcile.Agreed && b.fired(order.SystemERP) == 2
	})
	b.check(o, endShipped(o))
	b.suffered(o.ID)
}

func cartClosed(b *bundle, o order.Order) {
	o.CartID = "cart-of-cart-closed"
	b.accept(o)
	b.shows("the cart is closed", o, func(r records) bool { return len(r.crm.Carts) == 0 })
	b.check(o, endAccepted(o))
}

func beforeItsOrder(b *bundle, o order.Order) {
	o.Payment = order.Payment{Capture: order.CaptureAtOnce}
	intent, err := b.world.Payment.Start(o.ID, payment.Checkout{Amount: o.Total, Currency: "EUR", Method: "pm_card_visa", Capture: order.CaptureAtOnce, Channel: "shop"})
	if err != nil {
		b.t.Fatal(err)
	}
	inbox := workflows.InboxWorkflowID(order.SystemPayment, intent)
	b.until("the webhook waits in "+inbox, patience, func() bool {
		_, err := b.client.DescribeWorkflowExecution(b.t.Context(), inbox, "")
		return err == nil
	})
	o.Payment.Intent = intent
	b.accept(o)
	end := endAccepted(o)
	end.held, end.captured, end.receipts = 0, o.Total, 1
	b.check(o, end)
	if n := len(readRecords(b.t, b.world, o).payment.PaymentIntents); n != 1 {
		b.t.Errorf("%d attempts; want the one of the checkout", n)
	}
}

// adopted is an order of a year ago that our memory does not reach, and that was
// paid: it is looked up, and taken over as it stands.
func adopted(b *bundle, o order.Order) {
	o.Payment.Capture = order.CaptureAtOnce
	if _, err := b.world.Payment.Start(o.ID, payment.Checkout{Amount: o.Total, Currency: "EUR", Method: "pm_card_visa", Capture: order.CaptureAtOnce, Channel: "shop"}); err != nil {
		b.t.Fatal(err)
	}
	o.PlacedAt = o.PlacedAt.AddDate(-1, 0, 0)
	b.accept(o)
	r := readRecords(b.t, b.world, o)
	if totals := r.payment.Totals; totals.Captured != o.Total || len(r.payment.PaymentIntents) != 1 {
		b.t.Errorf("the gateway says %+v of %d attempts; want the one of a year ago", totals, len(r.payment.PaymentIntents))
	}
	if n := effectsOf(b.t, b.world, order.SystemPayment, o.ID, order.Capture); n > 1 {
		b.t.Errorf("captured %d times; want once", n)
	}
	b.lawful(o)
}

func cancelledWhilePaying(b *bundle, o order.Order) {
	o.Payment.Capture = order.CaptureAtOnce
	b.fault(order.SystemPayment, order.Authorize, simulator.ResponseLost, o.ID, 1)
	submitted := make(chan error, 1)
	go func() {
		_, err := b.orders.Submit(b.t.Context(), o)
		submitted <- err
	}()
	b.t.Cleanup(func() { b.tell(o.ID) })
	b.shows("the money was taken", o, func(r records) bool { return r.payment.Totals.Captured == o.Total })
	if _, err := b.orders.Cancel(b.t.Context(), o.ID, workflows.Cancel{By: "the customer", Reason: "changed their mind"}); err != nil {
		b.t.Fatal(err)
	}
	if err := <-submitted; err != nil {
		b.t.Errorf("the submission: %v", err)
	}
	b.reaches(o.ID, order.PhaseCancelled, patience)
	r := readRecords(b.t, b.world, o)
	if totals := r.payment.Totals; totals.Captured != totals.Refunded || totals.Refunds != 1 || totals.Held != 0 || len(r.inventory.Reservations) != 0 {
		b.t.Errorf("the gateway says %+v, with %d reservations; want all of it back, once", totals, len(r.inventory.Reservations))
	}
	b.lawful(o)
	b.suffered(o.ID)
}

func returnAndDispute(b *bundle, o order.Order) {
	b.ship(o)
	if _, err := b.orders.Return(b.t.Context(), o.ID, workflows.Return{Asked: customer, Lines: piece(o, 2, 1)}); err != nil {
		b.t.Fatal(err)
	}
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "opened"})
	k := b.asks(o.ID)
	if err := b.world.Warehouse.Work(order.Intent{Order: o.ID, Operation: order.Return, N: 1}.Key(), "received"); err != nil {
		b.t.Fatal(err)
	}
	b.shows("the goods are there", o, func(r records) bool {
		return len(r.warehouse.Returns) == 1 && r.warehouse.Returns[0].State == "received"
	})
	if refunded := readRecords(b.t, b.world, o).payment.Totals.Refunded; refunded != 0 || k.Step.Break.Field != reconcile.PaymentDisputed {
		b.t.Errorf("%d went back while the money is in dispute, with a case about %s; want nothing, and the dispute", refunded, k.Step.Break.Field)
	}
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "won"})
	share := o.Total - order.ValueOf(o, piece(o, 1, 2))
	b.shows("the share of what came back", o, func(r records) bool {
		return r.payment.Totals.Refunded == share && posted(r.erp.Credits) == 1 && len(r.mail) == 6
	})
	b.reaches(o.ID, order.PhaseShipped, patience)
	if totals := readRecords(b.t, b.world, o).payment.Totals; totals.Refunds != 1 {
		b.t.Errorf("given back %d times; want once", totals.Refunds)
	}
	b.lawful(o)
}

func twoOperators(b *bundle, o order.Order) {
	o.Payment.Capture = order.CaptureAtOnce
	b.accept(o)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "opened"})
	k := b.asks(o.ID)
	b.shows("the request is taken back", o, func(r records) bool { return r.warehouse.Shipments[0].State == "cancelled" })
	b.decide(o.ID, k, workflows.DecideShip)
	_, err := b.orders.Decide(b.t.Context(), o.ID, workflows.Decide{
		Asked: workflows.Asked{By: "another desk", Reason: "too late"}, Case: k.N, As: workflows.DecideRelease,
	})
	if err == nil {
		b.t.Error("the second decision of one case was taken; want it refused, and why")
	}
	again := order.Intent{Order: o.ID, Operation: order.Request, N: 2}.Key()
	b.shows("it is requested again", o, func(r records) bool {
		return len(r.warehouse.Shipments) == 2 && r.warehouse.Shipments[1].Key == again && r.warehouse.Shipments[1].State == "waiting"
	})
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "won"})
	b.reaches(o.ID, order.PhaseAccepted, patience)
	if err := b.world.Warehouse.Work(again, "shipped"); err != nil {
		b.t.Fatal(err)
	}
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
}

func lostAndRefunded(b *bundle, o order.Order) {
	b.ship(o)
	b.edit(order.SystemWarehouse, warehouse.Edit{Order: o.ID, Lost: true})
	b.decide(o.ID, b.asks(o.ID), workflows.DecideRefund)
	b.shows("all of it is back", o, func(r records) bool { return r.payment.Totals.Refunded == o.Total && posted(r.erp.Credits) == 1 })
	b.reaches(o.ID, order.PhaseDelivered, patience)
	r := readRecords(b.t, b.world, o)
	if totals := r.payment.Totals; totals.Refunds != 1 || len(r.warehouse.Shipments) != 1 || r.erp.Balance != 0 {
		b.t.Errorf("given back %d times, %d shipments, the customer owes %d; want once, one and nothing", totals.Refunds, len(r.warehouse.Shipments), r.erp.Balance)
	}
	b.lawful(o)
}

// notRestocked: goods that came back and are not put into storage again are paid
// back all the same, and raise no level.
func notRestocked(b *bundle, o order.Order) {
	b.ship(o)
	if _, err := b.orders.Return(b.t.Context(), o.ID, workflows.Return{Asked: customer, Lines: piece(o, 2, 1)}); err != nil {
		b.t.Fatal(err)
	}
	if err := b.world.Warehouse.Work(order.Intent{Order: o.ID, Operation: order.Return, N: 1}.Key(), "received"); err != nil {
		b.t.Fatal(err)
	}
	share := o.Total - order.ValueOf(o, piece(o, 1, 2))
	b.shows("the money is back", o, func(r records) bool {
		return r.payment.Totals.Refunded == share && posted(r.erp.Credits) == 1 && len(r.mail) == 6
	})
	b.reaches(o.ID, order.PhaseShipped, patience)
	if n := effectsOf(b.t, b.world, order.SystemInventory, o.ID, order.Adjust); n != 0 {
		b.t.Errorf("the level was raised %d times for goods that lie in no storage", n)
	}
	b.lawful(o)
}

func dropRefused(b *bundle, o order.Order) {
	b.accept(o)
	b.work(o.ID, "packed")
	reply, err := b.orders.Amend(b.t.Context(), o.ID, workflows.Amend{Asked: customer, Drop: piece(o, 2, 1)})
	if err != nil || reply.Refused == "" {
		b.t.Fatalf("amend: %+v, %v; want it refused, and why", reply, err)
	}
	if open := b.verdict(o.ID).Cases; len(open) > 0 {
		b.decide(o.ID, open[0], workflows.DecideAccept)
	}
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
}

// editedByHand: what people write into the contact stays theirs.
func editedByHand(b *bundle, o order.Order) {
	b.accept(o)
	b.edit(order.SystemCRM, map[string]any{"customer": o.Customer.ID, "name": "Ada Lovelace of Ockham", "phone": "+33 1 23", "opted_out": true})
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.check(o, endShipped(o))
	r := readRecords(b.t, b.world, o)
	if len(r.crm.Contacts) != 1 || r.crm.Contacts[0].Properties["lastname"] != "Lovelace of Ockham" || r.crm.Contacts[0].Properties["phone"] != "+33 1 23" {
		b.t.Errorf("contacts %+v; want the one that was edited, as it was edited", r.crm.Contacts)
	}
}

// Counted by hand: what is left goes to the older order, and a person decides about
// the younger one. A run finds it.
func TestPath_StockCorrected(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{})
	older, younger := anOrder("stock-served"), anOrder("stock-corrected")
	younger.PlacedAt = older.PlacedAt.Add(time.Millisecond)
	b.accept(older)
	b.accept(younger)
	settle()
	counted := int64(3)
	b.edit(order.SystemWarehouse, warehouse.Edit{SKU: "MUG", OnHand: &counted, Reason: "counted"})
	b.until("a case of the younger order", patience, func() bool {
		b.run(workflows.ReconcileInput{})
		return len(b.verdict(younger.ID).Cases) > 0
	})
	if open := b.verdict(older.ID).Cases; len(open) != 0 {
		t.Errorf("the older order has cases: %+v", open)
	}
	b.decide(younger.ID, b.asks(younger.ID), workflows.DecideRelease)
	b.reaches(younger.ID, order.PhaseFailed, patience)
	b.keep("stock-corrected", younger.ID)
	b.work(older.ID, "shipped")
	b.reaches(older.ID, order.PhaseShipped, patience)
	b.check(older, endShipped(older))
	r := readRecords(t, b.world, younger)
	if totals := r.payment.Totals; totals.Held+totals.Captured != 0 || len(r.inventory.Reservations) != 0 {
		t.Errorf("something is held of the order that goes without: %+v, %d reservations", totals, len(r.inventory.Reservations))
	}
	b.lawful(younger)
	b.stock("MUG", "TSHIRT")
}

// An authorization is renewed before it dies, and the old one is voided after. The
// gateway's live for a minute here; of one that lives so short half is left then.
func TestPath_AuthorizationRenewed(t *testing.T) {
	t.Parallel()
	b := onOwn(t, options{world: world.Options{Authorization: time.Minute}})
	o := anOrder("renewed")
	o.Payment.Reusable = true
	b.accept(o)
	b.shows("it is authorized anew, and the old one is voided", o, func(r records) bool {
		all := r.attempts(t)
		return len(all) >= 2 && all[0].Status == "canceled" && all[len(all)-1].Status == "requires_capture"
	})
	b.reaches(o.ID, order.PhaseAccepted, patience)
	b.work(o.ID, "shipped")
	b.reaches(o.ID, order.PhaseShipped, patience)
	b.keep("renewed", o.ID)
	b.check(o, endShipped(o))
	r := readRecords(t, b.world, o)
	made, voided := r.effects(order.SystemPayment, order.Authorize), r.effects(order.SystemPayment, order.Void)
	if len(made) < 2 || len(voided) < 1 || voided[0].Seq < made[1].Seq {
		t.Errorf("voided %+v, authorized %+v; want the old one voided after there was a new one", voided, made)
	}
}

// attempt is what tests read of a PaymentIntent.
type attempt struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

func (r records) attempts(t *testing.T) []attempt {
	t.Helper()
	var all []attempt
	for _, raw := range r.payment.PaymentIntents {
		var a attempt
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// effects are the ledger's entries of an operation's effects.
func (r records) effects(system order.System, operation order.Operation) []simulator.Entry {
	var all []simulator.Entry
	for _, e := range r.ledgers[system] {
		if e.Kind == simulator.EntryEffect && e.Operation == operation {
			all = append(all, e)
		}
	}
	return all
}
