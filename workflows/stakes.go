package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Stakes are what is at stake while an order does not agree, as its memo says so
// that lists and metrics need not ask each order. Nothing of an order that goes
// well is ever written.
type Stakes struct {
	Currency order.Currency `json:"currency,omitempty"`
	// Money at risk in open breaks and cases, in minor units.
	Money int64 `json:"money,omitempty"`
	// Cases wait for a person, the oldest since Opened, the most urgent until
	// Deadline.
	Cases    int       `json:"cases,omitempty"`
	Opened   time.Time `json:"opened,omitzero"`
	Deadline time.Time `json:"deadline,omitzero"`
	// Short says that a person is asked about stock that is not enough for the order, or
	// has said what becomes of that: see reconciliation.Enough.
	Short bool `json:"short,omitempty"`
}

// stakes adds up what is at stake now. Money counts once, also when a person is
// asked about its break.
func (s *State) stakes() Stakes {
	st := Stakes{Short: s.toldShort()}
	for _, b := range s.Breaks {
		st.Money += b.Money
	}
	for _, k := range s.openCases() {
		st.Cases++
		if st.Opened.IsZero() || k.Opened.Before(st.Opened) {
			st.Opened = k.Opened
		}
		if st.Deadline.IsZero() || k.Deadline.Before(st.Deadline) {
			st.Deadline = k.Deadline
		}
		if !slices.ContainsFunc(s.Breaks, func(b reconcile.Break) bool { return b.Place() == k.Step.Break.Place() }) {
			st.Money += k.Step.Break.Money
		}
	}
	if st.Money > 0 {
		st.Currency = s.Order.Currency
	}
	return st
}

// begin begins what a run tells visibility and the metrics. A run that continues
// another has its memo, which says what was at stake at its end.
func (p *process) begin(ctx workflow.Context) {
	if _, said := workflow.GetInfo(ctx).Memo.GetFields()[StakesMemo]; said {
		p.published.stakes = p.stakes()
	}
	p.meter = metered(ctx)
}
