package reconcile

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// question is one row of a verdict: the fields that it groups, and how each
// system that knows of it answers.
type question struct {
	field    string
	right    string
	expected string
	fields   []Field
	answers  []answer
	always   bool // a row even when nothing is expected and nothing is there
	// only narrows the breaks of fields that two rows share; nil takes them all.
	only func(b Break) bool
}

// about says that a break belongs to the question.
func (q question) about(b Break) bool {
	return slices.Contains(q.fields, b.Field) && (q.only == nil || q.only(b))
}

// givenBack tells a receipt of a refund from one of a capture.
func givenBack(b Break) bool {
	return b.Field == ERPReceipts && (number(b.Expected) < 0 || number(b.Observed) < 0)
}

// answer is how one system's records answer a question.
type answer struct {
	system order.System
	say    func(o Observation) string // "" when there is nothing
}

const nothing = "-"

// rows puts every question to every system that knows of it.
func (x *judging) rows() []Row {
	var rows []Row
	for _, q := range x.questions() {
		row := Row{Field: q.field, Expected: orDash(q.expected), Right: q.right, State: "agreed"}
		something := q.always || q.expected != ""
		for _, a := range q.answers {
			cell := x.cell(q, a)
			row.Cells = append(row.Cells, cell)
			something = something || cell.Value != nothing && cell.Value != unknown
		}
		x.state(q, &row)
		if something || row.State == "disagrees" || row.State == "settling" {
			rows = append(rows, row)
		}
	}
	return rows
}

// unknown is the value of a system that was never read.
const unknown = "?"

func (x *judging) cell(q question, a answer) Cell {
	cell := Cell{System: a.system, Value: unknown}
	o, found := x.observation(a.system)
	if !found {
		return cell
	}
	memory, readable := o.lastKnown()
	if !readable {
		return cell
	}
	cell.Value, cell.Age = orDash(a.say(memory)), max(0, x.now.Sub(memory.At))
	cell.Agrees = o.State != Unreadable && !x.differs(q, a.system)
	return cell
}

// differs says that a system has a break or a settling difference in a row.
func (x *judging) differs(q question, s order.System) bool {
	return slices.ContainsFunc(x.comparison.Breaks, func(b Break) bool { return b.System == s && q.about(b) }) ||
		slices.ContainsFunc(x.comparison.Settling, func(t Settling) bool { return t.Break.System == s && q.about(t.Break) })
}

// state says whether a row agrees, since when not, and what happens next.
func (x *judging) state(q question, row *Row) {
	for _, a := range q.answers {
		o, found := x.observation(a.system)
		switch {
		case found && o.State == Unreadable:
			row.State, row.Next = "unreadable", "the "+string(a.system)+" system is asked again"
		case (!found || x.settling(a.system)) && row.State == "agreed" && x.cares(a.system, true):
			row.State = "settling"
		}
	}
	for _, t := range x.comparison.Settling {
		if q.about(t.Break) {
			row.State, row.Next = "settling", "judged in "+age(t.Until.Sub(x.now))
		}
	}
	for _, b := range x.comparison.Breaks {
		if !q.about(b) {
			continue
		}
		row.State = "disagrees"
		if row.Since.IsZero() || b.FirstSeen.Before(row.Since) {
			row.Since, row.Next = b.FirstSeen, x.next(b)
		}
	}
}

// next says what happens next about a break.
func (x *judging) next(b Break) string {
	for _, k := range x.cases {
		if k.Step.Break.Place() == b.Place() {
			return "case " + strconv.Itoa(k.N) + " waits for a person, " + remaining(k.Deadline.Sub(x.now))
		}
	}
	next := ""
	for _, s := range x.steps {
		if s.Break.ID() != b.ID() {
			continue
		}
		switch s.Decision {
		case Repair:
			next = "repaired at the next run: " + s.what()
		case Adopt:
			next = "adopted at the next run: " + s.what()
		case Ask:
			next = "a person will be asked: " + s.Why
		case Report:
			next = "reported: " + s.Why
		case Ignore:
			next = "ignored"
		}
	}
	if b.Confirmed.IsZero() && next != "" {
		return "read again to be sure, then " + next
	}
	return next
}

