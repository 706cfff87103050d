package payment

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

var currencyCode = regexp.MustCompile(`^[a-z]{3}$`)

// Stripe's special cases.
var (
	twoZeros     = []string{"isk"} // written with two decimals that must be zero
	threeDecimal = []string{"bhd", "jod", "kwd", "omr", "tnd"}
)

func createIntent(w *world, p *params) (any, *apiError) {
	if e := p.allow("amount", "automatic_payment_methods[enabled]", "automatic_payment_methods[allow_redirects]", "capture_method",
		"confirm", "currency", "customer", "description", "expand", "metadata[]", "off_session", "payment_method",
		"payment_method_options[card][request_multicapture]", "payment_method_types", "return_url", "setup_future_usage"); e != nil {
		return nil, e
	}
	pi, e := w.newIntent(p)
	if e != nil {
		return nil, e
	}
	confirm, e := p.bool("confirm", false)
	if e != nil {
		return nil, e
	}
	offSession, e := p.bool("off_session", false)
	if e != nil {
		return nil, e
	}
	if offSession && !confirm {
		return nil, invalidRequest("", "off_session", "off_session can only be used with confirm=true.")
	}
	if p.has("return_url") && !confirm {
		return nil, invalidRequest("", "return_url", "return_url can only be used with confirm=true.")
	}
	if confirm && pi.PaymentMethod == nil {
		return nil, invalidRequest("payment_intent_unexpected_state", "", "You cannot confirm this PaymentIntent because it's missing a payment method.")
	}
	if pi.PaymentMethod != nil {
		pi.Status = "requires_confirmation"
	}
	if err := w.save(pi, "payment_intent.created"); err != nil {
		return nil, internal(err)
	}
	if confirm {
		if e := w.confirm(pi, p, offSession); e != nil {
			return nil, e
		}
	}
	return w.render(pi, p)
}

// newIntent reads the parameters of a PaymentIntent that is not confirmed yet.
func (w *world) newIntent(p *params) (*intent, *apiError) {
	amount, e := p.amount("amount", nil)
	if e != nil {
		return nil, e
	}
	currency := p.form.Get("currency")
	if currency == "" {
		return nil, invalidRequest("parameter_missing", "currency", "Missing required param: currency.")
	}
	if e := checkAmount(amount, currency); e != nil {
		return nil, e
	}
	capture := p.form.Get("capture_method")
	if !slices.Contains([]string{"", "automatic", "automatic_async", "manual"}, capture) {
		return nil, invalidRequest("", "capture_method", "Invalid capture_method")
	}
	if capture == "" {
		capture = "automatic_async"
	}
	id, err := w.next("pi")
	if err != nil {
		return nil, internal(err)
	}
	pi := &intent{
		ID: id, Object: "payment_intent", Amount: p.partial(amount), CaptureMethod: capture, ConfirmationMethod: "automatic",
		ClientSecret: id + "_secret_simulated", Created: w.now(), Currency: currency, Livemode: w.s.settings.LiveMode,
		Metadata: p.metadata(nil), PaymentMethodOptions: map[string]any{}, PaymentMethodTypes: []string{"card"},
		Status: "requires_payment_method",
	}
	if v := p.form.Get("payment_method_options[card][request_multicapture]"); v != "" {
		if v != "if_available" && v != "never" {
			return nil, invalidRequest("", "payment_method_options[card][request_multicapture]", "Invalid request_multicapture")
		}
		pi.PaymentMethodOptions["card"] = map[string]any{"request_multicapture": v}
	}
	for name, field := range map[string]**string{
		"customer": &pi.Customer, "description": &pi.Description, "setup_future_usage": &pi.SetupFutureUsage, "payment_method": &pi.PaymentMethod,
	} {
		if v := p.form.Get(name); v != "" {
			*field = &v
		}
	}
	if pi.Customer != nil {
		if e := w.existing(*pi.Customer); e != nil {
			return nil, e
		}
	}
	return pi, nil
}

