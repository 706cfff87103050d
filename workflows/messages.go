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
	// an order placed before it may have left effects that we forgot. Zero: nobody
	// could say.
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
	// Declined is the gateway's code of the last failure, when the customer may
	// try again: send an attempt before PayUntil.
	Declined string    `json:"declined,omitempty"`
	PayUntil time.Time `json:"pay_until,omitzero"`
	// Question is what the customer is asked, or nil; send an answer.
	Question *Question `json:"question,omitempty"`
}

// FingerprintReason is the type of the error that answers a submission whose
// order differs from the one known under its id.
const FingerprintReason = "another_order"

// RefusedReason is the type of the error that answers a request which the
// order's phase does not allow; its message says what would.
const RefusedReason = "not_now"

// InvalidReason is the type of the error that answers a request which makes no
// sense for the order; its message names every problem.
const InvalidReason = "not_valid"

// Cancel asks to take an order back.
type Cancel struct {
	By     string `json:"by"` // who asks; recorded as unverified until there are identities
	Reason string `json:"reason"`
	// Call names this call among those that send the same wish; the client sets it.
	Call int64 `json:"call,omitempty"`
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
	// Call is the call that was answered: the engine answers a repeated update as it
	// did the first time. The client takes it out.
	Call int64 `json:"call,omitempty"`
}

// Asked is who asks an order for something, and why. ID names the wish: sent
// again, the same wish is answered again and never carried out twice, and two
// equal returns are told apart by it.
type Asked struct {
	ID     string `json:"id"`
	By     string `json:"by"` // recorded as unverified until there are identities
	Reason string `json:"reason,omitempty"`
}

// Attempt starts another attempt to pay, while the order is being paid for or
// the customer was asked to pay anew: by a method, or by a payment that the
// checkout has begun at the gateway. Capture, multicapture and reuse are as the
// order has them, but for Reusable, which the customer may allow now.
type Attempt struct {
	Asked
	Payment order.Payment `json:"payment"`
}

// Amend changes what has not been packed yet: where it goes, or how much of it.
type Amend struct {
	Asked
	// ShipTo is the new address; nil leaves it.
	ShipTo *order.Address `json:"ship_to,omitempty"`
	// Drop are the pieces that the customer does not want any more, by the line
	// of the order, from 1.
	Drop []order.Quantity `json:"drop,omitempty"`
}

// Choice is a customer's answer to a question.
type Choice string

// The choices.
const (
	ChooseAmend  Choice = "amend"  // send what there is, drop the rest
	ChooseWait   Choice = "wait"   // wait until all of it can be sent
	ChooseCancel Choice = "cancel" // take all of it back
)

// Answer answers the open question.
type Answer struct {
	Asked
	Choice Choice `json:"choice"`
}

// Return announces goods that the customer sends back.
type Return struct {
	Asked
	// Lines are the pieces, by the line of the order, from 1.
	Lines []order.Quantity `json:"lines"`
}

// Refund gives money back because a person decided so: at most what was
// captured and neither refunded nor disputed.
type Refund struct {
	Asked
	// Amount in minor units of the order's currency; 0 is all that is left.
	Amount int64 `json:"amount,omitempty"`
	// Currency, when given, must be the order's.
	Currency order.Currency `json:"currency,omitempty"`
}

// Decision is what a person decides about a case.
type Decision string

// The decisions.
const (
	DecideRepair  Decision = "repair"       // do what the case proposes
	DecideAccept  Decision = "accept"       // this difference is right; it is not reported any more
	DecideRefund  Decision = "refund"       // give money back
	DecideShip    Decision = "ship"         // send the goods all the same, or once more
	DecideRelease Decision = "release"      // give up what has not shipped, and give its money back
	DecideCancel  Decision = "cancel"       // take the order back
	DecideByHand  Decision = "done_by_hand" // it was put right in the other system: look
)

// Decide closes a case.
type Decide struct {
	Asked
	Case   int      `json:"case"`
	As     Decision `json:"as"`
	Amount int64    `json:"amount,omitempty"` // of a refund, minor units; 0 is all that is left
	// Evidence is the token of the evidence that it was decided on; empty takes what
	// the case shows when the decision comes. When a fresh reading says otherwise,
	// nothing is done. See reconcile.Evidence.
	Evidence string `json:"evidence,omitempty"`
}

// AskCases asks for the cases of an order: the open ones with their evidence as
// of Now, and with All those that were closed too.
type AskCases struct {
	Now time.Time `json:"now,omitzero"`
	All bool      `json:"all,omitempty"`
}

// Reply answers an attempt, amendment, answer, return, refund or decision.
type Reply struct {
	Order   order.ID          `json:"order"`
	Phase   order.Phase       `json:"phase"`
	Outcome reconcile.Outcome `json:"outcome"`
	// Request names what was taken up, as "return 1".
	Request string `json:"request"`
	// Refused says why reality won; the order goes on without it.
	Refused string `json:"refused,omitempty"`
	// Pending says what is still under way.
	Pending string `json:"pending,omitempty"`
	// Next is what the customer must do to pay, or nil; for the customer alone.
	Next *payment.NextStep `json:"next,omitempty"`
	// Declined is the gateway's code, when an attempt was declined.
	Declined string `json:"declined,omitempty"`
	// Evidence is that of a case now, when it is not what a decision was made on.
	Evidence string `json:"evidence,omitempty"`
}

// Question is what the customer was asked.
type Question struct {
	N    int          `json:"n"`
	Kind QuestionKind `json:"kind"`
	// Lines are what cannot be sent: not available, or not paid.
	Lines    []order.Quantity `json:"lines,omitempty"`
	Asked    time.Time        `json:"asked"`
	Deadline time.Time        `json:"deadline"`
	// Answer is what the customer chose; empty while the question is open.
	Answer Choice    `json:"answer,omitempty"`
	Closed time.Time `json:"closed,omitzero"`
	// Why says how it was closed when nobody answered it.
	Why string `json:"why,omitempty"`
}

// QuestionKind is what a question is about.
type QuestionKind string

// The kinds of question.
const (
	AskAboutStock   QuestionKind = "stock"   // not all of it is there
	AskAboutPayment QuestionKind = "payment" // what has not shipped is not paid for any more
)

// AskVerdict asks for a verdict. Fresh reads every system now; else it is made
// from memory. Now is the asker's moment, for a query has no clock of its own.
type AskVerdict struct {
	Now time.Time `json:"now,omitzero"`
}
