package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	api "github.com/stripe/stripe-go/v85"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// ReplayedError is the reason of an error that Stripe had stored under the key
// and repeats: sending the key again is pointless, so the caller looks up.
const ReplayedError = "replayed_error"

// fail says what an error of an exchange means. It never passes the library's
// own text on: that is the whole answer, with client secrets in it.
func (x *exchange) fail(subject string, err error) error {
	return x.failed(subject, x.classify(err))
}

func (x *exchange) failed(subject string, e *apierr.Error) error {
	return fmt.Errorf("%s: stripe: %w", subject, e)
}

// garbage is an answer that makes no sense, or is about somebody else: after a
// write it leaves the write in doubt.
func (x *exchange) garbage(subject, why string) error {
	code := apierr.Garbage
	if x.write {
		code = apierr.InDoubt
	}
	return x.failed(subject, &apierr.Error{Code: code, Reason: "unusable_answer", Err: errors.New(why)})
}

func (x *exchange) classify(err error) *apierr.Error {
	answer, parsed := errors.AsType[*api.Error](err)
	switch {
	case x.status == 0 && x.unsent():
		return &apierr.Error{Code: apierr.Unavailable, Reason: "unreachable", Err: x.err}
	case x.status == 0:
		return &apierr.Error{Code: x.doubt(), Reason: "no_answer", Err: first(x.err, err)}
	case errors.Is(x.err, errTooLarge):
		return &apierr.Error{Code: x.nonsense(), Reason: "unusable_answer", Err: x.err}
	case x.err != nil:
		return &apierr.Error{Code: x.doubt(), Reason: "answer_cut_short", Err: x.err}
	case x.status == http.StatusUnauthorized, x.status == http.StatusForbidden:
		return &apierr.Error{Code: apierr.Unauthorized, Reason: codeOf(answer), Err: x.text(nil)}
	case x.status == http.StatusTooManyRequests:
		if parsed && answer.Code == api.ErrorCodeLockTimeout {
			return &apierr.Error{Code: x.doubt(), Reason: string(answer.Code), Err: x.text(answer)}
		}
		return &apierr.Error{Code: apierr.RateLimited, Reason: codeOf(answer), After: x.retryAfter(), Err: x.text(nil)}
	case x.status == http.StatusConflict:
		return &apierr.Error{Code: x.doubt(), Reason: codeOf(answer), Err: x.text(answer)}
	case x.status >= 500 && x.replayed():
		return &apierr.Error{Code: apierr.InDoubt, Reason: ReplayedError, Err: x.text(nil)}
	case x.status >= 500:
		return &apierr.Error{Code: x.doubt(), Reason: codeOf(answer), Err: x.text(nil)}
	case !parsed:
		return &apierr.Error{Code: x.nonsense(), Reason: "unusable_answer", Err: x.text(nil)}
	}
	return &apierr.Error{Code: x.refusal(answer), Reason: reasonOf(answer), Err: x.text(answer)}
}

// refusal says what one of Stripe's own 4xx errors means.
func (x *exchange) refusal(answer *api.Error) apierr.Code {
	switch {
	case answer.Type == api.ErrorTypeCard || x.status == http.StatusPaymentRequired:
		return apierr.Declined
	case answer.Type == api.ErrorTypeIdempotency:
		return apierr.Conflict
	case x.status == http.StatusNotFound && answer.Code == api.ErrorCodeResourceMissing:
		return apierr.NotFound
	case x.status == http.StatusNotFound:
		return x.nonsense()
	}
	switch answer.Code {
	case api.ErrorCodePaymentIntentUnexpectedState, api.ErrorCodeChargeAlreadyCaptured, api.ErrorCodeChargeAlreadyRefunded,
		api.ErrorCodeChargeExpiredForCapture, api.ErrorCodeCaptureChargeAuthorizationExpired, api.ErrorCodeAmountTooLarge,
		api.ErrorCodeChargeDisputed, api.ErrorCodeRefundDisputedPayment, api.ErrorCodeCaptureUnauthorizedPayment:
		return apierr.Conflict
	case api.ErrorCodeBalanceInsufficient, api.ErrorCodeChargeNotRefundable, api.ErrorCodePaymentIntentPaymentAttemptFailed,
		api.ErrorCodePaymentIntentAuthenticationFailure, api.ErrorCodePaymentIntentMandateInvalid:
		return apierr.Declined
	}
	if spent(answer) {
		return apierr.Declined
	}
	// "Refund amount ($2.00) is greater than unrefunded amount on charge ($1.00)"
	// comes without a code.
	if x.operation == "refund" && answer.Param == "amount" {
		return apierr.Conflict
	}
	return apierr.Invalid
}

// doubt is the code of a call that may have happened.
func (x *exchange) doubt() apierr.Code {
	if x.write {
		return apierr.InDoubt
	}
	return apierr.Unavailable
}

// nonsense is the code of an answer that is not understood.
func (x *exchange) nonsense() apierr.Code {
	if x.write {
		return apierr.InDoubt
	}
	return apierr.Garbage
}

// text describes the answer without anything that could be a secret. Stripe's
// own sentence is given for requests that it found wrong: an engineer needs it.
func (x *exchange) text(answer *api.Error) error {
	s := "HTTP " + strconv.Itoa(x.status)
	if x.replayed() {
		s += ", replayed"
	}
	if id := x.header.Get("Request-Id"); id != "" && len(id) < 64 {
		s += ", request " + strconv.QuoteToASCII(id)
	}
	if answer != nil && answer.Type == api.ErrorTypeInvalidRequest {
		s += ": " + clip(answer.Msg, 200)
	}
	return errors.New(s)
}

func (x *exchange) retryAfter() time.Duration {
	v := strings.TrimSpace(x.header.Get("Retry-After"))
	if n, err := strconv.Atoi(v); err == nil {
		if n < 0 || n > 24*60*60 {
			return 0
		}
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	after := at.Sub(x.client.config.Now())
	if after < 0 || after > 24*time.Hour {
		return 0
	}
	return after
}

// codeOf is Stripe's code, or the error's type when it has none.
func codeOf(e *api.Error) string {
	if e == nil {
		return ""
	}
	if e.Code != "" {
		return clip(string(e.Code), 64)
	}
	return clip(string(e.Type), 64)
}

// reasonOf is why a card was declined, which says more than "card_declined".
func reasonOf(e *api.Error) string {
	if spent(e) {
		return "method_not_reusable"
	}
	if e.DeclineCode != "" {
		return clip(string(e.DeclineCode), 64)
	}
	return codeOf(e)
}

func clip(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return errors.New("no answer")
}

// invalid is a request that was refused here, before it was sent.
func invalid(subject, reason, why string) error {
	return fmt.Errorf("%s: stripe: %w", subject, &apierr.Error{Code: apierr.Invalid, Reason: reason, Err: errors.New(why)})
}

func conflict(subject, reason, why string) error {
	return fmt.Errorf("%s: stripe: %w", subject, &apierr.Error{Code: apierr.Conflict, Reason: reason, Err: errors.New(why)})
}
