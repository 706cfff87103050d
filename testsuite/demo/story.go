package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

const (
	articleID    = order.ID("article-42")
	pace         = 1500 * time.Millisecond // of the warehouse's people
	initialStock = 100                     // of each SKU
	counted      = 93                      // mugs, when an operator counts them by hand
	// countedShirts is what is there when the T-shirts are counted after one was
	// shipped: two more than one would think.
	countedShirts = 101
)

// articleOrder is the order of the article: two lines, 99.80 EUR.
func articleOrder(placed time.Time) order.Order {
	return order.Order{
		ID: articleID, PlacedAt: placed.UTC().Truncate(time.Millisecond), Channel: "shop", CartID: "cart-7",
		Customer: order.Customer{ID: "customer-7", Email: "ada@example.com", Name: "Ada Lovelace"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "1 Main St", City: "Paris", PostalCode: "75001", Country: "FR"},
		Currency: "EUR",
		Lines: []order.Line{
			{SKU: "MUG", Quantity: 2, UnitPrice: 2500},
			{SKU: "TSHIRT", Quantity: 1, UnitPrice: 4500, Discount: 500, Tax: 480},
		},
		Shipping: 500, Total: 9980,
		Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip},
	}
}

// story is the article's: one order through six systems that disagree.
func (d *demo) story(ctx context.Context) error {
	o := articleOrder(time.Now())
	w := newWatch(o.ID)
	for _, step := range []func(context.Context, order.Order, *watch) error{
		d.submitTwice, d.callbackTwice, d.reservedWhileDown, d.countedByHand, d.cartAndRetry, d.theMoment, d.recovered, d.brokenByHand, d.reconciled, d.onceEach,
	} {
		if err := step(ctx, o, w); err != nil {
			return err
		}
	}
	return nil
}

// submitTwice: three systems have trouble, and the customer presses refresh.
func (d *demo) submitTwice(ctx context.Context, o order.Order, w *watch) error {
	for _, f := range []struct {
		system order.System
		fault  simulator.Fault
	}{
		{order.SystemPayment, simulator.Fault{Operation: order.Authorize, Kind: simulator.ResponseLost, Order: o.ID}},
		{order.SystemERP, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1}},
		{order.SystemCRM, simulator.Fault{Operation: order.Upsert, Kind: simulator.Unavailable, Times: -1}},
	} {
		if _, err := d.desks.inject(ctx, f.system, f.fault); err != nil {
			return err
		}
	}
	d.head("an order is submitted, and again because the customer pressed refresh")
	type answer struct {
		status int
		body   submitted
		err    error
	}
	send := func() <-chan answer {
		answers := make(chan answer, 1)
		go func() {
			status, body, err := d.desks.submit(ctx, o)
			answers <- answer{status, body, err}
		}()
		return answers
	}
	page := send()
	time.Sleep(200 * time.Millisecond) // the customer does not wait for the answer
	refreshed := send()
	first, second := <-page, <-refreshed
	if first.err != nil || second.err != nil {
		return fmt.Errorf("submit order %s: %w", o.ID, errors.Join(first.err, second.err))
	}
	w.begin(ctx, d.desks)
	for _, a := range []answer{first, second} {
		d.says("POST order", "%s: %d, %s, phase %s", o.ID, a.status, a.body.Outcome, a.body.Phase)
	}
	d.expect(first.status/100 == 2 && second.status/100 == 2, "both submissions are taken (got %d and %d)", first.status, second.status)
	other := o
	other.Lines = slices.Clone(o.Lines)
	other.Lines[0].Quantity++
	other.Total += other.Lines[0].UnitPrice
	status, body, err := d.desks.submit(ctx, other)
	if err != nil {
		return err
	}
	d.says("POST order", "%s with one mug more: %d, %s", o.ID, status, body.Error)
	d.expect(status == 409, "another order under the same id is refused with 409 (got %d)", status)
	return nil
}

