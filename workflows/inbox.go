package workflows

import (
	"fmt"
	"slices"
	"strings"
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

// InboxCase is what is known about a record that waits for its order.
type InboxCase struct {
	System order.System `json:"system"`
	Record string       `json:"record"`
	// Order is the order that it names, or was linked to.
	Order   order.ID                `json:"order,omitempty"`
	Since   time.Time               `json:"since"`
	Notices []reconciliation.Notice `json:"notices,omitempty"`
	// Asked is when it became a case for a person; Evidence what the systems said
	// then, one a line.
	Asked    time.Time `json:"asked,omitzero"`
	Evidence []string  `json:"evidence,omitempty"`
	// Until is when it is forgotten.
	Until time.Time `json:"until"`
	// Decided is what somebody decided, nil while nobody has.
	Decided *DecideInbox `json:"decided,omitempty"`
}

// DecideInbox is what somebody decides about a record that no order claims: it
// belongs to an order, or it is to be left as it is.
type DecideInbox struct {
	Asked
	Link  order.ID `json:"link,omitempty"`
	Leave bool     `json:"leave,omitempty"`
}

// Inbox keeps what concerns one record until its order appears, and gives it to
// the order then. After a while it is a case for a person; beyond the horizon it
// is forgotten, and never starts anything.
func (w *Workflows) Inbox(ctx workflow.Context, in InboxInput) error {
	settings, err := w.settings(ctx)
	if err != nil {
		return err
	}
	now := workflow.Now(ctx)
	i := &inbox{
		InboxCase: InboxCase{System: in.System, Record: in.Record, Order: in.Order, Since: now, Until: now.Add(settings.Policy.Horizon)},
		settings:  settings, signals: workflow.GetSignalChannel(ctx, NoticeSignal),
	}
	i.listen(ctx)
	if err := i.run(ctx); err != nil {
		return err
	}
	if !i.Asked.IsZero() && !i.left() {
		if err := i.settle(ctx); err != nil {
			return err
		}
	}
	return workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

type inbox struct {
	InboxCase
	settings Settings
	signals  workflow.ReceiveChannel
}

func (i *inbox) listen(ctx workflow.Context) {
	must(workflow.SetQueryHandlerWithOptions(ctx, InboxQuery, func() (InboxCase, error) { return i.InboxCase, nil },
		workflow.QueryHandlerOptions{Description: "The record, what was heard of it, and what the systems say."}))
	must(workflow.SetUpdateHandlerWithOptions(ctx, InboxDecideUpdate, i.decide, workflow.UpdateHandlerOptions{
		Description: "Links the record to its order, or leaves it as it is.",
		Validator: func(_ workflow.Context, d DecideInbox) error {
			if d.By == "" || d.Reason == "" || d.Leave == (d.Link != "") {
				return temporal.NewNonRetryableApplicationError("a decision links the record to an order or leaves it, and says by whom and why", InvalidReason, nil)
			}
			if i.Decided != nil {
				return temporal.NewNonRetryableApplicationError(fmt.Sprintf("%s has decided already: %s", i.Decided.By, i.Decided.text()), RefusedReason, nil)
			}
			return nil
		},
	}))
}

func (d DecideInbox) text() string {
	if d.Leave {
		return "it is left as it is: " + d.Reason
	}
	return fmt.Sprintf("it belongs to order %s: %s", d.Link, d.Reason)
}

// left says that somebody decided to leave the record as it is. It is still
// remembered until the horizon, or the next sweep would ask about it again.
func (i *inbox) left() bool { return i.Decided != nil && i.Decided.Leave }

// decide carries out what somebody decides. What is linked to an order that
// nobody knows is refused: a decision starts no order either.
func (i *inbox) decide(ctx workflow.Context, d DecideInbox) (InboxCase, error) {
	if d.Link != "" {
		i.take()
		placed, err := i.give(ctx, d.Link)
		if err != nil {
			return i.InboxCase, err
		}
		if !placed {
			return i.InboxCase, temporal.NewNonRetryableApplicationError(fmt.Sprintf(
				"no order %s is known; if it may be older than the engine's memory, submit it again: it is adopted from the systems as it stands", d.Link), RefusedReason, nil)
		}
		i.Order = d.Link
	}
	if i.Decided != nil { // somebody else was faster
		return i.InboxCase, nil
	}
	i.Decided = &d
	return i.InboxCase, nil
}

// run tries to hand over what is kept, at growing intervals.
func (i *inbox) run(ctx workflow.Context) error {
	for wait := 5 * time.Second; ; wait = min(2*wait, max(10*time.Minute, workflow.Now(ctx).Sub(i.Since)/10)) {
		i.take()
		age := workflow.Now(ctx).Sub(i.Since)
		if len(i.Notices) > 0 && i.Decided == nil {
			placed, err := i.give(ctx, i.Order)
			if err != nil {
				return err
			}
			if placed && i.signals.Len() == 0 {
				return nil
			}
			if placed { // more came while these were given
				i.Notices = nil
				continue
			}
		}
		if age > i.settings.Policy.Horizon {
			return nil
		}
		if age >= i.settings.Policy.InboxAfter && i.Asked.IsZero() {
			if err := i.ask(ctx); err != nil {
				return err
			}
		}
		options := workflow.AwaitOptions{Timeout: wait, TimerOptions: workflow.TimerOptions{Summary: "until its order appears"}}
		if _, err := workflow.AwaitWithOptions(ctx, options, func() bool { return i.Decided != nil }); err != nil {
			return err
		}
		if i.left() {
			return i.remember(ctx)
		}
		if i.Decided != nil {
			return nil
		}
	}
}

// take takes in what came, each notice once: a sweep tells of a record as often
// as it sees it.
func (i *inbox) take() {
	var n reconciliation.Notices
	for i.signals.ReceiveAsync(&n) {
		for _, one := range n.Notices {
			known := slices.ContainsFunc(i.Notices, func(old reconciliation.Notice) bool { return old.ID == one.ID })
			if !known && len(i.Notices) < mostNotices {
				i.Notices = append(i.Notices, one)
			}
		}
		n = reconciliation.Notices{}
	}
}

// mostNotices is how many an inbox keeps: the order reads the live record, and
// one says so.
const mostNotices = 50

// give gives what is kept to an order, and says whether there is one.
func (i *inbox) give(ctx workflow.Context, to order.ID) (bool, error) {
	options := inboxOptions("does " + i.Record + " have an order by now? " + string(to))
	var placed bool
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), run.GiveNotices, reconciliation.Notices{Order: to, Notices: i.Notices}).Get(ctx, &placed)
	return placed, err
}

