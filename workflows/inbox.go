package workflows

import (
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// InboxInput starts an inbox: one record or event that came before its order,
// or that belongs to none.
type InboxInput struct {
	System order.System `json:"system"`
	Record string       `json:"record"`
	// Order is the order that it names; empty when it names none.
	Order order.ID `json:"order,omitempty"`
	// Carried is what the run before left, when this one continues it.
	Carried *InboxState `json:"carried,omitempty"`
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
	// when they were read last, one a line, and Token names what a decision would
	// rest on.
	Asked    time.Time `json:"asked,omitzero"`
	Evidence []string  `json:"evidence,omitempty"`
	Token    string    `json:"token,omitempty"`
	// Money is held or was taken, in minor units, where it is known.
	Money    int64          `json:"money,omitempty"`
	Currency order.Currency `json:"currency,omitempty"`
	// Deadline is until when it should be decided, and AtDeadline what happens then.
	Deadline   time.Time `json:"deadline,omitzero"`
	AtDeadline string    `json:"at_deadline,omitempty"`
	// Until is when it is forgotten.
	Until time.Time `json:"until"`
	// Decided is what somebody decided, nil while nobody has.
	Decided *DecideInbox `json:"decided,omitempty"`
	// Closed is when nobody was asked any more, and Outcome why.
	Closed  time.Time `json:"closed,omitzero"`
	Outcome string    `json:"outcome,omitempty"`
}

// InboxState is what an inbox carries from run to run.
type InboxState struct {
	InboxCase
	// Said is what each system answered when it could be read last.
	Said []reconciliation.Said `json:"said,omitempty"`
	// Told is what was said of the case to the outside, and Unsaid what is still to
	// be said.
	Told   *Telling                            `json:"told,omitempty"`
	Unsaid []reconciliation.OrphanAnnouncement `json:"unsaid,omitempty"`
}

// DecideInbox is what somebody decides about a record that no order claims: it
// belongs to an order, or it is to be left as it is.
type DecideInbox struct {
	Asked
	Link  order.ID `json:"link,omitempty"`
	Leave bool     `json:"leave,omitempty"`
	// Evidence is the token of the evidence that it was decided on; empty takes what
	// was known of the record when the decision came. When it is not so any more,
	// nothing is done.
	Evidence string `json:"evidence,omitempty"`
}

// Inbox keeps what concerns one record until its order appears, and gives it to
// the order then. After a while it is a case for a person; beyond the horizon it
// is forgotten, and never starts anything.
func (w *Workflows) Inbox(ctx workflow.Context, in InboxInput) error {
	settings, err := w.settings(ctx)
	if err != nil {
		return err
	}
	i := &inbox{InboxState: in.Carried, settings: settings, signals: workflow.GetSignalChannel(ctx, NoticeSignal)}
	if i.InboxState == nil {
		now := workflow.Now(ctx)
		i.InboxState = &InboxState{InboxCase: InboxCase{
			System: in.System, Record: in.Record, Order: in.Order, Since: now, Until: now.Add(settings.Policy.Horizon),
		}}
	} else {
		i.staked = i.stakes() // the run before has said so
	}
	i.listen(ctx)
	workflow.Go(ctx, i.herald)
	if i.Closed.IsZero() {
		if err := i.run(ctx); err != nil {
			return err
		}
	}
	if i.left() {
		if err := i.remember(ctx); err != nil {
			return err
		}
	}
	return i.end(ctx)
}

type inbox struct {
	*InboxState
	settings Settings
	signals  workflow.ReceiveChannel
	// deciding is set while a decision is carried out: the next one waits for it.
	deciding bool
	// stirred is set when something was heard that the evidence may not show yet.
	stirred bool
	// staked is what the memo says is at stake.
	staked Stakes
	// closing tells the herald that the run ends.
	closing bool
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
			return i.decidable(d)
		},
	}))
}

// run tries to hand over what is kept, at growing intervals, until nobody is to be
// asked any more.
func (i *inbox) run(ctx workflow.Context) error {
	for wait := min(max(5*time.Second, i.age(ctx)), 10*time.Minute); ; wait = min(2*wait, max(10*time.Minute, i.age(ctx)/10)) {
		if err := i.handOver(ctx); err != nil || !i.Closed.IsZero() {
			return err
		}
		if err := i.askAndTell(ctx); err != nil {
			return err
		}
		if i.continues(ctx) {
			return i.again(ctx)
		}
		options := workflow.AwaitOptions{Timeout: i.next(workflow.Now(ctx), wait), TimerOptions: workflow.TimerOptions{Summary: "until its order appears"}}
		if _, err := workflow.AwaitWithOptions(ctx, options, func() bool { return i.Decided != nil }); err != nil {
			return err
		}
	}
}

