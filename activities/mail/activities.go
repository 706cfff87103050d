package mail

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Activities are the mail operations that workflows call. They map errors;
// retries are the engine's and decisions the workflow's.
type Activities struct {
	Mailer    Mailer
	Switches  *repair.Switches
	Now       func() time.Time
	Abilities reconcile.Abilities
	// Journal says that there is a journal in which to look.
	Journal bool
	// Wait waits, unless the context ends first.
	Wait func(ctx context.Context, d time.Duration) error
}

// ReadMail reads what the mail journal holds of an order. One that cannot be read is an
// observation too, and no error.
func (a *Activities) ReadMail(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	at := a.Now()
	observation, err := a.Mailer.Lookup(ctx, s)
	return reconcile.Read(order.SystemMail, s.Order, at, observation, err), nil
}

// SendMail sends one message, at most once by us. A later attempt, or one for an
// order that was adopted, looks into the journal first: found there, it was
// sent. Absent counts only twice, the visibility lag apart. Without a journal it is
// refused where an earlier attempt may have sent it, for nobody can know.
func (a *Activities) SendMail(ctx context.Context, in repair.Write[SendInput]) (Sent, error) {
	if err := a.Switches.Check(in.Request.Target(), in.Grant); err != nil {
		return Sent{}, apierr.ToEngine("send mail", err)
	}
	if in.Request.LookFirst || in.Grant != nil || activity.GetInfo(ctx).Attempt > 1 {
		found, err := a.before(ctx, in)
		if err != nil || found.MessageID != "" {
			return Sent{found, true}, apierr.ToEngine("send mail: look into the journal first", err)
		}
	}
	message, err := a.Mailer.Send(ctx, in.Request.SendRequest)
	if err != nil && apierr.CodeOf(err) == apierr.InDoubt {
		// It may still be accepted: only after that time does the journal tell.
		return Sent{}, apierr.ToEngineAfter("send mail", err, a.Abilities.Lateness)
	}
	return Sent{message, false}, apierr.ToEngine("send mail", err)
}

// Sent is a message that went out: by this call, or found in the journal, whatever this
// call would have said by now.
type Sent struct {
	reconcile.Message
	Found bool `json:"found,omitempty"`
}

// NoJournalReason is the reason of the error when a message may have been sent
// and there is no journal in which to look.
const NoJournalReason = "no_journal"

// SendInput asks to send a message; LookFirst when it may have been sent before.
type SendInput struct {
	SendRequest
	Subject   reconcile.Subject `json:"subject"`
	LookFirst bool              `json:"look_first,omitempty"`
	// Unsent says that none of the calls before this one can have sent it: where
	// there is no journal it need not be looked for.
	Unsent bool `json:"unsent,omitempty"`
}

// before finds what was sent before. Without a journal it is known only of what
// certainly had no effect.
func (a *Activities) before(ctx context.Context, in repair.Write[SendInput]) (reconcile.Message, error) {
	switch {
	case a.Journal:
		return a.sent(ctx, in.Request)
	case in.Grant != nil, in.Request.LookFirst && !in.Request.Unsent, repair.MayHaveBeen(ctx):
		return reconcile.Message{}, apierr.New(apierr.Declined, NoJournalReason,
			errors.New("it may have been sent, and there is no journal in which to look; it is not sent again"))
	}
	return reconcile.Message{}, nil
}

// sent looks into the journal.
func (a *Activities) sent(ctx context.Context, in SendInput) (reconcile.Message, error) {
	for look := range 2 {
		if look > 0 {
			if err := a.Wait(ctx, a.Abilities.VisibilityLag); err != nil {
				return reconcile.Message{}, err
			}
		}
		seen, err := a.Mailer.Lookup(ctx, in.Subject)
		if err != nil {
			return reconcile.Message{}, err
		}
		if seen.Mail == nil {
			continue
		}
		for _, m := range seen.Mail.Messages {
			if m.Template == in.Template && m.Occasion == in.Occasion {
				return m, nil
			}
		}
	}
	return reconcile.Message{}, nil
}
