package play

import (
	"context"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/workflows"
)

// finish checks what the file expects in the end, and what every file expects:
// that reconciliation, asked twice more, writes nothing the second time.
func (p *player) finish(ctx context.Context) {
	p.judge.look(ctx)
	p.check(ctx, p.file.Expect, "")
	p.again(ctx)
	p.judge.mark = map[order.System]int64{}
	before := p.written()
	p.again(ctx)
	if after := p.written(); after > before {
		p.stage.Errorf("a second reconciliation wrote %d times", after-before)
	}
	p.judge.laws()
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

// written is how many effects the systems have had in all.
func (p *player) written() int {
	n := 0
	for _, system := range order.Systems() {
		all, err := p.world.Desk(system).Frame().Ledger(0, "")
		if err != nil {
			p.stage.Errorf("read the ledger of %s: %v", system, err)
		}
		for _, e := range all {
			if e.Kind == simulator.EntryEffect {
				n++
			}
		}
	}
	return n
}