func checkAmount(amount int64, currency string) *apiError {
	switch {
	case !currencyCode.MatchString(currency):
		return invalidRequest("", "currency", "Invalid currency: "+currency)
	case amount < 1:
		return invalidRequest("amount_too_small", "amount", "This value must be greater than or equal to 1.")
	case amount > 99999999 && currency != "idr" && currency != "cop" && currency != "huf" && currency != "jpy":
		return invalidRequest("amount_too_large", "amount", "Amount must be no more than 999,999.99")
	case slices.Contains(twoZeros, currency) && amount%100 != 0:
		return invalidRequest("invalid_charge_amount_no_decimal_compatible", "amount", "Invalid amount. Charged amounts must be evenly divisible by 100.")
	case slices.Contains(threeDecimal, currency) && amount%10 != 0:
		return invalidRequest("invalid_charge_amount", "amount", "Invalid amount. The last digit must be 0.")
	}
	return nil
}

// save stores a PaymentIntent and tells of it.
func (w *world) save(pi *intent, events ...string) error {
	if err := w.put(pi); err != nil {
		return err
	}
	for _, t := range events {
		if err := w.emit(t, pi, *pi); err != nil {
			return err
		}
	}
	return nil
}

func updateIntent(id string) func(*world, *params) (any, *apiError) {
	return func(w *world, p *params) (any, *apiError) {
		pi, e := w.intent(id)
		if e != nil {
			return nil, e
		}
		if e := p.allow("amount", "description", "expand", "metadata[]", "payment_method", "currency", "setup_future_usage"); e != nil {
			return nil, e
		}
		if p.fault == simulator.Rejected {
			return nil, unexpected(pi, "This PaymentIntent could not be updated.")
		}
		pi.Metadata = p.metadata(pi.Metadata)
		if p.has("amount") {
			if !slices.Contains([]string{"requires_payment_method", "requires_confirmation", "requires_action"}, pi.Status) {
				return nil, unexpected(pi, "This PaymentIntent's amount could not be updated because it has a status of "+pi.Status+".")
			}
			n, e := p.amount("amount", nil)
			if e != nil {
				return nil, e
			}
			pi.Amount = n
		}
		if v := p.form.Get("payment_method"); v != "" {
			pi.PaymentMethod, pi.Status = &v, "requires_confirmation"
		}
		if err := w.save(pi); err != nil {
			return nil, internal(err)
		}
		// An order's reference is new to those records too that are found by it.
		if _, err := w.tx.Exec(`UPDATE objects SET order_id = ? WHERE intent = ?`, pi.order(), pi.ID); err != nil {
			return nil, internal(err)
		}
		if err := w.note(order.Authorize, pi, pi.ID, 0, "updated"); err != nil {
			return nil, internal(err)
		}
		return w.render(pi, p)
	}
}

func confirmIntent(id string) func(*world, *params) (any, *apiError) {
	return func(w *world, p *params) (any, *apiError) {
		pi, e := w.intent(id)
		if e != nil {
			return nil, e
		}
		if e := p.allow("expand", "off_session", "payment_method", "return_url", "setup_future_usage"); e != nil {
			return nil, e
		}
		if v := p.form.Get("payment_method"); v != "" {
			pi.PaymentMethod = &v
		}
		if !slices.Contains([]string{"requires_payment_method", "requires_confirmation", "requires_action"}, pi.Status) || pi.PaymentMethod == nil {
			return nil, unexpected(pi, "You cannot confirm this PaymentIntent because it has a status of "+pi.Status+".")
		}
		offSession, e := p.bool("off_session", false)
		if e != nil {
			return nil, e
		}
		if e := w.confirm(pi, p, offSession); e != nil {
			return nil, e
		}
		return w.render(pi, p)
	}
}

