// Package mail tells the customer. The mail provider is the system of record
// for what was sent.
package mail

import (
	"context"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reader reads the journal and can change nothing.
type Reader interface {
	// Lookup returns the order's messages in the journal mailbox; none is
	// Absent. The journal is a second recipient of the same transaction, and
	// shows it after VisibilityLag. Without a journal, Unavailable.
	Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error)

	// List walks messages that came within a window.
	List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error)
}

// Mailer is the port that an adapter implements. SMTP has no keys and no
// second step: a message is sent at most once by us. Its Message-ID is made
// from the key, and the caller looks it up before a second attempt.
type Mailer interface {
	Reader

	// Send hands one message over. Refused addresses are Declined, a provider that
	// refuses us Unauthorized, 4xx answers Unavailable, and a connection lost after
	// the data was sent is InDoubt.
	Send(ctx context.Context, r SendRequest) (reconcile.Message, error)
}

// SendRequest asks to send one message.
type SendRequest struct {
	Key      string             `json:"key"`
	Order    order.ID           `json:"order"`
	Template reconcile.Template `json:"template"`
	Occasion int                `json:"occasion"`
	To       string             `json:"to"`
	Name     string             `json:"name,omitempty"`
	Content  Content            `json:"content"`
	// Due is when the event happened that the message tells of. After Until it is
	// not sent any more; when none is said, a day after Due.
	Due   time.Time `json:"due"`
	Until time.Time `json:"until,omitzero"`
}

// Content is what the message is about; amounts in minor units of the amount's
// currency. The text is made of it and nothing else. What a template shows:
//
//   - confirmation: Lines, all that was ordered; Amount, the total; Link.
//   - shipped: Lines, the parcel's; Amount, what is charged for it; Rest, what
//     follows in another parcel; Tracking; Link.
//   - cancellation: Kind, why; Lines, what is cancelled; Rest, what of the order
//     is still on, none when all of it is cancelled; Amount, what was taken from
//     the customer for it and is given back, and never what was only reserved.
//   - refund: Amount; Lines, what it is for, when that is known.
//   - question, KindStock: Missing, what is not available; Lines, what can be
//     sent, none when nothing can; Deadline; Link.
//   - question, KindPayment: Missing, what has not shipped and is not paid for;
//     Amount, what is to be paid; Deadline; Link.
//
// Prices of Lines, in a question about payment those of Missing, are shown when
// they, Shipping and Discount add up to Amount.
type Content struct {
	// Kind is what a question is about, or why something is cancelled; empty when
	// neither is known.
	Kind    string            `json:"kind,omitempty"`
	Lines   []order.LineShare `json:"lines,omitempty"`
	Missing []order.LineShare `json:"missing,omitempty"`
	Rest    []order.LineShare `json:"rest,omitempty"`
	// Shipping is the shipping costs in Amount with their tax, and Discount what
	// is taken off the order as a whole.
	Shipping int64        `json:"shipping,omitempty"`
	Discount int64        `json:"discount,omitempty"`
	Amount   order.Amount `json:"amount"`
	// Deadline is until when a question can be answered.
	Deadline time.Time `json:"deadline,omitzero"`
	Tracking string    `json:"tracking,omitempty"`
	// Question is more that a question should say, in words for the customer.
	Question string `json:"question,omitempty"`
	Link     string `json:"link,omitempty"`
}

// The kinds of content.
const (
	KindStock   = "stock"   // not all goods are available
	KindPayment = "payment" // it is not paid for, or not any more
	KindRequest = "request" // the customer asked for it
)
