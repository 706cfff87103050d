package reconciliation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Unclaimed is a record that no order claims.
type Unclaimed struct {
	System  order.System `json:"system"`
	Record  string       `json:"record"`
	Order   order.ID     `json:"order,omitempty"` // that it names
	Notices []Notice     `json:"notices,omitempty"`
}

// Around is what was found about a record that no order claims.
type Around struct {
	// Lines say it to a person.
	Lines []string `json:"lines"`
	// Said is what each system answers about the order that the record names; nothing
	// when it names none.
	Said []Said `json:"said,omitempty"`
	// Money is what is held or was taken and stayed, in minor units, where the record
	// is of payment.
	Money    int64          `json:"money,omitempty"`
	Currency order.Currency `json:"currency,omitempty"`
}

// Said is one system's answer, without when it was given.
type Said struct {
	System     order.System `json:"system"`
	Value      string       `json:"value,omitempty"`
	Unreadable bool         `json:"unreadable,omitempty"`
}

const mostEvidence = 60 // lines; a history holds them

// LookAround collects the evidence about a record that no order claims: what was
// heard of it, and what each system says about the order that it names. It
// changes nothing and never fails for a system that cannot be read.
func (a *Activities) LookAround(ctx context.Context, u Unclaimed) (Around, error) {
	found := Around{Lines: heard(u)}
	if u.System == order.SystemPayment { // an order that it names says it better, below
		for _, n := range u.Notices {
			if n.Currency != "" || n.What != "" {
				found.Money, found.Currency = n.Money, n.Currency // the newest comes last
			}
		}
	}
	if u.Order == "" {
		found.Lines = append(found.Lines, "it names no order")
		return found, nil
	}
	// A look-up at the gateway needs a moment to begin at. The order may be older
	// than its record, by how much nobody knows.
	subject, held := reconcile.Subject{Order: u.Order, PlacedAt: a.Now()}, false
	for _, n := range u.Notices {
		if n.At.Before(subject.PlacedAt) {
			subject.PlacedAt = n.At
		}
	}
	subject.PlacedAt = subject.PlacedAt.Add(-Day)
	for _, r := range a.Readers { // payment comes first, and knows the currency
		seen, err := r.Reader.Lookup(ctx, subject)
		o := reconcile.Read(r.System, u.Order, a.Now(), seen, err)
		if o.Payment != nil && len(o.Payment.Attempts) > 0 {
			subject.Currency = o.Payment.Attempts[0].Currency
			if u.System == order.SystemPayment {
				found.Money, found.Currency = unclaimedMoney(u.Record, o.Payment.Attempts), subject.Currency
			}
		}
		held = held || o.State == reconcile.Present && (o.System == order.SystemPayment || o.System == order.SystemERP)
		found.Lines = append(found.Lines, said(o, subject.PlacedAt))
		found.Said = append(found.Said, Said{System: r.System, Value: facts(o), Unreadable: o.State == reconcile.Unreadable})
		recordHeartbeat(ctx)
	}
	if held {
		found.Lines = append(found.Lines, fmt.Sprintf("order %s may be older than the engine's memory: submit it again, and it is adopted from the systems as it stands", u.Order))
	}
	found.Lines = found.Lines[:min(len(found.Lines), mostEvidence)]
	return found, nil
}

// unclaimedMoney adds up what is held, and what was taken and did not go back: by the
// record itself where it is an attempt, else by all of the order that it names.
func unclaimedMoney(record string, attempts []reconcile.Attempt) int64 {
	own, all := int64(0), int64(0)
	is := false
	for _, a := range attempts {
		money := a.Held + max(0, a.Captured-a.Refunded-a.Disputed)
		all += money
		if a.ID == record {
			own, is = money, true
		}
	}
	if is {
		return own
	}
	return all
}

// heard says what was heard of a record, one notice a line.
func heard(u Unclaimed) []string {
	var lines []string
	for i, n := range u.Notices {
		if i == 5 {
			lines = append(lines, fmt.Sprintf("and %d more notices of it", len(u.Notices)-i))
			break
		}
		what := n.What
		if what == "" {
			what = n.Type
		}
		lines = append(lines, fmt.Sprintf("%s, heard of at %s: %s", n.System, n.At.UTC().Format(time.RFC3339), what))
	}
	return lines
}

// said is what an observation says, in one line.
func said(o reconcile.Observation, since time.Time) string {
	switch o.State {
	case reconcile.Unreadable:
		return fmt.Sprintf("%s could not be read: %s", o.System, o.Why)
	case reconcile.Absent:
		if o.System == order.SystemPayment {
			return fmt.Sprintf("%s holds nothing of order %s since %s", o.System, o.Order, since.UTC().Format(time.DateOnly))
		}
		return fmt.Sprintf("%s holds nothing of order %s", o.System, o.Order)
	case reconcile.Present:
	}
	return fmt.Sprintf("%s holds of order %s: %s", o.System, o.Order, facts(o))
}

// facts are what an observation says, in one line; nothing when it says nothing.
func facts(o reconcile.Observation) string {
	var all []string
	for _, f := range reconcile.Facts(o) {
		text := strings.TrimPrefix(string(f.Field), string(o.System)+".")
		if f.Item != "" {
			text += " " + f.Item
		}
		all = append(all, text+" is "+f.Value)
	}
	return strings.Join(all, ", ")
}
