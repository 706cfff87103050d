// Package payment authorizes, captures, voids and refunds. The payment gateway
// is the system of record for money authorized, captured, refunded and
// disputed. Its reads by id are never stale.
package payment

import (
	"context"
	"time"

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
	// exists, is open, and is returned with the error. Declined without an attempt
	// says that there is no method that could be charged. A customer who must act
	// is no error: the attempt is AttemptOpen and Next says what to do. With
	// Intent set, the existing payment is adopted instead, however far it is: it
	// gets our reference and is Adopted from then on; Conflict when it is closed,
	// or not of this amount and currency. With Intent and OffSession, the method that paid that earlier
	// attempt of the order is charged again for a new one; a bank that wants to see
	// the customer is Declined. Reusable keeps the method for that.
	Authorize(ctx context.Context, r AuthorizeRequest) (Authorization, error)

	// Capture takes Amount of what the attempt holds. Final releases the rest, as
	// does every capture of an attempt without Multicapture. Final with an Amount
	// of 0 takes nothing more and releases the rest of one that was captured in
	// part. A repeat under another key after the money was taken is Conflict.
	Capture(ctx context.Context, r CaptureRequest) (reconcile.Attempt, error)

	// Void closes the attempt so that it can never take money. Closing a closed
	// one is no error. One that captured, or that a bank is processing, is Conflict
	// and comes back with it as it stands.
	Void(ctx context.Context, r VoidRequest) (reconcile.Attempt, error)

	// Refund gives Amount back. It is final only when its state is
	// RefundSucceeded. More than is left, and money in dispute, is Conflict.
	Refund(ctx context.Context, r RefundRequest) (reconcile.Refund, error)
}

// AuthorizeRequest asks for an attempt, in minor units.
type AuthorizeRequest struct {
	Key    string       `json:"key"`
	Order  order.ID     `json:"order"`
	Amount order.Amount `json:"amount"`
	// Customer is the service's own id, or the gateway's for one whose methods it
	// keeps already.
	Customer string        `json:"customer,omitempty"`
	Channel  string        `json:"channel,omitempty"`
	Payment  order.Payment `json:"payment"`
	// OffSession says that the customer is not there to act.
	OffSession bool `json:"off_session,omitempty"`
	// First says that the order knows of no attempt yet: one that its checkout
	// made without saying so is looked for and adopted, or the customer pays twice.
	// The adapter reads neither it nor PlacedAt.
	First bool `json:"first,omitempty"`
	// PlacedAt is when the order was placed, which may be long before our first
	// attempt. By it and by the attempt, whichever is earlier, the look-up knows from
	// when on a checkout may have paid.
	PlacedAt time.Time `json:"placed_at,omitzero"`
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
	// Before is what the attempt had captured before this; by it the second of
	// several captures is told from the first when the key is forgotten.
	Before int64 `json:"before,omitempty"`
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
