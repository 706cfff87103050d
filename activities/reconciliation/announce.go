package reconciliation

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/trueup-orders/trueup/activities/announce"
	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// AnnouncementKind is what is said about a case. A group is one case for many
// orders, and of it the same is said.
type AnnouncementKind string

// The kinds.
const (
	SaysOpened  AnnouncementKind = "opened"  // it waits for a person
	SaysChanged AnnouncementKind = "changed" // what it rests on has changed; it is asked about anew
	SaysDue     AnnouncementKind = "due"     // its deadline is near
	SaysPast    AnnouncementKind = "past"    // its deadline is over; Happened says what happened then
	SaysClosed  AnnouncementKind = "closed"  // nobody is asked any more; Outcome says why
)

// Saying is what announcements of cases and of groups have in common.
type Saying struct {
	// ID is the same however often it is sent, and no other's.
	ID   string
	Kind AnnouncementKind
	At   time.Time
	// Of is "case", "group" or "orphan", and N which one; Name where it has a name.
	Of   string
	N    int
	Name string
}

// Type is what the receiver is told that it is, as "case.opened".
func (s Saying) Type() string { return s.Of + "." + string(s.Kind) }

// About says what it is about, as "case 1", or "orphan payment pi_1".
func (s Saying) About() string { return s.Of + " " + cmp.Or(s.Name, strconv.Itoa(s.N)) }

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
	// Evidence is the token of what a decision would rest on then; of a case that is
	// closed, the one that was said last.
	Evidence string    `json:"evidence"`
	Opened   time.Time `json:"opened"`
	Deadline time.Time `json:"deadline"`
	Happened string    `json:"happened,omitempty"`
	Ending
}

// Ending is how something ended of which was said that it opened.
type Ending struct {
	Closed time.Time `json:"closed,omitzero"`
	// Outcome says it in words, without the reason that a person gave: that one may
	// name a customer.
	Outcome string `json:"outcome,omitempty"`
	// Decision and By are set when a person decided; By is unverified until there
	// are identities. Both are empty when it ended by itself.
	Decision string `json:"decision,omitempty"`
	By       string `json:"by,omitempty"`
}

// Saying returns what every announcement has.
func (n Announcement) Saying() Saying { return Saying{n.ID, n.Kind, n.At, "case", n.Case, ""} }

// GroupAnnouncement is one thing that is said about a group, once. It has no
// personal data in it either.
type GroupAnnouncement struct {
	ID    string           `json:"id"`
	Kind  AnnouncementKind `json:"kind"`
	At    time.Time        `json:"at"`
	Group int              `json:"group"`
	// Break is what its orders have, as "crm.deal.mismatch"; a system where most of
	// that system's records are missing. System is empty when it is of no single one.
	Break  string       `json:"break"`
	System order.System `json:"system"`
	State  GroupState   `json:"state"`
	Why    string       `json:"why"`
	// Orders have it, of those Looked at; Repairs of its Breaks would be repaired.
	Orders  int `json:"orders"`
	Looked  int `json:"looked"`
	Breaks  int `json:"breaks"`
	Repairs int `json:"repairs"`
	// AtRisk is what money is, by currency; none where nobody knows of any.
	AtRisk []reconcile.Sum `json:"at_risk,omitempty"`
	// Evidence is the token of what a decision would rest on then; none once it is
	// over.
	Evidence string `json:"evidence,omitempty"`
	// Examples are a few of its orders; of levels, SKUs.
	Examples []string  `json:"examples,omitempty"`
	Since    time.Time `json:"since"`
	Opened   time.Time `json:"opened"`
	Deadline time.Time `json:"deadline"`
	// Proposal and Alternatives are what may be decided, and Commands how it is looked
	// at and decided in a terminal; none once it is over.
	Proposal     string   `json:"proposal"`
	Alternatives []string `json:"alternatives,omitempty"`
	Commands     []string `json:"commands,omitempty"`
	Happened     string   `json:"happened,omitempty"`
	Ending
}

// Saying returns what every announcement has.
func (n GroupAnnouncement) Saying() Saying { return Saying{n.ID, n.Kind, n.At, "group", n.Group, ""} }

