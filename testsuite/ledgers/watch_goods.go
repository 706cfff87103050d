package ledgers

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// level is one SKU in inventory, as its ledger tells it.
type level struct {
	stocked, reserved int64
	known             bool
}

// level follows inventory's stock. A promise of ours may not be of more than is
// there; that we set a level which leaves less than is promised is right, when
// somebody counted less.
func (w *Watch) level(e entry) {
	if e.Kind != simulator.EntryEffect && e.Kind != simulator.EntryEdit {
		return
	}
	sku, gone := strings.CutSuffix(e.Detail, " deleted")
	l := w.stock[sku]
	if l == nil {
		l = &level{}
		w.stock[sku] = l
	}
	switch e.Operation {
	case order.Adjust:
		l.stocked, l.known = e.Amount, !gone
	case order.Reserve:
		l.reserved += e.Amount
		if t := w.orders[string(e.Order)]; t != nil && e.Kind == simulator.EntryEffect && e.Amount > 0 && l.known && l.reserved > l.stocked {
			w.violate(t, e.At, BelowZero, "%s: %d are promised and %d there", sku, l.reserved, l.stocked)
		}
	case order.Release, order.Commit:
		l.reserved -= e.Amount
	}
	if e.Operation == order.Adjust && e.Kind == simulator.EntryEffect && e.Amount < 0 {
		w.violate(stockOf(sku), e.At, BelowZero, "%s was set to %d", sku, e.Amount)
	}
}

// promises notes that stock was promised to the order, by whomever.
func (w *Watch) promises(t *tally, e entry) {
	if e.Operation == order.Reserve && e.Amount > 0 && e.Kind != simulator.EntryRequest {
		t.promised = true
	}
}

// parcels follows what we asked the warehouse for.
func (w *Watch) parcels(t *tally, e entry) {
	if e.Kind == simulator.EntryRequest || e.Kind == simulator.EntryNotification || e.Detail == draft {
		return
	}
	if back, is := strings.CutPrefix(e.Detail, "return "); is {
		if e.Operation == "receive" {
			for sku, n := range goodsOf(back) {
				t.back[sku] += n
			}
		}
		return
	}
	if _, ours := t.shipments[e.Record]; ours && len(goodsOf(e.Detail)) > 0 {
		t.shipments[e.Record] = goodsOf(e.Detail) // what is in it may have changed
	}
	switch {
	case e.Kind == simulator.EntryEffect && e.Operation == order.Request:
		asked := goodsOf(e.Detail)
		t.shipments[e.Record] = asked
		if w.short(t) && !w.edited(order.SystemPayment, t.Name) && !t.liedTo() {
			w.violate(t, e.At, Unpaid, "%s asked of the warehouse with %d held or taken; they cost %d", e.Detail, t.money(), t.worth())
		}
	case e.Operation == order.Cancel, e.Operation == "delete":
		delete(t.shipments, e.Record)
	case e.Operation == "ship":
		t.shipped = true
		if w.short(t) && t.lost != "" && !t.liedTo() && !w.edited(order.SystemWarehouse, t.Name) && !t.cancelFailed() {
			w.violate(t, e.At, Unpaid, "%s shipped with %d held or taken, for the rest was %s; they cost %d", e.Detail, t.money(), t.lost, t.worth())
		}
	}
}

// liedTo says that the gateway answered with money that it does not have, or not
// so much: a fault of the file, by which goods go unpaid and books are wrong
// until somebody notices.
func (t *tally) liedTo() bool {
	return t.met(order.SystemPayment, "", simulator.Vanishes, simulator.Partial, simulator.Foreign)
}

// cancelFailed says that the warehouse may have said yes to a cancellation and
// shipped nevertheless.
func (t *tally) cancelFailed() bool {
	return t.met(order.SystemWarehouse, order.Cancel, simulator.Vanishes, simulator.Foreign, simulator.Garbage, simulator.Partial)
}

// goodsOf reads "A=2 B=1".
func goodsOf(detail string) goods {
	all := goods{}
	for part := range strings.FieldsSeq(detail) {
		sku, count, _ := strings.Cut(part, "=")
		if n, err := strconv.ParseInt(count, 10, 64); err == nil {
			all[sku] += n
		}
	}
	return all
}

// short says that the money does not cover what the warehouse has for the order.
func (w *Watch) short(t *tally) bool { return t.money() < t.worth() }