// confirm tries to pay with the PaymentIntent's method. An error leaves it open.
func (w *world) confirm(pi *intent, p *params, offSession bool) *apiError {
	m, b, e := w.method(*pi.PaymentMethod)
	if e != nil {
		return e
	}
	if b.noHold && pi.CaptureMethod == "manual" {
		return invalidRequest("payment_intent_incompatible_payment_method", "payment_method", "The payment method "+b.kind+" cannot be captured manually.")
	}
	if e := w.chargeable(pi, m); e != nil {
		return e
	}
	known := m.Reusable
	if m.UsedBy == "" {
		m.UsedBy = pi.ID
	}
	if err := w.put(m); err != nil {
		return internal(err)
	}
	pi.PaymentMethod, pi.PaymentMethodTypes = &m.ID, []string{b.kind}
	decline := b.decline
	switch {
	case p.fault == simulator.Rejected, offSession && w.s.settings.DeclineOffSession:
		decline = declines("card_declined", "generic_decline").decline
	case b.action && offSession && (b.always || !known):
		decline = &errorBody{Type: "card_error", Code: "authentication_required", DeclineCode: "authentication_required",
			Message: "Your card was declined. This transaction requires authentication."}
	}
	switch {
	case decline != nil:
		return w.decline(pi, *decline)
	case b.action && (b.always || !known):
		return w.challenge(pi, p.form.Get("return_url"))
	case b.waits != "":
		return w.instruct(pi, b)
	case b.async:
		pi.Status, pi.NextAction = "processing", nil
		if err := w.save(pi, "payment_intent.processing"); err != nil {
			return internal(err)
		}
		return orInternal(w.note(order.Authorize, pi, pi.ID, 0, "processing"))
	}
	return orInternal(w.succeed(pi, b))
}

func orInternal(err error) *apiError {
	if err != nil {
		return internal(err)
	}
	return nil
}

// decline leaves the PaymentIntent waiting for another method.
func (w *world) decline(pi *intent, why errorBody) *apiError {
	pi.Status, pi.NextAction, pi.PaymentMethod = "requires_payment_method", nil, nil
	failure := why
	pi.LastPaymentError = &failure
	if err := w.save(pi, "payment_intent.payment_failed"); err != nil {
		return internal(err)
	}
	if err := w.note(order.Authorize, pi, pi.ID, 0, "declined: "+why.Code); err != nil {
		return internal(err)
	}
	snapshot := *pi
	why.PaymentIntent = &snapshot
	return &apiError{status: http.StatusPaymentRequired, body: why}
}

func (w *world) challenge(pi *intent, returnURL string) *apiError {
	pi.Status = "requires_action"
	pi.NextAction = &nextAction{Type: "use_stripe_sdk", UseStripeSDK: map[string]any{"type": "three_d_secure_redirect"}}
	if returnURL != "" {
		pi.NextAction = &nextAction{Type: "redirect_to_url", RedirectToURL: &redirect{
			URL: "https://hooks.stripe.example/redirect/" + pi.ID, ReturnURL: returnURL,
		}}
	}
	if err := w.save(pi, "payment_intent.requires_action"); err != nil {
		return internal(err)
	}
	return orInternal(w.note(order.Authorize, pi, pi.ID, 0, "requires_action"))
}

// voucherDays is how many days a voucher lives if nothing else was asked for.
const voucherDays = 3

// instruct tells the customer how to pay elsewhere, which takes days. What the
// method of the PaymentIntent is shows in nothing else: it could still be paid
// by a card.
func (w *world) instruct(pi *intent, b behaviour) *apiError {
	pi.Status, pi.PaymentMethodTypes = "requires_action", []string{"card", b.kind}
	page := "https://payments.stripe.example/" + b.kind + "/" + pi.ID
	pi.NextAction = &nextAction{Type: b.waits}
	switch b.waits {
	case transferInstructions:
		pi.NextAction.BankTransfer = &bankTransfer{
			AmountRemaining: pi.Amount, Currency: pi.Currency, HostedURL: page, Reference: "SIMULATED" + pi.ID, Type: "eu_bank_transfer",
		}
	case oxxoVoucher:
		pi.NextAction.OXXO = &voucher{ExpiresAfter: w.now() + voucherDays*24*60*60, HostedURL: page, Number: "SIMULATED" + pi.ID}
	}
	if err := w.save(pi, "payment_intent.requires_action"); err != nil {
		return internal(err)
	}
	return orInternal(w.note(order.Authorize, pi, pi.ID, 0, "requires_action"))
}

