package reconcile

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Fact is one thing that a system says about an order, in canonical form: money
// in minor units, quantities as whole numbers, states and stages by their
// names. What is zero or absent is no fact.
type Fact struct {
	System order.System `json:"system"`
	Field  Field        `json:"field"`
	Item   string       `json:"item,omitempty"`
	Value  string       `json:"value"`
	// Count is how many records say it; more than one is a duplicate.
	Count int `json:"count"`
	// Money that hangs on it, in minor units.
	Money int64 `json:"money,omitempty"`
	// since is when the system says that it became so; zero where it does not say.
	since time.Time
}

// Facts returns what an observation says, sorted by field and item. An
// unreadable or absent one says nothing. Drafts are nothing, except that those
// left in the ERP are named by the item "draft <id>".
func Facts(o Observation) []Fact {
	return factsFor(Intent{}, o)
}

// factsFor is Facts with the order in view: which of several attempts are too
// many, and whether a cart should be open, depends on it.
func factsFor(i Intent, o Observation) []Fact {
	if o.State != Present {
		return nil
	}
	g := &gathering{}
	if o.Payment != nil {
		g.payment(i, o.Payment.Attempts)
	}
	if o.Inventory != nil {
		g.inventory(o.Inventory.Reservations)
	}
	if o.Warehouse != nil {
		g.shipments(i, o.Warehouse.Shipments)
		g.returns(i, o.Warehouse.Returns)
	}
	if o.ERP != nil {
		g.erp(*o.ERP)
	}
	if o.CRM != nil {
		g.crm(i, *o.CRM)
	}
	if o.Mail != nil {
		g.mail(o.Mail.Messages)
	}
	slices.SortFunc(g.all, func(a, b Fact) int {
		return cmp.Or(compareFields(a.Field, b.Field), compareItems(a.Item, b.Item))
	})
	return g.all
}

type gathering struct{ all []Fact }

func (g *gathering) add(f Field, item, value string, count int, money int64) {
	g.all = append(g.all, Fact{System: f.System(), Field: f, Item: item, Value: value, Count: count, Money: money})
}

func (g *gathering) amount(f Field, item string, n int64) {
	if n == 0 {
		return
	}
	money := int64(0)
	if f.money() {
		money = magnitude(n)
	}
	g.add(f, item, strconv.FormatInt(n, 10), 1, money)
}

func (g *gathering) payment(i Intent, attempts []Attempt) {
	sorted := sortedAttempts(attempts)
	for _, a := range sorted {
		has := a.Held + a.Captured - a.Refunded - a.Lost
		if foreign(i, a) && (has > 0 || a.takesMoney()) {
			g.add(PaymentAttempts, a.ID, strconv.FormatInt(has, 10)+" "+string(a.Currency), 1, has)
		}
	}
	m := moneyOf(i, sorted)
	for _, a := range spareAttempts(i, sorted) {
		m.held -= a.Held
		g.amount(PaymentOpen, a.ID, max(a.Held, a.Amount-a.Captured))
	}
	left := int64(0)
	for _, s := range surplus(i, sorted) {
		left += s.amount
		g.amount(PaymentAttempts, s.attempt, s.amount)
	}
	captured, refunded := withoutSurplus(i, sorted, left)
	g.amount(PaymentHeld, "", m.held)
	g.amount(PaymentCaptured, "", captured)
	g.amount(PaymentRefunded, "", refunded)
	g.amount(PaymentDisputed, "", m.disputed)
}

// inventory adds reservations up per SKU. Two for one line are a duplicate;
// two lines of one SKU are not.
func (g *gathering) inventory(reservations []Reservation) {
	var all []order.Quantity
	for _, r := range reservations {
		all = append(all, order.Quantity{SKU: r.SKU, Quantity: r.Quantity})
	}
	sums := order.BySKU(all)
	for _, q := range sums {
		if q.Quantity == 0 {
			continue
		}
		count := 1
		for n, r := range reservations {
			for _, earlier := range reservations[:n] {
				if r.SKU == q.SKU && earlier.SKU == q.SKU && r.Line == earlier.Line && r.Line > 0 {
					count++
				}
			}
		}
		g.add(InventoryReserved, q.SKU, strconv.FormatInt(q.Quantity, 10), count, 0)
	}
}

