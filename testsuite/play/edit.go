package play

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

// editAgain has a person change a record, once or again and again.
func (p *player) editAgain(line int, do script.Edit) error {
	at := p.age()
	for range do.Times - 1 {
		at += do.Every
		p.busy = max(p.busy, at)
		p.world.At(at, "a person edits again", func() {
			if err := p.editOnce(do); err != nil {
				p.impossible(line, err)
			}
		})
	}
	return p.editOnce(do)
}

// editOnce changes one record to what the step says of it, in the words of
// expectations.
func (p *player) editOnce(do script.Edit) error {
	defer func() { p.judge.disturbed(p.age()) }()
	if do.SKU != "" {
		return p.editStock(do)
	}
	switch do.System {
	case order.SystemPayment:
		return p.editPayment(do)
	case order.SystemInventory:
		return p.editInventory(do)
	case order.SystemWarehouse:
		return p.editWarehouse(do)
	case order.SystemERP:
		return p.editERP(do)
	case order.SystemCRM:
		return p.editCRM(do)
	case order.SystemMail:
		return p.editMail(do)
	}
	return fmt.Errorf("edit %s: there is no such system", do.System)
}

// edit is one change at a system's desk, in the system's own words.
func (p *player) edit(system order.System, fields map[string]any) error {
	data, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return p.world.Desk(system).Edit(data)
}

// editStock sets how much of a SKU there is: a hand count, or inventory's level.
func (p *player) editStock(do script.Edit) error {
	if do.OnHand == nil {
		return fmt.Errorf("edit %s: nothing is said of %s but its name", do.System, do.SKU)
	}
	if do.System == order.SystemInventory {
		return p.edit(do.System, map[string]any{"sku": do.SKU, "stocked": *do.OnHand})
	}
	return p.edit(do.System, map[string]any{"sku": do.SKU, "on_hand": *do.OnHand, "reason": do.Reason})
}

// exact is the number that an edit makes it.
func exact(n *script.Number) (int64, bool) {
	if n == nil || n.Min == nil {
		return 0, false
	}
	return *n.Min, true
}

// with copies the numbers that are given under the names of the system's edit.
func with(fields map[string]any, numbers map[string]*script.Number) map[string]any {
	for name, n := range numbers {
		if v, given := exact(n); given {
			fields[name] = v
		}
	}
	return fields
}

func (p *player) editPayment(do script.Edit) error {
	e := do.Payment
	if e == nil {
		return fmt.Errorf("edit payment of %s: nothing is said", do.Order)
	}
	told, _ := p.file.Order(do.Order)
	o := orderOf(told)
	checkout := payment.Checkout{
		Amount: stripeAmount(o.Total, o.Currency), Currency: string(o.Currency), Method: "pm_card_visa", Capture: o.Payment.Capture,
		Channel: channel, Reusable: o.Payment.Reusable,
	}
	of := map[string]any{"order": do.Order}
	edits := []map[string]any{}
	have, err := p.totals(do.Order)
	if err != nil {
		return err
	}
	if n, given := exact(e.Authorizations); given {
		for range n - int64(have.Authorizations) {
			edits = append(edits, merged(of, map[string]any{"start": checkout}))
		}
	}
	if n, given := exact(e.Captures); given && e.Captured == nil {
		taken := checkout
		taken.Capture = order.CaptureAtOnce
		for range n - int64(have.Captures) {
			edits = append(edits, merged(of, map[string]any{"start": taken}))
		}
	}
	if n, given := exact(e.Captured); given {
		if more := n - have.Captured - have.Held; more > 0 { // another payment is taken for it
			taken := checkout
			taken.Capture, taken.Amount = order.CaptureAtOnce, more
			edits = append(edits, merged(of, map[string]any{"start": taken}))
			n = have.Captured + have.Held + more
		}
		edits = append(edits, merged(of, map[string]any{"captured": n}))
	}
	switch n, given := exact(e.Refunded); {
	case given:
		edits = append(edits, merged(of, map[string]any{"refunded": n}))
	default:
		if n, given := exact(e.Refunds); given && n > int64(have.Refunds) {
			edits = append(edits, merged(of, map[string]any{"refunded": have.Captured}))
		}
	}
	if n, given := exact(e.Open); given && n == 0 {
		edits = append(edits, merged(of, map[string]any{"open": 0}))
	} else if given {
		waiting := checkout
		waiting.Method = ""
		for range n - int64(have.Open) {
			edits = append(edits, merged(of, map[string]any{"start": waiting}))
		}
	}
	return p.edits(order.SystemPayment, edits)
}

func (p *player) edits(system order.System, all []map[string]any) error {
	for _, fields := range all {
		if err := p.edit(system, fields); err != nil {
			return err
		}
	}
	return nil
}

func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func (p *player) totals(of string) (payment.Totals, error) {
	state, err := p.desks.Payment.State(order.ID(of))
	if err != nil {
		return payment.Totals{}, err
	}
	return state.(payment.State).Totals, nil
}

