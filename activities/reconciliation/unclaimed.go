package reconciliation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

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

const mostEvidence = 60 // lines; a history holds them

// LookAround collects the evidence about a record that no order claims: what was
// heard of it, and what each system says about the order that it names. It
// changes nothing and never fails for a system that cannot be read.
func (a *Activities) LookAround(ctx context.Context, u Unclaimed) ([]string, error) {
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
	if u.Order == "" {
		return append(lines, "it names no order"), nil
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
		}
		held = held || o.State == reconcile.Present && (o.System == order.SystemPayment || o.System == order.SystemERP)
		lines = append(lines, said(o, subject.PlacedAt))
		activity.RecordHeartbeat(ctx)
	}
	if held {
		lines = append(lines, fmt.Sprintf("order %s may be older than the engine's memory: submit it again, and it is adopted from the systems as it stands", u.Order))
	}
	return lines[:min(len(lines), mostEvidence)], nil
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
	var facts []string
	for _, f := range reconcile.Facts(o) {
		text := strings.TrimPrefix(string(f.Field), string(o.System)+".")
		if f.Item != "" {
			text += " " + f.Item
		}
		facts = append(facts, text+" is "+f.Value)
	}
	return fmt.Sprintf("%s holds of order %s: %s", o.System, o.Order, strings.Join(facts, ", "))
}
