package reconcile

import (
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Listing chooses what a List call walks through.
type Listing string

// What can be listed.
const (
	// ListChanged walks the records that changed within the window.
	ListChanged Listing = "changed"
	// ListCreated walks the records that were created within the window.
	ListCreated Listing = "created"
)

// ListRequest asks a system for one page of its records within [From, To), by
// the system's own clock. Cursor is empty for the first page and else the Next
// of the page before.
type ListRequest struct {
	By     Listing   `json:"by"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Cursor string    `json:"cursor,omitempty"`
	// Limit is a wish; the system's own page limit caps it. 0 means the system's limit.
	Limit int `json:"limit,omitempty"`
}

// Page is one page of a listing. Each observation holds the records of one
// order that were on the page, not all that the order has: an order may appear
// several times and on several pages, and none of them is strong.
type Page struct {
	Observations []Observation `json:"observations"`
	// Orphans are records of the page that carry no reference of ours but come
	// from the configured channel, or whose reference does not parse.
	Orphans []Orphan `json:"orphans,omitempty"`
	// Next is empty on the last page.
	Next string `json:"next,omitempty"`
}

// Orphan is a record that no order claims.
type Orphan struct {
	System string    `json:"system"`
	Record string    `json:"record"` // the system's own id, as "pi_123"
	Kind   string    `json:"kind"`   // as "payment", "sale", "shipment"
	What   string    `json:"what"`   // one line for a person, without personal data
	At     time.Time `json:"at"`
	// Money that it holds or took, in minor units, where the system says so; none when
	// all of it went back.
	Money    int64          `json:"money,omitempty"`
	Currency order.Currency `json:"currency,omitempty"`
}

// Abilities declare what an adapter can do, so that it is checked when a worker
// starts and not found out at midnight.
type Abilities struct {
	// KeyWindow is how long the system repeats its answer for a key; 0: it has
	// no keys, and effects are made in two steps.
	KeyWindow time.Duration `json:"key_window"`
	// StrongLookup says that Lookup shows every write answered before it. When
	// false, absent counts only twice, VisibilityLag apart.
	StrongLookup  bool          `json:"strong_lookup"`
	VisibilityLag time.Duration `json:"visibility_lag"`
	// Lateness is how long after a lost answer the effect may still land.
	Lateness time.Duration `json:"lateness"`
	// Announces says that the system sends webhooks; others are followed.
	Announces bool `json:"announces"`
	// PageLimit is the most records of one page.
	PageLimit int `json:"page_limit"`
}

// Listed says whether listings show a field. Contacts and carts belong to
// customers and are found by who the customer is; a SKU's level belongs to no
// order.
func (f Field) Listed() bool {
	switch f {
	case CRMContact, CRMCarts, InventoryLevel:
		return false
	}
	return true
}