func (g *gathering) erp(e ERP) {
	g.documents(ERPSale, e.Sales)
	g.documents(ERPInvoices, e.Invoices)
	g.documents(ERPReceipts, e.Receipts)
	g.documents(ERPCredits, e.Credits)
	g.amount(ERPBalance, "", e.Balance)
}

// documents groups posted documents by key. Cancelled ones are nothing; drafts
// book nothing, and each is named so that one left behind is seen.
func (g *gathering) documents(f Field, documents []Document) {
	var keys []string
	for _, d := range documents {
		switch d.State {
		case DocumentPosted:
			if !slices.Contains(keys, d.name()) {
				keys = append(keys, d.name())
			}
		case DocumentDraft:
			g.add(f, draftItem(d), strconv.FormatInt(d.amount(f), 10), 1, 0)
		case DocumentCancelled:
		}
	}
	for _, key := range keys {
		var totals []int64
		for _, d := range documents {
			if d.State == DocumentPosted && d.name() == key {
				totals = append(totals, d.amount(f))
			}
		}
		slices.Sort(totals)
		g.add(f, key, strconv.FormatInt(totals[0], 10), len(totals), magnitude(totals[0]))
	}
}

func (d Document) name() string { return named(d.Key, d.ID) }

// amount returns what the document is compared by: a credit note is one whether
// the system writes it with a minus or not.
func (d Document) amount(f Field) int64 {
	if f == ERPCredits {
		return magnitude(d.Total)
	}
	return d.Total
}

const draftPrefix = "draft "

func draftItem(d Document) string { return draftPrefix + d.ID + " of " + d.name() }

func (g *gathering) crm(i Intent, c CRM) {
	if n := len(c.Contacts); n > 0 {
		g.add(CRMContact, "", "1", n, 0)
	}
	if len(c.Deals) > 0 {
		deal := slices.MinFunc(c.Deals, func(a, b Deal) int { return compareItems(a.ID, b.ID) })
		counting := slices.DeleteFunc(slices.Clone(c.Deals), func(d Deal) bool {
			return i.endedWithoutDeal() && d.Stage == DealLost // as good as none then
		})
		if len(counting) > 0 {
			first := slices.MinFunc(counting, func(a, b Deal) int { return compareItems(a.ID, b.ID) })
			g.add(CRMDeal, "", string(first.Stage), len(counting), 0)
		}
		if foreign := deal.Currency != "" && i.Currency != "" && deal.Currency != i.Currency; foreign && deal.Revenue != 0 {
			g.add(CRMRevenue, "", strconv.FormatInt(deal.Revenue, 10)+" "+string(deal.Currency), 1, 0)
		} else {
			g.amount(CRMRevenue, "", deal.Revenue)
		}
	}
	for _, cart := range c.Carts {
		open := cart.Stage == DealAbandoned || cart.Stage == DealOpen
		if open && (i.cartsDue() || i.Order == "") {
			g.add(CRMCarts, cart.ID, string(cart.Stage), 1, 0)
		}
	}
}

// mail counts messages per template and occasion. A second recipient makes no
// second message: what counts twice was sent twice.
func (g *gathering) mail(messages []Message) {
	for n, m := range messages {
		same := func(other Message) bool {
			return other.Template == m.Template && other.Occasion == m.Occasion
		}
		if slices.ContainsFunc(messages[:n], same) {
			continue
		}
		count := 0
		for _, other := range messages {
			if same(other) {
				count++
			}
		}
		g.add(MailField(m.Template), strconv.Itoa(m.Occasion), "1", count, 0)
	}
}
