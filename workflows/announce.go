package workflows

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What is said of a case to the outside: once when it opens, once when its
// deadline is near, what happened at the deadline, and when what it rests on has
// changed. Nothing of the order waits for it: it may close, or continue as new,
// while a receiver is down.

// Telling is what was said about one case.
type Telling struct {
	Case int `json:"c"`
	// Evidence is the token that was said last; Changed is set when it may be
	// another by now, and Changes counts how often that was said.
	Evidence string `json:"ev,omitempty"`
	Changed  bool   `json:"chg,omitempty"`
	Changes  int    `json:"n,omitempty"`
	// ChangedAt is when that was said last.
	ChangedAt time.Time `json:"cat,omitzero"`
	Due       bool      `json:"due,omitempty"`
	Past      bool      `json:"past,omitempty"`
}

// changesApart is how often at most it is said that a case has changed: what flaps
// in a system must not flood whoever listens.
const changesApart = time.Hour

// announceWithin is how long it is tried to say something.
const announceWithin = 24 * time.Hour

// telling returns what was said about a case, or nil.
func (s *State) telling(n int) *Telling {
	for i := range s.Tellings {
		if s.Tellings[i].Case == n {
			return &s.Tellings[i]
		}
	}
	return nil
}

// tell says what is to be said about the open cases by now. A case that was open
// before cases were announced is announced as it stands, once.
func (p *process) tell(now time.Time) {
	for i := range p.Cases {
		k := p.Cases[i]
		if !k.Open() {
			continue
		}
		t := p.telling(k.N)
		if t == nil {
			p.Tellings = append(p.Tellings, Telling{Case: k.N, Due: !now.Before(k.NearAt()), Past: !now.Before(k.Deadline)})
			p.say(now, k, reconciliation.CaseOpened)
			continue
		}
		if t.Changed && !now.Before(t.ChangedAt.Add(changesApart)) {
			t.Changed = false
			if p.token(now, k) != t.Evidence {
				t.Changes++
				t.ChangedAt = now
				p.say(now, k, reconciliation.CaseChanged)
			}
		}
		switch {
		case !t.Past && !now.Before(k.Deadline):
			t.Due, t.Past = true, true
			p.note(now, fmt.Sprintf("the deadline of case %d is over: %s", k.N, k.AtDeadline))
			p.say(now, k, reconciliation.CasePast)
		case !t.Due && !now.Before(k.NearAt()):
			t.Due = true
			p.say(now, k, reconciliation.CaseDue)
		}
	}
}

// announceAt is when a case is announced next, and why.
func (p *process) announceAt(k reconcile.Case) (time.Time, string) {
	t := p.telling(k.N)
	if t == nil {
		return time.Time{}, ""
	}
	at, why := time.Time{}, ""
	switch {
	case t.Past:
	case t.Due:
		at, why = k.Deadline, fmt.Sprintf("the deadline of case %d", k.N)
	default:
		at, why = k.NearAt(), fmt.Sprintf("the deadline of case %d is near", k.N)
	}
	if again := t.ChangedAt.Add(changesApart); t.Changed && !t.ChangedAt.IsZero() && (at.IsZero() || again.Before(at)) {
		return again, fmt.Sprintf("case %d may have changed once more", k.N)
	}
	return at, why
}

// mayHaveChanged lets a case be announced anew, when it rests on something else
// than was said of it.
func (p *process) mayHaveChanged(n int) {
	if t := p.telling(n); t != nil {
		t.Changed = true
	}
	p.touch()
}

// say means an announcement: it is in the state before it is sent, so that the
// next run sends it when this one does not get to it.
func (p *process) say(now time.Time, k reconcile.Case, kind reconciliation.AnnouncementKind) {
	b := k.Step.Break
	a := reconciliation.Announcement{
		Kind: kind, At: now, Order: p.Order.ID, Case: k.N, Break: b.ID(), System: b.System, Why: k.Step.Why, Proposal: k.Step.Proposal,
		Money: b.Money, Currency: p.Order.Currency, Evidence: p.token(now, k), Opened: k.Opened, Deadline: k.Deadline,
	}
	if a.Money == 0 {
		a.Money = k.Step.Amount
	}
	if kind == reconciliation.CasePast {
		a.Happened = k.AtDeadline
	}
	t := p.telling(k.N)
	t.Evidence = a.Evidence
	a.ID = announcementID(p.Order.ID, k, kind, t.Changes)
	p.Unsaid = append(p.Unsaid, a)
}

// announcementID is the same for the same announcement: of an order that was
// adopted anew the cases are others, though their numbers are the same.
func announcementID(of order.ID, k reconcile.Case, kind reconciliation.AnnouncementKind, change int) string {
	if kind != reconciliation.CaseChanged {
		change = 0
	}
	text := fmt.Sprintf("%s/%d/%s/%d/%d", of, k.N, kind, change, k.Opened.UnixNano())
	digest := sha256.Sum256([]byte(text))
	return "case_" + hex.EncodeToString(digest[:12])
}

// herald sends what is to be said, each by itself, so that one that does not
// get through holds up no other.
func (p *process) herald(ctx workflow.Context) {
	for {
		var next *reconciliation.Announcement
		_ = workflow.Await(ctx, func() bool {
			next = p.unsaid()
			return p.closing || next != nil
		})
		if p.closing {
			return
		}
		a := *next
		p.saying = append(p.saying, a.ID)
		workflow.Go(ctx, func(ctx workflow.Context) { p.deliver(ctx, a) })
	}
}

// unsaid returns the first announcement that is not on its way, or nil.
func (p *process) unsaid() *reconciliation.Announcement {
	for i := range p.Unsaid {
		if !slices.Contains(p.saying, p.Unsaid[i].ID) {
			return &p.Unsaid[i]
		}
	}
	return nil
}

// deliver has one announcement sent. What is not taken within a day is given up,
// with a line in the log: whoever looks finds the case all the same.
func (p *process) deliver(ctx workflow.Context, a reconciliation.Announcement) {
	what := fmt.Sprintf("case %d %s", a.Case, a.Kind)
	left := a.At.Add(announceWithin).Sub(workflow.Now(ctx))
	activity := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              ReconciliationQueue,
		ActivityID:             fmt.Sprintf("case.%s/%d.%d %s", a.Kind, p.Run, a.Case, a.ID[len(a.ID)-4:]),
		StartToCloseTimeout:    callTimeout,
		ScheduleToCloseTimeout: max(left, time.Minute),
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 5 * time.Second, BackoffCoefficient: 2, MaximumInterval: 15 * time.Minute,
			MaximumAttempts: 10_000, // the time ends it; this bounds a receiver that asks for it again and again at once
		},
		Summary: "announce " + what,
	})
	err := workflow.ExecuteActivity(activity, run.AnnounceCase, a).Get(ctx, nil)
	if err != nil {
		p.note(workflow.Now(ctx), what+" is not announced any more: "+plainly(err))
		workflow.GetLogger(ctx).Warn("an announcement is given up", "order", string(a.Order), "case", a.Case, "kind", string(a.Kind), "error", plainly(err))
	}
	p.Unsaid = slices.DeleteFunc(p.Unsaid, func(other reconciliation.Announcement) bool { return other.ID == a.ID })
	p.saying = slices.DeleteFunc(p.saying, func(id string) bool { return id == a.ID })
}
