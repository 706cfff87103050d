package play

import (
	"context"
	"fmt"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/ledgers"
	"github.com/trueup-orders/trueup/testsuite/script"
)

// What every installation has unless its operator says otherwise.
const (
	sweepEvery  = 6 * time.Hour
	budgetCount = 200
	budgetMoney = 10_000_000
)

// player plays one file in one world.
type player struct {
	file  *script.File
	world world
	// client and desks are the ways into the world: a service's, and those of people.
	client *starters.Client
	desks  ledgers.Desks
	stage  *stage
	story  *story
	judge  *judge
	plan   plan
	// lawful, quick: see Options.
	lawful, quick bool
	blows         int

	placed map[string]time.Time        // when a basket was first submitted
	kept   map[string]map[string]int64 // what an order's customer still wants, by SKU
	asked  int                         // wishes so far: each has an id of its own
	proofs []proof
	busy   time.Duration // until when steps repeat themselves
	next   string        // what the story waits for, as its file says it
}

// proof says whether something that a step set up ever happened.
type proof struct {
	line int
	what string
	met  func() bool
}

func newPlayer(f *script.File, s *stage, o Options) *player {
	p := &player{file: f, stage: s, placed: map[string]time.Time{}, kept: map[string]map[string]int64{}}
	p.open(o)
	p.lawful, p.quick, p.blows = o.Lawful, o.Quick, len(o.Blows)
	p.story = newStory(o.Story, p)
	p.judge = newJudge(p)
	return p
}

func (p *player) age() time.Duration { return p.world.Age() }

// perform does what a step says.
func (p *player) perform(ctx context.Context, step script.Step) {
	var err error
	switch do := step.Do.(type) {
	case script.Submit:
		p.submit(do)
	case script.Cancel:
		p.cancel(do)
	case script.Return:
		p.sendBack(do)
	case script.Amend:
		err = p.amend(do)
	case script.Pay:
		err = p.pay(do)
	case script.Attempt:
		err = p.attempt(do)
	case script.Answer:
		p.answer(do)
	case script.Event:
		err = p.event(step.Line, do)
	case script.Events:
		p.handle(do)
	case script.Fault:
		err = p.inject(step.Line, do)
	case script.Clear:
		for _, system := range systemsOf(do.System) {
			p.world.Desk(system).Frame().Clear(do.Operation)
		}
	case script.Edit:
		err = p.editAgain(step.Line, do)
	case script.Crash:
		p.crash(step.Line, do)
	case script.Outage:
		p.outage(do)
	case script.Forget:
		err = p.forget(ctx, do)
	case script.Clock:
		p.world.Desk(do.System).Frame().Skew(do.Skew)
	case script.Reconcile:
		p.reconcile(do)
	case script.Decide:
		err = p.decide(ctx, step.Line, do)
	case script.Check:
		p.check(ctx, do.Expect, fmt.Sprintf("line %d: ", step.Line))
	default:
		err = fmt.Errorf("a %T is not played", do)
	}
	if err != nil {
		p.impossible(step.Line, err)
	}
}

// impossible says that a step of the file could not be done: the file is wrong, or
// a blow has left no room for it.
func (p *player) impossible(line int, err error) {
	if p.blows > 0 {
		p.stage.isMoot("line %d: %v", line, err)
		return
	}
	p.stage.Errorf("line %d: %v", line, err)
}

// exercised notes what must have happened by the end.
func (p *player) exercised(line int, what string, met func() bool) {
	p.proofs = append(p.proofs, proof{line, what, met})
}

// unexercised says what never happened: a story whose fault nobody suffered
// proves nothing.
func (p *player) unexercised() {
	for _, f := range p.proofs {
		switch {
		case f.met():
		case f.line > 0 && p.blows > 0:
			p.stage.isMoot("line %d: %s", f.line, f.what)
		default:
			p.stage.Errorf("not exercised: line %d: %s", f.line, f.what)
		}
	}
}

// ids are the orders that the story can name.
func (p *player) ids() []order.ID {
	all := make([]order.ID, 0, len(p.file.Orders))
	for _, o := range p.file.Orders {
		all = append(all, order.ID(o.Name))
	}
	return all
}