// callbackTwice: the answer to the authorization was lost after its effect, and
// the gateway's callback comes twice.
func (d *demo) callbackTwice(ctx context.Context, o order.Order, _ *watch) error {
	d.head("the payment's answer is lost, and its callback comes twice")
	if err := d.desks.event(ctx, order.SystemPayment, map[string]any{"type": "payment.authorized", "order": o.ID, "copies": 2}); err != nil {
		return err
	}
	var entries []simulator.Entry
	delivered := func() (bool, error) {
		var err error
		entries, err = d.desks.ledger(ctx, order.SystemPayment, o.ID)
		return count(entries, simulator.EntryNotification, "") >= 3, err
	}
	if _, err := until(ctx, 5*time.Second, delivered); err != nil {
		return err
	}
	lost := 0
	for _, e := range entries {
		switch {
		case e.Kind == simulator.EntryRequest && e.Operation == order.Authorize:
			d.says("payment", "request authorize, key %s: %s", e.Key, answered(e))
			if e.Fault == simulator.ResponseLost {
				lost++
			}
		case e.Kind == simulator.EntryEffect:
			d.says("payment", "effect %s %s, record %s", e.Operation, money(e.Amount), e.Record)
		case e.Kind == simulator.EntryNotification:
			d.says("payment", "callback %s %s: our gateway answers %d", e.Detail, e.Record, e.Status)
		}
	}
	var held payment.State
	if err := d.desks.console(ctx, order.SystemPayment, "GET", "/state?order="+string(o.ID), nil, &held); err != nil {
		return err
	}
	d.says("payment", "holds %s on %d payment", money(held.Totals.Held), len(held.PaymentIntents))
	d.expect(lost == 1, "the answer to an authorization was lost (%d were)", lost)
	d.expect(count(entries, simulator.EntryEffect, order.Authorize) == 1 && len(held.PaymentIntents) == 1, "the money is authorized once")
	d.expect(twins(entries), "one callback came twice")
	return nil
}

// twins says whether a notification with the same id was delivered twice.
func twins(entries []simulator.Entry) bool {
	seen := map[string]int{}
	for _, e := range entries {
		if e.Kind == simulator.EntryNotification && e.Status == 200 {
			seen[e.Record]++
		}
	}
	for _, n := range seen {
		if n == 2 {
			return true
		}
	}
	return false
}

func (d *demo) reservedWhileDown(ctx context.Context, o order.Order, _ *watch) error {
	d.head("stock is reserved while the ERP is down")
	held, err := d.desks.records(ctx, o.ID)
	if err != nil {
		return err
	}
	for _, r := range held.inventory.Reservations {
		d.says("inventory", "%d %s reserved", r.Quantity, r.SKU)
	}
	entries, err := d.desks.ledger(ctx, order.SystemERP, "")
	if err != nil {
		return err
	}
	refused := 0
	for _, e := range entries {
		if e.Fault == simulator.Unavailable {
			refused++
		}
	}
	d.says("erp", "%d requests, %d of them answered 503; %d sales, %d invoices", count(entries, simulator.EntryRequest, ""), refused,
		len(held.erp.Sales), len(held.erp.Invoices))
	d.expect(len(held.inventory.Reservations) == len(o.Lines), "every line is reserved")
	d.expect(refused > 0 && len(held.erp.Sales) == 0, "the ERP is down")
	return nil
}

func (d *demo) countedByHand(ctx context.Context, _ order.Order, _ *watch) error {
	d.head("a warehouse operator corrects the stock by hand")
	reason := "seven mugs were broken"
	if err := d.desks.edit(ctx, order.SystemWarehouse, map[string]any{"sku": "MUG", "on_hand": counted, "reason": reason}); err != nil {
		return err
	}
	held, err := d.desks.records(ctx, "")
	if err != nil {
		return err
	}
	entries, err := d.desks.ledger(ctx, order.SystemWarehouse, "")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Kind == simulator.EntryEdit && e.Operation == "count" {
			d.says("warehouse", "%s %+d: %s; on hand now %d", e.Record, e.Amount, e.Detail, held.warehouse.OnHand[e.Record])
		}
	}
	d.says("inventory", "level of MUG: %d", level(held, "MUG"))
	d.expect(level(held, "MUG") != held.warehouse.OnHand["MUG"], "inventory and warehouse disagree about the mugs")
	return nil
}