// worth is what the pieces that we asked the warehouse for and that did not come
// back cost, at least.
func (t *tally) worth() int64 {
	asked := goods{}
	for _, g := range t.shipments {
		for sku, n := range g {
			asked[sku] += n
		}
	}
	for sku, n := range t.back {
		asked[sku] -= n
	}
	kept := t.pieces(asked)
	if order.Empty(kept) {
		return 0
	}
	o := t.body()
	o.Shipping, o.ShippingTax = 0, 0
	return max(0, order.ValueOf(o, kept))
}

// body is the order's money in the vocabulary of shares.
func (t *tally) body() order.Order {
	o := order.Order{
		ID: order.ID(t.Name), Currency: order.Currency(t.Currency), Shipping: t.Shipping, ShippingTax: t.Tax,
		Discount: t.Discount, Total: t.Total(),
	}
	for _, l := range t.Lines {
		o.Lines = append(o.Lines, order.Line{SKU: l.SKU, Quantity: l.Quantity, UnitPrice: l.Price, Discount: l.Discount, Tax: l.Tax})
	}
	return o
}

// pieces lays pieces by SKU out on the order's lines, the first ones first.
func (t *tally) pieces(of goods) []order.Quantity {
	left := maps.Clone(of)
	var all []order.Quantity
	for i, l := range t.Lines {
		n := max(0, min(left[l.SKU], l.Quantity))
		left[l.SKU] -= n
		all = append(all, order.Quantity{Line: i + 1, SKU: l.SKU, Quantity: n})
	}
	return all
}

// records holds what the systems have of an order against the laws, where its
// ledger alone does not tell.
func (w *Watch) records(t *tally, news []entry) error {
	ours := func(s order.System) bool {
		return slices.ContainsFunc(news, func(e entry) bool {
			return e.system == s && string(e.Order) == t.Name && e.Kind == simulator.EntryEffect
		})
	}
	if ours(order.SystemWarehouse) {
		if err := w.twoParcels(t); err != nil {
			return err
		}
	}
	if ours(order.SystemMail) {
		if err := w.twoMails(t); err != nil {
			return err
		}
	}
	if ours(order.SystemERP) {
		return w.books(t)
	}
	return nil
}

// twoParcels: what we asked for lives once. A lost parcel may be sent again.
func (w *Watch) twoParcels(t *tally) error {
	there, err := w.desks.Warehouse.Holds(order.ID(t.Name))
	if err != nil {
		return err
	}
	asked := goods{}
	for _, s := range there.Shipments {
		if _, ours := t.shipments[strconv.FormatInt(s.ID, 10)]; !ours || !live(s) || s.Lost {
			continue
		}
		for _, l := range s.Lines {
			asked[l.SKU] += l.Quantity
		}
	}
	if w.edited(order.SystemWarehouse, t.Name) {
		return nil // somebody changed what is in them
	}
	for _, sku := range slices.Sorted(maps.Keys(asked)) {
		if ordered := t.Goods()[sku]; asked[sku] > ordered {
			w.violate(t, t.at, GoodsTwice, "%d of %s are with the warehouse, %d were ordered", asked[sku], sku, ordered)
		}
	}
	return nil
}

// twoMails: a mail that we sent is in a mailbox once, whatever its id.
func (w *Watch) twoMails(t *tally) error {
	all, err := arrived(w.desks, order.ID(t.Name))
	if err != nil || t.met(order.SystemMail, order.Send, simulator.Twice, simulator.ResponseLost) {
		return err
	}
	seen := map[string]int{}
	for _, m := range all {
		if t.mailed[m.MessageID] {
			seen[m.Template+" "+strconv.Itoa(m.Occasion)+" to "+m.Mailbox]++
		}
	}
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		if seen[what] > 1 {
			w.violate(t, t.at, MailTwice, "%d times %s", seen[what], what)
		}
	}
	return nil
}

// books: not more is invoiced than the order costs, not more booked as received
// than the gateway took, and it is one sale.
func (w *Watch) books(t *tally) error {
	b, err := w.desks.ERP.Holds(order.ID(t.Name))
	if err != nil || w.edited(order.SystemERP, t.Name) {
		return err
	}
	invoiced, received := int64(0), int64(0)
	for _, d := range b.Invoices {
		if d.Posted() {
			invoiced += d.Total
		}
	}
	for _, d := range b.Receipts {
		if d.Posted() {
			received += d.Total
		}
	}
	switch {
	case posted(b.Sales) > 1:
		w.violate(t, t.at, BooksTwice, "%d sales", posted(b.Sales))
	case invoiced > t.Total():
		w.violate(t, t.at, BooksTwice, "%d invoiced of %d", invoiced, t.Total())
	case received > t.taken() && !t.liedTo():
		w.violate(t, t.at, BooksTwice, "%d booked as received, the gateway took %d", received, t.taken())
	}
	return nil
}
