package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
)

// InboxInput starts an inbox: one record or event that came before its order,
// or that belongs to none.
type InboxInput struct {
	System order.System `json:"system"`
	Record string       `json:"record"`
	// Order is the order that it names; empty when it names none.
	Order order.ID `json:"order,omitempty"`
}

// Inbox keeps what concerns one record until its order appears, and gives it to
// the order then. After an hour it is a case for a person; beyond the horizon it
// is forgotten, and never starts anything.
func (w *Workflows) Inbox(ctx workflow.Context, in InboxInput) error {
	settings, err := w.settings(ctx)
	if err != nil {
		return err
	}
	kept := reconciliation.Notices{Order: in.Order}
	signals := workflow.GetSignalChannel(ctx, NoticeSignal)
	started := workflow.Now(ctx)
	announced := false
	options := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: ReconciliationQueue, StartToCloseTimeout: callTimeout,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:     "does " + in.Record + " have an order by now? " + string(in.Order),
	})
	for wait := 5 * time.Second; ; wait = min(2*wait, max(10*time.Minute, workflow.Now(ctx).Sub(started)/10)) {
		var n reconciliation.Notices
		for signals.ReceiveAsync(&n) {
			kept.Notices = append(kept.Notices, n.Notices...)
			n = reconciliation.Notices{}
		}
		age := workflow.Now(ctx).Sub(started)
		if len(kept.Notices) > 0 {
			var placed bool
			if err := workflow.ExecuteActivity(options, run.GiveNotices, kept).Get(ctx, &placed); err != nil {
				return err
			}
			if placed && signals.Len() == 0 {
				return nil
			}
			if placed { // more came while these were given
				kept.Notices = nil
				continue
			}
		}
		if age > settings.Policy.Horizon {
			return nil
		}
		if age >= time.Hour && !announced {
			announced = true
			if err := announceInbox(ctx, in, workflow.Now(ctx)); err != nil {
				return err
			}
		}
		if err := workflow.NewTimerWithOptions(ctx, wait, workflow.TimerOptions{Summary: "until its order appears"}).Get(ctx, nil); err != nil {
			return err
		}
	}
}

// announceInbox makes the record a case that operators find by its attributes.
func announceInbox(ctx workflow.Context, in InboxInput, now time.Time) error {
	workflow.SetCurrentDetails(ctx, "**A person decides.** "+string(in.System)+" holds `"+in.Record+
		"`, which belongs to no order that we know. Link it to its order in "+string(in.System)+", or terminate this workflow when it is not ours.")
	return workflow.UpsertTypedSearchAttributes(ctx,
		AgreementAttribute.ValueSet("needs_person"),
		BreaksAttribute.ValueSet([]string{string(in.System) + ".orphan.unexpected"}),
		ChangedAttribute.ValueSet(now),
	)
}