// cartAndRetry: the CRM still shows the cart, the worker dies, and another one
// goes on with the retries.
func (d *demo) cartAndRetry(ctx context.Context, o order.Order, _ *watch) error {
	d.head("the CRM still shows an abandoned cart; the worker is killed, and a retry runs again")
	held, err := d.desks.records(ctx, "")
	if err != nil {
		return err
	}
	for _, c := range held.crm.Carts {
		d.says("crm", "cart %s of %s: stage %s", c.Properties["trueup_cart_id"], o.Customer.ID, c.Stage)
	}
	d.expect(len(held.crm.Carts) == 1, "the CRM shows one abandoned cart (%d)", len(held.crm.Carts))
	sent, err := until(ctx, 10*time.Second, func() (bool, error) {
		held, err := d.desks.records(ctx, o.ID)
		return len(held.mail) > 0, err
	})
	if err != nil {
		return err
	}
	d.expect(sent, "the confirmation is sent although ERP and CRM do not answer")
	before, err := d.refusals(ctx)
	if err != nil {
		return err
	}
	d.worker.kill()
	d.says("worker", "killed (%v); %d requests to ERP and CRM were refused so far", d.worker.err, before)
	if err := d.openWorker(ctx); err != nil {
		return err
	}
	after := before
	again, err := until(ctx, 20*time.Second, func() (bool, error) {
		after, err = d.refusals(ctx)
		return after > before, err
	})
	d.says("worker", "a new one serves; %d requests were refused: the retries go on", after)
	d.expect(again, "a retry runs again after the worker's death")
	return err
}

// refusals counts the requests that ERP and CRM refused.
func (d *demo) refusals(ctx context.Context) (int, error) {
	n := 0
	for _, system := range []order.System{order.SystemERP, order.SystemCRM} {
		entries, err := d.desks.ledger(ctx, system, "")
		if err != nil {
			return 0, err
		}
		for _, e := range entries {
			if e.Fault == simulator.Unavailable && e.Operation != "list" && e.Operation != "lookup" {
				n++
			}
		}
	}
	return n, nil
}

// theMoment is that of the article: everybody tells a different story.
func (d *demo) theMoment(ctx context.Context, o order.Order, _ *watch) error {
	d.head("did the order succeed? payment yes, warehouse yes, ERP no, CRM cart abandoned, mail sent")
	shipped, err := until(ctx, 30*time.Second, func() (bool, error) {
		held, err := d.desks.records(ctx, o.ID)
		return held.payment.Totals.Captured == o.Total, err
	})
	if err != nil {
		return err
	}
	d.expect(shipped, "the goods have left and the money is captured")
	held, err := d.desks.records(ctx, o.ID)
	if err != nil {
		return err
	}
	d.tellRecords(held, o)
	all, err := d.desks.records(ctx, "")
	if err != nil {
		return err
	}
	d.says("crm", "%d abandoned cart, %d deals of the order", len(all.crm.Carts), len(held.crm.Deals))
	d.expect(len(held.erp.Sales) == 0 && len(all.crm.Carts) == 1 && len(held.mail) > 0, "the systems tell different stories")
	text, code, err := d.trueup(ctx, "verdict", string(o.ID))
	if err != nil {
		return err
	}
	d.quote(".build/trueup verdict "+string(o.ID), text, code)
	v, err := d.desks.verdict(ctx, o.ID)
	if err != nil {
		return err
	}
	d.expect(code == 0 && v.Outcome == reconcile.Succeeded, "the verdict says that the order succeeded (exit code %d)", code)
	d.expect(v.Agreement != reconcile.Agreed, "the verdict says that the systems do not agree (%s)", v.Agreement)
	return nil
}

