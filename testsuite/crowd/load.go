package crowd

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/inventory"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/world"
)

// events is how long before the crowd's moment the gateway's events begin:
// Stripe keeps them for thirty days, and nothing here asks for older ones than
// these.
const events = 2 * day

// chunk is how many orders are written in one transaction of each system.
const chunk = 2_000

// Load writes the crowd into the databases of a world that was opened with its
// Stock. The six are written side by side, chunk by chunk in the order in which
// the orders were placed.
func (c *Crowd) Load(ctx context.Context, w *world.World) error {
	var pending []mail.Loaded // came later than the orders of their chunk
	for from := 0; from < c.Len(); from += chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		all := c.batch(from, min(from+chunk, c.Len()))
		until := c.AsOf.Add(day)
		if from+chunk < c.Len() {
			until = c.placedAt(from + chunk)
		}
		pending = append(pending, all.mail...)
		slices.SortStableFunc(pending, func(a, b mail.Loaded) int { return a.At.Compare(b.At) })
		come := slices.IndexFunc(pending, func(m mail.Loaded) bool { return !m.At.Before(until) })
		if come < 0 {
			come = len(pending)
		}
		all.mail, pending = pending[:come], slices.Clone(pending[come:])
		if err := all.write(w, c.AsOf.Add(-events)); err != nil {
			return err
		}
		if c.Progress != nil {
			c.Progress(min(from+chunk, c.Len()))
		}
	}
	return nil
}

// batch is what the systems hold of some orders, system by system.
type batch struct {
	payment   []payment.Loaded
	inventory []inventory.Loaded
	warehouse []warehouse.Loaded
	erp       []erp.Loaded
	crm       []crm.Loaded
	mail      []mail.Loaded
}

func (c *Crowd) batch(from, to int) batch {
	var b batch
	for n := from; n < to; n++ {
		r := c.Records(n)
		b.payment = append(b.payment, r.Payment...)
		b.inventory = append(b.inventory, r.Inventory...)
		b.warehouse = append(b.warehouse, r.Warehouse...)
		b.erp = append(b.erp, r.ERP)
		b.crm = append(b.crm, r.CRM...)
		b.mail = append(b.mail, r.Mail...)
	}
	return b
}

func (b batch) write(w *world.World, eventsSince time.Time) error {
	var g errgroup.Group
	g.Go(func() error { return w.Payment.Load(b.payment, eventsSince) })
	g.Go(func() error { return w.Inventory.Load(b.inventory) })
	g.Go(func() error { return w.Warehouse.Load(b.warehouse) })
	g.Go(func() error { return w.ERP.Load(b.erp) })
	g.Go(func() error { return w.CRM.Load(b.crm) })
	g.Go(func() error { return w.Mail.Load(b.mail) })
	return g.Wait()
}
