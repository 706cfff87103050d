package workflows

import (
	"time"

	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// OrderInput starts an order's workflow. The order travels in the start, so
// that it is durable even with no worker up. Carried is set when the order is
// re-opened or continued.
type OrderInput struct {
	Order       order.Order `json:"order"`
	Fingerprint string      `json:"fingerprint"`
	// EngineSince is when this engine's memory began, as the starter knew it:
	// an order placed before it may have left effects that we forgot.
	EngineSince time.Time `json:"engine_since,omitzero"`
	Carried     *State    `json:"carried,omitempty"`
}

// Submit asks what became of a submission; it never changes the order.
type Submit struct {
	Fingerprint string `json:"fingerprint"`
}

// Submitted answers a submission.
type Submitted struct {
	Order   order.ID          `json:"order"`
	Phase   order.Phase       `json:"phase"`
	Outcome reconcile.Outcome `json:"outcome"`
	// Why says why the order failed, when it did.
	Why string `json:"why,omitempty"`
	// Next is what the customer must do to pay, or nil; for the customer alone.
	Next *payment.NextStep `json:"next,omitempty"`
}

// FingerprintReason is the type of the error that answers a submission whose
// order differs from the one known under its id.
const FingerprintReason = "another_order"

// RefusedReason is the type of the error that answers a request which the
// order's phase does not allow; its message says what would.
const RefusedReason = "not_now"

// Cancel asks to take an order back.
type Cancel struct {
	By     string `json:"by"` // who asks; recorded as unverified until there are identities
	Reason string `json:"reason"`
}

// CancelAnswer says what became of a cancellation.
type CancelAnswer struct {
	Order     order.ID          `json:"order"`
	Outcome   reconcile.Outcome `json:"outcome"`
	Cancelled bool              `json:"cancelled"`
	// Refused says why reality won.
	Refused string `json:"refused,omitempty"`
	// Pending says what is still under way.
	Pending string `json:"pending,omitempty"`
}

// AskVerdict asks for a verdict. Fresh reads every system now; else it is made
// from memory. Now is the asker's moment, for a query has no clock of its own.
type AskVerdict struct {
	Now time.Time `json:"now,omitzero"`
}