// age is how long the record has waited.
func (i *inbox) age(ctx workflow.Context) time.Duration { return workflow.Now(ctx).Sub(i.Since) }

// handOver gives what is kept to its order, and closes the case when there is one,
// when somebody has decided, or when it is too old to matter.
func (i *inbox) handOver(ctx workflow.Context) error {
	placed := false
	for {
		i.take()
		if len(i.Notices) == 0 || i.Decided != nil {
			break
		}
		var err error
		if placed, _, err = i.hand(ctx); err != nil {
			return err
		}
		if !placed || i.signals.Len() == 0 {
			break
		}
		i.Notices = nil // more came while these were given
	}
	switch now := workflow.Now(ctx); {
	case i.Decided != nil:
		return i.over(ctx, i.Decided.outcome())
	case placed && i.Order != "":
		return i.over(ctx, "its order has appeared: it was given to order "+string(i.Order))
	case placed:
		return i.over(ctx, "its order has appeared, and was given it")
	case !now.Before(i.Until):
		return i.over(ctx, "nobody decided, and it is older than the horizon: it is forgotten, and nothing was changed")
	}
	return nil
}

// askAndTell makes the record a case when it is time, reads anew what the case
// rests on when that may be another or somebody is reminded of it, and says what
// is to be said.
func (i *inbox) askAndTell(ctx workflow.Context) error {
	now := workflow.Now(ctx)
	switch {
	case i.Asked.IsZero() && i.age(ctx) >= i.settings.Policy.InboxAfter:
		if err := i.ask(ctx); err != nil {
			return err
		}
	case !i.Asked.IsZero() && (i.stirred || i.reminds(now)):
		if _, err := i.look(ctx); err != nil {
			return err
		}
	}
	if i.Decided == nil { // else how it ended is said next
		i.tell(workflow.Now(ctx))
	}
	return i.publish(ctx)
}

// next is how long to wait: until it is tried again, or until something is to be
// said or done about the case.
func (i *inbox) next(now time.Time, wait time.Duration) time.Duration {
	moments := []time.Time{i.Until}
	switch {
	case i.Asked.IsZero():
		moments = append(moments, i.Since.Add(i.settings.Policy.InboxAfter))
	case i.Told == nil || i.Told.Past:
	case i.Told.Due:
		moments = append(moments, i.Deadline)
	default:
		moments = append(moments, i.nearAt())
	}
	for _, at := range moments {
		wait = min(wait, at.Sub(now))
	}
	return max(wait, time.Second)
}

// continues says that the run should end here, for the engine suggests it and
// nothing is under way. What the herald is at is sent again under the same id.
func (i *inbox) continues(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx) && i.signals.Len() == 0
}

func (i *inbox) again(ctx workflow.Context) error {
	i.closing = true
	return workflow.NewContinueAsNewError(ctx, InboxType, InboxInput{System: i.System, Record: i.Record, Order: i.Order, Carried: i.InboxState})
}

// take takes in what came, each notice once: a sweep tells of a record as often
// as it sees it.
func (i *inbox) take() {
	var n reconciliation.Notices
	for i.signals.ReceiveAsync(&n) {
		for _, one := range n.Notices {
			i.hear(one)
		}
		n = reconciliation.Notices{}
	}
}

// hear keeps a notice. One that is known may tell of the record as it is by now.
func (i *inbox) hear(n reconciliation.Notice) {
	at := slices.IndexFunc(i.Notices, func(old reconciliation.Notice) bool { return old.ID == n.ID })
	switch {
	case at >= 0 && (n.What == i.Notices[at].What && n.Money == i.Notices[at].Money):
		return
	case at >= 0:
		i.Notices[at].What, i.Notices[at].Money, i.Notices[at].Currency = n.What, n.Money, n.Currency
	case len(i.Notices) >= mostNotices:
		return
	default:
		i.Notices = append(i.Notices, n)
	}
	i.stirred = true
}