func remaining(d time.Duration) string {
	if d <= 0 {
		return "overdue for " + age(-d)
	}
	return age(d) + " left"
}

// money writes minor units; nothing for 0.
func (x *judging) money(minor int64) string {
	if minor == 0 {
		return ""
	}
	return order.Amount{Minor: minor, Currency: x.intent.Currency}.String()
}

func (x *judging) questions() []question {
	questions := x.moneyQuestions()
	questions = append(questions, x.goodsQuestions()...)
	questions = append(questions, x.booksQuestions()...)
	questions = append(questions, x.crmQuestions()...)
	return append(questions, x.mailQuestions()...)
}

// gateway answers from what the attempts add up to.
func (x *judging) gateway(pick func(m money) int64) answer {
	return answer{order.SystemPayment, func(o Observation) string {
		return x.money(pick(moneyOf(x.intent, of(o.Payment).Attempts)))
	}}
}

func (x *judging) books(pick func(e ERP) int64) answer {
	return answer{order.SystemERP, func(o Observation) string { return x.money(pick(of(o.ERP))) }}
}

func (x *judging) moneyQuestions() []question {
	i := x.intent
	return []question{
		{
			field: "money authorized", right: x.right(PaymentHeld), expected: x.money(i.Held), fields: []Field{PaymentHeld}, always: true,
			answers: []answer{x.gateway(func(m money) int64 { return m.held })},
		},
		{
			field: "attempts open", right: x.right(PaymentOpen), expected: x.openAttempts(), fields: []Field{PaymentOpen, PaymentAttempts}, always: true,
			answers: []answer{{order.SystemPayment, x.attempts}},
		},
		{
			field: "money captured", right: x.right(PaymentCaptured), expected: x.money(i.Captured), always: true,
			fields: []Field{PaymentCaptured, ERPReceipts, CRMRevenue},
			only:   func(b Break) bool { return !givenBack(b) },
			answers: []answer{
				x.gateway(func(m money) int64 { return m.captured }),
				x.books(func(e ERP) int64 { in, _ := receipts(e); return in }),
				{order.SystemCRM, x.revenue},
			},
		},
		{
			field: "money refunded", right: x.right(PaymentRefunded), expected: x.money(i.Refunded), always: true,
			fields: []Field{PaymentRefunded, ERPReceipts},
			only:   func(b Break) bool { return b.Field == PaymentRefunded || givenBack(b) },
			answers: []answer{
				{order.SystemPayment, x.givenBack},
				x.books(func(e ERP) int64 { _, out := receipts(e); return out }),
			},
		},
		{
			field: "money in dispute", right: x.right(PaymentDisputed), fields: []Field{PaymentDisputed},
			answers: []answer{x.gateway(func(m money) int64 { return m.disputed })},
		},
	}
}

// givenBack says what the gateway gave back, and which of it is not final or
// was not given back after all.
func (x *judging) givenBack(o Observation) string {
	attempts := of(o.Payment).Attempts
	text := x.money(moneyOf(x.intent, attempts).refunded)
	for _, state := range []RefundState{RefundPending, RefundFailed} {
		if n := refundsIn(x.intent, attempts, state); n > 0 {
			text = orDash(text) + " (" + order.FormatMinor(n, x.intent.Currency) + " " + string(state) + ")"
		}
	}
	return text
}

// refundsIn adds up the refunds in one state.
func refundsIn(i Intent, attempts []Attempt, state RefundState) int64 {
	sum := int64(0)
	for _, a := range attempts {
		for _, r := range a.Refunds {
			if r.State == state && !foreign(i, a) {
				sum += r.Amount
			}
		}
	}
	return sum
}

// right returns who is right about a field.
func (x *judging) right(f Field) string { return x.policy.Rule(f).Authority }

// attempts counts those that can still take money.
func (x *judging) attempts(o Observation) string {
	open := 0
	for _, a := range of(o.Payment).Attempts {
		if a.takesMoney() || a.Held > 0 {
			open++
		}
	}
	if open == 0 {
		return ""
	}
	return strconv.Itoa(open)
}

