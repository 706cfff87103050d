package reconcile

import (
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Default returns the built-in policy. Every field is in report mode: an
// operator switches kinds to what they allow once they have seen what would be
// done.
func Default() Policy {
	p := Policy{
		PayWindow:    30 * time.Minute,
		PayWindows:   defaultPayWindows(),
		ReturnWindow: 30 * 24 * time.Hour,
		Horizon:      14 * 24 * time.Hour,
		MailWithin:   24 * time.Hour,
		AnswerWithin: 48 * time.Hour,
		InboxAfter:   time.Hour,
		CoolDown:     15 * time.Minute,
	}
	for _, f := range Fields() {
		p.Rules = append(p.Rules, defaultRule(f))
	}
	return p
}

// defaultPayWindows returns how long the payments take that nobody finishes at
// the checkout. The numbers are Stripe's, from the pages of its methods
// (docs.stripe.com/payments/…) and of its API: how long a voucher lives if
// nothing else was asked for, and how long a bank may take to answer. Each has
// some days more for weekends and late notices. A window that is too long does
// little harm: what the gateway itself calls expired or failed has the
// PayWindow again. Cards are not listed, so they have it too.
func defaultPayWindows() []MethodWindow {
	const day = 24 * time.Hour
	return []MethodWindow{
		{"acss_debit", 10 * day},       // micro-deposits are verified within ten days; the debit takes five business days
		{"au_becs_debit", 7 * day},     // three business days
		{"bacs_debit", 10 * day},       // six business days
		{"boleto", 7 * day},            // the voucher lives three days; paid, it is told a business day later
		{"customer_balance", 28 * day}, // a bank transfer never expires at Stripe; four weeks are what shops grant
		{"konbini", 5 * day},           // the voucher lives three days
		{"multibanco", 14 * day},       // the voucher lives a week; paid, it may be told days later
		{"oxxo", 7 * day},              // the voucher lives three days; paid, it is told a business day later
		{"pix", 25 * time.Hour},        // the code lives a day
		{"sepa_debit", 14 * day},       // most debits are settled within six business days
		{"us_bank_account", 10 * day},  // as acss_debit; the debit takes four business days
	}
}

// defaultRule returns the built-in rule of one field: what all have in common,
// and then what is its own.
func defaultRule(f Field) Rule {
	r := Rule{
		Field: f, Authority: string(f.System()), Strength: EnforceOurs,
		Settling: 30 * time.Second, NoticeWithin: 15 * time.Minute,
		Mode: ModeReport, Allows: ModeAuto, MaxCount: 50, CaseDeadline: 24 * time.Hour,
	}
	switch f.System() {
	case order.SystemPayment:
		paymentRule(&r)
	case order.SystemInventory:
		r.Followers = []order.System{order.SystemWarehouse}
		// What the customer was promised is promised again, whoever deleted it.
		r.Strength = Enforce
		if f == InventoryLevel { // what lies there is counted, whatever inventory says
			r.Authority, r.Followers = string(order.SystemWarehouse), []order.System{order.SystemInventory}
		}
	case order.SystemWarehouse:
		warehouseRule(&r)
	case order.SystemERP:
		erpRule(&r)
	case order.SystemCRM:
		crmRule(&r)
	case order.SystemMail:
		// The journal shows a message only after its own lag, and a second mail
		// cannot be taken back: so it settles long, and what was sent is adopted.
		r.Strength, r.Settling = AdoptTheirs, time.Minute
	}
	if !f.repaired() {
		r.MaxCount, r.MaxMoney = 0, 0
	}
	return r
}

// paymentRule: the gateway decides what money moved. What it took or gave back
// is adopted; only what our own rules already decided is done again.
func paymentRule(r *Rule) {
	r.Strength, r.MaxMoney, r.CaseDeadline = AdoptTheirs, 1_000_000, 4*time.Hour
	switch r.Field {
	case PaymentHeld:
		r.Followers = []order.System{order.SystemWarehouse}
		r.Allows = ModeAsk
	case PaymentCaptured:
		r.Followers = []order.System{order.SystemERP, order.SystemCRM}
	case PaymentRefunded:
		r.Followers = []order.System{order.SystemERP, order.SystemCRM, order.SystemMail}
	case PaymentDisputed:
		r.Followers = []order.System{order.SystemERP, order.SystemWarehouse}
		r.Allows = ModeAsk
	case PaymentOpen, PaymentAttempts:
		r.Authority, r.Strength, r.MaxCount = RightOrder, Enforce, 20
	}
}

// warehouseRule: goods that moved cannot be moved back by a program; only a
// request that was lost, or that nobody wants any more, is put right.
func warehouseRule(r *Rule) {
	r.Followers = []order.System{order.SystemInventory, order.SystemPayment, order.SystemERP}
	r.CaseDeadline = 4 * time.Hour
	switch r.Field {
	case WarehouseShipment:
		// What is paid for is requested again, whoever deleted the request.
		r.Strength, r.MaxCount = Enforce, 20
	case WarehouseLines, WarehouseShipped, WarehouseDuplicate:
		r.Strength, r.Allows = AdoptTheirs, ModeAsk
	case WarehouseTracking:
		// What the customer was told stands in a mail, which nobody takes back.
		r.Followers = []order.System{order.SystemMail}
		r.Strength, r.Allows = AdoptTheirs, ModeAsk
	case WarehouseReturn:
		// What comes back is a fact; only our announcement of it is made again.
		r.Strength, r.MaxCount = Enforce, 20
	}
}

// erpRule: what is missing is booked; what is booked is never changed.
func erpRule(r *Rule) {
	r.Settling = time.Minute
	if r.Field == ERPBalance {
		r.Strength, r.Allows = AdoptTheirs, ModeAsk
	}
}

// crmRule: the contact is theirs, the order's own deal is ours.
func crmRule(r *Rule) {
	switch r.Field {
	case CRMContact:
		r.Strength = FillEmpty
	case CRMDeal, CRMRevenue, CRMCarts:
		r.Authority, r.Strength = RightOrder, Enforce
	}
}
