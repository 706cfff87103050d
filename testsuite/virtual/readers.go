package virtual

import (
	"context"
	"fmt"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// turned is a reader of one system that waits for its turn before it begins: an
// activity of reconciliation reads for many orders side by side, and whoever of
// them came first at an adapter's own gates, as its log-in, would be chance.
type turned struct {
	reconciliation.Reader
	world  *World
	system order.System
}

func (x turned) Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error) {
	x.world.enter(ctx, fmt.Sprintf("reads %s %s", x.system, s.Order))
	return x.Reader.Lookup(ctx, s)
}

func (x turned) List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	x.world.enter(ctx, fmt.Sprintf("lists %s %+v", x.system, r))
	return x.Reader.List(ctx, r)
}

// turnedMany can look up several at once.
type turnedMany struct {
	turned
	many reconciliation.ManyReader
}

func (x turnedMany) LookupMany(ctx context.Context, subjects []reconcile.Subject) ([]reconcile.Observation, error) {
	var of order.ID
	if len(subjects) > 0 {
		of = subjects[0].Order
	}
	x.world.enter(ctx, fmt.Sprintf("reads %s %d from %s", x.system, len(subjects), of))
	return x.many.LookupMany(ctx, subjects)
}

// takeTurns lets the readers of reconciliation take turns.
func (w *World) takeTurns(readers []reconciliation.SystemReader) {
	if w.gate == nil {
		return
	}
	for i, r := range readers {
		reader := turned{r.Reader, w, r.System}
		if many, can := r.Reader.(reconciliation.ManyReader); can {
			readers[i].Reader = turnedMany{reader, many}
		} else {
			readers[i].Reader = reader
		}
	}
}