// openAttempts is how many attempts should be able to take money: the one that
// holds it, or that the customer is paying with.
func (x *judging) openAttempts() string {
	if x.intent.Held > 0 || x.intent.Paying {
		return "1"
	}
	return ""
}

// revenue of the order's deal, which is what was captured less what was given
// back.
func (x *judging) revenue(o Observation) string {
	deals := of(o.CRM).Deals
	if len(deals) == 0 {
		return ""
	}
	text := x.money(deals[0].Revenue)
	if c := deals[0].Currency; c != "" && deals[0].Revenue != 0 {
		text = order.Amount{Minor: deals[0].Revenue, Currency: c}.String()
	}
	if x.intent.Refunded > 0 && text != "" {
		text += " net"
	}
	return text
}

// receipts adds up the posted ones: money in, and money given back.
func receipts(e ERP) (in, out int64) {
	for _, d := range e.Receipts {
		switch {
		case d.State != DocumentPosted:
		case d.Total > 0:
			in += d.Total
		default:
			out -= d.Total
		}
	}
	return in, out
}

func (x *judging) goodsQuestions() []question {
	var requested, shipped []order.Quantity
	var back []stated
	for _, s := range x.intent.Shipments {
		requested = append(requested, s.Lines...)
		if s.State.out() {
			shipped = append(shipped, s.Lines...)
		}
	}
	for _, r := range x.intent.Returns {
		back = append(back, stated{r.State, r.Lines})
	}
	lines := func(of func(o Observation) []order.Quantity) func(o Observation) string {
		return func(o Observation) string { return canonicalLines(of(o)) }
	}
	return []question{
		{
			field: "goods reserved", right: x.right(InventoryReserved), expected: canonicalLines(x.intent.Reserved),
			fields: []Field{InventoryReserved}, always: true,
			answers: []answer{{order.SystemInventory, lines(reserved)}},
		},
		{
			field: "goods requested", right: x.right(WarehouseShipment), expected: canonicalLines(requested),
			fields: []Field{WarehouseShipment, WarehouseLines, WarehouseDuplicate}, always: true,
			answers: []answer{{order.SystemWarehouse, lines(func(o Observation) []order.Quantity { return inWarehouse(o, ShipmentRequested) })}},
		},
		{
			field: "goods shipped", right: x.right(WarehouseShipped), expected: canonicalLines(shipped),
			fields: []Field{WarehouseShipped}, always: true,
			answers: []answer{{order.SystemWarehouse, lines(func(o Observation) []order.Quantity { return inWarehouse(o, ShipmentShipped) })}},
		},
		{
			field: "tracking told", right: x.right(WarehouseTracking), expected: trackingText(x.intent.Shipments), fields: []Field{WarehouseTracking},
			answers: []answer{{order.SystemWarehouse, func(o Observation) string {
				by := slices.Clone(x.intent.Shipments)
				for n, s := range by {
					by[n] = s.following(of(o.Warehouse).Shipments)
				}
				return trackingText(by)
			}}},
		},
		{
			field: "goods returned", right: x.right(WarehouseReturn), expected: returnsText(back), fields: []Field{WarehouseReturn},
			answers: []answer{{order.SystemWarehouse, func(o Observation) string {
				var back []stated
				for _, r := range of(o.Warehouse).Returns {
					back = append(back, stated{r.State, r.Lines})
				}
				return returnsText(back)
			}}},
		},
	}
}

// trackingText is by which numbers all parcels are followed that the customer was told of.
func trackingText(all []ShipmentIntent) string {
	var told ShipmentIntent
	for _, s := range all {
		told.Told = append(told.Told, s.Told...)
	}
	return told.numbers()
}

// stated is goods on their way back, and how far they have come.
type stated struct {
	state ReturnState
	lines []order.Quantity
}

// returnsText writes what comes back and what has come, as "A×1 expected, B×1
// restocked".
func returnsText(back []stated) string {
	var parts []string
	for _, state := range []ReturnState{ReturnExpected, ReturnReceived, ReturnRestocked} {
		var lines []order.Quantity
		for _, s := range back {
			if s.state == state {
				lines = append(lines, s.lines...)
			}
		}
		if text := canonicalLines(lines); text != "" {
			parts = append(parts, text+" "+string(state))
		}
	}
	return strings.Join(parts, ", ")
}

