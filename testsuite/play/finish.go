package play

import (
	"context"

	"github.com/trueup-orders/trueup/testsuite/ledgers"
	"github.com/trueup-orders/trueup/workflows"
)

// finish checks what the file expects in the end, and what every file expects:
// that reconciliation, asked twice more, writes nothing the second time.
func (p *player) finish(ctx context.Context) {
	p.judge.look(ctx)
	p.check(ctx, p.file.Expect, "")
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

// again has reconciliation look at everything, and waits for its end.
func (p *player) again(ctx context.Context) {
	if _, err := p.world.Client.Reconcile(ctx, workflows.ReconcileInput{}); err != nil && ctx.Err() == nil {
		p.stage.Errorf("reconcile in the end: %v", err)
	}
	_ = p.settle(ctx)
}
