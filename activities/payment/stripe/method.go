package stripe

import (
	api "github.com/stripe/stripe-go/v85"
)

// nextAction is what a next action tells of how an attempt is paid.
type nextAction struct {
	method string // the kind of payment, where only one has this action
	days   bool   // the customer pays elsewhere, which takes days: no challenge
}

// nextActions are the next actions that tell something. The others, as
// redirect_to_url, are of many kinds, and the customer is at it right now.
var nextActions = map[api.PaymentIntentNextActionType]nextAction{
	"alipay_handle_redirect":                     {method: "alipay"},
	"boleto_display_details":                     {method: "boleto", days: true},
	"card_await_notification":                    {method: "card", days: true},
	"cashapp_handle_redirect_or_display_qr_code": {method: "cashapp"},
	"display_bank_transfer_instructions":         {method: "customer_balance", days: true},
	"konbini_display_details":                    {method: "konbini", days: true},
	"multibanco_display_details":                 {method: "multibanco", days: true},
	"oxxo_display_details":                       {method: "oxxo", days: true},
	"paynow_display_qr_code":                     {method: "paynow"},
	"pix_display_qr_code":                        {method: "pix", days: true},
	"promptpay_display_qr_code":                  {method: "promptpay"},
	"swish_handle_redirect_or_display_qr_code":   {method: "swish"},
	"upi_handle_redirect_or_display_qr_code":     {method: "upi"},
	"verify_with_microdeposits":                  {days: true},
	"wechat_pay_display_qr_code":                 {method: "wechat_pay"},
	"wechat_pay_redirect_to_android_app":         {method: "wechat_pay"},
	"wechat_pay_redirect_to_ios_app":             {method: "wechat_pay"},
}

// acting is the next action of a PaymentIntent that waits for its customer.
func acting(pi *api.PaymentIntent) nextAction {
	if pi.Status != api.PaymentIntentStatusRequiresAction || pi.NextAction == nil {
		return nextAction{}
	}
	return nextActions[pi.NextAction.Type]
}

// methodOf is the kind of payment of a PaymentIntent, as far as the record tells
// by itself, and "" while the customer may choose. What the customer has to do now comes before the latest charge,
// which may be of a method that was declined before.
func methodOf(pi *api.PaymentIntent) string {
	const longest = 40
	if pi.Status == api.PaymentIntentStatusRequiresPaymentMethod && pi.LastPaymentError != nil {
		return "" // that method has failed, and the customer may choose another
	}
	if next := acting(pi); next.method != "" {
		return next.method
	}
	if c := pi.LatestCharge; c != nil && c.PaymentMethodDetails != nil && c.PaymentMethodDetails.Type != "" {
		return clip(string(c.PaymentMethodDetails.Type), longest)
	}
	if m := pi.PaymentMethod; m != nil && m.Type != "" { // only where it is expanded
		return clip(string(m.Type), longest)
	}
	if len(pi.PaymentMethodTypes) == 1 {
		return clip(pi.PaymentMethodTypes[0], longest)
	}
	return ""
}

// pageOf is the page on which the customer goes on.
func pageOf(next *api.PaymentIntentNextAction) string {
	switch {
	case next.RedirectToURL != nil:
		return next.RedirectToURL.URL
	case next.DisplayBankTransferInstructions != nil:
		return next.DisplayBankTransferInstructions.HostedInstructionsURL
	case next.BoletoDisplayDetails != nil:
		return next.BoletoDisplayDetails.HostedVoucherURL
	case next.KonbiniDisplayDetails != nil:
		return next.KonbiniDisplayDetails.HostedVoucherURL
	case next.MultibancoDisplayDetails != nil:
		return next.MultibancoDisplayDetails.HostedVoucherURL
	case next.OXXODisplayDetails != nil:
		return next.OXXODisplayDetails.HostedVoucherURL
	case next.PixDisplayQRCode != nil:
		return next.PixDisplayQRCode.HostedInstructionsURL
	case next.VerifyWithMicrodeposits != nil:
		return next.VerifyWithMicrodeposits.HostedVerificationURL
	}
	return ""
}