// tellRecords says what payment, warehouse, ERP and mail hold.
func (d *demo) tellRecords(held records, o order.Order) {
	t := held.payment.Totals
	d.says("payment", "%s captured, %s held", money(t.Captured), money(t.Held))
	for _, s := range held.warehouse.Shipments {
		what := s.State
		if s.Delivered {
			what = "delivered"
		}
		d.says("warehouse", "shipment %s: %s", s.Key, what)
	}
	d.says("erp", "%d sales, %d invoices, %d receipts", len(held.erp.Sales), len(held.erp.Invoices), len(held.erp.Receipts))
	for _, m := range held.mail {
		if strings.EqualFold(m.Mailbox, o.Customer.Email) {
			d.says("mail", "%q to %s", m.Subject, m.Mailbox)
		}
	}
}

// recovered: ERP and CRM come back, and the order catches up by itself.
func (d *demo) recovered(ctx context.Context, o order.Order, _ *watch) error {
	d.head("the ERP comes back, and the CRM; what was due is done")
	back := time.Now()
	for _, system := range []order.System{order.SystemERP, order.SystemCRM} {
		if err := d.desks.clear(ctx, system); err != nil {
			return err
		}
	}
	var v reconcile.Verdict
	agreed, err := until(ctx, 60*time.Second, func() (bool, error) {
		var err error
		v, err = d.desks.verdict(ctx, o.ID)
		return v.Agreement == reconcile.Agreed && v.Phase == order.PhaseDelivered, err
	})
	if err != nil {
		return err
	}
	held, err := d.desks.records(ctx, o.ID)
	if err != nil {
		return err
	}
	d.tellRecords(held, o)
	for _, deal := range held.crm.Deals {
		d.says("crm", "deal %s: %s, %s; %d abandoned carts", deal.ID, deal.Stage, money(deal.Revenue), len(held.crm.Carts))
	}
	d.says("gateway", "%s, phase %s, %s after they came back", v.Summary, v.Phase, time.Since(back).Round(100*time.Millisecond))
	d.expect(agreed, "the order is delivered and all six systems agree (%s, %s)", v.Phase, v.Agreement)
	return nil
}

// brokenByHand: a person undoes in the CRM what was right.
func (d *demo) brokenByHand(ctx context.Context, o order.Order, _ *watch) error {
	d.head("by hand: somebody in sales marks the deal lost, somebody in the warehouse counts the shirts")
	if err := d.desks.edit(ctx, order.SystemCRM, map[string]any{"order": o.ID, "stage": "lost", "reason": "mistaken for another"}); err != nil {
		return err
	}
	edit := map[string]any{"sku": "TSHIRT", "on_hand": countedShirts, "reason": "two were found behind the shelf"}
	if err := d.desks.edit(ctx, order.SystemWarehouse, edit); err != nil {
		return err
	}
	var v reconcile.Verdict
	noticed, err := until(ctx, 20*time.Second, func() (bool, error) {
		var err error
		v, err = d.desks.verdict(ctx, o.ID)
		return v.Agreement == reconcile.Disagreeing, err
	})
	if err != nil {
		return err
	}
	held, err := d.desks.records(ctx, "")
	if err != nil {
		return err
	}
	for _, deal := range held.crm.Deals {
		d.says("crm", "deal %s: %s, %s", deal.ID, deal.Stage, money(deal.Revenue))
	}
	d.says("warehouse", "%d TSHIRT on hand", held.warehouse.OnHand["TSHIRT"])
	d.says("inventory", "level of TSHIRT: %d", level(held, "TSHIRT"))
	d.says("gateway", "%s", v.Summary)
	d.expect(level(held, "TSHIRT") != countedShirts, "inventory does not know what was counted")
	d.expect(noticed, "the webhook tells the order, and its verdict says so (%s)", v.Agreement)
	return nil
}

