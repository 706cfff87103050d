package play

import (
	"context"
	"fmt"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// crash lets the worker die at the next such call; another takes over.
func (p *player) crash(line int, do script.Crash) {
	fired := p.world.CrashAt(virtual.Crash{Boundary: virtual.Boundary(do.Worker), System: do.System, Operation: do.Operation})
	p.exercised(line, fmt.Sprintf("no worker died %s %s.%s", do.Worker, do.System, do.Operation), fired)
}

// outage takes a part down, which comes back. One that is killed and comes back
// at once loses nothing but what was under way.
func (p *player) outage(do script.Outage) {
	p.world.Down(virtual.Part(do.Part), max(do.Down, time.Second))
}

// often is how often it is looked whether an order has closed.
const often = time.Hour

// longest is after what time an order that has not closed never will.
const longest = 400 * 24 * time.Hour

// forget lets time pass until the order has closed and the engine knows nothing
// of it any more.
func (p *player) forget(ctx context.Context, do script.Forget) error {
	id := workflows.OrderWorkflowID(order.ID(do.Order))
	for end := p.age() + longest; p.world.Known(id); {
		if p.age() > end {
			return fmt.Errorf("order %s is not closed and forgotten after %s", do.Order, longest)
		}
		if err := p.world.Sleep(ctx, often); err != nil {
			return nil
		}
	}
	return nil
}

// reconcile starts a run by hand.
func (p *player) reconcile(do script.Reconcile) {
	in := workflows.ReconcileInput{DryRun: do.DryRun}
	if do.Order != "" {
		in.Orders = []order.ID{order.ID(do.Order)}
	}
	if do.BesideSchedule {
		p.ask("the schedule starts a run", func(ctx context.Context) (string, error) {
			return "", p.client.Engine.Submit(ctx, starters.Start{
				Type: workflows.ReconcileType, ID: workflows.ScheduleID, Input: workflows.ReconcileInput{},
			}, starters.Message{}, nil)
		})
	}
	p.ask("reconcile", func(ctx context.Context) (string, error) {
		r, err := p.client.Reconcile(ctx, in)
		return fmt.Sprintf("looked at %d orders, found %d, repaired %d, adopted %d, %d cases, %d left, %d settling",
			r.Looked, r.Found, r.Repaired, r.Adopted, r.Cases, r.Left, r.Settling), err
	})
}

// decide decides the n-th case of an order, on the evidence that it shows now.
func (p *player) decide(_ context.Context, line int, do script.Decide) error {
	of := order.ID(do.Order)
	m := workflows.Decide{Asked: p.wish(do.By), Case: do.Case, As: workflows.Decision(do.As), Amount: do.Amount}
	there := false
	p.exercised(line, fmt.Sprintf("order %s has no case %d to decide", do.Order, do.Case), func() bool { return there })
	cases, err := p.cases(of)
	if err != nil { // an order that nobody knows has no case but in the inbox
		there = p.decideInbox(of, do)
		return nil
	}
	for _, c := range cases {
		if c.N == do.Case {
			there = true
			if c.Evidence != nil {
				m.Evidence = c.Evidence.Token
			}
		}
	}
	if !there {
		return nil
	}
	p.wishes(fmt.Sprintf("%s decides case %d of %s", do.By, do.Case, do.Order), func(ctx context.Context) (workflows.Reply, error) {
		return p.client.Decide(ctx, of, m)
	})
	return nil
}

// decideInbox decides about a record that no order claims: it is left as it is, or
// belongs to the order after all.
func (p *player) decideInbox(of order.ID, do script.Decide) bool {
	waiting := p.inboxCases(of)
	if do.Case > len(waiting) {
		return false
	}
	one := waiting[do.Case-1]
	d := workflows.DecideInbox{Asked: p.wish(do.By), Leave: true, Evidence: one.Token}
	if do.As == string(workflows.DecideRepair) {
		d.Leave, d.Link = false, of
	}
	p.ask(fmt.Sprintf("%s decides about %s of %s", do.By, one.Record, one.System), func(ctx context.Context) (string, error) {
		_, err := p.client.DecideInbox(ctx, one.System, one.Record, d)
		return "decided", err
	})
	return true
}
