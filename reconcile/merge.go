package reconcile

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Merge returns the observations with o taken in: one per system, the newest,
// in the order of order.Systems. An unreadable one keeps the last known records
// and says when they were read, so that an answer can name the last known value
// and its age. Listings are partial: fold them first, and do not merge them
// into the memory of an order.
func Merge(known []Observation, o Observation) []Observation {
	var merged []Observation
	for _, s := range order.Systems() {
		mine, found := latest(append(slices.Clip(known), o), s, newest)
		if found {
			merged = append(merged, mine)
		}
	}
	return merged
}

// latest returns what is known of one system from any number of observations of
// it, in any order: the best readable one by the given preference, unless the
// system was found unreadable after that; then the unreadable one, with the
// records of the best.
func latest(all []Observation, s order.System, prefer func(a, b Observation) int) (Observation, bool) {
	var read, unread *Observation
	for n := range all {
		o := all[n]
		if o.System != s {
			continue
		}
		if o.State == Unreadable && (unread == nil || compareUnread(o, *unread) > 0) {
			unread = &o
		}
		if memory, known := o.lastKnown(); known && (read == nil || prefer(memory, *read) > 0) {
			read = &memory
		}
	}
	switch {
	case unread == nil && read == nil:
		return Observation{}, false
	case unread == nil || read != nil && !unread.At.After(read.At):
		return *read, true
	case read == nil:
		return *unread, true
	}
	o := *read
	o.State, o.At, o.Why, o.Strong = Unreadable, unread.At, unread.Why, false
	o.LastRead = read.At
	return o, true
}

// lastKnown returns what an observation's system was last known to say, as of
// when it was read, and whether it ever was.
func (o Observation) lastKnown() (Observation, bool) {
	if o.State != Unreadable {
		return o, true
	}
	if o.LastRead.IsZero() {
		return o, false
	}
	o.State = Present
	if o.Payment == nil && o.Inventory == nil && o.Warehouse == nil && o.ERP == nil && o.CRM == nil && o.Mail == nil {
		o.State = Absent
	}
	o.At, o.Why, o.LastRead = o.LastRead, "", time.Time{}
	return o, true
}

// newest prefers the later of two readable observations.
func newest(a, b Observation) int {
	return cmp.Or(a.At.Compare(b.At), compareBool(a.Strong, b.Strong), contents(a, b))
}

// strongest prefers a strong read to a listing, and then the later.
func strongest(a, b Observation) int {
	return cmp.Or(compareBool(a.Strong, b.Strong), newest(a, b))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func compareUnread(a, b Observation) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Why, b.Why))
}

// contents decides between two that are otherwise equal by what they say, so
// that the order of the input never matters.
func contents(a, b Observation) int {
	return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(spelled(a), spelled(b)))
}

func spelled(o Observation) string {
	var b strings.Builder
	b.WriteString(string(o.State))
	for _, f := range Facts(o) {
		b.WriteString("|" + string(f.Field) + "|" + f.Item + "|" + spelledFact(f))
	}
	// Without the order in view facts leave the currency of a revenue out, and by which
	// numbers parcels are followed.
	var besides []string
	for _, d := range of(o.CRM).Deals {
		besides = append(besides, d.ID+" "+string(d.Currency))
	}
	for _, s := range of(o.Warehouse).Shipments {
		besides = append(besides, s.ID+" "+s.Tracking)
	}
	slices.Sort(besides)
	b.WriteString("|" + strings.Join(besides, "|"))
	return b.String()
}
