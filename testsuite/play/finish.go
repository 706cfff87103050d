package play

import (
	"context"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/ledgers"
	"github.com/trueup-orders/trueup/workflows"
)

// finish checks what the file expects in the end, and what every file expects:
// that reconciliation, asked twice more, writes nothing the second time.
func (p *player) finish(ctx context.Context) {
	p.plan.end()
	p.judge.look(ctx)
	if p.lawful {
		p.told(ctx)
	} else {
		p.check(ctx, p.file.Expect, "")
	}
	p.again(ctx)
	p.judge.look(ctx)
	before := p.judge.laws.Writes()
	p.again(ctx)
	p.judge.look(ctx)
	if n := p.judge.laws.Writes() - before; n > 0 {
		p.stage.Errorf("a second reconciliation wrote %d times", n)
	}
	all := map[string]ledgers.Said{}
	for of, said := range p.judge.last {
		all[string(of)] = said.Said
	}
	p.judge.broken(p.judge.laws.End(all, p.world.Now()))
	p.unexercised()
	p.story.end(ctx)
}

// told checks that everybody agrees in the end, or a person was asked.
func (p *player) told(ctx context.Context) {
	for _, o := range p.file.Expect.Orders {
		v, err := p.judge.fresh(ctx, order.ID(o.Order))
		switch {
		case err != nil:
			p.stage.Errorf("%s: ask for the verdict: %v", o.Order, err)
		case v.Agreement != string(reconcile.Agreed) && v.Agreement != string(reconcile.NeedsPerson):
			p.stage.Errorf("%s: it is %s and %s in the end: %s", o.Order, v.Outcome, v.Agreement, v.summary)
		}
	}
}

// again has reconciliation look at everything, and waits for its end.
func (p *player) again(ctx context.Context) {
	if _, err := p.client.Reconcile(ctx, workflows.ReconcileInput{}); err != nil && ctx.Err() == nil {
		p.stage.Errorf("reconcile in the end: %v", err)
	}
	_ = p.settle(ctx)
}