// pieces are the pieces by SKU that a person makes it; a bare number is of every
// SKU of the order.
func (p *player) pieces(of string, q *script.Quantities) map[string]int64 {
	out := map[string]int64{}
	if q.All != nil {
		n, _ := exact(q.All)
		told, _ := p.file.Order(of)
		for _, g := range orderOf(told).Goods() {
			take := min(n, g.Quantity)
			out[g.SKU] = take
			n -= take
		}
	}
	for sku, n := range q.BySKU {
		out[sku], _ = exact(&n)
	}
	return out
}

// editInventory changes what is reserved for an order. What is committed is the
// level that went down with the goods: one piece more committed is one less
// there.
func (p *player) editInventory(do script.Edit) error {
	e := do.Inventory
	if e == nil {
		return fmt.Errorf("edit inventory of %s: nothing is said", do.Order)
	}
	if e.Reserved != nil {
		if err := p.edit(order.SystemInventory, map[string]any{"order": do.Order, "reserved": p.pieces(do.Order, e.Reserved)}); err != nil {
			return err
		}
	}
	if e.Committed == nil {
		return nil
	}
	records, err := p.desks.Inventory.Records("")
	if err != nil {
		return err
	}
	wanted := p.pieces(do.Order, e.Committed)
	for _, sku := range slices.Sorted(maps.Keys(wanted)) {
		for _, l := range records.Levels {
			if l.SKU != sku {
				continue
			}
			less := wanted[sku] - p.judge.committed(order.ID(do.Order), sku)
			if err := p.edit(order.SystemInventory, map[string]any{"sku": sku, "stocked": max(l.Stocked-less, 0)}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *player) editWarehouse(do script.Edit) error {
	e := do.Warehouse
	if e == nil {
		return fmt.Errorf("edit warehouse of %s: nothing is said", do.Order)
	}
	fields := with(map[string]any{"order": do.Order, "reason": do.Reason}, map[string]*script.Number{"live": e.Live})
	if e.Shipped != nil {
		fields["shipped"] = p.pieces(do.Order, e.Shipped)
	}
	return p.edit(order.SystemWarehouse, fields)
}

func (p *player) editERP(do script.Edit) error {
	e := do.ERP
	if e == nil {
		return fmt.Errorf("edit erp of %s: nothing is said", do.Order)
	}
	told, _ := p.file.Order(do.Order)
	o := orderOf(told)
	return p.edit(order.SystemERP, with(map[string]any{
		"order": do.Order, "reason": do.Reason, "total": o.Total, "currency": o.Currency,
	}, map[string]*script.Number{"sales": e.Sales, "invoices": e.Invoices, "credits": e.Credits, "balance": e.Balance}))
}

func (p *player) editCRM(do script.Edit) error {
	e := do.CRM
	if e == nil {
		return fmt.Errorf("edit crm: nothing is said")
	}
	fields := with(map[string]any{"reason": do.Reason}, map[string]*script.Number{
		"won": e.Won, "lost": e.Lost, "revenue": e.Revenue, "carts_abandoned": e.CartsAbandoned, "contacts": e.Contacts,
	})
	if do.Order != "" {
		told, _ := p.file.Order(do.Order)
		fields["order"], fields["currency"] = do.Order, told.Currency
		if e.Contacts != nil || e.Email != nil || e.OptedOut != nil || e.CartsAbandoned != nil {
			fields["customer"] = told.Customer
		}
	}
	if do.Customer != "" {
		fields["customer"] = do.Customer
	}
	if e.Email != nil {
		fields["email"] = *e.Email
	}
	if e.OptedOut != nil {
		fields["opted_out"] = *e.OptedOut
	}
	return p.edit(order.SystemCRM, fields)
}

// editMail has another program send a mail to the customer, or somebody delete
// one, until there are so many.
func (p *player) editMail(do script.Edit) error {
	e := do.Mail
	if e == nil {
		return fmt.Errorf("edit mail of %s: nothing is said", do.Order)
	}
	told, _ := p.file.Order(do.Order)
	for _, t := range []struct {
		template string
		n        *script.Number
	}{{"confirmation", e.Confirmation}, {"shipped", e.Shipped}, {"cancellation", e.Cancellation}, {"refund", e.Refund}, {"question", e.Question}} {
		n, given := exact(t.n)
		if !given {
			continue
		}
		if err := p.mails(do.Order, told.Email, t.template, int(n)); err != nil {
			return err
		}
	}
	return nil
}

// mails brings the mails of a template that a customer has to a number.
func (p *player) mails(of, email, template string, wanted int) error {
	all, err := p.desks.Mail.Messages(order.ID(of))
	if err != nil {
		return err
	}
	have := 0
	for _, m := range all {
		if m.Mailbox == email && m.Template == template {
			have++
		}
	}
	for ; have < wanted; have++ {
		if err := p.desks.Mail.Change(mail.Change{Do: "put", Mailbox: email, Order: order.ID(of), Template: template, Subject: template}); err != nil {
			return err
		}
	}
	if have > wanted {
		return p.desks.Mail.Change(mail.Change{Do: "delete", Mailbox: email, Order: order.ID(of), Template: template})
	}
	return nil
}
