package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/reconcile"
)

// What is said to the outside of a record that no order claims, as of the cases:
// once when a person is asked, once when the deadline is near, what happened at the
// deadline, and how it ended. Nobody else would say so, and therefore the inbox
// waits for it, for a day at most.

// nearAt is when the case is announced again.
func (i *inbox) nearAt() time.Time { return reconcile.NearDeadline(i.Asked, i.Deadline) }

// reminds says that somebody is about to be told of the deadline.
func (i *inbox) reminds(now time.Time) bool {
	t := i.Told
	return t != nil && (!t.Due && !now.Before(i.nearAt()) || !t.Past && !now.Before(i.Deadline))
}

// tell says what is to be said by now. What ended before anybody was told of it is
// never spoken of.
func (i *inbox) tell(now time.Time) {
	switch t := i.Told; {
	case i.Asked.IsZero():
	case !i.Closed.IsZero():
		if t != nil && !t.Closed {
			t.Closed = true
			i.say(now, reconciliation.SaysClosed)
		}
	case t == nil:
		i.Told = &Telling{N: 1, Due: !now.Before(i.nearAt()), Past: !now.Before(i.Deadline)}
		i.say(now, reconciliation.SaysOpened)
	case !t.Past && !now.Before(i.Deadline):
		t.Due, t.Past = true, true
		i.say(now, reconciliation.SaysPast)
	case !t.Due && !now.Before(i.nearAt()):
		t.Due = true
		i.say(now, reconciliation.SaysDue)
	}
}

// say means an announcement, as of a case.
func (i *inbox) say(now time.Time, kind reconciliation.AnnouncementKind) {
	a := reconciliation.OrphanAnnouncement{
		Kind: kind, At: now, System: i.System, Record: i.Record, Order: i.Order, Break: i.kind(), Why: i.why(),
		Proposal: "link it to its order, or leave it as it is", Money: i.Money, Currency: i.Currency,
		Evidence: i.Token, Since: i.Since, Opened: i.Asked, Deadline: i.Deadline,
	}
	if kind == reconciliation.SaysPast {
		a.Happened = i.AtDeadline
	}
	if i.Closed.IsZero() {
		i.Told.Evidence = i.Token
		record := i.Command()
		who := fmt.Sprintf(" --evidence %s --by NAME --reason TEXT", i.Token)
		a.Commands = []string{"trueup inbox", record + " --link ORDER" + who, record + " --leave" + who}
	} else {
		a.Evidence, a.Closed, a.Outcome = i.Told.Evidence, i.Closed, unreasoned(i.Outcome)
		a.Decision, a.By = decisionIn(i.Outcome)
	}
	a.ID = announcementID(a.Saying(), InboxWorkflowID(i.System, i.Record), i.Asked, 0)
	i.Unsaid = append(i.Unsaid, a)
}

// Command begins the command that decides about the record. What a shell would not
// take as it is, as a mail's <id> or "uid 7", is quoted.
func (k InboxCase) Command() string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@", r)
	}
	record := k.Record
	if record == "" || strings.ContainsFunc(record, func(r rune) bool { return !plain(r) }) {
		record = "'" + strings.ReplaceAll(record, "'", `'\''`) + "'"
	}
	return fmt.Sprintf("trueup inbox %s %s", k.System, record)
}

// why says what the case is about, without personal data.
func (i *inbox) why() string {
	what := ""
	for _, n := range i.Notices {
		if n.What != "" {
			what = ", " + n.What
		}
	}
	if i.Order == "" {
		return fmt.Sprintf("%s holds %s%s, which names no order", i.System, i.Record, what)
	}
	return fmt.Sprintf("%s holds %s%s, which names order %s, and nobody knows that one", i.System, i.Record, what, i.Order)
}

// herald sends what is to be said of the record.
func (i *inbox) herald(ctx workflow.Context) {
	h := herald[reconciliation.OrphanAnnouncement]{
		unsaid: &i.Unsaid, act: run.AnnounceOrphan,
		closing: func() bool { return i.closing },
		done:    func(workflow.Context, reconciliation.OrphanAnnouncement, error) {},
	}
	h.send(ctx)
}
