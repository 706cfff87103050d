package workflows

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/reconcile"
)

// What is said of a case to the outside: once when it opens, once when its
// deadline is near, what happened at the deadline, when what it rests on has
// changed, and how it ended. No decision and no system waits for it, nor does
// continuing as new, while a receiver is down; only the end of the order does, for
// a day at most: nobody else would say how its case ended.

// Telling is what was said about one case, or one group.
type Telling struct {
	N int `json:"c"` // of the case, or of the group
	// Evidence is the token that was said last; Changed is set when it may be
	// another by now, and Changes counts how often that was said.
	Evidence string `json:"ev,omitempty"`
	Changed  bool   `json:"chg,omitempty"`
	Changes  int    `json:"n,omitempty"`
	// ChangedAt is when that was said last.
	ChangedAt time.Time `json:"cat,omitzero"`
	Due       bool      `json:"due,omitempty"`
	Past      bool      `json:"past,omitempty"`
	Closed    bool      `json:"end,omitempty"`
	// Orders is of a group: how many had it when it was said last.
	Orders int `json:"o,omitempty"`
}

// changesApart is how often at most it is said that a case has changed: what flaps
// in a system must not flood whoever listens.
const changesApart = time.Hour

// toldOf returns what was said about a case, or a group; or nil.
func toldOf(all []Telling, n int) *Telling {
	for i := range all {
		if all[i].N == n {
			return &all[i]
		}
	}
	return nil
}

// tell says what is to be said about the cases by now. A case that was open before
// cases were announced is announced as it stands, once; one that was over before
// anybody was told of it is never spoken of.
func (p *process) tell(now time.Time) {
	for _, k := range p.Cases {
		t := toldOf(p.Tellings, k.N)
		switch {
		case k.Open() && t == nil:
			p.Tellings = append(p.Tellings, Telling{N: k.N, Due: !now.Before(k.NearAt()), Past: !now.Before(k.Deadline)})
			p.say(now, k, reconciliation.SaysOpened)
		case k.Open():
			p.tellMore(now, k, t)
		case t != nil && !t.Closed:
			t.Closed = true
			p.say(now, k, reconciliation.SaysClosed)
		}
	}
}

// tellMore says what has come about since an open case was announced.
func (p *process) tellMore(now time.Time, k reconcile.Case, t *Telling) {
	if t.Changed && !now.Before(t.ChangedAt.Add(changesApart)) {
		t.Changed = false
		if p.token(now, k) != t.Evidence {
			t.Changes++
			t.ChangedAt = now
			p.say(now, k, reconciliation.SaysChanged)
		}
	}
	switch {
	case !t.Past && !now.Before(k.Deadline):
		t.Due, t.Past = true, true
		p.note(now, fmt.Sprintf("the deadline of case %d is over: %s", k.N, k.AtDeadline))
		p.say(now, k, reconciliation.SaysPast)
	case !t.Due && !now.Before(k.NearAt()):
		t.Due = true
		p.say(now, k, reconciliation.SaysDue)
	}
}

// announceAt is when a case is announced next, and why.
func (p *process) announceAt(k reconcile.Case) (time.Time, string) {
	t := toldOf(p.Tellings, k.N)
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
	if t := toldOf(p.Tellings, n); t != nil {
		t.Changed = true
	}
	p.touch()
}

// say means an announcement: it is in the state before it is sent, so that the
// next run sends it when this one does not get to it.
func (p *process) say(now time.Time, k reconcile.Case, kind reconciliation.AnnouncementKind) {
	b, t := k.Step.Break, toldOf(p.Tellings, k.N)
	a := reconciliation.Announcement{
		Kind: kind, At: now, Order: p.Order.ID, Case: k.N, Break: b.ID(), System: b.System, Why: k.Step.Why, Proposal: k.Step.Proposal,
		Money: b.Money, Currency: p.Order.Currency, Evidence: t.Evidence, Opened: k.Opened, Deadline: k.Deadline,
	}
	if a.Money == 0 {
		a.Money = k.Step.Amount
	}
	if kind == reconciliation.SaysPast {
		a.Happened = k.AtDeadline
	}
	if k.Open() {
		a.Evidence = p.token(now, k)
	} else {
		a.Closed, a.Outcome = k.Closed, unreasoned(k.Outcome)
		a.Decision, a.By = decisionIn(k.Outcome)
	}
	t.Evidence = a.Evidence
	a.ID = announcementID(a.Saying(), string(p.Order.ID), k.Opened, t.Changes)
	p.Unsaid = append(p.Unsaid, a)
}

// announcementID is the same for the same announcement: of an order that was
// adopted anew the cases are others, though their numbers are the same, and so
// are the groups when reconciliation begins anew.
func announcementID(s reconciliation.Saying, within string, opened time.Time, change int) string {
	if s.Kind != reconciliation.SaysChanged {
		change = 0
	}
	text := fmt.Sprintf("%s/%d/%s/%d/%d", within, s.N, s.Kind, change, opened.UnixNano())
	digest := sha256.Sum256([]byte(text))
	return s.Of + "_" + hex.EncodeToString(digest[:12])
}

// herald sends what is to be said of the order's cases.
func (p *process) herald(ctx workflow.Context) {
	h := herald[reconciliation.Announcement]{
		unsaid: &p.Unsaid, act: run.AnnounceCase, run: fmt.Sprintf("%d.", p.Run),
		closing: func() bool { return p.closing },
		done: func(ctx workflow.Context, a reconciliation.Announcement, err error) {
			if err != nil {
				p.note(workflow.Now(ctx), fmt.Sprintf("%s %s is not announced any more: %s", a.Saying().About(), a.Kind, plainly(err)))
			}
			p.touch() // the order may have waited for it, to end
		},
	}
	h.send(ctx)
}