// OrphanAnnouncement is one thing that is said about a record that no order claims,
// once. It has no personal data in it either.
type OrphanAnnouncement struct {
	ID     string           `json:"id"`
	Kind   AnnouncementKind `json:"kind"`
	At     time.Time        `json:"at"`
	System order.System     `json:"system"`
	Record string           `json:"record"`
	// Order is the order that it names, or was linked to.
	Order order.ID `json:"order,omitempty"`
	// Break is the kind by which it is listed, as "payment.orphan.unexpected".
	Break    string         `json:"break"`
	Why      string         `json:"why"`
	Proposal string         `json:"proposal"`
	Money    int64          `json:"money"` // held or taken, where it is known
	Currency order.Currency `json:"currency,omitempty"`
	// Evidence is the token of what a decision would rest on then; of one that is
	// closed, the one that was said last.
	Evidence string    `json:"evidence"`
	Since    time.Time `json:"since"` // it was first heard of
	Opened   time.Time `json:"opened"`
	Deadline time.Time `json:"deadline"`
	// Commands are how it is looked at and decided in a terminal; none once it is over.
	Commands []string `json:"commands,omitempty"`
	Happened string   `json:"happened,omitempty"`
	Ending
}

// Saying returns what every announcement has.
func (n OrphanAnnouncement) Saying() Saying {
	return Saying{n.ID, n.Kind, n.At, "orphan", 1, string(n.System) + " " + n.Record}
}

// CasesAnnounced, GroupsAnnounced and OrphansAnnounced count announcements, by kind and system: each
// once, however often it has to be sent.
const (
	CasesAnnounced  = "trueup_cases_announced"
	GroupsAnnounced = "trueup_groups_announced"

	OrphansAnnounced = "trueup_orphans_announced"
)

// AnnounceCase says something about a case: one line in the log, one count, and
// one signed POST where a receiver is set. It is tried again until the receiver
// has taken it, but for one that wants no more.
func (a *Activities) AnnounceCase(ctx context.Context, n Announcement) error {
	if activity.GetInfo(ctx).Attempt == 1 {
		activity.GetLogger(ctx).Warn("a case is announced", "kind", string(n.Kind), "order", string(n.Order), "case", n.Case,
			"break", n.Break, "system", string(n.System), "why", n.Why, "money", n.Money, "currency", string(n.Currency),
			"evidence", n.Evidence, "deadline", n.Deadline.UTC().Format(time.RFC3339), "happened", n.Happened, "outcome", n.Outcome)
		counted(ctx, CasesAnnounced, n.Kind, string(n.System))
	}
	return a.post(ctx, n.Saying(), n)
}

// AnnounceGroup says something about a group, as AnnounceCase does about a case.
func (a *Activities) AnnounceGroup(ctx context.Context, n GroupAnnouncement) error {
	if activity.GetInfo(ctx).Attempt == 1 {
		activity.GetLogger(ctx).Warn("a group is announced", "kind", string(n.Kind), "group", n.Group, "break", n.Break, "state", string(n.State),
			"why", n.Why, "orders", n.Orders, "looked", n.Looked, "at_risk", Amounts(n.AtRisk), "examples", strings.Join(n.Examples, " "),
			"deadline", n.Deadline.UTC().Format(time.RFC3339), "happened", n.Happened, "outcome", n.Outcome)
		counted(ctx, GroupsAnnounced, n.Kind, cmp.Or(string(n.System), "all"))
	}
	return a.post(ctx, n.Saying(), n)
}

// AnnounceOrphan says something about a record that no order claims, as AnnounceCase
// does about a case.
func (a *Activities) AnnounceOrphan(ctx context.Context, n OrphanAnnouncement) error {
	if activity.GetInfo(ctx).Attempt == 1 {
		activity.GetLogger(ctx).Warn("a record that no order claims is announced", "kind", string(n.Kind), "system", string(n.System), "record", n.Record,
			"order", string(n.Order), "why", n.Why, "money", n.Money, "currency", string(n.Currency),
			"evidence", n.Evidence, "deadline", n.Deadline.UTC().Format(time.RFC3339), "happened", n.Happened, "outcome", n.Outcome)
		counted(ctx, OrphansAnnounced, n.Kind, string(n.System))
	}
	return a.post(ctx, n.Saying(), n)
}

func counted(ctx context.Context, name string, kind AnnouncementKind, system string) {
	activity.GetMetricsHandler(ctx).WithTags(map[string]string{"kind": string(kind), "system": system}).Counter(name).Inc(1)
}

// post sends what is said to the receiver, where there is one.
func (a *Activities) post(ctx context.Context, s Saying, data any) error {
	if a.Receiver == nil {
		return nil
	}
	err := a.Receiver.Post(ctx, announce.Message{ID: s.ID, Type: s.Type(), At: s.At, Data: data})
	return apierr.ToEngine("announce a "+s.Of, err)
}
