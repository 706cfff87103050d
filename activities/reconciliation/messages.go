// Package reconciliation holds the activities of a reconciliation run: following
// change feeds, screening what changed, asking for grants, confirming suspects
// in their orders' own workflows, and reporting. It only reads the systems;
// every change is made by the order's own workflow.
package reconciliation

import (
	"time"

	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Notice tells an order that something changed in a system. It is a hint, never
// the truth: the order reads the live record. Webhooks and change feeds make
// the same notices.
type Notice struct {
	// ID tells a repeated notice from a new one: the provider's event id, or the
	// record and its version.
	ID     string       `json:"id"`
	System order.System `json:"system"`
	Record string       `json:"record,omitempty"`
	Type   string       `json:"type,omitempty"` // the system's own word, for people
	What   string       `json:"what,omitempty"` // what the record is, where no order claims it; for people
	// At is when it happened, by the system's clock.
	At time.Time `json:"at"`
	// Echo is the key of the request that caused it, where the system says so: of
	// our own doing when it is one of ours.
	Echo string `json:"echo,omitempty"`
	// Says are digests of the records, where the system is followed by its
	// contents: see reconcile.Says.
	Says []string `json:"says,omitempty"`
	// Money is what the record holds or took, where no order claims it and its system
	// says so.
	Money    int64          `json:"money,omitempty"`
	Currency order.Currency `json:"currency,omitempty"`
}

// Notices are notices for one order that came together.
type Notices struct {
	Order   order.ID `json:"order"`
	Notices []Notice `json:"notices"`
}

// Confirmation asks an order's workflow to look again at what a run suspects,
// and to repair what it has grants for.
type Confirmation struct {
	Run     string         `json:"run"`
	Systems []order.System `json:"systems,omitempty"` // empty: all six
	Grants  []repair.Grant `json:"grants,omitempty"`
	// Refused says why something was not granted, and Groups are the incidents
	// that are not over: what is of them is left to them.
	Refused []Refusal `json:"refused,omitempty"`
	Groups  []Group   `json:"groups,omitempty"`
	// Short is what is missing for the order since the stock was corrected.
	Short []Shortage `json:"short,omitempty"`
	// Enough are the SKUs of which there is enough for the order, as a run over all has
	// seen it: nobody needs to be asked about these any more.
	Enough []string `json:"enough,omitempty"`
}

// Rehearsal asks an order what it would do about a confirmation, if its systems
// were read and said this. It changes nothing and leaves no event.
type Rehearsal struct {
	Confirmation Confirmation `json:"confirmation"`
	// First and Second are the two readings: all six systems, and then those that
	// disagree. Without a second one the breaks are taken as confirmed, to know
	// what might be done.
	First  Reading `json:"first"`
	Second Reading `json:"second,omitzero"`
}

// Reading is what systems said when they were asked.
type Reading struct {
	Asked time.Time               `json:"asked"` // before the first call
	Ended time.Time               `json:"ended"` // after the last
	Seen  []reconcile.Observation `json:"seen,omitempty"`
}

// Rehearsed is what an order would do.
type Rehearsed struct {
	Confirmed Confirmed `json:"confirmed"`
	// Steps are what Confirmed speaks of, and Fresh tells, of each, that no run has
	// confirmed its break before.
	Steps []reconcile.Step `json:"steps,omitempty"`
	Fresh []bool           `json:"fresh,omitempty"`
	// Again are the systems to be read again, Lag after the first reading.
	Again []order.System `json:"again,omitempty"`
	Lag   time.Duration  `json:"lag,omitempty"`
}

// Confirmed is what the order's workflow found and did.
type Confirmed struct {
	Order     order.ID            `json:"order"`
	Found     int                 `json:"found"` // confirmed breaks
	Repaired  int                 `json:"repaired"`
	Adopted   int                 `json:"adopted"`
	Cases     int                 `json:"cases"` // opened now
	Left      int                 `json:"left"`  // reported, waiting or not granted
	Settling  int                 `json:"settling"`
	Unread    []order.System      `json:"unread,omitempty"`
	Unused    []int64             `json:"unused,omitempty"` // grants
	Tried     []Tried             `json:"tried,omitempty"`
	Agreement reconcile.Agreement `json:"agreement"`
	// Sights are the breaks that the canary order confirmed; of any other, none.
	Sights []Sight `json:"sights,omitempty"`
	// Lines say what was found and done, one a line, for people.
	Lines []string `json:"lines,omitempty"`
}

// Suspect is an order that a run suspects of a break.
type Suspect struct {
	Order   order.ID          `json:"order"`
	Systems []order.System    `json:"systems"`
	Breaks  []reconcile.Break `json:"breaks"`
	// Subject is how its records are found.
	Subject reconcile.Subject `json:"subject,omitzero"`
	// Says are the kinds of the breaks that were open when its order last looked.
	Says []string `json:"says,omitempty"`
}