func inboxOptions(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: ReconciliationQueue, StartToCloseTimeout: callTimeout, Summary: summary,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}
}

// ask makes the record a case that operators find by its attributes, with what
// all systems say about the order that it names.
func (i *inbox) ask(ctx workflow.Context) error {
	options := inboxOptions("what the systems say about " + i.Record)
	options.StartToCloseTimeout = 2 * time.Minute // all six
	look := reconciliation.Unclaimed{System: i.System, Record: i.Record, Order: i.Order, Notices: i.Notices}
	if err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), run.LookAround, look).Get(ctx, &i.Evidence); err != nil {
		return err
	}
	i.Asked = workflow.Now(ctx)
	workflow.SetCurrentDetails(ctx, "**A person decides.** "+string(i.System)+" holds `"+i.Record+"`, which belongs to no order that we know.\n\n- "+
		strings.Join(i.Evidence, "\n- ")+"\n\nLink it to its order, or leave it as it is: `trueup inbox` says how.")
	return workflow.UpsertTypedSearchAttributes(ctx,
		AgreementAttribute.ValueSet("needs_person"),
		BreaksAttribute.ValueSet([]string{string(i.System) + ".orphan.unexpected"}),
		ChangedAttribute.ValueSet(i.Asked),
	)
}

// settle takes the case out of the operators' list.
func (i *inbox) settle(ctx workflow.Context) error {
	what := "Its order has appeared, or it is too old to matter."
	if i.Decided != nil {
		what = fmt.Sprintf("%s decided: %s.", i.Decided.By, i.Decided.text())
	}
	workflow.SetCurrentDetails(ctx, what)
	return workflow.UpsertTypedSearchAttributes(ctx,
		AgreementAttribute.ValueSet("agreed"), BreaksAttribute.ValueUnset(), ChangedAttribute.ValueSet(workflow.Now(ctx)))
}

// remember keeps a record that was left in mind until the horizon.
func (i *inbox) remember(ctx workflow.Context) error {
	if err := i.settle(ctx); err != nil {
		return err
	}
	timer := workflow.TimerOptions{Summary: "left as it is, and not asked about again until then"}
	return workflow.NewTimerWithOptions(ctx, i.Until.Sub(workflow.Now(ctx)), timer).Get(ctx, nil)
}
