package ledgers

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

// Orphan is a record that belongs to no order.
type Orphan struct {
	System order.System
	Record string // its id, or its reference
	Order  string // whose it says it is, if it does
}

func (o Orphan) String() string {
	whose := "no order"
	if o.Order != "" {
		whose = "order " + o.Order + ", which nobody submitted"
	}
	return fmt.Sprintf("%s: %s belongs to %s", o.System, o.Record, whose)
}

// Orphans returns the records in any system that belong to no order which the
// file submits. Drafts and what was cancelled are none, and neither is an attempt
// that ended without money.
func Orphans(f *script.File, d Desks) ([]Orphan, error) {
	x := &orphanage{known: submitted(f)}
	for _, look := range []func(Desks) error{x.money, x.goods, x.books, x.people, x.mails} {
		if err := look(d); err != nil {
			return nil, fmt.Errorf("look for records of no order: %w", err)
		}
	}
	return x.found, nil
}

func submitted(f *script.File) map[string]bool {
	all := map[string]bool{}
	for _, s := range f.Steps {
		if do, is := s.Do.(script.Submit); is {
			all[do.Order] = all[do.Order] || do.As == ""
			all[do.As] = do.As != ""
		}
	}
	return all
}

type orphanage struct {
	known map[string]bool
	found []Orphan
}

func (x *orphanage) ask(s order.System, record string, of string) {
	if !x.known[of] {
		x.found = append(x.found, Orphan{s, record, of})
	}
}

// byKey is ask for a record that names its order by an intent's key or the
// beginning of one.
func (x *orphanage) byKey(s order.System, key string) {
	rest, _ := strings.CutPrefix(key, "order/")
	of, _, _ := strings.Cut(rest, "/")
	x.ask(s, key, of)
}

func (x *orphanage) money(d Desks) error {
	state, err := d.Payment.State("")
	if err != nil {
		return err
	}
	for _, raw := range state.(payment.State).PaymentIntents {
		var pi struct {
			ID             string
			Status         string
			AmountReceived int64 `json:"amount_received"`
			Metadata       map[string]string
		}
		if err := json.Unmarshal(raw, &pi); err != nil {
			return err
		}
		if pi.Status != "canceled" || pi.AmountReceived > 0 {
			x.ask(order.SystemPayment, pi.ID, pi.Metadata["order_id"])
		}
	}
	return nil
}

func (x *orphanage) goods(d Desks) error {
	held, err := d.Inventory.Records("")
	if err != nil {
		return err
	}
	for _, r := range held.Reservations {
		x.ask(order.SystemInventory, r.ID, string(r.Order))
	}
	there, err := d.Warehouse.Holds("")
	if err != nil {
		return err
	}
	for _, s := range there.Shipments {
		if live(s) {
			x.byKey(order.SystemWarehouse, s.Key)
		}
	}
	for _, r := range there.Returns {
		if r.State != "cancelled" {
			x.byKey(order.SystemWarehouse, r.Key)
		}
	}
	return nil
}

func (x *orphanage) books(d Desks) error {
	books, err := d.ERP.Holds("")
	if err != nil {
		return err
	}
	for _, kind := range [][]erp.Document{books.Sales, books.Invoices, books.Credits, books.Receipts} {
		for _, doc := range kind {
			if doc.Posted() {
				x.byKey(order.SystemERP, doc.Key)
			}
		}
	}
	return nil
}

func (x *orphanage) people(d Desks) error {
	all, err := d.CRM.Read("")
	for _, deal := range all.Deals {
		x.ask(order.SystemCRM, deal.ID, deal.Properties["trueup_order_id"])
	}
	return err
}

func (x *orphanage) mails(d Desks) error {
	all, err := arrived(d, "")
	for _, m := range all {
		if m.Order != "" {
			x.ask(order.SystemMail, m.MessageID, string(m.Order))
		}
	}
	return err
}
