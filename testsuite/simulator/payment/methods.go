package payment

import "strings"

// behaviour is how a test payment method behaves.
type behaviour struct {
	kind    string     // of the method: "card", "sepa_debit", …
	decline *errorBody // the charge is declined so
	action  bool       // the customer must act first
	always  bool       // … also for a method that was set up for later
	async   bool       // a bank answers later
	noHold  bool       // cannot be captured by hand
	waits   string     // for days, for the customer to pay elsewhere: the next action
	review  bool       // a review is opened
	dispute string     // the payment is disputed, with this status
	refund  string     // its refunds are "pending" first, or "failed" in the end
}

// The next actions of methods that wait for days.
const (
	transferInstructions = "display_bank_transfer_instructions"
	oxxoVoucher          = "oxxo_display_details"
)

// tokens are Stripe's test methods that behave in their own way; pm_async,
// pm_bank_transfer and pm_oxxo are ours. Other pm_card_… are cards that simply
// work.
var tokens = map[string]behaviour{
	"pm_card_chargeDeclined":                       declines("card_declined", "generic_decline"),
	"pm_card_visa_chargeDeclined":                  declines("card_declined", "generic_decline"),
	"pm_card_chargeCustomerFail":                   declines("card_declined", "generic_decline"),
	"pm_card_chargeDeclinedInsufficientFunds":      declines("card_declined", "insufficient_funds"),
	"pm_card_visa_chargeDeclinedInsufficientFunds": declines("card_declined", "insufficient_funds"),
	"pm_card_chargeDeclinedLostCard":               declines("card_declined", "lost_card"),
	"pm_card_visa_chargeDeclinedLostCard":          declines("card_declined", "lost_card"),
	"pm_card_chargeDeclinedStolenCard":             declines("card_declined", "stolen_card"),
	"pm_card_visa_chargeDeclinedStolenCard":        declines("card_declined", "stolen_card"),
	"pm_card_chargeDeclinedFraudulent":             declines("card_declined", "fraudulent"),
	"pm_card_chargeDeclinedExpiredCard":            declines("expired_card", ""),
	"pm_card_chargeDeclinedIncorrectCvc":           declines("incorrect_cvc", ""),
	"pm_card_chargeDeclinedProcessingError":        declines("processing_error", ""),
	"pm_card_authenticationRequired":               {kind: "card", action: true, always: true},
	"pm_card_authenticationRequiredOnSetup":        {kind: "card", action: true},
	"pm_card_threeDSecure2Required":                {kind: "card", action: true},
	"pm_card_threeDSecureRequired":                 {kind: "card", action: true},
	"pm_card_riskLevelElevated":                    {kind: "card", review: true},
	"pm_card_createDispute":                        {kind: "card", dispute: "needs_response"},
	"pm_card_createDisputeInquiry":                 {kind: "card", dispute: "warning_needs_response"},
	"pm_card_pendingRefund":                        {kind: "card", refund: "pending"},
	"pm_card_refundFail":                           {kind: "card", refund: "failed"},
	"pm_sepa_debit":                                {kind: "sepa_debit", async: true, noHold: true},
	"pm_usBankAccount":                             {kind: "us_bank_account", async: true, noHold: true},
	"pm_async":                                     {kind: "async", async: true},
	"pm_bank_transfer":                             {kind: "customer_balance", waits: transferInstructions, noHold: true},
	"pm_oxxo":                                      {kind: "oxxo", waits: oxxoVoucher, noHold: true},
}

func declines(code, declineCode string) behaviour {
	return behaviour{kind: "card", decline: &errorBody{
		Type: "card_error", Code: code, DeclineCode: declineCode, Message: "Your card was declined.",
	}}
}

// method returns the method of an id or token, made anew for a token as Stripe
// does, and how it behaves.
func (w *world) method(id string) (*method, behaviour, *apiError) {
	m, err := get[method](w, "payment_method", id)
	if err != nil {
		return nil, behaviour{}, internal(err)
	}
	if m != nil {
		b := tokens[m.Token]
		b.kind = kindOf(m)
		return m, b, nil
	}
	b, ok := tokens[id]
	if !ok && !strings.HasPrefix(id, "pm_card_") {
		return nil, behaviour{}, invalidRequest("resource_missing", "payment_method", "No such PaymentMethod: '"+id+"'")
	}
	if !ok {
		b.kind = "card"
	}
	m = &method{Token: id, Created: w.now()}
	if m.ID, err = w.next("pm"); err != nil {
		return nil, behaviour{}, internal(err)
	}
	return m, b, nil
}
