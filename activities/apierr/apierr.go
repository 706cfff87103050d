// Package apierr says what an error of an external system means, so that a
// caller decides by code and never by message, and maps codes to the errors by
// which the engine retries.
package apierr

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
)

// Code says what a caller may do about an error.
type Code string

// The codes. A code names what is known about the effect.
const (
	// Unavailable: no effect, and it may work later. Retry.
	Unavailable Code = "unavailable"
	// RateLimited: no effect; retry after Error.After.
	RateLimited Code = "rate_limited"
	// InDoubt: the operation may have happened. The next attempt must look
	// first, or send the same key.
	InDoubt Code = "in_doubt"
	// Declined: the system refused for a business reason that the same request
	// will meet again (card declined, out of stock). No retry.
	Declined Code = "declined"
	// Conflict: the record is in a state that does not allow the operation, or
	// the key was used for another request. No retry; read the record.
	Conflict Code = "conflict"
	// Invalid: the request makes no sense to the system. A bug or a wrong
	// setting; no retry.
	Invalid Code = "invalid"
	// Unauthorized: our credentials are refused. Retried slowly, because a
	// person will mend them and the order is not to blame.
	Unauthorized Code = "unauthorized"
	// NotFound: a strong read says that there is no such record.
	NotFound Code = "not_found"
	// Garbage: the answer cannot be understood, or is about somebody else's
	// order, account or mode. After a write this is InDoubt instead.
	Garbage Code = "garbage"
)

// Error is an error of an external system. Its text reads outside-in: the
// operation, the system, what the system said.
type Error struct {
	Code Code
	// Reason is the system's own code, as "card_declined"; a business rule may
	// read it, and a person does.
	Reason string
	// After is how long the system asked us to wait; only with RateLimited.
	After time.Duration
	Err   error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s (%s)", e.Reason, e.Code)
	}
	if e.Reason == "" {
		return fmt.Sprintf("%v (%s)", e.Err, e.Code)
	}
	return fmt.Sprintf("%s: %v (%s)", e.Reason, e.Err, e.Code)
}

func (e *Error) Unwrap() error { return e.Err }

// New returns an error of a system with its code.
func New(code Code, reason string, err error) error {
	return &Error{Code: code, Reason: reason, Err: err}
}

// CodeOf returns the code of err: of an *Error anywhere in its chain, or of the
// engine's error that ToEngine made of one. Anything else is Unavailable when
// it cannot have had an effect by contract, which is for the adapter to say; an
// unclassified error is InDoubt, the code that allows least.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if a, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return Code(a.Type())
	}
	return InDoubt
}

// Message is what an error says to people: of one that came through the engine what was
// said at its origin, without what the engine put around it.
func Message(err error) string {
	if a, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return a.Message()
	}
	return err.Error()
}

// ReasonOf returns the system's own code, or "".
func ReasonOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	if a, ok := errors.AsType[*temporal.ApplicationError](err); ok && a.HasDetails() {
		var reason string
		if a.Details(&reason) == nil {
			return reason
		}
	}
	return ""
}

// MaxWait caps what a system may ask us to wait, so that an absurd Retry-After
// cannot park an order.
const MaxWait = 5 * time.Minute

// ToEngine returns err as the error by which the engine decides: its type is
// the code, a refusal is not retried, RateLimited waits as long as it was asked
// to, and a business refusal is benign. A nil error stays nil.
func ToEngine(operation string, err error) error { return ToEngineAfter(operation, err, 0) }

// ToEngineAfter is ToEngine for an error that is to be retried no sooner than
// wait from now, as an effect that may still land; 0 leaves it to the policy.
func ToEngineAfter(operation string, err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	code := CodeOf(err)
	options := temporal.ApplicationErrorOptions{NextRetryDelay: wait, Details: []any{ReasonOf(err)}}
	switch code {
	case Declined, NotFound:
		options.NonRetryable = true
		options.Category = temporal.ApplicationErrorCategoryBenign
	case Conflict, Invalid:
		options.NonRetryable = true
	case RateLimited:
		if e, ok := errors.AsType[*Error](err); ok && e.After > 0 {
			options.NextRetryDelay = min(e.After, MaxWait)
		}
	case Unauthorized:
		options.NextRetryDelay = time.Minute
	case Unavailable, InDoubt, Garbage:
	}
	return temporal.NewApplicationErrorWithOptions(operation+": "+err.Error(), string(code), options)
}

// Final says that an error is a system's answer: trying again changes nothing,
// and nothing is in doubt.
func Final(err error) bool {
	switch CodeOf(err) {
	case Declined, Conflict, Invalid, NotFound:
		return true
	case Unavailable, InDoubt, RateLimited, Unauthorized, Garbage:
		return false
	}
	return false
}

// StillInDoubt returns an error of ToEngine as one in doubt, for an attempt that
// had no effect itself after one that may have had: the rest of it stays.
func StillInDoubt(err error) error {
	options := temporal.ApplicationErrorOptions{Details: []any{ReasonOf(err)}}
	message := err.Error()
	if a, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		options.NextRetryDelay, message = a.NextRetryDelay(), a.Message()
	}
	return temporal.NewApplicationErrorWithOptions(message+"; an earlier attempt may have got through", string(InDoubt), options)
}