// succeed charges: it holds the amount, or takes it.
func (w *world) succeed(pi *intent, b behaviour) error {
	id, err := w.next("ch")
	if err != nil {
		return err
	}
	manual := pi.CaptureMethod == "manual"
	c := &charge{
		ID: id, Object: "charge", Amount: pi.Amount, Created: w.now(), Currency: pi.Currency, Livemode: pi.Livemode,
		Metadata: pi.Metadata, Paid: true, PaymentIntent: pi.ID, PaymentMethod: pi.PaymentMethod, Status: "succeeded",
		PaymentMethodDetails: methodDetails{Type: b.kind},
	}
	if b.kind == "card" {
		c.PaymentMethodDetails.Card = &cardDetails{Brand: "visa", Last4: "4242", Multicapture: &multicapture{Status: "unavailable"}}
		if manual {
			c.PaymentMethodDetails.Card.CaptureBefore = w.now() + int64(w.s.settings.AuthorizationTTL/time.Second)
			if w.multicaptureAsked(pi) && !w.s.settings.RefuseMulticapture {
				c.PaymentMethodDetails.Card.Multicapture.Status = "available"
			}
		}
	}
	pi.LatestCharge, pi.NextAction, pi.LastPaymentError = &c.ID, nil, nil
	if err := w.setUp(pi); err != nil {
		return err
	}
	if b.review {
		if err := w.openReview(pi, c); err != nil {
			return err
		}
	}
	if manual {
		pi.Status, pi.AmountCapturable = "requires_capture", pi.Amount
		if err := w.put(c); err != nil {
			return err
		}
		if err := w.expireLater(pi); err != nil {
			return err
		}
		if err := w.save(pi, "payment_intent.amount_capturable_updated"); err != nil {
			return err
		}
		return w.note(order.Authorize, pi, pi.ID, pi.Amount, "")
	}
	if err := w.note(order.Authorize, pi, pi.ID, pi.Amount, "at once"); err != nil {
		return err
	}
	return w.take(pi, c, pi.Amount, true)
}

func (w *world) multicaptureAsked(pi *intent) bool {
	card, ok := pi.PaymentMethodOptions["card"].(map[string]any)
	return ok && card["request_multicapture"] == "if_available"
}

