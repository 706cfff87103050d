// Package payment authorizes, captures, voids and refunds. The payment gateway
// is the system of record for money authorized, captured, refunded and
// disputed. Its reads by id are never stale.
package payment

import (
	"context"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reader reads payments and can change nothing.
type Reader interface {
	// Lookup returns every attempt to pay the subject's order: those whose ids
	// are in Known, and those that carry the order's reference. Strong. An order
	// without any attempt is Absent and no error. A record of Known that belongs
	// to another order, account or mode is Garbage, never an answer.
	Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error)

	// List walks payments that changed or were created within a window. Not
	// strong. Retry a page as often as you like.
	List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error)
}

// Gateway is the port that an adapter implements. Adapters never retry. Every
// write carries its key: within the key window a repeat with the same key and
// request returns the first result and has no second effect. A lost answer, a
// time-out and a 5xx are InDoubt.
type Gateway interface {
	Reader

	// Authorize makes an attempt that holds the amount, or with CaptureAtOnce
	// takes it. Declined says that the method was refused; the attempt then
	// exists, is open, and is returned with the error. A customer who must act
	// is no error: the attempt is AttemptOpen and Next says what to do. With
	// Intent set, the existing payment is adopted instead: it gets our
	// reference, and Conflict when it is not of this amount and currency.
	Authorize(ctx context.Context, r AuthorizeRequest) (Authorization, error)

	// Capture takes Amount of what the attempt holds. Final releases the rest.
	// A repeat under another key after the money was taken is Conflict.
	Capture(ctx context.Context, r CaptureRequest) (reconcile.Attempt, error)

	// Void closes the attempt so that it can never take money. Closing a closed
	// one is no error; one that captured is Conflict.
	Void(ctx context.Context, r VoidRequest) (reconcile.Attempt, error)

	// Refund gives Amount back. It is final only when its state is
	// RefundSucceeded. More than is left is Conflict.
	Refund(ctx context.Context, r RefundRequest) (reconcile.Refund, error)
}

// AuthorizeRequest asks for an attempt, in minor units.
type AuthorizeRequest struct {
	Key      string        `json:"key"`
	Order    order.ID      `json:"order"`
	Amount   order.Amount  `json:"amount"`
	Customer string        `json:"customer,omitempty"`
	Channel  string        `json:"channel,omitempty"`
	Payment  order.Payment `json:"payment"`
	// OffSession says that the customer is not there to act.
	OffSession bool `json:"off_session,omitempty"`
}

// Authorization is the outcome of an authorization.
type Authorization struct {
	Attempt reconcile.Attempt `json:"attempt"`
	// Next is what the customer must do, or nil. It is for the customer alone
	// and is never logged.
	Next *NextStep `json:"next,omitempty"`
}

// NextStep is what the customer must do to pay.
type NextStep struct {
	Kind         string `json:"kind"` // the gateway's word, as "redirect_to_url" or "use_stripe_sdk"
	URL          string `json:"url,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
}

// CaptureRequest asks to take money that an attempt holds.
type CaptureRequest struct {
	Key     string       `json:"key"`
	Order   order.ID     `json:"order"`
	Attempt string       `json:"attempt"`
	Amount  order.Amount `json:"amount"`
	Final   bool         `json:"final"`
}

// VoidRequest asks to close an attempt.
type VoidRequest struct {
	Key     string   `json:"key"`
	Order   order.ID `json:"order"`
	Attempt string   `json:"attempt"`
}

// RefundRequest asks to give money back.
type RefundRequest struct {
	Key     string       `json:"key"`
	Order   order.ID     `json:"order"`
	Attempt string       `json:"attempt"`
	Amount  order.Amount `json:"amount"`
	Reason  string       `json:"reason"`
}
