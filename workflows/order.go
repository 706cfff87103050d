package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Order is the life of one order, and the only writer of its records.
//
//	received → paying ─── reserve the stock, or ask about what is not there; then
//	   │          │         authorize the money, in as many attempts as it takes
//	   │          └→ failing → failed: everything given back, by itself; and back
//	   ▼                       to paying, when it was paid after all
//	  the pivot: all that is wanted is promised and paid, no review is open
//	   ▼
//	accepted ─── warehouse, ERP and CRM side by side; the confirmation once the
//	   │         warehouse has accepted; each parcel that leaves is captured,
//	   │         invoiced, committed and told of; what is not covered by money any
//	   │         more is authorized anew, or withdrawn and asked about
//	   ├→ cancelling → cancelled: the warehouse first, then money and stock
//	   ▼
//	shipped → delivered → closed, when the return window is over; what comes back
//	   is paid back, and what came later re-opens it
//
// What is due in each system is said in due.go, and when a phase ends in
// phase.go; what the systems say by themselves is taken up in attend.go, what
// people ask for in wishes.go and decide.go. Lanes carry out what is due, one
// operation per system at a time.
func (w *Workflows) Order(ctx workflow.Context, in OrderInput) (*State, error) {
	p, err := w.begin(ctx, in)
	if err != nil {
		return nil, err
	}
	p.listen(ctx)
	work, _ := workflow.NewDisconnectedContext(ctx)
	if err := p.recall(work, in.EngineSince); err != nil {
		return nil, err
	}
	for _, system := range order.Systems() {
		workflow.Go(work, func(ctx workflow.Context) { p.lane(ctx, system) })
	}
	workflow.Go(work, p.follow)
	workflow.Go(work, p.supply)
	workflow.Go(work, p.herald)
	return p.live(ctx, work)
}

// process is one run of an order's workflow: its state, and what lives only as
// long as the run.
type process struct {
	*State
	settings Settings
	// refresh reads the settings again: an order lives longer than a policy.
	refresh func(ctx workflow.Context, have Settings) (Settings, error)
	// today are this worker's settings, for what only asks.
	today func() (Settings, error)

	// moved counts changes of state; the main loop wakes for each.
	moved int
	// news is set while something was learned and not taken up yet: see attend.go.
	// Until it is, nothing is due: a parcel that has left would be requested again.
	news bool
	// closing tells the lanes that the run ends.
	closing bool
	// reads counts the look-ups of this run, for their activity ids.
	reads int
	// reading is set while some systems are read side by side: readingOf.
	reading   bool
	readingOf []order.System
	// recalling is set while the order is looked up because it is older than our memory:
	// what its systems say is no news until it was adopted, see recall.
	recalling bool
	// looking is set while one system is read because something hinted at it.
	looking bool
	// supplying is set while inventory is asked what there is.
	supplying bool
	// raised are the breaks about which attend would have a case open now: what it
	// says of them counts, and not what a plan says.
	raised []raised
	// readAt is when all systems were last read together.
	readAt time.Time
	// alarm is the timer of the next deadline.
	alarm alarm
	// published is what the search attributes and the memo last said.
	published publication
	// meter tells the metrics what becomes of breaks.
	meter meter
}

// begin takes up the carried state, or makes that of a new order.
func (w *Workflows) begin(ctx workflow.Context, in OrderInput) (*process, error) {
	settings, err := w.settings(ctx)
	if err != nil {
		return nil, err
	}
	p := &process{settings: settings, refresh: w.renew, today: w.today, State: in.Carried}
	if p.State == nil {
		p.State = &State{
			Order: in.Order, Fingerprint: in.Fingerprint, Phase: order.PhaseReceived, Since: workflow.Now(ctx),
		}
		p.note(workflow.Now(ctx), "received")
	}
	p.Run++
	p.begin(ctx)
	return p, nil
}

// touch wakes the main loop.
func (p *process) touch() { p.moved++ }