// mostNotices is how many an inbox keeps: the order reads the live record, and
// one says so.
const mostNotices = 50

// hand gives what is kept to its order, and says whether there is one and whether that is
// known now. While it is not, the inbox goes on all the same, and tries it again later: a
// person is asked, reminded and obeyed, and the horizon is kept.
func (i *inbox) hand(ctx workflow.Context) (placed, known bool, err error) {
	placed, err = i.give(ctx, i.Order, i.Notices)
	if ctx.Err() != nil || err == nil {
		return placed, true, err
	}
	workflow.GetLogger(ctx).Warn("what is kept of a record could not be given to its order; it is tried again later",
		"system", string(i.System), "record", i.Record, "order", string(i.Order), "error", plainly(err))
	return false, false, nil
}

// give gives notices that are kept to an order, and says whether there is one. It fails
// when the order takes them never, and when nobody has answered within lookWithin.
func (i *inbox) give(ctx workflow.Context, to order.ID, all []reconciliation.Notice) (bool, error) {
	options := inboxOptions("does " + i.Record + " have an order by now? " + string(to))
	options.ScheduleToCloseTimeout = lookWithin
	var placed bool
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), run.GiveNotices, reconciliation.Notices{Order: to, Notices: all}).Get(ctx, &placed)
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
	if _, err := i.look(ctx); err != nil {
		return err
	}
	i.Asked = workflow.Now(ctx)
	i.Deadline = i.Asked.Add(i.settings.Policy.OrphanDeadline(i.System))
	if i.Until.Before(i.Deadline) {
		i.Deadline = i.Until
	}
	i.AtDeadline = "it waits on until " + i.Until.UTC().Format(time.DateOnly) + ", when it is forgotten; nothing is changed without a decision"
	i.describe(ctx)
	return workflow.UpsertTypedSearchAttributes(ctx,
		AgreementAttribute.ValueSet("needs_person"),
		BreaksAttribute.ValueSet([]string{i.kind()}),
		ChangedAttribute.ValueSet(i.Asked),
	)
}

// kind is how the case is listed.
func (i *inbox) kind() string { return string(i.System) + ".orphan.unexpected" }

// lookWithin is how long it is tried to read what a case rests on, and to find its order:
// who is to be told of it is told also while the systems do not answer.
const lookWithin = 10 * time.Minute

// look reads what the case rests on, and says whether that was possible. What a
// system said before still counts while it cannot be read.
func (i *inbox) look(ctx workflow.Context) (bool, error) {
	i.take()
	options := inboxOptions("what the systems say about " + i.Record)
	options.StartToCloseTimeout = 2 * time.Minute // all six
	options.ScheduleToCloseTimeout = lookWithin
	var found reconciliation.Around
	asked := reconciliation.Unclaimed{System: i.System, Record: i.Record, Order: i.Order, Notices: i.Notices}
	i.stirred = false
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), run.LookAround, asked).Get(ctx, &found)
	if ctx.Err() != nil {
		return false, err
	}
	if err != nil {
		workflow.GetLogger(ctx).Warn("what the systems say about a record that no order claims could not be read", "system", string(i.System), "record", i.Record, "error", plainly(err))
		i.stirred = true // it is tried again
		if i.Token == "" {
			i.Evidence, i.Token = []string{"the systems have not answered yet"}, i.token()
		}
		return false, nil
	}
	i.learn(found)
	if !i.Asked.IsZero() {
		i.describe(ctx)
	}
	return !i.unread(), nil
}

// learn takes up what was found.
func (i *inbox) learn(found reconciliation.Around) {
	for at, said := range found.Said {
		before := slices.IndexFunc(i.Said, func(old reconciliation.Said) bool { return old.System == said.System })
		if said.Unreadable && before >= 0 {
			found.Said[at].Value = i.Said[before].Value
		}
	}
	i.Evidence, i.Said = found.Lines, found.Said
	if !i.unread() {
		i.Money, i.Currency = found.Money, found.Currency
	}
	i.Token = i.token()
}

// token names what a decision rests on. A record that names an order is what its
// system says of that order; of another one there is only what was heard.
func (i *inbox) token() string {
	var known, said []string
	if i.Order == "" {
		for _, n := range i.Notices {
			known = append(known, n.Type+" "+n.What)
		}
	}
	for _, s := range i.Said {
		said = append(said, string(s.System)+" "+s.Value)
	}
	slices.Sort(known)
	return reconcile.OrphanToken(i.System, i.Record, slices.Compact(known), said)
}

