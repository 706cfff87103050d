package reconciliation

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/trueup-orders/trueup/activities/announce"
	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
)

// AnnouncementKind is what is said about a case.
type AnnouncementKind string

// The kinds.
const (
	CaseOpened  AnnouncementKind = "opened"  // it waits for a person
	CaseChanged AnnouncementKind = "changed" // what it rests on has changed; it is asked about anew
	CaseDue     AnnouncementKind = "due"     // its deadline is near
	CasePast    AnnouncementKind = "past"    // its deadline is over; Happened says what happened then
)

// Announcement is one thing that is said about a case, once. It has no personal
// data in it, for it goes wherever an operator lets it go.
type Announcement struct {
	// ID is the same however often it is sent, and no other's.
	ID   string           `json:"id"`
	Kind AnnouncementKind `json:"kind"`
	// At is when it became true.
	At       time.Time      `json:"at"`
	Order    order.ID       `json:"order"`
	Case     int            `json:"case"`
	Break    string         `json:"break"`
	System   order.System   `json:"system"`
	Why      string         `json:"why"`
	Proposal string         `json:"proposal"`
	Money    int64          `json:"money"` // at stake, in minor units
	Currency order.Currency `json:"currency"`
	// Evidence is the token of what a decision would rest on then.
	Evidence string    `json:"evidence"`
	Opened   time.Time `json:"opened"`
	Deadline time.Time `json:"deadline"`
	Happened string    `json:"happened,omitempty"`
}

// CasesAnnounced counts announcements, by kind and system: each once, however
// often it has to be sent.
const CasesAnnounced = "trueup_cases_announced"

// AnnounceCase says something about a case: one line in the log, one count, and
// one signed POST where a receiver is set. It is tried again until the receiver
// has taken it, but for one that wants no more.
func (a *Activities) AnnounceCase(ctx context.Context, n Announcement) error {
	if activity.GetInfo(ctx).Attempt == 1 {
		activity.GetLogger(ctx).Warn("a case is announced", "kind", string(n.Kind), "order", string(n.Order), "case", n.Case,
			"break", n.Break, "system", string(n.System), "why", n.Why, "money", n.Money, "currency", string(n.Currency),
			"evidence", n.Evidence, "deadline", n.Deadline.UTC().Format(time.RFC3339), "happened", n.Happened)
		activity.GetMetricsHandler(ctx).WithTags(map[string]string{"kind": string(n.Kind), "system": string(n.System)}).
			Counter(CasesAnnounced).Inc(1)
	}
	if a.Receiver == nil {
		return nil
	}
	err := a.Receiver.Post(ctx, announce.Message{ID: n.ID, Type: "case." + string(n.Kind), At: n.At, Data: n})
	return apierr.ToEngine("announce a case", err)
}