// live lets the phases advance until the order has ended and is quiet, or the
// engine suggests to continue as new while everything is at rest.
func (p *process) live(ctx, work workflow.Context) (*State, error) {
	for {
		p.advance(work)
		p.rest(work)
		p.tell(workflow.Now(work))
		if err := p.publish(work); err != nil {
			return nil, err
		}
		if p.closed(work) {
			return p.end(work)
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() && p.resting(work) {
			if p.drain(work); !p.resting(work) {
				continue // a notice came in the same moment
			}
			p.closing = true
			return nil, workflow.NewContinueAsNewError(work, OrderType, OrderInput{
				Order: p.Order, Fingerprint: p.Fingerprint, Carried: p.State,
			})
		}
		p.wait(ctx, work)
	}
}

// rest takes in how it stands while nothing is under way: what agrees, what does not,
// and which cases are over.
func (p *process) rest(ctx workflow.Context) {
	if p.resting(ctx) {
		now := workflow.Now(ctx)
		p.settleCases(now, p.assess(now))
	}
}

// wait waits until anything moved, somebody cancels the workflow in the engine,
// or the next deadline comes.
func (p *process) wait(ctx, work workflow.Context) {
	seen := p.moved
	moved := func() bool { return p.moved != seen || ctx.Err() != nil && p.Cancel == nil && !p.Phase.Ended() }
	until, why := p.deadline(work)
	p.alarm.set(work, until, why)
	_ = workflow.Await(work, func() bool { return moved() || p.alarm.rings() })
	if ctx.Err() != nil && p.Cancel == nil && !p.Phase.Ended() {
		p.wish(workflow.Now(work), Cancel{By: "engine", Reason: "the workflow was cancelled in the engine"})
	}
}

// alarm is the timer of the next deadline. It is kept as long as the deadline
// stays, for each timer that is set and stopped is two events in the history.
type alarm struct {
	at    time.Time
	timer workflow.Future
	stop  workflow.CancelFunc
}

func (a *alarm) set(ctx workflow.Context, at time.Time, why string) {
	if a.timer != nil && at.Equal(a.at) && !a.timer.IsReady() {
		return
	}
	if a.timer != nil && !a.timer.IsReady() {
		a.stop()
	}
	*a = alarm{at: at}
	if at.IsZero() {
		return
	}
	timerContext, stop := workflow.WithCancel(ctx)
	a.stop = stop
	a.timer = workflow.NewTimerWithOptions(timerContext, max(time.Second, at.Sub(workflow.Now(ctx))), workflow.TimerOptions{Summary: why})
}

func (a *alarm) rings() bool { return a.timer != nil && a.timer.IsReady() }

// resting says that nothing is open, due, hinted at or being answered.
func (p *process) resting(ctx workflow.Context) bool {
	if !workflow.AllHandlersFinished(ctx) || p.reading || p.looking || p.supplying || p.hintedBefore(workflow.Now(ctx)) {
		return false
	}
	for _, system := range order.Systems() {
		if p.openIn(system) != nil || p.due(system, workflow.Now(ctx)) != nil {
			return false
		}
	}
	return true
}

// closed says that the order has ended, is at rest, owes nobody a decision or word
// of one, and has been quiet for as long as late messages usually take.
func (p *process) closed(ctx workflow.Context) bool {
	return p.Phase.Ended() && p.resting(ctx) && len(p.Hints) == 0 && len(p.openCases()) == 0 && len(p.Unsaid) == 0 &&
		workflow.Now(ctx).Sub(p.quietSince()) >= p.settings.Linger
}

// quietSince returns when something last happened to the order.
func (p *process) quietSince() time.Time {
	last := p.Since
	for _, system := range order.Systems() {
		if at := p.State.changed(system); at.After(last) {
			last = at
		}
		if at := p.observed(system).At; at.After(last) {
			last = at
		}
	}
	return last
}

// end drains what has arrived and returns the carried state, or goes on when a
// message came in the same moment.
func (p *process) end(ctx workflow.Context) (*State, error) {
	p.drain(ctx)
	p.hinted(workflow.Now(ctx)) // what was answered already keeps nothing open
	if len(p.Hints) > 0 || !workflow.AllHandlersFinished(ctx) {
		return nil, workflow.NewContinueAsNewError(ctx, OrderType, OrderInput{
			Order: p.Order, Fingerprint: p.Fingerprint, Carried: p.State,
		})
	}
	p.closing = true
	return p.State, nil
}

// openCases returns the cases that wait for a person.
func (s *State) openCases() []reconcile.Case {
	var open []reconcile.Case
	for _, c := range s.Cases {
		if c.Open() {
			open = append(open, c)
		}
	}
	return open
}