// take moves money; final releases what is left.
func (w *world) take(pi *intent, c *charge, amount int64, final bool) error {
	c.AmountCaptured += amount
	c.Captured = true
	pi.AmountReceived += amount
	pi.AmountCapturable = max(0, pi.AmountCapturable-amount)
	events := []string{"payment_intent.amount_capturable_updated"}
	rest := int64(0)
	if final || pi.AmountCapturable == 0 {
		rest = pi.AmountCapturable
		pi.Status, pi.AmountCapturable, events = "succeeded", 0, []string{"payment_intent.succeeded"}
	}
	if err := w.release(pi, c, rest, false); err != nil {
		return err
	}
	if err := w.emit("charge.captured", pi, *c); err != nil {
		return err
	}
	if err := w.save(pi, events...); err != nil {
		return err
	}
	if err := w.note(order.Capture, pi, pi.ID, amount, ""); err != nil {
		return err
	}
	if m, _ := get[method](w, "payment_method", deref(pi.PaymentMethod)); m != nil && tokens[m.Token].dispute != "" {
		_, err := w.openDispute(pi, c, tokens[m.Token].dispute, 0)
		return err
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func captureIntent(id string) func(*world, *params) (any, *apiError) {
	return func(w *world, p *params) (any, *apiError) {
		if e := p.allow("amount_to_capture", "expand", "final_capture", "metadata[]"); e != nil {
			return nil, e
		}
		pi, e := w.intent(id)
		if e != nil {
			return nil, e
		}
		if pi.Status != "requires_capture" {
			return nil, unexpected(pi, fmt.Sprintf("This PaymentIntent could not be captured because it has a status of %s. "+
				"Only a PaymentIntent with one of the following statuses may be captured: requires_capture.", pi.Status))
		}
		c, err := get[charge](w, "charge", deref(pi.LatestCharge))
		if err != nil || c == nil {
			return nil, internal(fmt.Errorf("the charge of %s: %w", pi.ID, err))
		}
		amount, e := p.amount("amount_to_capture", &pi.AmountCapturable)
		if e != nil {
			return nil, e
		}
		final, e := p.bool("final_capture", true)
		if e != nil {
			return nil, e
		}
		several := c.PaymentMethodDetails.Card != nil && c.PaymentMethodDetails.Card.Multicapture.Status == "available"
		switch {
		case p.has("final_capture") && !several:
			return nil, invalidRequest("", "final_capture", "final_capture can only be used when multicapture is available.")
		case amount > pi.AmountCapturable:
			e := invalidRequest("amount_too_large", "amount_to_capture", "The amount to capture is greater than the amount that can be captured.")
			e.early, e.body.PaymentIntent = false, pi
			return nil, e
		case amount < 0, amount == 0 && !(final && pi.AmountReceived > 0):
			return nil, invalidRequest("parameter_invalid_integer", "amount_to_capture", "This value must be greater than or equal to 1.")
		case p.fault == simulator.Rejected:
			return nil, &apiError{status: http.StatusPaymentRequired, body: *declines("card_declined", "generic_decline").decline}
		}
		if err := w.take(pi, c, p.partial(amount), final); err != nil {
			return nil, internal(err)
		}
		return w.render(pi, p)
	}
}

func cancelIntent(id string) func(*world, *params) (any, *apiError) {
	return func(w *world, p *params) (any, *apiError) {
		if e := p.allow("cancellation_reason", "expand"); e != nil {
			return nil, e
		}
		pi, e := w.intent(id)
		if e != nil {
			return nil, e
		}
		// Stripe names processing as well, but what a bank works on is refused
		// "but in rare cases".
		open := []string{"requires_payment_method", "requires_capture", "requires_confirmation", "requires_action"}
		if !slices.Contains(open, pi.Status) || pi.AmountReceived > 0 || p.fault == simulator.Rejected {
			return nil, unexpected(pi, fmt.Sprintf("You cannot cancel this PaymentIntent because it has a status of %s. "+
				"Only a PaymentIntent with one of the following statuses may be canceled: %s.", pi.Status, strings.Join(open, ", ")))
		}
		if err := w.cancel(pi, p.form.Get("cancellation_reason")); err != nil {
			return nil, internal(err)
		}
		return w.render(pi, p)
	}
}

// cancel closes a PaymentIntent and releases what it holds.
func (w *world) cancel(pi *intent, reason string) error {
	now, held := w.now(), pi.AmountCapturable
	pi.Status, pi.CanceledAt, pi.AmountCapturable, pi.NextAction = "canceled", &now, 0, nil
	if reason != "" {
		pi.CancellationReason = &reason
	}
	if c, err := get[charge](w, "charge", deref(pi.LatestCharge)); err != nil {
		return err
	} else if c != nil && !c.Captured {
		if err := w.release(pi, c, held, reason == "automatic"); err != nil {
			return err
		}
	}
	if err := w.closeReview(pi, "canceled"); err != nil {
		return err
	}
	if err := w.save(pi, "payment_intent.canceled"); err != nil {
		return err
	}
	return w.note(order.Void, pi, pi.ID, held, reason)
}

// expireLater lets the authorization die by itself, so long after it was made,
// which may be long after its PaymentIntent was.
func (w *world) expireLater(pi *intent) error {
	c, err := get[charge](w, "charge", deref(pi.LatestCharge))
	if err != nil || c == nil {
		return err
	}
	s, id := w.s, pi.ID
	after := time.Unix(c.Created, 0).Add(s.settings.AuthorizationTTL).Sub(s.frame.Now())
	w.later = append(w.later, delayed{max(0, after), "expire." + id, func() {
		_ = s.change(func(w *world) error {
			pi, err := get[intent](w, "payment_intent", id)
			if err != nil || pi == nil || pi.Status != "requires_capture" {
				return err
			}
			if pi.AmountReceived > 0 {
				return w.keepTaken(pi, "expired")
			}
			return w.cancel(pi, "automatic")
		})
	}})
	return nil
}

// keepTaken ends a multicapture with what it took.
func (w *world) keepTaken(pi *intent, why string) error {
	held := pi.AmountCapturable
	pi.Status, pi.AmountCapturable = "succeeded", 0
	c, err := get[charge](w, "charge", deref(pi.LatestCharge))
	if err != nil || c == nil {
		return err
	}
	if err := w.release(pi, c, held, why == "expired"); err != nil {
		return err
	}
	if err := w.save(pi, "payment_intent.succeeded"); err != nil {
		return err
	}
	return w.note(order.Void, pi, pi.ID, held, why)
}

func (w *world) intent(id string) (*intent, *apiError) {
	pi, err := get[intent](w, "payment_intent", id)
	if err != nil {
		return nil, internal(err)
	}
	if pi == nil {
		return nil, missing("payment_intent", id)
	}
	return pi, nil
}
