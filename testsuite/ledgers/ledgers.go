// Package ledgers is the judge of an incident: it reads what the six systems
// hold and what their ledgers say has happened there, and holds that against
// what the file expects and against the laws that no file has to name. It knows
// the systems and the file, and nothing of how the product works.
package ledgers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/inventory"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
)

// Desks are the six systems, as somebody sees them who sits there.
type Desks struct {
	Payment   *payment.Server
	Inventory *inventory.Server
	Warehouse *warehouse.Server
	ERP       *erp.Server
	CRM       *crm.Server
	Mail      *mail.Server
	// Journal is the address of the mail journal; empty is the simulator's own.
	Journal string
}

// Frame returns the frame of a system.
func (d Desks) Frame(s order.System) *simulator.System {
	return map[order.System]simulator.Desk{
		order.SystemPayment: d.Payment, order.SystemInventory: d.Inventory, order.SystemWarehouse: d.Warehouse,
		order.SystemERP: d.ERP, order.SystemCRM: d.CRM, order.SystemMail: d.Mail,
	}[s].Frame()
}

func (d Desks) journal() string {
	return cmp.Or(strings.ToLower(d.Journal), "journal@shop.test")
}

// Records are what the six systems hold of one order.
type Records struct {
	Payment   payment.State
	Captures  int // captures that stand, of one attempt there may be several
	Inventory inventory.Records
	Committed map[string]int64 // by SKU: what left inventory's level for the order
	Warehouse warehouse.State
	ERP       erp.State
	CRM       crm.State      // of the order
	Customer  crm.State      // of its customer, by id or e-mail, and by the order's deal
	Mail      []mail.Message // that reached somebody; the journal's copies are not among them
}

// Look reads all six.
func Look(d Desks, o script.Order) (Records, error) {
	var r Records
	id := order.ID(o.Name)
	state, err := d.Payment.State(id)
	if err != nil {
		return r, fmt.Errorf("look at order %s: %w", id, err)
	}
	r.Payment = inOurs(state.(payment.State), o.Currency)
	for _, read := range []func() error{
		func() (err error) { r.Captures, err = captures(d, r.Payment, id); return err },
		func() (err error) { r.Inventory, err = d.Inventory.Records(id); return err },
		func() (err error) { r.Warehouse, err = d.Warehouse.Holds(id); return err },
		func() (err error) { r.Committed, err = committed(d, r, id); return err },
		func() (err error) { r.ERP, err = d.ERP.Holds(id); return err },
		func() (err error) { r.CRM, err = d.CRM.Read(id); return err },
		func() (err error) { r.Customer, err = customer(d, r.CRM, o); return err },
		func() (err error) { r.Mail, err = arrived(d, id); return err },
	} {
		if err := read(); err != nil {
			return r, fmt.Errorf("look at order %s: %w", id, err)
		}
	}
	return r, nil
}

// inOurs turns the gateway's amounts into ours: a króna is written with two
// decimals there, which are always zero.
func inOurs(s payment.State, currency string) payment.State {
	t := &s.Totals
	for _, amount := range []*int64{&t.Captured, &t.Refunded, &t.Disputed, &t.Held} {
		*amount = ours(*amount, currency)
	}
	return s
}

func ours(amount int64, currency string) int64 {
	if currency == "ISK" {
		return amount / 100
	}
	return amount
}

// captures counts the captures that stand. The records show only the attempts
// that took money, the ledger how often each did.
func captures(d Desks, s payment.State, of order.ID) (int, error) {
	entries, err := d.Payment.Frame().Ledger(0, of)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		switch {
		case e.Operation != order.Capture:
		case e.Amount > 0 && e.Kind != simulator.EntryRequest:
			n++
		case e.Detail == vanished:
			n--
		}
	}
	if s.Totals.Captures == 0 {
		return 0, nil
	}
	return max(n, s.Totals.Captures), nil
}

// vanished is how the gateway's ledger says that it lost what it answered with.
const vanished = "vanished"

// committed is what left inventory's level for the order. Where the level and the
// count agree that is what shipped, also without a reservation or with a surplus
// one that was deleted in the same step; else what was committed there.
func committed(d Desks, r Records, of order.ID) (map[string]int64, error) {
	entries, err := d.Inventory.Frame().Ledger(0, of)
	if err != nil {
		return nil, err
	}
	left := map[string]int64{}
	for _, e := range entries {
		if e.Operation == order.Commit && e.Kind == simulator.EntryEffect {
			left[e.Detail] += e.Amount
		}
	}
	promised := reserved(r)
	for sku, n := range shipped(r) {
		agrees := slices.ContainsFunc(r.Inventory.Levels, func(l inventory.Level) bool {
			return l.SKU == sku && l.Stocked == r.Warehouse.OnHand[sku]
		})
		if promised[sku] == 0 && agrees {
			left[sku] = n
		}
	}
	return left, nil
}

// reserved is what inventory promises the order, by SKU.
func reserved(r Records) map[string]int64 {
	sum := map[string]int64{}
	for _, p := range r.Inventory.Reservations {
		sum[p.SKU] += p.Quantity
	}
	return sum
}

// shipped is what left the warehouse for the order, by SKU.
func shipped(r Records) map[string]int64 {
	sum := map[string]int64{}
	for _, s := range r.Warehouse.Shipments {
		if s.State != "done" {
			continue
		}
		for _, l := range s.Lines {
			sum[l.SKU] += l.Quantity
		}
	}
	return sum
}

// live says that somebody works on a shipment, or did.
func live(s warehouse.Shipment) bool { return s.State != "draft" && s.State != "cancelled" }

// customer finds whoever ordered, also when no deal names them.
func customer(d Desks, of crm.State, o script.Order) (crm.State, error) {
	found, err := d.CRM.Customer(o.Customer, o.Email)
	for _, c := range of.Contacts {
		if !slices.ContainsFunc(found.Contacts, func(other crm.Record) bool { return other.ID == c.ID }) {
			found.Contacts = append(found.Contacts, c)
		}
	}
	for _, c := range of.Carts {
		if !slices.ContainsFunc(found.Carts, func(other crm.Record) bool { return other.ID == c.ID }) {
			found.Carts = append(found.Carts, c)
		}
	}
	return found, err
}

// arrived are the mails about an order that lie in somebody's mailbox.
func arrived(d Desks, of order.ID) ([]mail.Message, error) {
	all, err := d.Mail.Messages(of)
	return slices.DeleteFunc(all, func(m mail.Message) bool { return strings.EqualFold(m.Mailbox, d.journal()) }), err
}