func (d *demo) reconciled(ctx context.Context, o order.Order, w *watch) error {
	d.head("reconciliation runs, and repairs what the policy allows")
	text, code, err := d.trueup(ctx, "reconcile")
	if err != nil {
		return err
	}
	d.quote(".build/trueup reconcile", text, code)
	d.expect(code == 0, "the run is complete (exit code %d)", code)
	text, code, err = d.trueup(ctx, "verdict", string(o.ID), "--require-agreement")
	if err != nil {
		return err
	}
	d.quote(".build/trueup verdict "+string(o.ID)+" --require-agreement", text, code)
	d.expect(code == 0, "succeeded, and all six systems agree (exit code %d)", code)
	w.end()
	held, err := d.desks.records(ctx, "")
	if err != nil {
		return err
	}
	for _, deal := range held.crm.Deals {
		d.expect(deal.Stage == "won", "the run set the deal to won (%s)", deal.Stage)
	}
	d.says("warehouse", "%d MUG on hand: %d counted by hand, %d shipped since", held.warehouse.OnHand["MUG"], counted, counted-held.warehouse.OnHand["MUG"])
	d.says("inventory", "level of MUG: %d", level(held, "MUG"))
	d.says("inventory", "level of TSHIRT: %d, and %d in the warehouse", level(held, "TSHIRT"), held.warehouse.OnHand["TSHIRT"])
	d.expect(level(held, "TSHIRT") == countedShirts, "the run set the level of TSHIRT to what was counted (%d)", level(held, "TSHIRT"))
	d.expect(level(held, "MUG") == held.warehouse.OnHand["MUG"] && level(held, "MUG") == counted-o.Lines[0].Quantity,
		"the level of MUG is what was counted by hand less what was shipped")
	return nil
}

// onceEach shows from the ledgers that each effect happened once, however often
// it was asked for, and from the verdicts how long which systems disagreed.
func (d *demo) onceEach(ctx context.Context, o order.Order, w *watch) error {
	d.head("each effect exactly once, by the ledgers of the six systems")
	rows, err := d.effectsTable(ctx, o.ID)
	if err != nil {
		return err
	}
	d.table(rows)
	held, err := d.desks.records(ctx, o.ID)
	if err != nil {
		return err
	}
	doubled, err := d.doubled(ctx, o.ID)
	if err != nil {
		return err
	}
	wrong := append(check(o, held), doubled...)
	d.expect(len(wrong) == 0, "order %s has each effect once: %s", o.ID, strings.Join(wrong, "; "))
	d.head("how long they disagreed, by %d verdicts from the gateway, one every %s", w.asked, sampleEvery)
	d.table(w.table())
	d.expect(w.saw(order.SystemERP) && w.saw(order.SystemCRM), "the verdicts showed that ERP and CRM disagreed")
	return nil
}

func count(entries []simulator.Entry, kind simulator.EntryKind, operation order.Operation) int {
	n := 0
	for _, e := range entries {
		if e.Kind == kind && (operation == "" || e.Operation == operation) {
			n++
		}
	}
	return n
}

func answered(e simulator.Entry) string {
	switch {
	case e.Status == 0:
		return "not answered (" + string(e.Fault) + ")"
	case e.Fault != "":
		return fmt.Sprintf("answered %d (%s)", e.Status, e.Fault)
	}
	return fmt.Sprintf("answered %d", e.Status)
}

func money(minor int64) string { return order.Amount{Minor: minor, Currency: "EUR"}.String() }

func level(held records, sku string) int64 {
	for _, l := range held.inventory.Levels {
		if l.SKU == sku {
			return l.Stocked
		}
	}
	return -1
}
