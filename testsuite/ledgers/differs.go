package ledgers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
)

// Said is what the product says about an order.
type Said struct {
	Outcome   string
	Agreement string
	// Closed says that the order is closed: nothing is expected of it any more.
	Closed  bool
	Cases   int // that a person was asked to decide, also those that were closed
	Repairs int // writes that reconciliation made
}

// differs collects what is not as it should be.
type differs []string

func (d *differs) number(what string, want *script.Number, got int64) {
	if want != nil && !want.Holds(got) {
		*d = append(*d, fmt.Sprintf("%s: %d; want %s", what, got, want))
	}
}

func (d *differs) pieces(what string, want *script.Quantities, got map[string]int64) {
	if want == nil {
		return
	}
	all := int64(0)
	for _, n := range got {
		all += n
	}
	d.number(what, want.All, all)
	for _, sku := range slices.Sorted(maps.Keys(want.BySKU)) {
		number := want.BySKU[sku]
		d.number(what+"."+sku, &number, got[sku])
	}
}

func (d *differs) word(what string, want []string, got string) {
	if want != nil && !slices.Contains(want, got) {
		*d = append(*d, fmt.Sprintf("%s: %s; want %s", what, got, strings.Join(want, " or ")))
	}
}

// Differs says where the systems hold, or the product says, something else than
// is expected of an order. Without said only the systems are asked.
func Differs(want script.OrderEnd, r Records, said *Said) []string {
	var d differs
	if said != nil {
		d.word("outcome", want.Outcome, said.Outcome)
		d.word("agreement", want.Agreement, said.Agreement)
	}
	if p := want.Payment; p != nil {
		t := r.Payment.Totals
		d.number("payment.authorizations", p.Authorizations, int64(t.Authorizations))
		d.number("payment.captures", p.Captures, int64(r.Captures))
		d.number("payment.captured", p.Captured, t.Captured)
		d.number("payment.refunds", p.Refunds, int64(t.Refunds))
		d.number("payment.refunded", p.Refunded, t.Refunded)
		d.number("payment.open", p.Open, int64(t.Open))
	}
	if i := want.Inventory; i != nil {
		d.pieces("inventory.reserved", i.Reserved, reserved(r))
		d.pieces("inventory.committed", i.Committed, r.Committed)
	}
	if w := want.Warehouse; w != nil {
		n := int64(0)
		for _, s := range r.Warehouse.Shipments {
			if live(s) {
				n++
			}
		}
		d.number("warehouse.live", w.Live, n)
		d.pieces("warehouse.shipped", w.Shipped, shipped(r))
	}
	if e := want.ERP; e != nil {
		d.number("erp.sales", e.Sales, posted(r.ERP.Sales))
		d.number("erp.invoices", e.Invoices, posted(r.ERP.Invoices))
		d.number("erp.credits", e.Credits, posted(r.ERP.Credits))
		d.number("erp.balance", e.Balance, r.ERP.Balance)
	}
	d.people(want.CRM, r)
	d.mails(want.Mail, r)
	if said != nil {
		d.number("cases", want.Cases, int64(said.Cases))
		d.number("repairs", want.Repairs, int64(said.Repairs))
	}
	return d
}

func posted(all []erp.Document) int64 {
	n := int64(0)
	for _, d := range all {
		if d.Posted() {
			n++
		}
	}
	return n
}

func (d *differs) people(want *script.CRMEnd, r Records) {
	if want == nil {
		return
	}
	won, lost, revenue := int64(0), int64(0), int64(0)
	for _, deal := range r.CRM.Deals {
		switch deal.Stage {
		case "won":
			won++
		case "lost":
			lost++
		}
		revenue += deal.Revenue
	}
	d.number("crm.contacts", want.Contacts, int64(len(r.Customer.Contacts)))
	var contact crm.Record // by the customer's id before any other
	if len(r.Customer.Contacts) > 0 {
		contact = r.Customer.Contacts[0]
	}
	if email := contact.Properties["email"]; want.Email != nil && !strings.EqualFold(email, *want.Email) {
		*d = append(*d, fmt.Sprintf("crm.email: %q; want %q", email, *want.Email))
	}
	if out := contact.Properties["hs_email_optout"] == "true"; want.OptedOut != nil && out != *want.OptedOut {
		*d = append(*d, fmt.Sprintf("crm.opted_out: %t; want %t", out, *want.OptedOut))
	}
	d.number("crm.won", want.Won, won)
	d.number("crm.lost", want.Lost, lost)
	d.number("crm.revenue", want.Revenue, revenue)
	d.number("crm.carts_abandoned", want.CartsAbandoned, int64(len(r.Customer.Carts)))
}

func (d *differs) mails(want *script.MailEnd, r Records) {
	if want == nil {
		return
	}
	got := map[string]int64{}
	for _, m := range r.Mail {
		got[m.Template]++
	}
	d.number("mail.confirmation", want.Confirmation, got["confirmation"])
	d.number("mail.shipped", want.Shipped, got["shipped"])
	d.number("mail.cancellation", want.Cancellation, got["cancellation"])
	d.number("mail.refund", want.Refund, got["refund"])
	d.number("mail.question", want.Question, got["question"])
}

// StockDiffers says where inventory or the warehouse has another number on hand
// than is expected of both.
func StockDiffers(want *script.StockEnd, d Desks) ([]string, error) {
	if want == nil {
		return nil, nil
	}
	held, err := d.Inventory.Records("-")
	if err != nil {
		return nil, err
	}
	counted, err := d.Warehouse.Holds("-")
	if err != nil {
		return nil, err
	}
	stocked := map[string]int64{}
	for _, l := range held.Levels {
		stocked[l.SKU] = l.Stocked
	}
	var out differs
	for _, sku := range slices.Sorted(maps.Keys(want.OnHand)) {
		number := want.OnHand[sku]
		out.number("stock.on_hand."+sku+" in inventory", &number, stocked[sku])
		out.number("stock.on_hand."+sku+" in the warehouse", &number, counted.OnHand[sku])
	}
	return out, nil
}
