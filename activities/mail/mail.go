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

	// Send hands one message over. Refused addresses are Declined, 4xx answers
	// Unavailable, and a connection lost after the data was sent is InDoubt.
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
	// Due is when the event happened that the message tells of; older than a
	// day it is not sent any more.
	Due time.Time `json:"due"`
}

// Content is what the message is about; amounts in minor units.
type Content struct {
	Lines    []order.LineShare `json:"lines,omitempty"`
	Amount   order.Amount      `json:"amount"`
	Tracking string            `json:"tracking,omitempty"`
	Question string            `json:"question,omitempty"`
	Link     string            `json:"link,omitempty"`
}
