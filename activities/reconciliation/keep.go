package reconciliation

import (
	"time"

	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// StockCommit asks for the levels of goods that have left the warehouse.
type StockCommit struct {
	Order order.ID         `json:"order"`
	Key   string           `json:"key"`
	Goods []order.Quantity `json:"goods"` // per SKU
}

// StockChange asks stock/<sku> for one change of its level.
type StockChange struct {
	Key string `json:"key"`
	// Quantity has left the warehouse and is no longer promised after this.
	Quantity int64 `json:"quantity"`
	// Uncommitted has left the warehouse and is still promised, to other orders.
	Uncommitted int64         `json:"uncommitted,omitempty"`
	Grant       *repair.Grant `json:"grant,omitempty"`
}

// GrantRequest asks reconciliation for permissions to repair.
type GrantRequest struct {
	Run   string `json:"run"`
	Count int    `json:"count"`
	Money int64  `json:"money"` // at risk, in minor units, all currencies alike
}

// RunReport is what one run looked at, found, repaired and left.
type RunReport struct {
	Run      string    `json:"run"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	From     time.Time `json:"from"` // the window of changes
	To       time.Time `json:"to"`
	DryRun   bool      `json:"dry_run,omitempty"`
	// Only says that it looked at the orders it was asked for and at no others: it
	// verifies nothing else.
	Only bool `json:"only,omitempty"`
	// Policy and Rules are the versions that decided.
	Policy string `json:"policy"`
	Rules  int    `json:"rules"`
	// Looked is how many orders were compared; Records how many records of the
	// systems were walked past.
	Looked   int `json:"looked"`
	Records  int `json:"records"`
	Suspects int `json:"suspects"`
	Found    int `json:"found"`
	Repaired int `json:"repaired"`
	Adopted  int `json:"adopted"`
	Cases    int `json:"cases"`
	Left     int `json:"left"`
	Settling int `json:"settling"`
	// Stock counts levels: compared, differing, and set from the warehouse.
	Stock StockReport `json:"stock"`
	// Unread are the systems that could not be read: a run with any of them is
	// partial and verifies nothing.
	Unread []order.System `json:"unread,omitempty"`
	// Truncated says that there was more than one run takes.
	Truncated bool `json:"truncated,omitempty"`
	// VerifiedThrough is the moment before which every order has been compared
	// in every system, but for Exceptions.
	VerifiedThrough time.Time  `json:"verified_through"`
	Exceptions      []order.ID `json:"exceptions,omitempty"`
	Lines           []string   `json:"lines,omitempty"`
	// Swept is set on the report of a sweep.
	Swept  *Swept   `json:"swept,omitempty"`
	Sights []Sight  `json:"sights,omitempty"` // of the canary order
	SKUs   []string `json:"skus,omitempty"`   // seen by this run
}

// StockReport is what a run did about levels.
type StockReport struct {
	Compared int `json:"compared"`
	Found    int `json:"found"`
	Repaired int `json:"repaired"`
}

// Complete says that every system could be read, and everything was compared:
// partial is never clean.
func (r RunReport) Complete() bool { return len(r.Unread) == 0 && !r.Truncated }

// Stop is a switch that stops repairs: of one system, or of everything when
// System is empty.
type Stop struct {
	System order.System `json:"system,omitempty"`
	Off    bool         `json:"off"` // true stops
	By     string       `json:"by"`
	Reason string       `json:"reason"`
	At     time.Time    `json:"at"`
}

// Status is what the reconciliation workflow knows; workers, runs and operators
// read it.
type Status struct {
	// Since is when this engine's memory began.
	Since           time.Time `json:"since"`
	VerifiedThrough time.Time `json:"verified_through"`
	LastGoodRun     time.Time `json:"last_good_run,omitzero"`
	Stops           []Stop    `json:"stops,omitempty"`
	Cursors         []Cursor  `json:"cursors,omitempty"`
	Outstanding     int       `json:"outstanding"` // grants
	NextGrant       int64     `json:"next_grant"`
	SKUs            []string  `json:"skus,omitempty"`
	// Coverage says which sealed days were swept.
	Coverage Coverage `json:"coverage,omitzero"`
	// Canary is what is known of the planted breaks; nil where none are planted.
	Canary *Canary `json:"canary,omitempty"`
	// Reports are the latest runs, the newest last.
	Reports []RunReport `json:"reports,omitempty"`
}

// Cursor is how far a system's change feed was followed, by its own clock.
type Cursor struct {
	System  order.System `json:"system"`
	Through time.Time    `json:"through"`
	// Recent are the changes at the edge, which the overlap shows again.
	Recent []string `json:"recent,omitempty"`
}

// Known is an order as visibility lists it: a candidate, never the truth.
type Known struct {
	Subject reconcile.Subject `json:"subject"`
	Intent  reconcile.Intent  `json:"intent"`
	Changed time.Time         `json:"changed"`
	Running bool              `json:"running"`
}

// IntentQuery chooses the orders whose intents are listed: those that changed
// at or after Since, and those that do not agree; all of them without a Since.
type IntentQuery struct {
	Since time.Time `json:"since"`
	Limit int       `json:"limit"`
	// IDs asks for these orders instead.
	IDs []order.ID `json:"ids,omitempty"`
}