func reserved(o Observation) []order.Quantity {
	var all []order.Quantity
	for _, r := range of(o.Inventory).Reservations {
		all = append(all, order.Quantity{SKU: r.SKU, Quantity: r.Quantity})
	}
	return all
}

// inWarehouse returns what is in live shipments that have come at least so far.
func inWarehouse(o Observation, least ShipmentState) []order.Quantity {
	var all []order.Quantity
	for _, s := range of(o.Warehouse).Shipments {
		if s.State.Rank() >= least.Rank() {
			all = append(all, s.Lines...)
		}
	}
	return all
}

func (x *judging) booksQuestions() []question {
	i := x.intent
	var sale, invoiced, credited, received int64
	if i.Sale != nil {
		sale = i.Sale.Total
	}
	for _, d := range i.Invoices {
		invoiced += d.Total
	}
	for _, d := range i.Credits {
		credited += magnitude(d.Total)
	}
	for _, d := range i.Receipts {
		received += d.Total
	}
	document := func(field string, f Field, expected int64, of func(e ERP) []Document) question {
		return question{
			field: field, right: x.right(f), expected: x.money(expected), fields: []Field{f}, always: f == ERPSale || f == ERPInvoices,
			answers: []answer{x.books(func(e ERP) int64 { return total(f, of(e)) })},
		}
	}
	return []question{
		document("sale", ERPSale, sale, func(e ERP) []Document { return e.Sales }),
		document("invoiced", ERPInvoices, invoiced, func(e ERP) []Document { return e.Invoices }),
		document("credited", ERPCredits, credited, func(e ERP) []Document { return e.Credits }),
		{
			field: "customer owes", right: x.right(ERPBalance), expected: x.money(invoiced - credited - received),
			fields: []Field{ERPBalance}, always: true,
			answers: []answer{x.books(func(e ERP) int64 { return e.Balance })},
		},
	}
}

func (x *judging) crmQuestions() []question {
	i := x.intent
	contact, cart := "", ""
	if i.Deal != "" {
		contact = "1"
	}
	if i.cartsDue() {
		cart = "closed"
	}
	return []question{
		{
			field: "contact", right: x.right(CRMContact), expected: contact, fields: []Field{CRMContact}, always: true,
			answers: []answer{{order.SystemCRM, func(o Observation) string { return countText(len(of(o.CRM).Contacts)) }}},
		},
		{
			field: "deal", right: x.right(CRMDeal), expected: string(i.Deal), fields: []Field{CRMDeal}, always: true,
			answers: []answer{{order.SystemCRM, func(o Observation) string {
				var stages []string
				for _, d := range of(o.CRM).Deals {
					stages = append(stages, string(d.Stage))
				}
				return strings.Join(stages, " ")
			}}},
		},
		{
			field: "cart", right: x.right(CRMCarts), expected: cart, fields: []Field{CRMCarts},
			answers: []answer{{order.SystemCRM, func(o Observation) string {
				for _, d := range of(o.CRM).Carts {
					if d.Stage == DealAbandoned || d.Stage == DealOpen {
						return string(d.Stage)
					}
				}
				if cart != "" {
					return "closed"
				}
				return ""
			}}},
		},
	}
}

func countText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func (x *judging) mailQuestions() []question {
	var all []question
	for _, t := range Templates() {
		due, givenUp := 0, 0
		for _, m := range x.intent.Mails {
			switch {
			case m.Template == t && m.GivenUp:
				givenUp++
			case m.Template == t:
				due++
			}
		}
		q := question{
			field: string(t) + " sent", right: x.right(MailField(t)), expected: countText(due), fields: []Field{MailField(t)},
			answers: []answer{{order.SystemMail, func(o Observation) string {
				n := 0
				for _, m := range of(o.Mail).Messages {
					if m.Template == t {
						n++
					}
				}
				return countText(n)
			}}},
		}
		if givenUp > 0 {
			q.expected = strings.TrimSpace(q.expected + " (" + strconv.Itoa(givenUp) + " not sent any more)")
		}
		all = append(all, q)
	}
	return all
}

func orDash(s string) string {
	if s == "" {
		return nothing
	}
	return s
}