// unread says that the record's own system could not be read last.
func (i *inbox) unread() bool {
	return slices.ContainsFunc(i.Said, func(s reconciliation.Said) bool { return s.System == i.System && s.Unreadable })
}

// describe tells the case to who opens the workflow in the engine's UI.
func (i *inbox) describe(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, "**A person decides**, until "+i.Deadline.UTC().Format(time.RFC3339)+". "+string(i.System)+" holds `"+i.Record+
		"`, which belongs to no order that we know.\n\n- "+strings.Join(i.Evidence, "\n- ")+"\n\nLink it to its order, or leave it as it is: `trueup inbox` says how.")
}

// over closes the case with what became of it, and takes it out of the operators'
// list.
func (i *inbox) over(ctx workflow.Context, outcome string) error {
	i.Closed, i.Outcome = workflow.Now(ctx), outcome
	if i.Asked.IsZero() {
		return nil
	}
	i.tell(i.Closed)
	workflow.SetCurrentDetails(ctx, "Nobody is asked any more: "+outcome+".")
	if err := workflow.UpsertTypedSearchAttributes(ctx,
		AgreementAttribute.ValueSet("agreed"), BreaksAttribute.ValueUnset(), ChangedAttribute.ValueSet(i.Closed)); err != nil {
		return err
	}
	return i.publish(ctx)
}

// stakes are what is at stake while somebody is asked.
func (i *inbox) stakes() Stakes {
	if i.Asked.IsZero() || !i.Closed.IsZero() {
		return Stakes{}
	}
	s := Stakes{Cases: 1, Opened: i.Asked, Deadline: i.Deadline, Money: i.Money}
	if s.Money > 0 {
		s.Currency = i.Currency
	}
	return s
}

// publish writes what is at stake into the memo, where lists and metrics read it.
func (i *inbox) publish(ctx workflow.Context) error {
	if s := i.stakes(); s != i.staked {
		i.staked = s
		return workflow.UpsertMemo(ctx, map[string]any{StakesMemo: s})
	}
	return nil
}

// left says that somebody decided to leave the record as it is.
func (i *inbox) left() bool { return i.Decided != nil && i.Decided.Leave }

// remember keeps a record that was left in mind until the horizon, or the next
// sweep would ask about it again.
func (i *inbox) remember(ctx workflow.Context) error {
	for {
		i.take() // a sweep tells of it as often as it sees it
		if i.continues(ctx) {
			return i.again(ctx)
		}
		left := i.Until.Sub(workflow.Now(ctx))
		if left <= 0 {
			return nil
		}
		options := workflow.AwaitOptions{Timeout: left, TimerOptions: workflow.TimerOptions{Summary: "left as it is, and not asked about again until then"}}
		if _, err := workflow.AwaitWithOptions(ctx, options, func() bool { return i.signals.Len() > 0 }); err != nil {
			return err
		}
	}
}

// end waits until how it ended was said, and gives what still comes to the order
// that has the record. What comes to a record that was forgotten is forgotten too.
func (i *inbox) end(ctx workflow.Context) error {
	for {
		said := func() bool { return len(i.Unsaid) == 0 && workflow.AllHandlersFinished(ctx) }
		if err := workflow.Await(ctx, func() bool { return i.signals.Len() > 0 || said() }); err != nil {
			return err
		}
		if i.signals.Len() == 0 {
			i.closing = true
			return nil
		}
		i.Notices = nil
		i.take()
		if len(i.Notices) > 0 && (i.Order != "" || i.Decided == nil) && i.Closed.Before(i.Until) {
			if err := i.follow(ctx); err != nil {
				return err
			}
		}
	}
}

// follow gives what came after the end to the order that has the record, at growing
// intervals up to the horizon while it cannot be given.
func (i *inbox) follow(ctx workflow.Context) error {
	for {
		if _, known, err := i.hand(ctx); err != nil || known {
			return err
		}
		wait := min(max(10*time.Minute, i.age(ctx)/10), i.Until.Sub(workflow.Now(ctx)))
		if wait <= 0 {
			return nil
		}
		if err := workflow.Sleep(ctx, wait); err != nil {
			return err
		}
		i.take()
	}
}
